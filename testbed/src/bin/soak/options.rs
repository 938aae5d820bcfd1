//! What `make soak` is told: `NAME=value`, each with a default.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The options of one soak.
#[derive(Debug)]
pub(crate) struct Options {
    /// Of the random moments.
    pub(crate) seed: u64,
    /// How often the table is played.
    pub(crate) rounds: usize,
    /// Plays at the same time, each on clusters of its own.
    pub(crate) lanes: usize,
    /// Random moments at which a load is killed.
    pub(crate) kills: usize,
    /// Rounds of random work that refreshes follow, on each pair of servers.
    pub(crate) follow: usize,
    /// Only what has all of these words in its title.
    pub(crate) only: Vec<String>,
    /// Nothing new is begun after this.
    until: Option<Instant>,
}

impl Options {
    /// Reads them; what is empty or no number is as if it were not there.
    pub(crate) fn from_args(args: impl Iterator<Item = String>) -> Self {
        let given: BTreeMap<String, String> = args
            .filter_map(|argument| {
                let (name, value) = argument.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect();
        let number = |name: &str| given.get(name).and_then(|value| value.parse::<u64>().ok());
        let count = |name: &str, default: usize| {
            number(name)
                .and_then(|count| usize::try_from(count).ok())
                .unwrap_or(default)
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            seed: number("SEED").unwrap_or(now.as_secs()),
            rounds: count("ROUNDS", 1),
            lanes: count("LANES", 3),
            kills: count("KILLS", 200),
            follow: count("FOLLOW", 200),
            only: given
                .get("ONLY")
                .map(|words| words.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            until: number("SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        }
    }

    /// Whether a play of this title is asked for.
    pub(crate) fn wants(&self, title: &str) -> bool {
        self.only.iter().all(|word| title.contains(word))
    }

    /// Whether something new may begin.
    pub(crate) fn has_time(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }

    /// When the first of so many plays that follow on each other has had its share of the time that is left.
    pub(crate) fn share_of(&self, plays: usize) -> Option<Instant> {
        let now = Instant::now();
        let plays = u32::try_from(plays).unwrap_or(u32::MAX);
        self.until
            .map(|until| now + until.saturating_duration_since(now) / plays.max(1))
    }
}
