//! A stream that is cut must never look complete.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::{Cluster, Server, warehouse};

use crate::rig::{METHODS, Rig, assert_exit, text};
use crate::slow::{PATIENCE, SLOW_ROWS, assert_no_backends, child, wait_for_phase};

fn assert_not_complete(rig: &Rig) {
    let state = "SELECT state FROM schemaferry.load ORDER BY id DESC LIMIT 1";
    assert_eq!(rig.at_target(state), "loading");
}

#[test]
fn killed_programs_never_yield_success() {
    let rig = Rig::new(SLOW_ROWS);
    let cases = [
        ("pg_dump", 0),
        ("pg_restore", 0),
        ("pg_dump", 40),
        ("pg_restore", 700),
        ("pg_dump", 1500),
    ];
    for (program, delay_ms) in cases {
        let running = rig.worker("s").env("METHOD", "pipe").spawn();
        wait_for_phase(&running, "pre-data");
        let pid = child(&running, program);
        std::thread::sleep(Duration::from_millis(delay_ms));
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let output = running.wait();
        assert_eq!(
            output.exit, 75,
            "{program} after {delay_ms} ms\n{}",
            output.stdout
        );
        assert_not_complete(&rig);
    }
}

#[test]
fn terminated_backends_never_yield_success() {
    let rig = Rig::new(SLOW_ROWS);
    for (method, is_source, role) in [
        ("pipe", true, "pg_dump"),
        ("pipe", false, "pg_restore"),
        ("pipe", true, "snapshot"),
        ("copy", true, "copy"),
        ("copy", false, "copy"),
        ("copy", true, "snapshot"),
        ("copy", false, "lock"),
    ] {
        let running = rig.worker("s").env("METHOD", method).spawn();
        wait_for_phase(&running, "pre-data");
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name LIKE 'sf/%/{role}' AND datname = current_database() \
             AND (query ~ '^COPY \"?s\"?.\"?t' OR application_name ~ '/(snapshot|lock)$') \
             AND EXISTS (SELECT 1 FROM pg_stat_activity WHERE query ~ '^COPY \"?s\"?.\"?t')"
        );
        let end = || {
            if is_source {
                rig.at_source(&sql)
            } else {
                rig.at_target(&sql)
            }
        };
        let until = Instant::now() + PATIENCE;
        while end() != "1" {
            assert!(
                Instant::now() < until,
                "there is no backend of {role} by {method}"
            );
        }
        let output = running.wait();
        assert_eq!(output.exit, 75, "{role} by {method}\n{}", output.stdout);
        assert_not_complete(&rig);
    }
}

#[test]
fn a_run_in_which_nothing_moves_is_ended() {
    let rig = Rig::new(SLOW_ROWS);
    for program in ["pg_dump", "pg_restore"] {
        let running = rig
            .worker("s")
            .env("METHOD", "pipe")
            .env("STALL_TIMEOUT", "5s")
            .spawn();
        wait_for_phase(&running, "pre-data");
        kill(Pid::from_raw(child(&running, program)), Signal::SIGSTOP).unwrap();
        let output = running.wait();
        assert_eq!(output.exit, 75, "{program}\n{}", output.stdout);
        let reason = text(output.last(), "reason");
        for words in ["STALL_TIMEOUT", "target work waits for Client ClientRead after "] {
            assert!(reason.contains(words), "{words}: {reason}");
        }
        assert_not_complete(&rig);
        assert_no_backends(&rig);
    }
}

/// Longer than a connection waits for the answer of a host that is gone.
const PAUSE_SECONDS: u32 = 40;

#[test]
fn a_target_that_takes_nothing_for_a_while_is_waited_for() {
    let of_method = |method: &str| {
        let rig = Rig::new(&format!(
            "CREATE SCHEMA s; CREATE FUNCTION s.pause(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
             'BEGIN IF $1 = 9 AND current_setting(''application_name'') ~ ''^sf/.*/(pg_restore|copy)$'' THEN PERFORM pg_sleep({PAUSE_SECONDS}); END IF;
              RETURN $1; END';
             CREATE TABLE s.t (a int, b int GENERATED ALWAYS AS (s.pause(a)) STORED, v text);
             INSERT INTO s.t (a, v) SELECT i, repeat(md5(i::text), 2000) FROM generate_series(1, 1000) i"
        ));
        assert_exit(&rig.worker("s").env("METHOD", method).run(), 0);
        assert_eq!(rig.at_target("SELECT count(*) FROM s.t"), "1000");
    };
    std::thread::scope(|scope| {
        for method in METHODS {
            scope.spawn(move || of_method(method));
        }
    });
}

