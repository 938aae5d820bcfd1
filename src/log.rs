//! Records: bunyan JSON, one object a line, or the same in plain words on a terminal.
//!
//! Everything that reaches standard output goes through one writer. It gets each record as a line of JSON from
//! the bunyan layer, puts structured fields in their place, keeps lines under the limit, and renders.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use tracing::Level;
use tracing_bunyan_formatter::BunyanFormattingLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::LogFormat;

/// Log services cut or split longer lines (CloudWatch's console at 16 KiB), line end included.
const LINE_MAX: usize = 16 * 1024;
/// What a cut takes more than it must: the mark of the cut, and quotes.
const MARGIN: usize = 16;
/// Fields whose text is itself JSON: tracing's fields hold no structure.
const STRUCTURED: &[&str] = &[
    "totals",
    "phases",
    "slowest",
    "not_carried",
    "not_frozen",
    "deferred",
    "configuration",
    "findings",
];
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

static TERMINAL: OnceLock<bool> = OnceLock::new();
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Starts logging. `fields` go with every record. To be called once.
pub(crate) fn init(format: LogFormat, level: Level, fields: HashMap<String, Value>) {
    let terminal = match format {
        LogFormat::Auto => io::stdout().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    TERMINAL.get_or_init(|| terminal);
    if terminal && io::stderr().is_terminal() {
        BAR.get_or_init(ProgressBar::hidden);
    }
    let layer = BunyanFormattingLayer::with_default_fields(
        env!("CARGO_PKG_NAME").to_owned(),
        Lines { terminal },
        fields,
    );
    let Ok(layer) = layer.skip_fields(["target", "line", "file"].into_iter()) else {
        return;
    };
    // Other crates' records could hold anything, a secret's body included.
    let ours = filter_fn(move |metadata| {
        metadata.target().starts_with(env!("CARGO_PKG_NAME")) && *metadata.level() <= level
    });
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(ours));
    tracing::subscriber::set_global_default(subscriber).ok();
}

/// Whether records are rendered for a person.
pub(crate) fn is_terminal() -> bool {
    TERMINAL.get().copied().unwrap_or(false)
}

/// Moves the terminal's bar, where there is one.
pub(crate) fn bar(phase: &'static str, share: f64, bytes: u64, left: Option<Duration>) {
    let Some(bar) = BAR.get() else { return };
    if bar.is_hidden() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {percent}% {msg}") {
            bar.set_style(style);
        }
        bar.set_length(1000);
    }
    let permille = (share.clamp(0.0, 1.0) * 1000.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1000"
    )]
    bar.set_position(permille as u64);
    let left = left.map_or_else(String::new, |left| format!(", {} left", HumanDuration(left)));
    bar.set_message(format!("{phase}, {}{left}", HumanBytes(bytes)));
}

/// Takes the bar away.
pub(crate) fn end_bar() {
    if let Some(bar) = BAR.get() {
        bar.finish_and_clear();
    }
}

/// Prints text that is not a record: what `--help` and `check` say.
pub(crate) fn print(text: &str) {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    write_out(lines.join("\n").as_bytes());
}

fn write_out(bytes: &[u8]) {
    let write = || {
        let mut stdout = io::stdout().lock();
        // Nobody reads any more: the run goes on, its exit code still tells.
        stdout.write_all(bytes).and_then(|()| stdout.flush()).ok();
    };
    match BAR.get() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

#[derive(Debug)]
struct Lines {
    terminal: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            terminal: self.terminal,
        }
    }
}

/// Takes one whole record in one write.
#[derive(Debug)]
struct Line {
    terminal: bool,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut record: Map<String, Value> = serde_json::from_slice(bytes)?;
        embed(&mut record);
        let line = if self.terminal {
            text(&record)
        } else {
            shorten(&mut record)
        };
        write_out(line.as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn embed(record: &mut Map<String, Value>) {
    for name in STRUCTURED {
        if let Some(value) = record.get_mut(*name)
            && let Some(structure) = value.as_str().and_then(|text| serde_json::from_str(text).ok())
        {
            *value = structure;
        }
    }
}

/// The record as a line, its longest fields cut until it is short enough.
fn shorten(record: &mut Map<String, Value>) -> String {
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

/// The record in plain words.
fn text(record: &Map<String, Value>) -> String {
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
    let place = |name: &str| {
        LEADING
            .iter()
            .position(|leading| *leading == name)
            .unwrap_or(LEADING.len())
    };
    let mut ordered: Vec<(&String, &Value)> = fields.iter().collect();
    ordered.sort_by_key(|(name, _)| place(name));
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

/// Control characters escaped: names and server messages may hold what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, character| {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn record(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_line_stays_under_the_limit_and_is_one_object() {
        let cases = [
            json!({"msg": "m", "reason": "x".repeat(50_000)}),
            json!({"msg": "m", "reason": "\u{1}\"\\é".repeat(20_000)}),
            json!({"msg": "m", "not_carried": vec!["y".repeat(100); 1000], "reason": "z".repeat(9000)}),
            json!({"msg": "m", "configuration": {"SCHEMA_NAME": "s".repeat(40_000)}}),
            json!({"msg": "m", "findings": ["w".repeat(40_000)]}),
        ];
        for case in cases {
            let line = shorten(&mut record(case.clone()));
            assert!(line.len() <= LINE_MAX, "{} bytes", line.len());
            assert!(line.len() > LINE_MAX / 4, "only {} bytes are left", line.len());
            let back: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(back["msg"], "m");
            assert_eq!(line.matches('\n').count(), 1);
        }
    }

    proptest! {
        #[test]
        fn no_record_writes_a_control_character(fields in proptest::collection::hash_map("[a-z_]{1,8}", any_value(), 0..6)) {
            let mut record = Map::from_iter(fields);
            let line = shorten(&mut record.clone());
            prop_assert!(line.len() <= LINE_MAX);
            prop_assert!(serde_json::from_str::<Value>(&line).is_ok());
            embed(&mut record);
            for line in [line, text(&record)] {
                prop_assert!(line.lines().all(|line| !line.contains(char::is_control)), "{:?}", line);
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "\\PC{0,40}",
            "[\0-\u{9f}]{0,40}",
            "[\u{1b}\\[0-9;m\n\r\u{9b}]{0,40}",
            "x{5000,20000}"
        ];
        prop_oneof![
            text.clone().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            proptest::collection::vec(text, 0..4).prop_map(Value::from),
        ]
    }

    #[test]
    fn structure_is_put_in_its_place() {
        let mut short = record(json!({"msg": "m", "totals": "{\"rows\":3}", "reason": "{\"rows\":3}"}));
        embed(&mut short);
        assert_eq!(short["totals"]["rows"], 3);
        assert_eq!(short["reason"], "{\"rows\":3}");
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let line = text(&record(
            json!({"msg": "table moved", "time": "2026-01-02T03:04:05Z", "table": "a\u{1b}[2J\nb", "rows": 3}),
        ));
        assert_eq!(line, "03:04:05 table moved: a\\u{1b}[2J\\nb, 3 rows\n");
    }
}
