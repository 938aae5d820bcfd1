//! The ledger on the target: one row per schema and load, what a retry is decided by.

mod attempts;
mod deferred;
mod form;
mod history;
mod inventory;
mod landed;
mod measured;
mod standing;

pub(crate) use attempts::{Attempt, Refreshed, attempts, changed_between};
pub(crate) use deferred::{Deferred, awaited, defer_again, foreign_keys, note_made, statements, still_made};
pub(crate) use form::{open, outdated};
pub(crate) use history::{Past, history};
pub(crate) use landed::{Landed, note, refreshed, transactions};
pub(crate) use measured::{Measured, measured};
pub(crate) use standing::Standing;

use std::convert::Infallible;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_postgres::Row;

use crate::baseline::{Baseline, Noted};
use crate::catalogue;
use crate::catalogue::activity::{self, Activity};
use crate::config::{Config, SchemaName, Schemas};
use crate::error::{Error, Refused, Stop};
use crate::exit::Exit;
use crate::lock::Lock;
use crate::server::parameter::Param;
use crate::server::quoting::unquote_ident;
use crate::server::session::Session;
use crate::word::Word as _;

/// How far the statistics collector of servers before 15 may lag behind.
const COLLECTOR_DELAY: Duration = Duration::from_secs(1);

/// Between two signs of life of a load.
const SIGN_INTERVAL: Duration = Duration::from_mins(1);

/// Why hazards were accepted, and the user of the target who has: kept among the variables, and no part of what a load makes.
const ACCEPT_REASON: &str = "ACCEPT_REASON";
const USER: &str = "USER";

/// What statements that write the ledger are at.
pub(crate) const WRITE: &str = "write the ledger";

/// Says in a summary that the next load is to keep nothing.
const WANTS_ALL: &str = "wants_all";

/// Differences that a row names.
const DIFFERENCES_MAX: usize = 50;

/// A row's state. `clearing` is committed with the first drops, `complete` after every other session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadState {
    Clearing,
    Loading,
    Complete,
    Sealed,
}

impl LoadState {
    fn from_word(word: &str) -> Self {
        match word {
            "complete" => Self::Complete,
            "sealed" => Self::Sealed,
            "loading" => Self::Loading,
            // Anything else was begun and not finished.
            _ => Self::Clearing,
        }
    }
}

/// The latest load of one schema.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) id: i64,
    pub(crate) schema: String,
    pub(crate) state: LoadState,
    /// OID of the schema that the load made or adopted; `None` while it was not created yet.
    pub(crate) schema_oid: Option<u32>,
    pub(crate) adopted: bool,
    pub(crate) run_id: Option<String>,
    source: String,
    variables: Value,
    inventory: Option<Value>,
    activity: Option<Activity>,
    deferred: Value,
    /// What the source had counted shortly before the snapshot.
    pub(crate) source_activity: Option<Activity>,
    /// Since the last sign of life.
    pub(crate) silence: Duration,
    summary: Option<Value>,
    /// Names the attempt that wrote it.
    pub(crate) attempt: String,
    baseline: Option<Value>,
}

/// What counters tell of a complete load's schema.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    /// What was written since, in words.
    pub(crate) writes: Vec<String>,
    /// Names of what a crash of the target has emptied since.
    pub(crate) emptied: Vec<String>,
    /// Whether more may have been written, because the server has forgotten what it had counted.
    pub(crate) has_forgotten: bool,
}

/// A load of one schema that a run has begun.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    /// Of its row.
    pub(crate) id: i64,
    pub(crate) schema: SchemaName,
    pub(crate) schema_oid: u32,
    /// The schema keeps its owner.
    pub(crate) adopted: bool,
}

/// What a run writes into its rows.
#[derive(Debug, Clone)]
pub(crate) struct NewLoad {
    pub(crate) run_id: Option<String>,
    pub(crate) attempt: String,
    /// The source's address.
    pub(crate) source: String,
    /// Variables that change what a load makes.
    pub(crate) variables: Value,
}

impl NewLoad {
    /// The entry of a run under `config`, from the source at `source`.
    pub(crate) fn new(config: &Config, source: String, attempt: String) -> Self {
        let variables = json!({
            "SCHEMA_NAME": config.schemas.names(),
            "PRIVILEGES": config.privileges.word(),
            "VERIFY": config.verify.word(),
            "ROLE_MAP": config.role_map,
            "ACCEPT": config.accept.iter().map(|hazard| hazard.word()).collect::<Vec<_>>(),
            ACCEPT_REASON: config.accept_reason,
        });
        Self {
            run_id: config.run_id.clone(),
            attempt,
            source,
            variables,
        }
    }
}

