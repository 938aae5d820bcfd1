//! What a schema holds: what a load leaves, and what has become of it since.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use tokio_postgres::Row;

use crate::catalogue::deparsed;
use crate::error::Error;
use crate::server::parameter::Param;
use crate::server::session::Session;

/// Objects of a schema, each by its kind and its identity with a hash of all that VERIFY compares of it, and of what no load
/// carries: `{"kind": {"identity": "hash"}}`. Columns count as part of their table. Some `constraints` are left out.
pub(super) async fn objects(
    target: &Session,
    schema: &str,
    constraints: &[u32],
) -> Result<Map<String, Value>, Error> {
    let names = [schema];
    let names = names.as_slice();
    let params: [&dyn Param; 3] = [&names, &true, &constraints];
    let sql = hashed(
        include_str!("sql/objects.sql"),
        include_str!("../catalogue/sql/objects.sql"),
    );
    let ((), rows, ()) = tokio::try_join!(
        target.batch("have names quoted", deparsed::QUOTED),
        target.query("list objects", &sql, &params),
        target.batch("have names quoted no more", deparsed::UNQUOTED)
    )?;
    Ok(by_kind(&rows))
}

/// Owners, grants, default privileges, policies and row security, in the same form.
pub(super) async fn access(target: &Session, schema: &str) -> Result<Map<String, Value>, Error> {
    let names = [schema];
    let names = names.as_slice();
    let params: [&dyn Param; 1] = [&names];
    let [access, defaults, policies, secured] = [
        (
            include_str!("sql/access.sql"),
            include_str!("../catalogue/sql/privileges.sql"),
        ),
        (
            include_str!("sql/defaults.sql"),
            include_str!("../catalogue/sql/default_privileges.sql"),
        ),
        (
            include_str!("sql/policies.sql"),
            include_str!("../catalogue/sql/policies.sql"),
        ),
        (
            include_str!("sql/row_security.sql"),
            include_str!("../catalogue/sql/row_security.sql"),
        ),
    ]
    .map(|(outer, listed)| hashed(outer, listed));
    let action = "list who may do what";
    // All at once: one way to the server and back.
    let ((), mut rows, defaults, policies, secured, ()) = tokio::try_join!(
        target.batch("have names quoted", deparsed::QUOTED),
        target.query(action, &access, &params),
        target.query(action, &defaults, &params),
        target.query(action, &policies, &params),
        target.query(action, &secured, &params),
        target.batch("have names quoted no more", deparsed::UNQUOTED)
    )?;
    rows.extend([defaults, policies, secured].into_iter().flatten());
    Ok(by_kind(&rows))
}

fn by_kind(rows: &[Row]) -> Map<String, Value> {
    let mut inventory: Map<String, Value> = Map::new();
    for row in rows {
        let objects = inventory
            .entry(row.get::<_, String>("kind"))
            .or_insert_with(|| json!({}));
        objects[row.get::<_, &str>("identity")] = row.get::<_, &str>("hash").into();
    }
    inventory
}

/// A query that hashes what another one lists, put into its place.
fn hashed(outer: &str, listed: &str) -> String {
    outer.replace("FROM LISTED", &format!("FROM (\n{listed}\n)"))
}

/// An inventory in this release's form.
pub(super) fn readable(inventory: Value) -> Option<Value> {
    let known = inventory.as_object()?.values().all(Value::is_object);
    known.then_some(inventory)
}

/// What is no longer as in an earlier inventory. Of what is gone or new as a whole, the parts are not named.
/// Only kinds that `counts` are compared.
pub(super) fn differences(before: &Value, now: &Value, counts: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = |inventory| -> BTreeMap<Object<'_>, &Value> {
        let mut entries = entries(inventory);
        entries.retain(|(kind, _), _| counts(kind));
        entries
    };
    let (before, now) = (entries(before), entries(now));
    let altered = before
        .iter()
        .filter(|(object, hash)| now.get(object).is_some_and(|now| now != *hash));
    let mut changes: Vec<String> = altered
        .map(|((kind, identity), _)| format!("{kind} {identity} was altered"))
        .collect();
    for (one, other, verb) in [(&before, &now, "dropped"), (&now, &before, "added")] {
        let found: Vec<Object<'_>> = one
            .keys()
            .filter(|object| !other.contains_key(*object))
            .copied()
            .collect();
        let named: BTreeSet<&str> = found
            .iter()
            .filter(|(kind, _)| !is_about_another(kind))
            .map(|(_, identity)| *identity)
            .collect();
        let is_part = |(kind, identity): &Object<'_>| {
            let whole = identity.rsplit_once(".\"").map_or("", |(whole, _)| whole);
            named.contains(whole) || is_about_another(kind) && named.contains(identity)
        };
        let wholes = found.iter().filter(|object| !is_part(object));
        changes.extend(wholes.map(|(kind, identity)| format!("{kind} {identity} was {verb}")));
    }
    changes.sort_unstable();
    changes
}

/// Kind and identity.
type Object<'a> = (&'a str, &'a str);

/// Whether what is listed under this kind is named by another object.
fn is_about_another(kind: &str) -> bool {
    kind.starts_with("access to ") || kind == "row security of"
}

/// Whether what is listed under this kind is one of [`access`].
pub(super) fn is_access(kind: &str) -> bool {
    is_about_another(kind) || kind == "policy"
}

/// Whether what is listed under this kind is about the schema itself, which an adopted one's owner may change as he likes:
/// nothing of that is dropped.
pub(super) fn is_about_the_schema(kind: &str) -> bool {
    kind == "schema" || kind == "access to schema" || kind.starts_with("access to new ")
}

fn entries(inventory: &Value) -> BTreeMap<Object<'_>, &Value> {
    let kinds = inventory.as_object().into_iter().flatten();
    kinds
        .flat_map(|(kind, objects)| {
            let objects = objects.as_object().into_iter().flatten();
            objects.map(|(identity, hash)| ((kind.as_str(), identity.as_str()), hash))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_what_is_gone_or_new_are_not_named() {
        let table = r#""s"."t""#;
        let before = json!({"table": {table: "1"}, "constraint": {r#""s"."t"."t_pkey""#: "1"}, "access to table": {table: "1"},
                            "function": {r#""s"."f"()"#: "1"}});
        let now = json!({"function": {r#""s"."f"()"#: "2"}, "row security of": {r#""s"."u""#: "1"}});
        assert_eq!(
            differences(&before, &now, |_| true),
            [
                r#"function "s"."f"() was altered"#,
                r#"row security of "s"."u" was added"#,
                r#"table "s"."t" was dropped"#
            ]
        );
        assert!(differences(&before, &before, |_| true).is_empty());
    }
}
