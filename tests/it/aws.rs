//! The state machine of `deploy/`, executed: real workers, real servers, and what Fargate does to tasks.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testbed::cluster::{PASSWORD, SUPERUSER, quote_identifier};
use testbed::fargate::{Seen, Stop, signal};
use testbed::secrets::secret;
pub(crate) use testbed::states::{DEFINITION, SUBSTITUTIONS};
use testbed::states::{Execution, Failure};
use testbed::{Account, Cluster, Fate, Machine, Running, SecretsManager, Server, Worker, warehouse};

use crate::rig::{Rig, text};

/// A backoff of 30 s takes a quarter of a second or less.
pub(crate) const SCALE: f64 = 100.0;

pub(crate) fn machine(changes: &[(&str, &str)]) -> Machine {
    Machine::of_deploy(changes)
}

/// A table of twenty rows.
fn quick(schema: &str) -> String {
    let schema = quote_identifier(schema);
    format!(
        "CREATE SCHEMA {schema}; CREATE TABLE {schema}.t (id serial PRIMARY KEY, v text);
         INSERT INTO {schema}.t (v) SELECT md5(i::text) FROM generate_series(1, 20) i;"
    )
}

/// Its rows take two seconds on the target.
fn slow(schema: &str) -> String {
    format!(
        "CREATE SCHEMA {schema}; CREATE FUNCTION {schema}.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
         'BEGIN IF current_setting(''application_name'') LIKE ''sf/%/copy'' THEN PERFORM pg_sleep(0.01); END IF; RETURN $1; END';
         CREATE TABLE {schema}.t (a int, b int GENERATED ALWAYS AS ({schema}.slow(a)) STORED);
         INSERT INTO {schema}.t SELECT i FROM generate_series(1, 200) i;"
    )
}

/// The report of an execution, whatever became of it.
fn report(execution: &Execution, seen: &Seen) -> Value {
    let report = serde_json::from_str(seen.published.last().unwrap()).unwrap();
    if let Ok(output) = &execution.ended {
        assert_eq!(*output, report);
    }
    report
}

/// What a report calls the tasks that prepare, finalize and report.
pub(crate) const PREPARE: &str = "prepare of all schemas";
pub(crate) const FINALIZE: &str = "finalize of all schemas";
pub(crate) const REPORT: &str = "report of all schemas";

/// Schema, outcome and attempts of each load's line of a report.
pub(crate) fn outcomes(report: &Value) -> Vec<(String, String, u64)> {
    let lines = report["schemas"].as_array().unwrap().iter();
    lines
        .filter(|line| ![PREPARE, FINALIZE, REPORT].contains(&text(line, "schema")))
        .map(|line| {
            let own = |field| text(line, field).to_owned();
            (own("schema"), own("outcome"), line["attempts"].as_u64().unwrap())
        })
        .collect()
}

fn assert_no_secret(execution: &Execution, seen: &Seen, secret: &str) {
    let shown = format!("{execution:?}{seen:?}");
    assert!(!shown.contains(secret), "{secret} is in {shown}");
}

fn assert_same(rig: &Rig, schema: &str) {
    assert_eq!(
        warehouse::contents(rig.target, &rig.database, schema),
        warehouse::contents(rig.source, &rig.database, schema),
        "{schema}"
    );
}

/// The container as the task definition has it: everything but what the state machine says.
fn container(rig: &Rig) -> Worker {
    rig.worker("").without("SCHEMA_NAME")
}

