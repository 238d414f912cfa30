//! Denoising autoencoder: reconstructs the clean sample from a corrupted one.
//!
//! Source: Vincent et al., "Extracting and Composing Robust Features with Denoising Autoencoders",
//! ICML 2008. Differs from the paper: any depth, activation and loss.

use hourglass_nn::{Activation, Corruption};

use crate::Result;
use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};

mlp_config! {
    /// Hyperparameters of the denoising autoencoder; the latent is rectified by default.
    Denoising {
        /// What is done to the input during training.
        corruption: Corruption,
    }
}

impl Denoising {
    pub(crate) fn examples() -> Vec<Self> {
        vec![Denoising::new(40, Corruption::Masking { share: 0.1 })]
    }
}

impl MlpArchitecture for Denoising {
    fn layers(&self) -> Layers {
        self.shared_layers(Activation::Relu, Some(self.corruption))
    }

    fn constraint(&self) -> Constraint {
        Constraint::Width
    }

    fn check_own(&self) -> Result<()> {
        Ok(())
    }
}
