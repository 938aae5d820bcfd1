//! What pg_dump and pg_restore say before they fail, and what it means.

use crate::error::words::Words;
use crate::exit::Exit;

/// How a server's primary message begins, and what it means; the first that fits decides. Recorded from servers of 15 and 18.
const SERVER: &[(&str, Exit)] = &[
    ("permission denied", Exit::Denied),
    ("must be owner of", Exit::Denied),
    ("must be superuser", Exit::Denied),
    (
        "query would be affected by row-level security policy",
        Exit::Denied,
    ),
    ("canceling statement due to", Exit::Transient),
    ("could not obtain lock", Exit::Transient),
    ("deadlock detected", Exit::Transient),
    ("tuple concurrently", Exit::Transient),
    ("terminating connection due to", Exit::Transient),
    ("terminating connection because", Exit::Transient),
    ("invalid snapshot identifier", Exit::Transient),
    ("snapshot \"", Exit::Transient), // … does not exist: the same from 17 on
    ("cannot execute", Exit::Transient), // … in a read-only transaction: the writer was demoted
    ("could not extend file", Exit::Resources),
    ("could not write to file", Exit::Resources),
    ("out of shared memory", Exit::Resources),
    ("temporary file size exceeds", Exit::Resources),
];

/// The same for what libpq says of a connection that it cannot open, where it names a cause that stays.
const CONNECTION: &[(&str, Exit)] = &[
    ("password authentication failed", Exit::Denied),
    ("fe_sendauth: no password supplied", Exit::Denied),
    ("no pg_hba.conf entry", Exit::Denied),
    ("unrecognized configuration parameter", Exit::Config),
    ("SSL error: certificate verify failed", Exit::Config),
    ("server certificate for", Exit::Config), // … does not match host name
];

/// The same for what the programs say themselves.
const PROGRAM: &[(&str, Exit)] = &[
    ("aborting because of server version mismatch", Exit::Config),
    ("unsupported version", Exit::Config),
    ("no matching schemas were found", Exit::Config),
    ("could not translate host name", Exit::Transient),
    ("could not read from input file", Exit::Transient),
    ("could not open input file", Exit::Transient), // someone has removed the archive
    ("could not write to output file", Exit::Resources),
    ("could not open output file", Exit::Resources),
    ("error returned by PQputCopy", Exit::Transient),
    ("lost synchronization with server", Exit::Transient),
    ("out of memory", Exit::Data),
    ("could not execute query", Exit::Data),
    ("COPY failed for table", Exit::Data),
];

/// The code for what a program said before it failed: the first words that mean something decide. What a function raises may be
/// any words.
pub(super) fn meaning_of(words: &[Words], established: bool) -> Exit {
    words
        .iter()
        .find_map(|words| meaning(words, established))
        .unwrap_or(Exit::Internal)
}

fn meaning(words: &Words, established: bool) -> Option<Exit> {
    let of = |table: &[(&str, Exit)], text: &str| {
        let found = table.iter().find(|(begins, _)| text.starts_with(begins));
        found.map(|(_, exit)| *exit)
    };
    match words {
        Words::Server { raised: true, .. } => Some(Exit::Data),
        Words::Server { message, .. } => Some(of(SERVER, message).unwrap_or(Exit::Data)),
        Words::Line(text) => Some(of(&[("out of memory", Exit::Data)], text).unwrap_or(Exit::Transient)),
        // A password that was right a moment ago was rotated meanwhile, or its passfile removed.
        Words::Connection(text) if established && text.contains("password") => Some(Exit::Transient),
        Words::Connection(text) => Some(of(CONNECTION, text).unwrap_or(Exit::Transient)),
        Words::Program(text) => of(PROGRAM, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Program;
    use crate::error::words;

    #[test]
    fn a_programs_words_mean_something_in_their_own_place() {
        let lines = [
            (
                "error: COPY failed for table \"t\": ERROR:  invalid input syntax",
                65,
            ),
            (
                "error: COPY failed for table \"t\": ERROR:  deadlock detected",
                75,
            ),
            (
                "error: COPY failed for table \"t\": ERROR:  value is no deadlock detected",
                65,
            ),
            (
                "error: COPY failed for table \"terminating connection due to\": ERROR:  no",
                65,
            ),
            (
                "error: COPY failed for table \"t\": server closed the connection unexpectedly",
                75,
            ),
            ("error: could not execute query: ERROR:  out of shared memory", 74),
            (
                "error: could not execute query: FATAL:  terminating connection due to administrator command",
                75,
            ),
            (
                "detail: Error message from server: ERROR:  canceling statement due to lock timeout",
                75,
            ),
            ("error: query failed: ERROR:  permission denied for table t", 77),
            (
                "error: connection to server at \"h\", port 1 failed: FATAL:  sorry, too many clients already",
                75,
            ),
            (
                "error: connection to server at \"h\", port 1 failed: FATAL:  no pg_hba.conf entry for host",
                77,
            ),
            ("error: no matching schemas were found", 78),
            (
                "error: could not open output file \"terminating connection\": no",
                74,
            ),
            ("error: what nobody has seen yet", 70),
        ];
        for (line, exit) in lines {
            let (_, words) = words::read(Program::PgRestore, &format!("pg_restore: {line}")).unwrap();
            assert_eq!(meaning_of(&[words], false).code(), exit, "{line}");
        }
        let denied = "connection to server at \"h\", port 1 failed: FATAL:  password authentication failed for user \"u\"";
        let (_, denied) = words::read(Program::PgDump, &format!("pg_dump: error: {denied}")).unwrap();
        assert_eq!(meaning_of(std::slice::from_ref(&denied), false), Exit::Denied);
        assert_eq!(meaning_of(&[denied], true), Exit::Transient);
        let message = "terminating connection due to administrator command".to_owned();
        let raised = Words::Server {
            message,
            raised: true,
        };
        assert_eq!(meaning_of(&[raised], true), Exit::Data);
    }
}
