//! What predictions are judged by. Nothing here knows which model or which features predicted.

mod classes;
mod curves;
mod probabilities;
mod values;

use hourglass_core::{MatrixView, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use classes::{
    ClassScores, accuracy, balanced_accuracy, confusion, correct, macro_f1, per_class,
};
pub use curves::{CalibrationBin, calibration_curve, roc_curve};
pub use probabilities::{average_precision, brier, log_loss, roc_auc};
pub use values::{absolute_errors, mae, r2, rmse};

/// What a downstream model is judged by.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of the rows predicted right.
    #[default]
    Accuracy,
    /// Mean over the classes of the share of their rows predicted right.
    BalancedAccuracy,
    /// Mean over the classes of the harmonic mean of precision and recall.
    MacroF1,
    /// Probability that a row of the class scores higher than another row; mean over the classes
    /// against the rest where there are more than two.
    RocAuc,
    /// Mean precision over all thresholds of the score, weighted by the recall gained.
    AveragePrecision,
    /// Mean of minus the logarithm of the probability given to the true class; less is better.
    LogLoss,
    /// Mean squared error of the probabilities; less is better.
    Brier,
    /// Root mean squared error of predicted values; less is better.
    Rmse,
    /// Mean absolute error of predicted values; less is better.
    Mae,
    /// Share of the values' variance that is explained.
    R2,
}

/// What a classifier said of some rows.
#[derive(Clone, Copy, Debug)]
pub struct ClassPredictions<'a> {
    /// True class of each row.
    pub truth: &'a [u32],
    /// Predicted class of each row.
    pub predicted: &'a [u32],
    /// `(n_rows, n_classes)`.
    pub scores: MatrixView<'a>,
    /// Whether the scores are probabilities.
    pub are_probabilities: bool,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 10] = [
        Metric::Accuracy,
        Metric::BalancedAccuracy,
        Metric::MacroF1,
        Metric::RocAuc,
        Metric::AveragePrecision,
        Metric::LogLoss,
        Metric::Brier,
        Metric::Rmse,
        Metric::Mae,
        Metric::R2,
    ];

    /// Its name in the file and in the report.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::BalancedAccuracy => "balanced_accuracy",
            Metric::MacroF1 => "macro_f1",
            Metric::RocAuc => "roc_auc",
            Metric::AveragePrecision => "average_precision",
            Metric::LogLoss => "log_loss",
            Metric::Brier => "brier",
            Metric::Rmse => "rmse",
            Metric::Mae => "mae",
            Metric::R2 => "r2",
        }
    }

    /// What it judges predictions of.
    pub fn task(self) -> Task {
        match self {
            Metric::Rmse | Metric::Mae | Metric::R2 => Task::Regression,
            _ => Task::Classification,
        }
    }

    /// Whether more is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Metric::LogLoss | Metric::Brier | Metric::Rmse | Metric::Mae)
    }

    /// Whether it lies in 0..=1 and is read in per cent.
    pub fn is_fraction(self) -> bool {
        self.higher_is_better() && self != Metric::R2
    }

    /// Whether the scores must be probabilities.
    pub fn needs_probabilities(self) -> bool {
        matches!(self, Metric::LogLoss | Metric::Brier)
    }

    /// Whether the metric is the mean of a number for each row, so that the rows' spread tells
    /// something about its error.
    pub fn is_mean_over_rows(self) -> bool {
        matches!(self, Metric::Accuracy | Metric::Mae)
    }

    /// The score of predicted classes; NaN where this metric needs what the model doesn't give, or
    /// a class is missing.
    ///
    /// # Panics
    /// If the parts differ in length, or a class isn't below the number of scores.
    pub fn of_classes(self, said: &ClassPredictions<'_>) -> f64 {
        let ClassPredictions { truth, predicted, scores, are_probabilities } = *said;
        let n_classes = scores.ncols();
        match self {
            Metric::RocAuc => roc_auc(truth, scores),
            Metric::AveragePrecision => average_precision(truth, scores),
            Metric::LogLoss if are_probabilities => log_loss(truth, scores),
            Metric::Brier if are_probabilities => brier(truth, scores),
            Metric::LogLoss | Metric::Brier => f64::NAN,
            other => other.score(truth, predicted, n_classes),
        }
    }

    /// The score of predicted classes alone, without scores; NaN for a metric that needs them.
    ///
    /// # Panics
    /// If the two differ in length, or a class isn't below `n_classes`.
    pub fn score(self, truth: &[u32], predicted: &[u32], n_classes: usize) -> f64 {
        match self {
            Metric::Accuracy => accuracy(truth, predicted),
            Metric::BalancedAccuracy => balanced_accuracy(truth, predicted, n_classes),
            Metric::MacroF1 => macro_f1(truth, predicted, n_classes),
            _ => f64::NAN,
        }
    }

    /// The score of predicted values; NaN for a metric of classes.
    ///
    /// # Panics
    /// If the two differ in length.
    pub fn of_values(self, truth: &[f32], predicted: &[f32]) -> f64 {
        match self {
            Metric::Rmse => rmse(truth, predicted),
            Metric::Mae => mae(truth, predicted),
            Metric::R2 => r2(truth, predicted),
            _ => f64::NAN,
        }
    }
}

/// Mean of the numbers that are there; NaN without any.
fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    let finite = values.filter(|value| value.is_finite());
    let (sum, count) = finite.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { f64::NAN }
}
