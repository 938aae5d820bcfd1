//! schemaferry moves one PostgreSQL schema from one server to another as one atomic, retryable unit.

#![expect(dead_code, reason = "the modules are wired together one by one")]

mod archive;
mod config;
mod error;
mod exit;
mod preflight;
mod server;
mod shutdown;
mod source;
mod target;

fn main() {}
