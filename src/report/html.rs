//! A report as one HTML file: no script, no reference to anything else. Every name is escaped where it is written.

use std::fmt::Write as _;

use indicatif::{HumanBytes, HumanCount};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::log::printable;
use crate::report::decision::{Reason, Verdict};
use crate::report::runs::{Attempt, Outcome, Unit, seconds};
use crate::report::sentences::{run_name, why_again};
use crate::report::standing::Left;
use crate::report::{Change, Ends, Item, Report, SPREAD_OF};
use crate::tabular::{counted, span};

/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'";
/// Items of a list that are seen without opening it.
const SHOWN: usize = 8;
/// Conditions that are seen without opening the list, where less stands against it.
const CONDITIONS: usize = 4;
/// Seconds between two marks of the scale: the first with which there are few enough is taken.
const TICKS: [i64; 14] = [
    1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800,
];
const TICKS_MAX: f64 = 10.0;
/// Where the window ends further away than this share of the run, the timeline does without it.
const WINDOW_SEEN: f64 = 1.5;

/// What a phase is coloured as.
fn colour(phase: &str) -> &'static str {
    match phase {
        "pre-data" => "definitions",
        "rows" | "sequences" => "rows",
        "post-data" => "built",
        "analyze" | "verify" => "checked",
        "privileges" | "complete" => "closed",
        _ => "ready",
    }
}

const LEGEND: [(&str, &str); 7] = [
    ("ready", "before anything changes"),
    ("definitions", "definitions"),
    ("rows", "rows"),
    ("built", "indexes, constraints"),
    ("checked", "statistics, comparison"),
    ("closed", "privileges, end"),
    ("broken", "failed or killed"),
];

/// Text that came from a server: what turns or controls it is made visible, and its direction stays its own.
fn name(text: &str) -> Markup {
    html! { bdi { (printable(text)) } }
}

fn names(texts: &[String]) -> Markup {
    list(texts.iter().map(|text| name(text)).collect())
}

/// The first ones, and the others on demand.
fn list(items: Vec<Markup>) -> Markup {
    let mut items = items.into_iter();
    let shown: Vec<Markup> = items.by_ref().take(SHOWN).collect();
    let more: Vec<Markup> = items.collect();
    html! {
        ul { @for item in shown { li { (item) } } }
        @if !more.is_empty() {
            details {
                summary { "and " (more.len()) " more" }
                ul { @for item in more { li { (item) } } }
            }
        }
    }
}

/// What the timeline spans.
struct Scale {
    began: Timestamp,
    seconds: f64,
    window: Option<Timestamp>,
}

impl Scale {
    fn of(ends: &Ends) -> Self {
        let took = seconds(ends.began, ends.ended).max(0.001);
        let window = ends.window.filter(|window| {
            let at = seconds(ends.began, *window);
            at > 0.0 && at <= took * WINDOW_SEEN
        });
        Self {
            began: ends.began,
            seconds: window.map_or(took, |window| seconds(ends.began, window).max(took)) * 1.01,
            window,
        }
    }

    /// From the left, in percent.
    fn at(&self, moment: Timestamp) -> f64 {
        (seconds(self.began, moment) / self.seconds * 100.0).clamp(0.0, 100.0)
    }

    /// Moments that are marked.
    fn ticks(&self) -> Vec<Timestamp> {
        #[expect(clippy::cast_precision_loss, reason = "seconds between marks")]
        let fits = |step: &&i64| self.seconds / (**step as f64) <= TICKS_MAX;
        let step = TICKS.iter().find(fits).copied().unwrap_or(604_800);
        let first = self.began.as_second().div_euclid(step) * step + step;
        #[expect(clippy::cast_possible_truncation, reason = "at most ten times the step")]
        let last = self.began.as_second() + self.seconds as i64;
        let marks = (last - first).div_euclid(step).max(-1);
        (0..=marks)
            .map(|number| first + number * step)
            .filter_map(|second| Timestamp::from_second(second).ok())
            .collect()
    }

