//! The queries of `deploy/`: every field that they name is one that the worker writes, in the records that they pick.

use std::collections::BTreeSet;

use serde_json::Value;
use testbed::Output;

use crate::iam::{METADATA, metadata};
use crate::rig::{Rig, assert_exit, text};
use crate::slow::SLOW_ROWS;

const QUERIES: &str = include_str!("../../deploy/logs-insights.txt");

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
    let queries: Vec<String> = QUERIES.split("\n\n").map(without_comments).collect();
    for query in queries.iter().filter(|query| !query.is_empty()) {
        check(query, &runs);
    }
}

fn without_comments(query: &str) -> String {
    let lines = query.lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join(" ")
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
