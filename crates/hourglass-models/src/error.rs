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
    /// The prepared data reach where the output or the loss can't follow.
    #[error(
        "the prepared data reach from {low} to {high}, but {limit} from {from} to {to}\nhint: \
         another `output_activation` (`linear` reaches everything), another loss, or another \
         `preprocess.numeric`"
    )]
    OutOfReach {
        /// What stops short of the data.
        limit: String,
        /// Lowest value that it reaches.
        from: f32,
        /// Highest value that it reaches.
        to: f32,
        /// Lowest prepared value.
        low: f32,
        /// Highest prepared value.
        high: f32,
    },
    /// The samples have a shape that the architecture can't take.
    #[error("`{kind}` needs {expected}, but the samples are {found}\nhint: {hint}")]
    Shape {
        /// The architecture.
        kind: &'static str,
        /// What it takes.
        expected: String,
        /// What the samples are.
        found: String,
        /// What may help.
        hint: String,
    },
    /// The loss of the file can't judge the numeric columns of a mixed table.
    #[error(
        "the loss `{loss}` can't judge numeric columns beside categories\nhint: use `mse`, `l1` or \
         `huber`; binary columns and categories are judged by cross-entropy anyway"
    )]
    TableLoss {
        /// The loss.
        loss: String,
    },
    /// A perceptual loss has nothing to look through.
    #[error(
        "`perceptual` is present, but the model was given no encoder\nhint: call `look_through` with \
         a trained one before training"
    )]
    NoLens,
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
