//! The `[model]` table: one variant, one architecture.

use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{Activation, ActivityPenalty, Corruption, Loss};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mlp::{Constraint, Layers, Mlp};
use crate::{
    Anneal, Autoencoder, Denoising, Error, KSparse, Result, Sparse, Undercomplete, WinnerTakeAll,
};

/// Which architecture, with its hyperparameters: `[model.<kind>]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelConfig {
    /// A latent narrower than the data.
    Undercomplete(Undercomplete),
    /// Reconstructs the clean sample from a corrupted one.
    Denoising(Denoising),
    /// Only the `k` largest latent activations of a sample are kept.
    KSparse(KSparse),
    /// A penalty on the activity of the latent.
    Sparse(Sparse),
    /// Each latent unit is active for a small share of the batch only.
    WinnerTakeAll(WinnerTakeAll),
}

/// An architecture of the fully connected family.
pub(crate) trait Architecture {
    /// Its layers.
    fn layers(&self) -> Layers;
    /// What keeps its latent from copying.
    fn constraint(&self) -> Constraint;
    /// Its own cross-field rules.
    fn check_own(&self) -> Result<()>;
}

/// Declares a configuration with the fields that every fully connected architecture has.
macro_rules! mlp_config {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[derive(schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Widths of the encoder's layers between the input and the latent; the decoder
            /// mirrors them. Default: none.
            #[serde(default)]
            pub hidden_dims: Vec<usize>,
            /// Width of the latent; 1 or more.
            pub latent_dim: usize,
            /// Activation of the hidden layers. Default: `relu`.
            #[serde(default)]
            pub activation: hourglass_nn::Activation,
            /// Activation of the latent; its default depends on the architecture.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub latent_activation: Option<hourglass_nn::Activation>,
            /// Activation of the output; it must reach the range of the prepared data. Default:
            /// `linear`.
            #[serde(default = "crate::config::linear")]
            pub output_activation: hourglass_nn::Activation,
            /// Whether the decoder uses the encoder's weights, transposed. Default: `false`.
            #[serde(default)]
            pub tied: bool,
            /// How weights are drawn. Default: what suits the activation.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub init: Option<hourglass_nn::Init>,
            $($(#[$field_meta])* pub $field: $kind,)*
        }

        impl $name {
            fn shared_layers(
                &self,
                latent_activation: hourglass_nn::Activation,
                corruption: Option<hourglass_nn::Corruption>,
            ) -> crate::mlp::Layers {
                crate::mlp::Layers {
                    hidden_dims: self.hidden_dims.clone(),
                    latent_dim: self.latent_dim,
                    activation: self.activation,
                    latent_activation: self.latent_activation.unwrap_or(latent_activation),
                    output_activation: self.output_activation,
                    tied: self.tied,
                    init: self.init,
                    corruption,
                }
            }
        }
    };
}
pub(crate) use mlp_config;

pub(crate) fn linear() -> Activation {
    Activation::Linear
}

impl ModelConfig {
    /// One small, valid configuration of every architecture, for contract tests and the docs.
    pub fn examples() -> Vec<ModelConfig> {
        let undercomplete = Undercomplete {
            hidden_dims: vec![24],
            latent_dim: 6,
            activation: Activation::Elu,
            latent_activation: None,
            output_activation: Activation::Linear,
            tied: false,
            init: None,
            corruption: None,
        };
        let Undercomplete { activation, output_activation, tied, init, .. } = undercomplete.clone();
        vec![
            ModelConfig::Undercomplete(Undercomplete { tied: true, ..undercomplete.clone() }),
            ModelConfig::Undercomplete(undercomplete),
            ModelConfig::Denoising(Denoising {
                hidden_dims: vec![],
                latent_dim: 40,
                activation,
                latent_activation: None,
                output_activation,
                tied,
                init,
                corruption: Corruption::Masking { share: 0.1 },
            }),
            ModelConfig::KSparse(KSparse {
                hidden_dims: vec![],
                latent_dim: 40,
                activation,
                latent_activation: None,
                output_activation,
                tied,
                init,
                k: 8,
                k_encode: None,
                anneal: Some(Anneal { k: 20, epochs: 3 }),
                corruption: None,
            }),
            ModelConfig::Sparse(Sparse {
                hidden_dims: vec![],
                latent_dim: 30,
                activation,
                latent_activation: None,
                output_activation,
                tied,
                init,
                penalty: ActivityPenalty::L1 { weight: 1e-4 },
                corruption: None,
            }),
            ModelConfig::Sparse(Sparse {
                hidden_dims: vec![],
                latent_dim: 30,
                activation,
                latent_activation: Some(Activation::Sigmoid),
                output_activation,
                tied,
                init,
                penalty: ActivityPenalty::Kl { weight: 1e-4, target: 0.2 },
                corruption: None,
            }),
            ModelConfig::WinnerTakeAll(WinnerTakeAll {
                hidden_dims: vec![],
                latent_dim: 60,
                activation,
                latent_activation: None,
                output_activation,
                tied,
                init,
                share: 0.5,
                rectify_after: true,
                corruption: None,
            }),
        ]
    }

    /// Its name in the pipeline file.
    pub fn kind(&self) -> &'static str {
        match self {
            ModelConfig::Undercomplete(_) => "undercomplete",
            ModelConfig::Denoising(_) => "denoising",
            ModelConfig::KSparse(_) => "k_sparse",
            ModelConfig::Sparse(_) => "sparse",
            ModelConfig::WinnerTakeAll(_) => "winner_take_all",
        }
    }

    /// Width of its latent.
    pub fn latent_dim(&self) -> usize {
        self.architecture().layers().latent_dim
    }

    /// Activation of its output.
    pub fn output_activation(&self) -> Activation {
        self.architecture().layers().output_activation
    }

    /// One line for people: `784-1000-784, k = 25`.
    pub fn describe(&self, n_features: usize) -> String {
        let layers = self.architecture().layers();
        let mut widths = vec![n_features];
        widths.extend(&layers.hidden_dims);
        widths.push(layers.latent_dim);
        widths.extend(layers.hidden_dims.iter().rev());
        widths.push(n_features);
        let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
        let mut line = format!("{} {}", self.kind(), widths.join("-"));
        match self.architecture().constraint() {
            Constraint::Width => {}
            Constraint::TopK { k, k_encode, .. } => {
                line += &format!(", k = {k}, {k_encode} active for features");
            }
            Constraint::Lifetime { share, .. } => {
                line += &format!(", {:.1} % of a batch for each unit", share * 100.0);
            }
            Constraint::Penalty(ActivityPenalty::L1 { weight }) => {
                line += &format!(", L1 activity penalty {weight}");
            }
            Constraint::Penalty(ActivityPenalty::Kl { weight, target }) => {
                line += &format!(", KL activity penalty {weight} towards {target}");
            }
        }
        match layers.corruption {
            None => {}
            Some(Corruption::Gaussian { std }) => line += &format!(", Gaussian noise {std}"),
            Some(Corruption::Masking { share }) => line += &format!(", masking noise {share}"),
            Some(Corruption::SaltAndPepper { share }) => {
                line += &format!(", salt and pepper {share}");
            }
        }
        line + if layers.tied { ", tied weights" } else { "" }
    }

    /// Checks the hyperparameters, alone and against the loss.
    ///
    /// # Errors
    /// [`Error::Config`], with the path of the key below `[model.<kind>]`.
    pub fn check(&self, loss: Loss) -> Result<()> {
        let architecture = self.architecture();
        let layers = architecture.layers();
        layers.check()?;
        if loss == Loss::Bce && layers.output_activation != Activation::Sigmoid {
            let found = format!("{:?}", layers.output_activation).to_lowercase();
            return Err(Error::config("output_activation", found, "`sigmoid` for the loss `bce`"));
        }
        architecture.check_own()
    }

    fn architecture(&self) -> &dyn Architecture {
        match self {
            ModelConfig::Undercomplete(config) => config,
            ModelConfig::Denoising(config) => config,
            ModelConfig::KSparse(config) => config,
            ModelConfig::Sparse(config) => config,
            ModelConfig::WinnerTakeAll(config) => config,
        }
    }
}

/// Builds a model with freshly drawn weights.
///
/// # Errors
/// If a hyperparameter doesn't fit, or candle refuses a tensor.
pub fn build(
    config: &ModelConfig,
    shape: &SampleShape,
    seed: Seed,
) -> Result<Box<dyn Autoencoder>> {
    let architecture = config.architecture();
    architecture.check_own()?;
    let layers = architecture.layers();
    layers.check()?;
    let constraint = architecture.constraint();
    Ok(Box::new(Mlp::new(&layers, constraint, shape.n_features(), seed.child("weights"))?))
}
