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
mod backward;
mod buffer;
mod clip;
mod conv;
mod corruption;
mod cross_entropy;
mod dense;
mod device;
mod dropout;
mod error;
mod image_loss;
mod init;
mod lent;
mod loss;
mod maps;
mod max_norm;
mod noise;
mod normalise;
mod optimizer;
mod parameter;
mod penalty;
mod prelu;
mod schedule;
mod scratch;
mod select;
mod simd;
mod storage;
mod tensor_file;
mod units;
mod weight_penalty;

pub use activation::Activation;
pub use average::WeightAverage;
pub use backward::backward;
pub use buffer::Buffer;
pub use clip::{clip_adaptively, clip_by_norm, clip_by_value, global_norm, gradient_norms};
pub use conv::{Conv2d, ConvStack, ConvTranspose2d, Window, reconstruct_from_winners};
pub use corruption::{CleanRows, Corruption};
pub use cross_entropy::group_cross_entropy;
pub use dense::{Chain, Dense, FrozenChain, Link, Select, WeightOrder};
pub use device::{DeviceChoice, device_name};
pub use dropout::Dropout;
pub use error::Error;
pub use image_loss::{edge_loss, ms_ssim, ssim};
pub use init::Init;
pub use loss::Loss;
pub use maps::{max_pool2d, pixel_shuffle, upsample_nearest};
pub use max_norm::limit_unit_norms;
pub use noise::{normal, signs};
pub use normalise::{BatchNorm, LayerNorm};
pub use optimizer::{
    AdagradConfig, AdamConfig, LionConfig, NadamConfig, Optimizer, OptimizerConfig, OptimizerState,
    RadamConfig, RmspropConfig, SgdConfig,
};
pub use parameter::Parameter;
pub use penalty::ActivityPenalty;
pub use prelu::Prelu;
pub use schedule::{Schedule, ScheduleConfig, ScheduleState, Warmup};
pub use select::keep_winners_of_maps;
pub use storage::{gather_rows, rows_of, tensor_from, to_matrix};
pub use tensor_file::{NamedTensor, TensorFile};
pub use units::Units;
pub use weight_penalty::WeightPenalty;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
