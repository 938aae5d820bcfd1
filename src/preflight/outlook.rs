//! Whether a schema that the unit needs is on its way: what its lock, the ledger and the run's list tell.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ledger::{Load, LoadState};

/// A schema of which nothing was heard for so long is tried no more: longer than `deploy/` lets pass between two
/// attempts, its backoff, six waits for ECS and the start of a task together. One that ECS has no place for until later comes too late
/// for those that wait for it.
const TRIED_WITHIN: Duration = Duration::from_mins(30);
/// By then a schema has begun that stands before the unit in the run's list.
const BEGUN_WITHIN: Duration = Duration::from_mins(5);

/// What was seen from the first question on.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(super) since: Instant,
    /// When a schema was at work last.
    at_work: Mutex<BTreeMap<String, Instant>>,
}

impl Seen {
    pub(crate) fn nothing() -> Self {
        Self {
            since: Instant::now(),
            at_work: Mutex::default(),
        }
    }

    /// How long ago the schema was at work, now included.
    pub(super) fn look(&self, schema: &str, is_at_work: bool) -> Option<Duration> {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if is_at_work {
            at_work.insert(schema.to_owned(), Instant::now());
        }
        at_work.get(schema).map(Instant::elapsed)
    }
}

/// What is known of a schema that the unit needs.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// Who holds its lock, if a worker does.
    pub(super) holder: Option<String>,
    /// Since a worker was seen to hold it, if ever.
    pub(super) seen: Option<Duration>,
    /// Since the first question.
    pub(super) waited: Duration,
    /// `RUN_SCHEMAS` names it.
    pub(super) listed: bool,
    pub(super) last: Option<Last>,
}

/// The last load in the ledger.
#[derive(Debug)]
pub(super) struct Last {
    state: LoadState,
    /// It has our `RUN_ID`.
    ours: bool,
    /// Since its last sign of life.
    silence: Duration,
    /// It is to be loaded again: nothing is left of what was there.
    taken_down: bool,
    /// How it ended for good, if it did: exit code and reason.
    failed: Option<(u64, String)>,
}

impl From<(Load, Option<String>)> for Last {
    /// A load as a run with that `RUN_ID` sees it.
    fn from((load, run_id): (Load, Option<String>)) -> Self {
        Self {
            state: load.state,
            ours: run_id.is_some() && load.run_id == run_id,
            silence: load.silence,
            taken_down: load.is_taken_down(),
            failed: load.failed(),
        }
    }
}

/// What is to be expected of a schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Nothing changes it now.
    Settled,
    /// This run is to bring what it lacks.
    Promised,
    /// It is being brought or will be: why.
    Coming(String),
    /// It was begun, and nobody ends it: what became of that load.
    Given(String),
}

impl Needed {
    /// `lacking`: it lacks what the unit needs.
    pub(super) fn outlook(&self, lacking: bool) -> Outlook {
        if let Some(holder) = &self.holder {
            return Outlook::Coming(format!("is at work: {holder}"));
        }
        let seen = self.seen.is_some_and(|since| since < TRIED_WITHIN);
        let awaited = self.listed && self.waited < TRIED_WITHIN;
        match &self.last {
            Some(last) if last.taken_down && (seen || awaited) => Outlook::Promised,
            Some(last) if matches!(last.state, LoadState::Clearing | LoadState::Loading) => {
                self.interrupted(last, seen, awaited)
            }
            Some(last) if last.ours || last.state == LoadState::Sealed => Outlook::Settled,
            _ if lacking && (seen || awaited) => Outlook::Promised,
            _ => Outlook::Settled,
        }
    }

    /// The last load is not complete, and nobody is at it.
    fn interrupted(&self, last: &Last, seen: bool, awaited: bool) -> Outlook {
        let ago = humantime::format_duration(Duration::from_secs(last.silence.as_secs()));
        let what = if last.taken_down {
            "taken down"
        } else {
            "interrupted"
        };
        let again = match &last.failed {
            // What was said before the first question may be of another execution, and this one has yet to try.
            Some(_) => last.silence > self.waited && awaited && (!last.ours || self.waited < BEGUN_WITHIN),
            None => seen || last.silence < TRIED_WITHIN || awaited && !last.ours,
        };
        match &last.failed {
            _ if again => Outlook::Coming(format!("was {what} {ago} ago and is to be tried again")),
            Some((exit, reason)) => Outlook::Given(format!("ended with {exit}: {reason}")),
            None => Outlook::Given(format!("was {what} {ago} ago")),
        }
    }
}

#[cfg(test)]
mod tests {
    use LoadState::{Clearing, Complete, Loading, Sealed};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_hours(1);

