//! Rows and their values: how many a table has, and a hash over all of them that knows no order.
//!
//! Each row is hashed over its columns in the order of their names, each value as its text; a table's hash is the sum over
//! its rows. So it is one on both sides however rows lie and columns stand, servers compute it, each large table with
//! its own parallel workers, and what partitions hold adds up to what their root holds.

use std::collections::BTreeMap;
use std::fmt;

use crate::catalogue::Relation;
use crate::config::Schemas;
use crate::error::Error;
use crate::progress::Progress;
use crate::server::quoting::quote_ident;
use crate::server::session::{self, Session};

/// Tables of up to so many bytes are read together, up to so many of them.
const SMALL_BYTES: u64 = 4 << 20;
const GROUP_MAX: usize = 50;
/// Columns hashed in one expression: the server's parser goes one call deeper for each, and each has a bit of the first seed.
const CHAIN_MAX: usize = 60;

/// How a table is hashed.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) relation: Relation,
    /// The partitioned root that it is a leaf of, if that belongs to the unit.
    pub(crate) root: Option<Relation>,
    /// A root has no rows but those of its leaves.
    partitioned: bool,
    size_bytes: u64,
    /// In the order of their names.
    pub(crate) columns: Vec<String>,
    /// The text of each column's value, as SQL.
    expressions: Vec<String>,
    /// The expression of each column that a server computes by itself.
    pub(crate) generated: Vec<Option<String>>,
    /// A column that it is computed from.
    pub(crate) reads: Vec<Option<String>>,
    /// Columns that tell one row from another; empty if nothing does.
    pub(crate) key: Vec<String>,
    /// Whether the other side has another encoding: what is hashed are the server's own bytes.
    converted: bool,
}

/// How many rows, and the sum of their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    pub(crate) hash: i128,
}

impl Shape {
    /// What it is compared as: itself, or the root, because a row need not be in the same leaf on another server.
    pub(crate) fn whole(&self) -> &Relation {
        self.root.as_ref().unwrap_or(&self.relation)
    }

    /// What a SELECT reads its rows from, and those of no child.
    pub(crate) fn from(&self) -> String {
        let only = if self.partitioned { "" } else { "ONLY " };
        format!("{only}{}", self.relation.quoted())
    }

    /// The same with another's key.
    pub(crate) fn keyed_as(&self, other: &Self) -> Self {
        Self {
            key: other.key.clone(),
            ..self.clone()
        }
    }

    /// SQL for the hash of a whole row.
    pub(crate) fn row_hash(&self) -> String {
        chain(&self.values().collect::<Vec<_>>(), self.converted)
    }

    /// SQL for the hash of each column's value.
    pub(crate) fn column_hashes(&self) -> impl Iterator<Item = String> {
        self.values().map(|value| chain(&[value], self.converted))
    }

    /// SQL for the text of each of the key's values.
    pub(crate) fn key_texts(&self) -> Vec<String> {
        self.of_the_key().map(|(_, text)| text.clone()).collect()
    }

    /// SQL for the hash of the key.
    pub(crate) fn key_hash(&self) -> String {
        chain(&self.of_the_key().collect::<Vec<_>>(), self.converted)
    }

    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        self.columns.iter().zip(&self.expressions)
    }

    fn of_the_key(&self) -> impl Iterator<Item = Value<'_>> {
        self.key
            .iter()
            .filter_map(|name| self.values().find(|(column, _)| *column == name))
    }
}

/// A column, and its text as SQL.
type Value<'a> = (&'a String, &'a String);

