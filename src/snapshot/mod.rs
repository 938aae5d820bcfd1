//! The snapshot that everything of one run is read under; `verify` takes one on each side.
//!
//! Tables are locked first and the snapshot is exported afterwards: the other way round, a TRUNCATE or a
//! rewriting ALTER in between makes a table read as empty, without an error.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::catalogue::Relation;
use crate::config::{Config, Schemas};
use crate::error::{self, Error, Refused, Stop};
use crate::server::parameter::Param;
use crate::server::quoting::quote_literal;
use crate::server::session::Session;
use crate::server::{ApplicationName, Server};

/// Between two attempts to lock: long enough to stay out of the way, short beside any `LOCK_TIMEOUT`.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks whether the exporter still lives.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Transactions that are asked about, 0.3 µs each, and ranges of them that are kept: each is a comparison for every row later.
const SETTLED_MAX: i64 = 1_000_000;
const RANGES_MAX: i64 = 64;
/// Tables named in one LOCK statement.
const LOCK_CHUNK: usize = 500;

/// An exported snapshot. Its session must stay open until every other session and program has imported it, and
/// holds ACCESS SHARE locks on all tables of the unit until then.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) session: Session,
    pub(crate) mark: Mark,
    /// The locked tables.
    tables: Vec<(u32, Relation)>,
}

/// Which snapshot it is.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// What `SET TRANSACTION SNAPSHOT` and `pg_dump --snapshot` take.
    pub(crate) id: String,
    /// Write-ahead log position of the source at that moment; why not, where it does not tell: Aurora does not before its
    /// `wal_level` is logical.
    pub(crate) lsn: Result<String, String>,
    /// The source's clock at that moment, ISO 8601.
    pub(crate) taken_at: String,
    /// The lowest number of a transaction that was running, and the first that no transaction had yet.
    pub(crate) xmin: u64,
    pub(crate) xmax: u64,
    /// Between these two, ranges of numbers whose transactions it has seen the end of, each up to the first that is not of it.
    pub(crate) settled: Vec<(u64, u64)>,
}

impl Mark {
    async fn export(session: &Session, settled: Vec<(u64, u64)>) -> Result<Self, Error> {
        let exported = session.query_one(
            "export the snapshot",
            "SELECT pg_catalog.pg_export_snapshot(), \
             pg_catalog.to_char(pg_catalog.clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
             pg_catalog.pg_snapshot_xmin(s.now)::text::bigint, pg_catalog.pg_snapshot_xmax(s.now)::text::bigint \
             FROM (SELECT pg_catalog.pg_current_snapshot()) AS s (now)",
            &[],
        );
        let (row, lsn) = tokio::try_join!(exported, session.aside(position(session)))?;
        Ok(Self {
            id: row.get(0),
            lsn: lsn?,
            taken_at: row.get(1),
            xmin: number(row.get(2)),
            xmax: number(row.get(3)),
            settled,
        })
    }
}

/// Where a server writes next into its write-ahead log, or what it has replayed of its primary's; why not, where it does not tell.
pub(crate) async fn position(session: &Session) -> Result<Result<String, String>, Error> {
    let sql = "SELECT (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() \
               ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text";
    match session
        .query_one("ask for the position in its log", sql, &[])
        .await
    {
        Ok(row) => Ok(Ok(row.get(0))),
        Err(error) if error.is_withheld() => Ok(Err(error::chain(&error))),
        Err(error) => Err(error),
    }
}

