//! The command `finalize`: the foreign keys that leave their schemas, after the loads. They are added one after the other
//! and validated side by side. What cannot be had yet is left and named. If it is asked for, rows are frozen.

pub(crate) mod keys;
mod tables;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::catalogue::{self, Relation};
use crate::config::{Config, SchemaName, Schemas};
use crate::credentials;
use crate::error::{Error, Refused, Side};
use crate::finalize::keys::Key;
use crate::finalize::tables::Unfrozen;
use crate::ledger::{self, Deferred, LoadState};
use crate::lock::{self, Lock, Sweep, sweep};
use crate::preflight;
use crate::progress::{Phase, Progress, millis};
use crate::server::quoting::quote_ident;
use crate::server::session::{Session, share_out};
use crate::server::{ApplicationName, Server};
use crate::shutdown::Shutdown;
use crate::watchdog::{self, Control};
use crate::word::{self, Word as _};

/// Between two looks at schemas that other workers hold.
const INTERVAL: Duration = Duration::from_secs(2);
/// Tables named in a refusal.
const NAMED_MAX: usize = 5;

/// Who holds which schema.
type Holders = BTreeMap<SchemaName, String>;

/// Makes what the loads have deferred. `freeze`: and freezes what they have loaded.
pub(crate) async fn finalize(
    config: &Config,
    shutdown: &Shutdown,
    progress: &Progress,
    freeze: bool,
) -> Result<(), Error> {
    let begun = shutdown.guard(Box::pin(Run::begin(config, progress, freeze)));
    let Some(run) = begun.await? else {
        progress.already_complete();
        return Ok(());
    };
    let control = [&run.control];
    let ended = shutdown
        .guard(async {
            tokio::select! {
                biased;
                never = run.lock.beat(shutdown) => match never {},
                never = watchdog::watch(&control, config, progress, shutdown) => match never {},
                ended = Box::pin(run.work(progress)) => ended,
            }
        })
        .await;
    if ended.is_err() {
        watchdog::sweep_attempt(&control).await;
    }
    ended
}

/// A run that holds the schemas that it is about.
struct Run<'a> {
    config: &'a Config,
    freeze: bool,
    server: Server,
    names: ApplicationName,
    lock: Lock,
    control: Control,
    /// What it holds, and what others do.
    locked: Schemas,
    held: Holders,
}

/// What there is to do.
struct Found {
    /// Whose keys are made, and which keys of others are: those that reference them.
    asked: Schemas,
    keys: Vec<Key>,
    /// What is to be frozen.
    unfrozen: Vec<Unfrozen>,
    /// Those, all that loads were made into, and what the keys reference.
    schemas: BTreeMap<SchemaName, Standing>,
}

/// What the ledger says of a schema.
enum Standing {
    /// A complete load has, whose row of the ledger this is.
    Whole(i64),
    /// No load of ours has made it.
    Unknown,
    /// Why nothing can be made in it or of it.
    Refused(Refused),
}

/// What comes next for a key.
enum Next {
    Nothing,
    Add,
    Validate,
    /// What it references is not there, and nobody has brought it.
    Left(String),
    Refused(Refused),
}

impl<'a> Run<'a> {
    /// Reaches the target and takes the locks; none where nothing can be done.
    async fn begin(config: &'a Config, progress: &Progress, freeze: bool) -> Result<Option<Self>, Error> {
        progress.enter(Phase::Connect);
        let open = async |server: &Server| Session::open(server, "sf/finalize", config.lock_timeout).await;
        let (server, session) = credentials::connect(&config.target, Side::Target, open).await?;
        preflight::refuse_reader(&session).await?;

        progress.enter(Phase::Lock);
        let started = Instant::now();
        let held = loop {
            let found = Found::read(&session, config, freeze, &Holders::new()).await?;
            let held = holders(&session, &found.concerned()).await?;
            match held.iter().next() {
                Some((schema, holder)) if started.elapsed() < config.wait_timeout => {
                    let reason = format!("another worker holds schema \"{schema}\": {holder}");
                    tracing::info!(phase = Phase::Lock.word(), reason, "waiting");
                    tokio::time::sleep(INTERVAL).await;
                }
                _ => break held,
            }
        };
        let found = Found::read(&session, config, freeze, &held).await?;
        let locked = found.to_do();
        if locked.is_empty() {
            return found.end(&locked, Vec::new(), progress).map(|()| None);
        }
        let asked = config.schemas.names();
        // No unit has such a name: the ledger's own schema is never loaded.
        let names = [&["schemaferry", "finalize"], asked.as_slice()].concat();
        let names = ApplicationName::new(&server.address(), &names);
        let wait = config.wait_timeout.saturating_sub(started.elapsed());
        let lock = Lock::acquire(&server, &names, &locked, wait).await?;
        // Where somebody is at another part of it, what runs may be his.
        if held.is_empty() {
            sweep(lock.session(), &names, Sweep::Others).await?;
        }
        let control = Control::open(&server, &names).await?;
        Ok(Some(Self {
            config,
            freeze,
            server,
            names,
            lock,
            control,
            locked,
            held,
        }))
    }

