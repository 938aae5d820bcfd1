//! Foreign keys that leave their schemas: made after the loads, given back by the next one.

use nix::sys::signal::Signal;
use serde_json::Value;
use testbed::cluster::PASSWORD;
use testbed::{Cluster, Output, Psql, Worker};

use crate::rig::{GRID, MakeRig, Rig, assert_exit, text};
use crate::slow::{PATIENCE, SLOW_ROWS, assert_no_backends, wait_for_phase};

/// A ring, partitioned tables at either end, a partition with a key of its own, names in the manner of an attacker, a key of
/// several columns, one to a table of the unit, and one that the source has not validated.
const RING: &str = r#"
    CREATE SCHEMA a; CREATE SCHEMA "b"" ; --";
    CREATE TABLE a.t (id int PRIMARY KEY, "x %s$1" text, y int, UNIQUE ("x %s$1", y));
    CREATE TABLE a.parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE a.part PARTITION OF a.parts FOR VALUES FROM (0) TO (1000);
    CREATE TABLE "b"" ; --"."t'" (id int PRIMARY KEY, a int REFERENCES a.t, "x %s$1" text, y int, p int REFERENCES a.parts);
    ALTER TABLE "b"" ; --"."t'" ADD CONSTRAINT "k"";--$1 %s" FOREIGN KEY ("x %s$1", y) REFERENCES a.t ("x %s$1", y) MATCH FULL
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
    COMMENT ON CONSTRAINT "k"";--$1 %s" ON "b"" ; --"."t'" IS 'it''s; noted';
    CREATE TABLE "b"" ; --".sales (id int, a int REFERENCES a.t) PARTITION BY RANGE (id);
    CREATE TABLE "b"" ; --".sale PARTITION OF "b"" ; --".sales (FOREIGN KEY (id) REFERENCES a.t) FOR VALUES FROM (0) TO (1000);
    ALTER TABLE a.t ADD b int REFERENCES "b"" ; --"."t'", ADD own int REFERENCES a.parts;
    ALTER TABLE a.parts ADD b int REFERENCES "b"" ; --"."t'";
    INSERT INTO a.t SELECT i, 'x' || i, i FROM generate_series(1, 100) i;
    INSERT INTO a.parts SELECT i FROM generate_series(1, 100) i;
    INSERT INTO "b"" ; --"."t'" SELECT i, i, 'x' || i, i, i FROM generate_series(1, 100) i;
    INSERT INTO "b"" ; --".sales SELECT i, i FROM generate_series(1, 100) i;
    UPDATE a.t SET b = id, own = id; UPDATE a.parts SET b = id;
    INSERT INTO "b"" ; --"."t'" VALUES (101), (102);
    CREATE TABLE "b"" ; --".loose (a int); INSERT INTO "b"" ; --".loose VALUES (-1);
    ALTER TABLE "b"" ; --".loose ADD CONSTRAINT loose FOREIGN KEY (a) REFERENCES a.t NOT VALID"#;
const B: &str = r#""b"" ; --""#;

/// Every foreign key with all that is told of it.
const KEYS: &str =
    "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated, obj_description(oid)
    FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 ORDER BY 1::text, 2";
/// What the latest loads have left, and how many of those keys are made.
const LEFT: &str = "SELECT schema_name, jsonb_array_length(deferred), jsonb_array_length(jsonb_path_query_array(deferred, '$[*].oid'))
    FROM (SELECT DISTINCT ON (schema_name) * FROM schemaferry.load ORDER BY schema_name, id DESC) l ORDER BY 1";

fn worker(rig: &Rig) -> Worker {
    rig.worker("")
        .without("SCHEMA_NAME")
        .without("SOURCE_HOST")
        .arg("finalize")
}

fn finalize(rig: &Rig) -> Output {
    worker(rig).run()
}

/// Ends with this code and these words among its reasons and hints.
fn assert_refused(output: &Output, exit: i32, words: &[&str]) {
    assert_exit(output, exit);
    let findings = output.last()["findings"].as_array().unwrap();
    for words in words {
        let says = |finding: &Value| {
            ["reason", "hint"]
                .iter()
                .any(|field| text(finding, field).replace('"', "").contains(words))
        };
        assert!(findings.iter().any(says), "{words} is not in {findings:?}");
    }
}

