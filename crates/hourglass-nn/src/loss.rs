//! Reconstruction losses, each fused with its reduction and its gradient.
//!
//! # Sums and means
//! What holds for every loss and penalty of this crate, and is written here only:
//! - [`Loss::mean`] is the **mean over samples and features**, whatever the size of the batch and
//!   the number of columns, so that learning rates carry over between data sets. Training minimises
//!   it, and reports show it.
//! - [`Loss::weighted_mean`] is the same with a weight for each feature, divided by the sum of the
//!   weights: equal weights, of any size, give the mean.
//! - [`Loss::sum_over_features`] is the sum over features and the **mean over samples**: minus a
//!   log-likelihood, up to a constant. Variational models need it, since their divergence is a sum
//!   over the latent. It is `n_features` times the mean.
//! - [`crate::group_cross_entropy`] is the mean over samples and groups of columns: a group is one
//!   feature, however many columns it takes.
//! - Penalties ([`crate::ActivityPenalty`]) are sums over units and means over samples.
//! - Image losses ([`crate::ssim`] and its kin) are means over samples, channels and positions.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::simd::{sigmoid, softplus, sum_map, wide};
use crate::storage::{slice_of, with_slice};
use crate::{Activation, Error, Result};

/// Values that one task handles.
const CHUNK: usize = 1 << 15;

/// How a reconstruction is compared with its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Mean squared error.
    #[default]
    Mse,
    /// Mean absolute error; its derivative at 0 is 0.
    L1,
    /// Squared below `delta`, linear above: Huber, "Robust Estimation of a Location Parameter",
    /// 1964. Half the square, as in PyTorch.
    Huber {
        /// Where it turns linear, in units of the data; above 0.
        delta: f32,
    },
    /// Binary cross-entropy for data in `[0, 1]`, computed from the values before the sigmoid so
    /// that it stays finite; the output activation must be `sigmoid`.
    Bce,
}

impl Loss {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(self) -> Result<()> {
        match self {
            Loss::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => {
                Err(Error::hyperparameter("loss.huber.delta", delta, "above 0"))
            }
            _ => Ok(()),
        }
    }

    /// Mean over samples and features, a scalar.
    ///
    /// # Shapes
    /// - `output`: `(batch, ...)`; for [`Loss::Bce`] the values before the sigmoid
    /// - `target`: the same
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn mean(self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.reduce(output, target, None, 1.0 / output.elem_count() as f64)
    }

    /// Sum over features and mean over samples, a scalar.
    ///
    /// # Shapes
    /// As [`Loss::mean`].
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn sum_over_features(self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        let n_samples = output.dims().first().copied().unwrap_or(1);
        self.reduce(output, target, None, 1.0 / n_samples as f64)
    }

    /// Weighted mean over samples and features, a scalar.
    ///
    /// # Shapes
    /// - `output`, `target`: as [`Loss::mean`]
    /// - `weights`: one for each feature of a sample; 0 or above, at least one above 0
    ///
    /// # Errors
    /// If the shapes differ; [`Error::Hyperparameter`] if a weight is negative or their sum is 0.
    pub fn weighted_mean(
        self,
        output: &Tensor,
        target: &Tensor,
        weights: &[f32],
    ) -> Result<Tensor> {
        let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        if let Some(wrong) = weights.iter().find(|w| w.is_nan() || **w < 0.0) {
            return Err(Error::hyperparameter("loss.weights", wrong, "0 or above"));
        }
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(Error::hyperparameter("loss.weights", sum, "above 0 in sum"));
        }
        let n_features: usize = output.dims().iter().skip(1).product();
        if n_features != weights.len() {
            return Err(Error::Shape {
                layer: "loss".to_owned(),
                expected: format!("(batch, {}), one column a weight", weights.len()),
                found: output.dims().to_vec(),
            });
        }
        let scale = 1.0 / (output.dims()[0] as f64 * sum);
        self.reduce(output, target, Some(weights.into()), scale)
    }

    /// `scale` times the (weighted) sum over everything.
    fn reduce(
        self,
        output: &Tensor,
        target: &Tensor,
        weights: Option<Arc<[f32]>>,
        scale: f64,
    ) -> Result<Tensor> {
        if !output.device().is_cpu() {
            return self.composed(output, target, weights.as_deref(), scale);
        }
        let op = LossOp { loss: self, weights, scale };
        Ok(output.contiguous()?.apply_op2(&target.contiguous()?, op)?)
    }

    /// The same out of candle's operations, for any device.
    fn composed(
        self,
        output: &Tensor,
        target: &Tensor,
        weights: Option<&[f32]>,
        scale: f64,
    ) -> Result<Tensor> {
        let error = (output - target)?;
        let is = |mask: Tensor| mask.to_dtype(error.dtype());
        // |error|, with derivative 0 at 0.
        let absolute = || &error * (is(error.gt(0.0)?)? - is(error.lt(0.0)?)?)?;
        let values = match self {
            Loss::Mse => error.sqr()?,
            Loss::L1 => absolute()?,
            Loss::Huber { delta } => {
                let delta = f64::from(delta);
                let absolute = absolute()?;
                let inside = is(absolute.le(delta)?)?;
                let outside = inside.affine(-1.0, 1.0)?;
                let linear = ((absolute * delta)? - 0.5 * delta * delta)?;
                (((error.sqr()? * 0.5)? * inside)? + (linear * outside)?)?
            }
            Loss::Bce => (Activation::Softplus.composed(output)? - output.mul(target)?)?,
        };
        let values = match weights {
            Some(weights) => {
                let rows = values.reshape(((), weights.len()))?;
                rows.broadcast_mul(&Tensor::new(weights, output.device())?)?
            }
            None => values,
        };
        Ok((values.sum_all()? * scale)?)
    }

    #[inline(always)]
    pub(crate) fn value(self, output: f32, target: f32) -> f32 {
        let error = output - target;
        match self {
            Loss::Mse => error * error,
            Loss::L1 => error.abs(),
            Loss::Huber { delta } if error.abs() <= delta => 0.5 * error * error,
            Loss::Huber { delta } => delta * (error.abs() - 0.5 * delta),
            Loss::Bce => softplus(output) - output * target,
        }
    }

    #[inline(always)]
    pub(crate) fn derivative(self, output: f32, target: f32) -> f32 {
        let error = output - target;
        match self {
            Loss::Mse => 2.0 * error,
            Loss::L1 if error == 0.0 => 0.0,
            Loss::L1 => error.signum(),
            Loss::Huber { delta } => error.clamp(-delta, delta),
            Loss::Bce => sigmoid(output) - target,
        }
    }
}

