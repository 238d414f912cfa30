//! Multinomial logistic regression: its configuration and its loss. The fitting is
//! [`crate::linear`].

use hourglass_core::{Interrupt, MatrixView, Progress, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::linear::{self, Loss, Settings};
use crate::{Error, Estimator, FitData, Fitted};

/// Multinomial logistic regression with an L2 penalty that spares the intercept.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `c` | chosen | inverse strength of the penalty; unless given, chosen on validation | positive |
/// | `max_iterations` | 200 | steps of each fit | at least 1 |
/// | `tolerance` | 1e-4 | relative gap to the minimum at which to stop | [0, 1) |
///
/// Where `c` isn't given, five values over four decades are tried on the training rows, and the
/// most accurate on validation, the strongest penalty of several, is refitted on training and
/// validation rows together.
///
/// # Source
/// The objective is that of scikit-learn's `LogisticRegression`, `c * sum of losses + 1/2 |W|^2`.
/// Two classes have a column of weights each here, which makes a given `c` penalise half as much as
/// there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct LogisticRegression {
    /// Inverse strength of the penalty; chosen unless given.
    pub c: Option<f32>,
    /// Steps of each fit.
    pub max_iterations: usize,
    /// Estimated gap to the minimum, relative to the objective, at which a fit stops.
    pub tolerance: f64,
}

impl Default for LogisticRegression {
    fn default() -> Self {
        LogisticRegression { c: None, max_iterations: 200, tolerance: 1e-4 }
    }
}

impl LogisticRegression {
    pub(crate) const NAME: &'static str = "logistic_regression";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        self.settings().check()
    }

    /// The penalties that are tried on folds with so many training rows, the strongest first.
    pub(crate) fn candidates(&self, n_train: usize) -> Vec<LogisticRegression> {
        match self.c {
            Some(_) => vec![self.clone()],
            None => linear::strengths(n_train)
                .map(|c| LogisticRegression { c: Some(c as f32), ..self.clone() })
                .to_vec(),
        }
    }

    /// The same, stopped as early as in the search on validation rows.
    pub(crate) fn hurried(&self) -> LogisticRegression {
        let (max_iterations, tolerance) =
            linear::search_limits(self.max_iterations, self.tolerance);
        LogisticRegression { max_iterations, tolerance: tolerance.min(0.5), ..self.clone() }
    }

    fn settings(&self) -> Settings {
        let LogisticRegression { c, max_iterations, tolerance } = *self;
        Settings { name: Self::NAME, c, max_iterations, tolerance }
    }
}

impl Estimator for LogisticRegression {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        _seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        linear::fit_classes::<CrossEntropy>(&self.settings(), data, progress, interrupt)
    }
}

/// Minus the logarithm of the softmax probability of the row's class.
pub(crate) struct CrossEntropy;

impl Loss for CrossEntropy {
    type Target = u32;

    const IS_LOGISTIC: bool = true;

    fn differentiate(scores: &mut [f32], class: u32) -> f32 {
        let class = class as usize;
        let own = scores[class];
        let (largest, sum) = softmax(scores);
        scores[class] -= 1.0;
        largest + sum.ln() - own
    }

    fn curvature(scores: &mut [f32], _class: u32) -> f32 {
        softmax(scores);
        scores.iter().map(|p| p * (1.0 - p)).sum::<f32>() / scores.len() as f32
    }

    fn quality(scores: MatrixView<'_>, classes: &[u32]) -> f64 {
        linear::accuracy_of(scores, classes)
    }
}

/// Replaces scores by probabilities; returns the largest score, and the sum that it was divided by.
pub(crate) fn softmax(scores: &mut [f32]) -> (f32, f32) {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |most, &score| most.max(score));
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
    (largest, sum)
}