#[test]
fn what_leaves_its_schema_is_made_after_the_loads_and_given_back_by_the_next() {
    for (method, rig) in GRID {
        let rig = rig(RING);
        let load = |schema: &str| assert_exit(&rig.worker(schema).env("METHOD", method).run(), 0);
        load("a");
        let early = finalize(&rig);
        assert_exit(&early, 0);
        assert_eq!(early.last()["deferred"].as_array().unwrap().len(), 2, "{method}");
        load(B);
        for made in [8, 0] {
            let output = finalize(&rig);
            assert_exit(&output, 0);
            let added = output
                .records
                .iter()
                .filter(|record| text(record, "msg") == "foreign key added");
            assert_eq!(added.count(), made, "{method}: {}", output.stdout);
            assert_eq!(output.last()["already_complete"], made == 0);
            assert_eq!(output.last()["deferred"].as_array().unwrap().len(), 0);
        }
        assert_eq!(rig.at_target(KEYS), rig.at_source(KEYS), "{method}");
        for schema in ["a", B] {
            assert_exit(&rig.worker(schema).arg("verify").run(), 0);
        }
        load("a");
        assert_eq!(rig.at_target(LEFT), "a|2|0\nb\" ; --|6|0", "{method}");
        assert_exit(&finalize(&rig), 0);
        assert_eq!(rig.at_target(KEYS), rig.at_source(KEYS), "{method}");
        assert_eq!(rig.at_target(LEFT), "a|2|2\nb\" ; --|6|6", "{method}");
        assert_no_backends(&rig);
    }
}

/// Rows without what they reference, in a table, in a partitioned one, and by a key of two columns of which one is null.
const ORPHANS: &str = "
    CREATE SCHEMA a; CREATE TABLE a.t (id int PRIMARY KEY, n int, UNIQUE (n, id)); INSERT INTO a.t SELECT i, i FROM generate_series(1, 9) i;
    CREATE SCHEMA b; CREATE TABLE b.good (a int REFERENCES a.t); INSERT INTO b.good VALUES (1), (NULL);
    CREATE TABLE b.bad (a int CONSTRAINT bad REFERENCES a.t, n int, CONSTRAINT pair FOREIGN KEY (n, a) REFERENCES a.t (n, id) MATCH FULL);
    CREATE TABLE b.sales (a int CONSTRAINT sold REFERENCES a.t) PARTITION BY LIST (a); CREATE TABLE b.sale PARTITION OF b.sales DEFAULT;
    INSERT INTO b.bad VALUES (1, 1), (NULL, NULL);
    SET session_replication_role = replica;
    INSERT INTO b.bad VALUES (77100771, 77100771), (77200772, 77200772), (3, NULL); INSERT INTO b.sales VALUES (77300773), (1)";
const STATE: &str =
    "SELECT string_agg(conname || ' ' || convalidated, ', ' ORDER BY conname) FROM pg_constraint
    WHERE contype = 'f' AND conparentid = 0";

fn with_orphans(rig: Rig) -> Rig {
    for schema in ["a", "b"] {
        assert_exit(&rig.worker(schema).run(), 0);
    }
    rig
}

#[test]
fn an_orphan_stops_nothing_else_and_is_found_by_the_query() {
    for rig in [Rig::new(ORPHANS), Rig::newest(ORPHANS)].map(with_orphans) {
        for _ in 0..2 {
            let output = finalize(&rig);
            let words = [
                "foreign key bad of b.bad stays not valid: 2 rows have no match in a.t",
                "foreign key pair of b.bad stays not valid: 3 rows have no match in a.t",
                "foreign key sold of b.sales is not added: 1 rows have no match in a.t",
            ];
            assert_refused(&output, 65, &words);
            for value in ["77100771", "77200772", "77300773"] {
                assert!(!output.stdout.contains(value), "a row's value: {}", output.stdout);
            }
            assert_eq!(rig.at_target(STATE), "bad false, good_a_fkey true, pair false");
            assert_eq!(output.last()["deferred"].as_array().unwrap().len(), 1);
            let findings = output.last()["findings"].as_array().unwrap();
            let rows = [
                "77300773",
                "77100771|77100771\n77200772|77200772",
                "3|\n77100771|77100771\n77200772|77200772",
            ];
            for (finding, rows) in findings.iter().zip(rows) {
                assert_eq!(
                    rig.at_target(&format!("{} ORDER BY 1", text(finding, "hint"))),
                    rows
                );
            }
        }
        rig.at_target("DELETE FROM b.bad WHERE a > 1; DELETE FROM b.sales WHERE a > 1");
        assert_exit(&finalize(&rig), 0);
        assert_eq!(
            rig.at_target(STATE),
            "bad true, good_a_fkey true, pair true, sold true"
        );
    }
}

