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