    /// The marks of a lane.
    fn marks(&self) -> Markup {
        html! {
            @for tick in self.ticks() {
                span.tick style=(format!("left:{:.2}%", self.at(tick))) {}
            }
            @if let Some(window) = self.window {
                span.tick.window style=(format!("left:{:.2}%", self.at(window))) {}
            }
        }
    }
}

impl Report {
    pub(crate) fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width";
                    meta name="referrer" content="no-referrer";
                    title { (printable(&self.headline())) }
                    style { (PreEscaped(include_str!("style.css"))) }
                }
                body class=(class(self.decision.verdict)) {
                    (self.head())
                    (self.reasons())
                    (self.cards())
                    (self.evidence_part())
                    (self.left())
                    (self.since_part())
                    (self.outside_part())
                    (self.timeline_part())
                    footer { "schemaferry " (env!("CARGO_PKG_VERSION")) }
                }
            }
        };
        page.into_string()
    }

    fn head(&self) -> Markup {
        html! {
            header {
                h1 { (self.decision.verdict.words()) }
                p { "Run " strong { (name(run_name(self.run.as_deref()))) } " to " (name(&self.target)) }
                p.soft {
                    (self.clock.exact(self.made_at)) ", " (self.clock.zone())
                    @if let Some(source) = &self.source { ", source " (name(source)) }
                    @else { ", the source was not asked" }
                }
            }
        }
    }

    fn cards(&self) -> Markup {
        let clock = &self.clock;
        let complete = self.units.iter().filter(|unit| unit.complete().is_some()).count();
        let over = |seconds: Option<f64>| seconds.is_some_and(|seconds| seconds < 0.0).then_some("over");
        html! {
            dl.cards {
                @if let Some(ends) = &self.ends {
                    div {
                        dt { @if ends.complete { "Ends" } @else { "Not ended" } }
                        dd {
                            (clock.moment(ends.ended))
                            small { (span(seconds(ends.began, ends.ended))) " since " (clock.moment(ends.began)) }
                        }
                    }
                    div {
                        dt { "Reserve" }
                        dd class=[over(ends.reserve_s)] {
                            (ends.reserve().unwrap_or_else(|| if ends.complete { "no window" } else { "not known" }.to_owned()))
                            @if let Some(window) = ends.window { small { "window " (clock.moment(window)) } }
                        }
                    }
                    div {
                        dt { "Worst of the last three" }
                        dd class=[over(ends.worst_reserve_s)] {
                            (ends.worst().unwrap_or_else(|| if ends.runs.len() < SPREAD_OF { "no spread" } else { "no window" }.to_owned()))
                            small { (ends.spread().trim_start_matches("no spread: ")) }
                        }
                    }
                }
                @if let Some(retry) = &self.retry {
                    div {
                        dt { "Last safe start of a retry" }
                        dd {
                            (retry.last_start.map_or_else(|| "no window".to_owned(), |start| clock.moment(start)))
                            small { "of " (name(&retry.unit)) ", which takes longest: " (span(retry.seconds)) }
                        }
                    }
                }
                div {
                    dt { "Complete" }
                    dd { (complete) " of " (self.units.len()) small { "units" } }
                }
            }
        }
    }

    fn reasons(&self) -> Markup {
        let reason = |one: &Reason| {
            html! {
                li class=(class(one.verdict)) {
                    span { b { (one.verdict.weight()) } " " (name(&one.what)) }
                    @if !one.hint.is_empty() { span.hint { (name(&one.hint)) } }
                }
            }
        };
        let reasons = &self.decision.reasons;
        let against = reasons.iter().filter(|one| one.verdict == Verdict::NoGo);
        let shown = against.count().clamp(CONDITIONS, SHOWN).min(reasons.len());
        let (first, more) = reasons.split_at(shown);
        html! {
            @if self.decision.reasons.is_empty() { p { "Nothing stands against it." } }
            ul.reasons { @for one in first { (reason(one)) } }
            @if !more.is_empty() {
                details {
                    summary { "and " (more.len()) " more" }
                    ul.reasons { @for one in more { (reason(one)) } }
                }
            }
            @if !self.decision.accepted.is_empty() {
                h3 { "Accepted" }
                (list(self.decision.accepted.iter().map(|one| html! {
                    strong { (name(&one.unit)) } ": " (name(&one.what)) span.soft { " — " (name(&one.by())) }
                }).collect()))
            }
        }
    }

    fn evidence_part(&self) -> Markup {
        html! {
            h2 { "Evidence" }
            ul {
                @for level in &self.evidence { li { (level.words()) } }
                @for words in self.untouched_words() { li { "Source: " (name(&words)) } }
            }
        }
    }

    fn left(&self) -> Markup {
        let deferred = |left: &Left| {
            html! {
                "foreign key " (name(&left.key)) " to " (name(&left.references)) ": "
                @if left.is_there { "not validated" } @else { "not made" }
            }
        };
        html! {
            @if !self.not_carried.is_empty() {
                h2 { "Not carried" }
                (list(self.not_carried.iter().map(|one| html! { strong { (name(&one.unit)) } ": " (name(&one.what)) }).collect()))
            }
            @if !self.deferred.is_empty() {
                h2 { "Still deferred" }
                (list(self.deferred.iter().map(deferred).collect()))
            }
        }
    }

    fn since_part(&self) -> Markup {
        let (told, others) = self.remarkable();
        // A few are seen without opening anything.
        let (told, others) = if self.since.len() <= SHOWN {
            (self.since.iter().collect(), Vec::new())
        } else {
            (told, others)
        };
        html! {
            h2 { (name(&self.since_words())) }
            @if !told.is_empty() { (changes(&told)) }
            @if !others.is_empty() {
                details {
                    summary { (counted(others.len(), "unit")) ", each in one attempt, with no definition changed" }
                    (changes(&others))
                }
            }
        }
    }

    fn outside_part(&self) -> Markup {
        let (same, others): (Vec<&Item>, Vec<&Item>) = self.outside.iter().partition(|item| item.same);
        html! {
            h2 { "Outside of schemas" }
            @if self.outside.is_empty() { p { "Nothing is known to live there." } }
            (ticks(&others))
            @if !same.is_empty() {
                details {
                    summary { (counted(same.len(), "thing")) " the same on both sides" }
                    (ticks(&same))
                }
            }
        }
    }

    fn timeline_part(&self) -> Markup {
        let Some(ends) = &self.ends else {
            return html! {};
        };
        let scale = Scale::of(ends);
        html! {
            h2 { "Timeline" }
            div.legend {
                @for (class, words) in LEGEND { span { i class=(class) {} (words) } }
            }
            div.timeline {
                div.grid.scale {
                    span {}
                    div.lane {
                        @for tick in scale.ticks() {
                            span style=(format!("left:{:.2}%", scale.at(tick))) { (self.clock.tick(tick, scale.seconds)) }
                        }
                    }
                    span {}
                }
                @for unit in &self.units { (unit_row(unit, &scale)) }
                (self.concurrency_row(&scale))
            }
            h2 { "In figures" }
            ul { @for words in self.facts_words() { li { (name(&words)) } } }
        }
    }

    /// Units at work, as an area below the timeline.
    fn concurrency_row(&self, scale: &Scale) -> Markup {
        let most = self.concurrency.iter().map(|step| step.units).max().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let height = |units: usize| 100.0 - units as f64 / most.max(1) as f64 * 92.0;
        let mut path = "M0,100".to_owned();
        let mut level = 100.0;
        for step in &self.concurrency {
            let at = scale.at(step.at) * 10.0;
            write!(path, " L{at:.1},{level:.1}").ok();
            level = height(step.units);
            write!(path, " L{at:.1},{level:.1}").ok();
        }
        html! {
            div.grid {
                span.soft { "units at work" }
                div.lane.tall {
                    (scale.marks())
                    svg viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true" { path d=(path + " Z") {} }
                }
                span { "up to " (most) }
            }
        }
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NoGo => "no-go",
        Verdict::GoWithConditions => "go-with-conditions",
        Verdict::Go => "go",
    }
}

