//! Playing a row: the run is held at words that only this phase says, the fault is brought about, and the run goes on.
//! After that the exit code, the time it took, what is left on both servers, what the next run makes of it, and
//! everything that should not have changed are looked at.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, complain};
use crate::faults::inject::Held;
use crate::faults::stage::{PATIENCE, Play, Stage};
use crate::faults::table::{Fault, PHASES, Row, Side};
use crate::warehouse;
use crate::worker::{Output, Running};

/// How long backends of a run that has ended may be left, or of one that was cut off, after the next one's start.
const CLEAN_LIMIT: Duration = Duration::from_secs(10);

/// What a row came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub exit: i32,
    /// From the fault to the end of the run.
    pub took: Duration,
    /// Until no backend of it was left, from its end or from the next start.
    pub clean: Duration,
}

impl Stage {
    /// Plays one phase of a row under one METHOD; panics where anything is not as it should be. `None` where this
    /// process may not mount what the fault needs.
    #[must_use]
    pub fn play(&self, row: &Row, phase: &'static str, method: &str) -> Option<Outcome> {
        let play = Play::new(self, row, phase, method);
        if play.is_none() {
            complain(&format!(
                "not played, because it takes a mount or a control group: {:?}",
                row.fault
            ));
        }
        play.map(Play::play)
    }
}

