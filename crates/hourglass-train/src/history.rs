//! What a training run leaves behind, apart from the weights; no timings, so that it can be
//! compared bit for bit.

use serde::{Deserialize, Serialize};

use crate::StepRecord;

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean of what was minimised, over the rows of the epoch, while the weights changed.
    pub train_loss: f64,
    /// The same on the validation rows, after the epoch.
    pub validation_loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Norm of all gradients in the last step, before clipping.
    pub gradient_norm: f64,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All epochs were run.
    Finished,
    /// The validation loss stopped falling; the best weights were restored.
    EarlyStopping,
    /// An observer found that it isn't worth going on.
    Pruned,
    /// The doctor found it hopeless.
    Hopeless,
    /// The time was up.
    TimeLimit,
    /// The steps were up.
    StepLimit,
}

/// Reconstructions of the watched samples at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Epochs finished.
    pub epoch: usize,
    /// One row a watched sample: those of the training part first, then those of validation.
    pub reconstructions: Vec<Vec<f32>>,
}

/// A return to an earlier state after a loss that was no number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    /// Epoch of the failure, counted from 1.
    pub epoch: usize,
    /// Step in the epoch, counted from 1.
    pub step: usize,
    /// The first tensor that wasn't finite.
    pub place: String,
    /// Epochs that were finished in the state returned to.
    pub to_epoch: usize,
    /// What is left of the learning rate from then on.
    pub rate_factor: f64,
}

/// A finished training run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Every epoch.
    pub epochs: Vec<EpochRecord>,
    /// Epoch with the lowest validation loss, counted from 1.
    pub best_epoch: usize,
    /// Why training ended; `None` while it runs.
    pub stopped: Option<Stopped>,
    /// Reconstructions of the watched samples over the epochs.
    pub snapshots: Vec<Snapshot>,
    /// Validations within epochs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<StepRecord>,
    /// Returns to an earlier state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollbacks: Vec<Rollback>,
}

impl History {
    /// Why training ended, as a sentence without its full stop.
    pub fn ending(&self) -> String {
        let (n, best) = (self.epochs.len(), self.best_epoch);
        let ending = match self.stopped {
            Some(Stopped::EarlyStopping) => {
                format!("the validation loss stopped falling after epoch {best}")
            }
            Some(Stopped::Pruned) => format!("given up after {n} epochs as not worth going on"),
            Some(Stopped::Hopeless) => format!("given up by the doctor after {n} epochs"),
            Some(Stopped::TimeLimit) => format!("the time limit was reached in epoch {n}"),
            Some(Stopped::StepLimit) => format!("the step limit was reached in epoch {n}"),
            Some(Stopped::Finished) | None => format!("all {n} epochs done"),
        };
        match self.rollbacks.as_slice() {
            [] => ending,
            [.., last] => format!(
                "{ending}; the loss was no number {} times, so that training went back, the last \
                 time to the end of epoch {}, with {:e} times the learning rate",
                self.rollbacks.len(),
                last.to_epoch,
                last.rate_factor
            ),
        }
    }
}