#[test]
fn what_is_interrupted_while_it_validates_is_run_again() {
    let rig = with_orphans(Rig::new(ORPHANS));
    assert_exit(&finalize(&rig), 65);
    rig.at_target("DELETE FROM b.bad WHERE a > 1; DELETE FROM b.sales WHERE a > 1");
    let mut holder = Psql::open(rig.target, &rig.database);
    holder.run("BEGIN; LOCK TABLE b.bad IN SHARE UPDATE EXCLUSIVE MODE");
    let waits = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'sf/%/build' AND wait_event_type = 'Lock'";
    let end = format!("SELECT pg_terminate_backend(pid) {waits}");
    for kill in [false, true] {
        let running = worker(&rig).spawn();
        rig.wait_for_target(&format!("SELECT count(*) {waits}"), |count| count == "1");
        if kill {
            running.signal(Signal::SIGKILL);
            assert_eq!(running.wait().exit, -9);
        } else {
            rig.at_target(&end);
            assert_exit(&running.wait(), 75);
        }
    }
    let limited = worker(&rig).env("LOCK_TIMEOUT", "2s").run();
    assert_exit(&limited, 75);
    assert!(
        text(limited.last(), "reason").contains("held by pid"),
        "{}",
        limited.last()
    );
    drop(holder);
    assert_exit(&finalize(&rig), 0);
    assert_eq!(
        rig.at_target(STATE),
        "bad true, good_a_fkey true, pair true, sold true"
    );
    assert_no_backends(&rig);
}

#[test]
fn a_schema_that_is_being_loaded_is_left_for_later() {
    let rig = Rig::new(SLOW_ROWS);
    rig.at_source(
        "ALTER TABLE s.first ADD id int PRIMARY KEY DEFAULT 1;
         CREATE SCHEMA d; CREATE TABLE d.t (id int PRIMARY KEY);
         CREATE SCHEMA c; CREATE TABLE c.x (d int CONSTRAINT to_d REFERENCES d.t, s int CONSTRAINT to_s REFERENCES s.first)",
    );
    for schema in ["c", "d"] {
        assert_exit(&rig.worker(schema).run(), 0);
    }
    assert_exit(&finalize(&rig), 0);
    assert_eq!(rig.at_target(STATE), "to_d true");
    let loading = rig.worker("s").spawn();
    wait_for_phase(&loading, "clear");
    let output = finalize(&rig);
    assert_refused(&output, 75, &["another worker holds schema s: pid"]);
    let output = rig.worker("d").arg("finalize").run();
    assert_exit(&output, 0);
    assert_eq!(output.last()["already_complete"], true);
    loading.signal(Signal::SIGTERM);
    assert_exit(&loading.wait(), 143);
    assert_refused(
        &finalize(&rig),
        75,
        &["the last load of schema s was interrupted"],
    );
    let loading = rig.worker("s").spawn();
    wait_for_phase(&loading, "lock");
    assert_exit(&worker(&rig).env("WAIT_TIMEOUT", "1m").run(), 0);
    assert_exit(&loading.wait(), 0);
    assert_eq!(rig.at_target(STATE), "to_d true, to_s true");
}

