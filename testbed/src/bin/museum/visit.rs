//! One pair of clusters and one METHOD: every exhibit is moved, and what is refused is cured as the refusal says.

use std::collections::BTreeSet;
use std::env;

use serde_json::Value;
use testbed::cluster::{PASSWORD, SUPERUSER};
use testbed::{Cluster, Output, Worker};

use crate::compare;
use crate::exhibit::{self, Exhibit};

/// The source's database.
pub(crate) const DATABASE: &str = "museum";
/// More hints than this, one after the other, nobody follows.
const ATTEMPTS_MAX: usize = 6;

/// How often the worker ran, and what was not as it has to be.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) runs: usize,
    pub(crate) wrong: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.wrong += other.wrong;
    }
}

/// A target's database that is filled by one METHOD.
pub(crate) struct Visit<'a> {
    source: &'a Cluster,
    target: &'a Cluster,
    method: &'a str,
    database: String,
}

/// A unit that was moved at last.
struct Moved {
    runs: usize,
    /// The schemas that it was in the end.
    unit: BTreeSet<String>,
    deferred: Vec<String>,
    /// Refusals on the way, and what the last run said if it did not end well.
    said: Vec<String>,
    failed: bool,
}

impl<'a> Visit<'a> {
    /// Makes the target's database.
    pub(crate) fn begin(source: &'a Cluster, target: &'a Cluster, method: &'a str) -> Self {
        let database = format!("by_{method}");
        exhibit::lay_ground(target, &database);
        println!(
            "\nfrom {} to {} by {method}",
            source.server().major(),
            target.server().major()
        );
        Self {
            source,
            target,
            method,
            database,
        }
    }

    /// Moves each exhibit one schema after the other, twice, and then all of them as one unit, twice.
    pub(crate) fn all(&self, exhibits: &[Exhibit]) -> Tally {
        let mut tally = Tally::default();
        for exhibit in exhibits {
            for time in ["first", "again"] {
                tally.add(&self.one_by_one(exhibit, time));
            }
        }
        let everything: Vec<String> = exhibits
            .iter()
            .flat_map(|exhibit| exhibit.schemas.clone())
            .collect();
        for time in ["first", "again"] {
            let moved = self.load(&everything);
            tally.add(&self.report(&format!("everything {time}"), &everything, &[moved]));
        }
        tally
    }

    fn one_by_one(&self, exhibit: &Exhibit, time: &str) -> Tally {
        let mut loads = Vec::new();
        let mut done = BTreeSet::new();
        for schema in &exhibit.schemas {
            // What a hint has put into one unit with another is there already.
            if done.contains(schema) {
                continue;
            }
            let moved = self.load(std::slice::from_ref(schema));
            done.extend(moved.unit.iter().cloned());
            loads.push(moved);
        }
        self.report(&format!("{} {time}", exhibit.name), &exhibit.schemas, &loads)
    }

    fn report(&self, title: &str, schemas: &[String], loads: &[Moved]) -> Tally {
        let runs: usize = loads.iter().map(|moved| moved.runs).sum();
        let failed = loads.iter().any(|moved| moved.failed);
        let deferred: Vec<String> = loads.iter().flat_map(|moved| moved.deferred.clone()).collect();
        let differences = if failed {
            Vec::new()
        } else {
            compare::differences(self.source, self.target, &self.database, schemas, &deferred)
        };
        println!(
            "{title:<22} {runs:>2} runs for {} units, {} foreign keys deferred: {}",
            loads.len(),
            deferred.len(),
            match (failed, differences.is_empty()) {
                (true, _) => "FAILED",
                (false, true) => "equal",
                (false, false) => "DIFFERENT",
            }
        );
        for said in loads.iter().flat_map(|moved| &moved.said) {
            println!("    {said}");
        }
        for difference in &differences {
            println!("    {difference}");
        }
        Tally {
            runs,
            wrong: usize::from(failed) + differences.len(),
        }
    }

    /// Loads until it ends with 0, following what each refusal says.
    fn load(&self, schemas: &[String]) -> Moved {
        let mut moved = Moved {
            runs: 0,
            unit: schemas.iter().cloned().collect(),
            deferred: Vec::new(),
            said: Vec::new(),
            failed: false,
        };
        loop {
            let output = self.run(&moved.unit);
            moved.runs += 1;
            let last = output.last();
            if output.exit == 0 {
                let deferred = last["deferred"].as_array().into_iter().flatten();
                moved.deferred = deferred.filter_map(Value::as_str).map(one_line).collect();
                return moved;
            }
            let reason = last["reason"].as_str().unwrap_or_default();
            moved.said.push(format!("{}: {reason}", output.exit));
            let followed = last["findings"].as_array().is_some_and(|findings| {
                findings
                    .iter()
                    .filter(|finding| self.follow(finding, &mut moved))
                    .count()
                    == findings.len()
            });
            if !followed || moved.runs >= ATTEMPTS_MAX {
                moved.failed = true;
                return moved;
            }
        }
    }

    fn run(&self, unit: &BTreeSet<String>) -> Output {
        let names: Vec<&str> = unit.iter().map(String::as_str).collect();
        Worker::new(env::current_exe().unwrap().with_file_name("schemaferry"))
            .env("SCHEMA_NAME", names.join(","))
            .env("METHOD", self.method)
            .env("VERIFY", "hash")
            .source(self.source, DATABASE, SUPERUSER, PASSWORD)
            .target(self.target, &self.database, SUPERUSER, PASSWORD)
            .run()
    }

    /// Does what the hint of a refusal says, to the letter; whether there was something to do.
    fn follow(&self, finding: &Value, moved: &mut Moved) -> bool {
        let hint = finding["hint"].as_str().unwrap_or_default();
        let names = |list: &str| list.split(',').map(str::to_owned).collect::<Vec<_>>();
        if let Some((_, first)) = hint.split_once("move it first: SCHEMA_NAME=") {
            let first = self.load(&names(first));
            moved.runs += first.runs;
            moved.unit.extend(first.unit);
            !first.failed
        } else if let Some((_, together)) = hint.split_once("move them together: SCHEMA_NAME=") {
            moved.unit.extend(names(together));
            true
        } else {
            let (cluster, database) = match finding["side"].as_str() {
                Some("source") => (self.source, DATABASE),
                _ => (self.target, self.database.as_str()),
            };
            cluster.try_psql(database, hint).is_ok()
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