fn changes(changes: &[&Change]) -> Markup {
    html! {
        table {
            tr {
                th { "unit" } th { "heap and TOAST" } th { "rows" } th { "duration" } th { "attempts" }
                th.text { "definitions and attempts" }
            }
            @for change in changes { (change_row(change)) }
        }
    }
}

fn change_row(change: &Change) -> Markup {
    let lines: Vec<String> = change.changed().iter().chain(&change.again).cloned().collect();
    html! {
        tr {
            td { (name(&change.unit)) }
            td { (change.size()) }
            td { (change.rows()) }
            td { (change.duration()) }
            td { (change.attempts) }
            td.text {
                @match (&change.before, lines.is_empty()) {
                    (_, true) if change.seconds.is_none() => { span.soft { "not complete" } }
                    (None, true) => { span.soft { "never loaded before" } }
                    (Some(_), true) => { span.soft { "as they were" } }
                    (_, false) => {
                        @if lines.len() <= 2 { @for line in &lines { (name(line)) br; } }
                        @else { details { summary { (lines.len()) " changes" } (names(&lines)) } }
                    }
                }
            }
        }
    }
}

fn ticks(items: &[&Item]) -> Markup {
    html! {
        ul.ticks {
            @for item in items {
                li {
                    label {
                        input type="checkbox" checked[item.same];
                        (item.kind) " " strong { (name(&item.name)) } " " span.soft { (name(&item.both())) }
                    }
                }
            }
        }
    }
}