#[test]
fn a_schema_that_is_swapped_while_it_is_read_is_not_taken_for_the_old_one() {
    for method in METHODS {
        let rig = Rig::new(SLOW_ROWS);
        rig.at_source(
            "CREATE SCHEMA next; CREATE TABLE next.t (a int, v text); CREATE TABLE next.first (v text)",
        );
        let running = rig.worker("s").env("METHOD", method).spawn();
        wait_for_phase(&running, "pre-data");
        rig.at_source("ALTER SCHEMA s RENAME TO last; ALTER SCHEMA next RENAME TO s");
        let output = running.wait();
        assert_eq!(output.exit, 75, "{method}\n{}", output.stdout);
        let reason = text(output.last(), "reason");
        // Whichever look comes first says it in its own words.
        let words = [
            "its schema was renamed",
            "does not exist",
            "another table on the source",
            "definitions of the source were changed",
        ];
        assert!(
            words.iter().any(|words| reason.contains(words)),
            "{method}: {reason}"
        );
        assert_not_complete(&rig);
        assert_eq!(rig.worker("s").env("METHOD", method).run().exit, 0, "{method}");
    }
}

#[test]
fn a_commit_that_waits_for_a_standby_is_a_stall() {
    let start = || -> &'static Cluster { Box::leak(Box::new(Cluster::start(&Server::distribution()))) };
    let (source, target) = (start(), start());
    let rig = Rig::on(
        source,
        target,
        "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a",
    );
    target.psql(
        "postgres",
        &format!("ALTER DATABASE {} SET synchronous_commit = on", rig.database),
    );
    let standby = |name: &str| {
        let sql = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
        target.psql("postgres", &sql);
        target.psql("postgres", "SELECT pg_reload_conf()");
    };
    let worker = rig.worker("s");
    standby("nobody");
    let output = worker.clone().env("STALL_TIMEOUT", "5s").run();
    assert_eq!(output.exit, 75, "{}", output.stdout);
    let reason = text(output.last(), "reason");
    assert!(
        reason.contains("waits for a standby that synchronous_standby_names asks for in"),
        "{reason}"
    );
    standby("");
    assert_eq!(worker.run().exit, 0);
}

