//! Variational autoencoder: the latent of a sample is a normal distribution, drawn from in training
//! and held close to the standard normal.
//!
//! # Source
//! Kingma and Welling, "Auto-Encoding Variational Bayes", arXiv:1312.6114. The weight of the KL
//! divergence: Higgins et al., "beta-VAE", ICLR 2017; its warm-up: Sønderby et al., "Ladder
//! Variational Autoencoders", arXiv:1602.02282 (linear), Fu et al., "Cyclical Annealing Schedule",
//! arXiv:1903.10145 (cyclical); free bits: Kingma et al., arXiv:1606.04934. Samples are encoded by
//! the mean.
//!
//! # Units
//! All parts are **nats a sample**: sums over features and latent dimensions, means over samples,
//! so that the total with `beta = 1` is the negative evidence lower bound. The likelihood is the
//! one that the loss of the file stands for: `bce` is Bernoulli, `mse` normal with a standard
//! deviation of `output_std`, without its constant `n_features * ln(output_std * sqrt(2 pi))`.
//! What else samples are compared by (`image_loss`, `perceptual`) is scaled with it.

use std::sync::Arc;

use candle_core::{D, Tensor};
use hourglass_core::{Matrix, MatrixView, SampleShape, Seed};
use hourglass_nn::{
    Activation, Buffer, Corruption, Dense, Loss, Parameter, Select, normal, rows_of, to_matrix,
};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{Encoder, body_config, check_width, parameters_of};
use crate::config::Architecture;
use crate::decoder::Decoder;
use crate::{Autoencoder, Context, Error, LossParts, Perceptual, Phase, Result};

/// The log-variance is held between minus and plus this: a standard deviation from 0.0067 to 148.
/// Unbounded ones are how a variational autoencoder ends in NaN.
const LOG_VARIANCE_BOUND: f32 = 10.0;

body_config! {
    /// Hyperparameters of the variational autoencoder.
    Variational
    shared {
        /// Weight of the KL divergence; 0 or above. Default: 1, the evidence lower bound.
        #[serde(default = "one")]
        beta: f32 = 1.0,
        /// How the weight of the KL divergence grows in training. Default: none, full from the
        /// start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warm_up: Option<KlWarmUp> = None,
        /// Nats that each latent dimension may hold free of charge; 0 or above. Default: 0.
        #[serde(default)]
        free_nats: f32 = 0.0,
        /// Standard deviation of the likelihood under `mse`; above 0. Default: 1.
        #[serde(default = "one")]
        output_std: f32 = 1.0,
        /// Whether every value in `[0, 1]` stands for the probability of a 1, and a 0 or a 1 is
        /// drawn in its place each time; for `bce`. Default: `false`.
        #[serde(default)]
        binarise: bool = false,
    }
    own {}
}

/// How the weight of the KL divergence grows in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KlWarmUp {
    /// From 0 to `beta`, once.
    Linear {
        /// Epochs until `beta` is reached; above 0.
        epochs: f64,
    },
    /// From 0 to `beta` again and again.
    Cyclical {
        /// Cycles over all epochs; 1 or more.
        cycles: usize,
        /// Share of a cycle in which the weight grows; in `(0, 1]`.
        growing: f64,
    },
}

impl KlWarmUp {
    fn check(self) -> Result<()> {
        match self {
            KlWarmUp::Linear { epochs } if !(epochs > 0.0 && epochs.is_finite()) => {
                Err(Error::config("warm_up.linear.epochs", epochs, "above 0"))
            }
            KlWarmUp::Cyclical { cycles: 0, .. } => {
                Err(Error::config("warm_up.cyclical.cycles", 0, "1 or more"))
            }
            KlWarmUp::Cyclical { growing, .. } if !(growing > 0.0 && growing <= 1.0) => {
                let expected = "above 0 and at most 1";
                Err(Error::config("warm_up.cyclical.growing", growing, expected))
            }
            _ => Ok(()),
        }
    }

    /// Share of `beta` at a moment.
    fn share(self, epochs_done: f64, n_epochs: usize) -> f64 {
        match self {
            KlWarmUp::Linear { epochs } => (epochs_done / epochs).min(1.0),
            KlWarmUp::Cyclical { cycles, growing } => {
                let cycle = n_epochs.max(1) as f64 / cycles as f64;
                ((epochs_done / cycle).fract() / growing).min(1.0)
            }
        }
    }
}

fn one() -> f32 {
    1.0
}

impl Variational {
    pub(crate) fn examples() -> Vec<Self> {
        let plain = Variational {
            hidden_dims: vec![32],
            activation: Activation::Tanh,
            output_std: 0.02,
            ..Variational::new(6)
        };
        let linear = Variational {
            beta: 0.5,
            free_nats: 0.05,
            warm_up: Some(KlWarmUp::Linear { epochs: 5.0 }),
            ..plain.clone()
        };
        let cyclical = KlWarmUp::Cyclical { cycles: 4, growing: 0.5 };
        let cyclical = Variational { warm_up: Some(cyclical), ..plain.clone() };
        vec![plain, linear, cyclical]
    }
}

