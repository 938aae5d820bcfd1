//! What a load has left before it is compared: what is complete in the end has to be what was compared.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde_json::Value;

use crate::catalogue;
use crate::catalogue::activity::{self, Activity};
use crate::error::{Error, Refused, Side};
use crate::ledger::{Begun, COLLECTOR_DELAY, inventory};
use crate::server::ApplicationName;
use crate::server::session::Session;
use crate::word;

/// How long sessions that have done their part may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at them.
const INTERVAL: Duration = Duration::from_millis(20);
/// Before 15, a backend tells what it has written when a transaction ends so long after it has last told.
const TOLD_INTERVAL: Duration = Duration::from_millis(600);
/// Changes named in a refusal.
const NAMED_MAX: usize = 5;

/// A schema as a load has left it.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) inventory: Value,
    pub(super) activity: Activity,
}

/// What each schema of a unit was like before it was compared.
#[derive(Debug)]
pub(crate) struct Standing {
    left: Vec<Left>,
    /// OIDs of foreign keys that `finalize` has made, which are no part of what a load leaves.
    made: Vec<u32>,
}

impl Left {
    pub(super) async fn read(target: &Session, load: &Begun, made: &[u32]) -> Result<Self, Error> {
        let mut inventory = inventory::objects(target, load.schema.as_str(), made).await?;
        inventory.append(&mut inventory::access(target, load.schema.as_str()).await?);
        Ok(Self {
            inventory: Value::Object(inventory),
            activity: activity::within(target, load.schema_oid, None).await?,
        })
    }
}

impl Standing {
    /// Reads it, as soon as the server knows all that was written. `others`: sessions beside the `target`'s that go on; `made`: OIDs of
    /// foreign keys that `finalize` has made and that are there.
    pub(crate) async fn read(
        target: &Session,
        others: &[Session],
        names: &ApplicationName,
        (loads, made): (&[Begun], Vec<u32>),
    ) -> Result<Self, Error> {
        settle(target, others, names).await?;
        let mut left = Vec::new();
        for load in loads {
            left.push(Left::read(target, load, &made).await?);
        }
        Ok(Self { left, made })
    }

    /// Reads owners, grants, policies and row security again, which are given after the comparison.
    pub(crate) async fn with_access(mut self, target: &Session, loads: &[Begun]) -> Result<Self, Error> {
        for (left, load) in self.left.iter_mut().zip(loads) {
            if let Value::Object(inventory) = &mut left.inventory {
                inventory.retain(|kind, _| !inventory::is_access(kind));
                inventory.append(&mut inventory::access(target, load.schema.as_str()).await?);
            }
        }
        Ok(self)
    }

    /// Reads everything once more, and refuses what somebody else has done meanwhile.
    pub(super) async fn confirmed(self, target: &Session, loads: &[Begun]) -> Result<Vec<Left>, Error> {
        let mut confirmed = Vec::new();
        for (before, load) in self.left.iter().zip(loads) {
            let now = Left::read(target, load, &self.made).await?;
            let mut changes = inventory::differences(&before.inventory, &now.inventory, |_| true);
            changes.extend(now.activity.changes_since(&before.activity));
            if catalogue::schema_oid(target, load.schema.as_str()).await? != Some(load.schema_oid) {
                changes = vec!["it was renamed or dropped".to_owned()];
            }
            if !changes.is_empty() {
                return Err(Error::Refused(Refused::occupied(
                    target.side(),
                    format!(
                        "somebody else has changed schema \"{}\" while it was being loaded: {}",
                        load.schema,
                        word::some_of(&changes, NAMED_MAX, ", ")
                    ),
                    "whoever it was should keep what he needs of it elsewhere; the next load replaces it",
                )));
            }
            confirmed.push(now);
        }
        Ok(confirmed)
    }
}

/// Waits until the server has counted what the run's sessions have written: those that are done have ended, the others have
/// told it.
async fn settle(target: &Session, others: &[Session], names: &ApplicationName) -> Result<(), Error> {
    let going_on: Vec<i32> = std::iter::once(target)
        .chain(others)
        .map(|session| session.pid)
        .collect();
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
               WHERE pg_catalog.starts_with(application_name, $1) AND datname = pg_catalog.current_database() \
               AND pg_catalog.split_part(application_name, '/', 4) NOT IN ('lock', 'control') AND pid <> ALL ($2)";
    let started = Instant::now();
    while target
        .query_one(
            "look for the run's sessions",
            sql,
            &[&names.attempt_prefix(), &going_on],
        )
        .await?
        .get::<_, i64>(0)
        > 0
    {
        if started.elapsed() >= END_TIMEOUT {
            return Err(Error::Refused(Refused::transient(
                Side::Target,
                "sessions of the run that are done do not end",
                "run again",
            )));
        }
        tokio::time::sleep(INTERVAL).await;
    }
    let counted = target.major() >= 15;
    if !counted {
        tokio::time::sleep(TOLD_INTERVAL).await;
    }
    let sql = if counted {
        "SELECT pg_catalog.pg_stat_force_next_flush()"
    } else {
        "SELECT 1"
    };
    let told = std::iter::once(target).chain(others);
    try_join_all(told.map(|session| session.query("tell what was written", sql, &[]))).await?;
    if !counted {
        tokio::time::sleep(COLLECTOR_DELAY).await;
    }
    Ok(())
}
