//! Objects, as the catalogues of both servers describe them.
//!
//! Everything that the archive names is compared with what it is made of: columns, defaults, constraints and whether
//! they are validated, triggers and rules and whether they fire, indexes, replica identity, statistics targets, parents,
//! owners of sequences, routines, types, comments. Owners, grants, policies and row security are `privileges.rs`'s.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::archive::statement;
use crate::catalogue::deparsed::{self, Definition, Pair};
use crate::config::{SchemaName, Schemas};
use crate::error::Error;
use crate::server::parameter::Param;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

/// Properties whose texts name types, and hold nothing else that is not quoted.
const NAMING_TYPES: [&str; 13] = [
    BEHIND,
    "aggregate",
    "base type",
    "commutator",
    "functions",
    "negator",
    "operators",
    "range",
    "result",
    "storage",
    "transforms",
    "type",
    "types",
];
/// What a text that a server wrote of a stored tree may leave out.
const BEHIND: &str = "operators and functions behind the text";
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
    /// Operators and functions outside of pg_catalog, each as often as it is used.
    behind: Option<Vec<String>>,
}

/// Reads all of them, in one query.
pub(crate) async fn read(session: &Session, schemas: &Schemas) -> Result<Objects, Error> {
    let sql = include_str!("../catalogue/sql/objects.sql");
    let names = schemas.names();
    let params: [&dyn Param; 2] = [&names, &false];
    let ((), rows, ()) = tokio::try_join!(
        session.batch("have names quoted", deparsed::QUOTED),
        session.query("describe objects", sql, &params),
        session.batch("have names quoted no more", deparsed::UNQUOTED)
    )?;
    let object = |row: &tokio_postgres::Row| {
        let object = Object {
            properties: row.get("properties"),
            comment: row.get("comment"),
            behind: row.get("behind"),
        };
        let identity: String = row.get("identity");
        ((row.get("kind"), deparsed::type_names(&identity)), object)
    };
    Ok(Objects {
        major: session.major(),
        objects: rows.iter().map(object).collect(),
    })
}

/// What differs. The comment of an adopted schema stays as it was. `session` is the target's, in no transaction: it
/// says which texts tell the same.
pub(crate) async fn compare(
    session: &Session,
    source: &Objects,
    target: &Objects,
    adopted: &BTreeSet<SchemaName>,
) -> Result<Vec<String>, Error> {
    let Differences { mut plain, texts } = differences(source, target, adopted);
    let (texts, pairs): (Vec<String>, Vec<Pair>) = texts.into_iter().unzip();
    let alike = deparsed::alike(session, &pairs).await?;
    let differing = texts.into_iter().zip(alike).filter(|(_, alike)| !alike);
    plain.extend(differing.map(|(text, _)| text));
    Ok(plain)
}

/// What differs, in words.
#[derive(Debug, Default)]
struct Differences {
    plain: Vec<String>,
    /// Texts that may tell the same.
    texts: Vec<(String, Pair)>,
}

fn differences(source: &Objects, target: &Objects, adopted: &BTreeSet<SchemaName>) -> Differences {
    let majors = (source.major, target.major);
    let adopted: BTreeSet<String> = adopted
        .iter()
        .map(|schema| quote_ident(schema.as_str()))
        .collect();
    let mut differences = Differences::default();
    for (key, expected) in source.comparable(majors) {
        let (kind, identity) = key;
        match target.objects.get(key) {
            None if target.lacks_whole(source, identity) => {}
            None => differences
                .plain
                .push(format!("{kind} {identity} is missing on the target")),
            Some(found) if expected == found => {}
            Some(found) => {
                // An extension's comment is that of its version.
                let comments = kind != "extension" && !(kind == "schema" && adopted.contains(identity));
                for (property, values) in expected.differing(found, majors) {
                    let text = format!("{kind} {identity}: {}", told(&property, &values));
                    match pair(kind, identity, &property, found, &values) {
                        Some(pair) => differences.texts.push((text, pair)),
                        None if property == "comment" && !comments => {}
                        None => differences.plain.push(text),
                    }
                }
            }
        }
    }
    for (key, _) in target.comparable(majors) {
        let (kind, identity) = key;
        if !source.objects.contains_key(key) && !source.lacks_whole(target, identity) {
            differences
                .plain
                .push(format!("{kind} {identity} exists only on the target"));
        }
    }
    differences
}

/// What both values define, if they are texts that a server wrote of what it stores as a tree.
fn pair(
    kind: &str,
    identity: &str,
    property: &str,
    found: &Object,
    [source, target]: &[Option<Value>; 2],
) -> Option<Pair> {
    let (source, target) = (source.as_ref()?.as_str()?, target.as_ref()?.as_str()?);
    let [schema, name, ..] = *cut(identity, &['.', '(']) else {
        return None;
    };
    let whole = format!("{schema}.{name}");
    let expressions = |from: &str| {
        Some([
            Definition::expressions(source, from),
            Definition::expressions(target, from),
        ])
    };
    match (kind, property) {
        ("view" | "materialized view", "definition") => {
            Some([Definition::query(source), Definition::query(target)])
        }
        ("column", "default") | ("constraint", "expression") | (_, "partition expressions") => {
            expressions(&whole)
        }
        ("index", "expressions" | "predicate") => expressions(found.values(true).get("table")?.as_str()?),
        ("domain", "default") | (_, "defaults") => expressions(""),
        ("domain constraint", "expression") => {
            expressions(&format!("(SELECT NULL::{whole} AS value) AS domain"))
        }
        ("function" | "procedure", "definition") => {
            let routine = |text: &str| Definition::routine(text, schema, name);
            Some([routine(source)?, routine(target)?])
        }
        ("rule", "definition") => {
            let rule = |text: &str| Definition::rule(text, &whole);
            Some([rule(source)?, rule(target)?])
        }
        ("trigger", "definition") => {
            let [source, target] = [condition(source)?, condition(target)?];
            // Under these names the condition speaks of the rows.
            let from = format!("{whole} AS old, {whole} AS new");
            source.within(&target, &from)
        }
        ("statistics object", "definition") => {
            let [source, target] = [statistics(source)?, statistics(target)?];
            source.within(&target, target.after)
        }
        _ => None,
    }
}

