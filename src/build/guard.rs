//! Rows go only into tables that the load has made: who owns the schema, or once did, may have put one of his own in a table's
//! place, and its triggers would run as the target's user.

use std::fmt::Write as _;

use crate::catalogue::Relation;
use crate::error::{Error, Refused};
use crate::ledger::Begun;
use crate::server::quoting::{quote_ident, quote_literal};
use crate::server::session::Session;

/// The server's code for a division by zero, which is how a statement of ours fails by itself.
const DIVISION_BY_ZERO: &str = "22012";

/// A statement that fails unless these tables stand in the schemas of these loads, whatever those are called by now, and they
/// and their partitions are the user's own, without triggers and rules but such as are disabled. To be run under a lock on them.
pub(crate) fn statement<'a>(tables: impl Iterator<Item = &'a Relation>, loads: &[Begun]) -> String {
    let schema = |table: &Relation| {
        let load = loads.iter().find(|load| load.schema.as_str() == table.schema);
        load.map_or(0, |load| load.schema_oid).to_string()
    };
    let (names, schemas): (Vec<String>, Vec<String>) = tables
        .map(|table| (quote_literal(&table.quoted()), schema(table)))
        .unzip();
    include_str!("sql/guard.sql")
        .replace("ARRAY[TABLES]", &format!("ARRAY[{}]", names.join(", ")))
        .replace("ARRAY[SCHEMAS]", &format!("ARRAY[{}]", schemas.join(", ")))
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

/// Begins a transaction in which nobody else can rename a schema that keeps its owner, or give it away: no lock stops that, but a
/// change of its entry in the catalogue that is never committed does. A grant changes that, even one by who may grant nothing.
/// Those that a load has made are its own.
pub(crate) fn begin(loads: &[Begun]) -> String {
    let mut sql = "BEGIN".to_owned();
    for load in loads.iter().filter(|load| load.adopted) {
        let name = quote_ident(load.schema.as_str());
        write!(sql, "; GRANT USAGE ON SCHEMA {name} TO CURRENT_USER").ok();
    }
    sql
}

/// What the failure of a statement among which [`statement`] was means.
pub(crate) fn explained(error: Error, target: &Session) -> Error {
    if error.sqlstate() != Some(DIVISION_BY_ZERO) {
        return error;
    }
    Error::Refused(Refused::occupied(
        target.side(),
        "somebody else has put a table in the place of one that was to be filled, or a trigger or a rule on it, or renamed its schema",
        "look who may own or change the schema; the next load makes all of it again",
    ))
}
