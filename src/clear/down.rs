//! Takes several units down before any of them is loaded again, so that none is in another's way: what is built on others goes
//! before them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::clear::drop::Emptying;
use crate::clear::{Decision, Existing, PG_NAMESPACE, Planned, depend, dependents, drop_schema};
use crate::config::{Config, OnExisting, SchemaName, Schemas, listed};
use crate::error::{Error, Refused, Side};
use crate::ledger::{self, Load, LoadState, NewLoad};
use crate::lock::Lock;
use crate::rings::{self, Needs};
use crate::server::session::Session;
use crate::strangers::settle;

/// What is to be taken down.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// One after the other.
    pub(crate) pieces: Vec<Piece>,
    /// What outside of all of them would go with them.
    pub(crate) refused: Vec<Refused>,
}

/// Schemas that hang on each other, and so go together.
#[derive(Debug)]
pub(crate) struct Piece(Vec<Planned>);

/// Waits until the server knows what was written to complete loads, where that counts: better before anything is dropped than when
/// it is their turn.
pub(crate) async fn settled(target: &Session, lock: &Lock, config: &Config) -> Result<(), Error> {
    let mut loads: Vec<Load> = Vec::new();
    for schema in &config.schemas {
        loads.extend(ledger::latest(target, schema.as_str()).await?);
    }
    loads.retain(|load| config.on_existing == OnExisting::Own && load.state == LoadState::Complete);
    if loads.is_empty() {
        return Ok(());
    }
    settle::wait(lock.session(), config.lock_timeout).await.map(drop)
}

/// In which order schemas go of which this was decided. Those that are `kept` stay as they are.
pub(crate) async fn order(
    target: &Session,
    config: &Config,
    decisions: &[(SchemaName, Decision)],
    kept: &Schemas,
) -> Result<Order, Error> {
    let going: BTreeMap<&str, (&SchemaName, &Decision, &Existing)> = decisions
        .iter()
        .filter_map(|(schema, decision)| Some((schema.as_str(), (schema, decision, decision.cleared()?))))
        .collect();
    let foreign_keys = ledger::foreign_keys(target).await?;
    let (mut needs, mut order) = (Needs::new(), Order::default());
    for (name, (_, _, existing)) in &going {
        let itself = std::iter::once((PG_NAMESPACE, existing.oid));
        let found = dependents(target, (&[existing.oid], &foreign_keys), itself, &[]).await?;
        let mut outside = Vec::new();
        for (object, schema) in found.outside {
            match schema {
                Some(schema) if going.contains_key(schema.as_str()) => {
                    let needed = needs.entry(schema).or_default();
                    needed.insert((*name).to_owned(), object);
                }
                schema => outside.push((object, schema)),
            }
        }
        if !outside.is_empty() {
            order.refused.push(refusal(name, &outside, kept));
        }
    }
    for ring in rings::dependents_first(going.keys().copied(), &needs) {
        let mut piece = Vec::new();
        for (schema, decision, _) in ring.iter().filter_map(|name| going.get(name)) {
            piece.push(Planned::of(target, schema, (*decision).clone(), config.on_existing).await?);
        }
        order.pieces.push(Piece(piece));
    }
    Ok(order)
}

/// Refuses to take down what something hangs on that stays.
fn refusal(schema: &str, outside: &[(String, Option<String>)], kept: &Schemas) -> Refused {
    let schemas = outside.iter().filter_map(|(_, schema)| schema.as_deref());
    let (kept, others): (BTreeSet<&str>, BTreeSet<&str>) =
        schemas.partition(|schema| kept.names().contains(schema));
    let hint = if !kept.is_empty() {
        let kept = listed(kept);
        format!(
            "{kept} is complete under this RUN_ID and stays: name another RUN_ID, under which it is taken down too"
        )
    } else if others.is_empty() {
        "drop them".to_owned()
    } else {
        format!("drop them, or add to SCHEMA_NAME: {}", listed(others))
    };
    let reason = depend(&format!("schema \"{schema}\""), outside);
    Refused::occupied(Side::Target, reason, hint)
}

impl Piece {
    /// The names of its schemas.
    pub(crate) fn schemas(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|one| one.schema.as_str())
    }

    /// The complete loads that its schemas have to be as left by.
    pub(crate) fn loads(&mut self) -> impl Iterator<Item = &mut Load> {
        self.0.iter_mut().filter_map(|one| one.load.as_mut())
    }

    /// Empties its schemas, and drops those that were not there before our loads. The ledger says so since the first drop.
    pub(crate) async fn take_down(
        &self,
        target: &Session,
        lock: &Lock,
        (config, entry): (&Config, &NewLoad),
    ) -> Result<(), Error> {
        let cleared = |one: &Planned| one.decision.cleared().map(|existing| existing.oid);
        let unit: Vec<u32> = self.0.iter().filter_map(cleared).collect();
        let emptying = Emptying {
            target,
            outside: lock.session(),
            planned: &self.0,
            unit: &unit,
            entry,
            lock_timeout: config.lock_timeout,
            untold: RefCell::default(),
        };
        let rows = emptying.run().await?;
        target.batch("begin", "BEGIN").await?;
        for (one, row) in self.0.iter().zip(rows) {
            let id = match row {
                Some(id) => id,
                None => ledger::begin(target, entry, &one.schema, one.decision.recorded()).await?,
            };
            if let Decision::Replace(existing) = &one.decision {
                drop_schema(target, &one.schema, existing).await?;
            }
            ledger::taken_down(target, id).await?;
        }
        target.batch("commit", "COMMIT").await
    }
}
