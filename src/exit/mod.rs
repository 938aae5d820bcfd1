//! From what happened to the exit code, and to what the operator should do: one place, and pure.

mod programs;
mod server;

use std::os::unix::process::ExitStatusExt;

use nix::libc::{SIGHUP, SIGINT, SIGKILL, SIGTERM};

use crate::error::{ConnectError, Error, Failure, Refusal, Refused, Stop};

/// The exit codes: append-only, documented in the README, chosen by what the operator should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Complete and checked, or already complete under this `RUN_ID`.
    Ok = 0,
    /// The command line.
    Usage = 64,
    /// The target refused a row or an object, or source and target differ.
    Data = 65,
    /// A bug, a panic, anything unclassified.
    Internal = 70,
    /// What is on the target is not ours to replace.
    Occupied = 73,
    /// Disk or lock table: a person makes room.
    Resources = 74,
    /// It passes by itself: run it again.
    Transient = 75,
    /// Authentication or a missing privilege.
    Denied = 77,
    /// Environment, versions, something that has to exist first.
    Config = 78,
    /// SIGINT obeyed.
    Interrupted = 130,
    /// SIGTERM obeyed.
    Terminated = 143,
}

impl Exit {
    /// Every code, in the README's order.
    pub(crate) const ALL: [Self; 11] = [
        Self::Ok,
        Self::Usage,
        Self::Data,
        Self::Internal,
        Self::Occupied,
        Self::Resources,
        Self::Transient,
        Self::Denied,
        Self::Config,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Whether another attempt with the same environment may end otherwise.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self, Self::Transient | Self::Interrupted | Self::Terminated)
    }

    /// The number that the process ends with.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The name in records and in the README.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Usage => "usage",
            Self::Data => "data",
            Self::Internal => "internal",
            Self::Occupied => "occupied",
            Self::Resources => "resources",
            Self::Transient => "transient",
            Self::Denied => "denied",
            Self::Config => "config",
            Self::Interrupted | Self::Terminated => "stopped",
        }
    }

    /// What to do, one sentence for the last record.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::Ok => "nothing",
            Self::Usage => "correct the command; --help lists them",
            Self::Data => {
                "change the data or the schema on the source, then run again; retrying alone does not help"
            }
            Self::Internal => "report this with the log; retrying does not help",
            Self::Occupied => {
                "decide what happens to what is on the target, as the reason says; retrying does not help"
            }
            Self::Resources => "make room as the reason says, then run again",
            Self::Transient | Self::Interrupted | Self::Terminated => {
                "run it again with the same environment"
            }
            Self::Denied => "correct the password or grant what the reason names, then run again",
            Self::Config => "correct what the reason names, then run again",
        }
    }
}

/// How far a run has come, as far as it matters for what an error means.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stage {
    /// Both servers have been reached before in this run.
    pub(crate) established: bool,
    /// Something may have been changed on the target already; never for a command that changes nothing.
    pub(crate) changing: bool,
}

impl Stage {
    /// What a load is at while it moves.
    pub(crate) const CHANGING: Self = Self {
        established: true,
        changing: true,
    };
}

/// The code for an error.
pub(crate) fn classify(error: &Error, stage: Stage) -> Exit {
    let Stage { established, .. } = stage;
    match error {
        Error::Help(_) => Exit::Ok,
        Error::Usage(_) => Exit::Usage,
        Error::Config(_) => Exit::Config,
        Error::Preflight(refused) => {
            // The gravest decides: what a person has to do first, rather than what passes by itself.
            refused
                .iter()
                .max_by_key(|one| one.refusal)
                .map_or(Exit::Internal, |worst| refusal(worst.refusal))
        }
        Error::Secret { refusal: kind, .. }
        | Error::Token { refusal: kind, .. }
        | Error::Bucket { refusal: kind, .. }
        | Error::Refused(Refused { refusal: kind, .. }) => refusal(*kind),
        Error::Connect { source, .. } => connect(source, established),
        Error::Postgres { side, failure, .. } => match failure {
            Failure::Reported(response) => server::reported(*side, response, stage),
            Failure::Lost(_) => Exit::Transient,
            Failure::Unread(_) => Exit::Internal,
        },
        Error::Program { status, words, .. } => match status.signal() {
            // Someone else's kill; a crash is a bug.
            Some(SIGHUP | SIGINT | SIGKILL | SIGTERM) => Exit::Transient,
            Some(_) => Exit::Internal,
            None => programs::meaning_of(words, established),
        },
        Error::Archive(_) | Error::Panic(_) | Error::Internal(_) => Exit::Internal,
        Error::Differ(_) => Exit::Data,
        Error::Spawn { source, .. } | Error::File { source, .. } => file(source),
        Error::Stopped(stop) => match stop {
            Stop::Interrupt => Exit::Interrupted,
            Stop::Terminate(_) => Exit::Terminated,
            Stop::Deadline(_)
            | Stop::Stalled { .. }
            | Stop::LockWait { .. }
            | Stop::LockLost(_)
            | Stop::SnapshotLost(_)
            | Stop::Renamed(_)
            | Stop::Redefined(_)
            | Stop::Resumed(_) => Exit::Transient,
        },
    }
}

fn refusal(kind: Refusal) -> Exit {
    match kind {
        Refusal::Transient => Exit::Transient,
        Refusal::Resources => Exit::Resources,
        Refusal::Data => Exit::Data,
        Refusal::Occupied => Exit::Occupied,
        Refusal::Denied => Exit::Denied,
        Refusal::Config => Exit::Config,
    }
}

fn connect(error: &ConnectError, established: bool) -> Exit {
    match error {
        ConnectError::Resolve { again, .. } => {
            if *again || established {
                Exit::Transient
            } else {
                Exit::Config
            }
        }
        ConnectError::Io { .. } | ConnectError::Timeout { .. } | ConnectError::Handshake(_) => {
            Exit::Transient
        }
        ConnectError::NoPassword | ConnectError::Authentication(_) => Exit::Denied,
        ConnectError::TlsUnsupported
        | ConnectError::Certificate(_)
        | ConnectError::RootCertificate { .. }
        | ConnectError::Pooled => Exit::Config,
    }
}

fn file(error: &std::io::Error) -> Exit {
    use nix::libc::{EAGAIN, EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC};
    match error.raw_os_error() {
        Some(ENOSPC | EDQUOT | EMFILE | ENFILE) => Exit::Resources,
        Some(EAGAIN | ENOMEM) => Exit::Transient,
        _ => Exit::Config,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_belongs_to_the_shell_the_runtime_or_the_kernel() {
        for exit in Exit::ALL {
            assert!(![1, 2, 101, 125, 126, 127, 134, 137, 139].contains(&exit.code()));
        }
    }
}
