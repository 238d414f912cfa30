//! The training loop: shuffled batches, validation, schedules, early stopping with the best
//! weights restored, checkpoints that resume bit for bit, telemetry, and a clear word when the
//! loss stops being a number.
//!
//! It knows no architecture (only [`hourglass_models::Autoencoder`]), no pipeline file, and never
//! prints: what happens goes to [`hourglass_core::Progress`] and to the telemetry file.

mod checkpoint;
mod config;
mod error;
mod fit;
mod history;
mod telemetry;

pub use config::{EarlyStopping, TrainConfig};
pub use error::Error;
pub use fit::{FitOptions, fit};
pub use history::{EpochRecord, History, Snapshot, Stopped};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
