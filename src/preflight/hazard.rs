//! What a load does not carry, and what would do harm: one list, the README's table says the same.

use futures_util::future::try_join_all;

use crate::error::{Error, Refusal, Refused, Side};
use crate::preflight::{Answers, Questions};
use crate::server::session::Session;
use crate::source::catalog;

/// Objects named in an answer.
const NAMED_MAX: usize = 5;

/// A hazard that refuses a load unless `ACCEPT` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hazard {
    /// Large objects are referenced by columns of type `oid` or `lo`; they are not in any schema.
    LargeObjects,
    /// Children or partitions of the unit's tables live in other schemas; their rows would not move.
    OutsideChildren,
    /// Unlogged tables of a standby have no rows there.
    UnloggedOnStandby,
    /// Rows of an extension's configuration tables.
    ExtensionRows,
    /// Tables of another access method than heap.
    TableAccessMethod,
    /// Event triggers on the target that fire on the load's DDL.
    EventTriggers,
    /// Publications on the target that would replicate the load.
    Publications,
}

impl Hazard {
    /// Every hazard, in the README's order.
    pub(crate) const ALL: [Self; 7] = [
        Self::LargeObjects,
        Self::OutsideChildren,
        Self::UnloggedOnStandby,
        Self::ExtensionRows,
        Self::TableAccessMethod,
        Self::EventTriggers,
        Self::Publications,
    ];

    /// The word that `ACCEPT` takes.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::LargeObjects => "large-objects",
            Self::OutsideChildren => "outside-children",
            Self::UnloggedOnStandby => "unlogged-on-standby",
            Self::ExtensionRows => "extension-rows",
            Self::TableAccessMethod => "table-access-method",
            Self::EventTriggers => "event-triggers",
            Self::Publications => "publications",
        }
    }

    /// What it is, to be read after "there are".
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::LargeObjects => "columns that may refer to large objects, which are not moved",
            Self::OutsideChildren => "children or partitions in other schemas, whose rows are not moved",
            Self::UnloggedOnStandby => "unlogged tables, which have no rows on a standby",
            Self::ExtensionRows => {
                "rows of your own in configuration tables of extensions, which are not moved"
            }
            Self::TableAccessMethod => "tables of another access method than heap",
            Self::EventTriggers => "event triggers, which fire on the load's statements",
            Self::Publications => "publications, which would replicate the load",
        }
    }

    /// The side that has it.
    pub(crate) fn side(self) -> Side {
        match self {
            Self::EventTriggers | Self::Publications => Side::Target,
            Self::LargeObjects
            | Self::OutsideChildren
            | Self::UnloggedOnStandby
            | Self::ExtensionRows
            | Self::TableAccessMethod => Side::Source,
        }
    }

    fn sql(self, major: u32) -> &'static str {
        match self {
            Self::LargeObjects => include_str!("sql/large_objects.sql"),
            Self::OutsideChildren => include_str!("sql/outside_children.sql"),
            Self::UnloggedOnStandby => include_str!("sql/unlogged_on_standby.sql"),
            Self::ExtensionRows => include_str!("sql/extension_rows.sql"),
            Self::TableAccessMethod => include_str!("sql/table_access_method.sql"),
            Self::EventTriggers => include_str!("sql/event_triggers.sql"),
            Self::Publications if major >= 15 => include_str!("sql/publications_of_schemas.sql"),
            Self::Publications => include_str!("sql/publications.sql"),
        }
    }

    /// Where it was found.
    async fn find(self, session: &Session, schemas: &[&str]) -> Result<Vec<String>, Error> {
        let action = format!("look for {}", self.word());
        let rows = session
            .query(&action, self.sql(session.major()), &[&schemas])
            .await?;
        if self != Self::ExtensionRows {
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
}

pub(super) async fn ask(questions: &Questions<'_>) -> Result<Answers, Error> {
    let schemas = catalog::names(&questions.config.schemas);
    let asked = Hazard::ALL.map(|hazard| {
        let session = match hazard.side() {
            Side::Source => questions.source,
            Side::Target => questions.target,
        };
        hazard.find(session, &schemas)
    });
    let notes = async {
        let sql = include_str!("sql/notes.sql");
        let source = questions.source;
        source.query("list what is not carried", sql, &[&schemas]).await
    };
    let (found, notes) = tokio::try_join!(try_join_all(asked), notes)?;
    let mut answers = Answers::default();
    for (hazard, mut found) in Hazard::ALL.into_iter().zip(found) {
        if found.is_empty() {
            continue;
        }
        found.truncate(NAMED_MAX);
        let text = format!("there are {}: {}", hazard.meaning(), found.join(", "));
        if questions.config.accept.contains(&hazard) {
            answers.note(hazard.word(), format!("accepted: {text}"));
        } else {
            answers.refuse(
                hazard.word(),
                Refused {
                    refusal: Refusal::Config,
                    side: hazard.side(),
                    reason: text,
                    cure: format!("see to it, then set ACCEPT={}", hazard.word()),
                },
            );
        }
    }
    for row in notes {
        let (what, name): (String, String) = (row.get("what"), row.get("name"));
        answers.note("not carried", format!("{what} {name}"));
    }
    Ok(answers)
}
