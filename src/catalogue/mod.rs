//! What a server holds, on either side: tables and sequences, what has data of its own, and how it is counted.

pub(crate) mod activity;
pub(crate) mod code;
pub(crate) mod deparsed;
pub(crate) mod memory;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::config::Schemas;
use crate::error::{Error, Refused};
use crate::server::quoting::{quote_ident, quote_literal};
use crate::server::session::Session;

/// Statements are cut after this many tables or sequences: a UNION of more is slow to plan.
const UNION_MAX: usize = 100;

/// The word by which statements name a kind of object that `pg_identify_object` has named.
pub(crate) fn statement_word(kind: &str) -> String {
    match kind {
        "function" | "procedure" | "aggregate" => "ROUTINE".to_owned(),
        "statistics object" => "STATISTICS".to_owned(),
        "composite type" | "multirange" => "TYPE".to_owned(),
        other => other.to_uppercase(),
    }
}

/// The OID of a schema, if there is one of that name.
pub(crate) async fn schema_oid(session: &Session, schema: &str) -> Result<Option<u32>, Error> {
    let sql = "SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1";
    let rows = session.query("look at the schema", sql, &[&schema]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Refuses where one of the schemas is not there.
pub(crate) async fn refuse_missing(session: &Session, schemas: &Schemas) -> Result<(), Error> {
    for schema in schemas {
        if schema_oid(session, schema.as_str()).await?.is_none() {
            return Err(Error::Refused(Refused::config(
                session.side(),
                format!("schema \"{schema}\" does not exist"),
                "",
            )));
        }
    }
    Ok(())
}

/// The names of all schemas of users, and of those that are listed, as far as they are there. Refuses a database that has none.
pub(crate) async fn schemas(session: &Session, listed: &Schemas) -> Result<Vec<String>, Error> {
    let sql = include_str!("sql/schemas.sql");
    let rows = session.query("list schemas", sql, &[&listed.names()]).await?;
    if rows.is_empty() && listed.is_empty() {
        let reason = "the database has no schema to move";
        let refused = Refused::config(session.side(), reason, "correct SOURCE_DBNAME");
        return Err(Error::Refused(refused));
    }
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Whether a server can compress values with lz4.
pub(crate) async fn has_lz4(session: &Session) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_settings \
               WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals))";
    Ok(session.query_one("ask for lz4", sql, &[]).await?.get(0))
}

/// A relation by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// OID on the source.
    pub(crate) oid: u32,
    pub(crate) relation: Relation,
    /// Heap and TOAST on the source, in bytes.
    pub(crate) size_bytes: u64,
    /// What its indexes cost on the target, as bytes of a B-tree that is built.
    pub(crate) build_bytes: u64,
    /// The partitioned root that it is a leaf of.
    pub(crate) root: Option<Relation>,
    /// Whether a row may belong to another leaf on the target, so that rows can only be given to the root.
    pub(crate) by_root: bool,
}

impl Table {
    /// The table that its rows are given to on the target.
    pub(crate) fn destination(&self) -> &Relation {
        match &self.root {
            Some(root) if self.by_root => root,
            Some(_) | None => &self.relation,
        }
    }
}

/// How the rows of a table may travel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Format {
    /// Columns that are not generated, in the source's order.
    pub(crate) columns: Vec<String>,
    /// The type that keeps the table from travelling in binary form.
    pub(crate) unsafe_type: Option<String>,
    /// Settings that reading the rows depends on.
    pub(crate) pins: Vec<String>,
    /// Rows lie in an order that someone counts on: a BRIN index, a CLUSTER mark.
    pub(crate) ordered: bool,
    /// An index reads a column whose values can be compressed.
    pub(crate) indexes_values: bool,
    /// The file that holds the heap (`pg_relation_filenode`): another one, and rows may have other identifiers.
    pub(crate) filenode: u32,
    /// Blocks of the heap.
    pub(crate) pages: u32,
    /// About how many rows a block holds, 1 to 291.
    pub(crate) rows_per_page: u32,
}

