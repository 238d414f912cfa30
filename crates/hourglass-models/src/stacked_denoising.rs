//! Stacked denoising autoencoder: each layer first learns to undo the corruption of what the layers
//! below make of the clean sample, one layer after the other; then all of them learn together.
//!
//! # Source
//! Vincent, Larochelle, Lajoie, Bengio, Manzagol, "Stacked Denoising Autoencoders", JMLR 11, 2010.
//! Differs from the paper: after the greedy part the whole stack is trained as one denoising
//! autoencoder, without labels, and layers above the first compare by squared error.
//!
//! # Epochs
//! The first `epochs_per_layer` epochs train the first layer, the next as many the second, and so
//! on; what is left of `train.epochs` trains the whole. Judged is always the whole, so early
//! stopping should be patient enough for the greedy part.

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{
    Activation, CleanRows, Corruption, Dense, Loss, Parameter, Select, WeightOrder, to_matrix,
};

use crate::body::{body_config, check_width, corruption_words, parameters_of};
use crate::config::Architecture;
use crate::head::Head;
use crate::{Autoencoder, Context, Error, LossParts, Perceptual, Phase, Result};

body_config! {
    /// Hyperparameters of the stacked denoising autoencoder; `activation` is that of every layer,
    /// the latent too.
    StackedDenoising
    shared {}
    own {
        /// Epochs in which each layer learns alone; 1 or more.
        epochs_per_layer: usize,
        /// What is done to the input of the layer that learns.
        corruption: Corruption,
    }
}

impl StackedDenoising {
    pub(crate) fn examples() -> Vec<Self> {
        let corruption = Corruption::Gaussian { std: 0.01 };
        vec![StackedDenoising {
            hidden_dims: vec![40],
            activation: Activation::Softplus,
            ..StackedDenoising::new(30, 2, corruption)
        }]
    }
}

impl Architecture for StackedDenoising {
    fn latent_dim(&self) -> Option<usize> {
        Some(self.latent_dim)
    }

    fn output_activation(&self) -> Activation {
        self.output_activation
    }

    fn perceptual(&self) -> Option<Perceptual> {
        self.perceptual.clone()
    }

    fn describe(&self, n_features: usize) -> String {
        format!(
            "{}, {} epochs a layer{}",
            self.body().describe(n_features),
            self.epochs_per_layer,
            corruption_words(Some(self.corruption))
        )
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        self.body().check()?;
        if self.normalisation.is_some() || self.dropout > 0.0 || self.prelu {
            let expected = "absent: each layer has a corruption of its own";
            return Err(Error::config("normalisation, dropout and prelu", "present", expected));
        }
        if let Some(dim) = self.embedding_dim {
            let expected = "absent: the first layer learns to undo the columns themselves";
            return Err(Error::config("embedding_dim", dim, expected));
        }
        if self.epochs_per_layer == 0 {
            return Err(Error::config("epochs_per_layer", 0, "1 or more"));
        }
        Ok(self.corruption.check()?)
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        let body = self.body();
        let mut widths = vec![shape.n_features()];
        widths.extend(&self.hidden_dims);
        widths.push(self.latent_dim);
        let head = body.head(shape)?;
        let (mut encoder, mut decoder) = (Vec::new(), Vec::new());
        for (i, pair) in widths.windows(2).enumerate() {
            let (name, order) = (format!("encoder.{i}"), WeightOrder::OutIn);
            encoder.push(body.dense(&name, (pair[0], pair[1]), order, self.activation, seed)?);
            let (name, order) = (format!("decoder.{i}"), WeightOrder::InOut);
            let activation = if i == 0 { self.output_activation } else { self.activation };
            let layer = body.dense(&name, (pair[1], pair[0]), order, activation, seed)?;
            let activation = if i == 0 { head.layer_activation() } else { activation };
            decoder.push(layer.with_activation(activation));
        }
        let parameters = encoder.iter().chain(&decoder).flat_map(parameters_of).collect();
        let config = self.clone();
        Ok(Box::new(Model { config, encoder, decoder, head, parameters }))
    }
}

