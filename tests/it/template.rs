//! The template of `deploy/`: what cfn-lint cannot know, because it is about this project.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::LazyLock;

use serde_json::{Value, json};
use testbed::docker::run_arguments;
use testbed::policy::Call;
use testbed::template::{STACK_ID, Stack, Template};
use testbed::{Machine, Tmpfs, Worker};

use crate::aws::{DEFINITION, SUBSTITUTIONS};
use crate::rig::{assert_exit, text};

const TEXT: &str = include_str!("../../deploy/template.yaml");

static TEMPLATE: LazyLock<Template> = LazyLock::new(|| Template::new(TEXT));

const SOURCE_SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:source-AbCdEf";
const TARGET_SECRET: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:target-AbCdEf";
const REPOSITORY: &str = "arn:aws:ecr:eu-central-1:123456789012:repository/schemaferry";

/// What nobody can leave out.
const GIVEN: [(&str, &str); 5] = [
    ("Image", "schemaferry:1"),
    ("Subnets", "subnet-a,subnet-b"),
    ("SecurityGroups", "sg-a"),
    ("SourceSecretArn", SOURCE_SECRET),
    ("TargetSecretArn", TARGET_SECRET),
];

/// Names and what each of them is.
type Pairs = &'static [(&'static str, &'static str)];

/// The template, deployed with the least and with this.
pub(crate) fn deployed(with: &[(&str, &str)]) -> Result<Stack<'static>, Vec<String>> {
    TEMPLATE.deploy(&[&GIVEN[..], with].concat())
}

/// The same, as it is deployed without anything.
pub(crate) fn stack() -> Stack<'static> {
    deployed(&[]).unwrap()
}

/// The container of a stack's task definition.
pub(crate) fn container(stack: &Stack<'_>) -> Value {
    let definition = stack.resource("TaskDefinition").unwrap();
    definition.pointer("/ContainerDefinitions/0").unwrap().clone()
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
    let machine = stack().resource("StateMachine").unwrap();
    let values = machine["DefinitionSubstitutions"].as_object().unwrap();
    let supplied: BTreeSet<&str> = values.keys().map(String::as_str).collect();
    let here: BTreeSet<&str> = SUBSTITUTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names_after(DEFINITION, "${"), supplied);
    assert_eq!(here, supplied);
    // CloudFormation takes it as JSON before it substitutes, and Step Functions afterwards.
    assert!(serde_json::from_str::<Value>(DEFINITION).is_ok());
    assert!(!DEFINITION.contains("Ecs."), "names of errors are case-sensitive");
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values: Vec<_> = values
        .iter()
        .map(|(name, given)| (name.as_str(), value(given)))
        .collect();
    let values: Vec<_> = values
        .iter()
        .map(|(name, given)| (*name, given.as_str()))
        .collect();
    let _parses = Machine::new(DEFINITION, &values);
}

#[test]
fn every_parameter_is_described_and_used() {
    let (_, made) = TEXT.split_once("\nConditions:").unwrap();
    for (name, declared) in TEMPLATE.parameters() {
        assert!(declared["Description"].is_string(), "{name}");
        let used = [format!("!Ref {name}"), format!("${{{name}}}")];
        assert!(used.iter().any(|used| made.contains(used)), "{name} is not used");
    }
}

