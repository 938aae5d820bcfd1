//! METHOD=copy: many streams under one snapshot, and everything else by our own sessions.

mod board;
mod kept;
mod line;
mod pace;
mod pieces;
mod pump;
mod rows;
mod schedule;
mod statements;
mod tasks;
mod turns;
mod workers;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::archive::dump::Archive;
use crate::archive::parts::Division;
use crate::archive::toc::Section;
use crate::baseline::{self, Baseline, Definitions, Ground, Loaded, Noted};
use crate::build::{guard, pre_data};
use crate::catalogue::code::Code;
use crate::catalogue::memory::{self, BuildMemory};
use crate::catalogue::{self, Analyzable, Counted, Format, PostData, Relation, SequenceState, Table};
use crate::config::Config;
use crate::copy::board::{Board, Crew};
use crate::copy::pieces::Pieces;
use crate::copy::rows::{Left, Rows};
use crate::copy::tasks::Terms;
use crate::copy::turns::Turns;
use crate::copy::workers::{Servers, Workers};
use crate::error::Error;
use crate::ledger::{self, Begun, Measured};
use crate::lock::Lock;
use crate::privileges::{self, Carried};
use crate::progress::{Phase, Progress};
use crate::server::session::Session;
use crate::server::threads::Threads;
use crate::server::{ApplicationName, Server, Sides};
use crate::snapshot::Snapshot;
use crate::verify::Expected;
use crate::word::Word as _;

pub(crate) use kept::{Added, Kept};

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
    /// The tables are there, with what has not changed of them.
    pub(crate) kept: Option<&'a Kept>,
}

/// What was moved.
pub(crate) struct Moved {
    /// What the source holds.
    pub(crate) expected: Expected,
    /// What the ledger is to keep of the source.
    pub(crate) noted: Noted<baseline::Contents>,
    /// The sessions that loaded.
    pub(crate) loaders: Vec<Session>,
}