    async fn open(&self, role: &str) -> Result<Session, Error> {
        let limit = watchdog::lock_timeout(self.config.lock_timeout);
        Session::open(&self.server, &self.names.role(role), limit).await
    }

    async fn work(&self, progress: &Progress) -> Result<(), Error> {
        progress.enter(Phase::PostData);
        let session = self.open("work").await?;
        let found = self.find(&session).await?;
        let (mut refused, mut added) = (Vec::new(), Vec::new());
        for key in found.keys.iter().filter(|key| key.is_within(&self.locked)) {
            let is_there = match found.next(key) {
                Next::Nothing | Next::Left(_) | Next::Refused(_) => continue,
                Next::Validate => Ok(()),
                Next::Add => {
                    let add = key.add(&session, &self.lock);
                    timed(key, "foreign key added", progress, add).await
                }
            };
            match is_there {
                Ok(()) => added.push(key),
                Err(error) => refused.push(key.refused(&session, error).await?),
            }
        }
        refused.extend(self.validate(added, progress).await?);
        let denied = self.freeze(&found.unfrozen, progress).await?;

        progress.enter(Phase::Complete);
        let mut found = self.find(&session).await?;
        found
            .unfrozen
            .retain(|table| !denied.iter().any(|(denied, _)| **denied == table.relation));
        refused.extend(denied.into_iter().map(|(_, refused)| refused));
        found.end(&self.locked, refused, progress)
    }

    async fn find(&self, session: &Session) -> Result<Found, Error> {
        Found::read(session, self.config, self.freeze, &self.held).await
    }

    /// Validates keys, those of the largest table first; those of one table wait for each other.
    async fn validate(&self, keys: Vec<&Key>, progress: &Progress) -> Result<Vec<Refused>, Error> {
        let mut tables: BTreeMap<&Relation, Vec<&Key>> = BTreeMap::new();
        for key in keys.into_iter().filter(|key| key.to_validate()) {
            tables
                .entry(&key.deferred.foreign_key.table)
                .or_default()
                .push(key);
        }
        let mut tables: Vec<Vec<&Key>> = tables.into_values().collect();
        tables.sort_by_key(|keys| std::cmp::Reverse(keys.first().map(|key| key.bytes)));
        let count = tables.len().min(self.config.build_jobs.into());
        let sessions = try_join_all((0..count).map(|_| self.open("build"))).await?;
        let sessions: Vec<&Session> = sessions.iter().collect();
        let refused = share_out(&sessions, tables, async |session, keys| {
            let mut refused = Vec::new();
            for key in keys {
                let validated = key.validate(session);
                if let Err(error) = timed(key, "foreign key validated", progress, validated).await {
                    refused.push(key.refused(session, error).await?);
                }
            }
            Ok(refused)
        })
        .await?;
        Ok(refused.into_iter().flatten().collect())
    }

    /// Freezes the rows of tables of the schemas that are held; returns those that it may not.
    async fn freeze<'b>(
        &self,
        unfrozen: &'b [Unfrozen],
        progress: &Progress,
    ) -> Result<Vec<(&'b Relation, Refused)>, Error> {
        let held = self.locked.names();
        let tables: Vec<&Unfrozen> = unfrozen
            .iter()
            .filter(|table| held.contains(&table.relation.schema.as_str()))
            .collect();
        let count = tables.len().min(self.config.build_jobs.into());
        let sessions = try_join_all((0..count).map(|_| self.open("build"))).await?;
        let sessions: Vec<&Session> = sessions.iter().collect();
        let denied = share_out(&sessions, tables, async |session, table| {
            let name = table.relation.plain();
            let started = Instant::now();
            let busy = progress.busy(&format!("freeze {name}"));
            if let Err(error) = table.freeze(session).await {
                return Ok(Some((&table.relation, table.refused(error)?)));
            }
            drop(busy);
            let elapsed_ms = millis(started.elapsed());
            tracing::info!(
                phase = Phase::PostData.word(),
                table = name,
                elapsed_ms,
                "table frozen"
            );
            Ok(None)
        })
        .await?;
        Ok(denied.into_iter().flatten().collect())
    }
}

