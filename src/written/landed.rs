//! Whether the rows of tables on the target are those that loads of ours have written, by the numbers of the transactions: exact, and
//! it outlives a crash and a reset of counters.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use crate::baseline;
use crate::build::statements;
use crate::catalogue::{self, Counted, Relation};
use crate::error::{self, Error};
use crate::ledger;
use crate::progress::Progress;
use crate::server::session::{self, Session};
use crate::unit::Unit;
use crate::watchdog;
use crate::word::{self, Word as _};

/// Tables of up to so many rows are counted together, up to so many of them.
const SMALL_ROWS: u64 = 100_000;
const GROUP_MAX: usize = 50;

/// Tables named in a record.
const NAMED_MAX: usize = 3;

/// What is counted as one.
struct Part {
    counted: Counted,
    tables: Vec<u32>,
    rows: u64,
    xids: Vec<u32>,
}

impl Part {
    /// Whether there are rows of which no transaction is known.
    fn is_unknown(&self) -> bool {
        self.rows > 0 && self.xids.is_empty()
    }
}

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

/// The same, looked up one after the other by one session, in its transaction.
pub(crate) async fn strangers_seen_by(
    session: &Session,
    tables: &[(&catalogue::Table, &baseline::Table)],
    landed: &BTreeMap<u32, Vec<u32>>,
) -> Result<BTreeSet<u32>, Error> {
    let parts = parts(tables, landed);
    let counted = if parts.is_empty() {
        Vec::new()
    } else {
        count(session, &parts).await?
    };
    Ok(strange(parts, counted).into_iter().collect())
}

/// Whether it is known of all of them by which transactions their rows have come.
pub(super) fn are_known(
    tables: &[(&catalogue::Table, &baseline::Table)],
    landed: &BTreeMap<u32, Vec<u32>>,
) -> bool {
    !parts(tables, landed).iter().any(Part::is_unknown)
}

/// Tables of the parts of which something else was counted than is expected.
fn strange(parts: Vec<Part>, counted: Vec<(u64, u64)>) -> Vec<u32> {
    let strange = parts
        .into_iter()
        .zip(counted)
        .filter(|(part, counted)| *counted != (part.rows, part.rows));
    strange.flat_map(|(part, _)| part.tables).collect()
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

/// Tables by what they are counted under, by the names under which their rows have landed: the source may have others by now. A root that
/// leaves' rows were given to is counted whole.
fn parts(tables: &[(&catalogue::Table, &baseline::Table)], landed: &BTreeMap<u32, Vec<u32>>) -> Vec<Part> {
    let listed = tables.iter().map(|(table, known)| catalogue::Table {
        relation: known.relation.clone(),
        ..(*table).clone()
    });
    let listed: Vec<catalogue::Table> = listed.collect();
    let by_root = tables.iter().enumerate().filter(|(_, (_, known))| known.by_root);
    let units = catalogue::units(&listed, &by_root.map(|(index, _)| index).collect());
    let mut parts: BTreeMap<Counted, Part> = BTreeMap::new();
    for (counted, (table, known)) in units.into_iter().zip(tables) {
        let part = parts.entry(counted.clone()).or_insert_with(|| Part {
            counted,
            tables: Vec::new(),
            rows: 0,
            xids: Vec::new(),
        });
        part.tables.push(table.oid);
        part.rows += known.rows;
        part.xids.extend(landed.get(&table.oid).into_iter().flatten());
    }
    parts.into_values().collect()
}

/// Of each part, how many rows are ours, and how many there are.
async fn count(session: &Session, parts: &[Part]) -> Result<Vec<(u64, u64)>, Error> {
    let counts = parts.iter().enumerate().map(|(index, part)| {
        let xids: Vec<String> = part.xids.iter().map(u32::to_string).collect();
        format!(
            "SELECT {index} AS index, pg_catalog.count(*) FILTER (WHERE xmin = ANY ('{{{}}}'::pg_catalog.xid[])) AS ours, \
             pg_catalog.count(*) AS rows FROM {}",
            xids.join(","),
            part.counted.sql()
        )
    });
    let sql = format!(
        "{} ORDER BY index",
        counts.collect::<Vec<String>>().join(" UNION ALL ")
    );
    let rows = match session.query("look who has written the rows", &sql, &[]).await {
        Ok(rows) => rows,
        // Whoever has dropped one of them: none of these is known.
        Err(error) if statements::is_name_not_found(&error) => return Ok(vec![(0, u64::MAX); parts.len()]),
        Err(error) => return Err(error),
    };
    let number = |row: &tokio_postgres::Row, name| u64::try_from(row.get::<_, i64>(name)).unwrap_or_default();
    Ok(rows
        .iter()
        .map(|row| (number(row, "ours"), number(row, "rows")))
        .collect())
}
