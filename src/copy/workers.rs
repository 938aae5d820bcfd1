//! The two crews, which take work from the board until nothing is left: up to JOBS streams, each a session on either side, move
//! rows; up to BUILD_JOBS sessions on the target build.
//!
//! All of them are polled by one task, so that none outlives the load: dropping the future ends everything, bytes on their way on
//! other threads among it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use crate::build::order::Step;
use crate::build::{analyze, statements};
use crate::catalogue::Analyzable;
use crate::copy::board::{Board, Crew, Taken};
use crate::copy::line::{Line, Look};
use crate::copy::pace::Pace;
use crate::copy::rows::{Landed, Rows};
use crate::copy::tasks::Task;
use crate::error::Error;
use crate::progress::{Phase, Progress, millis};
use crate::server::keepalive::Traffic;
use crate::server::session::Session;
use crate::server::threads::{Thread, Threads};
use crate::server::{ApplicationName, Server, Sides};
use crate::snapshot;
use crate::watchdog;
use crate::word::Word as _;

/// Between two looks at what the streams wait for.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Steps that take longer get a record of their own.
const RECORDED: Duration = Duration::from_secs(1);

/// A piece of work.
#[derive(Debug)]
pub(crate) enum Work {
    Rows(Task),
    Build(Step),
    /// Statistics of relations that one statement names.
    Analyze(Vec<Analyzable>),
}

/// Where sessions come from.
pub(crate) struct Servers<'a> {
    pub(crate) sides: &'a Sides<Server>,
    /// What drives the streams' sessions, a stream's both by the same thread.
    pub(crate) threads: Threads,
    pub(crate) names: &'a ApplicationName,
    /// The exported snapshot.
    pub(crate) snapshot: &'a str,
    pub(crate) lock_timeout: Option<Duration>,
    /// Whether both sides hold bytes of no encoding, which then must not be taken for UTF-8.
    pub(crate) without_encoding: bool,
    /// What one build of an index may use of the target's memory.
    pub(crate) maintenance_work_mem_kb: u64,
    /// Streams, at most as many as there is work for.
    pub(crate) streams: usize,
    /// Sessions that build, likewise; at least one.
    pub(crate) builders: usize,
}

impl Servers<'_> {
    /// A session on the source that reads under the snapshot.
    async fn reader(&self, thread: &Thread) -> Result<Session, Error> {
        let role = self.names.role("copy");
        let session = Session::open_for(
            Traffic::RowsFrom,
            thread,
            &self.sides.source,
            &role,
            self.lock_timeout,
        )
        .await?;
        self.choose_encoding(&session).await?;
        snapshot::import(&session, self.snapshot).await?;
        Ok(session)
    }

    /// Both crews' sessions on the target, to be given to [`Workers::work`].
    pub(crate) async fn loaders(&self) -> Result<Vec<(Crew, Session)>, Error> {
        let streams = (0..self.streams).map(|stream| (Crew::Streams, self.threads.of(stream)));
        let builders = (0..self.builders).map(|_| (Crew::Builders, Thread::OWN));
        try_join_all(
            streams
                .chain(builders)
                .map(async |(crew, thread)| Ok((crew, self.loader(crew, &thread).await?))),
        )
        .await
    }

    /// A session on the target that loads.
    async fn loader(&self, crew: Crew, thread: &Thread) -> Result<Session, Error> {
        let (traffic, role) = (traffic(crew), self.names.role(role(crew)));
        let lock_timeout = watchdog::lock_timeout(self.lock_timeout);
        let session = Session::open_for(traffic, thread, &self.sides.target, &role, lock_timeout).await?;
        self.choose_encoding(&session).await?;
        // What is lost with a crash is loaded again; the ledger's last commit waits for all of it.
        let sql = format!(
            "SET synchronous_commit = off; RESET jit; \
             SET maintenance_work_mem = '{}kB'",
            self.maintenance_work_mem_kb
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

/// What the sessions of a crew are called on the server.
fn role(crew: Crew) -> &'static str {
    match crew {
        Crew::Streams => "copy",
        Crew::Builders => "build",
    }
}

fn traffic(crew: Crew) -> Traffic {
    match crew {
        Crew::Streams => Traffic::RowsTo,
        Crew::Builders => Traffic::Statements,
    }
}

/// How many backends the streams have, and how many of them wait in that way; $1, $2 text: their application_name, a wait event.
const STREAMS: &str = "SELECT pg_catalog.count(*) AS streams, \
                       pg_catalog.count(*) FILTER (WHERE a.wait_event = $2) AS waiting \
                       FROM pg_catalog.pg_stat_activity a WHERE a.application_name = $1";

/// Both crews of a load, and what they share.
pub(crate) struct Workers<'a> {
    servers: &'a Servers<'a>,
    rows: &'a Rows<'a>,
    progress: &'a Progress,
    work: Vec<Work>,
    board: Mutex<Board>,
    pace: Mutex<Pace>,
    line: Mutex<Line>,
    /// Something was done: others may have become possible.
    changed: Notify,
    readers: Mutex<Vec<Session>>,
    landed: Mutex<Landed>,
    rooted: Mutex<BTreeSet<usize>>,
    postponed: Mutex<BTreeMap<usize, Postponed>>,
}

