//! Rows of one task, from one source session to one target session, in one transaction of the target.
//!
//! CopyDone is sent only after the source's CommandComplete, and nothing is committed unless both streams have counted
//! the same rows: an end of the stream alone proves nothing, a cut one looks the same.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio_postgres::{CopyInSink, CopyOutStream};

use crate::baseline::{Ground, Piece, Told};
use crate::build::guard;
use crate::catalogue::code::Code;
use crate::catalogue::{Format, Relation, Table, TidRange};
use crate::config::{Schemas, ToastCompression};
use crate::copy::kept::{Added, Kept};
use crate::copy::pump::{End, Pump};
use crate::copy::statements;
use crate::copy::tasks::{TableIndex, Task};
use crate::copy::turns::{Place, Turns};
use crate::error::{Error, Stop};
use crate::ledger::{self, Begun};
use crate::lock::Lock;
use crate::progress::Progress;
use crate::server::reframe::Copying;
use crate::server::session::{Session, answer, start};
use crate::snapshot;

/// A table that is emptied first is locked until its rows are in. A check of another table that looks into it gives up
/// soon, and is tried again when nothing else of the run is under way.
const BEGIN_IMPATIENT: &str = "BEGIN; SET LOCAL lock_timeout = '10s'";

/// What every task of a load shares.
pub(crate) struct Rows<'a> {
    pub(crate) schemas: &'a Schemas,
    pub(crate) tables: &'a [Table],
    pub(crate) formats: &'a HashMap<u32, Format>,
    /// How many pieces each table is cut into, by its index.
    pub(crate) pieces: HashMap<TableIndex, usize>,
    pub(crate) toast: ToastCompression,
    /// Whether the target can compress with lz4.
    pub(crate) has_lz4: bool,
    pub(crate) code: &'a Code,
    pub(crate) loads: &'a [Begun],
    pub(crate) lock: &'a Lock,
    pub(crate) progress: &'a Progress,
    /// The tables are there, with what has not changed of them.
    pub(crate) kept: Option<&'a Kept>,
    /// What was there before the first row; empty where the source does not tell which server it is.
    pub(crate) ground: OnceLock<Ground>,
    pub(crate) left: Mutex<Left>,
    pub(crate) turns: Arc<Turns>,
}

/// What has not landed yet of the tables that come in several pieces.
#[derive(Debug)]
pub(crate) struct Left(HashMap<TableIndex, (usize, u64)>);

impl Left {
    /// Of tables, by their indexes, that come in so many pieces each.
    pub(crate) fn of(pieces: HashMap<TableIndex, usize>) -> Self {
        let several = pieces.into_iter().filter(|(_, pieces)| *pieces > 1);
        Self(several.map(|(index, pieces)| (index, (pieces, 0))).collect())
    }

    /// Takes note of some rows; all rows of the table where these were its last.
    fn take(&mut self, index: TableIndex, rows: u64) -> Option<u64> {
        let (pieces, landed) = self.0.get_mut(&index)?;
        *pieces = pieces.saturating_sub(1);
        *landed += rows;
        (*pieces == 0).then_some(*landed)
    }
}

/// The two sessions of a transfer, and what passes on them from its beginning on.
struct Streams<'a> {
    source: &'a Session,
    target: &'a Session,
    place: Place,
    reading: Copying,
    writing: Copying,
}

impl<'a> Streams<'a> {
    fn new((source, target): (&'a Session, &'a Session), place: Place) -> Self {
        Self {
            source,
            target,
            place,
            reading: source.seen().begin_copy(),
            writing: target.seen().begin_copy(),
        }
    }
}

/// How the rows of one table go.
#[derive(Clone, Copy)]
struct CopyOptions<'a> {
    /// The statements that begin the transaction.
    begin: &'a str,
    /// Row identifiers of the source's table; all of it where there is none.
    range: Option<TidRange>,
    into: &'a Relation,
    freeze: bool,
}

/// Rows that have landed: the table's index, and how many.
pub(crate) type Landed = Vec<(TableIndex, u64)>;

