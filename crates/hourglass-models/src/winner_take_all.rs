//! Fully connected winner-take-all autoencoder: each latent unit is active for a small share of
//! the batch only (lifetime sparsity), so that none can die and none is always on.
//!
//! Source: Makhzani and Frey, "Winner-Take-All Autoencoders", 2015, arXiv:1409.2752. As there,
//! the sparsity holds in training only; samples are encoded with the rectified activations.

use hourglass_nn::{Activation, Corruption};

use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};
use crate::{Error, Result};

mlp_config! {
    /// Hyperparameters of the winner-take-all autoencoder; the latent is rectified by default.
    WinnerTakeAll {
        /// Share of a batch for which a unit is active in training; in `(0, 1]`. The paper has
        /// 0.05.
        share: f32,
        /// Whether winners are chosen before the latent activation, which is then applied for
        /// features only. A rectifier in front of the choice leaves units that never fire without
        /// a gradient. Default: `true`; the paper has `false`.
        #[serde(default = "yes")]
        rectify_after: bool,
        /// What is done to the input during training. Default: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corruption: Option<Corruption>,
    }
}

fn yes() -> bool {
    true
}

impl WinnerTakeAll {
    pub(crate) fn examples() -> Vec<Self> {
        vec![WinnerTakeAll::new(60, 0.5, true, None)]
    }
}

impl MlpArchitecture for WinnerTakeAll {
    fn layers(&self) -> Layers {
        self.shared_layers(Activation::Relu, self.corruption)
    }

    fn constraint(&self) -> Constraint {
        Constraint::Lifetime { share: self.share, rectify_after: self.rectify_after }
    }

    fn check_own(&self) -> Result<()> {
        if self.share > 0.0 && self.share <= 1.0 {
            return Ok(());
        }
        Err(Error::config("share", self.share, "above 0 and at most 1"))
    }
}
