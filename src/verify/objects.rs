//! Objects, as the catalogues of both servers describe them.
//!
//! Everything that the archive names is compared with what it is made of: columns, defaults, constraints and whether
//! they are validated, triggers and rules and whether they fire, indexes, replica identity, statistics targets, parents,
//! owners of sequences, routines, types, comments. Owners, grants, policies and row security are `privileges.rs`'s.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::catalogue::deparsed;
use crate::config::{SchemaName, Schemas};
use crate::error::Error;
use crate::server::session::{Session, quote_ident};

/// Properties that servers write from a stored tree.
const DEPARSED: [&str; 6] = [
    "definition",
    "default",
    "defaults",
    "partition key",
    "partition bound",
    "type",
];
/// What a property's value is cut to in a message, in characters.
const SHOWN_MAX: usize = 120;

/// Every object of some schemas on one server.
#[derive(Debug)]
pub(crate) struct Objects {
    major: u32,
    /// By kind and identity.
    objects: BTreeMap<(String, String), Object>,
}

#[derive(Debug, PartialEq, Eq)]
struct Object {
    /// A JSON object as the server wrote it.
    properties: Option<String>,
    comment: Option<String>,
}

/// Reads all of them, in one query.
pub(crate) async fn read(session: &Session, schemas: &Schemas) -> Result<Objects, Error> {
    let sql = include_str!("sql/objects.sql");
    let rows = session
        .query("describe objects", sql, &[&schemas.names()])
        .await?;
    let object = |row: &tokio_postgres::Row| {
        let object = Object {
            properties: row.get("properties"),
            comment: row.get("comment"),
        };
        ((row.get("kind"), row.get("identity")), object)
    };
    Ok(Objects {
        major: session.major(),
        objects: rows.iter().map(object).collect(),
    })
}

/// What differs. The comment of an adopted schema stays as it was.
pub(crate) fn differences(source: &Objects, target: &Objects, adopted: &BTreeSet<SchemaName>) -> Vec<String> {
    let majors = (source.major, target.major);
    let adopted: BTreeSet<String> = adopted
        .iter()
        .map(|schema| quote_ident(schema.as_str()))
        .collect();
    let mut differences = Vec::new();
    for (key, expected) in source.comparable(majors) {
        let (kind, identity) = key;
        match target.objects.get(key) {
            None if target.lacks_whole(source, identity) => {}
            None => differences.push(format!("{kind} {identity} is missing on the target")),
            Some(found) if expected == found => {}
            Some(found) => {
                // An extension's comment is that of its version.
                let comments = kind != "extension" && !(kind == "schema" && adopted.contains(identity));
                let differing = expected.differing(found, majors).into_iter();
                differences.extend(
                    differing
                        .filter(|(property, _)| comments || property != "comment")
                        .map(|(property, values)| format!("{kind} {identity}: {}", told(&property, &values))),
                );
            }
        }
    }
    for (key, _) in target.comparable(majors) {
        let (kind, identity) = key;
        if !source.objects.contains_key(key) && !source.lacks_whole(target, identity) {
            differences.push(format!("{kind} {identity} is not of the source"));
        }
    }
    differences
}

impl Objects {
    /// Objects that servers of both majors have; before 18 there are none for columns that are not null.
    fn comparable(&self, majors: (u32, u32)) -> impl Iterator<Item = (&(String, String), &Object)> {
        let named = majors.0.min(majors.1) >= 18;
        let objects = self.objects.iter();
        objects.filter(move |((kind, _), _)| named || kind != "not-null constraint")
    }

    /// Whether `identity` belongs to a relation or a domain of `other` that is missing here, so that this is said already.
    fn lacks_whole(&self, other: &Self, identity: &str) -> bool {
        const WHOLES: [&str; 7] = [
            "table",
            "partitioned table",
            "view",
            "materialized view",
            "foreign table",
            "composite type",
            "domain",
        ];
        let Some((whole, _)) = identity.rsplit_once(".\"") else {
            return false;
        };
        let key = |kind: &str| (kind.to_owned(), whole.to_owned());
        WHOLES
            .iter()
            .any(|kind| other.objects.contains_key(&key(kind)) && !self.objects.contains_key(&key(kind)))
    }
}

/// Whether a property means the same on servers of both majors.
fn is_portable(property: &str, majors: (u32, u32)) -> bool {
    match property {
        // 14 brought multiranges, and compression of one's own.
        "multirange" | "compression" => majors.0.min(majors.1) >= 14,
        // 16 and newer write the name of an ICU locale in their own way.
        "locale" => majors.0 == majors.1,
        _ => true,
    }
}

impl Object {
    /// Properties that differ, with both values.
    fn differing(&self, found: &Self, majors: (u32, u32)) -> BTreeMap<String, [Option<Value>; 2]> {
        let (mut expected, mut found) = (self.values(), found.values());
        let names: BTreeSet<String> = expected.keys().chain(found.keys()).cloned().collect();
        let differing = names.into_iter().filter_map(|name| {
            let (expected, found) = (expected.remove(&name), found.remove(&name));
            let same = match (&expected, &found) {
                (Some(Value::String(expected)), Some(Value::String(found)))
                    if DEPARSED.contains(&name.as_str()) =>
                {
                    deparsed::same((majors.0, expected), (majors.1, found))
                }
                (expected, found) => expected == found || !is_portable(&name, majors),
            };
            (!same).then_some((name, [expected, found]))
        });
        differing.collect()
    }

    fn values(&self) -> Map<String, Value> {
        let text = self.properties.as_deref().unwrap_or("{}");
        let mut values: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        values.extend(
            self.comment
                .clone()
                .map(|comment| ("comment".to_owned(), comment.into())),
        );
        values
    }
}

/// A property and its two values.
fn told(property: &str, [source, target]: &[Option<Value>; 2]) -> String {
    let (source, target) = (shown(source.as_ref()), shown(target.as_ref()));
    if source == target {
        format!("{property} differs behind {source}")
    } else {
        format!("{property} is {source} on the source and {target} on the target")
    }
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => return "not set".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
