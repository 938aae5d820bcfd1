//! `plan`: units and their order, what is said of each, and that the state machine carries out what it prints.

#![expect(clippy::indexing_slicing, reason = "what is not there fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;

use serde_json::{Value, json};
use testbed::cluster::PASSWORD;
use testbed::proxy::Line;
use testbed::{Account, Fate, Output, Proxy, Worker, warehouse};

use crate::aws::{SCALE, machine, outcomes};
use crate::rig::{MakeRig, Rig, assert_exit, text};

/// Shared types and functions under everything, a root with its partitions elsewhere, a parent with a child elsewhere, rings of
/// two to four, views only, keys that leave, bodies that name others, and what nobody needs.
const LAYOUTS: &str = r#"
    CREATE SCHEMA shared; CREATE TYPE shared.state AS ENUM ('new', 'done'); CREATE DOMAIN shared.money AS numeric(12,2);
    CREATE FUNCTION shared.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
    CREATE SCHEMA root; CREATE SCHEMA leaves;
    CREATE TABLE root.fact (id int, day int, s shared.state, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE leaves.fact_1 PARTITION OF root.fact FOR VALUES FROM (0) TO (10);
    CREATE TABLE leaves.fact_2 PARTITION OF root.fact FOR VALUES FROM (10) TO (20);
    INSERT INTO root.fact SELECT i, i % 20, 'new' FROM generate_series(1, 100) i;
    CREATE SCHEMA parent; CREATE SCHEMA child;
    CREATE TABLE parent.log (v text); CREATE TABLE child.log (m shared.money) INHERITS (parent.log);
    INSERT INTO parent.log VALUES ('p'); INSERT INTO child.log VALUES ('c', 1);
    CREATE SCHEMA a2; CREATE SCHEMA b2; CREATE TYPE a2.e AS ENUM ('x'); CREATE TYPE b2.e AS ENUM ('x');
    CREATE TABLE a2.t (e b2.e); CREATE TABLE b2.t (e a2.e);
    CREATE SCHEMA a3; CREATE SCHEMA b3; CREATE SCHEMA c3;
    CREATE TABLE a3.t (v int); CREATE VIEW b3.t AS SELECT * FROM a3.t; CREATE VIEW c3.t AS SELECT * FROM b3.t;
    CREATE VIEW a3.back AS SELECT * FROM c3.t;
    CREATE SCHEMA a4; CREATE SCHEMA b4; CREATE SCHEMA c4; CREATE SCHEMA d4;
    CREATE TYPE a4.e AS ENUM ('x'); CREATE TYPE b4.e AS (e a4.e); CREATE TYPE c4.e AS (e b4.e); CREATE TABLE d4.t (e c4.e);
    CREATE FUNCTION a4.f(d4.t) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE SCHEMA views; CREATE VIEW views.facts AS SELECT * FROM root.fact; CREATE VIEW views.big AS SELECT v FROM big.t;
    CREATE SCHEMA "Key,s"; CREATE TABLE "Key,s".t (id int PRIMARY KEY);
    CREATE SCHEMA empty;
"#;

/// One schema is larger than all others; its key leaves it.
const BIG: &str = "
    CREATE SCHEMA big; CREATE TABLE big.t (id int PRIMARY KEY, v text, k int) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
    INSERT INTO big.t SELECT i, repeat(md5(i::text), 20), 1 FROM generate_series(1, 20000) i;
    CREATE TABLE big.small (v text); INSERT INTO big.small VALUES (repeat('x', 3000)); ANALYZE big.t;
    CREATE MATERIALIZED VIEW big.m WITH (autovacuum_enabled = off) AS SELECT id FROM big.t;
";

/// What is only possible when all of it is there.
const ACROSS: &str = r#"
    INSERT INTO "Key,s".t VALUES (1);
    ALTER TABLE big.t ADD FOREIGN KEY (k) REFERENCES "Key,s".t;
    CREATE FUNCTION big.names() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM "Key,s".t, shared.nothing()';
"#;

fn layouts(make: MakeRig) -> Rig {
    let sql = format!("{BIG}{LAYOUTS}");
    let rig = make("");
    rig.at_source(&format!("SET check_function_bodies = off; {sql}{ACROSS}"));
    rig
}

/// All schemas of a source, as the environment of a task has it.
fn planner(rig: &Rig) -> Worker {
    rig.worker("").without("SCHEMA_NAME").arg("plan")
}

fn source_only(worker: Worker) -> Worker {
    ["HOST", "PORT", "DBNAME", "USER", "PASSWORD"]
        .iter()
        .fold(worker, |worker, name| worker.without(format!("TARGET_{name}")))
}

/// Standard output as the input that it is, and the records beside it.
fn read(output: &Output) -> (Value, Vec<Value>) {
    let input = serde_json::from_str(&output.stdout);
    assert!(input.is_ok(), "{}\n{}", output.stdout, output.stderr);
    let records = output
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (input.unwrap(), records.collect())
}

/// The units of an input, in order.
fn units(input: &Value) -> Vec<&str> {
    let items = input["schemas"].as_array().unwrap().iter();
    items.map(|item| text(item, "schema")).collect()
}

fn last(records: &[Value]) -> &Value {
    let last = records.last().unwrap();
    assert_eq!(text(last, "msg"), "run ended");
    last
}

#[test]
fn the_machine_carries_out_what_plan_prints() {
    let rig = layouts(Rig::new);
    let output = planner(&rig).run();
    assert_exit(&output, 0);
    let (input, records) = read(&output);
    let expected = [
        "\"Key,s\"",
        "a2,b2",
        "a3,b3,c3",
        "a4,b4,c4,d4",
        "big",
        "child,parent",
        "empty",
        "leaves,root",
        "shared",
        "views",
    ];
    let order = units(&input);
    assert_eq!(
        order.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from(expected)
    );
    let position = |unit: &str| order.iter().position(|other| *other == unit).unwrap();
    for (needed, by) in [
        ("shared", "leaves,root"),
        ("shared", "child,parent"),
        ("leaves,root", "views"),
        ("big", "views"),
    ] {
        assert!(position(needed) < position(by), "{order:?}");
    }
    let first = records
        .iter()
        .find(|record| text(record, "msg") == "forecast")
        .unwrap();
    assert_eq!(
        (&first["concurrency"], &first["extrapolated"]),
        (&json!(5), &json!(""))
    );

    let worker = rig.worker("").without("SCHEMA_NAME");
    let account = Account::new(move |_| worker.clone(), |_, _| Fate::Undisturbed);
    machine(&[]).execute("planned", &input, &account, SCALE);
    let seen = account.seen();
    let report: Value = serde_json::from_str(seen.published.last().unwrap()).unwrap();
    let ended = outcomes(&report);
    let ended: Vec<_> = ended
        .iter()
        .map(|(unit, outcome, _)| (unit.as_str(), outcome.as_str()))
        .collect();
    let done: Vec<_> = order.iter().map(|unit| (*unit, "ok")).collect();
    assert_eq!(ended, done, "{report}");
    // What prepares has the definition's size.
    let loads = seen
        .overrides
        .iter()
        .filter(|one| one.to_string().contains(r#""Command":["load"]"#));
    let sizes: BTreeSet<&str> = loads.map(|one| text(one, "Memory")).collect();
    assert_eq!(sizes, BTreeSet::from(["1024"]));
    for schema in [
        "shared", "root", "leaves", "parent", "child", "a2", "b3", "d4", "big", "Key,s", "views",
    ] {
        let [here, there] =
            [rig.source, rig.target].map(|side| warehouse::contents(side, &rig.database, schema));
        assert_eq!(here, there, "{schema}");
    }
    forecast_after(&rig, expected.len());
}

/// The next forecast knows better. What is in the way of some loads is taken down before, unless it was changed; what it prints is
/// whole all the same.
fn forecast_after(rig: &Rig, count: usize) {
    let words = "prepare takes them down first";
    let again = planner(rig).run();
    assert_exit(&again, 0);
    let (_, records) = read(&again);
    assert!(
        records.iter().any(|record| text(record, "found").contains(words)),
        "{records:?}"
    );
    rig.at_target("CREATE TABLE shared.mine ()");
    let again = planner(rig).arg("--concurrency=9").run();
    assert_exit(&again, 73);
    let (input, records) = read(&again);
    assert_eq!(units(&input).len(), count);
    let by_own =
        |record: &&Value| text(record, "msg") == "planned" && text(record, "basis") == "its last load";
    assert_eq!(records.iter().filter(by_own).count(), count);
    let forecast = records
        .iter()
        .find(|record| text(record, "msg") == "forecast")
        .unwrap();
    assert!(
        text(forecast, "extrapolated").contains("ran at most"),
        "{forecast}"
    );
    let findings = last(&records)["findings"].to_string();
    assert!(
        findings.contains("\\\"shared\\\".\\\"mine\\\" was added"),
        "{findings}"
    );
}

#[test]
fn every_unit_is_described() {
    for make in [Rig::new, Rig::newest] {
        describe(&layouts(make));
    }
}

fn describe(rig: &Rig) {
    let output = source_only(planner(rig)).run();
    assert_exit(&output, 0);
    let (input, records) = read(&output);
    let planned: BTreeMap<&str, &Value> = records
        .iter()
        .filter(|record| text(record, "msg") == "planned")
        .map(|record| (text(record, "schema"), record))
        .collect();
    assert_eq!(planned.len(), units(&input).len());
    let big = planned["big"];
    let number = |field: &str| big[field].as_u64().unwrap();
    assert_eq!(
        (number("tables"), number("rows"), number("never_analyzed")),
        (2, 20_000, 1)
    );
    let sizes = "SELECT sum(pg_table_size(c) - coalesce(pg_total_relation_size(t), 0)), sum(pg_total_relation_size(t)),
                        sum(pg_indexes_size(c)) + pg_table_size('big.m')
                 FROM (SELECT oid::regclass AS c, nullif(reltoastrelid, 0) AS t FROM pg_class
                       WHERE relnamespace = 'big'::regnamespace AND relkind = 'r') s";
    let measured = ["heap_bytes", "toast_bytes", "index_bytes"].map(|field| number(field).to_string());
    assert_eq!(measured.join("|"), rig.at_source(sizes));
    assert_eq!(
        (text(big, "largest"), number("foreign_keys"), text(big, "basis")),
        ("big.t", 1, "assumptions")
    );
    assert_eq!(
        planned["views"]["needs"],
        "big (table big.t), leaves,root (table root.fact), shared (type shared.state)"
    );
    let found = |schema: &str, check: &str| {
        let is_it = |record: &&Value| text(record, "schema") == schema && text(record, "check") == check;
        records
            .iter()
            .filter(is_it)
            .map(|record| format!("{}{}", text(record, "found"), text(record, "reason")))
            .collect::<Vec<_>>()
    };
    let bodies = found("big", "functions");
    assert!(
        bodies.len() == 2 && bodies[0].contains("big.names() names schema Key,s"),
        "{bodies:?}"
    );
    assert_eq!(found("shared", "source privileges"), ["everything can be read"]);
    assert_eq!(found("shared", "versions").len(), 1);

    // A person gets the same as a table, with nothing that a terminal would obey.
    rig.at_source("CREATE SCHEMA \"\u{1b}[2J\"");
    let output = source_only(planner(rig)).arg("--format=text").run();
    assert_exit(&output, 0);
    let said = &output.stdout;
    for words in [
        "every unit\n",
        "  views needs big (table big.t)",
        "the source alone was asked; nothing is refused",
        "bounded by ",
        "assumed: a unit moves 50 MB/s",
        "█",
    ] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }
    assert!(
        said.lines().all(|line| !line.contains(char::is_control)),
        "{said}"
    );
}

/// What one asks for is what one gets, and what cannot be moved so is said.
#[test]
fn a_list_is_literal() {
    let rig = layouts(Rig::new);
    let run = |schemas: &str, exit: i32| {
        let output = source_only(planner(&rig)).env("SCHEMA_NAME", schemas).run();
        assert_exit(&output, exit);
        output
    };
    let output = run("views,\"Key,s\",a2,b2,empty", 0);
    let (input, records) = read(&output);
    assert_eq!(units(&input).len(), 4);
    let notes: Vec<&str> = records.iter().map(|record| text(record, "found")).collect();
    let outside = "table big.t of schema big, which this plan does not move, has to be there";
    assert!(notes.contains(&outside), "{notes:?}");

    let output = run("a4,c4,root", 78);
    let (input, records) = read(&output);
    assert_eq!(units(&input), ["a4,c4", "root"]);
    let findings = last(&records)["findings"].to_string();
    for hint in ["add to SCHEMA_NAME: b4,d4", "add to SCHEMA_NAME: leaves"] {
        assert!(findings.contains(hint), "{findings}");
    }
    let output = run("big,Big", 78);
    assert_eq!(output.stdout, "");
    assert!(
        output.stderr.contains("schema \\\"Big\\\" does not exist"),
        "{}",
        output.stderr
    );

    // Where a parent's children may stay behind, they do not hold its schema; partitions of a root with indexes still do.
    let output = source_only(planner(&rig)).env("ACCEPT", "outside-children").run();
    assert_exit(&output, 0);
    let (input, _) = read(&output);
    let order = units(&input);
    assert!(
        order.contains(&"child") && order.contains(&"parent") && order.contains(&"leaves,root"),
        "{order:?}"
    );
}

#[test]
fn what_a_load_may_is_enough_and_what_lacks_is_said() {
    let rig = layouts(Rig::new);
    let role = format!("{}_planner", rig.database);
    rig.at_source(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'"));
    let worker = planner(&rig).env("SOURCE_USER", &role);
    let output = worker.run();
    assert_exit(&output, 77);
    assert_eq!(units(&read(&output).0).len(), 10);
    let mut grants = String::new();
    for schema in rig
        .at_source("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")
        .lines()
    {
        write!(
            grants,
            "GRANT USAGE ON SCHEMA \"{schema}\" TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA \"{schema}\" TO {role};"
        )
        .unwrap();
    }
    rig.at_source(&grants);
    assert_exit(&worker.run(), 0);
    rig.at_source(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn what_cannot_be_written_is_no_success() {
    let rig = Rig::new("CREATE SCHEMA s");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = source_only(planner(&rig))
        .command()
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(74), "{ended:?}");
    let empty = Rig::new("");
    let output = source_only(planner(&empty)).run();
    assert_exit(&output, 78);
    assert!(output.stderr.contains("no schema to move"), "{}", output.stderr);
}

#[test]
fn a_command_to_which_nobody_answers_is_ended() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int)");
    assert_exit(&rig.worker("s").run(), 0);
    for (command, words) in [
        ("plan", "-- What schemas hold."),
        ("report", "-- The moment:"),
        ("drift", "-- Tables of the unit"),
    ] {
        let proxy = Proxy::before(rig.source, Line::default());
        proxy.hold_at(words.as_bytes(), "");
        let output = rig
            .worker("s")
            .arg(command)
            .source_through(&proxy)
            .env("STALL_TIMEOUT", "3s")
            .run();
        assert_exit(&output, 75);
        let said = output.stdout + &output.stderr;
        assert!(said.contains("STALL_TIMEOUT"), "{command}: {said}");
    }
}

#[test]
fn a_refresh_is_planned_by_what_the_source_has_counted() {
    let rig = Rig::newest(
        "CREATE SCHEMA a; CREATE TABLE a.still AS SELECT i, repeat('x', 100) AS v FROM generate_series(1, 20000) i;
         CREATE TABLE a.grown AS TABLE a.still; CREATE TABLE a.changed AS SELECT 1 AS k; CREATE SCHEMA b; CREATE TABLE b.t (a int)",
    );
    let planned = |worker: &Worker| {
        let output = worker.clone().arg("--refresh").run();
        assert_exit(&output, 0);
        let (input, records) = read(&output);
        assert_eq!(input["command"], "refresh");
        let of = |schema: &str| {
            let planned =
                |record: &&Value| text(record, "msg") == "planned" && text(record, "schema") == schema;
            records.iter().find(planned).unwrap().clone()
        };
        (of("a"), of("b"))
    };
    let (a, b) = planned(&planner(&rig));
    for record in [&a, &b] {
        assert!(text(record, "whole").contains("was not loaded"), "{record}");
    }
    assert_exit(&rig.worker("a").run(), 0);
    assert_eq!(planned(&planner(&rig)).0["moves_bytes"], 0);
    rig.at_source("INSERT INTO a.grown SELECT i, 'new' FROM generate_series(1, 2000) i; UPDATE a.changed SET k = 2; SELECT pg_stat_force_next_flush()");
    let (a, b) = planned(&planner(&rig));
    let bytes = a["moves_bytes"].as_u64().unwrap();
    assert!((100_000..500_000).contains(&bytes), "{a}");
    assert_eq!(text(&b, "basis"), "the loads of others");
    let output = source_only(planner(&rig)).arg("--refresh").run();
    assert_exit(&output, 78);
}
