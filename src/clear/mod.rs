//! What is done with a schema that the target already has: replaced, adopted, or left to a person.
//!
//! Nothing is dropped that a load of ours did not create, unless `ON_EXISTING=replace` says so, and never
//! anything outside of the schema.

mod down;
mod drop;

pub(crate) use down::{Order, Piece, order, settled};
pub(crate) use drop::changed;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Row;

use crate::catalogue;
use crate::clear::drop::{Emptying, Member};

use crate::config::{Config, OnExisting, SchemaName, listed};
use crate::error::{Error, Refused, Side};
use crate::ledger::{self, Begun, Load, LoadState, NewLoad};
use crate::lock::Lock;
use crate::server::parameter::Param;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;
use crate::word;

/// OID of the catalogue that holds schemas, the same on every server.
pub(crate) const PG_NAMESPACE: u32 = 2615;
/// Changes named in a refusal.
const NAMED_MAX: usize = 5;
/// What a person can do about a schema that is not ours to replace.
const REPLACE: &str = "drop or rename it, or set ON_EXISTING=replace";

/// A schema on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each by itself")]
pub(crate) struct Existing {
    pub(crate) oid: u32,
    owner: String,
    /// Whether the target user has the owner's rights without `SET ROLE`.
    may_drop: bool,
    /// Whether the owner is the user, a role that it is a member of, or a superuser.
    owner_is_ours: bool,
    /// The statement that makes it so.
    own_hint: String,
    has_extension: bool,
    /// Whether it holds nothing, or nothing but extensions and their members.
    empty: bool,
    /// Whether a load of ours made it.
    ours: bool,
    /// A load of ours that did not come to its end.
    interrupted: bool,
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
            Self::Empty(existing) | Self::Replace(existing) if existing.interrupted => {
                "holds what an interrupted load has left, which will be gone on with or replaced"
            }
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

    /// OID of the schema, if it is there, and whether it is adopted, as the ledger has it.
    fn recorded(&self) -> (Option<u32>, bool) {
        (self.existing().map(|existing| existing.oid), self.adopts())
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
    entry: &NewLoad,
) -> Result<Decision, Error> {
    let load = ledger::latest(target, schema.as_str()).await?;
    // By name: a database that was upgraded since has other OIDs.
    if load.as_ref().is_some_and(|load| load.state == LoadState::Sealed) {
        return Err(occupied(
            format!("schema \"{schema}\" is sealed"),
            "no load touches a sealed schema; if it is not live, schemaferry seal --undo",
        ));
    }
    let Some(mut existing) = look(target, schema).await? else {
        return Ok(Decision::Create);
    };
    if let Some(former) = ledger::sealed_as(target, existing.oid).await? {
        return Err(occupied(
            format!("schema \"{schema}\" is \"{former}\", which was sealed, under another name"),
            "no load touches a sealed schema; if it is not live, rename it back, and schemaferry seal --undo",
        ));
    }
    let load = load.filter(|load| load.schema_oid == Some(existing.oid));
    existing.ours = load.as_ref().is_some_and(|load| !load.adopted);
    existing.interrupted = load.as_ref().is_some_and(|load| load.state == LoadState::Loading);
    let keep = schema.as_str() == "public"
        || existing.has_extension
        || load.as_ref().is_some_and(|load| load.adopted);
    let adopted = existing.empty && !existing.ours;
    if !existing.empty {
        permit(target, schema, &existing, load.as_ref(), (on_existing, entry)).await?;
    }
    if (adopted || keep) && !existing.ours && !existing.owner_is_ours {
        return Err(occupied(
            format!(
                "schema \"{schema}\" belongs to {}, who could put tables and code of that role's into it during the load, and of \
                 which the user is no member",
                existing.owner
            ),
            &existing.own_hint,
        ));
    }
    Ok(if adopted {
        Decision::Adopt(existing)
    } else if keep {
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
        owner_is_ours: row.get("owner_is_ours"),
        own_hint: row.get("own_hint"),
        has_extension: row.get("has_extension"),
        empty,
        ours: false,
        interrupted: false,
    }))
}

