//! From samples to features: the latent of a trained encoder, that of an untrained one, PCA of the
//! same width, the raw columns, scaled alike, and the [`Bundle`] that keeps preprocessing and
//! encoder together for new rows.
//!
//! It fits nothing on validation or test rows, and knows no classifier.

mod bundle;
mod config;
mod error;
mod extract;
mod pca;
mod scaler;

pub use bundle::Bundle;
pub use config::{FeatureSet, FeaturesConfig, HiddenLayers, Scale};
pub use error::Error;
pub use extract::{Features, Sources, encode_all, extract, reconstruct_all, squared_error};
pub use pca::Pca;
pub use scaler::Scaler;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