#[test]
fn the_container_is_told_only_what_the_worker_knows() {
    let help = Worker::new(env!("CARGO_BIN_EXE_schemaferry")).arg("--help").run();
    assert_exit(&help, 0);
    let mut told = BTreeSet::new();
    for login in ["read", "injected", "iam"] {
        let given = [
            ("SourceLogin", login),
            ("SourceUser", "loader"),
            ("SourceHost", "source"),
            ("SourcePort", "5433"),
            ("SourceDbName", "warehouse"),
            ("SourceDbResourceId", "cluster-ABC"),
            ("SourceSslMode", "verify-full"),
            ("RoleMap", "a=b"),
            ("Accept", "large-objects"),
            ("AcceptReason", "CHG-7, J. Doe: archived"),
            ("ReportBucket", "reports"),
        ];
        let container = container(&deployed(&given).unwrap());
        for list in ["Environment", "Secrets"] {
            let variables = container[list].as_array().unwrap().iter();
            told.extend(variables.map(|variable| text(variable, "Name").to_owned()));
        }
        // What the state machine makes log streams of.
        assert_eq!(
            container["LogConfiguration"]["Options"]["awslogs-stream-prefix"],
            "worker"
        );
    }
    assert!(DEFINITION.contains("'worker/worker/' & $split("));
    let overridden = names_after(DEFINITION, "'Name': '")
        .into_iter()
        .map(str::to_owned);
    told.extend(overridden.filter(|name| name != "worker"));
    for name in [
        "SOURCE_PASSWORD",
        "SOURCE_IAM_AUTH",
        "SOURCE_DBNAME",
        "SOURCE_SSLROOTCERT",
        "SCHEMA_NAME",
    ] {
        assert!(told.contains(name), "{name} is not in {told:?}");
    }
    for name in told {
        let general = name.replace("SOURCE", "…").replace("TARGET", "…");
        assert!(help.stdout.contains(&general), "the worker knows no {name}");
    }
}

/// What a secret holds, user and port and database, counts where the template says nothing.
#[test]
fn the_container_is_told_nothing_that_the_secret_says() {
    let container = container(&stack());
    let said = container["Environment"].to_string();
    for name in ["HOST", "PORT", "DBNAME", "USER", "PASSWORD"] {
        for side in ["SOURCE", "TARGET"] {
            assert!(!said.contains(&format!("{side}_{name}")), "{said}");
        }
    }
    assert!(
        said.contains("SOURCE_SECRET_ID") && said.contains("TARGET_SECRET_ID"),
        "{said}"
    );
    assert_eq!(container["Secrets"], json!([]));
}

/// Values, and the beginnings of what CloudFormation says of them.
const REFUSED: &[(Pairs, &[&str])] = &[
    (&[], &[]),
    (&[("SourceSecretArn", "")], &["SourceSecretArn is needed"]),
    (
        &[("TargetLogin", "injected")],
        &["TargetHost is needed", "TargetUser is needed"],
    ),
    (
        &[("SourceLogin", "iam"), ("SourceHost", "h"), ("SourceUser", "u")],
        &["SourceDbResourceId is needed"],
    ),
    (&[("SecurityGroups", "")], &["SecurityGroups are needed"]),
    (&[("SecurityGroups", ""), ("VpcId", "vpc-0a1b2c3d")], &[]),
    (
        &[("Endpoints", "create")],
        &["VpcId is needed", "RouteTables are needed"],
    ),
    (&[("Method", "carrier-pigeon")], &["Method cannot be"]),
    (&[("Verify", "hash")], &[]),
    (&[("Verify", "everything")], &["Verify cannot be"]),
];

#[test]
fn what_cannot_work_is_refused_before_anything_is_made() {
    for (given, words) in REFUSED {
        let faults = deployed(given).err().unwrap_or_default();
        assert_eq!(faults.len(), words.len(), "{given:?}: {faults:?}");
        for (fault, words) in faults.iter().zip(*words) {
            assert!(fault.starts_with(words), "{given:?}: {fault}");
        }
    }
}

/// What the test of the image starts is all that the task definition says.
#[test]
fn docker_runs_the_container_as_it_is_defined() {
    let given = [
        ("SourceLogin", "injected"),
        ("SourceHost", "source"),
        ("SourceUser", "loader"),
    ];
    let (options, command) = run_arguments(&container(&deployed(&given).unwrap()));
    for option in [
        "--user=postgres",
        "--read-only=true",
        "--init=true",
        "--cap-drop=ALL",
        "--stop-timeout=120",
        "--tmpfs=/run/schemaferry:nosuid,nodev,noexec,uid=70,gid=70,mode=0700,size=256m",
        "--env=RUN_DIR=/run/schemaferry",
        "--env=SOURCE_HOST=source",
        "--env=SOURCE_PASSWORD",
    ] {
        assert!(
            options.iter().any(|found| found == option),
            "{option} is not in {options:?}"
        );
    }
    // The image's own, or the state machine's.
    assert_eq!(command, Vec::<String>::new());
}

