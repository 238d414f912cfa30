//! Fitting as the protocol asks: a few candidates of each model are compared on rows that they were
//! not fitted on, the same few for every feature set; the best is fitted on all rows that have a
//! label; its scores are calibrated where that is asked for.
//!
//! The rows they are compared on are inner folds of the labelled rows, or the validation rows. What
//! a model chooses while it is fitted (the rounds of boosting, the epochs of a perceptron) it
//! chooses on the fold that judges it, or on the validation rows.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use ndarray::Axis;
use rand::seq::SliceRandom;

use crate::calibrate::{Calibrated, Calibration};
use crate::estimator::stop_if_raised;
use crate::regressor::{FittedRegressor, ValueData};
use crate::{Error, EstimatorConfig, FitData, Fitted, metrics};

/// Labelled rows up to which choices are made on folds unless the file says otherwise: where labels
/// are few, the validation rows are a handful, and five fits more cost little.
const MOST_FOLDED_ROWS: usize = 5000;

/// Folds, unless the file says otherwise.
const USUAL_FOLDS: usize = 5;

/// What is done around a fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// Folds of the labelled rows that candidates are compared on; 0 or 1 means that they are
    /// compared on the validation rows.
    pub inner_folds: usize,
    /// How scores become probabilities.
    pub calibration: Calibration,
}

impl Protocol {
    /// Folds that are usual for so many labelled rows: 5 up to 5,000 rows, else 1, which are the
    /// validation rows.
    pub fn usual_folds(n_rows: usize) -> usize {
        if n_rows <= MOST_FOLDED_ROWS { USUAL_FOLDS } else { 1 }
    }
}

/// Fits a classifier: chooses among its candidates by accuracy (the first of several that are as
/// good), fits, calibrates.
///
/// Folds keep the classes' shares. There are fewer of them where a class has fewer rows, and none
/// where a fold would leave too little to fit on.
///
/// # Errors
/// [`Error::Task`] where the model predicts values only; else those of the fit.
pub fn fit_classifier<'a>(
    config: &EstimatorConfig,
    data: &FitData<'a>,
    protocol: Protocol,
    seed: Seed,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn Fitted + 'a>, Error> {
    let classifier = |config: &EstimatorConfig| {
        let wrong = Error::Task { estimator: config.name(), predicts: "values", wanted: "classes" };
        config.classifier().ok_or(wrong)
    };
    let accuracy = |config: &EstimatorConfig, data: &FitData<'_>| {
        let held_back = data.without_refit();
        let fitted = classifier(config)?.fit(&held_back, seed, progress, interrupt)?;
        Ok(metrics::accuracy(data.validation_classes, &fitted.predict(data.validation)?))
    };
    data.check()?;
    let (rows, classes) = (data.all_rows(), data.all_classes());
    let folds = stratified_folds(classes, data.n_classes, protocol.inner_folds, seed);
    let best = match n_fitted(&folds) {
        None => {
            let candidates = config.candidates(data.train.nrows(), rows.nrows());
            best_of(candidates, data.validation.nrows(), interrupt, |config| accuracy(config, data))
        }
        Some(n_train) => {
            let candidates = config.fold_candidates(n_train, rows.nrows());
            best_on_folds(candidates, rows, &folds, interrupt, |config, rows, order, n_train| {
                let classes: Vec<u32> = order.iter().map(|&row| classes[row]).collect();
                let fold = FitData::split(rows, &classes, n_train, data.n_classes);
                accuracy(config, &fold.weighted(data.class_weights))
            })
        }
    }?;
    let fit = |data: &FitData<'a>| classifier(&best.config)?.fit(data, seed, progress, interrupt);
    let fitted = match protocol.calibration {
        Calibration::None => fit(data)?,
        calibration => {
            let scores = fit(&data.without_refit())?.scores(data.validation)?;
            let calibrator = calibration.learn(scores.view(), data.validation_classes)?;
            let fitted = fit(data)?;
            match calibrator {
                Some(calibrator) => Box::new(Calibrated { fitted, calibrator }),
                None => fitted,
            }
        }
    };
    Ok(match best.score {
        Some(score) => Box::new(Tuned { fitted, score }),
        None => fitted,
    })
}

