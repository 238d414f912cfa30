//! The fully connected decoder that the models share: hidden layers that mirror the encoder's, the
//! output layer, and the head that finishes and compares its output. It knows no encoder, save
//! that it may borrow its weights.

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{Buffer, Dense, Link, Loss, Parameter, Select, WeightOrder};

use crate::body::{Body, Stack, parameters_of};
use crate::head::Head;
use crate::{Autoencoder, Context, LossParts, Result};

/// From a latent to a reconstruction.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    hidden: Stack,
    output: Dense,
    head: Head,
    is_tied: bool,
}

impl Decoder {
    /// A decoder with weights of its own.
    pub fn new(body: &Body, shape: &SampleShape, seed: Seed) -> Result<Self> {
        let head = body.head(shape)?;
        let hidden = body.decoder(seed)?;
        let n_in = *body.hidden_dims.first().unwrap_or(&body.latent_dim);
        let name = format!("decoder.{}", body.hidden_dims.len());
        let widths = (n_in, shape.n_features());
        // Drawn for the activation that people read in the file, whatever the head makes of it.
        let init = body.init_for(body.output_activation);
        let activation = head.layer_activation();
        let output = Dense::new(&name, widths, WeightOrder::InOut, activation, init, seed)?;
        Ok(Decoder { hidden, output, head, is_tied: false })
    }

    /// A decoder that reads the weights of these encoder layers, transposed, the latent's last.
    pub fn tied_to(encoder: &[Dense], body: &Body, shape: &SampleShape) -> Result<Self> {
        let head = body.head(shape)?;
        let mirrored = |i: usize, activation| {
            Dense::tied_to(&encoder[encoder.len() - 1 - i], &format!("decoder.{i}"), activation)
        };
        let last = encoder.len() - 1;
        let hidden: Result<_, _> = (0..last).map(|i| mirrored(i, body.activation)).collect();
        let hidden = Stack::of("decoder", hidden?, body)?;
        let output = mirrored(last, head.layer_activation())?;
        Ok(Decoder { hidden, output, head, is_tied: true })
    }

    /// The losses of a batch. The latent may be known to be zero but for a few entries.
    pub fn loss(
        &self,
        latent: &Tensor,
        is_sparse: bool,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        let output = self.output.with_activation(self.head.loss_activation(loss));
        self.head.parts(&self.forward(latent, is_sparse, &output, context)?, target, loss)
    }

    /// The same where values of the input that aren't the target's count more.
    pub fn emphasised_loss(
        &self,
        latent: &Tensor,
        (input, target): (&Tensor, &Tensor),
        emphasis: f32,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        let output = self.output.with_activation(self.head.loss_activation(loss));
        let output = self.forward(latent, false, &output, context)?;
        let reconstruction = self.head.emphasised(&output, input, target, loss, emphasis)?;
        LossParts::sum(reconstruction, self.head.views(&output, target, loss)?)
    }

    /// Gives the perceptual loss its encoder.
    pub fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.head.look_through(encoder)
    }

    /// The reconstruction of a batch.
    pub fn reconstruct(&self, latent: &Tensor, is_sparse: bool) -> Result<Tensor> {
        let output = self.forward(latent, is_sparse, &self.output, &Context::as_used())?;
        self.head.finish(output)
    }

    /// Everything up to what the loss compares as links of a chain; `None` where something stands
    /// between the layers, or there is more than the mean loss of the file.
    pub fn links(&self, is_sparse: bool, loss: &Loss, context: &Context) -> Option<Vec<Link>> {
        let mut links = self.hidden.links(context).filter(|_| self.head.is_plain())?;
        let output = self.output.with_activation(self.head.loss_activation(loss));
        links.push(Link::new(output));
        if is_sparse {
            let first = links.remove(0);
            links.insert(0, first.with_sparse_input());
        }
        Some(links)
    }

    fn forward(
        &self,
        latent: &Tensor,
        is_sparse: bool,
        output: &Dense,
        context: &Context,
    ) -> Result<Tensor> {
        let n_hidden = self.hidden.layers().len();
        let mut activations = latent.clone();
        for index in 0..n_hidden {
            let is_sparse = is_sparse && index == 0;
            activations = self.hidden.layer(index, &activations, is_sparse, context)?;
        }
        if is_sparse && n_hidden == 0 {
            return Ok(output.forward_sparse(&activations)?);
        }
        Ok(output.forward(&activations, Select::All)?)
    }

    /// Its own layers, the output's last.
    pub fn layers(&self) -> impl Iterator<Item = &Dense> {
        self.hidden.layers().iter().chain([&self.output])
    }

    /// What it trains beside borrowed weights, in a fixed order.
    pub fn parameters(&self) -> Vec<Parameter> {
        if !self.is_tied {
            return [self.hidden.parameters(), parameters_of(&self.output)].concat();
        }
        let borrowed = |parameter: &Parameter| {
            self.layers().any(|layer| layer.weight().name() == parameter.name())
        };
        let mut own = self.hidden.parameters();
        own.retain(|parameter| !borrowed(parameter));
        own.push(self.output.bias().clone());
        own
    }

    /// What it keeps but does not train, in a fixed order.
    pub fn buffers(&self) -> Vec<Buffer> {
        self.hidden.buffers()
    }
}
