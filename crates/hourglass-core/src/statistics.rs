//! Column statistics in f64, shared by the preprocessing and the latent scaler.

use serde::{Deserialize, Serialize};

use crate::MatrixView;

/// Mean, standard deviation, minimum and maximum of each column.
///
/// Sums run in `f64` over the rows in order, so the result does not depend on threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnMoments {
    /// Mean of each column.
    pub mean: Vec<f64>,
    /// Population standard deviation (divisor `n`, as scikit-learn's `StandardScaler`).
    pub std: Vec<f64>,
    /// Smallest value of each column.
    pub min: Vec<f32>,
    /// Largest value of each column.
    pub max: Vec<f32>,
}

impl ColumnMoments {
    /// Measures every column.
    ///
    /// # Shapes
    /// - `matrix`: `(n_samples, n_features)`, at least one row, finite values
    pub fn of(matrix: MatrixView<'_>) -> Self {
        let (n_samples, n_features) = matrix.dim();
        let mut mean = vec![0.0; n_features];
        let mut min = vec![f32::INFINITY; n_features];
        let mut max = vec![f32::NEG_INFINITY; n_features];
        for row in matrix.rows() {
            for (column, &value) in row.iter().enumerate() {
                mean[column] += f64::from(value);
                min[column] = min[column].min(value);
                max[column] = max[column].max(value);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= n_samples as f64);
        // The second pass keeps the digits that a sum of squares would cancel.
        let mut variance = vec![0.0; n_features];
        for row in matrix.rows() {
            for (column, &value) in row.iter().enumerate() {
                let deviation = f64::from(value) - mean[column];
                variance[column] += deviation * deviation;
            }
        }
        let std = variance.iter().map(|sum| (sum / n_samples as f64).sqrt()).collect();
        ColumnMoments { mean, std, min, max }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn moments_agree_with_numpy() {
        // numpy: x = [[1, 10], [2, 10], [4, 10]]; x.mean(0), x.std(0) -> [2.33333333, 10],
        // [1.24721913, 0]
        let moments = ColumnMoments::of(array![[1.0, 10.0], [2.0, 10.0], [4.0, 10.0]].view());
        assert!((moments.mean[0] - 7.0 / 3.0).abs() < 1e-12);
        assert!((moments.std[0] - 1.247_219_128_924_647).abs() < 1e-12);
        assert_eq!(moments.std[1], 0.0);
        assert_eq!((moments.min[0], moments.max[0]), (1.0, 4.0));
    }
}
