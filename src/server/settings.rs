//! What sessions are set to: so that no limit ends a long load, statements mean one thing, and values travel in one form.

use std::time::Duration;

use crate::server::keepalive::{self, Traffic};
use crate::server::quoting::quote_literal;

/// A setting, its value, and the major from which servers know it: 0 where all that are served do.
type Setting = (&'static str, &'static str, u32);

/// Limits of the server's that could end a load, for every session and every client program.
const LIMITS: &[Setting] = &[
    ("statement_timeout", "0", 0),
    ("idle_in_transaction_session_timeout", "0", 0),
    ("idle_session_timeout", "0", 14),
    ("transaction_timeout", "0", 17),
    // A backend whose worker is gone notices within this time even while it computes.
    ("client_connection_check_interval", "2s", 14),
];

/// What would change the meaning of a statement that is written on one side and read on the other, whoever writes it.
const MEANING: &[Setting] = &[
    ("quote_all_identifiers", "off", 0),
    ("standard_conforming_strings", "on", 0),
    ("default_transaction_deferrable", "off", 0),
    ("default_transaction_isolation", "read committed", 0),
];

/// What only our own statements count on.
const OWN: &[Setting] = &[
    ("search_path", "", 0),
    ("client_encoding", "UTF8", 0),
    ("row_security", "off", 0),
    ("client_min_messages", "error", 0),
    // Rows come in their order, and the first that a scan finds is the first that there is.
    ("synchronize_seqscans", "off", 0),
    // Compiling a query over the catalogue takes longer than running it.
    ("jit", "off", 0),
    // What pg_dump's statements count on.
    ("check_function_bodies", "off", 0),
    ("default_table_access_method", "heap", 0),
];

/// How values are written as texts, and read: one form on both sides. What a server computes from values follows these
/// too, so a session that computes has its database's and role's own (`Session::compute`).
const TRANSPORT: &[Setting] = &[
    ("array_nulls", "on", 0),
    ("bytea_output", "hex", 0),
    ("datestyle", "ISO", 0),
    ("extra_float_digits", "3", 0),
    ("intervalstyle", "postgres", 0),
    ("lc_monetary", "C", 0),
    ("timezone", "UTC", 0),
    ("xmloption", "content", 0),
];

/// What of [`TRANSPORT`] the client programs do not set themselves, and what they compute does not follow.
const OF_PROGRAMS: [&str; 2] = ["array_nulls", "lc_monetary"];

/// The setting that makes a server speak English. Only some users may change it.
pub(super) const LC_MESSAGES: (&str, &str) = ("lc_messages", "C");

/// Settings of a new session, which waits for locks without limit where none is given. A server passes over those that it does
/// not have.
pub(super) fn of_session(traffic: Traffic, lock_timeout: Option<Duration>) -> Vec<(&'static str, String)> {
    let fixed = [LIMITS, MEANING, OWN, TRANSPORT].concat();
    let mut settings: Vec<_> = fixed
        .into_iter()
        .map(|(name, value, _)| (name, value.to_owned()))
        .collect();
    settings.extend(keepalive::settings(traffic));
    settings.push((LC_MESSAGES.0, LC_MESSAGES.1.to_owned()));
    let lock_timeout_ms = lock_timeout.map_or(0, |limit| limit.as_millis());
    settings.push(("lock_timeout", lock_timeout_ms.to_string()));
    settings
}

/// What a server lets its clients set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The major version, such as 15.
    pub(crate) major: u32,
    /// The user may set `lc_messages`.
    pub(crate) may_set_messages: bool,
}

/// `PGOPTIONS` of the client programs: a server refuses what it does not know.
pub(crate) fn of_programs(dialect: Dialect) -> String {
    let Dialect {
        major,
        may_set_messages,
    } = dialect;
    let transported = TRANSPORT.iter().filter(|(name, ..)| OF_PROGRAMS.contains(name));
    let known = [LIMITS, MEANING].concat();
    let known = known
        .iter()
        .chain(transported)
        .filter(|(.., since)| *since <= major);
    let messages = may_set_messages.then_some(LC_MESSAGES);
    let known = known.map(|(name, value, _)| (*name, (*value).to_owned()));
    // Rows pass on their connections.
    let alive = keepalive::settings(Traffic::RowsFrom);
    let messages = messages.map(|(name, value)| (name, value.to_owned()));
    let options: Vec<String> = known
        .chain(alive)
        .chain(messages)
        .map(|(name, value)| format!("-c {name}={}", value.replace(' ', "\\ ")))
        .collect();
    options.join(" ")
}

/// Statements that give a session the transport's settings, or back those of its database and role.
pub(super) fn transport(pinned: bool) -> String {
    let statements: Vec<String> = TRANSPORT
        .iter()
        .map(|(name, value, _)| {
            if pinned {
                format!("SET {name} = {}", quote_literal(value))
            } else {
                format!("RESET {name}")
            }
        })
        .collect();
    statements.join("; ")
}

/// The transport's settings with these names, each as SET (`LOCAL` or not) writes it.
pub(crate) fn assignments<'a>(names: &[&'a str]) -> impl Iterator<Item = String> + use<'a> {
    let names = names.to_vec();
    let wanted = TRANSPORT.iter().filter(move |(name, ..)| names.contains(name));
    wanted.map(|(name, value, _)| format!("{name} = {}", quote_literal(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_what_their_server_knows() {
        let options = |major, may_set_messages| {
            of_programs(Dialect {
                major,
                may_set_messages,
            })
        };
        let [old, new] = [13, 17].map(|major| options(major, false));
        assert!(!old.contains("idle_session_timeout") && !old.contains("transaction_timeout"));
        assert!(new.contains("-c transaction_timeout=0") && new.contains("-c tcp_user_timeout=0"));
        assert!(new.contains("-c default_transaction_isolation=read\\ committed"));
        // pg_restore computes generated columns under the database's own.
        assert!(!new.contains("timezone") && !new.contains("lc_messages"));
        assert!(options(17, true).ends_with("-c lc_messages=C"));
    }
}
