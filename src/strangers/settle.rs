//! Waits until what others have written is counted.
//!
//! A backend keeps to itself what it has written: until a transaction of it ends at least a second after it has last told,
//! or for ten seconds after it has fallen idle (15 and newer: `PGSTAT_MIN_INTERVAL` and `PGSTAT_IDLE_INTERVAL` in
//! `pgstat.c`). Asked for under locks that let nobody write any more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::error::{Error, Refused, Side};
use crate::server::session::Session;

/// How long is worth waiting: longer than whoever is idle may keep it to himself. Who is in one transaction for so long may be for hours.
const PATIENCE: Duration = Duration::from_secs(15);

/// Idle for so long, a backend has told everything.
const IDLE: Duration = Duration::from_secs(11);
/// A transaction that ends so long after the last write has told everything.
const TOLD: Duration = Duration::from_millis(1500);
/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// Another session of the database.
#[derive(Debug)]
struct Neighbour {
    pid: i32,
    description: String,
    idle: bool,
    /// How long it has been in its state; `None` where that is hidden.
    since: Option<Duration>,
}

/// Whether no session holds back what it has written until now.
pub(crate) async fn is_told(outside: &Session) -> Result<bool, Error> {
    let neighbours = look(outside).await?;
    Ok(Seen::default().pending(Duration::ZERO, &neighbours).is_none())
}

/// Waits until no session holds back what it has written, as long as that is worth it and up to `limit`; then returns the refusal that
/// names one that may, for whoever cannot tell otherwise.
pub(crate) async fn wait(outside: &Session, limit: Option<Duration>) -> Result<Option<Refused>, Error> {
    let limit = limit.map_or(PATIENCE, |limit| limit.min(PATIENCE));
    let started = Instant::now();
    let mut seen = Seen::default();
    loop {
        let neighbours = look(outside).await?;
        let Some(pending) = seen.pending(started.elapsed(), &neighbours) else {
            return Ok(None);
        };
        if started.elapsed() >= limit {
            let reason = format!(
                "{} may have written to the schema, and the server does not know yet",
                pending.description
            );
            let hint = "wait until that session is idle, or end it";
            return Ok(Some(Refused::transient(Side::Target, reason, hint)));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn look(outside: &Session) -> Result<Vec<Neighbour>, Error> {
    let sql = include_str!("sql/neighbours.sql");
    let rows = outside.query("look at other sessions", sql, &[]).await?;
    let neighbour = |row: &tokio_postgres::Row| Neighbour {
        pid: row.get("pid"),
        description: row.get("description"),
        idle: row.get("idle"),
        since: row
            .get::<_, Option<f64>>("since_s")
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
    };
    Ok(rows.iter().map(neighbour).collect())
}

/// What was seen of the others under the locks.
#[derive(Debug, Default)]
struct Seen {
    /// When each was first seen in a state that it took late enough, by the time since the locks were had.
    late: HashMap<i32, Duration>,
}

impl Seen {
    /// The first of them that may still hold something back; `elapsed`: since the locks were had.
    fn pending<'a>(&mut self, elapsed: Duration, neighbours: &'a [Neighbour]) -> Option<&'a Neighbour> {
        neighbours.iter().find(|one| !self.has_told(elapsed, one))
    }

    fn has_told(&mut self, elapsed: Duration, one: &Neighbour) -> bool {
        let Some(since) = one.since else {
            return elapsed >= IDLE;
        };
        if one.idle && since >= IDLE {
            return true;
        }
        // When it took its state, by the time since the locks were had; before that it counts as zero.
        let taken = elapsed.saturating_sub(since);
        if taken < TOLD {
            return false;
        }
        let first = *self.late.entry(one.pid).or_insert(taken);
        // Between two states that are not the same it was idle, with everything told.
        one.idle || taken > first + INTERVAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second at which nothing is pending any more, of looks at one neighbour.
    fn settled(look: impl Fn(f64) -> (bool, Option<f64>)) -> Option<f64> {
        let mut seen = Seen::default();
        (0..200).map(|number| f64::from(number) / 4.0).find(|second| {
            let (idle, since) = look(*second);
            let one = Neighbour {
                pid: 1,
                description: String::new(),
                idle,
                since: since.map(Duration::from_secs_f64),
            };
            seen.pending(Duration::from_secs_f64(*second), &[one]).is_none()
        })
    }

    #[test]
    fn a_neighbour_has_told_when_it_was_idle_long_enough_or_ended_a_transaction_late_enough() {
        assert_eq!(settled(|second| (true, Some(second + 3.0))), Some(8.0), "idle");
        assert_eq!(settled(|second| (true, Some(second + 60.0))), Some(0.0));
        assert_eq!(settled(|_| (true, None)), Some(11.0), "hidden");
        assert_eq!(
            settled(|second| (false, Some(second + 3.0))),
            None,
            "one statement"
        );
        let idle_since = |second: f64| (true, Some(if second < 2.0 { second } else { second - 2.0 }));
        assert_eq!(settled(idle_since), Some(2.0), "idle again");
        assert_eq!(
            settled(|second| (false, Some(second % 3.0))),
            Some(6.0),
            "busy with short ones"
        );
    }
}
