//! Materialized views whose rows depend on who fills them: what row security shows, and who asks. The load fills all as the target's
//! user, which owns everything by then and sees every row.

use crate::build::statements::{self, Statement};
use crate::catalogue::code::SearchPath;
use crate::config::Schemas;
use crate::error::Error;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// What has to be filled again.
#[derive(Debug)]
pub(super) struct Filled(Vec<u32>);

impl Filled {
    /// Looks which, and empties them, before anybody else may read them.
    pub(super) async fn empty(target: &Session, schemas: &Schemas) -> Result<Self, Error> {
        let sql = include_str!("sql/filled.sql");
        let rows = target
            .query("look who fills what", sql, &[&schemas.names()])
            .await?;
        let filled = Self(rows.iter().map(|row| row.get("oid")).collect());
        for (name, _) in filled.owned(target).await? {
            let sql = format!("REFRESH MATERIALIZED VIEW {name} WITH NO DATA");
            target
                .batch(&format!("empty materialized view {name}"), &sql)
                .await?;
        }
        Ok(filled)
    }

    /// Fills them as their owners, as REFRESH on the source does; what an owner may not read is an error, as it is there.
    pub(super) async fn again(self, target: &Session, path: &SearchPath) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        target.compute().await?;
        let fill = |(name, owner): (String, String)| {
            let fill = Statement::new(
                format!("fill materialized view {name} as its owner {owner}"),
                format!(
                    "SET LOCAL ROLE {owner}; SET LOCAL row_security = on; REFRESH MATERIALIZED VIEW {name}; ANALYZE {name}"
                ),
            );
            // Its functions may read another.
            (fill, true)
        };
        let fills = self.owned(target).await?.into_iter().map(fill).collect();
        statements::run_in_rounds(target, fills, path).await?;
        target.transport().await
    }

    /// Their names and who owns them now, both as SQL writes them, in the order in which they are filled.
    async fn owned(&self, target: &Session) -> Result<Vec<(String, String)>, Error> {
        let sql = "SELECT n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner) AS owner \
                   FROM pg_catalog.unnest($1::oid[]) WITH ORDINALITY AS f (oid, place) \
                   JOIN pg_catalog.pg_class c ON c.oid = f.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                   ORDER BY f.place";
        let rows = target.query("look who owns what", sql, &[&self.0]).await?;
        let name = |row: &tokio_postgres::Row, column| quote_ident(row.get(column));
        let owned = rows.iter().map(|row| {
            let relation = format!("{}.{}", name(row, "nspname"), name(row, "relname"));
            (relation, name(row, "owner"))
        });
        Ok(owned.collect())
    }
}
