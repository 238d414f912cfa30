//! What can go wrong in an operation or its configuration.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// candle refused an operation.
    #[error("tensor operation failed")]
    Candle(#[from] candle_core::Error),
    /// A hyperparameter is outside its range.
    #[error("`{key}` is {value}, but must be {range}")]
    Hyperparameter {
        /// Path of the key, relative to the section that was checked.
        key: String,
        /// The value found.
        value: String,
        /// The range allowed.
        range: &'static str,
    },
    /// A layer can't take an input of this shape.
    #[error("`{layer}` takes {expected}, but its input is {found:?}")]
    Shape {
        /// The layer, or a parameter of it.
        layer: String,
        /// The shape it takes.
        expected: String,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A batch normalisation was to train on a single value a channel, whose variance is 0.
    #[error(
        "`{layer}` can't normalise a single value\nhint: train on batches of 2 or more; a last, \
         short batch can join the one before"
    )]
    SingleValue {
        /// The layer, or a parameter of it.
        layer: String,
    },
    /// Something for images was asked of samples that are none.
    #[error(
        "`{what}` needs images, but the samples are plain rows\nhint: take a data set of images, or \
         a corruption for columns"
    )]
    NeedsImages {
        /// What was asked for.
        what: &'static str,
    },
    /// The device isn't part of this build.
    #[error(
        "`device` is `{device}`, which this program can't use\nhint: build it with `--features {feature}`, or take \
         `device = \"cpu\"`"
    )]
    DeviceNotBuilt {
        /// Its name.
        device: String,
        /// The feature that brings it.
        feature: &'static str,
    },
    /// The device isn't on this machine, or doesn't answer.
    #[error(
        "`device` is `{device}`, which this machine lacks\nhint: take `device = \"auto\"` or `\"cpu\"`"
    )]
    DeviceNotThere {
        /// Its name.
        device: String,
        /// What candle says.
        source: candle_core::Error,
    },
    /// A saved state doesn't belong to these parameters.
    #[error("the saved state has {found} for `{name}`, but the model needs {expected}")]
    StateMismatch {
        /// The parameter or the field.
        name: String,
        /// What the model needs.
        expected: String,
        /// What the state holds.
        found: String,
    },
    /// A file of tensors can't be written or read.
    #[error("can't {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file of tensors is damaged.
    #[error("`{}` is not a whole safetensors file of f32 tensors: {reason}", path.display())]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// A hyperparameter outside its range.
    pub fn hyperparameter(
        key: impl Into<String>,
        value: impl std::fmt::Display,
        range: &'static str,
    ) -> Self {
        Error::Hyperparameter { key: key.into(), value: value.to_string(), range }
    }
}
