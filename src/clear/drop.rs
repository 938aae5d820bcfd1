//! Drops what a schema holds, and looks from outside what would go before any of it is gone.
//!
//! A chunk's tables are locked first; under the locks it is asked what was done to the schema since our load. Then the
//! chunk is dropped in that transaction, which stays open: nobody else sees anything of it. Another session, for which
//! everything still stands, looks what hangs on the chunk and what was added meanwhile. Only then is it committed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::catalogue;
use crate::clear::{Existing, become_owner, contents, named, occupied, refuse_dependents, settle};
use crate::config::SchemaName;
use crate::error::{Error, Refused, Side};
use crate::ledger::{self, Load, NewLoad};
use crate::server::session::Session;

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

/// What takes part in the emptying of one schema.
pub(super) struct Emptying<'a> {
    /// Drops.
    pub(super) target: &'a Session,
    /// Looks.
    pub(super) outside: &'a Session,
    pub(super) schema: &'a SchemaName,
    pub(super) existing: &'a Existing,
    /// What the ledger is told of it.
    pub(super) recorded: (Option<u32>, bool),
    /// OIDs of the unit's schemas.
    pub(super) unit: &'a [u32],
    /// The complete load that the schema has to be as left by; none where whatever is there goes.
    pub(super) load: Option<&'a Load>,
    pub(super) entry: &'a NewLoad,
    pub(super) lock_timeout: Option<Duration>,
}

impl Emptying<'_> {
    /// Drops everything, a chunk at a time, so that no schema is too large for the lock table. Returns the row of the
    /// ledger that says so since the first of them, if there was anything.
    pub(super) async fn run(&self) -> Result<Option<i64>, Error> {
        let mut id = None;
        let known = self.members().await?;
        loop {
            let objects = contents(self.target, self.existing.oid).await?;
            if objects.is_empty() {
                return Ok(id);
            }
            self.refuse_additions(objects.iter().map(|object| object.address), &known)?;
            for chunk in objects.chunks(CHUNK) {
                id = Some(self.chunk(chunk, &known, id).await?);
            }
        }
    }

    /// Drops a chunk as soon as its locks can be had.
    async fn chunk(
        &self,
        chunk: &[Member],
        known: &HashSet<(u32, u32)>,
        id: Option<i64>,
    ) -> Result<i64, Error> {
        let started = Instant::now();
        loop {
            let error = match self.attempt(chunk, known, id).await {
                Ok(id) => return Ok(id),
                Err(error) => error,
            };
            if !self.target.is_closed() {
                self.target.batch("roll back", "ROLLBACK").await?;
            }
            if !matches!(error.sqlstate(), Some("55P03" | "40P01")) {
                return Err(error);
            }
            if self.lock_timeout.is_some_and(|limit| started.elapsed() >= limit) {
                return Err(self.locked(started.elapsed()).await?);
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    async fn attempt(
        &self,
        chunk: &[Member],
        known: &HashSet<(u32, u32)>,
        id: Option<i64>,
    ) -> Result<i64, Error> {
        let (target, schema) = (self.target, self.schema);
        target.batch("begin", &format!("BEGIN; {LOCK_ATTEMPT}")).await?;
        let first = id.is_none();
        let id = match id {
            Some(id) => id,
            // With the first drops: what was not touched stays protected.
            None => ledger::begin(target, self.entry, schema, self.recorded).await?,
        };
        become_owner(target, self.existing).await?;
        self.lock(chunk).await?;
        if let Some(load) = self.load {
            self.refuse_changes(load, chunk, first).await?;
        }
        let drops: Vec<String> = chunk.iter().map(Member::drop_statement).collect();
        target.batch("drop objects", &drops.join("; ")).await?;
        let objects = chunk.iter().map(|object| object.address);
        let gone = refuse_dependents(self.outside, self.unit, objects, Some(self.existing.oid)).await?;
        self.refuse_additions(gone.into_iter(), known)?;
        target.batch("commit", "RESET ROLE; COMMIT").await?;
        Ok(id)
    }

    /// Locks the tables of a chunk against everybody, without waiting.
    async fn lock(&self, chunk: &[Member]) -> Result<(), Error> {
        let oids: Vec<u32> = chunk.iter().map(|object| object.address.1).collect();
        let sql = include_str!("sql/lockable.sql");
        let rows = self.target.query("list tables to lock", sql, &[&oids]).await?;
        let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if tables.is_empty() {
            return Ok(());
        }
        let sql = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE NOWAIT", tables.join(", "));
        self.target.batch("lock tables", &sql).await
    }

    /// Refuses what was done to the schema since our load. What is dropped already does not count as a change.
    async fn refuse_changes(&self, load: &Load, chunk: &[Member], first: bool) -> Result<(), Error> {
        settle::wait(self.outside, load, self.lock_timeout).await?;
        let (target, oid) = (self.target, self.existing.oid);
        let changes = if first {
            load.changes(target, oid).await?
        } else {
            let objects: Vec<u32> = chunk.iter().map(|object| object.address.1).collect();
            load.writes(target, oid, Some(&objects)).await?
        };
        if changes.is_empty() {
            return Ok(());
        }
        Err(changed(self.schema, &changes))
    }

    /// Refuses if some objects of the schema were not there when it was looked at first.
    fn refuse_additions(
        &self,
        mut objects: impl Iterator<Item = (u32, u32)>,
        known: &HashSet<(u32, u32)>,
    ) -> Result<(), Error> {
        if self.load.is_some() && objects.any(|object| !known.contains(&object)) {
            return Err(changed(self.schema, &["something was added to it".to_owned()]));
        }
        Ok(())
    }

    /// What stands in the schema at the moment, by catalogue and OID.
    async fn members(&self) -> Result<HashSet<(u32, u32)>, Error> {
        let sql = "SELECT classid, objid FROM pg_catalog.pg_depend \
                   WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = $1";
        let rows = self
            .outside
            .query("list what the schema holds", sql, &[&self.existing.oid])
            .await?;
        Ok(rows
            .iter()
            .map(|row| (row.get("classid"), row.get("objid")))
            .collect())
    }

    /// Says who is in the way.
    async fn locked(&self, waited: Duration) -> Result<Error, Error> {
        let sql = include_str!("sql/holders.sql");
        let rows = self
            .outside
            .query("look who holds the locks", sql, &[&self.existing.oid])
            .await?;
        let holders: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(Error::Refused(Refused::transient(
            Side::Target,
            format!(
                "objects of schema \"{}\" could not be locked within LOCK_TIMEOUT ({} s): {}",
                self.schema,
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

/// Refuses a schema for what was done to it.
pub(super) fn changed(schema: &SchemaName, changes: &[String]) -> Error {
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
