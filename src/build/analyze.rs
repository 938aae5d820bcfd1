//! Statistics of what was loaded.

use futures_util::future::try_join_all;

use crate::build::statements::{self, Statement};
use crate::catalogue::Analyzable;
use crate::catalogue::code::SearchPath;
use crate::error::{self, Error};
use crate::server::session::{self, Session};

/// Up to this size relations are analyzed together, in bytes.
const SMALL_BYTES: u64 = 8_000_000;
/// Relations named in one ANALYZE, which is a transaction for each.
const ANALYZE_MAX: usize = 20;

/// Relations as one statement takes them: large ones alone, small ones together, unless one of them has to come last.
pub(crate) fn lists(relations: Vec<Analyzable>) -> Vec<Vec<Analyzable>> {
    let (large, small): (Vec<_>, Vec<_>) = relations
        .into_iter()
        .partition(|relation| relation.bytes > SMALL_BYTES);
    let (last, small): (Vec<_>, Vec<_>) = small.into_iter().partition(|relation| relation.last);
    let together = |small: Vec<Analyzable>| -> Vec<Vec<Analyzable>> {
        small.chunks(ANALYZE_MAX).map(<[_]>::to_vec).collect()
    };
    let mut lists: Vec<Vec<Analyzable>> = large.into_iter().map(|relation| vec![relation]).collect();
    lists.extend(together(small));
    lists.extend(together(last));
    lists
}

/// Collects statistics, with every session that is given, which compute before and serve for the transport afterwards.
/// Partitioned roots and inheritance parents get those of their whole tree, which autovacuum never collects; a root's
/// partitions are analyzed with it. Returns what statistics could not be collected of, which a load does not fail over.
pub(crate) async fn run(
    sessions: &[Session],
    relations: Vec<Analyzable>,
    path: &SearchPath,
    done: impl Fn(),
) -> Result<Vec<String>, Error> {
    let all: Vec<&Session> = sessions.iter().collect();
    let failed = session::share_out(&all, lists(relations), async |session, list| {
        let failed = analyze(session, &list, path).await?;
        done();
        Ok(failed)
    })
    .await?;
    try_join_all(sessions.iter().map(Session::transport)).await?;
    Ok(failed.concat())
}

/// Analyzes some relations, one by one where that fails together, and returns those that it fails for.
pub(crate) async fn analyze(
    session: &Session,
    list: &[Analyzable],
    path: &SearchPath,
) -> Result<Vec<String>, Error> {
    // Statistics on expressions call their functions.
    match statements::run(session, &[statement(list)], path).await {
        Err(error) if is_of_the_table(session, &error) => {}
        ended => return ended.map(|()| Vec::new()),
    }
    let mut failed = Vec::new();
    for one in list {
        match statements::run(session, &[statement(std::slice::from_ref(one))], path).await {
            Err(error) if is_of_the_table(session, &error) => {
                failed.push(format!("statistics of {}: {}", one.name, error::chain(&error)));
            }
            ended => ended?,
        }
    }
    Ok(failed)
}

fn statement(list: &[Analyzable]) -> Statement {
    let names: Vec<&str> = list.iter().map(|relation| relation.name.as_str()).collect();
    let names = names.join(", ");
    Statement::new(format!("analyze {names}"), format!("ANALYZE {names}"))
}

/// Whether ANALYZE fails because of what it meets in the table, rather than of the server's state.
fn is_of_the_table(session: &Session, error: &Error) -> bool {
    const SERVER: [&str; 4] = ["53", "57", "58", "XX"];
    let of_the_server = |code: &str| SERVER.iter().any(|class| code.starts_with(class));
    !session.is_closed() && error.sqlstate().is_some_and(|code| !of_the_server(code))
}
