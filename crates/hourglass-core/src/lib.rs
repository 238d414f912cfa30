//! The words that every Hourglass crate shares: [`Matrix`], [`Seed`], [`Samples`], [`Part`],
//! [`Progress`], and the matrix products of [`linalg`].
//!
//! It knows nothing of files, tensors, models or the terminal, and depends on no other crate of
//! ours.

mod columns;
pub mod linalg;
mod progress;
mod samples;
mod seed;
mod statistics;

pub use columns::{ColumnGroup, ColumnKind, Task};
pub use progress::{Interrupt, Progress, Silent};
pub use samples::{Part, Partition, SampleShape, Samples, Targets};
pub use seed::{Rng, Seed};
pub use statistics::ColumnMoments;

/// A dense matrix, `(n_samples, n_features)`, row-major, one sample a row.
pub type Matrix = ndarray::Array2<f32>;

/// A borrowed [`Matrix`] or a part of one.
pub type MatrixView<'a> = ndarray::ArrayView2<'a, f32>;
