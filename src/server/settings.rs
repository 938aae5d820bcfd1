//! What sessions are set to: so that no limit ends a long load, statements mean one thing, and values travel in one form.

use crate::server::quoting::quote_literal;

/// Settings of every session: no limit of the server's may end a long load, and our own statements mean one thing
/// everywhere. Settings that a server does not have are passed over; `lock_timeout` is the caller's.
pub(super) const SESSION: &[(&str, &str)] = &[
    ("search_path", ""),
    ("client_encoding", "UTF8"),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    // A backend whose worker is gone notices within this time even while it computes (14 and newer).
    ("client_connection_check_interval", "2s"),
    // The server's own look at a worker whose host or network has vanished: gone after a minute rather than hours.
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
    // Settings of the role or the database that would change what our statements mean.
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("client_min_messages", "error"),
    // Compiling a query over the catalogue takes longer than running it.
    ("jit", "off"),
    // What pg_dump's statements count on.
    ("check_function_bodies", "off"),
    ("default_table_access_method", "heap"),
];

/// Settings of a session that writes values as texts, or reads them: one form on both sides. What a server computes
/// from values follows them too, so a session that computes has its database's and role's own (`Session::compute`).
pub(super) const TRANSPORT: &[(&str, &str)] = &[
    ("array_nulls", "on"),
    ("bytea_output", "hex"),
    ("datestyle", "ISO"),
    ("extra_float_digits", "3"),
    ("intervalstyle", "postgres"),
    ("lc_monetary", "C"),
    ("timezone", "UTC"),
    ("xmloption", "content"),
];

/// The transport's settings with these names, each as SET (`LOCAL` or not) writes it.
pub(crate) fn assignments<'a>(names: &[&'a str]) -> impl Iterator<Item = String> + use<'a> {
    let names = names.to_vec();
    let wanted = TRANSPORT.iter().filter(move |(name, _)| names.contains(name));
    wanted.map(|(name, value)| format!("{name} = {}", quote_literal(value)))
}
