//! schemaferry moves one PostgreSQL schema from one server to another as one atomic, retryable unit.

mod archive;
mod config;
mod error;
mod preflight;
mod server;

fn main() {}
