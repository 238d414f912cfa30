//! One pass over the rows: scores, losses, gradient.
//!
//! The rows are cut into chunks that stay in a core's cache between the product with the weights
//! and the product with the derivatives, so that the matrix is read from memory once a pass. The
//! chunks go to a fixed number of groups, each with sums of its own that are added in order, so
//! that the bits don't depend on the number of threads. The matrix is never copied.

use std::ops::Range;

use hourglass_core::linalg::block_product;
use hourglass_core::{Matrix, MatrixView};
use ndarray::{ArrayViewMut2, s};
use rayon::prelude::*;

use super::{Loss, Targets};
use crate::sparse::SparseRows;

/// Groups of chunks, whatever the number of threads: more than that many threads don't help.
const N_GROUPS: usize = 16;

/// Values of a chunk: 512 KiB, half a core's second-level cache.
const CHUNK_VALUES: usize = 128 << 10;

/// Scores are stored with this many columns or a multiple, so that loops over classes and the tiles
/// of products are whole vector instructions: a product with 10 columns takes longer than with 16.
const LANES: usize = 16;

/// Weights of all outputs (one a class, or one), in the layout of the pass.
pub(crate) struct Weights {
    /// `(n_features, padded)`; columns from `n_outputs` on are zero.
    matrix: Matrix,
    intercept: Vec<f32>,
    n_outputs: usize,
}

impl Weights {
    /// # Shapes
    /// - `theta`: `(n_features + 1) * n_outputs`, feature by feature, the intercepts last
    pub fn new(theta: &[f64], n_outputs: usize) -> Self {
        let n_features = theta.len() / n_outputs - 1;
        let padded = n_outputs.next_multiple_of(LANES);
        let mut matrix = Matrix::zeros((n_features, padded));
        let (features, last) = theta.split_at(n_features * n_outputs);
        for (mut row, values) in matrix.outer_iter_mut().zip(features.chunks_exact(n_outputs)) {
            row.iter_mut().zip(values).for_each(|(weight, &value)| *weight = value as f32);
        }
        let mut intercept = vec![0.0; padded];
        intercept.iter_mut().zip(last).for_each(|(weight, &value)| *weight = value as f32);
        Weights { matrix, intercept, n_outputs }
    }

    pub fn n_features(&self) -> usize {
        self.matrix.nrows()
    }

    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    fn padded(&self) -> usize {
        self.matrix.ncols()
    }
}

/// The rows that a linear model is fitted on.
pub(crate) enum Design<'a> {
    /// As they are.
    Dense(MatrixView<'a>),
    /// As what differs from the columns' usual values.
    Sparse(SparseRows),
}

impl<'a> Design<'a> {
    pub fn of(x: MatrixView<'a>) -> Self {
        match SparseRows::detect(x) {
            Some(rows) => Design::Sparse(rows),
            None => Design::Dense(x),
        }
    }

    pub fn n_features(&self) -> usize {
        match self {
            Design::Dense(x) => x.ncols(),
            Design::Sparse(rows) => rows.background.len(),
        }
    }

    /// Sum of the rows' losses and its gradient, laid out as `theta` in [`Weights::new`].
    pub fn evaluate<L: Loss>(
        &self,
        rows: Range<usize>,
        targets: &Targets<'_, L::Target>,
        weights: &Weights,
    ) -> (f64, Vec<f64>) {
        let (n_features, padded, n_outputs) =
            (weights.n_features(), weights.padded(), weights.n_outputs);
        let base = self.base_scores(weights);
        let sums = self.for_groups(rows, padded, |chunks, scores| {
            let mut loss = 0.0;
            let mut gradient = Matrix::zeros((n_features, padded));
            let mut intercept = vec![0.0_f64; n_outputs];
            for chunk in chunks {
                let mut scores = scores.slice_mut(s![..chunk.len(), ..]);
                self.scores(chunk.clone(), weights, &base, scores.view_mut());
                for (mut values, row) in scores.outer_iter_mut().zip(chunk.clone()) {
                    let row_scores = values.as_slice_mut().expect("the score buffer is row-major");
                    let (scores, padding) = row_scores.split_at_mut(n_outputs);
                    let row_loss = L::differentiate(scores, targets.values[row]);
                    let weight = targets.weight(row);
                    if weight != 1.0 {
                        scores.iter_mut().for_each(|slope| *slope *= weight);
                    }
                    loss += f64::from(weight * row_loss);
                    padding.fill(0.0);
                    intercept.iter_mut().zip(&*scores).for_each(|(sum, &d)| *sum += f64::from(d));
                }
                self.accumulate(chunk, scores.view(), &mut gradient);
            }
            (loss, gradient, intercept)
        });
        let mut loss = 0.0;
        let mut gradient = vec![0.0; (n_features + 1) * n_outputs];
        let (features, last) = gradient.split_at_mut(n_features * n_outputs);
        for (group_loss, group_gradient, group_intercept) in sums {
            loss += group_loss;
            last.iter_mut().zip(&group_intercept).for_each(|(sum, value)| *sum += value);
            for (sums, values) in
                features.chunks_exact_mut(n_outputs).zip(group_gradient.outer_iter())
            {
                sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
            }
        }
        if let Design::Sparse(sparse) = self {
            for (sums, &usual) in features.chunks_exact_mut(n_outputs).zip(&sparse.background) {
                sums.iter_mut().zip(&*last).for_each(|(sum, d)| *sum += f64::from(usual) * d);
            }
        }
        (loss, gradient)
    }

