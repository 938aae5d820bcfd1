//! `make bench`: the peers and the worker on the same data and servers in one run, each result compared with the
//! source. Every tool's time includes the statistics of what it loaded.
#![expect(clippy::print_stdout, reason = "what it prints is the table")]
#![expect(clippy::disallowed_methods, reason = "running other programs is what it does")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step ends the bench")]

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use testbed::cluster::{PASSWORD, SUPERUSER};
use testbed::{Cluster, Server, warehouse};

const DATABASE: &str = "warehouse";
const SCHEMA: &str = "bench";
/// `/proc/*/stat` counts in hundredths of a second on every Linux that Rust runs on.
const TICK: Duration = Duration::from_millis(10);

/// A tool: its name, and a shell script that moves the schema from `$SOURCE` to `$TARGET` (connection strings).
const TOOLS: [(&str, &str); 5] = [
    (
        "pg_dump -Fc | pg_restore",
        r#"pg_dump -Fc -n bench "$SOURCE" | pg_restore -d "$TARGET"; psql -qd "$TARGET" -c ANALYZE"#,
    ),
    (
        "pg_dump -Fc -Z0 | pg_restore",
        r#"pg_dump -Fc -Z0 -n bench "$SOURCE" | pg_restore -d "$TARGET"; psql -qd "$TARGET" -c ANALYZE"#,
    ),
    (
        "pg_dump -Fd -j2 -Z0, pg_restore -j2",
        r#"pg_dump -Fd -j2 -Z0 -n bench -f "$WORK/directory" "$SOURCE"
           pg_restore -j2 -d "$TARGET" "$WORK/directory"; psql -qd "$TARGET" -c ANALYZE"#,
    ),
    (
        "pgcopydb clone, 2 and 2 jobs",
        r#"pgcopydb clone --source "$SOURCE" --target "$TARGET" --table-jobs 2 --index-jobs 2 --no-acl --no-owner \
               --skip-extensions --skip-large-objects --dir "$WORK/pgcopydb"
           psql -qd "$TARGET" -c ANALYZE"#,
    ),
    ("schemaferry METHOD=pipe", r#""$SCHEMAFERRY" load"#),
];

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    match arguments.next().as_deref() {
        Some("measure") => measure(&arguments.next().unwrap(), &arguments.next().unwrap()),
        Some(scale) => {
            bench(scale, arguments.next().unwrap().parse().unwrap());
            ExitCode::SUCCESS
        }
        None => {
            println!("usage: bench SCALE ROUNDS");
            ExitCode::from(64)
        }
    }
}

/// Runs the script and leaves what its processes used in a file: CPU seconds, and the kilobytes of the largest. In
/// a process of its own, because the system counts what all descendants used together.
fn measure(script: &str, file: &str) -> ExitCode {
    let status = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", script])
        .status()
        .unwrap();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu = usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds();
    fs::write(file, format!("{cpu} {}", usage.max_rss())).unwrap();
    ExitCode::from(u8::try_from(status.code().unwrap_or(255)).unwrap())
}

/// What one run cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: Duration,
    client: Duration,
    source: Duration,
    target: Duration,
    /// Memory of the largest process of the client.
    peak_kib: u64,
}

fn bench(scale: &str, rounds: usize) {
    let server = Server::distribution();
    let settings = [("shared_buffers", "512MB"), ("maintenance_work_mem", "256MB")];
    let source = Cluster::start_with(&server, &settings);
    let target = Cluster::start_with(&server, &settings);
    source.create_database(DATABASE);
    let sql = include_str!("../../../bench/warehouse.sql");
    source.psql(DATABASE, &format!("\\set scale {scale}\n{sql}"));
    let expected = fingerprint(&source);
    println!(
        "PostgreSQL {} to {}, scale {scale}, {} of rows and TOAST, {rounds} rounds\n",
        server.major(),
        server.major(),
        source.psql(
            DATABASE,
            "SELECT pg_size_pretty(sum(pg_table_size(oid))) FROM pg_class \
             WHERE relkind = 'r' AND relnamespace = 'bench'::regnamespace"
        )
    );
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); TOOLS.len()];
    for _ in 0..rounds {
        for ((name, script), costs) in TOOLS.iter().zip(&mut costs) {
            target.psql("postgres", &format!("DROP DATABASE IF EXISTS {DATABASE}"));
            target.create_database(DATABASE);
            costs.push(run(name, script, &source, &target));
            assert!(
                fingerprint(&target) == expected,
                "{name}: source and target differ"
            );
        }
    }
    report(&costs);
}

