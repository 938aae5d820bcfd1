//! From what happened to the exit code, and to what the operator should do: one place, and pure.

use std::os::unix::process::ExitStatusExt;

use nix::libc::{SIGHUP, SIGINT, SIGKILL, SIGTERM};

use crate::error::{ConnectError, Error, ErrorResponse, Failure, Refusal, Refused, Side, Stop};

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
            Self::Occupied => "decide what happens to the schema on the target; ON_EXISTING=replace takes it",
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
        Error::Config(_) | Error::Spawn { .. } => Exit::Config,
        Error::Preflight(refused) => {
            // The gravest decides: what a person has to do first, rather than what passes by itself.
            refused
                .iter()
                .max_by_key(|one| one.refusal)
                .map_or(Exit::Internal, |worst| refusal(worst.refusal))
        }
        Error::Secret { refusal: kind, .. }
        | Error::Token { refusal: kind, .. }
        | Error::Refused(Refused { refusal: kind, .. }) => refusal(*kind),
        Error::Connect { source, .. } => connect(source, established),
        Error::Postgres { side, failure, .. } => match failure {
            Failure::Reported(response) => reported(*side, response, stage),
            Failure::Lost(_) => Exit::Transient,
            Failure::Unread(_) => Exit::Internal,
        },
        Error::Program { status, reason, .. } => match status.signal() {
            // Someone else's kill; a crash is a bug.
            Some(SIGHUP | SIGINT | SIGKILL | SIGTERM) => Exit::Transient,
            Some(_) => Exit::Internal,
            None => program(reason, established),
        },
        Error::Archive(_) | Error::Panic(_) | Error::Internal(_) => Exit::Internal,
        Error::Differ(_) => Exit::Data,
        Error::File { source, .. } => file(source),
        Error::Stopped(stop) => match stop {
            Stop::Interrupt => Exit::Interrupted,
            Stop::Terminate => Exit::Terminated,
            Stop::Deadline(_)
            | Stop::Stalled { .. }
            | Stop::LockWait { .. }
            | Stop::LockLost(_)
            | Stop::SnapshotLost(_)
            | Stop::Renamed(_)
            | Stop::Redefined(_) => Exit::Transient,
        },
    }
}

/// SQLSTATE prefixes; the longest that fits decides. Sources: the PostgreSQL manual, appendix A, and the
/// codes seen in practice (network, failover, recovery conflict, lost snapshot).
const SQLSTATES: &[(&str, Exit)] = &[
    ("08", Exit::Transient),
    ("0A", Exit::Data),
    ("22", Exit::Data),
    ("23", Exit::Data),
    ("25006", Exit::Transient),
    ("25P03", Exit::Transient),
    ("25P04", Exit::Transient),
    ("28", Exit::Denied),
    ("2BP01", Exit::Occupied),
    ("3D", Exit::Config),
    ("3F", Exit::Config),
    ("40", Exit::Transient),
    ("42", Exit::Data),
    ("42501", Exit::Denied),
    ("53", Exit::Transient),
    ("53100", Exit::Resources),
    ("53400", Exit::Resources),
    ("54", Exit::Data),
    ("55", Exit::Data),
    ("55006", Exit::Transient),
    ("55P03", Exit::Transient),
    ("57", Exit::Transient),
    ("58030", Exit::Transient),
    ("P0", Exit::Data),
    ("XX001", Exit::Data),
    ("XX002", Exit::Data),
];

