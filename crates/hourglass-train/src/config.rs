//! The `[train]` table.

use hourglass_nn::{DeviceChoice, Loss, OptimizerConfig, ScheduleConfig, Warmup, WeightPenalty};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, OnDivergence, OnHopeless, Result};

/// How a model is trained.
///
/// | field | default | meaning | range |
/// | :-- | :-- | :-- | :-- |
/// | `epochs` | none | passes over the training rows | `1..` |
/// | `batch_size` | 128 | rows a batch; a remainder is spread over the steps | `1..` |
/// | `accumulate` | 1 | batches a step, their gradients averaged | `1..` |
/// | `optimizer` | none | `{ adam = { learning_rate = 1e-3 } }` and the like | |
/// | `schedule` | `constant` | how the learning rate changes | |
/// | `warmup` | none | a linear rise in front of the schedule | |
/// | `loss` | `mse` | reconstruction loss, a mean over samples and features | |
/// | `weight_penalty` | none | L1 and L2 prices on weights | |
/// | `decay_biases` | `false` | whether decay and penalty reach biases and normalisations | |
/// | `corruption_strength` | none | how much of the model's corruption there is over the epochs | |
/// | `max_norm` | none | greatest norm of the weights into a unit | above 0 |
/// | `clip_adaptive` | none | greatest norm of a unit's gradient, in norms of its weights | above 0 |
/// | `clip_value` | none | greatest value of a gradient | above 0 |
/// | `clip_norm` | none | greatest norm of all gradients together | above 0 |
/// | `weight_average` | none | moving average of the weights, judged and kept | |
/// | `validate_every_steps` | none | validations within an epoch | `1..` |
/// | `early_stopping` | none | when to stop, with the best weights restored | |
/// | `max_steps` | none | steps after which training ends | `1..` |
/// | `max_seconds` | none | time after which training ends | above 0 |
/// | `on_divergence` | `stop` | what happens when a loss is no number | |
/// | `on_hopeless` | `go_on` | what happens to a training that the doctor gives up | |
/// | `tensorboard` | `false` | whether event files are written | |
/// | `device` | `cpu` | `auto`, `cpu`, `cuda:0` or `metal`; only `cpu` gives the same bits anywhere | |
///
/// ```
/// use hourglass_nn::{OptimizerConfig, ScheduleConfig};
/// use hourglass_train::TrainConfig;
///
/// let config = TrainConfig {
///     schedule: ScheduleConfig::cosine(),
///     clip_norm: Some(1.0),
///     ..TrainConfig::new(20, OptimizerConfig::adam(1e-3))
/// };
/// assert!(config.check().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training rows; 1 or more.
    pub epochs: usize,
    /// Rows a batch; 1 or more. Default: 128.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// Batches whose gradients are averaged for one step; 1 or more. Default: 1.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Optimiser with its learning rate.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes. Default: `constant`.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// A linear rise of the learning rate in front of the schedule. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup: Option<Warmup>,
    /// Reconstruction loss. Default: `mse`.
    #[serde(default)]
    pub loss: Loss,
    /// Prices on weights that are minimised together with the loss. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_penalty: Option<WeightPenalty>,
    /// Whether weight decay and `weight_penalty` also reach biases and the parameters of
    /// normalisations. Default: `false`.
    #[serde(default)]
    pub decay_biases: bool,
    /// How much of the model's corruption there is over the epochs. Default: all of it throughout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruption_strength: Option<CorruptionStrength>,
    /// Greatest norm of the weights that come into a unit, enforced after each step; above 0.
    /// Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_norm: Option<f64>,
    /// Greatest norm of a unit's gradient, as a multiple of the norm of its weights (Brock et al.,
    /// arXiv:2102.06171: 0.01 to 0.16); above 0. Default: no clipping. Comes before the other two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_adaptive: Option<f64>,
    /// Greatest value of a gradient; above 0. Default: no clipping. Comes before `clip_norm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
    /// Greatest norm of all gradients together; above 0. Default: no clipping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// A moving average of the weights, which is validated and kept instead of the last weights.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_average: Option<Average>,
    /// Steps between two validations within an epoch; 1 or more. Each counts for early stopping.
    /// Default: validation after each epoch only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_every_steps: Option<u64>,
    /// When to stop early. Default: never; the last weights are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Steps after which training ends; 1 or more. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Seconds after which training ends; above 0. The one key that lets results depend on the
    /// machine. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<f64>,
    /// What is done when a loss is no finite number any more. Default: `stop`.
    #[serde(default)]
    pub on_divergence: OnDivergence,
    /// What is done about a training that the doctor finds hopeless while it runs: whose losses are
    /// no numbers, or whose loss rises again and again. Default: `go_on`.
    #[serde(default, skip_serializing_if = "OnHopeless::goes_on")]
    pub on_hopeless: OnHopeless,
    /// Whether event files for TensorBoard are written beside the telemetry. Default: `false`.
    #[serde(default)]
    pub tensorboard: bool,
    /// Where it is trained: `auto`, `cpu`, `cuda:0` or `metal`; all other stages run on the CPU.
    /// Default: `cpu`.
    #[serde(default, skip_serializing_if = "DeviceChoice::is_cpu")]
    pub device: DeviceChoice,
}