#[test]
fn what_is_not_ours_is_left_to_a_person() {
    let rig = Rig::new(RING);
    assert_exit(&finalize(&rig), 0);
    assert_refused(
        &rig.worker("a").arg("finalize").run(),
        78,
        &["was not made by a load of ours"],
    );
    for schema in ["a", B] {
        assert_exit(&rig.worker(schema).run(), 0);
    }
    rig.at_target("ALTER TABLE a.parts ADD CONSTRAINT parts_b_fkey CHECK (b > 0)");
    let refused = finalize(&rig);
    let words = [
        "parts_b_fkey of a.parts is not made: a constraint of that name is there",
        "DROP CONSTRAINT parts_b_fkey",
    ];
    assert_refused(&refused, 73, &words);
    rig.at_target("ALTER TABLE a.parts DROP CONSTRAINT parts_b_fkey");
    // Keys of what is live are made, and no load takes them down.
    assert_exit(&rig.worker(B).arg("seal").run(), 0);
    assert_exit(&finalize(&rig), 0);
    assert_eq!(rig.at_target(KEYS), rig.at_source(KEYS));
    assert_exit(&rig.worker("a").run(), 73);
    assert_exit(&rig.worker(B).arg("seal").arg("--undo").run(), 0);
    // What somebody else has added is not what was made.
    rig.at_target(
        r#"ALTER TABLE "b"" ; --".loose ADD CONSTRAINT mine FOREIGN KEY (a) REFERENCES a.t NOT VALID"#,
    );
    let refused = rig.worker("a").run();
    assert_exit(&refused, 73);
    assert!(
        text(refused.last(), "reason").contains("1 objects outside"),
        "{}",
        refused.last()
    );
    rig.at_target(r#"ALTER TABLE "b"" ; --".loose DROP CONSTRAINT mine"#);
    assert_exit(&rig.worker("a").run(), 0);
}

#[test]
fn a_user_who_has_to_take_the_owners_role_makes_them_too() {
    let sql = "CREATE SCHEMA a AUTHORIZATION keeper_of_keys; CREATE TABLE a.t (id int PRIMARY KEY);
         CREATE SCHEMA b AUTHORIZATION keeper_of_keys; CREATE TABLE b.t (a int REFERENCES a.t);
         ALTER TABLE a.t OWNER TO keeper_of_keys; ALTER TABLE b.t OWNER TO keeper_of_keys; SET ROLE keeper_of_keys; REVOKE MAINTAIN ON b.t FROM keeper_of_keys";
    let rig = Rig::newest("");
    rig.at_source("CREATE ROLE keeper_of_keys");
    rig.at_source(sql);
    rig.at_target(&format!(
        "CREATE ROLE keeper_of_keys; CREATE ROLE mover_of_keys LOGIN PASSWORD '{PASSWORD}';
         GRANT keeper_of_keys TO mover_of_keys WITH INHERIT FALSE, SET TRUE; GRANT CREATE ON DATABASE {} TO mover_of_keys",
        rig.database
    ));
    let worker = |schema: &str| rig.worker(schema).env("TARGET_USER", "mover_of_keys");
    for schema in ["a", "b", "a"] {
        assert_exit(&worker(schema).run(), 0);
        if schema == "b" {
            for option in [None, Some("--freeze")] {
                let finalize = option
                    .into_iter()
                    .fold(worker("a,b").arg("finalize"), Worker::arg);
                rig.at_target("REVOKE keeper_of_keys FROM mover_of_keys");
                let refused = finalize.run();
                assert_exit(&refused, 77);
                rig.at_target(text(&refused.last()["findings"][0], "hint"));
                if option.is_some() {
                    let refused = finalize.run();
                    assert_exit(&refused, 77);
                    let hint = "GRANT MAINTAIN ON TABLE \"b\".\"t\" TO mover_of_keys";
                    assert_eq!(text(&refused.last()["findings"][0], "hint"), hint);
                    rig.at_target(hint);
                }
                assert_exit(&finalize.run(), 0);
            }
            assert_eq!(rig.at_target(STATE), "t_a_fkey true");
            assert_eq!(rig.at_target(FROZEN), "2|2");
        }
    }
    assert_exit(&worker("b").arg("finalize").run(), 0);
}

#[test]
fn a_target_that_takes_no_writes_is_a_matter_of_the_configuration() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int)");
    assert_exit(&rig.worker("s").run(), 0);
    rig.at_target(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        rig.database
    ));
    for command in ["prepare", "finalize", "seal"] {
        let output = rig.worker("s").arg(command).run();
        assert_exit(&output, 78);
        let reason = text(output.last(), "reason");
        assert!(reason.contains("does not accept writes"), "{command}: {reason}");
    }
}

/// What is loaded with FREEZE, by many small tables in one transaction, through a root, and what the target computes; the server
/// leaves all of it alone.
const TO_FREEZE: &str = "
    CREATE SCHEMA a; CREATE TABLE a.large WITH (autovacuum_enabled = off) AS SELECT i, repeat(md5(i::text), 10) v FROM generate_series(1, 20000) i;
    CREATE TABLE a.small (a int) WITH (autovacuum_enabled = off); INSERT INTO a.small VALUES (1);
    CREATE TABLE a.empty (a int) WITH (autovacuum_enabled = off);
    CREATE TABLE a.parts (a int) PARTITION BY HASH (a);
    CREATE TABLE a.part PARTITION OF a.parts FOR VALUES WITH (MODULUS 1, REMAINDER 0) WITH (autovacuum_enabled = off);
    INSERT INTO a.parts SELECT generate_series(1, 1000);
    CREATE MATERIALIZED VIEW a.seen WITH (autovacuum_enabled = off) AS SELECT * FROM a.large;
    CREATE SCHEMA b; CREATE TABLE b.t (a int) WITH (autovacuum_enabled = off); INSERT INTO b.t VALUES (1)";