/// What `deploy/samconfig.example.toml` gives is what matters, and enough.
#[test]
fn the_example_of_an_answer_is_one() {
    let example = include_str!("../../deploy/samconfig.example.toml");
    let (_, given) = example.split_once("parameter_overrides = [").unwrap();
    let given: Vec<(&str, &str)> = given
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .map(|pair| pair.split_once('=').unwrap())
        .collect();
    assert_eq!(given.len(), 9);
    let stack = TEMPLATE.deploy(&given).unwrap();
    for (name, value) in given {
        let made = [
            container(&stack).to_string(),
            stack.resource("StateMachine").unwrap().to_string(),
            stack.resource("ExecutionRole").unwrap().to_string(),
        ];
        assert!(made.concat().contains(value), "{name} does nothing");
    }
}

/// A tmpfs is root's, with the mode of the directory below it, unless its options say otherwise.
#[test]
fn the_run_directory_belongs_to_the_worker() {
    let mount = &container(&stack())["LinuxParameters"]["Tmpfs"][0];
    assert_eq!(mount["ContainerPath"], "/run/schemaferry");
    let options: Vec<&str> = mount["MountOptions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let Some(tmpfs) = Tmpfs::mount_with(directory.path(), &options.join(",")) else {
        return;
    };
    let made = fs::metadata(tmpfs.path()).unwrap();
    assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (70, 70, 0o700));
}

/// What outlives a stack is in the next one's way neither by its name nor after a creation that failed.
#[test]
fn a_stack_can_be_made_again() {
    assert!(!TEXT.contains("DeletionPolicy: Retain\n"));
    let stack = stack();
    let groups = stack.of_type("AWS::Logs::LogGroup");
    assert_eq!(groups.len(), TEXT.matches("DeletionPolicy: Retain").count());
    for group in groups {
        let properties = stack.resource(group).unwrap();
        let name = text(&properties, "LogGroupName");
        assert!(
            name.is_empty() || name.ends_with(&format!("-{STACK_ID}")),
            "{group} is called {name}"
        );
    }
}

/// A server may let in a group that is given, and the endpoints let in the one that is made.
#[test]
fn tasks_are_in_the_groups_that_are_given_and_made() {
    let made = "sg-ferry-TaskSecurityGroup-X1Y2";
    for (vpc, given, groups) in [
        ("", "sg-a,sg-b", "sg-a,sg-b".to_owned()),
        ("vpc-0a1b2c3d", "", made.to_owned()),
        ("vpc-0a1b2c3d", "sg-a,sg-b", format!("{made},sg-a,sg-b")),
    ] {
        let stack = deployed(&[("VpcId", vpc), ("SecurityGroups", given)]).unwrap();
        let machine = stack.resource("StateMachine").unwrap();
        assert_eq!(machine["DefinitionSubstitutions"]["SecurityGroups"], groups);
    }
}

/// Private names of endpoints are those of the whole VPC: what they do not let in is cut off.
#[test]
fn endpoints_let_in_whoever_is_in_the_vpc() {
    let given = [
        ("VpcId", "vpc-0a1b2c3d"),
        ("Endpoints", "create"),
        ("RouteTables", "rtb-0a1b2c3d"),
    ];
    let stack = deployed(&given).unwrap();
    assert_eq!(stack.of_type("AWS::EC2::VPCEndpoint").len(), 5);
    let group = stack.resource("EndpointSecurityGroup").unwrap();
    let ingress = group["SecurityGroupIngress"].as_array().unwrap();
    assert!(
        ingress
            .iter()
            .all(|rule| rule["FromPort"] == 443 && rule["ToPort"] == 443)
    );
    let from: BTreeSet<&str> = ingress
        .iter()
        .flat_map(|rule| [text(rule, "CidrIp"), text(rule, "SourceSecurityGroupId")])
        .filter(|from| !from.is_empty())
        .collect();
    let expected = [
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "sg-ferry-TaskSecurityGroup-X1Y2",
    ];
    assert_eq!(from, BTreeSet::from(expected));
}

