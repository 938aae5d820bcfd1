//! Counting rows by when they were written: a scan of heaps, without their TOAST, and nothing travels.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use crate::baseline::Rows;
use crate::catalogue::Table;
use crate::error::Error;
use crate::progress::Progress;
use crate::server::session::{self, Session};

/// Tables of up to so many bytes are scanned together, up to so many of them.
const SMALL_BYTES: u64 = 1 << 20;
const GROUP_MAX: usize = 50;
/// What one session scans of a larger table at a time, in blocks of 8 KiB: 128 MiB.
const RANGE_BLOCKS: u64 = 16 << 10;
/// The first release that reads a range of blocks without reading those before it.
const RANGES_SINCE: u32 = 14;

/// The rows of each table by its OID, counted by every session that is given; each count that ends is progress. Each
/// comes with SQL that tells of a row whether it is an old one.
pub(crate) async fn rows(
    sessions: &[&Session],
    tables: &[(&Table, String)],
    progress: &Progress,
) -> Result<BTreeMap<u32, Rows>, Error> {
    let Some(first) = sessions.first() else {
        return Err(Error::Internal("no session is there to scan".to_owned()));
    };
    let blocks = heaps(first, tables.iter().map(|(table, _)| table.oid).collect()).await?;
    // What has no blocks has no rows; an unlogged table has none on a standby, where reading it is an error.
    let filled = tables
        .iter()
        .filter(|(table, _)| blocks.get(&table.oid) != Some(&0));
    let (small, large): (Vec<_>, Vec<_>) = filled.partition(|(table, _)| table.size_bytes <= SMALL_BYTES);
    let mut groups: Vec<Vec<Part<'_>>> = Vec::new();
    for (table, is_old) in large {
        let blocks = blocks
            .get(&table.oid)
            .copied()
            .filter(|_| first.major() >= RANGES_SINCE);
        let ranges = ranges(blocks.unwrap_or(0));
        groups.extend(ranges.map(|range| vec![Part { table, is_old, range }]));
    }
    for group in small.chunks(GROUP_MAX) {
        let whole = group.iter().map(|(table, is_old)| Part {
            table,
            is_old,
            range: Range::default(),
        });
        groups.push(whole.collect());
    }
    let counted = session::share_out(sessions, groups, async |session, parts| {
        let counted = count(session, &parts).await?;
        progress.step();
        let oids = parts.iter().map(|part| part.table.oid);
        Ok(oids.zip(counted).collect::<Vec<(u32, Rows)>>())
    })
    .await?;
    let none = tables.iter().map(|(table, _)| (table.oid, Rows::default()));
    let mut sums: BTreeMap<u32, Rows> = none.collect();
    for (oid, rows) in counted.concat() {
        let sum = sums.entry(oid).or_default();
        *sum = sum.and(rows);
    }
    Ok(sums)
}

/// Blocks of the heaps of some tables.
async fn heaps(session: &Session, oids: Vec<u32>) -> Result<BTreeMap<u32, u64>, Error> {
    let sql = "SELECT t.oid, pg_catalog.pg_relation_size(t.oid) / pg_catalog.current_setting('block_size')::bigint AS blocks \
               FROM pg_catalog.unnest($1::oid[]) AS t (oid)";
    let rows = session.query("ask how large heaps are", sql, &[&oids]).await?;
    let blocks = |row: &Row| {
        row.get::<_, Option<i64>>("blocks")
            .and_then(|blocks| u64::try_from(blocks).ok())
    };
    Ok(rows
        .iter()
        .filter_map(|row| Some((row.get("oid"), blocks(row)?)))
        .collect())
}

/// A range of blocks of a table's heap, to be counted.
struct Part<'t> {
    table: &'t Table,
    /// SQL that tells of a row whether it is an old one.
    is_old: &'t str,
    range: Range,
}

/// Blocks from one up to another, which is not among them; without a bound the heap's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Range {
    from: Option<u64>,
    to: Option<u64>,
}

