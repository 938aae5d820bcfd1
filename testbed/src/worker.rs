//! Running the worker as whoever starts its container does: an environment, arguments, and nothing else.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::network::proxy::Proxy;
use crate::server::Server;

/// A worker that takes longer is killed and fails the test.
const PATIENCE: Duration = Duration::from_mins(5);

/// How one run of the worker is to be: its environment holds what is said here and nothing else.
#[derive(Debug, Clone)]
pub struct Worker {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    patience: Duration,
}

/// What a run ended with.
#[derive(Debug)]
pub struct Output {
    /// The exit code; minus the signal's number where a signal ended it.
    pub exit: i32,
    /// The lines of standard output that are JSON, in order.
    pub records: Vec<Value>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// From start to end.
    pub elapsed: Duration,
}

/// A worker that is running; killed on drop.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    patience: Duration,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
}

/// What it has said so far; every new line, and its end, wakes who waits.
#[derive(Debug, Default)]
struct Said {
    text: Mutex<Text>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Text {
    records: Vec<Value>,
    stdout: String,
    stderr: String,
    /// Standard output has ended.
    ended: bool,
}

impl Worker {
    /// The executable, with a PATH on which every server's clients are found.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let mut path: Vec<PathBuf> = Server::all()
            .iter()
            .map(|server| server.bin().to_owned())
            .collect();
        path.extend(["/usr/bin".into(), "/bin".into()]);
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::from([("PATH".into(), std::env::join_paths(path).unwrap())]),
            patience: PATIENCE,
        }
    }

    /// Started by another program, which is given it with its arguments.
    #[must_use]
    pub fn through(mut self, program: &str, arguments: &[&str]) -> Self {
        let own = std::mem::replace(&mut self.program, program.into());
        let before = arguments.iter().map(OsString::from);
        self.arguments.splice(..0, before.chain([own.into_os_string()]));
        self
    }

    /// Adds an argument of the command line.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// A variable's value; panics where it is not set.
    #[must_use]
    pub fn value(&self, name: &str) -> OsString {
        self.environment
            .get(OsStr::new(name))
            .unwrap_or_else(|| panic!("{name} is not set"))
            .clone()
    }

    /// Takes a variable out again.
    #[must_use]
    pub fn without(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.remove(name.as_ref());
        self
    }

    /// The `SOURCE_…` variables of a database.
    #[must_use]
    pub fn source(self, cluster: &Cluster, database: &str, user: &str, password: &str) -> Self {
        self.side("SOURCE", cluster, [database, user, password])
    }

    /// The `TARGET_…` variables of a database.
    #[must_use]
    pub fn target(self, cluster: &Cluster, database: &str, user: &str, password: &str) -> Self {
        self.side("TARGET", cluster, [database, user, password])
    }

    /// Has it reach the source by way of a proxy, whose words are in plain sight.
    #[must_use]
    pub fn source_through(self, proxy: &Proxy) -> Self {
        self.side_through("SOURCE", proxy)
    }

    /// Has it reach the target by way of a proxy, whose words are in plain sight.
    #[must_use]
    pub fn target_through(self, proxy: &Proxy) -> Self {
        self.side_through("TARGET", proxy)
    }

    fn side_through(self, side: &str, proxy: &Proxy) -> Self {
        self.env(format!("{side}_PORT"), proxy.port().to_string())
            .env(format!("{side}_SSLMODE"), "disable")
    }

    /// How long [`Running::wait`] and [`Worker::run`] wait before they kill it, five minutes unless said.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs it to its end.
    #[must_use]
    pub fn run(&self) -> Output {
        self.spawn().wait()
    }

    /// What starts it, its standard output not decided.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null());
        command
    }

    /// Starts it.
    #[must_use]
    pub fn spawn(&self) -> Running {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} can't be run: {error}", self.program.display()));
        let started = Instant::now();
        let said = Arc::new(Said::default());
        let stdout = read_lines(child.stdout.take().unwrap(), &said, |text, line| match line {
            Some(line) => {
                text.records.extend(serde_json::from_str::<Value>(line).ok());
                text.stdout.push_str(line);
            }
            None => text.ended = true,
        });
        let stderr = read_lines(child.stderr.take().unwrap(), &said, |text, line| {
            text.stderr.push_str(line.unwrap_or_default());
        });
        Running {
            child,
            started,
            patience: self.patience,
            said,
            readers: vec![stdout, stderr],
        }
    }

    /// Clients that lack TLS serve neither side of a run, so one such server turns TLS off on both.
    fn side(self, side: &str, cluster: &Cluster, [database, user, password]: [&str; 3]) -> Self {
        let mut worker = self
            .env(format!("{side}_HOST"), cluster.host())
            .env(format!("{side}_PORT"), cluster.port().to_string())
            .env(format!("{side}_DBNAME"), database)
            .env(format!("{side}_USER"), user)
            .env(format!("{side}_PASSWORD"), password);
        if !cluster.server().tls() {
            for name in ["SOURCE_SSLMODE", "TARGET_SSLMODE"] {
                worker
                    .environment
                    .entry(name.into())
                    .or_insert_with(|| "disable".into());
            }
        }
        worker
    }
}

