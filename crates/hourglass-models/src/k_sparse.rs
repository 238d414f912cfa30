//! k-sparse autoencoder: only the `k` largest latent activations of a sample are kept.
//!
//! Source: Makhzani and Frey, "k-Sparse Autoencoders", 2013, arXiv:1312.5663. As there, `k` may
//! start large and fall linearly, or units die; and samples may be encoded with more than `k`.

use hourglass_nn::{Activation, Corruption};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};
use crate::{Error, Result};

/// A `k` that falls linearly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anneal {
    /// Active units in the first epoch; at least the final `k`.
    pub k: usize,
    /// Epochs until the final `k` is reached; 1 or more.
    pub epochs: usize,
}

mlp_config! {
    /// Hyperparameters of the k-sparse autoencoder; the latent is linear by default.
    KSparse {
        /// Active units of a sample; in `1..=latent_dim`.
        k: usize,
        /// Active units when a sample is encoded for features; in `1..=latent_dim`. Default: `k`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        k_encode: Option<usize>,
        /// A larger `k` in the first epochs. Default: none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anneal: Option<Anneal>,
        /// What is done to the input during training. Default: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corruption: Option<Corruption>,
    }
}

impl KSparse {
    pub(crate) fn examples() -> Vec<Self> {
        vec![KSparse::new(40, 8, None, Some(Anneal { k: 20, epochs: 3 }), None)]
    }
}

impl MlpArchitecture for KSparse {
    fn layers(&self) -> Layers {
        self.shared_layers(Activation::Linear, self.corruption)
    }

    fn constraint(&self) -> Constraint {
        Constraint::TopK {
            k: self.k,
            k_encode: self.k_encode.unwrap_or(self.k),
            anneal: self.anneal.map(|anneal| (anneal.k, anneal.epochs)),
        }
    }

    fn check_own(&self) -> Result<()> {
        let in_range = || format!("between 1 and `latent_dim` = {}", self.latent_dim);
        for (key, k) in [("k", self.k), ("k_encode", self.k_encode.unwrap_or(self.k))] {
            if k == 0 || k > self.latent_dim {
                return Err(Error::config(key, k, in_range()));
            }
        }
        let Some(anneal) = self.anneal else { return Ok(()) };
        if anneal.k < self.k || anneal.k > self.latent_dim {
            let expected =
                format!("between `k` = {} and `latent_dim` = {}", self.k, self.latent_dim);
            return Err(Error::config("anneal.k", anneal.k, expected));
        }
        if anneal.epochs == 0 {
            return Err(Error::config("anneal.epochs", 0, "1 or more"));
        }
        Ok(())
    }
}
