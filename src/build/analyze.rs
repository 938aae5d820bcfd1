//! Statistics of what was loaded.

use futures_util::future::try_join_all;

use crate::build::statements::{self, Statement};
use crate::catalogue::Relation;
use crate::catalogue::code::SearchPath;
use crate::config::Schemas;
use crate::error::{self, Error};
use crate::server::session::{self, Session};

/// Tables named in one ANALYZE, which is a transaction for each.
const ANALYZE_MAX: usize = 20;

/// Collects statistics, with every session that is given, which compute before and serve for the transport afterwards.
/// Partitioned roots and inheritance parents get those of their whole tree, which autovacuum never collects; a root's
/// partitions are analyzed with it, unless foreign tables are among them: their servers are not asked for anything.
/// Returns what statistics could not be collected of, which a load does not fail over.
pub(crate) async fn run(
    sessions: &[Session],
    schemas: &Schemas,
    path: &SearchPath,
    done: impl Fn(),
) -> Result<Vec<String>, Error> {
    let Some(first) = sessions.first() else {
        return Ok(Vec::new());
    };
    let sql = include_str!("sql/analyzable.sql");
    let rows = first
        .query("list tables to analyze", sql, &[&schemas.names()])
        .await?;
    let name = |row: &&tokio_postgres::Row| {
        let relation = Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        };
        let only = if row.get("only") { "ONLY " } else { "" };
        format!("{only}{}", relation.quoted())
    };
    let (skipped, rows): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.get("skipped"));
    let (large, small): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.get("large"));
    let mut lists: Vec<Vec<String>> = large.iter().map(|row| vec![name(row)]).collect();
    let small: Vec<String> = small.iter().map(name).collect();
    lists.extend(small.chunks(ANALYZE_MAX).map(<[String]>::to_vec));
    let all: Vec<&Session> = sessions.iter().collect();
    let failed = session::share_out(&all, lists, async |session, list| {
        let failed = analyze(session, &list, path).await?;
        done();
        Ok(failed)
    })
    .await?;
    try_join_all(sessions.iter().map(Session::transport)).await?;
    let skipped = skipped
        .iter()
        .map(|row| format!("statistics of {}: foreign tables lie below it", name(row)));
    Ok(skipped.chain(failed.into_iter().flatten()).collect())
}

/// Analyzes some tables, one by one where that fails together, and returns those that it fails for.
async fn analyze(session: &Session, list: &[String], path: &SearchPath) -> Result<Vec<String>, Error> {
    let statement = |list: &[String]| {
        let list = list.join(", ");
        Statement::new(format!("analyze {list}"), format!("ANALYZE {list}"))
    };
    // Statistics on expressions call their functions.
    match statements::run(session, &[statement(list)], path).await {
        Err(error) if is_of_the_table(session, &error) => {}
        ended => return ended.map(|()| Vec::new()),
    }
    let mut failed = Vec::new();
    for name in list {
        let one = std::slice::from_ref(name);
        match statements::run(session, &[statement(one)], path).await {
            Err(error) if is_of_the_table(session, &error) => {
                failed.push(format!("statistics of {name}: {}", error::chain(&error)));
            }
            ended => ended?,
        }
    }
    Ok(failed)
}

/// Whether ANALYZE fails because of what it meets in the table, rather than of the server's state.
fn is_of_the_table(session: &Session, error: &Error) -> bool {
    const SERVER: [&str; 4] = ["53", "57", "58", "XX"];
    let of_the_server = |code: &str| SERVER.iter().any(|class| code.starts_with(class));
    !session.is_closed() && error.sqlstate().is_some_and(|code| !of_the_server(code))
}
