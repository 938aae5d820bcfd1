//! Makes a unit ready for the rows that have changed: as its user's, with nothing that fires, without the keys and indexes that come
//! back afterwards; and takes that back. Each step may have been done by an attempt that was interrupted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::archive::parts::Division;
use crate::archive::statement;
use crate::archive::toc::{Entry, Section};
use crate::baseline::{self, Noted};
use crate::build::statements::{self, Statement};
use crate::catalogue::{Relation, Table};
use crate::clear::{self, Room};
use crate::config::{Config, OnExisting, Schemas};
use crate::error::{Error, Stop};
use crate::ledger::{self, Begun, LoadState};
use crate::lock::Lock;
use crate::privileges;
use crate::progress::Phase;
use crate::refresh::action::Action;
use crate::refresh::{Hindrance, Refresh};
use crate::server::quoting::quote_ident;
use crate::server::session::Session;
use crate::strangers;
use crate::word::Word as _;

/// Tables that are made ready in one transaction: each takes some seven locks with its keys and TOAST.
const CHUNK: usize = 50;
/// Tables that are looked at under their locks, one each, in the transaction that begins; a server of default size has some 6,000 locks.
/// More are looked at when they are emptied.
const HELD_MAX: usize = 1000;

/// A trigger or a rule of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Firing {
    table: Relation,
    /// What rows are given to when it fires: of a partitioned table, its root.
    given: Relation,
    /// `TRIGGER` or `RULE`.
    word: String,
    name: String,
    /// `tgenabled` or `ev_enabled`: O, D, R or A.
    letter: String,
    /// Nobody but a superuser may disable it.
    internal: bool,
}

/// A foreign key between the unit and other schemas, as it stands on the target.
#[derive(Debug)]
pub(super) struct Leaving {
    /// As SQL writes it.
    table: String,
    name: String,
}

/// What stands on the unit's tables on the target.
#[derive(Debug, Default)]
struct Standing {
    /// By schema and name.
    indexes: HashSet<(String, String)>,
    /// By table, as SQL writes it, and name: whether it is validated.
    constraints: HashMap<(String, String), bool>,
}

/// Refuses where the unit's objects cannot be taken for the user, or not be read before.
pub(super) async fn refuse_hindrances(target: &Session, schemas: &Schemas) -> Result<(), Hindrance> {
    let sql = include_str!("sql/hindrances.sql");
    let rows = target
        .query("look what is in the way", sql, &[&schemas.names()])
        .await?;
    match rows.first() {
        None => Ok(()),
        Some(row) => Err(Hindrance::Whole(row.get(0))),
    }
}

/// Reads what fires when rows of the tables are written.
pub(super) async fn firing(session: &Session, schemas: &Schemas) -> Result<Vec<Firing>, Error> {
    let sql = include_str!("sql/firing.sql");
    let rows = session
        .query("list triggers and rules", sql, &[&schemas.names()])
        .await?;
    let one = |row: &tokio_postgres::Row| Firing {
        table: Relation {
            schema: row.get("schema"),
            name: row.get("table"),
        },
        given: Relation {
            schema: row.get("given_schema"),
            name: row.get("given_table"),
        },
        word: row.get("word"),
        name: row.get("name"),
        letter: row.get("letter"),
        internal: row.get("internal"),
    };
    Ok(rows.iter().map(one).collect())
}

/// What is built after the rows and is neither index nor key (triggers, rules, extended statistics, checks), by catalogue and OID, named
/// as on every server.
pub(super) async fn built(
    session: &Session,
    schemas: &Schemas,
) -> Result<BTreeMap<(u32, u32), String>, Error> {
    let sql = include_str!("sql/built.sql");
    let rows = session
        .query("list what is built after the rows", sql, &[&schemas.names()])
        .await?;
    Ok(rows
        .iter()
        .map(|row| ((row.get("classid"), row.get("objid")), row.get("name")))
        .collect())
}

/// Refuses where something fires on a table that moves and nobody but a superuser may disable it.
pub(super) async fn refuse_internal_triggers(
    target: &Session,
    schemas: &Schemas,
    moving: &BTreeSet<&Relation>,
) -> Result<(), Hindrance> {
    let firing = firing(target, schemas).await?;
    let internal = firing
        .iter()
        .find(|one| one.internal && moving.contains(&one.given));
    match internal {
        None => Ok(()),
        Some(one) => Err(Hindrance::Whole(format!(
            "trigger {} of {} is its parent's, which a server before 15 disables for superusers alone",
            one.name,
            one.table.quoted()
        ))),
    }
}

