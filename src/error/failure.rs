//! What came back from a server instead of an answer, without row values.

use std::error::Error as _;
use std::fmt;

/// An error as the server reports it. Row values travel in DETAIL, HINT and CONTEXT, which are not kept, in what functions say
/// and in the quoted parts of messages about values, which are withheld.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ErrorResponse {
    /// `ERROR`; `FATAL` or `PANIC` where the server ends the connection with it. Never translated where the server sends it so.
    pub(crate) severity: String,
    pub(crate) sqlstate: String,
    /// The server's primary message.
    pub(crate) message: String,
    /// The schema and the table that the error is about, where the server names them.
    pub(crate) schema: Option<String>,
    pub(crate) table: Option<String>,
    /// The server's own routine that reported it.
    pub(crate) routine: Option<String>,
}

impl ErrorResponse {
    /// The fields of the protocol's message, each a letter, a text and a zero. What is missing or cut is empty or short: better
    /// half the words than none.
    pub(crate) fn read(mut fields: &[u8]) -> Self {
        let mut read = Self::default();
        let mut context = String::new();
        while let Some((field, rest)) = fields.split_first() {
            let mut parts = rest.splitn(2, |byte| *byte == 0);
            let text = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
            match field {
                // `V` is never translated; where it is sent, it follows on `S`.
                b'S' | b'V' => read.severity = text,
                b'C' => read.sqlstate = text,
                b'M' => read.message = text,
                b's' => read.schema = Some(text),
                b't' => read.table = Some(text),
                b'R' => read.routine = Some(text),
                b'W' => context = text,
                _ => {}
            }
            fields = parts.next().unwrap_or_default();
        }
        read.without_values(&context)
    }

    /// The driver's reading of the same message.
    fn of(db: &tokio_postgres::error::DbError) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            severity: db
                .parsed_severity()
                .map_or(db.severity().to_owned(), |one| format!("{one:?}").to_uppercase()),
            sqlstate: db.code().code().to_owned(),
            message: db.message().to_owned(),
            schema: owned(db.schema()),
            table: owned(db.table()),
            routine: owned(db.routine()),
        }
        .without_values(db.where_().unwrap_or_default())
    }

    /// Withholds the words of a function, because any of them may be a row's value, and quoted parts where they can hold one.
    fn without_values(mut self, context: &str) -> Self {
        let raised = self.routine.as_deref() == Some("exec_stmt_raise") || self.sqlstate.starts_with("P0");
        if raised {
            "raised by a function, whose words are withheld (the server's log has them)"
                .clone_into(&mut self.message);
        } else if self.sqlstate.starts_with("22") || (self.sqlstate.starts_with("42") && !context.is_empty())
        {
            // A name that a function has made up may be a value.
            self.message = withhold_quoted(&self.message);
        }
        self
    }
}

/// Why a session's call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server reported an error.
    Reported(Box<ErrorResponse>),
    /// The connection has ended.
    Lost(String),
    /// The driver could not make sense of the answer.
    Unread(String),
}

impl Failure {
    /// The driver's error. It has no other mark for a value that it cannot read than that nothing else is wrong.
    pub(crate) fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(db) = error.as_db_error() {
            return ErrorResponse::of(db).into();
        }
        let is_of_the_line = error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        let text = super::chain(error);
        if error.is_closed() || is_of_the_line {
            Self::Lost(text)
        } else {
            Self::Unread(text)
        }
    }

    /// The server's own words, where it said any.
    pub(crate) fn response(&self) -> Option<&ErrorResponse> {
        match self {
            Self::Reported(response) => Some(response),
            Self::Lost(_) | Self::Unread(_) => None,
        }
    }
}

impl From<ErrorResponse> for Failure {
    fn from(response: ErrorResponse) -> Self {
        Self::Reported(Box::new(response))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reported(response) => &response.message,
            Self::Lost(text) | Self::Unread(text) => text,
        })
    }
}

/// The text with everything from the first to the last quotation mark withheld: a value may itself hold some. Servers that do
/// not speak English quote in their language's way.
pub(crate) fn withhold_quoted(text: &str) -> String {
    const MARKS: [char; 9] = ['"', '«', '»', '„', '“', '”', '‹', '「', '」'];
    match (text.find(MARKS), text.rfind(MARKS)) {
        (Some(first), Some(last)) if first < last => {
            let (head, rest) = text.split_at(first);
            let tail = rest.split_at(last - first).1.trim_start_matches(MARKS);
            format!("{head}\"…\"{tail}")
        }
        (Some(first), _) => format!("{}\"…", text.split_at(first).0),
        (None, _) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_withheld_and_names_are_not() {
        let rows = [
            ("22P02", "", "", "bad input: \"7\"", "bad input: \"…\""),
            ("22P02", "", "", "bad input: \"a\"b\"", "bad input: \"…\""),
            (
                "22P02",
                "",
                "",
                "ungültige Eingabe: »7«",
                "ungültige Eingabe: \"…\"",
            ),
            (
                "42P01",
                "",
                "",
                "relation \"x\" does not exist",
                "relation \"x\" does not exist",
            ),
            (
                "42P01",
                "",
                "PL/pgSQL function s.f() line 1 at EXECUTE",
                "relation \"x\" does not exist",
                "relation \"…\" does not exist",
            ),
            (
                "23505",
                "exec_stmt_raise",
                "",
                "value 7 is there",
                "raised by a function, whose words are withheld (the server's log has them)",
            ),
        ];
        for (code, routine, context, message, expected) in rows {
            let fields = format!("SFEHLER\0VERROR\0C{code}\0M{message}\0R{routine}\0W{context}\0ss\0tt\0\0");
            let read = ErrorResponse::read(fields.as_bytes());
            assert_eq!(read.message, expected);
            assert_eq!(read.severity, "ERROR");
            assert_eq!(
                (read.schema.as_deref(), read.table.as_deref()),
                (Some("s"), Some("t"))
            );
        }
    }
}
