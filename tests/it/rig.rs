//! Two clusters for the whole test binary, and a pair of databases for each test.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::Value;
use testbed::cluster::{PASSWORD, SUPERUSER};
use testbed::{Cluster, Output, Server, Worker};

use crate::slow::PATIENCE;

/// Both ways to move rows.
pub(crate) const METHODS: [&str; 2] = ["copy", "pipe"];

/// Makes databases and runs statements in the source's.
pub(crate) type MakeRig = fn(&str) -> Rig;

/// Each METHOD from major to major: a METHOD, and what makes databases for it.
pub(crate) const GRID: [(&str, MakeRig); 6] = [
    ("copy", Rig::new),
    ("pipe", Rig::new),
    ("copy", Rig::newest),
    ("pipe", Rig::newest),
    ("copy", Rig::to_newest),
    ("pipe", Rig::to_newest),
];

static SOURCE: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&Server::distribution()));
static TARGET: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&Server::distribution()));
static NEWEST_SOURCE: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&Server::newest()));
static NEWEST_TARGET: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&Server::newest()));
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database on each of two clusters.
pub(crate) struct Rig {
    pub(crate) source: &'static Cluster,
    pub(crate) target: &'static Cluster,
    pub(crate) database: String,
}

impl Rig {
    /// New databases on the distribution's PostgreSQL; `sql` is run in the source's.
    pub(crate) fn new(sql: &str) -> Self {
        Self::on(&SOURCE, &TARGET, sql)
    }

    /// The same on the newest PostgreSQL.
    pub(crate) fn newest(sql: &str) -> Self {
        Self::on(&NEWEST_SOURCE, &NEWEST_TARGET, sql)
    }

    /// The same on both: the distribution's is the source.
    pub(crate) fn to_newest(sql: &str) -> Self {
        Self::on(&SOURCE, &NEWEST_TARGET, sql)
    }

    /// New empty databases on the distribution's PostgreSQL, and on the newest.
    pub(crate) fn of_both_majors() -> [Self; 2] {
        [Self::new(""), Self::newest("")]
    }

    /// The same on given clusters.
    pub(crate) fn on(source: &'static Cluster, target: &'static Cluster, sql: &str) -> Self {
        let database = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        source.create_database(&database);
        target.create_database(&database);
        let rig = Self {
            source,
            target,
            database,
        };
        rig.at_source(sql);
        rig
    }

    /// A worker that moves `schema` as superuser on both sides.
    pub(crate) fn worker(&self, schema: &str) -> Worker {
        Worker::new(env!("CARGO_BIN_EXE_schemaferry"))
            .env("SCHEMA_NAME", schema)
            .source(self.source, &self.database, SUPERUSER, PASSWORD)
            .target(self.target, &self.database, SUPERUSER, PASSWORD)
    }

    pub(crate) fn at_source(&self, sql: &str) -> String {
        self.source.psql(&self.database, sql)
    }

    pub(crate) fn at_target(&self, sql: &str) -> String {
        self.target.psql(&self.database, sql)
    }

    /// Asks the target until its answer is wanted.
    pub(crate) fn wait_for_target(&self, sql: &str, is_wanted: impl Fn(&str) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut answer = self.at_target(sql);
        while !is_wanted(&answer) {
            assert!(Instant::now() < until, "{answer}: {sql}");
            answer = self.at_target(sql);
        }
    }
}

/// Fails with everything that the worker said, unless it ended with this code.
pub(crate) fn assert_exit(output: &Output, exit: i32) {
    assert_eq!(output.exit, exit, "{}\n{}", output.stdout, output.stderr);
}

/// A text field of a record, empty where it is missing.
pub(crate) fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record.get(field).and_then(Value::as_str).unwrap_or_default()
}