impl Load {
    fn from_row(row: &Row) -> Self {
        // What an earlier release has written is not known.
        let activity = |column: &str| {
            let value: Option<Value> = row.get(column);
            value.and_then(|value| serde_json::from_value(value).ok())
        };
        Self {
            id: row.get("id"),
            schema: row.get("schema_name"),
            state: LoadState::from_word(row.get("state")),
            schema_oid: row.get("schema_oid"),
            adopted: row.get("adopted"),
            run_id: row.get("run_id"),
            source: row.get("source"),
            variables: row.get("variables"),
            inventory: row
                .get::<_, Option<Value>>("inventory")
                .and_then(inventory::readable),
            activity: activity("activity"),
            deferred: row.get::<_, Option<Value>>("deferred").unwrap_or_default(),
            source_activity: activity("source_activity"),
            silence: Duration::try_from_secs_f64(row.get("silence_s")).unwrap_or_default(),
            summary: row.get("summary"),
            attempt: row.get("attempt"),
            baseline: row.get("baseline"),
        }
    }

    /// What the load has noted of the source of its whole unit; `None` in all rows of a unit but one.
    pub(crate) fn baseline(&self) -> Option<Noted<Baseline>> {
        self.baseline.clone().map(readable)
    }

    /// Whether it ended in a way that is no reason to give up, but to begin anew with everything.
    pub(crate) fn wants_all(&self) -> bool {
        let told = self.summary.as_ref().and_then(|summary| summary.get(WANTS_ALL));
        told == Some(&Value::Bool(true))
    }

    /// How the load ended where running it again does not help: exit code and reason.
    pub(crate) fn failed(&self) -> Option<(u64, String)> {
        let summary = self.summary.as_ref()?;
        let exit = summary["exit"].as_u64()?;
        let passes = |known: &Exit| u64::from(known.code()) == exit && known.is_transient();
        if Exit::ALL.iter().any(passes) {
            return None;
        }
        Some((exit, summary["reason"].as_str()?.to_owned()))
    }

