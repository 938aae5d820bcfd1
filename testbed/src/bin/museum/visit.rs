//! One pair of clusters and one METHOD: every exhibit is moved, and what is refused is cured as the refusal says.

use std::collections::{BTreeSet, VecDeque};
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

/// Schemas on their way, one unit after the other.
#[derive(Debug)]
struct Course {
    /// All of them, in the order in which they are moved.
    order: Vec<String>,
    waiting: VecDeque<String>,
    runs: usize,
    units: usize,
    /// Refusals on the way, and what the last run said if it did not end well.
    said: Vec<String>,
    failed: bool,
}

impl Course {
    fn of(schemas: &[String]) -> Self {
        Self {
            order: schemas.to_vec(),
            waiting: schemas.iter().cloned().collect(),
            runs: 0,
            units: 0,
            said: Vec::new(),
            failed: false,
        }
    }

    /// Has schemas moved that were taken down, those of them that are not in the `unit`.
    fn again(&mut self, down: &[String], unit: &BTreeSet<String>) {
        let (waiting, order) = (&self.waiting, self.order.iter());
        let still = order
            .filter(|schema| waiting.contains(schema) || (down.contains(schema) && !unit.contains(*schema)));
        self.waiting = still.cloned().collect();
    }

    /// Counts a run; its reason, if it did not end well.
    fn count(&mut self, command: &str, output: &Output) {
        self.runs += 1;
        if output.exit != 0 {
            let reason = output.last()["reason"].as_str().unwrap_or_default();
            self.said.push(format!("{command} {}: {reason}", output.exit));
        }
    }
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
                let mut course = Course::of(&exhibit.schemas);
                while let Some(schema) = course.waiting.pop_front() {
                    self.load(&[schema], &mut course);
                }
                tally.add(&self.finish(&format!("{} {time}", exhibit.name), &exhibit.schemas, course));
            }
        }
        let everything: Vec<String> = exhibits
            .iter()
            .flat_map(|exhibit| exhibit.schemas.clone())
            .collect();
        for time in ["first", "again"] {
            let mut course = Course::of(&everything);
            self.load(&everything, &mut course);
            tally.add(&self.finish(&format!("everything {time}"), &everything, course));
        }
        tally
    }

    /// Makes what leaves the units, compares, and says how it went.
    fn finish(&self, title: &str, schemas: &[String], mut course: Course) -> Tally {
        if !course.failed {
            let output = self.across("finalize", schemas);
            course.count("finalize", &output);
            course.failed = output.exit != 0;
        }
        let differences = if course.failed {
            Vec::new()
        } else {
            compare::differences(self.source, self.target, &self.database, schemas)
        };
        println!(
            "{title:<22} {:>2} runs for {} units: {}",
            course.runs,
            course.units,
            match (course.failed, differences.is_empty()) {
                (true, _) => "FAILED",
                (false, true) => "equal",
                (false, false) => "DIFFERENT",
            }
        );
        for line in course.said.iter().chain(&differences) {
            println!("    {line}");
        }
        Tally {
            runs: course.runs,
            wrong: usize::from(course.failed) + differences.len(),
        }
    }

    /// Loads schemas as one unit until it ends with 0, following what each refusal says.
    fn load(&self, schemas: &[String], course: &mut Course) {
        let mut unit: BTreeSet<String> = schemas.iter().cloned().collect();
        for _ in 0..ATTEMPTS_MAX {
            let output = self.run(&unit);
            course.count("load", &output);
            if output.exit == 0 {
                course.units += 1;
                course.waiting.retain(|schema| !unit.contains(schema));
                return;
            }
            let findings = output.last()["findings"].as_array();
            let followed = findings.is_some_and(|findings| {
                findings
                    .iter()
                    .all(|finding| self.follow(finding, &mut unit, course))
            });
            if !followed {
                break;
            }
        }
        course.failed = true;
    }

    fn run(&self, unit: &BTreeSet<String>) -> Output {
        let names: Vec<&str> = unit.iter().map(String::as_str).collect();
        self.worker()
            .env("SCHEMA_NAME", names.join(","))
            .env("METHOD", self.method)
            .env("VERIFY", "hash")
            .run()
    }

    /// Runs a command about several schemas.
    fn across(&self, command: &str, schemas: &[String]) -> Output {
        self.worker()
            .arg(command)
            .env("SCHEMA_NAME", schemas.join(","))
            .run()
    }

    fn worker(&self) -> Worker {
        Worker::new(env::current_exe().unwrap().with_file_name("schemaferry"))
            .source(self.source, DATABASE, SUPERUSER, PASSWORD)
            .target(self.target, &self.database, SUPERUSER, PASSWORD)
    }

    /// Does what the hint of a refusal says, to the letter; whether there was something to do.
    fn follow(&self, finding: &Value, unit: &mut BTreeSet<String>, course: &mut Course) -> bool {
        let hint = finding["hint"].as_str().unwrap_or_default();
        let names = |list: &str| list.split(',').map(str::to_owned).collect::<Vec<_>>();
        if let Some((_, first)) = hint.split_once("move it first: SCHEMA_NAME=") {
            self.load(&names(first), course);
            !course.failed
        } else if let Some((_, down)) = hint.split_once("have schemaferry prepare take them down") {
            let (_, down) = down.split_once("SCHEMA_NAME=").unwrap_or_default();
            let down = names(down.split_once(';').map_or(down, |(down, _)| down));
            let output = self.across("prepare", &down);
            course.count("prepare", &output);
            course.again(&down, unit);
            output.exit == 0
        } else if let Some((_, together)) = hint.split_once("move them together: SCHEMA_NAME=") {
            unit.extend(names(together));
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
