//! What the source has written since a load is told exactly: each way to write, each way to look as if, and each reason not to
//! believe it.

use std::fmt::Write as _;

use serde_json::Value;
use testbed::proxy::Line;
use testbed::work::Work;
use testbed::{Cluster, Output, Proxy, Psql, Server};

use crate::rig::{GRID, METHODS, MakeRig, Rig, assert_exit, text};
use crate::slow::PATIENCE;

/// Of a table of each case: what is there at the load, what is done since, and what is found. `{t}` is the table.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("untouched", "", "", "unchanged"),
    ("nothing", "", "TRUNCATE {t}", "changed"),
    (
        "inserted",
        "",
        "INSERT INTO {t} SELECT i, 'new' FROM generate_series(101, 107) i",
        "appended",
    ),
    ("updated", "", "UPDATE {t} SET v = 'other' WHERE k = 5", "changed"),
    (
        "the_same_value",
        "",
        "UPDATE {t} SET v = v WHERE k = 5",
        "changed",
    ),
    ("deleted", "", "DELETE FROM {t} WHERE k = 5", "changed"),
    (
        "replaced",
        "",
        "DELETE FROM {t} WHERE k = 5; INSERT INTO {t} VALUES (5, 'row 5')",
        "changed",
    ),
    (
        "refilled",
        "CREATE TABLE {t}_copy AS TABLE {t}",
        "TRUNCATE {t}; INSERT INTO {t} TABLE {t}_copy",
        "changed",
    ),
    (
        "rolled_back",
        "",
        "BEGIN; UPDATE {t} SET v = ''; INSERT INTO {t} VALUES (0, ''); DELETE FROM {t} WHERE k = 3; ROLLBACK",
        "unchanged",
    ),
    (
        "rolled_back_to",
        "",
        "BEGIN; SAVEPOINT a; DELETE FROM {t}; ROLLBACK TO a; INSERT INTO {t} VALUES (0, ''); COMMIT",
        "appended",
    ),
    (
        "in_many_parts",
        "",
        "DO $$BEGIN FOR i IN 1..100 LOOP BEGIN INSERT INTO {t} VALUES (1000 + i, ''); EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END$$",
        "appended",
    ),
    (
        "locked",
        "",
        "BEGIN; SELECT FROM {t} FOR UPDATE; COMMIT; BEGIN; SELECT FROM {t} FOR KEY SHARE; SAVEPOINT a; SELECT FROM {t} FOR SHARE; COMMIT",
        "unchanged",
    ),
    (
        "vacuumed",
        "DELETE FROM {t} WHERE k > 50",
        "VACUUM FULL {t}",
        "unchanged",
    ),
    ("frozen", "", "VACUUM (FREEZE) {t}", "unchanged"),
    // Its default is stored in the rows from then on.
    (
        "filled",
        "ALTER TABLE {t} ADD w int DEFAULT 1",
        "VACUUM FULL {t}",
        "unchanged",
    ),
    (
        "frozen_before",
        "VACUUM (FREEZE) {t}",
        "INSERT INTO {t} VALUES (0, ''); VACUUM (FREEZE) {t}",
        "appended",
    ),
    (
        "clustered",
        "CREATE INDEX clustered_i ON {t} (v)",
        "CLUSTER {t} USING clustered_i",
        "unchanged",
    ),
    ("indexed", "", "CREATE INDEX ON {t} (v); ANALYZE {t}", "unchanged"),
    (
        "rewritten",
        "",
        "ALTER TABLE {t} ALTER k TYPE bigint",
        "redefined",
    ),
    ("unlogged", "", "ALTER TABLE {t} SET UNLOGGED", "redefined"),
    ("widened", "", "ALTER TABLE {t} ADD w int", "redefined"),
    // pg_dump writes the same before and after.
    (
        "added_again",
        "ALTER TABLE {t} ADD w int DEFAULT 1; ALTER TABLE {t} ALTER w DROP DEFAULT",
        "ALTER TABLE {t} DROP w; ALTER TABLE {t} ADD w int DEFAULT 2; ALTER TABLE {t} ALTER w DROP DEFAULT",
        "redefined",
    ),
    (
        "labelled",
        "CREATE TYPE outside.mood AS ENUM ('sad', 'ok'); ALTER TABLE {t} ADD m outside.mood[]; UPDATE {t} SET m = '{sad}'",
        "ALTER TYPE outside.mood RENAME VALUE 'sad' TO 'low'",
        "redefined",
    ),
    (
        "composed",
        "CREATE TYPE outside.pair AS (a int, b int); ALTER TABLE {t} ADD p outside.pair; UPDATE {t} SET p = (1, 2)",
        "ALTER TYPE outside.pair DROP ATTRIBUTE b; ALTER TYPE outside.pair ADD ATTRIBUTE b int",
        "redefined",
    ),
    (
        "swapped",
        "CREATE TABLE {t}_too (LIKE {t}); INSERT INTO {t}_too SELECT k, 'too' FROM {t}",
        "ALTER TABLE {t} RENAME TO x; ALTER TABLE {t}_too RENAME TO swapped; ALTER TABLE s.x RENAME TO swapped_too",
        "redefined",
    ),
    (
        "parent",
        "CREATE TABLE {t}_child () INHERITS ({t}); INSERT INTO {t}_child VALUES (1, '')",
        "INSERT INTO {t}_child VALUES (2, '')",
        "unchanged",
    ),
    ("parent_child", "", "", "appended"),
    (
        "large",
        "INSERT INTO {t} SELECT i, md5(i::text) FROM generate_series(1000, 30000) i",
        "",
        "unchanged",
    ),
    (
        "toasted",
        "INSERT INTO {t} SELECT 1000, string_agg(md5(i::text), '') FROM generate_series(1, 5000) i",
        "UPDATE {t} SET v = v || '!' WHERE k = 1000",
        "changed",
    ),
];

