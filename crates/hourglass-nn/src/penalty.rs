//! Penalties on the activity of a layer, fused with their gradient.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use hourglass_core::MatrixView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::storage::{view_of, with_view};
use crate::{Error, Result};

/// Keeps the logarithms of [`ActivityPenalty::Kl`] finite where a unit never or always fires.
const RATE_FLOOR: f32 = 1e-6;

/// What is added to the loss for the activity of the latent layer: a sum over units, a mean over
/// samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ActivityPenalty {
    /// `weight * sum(|latent|)`.
    L1 {
        /// Strength; above 0.
        weight: f32,
    },
    /// `weight * sum(KL(target || mean activity))` over the batch; for activations in `(0, 1)`.
    /// Ng, "Sparse autoencoder", CS294A lecture notes, 2011.
    Kl {
        /// Strength; above 0.
        weight: f32,
        /// Wanted mean activity of a unit; in `(0, 1)`.
        target: f32,
    },
}

impl ActivityPenalty {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(self) -> Result<()> {
        let (ActivityPenalty::L1 { weight } | ActivityPenalty::Kl { weight, .. }) = self;
        if !(weight > 0.0 && weight.is_finite()) {
            return Err(Error::hyperparameter("penalty.weight", weight, "above 0"));
        }
        match self {
            ActivityPenalty::Kl { target, .. } if !(target > 0.0 && target < 1.0) => {
                Err(Error::hyperparameter("penalty.kl.target", target, "between 0 and 1"))
            }
            _ => Ok(()),
        }
    }

    /// The penalty of a batch of activations, a scalar.
    ///
    /// # Shapes
    /// - `latent`: `(batch, latent_dim)`
    ///
    /// # Errors
    /// If `latent` hasn't two dimensions.
    pub fn of(self, latent: &Tensor) -> Result<Tensor> {
        if !latent.device().is_cpu() {
            return self.composed(latent);
        }
        Ok(latent.contiguous()?.apply_op1(PenaltyOp(self))?)
    }

    /// The same out of candle's operations, for any device.
    fn composed(self, latent: &Tensor) -> Result<Tensor> {
        match self {
            ActivityPenalty::L1 { weight } => {
                let is = |mask: Tensor| mask.to_dtype(latent.dtype());
                let sign = (is(latent.gt(0.0)?)? - is(latent.lt(0.0)?)?)?;
                let scale = f64::from(weight) / latent.dims2()?.0 as f64;
                Ok(((latent * sign)?.sum_all()? * scale)?)
            }
            ActivityPenalty::Kl { weight, target } => {
                let target = f64::from(target);
                let floor = f64::from(RATE_FLOOR);
                let rate = latent.mean(0)?.clamp(floor, 1.0 - floor)?;
                let rest = rate.affine(-1.0, 1.0)?;
                // target ln(target / rate) + (1 - target) ln((1 - target) / (1 - rate))
                let fixed = target * target.ln() + (1.0 - target) * (1.0 - target).ln();
                let moving = ((rate.log()? * target)? + (rest.log()? * (1.0 - target))?)?;
                Ok((moving.affine(-1.0, fixed)?.sum_all()? * f64::from(weight))?)
            }
        }
    }
}

struct PenaltyOp(ActivityPenalty);

