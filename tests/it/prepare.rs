//! Schemas that are built on each other, rehearsed again: taken down together, before any of them is loaded.

use nix::sys::signal::Signal;
use serde_json::Value;
use testbed::{Psql, Worker};

use crate::rig::{Rig, assert_exit, text};
use crate::slow::{PATIENCE, SLOW_ROWS, wait_for_phase};

/// `b` is built on `a`, and `c` on `b`.
const CHAIN: &str = "CREATE SCHEMA a; CREATE DOMAIN a.d AS int; CREATE TABLE a.t (id int PRIMARY KEY, v a.d); INSERT INTO a.t VALUES (1, 2);
    CREATE SCHEMA b; CREATE TABLE b.u (id int, v a.d); INSERT INTO b.u VALUES (1, 3); CREATE VIEW b.v AS SELECT * FROM a.t;
    CREATE SCHEMA c; CREATE MATERIALIZED VIEW c.m AS SELECT count(*) FROM b.v";

/// What stands of it on the target, and what the ledger says last of each.
const STANDS: &str = "SELECT string_agg(n, ',' ORDER BY n) FROM unnest('{a,b,c}'::text[]) n WHERE to_regnamespace(n) IS NOT NULL";
const STATES: &str = "SELECT string_agg(state, ',' ORDER BY schema_name) FROM
    (SELECT DISTINCT ON (schema_name) * FROM schemaferry.load ORDER BY schema_name, id DESC) l";

/// A worker that takes these schemas down; all of the source's where none is named.
fn preparer(rig: &Rig, schemas: &str) -> Worker {
    rig.worker(schemas).arg("prepare")
}

fn load(rig: &Rig, schemas: &[&str], set: impl Fn(Worker) -> Worker) {
    for schema in schemas {
        assert_exit(&set(rig.worker(schema)).run(), 0);
    }
}

/// Ends with 73, with all of these words, and has left everything as it was.
fn refused(rig: &Rig, worker: &Worker, words: &[&str]) {
    let rows = "SELECT count(*), max(updated_at) FROM schemaferry.load";
    let before = rig.at_target(rows);
    let output = worker.run();
    assert_exit(&output, 73);
    let reason = text(output.last(), "reason");
    for word in words {
        assert!(reason.contains(word), "{word:?} is not in {reason}");
    }
    assert_eq!(rig.at_target(STANDS), "a,b,c");
    assert_eq!(rig.at_target("SELECT sum(count) FROM c.m"), "1");
    assert_eq!(rig.at_target(rows), before);
}

#[test]
fn schemas_that_are_built_on_others_are_loaded_again() {
    for (method, rig, schemas) in [
        ("copy", Rig::new(CHAIN), "a,b,c"),
        ("pipe", Rig::newest(CHAIN), ""),
    ] {
        let by_method = |worker: Worker| worker.env("METHOD", method);
        load(&rig, &["a", "b", "c"], by_method);
        // Alone it cannot be.
        for on_existing in ["own", "replace"] {
            let alone = by_method(rig.worker("a")).env("ON_EXISTING", on_existing);
            let hint =
                "have schemaferry prepare take them down before they are loaded, at least SCHEMA_NAME=a,b;";
            refused(
                &rig,
                &alone,
                &["objects outside of the schema depend on it", hint],
            );
        }
        rig.at_source("INSERT INTO a.t VALUES (2, 2)");
        let output = by_method(preparer(&rig, schemas)).run();
        assert_exit(&output, 0);
        let down = output
            .records
            .iter()
            .filter(|record| text(record, "msg") == "taken down");
        let down: Vec<&str> = down.map(|record| text(record, "schema")).collect();
        assert_eq!(down, ["c", "b", "a"]);
        assert_eq!(rig.at_target(STANDS), "");
        assert_eq!(rig.at_target(STATES), "clearing,clearing,clearing");
        assert_exit(&by_method(preparer(&rig, schemas)).run(), 0);
        load(&rig, &["a", "b", "c"], by_method);
        assert_eq!(rig.at_target("SELECT sum(count) FROM c.m"), "2");
    }
}

