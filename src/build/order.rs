//! In which order post-data is built, and what of it can be built at once: pure.
//!
//! What costs time (indexes, keys, foreign keys, materialized views) is taken out of the archive's order and waits only for
//! what it needs. The rest (rules, triggers, materialized views that call functions, whatever hangs on them) comes afterwards
//! in the archive's order, which pg_dump has made a valid one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::archive::toc::Entry;
use crate::build::constraints;
use crate::build::indexes;
use crate::build::statements::Statement;
use crate::build::trees::Trees;
use crate::catalogue::{Constraint, PostData};

/// Statements of small tables that make one step.
const STEP_MAX: usize = 50;

/// What has to be there before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Prerequisite {
    /// The rows of the table with this OID.
    Rows(u32),
    /// The rows of every table.
    AllRows,
    /// Another step, by its index.
    Step(usize),
}

/// How a step locks a table against other work of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// With others of this mode: an index beside an index.
    Shared,
    Exclusive,
}

/// Statements that one session runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// None, where a step only gathers others.
    pub(crate) statements: Vec<Statement>,
    pub(crate) needs: BTreeSet<Prerequisite>,
    pub(crate) locks: BTreeMap<u32, Mode>,
    /// Size of the largest table that it reads, in bytes.
    pub(crate) weight: u64,
    /// The table that it builds on, by OID; 0 for none, or for several.
    pub(crate) table: u32,
    /// It is one statement, and what it calls may fail before other steps are done.
    pub(crate) may_pass_later: bool,
}

/// Whether building an entry calls functions of the user's own, which may read what is not there yet.
pub(crate) fn may_pass_later(entry: &Entry, facts: &PostData) -> bool {
    facts.all_rows.contains(&entry.oid)
        || matches!(entry.desc.as_str(), "MATERIALIZED VIEW DATA" | "CHECK CONSTRAINT")
}

/// Steps in their order.
#[derive(Debug)]
pub(crate) struct Ordered {
    /// Each needs only steps before it.
    pub(crate) steps: Vec<Step>,
    /// Indexes of the steps that build something on each table.
    pub(crate) builds: HashMap<u32, Vec<usize>>,
}

/// Steps for the entries of post-data. `batches` tells for small tables with which others their rows travel: their indexes are
/// built together too.
pub(crate) fn order(entries: &[&Entry], facts: &PostData, batches: &HashMap<u32, usize>) -> Ordered {
    let mut order = Order {
        facts,
        batches,
        tables: HashMap::new(),
        steps: Vec::new(),
        last: HashMap::new(),
        builds: HashMap::new(),
        groups: HashMap::new(),
        keys: None,
        attachments: HashMap::new(),
        trees: Trees::default(),
    };
    let late = late(entries, facts);
    let (late, early): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| late.contains(&entry.dump_id));
    let (keys, early): (Vec<&Entry>, Vec<&Entry>) =
        early.into_iter().partition(|entry| entry.desc == "FK CONSTRAINT");
    let (views, builds): (Vec<&Entry>, Vec<&Entry>) = early
        .into_iter()
        .partition(|entry| entry.desc == "MATERIALIZED VIEW DATA");
    order.alone_on_its_table(&builds);
    let table_of = |entry: &Entry| order.table(entry);
    order.trees = Trees::of(&builds, &table_of);
    for entry in builds {
        order.build(entry);
    }
    let built = order.steps.len();
    for entry in keys {
        order.foreign_key(entry, built);
    }
    for entry in views {
        order.refresh(entry);
    }
    order.rest(&late);
    Ordered {
        steps: order.steps,
        builds: order.builds,
    }
}

