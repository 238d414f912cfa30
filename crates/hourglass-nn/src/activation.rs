//! Activation functions. The derivative of most can be had from their value, so that a fused layer
//! need not keep what went in; those of GELU and SiLU can't, since they take a value twice, and
//! they follow the layer as an operation of their own. A slope that is trained is no concern of
//! this file: see [`crate::Prelu`].

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::simd::{erf, exp, exp_m1, sigmoid, softplus, tanh, wide};
use crate::storage::{slice_of, with_slice};

/// Values that one task handles.
const CHUNK: usize = 1 << 15;

/// Elementwise non-linearity of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Activation {
    /// `x`: range `(-inf, inf)`.
    Linear,
    /// `max(x, 0)`, with derivative 0 at 0 as in PyTorch (candle has 1), and as there a NaN stays
    /// one: range `[0, inf)`.
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
    /// `x` times the normal distribution function of `x`, exact by the error function (not the
    /// approximation by tanh): Hendrycks and Gimpel, arXiv:1606.08415.
    Gelu,
    /// `x sigmoid(x)`, also called swish: Hendrycks and Gimpel, arXiv:1606.08415; Elfwing, Uchibe,
    /// Doya, arXiv:1702.03118.
    Silu,
}

const LEAK: f32 = 0.01;
// Least values of GELU and SiLU, at -0.751 79 and -1.278 46.
const GELU_LOWEST: f32 = -0.169_971_2;
const SILU_LOWEST: f32 = -0.278_464_6;
// Klambauer et al. 2017, section 2: the fixed point of mean 0 and variance 1.
const SELU_SCALE: f32 = 1.050_701;
const SELU_ALPHA: f32 = 1.673_263_2;

impl Activation {
    /// Every activation, for tests and the reference page.
    pub const ALL: [Activation; 10] = [
        Activation::Linear,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Elu,
        Activation::Selu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
        Activation::Gelu,
        Activation::Silu,
    ];

    /// Replaces each value by its activation.
    #[inline(always)]
    pub fn apply(self, values: &mut [f32]) {
        match self {
            Activation::Linear => {}
            // Not `x.max(0.0)`, which hides a NaN.
            Activation::Relu => map(values, |x| if x < 0.0 { 0.0 } else { x }),
            Activation::LeakyRelu => map(values, |x| if x > 0.0 { x } else { LEAK * x }),
            Activation::Elu => map(values, |x| if x > 0.0 { x } else { exp_m1(x) }),
            Activation::Selu => {
                map(values, |x| SELU_SCALE * if x > 0.0 { x } else { SELU_ALPHA * exp_m1(x) })
            }
            Activation::Sigmoid => map(values, sigmoid),
            Activation::Tanh => map(values, tanh),
            Activation::Softplus => map(values, softplus),
            Activation::Gelu => map(values, |x| x * normal_cdf(x)),
            Activation::Silu => map(values, |x| x * sigmoid(x)),
        }
    }

    /// Multiplies each gradient by the derivative at the point where the activation was `values`;
    /// for GELU and SiLU, at `values`.
    #[inline(always)]
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
            Activation::Softplus => zip(values, gradient, |y| -exp_m1(-y)),
            Activation::Gelu => zip(values, gradient, |x| {
                const INVERSE_ROOT: f32 = 0.398_942_3; // 1 / sqrt(2 pi)
                normal_cdf(x) + x * INVERSE_ROOT * exp(-0.5 * x * x)
            }),
            Activation::Silu => zip(values, gradient, |x| {
                let s = sigmoid(x);
                s * (1.0 + x * (1.0 - s))
            }),
        }
    }

    /// The part that a fused layer can do, and what is left to be done after it.
    pub(crate) fn split(self) -> (Activation, Activation) {
        if self.needs_input() { (Activation::Linear, self) } else { (self, Activation::Linear) }
    }

    /// Whether its derivative takes what went in, not what came out.
    fn needs_input(self) -> bool {
        matches!(self, Activation::Gelu | Activation::Silu)
    }

    /// The activation of each value of a tensor, as an operation of its own.
    ///
    /// # Shapes
    /// - `input`: any
    /// - returns: the same
    ///
    /// # Errors
    /// If candle refuses the tensor.
    pub fn forward(self, input: &Tensor) -> Result<Tensor> {
        if self == Activation::Linear {
            return Ok(input.clone());
        }
        if !input.device().is_cpu() {
            return self.composed(input);
        }
        Ok(input.contiguous()?.apply_op1(ActivationOp(self))?)
    }

    /// The same out of candle's operations, for any device.
    pub(crate) fn composed(self, x: &Tensor) -> Result<Tensor> {
        // candle's own relu has derivative 1 at 0.
        let above = || x.gt(0.0)?.to_dtype(x.dtype());
        let relu = || x * above()?;
        // exp(min(x, 0)) - 1
        let below = || x.sub(&relu()?)?.exp()? - 1.0;
        let sigmoid = || ((x * 0.5)?.tanh()? * 0.5)? + 0.5;
        Ok(match self {
            Activation::Linear => x.clone(),
            Activation::Relu => relu()?,
            Activation::LeakyRelu => {
                (x * above()?.affine(1.0 - f64::from(LEAK), f64::from(LEAK))?)?
            }
            Activation::Elu => (relu()? + below()?)?,
            Activation::Selu => {
                ((relu()? + (below()? * f64::from(SELU_ALPHA))?)? * f64::from(SELU_SCALE))?
            }
            Activation::Sigmoid => sigmoid()?,
            Activation::Tanh => x.tanh()?,
            Activation::Softplus => {
                // -|x| = x - 2 relu(x)
                let relu = relu()?;
                let log = ((x - (&relu * 2.0)?)?.exp()? + 1.0)?.log()?;
                (relu + log)?
            }
            Activation::Gelu => x.gelu_erf()?,
            Activation::Silu => (x * sigmoid()?)?,
        })
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
            Activation::Gelu => (GELU_LOWEST, f32::INFINITY),
            Activation::Silu => (SILU_LOWEST, f32::INFINITY),
        }
    }
}

