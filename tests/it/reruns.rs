//! Running it again: what is replaced, what is believed, and what is left to a person.

use std::time::{Duration, Instant};

use testbed::proxy::Line;
use testbed::{Cluster, Proxy, Server, warehouse};

use crate::rig::{GRID, METHODS, Rig, assert_exit, text};
use crate::slow::PATIENCE;

const SCHEMA: &str = "CREATE SCHEMA s; CREATE TABLE s.t (id serial PRIMARY KEY, v text); INSERT INTO s.t (v) VALUES ('a'), ('b');
    CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'";

#[test]
fn a_complete_load_is_replaced_only_while_nobody_changed_it() {
    // Every third change in each corner of the grid: each is tried in two of them.
    for (corner, (method, rig)) in GRID.into_iter().enumerate() {
        let changes = CHANGES.iter().skip(corner % 3).step_by(3);
        changed_loads_are_left_alone(method, &rig(SCHEMA), changes);
    }
}

/// What someone did to a complete load, and how it is named.
const CHANGES: [(&str, &str); 9] = [
    (
        "INSERT INTO s.t (id, v) VALUES (99, 'mine')",
        "rows of t were written",
    ),
    ("DELETE FROM s.t WHERE id = 1", "rows of t were written"),
    ("TRUNCATE s.t", "t was truncated or rewritten"),
    ("SELECT nextval('s.t_id_seq')", "sequence t_id_seq has moved"),
    ("CREATE TABLE s.mine (a int)", r#"table "s"."mine" was added"#),
    (
        "CREATE OR REPLACE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        r#"function "s"."f"() was altered"#,
    ),
    ("ALTER TABLE s.t ADD c int", r#"table "s"."t" was altered"#),
    ("DROP FUNCTION s.f()", r#"function "s"."f"() was dropped"#),
    ("ALTER TABLE s.t DROP CONSTRAINT t_pkey", "was dropped"),
];

fn changed_loads_are_left_alone(
    method: &str,
    rig: &Rig,
    changes: impl Iterator<Item = &'static (&'static str, &'static str)>,
) {
    let worker = rig.worker("s").env("METHOD", method);
    assert_exit(&worker.run(), 0);
    assert_exit(&worker.run(), 0);
    for (change, words) in changes {
        rig.at_target(change);
        let output = worker.run();
        assert_exit(&output, 73);
        assert!(
            text(output.last(), "reason").contains(words),
            "{change} after {method}: {}",
            output.last()
        );
        let fail = worker.clone().env("ON_EXISTING", "fail").run();
        assert_exit(&fail, 73);
        assert_exit(&worker.clone().env("ON_EXISTING", "replace").run(), 0);
        assert_eq!(
            warehouse::contents(rig.target, &rig.database, "s"),
            warehouse::contents(rig.source, &rig.database, "s")
        );
    }
}

#[test]
fn a_run_id_is_believed_only_while_everything_still_stands() {
    let rig = Rig::new(SCHEMA);
    let worker = rig.worker("s").env("RUN_ID", "weekend-7");
    let loaded = |output: &testbed::Output| {
        assert_exit(output, 0);
        !output.last()["already_complete"].as_bool().unwrap()
    };
    assert!(loaded(&worker.run()), "the first run");
    assert!(!loaded(&worker.run()), "the second run");
    assert!(
        loaded(&worker.clone().env("RUN_ID", "weekend-8").run()),
        "another run"
    );
    assert!(loaded(&worker.run()), "the last load was another run's");
    assert!(
        loaded(&worker.clone().env("VERIFY", "none").run()),
        "other variables"
    );
    rig.at_target("DROP SCHEMA s CASCADE");
    assert!(loaded(&worker.run()), "the schema was dropped");
    rig.at_target("ALTER SCHEMA s RENAME TO renamed");
    assert!(loaded(&worker.run()), "the schema was renamed");
    assert_eq!(
        rig.at_target("SELECT count(*) FROM renamed.t"),
        "2",
        "what was renamed is left alone"
    );
    rig.at_target("DROP SCHEMA s CASCADE; CREATE SCHEMA s");
    assert!(loaded(&worker.run()), "another schema of the same name");
    rig.at_target("UPDATE s.t SET v = 'changed'");
    assert_exit(&worker.run(), 73);
}

#[test]
fn nobody_loses_what_the_server_has_forgotten_to_count() {
    let rig = Rig::new(
        "CREATE TYPE public.e AS ENUM ('a', 'b'); CREATE SCHEMA s; CREATE TABLE s.t (k int PRIMARY KEY, v text);
         INSERT INTO s.t SELECT g, 'v' FROM generate_series(1, 100) g; CREATE TABLE s.still AS SELECT generate_series(1, 20) AS k;
         CREATE UNLOGGED TABLE s.\"an \"\"odd\"\" one\" AS SELECT 1 AS k; CREATE TABLE s.by_root (e public.e) PARTITION BY HASH (e);
         CREATE TABLE s.leaf_0 PARTITION OF s.by_root FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE s.leaf_1 PARTITION OF s.by_root FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO s.by_root SELECT (ARRAY['a', 'b'])[g % 2 + 1]::public.e FROM generate_series(1, 30) g;
         CREATE SCHEMA other; CREATE TABLE other.t AS SELECT 1 AS k",
    );
    rig.at_target("CREATE TYPE public.e AS ENUM ('b', 'a')");
    let worker = rig.worker("other,s");
    let write = |sql: &str| {
        rig.at_target(&format!(
            "BEGIN; {sql}; SELECT pg_stat_force_next_flush(); COMMIT"
        ))
    };
    let forget = || rig.at_target("SELECT pg_stat_reset()");
    let named = worker.clone().env("RUN_ID", "one");
    // By whoever takes it for complete, replaces it, or takes it down.
    let refused = [named.clone(), worker.clone(), worker.clone().arg("prepare")];
    for (written, refused) in [
        "UPDATE s.t SET v = 'mine' WHERE k = 1",
        "DELETE FROM s.t WHERE k = 1; INSERT INTO s.t VALUES (1, 'v')",
        "DELETE FROM s.still WHERE k = 1",
        "INSERT INTO s.by_root VALUES ('a')",
        "INSERT INTO s.\"an \"\"odd\"\" one\" VALUES (2)",
        "INSERT INTO other.t VALUES (2)",
    ]
    .into_iter()
    .zip(refused.iter().cycle())
    {
        assert_exit(&named.clone().env("ON_EXISTING", "replace").run(), 0);
        write(written);
        forget();
        let output = refused.run();
        assert_exit(&output, 73);
        let reason = text(output.last(), "reason");
        assert!(
            reason.contains("was changed since our load: rows of"),
            "{written}: {reason}"
        );
    }
    // Who has written nothing is not in the way; what no counter tells, VERIFY=hash does.
    let exact = worker.clone().env("VERIFY", "hash");
    assert_exit(&exact.clone().env("ON_EXISTING", "replace").run(), 0);
    forget();
    assert_exit(&worker.run(), 0);
    write("SET LOCAL track_counts = off; UPDATE s.t SET v = 'mine' WHERE k = 1");
    assert_exit(&exact.run(), 73);
    assert_exit(&worker.run(), 0);
    assert_exit(&exact.run(), 0);
    forget();
    rig.at_target("TRUNCATE schemaferry.landed");
    let output = worker.run();
    assert_exit(&output, 0);
    let mut reasons = output.records.iter().map(|record| text(record, "reason"));
    assert!(
        reasons.any(|reason| reason.contains("not known any more")),
        "{}",
        output.stdout
    );
}

/// Files tell of it, counters do not; rows do.
#[test]
fn what_was_only_rewritten_is_replaced_and_what_was_truncated_is_not() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.t (k int PRIMARY KEY); INSERT INTO s.t SELECT generate_series(1, 20);
         ALTER TABLE s.t CLUSTER ON t_pkey; CREATE TABLE s.\"an \"\"odd\"\" one\" (k int); CREATE TABLE s.root (k int) PARTITION BY RANGE (k);
         CREATE TABLE s.leaf PARTITION OF s.root FOR VALUES FROM (1) TO (9); INSERT INTO s.root VALUES (1)",
    );
    let named = rig.worker("s").env("RUN_ID", "weekend-7");
    let loads = [named.clone(), named.clone(), rig.worker("s")];
    assert_exit(&named.run(), 0);
    for (load, is_complete) in loads.iter().zip([true, true, false]) {
        rig.at_target("VACUUM FULL; CLUSTER s.t; TRUNCATE s.\"an \"\"odd\"\" one\"");
        let output = load.run();
        assert_exit(&output, 0);
        assert_eq!(output.last()["already_complete"], is_complete);
    }
    for (done, method) in [
        ("VACUUM FULL; TRUNCATE s.leaf", "copy"),
        ("VACUUM FULL; DELETE FROM s.t WHERE k = 7", "copy"),
        // It has noted no numbers.
        ("VACUUM FULL", "pipe"),
    ] {
        let load = rig.worker("s").env("METHOD", method);
        assert_exit(&load.clone().env("ON_EXISTING", "replace").run(), 0);
        rig.at_target(done);
        let output = load.run();
        assert_exit(&output, 73);
        let reason = text(output.last(), "reason");
        assert!(
            reason.contains("rewritten") || reason.contains("were written"),
            "{reason}"
        );
    }
}

#[test]
fn what_is_written_after_the_look_at_forgotten_counters_is_counted() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT generate_series(1, 20) AS k");
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    rig.at_target("SELECT pg_stat_reset()");
    let proxy = Proxy::before(rig.target, Line::default());
    proxy.hold_at(b"IN ACCESS EXCLUSIVE MODE NOWAIT", "/work");
    let running = worker.target_through(&proxy).spawn();
    assert!(proxy.wait_until_said(PATIENCE).is_some());
    rig.at_target("DELETE FROM s.t WHERE k = 1");
    proxy.release();
    let output = running.wait();
    assert_exit(&output, 73);
    let reason = text(output.last(), "reason");
    assert!(reason.contains("rows of t were written"), "{reason}");
}

