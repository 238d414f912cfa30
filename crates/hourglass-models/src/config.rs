//! The `[model]` table: one variant, one architecture.

use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{Activation, Loss};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Autoencoder, Contractive, Convolutional, ConvolutionalWinnerTakeAll, DeepStack, Denoising,
    Error, KSparse, MaskedImage, MaskedTable, Perceptual, RaeL2, Result, Sparse, StackedDenoising,
    Undercomplete, Variational, VqVae, Wasserstein, WinnerTakeAll,
};

/// What every configuration can do, whatever it builds.
pub(crate) trait Architecture {
    /// Width of its latent, or `None` where it follows from the data.
    fn latent_dim(&self) -> Option<usize>;
    /// Activation of its output.
    fn output_activation(&self) -> Activation;
    /// Its comparison in the features of a trained encoder.
    fn perceptual(&self) -> Option<Perceptual> {
        None
    }
    /// Sizes and what distinguishes it, for people: `784-1000-784, k = 25`.
    fn describe(&self, n_features: usize) -> String;
    /// Its cross-field rules, and those against the loss.
    fn check(&self, loss: &Loss) -> Result<()>;
    /// The model with freshly drawn weights; the configuration has been checked.
    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>>;
}

/// Declares [`ModelConfig`]: for each architecture its words, its name in the file and its type.
macro_rules! models {
    ($($(#[$meta:meta])* $kind:literal $variant:ident,)*) => {
        /// Which architecture, with its hyperparameters: `[model.<kind>]`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        pub enum ModelConfig {
            $($(#[$meta])* $variant($variant),)*
        }

        impl ModelConfig {
            /// Small, valid configurations of every architecture, for contract tests and the docs.
            pub fn examples() -> Vec<ModelConfig> {
                let mut all = Vec::new();
                $(all.extend($variant::examples().into_iter().map(ModelConfig::$variant));)*
                all
            }

            /// Its name in the pipeline file.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(ModelConfig::$variant(_) => $kind,)*
                }
            }

            fn architecture(&self) -> &dyn Architecture {
                match self {
                    $(ModelConfig::$variant(config) => config,)*
                }
            }
        }
    };
}

models! {
    /// A latent narrower than the data.
    "undercomplete" Undercomplete,
    /// Reconstructs the clean sample from a corrupted one.
    "denoising" Denoising,
    /// Only the `k` largest latent activations of a sample are kept.
    "k_sparse" KSparse,
    /// A penalty on the activity of the latent.
    "sparse" Sparse,
    /// Each latent unit is active for a small share of the batch only.
    "winner_take_all" WinnerTakeAll,
    /// A penalty on how much the latent moves when the input does.
    "contractive" Contractive,
    /// Denoising layers that learn one after the other, then together.
    "stacked_denoising" StackedDenoising,
    /// Wide denoising layers, all of whose activations are features.
    "deep_stack" DeepStack,
    /// Finds replaced values of a table and what stood there.
    "masked_table" MaskedTable,
    /// The latent is a normal distribution, held close to the standard normal.
    "variational" Variational,
    /// The latents of a batch together shall look like draws from the standard normal.
    "wasserstein" Wasserstein,
    /// A penalty on the size of the latent and of the decoder's weights.
    "rae_l2" RaeL2,
    /// The latent is replaced by entries of a codebook.
    "vq_vae" VqVae,
    /// Convolutions down to a dense latent, and back, for images.
    "convolutional" Convolutional,
    /// Of each map of a convolution only the largest value survives training.
    "convolutional_winner_take_all" ConvolutionalWinnerTakeAll,
    /// A transformer that fills in hidden patches of an image.
    "masked_image" MaskedImage,
}

impl ModelConfig {
    /// Those of the examples that take samples of a shape.
    pub fn examples_for(shape: &SampleShape) -> Vec<ModelConfig> {
        let takes = |config: &ModelConfig| build(config, shape, Seed::new(0)).is_ok();
        ModelConfig::examples().into_iter().filter(takes).collect()
    }

    /// Width of its latent, or `None` where it follows from the data.
    pub fn latent_dim(&self) -> Option<usize> {
        self.architecture().latent_dim()
    }

    /// Activation of its output.
    pub fn output_activation(&self) -> Activation {
        self.architecture().output_activation()
    }

    /// The comparison in the features of a trained encoder, where it has one: whoever trains the
    /// model gives it the encoder with [`Autoencoder::look_through`].
    pub fn perceptual(&self) -> Option<Perceptual> {
        self.architecture().perceptual()
    }

    /// Counted up where a model starts to learn something else from the same seed.
    pub fn version(&self) -> u32 {
        match self {
            // Its images share no mask any more.
            ModelConfig::MaskedImage(_) => 2,
            // Output and image pass through the activation together.
            ModelConfig::Convolutional(config) if config.image_loss.is_some() => 2,
            _ => 1,
        }
    }

    /// One line for people: `k_sparse 784-1000-784, k = 25`.
    pub fn describe(&self, n_features: usize) -> String {
        format!("{} {}", self.kind(), self.architecture().describe(n_features))
    }

    /// Checks the hyperparameters, alone and against the loss.
    ///
    /// # Errors
    /// [`Error::Config`], with the path of the key below `[model.<kind>]`.
    pub fn check(&self, loss: &Loss) -> Result<()> {
        let activation = self.output_activation();
        if *loss == Loss::Bce && activation != Activation::Sigmoid {
            let expected = "`sigmoid` for the loss `bce`";
            return Err(Error::config("output_activation", name_of(activation), expected));
        }
        self.architecture().check(loss)
    }

    /// Checks that the output can reach the prepared data, and that the loss may meet them.
    ///
    /// # Errors
    /// [`Error::OutOfReach`] if the output activation stops short of `low..=high`, or `bce` meets
    /// data outside `0..=1`.
    pub fn check_range(&self, loss: &Loss, low: f32, high: f32) -> Result<()> {
        let activation = self.output_activation();
        let (from, to) = activation.range();
        if low < from || high > to {
            let limit = format!("the output activation `{}`", name_of(activation));
            return Err(Error::OutOfReach { limit, from, to, low, high });
        }
        if *loss == Loss::Bce && (low < 0.0 || high > 1.0) {
            let limit = "the loss `bce`".to_owned();
            return Err(Error::OutOfReach { limit, from: 0.0, to: 1.0, low, high });
        }
        Ok(())
    }
}

/// The name of an activation in the pipeline file.
pub(crate) fn name_of(activation: Activation) -> String {
    let mut name = String::new();
    for (i, letter) in format!("{activation:?}").chars().enumerate() {
        if letter.is_uppercase() && i > 0 {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

pub(crate) fn linear() -> Activation {
    Activation::Linear
}

/// Builds a model with freshly drawn weights.
///
/// # Errors
/// If the sample shape doesn't fit the architecture, or candle refuses a tensor.
pub fn build(
    config: &ModelConfig,
    shape: &SampleShape,
    seed: Seed,
) -> Result<Box<dyn Autoencoder>> {
    let model = config.architecture().build(shape, seed.child("weights"))?;
    if let Some(corruption) = model.corruption() {
        corruption.fits(shape)?;
    }
    Ok(model)
}
