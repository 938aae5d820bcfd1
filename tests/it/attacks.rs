//! What a neighbour does on the target at a bad moment: refused or made good, and nothing of his is lost.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use testbed::attacks::{ATTACKS, Arena};
use testbed::proxy::{Line, Proxy};
use testbed::{Cluster, Psql};

use crate::rig::{METHODS, Rig, assert_exit, text};
use crate::slow::SLOW_ROWS;

/// Who waits for the load with a transaction open, what he has done in it, and what the load's reason says then.
struct Row {
    /// Before the first load, on the target.
    before: &'static str,
    /// In a transaction that is open when the second load comes to its first drop.
    open: &'static str,
    words: &'static [&'static str],
    /// Asked of the target afterwards, with its answer: his work still stands.
    stands: (&'static str, &'static str),
}

const SCHEMA: &str = "CREATE SCHEMA s; CREATE TABLE s.t (a int PRIMARY KEY); INSERT INTO s.t VALUES (1); \
                      CREATE SEQUENCE s.q; CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'";

const ROWS: &[Row] = &[
    Row {
        before: "CREATE SCHEMA o",
        open: "CREATE TABLE o.child () INHERITS (s.t); INSERT INTO o.child VALUES (7)",
        words: &["objects outside of the schema depend on it", "o.child"],
        stands: ("SELECT a FROM o.child", "7"),
    },
    Row {
        before: "CREATE SCHEMA o",
        open: "CREATE VIEW o.v AS SELECT * FROM s.t",
        words: &["view o.v"],
        stands: ("SELECT a FROM o.v", "1"),
    },
    Row {
        before: "CREATE TABLE public.r (a int)",
        open: "ALTER TABLE public.r ADD CONSTRAINT to_s FOREIGN KEY (a) REFERENCES s.t",
        words: &["to_s"],
        stands: ("SELECT conname FROM pg_constraint WHERE conname = 'to_s'", "to_s"),
    },
    Row {
        before: "",
        open: "INSERT INTO s.t VALUES (2)",
        words: &["was changed since our load", "rows of t were written"],
        stands: ("SELECT count(*) FROM s.t", "2"),
    },
    Row {
        before: "",
        open: "CREATE TABLE s.mine () INHERITS (s.t); INSERT INTO s.mine VALUES (8)",
        words: &["was changed since our load", "table \"s\".\"mine\" was added"],
        stands: ("SELECT a FROM s.mine", "8"),
    },
    Row {
        before: "",
        open: "ALTER TABLE s.t ADD COLUMN b int DEFAULT 5",
        words: &["was changed since our load", "table \"s\".\"t\" was altered"],
        stands: ("SELECT b FROM s.t", "5"),
    },
];

#[test]
fn what_a_neighbour_commits_while_the_load_waits_for_him_is_not_taken() {
    for row in ROWS {
        let rig = Rig::new(SCHEMA);
        rig.at_target(row.before);
        assert_exit(&rig.worker("s").run(), 0);
        let mut neighbour = Psql::open(rig.target, &rig.database);
        neighbour.run(&format!("BEGIN; {}", row.open));
        let load = rig.worker("s").spawn();
        // It waits for his locks when it has come to its drops.
        wait_for_drop(&rig);
        neighbour.run("COMMIT");
        drop(neighbour);
        let output = load.wait();
        assert_exit(&output, 73);
        for words in row.words {
            let reason = text(output.last(), "reason");
            assert!(reason.contains(words), "{}: {reason}", row.open);
        }
        assert_eq!(rig.at_target(row.stands.0), row.stands.1, "{}", row.open);
        // Nothing was dropped, so the ledger still protects it all.
        let state = "SELECT state FROM schemaferry.load ORDER BY id DESC LIMIT 1";
        assert_eq!(rig.at_target(state), "complete", "{}", row.open);
    }
}

fn wait_for_drop(rig: &Rig) {
    // Refused without waiting, or waiting in the server's queue for a second.
    let tries = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sf/%/work' \
                 AND datname = current_database() \
                 AND (wait_event_type = 'Lock' OR query ~ '^(LOCK|DROP)' OR query = 'ROLLBACK')";
    rig.wait_for_target(tries, |count| count != "0");
}

#[test]
fn a_write_that_the_server_does_not_know_of_yet_is_waited_for() {
    let rig = Rig::new(SCHEMA);
    assert_exit(&rig.worker("s").run(), 0);
    let mut neighbour = Psql::open(rig.target, &rig.database);
    // The second transaction follows so soon that the server is not told of it.
    neighbour.run("SELECT 1");
    neighbour.run("INSERT INTO s.t VALUES (2)");
    let output = rig.worker("s").run();
    assert_exit(&output, 73);
    assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "2");
}

