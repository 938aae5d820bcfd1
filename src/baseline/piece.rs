//! Rows of a table that have landed without the rest: what an interrupted attempt leaves of one that it had cut.
//!
//! A row that a range has held, and that was there then, is there as long as it is visible, and stays in its place as long as the table
//! keeps its file. So the ranges tell what has landed as exactly as the whole table does.

use serde::{Deserialize, Serialize};

use crate::baseline::{Fingerprint, Place, Table};
use crate::catalogue::{self, TidRange};

/// What a transaction of rows says to the ledger of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Told {
    /// All that it misses has landed: what it is by now.
    Whole(Table),
    /// A range has landed, and something is missing.
    Piece(Piece),
}

/// The rows of a range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// OID of the table on the source.
    pub(crate) table: u32,
    pub(crate) rows: u64,
    /// Where in the source's history they were read.
    pub(crate) place: Place,
    /// The file that held the heap then.
    pub(crate) filenode: u32,
    pub(crate) range: TidRange,
    /// To what the table held before; otherwise it was empty.
    pub(crate) added: bool,
}

/// The pieces of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    place: Place,
    filenode: u32,
    /// In their order; none begins where another ends.
    ranges: Vec<TidRange>,
}

impl Table {
    /// One of which nothing has landed but what is in it already.
    pub(crate) fn of(found: Fingerprint) -> Self {
        Self {
            oid: found.oid,
            relation: found.relation,
            fingerprint: found.hash,
            rows: 0,
            by_root: false,
            place: None,
            target: None,
            awaited: false,
            parts: Vec::new(),
        }
    }

    /// Takes note of what an attempt has landed of it.
    pub(crate) fn take(&mut self, pieces: &[Piece]) {
        let Some(first) = pieces.first() else { return };
        if !first.added {
            self.awaited = true;
            self.rows = 0;
            self.parts.clear();
        }
        self.rows += pieces.iter().map(|piece| piece.rows).sum::<u64>();
        self.parts.push(Part {
            place: first.place.clone(),
            filenode: first.filenode,
            ranges: joined(pieces.iter().map(|piece| piece.range).collect()),
        });
    }

    /// Whether any of its rows may have landed, or rows of others where its own belong.
    pub(crate) fn is_begun(&self) -> bool {
        !self.awaited || !self.parts.is_empty() || self.by_root
    }

    /// Whether the source's rows may have other identifiers by now than those that pieces were read by.
    pub(crate) fn is_rewritten(&self, filenode: u32) -> bool {
        self.parts.iter().any(|part| part.filenode != filenode)
    }

    /// SQL that tells of a visible row on the source whether it is among those that have landed. `unit`: where all is known that has no
    /// place of its own.
    pub(crate) fn has_row(&self, unit: &Place) -> String {
        let whole = (!self.awaited).then(|| self.place.as_ref().unwrap_or(unit).moment.has_row());
        let parts = self.parts.iter().map(Part::has_row);
        let any: Vec<String> = whole.into_iter().chain(parts).collect();
        if any.is_empty() {
            "false".to_owned()
        } else {
            any.join(" OR ")
        }
    }

    /// Where in the source's history it is known, unless that is where all of the unit is.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.place.iter().chain(self.parts.iter().map(|part| &part.place))
    }
}

impl Part {
    fn has_row(&self) -> String {
        let ranges: Vec<String> = self
            .ranges
            .iter()
            .map(|range| catalogue::within(*range))
            .collect();
        format!("({}) AND ({})", ranges.join(" OR "), self.place.moment.has_row())
    }
}

/// Ranges in their order, those that follow on each other as one.
fn joined(mut ranges: Vec<TidRange>) -> Vec<TidRange> {
    ranges.sort_unstable_by_key(|(from, _)| *from);
    let mut joined: Vec<TidRange> = Vec::new();
    for (from, to) in ranges {
        match joined.last_mut() {
            Some((_, end)) if *end == Some(from) => *end = to,
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_follow_on_each_other_are_one() {
        assert_eq!(joined(Vec::new()), []);
        let ranges = vec![
            ((9, 0), None),
            ((0, 0), Some((3, 0))),
            ((7, 5), Some((9, 0))),
            ((3, 0), Some((5, 2))),
        ];
        assert_eq!(joined(ranges), [((0, 0), Some((5, 2))), ((7, 5), None)]);
    }
}
