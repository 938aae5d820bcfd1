//! Foreign keys that leave their schemas: what the target holds of each, what adds it, and what validates it.

use crate::build::constraints;
use crate::config::{SchemaName, Schemas};
use crate::error::{self, Error, Refused, Side, Stop};
use crate::exit::{self, Exit, Stage};
use crate::ledger::{self, Deferred};
use crate::lock::Lock;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// A foreign key that a load has left, and what the target holds of it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each by itself")]
pub(crate) struct Key {
    /// The load's row of the ledger.
    load: i64,
    pub(crate) deferred: Deferred,
    /// What was made of it is there.
    pub(crate) made: bool,
    validated: bool,
    /// A constraint of its name is there.
    pub(super) in_the_way: bool,
    /// The table that it references is there.
    pub(super) has_referenced: bool,
    pub(super) bytes: i64,
    /// The role that has to be taken first.
    owner: Option<String>,
    /// The statements that permit to add it, if both tables are there.
    permits: Option<String>,
}

/// Looks at the foreign keys that some loads have left.
pub(crate) async fn look(target: &Session, deferred: Vec<(i64, Deferred)>) -> Result<Vec<Key>, Error> {
    let keys = || deferred.iter().map(|(_, one)| &one.foreign_key);
    let schemas: Vec<&str> = keys().map(|key| key.table.schema.as_str()).collect();
    let tables: Vec<&str> = keys().map(|key| key.table.name.as_str()).collect();
    let names: Vec<&str> = keys().map(|key| key.name.as_str()).collect();
    let referenced_schemas: Vec<&str> = keys().map(|key| key.references.schema.as_str()).collect();
    let referenced: Vec<&str> = keys().map(|key| key.references.name.as_str()).collect();
    let made: Vec<u32> = deferred.iter().map(|(_, one)| one.oid.unwrap_or(0)).collect();
    let sql = include_str!("sql/keys.sql");
    let rows = target
        .query(
            "look at foreign keys",
            sql,
            &[&schemas, &tables, &names, &referenced_schemas, &referenced, &made],
        )
        .await?;
    let key = |((load, deferred), row): ((i64, Deferred), &tokio_postgres::Row)| Key {
        load,
        deferred,
        made: row.get("made"),
        validated: row.get("validated"),
        in_the_way: row.get("in_the_way"),
        has_referenced: row.get("has_referenced"),
        bytes: row.get("bytes"),
        owner: row.get("owner"),
        permits: row.get("permits"),
    };
    Ok(deferred.into_iter().zip(&rows).map(key).collect())
}

impl Key {
    /// The schema that it stands in, and the one that it references.
    pub(super) fn ends(&self) -> [SchemaName; 2] {
        let key = &self.deferred.foreign_key;
        [&key.table, &key.references].map(|end| SchemaName::of_ledger(end.schema.clone()))
    }

    /// Whether both ends are among some schemas.
    pub(super) fn is_within(&self, schemas: &Schemas) -> bool {
        let names = schemas.names();
        self.ends().iter().all(|end| names.contains(&end.as_str()))
    }

    /// Whether it is to be validated, once it is there.
    pub(crate) fn to_validate(&self) -> bool {
        self.deferred.foreign_key.validated && !self.validated && !self.in_one()
    }

    /// Whether it is validated as it is added: see [`constraints::foreign_key`].
    fn in_one(&self) -> bool {
        self.deferred.foreign_key.partitioned
    }

    /// As records and messages have it.
    pub(crate) fn name(&self) -> String {
        let key = &self.deferred.foreign_key;
        format!("{} of {}", quote_ident(&key.name), key.table.quoted())
    }

    /// Adds it, which the ledger says from then on.
    pub(super) async fn add(&self, session: &Session, lock: &Lock) -> Result<(), Error> {
        let added = self.add_in_transaction(session, lock).await;
        if added.is_err() && !session.is_closed() {
            session.batch("roll back", "ROLLBACK").await?;
        }
        added
    }

    async fn add_in_transaction(&self, session: &Session, lock: &Lock) -> Result<(), Error> {
        const MADE: &str = "SELECT k.oid FROM pg_catalog.pg_constraint k \
                            JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
                            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                            WHERE n.nspname = $1 AND c.relname = $2 AND k.conname = $3";
        let key = &self.deferred.foreign_key;
        let action = format!("add foreign key {}", self.name());
        let mut statements = self.deferred.statements.clone();
        if let Some(first) = statements.first_mut().filter(|_| key.validated && !self.in_one()) {
            *first = constraints::in_two(first, &key.table.quoted(), &key.name).0;
        }
        session.batch("begin", "BEGIN").await?;
        session
            .batch(&action, &self.as_owner(&statements.join("; ")))
            .await?;
        let row = session
            .query_one(&action, MADE, &[&key.table.schema, &key.table.name, &key.name])
            .await?;
        ledger::note_made(session, self.load, key, row.get(0)).await?;
        if !lock.is_held() {
            return Err(Error::Stopped(Stop::LockLost("no heartbeat".to_owned())));
        }
        session.batch(&action, "COMMIT").await
    }

    /// Validates it.
    pub(super) async fn validate(&self, session: &Session) -> Result<(), Error> {
        let key = &self.deferred.foreign_key;
        let (_, validate) = constraints::in_two("", &key.table.quoted(), &key.name);
        let action = format!("validate foreign key {}", self.name());
        session.batch(&action, &self.as_owner(&validate)).await
    }

    fn as_owner(&self, sql: &str) -> String {
        match &self.owner {
            None => sql.to_owned(),
            Some(owner) => format!("SET ROLE {}; {sql}; RESET ROLE", quote_ident(owner)),
        }
    }

    /// How many rows have no match.
    async fn orphans(&self, session: &Session) -> Result<i64, Error> {
        let sql = format!(
            "SELECT pg_catalog.count(*) FROM ({}) o",
            self.deferred.foreign_key.orphans
        );
        if let Some(owner) = &self.owner {
            let role = format!("SET ROLE {}", quote_ident(owner));
            session.batch("take the owner's role", &role).await?;
        }
        let counted = session.query_one("count orphans", &sql, &[]).await;
        session.batch("take our own role again", "RESET ROLE").await?;
        Ok(counted?.get(0))
    }

    /// Why it is not as it should be, where an error is about it alone: the others go on.
    pub(super) async fn refused(&self, session: &Session, error: Error) -> Result<Refused, Error> {
        const ORPHANS: &str = "23503";
        let name = self.name();
        if error.sqlstate() == Some(ORPHANS) {
            let count = self.orphans(session).await?;
            let referenced = self.deferred.foreign_key.references.quoted();
            let what = if self.in_one() {
                "is not added"
            } else {
                "stays not valid"
            };
            let reason = format!("foreign key {name} {what}: {count} rows have no match in {referenced}");
            return Ok(Refused::data(
                Side::Target,
                reason,
                &self.deferred.foreign_key.orphans,
            ));
        }
        let reason = error::chain(&error);
        match exit::classify(&error, Stage::CHANGING) {
            Exit::Data => Ok(Refused::data(
                Side::Target,
                reason,
                "correct that and run finalize again",
            )),
            Exit::Denied => {
                let permits = self.permits.as_deref().unwrap_or_default();
                Ok(Refused::denied(Side::Target, reason, permits))
            }
            Exit::Ok
            | Exit::Usage
            | Exit::Internal
            | Exit::Occupied
            | Exit::Resources
            | Exit::Transient
            | Exit::Config
            | Exit::Interrupted
            | Exit::Terminated => Err(error),
        }
    }
}
