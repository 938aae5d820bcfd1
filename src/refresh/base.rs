//! What a refresh goes out from: what was loaded, and what an interrupted attempt has brought up since.

use std::collections::BTreeMap;

use crate::baseline::{Baseline, Noted, Place, Table};
use crate::catalogue::{self, Relation};
use crate::clear;
use crate::config::{Config, OnExisting, SchemaName, Schemas, Verify};
use crate::error::Error;
use crate::exit::Exit;
use crate::ledger::{self, Load, LoadState};
use crate::refresh::{Hindrance, NAMED_MAX};
use crate::server::session::Session;
use crate::strangers::settle;
use crate::word;

/// Ends of an attempt that are no interruptions.
const UNTRUSTED: [Exit; 3] = [Exit::Data, Exit::Internal, Exit::Occupied];

/// What was loaded.
pub(super) struct Base {
    /// The latest of each schema.
    pub(super) loads: Vec<Load>,
    /// What the target holds; tables that an interrupted attempt has moved have places of their own.
    pub(super) baseline: Baseline,
}

/// Whether the last run at a unit was a load, or the resumption of one, that did not come to its end after its first rows.
pub(super) async fn is_unfinished(target: &Session, schemas: &Schemas) -> Result<bool, Error> {
    let is_usable = |load: &Load| load.state == LoadState::Loading;
    let loads = ledger::of_unit(target, schemas, is_usable).await?;
    let unfinished = |load: &Load| matches!(load.baseline(), Some(Noted::Known(known)) if known.unfinished);
    Ok(loads.is_ok_and(|loads| loads.iter().any(unfinished)))
}

impl Base {
    /// Reads it.
    pub(super) async fn read(target: &Session, config: &Config) -> Result<Self, Hindrance> {
        let whole = |reason: &str| Err(Hindrance::Whole(reason.to_owned()));
        let is_usable = |load: &Load| matches!(load.state, LoadState::Complete | LoadState::Loading);
        let loads = ledger::of_unit(target, &config.schemas, is_usable).await?;
        let loads = loads.map_err(|why| Hindrance::Whole(why.reason))?;
        refuse_altered(target, config, &loads).await?;
        let mut noted = loads.iter().filter_map(|load| Some((load, load.baseline()?)));
        // What is known to differ, or that others have been at, is not kept; what was in the way of any other end is gone by now, or
        // shows again.
        let tells = |(exit, _): &(u64, String)| UNTRUSTED.iter().any(|one| u64::from(one.code()) == *exit);
        if let Some((exit, reason)) = loads.iter().filter_map(Load::failed).find(tells) {
            return whole(&format!("the last attempt ended with {exit}: {reason}"));
        }
        if loads.iter().any(Load::wants_all) {
            return whole("the last attempt could not end with what it had kept");
        }
        let is_interrupted = loads.iter().any(|load| load.state == LoadState::Loading);
        if is_interrupted && config.verify == Verify::None {
            return whole("what an interrupted attempt has left is not compared under VERIFY=none");
        }
        let (mut baseline, unfinished) = match noted.next() {
            Some((load, Noted::Known(baseline))) if !baseline.loads.is_empty() => {
                (baseline, (load.state == LoadState::Loading).then_some(load.id))
            }
            Some((_, Noted::Unknown(reason))) => return whole(&reason),
            None if is_interrupted => {
                return whole("its last load did not complete");
            }
            Some((_, Noted::Known(_))) | None => return whole("it was loaded by an earlier release"),
        };
        if let Some(unfinished) = unfinished {
            let told = ledger::refreshed(target, unfinished).await?;
            baseline.contents.take(told);
            if !baseline.loads.contains(&unfinished) {
                baseline.loads.push(unfinished);
            }
        }
        Ok(Self { loads, baseline })
    }

    /// Begins to count anew what is written to the target: whose rows there are now is told by the rows.
    pub(super) async fn recount(&mut self, target: &Session) -> Result<(), Error> {
        for load in &mut self.loads {
            if let Some(oid) = load.schema_oid {
                load.recount(target, oid).await?;
            }
        }
        Ok(())
    }

    /// How many rows were added since [`recount`](Self::recount) to tables to which nothing else was done, those of ours among them; none
    /// where counters may not tell yet. `outside` is in no transaction, which would keep to the sessions that it has seen first; `target`
    /// may hold locks that keep everybody else out.
    pub(super) async fn added(
        &self,
        outside: &Session,
        target: &Session,
    ) -> Result<BTreeMap<Relation, u64>, Error> {
        let mut added = BTreeMap::new();
        if !settle::is_told(outside).await? {
            return Ok(added);
        }
        for load in &self.loads {
            added.append(&mut load.added(target).await?);
        }
        Ok(added)
    }

    /// Its tables by their OIDs on the source.
    pub(super) fn tables(&self) -> BTreeMap<u32, &Table> {
        let tables = self.baseline.contents.tables.iter();
        tables.map(|table| (table.oid, table)).collect()
    }

    /// Those of the source's tables that have landed, with what is known of each.
    pub(super) fn landed<'a>(
        &'a self,
        tables: &'a [catalogue::Table],
    ) -> Result<Vec<(&'a catalogue::Table, &'a Table)>, Hindrance> {
        let known = self.tables();
        let mut landed = Vec::new();
        for table in tables {
            match known.get(&table.oid) {
                Some(known) if known.is_begun() => landed.push((table, *known)),
                Some(_) => {}
                None => {
                    return Err(Hindrance::Whole(format!(
                        "{} was not there at the load",
                        table.relation.quoted()
                    )));
                }
            }
        }
        Ok(landed)
    }

    /// Whether the last run at the unit has ended well.
    pub(super) fn is_whole(&self) -> bool {
        self.loads.iter().all(|load| load.state == LoadState::Complete)
    }

    /// Where in the source's history all tables are known that have no place of their own.
    pub(super) fn place(&self) -> &Place {
        &self.baseline.contents.place
    }

    /// All places that tables are known at.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let own = self.baseline.contents.tables.iter();
        std::iter::once(self.place()).chain(own.flat_map(Table::places))
    }

    /// The refusal of a table that somebody else has written to, unless whatever is there may go.
    pub(super) fn refuse_strangers(&self, config: &Config, table: &Relation) -> Option<Error> {
        let may_go = config.on_existing == OnExisting::Replace || !self.is_whole();
        let schema = SchemaName::of_ledger(table.schema.clone());
        (!may_go).then(|| clear::changed(&schema, &[format!("rows of {} were written", table.quoted())]))
    }
}

/// Refuses where a schema is not the one that was loaded, somebody has altered what is in it, or a crash has emptied a part of it.
async fn refuse_altered(target: &Session, config: &Config, loads: &[Load]) -> Result<(), Hindrance> {
    for (schema, load) in config.schemas.iter().zip(loads) {
        if load.schema_oid != catalogue::schema_oid(target, schema.as_str()).await? {
            return Err(Hindrance::Whole(format!(
                "schema \"{schema}\" is no longer the one that was loaded"
            )));
        }
        // Of one that was interrupted the end is compared with the source.
        if load.state == LoadState::Complete {
            let altered = load.altered(target).await?;
            if !altered.is_empty() {
                let altered = word::some_of(&altered, NAMED_MAX, ", ");
                return Err(Hindrance::Whole(format!(
                    "schema \"{schema}\" was altered on the target: {altered}"
                )));
            }
            if let Some(oid) = load.schema_oid
                && let Some(loss) = load.tally(target, oid).await?.losses().next()
            {
                return Err(Hindrance::Whole(loss.clone()));
            }
        }
    }
    Ok(())
}
