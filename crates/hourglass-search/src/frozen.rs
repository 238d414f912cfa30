//! A trial as the store holds it, and what can be read from a list of them: the best one, the
//! Pareto front. It changes nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{Direction, Distribution, Params, TrialState};

/// User attribute that says why a trial failed or was pruned.
pub const REASON: &str = "reason";

/// A trial as it stood when it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenTrial {
    /// The store's own key.
    pub id: i64,
    /// The number within the study, from 0 without gaps.
    pub number: u64,
    /// Where it stands.
    pub state: TrialState,
    /// One value for each objective, once it is complete. A pruned trial has its last reported
    /// value where the study has one objective.
    pub values: Vec<f64>,
    /// The parameters with the distributions they were drawn from.
    pub params: BTreeMap<String, Param>,
    /// Values reported on the way, by step.
    pub intermediate: BTreeMap<i64, f64>,
    /// Attributes that people read.
    pub user_attributes: BTreeMap<String, Value>,
    /// Attributes that programs read.
    pub system_attributes: BTreeMap<String, Value>,
    /// When the current or last attempt began.
    pub started: Option<Timestamp>,
    /// When it finished.
    pub finished: Option<Timestamp>,
    /// Who works or worked on it last; none for another program's trials.
    pub holder: Option<Holder>,
}

/// A value of a trial as the store holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// What it was drawn from; lists and tables among the choices are JSON text here.
    pub distribution: Distribution,
    /// The number itself, or the index of the choice.
    pub internal: f64,
}

impl Param {
    /// The value.
    pub fn value(&self) -> Value {
        self.distribution.value(self.internal)
    }
}

/// Who works on a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// Name of the worker.
    pub worker: String,
    /// Which attempt it is, from 1. Taking up a trial that was released is an attempt, too.
    pub attempt: u32,
    /// How many of the attempts ended with the loss of the worker.
    pub losses: u32,
    /// Until when the trial is the worker's; none once it is finished or back in the queue.
    pub lease_until: Option<Timestamp>,
    /// When the worker was last heard of.
    pub heartbeat: Timestamp,
}

impl FrozenTrial {
    /// The values of the parameters.
    pub fn values_of_params(&self) -> Params {
        self.params.iter().map(|(name, param)| (name.clone(), param.value())).collect()
    }

    /// Why it failed or was pruned, where someone said so.
    pub fn reason(&self) -> Option<&str> {
        self.user_attributes.get(REASON).and_then(Value::as_str)
    }

    /// The last step reported, and the value there.
    pub fn last_report(&self) -> Option<(i64, f64)> {
        self.intermediate.last_key_value().map(|(step, value)| (*step, *value))
    }
}

/// The complete trial with the best value of the first objective; the earlier one of equals.
pub fn best_trial<'a>(
    trials: &'a [FrozenTrial],
    directions: &[Direction],
) -> Option<&'a FrozenTrial> {
    let direction = *directions.first()?;
    let complete = trials.iter().filter(|trial| trial.state == TrialState::Complete);
    complete
        .filter(|trial| !trial.values.is_empty())
        .min_by(|a, b| direction.compare(a.values[0], b.values[0]).then(a.number.cmp(&b.number)))
}

/// The complete trials that no other beats in one objective without losing in another, by number.
pub fn pareto_front<'a>(
    trials: &'a [FrozenTrial],
    directions: &[Direction],
) -> Vec<&'a FrozenTrial> {
    let complete: Vec<&FrozenTrial> = trials
        .iter()
        .filter(|trial| {
            trial.state == TrialState::Complete && trial.values.len() == directions.len()
        })
        .collect();
    let beaten = |trial: &FrozenTrial| {
        complete.iter().any(|other| dominates(&other.values, &trial.values, directions))
    };
    complete.iter().copied().filter(|trial| !beaten(trial)).collect()
}

/// Whether `a` is nowhere worse than `b`, and somewhere better.
pub fn dominates(a: &[f64], b: &[f64], directions: &[Direction]) -> bool {
    let mut better = false;
    for ((a, b), direction) in a.iter().zip(b).zip(directions) {
        match direction.compare(*a, *b) {
            std::cmp::Ordering::Greater => return false,
            std::cmp::Ordering::Less => better = true,
            std::cmp::Ordering::Equal => {}
        }
    }
    better
}
