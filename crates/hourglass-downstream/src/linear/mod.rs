//! The engine of the linear models: one solver, a loss for each, one rule for choosing `c`.
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

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress};

use crate::config::require;
use crate::estimator::{check_predict, largest, stop_if_raised};
use crate::logistic_regression::softmax;
use crate::regressor::{FittedRegressor, ValueData};
use crate::{Error, FitData, Fitted};
use design::{Design, Weights};
use lbfgs::{Limits, Outcome};
use precondition::Preconditioner;

/// Strengths of the penalty on the mean loss, strong to weak. `c = 1 / (strength * n_train)`, so
/// that the same grid serves few rows and many.
const STRENGTHS: [f64; 5] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5];

/// The values of `c` that are tried with so many training rows, the strongest penalty first.
pub(crate) fn strengths(n_train: usize) -> [f64; STRENGTHS.len()] {
    STRENGTHS.map(|strength| 1.0 / (strength * n_train as f64))
}

/// The search stops this much earlier than the final fit, and after this many steps: validation
/// predictions settle long before the weights do (at 60,000 x 1000 the same `c` is chosen as with a
/// thirtieth of the tolerance, in a third of the passes).
const SEARCH_TOLERANCE: f64 = 10.0;
const SEARCH_ITERATIONS: usize = 20;

/// Steps and tolerance of a fit that only serves to compare values of `c`.
pub(crate) fn search_limits(max_iterations: usize, tolerance: f64) -> (usize, f64) {
    (max_iterations.min(SEARCH_ITERATIONS), tolerance * SEARCH_TOLERANCE)
}

/// Consecutive values of `c` that may be worse on validation before the search stops.
const MAX_WORSE: usize = 2;

/// A loss of a linear model's scores.
pub(crate) trait Loss: Sync {
    /// What is predicted of a row: its class or its value.
    type Target: Copy + Sync;

    /// Whether scores are logits, whose softmax are probabilities.
    const IS_LOGISTIC: bool = false;

    /// Replaces the scores of one row by the derivatives of its loss; returns the loss.
    fn differentiate(scores: &mut [f32], target: Self::Target) -> f32;

    /// Second derivative of the row's loss, averaged over the scores.
    fn curvature(scores: &mut [f32], target: Self::Target) -> f32;

    /// How good scores of validation rows are; more is better.
    fn quality(scores: MatrixView<'_>, targets: &[Self::Target]) -> f64;
}

/// What the rows are fitted to.
#[derive(Clone, Copy)]
pub(crate) struct Targets<'a, T> {
    pub values: &'a [T],
    /// Weight of each row's loss; 1 unless given.
    pub weights: Option<&'a [f32]>,
}

impl<T> Targets<'_, T> {
    fn weight(&self, row: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[row])
    }
}

/// Rows and targets: training rows first, then validation rows.
pub(crate) struct LinearData<'a, T> {
    pub rows: MatrixView<'a>,
    pub targets: Targets<'a, T>,
    pub n_train: usize,
    /// Rows of the last fit: all of them, or the training rows alone.
    pub n_fit: usize,
    pub n_outputs: usize,
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

/// A fitted linear model, which the classifiers and the regressors wrap.
pub(crate) struct Linear {
    weights: Weights,
    pub chosen: BTreeMap<String, f64>,
}

impl Linear {
    /// The scores of rows, `(n_rows, n_outputs)`.
    pub fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        check_predict(x, self.weights.n_features())?;
        Ok(Design::Dense(x).outputs(0..x.nrows(), &self.weights))
    }

    /// Weights and intercepts.
    pub fn size(&self) -> usize {
        (self.weights.n_features() + 1) * self.weights.n_outputs()
    }
}

/// Chooses `c` on validation where it isn't given, then fits training and validation rows together,
/// from the weights that the search ended with.
pub(crate) fn fit<L: Loss>(
    settings: &Settings,
    data: &LinearData<'_, L::Target>,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Linear, Error> {
    settings.check()?;
    let n_fits = if settings.c.is_some() { 1 } else { STRENGTHS.len() + 1 };
    progress.begin(settings.name, Some(n_fits as u64));
    let task: Task<'_, '_, L> = Task { design: Design::of(data.rows), data, settings, interrupt };
    let mut chosen = BTreeMap::new();
    let mut start = vec![0.0; (data.rows.ncols() + 1) * data.n_outputs];
    let c = match settings.c {
        Some(c) => f64::from(c),
        None => {
            let best = task.search(progress)?;
            start = best.theta;
            chosen.insert("validation_score".to_owned(), best.quality);
            chosen.insert("search_passes".to_owned(), best.passes as f64);
            best.c
        }
    };
    let limits = Limits { max_iterations: settings.max_iterations, tolerance: settings.tolerance };
    let outcome = task.solve(0..data.n_fit, c, &limits, start)?;
    chosen.insert("c".to_owned(), c);
    chosen.insert("iterations".to_owned(), outcome.iterations as f64);
    chosen.insert("passes".to_owned(), outcome.passes as f64);
    chosen.insert("objective".to_owned(), outcome.objective);
    chosen.insert("converged".to_owned(), f64::from(u8::from(outcome.converged)));
    progress.end("");
    Ok(Linear { weights: Weights::new(&outcome.theta, data.n_outputs), chosen })
}

