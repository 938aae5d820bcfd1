//! Step Functions, as much of it as a state machine of this project uses: JSONata, by the rules of Amazon States
//! Language. Whatever state, field or service it does not know is a panic, so that nothing is skipped in silence.
//!
//! Time is scaled: a wait of the machine takes a fraction of what it says. `$random` is one half, so that delays can
//! be foretold.

#![expect(
    clippy::indexing_slicing,
    reason = "a field that JSON lacks is null, which fails where it is used"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jsonata_core::evaluator::{Context, Evaluator, EvaluatorError};
use jsonata_core::parser;
use jsonata_core::value::JValue;
use serde_json::{Map, Value, json};

/// The state machine of `deploy/`.
pub const DEFINITION: &str = include_str!("../../../deploy/state-machine.asl.json");
/// What the template puts into it, for [`crate::Account`].
pub const SUBSTITUTIONS: [(&str, &str); 13] = [
    ("Schemas", "one,two"),
    ("WindowSeconds", "86400"),
    ("TaskSeconds", "21600"),
    ("MaxConcurrency", "5"),
    (
        "Cluster",
        "arn:aws:ecs:eu-central-1:123456789012:cluster/schemaferry",
    ),
    (
        "TaskDefinition",
        "arn:aws:ecs:eu-central-1:123456789012:task-definition/schemaferry:1",
    ),
    ("CapacityProvider", "FARGATE_SPOT"),
    ("Subnets", "subnet-a,subnet-b"),
    ("SecurityGroups", "sg-a"),
    ("AssignPublicIp", "DISABLED"),
    ("LogGroup", "/schemaferry"),
    ("Topic", "arn:aws:sns:eu-central-1:123456789012:schemaferry"),
    ("TimeZone", "Europe/Berlin"),
];

/// Bytes of a state's input, output or variable.
const DATA_MAX: usize = 256 * 1024;
/// Characters of a cause.
const CAUSE_MAX: usize = 32_768;
/// Events of one execution.
const HISTORY_MAX: usize = 25_000;
/// Bytes of a definition.
const DEFINITION_MAX: usize = 1024 * 1024;
/// Errors that no wildcard covers.
const UNCOVERED: [&str; 2] = ["States.DataLimitExceeded", "States.Runtime"];

/// What a state may say, beside `Type` and `Comment`.
const FIELDS: &[(&str, &[&str])] = &[
    ("Pass", &["Assign", "Output", "Next", "End"]),
    ("Choice", &["Choices", "Assign", "Default"]),
    ("Wait", &["Seconds", "Assign", "Next", "End"]),
    ("Succeed", &[]),
    ("Fail", &["Error", "Cause"]),
    (
        "Map",
        &[
            "Items",
            "MaxConcurrency",
            "ItemProcessor",
            "Assign",
            "Output",
            "Next",
            "End",
        ],
    ),
    (
        "Task",
        &[
            "Resource",
            "TimeoutSeconds",
            "Arguments",
            "Retry",
            "Catch",
            "Assign",
            "Output",
            "Next",
            "End",
        ],
    ),
];

/// The services that tasks ask.
pub trait Services: Sync {
    /// Answers a task's request. What has not ended by `deadline` is stopped and fails with `States.Timeout`.
    ///
    /// # Errors
    /// As the service would, in Step Functions' words.
    fn request(&self, resource: &str, arguments: &Value, deadline: Instant) -> Result<Value, Failure>;
}

/// What a state or an execution fails with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its name, such as `States.TaskFailed`.
    pub error: String,
    /// Its text, where there is one.
    pub cause: Option<String>,
}

impl Failure {
    /// A failure with a cause.
    #[must_use]
    pub fn new(error: &str, cause: impl Into<String>) -> Self {
        Self {
            error: error.to_owned(),
            cause: Some(cause.into()),
        }
    }
}

/// A state machine, its substitutions made.
#[derive(Debug)]
pub struct Machine {
    definition: Value,
}

/// What an execution has come to.
#[derive(Debug)]
pub struct Execution {
    /// Its output, or what it failed with.
    pub ended: Result<Value, Failure>,
    /// Its history: the type of each event, and what the event shows.
    pub events: Vec<(&'static str, Value)>,
    /// Seconds that were waited, by Wait states and before retries, unscaled.
    pub waits: Vec<f64>,
}

impl Machine {
    /// The one of `deploy/`, with some substitutions changed.
    #[must_use]
    pub fn of_deploy(changes: &[(&str, &str)]) -> Self {
        let given: BTreeMap<&str, &str> = SUBSTITUTIONS.iter().chain(changes).copied().collect();
        Self::new(DEFINITION, &given.into_iter().collect::<Vec<_>>())
    }

