//! Schemas that take their time where a test wants them to, and what a run must not leave behind.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::Running;

use crate::rig::{Rig, text};

/// Each row waits on the target while it is loaded: ten milliseconds, a thousand rows.
pub(crate) const SLOW_ROWS: &str = "CREATE SCHEMA s; CREATE FUNCTION s.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN IF inet_server_port() IS NOT NULL AND current_setting(''application_name'') ~ ''^sf/.*/(pg_restore|copy)$'' THEN PERFORM pg_sleep(0.01); END IF; RETURN $1; END';
    CREATE TABLE s.first (v text); INSERT INTO s.first VALUES ('row-value-first');
    CREATE TABLE s.t (a int, b int GENERATED ALWAYS AS (s.slow(a)) STORED, v text);
    INSERT INTO s.t (a, v) SELECT i, 'row-value-' || repeat(md5(i::text), 1000) FROM generate_series(1, 1000) i";

/// An index takes ten seconds on the target.
pub(crate) const SLOW_INDEX: &str = "CREATE SCHEMA s; CREATE FUNCTION s.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    'BEGIN IF current_setting(''application_name'') ~ ''^sf/.*/(pg_restore|copy)$'' THEN PERFORM pg_sleep(0.01); END IF; RETURN $1; END';
    CREATE TABLE s.t (a int); INSERT INTO s.t SELECT i FROM generate_series(1, 1000) i; CREATE INDEX ON s.t (s.slow(a))";

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until a phase is over.
pub(crate) fn wait_for_phase(running: &Running, phase: &str) {
    let done = |record: &Value| text(record, "msg") == "phase done" && text(record, "phase") == phase;
    let _done = running.wait_for_record(done, PATIENCE);
}

/// Child processes, by the name of their program.
pub(crate) fn children(parent: i32) -> Vec<(i32, String)> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let (Some((_, after)), Some((_, name))) = (stat.rsplit_once(") "), stat.split_once('(')) else {
            continue;
        };
        if after.split(' ').nth(1) == Some(&parent.to_string()) {
            children.push((pid, name.split(')').next().unwrap().to_owned()));
        }
    }
    children
}

/// Waits until a child of that name runs.
pub(crate) fn child(running: &Running, name: &str) -> i32 {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some((pid, _)) = children(running.pid())
            .into_iter()
            .find(|(_, child)| child == name)
        {
            return pid;
        }
        assert!(Instant::now() < until, "no {name} was started");
        std::thread::yield_now();
    }
}

/// Nothing of any run may be left on either server.
pub(crate) fn assert_no_backends(rig: &Rig) {
    let sql = "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'sf/%' \
               AND datname = current_database()";
    assert_eq!(rig.at_source(sql), "", "backends on the source");
    assert_eq!(rig.at_target(sql), "", "backends on the target");
}
