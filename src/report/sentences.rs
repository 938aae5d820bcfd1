//! What a report says in words, whatever it is rendered as. Names stand in it as they are: whoever renders escapes them.

use indicatif::{HumanBytes, HumanCount};

use crate::exit::Exit;
use crate::report::decision::Accepted;
use crate::report::runs::{Attempt, Outcome};
use crate::report::standing::Untouched;
use crate::report::{Before, Change, Ends, Level, Report, SPREAD_OF};
use crate::tabular::{counted, span};
use crate::word;

/// Tables that one sentence names.
const NAMED_MAX: usize = 5;

/// How an attempt has ended that was not the last one.
pub(super) fn why_again(attempt: &Attempt) -> String {
    let after = span(attempt.seconds());
    match attempt.outcome {
        Outcome::Complete => format!("complete after {after}, and loaded again"),
        Outcome::Running => format!("at work for {after}"),
        Outcome::Lost => format!("killed after at least {after}"),
        Outcome::Failed => {
            let code = attempt.exit.unwrap_or_default();
            let name = Exit::ALL.iter().find(|exit| exit.code() == code);
            format!(
                "{} ({code}) after {after}: {}",
                name.map_or("unexpected", |exit| exit.name()),
                attempt.reason.as_deref().unwrap_or("no reason is known")
            )
        }
    }
}

/// Name of a run.
pub(super) fn run_name(run: Option<&str>) -> &str {
    run.unwrap_or("without RUN_ID")
}

/// Growth in percent, with its sign.
fn growth(before: u64, now: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    let percent = if before > 0 {
        (now as f64 - before as f64) / before as f64 * 100.0
    } else {
        return String::new();
    };
    if percent.abs() < 0.05 {
        " (±0 %)".to_owned()
    } else {
        format!(" ({percent:+.1} %)")
    }
}

impl Accepted {
    /// Who has accepted it, and why.
    pub(super) fn by(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason is given");
        match &self.user {
            Some(user) => format!("{reason} (as {user})"),
            None => reason.to_owned(),
        }
    }
}

impl Level {
    pub(super) fn words(&self) -> String {
        let compared = match self.verify.as_str() {
            "hash" => "every value compared",
            "rows" => "rows counted on both sides",
            _ => "nothing compared",
        };
        format!(
            "{compared}: {}, {} rows, {}",
            counted(self.schemas, "schema"),
            HumanCount(self.rows),
            HumanBytes(self.bytes)
        )
    }
}

impl Ends {
    /// How much is left of the window.
    pub(super) fn reserve(&self) -> Option<String> {
        let reserve = self.reserve_s?;
        Some(if reserve < 0.0 {
            format!("{} over", span(-reserve))
        } else {
            span(reserve)
        })
    }

    /// What the last runs tell of it.
    pub(super) fn spread(&self) -> String {
        let count = self.runs.len();
        if count < SPREAD_OF {
            return format!(
                "no spread: {} of these schemas known, and it takes {SPREAD_OF}",
                counted(count, "complete run")
            );
        }
        let longest = self.runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
        let shortest = self.runs.iter().map(|run| run.seconds).fold(f64::MAX, f64::min);
        format!(
            "the last {SPREAD_OF} runs took {} to {}",
            span(shortest),
            span(longest)
        )
    }

    /// The reserve after the longest of the last runs.
    pub(super) fn worst(&self) -> Option<String> {
        let worst = self.worst_reserve_s?;
        Some(if worst < 0.0 {
            format!("{} over", span(-worst))
        } else {
            span(worst)
        })
    }
}

impl Change {
    pub(super) fn size(&self) -> String {
        let Some(size) = self.size else {
            return String::new();
        };
        let grown = self.before.as_ref().map(|before| growth(before.size, size));
        format!("{}{}", HumanBytes(size), grown.unwrap_or_default())
    }

    pub(super) fn rows(&self) -> String {
        let Some(rows) = self.rows else {
            return String::new();
        };
        let before = self.before.as_ref().and_then(|before| before.rows);
        let grown = before.map(|before| growth(before, rows));
        format!("{}{}", HumanCount(rows), grown.unwrap_or_default())
    }

    pub(super) fn duration(&self) -> String {
        let before = self.before.as_ref().map(|before| span(before.seconds));
        match (before, self.seconds.map(span)) {
            (Some(before), Some(now)) => format!("{before} → {now}"),
            (None, Some(now)) => now,
            (_, None) => String::new(),
        }
    }

    pub(super) fn changed(&self) -> &[String] {
        self.before.as_ref().map_or(&[], |before| &before.changed)
    }
}

