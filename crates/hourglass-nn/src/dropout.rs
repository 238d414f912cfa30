//! Dropout: units switched off at random while a model trains. Masks come from a seed, so that a
//! step can be repeated. (Noise on the input, with a clean target, is [`crate::Corruption`].)

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use hourglass_core::Seed;
use rand::Rng as _;
use rayon::prelude::*;

use crate::storage::{slice_of, with_slice};
use crate::{Error, Result};

/// Values that one generator decides on; fixed, so that the bits do not depend on threads.
const CHUNK: usize = 1 << 14;

// Klambauer et al. 2017: where a SELU saturates, -scale * alpha.
const SELU_LOWEST: f64 = -1.758_099_340_847_376_6;

/// Which units are switched off, and what they become.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dropout {
    /// To 0; the others grow by `1 / (1 - share)`, so that the mean stays. Srivastava et al.,
    /// "Dropout", JMLR 15, 2014.
    Zero {
        /// Share of the units, in `[0, 1)`.
        share: f32,
    },
    /// To the lowest value of SELU, then all scaled and shifted so that mean 0 and variance 1 stay.
    /// Klambauer et al., arXiv:1706.02515, section 2.
    Alpha {
        /// Share of the units, in `[0, 1)`.
        share: f32,
    },
}

impl Dropout {
    /// Checks the share.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(self) -> Result<()> {
        let (Dropout::Zero { share } | Dropout::Alpha { share }) = self;
        if (0.0..1.0).contains(&share) {
            Ok(())
        } else {
            Err(Error::hyperparameter("dropout.share", share, "at least 0 and below 1"))
        }
    }

    /// Whether it switches nothing off.
    pub fn is_none(self) -> bool {
        let (Dropout::Zero { share } | Dropout::Alpha { share }) = self;
        share == 0.0
    }

    /// Applies a mask that the seed decides; call it in training only, with a seed of the step and
    /// the layer.
    ///
    /// # Shapes
    /// - `input`: any
    /// - returns: the same
    ///
    /// # Errors
    /// If candle refuses the tensor.
    pub fn forward(self, input: &Tensor, seed: Seed) -> Result<Tensor> {
        let Form { factor, kept, dropped, share } = self.form();
        if share == 0.0 {
            return Ok(input.clone());
        }
        let mask = mask(input.elem_count(), share, seed);
        if input.device().is_cpu() {
            let op = DropoutOp { mask, factor, kept, dropped };
            return Ok(input.contiguous()?.apply_op1(op)?);
        }
        composed(input, &mask, self.form())
    }

    /// Kept units become `factor * x + kept`, dropped ones `dropped`.
    fn form(self) -> Form {
        match self {
            Dropout::Zero { share } => {
                Form { factor: 1.0 / (1.0 - share), kept: 0.0, dropped: 0.0, share }
            }
            Dropout::Alpha { share } => {
                let keep = 1.0 - f64::from(share);
                let factor =
                    (keep + SELU_LOWEST * SELU_LOWEST * keep * f64::from(share)).powf(-0.5);
                let kept = -factor * f64::from(share) * SELU_LOWEST;
                let dropped = factor * SELU_LOWEST + kept;
                Form { factor: factor as f32, kept: kept as f32, dropped: dropped as f32, share }
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Form {
    factor: f32,
    kept: f32,
    dropped: f32,
    share: f32,
}

/// Whether each value stays.
fn mask(n: usize, share: f32, seed: Seed) -> Vec<bool> {
    let threshold = (f64::from(share) * f64::from(u32::MAX)) as u32;
    let mut mask = vec![true; n];
    mask.par_chunks_mut(CHUNK).enumerate().for_each(|(i, mask)| {
        let mut rng = seed.nth(i as u64).rng();
        mask.iter_mut().for_each(|stays| *stays = rng.next_u32() >= threshold);
    });
    mask
}

/// The same out of candle's operations, for any device.
fn composed(input: &Tensor, mask: &[bool], form: Form) -> Result<Tensor> {
    let of = |kept: f32, dropped: f32| {
        let values: Vec<f32> = mask.iter().map(|&m| if m { kept } else { dropped }).collect();
        Tensor::from_vec(values, input.shape(), input.device())
    };
    Ok((input.mul(&of(form.factor, 0.0)?)? + of(form.kept, form.dropped)?)?)
}

struct DropoutOp {
    mask: Vec<bool>,
    factor: f32,
    kept: f32,
    dropped: f32,
}

impl CustomOp1 for DropoutOp {
    fn name(&self) -> &'static str {
        "hourglass-dropout"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let values = slice_of(input, layout)?.iter().zip(&self.mask);
        let output = values
            .map(|(&x, &stays)| if stays { self.factor * x + self.kept } else { self.dropped })
            .collect();
        Ok((CpuStorage::F32(output), layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let grad: Vec<f32> = with_slice(grad_output, |grad| {
            let pairs = grad.iter().zip(&self.mask);
            pairs.map(|(&g, &stays)| if stays { self.factor * g } else { 0.0 }).collect()
        })?;
        Ok(Some(Tensor::from_vec(grad, input.shape(), input.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::init::fill_normal;

    const BOTH: [Dropout; 2] = [Dropout::Zero { share: 0.3 }, Dropout::Alpha { share: 0.3 }];

    fn normal(n: usize) -> Tensor {
        let mut values = vec![0.0; n];
        fill_normal(&mut values, 1.0, &mut Seed::new(1).rng());
        Tensor::from_vec(values, (n / 10, 10), &Device::Cpu).unwrap()
    }

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_share_is_dropped_and_moments_stay() {
        let x = normal(200_000);
        for dropout in BOTH {
            dropout.check().unwrap();
            let values = flat(&dropout.forward(&x, Seed::new(2)).unwrap());
            let form = dropout.form();
            let n = values.len() as f64;
            let dropped = values.iter().filter(|&&v| v == form.dropped).count() as f64 / n;
            assert!((dropped - 0.3).abs() < 0.005, "{dropped}");
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            assert!(mean.abs() < 0.01, "{dropout:?}: {mean}");
            if let Dropout::Alpha { .. } = dropout {
                let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
                assert!((variance / n - 1.0).abs() < 0.01, "{variance}");
            }
        }
        let all = Dropout::Zero { share: 0.0 };
        assert_eq!(flat(&all.forward(&x, Seed::new(2)).unwrap()), flat(&x));
        assert!(Dropout::Alpha { share: 1.0 }.check().is_err());
    }

    #[test]
    fn fused_and_composed_agree_and_the_seed_decides() {
        let x = normal(500);
        for dropout in BOTH {
            let run = |f: &dyn Fn(&Tensor) -> Result<Tensor>| {
                let x = Var::from_tensor(&x).unwrap();
                let y = f(&x).unwrap();
                let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                (flat(&y), flat(grads.get(&x).unwrap()))
            };
            let fused = run(&|x| dropout.forward(x, Seed::new(3)));
            let mask = mask(500, 0.3, Seed::new(3));
            let by_candle = run(&|x| composed(x, &mask, dropout.form()));
            assert_eq!(fused.0, by_candle.0);
            for (fused, composed) in fused.1.iter().zip(&by_candle.1) {
                assert!((fused - composed).abs() < 1e-6);
            }
            assert_eq!(fused, run(&|x| dropout.forward(x, Seed::new(3))));
            assert_ne!(fused, run(&|x| dropout.forward(x, Seed::new(4))));
        }
    }
}
