//! Lets another pruner judge only once a trial has stopped improving.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Median, Progressing, Pruner, PrunerConfig};
use crate::Result;
use crate::sampler::require;

/// Patience before another pruner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Patient {
    /// The pruner that judges (the median by default). With `"none"`, patience alone decides.
    pub pruner: Box<PrunerConfig>,
    /// Reports without improvement before it may judge (1 or more, 3 by default).
    pub patience: usize,
    /// How much better a value has to be to count as an improvement (0 by default).
    pub min_delta: f64,
}

impl Default for Patient {
    fn default() -> Self {
        let pruner = Box::new(PrunerConfig::Median(Median::default()));
        Patient { pruner, patience: 3, min_delta: 0.0 }
    }
}

impl Patient {
    /// Its name in the file.
    pub const NAME: &'static str = "patient";

    pub(super) fn check(&self) -> Result<()> {
        require(self.patience >= 1, Patient::NAME, "patience", self.patience, "at least 1")?;
        let delta = self.min_delta;
        require(delta >= 0.0, Patient::NAME, "min_delta", delta, "0 or more")?;
        self.pruner.check()
    }
}

impl Pruner for Patient {
    fn should_prune(&self, progress: &Progressing<'_>) -> bool {
        let losses: Vec<f64> = progress
            .reports()
            .map(|(_, value)| progress.direction.loss(value))
            .filter(|loss| !loss.is_nan())
            .collect();
        let Some(before) = losses.len().checked_sub(self.patience).filter(|before| *before > 0)
        else {
            return false;
        };
        let best = |losses: &[f64]| losses.iter().copied().fold(f64::INFINITY, f64::min);
        let improved = best(&losses[before..]) < best(&losses[..before]) - self.min_delta;
        if improved {
            return false;
        }
        *self.pruner == PrunerConfig::None || self.pruner.build().should_prune(progress)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{against, stops};
    use super::*;

    #[test]
    fn a_trial_that_improves_goes_on() {
        let complete = [1.0, 2.0, 3.0, 4.0, 5.0];
        let patient = PrunerConfig::Patient(Patient { patience: 2, ..Patient::default() });
        assert!(!stops(&patient, &against(&complete, 9, &[9.0, 8.0, 7.0])));
        assert!(stops(&patient, &against(&complete, 9, &[7.0, 8.0, 9.0])));
        // The median would let it go on.
        assert!(!stops(&patient, &against(&complete, 9, &[1.0, 2.0, 3.0])));
        let alone = Patient { pruner: Box::default(), patience: 2, min_delta: 0.5 };
        let alone = PrunerConfig::Patient(alone);
        assert!(stops(&alone, &against(&[], 0, &[1.0, 0.9, 0.8])));
        assert!(!stops(&alone, &against(&[], 0, &[1.0, 0.9, 0.4])));
        assert!(!stops(&alone, &against(&[], 0, &[1.0, 2.0])));
    }
}
