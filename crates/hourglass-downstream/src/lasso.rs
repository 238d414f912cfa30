//! Lasso: linear regression with an L1 penalty, which sets weights to zero, by coordinate descent
//! on the columns' products.

use std::collections::BTreeMap;

use hourglass_core::linalg::matmul;
use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use ndarray::{Array2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::require;
use crate::estimator::{check_predict, stop_if_raised};
use crate::regressor::{FittedRegressor, Regressor, ValueData};

/// Strengths that are tried, strong to weak, as shares of the one that sets all weights to zero.
const SHARES: [f64; 5] = [0.1, 0.03, 0.01, 3e-3, 1e-3];

/// Sweeps over the weights at most.
const MAX_SWEEPS: usize = 1000;

/// Largest change of a column's contribution, relative to the values' spread, at which to stop.
const TOLERANCE: f64 = 1e-6;

/// Rows whose products are summed in `f32`; the sums of these are `f64`.
const BLOCK_ROWS: usize = 512;

/// Linear regression with an L1 penalty that spares the intercept.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `alpha` | chosen | strength of the penalty; one of five shares of the strongest useful one, chosen on validation, unless given | positive |
///
/// # Source
/// scikit-learn's `Lasso`: `|y - Xw|^2 / (2 n) + alpha |w|_1`; Friedman, Hastie and Tibshirani,
/// *Regularization Paths for Generalized Linear Models via Coordinate Descent*, Journal of
/// Statistical Software 33 (2010), with covariance updates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Lasso {
    /// Strength of the penalty; chosen unless given.
    pub alpha: Option<f64>,
}

impl Lasso {
    pub(crate) const NAME: &'static str = "lasso";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] where `alpha` isn't positive.
    pub fn check(&self) -> Result<(), Error> {
        let alpha = self.alpha.unwrap_or(1.0);
        let holds = alpha > 0.0 && alpha.is_finite();
        require(holds, Self::NAME, "alpha", alpha, "positive and finite")
    }

    /// The penalties that are tried on folds of these rows, the strongest first.
    pub(crate) fn candidates(&self, rows: MatrixView<'_>, values: &[f32]) -> Vec<Lasso> {
        match self.alpha {
            Some(_) => vec![self.clone()],
            None => {
                let strongest = Products::of(rows, values).strongest();
                SHARES.map(|share| Lasso { alpha: Some(share * strongest) }).to_vec()
            }
        }
    }
}

impl Regressor for Lasso {
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        _seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
        self.check()?;
        data.check()?;
        progress.begin(Self::NAME, Some(SHARES.len() as u64 + 1));
        let mut chosen = BTreeMap::new();
        let alpha = match self.alpha {
            Some(alpha) => alpha,
            None if data.validation.nrows() == 0 => {
                return Err(Error::NoValidation {
                    estimator: Self::NAME,
                    field: "alpha",
                    hint: "give `alpha` a value, or set aside validation rows",
                });
            }
            None => {
                let products = Products::of(data.train, data.train_values);
                let mut best: Option<(f64, f64)> = None;
                let mut weights = vec![0.0; data.train.ncols()];
                for (index, share) in SHARES.into_iter().enumerate() {
                    stop_if_raised(interrupt)?;
                    let alpha = share * products.strongest();
                    products.descend(alpha, &mut weights);
                    let fitted = products.fitted(&weights, alpha, 0);
                    let error = rmse(&fitted.predict(data.validation)?, data.validation_values);
                    progress.advance(index as u64 + 1, &format!("validation RMSE {error:.4}"));
                    if best.is_none_or(|(least, _)| error < least) {
                        best = Some((error, alpha));
                    }
                }
                let (error, alpha) = best.unwrap_or((f64::NAN, products.strongest()));
                // In units of the spread, as the other linear models have it.
                let (_, unit) = data.location();
                chosen.insert("validation_score".to_owned(), -error / f64::from(unit));
                alpha
            }
        };
        let products = Products::of(data.refit, data.refit_values);
        let mut weights = vec![0.0; data.refit.ncols()];
        let sweeps = products.descend(alpha, &mut weights);
        progress.end("");
        let mut fitted = products.fitted(&weights, alpha, sweeps);
        fitted.chosen.extend(chosen);
        Ok(Box::new(fitted))
    }
}

fn rmse(predicted: &[f32], values: &[f32]) -> f64 {
    let squares = predicted.iter().zip(values).map(|(p, v)| f64::from(p - v).powi(2));
    (squares.sum::<f64>() / values.len() as f64).sqrt()
}