/// Does what is to be done with a key, and says so.
async fn timed(
    key: &Key,
    done: &str,
    progress: &Progress,
    work: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let name = key.name();
    let started = Instant::now();
    let busy = progress.busy(&format!("foreign key {name}"));
    work.await?;
    drop(busy);
    let elapsed_ms = millis(started.elapsed());
    tracing::info!(
        phase = Phase::PostData.word(),
        foreign_key = name,
        elapsed_ms,
        "{done}"
    );
    Ok(())
}

impl Found {
    async fn read(target: &Session, config: &Config, freeze: bool, held: &Holders) -> Result<Self, Error> {
        let asked = if config.schemas.is_empty() {
            ledger::awaited(target).await?
        } else {
            config.schemas.clone()
        };
        let (mut schemas, mut deferred) = (BTreeMap::new(), Vec::new());
        let known = ledger::awaited(target).await?;
        for schema in known.iter().chain(&asked) {
            if !schemas.contains_key(schema) {
                let (standing, left) = standing(target, schema, held).await?;
                schemas.insert(schema.clone(), standing);
                deferred.extend(left);
            }
        }
        let names = asked.names();
        let mut keys = keys::look(target, deferred).await?;
        keys.retain(|key| key.ends().iter().any(|end| names.contains(&end.as_str())));
        for [_, referenced] in keys.iter().map(Key::ends) {
            if let Entry::Vacant(unknown) = schemas.entry(referenced) {
                let (standing, _) = standing(target, unknown.key(), held).await?;
                unknown.insert(standing);
            }
        }
        let whole = asked.iter().filter_map(|schema| match schemas.get(schema) {
            Some(Standing::Whole(load)) if freeze => Some(*load),
            _ => None,
        });
        let unfrozen = tables::look(target, &whole.collect::<Vec<_>>()).await?;
        Ok(Self {
            asked,
            keys,
            unfrozen,
            schemas,
        })
    }

    fn next(&self, key: &Key) -> Next {
        let foreign_key = &key.deferred.foreign_key;
        if key.made && !key.to_validate() {
            return Next::Nothing;
        }
        let [_, referenced] = key.ends();
        match self.schemas.get(&referenced) {
            Some(Standing::Refused(refused)) => Next::Refused(refused.clone()),
            _ if key.made => Next::Validate,
            _ if key.in_the_way => Next::Refused(Refused::occupied(
                Side::Target,
                format!(
                    "foreign key {} is not made: a constraint of that name is there",
                    key.name()
                ),
                format!(
                    "ALTER TABLE {} DROP CONSTRAINT {}",
                    foreign_key.table.quoted(),
                    quote_ident(&foreign_key.name)
                ),
            )),
            _ if key.has_referenced => Next::Add,
            Some(Standing::Whole(_)) => Next::Refused(Refused::data(
                Side::Target,
                format!(
                    "foreign key {} is not made: {} is not there",
                    key.name(),
                    foreign_key.references.quoted()
                ),
                "load both schemas again",
            )),
            _ => Next::Left(format!("{} is not there", foreign_key.references.quoted())),
        }
    }

    /// The schemas that are asked for, and those at both ends of the keys.
    fn concerned(&self) -> Schemas {
        let ends = self.keys.iter().flat_map(Key::ends);
        self.asked.iter().cloned().chain(ends).collect()
    }

    /// The schemas at both ends of the keys that something is to be done about, and those of what is to be frozen.
    fn to_do(&self) -> Schemas {
        let keys = self.keys.iter();
        let to_do = keys.filter(|key| matches!(self.next(key), Next::Add | Next::Validate));
        let tables = self.unfrozen.iter();
        let frozen = tables.map(|table| SchemaName::of_ledger(table.relation.schema.clone()));
        to_do.flat_map(Key::ends).chain(frozen).collect()
    }

