//! What is to be done, what may be done now, and what of it comes first: pure.
//!
//! Work waits for other work, and for locks that other work of the same run holds: the server's own queue for a
//! lock would hold up everybody behind it, and is where deadlocks come from.

use std::collections::BTreeMap;

use crate::build::order::Mode;

/// What comes first where several pieces may be done by one crew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Nothing waits for statistics.
    Analyze,
    Build,
    Rows,
    /// Nothing by itself: rows wait for it.
    Gate,
}

/// Who does a piece: sessions that move rows do nothing else, so that the line is busy until the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crew {
    Streams,
    Builders,
}

impl Rank {
    fn crew(self) -> Crew {
        match self {
            Self::Rows | Self::Gate => Crew::Streams,
            Self::Build | Self::Analyze => Crew::Builders,
        }
    }
}

/// A piece of work as the board sees it.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Indexes of the pieces that have to be done before.
    pub(crate) needs: Vec<usize>,
    /// Tables by OID.
    pub(crate) locks: BTreeMap<u32, Mode>,
    pub(crate) rank: Rank,
    /// Within a rank the heaviest comes first.
    pub(crate) weight: u64,
}

/// A piece that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) piece: usize,
    /// It was postponed before.
    pub(crate) again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PieceState {
    Waiting,
    /// To be tried once more when nothing comes before it: the first time whatever has happened, then only if more was
    /// done than when it was tried last.
    Postponed {
        tried: usize,
        done_then: usize,
    },
    Running {
        tried: usize,
        done_then: usize,
    },
    Done,
}

impl PieceState {
    fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// The work of one load.
#[derive(Debug)]
pub(crate) struct Board {
    items: Vec<Item>,
    states: Vec<PieceState>,
    /// How many needs of each are open.
    open: Vec<usize>,
    /// Who waits for each.
    waiters: Vec<Vec<usize>>,
    ready: Vec<usize>,
    held: BTreeMap<u32, (Mode, usize)>,
    rows_left: usize,
    left: usize,
    /// Pieces that builders are at.
    building: usize,
    /// How much was done so far: pieces, and parts of pieces.
    done: usize,
}

impl Board {
    pub(crate) fn new(items: Vec<Item>) -> Self {
        let mut waiters = vec![Vec::new(); items.len()];
        for (piece, item) in items.iter().enumerate() {
            for need in &item.needs {
                if let Some(waiters) = waiters.get_mut(*need) {
                    waiters.push(piece);
                }
            }
        }
        let open: Vec<usize> = items.iter().map(|item| item.needs.len()).collect();
        let ready = (0..items.len())
            .filter(|piece| open.get(*piece) == Some(&0))
            .collect();
        Self {
            states: vec![PieceState::Waiting; items.len()],
            rows_left: items.iter().filter(|item| item.rank == Rank::Rows).count(),
            left: items.len(),
            building: 0,
            done: 0,
            open,
            waiters,
            ready,
            held: BTreeMap::new(),
            items,
        }
    }

    /// How many pieces of work there are for a crew: more sessions than that have nothing to do.
    pub(crate) fn pieces(&self, crew: Crew) -> usize {
        let of_crew = self.items.iter().filter(|item| item.rank.crew() == crew);
        of_crew.count()
    }

    /// Whether everything is done.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Whether all rows have landed.
    pub(crate) fn rows_are_done(&self) -> bool {
        self.rows_left == 0
    }

    /// Whether there is something that the crew may do now.
    pub(crate) fn has_work(&self, crew: Crew) -> bool {
        self.next(crew).is_some()
    }

    /// How many pieces builders are at.
    pub(crate) fn building(&self) -> usize {
        self.building
    }

    /// Whether nothing is under way and nothing may be done any more, although not everything is done.
    pub(crate) fn is_stuck(&self) -> bool {
        !self.is_done()
            && !self.states.iter().any(PieceState::is_running)
            && !self.has_work(Crew::Streams)
            && !self.has_work(Crew::Builders)
    }

