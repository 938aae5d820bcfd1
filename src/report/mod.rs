//! The command `report`: what a run has come to by the ledger, whether to go, and what both servers say of it now.

mod decision;
mod html;
mod mail;
mod outside;
mod runs;
mod sentences;
mod standing;
mod text;
mod trace;

pub(crate) use runs::Unit;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::aws::bucket::{self, Object};
use crate::clock::{Clock, Window};
use crate::config::{Config, SchemaName, Schemas};
use crate::credentials;
use crate::error::{Error, Refused, Side};
use crate::ledger;
use crate::lock;
use crate::log;
use crate::progress::{Phase, Progress};
use crate::report::decision::Decision;
use crate::report::outside::Item;
use crate::report::runs::{Facts, Run, Step, seconds};
use crate::report::standing::{Left, Source, Standing, Target, Untouched};
use crate::server::Server;
use crate::server::session::Session;
use crate::shutdown::Shutdown;
use crate::watchdog::{self, Control};
use crate::word::Word as _;

/// Runs of which a spread is told.
const SPREAD_OF: usize = 3;

/// What a report is to be measured by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportOptions {
    pub(crate) window: Option<Window>,
    pub(crate) clock: Clock,
}

/// A report: what is rendered, whatever the format.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    run: Option<String>,
    /// Addresses.
    target: String,
    source: Option<String>,
    made_at: Timestamp,
    #[serde(rename = "time_zone")]
    clock: Clock,
    decision: Decision,
    ends: Option<Ends>,
    retry: Option<Retry>,
    evidence: Vec<Level>,
    untouched: Vec<SourceOfUnit>,
    not_carried: Vec<NotCarried>,
    deferred: Vec<Left>,
    since: Vec<Change>,
    outside: Vec<Item>,
    facts: Option<Facts>,
    concurrency: Vec<Step>,
    units: Vec<Unit>,
}

