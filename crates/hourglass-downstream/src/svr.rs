//! Support vector regression with the Gaussian kernel: exact up to a few thousand rows, beyond that
//! a linear one on random Fourier features. `chosen` says which.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use ndarray::Axis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::require;
use crate::estimator::{check_predict, stop_if_raised};
use crate::kernel::smo::{self, Problem, Solution};
use crate::kernel::{Fourier, MAX_EXACT, gaussian, usual_gamma};
use crate::linear::{self, Linear, LinearData, Loss, Settings, Targets};
use crate::rbf_svm::{TOLERANCE, TRIED};
use crate::regressor::{FittedRegressor, Regressor, ValueData};

/// Half the width of the tube in which an error costs nothing, in standard deviations of the
/// training values.
const EPSILON: f64 = 0.1;

/// Rows up to which it is exact: each row is two variables.
const MAX_ROWS: usize = MAX_EXACT / 2;

/// Support vector regression with the kernel `exp(-gamma |a - b|^2)`. Values are standardised
/// first; errors of less than a tenth of their standard deviation cost nothing.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `c` | chosen | inverse strength of the penalty; 1, 10 or 100, chosen on validation, unless given | positive |
/// | `gamma` | chosen | the kernel's width as a multiple of `1 / (n_features * variance)`; 1 or 0.25, chosen on validation, unless given | positive |
///
/// Fitted on training and validation rows together. Beyond 2,000 rows it is approximated: a linear
/// one (squared loss outside the tube, its own choice of `c`) on 1,000 random Fourier features;
/// `chosen` has `exact = 0` then.
///
/// # Source
/// scikit-learn's `SVR(gamma="scale", epsilon=0.1)` on standardised values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Svr {
    /// Inverse strength of the penalty; chosen unless given.
    pub c: Option<f64>,
    /// Width of the kernel, relative to the usual one; chosen unless given.
    pub gamma: Option<f64>,
}

impl Svr {
    pub(crate) const NAME: &'static str = "svr";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        for (field, value) in [("c", self.c), ("gamma", self.gamma)] {
            let value = value.unwrap_or(1.0);
            let holds = value > 0.0 && value.is_finite();
            require(holds, Self::NAME, field, value, "positive and finite")?;
        }
        Ok(())
    }

    /// What is tried for this many rows, the usual first.
    pub(crate) fn candidates(&self, n_rows: usize) -> Vec<Svr> {
        let mut candidates = Vec::new();
        for (c, gamma) in TRIED {
            // The approximate machine chooses its own `c`.
            let c = if n_rows > MAX_ROWS { self.c } else { Some(self.c.unwrap_or(c)) };
            let candidate = Svr { c, gamma: Some(self.gamma.unwrap_or(gamma)) };
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }
}

impl Regressor for Svr {
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
        self.check()?;
        data.check()?;
        stop_if_raised(interrupt)?;
        let gamma = self.gamma.unwrap_or(TRIED[0].1) * usual_gamma(data.train);
        let (mean, unit) = data.location();
        let scaled: Vec<f32> = data.all_values().iter().map(|v| (v - mean) / unit).collect();
        let mut chosen = BTreeMap::from([("gamma".to_owned(), gamma)]);
        if data.all_rows().nrows() > MAX_ROWS {
            let fourier = Fourier::draw(data.train.ncols(), gamma, seed.child(Self::NAME));
            let rows = fourier.of(data.all_rows());
            let linear = LinearData {
                rows: rows.view(),
                targets: Targets { values: &scaled, weights: None },
                n_train: data.train.nrows(),
                n_fit: data.refit.nrows(),
                n_outputs: 1,
            };
            let c = self.c.map(|c| c as f32);
            let settings = Settings { name: Self::NAME, c, max_iterations: 200, tolerance: 1e-4 };
            let linear = linear::fit::<SquaredTube>(&settings, &linear, progress, interrupt)?;
            chosen.extend(linear.chosen.clone());
            chosen.insert("exact".to_owned(), 0.0);
            return Ok(Box::new(Approximate { fourier, linear, mean, unit, chosen }));
        }
        progress.begin(Self::NAME, None);
        let values = &scaled[..data.refit.nrows()];
        let machine = Exact::fit(data.refit, values, self.c.unwrap_or(TRIED[0].0), gamma, chosen);
        progress.end("");
        Ok(Box::new(Exact { mean, unit, ..machine }))
    }
}