    /// Names what is left, and what of it stands in the way of success.
    fn end(&self, locked: &Schemas, mut refused: Vec<Refused>, progress: &Progress) -> Result<(), Error> {
        let phase = progress.phase().word();
        let left = self.keys.iter().filter(|key| !key.made);
        progress.deferred(ledger::statements(left.map(|key| &key.deferred)));
        for schema in &self.asked {
            match self.schemas.get(schema) {
                Some(Standing::Refused(reason)) => refused.push(reason.clone()),
                Some(Standing::Unknown) => refused.push(Refused::config(
                    Side::Target,
                    format!("schema \"{schema}\" was not made by a load of ours"),
                    "load it first",
                )),
                Some(Standing::Whole(_)) | None => {}
            }
        }
        for key in &self.keys {
            match self.next(key) {
                Next::Left(reason) => {
                    tracing::warn!(phase, foreign_key = key.name(), reason, "foreign key left");
                }
                Next::Refused(reason) if !refused.contains(&reason) => refused.push(reason),
                Next::Add | Next::Validate if !key.is_within(locked) => {
                    let reason = format!("foreign key {} came meanwhile", key.name());
                    refused.push(Refused::transient(Side::Target, reason, "run again"));
                }
                Next::Nothing | Next::Add | Next::Validate | Next::Refused(_) => {}
            }
        }
        if !self.unfrozen.is_empty() {
            let tables: Vec<String> = self.unfrozen.iter().map(|table| table.relation.plain()).collect();
            let reason = format!(
                "not frozen while a transaction is open that is as old as the load: {}",
                word::some_of(&tables, NAMED_MAX, ", ")
            );
            refused.push(Refused::transient(
                Side::Target,
                reason,
                "run again when it has ended",
            ));
        }
        for one in &refused {
            tracing::error!(phase, reason = one.reason, hint = one.hint, "refused");
        }
        if refused.is_empty() {
            Ok(())
        } else {
            Err(Error::Preflight(refused))
        }
    }
}

/// What the ledger says of a schema, with the foreign keys that its load has left.
async fn standing(
    target: &Session,
    schema: &SchemaName,
    held: &Holders,
) -> Result<(Standing, Vec<(i64, Deferred)>), Error> {
    let refused = |refused| Ok((Standing::Refused(refused), Vec::new()));
    if let Some(holder) = held.get(schema) {
        return refused(Refused::transient(
            Side::Target,
            format!("another worker holds schema \"{schema}\": {holder}"),
            "let it finish, or set WAIT_TIMEOUT to wait for it",
        ));
    }
    let Some(load) = ledger::latest(target, schema.as_str()).await? else {
        return Ok((Standing::Unknown, Vec::new()));
    };
    if load.is_taken_down() {
        return refused(Refused::transient(
            Side::Target,
            format!("schema \"{schema}\" was taken down by prepare"),
            "load it again first",
        ));
    }
    if matches!(load.state, LoadState::Clearing | LoadState::Loading) {
        return refused(match load.failed() {
            Some((exit, reason)) => Refused::config(
                Side::Target,
                format!("the last load of schema \"{schema}\" ended with {exit}: {reason}"),
                "load it again first",
            ),
            None => Refused::transient(
                Side::Target,
                format!("the last load of schema \"{schema}\" was interrupted"),
                "load it again first",
            ),
        });
    }
    if load.schema_oid != catalogue::schema_oid(target, schema.as_str()).await? {
        return refused(Refused::occupied(
            Side::Target,
            format!("schema \"{schema}\" is no longer the one that was loaded"),
            "load it again first",
        ));
    }
    match load.deferred(target) {
        Ok(deferred) => Ok((
            Standing::Whole(load.id),
            deferred.into_iter().map(|one| (load.id, one)).collect(),
        )),
        Err(Error::Refused(reason)) => refused(reason),
        Err(error) => Err(error),
    }
}

/// Who holds which of some schemas.
async fn holders(target: &Session, schemas: &Schemas) -> Result<Holders, Error> {
    let mut holders = Holders::new();
    for schema in schemas {
        if let Some(holder) = lock::worker(target, schema).await? {
            holders.insert(schema.clone(), holder);
        }
    }
    Ok(holders)
}