struct LossOp {
    loss: Loss,
    weights: Option<Arc<[f32]>>,
    scale: f64,
}

impl LossOp {
    /// Values that one task handles: whole rows where features have weights.
    fn chunk(&self) -> usize {
        match &self.weights {
            Some(weights) => (CHUNK / weights.len()).max(1) * weights.len(),
            None => CHUNK,
        }
    }

    fn sum(&self, output: &[f32], target: &[f32]) -> f64 {
        let loss = self.loss;
        match &self.weights {
            None => wide(|| sum_map(output, target, |o, t| loss.value(o, t))),
            Some(weights) => wide(|| {
                let n = weights.len();
                let mut sums = vec![0.0_f64; n];
                for (output, target) in output.chunks(n).zip(target.chunks(n)) {
                    for ((sum, &o), &t) in sums.iter_mut().zip(output).zip(target) {
                        *sum += f64::from(loss.value(o, t));
                    }
                }
                sums.iter().zip(weights.iter()).map(|(sum, &weight)| sum * f64::from(weight)).sum()
            }),
        }
    }

    /// Gradient of a chunk, each value times `scale`.
    fn gradient(&self, scale: f32, output: &[f32], target: &[f32], gradient: &mut [f32]) {
        let loss = self.loss;
        wide(|| {
            for ((gradient, &o), &t) in gradient.iter_mut().zip(output).zip(target) {
                *gradient = scale * loss.derivative(o, t);
            }
            if let Some(weights) = &self.weights {
                for row in gradient.chunks_mut(weights.len()) {
                    row.iter_mut().zip(weights.iter()).for_each(|(g, weight)| *g *= weight);
                }
            }
        });
    }
}

