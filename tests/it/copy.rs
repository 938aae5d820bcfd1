//! METHOD=copy alone: one snapshot, cut tables, compression, memory, connections.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::process::Stdio;

use nix::sys::signal::Signal;
use testbed::proxy::Line;
use testbed::{Proxy, warehouse};

use crate::rig::{METHODS, Rig, assert_exit, text};
use crate::slow::wait_for_phase;

/// Rows of 70 MB that the source does not compress.
const LARGE: &str =
    "CREATE SCHEMA s; CREATE TABLE s.large (id int, v text) WITH (autovacuum_enabled = off); ALTER TABLE s.large ALTER v SET STORAGE PLAIN;
     INSERT INTO s.large SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 11000) i;
     CREATE TABLE s.other (id int); INSERT INTO s.other SELECT generate_series(1, 1000)";

fn assert_same(rig: &Rig, schema: &str) {
    assert_eq!(
        warehouse::contents(rig.target, &rig.database, schema),
        warehouse::contents(rig.source, &rig.database, schema)
    );
}

#[test]
fn a_table_is_cut_where_that_is_asked_for_and_frozen_where_it_is_whole() {
    let rig = Rig::new(LARGE);
    let all_visible =
        "SELECT relallvisible >= relpages FROM pg_class WHERE oid = 's.large'::regclass AND relpages > 0";
    for (split, cut) in [("always", true), ("never", false), ("auto", true)] {
        let output = rig.worker("s").env("SPLIT", split).run();
        assert_exit(&output, 0);
        assert_same(&rig, "s");
        let not_frozen = output.last().get("not_frozen").unwrap().to_string();
        assert_eq!(not_frozen.contains("s.large"), cut, "SPLIT={split}: {not_frozen}");
        let visible = rig.at_target(all_visible);
        assert_eq!(visible, if cut { "f" } else { "t" }, "SPLIT={split}");
    }
    rig.at_source("CREATE INDEX ON s.large USING brin (id)");
    let output = rig.worker("s").run();
    assert_exit(&output, 0);
    assert_eq!(
        output.last().get("not_frozen").unwrap().to_string(),
        "[]",
        "its order matters"
    );
}

#[test]
fn all_streams_read_one_snapshot_while_the_source_goes_on() {
    let rig = Rig::new(LARGE);
    rig.at_source(
        "CREATE TABLE s.a (id int PRIMARY KEY, v int); CREATE TABLE s.b (LIKE s.a INCLUDING ALL); CREATE TABLE s.pad AS SELECT repeat('x', 400) AS x FROM generate_series(1, 2000);
         INSERT INTO s.a SELECT i, 10 FROM generate_series(1, 100) i; INSERT INTO s.b SELECT * FROM s.a",
    );
    let mut writer = rig.source.client("psql", &rig.database);
    let moves = "DO $$ BEGIN FOR i IN 1..100000000 LOOP UPDATE s.a SET v = v - 1 WHERE id = 1 + i % 100; UPDATE s.b SET v = v + 1 WHERE id = 1 + i % 100; COMMIT; END LOOP; END $$";
    let mut writer = writer
        .env("PGAPPNAME", "writer")
        .args(["-qc", moves])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sum = "SELECT (SELECT sum(v) FROM s.a) + (SELECT sum(v) FROM s.b)";
    for _ in 0..3 {
        let before = rig.at_source("SELECT sum(v) FROM s.a");
        assert_exit(&rig.worker("s").env("SPLIT", "always").run(), 0);
        assert_eq!(rig.at_target(sum), "2000");
        assert_ne!(
            rig.at_source("SELECT sum(v) FROM s.a"),
            before,
            "the source stood still"
        );
    }
    rig.at_source("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writer'");
    writer.wait().unwrap();
}

