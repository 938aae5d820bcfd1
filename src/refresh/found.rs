//! What has become of a unit's tables, on the source and on the target, and what is done with each.

use std::collections::{BTreeMap, BTreeSet};

use crate::baseline::{self, Fingerprint, Ground, Meaning, Place, Rows, Scanned, Verdict, Whereabouts, scan};
use crate::catalogue::{self, Counted, Relation, Table};
use crate::copy::{Added, Kept};
use crate::error::Error;
use crate::ledger;
use crate::progress::Phase;
use crate::refresh::action::{self, Action};
use crate::refresh::base::Base;
use crate::refresh::keys::Key;
use crate::refresh::open::{self, Firing};
use crate::refresh::{Asked, Hindrance};
use crate::server::session::Session;
use crate::unit::Unit;
use crate::word::Word as _;
use crate::written::landed;

/// New rows that are read one by one where they lie scattered: each is some twelve bytes of a statement.
const LISTED_MAX: usize = 1 << 17;

/// What was found of a unit's tables on both sides, by their OIDs on the source.
pub(super) struct Found {
    fingerprints: BTreeMap<u32, Fingerprint>,
    rows: BTreeMap<u32, Scanned>,
    /// Those whose rows on the target are not the ones that were loaded.
    strange: BTreeSet<u32>,
    /// What they are on the target.
    meanings: BTreeMap<Relation, Meaning>,
    pub(super) keys: Vec<Key>,
    pub(super) firing: Vec<Firing>,
    /// What is built after the rows.
    pub(super) built: BTreeMap<(u32, u32), String>,
}

impl Found {
    pub(super) async fn read(asked: &Asked<'_, '_>, base: &Base) -> Result<Self, Hindrance> {
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
    pub(super) fn judge(
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
