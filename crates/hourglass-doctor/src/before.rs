//! What the file and the data say before anything is trained. It reads prepared rows, and fits
//! nothing.

mod columns;
mod images;
mod mismatch;
mod rows;
mod settings;

pub use columns::{coded_missing, coded_values};

use hourglass_core::{ColumnMoments, Part, Samples};
use hourglass_nn::{Activation, Init, Loss};

use crate::sample::sorted_columns;
use crate::{Architecture, Finding, Recipe};

/// What a pipeline file asks for, as far as the doctor reads it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The autoencoder.
    pub architecture: Architecture,
    /// Activation of the hidden layers.
    pub hidden_activation: Activation,
    /// Activation of the output.
    pub output_activation: Activation,
    /// How weights are drawn, where the file says so.
    pub init: Option<Init>,
    /// Layers with weights, encoder and decoder together.
    pub n_layers: usize,
    /// The encoder's convolutions, where there are any.
    pub convolution: Option<Convolution>,
    /// What is minimised.
    pub loss: Loss,
    /// The optimiser, its rate and the epochs.
    pub recipe: Recipe,
    /// Whether it is gradient descent with neither momentum nor a rate for each weight.
    pub is_plain_descent: bool,
    /// Rows a step.
    pub batch_size: usize,
    /// Feature sets that are compared.
    pub compare: Vec<String>,
    /// Whether every class counts alike, however few its rows: by the metric or by weights.
    pub counts_classes_alike: bool,
    /// `downstream.models` as it stands in the file.
    pub models: serde_json::Value,
}

/// Convolutions of an encoder, all alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// How many follow each other.
    pub n_layers: usize,
    /// Height and width of their windows.
    pub kernel: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
}

impl Convolution {
    /// Pixels of the input, along a side, that a unit of the last map sees.
    pub(crate) fn receptive_field(&self) -> usize {
        (0..self.n_layers)
            .fold((1, 1), |(field, step), _| (field + (self.kernel - 1) * step, step * self.stride))
            .0
    }
}

/// Everything that can be found before training.
///
/// # Shapes
/// - `samples.features`: `(n_samples, n_features)`, prepared, finite
pub fn before(settings: &Settings, samples: &Samples) -> Vec<Finding> {
    // Several of them look at the training columns; a large table is read once for all.
    let train = samples.part(Part::Train);
    let (moments, sorted) = (ColumnMoments::of(train), sorted_columns(train));
    let mut findings = settings::examine(settings, samples, &moments);
    findings.extend(columns::examine(samples, &moments, &sorted));
    findings.extend(rows::examine(settings, samples));
    findings.extend(mismatch::examine(samples, &sorted));
    findings.extend(images::examine(settings, samples));
    findings
}