/// Texts of this kind fit an index entry under pglz and are too long for one under lz4.
const INDEXED_JSON: &str = r#"CREATE SCHEMA s; CREATE TABLE s.indexed (doc text); CREATE TABLE s.plain (doc text);
     INSERT INTO s.indexed SELECT '{"items": [' || string_agg(format('{"sku": "%s", "price": %s, "in_stock": true}', substr(md5((g * 1000 + k)::text), 1, 8), k), ', ') || ']}'
     FROM generate_series(1, 20) g, generate_series(1, 185) k GROUP BY g;
     INSERT INTO s.plain SELECT doc FROM s.indexed; CREATE INDEX ON s.indexed (doc)"#;

#[test]
fn lz4_is_chosen_only_where_no_index_reads_the_values() {
    let rig = Rig::new(INDEXED_JSON);
    // Larger than what travels together, which is too small for compression to matter.
    for table in ["plain", "indexed"] {
        rig.at_source(&format!(
            "INSERT INTO s.{table} SELECT t.doc FROM s.{table} t, generate_series(1, 20)"
        ));
    }
    let methods = "SELECT string_agg(DISTINCT pg_column_compression(doc), ',') FROM ";
    assert_exit(&rig.worker("s").run(), 0);
    assert_eq!(rig.at_target(&format!("{methods} s.plain")), "lz4");
    assert_eq!(rig.at_target(&format!("{methods} s.indexed")), "pglz");
    assert_same(&rig, "s");
    assert_exit(&rig.worker("s").env("TOAST_COMPRESSION", "server").run(), 0);
    assert_eq!(rig.at_target(&format!("{methods} s.plain")), "pglz");
    // The index is what auto is careful for.
    let forced = rig.worker("s").env("TOAST_COMPRESSION", "lz4").run();
    assert_exit(&forced, 65);
    assert_eq!(text(forced.last(), "sqlstate"), "54000");
}

#[test]
fn memory_does_not_grow_with_a_value() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.t (v text); ALTER TABLE s.t ALTER v SET STORAGE EXTERNAL;
                        INSERT INTO s.t SELECT repeat('0123456789', 20000000)",
    );
    let running = rig.worker("s").spawn();
    let status = format!("/proc/{}/status", running.pid());
    let mut peak_kib = 0;
    while let Ok(status) = fs::read_to_string(&status) {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let Some(peak) = peak else { break };
        peak_kib = peak.trim().trim_end_matches(" kB").parse().unwrap();
        std::thread::yield_now();
    }
    assert_exit(&running.wait(), 0);
    assert_same(&rig, "s");
    assert!(
        peak_kib > 0 && peak_kib < 64 * 1024,
        "{peak_kib} KiB for a value of 200 MB"
    );
}

#[test]
fn connections_stay_within_what_jobs_promises() {
    let rig = Rig::new(LARGE);
    rig.at_source("CREATE SCHEMA little; CREATE TABLE little.t AS SELECT 1 AS a");
    // With the most that is promised; what has no work for them opens fewer.
    for (schema, jobs, streams) in [("s", 1, 1), ("s", 6, 6), ("little", 6, 1)] {
        let running = rig
            .worker(schema)
            .env("JOBS", jobs.to_string())
            .env("BUILD_JOBS", "2")
            .spawn();
        let sql =
            "SELECT count(*) FILTER (WHERE application_name LIKE '%/copy'), count(*) FROM pg_stat_activity
                   WHERE application_name LIKE 'sf/%' AND datname = current_database()";
        let mut most = [[0, 0]; 2];
        // A process that has ended has no directory to be in.
        while fs::metadata(format!("/proc/{}/cwd/.", running.pid())).is_ok() {
            for (most, cluster) in most.iter_mut().zip([rig.source, rig.target]) {
                let seen = cluster.psql(&rig.database, sql);
                for (most, seen) in most.iter_mut().zip(seen.split('|')) {
                    *most = seen.parse::<u32>().unwrap().max(*most);
                }
            }
        }
        assert_exit(&running.wait(), 0);
        let [[copy, all], [copy_there, all_there]] = most;
        assert!(
            copy <= streams && copy_there == streams && all <= streams + 6 && all_there <= streams + 2 + 6,
            "{schema} JOBS={jobs}: {most:?}"
        );
    }
}