#[test]
fn twenty_schemas_move_five_at_a_time_and_again_in_the_next_rehearsal() {
    let rig = Rig::new("");
    let names: Vec<String> = (1..=20).map(|number| format!("s{number}")).collect();
    rig.at_source(&names.iter().map(|name| quick(name)).collect::<String>());
    let run = |run_id: &str, names: &[String]| {
        let worker = container(&rig);
        let account = Account::new(move |_| worker.clone(), |_, _| Fate::Undisturbed);
        let input = json!({"schemas": names, "run_id": run_id});
        let execution = machine(&[]).execute("execution", &input, &account, SCALE);
        let seen = account.seen();
        assert_no_secret(&execution, &seen, PASSWORD);
        let report = report(&execution, &seen);
        assert_eq!(
            (&report["loaded"], &report["failed"]),
            (&names.len().into(), &0.into())
        );
        let expected: Vec<_> = names
            .iter()
            .map(|name| (name.clone(), "ok".to_owned(), 1))
            .collect();
        assert_eq!(outcomes(&report), expected);
        assert_eq!(seen.peak, 5);
        // What `docs/aws.md` says about the history.
        assert_eq!(execution.events.len(), 74 + 10 * names.len());
        let mail = seen.mails.last().unwrap();
        assert!(
            mail.contains("ok                  report of all schemas"),
            "{mail}"
        );
        assert!(mail.contains(&format!(": run {run_id} to ")), "{mail}");
        let complete = |lines: &Vec<String>| {
            lines[0].contains("\"command\":\"load\"")
                && lines.last().unwrap().contains("\"already_complete\":true")
        };
        seen.logs.values().filter(|lines| complete(lines)).count()
    };
    assert_eq!(run("rehearsal-1", &names), 0);
    rig.at_source("INSERT INTO s7.t (v) VALUES ('new')");
    assert_eq!(run("rehearsal-1", &names), 20, "all are complete already");
    assert_eq!(rig.at_target("SELECT count(*) FROM s7.t"), "20");
    assert_eq!(run("rehearsal-2", &names[5..10]), 0, "everything is replaced");
    assert_eq!(rig.at_target("SELECT count(*) FROM s7.t"), "21");
    for name in &names {
        assert_same(&rig, name);
    }
}

/// Foreign keys across schemas, whose tasks end in whatever order.
#[test]
fn what_leaves_its_schema_is_made_when_all_are_loaded() {
    let rig = Rig::new(&[quick("a"), quick("b")].concat());
    rig.at_source(
        "ALTER TABLE a.t ADD b int REFERENCES b.t DEFAULT 1; ALTER TABLE b.t ADD a int CONSTRAINT k REFERENCES a.t DEFAULT 1",
    );
    let keys = "SELECT string_agg(conname || ' ' || convalidated, ', ' ORDER BY conname) FROM pg_constraint WHERE contype = 'f'";
    let frozen = "SELECT age(relfrozenxid) < (SELECT min(age(xmin)) FROM schemaferry.load) FROM pg_class WHERE oid = 'a.t'::regclass";
    let orphan = "SET session_replication_role = replica; UPDATE a.t SET b = 99 WHERE id = 1";
    for (name, input, change, (outcome, attempts), made) in [
        ("first", json!({}), "", ("ok", 2), "k true, t_b_fkey true"),
        ("without", json!({"finalize": false}), orphan, ("", 0), ""),
        ("orphan", json!({}), "", ("data", 1), "k true, t_b_fkey false"),
        (
            "check",
            json!({"command": "check"}),
            "",
            ("", 0),
            "k true, t_b_fkey false",
        ),
        (
            "freeze",
            json!({"freeze": true}),
            "UPDATE a.t SET b = 1",
            ("ok", 1),
            "k true, t_b_fkey true",
        ),
    ] {
        rig.at_source(change);
        let worker = container(&rig);
        let account = Account::new(
            move |_| worker.clone(),
            move |schema, number| match (name, schema, number) {
                ("first", "finalize", 1) => Fate::Meets("connect", signal(Signal::SIGKILL), Stop::EXITED),
                _ => Fate::Undisturbed,
            },
        );
        let mut input = input;
        input["schemas"] = json!(["a", "b"]);
        let execution = machine(&[]).execute(name, &input, &account, SCALE);
        let report = report(&execution, &account.seen());
        assert_eq!(report["loaded"], 2, "{report}");
        let lines = report["schemas"].as_array().unwrap();
        let line = lines.iter().find(|line| text(line, "schema") == FINALIZE);
        let line = line.map_or(("", 0), |line| {
            (text(line, "outcome"), line["attempts"].as_u64().unwrap())
        });
        assert_eq!(line, (outcome, attempts), "{name}: {report}");
        assert_eq!(execution.ended.is_ok(), outcome != "data", "{name}");
        assert_eq!(rig.at_target(keys), made, "{name}");
        assert_eq!(rig.at_target(frozen) == "t", name == "freeze", "{name}");
    }
}

