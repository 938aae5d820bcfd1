//! METHOD=copy: many streams under one snapshot, and everything else by our own sessions.

mod board;
mod plan;
mod rows;
mod workers;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::archive::dump::Archive;
use crate::archive::parts::Division;
use crate::archive::toc::Section;
use crate::build::order::{self, Mode, Prerequisite, Step};
use crate::build::{guard, pre_data};
use crate::catalogue::code::Code;
use crate::catalogue::memory::{self, BuildMemory};
use crate::catalogue::{self, Counted, Format, PostData, Relation, SequenceState, Table};
use crate::config::Config;
use crate::copy::board::{Board, Item, Rank};
use crate::copy::plan::{Task, Terms};
use crate::copy::rows::Rows;
use crate::copy::workers::{Crew, Servers, Work};
use crate::error::Error;
use crate::ledger::Begun;
use crate::lock::Lock;
use crate::privileges::{self, Carried};
use crate::progress::{Phase, Progress};
use crate::server::session::Session;
use crate::server::{ApplicationName, Server, Sides};
use crate::snapshot::Snapshot;
use crate::verify::Expected;
use crate::word::Word as _;

/// Everything that takes part in the move.
pub(crate) struct Copy<'a> {
    pub(crate) config: &'a Config,
    pub(crate) servers: &'a Sides<Server>,
    pub(crate) names: &'a ApplicationName,
    pub(crate) archive: &'a Archive,
    pub(crate) parts: &'a Division,
    /// A session on the target for what is done one after the other.
    pub(crate) session: &'a Session,
    pub(crate) carried: &'a Carried,
    pub(crate) loads: &'a [Begun],
    pub(crate) lock: &'a Lock,
    pub(crate) progress: &'a Progress,
}

impl Copy<'_> {
    /// Moves everything and gives up the snapshot as soon as the rows are through. Returns what the source holds,
    /// and the sessions that loaded.
    pub(crate) async fn run(
        self,
        snapshot: Snapshot,
        contents: Contents,
    ) -> Result<(Expected, Vec<Session>), Error> {
        let Contents {
            tables,
            formats,
            facts,
            features,
            code,
            validated: _,
            operators: _,
        } = contents;
        let terms = Terms {
            jobs: u64::from(self.config.jobs),
            split: self.config.split,
            source_major: snapshot.session.major(),
        };
        let waves = code.waves(&tables);
        let tasks = plan::plan(&tables, &formats, &waves, terms);
        self.explain(&tables, &formats);
        let steps = order::order(
            &self.archive.restored(Section::PostData, self.parts),
            &facts,
            &batches(&tables, &tasks),
        );
        let rows = Rows {
            schemas: &self.config.schemas,
            tables: &tables,
            formats: &formats,
            pieces: pieces(&tasks),
            toast: self.config.toast_compression,
            has_lz4: features.lz4,
            code: &code,
            loads: self.loads,
            lock: self.lock,
            progress: self.progress,
        };
        let id = snapshot.mark.id.clone();
        let servers = Servers {
            sides: self.servers,
            names: self.names,
            snapshot: &id,
            lock_timeout: self.config.lock_timeout,
            without_encoding: features.without_encoding,
            maintenance_work_mem_kb: features.build_memory.each_kb,
        };
        let gates = waves.values().max().copied().unwrap_or(0);
        let board = Board::new(items((&tables, &waves), &tasks, &steps, gates));
        let work = tasks
            .into_iter()
            .map(Work::Rows)
            .chain(steps.into_iter().map(Work::Build))
            .chain((0..gates).map(|_| Work::Build(Step::default())));
        let crew = Crew::new(&servers, &rows, work.collect(), board);
        let loaders = crew.open_loaders(self.config.jobs).await?;
        let sessions: Vec<&Session> = std::iter::once(self.session).chain(&loaders).collect();
        let entries = self.archive.restored(Section::PreData, self.parts);
        tokio::try_join!(
            crew.open_readers(self.config.jobs),
            pre_data::run(&sessions, &entries, &code.path)
        )?;
        privileges::close(self.session, self.carried, self.config).await?;
        let begin = guard::begin(self.loads);
        self.session.batch("hold the schemas' names", &begin).await?;

        self.progress.enter(Phase::Rows);
        self.progress.expect(&tables);
        let (sequences, loaders) = tokio::try_join!(self.finish_source(&crew, snapshot), crew.work(loaders))?;
        let counted = counted(&tables, &crew);
        self.progress.counted(&counted);
        Ok((Expected { counted, sequences }, loaders))
    }

    /// Waits for the last row, sets sequences, and gives up what is held on the source: indexes are built without.
    async fn finish_source(&self, crew: &Crew<'_>, snapshot: Snapshot) -> Result<Vec<SequenceState>, Error> {
        tokio::select! {
            biased;
            lost = snapshot.lost() => return Err(lost),
            () = crew.rows_landed() => {}
        }
        self.progress.enter(Phase::Sequences);
        let sequences = catalogue::sequences(&snapshot.session, &self.config.schemas).await?;
        snapshot.release().await?;
        self.session
            .batch("hold the schemas' names no longer", "ROLLBACK")
            .await?;
        catalogue::set_sequences(self.session, &sequences).await?;
        self.progress.enter(Phase::PostData);
        Ok(sequences)
    }

    /// Says why tables do not travel in binary form.
    fn explain(&self, tables: &[Table], formats: &HashMap<u32, Format>) {
        for table in tables {
            let name = formats
                .get(&table.oid)
                .and_then(|format| format.unsafe_type.as_ref());
            if let Some(name) = name {
                tracing::info!(
                    phase = self.progress.phase().word(),
                    table = table.relation.plain(),
                    reason = format!("values of type {name} are not the same in binary form on every server"),
                    "rows travel as text"
                );
            }
        }
    }
}