/// A row identifier (`ctid`): the number of a block, and that of a row in it.
pub(crate) type Tid = (u32, u32);

/// Row identifiers from one up to, not including, another; without a bound the range is open-ended.
pub(crate) type TidRange = (Tid, Option<Tid>);

/// SQL that holds for the rows of a range alone.
pub(crate) fn within((from, to): TidRange) -> String {
    let tid = |(block, row): Tid| format!("'({block},{row})'::pg_catalog.tid");
    let from = format!("ctid >= {}", tid(from));
    match to {
        None => from,
        Some(to) => format!("{from} AND ctid < {}", tid(to)),
    }
}

/// A key, an exclusion constraint or a foreign key, as the source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Constraint {
    pub(crate) name: String,
    /// OID of its table, and `"schema"."table"` where SQL needs the quotes.
    pub(crate) table: u32,
    pub(crate) table_name: String,
    /// OID of the table that a foreign key references, otherwise 0.
    pub(crate) references: u32,
    /// `contype`: p, u, x or f.
    pub(crate) kind: char,
    pub(crate) validated: bool,
    /// When a key is checked, as the end of its clause; empty for at once.
    pub(crate) timing: String,
    /// Whether its table, or the one that it references, is partitioned.
    pub(crate) partitioned: bool,
    /// The statement that creates the index of a key, where the key can be made of that.
    pub(crate) create_index: Option<String>,
}

/// A foreign key that leaves its unit, as the source has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForeignKey {
    pub(crate) table: Relation,
    pub(crate) name: String,
    pub(crate) references: Relation,
    pub(crate) validated: bool,
    /// Whether its table, or the one that it references, is partitioned.
    pub(crate) partitioned: bool,
    /// A query for the rows that it does not allow.
    pub(crate) orphans: String,
}

/// What a materialized view reads, itself among it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    /// OIDs of the relations.
    pub(crate) relations: Vec<u32>,
    /// OIDs of the rules that hold the queries of those that are views.
    pub(crate) rules: Vec<u32>,
}

/// What the archive does not say of its entries, by the OIDs that it does say.
#[derive(Debug, Clone, Default)]
pub(crate) struct PostData {
    pub(crate) constraints: HashMap<u32, Constraint>,
    /// The table of each index.
    pub(crate) indexes: HashMap<u32, u32>,
    /// Indexes, and constraints with an index, that may read other tables than their own while they are built.
    pub(crate) all_rows: HashSet<u32>,
    /// What materialized views read that call no functions of the user's own.
    pub(crate) matviews: HashMap<u32, Reads>,
    /// Heap and TOAST of each table, in bytes.
    pub(crate) sizes: HashMap<u32, u64>,
}

/// What ANALYZE is run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Analyzable {
    /// As ANALYZE wants it, quoted, with ONLY where it must not look below.
    pub(crate) name: String,
    /// OIDs on the source of it and of everything below it.
    pub(crate) below: Vec<u32>,
    /// Heaps of all these on the source, in bytes.
    pub(crate) bytes: u64,
    /// It hangs on more than tables and their indexes.
    pub(crate) last: bool,
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

    /// As FROM names it.
    pub(crate) fn sql(&self) -> String {
        match self {
            Self::Only(relation) => format!("ONLY {}", relation.quoted()),
            Self::Root(relation) => relation.quoted(),
        }
    }
}

/// Where a sequence stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SequenceState {
    pub(crate) relation: Relation,
    pub(crate) last_value: i64,
    pub(crate) is_called: bool,
}

impl SequenceState {
    /// Where it stands, in words.
    pub(crate) fn position(&self) -> String {
        let called = if self.is_called { "" } else { ", not called" };
        format!("{}{called}", self.last_value)
    }
}

