//! The pipeline file as types: one experiment, every table in the words of the crate that reads it.
//!
//! Parsing is in [`crate::file`]; nothing here opens a file.

use hourglass_core::{Seed, Task};
use hourglass_data::{DataConfig, PreprocessConfig, SplitBy, SplitConfig};
use hourglass_downstream::{Calibration, ClassWeight, EstimatorConfig, Metric, Protocol};
use hourglass_features::{FeatureSet, FeaturesConfig};
use hourglass_models::ModelConfig;
use hourglass_schedule::ScheduleConfig;
use hourglass_train::TrainConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file::Breach;
use crate::search::SearchConfig;

/// One experiment: do autoencoder features help a classifier on this data?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Name of the run directory: letters, digits, `-` and `_`.
    pub name: String,
    /// The number that all random numbers come from.
    pub seed: u64,
    /// How often the whole experiment is repeated, each time with another seed; 1 or more.
    /// Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub repeats: usize,
    /// Threads to work with; 1 or more. Default: as many as there are cores. Results do not depend
    /// on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Where the samples come from.
    pub data: DataConfig,
    /// Which rows are chosen on and judged on.
    #[serde(default)]
    pub split: SplitConfig,
    /// How columns are cleaned and scaled.
    #[serde(default)]
    pub preprocess: PreprocessConfig,
    /// The autoencoder.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// Which features are taken from it.
    #[serde(default)]
    pub features: FeaturesConfig,
    /// What the features are judged by.
    pub downstream: DownstreamConfig,
    /// What a sweep varies; `pipeline run` doesn't read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchConfig>,
    /// When a sweep goes on by itself; `pipeline run` doesn't read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
}

/// Which classifiers see which features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DownstreamConfig {
    /// Feature sets to compare. Default: all five.
    #[serde(default = "all_sets")]
    pub compare: Vec<FeatureSet>,
    /// Classifiers; the verdict is about the first.
    pub models: Vec<EstimatorConfig>,
    /// What they are judged by. Default: `accuracy`, or `rmse` where the target is a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Shares of the rows whose labels the models see, each above 0 and at most 1; the autoencoder
    /// is trained on all rows. Default: `[1.0]`.
    #[serde(default = "all_labels")]
    pub label_fraction: Vec<f64>,
    /// Folds of the labelled rows, training and validation, on which each model's hyperparameters
    /// are chosen; 1 chooses them on the validation rows. Default: 5 up to 5,000 labelled rows,
    /// else 1; and 1 where the split is by group or by time, since folds would part what belongs
    /// together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub inner_folds: Option<usize>,
    /// How much a row counts while a classifier is fitted. Default: `none`, all the same.
    #[serde(default)]
    pub class_weight: ClassWeight,
    /// Whether scores are turned into honest probabilities on validation rows. Default: `none`.
    #[serde(default)]
    pub calibration: Calibration,
}

impl DownstreamConfig {
    /// What the models are judged by on a task.
    pub fn metric_for(&self, task: Task) -> Metric {
        self.metric.unwrap_or(match task {
            Task::Classification => Metric::Accuracy,
            Task::Regression => Metric::Rmse,
        })
    }
}

fn one() -> usize {
    1
}

fn all_labels() -> Vec<f64> {
    vec![1.0]
}

fn all_sets() -> Vec<FeatureSet> {
    FeatureSet::ALL.to_vec()
}

impl Pipeline {
    /// How often the whole experiment is run: each repeat once for each fold.
    pub fn n_runs(&self) -> usize {
        self.repeats * self.split.n_folds()
    }

    /// The fold that is the test part in a run, counted from 0.
    pub fn fold(&self, run: usize) -> usize {
        run % self.split.n_folds()
    }

    /// Seed of a run, counted from 0: runs of one repeat differ in their fold.
    pub fn repeat_seed(&self, run: usize) -> Seed {
        let repeat = self.split_seed_parent(run);
        match self.split.n_folds() {
            1 => repeat,
            _ => repeat.child("fold").nth(self.fold(run) as u64),
        }
    }

