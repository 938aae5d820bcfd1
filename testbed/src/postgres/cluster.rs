//! A real PostgreSQL cluster in a temporary directory, with TLS and a role per authentication method.
//!
//! A keeper process stands beside each cluster and waits for the end of its standard input. Dropping the
//! cluster gives it its orders; when this process dies in any other way, or a cluster lives in a `static`
//! that is never dropped, the pipe closes all the same. So no server outlives the process that started it.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, Uid, User};

use crate::postgres::certificates;
use crate::server::Server;

/// The superuser: trusted over the socket, scram with [`PASSWORD`] over TCP.
pub const SUPERUSER: &str = "postgres";

/// The password of every role that the cluster begins with.
pub const PASSWORD: &str = "testbed";

/// Roles that can log in, one for each authentication method of `pg_hba.conf`.
pub mod role {
    /// scram-sha-256, with or without TLS.
    pub const SCRAM: &str = "by_scram";
    /// md5, its password stored as md5 too.
    pub const MD5: &str = "by_md5";
    /// The password in clear text.
    pub const CLEARTEXT: &str = "by_password";
    /// Let in over TLS only (`hostssl`).
    pub const TLS_ONLY: &str = "by_tls_only";
    /// Let in without TLS only (`hostnossl`).
    pub const PLAIN_ONLY: &str = "by_plain_only";
    /// Always rejected.
    pub const REJECTED: &str = "rejected";
}

/// The first line that fits decides. Whoever is not named here comes in with scram, over TCP and the socket.
const ACCESS: &str = "\
local     all          postgres                    trust
local     replication  postgres                    trust
host      all          by_scram       127.0.0.1/32 scram-sha-256
host      all          by_md5         127.0.0.1/32 md5
host      all          by_password    127.0.0.1/32 password
hostssl   all          by_tls_only    127.0.0.1/32 scram-sha-256
host      all          by_tls_only    127.0.0.1/32 reject
hostnossl all          by_plain_only  127.0.0.1/32 scram-sha-256
host      all          by_plain_only  127.0.0.1/32 reject
host      all          rejected       127.0.0.1/32 reject
host      all          all            127.0.0.1/32 scram-sha-256
host      replication  all            127.0.0.1/32 scram-sha-256
local     all          all                         scram-sha-256
";

const ROLES: &str = "\
ALTER ROLE postgres PASSWORD 'testbed';
CREATE ROLE by_scram LOGIN PASSWORD 'testbed';
CREATE ROLE by_password LOGIN PASSWORD 'testbed';
CREATE ROLE by_tls_only LOGIN PASSWORD 'testbed';
CREATE ROLE by_plain_only LOGIN PASSWORD 'testbed';
CREATE ROLE rejected LOGIN PASSWORD 'testbed';
SET password_encryption = 'md5';
CREATE ROLE by_md5 LOGIN PASSWORD 'testbed';
";

/// Made for short lives: nothing is flushed to disk.
const SETTINGS: &[(&str, &str)] = &[
    // What servers before 14 do not do by themselves.
    ("password_encryption", "scram-sha-256"),
    // The certificate is for the first alone.
    ("listen_addresses", "127.0.0.1,127.0.0.2"),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
    ("max_wal_size", "2GB"),
    ("max_prepared_transactions", "8"),
    ("log_line_prefix", "%m [%p] %q%u@%d %a "),
    ("lc_messages", "C"),
    ("timezone", "UTC"),
];

const TLS_SETTINGS: &[(&str, &str)] = &[
    ("ssl", "on"),
    ("ssl_cert_file", "../server.pem"),
    ("ssl_key_file", "../server.key"),
];

/// Stops the server of `$1/data` and removes `$1` as soon as standard input ends, unless it said `keep`.
const KEEPER: &str = r#"
read -r order || :
if test -e "$1/data/postmaster.pid"; then "$2/pg_ctl" stop -s -w -m immediate -D "$1/data"; fi
if test "$order" != keep; then rm -rf "$1"; fi
"#;

/// A free port is only known to have been free, so a start is tried this often.
const START_ATTEMPTS: u32 = 5;

/// A running cluster. It is stopped and removed on drop; a panicking thread keeps its directory.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    directory: PathBuf,
    port: u16,
    keeper: Child,
}

impl Cluster {
    /// Starts a cluster of this installation.
    #[must_use]
    pub fn start(server: &Server) -> Self {
        Self::start_with(server, &[])
    }

