//! Child programs: the only place that spawns.

use std::fmt;

/// A client program of PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    PgDump,
    PgRestore,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PgDump => "pg_dump",
            Self::PgRestore => "pg_restore",
        })
    }
}
