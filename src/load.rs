//! The line that a load follows, and nothing else.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::future::maybe_done;

use crate::archive::dump::{Archive, Dumping, Endpoint};
use crate::archive::parts::{self, Division};
use crate::baseline::{self, Definitions, Noted};
use crate::catalogue::{self, ForeignKey};
use crate::clear::{self, Room};
use crate::config::{Config, Verify};
use crate::copy::Contents;
use crate::error::Error;
use crate::ledger::{self, Deferred, Standing};
use crate::lock::Lock;
use crate::preflight::{self, Answers, Purpose};
use crate::privileges::{self, Carried};
use crate::progress::{Phase, Progress};
use crate::refresh::{self, Refresh};
use crate::server::Sides;
use crate::server::session::Session;
use crate::shutdown::Shutdown;
use crate::snapshot::Snapshot;
use crate::transfer::Transfer;
use crate::unit::{self, Early, Unit};
use crate::verify::loaded;
use crate::verify::objects::Objects;
use crate::written;

/// How much of a unit is to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of it.
    Whole,
    /// What has changed since it was loaded.
    Changes,
}

impl Scope {
    fn purpose(self) -> Purpose {
        match self {
            Self::Whole => Purpose::Load,
            Self::Changes => Purpose::Refresh,
        }
    }
}