/// The squared error beyond the tube.
struct SquaredTube;

impl Loss for SquaredTube {
    type Target = f32;

    fn differentiate(scores: &mut [f32], target: f32) -> f32 {
        let error = scores[0] - target;
        let beyond = (error.abs() - EPSILON as f32).max(0.0);
        scores[0] = 2.0 * beyond.copysign(error);
        beyond * beyond
    }

    fn curvature(scores: &mut [f32], target: f32) -> f32 {
        if (scores[0] - target).abs() > EPSILON as f32 { 2.0 } else { 0.0 }
    }

    fn quality(scores: MatrixView<'_>, values: &[f32]) -> f64 {
        linear::minus_rmse_of(scores, values)
    }
}

struct Exact {
    gamma: f64,
    vectors: Matrix,
    coefficients: Vec<f64>,
    offset: f64,
    mean: f32,
    unit: f32,
    chosen: BTreeMap<String, f64>,
}

impl Exact {
    fn fit(
        rows: MatrixView<'_>,
        values: &[f32],
        c: f64,
        gamma: f64,
        mut chosen: BTreeMap<String, f64>,
    ) -> Exact {
        let n = rows.nrows();
        let kernel = gaussian(rows, rows, gamma);
        // A row above the tube and the same row below it are two variables.
        let of_rows: Vec<usize> = (0..n).chain(0..n).collect();
        let signs: Vec<f64> = (0..2 * n).map(|i| if i < n { 1.0 } else { -1.0 }).collect();
        let linear: Vec<f64> = of_rows
            .iter()
            .zip(&signs)
            .map(|(&row, sign)| EPSILON - sign * f64::from(values[row]))
            .collect();
        let problem = Problem {
            kernel: kernel.view(),
            rows: &of_rows,
            signs: &signs,
            linear: &linear,
            most: &vec![c; 2 * n],
            tolerance: TOLERANCE,
        };
        let Solution { coefficients, offset, converged } = smo::solve(&problem);
        let joined = (0..n).map(|row| coefficients[row] + coefficients[n + row]);
        let (kept, coefficients): (Vec<usize>, Vec<f64>) =
            joined.enumerate().filter(|(_, value)| *value != 0.0).unzip();
        chosen.insert("exact".to_owned(), 1.0);
        chosen.insert("c".to_owned(), c);
        chosen.insert("n_support_vectors".to_owned(), kept.len() as f64);
        chosen.insert("converged".to_owned(), f64::from(u8::from(converged)));
        let vectors = rows.select(Axis(0), &kept);
        Exact { gamma, vectors, coefficients, offset, mean: 0.0, unit: 1.0, chosen }
    }
}

impl FittedRegressor for Exact {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        check_predict(x, self.vectors.ncols())?;
        let kernel = gaussian(x, self.vectors.view(), self.gamma);
        let of = |row: ndarray::ArrayView1<'_, f32>| {
            let sum: f64 = row.iter().zip(&self.coefficients).map(|(&k, c)| c * f64::from(k)).sum();
            self.mean + self.unit * (sum - self.offset) as f32
        };
        Ok(kernel.outer_iter().map(of).collect())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.chosen.clone()
    }

    fn size(&self) -> usize {
        self.vectors.len() + self.coefficients.len() + 1
    }
}

struct Approximate {
    fourier: Fourier,
    linear: Linear,
    mean: f32,
    unit: f32,
    chosen: BTreeMap<String, f64>,
}

impl FittedRegressor for Approximate {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        check_predict(x, self.fourier.n_features())?;
        let scores = self.linear.scores(self.fourier.of(x).view())?;
        Ok(scores.iter().map(|score| self.mean + self.unit * score).collect())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.chosen.clone()
    }

    fn size(&self) -> usize {
        self.fourier.size() + self.linear.size()
    }
}
