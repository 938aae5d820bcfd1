//! What is done with a table: pure.

use crate::baseline::{Rows, Verdict};

/// What is done with a table that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Rows are added to those that are there.
    Append { new: u64, all: u64 },
    /// It is emptied, and all of its rows come again.
    Reload,
}

impl Action {
    /// That of a table of which this was found on the source, and whose rows on the target are those that were loaded or not; `None`
    /// for one that stays as it is.
    pub(super) fn of(verdict: &Verdict, rows: Rows, is_as_loaded: bool) -> Option<Self> {
        match verdict {
            Verdict::Unchanged if is_as_loaded => None,
            Verdict::Appended(new) if is_as_loaded => Some(Self::Append {
                new: *new,
                all: rows.old + rows.new,
            }),
            Verdict::Unchanged
            | Verdict::Appended(_)
            | Verdict::Changed { .. }
            | Verdict::Redefined
            | Verdict::New
            | Verdict::Gone => Some(Self::Reload),
        }
    }

    pub(super) fn is_reload(&self) -> bool {
        *self == Self::Reload
    }

    /// How many of the rows that were found stay where they are.
    pub(super) fn leaves(self, rows: Rows) -> u64 {
        match self {
            Self::Append { .. } => rows.old,
            Self::Reload => 0,
        }
    }

    /// Whether more than one row in so many is added.
    pub(super) fn adds_more_than(&self, one_in: u64) -> bool {
        match self {
            Self::Append { new, all } => new.saturating_mul(one_in) > *all,
            Self::Reload => false,
        }
    }

    /// Whether building its indexes again costs less than to fill them row by row (measured: from about half of the rows on).
    pub(super) fn rebuilds(&self) -> bool {
        self.is_reload() || self.adds_more_than(2)
    }

    /// The word of records.
    pub(super) fn word(action: Option<Self>) -> &'static str {
        match action {
            None => "kept",
            Some(Self::Append { .. }) => "appended to",
            Some(Self::Reload) => "loaded again",
        }
    }
}

/// Has the leaves of one root share what is done: a row need not be in the same leaf on the target, so either all are emptied, or none is
/// and rows may come to any of them.
pub(super) fn together(leaves: &mut [(&mut Option<Action>, Rows)]) {
    let is_any =
        |test: &dyn Fn(&Action) -> bool| leaves.iter().any(|(action, _)| action.as_ref().is_some_and(test));
    let (reloads, moves) = (is_any(&Action::is_reload), is_any(&|_| true));
    for (action, rows) in leaves {
        if reloads {
            **action = Some(Action::Reload);
        } else if moves {
            action.get_or_insert(Action::Append {
                new: 0,
                all: rows.old,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_loaded_on_both_sides_stays() {
        let rows = Rows { old: 90, new: 10 };
        let append = Some(Action::Append { new: 10, all: 100 });
        for (verdict, is_as_loaded, expected) in [
            (Verdict::Unchanged, true, None),
            (Verdict::Unchanged, false, Some(Action::Reload)),
            (Verdict::Appended(10), true, append),
            (Verdict::Appended(10), false, Some(Action::Reload)),
            (Verdict::Changed { lost: 1, new: 0 }, true, Some(Action::Reload)),
            (Verdict::Redefined, true, Some(Action::Reload)),
        ] {
            assert_eq!(Action::of(&verdict, rows, is_as_loaded), expected, "{verdict:?}");
        }
        let append = |new| Action::Append { new, all: 100 };
        assert_eq!(
            [append(50), append(51)].map(|action| action.rebuilds()),
            [false, true]
        );
        assert_eq!(
            [append(2), append(3)].map(|action| action.adds_more_than(50)),
            [false, true]
        );
    }

    #[test]
    fn leaves_of_one_root_are_emptied_together_or_added_to_together() {
        let (add, none) = (
            Some(Action::Append { new: 1, all: 9 }),
            Some(Action::Append { new: 0, all: 8 }),
        );
        let (reload, rows) = (Some(Action::Reload), Rows { old: 8, new: 0 });
        for (mut alone, expected) in [
            ([None, None], [None, None]),
            ([add, None], [add, none]),
            ([add, reload], [reload, reload]),
            ([None, reload], [reload, reload]),
        ] {
            let mut leaves: Vec<_> = alone.iter_mut().map(|action| (action, rows)).collect();
            together(&mut leaves);
            assert_eq!(alone, expected);
        }
    }
}
