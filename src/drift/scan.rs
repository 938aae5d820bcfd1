//! Counting rows by when they were written: a scan of heaps, without their TOAST, and nothing travels.

use std::collections::BTreeMap;

use crate::baseline::Moment;
use crate::catalogue::Table;
use crate::drift::verdict::Rows;
use crate::error::Error;
use crate::progress::Progress;
use crate::server::session::{self, Session};

/// Tables of up to so many bytes are scanned together, up to so many of them.
const SMALL_BYTES: u64 = 1 << 20;
const GROUP_MAX: usize = 50;

/// The rows of each table by its OID, counted by every session that is given; each count that ends is progress.
pub(super) async fn rows(
    sessions: &[&Session],
    tables: &[&Table],
    moment: &Moment,
    progress: &Progress,
) -> Result<BTreeMap<u32, Rows>, Error> {
    let (small, large): (Vec<&Table>, Vec<&Table>) = tables
        .iter()
        .copied()
        .partition(|table| table.size_bytes <= SMALL_BYTES);
    let mut groups: Vec<Vec<&Table>> = large.into_iter().map(|table| vec![table]).collect();
    groups.extend(small.chunks(GROUP_MAX).map(<[_]>::to_vec));
    let counted = session::share_out(sessions, groups, async |session, group| {
        let parts: Vec<String> = group.iter().map(|table| count(table, moment)).collect();
        let first = group.first().map(|table| table.relation.quoted());
        let action = format!("look when the rows of {} were written", first.unwrap_or_default());
        let rows = session.query(&action, &parts.join(" UNION ALL "), &[]).await?;
        progress.step();
        let number =
            |row: &tokio_postgres::Row, name| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
        let counts = rows.iter().map(|row| {
            let rows = Rows {
                old: number(row, "old"),
                new: number(row, "new"),
            };
            (row.get("oid"), rows)
        });
        Ok(counts.collect::<Vec<(u32, Rows)>>())
    })
    .await?;
    Ok(counted.concat().into_iter().collect())
}

fn count(table: &Table, moment: &Moment) -> String {
    format!(
        "SELECT {}::oid AS oid, pg_catalog.count(*) FILTER (WHERE r.old) AS old, \
         pg_catalog.count(*) FILTER (WHERE NOT r.old) AS new \
         FROM (SELECT {} AS old FROM ONLY {}) AS r",
        table.oid,
        moment.has_row(),
        table.relation.quoted()
    )
}
