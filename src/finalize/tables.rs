//! Tables whose rows may not be frozen, and what freezes them: a server has to write every page again some day otherwise.

use crate::catalogue::Relation;
use crate::error::{self, Error, Refused, Side};
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// The first release in which VACUUM needs that privilege, which an owner may have taken from itself; it passes over a table without.
const MAINTAIN_SINCE: u32 = 17;

/// A table whose rows may not be frozen.
#[derive(Debug)]
pub(super) struct Unfrozen {
    pub(super) relation: Relation,
    /// The role that has to be taken first.
    owner: Option<String>,
    /// The statement that permits to.
    permits: String,
}

/// Those of some loads, by their rows of the ledger; the largest first.
pub(super) async fn look(target: &Session, loads: &[i64]) -> Result<Vec<Unfrozen>, Error> {
    if loads.is_empty() {
        return Ok(Vec::new());
    }
    let sql = include_str!("sql/unfrozen.sql");
    let rows = target.query("look at what is frozen", sql, &[&loads]).await?;
    let unfrozen = |row: &tokio_postgres::Row| Unfrozen {
        relation: Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        },
        owner: row.get("owner"),
        permits: row.get("permits"),
    };
    Ok(rows.iter().map(unfrozen).collect())
}

impl Unfrozen {
    /// Freezes its rows.
    pub(super) async fn freeze(&self, session: &Session) -> Result<(), Error> {
        let table = self.relation.quoted();
        let action = format!("freeze {table}");
        let role = match &self.owner {
            Some(owner) => format!("SET ROLE {}", quote_ident(owner)),
            None => "RESET ROLE".to_owned(),
        };
        session.batch(&action, &role).await?;
        if session.major() >= MAINTAIN_SINCE {
            let sql = "SELECT pg_catalog.has_table_privilege(t.oid, 'MAINTAIN') IS FALSE, pg_catalog.quote_ident(current_user) \
                       FROM (SELECT pg_catalog.to_regclass($1)::oid) AS t (oid)";
            let row = session.query_one(&action, sql, &[&table]).await?;
            if row.get(0) {
                return Err(Error::Refused(Refused::denied(
                    Side::Target,
                    format!("{table} may not be vacuumed"),
                    format!("GRANT MAINTAIN ON TABLE {table} TO {}", row.get::<_, String>(1)),
                )));
            }
        }
        // VACUUM is allowed neither in a transaction nor among other statements.
        session
            .batch(&action, &format!("VACUUM (FREEZE) {table}"))
            .await?;
        session.batch(&action, "RESET ROLE").await
    }

    /// Why it is not frozen, where an error is about it alone: the others go on.
    pub(super) fn refused(&self, error: Error) -> Result<Refused, Error> {
        const INSUFFICIENT_PRIVILEGE: &str = "42501";
        if let Error::Refused(refused) = error {
            return Ok(refused);
        }
        if error.sqlstate() == Some(INSUFFICIENT_PRIVILEGE) {
            let reason = error::chain(&error);
            return Ok(Refused::denied(Side::Target, reason, &self.permits));
        }
        Err(error)
    }
}
