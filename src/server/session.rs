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
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, CopyInSink, CopyOutStream, Row, Statement, ToStatement};

use crate::error::{ConnectError, Error, Failure, Side};
use crate::server::reframe::{Frames, Seen};
use crate::server::{Server, connect};

/// A value that goes with a statement. Its type goes with it too, so that a statement is one round trip: asking the
/// server which types it expects would be another.
pub(crate) trait Param: ToSql + Sync {
    /// As what the server is to take it.
    fn sent_as(&self) -> Type;
}

/// The server's type for every value of a Rust type.
trait SentAs {
    const TYPE: Type;
}

impl<T: SentAs + ToSql + Sync> Param for T {
    fn sent_as(&self) -> Type {
        T::TYPE
    }
}

/// A type that has an array type.
trait Element {
    const TYPE: Type;
    const ARRAY: Type;
}

impl<T: Element + ?Sized> Element for &T {
    const TYPE: Type = T::TYPE;
    const ARRAY: Type = T::ARRAY;
}

impl<T: Element> SentAs for T {
    const TYPE: Type = T::TYPE;
}

impl<T: Element> SentAs for Option<T> {
    const TYPE: Type = T::TYPE;
}

impl<T: Element> SentAs for Vec<T> {
    const TYPE: Type = T::ARRAY;
}

impl<T: Element> SentAs for &[T] {
    const TYPE: Type = T::ARRAY;
}

macro_rules! elements {
    ($($rust:ty: $of:ident, $array:ident;)*) => {
        $(impl Element for $rust {
            const TYPE: Type = Type::$of;
            const ARRAY: Type = Type::$array;
        })*
    };
}

elements! {
    str: TEXT, TEXT_ARRAY;
    String: TEXT, TEXT_ARRAY;
    bool: BOOL, BOOL_ARRAY;
    i32: INT4, INT4_ARRAY;
    i64: INT8, INT8_ARRAY;
    f64: FLOAT8, FLOAT8_ARRAY;
    u32: OID, OID_ARRAY;
    Value: JSONB, JSONB_ARRAY;
}

fn typed<'a>(params: &[&'a dyn Param]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params
        .iter()
        .map(|param| (*param as &(dyn ToSql + Sync), param.sent_as()))
        .collect()
}

/// Settings of every session: no limit of the server's may end a long load, and our own statements mean one thing
/// everywhere. Settings that a server does not have are passed over; `lock_timeout` is the caller's.
const SETTINGS: &[(&str, &str)] = &[
    ("search_path", ""),
    ("client_encoding", "UTF8"),
    ("row_security", "off"),
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    // A backend whose worker is gone notices within this time even while it computes (14 and newer).
    ("client_connection_check_interval", "2s"),
    // The server's own look at a worker whose host or network has vanished: gone after a minute rather than hours.
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
    // Settings of the role or the database that would change what our statements mean.
    ("standard_conforming_strings", "on"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    ("client_min_messages", "error"),
    // Compiling a query over the catalogue takes longer than running it.
    ("jit", "off"),
    // What pg_dump's statements count on.
    ("check_function_bodies", "off"),
    ("default_table_access_method", "heap"),
];

/// Settings of a session that writes values as texts, or reads them: one form on both sides. What a server computes
/// from values follows them too, so a session that computes has its database's and role's own ([`Session::compute`]).
const TRANSPORT: &[(&str, &str)] = &[
    ("array_nulls", "on"),
    ("bytea_output", "hex"),
    ("datestyle", "ISO"),
    ("extra_float_digits", "3"),
    ("intervalstyle", "postgres"),
    ("lc_monetary", "C"),
    ("timezone", "UTC"),
    ("xmloption", "content"),
];

/// The transport's settings with these names, each as SET (`LOCAL` or not) writes it.
pub(crate) fn assignments<'a>(names: &[&'a str]) -> impl Iterator<Item = String> + use<'a> {
    let names = names.to_vec();
    let wanted = TRANSPORT.iter().filter(move |(name, _)| names.contains(name));
    wanted.map(|(name, value)| format!("{name} = {}", quote_literal(value)))
}

/// An open session. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Session {
    side: Side,
    client: Client,
    driver: JoinHandle<()>,
    seen: Arc<Seen>,
    /// The backend's process id, as `pg_stat_activity` shows it.
    pub(crate) pid: i32,
    /// `server_version_num`, such as 150018.
    pub(crate) version: u32,
    /// `server_encoding`, such as UTF8.
    pub(crate) encoding: String,
}

impl Session {
    /// Connects as `application_name`, waiting at most `lock_timeout` for any lock (`None`: without limit).
    pub(crate) async fn open(
        server: &Server,
        application_name: &str,
        lock_timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        Self::open_with(server, application_name, lock_timeout, Frames::AsSent).await
    }

