//! A psql that is asked one thing after the other: sessions that live as long as they are needed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use testbed::Cluster;

use crate::DATABASE;

/// What psql says after each answer; no answer holds such a line.
const MARK: &str = "-- answered";

/// One session. Ended on drop.
pub(crate) struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    /// As the superuser, over the socket.
    pub(crate) fn open(cluster: &Cluster) -> Self {
        let mut child = cluster
            .client("psql", DATABASE)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Sends statements; a session that has ended is noticed by [`Session::answer`].
    pub(crate) fn send(&mut self, sql: &str) {
        let sent = writeln!(self.stdin, "{sql};\n\\echo '{MARK}'").and_then(|()| self.stdin.flush());
        sent.unwrap_or_default();
    }

    /// Waits for the answer to what was sent; the error is what psql complained of.
    pub(crate) fn answer(&mut self) -> Result<String, String> {
        let mut answer = String::new();
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            if line.trim_end() == MARK {
                return Ok(answer.trim_end().to_owned());
            }
            answer.push_str(&line);
            line.clear();
        }
        let mut complaint = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut complaint).unwrap();
        Err(complaint)
    }

    pub(crate) fn ask(&mut self, sql: &str) -> Result<String, String> {
        self.send(sql);
        self.answer()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().map(drop).unwrap_or_default();
        }
    }
}
