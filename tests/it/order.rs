//! Schemas that are built on others of the same run: whoever starts first.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testbed::{Account, Fate, Worker};

use crate::aws::{FINALIZE, PREPARE, REPORT, SCALE, machine, outcomes};
use crate::rig::{Rig, assert_exit, text};
use crate::slow::{PATIENCE, wait_for_phase};

/// `b` is built on a type of `a`, `c` on one of `b`.
const CHAIN: &str =
    "CREATE SCHEMA a; CREATE TYPE a.e AS ENUM ('x'); CREATE TABLE a.t (e a.e); INSERT INTO a.t VALUES ('x');
    CREATE SCHEMA b; CREATE TYPE b.e AS ENUM ('x'); CREATE TABLE b.t (e a.e); INSERT INTO b.t VALUES ('x');
    CREATE SCHEMA c; CREATE TYPE c.e AS ENUM ('x'); CREATE TABLE c.t (e b.e); INSERT INTO c.t VALUES ('x')";

/// `b` is built on `a`, whose second row is refused by the target after two seconds.
const FAILING: &str = "CREATE SCHEMA a; CREATE FUNCTION a.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN IF current_setting(''application_name'') LIKE ''sf/%/copy'' AND $1 = 2 THEN PERFORM pg_sleep(2); RAISE ''not here''; END IF; RETURN $1; END';
    CREATE TABLE a.t (v int, w int GENERATED ALWAYS AS (a.f(v)) STORED); INSERT INTO a.t VALUES (1), (2);
    CREATE SCHEMA b; CREATE TYPE a.e AS ENUM ('x'); CREATE TABLE b.t (e a.e);
    CREATE SCHEMA other; CREATE TABLE other.t (v int)";

/// A worker of a run of these schemas that waits for the others.
fn member(rig: &Rig, schema: &str, run: &str) -> Worker {
    rig.worker(schema)
        .env("RUN_ID", "run")
        .env("RUN_SCHEMAS", run)
        .env("WAIT_TIMEOUT", "1m")
}

/// An execution of the state machine over these schemas: their outcomes and reasons.
fn execute(rig: &Rig, schemas: &[&str]) -> (Vec<(String, String, u64)>, Value) {
    execute_with(rig.worker(""), schemas)
}

fn execute_with(worker: Worker, schemas: &[&str]) -> (Vec<(String, String, u64)>, Value) {
    let worker = worker.without("SCHEMA_NAME");
    let account = Account::new(move |_| worker.clone(), |_, _| Fate::Undisturbed);
    machine(&[]).execute("order", &json!({"schemas": schemas}), &account, SCALE);
    let report: Value = serde_json::from_str(account.seen().published.last().unwrap()).unwrap();
    (outcomes(&report), report)
}

/// What was rehearsed is rehearsed again, sealed at last, and then left alone.
#[test]
fn a_list_is_rehearsed_as_often_as_one_likes() {
    let rig = Rig::new(CHAIN);
    let run = |name: &str, input: Value| {
        let worker = rig.worker("").without("SCHEMA_NAME");
        let account = Account::new(move |_| worker.clone(), |_, _| Fate::Undisturbed);
        machine(&[]).execute(name, &input, &account, SCALE);
        let report: Value = serde_json::from_str(account.seen().published.last().unwrap()).unwrap();
        let lines = report["schemas"].as_array().unwrap();
        let lines = lines
            .iter()
            .map(|line| format!("{} {}", text(line, "schema"), text(line, "outcome")));
        lines.collect::<Vec<_>>().join(", ")
    };
    let schemas = json!(["c", "a", "b"]);
    let all =
        |prepared: &str, loaded: &str| format!("{PREPARE} {prepared}, c {loaded}, a {loaded}, b {loaded}");
    for name in ["first", "second", "third"] {
        rig.at_source("INSERT INTO a.t VALUES ('x')");
        let ended = run(name, json!({"schemas": schemas}));
        assert_eq!(ended, format!("{}, {FINALIZE} ok, {REPORT} ok", all("ok", "ok")));
        assert_eq!(
            rig.at_target("SELECT count(*) FROM a.t"),
            rig.at_source("SELECT count(*) FROM a.t")
        );
    }
    // Those that are built on another stand in its way where nothing was prepared.
    let left_out = json!({"schemas": ["a"], "prepare": false});
    assert_eq!(run("fourth", left_out), format!("a occupied, {REPORT} ok"));
    let seal = json!({"schemas": schemas, "command": "seal"});
    assert_eq!(run("live", seal), "c ok, a ok, b ok");
    let input = json!({"schemas": schemas});
    let nothing = format!("{}, {REPORT} ok", all("occupied", "occupied"));
    assert_eq!(run("too late", input), nothing);
    assert_eq!(
        rig.at_target("SELECT a.t.e, b.t.e, c.t.e FROM a.t, b.t, c.t LIMIT 1"),
        "x|x|x"
    );
}

