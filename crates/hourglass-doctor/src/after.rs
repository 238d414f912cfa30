//! What the trained model makes of its inputs, what its latent holds, and what the results say.
//! The caller encodes and reconstructs; here are only matrices.

mod detail;
mod latent;
mod noise;
mod reconstruction;
mod results;
mod spectrum;

pub use results::{Regularisation, Results, Score, Unconverged};

use hourglass_core::{Matrix, MatrixView, SampleShape, Seed};
use hourglass_nn::{CleanRows, Corruption};
use rand::RngExt;
use rand::seq::SliceRandom;

use crate::{Architecture, Finding, Recipe};

/// Rows whose products are decomposed at most: the shares of the first components settle early.
const SPECTRUM_ROWS: usize = 400;

/// Inputs and what the model made of them, `(n_rows, n_features)` each.
#[derive(Clone, Copy, Debug)]
pub struct Reconstructions<'a> {
    /// What went in.
    pub inputs: MatrixView<'a>,
    /// What came out.
    pub outputs: MatrixView<'a>,
}

/// Rows that were corrupted as in training, and what the model made of them.
#[derive(Clone, Copy, Debug)]
pub struct Denoised<'a> {
    /// The validation rows, corrupted.
    pub corrupted: MatrixView<'a>,
    /// What came out.
    pub outputs: MatrixView<'a>,
    /// The key of the strength, such as `model.denoising.corruption.masking.share`.
    pub key: &'a str,
    /// Its value.
    pub strength: f64,
}

/// The classes of the training rows that were reconstructed.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// Class of each row.
    pub classes: &'a [u32],
    /// Number of classes.
    pub n_classes: usize,
}

/// The model as it can be judged by its reconstructions.
#[derive(Clone, Copy, Debug)]
pub struct Reconstruction<'a> {
    /// The autoencoder.
    pub architecture: &'a Architecture,
    /// How it was trained.
    pub recipe: &'a Recipe,
    /// What a row means.
    pub shape: &'a SampleShape,
    /// Mean of each column over the training rows, `(n_features)`.
    pub train_mean: &'a [f32],
    /// Training rows that there are.
    pub n_train: usize,
    /// Some training rows.
    pub train: Reconstructions<'a>,
    /// Some validation rows.
    pub validation: Reconstructions<'a>,
    /// Validation rows whose columns were shuffled independently; see [`shuffled_columns`].
    pub shuffled: Reconstructions<'a>,
    /// Summed squared error of a validation row under as many principal components as the latent
    /// is wide; `None` where the latent is no narrower than the data.
    pub pca_error: Option<f64>,
    /// Share of the variance of each principal component of the training rows, largest first; see
    /// [`variance_shares`].
    pub variance_shares: &'a [f64],
    /// Corrupted rows, where the input is corrupted in training.
    pub denoised: Option<Denoised<'a>>,
    /// Classes of `train`, where classes are predicted.
    pub labels: Option<Labels<'a>>,
    /// Samples drawn from the prior and decoded, where the model can.
    pub drawn: Option<MatrixView<'a>>,
    /// Pixels between the outputs of a transposed convolution or an upsampling, where there is
    /// one.
    pub stride: Option<usize>,
}

/// The latent of some validation rows.
#[derive(Clone, Debug)]
pub struct Latent<'a> {
    /// The autoencoder.
    pub architecture: &'a Architecture,
    /// Epochs of the training.
    pub epochs: usize,
    /// `(n_rows, latent_dim)`, before any scaling.
    pub values: MatrixView<'a>,
    /// Whether dimensions are brought to one scale before a model reads them.
    pub is_scaled: bool,
    /// The downstream models that measure distances or penalise all columns alike.
    pub scale_sensitive: Vec<String>,
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
        findings.extend(noise::examine(reconstruction));
        findings.extend(detail::examine(reconstruction));
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

/// The rows corrupted as in training.
///
/// # Shapes
/// - `rows`, `train`: `(n_rows, n_features)`; some corruptions borrow values from `train`
/// - returns: as `rows`; `None` where rows of this shape can't be corrupted so
pub fn corrupted(
    rows: MatrixView<'_>,
    train: MatrixView<'_>,
    shape: &SampleShape,
    corruption: Corruption,
    seed: Seed,
) -> Option<Matrix> {
    let ends = train.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| {
        (value.min(low), value.max(high))
    });
    let mut values: Vec<f32> = rows.iter().copied().collect();
    corruption.apply(&mut values, &CleanRows { rows: train, range: ends, shape }, seed).ok()?;
    Matrix::from_shape_vec(rows.dim(), values).ok()
}

/// Draws from the standard normal, `(n, width)`, by Box and Muller.
pub fn normal_draws(n: usize, width: usize, seed: Seed) -> Matrix {
    let mut rng = seed.rng();
    Matrix::from_shape_simple_fn((n, width), || {
        let (u, v): (f32, f32) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
    })
}

/// Share of the variance of each principal component, largest first, over at most 400 rows.
///
/// # Shapes
/// - `rows`: `(n_rows, n_features)`
/// - returns: as many as there are rows or columns, whichever are fewer; none where nothing varies
pub fn variance_shares(rows: MatrixView<'_>) -> Vec<f64> {
    let rows = rows.slice(ndarray::s![..rows.nrows().min(SPECTRUM_ROWS), ..]);
    let Some(mean) = rows.mean_axis(ndarray::Axis(0)) else { return Vec::new() };
    let centred = &rows - &mean;
    // The products of rows with rows have the same eigenvalues other than 0 as those of columns.
    let products = if centred.nrows() < centred.ncols() {
        centred.dot(&centred.t())
    } else {
        centred.t().dot(&centred)
    };
    let n = products.nrows();
    let products = nalgebra::DMatrix::from_fn(n, n, |row, column| {
        f64::midpoint(products[[row, column]].into(), products[[column, row]].into())
    });
    let mut values: Vec<f64> =
        products.symmetric_eigenvalues().iter().map(|value| value.max(0.0)).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    let sum: f64 = values.iter().sum();
    if sum <= 0.0 || !sum.is_finite() {
        return Vec::new();
    }
    values.iter().map(|value| value / sum).collect()
}