#[test]
fn what_a_crash_of_the_target_has_emptied_is_loaded_again() {
    for server in [Server::distribution(), Server::newest()] {
        let [source, target] =
            [(); 2].map(|()| -> &'static Cluster { Box::leak(Box::new(Cluster::start(&server))) });
        let rig = Rig::on(
            source,
            target,
            "CREATE SCHEMA s; CREATE UNLOGGED TABLE s.t (k int GENERATED ALWAYS AS IDENTITY, v int); CREATE UNLOGGED TABLE s.empty (a int);
             INSERT INTO s.t (v) SELECT generate_series(1, 500)",
        );
        let worker = rig.worker("s").env("RUN_ID", "weekend-7");
        let count = || rig.at_target("SELECT count(*) FROM s.t");
        assert_exit(&worker.run(), 0);
        let crash = || {
            target.stop_immediate();
            target.start_again();
            assert_eq!(count(), "0");
        };
        crash();
        assert_exit(&worker.run(), 0);
        assert_eq!(count(), "500");
        crash();
        let refresh = worker.clone().arg("refresh").without("RUN_ID");
        let output = refresh.clone().env("REFRESH", "only").run();
        assert_exit(&output, 73);
        let reason = text(output.last(), "reason");
        assert!(reason.contains("a crash of the server has emptied"), "{reason}");
        assert_exit(&refresh.run(), 0);
        assert_eq!(count(), "500");
    }
}

#[test]
fn a_ledger_of_an_earlier_release_is_read_and_completed() {
    let rig = Rig::new(SCHEMA);
    let worker = rig.worker("s").env("RUN_ID", "r");
    assert_exit(&worker.run(), 0);
    rig.at_target(
        "ALTER TABLE schemaferry.load DROP COLUMN source_activity; COMMENT ON TABLE schemaferry.load IS NULL",
    );
    let again = worker.run();
    assert_exit(&again, 0);
    assert_eq!(again.last()["already_complete"], true);
    assert_exit(&worker.clone().env("RUN_ID", "next").run(), 0);
    assert_exit(&worker.arg("verify").run(), 0);
}

#[test]
fn leftovers_are_replaced_whatever_state_they_are_in() {
    let rig = Rig::new(SCHEMA);
    assert_exit(&rig.worker("s").env("RUN_ID", "r").run(), 0);
    for (state, method) in [
        ("clearing", "copy"),
        ("loading", "copy"),
        ("clearing", "pipe"),
        ("loading", "pipe"),
    ] {
        let worker = rig.worker("s").env("RUN_ID", "r").env("METHOD", method);
        rig.at_target(&format!(
            "UPDATE schemaferry.load SET state = '{state}' WHERE id = (SELECT max(id) FROM schemaferry.load);
             DROP TABLE s.t; CREATE TABLE s.half (a int)"
        ));
        let other = worker.clone().env("ON_EXISTING", "fail").env("RUN_ID", "another");
        assert_exit(&other.run(), 73);
        assert_exit(&worker.clone().env("ON_EXISTING", "fail").run(), 0);
    }
    assert_eq!(
        rig.at_target("SELECT to_regclass('s.half') IS NULL, count(*) FROM s.t"),
        "t|2"
    );
}

#[test]
fn a_schema_that_was_there_keeps_its_owner_and_is_emptied_not_dropped() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE EXTENSION hstore SCHEMA s; CREATE TABLE s.t (h s.hstore); INSERT INTO s.t VALUES ('a=>1'); CREATE TABLE public.p (a int)",
    );
    rig.at_target("CREATE ROLE keeper_of_s; GRANT keeper_of_s TO postgres; CREATE SCHEMA s AUTHORIZATION keeper_of_s; CREATE EXTENSION hstore SCHEMA s");
    let oid = "SELECT oid, nspowner::regrole FROM pg_namespace WHERE nspname = 's'";
    let before = rig.at_target(oid);
    for _ in 0..2 {
        assert_exit(&rig.worker("s").run(), 0);
        assert_eq!(rig.at_target(oid), before);
        assert_eq!(rig.at_target("SELECT h OPERATOR(s.->) 'a' FROM s.t"), "1");
        assert_exit(&rig.worker("public").run(), 0);
    }
    assert_eq!(rig.at_target("SELECT count(*) FROM p"), "0");
}

