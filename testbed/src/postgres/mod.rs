//! Servers, and what stands directly before or beside one.

mod certificates;
pub mod cluster;
pub mod pgbouncer;
pub mod psql;
pub mod server;
pub mod warehouse;
