//! The state machine of `deploy/` where only its own decisions count: every exit code, inputs, and what fits.

use std::sync::Mutex;
use std::time::Instant;

use serde_json::{Value, json};
use testbed::Machine;
use testbed::fargate::{check_request, message};
use testbed::states::{Execution, Failure, Services};

use crate::aws::{PREPARE, SCALE, machine, outcomes};
use crate::rig::text;

/// The machine that `docs/aws.md` shows, for whoever wants just that.
#[test]
fn the_simple_machine_tries_everything_six_times() {
    let page = include_str!("../../docs/aws.md");
    let (_, text) = page.split_once("<!-- simple-machine -->\n```json\n").unwrap();
    let machine = Machine::new(text.split_once("```").unwrap().0, &[]);
    for (exit, runs) in [(0, 1), (77, 6)] {
        let account = Scripted::new(exit, "why");
        let execution = machine.execute("simple", &json!({"schemas": ["s"]}), &account, 10_000.0);
        assert_eq!(execution.ended.is_ok(), exit == 0);
        let scheduled = execution
            .events
            .iter()
            .filter(|(event, _)| *event == "TaskScheduled");
        assert_eq!(scheduled.count(), runs);
    }
}

/// An account in which every task ends with one exit code, and its log with one reason.
struct Scripted {
    exit: u64,
    reason: String,
    published: Mutex<Vec<Value>>,
}

impl Scripted {
    fn new(exit: u64, reason: &str) -> Self {
        Self {
            exit,
            reason: reason.to_owned(),
            published: Mutex::default(),
        }
    }

    /// The last report, as machines get it.
    fn report(&self) -> Value {
        let message = self.published.lock().unwrap().last().cloned().unwrap_or_default();
        serde_json::from_str(text(&message, "default")).unwrap_or_default()
    }

    fn run(&self, input: &Value) -> (Execution, Value) {
        let machine = machine(&[("MaxConcurrency", "40"), ("WindowSeconds", "500000")]);
        let execution = machine.execute("scripted", input, self, 1000.0);
        (execution, self.report())
    }
}

impl Services for Scripted {
    fn request(&self, resource: &str, arguments: &Value, _: Instant) -> Result<Value, Failure> {
        let task = json!({
            "TaskArn": "arn:aws:ecs:eu-central-1:123456789012:task/schemaferry/0123456789abcdef0123456789abcdef",
            "StopCode": "EssentialContainerExited", "StoppedReason": "Essential container in task exited",
            "Containers": [{"Name": "worker", "ExitCode": self.exit}],
        });
        match resource.rsplit_once(':').unwrap().1 {
            "runTask.sync" if self.exit == 0 => Ok(task),
            "runTask.sync" => Err(Failure::new("States.TaskFailed", task.to_string())),
            "getLogEvents" => {
                let mail = format!("Go: run of {}", self.reason);
                let record = json!({"msg": "run ended", "reason": self.reason, "mail": mail}).to_string();
                Ok(json!({"Events": [{"Message": record}]}))
            }
            _ => {
                self.published.lock().unwrap().push(message(arguments));
                Ok(json!({}))
            }
        }
    }
}

#[test]
fn every_exit_code_of_the_readme_is_handled_on_purpose() {
    let readme = include_str!("../../README.md");
    let (_, table) = readme.split_once("\n## Exit codes\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| {
        let [_, code, name, advice, _] = line
            .split(" | ")
            .flat_map(|cell| cell.split('|'))
            .collect::<Vec<_>>()[..]
        else {
            return None;
        };
        Some((
            code.trim().parse().ok()?,
            name.trim(),
            advice.contains("run it again with the same environment"),
        ))
    });
    let mut codes = Vec::new();
    // The kernel's, of which the README speaks below the table; and one that nobody knows.
    for (code, name, again) in rows.chain([(137, "killed", true), (1, "unexpected", false)]) {
        let (execution, report) = Scripted::new(code, "why").run(&json!({"schemas": ["s"]}));
        let attempts = if again { 5 } else { 1 };
        assert_eq!(
            outcomes(&report),
            [("s".to_owned(), name.to_owned(), attempts)],
            "{code}"
        );
        assert_eq!(execution.ended.is_ok(), code == 0, "{code}");
        codes.push(code);
    }
    assert_eq!(codes, [0, 64, 65, 70, 73, 74, 75, 77, 78, 130, 143, 137, 1]);
}

