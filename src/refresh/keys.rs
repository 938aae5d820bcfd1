//! Which foreign keys go before rows move, and in which order the tables of those that stay are filled: pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::refresh::action::Action;

/// Keys of a table to which more than one row in so many is added are checked afterwards, all at once: that is faster than row by row
/// (measured: at a fiftieth).
const CHECKED_ALONE: u64 = 50;

/// A foreign key of the unit by its OID on the source.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) oid: u32,
    /// The table and its partitions.
    pub(super) children: BTreeSet<u32>,
    /// What it references, and that table's partitions.
    pub(super) parents: BTreeSet<u32>,
}

/// What becomes of foreign keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    /// OIDs of those that go, and come back when all rows are there.
    pub(super) going: BTreeSet<u32>,
    /// Tables that have to wait for others, by their OIDs, each with the number of its wave, from 1 on.
    pub(super) waves: HashMap<u32, usize>,
    /// Tables whose rows may reference each other by a key that stays.
    pub(super) within: BTreeSet<u32>,
}

impl Keys {
    /// Decides it for tables that move.
    pub(super) fn of(keys: &[Key], moving: &BTreeMap<u32, Action>) -> Self {
        let any = |tables: &BTreeSet<u32>, test: &dyn Fn(&Action) -> bool| {
            tables.iter().filter_map(|table| moving.get(table)).any(test)
        };
        let goes = |key: &&Key| {
            any(&key.parents, &|action| action.is_reload())
                || any(&key.children, &|action| {
                    action.is_reload() || action.adds_more_than(CHECKED_ALONE)
                })
        };
        let mut going: BTreeSet<u32> = keys.iter().filter(goes).map(|key| key.oid).collect();
        // A table that is filled after those that it references.
        let mut needs: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for key in keys.iter().filter(|key| !going.contains(&key.oid)) {
            for child in key.children.iter().filter(|table| moving.contains_key(table)) {
                let parents = key.parents.iter().copied();
                let others = parents.filter(|parent| parent != child && moving.contains_key(parent));
                needs.entry(*child).or_default().extend(others);
            }
        }
        needs.retain(|_, parents| !parents.is_empty());
        let mut waves: HashMap<u32, usize> = HashMap::new();
        for wave in 1.. {
            let next: Vec<u32> = needs
                .iter()
                .filter(|(_, parents)| parents.iter().all(|parent| !needs.contains_key(parent)))
                .map(|(child, _)| *child)
                .collect();
            if next.is_empty() {
                break;
            }
            for child in next {
                needs.remove(&child);
                waves.insert(child, wave);
            }
        }
        // They reference each other.
        let in_rings = |key: &&Key| key.children.iter().any(|child| needs.contains_key(child));
        going.extend(keys.iter().filter(in_rings).map(|key| key.oid));
        let stay = keys.iter().filter(|key| !going.contains(&key.oid));
        let within = stay.flat_map(|key| key.children.intersection(&key.parents).copied());
        Self {
            within: within.collect(),
            going,
            waves,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(oid: u32, child: u32, parent: u32) -> Key {
        Key {
            oid,
            children: BTreeSet::from([child]),
            parents: BTreeSet::from([parent]),
        }
    }

    #[test]
    fn keys_stay_where_few_rows_are_added_and_parents_come_first() {
        let (reload, few, many) = (
            Action::Reload,
            Action::Append { new: 1, all: 100 },
            Action::Append { new: 3, all: 100 },
        );
        let keys = [
            key(1, 10, 20),
            key(2, 10, 10),
            key(3, 11, 21),
            key(4, 12, 20),
            key(5, 20, 22),
            key(6, 13, 23),
        ];
        let moving = BTreeMap::from([(10, few), (20, few), (21, reload), (12, many), (22, few)]);
        let found = Keys::of(&keys, &moving);
        assert_eq!(found.going, BTreeSet::from([3, 4]));
        assert_eq!(found.waves, HashMap::from([(20, 1), (10, 2)]));
        assert_eq!(found.within, BTreeSet::from([10]));
        // A ring, and what hangs on it.
        let ring = [key(1, 10, 20), key(2, 20, 10), key(3, 30, 10)];
        let moving = BTreeMap::from([(10, few), (20, few), (30, few)]);
        let found = Keys::of(&ring, &moving);
        assert_eq!(found.going, BTreeSet::from([1, 2, 3]));
        assert!(found.waves.is_empty());
    }
}
