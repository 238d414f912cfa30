//! How Optuna writes things into its tables: distributions as JSON, states and directions by name,
//! infinities beside the number column. `optuna/storages/_rdb/models.py` and
//! `optuna/distributions.py` of version 5.0.0 are the source.

use serde_json::{Value, json};

use crate::schedule::FireState;
use crate::{Direction, Distribution, TrialState};

/// Name of a state.
pub(super) fn state_name(state: TrialState) -> &'static str {
    match state {
        TrialState::Queued => "WAITING",
        TrialState::Running => "RUNNING",
        TrialState::Complete => "COMPLETE",
        TrialState::Pruned => "PRUNED",
        TrialState::Failed => "FAIL",
    }
}

/// The state of that name.
pub(super) fn state(name: &str) -> Option<TrialState> {
    TrialState::ALL.into_iter().find(|state| state_name(*state) == name)
}

/// Name of a direction.
pub(super) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Minimize => "MINIMIZE",
        Direction::Maximize => "MAXIMIZE",
    }
}

/// The direction of that name.
pub(super) fn direction(name: &str) -> Option<Direction> {
    let all = [Direction::Minimize, Direction::Maximize];
    all.into_iter().find(|direction| direction_name(*direction) == name)
}

/// The state of a fire of that name (ours, not Optuna's).
pub(super) fn fire_state(name: &str) -> Option<FireState> {
    FireState::ALL.into_iter().find(|state| state.name() == name)
}

/// A number as its column and the name of its kind: infinities and not-a-number leave the column
/// empty.
pub(super) fn write_number(value: f64) -> (Option<f64>, &'static str) {
    match value {
        f64::INFINITY => (None, "INF_POS"),
        f64::NEG_INFINITY => (None, "INF_NEG"),
        _ if value.is_nan() => (None, "NAN"),
        _ => (Some(value), "FINITE"),
    }
}

/// The number of a column and the name of its kind.
pub(super) fn read_number(value: Option<f64>, kind: &str) -> Option<f64> {
    match kind {
        "FINITE" => value,
        "INF_POS" => Some(f64::INFINITY),
        "INF_NEG" => Some(f64::NEG_INFINITY),
        "NAN" => Some(f64::NAN),
        _ => None,
    }
}

/// A distribution as JSON.
pub(super) fn write_distribution(distribution: &Distribution) -> String {
    let (name, attributes) = match distribution.flat() {
        Distribution::Float { low, high, log, step } => {
            ("FloatDistribution", json!({"step": step, "low": low, "high": high, "log": log}))
        }
        Distribution::Int { low, high, log, step } => {
            ("IntDistribution", json!({"log": log, "step": step, "low": low, "high": high}))
        }
        Distribution::Categorical { choices } => {
            ("CategoricalDistribution", json!({"choices": choices}))
        }
    };
    json!({"name": name, "attributes": attributes}).to_string()
}

/// A distribution from JSON, or why it can't be read. Names that Optuna has given up are known.
pub(super) fn read_distribution(text: &str) -> Result<Distribution, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let name = json["name"].as_str().unwrap_or_default();
    let attributes = &json["attributes"];
    let real = |key: &str| attributes[key].as_f64().ok_or_else(|| format!("`{key}` is missing"));
    let int = |key: &str| {
        let whole = |value: &Value| value.as_i64().or_else(|| Some(value.as_f64()? as i64));
        whole(&attributes[key]).ok_or_else(|| format!("`{key}` is missing"))
    };
    let log = name.contains("Log") || attributes["log"].as_bool() == Some(true);
    match name {
        "FloatDistribution"
        | "UniformDistribution"
        | "LogUniformDistribution"
        | "DiscreteUniformDistribution" => {
            let step = attributes["step"].as_f64().or(attributes["q"].as_f64());
            Ok(Distribution::Float { low: real("low")?, high: real("high")?, log, step })
        }
        "IntDistribution" | "IntUniformDistribution" | "IntLogUniformDistribution" => {
            let step = if log { 1 } else { int("step").unwrap_or(1).max(1) };
            Ok(Distribution::Int { low: int("low")?, high: int("high")?, log, step })
        }
        "CategoricalDistribution" => match &attributes["choices"] {
            Value::Array(choices) => Ok(Distribution::Categorical { choices: choices.clone() }),
            _ => Err("`choices` is missing".into()),
        },
        other => Err(format!("`{other}` is not a known distribution")),
    }
}

/// An attribute from JSON. Python writes `NaN`, which JSON doesn't know: it is kept as text.
pub(super) fn read_attribute(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_that_optuna_wrote_are_read() {
        // python -c 'import optuna; from optuna.distributions import *
        //   for d in [FloatDistribution(1e-4, 1, log=True), FloatDistribution(0, 1, step=.25),
        //             IntDistribution(1, 9, step=2), CategoricalDistribution(["a", None, True, 1.5])]:
        //       print(distribution_to_json(d))'
        let check = |text: &str, expect: Distribution| {
            assert_eq!(read_distribution(text).unwrap(), expect);
            assert_eq!(read_distribution(&write_distribution(&expect)).unwrap(), expect);
        };
        check(
            r#"{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001,
                "high": 1.0, "log": true}}"#,
            Distribution::float(1e-4, 1.0).log(),
        );
        check(
            r#"{"name": "FloatDistribution", "attributes": {"step": 0.25, "low": 0.0,
                "high": 1.0, "log": false}}"#,
            Distribution::float(0.0, 1.0).step(0.25),
        );
        check(
            r#"{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1,
                "high": 9}}"#,
            Distribution::int(1, 9).step(2.0),
        );
        check(
            r#"{"name": "CategoricalDistribution", "attributes": {"choices":
                ["a", null, true, 1.5]}}"#,
            Distribution::Categorical {
                choices: vec!["a".into(), Value::Null, true.into(), 1.5.into()],
            },
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(read_distribution("{}").unwrap_err().contains("not a known distribution"));
        let broken = r#"{"name": "FloatDistribution", "attributes": {"low": 0.0}}"#;
        assert!(read_distribution(broken).unwrap_err().contains("`high` is missing"));
        assert_eq!(read_attribute("[1, NaN]"), Value::from("[1, NaN]"));
    }

    #[test]
    fn numbers_survive() {
        for value in [0.0, -1.5e300, f64::INFINITY, f64::NEG_INFINITY] {
            let (column, kind) = write_number(value);
            assert_eq!(read_number(column, kind), Some(value));
        }
        assert!(read_number(None, write_number(f64::NAN).1).unwrap().is_nan());
    }
}