    /// The schemas that it moved together.
    pub(crate) fn unit(&self) -> Schemas {
        let names = self.variables.get("SCHEMA_NAME").and_then(Value::as_array);
        names
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|name| SchemaName::of_ledger(name.to_owned()))
            .collect()
    }

    /// Whether it was taken down whole, to be loaded again.
    pub(crate) fn is_taken_down(&self) -> bool {
        let told = self
            .summary
            .as_ref()
            .and_then(|summary| summary.get("taken_down"));
        self.state == LoadState::Clearing && told == Some(&Value::Bool(true))
    }

    /// Marks it as sealed, or as complete again. Runs in the caller's transaction.
    pub(crate) async fn set_sealed(&self, target: &Session, sealed: bool) -> Result<(), Error> {
        let state = if sealed { "sealed" } else { "complete" };
        let sql = "UPDATE schemaferry.load SET state = $2, updated_at = pg_catalog.clock_timestamp() \
                   WHERE id = $1 AND state IN ('complete', 'sealed')";
        write(target, sql, &[&self.id, &state], 1).await
    }

    /// Whether this load was made by a run with the same identifier and source.
    pub(crate) fn is_of_run(&self, entry: &NewLoad) -> bool {
        entry.run_id.is_some() && self.run_id == entry.run_id && self.source == entry.source
    }

    /// Whether this load was made by a run with the same identifier, source and variables.
    fn is_of(&self, entry: &NewLoad) -> bool {
        self.is_of_run(entry) && what_makes(&self.variables) == what_makes(&entry.variables)
    }

    /// What in the schema is no longer as the load left it, apart from foreign keys that `finalize` has made; empty if
    /// nothing. Counters that were lost to a crash or a reset are unknown and do not count.
    pub(crate) async fn changes(&self, target: &Session, schema_oid: u32) -> Result<Vec<String>, Error> {
        let mut changes = self.altered(target).await?;
        changes.extend(self.writes(target, schema_oid, None).await?);
        Ok(changes)
    }

    /// The same, apart from rows and positions.
    pub(crate) async fn altered(&self, target: &Session) -> Result<Vec<String>, Error> {
        let Some(left) = &self.inventory else {
            return Ok(vec![
                "what its load, one of an earlier release, has left is not known".to_owned(),
            ]);
        };
        let made = deferred::made(&self.deferred);
        let mut now = inventory::objects(target, &self.schema, &made).await?;
        now.append(&mut inventory::access(target, &self.schema).await?);
        let now = Value::Object(now);
        let counts = |kind: &str| !self.adopted || !inventory::is_about_the_schema(kind);
        Ok(inventory::differences(left, &now, counts))
    }

    /// Tables and sequences of those that are still there, or among some `objects`, that were written to since.
    pub(crate) async fn writes(
        &self,
        target: &Session,
        schema_oid: u32,
        objects: Option<&[u32]>,
    ) -> Result<Vec<String>, Error> {
        let now = activity::within(target, schema_oid, objects).await?;
        let left = self.activity.as_ref();
        Ok(left.map_or_else(Vec::new, |left| now.changes_since(left)))
    }

    /// Counts again. From here on, what is compared with the load is compared with this: only what it has not counted has to be
    /// looked for in another way.
    pub(crate) async fn recount(&mut self, target: &Session, schema_oid: u32) -> Result<Recount, Error> {
        let now = activity::within(target, schema_oid, None).await?;
        let Some(left) = self.activity.take() else {
            return Ok(Recount::default());
        };
        let recount = Recount {
            writes: now.changes_since(&left),
            emptied: now.emptied_since(&left).map(unquote_ident).collect(),
            has_forgotten: now.has_forgotten(&left),
        };
        self.activity = Some(now.with_sequences_of(&left));
        Ok(recount)
    }

    /// Whether counters do not tell what was written to its schema since.
    pub(crate) async fn is_uncounted(&self, target: &Session, schema_oid: u32) -> Result<bool, Error> {
        let now = activity::within(target, schema_oid, None).await?;
        Ok(self.activity.as_ref().is_some_and(|left| now.has_forgotten(left)))
    }

    /// What the load, or the last refresh of it, has noted of the source of its whole unit.
    pub(crate) async fn baseline_of_unit(&self, target: &Session) -> Result<Option<Noted<Baseline>>, Error> {
        let sql = "SELECT pg_catalog.to_jsonb(l) -> 'baseline' AS baseline FROM schemaferry.load l \
                   WHERE l.attempt = $1 AND pg_catalog.to_jsonb(l) -> 'baseline' <> 'null'";
        let rows = target.query("read the ledger", sql, &[&self.attempt]).await?;
        Ok(rows.first().map(|row| readable(row.get("baseline"))))
    }

    /// What of it a crash of the target has emptied since.
    pub(crate) async fn losses(&self, target: &Session, schema_oid: u32) -> Result<Vec<String>, Error> {
        let now = activity::within(target, schema_oid, None).await?;
        let left = self.activity.as_ref();
        Ok(left.map_or_else(Vec::new, |left| now.losses_since(left)))
    }

    /// What is no longer as the load left it, whether somebody has changed it or a crash has emptied it; empty if nothing.
    pub(crate) async fn differences(&self, target: &Session, schema_oid: u32) -> Result<Vec<String>, Error> {
        let mut differences = self.altered(target).await?;
        let now = activity::within(target, schema_oid, None).await?;
        if let Some(left) = &self.activity {
            differences.extend(now.changes_since(left));
            differences.extend(now.losses_since(left));
        }
        Ok(differences)
    }
}

/// What a load has noted of its source, as its row has it.
fn readable(noted: Value) -> Noted<Baseline> {
    let unreadable = |_| Noted::Unknown("it was loaded by another release".to_owned());
    serde_json::from_value(noted).unwrap_or_else(unreadable)
}

/// The variables that change what a load makes.
fn what_makes(variables: &Value) -> Value {
    let mut variables = variables.clone();
    if let Value::Object(variables) = &mut variables {
        variables.retain(|name, _| ![ACCEPT_REASON, USER].contains(&name.as_str()));
    }
    variables
}