/// An update leaves the definition that executions have begun with, in the family that the role may run.
#[test]
fn an_update_leaves_what_executions_run() {
    let stack = stack();
    assert_eq!(stack.reference("TaskDefinition"), DEFINITION_ARN);
    let machine = stack.resource("StateMachine").unwrap();
    let given = &machine["DefinitionSubstitutions"]["TaskDefinition"];
    assert_eq!(given, DEFINITION_ARN);
    let definition = TEXT.split("\n  TaskDefinition:\n").nth(1).unwrap();
    let (head, _) = definition.split_once("    Properties:\n").unwrap();
    assert!(head.contains("UpdateReplacePolicy: Retain\n"), "{head}");
}

const GROUP: &str = "arn:aws:logs:eu-central-1:123456789012:log-group:ferry-LogGroup-X1Y2";
const STREAM: &str = "arn:aws:logs:eu-central-1:123456789012:log-group:ferry-LogGroup-X1Y2:log-stream:worker/worker/0123456789abcdef";
const OTHER_STREAM: &str = "arn:aws:logs:eu-central-1:123456789012:log-group:ferry-LogGroup-X1Y2-other:log-stream:worker/worker/0123456789abcdef";
const TASK: &str = "arn:aws:ecs:eu-central-1:123456789012:task/ferry-Cluster-X1Y2/0123456789abcdef";
const CLUSTER: (&str, &str) = (
    "ecs:cluster",
    "arn:aws:ecs:eu-central-1:123456789012:cluster/ferry-Cluster-X1Y2",
);
const DEFINITION_ARN: &str = "arn:aws:ecs:eu-central-1:123456789012:task-definition/ferry:1";
const RULE: &str = "arn:aws:events:eu-central-1:123456789012:rule/StepFunctionsGetEventsForECSTaskRule";
const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:ferry-Topic-X1Y2";
const TOPIC_KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/ferry-TopicKey-X1Y2";
const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d";
const MACHINE: &str = "arn:aws:states:eu-central-1:123456789012:stateMachine:StateMachine-X1Y2";
const LOGIN: &str = "arn:aws:rds-db:eu-central-1:123456789012:dbuser:cluster-ABC/loader";

const TO_ECS: Pairs = &[("iam:PassedToService", "ecs-tasks.amazonaws.com")];
const BY_SECRETS_MANAGER: Pairs = &[("kms:ViaService", "secretsmanager.eu-central-1.amazonaws.com")];
const BY_SNS: Pairs = &[("kms:ViaService", "sns.eu-central-1.amazonaws.com")];

