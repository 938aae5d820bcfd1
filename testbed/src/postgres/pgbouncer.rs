//! A real pgbouncer in front of a cluster.

use std::env;
use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::{Cluster, PASSWORD, SUPERUSER, as_owner, free_port, give_to_owner};

/// Where Debian's package has it.
const INSTALLED: &str = "/usr/sbin/pgbouncer";
/// How long it may take to listen.
const START: Duration = Duration::from_secs(10);
/// Runs `$1` on `$2` until standard input ends, which it does however this process ends.
const KEEPER: &str = r#""$1" "$2" & read -r order || : ; kill $!; wait"#;

/// Pools the connections of the superuser, whatever password is given. Ended on drop.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    keeper: Child,
    _directory: TempDir,
}

impl PgBouncer {
    /// Starts one (`TEST_PGBOUNCER`, or the one that is installed) with a `pool_mode` of `transaction`, say.
    #[must_use]
    pub fn start(cluster: &Cluster, pool_mode: &str) -> Self {
        let program = env::var_os("TEST_PGBOUNCER").map_or_else(|| PathBuf::from(INSTALLED), PathBuf::from);
        assert!(
            program.exists(),
            "{} is lacking: see scripts/pgbouncer",
            program.display()
        );
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let users = directory.path().join("users");
        fs::write(&users, format!("\"{SUPERUSER}\" \"{PASSWORD}\"\n")).unwrap();
        let settings = directory.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {pool_mode}\n",
            cluster.host(),
            cluster.port(),
            users.display()
        );
        fs::write(&settings, text).unwrap();
        for path in [directory.path(), &users, &settings] {
            give_to_owner(path);
        }
        let keeper = as_owner("/bin/sh".as_ref())
            .args(["-c", KEEPER, "keeper"])
            .args([&program, &settings])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < START, "pgbouncer does not listen");
            std::thread::yield_now();
        }
        Self {
            port,
            keeper,
            _directory: directory,
        }
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        assert!(
            self.keeper.wait().is_ok(),
            "the keeper of pgbouncer has ended before it"
        );
    }
}
