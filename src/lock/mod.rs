//! One worker per schema: advisory locks on the target, their heartbeat, and the sweep of what others left.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{SchemaName, Schemas};
use crate::error::{Error, Refused, Side, Stop};
use crate::server::home::HeldLock;
use crate::server::session::Session;
use crate::server::{ApplicationName, Server};
use crate::shutdown::Shutdown;

/// A statement of the lock session, so that its `state_change` shows that the worker lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// A heartbeat that takes longer counts as lost, and so does any other answer that the lock's session waits for.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks whether the lock's connection still stands.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// A holder that was not heard of for so long has missed a beat: it is watched until it beats or is dead.
const OVERDUE: Duration = Duration::from_secs(15);
/// A holder that was not heard of for so long is dead. Ten seconds ago it has ceased to rely on its lock itself: see
/// [`Lock::is_held`].
const DEAD: Duration = Duration::from_secs(30);
/// A dead holder that cannot be ended within so long is left to a person.
const BURIAL_LIMIT: Duration = Duration::from_mins(1);
/// Between two looks at a holder that was ended.
const BURIAL_INTERVAL: Duration = Duration::from_millis(100);
/// Between two attempts to get the lock while `WAIT_TIMEOUT` lasts.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How long swept backends may take to end.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(20);

/// The advisory locks of a unit, held by one session for the whole run.
#[derive(Debug)]
pub(crate) struct Lock {
    session: Session,
    last_beat: Mutex<Instant>,
}

