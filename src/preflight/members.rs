//! Members of extensions in the unit's schemas: pg_dump leaves them to the extension, those that somebody has added to it too.

use std::collections::BTreeSet;

use crate::catalogue;
use crate::error::{Error, Refused, Side};
use crate::preflight::Answers;
use crate::server::quoting::quote_ident;
use crate::server::session::Session;
use crate::word;

/// Members named in a note.
const NAMED_MAX: usize = 5;
/// Those that hold something.
const HOLDING: [&str; 3] = ["table", "sequence", "materialized view"];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    extension: String,
    version: String,
    /// As `pg_identify_object` names both.
    kind: String,
    identity: String,
}

async fn members(session: &Session, schemas: &[&str]) -> Result<BTreeSet<Member>, Error> {
    let sql = include_str!("sql/members.sql");
    let rows = session
        .query("list members of extensions", sql, &[&schemas])
        .await?;
    let member = |row: &tokio_postgres::Row| Member {
        extension: row.get("extension"),
        version: row.get("version"),
        kind: row.get("type"),
        identity: row.get("identity"),
    };
    Ok(rows.iter().map(member).collect())
}

/// What the target's extensions of the same versions, those of these names, do not have: refuses what holds something, notes anything else,
/// which what uses it would ask for. What another version has is its own matter.
pub(super) async fn ask(
    source: &Session,
    target: &Session,
    schemas: &[&str],
    is_meant: impl Fn(&str) -> bool,
) -> Result<Answers, Error> {
    let (wanted, found, extensions) = tokio::try_join!(
        members(source, schemas),
        members(target, schemas),
        catalogue::extensions(target)
    )?;
    let mut answers = Answers::default();
    let mut noted = Vec::new();
    for member in wanted.difference(&found) {
        let Member {
            extension,
            version,
            kind,
            identity,
        } = member;
        if !is_meant(extension) || !extensions.contains(&(extension.clone(), version.clone())) {
            continue;
        }
        if !HOLDING.contains(&kind.as_str()) {
            noted.push(format!("{kind} {identity} of extension {extension}"));
            continue;
        }
        let refused = Refused::config(
            Side::Source,
            format!(
                "{kind} {identity} belongs to extension \"{extension}\", which does not have it on the target"
            ),
            format!(
                "ALTER EXTENSION {} DROP {} {identity}",
                quote_ident(extension),
                catalogue::statement_word(kind)
            ),
        );
        answers.refuse("extensions", refused);
    }
    if !noted.is_empty() {
        answers.note("not carried", word::some_of(&noted, NAMED_MAX, ", "));
    }
    Ok(answers)
}