/// SQL for one hash over texts, each seeded with that of the one before, and the first with which of the values are NULL: no
/// text stands for that.
fn chain(values: &[Value<'_>], converted: bool) -> String {
    let hash = |text: &str, seed: &str| {
        let text = if converted {
            format!("pg_catalog.encode(pg_catalog.convert_to({text}, 'UTF8'), 'escape')")
        } else {
            text.to_owned()
        };
        format!("pg_catalog.hashtextextended(coalesce({text}, '') COLLATE pg_catalog.\"C\", {seed})")
    };
    let chained: Vec<String> = values
        .chunks(CHAIN_MAX)
        .map(|chunk| {
            let seed = nulls(chunk);
            chunk.iter().fold(seed, |seed, (_, text)| hash(text, &seed))
        })
        .collect();
    match chained.as_slice() {
        [] => "0".to_owned(),
        [one] => one.clone(),
        several => hash(&format!("pg_catalog.concat_ws(' ', {})", several.join(", ")), "0"),
    }
}

/// SQL for a number with one bit for each value that is NULL; a row of NULLs is none.
fn nulls(values: &[Value<'_>]) -> String {
    let bits = values.iter().enumerate().map(|(number, (column, _))| {
        let (column, bit) = (quote_ident(column), 1_u64 << number);
        format!("CASE WHEN {column} IS DISTINCT FROM NULL THEN 0 ELSE {bit} END::pg_catalog.int8")
    });
    bits.collect::<Vec<_>>().join(" OPERATOR(pg_catalog.+) ")
}

/// The tables of some schemas, largest first, roots among them; to be compared with those of a server of the other
/// encoding.
pub(crate) async fn shapes(
    session: &Session,
    schemas: &Schemas,
    other_encoding: &str,
) -> Result<Vec<Shape>, Error> {
    let converted = session.encoding != other_encoding;
    let sql = include_str!("sql/shapes.sql");
    let rows = session
        .query("list columns to compare", sql, &[&schemas.names()])
        .await?;
    let shape = |row: &tokio_postgres::Row| Shape {
        relation: Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        },
        root: row
            .get::<_, Option<String>>("root_schema")
            .map(|schema| Relation {
                schema,
                name: row.get("root_name"),
            }),
        partitioned: row.get("partitioned"),
        size_bytes: u64::try_from(row.get::<_, i64>("size_bytes")).unwrap_or(0),
        columns: row.get("columns"),
        expressions: row.get("expressions"),
        generated: row.get("generated"),
        reads: row.get("reads"),
        key: row.get("key"),
        converted,
    };
    Ok(rows.iter().map(shape).collect())
}

/// Counts and, with `hashed`, hashes what each table holds, with every session that is given; each statement that ends is
/// progress. Leaves are added up under their root.
pub(crate) async fn sums(
    sessions: &[&Session],
    shapes: &[Shape],
    hashed: bool,
    progress: &Progress,
) -> Result<BTreeMap<Relation, Sum>, Error> {
    let tables = shapes.iter().filter(|shape| !shape.partitioned);
    let (large, small): (Vec<_>, Vec<_>) = tables.partition(|shape| shape.size_bytes > SMALL_BYTES);
    let mut groups: Vec<Vec<&Shape>> = large.into_iter().map(|shape| vec![shape]).collect();
    groups.extend(small.chunks(GROUP_MAX).map(<[_]>::to_vec));
    let read = session::share_out(sessions, groups, async |session, group| {
        let sums = of_group(session, &group, hashed).await?;
        progress.step();
        Ok(group.into_iter().zip(sums).collect::<Vec<_>>())
    })
    .await?;
    let mut wholes: BTreeMap<Relation, Sum> = BTreeMap::new();
    for (shape, sum) in read.into_iter().flatten() {
        let whole = wholes.entry(shape.whole().clone()).or_default();
        whole.rows += sum.rows;
        whole.hash = whole.hash.wrapping_add(sum.hash);
    }
    Ok(wholes)
}

async fn of_group(session: &Session, group: &[&Shape], hashed: bool) -> Result<Vec<Sum>, Error> {
    let parts: Vec<String> = group
        .iter()
        .enumerate()
        .map(|(index, shape)| {
            let hash = if hashed { shape.row_hash() } else { "0".to_owned() };
            format!(
                "SELECT {index} AS index, pg_catalog.count(*) AS rows, \
                 pg_catalog.concat(coalesce(pg_catalog.sum({hash}::bigint), 0)) AS hash FROM {}",
                shape.from()
            )
        })
        .collect();
    let first = group.first().map(|shape| shape.relation.quoted());
    let action = format!("read the rows of {}", first.unwrap_or_default());
    let sql = format!("{} ORDER BY index", parts.join(" UNION ALL "));
    let rows = session.query(&action, &sql, &[]).await?;
    rows.iter()
        .map(|row| {
            Ok(Sum {
                rows: u64::try_from(row.get::<_, i64>("rows")).unwrap_or(0),
                hash: number(row.get("hash"))?,
            })
        })
        .collect()
}

/// A sum of hashes, which no integer type of the server holds.
pub(crate) fn number(text: &str) -> Result<i128, Error> {
    text.parse()
        .map_err(|error| Error::Internal(format!("the sum of hashes {text} is not readable: {error}")))
}

/// A table, or a root with its leaves, that is not the same on both sides.
#[derive(Debug)]
pub(crate) struct Differing {
    pub(crate) whole: Relation,
    pub(crate) source: Sum,
    pub(crate) target: Sum,
}

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, source, target) = (self.whole.quoted(), self.source.rows, self.target.rows);
        if source == target {
            write!(f, "{name} holds other values on the target")
        } else {
            write!(
                f,
                "{name} has {source} rows on the source and {target} on the target"
            )
        }
    }
}

/// What differs among the tables that both sides have; one that is missing is an object's matter.
pub(crate) fn differing(
    source: &BTreeMap<Relation, Sum>,
    target: &BTreeMap<Relation, Sum>,
) -> Vec<Differing> {
    let both = source.iter().filter_map(|(whole, expected)| {
        let found = target.get(whole)?;
        (found != expected).then(|| Differing {
            whole: whole.clone(),
            source: *expected,
            target: *found,
        })
    });
    both.collect()
}

/// The tables that are compared as this one.
pub(crate) fn tables_of(shapes: &[Shape], whole: &Relation) -> Vec<Relation> {
    let tables = shapes
        .iter()
        .filter(|shape| !shape.partitioned && shape.whole() == whole);
    tables.map(|shape| shape.relation.clone()).collect()
}

#[cfg(test)]
impl Shape {
    pub(crate) fn of_test(columns: &[&str], key: &[&str]) -> Self {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            relation: Relation {
                schema: "s".to_owned(),
                name: "t".to_owned(),
            },
            root: None,
            partitioned: false,
            size_bytes: 0,
            columns: texts(columns),
            expressions: texts(columns),
            generated: vec![None; columns.len()],
            reads: vec![None; columns.len()],
            key: texts(key),
            converted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_seeded_with_the_one_before() {
        let columns: Vec<String> = (0..250).map(|number| format!("c{number}")).collect();
        let values: Vec<Value<'_>> = columns.iter().map(|column| (column, column)).collect();
        assert_eq!(chain(&[], false), "0");
        assert_eq!(
            chain(&values[..2], false),
            "pg_catalog.hashtextextended(coalesce(c1, '') COLLATE pg_catalog.\"C\", \
             pg_catalog.hashtextextended(coalesce(c0, '') COLLATE pg_catalog.\"C\", \
             CASE WHEN \"c0\" IS DISTINCT FROM NULL THEN 0 ELSE 1 END::pg_catalog.int8 OPERATOR(pg_catalog.+) \
             CASE WHEN \"c1\" IS DISTINCT FROM NULL THEN 0 ELSE 2 END::pg_catalog.int8))"
        );
        assert_eq!(chain(&values, false).matches("concat_ws(' ', ").count(), 1);
    }
}
