//! What the unit leans on outside of itself: extensions, foreign servers, other schemas.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Refused, Side};
use crate::preflight::members;
use crate::preflight::others::{self, together};
use crate::preflight::references::references;
use crate::preflight::service::Service;
use crate::preflight::{Answers, Questions};
use crate::server::Sides;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;

pub(super) async fn ask(questions: &Questions<'_>) -> Result<Answers, Error> {
    let unit = questions.config.schemas.names();
    let Sides { source, target } = questions.sessions;
    let (mut references, residents, members, partitions, columns) = tokio::try_join!(
        references(source, &unit),
        resident_extensions(source, &unit),
        members::ask(source, target, &unit, |_| true),
        partitions_of_others(questions),
        system_columns(questions)
    )?;
    let needed: BTreeSet<String> = references.extensions.keys().cloned().collect();
    references.extensions.extend(residents);
    let mut answers = Answers::default();
    extensions(questions, &mut answers, &references.extensions, &needed).await?;
    servers(questions, &mut answers, &references.servers).await?;
    others::ask(questions, &mut answers, &references.objects).await?;
    answers.extend(members);
    answers.extend(partitions);
    answers.extend(columns);
    Ok(answers)
}

/// What a view shows of the system's relations, or of an extension's, has to be there in the target's release.
async fn system_columns(questions: &Questions<'_>) -> Result<Answers, Error> {
    let Sides { source, target } = questions.sessions;
    let sql = include_str!("sql/system_columns.sql");
    let unit = questions.config.schemas.names();
    let rows = source.query("list what views show", sql, &[&unit]).await?;
    let relations: Vec<&str> = rows.iter().map(|row| row.get("relation")).collect();
    // An extension's relation that is not there at all is told with the extension.
    let sql = "SELECT r.name, ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a \
                                    WHERE a.attrelid = pg_catalog.to_regclass(r.name) AND NOT a.attisdropped) AS columns \
               FROM pg_catalog.unnest($1::text[]) AS r (name) \
               WHERE pg_catalog.to_regclass(r.name) IS NOT NULL \
                  OR r.name ~ '^(pg_catalog|information_schema)[.]'";
    let there = target
        .query("look what the target shows", sql, &[&relations])
        .await?;
    let there: BTreeMap<&str, Vec<&str>> = there
        .iter()
        .map(|row| (row.get("name"), row.get("columns")))
        .collect();
    let mut answers = Answers::default();
    for row in &rows {
        let (object, relation): (&str, &str) = (row.get("object"), row.get("relation"));
        let Some(shown) = there.get(relation) else {
            continue;
        };
        let mut lacking: Vec<&str> = row.get("columns");
        lacking.retain(|column| !shown.contains(column));
        if !lacking.is_empty() {
            let columns = lacking.join(", ");
            let reason = format!("{object} shows {columns} of {relation}, which the target's has not");
            let hint = "drop it, or write it without, and make another one on the target";
            answers.refuse("objects", Refused::config(Side::Source, reason, hint));
        }
    }
    Ok(answers)
}

/// A partition gets its root's indexes when it is attached, which comes before its own are built: only where the root is
/// made by the same load do they come in the right order.
async fn partitions_of_others(questions: &Questions<'_>) -> Result<Answers, Error> {
    let unit = questions.config.schemas.names();
    let sql = include_str!("sql/partitions_of_others.sql");
    let mut answers = Answers::default();
    for row in questions
        .sessions
        .source
        .query("list partitions", sql, &[&unit])
        .await?
    {
        let (leaf, root, schema): (String, String, String) =
            (row.get("leaf"), row.get("root"), row.get("schema"));
        let reason = format!("{leaf} is a partition of {root}, which has indexes");
        let hint = together(unit.iter().copied().chain([schema.as_str()]).collect());
        let refused = Refused::config(Side::Source, reason, hint);
        answers.refuse("other schemas", refused);
    }
    Ok(answers)
}