/// A run that is started again takes down nothing of what it has loaded already, and whoever needs what was taken down waits for it.
#[test]
fn what_the_run_has_brought_stays() {
    let rig = Rig::new(CHAIN);
    let of_run = |run: &'static str| {
        move |worker: Worker| {
            worker
                .env("RUN_ID", run)
                .env("RUN_SCHEMAS", "a,b,c")
                .env("WAIT_TIMEOUT", "1m")
        }
    };
    let first = of_run("first");
    load(&rig, &["a", "b", "c"], first);
    assert_exit(&first(preparer(&rig, "a,b,c")).run(), 0);
    assert_eq!(rig.at_target(STATES), "complete,complete,complete");

    let second = of_run("second");
    assert_exit(&second(preparer(&rig, "a,b,c")).run(), 0);
    let waiting = second(rig.worker("b")).spawn();
    let record = waiting.wait_for_record(|record| text(record, "msg") == "waiting", PATIENCE);
    let reason = text(&record, "reason");
    assert!(
        reason.contains("\"a\", which the unit needs, is yet to be brought by this run"),
        "{reason}"
    );
    load(&rig, &["a"], second);
    assert_exit(&waiting.wait(), 0);
    assert_exit(&second(preparer(&rig, "a,b,c")).run(), 0);
    assert_eq!(rig.at_target(STATES), "complete,complete,clearing");
    load(&rig, &["c"], second);

    // What is built on something that has to go again goes with it, or nothing does.
    rig.at_target("UPDATE schemaferry.load SET run_id = 'another' WHERE schema_name = 'a'");
    let words = [
        "objects outside of schema \"a\" depend on it",
        "b is complete under this RUN_ID and stays",
    ];
    refused(&rig, &second(preparer(&rig, "a,b,c")), &words);
    assert_exit(&of_run("third")(preparer(&rig, "a,b,c")).run(), 0);
    assert_eq!(rig.at_target(STANDS), "");
}

#[test]
fn one_refusal_keeps_all_of_them() {
    let rig = Rig::new(CHAIN);
    load(&rig, &["a", "b", "c"], |worker| worker);
    rig.at_source("CREATE SCHEMA hand; CREATE TABLE hand.t (a int)");
    rig.at_target("CREATE SCHEMA hand; CREATE TABLE hand.t (a int)");
    let words = ["schema \"hand\" was not made by a load of ours"];
    refused(&rig, &preparer(&rig, ""), &words);
    let all = preparer(&rig, "a,b,c");
    refused(
        &rig,
        &preparer(&rig, "a"),
        &["schema \"a\" depend", "add to SCHEMA_NAME: b"],
    );
    rig.at_target("CREATE VIEW hand.v AS SELECT * FROM b.v");
    let words = [
        "schema \"b\" depend on it: view hand.v",
        "add to SCHEMA_NAME: hand",
    ];
    refused(&rig, &all, &words);
    // Not even this takes what is outside of them.
    refused(&rig, &all.clone().env("ON_EXISTING", "replace"), &words);
    rig.at_target("DROP VIEW hand.v");
    assert_exit(&rig.worker("b").arg("seal").run(), 0);
    for on_existing in ["own", "replace"] {
        let worker = all.clone().env("ON_EXISTING", on_existing);
        refused(&rig, &worker, &["schema \"b\" is sealed"]);
    }
    assert_exit(&rig.worker("b").arg("seal").arg("--undo").run(), 0);
    rig.at_target("INSERT INTO a.t VALUES (9, 9); CREATE TABLE c.mine ()");
    let words = [
        "schema \"a\" was changed since our load: rows of t were written",
        "schema \"c\" was changed since our load: table \"c\".\"mine\" was added",
    ];
    refused(&rig, &all, &words);
    assert_exit(&all.env("ON_EXISTING", "replace").run(), 0);
    assert_eq!(rig.at_target(STANDS), "");
    assert_eq!(rig.at_target("SELECT count(*) FROM hand.t"), "0");
}

/// Killed after `c` and `b`, while somebody reads `a`: what was not touched is protected as before.
#[test]
fn one_that_was_interrupted_is_run_again() {
    for rig in [Rig::new(CHAIN), Rig::newest(CHAIN)] {
        load(&rig, &["a", "b", "c"], |worker| worker);
        let replacing = preparer(&rig, "a,b,c").env("ON_EXISTING", "replace");
        let is_down = |schema: &'static str| {
            move |record: &Value| text(record, "msg") == "taken down" && text(record, "schema") == schema
        };
        let mut reader = Psql::open(rig.target, &rig.database);
        reader.run("BEGIN; LOCK TABLE a.t IN ACCESS SHARE MODE");
        let running = replacing.spawn();
        let _record = running.wait_for_record(is_down("b"), PATIENCE);
        running.signal(Signal::SIGKILL);
        assert_eq!(running.wait().exit, -9);
        assert_eq!(rig.at_target(STANDS), "a");
        assert_eq!(rig.at_target(STATES), "complete,clearing,clearing");
        let again = replacing
            .clone()
            .env("WAIT_TIMEOUT", "1m")
            .env("LOCK_TIMEOUT", "1s")
            .run();
        assert_exit(&again, 75);
        let reason = text(again.last(), "reason");
        assert!(
            reason.contains("objects of schema \"a\" could not be locked"),
            "{reason}"
        );
        reader.run("COMMIT");
        drop(reader);

        rig.at_target("INSERT INTO a.t VALUES (9, 9)");
        let output = preparer(&rig, "").run();
        assert_exit(&output, 73);
        let reason = text(output.last(), "reason");
        assert!(
            reason.contains("schema \"a\" was changed since our load"),
            "{reason}"
        );
        assert_exit(&replacing.run(), 0);
        assert_eq!(rig.at_target(STANDS), "");
        load(&rig, &["a", "b", "c"], |worker| worker);
    }
}

