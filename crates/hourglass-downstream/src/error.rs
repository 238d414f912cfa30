//! What can go wrong downstream.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of a configuration is outside its range.
    #[error("`{estimator}.{field}` is {value}, but must be {expected}")]
    Config {
        /// Name of the estimator.
        estimator: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The value given.
        value: String,
        /// The range.
        expected: &'static str,
    },
    /// The parts of [`crate::FitData`] don't fit together.
    #[error("`{what}` has {found}, but {expected} expected")]
    Shape {
        /// Which part.
        what: &'static str,
        /// What was found.
        found: String,
        /// What was expected, with its verb ("54000 rows are").
        expected: String,
    },
    /// There are fewer training rows than classes.
    #[error(
        "{n_rows} training rows for {n_classes} classes\n\
         hint: at least one row a class is needed; lower the validation or test share"
    )]
    TooFewRows {
        /// Training rows.
        n_rows: usize,
        /// Classes.
        n_classes: usize,
    },
    /// Every training row is of the same class.
    #[error(
        "all {n_rows} training rows are of class {class}\n\
         hint: a classifier needs at least two classes; look at the target column"
    )]
    SingleClass {
        /// Training rows.
        n_rows: usize,
        /// The only class.
        class: u32,
    },
    /// A class index is too large.
    #[error("row {row} is of class {class}, but there are {n_classes} classes")]
    UnknownClass {
        /// Row, from 0.
        row: usize,
        /// The class index found.
        class: u32,
        /// Number of classes.
        n_classes: usize,
    },
    /// A feature isn't a finite number.
    #[error(
        "the feature in row {row}, column {column} is {value}\n\
         hint: fill or drop missing values before the downstream models"
    )]
    NotFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// Rows to predict have another width than the rows fitted on.
    #[error("{found} columns to predict from, but the model was fitted on {expected}")]
    Width {
        /// Columns fitted on.
        expected: usize,
        /// Columns given.
        found: usize,
    },
    /// A choice is to be made on validation rows, but there is none.
    #[error("`{estimator}` chooses `{field}` on validation rows, but there is none\nhint: {hint}")]
    NoValidation {
        /// Name of the estimator.
        estimator: &'static str,
        /// What is chosen.
        field: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A value to predict isn't a finite number.
    #[error(
        "the target in row {row} is {value}\n\
         hint: drop rows whose target is missing, or fill it in the source"
    )]
    TargetNotFinite {
        /// Row, from 0.
        row: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A model is asked for what it doesn't predict.
    #[error(
        "`{estimator}` predicts {predicts}, but the target is {wanted}\n\
         hint: {}",
        way_on(wanted)
    )]
    Task {
        /// Name of the model.
        estimator: &'static str,
        /// What it predicts.
        predicts: &'static str,
        /// What the target is.
        wanted: &'static str,
    },
    /// The arguments of a statistic don't fit together.
    #[error("{statistic}: {reason}")]
    Statistic {
        /// Which statistic.
        statistic: &'static str,
        /// What is wrong, with the values.
        reason: String,
    },
    /// Someone asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Models that predict what is wanted.
fn way_on(wanted: &str) -> &'static str {
    if wanted == "values" {
        "take `ridge`, `lasso`, `svr`, `knn`, `random_forest`, `gradient_boosting` or `mlp`"
    } else {
        "take `logistic_regression`, `linear_svm`, `knn`, `random_forest` or `gradient_boosting`"
    }
}