/// What is asked of IAM while schemas move, and what must not be had: a role, its call, and whether it may. The
/// source's password is injected, the target's is read by the worker.
const PERMISSIONS: &[(&str, &str, &str, Pairs, bool)] = &[
    ("ExecutionRole", "logs:CreateLogStream", STREAM, &[], true),
    ("ExecutionRole", "logs:PutLogEvents", STREAM, &[], true),
    ("ExecutionRole", "logs:PutLogEvents", OTHER_STREAM, &[], false),
    ("ExecutionRole", "logs:CreateLogGroup", GROUP, &[], false),
    ("ExecutionRole", "ecr:GetAuthorizationToken", "*", &[], true),
    ("ExecutionRole", "ecr:BatchGetImage", REPOSITORY, &[], true),
    (
        "ExecutionRole",
        "ecr:GetDownloadUrlForLayer",
        REPOSITORY,
        &[],
        true,
    ),
    (
        "ExecutionRole",
        "ecr:BatchCheckLayerAvailability",
        REPOSITORY,
        &[],
        true,
    ),
    (
        "ExecutionRole",
        "ecr:BatchGetImage",
        "arn:aws:ecr:eu-central-1:123456789012:repository/schemaferry-other",
        &[],
        false,
    ),
    ("ExecutionRole", "ecr:PutImage", REPOSITORY, &[], false),
    (
        "ExecutionRole",
        "secretsmanager:GetSecretValue",
        SOURCE_SECRET,
        &[],
        true,
    ),
    (
        "ExecutionRole",
        "secretsmanager:GetSecretValue",
        TARGET_SECRET,
        &[],
        false,
    ),
    ("ExecutionRole", "kms:Decrypt", KEY, BY_SECRETS_MANAGER, true),
    ("ExecutionRole", "kms:Decrypt", KEY, &[], false),
    (
        "TaskRole",
        "secretsmanager:GetSecretValue",
        TARGET_SECRET,
        &[],
        true,
    ),
    (
        "TaskRole",
        "secretsmanager:GetSecretValue",
        SOURCE_SECRET,
        &[],
        false,
    ),
    ("TaskRole", "logs:PutLogEvents", STREAM, &[], false),
    ("TaskRole", "rds-db:connect", LOGIN, &[], false),
    (
        "TaskRole",
        "s3:PutObject",
        "arn:aws:s3:::reports/report-1.html",
        &[],
        false,
    ),
    (
        "StateMachineRole",
        "ecs:RunTask",
        DEFINITION_ARN,
        &[CLUSTER],
        true,
    ),
    ("StateMachineRole", "ecs:RunTask", DEFINITION_ARN, &[], false),
    (
        "StateMachineRole",
        "ecs:RunTask",
        "arn:aws:ecs:eu-central-1:223456789012:task-definition/ferry:2",
        &[CLUSTER],
        false,
    ),
    (
        "StateMachineRole",
        "ecs:RunTask",
        "arn:aws:ecs:eu-central-1:123456789012:task-definition/ferry2:1",
        &[CLUSTER],
        false,
    ),
    // An execution that began before the stack was updated, or before the one after that.
    (
        "StateMachineRole",
        "ecs:RunTask",
        "arn:aws:ecs:eu-central-1:123456789012:task-definition/ferry:7",
        &[CLUSTER],
        true,
    ),
    (
        "StateMachineRole",
        "ecs:TagResource",
        TASK,
        &[("ecs:CreateAction", "RunTask")],
        true,
    ),
    ("StateMachineRole", "ecs:DescribeTasks", TASK, &[CLUSTER], true),
    ("StateMachineRole", "ecs:StopTask", TASK, &[CLUSTER], true),
    (
        "StateMachineRole",
        "ecs:StopTask",
        "arn:aws:ecs:eu-central-1:123456789012:task/other-Cluster-X1Y2/0123456789abcdef",
        &[CLUSTER],
        false,
    ),
    (
        "StateMachineRole",
        "iam:PassRole",
        "arn:aws:iam::123456789012:role/ferry-ExecutionRole-X1Y2",
        TO_ECS,
        true,
    ),
    (
        "StateMachineRole",
        "iam:PassRole",
        "arn:aws:iam::123456789012:role/ferry-TaskRole-X1Y2",
        TO_ECS,
        true,
    ),
    (
        "StateMachineRole",
        "iam:PassRole",
        "arn:aws:iam::123456789012:role/ferry-TaskRole-X1Y2",
        &[("iam:PassedToService", "ec2.amazonaws.com")],
        false,
    ),
    (
        "StateMachineRole",
        "iam:PassRole",
        "arn:aws:iam::123456789012:role/ferry-StateMachineRole-X1Y2",
        TO_ECS,
        false,
    ),
    ("StateMachineRole", "events:PutRule", RULE, &[], true),
    ("StateMachineRole", "events:PutTargets", RULE, &[], true),
    ("StateMachineRole", "events:DescribeRule", RULE, &[], true),
    (
        "StateMachineRole",
        "events:PutRule",
        "arn:aws:events:eu-central-1:123456789012:rule/StepFunctionsGetEventsForECSTaskRule2",
        &[],
        false,
    ),
    ("StateMachineRole", "logs:GetLogEvents", STREAM, &[], true),
    ("StateMachineRole", "logs:GetLogEvents", OTHER_STREAM, &[], false),
    ("StateMachineRole", "sns:Publish", TOPIC, &[], true),
    (
        "StateMachineRole",
        "sns:Publish",
        "arn:aws:sns:eu-central-1:123456789012:ferry-Topic-X1Y22",
        &[],
        false,
    ),
    ("StateMachineRole", "kms:GenerateDataKey", TOPIC_KEY, BY_SNS, true),
    ("StateMachineRole", "kms:Decrypt", TOPIC_KEY, BY_SNS, true),
    ("StateMachineRole", "kms:Decrypt", KEY, BY_SNS, false),
    ("StateMachineRole", "logs:CreateLogDelivery", "*", &[], true),
    ("StateMachineRole", "xray:PutTraceSegments", "*", &[], true),
    (
        "StateMachineRole",
        "secretsmanager:GetSecretValue",
        TARGET_SECRET,
        &[],
        false,
    ),
    ("ScheduleRole", "states:StartExecution", MACHINE, &[], true),
    (
        "ScheduleRole",
        "states:StartExecution",
        "arn:aws:states:eu-central-1:123456789012:stateMachine:StateMachine-X1Y22",
        &[],
        false,
    ),
];

