//! What every load has left word of, for a report.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Row;

use crate::error::Error;
use crate::ledger::{LoadState, form, inventory};
use crate::server::session::Session;

/// An attempt at one schema, as its row tells. Rows of several schemas that moved together share their `name`.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// Of its row.
    pub(crate) id: i64,
    pub(crate) schema: String,
    pub(crate) state: LoadState,
    pub(crate) run_id: Option<String>,
    /// The attempt's own name.
    pub(crate) name: String,
    /// The source's address.
    pub(crate) source: String,
    pub(crate) variables: Variables,
    pub(crate) summary: Summary,
    /// Milliseconds of all builds, whatever ran beside.
    pub(crate) builds_ms: f64,
    /// Seconds since 1970 at which its row was made.
    pub(crate) started: f64,
    /// Seconds since 1970 of its last sign of life, or of a seal.
    pub(crate) updated: f64,
}

/// Variables that change what a load makes, and why hazards were accepted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) struct Variables {
    pub(crate) schema_name: Vec<String>,
    pub(crate) verify: String,
    pub(crate) accept_reason: Option<String>,
    pub(crate) user: Option<String>,
}

/// What a run has said of itself; empty where it was killed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Summary {
    /// Where it has failed.
    pub(crate) exit: Option<u8>,
    pub(crate) reason: Option<String>,
    pub(crate) differences: Vec<String>,
    pub(crate) totals: Totals,
    pub(crate) phases: Vec<Stretch>,
    pub(crate) slowest: Vec<Slow>,
    pub(crate) not_carried: Vec<String>,
    pub(crate) not_frozen: Vec<String>,
    /// Of a refresh alone.
    pub(crate) refreshed: Option<Refreshed>,
}

/// Tables by what a refresh did with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Refreshed {
    pub(crate) kept: u64,
    pub(crate) appended_to: u64,
    pub(crate) loaded_again: u64,
}

/// Of all tables.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Totals {
    pub(crate) tables: u64,
    /// `None` where nobody has counted.
    pub(crate) rows: Option<u64>,
    /// As they travelled.
    pub(crate) bytes: u64,
    /// Heap and TOAST on the source.
    pub(crate) size: u64,
    pub(crate) elapsed_ms: Option<f64>,
}

/// A phase.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stretch {
    pub(crate) phase: String,
    pub(crate) elapsed_ms: f64,
}

/// One of the slowest tables.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Slow {
    pub(crate) table: String,
    pub(crate) rows: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) elapsed_ms: f64,
    /// Since the run has begun; `None` where an earlier release has not said.
    pub(crate) begun_ms: Option<f64>,
}

impl Attempt {
    fn from_row(row: &Row) -> Self {
        // What another release has written otherwise is not known.
        fn read<T: Default + for<'a> Deserialize<'a>>(value: Value) -> T {
            serde_json::from_value(value).unwrap_or_default()
        }
        Self {
            id: row.get("id"),
            schema: row.get("schema_name"),
            state: LoadState::from_word(row.get("state")),
            run_id: row.get("run_id"),
            name: row.get("attempt"),
            source: row.get("source"),
            variables: read(row.get("variables")),
            summary: read(row.get("summary")),
            builds_ms: row.get("builds_ms"),
            started: row.get("started"),
            updated: row.get("updated"),
        }
    }
}

/// Every attempt, oldest first; none where there is no ledger.
pub(crate) async fn attempts(target: &Session) -> Result<Vec<Attempt>, Error> {
    if !form::look(target).await?.is_there {
        return Ok(Vec::new());
    }
    let sql = include_str!("sql/attempts.sql");
    let rows = target.query("read the ledger", sql, &[]).await?;
    Ok(rows.iter().map(Attempt::from_row).collect())
}

/// What definitions one load has left otherwise than an earlier one, by their rows. Nothing is known where either has left no
/// inventory.
pub(crate) async fn changed_between(
    target: &Session,
    earlier: i64,
    later: i64,
) -> Result<Vec<String>, Error> {
    let sql = "SELECT l.inventory FROM schemaferry.load l WHERE l.id IN ($1, $2) ORDER BY l.id";
    let rows = target.query("read the ledger", sql, &[&earlier, &later]).await?;
    let left = |row: &Row| row.get::<_, Option<Value>>(0).and_then(inventory::readable);
    Ok(match rows.iter().map(left).collect::<Vec<_>>().as_slice() {
        [Some(before), Some(now)] => inventory::differences(before, now, |_| true),
        _ => Vec::new(),
    })
}