/// Products of centred columns with each other and with the centred values, over the rows.
struct Products {
    of_columns: Array2<f64>,
    with_values: Vec<f64>,
    means: Vec<f64>,
    value_mean: f64,
    value_spread: f64,
}

impl Products {
    fn of(rows: MatrixView<'_>, values: &[f32]) -> Products {
        let (n_rows, n_columns) = rows.dim();
        let n = n_rows as f64;
        let means = hourglass_core::ColumnMoments::of(rows).mean;
        let value_mean = values.iter().copied().map(f64::from).sum::<f64>() / n;
        let mut of_columns = Array2::<f64>::zeros((n_columns, n_columns));
        let mut with_values = vec![0.0; n_columns];
        let mut spread = 0.0;
        for (rows, values) in
            rows.axis_chunks_iter(Axis(0), BLOCK_ROWS).zip(values.chunks(BLOCK_ROWS))
        {
            let mut centred = Matrix::zeros((rows.nrows(), n_columns + 1));
            for ((mut target, row), &value) in
                centred.outer_iter_mut().zip(rows.outer_iter()).zip(values)
            {
                for ((target, &value), mean) in target.iter_mut().zip(row).zip(&means) {
                    *target = (f64::from(value) - mean) as f32;
                }
                target[n_columns] = (f64::from(value) - value_mean) as f32;
            }
            let block = matmul(centred.t(), centred.view());
            for (mut sums, row) in of_columns.outer_iter_mut().zip(block.outer_iter()) {
                sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
            }
            let last = block.slice(s![..n_columns, n_columns]);
            with_values.iter_mut().zip(last).for_each(|(sum, &value)| *sum += f64::from(value));
            spread += f64::from(block[[n_columns, n_columns]]);
        }
        of_columns /= n;
        with_values.iter_mut().for_each(|sum| *sum /= n);
        Products { of_columns, with_values, means, value_mean, value_spread: (spread / n).sqrt() }
    }

    /// The strength that sets all weights to zero.
    fn strongest(&self) -> f64 {
        let most = self.with_values.iter().fold(0.0_f64, |most, product| most.max(product.abs()));
        if most > 0.0 { most } else { 1.0 }
    }

    /// Minimises from the weights given; returns the sweeps it took.
    fn descend(&self, alpha: f64, weights: &mut [f64]) -> usize {
        let n_columns = weights.len();
        // What is left of each column's product with the values.
        let mut left = self.with_values.clone();
        for (column, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            let of = self.of_columns.row(column);
            left.iter_mut().zip(of).for_each(|(left, product)| *left -= weight * product);
        }
        for sweep in 1..=MAX_SWEEPS {
            let mut largest = 0.0_f64;
            for column in 0..n_columns {
                let square = self.of_columns[[column, column]];
                if square <= 0.0 {
                    continue;
                }
                let old = weights[column];
                let pull = left[column] + old * square;
                let new = pull.signum() * (pull.abs() - alpha).max(0.0) / square;
                if new == old {
                    continue;
                }
                weights[column] = new;
                let of = self.of_columns.row(column);
                left.iter_mut().zip(of).for_each(|(left, product)| *left -= (new - old) * product);
                largest = largest.max((new - old).abs() * square.sqrt());
            }
            if largest <= TOLERANCE * self.value_spread {
                return sweep;
            }
        }
        MAX_SWEEPS
    }

    fn fitted(&self, weights: &[f64], alpha: f64, sweeps: usize) -> FittedLasso {
        let shift: f64 = weights.iter().zip(&self.means).map(|(weight, mean)| weight * mean).sum();
        let used = weights.iter().filter(|weight| **weight != 0.0).count();
        FittedLasso {
            weights: weights.to_vec(),
            intercept: self.value_mean - shift,
            chosen: BTreeMap::from([
                ("alpha".to_owned(), alpha),
                ("columns_used".to_owned(), used as f64),
                ("sweeps".to_owned(), sweeps as f64),
                ("converged".to_owned(), f64::from(u8::from(sweeps < MAX_SWEEPS))),
            ]),
        }
    }
}

struct FittedLasso {
    weights: Vec<f64>,
    intercept: f64,
    chosen: BTreeMap<String, f64>,
}

impl FittedRegressor for FittedLasso {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        check_predict(x, self.weights.len())?;
        let of = |row: ndarray::ArrayView1<'_, f32>| {
            let sum: f64 = row.iter().zip(&self.weights).map(|(&v, w)| f64::from(v) * w).sum();
            (self.intercept + sum) as f32
        };
        Ok(x.outer_iter().map(of).collect())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.chosen.clone()
    }

    fn size(&self) -> usize {
        self.weights.len() + 1
    }
}
