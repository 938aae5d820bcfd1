//! One session on one server: the only way this program runs SQL.
//!
//! Every call names its action, so that an error says what was attempted and on which side. The task that
//! drives the connection belongs to the session and is aborted with it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{MaybeDone, TryFuture, maybe_done, try_join_all};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, CopyInSink, CopyOutStream, Row, Statement, ToStatement};

use crate::error::{ConnectError, Error, Failure, Side};
use crate::server::home::Mark;
use crate::server::keepalive::Traffic;
use crate::server::parameter::{Param, typed};
use crate::server::quoting::quote_literal;
use crate::server::reframe::Seen;
use crate::server::settings::{Dialect, LC_MESSAGES};
use crate::server::threads::Thread;
use crate::server::{Server, connect, settings};

/// An open session. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Session {
    side: Side,
    client: Client,
    driver: JoinHandle<()>,
    seen: Arc<Seen>,
    thread: Thread,
    /// The backend's process id, as `pg_stat_activity` shows it.
    pub(crate) pid: i32,
    /// `server_version_num`, such as 150018.
    pub(crate) version: u32,
    /// `server_encoding`, such as UTF8.
    pub(crate) encoding: String,
    /// The user may set `lc_messages`, and the session has.
    may_set_messages: bool,
}

impl Session {
    /// Connects as `application_name`, waiting at most `lock_timeout` for any lock (`None`: without limit).
    pub(crate) async fn open(
        server: &Server,
        application_name: &str,
        lock_timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        Self::open_for(
            Traffic::Statements,
            &Thread::OWN,
            server,
            application_name,
            lock_timeout,
        )
        .await
    }

    /// As [`Self::open`], for what is to pass on it, driven by that thread. Rows that are read come in frames of up to 64 KiB, however long each is.
    pub(crate) async fn open_for(
        traffic: Traffic,
        thread: &Thread,
        server: &Server,
        application_name: &str,
        lock_timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        let session = Self::connected(server, application_name, (traffic, thread)).await?;
        let settings = settings::of_session(traffic, lock_timeout);
        connect::within(server, session.prepare_for(server, settings, true)).await
    }

    /// As [`Self::open`], wherever the name leads and whether or not the run still has its lock: for what only looks at the run's
    /// own backends and ends them.
    pub(crate) async fn open_anywhere(server: &Server, application_name: &str) -> Result<Self, Error> {
        let session = Self::connected(server, application_name, (Traffic::Statements, &Thread::OWN)).await?;
        let settings = settings::of_session(Traffic::Statements, None);
        connect::within(server, session.prepare_for(server, settings, false)).await
    }

    async fn connected(
        server: &Server,
        application_name: &str,
        (traffic, thread): (Traffic, &Thread),
    ) -> Result<Self, Error> {
        let (to, name) = (server.clone(), application_name.to_owned());
        let connecting = async move { connect::connect(&to, &name, traffic).await };
        let connected = thread.run(connecting).await??;
        Ok(Self {
            side: server.side,
            client: connected.client,
            driver: connected.driver,
            seen: connected.seen,
            thread: thread.clone(),
            pid: 0,
            version: 0,
            encoding: String::new(),
            may_set_messages: false,
        })
    }

