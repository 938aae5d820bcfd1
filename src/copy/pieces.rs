//! The work of a load, cut into pieces that wait for each other: pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::archive::toc::Entry;
use crate::build::analyze;
use crate::build::order::{self, Mode, Ordered, Prerequisite, Step};
use crate::catalogue::{Analyzable, Table};
use crate::copy::Contents;
use crate::copy::board::{Item, Rank};
use crate::copy::kept::Kept;
use crate::copy::tasks::{self, Division, Known, TableIndex, Task, Terms};
use crate::copy::workers::Work;

/// All pieces, in the order in which the board numbers them: tasks, steps, a gate between each wave and the next, statistics.
pub(crate) struct Pieces<'a> {
    tables: &'a [Table],
    /// Of the tables that do not go at once.
    waves: HashMap<u32, usize>,
    tasks: Vec<Task>,
    turns: HashMap<TableIndex, usize>,
    ordered: Ordered,
    gates: usize,
    statistics: Vec<Vec<Analyzable>>,
}

impl<'a> Pieces<'a> {
    /// Of what the source holds, and the entries of post-data. `kept`: what is there of that already.
    pub(crate) fn new(
        contents: &'a Contents,
        entries: &[&Entry],
        (terms, kept): (Terms, Option<&Kept>),
    ) -> Self {
        let tables = &contents.tables;
        let mut waves = contents.code.waves(tables);
        for (table, wave) in kept.into_iter().flat_map(|kept| &kept.waves) {
            *waves.entry(*table).or_default() += wave;
        }
        let none = HashMap::new();
        let known = Known {
            waves: &waves,
            measured: &contents.measured,
            added: kept.map_or(&none, |kept| &kept.added),
        };
        let Division { tasks, turns } = tasks::divide(tables, &contents.formats, known, terms);
        Self {
            tables,
            gates: waves.values().max().copied().unwrap_or(0),
            ordered: order::order(entries, &contents.facts, &batches(tables, &tasks)),
            statistics: analyze::lists(contents.analyzable.clone()),
            waves,
            tasks,
            turns,
        }
    }

    /// How many tasks each table is spread over, by its index.
    pub(crate) fn parts(&self) -> HashMap<TableIndex, usize> {
        let mut parts = HashMap::new();
        for table in self.tasks.iter().flat_map(Task::tables) {
            *parts.entry(*table).or_default() += 1;
        }
        parts
    }

    /// Which tables have a short line before which others.
    pub(crate) fn turns(&self) -> HashMap<TableIndex, usize> {
        self.turns.clone()
    }

    /// What is to be done, each at the index of its item.
    pub(crate) fn work(self) -> Vec<Work> {
        let rows = self.tasks.into_iter().map(Work::Rows);
        let steps = self.ordered.steps.into_iter().map(Work::Build);
        let gates = (0..self.gates).map(|_| Work::Build(Step::default()));
        let statistics = self.statistics.into_iter().map(Work::Analyze);
        rows.chain(steps).chain(gates).chain(statistics).collect()
    }

    /// What the board has to know of each.
    pub(crate) fn items(&self) -> Vec<Item> {
        let mut landing: HashMap<u32, Vec<usize>> = HashMap::new();
        for (piece, task) in self.tasks.iter().enumerate() {
            for table in self.carried(task) {
                landing.entry(table.oid).or_default().push(piece);
            }
        }
        let by_root: BTreeSet<usize> = self
            .tables
            .iter()
            .filter(|table| table.by_root)
            .flat_map(|table| landing.get(&table.oid).into_iter().flatten().copied())
            .collect();
        let rows = self
            .tasks
            .iter()
            .enumerate()
            .map(|(piece, task)| self.rows(piece, task));
        let steps = self.ordered.steps.iter();
        let builds = steps.map(|step| build(step, &landing, &by_root, self.tasks.len()));
        let gates = (0..self.gates).map(|gate| self.gate(gate));
        let analyses = self.statistics.iter().map(|list| self.analysis(list, &landing));
        rows.chain(builds).chain(gates).chain(analyses).collect()
    }