    /// Starts one with more settings, as they would stand in `postgresql.conf`.
    #[must_use]
    pub fn start_with(server: &Server, settings: &[(&str, &str)]) -> Self {
        Self::start_in(&env::temp_dir(), server, settings)
    }

    /// Starts one whose directory is made in this one.
    #[must_use]
    pub fn start_in(parent: &Path, server: &Server, settings: &[(&str, &str)]) -> Self {
        let directory = create_directory(parent);
        let mut cluster = Self {
            server: server.clone(),
            keeper: keep(server, &directory),
            directory,
            port: 0,
        };
        if server.tls() {
            certificates::write(&cluster.directory);
            for entry in fs::read_dir(&cluster.directory).unwrap() {
                give_to_owner(&entry.unwrap().path());
            }
        }
        cluster.run(
            "initdb",
            [
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
        );
        cluster.configure(settings);
        fs::write(cluster.data().join("pg_hba.conf"), ACCESS).unwrap();
        cluster.start_on_a_free_port();
        cluster.psql("postgres", ROLES);
        cluster
    }

    /// Starts a standby of it, which replays what [`Cluster::replay`] tells it to.
    #[must_use]
    pub fn standby(&self) -> Self {
        let directory = create_directory(&env::temp_dir());
        let mut standby = Self {
            server: self.server.clone(),
            keeper: keep(&self.server, &directory),
            directory,
            port: 0,
        };
        let primary = format!(
            "host={} port={} user={SUPERUSER}",
            self.directory.display(),
            self.port
        );
        let data = standby.data().display().to_string();
        standby.run(
            "pg_basebackup",
            ["-d", &primary, "-D", &data, "-X", "stream", "-c", "fast"],
        );
        if self.server.tls() {
            certificates::write(&standby.directory);
            for entry in fs::read_dir(&standby.directory).unwrap() {
                give_to_owner(&entry.unwrap().path());
            }
        }
        // What the primary is set to has come with its data.
        let path = standby.data().join("postgresql.auto.conf");
        let mut settings = fs::read_to_string(&path).unwrap();
        for (name, value) in [
            ("unix_socket_directories", &*standby.directory.to_string_lossy()),
            ("primary_conninfo", primary.as_str()),
            ("max_standby_streaming_delay", "-1"),
        ] {
            writeln!(settings, "{name} = '{value}'").unwrap();
        }
        fs::write(path, settings).unwrap();
        fs::write(standby.standby_signal(), "").unwrap();
        give_to_owner(&standby.standby_signal());
        standby.start_on_a_free_port();
        standby
    }

    /// Has a standby replay what its primary has written so far, and nothing after it.
    pub fn replay(&self, primary: &Self) {
        let written = primary.psql("postgres", "SELECT pg_current_wal_insert_lsn()");
        let wait = |sql: &str| {
            while self.psql("postgres", sql) != "t" {
                thread::sleep(Duration::from_millis(20));
            }
        };
        self.psql("postgres", "SELECT pg_wal_replay_resume()");
        wait(&format!("SELECT pg_last_wal_replay_lsn() >= '{written}'"));
        self.psql("postgres", "SELECT pg_wal_replay_pause()");
        wait("SELECT pg_get_wal_replay_pause_state() = 'paused'");
    }

    /// The installation that it runs.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The address that it listens on; its certificate is for this and for `localhost`.
    #[must_use]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port, and the number in the socket's name.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.directory
    }