impl Copy<'_> {
    /// Moves everything and gives up the snapshot as soon as the rows are through.
    pub(crate) async fn run(self, snapshot: Snapshot, contents: Contents) -> Result<Moved, Error> {
        let terms = Terms {
            jobs: u64::from(self.config.jobs),
            split: self.config.split,
            source_major: snapshot.session.major(),
        };
        self.explain(&contents);
        let entries = self.archive.restored(Section::PostData, self.parts);
        let pieces = Pieces::new(&contents, &entries, (terms, self.kept));
        let rows = self.rows(&contents, &pieces);
        let id = snapshot.mark.id.clone();
        let board = Board::new(pieces.items());
        let streams = board.pieces(Crew::Streams).min(self.config.jobs.into());
        let servers = Servers {
            threads: Threads::new(streams, self.config.task_cores),
            sides: self.servers,
            names: self.names,
            snapshot: &id,
            lock_timeout: self.config.lock_timeout,
            without_encoding: contents.features.without_encoding,
            maintenance_work_mem_kb: contents.features.build_memory.each_kb,
            streams,
            builders: board
                .pieces(Crew::Builders)
                .clamp(1, self.config.build_jobs.into()),
        };
        let workers = Workers::new(&servers, &rows, pieces.work(), board);
        let loaders = servers.loaders().await?;
        let others = loaders.iter().map(|(_, session)| session);
        let sessions: Vec<&Session> = std::iter::once(self.session).chain(others).collect();
        let ((), ground) = tokio::try_join!(
            workers.open_readers(),
            self.make_tables(&sessions, &snapshot, &contents)
        )?;
        let ground = ground.map(|ground| rows.ground.get_or_init(|| ground));
        let begin = guard::begin(self.loads);
        self.session.batch("hold the schemas' names", &begin).await?;

        self.progress.enter(Phase::Rows);
        self.progress.expect(&contents.tables);
        let tables = &contents.tables;
        let ((sequences, noted), loaders) = tokio::try_join!(
            self.finish_source(&workers, snapshot, (tables, ground)),
            workers.work(loaders)
        )?;
        let mut counted = counted(tables, &workers);
        self.progress.counted(&counted);
        if self.kept.is_some() {
            // All tables are counted, by who has written their rows.
            counted.clear();
            self.progress.holds(noted.tables().map(|table| table.rows).sum());
        }
        Ok(Moved {
            expected: Expected { counted, sequences },
            noted,
            loaders,
        })
    }

    fn rows<'a>(&'a self, contents: &'a Contents, pieces: &Pieces<'_>) -> Rows<'a> {
        Rows {
            schemas: &self.config.schemas,
            tables: &contents.tables,
            formats: &contents.formats,
            pieces: pieces.parts(),
            toast: self.config.toast_compression,
            has_lz4: contents.features.lz4,
            code: &contents.code,
            loads: self.loads,
            lock: self.lock,
            progress: self.progress,
            kept: self.kept,
            ground: OnceLock::new(),
            left: Mutex::new(Left::of(pieces.parts())),
            turns: Arc::new(Turns::new(pieces.turns())),
        }
    }

    /// Waits for the last row, sets sequences, and gives up what is held on the source: indexes are built without.
    async fn finish_source(
        &self,
        workers: &Workers<'_>,
        snapshot: Snapshot,
        (tables, ground): (&[Table], Result<&Ground, String>),
    ) -> Result<(Vec<SequenceState>, Noted<baseline::Contents>), Error> {
        let source = &snapshot.session;
        tokio::select! {
            biased;
            lost = snapshot.lost() => return Err(lost),
            landed = workers.rows_landed((source, self.lock.session())) => landed?,
        }
        self.progress.enter(Phase::Sequences);
        let (sequences, durable) = tokio::try_join!(
            catalogue::sequences(source, &self.config.schemas),
            baseline::is_durable(source, &snapshot.mark, baseline::DISK_PATIENCE)
        )?;
        let loaded = self.loaded(workers, tables)?;
        let noted = match ground {
            Ok(ground) => Noted::Known(ground.filled(&loaded, sequences.clone(), durable)),
            Err(reason) => Noted::Unknown(reason),
        };
        snapshot.release().await?;
        self.session
            .batch("hold the schemas' names no longer", "ROLLBACK")
            .await?;
        catalogue::set_sequences(self.session, &sequences).await?;
        self.progress.enter(Phase::PostData);
        Ok((sequences, noted))
    }

    /// Makes what comes before the rows, unless it is there, and says what is known of the tables then; why nothing, where the source
    /// does not tell which server it is.
    async fn make_tables(
        &self,
        sessions: &[&Session],
        snapshot: &Snapshot,
        contents: &Contents,
    ) -> Result<Result<Ground, String>, Error> {
        let entries = self.archive.restored(Section::PreData, self.parts);
        let known = async {
            match self.kept {
                Some(kept) => Ok(Ok(kept.ground.clone())),
                None => Ground::read((&snapshot.session, &snapshot.mark), &contents.tables).await,
            }
        };
        let (mut ground, ()) =
            tokio::try_join!(known, pre_data::run(sessions, &entries, &contents.code.path))?;
        if self.kept.is_none() {
            privileges::close(self.session, self.carried, self.config).await?;
            if let Ok(ground) = &mut ground {
                ground.look_at(self.session).await?;
                self.note_beginning(ground, snapshot, &contents.formats).await?;
            }
        }
        Ok(ground)
    }

    /// Tells the ledger where in the source's history a load begins: what has landed need not come again after an interruption.
    async fn note_beginning(
        &self,
        ground: &Ground,
        snapshot: &Snapshot,
        formats: &HashMap<u32, Format>,
    ) -> Result<(), Error> {
        let Some(first) = self.loads.first() else {
            return Ok(());
        };
        let durable = baseline::is_durable(&snapshot.session, &snapshot.mark, Duration::ZERO).await?;
        // No rows of these are on their way.
        let is_empty = |oid: u32| formats.get(&oid).is_none_or(|format| format.pages == 0);
        let beginning = Baseline {
            contents: ground.begun(is_empty, durable),
            definitions: Definitions::of(self.archive),
            loads: vec![first.id],
            unfinished: true,
        };
        ledger::note_base(self.session, first.id, &Noted::Known(beginning)).await
    }

    /// What has landed of each table.
    fn loaded(&self, workers: &Workers<'_>, tables: &[Table]) -> Result<BTreeMap<u32, Loaded>, Error> {
        let rooted = workers.rooted();
        let given = tables.iter().enumerate().map(|(index, table)| {
            let by_root = table.by_root || rooted.contains(&index);
            (table.oid, Loaded { rows: 0, by_root })
        });
        let mut loaded: BTreeMap<u32, Loaded> = given.collect();
        for (index, rows) in workers.landed() {
            let table = tables.get(index).and_then(|table| loaded.get_mut(&table.oid));
            if let Some(table) = table {
                table.rows += rows;
            }
        }
        if let Some(kept) = self.kept {
            kept.confirm(&loaded)?;
        }
        Ok(loaded)
    }

    /// Says why tables do not travel in binary form.
    fn explain(&self, contents: &Contents) {
        for table in &contents.tables {
            let name = contents
                .formats
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
    pub(crate) formats: HashMap<u32, Format>,
    /// What the archive does not say of post-data.
    pub(crate) facts: PostData,
    features: Features,
    /// Functions that the load will call.
    pub(crate) code: Code,
    /// Checks whose parent's is not validated, as theirs will not be.
    pub(crate) validated: Vec<(Relation, String)>,
    measured: Measured,
    /// What statistics are collected of.
    pub(crate) analyzable: Vec<Analyzable>,
    /// What not.
    pub(crate) not_analyzed: Vec<String>,
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
        let (formats, (tables, facts), features, code, validated, analyzable, measured, operators) = tokio::try_join!(
            formats,
            facts,
            Features::of(source, target, config),
            Code::read(source, target, schemas),
            catalogue::validated_alone(source, schemas),
            catalogue::analyzable(source, schemas, target.major()),
            ledger::measured(target, schemas),
            catalogue::operators(source)
        )?;
        let (analyzable, not_analyzed) = analyzable;
        Ok(Self {
            tables,
            formats,
            facts,
            features,
            code,
            validated,
            measured,
            analyzable,
            not_analyzed,
            operators,
        })
    }
}