/// Foreign keys between the unit and others that are in the way of the tables that move: their own, and those of others to such as
/// are emptied.
pub(super) async fn leaving<'a>(
    target: &Session,
    schemas: &Schemas,
    moving: impl Iterator<Item = (&'a Relation, bool)>,
) -> Result<Vec<Leaving>, Hindrance> {
    let (mut all, mut emptied) = (BTreeSet::new(), BTreeSet::new());
    for (relation, is_emptied) in moving {
        all.insert(relation.plain());
        if is_emptied {
            emptied.insert(relation.plain());
        }
    }
    let sql = include_str!("sql/leaving.sql");
    let rows = target
        .query("list foreign keys that leave the unit", sql, &[&schemas.names()])
        .await?;
    let ours = ledger::foreign_keys(target).await?;
    let mut leaving = Vec::new();
    for row in &rows {
        let key = Leaving {
            table: row.get("table"),
            name: row.get("name"),
        };
        let members: Vec<String> = row.get("members");
        let concerned = if row.get("is_child") { &all } else { &emptied };
        if !members.iter().any(|member| concerned.contains(member)) {
            continue;
        }
        let (is_ours, may_drop) = (ours.contains(&row.get("oid")), row.get::<_, bool>("may_drop"));
        if !is_ours || !may_drop {
            let whose = if is_ours {
                "its table is another role's"
            } else {
                "finalize has not made it"
            };
            let Leaving { table, name } = key;
            return Err(Hindrance::Whole(format!(
                "foreign key {name} of {table} is in the way, and {whose}"
            )));
        }
        leaving.push(key);
    }
    Ok(leaving)
}

impl Firing {
    fn with(&self, act: &str) -> String {
        format!(
            "ALTER TABLE ONLY {} {act} {} {}",
            self.table.quoted(),
            self.word,
            quote_ident(&self.name)
        )
    }

    /// The statement that has it fire when its letter says.
    fn restored(&self) -> String {
        match self.letter.as_str() {
            "A" => self.with("ENABLE ALWAYS"),
            "R" => self.with("ENABLE REPLICA"),
            "D" => self.with("DISABLE"),
            _ => self.with("ENABLE"),
        }
    }
}

impl Standing {
    async fn read(target: &Session, schemas: &Schemas) -> Result<Self, Error> {
        let sql = include_str!("sql/standing.sql");
        let rows = target
            .query("list indexes and constraints", sql, &[&schemas.names()])
            .await?;
        let mut standing = Self::default();
        for row in &rows {
            let (name, table): (String, String) = (row.get("name"), row.get("table"));
            match row.get::<_, Option<String>>("schema") {
                Some(schema) => {
                    standing.indexes.insert((schema, name));
                }
                None => {
                    standing.constraints.insert((table, name), row.get("validated"));
                }
            }
        }
        Ok(standing)
    }
}

impl<'a> Refresh<'a> {
    /// Tells the ledger that the unit is being refreshed, and makes it ready.
    pub(crate) async fn open(&self, target: &Session, lock: &Lock) -> Result<Room, Error> {
        let (config, schemas) = (self.unit.config, &self.unit.config.schemas);
        ledger::open(target).await?;
        target
            .batch("begin", "BEGIN; SET LOCAL synchronous_commit = on")
            .await?;
        let loads = self.begin((target, lock), config).await?;
        if !lock.is_held() {
            return Err(Error::Stopped(Stop::LockLost("no heartbeat".to_owned())));
        }
        target.batch("commit", "COMMIT").await?;
        privileges::take(target, schemas).await?;
        self.take_down(target, schemas).await?;
        self.empty(target, lock).await?;
        let adopted = loads.iter().filter(|load| load.adopted);
        Ok(Room {
            adopted: adopted.map(|load| load.schema.clone()).collect(),
            not_carried: Vec::new(),
            loads,
        })
    }

