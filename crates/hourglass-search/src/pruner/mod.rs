//! Whether a running trial is worth going on with. A pruner keeps no state: it decides from the
//! stored values alone, so that a resumed study decides as an uninterrupted one.
//!
//! A step is the work done so far (epochs, rows), counted from 1: a report at step 3 says how good
//! the trial is after three of them.

mod asha;
mod hyperband;
mod patient;
mod percentile;
mod threshold;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::asha::Asha;
pub use self::hyperband::Hyperband;
pub use self::patient::Patient;
pub use self::percentile::{Median, Percentile};
pub use self::threshold::Threshold;
use crate::{Direction, FrozenTrial, Result, TrialState};

/// What a pruner may look at.
#[derive(Clone, Copy)]
pub struct Progressing<'a> {
    /// Which way the reported value is better.
    pub direction: Direction,
    /// All trials of the study, by number, the one in question included.
    pub trials: &'a [FrozenTrial],
    /// Number of the trial in question.
    pub number: u64,
    /// The step that it has just reported; later ones are of an earlier attempt.
    pub step: i64,
}

impl<'a> Progressing<'a> {
    /// The trial in question.
    fn trial(&self) -> Option<&'a FrozenTrial> {
        self.trials.iter().find(|trial| trial.number == self.number)
    }

    /// What the trial in question reported up to now, by step.
    fn reports(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> + use<'a> {
        let reports = self.trial().map(|trial| trial.intermediate.range(..=self.step));
        reports.into_iter().flatten().map(|(step, value)| (*step, *value))
    }

    /// The value just reported.
    fn value(&self) -> Option<f64> {
        self.trial()?.intermediate.get(&self.step).copied()
    }

    /// All trials but the one in question.
    fn others(&self) -> impl Iterator<Item = &'a FrozenTrial> {
        self.trials.iter().filter(|trial| trial.number != self.number)
    }

    /// The last step of the longest whole trial among the others.
    fn longest(&self) -> Option<i64> {
        self.complete().filter_map(FrozenTrial::last_report).map(|(step, _)| step).max()
    }

    /// Complete trials other than the one in question.
    fn complete(&self) -> impl Iterator<Item = &'a FrozenTrial> {
        self.others().filter(|trial| trial.state == TrialState::Complete)
    }
}

/// Decides whether a trial is stopped early.
pub trait Pruner: Send + Sync {
    /// Whether the trial should be stopped now.
    fn should_prune(&self, progress: &Progressing<'_>) -> bool;
}

/// A pruner as a file names it: `{ median = {} }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrunerConfig {
    /// Every trial is carried through.
    #[default]
    None,
    /// Worse than the median of the others at the same step.
    Median(Median),
    /// Worse than some share of the others at the same step.
    Percentile(Percentile),
    /// Asynchronous successive halving.
    Asha(Asha),
    /// Several successive halvings that begin at different steps.
    Hyperband(Hyperband),
    /// Outside fixed limits.
    Threshold(Threshold),
    /// Another pruner's judgement, but only after some steps without improvement.
    Patient(Patient),
}

impl PrunerConfig {
    /// One of each, with its defaults.
    pub fn examples() -> Vec<PrunerConfig> {
        vec![
            PrunerConfig::None,
            PrunerConfig::Median(Median::default()),
            PrunerConfig::Percentile(Percentile::default()),
            PrunerConfig::Asha(Asha::default()),
            PrunerConfig::Hyperband(Hyperband::default()),
            PrunerConfig::Threshold(Threshold { upper: Some(1e6), ..Threshold::default() }),
            PrunerConfig::Patient(Patient::default()),
        ]
    }

