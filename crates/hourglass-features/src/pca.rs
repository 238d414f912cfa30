//! Principal component analysis by the eigenvectors of the covariance.
//!
//! Source: Pearson, "On Lines and Planes of Closest Fit", 1901; Hotelling, 1933. Signs are fixed by
//! the largest entry of each component, so that a fit repeats itself.

use hourglass_core::linalg::{matmul, matmul_into};
use hourglass_core::{ColumnMoments, Matrix, MatrixView};
use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, Axis};

use crate::{Error, Result};

/// Rows whose products are summed in f32 before they join the f64 sum.
const CHUNK_ROWS: usize = 4096;

/// Share of the largest variance below which a component is the rounding of `f32` products. Scaled
/// to the same spread as the others, such a column would be noise that test rows blow up.
const RESOLUTION: f64 = 1e-7;

/// A fitted PCA.
#[derive(Clone, Debug)]
pub struct Pca {
    mean: Array1<f32>,
    /// `(n_components, n_features)`, orthonormal rows, largest variance first.
    components: Matrix,
    explained_variance_ratio: Vec<f64>,
}

impl Pca {
    /// Fits at most `n_components` components: as many as there are columns and rows for, and as
    /// have a variance that can be told from rounding (one at least).
    ///
    /// # Shapes
    /// - `train`: `(n_rows, n_features)`, finite values
    ///
    /// # Errors
    /// [`Error::TooFewRows`] below two rows.
    pub fn fit(train: MatrixView<'_>, n_components: usize) -> Result<Self> {
        let (n_rows, n_features) = train.dim();
        if n_rows < 2 {
            return Err(Error::TooFewRows { what: "PCA", needed: 2, found: n_rows });
        }
        let n_components = n_components.min(n_features).min(n_rows);
        let mean: Array1<f32> =
            ColumnMoments::of(train).mean.into_iter().map(|mean| mean as f32).collect();
        let mut scatter = Array2::<f64>::zeros((n_features, n_features));
        for chunk in train.axis_chunks_iter(Axis(0), CHUNK_ROWS) {
            let centred = &chunk - &mean;
            let products = matmul(centred.t(), centred.view());
            scatter.zip_mut_with(&products, |sum, &product| *sum += f64::from(product));
        }
        let eigen = SymmetricEigen::new(DMatrix::from_fn(n_features, n_features, |row, column| {
            // Rounding leaves the two halves apart by some bits.
            0.5 * (scatter[[row, column]] + scatter[[column, row]])
        }));
        let mut order: Vec<usize> = (0..n_features).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let total: f64 = eigen.eigenvalues.iter().sum();
        let least = RESOLUTION * order.first().map_or(0.0, |&index| eigen.eigenvalues[index]);
        let n_seen = order.iter().take_while(|&&index| eigen.eigenvalues[index] > least).count();
        let n_components = n_components.min(n_seen.max(1));
        let mut components = Matrix::zeros((n_components, n_features));
        for (mut component, &index) in components.rows_mut().into_iter().zip(&order) {
            let vector = eigen.eigenvectors.column(index);
            let sign = vector[vector.iamax()].signum();
            component.iter_mut().zip(&vector).for_each(|(dst, &v)| *dst = (sign * v) as f32);
        }
        let share =
            |&index: &usize| if total > 0.0 { eigen.eigenvalues[index] / total } else { 0.0 };
        let explained_variance_ratio = order[..n_components].iter().map(share).collect();
        Ok(Pca { mean, components, explained_variance_ratio })
    }

    /// Number of components.
    pub fn n_components(&self) -> usize {
        self.components.nrows()
    }

    /// Share of the total variance of each component.
    pub fn explained_variance_ratio(&self) -> &[f64] {
        &self.explained_variance_ratio
    }