/// A transaction's number, which no server lets reach 2^63.
fn number(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

impl Snapshot {
    /// Locks every table of the unit and exports a snapshot; waits for locks up to `lock_timeout` in all.
    pub(crate) async fn export(
        session: Session,
        schemas: &Schemas,
        lock_timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let (mark, tables) = loop {
            let (wanted, settled) = tokio::try_join!(lockable(&session, schemas), settled(&session))?;
            if lock(&session, &wanted).await? {
                // In the transaction that holds the locks: what was listed is what is there.
                let (locked, mark) =
                    tokio::try_join!(lockable(&session, schemas), Mark::export(&session, settled))?;
                if locked == wanted {
                    break (mark, wanted);
                }
            } else if lock_timeout.is_some_and(|limit| started.elapsed() >= limit) {
                session.batch("give up the locks", "ROLLBACK").await?;
                return Err(blocked(&session, schemas, started.elapsed()).await?);
            }
            session.batch("give up the locks", "ROLLBACK").await?;
            tokio::time::sleep(RETRY_INTERVAL).await;
        };
        Ok(Self {
            session,
            mark,
            tables,
        })
    }

    /// Sessions that read under it beside its own: as many as make `JOBS` together.
    pub(crate) async fn readers(
        &self,
        server: &Server,
        names: &ApplicationName,
        config: &Config,
    ) -> Result<Vec<Session>, Error> {
        let readers = (1..config.jobs).map(async |_| {
            let session = Session::open(server, &names.role("read"), config.lock_timeout).await?;
            import(&session, &self.mark.id).await?;
            Ok(session)
        });
        try_join_all(readers).await
    }

    /// Gives the snapshot and its locks up, when everything was read. Names are looked up as they are now, under whatever
    /// snapshot: whoever has renamed a schema meanwhile, which locks no table, has put other tables in the place of those
    /// that are locked, and what was read of them is nothing.
    pub(crate) async fn release(self) -> Result<(), Error> {
        let sql = "SELECT w.name FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::text[])) AS w (oid, name) \
                   WHERE pg_catalog.to_regclass(w.name)::oid IS DISTINCT FROM w.oid LIMIT 1";
        let oids: Vec<u32> = self.tables.iter().map(|(oid, _)| *oid).collect();
        let names: Vec<String> = self
            .tables
            .iter()
            .map(|(_, relation)| relation.quoted())
            .collect();
        let moved = self
            .session
            .query("look up the tables again", sql, &[&oids, &names])
            .await?;
        match moved.first() {
            None => Ok(()),
            Some(row) => Err(Error::Stopped(Stop::Renamed(row.get(0)))),
        }
    }

    /// Waits until the exporting session is gone, and says so.
    pub(crate) async fn lost(&self) -> Error {
        while !self.session.is_closed() {
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
        Error::Stopped(Stop::SnapshotLost("its connection was closed".to_owned()))
    }
}

/// Locks every table of the unit in a session that has imported a snapshot, so that it may outlive the exporter's.
pub(crate) async fn hold(session: &Session, schemas: &Schemas) -> Result<(), Error> {
    for sql in lock_statements(&lockable(session, schemas).await?) {
        session.batch("lock tables", &sql).await?;
    }
    Ok(())
}

/// Where the server has it (releases since August 2024), a session that only reads runs no code of whoever puts a view in a
/// table's place.
const TABLES_ONLY: &str = "SELECT pg_catalog.set_config(name, 'view, foreign-table', true) FROM pg_catalog.pg_settings \
                           WHERE name = 'restrict_nonsystem_relation_kind'";

/// Makes a session read under an exported snapshot until its transaction ends.
pub(crate) async fn import(session: &Session, id: &str) -> Result<(), Error> {
    let id = quote_literal(id);
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {id}; {TABLES_ONLY}; SAVEPOINT imported"
    );
    session.batch("import the snapshot", &sql).await
}

/// Makes sure that a session that has imported the snapshot has read nothing but the unit's tables since it was asked last. No
/// lock on a table stops the renaming of its schema, so what was locked by name is looked up by OID afterwards. Then its own
/// locks are given up, which the exporter holds too: thousands of them would be looked through again and again.
pub(crate) async fn refuse_strangers(session: &Session, schemas: &Schemas) -> Result<(), Error> {
    let sql = include_str!("sql/strangers.sql");
    let names = schemas.names();
    let params: [&dyn Param; 1] = [&names];
    let (rows, ()) = tokio::try_join!(
        session.query("look what was read", sql, &params),
        session.batch("give up the locks", "ROLLBACK TO SAVEPOINT imported")
    )?;
    match rows.first() {
        None => Ok(()),
        Some(row) => Err(Error::Stopped(Stop::Renamed(row.get(0)))),
    }
}

/// Ranges of transactions that have committed beside older ones that still run. To be asked before the snapshot is taken, which has
/// seen the same then.
async fn settled(session: &Session) -> Result<Vec<(u64, u64)>, Error> {
    let sql = include_str!("sql/settled.sql");
    let params: [&dyn Param; 2] = [&SETTLED_MAX, &RANGES_MAX];
    let rows = match session.query("look what has committed", sql, &params).await {
        // Without, some rows look newer than they are.
        Err(error) if error.is_unanswerable() => Vec::new(),
        answer => answer?,
    };
    Ok(rows
        .iter()
        .map(|row| (number(row.get("first")), number(row.get("next"))))
        .collect())
}

/// OID and name of every table that has to be locked.
async fn lockable(session: &Session, schemas: &Schemas) -> Result<Vec<(u32, Relation)>, Error> {
    let sql = include_str!("sql/lockable.sql");
    let rows = session
        .query("list tables to lock", sql, &[&schemas.names()])
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            (
                row.get("oid"),
                Relation {
                    schema: row.get("nspname"),
                    name: row.get("relname"),
                },
            )
        })
        .collect())
}

/// Begins the transaction and locks, without waiting: a queue behind someone's ALTER would hold up everyone
/// who comes after us. False if another lock is in the way or a table is gone.
async fn lock(session: &Session, tables: &[(u32, Relation)]) -> Result<bool, Error> {
    let locks: Vec<String> = lock_statements(tables)
        .map(|sql| format!("{sql} NOWAIT"))
        .collect();
    let begin = (
        "begin the snapshot",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    );
    let locks = locks.iter().map(|sql| ("lock tables", sql.as_str()));
    let statements: Vec<_> = std::iter::once(begin).chain(locks).collect();
    match session.pipeline(&statements).await {
        Ok(()) => Ok(true),
        Err(error) => match error.sqlstate() {
            Some("55P03" | "42P01" | "3F000") => Ok(false),
            _ => Err(error),
        },
    }
}

fn lock_statements(tables: &[(u32, Relation)]) -> impl Iterator<Item = String> {
    tables.chunks(LOCK_CHUNK).map(|chunk| {
        let names: Vec<String> = chunk
            .iter()
            .map(|(_, relation)| format!("ONLY {}", relation.quoted()))
            .collect();
        format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "))
    })
}

/// Says who is in the way.
async fn blocked(session: &Session, schemas: &Schemas, waited: Duration) -> Result<Error, Error> {
    let sql = include_str!("sql/blockers.sql");
    let rows = session
        .query("look who holds the locks", sql, &[&schemas.names()])
        .await?;
    let holders: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Error::Refused(Refused::transient(
        session.side(),
        format!(
            "tables could not be locked within LOCK_TIMEOUT ({} s): {}",
            waited.as_secs(),
            if holders.is_empty() {
                "the holder is gone by now".to_owned()
            } else {
                holders.join(", ")
            }
        ),
        "wait until that statement is done",
    )))
}
