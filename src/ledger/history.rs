//! What earlier loads took, for a forecast.

use crate::error::Error;
use crate::ledger::form;
use crate::server::session::Session;

/// Phases whose length grows with what a schema holds.
const GROWING: [&str; 5] = ["rows", "sequences", "post-data", "analyze", "verify"];
/// Phases in which a run may wait for others, and what counts of them at most, in seconds: a run that waits looks again every
/// five.
const WAITING: [&str; 2] = ["lock", "preflight"];
const WAITING_MAX: f64 = 5.0;

/// A complete load, as one of its schemas' rows tells. Rows of several schemas that moved together share their attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Past {
    pub(crate) schema: String,
    pub(crate) attempt: String,
    /// Seconds since 1970 at which it began, what it waited left out.
    pub(crate) began: f64,
    /// Seconds that it would take however little the schema held; what it waited for others is left out.
    pub(crate) fixed: f64,
    /// Seconds that grow with what the schema holds.
    pub(crate) growing: f64,
    /// Heap and TOAST on the source, in bytes, of all schemas of the attempt.
    pub(crate) size: f64,
    /// The word of VERIFY.
    pub(crate) verify: String,
}

/// Every complete load, newest first; none where there is no ledger.
pub(crate) async fn history(target: &Session) -> Result<Vec<Past>, Error> {
    if !form::look(target).await?.is_there {
        return Ok(Vec::new());
    }
    let rows = target
        .query("read the ledger", include_str!("sql/history.sql"), &[])
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (phases, seconds): (Vec<Option<String>>, Vec<Option<f64>>) =
                (row.get("phases"), row.get("seconds"));
            let (mut before, mut fixed, mut growing) = (0.0, 0.0, 0.0);
            for (phase, seconds) in phases.iter().flatten().zip(seconds.iter().flatten()) {
                if GROWING.contains(&phase.as_str()) {
                    growing += seconds;
                } else if WAITING.contains(&phase.as_str()) {
                    fixed += seconds.min(WAITING_MAX);
                } else {
                    fixed += seconds;
                }
                // The row was made when the phase `clear` had begun.
                if phase == "clear" {
                    before = fixed - seconds;
                }
            }
            Past {
                schema: row.get("schema_name"),
                attempt: row.get("attempt"),
                began: row.get::<_, f64>("started") - before,
                fixed,
                growing,
                size: row.get("size"),
                verify: row.get("verify"),
            }
        })
        .collect())
}