#[test]
fn roles_may_what_they_do_and_nothing_else() {
    let given = [
        ("ImageRepositoryArn", REPOSITORY),
        ("Schedule", "rate(7 days)"),
        ("SourceLogin", "injected"),
        ("SourceHost", "source"),
        ("SourceUser", "loader"),
        ("SourceSecretKmsKeyArn", KEY),
    ];
    let stack = deployed(&given).unwrap();
    for &(role, action, resource, context, allowed) in PERMISSIONS {
        let call = Call {
            action,
            resource,
            context,
        };
        let may = call.is_allowed_to(&stack.resource(role).unwrap());
        assert_eq!(may, allowed, "{role}: {call:?}");
    }
    let with_bucket = deployed(&[("ReportBucket", "reports")]).unwrap();
    let task = with_bucket.resource("TaskRole").unwrap();
    let ours: Pairs = &[("s3:ResourceAccount", "123456789012")];
    for (action, resource, context, allowed) in [
        ("s3:PutObject", "arn:aws:s3:::reports/report-1.html", ours, true),
        ("s3:PutObject", "arn:aws:s3:::reports/report-1.html", &[], false),
        ("s3:PutObject", "arn:aws:s3:::reports/other", ours, false),
        ("s3:PutObject", "arn:aws:s3:::reports2/report-1.html", ours, false),
        ("s3:GetObject", "arn:aws:s3:::reports/report-1.html", ours, false),
    ] {
        let call = Call {
            action,
            resource,
            context,
        };
        assert_eq!(call.is_allowed_to(&task), allowed, "{call:?}");
    }
    let by_iam = deployed(&[
        ("SourceLogin", "iam"),
        ("SourceHost", "source"),
        ("SourceUser", "loader"),
        ("SourceDbResourceId", "cluster-ABC"),
    ]);
    let task = by_iam.unwrap().resource("TaskRole").unwrap();
    for (resource, allowed) in [(LOGIN.to_owned(), true), (format!("{LOGIN}2"), false)] {
        let call = Call {
            action: "rds-db:connect",
            resource: &resource,
            context: &[],
        };
        assert_eq!(call.is_allowed_to(&task), allowed, "{call:?}");
    }
}

/// Who else publishes to the topic, and encrypts for it; EventBridge comes without any context.
#[test]
fn the_topic_takes_what_the_rule_and_the_alarm_say() {
    let stack = stack();
    let policy = stack.resource("TopicPolicy").unwrap();
    let key = stack.resource("TopicKey").unwrap();
    let alarm: &[_] = &[(
        "aws:SourceArn",
        "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:ferry-FailedAlarm-X1Y2",
    )];
    for (service, context, allowed) in [
        ("events.amazonaws.com", &[][..], true),
        ("cloudwatch.amazonaws.com", alarm, true),
        ("cloudwatch.amazonaws.com", &[], false),
        ("s3.amazonaws.com", &[], false),
    ] {
        let call = Call {
            action: "sns:Publish",
            resource: TOPIC,
            context,
        };
        let may = call.is_allowed_by(&policy["PolicyDocument"], Some(service));
        assert_eq!(may, allowed, "{service}");
        for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
            let call = Call {
                action,
                resource: TOPIC_KEY,
                context,
            };
            let may = call.is_allowed_by(&key["KeyPolicy"], Some(service));
            assert_eq!(may, service != "s3.amazonaws.com", "{service}");
        }
    }
}

