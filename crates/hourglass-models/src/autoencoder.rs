//! What an autoencoder is to the trainer and to the feature extractor.

use candle_core::Tensor;
use hourglass_nn::{Corruption, Loss, Parameter};

use crate::Result;

/// Where training stands; models that change over time read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// In training, at this epoch, counted from 0.
    Train {
        /// The epoch.
        epoch: usize,
    },
    /// Judged as it will be used.
    Evaluate,
}

/// A loss and what it is made of.
#[derive(Debug)]
pub struct LossParts {
    /// What is minimised, a scalar.
    pub total: Tensor,
    /// The reconstruction part, a scalar.
    pub reconstruction: Tensor,
}

/// A model that encodes samples into a latent and reconstructs them from it.
pub trait Autoencoder: Send + Sync {
    /// All trainable parameters, in a fixed order; shared ones once.
    fn parameters(&self) -> &[Parameter];

    /// Number of columns of a sample.
    fn n_features(&self) -> usize;

    /// Width of the latent.
    fn latent_dim(&self) -> usize;

    /// What is done to the input during training, if anything.
    fn corruption(&self) -> Option<Corruption>;

    /// The latent of each sample, as used for features.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`
    /// - returns: `(batch, latent_dim)`
    ///
    /// # Errors
    /// [`crate::Error::InputWidth`].
    fn encode(&self, input: &Tensor) -> Result<Tensor>;

    /// The activations of every encoder layer, the latent last.
    ///
    /// # Errors
    /// [`crate::Error::InputWidth`].
    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>>;

    /// The reconstruction of each sample.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`
    /// - returns: the same
    ///
    /// # Errors
    /// [`crate::Error::InputWidth`].
    fn reconstruct(&self, input: &Tensor) -> Result<Tensor>;

    /// The loss of a batch.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`, corrupted where the model asks for it
    /// - `target`: the same, clean
    ///
    /// # Errors
    /// [`crate::Error::InputWidth`].
    fn loss(&self, input: &Tensor, target: &Tensor, loss: Loss, phase: Phase) -> Result<LossParts>;
}