#[test]
fn rows_of_enum_hash_partitions_find_their_leaf() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TYPE s.e AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'); CREATE TABLE s.t (e s.e, i int, PRIMARY KEY (e, i)) PARTITION BY HASH (e);
         CREATE TABLE s.t0 PARTITION OF s.t FOR VALUES WITH (MODULUS 3, REMAINDER 0); CREATE TABLE s.t1 PARTITION OF s.t FOR VALUES WITH (MODULUS 3, REMAINDER 1);
         CREATE TABLE s.t2 PARTITION OF s.t FOR VALUES WITH (MODULUS 3, REMAINDER 2); CREATE INDEX ON s.t (i);
         INSERT INTO s.t SELECT e, i FROM unnest(enum_range(NULL::s.e)) e, generate_series(1, 2000) i",
    );
    // Below one value of a list, with an ordinary leaf beside it.
    rig.at_source(
        "CREATE TABLE s.l (area text, e s.e) PARTITION BY LIST (area); CREATE TABLE s.l0 PARTITION OF s.l FOR VALUES IN ('n') PARTITION BY HASH (e);
         CREATE TABLE s.l00 PARTITION OF s.l0 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE s.l01 PARTITION OF s.l0 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         CREATE TABLE s.lx PARTITION OF s.l DEFAULT; INSERT INTO s.l SELECT (ARRAY['n', 'x'])[1 + i % 2], e FROM s.t",
    );
    // So that the labels get other OIDs than on the source.
    rig.at_target("CREATE TYPE other AS ENUM ('x', 'y', 'z')");
    let rows = "SELECT count(*), sum(hashtextextended(e::text || i, 0)::numeric) FROM s.t";
    for method in METHODS {
        assert_exit(&rig.worker("s").env("METHOD", method).run(), 0);
        assert_eq!(rig.at_target(rows), rig.at_source(rows), "{method}");
        let one = "SET enable_seqscan = off; SELECT count(*) FROM s.t WHERE e = 'c' AND i = 7";
        assert_eq!(rig.at_target(one), "1", "{method}");
        assert_eq!(rig.at_target("SELECT count(*) FROM s.l"), "16000", "{method}");
    }
}

#[test]
fn what_is_read_as_text_does_not_follow_the_targets_settings() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.t (forces_text regtype, a text[] DEFAULT '{NULL}', x xml); INSERT INTO s.t VALUES ('int', ARRAY[NULL], 'a <b/> fragment');
         CREATE INDEX i ON s.t (a) WHERE a <> '{NULL}'; CREATE TABLE s.b (x xml); INSERT INTO s.b VALUES ('<a/><b/>')",
    );
    rig.at_target(&format!(
        "ALTER DATABASE {0} SET array_nulls = off; ALTER DATABASE {0} SET xmloption = document",
        rig.database
    ));
    for method in METHODS {
        assert_exit(&rig.worker("s").env("METHOD", method).run(), 0);
        let asked = "SELECT a[1] IS NULL, x, (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 's.t'::regclass),
                     (SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = 's.i'::regclass) FROM s.t";
        let answer = "t|a <b/> fragment|'{NULL}'::text[]|(a <> '{NULL}'::text[])";
        assert_eq!(rig.at_target(asked), answer, "{method}");
    }
}

#[test]
fn bytes_without_an_encoding_arrive_as_they_are() {
    let rig = Rig::new("");
    for cluster in [rig.source, rig.target] {
        cluster.psql(
            "postgres",
            "CREATE DATABASE without_encoding ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0",
        );
    }
    rig.source.psql(
        "without_encoding",
        r"CREATE SCHEMA s; CREATE TABLE s.t (v text); INSERT INTO s.t VALUES (E'\xff\xfe'), (E'caf\xe9'), ('plain');
          CREATE TABLE s.as_text (v text, c regclass); INSERT INTO s.as_text VALUES (E'\xe9', 'pg_class')",
    );
    let bytes = "SELECT string_agg(encode(v::bytea, 'hex'), ',' ORDER BY v) FROM (SELECT v FROM s.t UNION ALL SELECT v FROM s.as_text) t";
    for method in METHODS {
        let output = rig
            .worker("s")
            .env("METHOD", method)
            .env("SOURCE_DBNAME", "without_encoding")
            .env("TARGET_DBNAME", "without_encoding")
            .run();
        assert_exit(&output, 0);
        assert_eq!(
            rig.target.psql("without_encoding", bytes),
            rig.source.psql("without_encoding", bytes),
            "{method}"
        );
    }
}

