//! The pieces an autoencoder is made of, on candle: seeded initialisers, parameters that own their
//! gradients, fused operations with the right gradients, losses, corruptions, optimisers and
//! learning-rate schedules.
//!
//! candle's CPU generator can't be seeded, its backward pass fills and sums a zero tensor for every
//! weight, and its optimisers allocate about a dozen temporaries per parameter. So the hot path
//! here is fused: [`Dense`] computes product, bias, activation and selection in one operation and
//! writes weight gradients straight into the buffers of [`Parameter`], and [`Optimizer`] updates
//! weights in place. It knows no architecture and no training loop.
//!
//! All operations give the same bits on any number of threads: work is cut by shape alone.

mod activation;
mod average;
mod buffer;
mod clip;
mod corruption;
mod dense;
mod error;
mod init;
mod loss;
mod max_norm;
mod optimizer;
mod parameter;
mod penalty;
mod schedule;
mod simd;
mod storage;
mod tensor_file;
mod units;
mod weight_penalty;

pub use activation::Activation;
pub use average::WeightAverage;
pub use buffer::Buffer;
pub use clip::{clip_adaptively, clip_by_norm, clip_by_value, global_norm, gradient_norms};
pub use corruption::Corruption;
pub use dense::{Dense, Select, WeightOrder};
pub use error::Error;
pub use init::Init;
pub use loss::Loss;
pub use max_norm::limit_unit_norms;
pub use optimizer::{
    AdagradConfig, AdamConfig, LionConfig, NadamConfig, Optimizer, OptimizerConfig, OptimizerState,
    RadamConfig, RmspropConfig, SgdConfig,
};
pub use parameter::Parameter;
pub use penalty::ActivityPenalty;
pub use schedule::{Schedule, ScheduleConfig, ScheduleState, Warmup};
pub use storage::{rows_of, tensor_from, to_matrix};
pub use tensor_file::{NamedTensor, TensorFile};
pub use units::Units;
pub use weight_penalty::WeightPenalty;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
