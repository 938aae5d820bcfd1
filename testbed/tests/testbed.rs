//! The testbed itself: every installed server starts, lets in whom it should, and leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a failed setup step is a failed test")]
#![expect(clippy::disallowed_methods, reason = "the tests of a crate that spawns")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use testbed::cluster::{PASSWORD, role};
use testbed::{Cluster, Server, Worker};

/// Runs psql over TCP with a connection string; what it printed, or its error.
fn over_tcp(cluster: &Cluster, user: &str, more: &str) -> Result<String, String> {
    let string = format!(
        "host={} port={} dbname=postgres user={user} password={PASSWORD} {more}",
        cluster.host(),
        cluster.port()
    );
    let output = Command::new(cluster.server().program("psql"))
        .args([
            "-X",
            "-A",
            "-t",
            "-c",
            "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        ])
        .args(["-d", &string])
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn every_installed_server_starts_and_lets_in_by_method() {
    for server in Server::all() {
        let cluster = Cluster::start(&server);
        assert_eq!(cluster.psql("postgres", "SELECT 1; SELECT 'a', 'b'"), "1\na|b");
        assert!(
            cluster
                .psql("postgres", "SHOW server_version_num")
                .starts_with(&server.major().to_string())
        );
        for user in [
            role::SCRAM,
            role::MD5,
            role::CLEARTEXT,
            role::PLAIN_ONLY,
            "postgres",
        ] {
            assert_eq!(
                over_tcp(&cluster, user, "sslmode=disable"),
                Ok(format!("{user}|f"))
            );
        }
        for user in [role::REJECTED, role::TLS_ONLY] {
            assert!(
                over_tcp(&cluster, user, "sslmode=disable")
                    .unwrap_err()
                    .contains("rejects")
            );
        }
        assert!(over_tcp(&cluster, role::SCRAM, "password=wrong").is_err());
    }
}

#[test]
fn tls_is_verified_against_the_clusters_own_ca_alone() {
    let cluster = Cluster::start(&Server::distribution());
    let verified = |ca: PathBuf, host: &str| {
        let more = format!("host={host} sslmode=verify-full sslrootcert={}", ca.display());
        over_tcp(&cluster, role::TLS_ONLY, &more)
    };
    assert_eq!(
        verified(cluster.ca(), "127.0.0.1"),
        Ok("by_tls_only|t".to_owned())
    );
    assert_eq!(
        verified(cluster.ca(), "localhost"),
        Ok("by_tls_only|t".to_owned())
    );
    assert!(
        verified(cluster.unrelated_ca(), "localhost")
            .unwrap_err()
            .contains("certificate verify failed")
    );
    assert!(
        over_tcp(&cluster, role::PLAIN_ONLY, "sslmode=require")
            .unwrap_err()
            .contains("rejects")
    );
}

#[test]
fn settings_databases_and_access_are_the_callers() {
    let cluster = Cluster::start_with(&Server::distribution(), &[("max_connections", "17")]);
    assert_eq!(cluster.psql("postgres", "SHOW max_connections"), "17");
    cluster.create_database("a \"b\" é");
    assert_eq!(
        cluster.psql("a \"b\" é", "SELECT current_database()"),
        "a \"b\" é"
    );
    cluster.prepend_access("host all by_scram 127.0.0.1/32 reject");
    assert!(
        over_tcp(&cluster, role::SCRAM, "")
            .unwrap_err()
            .contains("rejects")
    );
}

#[test]
fn a_failed_statement_is_told_and_stops_the_rest() {
    let cluster = Cluster::start(&Server::distribution());
    let message = cluster
        .try_psql("postgres", "SELECT 1/0; CREATE TABLE never ()")
        .unwrap_err();
    assert!(message.contains("division by zero"), "{message}");
    assert_eq!(
        cluster.psql("postgres", "SELECT to_regclass('never') IS NULL"),
        "t"
    );
}

#[test]
fn a_cluster_survives_restart_and_crash_and_is_removed_on_drop() {
    let cluster = Cluster::start(&Server::newest());
    cluster.psql("postgres", "CREATE TABLE kept AS SELECT 1 AS number");
    let (before, directory) = (cluster.pid(), cluster.socket().to_owned());
    cluster.restart();
    assert_ne!(cluster.pid(), before);
    cluster.stop_immediate();
    assert!(cluster.try_psql("postgres", "SELECT 1").is_err());
    cluster.start_again();
    assert_eq!(cluster.psql("postgres", "TABLE kept"), "1");
    drop(cluster);
    assert!(!directory.exists());
}

#[test]
fn a_worker_has_only_the_environment_it_was_given() {
    let output = Worker::new("/bin/sh")
        .arg("-c")
        .arg("env; echo oops >&2; exit 75")
        .env("A", "b c")
        .run();
    assert_eq!(output.exit, 75);
    assert_eq!(output.stderr, "oops\n");
    let names: Vec<_> = output
        .stdout
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    let known = ["A", "PATH", "PWD", "SHLVL", "_"];
    assert!(
        names.contains(&"A") && names.iter().all(|name| known.contains(name)),
        "{names:?}"
    );
}

#[test]
fn records_are_waited_for_and_signals_end_the_worker() {
    let script = r#"echo '{"phase":"lock"}'; echo not json; echo '{"phase":"rows"}'; exec sleep 60"#;
    let running = Worker::new("/bin/sh").arg("-c").arg(script).spawn();
    let record = running.wait_for_record(|record| record["phase"] == "rows", Duration::from_secs(10));
    assert_eq!(record["phase"], "rows");
    running.signal(nix::sys::signal::Signal::SIGTERM);
    let output = running.wait();
    assert_eq!(output.exit, -15);
    assert_eq!(output.records.len(), 2);
}
