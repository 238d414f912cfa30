//! What a folder of pipelines found: plain data, read and written as `suite.json`, and its
//! renderings. Where one report answers for one data set, this answers over many.
//!
//! It reads finished numbers; means, intervals and tests over data sets are made by the caller.

mod markdown;
mod page;

use serde::{Deserialize, Serialize};

use crate::error::ReportError;
use crate::model::{Comparison, Mark, Metric, PartLoss};
use crate::verdict::Verdict;

pub use markdown::suite_to_markdown;
pub use page::suite_to_html;

/// The version of the JSON layout of a suite.
pub const SUITE_SCHEMA_VERSION: u32 = 2;

/// All pipelines of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteReport {
    /// [`SUITE_SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// Name of the folder.
    pub name: String,
    /// What was changed in every pipeline, such as `train.epochs=10`, or `quick`.
    pub changed: Vec<String>,
    /// One for each pipeline that finished, in the order of their files.
    pub entries: Vec<SuiteEntry>,
    /// Pipelines that failed.
    pub failures: Vec<SuiteFailure>,
    /// What the best autoencoder features gain on each data set.
    pub gains: Vec<SuiteGain>,
    /// The gains together, for each downstream model.
    pub mean_gains: Vec<MeanGain>,
    /// The methods ranked over the data sets that all of them were measured on.
    pub ranks: Option<SuiteRanks>,
}

/// One pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteEntry {
    /// Name of its file.
    pub file: String,
    /// Name of the pipeline.
    pub name: String,
    /// Name of the run directory.
    pub run: String,
    /// Name of the data set.
    pub dataset: String,
    /// Rows to learn from and rows to judge on.
    pub rows: [usize; 2],
    /// Columns after preprocessing.
    pub n_features: usize,
    /// Classes; 0 for a regression.
    pub n_classes: usize,
    /// Key of the autoencoder, such as `denoising`.
    pub kind: String,
    /// One line: the layers and what is special.
    pub description: String,
    /// Trained numbers.
    pub n_parameters: usize,
    /// Runs: repeats, times folds.
    pub repeats: usize,
    /// What the scores mean.
    pub metric: Metric,
    /// The answer.
    pub verdict: Verdict,
    /// What the run says about why, one sentence each.
    pub findings: Vec<String>,
    /// Summed squared error of a test sample that came back from the autoencoder, mean over runs.
    #[serde(default)]
    pub reconstruction_error: Option<f64>,
    /// The autoencoder's loss by part, and what else it knows of itself; mean over the runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<PartLoss>,
    /// Every feature set with every model, all labels.
    pub results: Vec<SuiteRow>,
}

/// One feature set with one downstream model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteRow {
    /// Feature set.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// Mean test score; `None` where it wasn't measured.
    pub mean: Option<f64>,
    /// Ends of its 95 % interval.
    pub interval: Option<[f64; 2]>,
    /// The comparison with raw.
    pub against_raw: Option<Comparison>,
    /// Mean score on validation, where the model makes a choice by one.
    pub validation_score: Option<f64>,
}

/// A pipeline that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteFailure {
    /// Name of its file.
    pub file: String,
    /// What it said.
    pub error: String,
}

/// What the autoencoder's features gain on one data set with one model. Which features are meant is
/// chosen on validation, not on test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteGain {
    /// Data set.
    pub dataset: String,
    /// File of the pipeline that was chosen.
    pub file: String,
    /// Feature set that was chosen.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// Test score on raw features.
    pub raw: f64,
    /// Test score on the chosen ones.
    pub with: f64,
    /// The gain relative to raw, so that positive is better: 0.02 for 2 %.
    pub relative: f64,
    /// What the paired test of that pipeline says.
    pub mark: Option<Mark>,
}

/// The relative gains over the data sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanGain {
    /// Downstream model: scores of classes and errors of numbers aren't put into one mean.
    pub model: String,
    /// Their mean.
    pub mean: f64,
    /// Ends of its 95 % interval, Student's t over the data sets.
    pub interval: Option<[f64; 2]>,
    /// Data sets.
    pub n: usize,
    /// Data sets with a gain and with a loss.
    pub up_down: [usize; 2],
    /// p of Wilcoxon's signed-rank test over the data sets.
    pub wilcoxon_p: f64,
}

/// Methods ranked over data sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteRanks {
    /// Data sets on which all methods were measured.
    pub n_sets: usize,
    /// Methods with their mean rank, 1 is best, the best first.
    pub methods: Vec<(String, f64)>,
    /// p of Friedman's test, and the same after Iman and Davenport.
    pub friedman_p: [f64; 2],
    /// Mean ranks that differ by less can't be told apart (Nemenyi, 5 %).
    pub critical_difference: f64,
}

/// What a suite cost: kept apart, since it is never the same twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteCosts {
    /// Wall-clock seconds of this call.
    pub total_seconds: f64,
    /// Pipelines at a time.
    pub jobs: usize,
    /// One for each entry, in the same order.
    pub entries: Vec<SuiteCost>,
}