/// Leaves of a root that is loaded and counted as a whole, because a hash over an enum sends rows elsewhere.
const HASHED: &str =
    "CREATE TYPE s.m AS ENUM ('a', 'b', 'c'); CREATE TABLE s.hashed (m s.m, k int) PARTITION BY HASH (m);
    CREATE TABLE s.h0 PARTITION OF s.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE s.h1 PARTITION OF s.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO s.hashed SELECT (ARRAY['a', 'b', 'c']::s.m[])[i % 3 + 1], i FROM generate_series(1, 99) i;";

/// What is written beside tables' rows, and words of what is said.
const BESIDE: &[(&str, &str)] = &[
    (
        "SELECT nextval('s.q')",
        r#"sequence "s"."q" stands at 8 and stood at 7"#,
    ),
    (
        "CREATE OR REPLACE VIEW s.w AS SELECT 2 AS a",
        "definition of VIEW s w was changed",
    ),
    ("DROP FUNCTION s.f()", "definition of FUNCTION s f() was dropped"),
    (
        "COMMENT ON TABLE s.untouched IS 'seen'",
        "definition of COMMENT s TABLE untouched was added",
    ),
    (
        "GRANT SELECT ON s.untouched TO PUBLIC",
        "definition of ACL s TABLE untouched was added",
    ),
    (
        "CREATE TABLE s.later (a int)",
        r#""s"."later" was not there at the load"#,
    ),
    ("DROP TABLE s.doomed", r#""s"."doomed" is no longer there"#),
    (
        "ALTER SEQUENCE s.q INCREMENT 2",
        "definition of SEQUENCE s q was changed",
    ),
    (
        "CREATE ROLE drift_owner; ALTER FUNCTION s.g() OWNER TO drift_owner",
        "definition of FUNCTION s g() was changed",
    ),
    (
        "ALTER TABLE s.untouched OWNER TO drift_owner",
        "definition of TABLE s untouched was changed",
    ),
    (
        "ALTER SCHEMA s OWNER TO drift_owner",
        "definition of SCHEMA s was changed",
    ),
];

fn named(sql: &str, table: &str) -> String {
    sql.replace("{t}", &format!("s.{table}"))
}

fn source() -> String {
    let mut sql = format!(
        "CREATE SCHEMA s; CREATE SCHEMA outside; {HASHED}
         CREATE SEQUENCE s.q; SELECT setval('s.q', 7); CREATE VIEW s.w AS SELECT 1 AS a; CREATE TABLE s.doomed (a int);
         CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION s.g() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    );
    for (table, before, _, _) in CASES.iter().filter(|(table, ..)| *table != "parent_child") {
        let made = "CREATE TABLE {t} (k int, v text); INSERT INTO {t} SELECT i, 'row ' || i FROM generate_series(1, 100) i;";
        sql.push_str(&named(&format!("{made}{before};"), table));
    }
    sql
}

fn found<'a>(output: &'a Output, table: &str) -> &'a Value {
    let name = format!("s.{table}");
    let mut records = output.records.iter();
    records
        .find(|record| text(record, "msg") == "table compared" && text(record, "table") == name)
        .unwrap()
}

