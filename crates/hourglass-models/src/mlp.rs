//! The fully connected autoencoder with one latent layer, whose architectures differ in what keeps
//! that layer from copying, as data ([`Constraint`]).

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{SampleShape, Seed};
use hourglass_nn::{
    Activation, ActivityPenalty, Buffer, Chain, Corruption, Dense, Link, Loss, Parameter, Select,
    normal, rows_of, to_matrix,
};

use crate::body::{Body, Encoder, check_width, parameters_of};
use crate::contractive::squared_jacobian;
use crate::decoder::Decoder;
use crate::rae_l2::{half_square, squared_weights};
use crate::wasserstein::discrepancy;
use crate::{Autoencoder, Context, Error, LossParts, Phase, Result, RowEncoder};

mod config;

pub(crate) use config::{MlpArchitecture, mlp_config};

/// Share of active units below which zeros are skipped. In a profile of 784-1000-784 with batches
/// of 256 and 8 % active, three products that skip took 31 % of the time and one dense product
/// 26 %, so the two meet near 20 %; this stays clear of it, since dense products thread better.
const SPARSE_SHARE: f32 = 0.12;

/// The layers of a fully connected autoencoder.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layers {
    /// What all fully connected models share.
    pub body: Body,
    /// Activation of the latent.
    pub latent_activation: Activation,
    /// Whether the decoder uses the encoder's weights, transposed.
    pub tied: bool,
    /// What is done to the input during training.
    pub corruption: Option<Corruption>,
    /// Weight of a corrupted value in the loss.
    pub emphasis: Option<f32>,
}

impl Layers {
    /// Checks the hyperparameters, whatever the data.
    pub fn check(&self) -> Result<()> {
        self.body.check()?;
        if let (Some(dim), true) = (self.body.embedding_dim, self.tied) {
            return Err(Error::config("embedding_dim", dim, "absent where `tied` is true"));
        }
        match self.corruption {
            Some(corruption) => Ok(corruption.check()?),
            None => Ok(()),
        }
    }
}

/// What keeps the latent from copying its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Constraint {
    /// Its width alone.
    Width,
    /// Only the `k` largest of a sample are active; more of them in the first epochs.
    TopK {
        /// Active units at the end of training.
        k: usize,
        /// Active units of a sample when it is encoded for features.
        k_encode: usize,
        /// Active units in the first epoch, and the epoch in which `k` is reached.
        anneal: Option<(usize, usize)>,
    },
    /// Only the largest share of a unit's activations over the batch survives training.
    Lifetime {
        /// The share.
        share: f32,
        /// Whether winners are chosen before the rectifier, so that no unit can die.
        rectify_after: bool,
    },
    /// The loss has a price on activity.
    Penalty(ActivityPenalty),
    /// The loss has a price on the squared Jacobian of the encoder.
    Contractive {
        /// The price.
        weight: f32,
        /// Directions in which a deep encoder is probed.
        probes: usize,
    },
    /// The loss has a price on how far the latents of a batch are from the standard normal.
    Discrepancy {
        /// The price.
        weight: f32,
    },
    /// The loss has a price on the size of the latent and of the decoder's weights.
    Regularised {
        /// The price of the latent.
        latent: f32,
        /// The price of the weights.
        decoder: f32,
    },
}

/// A fully connected autoencoder.
#[derive(Debug)]
pub(crate) struct Mlp {
    encoder: Encoder,
    latent: Dense,
    decoder: Decoder,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
    n_features: usize,
    corruption: Option<Corruption>,
    emphasis: Option<f32>,
    constraint: Constraint,
}

