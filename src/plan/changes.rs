//! What a refresh is expected to move, by what the source has counted since the loads: an estimate that reads no table.

use std::collections::BTreeMap;

use crate::baseline::Noted;
use crate::catalogue::activity::{self, Activity};
use crate::catalogue::{self, Table};
use crate::config::Schemas;
use crate::error::Error;
use crate::ledger::{self, Load, LoadState};
use crate::server::Sides;
use crate::server::session::Session;

/// What is known of all schemas of the source.
pub(super) struct Changes {
    activity: Activity,
    tables: Vec<Table>,
}

/// Bytes of heap and TOAST that are expected to move; why all of it, where a refresh would load the whole unit.
pub(super) type Expected = Result<u64, String>;

impl Changes {
    /// Reads it. Not to be called within a transaction.
    pub(super) async fn read(source: &Session, schemas: &Schemas) -> Result<Self, Error> {
        Ok(Self {
            activity: activity::read(source, schemas).await?,
            tables: catalogue::tables(source, schemas).await?,
        })
    }

    /// What is expected of a unit.
    pub(super) async fn of_unit(&self, target: &Session, unit: &Schemas) -> Result<Expected, Error> {
        let is_usable = |load: &Load| load.state == LoadState::Complete;
        let loads = match ledger::of_unit(target, unit, is_usable).await? {
            Ok(loads) => loads,
            Err(why) => return Ok(Err(why.reason)),
        };
        let noted = match loads.iter().find_map(Load::baseline) {
            Some(Noted::Known(baseline)) => baseline.contents.tables,
            Some(Noted::Unknown(reason)) => return Ok(Err(reason)),
            None => return Ok(Err("it was loaded by an earlier release".to_owned())),
        };
        let rows: BTreeMap<u32, u64> = noted.iter().map(|table| (table.oid, table.rows)).collect();
        let Some(then) = loads.iter().find_map(|load| load.source_activity.as_ref()) else {
            return Ok(Err("it was loaded by an earlier release".to_owned()));
        };
        let growth = self.activity.growth_since(then);
        let own = self
            .tables
            .iter()
            .filter(|table| unit.names().contains(&table.relation.schema.as_str()));
        let moves = own.filter_map(|table| {
            let added = growth.get(table.relation.quoted().as_str())?;
            let share = added.zip(rows.get(&table.oid).copied());
            Some(share.map_or(table.size_bytes, |(added, rows)| {
                let bytes = u128::from(table.size_bytes) * u128::from(added);
                u64::try_from(bytes / u128::from(added + rows).max(1)).unwrap_or(table.size_bytes)
            }))
        });
        Ok(Ok(moves.sum()))
    }
}

/// Asks what a refresh of each unit is expected to move.
pub(super) async fn expected(
    sessions: Sides<&Session>,
    schemas: &Schemas,
    units: impl Iterator<Item = &Schemas>,
) -> Result<Vec<Expected>, Error> {
    let changes = Changes::read(sessions.source, schemas).await?;
    let mut expected = Vec::new();
    for unit in units {
        expected.push(changes.of_unit(sessions.target, unit).await?);
    }
    Ok(expected)
}
