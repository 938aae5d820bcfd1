//! What is done with a schema that the target already has: replaced, adopted, or left to a person.
//!
//! Nothing is dropped that a load of ours did not create, unless `ON_EXISTING=replace` says so, and never
//! anything outside of the schema.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, OnExisting, SchemaName};
use crate::error::{Error, Refusal, Refused, Side};
use crate::ledger::{self, Entry, Load, State};
use crate::server::session::{Session, quote_ident};

/// Objects dropped in one transaction. A table takes some seven locks with its key and TOAST, and the lock
/// table of a server with default settings holds 6400.
const DROP_CHUNK: usize = 100;
/// OID of the catalogue that holds schemas, the same on every server.
pub(crate) const PG_NAMESPACE: u32 = 2615;
/// Changes named in a refusal.
const NAMED_MAX: usize = 5;

/// A schema on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each by itself")]
pub(crate) struct Existing {
    pub(crate) oid: u32,
    owner: String,
    /// Whether the target user has the owner's rights without `SET ROLE`.
    may_drop: bool,
    has_extension: bool,
    /// Whether it holds nothing, or nothing but extensions and their members.
    empty: bool,
    /// Whether a load of ours made it.
    ours: bool,
}

/// What a load does with one schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is not there.
    Create,
    /// It is there and holds nothing of its own: it keeps its owner.
    Adopt(Existing),
    /// It is emptied object by object and kept: it was there before our loads, holds an extension, or is `public`.
    Empty(Existing),
    /// It is dropped whole and made again.
    Replace(Existing),
}

impl Decision {
    /// The schema as it stands, if it does.
    pub(crate) fn existing(&self) -> Option<&Existing> {
        match self {
            Self::Create => None,
            Self::Adopt(existing) | Self::Empty(existing) | Self::Replace(existing) => Some(existing),
        }
    }

    /// What will happen, to be read after the schema's name.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Create => "is not there and will be created",
            Self::Adopt(_) => "is empty and will be filled",
            Self::Empty(_) => "will be emptied and filled again",
            Self::Replace(_) => "will be dropped and made again",
        }
    }

    /// Whether the schema keeps its owner: it was there before our loads, or belongs to a role whose rights the user does
    /// not have by itself.
    pub(crate) fn adopts(&self) -> bool {
        match self {
            Self::Create | Self::Replace(_) => false,
            Self::Adopt(existing) | Self::Empty(existing) => !(existing.ours && existing.may_drop),
        }
    }

    /// What is emptied or dropped.
    pub(crate) fn cleared(&self) -> Option<&Existing> {
        match self {
            Self::Create | Self::Adopt(_) => None,
            Self::Empty(existing) | Self::Replace(existing) => Some(existing),
        }
    }
}

/// Looks at one schema and decides, changing nothing.
pub(crate) async fn decide(
    target: &Session,
    schema: &SchemaName,
    on_existing: OnExisting,
    entry: &Entry,
) -> Result<Decision, Error> {
    let load = ledger::latest(target, schema.as_str()).await?;
    // By name: a database that was upgraded since has other OIDs.
    if load.as_ref().is_some_and(|load| load.state == State::Sealed) {
        return Err(occupied(
            format!("schema \"{schema}\" is sealed"),
            "no load touches a sealed schema; if it is not live, schemaferry seal --undo",
        ));
    }
    let Some(mut existing) = look(target, schema).await? else {
        return Ok(Decision::Create);
    };
    let load = load.filter(|load| load.schema_oid == Some(existing.oid));
    existing.ours = load.as_ref().is_some_and(|load| !load.adopted);
    let keep = schema.as_str() == "public"
        || existing.has_extension
        || load.as_ref().is_some_and(|load| load.adopted);
    if existing.empty && !existing.ours {
        return Ok(Decision::Adopt(existing));
    }
    if !existing.empty {
        permit(target, schema, &existing, load.as_ref(), (on_existing, entry)).await?;
    }
    Ok(if keep {
        Decision::Empty(existing)
    } else {
        Decision::Replace(existing)
    })
}