/// What the unit holds on the source, beside the archive.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Tables with rows of their own, largest first.
    pub(crate) tables: Vec<Table>,
    formats: HashMap<u32, Format>,
    /// What the archive does not say of post-data.
    pub(crate) facts: PostData,
    features: Features,
    /// Functions that the load will call.
    pub(crate) code: Code,
    /// Checks whose parent's is not validated, as theirs will not be.
    pub(crate) validated: Vec<(Relation, String)>,
    /// Schemas of operators, by catalogue and OID of what uses them.
    pub(crate) operators: HashMap<(u32, u32), Vec<String>>,
}

impl Contents {
    /// Reads everything under the snapshot.
    pub(crate) async fn read(source: &Session, target: &Session, config: &Config) -> Result<Self, Error> {
        let schemas = &config.schemas;
        let formats = async {
            let (there, here) =
                tokio::try_join!(catalogue::extensions(source), catalogue::extensions(target))?;
            let same: Vec<String> = there.intersection(&here).map(|(name, _)| name.clone()).collect();
            catalogue::formats(source, schemas, target.major(), &same).await
        };
        let facts = async {
            let tables = catalogue::tables(source, schemas).await?;
            let facts = catalogue::post_data(source, schemas, &tables, target.major()).await?;
            Ok::<_, Error>((tables, facts))
        };
        let (formats, (tables, facts), features, code, validated, operators) = tokio::try_join!(
            formats,
            facts,
            Features::of(source, target, config),
            Code::read(source, target, schemas),
            catalogue::validated_alone(source, schemas),
            catalogue::operators(source)
        )?;
        Ok(Self {
            tables,
            formats,
            facts,
            features,
            code,
            validated,
            operators,
        })
    }
}

/// What the servers can do, and how they hold text.
#[derive(Debug)]
struct Features {
    lz4: bool,
    without_encoding: bool,
    build_memory: BuildMemory,
}

impl Features {
    async fn of(source: &Session, target: &Session, config: &Config) -> Result<Self, Error> {
        Ok(Self {
            build_memory: memory::of_builds(target, config).await?,
            lz4: catalogue::has_lz4(target).await?,
            without_encoding: [source, target].iter().all(|side| side.encoding == "SQL_ASCII"),
        })
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

/// How many tasks each table is spread over, by its index.
fn pieces(tasks: &[Task]) -> HashMap<usize, usize> {
    let mut pieces = HashMap::new();
    for table in tasks.iter().flat_map(Task::tables) {
        *pieces.entry(*table).or_default() += 1;
    }
    pieces
}

/// The work as the board wants it: tasks first, then steps, then a gate between each wave and the next; each index that of
/// the work itself.
fn items(
    (tables, waves): (&[Table], &HashMap<u32, usize>),
    tasks: &[Task],
    steps: &[Step],
    gates: usize,
) -> Vec<Item> {
    let first_gate = tasks.len() + steps.len();
    let mut before_gates: Vec<Vec<usize>> = (0..gates)
        .map(|gate| {
            gate.checked_sub(1)
                .map(|before| first_gate + before)
                .into_iter()
                .collect()
        })
        .collect();
    let mut landing: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut items = Vec::new();
    for (piece, task) in tasks.iter().enumerate() {
        let carried = || task.tables().iter().filter_map(|table| tables.get(*table));
        for table in carried() {
            landing.entry(table.oid).or_default().push(piece);
        }
        let size: u64 = carried().map(|table| table.size_bytes).sum();
        let wave = carried()
            .filter_map(|table| waves.get(&table.oid))
            .max()
            .copied()
            .unwrap_or(0);
        if let Some(needs) = before_gates.get_mut(wave) {
            needs.push(piece);
        }
        items.push(Item {
            needs: wave
                .checked_sub(1)
                .map(|gate| first_gate + gate)
                .into_iter()
                .collect(),
            locks: BTreeMap::<u32, Mode>::new(),
            rank: Rank::Rows,
            weight: size,
        });
    }
    let by_root: BTreeSet<usize> = tables
        .iter()
        .filter(|table| table.by_root)
        .flat_map(|table| landing.get(&table.oid).into_iter().flatten().copied())
        .collect();
    let builds = steps
        .iter()
        .map(|step| build(step, &landing, &by_root, tasks.len()));
    items.extend(builds);
    items.extend(before_gates.into_iter().map(|needs| Item {
        needs,
        locks: BTreeMap::new(),
        rank: Rank::Gate,
        weight: 0,
    }));
    items
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

/// Rows by what they are counted under, largest table first; tables that nothing was sent of among them.
fn counted(tables: &[Table], crew: &Crew<'_>) -> Vec<(Counted, u64)> {
    let mut rows: HashMap<usize, u64> = HashMap::new();
    for (table, count) in crew.landed() {
        *rows.entry(table).or_default() += count;
    }
    let mut counted: BTreeMap<Counted, u64> = BTreeMap::new();
    for (table, unit) in catalogue::units(tables, &crew.rooted()).into_iter().enumerate() {
        *counted.entry(unit).or_default() += rows.get(&table).copied().unwrap_or(0);
    }
    counted.into_iter().collect()
}
