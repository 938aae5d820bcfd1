//! A report for a terminal, and the pieces of it that a mail has too.

use std::fmt::Write as _;

use crate::log::printable;
use crate::report::runs::{Outcome, Unit, seconds};
use crate::report::{Ends, Report};
use crate::tabular::{aligned, cut, span};

/// Characters of the timeline from its beginning to its end.
const WIDTH: usize = 56;

/// A heading and a line for each; nothing where there is none. At most so many lines.
pub(super) fn section(text: &mut String, heading: &str, lines: &[String], most: usize) {
    if lines.is_empty() {
        return;
    }
    writeln!(text, "\n{heading}").ok();
    for line in lines.iter().take(most) {
        writeln!(text, "  {}", printable(line)).ok();
    }
    let more = lines.len().saturating_sub(most);
    if more > 0 {
        writeln!(text, "  … and {more} more").ok();
    }
}

impl Report {
    /// All of it.
    pub(crate) fn text(&self) -> String {
        let mut text = self.summary(usize::MAX, true);
        let timeline = self.timeline();
        write!(text, "\ntimeline\n{timeline}").ok();
        section(&mut text, "in figures", &self.facts_words(), usize::MAX);
        text
    }

    /// What the first screen has, each list cut at so many lines, and `in_full` also of what has merely grown.
    pub(super) fn summary(&self, most: usize, in_full: bool) -> String {
        let mut text = format!(
            "{}\n{}, time zone {}\n",
            printable(&self.headline()),
            self.clock.exact(self.made_at),
            self.clock.zone()
        );
        let reasons: Vec<String> = self
            .decision
            .reasons
            .iter()
            .map(|one| format!("{}: {} (hint: {})", one.verdict.weight(), one.what, one.hint))
            .collect();
        section(&mut text, "what stands against it", &reasons, most);
        let accepted: Vec<String> = self
            .decision
            .accepted
            .iter()
            .map(|one| format!("{}: {}: {}", one.unit, one.what, one.by()))
            .collect();
        section(&mut text, "accepted", &accepted, most);
        section(&mut text, "time", &[self.ends_words(), self.retry_words()], most);
        let mut evidence: Vec<String> = self.evidence.iter().map(super::Level::words).collect();
        let source = self.untouched_words().into_iter();
        evidence.extend(source.map(|words| format!("source {words}")));
        section(&mut text, "evidence", &evidence, most);
        let not_carried = self.not_carried.iter();
        let not_carried: Vec<String> = not_carried
            .map(|one| format!("{}: {}", one.unit, one.what))
            .collect();
        section(&mut text, "not carried", &not_carried, most);
        let deferred = self.deferred.iter();
        let deferred: Vec<String> = deferred
            .map(|left| {
                let state = if left.is_there {
                    "not validated"
                } else {
                    "not made"
                };
                format!("foreign key {} to {}: {state}", left.key, left.references)
            })
            .collect();
        section(&mut text, "still deferred", &deferred, most);
        section(
            &mut text,
            &printable(&self.since_words()),
            &self.since_lines(in_full),
            most,
        );
        section(&mut text, "outside of schemas", &self.outside_lines(), most);
        text
    }

    fn since_lines(&self, in_full: bool) -> Vec<String> {
        let (told, others) = self.remarkable();
        let others = others.into_iter().filter(|_| in_full);
        let mut lines = Vec::new();
        for change in told.into_iter().chain(others) {
            let known = [change.duration(), change.size()];
            let known: Vec<&str> = known
                .iter()
                .map(String::as_str)
                .filter(|words| !words.is_empty())
                .collect();
            lines.push(format!("{}: {}", change.unit, known.join(", ")));
            lines.extend(change.changed().iter().map(|what| format!("  {what}")));
            let again = change.again.iter().enumerate();
            lines.extend(again.map(|(number, why)| format!("  attempt {}: {why}", number + 1)));
        }
        lines
    }

    fn outside_lines(&self) -> Vec<String> {
        let items = self.outside.iter();
        items
            .map(|item| {
                let mark = if item.same { "x" } else { " " };
                format!("[{mark}] {} {}: {}", item.kind, item.name, item.both())
            })
            .collect()
    }

    /// A bar for each unit, with what its attempts have come to.
    fn timeline(&self) -> String {
        let Some(ends) = &self.ends else {
            return String::new();
        };
        let rows: Vec<[String; 4]> = self
            .units
            .iter()
            .map(|unit| {
                let last = unit.last();
                [
                    cut(&printable(&unit.name)),
                    bar(unit, ends),
                    last.map_or_else(String::new, |last| span(last.seconds())),
                    last.map_or("", |last| last.outcome.word()).to_owned(),
                ]
            })
            .collect();
        aligned(&rows)
    }
}

/// Blocks for what is complete, crosses for what failed or was killed, dots for what is at work; always so wide.
fn bar(unit: &Unit, ends: &Ends) -> String {
    let total = seconds(ends.began, ends.ended).max(f64::MIN_POSITIVE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and WIDTH"
    )]
    let column = |at| {
        (seconds(ends.began, at) / total * WIDTH as f64)
            .clamp(0.0, WIDTH as f64)
            .round() as usize
    };
    let mut cells = [' '; WIDTH];
    for attempt in &unit.attempts {
        // What is short is seen all the same.
        let starts = column(attempt.began).min(WIDTH - 1);
        let ends = column(attempt.ended).max(starts + 1);
        let mark = match attempt.outcome {
            Outcome::Complete => '█',
            Outcome::Failed | Outcome::Lost => '×',
            Outcome::Running => '·',
        };
        if let Some(cells) = cells.get_mut(starts..ends) {
            cells.fill(mark);
        }
    }
    cells.iter().collect()
}
