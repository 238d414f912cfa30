//! The kernel machines' common part: the Gaussian kernel, exact up to a few thousand rows, and its
//! approximation by random Fourier features beyond.
//!
//! # Source
//! Rahimi and Recht, *Random Features for Large-Scale Kernel Machines*, NeurIPS 2007.

pub(crate) mod smo;

use hourglass_core::linalg::{matmul, matmul_into};
use hourglass_core::{ColumnMoments, Matrix, MatrixView, Rng, Seed};
use rand::RngExt;
use rayon::prelude::*;

/// Rows up to which the exact machine is fitted: its kernel matrix takes 64 MiB then.
pub(crate) const MAX_EXACT: usize = 4000;

/// Random Fourier features beyond.
const N_FOURIER: usize = 1000;

/// `1 / (n_features * variance)` of rows, the usual width of the kernel: scikit-learn's
/// `gamma="scale"`.
pub(crate) fn usual_gamma(rows: MatrixView<'_>) -> f64 {
    let moments = ColumnMoments::of(rows);
    let n = moments.mean.len() as f64;
    let mean = moments.mean.iter().sum::<f64>() / n;
    let of = |(mean_of, std): (&f64, &f64)| std * std + (mean_of - mean).powi(2);
    let variance = moments.mean.iter().zip(&moments.std).map(of).sum::<f64>() / n;
    if variance > 0.0 { 1.0 / (n * variance) } else { 1.0 }
}

/// `exp(-gamma |a - b|^2)` for all pairs, `(a.nrows(), b.nrows())`.
pub(crate) fn gaussian(a: MatrixView<'_>, b: MatrixView<'_>, gamma: f64) -> Matrix {
    let squares = |x: MatrixView<'_>| -> Vec<f32> {
        x.outer_iter().into_par_iter().map(|row| row.dot(&row)).collect()
    };
    let (of_a, of_b) = (squares(a), squares(b));
    let mut kernel = matmul(a, b.t());
    let gamma = gamma as f32;
    kernel.outer_iter_mut().into_par_iter().zip(&of_a).for_each(|(mut row, &own)| {
        for (value, &other) in row.iter_mut().zip(&of_b) {
            *value = (-gamma * (own + other - 2.0 * *value).max(0.0)).exp();
        }
    });
    kernel
}

/// Columns whose products approximate the Gaussian kernel.
pub(crate) struct Fourier {
    /// `(n_features, N_FOURIER)`.
    frequencies: Matrix,
    phases: Vec<f32>,
}

impl Fourier {
    pub fn draw(n_features: usize, gamma: f64, seed: Seed) -> Fourier {
        let mut rng = seed.child("fourier").rng();
        let spread = (2.0 * gamma).sqrt() as f32;
        let frequencies =
            Matrix::from_shape_simple_fn((n_features, N_FOURIER), || spread * normal(&mut rng));
        let phases = (0..N_FOURIER).map(|_| std::f32::consts::TAU * rng.random::<f32>()).collect();
        Fourier { frequencies, phases }
    }

    /// `(n_rows, N_FOURIER)`.
    pub fn of(&self, rows: MatrixView<'_>) -> Matrix {
        let mut features = Matrix::zeros((rows.nrows(), N_FOURIER));
        matmul_into(features.view_mut(), rows, self.frequencies.view(), 0.0);
        let scale = (2.0 / N_FOURIER as f32).sqrt();
        features.outer_iter_mut().into_par_iter().for_each(|mut row| {
            for (value, phase) in row.iter_mut().zip(&self.phases) {
                *value = scale * (*value + phase).cos();
            }
        });
        features
    }

    pub fn n_features(&self) -> usize {
        self.frequencies.nrows()
    }

    pub fn size(&self) -> usize {
        self.frequencies.len() + self.phases.len()
    }
}

/// A standard normal number, by Box and Muller.
fn normal(rng: &mut Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::blobs;

    #[test]
    fn the_usual_gamma_agrees_with_scikit_learn() {
        // 1 / (x.shape[1] * x.var())
        let x = ndarray::array![[1.0, 10.0], [2.0, 10.0], [4.0, 13.0]];
        assert!((usual_gamma(x.view()) - 0.024_324_324_324_324_326).abs() < 1e-9);
    }

    #[test]
    fn fourier_features_approximate_the_kernel() {
        let (x, _) = blobs(30, 6, 3, 5, 2.0);
        let gamma = usual_gamma(x.view());
        let exact = gaussian(x.view(), x.view(), gamma);
        let features = Fourier::draw(6, gamma, Seed::new(1)).of(x.view());
        let error = (&features.dot(&features.t()) - &exact)
            .iter()
            .fold(0.0_f32, |most, e| most.max(e.abs()));
        // The standard error of a product of 1,000 features is about 0.03.
        assert!(error < 0.13, "{error}");
    }
}