/// When the loads end, and whether that is in time.
#[derive(Debug, Clone, Serialize)]
struct Ends {
    began: Timestamp,
    ended: Timestamp,
    /// Whether every unit is complete.
    complete: bool,
    window: Option<Timestamp>,
    /// Negative where it has ended after the window; `None` where it has not ended.
    reserve_s: Option<f64>,
    /// The last complete runs that have brought all of these schemas, newest first, and how long they took.
    runs: Vec<Took>,
    /// What would be left of the window after the longest of three; `None` where there are fewer.
    worst_reserve_s: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
struct Took {
    run: Option<String>,
    seconds: f64,
}

/// The point of no return.
#[derive(Debug, Clone, Serialize)]
struct Retry {
    /// The unit that takes longest.
    unit: String,
    seconds: f64,
    /// When another attempt has to begin to end within the window.
    last_start: Option<Timestamp>,
}

/// What was compared as far as one word of VERIFY says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Level {
    verify: String,
    schemas: usize,
    rows: u64,
    /// Heap and TOAST on the source.
    bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
struct SourceOfUnit {
    unit: String,
    untouched: Untouched,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct NotCarried {
    unit: String,
    what: String,
}

/// What has become of a unit since the complete load before this run.
#[derive(Debug, Clone, Serialize)]
struct Change {
    unit: String,
    /// What the load before has left; `None` where there was none.
    before: Option<Before>,
    seconds: Option<f64>,
    rows: Option<u64>,
    size: Option<u64>,
    attempts: usize,
    /// Why more than one attempt was needed.
    again: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Before {
    run: Option<String>,
    seconds: f64,
    rows: Option<u64>,
    size: u64,
    /// Definitions that are not as they were then.
    changed: Vec<String>,
}

/// What both servers have answered.
struct Asked {
    standings: BTreeMap<String, Standing>,
    left: Vec<Left>,
    /// Of each unit, in the run's order.
    untouched: Vec<Untouched>,
    outside: Vec<Item>,
    /// Schemas that the run should have brought.
    missing: BTreeSet<String>,
    /// Schemas of the source, or of the run before, that it has not.
    beside: BTreeSet<String>,
}

/// Reports on the run of `RUN_ID`, or on the newest.
pub(crate) async fn report(
    config: &Config,
    shutdown: &Shutdown,
    progress: &Progress,
    options: ReportOptions,
) -> Result<Report, Error> {
    let made = async {
        progress.enter(Phase::Connect);
        let reached = Box::pin(reach(config)).await?;
        let sides = [Some(&reached.target), reached.source.as_ref()];
        let controls = watchdog::beside("report", &sides).await?;
        let controls: Vec<&Control> = controls.iter().collect();
        tokio::select! {
            biased;
            never = watchdog::watch(&controls, config, progress, shutdown) => match never {},
            read = Box::pin(read(config, reached, progress, options)) => read,
        }
    };
    shutdown.guard(Box::pin(made)).await
}

/// Both servers where both are given.
struct Reached {
    target: (Server, Session),
    source: Option<(Server, Session)>,
}

async fn reach(config: &Config) -> Result<Reached, Error> {
    let open = async |server: &Server| Session::open(server, "sf/report", config.lock_timeout).await;
    let source = async {
        if !config.source.is_given() {
            return Ok(None);
        }
        credentials::connect(&config.source, Side::Source, open)
            .await
            .map(Some)
    };
    let (target, source) =
        tokio::try_join!(credentials::connect(&config.target, Side::Target, open), source)?;
    Ok(Reached { target, source })
}

async fn read(
    config: &Config,
    reached: Reached,
    progress: &Progress,
    options: ReportOptions,
) -> Result<Report, Error> {
    let Reached {
        target: (server, target),
        source,
    } = reached;
    progress.enter(Phase::Preflight);
    let rows = ledger::attempts(&target).await?;
    let runs = runs::runs(&rows, &held(&target, &rows).await?);
    let (run, runs) = choose(config, &runs)?;

    progress.enter(Phase::Verify);
    let standing = Target::read(&target, &run).await?;
    let schemas = run.schemas();
    let schemas: Schemas = schemas
        .into_iter()
        .map(|schema| SchemaName::of_ledger(schema.to_owned()))
        .collect();
    let now = match &source {
        Some((server, session)) => Some(Source::read(session, server.address(), &schemas).await?),
        None => None,
    };
    let sides = async {
        let there = outside::Side::read(&target).await?;
        let here = match &source {
            Some((_, session)) => Some(outside::Side::read(session).await?),
            None => None,
        };
        Ok::<_, Error>(outside::compare(here.as_ref(), &there))
    };
    let untouched = run.units.iter().map(|unit| match &now {
        Some(now) => now.untouched(unit, &standing),
        None => Untouched::Unknown("the source was not asked".to_owned()),
    });
    let asked = Asked {
        untouched: untouched.collect(),
        outside: sides.await?,
        missing: missing(config, &run),
        beside: beside(config, &run, runs, now.as_ref()),
        standings: standing.standings,
        left: standing.left,
    };
    let since = since(&target, &rows, &run).await?;
    let addresses = (server.address(), now.map(|now| now.address));
    let report = Report::new(run, runs, asked, (since, addresses, options));
    report.record();
    Ok(report)
}

/// The run that is asked for, or the newest one of the schemas that are, and those before it. One that has left no row has brought
/// none of them.
fn choose<'a>(config: &Config, runs: &'a [Run]) -> Result<(Run, &'a [Run]), Error> {
    let asked = config.schemas.names();
    let is_it = |run: &Run| {
        let has_one = asked.is_empty() || asked.iter().any(|schema| run.schemas().contains(schema));
        has_one && (config.run_id.is_none() || config.run_id == run.id)
    };
    if let Some((before, [run, ..])) = runs
        .iter()
        .rposition(is_it)
        .and_then(|at| runs.split_at_checked(at))
    {
        let mut run = run.clone();
        run.only(&asked);
        return Ok((run, before));
    }
    if !asked.is_empty() && config.run_id.is_some() {
        let run = Run {
            id: config.run_id.clone(),
            units: Vec::new(),
        };
        return Ok((run, runs));
    }
    Err(Error::Refused(Refused::config(
        Side::Target,
        "the ledger holds no load to report on",
        "correct RUN_ID or TARGET_DBNAME",
    )))
}

/// Schemas of the ledger that a worker is at.
async fn held(target: &Session, rows: &[ledger::Attempt]) -> Result<BTreeSet<String>, Error> {
    let is_open = |row: &&ledger::Attempt| {
        matches!(
            row.state,
            ledger::LoadState::Clearing | ledger::LoadState::Loading
        ) && row.summary.exit.is_none()
    };
    let open: BTreeSet<&str> = rows
        .iter()
        .filter(is_open)
        .map(|row| row.schema.as_str())
        .collect();
    let mut held = BTreeSet::new();
    for schema in open {
        let name = SchemaName::of_ledger(schema.to_owned());
        if lock::worker(target, &name).await?.is_some() {
            held.insert(schema.to_owned());
        }
    }
    Ok(held)
}

fn missing(config: &Config, run: &Run) -> BTreeSet<String> {
    let brought = run.schemas();
    let asked = config.schemas.names().into_iter();
    asked
        .filter(|schema| !brought.contains(schema))
        .map(str::to_owned)
        .collect()
}

/// Where no schemas are asked for: what the run before has brought or the source has, and this run has not.
fn beside(config: &Config, run: &Run, earlier: &[Run], source: Option<&Source>) -> BTreeSet<String> {
    if !config.schemas.is_empty() {
        return BTreeSet::new();
    }
    let brought = run.schemas();
    let before = earlier.last().into_iter().flat_map(Run::schemas);
    let there = source.into_iter().flat_map(|source| &source.schemas);
    before
        .chain(there.map(String::as_str))
        .filter(|schema| !brought.contains(schema))
        .map(str::to_owned)
        .collect()
}

/// What has become of each unit since the load before.
async fn since(target: &Session, rows: &[ledger::Attempt], run: &Run) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for unit in &run.units {
        let before = match runs::previous(rows, unit) {
            None => None,
            Some(previous) => {
                let mut definitions = Vec::new();
                let complete = unit.rows.iter().filter(|_| unit.complete().is_some());
                for (schema, now) in complete {
                    if let Some(then) = previous.rows.get(schema) {
                        definitions.extend(ledger::changed_between(target, *then, *now).await?);
                    }
                }
                Some(Before {
                    run: previous.run,
                    seconds: previous.attempt.seconds(),
                    rows: previous.attempt.rows,
                    size: previous.attempt.size,
                    changed: definitions,
                })
            }
        };
        let complete = unit.complete();
        let earlier = unit.attempts.split_last().map_or(&[][..], |(_, earlier)| earlier);
        changes.push(Change {
            unit: unit.name.clone(),
            before,
            seconds: complete.map(runs::Attempt::seconds),
            rows: complete.and_then(|last| last.rows),
            size: complete.map(|last| last.size),
            attempts: unit.attempts.len(),
            again: earlier.iter().map(sentences::why_again).collect(),
        });
    }
    Ok(changes)
}

impl Report {
    /// Of a run, and of those before it.
    fn new(
        run: Run,
        before: &[Run],
        asked: Asked,
        (since, (target, source), options): (Vec<Change>, (String, Option<String>), ReportOptions),
    ) -> Self {
        let ends = ends(&run, before, &options);
        let decision = decision::decide(&run, &asked, ends.as_ref());
        let complete = || run.units.iter().filter_map(|unit| Some((unit, unit.complete()?)));
        let not_carried = complete().flat_map(|(unit, last)| {
            let notes = last.not_carried.iter();
            notes
                .filter(|note| !decision::is_accepted(note))
                .map(|note| NotCarried {
                    unit: unit.name.clone(),
                    what: note.clone(),
                })
        });
        let untouched = run.units.iter().zip(asked.untouched);
        let untouched = untouched.map(|(unit, untouched)| SourceOfUnit {
            unit: unit.name.clone(),
            untouched,
        });
        Self {
            target,
            source,
            made_at: Timestamp::now(),
            retry: retry(&run, ends.as_ref()),
            evidence: evidence(&run),
            untouched: untouched.collect(),
            not_carried: not_carried.collect(),
            deferred: asked.left,
            since,
            outside: asked.outside,
            facts: run.facts(),
            concurrency: run.concurrency(),
            decision,
            ends,
            clock: options.clock,
            run: run.id,
            units: run.units,
        }
    }

