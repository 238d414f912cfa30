//! Convolutional winner-take-all autoencoder: of each map only the largest value survives training,
//! and of those only the largest share over the batch, so that filters become strokes.
//!
//! # Source
//! Makhzani and Frey, "Winner-Take-All Autoencoders", arXiv:1409.2752, section 3. As there, the
//! sparsity holds in training only, the decoder is one transposed convolution with larger windows,
//! and samples are encoded by the rectified maps, max-pooled. Differs from the paper: winners are
//! chosen before the rectifier by default, so that no filter can die.

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{
    Activation, Conv2d, ConvStack, ConvTranspose2d, Corruption, Init, Loss, Parameter, Window,
    max_pool2d, reconstruct_from_winners,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{check_width, corruption_words};
use crate::config::{Architecture, linear};
use crate::head::Head;
use crate::maps::{MapSize, as_maps, flat};
use crate::{Autoencoder, ColumnWeights, Context, Error, ImageLoss, LossParts, Perceptual, Result};

/// Hyperparameters of the convolutional winner-take-all autoencoder. Its latent is what the pooled
/// maps hold, so its width follows from the size of the images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConvolutionalWinnerTakeAll {
    /// Channels of the encoder's layers; one or more. The paper has two of 128.
    pub channels: Vec<usize>,
    /// Height and width of the encoder's windows; odd. Default: 5.
    #[serde(default = "five")]
    pub kernel: usize,
    /// Height and width of the decoder's windows; odd. Default: 11.
    #[serde(default = "eleven")]
    pub decoder_kernel: usize,
    /// Share of a batch for which a map is active in training; in `(0, 1]`. Default: none, every
    /// map is active for every image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_share: Option<f32>,
    /// Whether winners are chosen before the last rectifier, which is then applied for features
    /// only. Default: `true`; the paper has `false`.
    #[serde(default = "yes")]
    pub rectify_after: bool,
    /// Height and width of the regions whose largest value is a feature; 1 or more, and at most
    /// the map. Default: 5.
    #[serde(default = "five")]
    pub pool: usize,
    /// Pixels from one region to the next; 1 or more. Default: 2.
    #[serde(default = "two")]
    pub pool_stride: usize,
    /// Activation of the output; it must reach the range of the prepared data. Default: `linear`.
    #[serde(default = "linear")]
    pub output_activation: Activation,
    /// How weights are drawn. Default: what suits the activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// What is done to the input during training. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corruption: Option<Corruption>,
    /// What images are compared by beside their pixels. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_loss: Option<ImageLoss>,
    /// A comparison in the features of an encoder that an earlier run trained. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perceptual: Option<Perceptual>,
}

fn two() -> usize {
    2
}

fn five() -> usize {
    5
}

fn eleven() -> usize {
    11
}

fn yes() -> bool {
    true
}

impl ConvolutionalWinnerTakeAll {
    /// These channels, and the default of every other key.
    pub fn new(channels: Vec<usize>) -> Self {
        ConvolutionalWinnerTakeAll {
            channels,
            kernel: five(),
            decoder_kernel: eleven(),
            lifetime_share: None,
            rectify_after: yes(),
            pool: five(),
            pool_stride: two(),
            output_activation: linear(),
            init: None,
            corruption: None,
            image_loss: None,
            perceptual: None,
        }
    }

    pub(crate) fn examples() -> Vec<Self> {
        let one = ConvolutionalWinnerTakeAll {
            kernel: 3,
            decoder_kernel: 7,
            pool: 3,
            ..ConvolutionalWinnerTakeAll::new(vec![8, 100])
        };
        let lifetime = ConvolutionalWinnerTakeAll {
            lifetime_share: Some(0.9),
            rectify_after: false,
            ..one.clone()
        };
        vec![one, lifetime]
    }
}

impl Architecture for ConvolutionalWinnerTakeAll {
    fn latent_dim(&self) -> Option<usize> {
        None
    }

    fn output_activation(&self) -> Activation {
        self.output_activation
    }

    fn perceptual(&self) -> Option<Perceptual> {
        self.perceptual.clone()
    }

