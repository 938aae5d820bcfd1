//! Entries of the archive as statements, and their execution.

use crate::archive::statement;
use crate::archive::toc::{Entry, Section};
use crate::config::Schemas;
use crate::error::Error;
use crate::server::session::{self, Session, quote_ident};

/// Statements sent in one transaction. A table takes some four locks, and the lock table of a server with default
/// settings holds 6400 for everyone.
const TRANSACTION_MAX: usize = 100;

/// One or more statements of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// What it does, to be read after "failed to".
    pub(crate) action: String,
    pub(crate) sql: String,
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
        }
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
    let set = session::assignments(&names).map(|assignment| format!("SET {assignment};\n"));
    let set: String = set.collect();
    let reset = names.iter().filter(|name| !name.is_empty());
    let reset: String = reset.map(|name| format!(";\nRESET {name}")).collect();
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
/// where a name is not found, statements are run again one by one, with the unit's schemas in the path.
pub(crate) async fn run(session: &Session, statements: &[Statement], schemas: &Schemas) -> Result<(), Error> {
    for chunk in statements.chunks(TRANSACTION_MAX) {
        match transaction(session, chunk).await {
            Err(error) if is_name_not_found(&error) => one_by_one(session, chunk, schemas).await?,
            ended => ended?,
        }
    }
    Ok(())
}

async fn transaction(session: &Session, statements: &[Statement]) -> Result<(), Error> {
    if let [alone] = statements {
        return session.batch(&alone.action, &alone.sql).await;
    }
    let mut all = vec![("begin", "BEGIN")];
    all.extend(
        statements
            .iter()
            .map(|one| (one.action.as_str(), one.sql.as_str())),
    );
    all.push(("commit", "COMMIT"));
    let ended = session.pipeline(&all).await;
    if ended.is_err() && !session.is_closed() {
        session.batch("roll back", "ROLLBACK").await?;
    }
    ended
}

async fn one_by_one(session: &Session, statements: &[Statement], schemas: &Schemas) -> Result<(), Error> {
    for one in statements {
        match session.batch(&one.action, &one.sql).await {
            Err(error) if is_name_not_found(&error) => {
                session
                    .batch("set the search path", &search_path(schemas))
                    .await?;
                session.batch(&one.action, &one.sql).await?;
                session
                    .batch("reset the search path", "SET search_path = ''")
                    .await?;
            }
            ended => ended?,
        }
    }
    Ok(())
}

/// The statement that puts the unit's schemas into the search path.
pub(crate) fn search_path(schemas: &Schemas) -> String {
    let names: Vec<String> = schemas
        .iter()
        .map(|schema| quote_ident(schema.as_str()))
        .collect();
    format!("SET search_path = {}", names.join(", "))
}

/// Undefined table, function, type or operator, column: what another search path may cure.
pub(crate) fn is_name_not_found(error: &Error) -> bool {
    matches!(
        error.sqlstate(),
        Some("42P01" | "42883" | "42704" | "42703" | "3F000")
    )
}