/// A moving average of the weights: after each step it moves by `1 - decay` of the way to them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Average {
    /// In `(0, 1)`; 0.999 looks back about a thousand steps. Default: 0.999.
    #[serde(default = "decay")]
    pub decay: f64,
}

/// A corruption whose strength changes linearly: its share, or its standard deviation, is what the
/// model says times this number. Validation rows are corrupted with all of it. Falling noise: Geras
/// and Sutton, "Scheduled denoising autoencoders", arXiv:1406.3269.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorruptionStrength {
    /// In the first step; in `[0, 1]`.
    pub start: f32,
    /// From `epochs` on; in `[0, 1]`.
    pub end: f32,
    /// Epochs until `end` is reached; above 0.
    pub epochs: f64,
}

impl CorruptionStrength {
    fn check(self) -> Result<()> {
        let ends =
            [("corruption_strength.start", self.start), ("corruption_strength.end", self.end)];
        for (key, value) in ends {
            if !(0.0..=1.0).contains(&value) {
                return wrong(key, value, "in `[0, 1]`");
            }
        }
        if self.epochs > 0.0 && self.epochs.is_finite() {
            return Ok(());
        }
        wrong("corruption_strength.epochs", self.epochs, "above 0")
    }

    /// What there is of the corruption after so many epochs.
    pub(crate) fn at(self, epochs_done: f64) -> f32 {
        let share = (epochs_done / self.epochs).min(1.0) as f32;
        self.start + (self.end - self.start) * share
    }
}

/// Stops when the validation loss has not fallen, and restores the best weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Validations without a fall after which training stops; 1 or more. There is one an epoch
    /// unless `validate_every_steps` asks for more.
    pub patience: usize,
    /// A smaller fall doesn't count; 0 or above. Default: 0.
    #[serde(default)]
    pub min_delta: f64,
}

fn batch_size() -> usize {
    128
}
fn one() -> usize {
    1
}
fn decay() -> f64 {
    0.999
}

