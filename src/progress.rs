//! How far a run has come: phases, tables, bytes, and what its last record says of them.
//!
//! Everybody adds to it, nobody reads it back to decide anything, except the watchdog that asks whether bytes moved.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::log;
use crate::source::catalog::{Counted, Table};

/// Between two progress records.
const RECORD_INTERVAL: Duration = Duration::from_secs(10);
/// Between two movements of the bar on a terminal.
const BAR_INTERVAL: Duration = Duration::from_millis(500);
/// Tables named in the last record.
const SLOWEST_MAX: usize = 20;

/// A stretch of the line, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Configure,
    Connect,
    Lock,
    Preflight,
    Snapshot,
    Archive,
    Clear,
    PreData,
    Rows,
    Sequences,
    PostData,
    Analyze,
    Verify,
    Privileges,
    Complete,
}

impl Phase {
    /// The word in records.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Connect => "connect",
            Self::Lock => "lock",
            Self::Preflight => "preflight",
            Self::Snapshot => "snapshot",
            Self::Archive => "archive",
            Self::Clear => "clear",
            Self::PreData => "pre-data",
            Self::Rows => "rows",
            Self::Sequences => "sequences",
            Self::PostData => "post-data",
            Self::Analyze => "analyze",
            Self::Verify => "verify",
            Self::Privileges => "privileges",
            Self::Complete => "complete",
        }
    }
}

/// What moved of one table.
#[derive(Debug, Clone)]
struct Moved {
    table: String,
    rows: Option<u64>,
    bytes: u64,
    elapsed: Duration,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    done: Vec<(Phase, Duration)>,
    /// Size on the source by name, of the tables that are still to come or on their way.
    waiting: HashMap<String, u64>,
    total_size: u64,
    /// The table on its way: name, start, bytes moved before it.
    current: Option<(String, Instant, u64)>,
    moved: Vec<Moved>,
    rows: Option<u64>,
    not_carried: Vec<String>,
    deferred: Vec<String>,
    already_complete: bool,
}

/// The run's progress, shared by everything that takes part in it.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    bytes: AtomicU64,
    steps: AtomicU64,
    state: Mutex<State>,
}

impl Progress {
    /// Begins with the phase `configure`.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            bytes: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            state: Mutex::new(State {
                phase: Phase::Configure,
                since: now,
                done: Vec::new(),
                waiting: HashMap::new(),
                total_size: 0,
                current: None,
                moved: Vec::new(),
                rows: None,
                not_carried: Vec::new(),
                deferred: Vec::new(),
                already_complete: false,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The phase that runs now, or that a run ended in.
    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    /// Whether both servers have been reached.
    pub(crate) fn established(&self) -> bool {
        self.phase() as u8 > Phase::Connect as u8
    }

    /// Whether the target may have been changed.
    pub(crate) fn changing(&self) -> bool {
        self.phase() as u8 >= Phase::Clear as u8
    }

    /// Ends the phase that runs, with a record, and begins the next one.
    pub(crate) fn enter(&self, next: Phase) {
        self.step();
        let (phase, elapsed) = self.state().turn(next);
        tracing::info!(phase = phase.word(), elapsed_ms = millis(elapsed), "phase done");
    }

    /// Notes that something other than bytes moved on.
    pub(crate) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes bytes that went from the source's program to the target's.
    pub(crate) fn add_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// A number that changes whenever anything moved.
    pub(crate) fn pulse(&self) -> u64 {
        self.bytes
            .load(Ordering::Relaxed)
            .wrapping_add(self.steps.load(Ordering::Relaxed))
    }

    /// Names the tables whose rows will move.
    pub(crate) fn expect(&self, tables: &[Table]) {
        let mut state = self.state();
        state.total_size = tables.iter().map(|table| table.size_bytes).sum();
        state.waiting = tables
            .iter()
            .map(|table| (table.relation.plain(), table.size_bytes))
            .collect();
    }

    /// The stream has come to another table.
    pub(crate) fn begin_table(&self, name: &str) {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut state = self.state();
        state.end_table(bytes);
        state.current = Some((name.to_owned(), Instant::now(), bytes));
    }

    /// The stream has come to its end.
    pub(crate) fn end_rows(&self) {
        self.state().end_table(self.bytes.load(Ordering::Relaxed));
    }

    /// Adds the source's counts and writes a record for each table.
    pub(crate) fn counted(&self, units: &[(Counted, u64)]) {
        let mut state = self.state();
        state.rows = (!units.is_empty()).then(|| units.iter().map(|(_, rows)| rows).sum());
        for (unit, rows) in units {
            let name = unit.relation().plain();
            match state.moved.iter_mut().find(|moved| moved.table == name) {
                Some(moved) => moved.rows = Some(*rows),
                None => state.moved.push(Moved {
                    table: name,
                    rows: Some(*rows),
                    bytes: 0,
                    elapsed: Duration::ZERO,
                }),
            }
        }
        for moved in &state.moved {
            tracing::info!(
                phase = Phase::Rows.word(),
                table = moved.table,
                rows = moved.rows,
                bytes = moved.bytes,
                elapsed_ms = millis(moved.elapsed),
                "table moved"
            );
        }
    }

