//! The classifiers as a pipeline file names them. A new one is a file, a variant here, and a line
//! in [`EstimatorConfig::examples`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Estimator, GradientBoosting, Knn, LinearSvm, LogisticRegression, Majority, RandomForest,
};

/// A classifier, as in `{ logistic_regression = {} }` or `{ knn = { k = 3 } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EstimatorConfig {
    /// The most frequent class.
    Majority(Majority),
    /// Multinomial logistic regression.
    LogisticRegression(LogisticRegression),
    /// Linear support vector machine, one class against the rest.
    LinearSvm(LinearSvm),
    /// The nearest neighbours' vote.
    Knn(Knn),
    /// Random forest.
    RandomForest(RandomForest),
    /// Gradient-boosted trees.
    GradientBoosting(GradientBoosting),
}

impl EstimatorConfig {
    /// One of each, with its defaults. Contract tests, the reference page and the schema walk it.
    pub fn examples() -> Vec<EstimatorConfig> {
        vec![
            EstimatorConfig::Majority(Majority::default()),
            EstimatorConfig::LogisticRegression(LogisticRegression::default()),
            EstimatorConfig::LinearSvm(LinearSvm::default()),
            EstimatorConfig::Knn(Knn::default()),
            EstimatorConfig::RandomForest(RandomForest::default()),
            EstimatorConfig::GradientBoosting(GradientBoosting::default()),
        ]
    }

    /// Its name in the file and in the report.
    pub fn name(&self) -> &'static str {
        match self {
            EstimatorConfig::Majority(_) => "majority",
            EstimatorConfig::LogisticRegression(_) => LogisticRegression::NAME,
            EstimatorConfig::LinearSvm(_) => LinearSvm::NAME,
            EstimatorConfig::Knn(_) => Knn::NAME,
            EstimatorConfig::RandomForest(_) => RandomForest::NAME,
            EstimatorConfig::GradientBoosting(_) => GradientBoosting::NAME,
        }
    }

    /// Checks the ranges before any work.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            EstimatorConfig::Majority(_) => Ok(()),
            EstimatorConfig::LogisticRegression(config) => config.check(),
            EstimatorConfig::LinearSvm(config) => config.check(),
            EstimatorConfig::Knn(config) => config.check(),
            EstimatorConfig::RandomForest(config) => config.check(),
            EstimatorConfig::GradientBoosting(config) => config.check(),
        }
    }

    /// The classifier, ready to be fitted.
    pub fn build(&self) -> Box<dyn Estimator> {
        match self.clone() {
            EstimatorConfig::Majority(config) => Box::new(config),
            EstimatorConfig::LogisticRegression(config) => Box::new(config),
            EstimatorConfig::LinearSvm(config) => Box::new(config),
            EstimatorConfig::Knn(config) => Box::new(config),
            EstimatorConfig::RandomForest(config) => Box::new(config),
            EstimatorConfig::GradientBoosting(config) => Box::new(config),
        }
    }
}

/// `Err` where `ok` doesn't hold; shared by the configurations' checks.
pub(crate) fn require(
    ok: bool,
    estimator: &'static str,
    field: &'static str,
    value: impl ToString,
    expected: &'static str,
) -> Result<(), Error> {
    if ok {
        return Ok(());
    }
    Err(Error::Config { estimator, field, value: value.to_string(), expected })
}
