//! A name may come to lead to another server in the middle of a run: every session shows that it has reached the same one.

use std::sync::{Arc, OnceLock};

use crate::error::{Error, Refused, Side};

/// The server that a run has reached first, shared by all that connect to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Home(Arc<Marks>);

#[derive(Debug, Default)]
struct Marks {
    /// When that server was started, as it says itself, to the microsecond.
    started: OnceLock<f64>,
    lock: OnceLock<HeldLock>,
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

    /// Refuses a session that has reached a server that was started at another time, or that does not see the lock.
    pub(super) fn admit(&self, side: Side, started: f64, sees_lock: bool) -> Result<(), Error> {
        let first = *self.0.started.get_or_init(|| started);
        if first.to_bits() == started.to_bits() && sees_lock {
            return Ok(());
        }
        Err(Error::Refused(Refused::transient(
            side,
            "a session has reached another server than the run's first one, or that server was restarted, or has lost the run's \
             lock",
            "let the host's name lead to one server for as long as a run takes",
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_admitted_as_long_as_it_is_the_same() {
        let home = Home::default();
        let other = home.clone();
        assert!(home.admit(Side::Source, 5.000_001, true).is_ok());
        assert!(other.admit(Side::Source, 5.000_001, true).is_ok());
        assert!(other.admit(Side::Source, 5.000_002, true).is_err());
        assert!(other.admit(Side::Source, 5.000_001, false).is_err());
    }
}
