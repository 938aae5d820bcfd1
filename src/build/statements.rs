//! Entries of the archive as statements, and their execution.

use std::borrow::Cow;

use crate::archive::statement;
use crate::archive::toc::{Entry, Section};
use crate::catalogue::code::{self, SearchPath};
use crate::error::{Error, Side};
use crate::server::quoting::quote_ident;
use crate::server::session::Session;
use crate::server::settings;

/// Statements sent in one transaction. A table takes some four locks, and the lock table of a server with default
/// settings holds 6400 for everyone.
const TRANSACTION_MAX: usize = 100;

/// One or more statements of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// What it does, to be read after "failed to".
    pub(crate) action: String,
    pub(crate) sql: String,
    /// Schemas of operators that it may name without their schema.
    operators: Vec<String>,
}

impl Statement {
    /// All of what an entry says.
    pub(crate) fn whole(entry: &Entry) -> Self {
        const WITH_COLUMNS: [&str; 4] = ["TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "VIEW"];
        let sql = statement::without_internal_options(&entry.definition)
            .filter(|_| WITH_COLUMNS.contains(&entry.desc.as_str()))
            .unwrap_or_else(|| entry.definition.clone());
        let is_default = matches!(entry.access_method.as_str(), "" | "heap");
        let sql = if is_default {
            sql
        } else {
            let method = quote_ident(&entry.access_method);
            format!(
                "SET default_table_access_method = {method};\n{sql}\nSET default_table_access_method = heap;"
            )
        };
        Self::part(entry, sql)
    }

    /// One part of what an entry says.
    pub(crate) fn part(entry: &Entry, sql: String) -> Self {
        Self {
            action: action(entry),
            sql: with_literals(entry, sql),
            operators: entry.operators.clone(),
        }
    }

    /// What is no entry's.
    pub(crate) fn new(action: String, sql: String) -> Self {
        Self {
            action,
            sql,
            operators: Vec::new(),
        }
    }

    /// It with its search path: what `schemas` hold, then its operators.
    fn under(&self, schemas: &str) -> Cow<'_, str> {
        let operators = code::list(&self.operators);
        let path: Vec<&str> = [schemas, &operators]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        if path.is_empty() {
            return Cow::Borrowed(&self.sql);
        }
        let path = path.join(", ");
        Cow::Owned(format!(
            "SET search_path = {path};\n{}\n;SET search_path = ''",
            self.sql
        ))
    }
}

/// In post-data the server computes under its own settings, but literals that were written on the source are read
/// under those that they were written under.
fn with_literals(entry: &Entry, sql: String) -> String {
    const SETTINGS: [(&str, &str); 3] = [
        ("::money", "lc_monetary"),
        ("::xml", "xmloption"),
        ("[]", "array_nulls"),
    ];
    if entry.section != Section::PostData {
        return sql;
    }
    let names = SETTINGS.map(|(word, name)| if sql.contains(word) { name } else { "" });
    let set = settings::assignments(&names).map(|assignment| format!("SET {assignment};\n"));
    let set: String = set.collect();
    let reset = names.iter().filter(|name| !name.is_empty());
    let reset: Vec<String> = reset.map(|name| format!(";\nRESET {name}")).collect();
    let reset = reset.concat();
    format!("{set}{sql}{reset}")
}

fn action(entry: &Entry) -> String {
    format!(
        "create {} {} of schema {}",
        entry.desc, entry.tag, entry.namespace
    )
}

/// Runs statements in order, each in a transaction with its neighbours.
///
/// Functions that name their tables without a schema fail under the empty search path that everything else needs;
/// where a name is not found, statements are run again one by one, with the source's schemas in the path.
pub(crate) async fn run(session: &Session, statements: &[Statement], path: &SearchPath) -> Result<(), Error> {
    for chunk in statements.chunks(TRANSACTION_MAX) {
        match transaction(session, chunk).await {
            Err(error) if error.is_name_not_found() => one_by_one(session, chunk, path).await?,
            ended => ended?,
        }
    }
    Ok(())
}

/// The same, but those that `may_pass_later` come again, after all others, as long as one more of them passes in each round.
pub(crate) async fn run_in_rounds(
    session: &Session,
    statements: Vec<(Statement, bool)>,
    path: &SearchPath,
) -> Result<(), Error> {
    let mut left = Vec::new();
    for group in statements.chunk_by(|(_, one), (_, next)| !one && !next) {
        let all: Vec<Statement> = group.iter().map(|(statement, _)| statement.clone()).collect();
        let later = !left.is_empty() || group.iter().any(|(_, later)| *later);
        match run(session, &all, path).await {
            Err(error) if later && may_depend_on_order(&error) => left.extend(all),
            ended => ended?,
        }
    }
    while !left.is_empty() {
        let (before, mut refused, mut cause) = (left.len(), Vec::new(), None);
        for statement in left {
            match run(session, std::slice::from_ref(&statement), path).await {
                Err(error) if may_depend_on_order(&error) => {
                    refused.push(statement);
                    cause.get_or_insert(error);
                }
                ended => ended?,
            }
        }
        if let Some(error) = cause.filter(|_| refused.len() == before) {
            return Err(error);
        }
        left = refused;
    }
    Ok(())
}

async fn transaction(session: &Session, statements: &[Statement]) -> Result<(), Error> {
    if let [alone] = statements {
        return session.batch(&alone.action, &alone.under("")).await;
    }
    let bodies: Vec<_> = statements.iter().map(|one| one.under("")).collect();
    let mut all = vec![("begin", "BEGIN")];
    all.extend(
        statements
            .iter()
            .zip(&bodies)
            .map(|(one, body)| (one.action.as_str(), body.as_ref())),
    );
    all.push(("commit", "COMMIT"));
    let ended = session.pipeline(&all).await;
    if ended.is_err() && !session.is_closed() {
        session.batch("roll back", "ROLLBACK").await?;
    }
    ended
}

async fn one_by_one(session: &Session, statements: &[Statement], path: &SearchPath) -> Result<(), Error> {
    for one in statements {
        match session.batch(&one.action, &one.under("")).await {
            Err(error) if error.is_name_not_found() => {
                session.batch(&one.action, &one.under(&path.list()?)).await?;
            }
            ended => ended?,
        }
    }
    Ok(())
}

/// Whether an error of the target may be one of a function of the user's own, which may pass when other rows are there: any
/// but those of the connection and of the server itself.
pub(crate) fn may_depend_on_order(error: &Error) -> bool {
    const SERVER: [&str; 10] = ["08", "25", "28", "3D", "40001", "53", "57", "58", "F0", "XX"];
    error.side() == Some(Side::Target)
        && error
            .sqlstate()
            .is_some_and(|code| !SERVER.iter().any(|class| code.starts_with(class)))
}
