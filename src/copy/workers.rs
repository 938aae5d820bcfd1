//! The crew: JOBS sessions on either side that take work from the board until nothing is left.
//!
//! All of them are polled by one task, so that none outlives the load: dropping the future ends everything.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::sync::Notify;

use crate::build::order::Step;
use crate::build::statements;
use crate::copy::board::{Board, Taken};
use crate::copy::plan::Task;
use crate::copy::task::{Landed, Rows};
use crate::error::{Error, Side};
use crate::progress::{Phase, Progress};
use crate::server::session::Session;
use crate::server::{ApplicationName, Server, Sides};
use crate::snapshot;
use crate::watchdog;

/// Steps that take longer get a record of their own.
const RECORDED: Duration = Duration::from_secs(1);
/// What one index build may use of the target's memory, in kB; a server's own larger setting stays.
const MAINTENANCE_WORK_MEM_KB: u32 = 256 * 1024;

/// A piece of work.
#[derive(Debug)]
pub(crate) enum Work {
    Rows(Task),
    Build(Step),
}

/// Where sessions come from.
pub(crate) struct Servers<'a> {
    pub(crate) sides: &'a Sides<Server>,
    pub(crate) names: &'a ApplicationName,
    /// The exported snapshot.
    pub(crate) snapshot: &'a str,
    pub(crate) lock_timeout: Option<Duration>,
    /// Whether both sides hold bytes of no encoding, which then must not be taken for UTF-8.
    pub(crate) without_encoding: bool,
}

impl Servers<'_> {
    /// A session on the source that reads under the snapshot.
    async fn reader(&self) -> Result<Session, Error> {
        let session =
            Session::open_reading(&self.sides.source, &self.names.role("copy"), self.lock_timeout).await?;
        self.choose_encoding(&session).await?;
        snapshot::import(&session, self.snapshot).await?;
        Ok(session)
    }

    /// A session on the target that loads.
    async fn loader(&self) -> Result<Session, Error> {
        let session = Session::open(
            &self.sides.target,
            &self.names.role("copy"),
            watchdog::lock_timeout(self.lock_timeout),
        )
        .await?;
        self.choose_encoding(&session).await?;
        // What is lost with a crash is loaded again; the ledger's last commit waits for all of it.
        let sql = format!(
            "SET synchronous_commit = off; RESET jit; \
             SELECT pg_catalog.set_config(name, greatest(setting::bigint, {MAINTENANCE_WORK_MEM_KB})::text, false) \
             FROM pg_catalog.pg_settings WHERE name = 'maintenance_work_mem'"
        );
        session.batch("prepare to load", &sql).await?;
        Ok(session)
    }

    async fn choose_encoding(&self, session: &Session) -> Result<(), Error> {
        if !self.without_encoding {
            return Ok(());
        }
        session
            .batch("choose the encoding", "SET client_encoding = 'SQL_ASCII'")
            .await
    }
}

/// The sessions of a load, and what they share.
pub(crate) struct Crew<'a> {
    servers: &'a Servers<'a>,
    rows: &'a Rows<'a>,
    progress: &'a Progress,
    work: Vec<Work>,
    board: Mutex<Board>,
    /// Something was done: others may have become possible.
    changed: Notify,
    readers: Mutex<Vec<Session>>,
    landed: Mutex<Landed>,
    rooted: Mutex<BTreeSet<usize>>,
}

impl<'a> Crew<'a> {
    pub(crate) fn new(servers: &'a Servers<'a>, rows: &'a Rows<'a>, work: Vec<Work>, board: Board) -> Self {
        Self {
            servers,
            rows,
            progress: rows.progress,
            work,
            board: Mutex::new(board),
            changed: Notify::new(),
            readers: Mutex::new(Vec::new()),
            landed: Mutex::new(Vec::new()),
            rooted: Mutex::new(BTreeSet::new()),
        }
    }

    /// Opens that many loaders, to be given to [`Crew::work`].
    pub(crate) async fn open_loaders(&self, count: u8) -> Result<Vec<Session>, Error> {
        try_join_all((0..count).map(|_| self.servers.loader())).await
    }

    /// Opens that many readers.
    pub(crate) async fn open_readers(&self, count: u8) -> Result<(), Error> {
        let readers = try_join_all((0..count).map(|_| self.servers.reader())).await?;
        locked(&self.readers).extend(readers);
        Ok(())
    }

    /// Waits until all rows have landed. Nothing reads the source any more then.
    pub(crate) async fn rows_landed(&self) {
        loop {
            let changed = self.changed.notified();
            if locked(&self.board).rows_are_done() {
                locked(&self.readers).clear();
                return;
            }
            changed.await;
        }
    }

    /// What has landed so far: table by place, rows.
    pub(crate) fn landed(&self) -> Landed {
        locked(&self.landed).clone()
    }

    /// Tables whose rows were given to their partitioned root after all, by place.
    pub(crate) fn rooted(&self) -> BTreeSet<usize> {
        locked(&self.rooted).clone()
    }

