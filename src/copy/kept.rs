//! A unit of which only a part moves: the tables are there, and most of their rows.

use std::collections::{BTreeMap, HashMap};

use crate::baseline::{self, Loaded};
use crate::error::Error;

/// What is known of a unit's tables before any of their rows move, by their OIDs on the source.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What each table, those that do not move among them, is under the snapshot.
    pub(crate) tables: BTreeMap<u32, baseline::Table>,
    /// SQL that tells of the rows of a table whether they have to be added to those that are there.
    pub(crate) added: HashMap<u32, String>,
    /// How many rows of a table move, and about how many bytes.
    pub(crate) moving: BTreeMap<u32, (u64, u64)>,
    /// Tables that have to wait for others, each with the number of its wave, from 1 on.
    pub(crate) waves: HashMap<u32, usize>,
}

impl Kept {
    /// Refuses if other rows have moved than were counted: of what, and how many.
    pub(super) fn confirm(&self, moved: &BTreeMap<u32, Loaded>) -> Result<(), Error> {
        let differing = self.moving.iter().filter_map(|(oid, (counted, _))| {
            let moved = moved.get(oid).copied().unwrap_or_default().rows;
            let name = self.tables.get(oid).map(|table| table.relation.quoted());
            (moved != *counted).then(|| {
                format!(
                    "{counted} rows of {} were counted, and {moved} have moved",
                    name.unwrap_or_default()
                )
            })
        });
        Error::unless_equal(differing.collect())
    }
}