    /// Names what the load leaves behind.
    pub(crate) fn not_carried(&self, what: Vec<String>) {
        self.state().not_carried = what;
    }

    /// Names what another command has to create.
    pub(crate) fn deferred(&self, what: Vec<String>) {
        self.state().deferred = what;
    }

    /// Notes that nothing had to be done: the unit is complete under this `RUN_ID`.
    pub(crate) fn already_complete(&self) {
        self.state().already_complete = true;
    }

    /// Whether nothing had to be done.
    pub(crate) fn is_already_complete(&self) -> bool {
        self.state().already_complete
    }

    /// What the last record holds beside exit code and reason, and what the ledger keeps.
    pub(crate) fn summary(&self) -> Value {
        let state = self.state();
        let mut phases: Vec<Value> = state.done.iter().map(phase_record).collect();
        phases.push(phase_record(&(state.phase, state.since.elapsed())));
        let mut slowest: Vec<&Moved> = state.moved.iter().collect();
        slowest.sort_by_key(|moved| std::cmp::Reverse(moved.elapsed));
        let slowest: Vec<Value> = slowest
            .into_iter()
            .take(SLOWEST_MAX)
            .map(|moved| {
                json!({
                    "table": moved.table,
                    "rows": moved.rows,
                    "bytes": moved.bytes,
                    "elapsed_ms": millis(moved.elapsed),
                })
            })
            .collect();
        json!({
            "totals": {
                "tables": state.moved.len(),
                "rows": state.rows,
                "bytes": self.bytes.load(Ordering::Relaxed),
                "elapsed_ms": millis(self.started.elapsed()),
            },
            "phases": phases,
            "slowest": slowest,
            "not_carried": state.not_carried,
            "deferred": state.deferred,
        })
    }

    /// Writes progress records and moves the terminal's bar until it is dropped.
    pub(crate) async fn report(&self) -> std::convert::Infallible {
        let mut last = (Instant::now(), 0);
        loop {
            tokio::time::sleep(BAR_INTERVAL).await;
            let bytes = self.bytes.load(Ordering::Relaxed);
            let (phase, table, share) = self.position(bytes);
            let left = self.time_left(share);
            log::bar(phase.word(), share, bytes, left);
            let (since, before) = last;
            let elapsed = since.elapsed();
            if elapsed < RECORD_INTERVAL {
                continue;
            }
            last = (Instant::now(), bytes);
            let mb_per_s = share_of(bytes - before, 1_000_000) / elapsed.as_secs_f64();
            tracing::info!(
                phase = phase.word(),
                table,
                bytes,
                mb_per_s = (mb_per_s * 10.0).round() / 10.0,
                percent = (phase == Phase::Rows).then_some((share * 100.0).round()),
                left_ms = left.map(millis),
                elapsed_ms = millis(self.started.elapsed()),
                "progress"
            );
        }
    }

    /// Phase, table on its way, and the share of the rows (by size on the source) that has moved.
    fn position(&self, bytes: u64) -> (Phase, Option<String>, f64) {
        let state = self.state();
        let waiting: u64 = state.waiting.values().sum();
        let (table, current) = match &state.current {
            Some((name, _, before)) => {
                let size = state.waiting.get(name).copied().unwrap_or(0);
                (Some(name.clone()), size.min(bytes - before))
            }
            None => (None, 0),
        };
        let moved = state.total_size - waiting + current;
        let share = share_of(moved, state.total_size.max(1));
        (state.phase, table, share)
    }

    /// Time until the last row, at the pace so far.
    fn time_left(&self, share: f64) -> Option<Duration> {
        let state = self.state();
        let reliable = state.phase == Phase::Rows && share > 0.01;
        reliable.then(|| state.since.elapsed().mul_f64((1.0 - share).max(0.0) / share))
    }
}

impl State {
    fn turn(&mut self, next: Phase) -> (Phase, Duration) {
        let done = (self.phase, self.since.elapsed());
        self.done.push(done);
        (self.phase, self.since) = (next, Instant::now());
        done
    }

    fn end_table(&mut self, bytes: u64) {
        if let Some((table, since, before)) = self.current.take() {
            self.waiting.remove(&table);
            self.moved.push(Moved {
                table,
                rows: None,
                bytes: bytes - before,
                elapsed: since.elapsed(),
            });
        }
    }
}

fn phase_record((phase, elapsed): &(Phase, Duration)) -> Value {
    json!({"phase": phase.word(), "elapsed_ms": millis(*elapsed)})
}

/// A quotient for people to read.
#[expect(clippy::cast_precision_loss, reason = "nobody counts petabytes by the byte")]
fn share_of(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Whole milliseconds, as records hold them.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
