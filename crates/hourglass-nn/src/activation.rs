//! Activation functions whose derivative can be had from their value, so that the fused layer
//! need not keep what went in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Elementwise non-linearity of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Activation {
    /// `x`: range `(-inf, inf)`.
    Linear,
    /// `max(x, 0)`, with derivative 0 at 0 as in PyTorch (candle has 1): range `[0, inf)`.
    #[default]
    Relu,
    /// `x` above 0, `0.01 x` below: Maas, Hannun, Ng, "Rectifier Nonlinearities Improve Neural
    /// Network Acoustic Models", ICML 2013.
    LeakyRelu,
    /// `x` above 0, `exp(x) - 1` below: Clevert, Unterthiner, Hochreiter, arXiv:1511.07289.
    Elu,
    /// Scaled ELU: Klambauer et al., "Self-Normalizing Neural Networks", arXiv:1706.02515.
    Selu,
    /// `1 / (1 + exp(-x))`: range `(0, 1)`.
    Sigmoid,
    /// Hyperbolic tangent: range `(-1, 1)`.
    Tanh,
    /// `ln(1 + exp(x))`: range `(0, inf)`.
    Softplus,
}

const LEAK: f32 = 0.01;
// Klambauer et al. 2017, section 2: the fixed point of mean 0 and variance 1.
const SELU_SCALE: f32 = 1.050_701;
const SELU_ALPHA: f32 = 1.673_263_2;

impl Activation {
    /// Every activation, for tests and the reference page.
    pub const ALL: [Activation; 8] = [
        Activation::Linear,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Elu,
        Activation::Selu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
    ];

    /// Replaces each value by its activation.
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Activation::Linear => {}
            Activation::Relu => map(values, |x| x.max(0.0)),
            Activation::LeakyRelu => map(values, |x| if x > 0.0 { x } else { LEAK * x }),
            Activation::Elu => map(values, |x| if x > 0.0 { x } else { x.exp_m1() }),
            Activation::Selu => {
                map(values, |x| SELU_SCALE * if x > 0.0 { x } else { SELU_ALPHA * x.exp_m1() })
            }
            Activation::Sigmoid => map(values, |x| 1.0 / (1.0 + (-x).exp())),
            Activation::Tanh => map(values, f32::tanh),
            Activation::Softplus => map(values, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        }
    }

    /// Multiplies each gradient by the derivative at the point where the activation was `values`.
    pub fn scale_gradient(self, values: &[f32], gradient: &mut [f32]) {
        match self {
            Activation::Linear => {}
            Activation::Relu => zip(values, gradient, |y| if y > 0.0 { 1.0 } else { 0.0 }),
            Activation::LeakyRelu => zip(values, gradient, |y| if y > 0.0 { 1.0 } else { LEAK }),
            Activation::Elu => zip(values, gradient, |y| if y > 0.0 { 1.0 } else { y + 1.0 }),
            Activation::Selu => zip(values, gradient, |y| {
                if y > 0.0 { SELU_SCALE } else { y + SELU_SCALE * SELU_ALPHA }
            }),
            Activation::Sigmoid => zip(values, gradient, |y| y * (1.0 - y)),
            Activation::Tanh => zip(values, gradient, |y| 1.0 - y * y),
            // y = ln(1 + exp(x)), so sigmoid(x) = 1 - exp(-y).
            Activation::Softplus => zip(values, gradient, |y| -(-y).exp_m1()),
        }
    }

    /// The values it can take, `(lowest, highest)`, ends included.
    pub fn range(self) -> (f32, f32) {
        match self {
            Activation::Linear | Activation::LeakyRelu => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu | Activation::Softplus => (0.0, f32::INFINITY),
            Activation::Elu => (-1.0, f32::INFINITY),
            Activation::Selu => (-SELU_SCALE * SELU_ALPHA, f32::INFINITY),
            Activation::Sigmoid => (0.0, 1.0),
            Activation::Tanh => (-1.0, 1.0),
        }
    }
}

fn map(values: &mut [f32], f: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|value| *value = f(*value));
}

fn zip(values: &[f32], gradient: &mut [f32], derivative: impl Fn(f32) -> f32) {
    for (gradient, &value) in gradient.iter_mut().zip(values) {
        *gradient *= derivative(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for activation in Activation::ALL {
            for x in [-3.0_f32, -0.7, 0.4, 2.5] {
                let step = 1e-2;
                let mut around = [x - step, x, x + step];
                activation.apply(&mut around);
                let mut gradient = [1.0];
                activation.scale_gradient(&around[1..2], &mut gradient);
                let numeric = (around[2] - around[0]) / (2.0 * step);
                assert!(
                    (gradient[0] - numeric).abs() < 2e-4,
                    "{activation:?} at {x}: {} and {numeric}",
                    gradient[0]
                );
            }
        }
    }

    #[test]
    fn values_agree_with_pytorch() {
        // import torch; x = torch.tensor([-1.5, 0.0, 2.0]); F = torch.nn.functional
        // F.elu(x), F.selu(x), F.softplus(x), F.leaky_relu(x), torch.sigmoid(x)
        let table: [(Activation, [f32; 3]); 5] = [
            (Activation::Elu, [-0.776_869_8, 0.0, 2.0]),
            (Activation::Selu, [-1.365_814_3, 0.0, 2.101_402]),
            (Activation::Softplus, [0.201_413_27, std::f32::consts::LN_2, 2.126_928]),
            (Activation::LeakyRelu, [-0.015, 0.0, 2.0]),
            (Activation::Sigmoid, [0.182_425_52, 0.5, 0.880_797]),
        ];
        for (activation, expected) in table {
            let mut values = [-1.5, 0.0, 2.0];
            activation.apply(&mut values);
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 2e-6, "{activation:?}: {value} {expected}");
            }
        }
    }
}
