//! Weight initialisers, drawn from our own seeded generator.

use hourglass_core::Seed;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Activation;

/// How the weights of a layer are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Init {
    /// Uniform with variance `2 / (fan_in + fan_out)`: Glorot and Bengio, AISTATS 2010.
    GlorotUniform,
    /// Normal with variance `2 / (fan_in + fan_out)`: Glorot and Bengio, AISTATS 2010.
    GlorotNormal,
    /// Uniform with variance `2 / fan_in`: He, Zhang, Ren, Sun, arXiv:1502.01852.
    HeUniform,
    /// Normal with variance `2 / fan_in`: He, Zhang, Ren, Sun, arXiv:1502.01852.
    HeNormal,
    /// Normal with variance `1 / fan_in`: LeCun, Bottou, Orr, Müller, "Efficient BackProp", 1998.
    LecunNormal,
}

impl Init {
    /// What suits an activation: He for the ReLU family, LeCun for SELU, Glorot otherwise.
    pub fn for_activation(activation: Activation) -> Self {
        match activation {
            Activation::Relu | Activation::LeakyRelu | Activation::Elu => Init::HeUniform,
            Activation::Selu => Init::LecunNormal,
            _ => Init::GlorotUniform,
        }
    }

    /// `fan_in * fan_out` weights.
    pub fn draw(self, fan_in: usize, fan_out: usize, seed: Seed) -> Vec<f32> {
        let (fan_in_f, both) = (fan_in as f32, (fan_in + fan_out) as f32);
        let variance = match self {
            Init::GlorotUniform | Init::GlorotNormal => 2.0 / both,
            Init::HeUniform | Init::HeNormal => 2.0 / fan_in_f,
            Init::LecunNormal => 1.0 / fan_in_f,
        };
        let mut rng = seed.rng();
        let n_weights = fan_in * fan_out;
        match self {
            Init::GlorotUniform | Init::HeUniform => {
                let bound = (3.0 * variance).sqrt();
                (0..n_weights).map(|_| rng.random_range(-bound..bound)).collect()
            }
            Init::GlorotNormal | Init::HeNormal | Init::LecunNormal => {
                let mut weights = vec![0.0; n_weights];
                fill_normal(&mut weights, variance.sqrt(), &mut rng);
                weights
            }
        }
    }
}

/// Fills a slice with normal numbers of mean 0.
///
/// # Source
/// Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958; both numbers of a
/// pair are used, so the sequence depends on nothing but the generator.
pub(crate) fn fill_normal(values: &mut [f32], std: f32, rng: &mut hourglass_core::Rng) {
    for pair in values.chunks_mut(2) {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = std * (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
        let (sin, cos) = (std::f32::consts::TAU * rng.random::<f32>()).sin_cos();
        pair[0] = radius * cos;
        if let Some(second) = pair.get_mut(1) {
            *second = radius * sin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_variance_are_those_of_the_papers() {
        let (fan_in, fan_out) = (300, 200);
        let table = [
            (Init::GlorotUniform, 2.0 / 500.0),
            (Init::GlorotNormal, 2.0 / 500.0),
            (Init::HeUniform, 2.0 / 300.0),
            (Init::HeNormal, 2.0 / 300.0),
            (Init::LecunNormal, 1.0 / 300.0),
        ];
        for (init, expected) in table {
            let weights = init.draw(fan_in, fan_out, Seed::new(3));
            assert_eq!(weights, init.draw(fan_in, fan_out, Seed::new(3)));
            let n = weights.len() as f64;
            let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
            let variance = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / n;
            assert!(mean.abs() < 1e-3, "{init:?}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.02, "{init:?}: variance {variance}");
        }
    }
}
