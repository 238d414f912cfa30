//! What a report says: plain data, read and written as `report.json`.
//!
//! Only what the pipeline file, the data and the seed decide stands here, so that two runs of the
//! same file can be compared bit for bit. It holds no time, no date, no machine and no number of
//! threads: those are in [`crate::Timings`]. It draws and words nothing but the order of things.

use std::collections::BTreeMap;

use hourglass_core::{Partition, SampleShape, Task};
use serde::{Deserialize, Deserializer, Serialize};

use crate::diagnosis::Diagnosis;
use crate::verdict::Verdict;

/// The version of the JSON layout that this crate writes and reads.
pub const SCHEMA_VERSION: u32 = 2;

/// Name of the feature set that every other one is compared with.
pub const RAW: &str = "raw";
/// Name of the autoencoder's feature set.
pub const AUTOENCODER: &str = "autoencoder";
/// Name of the raw columns and the autoencoder's features side by side.
pub const RAW_AND_AUTOENCODER: &str = "raw+autoencoder";
/// Name of the principal components of the same width.
pub const PCA: &str = "pca";
/// Name of the features of the same encoder before any training.
pub const RANDOM_ENCODER: &str = "random_encoder";

/// One experiment: what was asked, what came out, and what it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// Name of the pipeline.
    pub name: String,
    /// Seed of the pipeline file.
    pub seed: u64,
    /// How often the whole experiment was run: repeats, times folds where there are any.
    pub repeats: usize,
    /// Folds of the cross-validation; 1 without.
    pub folds: usize,
    /// Seed of each run, in order.
    pub repeat_seeds: Vec<u64>,
    /// The answer, as [`crate::verdict`] words it.
    pub verdict: Verdict,
    /// What was measured on.
    pub data: DataSummary,
    /// What was trained.
    pub model: ModelSummary,
    /// What the scores mean.
    pub metric: Metric,
    /// How intervals, tests and choices were made, one sentence each.
    pub method: Vec<String>,
    /// One row for each feature set and downstream model, in the order of the pipeline file.
    pub results: Vec<ResultRow>,
    /// The downstream model that the verdict, the per-class table and the confusion matrices are
    /// about: the first of the pipeline file.
    pub main_model: String,
    /// Shares of the rows whose labels the downstream models saw, ascending; the verdict is about
    /// the last.
    pub label_fractions: Vec<f64>,
    /// Scores of each class with the main model; empty for a regression.
    pub per_class: Vec<ClassRow>,
    /// Confusion matrices of the main model; empty for a regression.
    pub confusion: Vec<Confusion>,
    /// ROC and calibration curves of the main model; empty for a regression.
    pub curves: Vec<ScoreCurves>,
    /// Predictions of the main model beside the truth; empty for classes.
    pub predictions: Vec<ValuePredictions>,
    /// How each repeat's training went.
    pub training: Vec<TrainingRun>,
    /// How well the inputs came back, or `None` where the model doesn't reconstruct.
    pub reconstruction: Option<Reconstruction>,
    /// Where the samples lie in the latent space.
    pub latent_map: Option<LatentMap>,
    /// What the doctor found; `None` where it didn't look, as in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// The pipeline file with every default filled in, as TOML.
    pub resolved_file: String,
    /// Version of each program part that can change a number: name to version.
    pub versions: BTreeMap<String, String>,
}

/// The data set, its parts and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSummary {
    /// Name of the data set.
    pub dataset: String,
    /// One sentence: where it was found, how it was cut and prepared.
    pub sentence: String,
    /// What is predicted of a row.
    pub task: Task,
    /// Why other data than the file asks for were taken; said in bold before anything else.
    pub fallback: Option<String>,
    /// Rows of each part.
    pub rows: Partition,
    /// Columns after preprocessing.
    pub n_features: usize,
    /// Name of each class in the order of its index; empty for a regression.
    pub classes: Vec<String>,
    /// Licence of the data.
    pub licence: Option<String>,
    /// How to cite the data.
    pub citation: Option<String>,
    /// The files that were read; empty for data made or carried by the program.
    pub files: Vec<DataFile>,
}

/// One file of the data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// File name without folders.
    pub name: String,
    /// SHA-256 of the uncompressed content, 64 hexadecimal digits.
    pub sha256: String,
    /// Size of the uncompressed content.
    pub bytes: u64,
}

/// The autoencoder and how it was trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSummary {
    /// Key in the pipeline file, such as `k_sparse`.
    pub kind: String,
    /// One line: the layers and what is special, such as `784-1000-784, 25 units active`.
    pub description: String,
    /// Trained numbers.
    pub n_parameters: usize,
    /// Width of the latent.
    pub latent_dim: usize,
    /// Width of the features handed to the downstream models.
    pub feature_width: usize,
    /// One line: optimiser, schedule, batch size, loss.
    pub optimiser: String,
}

