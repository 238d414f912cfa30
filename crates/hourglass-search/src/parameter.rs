//! One parameter of a space as a file writes it: `{ float = [1e-4, 1e-1], log = true }`.
//!
//! Ranges are checked as they are read, so that a message can point at the line; conditions are
//! checked by [`crate::SearchSpace`], which sees all parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Distribution, RangeProblem};

/// A distribution, and the condition under which it is used.
///
/// ```
/// use hourglass_search::{Distribution, Parameter};
/// let momentum = Parameter::from(Distribution::float(0.0, 0.99)).when("optimizer", ["sgd"]);
/// let read: Parameter = serde_json::from_str(
///     r#"{ "float": [0.0, 0.99], "when": { "parent": "optimizer", "in": ["sgd"] } }"#,
/// )
/// .unwrap();
/// assert_eq!(momentum, read);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Parameter {
    /// What values it takes.
    pub distribution: Distribution,
    /// When it is used at all; always, if there is none.
    pub condition: Option<Condition>,
}

/// A parameter is used only where its parent has one of some choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A categorical parameter of the same space.
    pub parent: String,
    /// The choices of the parent under which the parameter is used.
    #[serde(rename = "in")]
    pub choices: Vec<Value>,
}

impl Parameter {
    /// The same parameter, used only where `parent` has one of `choices`.
    pub fn when<V: Into<Value>>(
        mut self,
        parent: &str,
        choices: impl IntoIterator<Item = V>,
    ) -> Self {
        let choices = choices.into_iter().map(Into::into).collect();
        self.condition = Some(Condition { parent: parent.into(), choices });
        self
    }
}

impl From<Distribution> for Parameter {
    fn from(distribution: Distribution) -> Self {
        Parameter { distribution, condition: None }
    }
}

/// A parameter as it is written: exactly one of `float`, `int` and `categorical`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Raw {
    /// Both ends of a range of numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    float: Option<[f64; 2]>,
    /// Both ends of a range of whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    int: Option<[i64; 2]>,
    /// The choices: numbers, texts, or whole tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    categorical: Option<Vec<Value>>,
    /// Whether all orders of magnitude are equally likely.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    log: bool,
    /// Only every `step`-th value, counted from the lower end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<f64>,
    /// Only under some choices of another parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    when: Option<Condition>,
}

impl TryFrom<Raw> for Parameter {
    type Error = RangeProblem;

    fn try_from(raw: Raw) -> Result<Self, RangeProblem> {
        let distribution = match (raw.float, raw.int, raw.categorical) {
            (Some([low, high]), None, None) => {
                Distribution::Float { low, high, log: raw.log, step: raw.step }
            }
            (None, Some([low, high]), None) => {
                let step = raw.step.unwrap_or(1.0);
                if step.fract() != 0.0 {
                    return Err(RangeProblem::Step { step: step.to_string(), whole: true });
                }
                Distribution::Int { low, high, log: raw.log, step: step as i64 }
            }
            (None, None, Some(choices)) => {
                if raw.log {
                    return Err(RangeProblem::Meaningless { key: "log" });
                }
                if raw.step.is_some() {
                    return Err(RangeProblem::Meaningless { key: "step" });
                }
                Distribution::Categorical { choices }
            }
            (float, int, categorical) => {
                let found: Vec<&str> = [
                    float.map(|_| "float"),
                    int.map(|_| "int"),
                    categorical.map(|_| "categorical"),
                ]
                .into_iter()
                .flatten()
                .collect();
                let found =
                    if found.is_empty() { "none of them".into() } else { found.join(" and ") };
                return Err(RangeProblem::Kind { found });
            }
        };
        Ok(Parameter { distribution: distribution.checked()?, condition: raw.when })
    }
}

impl From<Parameter> for Raw {
    fn from(parameter: Parameter) -> Raw {
        let when = parameter.condition;
        match parameter.distribution {
            Distribution::Float { low, high, log, step } => {
                Raw { float: Some([low, high]), log, step, when, ..Raw::default() }
            }
            Distribution::Int { low, high, log, step } => {
                let step = (step != 1).then_some(step as f64);
                Raw { int: Some([low, high]), log, step, when, ..Raw::default() }
            }
            Distribution::Categorical { choices } => {
                Raw { categorical: Some(choices), when, ..Raw::default() }
            }
        }
    }
}

impl JsonSchema for Parameter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parameter".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Raw::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            r#"{"float":[0.0,1.0]}"#,
            r#"{"float":[0.0001,0.1],"log":true}"#,
            r#"{"float":[0.0,1.0],"step":0.25}"#,
            r#"{"int":[1,64],"log":true}"#,
            r#"{"int":[0,10],"step":5.0}"#,
            r#"{"categorical":["a",1,{"adam":{"beta":0.9}}]}"#,
            r#"{"int":[1,5],"when":{"parent":"kind","in":["deep"]}}"#,
        ] {
            let parameter: Parameter = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&parameter).unwrap(), text);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expect: &str| {
            let message = serde_json::from_str::<Parameter>(text).unwrap_err().to_string();
            assert!(message.contains(expect), "{message}");
        };
        check("{}", "none of them");
        check(r#"{"float":[0,1],"int":[0,1]}"#, "float and int");
        check(r#"{"float":[1,0]}"#, "is empty");
        check(r#"{"float":[0,1],"log":true}"#, "can't begin at 0");
        check(r#"{"int":[0,9],"step":1.5}"#, "positive and whole");
        check(r#"{"categorical":[1],"log":true}"#, "`log` means nothing");
        check(r#"{"categorical":[1],"step":1}"#, "`step` means nothing");
        check(r#"{"float":[0,1],"lgo":true}"#, "unknown field");
    }
}