/// One statement may commit many times, and tells of it when it is over: here it began before what is replaced was complete.
#[test]
fn what_a_long_statement_has_committed_is_waited_for() {
    let rig = Rig::new(SCHEMA);
    let [first, second] = ["1", "2"].map(|key| {
        let mut gate = Psql::open(rig.target, &rig.database);
        gate.run(&format!("SELECT pg_advisory_lock({key})"));
        gate
    });
    thread::scope(|scope| {
        let batch = "DO $$ BEGIN PERFORM pg_advisory_lock(1); INSERT INTO s.t VALUES (2); COMMIT; PERFORM pg_advisory_lock(2); END $$";
        let batch = scope.spawn(|| rig.at_target(batch));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
        rig.wait_for_target(waits, |count| count == "1");
        assert_exit(&rig.worker("s").run(), 0);
        drop(first);
        rig.wait_for_target("SELECT count(*) FROM s.t", |count| count == "2");
        // It tells nobody before its end: the rows do.
        let output = rig.worker("s").run();
        assert_exit(&output, 73);
        let reason = text(output.last(), "reason");
        assert!(reason.contains(r#"rows of "s"."t" were written"#), "{reason}");
        assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "2");
        // An earlier release has not noted which rows are its own.
        rig.at_target("UPDATE schemaferry.load SET baseline = NULL");
        let output = rig.worker("s").run();
        assert_exit(&output, 75);
        let reason = text(output.last(), "reason");
        assert!(reason.contains("may have written to the schema"), "{reason}");
        drop(second);
        batch.join().unwrap();
    });
    assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "2");
}

/// A session that stands in a transaction for days keeps no weekend from its loads.
#[test]
fn whoever_is_in_a_transaction_and_has_written_nothing_is_in_nobodys_way() {
    let rig = Rig::new(SCHEMA);
    let load = |method: &str, exit: i32| {
        let output = rig
            .worker("s")
            .env("METHOD", method)
            .env("LOCK_TIMEOUT", "2s")
            .run();
        assert_exit(&output, exit);
        output
    };
    load("copy", 0);
    let mut neighbour = Psql::open(rig.target, &rig.database);
    neighbour.run("BEGIN; SELECT 1");
    load("copy", 0);
    load("pipe", 0);
    // Which rows are its own is not known of what pg_restore has written.
    let output = load("copy", 75);
    let reason = text(output.last(), "reason");
    assert!(reason.contains("may have written to the schema"), "{reason}");
}

#[test]
fn a_load_that_never_gets_its_locks_leaves_the_schema_protected() {
    let rig = Rig::new(SCHEMA);
    assert_exit(&rig.worker("s").run(), 0);
    let mut neighbour = Psql::open(rig.target, &rig.database);
    neighbour.run("BEGIN; SELECT * FROM s.t");
    let output = rig.worker("s").env("LOCK_TIMEOUT", "2s").run();
    assert_exit(&output, 75);
    let reason = text(output.last(), "reason");
    assert!(
        reason.contains("could not be locked within LOCK_TIMEOUT"),
        "{reason}"
    );
    drop(neighbour);
    rig.at_target("INSERT INTO s.t VALUES (2)");
    assert_exit(&rig.worker("s").run(), 73);
    assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "2");
}

#[test]
fn where_writes_are_not_counted_nothing_is_replaced() {
    let rig = Rig::new(SCHEMA);
    assert_exit(&rig.worker("s").run(), 0);
    rig.at_target(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_counts = off', current_database()); END $$",
    );
    rig.at_target("INSERT INTO s.t VALUES (2)");
    let output = rig.worker("s").run();
    assert_exit(&output, 73);
    assert!(text(output.last(), "reason").contains("track_counts is off in database"));
    assert_exit(&rig.worker("s").env("ON_EXISTING", "replace").run(), 0);
}

