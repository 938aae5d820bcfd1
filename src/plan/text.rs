//! The plan for people: answers, units, the schedule as bars, and the forecast last, where a terminal shows it.

use std::fmt::Write as _;

use indicatif::{HumanBytes, HumanCount};

use crate::log::printable;
use crate::plan::forecast::{Basis, assumed};
use crate::plan::schedule::Slot;
use crate::plan::{Plan, Unit};
use crate::tabular::{aligned, cut, span};

/// Characters of the schedule from its beginning to its end.
const WIDTH: usize = 56;

impl Basis {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Own => "its last load",
            Self::Others => "the loads of others",
            Self::Assumed => "assumptions",
        }
    }
}

impl Plan {
    /// All of it.
    pub(crate) fn text(&self) -> String {
        let sections = [self.answers(), self.table(), self.schedule(), self.outcome()];
        sections.join("\n")
    }

    /// Answers of all units, then those of each.
    fn answers(&self) -> String {
        let common = self.common();
        let mut text = String::new();
        let mut say = |unit: &str, findings: &mut dyn Iterator<Item = String>| {
            let lines: Vec<String> = findings.collect();
            if !lines.is_empty() {
                writeln!(text, "{unit}\n{}", lines.join("\n")).ok();
            }
        };
        let lines = |text: String| text.split('\n').map(printable).collect::<Vec<_>>().join("\n");
        say(
            "every unit",
            &mut common.iter().map(|finding| lines(finding.to_string())),
        );
        for (_, unit) in self.in_order() {
            let own = unit.answers.findings().iter();
            let mut own = own
                .filter(|finding| !common.contains(finding))
                .map(|finding| lines(finding.to_string()));
            say(&printable(&unit.name()), &mut own);
        }
        text
    }

