//! Runs, their units and attempts, made of the ledger's rows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use strum::IntoStaticStr;

use crate::config::listed;
use crate::ledger::{self, LoadState, Refreshed};

/// Everything that was loaded under one `RUN_ID`.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: Option<String>,
    pub(super) units: Vec<Unit>,
}

/// Schemas that moved together.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Unit {
    /// As SCHEMA_NAME has it.
    pub(super) name: String,
    pub(super) schemas: Vec<String>,
    /// The word of VERIFY of the last one.
    pub(super) verify: String,
    /// In their order.
    pub(super) attempts: Vec<Attempt>,
    /// Of each schema the last attempt's row of the ledger.
    #[serde(skip)]
    pub(super) rows: BTreeMap<String, i64>,
}

/// How an attempt has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(super) enum Outcome {
    Complete,
    Failed,
    /// It was killed: it has left no word, and nobody holds its schemas.
    Lost,
    Running,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        self.into()
    }
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attempt {
    pub(super) began: Timestamp,
    /// The last sign of life of one that is lost.
    pub(super) ended: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) exit: Option<u8>,
    pub(super) reason: Option<String>,
    pub(super) differences: Vec<String>,
    pub(super) phases: Vec<Stretch>,
    pub(super) tables: u64,
    pub(super) rows: Option<u64>,
    /// As they travelled.
    pub(super) bytes: u64,
    /// Heap and TOAST on the source.
    pub(super) size: u64,
    /// Of all builds, whatever ran beside.
    pub(super) builds_s: f64,
    pub(super) slowest: Vec<Slow>,
    pub(super) not_carried: Vec<String>,
    pub(super) not_frozen: usize,
    /// Of a refresh alone: what of the unit stayed where it was.
    pub(super) refreshed: Option<Refreshed>,
    pub(super) accept_reason: Option<String>,
    /// The user of the target.
    pub(super) user: Option<String>,
    /// The source's address.
    pub(super) source: String,
    /// Its first row of the ledger.
    #[serde(skip)]
    row: i64,
}

/// A phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Stretch {
    pub(super) phase: String,
    pub(super) began: Timestamp,
    pub(super) seconds: f64,
}

/// One of the slowest tables.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Slow {
    pub(super) table: String,
    pub(super) rows: Option<u64>,
    pub(super) bytes: u64,
    pub(super) began: Option<Timestamp>,
    pub(super) seconds: f64,
}

/// How many units were at work from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub(super) at: Timestamp,
    pub(super) units: usize,
}

/// What the times add up to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Facts {
    /// The unit that has ended last.
    pub(super) critical: String,
    /// So much earlier all would have ended without it.
    pub(super) critical_s: f64,
    /// Units at once at most.
    pub(super) places: usize,
    /// Share of the places' time in which nothing was at work, from 0 to 1.
    pub(super) idle: f64,
    /// Share of the units' time in which indexes and constraints were built after the last row, from 0 to 1.
    pub(super) built: f64,
    /// Seconds of all builds, whatever ran beside.
    pub(super) builds_s: f64,
}

/// Seconds from one moment to another.
pub(super) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

