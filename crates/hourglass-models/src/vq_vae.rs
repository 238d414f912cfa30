//! Vector-quantised autoencoder: the latent is cut into slots, and what stands in a slot is
//! replaced by the nearest entry of a codebook that all slots share.
//!
//! # Source
//! van den Oord, Vinyals, Kavukcuoglu, "Neural Discrete Representation Learning", arXiv:1711.00937:
//! straight-through gradient, commitment loss, codebook by exponential moving averages (their
//! appendix A.1). Codes that nothing is near to are moved onto an encoded sample: Dhariwal et al.,
//! "Jukebox", arXiv:2005.00341, section 3.1. Differs from the paper: fully connected, so that it
//! takes any data.

use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::linalg::matmul;
use hourglass_core::{Matrix, MatrixView, SampleShape, Seed};
use hourglass_nn::{
    Activation, Buffer, Corruption, Dense, Loss, Parameter, Select, rows_of, to_matrix,
};
use ndarray::Axis;
use rand::RngExt;

use crate::body::{Encoder, body_config, check_width, parameters_of};
use crate::config::Architecture;
use crate::decoder::Decoder;
use crate::{Autoencoder, Context, Error, LossParts, Perceptual, Result};

/// Keeps a mean finite whose code nothing is near to.
const COUNT_FLOOR: f32 = 1e-5;

body_config! {
    /// Hyperparameters of the vector-quantised autoencoder. The latent has `latent_dim / code_dim`
    /// slots.
    VqVae
    shared {
        /// Weight of the commitment of the encoder to its code; above 0. Default: 0.25.
        #[serde(default = "commitment")]
        commitment: f32 = commitment(),
        /// Share of the old mean that a code keeps in each step; in `(0, 1)`. Default: 0.99.
        #[serde(default = "decay")]
        decay: f32 = decay(),
        /// A code that is used less than this share of its even share is moved onto an encoded
        /// sample; in `[0, 1)`, where 0 moves none. Default: 0.05.
        #[serde(default = "revive_below")]
        revive_below: f32 = revive_below(),
    }
    own {
        /// Entries of the codebook; 2 or more.
        n_codes: usize,
        /// Width of an entry; a divisor of `latent_dim`.
        code_dim: usize,
    }
}

fn commitment() -> f32 {
    0.25
}

fn decay() -> f32 {
    0.99
}

fn revive_below() -> f32 {
    0.05
}

impl VqVae {
    pub(crate) fn examples() -> Vec<Self> {
        let activation = Activation::Tanh;
        vec![VqVae { hidden_dims: vec![48], activation, ..VqVae::new(16, 16, 4) }]
    }
}

impl Architecture for VqVae {
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
        let n_slots = self.latent_dim / self.code_dim.max(1);
        let (widths, n_codes) = (self.body().describe(n_features), self.n_codes);
        format!("{widths}, {n_slots} slots with one of {n_codes} codes each")
    }

    fn check(&self, _loss: &Loss) -> Result<()> {
        self.body().check()?;
        if self.n_codes < 2 {
            return Err(Error::config("n_codes", self.n_codes, "2 or more"));
        }
        if self.code_dim == 0 || !self.latent_dim.is_multiple_of(self.code_dim) {
            let expected = format!("a divisor of `latent_dim` = {}", self.latent_dim);
            return Err(Error::config("code_dim", self.code_dim, expected));
        }
        if !(self.commitment > 0.0 && self.commitment.is_finite()) {
            return Err(Error::config("commitment", self.commitment, "above 0"));
        }
        if !(self.decay > 0.0 && self.decay < 1.0) {
            return Err(Error::config("decay", self.decay, "between 0 and 1"));
        }
        if !(self.revive_below >= 0.0 && self.revive_below < 1.0) {
            return Err(Error::config("revive_below", self.revive_below, "at least 0 and below 1"));
        }
        Ok(())
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        let body = self.body();
        let n_features = shape.n_features();
        let encoder = body.encoder(shape, seed)?;
        let latent = body.latent(&encoder, Activation::Linear, "", seed)?;
        let decoder = Decoder::new(&body, shape, seed)?;
        let codebook = Codebook::new(self, seed)?;
        let parameters =
            [encoder.parameters(), parameters_of(&latent), decoder.parameters()].concat();
        let buffers = [encoder.buffers(), codebook.buffers(), decoder.buffers()].concat();
        let commitment = f64::from(self.commitment);
        Ok(Box::new(Model {
            commitment,
            n_features,
            encoder,
            latent,
            codebook,
            decoder,
            parameters,
            buffers,
        }))
    }
}

/// The codes, and the moving averages that they follow.
#[derive(Debug)]
struct Codebook {
    /// `(n_codes, code_dim)`.
    codes: Buffer,
    /// Moving average of how many slots of a batch are nearest to each code.
    counts: Buffer,
    /// Moving average of the sum of what is in those slots, `(n_codes, code_dim)`.
    sums: Buffer,
    code_dim: usize,
    decay: f32,
    revive_below: f32,
}

