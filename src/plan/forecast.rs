//! How long it takes: what each unit takes by what earlier loads took, or by what is assumed, and what bounds the whole. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::Past;
use crate::plan::schedule::{self, Job, Slot};

/// What is assumed while the ledger holds no load: bytes a second, and seconds.
pub(super) mod assumed {
    /// Heap and TOAST of one unit.
    pub(in crate::plan) const MOVED: f64 = 50e6;
    /// Heap that a refresh of one unit scans on either side.
    pub(in crate::plan) const SCANNED: f64 = 500e6;
    /// Indexes and materialized views of one unit.
    pub(in crate::plan) const BUILT: f64 = 50e6;
    /// All units together.
    pub(in crate::plan) const LINE: f64 = 250e6;
    /// A table, beside what it holds.
    pub(in crate::plan) const TABLE: f64 = 0.05;
    /// A unit, beside what it holds: the start of its task, questions, definitions.
    pub(in crate::plan) const UNIT: f64 = 60.0;
}

/// What of a unit its time depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct Weight {
    pub(super) schemas: Vec<String>,
    pub(super) tables: f64,
    /// Heap and TOAST, in bytes.
    pub(super) moved: f64,
    /// What the target computes, in bytes.
    pub(super) built: f64,
    /// Heap that is scanned before anything moves, in bytes.
    pub(super) scanned: f64,
}

/// Where a unit's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    /// Its own last load.
    Own,
    /// The loads of others.
    Others,
    Assumed,
}

/// What bounds the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    /// Units that wait for each other, or one alone.
    Units(Vec<usize>),
    Places,
    Line,
}

/// The forecast for an order of units.
#[derive(Debug, Clone)]
pub(super) struct Forecast {
    pub(super) jobs: Vec<Job>,
    pub(super) bases: Vec<Basis>,
    /// Indexes of units, in the order of their start.
    pub(super) order: Vec<usize>,
    pub(super) slots: Vec<Slot>,
    pub(super) places: usize,
    /// Bytes a second of all together at most.
    pub(super) line: f64,
    pub(super) total: f64,
    pub(super) bound: Bound,
    /// Why it reaches beyond what was measured.
    pub(super) extrapolated: Vec<String>,
}

/// What the ledger tells.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    /// Every complete load once, newest first.
    loads: Vec<&'a Past>,
    /// The newest of each schema.
    newest: BTreeMap<&'a str, &'a Past>,
}

impl Past {
    /// Seconds without what it waited.
    fn seconds(&self) -> f64 {
        self.fixed + self.growing
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.began <= other.began && other.began < self.began + self.seconds()
    }
}

impl<'a> Measured<'a> {
    /// Of the history, newest first.
    pub(super) fn of(history: &'a [Past]) -> Self {
        let mut attempts = BTreeSet::new();
        let mut newest = BTreeMap::new();
        for past in history {
            newest.entry(past.schema.as_str()).or_insert(past);
        }
        let loads = history
            .iter()
            .filter(|past| attempts.insert(past.attempt.as_str()))
            .collect();
        Self { loads, newest }
    }

    /// The highest rate of all loads together, in bytes a second: it was reached when one of them began.
    fn line(&self) -> Option<f64> {
        let together = self.loads.iter().map(|began| {
            let at_work = self.loads.iter().filter(|other| other.overlaps(began));
            at_work.map(|load| load.size / load.seconds()).sum::<f64>()
        });
        together
            .filter(|rate| rate.is_finite() && *rate > 0.0)
            .max_by(f64::total_cmp)
    }

