//! schemaferry moves one PostgreSQL schema from one server to another as one atomic, retryable unit.
fn main() {}