#[test]
fn every_way_to_write_is_told_from_every_way_to_look_like_it() {
    for (method, rig) in GRID.into_iter().filter(|(method, _)| *method == "copy") {
        let rig = rig(&source());
        rig.at_target("CREATE SCHEMA outside; CREATE TYPE outside.mood AS ENUM ('sad', 'ok'); CREATE TYPE outside.pair AS (a int, b int)");
        let worker = rig.worker("s").env("METHOD", method).env("LOG_LEVEL", "debug");
        assert_exit(&worker.clone().env("SPLIT", "always").run(), 0);
        let drift = worker.arg("drift");
        // Twice: looking is no writing.
        for _ in 0..2 {
            assert_exit(&drift.run(), 0);
        }
        for (table, _, change, _) in CASES {
            rig.at_source(&named(change, table));
        }
        let output = drift.run();
        assert_exit(&output, 65);
        for (table, _, change, expected) in CASES {
            let record = found(&output, table);
            assert_eq!(text(record, "found"), *expected, "{table}: {change}: {record}");
        }
        assert_eq!(found(&output, "inserted")["rows"], 7);
        for leaf in ["h0", "h1"] {
            assert_eq!(text(found(&output, leaf), "found"), "unchanged");
        }
    }
}

#[test]
fn what_is_beside_the_rows_is_told_too() {
    let rig = Rig::new(&source());
    rig.at_target("CREATE SCHEMA outside; CREATE TYPE outside.mood AS ENUM ('sad', 'ok'); CREATE TYPE outside.pair AS (a int, b int)");
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    for (change, _) in BESIDE {
        rig.at_source(change);
    }
    let output = worker.arg("drift").run();
    assert_exit(&output, 65);
    for (change, words) in BESIDE {
        let mut records = output.records.iter();
        assert!(
            records.any(|record| text(record, "difference").contains(words)),
            "{change}: {words}\n{}",
            output.stdout
        );
    }
}

/// Loads a table, and returns what `drift` says afterwards.
fn after(rig: &Rig, happens: impl FnOnce()) -> Output {
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    assert_exit(&worker.clone().arg("drift").run(), 0);
    happens();
    worker.arg("drift").run()
}

const TABLE: &str = "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT generate_series(1, 100) AS k;";

#[test]
fn a_transaction_that_ran_beside_the_load_makes_nothing_look_new() {
    let rig = Rig::new(&format!("{TABLE} CREATE TABLE public.other (a int)"));
    let mut old = Psql::open(rig.source, &rig.database);
    old.run("BEGIN; INSERT INTO public.other VALUES (1); SAVEPOINT a; INSERT INTO public.other VALUES (2)");
    // In several transactions, and beside one that is rolled back.
    for _ in 0..3 {
        rig.at_source("INSERT INTO s.t VALUES (0); BEGIN; INSERT INTO s.t VALUES (0); ROLLBACK; INSERT INTO s.t VALUES (1)");
    }
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    assert_exit(&worker.clone().arg("drift").run(), 0);
    old.run("COMMIT");
    assert_exit(&worker.clone().arg("drift").run(), 0);
    drop(old);
    // What had not ended at the load is new.
    let mut open = Psql::open(rig.source, &rig.database);
    open.run("BEGIN; INSERT INTO s.t VALUES (7)");
    rig.at_source("INSERT INTO s.t VALUES (8)");
    assert_exit(&worker.run(), 0);
    open.run("COMMIT");
    let output = worker.arg("drift").run();
    assert_exit(&output, 65);
    assert_eq!(found(&output, "t")["rows"], 1, "{}", output.stdout);
    assert_eq!(text(found(&output, "t"), "found"), "appended");
}

