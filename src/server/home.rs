//! A name may come to lead to another server in the middle of a run: every session shows that it has reached the same one.
//!
//! What tells servers apart is what no two have in common and none changes while it runs: the identifier that it was made with,
//! which copies of it share, and the moment it was started at. Its timeline is not asked for: it changes without a restart
//! when a standby is promoted or follows its primary's successor, and what runs there goes on unharmed.

use std::sync::{Arc, OnceLock};

use crate::error::{Error, Refused, Side};

/// The server that a run has reached first, shared by all that connect to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Home(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    server: OnceLock<Mark>,
    lock: OnceLock<HeldLock>,
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    /// When it was started, to the microsecond.
    pub(super) started: f64,
    /// What it was made with; none where the user may not ask for it.
    pub(super) system: Option<i64>,
}

/// An advisory lock that a session of the run holds there.
#[derive(Debug, Clone)]
pub(crate) struct HeldLock {
    /// What its key is derived from.
    pub(crate) key: String,
    pub(crate) pid: i32,
}

impl Home {
    /// Has every session that is opened from now on look for this lock.
    pub(crate) fn hold(&self, lock: HeldLock) {
        self.0.lock.get_or_init(|| lock);
    }

    pub(super) fn lock(&self) -> Option<&HeldLock> {
        self.0.lock.get()
    }

    /// Refuses a session that has reached another server, or that does not see the lock.
    pub(super) fn admit(&self, side: Side, server: Mark, sees_lock: bool) -> Result<(), Error> {
        if *self.0.server.get_or_init(|| server) == server && sees_lock {
            return Ok(());
        }
        Err(elsewhere(side, "a session has"))
    }
}

/// The refusal to go on with `who` "has" reached another server.
pub(crate) fn elsewhere(side: Side, who: &str) -> Error {
    Error::Refused(Refused::transient(
        side,
        format!(
            "{who} reached another server than the run's first one, or that server was restarted, or has lost the run's lock"
        ),
        "let the host's name lead to one server for as long as a run takes",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_admitted_as_long_as_it_is_the_same() {
        let home = Home::default();
        let other = home.clone();
        let mark = |started, system| Mark { started, system };
        let first = mark(5.000_001, Some(7));
        assert!(home.admit(Side::Source, first, true).is_ok());
        assert!(other.admit(Side::Source, first, true).is_ok());
        assert!(other.admit(Side::Source, first, false).is_err());
        for another in [
            mark(5.000_002, Some(7)),
            mark(5.000_001, Some(8)),
            mark(5.000_001, None),
        ] {
            assert!(other.admit(Side::Source, another, true).is_err(), "{another:?}");
        }
    }
}
