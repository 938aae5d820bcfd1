//! What a load notes of the source under its snapshot, so that what has been written since can be told exactly: which rows there
//! were, by the numbers of the transactions that wrote them.
//!
//! A row that is visible later and was written before the lowest transaction that ran under the snapshot was committed then, and
//! neither updated nor deleted since. Where as many of those are left as were loaded, none is missing, and every other row is new.

mod origin;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::archive::dump::Archive;
use crate::catalogue::{Relation, SequenceState};
use crate::error::Error;
use crate::server::session::Session;
use crate::snapshot::Mark;

pub(crate) use origin::{Moment, Origin, Place};

/// How many bytes of a definition's hash are kept.
const HASH_BYTES: usize = 16;

/// What the ledger keeps of a unit's source, or why it keeps nothing that could be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Noted<T> {
    Known(T),
    Unknown(String),
}

impl Noted<Contents> {
    /// Why it tells nothing later, or not for long.
    pub(crate) fn caveat(&self) -> Option<String> {
        let volatile = "what the source writes can be told until it is restarted: not all that the load has seen was on its disk yet";
        match self {
            Self::Unknown(reason) => Some(format!("what the source writes cannot be told: {reason}")),
            Self::Known(contents) => (!contents.place.durable).then(|| volatile.to_owned()),
        }
    }

    /// With the definitions, the whole.
    pub(crate) fn with(self, definitions: Definitions) -> Noted<Baseline> {
        match self {
            Self::Known(contents) => Noted::Known(Baseline {
                contents,
                definitions,
            }),
            Self::Unknown(reason) => Noted::Unknown(reason),
        }
    }
}

/// The source as a load has seen it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Baseline {
    #[serde(flatten)]
    pub(crate) contents: Contents,
    pub(crate) definitions: Definitions,
}

/// Tables and sequences, and where in the source's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) place: Place,
    pub(crate) tables: Vec<Table>,
    pub(crate) sequences: Vec<SequenceState>,
}

/// A table with rows of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    pub(crate) relation: Relation,
    /// Of all that decides what a stored row means.
    pub(crate) fingerprint: String,
    /// Rows of it alone that were loaded.
    pub(crate) rows: u64,
}

/// Everything that pg_dump says but rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definitions {
    /// pg_dump's major: another one may use other words.
    pub(crate) client: u32,
    /// A hash of the statements, the owner and the access method, by what they are about.
    pub(crate) entries: BTreeMap<String, String>,
}

impl Moment {
    /// That of a snapshot.
    pub(crate) fn of(mark: &Mark) -> Self {
        Self {
            xmin: mark.xmin,
            xmax: mark.xmax,
            settled: mark.settled.clone(),
            lsn: position(&mark.lsn),
        }
    }

    /// Whether a visible row was written by then, as SQL about its `xmin`, which holds the lower 32 bits of a transaction's number.
    /// Ages are compared, which are counted back from now: the larger, the older.
    pub(crate) fn has_row(&self) -> String {
        let age = |number: u64| {
            format!(
                "(SELECT pg_catalog.age('{}'::pg_catalog.xid))",
                number % (1 << 32)
            )
        };
        let mut sql = format!("pg_catalog.age(xmin) NOT BETWEEN 0 AND {}", age(self.xmin));
        for (first, next) in &self.settled {
            let (youngest, oldest) = (age(next.saturating_sub(1)), age(*first));
            write!(sql, " OR pg_catalog.age(xmin) BETWEEN {youngest} AND {oldest}").ok();
        }
        sql
    }
}

/// What can be read while rows are on their way.
#[derive(Debug)]
pub(crate) struct Early {
    origin: Result<Origin, String>,
    fingerprints: Vec<Fingerprint>,
}

impl Early {
    /// Reads it of some tables, on a session that holds the snapshot.
    pub(crate) async fn read(session: &Session, tables: &[u32]) -> Result<Self, Error> {
        Ok(Self {
            origin: asked(session, Origin::read(session)).await??,
            fingerprints: fingerprints(session, tables).await?,
        })
    }