/// Tables with rows of their own, and those of them that a VACUUM (FREEZE) has passed since the loads. Servers add some
/// pages in advance, which are not visible.
const FROZEN: &str =
    "SELECT count(*), count(*) FILTER (WHERE (relallvisible > 0 OR relpages = 0) AND age(relfrozenxid) < (SELECT min(age(xmin)) FROM schemaferry.load))
    FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace IN ('a'::regnamespace, 'b'::regnamespace)";

/// Databases on a target of their own: any transaction of the same server that is still open, of whatever database, may hold back
/// what is frozen.
fn alone(make: MakeRig) -> Rig {
    let source = make("").source;
    let target = Box::leak(Box::new(Cluster::start(source.server())));
    Rig::on(source, target, TO_FREEZE)
}

fn freeze(rig: &Rig) -> Worker {
    worker(rig).arg("--freeze")
}

/// Tables that a run has frozen.
fn frozen(output: &Output) -> Vec<&str> {
    let records = output.records.iter();
    let mut frozen: Vec<&str> = records
        .filter(|record| text(record, "msg") == "table frozen")
        .map(|record| text(record, "table"))
        .collect();
    frozen.sort_unstable();
    frozen
}

#[test]
fn what_was_loaded_is_frozen_where_that_is_asked_for() {
    for (method, rig) in [("copy", alone(Rig::new)), ("pipe", alone(Rig::newest))] {
        for schema in ["a", "b"] {
            assert_exit(&rig.worker(schema).env("METHOD", method).run(), 0);
        }
        assert_exit(&finalize(&rig), 0);
        assert_eq!(rig.at_target(FROZEN), "6|0", "{method}");
        let own = rig.worker("b").arg("finalize").arg("--freeze").run();
        assert_exit(&own, 0);
        assert_eq!(frozen(&own), ["b.t"]);
        let all = freeze(&rig).run();
        assert_exit(&all, 0);
        let expected = ["a.empty", "a.large", "a.part", "a.seen", "a.small"];
        assert_eq!(frozen(&all), expected, "{method}: {}", all.stdout);
        assert_eq!(rig.at_target(FROZEN), "6|6", "{method}");
        let again = freeze(&rig).run();
        assert_exit(&again, 0);
        assert_eq!(again.last()["already_complete"], true, "{}", again.stdout);
        // It counts as no change.
        assert_exit(&rig.worker("a").env("METHOD", method).run(), 0);
        assert_eq!(frozen(&freeze(&rig).run()), expected, "{method}");
        assert_no_backends(&rig);
    }
}

#[test]
fn a_freeze_that_is_interrupted_goes_on_and_one_that_is_held_back_says_so() {
    let rig = alone(Rig::new);
    let mut old = Psql::open(rig.target, &rig.database);
    old.run("BEGIN; CREATE TEMP TABLE takes_a_number ()");
    for schema in ["a", "b"] {
        assert_exit(&rig.worker(schema).run(), 0);
    }
    let held_back = freeze(&rig).run();
    assert_refused(
        &held_back,
        75,
        &["as old as the load: a.large, a.seen, a.part, a.small, b.t, and 1 more"],
    );
    drop(old);
    let mut holder = Psql::open(rig.target, &rig.database);
    holder.run("BEGIN; LOCK TABLE a.small IN SHARE UPDATE EXCLUSIVE MODE");
    let limited = freeze(&rig)
        .env("LOCK_TIMEOUT", "2s")
        .env("BUILD_JOBS", "1")
        .run();
    assert_exit(&limited, 75);
    assert_eq!(frozen(&limited), ["a.large", "a.part", "a.seen"]);
    let running = freeze(&rig).spawn();
    // The last one, since it is the smallest: what is left is held.
    let last_is_done =
        |record: &Value| text(record, "msg") == "table frozen" && text(record, "table") == "a.empty";
    let _record = running.wait_for_record(last_is_done, PATIENCE);
    running.signal(Signal::SIGKILL);
    assert_eq!(running.wait().exit, -9);
    drop(holder);
    // The backend that has lost its worker may have come to its end.
    let rest = freeze(&rig).run();
    assert_exit(&rest, 0);
    assert!(
        frozen(&rest).iter().all(|table| *table == "a.small"),
        "{}",
        rest.stdout
    );
    assert_eq!(rig.at_target(FROZEN), "6|6");
    assert_no_backends(&rig);
}
