//! Fitting as the protocol asks: a few candidates of each model are compared on validation rows,
//! the same few for every feature set; the best is fitted on all rows that have a label; its scores
//! are calibrated where that is asked for.

use hourglass_core::{Interrupt, Progress, Seed};

use crate::calibrate::{Calibrated, Calibration};
use crate::estimator::stop_if_raised;
use crate::regressor::{FittedRegressor, ValueData};
use crate::{Error, EstimatorConfig, FitData, Fitted, metrics};

/// Fits a classifier: chooses among its candidates by accuracy on validation (the first of several
/// that are as good), fits, calibrates.
///
/// # Errors
/// [`Error::Task`] where the model predicts values only; else those of the fit.
pub fn fit_classifier<'a>(
    config: &EstimatorConfig,
    data: &FitData<'a>,
    calibration: Calibration,
    seed: Seed,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn Fitted + 'a>, Error> {
    let fit = |config: &EstimatorConfig, data: &FitData<'a>| {
        let wrong = Error::Task { estimator: config.name(), predicts: "values", wanted: "classes" };
        config.classifier().ok_or(wrong)?.fit(data, seed, progress, interrupt)
    };
    data.check()?;
    let candidates = config.candidates(data.train.nrows(), data.all_rows().nrows());
    let held_back = data.without_refit();
    let best = best_of(candidates, data.validation.nrows(), interrupt, |config| {
        let predicted = fit(config, &held_back)?.predict(data.validation)?;
        Ok(metrics::accuracy(data.validation_classes, &predicted))
    })?;
    if calibration == Calibration::None {
        return fit(&best, data);
    }
    let scores = fit(&best, &held_back)?.scores(data.validation)?;
    let calibrator = calibration.learn(scores.view(), data.validation_classes)?;
    let fitted = fit(&best, data)?;
    Ok(match calibrator {
        Some(calibrator) => Box::new(Calibrated { fitted, calibrator }),
        None => fitted,
    })
}

/// Fits a regressor: chooses among its candidates by the root mean squared error on validation.
///
/// # Errors
/// [`Error::Task`] where the model predicts classes only; else those of the fit.
pub fn fit_regressor<'a>(
    config: &EstimatorConfig,
    data: &ValueData<'a>,
    seed: Seed,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
    let fit = |config: &EstimatorConfig, data: &ValueData<'a>| {
        let wrong = Error::Task { estimator: config.name(), predicts: "classes", wanted: "values" };
        config.regressor().ok_or(wrong)?.fit(data, seed, progress, interrupt)
    };
    data.check()?;
    let candidates = config.candidates(data.train.nrows(), data.all_rows().nrows());
    let held_back = data.without_refit();
    let best = best_of(candidates, data.validation.nrows(), interrupt, |config| {
        let predicted = fit(config, &held_back)?.predict(data.validation)?;
        Ok(-metrics::rmse(data.validation_values, &predicted))
    })?;
    fit(&best, data)
}

/// The candidate with the largest score, the first of several; without a choice or without rows to
/// choose on, the first.
fn best_of(
    candidates: Vec<EstimatorConfig>,
    n_validation: usize,
    interrupt: &Interrupt,
    score: impl Fn(&EstimatorConfig) -> Result<f64, Error>,
) -> Result<EstimatorConfig, Error> {
    let mut best: Option<(f64, EstimatorConfig)> = None;
    let is_choice = candidates.len() > 1 && n_validation > 0;
    for candidate in candidates {
        if !is_choice {
            return Ok(candidate);
        }
        stop_if_raised(interrupt)?;
        let found = score(&candidate)?;
        tracing::debug!(score = found, candidate = ?candidate, "candidate tried");
        if best.as_ref().is_none_or(|(most, _)| found > *most) {
            best = Some((found, candidate));
        }
    }
    Ok(best.expect("there is a candidate").1)
}
