//! What has become of a table, a sequence, a definition since its load.

use std::collections::{BTreeMap, BTreeSet};

use crate::baseline::{Definitions, Table};
use crate::catalogue::{Relation, SequenceState};

/// The rows of a table that are there now, by when they were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Before the load's snapshot.
    pub(crate) old: u64,
    /// After it, or by a transaction that ran beside one that it has not seen the end of.
    pub(crate) new: u64,
}

impl Rows {
    /// Those of two parts of a table.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            old: self.old + other.old,
            new: self.new + other.new,
        }
    }
}

/// What has become of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unchanged,
    /// Rows were added, and nothing else.
    Appended(u64),
    /// As many of the loaded rows are no longer there as they were, or were loaded beside a transaction that had not ended; as
    /// many are new.
    Changed {
        lost: u64,
        new: u64,
    },
    /// Its rows mean other values.
    Redefined,
    /// It was not there.
    New,
    /// It is no longer there.
    Gone,
}

impl Verdict {
    /// That of a table, by what it is and holds now.
    pub(crate) fn of(before: &Table, now: Option<(&str, Rows)>) -> Self {
        let Some((fingerprint, rows)) = now else {
            return Self::Gone;
        };
        if fingerprint != before.fingerprint {
            Self::Redefined
        } else if rows.old != before.rows {
            Self::Changed {
                lost: before.rows.saturating_sub(rows.old),
                new: rows.new,
            }
        } else if rows.new > 0 {
            Self::Appended(rows.new)
        } else {
            Self::Unchanged
        }
    }

    /// The word of records.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Appended(_) => "appended",
            Self::Changed { .. } => "changed",
            Self::Redefined => "redefined",
            Self::New => "new",
            Self::Gone => "gone",
        }
    }

    /// What is said of the table; nothing of one that has not changed.
    pub(crate) fn text(&self, table: &Relation) -> Option<String> {
        let name = table.quoted();
        Some(match self {
            Self::Unchanged => return None,
            Self::Appended(rows) => format!("{name}: {rows} rows were added"),
            Self::Changed { lost, new } => {
                format!(
                    "{name}: {lost} of the rows that were loaded were updated or deleted, {new} rows are new"
                )
            }
            Self::Redefined => format!("{name}: its name, its columns or their types were changed"),
            Self::New => format!("{name} was not there at the load"),
            Self::Gone => format!("{name} is no longer there"),
        })
    }

    /// About how many bytes of a table of this size would have to travel.
    pub(crate) fn bytes(&self, size_bytes: u64, rows: Rows) -> u64 {
        match self {
            Self::Unchanged | Self::Gone => 0,
            Self::Appended(new) => {
                let all = u128::from(rows.old) + u128::from(rows.new);
                let share = u128::from(size_bytes) * u128::from(*new) / all.max(1);
                u64::try_from(share).unwrap_or(size_bytes)
            }
            Self::Changed { .. } | Self::Redefined | Self::New => size_bytes,
        }
    }
}

/// Sequences that stand elsewhere than at the load.
pub(crate) fn sequences(before: &[SequenceState], now: &[SequenceState]) -> Vec<String> {
    let then: BTreeMap<&Relation, &SequenceState> =
        before.iter().map(|state| (&state.relation, state)).collect();
    let moved = now.iter().filter_map(|now| {
        let then = then.get(&now.relation).filter(|then| **then != now)?;
        let name = now.relation.quoted();
        Some(format!(
            "sequence {name} stands at {} and stood at {}",
            now.position(),
            then.position()
        ))
    });
    moved.collect()
}

/// Definitions that are others than at the load. A sequence or a table that came or went is one too.
pub(crate) fn definitions(before: &Definitions, now: &Definitions) -> Vec<String> {
    if before.client != now.client {
        return vec![format!(
            "definitions cannot be compared: the load read them by pg_dump {}, this is {}",
            before.client, now.client
        )];
    }
    let names: BTreeSet<&String> = before.entries.keys().chain(now.entries.keys()).collect();
    let differing = names.into_iter().filter_map(|name| {
        let what = match (before.entries.get(name), now.entries.get(name)) {
            (Some(then), Some(now)) if then == now => return None,
            (Some(_), Some(_)) => "was changed",
            (None, _) => "was added",
            (_, None) => "was dropped",
        };
        Some(format!("definition of {name} {what}"))
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Fingerprint;

    fn relation() -> Relation {
        Relation {
            schema: "s".to_owned(),
            name: "t".to_owned(),
        }
    }

    fn rows(old: u64, new: u64) -> Rows {
        Rows { old, new }
    }

    #[test]
    fn as_many_old_rows_as_were_loaded_prove_that_none_was_touched() {
        let before = Table {
            rows: 10,
            ..Table::of(Fingerprint {
                oid: 5,
                relation: relation(),
                hash: "f".to_owned(),
                by_name: false,
            })
        };
        let judge = |old, new| Verdict::of(&before, Some(("f", rows(old, new))));
        assert_eq!(judge(10, 0), Verdict::Unchanged);
        assert_eq!(judge(10, 3), Verdict::Appended(3));
        assert_eq!(judge(9, 1), Verdict::Changed { lost: 1, new: 1 });
        assert_eq!(judge(0, 0), Verdict::Changed { lost: 10, new: 0 });
        // Cannot be, and is nothing to rely on.
        assert_eq!(judge(11, 0), Verdict::Changed { lost: 0, new: 0 });
        assert_eq!(Verdict::of(&before, Some(("g", rows(10, 0)))), Verdict::Redefined);
        assert_eq!(Verdict::of(&before, None), Verdict::Gone);
        assert_eq!(judge(10, 3).bytes(1300, rows(10, 3)), 300);
        assert_eq!(judge(9, 1).bytes(1300, rows(9, 1)), 1300);
    }

    #[test]
    fn definitions_are_compared_by_what_they_are_about() {
        let of = |client, entries: &[(&str, &str)]| Definitions {
            client,
            entries: entries
                .iter()
                .map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned()))
                .collect(),
        };
        let before = of(15, &[("TABLE s t", "1"), ("VIEW s v", "2"), ("VIEW s w", "3")]);
        assert!(definitions(&before, &before).is_empty());
        let now = of(15, &[("TABLE s t", "1"), ("VIEW s v", "9"), ("VIEW s x", "4")]);
        assert_eq!(
            definitions(&before, &now),
            [
                "definition of VIEW s v was changed",
                "definition of VIEW s w was dropped",
                "definition of VIEW s x was added"
            ]
        );
        assert_eq!(definitions(&before, &of(16, &[])).len(), 1);
    }
}
