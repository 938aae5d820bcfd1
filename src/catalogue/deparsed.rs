//! Whether two texts that servers wrote for a stored expression or query tell the same.
//!
//! They need not be the same text. A cast of a list, `(ARRAY['a'::varchar])::text[]`, comes back from its own text as one of
//! each element; and majors before 16 name the table of every column in a view, where later ones do so only if there
//! are several. So casts do not count, and across that border neither do qualifications.

/// The first major that leaves out qualifications that nobody needs.
const UNQUALIFIED_SINCE: u32 = 16;

/// Whether the texts of servers of these majors tell the same.
pub(crate) fn same(source: (u32, &str), target: (u32, &str)) -> bool {
    let border = border(source.0, target.0);
    source.1 == target.1 || canonical(source.1, border) == canonical(target.1, border)
}

/// Whether one of two majors qualifies what the other does not.
pub(crate) fn border(source: u32, target: u32) -> bool {
    (source < UNQUALIFIED_SINCE) != (target < UNQUALIFIED_SINCE)
}

/// A text that is one for all texts that tell the same.
pub(crate) fn canonical_text(text: &str, without_qualifications: bool) -> String {
    let words = canonical(text, without_qualifications);
    let words = words.iter().map(|token| match token {
        Token::Word(text) | Token::Constant(text) => text.clone(),
        Token::Cast => "::".to_owned(),
        Token::Sign(sign) => sign.to_string(),
    });
    words.collect::<Vec<String>>().join(" ")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name or a keyword; the former without quotes that it would not need.
    Word(String),
    /// A number, or a string with its quotes.
    Constant(String),
    Cast,
    Sign(char),
}

fn canonical(text: &str, without_qualifications: bool) -> Vec<Token> {
    let mut tokens = without_casts(&tokens(text));
    if without_qualifications {
        let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
        for token in tokens {
            if token == Token::Sign('.') && matches!(kept.last(), Some(Token::Word(_))) {
                kept.pop();
            } else {
                kept.push(token);
            }
        }
        tokens = kept;
    }
    tokens
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
        let length;
        if first.is_whitespace() {
            length = first.len_utf8();
        } else if first == '\'' || first == '"' {
            length = quoted_length(rest, first);
            let (inside, _) = rest.split_at(length);
            tokens.push(if first == '"' {
                Token::Word(unquoted(inside))
            } else {
                Token::Constant(inside.to_owned())
            });
        } else if first.is_ascii_digit() {
            length = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            tokens.push(Token::Constant(rest.split_at(length).0.to_owned()));
        } else if is_word(first) {
            length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest.split_at(length).0.to_owned()));
        } else if rest.starts_with("::") {
            length = 2;
            tokens.push(Token::Cast);
        } else {
            length = first.len_utf8();
            tokens.push(Token::Sign(first));
        }
        rest = rest.split_at(length).1;
    }
    tokens
}

/// Bytes of the quoted part that the text begins with; a doubled quote belongs to it.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((position, character)) = characters.next() {
        if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return position + quote.len_utf8();
        }
    }
    text.len()
}

/// Which names need quotes depends on the major's keywords.
fn unquoted(quoted: &str) -> String {
    let inside = quoted.trim_matches('"');
    let plain = inside
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { inside } else { quoted }.to_owned()
}

/// The tokens without casts, and without the parentheses around what was cast.
fn without_casts(tokens: &[Token]) -> Vec<Token> {
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        if *token == Token::Cast {
            rest = after_type(after);
            strip_parentheses(&mut kept);
        } else {
            kept.push(token.clone());
        }
    }
    kept
}

/// What follows a type's name: its words, a length, brackets.
fn after_type(tokens: &[Token]) -> &[Token] {
    const MORE: [&str; 13] = [
        "precision",
        "varying",
        "with",
        "without",
        "time",
        "zone",
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "second",
        "to",
    ];
    let mut rest = tokens.get(1..).unwrap_or_default();
    loop {
        rest = match rest {
            [Token::Sign('.'), Token::Word(_), after @ ..]
            | [Token::Sign('['), Token::Sign(']'), after @ ..] => after,
            [Token::Word(word), after @ ..] if MORE.contains(&word.as_str()) => after,
            [Token::Sign('('), after @ ..] => {
                let length = after.iter().position(|token| *token == Token::Sign(')'));
                length
                    .and_then(|length| after.get(length + 1..))
                    .unwrap_or_default()
            }
            _ => return rest,
        };
    }
}

/// Removes the parentheses that the tokens end with, unless they are a call's.
fn strip_parentheses(tokens: &mut Vec<Token>) {
    if tokens.last() != Some(&Token::Sign(')')) {
        return;
    }
    let mut depth = 0_usize;
    let open = tokens.iter().rposition(|token| {
        match token {
            Token::Sign(')') => depth += 1,
            Token::Sign('(') => depth -= 1,
            Token::Word(_) | Token::Constant(_) | Token::Cast | Token::Sign(_) => {}
        }
        depth == 0
    });
    let Some(open) = open else { return };
    let before = open.checked_sub(1).and_then(|place| tokens.get(place));
    let is_call =
        matches!(before, Some(Token::Word(word)) if word.contains(|c: char| !c.is_ascii_uppercase()));
    if !is_call {
        tokens.pop();
        tokens.remove(open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_from_its_own_text_is_the_same() {
        let rows = [
            ("a", "a"),
            // A list of varchar, before and after its first journey.
            (
                "((v)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
                "((v)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))",
            ),
            ("'x'::timestamp(3) without time zone AND b", "'x' AND b"),
            ("(f(a))::\"T x\".\"y\"[] + 1", "f(a) + 1"),
            ("\"merge\" + 1", "merge  +\n1"),
        ];
        for (source, target) in rows {
            assert!(same((15, source), (15, target)), "{source}\n{target}");
        }
    }

    #[test]
    fn what_is_another_is_not_the_same() {
        let rows = [
            ("a", "b"),
            ("'a::text'", "'a'"),
            ("'it''s'", "'it'"),
            ("(a + b) * c", "a + b * c"),
            ("f(a)::text", "f a"),
            ("1.5", "1.6"),
            ("\"A\"", "a"),
            ("t.a", "u.a"),
        ];
        for (source, target) in rows {
            assert!(!same((15, source), (15, target)), "{source}\n{target}");
        }
    }

    #[test]
    fn qualifications_count_unless_majors_differ_in_them() {
        let (qualified, plain) = (
            " SELECT t.id,\n    t.\"V\"\n   FROM s.t\n  WHERE (t.id > 1.5)",
            " SELECT id, \"V\" FROM s.t WHERE (id > 1.5)",
        );
        assert!(same((15, qualified), (16, plain)));
        assert!(!same((16, qualified), (18, plain)));
        assert!(!same((15, qualified), (16, &plain.replace("1.5", "2.5"))));
    }
}