impl CustomOp2 for LossOp {
    fn name(&self) -> &'static str {
        "hourglass-loss"
    }

    fn cpu_fwd(
        &self,
        output: &CpuStorage,
        output_layout: &Layout,
        target: &CpuStorage,
        target_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (output_dims, target_dims) = (output_layout.dims(), target_layout.dims());
        if output_dims != target_dims {
            candle_core::bail!("the output is {output_dims:?}, but its target {target_dims:?}");
        }
        let output = slice_of(output, output_layout)?;
        let target = slice_of(target, target_layout)?;
        let chunk = self.chunk();
        let parts: Vec<f64> = output
            .par_chunks(chunk)
            .zip(target.par_chunks(chunk))
            .map(|(output, target)| self.sum(output, target))
            .collect();
        let value = self.scale * parts.iter().sum::<f64>();
        Ok((CpuStorage::F32(vec![value as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        output: &Tensor,
        target: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let scale = (f64::from(grad.to_scalar::<f32>()?) * self.scale) as f32;
        let chunk = self.chunk();
        let gradient = with_slice(output, |output| {
            with_slice(target, |target| {
                let mut gradient = vec![0.0; output.len()];
                gradient
                    .par_chunks_mut(chunk)
                    .zip(output.par_chunks(chunk).zip(target.par_chunks(chunk)))
                    .for_each(|(gradient, (o, t))| self.gradient(scale, o, t, gradient));
                gradient
            })
        })??;
        Ok((Some(Tensor::from_vec(gradient, output.shape(), output.device())?), None))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    const ALL: [Loss; 4] = [Loss::Mse, Loss::L1, Loss::Huber { delta: 0.5 }, Loss::Bce];

    #[test]
    fn values_agree_with_pytorch() {
        // import torch, torch.nn.functional as F
        // o = torch.tensor([[-2., .3, 25.], [.1, -.4, 1.5]]); t = torch.tensor([[0., 1, 1], [.5, 0,
        // 1]])
        // F.mse_loss(o, t), F.l1_loss(o, t), F.huber_loss(o, t, delta=.5),
        // F.binary_cross_entropy_with_logits(o, t)
        let device = Device::Cpu;
        let output = Tensor::new(&[[-2.0_f32, 0.3, 25.0], [0.1, -0.4, 1.5]], &device).unwrap();
        let target = Tensor::new(&[[0.0_f32, 1.0, 1.0], [0.5, 0.0, 1.0]], &device).unwrap();
        let expected = [96.843_33, 4.666_667, 2.21, 0.348_4];
        for (loss, expected) in ALL.into_iter().zip(expected) {
            let found = loss.mean(&output, &target).unwrap().to_scalar::<f32>().unwrap();
            assert!((found - expected).abs() < 1e-4, "{loss:?}: {found} {expected}");
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let device = Device::Cpu;
        let values = [-1.3_f32, 0.3, 0.9, 0.1, -0.44, 1.7];
        let target = Tensor::new(&[[0.0_f32, 1.0, 0.2], [0.5, 0.0, 1.0]], &device).unwrap();
        for loss in ALL {
            let at = |values: &[f32]| {
                let output = Tensor::from_slice(values, (2, 3), &device).unwrap();
                loss.mean(&output, &target).unwrap().to_scalar::<f32>().unwrap()
            };
            let output =
                Var::from_tensor(&Tensor::from_slice(&values, (2, 3), &device).unwrap()).unwrap();
            let grads = loss.mean(&output, &target).unwrap().backward().unwrap();
            let gradient =
                grads.get(&output).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for i in 0..values.len() {
                let (mut up, mut down) = (values, values);
                up[i] += 1e-3;
                down[i] -= 1e-3;
                let numeric = (at(&up) - at(&down)) / 2e-3;
                assert!((gradient[i] - numeric).abs() < 1e-3, "{loss:?} {i}");
            }
        }
    }
    #[test]
    fn fused_and_composed_agree_in_every_reduction() {
        let device = Device::Cpu;
        let values: Vec<f32> = (0..21).map(|i| (i * 37 % 23) as f32 * 0.2 - 2.0).collect();
        let target = Tensor::from_iter((0..21).map(|i| (i * 5 % 11) as f32 * 0.1), &device);
        let target = target.unwrap().reshape((3, 7)).unwrap();
        let weights = [1.0, 0.0, 2.5, 0.1, 1.0, 3.0, 0.5];
        let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        for loss in ALL {
            for (weights, scale) in [(None, 1.0 / 21.0), (Some(&weights[..]), 1.0 / (3.0 * sum))] {
                let run = |fused: bool| {
                    let output = Tensor::from_slice(&values, (3, 7), &device).unwrap();
                    let output = Var::from_tensor(&output).unwrap();
                    let value = match weights {
                        _ if !fused => loss.composed(&output, &target, weights, scale),
                        Some(weights) => loss.weighted_mean(&output, &target, weights),
                        None => loss.mean(&output, &target),
                    };
                    let value = (value.unwrap() * 3.0).unwrap();
                    let grads = value.backward().unwrap();
                    let mut all: Vec<f32> =
                        grads.get(&output).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                    all.push(value.to_scalar().unwrap());
                    all
                };
                for (fused, composed) in run(true).iter().zip(run(false)) {
                    assert!((fused - composed).abs() < 1e-6, "{loss:?}: {fused} {composed}");
                }
            }
        }
    }

    #[test]
    fn sums_means_and_weights_are_as_documented() {
        let device = Device::Cpu;
        let output = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &device).unwrap();
        let target = output.zeros_like().unwrap();
        let scalar = |tensor: Result<Tensor>| tensor.unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(scalar(Loss::Mse.mean(&output, &target)), 7.5);
        assert_eq!(scalar(Loss::Mse.sum_over_features(&output, &target)), 15.0);
        let weighted = |weights: &[f32]| Loss::Mse.weighted_mean(&output, &target, weights);
        assert_eq!(scalar(weighted(&[5.0, 5.0])), 7.5);
        assert_eq!(scalar(weighted(&[0.0, 0.5])), 10.0);
        assert!(weighted(&[0.0, 0.0]).is_err() && weighted(&[-1.0, 2.0]).is_err());
        assert!(weighted(&[1.0; 3]).is_err());
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let values = (0..200 * 801).map(|i| (i % 97) as f32 * 0.03 - 1.0);
                let output = Tensor::from_iter(values, &Device::Cpu).unwrap();
                let output = Var::from_tensor(&output.reshape((200, 801)).unwrap()).unwrap();
                let target = output.zeros_like().unwrap();
                let value = Loss::Bce.weighted_mean(&output, &target, &[0.5; 801]).unwrap();
                let grads = value.backward().unwrap();
                let gradient = grads.get(&output).unwrap().flatten_all().unwrap();
                (value.to_scalar::<f32>().unwrap(), gradient.to_vec1::<f32>().unwrap())
            })
        };
        assert_eq!(run(1), run(2));
    }
}
