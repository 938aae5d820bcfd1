//! Whether two texts that servers wrote for a stored expression or query tell the same.
//!
//! They need not be the same text: majors write differently, and what a server wrote is often grouped, cast or named
//! otherwise after it was read once. So the target is asked: it reads both, under the settings of a restore, and what it
//! then writes for each is compared. It does so in a transaction that is rolled back, in its session's own temporary schema, or
//! in one of the database where its user must not have that. Nothing is planned or executed there, no row is read, no right on
//! a table is needed, and nobody sees any of it.

use crate::archive::statement;
use crate::error::{Error, Refused, Side};
use crate::server::quoting::{quote_ident, quote_literal};
use crate::server::session::{self, Session};

/// Definitions in one transaction.
const CHUNK: usize = 100;
/// The schema in which they are made if possible.
const TEMPORARY: &str = "pg_temp";
/// What is made there must not hide what pg_catalog has.
const PATH: &str = "pg_catalog, pg_temp";
/// What is made there; nobody else's is called so.
const VIEW: &str = "schemaferry_view";

/// How a session writes names and types while it is asked for them, so that which of them need quotes does not depend on
/// its major's keywords.
pub(crate) const QUOTED: &str = "SET quote_all_identifiers = on";
/// What ends that.
pub(crate) const UNQUOTED: &str = "SET quote_all_identifiers = off";

/// Names of types that a server wrote, one on servers of all majors: from 17 on, `json` is a keyword of the grammar's and never
/// quoted.
pub(crate) fn type_names(text: &str) -> String {
    const QUOTED_JSON: &str = "\"json\"";
    let text = text.replace(&format!("\"pg_catalog\".{QUOTED_JSON}"), "json");
    let mut names = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(QUOTED_JSON) {
        let is_builtin = !before.ends_with(['.', '"']) && !after.starts_with('"');
        names.push_str(before);
        names.push_str(if is_builtin { "json" } else { QUOTED_JSON });
        rest = after;
    }
    names + rest
}

/// What a text defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Definition {
    Query(String),
    /// What is before and behind its relation, which has the columns of the named one.
    Rule {
        head: String,
        relation: String,
        rest: String,
    },
    /// What is before and behind its name.
    Routine {
        head: String,
        name: String,
        rest: String,
    },
}

impl Definition {
    /// A query, as a view's.
    pub(crate) fn query(text: &str) -> Self {
        Self::Query(text.to_owned())
    }

    /// Expressions, separated by commas, over the columns of what `from` lists.
    pub(crate) fn expressions(texts: &str, from: &str) -> Self {
        // A row is of no type that a column can have.
        let from = if from.is_empty() {
            String::new()
        } else {
            format!(" FROM {from}")
        };
        Self::Query(format!("SELECT (ROW({texts}) IS NULL) AS expressions{from}"))
    }

    /// What follows CREATE RULE, on a relation with the columns of `relation`; `None` if it is not one of that relation.
    pub(crate) fn rule(text: &str, relation: &str) -> Option<Self> {
        let (head, rest) = statement::split_at_word(text, "TO")?;
        let rest = rest.trim_start().strip_prefix(relation)?;
        Some(Self::Rule {
            head: head.to_owned(),
            relation: relation.to_owned(),
            rest: rest.to_owned(),
        })
    }

    /// CREATE FUNCTION or PROCEDURE of a routine with these names.
    pub(crate) fn routine(text: &str, schema: &str, name: &str) -> Option<Self> {
        let (head, rest) = text.split_once(&format!(" {schema}.{name}("))?;
        Some(Self::Routine {
            head: head.to_owned(),
            name: name.to_owned(),
            rest: rest.to_owned(),
        })
    }

    /// Statements that make it in a schema, and the query for its text.
    fn statements(&self, schema: &str) -> Vec<String> {
        let view = format!("{schema}.{VIEW}");
        let literal = quote_literal(&view);
        match self {
            Self::Query(text) => vec![
                format!("CREATE VIEW {view} AS {text}"),
                format!("SELECT pg_catalog.pg_get_viewdef({literal}::pg_catalog.regclass)"),
            ],
            Self::Rule { head, relation, rest } => vec![
                format!("CREATE VIEW {view} AS TABLE {relation}"),
                format!("{head}TO {view}{rest}"),
                format!(
                    "SELECT pg_catalog.pg_get_ruledef(r.oid) FROM pg_catalog.pg_rewrite r \
                     WHERE r.ev_class = {literal}::pg_catalog.regclass AND r.rulename <> '_RETURN'"
                ),
            ],
            Self::Routine { head, name, rest } => {
                let namespace = if schema == TEMPORARY {
                    "pg_catalog.pg_my_temp_schema()".to_owned()
                } else {
                    format!("{}::pg_catalog.regnamespace", quote_literal(schema))
                };
                vec![
                    format!("{head} {schema}.{name}({rest}"),
                    format!(
                        "SELECT pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p \
                         WHERE p.pronamespace = {namespace} AND p.proname = (pg_catalog.parse_ident({}))[1]",
                        quote_literal(name)
                    ),
                ]
            }
        }
    }
}

