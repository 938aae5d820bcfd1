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
            trees.join(&joined);
        }
        let joined: Vec<u32> = trees.0.keys().copied().collect();
        for table in joined {
            trees.root(table);
        }
        trees
    }

    fn join(&mut self, tables: &[u32]) {
        let roots: BTreeSet<u32> = tables.iter().map(|table| self.root(*table)).collect();
        if let Some(first) = roots.first().copied() {
            self.0.extend(roots.into_iter().map(|root| (root, first)));
        }
    }

    /// What stands for the tree of this table, as far as is known; everything on the way there leads there directly then.
    fn root(&mut self, table: u32) -> u32 {
        let above = |trees: &Self, table: u32| trees.of_table(table).filter(|above| *above != table);
        let mut root = table;
        while let Some(next) = above(self, root) {
            root = next;
        }
        let mut passed = table;
        while let Some(next) = above(self, passed) {
            self.0.insert(passed, root);
            passed = next;
        }
        root
    }

    /// The table that stands for the tree of this one.
    pub(super) fn of_table(&self, table: u32) -> Option<u32> {
        self.0.get(&table).copied()
    }
}