/// Whether what is there may be dropped.
async fn permit(
    target: &Session,
    schema: &SchemaName,
    existing: &Existing,
    load: Option<&Load>,
    (on_existing, entry): (OnExisting, &NewLoad),
) -> Result<(), Error> {
    match on_existing {
        OnExisting::Replace => Ok(()),
        OnExisting::Fail => {
            let leftover =
                load.is_some_and(|load| load.state != LoadState::Complete && load.is_of_run(entry));
            if leftover {
                Ok(())
            } else {
                Err(occupied(format!("schema \"{schema}\" is not empty"), REPLACE))
            }
        }
        OnExisting::Own => match load {
            None => Err(occupied(
                format!("schema \"{schema}\" was not made by a load of ours"),
                REPLACE,
            )),
            Some(load) if load.state != LoadState::Complete => Ok(()),
            Some(load) => {
                refuse_uncounted(target, schema).await?;
                let mut changes = load.altered(target).await?;
                // What has become of rows that were rewritten is looked up later.
                changes.extend(load.tally(target, existing.oid).await?.writes);
                if changes.is_empty() {
                    return Ok(());
                }
                Err(changed(schema, &changes))
            }
        },
    }
}

/// Refuses where nobody can tell whether there were writes.
async fn refuse_uncounted(target: &Session, schema: &SchemaName) -> Result<(), Error> {
    let sql = include_str!("sql/uncounted.sql");
    let rows = target.query("look whether writes are counted", sql, &[]).await?;
    match rows.first() {
        None => Ok(()),
        Some(row) => Err(occupied(
            format!(
                "nobody can tell whether schema \"{schema}\" was written to since our load: {}",
                row.get::<_, String>(0)
            ),
            "switch track_counts on before the next load, or set ON_EXISTING=replace",
        )),
    }
}

fn named(items: &[String]) -> String {
    word::some_of(items, NAMED_MAX, ", ")
}

fn occupied(reason: String, hint: &str) -> Error {
    Error::Refused(Refused::occupied(Side::Target, reason, hint))
}

/// A schema of the unit with what is to be done.
#[derive(Debug)]
pub(crate) struct Planned {
    schema: SchemaName,
    decision: Decision,
    /// The complete load that it has to be as left by; none where whatever is there goes.
    pub(crate) load: Option<Load>,
}

/// The unit's schemas, ready to be filled.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) loads: Vec<Begun>,
    /// Comments that its user may not give.
    pub(crate) not_carried: Vec<String>,
    /// Those that were there before and keep their owner.
    pub(crate) adopted: BTreeSet<SchemaName>,
}

/// Makes room for the unit, as it was planned: afterwards its schemas exist, hold nothing of their own, have the source's comments
/// (statements by the schema's name), and the ledger says `loading`.
pub(crate) async fn make_room(
    target: &Session,
    lock: &Lock,
    planned: Vec<Planned>,
    (config, entry): (&Config, &NewLoad),
    comments: &BTreeMap<String, String>,
) -> Result<Room, Error> {
    ledger::open(target).await?;
    let schemas: Vec<u32> = planned
        .iter()
        .filter_map(|one| one.decision.existing())
        .map(|existing| existing.oid)
        .collect();
    let emptying = Emptying {
        target,
        outside: lock.session(),
        planned: &planned,
        unit: &schemas,
        entry,
        lock_timeout: config.lock_timeout,
        untold: RefCell::default(),
    };
    let rows = emptying.run().await?;
    target.batch("begin", "BEGIN").await?;
    let (mut loads, mut not_carried) = (Vec::new(), Vec::new());
    for (one, row) in planned.iter().zip(rows) {
        let id = match row {
            Some(id) => id,
            None => ledger::begin(target, entry, &one.schema, one.decision.recorded()).await?,
        };
        let oid = one.provide(target).await?;
        ledger::loading(target, id, oid).await?;
        not_carried.extend(comment(target, one, comments).await?);
        loads.push(Begun {
            id,
            schema: one.schema.clone(),
            schema_oid: oid,
            adopted: one.decision.adopts(),
        });
    }
    target.batch("commit", "COMMIT").await?;
    let adopted = planned.into_iter().filter(|one| one.decision.adopts());
    Ok(Room {
        loads,
        not_carried,
        adopted: adopted.map(|one| one.schema).collect(),
    })
}