    /// As [`Self::open`], for a session that reads rows by COPY: they come in frames of up to 64 KiB, however
    /// long each is.
    pub(crate) async fn open_reading(
        server: &Server,
        application_name: &str,
        lock_timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        Self::open_with(server, application_name, lock_timeout, Frames::Recut).await
    }

    async fn open_with(
        server: &Server,
        application_name: &str,
        lock_timeout: Option<Duration>,
        frames: Frames,
    ) -> Result<Self, Error> {
        let connected = connect::connect(server, application_name, frames).await?;
        let session = Self {
            side: server.side,
            client: connected.client,
            driver: connected.driver,
            seen: connected.seen,
            pid: 0,
            version: 0,
            encoding: String::new(),
        };
        connect::within(server, session.prepare_for(server, lock_timeout)).await
    }

    /// Gives a new session its settings, and makes sure that it has a backend of its own.
    async fn prepare_for(mut self, server: &Server, lock_timeout: Option<Duration>) -> Result<Self, Error> {
        let lock_timeout_ms = lock_timeout.map_or(0, |limit| limit.as_millis()).to_string();
        let mut settings = [SETTINGS, TRANSPORT].concat();
        settings.push(("lock_timeout", &lock_timeout_ms));
        let (names, values): (Vec<&str>, Vec<&str>) = settings.into_iter().unzip();
        // Until then the search path is the database's, in which the user's own names may hide the server's.
        let row = self
            .query_one(
                "prepare the session",
                "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
                 pg_catalog.current_setting('server_encoding'), \
                 (SELECT pg_catalog.count(pg_catalog.set_config(s.name, v.value, false)) \
                  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS v (name, value) \
                  JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) v.name)",
                &[&names, &values],
            )
            .await?;
        self.pid = row.get(0);
        if self.pid != self.seen.pid() {
            return Err(Error::Connect {
                side: server.side,
                source: ConnectError::Pooled,
            });
        }
        self.version = u32::try_from(row.get::<_, i32>(1)).unwrap_or(0);
        self.encoding = row.get(2);
        Ok(self)
    }

    /// Gives the session another `application_name`, while the connection to `server` is still being made.
    pub(crate) async fn rename(&self, server: &Server, application_name: &str) -> Result<(), Error> {
        let sql = format!("SET application_name = {}", quote_literal(application_name));
        connect::within(server, self.batch("name the session", &sql)).await
    }

    /// Gives the session the settings of its database and role for all that values are computed by.
    pub(crate) async fn compute(&self) -> Result<(), Error> {
        let own: Vec<String> = TRANSPORT
            .iter()
            .map(|(name, _)| format!("RESET {name}"))
            .collect();
        self.batch("take the server's own settings", &own.join("; "))
            .await
    }

    /// Takes back [`Self::compute`].
    pub(crate) async fn transport(&self) -> Result<(), Error> {
        let pinned: Vec<String> = TRANSPORT
            .iter()
            .map(|(name, value)| format!("SET {name} = {}", quote_literal(value)))
            .collect();
        self.batch("set one form for texts", &pinned.join("; ")).await
    }

    /// The side that this session is connected to.
    pub(crate) fn side(&self) -> Side {
        self.side
    }

    /// The server's major version, such as 15.
    pub(crate) fn major(&self) -> u32 {
        self.version / 10_000
    }

    /// What the server has sent, as it passed.
    pub(crate) fn seen(&self) -> &Seen {
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
        self.client
            .query_typed(sql, &typed(params))
            .await
            .map_err(|source| self.failed(action, &source))
    }

    /// Runs one statement that returns exactly one row.
    pub(crate) async fn query_one(
        &self,
        action: &str,
        sql: &str,
        params: &[&dyn Param],
    ) -> Result<Row, Error> {
        self.client
            .query_typed_one(sql, &typed(params))
            .await
            .map_err(|source| self.failed(action, &source))
    }

    /// Runs one statement and returns how many rows it touched.
    pub(crate) async fn execute(&self, action: &str, sql: &str, params: &[&dyn Param]) -> Result<u64, Error> {
        self.client
            .execute_typed(sql, &typed(params))
            .await
            .map_err(|source| self.failed(action, &source))
    }

    /// Runs statements separated by semicolons, without parameters and without results.
    pub(crate) async fn batch(&self, action: &str, sql: &str) -> Result<(), Error> {
        self.client
            .batch_execute(sql)
            .await
            .map_err(|source| self.failed(action, &source))
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

/// An identifier as SQL writes it, always quoted.
pub(crate) fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string as SQL writes it under `standard_conforming_strings`.
pub(crate) fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