    /// Reads a definition, with `${…}` replaced as CloudFormation does it.
    #[must_use]
    pub fn new(text: &str, substitutions: &[(&str, &str)]) -> Self {
        let text = substitutions.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("${{{name}}}"), value)
        });
        assert!(!text.contains("${"), "a substitution is lacking: {text}");
        assert!(text.len() <= DEFINITION_MAX, "the definition is too long");
        let definition = serde_json::from_str(&text).unwrap();
        let known = ["Comment", "QueryLanguage", "TimeoutSeconds", "StartAt", "States"];
        check_fields(&definition, "the machine", &known);
        assert_eq!(definition["QueryLanguage"], "JSONata");
        check_states(&definition);
        Self { definition }
    }

    /// Runs it to its end; an hour of the machine takes an hour divided by `scale`.
    pub fn execute(&self, name: &str, input: &Value, services: &dyn Services, scale: f64) -> Execution {
        let run = Run {
            name,
            services,
            scale,
            started: Instant::now(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap(),
            history: Mutex::default(),
            waits: Mutex::default(),
        };
        run.record("ExecutionStarted", input);
        let limit = number(&self.definition["TimeoutSeconds"]);
        let mut ended = run.states(&self.definition, Scope::default(), input.clone());
        if run.millis() - run.epoch.as_secs_f64() * 1000.0 > limit * 1000.0 {
            ended = Err(Failure::new("States.Timeout", ""));
        }
        match &ended {
            Ok(output) => run.record("ExecutionSucceeded", output),
            Err(failure) => {
                let cause = failure.cause.as_deref().unwrap_or_default();
                assert!(cause.chars().count() <= CAUSE_MAX, "the cause is too long");
                run.record("ExecutionFailed", &json!([failure.error, cause]));
            }
        }
        Execution {
            ended,
            events: run.history.into_inner().unwrap(),
            waits: run.waits.into_inner().unwrap(),
        }
    }
}

/// Variables: those of the states around a Map are seen inside of it, and cannot be assigned there.
#[derive(Debug, Clone, Default)]
struct Scope {
    variables: BTreeMap<String, Value>,
    outer: BTreeSet<String>,
    /// `Map` of the context object.
    item: Value,
}

/// What `$states` holds beside the context.
type Bound<'a> = [(&'static str, &'a Value)];

struct Run<'a> {
    name: &'a str,
    services: &'a dyn Services,
    scale: f64,
    started: Instant,
    /// When it began, as time since 1970.
    epoch: Duration,
    history: Mutex<Vec<(&'static str, Value)>>,
    waits: Mutex<Vec<f64>>,
}

/// Where a state leads: another state or the end, and the output.
type Step = (Option<String>, Value);

