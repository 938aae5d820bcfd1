//! The command `refresh`: of a unit that was loaded, only what has changed on the source travels. What that is, is told exactly; where
//! it cannot be told, or more than rows has changed, the whole unit is loaded. A load after an interrupted one is the same: of what has
//! landed before, only what has changed travels again.
//!
//! Nothing is undone after an interruption: whatever has landed was told to the ledger in its own transaction, and the next attempt
//! goes on from there, under a snapshot of its own.

mod action;
mod base;
mod keys;
mod open;

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::dump::Archive;
use crate::archive::parts::Division;
use crate::baseline::{
    self, Definitions, Fingerprint, Ground, Meaning, Moment, Noted, Place, Rows, Scanned, Verdict,
    Whereabouts, scan, verdict,
};
use crate::catalogue::code::SearchPath;
use crate::catalogue::{self, Counted, Relation, Table};
use crate::config::{self, Method, Resume};
use crate::copy::{Added, Contents, Kept};
use crate::error::{Error, Refused};
use crate::ledger;
use crate::preflight::Purpose;
use crate::progress::{Phase, Progress};
use crate::refresh::action::Action;
use crate::refresh::base::Base;
use crate::refresh::keys::{Key, Keys};
use crate::refresh::open::{Firing, Leaving};
use crate::server::session::Session;
use crate::snapshot::Snapshot;
use crate::unit::Unit;
use crate::word::{self, Word as _};
use crate::written::landed;

/// New rows that are read one by one where they lie scattered: each is some twelve bytes of a statement.
const LISTED_MAX: usize = 1 << 17;
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

/// What was found of a unit's tables on both sides, by their OIDs on the source.
struct Found {
    fingerprints: BTreeMap<u32, Fingerprint>,
    rows: BTreeMap<u32, Scanned>,
    /// Those whose rows on the target are not the ones that were loaded.
    strange: BTreeSet<u32>,
    /// What they are on the target.
    meanings: BTreeMap<Relation, Meaning>,
    keys: Vec<Key>,
    firing: Vec<Firing>,
    /// What is built after the rows.
    built: BTreeMap<(u32, u32), String>,
}

impl Found {
    async fn read(asked: &Asked<'_, '_>, base: &Base) -> Result<Self, Hindrance> {
        let (unit, source) = (asked.unit, &asked.snapshot.session);
        let tables = &asked.contents.tables;
        let both = base.landed(tables)?;
        let scanned: Vec<(&Table, String)> = both
            .iter()
            .map(|(table, known)| (*table, known.has_row(base.place())))
            .collect();
        let readers = asked
            .snapshot
            .readers(&unit.servers.source, &unit.names, unit.config)
            .await?;
        let sessions: Vec<&Session> = std::iter::once(source).chain(&readers).collect();
        let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        let landed = ledger::transactions(asked.target, &base.baseline.loads).await?;
        let forgotten = both
            .iter()
            .find(|(table, known)| known.rows > 0 && !landed.contains_key(&table.oid));
        if let Some((table, _)) = forgotten {
            return Err(Hindrance::Whole(format!(
                "by which transactions the rows of {} have come is not known any more",
                table.relation.quoted()
            )));
        }
        let (meanings, others) = meanings(asked, base, &both).await?;
        let (fingerprints, rows, mut strange, keys, firing, built) = tokio::try_join!(
            baseline::fingerprints(source, &oids),
            scan::rows(&sessions, &scanned, LISTED_MAX, asked.progress),
            landed::strangers(unit, &both, &landed, asked.progress),
            keys(source, unit),
            open::firing(source, &unit.config.schemas),
            open::built(source, &unit.config.schemas)
        )?;
        strange.extend(others);
        let stranger = tables.iter().find(|table| strange.contains(&table.oid));
        let refused = stranger.and_then(|table| base.refuse_strangers(unit.config, &table.relation));
        if let Some(refused) = refused {
            return Err(Hindrance::Failed(refused));
        }
        Ok(Self {
            fingerprints: fingerprints.into_iter().map(|one| (one.oid, one)).collect(),
            rows,
            strange,
            meanings,
            keys,
            firing,
            built,
        })
    }

    /// What has become of each table, and what is done with it by itself.
    fn compare<'t>(&mut self, tables: &'t [Table], base: &'t Base) -> Result<Vec<Compared<'t>>, Hindrance> {
        let known = base.tables();
        let compared = tables.iter().map(|table| {
            let Some(fingerprint) = self.fingerprints.get(&table.oid) else {
                return Err(Hindrance::Whole(format!(
                    "{} is no longer there",
                    table.relation.quoted()
                )));
            };
            let known = known.get(&table.oid).copied().filter(|known| known.is_begun());
            let Scanned { rows, new } = self.rows.remove(&table.oid).unwrap_or_default();
            let verdict = known.map_or(Verdict::New, |known| {
                Verdict::of(known, Some((&fingerprint.hash, rows)))
            });
            let is_as_loaded = !self.strange.contains(&table.oid) && !fingerprint.by_name;
            Ok(Compared {
                table,
                known,
                fingerprint: fingerprint.clone(),
                rows,
                new,
                action: Action::of(&verdict, rows, is_as_loaded),
                verdict,
            })
        });
        compared.collect()
    }

