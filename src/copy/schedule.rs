//! In which order tables travel, so that the line and the target are at work at the same time: pure.
//!
//! A table is a job of a two-machine flow shop: its rows take the line, then its builds take the target. Johnson's rule
//! (Optimal two- and three-stage production schedules, 1954) ends soonest: jobs whose second part is longer come first,
//! shortest first part first; then the others, longest second part first.

use std::cmp::Reverse;

/// What moves together, and what is built of it. Both times are in one unit, whichever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    /// How long the rows have the line to themselves.
    pub(crate) rows: u64,
    /// How long one session builds what hangs on them.
    pub(crate) builds: u64,
    /// One stream carries it alone, however many there are.
    pub(crate) whole: bool,
}

/// The indexes of the jobs in their order. What one of several `streams` carries alone does not wait until it would outlast
/// all that is left for the others: the source is let go with the last row.
pub(crate) fn order(jobs: &[Job], streams: u64) -> Vec<usize> {
    let of = |index: &usize| jobs.get(*index).copied();
    let mut waiting: Vec<usize> = (0..jobs.len()).collect();
    waiting.sort_by_key(|index| {
        of(index).map(|job| {
            let target_is_longer = job.rows < job.builds;
            (
                !target_is_longer,
                if target_is_longer { job.rows } else { 0 },
                Reverse(job.builds),
                Reverse(job.rows),
            )
        })
    });
    let mut longest: Vec<usize> = (0..jobs.len())
        .filter(|index| of(index).is_some_and(|job| job.whole))
        .collect();
    longest.sort_by_key(|index| (of(index).map(|job| job.rows), Reverse(*index)));
    let mut left: u64 = jobs.iter().map(|job| job.rows).sum();
    let mut taken = vec![false; jobs.len()];
    let mut order = Vec::with_capacity(jobs.len());
    let mut waiting = waiting.into_iter();
    while order.len() < jobs.len() {
        while longest.last().and_then(|index| taken.get(*index)) == Some(&true) {
            longest.pop();
        }
        let outlasts = |index: &&usize| of(index).is_some_and(|job| job.rows.saturating_mul(streams) > left);
        let next = match longest.last().filter(outlasts) {
            Some(index) => Some(*index),
            None => waiting.find(|index| taken.get(*index) == Some(&false)),
        };
        let Some(next) = next else { break };
        if let Some(taken) = taken.get_mut(next) {
            *taken = true;
        }
        left -= of(&next).map_or(0, |job| job.rows);
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job((rows, builds): (u64, u64)) -> Job {
        Job {
            rows,
            builds,
            whole: true,
        }
    }

    /// When everything is done if the jobs come one after the other.
    fn end(jobs: &[Job], order: &[usize]) -> u64 {
        let (mut line, mut target) = (0, 0);
        for index in order {
            line += jobs[*index].rows;
            target = line.max(target) + jobs[*index].builds;
        }
        target
    }

    /// The soonest end of any order.
    fn soonest(jobs: &[Job], before: &mut Vec<usize>) -> u64 {
        if before.len() == jobs.len() {
            return end(jobs, before);
        }
        let mut soonest_end = u64::MAX;
        for index in 0..jobs.len() {
            if !before.contains(&index) {
                before.push(index);
                soonest_end = soonest_end.min(soonest(jobs, before));
                before.pop();
            }
        }
        soonest_end
    }

    proptest! {
        /// One stream, one builder: no order is better, and the bound is what either machine needs.
        #[test]
        fn no_order_ends_sooner(jobs in prop::collection::vec((0u64..50, 0u64..50).prop_map(job), 1..=7)) {
            let order = order(&jobs, 1);
            let found = end(&jobs, &order);
            prop_assert_eq!(found, soonest(&jobs, &mut Vec::new()));
            let (line, target): (u64, u64) =
                jobs.iter().fold((0, 0), |(line, target), job| (line + job.rows, target + job.builds));
            let shortest = jobs.iter().map(|job| job.builds).min().unwrap_or(0);
            prop_assert!(found >= target.max(line + shortest));
        }

        /// With several streams everything goes once, and the last row comes no later than with the largest table first,
        /// which may take half again as long as the best.
        #[test]
        fn nothing_outlasts_the_rest(
            jobs in prop::collection::vec((1u64..50, 0u64..50).prop_map(job), 1..=40),
            streams in 1u64..8,
        ) {
            let order = order(&jobs, streams);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..jobs.len()).collect::<Vec<_>>());
            let mut free = vec![0; usize::try_from(streams).unwrap()];
            for index in &order {
                *free.iter_mut().min().unwrap() += jobs[*index].rows;
            }
            let total: u64 = jobs.iter().map(|job| job.rows).sum();
            let longest = jobs.iter().map(|job| job.rows).max().unwrap();
            let end = free.into_iter().max().unwrap();
            prop_assert!(end * streams * 5 <= total.max(longest * streams) * 8, "{end}");
        }
    }
}
