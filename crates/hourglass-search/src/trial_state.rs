//! What becomes of a trial, and which way an objective is better: plain words that everything
//! else shares.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Nobody works on it: enqueued, released, or taken back from a lost worker.
    Queued,
    /// A worker holds it.
    Running,
    /// It has values for every objective.
    Complete,
    /// It was stopped early, because others were better at the same step.
    Pruned,
    /// It ended without values; the reason is among its user attributes.
    Failed,
}

impl TrialState {
    /// All states.
    pub const ALL: [TrialState; 5] = [
        TrialState::Queued,
        TrialState::Running,
        TrialState::Complete,
        TrialState::Pruned,
        TrialState::Failed,
    ];

    /// Whether nothing about the trial will change any more.
    pub fn is_finished(self) -> bool {
        matches!(self, TrialState::Complete | TrialState::Pruned | TrialState::Failed)
    }
}

/// Which way an objective is better.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Less is better.
    Minimize,
    /// More is better.
    Maximize,
}

impl Direction {
    /// Better values first; not-a-number last.
    pub fn compare(self, a: f64, b: f64) -> Ordering {
        let loss = |value: f64| if value.is_nan() { f64::INFINITY } else { self.loss(value) };
        a.is_nan().cmp(&b.is_nan()).then(loss(a).total_cmp(&loss(b)))
    }

    /// The value as something to be minimised.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Direction::Minimize => value,
            Direction::Maximize => -value,
        }
    }
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// One value for each objective. Not-a-number counts as failed.
    Complete(Vec<f64>),
    /// Stopped early; the last reported value counts where the study has one objective.
    Pruned,
    /// No value, and why.
    Failed(String),
}

impl From<f64> for Outcome {
    fn from(value: f64) -> Self {
        Outcome::Complete(vec![value])
    }
}

impl From<Vec<f64>> for Outcome {
    fn from(values: Vec<f64>) -> Self {
        Outcome::Complete(values)
    }
}
