//! What kind of servers they are, whether they fit each other, and whether there is room.

use crate::catalogue::memory::{self, BuildMemory};
use crate::config::{Config, Method, ToastCompression, Verify};
use crate::error::{Error, Refused, Side};
use crate::preflight::service::Service;
use crate::preflight::{Answers, Questions};
use crate::server::quoting::quote_ident;
use crate::server::session::Session;
use crate::word::Word as _;

/// Older majors are out of support everywhere, and nothing here was tried on them.
const OLDEST_MAJOR: u32 = 13;
/// Connections that a run opens on one side beside its streams and those that it has when it asks.
const CONNECTIONS: i32 = 2;
/// Connections that a run has on one side at most, beside its streams.
const CONNECTIONS_MAX: i32 = 6;
/// Streams of METHOD=pipe: the program, and the session that counts.
const PIPE_STREAMS: i32 = 2;

/// One server as it describes itself.
struct Description {
    in_recovery: bool,
    read_only: bool,
    service: Service,
    feedback: String,
    delay: String,
    encoding: String,
    locale: String,
    lockers: i64,
    locks_each: i64,
    locks_used: i64,
    max_connections: i32,
    /// Those that are not reserved.
    connections_all: i32,
    connections_free: i32,
    connection_limit: i32,
    database_limit: i32,
    database: String,
    user: String,
    is_superuser: bool,
}

async fn describe(session: &Session) -> Result<Description, Error> {
    let row = session
        .query_one("describe the server", include_str!("sql/server.sql"), &[])
        .await?;
    let text = |name: &str| row.get::<_, Option<String>>(name).unwrap_or_default();
    let provider = match text("provider").as_str() {
        "i" => "icu",
        "b" => "builtin",
        _ => "libc",
    };
    let database_limit: i32 = row.get("database_limit");
    let connections_all: i32 = row.get("connections_all");
    let mut connections_free = connections_all - row.get::<_, i32>("connections_used");
    if database_limit >= 0 {
        connections_free = connections_free.min(database_limit - row.get::<_, i32>("connections_there"));
    }
    Ok(Description {
        in_recovery: row.get("in_recovery"),
        read_only: row.get("read_only"),
        service: Service::of(session).await?,
        feedback: text("feedback"),
        delay: text("delay"),
        encoding: text("encoding"),
        locale: format!(
            "{provider} {} {} {}",
            row.get::<_, String>("datcollate"),
            row.get::<_, String>("datctype"),
            text("locale")
        ),
        lockers: row.get::<_, i32>("lockers").into(),
        locks_each: row.get::<_, i32>("locks_each").into(),
        locks_used: row.get("locks_used"),
        max_connections: row.get("max_connections"),
        connections_all,
        connections_free,
        connection_limit: row.get::<_, Option<i32>>("connection_limit").unwrap_or(-1),
        database_limit,
        database: text("database"),
        user: text("user_name"),
        is_superuser: row.get("is_superuser"),
    })
}

pub(super) async fn ask(questions: &Questions<'_>) -> Result<Answers, Error> {
    let (source, target, same, collations, money, compression, tables, build_memory) = tokio::try_join!(
        describe(&questions.sessions.source),
        describe(&questions.sessions.target),
        same_database(questions),
        collations(questions),
        money(questions),
        compression(questions),
        lockable(questions.config, &questions.sessions.source),
        memory::of_builds(&questions.sessions.target, questions.config)
    )?;
    let mut answers = Answers::default();
    let sessions = questions.sessions;
    let sides = [
        (&sessions.source, source.service),
        (&sessions.target, target.service),
    ];
    versions(&sides, &mut answers);
    endpoint_of_source(&source, &mut answers);
    endpoint_of_target(&target, &mut answers);
    answers.extend(same);
    encodings(&source, &target, &mut answers);
    answers.extend(collations);
    answers.extend(money);
    answers.extend(compression);
    room_of_source(questions.config, &source, tables, &mut answers);
    // Under copy, no session of the target's locks more at once than what it drops, creates or fills in one transaction.
    let builders = match questions.config.method {
        Method::Pipe => {
            lock_table(Side::Target, &target, tables, 1, &mut answers);
            0
        }
        Method::Copy => i32::from(questions.config.build_jobs),
    };
    connections(
        Side::Target,
        &target,
        streams(questions.config) + builders,
        &mut answers,
    );
    if questions.config.method == Method::Copy {
        memory(questions, build_memory, &mut answers);
    }
    Ok(answers)
}

