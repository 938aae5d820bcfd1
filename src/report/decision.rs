//! Whether to go: what stands against it, and what cures each. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exit::Exit;
use crate::report::runs::{Attempt, Outcome, Run, Unit};
use crate::report::standing::{Standing, Untouched};
use crate::report::{Asked, Ends};
use crate::tabular::{counted, span};
use crate::word;

/// Changes and tables that one reason names.
const NAMED_MAX: usize = 5;
/// What begins the note of a hazard that was accepted.
const ACCEPTED: &str = "accepted: ";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    NoGo,
    GoWithConditions,
    Go,
}

/// What stands against it, or is to be looked at before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    pub(super) verdict: Verdict,
    pub(super) what: String,
    /// What cures it.
    pub(super) hint: String,
}

/// A hazard that loads have found and were told to accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Accepted {
    pub(super) unit: String,
    pub(super) what: String,
    pub(super) reason: Option<String>,
    /// The target's user.
    pub(super) user: Option<String>,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Decision {
    pub(super) verdict: Verdict,
    /// What stands against it first.
    pub(super) reasons: Vec<Reason>,
    pub(super) accepted: Vec<Accepted>,
}

/// Everything that stands against it.
#[derive(Default)]
struct Reasons(Vec<Reason>);

impl Reasons {
    fn no_go(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.add(Verdict::NoGo, what.into(), hint.into());
    }

    fn condition(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        self.add(Verdict::GoWithConditions, what.into(), hint.into());
    }

    fn add(&mut self, verdict: Verdict, what: String, hint: String) {
        self.0.push(Reason { verdict, what, hint });
    }
}

impl Verdict {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NoGo => "No-go",
            Self::GoWithConditions => "Go with conditions",
            Self::Go => "Go",
        }
    }

    /// What a reason of this weight is.
    pub(super) fn weight(self) -> &'static str {
        match self {
            Self::NoGo => "no-go",
            Self::GoWithConditions => "condition",
            Self::Go => "note",
        }
    }
}

pub(super) fn decide(run: &Run, asked: &Asked, ends: Option<&Ends>) -> Decision {
    let mut reasons = Reasons::default();
    for unit in &run.units {
        of_unit(unit, asked, &mut reasons);
    }
    of_counters(asked, &mut reasons);
    for schema in &asked.missing {
        reasons.no_go(
            format!("schema {schema} was not loaded"),
            "load it under the same RUN_ID, or leave it out of SCHEMA_NAME",
        );
    }
    for schema in &asked.beside {
        reasons.condition(
            format!("schema {schema} is no part of this run"),
            "load it under the same RUN_ID if it is to be there",
        );
    }
    if let Some(over) = ends
        .and_then(|ends| ends.reserve_s)
        .filter(|reserve| *reserve < 0.0)
    {
        reasons.no_go(
            format!("the loads have ended {} after the window", span(-over)),
            "widen the window, or see in the timeline what bounds the run",
        );
    }
    of_keys(asked, &mut reasons);
    of_source(run, asked, &mut reasons);
    let accepted = accepted(run);
    for one in accepted.iter().filter(|one| one.reason.is_none()) {
        reasons.condition(
            format!(
                "unit {}: nobody has said why this is accepted: {}",
                one.unit, one.what
            ),
            "say in ACCEPT_REASON who accepts it and why, and load again",
        );
    }
    let mut reasons = reasons.0;
    reasons.sort_by_key(|reason| reason.verdict);
    Decision {
        verdict: reasons.first().map_or(Verdict::Go, |first| first.verdict),
        reasons,
        accepted,
    }
}

fn of_unit(unit: &Unit, asked: &Asked, reasons: &mut Reasons) {
    let Some(last) = unit.last() else { return };
    let name = &unit.name;
    match last.outcome {
        Outcome::Running => {
            reasons.no_go(
                format!("unit {name} is being loaded"),
                "let it finish, and report again",
            );
        }
        Outcome::Lost => {
            reasons.no_go(
                format!("unit {name}: its last load was killed"),
                Exit::Transient.advice(),
            );
        }
        Outcome::Failed => failed(name, last, reasons),
        Outcome::Complete => {
            for schema in &unit.schemas {
                if let Some(standing) = asked.standings.get(schema) {
                    stands(schema, standing, reasons);
                }
            }
            if unit.verify == "none" {
                reasons.condition(
                    format!("unit {name}: nothing was compared (VERIFY=none)"),
                    "run verify for it",
                );
            }
        }
    }
}

fn failed(name: &str, last: &Attempt, reasons: &mut Reasons) {
    let known = Exit::ALL.iter().find(|exit| Some(exit.code()) == last.exit);
    let (outcome, advice) = known.map_or(("unexpected", ""), |exit| (exit.name(), exit.advice()));
    let code = last.exit.unwrap_or_default();
    let why = last.reason.as_deref().unwrap_or_default();
    reasons.no_go(
        format!("unit {name} ended with {code} ({outcome}): {why}"),
        advice,
    );
}