    /// The newest loads of these units, each once.
    fn last(&self, weights: &[Weight]) -> Vec<&'a Past> {
        let mut attempts = BTreeSet::new();
        weights
            .iter()
            .flat_map(|weight| self.own(weight))
            .filter(|past| attempts.insert(past.attempt.as_str()))
            .collect()
    }

    /// The newest loads of a unit's schemas, each once; empty unless every schema has one.
    fn own(&self, weight: &Weight) -> Vec<&'a Past> {
        let newest = weight
            .schemas
            .iter()
            .map(|schema| self.newest.get(schema.as_str()).copied());
        let Some(all) = newest.collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let mut attempts = BTreeSet::new();
        all.into_iter()
            .filter(|past| attempts.insert(past.attempt.as_str()))
            .collect()
    }

    /// Seconds of a unit, and where they come from.
    fn seconds(&self, weight: &Weight) -> (f64, Basis) {
        let (seconds, basis) = self.moving(weight);
        (seconds + weight.scanned / assumed::SCANNED, basis)
    }

    /// The same, apart from scans.
    fn moving(&self, weight: &Weight) -> (f64, Basis) {
        let own = self.own(weight);
        let (basis, past) = if own.is_empty() {
            (Basis::Others, self.newest.values().copied().collect())
        } else {
            (Basis::Own, own)
        };
        let sum = |pick: fn(&Past) -> f64| past.iter().map(|past| pick(past)).sum::<f64>();
        let (size, growing, fixed) = (
            sum(|past| past.size),
            sum(|past| past.growing),
            sum(|past| past.fixed),
        );
        let count = past.iter().map(|_| 1.0).sum::<f64>();
        if basis == Basis::Own {
            let growth = if size > 0.0 { weight.moved / size } else { 1.0 };
            return (fixed + growing * growth, basis);
        }
        if size > 0.0 {
            return (fixed / count + growing * weight.moved / size, basis);
        }
        let seconds = assumed::UNIT
            + weight.tables * assumed::TABLE
            + weight.moved / assumed::MOVED
            + weight.built / assumed::BUILT;
        (seconds, Basis::Assumed)
    }

    /// What was another then than it is to be now.
    fn extrapolated(&self, weights: &[Weight], places: usize, verify: &str) -> Vec<String> {
        let last = self.last(weights);
        let at_once = |began: &&Past| last.iter().filter(|other| other.overlaps(began)).count();
        let most = last.iter().map(at_once).max().unwrap_or(0);
        let mut reasons = Vec::new();
        // Fewer units than places never fill them.
        if most > 0 && most != places.min(weights.len()) {
            reasons.push(format!("the earlier loads ran at most {most} at once"));
        }
        if let Some(other) = last.iter().find(|past| past.verify != verify) {
            reasons.push(format!("an earlier load ran with VERIFY={}", other.verify));
        }
        reasons
    }

    /// What to expect of units that need each other as `needs` says, with so many places.
    pub(super) fn forecast(
        &self,
        weights: &[Weight],
        needs: Vec<Vec<usize>>,
        places: usize,
        verify: &str,
    ) -> Forecast {
        let (seconds, bases): (Vec<f64>, Vec<Basis>) =
            weights.iter().map(|weight| self.seconds(weight)).unzip();
        let jobs: Vec<Job> = weights
            .iter()
            .zip(&seconds)
            .zip(needs)
            .map(|((weight, &seconds), needs)| Job {
                // A forecast of nothing at all would stand still.
                seconds: seconds.max(0.001),
                rate: weight.moved / seconds.max(0.001),
                needs,
            })
            .collect();
        let line = self.line().unwrap_or(assumed::LINE);
        let order = schedule::order(&jobs, places);
        let mut forecast = Forecast {
            total: 0.0,
            bound: bound(&jobs, places, line),
            extrapolated: self.extrapolated(weights, places, verify),
            jobs,
            bases,
            order: Vec::new(),
            slots: Vec::new(),
            places,
            line,
        };
        forecast.follow(order);
        forecast
    }
}

impl Forecast {
    /// Starts the units in another order.
    pub(super) fn follow(&mut self, order: Vec<usize>) {
        self.slots = schedule::simulate(&self.jobs, &order, self.places, Some(self.line));
        self.total = schedule::total(&self.slots);
        self.order = order;
    }

    /// Where the names of all units have more characters than fit into the list that every task is told, what others need comes
    /// before what nobody needs.
    pub(super) fn keep_needed_first(&mut self, names: &[String], most: usize) {
        let length: usize = names.iter().map(|name| name.chars().count() + 1).sum();
        if length <= most {
            return;
        }
        let is_needed = |index: usize| self.jobs.iter().any(|job| job.needs.contains(&index));
        let (needed, others): (Vec<usize>, Vec<usize>) =
            self.order.iter().partition(|index| is_needed(**index));
        self.follow([needed, others].concat());
    }
}