/// Fits a regressor: chooses among its candidates by the root mean squared error, on this many
/// inner folds or, with 0 or 1, on the validation rows.
///
/// # Errors
/// [`Error::Task`] where the model predicts classes only; else those of the fit.
pub fn fit_regressor<'a>(
    config: &EstimatorConfig,
    data: &ValueData<'a>,
    inner_folds: usize,
    seed: Seed,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
    let regressor = |config: &EstimatorConfig| {
        let wrong = Error::Task { estimator: config.name(), predicts: "classes", wanted: "values" };
        config.regressor().ok_or(wrong)
    };
    let minus_rmse = |config: &EstimatorConfig, data: &ValueData<'_>| {
        let held_back = data.without_refit();
        let fitted = regressor(config)?.fit(&held_back, seed, progress, interrupt)?;
        Ok(-metrics::rmse(data.validation_values, &fitted.predict(data.validation)?))
    };
    data.check()?;
    let (rows, values) = (data.all_rows(), data.all_values());
    let folds = folds_of(vec![(0..values.len()).collect()], inner_folds, seed);
    let best = match n_fitted(&folds) {
        None => {
            let candidates = config.candidates(data.train.nrows(), rows.nrows());
            best_of(candidates, data.validation.nrows(), interrupt, |config| {
                minus_rmse(config, data)
            })
        }
        Some(n_train) => {
            let candidates = match config {
                EstimatorConfig::Lasso(lasso) => {
                    let candidates = lasso.candidates(rows, values);
                    candidates.into_iter().map(EstimatorConfig::Lasso).collect()
                }
                config => config.fold_candidates(n_train, rows.nrows()),
            };
            best_on_folds(candidates, rows, &folds, interrupt, |config, rows, order, n_train| {
                let values: Vec<f32> = order.iter().map(|&row| values[row]).collect();
                minus_rmse(config, &ValueData::split(rows, &values, n_train))
            })
        }
    }?;
    let fitted = regressor(&best.config)?.fit(data, seed, progress, interrupt)?;
    Ok(match best.score {
        // In units of the spread, as the linear models have it.
        Some(score) => {
            let (_, unit) = data.location();
            Box::new(TunedRegressor { fitted, score: score / f64::from(unit) })
        }
        None => fitted,
    })
}

/// Rows of each class dealt to folds in turn, in shuffled order. As many folds as asked for, but no
/// more than the second most frequent class has rows; none where a fold would leave fewer rows than
/// classes.
fn stratified_folds(
    classes: &[u32],
    n_classes: usize,
    n_folds: usize,
    seed: Seed,
) -> Vec<Vec<usize>> {
    let mut of_class = vec![Vec::new(); n_classes];
    classes.iter().enumerate().for_each(|(row, &class)| of_class[class as usize].push(row));
    let mut counts: Vec<usize> = of_class.iter().map(Vec::len).collect();
    counts.sort_unstable();
    let n_folds = n_folds.min(counts[n_classes.saturating_sub(2)]);
    let folds = folds_of(of_class, n_folds, seed);
    match n_fitted(&folds) {
        Some(n_train) if n_train >= n_classes.max(2) => folds,
        _ => Vec::new(),
    }
}

/// The rows of each group dealt to folds in turn, in shuffled order; none for fewer than two folds,
/// or fewer rows than folds.
fn folds_of(groups: Vec<Vec<usize>>, n_folds: usize, seed: Seed) -> Vec<Vec<usize>> {
    let n_rows: usize = groups.iter().map(Vec::len).sum();
    if n_folds < 2 || n_rows < 2 * n_folds {
        return Vec::new();
    }
    let mut folds = vec![Vec::new(); n_folds];
    let mut next = 0;
    for (group, mut rows) in groups.into_iter().enumerate() {
        rows.shuffle(&mut seed.child("inner folds").nth(group as u64).rng());
        for row in rows {
            folds[next % n_folds].push(row);
            next += 1;
        }
    }
    folds.iter_mut().for_each(|rows| rows.sort_unstable());
    folds
}

/// Rows that are fitted on while the largest fold judges; `None` without folds.
fn n_fitted(folds: &[Vec<usize>]) -> Option<usize> {
    let n_rows: usize = folds.iter().map(Vec::len).sum();
    Some(n_rows - folds.iter().map(Vec::len).max()?)
}

/// A candidate that won, and its score, where there was a choice.
struct Best {
    config: EstimatorConfig,
    score: Option<f64>,
}

/// The candidate with the largest score, the first of several; without a choice or without rows to
/// choose on, the first.
fn best_of(
    candidates: Vec<EstimatorConfig>,
    n_validation: usize,
    interrupt: &Interrupt,
    score: impl Fn(&EstimatorConfig) -> Result<f64, Error>,
) -> Result<Best, Error> {
    if candidates.len() == 1 || n_validation == 0 {
        return Ok(first(candidates, None));
    }
    let mut scores = Vec::with_capacity(candidates.len());
    for candidate in &candidates {
        stop_if_raised(interrupt)?;
        scores.push(score(candidate)?);
    }
    Ok(largest_of(candidates, &scores))
}

