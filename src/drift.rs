//! The command `drift`: what the source has written since the load of a unit, told exactly by what that has noted.

use std::collections::BTreeMap;

use crate::baseline::{
    self, Baseline, Definitions, Fingerprint, Moment, Noted, Origin, Rows, Verdict, scan, verdict,
};
use crate::catalogue::{self, Table};
use crate::config::Config;
use crate::error::{Error, Refused, Side};
use crate::ledger::{self, Load, LoadState};
use crate::lock;
use crate::progress::{Phase, Progress};
use crate::server::Sides;
use crate::server::session::Session;
use crate::shutdown::Shutdown;
use crate::unit::{Early, Reached, Unit};
use crate::word::Word as _;
use crate::written::landed;

/// Tells what has been written, and changes nothing: anything that was is a difference.
pub(crate) async fn drift(config: &Config, shutdown: &Shutdown, progress: &Progress) -> Result<(), Error> {
    let told = async {
        let reached = Box::pin(Reached::connect(config, progress)).await?;
        let (unit, sessions) = Box::pin(reached.begin()).await?;
        tokio::select! {
            biased;
            never = unit.watch(shutdown, progress) => match never {},
            ended = Box::pin(line(&unit, &sessions, progress)) => ended,
        }
    };
    shutdown.guard(told).await
}

async fn line(unit: &Unit<'_>, sessions: &Sides<Session>, progress: &Progress) -> Result<(), Error> {
    let (config, target) = (unit.config, &sessions.target);
    progress.enter(Phase::Lock);
    lock::refuse_held(target, &config.schemas).await?;
    catalogue::refuse_missing(&sessions.source, &config.schemas).await?;
    let is_whole = |load: &Load| matches!(load.state, LoadState::Complete | LoadState::Sealed);
    let loads = ledger::of_unit(target, &config.schemas, is_whole).await?;
    let loads = loads.map_err(|why| Error::Refused(Refused::config(Side::Target, why.reason, why.hint)))?;
    let noted = loads.iter().find_map(Load::baseline);
    let unknown = || Noted::Unknown("it was loaded by an earlier release".to_owned());
    let baseline = match noted.unwrap_or_else(unknown) {
        Noted::Known(baseline) => baseline,
        Noted::Unknown(reason) => {
            return Err(Error::Differ(vec![format!(
                "what the source has written since the load cannot be told: {reason}"
            )]));
        }
    };
    for (schema, load) in config.schemas.iter().zip(&loads) {
        if let Some(oid) = load.schema_oid {
            for change in load.differences(target, oid).await? {
                tracing::warn!(
                    schema = schema.as_str(),
                    change,
                    "the target is not as the load left it"
                );
            }
        }
    }

    progress.enter(Phase::Snapshot);
    let endpoints = unit.endpoints(sessions).map_err(Error::Refused)?;
    let early = unit.read_early(&endpoints.source).await?;

    progress.enter(Phase::Verify);
    let differences = compare((unit, sessions), early, &baseline, progress).await?;
    lock::refuse_held(target, &config.schemas).await?;
    Error::unless_equal(differences)
}

