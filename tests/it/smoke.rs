//! `deploy/smoke` against stand-ins for `aws` and `sam`, which record what they are called with: every branch once.

#![expect(clippy::indexing_slicing, reason = "what is not there fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::rig::text;
use crate::template::deployed;

const SCRIPT: &str = include_str!("../../deploy/smoke");
const REPOSITORY: &str = "arn:aws:ecr:eu-central-1:123456789012:repository/schemaferry";

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The policies of each role as the template makes them, for the stand-in's IAM.
fn write_roles(directory: &Path) {
    let secret = |side| format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{side}-AbCdEf");
    let (source, target) = (secret("source"), secret("target"));
    let stack = deployed(&[
        ("ImageRepositoryArn", REPOSITORY),
        ("SourceLogin", "injected"),
        ("SourceHost", "source"),
        ("SourceUser", "postgres"),
        ("SourceSecretArn", &source),
        ("TargetSecretArn", &target),
    ])
    .unwrap();
    for role in ["ExecutionRole", "TaskRole", "StateMachineRole"] {
        let own = directory.join(format!("ferry-{role}-X1Y2"));
        fs::create_dir(&own).unwrap();
        let made = stack.resource(role).unwrap();
        for policy in made["Policies"].as_array().unwrap() {
            let document = policy["PolicyDocument"].to_string();
            fs::write(own.join(text(policy, "PolicyName")), document).unwrap();
        }
    }
}

/// How a run ended in which this answer was another, and the calls that it made.
fn run(surprise: &str) -> (Output, Vec<Vec<String>>) {
    let directory = tempfile::tempdir().unwrap();
    write_roles(directory.path());
    let calls = directory.path().join("calls");
    fs::write(&calls, "").unwrap();
    let path = [at("tests/smoke"), "/usr/bin".into(), "/bin".into()];
    #[expect(clippy::disallowed_methods, reason = "the script is what is tested")]
    let mut script = Command::new(at("deploy/smoke"));
    let output = script
        .args(["schemaferry:1", "subnet-a,subnet-b", "sg-a", REPOSITORY])
        .env_clear()
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("CALLS", &calls)
        .env("ROLES", directory.path())
        .env("SURPRISE", surprise)
        .output()
        .unwrap();
    let calls = fs::read_to_string(calls).unwrap();
    let words = |call: &str| call.split_terminator('\u{1f}').map(str::to_owned).collect();
    (output, calls.split_terminator('\u{1e}').map(words).collect())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Where an answer is another, the step that stops, and words of what it says.
const SURPRISES: &[(&str, &str, &str)] = &[
    ("definition", "definition", "SCHEMA_VALIDATION_FAILED"),
    ("deploy", "deploy", "LogGroup already exists"),
    (
        "permissions",
        "permissions",
        "what IAM says of logs:CreateLogStream on arn:aws:logs:",
    ),
    (
        "cause",
        "classification",
        "the exit code in its cause is 78; found: null",
    ),
    ("classification", "classification", "\"exit_code\": 75"),
    (
        "no-task",
        "tasks",
        "ECS starts a task on FARGATE; found: it has none",
    ),
    ("never", "tasks", "the task ends within ten minutes"),
    ("tasks", "tasks", "found: TaskFailedToStart none"),
    ("run-directory", "run-directory", "writes to its tmpfs"),
    ("deadline", "deadline", "EssentialContainerExited 75"),
    ("stop", "stop", "UserInitiated 143"),
    ("memory", "memory", "a task out of memory ends with"),
    ("spot", "spot", "how a task on Spot ends"),
    ("running", "check", "the execution ends within half an hour"),
    ("check", "check", "how check ends is SUCCEEDED; found: FAILED"),
    ("load", "load", "how load ends is SUCCEEDED; found: FAILED"),
    ("loaded", "load", "is 2; found: 1"),
    ("reason", "reason", "SchemasFailed; found: States.Runtime"),
    ("timer", "timeout", "States.Timeout; found: States.Runtime"),
    ("timeout", "timeout", "a task is stopped at its state's timeout"),
    ("delete", "again", "the stack is deleted"),
    ("again", "again", "the stack is made"),
];

#[test]
fn an_account_without_surprises_passes_and_is_left_empty() {
    let (output, calls) = run("");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("smoke: every assumption holds"));
    let count = |words: &[&str]| calls.iter().filter(|call| call[..2] == *words).count();
    for (made, removed) in [
        (&["sam", "deploy"][..], &["sam", "delete"][..]),
        (&["rds", "create-db-instance"], &["rds", "delete-db-instance"]),
        (
            &["rds", "create-db-subnet-group"],
            &["rds", "delete-db-subnet-group"],
        ),
        (
            &["stepfunctions", "create-state-machine"],
            &["stepfunctions", "delete-state-machine"],
        ),
    ] {
        assert_eq!(count(made), count(removed), "{made:?}");
        assert!(count(made) > 0, "{made:?}");
    }
    assert_eq!(count(&["logs", "delete-log-group"]), 2);
    assert_known(&calls);
}

/// Where AWS's own command line is installed, it says whether such a call is one; it calls nobody for that.
fn assert_known(calls: &[Vec<String>]) {
    let kinds: BTreeMap<_, _> = calls
        .iter()
        .filter(|call| call[0] != "sam" && call[1] != "wait")
        .map(|call| (&call[..2], call))
        .collect();
    for call in kinds.values() {
        #[expect(clippy::disallowed_methods, reason = "a test that asks aws")]
        let mut aws = Command::new("aws");
        let asked = aws
            .args(call.iter().map(|word| word.split("file://").next().unwrap()))
            .args(["--generate-cli-skeleton", "input", "--region", "eu-central-1"])
            .output();
        let Ok(asked) = asked else { return };
        assert!(asked.status.success(), "{call:?}: {}", said(&asked));
    }
}

#[test]
fn every_surprise_stops_the_script_and_says_what_was_assumed() {
    for (surprise, step, words) in SURPRISES {
        let (output, calls) = run(surprise);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{surprise}: {said}");
        let stopped = format!("smoke: SURPRISE at {step}: assumed: ");
        let line = said.lines().find(|line| line.starts_with(&stopped));
        assert!(line.is_some() && said.contains(words), "{surprise}: {said}");
        let cleans = calls.iter().any(|call| call[1] == "delete-db-instance");
        assert_eq!(cleans, *surprise != "definition", "{surprise}");
    }
}

/// What is unknown without an account stands in one list, each line with the step that tells.
#[test]
fn the_page_names_the_step_that_tells() {
    let page = include_str!("../../docs/aws.md");
    let (_, table) = page.split_once("<!-- unknown -->").unwrap();
    let table = table.split("\n\n").nth(1).unwrap();
    let named: Vec<&str> = table
        .lines()
        .skip(2)
        .flat_map(|line| line.rsplit(" | ").next().unwrap().split('`').skip(1).step_by(2))
        .collect();
    let steps: Vec<&str> = SCRIPT
        .lines()
        .filter_map(|line| line.strip_prefix("step "))
        .collect();
    for step in &steps {
        assert!(named.contains(step), "nothing is told by {step}");
        let told = SURPRISES.iter().any(|(_, stops, _)| stops == step);
        assert!(told || *step == "databases", "{step} has no surprise");
    }
    assert!(named.iter().all(|name| steps.contains(name)), "{named:?}");
}