#[test]
fn every_order_of_a_list_ends_well() {
    let orders = [
        ["a", "b", "c"],
        ["a", "c", "b"],
        ["b", "a", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["c", "b", "a"],
    ];
    // Few of them at once: one server has a hundred connections.
    for orders in orders.chunks(2) {
        thread::scope(|scope| {
            for order in orders {
                scope.spawn(move || {
                    let rig = Rig::new(CHAIN);
                    let expected = order.map(|schema| (schema.to_owned(), "ok".to_owned(), 1));
                    let worker = rig.worker("").env("JOBS", "1").env("BUILD_JOBS", "1");
                    let (found, report) = execute_with(worker, order);
                    assert_eq!(found, expected, "{report}");
                    assert_eq!(
                        rig.at_target("SELECT a.t.e, b.t.e, c.t.e FROM a.t, b.t, c.t"),
                        "x|x|x"
                    );
                });
            }
        });
    }
}

/// Each is built on the one of half its number, and none has more connections than `docs/aws.md` says.
#[test]
fn sixty_schemas_in_one_execution_keep_to_the_budget() {
    let budget = include_str!("../../docs/aws.md").contains("`MaxConcurrency × (Jobs + BuildJobs + 6)`");
    assert!(budget, "the page has another budget of connections");
    let names: Vec<String> = (1..=60).map(|number| format!("s{number}")).collect();
    let mut sql = String::new();
    for (number, name) in names.iter().enumerate() {
        let needed = &names[number / 2];
        write!(
            sql,
            "CREATE SCHEMA {name}; CREATE TYPE {name}.e AS ENUM ('x'); CREATE TABLE {name}.t (e {needed}.e);
             INSERT INTO {name}.t VALUES ('x'); "
        )
        .unwrap();
    }
    let rig = Rig::new(&sql);
    let over = AtomicBool::new(false);
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sf/%' AND datname = current_database()";
    let (found, report, most) = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                for connections in [rig.at_source(count), rig.at_target(count)] {
                    most = most.max(connections.parse::<usize>().unwrap());
                }
                thread::sleep(Duration::from_millis(50));
            }
            most
        });
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (found, report) = execute(&rig, &names);
        over.store(true, Ordering::Relaxed);
        (found, report, watch.join().unwrap())
    });
    let expected: Vec<_> = names
        .iter()
        .map(|name| (name.clone(), "ok".to_owned(), 1))
        .collect();
    assert_eq!(found, expected, "{report}");
    assert!(
        (1..=5 * (4 + 4 + 6)).contains(&most),
        "{most} connections at once"
    );
}

#[test]
fn nobody_waits_for_what_has_failed_for_good() {
    let rig = Rig::new(FAILING);
    let (found, report) = execute(&rig, &["a", "b", "other"]);
    let expected = [("a", "data"), ("b", "config"), ("other", "ok")];
    let expected = expected.map(|(schema, outcome)| (schema.to_owned(), outcome.to_owned(), 1));
    assert_eq!(found, expected, "{report}");
    // The first is the line of the task that prepared.
    let reason = text(&report["schemas"][2], "reason");
    assert!(
        reason.contains("schema \"a\", which the unit needs, is not whole: its last load ended with 65: ")
            && reason.contains("raised by a function"),
        "{reason}"
    );
}

