//! Statistics of what was loaded.

use crate::build::statements::{self, Statement};
use crate::catalogue::Relation;
use crate::config::Schemas;
use crate::error::Error;
use crate::server::session::{self, Session};

/// Tables named in one ANALYZE, which is a transaction for each.
const ANALYZE_MAX: usize = 20;

/// Collects statistics, with every session that is given. Partitioned roots and inheritance parents get those of
/// their whole tree, which autovacuum never collects; a root's partitions are analyzed with it.
pub(crate) async fn run(sessions: &[&Session], schemas: &Schemas, done: impl Fn()) -> Result<(), Error> {
    let Some(first) = sessions.first() else {
        return Ok(());
    };
    let sql = include_str!("sql/analyzable.sql");
    let rows = first
        .query("list tables to analyze", sql, &[&schemas.names()])
        .await?;
    let (large, small): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.get("large"));
    let name = |row: &&tokio_postgres::Row| {
        let relation = Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        };
        relation.quoted()
    };
    let mut lists: Vec<String> = large.iter().map(name).collect();
    let small: Vec<String> = small.iter().map(name).collect();
    lists.extend(small.chunks(ANALYZE_MAX).map(|chunk| chunk.join(", ")));
    session::share_out(sessions, lists, async |session, list| {
        let statement = Statement {
            action: format!("analyze {list}"),
            sql: format!("ANALYZE {list}"),
        };
        // Statistics on expressions call their functions.
        statements::run(session, &[statement], schemas).await?;
        done();
        Ok(())
    })
    .await
    .map(|_| ())
}
