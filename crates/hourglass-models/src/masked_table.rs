//! Masked autoencoder for tables: from a row with replaced values, one head says which of them were
//! replaced, the other what stood there before.
//!
//! # Source
//! Yoon, Zhang, Jordon, van der Schaar, "VIME: Extending the Success of Self- and Semi-supervised
//! Learning to Tabular Domain", NeurIPS 2020, the self-supervised part. As in the authors' code, a
//! value counts as replaced where it differs from the clean one. Differs from it: the value head
//! mirrors the encoder and takes mixed tables.

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{
    Activation, Buffer, Corruption, Dense, Init, Loss, Parameter, Select, WeightOrder,
};

use crate::body::{Encoder, body_config, check_width, corruption_words, parameters_of};
use crate::config::Architecture;
use crate::decoder::Decoder;
use crate::denoising::check_emphasis;
use crate::{Autoencoder, Context, Error, LossParts, Perceptual, Result};

body_config! {
    /// Hyperparameters of the masked autoencoder for tables.
    MaskedTable
    shared {
        /// Activation of the latent. Default: `relu`.
        #[serde(default)]
        latent_activation: Activation = Activation::default(),
        /// Weight of the head that finds the replaced values, beside the reconstruction; above 0.
        /// Default: 0.5, as in the paper, where the reconstruction counts twice.
        #[serde(default = "half")]
        mask_weight: f32 = half(),
        /// Weight of a replaced value in the reconstruction, beside 1 for the others; above 0. A
        /// category counts as replaced as a whole. Default: 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emphasis: Option<f32> = None,
    }
    own {
        /// What replaces values during training; the paper swaps 30 % of them with those of other
        /// rows.
        corruption: Corruption,
    }
}

fn half() -> f32 {
    0.5
}

impl MaskedTable {
    pub(crate) fn examples() -> Vec<Self> {
        let corruption = Corruption::Masking { share: 0.1 };
        let plain = MaskedTable {
            hidden_dims: vec![40],
            activation: Activation::Tanh,
            latent_activation: Activation::Tanh,
            ..MaskedTable::new(30, corruption)
        };
        vec![MaskedTable { emphasis: Some(2.0), ..plain.clone() }, plain]
    }
}

impl Architecture for MaskedTable {
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
            "{}, mask and value heads{}",
            self.body().describe(n_features),
            corruption_words(Some(self.corruption))
        )
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        self.body().check()?;
        if !(self.mask_weight > 0.0 && self.mask_weight.is_finite()) {
            return Err(Error::config("mask_weight", self.mask_weight, "above 0"));
        }
        check_emphasis(self.emphasis)?;
        Ok(self.corruption.check()?)
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        let body = self.body();
        let n_features = shape.n_features();
        let encoder = body.encoder(shape, seed)?;
        let latent = body.latent(&encoder, self.latent_activation, "", seed)?;
        let decoder = Decoder::new(&body, shape, seed)?;
        let (widths, init) = ((self.latent_dim, n_features), Init::GlorotUniform);
        let (order, activation) = (WeightOrder::InOut, Activation::Linear);
        let mask = Dense::new("mask", widths, order, activation, init, seed)?;
        let parameters = [
            encoder.parameters(),
            parameters_of(&latent),
            decoder.parameters(),
            parameters_of(&mask),
        ]
        .concat();
        let buffers = [encoder.buffers(), decoder.buffers()].concat();
        let config = self.clone();
        Ok(Box::new(Model {
            config,
            n_features,
            encoder,
            latent,
            decoder,
            mask,
            parameters,
            buffers,
        }))
    }
}

#[derive(Debug)]
struct Model {
    config: MaskedTable,
    n_features: usize,
    encoder: Encoder,
    latent: Dense,
    decoder: Decoder,
    mask: Dense,
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
        self.config.latent_dim
    }

    fn corruption(&self) -> Option<Corruption> {
        Some(self.config.corruption)
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.n_features)?;
        let hidden = self.encoder.forward(input, &Context::as_used())?;
        Ok(self.latent.forward(&hidden, Select::All)?)
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        check_width(input, self.n_features)?;
        let embedded = self.encoder.embed(input)?;
        let mut hidden = self.encoder.stack().hidden(&embedded, &Context::as_used())?;
        hidden.push(self.latent.forward(hidden.last().unwrap_or(&embedded), Select::All)?);
        Ok(hidden)
    }

    fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.decoder.look_through(encoder)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        self.decoder.reconstruct(&self.encode(input)?, false)
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
        let latent = self.latent.forward(&hidden, Select::All)?;
        let compared = match self.config.emphasis {
            Some(emphasis) => {
                self.decoder.emphasised_loss(&latent, (input, target), emphasis, loss, context)?
            }
            None => self.decoder.loss(&latent, false, target, loss, context)?,
        };
        let replaced = input.ne(target)?.to_dtype(input.dtype())?;
        let found = self.mask.forward(&latent, Select::All)?;
        let mask = (Loss::Bce.mean(&found, &replaced)? * f64::from(self.config.mask_weight))?;
        compared.and(vec![("mask", mask)])
    }
}