struct ActivationOp(Activation);

impl CustomOp1 for ActivationOp {
    fn name(&self) -> &'static str {
        "hourglass-activation"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let mut values = slice_of(input, layout)?.to_vec();
        values.par_chunks_mut(CHUNK).for_each(|values| wide(|| self.0.apply(values)));
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let mut grad = with_slice(grad_output, <[f32]>::to_vec)?;
        with_slice(if self.0.needs_input() { input } else { output }, |at| {
            grad.par_chunks_mut(CHUNK)
                .zip(at.par_chunks(CHUNK))
                .for_each(|(grad, at)| wide(|| self.0.scale_gradient(at, grad)));
        })?;
        Ok(Some(Tensor::from_vec(grad, input.shape(), input.device())?))
    }
}

/// Distribution function of the standard normal.
#[inline(always)]
fn normal_cdf(x: f32) -> f32 {
    0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[inline(always)]
fn map(values: &mut [f32], f: impl Fn(f32) -> f32) {
    values.iter_mut().for_each(|value| *value = f(*value));
}

#[inline(always)]
fn zip(values: &[f32], gradient: &mut [f32], derivative: impl Fn(f32) -> f32) {
    for (gradient, &value) in gradient.iter_mut().zip(values) {
        *gradient *= derivative(value);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for activation in Activation::ALL {
            for x in [-3.0_f32, -0.7, 0.4, 2.5] {
                let step = 1e-2;
                let mut around = [x - step, x, x + step];
                activation.apply(&mut around);
                let mut gradient = [1.0];
                let at = if activation.needs_input() { x } else { around[1] };
                activation.scale_gradient(&[at], &mut gradient);
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
        // F.elu(x), F.selu(x), F.softplus(x), F.leaky_relu(x), torch.sigmoid(x), F.gelu(x),
        // F.silu(x)
        let table: [(Activation, [f32; 3]); 7] = [
            (Activation::Elu, [-0.776_869_8, 0.0, 2.0]),
            (Activation::Selu, [-1.365_814_3, 0.0, 2.101_402]),
            (Activation::Softplus, [0.201_413_27, std::f32::consts::LN_2, 2.126_928]),
            (Activation::LeakyRelu, [-0.015, 0.0, 2.0]),
            (Activation::Sigmoid, [0.182_425_52, 0.5, 0.880_797]),
            (Activation::Gelu, [-0.100_210_8, 0.0, 1.954_499_7]),
            (Activation::Silu, [-0.273_638_3, 0.0, 1.761_594_2]),
        ];
        for (activation, expected) in table {
            let mut values = [-1.5, 0.0, 2.0];
            activation.apply(&mut values);
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 2e-6, "{activation:?}: {value} {expected}");
            }
        }
    }
    #[test]
    fn fused_and_composed_agree_with_their_gradients() {
        let values: Vec<f32> = (-40..=40).map(|i| i as f32 * 0.23).collect();
        let x = Tensor::from_vec(values, (3, 27), &Device::Cpu).unwrap();
        let both = |f: &dyn Fn(&Tensor) -> Result<Tensor>| {
            let x = Var::from_tensor(&x).unwrap();
            let output = f(&x).unwrap();
            let grads = output.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            [flat(&output), flat(grads.get(&x).unwrap())].concat()
        };
        for activation in Activation::ALL {
            let fused = both(&|x| activation.forward(x));
            let composed = both(&|x| activation.composed(x));
            for (i, (fused, composed)) in fused.iter().zip(&composed).enumerate() {
                let error = (fused - composed).abs();
                let allowed = 2e-6 * fused.abs().max(1.0);
                assert!(error < allowed, "{activation:?} {i}: {fused} {composed}");
            }
        }
    }

    #[test]
    fn a_nan_is_not_hidden() {
        for activation in Activation::ALL {
            let mut values = [1.0, f32::NAN, -1.0];
            activation.apply(&mut values);
            assert_eq!(values.map(f32::is_nan), [false, true, false], "{activation:?}");
        }
    }

    #[test]
    fn at_zero_the_derivative_of_relu_is_zero_on_both_ways() {
        for f in [Activation::forward, Activation::composed] {
            let x = Var::from_vec(vec![0.0_f32, -0.0], 2, &Device::Cpu).unwrap();
            let grads = f(Activation::Relu, &x).unwrap().sum_all().unwrap().backward().unwrap();
            assert_eq!(grads.get(&x).unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0]);
        }
    }

    #[test]
    fn ranges_hold() {
        for activation in Activation::ALL {
            let mut values: Vec<f32> = (-2000..=2000).map(|i| i as f32 * 0.01).collect();
            activation.apply(&mut values);
            let (lowest, highest) = activation.range();
            assert!(values.iter().all(|v| (lowest..=highest).contains(v)), "{activation:?}");
        }
    }
}