/// What is done with each schema, decided once more: someone may have written since preflight.
pub(crate) async fn plan(target: &Session, config: &Config, entry: &NewLoad) -> Result<Vec<Planned>, Error> {
    let mut planned = Vec::new();
    for schema in &config.schemas {
        let decision = decide(target, schema, config.on_existing, entry).await?;
        planned.push(Planned::of(target, schema, decision, config.on_existing).await?);
    }
    Ok(planned)
}

impl Planned {
    /// A schema for which this was decided.
    async fn of(
        target: &Session,
        schema: &SchemaName,
        decision: Decision,
        on_existing: OnExisting,
    ) -> Result<Self, Error> {
        let oid = decision.existing().map(|existing| existing.oid);
        let load = ledger::latest(target, schema.as_str()).await?;
        let is_ours = |load: &Load| {
            on_existing == OnExisting::Own && load.state == LoadState::Complete && load.schema_oid == oid
        };
        Ok(Self {
            schema: schema.clone(),
            decision,
            load: load.filter(is_ours),
        })
    }

    /// The OID of the schema, which exists and is empty afterwards.
    async fn provide(&self, target: &Session) -> Result<u32, Error> {
        match &self.decision {
            // One that a load of ours made, and gave away.
            Decision::Empty(existing) if existing.ours && !existing.owner_is_ours => {
                target.batch("take the schema back", &existing.own_hint).await?;
                Ok(existing.oid)
            }
            Decision::Adopt(existing) | Decision::Empty(existing) => Ok(existing.oid),
            Decision::Create => create(target, &self.schema).await,
            Decision::Replace(existing) => {
                drop_schema(target, &self.schema, existing).await?;
                create(target, &self.schema).await
            }
        }
    }
}

/// The comment that a schema has on the source; one of ours that is kept may have another. Only its owner may give it:
/// returns what is not carried.
async fn comment(
    target: &Session,
    one: &Planned,
    comments: &BTreeMap<String, String>,
) -> Result<Option<String>, Error> {
    const OWNED: &str =
        "SELECT pg_catalog.pg_has_role(nspowner, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = $1";
    let schema = one.schema.as_str();
    let none = || format!("COMMENT ON SCHEMA {} IS NULL", quote_ident(schema));
    let kept = matches!(one.decision, Decision::Empty(_)) && !one.decision.adopts();
    let Some(statement) = comments.get(schema).cloned().or_else(|| kept.then(none)) else {
        return Ok(None);
    };
    let owned = target
        .query_one("ask for the schema's owner", OWNED, &[&schema])
        .await?;
    if !owned.get::<_, bool>(0) {
        return Ok(Some(format!(
            "comment of schema {schema}, which belongs to another role"
        )));
    }
    target.batch("comment on the schema", &statement).await?;
    Ok(None)
}

/// Drops a schema that holds nothing any more. Not CASCADE: whatever appeared meanwhile keeps it.
async fn drop_schema(target: &Session, schema: &SchemaName, existing: &Existing) -> Result<(), Error> {
    become_owner(target, existing).await?;
    let name = quote_ident(schema.as_str());
    let sql = format!("DROP SCHEMA {name}; RESET ROLE");
    target.batch(&format!("drop schema {name}"), &sql).await
}

