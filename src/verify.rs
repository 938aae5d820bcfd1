//! Whether source and target agree: rows, sequences, objects.

use std::collections::{BTreeMap, BTreeSet};

use crate::archive::dump::{Archive, Dump, Endpoint};
use crate::archive::parts;
use crate::config::SchemaName;
use crate::error::Error;
use crate::progress::Progress;
use crate::server::session::{self, Session};
use crate::source::catalog::{self, Counted, SequenceState};

/// What the source holds.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Rows under the snapshot; empty if they are not counted.
    pub(crate) counted: Vec<(Counted, u64)>,
    pub(crate) sequences: Vec<SequenceState>,
}

/// Differences named in an error.
const NAMED_MAX: usize = 20;
/// Tables of up to so many rows are counted together, up to so many of them.
const SMALL_ROWS: u64 = 100_000;
const GROUP_MAX: usize = 50;

/// Compares row counts, table by table, with every session that is given; each count that ends is progress.
pub(crate) async fn rows(
    target: &[&Session],
    counted: &[(Counted, u64)],
    progress: &Progress,
) -> Result<(), Error> {
    let (large, small): (Vec<_>, Vec<_>) = counted.iter().partition(|(_, rows)| *rows > SMALL_ROWS);
    let mut groups: Vec<Vec<&(Counted, u64)>> = large.into_iter().map(|unit| vec![unit]).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.first().map(|(_, rows)| *rows)));
    groups.extend(small.chunks(GROUP_MAX).map(<[_]>::to_vec));
    let differences = session::share_out(target, groups, async |session, group| {
        let units: Vec<&Counted> = group.iter().map(|(unit, _)| unit).collect();
        let found = catalog::counts(session, &units).await?;
        progress.step();
        let both = group.into_iter().zip(found);
        let differing = both.filter(|((_, expected), found)| expected != found);
        Ok(differing
            .map(|((unit, expected), found)| {
                let name = unit.relation().quoted();
                format!("{name} has {expected} rows on the source and {found} on the target")
            })
            .collect::<Vec<String>>())
    })
    .await?;
    agree(differences.concat())
}

/// Compares where sequences stand.
pub(crate) async fn sequences(
    target: &Session,
    schemas: &[SchemaName],
    expected: &[SequenceState],
) -> Result<(), Error> {
    let state = |state: &SequenceState| (state.relation.clone(), (state.last_value, state.is_called));
    let found: BTreeMap<_, _> = catalog::sequences(target, schemas)
        .await?
        .iter()
        .map(state)
        .collect();
    let expected: BTreeMap<_, _> = expected.iter().map(state).collect();
    let differing = expected
        .iter()
        .filter(|(relation, position)| found.get(relation) != Some(position))
        .map(|(relation, _)| format!("sequence {} stands elsewhere on the target", relation.quoted()));
    agree(differing.collect())
}

/// Compares the objects that were to be restored with what the target holds now.
pub(crate) async fn objects(
    target: &Endpoint<'_>,
    dump: Dump<'_>,
    archive: &Archive,
    restored: &BTreeSet<i32>,
) -> Result<(), Error> {
    let found = target
        .archive(dump, archive.path.with_extension("target"))
        .await?;
    let expected = parts::objects(&archive.entries, Some(restored));
    let found = parts::objects(&found.entries, None);
    let mut differences = Vec::new();
    for ((desc, namespace, tag), count) in &expected {
        let there = found
            .get(&(desc.clone(), namespace.clone(), tag.clone()))
            .copied()
            .unwrap_or(0);
        if there < *count {
            differences.push(format!(
                "{desc} {tag} of schema {namespace} is missing on the target"
            ));
        }
    }
    for ((desc, namespace, tag), count) in &found {
        let wanted = expected
            .get(&(desc.clone(), namespace.clone(), tag.clone()))
            .copied()
            .unwrap_or(0);
        if wanted < *count {
            differences.push(format!("{desc} {tag} of schema {namespace} is not of the source"));
        }
    }
    agree(differences)
}

fn agree(mut differences: Vec<String>) -> Result<(), Error> {
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(NAMED_MAX);
    differences.truncate(NAMED_MAX);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Err(Error::Differ(differences))
}
