//! What can go wrong while training.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model operation failed.
    #[error(transparent)]
    Model(#[from] hourglass_models::Error),
    /// An operation failed, or a checkpoint can't be written or read.
    #[error(transparent)]
    Nn(#[from] hourglass_nn::Error),
    /// candle refused an operation.
    #[error("tensor operation failed")]
    Candle(#[from] candle_core::Error),
    /// A hyperparameter is outside its range.
    #[error("`{key}` is {value}, but must be {range}{}", way_out(key))]
    Config {
        /// Path of the key, relative to `[train]`.
        key: &'static str,
        /// The value found.
        value: String,
        /// The range allowed.
        range: String,
    },
    /// There is nothing to train or to validate on.
    #[error("the {part} part has no rows")]
    Empty {
        /// Which part.
        part: &'static str,
    },
    /// A schedule for a corruption that the trainer doesn't apply.
    #[error(
        "`corruption_strength` is present, but the model has no corruption that training could \
         change\nhint: give the model a `corruption`, or leave `corruption_strength` out"
    )]
    NoCorruption,
    /// Rows that come in chunks can't be read.
    #[error("the training rows can't be read")]
    Rows(#[source] crate::SourceError),
    /// Rows that come in chunks are not as many as they were said to be.
    #[error("{found} training rows came, but there were {expected} before: does the file change?")]
    RowCount {
        /// Rows of the pass that was counted.
        expected: usize,
        /// Rows of this pass.
        found: usize,
    },
    /// The loss is NaN or infinite.
    #[error(
        "the loss became {value} in epoch {epoch}, step {step}; first found in {place}\n\
         hint: {hint}"
    )]
    NotFinite {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Step in the epoch, counted from 1.
        step: usize,
        /// The loss.
        value: f32,
        /// The first tensor that isn't finite.
        place: String,
        /// Likely causes and ways out.
        hint: String,
    },
    /// Ctrl-C.
    #[error("interrupted in epoch {epoch}, after step {step}")]
    Interrupted {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Steps finished in it.
        step: usize,
        /// Where the state was saved, if anywhere.
        checkpoint: Option<PathBuf>,
    },
    /// The telemetry file can't be written.
    #[error("can't write `{}`", path.display())]
    Telemetry {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A checkpoint is from another version or another model.
    #[error("the checkpoint `{}` can't be resumed: {reason}\nhint: delete it, or use `--force`", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// What to write instead of a value outside its range, as a line of its own.
fn way_out(key: &str) -> &'static str {
    match key {
        "epochs" => "\nhint: try `epochs = 20`, with `early_stopping` if that may be too many",
        "batch_size" => "\nhint: leave it out for 128",
        "accumulate" => "\nhint: leave it out for a step after each batch",
        "validate_every_steps" => "\nhint: leave it out to validate after each epoch only",
        "early_stopping.patience" => "\nhint: try `patience = 5`",
        "max_steps" | "max_seconds" | "max_norm" => "\nhint: leave it out for no limit",
        "clip_adaptive" => "\nhint: try `clip_adaptive = 0.05`, or leave it out for no clipping",
        "clip_value" | "clip_norm" => "\nhint: try 1.0, or leave it out for no clipping",
        "weight_average.decay" => "\nhint: 0.999 averages over about the last thousand steps",
        "warmup.epochs" => "\nhint: half an epoch (`epochs = 0.5`) is often enough",
        "corruption_strength.start" | "corruption_strength.end" => {
            "\nhint: it is a share of the model's corruption, which is the strongest"
        }
        "corruption_strength.epochs" => "\nhint: leave `corruption_strength` out for all of it",
        "on_divergence.rollback.factor" => "\nhint: leave it out for a tenth",
        "on_divergence.rollback.at_most" => "\nhint: use `on_divergence = \"stop\"` for none",
        _ => "",
    }
}
