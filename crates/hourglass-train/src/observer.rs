//! Who is told how training goes and may end it: pruners, time limits, plots. The trainer itself
//! decides nothing of the kind; it asks, and what it is answered goes into the history.

use serde::{Deserialize, Serialize};

use crate::{EpochRecord, Stopped};

/// What the trainer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Training goes on.
    GoOn,
    /// Training ends here, for this reason. The history keeps it; with early stopping, the best
    /// weights so far are restored.
    Stop(Stopped),
}

/// How training stands after a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The epoch that runs, counted from 1.
    pub epoch: usize,
    /// Steps since the beginning of training, this one included.
    pub step: u64,
    /// Loss of the step's batch, before the step.
    pub loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Loss over the validation rows, where this step ended with a validation.
    pub validation_loss: Option<f64>,
}

/// Is told how training goes, and answers whether it goes on.
///
/// A run that resumes tells only what it does itself, not what was done before it was interrupted.
///
/// ```
/// use hourglass_train::{Answer, EpochRecord, Observer, Stopped};
///
/// /// Gives up where the third epoch is still bad.
/// struct Impatient;
///
/// impl Observer for Impatient {
///     fn on_epoch(&self, record: &EpochRecord) -> Answer {
///         if record.epoch >= 3 && record.validation_loss > 0.1 {
///             Answer::Stop(Stopped::Pruned)
///         } else {
///             Answer::GoOn
///         }
///     }
/// }
/// ```
pub trait Observer: Sync {
    /// Steps between two calls of [`Observer::on_step`]; 0 for none but those that end with a
    /// validation. Default: 0.
    fn every_steps(&self) -> u64 {
        0
    }

    /// After every so many steps, and after each validation within an epoch.
    fn on_step(&self, _record: &StepRecord) -> Answer {
        Answer::GoOn
    }

    /// After each epoch and its validation.
    fn on_epoch(&self, _record: &EpochRecord) -> Answer {
        Answer::GoOn
    }
}

/// Watches nothing and lets training go on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
