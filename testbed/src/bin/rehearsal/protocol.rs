//! What was expected and what came, printed as it comes.
#![expect(clippy::print_stdout, reason = "what it prints is the protocol")]

use std::fmt::Display;
use std::time::Instant;

/// The steps of a rehearsal.
#[derive(Debug)]
pub(crate) struct Protocol {
    started: Instant,
    wrong: usize,
}

impl Protocol {
    pub(crate) fn begin() -> Self {
        Self {
            started: Instant::now(),
            wrong: 0,
        }
    }

    /// A step begins.
    pub(crate) fn step(&self, title: &str) {
        println!("\n{:>6.1} s  {title}", self.started.elapsed().as_secs_f64());
    }

    /// Something that is neither right nor wrong.
    pub(crate) fn note(what: &str, is: impl Display) {
        println!("          {what}: {is}");
    }

    /// What came is to be what was expected.
    pub(crate) fn expect(&mut self, what: &str, expected: impl Display, came: impl Display) {
        let (expected, came) = (expected.to_string(), came.to_string());
        if expected == came {
            println!("          {what}: {came}, as expected");
        } else {
            self.wrong += 1;
            println!(
                "          {what}: NOT AS EXPECTED\n            expected: {expected}\n            came:     {came}"
            );
        }
    }

    /// These words are to be in what came.
    pub(crate) fn expect_words(&mut self, what: &str, words: &str, came: &str) {
        let found = if came.contains(words) { words } else { came };
        self.expect(what, words, found);
    }

    /// Says how it was; whether nothing was wrong.
    pub(crate) fn end(self) -> bool {
        let seconds = self.started.elapsed().as_secs_f64();
        println!("\n{seconds:>6.1} s  {} things not as expected", self.wrong);
        self.wrong == 0
    }
}
