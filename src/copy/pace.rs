//! How many builds may be under way while rows still move: pure.
//!
//! Where the line is what is short, the target's backends wait for rows, and its processors have time to build. Where they are
//! at work without a pause, a build would only hold up the rows, and with them the source. What is watched is what the
//! backends wait for, since nothing tells a client how many processors a server has.

/// Looks that are judged together.
const LOOKS: usize = 3;
/// Of so many streams at least this share has to wait for rows.
const WAITING_PERCENT: usize = 60;

/// How many builds may be under way.
#[derive(Debug)]
pub(crate) struct Pace {
    most: usize,
    allowed: usize,
    looks: usize,
    waiting: usize,
    streams: usize,
}

impl Pace {
    /// Begins without builds; `most`: how many sessions build.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            allowed: 0,
            looks: 0,
            waiting: 0,
            streams: 0,
        }
    }

    pub(crate) fn allowed(&self) -> usize {
        self.allowed
    }

    /// Takes up one look at the streams' backends on the target: how many there are, and how many of them wait for rows. Builds
    /// that are under way go on; one more or one less may begin. Whether that is so now.
    pub(crate) fn look(&mut self, streams: usize, waiting: usize) -> bool {
        self.looks += 1;
        self.streams += streams;
        self.waiting += waiting;
        if self.looks < LOOKS {
            return false;
        }
        let before = self.allowed;
        self.allowed = if self.waiting * 100 >= self.streams * WAITING_PERCENT {
            (before + 1).min(self.most)
        } else {
            before.saturating_sub(1)
        };
        (self.looks, self.streams, self.waiting) = (0, 0, 0);
        self.allowed > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many builds are allowed after so many looks at four streams of which so many wait.
    fn allowed(looks: &[(usize, usize)]) -> usize {
        let mut pace = Pace::new(2);
        for (times, waiting) in looks {
            for _ in 0..*times {
                pace.look(4, *waiting);
            }
        }
        pace.allowed()
    }

    #[test]
    fn builds_begin_one_by_one_while_streams_wait_for_rows() {
        assert_eq!(allowed(&[(2, 4)]), 0);
        assert_eq!(allowed(&[(3, 4)]), 1);
        assert_eq!(allowed(&[(30, 3)]), 2, "no more than sessions");
        assert_eq!(allowed(&[(30, 2)]), 0, "the target is at work");
        assert_eq!(allowed(&[(30, 4), (3, 0)]), 1, "and again");
        assert_eq!(allowed(&[(30, 4), (30, 0)]), 0);
    }
}