#[derive(Debug)]
struct Model {
    config: StackedDenoising,
    encoder: Vec<Dense>,
    /// The mirror image of each layer of the encoder, in the encoder's order.
    decoder: Vec<Dense>,
    head: Head,
    parameters: Vec<Parameter>,
}

impl Model {
    /// The layer that learns alone at a moment; `None` once all learn together.
    fn learner(&self, phase: Phase) -> Option<usize> {
        let Phase::Train { epochs_done, .. } = phase else { return None };
        let layer = epochs_done as usize / self.config.epochs_per_layer;
        (layer < self.encoder.len()).then_some(layer)
    }

    /// What the first so many layers make of a batch.
    fn encoded(&self, input: &Tensor, n_layers: usize) -> Result<Tensor> {
        let mut activations = input.clone();
        for layer in &self.encoder[..n_layers] {
            activations = layer.forward(&activations, Select::All)?;
        }
        Ok(activations)
    }

    /// What the decoder makes of a latent, the output layer left out.
    fn before_output(&self, latent: &Tensor) -> Result<Tensor> {
        let mut activations = latent.clone();
        for layer in self.decoder[1..].iter().rev() {
            activations = layer.forward(&activations, Select::All)?;
        }
        Ok(activations)
    }

    fn compare(&self, before_output: &Tensor, target: &Tensor, loss: &Loss) -> Result<LossParts> {
        let output = self.decoder[0].with_activation(self.head.loss_activation(loss));
        self.head.parts(&output.forward(before_output, Select::All)?, target, loss)
    }

    fn corrupted(&self, input: &Tensor, context: &Context) -> Result<Tensor> {
        let corruption = self.config.corruption.scaled(context.corruption_strength);
        let Some(corruption) = corruption else { return Ok(input.clone()) };
        let rows = to_matrix(input)?;
        let range = rows
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
        let shape = SampleShape::Vector { len: rows.ncols() };
        let clean = CleanRows { rows: rows.view(), range, shape: &shape };
        let mut values: Vec<f32> = rows.iter().copied().collect();
        corruption.apply(&mut values, &clean, context.seed.child("corruption"))?;
        Ok(Tensor::from_vec(values, input.shape(), input.device())?)
    }
}

impl Autoencoder for Model {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn n_features(&self) -> usize {
        self.encoder[0].n_in()
    }

    fn latent_dim(&self) -> usize {
        self.config.latent_dim
    }

    fn corruption(&self) -> Option<Corruption> {
        None
    }

    fn corrupts_by_itself(&self) -> bool {
        true
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.n_features())?;
        self.encoded(input, self.encoder.len())
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        check_width(input, self.n_features())?;
        let mut hidden = Vec::with_capacity(self.encoder.len());
        for layer in &self.encoder {
            hidden.push(layer.forward(hidden.last().unwrap_or(input), Select::All)?);
        }
        Ok(hidden)
    }

    fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.head.look_through(encoder)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        let before_output = self.before_output(&self.encode(input)?)?;
        self.head.finish(self.decoder[0].forward(&before_output, Select::All)?)
    }

    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        check_width(input, self.n_features())?;
        match self.learner(context.phase) {
            None => {
                let latent = self.encoded(&self.corrupted(input, context)?, self.encoder.len())?;
                self.compare(&self.before_output(&latent)?, target, loss)
            }
            Some(0) => {
                let code = self.encoded(&self.corrupted(input, context)?, 1)?;
                self.compare(&code, target, loss)
            }
            Some(layer) => {
                // The layers below have learnt; they are left as they are.
                let clean = self.encoded(input, layer)?.detach();
                let corrupted = self.corrupted(&clean, context)?;
                let code = self.encoder[layer].forward(&corrupted, Select::All)?;
                let output = self.decoder[layer].forward(&code, Select::All)?;
                LossParts::sum(Loss::Mse.mean(&output, &clean)?, Vec::new())
            }
        }
    }
}
