//! Sparse autoencoder: a price on the activity of the latent.
//!
//! Sources: Ng, "Sparse autoencoder", CS294A lecture notes, 2011 (KL); Ranzato, Boureau, LeCun,
//! "Sparse Feature Learning for Deep Belief Networks", NIPS 2007 (L1).

use hourglass_nn::{Activation, ActivityPenalty, Corruption};

use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};
use crate::{Error, Result};

mlp_config! {
    /// Hyperparameters of the sparse autoencoder; the latent is rectified by default under L1 and
    /// a sigmoid under KL.
    Sparse {
        /// The price.
        penalty: ActivityPenalty,
        /// What is done to the input during training. Default: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corruption: Option<Corruption>,
    }
}

impl Sparse {
    pub(crate) fn examples() -> Vec<Self> {
        vec![
            Sparse::new(30, ActivityPenalty::L1 { weight: 1e-4 }, None),
            Sparse::new(30, ActivityPenalty::Kl { weight: 1e-4, target: 0.2 }, None),
        ]
    }
}

impl MlpArchitecture for Sparse {
    fn layers(&self) -> Layers {
        let latent_activation = match self.penalty {
            ActivityPenalty::L1 { .. } => Activation::Relu,
            ActivityPenalty::Kl { .. } => Activation::Sigmoid,
        };
        self.shared_layers(latent_activation, self.corruption)
    }

    fn constraint(&self) -> Constraint {
        Constraint::Penalty(self.penalty)
    }

    fn check_own(&self) -> Result<()> {
        self.penalty.check()?;
        let latent_activation = self.layers().latent_activation;
        match self.penalty {
            ActivityPenalty::Kl { .. } if latent_activation != Activation::Sigmoid => {
                let found = format!("{latent_activation:?}").to_lowercase();
                let expected = "`sigmoid` for a KL penalty, which compares rates between 0 and 1";
                Err(Error::config("latent_activation", found, expected))
            }
            _ => Ok(()),
        }
    }
}
