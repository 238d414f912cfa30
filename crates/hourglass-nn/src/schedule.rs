//! Learning-rate schedules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How the learning rate changes during training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// It doesn't.
    #[default]
    Constant,
    /// Half a cosine from the full rate down to `floor` times it, step by step: Loshchilov and
    /// Hutter, "SGDR", arXiv:1608.03983, without restarts.
    Cosine {
        /// Share of the rate at the end; in `[0, 1]`.
        #[serde(default)]
        floor: f64,
    },
    /// Times `factor` every so many epochs.
    Step {
        /// Epochs between two steps; 1 or more.
        every_epochs: usize,
        /// In `(0, 1)`.
        factor: f64,
    },
    /// Times `factor` when the validation loss has not fallen for `patience` epochs.
    ReduceOnPlateau {
        /// In `(0, 1)`.
        factor: f64,
        /// Epochs to wait.
        patience: usize,
    },
}

impl ScheduleConfig {
    /// Every schedule, for tests and the reference page.
    pub fn examples() -> Vec<ScheduleConfig> {
        vec![
            ScheduleConfig::Constant,
            ScheduleConfig::Cosine { floor: 0.0 },
            ScheduleConfig::Step { every_epochs: 3, factor: 0.5 },
            ScheduleConfig::ReduceOnPlateau { factor: 0.5, patience: 2 },
        ]
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(&self) -> Result<()> {
        match *self {
            ScheduleConfig::Cosine { floor } if !(0.0..=1.0).contains(&floor) => {
                Err(Error::hyperparameter("schedule.cosine.floor", floor, "between 0 and 1"))
            }
            ScheduleConfig::Step { every_epochs: 0, .. } => {
                Err(Error::hyperparameter("schedule.step.every_epochs", 0, "1 or more"))
            }
            ScheduleConfig::Step { factor, .. } if !(factor > 0.0 && factor < 1.0) => {
                Err(Error::hyperparameter("schedule.step.factor", factor, "between 0 and 1"))
            }
            ScheduleConfig::ReduceOnPlateau { factor, .. } if !(factor > 0.0 && factor < 1.0) => {
                Err(Error::hyperparameter(
                    "schedule.reduce_on_plateau.factor",
                    factor,
                    "between 0 and 1",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// What a schedule remembers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    factor: f64,
    best: Option<f64>,
    n_bad_epochs: usize,
}

/// A schedule at work.
#[derive(Clone, Debug)]
pub struct Schedule {
    config: ScheduleConfig,
    learning_rate: f64,
    n_epochs: usize,
    state: ScheduleState,
}

impl Schedule {
    /// A schedule over `n_epochs` that starts from `learning_rate`.
    pub fn new(config: ScheduleConfig, learning_rate: f64, n_epochs: usize) -> Self {
        let state = ScheduleState { factor: 1.0, best: None, n_bad_epochs: 0 };
        Schedule { config, learning_rate, n_epochs, state }
    }

    /// The rate at a moment counted in epochs: 2.5 is the middle of the third.
    pub fn rate(&self, epochs_done: f64) -> f64 {
        self.learning_rate
            * match self.config {
                ScheduleConfig::Constant => 1.0,
                ScheduleConfig::Cosine { floor } => {
                    let share = (epochs_done / self.n_epochs as f64).min(1.0);
                    floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
                }
                ScheduleConfig::Step { every_epochs, factor } => {
                    factor.powi((epochs_done / every_epochs as f64) as i32)
                }
                ScheduleConfig::ReduceOnPlateau { .. } => self.state.factor,
            }
    }

    /// Learns the validation loss of a finished epoch.
    pub fn observe(&mut self, validation_loss: f64) {
        let ScheduleConfig::ReduceOnPlateau { factor, patience } = self.config else { return };
        if self.state.best.is_none_or(|best| validation_loss < best) {
            self.state.best = Some(validation_loss);
            self.state.n_bad_epochs = 0;
        } else {
            self.state.n_bad_epochs += 1;
        }
        if self.state.n_bad_epochs > patience {
            self.state.factor *= factor;
            self.state.n_bad_epochs = 0;
        }
    }

    /// What it remembers.
    pub fn state(&self) -> ScheduleState {
        self.state
    }

    /// Goes on from a saved state.
    pub fn restore(&mut self, state: ScheduleState) {
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_agree_with_pytorch() {
        // import torch; p = torch.nn.Parameter(torch.zeros(1)); L = torch.optim.lr_scheduler
        // o = torch.optim.SGD([p], lr=1.0); s = L.CosineAnnealingLR(o, 10) / L.StepLR(o, 3, 0.5)
        // [s.get_last_lr() after k steps for k in 0, 1, 5, 9]
        let cosine = Schedule::new(ScheduleConfig::Cosine { floor: 0.0 }, 1.0, 10);
        let step = Schedule::new(ScheduleConfig::Step { every_epochs: 3, factor: 0.5 }, 1.0, 10);
        let table =
            [(0.0, 1.0, 1.0), (1.0, 0.975_528, 1.0), (5.0, 0.5, 0.5), (9.0, 0.024_472, 0.125)];
        for (epoch, of_cosine, of_step) in table {
            assert!((cosine.rate(epoch) - of_cosine).abs() < 1e-6, "cosine at {epoch}");
            assert!((step.rate(epoch) - of_step).abs() < 1e-12, "step at {epoch}");
        }
    }

    #[test]
    fn plateau_steps_as_pytorch_does() {
        // s = L.ReduceLROnPlateau(o, factor=0.5, patience=2, threshold=0.0)
        // for loss in losses: s.step(loss); o.param_groups[0]["lr"]
        let config = ScheduleConfig::ReduceOnPlateau { factor: 0.5, patience: 2 };
        let mut schedule = Schedule::new(config, 1.0, 10);
        let losses = [1.0, 0.9, 0.95, 0.91, 0.9, 0.99, 0.99, 0.99, 0.8];
        let expected = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25];
        for (loss, expected) in losses.into_iter().zip(expected) {
            schedule.observe(loss);
            assert_eq!(schedule.rate(0.0), expected);
        }
    }
}
