//! Foreign keys in two steps: added without a look at the rows, then validated; and checks that the archive leaves not
//! validated: pure.

use crate::archive::statement;
use crate::archive::toc::Entry;
use crate::build::statements::Statement;
use crate::catalogue::{Constraint, Relation};
use crate::server::quoting::quote_ident;

/// Validates a check, on all that inherits it too.
pub(crate) fn validate(table: &Relation, name: &str) -> Statement {
    let (table, name) = (table.quoted(), quote_ident(name));
    Statement::new(
        format!("validate constraint {name} of {table}"),
        format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}"),
    )
}

/// The statements of a foreign key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForeignKeyBuild {
    /// Locks both tables; takes no time unless the server has to validate at once.
    pub(crate) add: Statement,
    /// Reads both tables, locking neither against others that read.
    pub(crate) validate: Option<Statement>,
}

/// Splits a foreign key. Those of partitioned tables are validated as they are added, because servers before 18
/// accept no other; those that the source has not validated stay so.
pub(crate) fn foreign_key(entry: &Entry, constraint: &Constraint, in_one: bool) -> ForeignKeyBuild {
    if in_one || !constraint.validated {
        return ForeignKeyBuild {
            add: Statement::whole(entry),
            validate: None,
        };
    }
    let (add, validate) = in_two(&entry.definition, &constraint.table_name, &constraint.name);
    ForeignKeyBuild {
        add: Statement::part(entry, add),
        validate: Some(Statement::part(entry, validate)),
    }
}

/// What adds a foreign key without a look at the rows, and what validates it. `table`: as SQL writes it.
pub(crate) fn in_two(definition: &str, table: &str, name: &str) -> (String, String) {
    let mut statements: Vec<String> = statement::split(definition)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if let Some(first) = statements.first_mut() {
        first.push_str(" NOT VALID");
    }
    let validate = format!(
        "ALTER TABLE ONLY {table} VALIDATE CONSTRAINT {}",
        quote_ident(name)
    );
    (statements.join("; "), validate)
}
