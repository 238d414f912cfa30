//! Stops a trial whose best value so far is worse than that of most others at the same step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Progressing, Pruner};
use crate::Result;
use crate::sampler::require;

/// Goes on with the better half.
///
/// # Source
/// Golovin et al., "Google Vizier", KDD 2017 (median stopping rule); Optuna's `MedianPruner`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Median {
    /// Complete trials before anything is stopped (5 by default).
    pub startup_trials: usize,
    /// Steps that every trial is given (0 by default).
    pub warmup_steps: i64,
    /// Only every so many steps, counted from the end of the warm-up (1 by default).
    pub interval_steps: i64,
}

impl Default for Median {
    fn default() -> Self {
        Median { startup_trials: 5, warmup_steps: 0, interval_steps: 1 }
    }
}

impl Median {
    /// Its name in the file.
    pub const NAME: &'static str = "median";

    pub(super) fn check(&self) -> Result<()> {
        require(
            self.warmup_steps >= 0,
            Median::NAME,
            "warmup_steps",
            self.warmup_steps,
            "0 or more",
        )?;
        let interval = self.interval_steps;
        require(interval >= 1, Median::NAME, "interval_steps", interval, "at least 1")
    }
}

impl Pruner for Median {
    fn should_prune(&self, progress: &Progressing<'_>) -> bool {
        let Median { startup_trials, warmup_steps, interval_steps } = *self;
        Percentile { percentile: 50.0, startup_trials, warmup_steps, interval_steps }
            .should_prune(progress)
    }
}

/// Goes on with the best share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Percentile {
    /// How many percent of the trials are good enough (above 0, at most 100; 25 by default).
    pub percentile: f64,
    /// Complete trials before anything is stopped (5 by default).
    pub startup_trials: usize,
    /// Steps that every trial is given (0 by default).
    pub warmup_steps: i64,
    /// Only every so many steps, counted from the end of the warm-up (1 by default).
    pub interval_steps: i64,
}

impl Default for Percentile {
    fn default() -> Self {
        Percentile { percentile: 25.0, startup_trials: 5, warmup_steps: 0, interval_steps: 1 }
    }
}

impl Percentile {
    /// Its name in the file.
    pub const NAME: &'static str = "percentile";

    pub(super) fn check(&self) -> Result<()> {
        let Percentile { percentile, warmup_steps, interval_steps, .. } = *self;
        let shares = percentile > 0.0 && percentile <= 100.0;
        require(shares, Percentile::NAME, "percentile", percentile, "above 0 and at most 100")?;
        require(warmup_steps >= 0, Percentile::NAME, "warmup_steps", warmup_steps, "0 or more")?;
        let name = "interval_steps";
        require(interval_steps >= 1, Percentile::NAME, name, interval_steps, "at least 1")
    }
}

impl Pruner for Percentile {
    fn should_prune(&self, progress: &Progressing<'_>) -> bool {
        let Percentile { percentile, startup_trials, warmup_steps, interval_steps } = *self;
        let step = progress.step;
        let judged = step > warmup_steps && (step - warmup_steps - 1) % interval_steps == 0;
        if !judged || progress.complete().count() < startup_trials.max(1) {
            return false;
        }
        let direction = progress.direction;
        let best = |a: f64, b: f64| if direction.compare(a, b).is_le() { a } else { b };
        let Some(own) = progress.reports().map(|(_, value)| value).reduce(best) else {
            return false;
        };
        if own.is_nan() {
            return true;
        }
        let at_step = progress.complete().filter_map(|trial| trial.intermediate.get(&step));
        let mut others: Vec<f64> = at_step.copied().filter(|value| !value.is_nan()).collect();
        if others.is_empty() {
            return false;
        }
        others.sort_by(|a, b| direction.compare(*a, *b));
        let limit = interpolated(&others, percentile / 100.0);
        direction.compare(own, limit) == std::cmp::Ordering::Greater
    }
}

/// The value at a share of a sorted list, between its neighbours where it falls between them.
fn interpolated(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    // Equal neighbours may be infinite: their difference would be not-a-number.
    if below == above { below } else { below + (above - below) * place.fract() }
}

#[cfg(test)]
mod tests {
    use super::super::PrunerConfig;
    use super::super::tests::{against, stops};
    use super::*;

    #[test]
    fn the_worse_half_is_stopped() {
        let median = PrunerConfig::Median(Median::default());
        let complete = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert!(stops(&median, &against(&complete, 3, &[3.1])));
        assert!(!stops(&median, &against(&complete, 3, &[3.0])));
        // The best so far counts, not the last.
        assert!(!stops(&median, &against(&complete, 3, &[2.0, 9.0])));
        assert!(stops(&median, &against(&complete, 3, &[f64::NAN])));
        // Four complete trials are too few.
        assert!(!stops(&median, &against(&complete[..4], 3, &[9.0])));
        // Nobody else has come to step 4.
        assert!(!stops(&median, &against(&complete, 3, &[9.0, 9.0, 9.0, 9.0])));
    }

    #[test]
    fn only_the_best_quarter_goes_on_after_the_warm_up() {
        let config = Percentile { warmup_steps: 2, interval_steps: 2, ..Percentile::default() };
        let config = PrunerConfig::Percentile(config);
        let complete = [1.0, 2.0, 3.0, 4.0, 5.0];
        let decide = |steps: usize| stops(&config, &against(&complete, 9, &vec![2.5; steps]));
        assert_eq!([1, 2, 3, 4, 5].map(decide), [false, false, true, false, true]);
        assert!(!stops(&config, &against(&complete, 9, &[2.0; 3])));
    }

    #[test]
    fn settings_are_checked() {
        assert!(Percentile { percentile: 0.0, ..Percentile::default() }.check().is_err());
        assert!(Median { interval_steps: 0, ..Median::default() }.check().is_err());
        assert!(Median::default().check().is_ok());
    }
}
