//! Asynchronous successive halving: at steps that grow by a factor (rungs), only the best part of
//! those that came so far goes on. Nobody waits for anybody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Progressing, Pruner};
use crate::sampler::require;
use crate::{FrozenTrial, Result};

/// Successive halving without waiting.
///
/// # Source
/// Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020 (arXiv
/// 1810.05934). What differs: a trial that isn't among the best when it reaches a rung is stopped
/// for good, as in Optuna; it isn't promoted later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Asha {
    /// The first rung: steps that every trial is given (1 or more, 1 by default).
    pub min_steps: i64,
    /// Rungs are so many times as far apart each, and one of so many trials goes on (2 or more, 3
    /// by default).
    pub reduction_factor: i64,
}

impl Default for Asha {
    fn default() -> Self {
        Asha { min_steps: 1, reduction_factor: 3 }
    }
}

impl Asha {
    /// Its name in the file.
    pub const NAME: &'static str = "asha";

    pub(super) fn check(&self) -> Result<()> {
        require(self.min_steps >= 1, Asha::NAME, "min_steps", self.min_steps, "at least 1")?;
        let factor = self.reduction_factor;
        require(factor >= 2, Asha::NAME, "reduction_factor", factor, "at least 2")
    }
}

impl Pruner for Asha {
    fn should_prune(&self, progress: &Progressing<'_>) -> bool {
        should_prune(self, progress, |_| true)
    }
}

/// Decides among the trials that `rivals` picks by their number.
pub(super) fn should_prune(
    asha: &Asha,
    progress: &Progressing<'_>,
    rivals: impl Fn(u64) -> bool,
) -> bool {
    let Some(value) = progress.value().filter(|_| is_rung(asha, progress.step)) else {
        return false;
    };
    if value.is_nan() {
        return true;
    }
    // What a trial was worth at a rung: its report there, whatever became of it.
    let at_rung = |trial: &FrozenTrial| trial.intermediate.get(&progress.step).copied();
    let mut values: Vec<f64> =
        progress.others().filter(|trial| rivals(trial.number)).filter_map(at_rung).collect();
    values.push(value);
    values.sort_by(|a, b| progress.direction.compare(*a, *b));
    // Of the first few at a rung, the best one goes on.
    let go_on = (values.len() / asha.reduction_factor as usize).max(1);
    progress.direction.compare(value, values[go_on - 1]) == std::cmp::Ordering::Greater
}

fn is_rung(asha: &Asha, step: i64) -> bool {
    let mut rung = asha.min_steps;
    while rung < step {
        rung = rung.saturating_mul(asha.reduction_factor);
    }
    rung == step
}

#[cfg(test)]
mod tests {
    use super::super::PrunerConfig;
    use super::super::tests::{against, stops, trial};
    use super::*;
    use crate::TrialState;

    fn asha(min_steps: i64, reduction_factor: i64) -> PrunerConfig {
        PrunerConfig::Asha(Asha { min_steps, reduction_factor })
    }

    #[test]
    fn one_of_three_goes_on_at_each_rung() {
        let complete = [1.0, 2.0, 3.0, 4.0, 5.0];
        // Six at the rung: two go on.
        assert!(!stops(&asha(1, 3), &against(&complete, 9, &[1.5])));
        assert!(stops(&asha(1, 3), &against(&complete, 9, &[2.5])));
        // Step 2 is no rung; 3 and 9 are.
        assert!(!stops(&asha(1, 3), &against(&complete, 9, &[2.5, 2.5])));
        assert!(stops(&asha(1, 3), &against(&complete, 9, &[2.5; 3])));
        assert!(stops(&asha(1, 3), &against(&complete, 9, &[2.5; 9])));
        assert!(!stops(&asha(4, 2), &against(&complete, 9, &[9.0; 3])));
    }

    #[test]
    fn trials_that_were_stopped_count_at_the_rungs_they_came_to() {
        let mut trials = vec![
            trial(0, TrialState::Pruned, &[1.0]),
            trial(1, TrialState::Running, &[2.0, 2.0, 2.0]),
            trial(2, TrialState::Running, &[3.0]),
        ];
        // First at step 1: only the best one goes on.
        assert!(stops(&asha(1, 3), &trials));
        trials[2].intermediate = [(1, 0.5)].into();
        assert!(!stops(&asha(1, 3), &trials));
        // At step 3 only trial 1 was before.
        trials[2].intermediate = [(1, 0.5), (2, 1.0), (3, 2.5)].into();
        assert!(stops(&asha(1, 3), &trials));
    }
}