    /// Seed of a run's split: that of its repeat, so that its folds are those of one shuffle.
    pub fn split_seed(&self, run: usize) -> Seed {
        self.split_seed_parent(run).child("split")
    }

    fn split_seed_parent(&self, run: usize) -> Seed {
        let repeat = run / self.split.n_folds();
        Seed::new(self.seed).child("repeat").nth(repeat as u64)
    }

    /// Inner folds on so many labelled rows; 1 means "on the validation rows".
    pub fn inner_folds(&self, n_labels: usize) -> usize {
        match (self.downstream.inner_folds, self.are_rows_alike()) {
            (Some(folds), _) => folds,
            (None, true) => Protocol::usual_folds(n_labels),
            (None, false) => 1,
        }
    }

    /// Whether any row may be fitted on while any other is predicted.
    fn are_rows_alike(&self) -> bool {
        matches!(self.split.by, SplitBy::Stratified | SplitBy::Random)
    }

    /// What a run is called, such as `repeat 2` or `repeat 1, fold 3`.
    pub fn run_label(&self, run: usize) -> String {
        let n_folds = self.split.n_folds();
        let repeat = run / n_folds + 1;
        match n_folds {
            1 => format!("repeat {repeat}"),
            _ => format!("repeat {repeat}, fold {}", self.fold(run) + 1),
        }
    }

    /// Seed of data that are drawn; all repeats share them.
    pub fn data_seed(&self) -> Seed {
        Seed::new(self.seed).child("data")
    }

    /// The file without the tables that belong to sweeps.
    #[must_use]
    pub(crate) fn without_sweep(self) -> Pipeline {
        Pipeline { search: None, schedule: None, ..self }
    }

    /// The file with every default filled in, as TOML.
    pub fn resolved(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# cannot be written: {error}\n"))
    }

