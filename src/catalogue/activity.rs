//! Whether tables and sequences were written to, on either side: counters, files, positions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::catalogue::{self, Relation};
use crate::config::{SchemaName, Schemas};
use crate::error::Error;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// How it is told that a sequence was never called.
const NEVER_CALLED: &str = "never called";

/// Where each table and each sequence stands, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Activity(BTreeMap<String, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    /// Rows written so far, or where a sequence stands; `None` where it is unknown.
    writes: Option<String>,
    /// Rows of a table that were updated or deleted so far, which `writes` counts too; not known of an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rewrites: Option<String>,
    file: Option<i64>,
    sequence: bool,
    /// Of what a crash of the server empties, whether it holds anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    holds: Option<bool>,
}

/// What has become of a table or sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Movement {
    Written,
    /// Truncated or rewritten.
    Replaced,
    /// A sequence has another position.
    Called,
    /// Emptied by a crash of the server.
    Lost,
}

/// Reads that of schemas; names are as SQL writes them. Not to be called within a transaction, which keeps to the counters
/// that it has seen first.
pub(crate) async fn read(session: &Session, schemas: &Schemas) -> Result<Activity, Error> {
    let nothing: &[u32] = &[];
    let rows = session
        .query(
            "read counters",
            include_str!("sql/activity.sql"),
            &[&schemas.names(), &nothing, &true, &nothing],
        )
        .await?;
    Activity::of(session, &rows, |row| relation(row).quoted()).await
}

/// Reads that of one schema, or of some of its relations; names are those within it. As [`read`].
pub(crate) async fn within(
    session: &Session,
    schema_oid: u32,
    relations: Option<&[u32]>,
) -> Result<Activity, Error> {
    let (no_names, schemas): (&[&str], &[u32]) = (&[], &[schema_oid]);
    let rows = session
        .query(
            "read counters",
            include_str!("sql/activity.sql"),
            &[
                &no_names,
                &schemas,
                &relations.is_none(),
                &relations.unwrap_or_default(),
            ],
        )
        .await?;
    Activity::of(session, &rows, |row| row.get("within")).await
}

fn relation(row: &Row) -> Relation {
    Relation {
        schema: row.get("schema"),
        name: row.get("name"),
    }
}

impl Activity {
    async fn of(session: &Session, rows: &[Row], name: impl Fn(&Row) -> String) -> Result<Self, Error> {
        let counter = |row: &Row| Counter {
            writes: row.get("writes"),
            rewrites: row.get("rewrites"),
            file: row.get("file"),
            sequence: row.get("is_sequence"),
            holds: row.get("holds"),
        };
        let mut counters: BTreeMap<_, _> = rows.iter().map(|row| (name(row), counter(row))).collect();
        // The server's function tells nothing of these but that.
        let never_called: Vec<&Row> = rows.iter().filter(|row| row.get("never_called")).collect();
        let relations: Vec<Relation> = never_called.iter().map(|row| relation(row)).collect();
        let states = catalogue::sequence_states(session, &relations).await?;
        for (row, state) in never_called.into_iter().zip(states) {
            let counter = counters.get_mut(&name(row));
            if let Some(counter) = counter.filter(|_| !state.is_called) {
                counter.writes = Some(format!("{NEVER_CALLED}, {} comes next", state.last_value));
            }
        }
        Ok(Self(counters))
    }

    /// What of it stands in one schema.
    pub(crate) fn of_schema(&self, schema: &SchemaName) -> Self {
        let prefix = format!("{}.", quote_ident(schema.as_str()));
        let own = self.0.iter().filter(|(name, _)| name.starts_with(&prefix));
        Self(
            own.map(|(name, counter)| (name.clone(), counter.clone()))
                .collect(),
        )
    }

    /// Names of what has moved since an earlier reading. What that does not know may have; counters that a crash or a
    /// reset has lost tell nothing.
    pub(crate) fn moved_since(&self, earlier: &Self) -> BTreeSet<String> {
        let moved = self.0.iter().filter(|(name, now)| {
            let then = earlier.0.get(*name);
            then.is_none_or(|then| now.movement_since(then).is_some())
        });
        moved.map(|(name, _)| name.clone()).collect()
    }

