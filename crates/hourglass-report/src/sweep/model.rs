//! What the page of a sweep says: plain data, read and written as `sweep.json`.
//!
//! It holds finished numbers alone. Apart from the seconds of a trial, everything in it is decided
//! by the pipeline file, the data, the seed and the order in which trials finished.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Metric;

/// The version of the JSON layout that this crate writes.
pub const SWEEP_SCHEMA_VERSION: u32 = 1;

/// A study: what was searched, what came out, and what the winner does on test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepReport {
    /// [`SWEEP_SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// Name of the pipeline.
    pub name: String,
    /// Name of the study in its store.
    pub study: String,
    /// Seed of the pipeline file.
    pub seed: u64,
    /// Name of the sampler.
    pub sampler: String,
    /// Name of the pruner; `none` where nothing is pruned.
    pub pruner: String,
    /// What is optimised, in order.
    pub objectives: Vec<SweepObjective>,
    /// What the intermediate values measure.
    pub intermediate: String,
    /// The space, in order.
    pub parameters: Vec<SweepParameter>,
    /// Every trial, in the order of the numbers.
    pub trials: Vec<SweepTrial>,
    /// Number of the best trial, where there is one objective and a complete trial.
    pub best: Option<u64>,
    /// Numbers of the trials that no other one beats in every objective.
    pub front: Vec<u64>,
    /// What the winner changes in the file: path, value there, value of the winner.
    pub changes: Vec<SweepChange>,
    /// The file as it stands and the winner, each read on test once; empty while the study runs.
    pub tested: Vec<SweepTest>,
}

/// Something to make large or small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepObjective {
    /// Its name in the file, such as `downstream_validation`.
    pub name: String,
    /// Whether more is better.
    pub higher_is_better: bool,
}

/// A dimension of the space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepParameter {
    /// Path in the pipeline file.
    pub path: String,
    /// Whether the scale is logarithmic.
    pub is_log: bool,
    /// Labels of the choices; empty for numbers.
    pub choices: Vec<String>,
    /// Share of the first objective's spread that it explains, 0..=1, where that can be said.
    pub importance: Option<f64>,
}

/// How a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepState {
    /// It waits for a worker.
    Waiting,
    /// It runs.
    Running,
    /// It has its values.
    Complete,
    /// It was stopped early.
    Pruned,
    /// It has no values.
    Failed,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepTrial {
    /// Number in the study, from 0.
    pub number: u64,
    /// How it stands.
    pub state: SweepState,
    /// One value for each objective; empty where there is none.
    pub values: Vec<f64>,
    /// Number, or index of the choice, by path; only what the trial has.
    pub parameters: BTreeMap<String, f64>,
    /// Epoch and what was measured after it.
    pub curve: Vec<(u64, f64)>,
    /// Seconds from its first start to its end.
    pub seconds: Option<f64>,
    /// Why it failed.
    pub reason: Option<String>,
}

/// A value that the winner changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepChange {
    /// Path in the pipeline file.
    pub path: String,
    /// Value of the file with its defaults; `None` where it has none.
    pub from: Option<String>,
    /// Value of the winner.
    pub to: String,
}

/// A whole run, judged on test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepTest {
    /// Whose it is: `the file as it stands`, or `trial 17`.
    pub label: String,
    /// Name of its run directory.
    pub run: String,
    /// What its scores mean.
    pub metric: Metric,
    /// The sentence of its verdict.
    pub verdict: String,
    /// Mean test score by feature set and downstream model.
    pub rows: Vec<SweepTestRow>,
}

/// One score of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepTestRow {
    /// Feature set.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// Mean of the repeats' scores.
    pub mean: f64,
    /// 95 % interval of the mean, where there is one.
    pub interval: Option<(f64, f64)>,
}

impl SweepReport {
    /// Trials that have a value for every objective.
    pub(crate) fn complete(&self) -> impl Iterator<Item = &SweepTrial> {
        let n = self.objectives.len();
        self.trials.iter().filter(move |trial| {
            trial.state == SweepState::Complete
                && trial.values.len() == n
                && trial.values.iter().all(|value| value.is_finite())
        })
    }

    /// How many trials are in a state.
    pub fn count(&self, state: SweepState) -> usize {
        self.trials.iter().filter(|trial| trial.state == state).count()
    }
}
