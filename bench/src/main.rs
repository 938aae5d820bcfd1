//! `make bench`: the peers and the worker on the same data and servers in one run, each result compared with the
//! source. Every tool's time includes the statistics of what it loaded.
#![expect(clippy::print_stdout, reason = "what it prints is the tables")]
#![expect(clippy::print_stderr, reason = "who waits sees how far it is")]
#![expect(clippy::disallowed_methods, reason = "running other programs is what it does")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step ends the bench")]

mod bar;
mod cost;
mod floor;
mod picture;
mod report;
mod session;
mod sets;
mod tools;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use nix::sys::statvfs::statvfs;
use testbed::proxy::Line;
use testbed::{Cluster, Server};

use crate::cost::Cost;
use crate::sets::{Data, SETS, Set, Way};
use crate::tools::{How, Sides, TOOLS, Tool, word};

/// The database on both sides, and the schema in it.
const DATABASE: &str = "bench";
/// On the target, what was loaded before the set changed.
const LOADED: &str = "loaded";
const SCHEMA: &str = "bench";

/// The same on both sides. Autovacuum would work for one tool on what another has left.
const SETTINGS: [(&str, &str); 6] = [
    ("shared_buffers", "512MB"),
    ("maintenance_work_mem", "256MB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "1h"),
    ("max_connections", "200"),
    ("autovacuum", "off"),
];

/// What both clusters and a dump take at scale 1 with any set, at most.
const ROOM_MB: f64 = 8000.0;

const USAGE: &str = "usage: bench [SETS=…] [TOOLS=…] [SCALE=1] [ROUNDS=1] [PICTURE=target/bench.svg]
SETS and TOOLS are words separated by blanks; TOOLS takes every tool that begins with one of the words.";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [measure, script, file] = arguments.as_slice()
        && measure == "measure"
    {
        return cost::measure(script, file);
    }
    match Options::read(&arguments) {
        Ok(options) => bench(&options),
        Err(problem) => {
            println!("{problem}\n{USAGE}\n\nsets:");
            for set in &SETS {
                println!("  {}", set.describe());
            }
            println!("tools:");
            for tool in &TOOLS {
                println!("  {:<14} {}", tool.word, tool.name);
            }
            ExitCode::from(64)
        }
    }
}

/// What is to be run.
struct Options {
    sets: Vec<&'static Set>,
    tools: Vec<&'static Tool>,
    scale: f64,
    rounds: usize,
    picture: PathBuf,
}

impl Options {
    /// From `NAME=value`; an empty value is the default.
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            sets: SETS.iter().collect(),
            tools: TOOLS.iter().collect(),
            scale: 1.0,
            rounds: 1,
            picture: PathBuf::from("target/bench.svg"),
        };
        for argument in arguments {
            let (name, value) = argument
                .split_once('=')
                .ok_or_else(|| format!("{argument} is not NAME=value"))?;
            let wrong = || format!("{name} can't be {value}");
            match name {
                _ if value.is_empty() => {}
                "SETS" => {
                    options.sets = value
                        .split_whitespace()
                        .map(|word| SETS.iter().find(|set| set.name == word).ok_or_else(wrong))
                        .collect::<Result<_, _>>()?;
                }
                "TOOLS" => {
                    let wanted =
                        |tool: &&Tool| value.split_whitespace().any(|word| tool.word.starts_with(word));
                    options.tools = TOOLS.iter().filter(wanted).collect();
                }
                "SCALE" => {
                    options.scale = value
                        .parse()
                        .ok()
                        .filter(|scale| *scale > 0.0)
                        .ok_or_else(wrong)?;
                }
                "ROUNDS" => {
                    options.rounds = value
                        .parse()
                        .ok()
                        .filter(|rounds| *rounds > 0)
                        .ok_or_else(wrong)?;
                }
                "PICTURE" => options.picture = PathBuf::from(value),
                _ => return Err(format!("{name} is unknown")),
            }
        }
        Ok(options)
    }
}

/// What the tools did with one set.
struct Measured {
    set: &'static Set,
    data: Data,
    rows: Vec<Row>,
    /// Bytes that came from the source in one more refresh, which is not timed because they are counted.
    carried: Option<u64>,
}

/// What one tool did: the costs of its rounds, or why there are none.
struct Row {
    tool: &'static Tool,
    ended: Result<Vec<Cost>, String>,
}

