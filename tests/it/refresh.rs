//! Only what has changed travels, and afterwards the target holds what the source held: whatever hangs on the tables, whoever has
//! written, wherever a run was cut off.

use std::time::Instant;

use serde_json::Value;
use testbed::cluster::{PASSWORD, SUPERUSER};
use testbed::proxy::Line;
use testbed::{Cluster, Output, Proxy, Psql, Server, warehouse, work};

use crate::cut::Cut;
use crate::rig::{GRID, Rig, assert_exit, text};
use crate::slow::PATIENCE;

/// Tables with everything that can hang on them. None of it fires while rows come.
pub(crate) const SCHEMA: &str = "
    CREATE SCHEMA s;
    CREATE FUNCTION s.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log.fired VALUES (TG_TABLE_NAME); RETURN NEW; END';
    CREATE TABLE s.region (k int PRIMARY KEY, v text UNIQUE);
    CREATE TABLE s.customer (k int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, region int REFERENCES s.region, v text, twice text GENERATED ALWAYS AS (v || v) STORED);
    CREATE TABLE s.sale (k bigserial PRIMARY KEY, customer int NOT NULL REFERENCES s.customer, amount numeric(10, 2), note text);
    CREATE INDEX sale_customer ON s.sale (customer); CREATE INDEX sale_note ON s.sale (note) WHERE amount > 5;
    COMMENT ON INDEX s.sale_customer IS 'by customer'; COMMENT ON CONSTRAINT sale_pkey ON s.sale IS 'key';
    COMMENT ON CONSTRAINT sale_customer_fkey ON s.sale IS 'who';
    ALTER TABLE s.sale CLUSTER ON sale_customer; ALTER INDEX s.sale_note SET (fillfactor = 70);
    CREATE TABLE s.tree (k int PRIMARY KEY, parent int REFERENCES s.tree DEFERRABLE);
    CREATE TABLE s.left_one (k int PRIMARY KEY, other int); CREATE TABLE s.right_one (k int PRIMARY KEY, other int REFERENCES s.left_one);
    ALTER TABLE s.left_one ADD FOREIGN KEY (other) REFERENCES s.right_one DEFERRABLE INITIALLY DEFERRED;
    CREATE TABLE s.parent (k int, v text); CREATE TABLE s.child (w int) INHERITS (s.parent); CREATE INDEX ON s.child (w);
    CREATE TABLE s.event (k int, at date, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
    CREATE TABLE s.event_1 PARTITION OF s.event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    CREATE TABLE s.event_2 PARTITION OF s.event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE INDEX event_at ON s.event (at); CREATE INDEX event_1_own ON s.event_1 (k);
    CREATE TABLE s.seen (k int, at date, FOREIGN KEY (k, at) REFERENCES s.event);
    CREATE TABLE s.small (k int PRIMARY KEY); CREATE TABLE s.nothing (); CREATE TABLE s.empty (k int UNIQUE);
    CREATE TABLE s.document (k int PRIMARY KEY, body text); ALTER TABLE s.document REPLICA IDENTITY FULL;
    CREATE TABLE s.secret (k int PRIMARY KEY, who text); ALTER TABLE s.secret ENABLE ROW LEVEL SECURITY; ALTER TABLE s.secret FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON s.secret USING (who = current_user);
    CREATE TABLE s.fired (k int PRIMARY KEY, v text); CREATE TABLE s.ruled (k int);
    CREATE TRIGGER a_normal BEFORE INSERT ON s.fired FOR EACH ROW EXECUTE FUNCTION s.fire();
    CREATE TRIGGER b_always BEFORE INSERT ON s.fired FOR EACH ROW EXECUTE FUNCTION s.fire(); ALTER TABLE s.fired ENABLE ALWAYS TRIGGER b_always;
    CREATE TRIGGER c_replica BEFORE INSERT ON s.fired FOR EACH ROW EXECUTE FUNCTION s.fire(); ALTER TABLE s.fired ENABLE REPLICA TRIGGER c_replica;
    CREATE TRIGGER d_off BEFORE INSERT ON s.fired FOR EACH ROW EXECUTE FUNCTION s.fire(); ALTER TABLE s.fired DISABLE TRIGGER d_off;
    CREATE TRIGGER of_events AFTER INSERT ON s.event FOR EACH ROW EXECUTE FUNCTION s.fire();
    ALTER TABLE s.event_1 ENABLE ALWAYS TRIGGER of_events; CREATE CONSTRAINT TRIGGER late AFTER INSERT ON s.event_2 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION s.fire();
    CREATE RULE quiet AS ON INSERT TO s.ruled DO ALSO NOTHING; CREATE TYPE s.span AS RANGE (subtype = int4);
    CREATE VIEW s.by_customer AS SELECT c.k, c.v, sum(a.amount) FROM s.customer c JOIN s.sale a ON a.customer = c.k GROUP BY c.k;
    CREATE MATERIALIZED VIEW s.totals AS SELECT k, sum FROM s.by_customer; CREATE UNIQUE INDEX ON s.totals (k);
    CREATE MATERIALIZED VIEW s.never AS SELECT 1 AS a WITH NO DATA;
    CREATE STATISTICS s.both ON customer, note FROM s.sale;
    INSERT INTO s.region SELECT i, 'region ' || i FROM generate_series(1, 9) i;
    INSERT INTO s.customer (region, v) SELECT i % 9 + 1, 'customer ' || i FROM generate_series(1, 500) i;
    INSERT INTO s.sale (customer, amount, note) SELECT i % 500 + 1, i % 40, 'note ' || i FROM generate_series(1, 20000) i;
    INSERT INTO s.tree SELECT i, nullif(i / 2, 0) FROM generate_series(1, 100) i;
    BEGIN; INSERT INTO s.left_one SELECT i, i FROM generate_series(1, 100) i; INSERT INTO s.right_one SELECT i, i FROM generate_series(1, 100) i; COMMIT;
    INSERT INTO s.parent VALUES (1, 'p'); INSERT INTO s.child VALUES (2, 'c', 3);
    INSERT INTO s.event SELECT i, '2025-06-01'::date + i FROM generate_series(1, 400) i;
    INSERT INTO s.seen SELECT k, at FROM s.event WHERE k % 2 = 0;
    INSERT INTO s.small SELECT generate_series(1, 9); INSERT INTO s.nothing SELECT FROM generate_series(1, 3);
    INSERT INTO s.document SELECT i, repeat(md5(i::text), 400) FROM generate_series(1, 300) i;
    INSERT INTO s.secret VALUES (1, 'postgres'), (2, 'refresh_owner'); INSERT INTO s.fired SELECT i, 'f' FROM generate_series(1, 100) i; INSERT INTO s.ruled VALUES (1);
    REFRESH MATERIALIZED VIEW s.totals; TRUNCATE log.fired;
    ALTER TABLE s.sale OWNER TO refresh_owner; ALTER TABLE s.secret OWNER TO refresh_owner; ALTER VIEW s.by_customer OWNER TO refresh_owner;
    ALTER MATERIALIZED VIEW s.totals OWNER TO refresh_owner; GRANT USAGE, CREATE ON SCHEMA s TO refresh_owner;
    GRANT SELECT ON s.customer TO refresh_owner; GRANT SELECT ON s.sale, s.region TO refresh_reader;";

/// What both sides have of their own.
pub(crate) const BESIDE: &str = "
    DO $$BEGIN CREATE ROLE refresh_owner; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$;
    DO $$BEGIN CREATE ROLE refresh_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$;
    CREATE SCHEMA log; CREATE TABLE log.fired (t text);";

/// What is done between two moves, and what becomes of which table.
const WEEKS: &[(&str, &[(&str, &str)])] = &[
    ("SELECT 1", &[]),
    (
        "INSERT INTO s.region VALUES (10, 'new'); INSERT INTO s.customer (region, v) VALUES (10, 'new');
         INSERT INTO s.sale (customer, amount, note) SELECT max(k), 3, 'new' FROM s.customer, generate_series(1, 50);
         INSERT INTO s.tree VALUES (101, 102), (102, 1); INSERT INTO s.fired VALUES (200, 'g'); INSERT INTO s.secret VALUES (3, 'x');
         INSERT INTO s.event VALUES (900, '2026-05-05'); INSERT INTO s.parent VALUES (9, 'q'); INSERT INTO s.nothing DEFAULT VALUES;
         INSERT INTO s.empty VALUES (1)",
        &[
            ("region", "appended to"),
            ("customer", "appended to"),
            ("sale", "appended to"),
            ("tree", "appended to"),
            ("fired", "appended to"),
            ("secret", "appended to"),
            ("event_2", "appended to"),
            ("parent", "appended to"),
            ("nothing", "appended to"),
            ("empty", "appended to"),
        ],
    ),
    // More than a fiftieth, and more than half.
    (
        "INSERT INTO s.sale (customer, amount) SELECT 1, 1 FROM generate_series(1, 9000)",
        &[("sale", "appended to")],
    ),
    (
        "INSERT INTO s.sale (customer, amount) SELECT 1, 1 FROM generate_series(1, 40000);
         BEGIN; INSERT INTO s.left_one VALUES (102, 102); INSERT INTO s.right_one VALUES (102, 102); COMMIT",
        &[
            ("sale", "appended to"),
            ("left_one", "appended to"),
            ("right_one", "appended to"),
        ],
    ),
    (
        "UPDATE s.sale SET note = 'other' WHERE k = 5; DELETE FROM s.seen; DELETE FROM s.event_1 WHERE k = 3;
         BEGIN; UPDATE s.left_one SET other = 1; INSERT INTO s.left_one VALUES (101, 101); INSERT INTO s.right_one VALUES (101, 101); COMMIT",
        &[
            ("sale", "loaded again"),
            ("seen", "loaded again"),
            ("event_1", "loaded again"),
            ("left_one", "loaded again"),
            ("right_one", "appended to"),
        ],
    ),
    (
        "UPDATE s.region SET v = 'renamed' WHERE k = 2; UPDATE s.customer SET v = 'renamed' WHERE k = 3; UPDATE s.ruled SET k = 2;
         UPDATE s.fired SET v = 'h' WHERE k = 1; DELETE FROM s.secret WHERE k = 1; UPDATE s.child SET w = 4;
         UPDATE s.tree SET parent = 1 WHERE k = 77; DELETE FROM s.small; UPDATE s.document SET body = body || '!' WHERE k = 9",
        &[
            ("region", "loaded again"),
            ("customer", "loaded again"),
            ("ruled", "loaded again"),
            ("fired", "loaded again"),
            ("secret", "loaded again"),
            ("child", "loaded again"),
            ("tree", "loaded again"),
            ("small", "loaded again"),
            ("document", "loaded again"),
        ],
    ),
    // Neither moves a row.
    (
        "SELECT nextval('s.sale_k_seq'); GRANT SELECT ON s.small TO refresh_reader; REVOKE SELECT ON s.region FROM refresh_reader;
         VACUUM FULL s.sale; VACUUM (FREEZE) s.customer; CLUSTER s.sale",
        &[],
    ),
];

/// Tables with what was done with them.
pub(crate) fn actions(output: &Output) -> Vec<(&str, &str)> {
    let records = output.records.iter();
    let compared = records.filter(|record| text(record, "msg") == "table compared");
    let mut actions: Vec<(&str, &str)> = compared
        .map(|record| {
            (
                text(record, "table").trim_start_matches("s."),
                text(record, "action"),
            )
        })
        .collect();
    actions.sort_unstable();
    actions
}

/// What a run that keeps something has told in its last record.
pub(crate) fn refreshed(output: &Output) -> &Value {
    &output.last()["refreshed"]
}

pub(crate) fn assert_same(rig: &Rig, when: &str) {
    rig.at_source("REFRESH MATERIALIZED VIEW s.totals");
    let contents = |cluster| warehouse::contents(cluster, &rig.database, "s");
    assert_eq!(contents(rig.source), contents(rig.target), "{when}");
}

#[test]
fn week_after_week_only_what_has_changed_travels() {
    for (_, make) in GRID.into_iter().filter(|(method, _)| *method == "copy") {
        let rig = make(BESIDE);
        rig.at_source(SCHEMA);
        rig.at_target(BESIDE);
        let worker = rig.worker("s");
        assert_exit(&worker.run(), 0);
        let refresh = worker.clone().arg("refresh").env("REFRESH", "only");
        for (done, expected) in WEEKS {
            rig.at_source(done);
            let files = "SELECT relname, relfilenode FROM pg_class WHERE relnamespace = 's'::regnamespace AND relkind = 'r' ORDER BY 1";
            let before = rig.at_target(files);
            let output = refresh.run();
            assert_exit(&output, 0);
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(actions(&output), expected, "{done}");
            let after = rig.at_target(files);
            for (before, after) in before
                .lines()
                .zip(after.lines())
                .filter(|(before, after)| before != after)
            {
                let loaded_again = |(table, action): &(&str, &str)| {
                    *action == "loaded again" && before.starts_with(&format!("{table}|"))
                };
                assert!(expected.iter().any(loaded_again), "{done}: {before}, {after}");
            }
            assert_same(&rig, done);
            assert_eq!(rig.at_target("SELECT count(*) FROM log.fired"), "0", "{done}");
            assert_eq!(refreshed(&output)["interrupted"], false);
        }
        assert_exit(&worker.clone().arg("verify").env("VERIFY", "hash").run(), 0);
        assert_exit(&worker.arg("drift").run(), 0);
    }
}

/// Words of a session on the target at whose sending a refresh is killed, in the order in which they come.
const CUTS: &[(&str, &str)] = &[
    ("INSERT INTO schemaferry.load", "/work"),
    ("UPDATE schemaferry.load SET baseline", "/work"),
    (r#"OWNER TO "postgres""#, "/work"),
    (r#"DROP CONSTRAINT "sale"#, "/work"),
    (r#"DROP INDEX "s""#, "/work"),
    ("TRUNCATE ONLY", "/work"),
    ("INSERT INTO schemaferry.landed", "/copy"),
    (r#"COPY "s"."sale""#, "/copy"),
    (r#"COPY "s"."big""#, "/copy"),
    ("-- Fails with a division by zero", "/copy"),
    ("CREATE INDEX", "/build"),
    ("ADD CONSTRAINT", "/build"),
    ("NOT VALID", "/build"),
    ("VALIDATE CONSTRAINT", "/build"),
    ("REFRESH MATERIALIZED VIEW", "/build"),
    (" CLUSTER ON ", "/build"),
    ("COMMENT ON INDEX", "/build"),
    ("pg_catalog.setval", "/work"),
    ("ENABLE REPLICA TRIGGER", "/work"),
    (r#"OWNER TO "refresh_owner""#, "/work"),
    (r#""secret" FORCE ROW LEVEL SECURITY"#, "/work"),
    ("UPDATE schemaferry.load SET state = 'complete'", "/lock"),
];

/// Attempts that are cut off follow on each other in so many rows.
const CHAINS: usize = 5;

/// Of every kind a little, and one table that is loaded in several pieces. `{n}` is another number each time.
pub(crate) const MUCH: &str = "
    UPDATE s.region SET v = 'renamed {n}' WHERE k = 1; INSERT INTO s.customer (region, v) VALUES (1, 'customer {n}');
    UPDATE s.sale SET note = '{n}' WHERE k = {n}; INSERT INTO s.sale (customer, amount) SELECT 1 + {n} % 7, 1 FROM generate_series(1, 300);
    UPDATE s.big SET k = k WHERE k = {n}; UPDATE s.child SET w = {n}; INSERT INTO s.parent VALUES ({n}, 'q');
    INSERT INTO s.fired VALUES (1000 + {n}, 'g'); UPDATE s.ruled SET k = {n}; UPDATE s.secret SET who = '{n}';
    UPDATE s.event SET at = at WHERE k = 17; INSERT INTO s.seen VALUES (17, (SELECT at FROM s.event WHERE k = 17));
    DELETE FROM s.small; INSERT INTO s.small VALUES ({n}); INSERT INTO s.document VALUES (1000 + {n}, 'new')";

#[test]
fn wherever_a_refresh_is_cut_off_the_next_one_ends_it() {
    let rig = Rig::new(BESIDE);
    rig.at_source(SCHEMA);
    rig.at_source(
        "CREATE TABLE s.big (k int, v text); ALTER TABLE s.big ALTER v SET STORAGE EXTERNAL;
         INSERT INTO s.big SELECT i, repeat(md5(i::text), 250) FROM generate_series(1, 9000) i; CREATE INDEX ON s.big (k)",
    );
    rig.at_target(BESIDE);
    let cut = Cut::of(&rig);
    let worker = rig.worker("s").env("SPLIT", "always");
    let refresh = worker.clone().arg("refresh").env("REFRESH", "only");
    assert_exit(&worker.run(), 0);
    let mut number = 0;
    let mut write = || {
        number += 1;
        rig.at_source(&MUCH.replace("{n}", &number.to_string()));
    };
    for first in 0..CHAINS {
        // Somebody goes on writing, and each attempt is cut off later than the one before.
        for place in CUTS.iter().skip(first).step_by(CHAINS) {
            write();
            cut.off(&refresh, *place, 0);
        }
        let output = refresh.run();
        assert_exit(&output, 0);
        assert_eq!(refreshed(&output)["interrupted"], true);
        if (CUTS.len() - 1) % CHAINS == first {
            // All of it had landed.
            assert_eq!(actions(&output), []);
        }
        assert_same(&rig, &format!("chain {first}"));
        assert_exit(&worker.clone().arg("verify").run(), 0);
        assert_eq!(rig.at_target("SELECT count(*) FROM log.fired"), "0");
    }
    // A load makes all of it again.
    write();
    cut.off(&refresh, ("VALIDATE CONSTRAINT", "/build"), 0);
    assert_exit(&worker.run(), 0);
    assert_same(&rig, "a load");
    assert_exit(&refresh.run(), 0);
}

const TABLE: &str = "CREATE SCHEMA s; CREATE TABLE s.t (k int PRIMARY KEY, v text); INSERT INTO s.t SELECT i, 'v' FROM generate_series(1, 100) i;
    CREATE TABLE s.still AS SELECT generate_series(1, 9) AS k;";

/// After which everything is loaded: what is done on the source and on the target since the load, and the reason.
const WHOLE: &[(&str, &str, &str)] = &[
    (
        "ALTER TABLE s.t ADD w int",
        "",
        "definition of TABLE s t was changed",
    ),
    (
        "CREATE TABLE s.more AS SELECT 1 AS a",
        "",
        "definition of TABLE s more was added",
    ),
    (
        "DROP TABLE s.still",
        "",
        "definition of TABLE s still was dropped",
    ),
    ("COMMENT ON TABLE s.t IS 'seen'", "", "definition of COMMENT"),
    (
        "",
        "UPDATE schemaferry.load SET baseline = NULL",
        "earlier release",
    ),
    (
        "",
        "UPDATE schemaferry.load SET baseline = baseline #- '{known,loads}'",
        "earlier release",
    ),
    (
        "",
        "DELETE FROM schemaferry.landed WHERE rows = 100",
        "not known any more",
    ),
    (
        "",
        "UPDATE schemaferry.load SET state = 'loading', baseline = NULL",
        "did not complete",
    ),
    (
        "",
        "UPDATE schemaferry.load SET state = 'clearing'",
        "did not complete",
    ),
    (
        "",
        "UPDATE schemaferry.load SET variables = variables || '{\"SCHEMA_NAME\": [\"s\", \"x\"]}'",
        "not moved together",
    ),
    ("", "DROP SCHEMA s CASCADE", "no longer the one that was loaded"),
];

fn assert_same_tables(rig: &Rig, when: &str) {
    let contents = |cluster: &Cluster| warehouse::contents(cluster, &rig.database, "s");
    assert_eq!(contents(rig.source), contents(rig.target), "{when}");
}

/// A tree whose rows can only be given to its root, because a hash over an enum sends them elsewhere on every server; something fires on
/// each of its levels.
const TREE: &str = "CREATE SCHEMA s; CREATE TABLE s.still AS SELECT generate_series(1, 9) AS k;
    CREATE TYPE s.m AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    CREATE TABLE s.hashed (m s.m, at int, k int, PRIMARY KEY (m, at, k)) PARTITION BY HASH (m);
    CREATE TABLE s.h0 PARTITION OF s.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0) PARTITION BY RANGE (at);
    CREATE TABLE s.h0_1 PARTITION OF s.h0 FOR VALUES FROM (0) TO (5); CREATE TABLE s.h0_2 PARTITION OF s.h0 FOR VALUES FROM (5) TO (10);
    CREATE TABLE s.h1 PARTITION OF s.hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1); CREATE INDEX ON s.h1 (k);
    INSERT INTO s.hashed SELECT (enum_range(NULL::s.m))[1 + i % 8], i % 10, i FROM generate_series(1, 1000) i;
    CREATE FUNCTION s.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log.fired VALUES (TG_TABLE_NAME); RETURN NULL; END';
    CREATE TRIGGER of_rows AFTER INSERT ON s.hashed FOR EACH ROW EXECUTE FUNCTION s.fire();
    CREATE TRIGGER of_all AFTER INSERT ON s.hashed EXECUTE FUNCTION s.fire(); ALTER TABLE ONLY s.hashed ENABLE ALWAYS TRIGGER of_all;
    CREATE TRIGGER of_part AFTER INSERT ON s.h0 EXECUTE FUNCTION s.fire(); ALTER TABLE ONLY s.h0 DISABLE TRIGGER of_part;
    CREATE TRIGGER of_leaf AFTER INSERT ON s.h1 EXECUTE FUNCTION s.fire(); ALTER TABLE ONLY s.h1 ENABLE REPLICA TRIGGER of_leaf;";

#[test]
fn leaves_whose_rows_are_given_to_their_root_are_refreshed_together() {
    const LEAVES: [&str; 3] = ["h0_1", "h0_2", "h1"];
    let all = |action| LEAVES.map(|leaf| (leaf, action)).to_vec();
    let rig = Rig::to_newest(BESIDE);
    rig.at_source(TREE);
    rig.at_target(BESIDE);
    let worker = rig.worker("s");
    let refresh = worker.clone().arg("refresh").env("REFRESH", "only");
    assert_exit(&worker.run(), 0);
    let fires =
        "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1, 2";
    let holds = |output: &Output, expected: &[(&str, &str)], when: &str| {
        assert_exit(output, 0);
        assert_eq!(actions(output), expected, "{when}");
        assert_same_tables(&rig, when);
        assert_eq!(rig.at_source(fires), rig.at_target(fires), "{when}");
        assert_eq!(rig.at_target("SELECT count(*) FROM log.fired"), "0", "{when}");
    };
    for (done, expected) in [
        ("INSERT INTO s.still VALUES (10)", vec![("still", "appended to")]),
        (
            "INSERT INTO s.hashed SELECT 'a', 7, i FROM generate_series(2000, 2009) i",
            all("appended to"),
        ),
        ("DELETE FROM s.hashed WHERE k = 2001", all("loaded again")),
        ("SELECT 1", Vec::new()),
        ("DELETE FROM s.hashed", all("loaded again")),
        (
            "INSERT INTO s.hashed SELECT (enum_range(NULL::s.m))[1 + i % 8], i % 10, i FROM generate_series(1, 1000) i",
            all("appended to"),
        ),
    ] {
        rig.at_source(done);
        holds(&refresh.run(), &expected, done);
    }
    // Rows of others in one of its leaves.
    let mine = "INSERT INTO s.hashed VALUES ('b', 1, 5000); SELECT pg_stat_force_next_flush()";
    rig.at_target(&format!("{mine}; TRUNCATE log.fired"));
    assert_exit(&refresh.run(), 73);
    holds(
        &refresh.clone().env("ON_EXISTING", "replace").run(),
        &all("loaded again"),
        mine,
    );
    // Cut off before the rows of one leaf have come, and when those of all have landed.
    let cut = Cut::of(&rig);
    for (words, landed) in [
        ((r#"COPY "s"."hashed""#, "/copy"), 0),
        (("UPDATE schemaferry.load SET state = 'complete'", "/lock"), 1),
    ] {
        rig.at_source("UPDATE s.hashed SET k = -k WHERE k = 500 OR k = -500");
        cut.off(&refresh, words, landed);
        let output = refresh.run();
        let expected = if landed == 0 {
            all("loaded again")
        } else {
            Vec::new()
        };
        holds(&output, &expected, "cut off");
    }
    // A load is, when other leaves have landed than one.
    cut.off(
        &worker.clone().env("JOBS", "2"),
        (r#"COPY "s"."hashed""#, "/copy"),
        2,
    );
    let output = worker.run();
    holds(&output, &all("appended to"), "a load cut off");
    let rows = refreshed(&output)["rows"].as_u64().unwrap();
    assert!((1..1000).contains(&rows), "{}", output.last());
    assert_exit(&worker.clone().arg("verify").env("VERIFY", "hash").run(), 0);
    assert_exit(&worker.clone().arg("drift").run(), 0);
}

/// Rows that fill the gaps of others, and follow behind them: each comes once, and the first are not looked for a second time.
#[test]
fn rows_that_are_added_between_others_are_added_once() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.wide (k int, pad text); ALTER TABLE s.wide ALTER pad SET STORAGE PLAIN, SET (autovacuum_enabled = off);
         INSERT INTO s.wide SELECT i, repeat('w', 7000) FROM generate_series(1, 20000) i; DELETE FROM s.wide WHERE k % 50 = 0; VACUUM s.wide",
    );
    let worker = rig.worker("s").env("SPLIT", "always");
    assert_exit(&worker.run(), 0);
    let refresh = worker.arg("refresh").env("REFRESH", "only");
    let looked_at =
        "SELECT (heap_blks_read + heap_blks_hit) / 20000 FROM pg_statio_user_tables WHERE relname = 'wide'";
    // Into 100 gaps of 400; and into all others, and behind, where several streams read them.
    for (rows, passes) in [(100, 1), (10_000, 2)] {
        rig.at_source(&format!(
            "INSERT INTO s.wide SELECT -i, repeat('n', 7000) FROM generate_series(1, {rows}) i"
        ));
        rig.at_source("SELECT pg_stat_reset()");
        let output = refresh.run();
        assert_exit(&output, 0);
        assert_eq!(actions(&output), [("wide", "appended to")]);
        let until = Instant::now() + PATIENCE;
        let mut looked = 0;
        while looked < passes && Instant::now() < until {
            looked = rig.at_source(looked_at).parse().unwrap();
        }
        assert_eq!(looked, passes, "{rows}");
        assert_same_tables(&rig, "added");
    }
}

/// What a record says why everything is loaded; empty where it is not.
fn why_whole(output: &Output) -> &str {
    let mut records = output.records.iter();
    let record = records.find(|record| text(record, "msg") == "the whole unit is loaded");
    record.map_or("", |record| text(record, "reason"))
}

#[test]
fn what_cannot_be_told_table_by_table_is_loaded_whole_if_that_is_wanted() {
    let rig = Rig::new(TABLE);
    let worker = rig.worker("s");
    let refresh = worker.clone().arg("refresh");
    // There is nothing yet.
    assert_exit(&refresh.clone().env("REFRESH", "only").run(), 73);
    let first = refresh.run();
    assert_exit(&first, 0);
    assert!(why_whole(&first).contains("was not loaded"), "{}", first.stdout);
    for (source, target, reason) in WHOLE {
        rig.at_source(source);
        rig.at_target(target);
        let states =
            "SELECT string_agg(concat_ws(' ', id, state, updated_at), ',' ORDER BY id) FROM schemaferry.load";
        let before = rig.at_target(states);
        let refused = refresh.clone().env("REFRESH", "only").run();
        assert_exit(&refused, 73);
        assert!(
            text(refused.last(), "reason").contains(reason),
            "{source}{target}: {}",
            refused.last()
        );
        assert_eq!(rig.at_target(states), before, "{source}{target}");
        let output = refresh.run();
        assert_exit(&output, 0);
        assert!(
            why_whole(&output).contains(reason),
            "{source}{target}: {}",
            output.stdout
        );
        assert_same_tables(&rig, source);
    }
    let again = refresh.run();
    assert_exit(&again, 0);
    assert_eq!((why_whole(&again), actions(&again)), ("", Vec::new()));
    let pipe = refresh.clone().env("METHOD", "pipe").run();
    assert_exit(&pipe, 0);
    assert!(why_whole(&pipe).contains("METHOD=pipe"));
    // That has noted nothing either.
    let output = refresh.run();
    assert_exit(&output, 0);
    assert!(why_whole(&output).contains("METHOD=pipe"), "{}", output.stdout);
}

#[test]
fn what_somebody_else_has_written_to_the_target_is_told_without_counters() {
    let of_both = "CREATE SCHEMA x; CREATE TYPE x.e AS ENUM ('a', 'b');";
    let rig = Rig::new(&format!(
        "{of_both} {TABLE} CREATE TABLE s.labelled AS SELECT 'a'::x.e AS e"
    ));
    rig.at_target(of_both);
    let worker = rig.worker("s");
    let refresh = worker.clone().arg("refresh").env("REFRESH", "only");
    let replace = refresh.clone().env("ON_EXISTING", "replace");
    assert_exit(&worker.run(), 0);
    for written in [
        "UPDATE s.t SET v = 'mine' WHERE k = 1",
        "DELETE FROM s.t WHERE k = 1; INSERT INTO s.t VALUES (1, 'v')",
        "INSERT INTO s.still VALUES (10)",
        "DELETE FROM s.still WHERE k = 1",
    ] {
        rig.at_target(&format!("{written}; SELECT pg_stat_force_next_flush()"));
        rig.at_target("SELECT pg_stat_reset()");
        let told = worker.clone().arg("drift").run();
        assert_exit(&told, 0);
        let mut changes = told.records.iter().map(|record| text(record, "change"));
        assert!(
            changes.any(|change| change.contains("are not those that were loaded")),
            "{written}: {}",
            told.stdout
        );
        let refused = refresh.run();
        assert_exit(&refused, 73);
        assert!(
            text(refused.last(), "reason").contains("were written"),
            "{written}: {}",
            refused.last()
        );
        let output = replace.run();
        assert_exit(&output, 0);
        assert_eq!(actions(&output).len(), 1, "{written}");
        assert_same_tables(&rig, written);
    }
    // Values that another definition has taken or changed, without a write that any row shows.
    rig.at_target("ALTER TABLE s.t DROP v; ALTER TABLE s.t ADD v text");
    assert_exit(&refresh.run(), 73);
    assert_exit(&worker.run(), 0);
    rig.at_target("ALTER TYPE x.e RENAME VALUE 'a' TO 'z'");
    let refused = refresh.run();
    assert_exit(&refused, 78);
    let reason = text(refused.last(), "reason");
    assert!(
        reason.contains("lacks type x.e as it is on the source"),
        "{reason}"
    );
}

/// To a table that has not changed, and to one that is appended to.
#[test]
fn what_somebody_else_writes_while_it_runs_is_found() {
    let rig = Rig::new(TABLE);
    let worker = rig.worker("s");
    let refresh = worker.clone().arg("refresh").env("REFRESH", "only");
    assert_exit(&worker.run(), 0);
    for (new, written) in [
        (101, "UPDATE s.still SET k = k WHERE k = 1"),
        (102, "INSERT INTO s.t VALUES (999, 'mine')"),
    ] {
        rig.at_source(&format!("INSERT INTO s.t VALUES ({new}, 'new')"));
        let proxy = Proxy::before(rig.target, Line::default());
        proxy.hold_at(b"INSERT INTO schemaferry.landed", "/copy");
        let running = refresh.clone().target_through(&proxy).spawn();
        assert!(proxy.wait_until_said(PATIENCE).is_some());
        // The second follows so soon that the server is not told of it.
        let mut neighbour = Psql::open(rig.target, &rig.database);
        neighbour.run("SELECT 1");
        neighbour.run(written);
        proxy.release();
        let output = running.wait();
        drop(neighbour);
        assert_exit(&output, 65);
        assert!(
            text(output.last(), "reason").contains("somebody else has written"),
            "{}",
            output.last()
        );
        // What is known to differ is not kept.
        assert_exit(&refresh.run(), 73);
        assert_exit(&worker.clone().arg("refresh").run(), 0);
        assert_same_tables(&rig, "written meanwhile");
    }
}

/// Whoever writes when a table was looked at, and has not committed when it is about to be emptied.
#[test]
fn what_is_written_until_a_table_is_emptied_is_not_lost() {
    let rig = Rig::new(TABLE);
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    rig.at_source("UPDATE s.t SET v = 'new' WHERE k = 1");
    let mut neighbour = Psql::open(rig.target, &rig.database);
    neighbour.run("BEGIN; INSERT INTO s.t VALUES (999, 'mine')");
    let refresh = worker.arg("refresh").env("REFRESH", "only");
    // What never gets its locks has begun nothing.
    let output = refresh.clone().env("LOCK_TIMEOUT", "2s").run();
    assert_exit(&output, 75);
    let running = refresh.spawn();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sf/%/work' \
                 AND datname = current_database() AND wait_event_type = 'Lock'";
    rig.wait_for_target(waits, |count| count != "0");
    neighbour.run("COMMIT");
    let output = running.wait();
    assert_exit(&output, 73);
    let reason = text(output.last(), "reason");
    assert!(reason.contains("rows of \"s\".\"t\" were written"), "{reason}");
    // Nor does the next one take it.
    assert_exit(&refresh.run(), 73);
    assert_eq!(rig.at_target("SELECT v FROM s.t WHERE k = 999"), "mine");
}

/// What is appended to is not scanned again either, unless somebody has written to it between the look and the comparison.
#[test]
fn what_has_not_moved_is_scanned_once() {
    let rig = Rig::new(TABLE);
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    let scans = || {
        ["still", "t"].map(|table| {
            let asked = format!("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = '{table}'");
            rig.at_target(&asked).parse::<u32>().unwrap()
        })
    };
    rig.at_source("INSERT INTO s.t VALUES (101, 'new')");
    let before = scans();
    let output = worker.arg("refresh").env("REFRESH", "only").run();
    assert_exit(&output, 0);
    assert_eq!(actions(&output), [("t", "appended to")]);
    assert_eq!(scans(), before.map(|count| count + 1));
    assert_same_tables(&rig, "scanned once");
}

#[test]
fn what_is_written_after_the_look_is_counted_although_counters_were_lost() {
    let rig = Rig::new(TABLE);
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    rig.at_source("UPDATE s.t SET v = 'new' WHERE k = 1");
    rig.at_target("SELECT pg_stat_reset()");
    let proxy = Proxy::before(rig.target, Line::default());
    proxy.hold_at(b"BEGIN; SET LOCAL synchronous_commit = on", "/work");
    let refresh = worker.arg("refresh").env("REFRESH", "only");
    let running = refresh.clone().target_through(&proxy).spawn();
    assert!(proxy.wait_until_said(PATIENCE).is_some());
    rig.at_target("INSERT INTO s.t VALUES (999, 'mine'); SELECT pg_stat_force_next_flush()");
    proxy.release();
    let output = running.wait();
    assert_exit(&output, 73);
    let reason = text(output.last(), "reason");
    assert!(reason.contains("rows of \"s\".\"t\" were written"), "{reason}");
    assert_eq!(rig.at_target("SELECT v FROM s.t WHERE k = 999"), "mine");
}

/// Constraints that are not validated, and do not allow what is there.
const NOT_VALID: &str = r#"
    CREATE SCHEMA s; CREATE TABLE s.t (k int); INSERT INTO s.t VALUES (-1), (2); ALTER TABLE s.t ADD CONSTRAINT "an ""odd"" one" CHECK (k > 0) NOT VALID;
    COMMENT ON CONSTRAINT "an ""odd"" one" ON s.t IS 'odd'; CREATE TABLE s.u (k int);
    CREATE DOMAIN s.d AS int; CREATE TABLE s.of_domain (k s.d); INSERT INTO s.of_domain VALUES (-1), (2); ALTER DOMAIN s.d ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID;
    CREATE TABLE s.parent (k int); CREATE TABLE s.child () INHERITS (s.parent); INSERT INTO s.child VALUES (-1), (2); ALTER TABLE s.parent ADD CHECK (k > 0) NOT VALID;
    CREATE TABLE s.part (k int) PARTITION BY RANGE (k); CREATE TABLE s.part_1 PARTITION OF s.part FOR VALUES FROM (-10) TO (10); INSERT INTO s.part VALUES (-1), (2);
    CREATE TABLE s.own (k int, CONSTRAINT low CHECK (k < 5)) INHERITS (s.parent); INSERT INTO s.own VALUES (2); ALTER TABLE s.parent ADD CONSTRAINT low CHECK (k < 5) NOT VALID;
    ALTER TABLE s.part ADD CHECK (k > 0) NOT VALID; CREATE TABLE s.nulls (k int); INSERT INTO s.nulls VALUES (NULL), (2);"#;

#[test]
fn rows_that_no_constraint_would_allow_again_come_again_under_any_run_id() {
    for rig in Rig::of_both_majors() {
        rig.at_source(NOT_VALID);
        // Before 18 there is no such constraint.
        rig.at_source(
            "DO $$BEGIN IF current_setting('server_version_num')::int >= 180000 THEN EXECUTE 'ALTER TABLE s.nulls ADD CONSTRAINT given NOT NULL k NOT VALID'; END IF; END$$",
        );
        let worker = rig.worker("s").env("RUN_ID", "one");
        assert_exit(&worker.run(), 0);
        rig.at_source("INSERT INTO s.u VALUES (1)");
        let refresh = worker.clone().arg("refresh").env("REFRESH", "only");
        let output = refresh.run();
        assert_exit(&output, 0);
        assert_eq!(actions(&output), [("u", "appended to")]);
        for _ in 0..2 {
            rig.at_source(
                "UPDATE s.t SET k = k WHERE k = 2; UPDATE s.of_domain SET k = k WHERE k = 2; UPDATE s.child SET k = k WHERE k = 2;
                 UPDATE s.own SET k = k WHERE k = 2; UPDATE s.part SET k = k WHERE k = 2; UPDATE s.nulls SET k = k WHERE k = 2",
            );
            let output = refresh.run();
            assert_exit(&output, 0);
            assert_eq!(actions(&output).len(), 6, "{}", output.stdout);
            let contents = |cluster| warehouse::contents(cluster, &rig.database, "s");
            assert_eq!(contents(rig.source), contents(rig.target));
            assert_exit(&worker.clone().arg("verify").run(), 0);
        }
    }
}

#[test]
fn values_that_name_objects_are_read_again() {
    let rig = Rig::new(
        "CREATE SCHEMA x; CREATE TABLE x.a (k int); CREATE DOMAIN x.d AS regclass[]; CREATE SCHEMA s; CREATE ROLE refresh_named;
         CREATE TABLE s.granted AS SELECT 'refresh_named=r/postgres'::aclitem AS r; CREATE TABLE s.named AS SELECT 'x.a'::regclass AS r; CREATE TABLE s.deep AS SELECT '{x.a}'::x.d AS r; CREATE TABLE s.other AS SELECT 1 AS k",
    );
    rig.at_target(
        "CREATE SCHEMA x; CREATE TABLE x.a (k int); CREATE DOMAIN x.d AS regclass[]; CREATE ROLE refresh_named",
    );
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    rig.at_source("ALTER TABLE x.a RENAME TO b; ALTER ROLE refresh_named RENAME TO refresh_renamed");
    rig.at_target("DROP TABLE x.a; CREATE TABLE x.b (k int); CREATE ROLE refresh_renamed");
    let output = worker.arg("refresh").env("REFRESH", "only").run();
    assert_exit(&output, 0);
    assert_eq!(
        actions(&output),
        ["deep", "granted", "named"].map(|table| (table, "loaded again"))
    );
    assert_eq!(
        rig.at_target("SELECT n.r, d.r, g.r FROM s.named n, s.deep d, s.granted g"),
        "x.b|{x.b}|refresh_renamed=r/postgres"
    );
}

#[test]
fn foreign_keys_of_finalize_are_deferred_again_where_they_are_in_the_way() {
    let rig = Rig::new(
        "CREATE SCHEMA a; CREATE TABLE a.p (k int PRIMARY KEY, v text); INSERT INTO a.p SELECT i, '' FROM generate_series(1, 9) i;
         CREATE SCHEMA b; CREATE TABLE b.c (k int, p int REFERENCES a.p); INSERT INTO b.c SELECT i, i FROM generate_series(1, 9) i",
    );
    let refresh = |schema: &str| rig.worker(schema).arg("refresh").env("REFRESH", "only").run();
    let finalize = || rig.worker("a,b").arg("finalize").run();
    let keys = || {
        rig.at_target("SELECT count(*), bool_and(convalidated) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'b'::regnamespace")
    };
    for schema in ["a", "b"] {
        assert_exit(&rig.worker(schema).run(), 0);
    }
    assert_exit(&finalize(), 0);
    for (change, schema, left) in [
        ("SELECT 1", "b", "1|t"),
        ("SELECT 1", "a", "1|t"),
        ("INSERT INTO a.p VALUES (10, '')", "a", "1|t"),
        ("INSERT INTO b.c VALUES (10, 10)", "b", "0|"),
        ("UPDATE a.p SET v = 'x' WHERE k = 1", "a", "0|"),
        ("UPDATE b.c SET k = 0 WHERE k = 1", "b", "0|"),
    ] {
        rig.at_source(change);
        assert_exit(&refresh(schema), 0);
        assert_eq!(keys(), left, "{change}");
        assert_exit(&finalize(), 0);
        assert_eq!(keys(), "1|t", "{change}");
    }
    // Whatever somebody has altered is made again.
    rig.at_target("ALTER TABLE b.c ADD mine int");
    let replace = rig.worker("b").arg("refresh").env("ON_EXISTING", "replace");
    let output = replace.clone().env("REFRESH", "only").run();
    assert_exit(&output, 73);
    assert!(
        text(output.last(), "reason").contains("was altered on the target"),
        "{}",
        output.last()
    );
    assert_exit(&replace.run(), 0);
    assert_eq!(
        rig.at_target("SELECT count(*) FROM information_schema.columns WHERE table_schema = 'b'"),
        "2"
    );
    // Somebody's own key is not.
    rig.at_target("CREATE SCHEMA x; CREATE TABLE x.mine (p int REFERENCES a.p)");
    rig.at_source("UPDATE a.p SET v = 'y' WHERE k = 1");
    let output = refresh("a");
    assert_exit(&output, 73);
    assert!(
        text(output.last(), "reason").contains("finalize has not made it"),
        "{}",
        output.last()
    );
}

#[test]
fn a_user_who_has_the_owners_rights_by_itself_refreshes_too() {
    let rig = Rig::new(BESIDE);
    rig.at_source(SCHEMA);
    rig.at_target(BESIDE);
    let database = &rig.database;
    rig.at_target(&format!(
        "CREATE ROLE refresh_mover LOGIN PASSWORD '{PASSWORD}' CREATEROLE; ALTER DATABASE {database} OWNER TO refresh_mover;
         GRANT refresh_owner TO refresh_mover; ALTER ROLE refresh_owner BYPASSRLS"
    ));
    rig.at_source("ALTER SCHEMA s OWNER TO refresh_owner; ALTER TABLE s.secret NO FORCE ROW LEVEL SECURITY");
    let map = "postgres=refresh_mover";
    let worker = rig
        .worker("s")
        .env("TARGET_USER", "refresh_mover")
        .env("ROLE_MAP", map);
    let refresh = worker.clone().arg("refresh").env("REFRESH", "only");
    assert_exit(&worker.run(), 0);
    for (done, expected) in WEEKS.iter().take(6) {
        rig.at_source(done);
        let output = refresh.run();
        assert_exit(&output, 0);
        assert_eq!(actions(&output).len(), expected.len(), "{done}");
        assert_same(&rig, done);
    }
    assert_exit(&worker.clone().arg("verify").run(), 0);
    let refused = |reason: &str| {
        let output = refresh.run();
        assert_exit(&output, 73);
        assert!(
            text(output.last(), "reason").contains(reason),
            "{}",
            output.last()
        );
    };
    rig.at_source("ALTER TABLE s.secret FORCE ROW LEVEL SECURITY");
    assert_exit(&worker.run(), 0);
    refused("row security is forced");
    rig.at_target("ALTER ROLE refresh_mover NOINHERIT");
    refused("rights by itself");
}

/// Whatever is written, by whomever beside it, and wherever an attempt is killed: the target is what the source was.
#[test]
fn random_work_is_followed_round_after_round() {
    let rig = Rig::to_newest("CREATE SCHEMA s");
    let sides = work::Sides {
        written: rig.source,
        read: rig.source,
        target: rig.target,
        database: &rig.database,
    };
    let followed = work::follow(sides, &rig.worker("s"), 0x0F0D_0007, (8, &|| true));
    assert_followed(&followed);
}

/// The same from a standby that replays now and then, and is behind.
#[test]
fn random_work_is_followed_on_a_standby() {
    let primary: &'static Cluster = Box::leak(Box::new(Cluster::start(&Server::distribution())));
    let target: &'static Cluster = Box::leak(Box::new(Cluster::start(&Server::distribution())));
    let rig = Rig::on(primary, target, "CREATE SCHEMA s");
    let standby = primary.standby();
    let sides = work::Sides {
        written: primary,
        read: &standby,
        target,
        database: &rig.database,
    };
    let worker = rig
        .worker("s")
        .source(&standby, &rig.database, SUPERUSER, PASSWORD);
    assert_followed(&work::follow(sides, &worker, 0x0F0D_0015, (8, &|| true)));
}

fn assert_followed(followed: &work::Followed) {
    // Rows that were replaced by the like of them look changed, and are; the rest has to be believed.
    assert!(
        followed.kept >= 16 && followed.appended_to >= 2 && followed.in_vain <= 24,
        "{followed}"
    );
}