fn unit_row(unit: &Unit, scale: &Scale) -> Markup {
    html! {
        details {
            summary.grid {
                span title=(printable(&unit.name)) { (name(&unit.name)) }
                div.lane {
                    (scale.marks())
                    @for attempt in &unit.attempts { (attempt_bar(attempt, scale)) }
                }
                span { @if let Some(last) = unit.last() { (ending(last)) } }
            }
            div { @for (number, attempt) in (1..).zip(&unit.attempts) { (attempt_part(number, attempt)) } }
        }
    }
}

/// How long it took, or how it has ended.
fn ending(last: &Attempt) -> String {
    match last.outcome {
        Outcome::Complete => span(last.seconds()),
        Outcome::Failed => format!("exit {}", last.exit.unwrap_or_default()),
        Outcome::Lost | Outcome::Running => last.outcome.word().to_owned(),
    }
}

fn attempt_bar(attempt: &Attempt, scale: &Scale) -> Markup {
    let (left, right) = (scale.at(attempt.began), scale.at(attempt.ended));
    html! {
        span class={ "attempt " (attempt.outcome.word()) }
            style=(format!("left:{left:.3}%;width:{:.3}%", right - left))
            title=(printable(&format!("{}, {}", attempt.outcome.word(), span(attempt.seconds())))) {
            @if attempt.phases.is_empty() { i.ready {} }
            @for stretch in attempt.phases.iter().filter(|stretch| stretch.seconds > 0.0) {
                i class=(colour(&stretch.phase)) style=(format!("flex-grow:{:.3}", stretch.seconds))
                    title=(printable(&format!("{} {}", stretch.phase, span(stretch.seconds)))) {}
            }
        }
    }
}

fn attempt_part(number: usize, attempt: &Attempt) -> Markup {
    html! {
        h3 { "Attempt " (number) }
        p {
            @if attempt.outcome == Outcome::Complete {
                @if let Some(refreshed) = attempt.refreshed {
                    (HumanCount(refreshed.kept)) " tables kept, " (HumanCount(refreshed.appended_to)) " appended to, "
                    (HumanCount(refreshed.loaded_again)) " loaded again: "
                } @else { (HumanCount(attempt.tables)) " tables, " }
                 (HumanBytes(attempt.bytes)) " in " (span(attempt.seconds()))
            } @else { (name(&why_again(attempt))) }
        }
        @if !attempt.differences.is_empty() { (names(&attempt.differences)) }
        @if !attempt.slowest.is_empty() {
            table {
                tr { th { "slowest tables" } th { "rows" } th { "bytes" } th { "time" } }
                @for slow in &attempt.slowest {
                    tr {
                        td { (name(&slow.table)) }
                        td { (slow.rows.map_or_else(String::new, |rows| HumanCount(rows).to_string())) }
                        td { (HumanBytes(slow.bytes)) }
                        td { (span(slow.seconds)) }
                    }
                }
            }
        }
    }
}