impl Codebook {
    /// Codes drawn from the standard normal. They are moved onto encoded samples in the first step
    /// of training.
    fn new(config: &VqVae, seed: Seed) -> Result<Self> {
        let (n_codes, code_dim) = (config.n_codes, config.code_dim);
        let codes = hourglass_nn::normal(n_codes, code_dim, seed.child("codebook"))?;
        let codes = codes.flatten_all()?.to_vec1()?;
        let shape = [n_codes, code_dim];
        Ok(Codebook {
            codes: Buffer::new("codebook.codes", codes, &shape)?,
            counts: Buffer::new("codebook.counts", vec![0.0; n_codes], &[n_codes])?,
            sums: Buffer::new("codebook.sums", vec![0.0; n_codes * code_dim], &shape)?,
            code_dim,
            decay: config.decay,
            revive_below: config.revive_below,
        })
    }

    fn buffers(&self) -> Vec<Buffer> {
        vec![self.codes.clone(), self.counts.clone(), self.sums.clone()]
    }

    fn codes(&self) -> Result<Matrix> {
        Ok(to_matrix(&self.codes.tensor())?)
    }

    /// Moves every code onto a drawn slot, if none has ever been used.
    fn begin(&self, slots: MatrixView<'_>, seed: Seed) -> Result<()> {
        if self.counts.values()?.iter().any(|&count| count > 0.0) {
            return Ok(());
        }
        let mut rng = seed.rng();
        let mut codes = self.codes()?;
        for mut code in codes.rows_mut() {
            code.assign(&slots.row(rng.random_range(0..slots.nrows())));
        }
        Ok(self.codes.set_values(&codes.into_raw_vec_and_offset().0)?)
    }

    /// Moves the codes towards the slots that are nearest to them, and unused codes onto drawn
    /// slots.
    fn follow(&self, slots: MatrixView<'_>, nearest: &[usize], seed: Seed) -> Result<()> {
        let (mut counts, mut codes) = (self.counts.values()?, self.codes()?);
        let mut sums = to_matrix(&self.sums.tensor())?;
        let is_first = counts.iter().all(|&count| count == 0.0);
        let kept = if is_first { 0.0 } else { self.decay };
        counts.iter_mut().for_each(|count| *count *= kept);
        sums *= kept;
        for (&code, slot) in nearest.iter().zip(slots.rows()) {
            counts[code] += 1.0 - kept;
            sums.row_mut(code).scaled_add(1.0 - kept, &slot);
        }
        let even_share = counts.iter().sum::<f32>() / counts.len() as f32;
        let mut rng = seed.rng();
        for (code, count) in counts.iter_mut().enumerate() {
            if *count < self.revive_below * even_share {
                let drawn = slots.row(rng.random_range(0..slots.nrows()));
                *count = even_share;
                sums.row_mut(code).assign(&(&drawn * even_share));
            }
            let mean = &sums.row(code) / count.max(COUNT_FLOOR);
            if *count > COUNT_FLOOR {
                codes.row_mut(code).assign(&mean);
            }
        }
        self.counts.set_values(&counts)?;
        self.sums.set_values(&sums.into_raw_vec_and_offset().0)?;
        Ok(self.codes.set_values(&codes.into_raw_vec_and_offset().0)?)
    }
}

/// The nearest code of each slot; of equally near ones the first.
fn nearest(slots: MatrixView<'_>, codes: MatrixView<'_>) -> Vec<usize> {
    let squares: Vec<f32> = codes.rows().into_iter().map(|code| code.dot(&code)).collect();
    let products = matmul(slots, codes.t());
    let of = |row: ndarray::ArrayView1<'_, f32>| {
        let mut best = (f32::INFINITY, 0);
        for (code, (&product, &square)) in row.iter().zip(&squares).enumerate() {
            let distance = square - 2.0 * product;
            if distance < best.0 {
                best = (distance, code);
            }
        }
        best.1
    };
    products.rows().into_iter().map(of).collect()
}

/// Exponential of the entropy of shares: how many codes are in use, if they were used evenly.
fn perplexity(shares: &[f32]) -> f32 {
    let entropy: f32 = shares.iter().filter(|&&share| share > 0.0).map(|s| -s * s.ln()).sum();
    entropy.exp()
}

#[derive(Debug)]
struct Model {
    commitment: f64,
    n_features: usize,
    encoder: Encoder,
    latent: Dense,
    codebook: Codebook,
    decoder: Decoder,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
}

impl Model {
    /// What the encoder says, before it is replaced by codes.
    fn encoded(&self, input: &Tensor, context: &Context) -> Result<Tensor> {
        let hidden = self.encoder.forward(input, context)?;
        Ok(self.latent.forward(&hidden, Select::All)?)
    }

