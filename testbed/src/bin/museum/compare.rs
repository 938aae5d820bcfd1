//! Whether source and target hold the same, asked of pg_dump and psql alone.
//!
//! The measure is what pg_dump and psql make of the source on a server of the target's major: a definition changes its words on
//! its first journey, whoever carries it. Both are dumped by one client, the newest.

use testbed::{Cluster, Server, warehouse};

use crate::exhibit::{self, Exhibit};
use crate::visit;

/// The database on the target's server that pg_dump and psql fill.
const REFERENCE: &str = "reference";

/// Moves every exhibit as pg_dump and psql do, but for one thing: operators of extensions are found, which some expressions leave
/// without their schema.
pub(crate) fn make_reference(source: &Cluster, target: &Cluster, exhibits: &[Exhibit]) {
    const PATH: &str = "set_config('search_path', '', false)";
    exhibit::lay_ground(target, REFERENCE);
    let schemas = exhibits.iter().flat_map(|exhibit| &exhibit.schemas);
    let dump = source
        .client_of(target.server(), "pg_dump", visit::DATABASE)
        .args(schemas.map(|schema| format!("--schema={schema}")))
        .output()
        .unwrap();
    assert!(
        dump.status.success(),
        "pg_dump: {}",
        String::from_utf8_lossy(&dump.stderr)
    );
    let sql = String::from_utf8(dump.stdout).unwrap();
    let lines: Vec<&str> = sql.lines().filter(|line| !is_a_mark(line)).collect();
    let sql = lines.join("\n");
    let sql = sql.replace(PATH, &PATH.replace("''", "'public'"));
    if let Err(message) = target.try_psql(REFERENCE, &sql) {
        panic!("what pg_dump says of the source: {message}");
    }
}

/// What is not the same in these schemas.
pub(crate) fn differences(
    source: &Cluster,
    target: &Cluster,
    database: &str,
    schemas: &[String],
) -> Vec<String> {
    let mut differences = Vec::new();
    for schema in schemas {
        let [here, there] = [(source, visit::DATABASE), (target, database)]
            .map(|(cluster, database)| warehouse::contents(cluster, database, schema));
        for (here, there) in here
            .lines()
            .zip(there.lines())
            .filter(|(here, there)| here != there)
        {
            differences.push(format!("{schema}: rows {here} are {there} on the target"));
        }
        if here.lines().count() != there.lines().count() {
            differences.push(format!("{schema}: other tables"));
        }
    }
    let (expected, found) = (
        definition(target, REFERENCE, schemas),
        definition(target, database, schemas),
    );
    differences.extend(missing(&expected, &found).map(|line| format!("only pg_dump: {line}")));
    differences.extend(missing(&found, &expected).map(|line| format!("only the worker: {line}")));
    differences
}

/// Lines of one that the other does not have as often; both are sorted.
fn missing<'a>(lines: &'a [String], others: &'a [String]) -> impl Iterator<Item = &'a String> {
    let mut rest = others.iter().peekable();
    lines.iter().filter(move |line| {
        while rest.next_if(|other| other < line).is_some() {}
        rest.next_if(|other| other == line).is_none()
    })
}

/// What the newest pg_dump says of schemas.
fn definition(cluster: &Cluster, database: &str, schemas: &[String]) -> Vec<String> {
    let schemas: Vec<&str> = schemas.iter().map(String::as_str).collect();
    let mut lines = warehouse::definition_by(&Server::newest(), cluster, database, &schemas);
    lines.retain(|line| !is_a_mark(line));
    lines
}

/// Whether a line repeats a mark that some minor releases leave on columns for themselves, and other servers refuse.
fn is_a_mark(line: &str) -> bool {
    line.starts_with("ALTER ") && line.ends_with(");") && line.contains(" SET (pg_attver=")
}
