//! How the line is shared among the streams: pure.
//!
//! Left to themselves they share it evenly: tables that begin together land together, and late, and until then there is nothing to
//! build of them. Where the line is what is short, the first stream in the order has it, and the others get what it leaves. How much
//! that is cannot be known beforehand: one connection may be slower than several, by its window, by losses, by what a tunnel lets
//! through, or beside strangers who share the line too. So what the line carries with all of them is what it has to carry afterwards.

use std::time::Duration;

/// Looks that are judged together, at ten a second: at least and at most.
const LOOKS: std::ops::RangeInclusive<u32> = 5..=50;
/// They are enough with so many bytes: rows come in frames of 64 KiB, which are to be a few hundredths of what is compared.
const SPAN_BYTES: u64 = 4 << 20;
/// Of the streams, so many have to wait for rows, or for the line, where it is what is short.
const WAITING_PERCENT: usize = 60;
/// Of what the line carried when all of them read freely, so much is enough.
const ENOUGH_PERCENT: u64 = 97;
/// As long as it is enough, the others get less with each span: so much of what the line carries, and after some spans twice as much
/// as the last time.
const LESS_PERCENT: u64 = 2;
const STEADY: u32 = 3;
/// After so many spans all of them read freely for a moment, to see what the line carries by now.
const REVIEW: u32 = 120;
/// Spans, at first and at most, in which all of them read freely when the line was not what is short after all.
const PAUSE: std::ops::RangeInclusive<u32> = 4..=64;

/// One look at the streams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Since the look before.
    pub(crate) elapsed: Duration,
    /// What they have carried since, in bytes.
    pub(crate) bytes: u64,
    pub(crate) streams: usize,
    /// Those of them whose backend on the target waits for rows.
    pub(crate) waiting: usize,
}

/// Several looks, one after the other.
#[derive(Debug, Default)]
struct Span {
    looks: u32,
    bytes: u64,
    elapsed: Duration,
    streams: usize,
    waiting: usize,
}

impl Span {
    fn add(&mut self, look: Look) {
        self.looks += 1;
        self.bytes += look.bytes;
        self.elapsed += look.elapsed;
        self.streams += look.streams;
        self.waiting += look.waiting;
    }

    /// Bytes a second.
    fn rate(&self) -> u64 {
        let micros = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX);
        self.bytes.saturating_mul(1_000_000) / micros.max(1)
    }
}

/// The line, and what of it those that come behind the first stream may use.
#[derive(Debug)]
pub(crate) struct Line {
    /// What it carries when all of them read freely, in bytes a second.
    width: u64,
    /// Bytes a second for all but the first; without a limit where there is none.
    rest: Option<u64>,
    /// Spans since it was not enough.
    enough: u32,
    span: Span,
    /// Spans that are over since there is a limit, or none.
    spans: u32,
    /// Spans until there is a limit again.
    pause: u32,
    /// The next pause.
    penalty: u32,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            width: 0,
            rest: None,
            enough: 0,
            span: Span::default(),
            spans: 0,
            pause: 0,
            penalty: *PAUSE.start(),
        }
    }

    /// What all but the first stream may carry together, in bytes a second.
    pub(crate) fn rest(&self) -> Option<u64> {
        self.rest
    }

    /// Takes up one look. Whether the line is what is short, if the source waits for it: see [`Self::source_waits`].
    pub(crate) fn look(&mut self, look: Look) -> bool {
        self.span.add(look);
        let Span { looks, bytes, .. } = self.span;
        // Far too little is soon seen.
        let is_clear = bytes >= SPAN_BYTES || self.span.rate() * 2 < self.width;
        if looks < *LOOKS.start() || looks < *LOOKS.end() && !is_clear {
            return false;
        }
        let span = std::mem::take(&mut self.span);
        self.spans += 1;
        // What is on its way still follows from what was before.
        if self.spans == 1 {
            return false;
        }
        let rate = span.rate();
        let Some(rest) = self.rest else {
            self.width = rate.max(self.width);
            self.pause = self.pause.saturating_sub(1);
            return self.pause == 0 && are_most(span.waiting, span.streams);
        };
        if self.spans > REVIEW {
            self.penalty = *PAUSE.start();
            self.read_freely(0);
        } else if rate * 100 >= self.width * ENOUGH_PERCENT {
            let percent = LESS_PERCENT << self.enough.saturating_sub(STEADY).min(6);
            self.rest = Some(rest.saturating_sub(self.width * percent / 100));
            self.enough += 1;
        } else if rest < self.width {
            self.rest = Some(rest + self.width - rate);
            self.enough = 0;
        } else {
            self.read_freely(self.penalty);
            self.penalty = (self.penalty * 2).min(*PAUSE.end());
        }
        false
    }

    /// So many of the source's backends wait for the line, while so many streams read: if they are most, it goes to the first.
    pub(crate) fn source_waits(&mut self, waiting: usize, reading: usize) {
        if reading > 1 && are_most(waiting, reading) {
            self.rest = Some(0);
            self.spans = 0;
        } else {
            self.pause = self.penalty;
        }
    }

    /// Takes the limit away, for so many spans at least.
    fn read_freely(&mut self, pause: u32) {
        self.rest = None;
        self.spans = 0;
        self.width = 0;
        self.pause = pause;
    }
}