#[test]
fn extensions_of_a_schema_are_used_by_others_and_stay() {
    for rig in Rig::of_both_majors() {
        rig.at_source(
            "CREATE EXTENSION hstore; CREATE TABLE public.t AS SELECT 1 AS a;
             CREATE SCHEMA s; CREATE TABLE s.t (h public.hstore DEFAULT public.hstore('a', 'b')); INSERT INTO s.t DEFAULT VALUES; CREATE INDEX ON s.t USING gin (h)",
        );
        rig.at_target("CREATE EXTENSION hstore");
        for schema in ["s", "public", "s", "public"] {
            assert_exit(&rig.worker(schema).run(), 0);
        }
        assert_eq!(rig.at_target("SELECT h FROM s.t"), "\"a\"=>\"b\"");
    }
}

#[test]
fn a_schema_of_ours_that_holds_an_extension_stays_ours() {
    let rig = Rig::new("");
    for side in [rig.source, rig.target] {
        side.psql("postgres", "CREATE ROLE owner_of_an_extension");
    }
    rig.at_source(
        "CREATE SCHEMA s AUTHORIZATION owner_of_an_extension; COMMENT ON SCHEMA s IS 'ours';
         CREATE EXTENSION hstore SCHEMA s; CREATE TABLE s.t (h s.hstore)",
    );
    let worker = rig.worker("s").env("ON_EXISTING", "replace");
    for _ in 0..3 {
        assert_exit(&worker.run(), 0);
        let found = rig.at_target(
            "SELECT nspowner::regrole, obj_description(oid) FROM pg_namespace WHERE nspname = 's'",
        );
        assert_eq!(found, "owner_of_an_extension|ours");
        rig.at_target("REVOKE USAGE ON SCHEMA s FROM PUBLIC; COMMENT ON SCHEMA s IS NULL; ALTER SCHEMA s OWNER TO postgres");
    }
    rig.at_source("COMMENT ON SCHEMA s IS NULL");
    rig.at_target("COMMENT ON SCHEMA s IS 'stale'");
    assert_exit(&rig.worker("s").run(), 73);
    assert_exit(&worker.run(), 0);
}

