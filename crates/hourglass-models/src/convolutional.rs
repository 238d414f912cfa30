//! Convolutional autoencoder for images of any size: each layer of the encoder halves the map, each
//! of the decoder doubles it, in one of three ways, and a dense layer between them is the latent.
//!
//! # Source
//! Masci, Meier, Cireşan, Schmidhuber, "Stacked Convolutional Auto-Encoders", ICANN 2011.
//! Upsampling followed by a convolution: Odena, Dumoulin, Olah, "Deconvolution and Checkerboard Artifacts",
//! Distill 2016. Pixel shuffle: Shi et al., arXiv:1609.05158, with weights drawn as in Aitken et
//! al., arXiv:1707.02937 (ICNR). Differs from the first paper: strides instead of max pooling, a
//! dense latent, all layers trained together.

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{
    Activation, BatchNorm, Buffer, Chain, Conv2d, ConvStack, ConvTranspose2d, Corruption, Dense,
    Init, Link, Loss, Parameter, Prelu, Select, WeightOrder, Window, pixel_shuffle,
    upsample_nearest,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{check_width, corruption_words, parameters_of};
use crate::config::{Architecture, linear, name_of};
use crate::head::Head;
use crate::image_loss::ImageLoss;
use crate::maps::{MapSize, as_maps, flat};
use crate::{Autoencoder, ColumnWeights, Context, Error, LossParts, Perceptual, Result};

/// How the decoder doubles a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// A transposed convolution, the mirror image of the encoder's layer.
    #[default]
    Transposed,
    /// Every pixel repeated, then a convolution: no checkerboard.
    Resize,
    /// A convolution to four times the channels, rearranged into blocks of four pixels.
    PixelShuffle,
}

/// Hyperparameters of the convolutional autoencoder; the latent is linear by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Convolutional {
    /// Channels of the encoder's layers, each of which halves the map; one or more. The decoder
    /// mirrors them.
    pub channels: Vec<usize>,
    /// Width of the latent; 1 or more.
    pub latent_dim: usize,
    /// Height and width of the windows; odd. Default: 3.
    #[serde(default = "three")]
    pub kernel: usize,
    /// How the decoder doubles a map. Default: `transposed`.
    #[serde(default)]
    pub upsampling: Upsampling,
    /// Activation of the convolutions. Default: `relu`.
    #[serde(default)]
    pub activation: Activation,
    /// Whether the convolutions have rectifiers with a trained slope below 0, one a channel (PReLU:
    /// He et al., arXiv:1502.01852), in place of `activation`. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prelu: bool,
    /// Activation of the latent. Default: `linear`.
    #[serde(default = "linear")]
    pub latent_activation: Activation,
    /// Activation of the output; it must reach the range of the prepared data. Default: `linear`.
    #[serde(default = "linear")]
    pub output_activation: Activation,
    /// Whether each convolution but the last is normalised over the batch. Default: `false`.
    #[serde(default)]
    pub batch_norm: bool,
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

fn three() -> usize {
    3
}

impl Convolutional {
    /// These channels and this latent, and the default of every other key.
    pub fn new(channels: Vec<usize>, latent_dim: usize) -> Self {
        Convolutional {
            channels,
            latent_dim,
            kernel: three(),
            upsampling: Upsampling::default(),
            activation: Activation::default(),
            prelu: false,
            latent_activation: linear(),
            output_activation: linear(),
            batch_norm: false,
            init: None,
            corruption: None,
            image_loss: None,
            perceptual: None,
        }
    }

    pub(crate) fn examples() -> Vec<Self> {
        let one =
            Convolutional { activation: Activation::Elu, ..Convolutional::new(vec![8, 16], 16) };
        let with = |upsampling| Convolutional { upsampling, ..one.clone() };
        vec![
            with(Upsampling::Transposed),
            with(Upsampling::Resize),
            with(Upsampling::PixelShuffle),
            Convolutional { batch_norm: true, ..with(Upsampling::Resize) },
            Convolutional { image_loss: Some(ImageLoss::Edges { weight: 0.05 }), ..one.clone() },
            Convolutional { prelu: true, activation: Activation::Relu, ..one.clone() },
        ]
    }

    fn init_for(&self, activation: Activation) -> Init {
        self.init.unwrap_or(Init::for_activation(activation))
    }

    /// What an inner layer applies by itself.
    fn own_activation(&self) -> Activation {
        if self.prelu { Activation::Linear } else { self.activation }
    }

