//! What the configurations of the architectures with one latent layer share: their keys, their
//! checks, and the line that describes them.

use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{Activation, ActivityPenalty, Loss};

use super::{Constraint, Layers, Mlp};
use crate::body::corruption_words;
use crate::config::Architecture;
use crate::{Autoencoder, Error, Perceptual, Result};

/// An architecture of the fully connected family with one latent layer.
pub(crate) trait MlpArchitecture {
    /// Its layers.
    fn layers(&self) -> Layers;
    /// What keeps its latent from copying.
    fn constraint(&self) -> Constraint;
    /// Its own cross-field rules.
    fn check_own(&self) -> Result<()>;
}

/// Declares a configuration with the keys that every architecture of the family has.
macro_rules! mlp_config {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        crate::body::body_config! {
            $(#[$meta])*
            $name
            shared {
                /// Activation of the latent; its default depends on the architecture.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                latent_activation: Option<hourglass_nn::Activation> = None,
                /// Whether the decoder uses the encoder's weights, transposed. Default: `false`.
                #[serde(default)]
                tied: bool = false,
            }
            own { $($own)* }
        }

        impl $name {
            fn shared_layers(
                &self,
                latent_activation: hourglass_nn::Activation,
                corruption: Option<hourglass_nn::Corruption>,
            ) -> crate::mlp::Layers {
                crate::mlp::Layers {
                    body: self.body(),
                    latent_activation: self.latent_activation.unwrap_or(latent_activation),
                    tied: self.tied,
                    corruption,
                    emphasis: None,
                }
            }
        }
    };
}
pub(crate) use mlp_config;

impl<T: MlpArchitecture> Architecture for T {
    fn latent_dim(&self) -> Option<usize> {
        Some(self.layers().body.latent_dim)
    }

    fn output_activation(&self) -> Activation {
        self.layers().body.output_activation
    }

    fn perceptual(&self) -> Option<Perceptual> {
        self.layers().body.perceptual
    }

    fn describe(&self, n_features: usize) -> String {
        let layers = self.layers();
        let tied = if layers.tied { ", tied weights" } else { "" };
        format!(
            "{}{}{}{tied}",
            layers.body.describe(n_features),
            constraint_words(self.constraint()),
            corruption_words(layers.corruption),
        )
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        let layers = self.layers();
        layers.check()?;
        if let (Some(dim), Constraint::Contractive { .. }) =
            (layers.body.embedding_dim, self.constraint())
        {
            let expected = "absent: the contraction is that of the columns themselves";
            return Err(Error::config("embedding_dim", dim, expected));
        }
        self.check_own()
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        Ok(Box::new(Mlp::new(&self.layers(), self.constraint(), shape, seed)?))
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
        Constraint::Contractive { weight, .. } => format!(", contraction {weight}"),
        Constraint::Discrepancy { weight } => format!(", discrepancy {weight}"),
        Constraint::Regularised { latent, decoder } => {
            format!(", latent size {latent}, decoder weights {decoder}")
        }
    }
}