    /// Does all of the work and hands the loaders back.
    pub(crate) async fn work(&self, loaders: Vec<Session>) -> Result<Vec<Session>, Error> {
        try_join_all(loaders.into_iter().map(|loader| self.work_with(loader))).await
    }

    async fn work_with(&self, mut loader: Session) -> Result<Session, Error> {
        loader.compute().await?;
        while let Some(taken) = self.next().await {
            match self.work.get(taken.place) {
                Some(Work::Rows(task)) => loader = self.move_rows(loader, taken, task).await?,
                Some(Work::Build(step)) => {
                    self.build(&loader, step).await?;
                    locked(&self.board).done(taken.place);
                }
                None => {
                    return Err(Error::Internal(
                        "the board names work that is not there".to_owned(),
                    ));
                }
            }
            self.changed.notify_waiters();
        }
        Ok(loader)
    }

    /// The next piece of work; `None` when all is done.
    async fn next(&self) -> Option<Taken> {
        loop {
            let changed = self.changed.notified();
            {
                let mut board = locked(&self.board);
                if let Some(taken) = board.take() {
                    return Some(taken);
                }
                if board.is_done() {
                    return None;
                }
            }
            changed.await;
        }
    }

    async fn move_rows(&self, loader: Session, taken: Taken, task: &Task) -> Result<Session, Error> {
        if taken.again {
            return self.move_again(loader, taken.place, task).await;
        }
        let reader = self.take_reader().await?;
        match self.rows.run(&reader, &loader, task).await {
            Ok(landed) => {
                locked(&self.readers).push(reader);
                locked(&self.landed).extend(landed);
                locked(&self.board).done(taken.place);
                Ok(loader)
            }
            Err(error) if may_depend_on_order(&error) => {
                tracing::warn!(
                    phase = Phase::Rows.word(),
                    reason = crate::error::chain(&error),
                    "rows are tried once more after all others"
                );
                // A session whose COPY failed is not used again.
                drop((reader, loader));
                locked(&self.board).postpone(taken.place);
                self.renewed().await
            }
            Err(error) => Err(error),
        }
    }

    /// Tables that were refused, one by one, as long as one more of them lands in each round.
    async fn move_again(&self, mut loader: Session, place: usize, task: &Task) -> Result<Session, Error> {
        let range = match task {
            Task::Range { from, to, .. } => Some((*from, *to)),
            Task::Batch(_) | Task::Whole(_) => None,
        };
        let mut left = task.tables().to_vec();
        while !left.is_empty() {
            let mut refused = Vec::new();
            let mut cause = None;
            for table in &left {
                let reader = self.take_reader().await?;
                match self.rows.again(&reader, &loader, *table, range).await {
                    Ok((rows, by_root)) => {
                        locked(&self.readers).push(reader);
                        locked(&self.landed).push((*table, rows));
                        if by_root {
                            locked(&self.rooted).insert(*table);
                        }
                    }
                    Err(error) if may_depend_on_order(&error) => {
                        refused.push(*table);
                        cause.get_or_insert(error);
                        loader = self.renewed().await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            if let Some(error) = cause.filter(|_| refused.len() == left.len()) {
                return Err(error);
            }
            left = refused;
        }
        locked(&self.board).done(place);
        Ok(loader)
    }

    /// A loader in the place of one whose COPY failed.
    async fn renewed(&self) -> Result<Session, Error> {
        let loader = self.servers.loader().await?;
        loader.compute().await?;
        Ok(loader)
    }

    async fn take_reader(&self) -> Result<Session, Error> {
        let waiting = locked(&self.readers).pop();
        match waiting {
            Some(reader) => Ok(reader),
            None => self.servers.reader().await,
        }
    }

    async fn build(&self, loader: &Session, step: &Step) -> Result<(), Error> {
        let Some(first) = step.statements.first() else {
            return Ok(());
        };
        let more = step.statements.len() - 1;
        let what = if more == 0 {
            first.action.clone()
        } else {
            format!("{} and {more} more", first.action)
        };
        let started = Instant::now();
        let _busy = self.progress.busy(&what);
        let ended = statements::run(loader, &step.statements, self.rows.schemas).await;
        if ended.is_err() && self.progress.phase() != Phase::PostData {
            // Rows of other tables may still have been on their way.
            self.progress.enter(Phase::PostData);
        }
        ended?;
        if started.elapsed() >= RECORDED {
            tracing::info!(
                phase = Phase::PostData.word(),
                what,
                elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "built"
            );
        }
        Ok(())
    }
}

/// Whether rows that were refused now may be taken when other tables are there and no longer locked, by another leaf,
/// or under another search path: checks may look into other tables, and collations may sort otherwise than on the
/// source.
fn may_depend_on_order(error: &Error) -> bool {
    let refused = |code: &str| matches!(code, "23514" | "55P03" | "40P01") || code.starts_with("P0");
    error.side() == Some(Side::Target)
        && (statements::is_name_not_found(error) || error.sqlstate().is_some_and(refused))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
