//! The command `plan`: which schemas move together and in which order, what `check` says of each unit, and how long all of it
//! takes. What it makes is the input of the state machine's execution.

mod changes;
mod forecast;
mod input;
mod schedule;
mod size;
mod source;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::archive::clients;
use crate::config::{Config, Method, SchemaName, Schemas, listed};
use crate::credentials;
use crate::error::{Error, Refused, Side};
use crate::hazard::Hazard;
use crate::ledger::{self, Past};
use crate::plan::changes::Expected;
use crate::plan::forecast::{Basis, Bound, Forecast, Measured, Weight};
use crate::plan::size::Size;
use crate::plan::source::{Holds, Source};
use crate::preflight::{self, Answers, Finding, Purpose, Questions, Seen};
use crate::progress::{Phase, Progress};
use crate::rings;
use crate::server::session::Session;
use crate::server::{ApplicationName, Server, Sides};
use crate::shutdown::Shutdown;
use crate::watchdog::{self, Control};
use crate::word::Word as _;

/// Units that are asked about at once.
const UNITS_AT_ONCE: usize = 8;
/// Characters of a unit's names: with what else a request of ECS holds they stay under its 8192.
const NAMES_MAX: usize = 2400;
/// Characters of the list that `deploy/` tells every task, beside the longest names of a unit: it has to hold what others need.
const RUN_SCHEMAS_MAX: usize = 7000 - NAMES_MAX;

/// Schemas that move together.
#[derive(Debug)]
struct Unit {
    schemas: Schemas,
    holds: Holds,
    /// Foreign keys that leave it.
    leaving: u64,
    /// Units that have to be there before, and why.
    needs: BTreeMap<usize, String>,
    size: Size,
    answers: Answers,
    /// What a refresh is expected to move, where one is planned.
    expected: Option<Expected>,
}

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Plan {
    units: Vec<Unit>,
    forecast: Forecast,
    method: Method,
    has_target: bool,
    is_refresh: bool,
}

/// What is planned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanOptions {
    /// Units at once.
    pub(crate) places: usize,
    /// Refreshes instead of loads.
    pub(crate) refresh: bool,
}

impl Unit {
    /// As SCHEMA_NAME has it.
    fn name(&self) -> String {
        listed(self.schemas.names())
    }

    /// Why a refresh is expected to load all of it.
    fn whole(&self) -> Option<&str> {
        let expected = self.expected.as_ref()?;
        expected.as_ref().err().map(String::as_str)
    }

    fn weight(&self) -> Weight {
        let Holds {
            tables,
            heap,
            toast,
            built,
            ..
        } = self.holds;
        let (moved, scanned) = match &self.expected {
            Some(Ok(bytes)) => (*bytes, heap),
            Some(Err(_)) | None => (heap + toast, 0),
        };
        Weight {
            schemas: self.schemas.names().into_iter().map(str::to_owned).collect(),
            tables: about(tables),
            moved: about(moved),
            built: about(built),
            scanned: about(scanned),
        }
    }
}

/// Both servers where both are given, the target's ledger read.
struct Reached {
    source: (Server, Session),
    target: Option<(Server, Session)>,
    history: Vec<Past>,
}

/// Plans loads or refreshes.
pub(crate) async fn plan(
    config: &Config,
    shutdown: &Shutdown,
    progress: &Progress,
    options: PlanOptions,
) -> Result<Plan, Error> {
    if options.refresh && !config.target.is_given() {
        let hint = "set the TARGET_ variables: its ledger tells what was loaded";
        let refused = Refused::config(
            Side::Target,
            "a refresh cannot be planned without the target",
            hint,
        );
        return Err(Error::Refused(refused));
    }
    let made = async {
        progress.enter(Phase::Connect);
        let reached = Box::pin(reach(config)).await?;
        let sides = [Some(&reached.source), reached.target.as_ref()];
        let controls = watchdog::beside("plan", &sides).await?;
        let controls: Vec<&Control> = controls.iter().collect();
        tokio::select! {
            biased;
            never = watchdog::watch(&controls, config, progress, shutdown) => match never {},
            made = Box::pin(make(config, reached, progress, options)) => made,
        }
    };
    shutdown.guard(Box::pin(made)).await
}