/// Entries that are not taken out of the archive's order: what is neither index nor constraint nor a materialized view that
/// reads nothing but relations, and what hangs on it.
fn late(entries: &[&Entry], facts: &PostData) -> HashSet<i32> {
    let mut late = HashSet::new();
    // Of a view that needs a key, or is needed by what it reads, pg_dump makes a shell before the rows: its query comes as a rule.
    let rules = entries.iter().filter(|entry| entry.desc == "RULE");
    let rules: HashSet<u32> = rules.map(|entry| entry.oid).collect();
    for entry in entries {
        let early = match entry.desc.as_str() {
            "INDEX" => facts.indexes.contains_key(&entry.oid),
            "CONSTRAINT" | "FK CONSTRAINT" => facts.constraints.contains_key(&entry.oid),
            "MATERIALIZED VIEW DATA" => {
                let reads = facts.matviews.get(&entry.oid);
                reads.is_some_and(|reads| !reads.rules.iter().any(|rule| rules.contains(rule)))
            }
            "INDEX ATTACH" => true,
            _ => false,
        };
        if !early || entry.dependencies.iter().any(|id| late.contains(id)) {
            late.insert(entry.dump_id);
        }
    }
    late
}

struct Order<'a> {
    facts: &'a PostData,
    batches: &'a HashMap<u32, usize>,
    /// How many indexes and keys each table has.
    tables: HashMap<u32, usize>,
    steps: Vec<Step>,
    /// The step after which an entry is there, by its number; and the table that it belongs to.
    last: HashMap<i32, (usize, u32)>,
    /// Steps that build something on a table.
    builds: HashMap<u32, Vec<usize>>,
    /// The step that builds the indexes of a batch of small tables.
    groups: HashMap<usize, usize>,
    /// The step that takes foreign keys of small tables at the moment.
    keys: Option<usize>,
    /// The step that takes attachments of each tree at the moment.
    attachments: HashMap<Option<u32>, usize>,
    trees: Trees,
}