#[test]
fn a_wait_for_a_lock_is_limited_and_names_the_holder() {
    let rig =
        Rig::new("CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE SCHEMA o; CREATE TABLE o.parent (a int)");
    let hold = |cluster: &Cluster, table: &str| {
        let mut holder = cluster.client("psql", &rig.database);
        let sql = format!("BEGIN; LOCK TABLE {table}; SELECT pg_sleep(60)");
        holder
            .env("PGAPPNAME", "the_holder")
            .args(["-qc", &sql])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let wait_until_held = |cluster: &Cluster| {
        let sql = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation::regclass::text IN ('s.t', 'o.parent')";
        let until = Instant::now() + PATIENCE;
        while cluster.psql(&rig.database, sql) != "1" {
            assert!(Instant::now() < until, "the lock is not held");
        }
    };
    let release = |cluster: &Cluster, holder: &mut Child| {
        let sql =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the_holder'";
        cluster.psql(&rig.database, sql);
        holder.wait().unwrap();
    };
    let mut holder = hold(rig.source, "s.t");
    wait_until_held(rig.source);
    let output = rig.worker("s").env("LOCK_TIMEOUT", "2s").run();
    release(rig.source, &mut holder);
    assert_eq!(output.exit, 75, "{}", output.stdout);
    let reason = text(output.last(), "reason");
    assert!(
        reason.contains("s.t held by pid") && reason.contains("the_holder"),
        "{reason}"
    );
    assert_eq!(text(output.last(), "phase"), "snapshot");

    // On the target: a child needs its parent, which lives in a schema that was moved before.
    rig.at_target("CREATE SCHEMA o; CREATE TABLE o.parent (a int)");
    rig.at_source("CREATE TABLE s.child () INHERITS (o.parent)");
    let mut holder = hold(rig.target, "o.parent");
    wait_until_held(rig.target);
    let output = rig.worker("s").env("LOCK_TIMEOUT", "3s").run();
    release(rig.target, &mut holder);
    assert_eq!(output.exit, 75, "{}", output.stdout);
    let reason = text(output.last(), "reason");
    assert!(
        reason.contains("LOCK_TIMEOUT for a lock on the target") && reason.contains("the_holder"),
        "{reason}"
    );
    assert_eq!(text(output.last(), "phase"), "pre-data");
    assert_no_backends(&rig);
}

/// A pg_dump that cuts its stream of rows and still ends with 0.
fn cutting_pg_dump(directory: &Path, bytes: usize) {
    let real = Server::distribution();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*section=data*) {0}/pg_dump \"$@\" | head -c {bytes} ;;\n*) exec {0}/pg_dump \"$@\" ;;\nesac\n",
        real.bin().display()
    );
    let path = directory.join("pg_dump");
    fs::write(&path, script.replace("head", "/usr/bin/head")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let restore = directory.join("pg_restore");
    if !restore.exists() {
        std::os::unix::fs::symlink(real.program("pg_restore"), restore).unwrap();
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_noticed() {
    let rig = Rig::new(
        "CREATE SCHEMA s; CREATE TABLE s.a (v text); INSERT INTO s.a SELECT md5(i::text) FROM generate_series(1, 3000) i;
         CREATE TABLE s.b (v text); INSERT INTO s.b SELECT md5(i::text) FROM generate_series(1, 3000) i",
    );
    let directory = tempfile::tempdir().unwrap();
    for bytes in [0, 1, 100, 2000, 50_000, 100_000, 104_000, 150_000, 200_000] {
        cutting_pg_dump(directory.path(), bytes);
        let path =
            std::env::join_paths([directory.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
        let output = rig.worker("s").env("METHOD", "pipe").env("PATH", path).run();
        assert_ne!(output.exit, 0, "cut after {bytes} bytes\n{}", output.stdout);
        assert_eq!(text(output.last(), "phase"), "rows");
        assert_not_complete(&rig);
    }
}

#[test]
fn a_program_that_never_answers_is_passed_over() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a");
    let directory = tempfile::tempdir().unwrap();
    for program in ["pg_dump", "pg_restore"] {
        let path = directory.path().join(program);
        fs::write(&path, "#!/bin/sh\nexec /bin/sleep 600\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let worker = rig.worker("s");
    let known = worker.value("PATH");
    let path = std::iter::once(directory.path().to_owned()).chain(std::env::split_paths(&known));
    let output = worker.env("PATH", std::env::join_paths(path).unwrap()).run();
    assert_eq!(output.exit, 0, "{}", output.stdout);
    assert!(
        output.stdout.contains("program does not answer"),
        "{}",
        output.stdout
    );
}

#[test]
fn a_target_that_crashes_is_transient_and_the_next_run_makes_it_good() {
    let own: &'static Cluster = Box::leak(Box::new(Cluster::start(&Server::distribution())));
    let other: &'static Cluster = Box::leak(Box::new(Cluster::start(&Server::distribution())));
    let rig = Rig::on(own, other, SLOW_ROWS);
    for method in METHODS {
        let running = rig.worker("s").env("METHOD", method).spawn();
        wait_for_phase(&running, "pre-data");
        other.stop_immediate();
        let output = running.wait();
        assert_eq!(output.exit, 75, "{method}\n{}", output.stdout);
        other.start_again();
    }
    rig.at_source("CREATE OR REPLACE FUNCTION s.slow(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'");
    let output = rig.worker("s").run();
    assert_eq!(output.exit, 0, "{}", output.stdout);
    assert_eq!(
        warehouse::contents(other, &rig.database, "s"),
        warehouse::contents(own, &rig.database, "s")
    );
    assert_no_backends(&rig);
}

#[test]
fn a_prepared_transaction_in_the_way_is_named() {
    let rig = Rig::new("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS a");
    assert_exit(&rig.worker("s").run(), 0);
    let gid = format!("in the way of {}", rig.database);
    let prepare = format!("BEGIN; LOCK TABLE s.t; PREPARE TRANSACTION '{gid}'");
    let refused = |command: &str, method: &str| {
        let worker = rig.worker("s").arg(command).env("METHOD", method);
        let output = worker.env("LOCK_TIMEOUT", "2s").run();
        assert_exit(&output, 75);
        let reason = text(output.last(), "reason");
        assert!(
            reason.contains(&format!("prepared transaction '{gid}'")) && reason.contains("ROLLBACK PREPARED"),
            "{command}: {reason}"
        );
    };
    rig.at_source(&prepare);
    for (command, method) in [
        ("load", "copy"),
        ("load", "pipe"),
        ("refresh", "copy"),
        ("verify", "copy"),
        ("drift", "copy"),
    ] {
        refused(command, method);
    }
    rig.at_source(&format!("ROLLBACK PREPARED '{gid}'"));
    rig.at_source("INSERT INTO s.t VALUES (2)");
    rig.at_target(&prepare);
    for command in ["load", "prepare", "refresh", "verify"] {
        refused(command, "copy");
    }
    rig.at_target(&format!("ROLLBACK PREPARED '{gid}'"));
    assert_exit(&rig.worker("s").arg("refresh").run(), 0);
}