    /// The rectifier with trained slopes that follows a layer, where they are asked for.
    fn prelu_of(&self, layer: &str, n_channels: usize) -> Result<Option<Prelu>> {
        let name = format!("{layer}.prelu");
        Ok(self.prelu.then(|| Prelu::new(&name, n_channels)).transpose()?)
    }
}

impl Architecture for Convolutional {
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
        let channels: Vec<String> = self.channels.iter().map(usize::to_string).collect();
        let upsampling = match self.upsampling {
            Upsampling::Transposed => "transposed convolutions",
            Upsampling::Resize => "upsampling and convolutions",
            Upsampling::PixelShuffle => "pixel shuffle",
        };
        format!(
            "{n_features} pixels, {} channels of {k} x {k} down to {}, back by {upsampling}{}",
            channels.join("-"),
            self.latent_dim,
            corruption_words(self.corruption),
            k = self.kernel,
        )
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        if self.channels.is_empty() || self.channels.contains(&0) {
            let found = format!("{:?}", self.channels);
            return Err(Error::config("channels", found, "one number of 1 or more, or several"));
        }
        if self.latent_dim == 0 {
            return Err(Error::config("latent_dim", 0, "1 or more"));
        }
        if self.kernel.is_multiple_of(2) {
            return Err(Error::config("kernel", self.kernel, "odd"));
        }
        if self.prelu && self.activation != Activation::Relu {
            let expected = "`relu`, or absent, where `prelu` is true";
            return Err(Error::config("activation", name_of(self.activation), expected));
        }
        self.image_loss.map_or(Ok(()), ImageLoss::check)?;
        self.perceptual.as_ref().map_or(Ok(()), Perceptual::check)?;
        Ok(self.corruption.map_or(Ok(()), Corruption::check)?)
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        let size = MapSize::of(shape, "convolutional")?;
        Ok(Box::new(Model::new(self, shape, size, seed)?))
    }
}

/// A convolution of the encoder, or of the decoder after its map was doubled.
#[derive(Debug)]
enum Kernel {
    Plain(Conv2d),
    Transposed(ConvTranspose2d),
}

/// A convolution with what surrounds it.
#[derive(Debug)]
struct Layer {
    kernel: Kernel,
    /// How the decoder changes the map's size.
    upsampling: Option<Upsampling>,
    norm: Option<BatchNorm>,
    /// Height and width of what it makes.
    size: [usize; 2],
    /// What follows the normalisation or the shuffle; elsewhere the kernel has it.
    activation: Activation,
    /// What follows in its place.
    prelu: Option<Prelu>,
}

impl Layer {
    fn forward(&self, input: &Tensor, is_training: bool) -> Result<Tensor> {
        let resized = match self.upsampling {
            Some(Upsampling::Resize) => upsample_nearest(input, self.size)?,
            _ => input.clone(),
        };
        let mut output = match &self.kernel {
            Kernel::Plain(conv) => conv.forward(&resized)?,
            Kernel::Transposed(conv) => conv.forward(&resized)?,
        };
        if self.upsampling == Some(Upsampling::PixelShuffle) {
            // Twice the smaller map may be a pixel more than the larger one.
            let [height, width] = self.size;
            output = pixel_shuffle(&output, 2)?.narrow(2, 0, height)?.narrow(3, 0, width)?;
        }
        if let Some(norm) = &self.norm {
            output = norm.forward(&output.contiguous()?, is_training)?;
        }
        match &self.prelu {
            Some(prelu) => Ok(prelu.forward(&output.contiguous()?)?),
            None => Ok(self.activation.forward(&output)?),
        }
    }

