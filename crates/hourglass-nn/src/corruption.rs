//! Corruption of the input of a denoising autoencoder, drawn and applied in one pass.
//!
//! # Source
//! Vincent et al., "Stacked Denoising Autoencoders", JMLR 11, 2010, section 3.

use hourglass_core::Seed;
use rand::{Rng as _, RngExt};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::init::fill_normal;
use crate::{Error, Result};

/// Values that one generator corrupts; fixed, so that the bits do not depend on threads.
const CHUNK: usize = 1 << 14;

/// What is done to the input before it is encoded; the target stays clean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Corruption {
    /// Adds normal noise.
    Gaussian {
        /// Standard deviation, in units of the prepared data; above 0.
        std: f32,
    },
    /// Sets values to 0.
    Masking {
        /// Share of the values, in `(0, 1)`.
        share: f32,
    },
    /// Sets values to the lowest or the highest of the training data, half each.
    SaltAndPepper {
        /// Share of the values, in `(0, 1)`.
        share: f32,
    },
}

impl Corruption {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(self) -> Result<()> {
        match self {
            Corruption::Gaussian { std } if !(std > 0.0 && std.is_finite()) => {
                Err(Error::hyperparameter("corruption.gaussian.std", std, "above 0"))
            }
            Corruption::Masking { share } if !(share > 0.0 && share < 1.0) => {
                Err(Error::hyperparameter("corruption.masking.share", share, "between 0 and 1"))
            }
            Corruption::SaltAndPepper { share } if !(share > 0.0 && share < 1.0) => Err(
                Error::hyperparameter("corruption.salt_and_pepper.share", share, "between 0 and 1"),
            ),
            _ => Ok(()),
        }
    }

    /// Corrupts values in place. `range` is the lowest and highest value of the training data.
    pub fn apply(self, values: &mut [f32], range: (f32, f32), seed: Seed) {
        values.par_chunks_mut(CHUNK).enumerate().for_each(|(i, values)| {
            let mut rng = seed.nth(i as u64).rng();
            match self {
                Corruption::Gaussian { std } => {
                    let mut noise = vec![0.0; values.len()];
                    fill_normal(&mut noise, std, &mut rng);
                    values.iter_mut().zip(noise).for_each(|(value, noise)| *value += noise);
                }
                Corruption::Masking { share } => {
                    let threshold = threshold(share);
                    for value in values {
                        *value = if rng.next_u32() < threshold { 0.0 } else { *value };
                    }
                }
                Corruption::SaltAndPepper { share } => {
                    let threshold = threshold(share);
                    for value in values {
                        if rng.next_u32() < threshold {
                            *value = if rng.random::<bool>() { range.1 } else { range.0 };
                        }
                    }
                }
            }
        });
    }
}

/// The number below which a share of all `u32` lies.
fn threshold(share: f32) -> u32 {
    (f64::from(share) * f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_is_as_asked_and_seeded() {
        let n = 100_000;
        let table = [
            Corruption::Gaussian { std: 0.3 },
            Corruption::Masking { share: 0.2 },
            Corruption::SaltAndPepper { share: 0.1 },
        ];
        for corruption in table {
            let corrupted = |seed| {
                let mut values = vec![0.5; n];
                corruption.apply(&mut values, (-1.0, 2.0), Seed::new(seed));
                values
            };
            let values = corrupted(1);
            assert_eq!(values, corrupted(1));
            assert_ne!(values, corrupted(2));
            let share = |v: f32| values.iter().filter(|&&x| x == v).count() as f64 / n as f64;
            match corruption {
                Corruption::Gaussian { .. } => {
                    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
                    let variance =
                        values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
                    assert!((mean - 0.5).abs() < 0.005);
                    assert!(((variance / n as f64).sqrt() - 0.3).abs() < 0.005);
                }
                Corruption::Masking { .. } => assert!((share(0.0) - 0.2).abs() < 0.005),
                Corruption::SaltAndPepper { .. } => {
                    assert!((share(-1.0) - 0.05).abs() < 0.003);
                    assert!((share(2.0) - 0.05).abs() < 0.003);
                }
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut values = vec![0.5; 50_001];
            let noise = Corruption::Gaussian { std: 1.0 };
            pool.install(|| noise.apply(&mut values, (0.0, 1.0), Seed::new(1)));
            values
        };
        assert_eq!(run(1), run(2));
    }
}