    fn describe(&self, n_features: usize) -> String {
        let channels: Vec<String> = self.channels.iter().map(usize::to_string).collect();
        let lifetime = match self.lifetime_share {
            Some(share) => format!(", {:.1} % of a batch for each map", share * 100.0),
            None => String::new(),
        };
        format!(
            "{n_features} pixels, {} maps by {k} x {k}, back by {d} x {d}, one winner a map\
             {lifetime}, pooled over {p} x {p}{}",
            channels.join("-"),
            corruption_words(self.corruption),
            k = self.kernel,
            d = self.decoder_kernel,
            p = self.pool,
        )
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        if self.channels.is_empty() || self.channels.contains(&0) {
            let found = format!("{:?}", self.channels);
            return Err(Error::config("channels", found, "one number of 1 or more, or several"));
        }
        for (key, kernel) in [("kernel", self.kernel), ("decoder_kernel", self.decoder_kernel)] {
            if kernel.is_multiple_of(2) {
                return Err(Error::config(key, kernel, "odd"));
            }
        }
        for (key, value) in [("pool", self.pool), ("pool_stride", self.pool_stride)] {
            if value == 0 {
                return Err(Error::config(key, 0, "1 or more"));
            }
        }
        if let Some(share) = self.lifetime_share
            && !(share > 0.0 && share <= 1.0)
        {
            return Err(Error::config("lifetime_share", share, "above 0 and at most 1"));
        }
        self.image_loss.map_or(Ok(()), ImageLoss::check)?;
        self.perceptual.as_ref().map_or(Ok(()), Perceptual::check)?;
        Ok(self.corruption.map_or(Ok(()), Corruption::check)?)
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        let input = MapSize::of(shape, "convolutional_winner_take_all")?;
        let init = self.init.unwrap_or(Init::for_activation(Activation::Relu));
        let window = Window::square(self.kernel, 1, self.kernel / 2);
        let mut encoder = Vec::new();
        let mut n_in = input.channels;
        for (i, &n_out) in self.channels.iter().enumerate() {
            let is_last = i + 1 == self.channels.len();
            let activation = if is_last { Activation::Linear } else { Activation::Relu };
            let name = format!("encoder.{i}");
            encoder.push(Conv2d::new(&name, (n_in, n_out), window, activation, init, seed)?);
            n_in = n_out;
        }
        let window = Window::square(self.decoder_kernel, 1, self.decoder_kernel / 2);
        let (channels, linear) = ((n_in, input.channels), Activation::Linear);
        let init = self.init.unwrap_or(Init::for_activation(self.output_activation));
        let decoder =
            ConvTranspose2d::new("decoder", channels, window, [0, 0], linear, init, seed)?;
        let mut parameters: Vec<_> = encoder.iter().flat_map(Conv2d::parameters).collect();
        parameters.extend(decoder.parameters());
        let pool = Window {
            kernel: input.size.map(|n| self.pool.min(n)),
            stride: [self.pool_stride; 2],
            padding: [0, 0],
        };
        let pooled = pool.positions(input.size).expect("the regions are no larger than the map");
        let latent_dim = n_in * pooled[0] * pooled[1];
        let head = Head::new(shape, self.output_activation, ColumnWeights::default()).with_views(
            shape,
            self.image_loss,
            self.perceptual.as_ref(),
        )?;
        let config = self.clone();
        Ok(Box::new(Model { config, input, encoder, decoder, pool, latent_dim, head, parameters }))
    }
}

#[derive(Debug)]
struct Model {
    config: ConvolutionalWinnerTakeAll,
    input: MapSize,
    encoder: Vec<Conv2d>,
    decoder: ConvTranspose2d,
    pool: Window,
    latent_dim: usize,
    head: Head,
    parameters: Vec<Parameter>,
}

impl Model {
    /// The maps of the last layer after its rectifier.
    fn last_maps(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.input.n_values())?;
        let stack = self.encoder.iter().fold(ConvStack::default(), ConvStack::then);
        Ok(stack.with_activation(Activation::Relu).forward(&as_maps(input, self.input)?)?)
    }

    /// The output with this activation, out of the winners alone; one row a sample.
    fn reconstruction(&self, input: &Tensor, activation: Activation) -> Result<Tensor> {
        check_width(input, self.input.n_values())?;
        let (last, before) = self.encoder.split_last().expect("there is a layer");
        let mut maps = as_maps(input, self.input)?;
        if !before.is_empty() {
            maps = before.iter().fold(ConvStack::default(), ConvStack::then).forward(&maps)?;
        }
        let last = match self.config.rectify_after {
            true => last.clone(),
            false => last.with_activation(Activation::Relu),
        };
        let decoder = self.decoder.with_activation(activation);
        let share = self.config.lifetime_share;
        flat(&reconstruct_from_winners(&last, &decoder, &maps, share)?)
    }
}

impl Autoencoder for Model {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn n_features(&self) -> usize {
        self.input.n_values()
    }

    fn latent_dim(&self) -> usize {
        self.latent_dim
    }

    fn corruption(&self) -> Option<Corruption> {
        self.config.corruption
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        let maps = self.last_maps(input)?;
        flat(&max_pool2d(&maps, self.pool)?)
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        check_width(input, self.input.n_values())?;
        let (last, before) = self.encoder.split_last().expect("there is a layer");
        let mut maps = as_maps(input, self.input)?;
        let mut hidden = Vec::with_capacity(self.encoder.len());
        for layer in before {
            maps = layer.forward(&maps)?;
            hidden.push(flat(&maps)?);
        }
        let rectified = last.with_activation(Activation::Relu).forward(&maps)?;
        hidden.push(flat(&max_pool2d(&rectified, self.pool)?)?);
        Ok(hidden)
    }

    fn n_hidden_values(&self) -> Option<usize> {
        let [height, width] = self.input.size;
        Some(self.config.channels.iter().sum::<usize>() * height * width)
    }

    fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.head.look_through(encoder)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        self.head.finish(self.reconstruction(input, self.head.layer_activation())?)
    }

    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        _context: &Context,
    ) -> Result<LossParts> {
        let output = self.reconstruction(input, self.head.loss_activation(loss))?;
        self.head.parts(&output, target, loss)
    }
}
