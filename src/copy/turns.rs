//! Which streams go on where not all may: those whose rows come first in the schedule.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A stream that is held back goes on by a frame so often, so that nothing on the way takes its connection for dead.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// The streams that carry rows, each by the number of its piece of work: the lower, the sooner.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Notify,
    bytes: AtomicU64,
}

#[derive(Debug)]
struct State {
    moving: BTreeSet<usize>,
    allowed: usize,
}

impl Turns {
    /// All may go on.
    pub(crate) fn new() -> Self {
        let state = State {
            moving: BTreeSet::new(),
            allowed: usize::MAX,
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
            bytes: AtomicU64::new(0),
        }
    }

    /// A stream takes part until what is returned is dropped.
    pub(crate) fn enter(&self, piece: usize) -> Turn<'_> {
        self.locked().moving.insert(piece);
        self.changed.notify_waiters();
        Turn { turns: self, piece }
    }

    /// Lets no more than so many go on.
    pub(crate) fn allow(&self, allowed: usize) {
        self.locked().allowed = allowed;
        self.changed.notify_waiters();
    }

    /// Notes bytes that a stream has brought.
    pub(crate) fn add_bytes(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many streams take part, and how many of them are held back.
    pub(crate) fn moving(&self) -> (usize, usize) {
        let state = self.locked();
        let moving = state.moving.len();
        (moving, moving.saturating_sub(state.allowed))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream's place among them.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    piece: usize,
}

impl Turn<'_> {
    /// Waits until the stream may go on.
    pub(crate) async fn come(&self) {
        tokio::time::timeout(SIGN_OF_LIFE, async {
            loop {
                let changed = self.turns.changed.notified();
                let may = {
                    let state = self.turns.locked();
                    state.moving.range(..self.piece).count() < state.allowed
                };
                if may {
                    return;
                }
                changed.await;
            }
        })
        .await
        .ok();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.locked().moving.remove(&self.piece);
        self.turns.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn those_go_on_whose_rows_come_first() {
        let turns = Turns::new();
        let (third, second) = (turns.enter(3), turns.enter(2));
        assert!(third.come().now_or_never().is_some());
        turns.allow(1);
        assert_eq!(turns.moving(), (2, 1));
        assert!(second.come().now_or_never().is_some());
        let mut held = Box::pin(third.come());
        assert!(held.as_mut().now_or_never().is_none());
        let first = turns.enter(1);
        assert!(second.come().now_or_never().is_none());
        drop((first, second));
        held.await;
        assert_eq!(turns.moving(), (1, 0));
    }
}