    fn carried(&self, task: &Task) -> impl Iterator<Item = &Table> {
        task.tables().iter().filter_map(|table| self.tables.get(*table))
    }

    fn wave(&self, task: &Task) -> usize {
        let waves = self.carried(task).filter_map(|table| self.waves.get(&table.oid));
        waves.max().copied().unwrap_or(0)
    }

    /// The number of the gate before a wave.
    fn before(&self, wave: usize) -> Option<usize> {
        let first_gate = self.tasks.len() + self.ordered.steps.len();
        wave.checked_sub(1).map(|gate| first_gate + gate)
    }

    fn rows(&self, piece: usize, task: &Task) -> Item {
        Item {
            needs: self.before(self.wave(task)).into_iter().collect(),
            locks: BTreeMap::new(),
            rank: Rank::Rows,
            weight: u64::try_from(self.tasks.len() - piece).unwrap_or(0),
        }
    }

    fn gate(&self, gate: usize) -> Item {
        let tasks = self.tasks.iter().enumerate();
        let of_the_wave = tasks.filter(|(_, task)| self.wave(task) == gate);
        let needs = of_the_wave.map(|(piece, _)| piece).chain(self.before(gate));
        Item {
            needs: needs.collect(),
            locks: BTreeMap::new(),
            rank: Rank::Gate,
            weight: 0,
        }
    }

    /// Statistics come when everything below a relation is built, and lock all of that.
    fn analysis(&self, list: &[Analyzable], landing: &HashMap<u32, Vec<usize>>) -> Item {
        let tasks = self.tasks.len();
        let below = || list.iter().flat_map(|relation| &relation.below);
        let rows = below().filter_map(|table| landing.get(table)).flatten();
        let mut needs: BTreeSet<usize> = rows.copied().collect();
        let built = below()
            .filter_map(|table| self.ordered.builds.get(table))
            .flatten();
        needs.extend(built.map(|step| tasks + step));
        if list.iter().any(|relation| relation.last) {
            needs.extend(0..tasks + self.ordered.steps.len());
        }
        Item {
            needs: needs.into_iter().collect(),
            locks: below().map(|table| (*table, Mode::Exclusive)).collect(),
            rank: Rank::Analyze,
            weight: list.iter().map(|relation| relation.bytes).sum(),
        }
    }
}

/// Small tables by OID, each with the number of the task that carries its rows.
fn batches(tables: &[Table], tasks: &[Task]) -> HashMap<u32, usize> {
    let mut batches = HashMap::new();
    for (number, task) in tasks.iter().enumerate() {
        if let Task::Batch(batch) = task {
            let small = batch.iter().filter_map(|table| tables.get(*table));
            batches.extend(small.map(|table| (table.oid, number)));
        }
    }
    batches
}

/// A step as the board wants it. `landing`: the tasks that carry each table's rows; `by_root`: those of leaves whose rows go
/// through their root; `tasks`: how many there are.
fn build(step: &Step, landing: &HashMap<u32, Vec<usize>>, by_root: &BTreeSet<usize>, tasks: usize) -> Item {
    let mut needs = BTreeSet::new();
    for need in &step.needs {
        match need {
            Prerequisite::Rows(table) => {
                let own = landing.get(table).into_iter().flatten();
                needs.extend(own.copied());
                // Rows of such a leaf may come from any other one, and all of them go through the root, which has none of
                // its own.
                if !landing.contains_key(table) || needs.intersection(by_root).next().is_some() {
                    needs.extend(by_root);
                }
            }
            Prerequisite::AllRows => needs.extend(0..tasks),
            Prerequisite::Step(step) => {
                needs.insert(tasks + step);
            }
        }
    }
    Item {
        needs: needs.into_iter().collect(),
        locks: step.locks.clone(),
        rank: Rank::Build,
        weight: step.weight,
    }
}