async fn create(target: &Session, schema: &SchemaName) -> Result<u32, Error> {
    let name = quote_ident(schema.as_str());
    target
        .batch(&format!("create schema {name}"), &format!("CREATE SCHEMA {name}"))
        .await?;
    let created = catalogue::schema_oid(target, schema.as_str()).await?;
    created.ok_or_else(|| Error::Internal(format!("schema {name} is gone again")))
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

/// What hangs on objects that are to be dropped.
struct Dependents {
    /// What stands outside of the unit, with its schema where it has one.
    outside: Vec<(String, Option<String>)>,
    /// What goes of some schemas, each by its catalogue and its OID.
    members: Vec<(u32, u32)>,
}

/// Looks what would go with these objects, each named by its catalogue and its OID; what is gone already has no dependents, and
/// `foreign_keys` that `finalize` has made do not count.
async fn dependents(
    target: &Session,
    (unit, foreign_keys): (&[u32], &[u32]),
    objects: impl Iterator<Item = (u32, u32)>,
    schemas: &[u32],
) -> Result<Dependents, Error> {
    let (classids, objids): (Vec<u32>, Vec<u32>) = objects.unzip();
    let sql = include_str!("sql/dependents.sql");
    let params: [&dyn Param; 5] = [&unit, &classids, &objids, &schemas, &foreign_keys];
    let rows = target.query("list dependents", sql, &params).await?;
    let (outside, members): (Vec<&Row>, Vec<&Row>) = rows
        .iter()
        .partition(|row| row.get::<_, Option<u32>>("objid").is_none());
    Ok(Dependents {
        outside: outside
            .into_iter()
            .map(|row| (row.get("object"), row.get("schema")))
            .collect(),
        members: members
            .into_iter()
            .map(|row| (row.get("classid"), row.get("objid")))
            .collect(),
    })
}

/// Refuses if something outside of the unit would go with these objects, each named by its catalogue and its OID; what is
/// gone already has no dependents, and `foreign_keys` that `finalize` has made do not count. Returns what goes of some `schemas`.
pub(crate) async fn refuse_dependents(
    target: &Session,
    (unit, foreign_keys): (&[u32], &[u32]),
    objects: impl Iterator<Item = (u32, u32)>,
    schemas: &[u32],
) -> Result<Vec<(u32, u32)>, Error> {
    let Dependents { outside, members } = dependents(target, (unit, foreign_keys), objects, schemas).await?;
    if outside.is_empty() {
        return Ok(members);
    }
    let sql = "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE oid = ANY ($1)";
    let own = target.query("list the unit's schemas", sql, &[&unit]).await?;
    let own = own.iter().map(|row| row.get(0));
    let others: BTreeSet<&str> = outside
        .iter()
        .filter_map(|(_, schema)| schema.as_deref())
        .collect();
    let names: Vec<&str> = others.iter().copied().collect();
    let are_ours = outside.iter().all(|(_, schema)| schema.is_some())
        && ledger::ours(target, &names).await?.len() == names.len();
    let together = listed(own.chain(others).collect::<BTreeSet<&str>>());
    let hint = if are_ours {
        format!(
            "have schemaferry prepare take them down before they are loaded, at least SCHEMA_NAME={together}; or move them together"
        )
    } else if names.is_empty() {
        "drop them".to_owned()
    } else {
        format!("drop them, or move them together: SCHEMA_NAME={together}")
    };
    Err(occupied(depend("the schema", &outside), &hint))
}

/// Names what stands outside of something and hangs on it.
fn depend(what: &str, outside: &[(String, Option<String>)]) -> String {
    let objects: Vec<String> = outside.iter().map(|(object, _)| object.clone()).collect();
    format!(
        "{} objects outside of {what} depend on it: {}",
        objects.len(),
        named(&objects)
    )
}

async fn contents(target: &Session, oid: u32) -> Result<Vec<Member>, Error> {
    let rows = target
        .query(
            "list what the schema holds",
            include_str!("sql/contents.sql"),
            &[&oid],
        )
        .await?;
    let object = |row: &Row| Member {
        address: (row.get("classid"), row.get("objid")),
        kind: row.get("type"),
        identity: row.get("identity"),
    };
    Ok(rows.iter().map(object).collect())
}