/// Why a piece of work has to come again.
struct Postponed {
    cause: Error,
    /// Whether a name was not found at any time.
    named: bool,
    /// Indexes of the tables that have not landed yet.
    left: Vec<usize>,
}

impl Postponed {
    fn by(cause: Error, left: Vec<usize>) -> Self {
        Self {
            named: cause.is_name_not_found(),
            cause,
            left,
        }
    }
}

impl<'a> Workers<'a> {
    pub(crate) fn new(servers: &'a Servers<'a>, rows: &'a Rows<'a>, work: Vec<Work>, board: Board) -> Self {
        Self {
            servers,
            rows,
            progress: rows.progress,
            work,
            board: Mutex::new(board),
            pace: Mutex::new(Pace::new(servers.builders)),
            line: Mutex::new(Line::new()),
            changed: Notify::new(),
            readers: Mutex::new(Vec::new()),
            landed: Mutex::new(Vec::new()),
            rooted: Mutex::new(BTreeSet::new()),
            postponed: Mutex::new(BTreeMap::new()),
        }
    }

    /// Opens the readers.
    pub(crate) async fn open_readers(&self) -> Result<(), Error> {
        let readers = (0..self.servers.streams)
            .map(async |stream| self.servers.reader(&self.servers.threads.of(stream)).await);
        let readers = try_join_all(readers).await?;
        locked(&self.readers).extend(readers);
        Ok(())
    }

    /// Waits until all rows have landed. Meanwhile builds begin where the target has time for them, and the line goes to the first
    /// stream where it is what is short. Both are looked at by the session that holds the snapshot, and by one on the target outside of any
    /// transaction, whose statements the watchdog does not take for progress. Nothing reads the source any more then.
    pub(crate) async fn rows_landed(&self, sides: (&Session, &Session)) -> Result<(), Error> {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = (Instant::now(), 0);
        loop {
            let changed = self.changed.notified();
            if locked(&self.board).rows_are_done() {
                locked(&self.readers).clear();
                return Ok(());
            }
            // Where many small tables land, something changes more often than that.
            tokio::select! {
                biased;
                _ = looks.tick() => last = self.look(sides, last).await?,
                () = changed => {}
            }
        }
    }

    /// Looks what the streams' backends are at, some time after they had carried so many bytes; both anew.
    async fn look(
        &self,
        (source, target): (&Session, &Session),
        (before, had): (Instant, u64),
    ) -> Result<(Instant, u64), Error> {
        let (streams, waiting) = self.backends(target, "ClientRead").await?;
        let builds_wait = locked(&self.board).has_work(Crew::Builders);
        if builds_wait && locked(&self.pace).look(streams, waiting) {
            self.changed.notify_waiters();
        }
        let (now, carried) = (Instant::now(), self.rows.turns.carried());
        let look = Look {
            elapsed: now.duration_since(before),
            bytes: carried - had,
            streams,
            waiting,
        };
        let was_free = locked(&self.line).rest().is_none();
        if locked(&self.line).look(look) {
            let waiting = self.source_waits(source).await?;
            locked(&self.line).source_waits(waiting, self.rows.turns.reading());
        }
        let rest = locked(&self.line).rest();
        if was_free != rest.is_none() {
            let to = if rest.is_some() {
                "the first stream"
            } else {
                "all streams"
            };
            tracing::debug!(phase = Phase::Rows.word(), to, "the line is given");
        }
        let each_look = |a_second: u64| a_second * millis(LOOK_INTERVAL) / 1000;
        self.rows.turns.leave(rest.map(each_look));
        Ok((now, carried))
    }

