//! What the log says: every record has its form, and nothing in it, nor in any child, is secret.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use testbed::Output;
use testbed::Worker;
use testbed::cluster::PASSWORD;

use crate::rig::{METHODS, Rig, assert_exit, text};
use crate::slow::{SLOW_ROWS, child, wait_for_phase};

const PHASES: &[&str] = &[
    "configure",
    "connect",
    "lock",
    "preflight",
    "snapshot",
    "archive",
    "clear",
    "pre-data",
    "rows",
    "sequences",
    "post-data",
    "analyze",
    "verify",
    "privileges",
    "complete",
];
/// CloudWatch's console and FireLens cut longer lines.
const LINE_MAX: usize = 16 * 1024;

#[test]
fn every_record_has_its_form() {
    let rig = Rig::new(
        "CREATE SCHEMA s; DO $$ BEGIN FOR i IN 1..300 LOOP
         EXECUTE format('CREATE TABLE s.table_with_a_long_name_to_fill_the_last_record_%s (a int)', i); END LOOP; END $$",
    );
    for method in METHODS {
        let output = rig.worker("s").env("METHOD", method).env("RUN_ID", "run-1").run();
        assert_exit(&output, 0);
        check_form(&output);
        rig.at_target("DROP SCHEMA s CASCADE");
    }
}

fn check_form(output: &Output) {
    assert_eq!(output.stderr, "");
    assert_eq!(
        output.records.len(),
        output.stdout.lines().count(),
        "every line is a record"
    );
    for line in output.stdout.lines() {
        assert!(line.len() < LINE_MAX, "{} bytes", line.len());
    }
    for record in &output.records {
        for field in [
            "name", "hostname", "pid", "time", "level", "v", "msg", "run_id", "schema",
        ] {
            assert!(record.get(field).is_some(), "{field} is not in {record}");
        }
        assert_eq!((text(record, "run_id"), text(record, "schema")), ("run-1", "s"));
        assert_eq!(text(record, "msg"), text(record, "msg").to_lowercase());
        let phase = text(record, "phase");
        assert!(phase.is_empty() || PHASES.contains(&phase), "{phase}");
    }
    let message = |wanted: &str| {
        output
            .records
            .iter()
            .filter(|record| text(record, "msg") == wanted)
            .count()
    };
    assert_eq!(message("run started"), 1);
    assert_eq!(message("table moved"), 300);
    assert_eq!(message("phase done"), PHASES.len() - 1);
    let last = output.last();
    assert_eq!(text(last, "msg"), "run ended");
    assert_eq!(last.pointer("/totals/tables"), Some(&300.into()));
    assert_eq!(last.get("slowest").unwrap().as_array().unwrap().len(), 20);
    let phases: Vec<&str> = last
        .get("phases")
        .unwrap()
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| text(phase, "phase"))
        .collect();
    assert_eq!(phases, PHASES);
}

#[test]
fn no_password_and_no_row_appears_anywhere() {
    let rig = Rig::new(SLOW_ROWS);
    let running = rig
        .worker("s")
        .env("METHOD", "pipe")
        .env("LOG_LEVEL", "debug")
        .spawn();
    wait_for_phase(&running, "pre-data");
    for program in ["pg_dump", "pg_restore"] {
        let pid = child(&running, program);
        for file in ["cmdline", "environ"] {
            let held = fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert!(
                !String::from_utf8_lossy(&held).contains(PASSWORD),
                "the password is in {file} of {program}"
            );
        }
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let group = status
            .rsplit_once(") ")
            .unwrap()
            .1
            .split(' ')
            .nth(2)
            .unwrap()
            .to_owned();
        assert_eq!(
            group,
            pid.to_string(),
            "{program} leads a process group of its own"
        );
    }
    rig.at_target("SELECT pg_sleep(1)");
    rig.at_target("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'sf/%/pg_restore' AND datname = current_database()");
    let output = running.wait();
    assert_ne!(output.exit, 0);
    assert!(!output.stdout.contains(PASSWORD) && !output.stderr.contains(PASSWORD));
    assert!(!output.stdout.contains("row-value"), "{}", output.stdout);
}

#[test]
fn the_rows_that_a_server_refuses_are_withheld() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE FUNCTION s.known(text) RETURNS bool LANGUAGE plpgsql AS
         'BEGIN IF current_setting(''application_name'') LIKE ''sf/%'' THEN RAISE invalid_text_representation USING MESSAGE = ''bad value \"'' || $1 || ''\"''; END IF; RETURN true; END';
         CREATE TABLE s.a (a text CHECK (s.known(a))); INSERT INTO s.a VALUES ('secret-row')",
    );
    // pg_restore does not say who has raised it.
    for (method, words) in [("copy", "raised by a function"), ("pipe", "bad value \"…\"")] {
        let output = rig
            .worker("s")
            .env("METHOD", method)
            .env("LOG_LEVEL", "debug")
            .run();
        assert_exit(&output, 65);
        let last = output.last();
        assert!(text(last, "reason").contains(words), "{last}");
        assert!(!output.stdout.contains("secret-row"), "{}", output.stdout);
    }
}

#[test]
fn a_command_that_does_not_exist_is_the_last_record_too() {
    let worker = Worker::new(env!("CARGO_BIN_EXE_schemaferry")).arg("lod");
    let output = worker.clone().run();
    assert_exit(&output, 64);
    assert_eq!(text(output.last(), "msg"), "run ended");
    assert_eq!(text(output.last(), "outcome"), "usage");
    assert!(
        text(output.last(), "reason").contains("'lod'"),
        "{}",
        output.last()
    );
    let person = worker.env("LOG_FORMAT", "text").run();
    assert_exit(&person, 64);
    assert!(person.stdout.contains("Usage: schemaferry"), "{}", person.stdout);
}

#[test]
fn a_machine_without_room_for_another_file_is_not_one_without_programs() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int)");
    // Enough for both servers, too few for a client program's pipes.
    let exits: BTreeSet<i32> = (12..30)
        .map(|files| {
            let output = rig
                .worker("s")
                .through("sh", &["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")])
                .run();
            let reason = text(output.last(), "reason");
            assert!(!reason.contains("install the"), "{files} files: {reason}");
            output.exit
        })
        .collect();
    assert!(exits.contains(&74), "{exits:?}");
}

#[test]
fn a_person_gets_plain_words() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int)");
    let worker = rig.worker("s").env("LOG_FORMAT", "text");
    let check = worker.clone().arg("check").run();
    assert_exit(&check, 0);
    assert!(
        check
            .stdout
            .contains("  ok      target schema: schema \"s\" is not there and will be created"),
        "{}",
        check.stdout
    );
    let load = worker.run();
    assert_exit(&load, 0);
    assert_eq!(load.records, Vec::<Value>::new());
    assert!(
        load.stdout.contains("table moved: rows, s.t, 0 rows"),
        "{}",
        load.stdout
    );
    let refused = rig.worker("nothing").env("LOG_FORMAT", "text").arg("check").run();
    assert_exit(&refused, 78);
    assert!(
        refused
            .stdout
            .contains("  REFUSED source schema: source: schema \"nothing\" does not exist"),
        "{}",
        refused.stdout
    );
}
