//! What an autoencoder is to the trainer and to the feature extractor.

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{Matrix, MatrixView, Seed};
use hourglass_nn::{Activation, Buffer, Corruption, Loss, Parameter, rows_of, to_matrix};
use ndarray::ArrayViewMut2;

use crate::Result;

/// Where training stands; models that change over time read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// In training.
    Train {
        /// Epochs done, counted in fractions: 2.5 is the middle of the third.
        epochs_done: f64,
        /// Epochs planned.
        n_epochs: usize,
    },
    /// Judged as it will be used.
    Evaluate,
}

/// What a model must know of the moment in which it is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Context {
    /// In training or judged.
    pub phase: Phase,
    /// What noise, dropout and masks of this step are drawn from; models split it by name.
    pub seed: Seed,
    /// How much of its corruption a model that corrupts by itself does, in `[0, 1]`; what the
    /// trainer corrupts is done by then.
    pub corruption_strength: f32,
}

impl Context {
    /// A step of training; each needs a seed of its own.
    pub fn train(epochs_done: f64, n_epochs: usize, seed: Seed) -> Self {
        let phase = Phase::Train { epochs_done, n_epochs };
        Context { phase, seed, corruption_strength: 1.0 }
    }

    /// A judgement; the same seed gives the same loss in every epoch.
    pub fn evaluate(seed: Seed) -> Self {
        Context { phase: Phase::Evaluate, seed, corruption_strength: 1.0 }
    }

    /// The moment of encoding and reconstructing: nothing is drawn.
    pub(crate) fn as_used() -> Self {
        Context::evaluate(Seed::new(0))
    }

    /// Whether weights are being learnt: dropout is on, batch statistics count.
    pub fn is_training(&self) -> bool {
        self.phase != Phase::Evaluate
    }

    /// Epochs done, in fractions; `None` when the model is judged.
    pub fn epochs_done(&self) -> Option<f64> {
        match self.phase {
            Phase::Train { epochs_done, .. } => Some(epochs_done),
            Phase::Evaluate => None,
        }
    }
}

/// A loss and what it is made of.
///
/// Every part is a scalar in the unit in which it is added, so the parts sum to the total. Unless
/// a model's file says otherwise, the reconstruction is a mean over samples and features, and a
/// penalty a sum over units and a mean over samples.
#[derive(Debug)]
pub struct LossParts {
    /// What is minimised, a scalar.
    pub total: Tensor,
    /// The reconstruction part, a scalar.
    pub reconstruction: Tensor,
    /// The other parts by name: `kl`, `penalty`, `commitment` and the like.
    pub others: Vec<(&'static str, Tensor)>,
    /// What else the model knows of this batch, for telemetry.
    pub facts: Vec<Fact>,
}

/// Something that a model knows of a batch beside its loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// What it is: `kl_by_dimension` (nats, one value a latent dimension), `perplexity` and the
    /// like.
    pub name: &'static str,
    /// Its values.
    pub values: Vec<f32>,
}

impl LossParts {
    /// A reconstruction and further parts, summed.
    ///
    /// # Errors
    /// If a part is no scalar.
    pub fn sum(reconstruction: Tensor, others: Vec<(&'static str, Tensor)>) -> Result<Self> {
        let mut total = reconstruction.clone();
        for (_, part) in &others {
            total = (total + part)?;
        }
        Ok(LossParts { total, reconstruction, others, facts: Vec::new() })
    }

    /// The same with further parts.
    ///
    /// # Errors
    /// If a part is no scalar.
    pub fn and(self, others: Vec<(&'static str, Tensor)>) -> Result<Self> {
        let others = self.others.into_iter().chain(others).collect();
        Ok(LossParts { facts: self.facts, ..LossParts::sum(self.reconstruction, others)? })
    }

    /// The same with every part times a number.
    ///
    /// # Errors
    /// If candle refuses the product.
    pub fn scaled(self, by: f64) -> Result<Self> {
        let others = self.others.into_iter().map(|(name, part)| Ok((name, (part * by)?)));
        let others = others.collect::<Result<_>>()?;
        Ok(LossParts { facts: self.facts, ..LossParts::sum((self.reconstruction * by)?, others)? })
    }

    /// Adds a fact.
    #[must_use]
    pub fn with_fact(mut self, name: &'static str, values: Vec<f32>) -> Self {
        self.facts.push(Fact { name, values });
        self
    }

    /// All parts by name, the reconstruction first.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        let others = self.others.iter().map(|(name, part)| (*name, part));
        std::iter::once(("reconstruction", &self.reconstruction)).chain(others)
    }
}

/// Writes the latents of rows to where they are wanted; for several threads at once.
///
/// # Shapes
/// - rows: `(batch, n_features)`; latents: `(batch, latent_dim)`; values of a row side by side
pub type RowEncoder<'a> =
    Box<dyn Fn(MatrixView<'_>, ArrayViewMut2<'_, f32>) -> Result<()> + Send + Sync + 'a>;

/// A model that encodes samples into a latent and reconstructs them from it.
pub trait Autoencoder: Send + Sync {
    /// All trainable parameters, in a fixed order; shared ones once.
    fn parameters(&self) -> &[Parameter];

