//! An approximate inverse Hessian, shared by all classes: `(1/n sum_i c_i x_i x_i' + strength)^-1`
//! with `c_i` the mean curvature of row `i`'s loss.
//!
//! Correlated features make the Hessian ill-conditioned, and every linear model here has nearly the
//! same: `X' D X`. It is measured on a few rows per feature, which costs less than a handful of
//! passes and saves most of them. L-BFGS learns the rest, such as what differs between classes.

use std::ops::Range;

use hourglass_core::Matrix;
use hourglass_core::linalg::{matmul, matmul_into};
use ndarray::{ArrayView2, s};

use super::design::Design;

/// Features above which only the diagonal is used: the matrix would no longer be small.
const MAX_FEATURES: usize = 3000;

/// Rows sampled per feature.
const ROWS_PER_FEATURE: usize = 4;

/// Rows gathered at a time.
const GATHER: usize = 1024;

/// Columns of a block of the factorisation.
const BLOCK: usize = 64;

pub(super) enum Preconditioner {
    /// Inverse of the Cholesky factor, lower triangular, `(n_features + 1, n_features + 1)`.
    Full(Matrix),
    /// Inverse of the diagonal, `n_features + 1` long.
    Diagonal(Vec<f64>),
}

impl Preconditioner {
    /// # Shapes
    /// - `curvatures`: one a row of `rows`
    /// - `strength`: of the penalty on the mean loss, positive
    pub fn new(design: &Design<'_>, rows: Range<usize>, curvatures: &[f32], strength: f64) -> Self {
        let n_rows = rows.len() as f64;
        let total: f64 = curvatures.iter().copied().map(f64::from).sum();
        let mut diagonal = design.weighted_squares(rows.clone(), curvatures);
        diagonal.push(total);
        diagonal.iter_mut().for_each(|value| *value /= n_rows);
        // The intercept isn't penalised; a little keeps its diagonal positive.
        let largest = diagonal.iter().fold(0.0_f64, |most, &value| most.max(value));
        let ridge = strength.max(largest * 1e-7);
        if design.n_features() <= MAX_FEATURES {
            let mut hessian = sampled_hessian(design, rows.start, curvatures, total / n_rows);
            for (index, &exact) in diagonal.iter().enumerate() {
                // A feature that few rows have may be missing in the sample: without this the
                // steps along it would be far too long.
                let sampled = f64::from(hessian[[index, index]]);
                hessian[[index, index]] = (sampled.max(exact) + ridge) as f32;
            }
            if let Some(inverse) = inverse_cholesky(hessian) {
                return Preconditioner::Full(inverse);
            }
        }
        Preconditioner::Diagonal(diagonal.iter().map(|value| 1.0 / (value + ridge)).collect())
    }

    /// The approximate inverse Hessian times each class's part of `vector`.
    pub fn apply(&self, vector: &[f64]) -> Vec<f64> {
        match self {
            Preconditioner::Diagonal(inverse) => {
                let n_classes = vector.len() / inverse.len();
                let scaled = vector.chunks_exact(n_classes).zip(inverse);
                scaled.flat_map(|(row, &inverse)| row.iter().map(move |v| v * inverse)).collect()
            }
            Preconditioner::Full(inverse) => {
                let n_classes = vector.len() / inverse.nrows();
                // The direction's length is restored afterwards, so that small gradients keep
                // their digits in f32.
                let size = vector.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
                if size == 0.0 {
                    return vector.to_vec();
                }
                let scaled = vector.iter().map(|v| (v / size) as f32).collect();
                let scaled = Matrix::from_shape_vec((inverse.nrows(), n_classes), scaled)
                    .expect("one value for each feature and class");
                let half = matmul(inverse.view(), scaled.view());
                let whole = matmul(inverse.t(), half.view());
                whole.iter().map(|&v| f64::from(v) * size).collect()
            }
        }
    }
}

/// Mean over the rows of `curvature * row row'`, with a 1 after the features for the intercept,
/// from a sample of the rows. Only the lower triangle is meant.
fn sampled_hessian(
    design: &Design<'_>,
    first_row: usize,
    curvatures: &[f32],
    mean_curvature: f64,
) -> Matrix {
    let n_features = design.n_features();
    let n_sampled = (ROWS_PER_FEATURE * (n_features + 1)).max(GATHER);
    let (sampled, weight) = sample(curvatures, n_sampled);
    let mut hessian = Matrix::zeros((n_features + 1, n_features + 1));
    let mut gathered = Matrix::ones((GATHER.min(sampled.len()), n_features + 1));
    for block in sampled.chunks(GATHER) {
        for (mut target, &(row, factor)) in gathered.outer_iter_mut().zip(block) {
            let target = target.as_slice_mut().expect("built row-major");
            design.copy_row(first_row + row, &mut target[..n_features]);
            target[n_features] = 1.0;
            target.iter_mut().for_each(|value| *value *= factor);
        }
        lower_gram_into(&mut hessian, gathered.slice(s![..block.len(), ..]));
    }
    hessian *= (mean_curvature * weight) as f32;
    hessian
}

