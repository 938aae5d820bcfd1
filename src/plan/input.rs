//! The input of the state machine's execution. Pure.

use serde_json::json;

use crate::config::Method;
use crate::error::{Error, Refused, Side};
use crate::log::without_controls;
use crate::plan::size::Size;
use crate::word::Word as _;

/// Bytes that an execution takes.
const INPUT_MAX: usize = 256 * 1024;

/// An item a line for units in the order of their start, each by its name as SCHEMA_NAME has it. `command`: what is to be done with all
/// of them, if that is no load.
pub(super) fn input(
    units: impl Iterator<Item = (String, Size)>,
    (command, method): (Option<&str>, Method),
) -> Result<String, Error> {
    let item = |(name, Size { jobs, cpu, memory }): (String, Size)| {
        let item = match method {
            Method::Copy => json!({"schema": name, "cpu": cpu, "memory": memory, "jobs": jobs}),
            Method::Pipe => json!({"schema": name, "cpu": cpu, "memory": memory, "method": method.word()}),
        };
        without_controls(&item.to_string())
    };
    let items: Vec<String> = units.map(item).collect();
    let command = command.map_or_else(String::new, |command| format!("\"command\": \"{command}\", "));
    let input = format!("{{{command}\"schemas\": [\n  {}\n]}}\n", items.join(",\n  "));
    if input.len() <= INPUT_MAX {
        return Ok(input);
    }
    let reason = format!(
        "the input has {} bytes, and an execution takes at most {INPUT_MAX}",
        input.len()
    );
    let hint = "plan some of the schemas at a time: name them in SCHEMA_NAME, those first that others need";
    Err(Error::Refused(Refused::config(Side::Source, reason, hint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const SIZE: Size = Size {
        jobs: 4,
        cpu: 1024,
        memory: 2048,
    };

    fn of(names: &[&str], method: Method) -> Result<String, Error> {
        input(
            names.iter().map(|name| ((*name).to_owned(), SIZE)),
            (None, method),
        )
    }

    #[test]
    fn an_input_is_json_whatever_names_hold() {
        let names = [
            "a,b",
            "\"say \"\"hi\"\"\"",
            "new\nline",
            "\u{1b}[2J\u{9b}",
            "größe",
        ];
        for method in [Method::Copy, Method::Pipe] {
            let text = of(&names, method).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            for (item, name) in read["schemas"].as_array().unwrap().iter().zip(names) {
                assert_eq!((&item["schema"], &item["cpu"]), (&name.into(), &1024.into()));
                let own = (&item["jobs"], &item["method"]);
                let expected = match method {
                    Method::Copy => (&4.into(), &Value::Null),
                    Method::Pipe => (&Value::Null, &"pipe".into()),
                };
                assert_eq!(own, expected);
            }
            assert!(!text.replace('\n', "").contains(char::is_control));
        }
    }

    #[test]
    fn what_an_execution_does_not_take_is_refused() {
        let name = "x".repeat(63);
        assert!(of(&vec![name.as_str(); 2000], Method::Copy).is_ok());
        let refused = of(&vec![name.as_str(); 2500], Method::Copy)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("takes at most 262144") && refused.contains("SCHEMA_NAME"),
            "{refused}"
        );
    }
}