impl Rows<'_> {
    /// Moves the rows of a task.
    pub(crate) async fn run(&self, source: &Session, target: &Session, task: &Task) -> Result<Landed, Error> {
        match task {
            Task::Batch(tables) => self.batch(source, target, tables).await,
            Task::Whole(index) => {
                let (table, _) = self.table(*index)?;
                let options = CopyOptions {
                    begin: BEGIN_IMPATIENT,
                    range: None,
                    into: table.destination(),
                    freeze: !table.by_root && self.added(table).is_none(),
                };
                let rows = self.alone((source, target), *index, options).await?;
                Ok(vec![(*index, rows)])
            }
            Task::Range { table, range } => {
                let options = CopyOptions {
                    begin: BEGIN_IMPATIENT,
                    range: Some(*range),
                    into: self.table(*table)?.0.destination(),
                    freeze: false,
                };
                let rows = self.alone((source, target), *table, options).await?;
                Ok(vec![(*table, rows)])
            }
        }
    }

    /// Moves the rows of one table once more, after others, with the source's search path if a name was not found; rows
    /// of a leaf are given to its root, which is told too, unless the tables were there before.
    pub(crate) async fn again(
        &self,
        (source, target): (&Session, &Session),
        index: TableIndex,
        range: Option<TidRange>,
        named: bool,
    ) -> Result<(u64, bool), Error> {
        let (table, _) = self.table(index)?;
        // What has not changed of the other leaves is not known by its leaf any more then.
        let root = table.root.as_ref().filter(|_| self.kept.is_none());
        let mut begin = "BEGIN".to_owned();
        if named {
            write!(begin, "; SET LOCAL search_path = {}", self.code.path.list()?).ok();
        }
        let options = CopyOptions {
            begin: &begin,
            range,
            into: root.unwrap_or(table.destination()),
            freeze: false,
        };
        let rows = self.alone((source, target), index, options).await?;
        Ok((rows, root.is_some()))
    }

    /// One table, or a range of it.
    async fn alone(
        &self,
        (source, target): (&Session, &Session),
        index: TableIndex,
        options: CopyOptions<'_>,
    ) -> Result<u64, Error> {
        let (table, format) = self.table(index)?;
        let name = table.relation.plain();
        let pieces = self.pieces.get(&index).copied().unwrap_or(1);
        let place = self.turns.place(index);
        self.progress.begin(&name, pieces);
        let CopyOptions {
            begin,
            range,
            into,
            freeze,
        } = options;
        let mut begin = vec![("begin", begin.to_owned())];
        if let Some(method) = statements::compression(self.toast, self.has_lz4, format) {
            let sql = format!("SET LOCAL default_toast_compression = {method}");
            begin.push(("choose the compression", sql));
        }
        begin.extend(statements::pins(format).map(|sql| ("set what the rows are read under", sql)));
        let once = std::iter::once(into);
        begin.push(("lock the table", guard::lock(once.clone(), freeze)));
        begin.push(("look at the table", guard::statement(once.clone(), self.loads)));
        if freeze {
            // FREEZE wants the table created or emptied in the same transaction.
            begin.push(("empty the table", format!("TRUNCATE ONLY {}", into.quoted())));
        }
        let begin: Vec<(&str, &str)> = begin
            .iter()
            .map(|(action, sql)| (*action, sql.as_str()))
            .collect();
        let reading = async {
            let sql = statements::copy_out(table, format, (range, self.added(table)));
            source.copy_out(&format!("read the rows of {name}"), &sql).await
        };
        let writing = async {
            let locked = target.pipeline(&begin).await;
            locked.map_err(|error| guard::explained(error, target))?;
            let sql = statements::copy_in(into, format, freeze);
            target.copy_in(&format!("write the rows of {name}"), &sql).await
        };
        let streams = Streams::new((source, target), place);
        let (stream, sink) = tokio::try_join!(reading, writing)?;
        let rows = self.relay(&streams, (stream, sink), &name).await?;
        let range = range.filter(|_| into == table.destination());
        self.commit((source, target), once, (&[(index, rows)], range))
            .await?;
        self.progress.end(&name, Some(rows));
        if !freeze {
            self.progress.not_frozen(name);
        }
        Ok(rows)
    }

    /// Small tables in one transaction; what the sessions are asked is on its way before the first answer is there.
    async fn batch(&self, source: &Session, target: &Session, batch: &[TableIndex]) -> Result<Landed, Error> {
        let place = self.turns.place(batch.first().copied().unwrap_or_default());
        let mut tables = Vec::with_capacity(batch.len());
        for index in batch {
            let (table, format) = self.table(*index)?;
            let name = table.relation.plain();
            self.progress.begin(&name, 1);
            tables.push((*index, table, format, name));
        }
        let prepare = async |session: &Session, sql: &dyn Fn(&Table, &Format) -> String| {
            let mut asked = Vec::with_capacity(tables.len());
            for (_, table, format, name) in &tables {
                let sql = sql(table, format);
                asked.push(start(async move { session.prepare(&format!("copy {name}"), &sql).await }).await);
            }
            let mut prepared = Vec::with_capacity(asked.len());
            for one in asked {
                prepared.push(answer(one).await?);
            }
            Ok::<_, Error>(prepared)
        };
        let read =
            |table: &Table, format: &Format| statements::copy_out(table, format, (None, self.added(table)));
        let reading = prepare(source, &read);
        let writing = async {
            let into = || tables.iter().map(|(_, table, ..)| table.destination());
            let (lock, guard) = (guard::lock(into(), false), guard::statement(into(), self.loads));
            let locked = target
                .batch("begin", &format!("{BEGIN_IMPATIENT}; {lock}; {guard}"))
                .await;
            locked.map_err(|error| guard::explained(error, target))?;
            prepare(target, &|table, format| {
                statements::copy_in(table.destination(), format, false)
            })
            .await
        };
        let (out, into) = tokio::try_join!(reading, writing)?;
        let streams = Streams::new((source, target), place);
        let mut started = Vec::with_capacity(tables.len());
        let mut sinks = Vec::with_capacity(tables.len());
        for ((out, into), (_, _, _, name)) in out.iter().zip(&into).zip(&tables) {
            started.push(
                start(async move { source.copy_out(&format!("read the rows of {name}"), out).await }).await,
            );
            sinks.push(
                start(async move { target.copy_in(&format!("write the rows of {name}"), into).await }).await,
            );
        }
        let mut landed = Vec::with_capacity(tables.len());
        for ((index, _, _, name), (stream, sink)) in tables.iter().zip(started.into_iter().zip(sinks)) {
            let (stream, sink) = tokio::try_join!(answer(stream), answer(sink))?;
            let rows = self.relay(&streams, (stream, sink), name).await?;
            landed.push((*index, rows));
        }
        let into = tables.iter().map(|(_, table, ..)| table.destination());
        self.commit((source, target), into, (&landed, None)).await?;
        for ((_, _, _, name), (_, rows)) in tables.iter().zip(&landed) {
            self.progress.end(name, Some(*rows));
        }
        Ok(landed)
    }

    /// Whether writing rows of any of these tables calls functions of the user's own.
    pub(crate) fn call_code(&self, batch: &[TableIndex]) -> bool {
        let tables = batch.iter().filter_map(|index| self.tables.get(*index));
        tables.into_iter().any(|table| self.code.is_called_by(table.oid))
    }

    fn table(&self, index: TableIndex) -> Result<(&Table, &Format), Error> {
        let table = self.tables.get(index);
        table
            .and_then(|table| Some((table, self.formats.get(&table.oid)?)))
            .ok_or_else(|| Error::Internal(format!("the plan names a table {index} that is not there")))
    }

    /// Carries the bytes, and returns the number of rows that both sides agree on. Not committed yet.
    async fn relay(
        &self,
        streams: &Streams<'_>,
        (stream, sink): (CopyOutStream, CopyInSink<Bytes>),
        name: &str,
    ) -> Result<u64, Error> {
        let (reading, writing) = (
            format!("read the rows of {name}"),
            format!("write the rows of {name}"),
        );
        let reads = |error| failed(streams.source, &streams.reading, &reading, &error);
        let writes = |error| failed(streams.target, &streams.writing, &writing, &error);
        let pump = Pump {
            writing: streams.writing.clone(),
            turn: self.turns.read(streams.place),
            progress: self.progress.clone(),
            table: name.to_owned(),
        };
        let pumping = pump.carry(Box::pin(stream), Box::pin(sink));
        let (mut sink, ended) = streams.target.thread().run(pumping).await?;
        if ended.map_err(reads)? == End::Refused {
            // Only this tells why; a stream that was not read to its end must not end well.
            return Err(match sink.as_mut().finish().await {
                Err(error) => writes(error),
                Ok(rows) => Error::Internal(format!(
                    "the target took {rows} rows of {name} after it had reported an error"
                )),
            });
        }
        let Some(sent) = streams.reading.rows().await else {
            let lost = Error::Stopped(Stop::SnapshotLost("a reader's connection was closed".to_owned()));
            return Err(told(streams.source, &reading, &streams.reading).unwrap_or(lost));
        };
        let taken = sink.as_mut().finish().await.map_err(writes)?;
        if sent == taken {
            Ok(taken)
        } else {
            Err(Error::Differ(vec![format!(
                "the source sent {sent} rows of {name} and the target took {taken}"
            )]))
        }
    }

    /// Which rows of a table have to be added to those that are there; `None` for all of one that holds none.
    fn added(&self, table: &Table) -> Option<&Added> {
        self.kept?.added.get(&table.oid)
    }

    /// Commits, and tells the ledger what has landed, of a table in one range alone where that can be told; unless something else was read
    /// than what was locked, the lock may have gone to another worker meanwhile, or names have come to stand for other tables than those
    /// that are locked.
    async fn commit<'a>(
        &self,
        (source, target): (&Session, &Session),
        into: impl Iterator<Item = &'a Relation>,
        (landed, range): (&[(TableIndex, u64)], Option<TidRange>),
    ) -> Result<(), Error> {
        snapshot::refuse_strangers(source, self.schemas).await?;
        if !self.lock.is_held() {
            return Err(Error::Stopped(Stop::LockLost("no heartbeat".to_owned())));
        }
        let (guard, note) = (guard::statement(into, self.loads), self.note(landed, range)?);
        let statements = [
            ("look at the table", guard.as_str()),
            (ledger::WRITE, &note),
            ("commit rows", "COMMIT"),
        ];
        let committed = target.pipeline(&statements).await;
        committed.map_err(|error| ledger::explained(guard::explained(error, target), target))?;
        match self.note_whole(landed)? {
            None => Ok(()),
            Some(note) => target.batch(ledger::WRITE, &note).await,
        }
    }

    /// The statement that tells the ledger what has landed, and of tables in one piece what they are by that.
    fn note(&self, landed: &[(TableIndex, u64)], range: Option<TidRange>) -> Result<String, Error> {
        let mut noted = Vec::with_capacity(landed.len());
        for (index, rows) in landed {
            let (table, format) = self.table(*index)?;
            let is_whole = self.pieces.get(index).copied().unwrap_or(1) == 1;
            let told = match (self.ground.get(), range) {
                (Some(ground), _) if is_whole => ground.landed(table.oid, *rows).map(Told::Whole),
                (Some(ground), Some(range)) => Some(Told::Piece(Piece {
                    table: table.oid,
                    rows: *rows,
                    place: ground.place.clone(),
                    filenode: format.filenode,
                    range,
                    added: self.added(table).is_some(),
                })),
                (_, _) => None,
            };
            noted.push(ledger::Landed {
                table: table.oid,
                rows: *rows,
                told,
            });
        }
        ledger::note(self.loads, &noted)
    }

    /// The statement that tells what tables in several pieces are, of which these committed ones were the last.
    fn note_whole(&self, landed: &[(TableIndex, u64)]) -> Result<Option<String>, Error> {
        let mut noted = Vec::new();
        for (index, rows) in landed {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            let whole = left.take(*index, *rows);
            drop(left);
            if let (Some(all), Some(ground)) = (whole, self.ground.get()) {
                let table = self.table(*index)?.0.oid;
                noted.push(ledger::Landed {
                    table,
                    rows: 0,
                    told: ground.landed(table, all).map(Told::Whole),
                });
            }
        }
        if noted.is_empty() {
            return Ok(None);
        }
        ledger::note(self.loads, &noted).map(Some)
    }
}

/// The driver's error, or what the server had said before it closed the connection.
fn failed(session: &Session, copying: &Copying, action: &str, error: &tokio_postgres::Error) -> Error {
    let silent = error.as_db_error().is_none();
    let told = silent.then(|| told(session, action, copying)).flatten();
    told.unwrap_or_else(|| session.failed(action, error))
}

/// What the server said of a COPY that failed.
fn told(session: &Session, action: &str, copying: &Copying) -> Option<Error> {
    let response = copying.error()?;
    Some(session.failure(action, response.into()))
}
