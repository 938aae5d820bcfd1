//! CloudFormation, as much of it as a template of this project uses: parameters with their patterns and rules,
//! conditions, and resources with every function resolved, for an account of its own. Whatever function or attribute
//! it does not know is a panic, so that nothing is skipped in silence.

#![expect(
    clippy::indexing_slicing,
    reason = "a field that JSON lacks is null, which fails where it is used"
)]

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};

use crate::states::{list, text};

/// The account that everything is deployed in.
const ACCOUNT: &str = "123456789012";
/// Its Region.
const REGION: &str = "eu-central-1";
/// The stack's name.
const STACK: &str = "ferry";
/// What makes its ID differ from that of any other stack of this name.
pub const STACK_ID: &str = "0a1b2c3d";
/// Stands where `AWS::NoValue` leaves nothing.
const NO_VALUE: &str = "\u{0}AWS::NoValue";

/// A template.
#[derive(Debug)]
pub struct Template {
    document: Value,
}

/// A template with values for its parameters, deployed.
#[derive(Debug)]
pub struct Stack<'a> {
    document: &'a Value,
    parameters: BTreeMap<&'a str, Value>,
}

impl Template {
    /// Reads a template.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let documents = YamlOwned::load_from_str(text).unwrap();
        let document = json(documents.first().unwrap());
        Self { document }
    }

    /// The declarations of its parameters.
    #[must_use]
    pub fn parameters(&self) -> &Map<String, Value> {
        object(&self.document["Parameters"])
    }

    /// Deploys it.
    ///
    /// # Errors
    /// What CloudFormation says of parameters that it does not take, before it makes anything.
    pub fn deploy(&self, given: &[(&str, &str)]) -> Result<Stack<'_>, Vec<String>> {
        for (name, _) in given {
            assert!(
                self.parameters().contains_key(*name),
                "there is no parameter {name}"
            );
        }
        let mut faults = Vec::new();
        let mut parameters = BTreeMap::new();
        for (name, declared) in self.parameters() {
            let given = given
                .iter()
                .rfind(|(given, _)| given == name)
                .map(|(_, value)| json!(value));
            let Some(value) = given.or_else(|| declared.get("Default").cloned()) else {
                faults.push(format!("{name} has no value"));
                continue;
            };
            let value = scalar(&value);
            let allowed = declared
                .get("AllowedValues")
                .is_none_or(|allowed| list(allowed).iter().any(|allowed| scalar(allowed) == value));
            if !allowed {
                faults.push(format!("{name} cannot be {value}"));
            }
            let many = text(&declared["Type"]).starts_with("List<");
            let value = if many {
                json!(value.split(',').collect::<Vec<_>>())
            } else {
                json!(value)
            };
            parameters.insert(name.as_str(), value);
        }
        let stack = Stack {
            document: &self.document,
            parameters,
        };
        if faults.is_empty() {
            faults = stack.broken_rules();
        }
        if faults.is_empty() { Ok(stack) } else { Err(faults) }
    }
}

