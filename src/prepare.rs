//! The command `prepare`: takes down, in one go, what loads of ours have made of all schemas of a plan, so that none of them is in
//! the way of another's next load.

use crate::catalogue;
use crate::clear;
use crate::config::{Config, SchemaName, Schemas};
use crate::credentials;
use crate::error::{Error, Side};
use crate::ledger::{self, NewLoad};
use crate::lock::Lock;
use crate::preflight::{self, Purpose, Questions};
use crate::progress::{Phase, Progress};
use crate::server::Sides;
use crate::server::session::Session;
use crate::shutdown::Shutdown;
use crate::unit::{self, Unit};
use crate::written;

/// Takes down the schemas of the configuration, or all of the source's. Everything is asked before anything is dropped.
pub(crate) async fn prepare(config: &Config, shutdown: &Shutdown, progress: &Progress) -> Result<(), Error> {
    let config = &Config {
        schemas: shutdown.guard(Box::pin(schemas(config, progress))).await?,
        ..config.clone()
    };
    let (lock, unit, sessions) = shutdown.guard(Box::pin(unit::locked(config, progress))).await?;
    let line = Box::pin(line(&unit, sessions, &lock, progress));
    let ended = unit.guard(&lock, (shutdown, progress), line).await;
    if ended.is_err() {
        unit.sweep().await;
    }
    ended
}

/// The same that `plan` plans.
async fn schemas(config: &Config, progress: &Progress) -> Result<Schemas, Error> {
    if !config.schemas.is_empty() {
        return Ok(config.schemas.clone());
    }
    progress.enter(Phase::Connect);
    let (_, source) = credentials::connect(&config.source, Side::Source, async |server| {
        Session::open(server, "sf/prepare", config.lock_timeout).await
    })
    .await?;
    let names = catalogue::schemas(&source, &config.schemas).await?;
    Ok(names.into_iter().map(SchemaName::of_ledger).collect())
}

async fn line(
    unit: &Unit<'_>,
    sessions: Sides<Session>,
    lock: &Lock,
    progress: &Progress,
) -> Result<(), Error> {
    unit.sweep_others(&sessions, lock).await?;
    let target = &sessions.target;
    progress.enter(Phase::Preflight);
    preflight::refuse_reader(target).await?;
    let (kept, others) = divide(unit, target, progress).await?;
    for schema in &kept {
        tracing::info!(schema = schema.as_str(), "already complete");
    }
    let config = &Config {
        schemas: others,
        ..unit.config.clone()
    };
    clear::settled(target, lock, config).await?;
    let questions = Questions {
        config,
        ..unit.questions(&sessions, Purpose::Load)
    };
    let mut answers = preflight::ask_target(&questions).await?;
    let order = clear::order(target, config, &answers.decisions, &kept).await?;
    let clear::Order { mut pieces, refused } = order;
    for refused in refused {
        answers.refuse("target schema", refused);
    }
    answers.record(None);
    answers.permit()?;
    let loads = pieces.iter_mut().flat_map(clear::Piece::loads);
    written::refuse((unit, target), loads, progress).await?;

    progress.enter(Phase::Clear);
    if !pieces.is_empty() {
        ledger::open(target).await?;
    }
    let entry = of_unit(unit, Schemas::default());
    for piece in &pieces {
        piece.take_down(target, lock, (config, &entry)).await?;
        for schema in piece.schemas() {
            tracing::info!(schema, "taken down");
        }
        progress.step();
    }
    progress.enter(Phase::Complete);
    Ok(())
}

/// Those that are complete under this run's identifier, which a load of them would leave alone, and all others.
async fn divide(unit: &Unit<'_>, target: &Session, progress: &Progress) -> Result<(Schemas, Schemas), Error> {
    let (mut kept, mut others) = (Vec::new(), Vec::new());
    for schema in &unit.config.schemas {
        let loaded = ledger::latest(target, schema.as_str())
            .await?
            .map(|load| load.unit());
        let is_complete = match loaded.filter(|loaded| loaded.iter().any(|one| one == schema)) {
            Some(loaded) => {
                let entry = of_unit(unit, loaded.clone());
                written::is_complete((unit, target), &loaded, &entry, progress).await?
            }
            None => false,
        };
        if is_complete { &mut kept } else { &mut others }.push(schema.clone());
    }
    Ok((kept.into_iter().collect(), others.into_iter().collect()))
}

/// What a load of these schemas, moved together, writes into its rows.
fn of_unit(unit: &Unit<'_>, schemas: Schemas) -> NewLoad {
    let config = Config {
        schemas,
        ..unit.config.clone()
    };
    NewLoad::new(
        &config,
        unit.servers.source.address(),
        unit.names.attempt().to_owned(),
    )
}