impl Run<'_> {
    fn record(&self, event: &'static str, shows: &Value) {
        let mut history = self.history.lock().unwrap();
        history.push((event, shows.clone()));
        assert!(history.len() <= HISTORY_MAX, "the history is too long");
    }

    /// The time of the machine, in milliseconds since 1970.
    fn millis(&self) -> f64 {
        (self.epoch.as_secs_f64() + self.started.elapsed().as_secs_f64() * self.scale) * 1000.0
    }

    fn wait(&self, seconds: f64) {
        self.waits.lock().unwrap().push(seconds);
        thread::sleep(Duration::from_secs_f64(seconds / self.scale));
    }

    fn states(&self, machine: &Value, mut scope: Scope, input: Value) -> Result<Value, Failure> {
        let (mut at, mut data) = (text(&machine["StartAt"]).to_owned(), input);
        loop {
            let state = &machine["States"][&at];
            let (entered, exited) = match text(&state["Type"]) {
                "Pass" => ("PassStateEntered", "PassStateExited"),
                "Choice" => ("ChoiceStateEntered", "ChoiceStateExited"),
                "Wait" => ("WaitStateEntered", "WaitStateExited"),
                "Succeed" => ("SucceedStateEntered", "SucceedStateExited"),
                "Fail" => ("FailStateEntered", ""),
                "Map" => ("MapStateEntered", "MapStateExited"),
                _ => ("TaskStateEntered", "TaskStateExited"),
            };
            self.record(entered, &data);
            let (next, output) = self.step(state, &mut scope, &data)?;
            limited(&output)?;
            self.record(exited, &output);
            match next {
                Some(next) => (at, data) = (next, output),
                None => return Ok(output),
            }
        }
    }

    fn step(&self, state: &Value, scope: &mut Scope, input: &Value) -> Result<Step, Failure> {
        let bound: &Bound<'_> = &[("input", input)];
        match text(&state["Type"]) {
            "Pass" => self.leave(state, scope, input, bound),
            "Succeed" => Ok((None, input.clone())),
            "Fail" => {
                let part = |name| self.render(&state[name], scope, bound);
                Err(Failure::new(text(&part("Error")?), text(&part("Cause")?)))
            }
            "Wait" => {
                self.wait(number(&self.render(&state["Seconds"], scope, bound)?));
                self.leave(state, scope, input, bound)
            }
            "Choice" => {
                for rule in list(&state["Choices"]) {
                    let holds = self.render(&rule["Condition"], scope, bound)?;
                    let Some(holds) = holds.as_bool() else {
                        return Err(evaluation(&format!("a condition is {holds}")));
                    };
                    if holds {
                        return self.leave(rule, scope, input, bound);
                    }
                }
                let (_, output) = self.leave(state, scope, input, bound)?;
                Ok((Some(text(&state["Default"]).to_owned()), output))
            }
            "Map" => self.map(state, scope, input),
            _ => self.task(state, scope, input),
        }
    }

    /// Assigns and puts out; both see the variables as they were before.
    fn leave(
        &self,
        state: &Value,
        scope: &mut Scope,
        result: &Value,
        bound: &Bound<'_>,
    ) -> Result<Step, Failure> {
        let output = match state.get("Output") {
            Some(output) => self.render(output, scope, bound)?,
            None => result.clone(),
        };
        if let Some(assign) = state.get("Assign") {
            let Value::Object(assigned) = self.render(assign, scope, bound)? else {
                panic!("Assign is no object: {assign}")
            };
            for (name, value) in assigned {
                assert!(
                    !scope.outer.contains(&name),
                    "{name} belongs to the states outside"
                );
                limited(&value)?;
                scope.variables.insert(name, value);
            }
        }
        Ok((state.get("Next").map(|next| text(next).to_owned()), output))
    }

    fn map(&self, state: &Value, scope: &mut Scope, input: &Value) -> Result<Step, Failure> {
        let bound: &Bound<'_> = &[("input", input)];
        let items = self.render(&state["Items"], scope, bound)?;
        let at_once = self
            .render(&state["MaxConcurrency"], scope, bound)?
            .as_u64()
            .unwrap();
        let waiting: Mutex<VecDeque<_>> = Mutex::new(list(&items).iter().enumerate().collect());
        let results = Mutex::new(BTreeMap::new());
        self.record("MapStateStarted", &json!(list(&items).len()));
        let work = || {
            let next = || waiting.lock().unwrap().pop_front();
            while let Some((index, item)) = next() {
                self.record("MapIterationStarted", &json!(index));
                let inner = Scope {
                    variables: scope.variables.clone(),
                    outer: scope.variables.keys().cloned().collect(),
                    item: json!({"Item": {"Index": index, "Value": item}}),
                };
                let ended = self.states(&state["ItemProcessor"], inner, item.clone());
                let event = if ended.is_ok() {
                    "MapIterationSucceeded"
                } else {
                    "MapIterationFailed"
                };
                self.record(event, &json!(index));
                results.lock().unwrap().insert(index, ended);
            }
        };
        thread::scope(|threads| {
            for _ in 0..at_once {
                threads.spawn(work);
            }
        });
        let results: Result<Vec<Value>, Failure> = results.into_inner().unwrap().into_values().collect();
        let result = Value::from(results?);
        limited(&result)?;
        self.record("MapStateSucceeded", &Value::Null);
        self.leave(state, scope, &result, &[("input", input), ("result", &result)])
    }

    fn task(&self, state: &Value, scope: &mut Scope, input: &Value) -> Result<Step, Failure> {
        let retriers = state.get("Retry").map_or(&[][..], list);
        let mut done = vec![0_i32; retriers.len()];
        loop {
            let failure = match self.attempt(state, scope, input) {
                Ok(result) => {
                    return self.leave(state, scope, &result, &[("input", input), ("result", &result)]);
                }
                Err(failure) => failure,
            };
            // The first that covers the error decides, be it used up or not.
            let covering = retriers
                .iter()
                .zip(&mut done)
                .find(|(retrier, _)| covers(retrier, &failure));
            if let Some((retrier, done)) = covering
                && f64::from(*done) < or(retrier, "MaxAttempts", 3.0)
            {
                let delay = or(retrier, "IntervalSeconds", 1.0) * or(retrier, "BackoffRate", 2.0).powi(*done);
                let delay = delay.min(or(retrier, "MaxDelaySeconds", f64::INFINITY));
                let full = retrier
                    .get("JitterStrategy")
                    .is_some_and(|strategy| strategy == "FULL");
                self.wait(if full { delay / 2.0 } else { delay });
                *done += 1;
                continue;
            }
            let catchers = state.get("Catch").map_or(&[][..], list);
            let Some(catcher) = catchers.iter().find(|catcher| covers(catcher, &failure)) else {
                return Err(failure);
            };
            let mut error = json!({"Error": failure.error});
            if let Some(cause) = failure.cause {
                error["Cause"] = cause.into();
            }
            return self.leave(
                catcher,
                scope,
                &error,
                &[("input", input), ("errorOutput", &error)],
            );
        }
    }

    fn attempt(&self, state: &Value, scope: &Scope, input: &Value) -> Result<Value, Failure> {
        let bound: &Bound<'_> = &[("input", input)];
        let resource = text(&state["Resource"]);
        let arguments = self.render(&state["Arguments"], scope, bound)?;
        limited(&arguments)?;
        let seconds = number(&self.render(&state["TimeoutSeconds"], scope, bound)?);
        self.record("TaskScheduled", &arguments);
        self.record("TaskStarted", &Value::Null);
        let deadline = Instant::now() + Duration::from_secs_f64(seconds / self.scale);
        let answer = self.services.request(resource, &arguments, deadline);
        let refused = |failure: &Failure| failure.error.contains("ECS.");
        if resource.rsplit('.').next() == Some("sync") && !answer.as_ref().is_err_and(refused) {
            self.record("TaskSubmitted", &Value::Null);
        }
        match &answer {
            Ok(result) => self.record("TaskSucceeded", result),
            Err(failure) if failure.error == "States.Timeout" => self.record("TaskTimedOut", &Value::Null),
            Err(failure) if refused(failure) => self.record("TaskSubmitFailed", &json!(failure.cause)),
            Err(failure) => self.record("TaskFailed", &json!(failure.cause)),
        }
        let result = answer?;
        limited(&result)?;
        Ok(result)
    }

    /// A value with its expressions evaluated.
    fn render(&self, template: &Value, scope: &Scope, bound: &Bound<'_>) -> Result<Value, Failure> {
        match template {
            Value::String(text) => match text.strip_prefix("{%").and_then(|text| text.strip_suffix("%}")) {
                Some(expression) => self.evaluate(expression.trim(), scope, bound),
                None => Ok(template.clone()),
            },
            Value::Array(items) => items.iter().map(|item| self.render(item, scope, bound)).collect(),
            Value::Object(fields) => {
                let render =
                    |(name, value): (&String, &Value)| Ok((name.clone(), self.render(value, scope, bound)?));
                fields
                    .iter()
                    .map(render)
                    .collect::<Result<Map<_, _>, _>>()
                    .map(Value::Object)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(template.clone()),
        }
    }

    fn evaluate(&self, expression: &str, scope: &Scope, bound: &Bound<'_>) -> Result<Value, Failure> {
        let failed = |reason: String| evaluation(&format!("{reason} in {expression}"));
        let mut states = json!({"context": {
            "Execution": {"Id": format!("arn:aws:states:eu-central-1:123456789012:execution:schemaferry:{}", self.name), "Name": self.name},
            "Map": scope.item,
        }});
        for (name, value) in bound {
            states[*name] = (*value).clone();
        }
        let mut context = Context::new();
        context.bind("states".to_owned(), JValue::from(states));
        // Binding copies, and the list of schemas is long.
        let named = scope
            .variables
            .iter()
            .filter(|(name, _)| expression.contains(&format!("${name}")));
        for (name, value) in named {
            context.bind(name.clone(), JValue::from(value.clone()));
        }
        let mut evaluator = Evaluator::with_context(context);
        let millis = self.millis().floor();
        let replaced = [
            evaluator.register_fn("parse", parse),
            evaluator.register_fn_override("random", |_: &[JValue]| Ok(JValue::from_f64(0.5))),
            evaluator.register_fn_override("millis", move |_: &[JValue]| Ok(JValue::from_f64(millis))),
            evaluator.register_fn_override("eval", |_: &[JValue]| {
                Err(EvaluatorError::EvaluationError(
                    "there is no $eval on AWS".to_owned(),
                ))
            }),
        ];
        replaced.into_iter().collect::<Result<(), _>>().unwrap();
        let parsed = parser::parse(expression).unwrap_or_else(|error| panic!("{error}: {expression}"));
        let value = evaluator
            .evaluate(&parsed, &JValue::Undefined)
            .map_err(|error| failed(error.to_string()))?;
        if value.is_undefined() {
            return Err(failed("nothing came out".to_owned()));
        }
        let json = value
            .to_json_string()
            .map_err(|error| failed(error.to_string()))?;
        serde_json::from_str(&json).map_err(|error| failed(error.to_string()))
    }
}

