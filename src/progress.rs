//! How far a run has come: phases, tables, bytes, and what its last record says of them.
//!
//! Everybody adds to it, nobody reads it back to decide anything, except the watchdog that asks whether bytes moved.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::catalogue::{Counted, Table};
use crate::log;
use crate::word::Word as _;

/// Between two progress records.
const RECORD_INTERVAL: Duration = Duration::from_secs(10);
/// Between two movements of the bar on a terminal.
const BAR_INTERVAL: Duration = Duration::from_millis(500);
/// The ledger keeps how long the builds of a table took from so long on.
const BUILDS_NOTED: Duration = Duration::from_millis(100);
/// Tables named in the last record.
const SLOWEST_MAX: usize = 20;
/// What a progress record names of the work under way.
const AT_WORK_MAX: usize = 16;

/// A stretch of the line, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Phase {
    Configure,
    Connect,
    Lock,
    Preflight,
    Snapshot,
    Archive,
    /// What has changed since the load, before a refresh.
    Scan,
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

/// A table whose rows are on their way.
#[derive(Debug)]
struct Moving {
    size: u64,
    bytes: u64,
    rows: Option<u64>,
    since: Instant,
    /// Pieces that have not landed yet.
    pieces: usize,
}

/// What moved of one table.
#[derive(Debug, Clone)]
struct Moved {
    table: String,
    rows: Option<u64>,
    bytes: u64,
    /// Since the run has begun.
    begun: Duration,
    elapsed: Duration,
    /// Whether its record is written.
    recorded: bool,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    done: Vec<(Phase, Duration)>,
    /// Size on the source by name, of the tables that are still to come.
    waiting: HashMap<String, u64>,
    total_size: u64,
    moving: BTreeMap<String, Moving>,
    moved: Vec<Moved>,
    /// What sessions are at, apart from rows: each a number and words.
    busy: BTreeMap<u64, String>,
    next_busy: u64,
    /// How long each table's indexes and keys were under way, added up.
    builds: BTreeMap<String, Duration>,
    /// Tables whose rows were not frozen as they were loaded.
    not_frozen: BTreeSet<String>,
    /// Why `drift` will not be able to tell, or not for long.
    drift: Option<String>,
    /// What a refresh has left where it was, and what it moves.
    refreshed: Option<Value>,
    rows: Option<u64>,
    not_carried: Vec<String>,
    deferred: Vec<String>,
    already_complete: bool,
    mail: Option<String>,
}

/// The run's progress, shared by everything that takes part in it.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    started: Instant,
    bytes: Arc<AtomicU64>,
    steps: Arc<AtomicU64>,
    state: Arc<Mutex<State>>,
}

impl Progress {
    /// Begins with the phase `configure`.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            bytes: Arc::default(),
            steps: Arc::default(),
            state: Arc::new(Mutex::new(State {
                phase: Phase::Configure,
                since: now,
                done: Vec::new(),
                waiting: HashMap::new(),
                total_size: 0,
                moving: BTreeMap::new(),
                moved: Vec::new(),
                busy: BTreeMap::new(),
                next_busy: 0,
                builds: BTreeMap::new(),
                not_frozen: BTreeSet::new(),
                drift: None,
                refreshed: None,
                rows: None,
                not_carried: Vec::new(),
                deferred: Vec::new(),
                already_complete: false,
                mail: None,
            })),
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