/// Everything that differs from what the load has noted, under one snapshot.
async fn compare(
    (unit, sessions): (&Unit<'_>, &Sides<Session>),
    early: Early,
    baseline: &Baseline,
    progress: &Progress,
) -> Result<Vec<String>, Error> {
    let Early { snapshot, dump, .. } = early;
    let source = &snapshot.session;
    let (before, schemas) = (&baseline.contents, &unit.config.schemas);
    let origin = Origin::read(&sessions.source).await?;
    let (tables, sequences) = tokio::try_join!(
        catalogue::tables(source, schemas),
        catalogue::sequences(source, schemas)
    )?;
    let moment = Moment::of(&snapshot.mark);
    let estranged = match &origin {
        Ok(origin) => before.place.estranged(origin, &moment).map(str::to_owned),
        Err(reason) => Some(reason.clone()),
    };
    if let Some(reason) = estranged {
        return Ok(vec![format!(
            "what the source has written since the load cannot be told: {reason}"
        )]);
    }

    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let known: BTreeMap<u32, &baseline::Table> =
        before.tables.iter().map(|table| (table.oid, table)).collect();
    let scanned: Vec<(&Table, String)> = tables
        .iter()
        .filter(|table| known.contains_key(&table.oid))
        .map(|table| (table, before.place.moment.has_row()))
        .collect();
    let readers = snapshot
        .readers(&unit.servers.source, &unit.names, unit.config)
        .await?;
    let scanning: Vec<&Session> = std::iter::once(source).chain(&readers).collect();
    let target_side = (unit, &sessions.target);
    let (fingerprints, rows, archive, ()) = tokio::try_join!(
        baseline::fingerprints(source, &oids),
        scan::rows(&scanning, &scanned, 0, progress),
        dump.finish(),
        warn_of_strangers(target_side, (&tables, &known), &baseline.loads, progress)
    )?;
    let now = Definitions::of(&archive);
    drop(readers);
    // What was scanned by name has to be what was listed.
    snapshot.release().await?;
    let found = Found {
        tables: &tables,
        fingerprints: fingerprints.iter().map(|one| (one.oid, one)).collect(),
        rows: rows.into_iter().map(|(oid, found)| (oid, found.rows)).collect(),
    };
    let mut differences = found.judge(&known);
    differences.extend(verdict::sequences(&before.sequences, &sequences));
    differences.extend(verdict::definitions(&baseline.definitions, &now));
    Ok(differences)
}

/// Warns of tables on the target whose rows are not exactly those that loads of ours have written.
async fn warn_of_strangers(
    (unit, target): (&Unit<'_>, &Session),
    (tables, known): (&[Table], &BTreeMap<u32, &baseline::Table>),
    loads: &[i64],
    progress: &Progress,
) -> Result<(), Error> {
    let both: Vec<(&Table, &baseline::Table)> = tables
        .iter()
        .filter_map(|table| Some((table, *known.get(&table.oid)?)))
        .collect();
    let told = landed::written_by_others((unit, target), &both, loads, progress).await?;
    for table in told.strange {
        let change = format!("rows of {} are not those that were loaded", table.quoted());
        let schema = &table.schema;
        tracing::warn!(schema, change, "the target is not as the load left it");
    }
    Ok(())
}

/// What the source holds now.
struct Found<'a> {
    tables: &'a [Table],
    fingerprints: BTreeMap<u32, &'a Fingerprint>,
    /// Of the tables that were there at the load.
    rows: BTreeMap<u32, Rows>,
}

impl Found<'_> {
    /// Says of each table what has become of it, and of all together what would have to travel.
    fn judge(&self, known: &BTreeMap<u32, &baseline::Table>) -> Vec<String> {
        let mut differences = Vec::new();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut bytes, mut all) = (0, 0);
        for table in self.tables {
            let rows = self.rows.get(&table.oid).copied().unwrap_or_default();
            let verdict = known.get(&table.oid).map_or(Verdict::New, |before| {
                let now = self.fingerprints.get(&table.oid);
                Verdict::of(before, now.map(|fingerprint| (fingerprint.hash.as_str(), rows)))
            });
            let moves = verdict.bytes(table.size_bytes, rows);
            record(&table.relation.plain(), &verdict, rows.new, moves);
            *counts.entry(verdict.word()).or_default() += 1;
            bytes += moves;
            all += table.size_bytes;
            differences.extend(verdict.text(&table.relation));
        }
        let here: BTreeMap<u32, &Table> = self.tables.iter().map(|table| (table.oid, table)).collect();
        for before in known.values().filter(|before| !here.contains_key(&before.oid)) {
            record(&before.relation.plain(), &Verdict::Gone, 0, 0);
            *counts.entry(Verdict::Gone.word()).or_default() += 1;
            differences.extend(Verdict::Gone.text(&before.relation));
        }
        tracing::info!(
            phase = Phase::Verify.word(),
            tables = serde_json::json!(counts).to_string(),
            bytes,
            size = all,
            "drift told"
        );
        differences
    }
}

fn record(table: &str, verdict: &Verdict, rows: u64, bytes: u64) {
    let (phase, found) = (Phase::Verify.word(), verdict.word());
    if *verdict == Verdict::Unchanged {
        tracing::debug!(phase, table, found, "table compared");
    } else {
        tracing::info!(phase, table, found, rows, bytes, "table compared");
    }
}
