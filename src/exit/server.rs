//! What a server's error means, by its SQLSTATE.

use crate::error::{ErrorResponse, Side};
use crate::exit::{Exit, Stage};

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
fn sqlstate(code: &str) -> Exit {
    SQLSTATES
        .iter()
        .filter(|(prefix, _)| code.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map_or(Exit::Internal, |(_, exit)| *exit)
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
pub(super) fn reported(side: Side, error: &ErrorResponse, stage: Stage) -> Exit {
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
}
