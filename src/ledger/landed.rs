//! What has landed in each transaction of a load: told in that very transaction, so that nobody has to guess afterwards.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::baseline::Told;
use crate::error::Error;
use crate::ledger::{Begun, form};
use crate::server::quoting::quote_literal;
use crate::server::session::Session;

/// Transaction numbers are told apart by their lower 32 bits, as far as they are less than half of that away.
const TRANSACTIONS_MAX: i64 = 1 << 31;

/// Rows of one table.
#[derive(Debug)]
pub(crate) struct Landed {
    /// OID on the source.
    pub(crate) table: u32,
    pub(crate) rows: u64,
    /// What the table is by now, as far as that can be told.
    pub(crate) told: Option<Told>,
}

/// The statement that says so, to be run in the transaction in which it has landed.
pub(crate) fn note(loads: &[Begun], landed: &[Landed]) -> Result<String, Error> {
    let mut sql = String::new();
    let Some(load) = loads.first() else { return Ok(sql) };
    for one in landed {
        sql.push_str(if sql.is_empty() {
            "INSERT INTO schemaferry.landed (load_id, table_oid, rows, xid, baseline) VALUES "
        } else {
            ", "
        });
        let baseline = match &one.told {
            None => "NULL".to_owned(),
            Some(told) => serde_json::to_string(told)
                .map(|json| quote_literal(&json))
                .map_err(|error| Error::Internal(format!("a baseline cannot be written: {error}")))?,
        };
        write!(
            sql,
            "({}, {}, {}, pg_catalog.pg_current_xact_id(), {baseline})",
            load.id, one.table, one.rows
        )
        .ok();
    }
    Ok(sql)
}

/// The transactions of the target by which the rows of each table have come, by its OID on the source. They are named by the lower 32
/// bits of their numbers; a table with one that is too old to be told from others is left out.
pub(crate) async fn transactions(target: &Session, loads: &[i64]) -> Result<BTreeMap<u32, Vec<u32>>, Error> {
    if !form::look_at_landed(target).await?.is_there {
        return Ok(BTreeMap::new());
    }
    let sql = include_str!("sql/transactions.sql");
    let rows = target
        .query("ask what has landed", sql, &[&loads, &TRANSACTIONS_MAX])
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let xids: Vec<i64> = row.get("xids");
            let lower = xids.into_iter().filter_map(|xid| u32::try_from(xid).ok());
            (row.get("table_oid"), lower.collect())
        })
        .collect())
}

/// What an unfinished run has brought up to its snapshot.
pub(crate) async fn refreshed(target: &Session, load: i64) -> Result<Vec<Told>, Error> {
    if !form::look_at_landed(target).await?.is_there {
        return Ok(Vec::new());
    }
    let sql = "SELECT baseline FROM schemaferry.landed WHERE load_id = $1 AND baseline IS NOT NULL";
    let rows = target.query("ask what has landed", sql, &[&load]).await?;
    // One that cannot be read is as good as none: the table is loaded again.
    let told = |row: &tokio_postgres::Row| serde_json::from_value(row.get(0)).ok();
    Ok(rows.iter().filter_map(told).collect())
}

/// Lets go of what no rows are known by any more: all of a unit's but that of some loads. Runs in the caller's transaction.
pub(super) async fn forget(target: &Session, loads: &[Begun], kept: &[i64]) -> Result<(), Error> {
    let names: Vec<&str> = loads.iter().map(|load| load.schema.as_str()).collect();
    let sql = include_str!("sql/forget.sql");
    target
        .execute("write the ledger", sql, &[&names, &kept])
        .await
        .map(|_| ())
}
