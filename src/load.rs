//! The line that a load follows, and nothing else.

use std::pin::pin;

use futures_util::future::maybe_done;

use crate::archive::dump::Endpoint;
use crate::archive::parts;
use crate::baseline::Definitions;
use crate::catalogue;
use crate::clear;
use crate::config::Config;
use crate::copy::Contents;
use crate::error::Error;
use crate::ledger::{self, Standing};
use crate::lock::Lock;
use crate::preflight::{self, Answers};
use crate::privileges;
use crate::progress::{Phase, Progress};
use crate::server::Sides;
use crate::server::session::Session;
use crate::shutdown::Shutdown;
use crate::transfer::Transfer;
use crate::unit::{self, Early, Unit};
use crate::verify::loaded;

/// Moves the unit. However it ends, nothing of it goes on running on either server.
pub(crate) async fn load(config: &Config, shutdown: &Shutdown, progress: &Progress) -> Result<(), Error> {
    let (lock, unit, sessions) = shutdown.guard(Box::pin(unit::locked(config, progress))).await?;
    let line = Box::pin(line(&unit, sessions, &lock, progress));
    match unit.guard(&lock, (shutdown, progress), line).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let error = unit.explain(error).await;
            unit.tell(&lock, &error, progress).await;
            unit.sweep().await;
            Err(error)
        }
    }
}

/// Asks everything, and takes the snapshot meanwhile. What passes by itself is waited for without holding anything on the
/// source.
async fn permitted<'a>(
    unit: &'a Unit<'_>,
    sessions: &Sides<Session>,
    progress: &Progress,
) -> Result<(Answers, Sides<Endpoint<'a>>, Early), Error> {
    let endpoints = unit.endpoints(sessions).ok();
    if let Some(endpoints) = &endpoints
        && let Some((answers, early)) = permitted_at_once(unit, sessions, &endpoints.source, progress).await?
    {
        return Ok((answers, endpoints.clone(), early));
    }
    let answers = preflight::permitted(&unit.questions(sessions, false), progress).await?;
    let endpoints = endpoints
        .ok_or_else(|| Error::Internal("preflight permitted a run without client programs".to_owned()))?;
    progress.enter(Phase::Snapshot);
    let early = unit.read_early(&endpoints.source).await?;
    Ok((answers, endpoints, early))
}

/// The same, if nothing has to be waited for.
async fn permitted_at_once(
    unit: &Unit<'_>,
    sessions: &Sides<Session>,
    source: &Endpoint<'_>,
    progress: &Progress,
) -> Result<Option<(Answers, Early)>, Error> {
    let questions = unit.questions(sessions, false);
    let mut early = pin!(maybe_done(unit.read_early(source)));
    let ahead = async {
        early.as_mut().await;
        std::future::pending().await
    };
    let answers = tokio::select! {
        biased;
        answers = Box::pin(preflight::permitted_at_once(&questions, progress)) => answers?,
        answers = ahead => answers,
    };
    let Some(answers) = answers else { return Ok(None) };
    progress.enter(Phase::Snapshot);
    early.as_mut().await;
    let early = early.take_output().transpose()?;
    Ok(early.map(|early| (answers, early)))
}

/// The line.
async fn line(
    unit: &Unit<'_>,
    sessions: Sides<Session>,
    lock: &Lock,
    progress: &Progress,
) -> Result<(), Error> {
    let config = unit.config;
    unit.sweep_others(&sessions, lock).await?;
    if ledger::is_complete(&sessions.target, &config.schemas, &unit.entry).await? {
        progress.already_complete();
        return Ok(());
    }

    progress.enter(Phase::Preflight);
    let (answers, endpoints, early) = permitted(unit, &sessions, progress).await?;
    let Early {
        source_activity,
        snapshot,
        dump: dumping,
    } = early;
    let Sides { source, target } = sessions;
    drop(source);

    progress.enter(Phase::Archive);
    let mark = snapshot.mark.clone();
    let dump = unit.dump(&mark.id);
    // What the archive does not say is read while pg_dump writes it.
    let (mut archive, leaving, contents, carried, objects) = tokio::try_join!(
        dumping.finish(),
        catalogue::leaving_foreign_keys(&snapshot.session, &config.schemas),
        Contents::read(&snapshot.session, &target, config),
        privileges::read(&snapshot.session, &config.schemas),
        loaded::described(&snapshot.session, config)
    )?;
    archive.note_operators(&contents.operators);
    let parts = parts::divide(&archive.entries, &leaving.keys().copied().collect());
    progress.deferred(parts.deferred.iter().flat_map(|(_, one)| one.clone()).collect());

    progress.enter(Phase::Clear);
    let room = clear::make_room(&target, lock, (config, &unit.entry), &parts.schema_comments).await?;
    progress.not_carried(room.not_carried);
    preflight::create_extensions(&target, &answers.extensions).await?;

    progress.enter(Phase::PreData);
    let transfer = Transfer {
        unit,
        endpoints,
        dump,
        archive: &archive,
        parts: &parts,
        target: &target,
        contents,
        carried: &carried,
        loads: &room.loads,
        lock,
        progress,
    };
    let filled = async {
        let (comparison, noted, loaders) = transfer.run(snapshot).await?.against(objects);
        let standing = Standing::read(&target, &loaders, &unit.names, &room.loads).await?;
        let examined = comparison.examine(config, (&target, loaders), &room.adopted, progress);
        examined.await?;
        progress.enter(Phase::Privileges);
        progress.not_carried(privileges::apply(&target, &carried, &room.adopted, config).await?);
        Ok((standing.with_access(&target, &room.loads).await?, noted))
    };
    let (standing, noted) = ledger::alive(lock, &room.loads, filled).await?;

    progress.enter(Phase::Complete);
    drop(target);
    let completion = ledger::Completion {
        standing,
        baseline: noted.with(Definitions::of(&archive)),
        snapshot_at: mark.taken_at,
        snapshot_lsn: mark.lsn,
        source_activity,
        deferred: ledger::Deferred::of(leaving, &parts.deferred),
        summary: progress.summary_with_builds(),
    };
    unit.complete(lock, &room.loads, completion).await
}