/// The candidate with the largest mean score over the folds, the first of several. `score` gets the
/// rows of a fold, fitted ones first, where they came from, and how many are to be fitted.
fn best_on_folds(
    candidates: Vec<EstimatorConfig>,
    rows: MatrixView<'_>,
    folds: &[Vec<usize>],
    interrupt: &Interrupt,
    score: impl Fn(&EstimatorConfig, MatrixView<'_>, &[usize], usize) -> Result<f64, Error>,
) -> Result<Best, Error> {
    if candidates.len() == 1 {
        return Ok(first(candidates, None));
    }
    let mut sums = vec![0.0; candidates.len()];
    // One copy of the rows at a time.
    for (index, judged) in folds.iter().enumerate() {
        let others = folds.iter().enumerate().filter(|(other, _)| *other != index);
        let mut order: Vec<usize> = others.flat_map(|(_, rows)| rows).copied().collect();
        order.sort_unstable();
        let n_train = order.len();
        order.extend(judged);
        let rows: Matrix = rows.select(Axis(0), &order);
        for (sum, candidate) in sums.iter_mut().zip(&candidates) {
            stop_if_raised(interrupt)?;
            *sum += score(&candidate.hurried(), rows.view(), &order, n_train)?;
        }
    }
    let means: Vec<f64> = sums.iter().map(|sum| sum / folds.len() as f64).collect();
    Ok(largest_of(candidates, &means))
}

fn largest_of(candidates: Vec<EstimatorConfig>, scores: &[f64]) -> Best {
    tracing::debug!(?candidates, ?scores, "candidates tried");
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    first(candidates.into_iter().skip(best).collect(), Some(scores[best]))
}

fn first(candidates: Vec<EstimatorConfig>, score: Option<f64>) -> Best {
    let config = candidates.into_iter().next().expect("a model has one candidate at least");
    Best { config, score }
}

/// A classifier that says how well it did where its hyperparameters were chosen.
struct Tuned<'a> {
    fitted: Box<dyn Fitted + 'a>,
    score: f64,
}

impl Fitted for Tuned<'_> {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        self.fitted.scores(x)
    }

    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error> {
        self.fitted.predict(x)
    }

    fn gives_probabilities(&self) -> bool {
        self.fitted.gives_probabilities()
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        with_score(self.fitted.chosen(), self.score)
    }

    fn size(&self) -> usize {
        self.fitted.size()
    }
}

/// The same for values.
struct TunedRegressor<'a> {
    fitted: Box<dyn FittedRegressor + 'a>,
    score: f64,
}

impl FittedRegressor for TunedRegressor<'_> {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        self.fitted.predict(x)
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        with_score(self.fitted.chosen(), self.score)
    }

    fn size(&self) -> usize {
        self.fitted.size()
    }
}

fn with_score(mut chosen: BTreeMap<String, f64>, score: f64) -> BTreeMap<String, f64> {
    chosen.insert("validation_score".to_owned(), score);
    chosen
}

#[cfg(test)]
mod tests {
    use hourglass_core::Silent;
    use ndarray::s;

    use super::*;
    use crate::contract::blobs;
    use crate::{Knn, Lasso, LogisticRegression};

    #[test]
    fn folds_hold_every_row_once_and_keep_the_classes_shares() {
        let classes: Vec<u32> = (0..103).map(|row| u32::from(row % 4 == 0)).collect();
        let folds = stratified_folds(&classes, 2, 5, Seed::new(1));
        let mut all: Vec<usize> = folds.concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        for fold in &folds {
            let n_rare = fold.iter().filter(|&&row| classes[row] == 1).count();
            assert!((5..=6).contains(&n_rare) && (20..=21).contains(&fold.len()), "{fold:?}");
        }
        assert_ne!(folds, stratified_folds(&classes, 2, 5, Seed::new(2)));
    }

    #[test]
    fn there_are_no_more_folds_than_rows_of_a_class() {
        let folds = |classes: &[u32], n_classes| {
            stratified_folds(classes, n_classes, 5, Seed::new(1)).len()
        };
        assert_eq!(folds(&[0, 0, 0, 0, 0, 0, 1, 1, 1], 2), 3);
        assert_eq!(folds(&[0, 0, 0, 0, 0, 0, 1], 2), 0, "all that is left would be one class");
        assert_eq!(
            folds(&[0, 0, 1, 1, 2, 3, 4], 5),
            0,
            "three rows would be left for five classes"
        );
        assert_eq!(folds_of(vec![vec![0, 1, 2]], 2, Seed::new(1)).len(), 0);
    }