impl Stack<'_> {
    /// The properties of a resource; `None` where its condition does not hold.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<Value> {
        let resource = &self.document["Resources"][name];
        assert!(resource.is_object(), "there is no resource {name}");
        let made = resource
            .get("Condition")
            .is_none_or(|condition| self.holds(text(condition)));
        made.then(|| self.resolve(&resource["Properties"]))
    }

    /// The names of the resources of a type that are made.
    #[must_use]
    pub fn of_type(&self, kind: &str) -> Vec<&str> {
        let resources = object(&self.document["Resources"]).iter();
        resources
            .filter(|(name, resource)| resource["Type"] == kind && self.resource(name).is_some())
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// What `!Ref` of a name gives.
    #[must_use]
    pub fn reference(&self, name: &str) -> Value {
        let fixed = match name {
            "AWS::NoValue" => NO_VALUE,
            "AWS::Partition" => "aws",
            "AWS::Region" => REGION,
            "AWS::AccountId" => ACCOUNT,
            "AWS::URLSuffix" => "amazonaws.com",
            "AWS::StackName" => STACK,
            "AWS::StackId" => return json!(arn("cloudformation", &format!("stack/{STACK}/{STACK_ID}"))),
            _ => match self.parameters.get(name) {
                Some(value) => return value.clone(),
                None => return json!(self.physical(name)),
            },
        };
        json!(fixed)
    }

    /// A resource's identifier.
    fn physical(&self, name: &str) -> String {
        let resource = &self.document["Resources"][name];
        match text(&resource["Type"]) {
            "AWS::Logs::LogGroup" => match resource.pointer("/Properties/LogGroupName") {
                Some(given) => scalar(&self.resolve(given)),
                None => format!("{STACK}-{name}-X1Y2"),
            },
            "AWS::ECS::TaskDefinition" => {
                let family = match resource.pointer("/Properties/Family") {
                    Some(given) => scalar(&self.resolve(given)),
                    None => format!("{STACK}-{name}-X1Y2"),
                };
                arn("ecs", &format!("task-definition/{family}:1"))
            }
            "AWS::SNS::Topic" => arn("sns", &format!("{STACK}-{name}-X1Y2")),
            "AWS::Serverless::StateMachine" => arn("states", &format!("stateMachine:{name}-X1Y2")),
            "" => panic!("nothing is called {name}"),
            _ => format!("{STACK}-{name}-X1Y2"),
        }
    }

    /// What `!GetAtt` gives.
    fn attribute(&self, name: &str, attribute: &str) -> Value {
        let own = self.physical(name);
        let kind = text(&self.document["Resources"][name]["Type"]);
        json!(match (kind, attribute) {
            ("AWS::ECS::Cluster", "Arn") => arn("ecs", &format!("cluster/{own}")),
            // Its ARN names the group's streams.
            ("AWS::Logs::LogGroup", "Arn") => arn("logs", &format!("log-group:{own}:*")),
            ("AWS::IAM::Role", "Arn") => format!("arn:aws:iam::{ACCOUNT}:role/{own}"),
            ("AWS::CloudWatch::Alarm", "Arn") => arn("cloudwatch", &format!("alarm:{own}")),
            ("AWS::KMS::Key", "Arn") => arn("kms", &format!("key/{own}")),
            ("AWS::EC2::SecurityGroup", "GroupId") => format!("sg-{own}"),
            ("AWS::Serverless::StateMachine", "Name") | ("AWS::SNS::Topic", "TopicName") => {
                own.rsplit(':').next().unwrap_or_default().to_owned()
            }
            _ => panic!("{kind} has no {attribute}"),
        })
    }

    /// Whether a condition holds.
    fn holds(&self, condition: &str) -> bool {
        let declared = &self.document["Conditions"][condition];
        assert!(declared.is_object(), "there is no condition {condition}");
        self.is_true(declared)
    }

    fn is_true(&self, condition: &Value) -> bool {
        let (function, argument) = function(condition).unwrap_or_else(|| panic!("no condition: {condition}"));
        let parts = || list(argument).iter();
        match function {
            "Condition" => self.holds(text(argument)),
            "Fn::Equals" => self.resolve(&argument[0]) == self.resolve(&argument[1]),
            "Fn::Not" => !self.is_true(&argument[0]),
            "Fn::And" => parts().all(|part| self.is_true(part)),
            "Fn::Or" => parts().any(|part| self.is_true(part)),
            "Fn::Contains" => list(&argument[0]).contains(&self.resolve(&argument[1])),
            other => panic!("{other} is no condition"),
        }
    }

    fn broken_rules(&self) -> Vec<String> {
        let rules = object(&self.document["Rules"]).values();
        rules
            .filter(|rule| {
                rule.get("RuleCondition")
                    .is_none_or(|condition| self.is_true(condition))
            })
            .flat_map(|rule| list(&rule["Assertions"]))
            .filter(|assertion| !self.is_true(&assertion["Assert"]))
            .map(|assertion| text(&assertion["AssertDescription"]).to_owned())
            .collect()
    }

    /// A value with its functions resolved.
    fn resolve(&self, value: &Value) -> Value {
        if let Some((function, argument)) = function(value) {
            return self.call(function, argument);
        }
        let kept = |value: &Value| value != NO_VALUE;
        match value {
            Value::Array(items) => items.iter().map(|item| self.resolve(item)).filter(kept).collect(),
            Value::Object(fields) => {
                let resolved = fields
                    .iter()
                    .map(|(name, value)| (name.clone(), self.resolve(value)));
                Value::Object(resolved.filter(|(_, value)| kept(value)).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Value {
        match function {
            "Ref" => self.reference(text(argument)),
            "Fn::GetAtt" => {
                let (name, attribute) = text(argument).split_once('.').unwrap();
                self.attribute(name, attribute)
            }
            "Fn::Sub" => json!(self.substitute(argument)),
            "Fn::If" => {
                let branch = if self.holds(text(&argument[0])) { 1 } else { 2 };
                self.resolve(&argument[branch])
            }
            "Fn::Join" => {
                let parts = self.resolve(&argument[1]);
                let parts: Vec<String> = list(&parts).iter().map(scalar).collect();
                json!(parts.join(text(&argument[0])))
            }
            "Fn::Split" => {
                let whole = scalar(&self.resolve(&argument[1]));
                json!(whole.split(text(&argument[0])).collect::<Vec<_>>())
            }
            "Fn::Select" => {
                let place = usize::try_from(argument[0].as_u64().unwrap()).unwrap();
                self.resolve(&argument[1])[place].clone()
            }
            other => panic!("{other} is not known"),
        }
    }

    fn substitute(&self, argument: &Value) -> String {
        let (pattern, own) = if argument.is_array() {
            (text(&argument[0]), &argument[1])
        } else {
            (text(argument), &Value::Null)
        };
        let mut parts = pattern.split("${");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            let value = match (own.get(name), name.split_once('.')) {
                (Some(own), _) => self.resolve(own),
                (None, Some((name, attribute))) => self.attribute(name, attribute),
                (None, None) => self.reference(name),
            };
            whole.push_str(&scalar(&value));
            whole.push_str(rest);
        }
        whole
    }
}

/// The ARN of something in the account.
fn arn(service: &str, own: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{own}")
}

/// A function and its argument, where a value is one.
fn function(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    let (name, argument) = fields.iter().next()?;
    let known = name == "Ref" || name == "Condition" && argument.is_string() || name.starts_with("Fn::");
    known.then_some((name, argument))
}

/// YAML as JSON, each short form of a function as its long one.
fn json(yaml: &YamlOwned) -> Value {
    match yaml {
        YamlOwned::Value(ScalarOwned::Null) => Value::Null,
        YamlOwned::Value(ScalarOwned::Boolean(value)) => json!(value),
        YamlOwned::Value(ScalarOwned::Integer(value)) => json!(value),
        YamlOwned::Value(ScalarOwned::FloatingPoint(value)) => json!(value.into_inner()),
        YamlOwned::Value(ScalarOwned::String(value)) => json!(value),
        YamlOwned::Sequence(items) => items.iter().map(json).collect(),
        YamlOwned::Mapping(fields) => {
            let field = |(name, value): (&YamlOwned, &YamlOwned)| (scalar(&json(name)), json(value));
            Value::Object(fields.iter().map(field).collect())
        }
        YamlOwned::Tagged(tag, value) => {
            let name = match tag.suffix.as_str() {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            json!({ name: json(value) })
        }
        YamlOwned::Representation(..) | YamlOwned::Alias(_) | YamlOwned::BadValue => {
            panic!("{yaml:?} is not known")
        }
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

/// What CloudFormation makes of a number or a text.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => panic!("no text: {value}"),
    }
}