fn bench(options: &Options) -> ExitCode {
    let server = Server::distribution();
    let directory = room(options.scale);
    let [source, target] = [(); 2].map(|()| Cluster::start_in(&directory, &server, &SETTINGS));
    println!(
        "PostgreSQL {}, {}, {} cores, clusters in {}, scale {}, rounds: {}\n",
        server.major(),
        cost::version(&server, "pgcopydb"),
        std::thread::available_parallelism().map_or(0, usize::from),
        directory.display(),
        options.scale,
        options.rounds
    );
    let mut measured = Vec::new();
    for set in &options.sets {
        measured.push(measure(set, options, &source, &target));
        println!("{}", report::table(measured.last().unwrap()));
    }
    let goals = bar::goals(&measured);
    println!("{}", bar::table(&goals));
    write_picture(&options.picture, &picture::draw(&measured));
    let failed = |row: &Row| row.tool.is_ours() && row.ended.is_err();
    if measured.iter().flat_map(|measured| &measured.rows).any(failed) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Where the clusters are: in memory, if there is room. A file system on disk remembers what was deleted lately (ext4
/// passes over such inodes when it creates a file), so that each tool would pay for the one before.
fn room(scale: f64) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = statvfs(memory).map_or(0, |found| found.blocks_available() * found.fragment_size());
    if f64::from(u32::try_from(free / 1_000_000).unwrap_or(u32::MAX)) >= ROOM_MB * scale.max(0.1) {
        memory.to_owned()
    } else {
        env::temp_dir()
    }
}

fn write_picture(path: &Path, picture: &str) {
    let directory = path.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(path, picture));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!("time per tool, as a picture: {}", path.display());
}

/// Runs every tool that is meant for the set, round by round.
fn measure(set: &'static Set, options: &Options, source: &Cluster, target: &Cluster) -> Measured {
    let started = Instant::now();
    let mut data = set.fill(source, options.scale);
    let sides = Sides::new(source, target, set.way);
    if set.changes {
        load(&sides);
        data = set.change(source, options.scale);
    }
    eprintln!("{}: filled in {:.0} s", set.name, started.elapsed().as_secs_f64());
    let wanted = options.tools.iter().filter(|tool| set.tools.contains(&tool.word));
    let mut rows: Vec<Row> = wanted
        .map(|tool| Row {
            tool,
            ended: Ok(Vec::new()),
        })
        .collect();
    for _ in 0..options.rounds {
        for row in &mut rows {
            let Ok(costs) = &mut row.ended else { continue };
            let run = run(row.tool, &sides, &data);
            match run {
                Ok(cost) => {
                    let seconds = cost.wall.as_secs_f64();
                    eprintln!("{}: {:<14} {seconds:6.1} s", set.name, row.tool.word);
                    costs.push(cost);
                }
                Err(problem) => {
                    eprintln!("{}: {:<14} failed: {problem}", set.name, row.tool.word);
                    row.ended = Err(problem);
                }
            }
        }
    }
    drop(sides);
    let refreshed = rows.iter().find(|row| row.tool.word == word::REFRESH);
    let carried = refreshed.and_then(|row| carried(row.tool, [source, target], &data));
    for cluster in [source, target] {
        drop_database(cluster);
    }
    target.psql("postgres", &format!("DROP DATABASE IF EXISTS {LOADED}"));
    Measured {
        set,
        data,
        rows,
        carried,
    }
}

/// What comes from the source when a tool is run once more, through a proxy that counts it.
fn carried(tool: &Tool, [source, target]: [&Cluster; 2], data: &Data) -> Option<u64> {
    let way = Way {
        line: Some(Line::default()),
        tls: false,
    };
    run(tool, &Sides::new(source, target, way), data).ok()?.carried
}

/// Loads what is to be refreshed later, and keeps it.
fn load(sides: &Sides<'_>) {
    sides.target.create_database(DATABASE);
    let script = r#"PATH=$BIN "$SCHEMAFERRY" load"#;
    let loaded = cost::run(script, sides);
    loaded.unwrap_or_else(|problem| panic!("what is to be refreshed is not loaded: {problem}"));
    sides.target.psql(
        "postgres",
        &format!("ALTER DATABASE {DATABASE} RENAME TO {LOADED}"),
    );
}

/// One run, onto an empty database or what was loaded before, and whether everything has arrived.
fn run(tool: &Tool, sides: &Sides<'_>, data: &Data) -> Result<Cost, String> {
    drop_database(sides.target);
    let template = if tool.word == word::REFRESH {
        LOADED
    } else {
        "template1"
    };
    sides.target.psql(
        "postgres",
        &format!("CREATE DATABASE {DATABASE} TEMPLATE {template}"),
    );
    sides.target.psql("postgres", "CHECKPOINT");
    let cost = match tool.how {
        How::Script(script) => cost::run(script, sides)?,
        How::Floor(compression) => floor::run(compression, sides)?,
    };
    let found = sets::fingerprint(sides.target)?;
    match sets::difference(&data.fingerprint, &found) {
        None => Ok(cost),
        Some(difference) => Err(format!("source and target differ: {difference}")),
    }
}