#[test]
fn a_source_with_another_history_tells_nothing() {
    let says = |output: &Output, words: &str| {
        assert_exit(output, 65);
        let reason = text(output.last(), "reason");
        assert!(
            reason.contains("cannot be told") && reason.contains(words),
            "{reason}"
        );
    };
    let rig = Rig::new(TABLE);
    assert_exit(&rig.worker("s").run(), 0);
    // The target holds the same, on another server.
    let elsewhere = rig.worker("s").arg("drift");
    let elsewhere = elsewhere.source(rig.target, &rig.database, "postgres", testbed::cluster::PASSWORD);
    says(&elsewhere.run(), "another server");
    let other = format!("{}_other", rig.database);
    rig.source.create_database(&other);
    rig.source.psql(&other, TABLE);
    says(
        &rig.worker("s").arg("drift").env("SOURCE_DBNAME", &other).run(),
        "another database",
    );

    // A load has seen nothing that a restart could lose, however short it was: it waits for three times that.
    let settings = [("wal_writer_delay", "300ms")];
    let cluster = Cluster::start_with(&Server::distribution(), &settings);
    let cluster: &'static Cluster = Box::leak(Box::new(cluster));
    let rig = Rig::on(
        cluster,
        rig.target,
        &format!("{TABLE} CREATE TABLE public.other (a int)"),
    );
    let mut beside = Psql::open(rig.source, &rig.database);
    beside.run("BEGIN; INSERT INTO public.other VALUES (1)");
    assert_exit(&after(&rig, || cluster.restart()), 0);
    drop(beside);
    // As a standby it has the same history, as long as it is not promoted, but no rows of what is unlogged.
    rig.at_source("CREATE SCHEMA u; CREATE UNLOGGED TABLE u.t AS SELECT 1 AS k");
    let unlogged = rig.worker("u").env("ACCEPT", "unlogged-on-standby");
    assert_exit(&unlogged.run(), 0);
    assert_exit(&after(&rig, || cluster.demote(true)), 0);
    assert_exit(&unlogged.clone().arg("drift").run(), 65);
    assert_exit(&unlogged.arg("refresh").run(), 0);
    assert_eq!(rig.at_target("SELECT count(*) FROM u.t"), "0");
    cluster.psql("postgres", "SELECT pg_promote()");
    says(&rig.worker("s").arg("drift").run(), "another timeline");
    assert_exit(&after(&rig, || ()), 0);
    cluster.stop_immediate();
}

/// A server that loses a process recovers without a restart, and may give numbers again that a load has seen.
#[test]
fn what_a_recovery_may_have_lost_tells_nothing() {
    let settings = [("wal_writer_delay", "10s")];
    let cluster = Cluster::start_with(&Server::distribution(), &settings);
    let cluster: &'static Cluster = Box::leak(Box::new(cluster));
    let rig = Rig::on(cluster, Rig::new("").target, TABLE);
    let worker = rig.worker("s");
    for number in 1.. {
        assert!(number < 9, "every load has waited for the disk");
        rig.at_source("SET synchronous_commit = off; INSERT INTO s.t VALUES (0)");
        let output = worker.clone().env("RUN_ID", number.to_string()).run();
        assert_exit(&output, 0);
        if output
            .stdout
            .contains("not all that the load has seen was on its disk yet")
        {
            break;
        }
    }
    cluster.lose_a_process();
    // More than was lost.
    rig.at_source("CREATE TABLE public.more AS SELECT generate_series(1, 10000)");
    let output = worker.arg("drift").run();
    assert_exit(&output, 65);
    let reason = text(output.last(), "reason");
    assert!(reason.contains("was restarted or has crashed"), "{reason}");
    cluster.stop_immediate();
}

/// What is said of a table is true of the rows that the target has got and the source has now, whoever has written what beside whom.
#[test]
fn no_random_work_is_taken_for_less_than_it_was() {
    let mut work = Work::new(0x5EED_0F0D, 12);
    let (mut still, mut needless) = (0, 0);
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE public.other (a int)");
    rig.at_source(&work.tables());
    for round in 0..4 {
        // Every other load has somebody beside it who began earlier and ends later.
        let mut beside = Psql::open(rig.source, &rig.database);
        if round % 2 == 0 {
            beside.run("BEGIN; INSERT INTO public.other VALUES (1); INSERT INTO s.late VALUES (-1, 'late')");
        }
        work.is_done(20, rig.source, &rig.database);
        let worker = rig.worker("s").env("LOG_LEVEL", "debug");
        assert_exit(&worker.run(), 0);
        beside.run("COMMIT");
        work.is_done(10, rig.source, &rig.database);
        let output = worker.arg("drift").run();
        for table in work.names() {
            let rows = |all: String| {
                let mut rows: Vec<String> = all.lines().map(str::to_owned).collect();
                rows.sort_unstable();
                rows
            };
            let sql = format!("TABLE s.{table}");
            let (then, now) = (rows(rig.at_target(&sql)), rows(rig.at_source(&sql)));
            let record = found(&output, &table);
            let mut rest = now.clone();
            let kept = then.iter().all(|row| {
                let place = rest.binary_search(row);
                place.is_ok_and(|place| rest.remove(place) == *row)
            });
            match text(record, "found") {
                "unchanged" => {
                    assert_eq!(then, now, "{table} in round {round}");
                    still += 1;
                }
                "appended" => {
                    assert!(kept, "{table} in round {round}: {then:?} {now:?}");
                    assert_eq!(record["rows"], rest.len(), "{table} in round {round}");
                }
                "changed" => needless += i32::from(then == now),
                other => assert_eq!(other, "redefined"),
            }
        }
    }
    // Rows that were replaced by the like of them look changed, and are; the rest has to be believed.
    assert!(
        still >= 8 && needless <= 8,
        "{still} unchanged, {needless} called changed in vain"
    );
}