    /// State that no gradient trains but that belongs to the model, in a fixed order.
    fn buffers(&self) -> &[Buffer] {
        &[]
    }

    /// Number of columns of a sample.
    fn n_features(&self) -> usize;

    /// Width of the latent.
    fn latent_dim(&self) -> usize;

    /// What the trainer does to the input during training, if anything. Models that hide or
    /// corrupt by themselves say `None`.
    fn corruption(&self) -> Option<Corruption>;

    /// Whether the model corrupts by itself, so much as [`Context::corruption_strength`] says.
    fn corrupts_by_itself(&self) -> bool {
        false
    }

    /// The latent of each sample, as used for features; nothing in it is drawn.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`
    /// - returns: `(batch, latent_dim)`
    ///
    /// # Errors
    /// [`crate::Error::InputWidth`].
    fn encode(&self, input: &Tensor) -> Result<Tensor>;

    /// [`Autoencoder::encode`] for many batches of rows in memory, with the weights as they are
    /// now. Models that can lay these out for it have a way of their own.
    ///
    /// # Errors
    /// If the weights can't be read; calling it, as [`Autoencoder::encode`].
    fn row_encoder(&self) -> Result<RowEncoder<'_>> {
        Ok(Box::new(|rows, mut target| {
            target.assign(&to_matrix(&self.encode(&rows_of(rows)?)?)?);
            Ok(())
        }))
    }

    /// The activations of every encoder layer as used for features. Side by side, their last
    /// columns are those of [`Autoencoder::encode`].
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`
    /// - returns: `(batch, width of the layer)` for each; maps are flattened channel by channel
    ///
    /// # Errors
    /// [`crate::Error::InputWidth`].
    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>>;

    /// The activation of each layer of [`Autoencoder::hidden`], for telemetry; empty where it isn't
    /// known.
    fn hidden_activations(&self) -> Vec<Activation> {
        Vec::new()
    }

    /// Values that [`Autoencoder::hidden`] computes for a sample, where these are more than it
    /// returns: maps before they are pooled.
    fn n_hidden_values(&self) -> Option<usize> {
        None
    }

    /// The reconstruction of each sample; nothing in it is drawn.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`
    /// - returns: the same
    ///
    /// # Errors
    /// [`crate::Error::InputWidth`].
    fn reconstruct(&self, input: &Tensor) -> Result<Tensor>;

    /// The samples that draws from the prior, the standard normal, stand for; `None` for models
    /// that have no prior.
    ///
    /// # Shapes
    /// - `draws`: `(n, latent_dim)`
    /// - returns: `(n, n_features)`
    ///
    /// # Errors
    /// If the width of the draws is not that of the latent.
    fn decode_draws(&self, _draws: MatrixView<'_>) -> Result<Option<Matrix>> {
        Ok(None)
    }

    /// Gives the model the encoder in whose features its `perceptual` loss compares. The encoder
    /// stays as it is.
    ///
    /// # Errors
    /// [`crate::Error::Config`] where the model has no such loss, or the encoder takes samples of
    /// another width.
    fn look_through(&mut self, _encoder: Arc<dyn Autoencoder>) -> Result<()> {
        Err(crate::Error::config("perceptual", "absent", "present where an encoder is given"))
    }

    /// The loss of a batch. In training, buffers follow it.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_features)`, corrupted where the model asks for it
    /// - `target`: the same, clean
    ///
    /// # Errors
    /// [`crate::Error::InputWidth`].
    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts>;
}
