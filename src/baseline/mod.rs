//! What a load notes of the source under its snapshot, so that what has been written since can be told exactly: which rows there
//! were, by the numbers of the transactions that wrote them.
//!
//! A row that is visible later and was written before the lowest transaction that ran under the snapshot was committed then, and
//! neither updated nor deleted since. Where as many of those are left as were loaded, none is missing, and every other row is new.

mod moment;
mod origin;
mod piece;
pub(crate) mod scan;
pub(crate) mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::archive::dump::Archive;
use crate::catalogue::{self, Relation, SequenceState};
use crate::error::Error;
use crate::server::parameter::Param;
use crate::server::session::Session;
use crate::snapshot::Mark;

pub(crate) use moment::Moment;
pub(crate) use origin::{Origin, Place};
pub(crate) use piece::{Part, Piece, Told};
pub(crate) use scan::{Scanned, Whereabouts};
pub(crate) use verdict::{Rows, Verdict};

/// How many bytes of a definition's hash are kept.
const HASH_BYTES: usize = 16;
/// How long the end of the rows waits for what the snapshot has seen to be on the source's disk: more than three times
/// `wal_writer_delay` where that is as it comes (0.2 s), so that loads of less than that are not left without.
pub(crate) const DISK_PATIENCE: Duration = Duration::from_secs(1);

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
        let volatile = "what the source writes can be told until it is restarted or crashes: not all that the load has seen was on its disk yet";
        match self {
            Self::Unknown(reason) => Some(format!("what the source writes cannot be told: {reason}")),
            Self::Known(contents) => (!contents.place.durable).then(|| volatile.to_owned()),
        }
    }

    /// Its tables.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Table> {
        let tables = match self {
            Self::Known(contents) => contents.tables.as_slice(),
            Self::Unknown(_) => &[],
        };
        tables.iter()
    }

    /// With the definitions, and the rows of the ledger under which all of it has landed, the whole.
    pub(crate) fn with(self, definitions: Definitions, loads: Vec<i64>) -> Noted<Baseline> {
        match self {
            Self::Known(contents) => Noted::Known(Baseline {
                contents,
                definitions,
                loads,
                unfinished: false,
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
    /// Rows of the ledger: the load that has made the tables, and what has refreshed them since. None by an earlier release.
    #[serde(default)]
    pub(crate) loads: Vec<i64>,
    /// No load of it has come to its end: tables may be awaited, and of what is built after the rows anything may be missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) unfinished: bool,
}

/// Tables and sequences, and where in the source's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) place: Place,
    pub(crate) tables: Vec<Table>,
    pub(crate) sequences: Vec<SequenceState>,
}

impl Contents {
    /// Takes note of what an attempt has landed since.
    pub(crate) fn take(&mut self, told: Vec<Told>) {
        let mut pieces: BTreeMap<u32, Vec<Piece>> = BTreeMap::new();
        let mut latest: BTreeMap<u32, Table> = BTreeMap::new();
        for one in told {
            match one {
                Told::Whole(table) => {
                    latest.insert(table.oid, table);
                }
                Told::Piece(piece) => pieces.entry(piece.table).or_default().push(piece),
            }
        }
        for table in &mut self.tables {
            match latest.remove(&table.oid) {
                Some(whole) => *table = whole,
                None => table.take(pieces.get(&table.oid).map_or(&[], Vec::as_slice)),
            }
        }
        self.tables.extend(latest.into_values());
    }
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
    /// They were given to its partitioned root, and may be in any of its leaves.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) by_root: bool,
    /// Where in the source's history, if it is another place than the whole unit's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Place>,
    /// What it is on the target; not known before it is there.
    #[serde(default)]
    pub(crate) target: Option<Meaning>,
    /// Its rows have not landed, unless those of pieces; nothing else than what they will mean is known of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) awaited: bool,
    /// What interrupted attempts have landed of it since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Part>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as it is called")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A table on the target: a name may come to stand for another one, and columns for other values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meaning {
    oid: u32,
    fingerprint: String,
}

/// What was loaded of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) rows: u64,
    /// They were given to its partitioned root.
    pub(crate) by_root: bool,
}

/// Everything that pg_dump says but rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definitions {
    /// pg_dump's major: another one may use other words.
    pub(crate) client: u32,
    /// A hash of the statements, the owner and the access method, by what they are about.
    pub(crate) entries: BTreeMap<String, String>,
}

/// What is known of a unit before its rows move.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// That of the snapshot.
    pub(crate) place: Place,
    /// All tables with rows of their own by their OIDs on the source, with the rows that are on the target already.
    pub(crate) tables: BTreeMap<u32, Table>,
}