impl Contents {
    /// Leaves out what does not move, and what was built on it.
    pub(crate) fn reduced_to(mut self, kept: &Kept) -> Self {
        self.tables.retain(|table| kept.moving.contains_key(&table.oid));
        for table in &mut self.tables {
            *table = kept.given(table);
            let moves = kept.moving.get(&table.oid);
            table.size_bytes = moves.map_or(table.size_bytes, |(_, bytes)| *bytes);
        }
        let is_concerned = |one: &Analyzable| {
            let known = |oid: &&u32| kept.ground.tables.contains_key(oid);
            let mut tables = one.below.iter().filter(known).peekable();
            // Of materialized views all rows are new.
            tables.peek().is_none() || tables.any(|oid| kept.moving.contains_key(oid))
        };
        if !kept.unfinished {
            self.analyzable.retain(is_concerned);
        }
        self
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
            without_encoding: Session::hold_bytes(source, target),
        })
    }
}

/// Rows by what they are counted under, largest table first; tables that nothing was sent of among them.
fn counted(tables: &[Table], workers: &Workers<'_>) -> Vec<(Counted, u64)> {
    let mut rows: HashMap<usize, u64> = HashMap::new();
    for (table, count) in workers.landed() {
        *rows.entry(table).or_default() += count;
    }
    let mut counted: BTreeMap<Counted, u64> = BTreeMap::new();
    for (table, unit) in catalogue::units(tables, &workers.rooted())
        .into_iter()
        .enumerate()
    {
        *counted.entry(unit).or_default() += rows.get(&table).copied().unwrap_or(0);
    }
    counted.into_iter().collect()
}
