//! Where a row is played: two clusters, a proxy before each, and everything that is looked at afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cgroup::ControlGroup;
use crate::cluster::{Cluster, PASSWORD, SUPERUSER, complain, give_to_owner};
use crate::faults::inject::Held;
use crate::faults::{Fault, PHASES, Row, Side, moment};
use crate::proxy::{Line, Proxy};
use crate::server::Server;
use crate::tmpfs::Tmpfs;
use crate::warehouse;
use crate::worker::{Output, Running, Worker};

/// `STALL_TIMEOUT` of every run.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(8);
/// `LOCK_TIMEOUT` of every run.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(4);
/// How long backends of a run that has ended may be left, or of one that was cut off, after the next one's start.
const CLEAN_LIMIT: Duration = Duration::from_secs(10);
/// For phases to come, and for the end of a run.
const PATIENCE: Duration = Duration::from_secs(90);
/// A host name that only `hosts` knows.
const NAME: &str = "server.invalid";
/// The executable in a mount namespace of its own, with hosts and a resolver that are the test's.
const WITH_HOSTS: &str =
    "mount --bind \"$1\" /etc/hosts && mount --bind \"$2\" /etc/resolv.conf && exec \"$0\"";

/// The executable in a control group.
const IN_A_GROUP: &str = "echo $$ > \"$1\" && exec \"$0\"";
/// The value of [`Fault::MemoryLimit`], and the memory that there is.
pub(super) const HUGE_BYTES: u64 = 64 << 20;

/// Few slots, so that they are soon taken. A server that is stopped waits for clients that have come and said nothing,
/// such as one that is held at its first words, for as long as they may take to log in.
const SETTINGS: &[(&str, &str)] = &[("max_connections", "40"), ("authentication_timeout", "15s")];

/// The schema that is moved. What it computes may be made slow on the target by settings of the database.
pub(super) const SCHEMA: &str = r"
CREATE SCHEMA s;
CREATE FUNCTION s.pause(text, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF coalesce(current_setting($1, true), '') <> '' THEN
    PERFORM pg_sleep(current_setting($1)::float8);
  END IF;
  RETURN $2;
END $$;
CREATE TABLE s.t (id serial PRIMARY KEY, v text,
                  paused int GENERATED ALWAYS AS (s.pause('testbed.row_pause', id)) STORED);
CREATE INDEX t_paused ON s.t (s.pause('testbed.index_pause', id));
CREATE TABLE s.keyless (v int);
CREATE TABLE s.wide (id int REFERENCES s.t, v text);
INSERT INTO s.t (v) SELECT md5(i::text) FROM generate_series(1, 500) i;
INSERT INTO s.keyless SELECT i FROM generate_series(1, 1000) i;
INSERT INTO s.wide SELECT i, (SELECT string_agg(md5((i * j)::text || i), '') FROM generate_series(1, 500) j)
  FROM generate_series(1, 250) i;
CREATE MATERIALIZED VIEW s.m AS SELECT count(*) FROM s.t;
GRANT SELECT ON s.t TO pg_monitor;
";

/// What a load has no business with.
const BYSTANDERS: &str = r"
CREATE SCHEMA bystander;
CREATE TABLE bystander.t (id serial PRIMARY KEY, v text);
INSERT INTO bystander.t (v) SELECT md5(i::text) FROM generate_series(1, 100) i;
CREATE VIEW bystander.v AS SELECT * FROM bystander.t;
CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT SELECT ON bystander.t TO pg_monitor;
";

/// Two clusters for rows that are played one after the other.
#[derive(Debug)]
pub struct Stage {
    pub(super) source: Cluster,
    pub(super) target: Cluster,
    program: PathBuf,
    played: AtomicU32,
    /// What the source holds, and the target outside of the schema, before every run.
    before: OnceLock<[String; 2]>,
}

/// What a row came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub exit: i32,
    /// From the fault to the end of the run.
    pub took: Duration,
    /// Until no backend of it was left, from its end or from the next start.
    pub clean: Duration,
}

