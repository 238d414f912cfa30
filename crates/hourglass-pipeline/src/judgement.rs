//! One downstream model on one feature set with a share of the labels: fitted, its choices made on
//! validation, and asked about the test rows once.
//!
//! Kept are what it said and what it chose; how long it took lies beside, since that is never the
//! same twice. It computes no score.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use hourglass_core::{Interrupt, Matrix, MatrixView, Part, Progress, Samples, Seed, Targets};
use hourglass_downstream::{
    EstimatorConfig, FitData, Protocol, ValueData, fit_classifier, fit_regressor, labelled_classes,
    labelled_values,
};
use ndarray::{Axis, s};
use serde::{Deserialize, Serialize};

use crate::cache::{read_json, write_json};
use crate::config::Pipeline;
use crate::error::{Doing, Error};

const JUDGEMENT_FILE: &str = "judgement.json";
/// Scores of the test rows, `(n_test, n_classes)` little-endian `f32`.
const SCORES_FILE: &str = "scores.f32";
const SECONDS_FILE: &str = "seconds.json";

/// What one model said of the test rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Judgement {
    pub(crate) n_features: usize,
    /// Labels that it was fitted and chosen on.
    pub(crate) n_labels: usize,
    /// Class of each test row; empty where numbers are predicted.
    pub(crate) predicted: Vec<u32>,
    /// Number of each test row; empty where classes are predicted.
    pub(crate) values: Vec<f32>,
    pub(crate) are_probabilities: bool,
    pub(crate) chosen: BTreeMap<String, f64>,
    /// Numbers that the fitted model is made of.
    pub(crate) size: usize,
    #[serde(skip)]
    pub(crate) scores: Matrix,
    #[serde(skip)]
    pub(crate) seconds: Seconds,
}

/// How long a model took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seconds {
    pub(crate) fit: f64,
    pub(crate) predict: f64,
}

/// What is asked of a model.
pub(crate) struct Asked<'a> {
    pub(crate) estimator: &'a EstimatorConfig,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) fraction: f64,
    pub(crate) seed: Seed,
}

impl Judgement {
    /// Writes it into a folder of the cache.
    pub(crate) fn save(&self, dir: &Path) -> Result<(), Error> {
        write_json(&dir.join(JUDGEMENT_FILE), self)?;
        write_json(&dir.join(SECONDS_FILE), &self.seconds)?;
        let bytes: Vec<u8> = self.scores.iter().flat_map(|score| score.to_le_bytes()).collect();
        let path = dir.join(SCORES_FILE);
        fs::write(&path, bytes).doing("write", &path)
    }

    /// Reads what [`Judgement::save`] wrote.
    pub(crate) fn load(dir: &Path) -> Result<Judgement, Error> {
        let mut judgement: Judgement = read_json(&dir.join(JUDGEMENT_FILE))?;
        judgement.seconds = read_json(&dir.join(SECONDS_FILE))?;
        let path = dir.join(SCORES_FILE);
        let bytes = fs::read(&path).doing("read", &path)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        let scores: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        let n_rows = judgement.predicted.len();
        let shape = (n_rows, scores.len().checked_div(n_rows).unwrap_or(0));
        judgement.scores = Matrix::from_shape_vec(shape, scores).unwrap_or_default();
        Ok(judgement)
    }
}

