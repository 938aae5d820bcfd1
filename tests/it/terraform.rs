//! Terraform's example beside the template: the same container, and all that the state machine's file asks for. Nothing
//! here knows the provider's resources, which `terraform validate` does where its registry can be reached.

#![expect(clippy::indexing_slicing, reason = "what is not there fails the test")]

use std::collections::BTreeSet;

use hcl::Body;
use hcl::eval::{Context, Evaluate as _, FuncArgs, FuncDef, ParamType};
use hcl::expr::{Expression, ObjectKey};
use serde_json::{Map, Value, json};
use testbed::policy::Call;

use crate::template::{container, deployed};

const MAIN: &str = include_str!("../../deploy/terraform/main.tf");
const ROLES: &str = include_str!("../../deploy/terraform/roles.tf");
const OTHERS: [&str; 2] = [ROLES, include_str!("../../deploy/terraform/variables.tf")];

/// Values of a block's attribute, as they stand.
fn attribute<'a>(body: &'a Body, block: &str, labels: &[&str], name: &str) -> &'a Expression {
    let is_meant = |found: &&hcl::Block| {
        let own: Vec<&str> = found.labels.iter().map(hcl::BlockLabel::as_str).collect();
        found.identifier.as_str() == block && own == labels
    };
    let block = body.blocks().find(is_meant).unwrap();
    let mut attributes = block.body.attributes();
    &attributes.find(|one| one.key.as_str() == name).unwrap().expr
}

/// Functions of Terraform's that the example uses.
fn functions(context: &mut Context<'_>) {
    let merge = |args: FuncArgs| {
        let mut merged = hcl::Map::new();
        for map in args.iter() {
            merged.extend(map.as_object().unwrap().clone());
        }
        Ok(hcl::Value::Object(merged))
    };
    let starts = |args: FuncArgs| {
        let [text, prefix] = [0, 1].map(|which| args[which].as_str().unwrap());
        Ok(text.starts_with(prefix).into())
    };
    let text = |args: FuncArgs| Ok(args[0].to_string().into());
    context.declare_func(
        "merge",
        FuncDef::builder().variadic_param(ParamType::Any).build(merge),
    );
    let params = [ParamType::String, ParamType::String];
    context.declare_func("startswith", FuncDef::builder().params(params).build(starts));
    context.declare_func("tostring", FuncDef::builder().param(ParamType::Any).build(text));
}