fn drop_database(cluster: &Cluster) {
    cluster.psql(
        "postgres",
        &format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"),
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn options(arguments: &[&str]) -> Result<Options, String> {
        Options::read(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_choose_sets_and_tools_and_refuse_what_is_unknown() {
        let every = options(&["SETS=", "TOOLS=", "SCALE="]).unwrap();
        assert_eq!((every.sets.len(), every.tools.len()), (SETS.len(), TOOLS.len()));
        let some = options(&[
            "SETS=small line-400",
            "TOOLS=pgcopydb copy",
            "SCALE=0.5",
            "ROUNDS=3",
        ])
        .unwrap();
        let words: Vec<_> = some.tools.iter().map(|tool| tool.word).collect();
        assert_eq!(
            words,
            [
                "pgcopydb-2",
                "pgcopydb-4",
                "pgcopydb-8",
                "copy",
                "copy-without-lz4"
            ]
        );
        assert_eq!((some.sets[0].name, some.sets[1].name), ("small", "line-400"));
        assert_eq!((some.scale, some.rounds), (0.5, 3));
        for wrong in ["SETS=large", "SCALE=0", "SCALE=x", "ROUNDS=0", "COLOUR=red", "3"] {
            assert!(options(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_set_has_its_file_and_names_tools_that_exist() {
        for set in &SETS {
            assert!(set.describe().starts_with(set.name), "{}", set.describe());
            for word in set.tools {
                assert!(
                    TOOLS.iter().any(|tool| tool.word == *word),
                    "{}: {word}",
                    set.name
                );
            }
        }
    }

    /// A set in which tools took so many seconds; none is a failure.
    fn measured(set: &str, seconds: &[(&str, Option<u64>)]) -> Measured {
        let tool = |word: &str| TOOLS.iter().find(|tool| tool.word == word).unwrap();
        let cost = |seconds: u64| Cost {
            wall: Duration::from_secs(seconds),
            ..Cost::default()
        };
        Measured {
            set: SETS.iter().find(|known| known.name == set).unwrap(),
            data: Data {
                size: "1 MB".to_owned(),
                tables: 1,
                fingerprint: String::new(),
                written: Some(100_000),
            },
            carried: Some(104_000),
            rows: seconds
                .iter()
                .map(|(word, seconds)| Row {
                    tool: tool(word),
                    ended: seconds
                        .map(|seconds| vec![cost(1000), cost(seconds), cost(0)])
                        .ok_or_else(|| "it broke".to_owned()),
                })
                .collect(),
        }
    }

    #[test]
    fn the_bar_takes_medians_and_the_faster_of_both_peers() {
        let measured = [measured(
            "warehouse",
            &[
                ("original", Some(40)),
                ("pgcopydb-2", Some(12)),
                ("pgcopydb-4", Some(15)),
                ("floor-lz4", None),
                ("copy", Some(10)),
            ],
        )];
        let text = bar::table(&bar::goals(&measured));
        let line = |what: &str| text.lines().find(|line| line.contains(what)).unwrap();
        assert!(line("than the original pipe").contains("| at least 4 times | 4.00 times | yes |"));
        assert!(line("than pgcopydb").contains("| at least 1.25 times | 1.20 times | **no** |"));
        assert!(line("servers alone").contains("not measured"));
        assert!(line("documents").contains("not measured"));
        assert!(line("bytes on the line").contains("not measured"));
    }

    #[test]
    fn the_bytes_of_a_refresh_are_held_against_those_that_were_written() {
        let text = bar::table(&bar::goals(&[measured("refresh-1", &[("refresh", Some(1))])]));
        let line = text.lines().find(|line| line.contains("bytes on the line"));
        assert!(
            line.unwrap()
                .contains("| at most 1.05 times | 1.04 times | yes |")
        );
    }

    #[test]
    fn a_table_has_every_column_in_every_row() {
        let measured = measured(
            "latency",
            &[("original", Some(40)), ("pgcopydb-2", None), ("copy", Some(10))],
        );
        let text = report::table(&measured);
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 5, "{text}");
        for row in rows {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 10, "{row}");
        }
        assert!(
            text.contains("| schemaferry METHOD=copy | 10.0 | 4.00 |"),
            "{text}"
        );
        assert!(text.contains("pgcopydb, 2 and 2 jobs failed: it broke"), "{text}");
    }

    #[test]
    fn the_picture_has_a_bar_for_each_tool() {
        let measured = [measured(
            "small",
            &[("original", Some(40)), ("copy", Some(10)), ("pipe", None)],
        )];
        let picture = picture::draw(&measured);
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
        assert!(picture.contains(">40.0 s<") && picture.contains(">10.0 s<") && picture.contains(">failed<"));
        assert_eq!(picture.matches("<rect").count(), 1 + 3);
    }
}