#[test]
fn partitions_of_roots_elsewhere_are_replaced() {
    for (method, rig) in GRID {
        let rig = rig(
            "CREATE SCHEMA o; CREATE TABLE o.root (a int) PARTITION BY RANGE (a);
             CREATE SCHEMA s; CREATE TABLE s.leaf PARTITION OF o.root FOR VALUES FROM (0) TO (10);
             CREATE TABLE s.own (a int) PARTITION BY RANGE (a); CREATE TABLE s.branch PARTITION OF s.own FOR VALUES FROM (0) TO (10) PARTITION BY LIST (a); CREATE TABLE s.twig PARTITION OF s.branch DEFAULT;
             INSERT INTO o.root VALUES (1), (2); INSERT INTO s.own VALUES (3)",
        );
        let load = |schema: &str| {
            let worker = rig.worker(schema).env("METHOD", method);
            assert_exit(&worker.env("ACCEPT", "outside-children").run(), 0);
        };
        load("o");
        for _ in 0..2 {
            load("s");
            assert_eq!(rig.at_target("SELECT count(*) FROM o.root"), "2", "{method}");
            assert_eq!(rig.at_target("SELECT count(*) FROM s.twig"), "1", "{method}");
        }
    }
}

/// A prepared transaction has no session that could be waited for: what it has written is told when it is committed.
#[test]
fn what_goes_with_its_parent_is_looked_at_too() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE SCHEMA z; CREATE TABLE s.parent (a int);
         DO $$ BEGIN FOR i IN 1..120 LOOP EXECUTE format('CREATE TABLE s.t%s (a int)', i); END LOOP; END $$;
         CREATE TABLE s.child () INHERITS (s.parent); CREATE TABLE z.child () INHERITS (s.parent)",
    );
    let gid = &rig.database;
    let worker = rig.worker("s,z");
    for child in ["s.child", "z.child"] {
        assert_exit(&worker.clone().env("ON_EXISTING", "replace").run(), 0);
        rig.at_target(&format!(
            "BEGIN; INSERT INTO {child} VALUES (1); PREPARE TRANSACTION '{gid}'"
        ));
        let running = worker.spawn();
        // Who waits for the lock has looked before.
        let waits =
            format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{child}'::regclass");
        let until = Instant::now() + Duration::from_secs(5);
        while rig.at_target(&waits) == "0" && Instant::now() < until {}
        rig.at_target(&format!("COMMIT PREPARED '{gid}'"));
        let output = running.wait();
        assert_exit(&output, 73);
        let reason = text(output.last(), "reason");
        assert!(reason.contains("rows of child were written"), "{reason}");
        assert_eq!(rig.at_target(&format!("SELECT count(*) FROM {child}")), "1");
    }
}