    /// Gives a new session its settings, and makes sure that it has a backend of its own, `at_home` on the server that the run has
    /// reached first.
    async fn prepare_for(
        mut self,
        server: &Server,
        settings: Vec<(&str, String)>,
        at_home: bool,
    ) -> Result<Self, Error> {
        let (names, values): (Vec<&str>, Vec<String>) = settings.into_iter().unzip();
        // Until then the search path is the database's, in which the user's own names may hide the server's.
        let lock = server.home.lock().filter(|_| at_home);
        let (key, pid) = (lock.map(|lock| lock.key.as_str()), lock.map(|lock| lock.pid));
        // Asked for by itself: some may not.
        let system = self.query(
            "ask which server it is",
            "SELECT system_identifier FROM pg_catalog.pg_control_system()",
            &[],
        );
        let params: [&dyn Param; 4] = [&names, &values, &key, &pid];
        let prepared = self.query_one(
                "prepare the session",
                "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
                 pg_catalog.current_setting('server_encoding'), \
                 (SELECT pg_catalog.count(pg_catalog.set_config(s.name, v.value, false)) \
                  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS v (name, value) \
                  JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) v.name \
                   AND (s.context OPERATOR(pg_catalog.<>) 'superuser' OR me.superuser)), \
                 me.superuser, pg_catalog.current_setting('lc_messages'), \
                 pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()), \
                 $3 IS NULL OR EXISTS (SELECT 1 FROM pg_catalog.pg_locks AS l \
                     WHERE l.pid OPERATOR(pg_catalog.=) $4 AND l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.granted \
                       AND l.objsubid OPERATOR(pg_catalog.=) 1 \
                       AND ((l.classid::pg_catalog.int8 OPERATOR(pg_catalog.<<) 32) OPERATOR(pg_catalog.|) l.objid::pg_catalog.int8) \
                           OPERATOR(pg_catalog.=) pg_catalog.hashtextextended($3, 0)) \
                 FROM (SELECT pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on') AS me (superuser)",
                &params,
        );
        let (row, system) = tokio::join!(prepared, system);
        let row = row?;
        self.pid = row.get(0);
        if self.pid != self.seen.pid() {
            return Err(Error::Connect {
                side: server.side,
                source: ConnectError::Pooled,
            });
        }
        if at_home {
            let mark = Mark {
                started: row.get(6),
                system: system_identifier(system)?,
            };
            server.home.admit(server.side, mark, row.get(7))?;
        }
        self.version = u32::try_from(row.get::<_, i32>(1)).unwrap_or(0);
        self.encoding = row.get(2);
        self.may_set_messages = row.get(4);
        let language: String = row.get(5);
        let is_english = ["C", "POSIX", "en"]
            .iter()
            .any(|known| language.starts_with(known));
        if !self.may_set_messages && !is_english && self.major() >= 15 {
            self.speak_english().await?;
        }
        Ok(self)
    }

    /// Gives the session another `application_name`, while the connection to `server` is still being made.
    pub(crate) async fn rename(&self, server: &Server, application_name: &str) -> Result<(), Error> {
        let sql = format!("SET application_name = {}", quote_literal(application_name));
        connect::within(server, self.batch("name the session", &sql)).await
    }

    /// Gives the session the settings of its database and role for all that values are computed by.
    pub(crate) async fn compute(&self) -> Result<(), Error> {
        self.batch("take the server's own settings", &settings::transport(false))
            .await
    }

    /// Takes back [`Self::compute`].
    pub(crate) async fn transport(&self) -> Result<(), Error> {
        self.batch("set one form for texts", &settings::transport(true))
            .await
    }

    /// Lets the server speak English, where the user may without being a superuser.
    async fn speak_english(&mut self) -> Result<(), Error> {
        const MAY: &str = "SELECT pg_catalog.has_parameter_privilege('lc_messages', 'SET')";
        let (name, value) = LC_MESSAGES;
        let granted = self
            .query_one("ask for the right to choose a language", MAY, &[])
            .await?;
        if granted.get(0) {
            self.batch("choose the language", &format!("SET {name} = {value}"))
                .await?;
            self.may_set_messages = true;
        }
        Ok(())
    }

    /// The side that this session is connected to.
    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// The server's major version, such as 15.
    pub(crate) fn major(&self) -> u32 {
        self.version / 10_000
    }

    /// Whether both sides hold bytes of no encoding, which then must not be taken for UTF-8.
    pub(crate) fn hold_bytes(source: &Self, target: &Self) -> bool {
        [source, target].iter().all(|side| side.encoding == "SQL_ASCII")
    }

    /// What the server lets other clients of this user set.
    pub(crate) fn dialect(&self) -> Dialect {
        Dialect {
            major: self.major(),
            may_set_messages: self.may_set_messages,
        }
    }

    /// What drives its connection.
    pub(crate) fn thread(&self) -> &Thread {
        &self.thread
    }

    /// What the server has sent, as it passed.
    pub(crate) fn seen(&self) -> &Arc<Seen> {
        &self.seen
    }

    /// Whether the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs one statement and returns its rows. `action` completes "failed to …".
    pub(crate) async fn query(
        &self,
        action: &str,
        sql: &str,
        params: &[&dyn Param],
    ) -> Result<Vec<Row>, Error> {
        let answer = self.client.query_typed(sql, &typed(params)).await;
        self.told(action, answer).await
    }

    /// Runs one statement that returns exactly one row.
    pub(crate) async fn query_one(
        &self,
        action: &str,
        sql: &str,
        params: &[&dyn Param],
    ) -> Result<Row, Error> {
        let answer = self.client.query_typed_one(sql, &typed(params)).await;
        self.told(action, answer).await
    }

    /// Runs one statement and returns how many rows it touched.
    pub(crate) async fn execute(&self, action: &str, sql: &str, params: &[&dyn Param]) -> Result<u64, Error> {
        let answer = self.client.execute_typed(sql, &typed(params)).await;
        self.told(action, answer).await
    }

    /// Runs statements separated by semicolons, without parameters and without results.
    pub(crate) async fn batch(&self, action: &str, sql: &str) -> Result<(), Error> {
        let answer = self.client.batch_execute(sql).await;
        self.told(action, answer).await
    }

    /// Sends all statements at once and waits for their ends in order; the first that fails is the error. Each is
    /// its action and its SQL. What follows a failed one in the same transaction fails too.
    pub(crate) async fn pipeline(&self, statements: &[(&str, &str)]) -> Result<(), Error> {
        let mut sent = Vec::with_capacity(statements.len());
        for (_, sql) in statements {
            sent.push(start(self.client.batch_execute(sql)).await);
        }
        let mut outcome = Ok(());
        for ((action, _), sent) in statements.iter().zip(sent) {
            let ended = answer(sent).await;
            if outcome.is_ok() {
                outcome = ended.map_err(|source| self.failed(action, &source));
            }
        }
        outcome
    }

    /// A question that may be refused, within a transaction that goes on whatever the answer is; all of it is on its way at once.
    pub(crate) async fn aside<T>(
        &self,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, Error> {
        let (before, answer, after) = tokio::join!(
            self.batch("ask", "SAVEPOINT asked"),
            question,
            self.batch("go on", "ROLLBACK TO SAVEPOINT asked; RELEASE SAVEPOINT asked")
        );
        before?;
        after?;
        Ok(answer)
    }

    /// Prepares a statement, to be run later.
    pub(crate) async fn prepare(&self, action: &str, sql: &str) -> Result<Statement, Error> {
        let prepared = self.client.prepare(sql).await;
        prepared.map_err(|source| self.failed(action, &source))
    }

    /// Starts `COPY … TO STDOUT`. The stream must be read to its end, and the row count taken from
    /// [`Session::seen`] afterwards.
    pub(crate) async fn copy_out(
        &self,
        action: &str,
        statement: &(impl ToStatement + ?Sized),
    ) -> Result<CopyOutStream, Error> {
        let started = self.client.copy_out(statement).await;
        started.map_err(|source| self.failed(action, &source))
    }

    /// Starts `COPY … FROM STDIN`. Dropping the sink fails the COPY; a session whose COPY failed is not to be used
    /// again.
    pub(crate) async fn copy_in(
        &self,
        action: &str,
        statement: &(impl ToStatement + ?Sized),
    ) -> Result<CopyInSink<Bytes>, Error> {
        let started = self.client.copy_in(statement).await;
        started.map_err(|source| self.failed(action, &source))
    }

    /// What a statement has come to. Of those that are on their way together, one that was refused because another had failed before it
    /// lets whoever waits for that one say why.
    async fn told<T>(&self, action: &str, answer: Result<T, tokio_postgres::Error>) -> Result<T, Error> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(source) => {
                if source.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) {
                    tokio::task::yield_now().await;
                }
                Err(self.failed(action, &source))
            }
        }
    }

    /// The error of a call that this session's streams made.
    pub(crate) fn failed(&self, action: &str, source: &tokio_postgres::Error) -> Error {
        self.failure(action, Failure::of(source))
    }

    /// The same, where what the server said is known.
    pub(crate) fn failure(&self, action: &str, failure: Failure) -> Error {
        Error::Postgres {
            side: self.side,
            action: action.to_owned(),
            failure,
        }
    }
}

