//! What the file and the data say before anything is trained. It reads prepared rows, and fits
//! nothing.

mod columns;
mod rows;
mod settings;

use hourglass_core::Samples;
use hourglass_nn::{Activation, Init, Loss};

use crate::Finding;

/// What a pipeline file asks for, as far as the doctor reads it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the model's keys stand, such as `model.denoising`.
    pub model_key: String,
    /// Activation of the hidden layers.
    pub hidden_activation: Activation,
    /// Activation of the output.
    pub output_activation: Activation,
    /// How weights are drawn, where the file says so.
    pub init: Option<Init>,
    /// Layers with weights, encoder and decoder together.
    pub n_layers: usize,
    /// Trained numbers.
    pub n_parameters: usize,
    /// Whether something but the width keeps the model from copying: corruption or sparsity.
    pub is_constrained: bool,
    /// What is minimised.
    pub loss: Loss,
    /// Key of the optimiser, such as `adam`.
    pub optimizer: String,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Whether it is gradient descent with neither momentum nor a rate for each weight.
    pub is_plain_descent: bool,
    /// Rows a step.
    pub batch_size: usize,
    /// Feature sets that are compared.
    pub compare: Vec<String>,
}

/// Everything that can be found before training.
///
/// # Shapes
/// - `samples.features`: `(n_samples, n_features)`, prepared, finite
pub fn before(settings: &Settings, samples: &Samples) -> Vec<Finding> {
    let mut findings = settings::examine(settings, samples);
    findings.extend(columns::examine(samples));
    findings.extend(rows::examine(samples));
    findings
}
