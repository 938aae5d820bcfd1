//! The data sets: one file each in `sets/`, which makes the schema `bench`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use testbed::Cluster;
use testbed::proxy::Line;

use crate::tools::word;
use crate::{DATABASE, SCHEMA};

/// A data set, who moves it, and the way that the tools take to its source.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    /// The words of the tools that are run on it.
    pub(crate) tools: &'static [&'static str],
    pub(crate) way: Way,
    /// Another file, `NAME.change.sql`, writes to it after it was loaded, and what the tools bring is the outcome.
    pub(crate) changes: bool,
}

/// What lies between the tools and the source.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) line: Option<Line>,
    pub(crate) tls: bool,
}

/// Every way to move a schema.
const EVERYONE: &[&str] = &[
    word::ORIGINAL,
    word::UNCOMPRESSED,
    word::DIRECTORY_2,
    word::DIRECTORY_4,
    word::PGCOPYDB_2,
    word::PGCOPYDB_4,
    word::FLOOR,
    word::FLOOR_LZ4,
    word::PIPE,
    word::COPY,
    word::COPY_WITHOUT_LZ4,
];

/// Over a line.
const TRAVELLERS: &[&str] = &[
    word::ORIGINAL,
    word::PGCOPYDB_2,
    word::PGCOPYDB_4,
    word::PGCOPYDB_8,
    word::FLOOR_LZ4,
    word::PIPE,
    word::COPY,
];

/// Many schemas, of which nobody else moves five at a time.
const CROWDS: &[&str] = &[word::FIVE];

/// To a target that holds what was there before.
const REFRESHERS: &[&str] = &[word::PGCOPYDB_2, word::PGCOPYDB_4, word::COPY, word::REFRESH];

pub(crate) const SETS: [Set; 16] = [
    Set::direct("warehouse", EVERYONE),
    Set::direct("small", EVERYONE),
    Set::direct("documents", EVERYONE),
    Set::direct(
        "keyless",
        &[
            word::ORIGINAL,
            word::PGCOPYDB_2,
            word::PGCOPYDB_4,
            word::PSQL,
            word::FLOOR,
            word::PIPE,
            word::COPY,
        ],
    ),
    Set::direct(
        "huge",
        &[word::ORIGINAL, word::PGCOPYDB_2, word::PIPE, word::COPY],
    ),
    Set::direct(
        "lopsided",
        &[
            word::ORIGINAL,
            word::PGCOPYDB_2,
            word::PGCOPYDB_4,
            word::FLOOR,
            word::COPY,
        ],
    ),
    Set::direct("even", &[word::FLOOR, word::COPY]),
    Set {
        name: "latency",
        tools: &[
            word::ORIGINAL,
            word::PGCOPYDB_2,
            word::PGCOPYDB_4,
            word::PIPE,
            word::COPY,
        ],
        way: Way {
            line: Some(Line {
                delay: Duration::from_millis(10),
                bits_per_second: None,
            }),
            tls: false,
        },
        changes: false,
    },
    Set::over_a_line("line-100", 20, 100),
    Set::over_a_line("line-400", 5, 400),
    Set::over_a_line("line-1000", 5, 1000),
    Set {
        tools: CROWDS,
        ..Set::over_a_line("sixty", 5, 100)
    },
    Set::refreshed("refresh-1"),
    Set::refreshed("refresh-10"),
    Set::refreshed("refresh-50"),
    Set::refreshed("refresh-documents"),
];

/// What a set holds.
pub(crate) struct Data {
    /// Rows and TOAST, as a text.
    pub(crate) size: String,
    pub(crate) tables: u32,
    pub(crate) fingerprint: String,
    /// Bytes of the rows that were written after the load, as COPY sends them.
    pub(crate) written: Option<u64>,
}