    /// Notes bytes of a table that went from the source to the target.
    pub(crate) fn add_bytes(&self, table: &str, count: usize) {
        let count = count as u64;
        self.bytes.fetch_add(count, Ordering::Relaxed);
        if let Some(moving) = self.state().moving.get_mut(table) {
            moving.bytes += count;
        }
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

    /// A piece of a table, one of so many, is on its way.
    pub(crate) fn begin(&self, table: &str, pieces: usize) {
        let mut state = self.state();
        let size = state.waiting.remove(table);
        if let Some(size) = size {
            let moving = Moving {
                size,
                bytes: 0,
                rows: None,
                since: Instant::now(),
                pieces,
            };
            state.moving.insert(table.to_owned(), moving);
        }
    }

    /// A piece of a table has landed, with that many rows where they were counted.
    pub(crate) fn end(&self, table: &str, rows: Option<u64>) {
        self.step();
        let mut state = self.state();
        let Some(moving) = state.moving.get_mut(table) else {
            return;
        };
        moving.pieces = moving.pieces.saturating_sub(1);
        moving.rows = rows.map(|rows| moving.rows.unwrap_or(0) + rows);
        if moving.pieces > 0 {
            return;
        }
        if let Some(moving) = state.moving.remove(table) {
            let mut moved = Moved {
                table: table.to_owned(),
                rows: moving.rows,
                bytes: moving.bytes,
                begun: moving.since.saturating_duration_since(self.started),
                elapsed: moving.since.elapsed(),
                recorded: false,
            };
            if moved.rows.is_some() {
                moved.record();
            }
            state.moved.push(moved);
        }
    }

    /// The one stream of all tables has come to the next, or to its end.
    pub(crate) fn turn_to(&self, table: Option<&str>) {
        let before = self.state().moving.keys().next().cloned();
        if let Some(before) = before {
            self.end(&before, None);
        }
        if let Some(table) = table {
            self.begin(table, 1);
        }
    }

    /// Notes bytes of the one stream.
    pub(crate) fn add_streamed(&self, count: usize) {
        let table = self.state().moving.keys().next().cloned();
        self.add_bytes(table.as_deref().unwrap_or_default(), count);
    }

    /// Says what a session is at until the answer is dropped.
    pub(crate) fn busy(&self, what: &str) -> Busy<'_> {
        let mut state = self.state();
        let number = state.next_busy;
        state.next_busy += 1;
        state.busy.insert(number, what.to_owned());
        Busy {
            progress: self,
            number,
        }
    }

    /// Notes that something on a table was built.
    pub(crate) fn built(&self, table: String, elapsed: Duration) {
        *self.state().builds.entry(table).or_default() += elapsed;
    }

    /// What the ledger keeps of a load that is complete: how long the builds of each table took, too, in milliseconds, where it is
    /// worth a later load's attention.
    pub(crate) fn summary_with_builds(&self) -> Value {
        let mut summary = self.summary();
        if let Value::Object(summary) = &mut summary {
            summary.insert("builds".to_owned(), self.builds());
        }
        summary
    }

    fn builds(&self) -> Value {
        let state = self.state();
        let long = state
            .builds
            .iter()
            .filter(|(_, elapsed)| **elapsed >= BUILDS_NOTED);
        long.map(|(table, elapsed)| (table.clone(), json!(millis(*elapsed))))
            .collect()
    }

    /// Says why what the source writes from now on cannot be told, or not for long.
    pub(crate) fn drift(&self, reason: String) {
        self.state().drift = Some(reason);
    }

    /// Whether something that was there before stays.
    pub(crate) fn keeps(&self) -> bool {
        self.state().refreshed.is_some()
    }

    /// Notes what a refresh has decided, or a load after an interrupted one.
    pub(crate) fn refreshed(&self, told: Value) {
        self.state().refreshed = Some(told);
    }

    /// Names a table whose rows were not frozen.
    pub(crate) fn not_frozen(&self, table: String) {
        self.state().not_frozen.insert(table);
    }

