//! IAM's decision, as much of it as this project's policies use: whether a call is allowed by what stands in resolved
//! policies. Whatever element or operator it does not know is a panic.

use serde_json::Value;

use crate::states::{check_fields, text};

/// A request: who asks for it, where that matters, what is done to what, and what is known of it beside.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `service:Operation`.
    pub action: &'a str,
    /// The ARN.
    pub resource: &'a str,
    /// Condition keys and their values.
    pub context: &'a [(&'a str, &'a str)],
}

impl Call<'_> {
    /// Whether one of a role's policies allows it, its properties as the template resolves them.
    #[must_use]
    pub fn is_allowed_to(&self, role: &Value) -> bool {
        let policies = role["Policies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let allowed = |policy: &Value| self.is_allowed_by(&policy["PolicyDocument"], None);
        policies.iter().any(allowed)
    }

    /// Whether a document allows it; a resource's own policy allows it to a principal.
    #[must_use]
    pub fn is_allowed_by(&self, document: &Value, principal: Option<&str>) -> bool {
        assert_eq!(document["Version"], "2012-10-17");
        let statements = document["Statement"].as_array().unwrap();
        statements
            .iter()
            .any(|statement| self.matches(statement, principal))
    }

    fn matches(&self, statement: &Value, principal: Option<&str>) -> bool {
        let known = ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"];
        check_fields(statement, "a statement", &known);
        assert_eq!(statement["Effect"], "Allow");
        let is_asked_by = |principal: &str| {
            let given = statement["Principal"]
                .as_object()
                .unwrap()
                .values()
                .flat_map(texts);
            given.into_iter().any(|given| given == principal)
        };
        principal.is_none_or(is_asked_by)
            && texts(&statement["Action"])
                .iter()
                .any(|action| like(action, self.action))
            && texts(&statement["Resource"])
                .iter()
                .any(|arn| like_arn(arn, self.resource))
            && statement
                .get("Condition")
                .is_none_or(|condition| self.fulfils(condition))
    }

    fn fulfils(&self, condition: &Value) -> bool {
        condition.as_object().unwrap().iter().all(|(operator, keys)| {
            keys.as_object().unwrap().iter().all(|(key, wanted)| {
                let value = self.context.iter().find(|(known, _)| known == key);
                let wanted = texts(wanted);
                value.is_some_and(|(_, value)| match operator.as_str() {
                    "StringEquals" => wanted.contains(value),
                    "ArnEquals" | "ArnLike" => wanted.iter().any(|wanted| like_arn(wanted, value)),
                    other => panic!("{other} is not known"),
                })
            })
        })
    }
}

/// One text, or all of a list.
fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map_or_else(|| vec![text(value)], |all| all.iter().map(text).collect())
}

/// The first five parts of an ARN are compared each by itself.
fn like_arn(pattern: &str, arn: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (patterns, parts): (Vec<_>, Vec<_>) =
        (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    patterns.len() == parts.len()
        && patterns
            .iter()
            .zip(&parts)
            .all(|(pattern, part)| like(pattern, part))
}

/// A star is any number of characters, a question mark one.
fn like(pattern: &str, text: &str) -> bool {
    let (mut wanted, mut given) = (pattern.chars(), text.chars());
    match wanted.next() {
        None => text.is_empty(),
        Some('*') => like(wanted.as_str(), text) || given.next().is_some() && like(pattern, given.as_str()),
        Some('?') => given.next().is_some() && like(wanted.as_str(), given.as_str()),
        first => given.next() == first && like(wanted.as_str(), given.as_str()),
    }
}