#[test]
fn rows_and_definitions_are_written_in_the_same_encoding() {
    let rig = Rig::new("");
    for (cluster, name, encoding) in [
        (rig.source, "bytes_of_utf8", "SQL_ASCII"),
        (rig.source, "from_latin1", "LATIN1"),
        (rig.target, "to_latin1", "LATIN1"),
        (rig.target, "to_latin9", "LATIN9"),
        (rig.target, "to_bytes", "SQL_ASCII"),
    ] {
        let sql = format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0");
        cluster.psql("postgres", &sql);
    }
    for database in ["bytes_of_utf8", "from_latin1"] {
        rig.source.psql(
            database,
            "CREATE SCHEMA s; CREATE TABLE s.t (id int, größe text DEFAULT 'müde'); INSERT INTO s.t VALUES (1); CREATE VIEW s.v AS SELECT * FROM s.t WHERE größe = 'müde'",
        );
    }
    for method in METHODS {
        for (from, to) in [
            ("bytes_of_utf8", "to_latin1"),
            ("from_latin1", "to_latin9"),
            ("from_latin1", "to_bytes"),
        ] {
            let worker = rig.worker("s").env("METHOD", method);
            let output = worker.env("SOURCE_DBNAME", from).env("TARGET_DBNAME", to).run();
            assert_exit(&output, 0);
            assert_eq!(
                rig.target.psql(to, "SELECT count(*) FROM s.v"),
                "1",
                "{method} {from} {to}"
            );
        }
        let bytes = rig.source.psql("bytes_of_utf8", r"CREATE SCHEMA IF NOT EXISTS b; DROP TABLE IF EXISTS b.t; CREATE TABLE b.t (v text); INSERT INTO b.t VALUES (E'\xe4')");
        assert_eq!(bytes, "");
        let output = rig
            .worker("b")
            .env("METHOD", method)
            .env("SOURCE_DBNAME", "bytes_of_utf8")
            .run();
        assert_exit(&output, 65);
    }
}

#[test]
fn the_ledger_says_why_a_load_has_ended_in_any_encoding() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (v text); INSERT INTO s.t VALUES ('10 €')");
    rig.target.psql(
        "postgres",
        "CREATE DATABASE ledger_in_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    );
    let ask = |sql: &str| rig.target.psql("ledger_in_latin1", sql);
    let worker = rig.worker("s").env("TARGET_DBNAME", "ledger_in_latin1");
    for (variable, value) in [("RUN_ID", "night–1"), ("ACCEPT_REASON", "ok – by me")] {
        let output = worker.clone().env(variable, value).run();
        assert_exit(&output, 78);
        assert!(
            text(output.last(), "reason").contains("LATIN1"),
            "{}",
            output.stdout
        );
    }
    assert_exit(&worker.run(), 65);
    let ended = "SELECT summary ->> 'exit', summary ->> 'reason' LIKE '%\"...\"%' FROM schemaferry.load ORDER BY id DESC LIMIT 1";
    assert_eq!(ask(ended), "65|t");
    rig.at_source("UPDATE s.t SET v = '10 £'");
    assert_exit(&worker.run(), 0);
}