/// Two definitions of the same thing.
pub(crate) type Pair = [Definition; 2];

/// Tells of each pair whether the target makes the same of both; a text that it does not understand is not the same as
/// another. Refuses to tell where its user can make nothing. The session must be in no transaction.
pub(crate) async fn alike(target: &Session, pairs: &[Pair]) -> Result<Vec<bool>, Error> {
    if pairs.is_empty() {
        return Ok(Vec::new());
    }
    let schema = place(target).await?;
    let all: Vec<&Pair> = pairs.iter().collect();
    let mut alike = compared(target, &all, (&schema, PATH)).await?;
    let missed: Vec<usize> = (0..pairs.len())
        .filter(|index| alike.get(*index) == Some(&None))
        .collect();
    if !missed.is_empty() {
        // An operator that a text leaves out is looked for in the path.
        let rows = target
            .query(
                "list schemas of operators",
                include_str!("sql/operator_schemas.sql"),
                &[],
            )
            .await?;
        let schemas = rows.iter().map(|row| quote_ident(row.get(0)));
        let path: Vec<String> = std::iter::once(PATH.to_owned()).chain(schemas).collect();
        let again: Vec<&Pair> = missed.iter().filter_map(|index| pairs.get(*index)).collect();
        let again = compared(target, &again, (&schema, &path.join(", "))).await?;
        for (index, found) in missed.into_iter().zip(again) {
            if let Some(slot) = alike.get_mut(index) {
                *slot = found;
            }
        }
    }
    Ok(alike.into_iter().map(|alike| alike == Some(true)).collect())
}

/// Whether both texts of each pair tell the same under that search path; `None` where one is not understood.
async fn compared(
    target: &Session,
    pairs: &[&Pair],
    place: (&str, &str),
) -> Result<Vec<Option<bool>>, Error> {
    let mut compared = Vec::with_capacity(pairs.len());
    for chunk in pairs.chunks(CHUNK) {
        let definitions: Vec<&Definition> = chunk.iter().copied().flatten().collect();
        let texts = written(target, &definitions, place).await;
        if !target.is_closed() {
            target.batch("roll back", "ROLLBACK").await?;
        }
        let texts = texts?;
        compared.extend(texts.chunks(2).map(|both| match both {
            [Some(source), Some(target)] => Some(source == target),
            _ => None,
        }));
    }
    Ok(compared)
}

/// The schema in which definitions are made: whoever loads may make them somewhere.
async fn place(target: &Session) -> Result<String, Error> {
    const REASON: &str = "texts of definitions differ, and whether they tell the same is found out with views, which the user \
                          may make nowhere";
    let row = target
        .query_one("look for a place", include_str!("sql/place.sql"), &[])
        .await?;
    if row.get("standby") {
        let hint = "compare with the primary";
        return Err(Error::Refused(Refused::config(Side::Target, REASON, hint)));
    }
    row.get::<_, Option<String>>("place").ok_or_else(|| {
        let grant: String = row.get("grant");
        Error::Refused(Refused::denied(Side::Target, REASON, grant))
    })
}

/// What the server writes for each definition; `None` where it does not understand it. Everything is sent at once, in a
/// transaction that the caller ends.
async fn written(
    session: &Session,
    definitions: &[&Definition],
    (schema, path): (&str, &str),
) -> Result<Vec<Option<String>>, Error> {
    let begin = format!("BEGIN READ WRITE; SET LOCAL search_path = {path}; SAVEPOINT definition");
    session.batch("begin", &begin).await?;
    let mut sent = Vec::with_capacity(definitions.len());
    for definition in definitions {
        sent.push(session::start(definition.written(session, schema)).await);
    }
    let mut texts = Vec::with_capacity(definitions.len());
    for one in sent {
        texts.push(session::answer(one).await?);
    }
    Ok(texts)
}

impl Definition {
    async fn written(&self, session: &Session, schema: &str) -> Result<Option<String>, Error> {
        const FORGET: &str = "ROLLBACK TO SAVEPOINT definition";
        let statements = self.statements(schema);
        let mut sent = Vec::new();
        for sql in statements.iter().map(String::as_str).chain([FORGET]) {
            sent.push(session::start(session.query("read a definition", sql, &[])).await);
        }
        let forgotten = sent.pop();
        let mut rows = Ok(Vec::new());
        for one in sent {
            let ended = session::answer(one).await;
            if rows.is_ok() {
                rows = ended;
            }
        }
        if let Some(forgotten) = forgotten {
            session::answer(forgotten).await?;
        }
        match rows {
            // Of several routines nobody knows which it is.
            Ok(rows) => Ok(<[_; 1]>::try_from(rows).ok().and_then(|[row]| row.get(0))),
            Err(error) if is_about_the_text(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether the server has refused a statement for what it says: not for a lock, the server's state or the connection's.
fn is_about_the_text(error: &Error) -> bool {
    const ELSE: [&str; 7] = ["08", "40", "53", "55P", "57", "58", "XX"];
    error
        .sqlstate()
        .is_some_and(|sqlstate| !ELSE.iter().any(|class| sqlstate.starts_with(class)))
}