    /// The slots of a batch, one a row: `(batch * n_slots, code_dim)`.
    fn slots(&self, encoded: &Tensor) -> Result<Matrix> {
        Ok(to_matrix(&encoded.reshape(((), self.codebook.code_dim))?)?)
    }

    /// The codes in the place of slots, with the shape of what was encoded.
    fn codes_of(&self, nearest: &[usize], encoded: &Tensor) -> Result<Tensor> {
        let codes = self.codebook.codes()?.select(Axis(0), nearest);
        Ok(rows_of(codes.view())?.reshape(encoded.shape())?)
    }

    fn quantised(&self, encoded: &Tensor) -> Result<Tensor> {
        let nearest = nearest(self.slots(encoded)?.view(), self.codebook.codes()?.view());
        self.codes_of(&nearest, encoded)
    }
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
        self.latent.n_out()
    }

    fn corruption(&self) -> Option<Corruption> {
        None
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.n_features)?;
        self.quantised(&self.encoded(input, &Context::as_used())?)
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        check_width(input, self.n_features)?;
        let embedded = self.encoder.embed(input)?;
        let mut hidden = self.encoder.stack().hidden(&embedded, &Context::as_used())?;
        let encoded = self.latent.forward(hidden.last().unwrap_or(&embedded), Select::All)?;
        hidden.push(self.quantised(&encoded)?);
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
        let encoded = self.encoded(input, context)?;
        let slots = self.slots(&encoded)?;
        if context.is_training() {
            self.codebook.begin(slots.view(), context.seed.child("first codes"))?;
        }
        let nearest = nearest(slots.view(), self.codebook.codes()?.view());
        let codes = self.codes_of(&nearest, &encoded)?;
        if context.is_training() {
            self.codebook.follow(slots.view(), &nearest, context.seed.child("revived codes"))?;
        }
        // The gradient passes the codes by, as if nothing had been replaced.
        let latent = (&encoded + (&codes - &encoded)?.detach())?;
        let compared = self.decoder.loss(&latent, false, target, loss, context)?;
        let distance = (&encoded - codes)?.sqr()?.mean_all()?;
        let commitment = (distance * self.commitment)?;
        let mut shares = vec![0.0; self.codebook.counts.values()?.len()];
        nearest.iter().for_each(|&code| shares[code] += 1.0 / nearest.len() as f32);
        Ok(compared
            .and(vec![("commitment", commitment)])?
            .with_fact("perplexity", vec![perplexity(&shares)])
            .with_fact("code_shares", shares))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn codebook(n_codes: usize, revive_below: f32) -> Codebook {
        let config = VqVae { decay: 0.5, revive_below, ..VqVae::new(2, n_codes, 2) };
        Codebook::new(&config, Seed::new(1)).unwrap()
    }

    #[test]
    fn slots_are_replaced_by_the_nearest_code() {
        let codes = array![[0.0_f32, 0.0], [1.0, 1.0], [1.0, 1.0], [-2.0, 0.0]];
        let slots = array![[0.2_f32, 0.3], [0.9, 0.8], [-1.5, 0.1], [0.5, 0.5]];
        assert_eq!(nearest(slots.view(), codes.view()), [0, 1, 3, 0]);
        assert_eq!(perplexity(&[0.25; 4]), 4.0);
        assert_eq!(perplexity(&[1.0, 0.0]), 1.0);
    }

    #[test]
    fn codes_follow_the_moving_average_of_their_slots() {
        let codebook = codebook(2, 0.0);
        codebook.codes.set_values(&[0.0, 0.0, 10.0, 10.0]).unwrap();
        let slots = array![[1.0_f32, 0.0], [3.0, 0.0], [9.0, 9.0]];
        codebook.follow(slots.view(), &[0, 0, 1], Seed::new(1)).unwrap();
        assert_eq!(codebook.codes.values().unwrap(), [2.0, 0.0, 9.0, 9.0]);
        // Half of the old mean of two slots at 2, half of one slot at 5: (2 + 2 + 5) / 3.
        let slots = array![[5.0_f32, 0.0], [9.0, 9.0]];
        codebook.follow(slots.view(), &[0, 1], Seed::new(1)).unwrap();
        let codes = codebook.codes.values().unwrap();
        assert!((codes[0] - 3.0).abs() < 1e-6 && (codes[2] - 9.0).abs() < 1e-6, "{codes:?}");
    }

    #[test]
    fn an_unused_code_moves_onto_a_slot() {
        let codebook = codebook(3, 0.2);
        codebook.codes.set_values(&[0.0, 0.0, 1.0, 1.0, 99.0, 99.0]).unwrap();
        let slots = array![[0.1_f32, 0.0], [1.1, 1.0]];
        codebook.follow(slots.view(), &[0, 1], Seed::new(1)).unwrap();
        let moved = codebook.codes().unwrap().row(2).to_owned();
        let onto = slots.rows().into_iter().any(|s| (&s - &moved).iter().all(|d| d.abs() < 1e-6));
        assert!(onto, "{moved}");
    }
}
