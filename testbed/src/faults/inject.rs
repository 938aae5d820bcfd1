//! Bringing a fault about, and making good again what belongs to the world rather than to the run.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most faults need nothing before or after, and a new one shows what it needs when it is played"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cluster::Cluster;
use crate::faults::stage::{HUGE_BYTES, LOCK_TIMEOUT, Play, STALL_TIMEOUT};
use crate::faults::table::{Fault, Side};
use crate::proxy::{Gate, Mishap};
use crate::psql::Psql;
use crate::worker::Running;

/// How long the world may take to become as a fault wants it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that still pass before [`Fault::ResetAfterBytes`].
const BYTES_LEFT: u64 = 1 << 20;

/// What a fault holds on to until the run is over.
#[derive(Debug, Default)]
pub(super) struct Held {
    sessions: Vec<Psql>,
    slots: Vec<TcpStream>,
}

impl Play<'_> {
    /// What has to be there before the run starts.
    pub(super) fn prepare(&self, held: &mut Held) {
        match self.fault() {
            Fault::SourceLock => {
                let mut session = Psql::open(&self.stage.source, &self.database);
                session.run("BEGIN; LOCK TABLE s.t IN ACCESS EXCLUSIVE MODE");
                held.sessions.push(session);
            }
            Fault::Reader => {
                assert_eq!(self.worker.run().exit, 0, "the load that is read");
                let mut session = Psql::open(&self.stage.target, &self.database);
                session.run("BEGIN; SELECT count(*) FROM s.t");
                held.sessions.push(session);
            }
            Fault::MovingSequences => {
                let mut session = Psql::open(&self.stage.source, &self.database);
                session.start("SELECT count(nextval('s.t_id_seq')) FROM generate_series(1, 2000000000)");
                held.sessions.push(session);
            }
            Fault::MemoryLimit => {
                let sql = format!(
                    "CREATE TABLE s.huge (v text); ALTER TABLE s.huge ALTER v SET STORAGE EXTERNAL; \
                     INSERT INTO s.huge VALUES (repeat('schemaferry ', {HUGE_BYTES} / 12))"
                );
                self.stage.source.psql(&self.database, &sql);
            }
            Fault::Cancelled if self.phase == "rows" => self.pause("row_pause"),
            Fault::Cancelled | Fault::LongIndex => self.pause("index_pause"),
            _ => {}
        }
    }

    /// Makes every row, or every entry of an index, wait on the target.
    fn pause(&self, what: &str) {
        let (database, seconds) = (&self.database, 0.03);
        self.stage.target.psql(
            database,
            &format!("ALTER DATABASE {database} SET testbed.{what} = {seconds}"),
        );
    }

    /// Brings the fault about while the run is held; `name` is the `application_name` of the client that is.
    pub(super) fn strike(&self, running: &Running, name: &str, held: &mut Held) {
        let (cluster, proxy) = (self.cluster(self.row.side), self.proxy(self.row.side));
        match self.fault() {
            Fault::Cut => proxy.befall(Mishap::Cut, ""),
            Fault::Reset => proxy.befall(Mishap::Reset, ""),
            Fault::ResetAfterBytes => proxy.reset_after(BYTES_LEFT),
            Fault::Silence => {
                proxy.set_gate(Gate::Mute);
                proxy.befall(Mishap::Silence, "");
            }
            Fault::Forgotten(role) => proxy.befall(Mishap::Silence, role),
            Fault::Restart => {
                cluster.stop_immediate();
                cluster.start_again();
            }
            Fault::Recovery => cluster.demote(false),
            Fault::Demotion => cluster.demote(true),
            Fault::Terminated => self.terminate(name),
            Fault::RoleTerminated(role) => self.terminate(role),
            Fault::NoSlots => held.slots = take_every_slot(cluster),
            Fault::LockTableFull => {
                let mut session = Psql::open(cluster, "postgres");
                // The locks stay although the statement fails.
                session.run("SELECT pg_advisory_lock(i) FROM generate_series(1, 10000000) i");
                held.sessions.push(session);
            }
            Fault::NameGone => fs::write(self.hosts(), "127.0.0.1 localhost\n").unwrap(),
            Fault::SourceDrop => {
                cluster.psql(&self.database, "DROP TABLE s.wide");
            }
            Fault::SourceCreate => {
                cluster.psql(&self.database, "CREATE TABLE s.later AS SELECT 1 AS a");
            }
            Fault::AlterQueued => {
                let mut session = Psql::open(cluster, &self.database);
                session.start("ALTER TABLE s.wide ADD later int");
                held.sessions.push(session);
                self.until(cluster, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted");
            }
            Fault::TwoTargets => {
                let output = self.worker.clone().env("TARGET_DBNAME", self.second()).run();
                assert_eq!(output.exit, 0, "the load to the other target: {}", output.stdout);
            }
            Fault::Kill => running.signal(Signal::SIGKILL),
            Fault::Terminate => running.signal(Signal::SIGTERM),
            Fault::Interrupt => running.signal(Signal::SIGINT),
            Fault::Freeze => {
                running.signal(Signal::SIGSTOP);
                thread::sleep(STALL_TIMEOUT + Duration::from_secs(2));
                running.signal(Signal::SIGCONT);
            }
            Fault::Usurped => {
                running.signal(Signal::SIGSTOP);
                let output = self.worker.clone().env("WAIT_TIMEOUT", "1m").run();
                assert_eq!(output.exit, 0, "the worker that takes over: {}", output.stdout);
                running.signal(Signal::SIGCONT);
            }
            Fault::DiskFull | Fault::RunDirFull => self.small_disk().fill(),
            Fault::ArchiveDeleted => remove_files(&self.run_dir(), "archive"),
            Fault::PassfileDeleted => remove_files(&self.run_dir(), ".pgpass"),
            Fault::Cancelled => self.cancel_what_sleeps(),
            Fault::LostAnswer { .. }
            | Fault::Deadline
            | Fault::SourceLock
            | Fault::Reader
            | Fault::MovingSequences
            | Fault::MemoryLimit
            | Fault::LongIndex => {}
        }
    }

    /// Makes the world good again after the run has ended.
    pub(super) fn heal(&self, held: Held) {
        let (cluster, proxy) = (self.cluster(self.row.side), self.proxy(self.row.side));
        drop(held);
        match self.fault() {
            Fault::Silence => {
                proxy.set_gate(Gate::Open);
                if ["connect", "lock"].contains(&self.phase) {
                    // What only waited holds nothing and is left to the server's keepalives, which this proxy answers.
                    proxy.befall(Mishap::Cut, "");
                }
            }
            Fault::Recovery | Fault::Demotion => cluster.reinstate(),
            Fault::DiskFull | Fault::RunDirFull => self.small_disk().make_room(),
            Fault::MemoryLimit => self.group().lift(),
            Fault::NameGone => self.write_hosts(),
            Fault::Cancelled | Fault::LongIndex => {
                let database = &self.database;
                self.stage
                    .target
                    .psql(database, &format!("ALTER DATABASE {database} RESET ALL"));
            }
            _ => {}
        }
        // Slots that were taken are free a moment later.
        let until = Instant::now() + PATIENCE;
        while cluster.try_psql(&self.database, "SELECT 1").is_err() {
            assert!(Instant::now() < until, "the server does not come back");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the backends whose `application_name` ends so.
    fn terminate(&self, name: &str) {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name LIKE 'sf/%' AND application_name LIKE '%{name}'"
        );
        let cluster = self.cluster(self.row.side);
        assert_ne!(cluster.psql(&self.database, &sql), "0", "no backend is {name}");
    }

    /// Cancels the statement that is made to take its time.
    fn cancel_what_sleeps(&self) {
        self.proxy(self.held_at().0).release();
        // Who sleeps is known before anyone is cancelled: conditions have no order.
        self.until(
            self.cluster(self.row.side),
            "WITH sleeping AS MATERIALIZED (SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name LIKE 'sf/%' AND wait_event = 'PgSleep') \
             SELECT count(*) > 0 FROM sleeping WHERE pg_cancel_backend(pid)",
        );
    }

    /// Asks until the answer is yes.
    fn until(&self, cluster: &Cluster, question: &str) {
        let until = Instant::now() + PATIENCE;
        while cluster.psql(&self.database, question) != "t" {
            assert!(
                Instant::now() < until,
                "{}: never: {question}\n{}",
                self.title(),
                cluster
                    .log()
                    .lines()
                    .rev()
                    .take(30)
                    .collect::<Vec<_>>()
                    .join("\n")
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How long the run may wait for what the fault is about.
    pub(super) fn limits(&self) -> [(&'static str, String); 3] {
        let max = if self.fault() == Fault::Deadline {
            // Time enough to come to the phase, on a busy machine too.
            "20s"
        } else {
            "none"
        };
        let stall = match self.fault() {
            // The other load takes as long as it takes; the deadline comes first.
            Fault::TwoTargets | Fault::Deadline => "none".to_owned(),
            // The lost lock comes first, as it does by default: so it is silent for long enough at the next start.
            Fault::Silence if self.row.side == Side::Target => "30s".to_owned(),
            _ => format!("{}s", STALL_TIMEOUT.as_secs()),
        };
        [
            ("STALL_TIMEOUT", stall),
            ("LOCK_TIMEOUT", format!("{}s", LOCK_TIMEOUT.as_secs())),
            ("MAX_RUNTIME", max.to_owned()),
        ]
    }
}

/// Connections that never log in, until the server takes no more.
fn take_every_slot(cluster: &Cluster) -> Vec<TcpStream> {
    const STARTUP: &[u8] = b"\0\x03\0\0user\0by_scram\0database\0postgres\0\0";
    let mut slots = Vec::new();
    loop {
        let mut stream = TcpStream::connect((cluster.host(), cluster.port())).unwrap();
        let length = u32::try_from(STARTUP.len() + 4).unwrap();
        stream
            .write_all(&[length.to_be_bytes().as_slice(), STARTUP].concat())
            .unwrap();
        let mut answer = [0];
        match stream.read_exact(&mut answer) {
            Ok(()) if answer == *b"R" => slots.push(stream),
            _ => return slots,
        }
    }
}

/// Removes the files that end so, one directory down.
fn remove_files(parent: &Path, end: &str) {
    let mut removed = 0;
    for directory in fs::read_dir(parent).unwrap().flatten() {
        for file in fs::read_dir(directory.path()).unwrap().flatten() {
            if file.file_name().to_string_lossy().ends_with(end) {
                fs::remove_file(file.path()).unwrap();
                removed += 1;
            }
        }
    }
    assert!(removed > 0, "there is no {end} in {}", parent.display());
}
