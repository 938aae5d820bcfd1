//! A stream that is cut must never look complete.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testbed::Server;

use crate::rig::{Rig, text};
use crate::slow::{PATIENCE, SLOW_ROWS, child, wait_for_phase};

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
        let running = rig.worker("s").spawn();
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
    for (is_source, role) in [
        (true, "pg_dump"),
        (false, "pg_restore"),
        (true, "snapshot"),
        (false, "lock"),
    ] {
        let running = rig.worker("s").spawn();
        wait_for_phase(&running, "pre-data");
        let _pid = child(&running, "pg_restore");
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name LIKE 'sf/%/{role}' AND datname = current_database() \
             AND (query LIKE 'COPY s.t%' OR application_name NOT LIKE '%/pg_%')"
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
            assert!(Instant::now() < until, "there is no backend of {role}");
        }
        let output = running.wait();
        assert_eq!(output.exit, 75, "{role}\n{}", output.stdout);
        assert_not_complete(&rig);
    }
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
        let output = rig.worker("s").env("PATH", path).run();
        assert_ne!(output.exit, 0, "cut after {bytes} bytes\n{}", output.stdout);
        assert_eq!(text(output.last(), "phase"), "rows");
        assert_not_complete(&rig);
    }
}