impl Set {
    const fn direct(name: &'static str, tools: &'static [&'static str]) -> Self {
        let way = Way {
            line: None,
            tls: false,
        };
        Self {
            name,
            tools,
            way,
            changes: false,
        }
    }

    const fn refreshed(name: &'static str) -> Self {
        Self {
            changes: true,
            ..Self::direct(name, REFRESHERS)
        }
    }

    const fn over_a_line(name: &'static str, delay_ms: u64, megabits_per_second: u64) -> Self {
        let line = Line {
            delay: Duration::from_millis(delay_ms),
            bits_per_second: Some(megabits_per_second * 1_000_000),
        };
        let way = Way {
            line: Some(line),
            tls: true,
        };
        Self {
            name,
            tools: TRAVELLERS,
            way,
            changes: false,
        }
    }

    /// The first line of its file.
    pub(crate) fn describe(&self) -> String {
        let text = std::fs::read_to_string(self.file()).unwrap();
        let line = text.lines().next().unwrap_or_default();
        line.trim_start_matches("-- ").to_owned()
    }

    /// Makes it on the source.
    pub(crate) fn fill(&self, source: &Cluster, scale: f64) -> Data {
        source.create_database(DATABASE);
        run(source, scale, &self.file());
        Data::of(source)
    }

    /// Writes to it.
    pub(crate) fn change(&self, source: &Cluster, scale: f64) -> Data {
        let first = source.psql(DATABASE, "SELECT pg_current_xact_id()");
        run(source, scale, &self.file().with_extension("change.sql"));
        Data {
            written: Some(written(source, &first)),
            ..Data::of(source)
        }
    }

    fn file(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("sets")
            .join(self.name)
            .with_extension("sql")
    }
}

fn run(source: &Cluster, scale: f64, file: &Path) {
    let output = source
        .client("psql", DATABASE)
        .args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-v"])
        .arg(format!("scale={scale}"))
        .arg("-f")
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    source.psql(DATABASE, "CHECKPOINT");
}

impl Data {
    fn of(source: &Cluster) -> Self {
        let tables =
            format!("FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text ~ '^{SCHEMA}'");
        let ask = |what: &str| source.psql(DATABASE, &format!("SELECT {what} {tables}"));
        Self {
            size: ask("pg_size_pretty(sum(pg_table_size(oid)))"),
            tables: ask("count(*)").parse().unwrap(),
            fingerprint: fingerprint(source).unwrap(),
            written: None,
        }
    }
}

/// What COPY sends of the rows that were written by this transaction and later ones.
fn written(source: &Cluster, first: &str) -> u64 {
    let copies = source.psql(
        DATABASE,
        &format!(
            "SELECT format('COPY (SELECT * FROM ONLY %s WHERE age(xmin) <= age(''{first}''::xid)) TO STDOUT (FORMAT binary);', \
             oid::regclass) FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text ~ '^{SCHEMA}'"
        ),
    );
    let mut psql = source
        .client("psql", DATABASE)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", &copies])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = io::copy(&mut psql.stdout.take().unwrap(), &mut io::sink()).unwrap();
    assert!(psql.wait().unwrap().success(), "what was written can't be read");
    bytes
}

/// A query for every table: its name, its rows, and a hash over them in any order. Columns are taken by name, because
/// an inheritance child may have them in another order.
const CONTENTS: &str = "\
SELECT format('SELECT %L, %L, count(*), coalesce(sum(hash_record_extended(ROW(%s), 0)::numeric), 0) FROM ONLY %I.%I t;',
              n.nspname, c.relname,
              (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attname)
               FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
              n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname ~ '^bench' AND c.relkind = 'r'
ORDER BY n.nspname, c.relname";

/// Indexes that are valid, constraints that hold, where sequences stand, and tables without statistics.
const OBJECTS: &str = "
SELECT 'indexes', count(*), sum(hashtext(c.relname::text))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indisvalid AND c.relnamespace::regnamespace::text ~ '^bench';
SELECT 'constraints', count(*), sum(hashtext(format('%s %s', conname, contype)))
FROM pg_constraint WHERE convalidated AND connamespace::regnamespace::text ~ '^bench';
SELECT 'sequences', count(*), sum(last_value) FROM pg_sequences WHERE schemaname ~ '^bench';
SELECT 'without statistics', count(*) FROM pg_class
WHERE relkind = 'r' AND relnamespace::regnamespace::text ~ '^bench' AND reltuples < 0;";

/// What must be the same on both sides, a line each. The schema may be lacking altogether.
pub(crate) fn fingerprint(cluster: &Cluster) -> Result<String, String> {
    let queries = cluster.try_psql(DATABASE, CONTENTS)?;
    cluster.try_psql(DATABASE, &format!("{queries}{OBJECTS}"))
}

/// The first line that differs.
pub(crate) fn difference(source: &str, target: &str) -> Option<String> {
    if source == target {
        return None;
    }
    let there: Vec<&str> = target.lines().collect();
    let lacking = source.lines().find(|line| !there.contains(line));
    Some(lacking.unwrap_or("there is more on the target").to_owned())
}