    /// Forty rows of two overlapping classes; of the last ten, which are the validation rows,
    /// half have the wrong label.
    fn misleading() -> (Matrix, Vec<u32>) {
        let (x, mut classes) = blobs(40, 6, 2, 5, 1.2);
        for class in classes[30..].iter_mut().step_by(2) {
            *class = 1 - *class;
        }
        (x, classes)
    }

    #[test]
    fn every_model_is_chosen_on_folds_and_says_its_score() {
        let (x, classes) = misleading();
        let values: Vec<f32> = x.outer_iter().map(|row| 3.0 * row[0] - row[1]).collect();
        for config in EstimatorConfig::examples() {
            let (seed, interrupt) = (Seed::new(3), Interrupt::new());
            let chosen = |inner_folds: usize| {
                if config.classifier().is_some() {
                    let data = FitData::split(x.view(), &classes, 30, 2);
                    let protocol = Protocol { inner_folds, ..Protocol::default() };
                    fit_classifier(&config, &data, protocol, seed, &Silent, &interrupt)
                        .unwrap()
                        .chosen()
                } else {
                    let data = ValueData::split(x.view(), &values, 30);
                    fit_regressor(&config, &data, inner_folds, seed, &Silent, &interrupt)
                        .unwrap()
                        .chosen()
                }
            };
            let is_choice = !["majority", "mean"].contains(&config.name());
            assert_eq!(chosen(5).contains_key("validation_score"), is_choice, "{}", config.name());
            if is_choice {
                let (folds, validation) = (chosen(5), chosen(1));
                let score = |chosen: &BTreeMap<String, f64>| chosen["validation_score"];
                assert!(config.name() == "lasso" || score(&folds) != score(&validation));
            }
        }
    }

    #[test]
    fn a_penalty_is_judged_on_every_fold() {
        // The score of the only `c` is the mean accuracy of five fits, made here by hand.
        let (x, classes) = misleading();
        let data = FitData::split(x.view(), &classes, 30, 2);
        let (seed, interrupt) = (Seed::new(3), Interrupt::new());
        let config = EstimatorConfig::LogisticRegression(LogisticRegression::default());
        let protocol = Protocol { inner_folds: 4, ..Protocol::default() };
        let fitted = fit_classifier(&config, &data, protocol, seed, &Silent, &interrupt).unwrap();
        let chosen = fitted.chosen();
        let c = Some(chosen["c"] as f32);
        let mut right = 0.0;
        for judged in stratified_folds(&classes, 2, 4, seed) {
            let mut order: Vec<usize> = (0..40).filter(|row| !judged.contains(row)).collect();
            let n_train = order.len();
            order.extend(&judged);
            let rows = x.select(Axis(0), &order);
            let classes: Vec<u32> = order.iter().map(|&row| classes[row]).collect();
            let fold =
                FitData::split(rows.slice(s![..n_train, ..]), &classes[..n_train], n_train, 2);
            let model = LogisticRegression { c, ..LogisticRegression::default() };
            let model = EstimatorConfig::LogisticRegression(model).hurried();
            let fitted =
                fit_classifier(&model, &fold, Protocol::default(), seed, &Silent, &interrupt);
            let predicted = fitted.unwrap().predict(rows.slice(s![n_train.., ..])).unwrap();
            right += metrics::accuracy(&classes[n_train..], &predicted) / 4.0;
        }
        assert!((chosen["validation_score"] - right).abs() < 1e-12);
    }

    #[test]
    fn what_the_file_gives_is_not_chosen() {
        let (x, classes) = misleading();
        let data = FitData::split(x.view(), &classes, 30, 2);
        let protocol = Protocol { inner_folds: 5, ..Protocol::default() };
        let config = EstimatorConfig::Knn(Knn { k: Some(3) });
        let fitted =
            fit_classifier(&config, &data, protocol, Seed::new(1), &Silent, &Interrupt::new());
        assert!(!fitted.unwrap().chosen().contains_key("validation_score"));
        assert_eq!(Lasso { alpha: Some(0.5) }.candidates(x.view(), &[0.0; 40]).len(), 1);
        assert_eq!([Protocol::usual_folds(5000), Protocol::usual_folds(5001)], [5, 1]);
    }
}
