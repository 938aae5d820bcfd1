//! What no server limits by itself: a run in which nothing moves, and a program's wait for a lock.
//!
//! pg_restore turns `lock_timeout` and `statement_timeout` off, and a COPY that waits for a client heeds neither. So
//! the run's own backends are looked at from a control session on each side.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use tokio::sync::Mutex;

use crate::config::Config;
use crate::error::{Error, Side, Stop};
use crate::lock::{Sweep, sweep};
use crate::progress::Progress;
use crate::server::session::Session;
use crate::server::{ApplicationName, Server, connect};
use crate::shutdown::Shutdown;
use crate::word;

/// Between two looks at the backends.
const INTERVAL: Duration = Duration::from_secs(2);
/// A session that has not looked after this time is given up for a new one.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a session that ends backends: a stopped run has five seconds in all.
const END_TIMEOUT: Duration = Duration::from_millis(1500);
/// What is left of them to end a run's backends on both sides.
pub(crate) const SWEEP_LIMIT: Duration = Duration::from_millis(3500);
/// Some looks, and the time that a stop takes.
const LOCK_MARGIN: Duration = Duration::from_secs(10);
/// Backends named in a refusal.
const NAMED_MAX: usize = 5;

/// A session beside the run's own on one side: it looks, and it ends what a stopped run leaves.
#[derive(Debug)]
pub(crate) struct Control {
    server: Server,
    names: ApplicationName,
    session: Mutex<Option<Session>>,
}

/// One of the run's backends.
#[derive(Debug)]
struct Backend {
    pid: i32,
    role: String,
    changed: String,
    works: bool,
    awaits_lock: bool,
    waits_for: String,
    holder: String,
}

impl Control {
    /// Connects.
    pub(crate) async fn open(server: &Server, names: &ApplicationName) -> Result<Self, Error> {
        let session = Session::open_anywhere(server, &names.role("control")).await?;
        Ok(Self {
            server: server.clone(),
            names: names.clone(),
            session: Mutex::new(Some(session)),
        })
    }

    /// Ends every other backend of this attempt but the one that holds its lock.
    pub(crate) async fn sweep_own(&self) -> Result<(), Error> {
        self.sweep(LOOK_TIMEOUT, Sweep::Own).await
    }

    /// Ends every other backend of this attempt.
    async fn sweep_attempt(&self) -> Result<(), Error> {
        self.sweep(END_TIMEOUT, Sweep::Attempt).await
    }

    async fn sweep(&self, limit: Duration, which: Sweep) -> Result<(), Error> {
        let swept = self.ask(limit, async |session| sweep(session, &self.names, which).await);
        swept.await.map(|_| ())
    }

    /// Asks, on a new session where the one that is there has no answer within `limit`: it may have been forgotten on
    /// the way.
    async fn ask<T>(
        &self,
        limit: Duration,
        question: impl AsyncFn(&Session) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut slot = self.session.lock().await;
        if let Some(session) = slot.take().filter(|session| !session.is_closed())
            && let Ok(Ok(answer)) = tokio::time::timeout(limit, question(&session)).await
        {
            *slot = Some(session);
            return Ok(answer);
        }
        let session = Session::open_anywhere(&self.server, &self.names.role("control")).await?;
        let answer = connect::within(&self.server, question(&session)).await?;
        *slot = Some(session);
        Ok(answer)
    }

    async fn look(&self) -> Result<Vec<Backend>, Error> {
        let prefix = self.names.attempt_prefix();
        let sql = include_str!("server/sql/backends.sql");
        let rows = self
            .ask(LOOK_TIMEOUT, async |session| {
                session.query("look at the run's backends", sql, &[&prefix]).await
            })
            .await?;
        let backend = |row: &tokio_postgres::Row| Backend {
            pid: row.get("pid"),
            role: row.get("role"),
            changed: row.get::<_, Option<String>>("changed").unwrap_or_default(),
            works: row.get::<_, Option<bool>>("works").unwrap_or(false),
            awaits_lock: row.get::<_, Option<bool>>("awaits_lock").unwrap_or(false),
            waits_for: row.get("waits_for"),
            holder: row.get::<_, Option<String>>("holder").unwrap_or_default(),
        };
        Ok(rows.iter().map(backend).collect())
    }
}

/// Names the sessions of a command that belongs to no unit, whatever loads sweep, and connects beside each.
pub(crate) async fn beside(
    command: &str,
    sides: &[Option<&(Server, Session)>],
) -> Result<Vec<Control>, Error> {
    let given: Vec<&(Server, Session)> = sides.iter().copied().flatten().collect();
    let address = given.first().map(|(server, _)| server.address());
    let names = ApplicationName::new(&format!("{command} {}", address.unwrap_or_default()), &[]);
    let role = names.role(command);
    try_join_all(given.into_iter().map(async |(server, session)| {
        session.rename(server, &role).await?;
        Control::open(server, &names).await
    }))
    .await
}

/// Ends the backends of an attempt wherever it has a control session, within what a stopped run may take.
pub(crate) async fn sweep_attempt(controls: &[&Control]) {
    let swept = join_all(controls.iter().map(|control| control.sweep_attempt()));
    let ended = tokio::time::timeout(SWEEP_LIMIT, swept).await;
    if !ended.is_ok_and(|swept| swept.iter().all(Result::is_ok)) {
        tracing::warn!("the run's backends could not be ended in time; the next attempt does it");
    }
}

/// The limit for locks that a session on the target gives its server: longer than the watchdog's, which can name the
/// holder and should come first.
pub(crate) fn lock_timeout(limit: Option<Duration>) -> Option<Duration> {
    limit.map(|limit| limit + LOCK_MARGIN)
}