/// Moves the unit. However it ends, nothing of it goes on running on either server.
pub(crate) async fn load(
    config: &Config,
    shutdown: &Shutdown,
    progress: &Progress,
    scope: Scope,
) -> Result<(), Error> {
    let (lock, unit, sessions) = shutdown.guard(Box::pin(unit::locked(config, progress))).await?;
    let line = Box::pin(line(&unit, sessions, (&lock, scope), progress));
    match unit.guard(&lock, (shutdown, progress), line).await {
        Ok(()) => Ok(()),
        Err(error) => {
            let resumed = scope == Scope::Whole && progress.keeps();
            let error = unit.explain(error, resumed).await;
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
    purpose: Purpose,
    progress: &Progress,
) -> Result<(Answers, Sides<Endpoint<'a>>, Early), Error> {
    let endpoints = unit.endpoints(sessions).ok();
    if let Some(endpoints) = &endpoints
        && let Some((answers, early)) =
            permitted_at_once(unit, (sessions, purpose), &endpoints.source, progress).await?
    {
        return Ok((answers, endpoints.clone(), early));
    }
    let answers = preflight::permitted(&unit.questions(sessions, purpose), progress).await?;
    let endpoints = endpoints
        .ok_or_else(|| Error::Internal("preflight permitted a run without client programs".to_owned()))?;
    progress.enter(Phase::Snapshot);
    let early = unit.read_early(&endpoints.source).await?;
    Ok((answers, endpoints, early))
}

/// The same, if nothing has to be waited for.
async fn permitted_at_once(
    unit: &Unit<'_>,
    (sessions, purpose): (&Sides<Session>, Purpose),
    source: &Endpoint<'_>,
    progress: &Progress,
) -> Result<Option<(Answers, Early)>, Error> {
    let questions = unit.questions(sessions, purpose);
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

/// What was read of the source beside its rows.
struct Read {
    archive: Archive,
    parts: Division,
    /// Foreign keys that leave the unit.
    leaving: BTreeMap<u32, ForeignKey>,
    carried: Carried,
}

/// The line.
async fn line(
    unit: &Unit<'_>,
    sessions: Sides<Session>,
    (lock, scope): (&Lock, Scope),
    progress: &Progress,
) -> Result<(), Error> {
    let config = unit.config;
    unit.sweep_others(&sessions, lock).await?;
    if is_done(unit, &sessions.target, scope, progress).await? {
        progress.already_complete();
        return Ok(());
    }

    progress.enter(Phase::Preflight);
    let (answers, endpoints, early) = permitted(unit, &sessions, scope.purpose(), progress).await?;
    let Early {
        source_activity,
        snapshot,
        dump: dumping,
    } = early;
    // The source's is not needed any more.
    let Sides { target, .. } = sessions;

    progress.enter(Phase::Archive);
    let reading = Box::pin(read(config, dumping, (&snapshot.session, &target)));
    let (read, contents, objects) = reading.await?;
    let deferred = read.parts.deferred.iter();
    progress.deferred(deferred.flat_map(|(_, statements)| statements.clone()).collect());
    let asked = refresh::Asked {
        unit,
        purpose: scope.purpose(),
        archive: &read.archive,
        parts: &read.parts,
        target: &target,
        snapshot: &snapshot,
        contents: &contents,
        progress,
    };
    let refresh = refresh::decide(&asked).await?;

    progress.enter(Phase::Clear);
    let comments = &read.parts.schema_comments;
    let room = if let Some(refresh) = &refresh {
        refresh.open(&target, lock).await?
    } else {
        let mut planned = clear::plan(&target, config, &unit.entry).await?;
        let loads = planned.iter_mut().filter_map(|one| one.load.as_mut());
        written::refuse((unit, &target), loads, progress).await?;
        clear::make_room(&target, lock, planned, (config, &unit.entry), comments).await?
    };
    let sessions = (&snapshot.session, &target);
    preflight::create_extensions(config, sessions, &answers.extensions, progress).await?;

    let mark = snapshot.mark.clone();
    let filling = Filling {
        unit,
        lock,
        progress,
        read: &read,
        target: &target,
        room: &room,
        refresh: refresh.as_ref(),
    };
    let filled = Box::pin(filling.fill(snapshot, endpoints, contents, objects));
    let (standing, noted) = ledger::alive(lock, &room.loads, filled).await?;

    progress.enter(Phase::Complete);
    let (loads, deferred) = (filling.landed_under(), filling.deferred().await?);
    drop(target);
    let completion = ledger::Completion {
        standing,
        baseline: noted.with(Definitions::of(&read.archive), loads.clone()),
        loads,
        snapshot_at: mark.taken_at,
        snapshot_lsn: mark.lsn.ok(),
        source_activity,
        deferred,
        summary: progress.summary_with_builds(),
    };
    unit.complete(lock, &room.loads, completion).await
}

/// Whether the run has done all of it before. What was loaded may have changed since: a refresh always looks.
async fn is_done(
    unit: &Unit<'_>,
    target: &Session,
    scope: Scope,
    progress: &Progress,
) -> Result<bool, Error> {
    let schemas = &unit.config.schemas;
    Ok(scope == Scope::Whole && written::is_complete((unit, target), schemas, &unit.entry, progress).await?)
}

/// Reads what the archive does not say while pg_dump writes it.
async fn read(
    config: &Config,
    dumping: Dumping,
    (source, target): (&Session, &Session),
) -> Result<(Read, Contents, Option<Objects>), Error> {
    let (mut archive, leaving, contents, carried, objects) = tokio::try_join!(
        dumping.finish(),
        catalogue::leaving_foreign_keys(source, &config.schemas),
        Contents::read(source, target, config),
        privileges::read(source, &config.schemas),
        loaded::described(source, config)
    )?;
    archive.note_operators(&contents.operators);
    let parts = parts::divide(&archive.entries, &leaving.keys().copied().collect());
    let read = Read {
        archive,
        parts,
        leaving,
        carried,
    };
    Ok((read, contents, objects))
}

/// What takes part in filling the schemas, which there is room for.
struct Filling<'a> {
    unit: &'a Unit<'a>,
    lock: &'a Lock,
    progress: &'a Progress,
    read: &'a Read,
    /// The session for what is done one after the other.
    target: &'a Session,
    room: &'a Room,
    /// What has changed, where the rest stays, or what an interrupted load has not come to.
    refresh: Option<&'a Refresh<'a>>,
}

impl Filling<'_> {
    /// Moves definitions and rows, and compares.
    async fn fill(
        &self,
        snapshot: Snapshot,
        endpoints: Sides<Endpoint<'_>>,
        contents: Contents,
        objects: Option<Objects>,
    ) -> Result<(Standing, Noted<baseline::Contents>), Error> {
        let (unit, target, progress) = (self.unit, self.target, self.progress);
        let (config, loads, adopted) = (unit.config, &self.room.loads, &self.room.adopted);
        progress.not_carried(self.room.not_carried.clone());
        progress.enter(Phase::PreData);
        let (missing, contents) = match self.refresh {
            None => (None, contents),
            Some(refresh) => (
                Some(refresh.missing(target).await?),
                contents.reduced_to(&refresh.kept),
            ),
        };
        let (id, path) = (snapshot.mark.id.clone(), contents.code.path.clone());
        let transfer = Transfer {
            unit,
            endpoints,
            dump: unit.dump(&id),
            archive: &self.read.archive,
            parts: missing.as_ref().unwrap_or(&self.read.parts),
            target,
            contents,
            carried: &self.read.carried,
            loads,
            lock: self.lock,
            progress,
            kept: self.refresh.map(|refresh| &refresh.kept),
        };
        let (comparison, noted, loaders) = transfer.run(snapshot).await?.against(objects);
        if let Some(refresh) = self.refresh {
            refresh.restore(target).await?;
        }
        let deferred = self.deferred().await?;
        let made = deferred.iter().filter_map(|one| one.oid).collect();
        let standing = Standing::read(target, &loaders, &unit.names, (loads, made)).await?;
        comparison
            .examine(config, (target, loaders), adopted, progress)
            .await?;
        if let Some(refresh) = self.refresh.filter(|_| config.verify != Verify::None) {
            let landed = (&noted, &*self.landed_under());
            Error::unless_equal(refresh.strangers(target, landed, progress).await?)?;
        }
        progress.enter(Phase::Privileges);
        let given = privileges::apply(target, &self.read.carried, adopted, (config, &path));
        progress.not_carried(given.await?);
        Ok((standing.with_access(target, loads).await?, noted))
    }

    /// The rows of the ledger under which has landed what is there in the end.
    fn landed_under(&self) -> Vec<i64> {
        let before = self.refresh.map(Refresh::loads).unwrap_or_default();
        let own = self.room.loads.first().map(|load| load.id);
        before.iter().copied().chain(own).collect()
    }

    /// The foreign keys that leave the unit. Those that a refresh has left where they are, are made.
    async fn deferred(&self) -> Result<Vec<Deferred>, Error> {
        let deferred = Deferred::of(self.read.leaving.clone(), &self.read.parts.deferred);
        match self.refresh {
            Some(_) => ledger::still_made(self.target, deferred).await,
            None => Ok(deferred),
        }
    }
}
