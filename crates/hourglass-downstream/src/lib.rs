//! Downstream models, metrics and statistics that say whether features help.
//!
//! Every classifier stands behind one surface: an [`EstimatorConfig`] from the pipeline file makes
//! an [`Estimator`], which fits [`FitData`] into a [`Fitted`] that predicts; every regressor behind
//! its twin, [`Regressor`] on [`ValueData`]. [`fit_classifier`] and [`fit_regressor`] add the
//! protocol: what the file leaves open is chosen among the same few candidates for every feature
//! set, on inner folds of the labelled rows or on validation rows, so that none is favoured.
//!
//! It sees matrices, class indices and numbers. It knows no tensor, no file and no autoencoder, and
//! it doesn't scale features: the caller does.

mod calibrate;
mod config;
#[cfg(test)]
mod contract;
mod error;
mod estimator;
mod extra_trees;
mod few_labels;
mod forest;
mod gradient_boosting;
mod kernel;
mod knn;
mod lasso;
mod linear;
mod linear_svm;
mod logistic_regression;
mod majority;
pub mod metrics;
mod mlp;
mod naive_bayes;
mod random_forest;
mod rbf_svm;
mod regressor;
mod ridge;
mod sparse;
pub mod statistics;
mod svr;
mod trees;
mod tune;

pub use calibrate::Calibration;
pub use config::{ClassWeight, EstimatorConfig};
pub use error::Error;
pub use estimator::{Estimator, FitData, Fitted};
pub use extra_trees::ExtraTrees;
pub use few_labels::{labelled_classes, labelled_values};
pub use gradient_boosting::GradientBoosting;
pub use knn::Knn;
pub use lasso::Lasso;
pub use linear_svm::LinearSvm;
pub use logistic_regression::LogisticRegression;
pub use majority::{Majority, Mean};
pub use metrics::{ClassPredictions, ClassScores, Metric};
pub use mlp::Mlp;
pub use naive_bayes::NaiveBayes;
pub use random_forest::RandomForest;
pub use rbf_svm::RbfSvm;
pub use regressor::{FittedRegressor, Regressor, ValueData};
pub use ridge::Ridge;
pub use statistics::{Comparison, Estimate, Mark};
pub use svr::Svr;
pub use trees::growth::MaxFeatures;
pub use tune::{Protocol, fit_classifier, fit_regressor};
