//! A report as a trace of the Trace Event Format, as Perfetto opens it: a process a unit, a thread for its phases, and as many
//! as it takes for its slowest tables.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::error::Error;
use crate::log;
use crate::log::printable;
use crate::report::Report;
use crate::report::runs::{Slow, Unit, seconds};

impl Report {
    pub(crate) fn trace(&self) -> Result<String, Error> {
        let began = self.ends.as_ref().map_or(self.made_at, |ends| ends.began);
        let mut events = vec![named("process_name", (0, 0), "all units")];
        events.extend(self.concurrency.iter().map(|step| {
            json!({
                "name": "units at work", "ph": "C", "pid": 0, "tid": 0, "ts": micros(began, step.at),
                "args": {"units": step.units},
            })
        }));
        for (unit, process) in self.units.iter().zip(1_u32..) {
            of_unit(unit, (began, process), &mut events);
        }
        let trace = json!({
            "displayTimeUnit": "ms",
            "otherData": {"run": self.run, "target": self.target, "began": began},
            "traceEvents": events,
        });
        let json = serde_json::to_string(&trace)
            .map_err(|error| Error::Internal(format!("the trace is no JSON: {error}")))?;
        Ok(log::without_controls(&json) + "\n")
    }
}

/// Microseconds since the run has begun.
fn micros(began: Timestamp, at: Timestamp) -> f64 {
    (seconds(began, at) * 1e6).round()
}

fn named(what: &str, (process, thread): (u32, u32), name: &str) -> Value {
    json!({"name": what, "ph": "M", "pid": process, "tid": thread, "args": {"name": printable(name)}})
}

/// An event from `at` on; each side of the comparison as long as it says.
fn event(
    name: &str,
    category: &str,
    (process, thread): (u32, u32),
    (ts, dur): (f64, f64),
    args: &Value,
) -> Value {
    json!({
        "name": printable(name), "cat": category, "ph": "X", "pid": process, "tid": thread, "ts": ts,
        "dur": (dur * 1e6).round(), "args": args,
    })
}

fn of_unit(unit: &Unit, (began, process): (Timestamp, u32), events: &mut Vec<Value>) {
    events.push(named("process_name", (process, 0), &unit.name));
    events.push(named("thread_name", (process, 0), "attempts and phases"));
    // Until when each lane is taken.
    let mut lanes: Vec<Timestamp> = Vec::new();
    for (attempt, number) in unit.attempts.iter().zip(1..) {
        let args = json!({
            "outcome": attempt.outcome, "exit": attempt.exit, "reason": attempt.reason.as_deref().map(printable),
            "rows": attempt.rows, "bytes": attempt.bytes,
        });
        let at = (micros(began, attempt.began), attempt.seconds());
        events.push(event(
            &format!("attempt {number}"),
            "attempt",
            (process, 0),
            at,
            &args,
        ));
        for stretch in &attempt.phases {
            let at = (micros(began, stretch.began), stretch.seconds);
            events.push(event(&stretch.phase, "phase", (process, 0), at, &json!({})));
        }
        let mut tables: Vec<(Timestamp, &Slow)> = attempt
            .slowest
            .iter()
            .filter(|slow| slow.seconds > 0.0)
            .filter_map(|slow| Some((slow.began?, slow)))
            .collect();
        tables.sort_by_key(|(at, _)| *at);
        for (at, slow) in tables {
            let lane = lane(&mut lanes, at, slow.seconds);
            let args = json!({"rows": slow.rows, "bytes": slow.bytes});
            let when = (micros(began, at), slow.seconds);
            events.push(event(&slow.table, "table", (process, lane), when, &args));
        }
    }
    for (_, lane) in lanes.iter().zip(1_u32..) {
        events.push(named("thread_name", (process, lane), "slowest tables"));
    }
}

/// The first lane that is free then, taken for so long: events of one thread must not overlap.
fn lane(lanes: &mut Vec<Timestamp>, at: Timestamp, seconds: f64) -> u32 {
    let length = jiff::SignedDuration::try_from_secs_f64(seconds).unwrap_or_default();
    let until = at.checked_add(length).unwrap_or(at);
    let free = lanes.iter().position(|taken| *taken <= at);
    let index = free.unwrap_or(lanes.len());
    match lanes.get_mut(index) {
        Some(taken) => *taken = until,
        None => lanes.push(until),
    }
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}
