//! The engine of the linear models: one solver, two losses, one rule for choosing `c`.
//!
//! The objective is scikit-learn's, `c * sum of losses + 1/2 |W|^2` with a free intercept, divided
//! by `c * n_rows`. One pass over the rows computes its value and its gradient; the passes are
//! what costs time, and everything here serves to need few of them. See [`design`] for the pass,
//! [`precondition`] for the scaling, [`lbfgs`] for the steps.

pub(crate) mod design;
mod lbfgs;
mod precondition;

use std::collections::BTreeMap;
use std::ops::Range;

use hourglass_core::{Interrupt, MatrixView, Progress};

use crate::config::require;
use crate::estimator::{check_predict, stop_if_raised};
use crate::{Error, FitData, Fitted};
use design::{Design, Weights};
use lbfgs::{Limits, Outcome};
use precondition::Preconditioner;

/// Strengths of the penalty on the mean loss, strong to weak. `c = 1 / (strength * n_train)`, so
/// that the same grid serves few rows and many.
const STRENGTHS: [f64; 5] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5];

/// The search stops this much earlier than the final fit: validation predictions settle long before
/// the weights do.
const SEARCH_TOLERANCE: f64 = 30.0;

/// Consecutive values of `c` that may be worse on validation before the search stops.
const MAX_WORSE: usize = 2;

/// A loss of a linear model's scores.
pub(crate) trait Loss: Sync {
    /// Replaces the scores of one row by the derivatives of its loss; returns the loss.
    fn differentiate(scores: &mut [f32], class: usize) -> f32;

    /// Second derivative of the row's loss, averaged over the classes' scores.
    fn curvature(scores: &mut [f32], class: usize) -> f32;
}

/// What a linear model's configuration says, with the name that errors use.
pub(crate) struct Settings {
    pub name: &'static str,
    pub c: Option<f32>,
    pub max_iterations: usize,
    pub tolerance: f64,
}

impl Settings {
    pub fn check(&self) -> Result<(), Error> {
        let name = self.name;
        if let Some(c) = self.c {
            require(c.is_finite() && c > 0.0, name, "c", c, "positive and finite")?;
        }
        let iterations = self.max_iterations;
        require(iterations >= 1, name, "max_iterations", iterations, "at least 1")?;
        let tolerance = self.tolerance;
        require((0.0..1.0).contains(&tolerance), name, "tolerance", tolerance, "in [0, 1)")
    }
}

/// Chooses `c` on validation where it isn't given, then fits training and validation rows together,
/// from the weights that the search ended with.
pub(crate) fn fit<'a, L: Loss>(
    settings: &Settings,
    data: &FitData<'a>,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn Fitted + 'a>, Error> {
    settings.check()?;
    data.check()?;
    let n_fits = if settings.c.is_some() { 1 } else { STRENGTHS.len() + 1 };
    progress.begin(settings.name, Some(n_fits as u64));
    let task = Task {
        design: Design::of(data.refit),
        classes: data.refit_classes,
        n_classes: data.n_classes,
        settings,
        interrupt,
    };
    let mut chosen = BTreeMap::new();
    let mut start = vec![0.0; (data.refit.ncols() + 1) * data.n_classes];
    let c = match settings.c {
        Some(c) => f64::from(c),
        None => {
            let best = task.search::<L>(data, progress)?;
            start = best.theta;
            chosen.insert("validation_accuracy".to_owned(), best.accuracy);
            chosen.insert("search_passes".to_owned(), best.passes as f64);
            best.c
        }
    };
    let outcome = task.solve::<L>(0..data.refit.nrows(), c, settings.tolerance, start)?;
    chosen.insert("c".to_owned(), c);
    chosen.insert("iterations".to_owned(), outcome.iterations as f64);
    chosen.insert("passes".to_owned(), outcome.passes as f64);
    chosen.insert("objective".to_owned(), outcome.objective);
    chosen.insert("converged".to_owned(), f64::from(u8::from(outcome.converged)));
    progress.end("");
    let weights = Weights::new(&outcome.theta, data.n_classes);
    Ok(Box::new(FittedLinear { weights, chosen }))
}

