//! Which rows of a table differ, found by hashes: keys are the only values that leave the servers.
//!
//! Rows are put into buckets by the hash of their key, which is one on both sides; where they lie is not. Of the first
//! buckets that differ, each row's hashes are read and compared.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;

use crate::error::Error;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;
use crate::verify::Difference;
use crate::verify::values::{self, Differing, Shape};

/// About how many rows a bucket holds.
const BUCKET_ROWS: u64 = 500;
const BUCKETS_MAX: u64 = 65536;
/// Buckets that are looked into.
const OPENED_MAX: usize = 3;
/// Tables that are looked into; the others that differ are only named.
const NARROWED_MAX: usize = 20;
/// Rows that are named, and what a key's text is cut to, in characters.
const NAMED_MAX: usize = 5;
const KEY_MAX: usize = 80;
/// What an expression is cut to, in characters.
const EXPRESSION_MAX: usize = 120;

/// Rows of some buckets by their key's texts: the hash of each column.
type Rows = BTreeMap<Vec<String>, Vec<i64>>;

/// One side: a session, and its tables.
pub(super) type View<'a> = (&'a Session, &'a [Shape]);

/// Says of each table what differs in it, as far as it can be told.
pub(super) async fn tables(
    [source, target]: [View<'_>; 2],
    differing: Vec<Differing>,
) -> Result<Vec<Difference>, Error> {
    let mut differences = Vec::new();
    for (index, one) in differing.into_iter().enumerate() {
        let find = |shapes: &'_ [Shape]| shapes.iter().find(|shape| shape.relation == one.whole).cloned();
        let mut text = one.to_string();
        if let (true, Some(here), Some(there)) = (index < NARROWED_MAX, find(source.1), find(target.1)) {
            let rows = one.source.rows.max(one.target.rows);
            if let Some(narrowed) = narrow([source.0, target.0], [&here, &there], rows).await? {
                text = format!("{text}: {narrowed}");
            }
        }
        differences.push(Difference {
            tables: values::tables_of(source.1, &one.whole),
            text,
        });
    }
    Ok(differences)
}

/// Says what differs in a table of `rows` rows: columns, and keys of a few rows. `None` where that can't be told, because
/// the two tables have other columns.
async fn narrow(
    [source, target]: [&Session; 2],
    [here, there]: [&Shape; 2],
    rows: u64,
) -> Result<Option<String>, Error> {
    if here.columns != there.columns {
        return Ok(None);
    }
    if here.key.is_empty() {
        return without_key([source, target], [here, there]).await.map(Some);
    }
    // What tells rows apart on the source does so on the target too, whatever that has for an index.
    let there = &there.keyed_as(here);
    let buckets = (rows / BUCKET_ROWS).clamp(1, BUCKETS_MAX);
    let (expected, found) = tokio::try_join!(
        in_buckets(source, here, buckets),
        in_buckets(target, there, buckets)
    )?;
    let numbers: BTreeSet<i64> = expected.keys().chain(found.keys()).copied().collect();
    let opened: Vec<i64> = numbers
        .into_iter()
        .filter(|number| expected.get(number) != found.get(number))
        .take(OPENED_MAX)
        .collect();
    let (expected, found) = tokio::try_join!(
        open(source, here, buckets, &opened),
        open(target, there, buckets, &opened)
    )?;
    Ok(tell(here, &expected, &found))
}

/// SQL for the number of a row's bucket.
fn bucket(shape: &Shape, buckets: u64) -> String {
    format!("({} & 9223372036854775807) % {buckets}", shape.key_hash())
}

/// The sum of the hashes of each bucket that is not empty.
async fn in_buckets(session: &Session, shape: &Shape, buckets: u64) -> Result<BTreeMap<i64, i128>, Error> {
    let sql = format!(
        "SELECT {} AS bucket, pg_catalog.concat(pg_catalog.sum({}::bigint)) AS hash FROM {} GROUP BY 1",
        bucket(shape, buckets),
        shape.row_hash(),
        shape.from()
    );
    let action = format!("narrow down {}", shape.relation.quoted());
    let rows = session.query(&action, &sql, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.get("bucket"), values::number(row.get("hash"))?)))
        .collect()
}

/// Every row of some buckets.
async fn open(session: &Session, shape: &Shape, buckets: u64, opened: &[i64]) -> Result<Rows, Error> {
    let columns: Vec<String> = shape.column_hashes().collect();
    let sql = format!(
        "SELECT ARRAY[{}] AS key, ARRAY[{}] AS columns FROM {} WHERE {} = ANY ($1)",
        shape.key_texts().join(", "),
        columns.join(", "),
        shape.from(),
        bucket(shape, buckets)
    );
    let action = format!("narrow down {}", shape.relation.quoted());
    let rows = session.query(&action, &sql, &[&opened]).await?;
    Ok(rows
        .iter()
        .map(|row| (row.get("key"), row.get("columns")))
        .collect())
}