/// AWS's `$parse`: JSON text to what it says.
fn parse(arguments: &[JValue]) -> Result<JValue, EvaluatorError> {
    let text = arguments.first().and_then(JValue::as_str).unwrap_or_default();
    JValue::from_json_str(text).map_err(|error| EvaluatorError::EvaluationError(error.to_string()))
}

fn evaluation(reason: &str) -> Failure {
    Failure::new("States.QueryEvaluationError", reason)
}

fn limited(data: &Value) -> Result<(), Failure> {
    let length = data.to_string().len();
    if length > DATA_MAX {
        return Err(Failure::new(
            "States.DataLimitExceeded",
            format!("{length} bytes"),
        ));
    }
    Ok(())
}

/// Whether a retrier or a catcher is for this failure.
fn covers(handler: &Value, failure: &Failure) -> bool {
    list(&handler["ErrorEquals"])
        .iter()
        .any(|pattern| match text(pattern) {
            name if name == failure.error => true,
            "States.ALL" => !UNCOVERED.contains(&failure.error.as_str()),
            "States.TaskFailed" => {
                failure.error != "States.Timeout" && !UNCOVERED.contains(&failure.error.as_str())
            }
            "States.Timeout" => failure.error == "States.HeartbeatTimeout",
            _ => false,
        })
}