    /// Tables that have moved since an earlier reading, as far as counters tell: how many rows were added, `None` where anything may have
    /// happened.
    pub(crate) fn growth_since(&self, earlier: &Self) -> BTreeMap<&str, Option<u64>> {
        let tables = self.0.iter().filter(|(_, now)| !now.sequence);
        let moved = tables.filter_map(|(name, now)| {
            let added = match earlier.0.get(name) {
                Some(then) if (&then.writes, then.file) == (&now.writes, now.file) => return None,
                Some(then) => now.added_since(then),
                None => None,
            };
            Some((name.as_str(), added))
        });
        moved.collect()
    }

    /// How many rows were added since an earlier reading to tables to which nothing else was done, as far as counters tell.
    pub(crate) fn added_since(&self, earlier: &Self) -> impl Iterator<Item = (&str, u64)> {
        let tables = self
            .0
            .iter()
            .filter(|(_, now)| !now.sequence && now.writes.is_some());
        tables.filter_map(|(name, now)| {
            let then = earlier.0.get(name)?;
            let added = if then == now { 0 } else { now.added_since(then)? };
            Some((name.as_str(), added))
        })
    }

    /// What was there at an earlier reading and was written, truncated, rewritten or called since, in words.
    pub(crate) fn changes_since(&self, earlier: &Self) -> Vec<String> {
        let replaced = self.replaced_since(earlier);
        let replaced = replaced.iter().map(|name| replaced_in_words(name));
        self.writes_since(earlier).into_iter().chain(replaced).collect()
    }

    /// What of that counters tell.
    pub(crate) fn writes_since(&self, earlier: &Self) -> Vec<String> {
        let changes = self.movements_since(earlier).filter_map(|(name, movement)| {
            Some(match movement {
                Movement::Written => format!("rows of {name} were written"),
                Movement::Called => format!("sequence {name} has moved"),
                Movement::Lost | Movement::Replaced => return None,
            })
        });
        changes.collect()
    }

    /// Names of tables that have another file than at an earlier reading, although no counter tells of a write: TRUNCATE leaves no row of
    /// what it was, VACUUM FULL and CLUSTER every one.
    pub(crate) fn replaced_since(&self, earlier: &Self) -> Vec<String> {
        self.names_of(earlier, Movement::Replaced)
    }

    /// Names of what held something at an earlier reading and was emptied by a crash since.
    pub(crate) fn emptied_since(&self, earlier: &Self) -> Vec<String> {
        self.names_of(earlier, Movement::Lost)
    }

    fn names_of(&self, earlier: &Self, wanted: Movement) -> Vec<String> {
        let movements = self.movements_since(earlier);
        let moved = movements.filter(|(_, movement)| *movement == wanted);
        moved.map(|(name, _)| name.to_owned()).collect()
    }

    /// Whether the server has forgotten what it had counted at an earlier reading, by a crash or a reset: what was written since, counters
    /// do not tell then.
    pub(crate) fn has_forgotten(&self, earlier: &Self) -> bool {
        let mut tables = self.0.iter().filter(|(_, now)| !now.sequence);
        tables.any(|(name, now)| {
            let counts = earlier.0.get(name).and_then(|then| now.counts_since(then));
            counts.is_some_and(|(then, now)| now < then)
        })
    }

    /// This reading, but with sequences as they stood at an earlier one.
    pub(crate) fn with_sequences_of(mut self, earlier: &Self) -> Self {
        let sequences = earlier.0.iter().filter(|(_, then)| then.sequence);
        let sequences = sequences.map(|(name, then)| (name.clone(), then.clone()));
        self.0.retain(|_, now| !now.sequence);
        self.0.extend(sequences);
        self
    }

    fn movements_since<'a>(&'a self, earlier: &Self) -> impl Iterator<Item = (&'a str, Movement)> {
        self.0
            .iter()
            .filter_map(|(name, now)| Some((name.as_str(), now.movement_since(earlier.0.get(name)?)?)))
    }
}

/// Of a table that has another file, in words.
pub(crate) fn replaced_in_words(name: &str) -> String {
    format!("{name} was truncated or rewritten")
}

