//! Records: bunyan JSON, one object a line, or the same in plain words on a terminal.
//!
//! Each record comes as a line of JSON from the bunyan layer; its structured fields are put in their place, it is kept under
//! the limit or rendered as text, and handed to the one writer of standard output.

pub(crate) mod bar;
mod line;
mod text;
pub(crate) mod writer;

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tracing::Level;
use tracing_bunyan_formatter::BunyanFormattingLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::config::LogFormat;
use crate::error::Error;
use crate::log::line::shorten;
use crate::log::text::text;
pub(crate) use crate::log::text::{printable, without_controls};
use crate::log::writer::Worth;

/// Fields whose text is itself JSON: tracing's fields hold no structure.
const STRUCTURED: &[&str] = &[
    "totals",
    "refreshed",
    "phases",
    "slowest",
    "not_carried",
    "not_frozen",
    "deferred",
    "configuration",
    "findings",
];

/// bunyan's number for INFO.
const INFO: u64 = 30;
/// The message of records that later ones replace.
const PROGRESS: &str = "progress";

static TERMINAL: OnceLock<bool> = OnceLock::new();

/// Starts logging, once: later calls change nothing. `fields` go with every record; `aside`: to standard error, because standard
/// output is for something else.
pub(crate) fn init(format: LogFormat, level: Level, fields: HashMap<String, Value>, aside: bool) {
    if TERMINAL.get().is_some() {
        return;
    }
    let terminal = match format {
        LogFormat::Auto if aside => io::stderr().is_terminal(),
        LogFormat::Auto => io::stdout().is_terminal(),
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    TERMINAL.get_or_init(|| terminal);
    if aside {
        writer::turn_aside();
    }
    if terminal && io::stderr().is_terminal() {
        bar::allow();
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

/// Prints text that is not a record: what `--help` and `check` say.
pub(crate) fn print(text: &str) {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    writer::write(Worth::Record, lines.join("\n").into_bytes());
}

/// Whether a person looks at standard output.
pub(crate) fn is_output_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes what a command is for to standard output: all of it, however slowly it is read.
pub(crate) async fn deliver(text: String) -> Result<(), Error> {
    let written = tokio::task::spawn_blocking(move || {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    });
    let failed = |source| Error::File {
        action: "write to",
        path: "/dev/stdout".into(),
        source,
    };
    written.await.map_err(io::Error::from).flatten().map_err(failed)
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
        let worth = worth(&record);
        let line = if self.terminal {
            text(&record)
        } else {
            shorten(&mut record)
        };
        writer::write(worth, line.into_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn worth(record: &Map<String, Value>) -> Worth {
    let level = record.get("level").and_then(Value::as_u64).unwrap_or_default();
    if level < INFO || record.get("msg").is_some_and(|msg| msg == PROGRESS) {
        Worth::Little
    } else {
        Worth::Record
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::line::LINE_MAX;
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