impl Ground {
    /// Reads it of some tables of which nothing is on the target yet; why not, where the source does not tell which server it is.
    pub(crate) async fn read(
        (source, mark): (&Session, &Mark),
        tables: &[catalogue::Table],
    ) -> Result<Result<Self, String>, Error> {
        if let Err(reason) = &mark.lsn {
            return Ok(Err(format!(
                "the source does not tell its position in the write-ahead log: {reason}"
            )));
        }
        let origin = match origin(source).await? {
            Ok(origin) => origin,
            Err(reason) => return Ok(Err(reason)),
        };
        let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        let by_root: BTreeSet<u32> = tables
            .iter()
            .filter(|table| table.by_root)
            .map(|table| table.oid)
            .collect();
        let tables = fingerprints(source, &oids).await?.into_iter().map(|one| {
            let table = Table {
                by_root: by_root.contains(&one.oid),
                ..Table::of(one)
            };
            (table.oid, table)
        });
        Ok(Ok(Self {
            place: Place::at(origin, Moment::of(mark)),
            tables: tables.collect(),
        }))
    }

    /// Adds what the tables are on the target, where they are there by now.
    pub(crate) async fn look_at(&mut self, target: &Session) -> Result<(), Error> {
        let mut meanings = meanings(target, self.tables.values().map(|table| &table.relation)).await?;
        for table in self.tables.values_mut() {
            table.target = meanings.remove(&table.relation);
        }
        Ok(())
    }

    /// A table of which so many rows have landed, as it is by itself.
    pub(crate) fn landed(&self, oid: u32, rows: u64) -> Option<Table> {
        let table = self.tables.get(&oid)?;
        Some(Table {
            rows: table.rows + rows,
            place: Some(self.place.clone()),
            ..table.clone()
        })
    }

    /// What is there before the first row: tables are awaited, unless they hold none.
    pub(crate) fn begun(&self, is_empty: impl Fn(u32) -> bool, durable: bool) -> Contents {
        let tables = self.tables.values().map(|table| Table {
            awaited: !is_empty(table.oid),
            ..table.clone()
        });
        self.contents(tables.collect(), Vec::new(), durable)
    }

    /// What is there when the last row has landed: given what was loaded of each table by its OID, where sequences stand, and whether
    /// what the snapshot has seen is on disk.
    pub(crate) fn filled(
        &self,
        loaded: &BTreeMap<u32, Loaded>,
        sequences: Vec<SequenceState>,
        durable: bool,
    ) -> Contents {
        let tables = self.tables.iter().map(|(oid, table)| {
            let loaded = loaded.get(oid).copied().unwrap_or_default();
            Table {
                rows: table.rows + loaded.rows,
                by_root: table.by_root || loaded.by_root,
                ..table.clone()
            }
        });
        self.contents(tables.collect(), sequences, durable)
    }

    fn contents(&self, tables: Vec<Table>, sequences: Vec<SequenceState>, durable: bool) -> Contents {
        let place = Place {
            durable,
            ..self.place.clone()
        };
        Contents {
            place,
            tables,
            sequences,
        }
    }
}

impl Definitions {
    /// Those that no load has to make anew when they change: grants are brought in line with whatever is there.
    pub(crate) fn without_grants(&self) -> Self {
        let entries = self.entries.iter().filter(|(name, _)| !name.starts_with("ACL "));
        Self {
            client: self.client,
            entries: entries.map(|(name, hash)| (name.clone(), hash.clone())).collect(),
        }
    }

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
    /// A value may stand for another object (`regclass` and its like), which has another number on every server.
    pub(crate) by_name: bool,
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
        by_name: row.get("by_name"),
    };
    Ok(rows.iter().map(fingerprint).collect())
}

/// What some tables are on a server that has them under other OIDs.
pub(crate) async fn meanings(
    session: &Session,
    tables: impl Iterator<Item = &Relation>,
) -> Result<BTreeMap<Relation, Meaning>, Error> {
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.map(|one| (one.schema.as_str(), one.name.as_str())).unzip();
    let sql = include_str!("sql/named.sql");
    let rows = session
        .query("look up the tables", sql, &[&schemas, &names])
        .await?;
    let oids: Vec<u32> = rows.iter().map(|row| row.get("oid")).collect();
    let found = fingerprints(session, &oids).await?;
    let meaning = |one: Fingerprint| {
        let meaning = Meaning {
            oid: one.oid,
            fingerprint: one.hash,
        };
        (one.relation, meaning)
    };
    Ok(found.into_iter().map(meaning).collect())
}

/// Whether what a snapshot has seen outlives a crash of the server, at the latest in so much time; a server that does not tell is not
/// believed. Asked in the session's transaction, which goes on whatever the answer is.
pub(crate) async fn is_durable(session: &Session, mark: &Mark, patience: Duration) -> Result<bool, Error> {
    let sql = include_str!("sql/durable.sql");
    let lsn = mark.lsn.as_deref().ok();
    let params: [&dyn Param; 2] = [&mark.taken_at, &lsn];
    let question = session.query_one("ask what is on disk", sql, &params);
    let wait: i64 = match session.aside(question).await? {
        Ok(row) => row.get("wait"),
        Err(error) if error.is_withheld() => return Ok(false),
        Err(error) => return Err(error),
    };
    let wait = Duration::from_millis(wait.unsigned_abs());
    if wait > patience {
        return Ok(false);
    }
    tokio::time::sleep(wait).await;
    Ok(true)
}

/// Asks which server this is in a session's transaction, which goes on whatever the answer is; why it does not tell, where it does not.
pub(crate) async fn origin(session: &Session) -> Result<Result<Origin, String>, Error> {
    session.aside(Origin::read(session)).await?
}