/// Expressions with what stands around them in a definition.
struct Inside<'a> {
    before: &'a str,
    expressions: &'a str,
    after: &'a str,
}

impl Inside<'_> {
    /// Both as expressions over what `from` lists, if all else is the same.
    fn within(&self, other: &Self, from: &str) -> Option<Pair> {
        (self.before == other.before && self.after == other.after).then(|| {
            [
                Definition::expressions(self.expressions, from),
                Definition::expressions(other.expressions, from),
            ]
        })
    }
}

/// `CREATE TRIGGER … WHEN (…) EXECUTE …`
fn condition(definition: &str) -> Option<Inside<'_>> {
    let (before, rest) = statement::split_at_word(definition, "WHEN")?;
    let (expressions, after) = statement::split_at_word(rest, "EXECUTE")?;
    Some(Inside {
        before,
        expressions,
        after,
    })
}

/// `CREATE STATISTICS … ON … FROM …`
fn statistics(definition: &str) -> Option<Inside<'_>> {
    let (before, rest) = statement::split_at_word(definition, "ON")?;
    let (expressions, after) = statement::split_at_word(rest, "FROM")?;
    Some(Inside {
        before,
        expressions,
        after,
    })
}

/// An identity cut at these characters, where no quotes hide them.
fn cut<'a>(identity: &'a str, ends: &[char]) -> Vec<&'a str> {
    let mut quoted = false;
    let is_end = |character: char| {
        quoted ^= character == '"';
        !quoted && ends.contains(&character)
    };
    identity.split(is_end).collect()
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
        let [schema, name, _, ..] = *cut(identity, &['.']) else {
            return false;
        };
        let key = |kind: &str| (kind.to_owned(), format!("{schema}.{name}"));
        WHOLES
            .iter()
            .any(|kind| other.objects.contains_key(&key(kind)) && !self.objects.contains_key(&key(kind)))
    }
}

/// Whether a property is compared between servers of these majors; `found` is the target's value.
fn is_comparable(property: &str, found: Option<&Value>, majors: (u32, u32)) -> bool {
    match property {
        // 14 brought multiranges, and compression of one's own.
        "multirange" | "compression" => majors.0.min(majors.1) >= 14,
        // 15 brought sequences that a crash empties.
        "sequence persistence" => majors.0.min(majors.1) >= 15,
        // 16 and newer write the name of an ICU locale in their own way.
        "locale" => majors.0 == majors.1,
        // Only a superuser could carry them.
        "disabled triggers" => found.is_some(),
        _ => true,
    }
}

impl Object {
    /// Properties that differ, with both values.
    fn differing(&self, found: &Self, majors: (u32, u32)) -> BTreeMap<String, [Option<Value>; 2]> {
        // Majors keep expressions in trees of their own, in which one may stand twice.
        let counted = majors.0 == majors.1;
        let (mut expected, mut found) = (self.values(counted), found.values(counted));
        let names: BTreeSet<String> = expected.keys().chain(found.keys()).cloned().collect();
        let differing = names.into_iter().filter_map(|name| {
            let (expected, found) = (expected.remove(&name), found.remove(&name));
            let same = expected == found
                || name == "default" && without_null(expected.as_ref()) == without_null(found.as_ref())
                || !is_comparable(&name, found.as_ref(), majors)
                || NAMING_TYPES.contains(&name.as_str())
                    && expected.as_ref().map(with_type_names) == found.as_ref().map(with_type_names);
            (!same).then_some((name, [expected, found]))
        });
        differing.collect()
    }

    /// With what is `behind` each as often as it is used, or once.
    fn values(&self, counted: bool) -> Map<String, Value> {
        let text = self.properties.as_deref().unwrap_or("{}");
        let mut values: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        values.extend(
            self.comment
                .clone()
                .map(|comment| ("comment".to_owned(), comment.into())),
        );
        if let Some(mut names) = self.behind.clone() {
            if !counted {
                names.dedup();
            }
            values.insert(BEHIND.to_owned(), names.into());
        }
        values
    }
}

/// A default, unless it is none: what pg_dump writes for a child whose parent has one is stored with some types.
fn without_null(default: Option<&Value>) -> Option<&Value> {
    default.filter(|value| {
        let text = value.as_str().unwrap_or_default();
        !text.starts_with("NULL::") || text.contains('\'')
    })
}

/// A value whose texts name types, as it is on servers of all majors.
fn with_type_names(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(deparsed::type_names(text)),
        Value::Array(values) => values.iter().map(with_type_names).collect(),
        Value::Object(values) => {
            let values = values.iter();
            values
                .map(|(name, value)| (name.clone(), with_type_names(value)))
                .collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A property and its two values.
fn told(property: &str, [source, target]: &[Option<Value>; 2]) -> String {
    let (source, target) = (shown(source.as_ref()), shown(target.as_ref()));
    let told = if source == target {
        format!("{property} differs behind {source}")
    } else {
        format!("{property} is {source} on the source and {target} on the target")
    };
    if property == BEHIND {
        format!(
            "{told} (write OPERATOR(schema.=) on the source in place of IS DISTINCT FROM, NULLIF, CASE or USING)"
        )
    } else {
        told
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