/// Rows and hashes of every table, indexes, and constraints that hold.
fn fingerprint(cluster: &Cluster) -> String {
    let objects = "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid \
                   WHERE indisvalid AND relnamespace = 'bench'::regnamespace; \
                   SELECT conname FROM pg_constraint WHERE convalidated \
                   AND connamespace = 'bench'::regnamespace ORDER BY 1";
    warehouse::contents(cluster, DATABASE, SCHEMA) + &cluster.psql(DATABASE, objects)
}

fn run(name: &str, script: &str, source: &Cluster, target: &Cluster) -> Cost {
    let work = tempfile::tempdir().unwrap();
    let usage = work.path().join("usage");
    let before = [source, target].map(cpu);
    let started = Instant::now();
    let output = Command::new(env::current_exe().unwrap())
        .args(["measure", script])
        .arg(&usage)
        .env_clear()
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", source.server().bin().display()),
        )
        .envs(sides(source, target))
        .env("PGPASSWORD", PASSWORD)
        .env("WORK", work.path())
        .env(
            "SCHEMAFERRY",
            env::current_exe().unwrap().with_file_name("schemaferry"),
        )
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let wall = started.elapsed();
    if !output.status.success() {
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        panic!("{name} ended with {}\n{stdout}{stderr}", output.status);
    }
    let [source, target] = [source, target].map(cpu);
    let [source_before, target_before] = before;
    let (client, peak_kib) = read_usage(&usage);
    Cost {
        wall,
        client,
        source: source.saturating_sub(source_before),
        target: target.saturating_sub(target_before),
        peak_kib,
    }
}

/// Both sides for every tool: over TCP, without TLS.
fn sides(source: &Cluster, target: &Cluster) -> Vec<(String, String)> {
    let mut variables = vec![("SCHEMA_NAME".to_owned(), SCHEMA.to_owned())];
    for (side, cluster) in [("SOURCE", source), ("TARGET", target)] {
        let (host, port) = (cluster.host(), cluster.port());
        let uri = format!("postgres://{SUPERUSER}@{host}:{port}/{DATABASE}?sslmode=disable");
        variables.push((side.to_owned(), uri));
        let words = [
            ("HOST", host.to_owned()),
            ("PORT", port.to_string()),
            ("DBNAME", DATABASE.to_owned()),
            ("USER", SUPERUSER.to_owned()),
            ("PASSWORD", PASSWORD.to_owned()),
            ("SSLMODE", "disable".to_owned()),
        ];
        variables.extend(words.map(|(word, value)| (format!("{side}_{word}"), value)));
    }
    variables
}

/// CPU time of a server and of all its backends that have ended.
fn cpu(cluster: &Cluster) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", cluster.pid())).unwrap();
    // The name in parentheses may hold blanks; utime, stime, cutime and cstime are fields 14 to 17.
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks: u32 = fields
        .skip(11)
        .take(4)
        .map(|field| field.parse::<u32>().unwrap())
        .sum();
    TICK * ticks
}

fn read_usage(file: &Path) -> (Duration, u64) {
    let text = fs::read_to_string(file).unwrap();
    let (cpu, peak) = text.split_once(' ').unwrap();
    (Duration::from_millis(cpu.parse().unwrap()), peak.parse().unwrap())
}

/// Medians; the ratio is to the first tool.
fn report(costs: &[Vec<Cost>]) {
    let median = |costs: &[Cost], of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap()
    };
    let wall: fn(&Cost) -> f64 = |cost| cost.wall.as_secs_f64();
    let original = median(costs.first().unwrap(), wall);
    println!(
        "| tool | s | times faster | client CPU s | source CPU s | target CPU s | largest client process MB |\n\
         | --- | --- | --- | --- | --- | --- | --- |"
    );
    for ((name, _), costs) in TOOLS.iter().zip(costs) {
        let seconds = median(costs, wall);
        println!(
            "| {} | {seconds:.1} | {:.2} | {:.1} | {:.1} | {:.1} | {:.0} |",
            name.replace('|', "\\|"),
            original / seconds,
            median(costs, |cost| cost.client.as_secs_f64()),
            median(costs, |cost| cost.source.as_secs_f64()),
            median(costs, |cost| cost.target.as_secs_f64()),
            median(costs, |cost| f64::from(u32::try_from(cost.peak_kib).unwrap())
                * 1024.0
                / 1e6),
        );
    }
}