fn stands(schema: &str, standing: &Standing, reasons: &mut Reasons) {
    match standing {
        Standing::Whole | Standing::Superseded | Standing::Uncounted => {}
        Standing::TakenDown => reasons.no_go(
            format!("schema {schema} was taken down by prepare since"),
            "load it again",
        ),
        Standing::Gone => reasons.no_go(
            format!("schema {schema} is no longer the one that was loaded"),
            "load it again",
        ),
        Standing::Changed(changes) => reasons.condition(
            format!(
                "schema {schema} was changed on the target since its load: {}",
                word::some_of(changes, NAMED_MAX, ", ")
            ),
            "find out who has, and load it again; seal what is live",
        ),
    }
}

fn of_counters(asked: &Asked, reasons: &mut Reasons) {
    let standings = asked.standings.iter();
    let uncounted: Vec<&str> = standings
        .filter(|(_, standing)| **standing == Standing::Uncounted)
        .map(|(schema, _)| schema.as_str())
        .collect();
    if !uncounted.is_empty() {
        reasons.condition(
            format!(
                "whether somebody has written to {} on the target is not known: the server has forgotten what it had counted ({})",
                counted(uncounted.len(), "schema"),
                word::some_of(&uncounted, NAMED_MAX, ", ")
            ),
            "drift tells it exactly; seal what is live",
        );
    }
}

fn of_keys(asked: &Asked, reasons: &mut Reasons) {
    let (invalid, absent): (Vec<_>, Vec<_>) = asked.left.iter().partition(|left| left.is_there);
    for left in invalid {
        reasons.condition(
            format!("foreign key {} is not validated", left.key),
            format!("correct what this finds, then finalize: {}", left.orphans),
        );
    }
    if !absent.is_empty() {
        let names: Vec<&str> = absent.iter().map(|left| left.key.as_str()).collect();
        reasons.condition(
            format!(
                "{} of those that leave their schemas not made: {}",
                counted(names.len(), "foreign key"),
                word::some_of(&names, NAMED_MAX, ", ")
            ),
            "schemaferry finalize, when all that they reference is loaded",
        );
    }
}

fn of_source(run: &Run, asked: &Asked, reasons: &mut Reasons) {
    let mut unknown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (unit, untouched) in run.units.iter().zip(&asked.untouched) {
        match untouched {
            Untouched::Written(what) if unit.complete().is_some() => reasons.condition(
                format!(
                    "unit {}: the source has written since, which is not on the target: {}",
                    unit.name,
                    word::some_of(what, NAMED_MAX, ", ")
                ),
                "make the source read-only, then load the unit again; drift tells exactly what was written",
            ),
            Untouched::Unknown(why) if unit.complete().is_some() => {
                unknown.entry(why).or_default().push(&unit.name);
            }
            Untouched::Written(_) | Untouched::Unknown(_) | Untouched::Proved | Untouched::ByCounters => {}
        }
    }
    for (why, units) in unknown {
        reasons.condition(
            format!(
                "whether the source was written to since is not known of {} ({}): {why}",
                counted(units.len(), "unit"),
                word::some_of(&units, NAMED_MAX, ", ")
            ),
            "report with the SOURCE_ variables of the loads; drift tells it exactly",
        );
    }
    for item in asked
        .outside
        .iter()
        .filter(|item| item.kind == "prepared transaction" && item.source.is_some())
    {
        reasons.condition(
            format!("prepared transaction {} waits on the source", item.name),
            format!("COMMIT PREPARED {0} or ROLLBACK PREPARED {0}", item.name),
        );
    }
    let missing = asked
        .outside
        .iter()
        .filter(|item| item.source.is_some() && !item.same);
    let missing = missing.count();
    if missing > 0 {
        reasons.condition(
            format!(
                "{} outside of schemas not on the target as on the source",
                counted(missing, "thing")
            ),
            "tick the list of what lives outside of schemas",
        );
    }
}

/// What the last loads have found and were told to accept.
fn accepted(run: &Run) -> Vec<Accepted> {
    let lasts = run.units.iter().filter_map(|unit| Some((unit, unit.complete()?)));
    lasts
        .flat_map(|(unit, last)| {
            let accepted = last
                .not_carried
                .iter()
                .filter_map(|note| note.strip_prefix(ACCEPTED));
            accepted.map(|what| Accepted {
                unit: unit.name.clone(),
                what: what.to_owned(),
                reason: last.accept_reason.clone(),
                user: last.user.clone(),
            })
        })
        .collect()
}

/// Whether a note is that of a hazard that was accepted.
pub(super) fn is_accepted(note: &str) -> bool {
    note.starts_with(ACCEPTED)
}