/// The latest load of a schema, if this database has a ledger that knows one.
pub(crate) async fn latest(target: &Session, schema: &str) -> Result<Option<Load>, Error> {
    if !form::look(target).await?.is_there {
        return Ok(None);
    }
    // By way of JSON what a ledger of an earlier release lacks is null.
    let sql = "SELECT *, pg_catalog.to_jsonb(l) -> 'source_activity' AS source_activity, \
               pg_catalog.to_jsonb(l) -> 'baseline' AS baseline, \
               extract(epoch FROM pg_catalog.clock_timestamp() - updated_at)::float8 AS silence_s \
               FROM schemaferry.load l WHERE schema_name = $1 ORDER BY id DESC LIMIT 1";
    let rows = target.query("read the ledger", sql, &[&schema]).await?;
    Ok(rows.first().map(Load::from_row))
}

/// Why a unit is not what the ledger knows of its schemas, and what can be done about it.
#[derive(Debug)]
pub(crate) struct NoUnit {
    pub(crate) reason: String,
    pub(crate) hint: String,
}

/// The latest load of each schema of a unit, if it is one that `is_usable`, and they were moved together, and nothing else with them.
pub(crate) async fn of_unit(
    target: &Session,
    schemas: &Schemas,
    is_usable: impl Fn(&Load) -> bool,
) -> Result<Result<Vec<Load>, NoUnit>, Error> {
    let mut loads: Vec<Load> = Vec::new();
    for schema in schemas {
        let Some(load) = latest(target, schema.as_str()).await?.filter(&is_usable) else {
            return Ok(Err(NoUnit {
                reason: format!("schema \"{schema}\" was not loaded, or its last load did not complete"),
                hint: "load it first".to_owned(),
            }));
        };
        if load.unit() != *schemas {
            return Ok(Err(NoUnit {
                reason: format!(
                    "schema \"{schema}\" was not moved together with these schemas, or not with them alone"
                ),
                hint: format!("look at what was moved together: SCHEMA_NAME={}", load.unit()),
            }));
        }
        if loads.first().is_some_and(|first| first.attempt != load.attempt) {
            return Ok(Err(NoUnit {
                reason: "these schemas were moved together, but by several loads".to_owned(),
                hint: format!("load them together: SCHEMA_NAME={schemas}"),
            }));
        }
        loads.push(load);
    }
    Ok(Ok(loads))
}