/// What a server was made with, unless it does not tell this user.
fn system_identifier(answer: Result<Vec<Row>, Error>) -> Result<Option<i64>, Error> {
    match answer {
        Err(error) if error.sqlstate().is_some() => Ok(None),
        answer => Ok(answer?.first().map(|row| row.get(0))),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A call whose request is on its way.
pub(crate) type Started<F> = Pin<Box<MaybeDone<F>>>;

/// Polls a call once, so that its request is sent before those of later calls.
pub(crate) async fn start<F: Future>(call: F) -> Started<F> {
    let mut started = Box::pin(maybe_done(call));
    std::future::poll_fn(|cx| {
        // Whether it has ended is kept inside.
        let _ended: Poll<()> = started.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
    started
}

/// Waits for the answer of a call. To be taken in the order in which calls were started: the server answers in it.
pub(crate) async fn answer<F, T>(mut started: Started<F>) -> Result<T, F::Error>
where
    F: TryFuture<Ok = T> + Future<Output = Result<T, <F as TryFuture>::Error>>,
{
    started.as_mut().await;
    match started.as_mut().take_output() {
        Some(output) => output,
        None => std::future::pending().await,
    }
}

/// Does `work` for every item, each session taking the next one as soon as it is free. Answers are in no order; the
/// first error ends the others.
pub(crate) async fn share_out<T, R>(
    sessions: &[&Session],
    items: Vec<T>,
    work: impl AsyncFn(&Session, T) -> Result<R, Error>,
) -> Result<Vec<R>, Error> {
    let items = Mutex::new(items.into_iter());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done = try_join_all(sessions.iter().map(async |session| {
        let mut done = Vec::new();
        while let Some(item) = next() {
            done.push(work(session, item).await?);
        }
        Ok::<_, Error>(done)
    }))
    .await?;
    Ok(done.into_iter().flatten().collect())
}
