//! A unit of which only a part moves: the tables are there, and most of their rows.

use std::collections::{BTreeMap, HashMap};

use crate::baseline::{Ground, Loaded, Whereabouts};
use crate::catalogue::Table;
use crate::error::Error;

/// What is known of a unit's tables before any of their rows move, by their OIDs on the source.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What is there of all tables, those that do not move among them.
    pub(crate) ground: Ground,
    /// An attempt at the unit was interrupted: of what follows the rows anything may be missing.
    pub(crate) unfinished: bool,
    /// Tables to whose rows others are added.
    pub(crate) added: HashMap<u32, Added>,
    /// How many rows of a table move, where they were counted, and about how many bytes.
    pub(crate) moving: BTreeMap<u32, (Option<u64>, u64)>,
    /// Tables that have to wait for others, each with the number of its wave, from 1 on.
    pub(crate) waves: HashMap<u32, usize>,
}

/// Rows that are added to those of a table.
#[derive(Debug, Clone)]
pub(crate) struct Added {
    /// SQL that tells of a row whether it is one of them.
    pub(crate) sql: String,
    /// Where they are in the source's heap.
    pub(crate) at: Whereabouts,
    /// By about how many bytes the table's indexes grow meanwhile, which stay; 0 where they are built again.
    pub(crate) index_bytes: u64,
    /// One of them may reference another: they have to come together.
    pub(crate) alone: bool,
}

impl Kept {
    /// A unit of which nothing is known to move.
    pub(crate) fn of(ground: Ground, unfinished: bool) -> Self {
        Self {
            ground,
            unfinished,
            added: HashMap::new(),
            moving: BTreeMap::new(),
            waves: HashMap::new(),
        }
    }

    /// A table with what is known of where its rows go.
    pub(crate) fn given(&self, table: &Table) -> Table {
        let known = self.ground.tables.get(&table.oid);
        Table {
            by_root: known.map_or(table.by_root, |known| known.by_root),
            ..table.clone()
        }
    }

    /// Refuses if other rows have moved than were counted: of what, and how many.
    pub(super) fn confirm(&self, moved: &BTreeMap<u32, Loaded>) -> Result<(), Error> {
        let differing = self.moving.iter().filter_map(|(oid, (counted, _))| {
            let counted = (*counted)?;
            let moved = moved.get(oid).copied().unwrap_or_default().rows;
            let name = self.ground.tables.get(oid).map(|table| table.relation.quoted());
            (moved != counted).then(|| {
                format!(
                    "{counted} rows of {} were counted, and {moved} have moved",
                    name.unwrap_or_default()
                )
            })
        });
        Error::unless_equal(differing.collect())
    }
}
