//! What a load does not carry, and what would do harm: one list, the table of `docs/operations.md` says the same.

use futures_util::future::try_join_all;
use strum::VariantArray as _;

use crate::config::Config;
use crate::error::{Error, Refused};
use crate::hazard::Hazard;
use crate::preflight::{Answers, Questions};
use crate::server::session::Session;
use crate::word;
use crate::word::Word as _;

/// Objects named in an answer.
const NAMED_MAX: usize = 5;

fn sql(hazard: Hazard, major: u32) -> &'static str {
    match hazard {
        Hazard::LargeObjects => include_str!("sql/large_objects.sql"),
        Hazard::OutsideChildren => include_str!("sql/outside_children.sql"),
        Hazard::UnloggedOnStandby => include_str!("sql/unlogged_on_standby.sql"),
        Hazard::ExtensionRows => include_str!("sql/extension_rows.sql"),
        Hazard::TableAccessMethod => include_str!("sql/table_access_method.sql"),
        Hazard::EventTriggers => include_str!("sql/event_triggers.sql"),
        Hazard::Publications if major >= 15 => include_str!("sql/publications_of_schemas.sql"),
        Hazard::Publications => include_str!("sql/publications.sql"),
    }
}

/// Where it was found.
async fn find(hazard: Hazard, session: &Session, schemas: &[&str]) -> Result<Vec<String>, Error> {
    let action = format!("look for {}", hazard.word());
    let rows = session
        .query(&action, sql(hazard, session.major()), &[&schemas])
        .await?;
    if hazard != Hazard::ExtensionRows {
        return Ok(rows.iter().map(|row| row.get(0)).collect());
    }
    let mut found = Vec::new();
    for row in rows {
        let (name, condition): (String, String) = (row.get("name"), row.get("condition"));
        let sql = format!("SELECT EXISTS (SELECT 1 FROM ONLY {name} {condition})");
        if session.query_one(&action, &sql, &[]).await?.get(0) {
            found.push(name);
        }
    }
    Ok(found)
}

pub(super) async fn ask(questions: &Questions<'_>) -> Result<Answers, Error> {
    let (config, sessions) = (questions.config, questions.sessions);
    let (mut answers, of_target) = tokio::try_join!(
        of_source(config, &sessions.source),
        of_side(config, &sessions.target)
    )?;
    answers.extend(of_target);
    Ok(answers)
}

/// What the source alone tells: its hazards, and what is not carried.
pub(super) async fn of_source(config: &Config, source: &Session) -> Result<Answers, Error> {
    let notes = async {
        let schemas = config.schemas.names();
        let sql = include_str!("sql/notes.sql");
        let mut notes = source.query("list what is not carried", sql, &[&schemas]).await?;
        if source.major() >= 15 {
            let sql = include_str!("sql/notes_of_publications.sql");
            notes.extend(source.query("list what is not carried", sql, &[&schemas]).await?);
        }
        Ok(notes)
    };
    let (mut answers, notes) = tokio::try_join!(of_side(config, source), notes)?;
    for row in notes {
        let (what, name): (String, String) = (row.get("what"), row.get("name"));
        answers.note("not carried", format!("{what} {name}"));
    }
    Ok(answers)
}

/// The hazards of the side that the session is on.
async fn of_side(config: &Config, session: &Session) -> Result<Answers, Error> {
    let schemas = config.schemas.names();
    let own = || {
        Hazard::VARIANTS
            .iter()
            .filter(|hazard| hazard.side() == session.side())
    };
    let found = try_join_all(own().map(|&hazard| find(hazard, session, &schemas))).await?;
    let mut answers = Answers::default();
    for (&hazard, found) in own().zip(found) {
        if found.is_empty() {
            continue;
        }
        let some = word::some_of(&found, NAMED_MAX, ", ");
        let text = format!("there are {}: {some}", hazard.meaning());
        if config.accept.contains(&hazard) {
            answers.note(hazard.word(), format!("accepted: {text}"));
        } else {
            answers.refuse(
                hazard.word(),
                Refused::config(
                    hazard.side(),
                    text,
                    format!("see to it, then set ACCEPT={}", hazard.word()),
                ),
            );
        }
    }
    Ok(answers)
}