/// Fits a model, its choices made on validation, and has it predict the test rows once.
pub(crate) fn judge(
    asked: &Asked<'_>,
    features: &Matrix,
    samples: &Samples,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Judgement, hourglass_downstream::Error> {
    let partition = samples.partition;
    let fit_rows = partition.rows(Part::TrainValidation);
    let test = features.slice(s![partition.rows(Part::Test), ..]);
    let known = Known {
        rows: features.slice(s![fit_rows.clone(), ..]),
        n_train: partition.n_train,
        seed: asked.seed.child(asked.estimator.name()),
        labels_seed: asked.seed.child("labels"),
        progress,
        interrupt,
    };
    let mut judgement = match &samples.targets {
        Targets::Classes { ids, names } => {
            known.classes(asked, &ids[fit_rows], names.len(), test)?
        }
        Targets::Values(values) => known.values(asked, &values[fit_rows], test)?,
    };
    judgement.n_features = features.ncols();
    Ok(judgement)
}

/// Training and validation rows, and what surrounds a fit.
struct Known<'a> {
    rows: MatrixView<'a>,
    n_train: usize,
    seed: Seed,
    /// The same for every model and feature set, so that all see the same labels.
    labels_seed: Seed,
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
}

impl Known<'_> {
    fn classes(
        &self,
        asked: &Asked<'_>,
        classes: &[u32],
        n_classes: usize,
        test: MatrixView<'_>,
    ) -> Result<Judgement, hourglass_downstream::Error> {
        let few = (asked.fraction < 1.0).then(|| {
            let (rows, n_train) =
                labelled_classes(classes, self.n_train, asked.fraction, self.labels_seed);
            let classes: Vec<u32> = rows.iter().map(|&row| classes[row]).collect();
            (self.rows.select(Axis(0), &rows), classes, n_train)
        });
        let (rows, classes, n_train) = match &few {
            Some((rows, classes, n_train)) => (rows.view(), classes.as_slice(), *n_train),
            None => (self.rows, classes, self.n_train),
        };
        let weights = asked.pipeline.downstream.class_weight.of(&classes[..n_train], n_classes);
        let data = FitData::split(rows, classes, n_train, n_classes).weighted(weights.as_deref());
        let clock = Instant::now();
        let protocol = Protocol {
            inner_folds: asked.pipeline.inner_folds(classes.len()),
            calibration: asked.pipeline.downstream.calibration,
        };
        let fitted = fit_classifier(
            asked.estimator,
            &data,
            protocol,
            self.seed,
            self.progress,
            self.interrupt,
        )?;
        let fit = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        let predicted = fitted.predict(test)?;
        let predict = clock.elapsed().as_secs_f64();
        Ok(Judgement {
            n_features: 0,
            n_labels: classes.len(),
            predicted,
            values: Vec::new(),
            are_probabilities: fitted.gives_probabilities(),
            chosen: fitted.chosen(),
            size: fitted.size(),
            scores: fitted.scores(test)?,
            seconds: Seconds { fit, predict },
        })
    }

    fn values(
        &self,
        asked: &Asked<'_>,
        values: &[f32],
        test: MatrixView<'_>,
    ) -> Result<Judgement, hourglass_downstream::Error> {
        let few = (asked.fraction < 1.0).then(|| {
            let (rows, n_train) =
                labelled_values(values.len(), self.n_train, asked.fraction, self.labels_seed);
            let values: Vec<f32> = rows.iter().map(|&row| values[row]).collect();
            (self.rows.select(Axis(0), &rows), values, n_train)
        });
        let (rows, values, n_train) = match &few {
            Some((rows, values, n_train)) => (rows.view(), values.as_slice(), *n_train),
            None => (self.rows, values, self.n_train),
        };
        let data = ValueData::split(rows, values, n_train);
        let clock = Instant::now();
        let fitted = fit_regressor(
            asked.estimator,
            &data,
            asked.pipeline.inner_folds(values.len()),
            self.seed,
            self.progress,
            self.interrupt,
        )?;
        let fit = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        let predicted = fitted.predict(test)?;
        let predict = clock.elapsed().as_secs_f64();
        Ok(Judgement {
            n_features: 0,
            n_labels: values.len(),
            predicted: Vec::new(),
            values: predicted,
            are_probabilities: false,
            chosen: fitted.chosen(),
            size: fitted.size(),
            scores: Matrix::zeros((0, 0)),
            seconds: Seconds { fit, predict },
        })
    }
}
