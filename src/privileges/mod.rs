//! Owners, grants, default privileges, policies: read on the source, given on the target when all else is done.
//!
//! Everything is loaded as the target's user; an owner given early could not create, and would take our rights away.
//! The owner of a schema comes last, and may drop whatever is in it, so the next load can still replace it all.

mod carried;

pub(crate) use carried::{Carried, Need, read};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::catalogue::Relation;
use crate::catalogue::deparsed::{self, Definition, Pair};
use crate::config::{Config, Privileges, SchemaName, Schemas};
use crate::error::Error;
use crate::privileges::carried::{EVERYONE, Grant, Object, Policy, grantee, table_of};
use crate::server::quoting::{quote_ident, quote_literal};
use crate::server::session::Session;

/// Statements in one transaction: each may lock a table.
const CHUNK: usize = 100;
/// Rounds in which grants are brought in line; a REVOKE takes along what was granted further.
const ROUNDS: usize = 3;

/// A statement with the role that has to run it; `None` is the target's user.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Act {
    role: Option<String>,
    statement: String,
}

/// Gives everything to whom it belongs, and compares. Returns what was left out.
pub(crate) async fn apply(
    target: &Session,
    carried: &Carried,
    adopted: &BTreeSet<SchemaName>,
    config: &Config,
) -> Result<Vec<String>, Error> {
    let carried = carried.clone().mapped(&config.role_map);
    match config.privileges {
        Privileges::Keep => {
            let (carried, _) = carried.without_reader(target).await?;
            let user: String = target
                .query_one("ask for the user", "SELECT current_user::text", &[])
                .await?
                .get(0);
            let take_back = lend(target, &carried, &config.schemas).await?;
            give(target, &carried, adopted, config, &user).await?;
            let left_out = secure(target, &carried, &config.schemas, false).await?;
            // As long as the schemas are ours.
            let found = read(target, &config.schemas).await?;
            let mut differing = differing_policies(target, &carried, &found).await?;
            run(target, "take back rights on the schema", &take_back).await?;
            let found = own_schemas(target, &carried, adopted, &config.schemas).await?;
            differing.extend(differences(&carried, &found, adopted));
            Error::unless_equal(differing)?;
            Ok(left_out)
        }
        Privileges::Skip => secure(target, &carried, &config.schemas, true).await,
    }
}

/// Owners and grants of what is in the schemas, and default privileges.
async fn give(
    target: &Session,
    carried: &Carried,
    adopted: &BTreeSet<SchemaName>,
    config: &Config,
    user: &str,
) -> Result<(), Error> {
    let owners: Vec<Act> = carried
        .objects
        .iter()
        .filter(|object| object.kind != "schema" && !object.follows && object.owner != user)
        .map(|object| Act {
            role: None,
            statement: object.set_owner(),
        })
        .collect();
    run(target, "set owners", &owners).await?;
    let found = settle(target, carried, adopted, &config.schemas, false).await?;
    run(target, "set default privileges", &default_grants(carried, &found)).await
}

/// Grants and revokes until nothing is left to be done, and returns what the target has then. `schema`: on the schemas
/// themselves, or on what is in them.
async fn settle(
    target: &Session,
    carried: &Carried,
    adopted: &BTreeSet<SchemaName>,
    schemas: &Schemas,
    schema: bool,
) -> Result<Carried, Error> {
    for _ in 0..ROUNDS {
        let found = read(target, schemas).await?;
        let acts = grants(carried, &found, adopted, schema);
        if acts.is_empty() {
            return Ok(found);
        }
        run(target, "grant privileges", &acts).await?;
    }
    read(target, schemas).await
}

/// Lends every owner and grantor the rights on the schemas that they need for it; returns what takes them back.
async fn lend(target: &Session, carried: &Carried, schemas: &Schemas) -> Result<Vec<Act>, Error> {
    let sql = include_str!("sql/lacking.sql");
    let (mut lend, mut take_back) = (Vec::new(), Vec::new());
    for schema in schemas {
        let actors: Vec<&str> = carried.actors(schema.as_str()).into_iter().collect();
        let rows = target
            .query("look who may use the schema", sql, &[&schema.as_str(), &actors])
            .await?;
        for row in rows {
            let (role, privilege): (String, String) = (row.get("role"), row.get("privilege"));
            let (name, borrower) = (quote_ident(schema.as_str()), quote_ident(&role));
            let owner: Option<String> = (!row.get::<_, bool>("is_owner")).then(|| row.get("owner"));
            lend.push(Act {
                role: owner.clone(),
                statement: format!("GRANT {privilege} ON SCHEMA {name} TO {borrower}"),
            });
            take_back.push(Act {
                role: owner,
                statement: format!("REVOKE {privilege} ON SCHEMA {name} FROM {borrower}"),
            });
        }
    }
    run(target, "lend rights on the schema", &lend).await?;
    Ok(take_back)
}