/// What the source tells of itself, whatever the target is.
pub(super) async fn of_source(config: &Config, session: &Session) -> Result<Answers, Error> {
    let (source, tables) = tokio::try_join!(describe(session), lockable(config, session))?;
    let mut answers = Answers::default();
    versions(&[(session, source.service)], &mut answers);
    endpoint_of_source(&source, &mut answers);
    room_of_source(config, &source, tables, &mut answers);
    Ok(answers)
}

/// Streams of a run on one side.
fn streams(config: &Config) -> i32 {
    match config.method {
        Method::Pipe => PIPE_STREAMS,
        Method::Copy => i32::from(config.jobs),
    }
}

fn room_of_source(config: &Config, source: &Description, tables: i64, answers: &mut Answers) {
    // Who holds a lock on every table of the source: the snapshot's session, pg_dump, and between them those that read.
    let holders = 3;
    // Those that hash hold every table in one session, and each what it reads.
    let (hash_holders, hash_streams) = match config.verify {
        Verify::Hash => (2, i32::from(config.jobs)),
        Verify::Rows | Verify::None => (0, 0),
    };
    lock_table(Side::Source, source, tables, holders + hash_holders, answers);
    connections(Side::Source, source, streams(config) + hash_streams, answers);
}

/// What builds of this run may take together is noted where nobody but its variables keeps it small.
fn memory(questions: &Questions<'_>, memory: BuildMemory, answers: &mut Answers) {
    const CHECK: &str = "memory";
    let BuildMemory {
        each_kb,
        share_kb,
        is_aurora,
    } = memory;
    let config = questions.config;
    let found = format!(
        "{} builds at once on the target may take {} MB each",
        config.build_jobs,
        each_kb / 1024
    );
    let chosen = is_aurora || config.maintenance_work_mem_kb.is_some();
    if chosen && u64::from(config.build_jobs) * each_kb > share_kb {
        let kind = if is_aurora { " of Aurora" } else { "" };
        let more = format!(
            "more than the {} MB{kind} that five runs at once leave each other: lower BUILD_JOBS or MAINTENANCE_WORK_MEM \
             where so many run",
            share_kb / 1024
        );
        answers.note(CHECK, format!("{found}, {more}"));
    } else {
        answers.fine(CHECK, found);
    }
}

/// A compression that is asked for by name has to be there.
async fn compression(questions: &Questions<'_>) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    let config = questions.config;
    let wanted = match config.toast_compression {
        ToastCompression::Auto | ToastCompression::Server => return Ok(answers),
        ToastCompression::Lz4 | ToastCompression::Pglz => config.toast_compression.word(),
    };
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_settings \
               WHERE name = 'default_toast_compression' AND $1 = ANY (enumvals))";
    let there = questions
        .sessions
        .target
        .query_one("look for compression", sql, &[&wanted])
        .await?;
    if config.method == Method::Copy && !there.get::<_, bool>(0) {
        let reason =
            format!("the target cannot be told to compress with {wanted} (14 and newer, built with it)");
        let hint = "set TOAST_COMPRESSION=auto";
        answers.refuse("compression", Refused::config(Side::Target, reason, hint));
    }
    Ok(answers)
}

fn versions(servers: &[(&Session, Service)], answers: &mut Answers) {
    const CHECK: &str = "versions";
    let words = |(session, service): &(&Session, Service)| match service {
        Service::Own => format!("{} {}", session.side(), session.major()),
        Service::Rds | Service::Aurora => format!("{} {} of {service}", session.side(), session.major()),
    };
    answers.fine(CHECK, servers.iter().map(words).collect::<Vec<_>>().join(", "));
    for (session, _) in servers {
        let (side, major) = (session.side(), session.major());
        if major < OLDEST_MAJOR {
            let reason = format!("PostgreSQL {major} is older than {OLDEST_MAJOR}");
            answers.refuse(
                CHECK,
                Refused::config(side, reason, format!("upgrade the {side}")),
            );
        }
    }
}

const ENDPOINT: &str = "endpoint";

