//! What the source tells of all its schemas, each question asked once for all of them.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::catalogue;
use crate::config::Schemas;
use crate::error::Error;
use crate::preflight;
use crate::rings::Needs;
use crate::server::parameter::Param;
use crate::server::session::Session;

/// What a schema holds, or several together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holds {
    pub(super) objects: u64,
    pub(super) tables: u64,
    /// As the last ANALYZE has estimated them.
    pub(super) rows: u64,
    /// Tables with something in them that were never analyzed.
    pub(super) unanalyzed: u64,
    /// Bytes.
    pub(super) heap: u64,
    /// Bytes.
    pub(super) toast: u64,
    /// Bytes of indexes and materialized views.
    pub(super) built: u64,
    /// The largest table, and its bytes of heap and TOAST.
    pub(super) largest: Option<(u64, String)>,
}

/// From one schema to another, so many, and one of them.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) count: u64,
    pub(super) example: String,
}

/// All schemas of users.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) schemas: BTreeMap<String, Holds>,
    pub(super) needs: Needs,
    pub(super) foreign_keys: Vec<Link>,
    /// Functions whose bodies name other schemas.
    pub(super) bodies: Vec<Link>,
}

impl Holds {
    fn of(row: &Row) -> Self {
        let number = |name: &str| unsigned(row.get(name));
        let schema: String = row.get("schema");
        let largest = row
            .get::<_, Option<String>>("largest")
            .map(|name| (number("largest_size"), format!("{schema}.{name}")));
        Self {
            objects: number("objects"),
            tables: number("tables"),
            rows: number("rows"),
            unanalyzed: number("unanalyzed"),
            heap: number("heap"),
            toast: number("toast"),
            built: number("built"),
            largest,
        }
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        self.objects += other.objects;
        self.tables += other.tables;
        self.rows += other.rows;
        self.unanalyzed += other.unanalyzed;
        self.heap += other.heap;
        self.toast += other.toast;
        self.built += other.built;
        self.largest = self.largest.max(other.largest.clone());
        self
    }
}

/// Reads it all under one snapshot, so that sizes and needs are of the same schemas. `with_children`: a table is not loaded
/// without its children.
pub(super) async fn read(source: &Session, listed: &Schemas, with_children: bool) -> Result<Source, Error> {
    source
        .batch("begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let names = catalogue::schemas(source, listed).await?;
    let of_schemas: [&dyn Param; 1] = [&names];
    let sql = include_str!("sql/schemas.sql");
    let rows = source.query("look what schemas hold", sql, &of_schemas).await?;
    let schemas: BTreeMap<String, Holds> = rows
        .iter()
        .map(|row| (row.get("schema"), Holds::of(row)))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (references, children, foreign_keys, bodies) = tokio::try_join!(
        preflight::references_by_schema(source, &names),
        source.query("list children", include_str!("sql/children.sql"), &[]),
        source.query("list foreign keys", include_str!("sql/foreign_keys.sql"), &[]),
        source.query("read functions", include_str!("sql/bodies.sql"), &of_schemas)
    )?;
    source.batch("end the transaction", "COMMIT").await?;

    let mut needs = Needs::new();
    let mut add = |from: String, to: String, why: String| {
        needs.entry(from).or_default().entry(to).or_insert(why);
    };
    for (schema, references) in references {
        for (needed, kind, identity) in references.objects {
            add(schema.clone(), needed, format!("{kind} {identity}"));
        }
    }
    for row in children {
        if with_children || row.get("inseparable") {
            let child: String = row.get("example");
            add(
                row.get("parent_schema"),
                row.get("child_schema"),
                format!("its child {child}"),
            );
        }
    }
    let link = |row: &Row, count: &str, example: Option<&str>| Link {
        from: row.get("of_schema"),
        to: row.get("schema"),
        count: unsigned(row.get(count)),
        example: example.map_or_else(String::new, |example| row.get(example)),
    };
    Ok(Source {
        needs,
        foreign_keys: foreign_keys.iter().map(|row| link(row, "keys", None)).collect(),
        bodies: bodies
            .iter()
            .map(|row| link(row, "functions", Some("example")))
            .collect(),
        schemas,
    })
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
