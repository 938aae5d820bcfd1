//! The line that a load follows, and nothing else.

use crate::archive::parts;
use crate::catalogue;
use crate::catalogue::activity;
use crate::clear;
use crate::config::Config;
use crate::copy::Contents;
use crate::error::Error;
use crate::ledger::{self, Baseline};
use crate::lock::Lock;
use crate::preflight;
use crate::privileges;
use crate::progress::{Phase, Progress};
use crate::server::Sides;
use crate::server::session::Session;
use crate::shutdown::Shutdown;
use crate::snapshot::Snapshot;
use crate::transfer::Transfer;
use crate::unit::{Reached, Unit};
use crate::verify::loaded;

/// Moves the unit. However it ends, nothing of it goes on running on either server.
pub(crate) async fn load(config: &Config, shutdown: &Shutdown, progress: &Progress) -> Result<(), Error> {
    let begun = async {
        let reached = Box::pin(Reached::connect(config, progress)).await?;
        progress.enter(Phase::Lock);
        let (target, names) = (&reached.servers.target, &reached.names);
        let lock = Lock::acquire(target, names, &config.schemas, config.wait_timeout).await?;
        let (unit, sessions) = Box::pin(reached.begin()).await?;
        Ok::<_, Error>((lock, unit, sessions))
    };
    let (lock, unit, sessions) = shutdown.guard(Box::pin(begun)).await?;
    let ended = shutdown
        .guard(async {
            tokio::select! {
                biased;
                never = lock.beat(shutdown) => match never {},
                never = unit.watch(shutdown, progress) => match never {},
                ended = Box::pin(line(&unit, sessions, &lock, progress)) => ended,
            }
        })
        .await;
    match ended {
        Ok(()) => Ok(()),
        Err(error) => {
            let error = unit.explain(error).await;
            unit.tell(&lock, &error, progress).await;
            unit.sweep().await;
            Err(error)
        }
    }
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
    let answers = preflight::permitted(&unit.questions(&sessions, false), progress).await?;
    let endpoints = unit.endpoints(&answers, sessions.dialects())?;
    let Sides { source, target } = sessions;

    progress.enter(Phase::Snapshot);
    // Before the snapshot: what is written in between counts as written since.
    let source_activity = activity::read(&source, &config.schemas).await?;
    let snapshot = Snapshot::export(source, &config.schemas, config.lock_timeout).await?;
    unit.remember_definitions(&snapshot.session).await?;

    progress.enter(Phase::Archive);
    let mark = snapshot.mark.clone();
    let dump = unit.dump(&mark.id);
    // What the archive does not say is read while pg_dump writes it.
    let (mut archive, leaving, contents, carried, objects) = tokio::try_join!(
        endpoints
            .source
            .archive(dump, unit.run_dir.path().join("archive")),
        catalogue::leaving_foreign_keys(&snapshot.session, &config.schemas),
        Contents::read(&snapshot.session, &target, config),
        privileges::read(&snapshot.session, &config.schemas),
        loaded::described(&snapshot.session, config)
    )?;
    archive.note_operators(&contents.operators);
    let parts = parts::divide(&archive.entries, &leaving);
    progress.deferred(parts.deferred.clone());

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
        let (comparison, loaders) = transfer.run(snapshot).await?.against(objects);
        let baseline = Baseline::read(&target, &loaders, &unit.names, &room.loads).await?;
        let examined = comparison.examine(config, (&target, loaders), &room.adopted, progress);
        examined.await?;
        progress.enter(Phase::Privileges);
        progress.not_carried(privileges::apply(&target, &carried, &room.adopted, config).await?);
        baseline.with_access(&target, &room.loads).await
    };
    let baseline = ledger::alive(lock, &room.loads, filled).await?;

    progress.enter(Phase::Complete);
    drop(target);
    let completion = ledger::Completion {
        baseline,
        snapshot_at: mark.taken_at,
        snapshot_lsn: mark.lsn,
        source_activity,
        deferred: parts.deferred.into(),
        summary: progress.summary(),
        builds: progress.builds(),
    };
    unit.complete(lock, &room.loads, completion).await
}
