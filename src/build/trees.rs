//! Which tables belong to one tree of partitions, as far as the attachment of indexes tells: pure.

use std::collections::{BTreeSet, HashMap};

use crate::archive::toc::Entry;

/// Partitions and partitioned tables, each with one of its tree that stands for the tree.
#[derive(Debug, Default)]
pub(super) struct Trees(HashMap<u32, u32>);

impl Trees {
    /// Joins the tables of every index with those that it is attached to.
    pub(super) fn of(builds: &[&Entry], table: &dyn Fn(&Entry) -> Option<u32>) -> Self {
        let tables: HashMap<i32, u32> = builds
            .iter()
            .filter_map(|entry| Some((entry.dump_id, table(entry)?)))
            .collect();
        let mut trees = Self::default();
        for entry in builds.iter().filter(|entry| entry.desc == "INDEX ATTACH") {
            let joined: Vec<u32> = entry
                .dependencies
                .iter()
                .filter_map(|id| tables.get(id))
                .copied()
                .collect();
            trees.join(joined);
        }
        trees
    }

    fn join(&mut self, tables: Vec<u32>) {
        let old: BTreeSet<u32> = tables
            .iter()
            .map(|table| self.of_table(*table).unwrap_or(*table))
            .collect();
        let Some(tree) = old.first().copied() else {
            return;
        };
        for known in self.0.values_mut().filter(|known| old.contains(known)) {
            *known = tree;
        }
        self.0.extend(tables.into_iter().map(|table| (table, tree)));
    }

    /// The table that stands for the tree of this one.
    pub(super) fn of_table(&self, table: u32) -> Option<u32> {
        self.0.get(&table).copied()
    }
}