#[test]
fn nothing_begins_after_the_window() {
    // The second attempt ends some 25 s after the beginning, and a third could begin a minute later.
    for (window, outcome, attempts) in [("0", "too-late", 0), ("60", "transient", 2)] {
        let account = Scripted::new(75, "why");
        let machine = machine(&[("WindowSeconds", window)]);
        // Slowly: the time that the attempts take by themselves must not count.
        let execution = machine.execute(
            "late",
            &json!({"schemas": ["s"], "prepare": false}),
            &account,
            SCALE / 10.0,
        );
        assert!(execution.ended.is_err());
        assert_eq!(
            outcomes(&account.report()),
            [("s".to_owned(), outcome.to_owned(), attempts)]
        );
    }
}

/// What `docs/aws.md` says about the history, the report and the cause.
#[test]
fn five_hundred_schemas_fit() {
    let names = |length: usize| {
        (1..=500)
            .map(|number| format!("{number:0>length$}"))
            .collect::<Vec<_>>()
    };
    let reason = "a reason that goes on and on ".repeat(100);
    let full = "[{\"schema\":";
    for (count, length, exit, attempts, begins, all) in [
        (500, 63, 77, 1, "0000", false),
        (500, 20, 65, 1, "0000", true),
        (20, 20, 75, 5, full, true),
    ] {
        let names: Vec<String> = names(length).into_iter().take(count).collect();
        let (execution, report) =
            Scripted::new(exit, &reason).run(&json!({"schemas": names, "prepare": false, "report": false}));
        assert_eq!(report["failed"], count);
        let events = 20 + 10 * count + 10 * (attempts - 1) * count + 9 * count;
        assert_eq!(execution.events.len(), events);
        let cause = execution.ended.unwrap_err().cause.unwrap();
        assert!(cause.starts_with(begins), "{cause}");
        assert_eq!(cause.contains(&names[count - 1]), all, "{cause}");
    }
}

/// The same of what is well, with as long a text below it as a mail has.
#[test]
fn eleven_hundred_loaded_schemas_fit() {
    let names: Vec<String> = (0..1100).map(|number| format!("{number:020}")).collect();
    let (execution, report) =
        Scripted::new(0, &"line\n".repeat(2000)).run(&json!({"schemas": names, "prepare": false}));
    assert!(execution.ended.is_ok(), "{:?}", execution.ended);
    assert_eq!(report["loaded"], 1100);
}

#[test]
fn the_list_comes_from_the_template_where_the_input_has_none() {
    let (execution, report) = Scripted::new(0, "").run(&json!({}));
    assert!(execution.ended.is_ok());
    let expected = ["one", "two"].map(|name| (name.to_owned(), "ok".to_owned(), 1));
    assert_eq!(outcomes(&report), expected);
    assert_eq!(report["run_id"], "scripted");
}

#[test]
fn an_input_that_cannot_be_meant_starts_nothing() {
    for (input, words) in [
        (json!({"schemas": []}), "[]"),
        (json!({"schemas": ["a", "a"]}), "[]"),
        (json!({"schemas": [{"name": "a"}]}), "[\"name\"]"),
        (
            json!({"schemas": ["a", {"schema": "b", "memroy": 1}]}),
            "[\"memroy\"]",
        ),
        (json!({"schemas": [1]}), "[]"),
        (json!({"schemas": [""]}), "[]"),
        (json!({"schemas": "a", "runid": "b"}), "[\"runid\"]"),
        (json!({"schemas": ["a"], "prepare": "false"}), "[]"),
        (json!({"schemas": ["a"], "finalize": 0}), "[]"),
        (json!({"schemas": ["a"], "report": "no"}), "[]"),
        (json!({"schemas": ["a"], "freeze": "yes"}), "[]"),
        // The image runs a word that is a program's.
        (json!({"schemas": ["a"], "command": "env"}), "[]"),
        (json!({"schemas": ["a"], "command": "verfy"}), "[]"),
        (json!({"schemas": ["a"], "command": ["load", "env"]}), "[]"),
        // One task is told all of them.
        (json!({"schemas": ["a".repeat(3500), "b".repeat(3500)]}), "[]"),
    ] {
        let (execution, _) = Scripted::new(0, "").run(&input);
        let Err(Failure {
            error,
            cause: Some(cause),
        }) = execution.ended
        else {
            panic!("{input} is taken")
        };
        assert_eq!(error, "BadInput", "{input}: {cause}");
        assert!(cause.ends_with(words), "{input}: {cause}");
    }
}