impl Output {
    /// The last record: the whole outcome.
    #[must_use]
    pub fn last(&self) -> &Value {
        self.records
            .last()
            .unwrap_or_else(|| panic!("no records: {self:?}"))
    }
}

impl Running {
    /// The worker's process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.pid()), signal)
            .unwrap_or_else(|error| panic!("the worker can't be sent {signal}: {error}"));
    }

    /// The first record, said already or yet to come, that is looked for; panics at the deadline, or when the
    /// worker has ended without it.
    #[must_use]
    pub fn wait_for_record(&self, wanted: impl Fn(&Value) -> bool, deadline: Duration) -> Value {
        let until = Instant::now() + deadline;
        let mut text = self.said.text.lock().unwrap();
        loop {
            if let Some(record) = text.records.iter().find(|record| wanted(record)) {
                return record.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero() && !text.ended,
                "the worker never said what was waited for:\n{}{}",
                text.stdout,
                text.stderr
            );
            text = self.said.changed.wait_timeout(text, left).unwrap().0;
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Whether it ends before this moment, which is waited for.
    pub fn ends_before(&mut self, deadline: Instant) -> bool {
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Waits for its end.
    #[must_use]
    pub fn wait(mut self) -> Output {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > self.patience {
                let said = {
                    let text = self.said.text.lock().unwrap();
                    format!("{}{}", text.stdout, text.stderr)
                };
                panic!("the worker takes over {:?}:\n{said}", self.patience);
            }
            thread::sleep(Duration::from_millis(5));
        };
        let elapsed = self.started.elapsed();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let mut text = self.said.text.lock().unwrap();
        Output {
            exit: status.code().unwrap_or_else(|| -status.signal().unwrap()),
            records: std::mem::take(&mut text.records),
            stdout: std::mem::take(&mut text.stdout),
            stderr: std::mem::take(&mut text.stderr),
            elapsed,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() {
            self.child.wait().map(drop).unwrap_or_default();
        }
    }
}

/// Hands over every line, and `None` at the end.
fn read_lines(
    stream: impl Read + Send + 'static,
    said: &Arc<Said>,
    keep: impl Fn(&mut Text, Option<&str>) + Send + 'static,
) -> JoinHandle<()> {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            let length = reader.read_until(b'\n', &mut line).unwrap();
            let text = (length > 0).then(|| String::from_utf8_lossy(&line));
            keep(&mut said.text.lock().unwrap(), text.as_deref());
            said.changed.notify_all();
            if length == 0 {
                return;
            }
            line.clear();
        }
    })
}
