//! The line that a load follows, and nothing else.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::archive::dump::{Archive, Dump, Endpoint};
use crate::archive::parts::{self, Parts};
use crate::archive::program::{self, Client};
use crate::build::analyze;
use crate::catalogue;
use crate::catalogue::activity;
use crate::clear::{self, Decision, Room};
use crate::config::{Config, Method, SchemaName, Verify};
use crate::copy::{Contents, Copy};
use crate::credentials;
use crate::error::{Error, Refusal, Side};
use crate::ledger;
use crate::lock::{Lock, Sweep, sweep};
use crate::pipe::Pipe;
use crate::preflight::{self, Answers, Questions};
use crate::privileges;
use crate::progress::{Phase, Progress};
use crate::server::passfile::{Passfile, RunDir};
use crate::server::session::{Session, quote_ident};
use crate::server::{ApplicationName, Server};
use crate::shutdown::Shutdown;
use crate::snapshot::Snapshot;
use crate::verify::hasher::{Hashed, Hasher};
use crate::verify::objects::{self, Objects};
use crate::verify::{Expected, rows};
use crate::watchdog::{self, Control};

/// Between two looks at what a schema waits for.
const WAIT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);
/// What is left of the five seconds in which a stopped run ends.
const SWEEP_LIMIT: std::time::Duration = std::time::Duration::from_secs(4);

/// Moves the unit. However it ends, nothing of it goes on running on either server.
pub(crate) async fn load(config: &Config, shutdown: &Shutdown, progress: &Progress) -> Result<(), Error> {
    let begun = async {
        let reached = Box::pin(Reached::connect(config, progress)).await?;
        progress.enter(Phase::Lock);
        let Reached { target, names, .. } = &reached;
        let lock = Lock::acquire(target, names, &config.schemas, config.wait_timeout).await?;
        let (unit, sessions) = Unit::begin(reached).await?;
        Ok::<_, Error>((lock, unit, sessions))
    };
    let (lock, unit, sessions) = tokio::select! {
        biased;
        stopped = shutdown.stopped() => return Err(stopped),
        begun = Box::pin(begun) => begun?,
    };
    let ended = tokio::select! {
        biased;
        stopped = shutdown.stopped() => Err(stopped),
        never = lock.beat(shutdown) => Err(never),
        never = unit.watch(shutdown, progress) => Err(never),
        ended = Box::pin(line(&unit, sessions, &lock, progress)) => ended,
    };
    if ended.is_err() {
        unit.sweep().await;
    }
    ended
}

/// Answers every question of preflight and changes nothing.
pub(crate) async fn check(
    config: &Config,
    shutdown: &Shutdown,
    progress: &Progress,
) -> Result<Answers, Error> {
    let asked = async {
        let reached = Box::pin(Reached::connect(config, progress)).await?;
        let (unit, sessions) = Box::pin(Unit::begin(reached)).await?;
        progress.enter(Phase::Preflight);
        tokio::select! {
            biased;
            never = unit.watch(shutdown, progress) => Err(never),
            answers = unit.ask(&sessions) => answers,
        }
    };
    tokio::select! {
        biased;
        stopped = shutdown.stopped() => Err(stopped),
        answers = asked => answers,
    }
}

/// Both servers reached, before the unit's lock is taken: its sessions carry no name by which the lock's holder would end
/// them as leftovers, and nothing of it is on disk.
struct Reached<'a> {
    config: &'a Config,
    source: Server,
    target: Server,
    names: ApplicationName,
    sessions: Sessions,
}

/// What belongs to a run that holds its lock, or that changes nothing.
struct Unit<'a> {
    config: &'a Config,
    source: Server,
    target: Server,
    names: ApplicationName,
    entry: ledger::Entry,
    clients: Vec<Client>,
    controls: [Control; 2],
    run_dir: RunDir,
    passfiles: [Passfile; 2],
}

/// The sessions that do the work.
struct Sessions {
    source: Session,
    target: Session,
}

