//! Foreign keys that leave their units: what `finalize` is to make, and what it has made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalogue::ForeignKey;
use crate::config::{SchemaName, Schemas};
use crate::error::{Error, Refused};
use crate::ledger::{Load, form, write};
use crate::server::session::Session;

/// A foreign key as a load has left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deferred {
    pub(crate) foreign_key: ForeignKey,
    /// The archive's statements: what adds the key, then its comments.
    pub(crate) statements: Vec<String>,
    /// OID of the constraint that `finalize` has made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oid: Option<u32>,
}

impl Deferred {
    /// Foreign keys that leave a unit, by their OIDs on the source, with the archive's statements, which decide the order.
    pub(crate) fn of(mut leaving: BTreeMap<u32, ForeignKey>, statements: &[(u32, Vec<String>)]) -> Vec<Self> {
        let deferred = |(oid, statements): &(u32, Vec<String>)| {
            Some(Self {
                foreign_key: leaving.remove(oid)?,
                statements: statements.clone(),
                oid: None,
            })
        };
        statements.iter().filter_map(deferred).collect()
    }
}

/// With those that are there noted as made.
pub(crate) async fn still_made(
    target: &Session,
    mut deferred: Vec<Deferred>,
) -> Result<Vec<Deferred>, Error> {
    let keys = deferred.iter().map(|one| &one.foreign_key);
    let tables = keys.clone().map(|key| &key.table);
    let schemas: Vec<&str> = tables.clone().map(|table| table.schema.as_str()).collect();
    let tables: Vec<&str> = tables.map(|table| table.name.as_str()).collect();
    let names: Vec<&str> = keys.map(|key| key.name.as_str()).collect();
    let sql = include_str!("sql/still_made.sql");
    let rows = target
        .query("look for foreign keys", sql, &[&schemas, &tables, &names])
        .await?;
    for (one, row) in deferred.iter_mut().zip(rows) {
        one.oid = row.get("oid");
    }
    Ok(deferred)
}

/// All statements of some.
pub(crate) fn statements<'a>(deferred: impl IntoIterator<Item = &'a Deferred>) -> Vec<String> {
    let statements = deferred.into_iter().flat_map(|one| &one.statements);
    statements.cloned().collect()
}

/// The OIDs among what a row has deferred.
pub(super) fn made(deferred: &Value) -> Vec<u32> {
    let keys = deferred.as_array().into_iter().flatten();
    keys.filter_map(|key| u32::try_from(key.get("oid")?.as_u64()?).ok())
        .collect()
}

impl Load {
    /// The foreign keys that leave the schema.
    pub(crate) fn deferred(&self, target: &Session) -> Result<Vec<Deferred>, Error> {
        serde_json::from_value(self.deferred.clone()).map_err(|_unreadable| {
            Error::Refused(Refused::config(
                target.side(),
                format!("what the load of schema \"{}\" has deferred was written by another release", self.schema),
                format!("load it again, or create it by hand: SELECT deferred FROM schemaferry.load WHERE id = {}", self.id),
            ))
        })
    }
}

/// Notes in a row the constraint that was made of a foreign key. Runs in the transaction that has made it.
pub(crate) async fn note_made(target: &Session, load: i64, key: &ForeignKey, oid: u32) -> Result<(), Error> {
    let sql = include_str!("sql/made.sql");
    write(target, sql, &[&load, &json!(key), &oid], 1).await
}

/// Every schema that loads were made into, and that is there or was taken down to be loaded again.
pub(crate) async fn awaited(target: &Session) -> Result<Schemas, Error> {
    if !form::look(target).await?.is_there {
        return Ok(Schemas::default());
    }
    let sql = include_str!("sql/awaited.sql");
    let rows = target.query("read the ledger", sql, &[]).await?;
    Ok(rows.iter().map(|row| SchemaName::of_ledger(row.get(0))).collect())
}

/// OIDs of all foreign keys that `finalize` has made in schemas that are not sealed.
pub(crate) async fn foreign_keys(target: &Session) -> Result<Vec<u32>, Error> {
    if !form::look(target).await?.is_there {
        return Ok(Vec::new());
    }
    let sql = include_str!("sql/foreign_keys.sql");
    let rows = target.query("read the ledger", sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Gives back to `finalize` what it has made and is gone. Runs in the transaction in which it went.
pub(crate) async fn defer_again(target: &Session) -> Result<(), Error> {
    let sql = include_str!("sql/defer_again.sql");
    target.execute("write the ledger", sql, &[]).await.map(|_| ())
}
