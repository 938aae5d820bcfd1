//! Rows by their number, and where sequences stand.

use std::collections::BTreeMap;

use crate::catalogue::{self, Counted, Relation, SequenceState};
use crate::config::Schemas;
use crate::error::Error;
use crate::progress::Progress;
use crate::server::session::{self, Session};

/// Tables of up to so many rows are counted together, up to so many of them.
const SMALL_ROWS: u64 = 100_000;
const GROUP_MAX: usize = 50;

/// Compares row counts, table by table, with every session that is given; each count that ends is progress.
pub(crate) async fn counts(
    target: &[&Session],
    counted: &[(Counted, u64)],
    progress: &Progress,
) -> Result<Vec<String>, Error> {
    let (large, small): (Vec<_>, Vec<_>) = counted.iter().partition(|(_, rows)| *rows > SMALL_ROWS);
    let mut groups: Vec<Vec<&(Counted, u64)>> = large.into_iter().map(|unit| vec![unit]).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.first().map(|(_, rows)| *rows)));
    groups.extend(small.chunks(GROUP_MAX).map(<[_]>::to_vec));
    let differences = session::share_out(target, groups, async |session, group| {
        let units: Vec<&Counted> = group.iter().map(|(unit, _)| unit).collect();
        let found = catalogue::counts(session, &units).await?;
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
    Ok(differences.concat())
}

/// Compares where sequences stand; one that is missing is an object's matter.
pub(crate) async fn sequences(
    target: &Session,
    schemas: &Schemas,
    expected: &[SequenceState],
) -> Result<Vec<(Relation, String)>, Error> {
    let found: BTreeMap<_, _> = catalogue::sequences(target, schemas)
        .await?
        .into_iter()
        .map(|state| (state.relation.clone(), state))
        .collect();
    let differing = expected.iter().filter_map(|expected| {
        let found = found.get(&expected.relation)?;
        (found != expected).then(|| {
            let text = format!(
                "sequence {} stands at {} on the source and at {} on the target",
                expected.relation.quoted(),
                expected.position(),
                found.position()
            );
            (expected.relation.clone(), text)
        })
    });
    Ok(differing.collect())
}
