//! The command `refresh`: of a unit that was loaded, only what has changed on the source travels. What that is, is told exactly; where
//! it cannot be told, or more than rows has changed, the whole unit is loaded. A load after an interrupted one is the same: of what has
//! landed before, only what has changed travels again.
//!
//! Nothing is undone after an interruption: whatever has landed was told to the ledger in its own transaction, and the next attempt
//! goes on from there, under a snapshot of its own.

mod action;
mod base;
mod found;
mod keys;
mod open;

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::dump::Archive;
use crate::archive::parts::Division;
use crate::baseline::{self, Definitions, Moment, Noted, Place, verdict};
use crate::catalogue::code::SearchPath;
use crate::catalogue::{self, Table};
use crate::config::{self, Method, Resume};
use crate::copy::{Contents, Kept};
use crate::error::{Error, Refused};
use crate::ledger;
use crate::preflight::Purpose;
use crate::progress::{Phase, Progress};
use crate::refresh::action::Action;
use crate::refresh::base::Base;
use crate::refresh::found::Found;
use crate::refresh::keys::Keys;
use crate::refresh::open::{Firing, Leaving};
use crate::server::session::Session;
use crate::snapshot::Snapshot;
use crate::unit::Unit;
use crate::word::{self, Word as _};
use crate::written::landed;

/// Reasons named in a record.
const NAMED_MAX: usize = 3;

/// What a decision is made from.
pub(crate) struct Asked<'a, 'b> {
    pub(crate) unit: &'a Unit<'a>,
    /// A load keeps what an interrupted one has left; a refresh, what is there.
    pub(crate) purpose: Purpose,
    pub(crate) archive: &'a Archive,
    pub(crate) parts: &'a Division,
    pub(crate) target: &'b Session,
    pub(crate) snapshot: &'b Snapshot,
    pub(crate) contents: &'b Contents,
    pub(crate) progress: &'b Progress,
}

/// What is to be done with a unit, and what that was decided from.
pub(crate) struct Refresh<'a> {
    unit: &'a Unit<'a>,
    archive: &'a Archive,
    parts: &'a Division,
    base: Base,
    /// All tables with rows of their own.
    tables: Vec<Table>,
    pub(crate) kept: Kept,
    moving: BTreeMap<u32, Action>,
    /// OIDs on the source of the foreign keys that go meanwhile.
    going: BTreeSet<u32>,
    /// Foreign keys to and from other schemas that are deferred again.
    leaving: Vec<Leaving>,
    /// What fires on the source.
    firing: Vec<Firing>,
    /// What is built after the rows on the source, neither index nor key, by catalogue and OID; named as on every server.
    built: BTreeMap<(u32, u32), String>,
    facts: catalogue::PostData,
    path: SearchPath,
}

/// What keeps a unit from being brought up to date table by table.
#[derive(Debug)]
enum Hindrance {
    /// All of it has to be loaded.
    Whole(String),
    /// Nothing can be done.
    Failed(Error),
}

