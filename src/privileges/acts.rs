//! What has to be done on a target: statements, each as the role that may.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::config::SchemaName;
use crate::error::Error;
use crate::privileges::carried::{Carried, Grant, OwnedObject, grantee};
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// Statements in one transaction: each may lock a table.
const CHUNK: usize = 100;

/// A statement with the role that has to run it; `None` is the target's user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) role: Option<String>,
    pub(super) statement: String,
}

/// Runs every statement as its role, a chunk to a transaction.
pub(super) async fn run(target: &Session, action: &str, acts: &[Act]) -> Result<(), Error> {
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

/// What brings the found grants in line with those carried; on schemas, or on everything else.
pub(super) fn grants(
    carried: &Carried,
    found: &Carried,
    adopted: &BTreeSet<SchemaName>,
    schemas: bool,
) -> Vec<Act> {
    let there: BTreeMap<_, &OwnedObject> = found
        .objects
        .iter()
        .map(|object| (object.key(), object))
        .collect();
    let wanted: BTreeSet<_> = carried.objects.iter().map(OwnedObject::key).collect();
    let major = carried.major.min(found.major);
    let mut acts = Vec::new();
    let of_kind = |object: &&OwnedObject| (object.kind == "schema") == schemas;
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
fn expected(object: &OwnedObject, adopted: Option<&OwnedObject>, major: u32) -> BTreeSet<Grant> {
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
pub(super) fn is_known(privilege: &str, major: u32) -> bool {
    privilege != "MAINTAIN" || major >= 17
}

fn revoke(object: &OwnedObject, grant: &Grant) -> Act {
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

pub(super) fn default_grants(carried: &Carried, found: &Carried) -> Vec<Act> {
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