impl CustomOp1 for PenaltyOp {
    fn name(&self) -> &'static str {
        "hourglass-activity-penalty"
    }

    fn cpu_fwd(
        &self,
        latent: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let latent = view_of(latent, layout)?;
        let value = match self.0 {
            ActivityPenalty::L1 { weight } => {
                let sum: f64 = latent.iter().map(|&value| f64::from(value.abs())).sum();
                f64::from(weight) * sum / latent.nrows() as f64
            }
            ActivityPenalty::Kl { weight, target } => {
                let kl = |rate: f32| {
                    let (rate, target) = (f64::from(rate), f64::from(target));
                    target * (target / rate).ln()
                        + (1.0 - target) * ((1.0 - target) / (1.0 - rate)).ln()
                };
                f64::from(weight) * mean_rates(latent).into_iter().map(kl).sum::<f64>()
            }
        };
        Ok((CpuStorage::F32(vec![value as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        latent: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let scale = grad.to_scalar::<f32>()?;
        let gradient = with_view(latent, |latent| {
            let scale = scale / latent.nrows() as f32;
            match self.0 {
                ActivityPenalty::L1 { weight } => latent
                    .mapv(|value| if value == 0.0 { 0.0 } else { scale * weight * value.signum() }),
                ActivityPenalty::Kl { weight, target } => {
                    let slopes: Vec<f32> = mean_rates(latent)
                        .into_iter()
                        .map(|r| scale * weight * ((1.0 - target) / (1.0 - r) - target / r))
                        .collect();
                    ndarray::Array2::from_shape_fn(latent.dim(), |(_, unit)| slopes[unit])
                }
            }
        })?;
        let values = gradient.into_raw_vec_and_offset().0;
        Ok(Some(Tensor::from_vec(values, latent.shape(), latent.device())?))
    }
}

/// Mean activity of each unit over the batch, away from 0 and 1.
fn mean_rates(latent: MatrixView<'_>) -> Vec<f32> {
    let mut sums = vec![0.0_f64; latent.ncols()];
    for row in latent.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let rate = |sum: f64| (sum / latent.nrows() as f64) as f32;
    sums.into_iter().map(|sum| rate(sum).clamp(RATE_FLOOR, 1.0 - RATE_FLOOR)).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn gradients_agree_with_finite_differences() {
        let values = [0.2_f32, 0.7, 0.5, 0.9, 0.1, 0.3];
        let penalties =
            [ActivityPenalty::L1 { weight: 0.3 }, ActivityPenalty::Kl { weight: 0.5, target: 0.1 }];
        for penalty in penalties {
            let tensor = |values: &[f32]| Tensor::from_slice(values, (3, 2), &Device::Cpu).unwrap();
            let at = |v: &[f32]| penalty.of(&tensor(v)).unwrap().to_scalar::<f32>().unwrap();
            let latent = Var::from_tensor(&tensor(&values)).unwrap();
            let grads = penalty.of(&latent).unwrap().backward().unwrap();
            let gradient =
                grads.get(&latent).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for i in 0..values.len() {
                let (mut up, mut down) = (values, values);
                up[i] += 1e-3;
                down[i] -= 1e-3;
                let numeric = (at(&up) - at(&down)) / 2e-3;
                assert!((gradient[i] - numeric).abs() < 2e-3, "{penalty:?} {i}");
            }
        }
    }

    #[test]
    fn fused_and_composed_agree_with_their_gradients() {
        let values = [0.1_f32, 0.9, 0.4, 0.3, 0.0, 0.6];
        let table = [
            ActivityPenalty::L1 { weight: 0.3 },
            ActivityPenalty::Kl { weight: 0.3, target: 0.05 },
        ];
        for penalty in table {
            let run = |f: fn(ActivityPenalty, &Tensor) -> Result<Tensor>| {
                let latent = Tensor::from_slice(&values, (3, 2), &Device::Cpu).unwrap();
                let latent = Var::from_tensor(&latent).unwrap();
                let value = f(penalty, &latent).unwrap();
                let grads = value.backward().unwrap();
                let gradient = grads.get(&latent).unwrap().flatten_all().unwrap();
                let mut all = gradient.to_vec1::<f32>().unwrap();
                all.push(value.to_scalar().unwrap());
                all
            };
            let (fused, composed) = (run(ActivityPenalty::of), run(ActivityPenalty::composed));
            for (fused, composed) in fused.into_iter().zip(composed) {
                assert!((fused - composed).abs() < 1e-6, "{penalty:?}: {fused} {composed}");
            }
        }
    }

    #[test]
    fn a_unit_that_never_fires_stays_finite() {
        let latent = Tensor::zeros((4, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        let penalty = ActivityPenalty::Kl { weight: 1.0, target: 0.05 };
        assert!(penalty.of(&latent).unwrap().to_scalar::<f32>().unwrap().is_finite());
    }
}
