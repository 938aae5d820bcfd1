//! The bar: what the worker is to reach, against what this run measured.

use std::fmt::Write as _;

use crate::Measured;
use crate::cost::Cost;
use crate::report::{against_the_floor, line_seconds, line_share, median, peak_mb};
use crate::tools::word;

/// The worker's program.
const WORKER: &str = "schemaferry";

/// The faster of both counts.
const PGCOPYDB: [&str; 2] = [word::PGCOPYDB_2, word::PGCOPYDB_4];
const OVER_A_LINE: [&str; 3] = [word::PGCOPYDB_2, word::PGCOPYDB_4, word::PGCOPYDB_8];

/// One line of the bar.
pub(crate) struct Goal {
    what: &'static str,
    wanted: Wanted,
    unit: &'static str,
    /// Nothing where a tool or set that it needs was not run, or failed.
    found: Option<f64>,
}

#[derive(Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

impl Wanted {
    fn met(self, found: f64) -> bool {
        match self {
            Self::AtLeast(least) => found >= least,
            Self::AtMost(most) => found <= most,
        }
    }
}

/// Every line of the bar.
pub(crate) fn goals(measured: &[Measured]) -> Vec<Goal> {
    let results = Results(measured);
    let mut goals = speed(&results);
    goals.extend(refreshes(&results));
    goals.push(crowd(&results));
    goals.extend(thrift(&results));
    goals
}

fn speed(results: &Results<'_>) -> Vec<Goal> {
    let goal = |what, wanted, found| Goal {
        what,
        wanted,
        unit: " times",
        found,
    };
    let faster_than = |set, words: &[&str]| results.ratio(set, words, &[word::COPY]);
    vec![
        goal(
            "warehouse: faster than the original pipe",
            Wanted::AtLeast(4.0),
            faster_than("warehouse", &[word::ORIGINAL]),
        ),
        goal(
            "warehouse: faster than pgcopydb",
            Wanted::AtLeast(1.25),
            faster_than("warehouse", &PGCOPYDB),
        ),
        goal(
            "warehouse: time against the servers alone, lz4 in both",
            Wanted::AtMost(1.02),
            results.ratio("warehouse", &[word::COPY], &[word::FLOOR_LZ4]),
        ),
        goal(
            "small: faster than the original pipe",
            Wanted::AtLeast(1.5),
            faster_than("small", &[word::ORIGINAL]),
        ),
        goal(
            "small: faster than METHOD=pipe",
            Wanted::AtLeast(1.5),
            faster_than("small", &[word::PIPE]),
        ),
        goal(
            "small: faster than pgcopydb",
            Wanted::AtLeast(3.0),
            faster_than("small", &PGCOPYDB),
        ),
        goal(
            "documents: faster than the original pipe",
            Wanted::AtLeast(6.0),
            faster_than("documents", &[word::ORIGINAL]),
        ),
        goal(
            "latency: faster than pgcopydb",
            Wanted::AtLeast(1.5),
            faster_than("latency", &PGCOPYDB),
        ),
        goal(
            "line-400: time against the line or the servers' CPU",
            Wanted::AtMost(1.15),
            results
                .set("line-400")
                .and_then(|set| against_the_floor(set, word::COPY)),
        ),
        goal(
            "line-400: faster than pgcopydb",
            Wanted::AtLeast(1.35),
            faster_than("line-400", &OVER_A_LINE),
        ),
        goal(
            "lopsided: time against the same rows in tables of one size",
            Wanted::AtMost(1.1),
            results.across([("lopsided", word::COPY), ("even", word::COPY)]),
        ),
    ]
}

fn refreshes(results: &Results<'_>) -> [Goal; 4] {
    let faster = |what, set, least| Goal {
        what,
        wanted: Wanted::AtLeast(least),
        unit: " times",
        found: results.ratio(set, &[word::COPY], &[word::REFRESH]),
    };
    let thrifty = |what, set| Goal {
        what,
        wanted: Wanted::AtMost(1.05),
        unit: " times",
        found: results.set(set).and_then(bytes_against_what_was_written),
    };
    [
        faster("refresh-1: a refresh faster than a load", "refresh-1", 10.0),
        thrifty(
            "refresh-1: bytes on the line against those of new rows",
            "refresh-1",
        ),
        faster(
            "refresh-documents: a refresh faster than a load",
            "refresh-documents",
            50.0,
        ),
        thrifty(
            "refresh-documents: bytes on the line against those of new rows",
            "refresh-documents",
        ),
    ]
}

fn bytes_against_what_was_written(measured: &Measured) -> Option<f64> {
    let figure = |bytes: Option<u64>| Some(f64::from(u32::try_from(bytes? / 1000).ok()?));
    Some(figure(measured.carried)? / figure(measured.data.written)?)
}