    /// How many streams wait for the line on the source; none where it does not tell.
    async fn source_waits(&self, source: &Session) -> Result<usize, Error> {
        // A transaction keeps what it has seen once.
        let anew = "SELECT pg_catalog.pg_stat_clear_snapshot()";
        let question = async {
            let (cleared, backends) = tokio::join!(
                source.batch("look at the streams anew", anew),
                self.backends(source, "ClientWrite")
            );
            cleared.and(backends)
        };
        let answer = source.aside(question).await?;
        Ok(answer.map_or(0, |(_, waiting)| waiting))
    }

    /// How many backends the streams have on that side, and how many of them wait in that way.
    async fn backends(&self, session: &Session, wait: &str) -> Result<(usize, usize), Error> {
        let name = self.servers.names.role(role(Crew::Streams));
        let row = session
            .query_one("look at the streams", STREAMS, &[&name, &wait])
            .await?;
        let count = |name: &str| usize::try_from(row.get::<_, i64>(name)).unwrap_or_default();
        Ok((count("streams"), count("waiting")))
    }

    /// What has landed so far: the index of a table, rows.
    pub(crate) fn landed(&self) -> Landed {
        locked(&self.landed).clone()
    }

    /// Tables whose rows were given to their partitioned root after all, by index.
    pub(crate) fn rooted(&self) -> BTreeSet<usize> {
        locked(&self.rooted).clone()
    }

    /// Does all of the work and hands the loaders back.
    pub(crate) async fn work(&self, loaders: Vec<(Crew, Session)>) -> Result<Vec<Session>, Error> {
        try_join_all(
            loaders
                .into_iter()
                .map(|(crew, loader)| self.work_with(crew, loader)),
        )
        .await
    }