/// What brings the found grants in line with those carried; on schemas, or on everything else.
fn grants(carried: &Carried, found: &Carried, adopted: &BTreeSet<SchemaName>, schemas: bool) -> Vec<Act> {
    let there: BTreeMap<_, &Object> = found
        .objects
        .iter()
        .map(|object| (object.key(), object))
        .collect();
    let wanted: BTreeSet<_> = carried.objects.iter().map(Object::key).collect();
    let major = carried.major.min(found.major);
    let mut acts = Vec::new();
    let of_kind = |object: &&Object| (object.kind == "schema") == schemas;
    // Grants on columns stand for themselves: a column without any is not listed.
    for object in found.objects.iter().filter(of_kind) {
        if object.column.is_some() && !wanted.contains(&object.key()) {
            acts.extend(object.grants.iter().map(|grant| revoke(object, grant)));
        }
    }
    for object in carried.objects.iter().filter(of_kind) {
        let found = there.get(&object.key()).copied();
        if object.is_default && found.is_some_and(|found| found.is_default) {
            continue;
        }
        let kept = object.is_adopted(adopted);
        let expected = expected(object, found.filter(|_| kept), major);
        let present: BTreeSet<Grant> = found
            .iter()
            .flat_map(|found| &found.grants)
            .filter(|grant| is_known(&grant.privilege, major))
            .cloned()
            .collect();
        if !kept {
            acts.extend(present.difference(&expected).map(|grant| revoke(object, grant)));
        }
        let missing: Vec<Grant> = expected.difference(&present).cloned().collect();
        let owner = found.filter(|_| kept).map_or(&object.owner, |found| &found.owner);
        acts.extend(in_order(missing, owner).iter().map(|grant| Act {
            role: Some(grant.grantor.clone()),
            statement: format!(
                "GRANT {} TO {}{}",
                object.privilege(&grant.privilege),
                grant.to(),
                if grant.grantable { " WITH GRANT OPTION" } else { "" }
            ),
        }));
    }
    acts
}

/// The grants that an object shall have. On an adopted schema its present owner grants.
fn expected(object: &Object, adopted: Option<&Object>, major: u32) -> BTreeSet<Grant> {
    object
        .grants
        .iter()
        .filter(|grant| is_known(&grant.privilege, major))
        .filter(|grant| adopted.is_none() || grant.grantee.as_ref() != Some(&object.owner))
        .map(|grant| Grant {
            grantor: adopted.map_or_else(|| grant.grantor.clone(), |found| found.owner.clone()),
            ..grant.clone()
        })
        .collect()
}

/// A privilege that one of two servers does not have can be neither carried nor compared.
fn is_known(privilege: &str, major: u32) -> bool {
    privilege != "MAINTAIN" || major >= 17
}

fn revoke(object: &Object, grant: &Grant) -> Act {
    Act {
        role: Some(grant.grantor.clone()),
        statement: format!(
            "REVOKE {} FROM {} CASCADE",
            object.privilege(&grant.privilege),
            grant.to()
        ),
    }
}

/// The owner's grants first, then those of whom he gave the right to grant further, and so on.
fn in_order(mut grants: Vec<Grant>, owner: &str) -> Vec<Grant> {
    let mut may: BTreeSet<String> = BTreeSet::from([owner.to_owned()]);
    let mut ordered = Vec::new();
    while !grants.is_empty() {
        let (now, later): (Vec<Grant>, Vec<Grant>) =
            grants.into_iter().partition(|grant| may.contains(&grant.grantor));
        if now.is_empty() {
            // Whoever gave these the right to grant has it already.
            ordered.extend(later);
            break;
        }
        may.extend(
            now.iter()
                .filter(|grant| grant.grantable)
                .filter_map(|grant| grant.grantee.clone()),
        );
        ordered.extend(now);
        grants = later;
    }
    ordered
}

fn default_grants(carried: &Carried, found: &Carried) -> Vec<Act> {
    let major = carried.major.min(found.major);
    carried
        .defaults
        .difference(&found.defaults)
        .filter(|default| is_known(&default.privilege, major))
        .map(|default| Act {
            role: Some(default.role.clone()),
            statement: format!(
                "ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT {} ON {} TO {}{}",
                quote_ident(&default.schema),
                default.privilege,
                default.objects,
                grantee(default.grantee.as_deref()),
                if default.grantable {
                    " WITH GRANT OPTION"
                } else {
                    ""
                }
            ),
        })
        .collect()
}

/// Policies with their comments, and row security, each as the table's owner. With `only_existing`, policies lose
/// the roles that the target does not have, and those that lose all of them are left out, which are returned.
async fn secure(
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
        acts.extend(policy.statements().map(|statement| Act {
            role: owners.get(&policy.table).cloned(),
            statement,
        }));
    }
    for secured in &carried.row_security {
        let words = [(secured.enabled, "ENABLE"), (secured.forced, "FORCE")];
        acts.extend(words.into_iter().filter(|(is, _)| *is).map(|(_, word)| Act {
            role: owners.get(&secured.table).cloned(),
            statement: format!("ALTER TABLE {} {word} ROW LEVEL SECURITY", secured.table.quoted()),
        }));
    }
    run(target, "create policies", &acts).await?;
    Ok(left_out)
}