/// The line.
async fn line(unit: &Unit<'_>, sessions: Sessions, lock: &Lock, progress: &Progress) -> Result<(), Error> {
    let config = unit.config;
    unit.sweep_others(&sessions, lock).await?;
    if ledger::is_complete(&sessions.target, &config.schemas, &unit.entry).await? {
        progress.already_complete();
        return Ok(());
    }

    progress.enter(Phase::Preflight);
    let answers = unit.permitted(&sessions, progress).await?;
    let Sessions { source, target } = sessions;

    progress.enter(Phase::Snapshot);
    let majors = [source.major(), target.major()];
    // Before the snapshot: what is written in between counts as written since.
    let source_activity = activity::read(&source, &config.schemas).await?;
    let snapshot = Snapshot::export(source, &config.schemas, config.lock_timeout).await?;

    progress.enter(Phase::Archive);
    let [from, to] = unit.endpoints(&answers, majors)?;
    let mark = snapshot.mark.clone();
    let dump = unit.dump(&mark.id);
    // What the archive does not say is read while pg_dump writes it.
    let (archive, leaving, contents, carried, objects) = tokio::try_join!(
        from.archive(dump, unit.run_dir.path().join("archive")),
        catalogue::leaving_foreign_keys(&snapshot.session, &config.schemas),
        Contents::read(&snapshot.session, &target, config),
        privileges::read(&snapshot.session, &config.schemas),
        described(&snapshot.session, config)
    )?;
    let parts = parts::divide(&archive.entries, &leaving);
    progress.deferred(parts.deferred.clone());

    progress.enter(Phase::Clear);
    let rooms = unit.rooms(&target).await?;
    let loads = clear::make_room(&target, &rooms).await?;
    furnish(&target, &answers, &parts, &rooms).await?;

    progress.enter(Phase::PreData);
    let ends = Ends {
        from,
        to,
        dump,
        archive: &archive,
        parts: &parts,
        target: &target,
        contents,
    };
    let (expected, loaders, hashed) = unit.move_and_hash(ends, snapshot, lock, progress).await?;

    let adopted = adopted(&rooms);
    let held = Held {
        objects,
        hashed,
        expected,
    };
    let compared = async {
        examine(config, (&target, loaders), held, &adopted, progress).await?;
        progress.enter(Phase::Privileges);
        progress.not_carried(privileges::apply(&target, &carried, &adopted, config).await?);
        Ok(())
    };
    ledger::compared(lock, &loads, compared.await).await?;

    progress.enter(Phase::Complete);
    drop(target);
    let completion = ledger::Completion {
        snapshot_at: mark.taken_at,
        snapshot_lsn: mark.lsn,
        source_activity,
        deferred: parts.deferred.into(),
        summary: progress.summary(),
    };
    unit.complete(lock, &loads, completion).await
}

/// The objects of the unit, if they are compared.
async fn described(session: &Session, config: &Config) -> Result<Option<Objects>, Error> {
    match config.verify {
        Verify::Rows | Verify::Hash => objects::read(session, &config.schemas).await.map(Some),
        Verify::None => Ok(None),
    }
}

/// What the source held, as far as it is compared.
struct Held<'a> {
    objects: Option<Objects>,
    hashed: Option<Hashed<'a>>,
    expected: Expected,
}

/// Collects statistics, and compares what the target holds with what the source held.
async fn examine(
    config: &Config,
    (target, loaders): (&Session, Vec<Session>),
    held: Held<'_>,
    adopted: &BTreeSet<SchemaName>,
    progress: &Progress,
) -> Result<(), Error> {
    progress.enter(Phase::Analyze);
    let sessions: Vec<&Session> = std::iter::once(target).chain(&loaders).collect();
    // No object changes any more.
    let (found, ()) = tokio::try_join!(
        described(target, config),
        analyze::run(&sessions, &config.schemas, || progress.step())
    )?;

    progress.enter(Phase::Verify);
    let (Some(objects), Some(found)) = (held.objects, found) else {
        return Ok(());
    };
    let mut differences = objects::differences(&objects, &found, adopted);
    differences.extend(match held.hashed {
        Some(hashed) => hashed.differences(&sessions, progress).await?,
        None => rows::counts(&sessions, &held.expected.counted, progress).await?,
    });
    let sequences = rows::sequences(target, &config.schemas, &held.expected.sequences).await?;
    differences.extend(sequences.into_iter().map(|(_, text)| text));
    Error::unless_equal(differences)
}

/// What the transfer goes between.
struct Ends<'a> {
    from: Endpoint<'a>,
    to: Endpoint<'a>,
    dump: Dump<'a>,
    archive: &'a Archive,
    parts: &'a Parts,
    /// The session for what is done one after the other.
    target: &'a Session,
    contents: Contents,
}

/// Schemas that were there before and keep their owner.
fn adopted(rooms: &[Room]) -> BTreeSet<SchemaName> {
    rooms
        .iter()
        .filter(|room| room.decision.adopts())
        .map(|room| room.schema.clone())
        .collect()
}

/// Comments of the schemas that are ours, and the extensions that live in the unit.
async fn furnish(target: &Session, answers: &Answers, parts: &Parts, rooms: &[Room]) -> Result<(), Error> {
    for room in rooms.iter().filter(|room| !room.decision.adopts()) {
        let schema = room.schema.as_str();
        let comment = parts.schema_comments.get(schema).cloned();
        // One that is kept may have another.
        let none = || format!("COMMENT ON SCHEMA {} IS NULL", quote_ident(schema));
        let kept = matches!(room.decision, Decision::Empty(_));
        if let Some(statement) = comment.or_else(|| kept.then(none)) {
            target.batch("comment on the schema", &statement).await?;
        }
    }
    for (name, schema) in &answers.extensions {
        let (name, schema) = (quote_ident(name), quote_ident(schema));
        let sql = format!("CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {schema}");
        target.batch(&format!("create extension {name}"), &sql).await?;
    }
    Ok(())
}

