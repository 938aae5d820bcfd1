//! Whether two texts that servers wrote for a stored expression or query tell the same.
//!
//! They need not be the same text: majors write differently, and what a server wrote is often grouped, cast or named
//! otherwise after it was read once. So the target is asked: it reads both, under the settings of a restore, and what it
//! then writes for each is compared. It does so in a transaction that is rolled back, in its session's own temporary schema.
//! Nothing is planned or executed there, no row is read, no right on a table is needed, and nobody sees any of it.

use crate::archive::statement;
use crate::error::Error;
use crate::server::session::{self, Session};

/// Definitions in one transaction.
const CHUNK: usize = 100;
/// The schema in which they are made.
const TEMPORARY: &str = "pg_temp";

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

/// What a text defines, as a temporary object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    /// Statements that make it.
    statements: Vec<String>,
    /// Its text, as SQL.
    text: &'static str,
}

impl Definition {
    /// A query, as a view's.
    pub(crate) fn query(text: &str) -> Self {
        Self {
            statements: vec![format!("CREATE VIEW {TEMPORARY}.query AS {text}")],
            text: "SELECT pg_catalog.pg_get_viewdef('pg_temp.query'::pg_catalog.regclass)",
        }
    }

    /// Expressions, separated by commas, over the columns of what `from` lists.
    pub(crate) fn expressions(texts: &str, from: &str) -> Self {
        // A row is of no type that a column can have.
        let from = if from.is_empty() {
            String::new()
        } else {
            format!(" FROM {from}")
        };
        Self::query(&format!("SELECT (ROW({texts}) IS NULL) AS expressions{from}"))
    }

    /// What follows CREATE RULE, on a relation with the columns of `relation`; `None` if it is not one of that relation.
    pub(crate) fn rule(text: &str, relation: &str) -> Option<Self> {
        let (head, rest) = statement::split_at_word(text, "TO")?;
        let rest = rest.trim_start().strip_prefix(relation)?;
        Some(Self {
            statements: vec![
                format!("CREATE VIEW {TEMPORARY}.relation AS TABLE {relation}"),
                format!("{head}TO {TEMPORARY}.relation{rest}"),
            ],
            text: "SELECT pg_catalog.pg_get_ruledef(r.oid) FROM pg_catalog.pg_rewrite r \
                   WHERE r.ev_class = 'pg_temp.relation'::pg_catalog.regclass AND r.rulename <> '_RETURN'",
        })
    }

    /// CREATE FUNCTION or PROCEDURE of a routine with these names.
    pub(crate) fn routine(text: &str, schema: &str, name: &str) -> Option<Self> {
        let (head, rest) = text.split_once(&format!(" {schema}.{name}("))?;
        Some(Self {
            statements: vec![format!("{head} {TEMPORARY}.{name}({rest}")],
            text: "SELECT pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p \
                   WHERE p.pronamespace = pg_catalog.pg_my_temp_schema()",
        })
    }
}

/// Two definitions of the same thing.
pub(crate) type Pair = [Definition; 2];

/// Tells of each pair whether the target makes the same of both; a text that it does not understand is not the same as
/// another. Where the target can't be asked, none is, and the record says why. The session must be in no transaction.
pub(crate) async fn alike(target: &Session, pairs: &[Pair]) -> Result<Vec<bool>, Error> {
    if pairs.is_empty() || !makes_temporary_objects(target, pairs.len()).await? {
        return Ok(vec![false; pairs.len()]);
    }
    let mut alike = Vec::with_capacity(pairs.len());
    for chunk in pairs.chunks(CHUNK) {
        let texts = written(target, chunk.as_flattened()).await;
        if !target.is_closed() {
            target.batch("roll back", "ROLLBACK").await?;
        }
        let texts = texts?;
        let both = texts.chunks(2);
        alike.extend(both.map(|both| matches!(both, [Some(source), Some(target)] if source == target)));
    }
    Ok(alike)
}

async fn makes_temporary_objects(target: &Session, pairs: usize) -> Result<bool, Error> {
    let sql = "SELECT pg_catalog.has_database_privilege(d.oid, 'TEMPORARY') AS permitted, \
               pg_catalog.pg_is_in_recovery() AS standby, \
               pg_catalog.format('GRANT TEMPORARY ON DATABASE %I TO %I', d.datname, current_user) AS grant \
               FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";
    let row = target.query_one("ask for temporary objects", sql, &[]).await?;
    let hint = if row.get("standby") {
        "compare with the primary".to_owned()
    } else if row.get("permitted") {
        return Ok(true);
    } else {
        row.get::<_, String>("grant")
    };
    tracing::warn!(
        definitions = pairs,
        hint,
        "definitions are compared by their texts alone: the target must not make temporary objects"
    );
    Ok(false)
}

/// What the server writes for each definition; `None` where it does not understand it. Everything is sent at once, in a
/// transaction that the caller ends.
async fn written(session: &Session, definitions: &[Definition]) -> Result<Vec<Option<String>>, Error> {
    // What is made here must not hide what pg_catalog has.
    const BEGIN: &str = "BEGIN READ WRITE; SET LOCAL search_path = pg_catalog, pg_temp; SAVEPOINT definition";
    session.batch("begin", BEGIN).await?;
    let mut sent = Vec::with_capacity(definitions.len());
    for definition in definitions {
        sent.push(session::start(definition.written(session)).await);
    }
    let mut texts = Vec::with_capacity(definitions.len());
    for one in sent {
        texts.push(session::answer(one).await?);
    }
    Ok(texts)
}

impl Definition {
    async fn written(&self, session: &Session) -> Result<Option<String>, Error> {
        const FORGET: &str = "ROLLBACK TO SAVEPOINT definition";
        let statements = self.statements.iter().map(String::as_str);
        let mut sent = Vec::new();
        for sql in statements.chain([self.text, FORGET]) {
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
            Ok(rows) => Ok(rows.first().and_then(|row| row.get(0))),
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