fn moment(epoch_s: f64) -> Timestamp {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "milliseconds of any time that a ledger tells"
    )]
    let ms = (epoch_s * 1000.0).round() as i64;
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Attempt {
    /// Of the rows of one attempt.
    fn of(rows: &[&ledger::Attempt], is_running: bool) -> Option<Self> {
        let first = rows.first()?;
        let (summary, variables) = (&first.summary, &first.variables);
        // Its rows were made when the phase `clear` had begun.
        let before = summary
            .phases
            .iter()
            .take_while(|stretch| stretch.phase != "clear");
        let before: f64 = before.map(|stretch| stretch.elapsed_ms).sum();
        let knows_clear = summary.phases.iter().any(|stretch| stretch.phase == "clear");
        let began = first.started - if knows_clear { before / 1000.0 } else { 0.0 };
        let updated = rows.iter().map(|row| row.updated).fold(began, f64::max);
        let ended = summary
            .totals
            .elapsed_ms
            .map_or(updated, |elapsed| began + elapsed / 1000.0);
        let is_complete =
            |row: &&ledger::Attempt| matches!(row.state, LoadState::Complete | LoadState::Sealed);
        let outcome = if rows.iter().all(is_complete) {
            Outcome::Complete
        } else if summary.exit.is_some() {
            Outcome::Failed
        } else if is_running {
            Outcome::Running
        } else {
            Outcome::Lost
        };
        let mut at = began;
        let phases = summary.phases.iter().map(|stretch| {
            let seconds = stretch.elapsed_ms / 1000.0;
            at += seconds;
            Stretch {
                phase: stretch.phase.clone(),
                began: moment(at - seconds),
                seconds,
            }
        });
        let slowest = summary.slowest.iter().map(|slow| Slow {
            table: slow.table.clone(),
            rows: slow.rows,
            bytes: slow.bytes,
            began: slow.begun_ms.map(|begun| moment(began + begun / 1000.0)),
            seconds: slow.elapsed_ms / 1000.0,
        });
        Some(Self {
            began: moment(began),
            ended: moment(ended),
            outcome,
            exit: summary.exit,
            reason: summary.reason.clone(),
            differences: summary.differences.clone(),
            phases: phases.collect(),
            tables: summary.totals.tables,
            rows: summary.totals.rows,
            bytes: summary.totals.bytes,
            size: summary.totals.size,
            builds_s: first.builds_ms / 1000.0,
            slowest: slowest.collect(),
            not_carried: summary.not_carried.clone(),
            not_frozen: summary.not_frozen.len(),
            refreshed: summary.refreshed,
            accept_reason: variables.accept_reason.clone(),
            user: variables.user.clone(),
            source: first.source.clone(),
            row: first.id,
        })
    }

    pub(super) fn seconds(&self) -> f64 {
        seconds(self.began, self.ended)
    }
}

impl Unit {
    /// The last attempt.
    pub(super) fn last(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// The last attempt, where it is complete.
    pub(super) fn complete(&self) -> Option<&Attempt> {
        self.last().filter(|attempt| attempt.outcome == Outcome::Complete)
    }
}

impl Run {
    pub(super) fn attempts(&self) -> impl Iterator<Item = (&Unit, &Attempt)> {
        self.units
            .iter()
            .flat_map(|unit| unit.attempts.iter().map(move |attempt| (unit, attempt)))
    }

    pub(super) fn schemas(&self) -> BTreeSet<&str> {
        let schemas = self.units.iter().flat_map(|unit| &unit.schemas);
        schemas.map(String::as_str).collect()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.units.iter().all(|unit| unit.complete().is_some())
    }

    /// When the first attempt has begun and the last one ended.
    pub(super) fn bounds(&self) -> Option<(Timestamp, Timestamp)> {
        let began = self.attempts().map(|(_, attempt)| attempt.began).min()?;
        let ended = self.attempts().map(|(_, attempt)| attempt.ended).max()?;
        Some((began, ended))
    }

    /// Leaves the units with one of these schemas; all where none is named.
    pub(super) fn only(&mut self, schemas: &[&str]) {
        if !schemas.is_empty() {
            self.units.retain(|unit| {
                unit.schemas
                    .iter()
                    .any(|schema| schemas.contains(&schema.as_str()))
            });
        }
    }

    /// How many were at work from moment to moment.
    pub(super) fn concurrency(&self) -> Vec<Step> {
        let mut changes: BTreeMap<Timestamp, isize> = BTreeMap::new();
        for (_, attempt) in self.attempts() {
            *changes.entry(attempt.began).or_default() += 1;
            *changes.entry(attempt.ended).or_default() -= 1;
        }
        let mut units = 0_usize;
        let mut steps: Vec<Step> = Vec::new();
        for (at, change) in changes {
            units = units.saturating_add_signed(change);
            if steps.last().is_none_or(|last| last.units != units) {
                steps.push(Step { at, units });
            }
        }
        steps
    }

