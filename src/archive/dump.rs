//! The archive of a unit: pg_dump's pre-data and post-data under the run's snapshot, and its list.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::archive::clients::Client;
use crate::archive::parts::Division;
use crate::archive::program::{Invocation, Running};
use crate::archive::toc::{self, Entry, Section};
use crate::config::{Method, Schemas};
use crate::error::{Error, Program, Refused, Side};
use crate::server::passfile::Passfile;
use crate::server::quoting::quote_ident;
use crate::server::settings::Dialect;
use crate::server::{Server, Sides, SslMode, keepalive};

/// Where and how pg_dump and pg_restore reach one server.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint<'a> {
    pub(crate) client: &'a Client,
    pub(crate) server: &'a Server,
    pub(crate) dialect: Dialect,
    pub(crate) passfile: &'a Passfile,
    /// `application_name` for the program.
    pub(crate) application_name: String,
}

/// The archive by its table of contents.
#[derive(Debug)]
pub(crate) struct Archive {
    /// Those about the schemas: what the database is stays each server's own.
    pub(crate) entries: Vec<Entry>,
    /// Of the pg_dump that has written it.
    pub(crate) client_major: u32,
}

impl Archive {
    /// Takes up which entries use operators of which schemas, by catalogue and OID.
    pub(crate) fn note_operators(&mut self, operators: &HashMap<(u32, u32), Vec<String>>) {
        for entry in &mut self.entries {
            if let Some(schemas) = operators.get(&(entry.catalog_oid, entry.oid)) {
                entry.operators.clone_from(schemas);
            }
        }
    }

    /// Entries of a section that are restored, in the archive's order.
    pub(crate) fn restored(&self, section: Section, parts: &Division) -> Vec<&Entry> {
        let entries = self.entries.iter();
        entries
            .filter(|entry| entry.section == section && parts.restored.contains(&entry.dump_id))
            .collect()
    }
}

/// The lowest installed major that both servers understand: pg_dump refuses servers newer than itself, and writes what
/// servers up to its own major take. What pg_restore 17 and newer sends is an error on servers older
/// than 17, which matters to METHOD=pipe alone.
pub(crate) fn choose(
    clients: &[Client],
    method: Method,
    Sides { source, target }: Sides<(u32, SslMode)>,
) -> Result<&Client, Refused> {
    let plain = source.1 == SslMode::Disable && target.1 == SslMode::Disable;
    let lowest = source.0.max(target.0);
    let highest = match method {
        Method::Pipe if target.0 < 17 => 16,
        Method::Pipe | Method::Copy => u32::MAX,
    };
    let fitting = clients
        .iter()
        .filter(|client| (lowest..=highest).contains(&client.major) && (client.tls || plain));
    fitting.min_by_key(|client| client.major).ok_or_else(|| {
        let installed: Vec<String> = clients
            .iter()
            .map(|client| format!("{}{}", client.major, if client.tls { "" } else { " without TLS" }))
            .collect();
        Refused::config(Side::Source, format!(
                "no installed pg_dump and pg_restore serve a source of major {} and a target of major {} (installed: {})",
                source.0,
                target.0,
                if installed.is_empty() { "none".to_owned() } else { installed.join(", ") }
            ), if lowest > highest {
                "set METHOD=copy".to_owned()
            } else {
                format!("install the PostgreSQL client programs of major {lowest}")
            })
    })
}

/// Arguments that name the schemas literally: a quoted pattern matches nothing but itself.
fn schema_args(schemas: &Schemas) -> impl Iterator<Item = String> {
    schemas
        .iter()
        .map(|schema| format!("--schema={}", quote_ident(schema.as_str())))
}

fn dump_args(schemas: &Schemas, snapshot: &str, lock_wait_ms: u128) -> Vec<String> {
    let mut args = vec![
        format!("--dbname={}", keepalive::parameters()),
        "--format=custom".to_owned(),
        "--strict-names".to_owned(),
    ];
    args.extend(schema_args(schemas));
    args.push(format!("--snapshot={snapshot}"));
    if lock_wait_ms > 0 {
        args.push(format!("--lock-wait-timeout={lock_wait_ms}"));
    }
    args
}

/// What is dumped and under which limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dump<'a> {
    pub(crate) schemas: &'a Schemas,
    /// The exported snapshot.
    pub(crate) snapshot: &'a str,
    /// `LOCK_TIMEOUT` in milliseconds, 0 for none.
    pub(crate) lock_wait_ms: u128,
}

/// An archive that pg_dump writes.
#[derive(Debug)]
pub(crate) struct Dumping {
    running: Running,
    path: PathBuf,
    client_major: u32,
}

impl Dumping {
    /// Waits for its end, and reads the table of contents.
    pub(crate) async fn finish(self) -> Result<Archive, Error> {
        let Self {
            running,
            path,
            client_major,
        } = self;
        running.finish(&|_| ()).await?;
        let bytes = tokio::fs::read(&path).await.map_err(|source| Error::File {
            action: "read the archive",
            path: path.clone(),
            source,
        })?;
        match toc::read(&bytes) {
            Ok(mut entries) => {
                entries.retain(|entry| !entry.is_of_database());
                Ok(Archive {
                    entries,
                    client_major,
                })
            }
            Err(error) => Err(no_room(&path).unwrap_or(error)),
        }
    }
}

