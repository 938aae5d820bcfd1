//! Statements of an entry, told apart as the server's lexer does it.
//!
//! Only entries that hold no body of their own (relations, indexes, constraints) are split: a function's SQL body has
//! semicolons that end no statement.

/// The statements of `sql` in order, without the semicolons that end them. Quotes, dollar quotes, comments and
/// parentheses hide semicolons; `standard_conforming_strings` is on, as in every session of ours.
pub(crate) fn split(sql: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let (mut rest, mut length, mut depth) = (sql, 0, 0_usize);
    while let Some(tail) = rest.get(length..).filter(|tail| !tail.is_empty()) {
        let first = tail.as_bytes().first().copied();
        match first {
            Some(b';') if depth == 0 => {
                let (statement, after) = rest.split_at(length);
                statements.push(statement.trim());
                rest = after.strip_prefix(';').unwrap_or(after);
                length = 0;
                continue;
            }
            Some(b'(') => depth += 1,
            Some(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        length += token_length(tail, rest.get(..length).unwrap_or_default());
    }
    statements.push(rest.trim());
    statements.retain(|statement| !statement.is_empty());
    statements
}

/// What stands before and behind the first `word` that is a keyword: in no quotes, comment or parentheses.
pub(crate) fn split_at_word<'a>(sql: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let (mut length, mut depth) = (0, 0_usize);
    while let Some((before, tail)) = sql.split_at_checked(length).filter(|(_, tail)| !tail.is_empty()) {
        let behind = tail.strip_prefix(word).filter(|behind| {
            depth == 0 && !before.ends_with(is_identifier) && !behind.starts_with(is_identifier)
        });
        if let Some(behind) = behind {
            return Some((before, behind));
        }
        match tail.as_bytes().first() {
            Some(b'(') => depth += 1,
            Some(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        length += token_length(tail, before);
    }
    None
}

/// The identifier that `sql` begins with, in its quotes; empty where it begins with none.
pub(crate) fn first_identifier(sql: &str) -> &str {
    let mut length = 0;
    while let Some(tail) = sql.get(length..)
        && tail.starts_with(|first| first == '"' || is_identifier(first))
    {
        length += token_length(tail, "x");
    }
    sql.get(..length).unwrap_or_default()
}

/// The length of what begins `tail`: a quoted text, a comment, or one character.
fn token_length(tail: &str, before: &str) -> usize {
    let end = |found: Option<usize>| found.unwrap_or(tail.len());
    let one = tail.chars().next().map_or(1, char::len_utf8);
    if tail.starts_with('\'') {
        let escapes = is_escape_string(before);
        end(quoted(tail, '\'', escapes))
    } else if tail.starts_with('"') {
        end(quoted(tail, '"', false))
    } else if tail.starts_with("--") {
        end(tail.find('\n'))
    } else if tail.starts_with("/*") {
        end(comment(tail))
    } else if tail.starts_with('$') && !before.ends_with(is_identifier) {
        dollar_quoted(tail).unwrap_or(one)
    } else {
        one
    }
}

fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

/// Whether a quote after `before` begins an `E'…'` string.
fn is_escape_string(before: &str) -> bool {
    before
        .strip_suffix(['e', 'E'])
        .is_some_and(|head| !head.ends_with(is_identifier))
}

/// Up to behind the closing quote; a doubled quote goes on as the next token.
fn quoted(tail: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut characters = tail.char_indices().skip(1);
    while let Some((position, character)) = characters.next() {
        if character == '\\' && escapes {
            characters.next();
        } else if character == quote {
            return Some(position + 1);
        }
    }
    None
}

/// Comments nest.
fn comment(tail: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut position = 0;
    while let Some(rest) = tail.get(position..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            position += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            position += 2;
            if depth == 0 {
                return Some(position);
            }
        } else {
            position += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

/// The whole of `$tag$…$tag$`, or nothing if no such quote begins here.
fn dollar_quoted(tail: &str) -> Option<usize> {
    let inner = tail.strip_prefix('$')?;
    let (tag, body) = inner.split_once('$')?;
    let is_tag = tag
        .chars()
        .all(|character| character.is_alphanumeric() || character == '_')
        && !tag.starts_with(|character: char| character.is_ascii_digit());
    if !is_tag {
        return None;
    }
    let delimiter = format!("${tag}$");
    let closing = body.find(&delimiter)?;
    Some(delimiter.len() + closing + delimiter.len())
}

/// The definition without options of columns that only the server itself sets: some minor releases store `pg_attver` among
/// them, pg_dump 18 repeats it for every kind of relation, and other servers refuse it. No option that a user may set
/// begins with `pg_`, which PostgreSQL keeps for itself.
pub(crate) fn without_internal_options(definition: &str) -> Option<String> {
    const OWN: &str = "pg_";
    const SET: &str = " SET (";
    if !definition.contains(&format!("{SET}{OWN}")) && !definition.contains(&format!(", {OWN}")) {
        return None;
    }
    let kept: Vec<String> = split(definition)
        .into_iter()
        .filter_map(|statement| match statement.rsplit_once(SET) {
            Some((head, options)) if statement.starts_with("ALTER ") && head.contains(" ALTER COLUMN ") => {
                let options: Vec<&str> = options
                    .trim_end_matches(')')
                    .split(", ")
                    .filter(|option| !option.starts_with(OWN))
                    .collect();
                (!options.is_empty()).then(|| format!("{head}{SET}{})", options.join(", ")))
            }
            _ => Some(statement.to_owned()),
        })
        .collect();
    Some(kept.join(";\n") + ";\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn semicolons_end_statements_only_where_the_server_sees_them() {
        let cases: &[(&str, &[&str])] = &[
            ("a;\nb;\n", &["a", "b"]),
            ("a 'x;''y' ; b", &["a 'x;''y'", "b"]),
            (r"a E'\';' ; b", &[r"a E'\';'", "b"]),
            (r"a '\'; b", &[r"a '\'", "b"]),
            (r#"a "x;""y"; b"#, &[r#"a "x;""y""#, "b"]),
            ("a $$;'$$; b $x$;$$;$x$", &["a $$;'$$", "b $x$;$$;$x$"]),
            ("a$x$; b$x$", &["a$x$", "b$x$"]),
            ("a -- ;\n; b", &["a -- ;", "b"]),
            ("a /* ; /* ; */ ; */; b", &["a /* ; /* ; */ ; */", "b"]),
            ("RULE DO (x; y); b", &["RULE DO (x; y)", "b"]),
            ("a 'never closed; b", &["a 'never closed; b"]),
            ("", &[]),
        ];
        for (sql, expected) in cases {
            assert_eq!(split(sql), *expected, "{sql}");
        }
    }

    #[test]
    fn internal_options_never_reach_the_target() {
        let definition = "CREATE TABLE s.t (\n    a integer\n);\nALTER TABLE ONLY s.t ALTER COLUMN a SET (pg_attver=3);\n\
                          ALTER TABLE ONLY s.t ALTER COLUMN b SET (n_distinct=5, pg_attver=3);\n";
        assert_eq!(
            without_internal_options(definition).unwrap(),
            "CREATE TABLE s.t (\n    a integer\n);\nALTER TABLE ONLY s.t ALTER COLUMN b SET (n_distinct=5);\n"
        );
        let other = "ALTER FOREIGN TABLE ONLY s.t ALTER COLUMN a SET (pg_anything='x');\n";
        assert_eq!(without_internal_options(other).unwrap(), ";\n");
        let named = "COMMENT ON TABLE s.t IS ' SET (pg_attver=1)';\n";
        assert_eq!(without_internal_options(named).unwrap(), named);
        assert_eq!(without_internal_options("CREATE TABLE s.t ();"), None);
    }

    #[test]
    fn keywords_are_found_where_the_server_sees_them() {
        let cases = [
            ("a TO b", Some(("a ", " b"))),
            (
                "\"TO\" 'TO' (TO) TOTO xTO TO \"b\"",
                Some(("\"TO\" 'TO' (TO) TOTO xTO ", " \"b\"")),
            ),
            ("a -- TO\n", None),
        ];
        for (sql, expected) in cases {
            assert_eq!(split_at_word(sql, "TO"), expected, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_panics(sql in "[a-z'\"$;\\-/*() \\\\é\n]{0,60}") {
            let kept: String = split(&sql).concat();
            let dense = |text: &str| text.chars().filter(|c| !c.is_whitespace() && *c != ';').collect::<String>();
            prop_assert_eq!(dense(&kept), dense(&sql));
        }
    }
}
