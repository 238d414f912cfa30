//! Undercomplete autoencoder: a latent narrower than the data has to compress.
//!
//! Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks",
//! Science 313, 2006. Differs from the paper: trained from random weights, without pre-training.

use hourglass_nn::{Activation, Corruption};

use crate::Result;
use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};

mlp_config! {
    /// Hyperparameters of the undercomplete autoencoder; the latent is linear by default.
    Undercomplete {
        /// What is done to the input during training. Default: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corruption: Option<Corruption>,
    }
}

impl Undercomplete {
    pub(crate) fn examples() -> Vec<Self> {
        let untied = Undercomplete {
            hidden_dims: vec![24],
            activation: Activation::Elu,
            ..Undercomplete::new(6, None)
        };
        vec![Undercomplete { tied: true, ..untied.clone() }, untied]
    }
}

impl MlpArchitecture for Undercomplete {
    fn layers(&self) -> Layers {
        self.shared_layers(Activation::Linear, self.corruption)
    }

    fn constraint(&self) -> Constraint {
        Constraint::Width
    }

    fn check_own(&self) -> Result<()> {
        Ok(())
    }
}
