//! What the trained model makes of its inputs, what its latent holds, and what the results say.
//! The caller encodes and reconstructs; here are only matrices.

mod latent;
mod reconstruction;
mod results;
mod spectrum;

use hourglass_core::{Matrix, MatrixView, SampleShape, Seed};
use rand::seq::SliceRandom;

use crate::Finding;

/// Inputs and what the model made of them, `(n_rows, n_features)` each.
#[derive(Clone, Copy, Debug)]
pub struct Reconstructions<'a> {
    /// What went in.
    pub inputs: MatrixView<'a>,
    /// What came out.
    pub outputs: MatrixView<'a>,
}

/// The model as it can be judged by its reconstructions.
#[derive(Clone, Copy, Debug)]
pub struct Reconstruction<'a> {
    /// What a row means.
    pub shape: &'a SampleShape,
    /// Mean of each column over the training rows, `(n_features)`.
    pub train_mean: &'a [f32],
    /// Some training rows.
    pub train: Reconstructions<'a>,
    /// Some validation rows.
    pub validation: Reconstructions<'a>,
    /// Validation rows whose columns were shuffled independently; see [`shuffled_columns`].
    pub shuffled: Reconstructions<'a>,
    /// Summed squared error of a validation row under as many principal components as the latent
    /// is wide; `None` where the latent is no narrower than the data.
    pub pca_error: Option<f64>,
    /// Whether something but the width keeps the model from copying: corruption or sparsity.
    pub is_constrained: bool,
    /// Pixels between the outputs of a transposed convolution or an upsampling, where there is
    /// one.
    pub stride: Option<usize>,
}

/// The latent of some validation rows.
#[derive(Clone, Debug)]
pub struct Latent<'a> {
    /// `(n_rows, latent_dim)`, before any scaling.
    pub values: MatrixView<'a>,
    /// Whether dimensions are brought to one scale before a model reads them.
    pub is_scaled: bool,
    /// The downstream models that measure distances or penalise all columns alike.
    pub scale_sensitive: Vec<String>,
    /// Whether something but the width keeps the model from copying: corruption or sparsity.
    pub is_constrained: bool,
    /// Where the model's keys stand, such as `model.denoising`.
    pub model_key: String,
}

/// A paired comparison of the report, for the main downstream model.
#[derive(Clone, Debug)]
pub struct Score {
    /// Feature set, such as `autoencoder`.
    pub feature_set: String,
    /// Mean paired difference from raw; positive is better.
    pub difference: f64,
    /// Its 95 % interval, where there is one.
    pub interval: Option<[f64; 2]>,
    /// Whether the corrected test finds a difference.
    pub is_significant: bool,
}

/// What the report says.
#[derive(Clone, Debug)]
pub struct Results {
    /// How often the experiment was repeated.
    pub repeats: usize,
    /// Comparisons with raw under the main model.
    pub against_raw: Vec<Score>,
}

/// Everything that can be found after training; what is `None` is not looked at.
pub fn after(
    reconstruction: Option<&Reconstruction<'_>>,
    latent: Option<&Latent<'_>>,
    results: Option<&Results>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(reconstruction) = reconstruction {
        findings.extend(reconstruction::examine(reconstruction));
    }
    if let Some(latent) = latent {
        findings.extend(latent::examine(latent));
    }
    if let Some(results) = results {
        findings.extend(results::examine(results));
    }
    findings
}

/// The rows with each column in an order of its own: the columns keep their distributions and lose
/// what binds them, so that only a model that copies can still reconstruct them.
///
/// # Shapes
/// - `rows`: `(n_rows, n_features)`
/// - returns: the same
pub fn shuffled_columns(rows: MatrixView<'_>, seed: Seed) -> Matrix {
    let mut shuffled = rows.to_owned();
    let mut order: Vec<usize> = (0..rows.nrows()).collect();
    for (column, mut values) in shuffled.columns_mut().into_iter().enumerate() {
        order.shuffle(&mut seed.nth(column as u64).rng());
        for (value, &row) in values.iter_mut().zip(&order) {
            *value = rows[[row, column]];
        }
    }
    shuffled
}
