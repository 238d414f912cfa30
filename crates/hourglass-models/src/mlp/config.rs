//! What the configurations of the fully connected architectures share: their common keys, their
//! checks, and the line that describes them.

use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{Activation, ActivityPenalty, Corruption, Loss};

use super::{Constraint, Layers, Mlp};
use crate::config::Architecture;
use crate::{Autoencoder, Result};

/// An architecture of the fully connected family.
pub(crate) trait MlpArchitecture {
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
            /// One hidden layer, the latent, and the default of every other key that all fully
            /// connected architectures share.
            pub fn new(latent_dim: usize, $($field: $kind,)*) -> Self {
                $name {
                    hidden_dims: Vec::new(),
                    latent_dim,
                    activation: hourglass_nn::Activation::default(),
                    latent_activation: None,
                    output_activation: crate::config::linear(),
                    tied: false,
                    init: None,
                    $($field,)*
                }
            }

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

impl<T: MlpArchitecture> Architecture for T {
    fn latent_dim(&self) -> Option<usize> {
        Some(self.layers().latent_dim)
    }

    fn output_activation(&self) -> Activation {
        self.layers().output_activation
    }

    fn describe(&self, n_features: usize) -> String {
        let layers = self.layers();
        let tied = if layers.tied { ", tied weights" } else { "" };
        format!(
            "{}{}{}{tied}",
            widths(n_features, &layers.hidden_dims, layers.latent_dim),
            constraint_words(self.constraint()),
            corruption_words(layers.corruption),
        )
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        self.layers().check()?;
        self.check_own()
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        self.layers().check()?;
        self.check_own()?;
        Ok(Box::new(Mlp::new(&self.layers(), self.constraint(), shape.n_features(), seed)?))
    }
}

/// `784-1000-784`.
pub(crate) fn widths(n_features: usize, hidden_dims: &[usize], latent_dim: usize) -> String {
    let mut widths = vec![n_features];
    widths.extend(hidden_dims);
    widths.push(latent_dim);
    widths.extend(hidden_dims.iter().rev());
    widths.push(n_features);
    let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
    widths.join("-")
}

/// What is done to the input, with a comma in front; nothing where nothing is done.
pub(crate) fn corruption_words(corruption: Option<Corruption>) -> String {
    match corruption {
        None => String::new(),
        Some(Corruption::Gaussian { std }) => format!(", Gaussian noise {std}"),
        Some(Corruption::Masking { share }) => format!(", masking noise {share}"),
        Some(Corruption::SaltAndPepper { share }) => format!(", salt and pepper {share}"),
    }
}

fn constraint_words(constraint: Constraint) -> String {
    match constraint {
        Constraint::Width => String::new(),
        Constraint::TopK { k, k_encode, .. } => {
            format!(", k = {k}, {k_encode} active for features")
        }
        Constraint::Lifetime { share, .. } => {
            format!(", {:.1} % of a batch for each unit", share * 100.0)
        }
        Constraint::Penalty(ActivityPenalty::L1 { weight }) => {
            format!(", L1 activity penalty {weight}")
        }
        Constraint::Penalty(ActivityPenalty::Kl { weight, target }) => {
            format!(", KL activity penalty {weight} towards {target}")
        }
    }
}
