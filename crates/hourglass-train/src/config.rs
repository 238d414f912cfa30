//! The `[train]` table.

use hourglass_nn::{Loss, OptimizerConfig, ScheduleConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a model is trained.
///
/// | field | default | meaning | range |
/// | :-- | :-- | :-- | :-- |
/// | `epochs` | none | passes over the training rows | `1..` |
/// | `batch_size` | 128 | rows a step; a remainder is spread over the steps | `1..` |
/// | `optimizer` | none | `{ adam = { learning_rate = 1e-3 } }` and the like | |
/// | `schedule` | `constant` | how the learning rate changes | |
/// | `loss` | `mse` | reconstruction loss, a mean over samples and features | |
/// | `clip_norm` | none | greatest norm of all gradients together | above 0 |
/// | `early_stopping` | none | when to stop, with the best weights restored | |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training rows; 1 or more.
    pub epochs: usize,
    /// Rows a step; 1 or more. Default: 128.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// Optimiser with its learning rate.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes. Default: `constant`.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// Reconstruction loss. Default: `mse`.
    #[serde(default)]
    pub loss: Loss,
    /// Greatest norm of all gradients together; above 0. Default: no clipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// When to stop early. Default: never; the last weights are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
}

/// Stops when the validation loss has not fallen, and restores the best weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a fall after which training stops; 1 or more.
    pub patience: usize,
    /// A smaller fall doesn't count; 0 or above. Default: 0.
    #[serde(default)]
    pub min_delta: f64,
}

fn batch_size() -> usize {
    128
}

impl TrainConfig {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Config`] or [`hourglass_nn::Error::Hyperparameter`], with the path of the key below
    /// `[train]`.
    pub fn check(&self) -> Result<()> {
        let wrong = |key, value: &dyn std::fmt::Display, range: &str| {
            Err(Error::Config { key, value: value.to_string(), range: range.to_owned() })
        };
        if self.epochs == 0 {
            return wrong("epochs", &0, "1 or more");
        }
        if self.batch_size == 0 {
            return wrong("batch_size", &0, "1 or more");
        }
        if let Some(norm) = self.clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            return wrong("clip_norm", &norm, "above 0");
        }
        if let Some(stopping) = self.early_stopping {
            if stopping.patience == 0 {
                return wrong("early_stopping.patience", &0, "1 or more");
            }
            if !(stopping.min_delta >= 0.0 && stopping.min_delta.is_finite()) {
                return wrong("early_stopping.min_delta", &stopping.min_delta, "0 or above");
            }
        }
        self.optimizer.check()?;
        self.schedule.check()?;
        Ok(self.loss.check()?)
    }
}