    /// The rows' mean second derivative of the loss.
    pub fn curvatures<L: Loss>(
        &self,
        rows: Range<usize>,
        targets: &Targets<'_, L::Target>,
        weights: &Weights,
    ) -> Vec<f32> {
        self.map_scores(rows, weights, |row, scores| {
            targets.weight(row) * L::curvature(scores, targets.values[row])
        })
    }

    /// The scores of rows, `(rows.len(), n_outputs)`.
    pub fn outputs(&self, rows: Range<usize>, weights: &Weights) -> Matrix {
        let shape = (rows.len(), weights.n_outputs);
        let scores = self.map_scores(rows, weights, |_, scores| scores.to_vec());
        Matrix::from_shape_vec(shape, scores.concat()).expect("one score a row and output")
    }

    /// Sum over the rows of each column's squares, a row weighing as its curvature.
    ///
    /// # Shapes
    /// - `curvatures`: one a row of `rows`
    pub fn weighted_squares(&self, rows: Range<usize>, curvatures: &[f32]) -> Vec<f64> {
        let n_features = self.n_features();
        let groups = self.for_groups(rows.clone(), 1, |chunks, _| {
            let mut sums = vec![0.0_f64; n_features];
            let mut chunk_sums = vec![0.0_f32; n_features];
            for chunk in chunks {
                chunk_sums.fill(0.0);
                for row in chunk {
                    let curvature = curvatures[row - rows.start];
                    self.add_squares(row, curvature, &mut chunk_sums);
                }
                sums.iter_mut().zip(&chunk_sums).for_each(|(sum, &v)| *sum += f64::from(v));
            }
            sums
        });
        let mut sums = vec![0.0; n_features];
        for group in groups {
            sums.iter_mut().zip(&group).for_each(|(sum, value)| *sum += value);
        }
        if let Design::Sparse(sparse) = self {
            let total: f64 = curvatures.iter().copied().map(f64::from).sum();
            for (sum, &usual) in sums.iter_mut().zip(&sparse.background) {
                *sum += total * f64::from(usual) * f64::from(usual);
            }
        }
        sums
    }