async fn make(
    config: &Config,
    reached: Reached,
    progress: &Progress,
    PlanOptions { places, refresh }: PlanOptions,
) -> Result<Plan, Error> {
    progress.enter(Phase::Preflight);
    let accepts = config.accept.contains(&Hazard::OutsideChildren);
    let source = source::read(&reached.source.1, &config.schemas, !accepts).await?;
    let mut units = units(config, &source)?;
    if let Some((_, target)) = reached.target.as_ref().filter(|_| refresh) {
        let sessions = Sides {
            source: &reached.source.1,
            target,
        };
        let all: Schemas = units
            .iter()
            .flat_map(|unit| unit.schemas.iter().cloned())
            .collect();
        let expected = changes::expected(sessions, &all, units.iter().map(|unit| &unit.schemas)).await?;
        for (unit, expected) in units.iter_mut().zip(expected) {
            unit.expected = Some(expected);
        }
    }
    let weights: Vec<Weight> = units.iter().map(Unit::weight).collect();
    let needs = units.iter().map(|unit| unit.needs.keys().copied().collect());
    let measured = Measured::of(&reached.history);
    let mut forecast = measured.forecast(&weights, needs.collect(), places, config.verify.word());
    forecast.keep_needed_first(&units.iter().map(Unit::name).collect::<Vec<_>>(), RUN_SCHEMAS_MAX);
    let has_target = reached.target.is_some();
    Box::pin(ask(config, reached, &mut units, progress)).await?;
    let plan = Plan {
        units,
        forecast,
        method: config.method,
        has_target,
        is_refresh: refresh,
    };
    plan.record();
    Ok(plan)
}

async fn reach(config: &Config) -> Result<Reached, Error> {
    let open = async |server: &Server| Session::open(server, "sf/plan", config.lock_timeout).await;
    let target = async {
        if !config.target.is_given() {
            return Ok((None, Vec::new()));
        }
        let (server, session) = credentials::connect(&config.target, Side::Target, open).await?;
        let history = match ledger::history(&session).await {
            // Told by what is asked about the units.
            Err(Error::Refused(_)) => Vec::new(),
            other => other?,
        };
        Ok::<_, Error>((Some((server, session)), history))
    };
    let (source, (target, history)) =
        tokio::try_join!(credentials::connect(&config.source, Side::Source, open), target)?;
    Ok(Reached {
        source,
        target,
        history,
    })
}

/// The schemas that are asked for, grouped.
fn units(config: &Config, source: &Source) -> Result<Vec<Unit>, Error> {
    let wanted: BTreeSet<&str> = if config.schemas.is_empty() {
        source.schemas.keys().map(String::as_str).collect()
    } else {
        config.schemas.names().into_iter().collect()
    };
    let missing = wanted
        .iter()
        .filter(|schema| !source.schemas.contains_key(**schema))
        .map(|schema| {
            let reason = format!("schema \"{schema}\" does not exist");
            Refused::config(Side::Source, reason, "correct SCHEMA_NAME or SOURCE_DBNAME")
        });
    let missing: Vec<Refused> = missing.collect();
    if !missing.is_empty() {
        return Err(Error::Preflight(missing));
    }
    let groups = rings::groups(source.schemas.keys().map(String::as_str), &source.needs);
    let groups: Vec<(BTreeSet<&str>, BTreeSet<&str>)> = groups
        .into_iter()
        .map(|group| group.into_iter().partition(|schema| wanted.contains(schema)))
        .filter(|(own, _): &(BTreeSet<&str>, BTreeSet<&str>)| !own.is_empty())
        .collect();
    let owners: BTreeMap<&str, usize> = groups
        .iter()
        .enumerate()
        .flat_map(|(index, (own, _))| own.iter().map(move |schema| (*schema, index)))
        .collect();
    Ok(groups
        .iter()
        .map(|(own, outside)| unit(config, source, (own, outside), &owners))
        .collect())
}