/// Whichever alone would take the longest: the longest way through the units, all of them over the places, all bytes over the
/// line.
fn bound(jobs: &[Job], places: usize, line: f64) -> Bound {
    let levels = schedule::levels(jobs);
    let first = (0..levels.len()).max_by(|one, other| {
        let level = |index: &usize| levels.get(*index).map_or(0.0, |(level, _)| *level);
        level(one).total_cmp(&level(other)).then(other.cmp(one))
    });
    let mut chain = Vec::new();
    let mut next = first;
    while let Some(index) = next {
        chain.push(index);
        next = levels.get(index).and_then(|(_, next)| *next);
    }
    let longest = first
        .and_then(|first| levels.get(first))
        .map_or(0.0, |(level, _)| *level);
    let places = places.min(jobs.len()).max(1);
    #[expect(clippy::cast_precision_loss, reason = "at most 40")]
    let over_places = jobs.iter().map(|job| job.seconds).sum::<f64>() / places as f64;
    let over_line = jobs.iter().map(|job| job.seconds * job.rate).sum::<f64>() / line;
    if over_line > longest && over_line > over_places {
        Bound::Line
    } else if over_places > longest {
        Bound::Places
    } else {
        Bound::Units(chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(schema: &str, moved: f64) -> Weight {
        Weight {
            schemas: schema.split(',').map(str::to_owned).collect(),
            tables: 10.0,
            moved,
            built: 0.0,
            scanned: 0.0,
        }
    }

    fn past(schema: &str, began: f64, growing: f64, size: f64) -> Past {
        Past {
            schema: schema.to_owned(),
            attempt: format!("{schema}{began}"),
            began,
            fixed: 2.0,
            growing,
            size,
            verify: "rows".to_owned(),
        }
    }

    fn seconds(history: &[Past], weight: &Weight) -> (f64, Basis) {
        Measured::of(history).seconds(weight)
    }

    #[test]
    fn a_unit_takes_what_it_took_by_what_it_holds_now() {
        let history = [
            past("a", 100.0, 20.0, 200.0),
            past("b", 100.0, 8.0, 400.0),
            past("views", 100.0, 1.0, 0.0),
            past("a", 0.0, 99.0, 99.0),
        ];
        assert_eq!(seconds(&history, &weight("a", 300.0)), (32.0, Basis::Own));
        assert_eq!(seconds(&history, &weight("views", 0.0)), (3.0, Basis::Own));
        // Both moved alone then.
        assert_eq!(seconds(&history, &weight("a,b", 600.0)), (32.0, Basis::Own));
        // 29 s for 600 bytes, and 2 s each.
        assert_eq!(seconds(&history, &weight("new", 60.0)), (4.9, Basis::Others));
        assert_eq!(seconds(&history, &weight("a,new", 60.0)), (4.9, Basis::Others));
        assert_eq!(seconds(&[], &weight("a", 500e6)), (70.5, Basis::Assumed));
        // Of two that moved together only one is left.
        let mut together = [past("a", 0.0, 10.0, 100.0), past("b", 0.0, 10.0, 100.0)];
        together[1].attempt = together[0].attempt.clone();
        assert_eq!(seconds(&together, &weight("a,b", 100.0)), (12.0, Basis::Own));
        assert_eq!(seconds(&together, &weight("a", 50.0)), (7.0, Basis::Own));
    }

    #[test]
    fn what_others_need_is_in_the_list_of_every_task() {
        let weights = ["large", "needed", "needs"]
            .map(|schema| weight(schema, if schema == "large" { 9e9 } else { 1e6 }));
        let mut forecast = Measured::of(&[]).forecast(&weights, vec![vec![], vec![], vec![1]], 1, "rows");
        let names = ["large", "needed", "needs"].map(str::to_owned);
        for (most, expected) in [(100, [0, 1, 2]), (10, [1, 0, 2])] {
            forecast.keep_needed_first(&names, most);
            assert_eq!(forecast.order, expected);
            assert!(forecast.total.is_finite());
        }
    }

    #[test]
    fn the_line_is_what_all_have_reached_together() {
        let forecast = |history: &[Past], weights: &[Weight], places| {
            let needs = vec![Vec::new(); weights.len()];
            Measured::of(history).forecast(weights, needs, places, "rows")
        };
        // 10 bytes a second each: two at once, and later a third alone.
        let history = [
            past("a", 0.0, 8.0, 100.0),
            past("b", 5.0, 8.0, 100.0),
            past("c", 50.0, 8.0, 100.0),
        ];
        let weights = ["a", "b", "c"].map(|schema| weight(schema, 100.0));
        let as_then = forecast(&history, &weights, 2);
        assert!(
            (as_then.line - 20.0).abs() < 1e-9 && (as_then.total - 20.0).abs() < 1e-9,
            "{as_then:?}"
        );
        assert!(as_then.extrapolated.is_empty());
        let wider = forecast(&history, &weights, 3);
        assert!((wider.total - 15.0).abs() < 1e-9, "{wider:?}");
        assert_eq!(wider.extrapolated, ["the earlier loads ran at most 2 at once"]);
        assert_eq!((as_then.bound, wider.bound), (Bound::Places, Bound::Line));
        let assumed = forecast(&[], &weights, 3);
        assert!((assumed.line - assumed::LINE).abs() < 1e-9 && assumed.extrapolated.is_empty());
        assert_eq!(assumed.bound, Bound::Units(vec![0]));
    }
}
