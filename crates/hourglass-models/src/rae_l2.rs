//! Regularised deterministic autoencoder: a price on the size of the latent and of the decoder's
//! weights does what the noise of a variational one does, without drawing.
//!
//! # Source
//! Ghosh, Sajjadi, Vergari, Black, Schölkopf, "From Variational to Deterministic Autoencoders",
//! arXiv:1903.12436 (RAE-L2). Differs from the paper: the reconstruction is a mean over features,
//! so the paper's weights are to be divided by the number of features; and no density is fitted to
//! the latent afterwards, since nothing is drawn from it.

use candle_core::Tensor;
use hourglass_nn::{Activation, Corruption, Dense};

use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};
use crate::{Error, Result};

mlp_config! {
    /// Hyperparameters of the regularised deterministic autoencoder; the latent is linear by
    /// default.
    RaeL2 {
        /// Weight of half the squared norm of the latent, a mean over samples; above 0.
        latent_weight: f32,
        /// Weight of the squared norm of the decoder's weights, biases left out; 0 or above.
        decoder_weight: f32,
        /// What is done to the input during training. Default: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corruption: Option<Corruption>,
    }
}

impl RaeL2 {
    pub(crate) fn examples() -> Vec<Self> {
        let activation = Activation::Tanh;
        vec![RaeL2 { hidden_dims: vec![32], activation, ..RaeL2::new(6, 1e-6, 1e-7, None) }]
    }
}

impl MlpArchitecture for RaeL2 {
    fn layers(&self) -> Layers {
        self.shared_layers(Activation::Linear, self.corruption)
    }

    fn constraint(&self) -> Constraint {
        Constraint::Regularised { latent: self.latent_weight, decoder: self.decoder_weight }
    }

    fn check_own(&self) -> Result<()> {
        if !(self.latent_weight > 0.0 && self.latent_weight.is_finite()) {
            return Err(Error::config("latent_weight", self.latent_weight, "above 0"));
        }
        if !(self.decoder_weight >= 0.0 && self.decoder_weight.is_finite()) {
            return Err(Error::config("decoder_weight", self.decoder_weight, "0 or above"));
        }
        Ok(())
    }
}

/// Half the squared norm of the latent, a mean over samples.
///
/// # Shapes
/// - `latent`: `(batch, latent_dim)`
pub(crate) fn half_square(latent: &Tensor) -> Result<Tensor> {
    let n_rows = latent.dim(0)? as f64;
    Ok((latent.sqr()?.sum_all()? / (2.0 * n_rows))?)
}

/// The squared norm of the weights of layers, without their biases.
pub(crate) fn squared_weights<'a>(layers: impl Iterator<Item = &'a Dense>) -> Result<Tensor> {
    let squares = layers.map(|layer| Ok(layer.weight().tensor().sqr()?.sum_all()?));
    let squares = squares.collect::<Result<Vec<_>>>()?;
    Ok(Tensor::stack(&squares, 0)?.sum_all()?)
}