    /// What is done with each table that moves, and what is there of all of them, seen from this place.
    fn judge(
        &mut self,
        tables: &[Table],
        base: &Base,
        place: Place,
    ) -> Result<(Kept, BTreeMap<u32, Action>), Hindrance> {
        let ground = Ground {
            place,
            tables: BTreeMap::new(),
        };
        let (mut kept, mut actions) = (Kept::of(ground, !base.is_whole()), BTreeMap::new());
        let mut compared = self.compare(tables, base)?;
        let by_root = compared.iter().enumerate().filter(|(_, one)| one.is_by_root());
        let counted = catalogue::units(tables, &by_root.map(|(index, _)| index).collect());
        let mut roots: BTreeMap<&Counted, Vec<(&mut Option<Action>, Rows)>> = BTreeMap::new();
        for (counted, one) in counted.iter().zip(&mut compared) {
            roots
                .entry(counted)
                .or_default()
                .push((&mut one.action, one.rows));
        }
        for leaves in roots.values_mut() {
            action::together(leaves);
        }
        for (counted, one) in counted.iter().zip(compared) {
            one.record();
            let there = baseline::Table {
                rows: one.action.map_or(one.rows.old, |action| action.leaves(one.rows)),
                by_root: matches!(counted, Counted::Root(_)),
                target: self.meanings.get(&one.table.relation).cloned(),
                ..baseline::Table::of(one.fingerprint.clone())
            };
            kept.ground.tables.insert(one.table.oid, there);
            if let Some(action) = one.action {
                actions.insert(one.table.oid, action);
                one.moves(action, base, &mut kept);
            }
        }
        Ok((kept, actions))
    }
}

/// What has become of a table.
struct Compared<'a> {
    table: &'a Table,
    /// What has landed of it.
    known: Option<&'a baseline::Table>,
    fingerprint: Fingerprint,
    rows: Rows,
    new: Whereabouts,
    verdict: Verdict,
    /// What is done with it; nothing where it stays.
    action: Option<Action>,
}

impl Compared<'_> {
    /// Whether its rows are in any of its root's leaves.
    fn is_by_root(&self) -> bool {
        self.known.is_some_and(|known| known.by_root)
    }

    fn bytes(&self) -> u64 {
        self.verdict.bytes(self.table.size_bytes, self.rows)
    }

    /// Says what moves.
    fn moves(self, action: Action, base: &Base, kept: &mut Kept) {
        let (table, rows) = (self.table, self.rows);
        let moves = match (self.known, action) {
            (Some(known), Action::Append { new, .. }) => {
                let bytes = self.bytes();
                let added = Added {
                    sql: format!("NOT ({})", known.has_row(base.place())),
                    at: self.new,
                    index_bytes: if action.rebuilds() {
                        0
                    } else {
                        table.build_bytes.saturating_mul(bytes) / table.size_bytes.max(1)
                    },
                    alone: false,
                };
                kept.added.insert(table.oid, added);
                (Some(new), bytes)
            }
            (Some(_), Action::Reload) => (Some(rows.old + rows.new), table.size_bytes),
            // Nobody has counted them.
            (None, _) => (None, table.size_bytes),
        };
        kept.moving.insert(table.oid, moves);
    }

    fn record(&self) {
        let (phase, found) = (Phase::Scan.word(), self.verdict.word());
        let (table, action) = (self.table.relation.plain(), Action::word(self.action));
        let is_expected = self.action.is_none() || self.verdict == Verdict::New;
        if is_expected {
            tracing::debug!(phase, table, found, action, "table compared");
        } else {
            let (rows, bytes) = (self.rows.new, self.bytes());
            tracing::info!(phase, table, found, action, rows, bytes, "table compared");
        }
    }
}

/// What tables are on the target, and those that are others by now, there or on the source, than what has landed was noted of.
async fn meanings(
    asked: &Asked<'_, '_>,
    base: &Base,
    landed: &[(&Table, &baseline::Table)],
) -> Result<(BTreeMap<Relation, Meaning>, BTreeSet<u32>), Hindrance> {
    let contents = asked.contents;
    let names = contents.tables.iter().map(|table| &table.relation);
    let meanings = baseline::meanings(asked.target, names).await?;
    let is_redefined = |known: &baseline::Table| {
        known.target.is_none() || meanings.get(&known.relation) != known.target.as_ref()
    };
    // What is whole was looked at before.
    let altered = base
        .baseline
        .contents
        .tables
        .iter()
        .find(|known| is_redefined(known));
    if let Some(altered) = altered.filter(|_| !base.is_whole()) {
        return Err(Hindrance::Whole(format!(
            "{} was altered on the target",
            altered.relation.quoted()
        )));
    }
    let is_rewritten = |(table, known): &(&Table, &baseline::Table)| {
        let format = contents.formats.get(&table.oid);
        known.is_rewritten(format.map_or(0, |format| format.filenode))
    };
    let others = landed
        .iter()
        .filter(|one| is_redefined(one.1) || is_rewritten(one))
        .map(|(table, _)| table.oid)
        .collect();
    Ok((meanings, others))
}

/// The unit's foreign keys, with both ends.
async fn keys(source: &Session, unit: &Unit<'_>) -> Result<Vec<Key>, Error> {
    let sql = include_str!("sql/ends.sql");
    let rows = source
        .query("list foreign keys", sql, &[&unit.config.schemas.names()])
        .await?;
    let set = |row: &tokio_postgres::Row, name: &str| row.get::<_, Vec<u32>>(name).into_iter().collect();
    Ok(rows
        .iter()
        .map(|row| Key {
            oid: row.get("oid"),
            children: set(row, "children"),
            parents: set(row, "parents"),
        })
        .collect())
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