/// The sealed schema that has another name since, if this OID is its own and no schema has taken its name: an upgraded
/// database has other OIDs.
pub(crate) async fn sealed_as(target: &Session, schema_oid: u32) -> Result<Option<String>, Error> {
    if !form::look(target).await?.is_there {
        return Ok(None);
    }
    let sql = "SELECT l.schema_name FROM (SELECT DISTINCT ON (schema_name) * FROM schemaferry.load ORDER BY schema_name, id DESC) l \
               WHERE l.state = 'sealed' AND l.schema_oid = $1 \
               AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n WHERE n.nspname = l.schema_name)";
    let rows = target.query("read the ledger", sql, &[&schema_oid]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// The OIDs of those that are what loads of ours have made of them or begun to, and are not sealed.
pub(crate) async fn ours(target: &Session, schemas: &[&str]) -> Result<Vec<u32>, Error> {
    if !form::look(target).await?.is_there {
        return Ok(Vec::new());
    }
    let sql = include_str!("sql/ours.sql");
    let rows = target.query("read the ledger", sql, &[&schemas]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Every schema that loads were made into and that is there.
pub(crate) async fn schemas(target: &Session) -> Result<Schemas, Error> {
    if !form::look(target).await?.is_there {
        return Ok(Schemas::default());
    }
    let sql = "SELECT DISTINCT l.schema_name FROM schemaferry.load l \
               JOIN pg_catalog.pg_namespace n ON n.nspname = l.schema_name ORDER BY 1";
    let rows = target.query("read the ledger", sql, &[]).await?;
    Ok(rows.iter().map(|row| SchemaName::of_ledger(row.get(0))).collect())
}

/// Adds a row in state `clearing` and returns its id.
pub(crate) async fn begin(
    target: &Session,
    entry: &NewLoad,
    schema: &SchemaName,
    (existing, adopted): (Option<u32>, bool),
) -> Result<i64, Error> {
    let sql = "INSERT INTO schemaferry.load (schema_name, schema_oid, adopted, state, run_id, attempt, source, variables) \
               VALUES ($1, $2, $3, 'clearing', $4, $5, $6, $7 || pg_catalog.jsonb_build_object($8, session_user)) RETURNING id";
    let row = target
        .query_one(
            "write the ledger",
            sql,
            &[
                &schema.as_str(),
                &existing,
                &adopted,
                &entry.run_id,
                &entry.attempt,
                &entry.source,
                &entry.variables,
                &USER,
            ],
        )
        .await?;
    Ok(row.get(0))
}

/// Moves a row to `loading`, with the OID of the schema that now exists. Runs in the caller's transaction.
pub(crate) async fn loading(target: &Session, id: i64, schema_oid: u32) -> Result<(), Error> {
    let sql = "UPDATE schemaferry.load SET state = 'loading', schema_oid = $2, \
               updated_at = pg_catalog.clock_timestamp() WHERE id = $1 AND state = 'clearing'";
    write(target, sql, &[&id, &schema_oid], 1).await
}

/// Keeps in a row what is known of its unit before any of its rows move.
pub(crate) async fn note_base(target: &Session, id: i64, baseline: &Noted<Baseline>) -> Result<(), Error> {
    let sql = "UPDATE schemaferry.load SET baseline = $2 WHERE id = $1 AND state = 'loading'";
    write(target, sql, &[&id, &json!(baseline)], 1).await
}

/// Says in a row in state `clearing` that nothing is left of what was there. Runs in the caller's transaction.
pub(crate) async fn taken_down(target: &Session, id: i64) -> Result<(), Error> {
    let sql = "UPDATE schemaferry.load SET summary = $2, updated_at = pg_catalog.clock_timestamp() \
               WHERE id = $1 AND state = 'clearing'";
    write(target, sql, &[&id, &json!({"taken_down": true})], 1).await
}

/// Runs a statement that is about so many rows of the run's own, and refuses to go on if they are not there as it left them.
async fn write(target: &Session, sql: &str, params: &[&dyn Param], rows: u64) -> Result<(), Error> {
    match target.execute(WRITE, sql, params).await {
        Ok(touched) if touched == rows => Ok(()),
        Ok(_) => Err(missed(target)),
        Err(error) => Err(explained(error, target)),
    }
}

/// What the failure of a statement that writes the ledger, which was as it should be when the run began, means.
pub(crate) fn explained(error: Error, target: &Session) -> Error {
    // Undefined table, schema, column.
    const GONE: [&str; 3] = ["42P01", "3F000", "42703"];
    let is_gone = error.sqlstate().is_some_and(|code| GONE.contains(&code));
    if is_gone && matches!(&error, Error::Postgres { action, .. } if action == WRITE) {
        return missed(target);
    }
    error
}

fn missed(target: &Session) -> Error {
    Error::Refused(Refused::occupied(
        target.side(),
        "somebody has changed or removed the run's own rows of the ledger, schemaferry.load, or schemaferry.landed",
        "leave them to the loads; set ON_EXISTING=replace for one load if it finds the schema to be no longer its own",
    ))
}

/// What a complete load leaves in its row.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) standing: Standing,
    /// The source as it was.
    pub(crate) baseline: Noted<Baseline>,
    pub(crate) snapshot_at: String,
    pub(crate) snapshot_lsn: String,
    pub(crate) source_activity: Activity,
    /// The rows under which has landed what is there.
    pub(crate) loads: Vec<i64>,
    /// Foreign keys that leave the unit.
    pub(crate) deferred: Vec<Deferred>,
    pub(crate) summary: Value,
}

/// Marks every row of the unit complete, in one durable transaction. To be called after all sessions that wrote
/// have ended, because the counters of what they wrote are final only then. `reader` looks; the session that
/// holds the unit's lock writes, so that a run that has lost its lock cannot complete anything.
pub(crate) async fn complete(
    reader: &Session,
    lock: &Lock,
    loads: &[Begun],
    completion: Completion,
) -> Result<(), Error> {
    if reader.major() < 15 {
        // The collector of older servers may answer with what it knew half a second ago.
        tokio::time::sleep(COLLECTOR_DELAY).await;
    }
    let left = completion.standing.confirmed(reader, loads).await?;
    let source_activity = json!(completion.source_activity);
    let target = lock.session();
    target
        .batch(
            "begin the ledger's transaction",
            "BEGIN; SET LOCAL synchronous_commit = on",
        )
        .await?;
    let sql = "UPDATE schemaferry.load SET state = 'complete', snapshot_at = $2, snapshot_lsn = $3, deferred = $4, \
               summary = $5, inventory = $6, activity = $7, source_activity = $8, baseline = $10, \
               updated_at = pg_catalog.clock_timestamp() WHERE id = $1 AND state = 'loading' AND schema_oid = $9";
    // That of the whole unit, once.
    let mut baseline = Some(json!(completion.baseline));
    for (load, left) in loads.iter().zip(left) {
        let of_schema = |one: &&Deferred| one.foreign_key.table.schema == load.schema.as_str();
        let deferred: Vec<&Deferred> = completion.deferred.iter().filter(of_schema).collect();
        let params: [&dyn Param; 10] = [
            &load.id,
            &completion.snapshot_at,
            &completion.snapshot_lsn,
            &json!(deferred),
            &completion.summary,
            &left.inventory,
            &json!(left.activity),
            &source_activity,
            &load.schema_oid,
            &baseline.take(),
        ];
        write(target, sql, &params, 1).await?;
    }
    landed::forget(target, loads, &completion.loads).await?;
    target.batch("complete the ledger", "COMMIT").await
}

/// Does what the loads need, while their rows show that they live.
pub(crate) async fn alive<T>(
    lock: &Lock,
    loads: &[Begun],
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        ended = Box::pin(work) => ended,
        never = show_life(lock, loads) => match never {},
    }
}

/// What keeps the statement from its end would keep the lock's heartbeat with it, so it waits neither for a row nor for
/// a standby.
async fn show_life(lock: &Lock, loads: &[Begun]) -> Infallible {
    let ids: Vec<i64> = loads.iter().map(|load| load.id).collect();
    let sql = include_str!("sql/sign_of_life.sql");
    loop {
        tokio::time::sleep(SIGN_INTERVAL).await;
        let signed = lock.session().execute("write the ledger", sql, &[&ids]).await;
        if let Err(error) = signed {
            tracing::warn!(
                reason = crate::error::chain(&error),
                "the ledger gets no sign of life"
            );
        }
    }
}

/// Says in the rows of an attempt how it has ended, beside what its `summary` holds anyway: where another attempt would end
/// the same way, nobody waits for one.
pub(crate) async fn ended(
    lock: &Lock,
    attempt: &str,
    (exit, error): (Exit, &Error),
    mut summary: Value,
) -> Result<(), Error> {
    let differences: &[String] = if let Error::Differ(differences) = error {
        differences
    } else {
        &[]
    };
    if let Value::Object(summary) = &mut summary {
        let named: Vec<&String> = differences.iter().take(DIFFERENCES_MAX).collect();
        summary.insert("exit".to_owned(), json!(exit.code()));
        summary.insert("reason".to_owned(), json!(crate::error::chain(error)));
        summary.insert("differences".to_owned(), json!(named));
        let wants_all = matches!(error, Error::Stopped(Stop::Resumed(_)));
        summary.insert(WANTS_ALL.to_owned(), json!(wants_all));
    }
    let sql = "UPDATE schemaferry.load SET summary = $2, updated_at = pg_catalog.clock_timestamp() \
               WHERE attempt = $1 AND state IN ('clearing', 'loading')";
    let target = lock.session();
    if form::look(target).await?.is_there {
        target
            .execute("write the ledger", sql, &[&attempt, &summary])
            .await?;
    }
    Ok(())
}

/// The loads of a unit that has been completed under this identifier, from this source and with these variables, if all of it still stands
/// as they left it. A sealed one is believed by its OID alone.
pub(crate) async fn completed(
    target: &Session,
    schemas: &Schemas,
    entry: &NewLoad,
) -> Result<Option<Vec<Load>>, Error> {
    let mut loads = Vec::new();
    for schema in schemas {
        let load = match latest(target, schema.as_str()).await {
            // For preflight to tell, with everything else that is lacking.
            Err(Error::Refused(_)) => return Ok(None),
            other => other?,
        };
        let Some(load) = load.filter(|load| load.is_of(entry)) else {
            return Ok(None);
        };
        let stands = match (load.state, catalogue::schema_oid(target, schema.as_str()).await?) {
            (LoadState::Sealed, Some(oid)) => load.schema_oid == Some(oid),
            (LoadState::Complete, Some(oid)) => {
                load.schema_oid == Some(oid) && load.differences(target, oid).await?.is_empty()
            }
            _ => false,
        };
        if !stands {
            return Ok(None);
        }
        loads.push(load);
    }
    Ok(Some(loads))
}