#[test]
fn another_encoding_becomes_utf8_names_and_hashes_included() {
    let rig = Rig::new("");
    rig.source.psql(
        "postgres",
        "CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    );
    rig.source.psql(
        "latin1",
        r"CREATE SCHEMA s; CREATE TYPE s.e AS ENUM ('grün'); CREATE TABLE s.t (id int PRIMARY KEY, ä text DEFAULT 'ö', e s.e); COMMENT ON TABLE s.t IS 'Maß';
          INSERT INTO s.t VALUES (1, 'é\', 'grün'), (2, NULL, NULL), (3, 'plain', 'grün');
          CREATE FUNCTION s.f() RETURNS text LANGUAGE sql AS $$ SELECT 'ß' $$",
    );
    for method in METHODS {
        let worker = rig
            .worker("s")
            .env("METHOD", method)
            .env("VERIFY", "hash")
            .env("SOURCE_DBNAME", "latin1");
        assert_exit(&worker.run(), 0);
        assert_exit(&worker.clone().arg("verify").run(), 0);
        let found = "SELECT ä, e, obj_description('s.t'::regclass), s.f() FROM s.t WHERE id = 1";
        assert_eq!(rig.at_target(found), r"é\|grün|Maß|ß", "{method}");
        rig.at_target("UPDATE s.t SET ä = 'è\\' WHERE id = 1");
        assert_exit(&worker.clone().arg("verify").run(), 65);
        rig.at_target("DROP SCHEMA s CASCADE");
    }
}

#[test]
fn functions_find_their_schema_where_a_server_before_17_lets_them() {
    let rig = Rig::new(
        "CREATE SCHEMA s; SET search_path = s; CREATE TABLE names (id int, name text); INSERT INTO names SELECT i, 'n' || i FROM generate_series(1, 100) i;
         CREATE FUNCTION name_of(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN (SELECT name FROM names WHERE id = $1); END';
         CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 100); CREATE INDEX ON t (name_of(a)); CREATE MATERIALIZED VIEW m AS SELECT name_of(a) AS n FROM t",
    );
    assert_exit(&rig.worker("s").run(), 0);
    let statistics =
        "SELECT count(*) > 0 FROM pg_stats WHERE schemaname = 's' AND tablename = 't_name_of_idx'";
    assert_eq!(rig.at_target(statistics), "t");
}

#[test]
fn a_check_that_looks_into_a_table_under_way_waits_its_turn() {
    let rig = Rig::new(crate::slow::SLOW_ROWS);
    // The slow table, locked until its rows are in, takes longer than a first try waits.
    rig.at_source(
        "INSERT INTO s.t (a, v) SELECT i, repeat(md5(i::text), 100) FROM generate_series(1001, 1600) i;
         CREATE FUNCTION s.known(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM s.t WHERE a = $1)';
         CREATE TABLE s.looks (a int CHECK (s.known(a))); INSERT INTO s.looks SELECT generate_series(1, 1600)",
    );
    let output = rig.worker("s").run();
    assert_exit(&output, 0);
    assert!(
        output
            .stdout
            .contains("rows are tried once more after all others"),
        "{}",
        output.stdout
    );
    assert_eq!(rig.at_target("SELECT count(*) FROM s.looks"), "1600");
}

#[test]
fn an_index_that_looks_into_another_table_is_built_when_all_rows_are_there() {
    // The names arrive late, and what is built from them is ready before, if it does not wait.
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE FUNCTION s.slow(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.01); RETURN true; END';
         CREATE TABLE s.names (id int CHECK (s.slow(id)), name text, pad text);
         INSERT INTO s.names SELECT i, 'n' || i, repeat(md5(i::text), 250) FROM generate_series(1, 200) i;
         CREATE FUNCTION s.name_of(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT name FROM s.names WHERE id = $1';
         CREATE TABLE s.t (a int, pad text); INSERT INTO s.t SELECT i, repeat(md5(i::text), 250) FROM generate_series(1, 200) i;
         CREATE INDEX ON s.t (s.name_of(a))",
    );
    for method in METHODS {
        assert_exit(&rig.worker("s").env("METHOD", method).run(), 0);
        let found = "SET enable_seqscan = off; SELECT a FROM s.t WHERE s.name_of(a) = 'n77'";
        assert_eq!(rig.at_target(found), "77", "{method}");
    }
}

#[test]
fn what_a_name_without_a_schema_means_is_not_guessed() {
    let sql = "CREATE SCHEMA s; CREATE FUNCTION public.rate() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 100'; CREATE FUNCTION s.rate() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
               CREATE FUNCTION s.price(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * rate(); END';
               CREATE TABLE s.t (a int, p int GENERATED ALWAYS AS (s.price(a)) STORED); INSERT INTO s.t VALUES (1), (2)";
    let elsewhere = "CREATE FUNCTION public.rate() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 100'";
    let sum = "SELECT sum(p) FROM s.t";

    // The database says it.
    let rig = Rig::new("");
    rig.at_source(&format!(
        "ALTER DATABASE {} SET search_path = public, s",
        rig.database
    ));
    rig.at_source(sql);
    rig.at_target(elsewhere);
    assert_exit(&rig.worker("s").run(), 0);
    assert_eq!(rig.at_target(sum), "300");

    // Nothing says it.
    let rig = Rig::new(&format!("SET search_path = s; {sql}"));
    rig.at_target(elsewhere);
    let refused = rig.worker("s").run();
    assert_exit(&refused, 78);
    let reason = text(refused.last(), "reason");
    assert!(reason.contains("s.price(integer) names rate"), "{reason}");
    let hint = "ALTER ROUTINE s.price(integer) SET search_path = \"s\", \"public\"";
    assert!(reason.contains(hint), "{reason}");
    rig.at_source(hint);
    rig.at_source("UPDATE s.t SET a = a");
    assert_exit(&rig.worker("s").run(), 0);
    assert_eq!(rig.at_target(sum), "3");
}

/// The row says what the session that loaded it may take for a build.
#[test]
fn builds_take_the_memory_that_the_target_bears() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE FUNCTION s.granted(int) RETURNS text LANGUAGE sql IMMUTABLE AS
         'SELECT current_setting(''maintenance_work_mem'')';
         CREATE TABLE s.t (a int, granted text GENERATED ALWAYS AS (s.granted(a)) STORED); INSERT INTO s.t VALUES (1)",
    );
    // 128 MB of shared buffers: half of it, for one stream or for eight.
    for (variables, granted, noted) in [
        (vec![("JOBS", "1")], "64MB", false),
        (vec![("JOBS", "8")], "64MB", false),
        (vec![("JOBS", "8"), ("MAINTENANCE_WORK_MEM", "1GB")], "1GB", true),
    ] {
        let worker = variables
            .iter()
            .fold(rig.worker("s"), |worker, (name, value)| worker.env(name, value));
        let output = worker.run();
        assert_exit(&output, 0);
        assert_eq!(rig.at_target("SELECT granted FROM s.t"), granted);
        let note = output.last()["not_carried"].to_string();
        assert_eq!(
            note.contains(
                "8 builds at once on the target may take 1024 MB each, more than the 64 MB that five runs"
            ),
            noted,
            "{note}"
        );
    }
    // The server's own setting stays, except on Aurora.
    let own = format!(
        "ALTER DATABASE {} SET maintenance_work_mem = '200MB'",
        rig.database
    );
    rig.at_target(&own);
    assert_exit(&rig.worker("s").run(), 0);
    assert_eq!(rig.at_target("SELECT granted FROM s.t"), "200MB");
    rig.at_target("CREATE FUNCTION public.aurora_version() RETURNS text LANGUAGE sql AS 'SELECT ''15.4'''");
    let output = rig.worker("s").run();
    assert_exit(&output, 0);
    assert_eq!(rig.at_target("SELECT granted FROM s.t"), "64MB");
    let note = output.last()["not_carried"].to_string();
    assert!(
        note.contains("more than the 4 MB of Aurora that five runs"),
        "{note}"
    );
}

/// Bodies of functions that a generated column calls, and the table that each names.
const READS: [(&str, &str); 5] = [
    ("LANGUAGE sql AS 'SELECT max(a) FROM s.t'", "t"),
    ("LANGUAGE sql AS 'SELECT max(a) FROM s.\"T x\"'", "T x"),
    ("LANGUAGE sql AS 'SELECT max(a) FROM s.t;'", "t"),
    ("LANGUAGE sql BEGIN ATOMIC SELECT max(a) FROM s.t; END", "t"),
    (
        "LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT max(a) FROM s.t); END'",
        "t",
    ),
];

#[test]
fn tables_that_a_function_names_anywhere_are_known() {
    let code = include_str!("../../src/catalogue/sql/code.sql");
    let code = ["ARRAY['s']", "ARRAY['s']", "ARRAY[]::text[]"]
        .iter()
        .zip(["$1", "$2", "$3"])
        .fold(code.to_owned(), |code, (value, parameter)| {
            code.replace(parameter, value)
        });
    for (body, expected) in READS {
        let rig = Rig::new(&format!(
            "CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE TABLE s.\"T x\" (a int);
             CREATE FUNCTION s.top() RETURNS int IMMUTABLE {body};
             CREATE TABLE s.g (a int, b int GENERATED ALWAYS AS (s.top()) STORED)"
        ));
        let named = rig.at_source(&format!(
            "SELECT string_agg(relname, ',') FROM pg_class
             WHERE oid IN (SELECT pg_catalog.unnest(tables) FROM ({code}) AS code)"
        ));
        assert_eq!(named, expected, "{body}");
    }
}

#[test]
fn rows_are_carried_by_as_many_threads_as_there_are_cores_and_streams() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.a (v text); ALTER TABLE s.a ALTER v SET STORAGE EXTERNAL; CREATE TABLE s.b (LIKE s.a INCLUDING ALL);
         INSERT INTO s.a SELECT repeat(md5(i::text), 30000) FROM generate_series(1, 60) i; INSERT INTO s.b TABLE s.a",
    );
    let running = rig.worker("s").env("JOBS", "2").env("SPLIT", "never").spawn();
    let threads = format!("/proc/{}/task", running.pid());
    // Nanoseconds that each was at work.
    let mut worked: HashMap<OsString, u64> = HashMap::new();
    // A process that has ended has no directory to be in.
    while fs::metadata(format!("/proc/{}/cwd/.", running.pid())).is_ok() {
        for thread in fs::read_dir(&threads).unwrap().flatten() {
            let told = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            if let Some(nanoseconds) = told.split(' ').next().and_then(|told| told.parse().ok()) {
                worked.insert(thread.file_name(), nanoseconds);
            }
        }
        std::thread::yield_now();
    }
    let main = OsString::from(running.pid().to_string());
    assert_exit(&running.wait(), 0);
    let cores = std::thread::available_parallelism().unwrap().get();
    let carrying = worked
        .iter()
        .filter(|(thread, nanoseconds)| **thread != main && **nanoseconds > 5_000_000);
    assert_eq!(carrying.count(), if cores == 1 { 0 } else { 2 }, "{worked:?}");
}

