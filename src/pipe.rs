//! METHOD=pipe: pre-data by a session of our own, as METHOD=copy has it, because pg_restore would repeat what other servers
//! refuse; the rows as one stream from pg_dump to pg_restore; and post-data in the archive's order by another session of our own,
//! which computes under the settings of its database and can try again what depends on an order that the archive does not know.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Notify;

use crate::archive::dump::{Archive, Dump, Endpoint};
use crate::archive::parts::Division;
use crate::archive::toc::{self, Section};
use crate::build::statements::{self, Statement};
use crate::build::{guard, order, pre_data};
use crate::catalogue::{self, Counted, Relation, SequenceState, Table};
use crate::config::{Config, Schemas};
use crate::copy::Contents;
use crate::error::{Error, Stop};
use crate::ledger::Begun;
use crate::lock::Lock;
use crate::privileges::{self, Carried};
use crate::progress::{Phase, Progress};
use crate::server::home;
use crate::server::session::Session;
use crate::snapshot::{self, Snapshot};
use crate::verify::Expected;

/// What one read takes from pg_dump: as much as a pipe holds.
const BUFFER_BYTES: usize = 64 * 1024;

/// Everything that takes part in the move.
pub(crate) struct Pipe<'a> {
    pub(crate) source: Endpoint<'a>,
    pub(crate) target: Endpoint<'a>,
    pub(crate) dump: Dump<'a>,
    pub(crate) archive: &'a Archive,
    pub(crate) parts: &'a Division,
    /// A session on the source beside the snapshot's, for counting.
    pub(crate) counter: Session,
    pub(crate) session: &'a Session,
    /// A session on the target that builds.
    pub(crate) builder: Session,
    pub(crate) carried: &'a Carried,
    pub(crate) config: &'a Config,
    pub(crate) loads: &'a [Begun],
    pub(crate) lock: &'a Lock,
    pub(crate) progress: &'a Progress,
    /// Whether rows are counted (`VERIFY`).
    pub(crate) count: bool,
}

impl Pipe<'_> {
    /// Moves everything and gives up the snapshot as soon as the rows are through. Returns what the source holds, and the
    /// session that has built.
    pub(crate) async fn run(
        self,
        snapshot: Snapshot,
        contents: &Contents,
    ) -> Result<(Expected, Session), Error> {
        let (tables, path) = (&contents.tables, &contents.code.path);
        let schemas = self.dump.schemas;
        snapshot::import(&self.counter, &snapshot.mark.id).await?;
        let entries = self.archive.restored(Section::PreData, self.parts);
        pre_data::run(&[self.session], &entries, path).await?;
        privileges::close(self.session, self.carried, self.config).await?;

        // pg_dump would take rows of extensions' tables along.
        let others = catalogue::configuration_tables(&self.counter).await?;
        self.progress.enter(Phase::Rows);
        self.progress.expect(tables);
        let counted = tokio::select! {
            biased;
            lost = snapshot.lost() => return Err(lost),
            moved = async { tokio::try_join!(self.count(tables), self.guarded_rows(tables, &others)) } => moved?.0,
        };
        self.progress.counted(&counted);

        self.progress.enter(Phase::Sequences);
        let sequences = self.sequences(schemas).await?;
        // Indexes are built without holding anything on the source.
        snapshot.release().await?;
        drop(self.counter);

        self.progress.enter(Phase::PostData);
        self.builder.compute().await?;
        let entries = self.archive.restored(Section::PostData, self.parts);
        let later = |entry| order::may_pass_later(entry, &contents.facts);
        let all = entries
            .into_iter()
            .map(|entry| (Statement::whole(entry), later(entry)));
        statements::run_in_rounds(&self.builder, all.collect(), path).await?;
        Ok((Expected { counted, sequences }, self.builder))
    }

    async fn sequences(&self, schemas: &Schemas) -> Result<Vec<SequenceState>, Error> {
        let sequences = catalogue::sequences(&self.counter, schemas).await?;
        catalogue::set_sequences(self.session, &sequences).await?;
        Ok(sequences)
    }

    async fn count(&self, tables: &[Table]) -> Result<Vec<(Counted, u64)>, Error> {
        let mut counted = Vec::new();
        if self.count {
            let units: BTreeSet<Counted> = catalogue::units(tables, &BTreeSet::new()).into_iter().collect();
            for unit in units {
                let rows = catalogue::count(&self.counter, &unit).await?;
                counted.push((unit, rows));
                self.progress.step();
            }
        }
        Ok(counted)
    }

    /// Moves the rows while a session of ours holds locks on all their tables, because pg_restore's own session cannot look
    /// at what it fills: nobody drops, alters or replaces a table meanwhile, or puts a trigger or a rule on it. What has
    /// happened before that, or in spite of it, is seen by the looks before and afterwards.
    async fn guarded_rows(&self, tables: &[Table], others: &[String]) -> Result<(), Error> {
        if tables.is_empty() {
            return Ok(());
        }
        // pg_dump gives rows to a leaf or to its root.
        let filled: BTreeSet<&Relation> = tables
            .iter()
            .flat_map(|table| [&table.relation, table.destination()])
            .collect();
        let intact = guard::statement(filled.iter().copied(), self.loads);
        let lock = guard::lock(filled.into_iter(), false);
        let begin = guard::begin(self.loads);
        let looked = async |action: &str, sql: &str| {
            let looked = self.session.batch(action, sql).await;
            looked.map_err(|error| guard::explained(error, self.session))
        };
        looked("lock the tables", &format!("{begin}; {lock}; {intact}")).await?;
        self.rows(others).await?;
        looked("look at the tables", &format!("{intact}; ROLLBACK")).await
    }

    /// One stream from program to program. pg_restore sees its end only after pg_dump has ended well: whatever
    /// cuts the stream cannot look like its end.
    async fn rows(&self, others: &[String]) -> Result<(), Error> {
        let without_encoding = Session::hold_bytes(&self.counter, self.session);
        let mut dump = self.source.dump_rows(self.dump, others, without_encoding).await?;
        let mut restore = self.target.restore_rows().await?;
        let (Some(mut stdout), Some(mut stdin)) = (dump.stdout.take(), restore.stdin.take()) else {
            return Err(Error::Internal("a program started without its pipe".to_owned()));
        };
        let at_work = Notify::new();
        let feed = async {
            let fed = async {
                let (head, rest) = head(&mut stdout).await.map_err(Broken::Run)?;
                self.feed(&head, &mut stdin).await?;
                // Of a stream that has ended too early pg_restore says so.
                let Some(rest) = rest else { return Ok(()) };
                // It waits for rows: nothing is written yet, wherever it is.
                at_work.notified().await;
                let seen = at_home(self.lock.session(), &self.target.application_name);
                seen.await.map_err(Broken::Run)?;
                self.feed(&rest, &mut stdin).await?;
                self.relay(stdout, &mut stdin).await
            };
            tokio::try_join!(fed, async { dump.finish(&|_| ()).await.map_err(Broken::Run) })?;
            drop(stdin);
            Ok(())
        };
        let on_line = |line: &str| {
            if line.starts_with(AT_WORK) {
                at_work.notify_one();
            }
            if let Some(table) = table_of(line) {
                self.progress.turn_to(Some(table));
            }
        };
        let restored = restore.finish(&on_line);
        tokio::pin!(feed, restored);
        let outcome = tokio::select! {
            biased;
            ended = &mut restored => match ended {
                // It had all it wanted before the stream was over, which only a complete stream may explain.
                Ok(()) => {
                    at_work.notify_one();
                    feed.await
                }
                Err(cause) => Err(Broken::Run(cause)),
            },
            ended = &mut feed => match ended {
                Ok(()) => restored.await.map_err(Broken::Run),
                Err(Broken::Target) => match restored.await {
                    Ok(()) => Err(Broken::Target),
                    Err(cause) => Err(Broken::Run(cause)),
                },
                Err(cause @ Broken::Run(_)) => Err(cause),
            },
        };
        self.progress.turn_to(None);
        outcome.map_err(|broken| match broken {
            Broken::Target => Error::Internal("pg_restore closed its input and ended well".to_owned()),
            Broken::Run(error) => with_row_limit(error),
        })
    }

    async fn relay(&self, mut from: ChildStdout, to: &mut ChildStdin) -> Result<(), Broken> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = from.read(&mut buffer).await.unwrap_or(0);
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            self.feed(bytes, to).await?;
        }
    }

    async fn feed(&self, bytes: &[u8], to: &mut ChildStdin) -> Result<(), Broken> {
        if !self.lock.is_held() {
            let cause = Stop::LockLost("no heartbeat".to_owned());
            return Err(Broken::Run(Error::Stopped(cause)));
        }
        if to.write_all(bytes).await.is_err() {
            return Err(Broken::Target);
        }
        self.progress.add_streamed(bytes.len());
        Ok(())
    }
}