fn tell(shape: &Shape, expected: &Rows, found: &Rows) -> Option<String> {
    let mut columns = BTreeSet::new();
    let (mut changed, mut missing) = (Vec::new(), Vec::new());
    for (key, hashes) in expected {
        match found.get(key) {
            None => missing.push(key),
            Some(others) if others != hashes => {
                let pairs = shape.columns.iter().zip(hashes.iter().zip(others));
                let differing = pairs.filter(|(_, (one, other))| one != other);
                columns.extend(differing.map(|(name, _)| name.as_str()));
                changed.push(key);
            }
            Some(_) => {}
        }
    }
    let extra: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    let mut said = Vec::new();
    if !changed.is_empty() {
        let columns: Vec<&str> = columns.into_iter().collect();
        said.push(format!(
            "column {} differs where {}",
            columns.join(", "),
            named(shape, &changed)
        ));
        said.extend(computed(shape, &columns));
    }
    for (keys, what) in [
        (missing, "is missing on the target"),
        (extra, "exists only on the target"),
    ] {
        if !keys.is_empty() {
            said.push(format!("the row where {} {what}", named(shape, &keys)));
        }
    }
    (!said.is_empty()).then(|| said.join("; "))
}

/// Says of differing columns that the target computes them, if it does, and what helps.
fn computed(shape: &Shape, columns: &[&str]) -> Option<String> {
    let (mut told, mut again) = (Vec::new(), BTreeSet::new());
    for ((name, expression), reads) in shape.columns.iter().zip(&shape.generated).zip(&shape.reads) {
        let Some(expression) = expression.as_ref().filter(|_| columns.contains(&name.as_str())) else {
            continue;
        };
        told.push(format!("{name} as {}", cut(expression, EXPRESSION_MAX)));
        // A server computes again what is set to what it is.
        let column = reads.as_ref().map(|column| quote_ident(column));
        again.extend(column.map(|column| format!("{column} = {column}")));
    }
    if told.is_empty() {
        return None;
    }
    let again: Vec<String> = again.into_iter().collect();
    Some(format!(
        "the target computes column {}, and gets something else now than the source has stored: let the source compute it \
         again (UPDATE {} SET {}), or, if the target's functions are newer, compare with VERIFY=rows",
        told.join(" and "),
        shape.relation.quoted(),
        again.join(", ")
    ))
}

/// A text's beginning.
fn cut(text: &str, characters: usize) -> String {
    let mut cut: String = text.chars().take(characters).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// `id = 1, id = 7 or (a, b) = (1, 2)`
fn named(shape: &Shape, keys: &[&Vec<String>]) -> String {
    let tuple = |parts: Vec<String>| match parts.as_slice() {
        [one] => one.clone(),
        several => format!("({})", several.join(", ")),
    };
    let name = tuple(shape.key.clone());
    let values: Vec<String> = keys
        .iter()
        .take(NAMED_MAX)
        .map(|key| {
            format!(
                "{name} = {}",
                tuple(key.iter().map(|text| cut(text, KEY_MAX)).collect())
            )
        })
        .collect();
    let more = if keys.len() > NAMED_MAX { " or more" } else { "" };
    format!("{}{more}", values.join(" or "))
}

/// Rows that nothing tells apart are compared column by column.
async fn without_key([source, target]: [&Session; 2], [here, there]: [&Shape; 2]) -> Result<String, Error> {
    let sums = async |session: &Session, shape: &Shape| {
        let sums: Vec<String> = shape
            .column_hashes()
            .map(|hash| format!("pg_catalog.concat(coalesce(pg_catalog.sum({hash}), 0))"))
            .collect();
        let sql = format!(
            "SELECT ARRAY[{}]::text[] AS sums FROM {}",
            sums.join(", "),
            shape.from()
        );
        let action = format!("narrow down {}", shape.relation.quoted());
        let row: Row = session.query_one(&action, &sql, &[]).await?;
        Ok::<Vec<String>, Error>(row.get("sums"))
    };
    let (expected, found) = tokio::try_join!(sums(source, here), sums(target, there))?;
    let pairs = here.columns.iter().zip(expected.iter().zip(&found));
    let differing: Vec<&str> = pairs
        .filter(|(_, (one, other))| one != other)
        .map(|(name, _)| name.as_str())
        .collect();
    let what = if differing.is_empty() {
        "values have changed rows".to_owned()
    } else {
        format!("column {} differs", differing.join(", "))
    };
    let mut said = vec![what, "there is no key to name rows by".to_owned()];
    said.extend(computed(here, &differing));
    Ok(said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_by_their_keys_alone() {
        let mut shape = Shape::of_test(&["id", "v"], &["id"]);
        let rows = |rows: &[(&str, i64)]| -> Rows {
            rows.iter()
                .map(|(key, hash)| (vec![(*key).to_owned()], vec![0, *hash]))
                .collect()
        };
        assert_eq!(
            tell(
                &shape,
                &rows(&[("1", 1), ("2", 2), ("3", 3)]),
                &rows(&[("1", 1), ("2", 9), ("4", 4)])
            )
            .unwrap(),
            "column v differs where id = 2; the row where id = 3 is missing on the target; \
             the row where id = 4 exists only on the target"
        );
        assert_eq!(tell(&shape, &rows(&[]), &rows(&[])), None);
        shape.generated = vec![None, Some("s.f(id)".to_owned())];
        shape.reads = vec![None, Some("id".to_owned())];
        assert_eq!(
            tell(&shape, &rows(&[("2", 2)]), &rows(&[("2", 9)])).unwrap(),
            "column v differs where id = 2; the target computes column v as s.f(id), and gets something else now than the \
             source has stored: let the source compute it again (UPDATE \"s\".\"t\" SET \"id\" = \"id\"), or, if the \
             target's functions are newer, compare with VERIFY=rows"
        );
    }
}
