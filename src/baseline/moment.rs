//! A moment in a server's history, and which rows were there then.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::server::session::Session;
use crate::snapshot::{self, Mark};

/// A moment in a server's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// The lowest number of a transaction that was running.
    pub(super) xmin: u64,
    /// The first number that no transaction had yet.
    pub(super) xmax: u64,
    /// Between these two, ranges of numbers of transactions that had committed.
    pub(super) settled: Vec<(u64, u64)>,
    /// Position of the write-ahead log, in bytes; `None` where the server does not tell.
    pub(super) lsn: Option<u64>,
}

impl Moment {
    /// That of a snapshot.
    pub(crate) fn of(mark: &Mark) -> Self {
        Self {
            xmin: mark.xmin,
            xmax: mark.xmax,
            settled: mark.settled.clone(),
            lsn: mark.lsn.as_deref().ok().map(position),
        }
    }

    /// Reads that of now, to compare an earlier one with.
    pub(crate) async fn read(session: &Session) -> Result<Self, Error> {
        let sql = include_str!("sql/moment.sql");
        let row = session.query_one("ask for the moment", sql, &[]).await?;
        let lsn = snapshot::position(session).await?;
        let number = |column: &str| u64::try_from(row.get::<_, i64>(column)).unwrap_or_default();
        Ok(Self {
            xmin: number("xmin"),
            xmax: number("xmax"),
            settled: Vec::new(),
            lsn: lsn.as_deref().ok().map(position),
        })
    }

    /// Whether a visible row was written by then, as SQL about its `xmin`, which holds the lower 32 bits of a transaction's number.
    /// Ages are compared, which are counted back from now: the larger, the older. What holds for nearly all rows is asked first.
    pub(crate) fn has_row(&self) -> String {
        let age = |number: u64| {
            format!(
                "(SELECT pg_catalog.age('{}'::pg_catalog.xid))",
                number % (1 << 32)
            )
        };
        let mut sql = format!(
            "pg_catalog.age(xmin) > {} OR pg_catalog.age(xmin) < 0",
            age(self.xmin)
        );
        for (first, next) in &self.settled {
            let (youngest, oldest) = (age(next.saturating_sub(1)), age(*first));
            write!(sql, " OR pg_catalog.age(xmin) BETWEEN {youngest} AND {oldest}").ok();
        }
        sql
    }
}

/// A position of the write-ahead log as a number: `16/B374D848` has its upper and its lower 32 bits in hexadecimal.
fn position(lsn: &str) -> u64 {
    let parts = lsn.split_once('/').and_then(|(high, low)| {
        Some((
            u64::from_str_radix(high, 16).ok()?,
            u64::from_str_radix(low, 16).ok()?,
        ))
    });
    parts.map_or(0, |(high, low)| (high << 32) | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_numbers() {
        assert_eq!(position("0/16B3748"), 0x016B_3748);
        assert_eq!(position("16/B374D848"), 0x16_B374_D848);
    }

    #[test]
    fn the_lower_half_of_a_number_is_what_rows_hold() {
        let moment = Moment {
            xmin: (3 << 32) + 7,
            xmax: (3 << 32) + 12,
            settled: vec![((3 << 32) + 8, (3 << 32) + 11)],
            lsn: Some(0),
        };
        let age = |number| format!("(SELECT pg_catalog.age('{number}'::pg_catalog.xid))");
        assert_eq!(
            moment.has_row(),
            format!(
                "pg_catalog.age(xmin) > {} OR pg_catalog.age(xmin) < 0 OR pg_catalog.age(xmin) BETWEEN {} AND {}",
                age(7),
                age(10),
                age(8)
            )
        );
    }
}
