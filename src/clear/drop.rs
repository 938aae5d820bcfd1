//! Drops what a schema holds, and looks from outside what would go before any of it is gone.
//!
//! A chunk's tables are locked first; under the locks it is asked what was done to the schema since our load. Then the
//! chunk is dropped in that transaction, which stays open: nobody else sees anything of it. Another session, for which
//! everything still stands, looks what hangs on the chunk and what was added meanwhile. Only then is it committed.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::catalogue;
use crate::clear::{Existing, Planned, become_owner, contents, named, occupied, refuse_dependents};
use crate::config::SchemaName;
use crate::error::{Error, Refused, Side};
use crate::ledger::{self, Load, NewLoad};
use crate::server::session::Session;
use crate::strangers::{self, settle};

/// Objects dropped in one transaction. A table takes some seven locks with its key and TOAST, and the lock
/// table of a server with default settings holds 6400.
const CHUNK: usize = 100;
/// For what cannot be locked without waiting: a queue behind someone's statement would hold up everyone who comes after us.
const LOCK_ATTEMPT: &str = "SET LOCAL lock_timeout = '1s'";
/// Between two attempts at a chunk.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Something that stands in a schema by itself.
#[derive(Debug)]
pub(super) struct Member {
    /// Its catalogue and its OID.
    pub(super) address: (u32, u32),
    pub(super) kind: String,
    pub(super) identity: String,
}

/// What takes part in the emptying of a unit's schemas.
pub(super) struct Emptying<'a> {
    /// Drops.
    pub(super) target: &'a Session,
    /// Looks.
    pub(super) outside: &'a Session,
    /// Every schema of the unit.
    pub(super) planned: &'a [Planned],
    /// OIDs of those that are there.
    pub(super) unit: &'a [u32],
    pub(super) entry: &'a NewLoad,
    pub(super) lock_timeout: Option<Duration>,
    /// Why counters did not tell everything when they were waited for last.
    pub(super) untold: RefCell<Option<Refused>>,
}

/// Objects by catalogue and OID.
type Addresses = HashSet<(u32, u32)>;

/// One schema that is emptied.
#[derive(Clone, Copy)]
struct Emptied<'a> {
    schema: &'a SchemaName,
    existing: &'a Existing,
    /// The complete load that it has to be as left by; none where whatever is there goes.
    load: Option<&'a Load>,
    /// OIDs of the unit's schemas that have to be as their loads have left them.
    guarded: &'a [u32],
    /// What those held at first.
    known: &'a Addresses,
    /// OIDs of what `finalize` has made, in any schema.
    foreign_keys: &'a [u32],
}

