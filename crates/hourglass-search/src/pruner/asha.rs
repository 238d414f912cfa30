//! Asynchronous successive halving: at steps that grow by a factor (rungs), only the best part of
//! those that came there lately goes on. Nobody waits for anybody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Progressing, Pruner};
use crate::Result;
use crate::sampler::require;

/// Rungs below the last step, where the first one isn't given.
const RUNGS: u32 = 2;

/// Successive halving without waiting.
///
/// # Source
/// Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
/// optimization", AISTATS 2016 (arXiv 1502.07943); Li et al., "A system for massively parallel
/// hyperparameter tuning", MLSys 2020 (arXiv 1810.05934). What differs: a trial that isn't among
/// the best when it reaches a rung is stopped for good, as in Optuna; it isn't promoted later. And
/// its rivals are the last few that came to the rung, as many as begin a bracket of two rungs
/// (`reduction_factor`²), not all since the first trial: a sampler that learns proposes better and
/// better trials, of which most would be among the best third of all so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Asha {
    /// The first rung: steps that every trial is given (1 or more). Where it isn't given, two rungs
    /// lie below the last step of the longest whole trial so far: at a ninth and a third of it, if
    /// the factor is 3. No rung lies above that third.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_steps: Option<i64>,
    /// Rungs are so many times as far apart each, and one of so many trials goes on (2 to 100, 3 by
    /// default).
    pub reduction_factor: i64,
}

impl Default for Asha {
    fn default() -> Self {
        Asha { min_steps: None, reduction_factor: 3 }
    }
}

impl Asha {
    /// Its name in the file.
    pub const NAME: &'static str = "asha";

    pub(super) fn check(&self) -> Result<()> {
        let steps = self.min_steps.unwrap_or(1);
        require(steps >= 1, Asha::NAME, "min_steps", steps, "at least 1")?;
        check_factor(Asha::NAME, self.reduction_factor)
    }
}

/// A factor of 1 would stop nobody, and the square of a large one is no number of rivals.
pub(super) fn check_factor(pruner: &'static str, factor: i64) -> Result<()> {
    require((2..=100).contains(&factor), pruner, "reduction_factor", factor, "2 to 100")
}

impl Pruner for Asha {
    fn should_prune(&self, progress: &Progressing<'_>) -> bool {
        let (longest, factor) = (progress.longest(), self.reduction_factor);
        let below = || longest.map(|longest| (longest / factor.pow(RUNGS)).max(1));
        let Some(first) = self.min_steps.or_else(below) else { return false };
        // A trial that is nearly over is better brought to its end.
        let last = longest.map_or(i64::MAX, |longest| longest / factor);
        progress.step <= last && should_prune(first, factor, progress, |_| true)
    }
}

/// Decides among the trials that `rivals` picks by their number.
pub(super) fn should_prune(
    first: i64,
    factor: i64,
    progress: &Progressing<'_>,
    rivals: impl Fn(u64) -> bool,
) -> bool {
    let Some(value) = progress.value().filter(|_| is_rung(first, factor, progress.step)) else {
        return false;
    };
    if value.is_nan() {
        return true;
    }
    // What a trial was worth at a rung: its report there, whatever became of it.
    let at_rung = progress.others().filter(|trial| rivals(trial.number));
    let mut values: Vec<f64> =
        at_rung.filter_map(|trial| trial.intermediate.get(&progress.step).copied()).collect();
    let n_rivals = factor.pow(RUNGS) as usize - 1;
    values.drain(..values.len().saturating_sub(n_rivals));
    values.push(value);
    values.sort_by(|a, b| progress.direction.compare(*a, *b));
    // Of the first few at a rung, the best one goes on.
    let go_on = (values.len() / factor as usize).max(1);
    progress.direction.compare(value, values[go_on - 1]) == std::cmp::Ordering::Greater
}

fn is_rung(first: i64, factor: i64, step: i64) -> bool {
    let mut rung = first;
    while rung < step {
        rung = rung.saturating_mul(factor);
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
        PrunerConfig::Asha(Asha { min_steps: Some(min_steps), reduction_factor })
    }

    #[test]
    fn one_of_three_goes_on_at_each_rung() {
        let complete = [1.0, 2.0, 3.0, 4.0, 5.0];
        // Six at the rung: two go on.
        assert!(!stops(&asha(1, 3), &against(&complete, 9, &[1.5])));
        assert!(stops(&asha(1, 3), &against(&complete, 9, &[2.5])));
        // Step 2 is no rung; 3 and 9 are, and 27 is the end.
        assert!(!stops(&asha(1, 3), &against(&complete, 27, &[2.5, 2.5])));
        assert!(stops(&asha(1, 3), &against(&complete, 27, &[2.5; 3])));
        assert!(stops(&asha(1, 3), &against(&complete, 27, &[2.5; 9])));
        assert!(!stops(&asha(1, 3), &against(&complete, 27, &[2.5; 27])));
        assert!(!stops(&asha(4, 2), &against(&complete, 9, &[9.0; 3])));
    }

    #[test]
    fn only_those_that_came_lately_are_rivals() {
        // Worse and worse ones, then eight good ones: three of nine go on.
        let mut values: Vec<f64> = (0..20).map(|at| 100.0 + f64::from(at)).collect();
        values.extend([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert!(!stops(&asha(1, 3), &against(&values, 3, &[2.5])));
        assert!(stops(&asha(1, 3), &against(&values, 3, &[3.5])));
        // Good ones of long ago don't count.
        values.rotate_left(20);
        assert!(!stops(&asha(1, 3), &against(&values, 3, &[113.5])));
    }

    #[test]
    fn without_a_first_rung_it_is_a_ninth_of_the_longest_whole_trial() {
        let asha = PrunerConfig::Asha(Asha::default());
        let complete = [1.0, 2.0, 3.0, 4.0, 5.0];
        for (whole, rungs) in [(27, vec![3, 9]), (20, vec![2, 6]), (60, vec![6, 18]), (4, vec![1])]
        {
            let stopped = |steps: &i64| {
                let reports = vec![9.0; *steps as usize];
                stops(&asha, &against(&complete, whole, &reports))
            };
            let found: Vec<i64> = (1..=whole as i64).filter(stopped).collect();
            assert_eq!(found, rungs, "of {whole}");
        }
        // How long a whole trial is isn't known before there is one.
        let running =
            [trial(0, TrialState::Running, &[1.0; 9]), trial(1, TrialState::Running, &[9.0])];
        assert!(!stops(&asha, &running));
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

    #[test]
    fn settings_are_checked() {
        assert!(Asha { min_steps: Some(0), ..Asha::default() }.check().is_err());
        assert!(Asha { reduction_factor: 1, ..Asha::default() }.check().is_err());
        assert!(Asha { reduction_factor: 101, ..Asha::default() }.check().is_err());
        assert!(Asha::default().check().is_ok());
    }
}