/// A view falls with its table's chunk before its own comes.
#[test]
fn a_schema_of_more_than_one_chunk_is_replaced() {
    let rig = Rig::new(
        "CREATE SCHEMA s; DO $$ BEGIN FOR i IN 1..120 LOOP EXECUTE format('CREATE TABLE s.t%s (id int PRIMARY KEY)', i); END LOOP; END $$;
         CREATE VIEW s.v AS SELECT * FROM s.t1; CREATE FUNCTION s.f(s.t2) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    for _ in 0..3 {
        assert_exit(&rig.worker("s").run(), 0);
    }
}

/// Definitions that no lock on a table protects: a load that meets one passes it by or is run again, and never ends for good.
#[test]
fn what_is_redefined_on_the_source_meanwhile_never_ends_a_load_for_good() {
    let rig = Rig::new("");
    for (number, change) in [
        "DROP FUNCTION s.f()",
        "DROP TYPE s.e",
        "DROP SEQUENCE s.q",
        "DROP VIEW s.v",
        "ALTER VIEW s.v RENAME TO w",
        "ALTER FUNCTION s.f() RENAME TO g",
        "ALTER TYPE s.e RENAME TO d",
        "ALTER TYPE s.e ADD VALUE 'y'",
        "DROP AGGREGATE s.top(int)",
        "DROP COLLATION s.c",
    ]
    .into_iter()
    .enumerate()
    {
        rig.at_source(
            "DROP SCHEMA IF EXISTS s CASCADE; CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE SEQUENCE s.q;
             CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE s.e AS ENUM ('x');
             CREATE VIEW s.v AS SELECT a FROM s.t; CREATE COLLATION s.c (LOCALE = 'C');
             CREATE AGGREGATE s.top(int) (SFUNC = int4larger, STYPE = int)",
        );
        let phase = ["preflight", "snapshot", "archive"][number % 3];
        let load = rig.worker("s").env("ON_EXISTING", "replace").spawn();
        crate::slow::wait_for_phase(&load, phase);
        rig.at_source(change);
        let output = load.wait();
        assert!([0, 75].contains(&output.exit), "{change}\n{}", output.stdout);
    }
}

/// While the first table takes its time, the schema changes places with another one, and back before the load is over.
#[test]
fn schemas_that_change_places_and_back_are_noticed() {
    const TABLES: &str =
        "CREATE TABLE m (v text); INSERT INTO m SELECT md5(i::text) FROM generate_series(1, 4500) i";
    let rig = Rig::new(&format!(
        "{SLOW_ROWS}; SET search_path = s; {TABLES}; CREATE TABLE z (a int, b int GENERATED ALWAYS AS (s.slow(a)) STORED);
         INSERT INTO z SELECT i FROM generate_series(1, 300) i;
         CREATE SCHEMA o; SET search_path = o; {TABLES}; UPDATE m SET v = 'of another'; CREATE TABLE z (a int); CREATE TABLE first (v text)"
    ));
    let load = rig.worker("s").env("JOBS", "1").spawn();
    crate::slow::wait_for_phase(&load, "pre-data");
    let swap =
        "BEGIN; ALTER SCHEMA s RENAME TO x; ALTER SCHEMA o RENAME TO s; ALTER SCHEMA x RENAME TO o; COMMIT";
    rig.at_source(swap);
    let moved = |record: &serde_json::Value| {
        text(record, "msg") == "run ended"
            || text(record, "msg") == "table moved" && text(record, "table") == "s.m"
    };
    let _seen = load.wait_for_record(moved, crate::slow::PATIENCE);
    rig.at_source(swap);
    // At the end, or by a table that is another one when it is first read.
    assert_exit(&load.wait(), 75);
    assert_exit(&rig.worker("s").run(), 0);
    assert_eq!(
        rig.at_target("SELECT count(*) FROM s.m WHERE v = 'of another'"),
        "0"
    );
}

#[test]
fn operator_classes_and_families_of_others_keep_what_they_call() {
    for (built, words) in [
        (
            "CREATE OPERATOR CLASS o.c FOR TYPE text USING btree AS FUNCTION 1 s.cmp(text, text)",
            "operator class o.c USING btree",
        ),
        (
            "CREATE OPERATOR FAMILY o.f USING btree; ALTER OPERATOR FAMILY o.f USING btree ADD FUNCTION 1 (text, text) s.cmp(text, text)",
            "of o.f USING btree",
        ),
    ] {
        let rig = Rig::new(
            "CREATE SCHEMA s; CREATE FUNCTION s.cmp(text, text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT bttextcmp($1, $2)';
             CREATE OPERATOR CLASS s.own FOR TYPE text USING btree AS FUNCTION 1 s.cmp(text, text)",
        );
        assert_exit(&rig.worker("s").run(), 0);
        assert_exit(&rig.worker("s").run(), 0);
        rig.at_target(&format!("CREATE SCHEMA o; {built}"));
        for on_existing in ["own", "replace"] {
            let output = rig.worker("s").env("ON_EXISTING", on_existing).run();
            assert_exit(&output, 73);
            let reason = text(output.last(), "reason");
            assert!(reason.contains(words), "{reason}");
        }
    }
}

#[test]
fn a_person_who_holds_the_locks_key_is_left_alone() {
    let rig = Rig::new(SCHEMA);
    let mut person = Psql::open(rig.target, &rig.database);
    person.run("SELECT pg_advisory_lock(hashtextextended('schemaferry schema s', 0))");
    // Longer than a worker may be silent.
    let output = rig.worker("s").env("WAIT_TIMEOUT", "33s").run();
    assert_exit(&output, 75);
    assert!(text(output.last(), "reason").contains("holds schema \"s\": pid"));
    person.run("SELECT 1");
    drop(person);
    assert_exit(&rig.worker("s").run(), 0);
}

/// Attacks are played side by side, each on clusters that are its own meanwhile: most of the time is waiting.
const LANES: usize = 2;

#[test]
fn every_attack_ends_as_the_table_says() {
    let plays = ATTACKS.iter().enumerate().map(|(number, attack)| {
        let method = attack.methods[number % attack.methods.len()];
        (attack, method)
    });
    let plays = Mutex::new(plays);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let arena = Arena::start(Path::new(env!("CARGO_BIN_EXE_schemaferry")));
                loop {
                    let next = plays.lock().unwrap().next();
                    let Some((attack, method)) = next else { return };
                    let played = AssertUnwindSafe(|| arena.play(attack, method));
                    if panic::catch_unwind(played).is_err() {
                        failed.lock().unwrap().push(attack.title);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "told above: {failed:?}");
}

/// When the host's name of one side comes to lead to another server: the run is held at these words of one of its sessions.
struct Switch {
    held: (&'static str, &'static str, &'static str),
    switched: &'static str,
    methods: &'static [&'static str],
    reason: &'static str,
}

const SWITCHES: [Switch; 5] = [
    Switch {
        held: ("TARGET", "/work", "INSERT INTO schemaferry.load"),
        switched: "TARGET",
        methods: &METHODS,
        reason: "a session has reached another server",
    },
    // pg_dump comes next, which looks for a snapshot that is not there.
    Switch {
        held: ("SOURCE", "/snapshot", "pg_export_snapshot"),
        switched: "SOURCE",
        methods: &METHODS,
        reason: "snapshot",
    },
    // Those that read, or count.
    Switch {
        held: ("TARGET", "/work", "INSERT INTO schemaferry.load"),
        switched: "SOURCE",
        methods: &METHODS,
        reason: "a session has reached another server",
    },
    // The pg_dump that reads the rows.
    Switch {
        held: ("SOURCE", "/count", "SET TRANSACTION SNAPSHOT"),
        switched: "SOURCE",
        methods: &["pipe"],
        reason: "snapshot",
    },
    // pg_restore.
    Switch {
        held: ("TARGET", "/work", "pg_partition_tree"),
        switched: "TARGET",
        methods: &["pipe"],
        reason: "pg_restore has reached another server",
    },
];

/// From some moment on the host's name leads to another server that has all of it too.
#[test]
fn a_name_that_leads_elsewhere_in_mid_run_is_noticed() {
    const TABLE: &str = "CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)";
    for switch in SWITCHES {
        for method in switch.methods {
            let rig = Rig::new(TABLE);
            // The other server of each side is the one of the other side: there are tables of these names.
            rig.at_target(&format!("{TABLE}, (8), (9)"));
            let address =
                |cluster: &Cluster| format!("{}:{}", cluster.host(), cluster.port()).parse().unwrap();
            let (source, target) = (address(rig.source), address(rig.target));
            let proxies = [("SOURCE", source), ("TARGET", target)]
                .map(|(side, server)| (side, Proxy::start(server, Line::default())));
            let mut worker = rig
                .worker("s")
                .env("METHOD", method)
                .env("ON_EXISTING", "replace");
            for (side, proxy) in &proxies {
                worker = worker
                    .env(format!("{side}_PORT"), proxy.port().to_string())
                    .env(format!("{side}_SSLMODE"), "disable");
            }
            let of = |side| &proxies.iter().find(|(which, _)| *which == side).unwrap().1;
            let (side, role, words) = switch.held;
            of(side).hold_at(words.as_bytes(), role);
            let load = worker.spawn();
            let said = of(side).wait_until_said(crate::slow::PATIENCE);
            assert!(said.is_some(), "{words}");
            let elsewhere = if switch.switched == "SOURCE" {
                target
            } else {
                source
            };
            of(switch.switched).redirect(elsewhere);
            of(side).release();
            let output = load.wait();
            assert_exit(&output, 75);
            let reason = text(output.last(), "reason");
            assert!(reason.contains(switch.reason), "{words} {method}: {reason}");
            let rows = "SELECT string_agg(a::text, ' ') FROM s.t";
            assert_eq!(rig.at_source(rows), "1", "{words} {method}");
            let again = rig.worker("s").env("ON_EXISTING", "replace").run();
            assert_exit(&again, 0);
            assert_eq!(rig.at_target(rows), "1", "{words} {method}");
        }
    }
}