    /// Coordinates of rows.
    ///
    /// # Shapes
    /// - `rows`: `(n_rows, n_features)`
    /// - returns: `(n_rows, n_components)`
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn transform(&self, rows: MatrixView<'_>) -> Result<Matrix> {
        let (expected, found) = (self.mean.len(), rows.ncols());
        if expected != found {
            return Err(Error::Width { what: "PCA", expected, found });
        }
        let mut scores = Matrix::zeros((rows.nrows(), self.n_components()));
        let chunks = scores.axis_chunks_iter_mut(Axis(0), CHUNK_ROWS);
        for (dst, rows) in chunks.zip(rows.axis_chunks_iter(Axis(0), CHUNK_ROWS)) {
            let centred = &rows - &self.mean;
            matmul_into(dst, centred.view(), self.components.t(), 0.0);
        }
        Ok(scores)
    }

    /// Rows that have these coordinates.
    ///
    /// # Shapes
    /// - `scores`: `(n_rows, n_components)`
    /// - returns: `(n_rows, n_features)`
    pub fn inverse_transform(&self, scores: MatrixView<'_>) -> Matrix {
        matmul(scores, self.components.view()) + &self.mean
    }

    /// Mean over rows of the summed squared error of the reconstruction.
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn squared_error(&self, rows: MatrixView<'_>) -> Result<f64> {
        let mut sum = 0.0;
        for rows in rows.axis_chunks_iter(Axis(0), CHUNK_ROWS) {
            let output = self.inverse_transform(self.transform(rows)?.view());
            sum += crate::squared_error(rows, output.view()) * rows.nrows() as f64;
        }
        Ok(sum / rows.nrows() as f64)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn agrees_with_scikit_learn() {
        // from sklearn.decomposition import PCA
        // x = [[2., 0, 1], [0, 1, 3], [4, 2, 2], [1, 5, 0], [3, 3, 3]]; p = PCA(2).fit(x)
        // p.explained_variance_ratio_, abs(p.transform(x)),
        // ((x - p.inverse_transform(p.transform(x)))**2).sum(1).mean()
        let x = array![
            [2.0_f32, 0.0, 1.0],
            [0.0, 1.0, 3.0],
            [4.0, 2.0, 2.0],
            [1.0, 5.0, 0.0],
            [3.0, 3.0, 3.0]
        ];
        let pca = Pca::fit(x.view(), 2).unwrap();
        let ratio = pca.explained_variance_ratio();
        assert!((ratio[0] - 0.517_063_49).abs() < 1e-6, "{ratio:?}");
        assert!((ratio[1] - 0.321_351_93).abs() < 1e-6, "{ratio:?}");
        let scores = pca.transform(x.view()).unwrap();
        let expected = [1.735_693_9, 1.441_762, 0.378_238_5, 3.324_351_3, 0.231_343_1];
        for (found, expected) in scores.column(0).iter().zip(expected) {
            assert!((found.abs() - expected).abs() < 1e-4, "{scores}");
        }
        assert!((pca.squared_error(x.view()).unwrap() - 1.021_214_6).abs() < 1e-5);
    }

    #[test]
    fn components_that_are_rounding_are_left_out() {
        // The third column is the sum of the others, the fourth never moves.
        let x = Matrix::from_shape_fn((200, 4), |(row, column)| {
            let (a, b) = ((row * 7 % 31) as f32 / 31.0, (row * 11 % 17) as f32 / 17.0);
            [a, b, a + b, 0.25][column]
        });
        assert_eq!(Pca::fit(x.view(), 4).unwrap().n_components(), 2);
        let constant = Matrix::from_elem((5, 3), 1.0);
        assert_eq!(Pca::fit(constant.view(), 3).unwrap().n_components(), 1);
    }

    #[test]
    fn all_components_reconstruct_exactly() {
        let x = array![[2.0_f32, 0.0, 1.0], [0.0, 1.0, 3.0], [4.0, 2.0, 2.0], [1.0, 5.0, 0.0]];
        let pca = Pca::fit(x.view(), 10).unwrap();
        assert_eq!(pca.n_components(), 3);
        assert!(pca.squared_error(x.view()).unwrap() < 1e-10);
    }
}