impl<'a> Reached<'a> {
    /// Credentials and the first session on each side.
    async fn connect(config: &'a Config, progress: &Progress) -> Result<Self, Error> {
        progress.enter(Phase::Connect);
        let open = async |server: &Server, limit| Session::open(server, "sf/connect", limit).await;
        let limit = config.lock_timeout;
        let ((source, reading), (target, working)) = tokio::try_join!(
            credentials::connect(&config.source, Side::Source, async |server| open(server, limit)
                .await),
            credentials::connect(&config.target, Side::Target, async |server| {
                open(server, watchdog::lock_timeout(limit)).await
            }),
        )?;
        let names = ApplicationName::new(&target.address(), &config.schemas.names());
        Ok(Self {
            config,
            source,
            target,
            names,
            sessions: Sessions {
                source: reading,
                target: working,
            },
        })
    }
}

impl<'a> Unit<'a> {
    /// Names the sessions, and makes what else a run works with.
    async fn begin(reached: Reached<'a>) -> Result<(Self, Sessions), Error> {
        let Reached {
            config,
            source,
            target,
            names,
            sessions,
        } = reached;
        let (snapshot, work) = (names.role("snapshot"), names.role("work"));
        let named = async {
            tokio::try_join!(
                sessions.source.rename(&source, &snapshot),
                sessions.target.rename(&target, &work)
            )
        };
        let (named, clients, source_control, target_control) = tokio::join!(
            named,
            program::installed(&config.path),
            Control::open(&source, &names),
            Control::open(&target, &names)
        );
        named?;
        let run_dir = RunDir::create(&config.run_dir, &names)?;
        let unit = Self {
            config,
            entry: ledger::Entry::new(config, source.address(), names.attempt().to_owned()),
            clients,
            controls: [source_control?, target_control?],
            passfiles: [
                Passfile::write(run_dir.path(), &source).await?,
                Passfile::write(run_dir.path(), &target).await?,
            ],
            run_dir,
            names,
            source,
            target,
        };
        Ok((unit, sessions))
    }

    /// Stops the run when it stalls or waits for a lock for too long. Never returns.
    async fn watch(&self, shutdown: &Shutdown, progress: &Progress) -> Error {
        watchdog::watch(&self.controls, self.config, progress, shutdown).await
    }

    /// Ends what earlier attempts at this unit left, on servers and disk. Only for the holder of the lock.
    async fn sweep_others(&self, sessions: &Sessions, lock: &Lock) -> Result<(), Error> {
        let ended = sweep(&sessions.source, &self.names, Sweep::Others).await?
            + sweep(lock.session(), &self.names, Sweep::Others).await?;
        if ended > 0 {
            tracing::warn!(backends = ended, "ended what an earlier attempt left running");
        }
        self.run_dir.sweep_others(&self.names);
        Ok(())
    }

    async fn ask(&self, sessions: &Sessions) -> Result<Answers, Error> {
        let questions = Questions {
            config: self.config,
            source: &sessions.source,
            target: &sessions.target,
            source_server: &self.source,
            target_server: &self.target,
            clients: &self.clients,
            entry: &self.entry,
        };
        preflight::ask(&questions).await
    }

    /// The answers, as soon as nothing refuses; what passes by itself is waited for up to `WAIT_TIMEOUT`.
    async fn permitted(&self, sessions: &Sessions, progress: &Progress) -> Result<Answers, Error> {
        let started = Instant::now();
        loop {
            let answers = self.ask(sessions).await?;
            let refusals = answers.refusals();
            let passes = !refusals.is_empty()
                && refusals
                    .iter()
                    .all(|refused| refused.refusal == Refusal::Transient);
            if !passes || started.elapsed() >= self.config.wait_timeout {
                answers.record();
                progress.not_carried(answers.notes());
                return answers.permit();
            }
            progress.step();
            tokio::time::sleep(WAIT_INTERVAL).await;
        }
    }

