//! Whether somebody has written to complete loads, also where the server's counters do not tell: a crash, a failover or a reset makes
//! it forget them.

pub(crate) mod landed;

use std::collections::{BTreeMap, BTreeSet};

use crate::baseline::Noted;
use crate::catalogue::{self, Relation, activity};
use crate::clear;
use crate::config::{SchemaName, Schemas, Verify};
use crate::error::Error;
use crate::ledger::{self, Load, LoadState, NewLoad};
use crate::progress::Progress;
use crate::server::session::Session;
use crate::strangers::{self, noted};
use crate::unit::Unit;
use crate::word::Word as _;
use crate::written::landed::Told;

/// Loads whose rows are to be looked at, of one attempt: what it has loaded it has noted together.
struct Unsure {
    load: Load,
    schemas: BTreeSet<SchemaName>,
    /// What a crash has emptied; nobody has done that.
    emptied: BTreeSet<Relation>,
    /// What was truncated or rewritten, with its name within the schema as SQL writes it.
    replaced: BTreeMap<Relation, String>,
}

/// Whether a unit is complete under this run's identifier, and still stands as its loads have left it.
pub(crate) async fn is_complete(
    (unit, target): (&Unit<'_>, &Session),
    schemas: &Schemas,
    entry: &NewLoad,
    progress: &Progress,
) -> Result<bool, Error> {
    let Some(mut loads) = ledger::completed(target, schemas, entry).await? else {
        return Ok(false);
    };
    let complete = loads.iter_mut().filter(|load| load.state == LoadState::Complete);
    Ok(since((unit, target), complete, progress).await?.is_empty())
}

/// Refuses where somebody has written to one of these complete loads.
pub(crate) async fn refuse<'a>(
    (unit, target): (&Unit<'_>, &Session),
    loads: impl Iterator<Item = &'a mut Load>,
    progress: &Progress,
) -> Result<(), Error> {
    let written = since((unit, target), loads, progress).await?;
    match written.first_key_value() {
        None => Ok(()),
        Some((schema, changes)) => Err(clear::changed(schema, changes)),
    }
}

/// What was written to the schemas of some complete loads, in words. Where counters have gone back, a table has another file, and under
/// `VERIFY=hash`, whose the rows are is told by the numbers of the transactions that wrote them, exactly. What is compared with such a
/// load from here on is compared with what was counted before that look.
async fn since<'a>(
    (unit, target): (&Unit<'_>, &Session),
    loads: impl Iterator<Item = &'a mut Load>,
    progress: &Progress,
) -> Result<BTreeMap<SchemaName, Vec<String>>, Error> {
    let mut written: BTreeMap<SchemaName, Vec<String>> = BTreeMap::new();
    let mut unsure: BTreeMap<String, Unsure> = BTreeMap::new();
    for load in loads {
        let Some(oid) = load.schema_oid else { continue };
        let schema = SchemaName::of_ledger(load.schema.clone());
        let tally = load.recount(target, oid).await?;
        if !tally.writes.is_empty() {
            written.insert(schema, tally.changes().collect());
            continue;
        }
        let (phase, name) = (progress.phase().word(), schema.as_str());
        if tally.has_forgotten {
            tracing::warn!(
                phase,
                schema = name,
                "counters were reset since the load: whose rows there are is looked up"
            );
        } else if !tally.replaced.is_empty() {
            tracing::warn!(
                phase,
                schema = name,
                "tables were rewritten since the load: whose rows there are is looked up"
            );
        } else if unit.config.verify != Verify::Hash {
            continue;
        }
        let unsure = unsure.entry(load.attempt.clone()).or_insert_with(|| Unsure {
            load: load.clone(),
            schemas: BTreeSet::new(),
            emptied: BTreeSet::new(),
            replaced: BTreeMap::new(),
        });
        unsure
            .emptied
            .extend(tally.emptied.iter().map(|name| load.relation(name)));
        let replaced = tally.replaced.iter();
        let replaced = replaced.map(|name| (load.relation(name), name.clone()));
        unsure.replaced.extend(replaced);
        unsure.schemas.insert(schema);
    }
    for unsure in unsure.into_values() {
        let told = unsure.told((unit, target), progress).await?;
        let replaced = unsure
            .replaced
            .iter()
            .filter(|(table, _)| !told.sound.contains(table))
            .map(|(table, name)| (table, activity::replaced_in_words(name)));
        let strange = told
            .strange
            .iter()
            .filter(|table| !unsure.replaced.contains_key(table))
            .map(|table| (table, strangers::in_words(table)));
        for (table, change) in strange.chain(replaced) {
            let schema = SchemaName::of_ledger(table.schema.clone());
            written.entry(schema).or_default().push(change);
        }
    }
    Ok(written)
}

impl Unsure {
    async fn told(&self, (unit, target): (&Unit<'_>, &Session), progress: &Progress) -> Result<Told, Error> {
        let schemas: Schemas = self.schemas.iter().cloned().collect();
        let unknown = || Noted::Unknown("it was loaded by an earlier release".to_owned());
        let baseline = match self.load.baseline_of_unit(target).await?.unwrap_or_else(unknown) {
            Noted::Known(baseline) => baseline,
            Noted::Unknown(reason) => {
                landed::say_untold(progress, &format!("{schemas}: {reason}"));
                return Ok(Told::default());
            }
        };
        let tables = catalogue::tables(target, &schemas).await?;
        let both = noted(&baseline, tables, &self.emptied);
        let both: Vec<_> = both.iter().map(|(table, noted)| (table, *noted)).collect();
        landed::written_by_others((unit, target), &both, &baseline.loads, progress).await
    }
}
