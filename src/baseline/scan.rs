//! Counting rows by when they were written: a scan of heaps, without their TOAST, and nothing travels.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::Row;

use crate::baseline::Rows;
use crate::catalogue::{Table, Tid};
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

/// A new row is listed only where there is at most one to so many blocks from the first of them on: to read one of them by itself costs
/// about as much as so many in their order (`random_page_cost` and `seq_page_cost` as they come).
const BLOCKS_EACH: u64 = 4;
/// Of a row identifier as the server sends it: the number of the block, and that of the row, with its upper byte first.
const TID_BYTES: usize = 6;

/// What was found of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scanned {
    pub(crate) rows: Rows,
    pub(crate) new: Whereabouts,
}

/// Where the new rows of a table are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// Some of them.
    pub(crate) listed: Vec<Tid>,
    /// All others are in this block or behind it, where listed ones may be too.
    pub(crate) first_block: Option<u32>,
}

impl Whereabouts {
    fn and(mut self, mut other: Self) -> Self {
        self.listed.append(&mut other.listed);
        let blocks = [self.first_block, other.first_block];
        self.first_block = blocks.into_iter().flatten().min();
        self
    }
}

/// The rows of each table by its OID, counted by every session that is given; each count that ends is progress. Each
/// comes with SQL that tells of a row whether it is an old one. At most so many new rows are listed.
pub(crate) async fn rows(
    sessions: &[&Session],
    tables: &[(&Table, String)],
    listed_max: usize,
    progress: &Progress,
) -> Result<BTreeMap<u32, Scanned>, Error> {
    let Some(first) = sessions.first() else {
        return Err(Error::Internal("no session is there to scan".to_owned()));
    };
    let blocks = heaps(first, tables.iter().map(|(table, _)| table.oid).collect()).await?;
    let ends = tables.iter().map(|(table, _)| blocks.get(&table.oid).copied());
    // What has no blocks has no rows; an unlogged table has none on a standby, where reading it is an error.
    let filled = tables.iter().zip(ends).filter(|(_, end)| *end != Some(0));
    let parts = filled.map(|((table, is_old), end)| Part {
        table,
        is_old,
        range: Range::default(),
        end: end.unwrap_or(0),
    });
    let (mut small, large): (Vec<_>, Vec<_>) = parts.partition(|part| part.table.size_bytes <= SMALL_BYTES);
    let mut groups: Vec<Vec<Part<'_>>> = Vec::new();
    for part in large {
        let blocks = if first.major() >= RANGES_SINCE {
            part.end
        } else {
            0
        };
        groups.extend(ranges(blocks).map(|range| vec![Part { range, ..part }]));
    }
    while !small.is_empty() {
        groups.push(small.drain(..small.len().min(GROUP_MAX)).collect());
    }
    let left = AtomicUsize::new(listed_max);
    let counted = session::share_out(sessions, groups, async |session, parts| {
        let counted = count(session, &parts, &left).await?;
        progress.step();
        let oids = parts.iter().map(|part| part.table.oid);
        Ok(oids.zip(counted).collect::<Vec<(u32, Scanned)>>())
    })
    .await?;
    let none = tables.iter().map(|(table, _)| (table.oid, Scanned::default()));
    let mut sums: BTreeMap<u32, Scanned> = none.collect();
    for (oid, one) in counted.into_iter().flatten() {
        let sum = sums.entry(oid).or_default();
        sum.rows = sum.rows.and(one.rows);
        sum.new = std::mem::take(&mut sum.new).and(one.new);
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
    /// Blocks of the heap.
    end: u64,
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

/// Counts some parts, in their order, and lists new rows as long as so many more may be.
async fn count(session: &Session, parts: &[Part<'_>], left: &AtomicUsize) -> Result<Vec<Scanned>, Error> {
    let lists = left.load(Ordering::Relaxed) > 0;
    let all: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(index, part)| part.sql(index, lists))
        .collect();
    let sql = include_str!("sql/scan.sql")
        .replace("EACH", &BLOCKS_EACH.to_string())
        .replace("(PARTS)", &format!("({})", all.join(" UNION ALL ")));
    let rows = session.query("look when rows were written", &sql, &[]).await?;
    let number = |row: &Row, name| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
    let scanned = |row: &Row| {
        let (all, new) = (number(row, "all"), number(row, "new"));
        let mut at = Whereabouts {
            listed: tids(row.get::<_, Option<&[u8]>>("listed").unwrap_or_default()).collect(),
            first_block: None,
        };
        let claim = |left: usize| left.checked_sub(at.listed.len());
        let claimed = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim);
        if at.listed.is_empty() || claimed.is_err() {
            at = Whereabouts {
                listed: Vec::new(),
                first_block: u32::try_from(number(row, "first")).ok().filter(|_| new > 0),
            };
        }
        Scanned {
            rows: Rows {
                old: all.saturating_sub(new),
                new,
            },
            new: at,
        }
    };
    Ok(rows.iter().map(scanned).collect())
}

/// Row identifiers as the server sends them.
fn tids(sent: &[u8]) -> impl Iterator<Item = Tid> {
    sent.chunks_exact(TID_BYTES).filter_map(|tid| {
        let (block, row) = tid.split_first_chunk()?;
        let row: [u8; 2] = row.try_into().ok()?;
        Some((u32::from_be_bytes(*block), u16::from_be_bytes(row).into()))
    })
}

impl Part<'_> {
    /// Asks how many rows there are, and which of them are new; of more blocks than a range has, as of a table that the server reads as a
    /// whole, only how many.
    fn sql(&self, index: usize, lists: bool) -> String {
        let until = self.range.to.unwrap_or(self.end);
        let (tids, new) = if until - self.range.from.unwrap_or(0) <= RANGE_BLOCKS {
            let tids = format!(
                "pg_catalog.string_agg(pg_catalog.tidsend(ctid), ''::bytea) FILTER (WHERE NOT ({}))",
                self.is_old
            );
            let new = format!("coalesce(pg_catalog.octet_length({tids}) / {TID_BYTES}, 0)");
            (tids, new)
        } else {
            let new = format!("pg_catalog.count(*) FILTER (WHERE NOT ({}))", self.is_old);
            ("NULL::bytea".to_owned(), new)
        };
        format!(
            "SELECT {index}, {}::bigint, pg_catalog.count(*), {new}::bigint, {tids} FROM ONLY {}{}",
            if lists { until } else { 0 },
            self.table.relation.quoted(),
            wherever(self.range.conditions())
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