    /// Adds a row's weighted squares: all of them, or what they differ by from the background's.
    fn add_squares(&self, row: usize, weight: f32, sums: &mut [f32]) {
        match self {
            Design::Dense(x) => {
                let row = x.row(row);
                sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += weight * v * v);
            }
            Design::Sparse(sparse) => {
                let (columns, values) = sparse.row(row);
                for (&column, &value) in columns.iter().zip(values) {
                    let usual = sparse.background[column as usize];
                    sums[column as usize] += weight * value * (value + 2.0 * usual);
                }
            }
        }
    }

    /// Copies one row into `target`.
    pub fn copy_row(&self, row: usize, target: &mut [f32]) {
        match self {
            Design::Dense(x) => {
                target.iter_mut().zip(x.row(row)).for_each(|(target, &value)| *target = value);
            }
            Design::Sparse(sparse) => {
                target.copy_from_slice(&sparse.background);
                let (columns, values) = sparse.row(row);
                for (&column, &value) in columns.iter().zip(values) {
                    target[column as usize] += value;
                }
            }
        }
    }

    fn map_scores<T: Send>(
        &self,
        rows: Range<usize>,
        weights: &Weights,
        result: impl Fn(usize, &mut [f32]) -> T + Sync,
    ) -> Vec<T> {
        let base = self.base_scores(weights);
        let groups = self.for_groups(rows, weights.padded(), |chunks, scores| {
            let mut results = Vec::new();
            for chunk in chunks {
                let mut scores = scores.slice_mut(s![..chunk.len(), ..]);
                self.scores(chunk.clone(), weights, &base, scores.view_mut());
                for (mut values, row) in scores.outer_iter_mut().zip(chunk) {
                    let values = values.as_slice_mut().expect("the score buffer is row-major");
                    results.push(result(row, &mut values[..weights.n_outputs]));
                }
            }
            results
        });
        groups.into_iter().flatten().collect()
    }

    /// Cuts the rows into chunks and the chunks into groups, by their number alone.
    fn for_groups<T: Send>(
        &self,
        rows: Range<usize>,
        padded: usize,
        work: impl Fn(&mut dyn Iterator<Item = Range<usize>>, &mut Matrix) -> T + Sync,
    ) -> Vec<T> {
        let chunk = (CHUNK_VALUES / self.n_features()).clamp(32, 512);
        let group = rows.len().div_ceil(chunk).div_ceil(N_GROUPS).max(1) * chunk;
        let starts: Vec<usize> = rows.clone().step_by(group).collect();
        starts
            .into_par_iter()
            .map(|start| {
                let end = (start + group).min(rows.end);
                let mut chunks =
                    (start..end).step_by(chunk).map(|first| first..(first + chunk).min(end));
                work(&mut chunks, &mut Matrix::zeros((chunk, padded)))
            })
            .collect()
    }

    /// The scores of a row that equals the background: the intercepts where there is none.
    fn base_scores(&self, weights: &Weights) -> Vec<f32> {
        let mut base: Vec<f64> = weights.intercept.iter().copied().map(f64::from).collect();
        if let Design::Sparse(sparse) = self {
            for (row, &usual) in weights.matrix.outer_iter().zip(&sparse.background) {
                base.iter_mut().zip(row).for_each(|(b, &w)| *b += f64::from(usual) * f64::from(w));
            }
        }
        base.into_iter().map(|value| value as f32).collect()
    }

    fn scores(
        &self,
        rows: Range<usize>,
        weights: &Weights,
        base: &[f32],
        mut scores: ArrayViewMut2<'_, f32>,
    ) {
        for mut row in scores.outer_iter_mut() {
            row.iter_mut().zip(base).for_each(|(score, &value)| *score = value);
        }
        match self {
            Design::Dense(x) => {
                block_product(scores, x.slice(s![rows, ..]), weights.matrix.view(), 1.0);
            }
            Design::Sparse(sparse) => {
                let matrix = weights.matrix.as_slice().expect("built row-major");
                for (mut target, row) in scores.outer_iter_mut().zip(rows) {
                    let target = target.as_slice_mut().expect("the score buffer is row-major");
                    let (columns, values) = sparse.row(row);
                    for (&column, &value) in columns.iter().zip(values) {
                        let source = &matrix[column as usize * target.len()..][..target.len()];
                        add_scaled(target, value, source);
                    }
                }
            }
        }
    }

    fn accumulate(&self, rows: Range<usize>, derivatives: MatrixView<'_>, gradient: &mut Matrix) {
        match self {
            Design::Dense(x) => {
                block_product(
                    gradient.view_mut(),
                    x.slice(s![rows, ..]).reversed_axes(),
                    derivatives,
                    1.0,
                );
            }
            Design::Sparse(sparse) => {
                let padded = derivatives.ncols();
                let gradient = gradient.as_slice_mut().expect("built row-major");
                for (source, row) in derivatives.outer_iter().zip(rows) {
                    let source = source.to_slice().expect("the score buffer is row-major");
                    let (columns, values) = sparse.row(row);
                    for (&column, &value) in columns.iter().zip(values) {
                        let target = &mut gradient[column as usize * padded..][..padded];
                        add_scaled(target, value, source);
                    }
                }
            }
        }
    }
}

/// `target += factor * source`, both a multiple of [`LANES`] long.
fn add_scaled(target: &mut [f32], factor: f32, source: &[f32]) {
    let (targets, _) = target.as_chunks_mut::<LANES>();
    let (sources, _) = source.as_chunks::<LANES>();
    for (target, source) in targets.iter_mut().zip(sources) {
        for lane in 0..LANES {
            target[lane] += factor * source[lane];
        }
    }
}
