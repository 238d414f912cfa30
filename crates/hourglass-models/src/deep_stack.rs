//! Deep-stack denoising autoencoder for tables: wide hidden layers that undo swapped values, and
//! the activations of **all** of them, side by side, as features.
//!
//! # Source
//! Michael Jahrer's winning solution of Porto Seguro's Safe Driver Prediction (2017): three layers
//! of 1,500 rectified units, linear output, 15 % of the values of a row swapped with those of other
//! rows, numeric columns RankGauss-scaled (a matter of the preprocessing), trained on all rows. It
//! is not in a paper; the figures are from the author's description in the competition's forum.

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{
    Activation, Buffer, Corruption, Dense, Init, Loss, Parameter, Select, WeightOrder,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{
    Body, Encoder, check_width, corruption_words, embedding_words, is_zero, parameters_of,
};
use crate::config::{Architecture, linear};
use crate::head::Head;
use crate::{
    Autoencoder, ColumnWeights, Context, Error, ImageLoss, LossParts, Normalisation, Perceptual,
    Result,
};

/// Hyperparameters of the deep-stack denoising autoencoder. Its latent is as wide as all hidden
/// layers together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeepStack {
    /// Widths of the hidden layers; one or more, and the winner had three of 1,500.
    pub hidden_dims: Vec<usize>,
    /// Activation of the hidden layers. Default: `relu`.
    #[serde(default)]
    pub activation: Activation,
    /// Whether the hidden layers have a rectifier with a trained slope below 0, one a unit (PReLU:
    /// He et al., arXiv:1502.01852), in place of `activation`. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prelu: bool,
    /// Activation of the output; it must reach the range of the prepared data. Default: `linear`.
    #[serde(default = "linear")]
    pub output_activation: Activation,
    /// How weights are drawn. Default: what suits the activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// What normalises the hidden layers, between product and activation. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Normalisation>,
    /// Share of the hidden units that are switched off in a step of training, in `[0, 1)`; alpha
    /// dropout where the activation is `selu`. Default: 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropout: f32,
    /// Width of the vector that stands for a level of a category in front of the first layer, 1 or
    /// more; categories with fewer levels have vectors as wide as they have levels. Vectors are
    /// learnt with the autoencoder. Default: none, levels meet the first layer as columns of 0 and
    /// 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_dim: Option<usize>,
    /// How much the columns of a table count. Default: 1 each.
    #[serde(default, skip_serializing_if = "ColumnWeights::is_default")]
    pub column_weights: ColumnWeights,
    /// What images are compared by beside their pixels. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_loss: Option<ImageLoss>,
    /// A comparison in the features of an encoder that an earlier run trained; not for tables of
    /// several kinds of columns. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<Perceptual>,
    /// What is done to the input during training; the winner swapped 15 % of the values.
    pub corruption: Corruption,
}

impl DeepStack {
    /// These layers and this corruption, and the default of every other key.
    pub fn new(hidden_dims: Vec<usize>, corruption: Corruption) -> Self {
        DeepStack {
            hidden_dims,
            activation: Activation::default(),
            prelu: false,
            output_activation: linear(),
            init: None,
            normalisation: None,
            dropout: 0.0,
            embedding_dim: None,
            column_weights: ColumnWeights::default(),
            image_loss: None,
            perceptual: None,
            corruption,
        }
    }

    pub(crate) fn examples() -> Vec<Self> {
        let plain = DeepStack::new(vec![40, 30, 40], Corruption::Masking { share: 0.1 });
        vec![DeepStack { prelu: true, ..plain.clone() }, plain]
    }

    fn body(&self) -> Body {
        Body {
            hidden_dims: self.hidden_dims.clone(),
            latent_dim: self.hidden_dims.iter().sum(),
            activation: self.activation,
            prelu: self.prelu,
            output_activation: self.output_activation,
            init: self.init,
            normalisation: self.normalisation,
            dropout: self.dropout,
            embedding_dim: self.embedding_dim,
            column_weights: self.column_weights.clone(),
            image_loss: self.image_loss,
            perceptual: self.perceptual.clone(),
        }
    }
}

impl Architecture for DeepStack {
    fn latent_dim(&self) -> Option<usize> {
        Some(self.hidden_dims.iter().sum())
    }

    fn output_activation(&self) -> Activation {
        self.output_activation
    }

    fn perceptual(&self) -> Option<Perceptual> {
        self.perceptual.clone()
    }

    fn describe(&self, n_features: usize) -> String {
        let mut widths = vec![n_features];
        widths.extend(&self.hidden_dims);
        widths.push(n_features);
        let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
        format!(
            "{}{}, all hidden layers are features{}",
            widths.join("-"),
            embedding_words(self.embedding_dim),
            corruption_words(Some(self.corruption))
        )
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        if self.hidden_dims.is_empty() {
            return Err(Error::config("hidden_dims", "empty", "one width or more"));
        }
        self.body().check()?;
        Ok(self.corruption.check()?)
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        let body = self.body();
        let n_features = shape.n_features();
        let encoder = body.encoder(shape, seed)?;
        let head = body.head(shape)?;
        let (widths, order) = ((encoder.n_out(), n_features), WeightOrder::InOut);
        let output = body.dense("decoder.0", widths, order, body.output_activation, seed)?;
        let output = output.with_activation(head.layer_activation());
        let parameters = [encoder.parameters(), parameters_of(&output)].concat();
        let buffers = encoder.buffers();
        let corruption = self.corruption;
        let latent_dim = body.latent_dim;
        Ok(Box::new(Model {
            n_features,
            latent_dim,
            corruption,
            encoder,
            output,
            head,
            parameters,
            buffers,
        }))
    }
}

#[derive(Debug)]
struct Model {
    n_features: usize,
    latent_dim: usize,
    corruption: Corruption,
    encoder: Encoder,
    output: Dense,
    head: Head,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
}

impl Autoencoder for Model {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    fn n_features(&self) -> usize {
        self.n_features
    }

    fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    fn corruption(&self) -> Option<Corruption> {
        Some(self.corruption)
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        Ok(Tensor::cat(&self.hidden(input)?, 1)?)
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        check_width(input, self.n_features)?;
        let embedded = self.encoder.embed(input)?;
        self.encoder.stack().hidden(&embedded, &Context::as_used())
    }

    fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.head.look_through(encoder)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.n_features)?;
        let hidden = self.encoder.forward(input, &Context::as_used())?;
        self.head.finish(self.output.forward(&hidden, Select::All)?)
    }

    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        check_width(input, self.n_features)?;
        let hidden = self.encoder.forward(input, context)?;
        let output = self.output.with_activation(self.head.loss_activation(loss));
        let output = output.forward(&hidden, Select::All)?;
        self.head.parts(&output, target, loss)
    }
}
