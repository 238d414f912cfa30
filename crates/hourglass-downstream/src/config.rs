//! The downstream models as a pipeline file names them. A new one is a file, a variant here, and a
//! line in [`EstimatorConfig::examples`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Error, Estimator, ExtraTrees, GradientBoosting, Knn, Lasso, LinearSvm, LogisticRegression,
    Majority, Mean, Mlp, NaiveBayes, RandomForest, RbfSvm, Regressor, Ridge, Svr,
};

/// A downstream model, as in `{ logistic_regression = {} }` or `{ knn = { k = 3 } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EstimatorConfig {
    /// The most frequent class. Classes only.
    Majority(Majority),
    /// Multinomial logistic regression. Classes only.
    LogisticRegression(LogisticRegression),
    /// Linear support vector machine, one class against the rest. Classes only.
    LinearSvm(LinearSvm),
    /// Support vector machine with the Gaussian kernel. Classes only.
    RbfSvm(RbfSvm),
    /// Gaussian naive Bayes. Classes only.
    NaiveBayes(NaiveBayes),
    /// The nearest neighbours' vote, or their mean.
    Knn(Knn),
    /// Random forest.
    RandomForest(RandomForest),
    /// Extremely randomised trees.
    ExtraTrees(ExtraTrees),
    /// Gradient-boosted trees.
    GradientBoosting(GradientBoosting),
    /// Multilayer perceptron with one hidden layer.
    Mlp(Mlp),
    /// The mean value. Values only.
    Mean(Mean),
    /// Linear regression with an L2 penalty. Values only.
    Ridge(Ridge),
    /// Linear regression with an L1 penalty. Values only.
    Lasso(Lasso),
    /// Support vector regression with the Gaussian kernel. Values only.
    Svr(Svr),
}

impl EstimatorConfig {
    /// One of each, with its defaults. Contract tests, the reference page and the schema walk it.
    pub fn examples() -> Vec<EstimatorConfig> {
        vec![
            EstimatorConfig::Majority(Majority::default()),
            EstimatorConfig::LogisticRegression(LogisticRegression::default()),
            EstimatorConfig::LinearSvm(LinearSvm::default()),
            EstimatorConfig::RbfSvm(RbfSvm::default()),
            EstimatorConfig::NaiveBayes(NaiveBayes::default()),
            EstimatorConfig::Knn(Knn::default()),
            EstimatorConfig::RandomForest(RandomForest::default()),
            EstimatorConfig::ExtraTrees(ExtraTrees::default()),
            EstimatorConfig::GradientBoosting(GradientBoosting::default()),
            EstimatorConfig::Mlp(Mlp::default()),
            EstimatorConfig::Mean(Mean::default()),
            EstimatorConfig::Ridge(Ridge::default()),
            EstimatorConfig::Lasso(Lasso::default()),
            EstimatorConfig::Svr(Svr::default()),
        ]
    }