    /// Adds it to a stack of convolutions, unless something stands between them.
    fn stacked(&self, stack: ConvStack) -> Option<ConvStack> {
        let is_bare = self.norm.is_none() && self.prelu.is_none();
        match (&self.kernel, self.upsampling) {
            (Kernel::Plain(conv), None) if is_bare => Some(stack.then(conv)),
            (Kernel::Transposed(conv), _) if is_bare => Some(stack.then_transposed(conv)),
            _ => None,
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = match &self.kernel {
            Kernel::Plain(conv) => conv.parameters(),
            Kernel::Transposed(conv) => conv.parameters(),
        };
        parameters.extend(self.norm.iter().flat_map(BatchNorm::parameters));
        parameters.extend(self.prelu.iter().map(|prelu| prelu.slope().clone()));
        parameters
    }
}

#[derive(Debug)]
struct Model {
    encoder: Vec<Layer>,
    latent: Dense,
    unfold: Dense,
    /// What follows the maps that it unfolds, where slopes are trained.
    unfold_prelu: Option<Prelu>,
    decoder: Vec<Layer>,
    head: Head,
    input: MapSize,
    /// The smallest maps.
    inner: MapSize,
    corruption: Option<Corruption>,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
}

impl Model {
    fn new(
        config: &Convolutional,
        shape: &SampleShape,
        input: MapSize,
        seed: Seed,
    ) -> Result<Self> {
        let n_layers = config.channels.len();
        let mut sizes = vec![input];
        for &channels in &config.channels {
            sizes.push(sizes[sizes.len() - 1].halved(channels));
        }
        let inner = sizes[n_layers];
        let encoder = sizes.windows(2).enumerate().map(|(i, pair)| down(config, i, pair, seed));
        let encoder = encoder.collect::<Result<Vec<_>>>()?;
        let upwards: Vec<MapSize> = sizes.iter().rev().copied().collect();
        let decoder = upwards.windows(2).enumerate().map(|(i, pair)| up(config, i, pair, seed));
        let decoder = decoder.collect::<Result<Vec<_>>>()?;
        let dense = |name: &str, widths, order, activation| {
            let init = config.init_for(activation);
            Dense::new(name, widths, order, activation, init, seed)
        };
        let (n_inner, n_latent) = (inner.n_values(), config.latent_dim);
        let name = format!("encoder.{n_layers}");
        let (order, activation) = (WeightOrder::OutIn, config.latent_activation);
        let latent = dense(&name, (n_inner, n_latent), order, activation)?;
        let order = WeightOrder::InOut;
        let unfold = dense("decoder.unfold", (n_latent, n_inner), order, config.activation)?;
        let unfold_prelu = config.prelu_of("decoder.unfold", inner.channels)?;
        let unfold = match unfold_prelu {
            Some(_) => unfold.with_activation(Activation::Linear),
            None => unfold,
        };
        let mut parameters: Vec<_> = encoder.iter().flat_map(Layer::parameters).collect();
        parameters.extend(parameters_of(&latent));
        parameters.extend(parameters_of(&unfold));
        parameters.extend(unfold_prelu.iter().map(|prelu| prelu.slope().clone()));
        parameters.extend(decoder.iter().flat_map(Layer::parameters));
        let norms = encoder.iter().chain(&decoder).filter_map(|layer| layer.norm.as_ref());
        let buffers = norms.flat_map(BatchNorm::buffers).collect();
        let head = Head::new(shape, config.output_activation, ColumnWeights::default())
            .with_views(shape, config.image_loss, config.perceptual.as_ref())?;
        let corruption = config.corruption;
        Ok(Model {
            encoder,
            latent,
            unfold,
            unfold_prelu,
            decoder,
            head,
            input,
            inner,
            corruption,
            parameters,
            buffers,
        })
    }

    /// The activations of every layer of the encoder.
    fn activations(&self, input: &Tensor, context: &Context) -> Result<Vec<Tensor>> {
        check_width(input, self.input.n_values())?;
        let mut maps = as_maps(input, self.input)?;
        let mut all = Vec::with_capacity(self.encoder.len() + 1);
        for layer in &self.encoder {
            maps = layer.forward(&maps, context.is_training())?;
            all.push(flat(&maps)?);
        }
        all.push(self.latent.forward(&all[all.len() - 1], Select::All)?);
        Ok(all)
    }