    /// Takes the piece that comes first among those that the crew may do now.
    pub(crate) fn take(&mut self, crew: Crew) -> Option<Taken> {
        let (position, piece) = self.next(crew)?;
        self.ready.remove(position);
        self.building += usize::from(crew == Crew::Builders);
        let tried = match self.states.get(piece) {
            Some(PieceState::Postponed { tried, .. }) => *tried,
            _ => 0,
        };
        let running = PieceState::Running {
            tried: tried + 1,
            done_then: self.done,
        };
        self.set(piece, running);
        for (table, mode) in self.locks(piece) {
            self.held.entry(table).or_insert((mode, 0)).1 += 1;
        }
        Some(Taken {
            piece,
            again: tried > 0,
        })
    }

    /// What comes first, and where among those that are ready.
    fn next(&self, crew: Crew) -> Option<(usize, usize)> {
        let first = |postponed: bool| {
            self.ready
                .iter()
                .copied()
                .enumerate()
                .filter(|(_, piece)| self.crew(*piece) == Some(crew))
                .filter(|(_, piece)| self.is_postponed(*piece) == postponed && self.may_run(*piece))
                .max_by_key(|(position, piece)| {
                    let item = self.items.get(*piece);
                    // Among equals the first stays first.
                    (
                        item.map(|item| (item.rank, item.weight)),
                        std::cmp::Reverse(*position),
                    )
                })
        };
        first(false).or_else(|| {
            // Rows come again as soon as no others are on their way for the first time; what is built comes again alone.
            let waits = match crew {
                Crew::Streams => (0..self.states.len()).any(|piece| {
                    self.crew(piece) == Some(crew)
                        && matches!(self.states.get(piece), Some(PieceState::Running { tried: 1, .. }))
                }),
                Crew::Builders => self.states.iter().any(PieceState::is_running),
            };
            first(true).filter(|_| !waits)
        })
    }

    fn is_postponed(&self, piece: usize) -> bool {
        matches!(self.states.get(piece), Some(PieceState::Postponed { .. }))
    }

    fn crew(&self, piece: usize) -> Option<Crew> {
        self.items.get(piece).map(|item| item.rank.crew())
    }

    /// Marks a piece as done, which may set others free.
    pub(crate) fn done(&mut self, piece: usize) {
        self.release(piece);
        self.set(piece, PieceState::Done);
        self.left -= 1;
        self.done += 1;
        if self.items.get(piece).is_some_and(|item| item.rank == Rank::Rows) {
            self.rows_left -= 1;
        }
        for waiter in self.waiters.get(piece).cloned().unwrap_or_default() {
            if let Some(open) = self.open.get_mut(waiter) {
                *open -= 1;
                if *open == 0 {
                    self.ready.push(waiter);
                }
            }
        }
    }

    /// Puts a piece back that could not be done yet; `better` if a part of it was.
    pub(crate) fn postpone(&mut self, piece: usize, better: bool) {
        self.release(piece);
        if let Some(PieceState::Running { tried, done_then }) = self.states.get(piece).copied() {
            self.set(piece, PieceState::Postponed { tried, done_then });
        }
        self.done += usize::from(better);
        self.ready.push(piece);
    }

    fn may_run(&self, piece: usize) -> bool {
        if let Some(PieceState::Postponed { tried, done_then }) = self.states.get(piece)
            && *tried > 1
            && *done_then == self.done
        {
            return false;
        }
        let Some(item) = self.items.get(piece) else {
            return false;
        };
        item.locks.iter().all(|(table, mode)| match self.held.get(table) {
            None => true,
            Some((held, _)) => *held == Mode::Shared && *mode == Mode::Shared,
        })
    }

    fn release(&mut self, piece: usize) {
        self.building -= usize::from(self.crew(piece) == Some(Crew::Builders));
        for (table, _) in self.locks(piece) {
            if let Some((_, holders)) = self.held.get_mut(&table) {
                *holders -= 1;
                if *holders == 0 {
                    self.held.remove(&table);
                }
            }
        }
    }

    fn locks(&self, piece: usize) -> Vec<(u32, Mode)> {
        let locks = self.items.get(piece).map(|item| &item.locks);
        locks
            .into_iter()
            .flatten()
            .map(|(table, mode)| (*table, *mode))
            .collect()
    }

