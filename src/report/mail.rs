//! The text of a mail: the first screen, as short as a topic takes it.

use crate::report::Report;

/// Bytes of a mail: it travels in one record of the log, which has 16 KiB.
const BYTES_MAX: usize = 10_000;
/// Lines of a list, the most first: the first with which it fits is taken.
const LINES: [usize; 5] = [40, 20, 10, 5, 2];

impl Report {
    pub(crate) fn mail(&self) -> String {
        let mails = LINES.iter().map(|most| self.summary(*most, false));
        let mut shortest = String::new();
        for mail in mails {
            if mail.len() <= BYTES_MAX {
                return mail;
            }
            shortest = mail;
        }
        let end = shortest.floor_char_boundary(BYTES_MAX);
        shortest.truncate(end);
        shortest + "…\n"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::clock::Clock;
    use crate::report::runs::Run;
    use crate::report::{Asked, ReportOptions};

    /// A run that has brought nothing of what it should have.
    fn without(missing: BTreeSet<String>) -> Report {
        let run = Run {
            id: None,
            units: Vec::new(),
        };
        let asked = Asked {
            standings: BTreeMap::new(),
            left: Vec::new(),
            untouched: Vec::new(),
            outside: Vec::new(),
            missing,
            beside: BTreeSet::new(),
        };
        let options = ReportOptions {
            window: None,
            clock: Clock::named("UTC").unwrap(),
        };
        let addresses = ("target".to_owned(), None);
        Report::new(run, &[], asked, (Vec::new(), addresses, options))
    }

    #[test]
    fn a_mail_fits_whatever_it_tells() {
        for (length, count) in [(0, 0), (3, 30), (15, 500), (4000, 500), (40_000, 3)] {
            let missing = (0..count).map(|number| format!("{number}{}", "😀".repeat(length)));
            let report = without(missing.collect());
            let mail = report.mail();
            assert!(
                mail.len() <= BYTES_MAX + 4,
                "{length} {count}: {} bytes",
                mail.len()
            );
            let verdict = if count == 0 { "Go: " } else { "No-go: " };
            assert!(mail.starts_with(verdict), "{mail}");
            assert!(report.text().len() >= mail.len().min(BYTES_MAX));
        }
    }
}