/// What AWS itself puts into an input is no mistake.
#[test]
fn fields_of_aws_are_let_be() {
    let input = json!({
        "schemas": ["a"], "Comment": "Insert your JSON here",
        "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn:aws:states:eu-central-1:123456789012:execution:outer:1",
    });
    let (execution, report) = Scripted::new(0, "").run(&input);
    assert!(execution.ended.is_ok(), "{:?}", execution.ended);
    assert_eq!(report["loaded"], 1);
}

/// Text of any kind is cut by its bytes, and no further than it has to be.
#[test]
fn a_report_of_any_script_fits() {
    for (reason, shown) in [
        ("x".repeat(2000), 120),
        ("ü".repeat(2000), 30),
        ("😀".repeat(2000), 30),
        (format!("{}ü{}", "x".repeat(60), "x".repeat(2000)), 119),
    ] {
        let names: Vec<String> = (0..500).map(|number| format!("schema{number}")).collect();
        let (_, report) = Scripted::new(77, &reason).run(&json!({"schemas": names, "prepare": false}));
        let said = text(&report["schemas"][0], "reason");
        assert!(said.len() <= 120, "{said}");
        assert_eq!(said.chars().count(), shown, "{said}");
    }
}

/// One task is told all names and prepares, before any load begins; each load decides for itself, whatever became of that.
#[test]
fn one_task_prepares_for_all() {
    let schemas = json!(["a", {"schema": "\"b,c\",d", "cpu": 4096, "jobs": 2}]);
    let all = "a,\"b,c\",d";
    let cases: [(Ends, u64); 3] = [
        (|task| prepare_ends(task, 0), 0),
        (|task| prepare_ends(task, 73), 1),
        (|task| prepare_ends(task, 75), 1),
    ];
    for (ends, failed) in cases {
        let account = Scripted::new(0, "why");
        let (machine, by) = (machine(&[]), By(&account, ends));
        let execution = machine.execute("rehearsal", &json!({"schemas": schemas}), &by, 10_000.0);
        assert_eq!(execution.ended.is_ok(), failed == 0);
        let report = account.report();
        assert_eq!(
            (&report["loaded"], &report["failed"]),
            (&2.into(), &failed.into()),
            "{report}"
        );
        assert_eq!(report["schemas"][0]["schema"], PREPARE);
        let tasks: Vec<&Value> = execution
            .events
            .iter()
            .filter(|(event, _)| *event == "TaskScheduled")
            .map(|(_, shows)| shows)
            .collect();
        let first = &tasks[0]["Overrides"];
        let container = &first["ContainerOverrides"][0];
        assert_eq!(container["Command"], json!(["prepare"]));
        let told = container["Environment"].as_array().unwrap().iter();
        let told: Vec<_> = told.map(|one| (text(one, "Name"), text(one, "Value"))).collect();
        assert!(
            told.contains(&("SCHEMA_NAME", all)) && told.contains(&("RUN_ID", "rehearsal")),
            "{told:?}"
        );
        assert!(
            !told
                .iter()
                .any(|(name, _)| ["RUN_SCHEMAS", "JOBS"].contains(name)),
            "{told:?}"
        );
        assert_eq!(first.get("Cpu"), None);
    }
    for input in [
        json!({"schemas": schemas, "prepare": false, "finalize": false, "report": false}),
        json!({"schemas": schemas, "command": "verify"}),
    ] {
        let (_, report) = Scripted::new(0, "").run(&input);
        assert_eq!(
            (&report["loaded"], report["schemas"].as_array().unwrap().len()),
            (&2.into(), 2)
        );
    }
}