    /// Writes the rows of the ledger, unless somebody has changed a schema meanwhile: until then it is protected.
    async fn begin(&self, (target, lock): (&Session, &Lock), config: &Config) -> Result<Vec<Begun>, Error> {
        let mut count = 0;
        let reloaded = self
            .moving()
            .filter_map(|tables| reloaded(&tables))
            .take_while(|tables| {
                count += tables.len();
                count <= HELD_MAX
            });
        self.hold((target, lock), reloaded).await?;
        let mut begun = Vec::new();
        for (schema, load) in config.schemas.iter().zip(&self.base.loads) {
            let Some(oid) = load.schema_oid else {
                return Err(Error::Internal(format!(
                    "the ledger does not know the schema \"{schema}\""
                )));
            };
            if load.state == LoadState::Complete && config.on_existing == OnExisting::Own {
                let changes = load.changes(target, oid).await?;
                if !changes.is_empty() {
                    return Err(clear::changed(schema, &changes));
                }
            }
            let id = ledger::begin(target, &self.unit.entry, schema, (Some(oid), load.adopted)).await?;
            ledger::loading(target, id, oid).await?;
            begun.push(Begun {
                id,
                schema: schema.clone(),
                schema_oid: oid,
                adopted: load.adopted,
            });
        }
        if let Some(first) = begun.first() {
            ledger::note_base(target, first.id, &Noted::Known(self.base.baseline.clone())).await?;
        }
        Ok(begun)
    }

    /// Takes down the keys and indexes that come back after the rows, as far as nothing hangs on them.
    async fn take_down(&self, target: &Session, schemas: &Schemas) -> Result<(), Error> {
        for key in &self.leaving {
            let sql = format!(
                "BEGIN; ALTER TABLE {} DROP CONSTRAINT {}",
                key.table,
                quote_ident(&key.name)
            );
            target
                .batch(&format!("take down foreign key {}", key.name), &sql)
                .await?;
            ledger::defer_again(target).await?;
            target.batch("commit", "COMMIT").await?;
        }
        let standing = Standing::read(target, schemas).await?;
        for statement in self.going(&standing) {
            match target.batch("take down what is built again", &statement).await {
                // Something hangs on it that is not built again, a view or the index of a partitioned table: it stays.
                Err(error) if matches!(error.sqlstate(), Some("2BP01" | "42P16")) => {
                    tracing::debug!(phase = Phase::Clear.word(), statement, "it stays");
                }
                ended => ended?,
            }
        }
        Ok(())
    }

    /// Whether an entry is a constraint that is not validated, and may not allow rows which were there before it and come again.
    fn is_in_the_way(&self, entry: &Entry) -> bool {
        entry.desc.ends_with("CONSTRAINT")
            && entry.desc != "FK CONSTRAINT"
            && entry.definition.contains("NOT VALID")
            && self.moving.values().any(Action::is_reload)
    }

    /// The statements that take down what goes of what stands, foreign keys first; and indexes that no entry speaks of: an interrupted
    /// attempt was about to make keys of them.
    fn going(&self, standing: &Standing) -> Vec<String> {
        let entries = self.entries();
        let attached: BTreeSet<i32> = entries
            .iter()
            .filter(|entry| entry.desc == "INDEX ATTACH")
            .flat_map(|entry| entry.dependencies.iter().copied())
            .collect();
        let rebuilds = |table: u32| self.moving.get(&table).is_some_and(Action::rebuilds);
        let (mut keys, mut others, mut named) = (Vec::new(), Vec::new(), BTreeSet::new());
        for entry in entries {
            if self.is_in_the_way(entry) {
                others.extend(drop_constraint(entry));
            } else if let Some(constraint) = self.facts.constraints.get(&entry.oid) {
                let place = (constraint.table_name.clone(), constraint.name.clone());
                let Some(validated) = standing.constraints.get(&place) else {
                    continue;
                };
                let sql = format!(
                    "ALTER TABLE {} DROP CONSTRAINT {}",
                    constraint.table_name,
                    quote_ident(&constraint.name)
                );
                if entry.desc == "FK CONSTRAINT" {
                    if self.going.contains(&entry.oid) || *validated != constraint.validated {
                        keys.push(sql);
                    }
                } else if rebuilds(constraint.table) && !attached.contains(&entry.dump_id) {
                    others.push(sql);
                }
            } else if let Some(table) = self.facts.indexes.get(&entry.oid) {
                let name = (entry.namespace.clone(), entry.tag.clone());
                if standing.indexes.contains(&name) && rebuilds(*table) && !attached.contains(&entry.dump_id)
                {
                    others.push(drop_index(&name));
                }
                named.insert(name);
            }
        }
        keys.append(&mut others);
        let unknown = standing
            .indexes
            .iter()
            .filter(|name| !self.base.is_whole() && !named.contains(*name));
        keys.extend(unknown.map(drop_index));
        keys
    }

