//! Pre-data: in the archive's order, except for tables and sequences that lean on no other, which come as soon as what
//! they lean on is there.

use std::collections::HashSet;

use crate::archive::toc::Entry;
use crate::build::statements::{self, Statement};
use crate::catalogue::code::SearchPath;
use crate::error::Error;
use crate::server::session::{self, Session};

/// Tables that one session creates in a row while others create more.
const SHARE: usize = 50;

/// The entries of pre-data, in three parts that follow on each other.
#[derive(Debug, PartialEq, Eq)]
struct PreData<'a> {
    /// Types, functions, whatever comes before the first table.
    before: Vec<&'a Entry>,
    /// Tables and sequences that lean on nothing but that: in any order.
    beside: Vec<&'a Entry>,
    after: Vec<&'a Entry>,
}

/// Creates everything; `sessions` share what can be created side by side.
pub(crate) async fn run(sessions: &[&Session], entries: &[&Entry], path: &SearchPath) -> Result<(), Error> {
    let Some(first) = sessions.first() else {
        return Ok(());
    };
    let whole =
        |entries: Vec<&Entry>| -> Vec<Statement> { entries.into_iter().map(Statement::whole).collect() };
    let parts = divide(entries);
    statements::run(first, &whole(parts.before), path).await?;
    let beside = whole(parts.beside);
    session::share_out(
        sessions,
        beside.chunks(SHARE).collect(),
        async |session, share| statements::run(session, share, path).await,
    )
    .await?;
    statements::run(first, &whole(parts.after), path).await
}

/// A table that inherits locks its parents, and so does everything that alters one: done side by side, they could
/// wait for each other in a circle.
fn divide<'a>(entries: &[&'a Entry]) -> PreData<'a> {
    let is_relation = |entry: &&&Entry| matches!(entry.desc.as_str(), "TABLE" | "SEQUENCE");
    let first = entries
        .iter()
        .position(|entry| is_relation(&entry))
        .unwrap_or(entries.len());
    let (before, rest) = entries.split_at(first);
    let later: HashSet<i32> = rest.iter().map(|entry| entry.dump_id).collect();
    let (beside, after) = rest
        .iter()
        .partition(|entry| is_relation(entry) && !entry.dependencies.iter().any(|id| later.contains(id)));
    PreData {
        before: before.to_vec(),
        beside,
        after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::toc::Section;

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
            owner: String::new(),
            operators: Vec::new(),
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
            entry(8, "FUNCTION", &[]),
            entry(9, "TABLE", &[8]),
        ];
        let entries: Vec<&Entry> = entries.iter().collect();
        let all = |indexes: &[usize]| indexes.iter().map(|index| entries[*index]).collect();
        assert_eq!(
            divide(&entries),
            PreData {
                before: all(&[0]),
                beside: all(&[1, 2, 3, 6]),
                after: all(&[4, 5, 7, 8]),
            }
        );
    }
}