/// The code for an SQLSTATE alone.
pub(crate) fn sqlstate(code: &str) -> Exit {
    SQLSTATES
        .iter()
        .filter(|(prefix, _)| code.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map_or(Exit::Internal, |(_, exit)| *exit)
}

/// Texts of pg_dump and pg_restore, which never show an SQLSTATE, and what they mean; the first that the
/// line holds decides. Recorded from the programs of PostgreSQL 15 and 18.
const MESSAGES: &[(&str, Exit)] = &[
    ("aborting because of server version mismatch", Exit::Config),
    ("unsupported version", Exit::Config),
    ("unrecognized configuration parameter", Exit::Config),
    ("password authentication failed", Exit::Denied),
    ("no password supplied", Exit::Denied),
    ("no pg_hba.conf entry", Exit::Denied),
    ("must be owner of", Exit::Denied),
    ("must be superuser", Exit::Denied),
    ("permission denied", Exit::Denied),
    (
        "query would be affected by row-level security policy",
        Exit::Denied,
    ),
    ("no matching schemas were found", Exit::Config),
    ("certificate verify failed", Exit::Config),
    ("does not match host name", Exit::Config),
    ("could not translate host name", Exit::Transient),
    ("canceling statement due to lock timeout", Exit::Transient),
    ("canceling statement due to user request", Exit::Transient),
    ("canceling statement due to statement timeout", Exit::Transient),
    (
        "canceling statement due to conflict with recovery",
        Exit::Transient,
    ),
    ("could not obtain lock", Exit::Transient),
    ("deadlock detected", Exit::Transient),
    ("tuple concurrently", Exit::Transient),
    ("terminating connection", Exit::Transient),
    ("server closed the connection unexpectedly", Exit::Transient),
    ("connection to server was lost", Exit::Transient),
    ("connection to server", Exit::Transient),
    ("could not receive data from server", Exit::Transient),
    ("could not send data to server", Exit::Transient),
    ("no connection to the server", Exit::Transient),
    ("SSL connection has been closed unexpectedly", Exit::Transient),
    ("SSL SYSCALL error", Exit::Transient),
    ("lost synchronization with server", Exit::Transient),
    ("remaining connection slots are reserved", Exit::Transient),
    ("too many clients already", Exit::Transient),
    ("the database system is", Exit::Transient),
    ("invalid snapshot identifier", Exit::Transient),
    ("snapshot \"", Exit::Transient), // … does not exist: the same from 17 on
    ("cannot execute", Exit::Transient), // … in a read-only transaction: the writer was demoted
    ("No space left on device", Exit::Resources),
    ("could not extend file", Exit::Resources),
    ("disk full", Exit::Resources),
    ("out of shared memory", Exit::Resources),
    ("temporary file size exceeds", Exit::Resources),
    ("out of memory", Exit::Data),
    ("invalid memory alloc request size", Exit::Data),
    ("Cannot enlarge string buffer", Exit::Data),
    ("cannot enlarge string buffer", Exit::Data),
    ("string buffer exceeds maximum allowed length", Exit::Data),
    ("could not read from input file", Exit::Transient),
    ("could not open input file", Exit::Transient), // someone has removed the archive
    ("could not write to output file", Exit::Resources),
    ("could not open output file", Exit::Resources),
    ("could not execute query: ERROR:", Exit::Data),
    ("COPY failed for table", Exit::Data),
    ("ERROR:", Exit::Data),
];

fn program(reason: &str, established: bool) -> Exit {
    let found = MESSAGES
        .iter()
        .find(|(text, _)| reason.contains(text))
        .map_or(Exit::Internal, |(_, exit)| *exit);
    // A password that was right a moment ago was rotated meanwhile, or its passfile removed.
    let password = ["password authentication failed", "no password supplied"];
    if established && found == Exit::Denied && password.iter().any(|text| reason.contains(text)) {
        return Exit::Transient;
    }
    found
}

fn refusal(kind: Refusal) -> Exit {
    match kind {
        Refusal::Transient => Exit::Transient,
        Refusal::Resources => Exit::Resources,
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

/// Routines of a backend's own memory.
const OF_MEMORY: &[&str] = &[
    "MemoryContext",
    "palloc",
    "repalloc",
    "AllocSet",
    "Generation",
    "enlargeStringInfo",
];

/// An error that a session was told.
fn reported(side: Side, error: &ErrorResponse, stage: Stage) -> Exit {
    let Stage {
        established,
        changing,
    } = stage;
    let code = error.sqlstate.as_str();
    // The server's routines, because its messages may be in any language.
    let routine = error.routine.as_deref().unwrap_or_default();
    let in_one_of = |routines: &[&str]| routines.iter().any(|one| routine.starts_with(one));
    match code {
        "28P01" | "28000" if established => Exit::Transient,
        "25006" if !changing => Exit::Config,
        // A snapshot whose session is gone: 22023 before 17, 42704 from then on.
        "22023" | "42704" if in_one_of(&["ImportSnapshot"]) => Exit::Transient,
        // "tuple concurrently updated" or deleted.
        "XX000" if in_one_of(&["simple_heap_", "heap_"]) => Exit::Transient,
        // "invalid memory alloc request size": a row that no message can hold, as text.
        "XX000" if in_one_of(OF_MEMORY) => Exit::Data,
        // "out of shared memory": any other than the backend's own.
        "53200" if !in_one_of(OF_MEMORY) => Exit::Resources,
        _ if code.starts_with("23") && error.schema.as_deref() == Some("pg_catalog") => Exit::Transient,
        // Before anything was changed these can only come from our own catalogue queries.
        _ if (code.starts_with("42") && code != "42501" || code.starts_with("0A")) && !changing => {
            Exit::Internal
        }
        // Tables of the unit are locked while they are read there: a schema was renamed.
        "42P01" | "3F000" if side == Side::Source => Exit::Transient,
        // With these the server ends the session, whatever for.
        _ if sqlstate(code) == Exit::Internal && ["FATAL", "PANIC"].contains(&error.severity.as_str()) => {
            Exit::Transient
        }
        _ => sqlstate(code),
    }
}

fn file(error: &std::io::Error) -> Exit {
    match error.raw_os_error() {
        Some(code) if code == nix::libc::ENOSPC || code == nix::libc::EDQUOT => Exit::Resources,
        _ => Exit::Config,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_of_an_sqlstate_decides() {
        let rows = [
            ("08006", 75),
            ("0A000", 65),
            ("22P02", 65),
            ("23505", 65),
            ("25006", 75),
            ("25P03", 75),
            ("25P04", 75),
            ("28P01", 77),
            ("3D000", 78),
            ("3F000", 78),
            ("40001", 75),
            ("40P01", 75),
            ("42P01", 65),
            ("42501", 77),
            ("53000", 75),
            ("53100", 74),
            ("53200", 75),
            ("53300", 75),
            ("53400", 74),
            ("54000", 65),
            ("55000", 65),
            ("55006", 75),
            ("55P03", 75),
            ("57P01", 75),
            ("57014", 75),
            ("58030", 75),
            ("P0001", 65),
            ("XX000", 70),
            ("XX001", 65),
            ("XX002", 65),
            ("58P01", 70),
            ("", 70),
        ];
        for (code, exit) in rows {
            assert_eq!(sqlstate(code).code(), exit, "{code}");
        }
    }

    const EARLY: Stage = Stage {
        established: false,
        changing: false,
    };
    const READING: Stage = Stage {
        established: true,
        changing: false,
    };
    const MOVING: Stage = Stage::CHANGING;

    /// When, where, and what the server says: severity, SQLSTATE, routine; and the code that follows.
    const REPORTED: &[(Stage, Side, &str, &str, &str, u8)] = &[
        (EARLY, Side::Target, "FATAL", "28P01", "auth_failed", 77),
        (READING, Side::Target, "FATAL", "28P01", "auth_failed", 75),
        (
            READING,
            Side::Target,
            "ERROR",
            "25006",
            "PreventCommandIfReadOnly",
            78,
        ),
        (
            MOVING,
            Side::Target,
            "ERROR",
            "25006",
            "PreventCommandIfReadOnly",
            75,
        ),
        (READING, Side::Source, "ERROR", "22023", "ImportSnapshot", 75),
        (MOVING, Side::Source, "ERROR", "42704", "ImportSnapshot", 75),
        (MOVING, Side::Target, "ERROR", "42704", "typenameType", 65),
        (READING, Side::Target, "ERROR", "42704", "typenameType", 70),
        (READING, Side::Source, "ERROR", "42501", "aclcheck_error", 77),
        (MOVING, Side::Source, "ERROR", "42P01", "parserOpenTable", 75),
        (MOVING, Side::Target, "ERROR", "42P01", "parserOpenTable", 65),
        (MOVING, Side::Target, "ERROR", "0A000", "transformStmt", 65),
        (READING, Side::Target, "ERROR", "0A000", "transformStmt", 70),
        (MOVING, Side::Target, "ERROR", "XX000", "simple_heap_update", 75),
        (
            MOVING,
            Side::Source,
            "ERROR",
            "XX000",
            "MemoryContextSizeFailure",
            65,
        ),
        (MOVING, Side::Target, "ERROR", "XX000", "get_relname", 70),
        (MOVING, Side::Target, "FATAL", "XX000", "load_relmap_file", 75),
        (MOVING, Side::Target, "ERROR", "53200", "LockAcquireExtended", 74),
        (
            MOVING,
            Side::Target,
            "ERROR",
            "53200",
            "MemoryContextAllocationFailure",
            75,
        ),
    ];

    #[test]
    fn what_a_code_means_depends_on_where_and_when() {
        let response = |severity: &str, sqlstate: &str, routine: &str| ErrorResponse {
            severity: severity.to_owned(),
            sqlstate: sqlstate.to_owned(),
            routine: Some(routine.to_owned()),
            ..ErrorResponse::default()
        };
        for (stage, side, severity, sqlstate, routine, exit) in REPORTED {
            let response = response(severity, sqlstate, routine);
            assert_eq!(
                reported(*side, &response, *stage).code(),
                *exit,
                "{sqlstate} {routine}"
            );
        }
        let of_the_catalogue = ErrorResponse {
            schema: Some("pg_catalog".to_owned()),
            ..response("ERROR", "23505", "_bt_check_unique")
        };
        assert_eq!(reported(Side::Target, &of_the_catalogue, MOVING).code(), 75);
    }

    #[test]
    fn every_message_of_the_table_is_reached() {
        for (text, exit) in MESSAGES {
            assert_eq!(
                program(&format!("pg_restore: error: {text}"), false),
                *exit,
                "{text}"
            );
        }
    }

    #[test]
    fn no_code_belongs_to_the_shell_the_runtime_or_the_kernel() {
        for exit in Exit::ALL {
            assert!(![1, 2, 101, 125, 126, 127, 134, 137, 139].contains(&exit.code()));
        }
    }
}
