//! Rows go only into tables that the load has made: who owns the schema, or once did, may have put one of his own in a table's
//! place, and its triggers would run as the target's user.

use crate::catalogue::Relation;
use crate::error::{Error, Refused};
use crate::server::quoting::quote_literal;
use crate::server::session::Session;

/// The server's code for a division by zero, which is how a statement of ours fails by itself.
const DIVISION_BY_ZERO: &str = "22012";

/// A statement that fails unless these tables and their partitions are the user's own, without triggers and rules. To be run
/// under a lock on them.
pub(crate) fn statement<'a>(tables: impl Iterator<Item = &'a Relation>) -> String {
    let names: Vec<String> = tables.map(|table| quote_literal(&table.quoted())).collect();
    include_str!("sql/guard.sql").replace("ARRAY[TABLES]", &format!("ARRAY[{}]", names.join(", ")))
}

/// Locks for that: as writing rows takes them, or `alone`.
pub(crate) fn lock<'a>(tables: impl Iterator<Item = &'a Relation>, alone: bool) -> String {
    let names: Vec<String> = tables.map(|table| format!("ONLY {}", table.quoted())).collect();
    let mode = if alone {
        "ACCESS EXCLUSIVE"
    } else {
        "ROW EXCLUSIVE"
    };
    format!("LOCK TABLE {} IN {mode} MODE", names.join(", "))
}

/// What the failure of a statement among which [`statement`] was means.
pub(crate) fn explained(error: Error, target: &Session) -> Error {
    if error.sqlstate() != Some(DIVISION_BY_ZERO) {
        return error;
    }
    Error::Refused(Refused::occupied(
        target.side(),
        "somebody else has put a table in the place of one that was to be filled, or a trigger or a rule on it",
        "look who may own or change the schema; the next load makes all of it again",
    ))
}

/// Refuses tables that are not as the load has made them.
pub(crate) async fn check<'a>(
    target: &Session,
    tables: impl Iterator<Item = &'a Relation>,
) -> Result<(), Error> {
    let checked = target.batch("look at the tables", &statement(tables)).await;
    checked.map_err(|error| explained(error, target))
}
