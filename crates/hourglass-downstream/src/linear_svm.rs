//! Linear support vector machine: its configuration and its loss. The fitting is [`crate::linear`].

use hourglass_core::{Interrupt, MatrixView, Progress, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::linear::{self, Loss, Settings};
use crate::{Error, Estimator, FitData, Fitted};

/// Linear support vector machine, each class against the rest, with the squared hinge loss and an
/// L2 penalty that spares the intercept.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `c` | chosen | inverse strength of the penalty; unless given, chosen on validation | positive |
/// | `max_iterations` | 200 | steps of each fit | at least 1 |
/// | `tolerance` | 1e-4 | relative gap to the minimum at which to stop | [0, 1) |
///
/// Where `c` isn't given, it is chosen as for [`crate::LogisticRegression`].
///
/// # Source
/// The objective is that of scikit-learn's `LinearSVC`, `c * sum of losses + 1/2 |W|^2`, but for
/// the intercept, which liblinear penalises. All classes are fitted together, and share one `c`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct LinearSvm {
    /// Inverse strength of the penalty; chosen unless given.
    pub c: Option<f32>,
    /// Steps of each fit.
    pub max_iterations: usize,
    /// Estimated gap to the minimum, relative to the objective, at which a fit stops.
    pub tolerance: f64,
}

impl Default for LinearSvm {
    fn default() -> Self {
        LinearSvm { c: None, max_iterations: 200, tolerance: 1e-4 }
    }
}

impl LinearSvm {
    pub(crate) const NAME: &'static str = "linear_svm";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        self.settings().check()
    }

    /// The penalties that are tried on folds with so many training rows, the strongest first.
    pub(crate) fn candidates(&self, n_train: usize) -> Vec<LinearSvm> {
        match self.c {
            Some(_) => vec![self.clone()],
            None => linear::strengths(n_train)
                .map(|c| LinearSvm { c: Some(c as f32), ..self.clone() })
                .to_vec(),
        }
    }

    /// The same, stopped as early as in the search on validation rows.
    pub(crate) fn hurried(&self) -> LinearSvm {
        let (max_iterations, tolerance) =
            linear::search_limits(self.max_iterations, self.tolerance);
        LinearSvm { max_iterations, tolerance: tolerance.min(0.5), ..self.clone() }
    }

    fn settings(&self) -> Settings {
        let LinearSvm { c, max_iterations, tolerance } = *self;
        Settings { name: Self::NAME, c, max_iterations, tolerance }
    }
}

impl Estimator for LinearSvm {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        _seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        linear::fit_classes::<SquaredHinge>(&self.settings(), data, progress, interrupt)
    }
}

/// Sum over the classes of `max(0, 1 - y s)^2`, with `y = 1` for the row's class and -1 for others.
pub(crate) struct SquaredHinge;

impl Loss for SquaredHinge {
    type Target = u32;

    fn differentiate(scores: &mut [f32], class: u32) -> f32 {
        let mut loss = 0.0;
        for (index, score) in scores.iter_mut().enumerate() {
            let sign = if index == class as usize { 1.0 } else { -1.0 };
            let short = (1.0 - sign * *score).max(0.0);
            loss += short * short;
            *score = -2.0 * sign * short;
        }
        loss
    }

    fn curvature(scores: &mut [f32], class: u32) -> f32 {
        let short = |(index, score): (usize, &f32)| {
            if index == class as usize { *score < 1.0 } else { *score > -1.0 }
        };
        2.0 * scores.iter().enumerate().filter(|&s| short(s)).count() as f32 / scores.len() as f32
    }

    fn quality(scores: MatrixView<'_>, classes: &[u32]) -> f64 {
        linear::accuracy_of(scores, classes)
    }
}
