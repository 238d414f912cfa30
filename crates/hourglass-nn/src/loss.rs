//! Reconstruction losses, each fused with its reduction and its gradient.
//!
//! Every loss is the **mean over samples and features**, whatever the batch size. Penalties are
//! sums over units and means over samples (see [`crate::ActivityPenalty`]).

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::simd::{sum_map, wide};
use crate::storage::{slice_of, with_view};
use crate::{Error, Result};

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

    /// Mean loss over samples and features, a scalar.
    ///
    /// # Shapes
    /// - `output`: `(batch, n_features)`; for [`Loss::Bce`] the values before the sigmoid
    /// - `target`: the same
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn mean(self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(output.contiguous()?.apply_op2(&target.contiguous()?, LossOp(self))?)
    }

    #[inline(always)]
    fn value(self, output: f32, target: f32) -> f32 {
        let error = output - target;
        match self {
            Loss::Mse => error * error,
            Loss::L1 => error.abs(),
            Loss::Huber { delta } if error.abs() <= delta => 0.5 * error * error,
            Loss::Huber { delta } => delta * (error.abs() - 0.5 * delta),
            Loss::Bce => output.max(0.0) - output * target + (-output.abs()).exp().ln_1p(),
        }
    }

    #[inline(always)]
    fn derivative(self, output: f32, target: f32) -> f32 {
        let error = output - target;
        match self {
            Loss::Mse => 2.0 * error,
            Loss::L1 if error == 0.0 => 0.0,
            Loss::L1 => error.signum(),
            Loss::Huber { delta } => error.clamp(-delta, delta),
            Loss::Bce => 1.0 / (1.0 + (-output).exp()) - target,
        }
    }
}

struct LossOp(Loss);

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
        let parts: Vec<f64> = output
            .par_chunks(CHUNK)
            .zip(target.par_chunks(CHUNK))
            .map(|(output, target)| wide(|| sum_map(output, target, |o, t| self.0.value(o, t))))
            .collect();
        let mean = parts.iter().sum::<f64>() / output.len() as f64;
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        output: &Tensor,
        target: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let scale = grad.to_scalar::<f32>()? / output.elem_count() as f32;
        let gradient = with_view(output, |output| {
            with_view(target, |target| {
                let (output, target) = (output.to_slice(), target.to_slice());
                let (output, target) = output.zip(target).expect("views of contiguous tensors");
                let mut gradient = vec![0.0; output.len()];
                gradient
                    .par_chunks_mut(CHUNK)
                    .zip(output.par_chunks(CHUNK).zip(target.par_chunks(CHUNK)))
                    .for_each(|(gradient, (output, target))| {
                        wide(|| {
                            for ((gradient, &o), &t) in gradient.iter_mut().zip(output).zip(target)
                            {
                                *gradient = scale * self.0.derivative(o, t);
                            }
                        });
                    });
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
}