    /// Adds the source's counts, those of tables that did not move included, and writes the records that waited for
    /// them.
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
                    begun: Duration::ZERO,
                    elapsed: Duration::ZERO,
                    recorded: false,
                }),
            }
        }
        let unrecorded = state.moved.iter_mut().filter(|moved| !moved.recorded);
        unrecorded.for_each(Moved::record);
    }

    /// Says how many rows the unit holds, those included that have not moved.
    pub(crate) fn holds(&self, rows: u64) {
        self.state().rows = Some(rows);
    }

    /// Names what the load leaves behind.
    pub(crate) fn not_carried(&self, what: Vec<String>) {
        self.state().not_carried.extend(what);
    }

    /// Names what another command has to create.
    pub(crate) fn deferred(&self, what: Vec<String>) {
        self.state().deferred = what;
    }

    /// Notes that nothing had to be done: the unit is complete under this `RUN_ID`.
    pub(crate) fn already_complete(&self) {
        self.state().already_complete = true;
    }

    /// Keeps the text of a mail for the last record.
    pub(crate) fn mail(&self, text: &str) {
        self.state().mail = Some(text.to_owned());
    }

    /// The text of a mail, where there is one.
    pub(crate) fn mailed(&self) -> Option<String> {
        self.state().mail.clone()
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
                    "begun_ms": millis(moved.begun),
                    "elapsed_ms": millis(moved.elapsed),
                })
            })
            .collect();
        json!({
            "totals": {
                "tables": state.moved.len(),
                "rows": state.rows,
                "bytes": self.bytes.load(Ordering::Relaxed),
                "size": state.total_size,
                "elapsed_ms": millis(self.started.elapsed()),
            },
            "phases": phases,
            "slowest": slowest,
            "not_carried": state.not_carried,
            "not_frozen": state.not_frozen,
            "drift": state.drift,
            "refreshed": state.refreshed,
            "deferred": state.deferred,
        })
    }

    /// Writes progress records and moves the terminal's bar until it is dropped.
    pub(crate) async fn report(&self) -> std::convert::Infallible {
        let mut last = (Instant::now(), 0);
        loop {
            tokio::time::sleep(BAR_INTERVAL).await;
            let bytes = self.bytes.load(Ordering::Relaxed);
            let (phase, at_work, share) = self.position();
            let left = self.time_left(share);
            log::bar::show(phase.word(), share, bytes, left);
            let (since, before) = last;
            let elapsed = since.elapsed();
            if elapsed < RECORD_INTERVAL {
                continue;
            }
            last = (Instant::now(), bytes);
            let mb_per_s = share_of(bytes - before, 1_000_000) / elapsed.as_secs_f64();
            tracing::info!(
                phase = phase.word(),
                at_work = at_work.join("; "),
                bytes,
                mb_per_s = (mb_per_s * 10.0).round() / 10.0,
                percent = (phase == Phase::Rows).then_some((share * 100.0).round()),
                left_ms = left.map(millis),
                elapsed_ms = millis(self.started.elapsed()),
                "progress"
            );
        }
    }

    /// Phase, what is being done, and the share of the rows (by size on the source) that has moved.
    fn position(&self) -> (Phase, Vec<String>, f64) {
        let state = self.state();
        let waiting: u64 = state.waiting.values().sum();
        let under_way: u64 = state
            .moving
            .values()
            .map(|moving| moving.size.saturating_sub(moving.bytes))
            .sum();
        let rows = state.moving.keys().map(|table| format!("rows of {table}"));
        let at_work = rows
            .chain(state.busy.values().cloned())
            .take(AT_WORK_MAX)
            .collect();
        let moved = state.total_size.saturating_sub(waiting + under_way);
        let share = share_of(moved, state.total_size.max(1));
        (state.phase, at_work, share)
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
}

impl Moved {
    fn record(&mut self) {
        self.recorded = true;
        tracing::info!(
            phase = Phase::Rows.word(),
            table = self.table,
            rows = self.rows,
            bytes = self.bytes,
            elapsed_ms = millis(self.elapsed),
            "table moved"
        );
    }
}

/// What a session is at; dropped when it is done.
#[derive(Debug)]
pub(crate) struct Busy<'a> {
    progress: &'a Progress,
    number: u64,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.progress.state().busy.remove(&self.number);
        self.progress.step();
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
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