    /// The CA that has signed the server's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.certificate("ca.pem")
    }

    /// A CA that has nothing to do with it.
    #[must_use]
    pub fn unrelated_ca(&self) -> PathBuf {
        self.certificate("unrelated-ca.pem")
    }

    /// The server's process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        let path = self.data().join("postmaster.pid");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("the server isn't running: {}: {error}", path.display()));
        text.lines().next().and_then(|line| line.parse().ok()).unwrap()
    }

    /// What the server has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.directory.join("log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Runs statements as the superuser; the answer's rows, columns separated by `|`, without a last newline.
    #[expect(clippy::must_use_candidate, reason = "mostly run for what it changes")]
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql)
            .unwrap_or_else(|message| panic!("psql in {database}: {message}in {sql}"))
    }

    /// The same; what psql wrote on standard error where a statement failed.
    ///
    /// # Errors
    /// When a statement fails: later ones are not run.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut child = self
            .client("psql", database)
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("psql can't be run: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        let output = thread::scope(|scope| {
            // A psql that stops at an error closes its standard input: what it says counts, not the pipe.
            scope.spawn(move || stdin.write_all(sql.as_bytes()).is_ok());
            child.wait_with_output().unwrap()
        });
        if output.status.success() {
            let rows = String::from_utf8_lossy(&output.stdout);
            Ok(rows.strip_suffix('\n').unwrap_or(&rows).to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// A client program of this installation that connects as the superuser over the socket.
    #[must_use]
    pub fn client(&self, program: &str, database: &str) -> Command {
        self.client_of(&self.server, program, database)
    }

    /// The same of another installation.
    #[must_use]
    pub fn client_of(&self, server: &Server, program: &str, database: &str) -> Command {
        let mut command = Command::new(server.program(program));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("PGHOST", &self.directory)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", SUPERUSER)
            .env("PGDATABASE", database)
            .env("PGCLIENTENCODING", "UTF8")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Creates an empty database; the name is taken literally.
    pub fn create_database(&self, name: &str) {
        self.psql("postgres", &format!("CREATE DATABASE {}", quote_identifier(name)));
    }

    /// Puts lines before all others of `pg_hba.conf`; they hold for the next connection.
    pub fn prepend_access(&self, lines: &str) {
        let path = self.data().join("pg_hba.conf");
        let below = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{lines}\n{below}")).unwrap();
        self.pg_ctl(&["reload"]);
    }

    /// Stops it as a maintenance would (fast) and starts it on the same port.
    pub fn restart(&self) {
        self.pg_ctl(&["restart", "-w", "-m", "fast"]);
    }

    /// Stops it as a crash would; [`Cluster::start_again`] recovers it.
    pub fn stop_immediate(&self) {
        self.pg_ctl(&["stop", "-w", "-m", "immediate"]);
    }

    /// Starts it on the same port after [`Cluster::stop_immediate`].
    pub fn start_again(&self) {
        self.pg_ctl(&["start", "-w"]);
    }

    /// Has one of its processes killed, as by the kernel for want of memory; returns when it has recovered, without a restart.
    pub fn lose_a_process(&self) {
        let writer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'";
        let lost = self.psql("postgres", writer);
        signal::kill(Pid::from_raw(lost.parse().unwrap()), Signal::SIGKILL).unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        while !self
            .try_psql("postgres", writer)
            .is_ok_and(|now| now != lost && !now.is_empty())
        {
            assert!(Instant::now() < until, "it does not recover: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Crashes it and starts it again as a standby that nothing feeds: demoted, read-only. Without `hot` it lets
    /// nobody in at all, as in recovery.
    pub fn demote(&self, hot: bool) {
        self.stop_immediate();
        fs::write(self.standby_signal(), "").unwrap();
        give_to_owner(&self.standby_signal());
        let setting = format!("-c hot_standby={}", if hot { "on" } else { "off" });
        // One that lets nobody in may never say that it is ready: it is there when it listens.
        let wait = if hot { "-w" } else { "-W" };
        self.pg_ctl(&["start", wait, "-o", &setting]);
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((self.host(), self.port)).is_err() {
            assert!(Instant::now() < until, "it does not come up: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Makes it a primary again after [`Cluster::demote`].
    pub fn reinstate(&self) {
        self.stop_immediate();
        fs::remove_file(self.standby_signal()).unwrap();
        self.start_again();
    }

    /// Has the next transaction get this number, as if all before it had been used: rows that are there are frozen first, so that
    /// they stay visible.
    pub fn jump_to(&self, transaction: u64) {
        /// What a file of `pg_xact` holds: 32 pages of 8 KiB, two bits for each transaction.
        const FILE_BYTES: u64 = 32 * 8192;
        self.psql("postgres", "UPDATE pg_database SET datallowconn = true");
        let databases = self.psql("postgres", "SELECT datname FROM pg_database");
        for database in databases.lines() {
            self.psql(database, "VACUUM (FREEZE)");
        }
        self.pg_ctl(&["stop", "-w", "-m", "fast"]);
        let (epoch, number) = (transaction >> 32, transaction % (1 << 32));
        let file = self
            .data()
            .join("pg_xact")
            .join(format!("{:04X}", number / (FILE_BYTES * 4)));
        if !file.exists() {
            fs::write(&file, vec![0; usize::try_from(FILE_BYTES).unwrap()]).unwrap();
            give_to_owner(&file);
        }
        self.run(
            "pg_resetwal",
            [
                format!("--epoch={epoch}"),
                format!("--next-transaction-id={number}"),
                self.data().display().to_string(),
            ],
        );
        self.start_again();
    }

    fn standby_signal(&self) -> PathBuf {
        self.data().join("standby.signal")
    }

    /// A directory that the server's user owns, made beside its data.
    #[must_use]
    pub fn directory_beside(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        give_to_owner(&path);
        path
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn certificate(&self, name: &str) -> PathBuf {
        assert!(
            self.server.tls(),
            "PostgreSQL {} here has no TLS",
            self.server.major()
        );
        self.directory.join(name)
    }

    fn configure(&self, settings: &[(&str, &str)]) {
        let tls: &[_] = if self.server.tls() { TLS_SETTINGS } else { &[] };
        let socket = self.directory.to_string_lossy();
        let mut text = String::new();
        for (name, value) in SETTINGS
            .iter()
            .chain(tls)
            .chain(&[("unix_socket_directories", &*socket)])
            .chain(settings)
        {
            writeln!(text, "{name} = '{}'", value.replace('\'', "''")).unwrap();
        }
        fs::write(self.data().join("postgresql.auto.conf"), text).unwrap();
    }

    fn start_on_a_free_port(&mut self) {
        for _ in 0..START_ATTEMPTS {
            self.port = free_port();
            // Read before postgresql.auto.conf, which leaves the port alone.
            fs::write(
                self.data().join("postgresql.conf"),
                format!("port = {}\n", self.port),
            )
            .unwrap();
            if self.try_pg_ctl(&["start", "-w"]).status.success() {
                return;
            }
            if !self.log().contains("Address already in use") {
                break;
            }
        }
        panic!(
            "PostgreSQL {} doesn't start:\n{}",
            self.server.major(),
            self.log()
        );
    }

    fn pg_ctl(&self, arguments: &[&str]) {
        let output = self.try_pg_ctl(arguments);
        assert!(
            output.status.success(),
            "pg_ctl {arguments:?}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
    }

    fn try_pg_ctl(&self, arguments: &[&str]) -> Output {
        let log = self.directory.join("log");
        let log = log.to_string_lossy();
        as_owner(&self.server.program("pg_ctl"))
            .args(arguments.iter().chain(&["-s", "-t", "60", "-l", &log]))
            .env("PGDATA", self.data())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("pg_ctl can't be run: {error}"))
    }

    fn run(&self, program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) {
        let output = as_owner(&self.server.program(program))
            .args(arguments)
            .env("PGDATA", self.data())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{program} can't be run: {error}"));
        assert!(
            output.status.success(),
            "{program}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let order = if thread::panicking() { "keep\n" } else { "remove\n" };
        let told = self
            .keeper
            .stdin
            .take()
            .is_some_and(|mut stdin| stdin.write_all(order.as_bytes()).is_ok());
        let ended = self.keeper.wait().is_ok();
        if thread::panicking() {
            complain(&format!(
                "the cluster's directory is kept: {}",
                self.directory.display()
            ));
        } else {
            assert!(
                told && ended,
                "the keeper of {} has ended before it",
                self.directory.display()
            );
        }
    }
}

/// Quotes a name as SQL does.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a text as SQL does.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A new directory that the server's user owns and everyone can enter: clients need its socket and its CA.
fn create_directory(parent: &Path) -> PathBuf {
    let directory = tempfile::Builder::new()
        .prefix("schemaferry-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .unwrap_or_else(|error| panic!("no directory for a cluster in {}: {error}", parent.display()))
        .keep();
    give_to_owner(&directory);
    directory
}

fn keep(server: &Server, directory: &Path) -> Child {
    as_owner(Path::new("/bin/sh"))
        .args(["-c", KEEPER, "keeper"])
        .args([directory, server.bin()])
        .current_dir("/")
        // Out of reach of a Ctrl-C that is meant for this process.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("the keeper of a cluster can't be started: {error}"))
}

/// A command run as the user that owns the cluster: initdb and postgres refuse to be root.
pub(crate) fn as_owner(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        // What a server says under any `lc_messages` but C: every test may have it speak another language.
        .env("LANGUAGE", "de");
    if let Some(owner) = owner() {
        command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
    }
    command
}

pub(crate) fn give_to_owner(path: &Path) {
    if let Some(owner) = owner() {
        chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).unwrap();
    }
}

/// `postgres` where this process is root; nobody else otherwise.
fn owner() -> Option<User> {
    Uid::effective().is_root().then(|| {
        User::from_name("postgres")
            .unwrap()
            .unwrap_or_else(|| panic!("root can't run a server, and there is no user postgres"))
    })
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[expect(clippy::print_stderr, reason = "a failing test says where to look")]
pub(crate) fn complain(text: &str) {
    eprintln!("{text}");
}