impl Mlp {
    /// Draws the weights.
    pub fn new(
        layers: &Layers,
        constraint: Constraint,
        shape: &SampleShape,
        seed: Seed,
    ) -> Result<Self> {
        let body = &layers.body;
        let n_features = shape.n_features();
        let encoder = body.encoder(shape, seed)?;
        let latent = body.latent(&encoder, layers.latent_activation, "", seed)?;
        let decoder = if layers.tied {
            let mut borrowed = encoder.stack().layers().to_vec();
            borrowed.push(latent.clone());
            Decoder::tied_to(&borrowed, body, shape)?
        } else {
            Decoder::new(body, shape, seed)?
        };
        let parameters =
            [encoder.parameters(), parameters_of(&latent), decoder.parameters()].concat();
        let buffers = [encoder.buffers(), decoder.buffers()].concat();
        let (corruption, emphasis) = (layers.corruption, layers.emphasis);
        Ok(Mlp {
            encoder,
            latent,
            decoder,
            parameters,
            buffers,
            n_features,
            corruption,
            emphasis,
            constraint,
        })
    }

    /// Active units of a sample, for a top-k latent.
    fn k(&self, phase: Phase) -> Option<usize> {
        let Constraint::TopK { k, anneal, .. } = self.constraint else { return None };
        let (Phase::Train { epochs_done, .. }, Some((k_start, epochs))) = (phase, anneal) else {
            return Some(k);
        };
        // Whole epochs, as Makhzani and Frey have it: k changes between two of them.
        let epoch = epochs_done as usize;
        if epoch >= epochs {
            return Some(k);
        }
        // Linear, as they do it.
        let share = epoch as f64 / epochs as f64;
        Some((k_start as f64 + (k as f64 - k_start as f64) * share).round() as usize)
    }

    fn select(&self, phase: Phase) -> Select {
        match self.constraint {
            Constraint::TopK { .. } => self.k(phase).map_or(Select::All, Select::TopK),
            Constraint::Lifetime { share, .. } => Select::Lifetime(share),
            _ => Select::All,
        }
    }

    /// Whether the latent of this phase is so sparse that the decoder should skip its zeros.
    fn is_sparse(&self, select: Select) -> bool {
        let share = match select {
            Select::All => return false,
            Select::TopK(k) => k as f32 / self.latent_dim() as f32,
            Select::Lifetime(share) => share,
        };
        share <= SPARSE_SHARE
    }

    /// The activations of every layer of the encoder, the latent last.
    fn activations(
        &self,
        embedded: &Tensor,
        select: Select,
        context: &Context,
    ) -> Result<Vec<Tensor>> {
        let mut all = self.encoder.stack().hidden(embedded, context)?;
        all.push(self.latent_layer(select).forward(all.last().unwrap_or(embedded), select)?);
        Ok(all)
    }

    /// The encoder as links of a chain, where nothing stands between its layers.
    fn encoder_links(&self, select: Select, context: &Context) -> Option<Vec<Link>> {
        let mut links = self.encoder.stack().links(context)?;
        links.push(Link::new(self.latent_layer(select)).with_select(select));
        Some(links)
    }

    /// Encoder and decoder as one chain, where the constraint looks at no activation.
    fn chain(&self, select: Select, loss: &Loss, context: &Context) -> Option<Chain> {
        use Constraint::{Lifetime, TopK, Width};
        let is_plain = matches!(self.constraint, Width | TopK { .. } | Lifetime { .. });
        if !is_plain || self.emphasis.is_some() {
            return None;
        }
        let mut links = self.encoder_links(select, context)?;
        links.extend(self.decoder.links(self.is_sparse(select), loss, context)?);
        Some(Chain::new(links))
    }

    fn latent(&self, input: &Tensor, select: Select, context: &Context) -> Result<Tensor> {
        let embedded = self.encoder.embed(input)?;
        if let Some(links) = self.encoder_links(select, context) {
            return Ok(Chain::new(links).forward(&embedded)?);
        }
        let mut activations = self.activations(&embedded, select, context)?;
        Ok(activations.swap_remove(activations.len() - 1))
    }

    /// The last layer of the encoder; linear while winners are chosen before the rectifier.
    fn latent_layer(&self, select: Select) -> Dense {
        match (self.constraint, select) {
            (Constraint::Lifetime { rectify_after: true, .. }, Select::Lifetime(_)) => {
                self.latent.with_activation(Activation::Linear)
            }
            _ => self.latent.clone(),
        }
    }