#[test]
fn numbers_that_come_round_are_told_apart() {
    const ROUND: u64 = 1 << 32;
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start(&Server::distribution())));
    let to = Rig::new("");
    let rig = Rig::on(
        cluster,
        to.target,
        "CREATE SCHEMA s; CREATE TABLE s.early AS SELECT 1 AS k",
    );
    let worker = rig.worker("s").env("LOG_LEVEL", "debug");
    let drift = worker.clone().arg("drift");
    assert_exit(&worker.run(), 0);
    // More than half a round later nothing is told apart any more.
    cluster.jump_to(ROUND - 1000);
    let output = drift.run();
    assert_exit(&output, 65);
    assert!(
        text(output.last(), "reason").contains("2^31"),
        "{}",
        output.stdout
    );
    for table in ["kept", "grown", "written"] {
        rig.at_source(&format!(
            "CREATE TABLE s.{table} AS SELECT generate_series(1, 9) AS k"
        ));
    }
    assert_exit(&worker.run(), 0);
    let number = || {
        rig.at_source("SELECT pg_snapshot_xmax(pg_current_snapshot())")
            .parse::<u64>()
            .unwrap()
    };
    assert!(number() < ROUND, "{}", number());
    while number() < ROUND + 20 {
        rig.at_source(&"SELECT pg_current_xact_id();".repeat(200));
    }
    assert_exit(&drift.run(), 0);
    rig.at_source("INSERT INTO s.grown VALUES (10); UPDATE s.written SET k = k WHERE k = 5");
    let output = drift.run();
    assert_exit(&output, 65);
    for (table, expected) in [
        ("early", "unchanged"),
        ("kept", "unchanged"),
        ("grown", "appended"),
        ("written", "changed"),
    ] {
        assert_eq!(text(found(&output, table), "found"), expected, "{table}");
    }
    cluster.stop_immediate();
}

#[test]
fn a_server_in_trouble_is_not_one_that_does_not_tell() {
    let rig = Rig::new(TABLE);
    assert_exit(&rig.worker("s").run(), 0);
    let proxy = Proxy::before(rig.source, Line::default());
    proxy.hold_at(b"-- Which server and which database this is", "");
    let running = rig.worker("s").arg("drift").source_through(&proxy).spawn();
    assert!(proxy.wait_until_said(PATIENCE).is_some());
    rig.at_source(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name LIKE 'sf/%/preflight'",
    );
    proxy.release();
    assert_exit(&running.wait(), 75);
}

#[test]
fn a_load_that_has_noted_nothing_or_only_part_says_so() {
    let rig = Rig::new(&format!("{TABLE} CREATE SCHEMA r; CREATE TABLE r.t (a int)"));
    let drift = |schemas: &str| rig.worker(schemas).arg("drift").run();
    let refused = |output: &Output, words: &str| {
        assert_exit(output, 78);
        let reason = text(output.last(), "reason");
        assert!(reason.contains(words), "{reason}");
    };
    refused(&drift("s"), "was not loaded");
    refused(&drift("nowhere"), "schema \"nowhere\" does not exist");
    let [_, pipe] = METHODS;
    let loaded = rig.worker("s").env("METHOD", pipe).run();
    assert_exit(&loaded, 0);
    assert!(text(loaded.last(), "drift").contains("METHOD=pipe"));
    let output = drift("s");
    assert_exit(&output, 65);
    assert!(text(output.last(), "reason").contains("METHOD=pipe"));
    assert_exit(&rig.worker("r,s").run(), 0);
    refused(&drift("s"), "SCHEMA_NAME=r,s");
    assert_exit(&drift("s,r"), 0);
    // A user who may not ask which server it is.
    let loaded = rig.worker("r,s").run();
    assert_exit(&loaded, 0);
    assert!(loaded.last()["drift"].is_null(), "{}", loaded.stdout);
    rig.at_target("CREATE ROLE drift_reader");
    rig.at_source(
        "CREATE ROLE drift_reader LOGIN PASSWORD 'r'; GRANT USAGE ON SCHEMA r, s TO drift_reader; GRANT SELECT ON ALL TABLES IN SCHEMA r, s TO drift_reader;
         REVOKE EXECUTE ON FUNCTION pg_control_system(), pg_current_wal_flush_lsn(), pg_xact_status(xid8) FROM PUBLIC",
    );
    let reader = rig
        .worker("r,s")
        .source(rig.source, &rig.database, "drift_reader", "r");
    let loaded = reader.clone().env("ON_EXISTING", "replace").run();
    assert_exit(&loaded, 0);
    assert!(text(loaded.last(), "drift").contains("the source does not tell which server it is"));
    assert_exit(&reader.arg("drift").run(), 65);
    // As an earlier release has left it.
    rig.at_target(
        "ALTER TABLE schemaferry.load DROP COLUMN baseline; COMMENT ON TABLE schemaferry.load IS 'layout 2'",
    );
    let output = drift("r,s");
    assert_exit(&output, 65);
    assert!(text(output.last(), "reason").contains("an earlier release"));
    assert_exit(&rig.worker("r,s").run(), 0);
    assert_exit(&drift("r,s"), 0);
}