    /// The rules that no single value can break.
    pub(crate) fn check(&self) -> Vec<Breach> {
        let mut found = Found(Vec::new());
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        found.require(!self.name.is_empty() && self.name.chars().all(plain), "name", || {
            format!("`name` is `{}`, but must be letters, digits, `-` and `_`", self.name)
        });
        found.require(self.repeats > 0, "repeats", || "`repeats` must be 1 or more".to_owned());
        found.require(self.threads != Some(0), "threads", || {
            "`threads` must be 1 or more".to_owned()
        });
        found.data(self.data.check());
        found.data(self.split.check(self.data.publishes_test()));
        found.data(self.preprocess.check());
        found.section(&format!("model.{}", self.model.kind()), self.model.check(&self.train.loss));
        found.section("train", self.train.check());
        let downstream = &self.downstream;
        found.require(!downstream.models.is_empty(), "downstream.models", || {
            "`downstream.models` is empty\nhint: try `[{ logistic_regression = {} }]`".to_owned()
        });
        found.require(!downstream.compare.is_empty(), "downstream.compare", || {
            "`downstream.compare` is empty\nhint: try `[\"raw\", \"autoencoder\"]`".to_owned()
        });
        found.require(unique(&downstream.compare), "downstream.compare", || {
            "`downstream.compare` names a feature set twice".to_owned()
        });
        let names: Vec<&str> = downstream.models.iter().map(EstimatorConfig::name).collect();
        found.require(unique(&names), "downstream.models", || {
            "`downstream.models` names a classifier twice".to_owned()
        });
        let fractions = &downstream.label_fraction;
        let is_share = |fraction: &f64| *fraction > 0.0 && *fraction <= 1.0;
        found.require(
            !fractions.is_empty() && fractions.iter().all(is_share) && unique(fractions),
            "downstream.label_fraction",
            || {
                "`downstream.label_fraction` must be shares above 0 and at most 1, each once\n\
                 hint: try `[0.01, 0.1, 1.0]`"
                    .to_owned()
            },
        );
        let key = "downstream.inner_folds";
        found.require(downstream.inner_folds != Some(0), key, || {
            "`downstream.inner_folds` is 0\nhint: 1 chooses on the validation rows".to_owned()
        });
        found.require(
            self.are_rows_alike() || downstream.inner_folds.is_none_or(|folds| folds <= 1),
            key,
            || {
                "`downstream.inner_folds` would part rows that `split.by` keeps together\n\
                 hint: delete it, so that choices are made on the validation rows"
                    .to_owned()
            },
        );
        if downstream.metric.is_some_and(Metric::needs_probabilities)
            && downstream.calibration == Calibration::None
            && let Some(model) = downstream.models.iter().find(|m| !m.gives_probabilities())
        {
            let message = format!(
                "`downstream.metric` needs probabilities, which `{}` doesn't give\n\
                 hint: add `calibration = \"sigmoid\"` to `[downstream]`",
                model.name()
            );
            found.add("downstream.metric", message);
        }
        if let Some(metric) = downstream.metric {
            let fits = |model: &EstimatorConfig| match metric.task() {
                Task::Classification => model.classifier().is_some(),
                Task::Regression => model.regressor().is_some(),
            };
            if let Some(model) = downstream.models.iter().find(|model| !fits(model)) {
                let message = format!(
                    "`{}` can't be judged by `{}`: one is about classes, the other about numbers",
                    model.name(),
                    metric.name()
                );
                found.add("downstream.models", message);
            }
        }
        for model in &downstream.models {
            if let Err(error) = model.check() {
                found.add("downstream.models", error.to_string());
            }
        }
        if let Some(search) = &self.search {
            found.0.extend(search.check());
            let learns = |set: &FeatureSet| set.needs_training();
            found.require(self.split.n_folds() == 1, "search", || {
                "a sweep can't choose under cross-validation, where every row is a test row in \
                 turn\nhint: search on one split, and run the best file with folds: \
                 `pipeline run best.toml --set split.folds=5`"
                    .to_owned()
            });
            let judged = search.objectives().iter().any(|o| o.figure == "downstream_validation");
            found.require(!judged || downstream.compare.iter().any(learns), "search", || {
                "`downstream_validation` needs a feature set of the autoencoder\nhint: put \
                 `\"autoencoder\"` into `downstream.compare`, or choose another `objective`"
                    .to_owned()
            });
        }
        if let Some(schedule) = &self.schedule {
            found.section("schedule", schedule.check());
            found.require(self.search.is_some(), "schedule", || {
                "`[schedule]` says when a sweep goes on, but there is no `[search]`".to_owned()
            });
        }
        found.0
    }
}

fn unique<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))
}

struct Found(Vec<Breach>);

impl Found {
    fn add(&mut self, path: &str, message: String) {
        self.0.push(Breach { path: path.to_owned(), message });
    }

    fn require(&mut self, holds: bool, path: &str, message: impl Fn() -> String) {
        if !holds {
            self.add(path, message());
        }
    }

    /// The errors of the data crate name the whole path.
    fn data(&mut self, result: Result<(), hourglass_data::Error>) {
        let Err(error) = result else { return };
        let path = match &error {
            hourglass_data::Error::Config { field, .. } => field.clone(),
            hourglass_data::Error::UnknownDataset { .. } => "data.catalog.name".to_owned(),
            _ => "data".to_owned(),
        };
        self.add(&path, error.to_string());
    }

    /// Other errors begin with the key, in backticks and relative to the section.
    fn section<E: std::error::Error>(&mut self, section: &str, result: Result<(), E>) {
        let Err(error) = result else { return };
        let message = error.to_string();
        let key = message.split('`').nth(1).unwrap_or_default();
        self.add(&format!("{section}.{key}"), message.clone());
    }
}