impl From<Error> for Hindrance {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Decides table by table, and says so; `None` where the whole unit has to be loaded, unless that is not wanted. Nothing is changed.
pub(crate) async fn decide<'a>(asked: &Asked<'a, '_>) -> Result<Option<Refresh<'a>>, Error> {
    let config = asked.unit.config;
    let is_load = asked.purpose == Purpose::Load;
    if is_load {
        let may_keep = config.resume == Resume::Auto && config.method == Method::Copy;
        if !may_keep || !base::is_unfinished(asked.target, &config.schemas).await? {
            return Ok(None);
        }
    }
    let phase = Phase::Scan.word();
    let reason = match Box::pin(decided(asked)).await {
        Ok(refresh) => {
            let told = refresh.told();
            let refreshed = told.to_string();
            if is_load {
                tracing::info!(phase, refreshed, "what an interrupted load has left is kept");
            } else {
                tracing::info!(phase, refreshed, "refresh decided");
            }
            asked.progress.refreshed(told);
            return Ok(Some(refresh));
        }
        Err(Hindrance::Failed(error)) => return Err(error),
        Err(Hindrance::Whole(reason)) => reason,
    };
    if is_load {
        tracing::info!(phase, reason, "what an interrupted load has left is not kept");
        return Ok(None);
    }
    match config.refresh {
        config::Refresh::Auto => {
            tracing::warn!(phase, reason, "the whole unit is loaded");
            Ok(None)
        }
        config::Refresh::Only => Err(Error::Refused(Refused::occupied(
            asked.target.side(),
            format!("it cannot be brought up to date table by table: {reason}"),
            "load it, or set REFRESH=auto",
        ))),
    }
}

async fn decided<'a>(asked: &Asked<'a, '_>) -> Result<Refresh<'a>, Hindrance> {
    let (unit, target) = (asked.unit, asked.target);
    if unit.config.method == Method::Pipe {
        return Err(Hindrance::Whole("METHOD=pipe moves everything".to_owned()));
    }
    let mut base = Base::read(target, unit.config).await?;
    let place = asked.place(&base).await?;
    asked.progress.enter(Phase::Scan);
    base.recount(target).await?;
    let tables = &asked.contents.tables;
    let mut found = Found::read(asked, &base).await?;
    let (mut kept, moving) = found.judge(tables, &base, place)?;
    let Keys { going, waves, within } = Keys::of(&found.keys, &moving);
    for (_, added) in kept.added.iter_mut().filter(|(table, _)| within.contains(table)) {
        added.alone = true;
    }
    let tables: Vec<Table> = tables.iter().map(|table| kept.given(table)).collect();
    let changed = tables.iter().filter_map(|table| {
        let action = moving.get(&table.oid)?;
        Some((table, action.is_reload()))
    });
    let schemas = &unit.config.schemas;
    let given = changed
        .clone()
        .flat_map(|(table, _)| [&table.relation, table.destination()]);
    open::refuse_internal_triggers(target, schemas, &given.collect()).await?;
    let changed = changed.map(|(table, is_emptied)| (&table.relation, is_emptied));
    let leaving = open::leaving(target, schemas, changed).await?;
    Ok(Refresh {
        unit,
        archive: asked.archive,
        parts: asked.parts,
        base,
        tables,
        kept: Kept { waves, ..kept },
        moving,
        going,
        leaving,
        firing: found.firing,
        built: found.built,
        facts: asked.contents.facts.clone(),
        path: asked.contents.code.path.clone(),
    })
}

impl Asked<'_, '_> {
    /// Where in the source's history the snapshot is, if from there can be told what has happened since the load, and only rows have
    /// changed.
    async fn place(&self, base: &Base) -> Result<Place, Hindrance> {
        let now = Definitions::of(self.archive);
        let before = &base.baseline.definitions;
        let changed = verdict::definitions(&before.without_grants(), &now.without_grants());
        if !changed.is_empty() {
            return Err(Hindrance::Whole(word::some_of(&changed, NAMED_MAX, ", ")));
        }
        let moment = Moment::of(&self.snapshot.mark);
        let origin = baseline::origin(&self.snapshot.session).await?;
        let origin = origin.map_err(Hindrance::Whole)?;
        if let Some(reason) = base
            .places()
            .find_map(|before| before.estranged(&origin, &moment))
        {
            return Err(Hindrance::Whole(reason.to_owned()));
        }
        open::refuse_hindrances(self.target, &self.unit.config.schemas).await?;
        Ok(Place::at(origin, moment))
    }
}

impl Refresh<'_> {
    /// The rows of the ledger under which has landed what was there before.
    pub(crate) fn loads(&self) -> &[i64] {
        &self.base.baseline.loads
    }

    /// Tells how much moves, and how much does not.
    pub(crate) fn told(&self) -> serde_json::Value {
        let count =
            |test: &dyn Fn(&Action) -> bool| self.moving.values().filter(|action| test(action)).count();
        serde_json::json!({
            "kept": self.tables.len() - self.moving.len(),
            "appended_to": count(&|action| !action.is_reload()),
            "loaded_again": count(&Action::is_reload),
            "rows": self.kept.moving.values().filter_map(|(rows, _)| *rows).sum::<u64>(),
            "bytes": self.kept.moving.values().map(|(_, bytes)| bytes).sum::<u64>(),
            "size": self.tables.iter().map(|table| table.size_bytes).sum::<u64>(),
            "interrupted": !self.base.is_whole(),
        })
    }

    /// Names the tables whose rows are not exactly those that are to be there, written under these rows of the ledger. What is kept or
    /// appended to was looked at before anything was changed, and is once more only where counters tell of more than our own rows. All
    /// that our own sessions have written is counted by now.
    pub(crate) async fn strangers(
        &self,
        target: &Session,
        (noted, loads): (&Noted<baseline::Contents>, &[i64]),
        progress: &Progress,
    ) -> Result<Vec<String>, Error> {
        let wanted: BTreeMap<u32, &baseline::Table> =
            noted.tables().map(|table| (table.oid, table)).collect();
        let tables = self.tables.iter();
        let both: Vec<(&Table, &baseline::Table)> = tables
            .filter_map(|table| Some((table, *wanted.get(&table.oid)?)))
            .collect();
        if both.len() != self.tables.len() {
            return Err(Error::Internal(
                "what was refreshed is not what was noted of it".to_owned(),
            ));
        }
        let added = self.base.added(target, target).await?;
        let is_known = |(table, noted): &(&Table, &baseline::Table)| {
            let ours = match self.moving.get(&table.oid) {
                None => Some(0),
                Some(Action::Append { new, .. }) => Some(*new),
                Some(Action::Reload) => None,
            };
            // A root is counted whole.
            !noted.by_root && ours.is_some() && added.get(&noted.relation).copied() == ours
        };
        let both: Vec<_> = both.into_iter().filter(|one| !is_known(one)).collect();
        let landed = ledger::transactions(target, loads).await?;
        let strange = landed::strangers(self.unit, &both, &landed, progress).await?;
        let named = both.iter().filter(|(table, _)| strange.contains(&table.oid));
        Ok(named
            .map(|(table, _)| {
                format!(
                    "{} does not hold the source's rows, or somebody else has written to it",
                    table.relation.quoted()
                )
            })
            .collect())
    }
}