/// What the rows of each table are counted under: itself, or its partitioned root with all its leaves where one of them
/// can't be compared alone. `rooted`: indexes of tables whose rows were given to their root after all.
pub(crate) fn units(tables: &[Table], rooted: &BTreeSet<usize>) -> Vec<Counted> {
    let whole: BTreeSet<&Relation> = tables
        .iter()
        .enumerate()
        .filter(|(index, table)| table.by_root || rooted.contains(index))
        .filter_map(|(_, table)| table.root.as_ref())
        .collect();
    let unit = |table: &Table| match &table.root {
        Some(root) if whole.contains(root) => Counted::Root(root.clone()),
        Some(_) | None => Counted::Only(table.relation.clone()),
    };
    tables.iter().map(unit).collect()
}

/// Tables with rows of their own, largest first.
pub(crate) async fn tables(session: &Session, schemas: &Schemas) -> Result<Vec<Table>, Error> {
    let rows = session
        .query("list tables", include_str!("sql/tables.sql"), &[&schemas.names()])
        .await?;
    let table = |row: &tokio_postgres::Row| Table {
        oid: row.get("oid"),
        relation: Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        },
        size_bytes: u64::try_from(row.get::<_, i64>("size_bytes")).unwrap_or(0),
        build_bytes: u64::try_from(row.get::<_, i64>("build_bytes")).unwrap_or(0),
        root: row
            .get::<_, Option<String>>("root_schema")
            .map(|schema| Relation {
                schema,
                name: row.get("root_name"),
            }),
        by_root: row.get("by_root"),
    };
    Ok(rows.iter().map(table).collect())
}

/// How the rows of each table may travel to a target of that major, by OID. `extensions` have the same version on
/// both sides.
pub(crate) async fn formats(
    session: &Session,
    schemas: &Schemas,
    target_major: u32,
    extensions: &[String],
) -> Result<HashMap<u32, Format>, Error> {
    let target_major = i32::try_from(target_major).unwrap_or(i32::MAX);
    let sql = include_str!("sql/formats.sql");
    let rows = session
        .query(
            "list columns",
            sql,
            &[&schemas.names(), &target_major, &extensions],
        )
        .await?;
    let format = |row: &tokio_postgres::Row| {
        let format = Format {
            columns: row.get("columns"),
            unsafe_type: row.get("unsafe"),
            pins: row.get("pins"),
            ordered: row.get("ordered"),
            indexes_values: row.get("indexes_values"),
            filenode: row.get("filenode"),
            pages: u32::try_from(row.get::<_, i64>("pages")).unwrap_or(u32::MAX),
            rows_per_page: u32::try_from(row.get::<_, i32>("rows_per_page")).unwrap_or(1),
        };
        (row.get("oid"), format)
    };
    Ok(rows.iter().map(format).collect())
}

/// What is known of indexes and constraints beside the archive.
pub(crate) async fn post_data(
    session: &Session,
    schemas: &Schemas,
    tables: &[Table],
    target_major: u32,
) -> Result<PostData, Error> {
    let names = schemas.names();
    let target_major = i32::try_from(target_major).unwrap_or(i32::MAX);
    let sql = include_str!("sql/constraints.sql");
    let constraints = session
        .query("list constraints", sql, &[&names, &target_major])
        .await?;
    let sql = include_str!("sql/indexes.sql");
    let indexes = session.query("list indexes", sql, &[&names]).await?;
    let sql = include_str!("sql/matviews.sql");
    let matviews = session
        .query("list what materialized views read", sql, &[&names])
        .await?;
    let constraint = |row: &tokio_postgres::Row| {
        let constraint = Constraint {
            name: row.get("name"),
            table: row.get("table"),
            table_name: row.get("table_name"),
            references: row.get("references"),
            kind: row.get::<_, &str>("kind").chars().next().unwrap_or_default(),
            validated: row.get("validated"),
            timing: row.get("timing"),
            partitioned: row.get("partitioned"),
            create_index: row.get("create_index"),
        };
        (row.get("oid"), constraint)
    };
    Ok(PostData {
        constraints: constraints.iter().map(constraint).collect(),
        indexes: indexes
            .iter()
            .map(|row| (row.get("oid"), row.get("table")))
            .collect(),
        all_rows: indexes
            .iter()
            .filter(|row| row.get("all_rows"))
            .flat_map(|row| [Some(row.get("oid")), row.get("constraint")])
            .flatten()
            .collect(),
        matviews: matviews
            .iter()
            .map(|row| {
                let reads = Reads {
                    relations: row.get("reads"),
                    rules: row.get("rules"),
                };
                (row.get("oid"), reads)
            })
            .collect(),
        sizes: tables.iter().map(|table| (table.oid, table.size_bytes)).collect(),
    })
}