    /// Adds what is known when the last row has landed: the rows of each table by its OID, where sequences stand, and whether
    /// what the snapshot has seen is on disk.
    pub(crate) fn complete(
        self,
        mark: &Mark,
        rows: &BTreeMap<u32, u64>,
        sequences: Vec<SequenceState>,
        durable: bool,
    ) -> Noted<Contents> {
        let origin = match self.origin {
            Ok(origin) => origin,
            Err(reason) => return Noted::Unknown(reason),
        };
        let tables = self.fingerprints.into_iter().map(|one| Table {
            oid: one.oid,
            rows: rows.get(&one.oid).copied().unwrap_or_default(),
            relation: one.relation,
            fingerprint: one.hash,
        });
        let moment = Moment::of(mark);
        Noted::Known(Contents {
            place: Place {
                origin,
                moment,
                durable,
            },
            tables: tables.collect(),
            sequences,
        })
    }
}

impl Definitions {
    /// Those of an archive.
    pub(crate) fn of(archive: &Archive) -> Self {
        let mut texts: BTreeMap<String, Sha256> = BTreeMap::new();
        for entry in &archive.entries {
            let name = [entry.desc.as_str(), &entry.namespace, &entry.tag];
            let name: Vec<&str> = name.into_iter().filter(|word| !word.is_empty()).collect();
            let hash = texts.entry(name.join(" ")).or_default();
            for said in [&entry.definition, &entry.owner, &entry.access_method] {
                hash.update(said.as_bytes());
                hash.update([0]);
            }
        }
        let entries = texts.into_iter().map(|(name, hash)| {
            let hash = hash.finalize();
            let kept = hash.iter().take(HASH_BYTES);
            let hex = kept.fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").ok();
                hex
            });
            (name, hex)
        });
        Self {
            client: archive.client_major,
            entries: entries.collect(),
        }
    }
}

/// What the rows of a table mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) oid: u32,
    pub(crate) relation: Relation,
    pub(crate) hash: String,
}

/// Reads what the rows of some tables mean.
pub(crate) async fn fingerprints(session: &Session, tables: &[u32]) -> Result<Vec<Fingerprint>, Error> {
    let sql = include_str!("sql/fingerprints.sql");
    let rows = session.query("look at the columns", sql, &[&tables]).await?;
    let fingerprint = |row: &tokio_postgres::Row| Fingerprint {
        oid: row.get("oid"),
        relation: Relation {
            schema: row.get("schema"),
            name: row.get("name"),
        },
        hash: row.get("fingerprint"),
    };
    Ok(rows.iter().map(fingerprint).collect())
}

/// Whether what a snapshot has seen outlives a crash of the server; a server that does not tell is not believed. Asked in the
/// session's transaction, which goes on whatever the answer is.
pub(crate) async fn is_durable(session: &Session, mark: &Mark) -> Result<bool, Error> {
    let sql = include_str!("sql/durable.sql");
    match asked(
        session,
        session.query_one("ask what is on disk", sql, &[&mark.taken_at]),
    )
    .await?
    {
        Ok(row) => Ok(row.get("durable")),
        Err(error) if error.sqlstate().is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

/// A question that may be refused, in a transaction that goes on; all of it is on its way at once.
async fn asked<T>(
    session: &Session,
    question: impl Future<Output = Result<T, Error>>,
) -> Result<Result<T, Error>, Error> {
    let (before, answer, after) = tokio::join!(
        session.batch("ask", "SAVEPOINT asked"),
        question,
        session.batch("go on", "ROLLBACK TO SAVEPOINT asked; RELEASE SAVEPOINT asked")
    );
    before?;
    after?;
    Ok(answer)
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
            lsn: 0,
        };
        let age = |number| format!("(SELECT pg_catalog.age('{number}'::pg_catalog.xid))");
        assert_eq!(
            moment.has_row(),
            format!(
                "pg_catalog.age(xmin) NOT BETWEEN 0 AND {} OR pg_catalog.age(xmin) BETWEEN {} AND {}",
                age(7),
                age(10),
                age(8)
            )
        );
    }
}
