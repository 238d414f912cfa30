//! The body that the fully connected architectures share: an encoder, a mirrored decoder, and
//! what distinguishes the architectures as data ([`Constraint`]).

use candle_core::Tensor;
use hourglass_core::Seed;
use hourglass_nn::{
    Activation, ActivityPenalty, Corruption, Dense, Init, Loss, Parameter, Select, WeightOrder,
};

use crate::{Autoencoder, Context, Error, LossParts, Phase, Result};

mod config;

pub(crate) use config::{MlpArchitecture, mlp_config};

/// Share of active units below which zeros are skipped. In a profile of 784-1000-784 with batches
/// of 256 and 8 % active, three products that skip took 31 % of the time and one dense product
/// 26 %, so the two meet near 20 %; this stays clear of it, since dense products thread better.
const SPARSE_SHARE: f32 = 0.12;

/// The layers of a fully connected autoencoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// Widths between the input and the latent.
    pub hidden_dims: Vec<usize>,
    /// Width of the latent.
    pub latent_dim: usize,
    /// Activation of the hidden layers.
    pub activation: Activation,
    /// Activation of the latent.
    pub latent_activation: Activation,
    /// Activation of the output.
    pub output_activation: Activation,
    /// Whether the decoder uses the encoder's weights, transposed.
    pub tied: bool,
    /// How weights are drawn; by the activation where `None`.
    pub init: Option<Init>,
    /// What is done to the input during training.
    pub corruption: Option<Corruption>,
}

impl Layers {
    /// Checks the widths, whatever the data.
    pub fn check(&self) -> Result<()> {
        if let Some(width) = self.hidden_dims.iter().find(|&&width| width == 0) {
            return Err(Error::config("hidden_dims", width, "widths of 1 or more"));
        }
        if self.latent_dim == 0 {
            return Err(Error::config("latent_dim", 0, "1 or more"));
        }
        match self.corruption {
            Some(corruption) => Ok(corruption.check()?),
            None => Ok(()),
        }
    }
}

/// What keeps the latent from copying its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constraint {
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
}

/// A fully connected autoencoder.
#[derive(Debug)]
pub struct Mlp {
    encoder: Vec<Dense>,
    decoder: Vec<Dense>,
    parameters: Vec<Parameter>,
    corruption: Option<Corruption>,
    constraint: Constraint,
}

impl Mlp {
    /// Draws the weights.
    pub(crate) fn new(
        layers: &Layers,
        constraint: Constraint,
        n_features: usize,
        seed: Seed,
    ) -> Result<Self> {
        let widths: Vec<usize> = std::iter::once(n_features)
            .chain(layers.hidden_dims.iter().copied())
            .chain([layers.latent_dim])
            .collect();
        let n_layers = widths.len() - 1;
        let init = |activation| layers.init.unwrap_or(Init::for_activation(activation));
        let mut encoder = Vec::with_capacity(n_layers);
        for (i, pair) in widths.windows(2).enumerate() {
            let activation =
                if i + 1 == n_layers { layers.latent_activation } else { layers.activation };
            encoder.push(Dense::new(
                &format!("encoder.{i}"),
                (pair[0], pair[1]),
                WeightOrder::OutIn,
                activation,
                init(activation),
                seed,
            )?);
        }
        let mut decoder = Vec::with_capacity(n_layers);
        for (i, mirrored) in encoder.iter().rev().enumerate() {
            let activation =
                if i + 1 == n_layers { layers.output_activation } else { layers.activation };
            let name = format!("decoder.{i}");
            decoder.push(if layers.tied {
                Dense::tied_to(mirrored, &name, activation)?
            } else {
                let shape = (mirrored.n_out(), mirrored.n_in());
                let init = init(activation);
                Dense::new(&name, shape, WeightOrder::InOut, activation, init, seed)?
            });
        }
        let mut parameters = Vec::new();
        for layer in &encoder {
            parameters.extend([layer.weight().clone(), layer.bias().clone()]);
        }
        for layer in &decoder {
            if !layers.tied {
                parameters.push(layer.weight().clone());
            }
            parameters.push(layer.bias().clone());
        }
        Ok(Mlp { encoder, decoder, parameters, corruption: layers.corruption, constraint })
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
            Constraint::Width | Constraint::Penalty(_) => Select::All,
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

    fn latent(&self, input: &Tensor, select: Select) -> Result<Tensor> {
        let mut activations = input.clone();
        let last = self.encoder.len() - 1;
        for layer in &self.encoder[..last] {
            activations = layer.forward(&activations, Select::All)?;
        }
        Ok(self.latent_layer(select).forward(&activations, select)?)
    }

    /// The last layer of the encoder; linear while winners are chosen before the rectifier.
    fn latent_layer(&self, select: Select) -> Dense {
        let layer = &self.encoder[self.encoder.len() - 1];
        match (self.constraint, select) {
            (Constraint::Lifetime { rectify_after: true, .. }, Select::Lifetime(_)) => {
                layer.with_activation(Activation::Linear)
            }
            _ => layer.clone(),
        }
    }

    /// The decoder's output; without the last sigmoid where the loss wants it so.
    fn decode(&self, latent: &Tensor, select: Select, before_sigmoid: bool) -> Result<Tensor> {
        let mut activations = latent.clone();
        let last = self.decoder.len() - 1;
        for (i, layer) in self.decoder.iter().enumerate() {
            let layer = if i == last && before_sigmoid {
                layer.with_activation(Activation::Linear)
            } else {
                layer.clone()
            };
            activations = if i == 0 && self.is_sparse(select) {
                layer.forward_sparse(&activations)?
            } else {
                layer.forward(&activations, Select::All)?
            };
        }
        Ok(activations)
    }

    fn check_width(&self, input: &Tensor) -> Result<()> {
        let (_, found) = input.dims2()?;
        let expected = self.n_features();
        if found == expected { Ok(()) } else { Err(Error::InputWidth { expected, found }) }
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

    fn n_features(&self) -> usize {
        self.encoder[0].n_in()
    }

    fn latent_dim(&self) -> usize {
        self.encoder[self.encoder.len() - 1].n_out()
    }

    fn corruption(&self) -> Option<Corruption> {
        self.corruption
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        self.check_width(input)?;
        self.latent(input, self.encode_select())
    }

    fn hidden_activations(&self) -> Vec<Activation> {
        self.encoder.iter().map(Dense::activation).collect()
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        self.check_width(input)?;
        let mut activations = vec![input.clone()];
        let last = self.encoder.len() - 1;
        for (i, layer) in self.encoder.iter().enumerate() {
            let select = if i == last { self.encode_select() } else { Select::All };
            activations.push(layer.forward(&activations[i], select)?);
        }
        activations.remove(0);
        Ok(activations)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        self.check_width(input)?;
        let select = self.select(Phase::Evaluate);
        self.decode(&self.latent(input, select)?, select, false)
    }

    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        self.check_width(input)?;
        let select = self.select(context.phase);
        let latent = self.latent(input, select)?;
        let output = self.decode(&latent, select, *loss == Loss::Bce)?;
        let reconstruction = loss.mean(&output, target)?;
        match self.constraint {
            Constraint::Penalty(penalty) => {
                LossParts::sum(reconstruction, vec![("penalty", penalty.of(&latent)?)])
            }
            _ => Ok(LossParts::reconstruction_only(reconstruction)),
        }
    }
}