    fn table(&self) -> String {
        let head = [
            "unit",
            "tables",
            "rows",
            "heap",
            "TOAST",
            "indexes",
            "largest table",
            "keys out",
            "jobs",
            "cpu",
            "memory",
            "takes",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        for (index, unit) in self.in_order() {
            let (holds, size) = (&unit.holds, unit.size);
            let more = if holds.unanalyzed > 0 { "+" } else { "" };
            let largest = holds.largest.as_ref().map_or_else(String::new, |(bytes, table)| {
                format!("{} {}", cut(&printable(table)), HumanBytes(*bytes))
            });
            let seconds = self.forecast.jobs.get(index).map_or(0.0, |job| job.seconds);
            rows.push([
                short(unit),
                HumanCount(holds.tables).to_string(),
                format!("{}{more}", HumanCount(holds.rows)),
                HumanBytes(holds.heap).to_string(),
                HumanBytes(holds.toast).to_string(),
                HumanBytes(holds.built).to_string(),
                largest,
                unit.leaving.to_string(),
                size.jobs.to_string(),
                size.cpu.to_string(),
                size.memory.to_string(),
                span(seconds),
            ]);
        }
        let mut text = aligned(&rows);
        for (_, unit) in self.in_order().filter(|(_, unit)| !unit.needs.is_empty()) {
            let needs = printable(&self.needed_by(unit));
            writeln!(text, "  {} needs {needs}", short(unit)).ok();
        }
        if self.units.iter().any(|unit| unit.holds.unanalyzed > 0) {
            text.push_str("  + tables that were never analyzed have no estimate of their rows\n");
        }
        text
    }

    /// A bar for each unit; dots where it waits at its place.
    fn schedule(&self) -> String {
        let mut rows = Vec::new();
        for (index, unit) in self.in_order() {
            if let Some(slot) = self.forecast.slots.get(index) {
                rows.push([
                    short(unit),
                    bar(*slot, self.forecast.total),
                    span(slot.starts),
                    span(slot.ends),
                ]);
            }
        }
        aligned(&rows)
    }

    fn outcome(&self) -> String {
        let forecast = &self.forecast;
        let mut text = format!(
            "{} for {} units, {} at once; bounded by {}\n",
            span(forecast.total),
            self.units.len(),
            forecast.places,
            printable(&self.bound())
        );
        for basis in [Basis::Own, Basis::Others, Basis::Assumed] {
            let units = forecast.bases.iter().filter(|one| **one == basis).count();
            if units > 0 {
                writeln!(text, "  {units} by {}", basis.words()).ok();
            }
        }
        if forecast.bases.contains(&Basis::Assumed) {
            let mb = |rate: f64| format!("{:.0} MB/s", rate / 1e6);
            writeln!(
                text,
                "  assumed: a unit moves {} of heap and TOAST, builds {} of indexes, takes {} a table and {} beside; \
                 all together move at most {}",
                mb(assumed::MOVED),
                mb(assumed::BUILT),
                span(assumed::TABLE),
                span(assumed::UNIT),
                mb(assumed::LINE)
            )
            .ok();
        } else {
            let rate = forecast.line / 1e6;
            writeln!(
                text,
                "  all together never moved more than {rate:.1} MB/s; the start of tasks is not counted"
            )
            .ok();
        }
        text.push_str(&self.moves());
        for reason in &forecast.extrapolated {
            writeln!(text, "  EXTRAPOLATED: {reason}").ok();
        }
        let (source, target) = ("the source alone was asked", "source and target were asked");
        let asked = if self.has_target { target } else { source };
        let refused = self
            .units
            .iter()
            .filter(|unit| !unit.answers.refusals().is_empty());
        match refused.count() {
            0 => writeln!(text, "  {asked}; nothing is refused").ok(),
            count => writeln!(text, "  {asked}; {count} units would be REFUSED, as said above").ok(),
        };
        text
    }

    /// What refreshes are expected to move.
    fn moves(&self) -> String {
        let mut text = String::new();
        if !self.is_refresh {
            return text;
        }
        let holds = |unit: &Unit| unit.holds.heap + unit.holds.toast;
        let moves = |unit: &Unit| match &unit.expected {
            Some(Ok(bytes)) => *bytes,
            Some(Err(_)) | None => holds(unit),
        };
        writeln!(
            text,
            "  refreshes: {} of {} move, by what the source has counted; heaps are scanned first, it is assumed at {:.0} MB/s",
            HumanBytes(self.units.iter().map(moves).sum()),
            HumanBytes(self.units.iter().map(holds).sum()),
            assumed::SCANNED / 1e6
        )
        .ok();
        for (_, unit) in self.in_order() {
            if let Some(reason) = unit.whole() {
                writeln!(text, "  {} is loaded whole: {}", short(unit), printable(reason)).ok();
            }
        }
        text
    }
}

/// A unit's name as far as it fits.
fn short(unit: &Unit) -> String {
    cut(&printable(&unit.name()))
}

/// Blanks, dots while it waits, blocks while it works; always so wide.
fn bar(slot: Slot, total: f64) -> String {
    let column = |seconds: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "between 0 and WIDTH"
        )]
        let column = (seconds / total.max(f64::MIN_POSITIVE) * WIDTH as f64)
            .clamp(0.0, WIDTH as f64)
            .round() as usize;
        column
    };
    let (starts, works) = (column(slot.starts), column(slot.works));
    // What is short is seen all the same.
    let works = works.min(WIDTH - 1);
    let ends = column(slot.ends).max(works + 1);
    let starts = starts.min(works);
    format!(
        "{}{}{}{}",
        " ".repeat(starts),
        "·".repeat(works - starts),
        "█".repeat(ends - works),
        " ".repeat(WIDTH - ends)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_wide_as_all_others_and_never_empty() {
        let slot = |starts, works, ends| Slot { starts, works, ends };
        for (slot, dots) in [
            (slot(0.0, 0.0, 100.0), 0),
            (slot(100.0, 100.0, 100.0), 0),
            (slot(0.0, 50.0, 50.0), WIDTH / 2),
            (slot(f64::INFINITY, f64::INFINITY, f64::INFINITY), 0),
        ] {
            let bar = bar(slot, 100.0);
            assert_eq!(bar.chars().count(), WIDTH, "{bar}");
            assert!(bar.contains('█'), "{bar}");
            assert_eq!(bar.matches('·').count(), dots, "{bar}");
        }
    }
}
