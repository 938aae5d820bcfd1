//! A record in plain words, for a person at a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration};
use serde_json::{Map, Value};

/// What bunyan adds to every record and a person at a terminal does not want to read.
const NOT_FOR_TERMINALS: &[&str] = &[
    "v", "name", "msg", "level", "hostname", "pid", "time", "run_id", "schema",
];

/// Fields in the order in which a person reads them.
const LEADING: &[&str] = &[
    "outcome",
    "exit",
    "phase",
    "check",
    "table",
    "side",
    "found",
    "reason",
    "hint",
    "rows",
    "bytes",
    "elapsed_ms",
];

/// The record in plain words.
pub(super) fn text(record: &Map<String, Value>) -> String {
    let field = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    let clock = field("time").get(11..19).unwrap_or_default();
    let mark = match record.get("level").and_then(Value::as_u64) {
        Some(50..) => "error: ",
        Some(40..50) => "warning: ",
        _ => "",
    };
    let mut line = format!("{clock} {mark}{}", field("msg"));
    let mut separator = ": ";
    let mut below = String::new();
    for (name, value) in in_order(record) {
        if NOT_FOR_TERMINALS.contains(&name.as_str()) || value.is_null() || *value == Value::Bool(false) {
            continue;
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    writeln!(below, "    {name}: {}", plain(item)).ok();
                }
            }
            Value::Object(_) => {
                writeln!(below, "    {name}: {}", plain(value)).ok();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                write!(line, "{separator}{}", word(name, value)).ok();
                separator = ", ";
            }
        }
    }
    line.push('\n');
    line + &below
}

/// What a person looks for first comes first; the rest by name.
fn in_order(fields: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let rank = |name: &str| {
        LEADING
            .iter()
            .position(|leading| *leading == name)
            .unwrap_or(LEADING.len())
    };
    let mut ordered: Vec<(&String, &Value)> = fields.iter().collect();
    ordered.sort_by_key(|(name, _)| rank(name));
    ordered.into_iter()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let words: Vec<String> = in_order(fields)
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| word(name, value))
                .collect();
            words.join(", ")
        }
        Value::String(text) => printable(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => printable(&value.to_string()),
    }
}

fn word(name: &str, value: &Value) -> String {
    match (name, value.as_u64()) {
        ("bytes", Some(bytes)) => HumanBytes(bytes).to_string(),
        ("elapsed_ms", Some(ms)) => format!("{:.1} s", Duration::from_millis(ms).as_secs_f64()),
        ("left_ms", Some(ms)) => format!("{} left", HumanDuration(Duration::from_millis(ms))),
        ("rows" | "tables", Some(count)) => format!("{count} {name}"),
        ("phase" | "table" | "check" | "found" | "reason" | "outcome", None) => plain(value),
        _ => format!("{name} {}", plain(value)),
    }
}

/// What turns the direction of the text after it, so that something else is read than what is there.
const TURNING: [char; 12] = [
    '\u{061c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

/// Escaped what a terminal would obey and what would turn the text: names and server messages may hold it.
pub(crate) fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        if character.is_control() || TURNING.contains(&character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
        out
    })
}

/// The same for a line of JSON, which escapes some of it and leaves others.
pub(crate) fn without_controls(json: &str) -> String {
    json.chars().fold(String::new(), |mut text, character| {
        if character.is_control() || TURNING.contains(&character) {
            write!(text, "\\u{:04x}", u32::from(character)).ok();
        } else {
            text.push(character);
        }
        text
    })
}