#[test]
fn what_the_machine_has_sealed_is_loaded_no_more() {
    let rig = Rig::new(&[quick("a"), quick("b")].concat());
    for (name, command, outcome) in [
        ("last", "load", "ok"),
        ("live", "seal", "ok"),
        ("too_often", "load", "occupied"),
    ] {
        let worker = container(&rig);
        let account = Account::new(move |_| worker.clone(), |_, _| Fate::Undisturbed);
        let input = json!({"schemas": ["a", "b"], "command": command});
        let execution = machine(&[]).execute(name, &input, &account, SCALE);
        let lines = outcomes(&report(&execution, &account.seen()));
        let expected = ["a", "b"].map(|schema| (schema.to_owned(), outcome.to_owned(), 1));
        assert_eq!(lines, expected, "{name}");
    }
}

/// A schema, what becomes of its n-th task, and the outcome, attempts and exit code in the report; words of the reason.
type Case = (
    &'static str,
    fn(usize) -> Fate,
    (&'static str, u64, Option<u64>),
    &'static str,
);

const OK: Option<u64> = Some(0);

const CASES: &[Case] = &[
    ("fine", |_| Fate::Undisturbed, ("ok", 1, OK), ""),
    (
        "wrong_password",
        |_| Fate::Undisturbed,
        ("denied", 1, Some(77)),
        "password authentication failed",
    ),
    (
        "missing",
        |_| Fate::Undisturbed,
        ("config", 1, Some(78)),
        "schema \"missing\" does not exist",
    ),
    (
        "unreachable",
        |_| Fate::Undisturbed,
        ("transient", 5, Some(75)),
        "cannot reach 127.0.0.1:1",
    ),
    (
        "killed",
        |n| meets(n, 1, Signal::SIGKILL, Stop::EXITED),
        ("ok", 2, OK),
        "",
    ),
    (
        "terminated",
        |n| meets(n, 1, Signal::SIGTERM, Stop::EXITED),
        ("ok", 2, OK),
        "",
    ),
    (
        "reclaimed",
        |n| meets(n, 1, Signal::SIGTERM, Stop::SPOT),
        ("ok", 2, OK),
        "",
    ),
    (
        "always_reclaimed",
        |n| meets(n, 5, Signal::SIGTERM, Stop::SPOT),
        ("reclaimed", 5, Some(143)),
        "Your Spot Task was interrupted.",
    ),
    (
        "too_large",
        |n| {
            let container = Some("OutOfMemoryError: Container killed due to memory usage");
            meets(
                n,
                1,
                Signal::SIGKILL,
                Stop {
                    container,
                    ..Stop::EXITED
                },
            )
        },
        ("out-of-memory", 1, Some(137)),
        "Container killed due to memory usage",
    ),
    (
        "stopped",
        |n| {
            let stop = Stop {
                code: "UserInitiated",
                reason: "Task stopped by a person",
                container: None,
            };
            meets(n, 1, Signal::SIGTERM, stop)
        },
        ("stopped-by-a-person", 1, Some(143)),
        "Task stopped by a person",
    ),
    (
        "late",
        |n| {
            if n == 1 {
                Fate::NeverStarts("ResourceInitializationError: unable to pull secrets")
            } else {
                Fate::Undisturbed
            }
        },
        ("ok", 2, OK),
        "",
    ),
    (
        "never",
        |_| Fate::NeverStarts("CannotPullContainerError: manifest unknown"),
        ("never-started", 5, None),
        "CannotPullContainerError",
    ),
    (
        "no_capacity",
        |n| {
            if n <= 2 {
                Fate::Refused("AmazonECS.Unknown", "RESOURCE:CAPACITY")
            } else {
                Fate::Undisturbed
            }
        },
        ("ok", 1, OK),
        "",
    ),
    (
        "throttled",
        |n| {
            let cause =
                "Rate exceeded (Service: AmazonECS; Status Code: 400; Error Code: ThrottlingException)";
            if n <= 3 {
                Fate::Refused("ECS.ThrottlingException", cause)
            } else {
                Fate::Undisturbed
            }
        },
        ("ok", 1, OK),
        "",
    ),
    (
        "refused",
        |_| {
            Fate::Refused(
                "ECS.ClientException",
                "TaskDefinition is inactive (Service: AmazonECS; Status Code: 400)",
            )
        },
        ("refused-by-ecs", 1, None),
        "TaskDefinition is inactive",
    ),
    (
        "no_interface",
        |n| {
            let reason =
                "Unexpected EC2 error while attempting to Create Network Interface: RequestLimitExceeded";
            if n <= 2 {
                Fate::NeverStarts(reason)
            } else {
                Fate::Undisturbed
            }
        },
        ("ok", 1, OK),
        "",
    ),
    // Spot has none for as long as it is asked, six times; then on demand is.
    (
        "no_spot",
        |n| {
            if n <= 6 {
                Fate::Refused("AmazonECS.Unknown", "RESOURCE:CAPACITY")
            } else {
                Fate::Undisturbed
            }
        },
        ("ok", 1, OK),
        "",
    ),
];

/// The first `times` tasks get a signal while rows move.
fn meets(number: usize, times: usize, with: Signal, stop: Stop) -> Fate {
    if number > times {
        return Fate::Undisturbed;
    }
    Fate::Meets("pre-data", signal(with), stop)
}

#[test]
fn every_end_of_a_task_has_its_outcome_and_stops_no_other() {
    let rig = Rig::new("");
    for (schema, ..) in CASES.iter().filter(|(schema, ..)| *schema != "missing") {
        rig.at_source(&slow(schema));
    }
    let worker = container(&rig);
    let account = Account::new(
        move |schema| match schema {
            "wrong_password" => worker.clone().env("TARGET_PASSWORD", "not-the-password"),
            "unreachable" => worker.clone().env("TARGET_PORT", "1"),
            _ => worker.clone(),
        },
        |schema, number| {
            let (_, fate, ..) = CASES.iter().find(|(name, ..)| *name == schema).unwrap();
            fate(number)
        },
    );
    let schemas: Vec<&str> = CASES.iter().map(|(schema, ..)| *schema).collect();
    let input = json!({"schemas": schemas, "prepare": false, "report": false});
    let execution = machine(&[]).execute("weekend", &input, &account, SCALE);
    let seen = account.seen();
    for secret in [PASSWORD, "not-the-password"] {
        assert_no_secret(&execution, &seen, secret);
    }
    check_lines(&rig, &report(&execution, &seen), &seen);
    let Err(Failure {
        error,
        cause: Some(cause),
    }) = &execution.ended
    else {
        panic!("{:?}", execution.ended)
    };
    assert_eq!(error, "SchemasFailed");
    assert!(
        cause.contains(
            "{\"schema\":\"wrong_password\",\"outcome\":\"denied\",\"attempts\":1,\"exit_code\":77,"
        ),
        "{cause}"
    );
    assert!(!cause.contains("\"fine\""), "{cause}");
    // Three quarters of 15, 30, 60 …: waits for ECS; of 30, 60, 120, 240: attempts.
    for delay in [11.0, 22.0, 45.0, 90.0, 180.0, 360.0] {
        assert!(
            execution.waits.contains(&delay),
            "{delay} is not in {:?}",
            execution.waits
        );
    }
    // The last two attempts are not left to Spot, nor is what Spot has had no capacity for.
    assert_eq!(
        seen.providers
            .iter()
            .filter(|provider| *provider == "FARGATE")
            .count(),
        2 * 3 + 1
    );
    assert!(
        seen.overrides
            .iter()
            .all(|overrides| overrides.to_string().contains(r#""RUN_ID","Value":"weekend""#))
    );
}

/// Compares a report with [`CASES`], and what was loaded with its source.
fn check_lines(rig: &Rig, report: &Value, seen: &Seen) {
    let lines = report["schemas"].as_array().unwrap();
    for ((schema, _, (outcome, attempts, exit), words), line) in CASES.iter().zip(lines) {
        assert_eq!(
            (
                text(line, "schema"),
                text(line, "outcome"),
                line["attempts"].as_u64(),
                line["exit_code"].as_u64()
            ),
            (*schema, *outcome, Some(*attempts), *exit),
            "{line}"
        );
        assert!(text(line, "reason").contains(words), "{line}");
        let log = seen.logs.get(text(line, "log_stream"));
        assert_eq!(log.is_some(), exit.is_some(), "{line}");
        if *outcome == "ok" {
            assert_same(rig, schema);
        }
    }
}

static RESTARTED: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&Server::distribution()));

#[test]
fn a_target_that_restarts_costs_an_attempt() {
    static SOURCE: LazyLock<Cluster> = LazyLock::new(|| Cluster::start(&Server::distribution()));
    let rig = Rig::on(&SOURCE, &RESTARTED, &["a", "b", "c"].map(slow).concat());
    let worker = container(&rig);
    let account = Account::new(
        move |_| worker.clone(),
        |schema, number| match (schema, number) {
            ("b", 1) => Fate::Meets("pre-data", Box::new(|_| RESTARTED.restart()), Stop::EXITED),
            _ => Fate::Undisturbed,
        },
    );
    let execution = machine(&[]).execute("restart", &json!({"schemas": ["a", "b", "c"]}), &account, SCALE);
    let seen = account.seen();
    let report = report(&execution, &seen);
    assert_eq!(report["loaded"], 3, "{report}");
    assert_eq!(outcomes(&report)[1], ("b".to_owned(), "ok".to_owned(), 2));
    for schema in ["a", "b", "c"] {
        assert_same(&rig, schema);
    }
}

#[test]
fn a_task_that_hangs_past_its_timeout_is_stopped_and_tried_again() {
    let rig = Rig::new(&quick("s"));
    let worker = container(&rig);
    let account = Account::new(move |_| worker.clone(), |_, number| meets_stop(number));
    let machine = machine(&[("TaskSeconds", "2200")]);
    let started = Instant::now();
    let execution = machine.execute("hang", &json!({"schemas": ["s"]}), &account, SCALE);
    assert!(started.elapsed().as_secs() >= 25);
    let seen = account.seen();
    let lines = outcomes(&report(&execution, &seen));
    let timed_out = execution
        .events
        .iter()
        .filter(|(event, _)| *event == "TaskTimedOut")
        .count();
    // A slow machine may cost more than the one that hung.
    assert!(timed_out >= 1, "{lines:?}");
    assert_eq!(
        lines,
        [(
            "s".to_owned(),
            "ok".to_owned(),
            1 + u64::try_from(timed_out).unwrap()
        )]
    );
    assert_same(&rig, "s");
}

fn meets_stop(number: usize) -> Fate {
    match number {
        2 => Fate::Meets("connect", signal(Signal::SIGSTOP), Stop::EXITED),
        _ => Fate::Undisturbed,
    }
}

#[test]
fn names_of_every_kind_and_sizes_reach_the_task() {
    let names = [
        "with space",
        "it's",
        "say \"hi\"",
        "a,b",
        "ünïcødé€😀",
        "$1 {%x%}",
        "back\\slash",
    ];
    let rig = Rig::new(&names.map(quick).concat());
    let worker = container(&rig);
    let account = Account::new(move |_| worker.clone(), |_, _| Fate::Undisturbed);
    let mut schemas: Vec<Value> = names.iter().map(|name| quote_identifier(name).into()).collect();
    schemas.push(
        json!({"schema": "\"a,b\",\"it's\"", "cpu": 4096, "memory": "16384", "jobs": 2, "method": "pipe"}),
    );
    let input = json!({"schemas": schemas, "finalize": false});
    let execution = machine(&[("MaxConcurrency", "1")]).execute("names", &input, &account, SCALE);
    let seen = account.seen();
    assert_eq!(report(&execution, &seen)["failed"], 0, "{:?}", seen.published);
    assert_eq!(seen.peak, 1);
    for name in names {
        let sql = format!("SELECT count(*) FROM {}.t", quote_identifier(name));
        assert_eq!(rig.at_target(&sql), "20", "{name}");
    }
    let [.., last, _report] = &seen.overrides[..] else {
        panic!("{:?}", seen.overrides)
    };
    assert_eq!((text(last, "Cpu"), text(last, "Memory")), ("4096", "16384"));
    for variable in [
        r#"{"Name":"JOBS","Value":"2"}"#,
        r#"{"Name":"METHOD","Value":"pipe"}"#,
    ] {
        assert!(last.to_string().contains(variable), "{last}");
    }
    assert!(
        seen.overrides
            .iter()
            .take(2)
            .all(|overrides| overrides.get("Cpu").is_none())
    );
}

#[test]
fn secrets_of_every_shape_serve_and_one_may_rotate_between_attempts() {
    let rig = Rig::new(&["plain", "managed", "whole"].map(slow).concat());
    rig.at_target("CREATE ROLE rotated LOGIN SUPERUSER PASSWORD 'before-rotation'");
    let port = rig.source.port();
    let password = Arc::new(Mutex::new("before-rotation"));
    let now = Arc::clone(&password);
    // What the account's Secrets Manager holds at this moment.
    let held = move |id: &str| match id {
        "plain" => (*now.lock().unwrap()).to_owned(),
        "managed" => json!({"username": SUPERUSER, "password": PASSWORD}).to_string(),
        _ => json!({"host": "127.0.0.1", "port": port, "username": SUPERUSER, "password": PASSWORD})
            .to_string(),
    };
    let read = held.clone();
    let manager = SecretsManager::start(move |id| secret(&read(id)));
    let bare = ["SOURCE_HOST", "SOURCE_PORT", "SOURCE_USER", "SOURCE_PASSWORD"]
        .iter()
        .fold(manager.given_to(container(&rig)), |worker, name| {
            worker.without(name)
        })
        .env("TARGET_USER", "rotated");
    let (target, database) = (rig.target, rig.database.clone());
    let account = Account::new(
        move |schema| {
            // ECS reads what it injects anew for each task.
            let worker = bare.clone().env("TARGET_PASSWORD", held("plain"));
            match schema {
                "whole" => worker.env("SOURCE_SECRET_ID", "whole"),
                _ => worker
                    .env("SOURCE_SECRET_ID", "managed")
                    .env("SOURCE_HOST", "127.0.0.1")
                    .env("SOURCE_PORT", port.to_string()),
            }
        },
        move |schema, number| {
            let (password, database) = (Arc::clone(&password), database.clone());
            let rotate = move |running: &Running| {
                target.psql(&database, "ALTER ROLE rotated PASSWORD 'after-rotation'");
                *password.lock().unwrap() = "after-rotation";
                running.signal(Signal::SIGKILL);
            };
            match (schema, number) {
                ("plain", 1) => Fate::Meets("pre-data", Box::new(rotate), Stop::EXITED),
                _ => Fate::Undisturbed,
            }
        },
    );
    let input = json!({"schemas": ["whole", "plain", "managed"]});
    let execution = machine(&[("MaxConcurrency", "1")]).execute("secrets", &input, &account, SCALE);
    let seen = account.seen();
    for secret in [PASSWORD, "before-rotation", "after-rotation"] {
        assert_no_secret(&execution, &seen, secret);
    }
    let expected = [("whole", 1), ("plain", 2), ("managed", 1)];
    let expected = expected.map(|(schema, attempts)| (schema.to_owned(), "ok".to_owned(), attempts));
    assert_eq!(outcomes(&report(&execution, &seen)), expected);
}