/// SQL that has a database refuse questions about its write-ahead log with that SQLSTATE.
fn withholding_its_log(sqlstate: &str) -> String {
    let mut sql = "SET allow_system_table_mods = on;".to_owned();
    for (name, argument, result) in [
        ("pg_current_wal_lsn", "", "pg_lsn"),
        ("pg_current_wal_insert_lsn", "", "pg_lsn"),
        ("pg_current_wal_flush_lsn", "", "pg_lsn"),
        ("pg_walfile_name", "pg_lsn", "text"),
    ] {
        write!(
            sql,
            "ALTER FUNCTION pg_catalog.{name}({argument}) RENAME TO {name}_of_others;
             CREATE FUNCTION pg_catalog.{name}({argument}) RETURNS {result} LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'wal_level must be set to ''logical''' USING ERRCODE = '{sqlstate}'; END$$;"
        )
        .unwrap();
    }
    sql
}

/// Aurora refuses them all until its `wal_level` is logical, which it is not by default.
#[test]
fn servers_that_do_not_tell_of_their_log_are_served_all_the_same() {
    let makers: [(&str, MakeRig, &str); 3] = [
        ("copy", Rig::newest, "55000"),
        ("copy", Rig::to_newest, "XX000"),
        ("pipe", Rig::new, "55000"),
    ];
    for (method, make, sqlstate) in makers {
        let withholding = withholding_its_log(sqlstate);
        let rig = make(&format!("{withholding} {TABLE}"));
        rig.at_target(&withholding);
        let worker = rig.worker("s").env("METHOD", method);
        let run = |command: &str, variables: &[(&str, &str)]| {
            let worker = worker.clone().arg(command);
            let with = |worker: testbed::Worker, (name, value): &(&str, &str)| worker.env(name, value);
            variables.iter().fold(worker, with).run()
        };
        assert_exit(&run("check", &[]), 0);
        for _ in 0..2 {
            let loaded = run("load", &[("VERIFY", "hash")]);
            assert_exit(&loaded, 0);
            let drift = text(loaded.last(), "drift");
            let expected = if method == "copy" {
                "the source does not tell its position in the write-ahead log: "
            } else {
                "METHOD=pipe"
            };
            assert!(drift.contains(expected), "{drift}");
        }
        assert_exit(&run("verify", &[("VERIFY", "hash")]), 0);
        assert_exit(&run("drift", &[]), 65);
        assert_exit(&run("refresh", &[("REFRESH", "only")]), 73);
        assert_exit(&run("refresh", &[]), 0);
        assert_exit(&run("finalize", &[]), 0);
        assert_exit(&run("verify", &[]), 0);
        let report = run("report", &[]);
        assert!([0, 65].contains(&report.exit), "{}", report.stdout);
    }
    // What was noted while it told is not compared with what it does not tell any more.
    let rig = Rig::new(TABLE);
    assert_exit(&rig.worker("s").run(), 0);
    assert_exit(&rig.worker("s").arg("drift").run(), 0);
    rig.at_source(&withholding_its_log("XX000"));
    assert_exit(&rig.worker("s").arg("drift").run(), 65);
    assert_exit(&rig.worker("s").arg("refresh").run(), 0);
}