    pub(super) fn facts(&self) -> Option<Facts> {
        let (began, ended) = self.bounds()?;
        let critical = self
            .units
            .iter()
            .max_by_key(|unit| unit.last().map(|last| last.ended))?;
        let others = self.units.iter().filter(|unit| unit.name != critical.name);
        let before = others
            .filter_map(|unit| Some(unit.last()?.ended))
            .max()
            .unwrap_or(began);
        let busy: f64 = self.attempts().map(|(_, attempt)| attempt.seconds()).sum();
        let places = self.concurrency().iter().map(|step| step.units).max()?;
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let offered = places as f64 * seconds(began, ended);
        let phases = self.attempts().flat_map(|(_, attempt)| &attempt.phases);
        let built = phases.filter(|stretch| stretch.phase == "post-data");
        let built: f64 = built.map(|stretch| stretch.seconds).sum();
        let share = |part: f64, whole: f64| {
            if whole > 0.0 {
                (part / whole).clamp(0.0, 1.0)
            } else {
                0.0
            }
        };
        Some(Facts {
            critical: critical.name.clone(),
            critical_s: seconds(before, ended),
            places,
            idle: share(offered - busy, offered),
            built: share(built, busy),
            builds_s: self.attempts().map(|(_, attempt)| attempt.builds_s).sum(),
        })
    }
}

/// Every run, in the order of their first rows. `held`: schemas that a worker is at. Loads without `RUN_ID` are one run, of
/// each unit what follows its last but one complete load.
pub(super) fn runs(rows: &[ledger::Attempt], held: &BTreeSet<String>) -> Vec<Run> {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for row in rows {
        newest.insert(&row.schema, row.id);
    }
    let mut by_run: Vec<(Option<String>, Vec<&ledger::Attempt>)> = Vec::new();
    for row in rows {
        match by_run.iter_mut().find(|(id, _)| *id == row.run_id) {
            Some((_, of_run)) => of_run.push(row),
            None => by_run.push((row.run_id.clone(), vec![row])),
        }
    }
    // The newest run is the one with the newest row.
    by_run.sort_by_key(|(_, rows)| rows.last().map(|row| row.id));
    let is_running = |rows: &[&ledger::Attempt]| {
        rows.iter()
            .any(|row| held.contains(&row.schema) && newest.get(row.schema.as_str()) == Some(&row.id))
    };
    by_run
        .into_iter()
        .map(|(id, rows)| {
            let mut units = units(&rows, is_running);
            if id.is_none() {
                units.iter_mut().for_each(only_the_last_load);
            }
            Run { id, units }
        })
        .collect()
}

fn units(rows: &[&ledger::Attempt], is_running: impl Fn(&[&ledger::Attempt]) -> bool) -> Vec<Unit> {
    let mut attempts: Vec<Vec<&ledger::Attempt>> = Vec::new();
    for row in rows {
        match attempts
            .iter_mut()
            .find(|of_attempt| of_attempt.iter().any(|other| other.name == row.name))
        {
            Some(of_attempt) => of_attempt.push(row),
            None => attempts.push(vec![row]),
        }
    }
    let mut units: Vec<Unit> = Vec::new();
    for rows in attempts {
        let (Some(first), Some(attempt)) = (rows.first(), Attempt::of(&rows, is_running(&rows))) else {
            continue;
        };
        let mut schemas = first.variables.schema_name.clone();
        if schemas.is_empty() {
            schemas.push(first.schema.clone());
        }
        let name = listed(schemas.iter().map(String::as_str));
        let position = units.iter().position(|unit| unit.name == name);
        let position = position.unwrap_or(units.len());
        if position == units.len() {
            units.push(Unit {
                name,
                schemas,
                verify: String::new(),
                attempts: Vec::new(),
                rows: BTreeMap::new(),
            });
        }
        let Some(unit) = units.get_mut(position) else {
            continue;
        };
        unit.verify.clone_from(&first.variables.verify);
        unit.attempts.push(attempt);
        unit.rows
            .extend(rows.iter().map(|row| (row.schema.clone(), row.id)));
    }
    // What has moved in another unit since is told there.
    let mut newest: BTreeMap<String, i64> = BTreeMap::new();
    for (schema, row) in units.iter().flat_map(|unit| &unit.rows) {
        let known = newest.entry(schema.clone()).or_insert(*row);
        *known = (*known).max(*row);
    }
    units.retain(|unit| {
        unit.rows
            .iter()
            .any(|(schema, row)| newest.get(schema) == Some(row))
    });
    units
}

/// Leaves the last complete load and what has come after the one before it.
fn only_the_last_load(unit: &mut Unit) {
    let complete = |attempt: &Attempt| attempt.outcome == Outcome::Complete;
    let Some((_, earlier)) = unit.attempts.split_last() else {
        return;
    };
    let begins = earlier.iter().rposition(complete).map_or(0, |last| last + 1);
    unit.attempts.drain(..begins);
}

/// The complete load of a unit before its run.
#[derive(Debug, Clone)]
pub(super) struct Previous {
    pub(super) run: Option<String>,
    pub(super) attempt: Attempt,
    /// Of each schema its row of the ledger.
    pub(super) rows: BTreeMap<String, i64>,
}

/// What a unit's load before its run has left.
pub(super) fn previous(rows: &[ledger::Attempt], unit: &Unit) -> Option<Previous> {
    let begins = unit.attempts.first()?.row;
    let is_complete = |row: &&ledger::Attempt| {
        row.id < begins
            && matches!(row.state, LoadState::Complete | LoadState::Sealed)
            && row.variables.schema_name == unit.schemas
    };
    let newest = rows.iter().rev().find(is_complete)?;
    let of_attempt: Vec<&ledger::Attempt> = rows.iter().filter(|row| row.name == newest.name).collect();
    Some(Previous {
        run: newest.run_id.clone(),
        attempt: Attempt::of(&of_attempt, false)?,
        rows: of_attempt
            .iter()
            .map(|row| (row.schema.clone(), row.id))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A row of an attempt that has begun so many seconds after the first and taken so long; `exit`: it has failed.
    fn row(
        id: i64,
        unit: &[&str],
        run: Option<&str>,
        (began, took): (f64, f64),
        exit: Option<u8>,
    ) -> ledger::Attempt {
        let summary = json!({
            "exit": exit, "totals": {"elapsed_ms": took * 1000.0},
            "phases": [{"phase": "connect", "elapsed_ms": 1000}, {"phase": "clear", "elapsed_ms": 0},
                       {"phase": "post-data", "elapsed_ms": took * 1000.0 - 1000.0}],
        });
        ledger::Attempt {
            id,
            schema: unit.first().copied().unwrap_or_default().to_owned(),
            state: if exit.is_some() {
                LoadState::Loading
            } else {
                LoadState::Complete
            },
            run_id: run.map(str::to_owned),
            name: id.to_string(),
            source: "here".to_owned(),
            variables: serde_json::from_value(json!({"SCHEMA_NAME": unit, "VERIFY": "rows"})).unwrap(),
            summary: serde_json::from_value(summary).unwrap(),
            builds_ms: 500.0,
            // The row is made after a second of the phase `connect`.
            started: 1000.0 + began + 1.0,
            updated: 1000.0 + began + took,
        }
    }

    fn outcomes(unit: &Unit) -> Vec<Outcome> {
        unit.attempts.iter().map(|attempt| attempt.outcome).collect()
    }

    #[test]
    fn times_of_two_places_add_up() {
        // a: 0 to 100, b: 0 to 40, c: 40 to 60.
        let rows = [
            row(1, &["a"], Some("r"), (0.0, 100.0), None),
            row(2, &["b"], Some("r"), (0.0, 40.0), None),
            row(3, &["c"], Some("r"), (40.0, 20.0), None),
        ];
        let runs = runs(&rows, &BTreeSet::new());
        let run = runs.last().unwrap();
        let at = |second: i64| Timestamp::from_second(1000 + second).unwrap();
        assert_eq!(run.bounds(), Some((at(0), at(100))));
        let steps: Vec<(Timestamp, usize)> = run
            .concurrency()
            .iter()
            .map(|step| (step.at, step.units))
            .collect();
        assert_eq!(steps, [(at(0), 2), (at(60), 1), (at(100), 0)]);
        let facts = run.facts().unwrap();
        assert_eq!(
            (facts.critical.as_str(), facts.critical_s, facts.places),
            ("a", 40.0, 2)
        );
        assert!(
            (facts.idle - 0.2).abs() < 1e-9 && (facts.built - 157.0 / 160.0).abs() < 1e-9,
            "{facts:?}"
        );
        assert!((facts.builds_s - 1.5).abs() < 1e-9);
    }

    #[test]
    fn loads_without_a_run_are_the_last_of_each_unit() {
        let rows = [
            row(1, &["a"], None, (0.0, 5.0), None),
            row(2, &["a"], None, (10.0, 5.0), Some(75)),
            row(3, &["a"], None, (20.0, 5.0), None),
            row(4, &["b"], None, (30.0, 5.0), Some(65)),
            row(5, &["a"], Some("named"), (40.0, 5.0), None),
        ];
        let runs = runs(&rows, &BTreeSet::new());
        let ids: Vec<Option<&str>> = runs.iter().map(|run| run.id.as_deref()).collect();
        assert_eq!(ids, [None, Some("named")]);
        let [a, b] = &runs[0].units[..] else {
            panic!("{runs:?}")
        };
        assert_eq!(outcomes(a), [Outcome::Failed, Outcome::Complete]);
        assert_eq!(outcomes(b), [Outcome::Failed]);
        assert_eq!(previous(&rows, a).unwrap().rows["a"], 1);
        assert_eq!(previous(&rows, &runs[1].units[0]).unwrap().rows["a"], 3);
        assert!(previous(&rows, b).is_none());
    }

    #[test]
    fn who_has_left_no_word_is_lost_unless_a_worker_is_at_it() {
        let mut silent = row(2, &["a"], Some("r"), (10.0, 5.0), None);
        silent.state = LoadState::Loading;
        silent.summary = serde_json::from_value(json!({})).unwrap();
        let mut earlier = silent.clone();
        (earlier.id, earlier.name) = (1, "1".to_owned());
        let rows = [earlier, silent];
        for (held, last) in [
            (&[][..], Outcome::Lost),
            (&["a".to_owned()][..], Outcome::Running),
        ] {
            let runs = runs(&rows, &held.iter().cloned().collect());
            assert_eq!(outcomes(&runs[0].units[0]), [Outcome::Lost, last]);
        }
    }

    /// A unit that was put together otherwise within a run stands for its schemas.
    #[test]
    fn a_schema_is_told_where_it_was_loaded_last() {
        let mut together = row(3, &["a", "b"], Some("r"), (20.0, 5.0), None);
        let rows = [
            row(1, &["a"], Some("r"), (0.0, 5.0), Some(78)),
            together.clone(),
            {
                (together.id, together.schema) = (4, "b".to_owned());
                together
            },
        ];
        let runs = runs(&rows, &BTreeSet::new());
        let names: Vec<&str> = runs[0].units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["a,b"]);
        assert!(runs[0].is_complete());
    }
}
