//! Everything that can end a run, each with what an operator needs to act on it.
//!
//! Errors are returned and logged exactly once, in `outcome.rs`. This module says what happened; which exit
//! code follows is decided in `exit/` alone. There is no `From<tokio_postgres::Error>`: every database
//! call names its side and its action, because the error itself cannot know them.

mod failure;
pub(crate) mod words;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::word;

use crate::error::failure::withhold_quoted;
pub(crate) use crate::error::failure::{ErrorResponse, Failure};
use crate::error::words::Words;

/// The server that a connection, a program or an error belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    Source,
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// A client program of PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    PgDump,
    PgRestore,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PgDump => "pg_dump",
            Self::PgRestore => "pg_restore",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that is wrong with the environment, named by its variable. Never holds a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) variable: String,
    pub(crate) reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable, self.reason)
    }
}

/// Why something was refused, in the words of the contract's exit codes; `exit/` gives each its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// Another worker, a schema that is still loading, connections in use: it passes by itself.
    Transient,
    /// Room that a person has to make: lock table, disk.
    Resources,
    /// Rows that the target does not take, or an object.
    Data,
    /// What is on the target is not ours to replace.
    Occupied,
    /// A privilege that is missing.
    Denied,
    /// The environment, a server's kind or version, an object that has to exist first.
    Config,
}

/// What stands in the way, and what takes it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) side: Side,
    /// What is wrong, a lowercase fragment.
    pub(crate) reason: String,
    /// The statement or setting that cures it; empty where only a person can tell.
    pub(crate) hint: String,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $refusal:ident;)*) => {
        impl Refused {
            $($(#[$doc])*
            pub(crate) fn $name(side: Side, reason: impl Into<String>, hint: impl Into<String>) -> Self {
                Self {
                    refusal: Refusal::$refusal,
                    side,
                    reason: reason.into(),
                    hint: hint.into(),
                }
            })*
        }
    };
}

refusals! {
    /// What passes by itself.
    transient: Transient;
    /// Room that a person has to make.
    resources: Resources;
    /// Rows that the target does not take, or an object.
    data: Data;
    /// What is on the target is not ours to replace.
    occupied: Occupied;
    /// A privilege that is missing.
    denied: Denied;
    /// The environment, a server's kind or version, an object that has to exist first.
    config: Config;
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.side, self.reason)?;
        if !self.hint.is_empty() {
            write!(f, " (hint: {})", self.hint)?;
        }
        Ok(())
    }
}

/// What asked a run to stop before it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGINT.
    Interrupt,
    /// SIGTERM, or another signal that asks for the same.
    Terminate(&'static str),
    /// `MAX_RUNTIME` has passed.
    Deadline(Duration),
    /// Nothing moved for `STALL_TIMEOUT`; the text says what each backend was waiting for.
    Stalled { after: Duration, waits: String },
    /// A backend of the run waited longer than `LOCK_TIMEOUT` for a lock; the text names who holds it.
    LockWait { side: Side, holder: String },
    /// The session that holds the advisory lock is gone, so another worker may take the schema.
    LockLost(String),
    /// The session that exported the snapshot is gone.
    SnapshotLost(String),
    /// A name of the source stands for another relation than the one that was locked, or did so meanwhile.
    Renamed(String),
    /// Definitions of the source have changed since the snapshot; the text is what came of it.
    Redefined(String),
    /// A load that has kept what an interrupted one had left did not come to its end; the text is how it ended.
    Resumed(String),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupt => f.write_str("stopped by SIGINT"),
            Self::Terminate(signal) => write!(f, "stopped by {signal}"),
            Self::Deadline(limit) => {
                write!(
                    f,
                    "not done within MAX_RUNTIME ({})",
                    humantime::format_duration(*limit)
                )
            }
            Self::Stalled { after, waits } => write!(
                f,
                "nothing moved for STALL_TIMEOUT ({}): {waits}",
                humantime::format_duration(*after)
            ),
            Self::LockWait { side, holder } => {
                write!(
                    f,
                    "waited longer than LOCK_TIMEOUT for a lock on the {side}, held by {holder}"
                )
            }
            Self::LockLost(why) => write!(f, "the session that holds the schema's lock was lost: {why}"),
            Self::SnapshotLost(why) => write!(f, "the session that exported the snapshot was lost: {why}"),
            Self::Renamed(table) => write!(
                f,
                "{table} is another table on the source than the one that was locked: something was renamed meanwhile"
            ),
            Self::Redefined(outcome) => {
                write!(
                    f,
                    "definitions of the source were changed during the load, which then ended: {outcome}"
                )
            }
            Self::Resumed(outcome) => write!(
                f,
                "the load has kept what an interrupted one had left, and cannot end so, the next one keeps nothing: {outcome}"
            ),
        }
    }
}

/// How a connection failed before the server could say anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("host name {host} cannot be resolved")]
    Resolve {
        host: String,
        /// The resolver says that it may know later (`EAI_AGAIN`).
        again: bool,
        #[source]
        source: io::Error,
    },
    #[error("cannot reach {address}")]
    Io {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error("no connection to {address} within {}", humantime::format_duration(*limit))]
    Timeout { address: String, limit: Duration },
    #[error("the server does not support TLS, but sslmode demands it")]
    TlsUnsupported,
    #[error("the server's certificate is not accepted: {0}")]
    Certificate(String),
    #[error("the TLS handshake was cut")]
    Handshake(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("sslrootcert {}: {reason}", path.display())]
    RootCertificate { path: PathBuf, reason: String },
    #[error("the server asks for a password, and none is given")]
    NoPassword,
    #[error("the server's way of authentication is not supported, or its answer is wrong: {0}")]
    Authentication(String),
    #[error("the endpoint hands each statement to another backend (a transaction pooler or proxy)")]
    Pooled,
}