/// What a score means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Key in the pipeline file, such as `accuracy`.
    pub name: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// Whether it lies in 0..=1 and is shown in per cent.
    pub is_fraction: bool,
}

impl Metric {
    /// The share of test rows whose class is predicted right; shown as its complement, test errors.
    pub fn accuracy() -> Self {
        Metric { name: "accuracy".into(), higher_is_better: true, is_fraction: true }
    }
}

/// One feature set with one downstream model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultRow {
    /// Key in the pipeline file, such as [`AUTOENCODER`].
    pub feature_set: String,
    /// Key of the downstream model, such as `logistic_regression`.
    pub model: String,
    /// Share of the rows whose labels the model saw: 1 for all.
    pub label_fraction: f64,
    /// Labels that the model was fitted and chosen on, in the first repeat.
    pub n_labels: usize,
    /// Columns that the model saw.
    pub n_features: usize,
    /// Numbers that the fitted model is made of, mean over the repeats.
    pub size: f64,
    /// Test score of each repeat, in the metric's unit; NaN (`null`) where a fit failed.
    #[serde(deserialize_with = "nan_from_null_each")]
    pub scores: Vec<f64>,
    /// Mean of the scores.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean: f64,
    /// Lower end of the 95 % interval of the mean, where there is one.
    pub ci_low: Option<f64>,
    /// Upper end of the 95 % interval of the mean, where there is one.
    pub ci_high: Option<f64>,
    /// Scores behind the mean.
    pub n: usize,
    /// Every metric that the task has, mean over the repeats; `null` where the model doesn't give
    /// what the metric needs.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Hyperparameters chosen on validation, one map for each repeat; maps may be empty.
    pub chosen: Vec<BTreeMap<String, f64>>,
    /// The same model with and without: `None` for the raw row itself and where raw is not
    /// compared.
    pub against_raw: Option<Comparison>,
}

/// A paired comparison with the raw features under the same downstream model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Mean paired difference in the metric's unit, signed so that **positive is better**.
    #[serde(deserialize_with = "nan_from_null")]
    pub difference: f64,
    /// Lower end of its 95 % interval.
    pub ci_low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub ci_high: Option<f64>,
    /// Two-sided p of the paired test.
    pub p_value: Option<f64>,
    /// The same after Holm's correction over all comparisons of the report.
    pub p_holm: Option<f64>,
    /// What the corrected test says at the 5 % level.
    pub mark: Mark,
    /// The difference in units of its spread over the repeats (Hedges' g), where there are three or
    /// more.
    pub effect: Option<Effect>,
    /// How probable it is that the difference matters, where there is an interval.
    pub practice: Option<Practice>,
}

/// An effect size with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// Hedges' g; 0.2 is called small, 0.8 large.
    pub size: f64,
    /// Lower end of the 95 % interval.
    pub ci_low: f64,
    /// Upper end of the 95 % interval.
    pub ci_high: f64,
}

/// Posterior probabilities that a difference is practically better, the same or worse.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Practice {
    /// Differences of at most this size count as the same, in the metric's unit.
    pub same_within: f64,
    /// Probability of better.
    pub better: f64,
    /// Probability of the same.
    pub same: f64,
    /// Probability of worse.
    pub worse: f64,
}

/// What a test at the 5 % level says of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Significantly better than raw.
    Better,
    /// No significant difference; nothing is said of how small it is.
    Same,
    /// Significantly worse than raw.
    Worse,
}

/// One class under one feature set and the main model, mean over the repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassRow {
    /// Feature set.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// Name of the class.
    pub class: String,
    /// Of the rows given this class, the share that has it; 0..=1, NaN (`null`) if none was.
    #[serde(deserialize_with = "nan_from_null")]
    pub precision: f64,
    /// Of the rows of this class, the share that was found; 0..=1.
    #[serde(deserialize_with = "nan_from_null")]
    pub recall: f64,
    /// Harmonic mean of both; 0..=1.
    #[serde(deserialize_with = "nan_from_null")]
    pub f1: f64,
    /// Test rows of this class in one repeat.
    pub support: usize,
}

/// Which class was taken for which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confusion {
    /// Feature set.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// `(n_classes, n_classes)`: row is the true class, column the predicted one, in the order of
    /// [`DataSummary::classes`]; summed over the repeats.
    pub counts: Vec<Vec<u64>>,
}

/// How well a classifier's scores rank and what they promise, over the test rows of all repeats;
/// more than two classes are pooled, each against the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreCurves {
    /// Feature set.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// `[false positive rate, true positive rate]`, from (0, 0) to (1, 1).
    pub roc: Vec<[f64; 2]>,
    /// `[mean probability, share that came true, count]` of each tenth of probability; empty where
    /// the scores are no probabilities.
    pub calibration: Vec<[f64; 3]>,
}

