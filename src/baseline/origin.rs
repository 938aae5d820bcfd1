//! Whether a server is the one that a baseline was read on, with the same history behind it.

use serde::{Deserialize, Serialize};

use crate::baseline::Moment;
use crate::error::{self, Error};
use crate::server::session::Session;

/// Transaction numbers are told apart by their lower 32 bits, as far as they are less than half of that away.
const TRANSACTIONS_MAX: u64 = 1 << 31;

/// What no two servers, databases or histories have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// What the server was made with; copies of it share it.
    pub(super) system: String,
    /// OID of the database.
    pub(super) database: u32,
    /// Counts promotions of a standby.
    pub(super) timeline: i32,
    /// When the server was started, and when it last let go of statistics, as in every recovery from a crash: to the microsecond.
    pub(super) started: String,
}

impl Origin {
    /// Reads it; why not, where the server or the user's rights forbid it.
    pub(crate) async fn read(session: &Session) -> Result<Result<Self, String>, Error> {
        let sql = include_str!("sql/origin.sql");
        match session.query_one("ask which server it is", sql, &[]).await {
            Ok(row) => Ok(Ok(Self {
                system: row.get("system"),
                database: row.get("database"),
                timeline: row.get("timeline"),
                started: row.get("started"),
            })),
            Err(error) if error.is_withheld() => Ok(Err(format!(
                "the source does not tell which server it is: {}",
                error::chain(&error)
            ))),
            Err(error) => Err(error),
        }
    }
}

/// A place in a history: where, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(super) origin: Origin,
    pub(crate) moment: Moment,
    /// What the moment's snapshot has seen outlives a crash of the server.
    pub(super) durable: bool,
}

impl Place {
    /// That of a snapshot, of which is not known yet whether it outlives a crash.
    pub(crate) fn at(origin: Origin, moment: Moment) -> Self {
        Self {
            origin,
            moment,
            durable: false,
        }
    }

    /// Why what is seen at a later place tells nothing of what has happened since this one; `None` if it does.
    pub(crate) fn estranged(&self, origin: &Origin, moment: &Moment) -> Option<&'static str> {
        let (before, then) = (&self.origin, &self.moment);
        if origin.system != before.system {
            Some("the source is another server than the one that was loaded from")
        } else if origin.database != before.database {
            Some("the source is another database than the one that was loaded from")
        } else if origin.timeline != before.timeline {
            Some("the source is on another timeline: a standby was promoted since the load")
        } else if moment.lsn.is_none() {
            Some("the source does not tell its position in the write-ahead log")
        } else if moment.lsn < then.lsn || moment.xmax < then.xmax {
            Some("the source is behind the load: a standby that lags, or one that was set back")
        } else if moment.xmax.saturating_sub(then.xmin) >= TRANSACTIONS_MAX {
            Some("the source has run 2^31 transactions or more since the load")
        } else if !self.durable && origin.started != before.started {
            Some(
                "the source was restarted or has crashed since the load, which ended before all that it had seen was on disk",
            )
        } else {
            None
        }
    }

    /// Whether no transaction of the whole server can have written until a later place that is not estranged: none was running,
    /// and none has begun.
    pub(crate) fn is_still(&self, moment: &Moment) -> bool {
        self.moment.xmin == self.moment.xmax && self.moment.xmax == moment.xmax
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_ahead_on_the_same_way_tells_anything() {
        let origin = Origin {
            system: "7".to_owned(),
            database: 5,
            timeline: 1,
            started: "noon".to_owned(),
        };
        let moment = Moment {
            xmin: 90,
            xmax: 100,
            settled: Vec::new(),
            lsn: Some(1000),
        };
        let place = Place {
            origin: origin.clone(),
            moment: moment.clone(),
            durable: true,
        };
        assert_eq!(place.estranged(&origin, &moment), None);
        let restarted = Origin {
            started: "later".to_owned(),
            ..origin.clone()
        };
        assert_eq!(place.estranged(&restarted, &moment), None);
        let volatile = Place {
            durable: false,
            ..place.clone()
        };
        let last = Moment {
            xmax: 90 + TRANSACTIONS_MAX - 1,
            ..moment.clone()
        };
        assert_eq!(place.estranged(&origin, &last), None);
        let other = |change: &dyn Fn(&mut Origin, &mut Moment)| {
            let (mut origin, mut moment) = (origin.clone(), moment.clone());
            change(&mut origin, &mut moment);
            (origin, moment)
        };
        let cases = [
            (
                &place,
                other(&|origin, _| "8".clone_into(&mut origin.system)),
                "another server",
            ),
            (
                &place,
                other(&|origin, _| origin.database = 6),
                "another database",
            ),
            (
                &place,
                other(&|origin, _| origin.timeline = 2),
                "another timeline",
            ),
            (&place, other(&|_, moment| moment.lsn = Some(999)), "behind"),
            (&place, other(&|_, moment| moment.lsn = None), "does not tell"),
            (&place, other(&|_, moment| moment.xmax = 99), "behind"),
            (
                &place,
                other(&|_, moment| moment.xmax = 90 + TRANSACTIONS_MAX),
                "2^31",
            ),
            (&volatile, (restarted, moment.clone()), "restarted"),
        ];
        for (place, (origin, moment), expected) in cases {
            let reason = place.estranged(&origin, &moment).unwrap_or_default();
            assert!(reason.contains(expected), "{expected}: {reason}");
        }
    }
    #[test]
    fn a_server_is_still_while_no_transaction_ran_or_has_begun() {
        let moment = |xmin, xmax| Moment {
            xmin,
            xmax,
            settled: Vec::new(),
            lsn: Some(1000),
        };
        for (then, now, expected) in [
            (moment(100, 100), moment(100, 100), true),
            (moment(100, 100), moment(100, 101), false),
            (moment(100, 100), moment(101, 101), false),
            (moment(99, 100), moment(99, 100), false),
            (moment(99, 100), moment(100, 100), false),
        ] {
            let origin = Origin {
                system: "7".to_owned(),
                database: 5,
                timeline: 1,
                started: "noon".to_owned(),
            };
            let place = Place {
                origin,
                moment: then,
                durable: true,
            };
            assert_eq!(place.is_still(&now), expected, "{place:?} {now:?}");
        }
    }
}
