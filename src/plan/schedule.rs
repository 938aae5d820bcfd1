//! What the state machine's Map makes of an order: one item after the other takes the next free place, waits there for what it
//! needs, and leaves it when it is done. Pure.

/// One item of the Map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Job {
    /// What it takes, once what it needs is there, in seconds; more than nothing.
    pub(super) seconds: f64,
    /// What it moves meanwhile, in bytes a second.
    pub(super) rate: f64,
    /// The jobs that have to be done before.
    pub(super) needs: Vec<usize>,
}

/// When a job has its place, in seconds since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Slot {
    /// From here on it has a place.
    pub(super) starts: f64,
    /// From here on it works.
    pub(super) works: f64,
    pub(super) ends: f64,
}

/// Seconds that are none.
const NOTHING: f64 = 1e-9;

/// The longest way from a job's beginning to the end of everything that needs it, of each; and the job that comes next on it.
pub(super) fn levels(jobs: &[Job]) -> Vec<(f64, Option<usize>)> {
    let mut levels: Vec<Option<(f64, Option<usize>)>> = vec![None; jobs.len()];
    // Each round settles at least those whose dependents are settled; there are no rings.
    for _ in jobs {
        for (index, job) in jobs.iter().enumerate() {
            let mut after = Some((0.0, None));
            for (other, _) in jobs
                .iter()
                .enumerate()
                .filter(|(_, other)| other.needs.contains(&index))
            {
                after = match (after, levels.get(other).copied().flatten()) {
                    (Some((most, _)), Some((level, _))) if level > most => Some((level, Some(other))),
                    (Some(most), Some(_)) => Some(most),
                    _ => None,
                };
            }
            if let (Some((most, next)), Some(level)) = (after, levels.get_mut(index)) {
                *level = Some((job.seconds + most, next));
            }
        }
    }
    levels.into_iter().map(Option::unwrap_or_default).collect()
}

/// The order to start in: what others need before them, and of what could begin, the longest way to the end first.
pub(super) fn order(jobs: &[Job], places: usize) -> Vec<usize> {
    let levels = levels(jobs);
    let level = |index: usize| levels.get(index).map_or(0.0, |(level, _)| *level);
    let mut order: Vec<usize> = Vec::new();
    let mut ends: Vec<Option<f64>> = vec![None; jobs.len()];
    let mut now = 0.0;
    while order.len() < jobs.len() {
        let ended = |index: usize| ends.get(index).copied().flatten().is_some_and(|end| end <= now);
        let at_work = ends.iter().flatten().filter(|end| **end > now);
        let ready = jobs.iter().enumerate().filter(|(index, job)| {
            ends.get(*index).is_some_and(Option::is_none) && job.needs.iter().all(|needed| ended(*needed))
        });
        let next =
            ready.max_by(|(one, _), (other, _)| level(*one).total_cmp(&level(*other)).then(other.cmp(one)));
        match next {
            Some((index, job)) if at_work.clone().count() < places => {
                order.push(index);
                if let Some(end) = ends.get_mut(index) {
                    *end = Some(now + job.seconds);
                }
            }
            _ => match at_work.copied().min_by(f64::total_cmp) {
                Some(end) => now = end,
                None => break,
            },
        }
    }
    order
}