impl Emptying<'_> {
    /// Drops everything, a chunk at a time, so that no schema is too large for the lock table. Returns for each schema the row
    /// of the ledger that says so since the first of them: what hangs on it in the others goes with it.
    pub(super) async fn run(&self) -> Result<Vec<Option<i64>>, Error> {
        let (mut known, mut guarded) = (Addresses::new(), Vec::new());
        for one in self.planned {
            if let (Some(existing), Some(_)) = (one.decision.cleared(), &one.load) {
                known.extend(self.members(existing.oid).await?);
                guarded.push(existing.oid);
            }
        }
        let foreign_keys = ledger::foreign_keys(self.target).await?;
        let mut rows = None;
        for one in self.planned {
            let Some(existing) = one.decision.cleared() else {
                continue;
            };
            let emptied = Emptied {
                schema: &one.schema,
                existing,
                load: one.load.as_ref(),
                guarded: &guarded,
                known: &known,
                foreign_keys: &foreign_keys,
            };
            loop {
                let objects = contents(self.target, existing.oid).await?;
                if objects.is_empty() {
                    break;
                }
                if emptied.load.is_some() {
                    emptied.refuse_additions(objects.iter().map(|object| object.address))?;
                }
                for chunk in objects.chunks(CHUNK) {
                    rows = Some(self.chunk(emptied, chunk, rows).await?);
                }
            }
        }
        Ok(rows.unwrap_or_else(|| vec![None; self.planned.len()]))
    }

    /// Drops a chunk as soon as its locks can be had. `rows`: those of the ledger, if anything was dropped before.
    async fn chunk(
        &self,
        emptied: Emptied<'_>,
        chunk: &[Member],
        rows: Option<Vec<Option<i64>>>,
    ) -> Result<Vec<Option<i64>>, Error> {
        let started = Instant::now();
        loop {
            let error = match self.attempt(emptied, chunk, rows.clone()).await {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            if !self.target.is_closed() {
                self.target.batch("roll back", "ROLLBACK").await?;
            }
            if !matches!(error.sqlstate(), Some("55P03" | "40P01")) {
                return Err(error);
            }
            if self.lock_timeout.is_some_and(|limit| started.elapsed() >= limit) {
                return Err(self.locked(emptied, started.elapsed()).await?);
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    async fn attempt(
        &self,
        emptied: Emptied<'_>,
        chunk: &[Member],
        rows: Option<Vec<Option<i64>>>,
    ) -> Result<Vec<Option<i64>>, Error> {
        let target = self.target;
        target.batch("begin", &format!("BEGIN; {LOCK_ATTEMPT}")).await?;
        let first = rows.is_none();
        let rows = match rows {
            Some(rows) => rows,
            // With the first drops: what was not touched stays protected.
            None => self.begin(emptied.schema).await?,
        };
        become_owner(target, emptied.existing).await?;
        let going = self.going(chunk).await?;
        self.lock(&going).await?;
        if !emptied.guarded.is_empty() {
            self.settle().await?;
        }
        for one in self.planned {
            if let (Some(existing), Some(load)) = (one.decision.cleared(), &one.load) {
                // What is dropped already does not count as a change.
                let changes = if first && one.schema == *emptied.schema {
                    load.changes(target, existing.oid).await?
                } else {
                    let tally = load.tally_of(target, existing.oid, &going).await?;
                    tally.changes().collect()
                };
                refuse_changes(&one.schema, &changes)?;
                // From the first drop on, an interruption leaves the rest unprotected.
                let among = (!first).then_some(going.as_slice());
                self.refuse_rows((&one.schema, existing.oid, load), among).await?;
            }
        }
        let drops: Vec<String> = chunk.iter().map(Member::drop_statement).collect();
        target.batch("drop objects", &drops.join("; ")).await?;
        let objects = chunk.iter().map(|object| object.address);
        let within = (self.unit, emptied.foreign_keys);
        let gone = refuse_dependents(self.outside, within, objects, emptied.guarded).await?;
        emptied.refuse_additions(gone.into_iter())?;
        if !emptied.foreign_keys.is_empty() {
            target.batch("take our own role again", "RESET ROLE").await?;
            ledger::defer_again(target).await?;
        }
        target.batch("commit", "RESET ROLE; COMMIT").await?;
        Ok(rows)
    }

    /// Tells the ledger that the unit is being cleared, unless something was done to a schema other than `first`, which is looked
    /// at under its locks.
    async fn begin(&self, first: &SchemaName) -> Result<Vec<Option<i64>>, Error> {
        let mut rows = Vec::new();
        for one in self.planned {
            rows.push(match one.decision.cleared() {
                None => None,
                Some(existing) => {
                    if let Some(load) = one.load.as_ref().filter(|_| one.schema != *first) {
                        self.settle().await?;
                        let changes = load.changes(self.target, existing.oid).await?;
                        refuse_changes(&one.schema, &changes)?;
                    }
                    let recorded = one.decision.recorded();
                    Some(ledger::begin(self.target, self.entry, &one.schema, recorded).await?)
                }
            });
        }
        Ok(rows)
    }

    /// Waits until counters tell what was written, once as long as that is worth it.
    async fn settle(&self) -> Result<(), Error> {
        let limit = match &*self.untold.borrow() {
            Some(_) => Some(Duration::ZERO),
            None => self.lock_timeout,
        };
        let untold = settle::wait(self.outside, limit).await?;
        self.untold.replace(untold);
        Ok(())
    }

    /// Refuses a schema that holds rows of others where counters may not tell of them yet; `among`: in these tables.
    async fn refuse_rows(
        &self,
        (schema, oid, load): (&SchemaName, u32, &Load),
        among: Option<&[u32]>,
    ) -> Result<(), Error> {
        let Some(untold) = self.untold.borrow().clone() else {
            return Ok(());
        };
        let sessions = (self.target, self.outside);
        let changes = strangers::rows_of_others(sessions, load, (oid, among)).await?;
        refuse_changes(schema, &changes.ok_or(Error::Refused(untold))?)
    }

    /// OIDs of a chunk's objects, and of tables that go with them because they inherit from one: those of the same schema have gone before.
    async fn going(&self, chunk: &[Member]) -> Result<Vec<u32>, Error> {
        let oids: Vec<u32> = chunk.iter().map(|object| object.address.1).collect();
        let sql = include_str!("sql/going.sql");
        let rows = self
            .target
            .query("list what inherits", sql, &[&oids, &self.unit])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Locks the tables among some objects against everybody, without waiting.
    async fn lock(&self, objects: &[u32]) -> Result<(), Error> {
        let sql = include_str!("sql/lockable.sql");
        let rows = self.target.query("list tables to lock", sql, &[&objects]).await?;
        let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if tables.is_empty() {
            return Ok(());
        }
        let sql = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT", tables.join(", "));
        self.target.batch("lock tables", &sql).await
    }

    /// What stands in the schema at the moment, by catalogue and OID.
    async fn members(&self, schema: u32) -> Result<Addresses, Error> {
        let sql = "SELECT classid, objid FROM pg_catalog.pg_depend \
                   WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = $1";
        let rows = self
            .outside
            .query("list what the schema holds", sql, &[&schema])
            .await?;
        Ok(rows
            .iter()
            .map(|row| (row.get("classid"), row.get("objid")))
            .collect())
    }

    /// Says who is in the way.
    async fn locked(&self, emptied: Emptied<'_>, waited: Duration) -> Result<Error, Error> {
        let sql = include_str!("sql/holders.sql");
        let rows = self
            .outside
            .query("look who holds the locks", sql, &[&emptied.existing.oid])
            .await?;
        let holders: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(Error::Refused(Refused::transient(
            Side::Target,
            format!(
                "objects of schema \"{}\" could not be locked within LOCK_TIMEOUT ({} s): {}",
                emptied.schema,
                waited.as_secs(),
                if holders.is_empty() {
                    "the holder is gone by now".to_owned()
                } else {
                    named(&holders)
                }
            ),
            "wait until that session is done, or end it",
        )))
    }
}

impl Emptied<'_> {
    /// Refuses if some objects were not there when their schemas were looked at first.
    fn refuse_additions(&self, mut objects: impl Iterator<Item = (u32, u32)>) -> Result<(), Error> {
        if objects.any(|object| !self.known.contains(&object)) {
            return Err(changed(self.schema, &["something was added to it".to_owned()]));
        }
        Ok(())
    }
}

fn refuse_changes(schema: &SchemaName, changes: &[String]) -> Result<(), Error> {
    if changes.is_empty() {
        Ok(())
    } else {
        Err(changed(schema, changes))
    }
}

/// Refuses a schema for what was done to it.
pub(crate) fn changed(schema: &SchemaName, changes: &[String]) -> Error {
    occupied(
        format!(
            "schema \"{schema}\" was changed since our load: {}",
            named(changes)
        ),
        super::REPLACE,
    )
}

impl Member {
    /// `IF EXISTS`, because an earlier CASCADE may have taken it along.
    fn drop_statement(&self) -> String {
        let word = catalogue::statement_word(&self.kind);
        format!("DROP {word} IF EXISTS {} CASCADE", self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_use_the_words_of_sql() {
        let drop = |kind: &str, identity: &str| {
            let object = Member {
                address: (0, 0),
                kind: kind.to_owned(),
                identity: identity.to_owned(),
            };
            object.drop_statement()
        };
        assert_eq!(
            drop("function", "s.f(integer)"),
            "DROP ROUTINE IF EXISTS s.f(integer) CASCADE"
        );
        assert_eq!(
            drop("materialized view", "s.m"),
            "DROP MATERIALIZED VIEW IF EXISTS s.m CASCADE"
        );
        assert_eq!(
            drop("statistics object", "s.x"),
            "DROP STATISTICS IF EXISTS s.x CASCADE"
        );
    }
}
