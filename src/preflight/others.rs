//! Other schemas that the unit is built on: there already, on their way, or to be moved first.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::SchemaName;
use crate::config::listed;
use crate::error::{Error, Refused, Side};
use crate::ledger;
use crate::lock;
use crate::preflight::outlook::{Needed, Outlook};
use crate::preflight::references::references;
use crate::preflight::{Answers, Purpose, Questions};
use crate::server::session::Session;
use crate::word;

const CHECK: &str = "other schemas";
/// Objects named in a refusal.
const NAMED_MAX: usize = 5;

/// What to move when, each with the words that say so.
enum Order {
    First(String),
    Together(String),
}

/// Hard dependencies on other schemas: schema, type and identity of each object.
pub(super) async fn ask(
    questions: &Questions<'_>,
    answers: &mut Answers,
    wanted: &BTreeSet<(String, String, String)>,
) -> Result<(), Error> {
    let schemas: BTreeSet<&String> = wanted.iter().map(|(schema, ..)| schema).collect();
    let mut needed = Vec::new();
    for schema in schemas {
        needed.push((schema, look(questions, schema).await?));
    }
    // Afterwards: what was on its way before may be there now, which is never the other way round.
    let mut lacking = lacking(questions, answers, wanted).await?;
    for (schema, kind) in unlike(questions, wanted).await? {
        lacking.entry(schema).or_default().push(kind);
    }
    for (schema, known) in needed {
        let objects = lacking.remove(schema);
        let mut outlook = known.outlook(objects.is_some());
        if objects.is_some() && outlook == Outlook::Settled {
            // It may have begun meanwhile.
            outlook = look(questions, schema).await?.outlook(true);
        }
        answer(questions, answers, schema, (outlook, objects)).await?;
    }
    Ok(())
}

async fn look(questions: &Questions<'_>, schema: &str) -> Result<Needed, Error> {
    let (target, config) = (&questions.sessions.target, questions.config);
    let last = match ledger::latest(target, schema).await {
        // Told by what is asked about the unit's own schemas.
        Err(Error::Refused(_)) => None,
        other => other?,
    };
    let name = SchemaName::of_ledger(schema.to_owned());
    let holder = lock::worker(target, &name).await?;
    Ok(Needed {
        seen: questions.seen.look(schema, holder.is_some()),
        holder,
        waited: questions.seen.since.elapsed(),
        listed: config.run_schemas.iter().any(|listed| *listed == name),
        last: last.map(|load| (load, config.run_id.clone()).into()),
    })
}

async fn answer(
    questions: &Questions<'_>,
    answers: &mut Answers,
    schema: &str,
    (outlook, objects): (Outlook, Option<Vec<String>>),
) -> Result<(), Error> {
    let needed = format!("schema \"{schema}\", which the unit needs,");
    let (permanent, reason) = match (outlook, objects) {
        (Outlook::Settled, None) => {
            answers.fine(CHECK, format!("what is needed of {schema} is there"));
            return Ok(());
        }
        (Outlook::Settled, Some(objects)) => {
            let named = word::some_of(&objects, NAMED_MAX, ", ");
            (true, format!("{needed} lacks {named}"))
        }
        (Outlook::Promised, _) if questions.purpose == Purpose::Nothing => {
            answers.fine(CHECK, format!("{schema} is yet to be brought by this run"));
            return Ok(());
        }
        (Outlook::Promised, _) => (false, format!("{needed} is yet to be brought by this run")),
        (Outlook::Coming(why), _) => (false, format!("{needed} {why}")),
        (Outlook::Given(why), _) => (true, format!("{needed} is not whole: its last load {why}")),
    };
    let refused = match order(questions, schema).await? {
        Order::First(hint) if permanent => Refused::config(Side::Target, reason, hint),
        Order::Together(hint) => Refused::config(Side::Target, reason, hint),
        Order::First(_) => {
            let hint = "let it finish, or set WAIT_TIMEOUT to wait for it";
            Refused::transient(Side::Target, reason, hint)
        }
    };
    answers.refuse(CHECK, refused);
    Ok(())
}

