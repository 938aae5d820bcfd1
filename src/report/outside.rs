//! What lives outside of schemas and no load carries: a list to tick.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::Error;
use crate::server::session::Session;

/// Parameters by which statements mean or do something else, or that bound what an application may do.
const PARAMETERS: [&str; 28] = [
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "array_nulls",
    "autovacuum",
    "bytea_output",
    "data_checksums",
    "default_text_search_config",
    "default_toast_compression",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "idle_in_transaction_session_timeout",
    "jit",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "password_encryption",
    "row_security",
    "search_path",
    "session_replication_role",
    "statement_timeout",
    "wal_level",
    "xmloption",
];

/// The kind of parameters.
const PARAMETER: &str = "parameter";

/// One thing on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Item {
    pub(super) kind: String,
    pub(super) name: String,
    /// What is told of it on the source; `None` where it is not there.
    pub(super) source: Option<String>,
    pub(super) target: Option<String>,
    pub(super) same: bool,
}

impl Item {
    /// What both sides tell of it.
    pub(super) fn both(&self) -> String {
        let told = |side: &str, told: &str| {
            if told.is_empty() {
                format!("on the {side}")
            } else {
                format!("{side} {told}")
            }
        };
        match (&self.source, &self.target) {
            (Some(source), Some(_)) if self.same => source.clone(),
            (Some(source), Some(target)) => {
                format!("{}, {}", told("source", source), told("target", target))
            }
            (Some(source), None) => format!("{}, not on the target", told("source", source)),
            (None, target) => told("target", target.as_deref().unwrap_or_default()),
        }
    }
}

/// A kind and a name.
type Key = (String, String);

/// What a side has, each with what is told of it and what is compared.
#[derive(Debug, Default)]
pub(super) struct Side(BTreeMap<Key, (String, String)>);

impl Side {
    pub(super) async fn read(session: &Session) -> Result<Self, Error> {
        let action = "list what is outside of schemas";
        let mut rows = session
            .query(action, include_str!("sql/outside.sql"), &[])
            .await?;
        let names = PARAMETERS.as_slice();
        rows.extend(
            session
                .query(action, include_str!("sql/parameters.sql"), &[&names])
                .await?,
        );
        let has_jobs = session
            .query_one(
                action,
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = 'cron' AND c.relname = 'job' AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
                 AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))",
                &[],
            )
            .await?;
        if has_jobs.get(0) {
            rows.extend(session.query(action, include_str!("sql/jobs.sql"), &[]).await?);
        }
        Ok(Self(
            rows.iter()
                .map(|row| {
                    (
                        (row.get("kind"), row.get("name")),
                        (row.get("told"), row.get("compared")),
                    )
                })
                .collect(),
        ))
    }
}

/// Both sides beside each other. Of parameters, those that differ. Where the source was not asked, what the target has.
pub(super) fn compare(source: Option<&Side>, target: &Side) -> Vec<Item> {
    let Some(source) = source else {
        let items = target.0.iter().filter(|((kind, _), _)| kind != PARAMETER);
        return items.map(|(key, found)| item(key, None, Some(found))).collect();
    };
    let items = source
        .0
        .iter()
        .map(|(key, found)| item(key, Some(found), target.0.get(key)));
    items
        .filter(|item| item.kind != PARAMETER || !item.same && item.target.is_some())
        .collect()
}

fn item(key: &Key, source: Option<&(String, String)>, target: Option<&(String, String)>) -> Item {
    Item {
        kind: key.0.clone(),
        name: key.1.clone(),
        source: source.map(|found| found.0.clone()),
        target: target.map(|found| found.0.clone()),
        same: source
            .zip(target)
            .is_some_and(|(source, target)| source.1 == target.1),
    }
}
