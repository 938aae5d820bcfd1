//! The demo warehouse, and whether two databases hold the same: asked without any of the worker's own code.

use std::fs;
use std::path::Path;

use crate::cluster::{Cluster, quote_literal};
use crate::server::Server;

/// Creates the demo warehouse in a database: the files of `demo/`, in order.
pub fn fill(cluster: &Cluster, database: &str) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
    let mut files: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    for file in files {
        let sql = fs::read_to_string(&file).unwrap();
        if let Err(message) = cluster.try_psql(database, &sql) {
            panic!("{}: {message}", file.display());
        }
    }
}

/// A query for every table of the schema: its name, its rows, and a hash over them in any order. Columns are taken
/// by name, because an inheritance child may have them in another order. Leaves of a hash over an enum are taken with their root, because a
/// row belongs to another one on every server.
const CONTENTS: &str = r"
SELECT format('SELECT %L, count(*), coalesce(sum(hashtextextended(ROW(%s)::text, 0)::numeric), 0) FROM %s %I.%I',
              c.relname,
              (SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY a.attname)
               FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
              CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY' END, n.nspname, c.relname) || ' t'
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM pg_partition_tree(pg_partition_root(c.oid)) l
                   JOIN pg_partitioned_table p ON p.partrelid = l.relid AND p.partstrat = 'h'
                   JOIN pg_opclass o ON o.oid = ANY (p.partclass) AND o.opcintype = 'anyenum'::regtype)
) AS tree (is_hashed)
WHERE n.nspname = %SCHEMA%
  AND CASE c.relkind WHEN 'r' THEN NOT is_hashed WHEN 'p' THEN is_hashed AND NOT c.relispartition WHEN 'm' THEN c.relispopulated ELSE false END
ORDER BY c.relname
";

/// One line per table: name, rows, hash.
#[must_use]
pub fn contents(cluster: &Cluster, database: &str, schema: &str) -> String {
    let queries = cluster.psql(database, &CONTENTS.replace("%SCHEMA%", &quote_literal(schema)));
    let settings = "SET extra_float_digits = 3; SET timezone = 'UTC'; SET row_security = off;";
    cluster.psql(database, &format!("{settings}{};", queries.replace('\n', ";\n")))
}

/// What pg_dump says of the schema, its lines sorted: tables come in another order, and so do inherited columns.
#[must_use]
pub fn definition(cluster: &Cluster, database: &str, schema: &str) -> Vec<String> {
    definition_by(cluster.server(), cluster, database, &[schema])
}

/// The same of several schemas, in the words of this installation's pg_dump.
#[must_use]
pub fn definition_by(client: &Server, cluster: &Cluster, database: &str, schemas: &[&str]) -> Vec<String> {
    let patterns = schemas
        .iter()
        .map(|schema| format!("--schema=\"{}\"", schema.replace('"', "\"\"")));
    let output = cluster
        .client_of(client, "pg_dump", database)
        .arg("--schema-only")
        .args(patterns)
        .output()
        .unwrap_or_else(|error| panic!("pg_dump can't be run: {error}"));
    assert!(
        output.status.success(),
        "pg_dump: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.trim_end_matches(',').to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with("--") && !line.starts_with('\\'))
        .collect();
    lines.sort();
    lines
}
