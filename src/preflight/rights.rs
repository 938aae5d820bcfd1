//! What the two users may do, and which roles the target has.

use std::collections::BTreeSet;

use crate::clear::{self, Decision};
use crate::config::{Config, Privileges, SchemaName};
use crate::error::{Error, Refused, Side};
use crate::ledger;
use crate::preflight::{Answers, Purpose, Questions};
use crate::privileges::{self, Requirement};
use crate::server::parameter::Param;
use crate::server::session::Session;

const TARGET_SCHEMA: &str = "target schema";

pub(super) async fn ask(questions: &Questions<'_>) -> Result<Answers, Error> {
    let (config, reader) = (questions.config, &questions.sessions.source);
    let carried = async {
        match config.privileges {
            Privileges::Keep => privileges::read(reader, &config.schemas).await.map(Some),
            Privileges::Skip => Ok(None),
        }
    };
    let (mut answers, readable, carried) =
        tokio::try_join!(schemas_exist(config, reader), source(config, reader), carried)?;
    if !answers.refusals().is_empty() {
        return Ok(answers);
    }
    answers.extend(readable);
    decide(questions, &mut answers).await?;
    // What is brought up to date takes nothing with it.
    if questions.purpose != Purpose::Refresh {
        dependents(questions, &mut answers).await?;
    }
    target(questions, &mut answers).await?;
    if let Some(carried) = carried {
        roles(questions, carried, &mut answers).await?;
    }
    Ok(answers)
}

/// What the user of the source may do, whatever the target is.
pub(super) async fn of_source(config: &Config, reader: &Session) -> Result<Answers, Error> {
    let (mut answers, readable) = tokio::try_join!(schemas_exist(config, reader), source(config, reader))?;
    if answers.refusals().is_empty() {
        answers.extend(readable);
    }
    Ok(answers)
}

/// What the user of the target may do with schemas of the source.
pub(super) async fn of_target(questions: &Questions<'_>) -> Result<Answers, Error> {
    let mut answers = schemas_exist(questions.config, &questions.sessions.source).await?;
    decide(questions, &mut answers).await?;
    target(questions, &mut answers).await?;
    Ok(answers)
}

/// Refuses those that do not.
async fn schemas_exist(config: &Config, reader: &Session) -> Result<Answers, Error> {
    let mut answers = Answers::default();
    let sql = "SELECT w.name, n.oid IS NOT NULL AS there, \
               (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(s.nspname), ', ') FROM pg_catalog.pg_namespace s \
                WHERE pg_catalog.lower(s.nspname) = pg_catalog.lower(w.name)) AS similar \
               FROM pg_catalog.unnest($1::text[]) AS w (name) LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.name";
    let wanted = config.schemas.names();
    for row in reader.query("look for the schemas", sql, &[&wanted]).await? {
        let name: String = row.get("name");
        if row.get("there") {
            continue;
        }
        let similar = row
            .get::<_, Option<String>>("similar")
            .map_or_else(String::new, |similar| format!(" (there is {similar})"));
        answers.refuse(
            "source schema",
            Refused::config(
                Side::Source,
                format!("schema \"{name}\" does not exist{similar}"),
                "correct SCHEMA_NAME or SOURCE_DBNAME",
            ),
        );
    }
    Ok(answers)
}

async fn source(config: &Config, reader: &Session) -> Result<Answers, Error> {
    const CHECK: &str = "source privileges";
    let mut answers = Answers::default();
    let schemas = config.schemas.names();
    let sql = include_str!("sql/source_rights.sql");
    let rows = reader.query("look what may be read", sql, &[&schemas]).await?;
    if rows.is_empty() {
        answers.fine(CHECK, "everything can be read".to_owned());
    }
    for row in rows {
        answers.refuse(
            CHECK,
            Refused::denied(
                Side::Source,
                row.get::<_, String>("reason"),
                row.get::<_, String>("hint"),
            ),
        );
    }
    Ok(answers)
}