    async fn work_with(&self, crew: Crew, mut loader: Session) -> Result<Session, Error> {
        loader.compute().await?;
        while let Some(taken) = self.next(crew).await? {
            match self.work.get(taken.piece) {
                Some(Work::Rows(task)) => loader = self.move_rows(loader, taken, task).await?,
                Some(Work::Build(step)) => match self.build(&loader, step).await {
                    Err(error) if step.may_pass_later && statements::may_depend_on_order(&error) => {
                        self.postpone(taken.piece, Postponed::by(error, Vec::new()), false);
                    }
                    ended => {
                        ended?;
                        self.done(taken.piece);
                    }
                },
                Some(Work::Analyze(list)) => {
                    let _busy = self.progress.busy("statistics");
                    let missing = analyze::analyze(&loader, list, &self.rows.code.path).await?;
                    self.progress.not_carried(missing);
                    self.done(taken.piece);
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

    /// The next piece of work; `None` when all is done. Where what is left was refused and nothing has become better since,
    /// the first cause ends the load.
    async fn next(&self, crew: Crew) -> Result<Option<Taken>, Error> {
        loop {
            let changed = self.changed.notified();
            {
                let mut board = locked(&self.board);
                let waits = crew == Crew::Builders
                    && !board.rows_are_done()
                    && board.building() >= locked(&self.pace).allowed();
                if !waits && let Some(taken) = board.take(crew) {
                    return Ok(Some(taken));
                }
                if board.is_done() || (crew == Crew::Streams && board.rows_are_done()) {
                    return Ok(None);
                }
                if board.is_stuck() {
                    let first = locked(&self.postponed).pop_first();
                    let built = first
                        .as_ref()
                        .is_some_and(|(piece, _)| !matches!(self.work.get(*piece), Some(Work::Rows(_))));
                    if built {
                        self.enter_post_data();
                    }
                    return Err(first.map_or_else(
                        || Error::Internal("what is left to do waits for itself".to_owned()),
                        |(_, postponed)| postponed.cause,
                    ));
                }
            }
            changed.await;
        }
    }

    async fn move_rows(&self, loader: Session, taken: Taken, task: &Task) -> Result<Session, Error> {
        if taken.again {
            return self.move_again(loader, taken.piece, task).await;
        }
        let reader = self.take_reader(loader.thread()).await?;
        match self.rows.run(&reader, &loader, task).await {
            Ok(landed) => {
                locked(&self.readers).push(reader);
                locked(&self.landed).extend(landed);
                self.done(taken.piece);
                Ok(loader)
            }
            Err(error) if self.may_land_later(&error, task.tables()) => {
                tracing::warn!(
                    phase = Phase::Rows.word(),
                    reason = crate::error::chain(&error),
                    "rows are tried once more after all others"
                );
                // A session whose COPY failed is not used again.
                let thread = loader.thread().clone();
                drop((reader, loader));
                self.postpone(taken.piece, Postponed::by(error, task.tables().to_vec()), false);
                self.renewed(&thread).await
            }
            Err(error) => Err(error),
        }
    }

    /// Tables that were refused, one by one.
    async fn move_again(&self, mut loader: Session, piece: usize, task: &Task) -> Result<Session, Error> {
        let range = match task {
            Task::Range { range, .. } => Some(*range),
            Task::Batch(_) | Task::Whole(_) => None,
        };
        let (left, mut named) = locked(&self.postponed)
            .get(&piece)
            .map(|postponed| (postponed.left.clone(), postponed.named))
            .unwrap_or_default();
        let (mut refused, mut cause) = (Vec::new(), None);
        for table in &left {
            let reader = self.take_reader(loader.thread()).await?;
            match self.rows.again((&reader, &loader), *table, range, named).await {
                Ok((rows, by_root)) => {
                    locked(&self.readers).push(reader);
                    locked(&self.landed).push((*table, rows));
                    if by_root {
                        locked(&self.rooted).insert(*table);
                    }
                }
                Err(error) if self.may_land_later(&error, &[*table]) => {
                    named |= error.is_name_not_found();
                    refused.push(*table);
                    cause.get_or_insert(error);
                    loader = self.renewed(&loader.thread().clone()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        match cause {
            None => self.done(piece),
            Some(cause) => {
                let better = refused.len() < left.len();
                let left = refused;
                self.postpone(piece, Postponed { cause, named, left }, better);
            }
        }
        Ok(loader)
    }

    /// Marks a piece of work as done.
    fn done(&self, piece: usize) {
        locked(&self.postponed).remove(&piece);
        locked(&self.board).done(piece);
    }

    /// Puts a piece of work back; `better` if a part of it is done.
    fn postpone(&self, piece: usize, why: Postponed, better: bool) {
        locked(&self.postponed).insert(piece, why);
        locked(&self.board).postpone(piece, better);
    }

    /// Whether rows that were refused now may be taken when other tables are there and no longer locked, by another leaf,
    /// or under another search path: functions may look into other tables, and collations may sort otherwise than on the
    /// source.
    fn may_land_later(&self, error: &Error, tables: &[usize]) -> bool {
        let of_order = matches!(error.sqlstate(), Some("23503" | "23514" | "55P03" | "40P01"));
        statements::may_depend_on_order(error)
            && (of_order || error.is_name_not_found() || self.rows.call_code(tables))
    }

    /// Where something was built in vain, rows of other tables may still have been on their way.
    fn enter_post_data(&self) {
        if self.progress.phase() != Phase::PostData {
            self.progress.enter(Phase::PostData);
        }
    }

    /// A loader in the place of one whose COPY failed.
    async fn renewed(&self, thread: &Thread) -> Result<Session, Error> {
        let loader = self.servers.loader(Crew::Streams, thread).await?;
        loader.compute().await?;
        Ok(loader)
    }

    async fn take_reader(&self, thread: &Thread) -> Result<Session, Error> {
        let waiting = {
            let mut readers = locked(&self.readers);
            let place = readers.iter().position(|reader| reader.thread().is(thread));
            place.map(|place| readers.swap_remove(place))
        };
        match waiting {
            Some(reader) => Ok(reader),
            None => self.servers.reader(thread).await,
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
        let ended = statements::run(loader, &step.statements, &self.rows.code.path).await;
        if ended.is_err() && !step.may_pass_later {
            self.enter_post_data();
        }
        ended?;
        if step.table > 0
            && let Some(table) = self.rows.tables.iter().find(|table| table.oid == step.table)
        {
            self.progress.built(table.relation.plain(), started.elapsed());
        }
        if started.elapsed() >= RECORDED {
            tracing::info!(
                phase = Phase::PostData.word(),
                what,
                elapsed_ms = millis(started.elapsed()),
                "built"
            );
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
