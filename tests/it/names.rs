//! Schema names are literal: no pattern, no folding of case, no cutting.

use crate::rig::{GRID, Rig, assert_exit};

const NAMES: &[&str] = &[
    "a.b",
    "star*",
    "sta?r",
    "[br]",
    "a|b",
    "(x)",
    "$1",
    "^s",
    "back\\slash",
    "say \"hi\"",
    "it's",
    " outer ",
    "a,b",
    "-dash",
    "--help",
    "new\nline",
    "tab\tbed",
    "ünïcødé€😀",
    "CamelCase",
    "100%",
    "a=b",
    "select",
    "semi;colon",
    "sixty-three-bytes-long-name-sixty-three-bytes-long-name-sixty-t",
];
/// What the names above would hit if they were patterns, folded, or cut.
const DECOYS: &[&str] = &[
    "starfish",
    "b",
    "r",
    "a",
    "camelcase",
    "x",
    "s",
    "outer",
    "sixty-three-bytes-long-name-sixty-three-bytes-long-name-sixty-",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn names_move_as_they_are_and_decoys_stay() {
    let rig = Rig::new("");
    for name in NAMES.iter().chain(DECOYS) {
        let (schema, text) = (quoted(name), name.replace('\'', "''"));
        rig.at_source(&format!("CREATE SCHEMA {schema}; COMMENT ON SCHEMA {schema} IS '{text}'; CREATE TABLE {schema}.t (v text); INSERT INTO {schema}.t VALUES ('{text}')"));
    }
    // Each of the trickiest alone, then all of them as one unit.
    for alone in ["CamelCase", "star*", "new\nline", "-dash", "[br]"] {
        assert_exit(&rig.worker(alone).run(), 0);
    }
    let all: Vec<String> = NAMES.iter().map(|name| quoted(name)).collect();
    assert_exit(&rig.worker(&all.join(",")).run(), 0);
    for name in NAMES {
        assert_eq!(rig.at_target(&format!("SELECT v FROM {}.t", quoted(name))), *name);
        let comment = format!("SELECT obj_description({}::regnamespace)", literal(&quoted(name)));
        assert_eq!(rig.at_target(&comment), *name);
    }
    for decoy in DECOYS {
        let sql = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{decoy}'");
        assert_eq!(rig.at_target(&sql), "0", "{decoy} was moved");
    }
}

/// What looks like the structure of an archive, a script, a statement, or an order to a terminal.
const HOSTILE: &[&str] = &[
    "\n--\n-- TOC entry 1 (class 1259 OID 1)\n--\n\nDROP SCHEMA public CASCADE;\n",
    "\";DROP SCHEMA public;--",
    "$$; DROP SCHEMA public; $$",
    "'; DROP SCHEMA public; --",
    "\\'; DROP SCHEMA public; /*",
    "\\connect postgres\n\\! id\n\\.\n",
    "\u{1b}[2J\u{1b}]0;title\u{7}\r\u{7f}\u{9b}31m",
    "PGDMP\u{1}\u{e}%s%n{}",
];

/// What a name may hold of it.
fn fitting(text: &str) -> &str {
    let end = (0..=text.len().min(63))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.split_at(end.unwrap()).0
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[test]
fn catalogues_are_hostile_input() {
    let rig = Rig::new("");
    for (number, hostile) in HOSTILE.iter().enumerate() {
        // Of one schema: they differ at their beginning.
        let name = |kind: char| quoted(fitting(&format!("{kind}{number}{hostile}")));
        let (text, label) = (literal(hostile), literal(fitting(hostile)));
        let (schema, table, column) = (quoted("s"), name('t'), name('c'));
        rig.at_source(&format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = {schema}; SET check_function_bodies = off;
             CREATE TYPE {kind} AS ENUM ({label});
             CREATE TABLE {table} ({column} text DEFAULT {text} CONSTRAINT {check} CHECK ({column} <> {text} OR true), k {kind}, id serial PRIMARY KEY);
             INSERT INTO {table} ({column}, k) VALUES ({text}, {label});
             COMMENT ON TABLE {table} IS {text}; COMMENT ON COLUMN {table}.{column} IS {text};
             CREATE INDEX {index} ON {table} ({column}) WHERE {column} <> {text};
             CREATE VIEW {view} AS SELECT {column}, {text}::text AS {other} FROM {table};
             CREATE FUNCTION {function}() RETURNS text LANGUAGE plpgsql AS {text};
             CREATE SEQUENCE {sequence}; COMMENT ON SEQUENCE {sequence} IS {text};
             CREATE POLICY {policy} ON {table} USING ({column} <> {text})",
            kind = name('e'),
            check = name('k'),
            index = name('i'),
            view = name('v'),
            other = name('o'),
            sequence = name('q'),
            policy = name('p'),
            function = name('f'),
        ));
    }
    let hostile = |text: &str| {
        text.chars()
            .any(|character| character.is_control() && character != '\n')
    };
    for method in ["copy", "pipe"] {
        for format in ["json", "text"] {
            let worker = rig
                .worker("s")
                .env("METHOD", method)
                .env("LOG_FORMAT", format)
                .env("LOG_LEVEL", "debug");
            let output = worker.run();
            assert_exit(&output, 0);
            assert!(!hostile(&output.stdout), "{method}: {:?}", output.stdout);
            assert!(output.stderr.is_empty(), "{:?}", output.stderr);
            assert_eq!(
                rig.at_target("SELECT count(*) FROM pg_namespace WHERE nspname = 'public'"),
                "1"
            );
            let contents = "SELECT md5(string_agg(query_to_xml('SELECT * FROM ' || oid::regclass, true, false, '')::text, '' ORDER BY relname))
                            FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind IN ('r', 'v')";
            assert_eq!(rig.at_target(contents), rig.at_source(contents), "{method}");
        }
    }
    // What a refusal quotes is theirs too.
    let name = quoted(&format!("x{}", HOSTILE[6]));
    rig.at_target(&format!("CREATE TABLE s.{name} (a int)"));
    for format in ["json", "text"] {
        let output = rig.worker("s").env("LOG_FORMAT", format).run();
        assert_exit(&output, 73);
        assert!(!hostile(&output.stdout), "{:?}", output.stdout);
    }
}

#[test]
fn what_is_named_as_the_servers_own_hides_nothing_from_the_worker() {
    for (method, rig) in GRID {
        let rig = rig(
            r#"CREATE SCHEMA s; CREATE TABLE s."text" ("text" text, "int4" int4, "pg_catalog" text); INSERT INTO s."text" VALUES ('a', 1, 'b');
             CREATE TYPE s.int4 AS (a text); CREATE TYPE s.bool AS ENUM ('no'); CREATE DOMAIN s."varchar" AS text CHECK (VALUE <> '');
             CREATE TABLE s.typed (a s.int4, b s."varchar", c int4, d varchar(3)); INSERT INTO s.typed VALUES (ROW('x'), 'y', 1, 'z');
             CREATE FUNCTION s.never(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
             CREATE OPERATOR s.= (LEFTARG = text, RIGHTARG = text, FUNCTION = s.never);
             CREATE FUNCTION s.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint';
             CREATE FUNCTION s.format_type(oid, int) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
             CREATE TABLE s.pg_class (relname text, relkind text, oid int); INSERT INTO s.pg_class VALUES ('a', 'r', 1);
             CREATE VIEW s.pg_namespace AS SELECT 1 AS oid, 'x'::text AS nspname; CREATE VIEW s.pg_settings AS SELECT 'x' AS name"#,
        );
        let path = format!("ALTER DATABASE {} SET search_path = s, pg_catalog", rig.database);
        rig.at_source(&path);
        rig.at_target(&path);
        let worker = rig.worker("s").env("METHOD", method).env("VERIFY", "hash");
        assert_exit(&worker.run(), 0);
        assert_exit(&worker.arg("verify").run(), 0);
    }
}