/// What pg_dump writes in, whatever the servers hold.
const ENCODING: &str = "--encoding=UTF8";

impl<'a> Endpoint<'a> {
    fn invocation(&self, program: Program, args: Vec<String>) -> Invocation<'a> {
        Invocation {
            program,
            directory: &self.client.directory,
            client_major: self.client.major,
            server: self.server,
            dialect: self.dialect,
            passfile: self.passfile,
            application_name: self.application_name.clone(),
            args,
        }
    }

    /// Starts pg_dump, which writes pre-data and post-data to `path`.
    pub(crate) async fn archive(&self, dump: Dump<'_>, path: PathBuf) -> Result<Dumping, Error> {
        let mut args = dump_args(dump.schemas, dump.snapshot, dump.lock_wait_ms);
        args.push(ENCODING.to_owned());
        args.push("--section=pre-data".to_owned());
        args.push("--section=post-data".to_owned());
        args.push(format!("--file={}", path.display()));
        let invocation = self.invocation(Program::PgDump, args);
        let running = invocation.spawn(Stdio::null(), Stdio::null()).await?;
        Ok(Dumping {
            running,
            path,
            client_major: self.client.major,
        })
    }

    /// Starts pg_dump for the rows, to be read from its standard output; those of `others`, names in quotes, are left out.
    /// Not compressed: the bytes go no further than this machine's memory. In UTF-8 as the archive is, unless bytes stay as they are on
    /// both sides.
    pub(crate) async fn dump_rows(
        &self,
        dump: Dump<'_>,
        others: &[String],
        without_encoding: bool,
    ) -> Result<Running, Error> {
        let mut args = dump_args(dump.schemas, dump.snapshot, dump.lock_wait_ms);
        args.push("--section=data".to_owned());
        args.push("--compress=0".to_owned());
        if !without_encoding {
            args.push(ENCODING.to_owned());
        }
        let excluded = others.iter().map(|other| format!("--exclude-table-data={other}"));
        args.extend(excluded);
        self.invocation(Program::PgDump, args)
            .spawn(Stdio::null(), Stdio::piped())
            .await
    }

    /// Starts pg_restore for the rows, to be written to its standard input.
    pub(crate) async fn restore_rows(&self) -> Result<Running, Error> {
        let mut args = restore_args(Section::Data);
        args.push("--verbose".to_owned());
        self.invocation(Program::PgRestore, args)
            .spawn(Stdio::piped(), Stdio::null())
            .await
    }
}

/// Why an archive may be cut although pg_dump ended well: it does not look whether its last bytes reached the disk.
fn no_room(archive: &Path) -> Option<Error> {
    const PROBE_BYTES: usize = 64 * 1024;
    let directory = archive.parent()?;
    let written = tempfile::tempfile_in(directory).and_then(|mut file| file.write_all(&vec![0; PROBE_BYTES]));
    written.err().map(|source| Error::File {
        action: "write the archive",
        path: archive.to_owned(),
        source,
    })
}

fn restore_args(section: Section) -> Vec<String> {
    let fixed = [
        "--no-owner",
        "--no-acl",
        "--no-tablespaces",
        "--no-publications",
        "--no-subscriptions",
        "--exit-on-error",
    ];
    let mut args = vec![
        format!("--dbname={}", keepalive::parameters()),
        format!("--section={}", section.word()),
    ];
    args.extend(fixed.map(str::to_owned));
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(major: u32, tls: bool) -> Client {
        Client {
            directory: PathBuf::from(format!("/{major}")),
            major,
            tls,
        }
    }

    #[test]
    fn the_lowest_client_that_serves_both_is_chosen() {
        let clients = [
            client(18, false),
            client(17, true),
            client(16, true),
            client(15, true),
        ];
        let chosen_for = |method, source, target, sslmode| {
            let sides = Sides {
                source: (source, sslmode),
                target: (target, sslmode),
            };
            choose(&clients, method, sides).map(|client| client.major).ok()
        };
        let chosen = |source, target, sslmode| chosen_for(Method::Pipe, source, target, sslmode);
        assert_eq!(chosen(13, 15, SslMode::Prefer), Some(15));
        assert_eq!(chosen(15, 15, SslMode::Prefer), Some(15));
        assert_eq!(chosen(16, 15, SslMode::Prefer), Some(16));
        assert_eq!(chosen(15, 17, SslMode::Prefer), Some(17));
        assert_eq!(chosen(17, 15, SslMode::Prefer), None, "no client serves both");
        assert_eq!(chosen(15, 18, SslMode::Prefer), None, "18 has no TLS here");
        assert_eq!(chosen(15, 18, SslMode::Disable), Some(18));
        assert_eq!(chosen_for(Method::Copy, 17, 15, SslMode::Prefer), Some(17));
    }
}
