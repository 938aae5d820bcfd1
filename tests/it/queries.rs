//! The queries of `deploy/`: every field that they name is one that the worker writes, in the records that they pick.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::Output;

use crate::iam::{METADATA, metadata};
use crate::rig::{Rig, assert_exit, text};
use crate::slow::SLOW_ROWS;
use crate::template::stack;

/// Words of the language that are used here.
const WORDS: [&str; 13] = [
    "filter", "and", "fields", "stats", "latest", "sum", "max", "as", "by", "sort", "desc", "limit", "msg",
];

#[test]
fn queries_name_fields_that_the_worker_writes() {
    let rig = Rig::new(SLOW_ROWS);
    let worker = rig
        .worker("s")
        .env("RUN_ID", "weekend")
        .env("ECS_CONTAINER_METADATA_URI_V4", metadata(METADATA));
    let runs = [worker.clone().env("TARGET_PASSWORD", "wrong").run(), worker.run()];
    assert_exit(&runs[0], 77);
    assert_exit(&runs[1], 0);
    let stack = stack();
    let definitions = stack.of_type("AWS::Logs::QueryDefinition");
    assert_eq!(definitions.len(), 6);
    for name in definitions {
        let query = &stack.resource(name).unwrap()["QueryString"];
        check(&query.as_str().unwrap().replace('\n', " "), &runs);
    }
    for name in stack.of_type("AWS::Logs::MetricFilter") {
        check_metric(&stack.resource(name).unwrap(), &runs);
    }
}

/// A metric counts records that are there, or takes a number from them.
fn check_metric(filter: &Value, runs: &[Output]) {
    let pattern = text(filter, "FilterPattern");
    let message = pattern.split('"').nth(1).unwrap();
    let value = text(filter.pointer("/MetricTransformations/0").unwrap(), "MetricValue");
    let fields = pattern.split("$.").skip(1).chain(value.strip_prefix("$."));
    let fields = fields.map(|rest| rest.split(' ').next().unwrap());
    let mut records = runs.iter().flat_map(|run| &run.records);
    let picked = records.find(|record| text(record, "msg") == message).unwrap();
    for field in fields {
        assert!(!picked[field].is_null(), "{field} is not in {picked}");
    }
}

fn check(query: &str, runs: &[Output]) {
    let (before, rest) = query.split_once('"').unwrap();
    let (message, after) = rest.split_once('"').unwrap();
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.@".contains(c);
    let words: Vec<&str> = before
        .split(|c| !is_word(c))
        .chain(after.split(|c| !is_word(c)))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    let named: BTreeSet<&str> = words
        .iter()
        .zip(words.iter().skip(1))
        .filter(|(word, _)| **word == "as")
        .map(|(_, next)| *next)
        .collect();
    let fields: Vec<&str> = words
        .into_iter()
        .filter(|word| !WORDS.contains(word) && !named.contains(word))
        .collect();
    assert!(fields.len() >= 3, "{query}");
    let failed = after.contains("exit != 0");
    let picked: Vec<&Value> = runs
        .iter()
        .flat_map(|run| &run.records)
        .filter(|record| {
            text(record, "msg") == message
                && (record.get("exit").is_none() || (record["exit"] != 0) == failed)
        })
        .collect();
    for field in fields {
        let pointer = format!("/{}", field.replace('.', "/"));
        let has = |record: &&Value| record.pointer(&pointer).is_some_and(|value| !value.is_null());
        assert!(
            picked.iter().any(has),
            "no record has {field}: {query}\n{picked:?}"
        );
    }
}
