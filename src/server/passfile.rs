//! The run's private directory and the passfiles in it.
//!
//! Passwords reach the client programs through `PGPASSFILE` alone: an argument list or an environment can be read by
//! others of the same user. Each side has a file of its own, so both may be one and the same server.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use crate::error::Error;
use crate::server::{ApplicationName, Server};

/// A directory that only this run can read; removed when dropped.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes `sf-<unit>-<attempt>` under `parent`, mode 0700.
    pub(crate) fn create(parent: &Path, names: &ApplicationName) -> Result<Self, Error> {
        let path = parent.join(format!("{}{}", prefix(names), names.attempt()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|source| failed("make", &path, source))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what killed attempts at the same unit left beside this one. Only for the holder of the unit's lock.
    pub(crate) fn sweep_others(&self, names: &ApplicationName) {
        let Some(entries) = self.path.parent().and_then(|parent| fs::read_dir(parent).ok()) else {
            return;
        };
        for entry in entries.flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(&prefix(names));
            if ours && entry.path() != self.path {
                remove(&entry.path());
            }
        }
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(directory: &Path) {
    if let Err(error) = fs::remove_dir_all(directory) {
        tracing::warn!(
            reason = error.to_string(),
            directory = %directory.display(),
            "the run's directory could not be removed"
        );
    }
}

fn prefix(names: &ApplicationName) -> String {
    format!("sf-{}-", names.unit())
}

/// A file for `PGPASSFILE` that answers for one server.
#[derive(Debug)]
pub(crate) struct Passfile {
    path: PathBuf,
}

impl Passfile {
    /// Writes the server's password into `directory`, mode 0600; an empty file if there is none.
    pub(crate) async fn write(directory: &Path, server: &Server) -> Result<Self, Error> {
        let path = directory.join(format!("{}.pgpass", server.side));
        let passfile = Self { path };
        passfile.put(server).await?;
        Ok(passfile)
    }

    /// Makes sure that what the file holds is good for a program that starts now: a token is signed anew.
    pub(crate) async fn renew(&self, server: &Server) -> Result<(), Error> {
        if server.login.expires() {
            self.put(server).await?;
        }
        Ok(())
    }

    /// Writes beside the file and moves it there: nobody reads half a password.
    async fn put(&self, server: &Server) -> Result<(), Error> {
        let password = server.login.password().await?;
        let password = password.as_ref().map_or("", |password| password.expose_secret());
        let partial = self.path.with_extension("partial");
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut file| file.write_all(line(password).as_bytes()))
            .and_then(|()| fs::rename(&partial, &self.path))
            .map_err(|source| failed("write", &self.path, source))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Host, port, database and user are left open: the file is given to programs for this server alone.
fn line(password: &str) -> String {
    if password.is_empty() {
        return String::new();
    }
    let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
    format!("*:*:*:*:{escaped}\n")
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_and_backslashes_are_escaped() {
        assert_eq!(line(r"a:b\c #"), "*:*:*:*:a\\:b\\\\c #\n");
        assert_eq!(line(""), "");
    }
}
