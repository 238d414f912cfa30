//! The types of a line of the telemetry file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One epoch: a line of `telemetry.jsonl`.
///
/// ```
/// use hourglass_train::EpochTelemetry;
///
/// # fn read(path: &std::path::Path) -> Result<Vec<EpochTelemetry>, Box<dyn std::error::Error>> {
/// let text = std::fs::read_to_string(path)?;
/// Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochTelemetry {
    /// Counted from 1.
    pub epoch: usize,
    /// Optimiser steps since the beginning of training.
    pub step: u64,
    /// Mean of what was minimised, over the rows of the epoch, while the weights changed.
    pub train_loss: f64,
    /// The same over the validation rows, after the epoch.
    pub validation_loss: f64,
    /// What `train_loss` is made of, by the name of the part; `reconstruction` is always there.
    pub train_parts: BTreeMap<String, f64>,
    /// What `validation_loss` is made of.
    pub validation_parts: BTreeMap<String, f64>,
    /// The price on weights after the epoch, which is no part of the losses above; `None` without
    /// `weight_penalty`.
    pub weight_penalty: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Euclidean norm of all gradients together in the last step, before clipping.
    pub gradient_norm: f64,
    /// Each parameter, in the order of the model; empty where training was ended within the epoch.
    pub parameters: Vec<ParameterTelemetry>,
    /// Each layer of the encoder, the latent last, over the first validation rows.
    pub layers: Vec<LayerTelemetry>,
    /// The latent, over the same rows.
    pub latent: LatentTelemetry,
    /// What else the model knows of the validation rows, by name: `perplexity` and the like.
    pub facts: BTreeMap<String, Vec<f64>>,
    /// Mean squared reconstruction error of each column, over the same rows.
    pub feature_errors: Vec<f32>,
    /// Reconstructions of the watched samples, those of the training part first, in the epochs in
    /// which they are taken (1, 2, 4, 8, ... and the last); empty otherwise.
    pub reconstructions: Vec<Vec<f32>>,
    /// Validation rows behind `layers`, `latent` and `feature_errors`.
    pub n_measured_rows: usize,
    /// Time for the steps of the epoch and its validation.
    pub seconds: f64,
    /// Training rows a second, over the steps alone.
    pub samples_per_second: f64,
    /// Time that measuring for telemetry took, the writing of the line before this one included;
    /// not part of `seconds`.
    pub telemetry_seconds: f64,
}

/// A parameter after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterTelemetry {
    /// Its path in the model, such as `encoder.0.weight`.
    pub name: String,
    /// Euclidean norm of its values.
    pub weight_norm: f64,
    /// Euclidean norm of its gradient in the last step, before clipping; 0 where no gradient came.
    pub gradient_norm: f64,
    /// Euclidean norm of what the last step changed.
    pub update_norm: f64,
    /// `update_norm / weight_norm`, `None` where all values are 0. About 1e-3 is usual; far less
    /// learns nothing, far more is noise.
    pub update_ratio: Option<f64>,
}

/// Activations of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerTelemetry {
    /// Its path in the model, such as `encoder.0`.
    pub name: String,
    /// Number of units.
    pub n_units: usize,
    /// Mean over units and rows.
    pub mean: f64,
    /// Standard deviation over units and rows.
    pub spread: f64,
    /// Share of all activations that are exactly 0.
    pub zero_share: f64,
    /// Share of units that are 0 in every row: dead on these rows.
    pub always_zero_share: f64,
    /// Share of units that lie within a hundredth of an end of their activation's range in at
    /// least 95 % of the rows; `None` where the activation has no such end (0 is none: see
    /// `always_zero_share`) or isn't known.
    pub saturated_share: Option<f64>,
}

/// The latent as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LatentTelemetry {
    /// Eigenvalues of its covariance, largest first. Where the latent is wider than 256, or than
    /// there are rows, they are those of the first 256 rows at most, one fewer than rows: all
    /// others are 0.
    pub spectrum: Vec<f64>,
    /// `exp` of the entropy of the spectrum's shares: how many directions are in use (Roy and
    /// Vetterli, "The effective rank", EUSIPCO 2007). 0 where nothing varies.
    pub effective_rank: f64,
    /// Kullback-Leibler divergence of each dimension from its prior in nats, a mean over all
    /// validation rows; `None` where the model has none.
    pub kl_per_dimension: Option<Vec<f64>>,
}