    /// Entries of what is built on tables.
    fn entries(&self) -> Vec<&'a Entry> {
        self.archive.restored(Section::PostData, self.parts)
    }

    /// What of the archive is missing on the target, and every materialized view's rows.
    pub(crate) async fn missing(&self, target: &Session) -> Result<Division, Error> {
        let schemas = &self.unit.config.schemas;
        let standing = Standing::read(target, schemas).await?;
        let built: BTreeSet<String> = built(target, schemas).await?.into_values().collect();
        let entries = self.entries();
        let is_missing = |entry: &&&Entry| {
            if let Some(constraint) = self.facts.constraints.get(&entry.oid) {
                let place = (constraint.table_name.clone(), constraint.name.clone());
                !standing.constraints.contains_key(&place)
            } else if self.facts.indexes.contains_key(&entry.oid) {
                !standing
                    .indexes
                    .contains(&(entry.namespace.clone(), entry.tag.clone()))
            } else if self.base.is_whole() {
                entry.desc == "MATERIALIZED VIEW DATA" || self.is_in_the_way(entry)
            } else {
                // Of a view that was made a shell, the rule replaces the query. All else can be said twice.
                let name = self.built.get(&(entry.catalog_oid, entry.oid));
                name.is_none_or(|name| !built.contains(name))
                    || entry.definition.starts_with("CREATE OR REPLACE ")
            }
        };
        let mut restored: BTreeSet<i32> = entries
            .iter()
            .filter(is_missing)
            .map(|entry| entry.dump_id)
            .collect();
        let comments = entries.iter().filter(|entry| {
            entry.desc == "COMMENT" && entry.dependencies.iter().any(|id| restored.contains(id))
        });
        let comments: BTreeSet<i32> = comments.map(|entry| entry.dump_id).collect();
        restored.extend(comments);
        Ok(Division {
            restored,
            ..Division::default()
        })
    }

    /// Tables that move, those together whose rows are given to one.
    fn moving(&self) -> impl Iterator<Item = Vec<(&Table, &Action)>> {
        let mut given: BTreeMap<&Relation, Vec<(&Table, &Action)>> = BTreeMap::new();
        for table in &self.tables {
            if let Some(action) = self.moving.get(&table.oid) {
                given
                    .entry(table.destination())
                    .or_default()
                    .push((table, action));
            }
        }
        given.into_values()
    }

    /// Has nothing fire on the tables that move, and empties those that are loaded again, unless somebody has written to them since they
    /// were looked at.
    async fn empty(&self, target: &Session, lock: &Lock) -> Result<(), Error> {
        let firing = firing(target, &self.unit.config.schemas).await?;
        let mut fired: BTreeMap<&Relation, Vec<&Firing>> = BTreeMap::new();
        for one in &firing {
            fired.entry(&one.given).or_default().push(one);
        }
        let mut moving = self.moving().peekable();
        while moving.peek().is_some() {
            let mut count = 0;
            let chunk = std::iter::from_fn(|| {
                let tables = moving.next_if(|tables| count == 0 || count + tables.len() <= CHUNK)?;
                count += tables.len();
                Some(tables)
            });
            let chunk: Vec<Vec<(&Table, &Action)>> = chunk.collect();
            target.batch("begin", "BEGIN").await?;
            self.hold((target, lock), chunk.iter().filter_map(|tables| reloaded(tables)))
                .await?;
            let given = chunk
                .iter()
                .flatten()
                .flat_map(|(table, _)| [&table.relation, table.destination()]);
            let given: BTreeSet<&Relation> = given.collect();
            let fired = given.into_iter().filter_map(|given| fired.get(given)).flatten();
            let mut acts: Vec<String> = fired.map(|one| one.with("DISABLE")).collect();
            let emptied = chunk.iter().flatten().filter(|(_, action)| action.is_reload());
            acts.extend(emptied.map(|(table, _)| format!("TRUNCATE ONLY {}", table.relation.quoted())));
            acts.push("COMMIT".to_owned());
            target.batch("make tables ready", &acts.join(";\n")).await?;
        }
        Ok(())
    }

    /// Locks tables of a complete load, as far as the user may, and refuses where one of them holds rows of others by now.
    async fn hold(
        &self,
        (target, lock): (&Session, &Lock),
        tables: impl Iterator<Item = Vec<&Table>>,
    ) -> Result<(), Error> {
        let mut tables: Vec<Vec<&Table>> = tables.collect();
        if tables.is_empty() || !self.base.is_whole() || self.unit.config.on_existing != OnExisting::Own {
            return Ok(());
        }
        let names: Vec<String> = tables
            .iter()
            .flatten()
            .map(|table| table.relation.quoted())
            .collect();
        let sql = "SELECT 'ONLY ' || t.name FROM pg_catalog.unnest($1::text[]) AS t (name) \
                   WHERE pg_catalog.has_table_privilege(t.name, 'UPDATE, DELETE, TRUNCATE')";
        let rows = target.query("list what is loaded again", sql, &[&names]).await?;
        let only: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if !only.is_empty() {
            let sql = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", only.join(", "));
            target.batch("lock what is loaded again", &sql).await?;
        }
        let added = self.base.added(lock.session(), target).await?;
        let known = self.base.tables();
        tables.retain(|tables| tables.iter().any(|table| added.get(&table.relation) != Some(&0)));
        let both: Vec<(&Table, &baseline::Table)> = tables
            .into_iter()
            .flatten()
            .filter_map(|table| Some((table, *known.get(&table.oid)?)))
            .collect();
        let landed = ledger::transactions(target, &self.base.baseline.loads).await?;
        let strange = strangers::seen_by(target, &both, &landed).await?;
        let stranger = both.iter().find(|(table, _)| strange.contains(&table.oid));
        let refused =
            stranger.and_then(|(table, _)| self.base.refuse_strangers(self.unit.config, &table.relation));
        refused.map_or(Ok(()), Err)
    }

    /// Whether an entry is an index or a constraint.
    fn is_built(&self, entry: &Entry) -> bool {
        self.facts.constraints.contains_key(&entry.oid) || self.facts.indexes.contains_key(&entry.oid)
    }

    /// Has everything fire again as on the source, and ends what an interrupted attempt had begun to say of an index.
    pub(crate) async fn restore(&self, target: &Session) -> Result<(), Error> {
        if !self.base.is_whole() {
            let built = self.entries().into_iter().filter(|entry| self.is_built(entry));
            let marks: Vec<Statement> = built
                .filter_map(|entry| {
                    let marks = statement::split(&entry.definition).get(1..)?.join("; ");
                    (!marks.is_empty()).then(|| Statement::part(entry, marks))
                })
                .collect();
            statements::run(target, &marks, &self.path).await?;
        }
        let place = |one: &Firing| (one.table.clone(), one.word.clone(), one.name.clone());
        let now = firing(target, &self.unit.config.schemas).await?;
        let now: HashMap<_, String> = now.into_iter().map(|one| (place(&one), one.letter)).collect();
        let differing: Vec<&Firing> = self
            .firing
            .iter()
            .filter(|one| now.get(&place(one)).is_some_and(|letter| *letter != one.letter))
            .collect();
        for chunk in differing.chunks(CHUNK) {
            let acts: Vec<String> = chunk.iter().map(|one| one.restored()).collect();
            let sql = format!("BEGIN;\n{};\nCOMMIT", acts.join(";\n"));
            target.batch("have triggers fire again", &sql).await?;
        }
        Ok(())
    }
}

/// Tables that are loaded again, where these are.
fn reloaded<'t>(tables: &[(&'t Table, &Action)]) -> Option<Vec<&'t Table>> {
    let tables = tables.iter();
    tables
        .map(|(table, action)| action.is_reload().then_some(*table))
        .collect()
}

fn drop_index((schema, name): &(String, String)) -> String {
    format!("DROP INDEX {}.{}", quote_ident(schema), quote_ident(name))
}

/// The statement that drops the constraint which an entry adds, of a table or a domain.
fn drop_constraint(entry: &Entry) -> Option<String> {
    let (head, rest) = statement::split_at_word(&entry.definition, "ADD")?;
    let name = rest.trim_start().strip_prefix("CONSTRAINT")?.trim_start();
    let name = statement::first_identifier(name);
    (!name.is_empty()).then(|| format!("{head}DROP CONSTRAINT IF EXISTS {name}"))
}
