//! What has landed before a load was cut off need not come again, and afterwards the target holds what the source held.

use serde_json::Value;
use testbed::{Output, Worker};

use crate::cut::Cut;
use crate::refresh::{BESIDE, MUCH, SCHEMA, actions, assert_same, refreshed};
use crate::rig::{Rig, assert_exit, text};

/// What a load says to the target, in the order in which it does, and on sessions of which role.
const CUTS: &[(&str, &str)] = &[
    ("INSERT INTO schemaferry.landed", "/copy"),
    (r#"COPY "s"."sale""#, "/copy"),
    (r#"COPY "s"."big""#, "/copy"),
    ("CREATE INDEX", "/build"),
    ("ADD CONSTRAINT", "/build"),
    ("NOT VALID", "/build"),
    ("VALIDATE CONSTRAINT", "/build"),
    ("ATTACH PARTITION", "/build"),
    (" CLUSTER ON ", "/build"),
    ("CREATE OR REPLACE VIEW", "/build"),
    ("CREATE TRIGGER", "/build"),
    ("ENABLE ALWAYS TRIGGER", "/build"),
    ("CREATE RULE", "/build"),
    ("CREATE STATISTICS", "/build"),
    ("REFRESH MATERIALIZED VIEW", "/build"),
    ("COMMENT ON INDEX", "/build"),
    ("ANALYZE", "/build"),
    ("pg_catalog.setval", "/work"),
    (r#"OWNER TO "refresh_owner""#, "/work"),
    (r#""secret" FORCE ROW LEVEL SECURITY"#, "/work"),
    ("UPDATE schemaferry.load SET state = 'complete'", "/lock"),
];

/// Attempts that are cut off follow on each other in so many rows.
const CHAINS: usize = 5;

fn worker(rig: &Rig) -> Worker {
    rig.worker("s").env("SPLIT", "always").env("BUILD_JOBS", "1")
}

/// What a record says why nothing is kept; empty where there is none.
fn why_not_kept(output: &Output) -> &str {
    let mut records = output.records.iter();
    let record =
        records.find(|record| text(record, "msg") == "what an interrupted load has left is not kept");
    record.map_or("", |record| text(record, "reason"))
}

#[test]
fn wherever_a_load_is_cut_off_the_next_one_ends_it() {
    let rig = Rig::newest(BESIDE);
    rig.at_source(SCHEMA);
    rig.at_source(
        "CREATE TABLE s.big (k int, v text); ALTER TABLE s.big ALTER v SET STORAGE EXTERNAL;
         INSERT INTO s.big SELECT i, repeat(md5(i::text), 250) FROM generate_series(1, 9000) i; CREATE INDEX ON s.big (k);
         ALTER TABLE s.tree ADD CONSTRAINT later CHECK (k > 5) NOT VALID",
    );
    rig.at_target(BESIDE);
    let cut = Cut::of(&rig);
    let mut number = 10;
    let mut write = || {
        number += 1;
        rig.at_source(&MUCH.replace("{n}", &number.to_string()));
    };
    for first in 0..CHAINS {
        for place in CUTS.iter().skip(first).step_by(CHAINS) {
            write();
            cut.off(&worker(&rig), *place, 0);
        }
        let output = worker(&rig).run();
        assert_exit(&output, 0);
        assert_eq!(refreshed(&output)["interrupted"], true, "{}", output.stdout);
        if (CUTS.len() - 1) % CHAINS == first {
            // All of it had landed.
            assert_eq!(actions(&output), []);
        }
        assert_same(&rig, &format!("chain {first}"));
        assert_exit(&worker(&rig).arg("verify").run(), 0);
        assert_exit(&worker(&rig).arg("drift").run(), 0);
        assert_eq!(rig.at_target("SELECT count(*) FROM log.fired"), "0");
    }
}

/// Why nothing is kept: what has happened since on the source and on the target, what the next load is told, and its reason.
const NOT_KEPT: &[(&str, &str, (&str, &str), &str)] = &[
    (
        "",
        "ALTER TABLE s.early ALTER a TYPE bigint",
        ("", ""),
        r#""s"."early" was altered on the target"#,
    ),
    (
        "",
        "ALTER TABLE s.late ADD b int",
        ("", ""),
        r#""s"."late" was altered on the target"#,
    ),
    (
        "ALTER TABLE s.late ADD b int",
        "",
        ("", ""),
        "definition of TABLE s late was changed",
    ),
    (
        "",
        "DROP SCHEMA s CASCADE; CREATE SCHEMA s",
        ("ON_EXISTING", "replace"),
        "no longer the one that was loaded",
    ),
    (
        "",
        "ALTER TABLE s.one RENAME TO other; ALTER TABLE s.two RENAME TO one; ALTER TABLE s.other RENAME TO two",
        ("RESUME", "auto"),
        "was altered on the target",
    ),
    ("", "", ("VERIFY", "none"), "not compared under VERIFY=none"),
    ("", "", ("RESUME", "never"), ""),
    ("", "", ("METHOD", "pipe"), ""),
];

#[test]
fn what_has_landed_is_read_again_only_where_it_has_to_be() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.early (a int, v text); INSERT INTO s.early SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 5000) i;
         CREATE INDEX ON s.early (v); CREATE TABLE s.late AS SELECT generate_series(1, 40000) AS a;
         CREATE TABLE s.one AS SELECT 1 AS a; CREATE TABLE s.two AS SELECT 2 AS a;
         CREATE TYPE s.pair AS (a int, b int); COMMENT ON TYPE s.pair IS 'two'; CREATE SEQUENCE s.counter;
         CREATE TABLE s.parent (a int CHECK (a > 0)); CREATE TABLE s.child () INHERITS (s.parent)",
    );
    let cut = Cut::of(&rig);
    let interrupt = || cut.off(&worker(&rig), (r#"COPY "s"."late""#, "/copy"), 3);
    let rows = "SELECT (SELECT count(*) FROM s.early), (SELECT count(*) FROM s.late), (SELECT a FROM s.one), (SELECT a FROM s.two)";
    let bytes = |output: &Output| output.last()["totals"]["bytes"].as_u64().unwrap();

    interrupt();
    let kept = worker(&rig).run();
    assert_exit(&kept, 0);
    assert_eq!(
        (&refreshed(&kept)["kept"], &refreshed(&kept)["loaded_again"]),
        (&Value::from(5), &Value::from(1))
    );
    assert_eq!(rig.at_target(rows), "5000|40000|1|2");
    for (source, target, (variable, value), reason) in NOT_KEPT {
        interrupt();
        rig.at_source(source);
        rig.at_target(target);
        let output = worker(&rig).env(variable, *value).run();
        assert_exit(&output, 0);
        assert_eq!(refreshed(&output), &Value::Null, "{reason}");
        assert!(
            why_not_kept(&output).contains(reason) && why_not_kept(&output).is_empty() == reason.is_empty(),
            "{reason}: {}",
            output.stdout
        );
        assert!(*value == "pipe" || bytes(&output) > 5 * bytes(&kept), "{reason}");
        assert_eq!(rig.at_target(rows), "5000|40000|1|2");
    }

    // What nobody has made for the load stays, and is a difference: the next load keeps nothing.
    for strange in [
        "CREATE TABLE s.strange (a int)",
        "ALTER TABLE s.child NO INHERIT s.parent; ALTER TABLE s.child INHERIT s.parent",
        "ALTER SEQUENCE s.counter SET UNLOGGED",
        "COMMENT ON TYPE s.pair IS 'another'",
    ] {
        interrupt();
        rig.at_target(strange);
        let output = worker(&rig).run();
        assert_exit(&output, 75);
        let reason = text(output.last(), "reason");
        assert!(
            reason.contains("the next one keeps nothing"),
            "{strange}: {reason}"
        );
        let output = worker(&rig).run();
        assert_exit(&output, 0);
        let why = why_not_kept(&output);
        assert!(why.contains("could not end"), "{strange}: {why}");
    }
    assert_eq!(rig.at_target("SELECT to_regclass('s.strange')"), "");
}

/// Of a large table most ranges have landed: what is done on the source before the next attempt, what that does with the table, and
/// whether most of its bytes travel again.
const RANGES: &[(&str, &str, bool)] = &[
    // A row is where another was that has not landed, and that one is in its place.
    (
        "CREATE INDEX i ON s.big (rank); CLUSTER s.big USING i; DROP INDEX s.i",
        "loaded again",
        true,
    ),
    ("INSERT INTO s.big VALUES (0, 'new')", "appended to", false),
    ("UPDATE s.big SET k = -k WHERE k % 1000 = 0", "loaded again", true),
];

const BIG: &str =
    "CREATE TABLE s.big (k int, v text, rank int); ALTER TABLE s.big ALTER v SET STORAGE EXTERNAL;
    INSERT INTO s.big SELECT i, repeat(md5(i::text), 250), CASE i WHEN 6000 THEN 11990 WHEN 11990 THEN 6000 ELSE i END
    FROM generate_series(1, 12000) i;";

#[test]
fn ranges_of_a_table_that_have_landed_stay() {
    let rig = Rig::newest("CREATE SCHEMA s");
    rig.at_source(BIG);
    let cut = Cut::of(&rig);
    let worker = worker(&rig).env("JOBS", "2");
    let copying = (r#"COPY "s"."big""#, "/copy");
    let interrupt = |command, landed| cut.off(&worker.clone().arg(command), copying, landed);
    let end = |command: &str, action: &str| {
        let output = worker.clone().arg(command).run();
        assert_exit(&output, 0);
        assert_eq!(actions(&output), [("big", action)], "{}", output.stdout);
        let rows = "SELECT count(*), sum(k), md5(string_agg(md5(v), '' ORDER BY k)) FROM s.big";
        assert_eq!(rig.at_source(rows), rig.at_target(rows));
        assert_exit(&worker.clone().arg("drift").run(), 0);
        output.last()["totals"]["bytes"].as_u64().unwrap()
    };
    for (done, action, travels_again) in RANGES {
        rig.at_target("DROP SCHEMA IF EXISTS s CASCADE");
        interrupt("load", 4);
        rig.at_source(done);
        let bytes = end("load", action);
        assert_eq!(bytes > 60_000_000, *travels_again, "{done}: {bytes}");
    }

    // Of two attempts, by two moments.
    rig.at_target("DROP SCHEMA s CASCADE");
    for k in [-1, -2] {
        interrupt("load", 1);
        rig.at_source(&format!("INSERT INTO s.big VALUES ({k}, 'new')"));
    }
    end("load", "appended to");

    // What is added to what was there before.
    rig.at_source("INSERT INTO s.big SELECT k + 100000, v, rank FROM s.big");
    interrupt("refresh", 4);
    rig.at_source("INSERT INTO s.big VALUES (-3, 'new')");
    let bytes = end("refresh", "appended to");
    assert!(bytes < 60_000_000, "{bytes}");
}