/// A row under way.
pub(super) struct Play<'a> {
    pub(super) stage: &'a Stage,
    pub(super) row: &'a Row,
    pub(super) phase: &'static str,
    method: &'a str,
    pub(super) database: String,
    proxies: [Proxy; 2],
    pub(super) worker: Worker,
    directory: TempDir,
    disk: Option<Tmpfs>,
    group: Option<ControlGroup>,
}

impl Stage {
    /// Starts the clusters; `program` is the worker's executable.
    #[must_use]
    pub fn start(program: &Path) -> Self {
        let server = Server::distribution();
        Self {
            source: Cluster::start_with(&server, SETTINGS),
            target: Cluster::start_with(&server, SETTINGS),
            program: program.to_owned(),
            played: AtomicU32::new(0),
            before: OnceLock::new(),
        }
    }

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

impl<'a> Play<'a> {
    fn new(stage: &'a Stage, row: &'a Row, phase: &'static str, method: &'a str) -> Option<Self> {
        let database = format!("play{}", stage.played.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::tempdir().unwrap();
        let run_dir = directory.path().join("run");
        fs::create_dir(&run_dir).unwrap();
        let proxy = |cluster: &Cluster| {
            let address = format!("{}:{}", cluster.host(), cluster.port());
            Proxy::start(address.parse().unwrap(), Line::default())
        };
        let proxies = [proxy(&stage.source), proxy(&stage.target)];
        let mut play = Self {
            worker: Worker::new(&stage.program),
            stage,
            row,
            phase,
            method,
            database,
            proxies,
            directory,
            disk: None,
            group: None,
        };
        if row.fault == Fault::MemoryLimit {
            let name = format!("schemaferry-{}-{}", process::id(), play.proxies[0].port());
            play.group = Some(ControlGroup::with_memory(&name, HUGE_BYTES)?);
        }
        play.worker = play.describe()?;
        play.stage.source.create_database(&play.database);
        if row.fault == Fault::DiskFull {
            play.disk = Some(play.disk_for_the_database()?);
        } else {
            play.stage.target.create_database(&play.database);
        }
        if row.fault == Fault::RunDirFull {
            play.disk = Some(Tmpfs::mount(&run_dir, 256)?);
        }
        if row.fault == Fault::TwoTargets {
            play.stage.target.create_database(&play.second());
        }
        play.stage.source.psql(&play.database, SCHEMA);
        play.stage.target.psql(&play.database, BYSTANDERS);
        for cluster in [&stage.source, &stage.target] {
            // A crash moves sequences on from where the log says that they may be.
            cluster.psql(&play.database, "CHECKPOINT");
        }
        Some(play)
    }

    /// The worker's environment. Words can only be heard without TLS.
    fn describe(&self) -> Option<Worker> {
        let plain = Worker::new(&self.stage.program);
        let worker = if self.fault() == Fault::NameGone {
            self.write_hosts();
            let resolver = self.directory.path().join("resolv.conf");
            fs::write(&resolver, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
            let wrapped = |program: &Path| {
                Worker::new("/usr/bin/unshare")
                    .arg("--mount")
                    .arg("/bin/sh")
                    .arg("-c")
                    .arg(WITH_HOSTS)
                    .arg(program)
                    .arg(self.hosts())
                    .arg(&resolver)
            };
            if wrapped(Path::new("/bin/true")).run().exit != 0 {
                return None;
            }
            wrapped(&self.stage.program)
        } else if self.fault() == Fault::MemoryLimit {
            Worker::new("/bin/sh")
                .arg("-c")
                .arg(IN_A_GROUP)
                .arg(&self.stage.program)
                .arg(self.group().processes())
        } else {
            plain
        };
        let mut worker = worker
            .env("SCHEMA_NAME", "s")
            .env("METHOD", self.method)
            .env("JOBS", "2")
            .env("RUN_DIR", self.run_dir())
            .env("LOG_FORMAT", "json")
            .source(&self.stage.source, &self.database, SUPERUSER, PASSWORD)
            .target(&self.stage.target, &self.database, SUPERUSER, PASSWORD)
            .patience(PATIENCE);
        for (side, proxy) in ["SOURCE", "TARGET"].iter().zip(&self.proxies) {
            worker = worker
                .env(format!("{side}_PORT"), proxy.port().to_string())
                .env(format!("{side}_SSLMODE"), "disable");
        }
        if self.fault() == Fault::NameGone {
            let side = match self.row.side {
                Side::Source => "SOURCE_HOST",
                Side::Target => "TARGET_HOST",
            };
            worker = worker.env(side, NAME);
        }
        for (name, value) in self.limits() {
            worker = worker.env(name, value);
        }
        Some(worker)
    }

    /// Puts the target's database on a disk of its own.
    fn disk_for_the_database(&self) -> Option<Tmpfs> {
        const KIB: u32 = 64 * 1024;
        let (target, database) = (&self.stage.target, &self.database);
        let disk = Tmpfs::mount(&target.directory_beside(database), KIB)?;
        give_to_owner(disk.path());
        target.psql(
            "postgres",
            &format!(
                "CREATE TABLESPACE {database} LOCATION '{}'",
                disk.path().display()
            ),
        );
        target.psql(
            "postgres",
            &format!("CREATE DATABASE {database} TABLESPACE {database}"),
        );
        Some(disk)
    }

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

    /// Held until the phase has begun for all of the run: METHOD=copy builds indexes while rows are on their way.
    fn wait_for_phase(&self, running: &Running) {
        if self.phase != "post-data" {
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
            assert!(
                place(ended) >= place(self.phase),
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
        let next = self.worker.clone().env("MAX_RUNTIME", "none").spawn();
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

    /// All of the target but the schema and the ledger, the cluster's roles and databases included.
    fn outside(&self) -> String {
        const GLOBAL: &str = "SELECT r.rolname, r.rolsuper, r.rolcanlogin, r.rolconfig FROM pg_roles r ORDER BY 1; \
                              SELECT datdba, datacl FROM pg_database WHERE datname = current_database(); \
                              SELECT member, roleid FROM pg_auth_members ORDER BY 1, 2; \
                              SELECT nspname, nspowner, nspacl FROM pg_namespace \
                              WHERE nspname NOT IN ('s', 'schemaferry') AND nspname NOT LIKE 'pg\\_%temp%' ORDER BY 1";
        let target = &self.stage.target;
        let dumped = dump(
            target,
            &self.database,
            &["--exclude-schema=s", "--exclude-schema=schemaferry"],
        );
        format!("{}\n{dumped}", target.psql(&self.database, GLOBAL))
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

    /// Side, role and words at which the run is held.
    pub(super) fn held_at(&self) -> (Side, &'static str, &'static [u8]) {
        moment(self.fault(), self.row.side, self.phase, self.method)
    }

    pub(super) fn fault(&self) -> Fault {
        self.row.fault
    }

    pub(super) fn cluster(&self, side: Side) -> &Cluster {
        match side {
            Side::Source => &self.stage.source,
            Side::Target => &self.stage.target,
        }
    }

    pub(super) fn proxy(&self, side: Side) -> &Proxy {
        let [source, target] = &self.proxies;
        match side {
            Side::Source => source,
            Side::Target => target,
        }
    }

    /// Another database on the target's cluster.
    pub(super) fn second(&self) -> String {
        format!("{}_second", self.database)
    }

    pub(super) fn run_dir(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    pub(super) fn hosts(&self) -> PathBuf {
        self.directory.path().join("hosts")
    }

    pub(super) fn write_hosts(&self) {
        fs::write(self.hosts(), format!("127.0.0.1 localhost {NAME}\n")).unwrap();
    }

    pub(super) fn small_disk(&self) -> &Tmpfs {
        self.disk
            .as_ref()
            .unwrap_or_else(|| panic!("{}: no disk was mounted", self.title()))
    }

    pub(super) fn group(&self) -> &ControlGroup {
        self.group
            .as_ref()
            .unwrap_or_else(|| panic!("{}: no control group was made", self.title()))
    }

    pub(super) fn title(&self) -> String {
        let Row { fault, side, .. } = self.row;
        format!("{fault:?} at the {side:?} in {} of {}", self.phase, self.method)
    }
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
