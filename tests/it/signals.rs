//! Signals: obeyed within five seconds, with nothing left anywhere, whether anybody reads what is logged or not.

use std::fs;
use std::io::{PipeReader, Write as _};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Cluster, warehouse};

use crate::rig::{GRID, METHODS, Rig, assert_exit, text};
use crate::slow::{PATIENCE, SLOW_INDEX, SLOW_ROWS, assert_no_backends, children, wait_for_phase};

#[test]
fn a_signal_is_obeyed_in_every_phase() {
    let cases = [
        (SLOW_ROWS, "pre-data", "rows", Signal::SIGTERM, 143),
        (SLOW_ROWS, "pre-data", "rows", Signal::SIGINT, 130),
        (SLOW_ROWS, "archive", "", Signal::SIGHUP, 143),
        (SLOW_ROWS, "archive", "", Signal::SIGQUIT, 143),
        (SLOW_INDEX, "sequences", "post-data", Signal::SIGTERM, 143),
        (SLOW_INDEX, "connect", "", Signal::SIGTERM, 143),
    ];
    for (method, rig) in GRID {
        for case in cases {
            obeys(method, &rig(case.0), case);
        }
    }
}

fn obeys(method: &str, rig: &Rig, (_, after, during, signal, exit): (&str, &str, &str, Signal, i32)) {
    let directory = tempfile::tempdir().unwrap();
    let worker = rig
        .worker("s")
        .env("METHOD", method)
        .env("RUN_DIR", directory.path());
    let running = worker.spawn();
    wait_for_phase(&running, after);
    let pid = running.pid();
    let sent = Instant::now();
    running.signal(signal);
    let output = running.wait();
    assert!(
        sent.elapsed() < Duration::from_secs(5),
        "{:?} in {during} of {method}",
        sent.elapsed()
    );
    assert_exit(&output, exit);
    if !during.is_empty() {
        assert_eq!(text(output.last(), "phase"), during);
        let told = "SELECT concat_ws(' ', state, summary->>'exit', summary->'phases'->-1->>'phase') FROM schemaferry.load";
        assert_eq!(
            rig.at_target(told),
            format!("loading {exit} {during}"),
            "{method}"
        );
    }
    assert_eq!(children(pid), [], "children are left");
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        0,
        "the passfile is left"
    );
    assert_no_backends(rig);
}

#[test]
fn signals_that_ask_for_nothing_change_nothing() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int)");
    let running = rig.worker("s").spawn();
    wait_for_phase(&running, "configure");
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM] {
        running.signal(signal);
    }
    assert_exit(&running.wait(), 0);
}

/// A worker whose standard output is a pipe that is full and that nobody reads.
fn unread(rig: &Rig, variables: &[(&str, &str)]) -> (Child, PipeReader) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let mut command = rig.worker("s").command();
    let child = command
        .envs(variables.iter().copied())
        .stdout(writer)
        .spawn()
        .unwrap();
    (child, reader)
}

#[test]
fn nobody_has_to_read_the_log() {
    // The deadline, a signal, and the end of a load: none waits for a reader.
    let small = "CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (1)";
    let cases = [
        (small, None, 0),
        (SLOW_ROWS, Some("MAX_RUNTIME"), 75),
        (SLOW_ROWS, Some("SIGTERM"), 143),
    ];
    for (sql, end, exit) in cases {
        let rig = Rig::new(sql);
        let limit = if end == Some("MAX_RUNTIME") { "3s" } else { "none" };
        let (mut child, reader) = unread(&rig, &[("MAX_RUNTIME", limit), ("LOG_LEVEL", "debug")]);
        let until = Instant::now() + PATIENCE;
        if end == Some("SIGTERM") {
            let loading = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY %' AND application_name LIKE 'sf/%' AND datname = current_database()";
            rig.wait_for_target(loading, |count| count != "0");
            kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        }
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "{end:?}: it waits for a reader");
            std::thread::sleep(Duration::from_millis(50));
        };
        drop(reader);
        assert_eq!(status.code(), Some(exit), "{end:?}");
        assert_no_backends(&rig);
    }
}

