//! Classifiers, metrics and paired statistics that say whether features help.
//!
//! Every estimator stands behind one surface: an [`EstimatorConfig`] from the pipeline file builds
//! an [`Estimator`], which fits [`FitData`] into a [`Fitted`] that predicts. Choices (the
//! regularisation of the linear models, the number of boosting rounds) are made on validation rows,
//! by the same rule for every feature set, so that none is favoured.
//!
//! It sees matrices and class indices. It knows no tensor, no file and no autoencoder, and it
//! doesn't scale features: the caller does.

mod config;
#[cfg(test)]
mod contract;
mod error;
mod estimator;
mod gradient_boosting;
mod knn;
mod linear;
mod linear_svm;
mod logistic_regression;
mod majority;
pub mod metrics;
mod random_forest;
mod sparse;
pub mod statistics;
mod trees;

pub use config::EstimatorConfig;
pub use error::Error;
pub use estimator::{Estimator, FitData, Fitted};
pub use gradient_boosting::GradientBoosting;
pub use knn::Knn;
pub use linear_svm::LinearSvm;
pub use logistic_regression::LogisticRegression;
pub use majority::Majority;
pub use metrics::{ClassScores, Metric};
pub use random_forest::{MaxFeatures, RandomForest};
pub use statistics::{Comparison, Estimate, Mark};