/// Checks of tables that are validated although the parent's is not, by name.
pub(crate) async fn validated_alone(
    session: &Session,
    schemas: &Schemas,
) -> Result<Vec<(Relation, String)>, Error> {
    let sql = include_str!("sql/validated_alone.sql");
    let rows = session
        .query("list validated constraints", sql, &[&schemas.names()])
        .await?;
    let check = |row: &tokio_postgres::Row| {
        let relation = Relation {
            schema: row.get("schema"),
            name: row.get("table"),
        };
        (relation, row.get("name"))
    };
    Ok(rows.iter().map(check).collect())
}

/// Schemas of the operators outside of pg_catalog that objects use, by catalogue and OID.
pub(crate) async fn operators(session: &Session) -> Result<HashMap<(u32, u32), Vec<String>>, Error> {
    let sql = include_str!("sql/operators.sql");
    let rows = session.query("list operators", sql, &[]).await?;
    Ok(rows
        .iter()
        .map(|row| ((row.get("class"), row.get("oid")), row.get("schemas")))
        .collect())
}

/// Tables and sequences whose rows extensions hand to pg_dump, their names in quotes.
pub(crate) async fn configuration_tables(session: &Session) -> Result<Vec<String>, Error> {
    let sql = "SELECT n.nspname AS schema, c.relname AS name \
               FROM pg_catalog.pg_extension e \
               JOIN pg_catalog.pg_class c ON c.oid = ANY (e.extconfig) \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
    let rows = session.query("list tables of extensions", sql, &[]).await?;
    let relation = |row: &tokio_postgres::Row| Relation {
        schema: row.get("schema"),
        name: row.get("name"),
    };
    Ok(rows.iter().map(|row| relation(row).quoted()).collect())
}