impl Order<'_> {
    fn alone_on_its_table(&mut self, builds: &[&Entry]) {
        let tables: Vec<u32> = builds.iter().filter_map(|entry| self.table(entry)).collect();
        for table in tables {
            *self.tables.entry(table).or_default() += 1;
        }
    }

    /// What has to be locked with a table: its tree, if it is not a leaf, which has rows. Whatever is done to a
    /// partitioned table goes down to its partitions, and attaching an index goes up: two such in one tree would
    /// meet each other's locks in the opposite order.
    fn tree_above_leaves(&self, table: u32) -> Option<u32> {
        self.trees
            .of_table(table)
            .filter(|_| !self.facts.sizes.contains_key(&table))
    }

    fn table(&self, entry: &Entry) -> Option<u32> {
        match entry.desc.as_str() {
            "INDEX" => self.facts.indexes.get(&entry.oid).copied(),
            "INDEX ATTACH" => None,
            _ => self
                .facts
                .constraints
                .get(&entry.oid)
                .map(|constraint| constraint.table),
        }
    }

    /// An index, a key, or the attachment of an index to that of a partitioned table.
    fn build(&mut self, entry: &Entry) {
        let Some(table) = self.table(entry) else {
            return self.attach(entry);
        };
        let needs = self.needs(entry, &[table]);
        let later = may_pass_later(entry, self.facts);
        if let Some(batch) = self.batches.get(&table).copied().filter(|_| !later) {
            let step = self.group(batch);
            self.append(step, entry, needs, table);
            return;
        }
        let constraint = self.facts.constraints.get(&entry.oid);
        let parts = match constraint {
            // A key that is the only one on its table has nothing to be built beside.
            Some(constraint) if self.tables.get(&table).is_some_and(|count| *count > 1) => {
                indexes::key(entry, constraint)
            }
            Some(_) => indexes::IndexBuild {
                beside: None,
                alone: vec![Statement::whole(entry)],
            },
            None => indexes::index(entry),
        };
        let weight = self.facts.sizes.get(&table).copied().unwrap_or(0);
        let mut last = None;
        let mut needs = needs;
        for (statements, mode) in [
            (parts.beside.into_iter().collect(), Mode::Shared),
            (parts.alone, Mode::Exclusive),
        ] {
            let statements: Vec<Statement> = statements;
            if statements.is_empty() {
                continue;
            }
            let mut locks = BTreeMap::from([(table, mode)]);
            locks.extend(self.tree_above_leaves(table).map(|tree| (tree, Mode::Exclusive)));
            let step = self.push(Step {
                may_pass_later: later && statements.len() == 1,
                statements,
                needs: std::mem::take(&mut needs),
                locks,
                weight,
                table,
            });
            self.builds.entry(table).or_default().push(step);
            needs = BTreeSet::from([Prerequisite::Step(step)]);
            last = Some(step);
        }
        if let Some(step) = last {
            self.last.insert(entry.dump_id, (step, table));
        }
    }

    /// Attachments of one tree take no time, and only one of them can be under way: they make steps together.
    fn attach(&mut self, entry: &Entry) {
        let needs = self.needs(entry, &[]);
        let tables: Vec<u32> = entry
            .dependencies
            .iter()
            .filter_map(|id| self.last.get(id))
            .map(|(_, table)| *table)
            .collect();
        let trees = tables.iter().filter_map(|table| self.trees.of_table(*table));
        let locked: BTreeSet<u32> = trees.chain(tables.iter().copied()).collect();
        let tree = tables.iter().find_map(|table| self.trees.of_table(*table));
        let open = self.attachments.get(&tree).copied();
        let step = open
            .filter(|step| self.has_room(*step))
            .unwrap_or_else(|| self.push(Step::default()));
        self.attachments.insert(tree, step);
        self.append(step, entry, needs, 0);
        if let Some(step) = self.steps.get_mut(step) {
            step.locks
                .extend(locked.into_iter().map(|table| (table, Mode::Exclusive)));
        }
    }

    /// `built`: how many steps build indexes and keys.
    fn foreign_key(&mut self, entry: &Entry, built: usize) {
        let Some(constraint) = self.facts.constraints.get(&entry.oid) else {
            return;
        };
        let tables = [constraint.table, constraint.references];
        let mut needs = self.needs(entry, &tables);
        for table in tables {
            let builds = self.builds.get(&table).into_iter().flatten();
            needs.extend(builds.map(|step| Prerequisite::Step(*step)));
        }
        if tables.iter().all(|table| self.batches.contains_key(table)) {
            let step = self.key_group();
            self.append(step, entry, needs, constraint.table);
            self.lock(step, constraint);
            return;
        }
        let in_one = constraint.partitioned;
        if in_one {
            // It goes down to the partitions, and would wait for each one's builds in the server's queue.
            needs.insert(Prerequisite::AllRows);
            needs.extend((0..built).map(Prerequisite::Step));
        }
        let weight = self.facts.sizes.get(&constraint.table).copied().unwrap_or(0);
        let parts = constraints::foreign_key(entry, constraint, in_one);
        let add = self.push(Step {
            statements: vec![parts.add],
            needs,
            weight,
            ..Step::default()
        });
        self.lock(add, constraint);
        let last = match parts.validate {
            None => add,
            Some(statement) => self.push(Step {
                statements: vec![statement],
                needs: BTreeSet::from([Prerequisite::Step(add)]),
                locks: BTreeMap::from([
                    (constraint.references, Mode::Shared),
                    (constraint.table, Mode::Exclusive),
                ]),
                weight,
                table: 0,
                may_pass_later: false,
            }),
        };
        self.last.insert(entry.dump_id, (last, constraint.table));
    }

    /// A materialized view is filled when the tables that it reads are built: its query may want their indexes.
    fn refresh(&mut self, entry: &Entry) {
        let mut needs = self.needs(entry, &[]);
        needs.insert(Prerequisite::AllRows);
        let reads = self.facts.matviews.get(&entry.oid);
        let reads = reads.into_iter().flat_map(|reads| &reads.relations);
        let mut locks = BTreeMap::new();
        let mut weight = 0;
        for relation in reads {
            let builds = self.builds.get(relation).into_iter().flatten();
            needs.extend(builds.map(|step| Prerequisite::Step(*step)));
            let mode = if *relation == entry.oid {
                Mode::Exclusive
            } else {
                Mode::Shared
            };
            locks.insert(*relation, mode);
            weight += self.facts.sizes.get(relation).copied().unwrap_or(0);
        }
        let step = self.push(Step {
            statements: vec![Statement::whole(entry)],
            needs,
            locks,
            weight,
            table: 0,
            may_pass_later: true,
        });
        self.builds.entry(entry.oid).or_default().push(step);
        self.last.insert(entry.dump_id, (step, entry.oid));
    }

    /// Adding a foreign key locks both tables.
    fn lock(&mut self, step: usize, constraint: &Constraint) {
        if let Some(step) = self.steps.get_mut(step) {
            for table in [constraint.table, constraint.references] {
                let locked = [Some(table), self.trees.of_table(table)];
                step.locks
                    .extend(locked.into_iter().flatten().map(|table| (table, Mode::Exclusive)));
            }
        }
    }

    /// What is not taken out of the archive's order. Materialized views, and what hangs on them, take time: they
    /// wait for what they need and for all that comes before, but nothing that takes no time waits for them.
    fn rest(&mut self, entries: &[&Entry]) {
        let steps = self.steps.iter().enumerate();
        // What is built by such a function may have to wait for these.
        let mut needs: BTreeSet<Prerequisite> = steps
            .filter(|(_, step)| !step.may_pass_later)
            .map(|(step, _)| Prerequisite::Step(step))
            .collect();
        needs.insert(Prerequisite::AllRows);
        let mut last = self.push(Step {
            needs,
            ..Step::default()
        });
        let mut open = false;
        for entry in entries {
            let later = may_pass_later(entry, self.facts);
            let takes_time = later || entry.desc == "INDEX";
            let mut needs = self.needs(entry, &[]);
            needs.insert(Prerequisite::Step(last));
            let waits = needs.iter().any(|need| *need > Prerequisite::Step(last));
            if open && !takes_time && !waits {
                self.append(last, entry, BTreeSet::new(), 0);
                continue;
            }
            let step = self.push(Step {
                statements: vec![Statement::whole(entry)],
                needs,
                may_pass_later: later,
                ..Step::default()
            });
            self.last.insert(entry.dump_id, (step, 0));
            if !takes_time {
                last = step;
                open = true;
            }
        }
    }

    /// The rows of tables, and the steps of entries, that an entry leans on.
    fn needs(&self, entry: &Entry, tables: &[u32]) -> BTreeSet<Prerequisite> {
        let steps = entry.dependencies.iter().filter_map(|id| self.last.get(id));
        let mut needs: BTreeSet<Prerequisite> = steps.map(|(step, _)| Prerequisite::Step(*step)).collect();
        needs.extend(tables.iter().map(|table| Prerequisite::Rows(*table)));
        if self.facts.all_rows.contains(&entry.oid) {
            needs.insert(Prerequisite::AllRows);
        }
        needs
    }

    fn group(&mut self, batch: usize) -> usize {
        if let Some(step) = self.groups.get(&batch) {
            return *step;
        }
        let step = self.push(Step::default());
        self.groups.insert(batch, step);
        step
    }

    fn has_room(&self, step: usize) -> bool {
        let step = self.steps.get(step);
        step.is_some_and(|step| step.statements.len() < STEP_MAX)
    }

    fn key_group(&mut self) -> usize {
        let open = self.keys.filter(|step| self.has_room(*step));
        let step = open.unwrap_or_else(|| self.push(Step::default()));
        self.keys = Some(step);
        step
    }

    /// Adds an entry's statements to a step. What the entry needs of the step itself comes before it there.
    fn append(&mut self, step: usize, entry: &Entry, needs: BTreeSet<Prerequisite>, table: u32) {
        let weight = self.facts.sizes.get(&table).copied().unwrap_or(0);
        let tree = self.tree_above_leaves(table);
        if let Some(group) = self.steps.get_mut(step) {
            group.statements.push(Statement::whole(entry));
            group
                .needs
                .extend(needs.into_iter().filter(|need| *need != Prerequisite::Step(step)));
            group.weight = group.weight.max(weight);
            if table != 0 {
                let locked = [Some(table), tree];
                group
                    .locks
                    .extend(locked.into_iter().flatten().map(|table| (table, Mode::Exclusive)));
            }
        }
        self.last.insert(entry.dump_id, (step, table));
        let builds = self.builds.entry(table).or_default();
        if builds.last() != Some(&step) {
            builds.push(step);
        }
    }

    fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::toc::Section;
    use crate::catalogue::Reads;

    fn entry(dump_id: i32, desc: &str, dependencies: &[i32]) -> Entry {
        Entry {
            dump_id,
            catalog_oid: 0,
            oid: u32::try_from(dump_id).unwrap(),
            tag: format!("e{dump_id}"),
            desc: desc.to_owned(),
            section: Section::PostData,
            definition: format!("{desc} {dump_id};\n"),
            namespace: "s".to_owned(),
            access_method: String::new(),
            owner: String::new(),
            operators: Vec::new(),
            dependencies: dependencies.to_vec(),
        }
    }

    fn constraint(table: u32, references: u32, kind: char) -> Constraint {
        Constraint {
            name: format!("c{table}"),
            table,
            table_name: format!("s.t{table}"),
            references,
            kind,
            validated: true,
            timing: String::new(),
            partitioned: false,
            create_index: (kind == 'p').then(|| format!("CREATE UNIQUE INDEX c{table}")),
        }
    }

    /// What runs in which order: each step's statements, and the indexes of the steps that it waits for.
    fn ordered(
        entries: &[Entry],
        facts: &PostData,
        batches: &HashMap<u32, usize>,
    ) -> Vec<(Vec<String>, Vec<usize>)> {
        let entries: Vec<&Entry> = entries.iter().collect();
        let steps = order(&entries, facts, batches).steps;
        for (index, step) in steps.iter().enumerate() {
            assert!(
                step.needs.iter().all(|need| *need < Prerequisite::Step(index)),
                "{index} needs a later step"
            );
        }
        let words = |step: Step| {
            let statements = step
                .statements
                .into_iter()
                .map(|statement| statement.sql.trim().to_owned());
            let steps = step.needs.iter().filter_map(|need| match need {
                Prerequisite::Step(step) => Some(*step),
                Prerequisite::Rows(_) | Prerequisite::AllRows => None,
            });
            (statements.collect(), steps.collect())
        };
        steps.into_iter().map(words).collect()
    }

    fn step(statements: &[&str], needs: &[usize]) -> (Vec<String>, Vec<usize>) {
        (
            statements.iter().map(|sql| (*sql).to_owned()).collect(),
            needs.to_vec(),
        )
    }

    /// Table 100 has a key and an index, table 200 an index and a foreign key to table 100.
    fn two_tables() -> (Vec<Entry>, PostData) {
        let entries = vec![
            entry(1, "CONSTRAINT", &[]),
            entry(2, "INDEX", &[]),
            entry(3, "INDEX", &[]),
            entry(4, "TRIGGER", &[]),
            entry(5, "FK CONSTRAINT", &[1]),
            entry(6, "MATERIALIZED VIEW DATA", &[]),
            entry(7, "COMMENT", &[2]),
        ];
        let facts = PostData {
            constraints: HashMap::from([(1, constraint(100, 0, 'p')), (5, constraint(200, 100, 'f'))]),
            indexes: HashMap::from([(2, 100), (3, 200)]),
            ..PostData::default()
        };
        (entries, facts)
    }

    #[test]
    fn what_takes_time_runs_side_by_side_and_the_rest_afterwards() {
        let (entries, facts) = two_tables();
        let steps = ordered(&entries, &facts, &HashMap::new());
        assert_eq!(
            steps,
            [
                step(&["CREATE UNIQUE INDEX c100"], &[]),
                step(
                    &["ALTER TABLE ONLY s.t100 ADD CONSTRAINT \"c100\" PRIMARY KEY USING INDEX \"c100\""],
                    &[0]
                ),
                step(&["INDEX 2"], &[]),
                step(&["INDEX 3"], &[]),
                step(&["FK CONSTRAINT 5 NOT VALID"], &[0, 1, 2, 3]),
                step(&["ALTER TABLE ONLY s.t200 VALIDATE CONSTRAINT \"c200\""], &[4]),
                step(&[], &[0, 1, 2, 3, 4, 5]),
                step(&["TRIGGER 4;", "COMMENT 7;"], &[6]),
                step(&["MATERIALIZED VIEW DATA 6;"], &[7]),
            ]
        );
    }

    #[test]
    fn a_materialized_view_waits_for_what_it_reads() {
        // 8 calls functions; 9 reads 6, which reads table 200.
        let (mut entries, mut facts) = two_tables();
        entries.push(entry(8, "MATERIALIZED VIEW DATA", &[]));
        entries.push(entry(9, "MATERIALIZED VIEW DATA", &[6]));
        let reads = |relations: &[u32]| Reads {
            relations: relations.to_vec(),
            rules: Vec::new(),
        };
        facts.matviews = HashMap::from([(6, reads(&[6, 200])), (9, reads(&[9, 6, 200]))]);
        let steps = ordered(&entries, &facts, &HashMap::new());
        assert_eq!(steps[6], step(&["MATERIALIZED VIEW DATA 6;"], &[3]));
        assert_eq!(steps[7], step(&["MATERIALIZED VIEW DATA 9;"], &[3, 6]));
        assert_eq!(steps[10], step(&["MATERIALIZED VIEW DATA 8;"], &[9]));
    }

    #[test]
    fn small_tables_are_built_together() {
        let (entries, facts) = two_tables();
        let steps = ordered(&entries, &facts, &HashMap::from([(100, 0), (200, 0)]));
        assert_eq!(steps[0], step(&["CONSTRAINT 1;", "INDEX 2;", "INDEX 3;"], &[]));
        assert_eq!(steps[1], step(&["FK CONSTRAINT 5;"], &[0]));
    }

    #[test]
    fn a_tree_of_partitions_is_changed_by_one_step_at_a_time_and_its_leaves_by_many() {
        // Table 10 is the root of 20, that of the leaf 30; 40 is a leaf of 10, and 50 a table apart.
        let entries = [
            entry(1, "INDEX", &[]),
            entry(2, "INDEX", &[]),
            entry(3, "INDEX", &[]),
            entry(4, "INDEX", &[]),
            entry(5, "INDEX ATTACH", &[2, 3]),
            entry(6, "INDEX ATTACH", &[1, 4]),
            entry(7, "INDEX ATTACH", &[1, 2]),
            entry(8, "INDEX", &[]),
            entry(9, "FK CONSTRAINT", &[]),
        ];
        let mut key = constraint(10, 50, 'f');
        key.partitioned = true;
        let facts = PostData {
            constraints: HashMap::from([(9, key)]),
            indexes: HashMap::from([(1, 10), (2, 20), (3, 30), (4, 40), (8, 50)]),
            sizes: HashMap::from([(30, 1), (40, 1), (50, 1)]),
            ..PostData::default()
        };
        let steps = order(&entries.iter().collect::<Vec<_>>(), &facts, &HashMap::new()).steps;
        // Attachments make one step, in their order.
        let attached: Vec<&str> = steps[4].statements.iter().map(|one| one.sql.as_str()).collect();
        assert_eq!(
            attached,
            ["INDEX ATTACH 5;\n", "INDEX ATTACH 6;\n", "INDEX ATTACH 7;\n"]
        );
        assert!((0..4).all(|index| steps[4].needs.contains(&Prerequisite::Step(index))));
        let trees: BTreeSet<Option<&Mode>> = [0, 1, 4, 6]
            .iter()
            .map(|index| steps[*index].locks.get(&10))
            .collect();
        assert_eq!(trees, BTreeSet::from([Some(&Mode::Exclusive)]));
        for leaf in [2, 3, 5] {
            assert_eq!(steps[leaf].locks.len(), 1, "{leaf}");
        }
        assert!((0..6).all(|index| steps[6].needs.contains(&Prerequisite::Step(index))));
    }

    #[test]
    fn what_hangs_on_the_rest_is_not_taken_out_of_its_order() {
        let entries = [
            entry(1, "RULE", &[]),
            entry(2, "MATERIALIZED VIEW", &[1]),
            entry(3, "INDEX", &[2]),
            entry(4, "MATERIALIZED VIEW DATA", &[2]),
            entry(5, "COMMENT", &[3]),
        ];
        let facts = PostData {
            indexes: HashMap::from([(3, 300)]),
            ..PostData::default()
        };
        let steps = ordered(&entries, &facts, &HashMap::new());
        assert_eq!(
            steps,
            [
                step(&[], &[]),
                step(&["RULE 1;", "MATERIALIZED VIEW 2;"], &[0]),
                step(&["INDEX 3;"], &[1]),
                step(&["MATERIALIZED VIEW DATA 4;"], &[1]),
                step(&["COMMENT 5;"], &[1, 2]),
            ]
        );
    }
}
