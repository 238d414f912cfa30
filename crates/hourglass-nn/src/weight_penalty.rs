//! Prices on weights that are part of what is minimised, fused into the gradients.
//!
//! Decoupled weight decay is an optimiser's (`adamw`); a price on activity is
//! [`crate::ActivityPenalty`].

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::simd::wide;
use crate::{Error, Parameter, Result};

/// Values that one task handles.
const CHUNK: usize = 1 << 14;

/// `l1 * sum(|w|) + l2 / 2 * sum(w^2)` over the weights, sums and not means, whatever the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightPenalty {
    /// Price of the absolute values; 0 or above. Default: 0.
    #[serde(default)]
    pub l1: f64,
    /// Price of half the squares; 0 or above. With plain SGD the same as its `weight_decay`.
    /// Default: 0.
    #[serde(default)]
    pub l2: f64,
}

impl WeightPenalty {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(self) -> Result<()> {
        for (key, value) in [("weight_penalty.l1", self.l1), ("weight_penalty.l2", self.l2)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::hyperparameter(key, value, "0 or above"));
            }
        }
        Ok(())
    }

    /// Adds its derivative to the gradients; biases and normalisations are spared unless `of_all`.
    ///
    /// # Errors
    /// If candle can't hand out the storage of a parameter.
    pub fn add_gradient(self, parameters: &[Parameter], of_all: bool) -> Result<()> {
        let (l1, l2) = (self.l1 as f32, self.l2 as f32);
        for parameter in parameters.iter().filter(|p| of_all || p.decays()) {
            parameter.update(|values, gradient| {
                gradient.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(
                    |(gradient, values)| {
                        wide(|| {
                            for (g, &w) in gradient.iter_mut().zip(values) {
                                // As in PyTorch, |w| has no slope at 0.
                                let sign = f32::from(w > 0.0) - f32::from(w < 0.0);
                                *g += l1 * sign + l2 * w;
                            }
                        });
                    },
                );
            })?;
            parameter.lock().is_set = true;
        }
        Ok(())
    }

    /// What it costs.
    ///
    /// # Errors
    /// If candle can't read a parameter.
    pub fn value(self, parameters: &[Parameter], of_all: bool) -> Result<f64> {
        let mut sum = 0.0;
        for parameter in parameters.iter().filter(|p| of_all || p.decays()) {
            for value in parameter.values()?.into_iter().map(f64::from) {
                sum += self.l1 * value.abs() + 0.5 * self.l2 * value * value;
            }
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_gradient_agree_with_pytorch() {
        // w = torch.tensor([1., -2., 0.], requires_grad=True)
        // p = .3 * w.abs().sum() + .5 / 2 * (w ** 2).sum(); p.backward(); p.item(), w.grad
        let weight = Parameter::new("w", vec![1.0, -2.0, 0.0], &[3, 1], true).unwrap();
        let bias = Parameter::new("b", vec![5.0], &[1], false).unwrap();
        let list = [weight.clone(), bias.clone()];
        let penalty = WeightPenalty { l1: 0.3, l2: 0.5 };
        assert!((penalty.value(&list, false).unwrap() - 2.15).abs() < 1e-12);
        penalty.add_gradient(&list, false).unwrap();
        assert_eq!(weight.gradient().unwrap(), [0.8, -1.3, 0.0]);
        assert_eq!(bias.gradient(), None);
        penalty.add_gradient(&list, true).unwrap();
        assert_eq!(weight.gradient().unwrap(), [1.6, -2.6, 0.0]);
        assert_eq!(bias.gradient().unwrap(), [2.8]);
        assert!(WeightPenalty { l1: -1.0, l2: 0.0 }.check().is_err());
    }
}
