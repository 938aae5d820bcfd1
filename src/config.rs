//! The environment, read once and checked whole: every problem is reported, each by its variable's name.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::preflight::hazard::Hazard;
use crate::server::{SslMode, SslRootCert};

/// A schema's name, literal: case is kept and nothing is a pattern. At most 63 bytes, never a system schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SchemaName(String);

impl SchemaName {
    /// The name as the catalogue holds it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// `pg_dump | pg_restore`.
    Pipe,
}

/// How far a load is checked before it counts as complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Exact counts, sequences, the set of objects.
    Rows,
    None,
}

/// Whether owners, grants, default privileges and policies' roles are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privileges {
    Keep,
    /// Everything belongs to the target user.
    Skip,
}

/// What happens to a schema that the target already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnExisting {
    /// Only what a load of ours made, and only while it is as that load left it.
    Own,
    /// Only leftovers of the same RUN_ID.
    Fail,
    /// Whatever is there, unless it is sealed.
    Replace,
}

/// Where a side's password comes from.
#[derive(Debug, Clone)]
pub(crate) enum PasswordSource {
    None,
    Value(SecretString),
    File(PathBuf),
    /// Name or ARN of a secret of Secrets Manager.
    Secret(String),
}

/// One side as the environment describes it; what a secret may supply is still open.
#[derive(Debug, Clone)]
pub(crate) struct ServerConfig {
    /// `None` only if a secret is named, which then has to hold `host`.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) dbname: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: PasswordSource,
    pub(crate) sslmode: SslMode,
    pub(crate) sslrootcert: Option<SslRootCert>,
}

/// `LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// JSON unless standard output is a terminal.
    Auto,
    Json,
    Text,
}

/// The checked environment of one run.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// In the order given, without repetition; they move together under one snapshot.
    pub(crate) schemas: Vec<SchemaName>,
    pub(crate) source: ServerConfig,
    pub(crate) target: ServerConfig,
    pub(crate) method: Method,
    pub(crate) verify: Verify,
    pub(crate) privileges: Privileges,
    /// Role on the source, role on the target.
    pub(crate) role_map: Vec<(String, String)>,
    pub(crate) on_existing: OnExisting,
    pub(crate) accept: BTreeSet<Hazard>,
    pub(crate) run_id: Option<String>,
    pub(crate) max_runtime: Option<Duration>,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) wait_timeout: Duration,
    /// The directory under which the run's private directory is made.
    pub(crate) run_dir: PathBuf,
    pub(crate) log_level: tracing::Level,
    pub(crate) log_format: LogFormat,
    /// `PATH`, searched for client programs.
    pub(crate) path: String,
    /// Variables that belong to the other METHOD, noted at the start.
    pub(crate) unused: Vec<String>,
}