/// What the target lacks, by schema. A schema that may not be looked into is refused.
async fn lacking(
    questions: &Questions<'_>,
    answers: &mut Answers,
    wanted: &BTreeSet<(String, String, String)>,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let column = |pick: fn(&(String, String, String)) -> &String| -> Vec<&String> {
        wanted.iter().map(pick).collect()
    };
    let (schemas, types, identities) = (column(|one| &one.0), column(|one| &one.1), column(|one| &one.2));
    let sql = include_str!("sql/missing.sql");
    let rows = questions
        .sessions
        .target
        .query(
            "look for objects of other schemas",
            sql,
            &[&types, &identities, &schemas],
        )
        .await?;
    let mut lacking: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut grants = BTreeMap::new();
    for row in rows {
        let schema: String = row.get("schema");
        if row.get("lacks_usage") {
            grants.insert(schema, row.get::<_, String>("usage_hint"));
        } else {
            let (kind, identity): (String, String) = (row.get("type"), row.get("identity"));
            lacking
                .entry(schema)
                .or_default()
                .push(format!("{kind} {identity}"));
        }
    }
    for (schema, hint) in grants {
        let reason = format!("no USAGE on schema \"{schema}\", which the unit needs");
        answers.refuse(CHECK, Refused::denied(Side::Target, reason, hint));
    }
    Ok(lacking)
}

/// Types that the target has, and whose values are made of something else there, each with its schema.
async fn unlike(
    questions: &Questions<'_>,
    wanted: &BTreeSet<(String, String, String)>,
) -> Result<Vec<(String, String)>, Error> {
    let types = wanted.iter().filter(|(_, kind, _)| kind == "type");
    let (schemas, types): (Vec<&String>, Vec<&String>) =
        types.map(|(schema, _, identity)| (schema, identity)).unzip();
    if types.is_empty() {
        return Ok(Vec::new());
    }
    let (sessions, unit) = (questions.sessions, questions.config.schemas.names());
    let (here, there) = tokio::try_join!(
        made_of(&sessions.source, &types, &schemas),
        made_of(&sessions.target, &types, &schemas)
    )?;
    let mut unlike = Vec::new();
    for (identity, made) in here {
        let differs = there.get(&identity).is_some_and(|there| !made.is_taken_by(there));
        // A type of the unit's own comes with it.
        if differs && !unit.contains(&made.schema.as_str()) {
            unlike.push((made.schema, format!("type {identity} as it is on the source")));
        }
    }
    Ok(unlike)
}

/// What values of a type are made of.
struct MadeOf {
    schema: String,
    is_enum: bool,
    parts: Vec<String>,
}

impl MadeOf {
    /// Whether a type that is made so takes all of its values for what they are.
    fn is_taken_by(&self, other: &Self) -> bool {
        if self.is_enum && other.is_enum {
            self.parts.iter().all(|label| other.parts.contains(label))
        } else {
            self.parts == other.parts
        }
    }
}

async fn made_of(
    session: &Session,
    types: &[&String],
    schemas: &[&String],
) -> Result<BTreeMap<String, MadeOf>, Error> {
    let sql = include_str!("sql/made_of.sql");
    let rows = session
        .query("look what types are made of", sql, &[&types, &schemas])
        .await?;
    let made = |row: &tokio_postgres::Row| MadeOf {
        schema: row.get("schema"),
        is_enum: row.get("is_enum"),
        parts: row.get("parts"),
    };
    Ok(rows.iter().map(|row| (row.get("identity"), made(row))).collect())
}

/// In which order to move, or, where they need each other, what to move together.
async fn order(questions: &Questions<'_>, schema: &str) -> Result<Order, Error> {
    let unit: BTreeSet<&str> = questions.config.schemas.names().into_iter().collect();
    // Everything that the schema needs in its turn; if that comes back to the unit, all of it goes together.
    let mut closure: BTreeSet<String> = BTreeSet::from([schema.to_owned()]);
    let mut open = vec![schema.to_owned()];
    let mut circular = BTreeSet::new();
    while let Some(next) = open.pop() {
        for (needed, _, _) in references(&questions.sessions.source, &[&next]).await?.objects {
            if unit.contains(needed.as_str()) {
                circular.insert(next.clone());
            } else if closure.insert(needed.clone()) {
                open.push(needed);
            }
        }
    }
    if circular.is_empty() {
        return Ok(Order::First(format!(
            "move it first: SCHEMA_NAME={}",
            listed([schema])
        )));
    }
    let mut together: BTreeSet<&str> = unit;
    together.insert(schema);
    together.extend(circular.iter().map(String::as_str));
    Ok(Order::Together(format!(
        "they need each other, {}",
        self::together(together)
    )))
}

pub(super) fn together(schemas: BTreeSet<&str>) -> String {
    format!("move them together: SCHEMA_NAME={}", listed(schemas))
}