    /// From a sample to its reconstruction with this activation, one row a sample. Nothing in
    /// between is looked at, so that layers which follow each other are one operation.
    fn reconstruction(
        &self,
        input: &Tensor,
        activation: Activation,
        context: &Context,
    ) -> Result<Tensor> {
        check_width(input, self.input.n_values())?;
        let inner = match stack_of(&self.encoder) {
            Some(stack) => stack.forward_flat(input, self.input.size)?,
            None => flat(&run(&self.encoder, as_maps(input, self.input)?, context)?)?,
        };
        let dense = [&self.latent, &self.unfold].map(|layer| Link::new(layer.clone()));
        let mut inner = Chain::new(dense.to_vec()).forward(&inner)?;
        if let Some(prelu) = &self.unfold_prelu {
            inner = flat(&prelu.forward(&as_maps(&inner, self.inner)?)?)?;
        }
        match stack_of(&self.decoder) {
            Some(stack) => {
                Ok(stack.with_activation(activation).forward_flat(&inner, self.inner.size)?)
            }
            None => {
                let output = run(&self.decoder, as_maps(&inner, self.inner)?, context)?;
                Ok(activation.forward(&flat(&output)?)?)
            }
        }
    }
}

/// The maps that layers one after another make.
fn run(layers: &[Layer], maps: Tensor, context: &Context) -> Result<Tensor> {
    layers.iter().try_fold(maps, |maps, layer| layer.forward(&maps, context.is_training()))
}

/// Layers as one operation, where nothing stands between them.
fn stack_of(layers: &[Layer]) -> Option<ConvStack> {
    layers.iter().try_fold(ConvStack::default(), |stack, layer| layer.stacked(stack))
}

/// An activation as the kernel's part and as what follows it.
fn placed(activation: Activation, is_within: bool) -> (Activation, Activation) {
    let linear = Activation::Linear;
    if is_within { (activation, linear) } else { (linear, activation) }
}

/// A layer of the encoder, from one size to the next smaller one.
fn down(config: &Convolutional, index: usize, pair: &[MapSize], seed: Seed) -> Result<Layer> {
    let (name, k) = (format!("encoder.{index}"), config.kernel);
    let (window, channels) = (Window::square(k, 2, k / 2), (pair[0].channels, pair[1].channels));
    let init = config.init_for(config.activation);
    let (within, activation) = placed(config.own_activation(), !config.batch_norm);
    let conv = Conv2d::new(&name, channels, window, within, init, seed)?;
    let norm = match config.batch_norm {
        true => Some(BatchNorm::new(&format!("{name}.norm"), pair[1].channels)?),
        false => None,
    };
    let kernel = Kernel::Plain(if norm.is_some() { conv.without_bias() } else { conv });
    let (size, prelu) = (pair[1].size, config.prelu_of(&name, pair[1].channels)?);
    Ok(Layer { kernel, upsampling: None, norm, size, activation, prelu })
}

/// A layer of the decoder, from one size to the next larger one. The last one is linear: the head
/// knows which activation it needs.
fn up(config: &Convolutional, index: usize, pair: &[MapSize], seed: Seed) -> Result<Layer> {
    let is_last = index + 1 == config.channels.len();
    let (name, k) = (format!("decoder.{index}"), config.kernel);
    let channels = (pair[0].channels, pair[1].channels);
    let suits = if is_last { config.output_activation } else { config.activation };
    let init = config.init_for(suits);
    let norm = match config.batch_norm && !is_last {
        true => Some(BatchNorm::new(&format!("{name}.norm"), pair[1].channels)?),
        false => None,
    };
    let own = if is_last { Activation::Linear } else { config.own_activation() };
    let is_within = norm.is_none() && config.upsampling != Upsampling::PixelShuffle;
    let (within, activation) = placed(own, is_within);
    let same = Window::square(k, 1, k / 2);
    let kernel = match config.upsampling {
        Upsampling::Transposed => {
            let window = Window::square(k, 2, k / 2);
            // An odd kernel covers 2 n - 1 pixels; an even map has one more.
            let extra = pair[1].size.map(|n| 1 - n % 2);
            let conv = ConvTranspose2d::new(&name, channels, window, extra, within, init, seed)?;
            Kernel::Transposed(if norm.is_some() { conv.without_bias() } else { conv })
        }
        Upsampling::Resize => {
            let conv = Conv2d::new(&name, channels, same, within, init, seed)?;
            Kernel::Plain(if norm.is_some() { conv.without_bias() } else { conv })
        }
        Upsampling::PixelShuffle => {
            let conv = Conv2d::sub_pixel(&name, channels, 2, same, init, seed)?;
            Kernel::Plain(if norm.is_some() { conv.without_bias() } else { conv })
        }
    };
    let prelu = if is_last { None } else { config.prelu_of(&name, pair[1].channels)? };
    let (size, upsampling) = (pair[1].size, Some(config.upsampling));
    Ok(Layer { kernel, upsampling, norm, size, activation, prelu })
}

impl Autoencoder for Model {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    fn n_features(&self) -> usize {
        self.input.n_values()
    }

    fn latent_dim(&self) -> usize {
        self.latent.n_out()
    }

    fn corruption(&self) -> Option<Corruption> {
        self.corruption
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        let mut all = self.hidden(input)?;
        Ok(all.swap_remove(all.len() - 1))
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        self.activations(input, &Context::as_used())
    }

    fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.head.look_through(encoder)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        let activation = self.head.layer_activation();
        self.head.finish(self.reconstruction(input, activation, &Context::as_used())?)
    }

    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        let activation = self.head.loss_activation(loss);
        let output = self.reconstruction(input, activation, context)?;
        self.head.parts(&output, target, loss)
    }
}