impl Policy {
    fn statements(&self) -> impl Iterator<Item = String> {
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
        let comment = self.comment.as_ref().map(|comment| {
            format!(
                "COMMENT ON POLICY {name} ON {table} IS {}",
                quote_literal(comment)
            )
        });
        [create].into_iter().chain(comment)
    }
}

/// Owners of the schemas that are ours, and grants on all of them.
async fn own_schemas(
    target: &Session,
    carried: &Carried,
    adopted: &BTreeSet<SchemaName>,
    schemas: &Schemas,
) -> Result<Carried, Error> {
    let owners: Vec<Act> = carried
        .objects
        .iter()
        .filter(|object| object.kind == "schema" && !object.is_adopted(adopted))
        .map(|object| Act {
            role: None,
            statement: object.set_owner(),
        })
        .collect();
    run(target, "set the schema's owner", &owners).await?;
    settle(target, carried, adopted, schemas, true).await
}

/// What of a source is not on a target that was loaded with `PRIVILEGES=keep`, as `read` on each side. Objects that are
/// not there at all are told of by their own comparison.
pub(crate) async fn compare(
    target: &Session,
    [carried, found]: [Carried; 2],
    adopted: &BTreeSet<SchemaName>,
    config: &Config,
) -> Result<Vec<String>, Error> {
    let (mut carried, _) = carried.mapped(&config.role_map).without_reader(target).await?;
    // Of columns only those with grants are known; they are there if their table is.
    let there: BTreeSet<_> = found.objects.iter().map(Object::whole).collect();
    carried.objects.retain(|object| there.contains(&object.whole()));
    let mut differing = differing_policies(target, &carried, &found).await?;
    differing.extend(differences(&carried, &found, adopted));
    Ok(differing)
}

/// Compares the policies that the target has with those that were to be carried; the target says which expressions tell
/// the same.
async fn differing_policies(
    target: &Session,
    carried: &Carried,
    found: &Carried,
) -> Result<Vec<String>, Error> {
    let by_name = |of: &'_ Carried| -> BTreeMap<_, Policy> {
        let policies = of.policies.iter().cloned();
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

/// Compares what else the target has now with what was to be carried.
fn differences(carried: &Carried, found: &Carried, adopted: &BTreeSet<SchemaName>) -> Vec<String> {
    let owners: BTreeMap<_, _> = found
        .objects
        .iter()
        .map(|object| (object.key(), &object.owner))
        .collect();
    let mut differences: Vec<String> = carried
        .objects
        .iter()
        .filter(|object| !object.is_adopted(adopted) && object.column.is_none())
        .filter(|object| owners.get(&object.key()) != Some(&&object.owner))
        .map(|object| {
            format!(
                "{} {} does not belong to {}",
                object.kind, object.identity, object.owner
            )
        })
        .collect();
    let mut acts = grants(carried, found, adopted, false);
    acts.extend(grants(carried, found, adopted, true));
    acts.extend(default_grants(carried, found));
    differences.extend(
        acts.into_iter()
            .map(|act| format!("what is not done on the target: {}", act.statement)),
    );
    let secured = carried.row_security.symmetric_difference(&found.row_security);
    let secured: BTreeSet<String> = secured.map(|secured| secured.table.quoted()).collect();
    differences.extend(
        secured
            .into_iter()
            .map(|table| format!("row security of {table} differs")),
    );
    differences
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

/// Runs every statement as its role, a chunk to a transaction.
async fn run(target: &Session, action: &str, acts: &[Act]) -> Result<(), Error> {
    for chunk in acts.chunks(CHUNK) {
        let mut sql = String::from("BEGIN;\n");
        for act in chunk {
            if let Some(role) = &act.role {
                write!(sql, "SET LOCAL ROLE {}; ", quote_ident(role)).ok();
            }
            writeln!(sql, "{}; RESET ROLE;", act.statement).ok();
        }
        sql.push_str("COMMIT");
        target.batch(action, &sql).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(grantor: &str, grantee: &str, grantable: bool) -> Grant {
        Grant {
            grantor: grantor.to_owned(),
            grantee: Some(grantee.to_owned()),
            privilege: "SELECT".to_owned(),
            grantable,
        }
    }

    #[test]
    fn grants_follow_the_right_to_grant() {
        let chain = [
            grant("b", "c", false),
            grant("a", "b", true),
            grant("o", "a", true),
            grant("z", "y", false),
        ];
        let ordered = in_order(chain.to_vec(), "o");
        let grantors: Vec<&str> = ordered.iter().map(|grant| grant.grantor.as_str()).collect();
        assert_eq!(grantors, ["o", "a", "b", "z"]);
    }
}