/// About `n` rows, drawn evenly along the running sum of the curvatures, so that each stands for
/// the same share of it. Returns the rows with factors for their values, and what a row's square
/// weighs. All rows, where there are few.
fn sample(curvatures: &[f32], n: usize) -> (Vec<(usize, f32)>, f64) {
    let total: f64 = curvatures.iter().copied().map(f64::from).sum();
    if total <= 0.0 {
        return (vec![(0, 1.0)], 1.0);
    }
    if curvatures.len() <= n {
        let mean = total / curvatures.len() as f64;
        let factor = |c: &f32| (f64::from(*c) / mean).sqrt() as f32;
        let rows = curvatures.iter().enumerate().map(|(row, c)| (row, factor(c))).collect();
        return (rows, 1.0 / curvatures.len() as f64);
    }
    let step = total / n as f64;
    let (mut sum, mut next) = (0.0, 0.5 * step);
    let mut rows = Vec::with_capacity(n);
    for (row, &curvature) in curvatures.iter().enumerate() {
        sum += f64::from(curvature);
        let mut times = 0;
        while next <= sum {
            times += 1;
            next += step;
        }
        if times > 0 {
            rows.push((row, (times as f32).sqrt()));
        }
    }
    (rows, 1.0 / n as f64)
}

/// Adds `a' a` to the lower triangle of `gram`, and to what else lies in its blocks.
fn lower_gram_into(gram: &mut Matrix, a: ArrayView2<'_, f32>) {
    let n = gram.nrows();
    const STRIPE: usize = 256;
    for start in (0..n).step_by(STRIPE) {
        let end = (start + STRIPE).min(n);
        matmul_into(
            gram.slice_mut(s![start.., start..end]),
            a.slice(s![.., start..]).reversed_axes(),
            a.slice(s![.., start..end]),
            1.0,
        );
    }
}

/// The inverse of the Cholesky factor of a matrix of which the lower triangle is read, or `None`
/// where it isn't positive definite in `f32`.
fn inverse_cholesky(mut a: Matrix) -> Option<Matrix> {
    let n = a.nrows();
    // Inverses of the diagonal blocks are all that the later steps need of them.
    let mut inverse = Matrix::zeros((n, n));
    for start in (0..n).step_by(BLOCK) {
        let end = (start + BLOCK).min(n);
        let diagonal = inverse_of_block(a.slice(s![start..end, start..end]))?;
        let below = matmul(a.slice(s![end.., start..end]), diagonal.t());
        if end < n {
            let negative = below.mapv(|v| -v);
            matmul_into(a.slice_mut(s![end.., end..]), negative.view(), below.t(), 1.0);
        }
        a.slice_mut(s![end.., start..end]).assign(&below);
        // Row block of the inverse: -D^-1 L[left] inverse[above], then D^-1 on the diagonal.
        if start > 0 {
            let left =
                matmul(a.slice(s![start..end, ..start]), inverse.slice(s![..start, ..start]));
            let row = matmul(diagonal.view(), left.view());
            inverse.slice_mut(s![start..end, ..start]).assign(&row.mapv(|v| -v));
        }
        inverse.slice_mut(s![start..end, start..end]).assign(&diagonal);
    }
    Some(inverse)
}

/// The same for one block, in `f64`.
fn inverse_of_block(a: ArrayView2<'_, f32>) -> Option<Matrix> {
    let n = a.nrows();
    let mut factor = a.mapv(f64::from);
    for column in 0..n {
        let row = factor.slice(s![column, ..column]).to_owned();
        let pivot = factor[[column, column]] - row.dot(&row);
        if !(pivot > 0.0 && pivot.is_finite()) {
            return None;
        }
        let pivot = pivot.sqrt();
        factor[[column, column]] = pivot;
        for below in column + 1..n {
            let product = factor.slice(s![below, ..column]).dot(&row);
            factor[[below, column]] = (factor[[below, column]] - product) / pivot;
        }
    }
    let mut inverse = ndarray::Array2::<f64>::zeros((n, n));
    for column in 0..n {
        inverse[[column, column]] = 1.0 / factor[[column, column]];
        for row in column + 1..n {
            let known = factor.slice(s![row, column..row]).to_owned();
            let sum = known.dot(&inverse.slice(s![column..row, column]));
            inverse[[row, column]] = -sum / factor[[row, row]];
        }
    }
    Some(inverse.mapv(|value| value as f32))
}

#[cfg(test)]
mod tests {
    use hourglass_core::Seed;
    use rand::RngExt;

    use super::*;

    #[test]
    fn the_factor_is_inverted() {
        for n in [1, 5, 64, 65, 200] {
            let mut rng = Seed::new(n as u64).rng();
            let x = Matrix::from_shape_simple_fn((3 * n, n), || rng.random::<f32>() - 0.3);
            let gram = matmul(x.t(), x.view());
            let inverse = inverse_cholesky(gram.clone()).expect("positive definite");
            // L^-1 A L^-T is the identity.
            let identity = matmul(matmul(inverse.view(), gram.view()).view(), inverse.t());
            let error = (&identity - &Matrix::eye(n)).fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!(error < 1e-3, "{n}: {error}");
        }
    }

    #[test]
    fn an_indefinite_matrix_is_refused() {
        assert!(inverse_cholesky(-Matrix::eye(70)).is_none());
    }

    #[test]
    fn the_sample_weighs_as_the_rows_do() {
        let curvatures: Vec<f32> =
            (0..5000).map(|i| if i % 50 == 0 { 1.0 } else { 0.01 }).collect();
        let (rows, weight) = sample(&curvatures, 300);
        let heavy: f64 = rows
            .iter()
            .filter(|(row, _)| row % 50 == 0)
            .map(|(_, factor)| f64::from(factor * factor) * weight)
            .sum();
        assert!((heavy - 100.0 / 149.0).abs() < 0.02, "{heavy}");
    }
}
