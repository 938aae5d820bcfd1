//! What belongs to one run at a unit: both servers, its names, its control sessions, its directory. However a run ends,
//! nothing of it goes on running on either server.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::time::Duration;

use crate::archive::clients::{self, Client};
use crate::archive::dump::{Dump, Dumping, Endpoint};
use crate::catalogue;
use crate::catalogue::activity::{self, Activity};
use crate::config::Config;
use crate::credentials;
use crate::error::{self, Error, Refused, Side, Stop};
use crate::exit::{self, Exit, Stage};
use crate::ledger;
use crate::lock::{Lock, Sweep, sweep};
use crate::preflight::{self, Purpose, Questions, Seen};
use crate::progress::{Phase, Progress};
use crate::server::passfile::{Passfile, RunDir};
use crate::server::session::Session;
use crate::server::{ApplicationName, Server, Sides};
use crate::shutdown::Shutdown;
use crate::snapshot::Snapshot;
use crate::watchdog::{self, Control, SWEEP_LIMIT};

/// What a word in the ledger may take of the five seconds in which a stopped run ends.
const WORD_LIMIT: Duration = Duration::from_secs(1);

/// Both servers reached, before the unit's lock is taken: its sessions carry no name by which the lock's holder would end
/// them as leftovers, and nothing of it is on disk.
pub(crate) struct Reached<'a> {
    config: &'a Config,
    servers: Sides<Server>,
    names: ApplicationName,
    sessions: Sides<Session>,
    clients: Vec<Client>,
}

/// What is read of the source before preflight has answered: it changes nothing, and where preflight refuses it is thrown away.
pub(crate) struct Early {
    /// What was written on the source until shortly before the snapshot.
    pub(crate) source_activity: Activity,
    pub(crate) snapshot: Snapshot,
    /// pg_dump, which writes the archive.
    pub(crate) dump: Dumping,
}

/// What belongs to a run that holds its lock, or that changes nothing.
pub(crate) struct Unit<'a> {
    pub(crate) config: &'a Config,
    pub(crate) servers: Sides<Server>,
    pub(crate) names: ApplicationName,
    pub(crate) entry: ledger::NewLoad,
    clients: Vec<Client>,
    controls: Sides<Control>,
    pub(crate) run_dir: RunDir,
    passfiles: Sides<Passfile>,
    /// Of the source's definitions, as they were before anything was read of them.
    definitions: OnceLock<String>,
}

impl<'a> Reached<'a> {
    /// Credentials and the first session on each side, and what is installed to reach them with.
    pub(crate) async fn connect(config: &'a Config, progress: &Progress) -> Result<Self, Error> {
        progress.enter(Phase::Connect);
        let open = async |server: &Server, limit| Session::open(server, "sf/connect", limit).await;
        let limit = config.lock_timeout;
        let ((source, reading), (target, working), clients) = tokio::try_join!(
            credentials::connect(&config.source, Side::Source, async |server| {
                open(server, limit).await
            }),
            credentials::connect(&config.target, Side::Target, async |server| {
                open(server, watchdog::lock_timeout(limit)).await
            }),
            clients::installed(&config.path),
        )?;
        let names = ApplicationName::new(&target.address(), &config.schemas.names());
        Ok(Self {
            config,
            servers: Sides { source, target },
            names,
            sessions: Sides {
                source: reading,
                target: working,
            },
            clients,
        })
    }

    /// Names the sessions, which do the work from now on, and makes what else a run works with.
    pub(crate) async fn begin(self) -> Result<(Unit<'a>, Sides<Session>), Error> {
        let Self {
            config,
            servers,
            names,
            sessions,
            clients,
        } = self;
        let (look, work) = (names.role("preflight"), names.role("work"));
        let named = async {
            tokio::try_join!(
                sessions.source.rename(&servers.source, &look),
                sessions.target.rename(&servers.target, &work)
            )
        };
        let (named, source_control, target_control) = tokio::join!(
            named,
            Control::open(&servers.source, &names),
            Control::open(&servers.target, &names)
        );
        named?;
        let run_dir = RunDir::create(&config.run_dir, &names)?;
        let unit = Unit {
            config,
            entry: ledger::NewLoad::new(config, servers.source.address(), names.attempt().to_owned()),
            clients,
            controls: Sides {
                source: source_control?,
                target: target_control?,
            },
            passfiles: Sides {
                source: Passfile::write(run_dir.path(), &servers.source).await?,
                target: Passfile::write(run_dir.path(), &servers.target).await?,
            },
            run_dir,
            names,
            servers,
            definitions: OnceLock::new(),
        };
        Ok((unit, sessions))
    }
}

