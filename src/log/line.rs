//! A record as a line of JSON that no log service cuts or splits.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Log services cut or split longer lines (CloudWatch's console at 16 KiB), line end included.
pub(super) const LINE_MAX: usize = 16 * 1024;
/// What a cut takes more than it must: the mark of the cut, and quotes.
const MARGIN: usize = 16;

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
    // Of two items one may be the note on what was left out.
    if let Value::Array(items) = value
        && items.len() > 2
    {
        let kept = items.len() / 2;
        let mut fewer: Vec<Value> = items.iter().take(kept).cloned().collect();
        fewer.push(Value::String(format!("… {} more", items.len() - kept)));
        return Value::Array(fewer);
    }
    let text = value.as_str().map_or_else(|| json(value), str::to_owned);
    // A character can take six bytes in JSON, so the cut is in proportion; whoever cuts too little comes again.
    let encoded = json(value).len();
    let characters = text.chars().count();
    let kept =
        (characters * encoded.saturating_sub(excess + MARGIN) / encoded).min(characters.saturating_sub(1));
    Value::String(text.chars().take(kept).chain(['…']).collect())
}
