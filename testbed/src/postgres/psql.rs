//! A session of psql that stays open: it holds locks, computes, or has its own idea of the schema.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::cluster::Cluster;

/// What psql says when it has come so far.
const MARK: &str = "-- so far --";

/// An open session of the superuser; closed, and whatever it runs ended, on drop.
#[derive(Debug)]
pub struct Psql {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Psql {
    /// Connects.
    #[must_use]
    pub fn open(cluster: &Cluster, database: &str) -> Self {
        let mut child = cluster
            .client("psql", database)
            .args(["-X", "-q", "-A", "-t", "-f", "-"])
            // A statement ends soon after its session was closed.
            .env("PGOPTIONS", "-c client_connection_check_interval=100ms")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("psql can't be run: {error}"));
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Starts statements without waiting for them.
    pub fn start(&mut self, sql: &str) {
        self.stdin.write_all(sql.as_bytes()).unwrap();
        self.stdin.write_all(b";\n").unwrap();
    }

    /// Runs statements to their end, well or not.
    pub fn run(&mut self, sql: &str) {
        self.start(sql);
        writeln!(self.stdin, "\\echo {MARK}").unwrap();
        let mut line = String::new();
        while line.trim_end() != MARK {
            line.clear();
            assert!(
                self.stdout.read_line(&mut line).unwrap() > 0,
                "psql has ended: {sql}"
            );
        }
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().map(drop).unwrap_or_default();
        }
    }
}
