//! A line that pg_dump or pg_restore wrote about a failure, divided by whose words it repeats: neither shows an SQLSTATE.

use crate::error::{Program, withhold_quoted};

/// Words by who said them, the program's name and everything before them taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Words {
    /// The program itself.
    Program(String),
    /// libpq, about a connection that it could not open.
    Connection(String),
    /// libpq, about a connection that was open.
    Line(String),
    /// A server.
    Server {
        message: String,
        /// `RAISE` in a function has said it, so it may say anything.
        raised: bool,
    },
}

/// Messages of servers about names, whose quoted parts are no row's values.
const ABOUT_NAMES: &[&str] = &[
    "does not exist",
    "already exists",
    "violates",
    "permission denied",
    "must be owner",
    "could not create unique index",
];

/// What a program puts before the words of a server.
const BEFORE_SERVER: [&str; 3] = [
    "could not execute query: ",
    "query failed: ",
    "Error message from server: ",
];

/// Reads a line of standard error: as it may be logged, and its words. Row values come in DETAIL, CONTEXT and their
/// continuation lines, none of which begins with the program's name, and in the quoted parts of servers' messages about values.
pub(crate) fn read(program: Program, line: &str) -> Option<(String, Words)> {
    let text = line.strip_prefix(program.name())?.strip_prefix(": ")?;
    let said = ["error: ", "detail: ", "warning: "]
        .iter()
        .find_map(|level| text.strip_prefix(level))
        .unwrap_or(text);
    if let Some(rest) = said.strip_prefix("connection to server ") {
        let (_, words) = rest.split_once(" failed: ").unwrap_or(("", rest));
        let (_, words) = severity(words).unwrap_or(("", words));
        return Some((line.to_owned(), Words::Connection(words.to_owned())));
    }
    let Some(told) = told(said) else {
        return Some((line.to_owned(), Words::Program(said.to_owned())));
    };
    let head = line.strip_suffix(told).unwrap_or_default();
    let Some((severity, message)) = severity(told) else {
        return Some((line.to_owned(), Words::Line(told.to_owned())));
    };
    let message = if ABOUT_NAMES.iter().any(|words| message.contains(words)) {
        message.to_owned()
    } else {
        withhold_quoted(message)
    };
    let safe = format!("{head}{severity}:  {message}");
    let raised = false;
    Some((safe, Words::Server { message, raised }))
}

/// What a line repeats of a server or of libpq.
fn told(said: &str) -> Option<&str> {
    if let Some(rest) = said.strip_prefix("COPY failed for table \"") {
        return rest.split_once("\": ").map(|(_, told)| told);
    }
    BEFORE_SERVER.iter().find_map(|head| said.strip_prefix(head))
}

/// `ERROR:  message`, in whatever language.
fn severity(told: &str) -> Option<(&str, &str)> {
    told.split_once(":  ")
        .filter(|(severity, _)| !severity.is_empty() && severity.chars().all(char::is_alphabetic))
}

/// Whether a line says that the words before it were raised by a function.
pub(crate) fn is_raised(line: &str) -> bool {
    line.starts_with("CONTEXT:  PL/") && line.ends_with(" at RAISE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_and_row_values_withheld() {
        let server = |message: &str| Words::Server {
            message: message.to_owned(),
            raised: false,
        };
        let cases = [
            (
                "COPY failed for table \"t\": ERROR:  invalid input syntax for type integer: \"a\"b\"",
                "COPY failed for table \"t\": ERROR:  invalid input syntax for type integer: \"…\"",
                server("invalid input syntax for type integer: \"…\""),
            ),
            (
                "COPY failed for table \"t\": FEHLER:  ungültige Eingabesyntax für Typ integer: »a«",
                "COPY failed for table \"t\": FEHLER:  ungültige Eingabesyntax für Typ integer: \"…\"",
                server("ungültige Eingabesyntax für Typ integer: \"…\""),
            ),
            (
                "COPY failed for table \"t\": ERROR:  new row for relation \"t\" violates check constraint \"c\"",
                "COPY failed for table \"t\": ERROR:  new row for relation \"t\" violates check constraint \"c\"",
                server("new row for relation \"t\" violates check constraint \"c\""),
            ),
            (
                "could not execute query: server closed the connection unexpectedly",
                "could not execute query: server closed the connection unexpectedly",
                Words::Line("server closed the connection unexpectedly".to_owned()),
            ),
            (
                "connection to server at \"h\" (10.0.0.1), port 5432 failed: FATAL:  the database system is starting up",
                "connection to server at \"h\" (10.0.0.1), port 5432 failed: FATAL:  the database system is starting up",
                Words::Connection("the database system is starting up".to_owned()),
            ),
            (
                "no matching schemas were found",
                "no matching schemas were found",
                Words::Program("no matching schemas were found".to_owned()),
            ),
        ];
        for (said, safe, words) in cases {
            let read = read(Program::PgRestore, &format!("pg_restore: error: {said}"));
            assert_eq!(
                read,
                Some((format!("pg_restore: error: {safe}"), words)),
                "{said}"
            );
        }
        for line in [
            "DETAIL:  Failing row contains (secret).",
            "CONTEXT:  COPY t, line 1: \"secret\"",
            "a second line of a value",
        ] {
            assert_eq!(read(Program::PgRestore, line), None, "{line}");
        }
    }
}
