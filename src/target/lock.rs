//! One worker per schema: advisory locks on the target, their heartbeat, and the sweep of what others left.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::SchemaName;
use crate::error::{Error, Refusal, Refused, Side, Stop};
use crate::server::session::Session;
use crate::server::{ApplicationName, Server};
use crate::shutdown::Shutdown;

/// A statement of the lock session, so that its `state_change` shows that the worker lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
/// A heartbeat that takes longer counts as lost.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
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
    /// Takes the lock of every schema in sorted order, waiting up to `wait` for another worker.
    pub(crate) async fn acquire(
        target: &Server,
        names: &ApplicationName,
        schemas: &[SchemaName],
        wait: Duration,
    ) -> Result<Self, Error> {
        let session = Session::open(target, &names.role("lock"), None).await?;
        let mut sorted: Vec<&SchemaName> = schemas.iter().collect();
        sorted.sort();
        let started = Instant::now();
        for schema in sorted {
            while let Some(holder) = try_lock(&session, schema).await? {
                if started.elapsed() >= wait {
                    return Err(Error::Refused(Refused {
                        refusal: Refusal::Transient,
                        side: Side::Target,
                        reason: format!("another worker holds schema \"{schema}\": {holder}"),
                        cure: "let it finish, or set WAIT_TIMEOUT to wait for it".to_owned(),
                    }));
                }
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
        Ok(Self {
            session,
            last_beat: Mutex::new(Instant::now()),
        })
    }

    /// Beats until the lock's session is lost, then stops the run. Never returns.
    pub(crate) async fn beat(&self, shutdown: &Shutdown) -> Error {
        loop {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            let beat = self.session.query_one("keep the lock", "SELECT 1", &[]);
            let lost = match tokio::time::timeout(HEARTBEAT_TIMEOUT, beat).await {
                Ok(Ok(_)) => {
                    *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    continue;
                }
                Ok(Err(error)) => crate::error::chain(&error),
                Err(_elapsed) => format!("no answer within {} s", HEARTBEAT_TIMEOUT.as_secs()),
            };
            shutdown.stop(Stop::LockLost(lost));
            std::future::pending::<()>().await;
        }
    }

    /// Whether the last heartbeat is young enough to rely on. A worker that was frozen asks this before it goes on.
    pub(crate) fn is_held(&self) -> bool {
        let last = *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner);
        last.elapsed() < HEARTBEAT_INTERVAL + HEARTBEAT_TIMEOUT && !self.session.is_closed()
    }

    /// The session that holds the locks, for short statements on the target.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }
}

/// `None` if the lock is ours now, else who has it.
async fn try_lock(session: &Session, schema: &SchemaName) -> Result<Option<String>, Error> {
    let key = format!("schemaferry schema {schema}");
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
    let rows = session
        .query(
            "look who holds the schema",
            include_str!("sql/lock_holder.sql"),
            &[&key],
        )
        .await?;
    Ok(Some(
        rows.first()
            .map_or_else(|| "gone by now".to_owned(), |row| row.get(0)),
    ))
}

/// Which backends a sweep ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sweep {
    /// What other attempts at the unit left running.
    Others,
    /// Everything of this attempt, the sweeping session and the lock's session excepted.
    Own,
}

/// Ends backends by their `application_name` and waits until they are gone. They are terminated rather than
/// cancelled: a backend that waits for its client does not notice a cancel.
pub(crate) async fn sweep(control: &Session, names: &ApplicationName, which: Sweep) -> Result<u64, Error> {
    let (prefix, except) = match which {
        Sweep::Others => (names.unit_prefix(), names.attempt_prefix()),
        Sweep::Own => (names.attempt_prefix(), names.role("lock")),
    };
    let started = Instant::now();
    let mut ended = None;
    loop {
        let rows = control
            .query(
                "end what was left running",
                include_str!("sql/sweep.sql"),
                &[&prefix, &except],
            )
            .await?;
        let found = rows.len() as u64;
        ended.get_or_insert(found);
        if found == 0 {
            return Ok(ended.unwrap_or(0));
        }
        if started.elapsed() >= SWEEP_TIMEOUT {
            return Err(Error::Refused(Refused {
                refusal: Refusal::Transient,
                side: control.side(),
                reason: format!("{found} backends of an earlier attempt do not end"),
                cure: "run again; terminate them by application_name if it stays so".to_owned(),
            }));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
