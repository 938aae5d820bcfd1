//! Whether the rows of tables on the target are those that loads of ours have written, by the numbers of the transactions: exact, and
//! it outlives a crash and a reset of counters.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::baseline;
use crate::catalogue::{self, Relation};
use crate::error::{self, Error};
use crate::ledger;
use crate::progress::Progress;
use crate::server::session::{self, Session};
use crate::strangers::{Part, count, parts, strange};
use crate::unit::Unit;
use crate::watchdog;
use crate::word::{self, Word as _};

/// Tables of up to so many rows are counted together, up to so many of them.
const SMALL_ROWS: u64 = 100_000;
const GROUP_MAX: usize = 50;

/// Tables named in a record.
const NAMED_MAX: usize = 3;

/// Names the tables, by their OIDs on the source, whose rows are not exactly those that have `landed` and that are expected of
/// `tables`.
pub(crate) async fn strangers(
    unit: &Unit<'_>,
    tables: &[(&catalogue::Table, &baseline::Table)],
    landed: &BTreeMap<u32, Vec<u32>>,
    progress: &Progress,
) -> Result<BTreeSet<u32>, Error> {
    let parts = parts(tables, landed);
    let limit = watchdog::lock_timeout(unit.config.lock_timeout);
    let role = unit.names.role("count");
    let open = (0..unit.config.jobs).map(|_| Session::open(&unit.servers.target, &role, limit));
    let sessions = try_join_all(open).await?;
    let (large, small): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|part| part.rows > SMALL_ROWS);
    let mut groups: Vec<Vec<Part>> = large.into_iter().map(|part| vec![part]).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.first().map(|part| part.rows)));
    let mut small = small.into_iter().peekable();
    while small.peek().is_some() {
        groups.push(small.by_ref().take(GROUP_MAX).collect());
    }
    let sessions: Vec<&Session> = sessions.iter().collect();
    let found = session::share_out(&sessions, groups, async |session, group| {
        let counted = count(session, &group).await?;
        progress.step();
        Ok(strange(group, counted))
    })
    .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Whose rows there are in tables, as far as that can be told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Holding exactly the rows that loads of ours have written.
    pub(crate) sound: BTreeSet<Relation>,
    /// Holding others.
    pub(crate) strange: Vec<Relation>,
}

/// Tells of `tables` whether their rows are exactly the ones that these loads have written and noted.
pub(crate) async fn written_by_others(
    (unit, target): (&Unit<'_>, &Session),
    tables: &[(&catalogue::Table, &baseline::Table)],
    loads: &[i64],
    progress: &Progress,
) -> Result<Told, Error> {
    let landed = ledger::transactions(target, loads).await?;
    let unknown = parts(tables, &landed).into_iter().filter(Part::is_unknown);
    let unknown: BTreeSet<u32> = unknown.flat_map(|part| part.tables).collect();
    let (untold, told): (Vec<_>, Vec<_>) = tables
        .iter()
        .copied()
        .partition(|(table, _)| unknown.contains(&table.oid));
    if !untold.is_empty() {
        let names: Vec<String> = untold.iter().map(|(table, _)| table.relation.quoted()).collect();
        let names = word::some_of(&names, NAMED_MAX, ", ");
        let reason = format!("by which transactions the rows of {names} have come is not known any more");
        say_untold(progress, &reason);
    }
    let strange = match strangers(unit, &told, &landed, progress).await {
        Err(error) if error.is_unanswerable() => {
            say_untold(progress, &error::chain(&error));
            return Ok(Told::default());
        }
        strange => strange?,
    };
    let (strange, sound): (Vec<_>, Vec<_>) = told
        .into_iter()
        .partition(|(table, _)| strange.contains(&table.oid));
    let relation = |(table, _): (&catalogue::Table, &baseline::Table)| table.relation.clone();
    Ok(Told {
        sound: sound.into_iter().map(relation).collect(),
        strange: strange.into_iter().map(relation).collect(),
    })
}

/// Says why it is not known who has written to the target.
pub(super) fn say_untold(progress: &Progress, reason: &str) {
    let phase = progress.phase().word();
    tracing::warn!(phase, reason, "who has written to the target cannot be told");
}