/// Killed in the middle of a schema that takes more than one transaction, in a run that has a name.
#[test]
fn one_that_was_interrupted_within_a_schema_is_run_again() {
    let rig = Rig::new(CHAIN);
    rig.at_source(
        "DO $$ BEGIN FOR i IN 1..120 LOOP EXECUTE format('CREATE TABLE a.n%s (v int)', i); END LOOP; END $$",
    );
    let of_run = |worker: Worker| worker.env("RUN_ID", "r").env("ON_EXISTING", "replace");
    load(&rig, &["a", "b", "c"], |worker| worker);
    let of_last = "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'a'::regnamespace AND relkind = 'r' ORDER BY oid DESC LIMIT 1";
    let last = rig.at_target(of_last);
    let mut reader = Psql::open(rig.target, &rig.database);
    reader.run(&format!("BEGIN; LOCK TABLE {last} IN ACCESS SHARE MODE"));
    let running = of_run(preparer(&rig, "")).spawn();
    // A transaction drops a hundred of them.
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('a') AND relkind = 'r'";
    rig.wait_for_target(left, |count| count == "21");
    running.signal(Signal::SIGKILL);
    assert_eq!(running.wait().exit, -9);
    drop(reader);
    assert_eq!(rig.at_target(STATES), "clearing,clearing,clearing");
    let again = preparer(&rig, "")
        .env("RUN_ID", "r")
        .env("WAIT_TIMEOUT", "1m")
        .run();
    assert_exit(&again, 0);
    assert_eq!(rig.at_target(STANDS), "");
    load(&rig, &["a", "b", "c"], |worker| worker);
}

/// Schemas that hang on each other both ways go together, whatever unit they were loaded in; what was there before is emptied.
#[test]
fn rings_and_adopted_schemas_are_taken_down() {
    let rig = Rig::new(CHAIN);
    rig.at_source(
        "CREATE TABLE a.back (v b.v); CREATE EXTENSION hstore; CREATE TABLE public.p (h hstore, v a.d);
         CREATE VIEW c.p AS SELECT * FROM public.p",
    );
    rig.at_target("CREATE EXTENSION hstore");
    for _ in 0..2 {
        load(&rig, &["a,b", "public", "c"], |worker| worker.env("RUN_ID", "r"));
        assert_exit(&preparer(&rig, "").env("RUN_ID", "r").run(), 0);
        assert_eq!(rig.at_target(STATES), "complete,complete,complete,complete");
        assert_exit(&preparer(&rig, "").run(), 0);
        assert_eq!(rig.at_target(STANDS), "");
        assert_eq!(
            rig.at_target("SELECT 'a=>1'::hstore -> 'a', to_regclass('public.p') IS NULL"),
            "1|t"
        );
    }
}

#[test]
fn nothing_is_taken_from_a_worker() {
    let rig = Rig::new(SLOW_ROWS);
    rig.at_source("CREATE SCHEMA other; CREATE TABLE other.t (a int)");
    load(&rig, &["other"], |worker| worker);
    let running = rig.worker("s").spawn();
    wait_for_phase(&running, "lock");
    let output = preparer(&rig, "").run();
    assert_exit(&output, 75);
    let reason = text(output.last(), "reason");
    assert!(reason.contains("another worker holds schema \"s\""), "{reason}");
    assert_eq!(rig.at_target("SELECT count(*) FROM other.t"), "0");
    running.signal(Signal::SIGKILL);
    assert_eq!(running.wait().exit, -9);
    // What it has left goes.
    assert_exit(&preparer(&rig, "").env("WAIT_TIMEOUT", "1m").run(), 0);
    assert_eq!(
        rig.at_target("SELECT to_regnamespace('s') IS NULL, to_regnamespace('other') IS NULL"),
        "t|t"
    );
    let missing = preparer(&rig, "other,Other").run();
    assert_exit(&missing, 78);
    let reason = text(missing.last(), "reason");
    assert!(
        reason.contains("schema \"Other\" does not exist (there is other)"),
        "{reason}"
    );
}
