//! Ridge regression: its configuration and its loss. The fitting is [`crate::linear`].

use hourglass_core::{Interrupt, MatrixView, Progress, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::config::require;
use crate::linear::{self, Loss, Settings};
use crate::regressor::{FittedRegressor, Regressor, ValueData};

/// Linear regression with an L2 penalty that spares the intercept.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `alpha` | chosen | strength of the penalty; one of five over four decades, chosen on validation, unless given | positive |
///
/// # Source
/// scikit-learn's `Ridge`: `|y - Xw|^2 + alpha |w|^2`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Ridge {
    /// Strength of the penalty; chosen unless given.
    pub alpha: Option<f64>,
}

impl Ridge {
    pub(crate) const NAME: &'static str = "ridge";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] where `alpha` isn't positive.
    pub fn check(&self) -> Result<(), Error> {
        let alpha = self.alpha.unwrap_or(1.0);
        let holds = alpha > 0.0 && alpha.is_finite();
        require(holds, Self::NAME, "alpha", alpha, "positive and finite")
    }

    /// The penalties that are tried on folds with so many training rows, the strongest first.
    pub(crate) fn candidates(&self, n_train: usize) -> Vec<Ridge> {
        match self.alpha {
            Some(_) => vec![self.clone()],
            None => linear::strengths(n_train).map(|c| Ridge { alpha: Some(0.5 / c) }).to_vec(),
        }
    }
}

impl Regressor for Ridge {
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        _seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
        self.check()?;
        // The engine's objective is `c * sum of losses + 1/2 |w|^2`.
        let c = self.alpha.map(|alpha| (0.5 / alpha) as f32);
        let settings = Settings { name: Self::NAME, c, max_iterations: 500, tolerance: 1e-7 };
        linear::fit_values::<SquaredError>(&settings, data, progress, interrupt)
    }
}

struct SquaredError;

impl Loss for SquaredError {
    type Target = f32;

    fn differentiate(scores: &mut [f32], target: f32) -> f32 {
        let error = scores[0] - target;
        scores[0] = 2.0 * error;
        error * error
    }

    fn curvature(_scores: &mut [f32], _target: f32) -> f32 {
        2.0
    }

    fn quality(scores: MatrixView<'_>, values: &[f32]) -> f64 {
        linear::minus_rmse_of(scores, values)
    }
}