#[test]
fn what_waits_says_for_whom() {
    let rig = Rig::new(CHAIN);
    // Only for what it is told of, and only as long as it may.
    for (worker, exit) in [
        (member(&rig, "b", "a,b").env("WAIT_TIMEOUT", "0"), 75),
        (member(&rig, "b", "b,c"), 78),
        (member(&rig, "b", "a,b").arg("check"), 0),
        (member(&rig, "b", "b").arg("check"), 78),
    ] {
        assert_exit(&worker.run(), exit);
    }
    let waiting = member(&rig, "b", "a,b,c").spawn();
    let record = waiting.wait_for_record(|record| text(record, "msg") == "waiting", PATIENCE);
    let reason = text(&record, "reason");
    assert!(
        reason.contains("schema \"a\", which the unit needs, is yet to be brought by this run"),
        "{reason}"
    );
    assert_exit(&member(&rig, "a", "a,b").run(), 0);
    assert_exit(&waiting.wait(), 0);
}

/// A load that was killed: somebody may come back for a while, and then no longer.
#[test]
fn nobody_waits_for_a_corpse() {
    let rig = Rig::new(FAILING);
    let killed = rig.worker("a").spawn();
    wait_for_phase(&killed, "pre-data");
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.wait().exit, -9);
    let run = |worker: Worker, exit: i32, words: &str| {
        let output = worker.run();
        assert_exit(&output, exit);
        let reason = text(output.last(), "reason").to_owned();
        assert!(reason.contains(words), "{reason}");
    };
    run(rig.worker("b"), 75, "is to be tried again");
    rig.at_target("UPDATE schemaferry.load SET updated_at = updated_at - interval '31 minutes'");
    run(rig.worker("b"), 78, "its last load was interrupted 31m");
    run(
        rig.worker("b").env("RUN_SCHEMAS", "a,b"),
        75,
        "is to be tried again",
    );
    // The run comes to it.
    rig.at_source("CREATE OR REPLACE FUNCTION a.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'");
    let waiting = member(&rig, "b", "a,b").spawn();
    let _waits = waiting.wait_for_record(|record| text(record, "msg") == "waiting", PATIENCE);
    assert_exit(&member(&rig, "a", "a,b").run(), 0);
    assert_exit(&waiting.wait(), 0);
}

#[test]
fn schemas_that_need_each_other_do_not_wait_for_each_other() {
    let rig = Rig::new(CHAIN);
    rig.at_source("ALTER TABLE a.t ADD COLUMN needed c.e");
    let waiting = member(&rig, "b", "a,b,c").run();
    assert_exit(&waiting, 78);
    let hint = waiting.last()["findings"].to_string();
    assert!(
        hint.contains("they need each other, move them together: SCHEMA_NAME=a,b,c"),
        "{hint}"
    );
}

#[test]
fn what_values_are_made_of_elsewhere_has_to_be_there_first() {
    let rig = Rig::new(
        "CREATE SCHEMA e; CREATE TYPE e.mood AS ENUM ('sad', 'ok'); CREATE TYPE e.pair AS (p int, m e.mood); CREATE DOMAIN e.pairs AS e.pair[];
         CREATE SCHEMA s; CREATE TABLE s.t (v e.pairs); CREATE TABLE s.still AS SELECT 1 AS a; INSERT INTO s.t VALUES (ARRAY['(1,ok)'::e.pair])",
    );
    let worker = rig.worker("s");
    assert_exit(&rig.worker("e").run(), 0);
    assert_exit(&worker.run(), 0);
    for (change, undone, kind) in [
        (
            "ALTER TYPE e.pair RENAME ATTRIBUTE p TO q",
            "ALTER TYPE e.pair RENAME ATTRIBUTE q TO p",
            "e.pair",
        ),
        ("ALTER TYPE e.mood ADD VALUE 'great'", "", "e.mood"),
    ] {
        rig.at_source(change);
        for worker in [
            worker.clone().arg("check"),
            worker.clone().arg("refresh"),
            worker.clone(),
        ] {
            let output = worker.run();
            assert_exit(&output, 78);
            let reason = text(output.last(), "reason");
            assert!(
                reason.contains(&format!("lacks type {kind} as it is on the source"))
                    && reason.contains("move it first: SCHEMA_NAME=e"),
                "{reason}"
            );
        }
        assert_eq!(rig.at_target("SELECT count(*) FROM s.t, s.still"), "1");
        rig.at_source(undone);
    }
    // What the target has beside is in nobody's way.
    rig.at_target("ALTER TYPE e.mood ADD VALUE 'great'; ALTER TYPE e.mood ADD VALUE 'more'");
    assert_exit(&worker.run(), 0);
}