/// Extensions with their versions.
pub(crate) async fn extensions(session: &Session) -> Result<BTreeSet<(String, String)>, Error> {
    let sql = "SELECT extname::text, extversion FROM pg_catalog.pg_extension";
    let rows = session.query("list extensions", sql, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// An exact row count. One statement a table: on large tables the counting decides, and each one that ends is
/// progress.
pub(crate) async fn count(session: &Session, unit: &Counted) -> Result<u64, Error> {
    let sql = format!("SELECT pg_catalog.count(*) FROM {}", unit.sql());
    let action = format!("count the rows of {}", unit.relation().quoted());
    let row = session.query_one(&action, &sql, &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// Exact row counts of several units in one statement, in their order.
pub(crate) async fn counts(session: &Session, units: &[&Counted]) -> Result<Vec<u64>, Error> {
    let parts: Vec<String> = units
        .iter()
        .enumerate()
        .map(|(index, unit)| {
            format!(
                "SELECT {index} AS index, pg_catalog.count(*) AS rows FROM {}",
                unit.sql()
            )
        })
        .collect();
    let first = units.first().map(|unit| unit.relation().quoted());
    let action = format!("count the rows of {}", first.unwrap_or_default());
    let sql = format!("{} ORDER BY index", parts.join(" UNION ALL "));
    let rows = session.query(&action, &sql, &[]).await?;
    let count = |row: &tokio_postgres::Row| u64::try_from(row.get::<_, i64>("rows")).unwrap_or(0);
    Ok(rows.iter().map(count).collect())
}

/// The state of every sequence. Sequences obey no snapshot: the answer is of this moment.
pub(crate) async fn sequences(session: &Session, schemas: &Schemas) -> Result<Vec<SequenceState>, Error> {
    let rows = session
        .query(
            "list sequences",
            include_str!("sql/sequences.sql"),
            &[&schemas.names()],
        )
        .await?;
    let relations: Vec<Relation> = rows
        .iter()
        .map(|row| Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        })
        .collect();
    sequence_states(session, &relations).await
}

/// The state of some sequences, in their order.
async fn sequence_states(session: &Session, relations: &[Relation]) -> Result<Vec<SequenceState>, Error> {
    let states = try_join_all(relations.chunks(UNION_MAX).map(async |chunk| {
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
        let states = chunk.iter().zip(rows).map(|(relation, row)| SequenceState {
            relation: relation.clone(),
            last_value: row.get("last_value"),
            is_called: row.get("is_called"),
        });
        Ok::<Vec<_>, Error>(states.collect())
    }))
    .await?;
    Ok(states.concat())
}

/// Sets sequences to what was read on the source.
pub(crate) async fn set_sequences(target: &Session, states: &[SequenceState]) -> Result<(), Error> {
    try_join_all(states.chunks(UNION_MAX).map(async |chunk| {
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
        let sql = format!("SELECT {}", calls.join(", "));
        target.query("set sequences", &sql, &[]).await
    }))
    .await
    .map(|_| ())
}

/// What statistics are collected of on a target of that major, by what the source holds, largest first; and what not,
/// because foreign tables lie below it: their servers are not asked for anything.
pub(crate) async fn analyzable(
    source: &Session,
    schemas: &Schemas,
    target_major: u32,
) -> Result<(Vec<Analyzable>, Vec<String>), Error> {
    let sql = include_str!("sql/analyzable.sql");
    let knows_only = target_major >= 18;
    let rows = source
        .query("list tables to analyze", sql, &[&schemas.names(), &knows_only])
        .await?;
    let analyzable = |row: &tokio_postgres::Row| {
        let relation = Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        };
        let only = if row.get("only") { "ONLY " } else { "" };
        Analyzable {
            name: format!("{only}{}", relation.quoted()),
            below: row.get("below"),
            bytes: u64::try_from(row.get::<_, i64>("bytes")).unwrap_or(0),
            last: row.get("last"),
        }
    };
    let (skipped, rows): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.get("skipped"));
    let skipped = skipped.into_iter().map(analyzable);
    let skipped = skipped.map(|one| format!("statistics of {}: foreign tables lie below it", one.name));
    Ok((rows.into_iter().map(analyzable).collect(), skipped.collect()))
}

/// Foreign keys that reference tables outside of the unit, by their OIDs.
pub(crate) async fn leaving_foreign_keys(
    session: &Session,
    schemas: &Schemas,
) -> Result<BTreeMap<u32, ForeignKey>, Error> {
    let sql = include_str!("sql/leaving_foreign_keys.sql");
    let rows = session
        .query("list foreign keys that leave the unit", sql, &[&schemas.names()])
        .await?;
    let foreign_key = |row: &tokio_postgres::Row| {
        let foreign_key = ForeignKey {
            table: Relation {
                schema: row.get("schema"),
                name: row.get("table"),
            },
            name: row.get("name"),
            references: Relation {
                schema: row.get("referenced_schema"),
                name: row.get("referenced_table"),
            },
            validated: row.get("validated"),
            partitioned: row.get("partitioned"),
            orphans: row.get("orphans"),
        };
        (row.get("oid"), foreign_key)
    };
    Ok(rows.iter().map(foreign_key).collect())
}

/// A text that is another one after every change of a definition in the schemas.
pub(crate) async fn fingerprint(session: &Session, schemas: &Schemas) -> Result<String, Error> {
    let sql = include_str!("sql/fingerprint.sql");
    let row = session
        .query_one("look at the definitions", sql, &[&schemas.names()])
        .await?;
    Ok(row.get(0))
}
