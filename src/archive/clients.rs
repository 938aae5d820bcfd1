//! The pairs of pg_dump and pg_restore that are installed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use futures_util::future::try_join_all;

use crate::archive::program::output;
use crate::error::{Error, Program};

/// An installed pair of pg_dump and pg_restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) directory: PathBuf,
    pub(crate) major: u32,
    /// Whether libpq was built with TLS.
    pub(crate) tls: bool,
}

/// Every pair of client programs on this machine: the directories of `path` and the places where Alpine and
/// Debian put their majors.
///
/// Fails where this machine has no room for another process or file: nothing can be said then.
pub(crate) async fn installed(path: &str) -> Result<Vec<Client>, Error> {
    let mut directories: Vec<PathBuf> = path
        .split(':')
        .filter(|part| !part.is_empty())
        .map(PathBuf::from)
        .collect();
    directories.push(PathBuf::from("/usr/local/bin"));
    for (parent, prefix, suffix) in [
        ("/usr/libexec", "postgresql", ""),
        ("/usr/lib/postgresql", "", "bin"),
    ] {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        let names = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        directories.extend(names.map(|entry| entry.path().join(suffix)));
    }
    // Many systems have two names for the same directory.
    let mut known = BTreeSet::new();
    directories.retain(|directory| {
        directory
            .canonicalize()
            .is_ok_and(|directory| known.insert(directory))
    });
    let probed = try_join_all(directories.into_iter().map(probe)).await?;
    Ok(probed.into_iter().flatten().collect())
}

async fn probe(directory: PathBuf) -> Result<Option<Client>, Error> {
    // libpq checks sslmode before it connects, and there is no server in this directory.
    const NOWHERE: &str = "--dbname=host=/nonexistent sslmode=require";
    if !directory.join(Program::PgDump.name()).exists() {
        return Ok(None);
    }
    let (version, dump, refused) = tokio::try_join!(
        output(&directory, Program::PgRestore, &["--version"]),
        output(&directory, Program::PgDump, &["--version"]),
        output(&directory, Program::PgDump, &[NOWHERE])
    )?;
    let majors = (
        version.as_deref().and_then(major),
        dump.as_deref().and_then(major),
    );
    Ok(match (majors, refused) {
        ((Some(major), Some(same)), Some(refused)) if major == same => Some(Client {
            major,
            tls: !refused.contains("not compiled in"),
            directory,
        }),
        _ => None,
    })
}

/// `pg_dump (PostgreSQL) 15.18 (Debian …)` → 15.
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().nth(2)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn majors_are_read_from_version_lines() {
        assert_eq!(
            major("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(major("pg_restore (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("nonsense"), None);
    }
}