/// The limits that are watched; `None` switches one off.
#[derive(Debug, Clone, Copy)]
struct Limits {
    stall: Option<Duration>,
    lock: Option<Duration>,
}

/// Looks until a limit of `config` is passed, then stops the run.
pub(crate) async fn watch(
    controls: &[&Control],
    config: &Config,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Infallible {
    let limits = Limits {
        stall: config.stall_timeout,
        lock: config.lock_timeout,
    };
    let mut seen = Seen::default();
    let mut backends = Vec::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let looks = join_all(controls.iter().map(|control| control.look())).await;
        let mut found = Vec::new();
        for (control, look) in controls.iter().zip(looks) {
            let side = control.server.side;
            match look {
                Ok(look) => found.extend(look.into_iter().map(|backend| (side, backend))),
                // What is known of a server that does not answer is that nothing of it arrives here.
                Err(_) => found.extend(unanswered(side, &mut backends)),
            }
        }
        backends = found;
        if let Some(cause) = seen.judge(Instant::now(), progress.pulse(), &backends, limits) {
            shutdown.stop(cause);
            return std::future::pending().await;
        }
    }
}

/// The side's backends as they were when they were last seen.
fn unanswered(side: Side, backends: &mut Vec<(Side, Backend)>) -> Vec<(Side, Backend)> {
    let known = backends.extract_if(.., |(one, _)| *one == side);
    known
        .map(|(side, backend)| {
            let backend = Backend {
                works: false,
                awaits_lock: false,
                waits_for: "a server that does not answer".to_owned(),
                ..backend
            };
            (side, backend)
        })
        .collect()
}

/// Each backend's pid with the time at which its state last changed.
type Changes = Vec<(i32, String)>;

/// What was seen before.
#[derive(Debug, Default)]
struct Seen {
    /// Since when nothing has moved, and what stood still.
    still: Option<(Instant, u64, Changes)>,
    /// Since when each backend waits for a lock in one and the same statement.
    waiting: HashMap<(Side, i32, String), Instant>,
}

impl Seen {
    /// Decides whether a limit is passed.
    fn judge(
        &mut self,
        now: Instant,
        pulse: u64,
        backends: &[(Side, Backend)],
        limits: Limits,
    ) -> Option<Stop> {
        let mut waiting = HashMap::new();
        for (side, backend) in backends.iter().filter(|(_, backend)| backend.awaits_lock) {
            let key = (*side, backend.pid, backend.changed.clone());
            let since = self.waiting.get(&key).copied().unwrap_or(now);
            if limits
                .lock
                .is_some_and(|limit| now.duration_since(since) >= limit)
            {
                return Some(Stop::LockWait {
                    side: *side,
                    holder: backend.holder.clone(),
                });
            }
            waiting.insert(key, since);
        }
        self.waiting = waiting;

        let changes: Changes = backends
            .iter()
            .map(|(_, backend)| (backend.pid, backend.changed.clone()))
            .collect();
        let works = backends.iter().any(|(_, backend)| backend.works);
        let since = match self.still.take() {
            Some((since, before, same)) if !works && before == pulse && same == changes => since,
            _ => now,
        };
        self.still = Some((since, pulse, changes));
        let after = limits.stall.filter(|limit| now.duration_since(since) >= *limit)?;
        let waits: Vec<String> = backends
            .iter()
            .map(|(side, backend)| format!("{side} {} waits for {}", backend.role, backend.waits_for))
            .collect();
        Some(Stop::Stalled {
            after,
            waits: if waits.is_empty() {
                "no backend of the run is left".to_owned()
            } else {
                word::some_of(&waits, NAMED_MAX, ", ")
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        stall: Some(Duration::from_secs(10)),
        lock: Some(Duration::from_secs(5)),
    };

    fn backend(changed: &str, works: bool, awaits_lock: bool) -> (Side, Backend) {
        let backend = Backend {
            pid: 1,
            role: "pg_restore".to_owned(),
            changed: changed.to_owned(),
            works,
            awaits_lock,
            waits_for: "Client ClientRead".to_owned(),
            holder: "pid 9".to_owned(),
        };
        (Side::Target, backend)
    }

    /// Judges one look a second; the second in which the run is stopped.
    fn stopped_at(look: impl Fn(u64) -> (u64, (Side, Backend))) -> Option<(u64, Stop)> {
        let start = Instant::now();
        let mut seen = Seen::default();
        (0..60).find_map(|second| {
            let (pulse, backend) = look(second);
            let now = start + Duration::from_secs(second);
            let stop = seen.judge(now, pulse, &[backend], LIMITS)?;
            Some((second, stop))
        })
    }

    #[test]
    fn a_run_stalls_only_if_nothing_at_all_moves() {
        let stalled = stopped_at(|_| (7, backend("t", false, false)));
        assert!(matches!(stalled, Some((10, Stop::Stalled { .. }))), "{stalled:?}");
        assert_eq!(
            stopped_at(|second| (second, backend("t", false, false))),
            None,
            "bytes"
        );
        assert_eq!(
            stopped_at(|_| (7, backend("t", true, false))),
            None,
            "an index build"
        );
        let statements = stopped_at(|second| (7, backend(&second.to_string(), false, false)));
        assert_eq!(statements, None, "statements finish");
    }

    #[test]
    fn a_wait_for_a_lock_is_limited_by_itself() {
        let waited = stopped_at(|second| (second, backend("t", false, true)));
        assert!(matches!(waited, Some((5, Stop::LockWait { .. }))), "{waited:?}");
        let many = stopped_at(|second| (second, backend(&(second / 4).to_string(), false, true)));
        assert_eq!(many, None, "short waits in many statements");
    }
}