    fn endpoints<'b>(&'b self, answers: &'b Answers, majors: [u32; 2]) -> Result<[Endpoint<'b>; 2], Error> {
        let client = answers
            .client
            .as_ref()
            .ok_or_else(|| Error::Internal("preflight permitted a run without client programs".to_owned()))?;
        let endpoint = |server: &'b Server, server_major, passfile: &'b Passfile, role: &str| Endpoint {
            client,
            server,
            server_major,
            passfile,
            application_name: self.names.role(role),
        };
        let ([from, to], [source, target]) = (majors, &self.passfiles);
        Ok([
            endpoint(&self.source, from, source, "pg_dump"),
            endpoint(&self.target, to, target, "pg_restore"),
        ])
    }

    /// The transfer, and beside it the hashes that `VERIFY=hash` wants of the source under the snapshot.
    async fn move_and_hash(
        &self,
        ends: Ends<'_>,
        snapshot: Snapshot,
        lock: &Lock,
        progress: &Progress,
    ) -> Result<(Expected, Vec<Session>, Option<Hashed<'_>>), Error> {
        let (mut readers, encoding) = (None, ends.target.encoding.clone());
        if self.config.verify == Verify::Hash {
            let id = &snapshot.mark.id;
            readers = Some(Hasher::open(self.config, &self.source, &self.names, id).await?);
        }
        let reading = async {
            match readers {
                Some(hasher) => hasher.hash(&encoding, progress).await.map(Some),
                None => Ok(None),
            }
        };
        let moved = Box::pin(self.transfer(ends, snapshot, lock, progress));
        let ((expected, loaders), hashed) = tokio::try_join!(moved, reading)?;
        Ok((expected, loaders, hashed))
    }

    /// Moves what the archive says and the rows, by the METHOD that is asked for. Returns what the source holds, and
    /// the sessions that loaded.
    async fn transfer(
        &self,
        ends: Ends<'_>,
        snapshot: Snapshot,
        lock: &Lock,
        progress: &Progress,
    ) -> Result<(Expected, Vec<Session>), Error> {
        let Ends {
            from,
            to,
            dump,
            archive,
            parts,
            target,
            contents,
        } = ends;
        let config = self.config;
        match config.method {
            Method::Pipe => {
                let limit = config.lock_timeout;
                let pipe = Pipe {
                    source: from,
                    target: to,
                    dump,
                    archive,
                    parts,
                    counter: Session::open(&self.source, &self.names.role("count"), limit).await?,
                    session: target,
                    lock,
                    progress,
                    count: config.verify == Verify::Rows,
                };
                Ok((pipe.run(snapshot, &contents.tables).await?, Vec::new()))
            }
            Method::Copy => {
                let copy = Copy {
                    config,
                    source: &self.source,
                    target: &self.target,
                    names: &self.names,
                    archive,
                    parts,
                    session: target,
                    lock,
                    progress,
                };
                copy.run(snapshot, contents).await
            }
        }
    }

    fn dump<'b>(&'b self, snapshot: &'b str) -> Dump<'b> {
        Dump {
            schemas: &self.config.schemas,
            snapshot,
            lock_wait_ms: self.config.lock_timeout.map_or(0, |limit| limit.as_millis()),
        }
    }

    /// Writes `clearing` into the ledger for every schema, before anything is dropped. What is done with each is
    /// decided once more: someone may have written since preflight.
    async fn rooms(&self, target: &Session) -> Result<Vec<Room>, Error> {
        ledger::open(target).await?;
        let mut rooms = Vec::new();
        target.batch("begin", "BEGIN").await?;
        for schema in &self.config.schemas {
            let decision = clear::decide(target, schema, self.config.on_existing, &self.entry).await?;
            let existing = decision.existing().map(|existing| existing.oid);
            let adopts = decision.adopts();
            let id = ledger::begin(target, &self.entry, schema, existing, adopts).await?;
            rooms.push(Room {
                schema: schema.clone(),
                decision,
                id,
            });
        }
        target.batch("commit", "COMMIT").await?;
        Ok(rooms)
    }

    /// Commits that the unit is complete, after every session that wrote has ended.
    async fn complete(
        &self,
        lock: &Lock,
        loads: &[(i64, u32)],
        completion: ledger::Completion,
    ) -> Result<(), Error> {
        let [source, target] = &self.controls;
        target.sweep_own().await?;
        // Nothing reads the source any more: one that cannot be reached now does not undo what is loaded.
        let swept = tokio::time::timeout(SWEEP_LIMIT, source.sweep_own()).await;
        if !matches!(swept, Ok(Ok(()))) {
            tracing::warn!("the run's backends on the source could not be ended; the next attempt does it");
        }
        let reader = Session::open(&self.target, &self.names.role("ledger"), None).await?;
        ledger::complete(&reader, lock, loads, &completion).await
    }

    /// Ends the run's own backends on both sides at once, within what a stopped run may take.
    async fn sweep(&self) {
        let [source, target] = &self.controls;
        let swept = async { tokio::join!(source.sweep_attempt(), target.sweep_attempt()) };
        if tokio::time::timeout(SWEEP_LIMIT, swept).await.is_err() {
            tracing::warn!("the run's backends could not be ended in time; the next attempt does it");
        }
    }
}
