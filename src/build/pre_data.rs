//! Pre-data: in the archive's order, except for tables and sequences that lean on no other table.

use std::collections::HashSet;

use crate::archive::toc::Entry;
use crate::build::statements::{self, Statement};
use crate::config::SchemaName;
use crate::error::Error;
use crate::server::session::{self, Session};

/// Tables that one session creates in a row while others create more.
const SHARE: usize = 50;

/// Statements that come one after the other, or whose order does not matter.
#[derive(Debug, PartialEq, Eq)]
enum Group {
    InOrder(Vec<Statement>),
    Beside(Vec<Statement>),
}

/// Creates everything; `sessions` share what can be created side by side.
pub(crate) async fn run(
    sessions: &[&Session],
    entries: &[&Entry],
    schemas: &[SchemaName],
) -> Result<(), Error> {
    let Some(first) = sessions.first() else {
        return Ok(());
    };
    for group in groups(entries) {
        match group {
            Group::InOrder(all) => statements::run(first, &all, schemas).await?,
            Group::Beside(all) => {
                let shares = all.chunks(SHARE).collect();
                session::share_out(sessions, shares, async |session, share| {
                    statements::run(session, share, schemas).await
                })
                .await?;
            }
        }
    }
    Ok(())
}

/// A table that inherits locks its parents, and so does everything that alters one: done side by side, they could
/// wait for each other in a circle.
fn groups(entries: &[&Entry]) -> Vec<Group> {
    let tables: HashSet<i32> = entries
        .iter()
        .filter(|entry| entry.desc == "TABLE")
        .map(|entry| entry.dump_id)
        .collect();
    let mut groups = Vec::new();
    for entry in entries {
        let alone = !entry.dependencies.iter().any(|id| tables.contains(id));
        let beside = alone && matches!(entry.desc.as_str(), "TABLE" | "SEQUENCE");
        let statement = Statement::whole(entry);
        match groups.last_mut() {
            Some(Group::Beside(all)) if beside => all.push(statement),
            Some(Group::InOrder(all)) if !beside => all.push(statement),
            _ if beside => groups.push(Group::Beside(vec![statement])),
            _ => groups.push(Group::InOrder(vec![statement])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::dump::Section;

    #[test]
    fn tables_that_lean_on_no_other_are_created_side_by_side() {
        let entry = |dump_id, desc: &str, dependencies: &[i32]| Entry {
            dump_id,
            catalog_oid: 0,
            oid: 0,
            tag: format!("e{dump_id}"),
            desc: desc.to_owned(),
            section: Section::PreData,
            definition: format!("{desc} {dump_id};"),
            namespace: "s".to_owned(),
            access_method: String::new(),
            dependencies: dependencies.to_vec(),
        };
        let entries = [
            entry(1, "TYPE", &[]),
            entry(2, "TABLE", &[1]),
            entry(3, "SEQUENCE", &[]),
            entry(4, "TABLE", &[]),
            entry(5, "TABLE", &[4]),
            entry(6, "SEQUENCE OWNED BY", &[3, 4]),
            entry(7, "TABLE", &[]),
        ];
        let entries: Vec<&Entry> = entries.iter().collect();
        let all = |places: &[usize]| {
            places
                .iter()
                .map(|place| Statement::whole(entries[*place]))
                .collect()
        };
        assert_eq!(
            groups(&entries),
            [
                Group::InOrder(all(&[0])),
                Group::Beside(all(&[1, 2, 3])),
                Group::InOrder(all(&[4, 5])),
                Group::Beside(all(&[6])),
            ]
        );
    }
}