fn endpoint_of_source(source: &Description, answers: &mut Answers) {
    if source.in_recovery && source.service == Service::Aurora {
        let reason = "this is an Aurora reader, which exports no snapshot";
        let hint = "set SOURCE_HOST to the cluster's writer endpoint";
        answers.refuse(ENDPOINT, Refused::config(Side::Source, reason, hint));
    } else if source.in_recovery {
        answers.note(
            ENDPOINT,
            format!(
                "the source is a standby (hot_standby_feedback={}, max_standby_streaming_delay={}): \
                 a conflict with recovery can end a long load, which is then to be run again",
                source.feedback, source.delay
            ),
        );
    }
}

fn endpoint_of_target(target: &Description, answers: &mut Answers) {
    if target.in_recovery || target.read_only {
        answers.refuse(ENDPOINT, unwritable(target.in_recovery));
    }
}

/// A target that takes no writes, because it follows another server or because transactions begin as read-only.
fn unwritable(in_recovery: bool) -> Refused {
    let (why, hint) = if in_recovery {
        (
            "it is a reader or a standby",
            "set TARGET_HOST to the endpoint of the writer",
        )
    } else {
        (
            "default_transaction_read_only is on",
            "take it back where it is set: ALTER ROLE … RESET default_transaction_read_only, ALTER DATABASE … RESET, or ALTER SYSTEM RESET",
        )
    };
    Refused::config(
        Side::Target,
        format!("the target does not accept writes: {why}"),
        hint,
    )
}

/// Refuses a target that does not accept writes, for commands that ask nothing else of it.
pub(crate) async fn refuse_reader(target: &Session) -> Result<(), Error> {
    let sql =
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on'";
    let row = target
        .query_one("look whether the target accepts writes", sql, &[])
        .await?;
    if row.get(0) || row.get(1) {
        return Err(Error::Refused(unwritable(row.get(0))));
    }
    Ok(())
}

/// A lock taken on the source must not show on the target. Clones share every identifier, so nothing else tells.
async fn same_database(questions: &Questions<'_>) -> Result<Answers, Error> {
    const CHECK: &str = "same database";
    let mut answers = Answers::default();
    let take = "SELECT key, pg_catalog.pg_try_advisory_lock(key) \
                FROM (SELECT (pg_catalog.random() * 9e15)::bigint AS key) k";
    let key: i64 = questions
        .sessions
        .source
        .query_one("take a lock", take, &[])
        .await?
        .get(0);
    let look = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1 \
                AND (l.classid::bigint << 32 | l.objid::bigint) = $1 \
                AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
                                  WHERE d.datname = pg_catalog.current_database()))";
    let same: bool = questions
        .sessions
        .target
        .query_one("look for the lock", look, &[&key])
        .await?
        .get(0);
    let release = "SELECT pg_catalog.pg_advisory_unlock($1)";
    questions
        .sessions
        .source
        .query_one("release the lock", release, &[&key])
        .await?;
    if same {
        let reason = "source and target are one and the same database";
        let hint = "set TARGET_HOST and TARGET_DBNAME to another database";
        answers.refuse(CHECK, Refused::config(Side::Target, reason, hint));
    } else {
        answers.fine(CHECK, "source and target are two".to_owned());
    }
    Ok(answers)
}

fn encodings(source: &Description, target: &Description, answers: &mut Answers) {
    const CHECK: &str = "encoding";
    let both = format!("{} to {}", source.encoding, target.encoding);
    if source.encoding == target.encoding {
        answers.fine(CHECK, both);
    } else if target.encoding != "UTF8" {
        answers.note(
            CHECK,
            format!("{both}: text that does not fit will end the load with exit code 65"),
        );
    } else if source.encoding == "SQL_ASCII" {
        answers.note(
            CHECK,
            format!("{both}: bytes of the source that are not UTF-8 will end the load with exit code 65"),
        );
    } else {
        answers.fine(CHECK, both);
    }
    if source.locale != target.locale {
        let text = format!(
            "text sorts by {} on the source and by {} on the target",
            source.locale, target.locale
        );
        answers.note("locale", text);
    }
}

async fn collations(questions: &Questions<'_>) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    let schemas = questions.config.schemas.names();
    let sql = include_str!("sql/collations.sql");
    let used: Vec<String> = questions
        .sessions
        .source
        .query("list collations", sql, &[&schemas])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let sql = include_str!("sql/missing_collations.sql");
    for row in questions
        .sessions
        .target
        .query("look for collations", sql, &[&used])
        .await?
    {
        let reason = format!("collation \"{}\" does not exist", row.get::<_, String>(0));
        let hint = Service::of(&questions.sessions.target).await?.collation_hint();
        answers.refuse("collations", Refused::config(Side::Target, reason, hint));
    }
    Ok(answers)
}

