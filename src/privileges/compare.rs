//! Whether a target has what was carried.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Config, SchemaName};
use crate::error::Error;
use crate::privileges::acts::{default_grants, grants, is_known};
use crate::privileges::carried::{Carried, OwnedObject, grantee};
use crate::privileges::policies::differing_policies;
use crate::server::session::Session;

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
    let there: BTreeSet<_> = found.objects.iter().map(OwnedObject::whole).collect();
    carried.objects.retain(|object| there.contains(&object.whole()));
    let mut differing = differing_policies(target, &carried, &found).await?;
    differing.extend(differences(&carried, &found, adopted));
    Ok(differing)
}

/// Compares what else the target has now with what was to be carried.
pub(super) fn differences(carried: &Carried, found: &Carried, adopted: &BTreeSet<SchemaName>) -> Vec<String> {
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
    let extra = found.defaults.difference(&carried.defaults);
    let major = carried.major.min(found.major);
    let of_ours = extra
        .filter(|default| is_known(&default.privilege, major))
        .filter(|default| adopted.iter().all(|schema| schema.as_str() != default.schema));
    differences.extend(of_ours.map(|default| {
        format!(
            "default privilege of {} exists only on the target: {} on {} to {} in {}",
            default.role,
            default.privilege,
            default.objects,
            grantee(default.grantee.as_deref()),
            default.schema
        )
    }));
    let secured = carried.row_security.symmetric_difference(&found.row_security);
    let secured: BTreeSet<String> = secured.map(|secured| secured.table.quoted()).collect();
    differences.extend(
        secured
            .into_iter()
            .map(|table| format!("row security of {table} differs")),
    );
    differences
}
