//! The training loop: shuffled batches, validation, schedules, early stopping with the best
//! weights restored, checkpoints that resume bit for bit, telemetry, and a clear word when the
//! loss stops being a number.
//!
//! It knows no architecture (only [`hourglass_models::Autoencoder`]), no pipeline file, and never
//! prints: what happens goes to [`hourglass_core::Progress`], to the telemetry file and to an
//! [`Observer`], who may end it.

mod checkpoint;
mod config;
mod error;
mod fit;
mod history;
mod observer;
mod telemetry;

pub use config::{EarlyStopping, TrainConfig};
pub use error::Error;
pub use fit::{FitOptions, fit};
pub use history::{EpochRecord, History, Snapshot, Stopped};
pub use observer::{Answer, Observer, StepRecord, Unobserved};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