/// Carries the order out, with so many places, over a line that takes so many bytes a second. An order in which a job comes
/// before what it needs may never end: what is left then has no end.
pub(super) fn simulate(jobs: &[Job], order: &[usize], places: usize, line: Option<f64>) -> Vec<Slot> {
    let unknown = Slot {
        starts: f64::INFINITY,
        works: f64::INFINITY,
        ends: f64::INFINITY,
    };
    let mut slots = vec![unknown; jobs.len()];
    let mut left: Vec<f64> = jobs.iter().map(|job| job.seconds).collect();
    let mut held: Vec<usize> = Vec::new();
    let mut waiting = order.iter().copied();
    let mut now = 0.0;
    loop {
        while held.len() < places
            && let Some(next) = waiting.next()
        {
            held.push(next);
            if let Some(slot) = slots.get_mut(next) {
                slot.starts = now;
            }
        }
        let done = |needed: &usize| slots.get(*needed).is_some_and(|slot| slot.ends <= now);
        let working: Vec<(usize, &Job)> = held
            .iter()
            .filter_map(|&index| Some((index, jobs.get(index)?)))
            .filter(|(_, job)| job.needs.iter().all(done))
            .collect();
        let rate: f64 = working.iter().map(|(_, job)| job.rate).sum();
        let pace = line.map_or(1.0, |line| (line / rate).min(1.0));
        let shortest = working
            .iter()
            .filter_map(|(index, _)| left.get(*index).copied())
            .min_by(f64::total_cmp);
        let Some(shortest) = shortest else {
            return slots;
        };
        let then = now + shortest / pace;
        for (index, _) in working {
            if let (Some(slot), Some(left)) = (slots.get_mut(index), left.get_mut(index)) {
                slot.works = slot.works.min(now);
                *left -= shortest;
                if *left <= NOTHING {
                    slot.ends = then;
                    held.retain(|holder| *holder != index);
                }
            }
        }
        now = then;
    }
}