/// CloudFormation's names of fields as ECS itself has them.
fn uncapitalized(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let lower = |name: &str| {
                let mut characters = name.chars();
                let first = characters.next().unwrap();
                first.to_lowercase().chain(characters).collect::<String>()
            };
            let fields = fields.iter();
            Value::Object(
                fields
                    .map(|(name, value)| (lower(name), uncapitalized(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(uncapitalized).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn sorted(mut container: Value) -> Value {
    let environment = container["environment"].as_array_mut().unwrap();
    environment.sort_by_key(|variable| variable["name"].to_string());
    container
}

#[test]
fn terraform_runs_the_same_container() {
    let body: Body = hcl::from_str(MAIN).unwrap();
    let side = |host: &str, sslmode: &str, secret: &str| {
        json!({"host": host, "port": "", "dbname": "", "user": "", "sslmode": sslmode,
               "sslrootcert": "/etc/ssl/rds.pem", "secret_arn": format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{secret}-AbCdEf")})
    };
    let variables = json!({
        "image": "schemaferry:1", "method": "copy", "jobs": 4, "build_jobs": "auto", "maintenance_work_mem": "auto", "verify": "hash",
        "privileges": "keep", "role_map": "", "accept": "", "accept_reason": "", "report_bucket": "", "source_server": side("", "require", "source"),
        "target_server": side("warehouse", "verify-full", "target"),
    });
    let mut context = Context::new();
    functions(&mut context);
    let given = [
        ("TargetHost", "warehouse"),
        ("TargetSslMode", "verify-full"),
        ("Verify", "hash"),
    ];
    let stack = deployed(&given).unwrap();
    let expected = uncapitalized(&container(&stack));
    let group = expected["logConfiguration"]["options"]["awslogs-group"].clone();
    context.declare_var("var", hcl::to_value(&variables).unwrap());
    context.declare_var(
        "data",
        hcl::value!({ aws_region = { this = { region = "eu-central-1" } } }),
    );
    context.declare_var(
        "aws_cloudwatch_log_group",
        hcl::to_value(json!({"workers": {"name": group}})).unwrap(),
    );
    let mut locals = hcl::Map::new();
    for name in ["sides", "environment", "container"] {
        let value = attribute(&body, "locals", &[], name).evaluate(&context).unwrap();
        locals.insert(name.to_owned(), value);
        context.declare_var("local", locals.clone());
    }
    let found: Map<String, Value> = hcl::from_value(locals["container"].clone()).unwrap();
    assert_eq!(sorted(Value::Object(found)), sorted(expected));
}

#[test]
fn terraform_gives_the_state_machine_all_that_it_asks_for() {
    let body: Body = hcl::from_str(MAIN).unwrap();
    let labels = ["aws_sfn_state_machine", "this"];
    let Expression::FuncCall(call) = attribute(&body, "resource", &labels, "definition") else {
        panic!("the definition is no call")
    };
    assert_eq!(call.name.name.as_str(), "templatefile");
    let Expression::Object(values) = &call.args[1] else {
        panic!("{call:?}")
    };
    let given: BTreeSet<String> = values.keys().map(ObjectKey::to_string).collect();
    let machine = crate::template::stack().resource("StateMachine").unwrap();
    let wanted = machine["DefinitionSubstitutions"].as_object().unwrap();
    assert_eq!(given, wanted.keys().cloned().collect());
    // What Terraform would take for a directive of its own.
    assert!(!crate::aws::DEFINITION.contains("%{"));
    // Every variable that is used is declared, and the other way round.
    let others: Vec<Body> = OTHERS.iter().map(|text| hcl::from_str(text).unwrap()).collect();
    let all = [&[MAIN][..], &OTHERS].concat().concat();
    let used: BTreeSet<&str> = all
        .split("var.")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next())
        .collect();
    let declared: BTreeSet<&str> = others
        .iter()
        .flat_map(Body::blocks)
        .filter(|block| block.identifier.as_str() == "variable")
        .filter_map(|block| block.labels.first().map(hcl::BlockLabel::as_str))
        .collect();
    assert_eq!(used, declared);
}

/// An execution goes on with the revision that it has begun with, whatever is applied meanwhile.
#[test]
fn terraform_leaves_what_executions_run() {
    let main: Body = hcl::from_str(MAIN).unwrap();
    let labels = ["aws_ecs_task_definition", "worker"];
    assert_eq!(
        attribute(&main, "resource", &labels, "skip_destroy"),
        &Expression::Bool(true)
    );
    let roles: Body = hcl::from_str(ROLES).unwrap();
    let Expression::FuncCall(call) =
        attribute(&roles, "resource", &["aws_iam_role_policy", "states"], "policy")
    else {
        panic!("the policy is no call")
    };
    let family = "arn:aws:ecs:eu-central-1:123456789012:task-definition/schemaferry";
    let arn = |own: &str| json!({"arn": own});
    let mut context = Context::new();
    for (name, value) in [
        (
            "aws_ecs_task_definition",
            json!({"worker": {"arn": format!("{family}:1"), "arn_without_revision": family}}),
        ),
        ("aws_ecs_cluster", json!({"this": arn("cluster")})),
        (
            "aws_iam_role",
            json!({"execution": arn("execution"), "task": arn("task")}),
        ),
        ("aws_cloudwatch_log_group", json!({"workers": arn("group")})),
        ("aws_sns_topic", json!({"report": arn("topic")})),
        ("data", json!({"aws_partition": {"this": {"partition": "aws"}}})),
        (
            "local",
            json!({"tasks": "tasks", "here": "eu-central-1:123456789012"}),
        ),
    ] {
        context.declare_var(name, hcl::to_value(&value).unwrap());
    }
    let policy: Value = hcl::from_value(call.args[0].evaluate(&context).unwrap()).unwrap();
    let document = json!({"Policies": [{"PolicyDocument": policy}]});
    for (resource, allowed) in [
        (format!("{family}:1"), true),
        (format!("{family}:7"), true),
        (format!("{family}2:1"), false),
    ] {
        let call = Call {
            action: "ecs:RunTask",
            resource: &resource,
            context: &[("ecs:cluster", "cluster")],
        };
        assert_eq!(call.is_allowed_to(&document), allowed, "{resource}");
    }
}
