//! Policies and row security.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::Relation;
use crate::catalogue::code;
use crate::catalogue::deparsed::{self, Definition, Pair};
use crate::config::Schemas;
use crate::error::Error;
use crate::privileges::acts::{Act, run};
use crate::privileges::carried::{Carried, EVERYONE, Policy, RowSecurity, grantee, table_of};
use crate::server::quoting::{quote_ident, quote_literal};
use crate::server::session::Session;

/// Policies that are not there yet, the comments of all, and row security, each as the table's owner. With `only_existing`, policies
/// lose the roles that the target does not have, and those that lose all of them are left out, which are returned.
pub(super) async fn secure(
    target: &Session,
    carried: &Carried,
    schemas: &Schemas,
    only_existing: bool,
) -> Result<Vec<String>, Error> {
    let sql = include_str!("sql/table_owners.sql");
    let rows = target.query("list owners", sql, &[&schemas.names()]).await?;
    let owners: BTreeMap<Relation, String> =
        rows.iter().map(|row| (table_of(row), row.get("owner"))).collect();
    let roles: BTreeSet<String> = target
        .query("list roles", "SELECT rolname::text FROM pg_catalog.pg_roles", &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .chain([EVERYONE.to_owned()])
        .collect();
    let sql = include_str!("sql/standing_policies.sql");
    let rows = target.query("list policies", sql, &[&schemas.names()]).await?;
    let standing: BTreeSet<(Relation, String)> =
        rows.iter().map(|row| (table_of(row), row.get("name"))).collect();
    let (mut acts, mut left_out) = (Vec::new(), Vec::new());
    for policy in &carried.policies {
        let mut policy = policy.clone();
        if only_existing {
            policy.roles.retain(|role| roles.contains(role));
        }
        if policy.roles.is_empty() {
            left_out.push(format!(
                "policy {} on {}, of whose roles the target has none",
                policy.name,
                policy.table.plain()
            ));
            continue;
        }
        let stands = standing.contains(&(policy.table.clone(), policy.name.clone()));
        let create = (!stands).then(|| policy.create());
        acts.extend(create.into_iter().chain(policy.commented()).map(|statement| Act {
            role: owners.get(&policy.table).cloned(),
            statement,
        }));
    }
    for word in ["ENABLE", "FORCE"] {
        acts.extend(row_security(carried, word, |table| owners.get(table).cloned()));
    }
    run(target, "create policies", &acts).await?;
    Ok(left_out)
}

/// Statements that `ENABLE`, `FORCE` or `NO FORCE` row security where the source has it so, each as the role that is given for the table.
pub(super) fn row_security(
    carried: &Carried,
    word: &str,
    role: impl Fn(&Relation) -> Option<String>,
) -> Vec<Act> {
    let wanted = carried.row_security.iter().filter(|secured| {
        if word.ends_with("FORCE") {
            secured.forced
        } else {
            secured.enabled
        }
    });
    let act = |secured: &RowSecurity| Act {
        role: role(&secured.table),
        statement: format!("ALTER TABLE {} {word} ROW LEVEL SECURITY", secured.table.quoted()),
    };
    wanted.map(act).collect()
}

impl Policy {
    /// The statement that makes it.
    fn create(&self) -> String {
        let (name, table) = (quote_ident(&self.name), self.table.quoted());
        let roles: Vec<String> = self
            .roles
            .iter()
            .map(|role| grantee((role != EVERYONE).then_some(role)))
            .collect();
        let clause = |word: &str, expression: &Option<String>| {
            expression
                .as_ref()
                .map_or_else(String::new, |expression| format!(" {word} ({expression})"))
        };
        let create = format!(
            "CREATE POLICY {name} ON {table} AS {} FOR {} TO {}{}{}",
            if self.permissive {
                "PERMISSIVE"
            } else {
                "RESTRICTIVE"
            },
            self.command,
            roles.join(", "),
            clause("USING", &self.using),
            clause("WITH CHECK", &self.with_check)
        );
        if self.operator_schemas.is_empty() {
            create
        } else {
            let path = code::list(&self.operator_schemas);
            format!("SET LOCAL search_path = {path}; {create}; SET LOCAL search_path = ''")
        }
    }

    /// The statement that comments on it.
    fn commented(&self) -> Option<String> {
        let comment = quote_literal(self.comment.as_ref()?);
        let (name, table) = (quote_ident(&self.name), self.table.quoted());
        Some(format!("COMMENT ON POLICY {name} ON {table} IS {comment}"))
    }
}

/// Compares the policies that the target has with those that were to be carried; the target says which expressions tell
/// the same.
pub(super) async fn differing_policies(
    target: &Session,
    carried: &Carried,
    found: &Carried,
) -> Result<Vec<String>, Error> {
    // Majors keep expressions in trees of their own, in which one may stand twice.
    let counted = carried.major == found.major;
    let by_name = |of: &'_ Carried| -> BTreeMap<_, Policy> {
        let policies = of.policies.iter().cloned().map(|mut policy| {
            if !counted {
                policy.operators.dedup();
            }
            policy
        });
        policies
            .map(|policy| ((policy.table.quoted(), policy.name.clone()), policy))
            .collect()
    };
    let (expected, mut found) = (by_name(carried), by_name(found));
    let (mut differing, mut texts) = (BTreeSet::new(), Vec::new());
    for (key, expected) in expected {
        match found.remove(&key) {
            Some(found) if found.without_expressions() != expected.without_expressions() => {
                differing.insert(key);
            }
            Some(found) => texts.extend(expected.pair(&found).map(|pair| (key, pair))),
            None => {
                differing.insert(key);
            }
        }
    }
    differing.extend(found.into_keys());
    let (keys, pairs): (Vec<_>, Vec<Pair>) = texts.into_iter().unzip();
    let alike = deparsed::alike(target, &pairs).await?;
    differing.extend(
        keys.into_iter()
            .zip(alike)
            .filter(|(_, alike)| !alike)
            .map(|(key, _)| key),
    );
    let named = differing
        .into_iter()
        .map(|(table, name)| format!("policy {name} on {table} is missing or differs"));
    Ok(named.collect())
}

impl Policy {
    fn without_expressions(&self) -> Self {
        let mut policy = self.clone();
        policy.roles.sort_unstable();
        policy.using = policy.using.map(|_| String::new());
        policy.with_check = policy.with_check.map(|_| String::new());
        policy
    }

    /// The expressions of both, if they are other texts.
    fn pair(&self, other: &Self) -> Option<Pair> {
        let texts = |policy: &Self| {
            let texts = [policy.using.as_deref(), policy.with_check.as_deref()];
            texts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        };
        let (source, target) = (texts(self), texts(other));
        let table = self.table.quoted();
        (source != target).then(|| {
            [
                Definition::expressions(&source, &table),
                Definition::expressions(&target, &table),
            ]
        })
    }
}