#[test]
fn two_workers_never_load_one_schema() {
    let rig = Rig::new(crate::slow::SLOW_ROWS);
    let first = rig.worker("s").spawn();
    crate::slow::wait_for_phase(&first, "lock");
    let output = rig.worker("s").run();
    assert_exit(&output, 75);
    let reason = text(output.last(), "reason");
    assert!(
        reason.contains("another worker holds schema \"s\": pid"),
        "{reason}"
    );
    assert!(reason.contains("/lock"), "the holder is named: {reason}");
    drop(first);
}

#[test]
fn a_worker_waits_for_another_as_long_as_it_may() {
    let rig = Rig::new(SCHEMA);
    let first = rig.worker("s").spawn();
    crate::slow::wait_for_phase(&first, "lock");
    let second = rig.worker("s").env("WAIT_TIMEOUT", "1m").run();
    assert_exit(&first.wait(), 0);
    assert_exit(&second, 0);
}

#[test]
fn several_schemas_of_one_unit_are_complete_together_or_not_at_all() {
    let rig = Rig::new(
        "CREATE SCHEMA a; CREATE TABLE a.t (id int PRIMARY KEY); INSERT INTO a.t VALUES (1);
         CREATE SCHEMA b; CREATE TABLE b.t (id int REFERENCES a.t); INSERT INTO b.t VALUES (1)",
    );
    assert_exit(&rig.worker("b").run(), 0);
    assert_eq!(
        rig.at_target("SELECT deferred ->> 0 LIKE '%FOREIGN KEY%' FROM schemaferry.load"),
        "t"
    );
    assert_exit(&rig.worker("b,a").env("RUN_ID", "both").run(), 0);
    let states = "SELECT string_agg(schema_name || ' ' || state, ', ' ORDER BY schema_name) FROM (SELECT * FROM schemaferry.load ORDER BY id DESC LIMIT 2) l";
    assert_eq!(rig.at_target(states), "a complete, b complete");
    assert_eq!(
        rig.at_target(
            "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'b.t'::regclass"
        ),
        "1"
    );
    let again = rig.worker("a,b").env("RUN_ID", "both").run();
    assert_exit(&again, 0);
    assert_eq!(again.last()["already_complete"], true);
}

