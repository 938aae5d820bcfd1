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

pub mod attacks;
mod aws;
pub mod faults;
mod machine;
mod network;
mod postgres;
pub mod work;
pub mod worker;

pub use aws::bucket::Bucket;
pub use aws::fargate::{Account, Fate};
pub use aws::ldap::Directory;
pub use aws::secrets::SecretsManager;
pub use aws::states::Machine;
pub use aws::{bucket, docker, fargate, ldap, policy, secrets, states, template};
pub use machine::tmpfs::Tmpfs;
pub use machine::{cgroup, tmpfs};
pub use network::proxy;
pub use network::proxy::Proxy;
pub use postgres::cluster::Cluster;
pub use postgres::pgbouncer::PgBouncer;
pub use postgres::psql::Psql;
pub use postgres::server::Server;
pub use postgres::{cluster, pgbouncer, psql, server, warehouse};
pub use worker::{Output, Running, Worker};