    /// For machines: all of it.
    pub(crate) fn json(&self) -> Result<String, Error> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| Error::Internal(format!("the report is no JSON: {error}")))?;
        let lines = json.lines().map(log::without_controls);
        Ok(lines.collect::<Vec<_>>().join("\n") + "\n")
    }

    /// Puts it into a bucket, for people and for machines.
    pub(crate) async fn put(&self, bucket: &str) -> Result<(), Error> {
        let name = format!(
            "report-{}{}",
            self.run.as_ref().map(|run| format!("{run}-")).unwrap_or_default(),
            self.made_at.strftime("%Y%m%dT%H%M%SZ")
        );
        let objects = [
            ("html", "text/html; charset=utf-8", self.html()),
            ("json", "application/json", self.json()?),
        ];
        for (suffix, content_type, text) in objects {
            let key = format!("{name}.{suffix}");
            let object = Object {
                key,
                content_type,
                text,
            };
            bucket::put(bucket, &object).await?;
            tracing::info!(
                phase = Phase::Complete.word(),
                bucket,
                key = object.key,
                "report put"
            );
        }
        Ok(())
    }

    fn record(&self) {
        let decision = &self.decision;
        tracing::info!(
            phase = Phase::Verify.word(),
            run = self.run,
            verdict = decision.verdict.words(),
            units = self.units.len(),
            reasons = decision.reasons.len(),
            "reported"
        );
    }
}

