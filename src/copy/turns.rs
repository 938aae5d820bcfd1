//! Whose turn it is to read: the first stream's at any time, the others' as long as there is something left for them. The order is that
//! of the tables, and of the pieces of one that in which they were given to streams.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::copy::tasks::TableIndex;

/// The streams that read.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Those of the tables.
    order: HashMap<TableIndex, usize>,
    state: Mutex<State>,
    changed: Notify,
    /// Bytes.
    carried: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// How many places were given.
    given: u64,
    reading: BTreeSet<Place>,
    /// Bytes that all but the first may read until there are more; without a limit where there is none.
    left: Option<u64>,
}

/// Where a stream stands: the turn of its table, and how many places were given before.
pub(crate) type Place = (usize, u64);

impl Turns {
    /// All may read, by the turns of their tables.
    pub(crate) fn new(order: HashMap<TableIndex, usize>) -> Self {
        Self {
            order,
            state: Mutex::new(State {
                given: 0,
                reading: BTreeSet::new(),
                left: None,
            }),
            changed: Notify::new(),
            carried: AtomicU64::new(0),
        }
    }

    /// The place of a stream that carries this table, or a piece of it: behind all that were given for it so far.
    pub(crate) fn place(&self, table: TableIndex) -> Place {
        let mut state = self.state();
        state.given += 1;
        let turn = self.order.get(&table).copied().unwrap_or(usize::MAX);
        (turn, state.given)
    }

    /// Begins to read at that place.
    pub(crate) fn read(self: &Arc<Self>, place: Place) -> Turn {
        self.state().reading.insert(place);
        Turn {
            turns: Arc::clone(self),
            place,
        }
    }

    /// All but the first may read so many bytes, and what they have not used before is lost; `None`: as many as they like.
    pub(crate) fn leave(&self, bytes: Option<u64>) {
        self.state().left = bytes;
        self.changed.notify_waiters();
    }

    /// How many read.
    pub(crate) fn reading(&self) -> usize {
        self.state().reading.len()
    }

    /// How many bytes were read so far.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that reads; dropped, it makes room.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    place: Place,
}

impl Turn {
    /// Waits until it may read on.
    pub(crate) async fn comes(&self) {
        loop {
            let changed = self.turns.changed.notified();
            {
                let state = self.turns.state();
                if self.is_first(&state) || state.left != Some(0) {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Notes what was read, of which more may come at once than there was left.
    pub(crate) fn carried(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(0);
        self.turns.carried.fetch_add(bytes, Ordering::Relaxed);
        let mut state = self.turns.state();
        if !self.is_first(&state) {
            state.left = state.left.map(|left| left.saturating_sub(bytes));
        }
    }

    fn is_first(&self, state: &State) -> bool {
        state.reading.first() == Some(&self.place)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.state().reading.remove(&self.place);
        self.turns.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_first_reads_at_any_time_and_the_others_what_is_left() {
        let turns = Arc::new(Turns::new(HashMap::from([(0, 1), (1, 0)])));
        let [second, third, first] = [0, 0, 1].map(|table| turns.place(table));
        let places = [first, second, third];
        let [third, first, second] = [places[2], places[0], places[1]].map(|place| turns.read(place));
        let may_read = |turns: &[&Turn]| {
            turns
                .iter()
                .map(|turn| turn.comes().now_or_never().is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (may_read(&[&first, &second, &third]), turns.reading()),
            (vec![true; 3], 3)
        );
        turns.leave(Some(100));
        first.carried(1000);
        third.carried(60);
        assert_eq!(may_read(&[&first, &second, &third]), [true; 3]);
        second.carried(60);
        assert_eq!(may_read(&[&first, &second, &third]), [true, false, false]);
        let waits = second.comes();
        drop(first);
        assert_eq!(waits.now_or_never(), Some(()), "the next is the first now");
        let first_again = turns.read(places[0]);
        assert_eq!(
            may_read(&[&first_again, &second, &third]),
            [true, false, false],
            "its place is behind"
        );
        turns.leave(Some(1));
        assert_eq!(may_read(&[&second, &third]), [true, true]);
        turns.leave(None);
        third.carried(1000);
        assert_eq!(
            (may_read(&[&second, &third]), turns.carried()),
            (vec![true, true], 2120)
        );
    }
}