    fn set(&mut self, piece: usize, state: PieceState) {
        if let Some(slot) = self.states.get_mut(piece) {
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

    fn rows(board: &mut Board) -> Option<usize> {
        board.take(Crew::Streams).map(|taken| taken.piece)
    }

    fn build(board: &mut Board) -> Option<usize> {
        board.take(Crew::Builders).map(|taken| taken.piece)
    }

    #[test]
    fn each_crew_takes_its_own_and_the_heaviest_first() {
        let mut board = Board::new(vec![
            item(Rank::Analyze, 1000, &[], &[]),
            item(Rank::Build, 100, &[], &[]),
            item(Rank::Rows, 1, &[], &[]),
            item(Rank::Rows, 9, &[], &[]),
            item(Rank::Build, 5, &[2, 3], &[]),
        ]);
        assert_eq!([rows(&mut board), rows(&mut board)], [Some(3), Some(2)]);
        assert_eq!(rows(&mut board), None);
        assert_eq!([build(&mut board), build(&mut board)], [Some(1), Some(0)]);
        assert_eq!((build(&mut board), board.building()), (None, 2));
        board.done(3);
        assert_eq!(build(&mut board), None);
        board.done(2);
        assert!(board.rows_are_done());
        board.done(1);
        assert_eq!((build(&mut board), board.building()), (Some(4), 2));
        board.done(4);
        board.done(0);
        assert_eq!((board.is_done(), board.building()), (true, 0));
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
            [build(&mut board), build(&mut board), build(&mut board)],
            [Some(0), Some(2), Some(3)]
        );
        board.done(0);
        assert_eq!(build(&mut board), None);
        board.done(2);
        assert_eq!(build(&mut board), Some(1));
    }

    #[test]
    fn postponed_rows_come_again_when_all_others_have_landed() {
        let mut board = Board::new(vec![item(Rank::Rows, 9, &[], &[]), item(Rank::Rows, 1, &[], &[])]);
        assert_eq!(rows(&mut board), Some(0));
        board.postpone(0, false);
        assert_eq!(rows(&mut board), Some(1));
        assert_eq!(rows(&mut board), None);
        board.done(1);
        assert_eq!(
            board.take(Crew::Streams),
            Some(Taken {
                piece: 0,
                again: true
            })
        );
        board.done(0);
        assert!(board.is_done());
    }

    #[test]
    fn rounds_go_on_while_something_gets_better() {
        let mut board = Board::new(vec![
            item(Rank::Rows, 9, &[], &[]),
            item(Rank::Rows, 8, &[], &[]),
            item(Rank::Build, 7, &[1], &[]),
        ]);
        for piece in [0, 1] {
            assert_eq!(rows(&mut board), Some(piece));
            board.postpone(piece, false);
        }
        assert_eq!([rows(&mut board), rows(&mut board)], [Some(0), Some(1)]);
        board.postpone(0, false);
        assert!(!board.is_stuck());
        board.postpone(1, true);
        // Each of them may need the part of the second that was done.
        assert_eq!(rows(&mut board), Some(0));
        board.postpone(0, false);
        assert_eq!(rows(&mut board), Some(1));
        board.postpone(1, false);
        assert!(board.is_stuck());
    }

    #[test]
    fn what_rows_wait_for_behind_a_gate_may_be_tried_again_and_builds_come_again_alone() {
        let mut board = Board::new(vec![
            item(Rank::Rows, 9, &[], &[]),
            item(Rank::Gate, 0, &[0], &[]),
            item(Rank::Rows, 8, &[1], &[]),
            item(Rank::Build, 1, &[], &[]),
        ]);
        assert_eq!([rows(&mut board), build(&mut board)], [Some(0), Some(3)]);
        board.postpone(3, false);
        board.postpone(0, false);
        assert_eq!(rows(&mut board), Some(0));
        assert_eq!((rows(&mut board), build(&mut board)), (None, None));
        board.done(0);
        assert_eq!(rows(&mut board), Some(1));
        board.done(1);
        assert_eq!(rows(&mut board), Some(2));
        assert_eq!(build(&mut board), None);
        board.done(2);
        assert_eq!(build(&mut board), Some(3));
    }
}