    /// What the constraint adds to the loss, by name.
    ///
    /// # Shapes
    /// - `activations`: of every layer of the encoder, `(batch, width)`, the latent last
    fn prices(
        &self,
        activations: &[Tensor],
        context: &Context,
    ) -> Result<Vec<(&'static str, Tensor)>> {
        let latent = &activations[activations.len() - 1];
        Ok(match self.constraint {
            Constraint::Width | Constraint::TopK { .. } | Constraint::Lifetime { .. } => vec![],
            Constraint::Penalty(penalty) => vec![("penalty", penalty.of(latent)?)],
            Constraint::Contractive { weight, probes } => {
                let layers: Vec<&Dense> =
                    self.encoder.stack().layers().iter().chain([&self.latent]).collect();
                let seed = context.seed.child("probes");
                let jacobian = squared_jacobian(&layers, activations, probes, seed)?;
                vec![("contraction", (jacobian * f64::from(weight))?)]
            }
            Constraint::Discrepancy { weight } => {
                let (n_rows, latent_dim) = latent.dims2()?;
                let drawn = normal(n_rows, latent_dim, context.seed.child("prior"))?;
                vec![("discrepancy", (discrepancy(latent, &drawn)? * f64::from(weight))?)]
            }
            Constraint::Regularised { latent: price, decoder } => {
                let weights = squared_weights(self.decoder.layers())?;
                vec![
                    ("latent_size", (half_square(latent)? * f64::from(price))?),
                    ("decoder_weights", (weights * f64::from(decoder))?),
                ]
            }
        })
    }

    /// The selection with which samples are encoded for features.
    fn encode_select(&self) -> Select {
        match self.constraint {
            Constraint::TopK { k_encode, .. } => Select::TopK(k_encode),
            _ => Select::All,
        }
    }
}

impl Autoencoder for Mlp {
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
        self.latent.n_out()
    }

    fn corruption(&self) -> Option<Corruption> {
        self.corruption
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.n_features)?;
        self.latent(input, self.encode_select(), &Context::as_used())
    }

    fn row_encoder(&self) -> Result<RowEncoder<'_>> {
        let frozen = match self.encoder_links(self.encode_select(), &Context::as_used()) {
            Some(links) if self.encoder.sees_input() => Chain::new(links).freeze()?,
            _ => None,
        };
        Ok(Box::new(move |rows, mut target| {
            let (found, expected) = (rows.ncols(), self.n_features);
            match &frozen {
                _ if found != expected => return Err(Error::InputWidth { expected, found }),
                Some(frozen) => frozen.forward(rows.as_standard_layout().view(), target),
                None => target.assign(&to_matrix(&self.encode(&rows_of(rows)?)?)?),
            }
            Ok(())
        }))
    }

    fn hidden_activations(&self) -> Vec<Activation> {
        let layers = self.encoder.stack().layers().iter().chain([&self.latent]);
        layers.map(Dense::activation).collect()
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        check_width(input, self.n_features)?;
        let embedded = self.encoder.embed(input)?;
        self.activations(&embedded, self.encode_select(), &Context::as_used())
    }

    fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.decoder.look_through(encoder)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.n_features)?;
        let context = Context::as_used();
        let select = self.select(context.phase);
        let latent = self.latent(input, select, &context)?;
        self.decoder.reconstruct(&latent, self.is_sparse(select))
    }

    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        check_width(input, self.n_features)?;
        let select = self.select(context.phase);
        let embedded = self.encoder.embed(input)?;
        if let Some(chain) = self.chain(select, loss, context) {
            let reconstruction = chain.mean_loss(&embedded, target, *loss)?;
            return LossParts::sum(reconstruction, vec![]);
        }
        let activations = self.activations(&embedded, select, context)?;
        let latent = &activations[activations.len() - 1];
        let is_sparse = self.is_sparse(select);
        let compared = match self.emphasis {
            Some(emphasis) => {
                self.decoder.emphasised_loss(latent, (input, target), emphasis, loss, context)?
            }
            None => self.decoder.loss(latent, is_sparse, target, loss, context)?,
        };
        compared.and(self.prices(&activations, context)?)
    }
}