impl Report {
    /// `Go with conditions: weekend-7 to db.example:5432/warehouse`.
    pub(super) fn headline(&self) -> String {
        format!(
            "{}: run {} to {}",
            self.decision.verdict.words(),
            run_name(self.run.as_deref()),
            self.target
        )
    }

    /// When it ends, and whether that is in time.
    pub(super) fn ends_words(&self) -> String {
        let Some(ends) = &self.ends else {
            return "nothing has begun".to_owned();
        };
        let clock = &self.clock;
        let ended = if ends.complete {
            format!("loads ended {}", clock.moment(ends.ended))
        } else {
            let complete = self.units.iter().filter(|unit| unit.complete().is_some());
            format!(
                "not ended: {} of {} units are complete at {}",
                complete.count(),
                self.units.len(),
                clock.moment(ends.ended)
            )
        };
        let window = match (ends.window, ends.reserve()) {
            (Some(window), Some(reserve)) => {
                format!("window {}, reserve {reserve}", clock.moment(window))
            }
            (Some(window), None) => format!("window {}", clock.moment(window)),
            (None, _) => "no window is given".to_owned(),
        };
        let spread = match ends.worst() {
            Some(worst) => format!("worst of the last {SPREAD_OF} {worst}"),
            None => ends.spread(),
        };
        format!("{ended}, {window}; {spread}")
    }

    /// The point of no return.
    pub(super) fn retry_words(&self) -> String {
        let Some(retry) = &self.retry else {
            return "no unit is complete: how long a retry takes is not known".to_owned();
        };
        let takes = format!(
            "another load of {}, which takes longest ({})",
            retry.unit,
            span(retry.seconds)
        );
        match retry.last_start {
            Some(start) => format!("{takes}, has to begin by {}", self.clock.moment(start)),
            None => format!("{takes}: without a window there is no last start"),
        }
    }

    /// How far the source is known to stand still, worst first.
    pub(super) fn untouched_words(&self) -> Vec<String> {
        let units = |wanted: fn(&Untouched) -> bool| -> Vec<&str> {
            let units = self.untouched.iter().filter(|one| wanted(&one.untouched));
            units.map(|one| one.unit.as_str()).collect()
        };
        let levels: [(Vec<&str>, &str); 4] = [
            (
                units(|one| matches!(one, Untouched::Written(_))),
                "written to since",
            ),
            (units(|one| matches!(one, Untouched::Unknown(_))), "not known"),
            (
                units(|one| matches!(one, Untouched::ByCounters)),
                "untouched by the server's counters",
            ),
            (
                units(|one| matches!(one, Untouched::Proved)),
                "proved untouched: the server has begun no transaction",
            ),
        ];
        let levels = levels.iter().filter(|(units, _)| !units.is_empty());
        levels
            .map(|(units, words)| {
                format!(
                    "{words}: {} ({})",
                    counted(units.len(), "unit"),
                    word::some_of(units, NAMED_MAX, ", ")
                )
            })
            .collect()
    }

    /// What the times add up to.
    pub(super) fn facts_words(&self) -> Vec<String> {
        let Some(facts) = &self.facts else {
            return Vec::new();
        };
        vec![
            format!(
                "{} has ended last; without it the loads would have ended {} earlier",
                facts.critical,
                span(facts.critical_s)
            ),
            format!(
                "up to {} at once; {:.0} % of those places' time nothing was at work",
                counted(facts.places, "unit"),
                facts.idle * 100.0
            ),
            format!(
                "{:.0} % of the units' time went into indexes and constraints after the last row; all builds together took {}",
                facts.built * 100.0,
                span(facts.builds_s)
            ),
        ]
    }

    /// Changes of which there is more to say than how much has grown, and the others.
    pub(super) fn remarkable(&self) -> (Vec<&Change>, Vec<&Change>) {
        let is_known = self.since.iter().any(|change| change.before.is_some());
        let (told, others) = self.since.iter().partition(|change| {
            is_known && change.before.is_none()
                || change.seconds.is_none()
                || !change.changed().is_empty()
                || !change.again.is_empty()
        });
        (told, others)
    }

    /// What the changes are counted from.
    pub(super) fn since_words(&self) -> String {
        if self.since.iter().all(|change| change.before.is_none()) {
            return "loaded for the first time".to_owned();
        }
        match self.run_before() {
            Some(run) => format!("since run {run}"),
            None => "since the loads before".to_owned(),
        }
    }

    /// The run before, if all units have the same.
    fn run_before(&self) -> Option<&str> {
        let mut runs = self.since.iter().filter_map(|change| change.before.as_ref());
        let first: &Before = runs.next()?;
        runs.all(|before| before.run == first.run)
            .then(|| run_name(first.run.as_deref()))
    }
}