/// What is to be done with each schema on the target.
async fn decide(questions: &Questions<'_>, answers: &mut Answers) -> Result<(), Error> {
    let config = questions.config;
    for schema in &config.schemas {
        match clear::decide(
            &questions.sessions.target,
            schema,
            config.on_existing,
            questions.entry,
        )
        .await
        {
            Ok(decision) => {
                let kept = questions.purpose == Purpose::Refresh && decision.cleared().is_some();
                let words = if kept {
                    "will be brought up to date"
                } else {
                    decision.words()
                };
                answers.fine(TARGET_SCHEMA, format!("schema \"{schema}\" {words}"));
                answers.decisions.push((schema.clone(), decision));
            }
            Err(Error::Refused(refused)) => answers.refuse(TARGET_SCHEMA, refused),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Refuses where something outside of the unit would go with it. Where no load follows, what the run is to bring itself may hang
/// on it: that is taken down before.
async fn dependents(questions: &Questions<'_>, answers: &mut Answers) -> Result<(), Error> {
    let target = &questions.sessions.target;
    let decisions = || answers.decisions.iter().map(|(_, decision)| decision);
    let unit: Vec<u32> = decisions()
        .filter_map(Decision::existing)
        .map(|existing| existing.oid)
        .collect();
    let cleared = decisions().filter_map(Decision::cleared);
    let schemas = cleared.map(|existing| (clear::PG_NAMESPACE, existing.oid));
    let foreign_keys = match ledger::foreign_keys(target).await {
        // Told with the decisions.
        Err(Error::Refused(_)) => Vec::new(),
        other => other?,
    };
    let refuse = async |unit: &[u32]| match clear::refuse_dependents(
        target,
        (unit, &foreign_keys),
        schemas.clone(),
        &[],
    )
    .await
    {
        Ok(_) => Ok(None),
        Err(Error::Refused(refused)) => Ok(Some(refused)),
        Err(error) => Err(error),
    };
    let Some(refused) = refuse(&unit).await? else {
        return Ok(());
    };
    if questions.purpose == Purpose::Nothing {
        let mut run = unit.clone();
        run.extend(ledger::ours(target, &questions.config.run_schemas.names()).await?);
        if refuse(&run).await?.is_none() {
            answers.fine(
                TARGET_SCHEMA,
                format!("{}; prepare takes them down first", refused.reason),
            );
            return Ok(());
        }
    }
    answers.refuse(TARGET_SCHEMA, refused);
    Ok(())
}

async fn target(questions: &Questions<'_>, answers: &mut Answers) -> Result<(), Error> {
    const CHECK: &str = "target privileges";
    let before = answers.refusals().len();
    let sql = include_str!("sql/target_rights.sql");
    let row = questions
        .sessions
        .target
        .query_one("look what may be written", sql, &[])
        .await?;
    let creates = answers
        .decisions
        .iter()
        .any(|(_, decision)| matches!(decision, Decision::Create | Decision::Replace(_)));
    if !row.get::<_, bool>("may_create") && (creates || !row.get::<_, bool>("has_ledger")) {
        let reason = "no CREATE on the database";
        answers.refuse(
            CHECK,
            Refused::denied(Side::Target, reason, row.get::<_, String>("create_hint")),
        );
    }
    if !row.get::<_, bool>("may_write_ledger") {
        let reason = "no access to the ledger";
        answers.refuse(
            CHECK,
            Refused::denied(Side::Target, reason, row.get::<_, String>("ledger_hint")),
        );
    }
    if let Some(refused) = ledger::outdated(&questions.sessions.target).await? {
        answers.refuse(CHECK, refused);
    }
    for (schema, decision) in answers.decisions.clone() {
        schema_rights(questions, answers, &schema, &decision).await?;
    }
    if answers.refusals().len() == before {
        answers.fine(CHECK, "everything can be written".to_owned());
    }
    Ok(())
}

async fn schema_rights(
    questions: &Questions<'_>,
    answers: &mut Answers,
    schema: &SchemaName,
    decision: &Decision,
) -> Result<(), Error> {
    const CHECK: &str = "target privileges";
    let sql = include_str!("sql/schema_rights.sql");
    let params: [&dyn Param; 2] = [&schema.as_str(), &become_word(&questions.sessions.target)];
    let rows = questions
        .sessions
        .target
        .query("look what may be done", sql, &params)
        .await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (may_fill, may_own): (bool, bool) = (row.get("may_fill"), row.get("may_own"));
    match decision {
        Decision::Replace(_) | Decision::Empty(_) if !may_own => {
            let reason = format!("schema \"{schema}\" belongs to a role that the user is not a member of");
            answers.refuse(
                CHECK,
                Refused::denied(Side::Target, reason, row.get::<_, String>("own_hint")),
            );
        }
        Decision::Adopt(_) | Decision::Empty(_) if !may_fill => {
            let reason = format!("no CREATE and USAGE on schema \"{schema}\"");
            answers.refuse(
                CHECK,
                Refused::denied(Side::Target, reason, row.get::<_, String>("fill_hint")),
            );
        }
        Decision::Create | Decision::Adopt(_) | Decision::Empty(_) | Decision::Replace(_) => {}
    }
    Ok(())
}

/// What `pg_has_role` calls the right to take a role on: 16 told it apart from membership.
fn become_word(session: &Session) -> &'static str {
    if session.major() >= 16 { "SET" } else { "MEMBER" }
}

async fn roles(
    questions: &Questions<'_>,
    carried: privileges::Carried,
    answers: &mut Answers,
) -> Result<(), Error> {
    const CHECK: &str = "roles";
    let carried = carried.mapped(&questions.config.role_map);
    let (carried, reader) = carried.without_reader(&questions.sessions.target).await?;
    if let Some(reader) = reader {
        answers.note(
            CHECK,
            format!("grants to {reader}, who reads the source, are left out: the target has no such role"),
        );
    }
    let adopted: BTreeSet<SchemaName> = answers
        .decisions
        .iter()
        .filter(|(_, decision)| decision.adopts())
        .map(|(schema, _)| schema.clone())
        .collect();
    let needs = carried.roles(&adopted);
    let names: Vec<&String> = needs.keys().collect();
    let sql = include_str!("sql/roles.sql");
    let params: [&dyn Param; 2] = [&names, &become_word(&questions.sessions.target)];
    let before = answers.refusals().len();
    for row in questions
        .sessions
        .target
        .query("look for roles", sql, &params)
        .await?
    {
        let name: String = row.get("name");
        let (create, grant): (String, String) = (row.get("create_role"), row.get("grant_role"));
        let becomes = needs.get(&name) == Some(&Requirement::Become);
        if !row.get::<_, bool>("exists") {
            let hint = if becomes {
                format!("{create}; {grant}")
            } else {
                create
            };
            answers.refuse(
                CHECK,
                Refused::config(
                    Side::Target,
                    format!("role \"{name}\" does not exist (ROLE_MAP can name another)"),
                    hint,
                ),
            );
        } else if becomes {
            let reason = format!("role \"{name}\" owns or grants something, and the user may not become it");
            answers.refuse(CHECK, Refused::denied(Side::Target, reason, grant));
        }
    }
    for schema in &adopted {
        lenders(questions, answers, schema, &carried).await?;
    }
    if answers.refusals().len() == before {
        answers.fine(CHECK, format!("all {} are there", names.len()));
    }
    Ok(())
}

/// Rights on an adopted schema are given by its owner alone: those of the source's, and those that the owners of what is in it need.
async fn lenders(
    questions: &Questions<'_>,
    answers: &mut Answers,
    schema: &SchemaName,
    carried: &privileges::Carried,
) -> Result<(), Error> {
    let sql = include_str!("sql/schema_rights.sql");
    let params: [&dyn Param; 2] = [&schema.as_str(), &become_word(&questions.sessions.target)];
    let rows = questions
        .sessions
        .target
        .query("look what may be done", sql, &params)
        .await?;
    if rows.first().is_none_or(|row| row.get("may_own")) {
        return Ok(());
    }
    let owed = privileges::owed(&questions.sessions.target, carried, schema).await?;
    if !owed.is_empty() {
        let reason = format!(
            "what schema \"{schema}\" is granted on the source, only its owner on the target can grant"
        );
        let hint = owed.join("; ");
        answers.refuse("roles", Refused::denied(Side::Target, reason, hint));
    }
    let sql = "SELECT r.role, pg_catalog.format('GRANT CREATE, USAGE ON SCHEMA %I TO %I', $1::text, r.role) AS hint \
               FROM pg_catalog.unnest($2::text[]) AS r (role) JOIN pg_catalog.pg_roles o ON o.rolname = r.role \
               WHERE NOT (pg_catalog.has_schema_privilege(o.oid, $1, 'CREATE') \
               AND pg_catalog.has_schema_privilege(o.oid, $1, 'USAGE'))";
    let actors: Vec<&str> = carried.actors(schema.as_str()).into_iter().collect();
    let params: [&dyn Param; 2] = [&schema.as_str(), &actors];
    for row in questions
        .sessions
        .target
        .query("look who may own", sql, &params)
        .await?
    {
        let role: String = row.get("role");
        let reason =
            format!("role \"{role}\" owns or grants something in schema \"{schema}\" and lacks rights on it");
        answers.refuse(
            "roles",
            Refused::denied(Side::Target, reason, row.get::<_, String>("hint")),
        );
    }
    Ok(())
}
