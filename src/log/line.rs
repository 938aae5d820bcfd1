//! A record as a line of JSON that no log service cuts or splits.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Log services cut or split longer lines (CloudWatch's console at 16 KiB), line end included.
pub(super) const LINE_MAX: usize = 16 * 1024;
/// What a cut takes more than it must: the mark of the cut, and quotes.
const MARGIN: usize = 16;
/// How the note begins that stands for the items of a list which are left out.
const LEFT_OUT: &str = "… ";

/// The record as a line, its longest fields cut until it is short enough.
pub(super) fn shorten(record: &mut Map<String, Value>) -> String {
    loop {
        let mut line = json(&Value::Object(record.clone()));
        line.push('\n');
        if line.len() <= LINE_MAX {
            return line;
        }
        let excess = line.len() - LINE_MAX;
        let longest = record.values_mut().max_by_key(|value| json(value).len());
        let Some(longest) = longest else { return line };
        *longest = shorter(longest, excess);
    }
}

/// How many items a note says to be left out.
fn left_out(note: &Value) -> Option<usize> {
    let count = note.as_str()?.strip_prefix(LEFT_OUT)?.strip_suffix(" more")?;
    count.parse().ok()
}

/// JSON in which every control character is escaped, those too that JSON itself lets pass (DEL and U+0080 to U+009F).
fn json(value: &Value) -> String {
    value
        .to_string()
        .chars()
        .fold(String::new(), |mut out, character| {
            if character.is_control() {
                write!(out, "\\u{:04x}", u32::from(character)).ok();
            } else {
                out.push(character);
            }
            out
        })
}

fn shorter(value: &Value, excess: usize) -> Value {
    if let Value::Array(items) = value {
        let (items, left_out) = match items.split_last() {
            Some((last, others)) if left_out(last).is_some() => (others, left_out(last).unwrap_or(0)),
            _ => (items.as_slice(), 0),
        };
        if items.len() > 1 {
            let kept = items.len() / 2;
            let more = items.len() - kept + left_out;
            let note = Value::String(format!("{LEFT_OUT}{more} more"));
            return items.iter().take(kept).cloned().chain([note]).collect();
        }
    }
    let text = value.as_str().map_or_else(|| json(value), str::to_owned);
    // A character can take six bytes in JSON, so the cut is in proportion; whoever cuts too little comes again.
    let encoded = json(value).len();
    let characters = text.chars().count();
    let kept =
        (characters * encoded.saturating_sub(excess + MARGIN) / encoded).min(characters.saturating_sub(1));
    Value::String(text.chars().take(kept).chain(['…']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_says_how_many_it_leaves_out() {
        let mut record = Map::new();
        record.insert("findings".to_owned(), json!(vec!["x".repeat(100); 500]));
        let line: Value = serde_json::from_str(&shorten(&mut record)).unwrap();
        let items = line["findings"].as_array().unwrap();
        let note = items.last().unwrap();
        assert_eq!(*note, json!(format!("… {} more", 500 - (items.len() - 1))));
    }
}