/// Whether an event has what a pattern of EventBridge's asks for.
fn picks(pattern: &Value, event: &Value) -> bool {
    pattern
        .as_object()
        .unwrap()
        .iter()
        .all(|(field, wanted)| match (field.as_str(), wanted) {
            ("$or", Value::Array(ways)) => ways.iter().any(|way| picks(way, event)),
            (_, Value::Object(_)) => picks(wanted, &event[field]),
            _ => wanted.as_array().unwrap().iter().any(|wanted| {
                match (wanted.get("exists"), wanted.get("anything-but")) {
                    (Some(exists), _) => event.get(field).is_some() == exists.as_bool().unwrap(),
                    (_, Some(others)) => event
                        .get(field)
                        .is_some_and(|value| !others.as_array().unwrap().contains(value)),
                    _ => event.get(field) == Some(wanted),
                }
            }),
        })
}

#[test]
fn an_execution_that_ends_without_a_report_is_reported() {
    let rule = stack().resource("EndedWithoutReport").unwrap();
    for (status, error, machine, picked) in [
        ("SUCCEEDED", None, MACHINE, false),
        ("RUNNING", None, MACHINE, false),
        ("ABORTED", None, MACHINE, true),
        ("TIMED_OUT", Some("States.Timeout"), MACHINE, true),
        ("FAILED", Some("SchemasFailed"), MACHINE, false),
        ("FAILED", Some("BadInput"), MACHINE, true),
        ("FAILED", Some("States.Runtime"), MACHINE, true),
        ("FAILED", None, MACHINE, true),
        (
            "ABORTED",
            None,
            "arn:aws:states:eu-central-1:123456789012:stateMachine:other",
            false,
        ),
    ] {
        let mut detail = json!({"status": status, "stateMachineArn": machine});
        if let Some(error) = error {
            detail["error"] = error.into();
        }
        let event = json!({
            "source": "aws.states", "detail-type": "Step Functions Execution Status Change", "detail": detail,
        });
        assert_eq!(picks(&rule["EventPattern"], &event), picked, "{event}");
    }
    assert_eq!(rule["Targets"][0]["Arn"], TOPIC);
}

#[test]
fn the_dashboard_is_json_for_this_stack() {
    let dashboard = stack().resource("Dashboard").unwrap();
    let body: Value = serde_json::from_str(text(&dashboard, "DashboardBody")).unwrap();
    assert_eq!(body["widgets"].as_array().unwrap().len(), 5);
    assert!(body.to_string().contains("ferry-Cluster-X1Y2"));
}

/// A statement's comment says in words what its resources are; what is said with a star has to say so.
#[test]
fn no_statement_is_wider_than_its_comment() {
    let lines: Vec<&str> = TEXT.lines().map(str::trim).collect();
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
        let of_key = comment.contains("the key to this account's own policies");
        assert!(!actions.contains('*') || of_key, "{statement}");
        let any = resources.lines().next().unwrap_or_default().trim() == "\"*\"";
        assert_eq!(any, comment.contains("any resource"), "{comment}\n{statement}");
        // A star at the end is for streams of one group, tasks of one cluster, or reports in one bucket.
        let starred = resources.contains('*') && !any;
        let one = comment.contains("one log group")
            || comment.contains("log group")
            || comment.contains("one cluster")
            || comment.contains("reports into the one bucket");
        assert!(!starred || one, "{comment}\n{statement}");
        let by_service = statement.contains("Principal:");
        let alone = [
            ("iam:PassRole", "iam:PassedToService"),
            ("sts:AssumeRole", "aws:SourceAccount"),
            ("s3:PutObject", "s3:ResourceAccount"),
        ];
        for (action, condition) in alone {
            assert_eq!(
                statement.contains(action),
                statement.contains(condition),
                "{statement}"
            );
        }
        assert_eq!(
            statement.contains("kms:Decrypt") && !by_service,
            statement.contains("kms:ViaService"),
            "{statement}"
        );
    }
    assert_eq!(
        statements,
        lines.iter().filter(|line| line.starts_with("Action:")).count()
    );
}
