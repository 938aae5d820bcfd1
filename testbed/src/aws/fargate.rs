//! An AWS account on this machine, as a state machine meets it: ECS that runs the real executable in answer to
//! `ecs:runTask.sync` and reports its end in AWS's shapes, the log group that its tasks write to, and a topic.

#![expect(
    clippy::indexing_slicing,
    reason = "a field that JSON lacks is null, which fails where it is used"
)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::states::{Failure, Services, check_fields, list, text};
use crate::worker::{Running, Worker};

/// What is between SIGTERM and SIGKILL; the task definition's `stopTimeout` is longer.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// For a phase that an event waits for.
const PATIENCE: Duration = Duration::from_mins(5);
/// Characters of a task's overrides.
const OVERRIDES_MAX: usize = 8192;
/// Bytes of a message, all protocols together.
const MESSAGE_MAX: usize = 256 * 1024;

/// What becomes of a task.
pub enum Fate {
    /// It runs to its end.
    Undisturbed,
    /// The request itself fails so.
    Refused(&'static str, &'static str),
    /// There is a task, but its container never starts, for this reason.
    NeverStarts(&'static str),
    /// As soon as the worker has ended this phase something happens; what ECS says of the end.
    Meets(&'static str, Event, Stop),
}

/// What happens to a running task.
pub type Event = Box<dyn Fn(&Running) + Send + Sync>;

/// What ECS says of a task's end.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    /// `StopCode`.
    pub code: &'static str,
    /// `StoppedReason`.
    pub reason: &'static str,
    /// `Reason` of the container.
    pub container: Option<&'static str>,
}

impl Stop {
    /// The container's process has ended.
    pub const EXITED: Self = Self {
        code: "EssentialContainerExited",
        reason: "Essential container in task exited",
        container: None,
    };

    /// Fargate takes back what it gave at the price of Spot.
    pub const SPOT: Self = Self {
        code: "SpotInterruption",
        reason: "Your Spot Task was interrupted.",
        container: None,
    };

    /// The task as DescribeTasks has it, in Step Functions' spelling.
    fn task(&self, id: &str, overrides: &Value, exit: Option<i32>) -> Value {
        let mut container = json!({"Name": "worker", "LastStatus": "STOPPED"});
        if let Some(exit) = exit {
            container["ExitCode"] = exit.into();
        }
        if let Some(reason) = self.container {
            container["Reason"] = reason.into();
        }
        json!({
            "TaskArn": format!("arn:aws:ecs:eu-central-1:123456789012:task/schemaferry/{id}"),
            "LastStatus": "STOPPED", "StopCode": self.code, "StoppedReason": self.reason,
            "Overrides": overrides, "Containers": [container],
        })
    }
}

/// An event that sends a signal.
#[must_use]
pub fn signal(signal: Signal) -> Event {
    Box::new(move |running| running.signal(signal))
}

/// The container of a schema's task.
type Start = Box<dyn Fn(&str) -> Worker + Sync>;

/// What becomes of a schema's n-th task.
type Decide = Box<dyn Fn(&str, usize) -> Fate + Sync>;

/// The account: a task definition, and what happens to each task.
pub struct Account {
    start: Start,
    fate: Decide,
    seen: Mutex<Seen>,
}

/// What the account has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Tasks that were asked for, by schema, or by what they do for all.
    pub requests: BTreeMap<String, usize>,
    /// Each task's overrides, in the order of the requests.
    pub overrides: Vec<Value>,
    /// Capacity providers in the order of the requests.
    pub providers: Vec<String>,
    /// Lines of standard output and standard error by log stream.
    pub logs: BTreeMap<String, Vec<String>>,
    /// Messages to the topic, as machines get them.
    pub published: Vec<String>,
    /// The same as people get them by mail.
    pub mails: Vec<String>,
    running: usize,
    /// The most tasks that ran at once.
    pub peak: usize,
}

