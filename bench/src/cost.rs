//! What a run costs: time, CPU on three sides, memory of the client's processes, and how long the source is held.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeValLike as _;
use nix::unistd::Pid;
use serde_json::Value;
use testbed::cluster::PASSWORD;
use testbed::{Cluster, Proxy, Server};

use crate::session::Session;
use crate::tools::Sides;

/// `/proc/*/stat` counts in hundredths of a second on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);
/// Between two looks at the processes and at the source.
const LOOK: Duration = Duration::from_millis(100);
/// Programs that only run the others, or come after them.
const ASIDE: [&str; 3] = ["bash", "bench", "vacuumdb"];

/// What one run cost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) client: Duration,
    pub(crate) source: Duration,
    pub(crate) target: Duration,
    /// The most that one process of each of the client's programs had in memory.
    pub(crate) peaks: BTreeMap<String, u64>,
    /// The longest time for which one transaction on the source held its snapshot.
    pub(crate) held: Duration,
    /// Round trips to the source, where a proxy counts them.
    pub(crate) turns: Option<u64>,
    /// Bytes that came from the source over a line.
    pub(crate) carried: Option<u64>,
    /// What the servers alone did one after the other.
    pub(crate) parts: Vec<Part>,
    /// The last record of the worker, where it was the tool.
    pub(crate) record: Option<Value>,
}

/// One part of what the servers alone did.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) what: &'static str,
    pub(crate) wall: Duration,
    pub(crate) target: Duration,
}

impl Cost {
    /// Bytes of rows, as the worker has counted them.
    pub(crate) fn row_bytes(&self) -> Option<f64> {
        self.record.as_ref()?.pointer("/totals/bytes")?.as_f64()
    }

    /// How long rows moved, as the worker says.
    pub(crate) fn row_seconds(&self) -> Option<f64> {
        let phases = self.record.as_ref()?.get("phases")?.as_array()?;
        let mut rows = phases.iter().filter(|phase| phase["phase"] == "rows");
        Some(rows.next()?.get("elapsed_ms")?.as_f64()? / 1e3)
    }
}

/// Runs the script and leaves in a file what CPU its processes used, in milliseconds. In a process of its own,
/// because the system counts what all descendants used together.
pub(crate) fn measure(script: &str, file: &str) -> ExitCode {
    let status = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", script])
        .status()
        .unwrap();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu = usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds();
    fs::write(file, cpu.to_string()).unwrap();
    ExitCode::from(u8::try_from(status.code().unwrap_or(255)).unwrap())
}

/// Runs a tool's script to its end; the error is what a failed one said.
pub(crate) fn run(script: &str, sides: &Sides<'_>) -> Result<Cost, String> {
    // Beside the clusters: what a tool writes of its own costs what the servers' files cost.
    let work = tempfile::tempdir_in(sides.source.socket().parent().unwrap()).unwrap();
    let usage = work.path().join("usage");
    let before = [sides.source, sides.target].map(cpu);
    let carried = || sides.proxy.as_ref().map(Proxy::carried);
    let carried_before = carried();
    let started = Instant::now();
    let child = start(script, &usage, sides, work.path());
    let (output, wall, mut cost) = watch(child, started, sides.source);
    if !output.status.success() {
        return Err(complaint(&output));
    }
    let [source, target] = [sides.source, sides.target].map(cpu);
    let [source_before, target_before] = before;
    cost.wall = wall;
    cost.client = Duration::from_millis(fs::read_to_string(&usage).unwrap().parse().unwrap());
    cost.source = source.saturating_sub(source_before);
    cost.target = target.saturating_sub(target_before);
    let carried = carried().zip(carried_before);
    cost.turns = carried.map(|(after, before)| after.turns - before.turns);
    cost.carried = carried.map(|(after, before)| after.to_client - before.to_client);
    let stdout = String::from_utf8_lossy(&output.stdout);
    cost.record = stdout
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok());
    Ok(cost)
}

