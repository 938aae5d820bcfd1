//! The command `verify`: both sides as they are now, each under one snapshot.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::catalogue;
use crate::catalogue::activity;
use crate::config::{Config, Privileges, SchemaName, Schemas, Verify};
use crate::credentials;
use crate::error::{Error, Problem, Side};
use crate::ledger::{self, LoadState};
use crate::lock;
use crate::privileges;
use crate::progress::{Phase, Progress};
use crate::server::session::Session;
use crate::server::{ApplicationName, Server, Sides};
use crate::shutdown::Shutdown;
use crate::snapshot::Snapshot;
use crate::verify::{Difference, named, narrow, objects, rows, values};
use crate::watchdog::{self, Control};
use crate::word::Word as _;

/// How long a server may keep to itself what its backends have written: ten seconds from 15 on, and a margin.
const COUNTERS_DELAY: Duration = Duration::from_secs(12);
/// Between two looks at the counters.
const COUNTERS_INTERVAL: Duration = Duration::from_secs(1);

/// Compares, and changes nothing. `frozen`: what the source has written since the load is a difference too.
pub(crate) async fn verify(
    config: &Config,
    shutdown: &Shutdown,
    progress: &Progress,
    frozen: bool,
) -> Result<(), Error> {
    if config.verify == Verify::None {
        return Err(Error::Config(vec![Problem {
            variable: "VERIFY".to_owned(),
            reason: "none leaves nothing to compare".to_owned(),
        }]));
    }
    let compared = async {
        let both = Box::pin(Verification::connect(config, progress)).await?;
        let controls = [&both.controls.source, &both.controls.target];
        tokio::select! {
            biased;
            never = watchdog::watch(&controls, config, progress, shutdown) => match never {},
            ended = Box::pin(both.compare(progress, frozen)) => ended,
        }
    };
    shutdown.guard(compared).await
}

/// Both servers, and what is asked of them outside of any snapshot.
struct Verification<'a> {
    config: &'a Config,
    source: Server,
    target: Server,
    names: ApplicationName,
    controls: Sides<Control>,
    /// A session on each side without a transaction.
    outside: Sides<Session>,
}

/// One side, under its snapshot.
struct UnderSnapshot {
    /// The first has exported the snapshot, the others have imported it.
    snapshot: Snapshot,
    readers: Vec<Session>,
}

impl UnderSnapshot {
    async fn open(server: &Server, names: &ApplicationName, config: &Config) -> Result<Self, Error> {
        let limit = config.lock_timeout;
        let session = Session::open(server, &names.role("snapshot"), limit).await?;
        let snapshot = Snapshot::export(session, &config.schemas, limit).await?;
        let readers = snapshot.readers(server, names, config).await?;
        Ok(Self { snapshot, readers })
    }

    fn first(&self) -> &Session {
        &self.snapshot.session
    }

    fn sessions(&self) -> Vec<&Session> {
        std::iter::once(self.first()).chain(&self.readers).collect()
    }
}

impl<'a> Verification<'a> {
    async fn connect(config: &'a Config, progress: &Progress) -> Result<Self, Error> {
        progress.enter(Phase::Connect);
        let open = async |server: &Server| Session::open(server, "sf/verify", config.lock_timeout).await;
        let ((source, reading), (target, looking)) = tokio::try_join!(
            credentials::connect(&config.source, Side::Source, open),
            credentials::connect(&config.target, Side::Target, open)
        )?;
        let names = ApplicationName::new(&target.address(), &config.schemas.names());
        let role = names.role("verify");
        let (here, there, ..) = tokio::try_join!(
            Control::open(&source, &names),
            Control::open(&target, &names),
            reading.rename(&source, &role),
            looking.rename(&target, &role)
        )?;
        Ok(Self {
            config,
            source,
            target,
            names,
            controls: Sides {
                source: here,
                target: there,
            },
            outside: Sides {
                source: reading,
                target: looking,
            },
        })
    }

    async fn compare(&self, progress: &Progress, frozen: bool) -> Result<(), Error> {
        progress.enter(Phase::Lock);
        lock::refuse_held(&self.outside.target, &self.config.schemas).await?;
        let loads = self.loads().await?;

        progress.enter(Phase::Snapshot);
        let (source, target) = tokio::try_join!(
            UnderSnapshot::open(&self.source, &self.names, self.config),
            UnderSnapshot::open(&self.target, &self.names, self.config)
        )?;

        progress.enter(Phase::Verify);
        let (mut differences, values) = tokio::try_join!(
            self.definitions(&source, &target, &loads),
            self.values(&source, &target, progress)
        )?;
        differences.extend(values);
        drop((source, target));

        // What a load that has begun meanwhile did would look like differences.
        lock::refuse_held(&self.outside.target, &self.config.schemas).await?;
        Error::unless_equal(self.explained(differences, &loads, frozen).await?)
    }