/// Panics on what Step Functions would refuse, and on what is not known here.
fn check_states(machine: &Value) {
    let states = machine["States"].as_object().unwrap();
    let mut reached = BTreeSet::from([text(&machine["StartAt"])]);
    for (name, state) in states {
        let kind = text(&state["Type"]);
        let Some((_, fields)) = FIELDS.iter().find(|(known, _)| *known == kind) else {
            panic!("{name}: states of type {kind} are not known")
        };
        check_fields(state, name, &[*fields, &["Type", "Comment"]].concat());
        let mut leads_to = vec![state.get("Next"), state.get("Default")];
        for (part, fields) in [
            ("Choices", &["Comment", "Condition", "Assign", "Next"][..]),
            ("Catch", &["Comment", "ErrorEquals", "Assign", "Output", "Next"]),
            (
                "Retry",
                &[
                    "Comment",
                    "ErrorEquals",
                    "IntervalSeconds",
                    "BackoffRate",
                    "MaxDelaySeconds",
                    "JitterStrategy",
                    "MaxAttempts",
                ],
            ),
        ] {
            let parts = state.get(part).map_or(&[][..], list);
            for (index, one) in parts.iter().enumerate() {
                check_fields(one, name, fields);
                leads_to.push(one.get("Next"));
                let errors = one.get("ErrorEquals").map_or(&[][..], list);
                let all = errors.iter().any(|error| error == "States.ALL");
                assert!(
                    !all || errors.len() == 1 && index + 1 == parts.len(),
                    "{name}: States.ALL is not alone and last"
                );
            }
        }
        let ways = leads_to.iter().flatten().count() + usize::from(state.get("End").is_some());
        assert_eq!(
            ways == 0,
            ["Succeed", "Fail"].contains(&kind),
            "{name} leads nowhere"
        );
        reached.extend(leads_to.into_iter().flatten().map(text));
        if let Some(inner) = state.get("ItemProcessor") {
            check_fields(inner, name, &["ProcessorConfig", "StartAt", "States"]);
            assert_eq!(inner["ProcessorConfig"], json!({"Mode": "INLINE"}));
            check_states(inner);
        }
    }
    let all: BTreeSet<&str> = states.keys().map(String::as_str).collect();
    assert_eq!(reached, all, "states that are reached, and states that are there");
}

/// Panics if an object has a field that is not among `known`.
pub(crate) fn check_fields(object: &Value, place: &str, known: &[&str]) {
    for field in object
        .as_object()
        .unwrap_or_else(|| panic!("{place} is no object: {object}"))
        .keys()
    {
        assert!(known.contains(&field.as_str()), "{place}: {field} is not known");
    }
}

/// A text, empty where there is none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn or(object: &Value, field: &str, default: f64) -> f64 {
    object.get(field).map_or(default, number)
}