    /// Its name in the file.
    pub fn name(&self) -> &'static str {
        match self {
            PrunerConfig::None => "none",
            PrunerConfig::Median(_) => Median::NAME,
            PrunerConfig::Percentile(_) => Percentile::NAME,
            PrunerConfig::Asha(_) => Asha::NAME,
            PrunerConfig::Hyperband(_) => Hyperband::NAME,
            PrunerConfig::Threshold(_) => Threshold::NAME,
            PrunerConfig::Patient(_) => Patient::NAME,
        }
    }

    /// Checks the ranges of its settings before any work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<()> {
        match self {
            PrunerConfig::None => Ok(()),
            PrunerConfig::Median(config) => config.check(),
            PrunerConfig::Percentile(config) => config.check(),
            PrunerConfig::Asha(config) => config.check(),
            PrunerConfig::Hyperband(config) => config.check(),
            PrunerConfig::Threshold(config) => config.check(),
            PrunerConfig::Patient(config) => config.check(),
        }
    }

    /// The pruner.
    pub fn build(&self) -> Box<dyn Pruner> {
        match self.clone() {
            PrunerConfig::None => Box::new(CarryThrough),
            PrunerConfig::Median(config) => Box::new(config),
            PrunerConfig::Percentile(config) => Box::new(config),
            PrunerConfig::Asha(config) => Box::new(config),
            PrunerConfig::Hyperband(config) => Box::new(config),
            PrunerConfig::Threshold(config) => Box::new(config),
            PrunerConfig::Patient(config) => Box::new(config),
        }
    }
}

/// Stops nothing.
struct CarryThrough;

impl Pruner for CarryThrough {
    fn should_prune(&self, _: &Progressing<'_>) -> bool {
        false
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A trial with reports at steps 1, 2, ...
    pub(crate) fn trial(number: u64, state: TrialState, reports: &[f64]) -> FrozenTrial {
        FrozenTrial {
            id: number as i64,
            number,
            state,
            values: Vec::new(),
            params: BTreeMap::new(),
            intermediate: (1..).zip(reports.iter().copied()).collect(),
            user_attributes: BTreeMap::new(),
            system_attributes: BTreeMap::new(),
            started: None,
            finished: None,
            holder: None,
        }
    }

    /// Whether the last trial is stopped at the last step that it reported.
    pub(crate) fn stops(config: &PrunerConfig, trials: &[FrozenTrial]) -> bool {
        let last = trials.last().unwrap();
        let step = last.last_report().unwrap().0;
        let (direction, number) = (Direction::Minimize, last.number);
        config.build().should_prune(&Progressing { direction, trials, number, step })
    }

    /// Complete trials with constant reports, and one in question.
    pub(crate) fn against(complete: &[f64], steps: usize, reports: &[f64]) -> Vec<FrozenTrial> {
        let others = (0..).zip(complete);
        let mut trials: Vec<FrozenTrial> = others
            .map(|(number, value)| trial(number, TrialState::Complete, &vec![*value; steps]))
            .collect();
        trials.push(trial(complete.len() as u64, TrialState::Running, reports));
        trials
    }

    #[test]
    fn later_reports_of_an_earlier_attempt_change_nothing() {
        for config in PrunerConfig::examples() {
            let trials = against(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 16, &[9.0, 9.0, 9.0, 9.0]);
            let mut resumed = trials.clone();
            resumed[6].intermediate.extend([(5, 0.0), (6, 0.0), (16, 0.0)]);
            let pruner = config.build();
            let (direction, number) = (Direction::Minimize, 6);
            for step in 1..=4 {
                let decide =
                    |trials| pruner.should_prune(&Progressing { direction, trials, number, step });
                assert_eq!(decide(&trials), decide(&resumed), "{} at {step}", config.name());
            }
        }
    }

    #[test]
    fn the_best_trial_is_never_stopped_and_the_first_neither() {
        for config in PrunerConfig::examples() {
            let best = against(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 16, &[0.5; 16]);
            assert!(!stops(&config, &best), "{}", config.name());
            assert!(!stops(&config, &against(&[], 0, &[5.0])), "{}", config.name());
        }
    }

    #[test]
    fn directions_mirror_each_other() {
        for config in PrunerConfig::examples() {
            let down = against(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 16, &[5.5; 9]);
            let mut up = down.clone();
            up.iter_mut().flat_map(|trial| trial.intermediate.values_mut()).for_each(|value| {
                *value = -*value;
            });
            let pruner = config.build();
            let decide = |direction, trials: &[FrozenTrial]| {
                pruner.should_prune(&Progressing { direction, trials, number: 6, step: 9 })
            };
            if config.name() != Threshold::NAME {
                assert_eq!(decide(Direction::Minimize, &down), decide(Direction::Maximize, &up));
            }
        }
    }
}