/// How a task ends: only what prepares with this code.
fn prepare_ends(arguments: &Value, exit: u64) -> u64 {
    let command = arguments.pointer("/Overrides/ContainerOverrides/0/Command/0");
    if command.is_some_and(|word| word == "prepare") {
        exit
    } else {
        0
    }
}

/// A request names its own unit and what the run brings: both fit together, however long one of the list's is.
#[test]
fn long_names_and_the_list_fit_into_a_request() {
    for (length, quote, told) in [
        (63, "", 5000),
        (2000, "", 5000),
        (2400, "", 4600),
        (2400, "\"", 4600),
        (6500, "", 500),
        (7500, "", 0),
    ] {
        let name = |number| format!("{quote}{number:060}{quote}");
        let others: Vec<String> = (0..100).map(name).collect();
        for place in [0, 50] {
            let mut names = others.clone();
            names.insert(place, "n".repeat(length));
            let account = Scripted::new(0, "");
            let input = json!({"schemas": names, "prepare": false, "finalize": false, "report": false});
            let execution = machine(&[]).execute("long", &input, &account, 1000.0);
            let mut lists = Vec::new();
            for (event, shows) in &execution.events {
                if *event == "TaskScheduled" && shows.get("Overrides").is_some() {
                    check_request(shows);
                    let environment = &shows["Overrides"]["ContainerOverrides"][0]["Environment"];
                    let environment = environment.as_array().unwrap().iter();
                    let told = environment
                        .filter(|one| text(one, "Name") == "RUN_SCHEMAS")
                        .map(|one| text(one, "Value").to_owned());
                    lists.push(told.collect::<String>());
                }
            }
            assert_eq!(lists.len(), 101);
            // As much of it as fits, and no more.
            let list = &lists[0];
            assert!(lists.iter().all(|other| other == list));
            let takes = json!(list).to_string().len() - 2;
            assert!(takes <= told && takes + 65 >= told, "{length}: {takes}");
            assert!(
                list.split(',')
                    .all(|name| name.is_empty() || names.iter().any(|one| one == name))
            );
        }
    }
}

/// People get a line a schema: first what waits for them, then what passes by itself, then what is done; and what the last task
/// reports.
#[test]
fn a_mail_begins_with_the_worst() {
    let account = Scripted::new(0, "why it has failed");
    let machine = machine(&[("MaxConcurrency", "1"), ("Schemas", "done,later,wrong")]);
    let ends = |arguments: &Value| match text(
        &arguments["Overrides"]["ContainerOverrides"][0]["Environment"][0],
        "Value",
    ) {
        "done" | "done,later,wrong" => 0,
        "later" => 75,
        _ => 77,
    };
    let execution = machine.execute("sunday", &json!({}), &By(&account, ends), 10_000.0);
    let mail = account.published.lock().unwrap().pop().unwrap()["email"]
        .as_str()
        .unwrap()
        .to_owned();
    let lines: Vec<&str> = mail.lines().collect();
    let begins = [
        "load sunday: 2 of 5 tasks have failed",
        "",
        "denied              wrong: 1 attempt, ",
        "transient           later: 5 attempts, ",
        "ok                  prepare of all schemas: 1 attempt, ",
        "ok                  done: 1 attempt, ",
        "ok                  report of all schemas: 1 attempt, ",
        "",
        "arn:aws:states:",
        "",
        "Go: run of why it has failed",
    ];
    assert_eq!(lines.len(), begins.len(), "{mail}");
    for (line, begins) in lines.iter().zip(begins) {
        assert!(line.starts_with(begins), "{mail}");
    }
    assert!(lines[2].ends_with(", exit code 77: why it has failed"), "{mail}");
    assert!(execution.ended.is_err());
}

/// The exit code of a task with this request.
type Ends = fn(&Value) -> u64;

/// An account in which each task's request says how it ends.
struct By<'a>(&'a Scripted, Ends);

