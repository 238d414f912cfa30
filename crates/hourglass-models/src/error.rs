//! What can go wrong when a model is described, built or run.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation failed.
    #[error(transparent)]
    Nn(#[from] hourglass_nn::Error),
    /// candle refused an operation.
    #[error("tensor operation failed")]
    Candle(#[from] candle_core::Error),
    /// A hyperparameter doesn't fit.
    #[error("`{key}` is {value}, but must be {expected}")]
    Config {
        /// Path of the key, relative to `[model.<kind>]`.
        key: &'static str,
        /// The value found.
        value: String,
        /// What is allowed, and why.
        expected: String,
    },
    /// The input has another width than the model.
    #[error("the input has {found} columns, but the model was built for {expected}")]
    InputWidth {
        /// Columns that the model takes.
        expected: usize,
        /// Columns that came.
        found: usize,
    },
}

impl Error {
    /// A hyperparameter that doesn't fit.
    pub(crate) fn config(
        key: &'static str,
        value: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Error::Config { key, value: value.to_string(), expected: expected.into() }
    }
}