/// What ended a run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What was asked for instead of a run: `--help`, `--version`.
    #[error("{0}")]
    Help(String),
    /// The command line, with how it should be.
    #[error("{}", .0.trim_start_matches("error: ").lines().next().unwrap_or_default())]
    Usage(String),
    #[error("invalid configuration: {}", join(.0))]
    Config(Vec<Problem>),
    #[error("the {side}'s secret {secret_id}: {reason}")]
    Secret {
        side: Side,
        secret_id: String,
        /// Code and message of the service, or what is wrong with the secret's form; never its value.
        reason: String,
        /// Transient: throttling, a service error, an unreachable endpoint; denied: what IAM refuses.
        refusal: Refusal,
    },
    #[error("no token of IAM for the {side}: {reason}")]
    Token {
        side: Side,
        /// What is wrong with the AWS credentials; never a part of them.
        reason: String,
        refusal: Refusal,
    },
    #[error("nothing can be put into the bucket {bucket}: {reason}")]
    Bucket {
        bucket: String,
        reason: String,
        refusal: Refusal,
    },
    #[error("refused: {}", join(.0))]
    Preflight(Vec<Refused>),
    #[error("failed to connect to the {side}")]
    Connect {
        side: Side,
        #[source]
        source: ConnectError,
    },
    #[error("failed to {action} on the {side}: {failure}")]
    Postgres {
        side: Side,
        action: String,
        failure: Failure,
    },
    #[error("{}", .0)]
    Refused(Refused),
    #[error("failed to start {program}")]
    Spawn {
        program: Program,
        #[source]
        source: io::Error,
    },
    #[error("{program} ended with {status}: {reason}")]
    Program {
        program: Program,
        /// The side that the message speaks of.
        side: Side,
        status: std::process::ExitStatus,
        /// The lines of standard error that name the cause, without row values.
        reason: String,
        /// The same, by who said them.
        words: Vec<Words>,
    },
    #[error("the archive is not readable: {0}")]
    Archive(String),
    /// Every difference; the message names the first.
    #[error("source and target differ: {}", first(.0))]
    Differ(Vec<String>),
    #[error("failed to {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Stopped(Stop),
    #[error("the worker panicked: {0}")]
    Panic(String),
    #[error("unexpected: {0}")]
    Internal(String),
}

impl Error {
    /// Whether a server forbids a question, or has no answer to it, rather than being in trouble.
    pub(crate) fn is_unanswerable(&self) -> bool {
        // Insufficient privilege, undefined function, feature not supported, not in prerequisite state.
        const CODES: [&str; 4] = ["42501", "42883", "0A000", "55000"];
        self.sqlstate().is_some_and(|code| CODES.contains(&code))
    }

    /// As [`Self::is_unanswerable`], of a question that reads nothing: a vendor's own server may refuse it as an internal error.
    pub(crate) fn is_withheld(&self) -> bool {
        self.is_unanswerable() || self.sqlstate() == Some("XX000")
    }

    /// Undefined table, function, type or operator, column: what another search path may cure.
    pub(crate) fn is_name_not_found(&self) -> bool {
        matches!(
            self.sqlstate(),
            Some("42P01" | "42883" | "42704" | "42703" | "3F000")
        )
    }

    /// The SQLSTATE, where a server gave one.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Postgres { failure, .. } => Some(failure.response()?.sqlstate.as_str()),
            Self::Help(_)
            | Self::Usage(_)
            | Self::Config(_)
            | Self::Secret { .. }
            | Self::Token { .. }
            | Self::Bucket { .. }
            | Self::Preflight(_)
            | Self::Connect { .. }
            | Self::Refused(_)
            | Self::Spawn { .. }
            | Self::Program { .. }
            | Self::Archive(_)
            | Self::Differ(_)
            | Self::File { .. }
            | Self::Stopped(_)
            | Self::Panic(_)
            | Self::Internal(_) => None,
        }
    }

    /// An error that holds every difference, unless there is none.
    pub(crate) fn unless_equal(differences: Vec<String>) -> Result<(), Self> {
        if differences.is_empty() {
            Ok(())
        } else {
            Err(Self::Differ(differences))
        }
    }

    /// The side that failed, where there is one.
    pub(crate) fn side(&self) -> Option<Side> {
        match self {
            Self::Secret { side, .. }
            | Self::Token { side, .. }
            | Self::Connect { side, .. }
            | Self::Postgres { side, .. }
            | Self::Program { side, .. }
            | Self::Refused(Refused { side, .. })
            | Self::Stopped(Stop::LockWait { side, .. }) => Some(*side),
            Self::Preflight(refused) => refused.first().map(|first| first.side),
            Self::Stopped(Stop::LockLost(_)) => Some(Side::Target),
            Self::Stopped(Stop::SnapshotLost(_) | Stop::Renamed(_) | Stop::Redefined(_)) => {
                Some(Side::Source)
            }
            Self::Help(_)
            | Self::Usage(_)
            | Self::Config(_)
            | Self::Bucket { .. }
            | Self::Spawn { .. }
            | Self::Archive(_)
            | Self::Differ(_)
            | Self::File { .. }
            | Self::Stopped(_)
            | Self::Panic(_)
            | Self::Internal(_) => None,
        }
    }
}

/// `a: b: c`, the error and its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// The first of the differences.
fn first(differences: &[String]) -> String {
    const NAMED_MAX: usize = 20;
    word::some_of(differences, NAMED_MAX, "; ")
}

fn join<T: fmt::Display>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