/// When everything is done.
pub(super) fn total(slots: &[Slot]) -> f64 {
    slots.iter().map(|slot| slot.ends).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job(seconds: u32, rate: u32, needs: Vec<usize>) -> Job {
        Job {
            seconds: seconds.into(),
            rate: rate.into(),
            needs,
        }
    }

    /// When the last of an order ends: written down otherwise, without a line.
    fn ends(jobs: &[Job], order: &[usize], places: usize) -> f64 {
        let mut free = vec![0.0; places];
        let mut ends = vec![f64::INFINITY; jobs.len()];
        for &index in order {
            free.sort_by(f64::total_cmp);
            let ready = jobs[index].needs.iter().map(|needed| ends[*needed]);
            ends[index] = ready.fold(free[0], f64::max) + jobs[index].seconds;
            free[0] = ends[index];
        }
        ends.iter().copied().fold(0.0, f64::max)
    }

    /// The best of all orders in which nothing comes before what it needs.
    fn best(jobs: &[Job], places: usize, order: &mut Vec<usize>, most: &mut f64) {
        let sofar = order.iter().map(|index| jobs[*index].seconds).sum::<f64>();
        let rest = jobs.iter().map(|job| job.seconds).sum::<f64>() - sofar;
        let places_f = f64::from(u32::try_from(places).unwrap());
        let taken = if order.is_empty() {
            0.0
        } else {
            ends_of(jobs, order, places)
        };
        if taken.max((sofar + rest) / places_f) >= *most {
            return;
        }
        if order.len() == jobs.len() {
            *most = taken;
            return;
        }
        for index in 0..jobs.len() {
            let ready = jobs[index].needs.iter().all(|needed| order.contains(needed));
            if ready && !order.contains(&index) {
                order.push(index);
                best(jobs, places, order, most);
                order.pop();
            }
        }
    }

    /// As [`ends`], of those that the order names.
    fn ends_of(jobs: &[Job], order: &[usize], places: usize) -> f64 {
        let named: Vec<Job> = order
            .iter()
            .map(|index| Job {
                needs: jobs[*index]
                    .needs
                    .iter()
                    .map(|needed| order.iter().position(|one| one == needed).unwrap())
                    .collect(),
                ..jobs[*index].clone()
            })
            .collect();
        ends(&named, &(0..named.len()).collect::<Vec<_>>(), places)
    }

    /// Up to eight jobs; each may need some of those before it.
    fn jobs(needs: bool) -> impl Strategy<Value = Vec<Job>> {
        let one = (1..100u32, 0..100u32, any::<u8>(), any::<u8>());
        proptest::collection::vec(one, 1..=8).prop_map(move |drawn| {
            let made = drawn
                .into_iter()
                .enumerate()
                .map(|(index, (seconds, rate, some, of))| {
                    let is_needed = |other: &usize| needs && some & of & (1 << other) != 0;
                    job(seconds, rate, (0..index).filter(is_needed).collect())
                });
            made.collect()
        })
    }

    fn check_order(jobs: &[Job], order: &[usize]) -> Result<(), TestCaseError> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..jobs.len()).collect::<Vec<_>>());
        for (position, index) in order.iter().enumerate() {
            let before = &order[..position];
            prop_assert!(jobs[*index].needs.iter().all(|needed| before.contains(needed)));
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn an_order_without_needs_keeps_its_bounds(jobs in jobs(false), places in 1..5usize) {
            let order = order(&jobs, places);
            check_order(&jobs, &order)?;
            let found = total(&simulate(&jobs, &order, places, None));
            prop_assert!((found - ends(&jobs, &order, places)).abs() < 1e-6);
            let c = f64::from(u32::try_from(places).unwrap());
            let sum: f64 = jobs.iter().map(|job| job.seconds).sum();
            let longest = jobs.iter().map(|job| job.seconds).fold(0.0, f64::max);
            prop_assert!(found <= sum / c + longest * (1.0 - 1.0 / c) + 1e-6);
            let mut most = f64::INFINITY;
            best(&jobs, places, &mut Vec::new(), &mut most);
            prop_assert!(most <= found + 1e-6);
            // Graham's bound of the longest first.
            prop_assert!(found <= most * (4.0 / 3.0 - 1.0 / (3.0 * c)) + 1e-6, "{} of {}", found, most);
            if jobs.len() <= places {
                prop_assert!((found - longest).abs() < 1e-6);
            }
        }

        #[test]
        fn an_order_with_needs_keeps_its_bound(jobs in jobs(true), places in 1..5usize) {
            let order = order(&jobs, places);
            check_order(&jobs, &order)?;
            let found = total(&simulate(&jobs, &order, places, None));
            prop_assert!((found - ends(&jobs, &order, places)).abs() < 1e-6);
            let mut most = f64::INFINITY;
            best(&jobs, places, &mut Vec::new(), &mut most);
            let c = f64::from(u32::try_from(places).unwrap());
            prop_assert!(most <= found + 1e-6);
            prop_assert!(found <= most * (2.0 - 1.0 / c) + 1e-6, "{} of {}", found, most);
            let chain = levels(&jobs).iter().map(|(level, _)| *level).fold(0.0, f64::max);
            prop_assert!(found + 1e-6 >= chain);
        }

        #[test]
        fn a_line_only_slows_down(jobs in jobs(true), places in 1..5usize, line in 1..400u32) {
            let order = order(&jobs, places);
            let line = f64::from(line);
            let free = total(&simulate(&jobs, &order, places, None));
            let found = total(&simulate(&jobs, &order, places, Some(line)));
            let bytes: f64 = jobs.iter().map(|job| job.seconds * job.rate).sum();
            let wide: f64 = jobs.iter().map(|job| job.rate).sum();
            prop_assert!(found + 1e-6 >= bytes / line);
            if line >= wide {
                prop_assert!((found - free).abs() < 1e-6);
            } else if places == 1 {
                prop_assert!(found + 1e-6 >= free);
            }
        }
    }

    #[test]
    fn who_waits_keeps_a_place() {
        // 1 needs 0; 2 could have begun at once.
        let jobs = [job(10, 1, vec![]), job(5, 1, vec![0]), job(10, 1, vec![])];
        let found = simulate(&jobs, &[0, 1, 2], 2, None);
        assert_eq!(
            (found[1].starts, found[1].works, found[1].ends),
            (0.0, 10.0, 15.0)
        );
        assert_eq!((found[2].starts, found[2].ends), (10.0, 20.0));
        assert_eq!(order(&jobs, 2), [0, 2, 1]);
        assert!(total(&simulate(&jobs, &[0, 2, 1], 2, None)) < 16.0);
        // Nobody ends who waits for one behind him.
        assert!(total(&simulate(&jobs, &[1, 0, 2], 1, None)).is_infinite());
    }
}
