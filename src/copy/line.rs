//! How many streams carry rows where the line is what is short: pure.
//!
//! A line that is full brings no more rows by several streams than by one, and tables that share it all land late, with all
//! of their builds still to do. So the streams whose tables come first in the schedule go on alone, as long as the rate says
//! that nothing is lost by it: over a line on which one connection gets less than there is, more go on, or all.

/// Looks that are judged together.
const LOOKS: usize = 3;
/// At least this share of the streams' backends has to wait for the line.
const WAITING_PERCENT: usize = 60;
/// Fewer streams have to bring at least this share of what all have brought.
const KEPT_PERCENT: u64 = 95;
/// What the line may carry unseen for each stream that is held back: the largest receive buffer by Linux's defaults
/// (`tcp_rmem`). So much is risked in a trial, too.
const BUFFER: u64 = 6 << 20;
/// Judgements at least until fewer streams are said to bring too little.
const PATIENCE: u32 = 2;
/// Judgements until all are asked again what they bring: others may use the line, or have left it.
const HOLD: u32 = 200;
/// Judgements between two trials, and how many there may be: each that fails doubles them.
const PAUSE: u32 = 2;
const PAUSE_MAX: u32 = 1024;

/// What was seen of the streams at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Streams that carry rows and are not held back.
    pub(crate) moving: usize,
    /// Streams that are.
    pub(crate) held: usize,
    /// Backends of the source that wait until the line takes what they have read.
    pub(crate) full: usize,
    /// Backends of the target that wait for rows.
    pub(crate) hungry: usize,
    /// Bytes that came since the last look.
    pub(crate) bytes: u64,
    /// Microseconds since then.
    pub(crate) elapsed_us: u64,
}

impl Look {
    fn and(self, other: Self) -> Self {
        Self {
            moving: self.moving + other.moving,
            held: self.held + other.held,
            full: self.full + other.full,
            hungry: self.hungry + other.hungry,
            bytes: self.bytes + other.bytes,
            elapsed_us: self.elapsed_us + other.elapsed_us,
        }
    }

    /// Bytes in a second.
    fn rate(self) -> u64 {
        self.bytes.saturating_mul(1_000_000) / self.elapsed_us.max(1)
    }

    /// Whether the streams wait for the line, on both sides.
    fn line_is_short(self) -> bool {
        [self.full, self.hungry]
            .iter()
            .all(|count| count * 100 >= self.moving * WAITING_PERCENT)
    }
}

/// How many streams may carry rows.
#[derive(Debug)]
pub(crate) struct Line {
    streams: usize,
    allowed: usize,
    looks: usize,
    sum: Look,
    /// What all streams have brought in a second.
    all: u64,
    /// How many are tried next.
    fewer: usize,
    /// Judgements since all but those are held back.
    judged: u32,
    /// How many of the last judgements said that it is too few, and how many bytes less than all would have brought they saw.
    missed: u32,
    missing: u64,
    /// Judgements until the next trial, and after one that fails.
    rest: u32,
    pause: u32,
}

impl Line {
    pub(crate) fn new(streams: usize) -> Self {
        Self {
            streams,
            allowed: streams,
            looks: 0,
            sum: Look::default(),
            all: 0,
            fewer: 1,
            judged: 0,
            missed: 0,
            missing: 0,
            // The first moments tell nothing.
            rest: 1,
            pause: PAUSE,
        }
    }

    pub(crate) fn allowed(&self) -> usize {
        self.allowed
    }

    /// Takes up one look at the streams that are not held back. Whether others may go on now than before.
    pub(crate) fn look(&mut self, look: Look) -> bool {
        self.looks += 1;
        self.sum = self.sum.and(look);
        if self.looks < LOOKS {
            return false;
        }
        let seen = std::mem::take(&mut self.sum);
        self.looks = 0;
        let before = self.allowed;
        if self.allowed < self.streams {
            self.judge(seen);
        } else if self.rest > 0 {
            self.rest -= 1;
        } else if seen.moving > LOOKS && seen.line_is_short() {
            self.all = seen.rate();
            self.allowed = self.fewer;
            (self.judged, self.missed, self.missing) = (0, 0, 0);
        }
        self.allowed != before
    }

    /// Lets all go on if those few bring too little, or have gone on alone for long.
    fn judge(&mut self, seen: Look) {
        self.judged += 1;
        if seen.rate() * 100 >= self.all * KEPT_PERCENT {
            (self.missed, self.missing) = (0, 0);
        } else {
            self.missed += 1;
            self.missing += self.all.saturating_mul(seen.elapsed_us) / 1_000_000 - seen.bytes;
        }
        let hidden = BUFFER * u64::try_from(seen.held / LOOKS).unwrap_or(u64::MAX);
        if self.missed >= PATIENCE && self.missing > hidden {
            self.allowed = self.streams;
            self.fewer = self.fewer % (self.streams - 1) + 1;
            self.rest = self.pause;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        } else if self.judged >= HOLD {
            self.allowed = self.streams;
            self.rest = PAUSE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What so many judgements of four streams allow, one after the other: in the tenth of a second between two looks a stream
    /// brings up to `one` MiB of what the line brings by all together, which is 10; what is read ahead comes first.
    fn allowed(judgements: usize, one: u64, waits: bool) -> Vec<usize> {
        let mut line = Line::new(4);
        let mut seen = Vec::new();
        for _ in 0..judgements {
            for _ in 0..LOOKS {
                let moving = line.allowed();
                let waiting = if waits { moving } else { 0 };
                line.look(Look {
                    moving,
                    held: 4 - moving,
                    full: waiting,
                    hungry: waiting,
                    bytes: 10.min(one * u64::try_from(moving).unwrap()) * MIB,
                    elapsed_us: 100_000,
                });
            }
            seen.push(line.allowed());
        }
        seen
    }

    #[test]
    fn a_full_line_is_left_to_as_many_as_fill_it() {
        let seen = allowed(1000, 10, true);
        assert_eq!(seen[..5], [4, 1, 1, 1, 1]);
        let asked = seen.iter().filter(|allowed| **allowed == 4).count();
        assert!((10..20).contains(&asked), "{asked}");

        let seen = allowed(20, 5, true);
        assert_eq!(seen[..6], [4, 1, 1, 4, 4, 4]);
        assert_eq!(seen[6..], [2; 14]);
    }

    #[test]
    fn all_go_on_where_each_brings_more_and_fewer_are_tried_less_and_less_often() {
        let seen = allowed(2000, 2, true);
        let held = |judgements: &[usize]| judgements.iter().filter(|allowed| **allowed < 4).count();
        assert!(held(&seen[..200]) < 40);
        assert!(held(&seen[1000..]) < 10);
    }

    #[test]
    fn what_the_line_carries_for_those_held_back_is_waited_for() {
        let mut line = Line::new(2);
        let mut seen = Vec::new();
        for mib in [5, 5, 3, 3, 3, 3, 5, 3, 3, 5, 0, 0] {
            for _ in 0..LOOKS {
                let moving = line.allowed();
                line.look(Look {
                    moving,
                    held: 2 - moving,
                    full: moving,
                    hungry: moving,
                    bytes: mib * MIB / 10,
                    elapsed_us: 100_000,
                });
            }
            seen.push(line.allowed());
        }
        assert_eq!(seen, [2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn nothing_is_held_back_where_somebody_is_at_work() {
        assert!(allowed(50, 10, false).iter().all(|allowed| *allowed == 4));
        assert!(Line::new(1).allowed() == 1);
    }
}