impl Play<'_> {
    fn play(self) -> Outcome {
        let mut held = Held::default();
        let [source, outside] = self
            .stage
            .before
            .get_or_init(|| [self.all_of_the_source(), self.outside()]);
        self.prepare(&mut held);
        let (side, role, words) = self.held_at();
        let stop = self.proxy(side);
        if let Fault::LostAnswer { role, words } = self.fault() {
            stop.lose_answers_to(words, role);
        } else {
            stop.hold_at(words, role);
        }
        let running = self.worker.spawn();
        let Some(name) = stop.wait_until_said(PATIENCE) else {
            panic!("{}: the run never came there: {:?}", self.title(), running.wait())
        };
        self.wait_for_phase(&running);
        let struck = Instant::now();
        self.strike(&running, &name, &mut held);
        if !self.keeps_holding() {
            stop.release();
        }
        let output = running.wait();
        let took = struck.elapsed();
        stop.release();
        self.judge(&output, took);
        let clean_at_once = self.stays_reachable().then(|| self.wait_until_clean());
        self.heal(held);
        if self.fault() == Fault::Usurped || output.exit == 0 {
            self.assert_agreement(&output);
        }
        let clean = self.run_again(clean_at_once);
        assert_eq!(
            self.outside(),
            *outside,
            "{}: outside of the schema",
            self.title()
        );
        if !self.changes_the_source() {
            assert_eq!(self.all_of_the_source(), *source, "{}: the source", self.title());
        }
        self.leave();
        Outcome {
            exit: output.exit,
            took,
            clean,
        }
    }

    /// A disk can only be taken from a server that holds nothing on it.
    fn leave(&self) {
        if self.fault() == Fault::DiskFull {
            let (target, database) = (&self.stage.target, &self.database);
            target.psql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"));
            target.psql("postgres", &format!("DROP TABLESPACE {database}"));
        }
    }

    /// Held until the phase has begun for all of the run: METHOD=copy builds and analyzes while rows are on their way.
    fn wait_for_phase(&self, running: &Running) {
        if !matches!(self.phase, "post-data" | "analyze") {
            return;
        }
        let _done = running.wait_for_record(
            |record| record["msg"] == "phase done" && record["phase"] == "sequences",
            PATIENCE,
        );
    }

    fn judge(&self, output: &Output, took: Duration) {
        let title = self.title();
        assert!(
            self.row.exits.contains(&output.exit),
            "{title}: exit code {} instead of {:?}\n{}{}",
            output.exit,
            self.row.exits,
            output.stdout,
            output.stderr
        );
        assert!(
            took <= Duration::from_secs(self.row.seconds),
            "{title}: took {took:?}\n{}",
            output.stdout
        );
        if output.exit > 0 {
            let place = |phase: &str| PHASES.iter().position(|known| *known == phase);
            let ended = output.last()["phase"].as_str().unwrap_or_default();
            // What is begun while something else is still under way: the snapshot is taken while preflight asks.
            let begun = match self.phase {
                "snapshot" | "archive" => "preflight",
                "analyze" => "post-data",
                phase => phase,
            };
            assert!(
                place(ended) >= place(begun),
                "{title}: ended in {ended}\n{}",
                output.stdout
            );
            assert!(
                output.last()["reason"]
                    .as_str()
                    .is_some_and(|reason| !reason.is_empty()),
                "{title}: no reason"
            );
        }
        if self.fault() == Fault::RoleTerminated("/lock") && self.phase == "rows" {
            let rows = self
                .stage
                .target
                .psql(&self.database, "SELECT count(*) FROM s.wide");
            assert_eq!(rows, "0", "{title}: rows were committed after the lock was lost");
        }
    }

    /// Runs it again, and returns when the backends of the first run were gone.
    fn run_again(&self, clean_at_once: Option<Duration>) -> Duration {
        let left = self.backends();
        let started = Instant::now();
        // Nothing is the matter any more, and a busy machine is no stall.
        let next = self
            .worker
            .clone()
            .env("MAX_RUNTIME", "none")
            .env("STALL_TIMEOUT", "1m")
            .spawn();
        let clean = clean_at_once.unwrap_or_else(|| {
            while self.backends().iter().any(|one| left.contains(one)) {
                assert!(
                    started.elapsed() < CLEAN_LIMIT,
                    "{}: still there: {left:?}",
                    self.title()
                );
                thread::sleep(Duration::from_millis(50));
            }
            started.elapsed()
        });
        let output = next.wait();
        assert_eq!(
            output.exit,
            0,
            "{}: the next run\n{}{}",
            self.title(),
            output.stdout,
            output.stderr
        );
        self.assert_agreement(&output);
        self.wait_until_clean();
        let leftovers = fs::read_dir(self.run_dir()).unwrap().flatten();
        let leftovers: Vec<_> = leftovers.map(|entry| entry.file_name()).collect();
        assert!(leftovers.is_empty(), "{}: {leftovers:?} in RUN_DIR", self.title());
        clean
    }

    /// Waits until no run has a backend on either server.
    fn wait_until_clean(&self) -> Duration {
        let started = Instant::now();
        loop {
            let left = self.backends();
            if left.is_empty() {
                return started.elapsed();
            }
            assert!(
                started.elapsed() < CLEAN_LIMIT,
                "{}: backends are left: {left:?}",
                self.title()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Every backend of any run in the two databases; a server that lets nobody in has none.
    fn backends(&self) -> Vec<String> {
        const SQL: &str = "SELECT pid, application_name FROM pg_stat_activity \
                           WHERE application_name LIKE 'sf/%' AND datname = current_database()";
        [Side::Source, Side::Target]
            .iter()
            .flat_map(|side| {
                let found = self
                    .cluster(*side)
                    .try_psql(&self.database, SQL)
                    .unwrap_or_default();
                found
                    .lines()
                    .map(|line| format!("{side:?} {line}"))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// Both sides hold the same rows; none was lost, none doubled.
    fn assert_agreement(&self, output: &Output) {
        let contents = |cluster: &Cluster| warehouse::contents(cluster, &self.database, "s");
        if self.fault() == Fault::SourceCreate && !contents(&self.stage.target).contains("later") {
            // Made after the snapshot; the next run brings it.
            return;
        }
        assert_eq!(
            contents(&self.stage.target),
            contents(&self.stage.source),
            "{}: rows differ\n{}",
            self.title(),
            output.stdout
        );
    }

    fn outside(&self) -> String {
        outside(&self.stage.target, &self.database)
    }

    fn all_of_the_source(&self) -> String {
        dump(&self.stage.source, &self.database, &[])
    }

    /// Whether the run goes on with the connection still held: what is waited for is something else.
    fn keeps_holding(&self) -> bool {
        matches!(self.fault(), Fault::Forgotten("/lock") | Fault::Deadline)
    }

    /// Whether the run could still reach both servers at its end, or they noticed it by themselves.
    fn stays_reachable(&self) -> bool {
        !matches!(self.fault(), Fault::Silence | Fault::NoSlots | Fault::Recovery)
    }

    fn changes_the_source(&self) -> bool {
        matches!(
            self.fault(),
            Fault::SourceDrop
                | Fault::SourceCreate
                | Fault::AlterQueued
                | Fault::MovingSequences
                | Fault::MemoryLimit
        )
    }
}

/// All of the target but the schema and the ledger, the cluster's roles and databases included.
pub(crate) fn outside(target: &Cluster, database: &str) -> String {
    const GLOBAL: &str = "SELECT r.rolname, r.rolsuper, r.rolcanlogin, r.rolconfig FROM pg_roles r ORDER BY 1; \
                          SELECT datdba, datacl FROM pg_database WHERE datname = current_database(); \
                          SELECT member, roleid FROM pg_auth_members ORDER BY 1, 2; \
                          SELECT nspname, nspowner, nspacl FROM pg_namespace \
                          WHERE nspname NOT IN ('s', 'schemaferry') AND nspname NOT LIKE 'pg\\_%temp%' ORDER BY 1";
    let dumped = dump(
        target,
        database,
        &["--exclude-schema=s", "--exclude-schema=schemaferry"],
    );
    format!("{}\n{dumped}", target.psql(database, GLOBAL))
}

/// pg_dump's text without what differs from one run of it to the next.
fn dump(cluster: &Cluster, database: &str, arguments: &[&str]) -> String {
    let output = cluster.client("pg_dump", database).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("pg_dump can't be run: {error}"));
    assert!(
        output.status.success(),
        "pg_dump: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| {
        !line.starts_with("--") && !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")
    });
    lines.collect::<Vec<_>>().join("\n")
}