impl Account {
    /// `start` is the container of a schema's task as the task definition has it at this moment; `fate` says what happens to the task
    /// that is asked for as the n-th of a schema, from 1.
    pub fn new(
        start: impl Fn(&str) -> Worker + Sync + 'static,
        fate: impl Fn(&str, usize) -> Fate + Sync + 'static,
    ) -> Self {
        Self {
            start: Box::new(start),
            fate: Box::new(fate),
            seen: Mutex::default(),
        }
    }

    /// What was seen, after the execution.
    #[must_use]
    pub fn seen(self) -> Seen {
        self.seen.into_inner().unwrap()
    }

    fn run_task(&self, arguments: &Value, deadline: Instant) -> Result<Value, Failure> {
        check_request(arguments);
        let overrides = &arguments["Overrides"];
        let container = &overrides["ContainerOverrides"][0];
        let variables: BTreeMap<&str, &str> = list(&container["Environment"])
            .iter()
            .map(|variable| (text(&variable["Name"]), text(&variable["Value"])))
            .collect();
        let schema = match text(&container["Command"][0]) {
            command @ ("finalize" | "report") => command,
            _ => variables["SCHEMA_NAME"],
        };
        let (number, id) = self.enter(schema, arguments);
        let failed = |task: Value| Err(Failure::new("States.TaskFailed", task.to_string()));
        let (after, event, stop) = match (self.fate)(schema, number) {
            Fate::Refused(error, cause) => return Err(Failure::new(error, cause)),
            Fate::NeverStarts(reason) => {
                let (code, container) = ("TaskFailedToStart", None);
                let stop = Stop {
                    code,
                    reason,
                    container,
                };
                return failed(stop.task(&id, overrides, None));
            }
            Fate::Undisturbed => ("", None, Stop::EXITED),
            Fate::Meets(after, event, stop) => (after, Some(event), stop),
        };
        let set = |worker: Worker, (name, value): (&&str, &&str)| worker.env(*name, *value);
        let worker = variables.iter().fold((self.start)(schema), set);
        let arguments = list(&container["Command"]).iter();
        let worker = arguments.fold(worker, |worker, argument| worker.arg(text(argument)));
        self.count(1);
        let mut running = worker.spawn();
        if let Some(event) = event {
            let done = |record: &Value| record["msg"] == "phase done" && record["phase"] == after;
            let _record = running.wait_for_record(done, PATIENCE);
            event(&running);
        }
        let in_time = running.ends_before(deadline);
        if !in_time {
            running.signal(Signal::SIGTERM);
            if !running.ends_before(Instant::now() + STOP_TIMEOUT) {
                running.signal(Signal::SIGKILL);
            }
        }
        let output = running.wait();
        self.count(-1);
        let lines = output
            .stdout
            .lines()
            .chain(output.stderr.lines())
            .map(str::to_owned);
        let stream = format!("worker/worker/{id}");
        self.seen.lock().unwrap().logs.insert(stream, lines.collect());
        // A container's number for a signal.
        let exit = if output.exit < 0 {
            128 - output.exit
        } else {
            output.exit
        };
        let task = stop.task(&id, overrides, Some(exit));
        match exit {
            _ if !in_time => Err(Failure {
                error: "States.Timeout".to_owned(),
                cause: None,
            }),
            0 => Ok(task),
            _ => failed(task),
        }
    }

    /// Takes note of a request: the how manieth of the schema it is, and the task's id.
    fn enter(&self, schema: &str, arguments: &Value) -> (usize, String) {
        let mut seen = self.seen.lock().unwrap();
        let requests = seen.requests.entry(schema.to_owned()).or_default();
        *requests += 1;
        let number = *requests;
        seen.overrides.push(arguments["Overrides"].clone());
        let provider = &arguments["CapacityProviderStrategy"][0]["CapacityProvider"];
        seen.providers.push(text(provider).to_owned());
        (number, format!("{:032x}", seen.overrides.len()))
    }

    fn count(&self, change: isize) {
        let mut seen = self.seen.lock().unwrap();
        seen.running = seen.running.strict_add_signed(change);
        seen.peak = seen.peak.max(seen.running);
    }