impl Lock {
    /// Takes the lock of every schema in their order, waiting up to `wait` for another worker. One that is dead is
    /// ended, which takes until it was silent for half a minute.
    pub(crate) async fn acquire(
        target: &Server,
        names: &ApplicationName,
        schemas: &Schemas,
        wait: Duration,
    ) -> Result<Self, Error> {
        let session = Session::open(target, &names.role("lock"), None).await?;
        let started = Instant::now();
        for schema in schemas {
            let mut dead_since = None;
            let mut waits = false;
            while let Some(holder) = in_time(try_lock(&session, schema)).await? {
                if holder.silence >= DEAD {
                    if dead_since.get_or_insert_with(Instant::now).elapsed() >= BURIAL_LIMIT {
                        return Err(Error::Refused(Refused::transient(
                            Side::Target,
                            format!(
                                "a dead worker holds schema \"{schema}\" and does not end: {}",
                                holder.description
                            ),
                            "look at that backend on the target's host",
                        )));
                    }
                    in_time(end_dead_holder(&session, schema, &holder)).await?;
                    tokio::time::sleep(BURIAL_INTERVAL).await;
                } else if holder.silence < OVERDUE && started.elapsed() >= wait {
                    return Err(Error::Refused(Refused::transient(
                        Side::Target,
                        format!("another worker holds schema \"{schema}\": {}", holder.description),
                        "let it finish, or set WAIT_TIMEOUT to wait for it",
                    )));
                } else {
                    if !std::mem::replace(&mut waits, true) {
                        let reason =
                            format!("another worker holds schema \"{schema}\": {}", holder.description);
                        tracing::info!(phase = "lock", reason, "waiting");
                    }
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
        if let Some(schema) = schemas.iter().next() {
            target.home.hold(HeldLock {
                key: key(schema),
                pid: session.pid,
            });
        }
        Ok(Self {
            session,
            last_beat: Mutex::new(Instant::now()),
        })
    }

    /// Beats until the lock's session is lost, then stops the run.
    pub(crate) async fn beat(&self, shutdown: &Shutdown) -> Infallible {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            if self.age() < HEARTBEAT_INTERVAL && !self.session.is_closed() {
                continue;
            }
            let lost = match in_time(self.session.query_one("keep the lock", "SELECT 1", &[])).await {
                Ok(_) => {
                    *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    continue;
                }
                Err(Error::Stopped(stop)) => stop,
                Err(error) => Stop::LockLost(crate::error::chain(&error)),
            };
            shutdown.stop(lost);
            return std::future::pending().await;
        }
    }

    /// Whether the last heartbeat is young enough to rely on. A worker that was frozen asks this before it goes on.
    pub(crate) fn is_held(&self) -> bool {
        self.age() < HEARTBEAT_INTERVAL + HEARTBEAT_TIMEOUT && !self.session.is_closed()
    }

    /// The time since the last heartbeat.
    fn age(&self) -> Duration {
        let last = *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed()
    }

    /// The session that holds the locks, for short statements on the target.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

/// An answer on the lock's session, or the lock counts as lost.
async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let answered = tokio::time::timeout(HEARTBEAT_TIMEOUT, answer).await;
    answered.unwrap_or_else(|_elapsed| {
        let why = format!("no answer within {} s", HEARTBEAT_TIMEOUT.as_secs());
        Err(Error::Stopped(Stop::LockLost(why)))
    })
}

/// Another worker's lock session.
#[derive(Debug)]
struct Holder {
    pid: i32,
    description: String,
    /// Since its last statement; zero where the server hides that from our role, and where it is no worker, whose silence says
    /// nothing.
    silence: Duration,
}

/// Refuses while a load of one of the schemas is under way.
pub(crate) async fn refuse_held(target: &Session, schemas: &Schemas) -> Result<(), Error> {
    for schema in schemas {
        if let Some(Holder { description, .. }) = look(target, schema).await? {
            return Err(Error::Refused(Refused::transient(
                Side::Target,
                format!("a load is under way: {description}"),
                "let it finish",
            )));
        }
    }
    Ok(())
}

/// The worker that is at a schema, unless it is dead.
pub(crate) async fn worker(session: &Session, schema: &SchemaName) -> Result<Option<String>, Error> {
    let holder = look(session, schema).await?;
    Ok(holder
        .filter(|holder| holder.silence < DEAD)
        .map(|holder| holder.description))
}

async fn look(session: &Session, schema: &SchemaName) -> Result<Option<Holder>, Error> {
    let sql = include_str!("sql/lock_holder.sql");
    let rows = session
        .query("look who holds the schema", sql, &[&key(schema)])
        .await?;
    let holder = |row: &tokio_postgres::Row| {
        let silence_s: Option<f64> = row.get("silence_s");
        let is_worker = row.get::<_, Option<bool>>("is_worker").unwrap_or(false);
        Holder {
            pid: row.get("pid"),
            description: row.get("description"),
            silence: Duration::try_from_secs_f64(silence_s.filter(|_| is_worker).unwrap_or(0.0))
                .unwrap_or_default(),
        }
    };
    Ok(rows.first().map(holder))
}

/// What the schema's lock is derived from.
fn key(schema: &SchemaName) -> String {
    format!("schemaferry schema {schema}")
}

/// `None` if the lock is ours now, else who has it.
async fn try_lock(session: &Session, schema: &SchemaName) -> Result<Option<Holder>, Error> {
    let key = key(schema);
    loop {
        let row = session
            .query_one(
                "take the schema's lock",
                "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0))",
                &[&key],
            )
            .await?;
        if row.get(0) {
            return Ok(None);
        }
        // Otherwise it is gone by now.
        if let Some(holder) = look(session, schema).await? {
            return Ok(Some(holder));
        }
    }
}

/// Ends a dead holder, which needs to be of our role, or `pg_signal_backend`.
async fn end_dead_holder(session: &Session, schema: &SchemaName, holder: &Holder) -> Result<(), Error> {
    let ended = session
        .query(
            "end a dead worker's session",
            include_str!("sql/dead_holder.sql"),
            &[&holder.pid, &DEAD.as_secs_f64()],
        )
        .await;
    let silent_s = holder.silence.as_secs();
    match ended {
        Err(error) if error.sqlstate() == Some("42501") => Err(Error::Refused(Refused::transient(
            Side::Target,
            format!(
                "another worker holds schema \"{schema}\", was silent for {silent_s} s and may not be ended by us: {}",
                holder.description
            ),
            format!(
                "SELECT pg_terminate_backend({}) as its user or a superuser",
                holder.pid
            ),
        ))),
        ended => {
            ended?;
            tracing::warn!(
                holder = holder.description,
                silent_s,
                "ended the session of a worker that is dead"
            );
            Ok(())
        }
    }
}

/// Which backends a sweep ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// What other attempts at the unit left running. Those that wait for the lock go on waiting.
    Others,
    /// Everything of this attempt, the sweeping session and the lock's session excepted.
    Own,
    /// Everything of this attempt, the sweeping session excepted.
    Attempt,
}

/// Stands for no backend: names of ours begin otherwise.
const NOBODY: &str = "-";

/// Ends backends by their `application_name` and waits until they are gone. They are terminated rather than
/// cancelled: a backend that waits for its client does not notice a cancel.
pub(crate) async fn sweep(control: &Session, names: &ApplicationName, which: Sweep) -> Result<u64, Error> {
    let (prefix, except, dead) = match which {
        Sweep::Others => (names.unit_prefix(), names.attempt_prefix(), DEAD),
        Sweep::Own => (names.attempt_prefix(), names.role("lock"), Duration::ZERO),
        Sweep::Attempt => (names.attempt_prefix(), NOBODY.to_owned(), Duration::ZERO),
    };
    let started = Instant::now();
    let mut ended = None;
    loop {
        let rows = control
            .query(
                "end what was left running",
                include_str!("sql/sweep.sql"),
                &[&prefix, &except, &dead.as_secs_f64()],
            )
            .await?;
        let found = rows.len() as u64;
        ended.get_or_insert(found);
        if found == 0 {
            return Ok(ended.unwrap_or(0));
        }
        if started.elapsed() >= SWEEP_TIMEOUT {
            return Err(Error::Refused(Refused::transient(
                control.side(),
                format!("{found} backends of an earlier attempt do not end"),
                "run again; terminate them by application_name if it stays so",
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
