//! The ledger on the target: one row per schema and load, what a retry is decided by.

mod attempts;
mod deferred;
mod form;
mod history;
mod inventory;
mod landed;
mod load;
mod measured;
mod standing;

pub(crate) use attempts::{Attempt, Refreshed, attempts, changed_between};
pub(crate) use deferred::{Deferred, awaited, defer_again, foreign_keys, note_made, statements, still_made};
pub(crate) use form::{open, outdated};
pub(crate) use history::{Past, history};
pub(crate) use landed::{Landed, note, refreshed, transactions};
pub(crate) use load::{Load, LoadState, completed, latest, of_unit};
pub(crate) use measured::{Measured, measured};
pub(crate) use standing::Standing;

use std::convert::Infallible;
use std::time::Duration;

use serde_json::{Value, json};

use crate::baseline::{Baseline, Noted};
use crate::catalogue::activity::Activity;
use crate::config::{Config, SchemaName, Schemas};
use crate::error::{Error, Refused, Stop};
use crate::exit::Exit;
use crate::lock::Lock;
use crate::server::parameter::Param;
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
        .await
        .map_err(|error| untranslatable(error, target))?;
    Ok(row.get(0))
}

/// What comes into a row from the environment alone, whose characters another encoding than UTF-8 may lack.
fn untranslatable(error: Error, target: &Session) -> Error {
    if error.sqlstate() != Some("22P05") {
        return error;
    }
    Error::Refused(Refused::config(
        target.side(),
        format!(
            "RUN_ID or ACCEPT_REASON has a character that the target's encoding, {}, has not",
            target.encoding
        ),
        "write both in ASCII",
    ))
}

/// A summary in what the target can hold: what it tells people has marks that another encoding than UTF-8 may lack.
fn held(summary: Value, target: &Session) -> Value {
    if ["UTF8", "SQL_ASCII"].contains(&target.encoding.as_str()) {
        return summary;
    }
    let text = summary.to_string().replace('…', "...");
    let text: String = text
        .chars()
        .map(|one| if one.is_ascii() { one } else { '?' })
        .collect();
    serde_json::from_str(&text).unwrap_or_default()
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
    pub(crate) snapshot_lsn: Option<String>,
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
    let summary = held(completion.summary, reader);
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
            &summary,
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
    let summary = held(summary, target);
    if form::look(target).await?.is_there {
        target
            .execute("write the ledger", sql, &[&attempt, &summary])
            .await?;
    }
    Ok(())
}