/// Why the stream ended early.
enum Broken {
    /// pg_restore reads no more; its own end tells why.
    Target,
    Run(Error),
}

/// The stream's table of contents, and what of the rest has come with it; `None` if the stream has ended before that.
async fn head(from: &mut ChildStdout) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
    let (mut head, mut buffer, mut next_look) = (Vec::new(), vec![0; BUFFER_BYTES], 0);
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        head.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if head.len() < next_look && count > 0 {
            continue;
        }
        match toc::length(&head)? {
            Some(length) => {
                let rest = head.split_off(length);
                return Ok((head, Some(rest)));
            }
            None if count == 0 => return Ok((head, None)),
            None => next_look = 2 * head.len(),
        }
    }
}

/// Refuses to go on with a pg_restore that has connected and is not to be seen where this session is.
async fn at_home(session: &Session, application_name: &str) -> Result<(), Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.application_name = $1 \
               AND a.usename = session_user AND a.datname = pg_catalog.current_database())";
    let seen = session
        .query_one("look for pg_restore's session", sql, &[&application_name])
        .await?;
    if seen.get(0) {
        Ok(())
    } else {
        Err(home::elsewhere(session.side(), "pg_restore has"))
    }
}

/// What pg_restore says when it has come to a table. The name follows in quotes, over several lines if it has line ends.
const AT_WORK: &str = "pg_restore: processing data for table \"";

/// `pg_restore: processing data for table "s.t"` → `s.t`.
fn table_of(line: &str) -> Option<&str> {
    line.strip_prefix(AT_WORK)?.strip_suffix('"')
}

/// Says why a row could not travel, where the server only speaks of memory.
fn with_row_limit(mut error: Error) -> Error {
    const LIMITS: [&str; 3] = [
        "nlarge string buffer",
        "invalid memory alloc request size",
        "out of memory",
    ];
    if let Error::Program { reason, .. } = &mut error
        && LIMITS.iter().any(|limit| reason.contains(limit))
    {
        reason.push_str(" (a row that is larger than 1 GB as text cannot pass through COPY)");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_recognised_by_pg_restores_words() {
        assert_eq!(
            table_of("pg_restore: processing data for table \"a.b \"c\"\""),
            Some("a.b \"c\"")
        );
        assert_eq!(table_of("pg_restore: executing SEQUENCE SET s"), None);
    }
}
