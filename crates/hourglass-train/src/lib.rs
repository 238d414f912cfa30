//! The training loop: shuffled batches, validation, schedules, early stopping with the best
//! weights restored, checkpoints that resume bit for bit, telemetry, and a clear word when the
//! loss stops being a number.
//!
//! It knows no architecture (only [`hourglass_models::Autoencoder`]), no pipeline file, and never
//! prints: what happens goes to [`hourglass_core::Progress`], to the telemetry file and to an
//! [`Observer`], who may end it.
//!
//! ```
//! use hourglass_core::{Matrix, SampleShape, Seed};
//! use hourglass_models::{ModelConfig, Undercomplete, build};
//! use hourglass_nn::{OptimizerConfig, rows_of};
//! use hourglass_train::{FitOptions, TrainConfig, fit};
//! use ndarray::Axis;
//!
//! # fn main() -> hourglass_train::Result<()> {
//! let rows = Matrix::from_shape_fn((60, 5), |(i, j)| (i as f32 * 0.3 + j as f32).sin());
//! let (train, validation) = rows.view().split_at(Axis(0), 50);
//! let model = ModelConfig::Undercomplete(Undercomplete::new(2, None));
//! let model = build(&model, &SampleShape::Vector { len: 5 }, Seed::new(1))?;
//! let config = TrainConfig::new(3, OptimizerConfig::adam(1e-2));
//! let history =
//!     fit(model.as_ref(), train, validation, &config, Seed::new(2), &FitOptions::default())?;
//! assert_eq!(history.epochs.len(), 3);
//! assert_eq!(model.encode(&rows_of(validation)?)?.dims(), [10, 2]);
//! # Ok(())
//! # }
//! ```

mod config;
mod divergence;
mod error;
mod history;
mod hopeless;
mod observer;
mod range_test;

mod checkpoint;
mod fit;
mod telemetry;
mod tensorboard;

pub use config::{Average, CorruptionStrength, EarlyStopping, TrainConfig};
pub use divergence::OnDivergence;
pub use error::Error;
pub use fit::{FitOptions, RowSource, SourceError, fit, fit_stream};
pub use history::{EpochRecord, History, Rollback, Snapshot, Stopped};
pub use hopeless::OnHopeless;
pub use observer::{Answer, Observer, StepRecord, Unobserved};
pub use range_test::{RatePoint, RateRange, RateTest, range_test};
pub use telemetry::{EpochTelemetry, LatentTelemetry, LayerTelemetry, ParameterTelemetry};
pub use tensorboard::EventWriter;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
