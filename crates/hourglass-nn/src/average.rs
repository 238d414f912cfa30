//! An exponential moving average of the weights, to be judged and kept instead of the last ones.

use rayon::prelude::*;

use crate::simd::wide;
use crate::{Parameter, Result};

/// Values that one task averages.
const CHUNK: usize = 1 << 14;

/// The average of every parameter's values over the steps.
///
/// The first step is taken as it is, as in PyTorch's `AveragedModel`; each later one moves the
/// average by `1 - decay` of the way. Running statistics of a normalisation are not averaged.
///
/// # Source
/// Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; with
/// exponential weights as in Tarvainen and Valpola, "Mean teachers", arXiv:1703.01780.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightAverage {
    decay: f32,
    /// One list a parameter; empty before the first step.
    values: Vec<Vec<f32>>,
}

impl WeightAverage {
    /// An average of nothing yet. `decay` lies in `(0, 1)`.
    pub fn new(decay: f64) -> Self {
        WeightAverage { decay: decay as f32, values: Vec::new() }
    }

    /// The averages, one list a parameter; empty before the first step.
    pub fn values(&self) -> &[Vec<f32>] {
        &self.values
    }

    /// Goes on from saved averages.
    pub fn restore(&mut self, values: Vec<Vec<f32>>) {
        self.values = values;
    }

    /// Takes the weights of a step into the average.
    ///
    /// # Errors
    /// If candle can't hand out the storage of a parameter.
    pub fn observe(&mut self, parameters: &[Parameter]) -> Result<()> {
        if self.values.is_empty() {
            self.values = parameters.iter().map(Parameter::values).collect::<Result<_>>()?;
            return Ok(());
        }
        let decay = self.decay;
        for (parameter, average) in parameters.iter().zip(&mut self.values) {
            parameter.modify(|values| {
                average.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(
                    |(average, values)| {
                        wide(|| {
                            for (a, &w) in average.iter_mut().zip(values) {
                                *a = decay * *a + (1.0 - decay) * w;
                            }
                        });
                    },
                );
            })?;
        }
        Ok(())
    }

    /// Exchanges the weights and their averages; twice changes nothing. Does nothing before the
    /// first step.
    ///
    /// # Errors
    /// If candle can't hand out the storage of a parameter.
    pub fn swap(&mut self, parameters: &[Parameter]) -> Result<()> {
        for (parameter, average) in parameters.iter().zip(&mut self.values) {
            parameter.modify(|values| values.swap_with_slice(average))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_agrees_with_pytorch() {
        // from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
        // w = torch.nn.Linear(3, 1, bias=False); w.weight.data = torch.tensor([[1., -2., 3.]])
        // m = AveragedModel(w, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        // for t in range(1, 101):
        //     w.weight.data += torch.tensor([[math.cos(.7 * t + i) for i in range(3)]]) * .1
        //     m.update_parameters(w)
        // m.module.weight
        let expected = [0.953_475_340_539, -2.121_986_929_584, 2.914_705_020_779];
        let w = Parameter::new("w", vec![1.0, -2.0, 3.0], &[1, 3], true).unwrap();
        let list = [w.clone()];
        let mut average = WeightAverage::new(0.9);
        for step in 1..=100 {
            let mut values = w.values().unwrap();
            for (i, value) in values.iter_mut().enumerate() {
                *value += 0.1 * (0.7 * f64::from(step) + i as f64).cos() as f32;
            }
            w.set_values(&values).unwrap();
            average.observe(&list).unwrap();
        }
        for (found, expected) in average.values()[0].iter().zip(expected) {
            assert!((f64::from(*found) / expected - 1.0).abs() < 1e-5, "{found} {expected}");
        }
        let last = w.values().unwrap();
        average.swap(&list).unwrap();
        assert_ne!(w.values().unwrap(), last);
        average.swap(&list).unwrap();
        assert_eq!(w.values().unwrap(), last);
    }
}
