//! What a run cost: plain data, read and written as `timings.json`.
//!
//! It changes from run to run and from machine to machine, so it is kept out of [`crate::Report`].

use serde::{Deserialize, Serialize};

use crate::words;

/// Seconds, memory and machine of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// [`crate::SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// When the run began, RFC 3339 in UTC.
    pub started: String,
    /// When the run ended, RFC 3339 in UTC.
    pub finished: String,
    /// Wall-clock seconds from start to end.
    pub total_seconds: f64,
    /// Most memory the process held, MiB, where the system tells.
    pub peak_memory_mib: Option<f64>,
    /// Threads that the run was given.
    pub threads: usize,
    /// One line: processor, cores, memory, operating system.
    pub machine: String,
    /// One entry for each stage of each repeat, in the order of the run.
    pub stages: Vec<StageTiming>,
    /// One entry for each fit of a downstream model, also of fits that came from the cache.
    pub downstream: Vec<DownstreamTiming>,
}

/// What one downstream model took when it was fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownstreamTiming {
    /// Number of the repeat from 0.
    pub repeat: usize,
    /// Feature set.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// Share of the labels.
    pub label_fraction: f64,
    /// Seconds to choose and fit.
    pub fit_seconds: f64,
    /// Seconds to predict the test rows.
    pub predict_seconds: f64,
}

/// One stage of one repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTiming {
    /// Number of the repeat from 0, or `None` for a stage that all repeats share.
    pub repeat: Option<usize>,
    /// Name of the stage, such as `train`.
    pub stage: String,
    /// Wall-clock seconds; of reading, where it came from the cache.
    pub seconds: f64,
    /// Whether the cache already held it.
    pub from_cache: bool,
}

/// A stage over all its repeats.
#[derive(Debug, Serialize)]
pub(crate) struct StageTotal {
    pub name: String,
    pub seconds: f64,
    pub times: usize,
    pub from_cache: usize,
}

impl Timings {
    /// Each stage with the seconds of all repeats, in the order of the run.
    pub(crate) fn by_stage(&self) -> Vec<StageTotal> {
        let mut totals: Vec<StageTotal> = Vec::new();
        for timing in &self.stages {
            let known = totals.iter().position(|total| total.name == timing.stage);
            let place = known.unwrap_or(totals.len());
            if known.is_none() {
                let name = timing.stage.clone();
                totals.push(StageTotal { name, seconds: 0.0, times: 0, from_cache: 0 });
            }
            totals[place].seconds += timing.seconds;
            totals[place].times += 1;
            totals[place].from_cache += usize::from(timing.from_cache);
        }
        totals
    }

    /// The whole run in one sentence.
    pub(crate) fn sentence(&self) -> String {
        let memory = match self.peak_memory_mib {
            Some(mib) => format!(", at most {} MiB of memory", words::number(mib, 0)),
            None => String::new(),
        };
        format!(
            "{} s on {}{memory}; {}; from {} to {}.",
            words::number(self.total_seconds, 1),
            words::counted(self.threads, "thread"),
            self.machine,
            self.started,
            self.finished,
        )
    }
}