impl Services for By<'_> {
    fn request(&self, resource: &str, arguments: &Value, deadline: Instant) -> Result<Value, Failure> {
        if resource.ends_with("runTask.sync") {
            return Scripted::new((self.1)(arguments), "").request(resource, arguments, deadline);
        }
        self.0.request(resource, arguments, deadline)
    }
}

/// An account in which ECS refuses the first requests for a command, and who was asked for it.
struct Refusing {
    account: Scripted,
    command: &'static str,
    times: usize,
    error: &'static str,
    cause: &'static str,
    providers: Mutex<Vec<String>>,
}

impl Refusing {
    fn new(command: &'static str, times: usize, error: &'static str, cause: &'static str) -> Self {
        Self {
            account: Scripted::new(0, ""),
            command,
            times,
            error,
            cause,
            providers: Mutex::default(),
        }
    }
}

impl Services for Refusing {
    fn request(&self, resource: &str, arguments: &Value, deadline: Instant) -> Result<Value, Failure> {
        let command = arguments.pointer("/Overrides/ContainerOverrides/0/Command/0");
        if command.is_some_and(|word| word == self.command) {
            let mut providers = self.providers.lock().unwrap();
            let provider = arguments.pointer("/CapacityProviderStrategy/0/CapacityProvider");
            providers.push(provider.unwrap().as_str().unwrap().to_owned());
            if providers.len() <= self.times {
                return Err(Failure::new(self.error, self.cause));
            }
        }
        self.account.request(resource, arguments, deadline)
    }
}

const NO_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// What passes by itself is asked for again and costs no attempt, and what does not is asked for once.
#[test]
fn what_ecs_has_no_place_for_is_asked_for_again() {
    let quota = "You've reached the limit on the number of vCPUs you can run concurrently";
    let behind = "Error retrieving security group information for [sg-a]: Request limit exceeded. (ErrorCode: RequestLimitExceeded)";
    let no_right =
        "User: arn:aws:sts::123456789012:assumed-role/states is not authorized to perform: iam:PassRole";
    let no_provider = "The specified capacity provider 'FARGATE_SPOT' was not found.";
    for (error, cause, is_busy, asked_of_spot) in [
        ("ECS.AmazonECSException", NO_CAPACITY, true, 6),
        ("AmazonECS.Unknown", "RESOURCE:FARGATE", true, 6),
        ("ECS.ClientException", NO_CAPACITY, true, 6),
        ("ECS.ThrottlingException", quota, true, 8),
        ("ECS.ClientException", quota, true, 8),
        ("ECS.InvalidParameterException", behind, true, 8),
        ("ECS.ServerException", "Service Unavailable", true, 8),
        ("ECS.InvalidParameterException", no_provider, false, 1),
        ("ECS.AmazonECSException", no_right, false, 1),
    ] {
        let account = Refusing::new("load", 7, error, cause);
        let input = json!({"schemas": ["s"], "prepare": false, "report": false});
        let execution = machine(&[]).execute("busy", &input, &account, 1000.0);
        let expected = if is_busy {
            ("ok", &[11.0, 22.0, 45.0, 90.0, 180.0, 360.0, 675.0][..])
        } else {
            ("refused-by-ecs", &[][..])
        };
        let lines = outcomes(&account.account.report());
        let (outcome, waits) = expected;
        assert_eq!(
            lines,
            [("s".to_owned(), outcome.to_owned(), 1)],
            "{error}: {cause}"
        );
        assert_eq!(execution.waits, waits, "{error}: {cause}");
        let providers = account.providers.into_inner().unwrap();
        let of_spot = providers.iter().filter(|provider| *provider == "FARGATE_SPOT");
        assert_eq!(of_spot.count(), asked_of_spot, "{error}: {cause}: {providers:?}");
    }
}

#[test]
fn ecs_is_asked_until_the_window_is_over() {
    let account = Refusing::new("load", usize::MAX, "ECS.ThrottlingException", "Rate exceeded");
    let machine = machine(&[("WindowSeconds", "120")]);
    let input = json!({"schemas": ["s"], "prepare": false, "report": false});
    let execution = machine.execute("late", &input, &account, SCALE / 10.0);
    let lines = outcomes(&account.account.report());
    assert_eq!(lines, [("s".to_owned(), "refused-by-ecs".to_owned(), 1)]);
    // After these there is no time for one of two minutes; a slow machine has less.
    assert!(
        [11.0, 22.0, 45.0].starts_with(&execution.waits),
        "{:?}",
        execution.waits
    );
    assert!(!execution.waits.is_empty());
}