/// Ranges that cut a heap of so many blocks; the last one has no end, because the heap may have grown since.
fn ranges(blocks: u64) -> impl Iterator<Item = Range> {
    let count = blocks.div_ceil(RANGE_BLOCKS).max(1);
    (0..count).map(move |index| Range {
        from: (index > 0).then(|| index * RANGE_BLOCKS),
        to: (index + 1 < count).then(|| (index + 1) * RANGE_BLOCKS),
    })
}

impl Range {
    /// The conditions that hold for its rows alone.
    fn conditions(self) -> impl Iterator<Item = String> {
        let bound = |sign: &str, block: Option<u64>| {
            block.map(|block| format!("ctid {sign} '({block},0)'::pg_catalog.tid"))
        };
        bound(">=", self.from).into_iter().chain(bound("<", self.to))
    }
}

/// Counts some parts, in their order. Of every row it is asked only where the first new one is, and how many there are from there on alone:
/// what is asked of a row costs as much as to read it.
async fn count(session: &Session, parts: &[Part<'_>]) -> Result<Vec<Rows>, Error> {
    const ACTION: &str = "look when rows were written";
    let number = |row: &Row, name| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
    let all = parts.iter().enumerate().map(|(index, part)| part.all(index));
    let mut counted = vec![Rows::default(); parts.len()];
    let rows = session.query(ACTION, &union(all), &[]).await?;
    for (rows, row) in counted.iter_mut().zip(&rows) {
        rows.old = number(row, "all");
        let first: Option<i64> = row.get("first");
        rows.first_block = first.and_then(|block| u32::try_from(block).ok());
    }
    let new: Vec<(usize, String)> = counted
        .iter()
        .zip(parts)
        .enumerate()
        .filter_map(|(index, (rows, part))| Some((index, part.new_from(index, rows.first_block?))))
        .collect();
    if new.is_empty() {
        return Ok(counted);
    }
    let rows = session
        .query(ACTION, &union(new.iter().map(|(_, sql)| sql.clone())), &[])
        .await?;
    for ((index, _), row) in new.iter().zip(&rows) {
        if let Some(rows) = counted.get_mut(*index) {
            rows.new = number(row, "new");
            rows.old = rows.old.saturating_sub(rows.new);
        }
    }
    Ok(counted)
}

/// Numbered questions as one, in their order.
fn union(questions: impl Iterator<Item = String>) -> String {
    format!(
        "{} ORDER BY index",
        questions.collect::<Vec<_>>().join(" UNION ALL ")
    )
}

impl Part<'_> {
    /// Asks how many rows there are, and which block has the first new one.
    fn all(&self, index: usize) -> String {
        format!(
            "SELECT {index} AS index, pg_catalog.count(*) AS all, \
             min((ctid::text::pg_catalog.point)[0]::bigint) FILTER (WHERE NOT ({})) AS first FROM ONLY {}{}",
            self.is_old,
            self.table.relation.quoted(),
            wherever(self.range.conditions())
        )
    }

    /// Asks how many new ones there are, of which the first is in that block.
    fn new_from(&self, index: usize, block: u32) -> String {
        let range = Range {
            from: Some(block.into()),
            ..self.range
        };
        let conditions = range.conditions().chain([format!("NOT ({})", self.is_old)]);
        format!(
            "SELECT {index} AS index, pg_catalog.count(*) AS new FROM ONLY {}{}",
            self.table.relation.quoted(),
            wherever(conditions)
        )
    }
}

fn wherever(conditions: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = conditions.collect();
    if all.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", all.join(" AND "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_no_block_out() {
        let all =
            |blocks| -> Vec<String> { ranges(blocks).map(|range| wherever(range.conditions())).collect() };
        assert_eq!(all(0), [""]);
        assert_eq!(all(RANGE_BLOCKS), [""]);
        assert_eq!(
            all(2 * RANGE_BLOCKS + 1),
            [
                " WHERE ctid < '(16384,0)'::pg_catalog.tid",
                " WHERE ctid >= '(16384,0)'::pg_catalog.tid AND ctid < '(32768,0)'::pg_catalog.tid",
                " WHERE ctid >= '(32768,0)'::pg_catalog.tid"
            ]
        );
    }
}
