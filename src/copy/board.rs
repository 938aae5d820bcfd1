//! What is to be done, what may be done now, and what of it comes first: pure.
//!
//! Work waits for other work, and for locks that other work of the same run holds: the server's own queue for a
//! lock would hold up everybody behind it, and is where deadlocks come from.

use std::collections::BTreeMap;

use crate::build::order::Mode;

/// What comes first where several pieces may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Build,
    /// Rows before all else: the source is held until they are through.
    Rows,
}

/// A piece of work as the board sees it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Places of the pieces that have to be done before.
    pub(crate) needs: Vec<usize>,
    /// Tables by OID.
    pub(crate) locks: BTreeMap<u32, Mode>,
    pub(crate) rank: Rank,
    /// Within a rank the heaviest comes first, in bytes.
    pub(crate) weight: u64,
}

/// A piece that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) place: usize,
    /// It was postponed before.
    pub(crate) again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// To be tried once more after all others of its rank.
    Postponed,
    Running,
    Done,
}

/// The work of one load.
#[derive(Debug)]
pub(crate) struct Board {
    items: Vec<Item>,
    states: Vec<State>,
    /// How many needs of each are open.
    open: Vec<usize>,
    /// Who waits for each.
    waiters: Vec<Vec<usize>>,
    ready: Vec<usize>,
    held: BTreeMap<u32, (Mode, usize)>,
    rows_left: usize,
    rows_postponed: usize,
    left: usize,
}

impl Board {
    pub(crate) fn new(items: Vec<Item>) -> Self {
        let mut waiters = vec![Vec::new(); items.len()];
        for (place, item) in items.iter().enumerate() {
            for need in &item.needs {
                if let Some(waiters) = waiters.get_mut(*need) {
                    waiters.push(place);
                }
            }
        }
        let open: Vec<usize> = items.iter().map(|item| item.needs.len()).collect();
        let ready = (0..items.len())
            .filter(|place| open.get(*place) == Some(&0))
            .collect();
        Self {
            states: vec![State::Waiting; items.len()],
            rows_left: items.iter().filter(|item| item.rank == Rank::Rows).count(),
            rows_postponed: 0,
            left: items.len(),
            open,
            waiters,
            ready,
            held: BTreeMap::new(),
            items,
        }
    }

    /// Whether everything is done.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Whether all rows have landed.
    pub(crate) fn rows_are_done(&self) -> bool {
        self.rows_left == 0
    }

    /// Takes the piece that comes first among those that may be done now.
    pub(crate) fn take(&mut self) -> Option<Taken> {
        let only_postponed = self.rows_left == self.rows_postponed;
        let (position, place) = self
            .ready
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, place)| self.may_run(*place, only_postponed))
            .max_by_key(|(position, place)| {
                let item = self.items.get(*place);
                // Among equals the first stays first.
                (
                    item.map(|item| (item.rank, item.weight)),
                    std::cmp::Reverse(*position),
                )
            })?;
        self.ready.remove(position);
        let again = self.states.get(place) == Some(&State::Postponed);
        if again {
            self.rows_postponed -= 1;
        }
        self.set(place, State::Running);
        for (table, mode) in self.locks(place) {
            self.held.entry(table).or_insert((mode, 0)).1 += 1;
        }
        Some(Taken { place, again })
    }

    /// Marks a piece as done, which may set others free.
    pub(crate) fn done(&mut self, place: usize) {
        self.release(place);
        self.set(place, State::Done);
        self.left -= 1;
        if self.items.get(place).is_some_and(|item| item.rank == Rank::Rows) {
            self.rows_left -= 1;
        }
        for waiter in self.waiters.get(place).cloned().unwrap_or_default() {
            if let Some(open) = self.open.get_mut(waiter) {
                *open -= 1;
                if *open == 0 {
                    self.ready.push(waiter);
                }
            }
        }
    }

    /// Puts rows back that could not be loaded yet: they are tried once more when all others have landed.
    pub(crate) fn postpone(&mut self, place: usize) {
        self.release(place);
        self.set(place, State::Postponed);
        self.rows_postponed += 1;
        self.ready.push(place);
    }

    fn may_run(&self, place: usize, only_postponed: bool) -> bool {
        if self.states.get(place) == Some(&State::Postponed) && !only_postponed {
            return false;
        }
        let Some(item) = self.items.get(place) else {
            return false;
        };
        item.locks.iter().all(|(table, mode)| match self.held.get(table) {
            None => true,
            Some((held, _)) => *held == Mode::Shared && *mode == Mode::Shared,
        })
    }

    fn release(&mut self, place: usize) {
        for (table, _) in self.locks(place) {
            if let Some((_, holders)) = self.held.get_mut(&table) {
                *holders -= 1;
                if *holders == 0 {
                    self.held.remove(&table);
                }
            }
        }
    }

    fn locks(&self, place: usize) -> Vec<(u32, Mode)> {
        let locks = self.items.get(place).map(|item| &item.locks);
        locks
            .into_iter()
            .flatten()
            .map(|(table, mode)| (*table, *mode))
            .collect()
    }

    fn set(&mut self, place: usize, state: State) {
        if let Some(slot) = self.states.get_mut(place) {
            *slot = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(rank: Rank, weight: u64, needs: &[usize], locks: &[(u32, Mode)]) -> Item {
        Item {
            needs: needs.to_vec(),
            locks: locks.iter().copied().collect(),
            rank,
            weight,
        }
    }

    fn take(board: &mut Board) -> Option<usize> {
        board.take().map(|taken| taken.place)
    }

    #[test]
    fn rows_come_first_and_the_heaviest_before_others() {
        let mut board = Board::new(vec![
            item(Rank::Build, 100, &[], &[]),
            item(Rank::Rows, 1, &[], &[]),
            item(Rank::Rows, 9, &[], &[]),
            item(Rank::Build, 5, &[1, 2], &[]),
        ]);
        assert_eq!(
            [take(&mut board), take(&mut board), take(&mut board)],
            [Some(2), Some(1), Some(0)]
        );
        assert_eq!(take(&mut board), None);
        board.done(2);
        assert_eq!(take(&mut board), None);
        board.done(1);
        assert!(board.rows_are_done());
        assert_eq!(take(&mut board), Some(3));
        board.done(3);
        board.done(0);
        assert!(board.is_done());
    }

    #[test]
    fn locks_of_the_run_are_waited_for_on_the_board() {
        let mut board = Board::new(vec![
            item(Rank::Build, 9, &[], &[(1, Mode::Shared)]),
            item(Rank::Build, 8, &[], &[(1, Mode::Exclusive), (2, Mode::Shared)]),
            item(Rank::Build, 7, &[], &[(1, Mode::Shared)]),
            item(Rank::Build, 6, &[], &[(2, Mode::Shared)]),
        ]);
        assert_eq!(
            [take(&mut board), take(&mut board), take(&mut board)],
            [Some(0), Some(2), Some(3)]
        );
        board.done(0);
        assert_eq!(take(&mut board), None);
        board.done(2);
        assert_eq!(take(&mut board), Some(1));
    }

    #[test]
    fn postponed_rows_come_again_when_all_others_have_landed() {
        let mut board = Board::new(vec![item(Rank::Rows, 9, &[], &[]), item(Rank::Rows, 1, &[], &[])]);
        assert_eq!(take(&mut board), Some(0));
        board.postpone(0);
        assert_eq!(take(&mut board), Some(1));
        assert_eq!(take(&mut board), None);
        board.done(1);
        assert_eq!(
            board.take(),
            Some(Taken {
                place: 0,
                again: true
            })
        );
        board.done(0);
        assert!(board.is_done());
    }
}