async fn look(target: &Session, schema: &SchemaName) -> Result<Option<Existing>, Error> {
    let rows = target
        .query(
            "look at the schema",
            include_str!("sql/schema.sql"),
            &[&schema.as_str()],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let oid: u32 = row.get("oid");
    let empty = contents(target, oid).await?.is_empty();
    Ok(Some(Existing {
        oid,
        owner: row.get("owner"),
        may_drop: row.get("may_drop"),
        has_extension: row.get("has_extension"),
        empty,
        ours: false,
    }))
}

/// Whether what is there may be dropped.
async fn permit(
    target: &Session,
    schema: &SchemaName,
    existing: &Existing,
    load: Option<&Load>,
    (on_existing, entry): (OnExisting, &Entry),
) -> Result<(), Error> {
    const CURE: &str = "drop or rename it, or set ON_EXISTING=replace";
    match on_existing {
        OnExisting::Replace => Ok(()),
        OnExisting::Fail => {
            let leftover = load.is_some_and(|load| load.state != State::Complete && load.is_of(entry));
            if leftover {
                Ok(())
            } else {
                Err(occupied(format!("schema \"{schema}\" is not empty"), CURE))
            }
        }
        OnExisting::Own => match load {
            None => Err(occupied(
                format!("schema \"{schema}\" was not made by a load of ours"),
                CURE,
            )),
            Some(load) if load.state != State::Complete => Ok(()),
            Some(load) => {
                let changes = load.changes(target, existing.oid).await?;
                if changes.is_empty() {
                    return Ok(());
                }
                let more = changes.len().saturating_sub(NAMED_MAX);
                let mut named = changes;
                named.truncate(NAMED_MAX);
                if more > 0 {
                    named.push(format!("and {more} more"));
                }
                Err(occupied(
                    format!(
                        "schema \"{schema}\" was changed since our load: {}",
                        named.join(", ")
                    ),
                    CURE,
                ))
            }
        },
    }
}

fn occupied(reason: String, cure: &str) -> Error {
    Error::Refused(Refused {
        refusal: Refusal::Occupied,
        side: Side::Target,
        reason,
        cure: cure.to_owned(),
    })
}

/// A schema of the unit with what is to be done and its row in the ledger.
struct Planned {
    schema: SchemaName,
    decision: Decision,
    /// The ledger row that says `clearing`.
    id: i64,
}

/// The unit's schemas, ready to be filled.
#[derive(Debug)]
pub(crate) struct Room {
    /// Ledger row and OID of each.
    pub(crate) loads: Vec<(i64, u32)>,
    /// Those that were there before and keep their owner.
    pub(crate) adopted: BTreeSet<SchemaName>,
}

/// Makes room for the unit: afterwards its schemas exist, hold nothing of their own, have the source's comments (statements
/// by the schema's name), and the ledger says `loading`.
pub(crate) async fn make_room(
    target: &Session,
    config: &Config,
    entry: &Entry,
    comments: &BTreeMap<String, String>,
) -> Result<Room, Error> {
    let planned = plan(target, config, entry).await?;
    let unit: Vec<u32> = planned
        .iter()
        .filter_map(|one| one.decision.existing())
        .map(|existing| existing.oid)
        .collect();
    for one in &planned {
        if let Some(existing) = one.decision.cleared() {
            empty(target, existing, &unit).await?;
        }
    }
    target.batch("begin", "BEGIN").await?;
    let mut loads = Vec::new();
    for one in &planned {
        let oid = one.provide(target).await?;
        ledger::loading(target, one.id, oid).await?;
        loads.push((one.id, oid));
    }
    target.batch("commit", "COMMIT").await?;
    let (adopted, own): (Vec<Planned>, Vec<Planned>) =
        planned.into_iter().partition(|one| one.decision.adopts());
    for one in &own {
        comment(target, one, comments).await?;
    }
    Ok(Room {
        loads,
        adopted: adopted.into_iter().map(|one| one.schema).collect(),
    })
}

/// Writes `clearing` into the ledger for every schema, before anything is dropped. What is done with each is decided once
/// more: someone may have written since preflight.
async fn plan(target: &Session, config: &Config, entry: &Entry) -> Result<Vec<Planned>, Error> {
    ledger::open(target).await?;
    let mut planned = Vec::new();
    target.batch("begin", "BEGIN").await?;
    for schema in &config.schemas {
        let decision = decide(target, schema, config.on_existing, entry).await?;
        let existing = decision.existing().map(|existing| existing.oid);
        let id = ledger::begin(target, entry, schema, existing, decision.adopts()).await?;
        planned.push(Planned {
            schema: schema.clone(),
            decision,
            id,
        });
    }
    target.batch("commit", "COMMIT").await?;
    Ok(planned)
}

impl Planned {
    /// The OID of the schema, which exists and is empty afterwards.
    async fn provide(&self, target: &Session) -> Result<u32, Error> {
        match &self.decision {
            Decision::Adopt(existing) | Decision::Empty(existing) => Ok(existing.oid),
            Decision::Create => create(target, &self.schema).await,
            Decision::Replace(existing) => {
                become_owner(target, existing).await?;
                // Not CASCADE: whatever appeared meanwhile keeps the schema.
                let name = quote_ident(self.schema.as_str());
                let sql = format!("DROP SCHEMA {name}; RESET ROLE");
                target.batch(&format!("drop schema {name}"), &sql).await?;
                create(target, &self.schema).await
            }
        }
    }
}

/// The comment that a schema of ours has on the source; one that is kept may have another.
async fn comment(target: &Session, one: &Planned, comments: &BTreeMap<String, String>) -> Result<(), Error> {
    let schema = one.schema.as_str();
    let none = || format!("COMMENT ON SCHEMA {} IS NULL", quote_ident(schema));
    let kept = matches!(one.decision, Decision::Empty(_));
    match comments.get(schema).cloned().or_else(|| kept.then(none)) {
        Some(statement) => target.batch("comment on the schema", &statement).await,
        None => Ok(()),
    }
}

async fn create(target: &Session, schema: &SchemaName) -> Result<u32, Error> {
    let name = quote_ident(schema.as_str());
    target
        .batch(&format!("create schema {name}"), &format!("CREATE SCHEMA {name}"))
        .await?;
    let sql = "SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1";
    Ok(target
        .query_one("look at the schema", sql, &[&schema.as_str()])
        .await?
        .get(0))
}

/// Drops everything in the schema, a chunk at a time, so that no schema is too large for the lock table.
async fn empty(target: &Session, existing: &Existing, unit: &[u32]) -> Result<(), Error> {
    loop {
        let objects = contents(target, existing.oid).await?;
        if objects.is_empty() {
            return Ok(());
        }
        for chunk in objects.chunks(DROP_CHUNK) {
            target.batch("begin", "BEGIN").await?;
            become_owner(target, existing).await?;
            refuse_dependents(target, unit, chunk.iter().map(|object| object.address)).await?;
            let drops: Vec<String> = chunk
                .iter()
                .map(|object| drop_statement(&object.kind, &object.identity))
                .collect();
            target.batch("drop objects", &drops.join("; ")).await?;
            target.batch("commit", "RESET ROLE; COMMIT").await?;
        }
    }
}

/// The owner of a schema may drop whatever is in it, whoever owns that. A member without inherited rights has to
/// take the role first.
async fn become_owner(target: &Session, existing: &Existing) -> Result<(), Error> {
    if existing.may_drop {
        return Ok(());
    }
    let sql = format!("SET LOCAL ROLE {}", quote_ident(&existing.owner));
    target
        .batch(&format!("take the role {}", existing.owner), &sql)
        .await
}

/// Refuses if something outside of the unit would go with these objects, each named by its catalogue and its OID.
/// Asked in the transaction that drops.
pub(crate) async fn refuse_dependents(
    target: &Session,
    unit: &[u32],
    objects: impl Iterator<Item = (u32, u32)>,
) -> Result<(), Error> {
    let (classids, objids): (Vec<u32>, Vec<u32>) = objects.unzip();
    let sql = include_str!("sql/dependents.sql");
    let rows = target
        .query("list dependents", sql, &[&unit, &classids, &objids])
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = rows.iter().take(NAMED_MAX).map(|row| row.get(0)).collect();
    Err(occupied(
        format!(
            "{} objects outside of the schema depend on it: {}",
            rows.len(),
            named.join(", ")
        ),
        "drop them, or move their schemas in one unit with this one",
    ))
}

/// Something that stands in a schema by itself.
struct Object {
    /// Its catalogue and its OID.
    address: (u32, u32),
    kind: String,
    identity: String,
}

async fn contents(target: &Session, oid: u32) -> Result<Vec<Object>, Error> {
    let rows = target
        .query(
            "list what the schema holds",
            include_str!("sql/contents.sql"),
            &[&oid],
        )
        .await?;
    let object = |row: &tokio_postgres::Row| Object {
        address: (row.get("classid"), row.get("objid")),
        kind: row.get("type"),
        identity: row.get("identity"),
    };
    Ok(rows.iter().map(object).collect())
}

/// `pg_identify_object` names types in the words that DROP takes, with these exceptions. `IF EXISTS`, because an
/// earlier CASCADE of the same chunk may have taken it along.
fn drop_statement(kind: &str, identity: &str) -> String {
    let word = match kind {
        "function" | "procedure" | "aggregate" => "ROUTINE".to_owned(),
        "statistics object" => "STATISTICS".to_owned(),
        "composite type" => "TYPE".to_owned(),
        other => other.to_uppercase(),
    };
    format!("DROP {word} IF EXISTS {identity} CASCADE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_use_the_words_of_sql() {
        assert_eq!(
            drop_statement("function", "s.f(integer)"),
            "DROP ROUTINE IF EXISTS s.f(integer) CASCADE"
        );
        assert_eq!(
            drop_statement("materialized view", "s.m"),
            "DROP MATERIALIZED VIEW IF EXISTS s.m CASCADE"
        );
        assert_eq!(
            drop_statement("statistics object", "s.x"),
            "DROP STATISTICS IF EXISTS s.x CASCADE"
        );
    }
}