impl TrainConfig {
    /// So many epochs with this optimiser, and the defaults for all else.
    pub fn new(epochs: usize, optimizer: OptimizerConfig) -> Self {
        TrainConfig {
            epochs,
            batch_size: batch_size(),
            accumulate: one(),
            optimizer,
            schedule: ScheduleConfig::Constant,
            warmup: None,
            loss: Loss::default(),
            weight_penalty: None,
            decay_biases: false,
            corruption_strength: None,
            max_norm: None,
            clip_adaptive: None,
            clip_value: None,
            clip_norm: None,
            weight_average: None,
            validate_every_steps: None,
            early_stopping: None,
            max_steps: None,
            max_seconds: None,
            on_divergence: OnDivergence::Stop,
            on_hopeless: OnHopeless::GoOn,
            tensorboard: false,
            device: DeviceChoice::Cpu,
        }
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Config`] or [`hourglass_nn::Error::Hyperparameter`], with the path of the key below
    /// `[train]`.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("epochs", Some(self.epochs as u64)),
            ("batch_size", Some(self.batch_size as u64)),
            ("accumulate", Some(self.accumulate as u64)),
            ("validate_every_steps", self.validate_every_steps),
            ("early_stopping.patience", self.early_stopping.map(|s| s.patience as u64)),
            ("max_steps", self.max_steps),
        ];
        for (key, count) in counts {
            if count == Some(0) {
                return wrong(key, 0, "1 or more");
            }
        }
        let limits = [
            ("max_norm", self.max_norm),
            ("clip_adaptive", self.clip_adaptive),
            ("clip_value", self.clip_value),
            ("clip_norm", self.clip_norm),
            ("max_seconds", self.max_seconds),
        ];
        for (key, limit) in limits {
            if let Some(limit) = limit
                && !(limit > 0.0 && limit.is_finite())
            {
                return wrong(key, limit, "above 0");
            }
        }
        if let Some(stopping) = self.early_stopping
            && !(stopping.min_delta >= 0.0 && stopping.min_delta.is_finite())
        {
            return wrong("early_stopping.min_delta", stopping.min_delta, "0 or above");
        }
        if let Some(Average { decay }) = self.weight_average
            && !(decay > 0.0 && decay < 1.0)
        {
            return wrong("weight_average.decay", decay, "between 0 and 1");
        }
        if let Some(warmup) = self.warmup {
            warmup.check()?;
            if warmup.epochs >= self.epochs as f64 {
                let range = format!("less than `epochs` = {}", self.epochs);
                return wrong("warmup.epochs", warmup.epochs, &range);
            }
        }
        if let Some(strength) = self.corruption_strength {
            strength.check()?;
        }
        if let Some(penalty) = self.weight_penalty {
            penalty.check()?;
        }
        self.on_divergence.check()?;
        self.device.open()?;
        self.optimizer.check()?;
        self.schedule.check()?;
        Ok(self.loss.check()?)
    }
}

fn wrong(key: &'static str, value: impl std::fmt::Display, range: &str) -> Result<()> {
    Err(Error::Config { key, value: value.to_string(), range: range.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named_with_their_range() {
        let good = r#""epochs": 3, "optimizer": {"adam": {"learning_rate": 1e-3}}"#;
        for (extra, expected) in [
            (r#""accumulate": 0"#, "`accumulate` is 0, but must be 1 or more"),
            (r#""max_norm": 0.0"#, "`max_norm` is 0, but must be above 0"),
            (r#""max_seconds": -1.0"#, "`max_seconds` is -1, but must be above 0"),
            (
                r#""warmup": {"epochs": 3}"#,
                "`warmup.epochs` is 3, but must be less than `epochs` = 3",
            ),
            (
                r#""weight_average": {"decay": 1.0}"#,
                "`weight_average.decay` is 1, but must be between 0 and 1",
            ),
            (
                r#""weight_penalty": {"l2": -1.0}"#,
                "`weight_penalty.l2` is -1, but must be 0 or above",
            ),
            (
                r#""on_divergence": {"rollback": {"at_most": 0}}"#,
                "`on_divergence.rollback.at_most` is 0, but must be 1 or more",
            ),
            (
                r#""corruption_strength": {"start": 2.0, "end": 0.0, "epochs": 3}"#,
                "`corruption_strength.start` is 2, but must be in `[0, 1]`",
            ),
            (
                r#""corruption_strength": {"start": 1.0, "end": 0.0, "epochs": 0}"#,
                "`corruption_strength.epochs` is 0, but must be above 0",
            ),
            (
                r#""early_stopping": {"patience": 0}"#,
                "`early_stopping.patience` is 0, but must be 1 or more",
            ),
        ] {
            let config: TrainConfig =
                serde_json::from_str(&format!("{{{good}, {extra}}}")).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert_eq!(error.lines().next(), Some(expected));
            let is_ours = !expected.starts_with("`weight_penalty");
            assert_eq!(error.contains("\nhint: "), is_ours, "{error}");
        }
        let config: TrainConfig = serde_json::from_str(&format!("{{{good}}}")).unwrap();
        assert_eq!(config, TrainConfig::new(3, OptimizerConfig::adam(1e-3)));
        config.check().unwrap();
    }
}
