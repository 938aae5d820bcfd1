//! Where a row is played: two clusters, a proxy before each, and what belongs to this one play.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::cgroup::ControlGroup;
use crate::cluster::{Cluster, PASSWORD, SUPERUSER, give_to_owner};
use crate::faults::table::{Fault, Row, Side, moment};
use crate::proxy::{Line, Proxy};
use crate::server::Server;
use crate::tmpfs::Tmpfs;
use crate::worker::Worker;

/// `STALL_TIMEOUT` of every run.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(8);
/// `LOCK_TIMEOUT` of every run.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(4);
/// For phases to come, and for the end of a run.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
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
    pub(super) before: OnceLock<[String; 2]>,
}

/// A row under way.
pub(super) struct Play<'a> {
    pub(super) stage: &'a Stage,
    pub(super) row: &'a Row,
    pub(super) phase: &'static str,
    pub(super) method: &'a str,
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
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Stage, row: &'a Row, phase: &'static str, method: &'a str) -> Option<Self> {
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
