//! Indexes, and the keys that are made of them: pure.

use crate::archive::statement;
use crate::archive::toc::Entry;
use crate::build::statements::Statement;
use crate::catalogue::Constraint;
use crate::server::quoting::quote_ident;

/// What an index or key is built from: a part that others of the same table may be built beside, and one that
/// needs the table alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IndexBuild {
    /// Takes a SHARE lock.
    pub(crate) beside: Option<Statement>,
    /// Takes an ACCESS EXCLUSIVE lock, and no time.
    pub(crate) alone: Vec<Statement>,
}

/// CREATE INDEX, and what pg_dump appends to it (statistics targets, CLUSTER, replica identity).
pub(crate) fn index(entry: &Entry) -> IndexBuild {
    let mut statements = statement::split(&entry.definition).into_iter();
    let part = |sql: &str| Statement::part(entry, sql.to_owned());
    IndexBuild {
        beside: statements.next().map(part),
        alone: statements.map(part).collect(),
    }
}

/// A primary key or unique constraint by way of its index, where the server can make one of the other.
pub(crate) fn key(entry: &Entry, constraint: &Constraint) -> IndexBuild {
    let Some(create_index) = &constraint.create_index else {
        return IndexBuild {
            beside: None,
            alone: vec![Statement::whole(entry)],
        };
    };
    let kind = if constraint.kind == 'p' {
        "PRIMARY KEY"
    } else {
        "UNIQUE"
    };
    let name = quote_ident(&constraint.name);
    let add = format!(
        "ALTER TABLE ONLY {} ADD CONSTRAINT {name} {kind} USING INDEX {name}{}",
        constraint.table_name, constraint.timing
    );
    let mut alone = vec![Statement::part(entry, add)];
    let appended = statement::split(&entry.definition).into_iter().skip(1);
    alone.extend(appended.map(|sql| Statement::part(entry, sql.to_owned())));
    IndexBuild {
        beside: Some(Statement::part(entry, create_index.clone())),
        alone,
    }
}