    fn log_events(&self, arguments: &Value) -> Result<Value, Failure> {
        check_fields(
            arguments,
            "getLogEvents",
            &["LogGroupName", "LogStreamName", "Limit"],
        );
        let seen = self.seen.lock().unwrap();
        let Some(lines) = seen.logs.get(text(&arguments["LogStreamName"])) else {
            return Err(Failure::new(
                "CloudWatchLogs.ResourceNotFoundException",
                "no such stream",
            ));
        };
        let limit = usize::try_from(arguments["Limit"].as_u64().unwrap()).unwrap();
        let newest = lines.len().saturating_sub(limit);
        let events: Vec<Value> = lines
            .iter()
            .skip(newest)
            .map(|line| json!({"Message": line}))
            .collect();
        Ok(json!({"Events": events}))
    }

    fn publish(&self, arguments: &Value) -> Value {
        let message = message(arguments);
        let mut seen = self.seen.lock().unwrap();
        seen.published.push(text(&message["default"]).to_owned());
        seen.mails.push(text(&message["email"]).to_owned());
        json!({"MessageId": "1"})
    }
}

/// A request's message by protocol. Panics where SNS would refuse it.
#[must_use]
pub fn message(arguments: &Value) -> Value {
    let known = ["TopicArn", "Subject", "Message", "MessageStructure"];
    check_fields(arguments, "publish", &known);
    let subject = text(&arguments["Subject"]);
    assert!(
        subject.is_ascii() && (1..=100).contains(&subject.len()),
        "{subject}"
    );
    assert_eq!(arguments["MessageStructure"], "json");
    let message = text(&arguments["Message"]);
    assert!(message.len() <= MESSAGE_MAX, "{} bytes of message", message.len());
    serde_json::from_str(message).unwrap()
}

impl Services for Account {
    fn request(&self, resource: &str, arguments: &Value, deadline: Instant) -> Result<Value, Failure> {
        match resource {
            "arn:aws:states:::ecs:runTask.sync" => self.run_task(arguments, deadline),
            "arn:aws:states:::aws-sdk:cloudwatchlogs:getLogEvents" => self.log_events(arguments),
            "arn:aws:states:::sns:publish" => Ok(self.publish(arguments)),
            other => panic!("{other} is not known"),
        }
    }
}

/// Panics where ECS would refuse the request, or where a field is not known here.
pub fn check_request(arguments: &Value) {
    let known = [
        "Cluster",
        "TaskDefinition",
        "PlatformVersion",
        "PropagateTags",
        "CapacityProviderStrategy",
        "NetworkConfiguration",
        "Overrides",
    ];
    check_fields(arguments, "runTask", &known);
    let network = &arguments["NetworkConfiguration"]["AwsvpcConfiguration"];
    check_fields(
        network,
        "AwsvpcConfiguration",
        &["Subnets", "SecurityGroups", "AssignPublicIp"],
    );
    for field in ["Subnets", "SecurityGroups"] {
        assert!(list(&network[field]).iter().all(Value::is_string), "{network}");
    }
    let overrides = &arguments["Overrides"];
    check_fields(overrides, "Overrides", &["Cpu", "Memory", "ContainerOverrides"]);
    assert!(
        overrides.to_string().chars().count() <= OVERRIDES_MAX,
        "{overrides}"
    );
    for container in list(&overrides["ContainerOverrides"]) {
        check_fields(
            container,
            "ContainerOverride",
            &["Name", "Command", "Environment"],
        );
        assert_eq!(container["Name"], "worker");
        assert!(
            list(&container["Command"]).iter().all(Value::is_string),
            "{container}"
        );
        for variable in list(&container["Environment"]) {
            check_fields(variable, "KeyValuePair", &["Name", "Value"]);
            assert!(variable["Value"].is_string(), "{variable}");
        }
    }
    for field in ["Cpu", "Memory"] {
        assert!(overrides.get(field).is_none_or(Value::is_string), "{overrides}");
    }
}