    fn last(state: LoadState, ours: bool, silence: Duration) -> Last {
        Last {
            state,
            ours,
            silence,
            taken_down: false,
            failed: None,
        }
    }

    fn taken_down(ours: bool, silence: Duration) -> Last {
        Last {
            taken_down: true,
            ..last(Clearing, ours, silence)
        }
    }

    fn failed(ours: bool, silence: Duration) -> Last {
        let failed = Some((65, "why".to_owned()));
        Last {
            failed,
            ..last(Loading, ours, silence)
        }
    }

    #[test]
    fn what_is_on_its_way_is_told_from_what_is_not() {
        let known = |listed, waited, last: Option<Last>| Needed {
            waited,
            listed,
            last,
            ..Needed::default()
        };
        // What is known, whether something is lacking, and the first letter of what follows.
        let cases = [
            (known(false, SECOND, None), true, 'S'),
            (known(true, SECOND, None), true, 'P'),
            (known(true, SECOND, None), false, 'S'),
            (known(true, HOUR, None), true, 'S'),
            // Of an earlier run, and new objects have come to it since.
            (known(true, SECOND, Some(last(Complete, false, HOUR))), true, 'P'),
            (known(true, SECOND, Some(last(Complete, false, HOUR))), false, 'S'),
            (known(false, SECOND, Some(last(Complete, false, HOUR))), true, 'S'),
            // This run has brought it already.
            (known(true, SECOND, Some(last(Complete, true, SECOND))), true, 'S'),
            (known(true, SECOND, Some(last(Sealed, false, HOUR))), true, 'S'),
            // Nobody is at it: while somebody may come back, and when not.
            (
                known(false, SECOND, Some(last(Loading, false, SECOND))),
                false,
                'C',
            ),
            (known(false, SECOND, Some(last(Loading, false, HOUR))), false, 'G'),
            (known(true, SECOND, Some(last(Loading, false, HOUR))), false, 'C'),
            (known(true, HOUR, Some(last(Loading, false, HOUR))), false, 'G'),
            (known(true, SECOND, Some(last(Loading, true, HOUR))), false, 'G'),
            // It has failed for good: under our eyes, before this execution, in an earlier run.
            (known(true, 60 * SECOND, Some(failed(true, SECOND))), true, 'G'),
            (known(true, SECOND, Some(failed(true, 60 * SECOND))), true, 'C'),
            (known(true, 600 * SECOND, Some(failed(true, HOUR))), true, 'G'),
            (known(true, 600 * SECOND, Some(failed(false, HOUR))), true, 'C'),
            (known(false, SECOND, Some(failed(false, 60 * SECOND))), true, 'G'),
            // It makes room for the load that this run or another is to make.
            (known(true, SECOND, Some(taken_down(true, HOUR))), true, 'P'),
            (known(true, HOUR, Some(taken_down(true, HOUR))), true, 'G'),
            (known(false, SECOND, Some(taken_down(false, SECOND))), true, 'C'),
            (known(false, SECOND, Some(taken_down(false, HOUR))), true, 'G'),
        ];
        for (needed, lacking, expected) in cases {
            let found = needed.outlook(lacking);
            assert!(
                format!("{found:?}").starts_with(expected),
                "{needed:?}: {found:?}"
            );
        }
        let held = Needed {
            holder: Some("pid 1".to_owned()),
            ..known(false, SECOND, Some(last(Complete, true, HOUR)))
        };
        assert_eq!(
            held.outlook(false),
            Outlook::Coming("is at work: pid 1".to_owned())
        );
        let seen = Needed {
            seen: Some(SECOND),
            ..known(false, HOUR, Some(last(Loading, false, HOUR)))
        };
        assert!(matches!(seen.outlook(true), Outlook::Coming(_)));
    }

    /// No attempt of `deploy/` begins later than that after the one before.
    #[test]
    fn attempts_follow_each_other_in_time() {
        let machine: serde_json::Value =
            serde_json::from_str(include_str!("../../deploy/state-machine.asl.json")).unwrap();
        let states = &machine["States"]["LoadSchemas"]["ItemProcessor"]["States"];
        let first = states["Begin"]["Assign"]["delay"].as_u64().unwrap();
        let longest: u64 = (0..6).map(|wait| first << wait).sum();
        assert!(states["Busy"].to_string().contains("2 * $delay"));
        // The backoff before the fifth and last attempt, and the start of a task.
        let longest = Duration::from_secs(longest + 30 * 8) + Duration::from_mins(3);
        assert!(states["Classify"].to_string().contains("$attempt < 5"));
        assert!(
            states["Backoff"]
                .to_string()
                .contains("[30 * $power(2, $attempt - 1), 600]")
        );
        assert!(longest < TRIED_WITHIN, "{longest:?}");
    }
}