impl Architecture for Variational {
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
        let mut line = format!("{}, beta {}", self.body().describe(n_features), self.beta);
        match self.warm_up {
            None => {}
            Some(KlWarmUp::Linear { epochs }) => line += &format!(" reached in {epochs} epochs"),
            Some(KlWarmUp::Cyclical { cycles, .. }) => line += &format!(" in {cycles} cycles"),
        }
        if self.free_nats > 0.0 {
            line += &format!(", {} free nats a dimension", self.free_nats);
        }
        line + if self.binarise { ", binarised" } else { "" }
    }

    fn check(&self, loss: &Loss) -> Result<()> {
        self.body().check()?;
        for (key, value) in [("beta", self.beta), ("free_nats", self.free_nats)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::config(key, value, "0 or above"));
            }
        }
        if !(self.output_std > 0.0 && self.output_std.is_finite()) {
            return Err(Error::config("output_std", self.output_std, "above 0"));
        }
        if !matches!(loss, Loss::Mse | Loss::Bce) {
            let expected = "`mse` (a normal likelihood) or `bce` (Bernoulli) for this model";
            return Err(Error::config("train.loss", format!("{loss:?}").to_lowercase(), expected));
        }
        if self.binarise && *loss != Loss::Bce {
            return Err(Error::config("binarise", true, "`false` for any loss but `bce`"));
        }
        self.warm_up.map_or(Ok(()), KlWarmUp::check)
    }

    fn build(&self, shape: &SampleShape, seed: Seed) -> Result<Box<dyn Autoencoder>> {
        let body = self.body();
        let n_features = shape.n_features();
        let encoder = body.encoder(shape, seed)?;
        let mean = body.latent(&encoder, Activation::Linear, "mean", seed)?;
        let log_variance = body.latent(&encoder, Activation::Linear, "log_variance", seed)?;
        let decoder = Decoder::new(&body, shape, seed)?;
        let heads = [parameters_of(&mean), parameters_of(&log_variance)].concat();
        let parameters = [encoder.parameters(), heads, decoder.parameters()].concat();
        let buffers = [encoder.buffers(), decoder.buffers()].concat();
        let config = self.clone();
        Ok(Box::new(Model {
            config,
            n_features,
            encoder,
            mean,
            log_variance,
            decoder,
            parameters,
            buffers,
        }))
    }
}

#[derive(Debug)]
struct Model {
    config: Variational,
    n_features: usize,
    encoder: Encoder,
    mean: Dense,
    log_variance: Dense,
    decoder: Decoder,
    parameters: Vec<Parameter>,
    buffers: Vec<Buffer>,
}

impl Model {
    /// Weight of the KL divergence at a moment; the full one when the model is judged.
    fn beta(&self, phase: Phase) -> f64 {
        let share = match (phase, self.config.warm_up) {
            (Phase::Train { epochs_done, n_epochs }, Some(warm_up)) => {
                warm_up.share(epochs_done, n_epochs)
            }
            _ => 1.0,
        };
        f64::from(self.config.beta) * share
    }

    /// KL divergence of each latent dimension from the standard normal, a mean over samples.
    fn kl_by_dimension(mean: &Tensor, log_variance: &Tensor) -> Result<Tensor> {
        let terms = ((mean.sqr()? + log_variance.exp()?)? - (log_variance + 1.0)?)?;
        Ok((terms.mean(0)? * 0.5)?)
    }

    /// Nats for one unit of the file's loss, a mean over features.
    fn nats(&self, loss: &Loss) -> f64 {
        let n_features = self.n_features as f64;
        match loss {
            Loss::Mse => n_features / (2.0 * f64::from(self.config.output_std).powi(2)),
            _ => n_features,
        }
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
        self.config.latent_dim
    }

    fn corruption(&self) -> Option<Corruption> {
        None
    }

    fn encode(&self, input: &Tensor) -> Result<Tensor> {
        check_width(input, self.n_features)?;
        let hidden = self.encoder.forward(input, &Context::as_used())?;
        Ok(self.mean.forward(&hidden, Select::All)?)
    }

    fn hidden(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        check_width(input, self.n_features)?;
        let embedded = self.encoder.embed(input)?;
        let mut hidden = self.encoder.stack().hidden(&embedded, &Context::as_used())?;
        hidden.push(self.mean.forward(hidden.last().unwrap_or(&embedded), Select::All)?);
        Ok(hidden)
    }

    fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        self.decoder.look_through(encoder)
    }

    fn reconstruct(&self, input: &Tensor) -> Result<Tensor> {
        self.decoder.reconstruct(&self.encode(input)?, false)
    }

    fn decode_draws(&self, draws: MatrixView<'_>) -> Result<Option<Matrix>> {
        check_width(&rows_of(draws)?, self.config.latent_dim)?;
        Ok(Some(to_matrix(&self.decoder.reconstruct(&rows_of(draws)?, false)?)?))
    }

    fn loss(
        &self,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        context: &Context,
    ) -> Result<LossParts> {
        check_width(input, self.n_features)?;
        let drawn;
        let (input, target) = if self.config.binarise {
            drawn = binarised(target, context.seed.child("binarise"))?;
            (&drawn, &drawn)
        } else {
            (input, target)
        };
        let hidden = self.encoder.forward(input, context)?;
        let mean = self.mean.forward(&hidden, Select::All)?;
        let log_variance = bounded(&self.log_variance.forward(&hidden, Select::All)?)?;
        let (n_rows, latent_dim) = mean.dims2()?;
        let noise = normal(n_rows, latent_dim, context.seed.child("latent"))?;
        let latent = (&mean + ((&log_variance * 0.5)?.exp()? * noise)?)?;
        let compared = self.decoder.loss(&latent, false, target, loss, context)?;
        let compared = compared.scaled(self.nats(loss))?;
        let by_dimension = Self::kl_by_dimension(&mean, &log_variance)?;
        let free = f64::from(self.config.free_nats);
        let charged = if free > 0.0 { by_dimension.maximum(free)? } else { by_dimension.clone() };
        let kl = (charged.sum(D::Minus1)? * self.beta(context.phase))?;
        let nats = by_dimension.to_vec1::<f32>()?;
        let variance = log_variance.exp()?.mean(0)?.to_vec1::<f32>()?;
        Ok(compared
            .and(vec![("kl", kl)])?
            .with_fact("kl_by_dimension", nats)
            .with_fact("variance_by_dimension", variance))
    }
}

/// The same values, held within the bound; the gradient is that at the bound, so that a value that
/// left it is led back.
fn bounded(log_variance: &Tensor) -> Result<Tensor> {
    let held = log_variance.clamp(-LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND)?;
    Ok((log_variance + (held - log_variance)?.detach())?)
}

/// A 1 in place of each value with the value as its probability, else a 0.
fn binarised(values: &Tensor, seed: Seed) -> Result<Tensor> {
    let mut rng = seed.rng();
    let mut drawn = values.flatten_all()?.to_vec1::<f32>()?;
    drawn.iter_mut().for_each(|value| *value = f32::from(u8::from(rng.random::<f32>() < *value)));
    Ok(Tensor::from_vec(drawn, values.shape(), values.device())?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_divergence_agrees_with_pytorch() {
        // import torch; from torch.distributions import Normal, kl_divergence
        // m = torch.tensor([[0.3, -1.2], [0.0, 2.0]]); v = torch.tensor([[0.1, -0.7], [1.5, 0.0]])
        // kl_divergence(Normal(m, (v / 2).exp()), Normal(0., 1.)).mean(0)
        let device = Device::Cpu;
        let mean = Tensor::new(&[[0.3_f32, -1.2], [0.0, 2.0]], &device).unwrap();
        let log_variance = Tensor::new(&[[0.1_f32, -0.7], [1.5, 0.0]], &device).unwrap();
        let found = Model::kl_by_dimension(&mean, &log_variance).unwrap();
        let expected = [0.519_215, 1.409_146_3];
        for (found, expected) in found.to_vec1::<f32>().unwrap().into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn the_weight_of_the_divergence_grows_as_asked() {
        let linear = KlWarmUp::Linear { epochs: 4.0 };
        let cyclical = KlWarmUp::Cyclical { cycles: 2, growing: 0.5 };
        let table = [(0.0, 0.0, 0.0), (1.0, 0.25, 0.4), (3.0, 0.75, 1.0), (6.0, 1.0, 0.4)];
        for (epochs_done, of_linear, of_cyclical) in table {
            assert_eq!(linear.share(epochs_done, 10), of_linear);
            assert!((cyclical.share(epochs_done, 10) - of_cyclical).abs() < 1e-12);
        }
    }

    #[test]
    fn a_log_variance_out_of_bounds_is_held_and_led_back() {
        let raw = candle_core::Var::from_vec(vec![-30.0_f32, 0.5, 30.0], 3, &Device::Cpu).unwrap();
        let held = bounded(&raw).unwrap();
        assert_eq!(held.to_vec1::<f32>().unwrap(), [-10.0, 0.5, 10.0]);
        let zeros = Tensor::zeros((1, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let kl = Model::kl_by_dimension(&zeros, &held.unsqueeze(0).unwrap()).unwrap();
        let gradients = kl.sum_all().unwrap().backward().unwrap();
        let gradient = gradients.get(&raw).unwrap().to_vec1::<f32>().unwrap();
        assert!(gradient[0] < 0.0 && gradient[2] > 0.0, "{gradient:?}");
    }

    #[test]
    fn drawn_values_are_zeros_and_ones_with_the_right_mean() {
        let values = Tensor::full(0.3_f32, (100, 100), &Device::Cpu).unwrap();
        let drawn = binarised(&values, Seed::new(1)).unwrap();
        let mean = drawn.mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((mean - 0.3).abs() < 0.02, "{mean}");
        let drawn = drawn.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(drawn.iter().all(|&value| value == 0.0 || value == 1.0));
    }
}