fn ends(run: &Run, before: &[Run], options: &ReportOptions) -> Option<Ends> {
    let (began, ended) = run.bounds()?;
    let window = options
        .window
        .and_then(|window| window.end(&options.clock, began));
    let schemas = run.schemas();
    let newest_first = std::iter::once(run).chain(before.iter().rev());
    let took = newest_first.filter_map(|other| {
        let (began, ended) = other.bounds()?;
        let is_like_it = other.is_complete() && schemas.is_subset(&other.schemas());
        is_like_it.then(|| Took {
            run: other.id.clone(),
            seconds: seconds(began, ended),
        })
    });
    let runs: Vec<Took> = took.take(SPREAD_OF).collect();
    let longest = runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
    let room = window.map(|window| seconds(began, window));
    Some(Ends {
        began,
        ended,
        complete: run.is_complete(),
        window,
        reserve_s: window
            .filter(|_| run.is_complete())
            .map(|window| seconds(ended, window)),
        worst_reserve_s: room
            .filter(|_| runs.len() == SPREAD_OF)
            .map(|room| room - longest),
        runs,
    })
}

fn retry(run: &Run, ends: Option<&Ends>) -> Option<Retry> {
    let complete = run.units.iter().filter_map(|unit| Some((unit, unit.complete()?)));
    let (unit, longest) =
        complete.max_by(|(_, one), (_, other)| one.seconds().total_cmp(&other.seconds()))?;
    let takes = jiff::SignedDuration::try_from_secs_f64(longest.seconds()).ok()?;
    Some(Retry {
        unit: unit.name.clone(),
        seconds: longest.seconds(),
        last_start: ends
            .and_then(|ends| ends.window)
            .and_then(|window| window.checked_sub(takes).ok()),
    })
}

/// By what was compared, most first.
fn evidence(run: &Run) -> Vec<Level> {
    let mut levels: Vec<Level> = ["hash", "rows", "none"]
        .map(|verify| Level {
            verify: verify.to_owned(),
            schemas: 0,
            rows: 0,
            bytes: 0,
        })
        .into();
    for unit in &run.units {
        if let Some(last) = unit.complete()
            && let Some(level) = levels.iter_mut().find(|level| level.verify == unit.verify)
        {
            level.schemas += unit.schemas.len();
            level.rows += last.rows.unwrap_or(0);
            level.bytes += last.size;
        }
    }
    levels.retain(|level| level.schemas > 0);
    levels
}
