//! What every fully connected model is made of, whatever lies between encoder and decoder: its
//! shared keys in the pipeline file ([`Body`]), and stacks of hidden layers. It knows no latent
//! and no loss.

use candle_core::Tensor;
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{
    Activation, BatchNorm, Buffer, Corruption, Dense, Dropout, Init, LayerNorm, Link, Parameter,
    Prelu, Select, WeightOrder,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::name_of;
use crate::embedding::Embedding;
use crate::head::Head;
use crate::{ColumnWeights, Context, Error, ImageLoss, Perceptual, Result};

/// What normalises a hidden layer, between its product and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Each unit over the batch: Ioffe and Szegedy, arXiv:1502.03167.
    Batch,
    /// Each sample over its units: Ba, Kiros, Hinton, arXiv:1607.06450.
    Layer,
}

/// Declares a configuration with the keys that every fully connected model has.
macro_rules! body_config {
    (
        $(#[$meta:meta])*
        $name:ident
        shared {
            $($(#[$shared_meta:meta])* $shared:ident: $shared_kind:ty = $default:expr,)*
        }
        own { $($(#[$own_meta:meta])* $own:ident: $own_kind:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[derive(schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Widths of the encoder's layers between the input and the latent; the decoder
            /// mirrors them. Default: none.
            #[serde(default)]
            pub hidden_dims: Vec<usize>,
            /// Width of the latent; 1 or more.
            pub latent_dim: usize,
            /// Activation of the hidden layers. Default: `relu`.
            #[serde(default)]
            pub activation: hourglass_nn::Activation,
            /// Whether the hidden layers have a rectifier with a trained slope below 0, one a unit
            /// (PReLU: He et al., arXiv:1502.01852), in place of `activation`. Default: `false`.
            #[serde(default, skip_serializing_if = "std::ops::Not::not")]
            pub prelu: bool,
            /// Activation of the output; it must reach the range of the prepared data. Default:
            /// `linear`.
            #[serde(default = "crate::config::linear")]
            pub output_activation: hourglass_nn::Activation,
            /// How weights are drawn. Default: what suits the activation.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub init: Option<hourglass_nn::Init>,
            /// What normalises the hidden layers, between product and activation. Default: nothing.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub normalisation: Option<crate::Normalisation>,
            /// Share of the hidden units that are switched off in a step of training, in `[0, 1)`;
            /// alpha dropout where the activation is `selu`. Default: 0.
            #[serde(default, skip_serializing_if = "crate::body::is_zero")]
            pub dropout: f32,
            /// Width of the vector that stands for a level of a category in front of the first
            /// layer, 1 or more; categories with fewer levels have vectors as wide as they have
            /// levels. Vectors are learnt with the autoencoder. Default: none, levels meet the
            /// first layer as columns of 0 and 1.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub embedding_dim: Option<usize>,
            /// How much the columns of a table count. Default: 1 each.
            #[serde(default, skip_serializing_if = "crate::ColumnWeights::is_default")]
            pub column_weights: crate::ColumnWeights,
            /// What images are compared by beside their pixels. Default: nothing.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub image_loss: Option<crate::ImageLoss>,
            /// A comparison in the features of an encoder that an earlier run trained; not for
            /// tables of several kinds of columns. Default: none.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub perceptual: Option<crate::Perceptual>,
            $($(#[$shared_meta])* pub $shared: $shared_kind,)*
            $($(#[$own_meta])* pub $own: $own_kind,)*
        }

        impl $name {
            /// No layer between the input and the latent, and the default of every other key
            /// that isn't asked for here.
            pub fn new(latent_dim: usize, $($own: $own_kind,)*) -> Self {
                $name {
                    hidden_dims: Vec::new(),
                    latent_dim,
                    activation: hourglass_nn::Activation::default(),
                    prelu: false,
                    output_activation: crate::config::linear(),
                    init: None,
                    normalisation: None,
                    dropout: 0.0,
                    embedding_dim: None,
                    column_weights: crate::ColumnWeights::default(),
                    image_loss: None,
                    perceptual: None,
                    $($shared: $default,)*
                    $($own,)*
                }
            }

            fn body(&self) -> crate::body::Body {
                crate::body::Body {
                    hidden_dims: self.hidden_dims.clone(),
                    latent_dim: self.latent_dim,
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
    };
}
pub(crate) use body_config;

/// The shared keys as data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Body {
    /// Widths between the input and the latent; the decoder mirrors them.
    pub hidden_dims: Vec<usize>,
    /// Width of the latent.
    pub latent_dim: usize,
    /// Activation of the hidden layers.
    pub activation: Activation,
    /// Whether the hidden layers have rectifiers with trained slopes instead.
    pub prelu: bool,
    /// Activation of the output.
    pub output_activation: Activation,
    /// How weights are drawn; by the activation where `None`.
    pub init: Option<Init>,
    /// What normalises the hidden layers.
    pub normalisation: Option<Normalisation>,
    /// Share of the hidden units that are switched off in a step of training.
    pub dropout: f32,
    /// Width of the vectors that stand for the levels of a category.
    pub embedding_dim: Option<usize>,
    /// How much the columns of a table count.
    pub column_weights: ColumnWeights,
    /// What images are compared by beside their pixels.
    pub image_loss: Option<ImageLoss>,
    /// A comparison in the features of a trained encoder.
    pub perceptual: Option<Perceptual>,
}

impl Body {
    /// Checks widths and shares, whatever the data.
    pub fn check(&self) -> Result<()> {
        if let Some(width) = self.hidden_dims.iter().find(|&&width| width == 0) {
            return Err(Error::config("hidden_dims", width, "widths of 1 or more"));
        }
        if self.latent_dim == 0 {
            return Err(Error::config("latent_dim", 0, "1 or more"));
        }
        if self.embedding_dim == Some(0) {
            return Err(Error::config("embedding_dim", 0, "1 or more"));
        }
        if self.prelu && self.activation != Activation::Relu {
            let expected = "`relu`, or absent, where `prelu` is true";
            return Err(Error::config("activation", name_of(self.activation), expected));
        }
        self.dropout().check()?;
        self.image_loss.map_or(Ok(()), ImageLoss::check)?;
        self.perceptual.as_ref().map_or(Ok(()), Perceptual::check)?;
        self.column_weights.check()
    }

    /// How its output is finished and compared.
    ///
    /// # Errors
    /// If the samples have no such column, or aren't what a loss looks at.
    pub fn head(&self, shape: &SampleShape) -> Result<Head> {
        self.column_weights.fits(shape)?;
        Head::new(shape, self.output_activation, self.column_weights.clone()).with_views(
            shape,
            self.image_loss,
            self.perceptual.as_ref(),
        )
    }

    fn dropout(&self) -> Dropout {
        let share = self.dropout;
        match self.activation {
            Activation::Selu => Dropout::Alpha { share },
            _ => Dropout::Zero { share },
        }
    }

    /// `784-1000-784`.
    pub fn describe(&self, n_features: usize) -> String {
        let widths = widths(n_features, &self.hidden_dims, self.latent_dim);
        format!("{widths}{}", embedding_words(self.embedding_dim))
    }

    /// How the weights in front of an activation are drawn.
    pub fn init_for(&self, activation: Activation) -> Init {
        self.init.unwrap_or(Init::for_activation(activation))
    }

    /// A dense layer in the manner of this body.
    pub fn dense(
        &self,
        name: &str,
        shape: (usize, usize),
        order: WeightOrder,
        activation: Activation,
        seed: Seed,
    ) -> Result<Dense> {
        Ok(Dense::new(name, shape, order, activation, self.init_for(activation), seed)?)
    }

    /// The hidden layers from the input towards the latent: `encoder.0` and so on, and what embeds
    /// the input in front of them.
    pub fn encoder(&self, shape: &SampleShape, seed: Seed) -> Result<Encoder> {
        let embed = |dim| Embedding::new(shape, dim, seed);
        let embedding = self.embedding_dim.map(embed).transpose()?;
        let n_in = embedding.as_ref().map_or(shape.n_features(), Embedding::n_out);
        let widths: Vec<usize> =
            std::iter::once(n_in).chain(self.hidden_dims.iter().copied()).collect();
        let stack = self.stack("encoder", &widths, WeightOrder::OutIn, seed)?;
        Ok(Encoder { embedding, stack, n_out: *widths.last().unwrap_or(&n_in) })
    }

    /// The mirrored hidden layers from the latent towards the output: `decoder.0` and so on.
    pub fn decoder(&self, seed: Seed) -> Result<Stack> {
        let widths: Vec<usize> = std::iter::once(self.latent_dim)
            .chain(self.hidden_dims.iter().rev().copied())
            .collect();
        self.stack("decoder", &widths, WeightOrder::InOut, seed)
    }

    /// A layer on top of the encoder's hidden layers, as wide as the latent; `encoder.1`, or with
    /// a name behind it where there are several: `encoder.1.mean`.
    pub fn latent(
        &self,
        encoder: &Encoder,
        activation: Activation,
        name: &str,
        seed: Seed,
    ) -> Result<Dense> {
        let dot = if name.is_empty() { "" } else { "." };
        let name = format!("encoder.{}{dot}{name}", self.hidden_dims.len());
        let shape = (encoder.n_out(), self.latent_dim);
        self.dense(&name, shape, WeightOrder::OutIn, activation, seed)
    }

    fn stack(&self, name: &str, widths: &[usize], order: WeightOrder, seed: Seed) -> Result<Stack> {
        let layers = widths.windows(2).enumerate().map(|(i, pair)| {
            let shape = (pair[0], pair[1]);
            self.dense(&format!("{name}.{i}"), shape, order, self.activation, seed)
        });
        Stack::of(name, layers.collect::<Result<_>>()?, self)
    }
}

/// The hidden layers of an encoder, and what embeds the input in front of them. Whoever uses the
/// layers embeds the input once, and gives them that.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    embedding: Option<Embedding>,
    stack: Stack,
    n_out: usize,
}

impl Encoder {
    /// What the layers see of an input: the same where nothing is embedded.
    pub fn embed(&self, input: &Tensor) -> Result<Tensor> {
        self.embedding.as_ref().map_or(Ok(input.clone()), |embedding| embedding.forward(input))
    }

    /// Whether the layers see the input itself.
    pub fn sees_input(&self) -> bool {
        self.embedding.is_none()
    }

    /// The layers.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The activations of the last layer for an input.
    pub fn forward(&self, input: &Tensor, context: &Context) -> Result<Tensor> {
        self.stack.forward(&self.embed(input)?, context)
    }

    /// Width of what the layers make of an input.
    pub fn n_out(&self) -> usize {
        self.n_out
    }

    /// Everything that is trained, in a fixed order.
    pub fn parameters(&self) -> Vec<Parameter> {
        let embedded = self.embedding.as_ref().map_or_else(Vec::new, Embedding::parameters);
        [embedded, self.stack.parameters()].concat()
    }

    /// Everything that is kept but not trained, in a fixed order.
    pub fn buffers(&self) -> Vec<Buffer> {
        self.stack.buffers()
    }
}

/// Hidden layers, one after the other; none at all passes its input on.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    /// Their products; with a normalisation behind them, their activations come later.
    layers: Vec<Dense>,
    /// One for each layer, or none.
    norms: Vec<Norm>,
    /// One for each layer, in place of its activation, or none.
    prelus: Vec<Prelu>,
    activation: Activation,
    dropout: Dropout,
    name: String,
}

/// A normalisation of one layer.
#[derive(Clone, Debug)]
enum Norm {
    Batch(BatchNorm),
    Layer(LayerNorm),
}

impl Stack {
    /// A stack of these layers, with what the body puts between them.
    pub fn of(name: &str, layers: Vec<Dense>, body: &Body) -> Result<Self> {
        let mut norms = Vec::new();
        let prelus = layers.iter().enumerate().filter(|_| body.prelu);
        let prelus = prelus
            .map(|(i, layer)| Prelu::new(&format!("{name}.{i}.prelu"), layer.n_out()))
            .collect::<Result<Vec<_>, _>>()?;
        for (i, layer) in layers.iter().enumerate() {
            let name = format!("{name}.{i}.norm");
            match body.normalisation {
                None => {}
                Some(Normalisation::Batch) => {
                    norms.push(Norm::Batch(BatchNorm::new(&name, layer.n_out())?));
                }
                Some(Normalisation::Layer) => {
                    norms.push(Norm::Layer(LayerNorm::new(&name, layer.n_out())?));
                }
            }
        }
        let (activation, dropout) = (body.activation, body.dropout());
        Ok(Stack { layers, norms, prelus, activation, dropout, name: name.to_owned() })
    }

    /// The layers.
    pub fn layers(&self) -> &[Dense] {
        &self.layers
    }

    /// The activations of the last layer.
    pub fn forward(&self, input: &Tensor, context: &Context) -> Result<Tensor> {
        let mut activations = input.clone();
        for index in 0..self.layers.len() {
            activations = self.layer(index, &activations, false, context)?;
        }
        Ok(activations)
    }

    /// The activations of every layer.
    pub fn hidden(&self, input: &Tensor, context: &Context) -> Result<Vec<Tensor>> {
        let mut hidden = Vec::with_capacity(self.layers.len());
        for index in 0..self.layers.len() {
            let activations = self.layer(index, hidden.last().unwrap_or(input), false, context)?;
            hidden.push(activations);
        }
        Ok(hidden)
    }

    /// The layers as links of a chain, where nothing stands between them in this context.
    pub fn links(&self, context: &Context) -> Option<Vec<Link>> {
        let drops = context.is_training() && !self.dropout.is_none();
        let is_plain = self.norms.is_empty() && self.prelus.is_empty() && !drops;
        is_plain.then(|| self.layers.iter().cloned().map(Link::new).collect())
    }

    /// One layer; its input may be known to be zero but for a few entries.
    pub fn layer(
        &self,
        index: usize,
        input: &Tensor,
        is_sparse: bool,
        context: &Context,
    ) -> Result<Tensor> {
        let (norm, prelu) = (self.norms.get(index), self.prelus.get(index));
        let layer = match (norm, prelu) {
            (None, None) => self.layers[index].clone(),
            _ => self.layers[index].with_activation(Activation::Linear),
        };
        let product =
            if is_sparse { layer.forward_sparse(input) } else { layer.forward(input, Select::All) };
        let normal = match norm {
            None => product?,
            Some(Norm::Batch(norm)) => norm.forward(&product?, context.is_training())?,
            Some(Norm::Layer(norm)) => norm.forward(&product?)?,
        };
        let activations = match (norm, prelu) {
            (_, Some(prelu)) => prelu.forward(&normal)?,
            (Some(_), None) => self.activation.forward(&normal)?,
            (None, None) => normal,
        };
        if !context.is_training() {
            return Ok(activations);
        }
        let seed = context.seed.child("dropout").child(&self.name).nth(index as u64);
        Ok(self.dropout.forward(&activations, seed)?)
    }

    /// Everything that is trained, in a fixed order. A bias that a batch normalisation takes away
    /// again is not trained.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            parameters.push(layer.weight().clone());
            match self.norms.get(i) {
                None => parameters.push(layer.bias().clone()),
                Some(Norm::Batch(norm)) => parameters.extend(norm.parameters()),
                Some(Norm::Layer(norm)) => {
                    parameters.push(layer.bias().clone());
                    parameters.extend(norm.parameters());
                }
            }
            parameters.extend(self.prelus.get(i).map(|prelu| prelu.slope().clone()));
        }
        parameters
    }

    /// Everything that is kept but not trained, in a fixed order.
    pub fn buffers(&self) -> Vec<Buffer> {
        let of = |norm: &Norm| match norm {
            Norm::Batch(norm) => norm.buffers().to_vec(),
            Norm::Layer(_) => Vec::new(),
        };
        self.norms.iter().flat_map(of).collect()
    }
}

/// For serde, which hands out references.
pub(crate) fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

/// Weight and bias of a layer.
pub(crate) fn parameters_of(layer: &Dense) -> Vec<Parameter> {
    vec![layer.weight().clone(), layer.bias().clone()]
}

/// That a batch has as many columns as the model.
pub(crate) fn check_width(input: &Tensor, expected: usize) -> Result<()> {
    let (_, found) = input.dims2()?;
    if found == expected { Ok(()) } else { Err(Error::InputWidth { expected, found }) }
}

/// `784-1000-784`.
fn widths(n_features: usize, hidden_dims: &[usize], latent_dim: usize) -> String {
    let mut widths = vec![n_features];
    widths.extend(hidden_dims);
    widths.push(latent_dim);
    widths.extend(hidden_dims.iter().rev());
    widths.push(n_features);
    let widths: Vec<String> = widths.iter().map(usize::to_string).collect();
    widths.join("-")
}

/// How categories are embedded, with a comma in front; nothing where they aren't.
pub(crate) fn embedding_words(dim: Option<usize>) -> String {
    dim.map_or_else(String::new, |dim| format!(", levels as vectors of {dim}"))
}

/// What is done to the input, with a comma in front; nothing where nothing is done.
pub(crate) fn corruption_words(corruption: Option<Corruption>) -> String {
    match corruption {
        None => String::new(),
        Some(Corruption::Gaussian { std }) => format!(", Gaussian noise {std}"),
        Some(Corruption::Masking { share }) => format!(", masking noise {share}"),
        Some(Corruption::SaltAndPepper { share }) => format!(", salt and pepper {share}"),
        Some(Corruption::Swap { share }) => format!(", values of other rows {share}"),
        Some(Corruption::BlockMasking { share, size }) => {
            format!(", masked blocks of {size} pixels {share}")
        }
    }
}