    /// What the ledger knows of each schema, which has to be there on both sides.
    async fn loads(&self) -> Result<Vec<(SchemaName, Option<ledger::Load>)>, Error> {
        let target = &self.outside.target;
        let mut loads = Vec::new();
        for session in [&self.outside.source, target] {
            catalogue::refuse_missing(session, &self.config.schemas).await?;
        }
        for schema in &self.config.schemas {
            let load = ledger::latest(target, schema.as_str()).await?;
            match &load {
                None => tracing::warn!(schema = schema.as_str(), "no load of ours is known"),
                Some(load) if !matches!(load.state, LoadState::Complete | LoadState::Sealed) => {
                    tracing::warn!(schema = schema.as_str(), "the last load did not complete");
                }
                Some(_) => {}
            }
            loads.push((schema.clone(), load));
        }
        Ok(loads)
    }

    /// Objects, sequences, and what is about roles.
    async fn definitions(
        &self,
        source: &UnderSnapshot,
        target: &UnderSnapshot,
        loads: &[(SchemaName, Option<ledger::Load>)],
    ) -> Result<Vec<Difference>, Error> {
        let schemas = &self.config.schemas;
        let adopted: BTreeSet<SchemaName> = loads
            .iter()
            .filter(|(_, load)| load.as_ref().is_none_or(|load| load.adopted))
            .map(|(schema, _)| schema.clone())
            .collect();
        let (here, there) = (source.first(), target.first());
        let (expected, found, sequences, expected_roles, found_roles) = tokio::try_join!(
            objects::read(here, schemas),
            objects::read(there, schemas),
            catalogue::sequences(here, schemas),
            privileges::read(here, schemas),
            privileges::read(there, schemas)
        )?;
        let looking = &self.outside.target;
        let mut texts = objects::compare(looking, &expected, &found, &adopted).await?;
        if self.config.privileges == Privileges::Keep {
            let both = [expected_roles, found_roles];
            texts.extend(privileges::compare(looking, both, &adopted, self.config).await?);
        }
        let mut differences: Vec<Difference> = texts
            .into_iter()
            .map(|text| Difference {
                tables: Vec::new(),
                text,
            })
            .collect();
        let moved = rows::sequences(there, schemas, &sequences).await?;
        differences.extend(moved.into_iter().map(|(sequence, text)| Difference {
            tables: vec![sequence],
            text,
        }));
        Ok(differences)
    }

    /// Rows, and under `VERIFY=hash` what they hold.
    async fn values(
        &self,
        source: &UnderSnapshot,
        target: &UnderSnapshot,
        progress: &Progress,
    ) -> Result<Vec<Difference>, Error> {
        let schemas = &self.config.schemas;
        let hashed = self.config.verify == Verify::Hash;
        let (here, there) = tokio::try_join!(
            values::shapes(source.first(), schemas, &target.first().encoding),
            values::shapes(target.first(), schemas, &source.first().encoding)
        )?;
        let (sources, targets) = (source.sessions(), target.sessions());
        let (expected, found) = tokio::try_join!(
            values::sums(&sources, &here, hashed, progress),
            values::sums(&targets, &there, hashed, progress)
        )?;
        tracing::info!(
            phase = progress.phase().word(),
            tables = expected.len(),
            rows = expected.values().map(|sum| sum.rows).sum::<u64>(),
            "compared"
        );
        let sides = [
            (source.first(), here.as_slice()),
            (target.first(), there.as_slice()),
        ];
        let differing = values::differing(&expected, &found);
        if hashed {
            narrow::tables(sides, differing).await
        } else {
            Ok(named(&here, differing))
        }
    }

    /// Leaves out, and says, what the source has written since the load, unless it must not have written.
    async fn explained(
        &self,
        differences: Vec<Difference>,
        loads: &[(SchemaName, Option<ledger::Load>)],
        frozen: bool,
    ) -> Result<Vec<String>, Error> {
        let started = Instant::now();
        let is_explained = |difference: &Difference, moved: &BTreeSet<String>| {
            let mut tables = difference.tables.iter();
            tables.any(|table| moved.contains(&table.quoted()))
        };
        let unknown = loads.iter().all(|(_, load)| {
            let activity = load.as_ref().map(|load| &load.source_activity);
            activity.is_none_or(Option::is_none)
        });
        let moved = if frozen || unknown {
            BTreeSet::new()
        } else {
            loop {
                let moved = self.moved(loads).await?;
                let mut pending = differences
                    .iter()
                    .filter(|difference| !difference.tables.is_empty());
                if pending.all(|difference| is_explained(difference, &moved))
                    || started.elapsed() >= COUNTERS_DELAY
                {
                    break moved;
                }
                tokio::time::sleep(COUNTERS_INTERVAL).await;
            }
        };
        let mut left = Vec::new();
        for difference in differences {
            if is_explained(&difference, &moved) {
                tracing::warn!(
                    phase = Phase::Verify.word(),
                    difference = difference.text,
                    "the source has moved on"
                );
            } else {
                left.push(difference.text);
            }
        }
        Ok(left)
    }

    /// Tables and sequences that the source has written to since their load, as far as the ledger knows.
    async fn moved(&self, loads: &[(SchemaName, Option<ledger::Load>)]) -> Result<BTreeSet<String>, Error> {
        let source = &self.outside.source;
        let mut moved = BTreeSet::new();
        for (schema, load) in loads {
            if let Some(earlier) = load.as_ref().and_then(|load| load.source_activity.as_ref()) {
                let now = activity::read(source, &Schemas::from_iter([schema.clone()])).await?;
                moved.extend(now.moved_since(earlier));
            }
        }
        Ok(moved)
    }
}
