//! What the two servers need by themselves: rows from one to the other through named pipes, without a client between
//! them, then indexes, then foreign keys; two sessions at once on each side. No tool can be much faster.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use testbed::Cluster;

use crate::cost::{Cost, Part, cpu};
use crate::session::Session;
use crate::tools::Sides;
use crate::{DATABASE, SCHEMA};

/// Sessions at once on each side.
const SESSIONS: usize = 2;

/// Tables, the largest first, and whether their rows come in frozen. Not into small ones: emptying a table has the
/// server look through all of its buffers, which takes longer than the rows.
const TABLES: &str = "\
SELECT oid::regclass, pg_table_size(oid) > 4000000 FROM pg_class WHERE relkind = 'r' AND relnamespace = 'bench'::regnamespace
ORDER BY pg_table_size(oid) DESC, oid";

/// Where sequences stand, as one statement.
const SEQUENCES: &str = "\
SELECT format('SELECT count(setval(name, value)) FROM (VALUES %s) AS reading (name, value)',
              string_agg(format('(%L::regclass, %s)', format('%I.%I', schemaname, sequencename), last_value), ', '))
FROM pg_sequences WHERE schemaname = 'bench' AND last_value IS NOT NULL HAVING count(*) > 0";

const INDEXES: &str = "\
SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
WHERE relnamespace = 'bench'::regnamespace ORDER BY pg_table_size(indrelid) DESC, indexrelid";

/// Constraints that take over their index, and foreign keys: what takes no time but a lock.
const CONSTRAINTS: &str = "\
SELECT format('ALTER TABLE ONLY %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
              CASE contype WHEN 'f' THEN pg_get_constraintdef(oid) || ' NOT VALID'
                           WHEN 'p' THEN format('PRIMARY KEY USING INDEX %I', conname)
                           ELSE format('UNIQUE USING INDEX %I', conname) END)
FROM pg_constraint WHERE connamespace = 'bench'::regnamespace AND contype IN ('p', 'u', 'f')
ORDER BY contype = 'f', oid";

const VALIDATIONS: &str = "\
SELECT format('ALTER TABLE ONLY %s VALIDATE CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint WHERE connamespace = 'bench'::regnamespace AND contype = 'f' ORDER BY oid";

/// A table, and what its rows travel through.
struct Table {
    name: String,
    pipe: String,
    frozen: bool,
}

impl Table {
    /// From a row of [`TABLES`].
    fn new(line: &str, pipe: String) -> Self {
        let (name, frozen) = line.rsplit_once('|').unwrap();
        Self {
            name: name.to_owned(),
            pipe,
            frozen: frozen == "t",
        }
    }
}

/// Moves everything; tables are created before the time begins, and analysed after it.
pub(crate) fn run(compression: &str, sides: &Sides<'_>) -> Result<Cost, String> {
    let (source, target) = (sides.source, sides.target);
    create_tables(source, target);
    let pipes = tempfile::tempdir().unwrap();
    fs::set_permissions(pipes.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let ask = |query: &str| -> Vec<String> {
        let answer = source.psql(DATABASE, query);
        answer.lines().map(str::to_owned).collect()
    };
    let [tables, sequences, indexes, constraints, validations] =
        [TABLES, SEQUENCES, INDEXES, CONSTRAINTS, VALIDATIONS].map(ask);
    let tables: Vec<_> = tables
        .into_iter()
        .enumerate()
        .map(|(number, line)| Table::new(&line, pipe(pipes.path(), number)))
        .collect();
    let source_before = cpu(source);
    let parts = vec![
        part("rows", target, || {
            rows([source, target], compression, tables)?;
            Session::open(target).ask(&sequences.join(";")).map(drop)
        })?,
        part("indexes", target, || build(target, indexes))?,
        part("foreign keys", target, || {
            Session::open(target).ask(&constraints.join(";\n"))?;
            build(target, validations)
        })?,
    ];
    let source_after = cpu(source);
    target.psql(DATABASE, "ANALYZE");
    Ok(Cost {
        wall: parts.iter().map(|part| part.wall).sum(),
        source: source_after.saturating_sub(source_before),
        target: parts.iter().map(|part| part.target).sum(),
        parts,
        ..Cost::default()
    })
}

/// Times a part.
fn part(
    what: &'static str,
    target: &Cluster,
    work: impl FnOnce() -> Result<(), String>,
) -> Result<Part, String> {
    let before = cpu(target);
    let started = Instant::now();
    work()?;
    Ok(Part {
        what,
        wall: started.elapsed(),
        target: cpu(target).saturating_sub(before),
    })
}

/// The largest table first, to whichever pair of sessions is free.
fn rows([source, target]: [&Cluster; 2], compression: &str, tables: Vec<Table>) -> Result<(), String> {
    each(tables, |queue| {
        let (mut from, mut to) = (Session::open(source), Session::open(target));
        to.ask(&format!("SET default_toast_compression = {compression}"))?;
        while let Some(Table { name, pipe, frozen }) = next(queue) {
            from.send(&format!("COPY {name} TO '{pipe}' (FORMAT binary)"));
            to.send(&if frozen {
                format!(
                    "BEGIN; TRUNCATE ONLY {name}; COPY {name} FROM '{pipe}' (FORMAT binary, FREEZE); COMMIT"
                )
            } else {
                format!("COPY {name} FROM '{pipe}' (FORMAT binary)")
            });
            from.answer()?;
            to.answer()?;
        }
        Ok(())
    })
}

/// One statement after the other, in whichever session is free.
fn build(target: &Cluster, statements: Vec<String>) -> Result<(), String> {
    each(statements, |queue| {
        let mut session = Session::open(target);
        while let Some(statement) = next(queue) {
            session.ask(&statement)?;
        }
        Ok(())
    })
}

fn create_tables(source: &Cluster, target: &Cluster) {
    let mut dump = source
        .client("pg_dump", DATABASE)
        .args(["--schema", SCHEMA, "--section=pre-data"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut psql: Command = target.client("psql", DATABASE);
    let loaded = psql
        .args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1"])
        .stdin(dump.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(
        loaded.success() && dump.wait().unwrap().success(),
        "the tables can't be made"
    );
}

/// A named pipe that both servers can open, one for each table: a reader may come late to the end of the last one.
fn pipe(directory: &Path, number: usize) -> String {
    let path = directory.join(number.to_string());
    mkfifo(&path, Mode::S_IRUSR).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    path.display().to_string()
}

/// Has the items worked off by [`SESSIONS`] threads.
fn each<T: Send>(
    mut items: Vec<T>,
    work: impl Fn(&Mutex<Vec<T>>) -> Result<(), String> + Sync,
) -> Result<(), String> {
    items.reverse();
    let queue = Mutex::new(items);
    thread::scope(|scope| {
        let workers = [(); SESSIONS].map(|()| scope.spawn(|| work(&queue)));
        workers.into_iter().try_for_each(|worker| worker.join().unwrap())
    })
}

fn next<T>(queue: &Mutex<Vec<T>>) -> Option<T> {
    queue.lock().unwrap().pop()
}
