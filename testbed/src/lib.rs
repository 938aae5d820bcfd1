//! What tests, demo and bench share: clusters, the demo warehouse, running the worker, the way between two hosts.
//!
//! Nothing here returns an error: a server that doesn't start or a statement that fails is a failed
//! test, and the panic says what was tried and what the server answered.
#![expect(
    clippy::disallowed_methods,
    reason = "spawning servers and reading the environment is what this crate is for"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed setup step is a failed test"
)]
#![expect(
    clippy::missing_panics_doc,
    reason = "everything here panics on failure: see the crate's own text"
)]

pub mod certificates;
pub mod cgroup;
pub mod cluster;
pub mod fargate;
pub mod faults;
pub mod ldap;
pub mod pgbouncer;
pub mod proxy;
pub mod psql;
pub mod secrets;
pub mod server;
pub mod states;
pub mod tmpfs;
pub mod warehouse;
pub mod worker;

pub use cluster::Cluster;
pub use fargate::{Account, Fate};
pub use ldap::Directory;
pub use pgbouncer::PgBouncer;
pub use proxy::Proxy;
pub use psql::Psql;
pub use secrets::SecretsManager;
pub use server::Server;
pub use states::Machine;
pub use tmpfs::Tmpfs;
pub use worker::{Output, Running, Worker};
