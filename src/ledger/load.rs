//! The latest load of one schema, as its row has it, and whether it still stands.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio_postgres::Row;

use crate::baseline::{Baseline, Noted};
use crate::catalogue::activity::{self, Activity};
use crate::catalogue::{self, Relation};
use crate::config::{SchemaName, Schemas};
use crate::error::Error;
use crate::exit::Exit;
use crate::ledger::{ACCEPT_REASON, NewLoad, USER, WANTS_ALL, deferred, form, inventory, write};
use crate::server::quoting::unquote_ident;
use crate::server::session::Session;

/// A row's state. `clearing` is committed with the first drops, `complete` after every other session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadState {
    Clearing,
    Loading,
    Complete,
    Sealed,
}

impl LoadState {
    pub(super) fn from_word(word: &str) -> Self {
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
    /// What [`Deferred`](super::Deferred) was written as.
    pub(super) deferred: Value,
    /// What the source had counted shortly before the snapshot.
    pub(crate) source_activity: Option<Activity>,
    /// Since the last sign of life.
    pub(crate) silence: Duration,
    summary: Option<Value>,
    /// Names the attempt that wrote it.
    pub(crate) attempt: String,
    baseline: Option<Value>,
}

/// What has become of a load's tables and sequences since, as far as the server's counters tell.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What was written, in words.
    pub(crate) writes: Vec<String>,
    /// Tables that were truncated or rewritten, by their names within the schema as SQL writes them. Only their rows tell which.
    pub(crate) replaced: Vec<String>,
    /// What a crash of the target has emptied, by its name within the schema as SQL writes it.
    pub(crate) emptied: Vec<String>,
    /// Whether more may have been written: the server has forgotten what it had counted.
    pub(crate) has_forgotten: bool,
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

    /// What in the schema somebody has changed since, apart from foreign keys that `finalize` has made; empty if nothing. What the
    /// server has forgotten to count is not told.
    pub(crate) async fn changes(&self, target: &Session, schema_oid: u32) -> Result<Vec<String>, Error> {
        let mut changes = self.altered(target).await?;
        changes.extend(self.tally(target, schema_oid).await?.changes());
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

    /// What is no longer as the load left it, whether somebody has changed it or a crash has emptied it; empty if nothing.
    pub(crate) async fn differences(&self, target: &Session, schema_oid: u32) -> Result<Vec<String>, Error> {
        let mut differences = self.altered(target).await?;
        differences.extend(self.tally(target, schema_oid).await?.differences());
        Ok(differences)
    }

    /// Counts what was written since.
    pub(crate) async fn tally(&self, target: &Session, schema_oid: u32) -> Result<Tally, Error> {
        Ok(self.compare(&activity::within(target, schema_oid, None).await?))
    }

    /// The same, of some objects alone.
    pub(crate) async fn tally_of(
        &self,
        target: &Session,
        schema_oid: u32,
        objects: &[u32],
    ) -> Result<Tally, Error> {
        Ok(self.compare(&activity::within(target, schema_oid, Some(objects)).await?))
    }

    /// Counts, and begins to count anew: what is counted later is what was written since this. Where sequences stand is told by
    /// themselves.
    pub(crate) async fn recount(&mut self, target: &Session, schema_oid: u32) -> Result<Tally, Error> {
        let now = activity::within(target, schema_oid, None).await?;
        let tally = self.compare(&now);
        self.activity = self.activity.take().map(|left| now.with_sequences_of(&left));
        Ok(tally)
    }

    /// How many rows were added to tables since their writes were last counted, where nothing else was done to them, as far as that is
    /// known.
    pub(crate) async fn added(&self, target: &Session) -> Result<BTreeMap<Relation, u64>, Error> {
        let (Some(oid), Some(counted)) = (self.schema_oid, &self.activity) else {
            return Ok(BTreeMap::new());
        };
        let now = activity::within(target, oid, None).await?;
        let added = now.added_since(counted);
        Ok(added.map(|(name, added)| (self.relation(name), added)).collect())
    }

    /// A relation of its schema, by its name as SQL writes it.
    pub(crate) fn relation(&self, name: &str) -> Relation {
        Relation {
            schema: self.schema.clone(),
            name: unquote_ident(name),
        }
    }

    fn compare(&self, now: &Activity) -> Tally {
        let Some(left) = &self.activity else {
            return Tally::default();
        };
        Tally {
            writes: now.writes_since(left),
            replaced: now.replaced_since(left),
            emptied: now.emptied_since(left),
            has_forgotten: now.has_forgotten(left),
        }
    }

    /// What the load, or the last refresh of it, has noted of the source of its whole unit.
    pub(crate) async fn baseline_of_unit(&self, target: &Session) -> Result<Option<Noted<Baseline>>, Error> {
        let sql = "SELECT pg_catalog.to_jsonb(l) -> 'baseline' AS baseline FROM schemaferry.load l \
                   WHERE l.attempt = $1 AND pg_catalog.to_jsonb(l) -> 'baseline' <> 'null'";
        let rows = target.query("read the ledger", sql, &[&self.attempt]).await?;
        Ok(rows.first().map(|row| readable(row.get("baseline"))))
    }
}

impl Tally {
    /// What was lost, in words.
    pub(crate) fn losses(&self) -> impl Iterator<Item = String> {
        self.emptied
            .iter()
            .map(|name| format!("a crash of the server has emptied {name}, which is unlogged"))
    }

    /// What was written or replaced, in words.
    pub(crate) fn changes(&self) -> impl Iterator<Item = String> {
        let replaced = self.replaced.iter().map(|name| activity::replaced_in_words(name));
        self.writes.iter().cloned().chain(replaced)
    }

    /// The same, and what was lost.
    pub(crate) fn differences(&self) -> impl Iterator<Item = String> {
        self.changes().chain(self.losses())
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
    // The names of columns that a ledger of an earlier release lacks find those beside it.
    let sql = "SELECT l.* \
               FROM (SELECT NULL::jsonb AS source_activity, NULL::jsonb AS baseline) AS later \
               CROSS JOIN LATERAL ( \
                   SELECT id, schema_name, state, schema_oid, adopted, run_id, source, variables, inventory, activity, \
                          deferred, summary, attempt, source_activity, baseline, \
                          extract(epoch FROM pg_catalog.clock_timestamp() - updated_at)::float8 AS silence_s \
                   FROM schemaferry.load WHERE schema_name = $1 ORDER BY id DESC LIMIT 1) AS l";
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

/// The loads of a unit that has been completed under this identifier, from this source and with these variables, if all of it still stands
/// as they left it, as far as counters tell. A sealed one is believed by its OID alone.
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
                let tally = load.tally(target, oid).await?;
                // Whose the rows of what has another file are is looked up next.
                let is_left = tally.writes.is_empty() && tally.emptied.is_empty();
                load.schema_oid == Some(oid) && is_left && load.altered(target).await?.is_empty()
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