#[test]
fn five_workers_at_once_do_not_disturb_each_other() {
    let rig = Rig::new("");
    let names = ["one", "two", "three", "four", "five"];
    for name in names {
        rig.at_source(
            &SCHEMA
                .replace("s.", &format!("{name}."))
                .replace("SCHEMA s", &format!("SCHEMA {name}")),
        );
        rig.at_source(&format!("CREATE TABLE {name}.leaves (a int REFERENCES one.t); GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO pg_monitor"));
    }
    for _ in 0..3 {
        let running: Vec<_> = names.iter().map(|name| rig.worker(name).spawn()).collect();
        for worker in running {
            assert_exit(&worker.wait(), 0);
        }
    }
}

#[test]
fn no_load_touches_what_is_sealed() {
    let rig = Rig::new(SCHEMA);
    rig.at_source("CREATE SCHEMA other; CREATE TABLE other.t (a int)");
    let worker = rig.worker("s").env("RUN_ID", "live");
    let run = |arguments: &[&str], schema: &str| {
        let sealing = rig
            .worker(schema)
            .without("SOURCE_HOST")
            .env("SCHEMA_NAME", schema);
        arguments
            .iter()
            .fold(sealing, |sealing, argument| sealing.arg(*argument))
            .run()
    };
    let refusal = |output: &testbed::Output, words: &str| {
        assert_exit(output, 73);
        let reason = text(output.last(), "reason");
        assert!(reason.contains(words), "{words:?} is not in {reason}");
    };
    refusal(
        &run(&["seal"], "s"),
        "schema \"s\" was not made by a load of ours",
    );
    assert_exit(&worker.run(), 0);
    // Neither its own variables nor the other's error keep what can be sealed from being sealed.
    refusal(&run(&["seal"], "other,s"), "schema \"other\" was not made");
    for on_existing in ["own", "fail", "replace"] {
        let next = worker
            .clone()
            .env("RUN_ID", "rehearsal")
            .env("ON_EXISTING", on_existing);
        refusal(&next.run(), "schema \"s\" is sealed");
        refusal(&next.arg("check").run(), "schema \"s\" is sealed");
    }
    rig.at_target("INSERT INTO s.t (id, v) VALUES (99, 'production')");
    let again = worker.run();
    assert_exit(&again, 0);
    assert_eq!(again.last()["already_complete"], true, "the run that made it");
    assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "3");

    // A database that was upgraded, or whose schema was dropped by mistake, stays sealed.
    rig.at_target("ALTER SCHEMA s RENAME TO elsewhere");
    let replace = worker
        .clone()
        .env("RUN_ID", "rehearsal")
        .env("ON_EXISTING", "replace");
    refusal(&replace.run(), "schema \"s\" is sealed");
    rig.at_target("ALTER SCHEMA elsewhere RENAME TO s");

    assert_exit(&rig.worker("other").run(), 0);
    assert_exit(&run(&["seal", "--undo"], "s"), 0);
    refusal(
        &worker.clone().env("RUN_ID", "rehearsal").run(),
        "rows of t were written",
    );
    assert_exit(&replace.run(), 0);
    assert_exit(&run(&["seal", "--all"], ""), 0);
    for schema in ["s", "other"] {
        refusal(&rig.worker(schema).run(), "is sealed");
    }
    rig.at_target("UPDATE schemaferry.load SET state = 'loading' WHERE schema_name = 'other'");
    refusal(
        &run(&["seal", "--all"], ""),
        "the last load of schema \"other\" did not complete",
    );
    assert_exit(&run(&["seal", "--all", "--undo"], ""), 0);
    assert_eq!(
        rig.at_target(
            "SELECT string_agg(DISTINCT state, ',') FROM schemaferry.load WHERE schema_name = 'other'"
        ),
        "loading",
        "what is not sealed stays as it is"
    );
}