/// What every fit of one search shares.
struct Task<'a> {
    design: Design<'a>,
    classes: &'a [u32],
    n_classes: usize,
    settings: &'a Settings,
    interrupt: &'a Interrupt,
}

struct Best {
    c: f64,
    accuracy: f64,
    theta: Vec<f64>,
    passes: usize,
}

impl Task<'_> {
    /// Fits the training rows for every `c`, strong regularisation first, each from the weights of
    /// the one before. Of equally good ones the strongest is kept.
    fn search<L: Loss>(&self, data: &FitData<'_>, progress: &dyn Progress) -> Result<Best, Error> {
        if data.validation.nrows() == 0 {
            return Err(Error::NoValidation {
                estimator: self.settings.name,
                field: "c",
                hint: "give `c` a value, or set aside validation rows",
            });
        }
        let (rows, judged) = (data.train_rows(), data.validation_rows());
        let tolerance = (self.settings.tolerance * SEARCH_TOLERANCE).min(1e-2);
        let mut theta = vec![0.0; (data.train.ncols() + 1) * self.n_classes];
        let mut best: Option<Best> = None;
        let (mut passes, mut worse) = (0, 0);
        for (index, strength) in STRENGTHS.into_iter().enumerate() {
            stop_if_raised(self.interrupt)?;
            let c = 1.0 / (strength * rows.len() as f64);
            let outcome = self.solve::<L>(rows.clone(), c, tolerance, theta)?;
            theta = outcome.theta;
            passes += outcome.passes;
            let predicted =
                self.design.predict(judged.clone(), &Weights::new(&theta, self.n_classes));
            let accuracy = crate::metrics::accuracy(data.validation_classes, &predicted);
            tracing::debug!(
                estimator = self.settings.name,
                c,
                accuracy,
                objective = outcome.objective,
                passes = outcome.passes,
                converged = outcome.converged,
                "regularisation tried"
            );
            progress.advance(index as u64 + 1, &format!("c {c:.2e}, validation {accuracy:.4}"));
            if best.as_ref().is_none_or(|best| accuracy > best.accuracy) {
                best = Some(Best { c, accuracy, theta: theta.clone(), passes });
                worse = 0;
            } else {
                worse += 1;
                if worse == MAX_WORSE {
                    break;
                }
            }
        }
        let mut best = best.expect("the grid isn't empty, and the first fit is always kept");
        best.passes = passes;
        Ok(best)
    }

    fn solve<L: Loss>(
        &self,
        rows: Range<usize>,
        c: f64,
        tolerance: f64,
        start: Vec<f64>,
    ) -> Result<Outcome, Error> {
        let n_rows = rows.len() as f64;
        let strength = 1.0 / (c * n_rows);
        let n_weights = start.len() - self.n_classes;
        let first = Weights::new(&start, self.n_classes);
        let curvatures = self.design.curvatures::<L>(rows.clone(), self.classes, &first);
        let scaling = Preconditioner::new(&self.design, rows.clone(), &curvatures, strength);
        let objective = |theta: &[f64]| {
            let weights = Weights::new(theta, self.n_classes);
            let (loss, mut gradient) =
                self.design.evaluate::<L>(rows.clone(), self.classes, &weights);
            gradient.iter_mut().for_each(|value| *value /= n_rows);
            let mut squares = 0.0;
            for (value, weight) in gradient.iter_mut().zip(&theta[..n_weights]) {
                *value += strength * weight;
                squares += weight * weight;
            }
            (loss / n_rows + 0.5 * strength * squares, gradient)
        };
        let limits = Limits { max_iterations: self.settings.max_iterations, tolerance };
        lbfgs::minimise(start, objective, |v| scaling.apply(v), &limits, self.interrupt)
    }
}

struct FittedLinear {
    weights: Weights,
    chosen: BTreeMap<String, f64>,
}

impl Fitted for FittedLinear {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error> {
        check_predict(x, self.weights.n_features())?;
        Ok(Design::Dense(x).predict(0..x.nrows(), &self.weights))
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.chosen.clone()
    }
}
