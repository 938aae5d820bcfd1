//! Whether tables and sequences of the source were written to since a load: counters, files, positions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalogue::Relation;
use crate::config::Schemas;
use crate::error::Error;
use crate::server::session::Session;

/// Where each table and each sequence stands, by its name as SQL writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Activity(BTreeMap<String, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    /// Rows written so far, or a sequence's position.
    writes: Option<i64>,
    file: Option<i64>,
    sequence: bool,
}

/// Reads it. Not to be called within a transaction, which keeps to the counters that it has seen first.
pub(crate) async fn read(session: &Session, schemas: &Schemas) -> Result<Activity, Error> {
    let sql = include_str!("sql/activity.sql");
    let rows = session.query("read counters", sql, &[&schemas.names()]).await?;
    let counter = |row: &tokio_postgres::Row| {
        let relation = Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        };
        let counter = Counter {
            writes: row.get("writes"),
            file: row.get("file"),
            sequence: row.get("is_sequence"),
        };
        (relation.quoted(), counter)
    };
    Ok(Activity(rows.iter().map(counter).collect()))
}

impl Activity {
    /// Names of what has moved since an earlier reading. What that does not know may have; counters that a crash or a
    /// reset has lost tell nothing.
    pub(crate) fn moved_since(&self, earlier: &Self) -> BTreeSet<String> {
        let moved = self
            .0
            .iter()
            .filter(|(name, now)| earlier.0.get(*name).is_none_or(|then| now.has_moved_since(then)));
        moved.map(|(name, _)| name.clone()).collect()
    }
}

impl Counter {
    fn has_moved_since(&self, then: &Self) -> bool {
        let written = match (then.writes, self.writes) {
            (then, now) if self.sequence => then != now,
            (Some(then), Some(now)) => now > then,
            (None, _) | (_, None) => false,
        };
        written || then.file != self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(sequence: bool, writes: Option<i64>, file: i64) -> Activity {
        let counter = Counter {
            writes,
            file: Some(file),
            sequence,
        };
        Activity(BTreeMap::from([("t".to_owned(), counter)]))
    }

    #[test]
    fn writes_and_new_files_are_movement_and_lost_counters_are_not() {
        let moved = |sequence, then: (Option<i64>, i64), now: (Option<i64>, i64)| {
            let (then, now) = (
                activity(sequence, then.0, then.1),
                activity(sequence, now.0, now.1),
            );
            !now.moved_since(&then).is_empty()
        };
        assert!(!moved(false, (Some(5), 1), (Some(5), 1)));
        assert!(moved(false, (Some(5), 1), (Some(6), 1)));
        assert!(!moved(false, (Some(5), 1), (Some(0), 1)));
        assert!(!moved(false, (None, 1), (Some(6), 1)));
        assert!(moved(false, (Some(5), 1), (Some(5), 2)));
        assert!(moved(true, (Some(5), 1), (Some(4), 1)));
        assert!(moved(true, (None, 1), (Some(1), 1)));
        assert!(
            !activity(false, Some(1), 1)
                .moved_since(&Activity::default())
                .is_empty()
        );
    }
}