/// What one pipeline cost when its stages ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteCost {
    /// Name of its file.
    pub file: String,
    /// Wall-clock seconds of the run that made it.
    pub seconds: f64,
    /// Seconds of the fastest epoch of all runs, validation included: the one that other work on
    /// the machine disturbed least.
    pub seconds_per_epoch: Option<f64>,
    /// Seconds of all downstream fits.
    pub fit_seconds: f64,
}

impl SuiteReport {
    /// The text of `suite.json`: the same bytes for the same results.
    ///
    /// # Errors
    /// [`ReportError::Json`] if it can't be written, which no suite brings about.
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Reads what [`SuiteReport::to_json`] wrote.
    ///
    /// # Errors
    /// [`ReportError::Json`] for anything that is no suite.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        Ok(serde_json::from_str(text)?)
    }
}

/// Downstream models that are linear in the features: one of them is a linear probe.
const LINEAR_MODELS: [&str; 4] = ["logistic_regression", "linear_svm", "ridge", "lasso"];

/// The autoencoders side by side: the head of the table and a row for each pipeline. Its probe is
/// the first linear downstream model on the autoencoder's features, or the first where none is.
pub(crate) fn autoencoder_table(
    report: &SuiteReport,
    costs: Option<&SuiteCosts>,
) -> (Vec<&'static str>, Vec<Vec<String>>) {
    use crate::words::{self, MISSING};
    let row = |entry: &SuiteEntry| {
        let on_features =
            || entry.results.iter().filter(|row| row.feature_set == crate::model::AUTOENCODER);
        let probe = on_features()
            .find(|row| LINEAR_MODELS.contains(&row.model.as_str()))
            .or_else(|| on_features().next());
        let cost = costs.and_then(|costs| costs.entries.iter().find(|c| c.file == entry.file));
        let seconds = cost.and_then(|cost| cost.seconds_per_epoch);
        let shown = |value: f64| entry.metric.value(value);
        let score = probe.and_then(|row| row.mean).map_or_else(|| MISSING.to_owned(), shown);
        let interval = probe.and_then(|row| row.interval).and_then(|[low, high]| {
            let [low, high] = entry.metric.bare_interval(Some(low), Some(high))?;
            Some(format!("{low} to {high}"))
        });
        let others = entry.losses.iter().filter(|part| part.name != "reconstruction");
        let others: Vec<String> = others
            .map(|part| format!("{} {}", words::spaced(&part.name), words::significant(part.test)))
            .collect();
        vec![
            entry.name.clone(),
            entry.description.clone(),
            words::grouped(entry.n_parameters as u64),
            seconds.map_or_else(|| MISSING.to_owned(), words::significant),
            entry.reconstruction_error.map_or_else(|| MISSING.to_owned(), words::significant),
            probe.map_or_else(String::new, |row| words::model(&row.model)),
            entry.metric.heading(),
            score,
            interval.unwrap_or_default(),
            entry.repeats.to_string(),
            others.join(", "),
        ]
    };
    let head = vec![
        "pipeline",
        "autoencoder",
        "trained numbers",
        "seconds per epoch",
        "reconstruction error",
        "probe",
        "measured",
        "score",
        "95 % interval",
        "runs",
        "of its own",
    ];
    (head, report.entries.iter().map(row).collect())
}

/// What the columns of [`autoencoder_table`] are, in one sentence.
pub(crate) const AUTOENCODER_TABLE_NOTE: &str = "Seconds are those of the fastest epoch, validation included; the reconstruction error is the \
     summed squared error of a test sample; the probe is the first linear downstream model on the \
     features, or the first where none is linear; the last column has parts of the loss on the \
     test part, in the units in which they are added, and what else the autoencoder knows of \
     itself.";

/// The gains in one sentence.
pub(crate) fn gain_sentence(report: &SuiteReport) -> String {
    use crate::words;
    if report.mean_gains.is_empty() {
        return "No data set has both raw and autoencoder features under the first model.".into();
    }
    let per_cent = |share: f64| format!("{} %", words::signed(100.0 * share, 2));
    let of_model = |gain: &MeanGain| {
        let interval = match gain.interval {
            Some([low, high]) => {
                format!(" (95 % interval {} to {})", per_cent(low), per_cent(high))
            }
            None => String::new(),
        };
        format!(
            "by {}{interval} with {}, mean over {}: better on {}, worse on {}; Wilcoxon {}",
            per_cent(gain.mean),
            gain.model.replace('_', " "),
            words::counted(gain.n, "data set"),
            gain.up_down[0],
            gain.up_down[1],
            words::p_value(gain.wilcoxon_p),
        )
    };
    let gains: Vec<String> = report.mean_gains.iter().map(of_model).collect();
    format!(
        "The best autoencoder features, chosen on validation, change the test score relative to \
         raw {}.",
        gains.join("; ")
    )
}

/// The ranks in one sentence.
pub(crate) fn rank_sentence(ranks: &SuiteRanks) -> String {
    use crate::words;
    format!(
        "Mean ranks over {} (1 is best); Friedman {}, after Iman and Davenport {}; methods whose \
         ranks differ by less than {} can't be told apart (Nemenyi, 5 %).",
        words::counted(ranks.n_sets, "data set"),
        words::p_value(ranks.friedman_p[0]),
        words::p_value(ranks.friedman_p[1]),
        words::number(ranks.critical_difference, 2),
    )
}
