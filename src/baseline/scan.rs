//! Counting rows by when they were written: a scan of heaps, without their TOAST, and nothing travels.

use std::collections::BTreeMap;

use crate::baseline::{Moment, Rows};
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

/// The rows of each table by its OID, counted by every session that is given; each count that ends is progress. Each has
/// the moment that its rows are told apart by.
pub(crate) async fn rows(
    sessions: &[&Session],
    tables: &[(&Table, &Moment)],
    progress: &Progress,
) -> Result<BTreeMap<u32, Rows>, Error> {
    let Some(first) = sessions.first() else {
        return Err(Error::Internal("no session is there to scan".to_owned()));
    };
    let blocks = heaps(first, tables.iter().map(|(table, _)| table.oid).collect()).await?;
    // What has no blocks has no rows; an unlogged table has none on a standby, where reading it is an error.
    let filled = tables
        .iter()
        .copied()
        .filter(|(table, _)| blocks.get(&table.oid) != Some(&0));
    let (small, large): (Vec<_>, Vec<_>) = filled.partition(|(table, _)| table.size_bytes <= SMALL_BYTES);
    let mut statements: Vec<Vec<String>> = Vec::new();
    for (table, moment) in large {
        let blocks = blocks
            .get(&table.oid)
            .copied()
            .filter(|_| first.major() >= RANGES_SINCE);
        statements.extend(ranges(blocks.unwrap_or(0)).map(|range| vec![count(table, moment, &range)]));
    }
    for group in small.chunks(GROUP_MAX) {
        statements.push(
            group
                .iter()
                .map(|(table, moment)| count(table, moment, ""))
                .collect(),
        );
    }
    let counted = session::share_out(sessions, statements, async |session, parts| {
        let rows = session
            .query("look when rows were written", &parts.join(" UNION ALL "), &[])
            .await?;
        progress.step();
        let number =
            |row: &tokio_postgres::Row, name| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
        let counts = rows.iter().map(|row| {
            let new = number(row, "new");
            let rows = Rows {
                old: number(row, "all").saturating_sub(new),
                new,
                first_block: row
                    .get::<_, Option<i64>>("first")
                    .and_then(|block| u32::try_from(block).ok()),
            };
            (row.get("oid"), rows)
        });
        Ok(counts.collect::<Vec<(u32, Rows)>>())
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
    let blocks = |row: &tokio_postgres::Row| {
        row.get::<_, Option<i64>>("blocks")
            .and_then(|blocks| u64::try_from(blocks).ok())
    };
    Ok(rows
        .iter()
        .filter_map(|row| Some((row.get("oid"), blocks(row)?)))
        .collect())
}

/// Conditions that cut a heap of so many blocks; the last range has no end, because the heap may have grown since.
fn ranges(blocks: u64) -> impl Iterator<Item = String> {
    let count = blocks.div_ceil(RANGE_BLOCKS).max(1);
    (0..count).map(move |index| {
        let tid = |index: u64| format!("'({},0)'::pg_catalog.tid", index * RANGE_BLOCKS);
        let from = (index > 0).then(|| format!("ctid >= {}", tid(index)));
        let to = (index + 1 < count).then(|| format!("ctid < {}", tid(index + 1)));
        match (from, to) {
            (None, None) => String::new(),
            (Some(one), None) | (None, Some(one)) => format!(" WHERE {one}"),
            (Some(from), Some(to)) => format!(" WHERE {from} AND {to}"),
        }
    })
}

fn count(table: &Table, moment: &Moment, range: &str) -> String {
    format!(
        "SELECT {}::oid AS oid, pg_catalog.count(*) AS all, pg_catalog.count(*) FILTER (WHERE NOT r.old) AS new, \
         min((r.at::text::pg_catalog.point)[0]::bigint) FILTER (WHERE NOT r.old) AS first \
         FROM (SELECT {} AS old, ctid AS at FROM ONLY {}{range}) AS r",
        table.oid,
        moment.has_row(),
        table.relation.quoted()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_no_block_out() {
        let all = |blocks| ranges(blocks).collect::<Vec<_>>();
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
