//! The zoo: one architecture, one file, each with its paper.
//!
//! A model is described by a [`ModelConfig`] and made by [`build`] for a sample shape and a seed.
//! What the trainer and the feature extractor need of it is the trait [`Autoencoder`]. It knows no
//! training loop, no file and no data set.
//!
//! ```
//! use hourglass_core::{Matrix, SampleShape, Seed};
//! use hourglass_models::{ModelConfig, Undercomplete, build};
//! use hourglass_nn::rows_of;
//!
//! # fn main() -> hourglass_models::Result<()> {
//! let config = ModelConfig::Undercomplete(Undercomplete::new(2, None));
//! let model = build(&config, &SampleShape::Vector { len: 3 }, Seed::new(1))?;
//! let rows = Matrix::from_shape_fn((2, 3), |(i, j)| (i + j) as f32);
//! assert_eq!(model.encode(&rows_of(rows.view())?)?.dims(), [2, 2]);
//! # Ok(())
//! # }
//! ```
//!
//! Adding an architecture: one file with its configuration, its `examples` and `impl Architecture`
//! (`impl MlpArchitecture` for a fully connected one), and one line in `models!` of `config.rs`.
//! The contract tests walk the examples.

mod autoencoder;
mod body;
mod config;
mod contractive;
mod convolutional;
mod convolutional_winner_take_all;
mod decoder;
mod deep_stack;
mod denoising;
mod embedding;
mod error;
mod head;
mod image_loss;
mod k_sparse;
mod maps;
mod masked_image;
mod masked_table;
mod mlp;
mod perceptual;
mod rae_l2;
mod sparse;
mod stacked_denoising;
mod transformer;
mod undercomplete;
mod variational;
mod vq_vae;
mod wasserstein;
mod winner_take_all;

pub use autoencoder::{Autoencoder, Context, Fact, LossParts, Phase, RowEncoder};
pub use body::Normalisation;
pub use config::{ModelConfig, build};
pub use contractive::Contractive;
pub use convolutional::{Convolutional, Upsampling};
pub use convolutional_winner_take_all::ConvolutionalWinnerTakeAll;
pub use deep_stack::DeepStack;
pub use denoising::Denoising;
pub use error::Error;
pub use head::ColumnWeights;
pub use image_loss::ImageLoss;
pub use k_sparse::{Anneal, KSparse};
pub use masked_image::MaskedImage;
pub use masked_table::MaskedTable;
pub use perceptual::Perceptual;
pub use rae_l2::RaeL2;
pub use sparse::Sparse;
pub use stacked_denoising::StackedDenoising;
pub use undercomplete::Undercomplete;
pub use variational::{KlWarmUp, Variational};
pub use vq_vae::VqVae;
pub use wasserstein::Wasserstein;
pub use winner_take_all::WinnerTakeAll;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod contract;