/// Takes the locks of the unit's schemas on the way to a run at them.
pub(crate) async fn locked<'a>(
    config: &'a Config,
    progress: &Progress,
) -> Result<(Lock, Unit<'a>, Sides<Session>), Error> {
    let reached = Box::pin(Reached::connect(config, progress)).await?;
    progress.enter(Phase::Lock);
    let (target, names) = (&reached.servers.target, &reached.names);
    let lock = Lock::acquire(target, names, &config.schemas, config.wait_timeout).await?;
    let (unit, sessions) = Box::pin(reached.begin()).await?;
    Ok((lock, unit, sessions))
}

impl Unit<'_> {
    /// Does the work of a run, unless something stops it.
    pub(crate) async fn guard<T>(
        &self,
        lock: &Lock,
        (shutdown, progress): (&Shutdown, &Progress),
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let work = async {
            tokio::select! {
                biased;
                never = lock.beat(shutdown) => match never {},
                never = self.watch(shutdown, progress) => match never {},
                ended = work => ended,
            }
        };
        shutdown.guard(work).await
    }

    /// Stops the run when it stalls or waits for a lock for too long.
    pub(crate) async fn watch(&self, shutdown: &Shutdown, progress: &Progress) -> Infallible {
        let Sides { source, target } = &self.controls;
        watchdog::watch(&[source, target], self.config, progress, shutdown).await
    }

    /// What preflight asks about, before a load or instead of one.
    pub(crate) fn questions<'b>(&'b self, sessions: &'b Sides<Session>, purpose: Purpose) -> Questions<'b> {
        Questions {
            config: self.config,
            sessions,
            servers: &self.servers,
            clients: &self.clients,
            entry: &self.entry,
            purpose,
            seen: Seen::nothing(),
        }
    }

    /// Takes the snapshot, on a session of its own, and has pg_dump write the archive under it.
    pub(crate) async fn read_early(&self, endpoint: &Endpoint<'_>) -> Result<Early, Error> {
        let config = self.config;
        let (server, role) = (&self.servers.source, self.names.role("snapshot"));
        let session = Session::open(server, &role, config.lock_timeout).await?;
        // Before the snapshot: what is written in between counts as written since.
        let source_activity = activity::read(&session, &config.schemas).await?;
        let snapshot = Snapshot::export(session, &config.schemas, config.lock_timeout).await?;
        let dump = endpoint
            .archive(self.dump(&snapshot.mark.id), self.run_dir.path().join("archive"))
            .await?;
        self.remember_definitions(&snapshot.session).await?;
        Ok(Early {
            source_activity,
            snapshot,
            dump,
        })
    }

    /// Where pg_dump and pg_restore reach the servers; refused where no installed ones serve both.
    pub(crate) fn endpoints<'b>(&'b self, sessions: &Sides<Session>) -> Result<Sides<Endpoint<'b>>, Refused> {
        let client = preflight::client(&self.clients, self.config, sessions, &self.servers)?;
        let dialects = sessions.dialects();
        let endpoint = |server: &'b Server, dialect, passfile: &'b Passfile, role: &str| Endpoint {
            client,
            server,
            dialect,
            passfile,
            application_name: self.names.role(role),
        };
        let (servers, passfiles) = (&self.servers, &self.passfiles);
        Ok(Sides {
            source: endpoint(&servers.source, dialects.source, &passfiles.source, "pg_dump"),
            target: endpoint(&servers.target, dialects.target, &passfiles.target, "pg_restore"),
        })
    }

    /// What pg_dump reads, under the snapshot of that name.
    pub(crate) fn dump<'b>(&'b self, snapshot: &'b str) -> Dump<'b> {
        Dump {
            schemas: &self.config.schemas,
            snapshot,
            lock_wait_ms: self.config.lock_timeout.map_or(0, |limit| limit.as_millis()),
        }
    }

    /// Ends what earlier attempts at this unit left, on servers and disk. Only for the holder of the lock.
    pub(crate) async fn sweep_others(&self, sessions: &Sides<Session>, lock: &Lock) -> Result<(), Error> {
        let ended = sweep(&sessions.source, &self.names, Sweep::Others).await?
            + sweep(lock.session(), &self.names, Sweep::Others).await?;
        if ended > 0 {
            tracing::warn!(backends = ended, "ended what an earlier attempt left running");
        }
        self.run_dir.sweep_others(&self.names);
        Ok(())
    }

    /// Ends the run's own backends on both sides at once, within what a stopped run may take.
    pub(crate) async fn sweep(&self) {
        watchdog::sweep_attempt(&[&self.controls.source, &self.controls.target]).await;
    }

    /// Remembers the source's definitions under the snapshot.
    pub(crate) async fn remember_definitions(&self, source: &Session) -> Result<(), Error> {
        let found = catalogue::fingerprint(source, &self.config.schemas).await?;
        self.definitions.get_or_init(|| found);
        Ok(())
    }

    /// The cause of a failure that would be the data's or a bug's, where it may pass by itself: definitions of the source have changed
    /// meanwhile, which no lock on tables stops; or the load was `resumed`, and what it has kept may be to blame.
    pub(crate) async fn explain(&self, error: Error, resumed: bool) -> Error {
        if !matches!(
            exit::classify(&error, Stage::CHANGING),
            Exit::Data | Exit::Internal
        ) {
            return error;
        }
        if self.is_redefined().await {
            Error::Stopped(Stop::Redefined(error::chain(&error)))
        } else if resumed {
            Error::Stopped(Stop::Resumed(error::chain(&error)))
        } else {
            error
        }
    }

    /// Whether definitions of the source are known to have changed since the snapshot.
    async fn is_redefined(&self) -> bool {
        let Some(before) = self.definitions.get() else {
            return false;
        };
        let look = async {
            let role = self.names.role("explain");
            let session = Session::open(&self.servers.source, &role, self.config.lock_timeout).await?;
            catalogue::fingerprint(&session, &self.config.schemas).await
        };
        let now = tokio::time::timeout(SWEEP_LIMIT, look).await;
        matches!(now, Ok(Ok(now)) if now != *before)
    }

    /// Leaves word in the ledger how the attempt has ended.
    pub(crate) async fn tell(&self, lock: &Lock, error: &Error, progress: &Progress) {
        if !progress.changing() {
            return;
        }
        let exit = exit::classify(error, Stage::CHANGING);
        // One that is stopped has little time, and another attempt follows.
        let limit = if exit.is_transient() {
            WORD_LIMIT
        } else {
            SWEEP_LIMIT
        };
        let told = ledger::ended(lock, self.names.attempt(), (exit, error), progress.summary());
        if !matches!(tokio::time::timeout(limit, told).await, Ok(Ok(()))) {
            tracing::warn!("the ledger does not say how this load has ended");
        }
    }

    /// Commits that the unit is complete, after every session that wrote has ended.
    pub(crate) async fn complete(
        &self,
        lock: &Lock,
        loads: &[ledger::Begun],
        completion: ledger::Completion,
    ) -> Result<(), Error> {
        let Sides { source, target } = &self.controls;
        target.sweep_own().await?;
        // Nothing reads the source any more: one that cannot be reached now does not undo what is loaded.
        let swept = tokio::time::timeout(SWEEP_LIMIT, source.sweep_own()).await;
        if !matches!(swept, Ok(Ok(()))) {
            tracing::warn!("the run's backends on the source could not be ended; the next attempt does it");
        }
        let reader = Session::open(&self.servers.target, &self.names.role("ledger"), None).await?;
        ledger::complete(&reader, lock, loads, completion).await
    }
}
