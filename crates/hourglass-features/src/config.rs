//! The `[features]` table and the feature sets that are compared.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How features are taken and scaled.
///
/// | field | default | meaning |
/// | :-- | :-- | :-- |
/// | `layers` | `latent` | which activations of the encoder |
/// | `scale` | `standard` | how every feature set is scaled, fitted on the training rows |
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeaturesConfig {
    /// Which activations of the encoder are features. Default: `latent`.
    #[serde(default)]
    pub layers: HiddenLayers,
    /// How every feature set is scaled, fitted on the training rows. Default: `standard`.
    #[serde(default)]
    pub scale: Scale,
}

/// Which activations of the encoder are features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HiddenLayers {
    /// The latent.
    #[default]
    Latent,
    /// Those of every encoder layer, side by side, as in the Porto Seguro winner (Jahrer, 2017).
    AllHidden,
}

/// How features are scaled. A constant column becomes 0, or stays as it is without centring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Not at all.
    None,
    /// Each column to mean 0 and standard deviation 1.
    #[default]
    Standard,
    /// All columns by one number, so that the mean variance of a column is 1: zeros stay zeros,
    /// and rare features stay small.
    Global,
}

/// A set of features that downstream models are trained on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSet {
    /// The prepared columns.
    Raw,
    /// Principal components, as many as the latent is wide (or as there are).
    Pca,
    /// The latent of the same encoder with its random weights, untrained.
    RandomEncoder,
    /// The latent of the trained encoder.
    Autoencoder,
    /// The prepared columns and the latent side by side.
    #[serde(rename = "raw+autoencoder")]
    RawAutoencoder,
}

impl FeatureSet {
    /// Every feature set, in the order of a report.
    pub const ALL: [FeatureSet; 5] = [
        FeatureSet::Raw,
        FeatureSet::Pca,
        FeatureSet::RandomEncoder,
        FeatureSet::Autoencoder,
        FeatureSet::RawAutoencoder,
    ];

    /// Its name in the pipeline file and in reports.
    pub fn name(self) -> &'static str {
        match self {
            FeatureSet::Raw => "raw",
            FeatureSet::Pca => "pca",
            FeatureSet::RandomEncoder => "random_encoder",
            FeatureSet::Autoencoder => "autoencoder",
            FeatureSet::RawAutoencoder => "raw+autoencoder",
        }
    }

    /// Whether it depends on the trained encoder.
    pub fn needs_training(self) -> bool {
        matches!(self, FeatureSet::Autoencoder | FeatureSet::RawAutoencoder)
    }
}