fn crowd(results: &Results<'_>) -> Goal {
    let busy = || {
        let set = results.set("sixty")?;
        let line = line_seconds(set, set.costs(word::FIVE)?)?;
        Some(line / set.seconds(word::FIVE)? * 100.0)
    };
    Goal {
        what: "sixty: share of the line from the first start to the last end",
        wanted: Wanted::AtLeast(95.0),
        unit: " %",
        found: busy(),
    }
}

fn thrift(results: &Results<'_>) -> Vec<Goal> {
    let goal = |what, wanted, unit, found| Goal {
        what,
        wanted,
        unit,
        found,
    };
    let per_table = || {
        let tables = f64::from(results.set("small")?.data.tables);
        Some(results.client("small", word::COPY)? * 1e3 / tables)
    };
    let per_gigabyte = |set| {
        let bytes = results.costs(set, word::COPY)?.first()?.row_bytes()?;
        Some(results.client(set, word::COPY)? * 1e9 / bytes)
    };
    let of_psql = || Some(results.client("keyless", word::COPY)? / results.client("keyless", word::PSQL)?);
    let share = || {
        let set = results.set("line-400")?;
        Some(line_share(set, set.costs(word::COPY)?)? * 100.0)
    };
    let peak = || {
        let costs = results.0.iter().filter_map(|measured| measured.costs(word::COPY));
        costs.filter_map(|costs| peak_mb(costs, WORKER)).reduce(f64::max)
    };
    vec![
        goal(
            "small: client CPU per table",
            Wanted::AtMost(2.0),
            " ms",
            per_table(),
        ),
        goal(
            "warehouse: client CPU per GB of rows",
            Wanted::AtMost(2.0),
            " s",
            per_gigabyte("warehouse"),
        ),
        goal(
            "keyless: client CPU per GB of rows",
            Wanted::AtMost(2.0),
            " s",
            per_gigabyte("keyless"),
        ),
        goal(
            "keyless: client CPU against psql | psql",
            Wanted::AtMost(0.5),
            " times",
            of_psql(),
        ),
        goal(
            "line-400: share that is used while rows move",
            Wanted::AtLeast(90.0),
            " %",
            share(),
        ),
        goal(
            "every set: memory of the worker",
            Wanted::AtMost(64.0),
            " MB",
            peak(),
        ),
    ]
}

/// The bar as Markdown.
pub(crate) fn table(goals: &[Goal]) -> String {
    let mut text =
        "### The bar: METHOD=copy\n\n| what | wanted | found | met |\n| --- | --- | --- | --- |\n".to_owned();
    for Goal {
        what,
        wanted,
        unit,
        found,
    } in goals
    {
        let (relation, figure) = match wanted {
            Wanted::AtLeast(least) => ("at least", least),
            Wanted::AtMost(most) => ("at most", most),
        };
        let what = what.replace('|', "\\|");
        let (found, met) = match found {
            Some(found) if wanted.met(*found) => (format!("{found:.2}{unit}"), "yes"),
            Some(found) => (format!("{found:.2}{unit}"), "**no**"),
            None => ("not measured".to_owned(), "–"),
        };
        writeln!(text, "| {what} | {relation} {figure}{unit} | {found} | {met} |").unwrap();
    }
    text
}

/// What the run measured, asked by set and tool.
struct Results<'a>(&'a [Measured]);

impl<'a> Results<'a> {
    fn set(&self, name: &str) -> Option<&'a Measured> {
        self.0.iter().find(|measured| measured.set.name == name)
    }

    fn costs(&self, set: &str, word: &str) -> Option<&'a [Cost]> {
        self.set(set)?.costs(word)
    }

    /// Client CPU in seconds.
    fn client(&self, set: &str, word: &str) -> Option<f64> {
        let costs = self.costs(set, word)?;
        Some(median(costs, |cost| cost.client.as_secs_f64()))
    }

    /// The time of the fastest of these tools.
    fn fastest(&self, set: &str, words: &[&str]) -> Option<f64> {
        let set = self.set(set)?;
        words.iter().filter_map(|word| set.seconds(word)).reduce(f64::min)
    }

    /// The time of the first tools against that of the second.
    fn ratio(&self, set: &str, first: &[&str], second: &[&str]) -> Option<f64> {
        Some(self.fastest(set, first)? / self.fastest(set, second)?)
    }

    fn across(&self, [first, second]: [(&str, &str); 2]) -> Option<f64> {
        let seconds = |(set, word)| self.fastest(set, &[word]);
        Some(seconds(first)? / seconds(second)?)
    }
}