/// An amount of money is stored in its smallest parts, of which one locale has a hundred to a whole and another one none.
async fn money(questions: &Questions<'_>) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    let (source, target) = (&questions.sessions.source, &questions.sessions.target);
    let schemas = questions.config.schemas.names();
    let sql = include_str!("sql/money.sql");
    let holds: bool = source.query_one("look for money", sql, &[&schemas]).await?.get(0);
    if !holds {
        return Ok(answers);
    }
    let sql = include_str!("sql/decimals.sql");
    let (here, there) = tokio::try_join!(
        source.query_one("ask for the decimals of money", sql, &[]),
        target.query_one("ask for the decimals of money", sql, &[])
    )?;
    let decimals = |row: &tokio_postgres::Row| (row.get::<_, i32>("decimals"), row.get::<_, String>("name"));
    let ((here, locale), (there, other)) = (decimals(&here), decimals(&there));
    if here != there {
        let reason = format!(
            "an amount of money has {here} decimals on the source (lc_monetary {locale}) and {there} on the target ({other}): what is stored would be another amount"
        );
        let hint = "give the target's database the source's lc_monetary (ALTER DATABASE … SET lc_monetary), or the columns type numeric";
        answers.refuse("money", Refused::config(Side::Target, reason, hint));
    }
    Ok(answers)
}

async fn lockable(config: &Config, source: &Session) -> Result<i64, Error> {
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p')";
    let schemas = config.schemas.names();
    Ok(source.query_one("count tables", sql, &[&schemas]).await?.get(0))
}

/// The server's table has room for so many locked objects, and for twice as many holders of them.
fn lock_table(side: Side, server: &Description, tables: i64, holders: i64, answers: &mut Answers) {
    let capacity = server.lockers * server.locks_each;
    let needed = tables.max((tables * holders + 1) / 2);
    if needed > capacity - server.locks_used {
        let each = (needed + server.locks_used) / server.lockers.max(1) + 16;
        let reason = format!(
            "the lock table holds {capacity} locks, {} are in use, and the schema needs {needed}",
            server.locks_used
        );
        let hint = server.service.set_at_start("max_locks_per_transaction", each);
        answers.refuse("lock table", Refused::resources(side, reason, hint));
    } else {
        let found = format!("{needed} of {capacity} locks are needed on the {side}");
        answers.fine("lock table", found);
    }
}

fn connections(side: Side, server: &Description, streams: i32, answers: &mut Answers) {
    let (more, most) = (streams + CONNECTIONS, streams + CONNECTIONS_MAX);
    let too_few = |limit: i32| (0..most).contains(&limit);
    let limited = |who: &str, limit: i32, statement: String| {
        let reason = format!("the {who} may have {limit} connections, and a run needs {most}");
        let hint = format!("{statement} CONNECTION LIMIT {most}");
        Refused::config(side, reason, hint)
    };
    if too_few(server.connection_limit) {
        let statement = format!("ALTER ROLE {}", quote_ident(&server.user));
        answers.refuse("connections", limited("user", server.connection_limit, statement));
    } else if too_few(server.database_limit) && !server.is_superuser {
        let statement = format!("ALTER DATABASE {}", quote_ident(&server.database));
        answers.refuse(
            "connections",
            limited("database", server.database_limit, statement),
        );
    } else if server.connections_all < most && !server.is_superuser {
        let reason = format!(
            "the server has {} connections for users, and a run needs {most}",
            server.connections_all
        );
        let hint = server.service.set_at_start(
            "max_connections",
            i64::from(server.max_connections + most - server.connections_all),
        );
        answers.refuse("connections", Refused::config(side, reason, hint));
    } else if server.connections_free < more && !server.is_superuser {
        let reason = format!(
            "{} connections are free, and a run needs {more} more",
            server.connections_free.max(0)
        );
        let hint = "wait until others are closed, or raise max_connections";
        answers.refuse("connections", Refused::transient(side, reason, hint));
    } else {
        answers.fine(
            "connections",
            format!("{} are free on the {side}", server.connections_free),
        );
    }
}