/// Extensions that live in the schemas or have members there, each with its schema.
async fn resident_extensions(source: &Session, schemas: &[&str]) -> Result<BTreeMap<String, String>, Error> {
    let sql = include_str!("sql/resident_extensions.sql");
    let rows = source.query("list extensions", sql, &[&schemas]).await?;
    Ok(rows
        .iter()
        .map(|row| (row.get("extension"), row.get("schema")))
        .collect())
}

async fn extensions(
    questions: &Questions<'_>,
    answers: &mut Answers,
    wanted: &BTreeMap<String, String>,
    needed: &BTreeSet<String>,
) -> Result<(), Error> {
    const CHECK: &str = "extensions";
    let names: Vec<&String> = wanted.keys().collect();
    let sql = include_str!("sql/extensions.sql");
    for row in questions
        .sessions
        .target
        .query("look for extensions", sql, &[&names])
        .await?
    {
        let name: String = row.get("name");
        let Some(schema) = wanted.get(&name) else { continue };
        let lives_here = questions.config.schemas.iter().any(|own| own.as_str() == schema);
        let (quoted, home) = (quote_ident(&name), quote_ident(schema));
        // Nobody may create in pg_catalog; what belongs there goes there by itself.
        let create = if schema == "pg_catalog" {
            format!("CREATE EXTENSION {quoted}")
        } else {
            format!("CREATE SCHEMA IF NOT EXISTS {home}; CREATE EXTENSION {quoted} WITH SCHEMA {home}")
        };
        let available: bool = row.get("is_available");
        match row.get::<_, Option<String>>("schema") {
            Some(there) if there == *schema => answers.fine(CHECK, format!("{name} is there")),
            Some(there) if needed.contains(&name) => {
                let reason = format!("extension \"{name}\" is in schema \"{there}\" instead of \"{schema}\"");
                let hint =
                    format!("CREATE SCHEMA IF NOT EXISTS {home}; ALTER EXTENSION {quoted} SET SCHEMA {home}");
                answers.refuse(CHECK, Refused::config(Side::Target, reason, hint));
            }
            Some(there) => answers.note(
                CHECK,
                format!("extension {name} is in schema {there} on the target"),
            ),
            None if lives_here && available && row.get::<_, Option<bool>>("may_create") == Some(true) => {
                answers.fine(CHECK, format!("{name} will be created in schema {schema}"));
                answers.extensions.push((name, schema.clone()));
            }
            None if !needed.contains(&name) && (!lives_here || available) => {
                answers.note(CHECK, format!("extension {name} is not carried"));
            }
            None => {
                let reason = if available {
                    format!("extension \"{name}\" is not installed")
                } else {
                    let why = Service::of(&questions.sessions.target).await?.lacks_extension();
                    format!("extension \"{name}\" is not available on this server: {why}")
                };
                answers.refuse(CHECK, Refused::config(Side::Target, reason, create));
            }
        }
    }
    Ok(())
}

async fn servers(
    questions: &Questions<'_>,
    answers: &mut Answers,
    wanted: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let names: Vec<&String> = wanted.keys().collect();
    let sql = "SELECT w.name, s.oid IS NOT NULL AS there, \
               coalesce(pg_catalog.has_server_privilege(s.oid, 'USAGE'), false) AS usable, \
               pg_catalog.format('GRANT USAGE ON FOREIGN SERVER %s TO %I', w.name, current_user) AS hint \
               FROM pg_catalog.unnest($1::text[]) AS w (name) \
               LEFT JOIN pg_catalog.pg_foreign_server s ON pg_catalog.quote_ident(s.srvname) = w.name";
    for row in questions
        .sessions
        .target
        .query("look for foreign servers", sql, &[&names])
        .await?
    {
        let name: String = row.get("name");
        let grant: String = row.get("hint");
        if !row.get::<_, bool>("there") {
            let create = wanted.get(&name).cloned().unwrap_or_default();
            let reason = format!("foreign server {name} does not exist");
            answers.refuse(
                "foreign servers",
                Refused::config(Side::Target, reason, format!("{create}; {grant}")),
            );
        } else if !row.get::<_, bool>("usable") {
            let reason = format!("no USAGE on foreign server {name}");
            let refused = Refused::denied(Side::Target, reason, grant);
            answers.refuse("foreign servers", refused);
        }
    }
    Ok(())
}