#[test]
fn schemas_that_hang_on_each_other_are_replaced_together() {
    let rig = Rig::new(
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE DOMAIN a.d AS int; CREATE TABLE a.t (id int PRIMARY KEY);
         CREATE FUNCTION b.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TABLE b.u (id int REFERENCES a.t, v a.d);
         CREATE TRIGGER tr AFTER INSERT ON a.t FOR EACH ROW EXECUTE FUNCTION b.f(); CREATE MATERIALIZED VIEW b.m AS SELECT count(*) FROM a.t",
    );
    for method in METHODS {
        let worker = rig.worker("a,b").env("METHOD", method);
        assert_exit(&worker.run(), 0);
        assert_exit(&worker.run(), 0);
    }
    // What was done to one of them protects both.
    rig.at_target("ALTER TABLE b.u ADD mine int");
    let output = rig.worker("a,b").run();
    assert_exit(&output, 73);
    assert!(
        text(output.last(), "reason").contains("\"b\".\"u\" was altered"),
        "{}",
        output.last()
    );
    let stands = "SELECT count(*) FROM pg_trigger WHERE tgname = 'tr'";
    assert_eq!(rig.at_target(stands), "1");
    rig.at_target("ALTER TABLE b.u DROP mine");
    assert_exit(&rig.worker("a,b").env("ON_EXISTING", "replace").run(), 0);
}

#[test]
fn a_sealed_schema_is_known_under_another_name() {
    let rig = Rig::new(SCHEMA);
    assert_exit(&rig.worker("s").run(), 0);
    assert_exit(&rig.worker("s").arg("seal").run(), 0);
    rig.at_target("ALTER SCHEMA s RENAME TO elsewhere");
    rig.at_source("CREATE SCHEMA elsewhere");
    let output = rig.worker("elsewhere").env("ON_EXISTING", "replace").run();
    assert_exit(&output, 73);
    let reason = text(output.last(), "reason");
    assert!(reason.contains("is \"s\", which was sealed"), "{reason}");
}
