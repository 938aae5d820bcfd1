//! Tables and sequences: what holds data of its own, and how it is counted.

use std::collections::BTreeSet;

use crate::config::SchemaName;
use crate::error::Error;
use crate::server::session::{Session, quote_ident, quote_literal};

/// Statements are cut after this many tables or sequences: a UNION of more is slow to plan.
const UNION_MAX: usize = 100;

/// A relation by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Relation {
    pub(crate) schema: String,
    pub(crate) name: String,
}

impl Relation {
    /// `"schema"."name"`, as SQL writes it.
    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(&self.name))
    }

    /// `schema.name`, as records and pg_restore's messages have it.
    pub(crate) fn plain(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// A table with rows of its own.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) relation: Relation,
    /// Heap and TOAST on the source, in bytes.
    pub(crate) size_bytes: u64,
    /// What its rows are counted under: itself, or the partitioned root where leaves can't be compared.
    pub(crate) unit: Counted,
}

/// Something whose rows are counted as one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counted {
    /// The table alone, without children.
    Only(Relation),
    /// A partitioned root with all its leaves.
    Root(Relation),
}

impl Counted {
    pub(crate) fn relation(&self) -> &Relation {
        match self {
            Self::Only(relation) | Self::Root(relation) => relation,
        }
    }

    fn sql(&self) -> String {
        match self {
            Self::Only(relation) => format!("ONLY {}", relation.quoted()),
            Self::Root(relation) => relation.quoted(),
        }
    }
}

/// Where a sequence stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SequenceState {
    pub(crate) relation: Relation,
    pub(crate) last_value: i64,
    pub(crate) is_called: bool,
}

/// The schemas as a text array parameter.
pub(crate) fn names(schemas: &[SchemaName]) -> Vec<&str> {
    schemas.iter().map(SchemaName::as_str).collect()
}

/// Tables with rows of their own, largest first.
pub(crate) async fn tables(session: &Session, schemas: &[SchemaName]) -> Result<Vec<Table>, Error> {
    let rows = session
        .query("list tables", include_str!("sql/tables.sql"), &[&names(schemas)])
        .await?;
    let table = |row: &tokio_postgres::Row| {
        let relation = Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        };
        let root: Option<String> = row.get("root_schema");
        let unit = match root {
            Some(schema) => Counted::Root(Relation {
                schema,
                name: row.get("root_name"),
            }),
            None => Counted::Only(relation.clone()),
        };
        Table {
            relation,
            size_bytes: u64::try_from(row.get::<_, i64>("size_bytes")).unwrap_or(0),
            unit,
        }
    };
    Ok(rows.iter().map(table).collect())
}

/// An exact row count. One statement a table: on large tables the counting decides, and each one that ends is
/// progress.
pub(crate) async fn count(session: &Session, unit: &Counted) -> Result<u64, Error> {
    let sql = format!("SELECT pg_catalog.count(*) FROM {}", unit.sql());
    let action = format!("count the rows of {}", unit.relation().quoted());
    let row = session.query_one(&action, &sql, &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// The state of every sequence. Sequences obey no snapshot: the answer is of this moment.
pub(crate) async fn sequences(
    session: &Session,
    schemas: &[SchemaName],
) -> Result<Vec<SequenceState>, Error> {
    let rows = session
        .query(
            "list sequences",
            include_str!("sql/sequences.sql"),
            &[&names(schemas)],
        )
        .await?;
    let relations: Vec<Relation> = rows
        .iter()
        .map(|row| Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        })
        .collect();
    let mut states = Vec::with_capacity(relations.len());
    for chunk in relations.chunks(UNION_MAX) {
        let parts: Vec<String> = chunk
            .iter()
            .enumerate()
            .map(|(position, relation)| {
                format!(
                    "SELECT {position} AS position, last_value, is_called FROM {}",
                    relation.quoted()
                )
            })
            .collect();
        let sql = format!("{} ORDER BY position", parts.join(" UNION ALL "));
        let rows = session.query("read sequences", &sql, &[]).await?;
        states.extend(chunk.iter().zip(rows).map(|(relation, row)| SequenceState {
            relation: relation.clone(),
            last_value: row.get("last_value"),
            is_called: row.get("is_called"),
        }));
    }
    Ok(states)
}

/// Sets sequences to what was read on the source.
pub(crate) async fn set_sequences(target: &Session, states: &[SequenceState]) -> Result<(), Error> {
    for chunk in states.chunks(UNION_MAX) {
        let calls: Vec<String> = chunk
            .iter()
            .map(|state| {
                let name = quote_literal(&state.relation.quoted());
                format!(
                    "pg_catalog.setval({name}, {}, {})",
                    state.last_value, state.is_called
                )
            })
            .collect();
        target
            .query("set sequences", &format!("SELECT {}", calls.join(", ")), &[])
            .await?;
    }
    Ok(())
}

/// OIDs of foreign keys that reference tables outside of the unit.
pub(crate) async fn leaving_foreign_keys(
    session: &Session,
    schemas: &[SchemaName],
) -> Result<BTreeSet<u32>, Error> {
    let sql = include_str!("sql/leaving_foreign_keys.sql");
    let rows = session
        .query("list foreign keys that leave the unit", sql, &[&names(schemas)])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Collects statistics, table by table. Partitioned roots and inheritance parents get those of their whole tree,
/// which autovacuum never collects; a root's partitions are analyzed with it.
pub(crate) async fn analyze(target: &Session, schemas: &[SchemaName], done: impl Fn()) -> Result<(), Error> {
    let sql = include_str!("sql/analyzable.sql");
    let rows = target
        .query("list tables to analyze", sql, &[&names(schemas)])
        .await?;
    for row in rows {
        let relation = Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        };
        let name = relation.quoted();
        target
            .batch(&format!("analyze {name}"), &format!("ANALYZE {name}"))
            .await?;
        done();
    }
    Ok(())
}