/// A unit of these schemas; `outside` stand in its ring and are not asked for.
fn unit(
    config: &Config,
    source: &Source,
    (own, outside): (&BTreeSet<&str>, &BTreeSet<&str>),
    owners: &BTreeMap<&str, usize>,
) -> Unit {
    let mut answers = Answers::default();
    refuse_impossible(own, outside, &mut answers);
    let mut needs = BTreeMap::new();
    let from = |schema: &&str| source.needs.get(*schema).into_iter().flatten();
    for (needed, why) in own.iter().flat_map(from) {
        match owners.get(needed.as_str()) {
            _ if own.contains(needed.as_str()) || outside.contains(needed.as_str()) => {}
            Some(unit) => {
                needs.entry(*unit).or_insert_with(|| why.clone());
            }
            None => answers.note(
                "other schemas",
                format!("{why} of schema {needed}, which this plan does not move, has to be there"),
            ),
        }
    }
    let is_known = |to: &str| own.contains(to) || owners.get(to).is_some_and(|unit| needs.contains_key(unit));
    let bodies = source.bodies.iter();
    for body in bodies.filter(|body| own.contains(body.from.as_str()) && !is_known(&body.to)) {
        let more = match body.count {
            ..=1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let found = format!(
            "the body of {}{more} names schema {}, which decides nothing about the order",
            body.example, body.to
        );
        answers.note("functions", found);
    }
    let holds = own
        .iter()
        .filter_map(|schema| source.schemas.get(*schema))
        .fold(Holds::default(), Holds::and);
    let leaves = |link: &&source::Link| own.contains(link.from.as_str()) && !own.contains(link.to.as_str());
    Unit {
        schemas: own
            .iter()
            .map(|schema| SchemaName::of_ledger((*schema).to_owned()))
            .collect(),
        leaving: source
            .foreign_keys
            .iter()
            .filter(leaves)
            .map(|link| link.count)
            .sum(),
        needs,
        size: size::size(
            about(holds.heap + holds.toast + holds.built),
            about(holds.objects),
            config.method == Method::Pipe,
        ),
        holds,
        answers,
        expected: None,
    }
}

/// Refuses what no order and no input helps.
fn refuse_impossible(own: &BTreeSet<&str>, outside: &BTreeSet<&str>, answers: &mut Answers) {
    let names = listed(own.iter().copied());
    if !outside.is_empty() {
        let others = listed(outside.iter().copied());
        let reason = format!("{names} and {others} need each other");
        let hint = format!("add to SCHEMA_NAME: {others}");
        answers.refuse("other schemas", Refused::config(Side::Source, reason, hint));
    }
    let length = names.chars().count();
    if length > NAMES_MAX {
        let reason = format!("the names of the unit's schemas have {length} characters");
        let hint = "load it by itself: a task's request does not take them";
        answers.refuse("unit", Refused::config(Side::Source, reason, hint));
    }
}

/// Asks about every unit what its task will ask, under what the input says of it.
async fn ask(
    config: &Config,
    reached: Reached,
    units: &mut [Unit],
    progress: &Progress,
) -> Result<(), Error> {
    let run_schemas: Schemas = units
        .iter()
        .flat_map(|unit| unit.schemas.iter().cloned())
        .collect();
    let configs: Vec<Config> = units
        .iter()
        .map(|unit| Config {
            schemas: unit.schemas.clone(),
            run_schemas: run_schemas.clone(),
            jobs: unit.size.jobs,
            ..config.clone()
        })
        .collect();
    let (source_server, source) = reached.source;
    let Some((target_server, target)) = reached.target else {
        let asked = configs.iter().map(async |config| {
            progress.step();
            preflight::ask_source(config, &source).await
        });
        return answer(units, asked).await;
    };
    let clients = clients::installed(&config.path).await?;
    let sessions = Sides { source, target };
    let servers = Sides {
        source: source_server,
        target: target_server,
    };
    let asked = configs.iter().map(async |config| {
        progress.step();
        let names = ApplicationName::new(&servers.target.address(), &config.schemas.names());
        let questions = Questions {
            config,
            sessions: &sessions,
            servers: &servers,
            clients: &clients,
            entry: &ledger::NewLoad::new(config, servers.source.address(), names.attempt().to_owned()),
            purpose: Purpose::Nothing,
            seen: Seen::nothing(),
        };
        preflight::ask(&questions).await
    });
    answer(units, asked).await
}

/// Gives each unit what was answered about it. Some units are asked about at once, so that no way to a server is waited for.
async fn answer(
    units: &mut [Unit],
    asked: impl Iterator<Item = impl Future<Output = Result<Answers, Error>>>,
) -> Result<(), Error> {
    let found: Vec<Answers> = stream::iter(asked).buffered(UNITS_AT_ONCE).try_collect().await?;
    for (unit, found) in units.iter_mut().zip(found) {
        unit.answers.extend(found);
    }
    Ok(())
}

impl Plan {
    /// The units in the order of their start.
    fn in_order(&self) -> impl Iterator<Item = (usize, &Unit)> {
        let order = self.forecast.order.iter();
        order.filter_map(|&index| Some((index, self.units.get(index)?)))
    }

    /// The input of the state machine's execution.
    pub(crate) fn input(&self) -> Result<String, Error> {
        let units = self.in_order().map(|(_, unit)| (unit.name(), unit.size));
        let command = self.is_refresh.then_some("refresh");
        input::input(units, (command, self.method))
    }

    /// Answers that are the same for every unit, where there are several.
    fn common(&self) -> Vec<&Finding> {
        let (Some(first), Some(rest)) = (self.units.first(), self.units.get(1..)) else {
            return Vec::new();
        };
        let everywhere = |finding: &&Finding| {
            !rest.is_empty() && rest.iter().all(|unit| unit.answers.findings().contains(finding))
        };
        first.answers.findings().iter().filter(everywhere).collect()
    }

    /// Writes what was found about each unit and of all together.
    fn record(&self) {
        for (index, unit) in self.in_order() {
            let name = unit.name();
            unit.answers.record(Some(&name));
            let (holds, size) = (&unit.holds, unit.size);
            let (slot, basis) = (self.forecast.slots.get(index), self.forecast.bases.get(index));
            tracing::info!(
                phase = Phase::Preflight.word(),
                schema = name,
                tables = holds.tables,
                rows = holds.rows,
                never_analyzed = holds.unanalyzed,
                heap_bytes = holds.heap,
                toast_bytes = holds.toast,
                index_bytes = holds.built,
                largest = holds.largest.as_ref().map(|(_, table)| table.as_str()),
                foreign_keys = unit.leaving,
                needs = self.needed_by(unit),
                jobs = size.jobs,
                cpu = size.cpu,
                memory = size.memory,
                starts_s = slot.map(|slot| slot.starts.round()),
                works_s = slot.map(|slot| slot.works.round()),
                ends_s = slot.map(|slot| slot.ends.round()),
                basis = basis.copied().map(Basis::words),
                moves_bytes = unit.expected.as_ref().and_then(|expected| expected.as_ref().ok()),
                whole = unit.whole(),
                "planned"
            );
        }
        let forecast = &self.forecast;
        tracing::info!(
            phase = Phase::Preflight.word(),
            units = self.units.len(),
            total_s = forecast.total.round(),
            concurrency = forecast.places,
            bound = self.bound(),
            extrapolated = forecast.extrapolated.join("; "),
            "forecast"
        );
    }

    /// The units that one needs, each with its reason.
    fn needed_by(&self, unit: &Unit) -> String {
        let words = unit.needs.iter().filter_map(|(needed, why)| {
            let needed = self.units.get(*needed)?;
            Some(format!("{} ({why})", needed.name()))
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// What bounds the whole, in words.
    fn bound(&self) -> String {
        match &self.forecast.bound {
            Bound::Units(chain) => {
                let names: Vec<String> = chain
                    .iter()
                    .filter_map(|index| self.units.get(*index))
                    .map(Unit::name)
                    .collect();
                match &names[..] {
                    [one] => format!("the unit {one}: more places would not help"),
                    _ => format!(
                        "units that wait for each other, {}: more places would not help",
                        names.join(", then ")
                    ),
                }
            }
            Bound::Places => "the places: more of them would help".to_owned(),
            Bound::Line => "the line that all share: more places would not help".to_owned(),
        }
    }

    /// Nothing, unless a unit would be refused.
    pub(crate) fn permit(&self) -> Result<(), Error> {
        let mut refusals: Vec<Refused> = Vec::new();
        for refused in self.units.iter().flat_map(|unit| unit.answers.refusals()) {
            if !refusals.contains(&refused) {
                refusals.push(refused);
            }
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(Error::Preflight(refusals))
        }
    }
}

/// A count for what is only estimated.
#[expect(
    clippy::cast_precision_loss,
    reason = "an estimate needs no more than 53 bits"
)]
fn about(count: u64) -> f64 {
    count as f64
}