fn are_most(waiting: usize, streams: usize) -> bool {
    waiting * 100 >= streams.max(1) * WAITING_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: usize = 4;
    const WIDTH: u64 = 50_000_000;

    /// What the others may carry after each span, where the first carries so many bytes a second by itself and all of them so many,
    /// and so many of them wait for rows, and for the line.
    fn shared(spans: usize, carried: impl Fn(usize) -> (u64, u64), waiting: usize) -> Vec<Option<u64>> {
        let mut line = Line::new();
        let mut seen = Vec::new();
        for span in 0..spans {
            for _ in 0..*LOOKS.start() {
                let (first, all) = carried(span);
                let rate = line.rest().map_or(all, |rest| all.min(first + rest));
                let look = Look {
                    elapsed: Duration::from_millis(100),
                    bytes: rate / 10,
                    streams: STREAMS,
                    waiting,
                };
                if line.look(look) {
                    line.source_waits(waiting, STREAMS);
                }
            }
            seen.push(line.rest());
        }
        seen
    }

    #[test]
    fn the_first_has_the_line_where_it_fills_it() {
        let seen = shared(300, |_| (WIDTH, WIDTH), STREAMS);
        assert_eq!(seen[..4], [None, Some(0), Some(0), Some(0)]);
        let free = seen.iter().filter(|rest| rest.is_none()).count();
        assert!((2..=8).contains(&free), "looked again {free} times");
    }

    #[test]
    fn the_others_get_what_it_leaves() {
        let seen = shared(110, |_| (WIDTH * 6 / 10, WIDTH), STREAMS);
        for rest in &seen[5..] {
            let part = rest.unwrap() * 100 / WIDTH;
            assert!((35..=45).contains(&part), "{part} %");
        }
        // For a moment, and for good.
        let slower = |span| {
            (
                if (10..14).contains(&span) {
                    WIDTH / 10
                } else {
                    WIDTH
                },
                WIDTH,
            )
        };
        let seen = shared(110, slower, STREAMS);
        assert!(seen[12].unwrap() > WIDTH * 8 / 10);
        assert_eq!(seen[100], Some(0));
    }

    #[test]
    fn all_of_them_read_freely_where_a_server_is_what_is_short() {
        assert_eq!(shared(40, |_| (WIDTH, WIDTH), 1), [None; 40]);
        let mut line = Line::new();
        line.source_waits(2, STREAMS);
        assert_eq!(line.rest(), None, "the source");
    }

    #[test]
    fn a_line_that_becomes_narrow_is_used_all_the_same() {
        let narrow = WIDTH / 5;
        let seen = shared(400, |span| (0, if span < 10 { WIDTH } else { narrow }), STREAMS);
        let idle = seen[10..]
            .iter()
            .filter(|rest| rest.is_some_and(|rest| rest < narrow * 95 / 100));
        assert!(idle.count() < 20, "{seen:?}");
    }
}
