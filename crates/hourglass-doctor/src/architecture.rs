//! What the doctor must know of an architecture beside its widths: which of its figures mean
//! something else than in other architectures, and which keys a cure may name.

use hourglass_nn::{ActivityPenalty, Corruption};

/// An autoencoder as the pipeline file describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Architecture {
    /// Where its keys stand, such as `model.denoising`.
    pub key: String,
    /// What sets it apart.
    pub variant: Variant,
    /// Whether something but the width keeps it from copying: corruption, sparsity, a price.
    pub is_constrained: bool,
    /// Whether it has a key `corruption`.
    pub takes_corruption: bool,
    /// Width of the latent.
    pub latent_dim: usize,
    /// Widths between input and latent; empty where there are none, or channels in their place.
    pub hidden_dims: Vec<usize>,
    /// Trained numbers.
    pub n_parameters: usize,
}

impl Architecture {
    /// The path of one of its keys in the pipeline file.
    pub fn key_of(&self, name: &str) -> String {
        format!("{}.{name}", self.key)
    }

    /// Its hidden widths, each times a factor, as TOML.
    pub(crate) fn widened(&self, factor: f64) -> String {
        let widths = self.hidden_dims.iter().map(|&width| (width as f64 * factor).ceil().max(1.0));
        let widths: Vec<String> = widths.map(|width| width.to_string()).collect();
        format!("[{}]", widths.join(", "))
    }
}

/// What sets an architecture apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Variant {
    /// Nothing that the doctor asks for.
    #[default]
    Plain,
    /// A price on the activity of the latent.
    Sparse {
        /// The price.
        weight: f64,
        /// Wanted mean activity, where the price is a Kullback-Leibler divergence.
        target: Option<f64>,
    },
    /// Only the `k` largest values of a sample are kept.
    KSparse {
        /// How many.
        k: usize,
        /// Epochs over which their number falls to that; 0 where it doesn't.
        anneal_epochs: usize,
    },
    /// Of each unit, or each map, only the largest values of a batch are kept.
    WinnerTakeAll {
        /// Maps of the last convolution, where there are maps; the latent holds them one after the
        /// other.
        n_maps: Option<usize>,
    },
    /// A price on the Jacobian of the encoder.
    Contractive {
        /// The price.
        weight: f64,
    },
    /// The latent is a distribution.
    Variational {
        /// Weight of the divergence from the prior.
        beta: f64,
        /// Share of the epochs until that weight is reached; 0 without warm-up.
        warm_up: f64,
        /// Standard deviation of the likelihood, where it is a normal one.
        output_std: Option<f64>,
    },
    /// The latent consists of entries of a codebook.
    VectorQuantised {
        /// Entries.
        n_codes: usize,
    },
    /// Patches of an image are predicted from others.
    MaskedImage,
    /// One linear layer each way, which spans what principal components span.
    Linear,
}

impl Variant {
    /// Nothing but its widths holds it back from copying.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Variant::Plain | Variant::Linear)
    }

    /// A price on activity.
    pub fn of_penalty(penalty: ActivityPenalty) -> Self {
        match penalty {
            ActivityPenalty::L1 { weight } => {
                Variant::Sparse { weight: weight.into(), target: None }
            }
            ActivityPenalty::Kl { weight, target } => {
                Variant::Sparse { weight: weight.into(), target: Some(target.into()) }
            }
        }
    }
}

/// The key of a corruption's strength below `corruption`, and its value.
pub fn strength_of(corruption: Corruption) -> (&'static str, f64) {
    let (key, strength) = match corruption {
        Corruption::Gaussian { std } => ("gaussian.std", std),
        Corruption::Masking { share } => ("masking.share", share),
        Corruption::SaltAndPepper { share } => ("salt_and_pepper.share", share),
        Corruption::Swap { share } => ("swap.share", share),
        Corruption::BlockMasking { share, .. } => ("block_masking.share", share),
    };
    (key, strength.into())
}