/// What a regressor said of some test rows of the first repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValuePredictions {
    /// Feature set.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// `[truth, prediction]`, at most 500 rows.
    pub points: Vec<[f32; 2]>,
}

/// One repeat's training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRun {
    /// Number of the repeat, from 0.
    pub repeat: usize,
    /// Epoch whose weights were kept.
    pub best_epoch: usize,
    /// Why it ended, as a half sentence such as `all 30 epochs done`.
    pub stopped_because: String,
    /// One row an epoch.
    pub epochs: Vec<EpochRow>,
}

impl TrainingRun {
    /// The epoch whose weights were kept.
    pub(crate) fn best(&self) -> Option<&EpochRow> {
        self.epochs.iter().find(|row| row.epoch == self.best_epoch)
    }
}

/// What was seen at the end of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRow {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean training loss, with all penalties.
    #[serde(deserialize_with = "nan_from_null")]
    pub train_loss: f64,
    /// Mean loss on validation.
    pub validation_loss: Option<f64>,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// Summed squared error of a validation sample, mean over the samples.
    pub reconstruction_error: Option<f64>,
}

/// How well the inputs came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconstruction {
    /// What a row means; decides whether pictures are drawn.
    pub shape: SampleShape,
    /// The values drawn black and white: the range that the preprocessing maps to.
    pub value_range: [f32; 2],
    /// The yardsticks, then the autoencoder; mean over the repeats.
    pub errors: Vec<ReconstructionError>,
    /// The trained model's loss by part, and what else it knows of itself; mean over the repeats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<PartLoss>,
    /// Epochs after which the fixed samples were put through the first repeat's model.
    pub epochs: Vec<usize>,
    /// Fixed samples of the training part.
    pub train: Vec<FixedSample>,
    /// Fixed samples of the validation part.
    pub validation: Vec<FixedSample>,
}

/// A part of the loss on clean samples, in the unit in which the model adds it, or another number
/// that the model knows of itself, such as the perplexity of its codebook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartLoss {
    /// `total`, `reconstruction`, `kl`, `perplexity` and the like.
    pub name: String,
    /// On the validation part.
    pub validation: f64,
    /// On the test part.
    pub test: f64,
}

/// Summed squared error of a sample, mean over the samples of a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconstructionError {
    /// What was put in place of the input: `mean of the training part`, `pca (30)`, `autoencoder`.
    pub name: String,
    /// On the training part.
    pub train: Option<f64>,
    /// On the validation part.
    pub validation: Option<f64>,
    /// On the test part.
    pub test: Option<f64>,
}

/// One sample and what the model made of it as it learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedSample {
    /// Class name or target, where there is one.
    pub label: Option<String>,
    /// `(n_features)`, as the model saw it before any corruption; see [`rounded`].
    #[serde(deserialize_with = "nan_from_null_each")]
    pub original: Vec<f32>,
    /// One reconstruction for each of [`Reconstruction::epochs`], `(n_features)` each.
    #[serde(deserialize_with = "nan_from_null_rows")]
    pub reconstructions: Vec<Vec<f32>>,
}

/// A view of the latent in two dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentMap {
    /// How it was made, such as `first two principal components of the latent, test rows`.
    pub method: String,
    /// `(n, 2)`, at most 2000 rows; see [`rounded`].
    #[serde(deserialize_with = "nan_from_null_points")]
    pub points: Vec<[f32; 2]>,
    /// Class index of each point; empty for a regression.
    pub classes: Vec<u32>,
    /// Share of the latent's variance along each axis, 0..=1.
    pub explained_variance: Option<[f64; 2]>,
}

/// The values to three decimals, which is more than a picture shows and a third of the bytes.
pub fn rounded(values: &[f32]) -> Vec<f32> {
    // Division gives the float nearest to the decimal, so JSON prints three digits.
    values.iter().map(|value| (value * 1000.0).round() / 1000.0).collect()
}

/// JSON has no NaN; serde_json writes `null` for it, and this reads it back.
pub(crate) fn nan_from_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

pub(crate) fn nan_from_null_each<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<f32>,
{
    let values = Vec::<Option<T>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or_else(|| T::from(f32::NAN))).collect())
}

fn nan_from_null_rows<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Vec<f32>>, D::Error> {
    let rows = Vec::<Vec<Option<f32>>>::deserialize(deserializer)?;
    Ok(rows
        .into_iter()
        .map(|row| row.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect())
        .collect())
}

fn nan_from_null_points<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<[f32; 2]>, D::Error> {
    let points = Vec::<[Option<f32>; 2]>::deserialize(deserializer)?;
    Ok(points.into_iter().map(|point| point.map(|value| value.unwrap_or(f32::NAN))).collect())
}