#[test]
fn a_deadline_ends_a_run_as_transient() {
    let rig = Rig::new(SLOW_ROWS);
    let output = rig.worker("s").env("MAX_RUNTIME", "3s").run();
    assert_exit(&output, 75);
    assert!(
        text(output.last(), "reason").contains("MAX_RUNTIME"),
        "{}",
        output.last()
    );
    assert_no_backends(&rig);
}

#[test]
fn a_killed_worker_leaves_nothing_that_the_next_one_does_not_sweep() {
    let rig = Rig::new(SLOW_ROWS);
    let directory = tempfile::tempdir().unwrap();
    let worker = rig.worker("s").env("RUN_DIR", directory.path());
    for (after, method) in [
        ("archive", "copy"),
        ("clear", "copy"),
        ("pre-data", "copy"),
        ("clear", "pipe"),
        ("pre-data", "pipe"),
    ] {
        let running = worker.clone().env("METHOD", method).spawn();
        wait_for_phase(&running, after);
        running.signal(Signal::SIGKILL);
        assert_eq!(running.wait().exit, -9);
    }
    rig.at_source("CREATE OR REPLACE FUNCTION s.slow(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'");
    assert_exit(&worker.run(), 0);
    assert_eq!(
        warehouse::contents(rig.target, &rig.database, "s"),
        warehouse::contents(rig.source, &rig.database, "s")
    );
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        0,
        "passfiles of killed runs are left"
    );
    assert_no_backends(&rig);
}

#[test]
fn a_kill_at_any_moment_is_made_good_by_the_next_run() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.t (id serial PRIMARY KEY, v text); INSERT INTO s.t (v) SELECT md5(i::text) FROM generate_series(1, 20000) i;
         DO $$ BEGIN FOR i IN 1..120 LOOP EXECUTE format('CREATE TABLE s.t%s (id int PRIMARY KEY REFERENCES s.t)', i); END LOOP; END $$",
    );
    let worker = rig.worker("s");
    assert_exit(&worker.run(), 0);
    for (delay, method) in (300..3000).step_by(150).zip(METHODS.into_iter().cycle()) {
        let running = worker.clone().env("METHOD", method).spawn();
        std::thread::sleep(Duration::from_millis(delay));
        running.signal(Signal::SIGKILL);
        // One that was done by then has done it well.
        assert!([-9, 0].contains(&running.wait().exit));
    }
    assert_exit(&worker.run(), 0);
    for look in [
        warehouse::contents,
        |cluster: &Cluster, database: &str, schema: &str| {
            warehouse::definition(cluster, database, schema).join("\n")
        },
    ] {
        assert_eq!(
            look(rig.target, &rig.database, "s"),
            look(rig.source, &rig.database, "s")
        );
    }
    assert_no_backends(&rig);
}

#[test]
fn the_lock_of_a_worker_that_is_dead_passes_to_the_next() {
    let rig = Rig::new(SLOW_ROWS);
    rig.at_target("CREATE ROLE onlooker LOGIN PASSWORD 'testbed' IN ROLE pg_read_all_stats");
    // Its host is gone, and no server was told.
    let dead = rig.worker("s").spawn();
    wait_for_phase(&dead, "pre-data");
    dead.signal(Signal::SIGSTOP);
    let powerless = rig
        .worker("s")
        .env("TARGET_USER", "onlooker")
        .env("WAIT_TIMEOUT", "2m");
    let output = powerless.run();
    assert_exit(&output, 75);
    let reason = text(output.last(), "reason");
    assert!(reason.contains("was silent for 3"), "{reason}");
    assert!(reason.contains("SELECT pg_terminate_backend("), "{reason}");
    rig.at_source("CREATE OR REPLACE FUNCTION s.slow(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'");
    let heir = rig.worker("s").run();
    assert_exit(&heir, 0);
    assert!(
        heir.stdout.contains("ended the session of a worker that is dead"),
        "{}",
        heir.stdout
    );
    dead.signal(Signal::SIGCONT);
    assert_exit(&dead.wait(), 75);
    assert_eq!(
        warehouse::contents(rig.target, &rig.database, "s"),
        warehouse::contents(rig.source, &rig.database, "s")
    );
    assert_no_backends(&rig);
}