/// Bytes a second of a line that is narrower than any server is slow.
const NARROW: u64 = 4_000_000;

#[test]
fn over_a_narrow_line_one_table_lands_after_the_other() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.indexed AS SELECT i, repeat(md5(i::text), 10) AS v FROM generate_series(1, 96000) i;
         CREATE INDEX ON s.indexed (v); CREATE INDEX ON s.indexed (i, v); CREATE INDEX ON s.indexed (v, i);
         CREATE TABLE s.plain AS SELECT i, repeat(md5(i::text), 10) AS v FROM generate_series(1, 220000) i",
    );
    let line = Line {
        bits_per_second: Some(NARROW * 8),
        ..Line::default()
    };
    let proxy = Proxy::before(rig.source, line);
    let running = rig.worker("s").env("JOBS", "2").source_through(&proxy).spawn();
    wait_for_phase(&running, "pre-data");
    let before = proxy.carried().to_client;
    let table = rig.at_source("SELECT 's.indexed'::regclass::oid");
    let landed = format!("SELECT count(*) FROM schemaferry.landed WHERE table_oid = {table}");
    rig.wait_for_target(&landed, |count| count != "0");
    let carried = proxy.carried().to_client - before;
    running.signal(Signal::SIGKILL);
    let killed = running.wait();
    // Its own 32 MB, and less of the other, of which some was on its way already; an equal part is as much.
    assert!(
        (32_000_000..60_000_000).contains(&carried),
        "{carried}\n{}",
        killed.stdout
    );
}