impl Counter {
    /// Rows that were added to a table to which nothing else was done.
    fn added_since(&self, then: &Self) -> Option<u64> {
        let same = then.file == self.file && self.rewrites.is_some() && then.rewrites == self.rewrites;
        let (before, now) = (then.writes.as_ref()?, self.writes.as_ref()?);
        let added = now.parse::<u64>().ok()?.checked_sub(before.parse().ok()?);
        added.filter(|_| same)
    }

    /// Writes to a table until an earlier reading, and until this one.
    fn counts_since(&self, then: &Self) -> Option<(i64, i64)> {
        let (then, now) = then.writes.as_ref().zip(self.writes.as_ref())?;
        Some((then.parse().ok()?, now.parse().ok()?))
    }

    fn movement_since(&self, then: &Self) -> Option<Movement> {
        let (before, now) = (then.writes.as_deref(), self.writes.as_deref());
        let known = before.zip(now);
        if self.sequence {
            // Earlier releases have not told what comes next.
            let moved =
                |(then, now): &(&str, &str)| then != now && !(*then == NEVER_CALLED && now.starts_with(then));
            let movement = if self.holds == Some(false) {
                Movement::Lost
            } else {
                Movement::Called
            };
            return known.filter(moved).map(|_| movement);
        }
        if self.counts_since(then).is_some_and(|(then, now)| now > then) {
            Some(Movement::Written)
        } else if then.file != self.file {
            Some(Movement::Replaced)
        } else {
            let emptied = (then.holds, self.holds) == (Some(true), Some(false));
            emptied.then_some(Movement::Lost)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(sequence: bool, writes: &str, file: i64) -> Activity {
        let counter = Counter {
            writes: Some(writes.to_owned()).filter(|writes| !writes.is_empty()),
            rewrites: None,
            file: Some(file),
            sequence,
            holds: None,
        };
        Activity(BTreeMap::from([("t".to_owned(), counter)]))
    }

    #[test]
    fn writes_and_new_files_are_movement_and_lost_counters_are_not() {
        let rows = [
            (false, ("5", 1), ("5", 1), None),
            (false, ("5", 1), ("11", 1), Some("rows of t were written")),
            (false, ("5", 1), ("0", 1), None),
            (false, ("", 1), ("6", 1), None),
            (false, ("5", 1), ("5", 2), Some("t was truncated or rewritten")),
            (true, ("5", 1), ("4", 1), Some("sequence t has moved")),
            (true, ("never called", 1), ("1", 1), Some("sequence t has moved")),
            (
                true,
                ("never called, 1 comes next", 1),
                ("never called, 5 comes next", 1),
                Some("sequence t has moved"),
            ),
            (true, ("never called", 1), ("never called, 5 comes next", 1), None),
            (
                true,
                ("7", 1),
                ("never called, 7 comes next", 1),
                Some("sequence t has moved"),
            ),
            (true, ("5", 1), ("", 2), None),
        ];
        for (sequence, then, now, expected) in rows {
            let (then, now) = (
                activity(sequence, then.0, then.1),
                activity(sequence, now.0, now.1),
            );
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(now.changes_since(&then), expected);
            assert_eq!(now.moved_since(&then).is_empty(), expected.is_empty());
        }
        let counted = |writes: &str, rewrites: &str| {
            let mut counted = activity(false, writes, 1);
            for counter in counted.0.values_mut() {
                counter.rewrites = Some(rewrites.to_owned());
            }
            counted
        };
        for (then, now, expected) in [
            (("5", "1"), ("5", "1"), None),
            (("5", "1"), ("9", "1"), Some(Some(4))),
            (("5", "1"), ("9", "2"), Some(None)),
            (("5", "1"), ("0", "0"), Some(None)),
        ] {
            let (then, now) = (counted(then.0, then.1), counted(now.0, now.1));
            assert_eq!(now.growth_since(&then).get("t").copied(), expected);
            let added: Vec<u64> = now.added_since(&then).map(|(_, added)| added).collect();
            assert_eq!(added, Vec::from_iter(expected.unwrap_or(Some(0))));
        }
        let new = activity(false, "1", 1);
        assert!(!new.moved_since(&Activity::default()).is_empty());
        assert!(new.changes_since(&Activity::default()).is_empty());
    }
}