fn start(script: &str, usage: &Path, sides: &Sides<'_>, work: &Path) -> Child {
    let program = env::current_exe().unwrap();
    let bin = sides.source.server().bin().display();
    Command::new(&program)
        .args(["measure", script])
        .arg(usage)
        .env_clear()
        .env("PATH", format!("{bin}:/usr/bin:/bin"))
        // What the worker searches, as in its image: Debian has scripts in PATH that look for the programs in their turn.
        .env("BIN", bin.to_string())
        .envs(sides.variables())
        .env("PGPASSWORD", PASSWORD)
        .env("LC_ALL", "C.UTF-8")
        .env("WORK", work)
        .env("SCHEMAFERRY", program.with_file_name("schemaferry"))
        // What a failed tool leaves running is ended by it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Looks at the tool's processes and at the source until the tool has ended.
fn watch(child: Child, started: Instant, source: &Cluster) -> (Output, Duration, Cost) {
    let pid = child.id();
    let ended = AtomicBool::new(false);
    let mut cost = Cost::default();
    let (output, wall) = thread::scope(|scope| {
        let processes = scope.spawn(|| {
            let mut peaks = BTreeMap::new();
            while !ended.load(Ordering::Relaxed) {
                look(pid, &mut peaks);
                thread::sleep(LOOK);
            }
            peaks
        });
        let snapshots = scope.spawn(|| held(source, &ended));
        let output = child.wait_with_output().unwrap();
        let wall = started.elapsed();
        // Where everything has ended by itself there is no such group any more.
        killpg(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap_or_default();
        ended.store(true, Ordering::Relaxed);
        cost.peaks = processes.join().unwrap();
        cost.held = snapshots.join().unwrap();
        (output, wall)
    });
    (output, wall, cost)
}

/// Notes the peak memory, in KiB, of a process and of all its descendants. A process may end meanwhile.
fn look(pid: u32, peaks: &mut BTreeMap<String, u64>) {
    let process = Path::new("/proc").join(pid.to_string());
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()
    };
    if let Some((program, peak)) = field("Name:").zip(field("VmHWM:"))
        && !ASIDE.contains(&program)
    {
        let highest = peaks.entry(program.to_owned()).or_default();
        *highest = (*highest).max(peak.parse().unwrap());
    }
    let threads = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    for thread in threads {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            look(child.parse().unwrap(), peaks);
        }
    }
}

/// The age of the oldest transaction with a snapshot, at its highest.
fn held(source: &Cluster, ended: &AtomicBool) -> Duration {
    let mut session = Session::open(source);
    let mut longest = 0.0_f64;
    while !ended.load(Ordering::Relaxed) {
        let age = session.ask(
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0) FROM pg_stat_activity \
             WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        );
        longest = longest.max(age.unwrap().parse().unwrap());
        thread::sleep(LOOK * 2);
    }
    Duration::from_secs_f64(longest)
}

/// CPU time of a server and of all its processes, those that have ended too.
pub(crate) fn cpu(cluster: &Cluster) -> Duration {
    let postmaster = cluster.pid();
    let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
    let living: Duration = children
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| ticks(pid, 2))
        .sum();
    living + ticks(&postmaster.to_string(), 4).unwrap()
}

/// The first of utime, stime, cutime and cstime.
fn ticks(pid: &str, fields: usize) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold blanks; utime is field 14.
    let ticks: u32 = stat
        .rsplit(')')
        .next()?
        .split_whitespace()
        .skip(11)
        .take(fields)
        .map(|field| field.parse::<u32>().unwrap())
        .sum();
    Some(TICK * ticks)
}

/// The last words of a failed tool: of the worker the exit code and the reason, of others the last errors.
fn complaint(output: &Output) -> String {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let record: Option<Value> = stdout
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok());
    let reason = record
        .as_ref()
        .and_then(|record| record.get("reason")?.as_str())
        .map(str::to_owned);
    let last = || {
        let mut lines = stderr.lines().rev();
        let error = lines.clone().find(|line| line.to_lowercase().contains("error"));
        let said = error.or_else(|| lines.next());
        said.unwrap_or("it said nothing").to_owned()
    };
    format!("{}: {}", output.status, reason.unwrap_or_else(last))
}

/// What a program says of its version, on one line.
pub(crate) fn version(server: &Server, program: &str) -> String {
    let output = Command::new(program)
        .arg("--version")
        .env("PATH", format!("{}:/usr/bin:/bin", server.bin().display()))
        .output();
    let said = output.map(|output| output.stdout).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().unwrap_or("no pgcopydb").to_owned()
}
