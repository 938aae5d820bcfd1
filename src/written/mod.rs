//! Whether somebody has written to complete loads, also where the server's counters do not tell: a crash, a failover or a reset makes
//! it forget them.

pub(crate) mod landed;

use std::collections::{BTreeMap, BTreeSet};

use crate::baseline::{self, Noted};
use crate::catalogue::{self, Relation, Table};
use crate::clear;
use crate::config::{SchemaName, Schemas, Verify};
use crate::error::Error;
use crate::ledger::{self, Load, LoadState, NewLoad};
use crate::progress::Progress;
use crate::server::quoting::unquote_ident;
use crate::server::session::Session;
use crate::unit::Unit;
use crate::word::Word as _;

/// Loads whose rows are to be looked at, of one attempt: what it has loaded it has noted together.
struct Unsure {
    load: Load,
    schemas: BTreeSet<SchemaName>,
    /// What a crash has emptied; nobody has done that.
    emptied: BTreeSet<Relation>,
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

/// What was written to the schemas of some complete loads, in words. Where counters have gone back, and under `VERIFY=hash`, whose the
/// rows are is told by the numbers of the transactions that wrote them, exactly. What is compared with such a load from here on is
/// compared with what was counted before that look.
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
            written.insert(schema, tally.writes);
            continue;
        }
        if tally.has_forgotten {
            tracing::warn!(
                phase = progress.phase().word(),
                schema = schema.as_str(),
                "counters were reset since the load: whose rows there are is looked up"
            );
        } else if unit.config.verify != Verify::Hash {
            continue;
        }
        let unsure = unsure.entry(load.attempt.clone()).or_insert_with(|| Unsure {
            load: load.clone(),
            schemas: BTreeSet::new(),
            emptied: BTreeSet::new(),
        });
        let emptied = tally.emptied.iter().map(|name| Relation {
            schema: load.schema.clone(),
            name: unquote_ident(name),
        });
        unsure.emptied.extend(emptied);
        unsure.schemas.insert(schema);
    }
    for unsure in unsure.into_values() {
        for table in unsure.written_by_others((unit, target), progress).await? {
            let schema = SchemaName::of_ledger(table.schema.clone());
            let change = format!("rows of {} were written", table.quoted());
            written.entry(schema).or_default().push(change);
        }
    }
    Ok(written)
}

impl Unsure {
    async fn written_by_others(
        &self,
        (unit, target): (&Unit<'_>, &Session),
        progress: &Progress,
    ) -> Result<Vec<Relation>, Error> {
        let schemas: Schemas = self.schemas.iter().cloned().collect();
        let unknown = || Noted::Unknown("it was loaded by an earlier release".to_owned());
        let baseline = match self.load.baseline_of_unit(target).await?.unwrap_or_else(unknown) {
            Noted::Known(baseline) => baseline,
            Noted::Unknown(reason) => {
                landed::say_untold(progress, &format!("{schemas}: {reason}"));
                return Ok(Vec::new());
            }
        };
        let noted: BTreeMap<&Relation, &baseline::Table> = baseline
            .contents
            .tables
            .iter()
            .map(|table| (&table.relation, table))
            .collect();
        let tables = catalogue::tables(target, &schemas).await?;
        let both: Vec<(Table, &baseline::Table)> = tables
            .into_iter()
            .filter(|table| !self.emptied.contains(&table.relation))
            .filter_map(|table| {
                let noted = *noted.get(&table.relation)?;
                let oid = noted.oid;
                Some((Table { oid, ..table }, noted))
            })
            .collect();
        let both: Vec<_> = both.iter().map(|(table, noted)| (table, *noted)).collect();
        landed::written_by_others((unit, target), &both, &baseline.loads, progress).await
    }
}