/// Fits a linear classifier, one score a class.
pub(crate) fn fit_classes<'a, L: Loss<Target = u32> + 'a>(
    settings: &Settings,
    data: &FitData<'_>,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn Fitted + 'a>, Error> {
    data.check()?;
    let weights = data.row_weights();
    let linear = LinearData {
        rows: data.all_rows(),
        targets: Targets { values: data.all_classes(), weights: weights.as_deref() },
        n_train: data.train.nrows(),
        n_fit: data.refit.nrows(),
        n_outputs: data.n_classes,
    };
    let linear = fit::<L>(settings, &linear, progress, interrupt)?;
    Ok(Box::new(LinearClassifier { linear, is_logistic: L::IS_LOGISTIC }))
}

/// Fits a linear regressor, one score.
pub(crate) fn fit_values<'a, L: Loss<Target = f32> + 'a>(
    settings: &Settings,
    data: &ValueData<'_>,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
    data.check()?;
    // Around their mean and in units of their spread, so that one grid of penalties serves all.
    let (mean, unit) = data.location();
    let values: Vec<f32> = data.all_values().iter().map(|value| (value - mean) / unit).collect();
    let linear = LinearData {
        rows: data.all_rows(),
        targets: Targets { values: &values, weights: None },
        n_train: data.train.nrows(),
        n_fit: data.refit.nrows(),
        n_outputs: 1,
    };
    let linear = fit::<L>(settings, &linear, progress, interrupt)?;
    Ok(Box::new(LinearRegressor { linear, mean, unit }))
}

/// What every fit of one search shares.
struct Task<'a, 'd, L: Loss> {
    design: Design<'d>,
    data: &'a LinearData<'d, L::Target>,
    settings: &'a Settings,
    interrupt: &'a Interrupt,
}

struct Best {
    c: f64,
    quality: f64,
    theta: Vec<f64>,
    passes: usize,
}

impl<L: Loss> Task<'_, '_, L> {
    /// Fits the training rows for every `c`, strong regularisation first, each from the weights of
    /// the one before. Of equally good ones the strongest is kept.
    fn search(&self, progress: &dyn Progress) -> Result<Best, Error> {
        let LinearData { rows, targets, n_train, n_outputs, .. } = *self.data;
        if n_train == rows.nrows() {
            return Err(Error::NoValidation {
                estimator: self.settings.name,
                field: "c",
                hint: "give `c` a value, or set aside validation rows",
            });
        }
        let judged = n_train..rows.nrows();
        let Settings { max_iterations, tolerance, .. } = *self.settings;
        let (max_iterations, tolerance) = search_limits(max_iterations, tolerance);
        let limits = Limits { max_iterations, tolerance };
        let mut theta = vec![0.0; (rows.ncols() + 1) * n_outputs];
        let mut best: Option<Best> = None;
        let (mut passes, mut worse) = (0, 0);
        for (index, c) in strengths(n_train).into_iter().enumerate() {
            stop_if_raised(self.interrupt)?;
            let outcome = self.solve(0..n_train, c, &limits, theta)?;
            theta = outcome.theta;
            passes += outcome.passes;
            let scores = self.design.outputs(judged.clone(), &Weights::new(&theta, n_outputs));
            let quality = L::quality(scores.view(), &targets.values[judged.clone()]);
            tracing::debug!(
                estimator = self.settings.name,
                c,
                quality,
                objective = outcome.objective,
                passes = outcome.passes,
                converged = outcome.converged,
                "regularisation tried"
            );
            progress.advance(index as u64 + 1, &format!("c {c:.2e}, validation {quality:.4}"));
            if best.as_ref().is_none_or(|best| quality > best.quality) {
                best = Some(Best { c, quality, theta: theta.clone(), passes });
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

    fn solve(
        &self,
        rows: Range<usize>,
        c: f64,
        limits: &Limits,
        start: Vec<f64>,
    ) -> Result<Outcome, Error> {
        let n_rows = rows.len() as f64;
        let n_outputs = self.data.n_outputs;
        let targets = &self.data.targets;
        let strength = 1.0 / (c * n_rows);
        let n_weights = start.len() - n_outputs;
        let first = Weights::new(&start, n_outputs);
        let curvatures = self.design.curvatures::<L>(rows.clone(), targets, &first);
        let scaling = Preconditioner::new(&self.design, rows.clone(), &curvatures, strength);
        let objective = |theta: &[f64]| {
            let weights = Weights::new(theta, n_outputs);
            let (loss, mut gradient) = self.design.evaluate::<L>(rows.clone(), targets, &weights);
            gradient.iter_mut().for_each(|value| *value /= n_rows);
            let mut squares = 0.0;
            for (value, weight) in gradient.iter_mut().zip(&theta[..n_weights]) {
                *value += strength * weight;
                squares += weight * weight;
            }
            (loss / n_rows + 0.5 * strength * squares, gradient)
        };
        lbfgs::minimise(start, objective, |v| scaling.apply(v), limits, self.interrupt)
    }
}

struct LinearClassifier {
    linear: Linear,
    is_logistic: bool,
}

impl Fitted for LinearClassifier {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        let mut scores = self.linear.scores(x)?;
        if self.is_logistic {
            for mut row in scores.outer_iter_mut() {
                softmax(row.as_slice_mut().expect("built row-major"));
            }
        }
        Ok(scores)
    }

    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error> {
        // From the scores themselves: probabilities of far-off rows round to 1 for several classes.
        Ok(largest(self.linear.scores(x)?.view()))
    }

    fn gives_probabilities(&self) -> bool {
        self.is_logistic
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.linear.chosen.clone()
    }

    fn size(&self) -> usize {
        self.linear.size()
    }
}

struct LinearRegressor {
    linear: Linear,
    mean: f32,
    unit: f32,
}

impl FittedRegressor for LinearRegressor {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        let scores = self.linear.scores(x)?;
        Ok(scores.iter().map(|score| self.mean + self.unit * score).collect())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.linear.chosen.clone()
    }

    fn size(&self) -> usize {
        self.linear.size()
    }
}

/// Accuracy of scores, as [`Loss::quality`] of the classifiers.
pub(crate) fn accuracy_of(scores: MatrixView<'_>, classes: &[u32]) -> f64 {
    crate::metrics::accuracy(classes, &largest(scores))
}

/// Minus the root mean squared error of scores, as [`Loss::quality`] of the regressors.
pub(crate) fn minus_rmse_of(scores: MatrixView<'_>, values: &[f32]) -> f64 {
    let squares = scores.iter().zip(values).map(|(s, v)| f64::from(s - v).powi(2));
    -(squares.sum::<f64>() / values.len().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::blobs;
    use crate::linear_svm::SquaredHinge;
    use crate::logistic_regression::CrossEntropy;

    fn of<T>(values: &[T]) -> Targets<'_, T> {
        Targets { values, weights: None }
    }

    fn solve<L: Loss<Target = u32>>(c: f64) -> Outcome {
        let (x, classes) = blobs(120, 4, 3, 1, 1.5);
        let settings = Settings { name: "test", c: None, max_iterations: 500, tolerance: 1e-10 };
        let data = LinearData {
            rows: x.view(),
            targets: of(&classes),
            n_train: 120,
            n_fit: 120,
            n_outputs: 3,
        };
        let task: Task<'_, '_, L> = Task {
            design: Design::of(x.view()),
            data: &data,
            settings: &settings,
            interrupt: &Interrupt::new(),
        };
        let limits = Limits { max_iterations: 500, tolerance: 1e-10 };
        task.solve(0..120, c, &limits, vec![0.0; 15]).unwrap()
    }

    fn assert_close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} {expected}");
    }

    #[test]
    fn logistic_regression_agrees_with_scikit_learn() {
        // x, y = blobs(120, 4, 3, 1, 1.5)
        // m = LogisticRegression(C=0.5, tol=1e-10, max_iter=10000).fit(x.astype(float), y)
        // z = x @ m.coef_.T + m.intercept_
        // (np.log(np.exp(z).sum(1)) - z[np.arange(120), y]).mean() + (m.coef_**2).sum() /
        // (2*0.5*120)
        #[rustfmt::skip]
        let coefficients = [
            [0.8648788, -0.05255048, 0.29234339, 0.74479502],
            [-0.38001814, -0.55563008, 0.82641747, 0.22466461],
            [-0.48486066, 0.60818056, -1.11876086, -0.96945963],
        ];
        let outcome = solve::<CrossEntropy>(0.5);
        assert!(outcome.converged);
        assert_close(outcome.objective, 0.893_003_460_740_908_3, 1e-6);
        for (class, expected) in coefficients.iter().enumerate() {
            for (feature, &expected) in expected.iter().enumerate() {
                assert_close(outcome.theta[feature * 3 + class], expected, 1e-4);
            }
        }
        // Intercepts count up to a common constant.
        let intercept = &outcome.theta[12..];
        assert_close(intercept[0] - intercept[2], -0.666_587_43 - 0.807_338_76, 1e-3);
    }

    #[test]
    fn linear_svm_agrees_with_scipy() {
        // def f(t):
        //     t = t.reshape(5, 3); s = x @ t[:4] + t[4]
        //     sign = np.where(np.arange(3) == y[:, None], 1, -1)
        //     return (np.maximum(0, 1 - sign*s)**2).sum() / 120 + (t[:4]**2).sum() / (2 * 0.5 *
        // 120)
        // minimize(f, np.zeros(15), method="BFGS", options=dict(gtol=1e-9, maxiter=5000))
        #[rustfmt::skip]
        let expected = [
            0.67903923, -0.32512113, -0.33978534,
            0.0081836, -0.37769452, 0.45832285,
            0.12981022, 0.60681182, -0.8311472,
            0.51623285, 0.14931319, -0.73798352,
            -0.82821566, -0.48456306, 0.30550306,
        ];
        let outcome = solve::<SquaredHinge>(0.5);
        assert!(outcome.converged);
        assert_close(outcome.objective, 2.050_109_119_086_752, 2e-6);
        for (&found, expected) in outcome.theta.iter().zip(expected) {
            assert_close(found, expected, 1e-3);
        }
    }

    /// Central differences along every weight.
    fn check_gradient<L: Loss<Target = u32>>(design: &Design<'_>, classes: &[u32]) {
        let n_classes = 3;
        let n_weights = (design.n_features() + 1) * n_classes;
        let theta: Vec<f64> = (0..n_weights).map(|i| ((i * 7) % 11) as f64 * 0.1 - 0.5).collect();
        let evaluate = |theta: &[f64]| {
            let targets = of(classes);
            design.evaluate::<L>(0..classes.len(), &targets, &Weights::new(theta, n_classes))
        };
        let (_, gradient) = evaluate(&theta);
        for (index, slope) in gradient.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut theta = theta.clone();
                theta[index] += by;
                evaluate(&theta).0
            };
            let measured = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert_close(slope, measured, 2e-3 * slope.abs() + 2e-2);
        }
    }

    #[test]
    fn gradients_agree_with_differences_for_dense_and_sparse_rows() {
        let (x, classes) = blobs(200, 6, 3, 9, 1.5);
        let sparse = x.mapv(|value| if value > 1.05 { value } else { -0.25 });
        for x in [x, sparse] {
            let design = Design::Dense(x.view());
            check_gradient::<CrossEntropy>(&design, &classes);
            check_gradient::<SquaredHinge>(&design, &classes);
        }
        let (x, classes) = blobs(200, 6, 3, 9, 1.5);
        let x = x.mapv(|value| if value > 1.3 { value } else { -0.25 });
        let design = Design::of(x.view());
        assert!(matches!(design, Design::Sparse(_)));
        check_gradient::<CrossEntropy>(&design, &classes);
        check_gradient::<SquaredHinge>(&design, &classes);
    }

    #[test]
    fn sparse_rows_give_the_dense_answer() {
        let (x, classes) = blobs(400, 30, 3, 5, 2.5);
        let x = x.mapv(|value| if value > 1.6 { value } else { -0.25 });
        let weights: Vec<f64> = (0..93).map(|i| ((i * 5) % 13) as f64 * 0.1 - 0.6).collect();
        let weights = Weights::new(&weights, 3);
        let sparse = Design::of(x.view());
        assert!(matches!(sparse, Design::Sparse(_)));
        let (loss, gradient) = sparse.evaluate::<CrossEntropy>(3..400, &of(&classes), &weights);
        let dense = Design::Dense(x.view());
        let (expected, slopes) = dense.evaluate::<CrossEntropy>(3..400, &of(&classes), &weights);
        assert_close(loss, expected, 1e-4 * expected);
        gradient.iter().zip(&slopes).for_each(|(&a, &b)| assert_close(a, b, 1e-2));
        let apart = &sparse.outputs(0..400, &weights) - &dense.outputs(0..400, &weights);
        assert!(apart.iter().all(|difference| difference.abs() < 1e-3));
    }

    #[test]
    fn the_strongest_of_equally_good_penalties_is_chosen() {
        let (x, classes) = blobs(300, 5, 2, 11, 0.01);
        let data = FitData::split(x.view(), &classes, 200, 2);
        let settings = Settings { name: "test", c: None, max_iterations: 50, tolerance: 1e-4 };
        let fitted = fit_classes::<CrossEntropy>(
            &settings,
            &data,
            &hourglass_core::Silent,
            &Interrupt::new(),
        );
        let chosen = fitted.unwrap().chosen();
        assert_eq!(chosen["validation_score"], 1.0);
        assert!((chosen["c"] - 1.0 / (STRENGTHS[0] * 200.0)).abs() < 1e-12);
    }
}