/// After an attempt ECS is asked as if for the first time.
#[test]
fn an_attempt_begins_the_waits_anew() {
    let account = Refusing::new("load", 2, "ECS.ThrottlingException", "Rate exceeded");
    let account = Refusing {
        account: Scripted::new(75, "why"),
        ..account
    };
    let input = json!({"schemas": ["s"], "prepare": false, "report": false});
    let again = Mutex::new(0);
    let execution = machine(&[]).execute("again", &input, &Alternating(&account, &again), 1000.0);
    let attempts = [22.0, 45.0, 90.0, 180.0]
        .iter()
        .flat_map(|attempt| [11.0, 22.0, *attempt]);
    let waits: Vec<f64> = attempts.chain([11.0, 22.0]).collect();
    assert_eq!(execution.waits, waits);
}

/// An account that refuses two requests before each that it takes.
struct Alternating<'a>(&'a Refusing, &'a Mutex<usize>);

impl Services for Alternating<'_> {
    fn request(&self, resource: &str, arguments: &Value, deadline: Instant) -> Result<Value, Failure> {
        if resource.ends_with("runTask.sync") {
            let mut asked = self.1.lock().unwrap();
            *asked += 1;
            if *asked % 3 == 1 {
                self.0.providers.lock().unwrap().clear();
            }
        }
        self.0.request(resource, arguments, deadline)
    }
}

/// People wait for the report: it does not wait for the end of the window, and begins after it too.
#[test]
fn the_report_waits_six_times_for_ecs() {
    for window in ["86400", "0"] {
        let account = Refusing::new("report", usize::MAX, "ECS.ThrottlingException", "Rate exceeded");
        let machine = machine(&[("WindowSeconds", window)]);
        let input = json!({"schemas": ["s"], "prepare": false, "finalize": false});
        let execution = machine.execute("report", &input, &account, 1000.0);
        assert_eq!(
            execution.waits,
            [11.0, 22.0, 45.0, 90.0, 180.0, 360.0],
            "{window}"
        );
        let report = account.account.report();
        let last = report["schemas"].as_array().unwrap().last().unwrap();
        assert_eq!(text(last, "outcome"), "refused-by-ecs", "{report}");
    }
}

/// What `docs/aws.md` says about the history where ECS has nothing for a whole window.
#[test]
fn a_shortage_of_a_whole_window_fits_into_the_history() {
    for (at_once, window, longest, most) in [
        ("1", 518_400, 900, 10_500),
        ("5", 86_400, 900, 8_900),
        ("40", 86_400, 3600, 21_000),
        ("40", 518_400, 21_600, 21_000),
    ] {
        let run = |times| {
            let account = Refusing::new("load", times, "ECS.AmazonECSException", NO_CAPACITY);
            let changes = [
                ("MaxConcurrency", at_once),
                ("WindowSeconds", &window.to_string()),
            ];
            let input = json!({"schemas": ["s"], "prepare": false, "report": false});
            machine(&changes).execute("shortage", &input, &account, 2.0 * f64::from(longest))
        };
        let (without, with) = (run(0), run(12));
        let events = (with.events.len() - without.events.len()) / with.waits.len();
        assert_eq!(events, 9);
        assert_eq!(with.waits.len(), 12);
        let last = (0.75 * f64::from(longest)).floor();
        assert_eq!(with.waits.last(), Some(&last));
        // Where each is the shortest that it can be, half of what stands in the machine; these are three quarters.
        let (mut waits, mut waited) = (0, 0.0);
        while waited < f64::from(window) {
            waited += with.waits.get(waits).unwrap_or(&last) / 1.5;
            waits += 1;
        }
        let places: usize = at_once.parse().unwrap();
        assert!(places * waits * events <= most, "{at_once}, {window}: {waits}");
    }
}
