//! The template of `deploy/`: what cfn-lint cannot know, because it is about this project.

use std::collections::BTreeSet;

use testbed::Worker;

use crate::aws::{DEFINITION, SUBSTITUTIONS};
use crate::rig::assert_exit;

const TEMPLATE: &str = include_str!("../../deploy/template.yaml");

/// Lines of the block that this line begins, without their common indentation.
fn block(head: &str) -> Vec<&'static str> {
    let mut lines = TEMPLATE.lines().skip_while(|line| line.trim_start() != head);
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = indent(lines.next().unwrap());
    lines
        .take_while(|line| line.is_empty() || indent(line) > outer)
        .map(str::trim_start)
        .collect()
}

/// What stands between a word and the next character that no name has.
fn names_after<'a>(text: &'a str, word: &str) -> BTreeSet<&'a str> {
    text.split(word)
        .skip(1)
        .filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next()
        })
        .collect()
}

#[test]
fn every_substitution_is_supplied_and_used() {
    let supplied: BTreeSet<&str> = block("DefinitionSubstitutions:")
        .iter()
        .filter_map(|line| line.split_once(':').map(|(name, _)| name))
        .collect();
    let here: BTreeSet<&str> = SUBSTITUTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names_after(DEFINITION, "${"), supplied);
    assert_eq!(here, supplied);
    // CloudFormation takes it as JSON before it substitutes, and Step Functions afterwards.
    assert!(serde_json::from_str::<serde_json::Value>(DEFINITION).is_ok());
    assert!(!DEFINITION.contains("Ecs."), "names of errors are case-sensitive");
}

#[test]
fn every_parameter_is_described_and_used() {
    let parameters = block("Parameters:");
    let names: Vec<&str> = TEMPLATE
        .lines()
        .skip_while(|line| *line != "Parameters:")
        .take_while(|line| *line != "Rules:")
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'))
        .filter(|line| !line.starts_with(' '))
        .collect();
    let described = parameters.iter().filter(|line| line.starts_with("Description: "));
    assert_eq!(described.count(), names.len());
    for name in &names {
        let used = [format!("!Ref {name}"), format!("${{{name}}}")];
        let (_, resources) = TEMPLATE.split_once("\nConditions:").unwrap();
        assert!(
            used.iter().any(|used| resources.contains(used)),
            "{name} is not used"
        );
    }
}

#[test]
fn the_container_is_told_only_what_the_worker_knows() {
    let help = Worker::new(env!("CARGO_BIN_EXE_schemaferry")).arg("--help").run();
    assert_exit(&help, 0);
    let container = block("ContainerDefinitions:").join("\n");
    let names = names_after(&container, "Name: ");
    assert!(
        names.contains("SOURCE_PASSWORD") && names.contains("worker"),
        "{names:?}"
    );
    let overridden = names_after(DEFINITION, "'Name': '");
    assert!(overridden.contains("SCHEMA_NAME"), "{overridden:?}");
    for name in names.union(&overridden).filter(|name| **name != "worker") {
        let general = name.replace("SOURCE", "…").replace("TARGET", "…");
        assert!(help.stdout.contains(&general), "the worker knows no {name}");
    }
    // What the state machine makes log streams of.
    assert!(container.contains("awslogs-stream-prefix: worker"));
    assert!(DEFINITION.contains("'worker/worker/' & $split("));
}

/// A statement's comment says in words what its resources are; what is said with a star has to say so.
#[test]
fn no_statement_is_wider_than_its_comment() {
    let lines: Vec<&str> = TEMPLATE.lines().map(str::trim).collect();
    let mut statements = 0;
    for (at, _) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| **line == "- Effect: Allow")
    {
        statements += 1;
        let comment = lines[at - 1];
        assert!(
            comment.starts_with("# ") && comment.ends_with('.'),
            "no comment above {at}: {comment}"
        );
        let end = (at + 1..lines.len())
            .find(|line| {
                lines[*line].starts_with('-') && !lines[*line].contains("logs:") || lines[*line].is_empty()
            })
            .unwrap();
        let statement = lines[at..end].join("\n");
        let (actions, resources) = statement.split_once("Resource:").unwrap_or((&statement, ""));
        assert!(!actions.contains('*'), "{statement}");
        let any = resources.lines().next().unwrap_or_default().trim() == "\"*\"";
        assert_eq!(any, comment.contains("any resource"), "{comment}\n{statement}");
        // A star at the end is for streams of one group, or tasks of one cluster.
        let starred = resources.contains('*') && !any;
        let one = comment.contains("one log group")
            || comment.contains("log group")
            || comment.contains("one cluster");
        assert!(!starred || one, "{comment}\n{statement}");
        let alone = [
            ("iam:PassRole", "iam:PassedToService"),
            ("kms:Decrypt", "kms:ViaService"),
            ("sts:AssumeRole", "aws:SourceAccount"),
        ];
        for (action, condition) in alone {
            assert_eq!(
                statement.contains(action),
                statement.contains(condition),
                "{statement}"
            );
        }
    }
    assert_eq!(
        statements,
        lines.iter().filter(|line| line.starts_with("Action:")).count()
    );
}
