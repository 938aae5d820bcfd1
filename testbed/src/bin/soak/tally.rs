//! What came of everything that was tried.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use testbed::faults::{Fault, Outcome, Row};

/// Counts, one line for each fault.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    lines: BTreeMap<String, Line>,
    others_failed: usize,
}

#[derive(Debug, Default)]
struct Line {
    tried: usize,
    failed: usize,
    not_played: usize,
    exits: BTreeSet<i32>,
    /// The longest from the fault to the end of the run.
    took: Duration,
    /// The longest until no backend was left.
    clean: Duration,
}

impl Tally {
    /// Adds a play that went as the table says.
    pub(crate) fn add(&mut self, row: &Row, outcome: Outcome) {
        let line = self.line(row);
        line.exits.insert(outcome.exit);
        line.took = line.took.max(outcome.took);
        line.clean = line.clean.max(outcome.clean);
    }

    /// Adds one that did not.
    pub(crate) fn add_failed(&mut self, row: &Row) {
        self.line(row).failed += 1;
    }

    /// Adds one that cannot be played here.
    pub(crate) fn add_not_played(&mut self, row: &Row) {
        self.line(row).not_played += 1;
    }

    fn line(&mut self, row: &Row) -> &mut Line {
        // Words are bytes to nobody who reads this.
        let fault = if let Fault::LostAnswer { role, .. } = row.fault {
            format!("LostAnswer({role:?})")
        } else {
            format!("{:?}", row.fault)
        };
        let title = format!("{fault} at the {:?}", row.side);
        let line = self.lines.entry(title).or_default();
        line.tried += 1;
        line
    }

    /// Adds something that is not of the table.
    pub(crate) fn add_other(&mut self, well: bool) {
        self.others_failed += usize::from(!well);
    }

    /// Plays of the table so far.
    pub(crate) fn played(&self) -> usize {
        self.lines.values().map(|line| line.tried).sum()
    }

    /// How much was not as it should be.
    pub(crate) fn failures(&self) -> usize {
        let failed: usize = self.lines.values().map(|line| line.failed).sum();
        failed + self.others_failed
    }

    /// The report.
    pub(crate) fn of_the_table(&self) -> String {
        let mut text = format!(
            "{:<44} {:>5} {:>6} {:>12} {:>8} {:>8}  rows lost or doubled\n",
            "fault", "tried", "failed", "exit codes", "ends in", "clean in"
        );
        for (title, line) in &self.lines {
            let exits: Vec<String> = line.exits.iter().map(ToString::to_string).collect();
            let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
            writeln!(
                text,
                "{title:<44} {:>5} {:>6} {:>12} {:>8} {:>8}  {}",
                line.tried,
                line.failed,
                exits.join(" "),
                seconds(line.took),
                seconds(line.clean),
                match (line.failed, line.not_played) {
                    (0, 0) => "0",
                    (0, _) => "not played: it takes a mount or a control group",
                    _ => "see above",
                }
            )
            .unwrap_or_default();
        }
        text
    }
}

/// `3 times 0, 17 times -9`.
pub(crate) fn counted(exits: Vec<i32>) -> String {
    let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
    for exit in exits {
        *counts.entry(exit).or_default() += 1;
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(exit, count)| format!("{count} times {exit}"))
        .collect();
    parts.join(", ")
}
