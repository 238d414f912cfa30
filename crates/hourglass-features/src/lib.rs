//! From samples to features: the latent of a trained encoder, that of an untrained one, PCA of the
//! same width, the raw columns, scaled alike, and the [`Bundle`] that keeps preprocessing and
//! encoder together for new rows.
//!
//! It fits nothing on validation or test rows, and knows no classifier.
//!
//! ```
//! use hourglass_core::{Matrix, SampleShape, Seed};
//! use hourglass_features::{HiddenLayers, Scale, Scaler, encode_all};
//! use hourglass_models::{ModelConfig, Undercomplete, build};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rows = Matrix::from_shape_fn((30, 4), |(i, j)| (i as f32 + j as f32).cos());
//! let config = ModelConfig::Undercomplete(Undercomplete::new(2, None));
//! let model = build(&config, &SampleShape::Vector { len: 4 }, Seed::new(1))?;
//! let mut features = encode_all(model.as_ref(), rows.view(), HiddenLayers::Latent)?;
//! let scaler = Scaler::fit(features.view(), Scale::Standard)?;
//! scaler.transform(features.view_mut())?;
//! assert_eq!(features.dim(), (30, 2));
//! # Ok(())
//! # }
//! ```

mod bundle;
mod config;
mod error;
mod extract;
mod losses;
mod pca;
mod scaler;

pub use bundle::Bundle;
pub use config::{FeatureSet, FeaturesConfig, HiddenLayers, Scale};
pub use error::Error;
pub use extract::{Features, Sources, encode_all, extract, reconstruct_all, squared_error};
pub use losses::mean_losses;
pub use pca::Pca;
pub use scaler::Scaler;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