    /// Its name in the file and in the report.
    pub fn name(&self) -> &'static str {
        match self {
            EstimatorConfig::Majority(_) => "majority",
            EstimatorConfig::LogisticRegression(_) => LogisticRegression::NAME,
            EstimatorConfig::LinearSvm(_) => LinearSvm::NAME,
            EstimatorConfig::RbfSvm(_) => RbfSvm::NAME,
            EstimatorConfig::NaiveBayes(_) => NaiveBayes::NAME,
            EstimatorConfig::Knn(_) => Knn::NAME,
            EstimatorConfig::RandomForest(_) => RandomForest::NAME,
            EstimatorConfig::ExtraTrees(_) => ExtraTrees::NAME,
            EstimatorConfig::GradientBoosting(_) => GradientBoosting::NAME,
            EstimatorConfig::Mlp(_) => Mlp::NAME,
            EstimatorConfig::Mean(_) => "mean",
            EstimatorConfig::Ridge(_) => Ridge::NAME,
            EstimatorConfig::Lasso(_) => Lasso::NAME,
            EstimatorConfig::Svr(_) => Svr::NAME,
        }
    }

    /// Checks the ranges before any work.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            EstimatorConfig::Majority(_) | EstimatorConfig::Mean(_) => Ok(()),
            EstimatorConfig::LogisticRegression(config) => config.check(),
            EstimatorConfig::LinearSvm(config) => config.check(),
            EstimatorConfig::RbfSvm(config) => config.check(),
            EstimatorConfig::NaiveBayes(config) => config.check(),
            EstimatorConfig::Knn(config) => config.check(),
            EstimatorConfig::RandomForest(config) => config.check(),
            EstimatorConfig::ExtraTrees(config) => config.check(),
            EstimatorConfig::GradientBoosting(config) => config.check(),
            EstimatorConfig::Mlp(config) => config.check(),
            EstimatorConfig::Ridge(config) => config.check(),
            EstimatorConfig::Lasso(config) => config.check(),
            EstimatorConfig::Svr(config) => config.check(),
        }
    }

    /// The classifier, ready to be fitted, or `None` where it predicts values only.
    pub fn classifier(&self) -> Option<Box<dyn Estimator>> {
        match self.clone() {
            EstimatorConfig::Majority(config) => Some(Box::new(config)),
            EstimatorConfig::LogisticRegression(config) => Some(Box::new(config)),
            EstimatorConfig::LinearSvm(config) => Some(Box::new(config)),
            EstimatorConfig::RbfSvm(config) => Some(Box::new(config)),
            EstimatorConfig::NaiveBayes(config) => Some(Box::new(config)),
            EstimatorConfig::Knn(config) => Some(Box::new(config)),
            EstimatorConfig::RandomForest(config) => Some(Box::new(config)),
            EstimatorConfig::ExtraTrees(config) => Some(Box::new(config)),
            EstimatorConfig::GradientBoosting(config) => Some(Box::new(config)),
            EstimatorConfig::Mlp(config) => Some(Box::new(config)),
            EstimatorConfig::Mean(_)
            | EstimatorConfig::Ridge(_)
            | EstimatorConfig::Lasso(_)
            | EstimatorConfig::Svr(_) => None,
        }
    }

    /// The regressor, ready to be fitted, or `None` where it predicts classes only.
    pub fn regressor(&self) -> Option<Box<dyn Regressor>> {
        match self.clone() {
            EstimatorConfig::Knn(config) => Some(Box::new(config)),
            EstimatorConfig::RandomForest(config) => Some(Box::new(config)),
            EstimatorConfig::ExtraTrees(config) => Some(Box::new(config)),
            EstimatorConfig::GradientBoosting(config) => Some(Box::new(config)),
            EstimatorConfig::Mlp(config) => Some(Box::new(config)),
            EstimatorConfig::Mean(config) => Some(Box::new(config)),
            EstimatorConfig::Ridge(config) => Some(Box::new(config)),
            EstimatorConfig::Lasso(config) => Some(Box::new(config)),
            EstimatorConfig::Svr(config) => Some(Box::new(config)),
            EstimatorConfig::Majority(_)
            | EstimatorConfig::LogisticRegression(_)
            | EstimatorConfig::LinearSvm(_)
            | EstimatorConfig::RbfSvm(_)
            | EstimatorConfig::NaiveBayes(_) => None,
        }
    }

    /// Whether a classifier of this kind gives probabilities without calibration.
    pub fn gives_probabilities(&self) -> bool {
        !matches!(self, EstimatorConfig::LinearSvm(_) | EstimatorConfig::RbfSvm(_))
    }

    /// What is tried on validation for the hyperparameters that the file leaves open, the usual
    /// values first: at most five, the same for every feature set. Linear models and the lasso try
    /// five penalties by themselves, each from the weights of the one before.
    pub(crate) fn candidates(&self, n_train: usize, n_rows: usize) -> Vec<EstimatorConfig> {
        fn all<T>(found: Vec<T>, of: fn(T) -> EstimatorConfig) -> Vec<EstimatorConfig> {
            found.into_iter().map(of).collect()
        }
        match self {
            EstimatorConfig::RbfSvm(config) => {
                all(config.candidates(n_rows), EstimatorConfig::RbfSvm)
            }
            EstimatorConfig::NaiveBayes(config) => {
                all(config.candidates(), EstimatorConfig::NaiveBayes)
            }
            EstimatorConfig::Knn(config) => all(config.candidates(n_train), EstimatorConfig::Knn),
            EstimatorConfig::RandomForest(config) => {
                all(config.candidates(), EstimatorConfig::RandomForest)
            }
            EstimatorConfig::ExtraTrees(config) => {
                all(config.candidates(), EstimatorConfig::ExtraTrees)
            }
            EstimatorConfig::GradientBoosting(config) => {
                all(config.candidates(), EstimatorConfig::GradientBoosting)
            }
            EstimatorConfig::Mlp(config) => all(config.candidates(), EstimatorConfig::Mlp),
            EstimatorConfig::Svr(config) => all(config.candidates(n_rows), EstimatorConfig::Svr),
            EstimatorConfig::Majority(_)
            | EstimatorConfig::LogisticRegression(_)
            | EstimatorConfig::LinearSvm(_)
            | EstimatorConfig::Mean(_)
            | EstimatorConfig::Ridge(_)
            | EstimatorConfig::Lasso(_) => vec![self.clone()],
        }
    }
}

impl EstimatorConfig {
    /// The same on inner folds with `n_train` of the `n_rows` rows each. Linear models name their
    /// penalties here, so that one is judged on every fold; the lasso's depend on the values
    /// ([`Lasso::candidates`]).
    pub(crate) fn fold_candidates(&self, n_train: usize, n_rows: usize) -> Vec<EstimatorConfig> {
        match self {
            EstimatorConfig::LogisticRegression(config) => config
                .candidates(n_train)
                .into_iter()
                .map(EstimatorConfig::LogisticRegression)
                .collect(),
            EstimatorConfig::LinearSvm(config) => {
                config.candidates(n_train).into_iter().map(EstimatorConfig::LinearSvm).collect()
            }
            EstimatorConfig::Ridge(config) => {
                config.candidates(n_train).into_iter().map(EstimatorConfig::Ridge).collect()
            }
            other => other.candidates(n_train, n_rows),
        }
    }

    /// A candidate as it is fitted while candidates are compared.
    pub(crate) fn hurried(&self) -> EstimatorConfig {
        match self {
            EstimatorConfig::LogisticRegression(config) => {
                EstimatorConfig::LogisticRegression(config.hurried())
            }
            EstimatorConfig::LinearSvm(config) => EstimatorConfig::LinearSvm(config.hurried()),
            other => other.clone(),
        }
    }
}

/// How much a row counts while a classifier is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// As much as any other.
    #[default]
    None,
    /// The more the rarer its class, so that all classes together count the same (scikit-learn's
    /// `class_weight="balanced"`).
    Balanced,
}

impl ClassWeight {
    /// The weight of each class, from the rows fitted on; `None` where all count the same.
    pub fn of(self, classes: &[u32], n_classes: usize) -> Option<Vec<f32>> {
        if self == ClassWeight::None {
            return None;
        }
        let mut counts = vec![0_usize; n_classes];
        classes.iter().for_each(|&class| counts[class as usize] += 1);
        let share = classes.len() as f32 / n_classes as f32;
        // A class without a row weighs nothing anywhere; 1 keeps the weights positive.
        Some(counts.iter().map(|&n| if n > 0 { share / n as f32 } else { 1.0 }).collect())
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
