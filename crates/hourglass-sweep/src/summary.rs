//! A study as the data of its page.

use hourglass_pipeline::{Objective, choice_labels};
use hourglass_report::{
    SWEEP_SCHEMA_VERSION, SweepObjective, SweepParameter, SweepReport, SweepState, SweepTrial,
};
use hourglass_search::{
    Direction, Distribution, FrozenTrial, TrialState, best_trial, importances, pareto_front,
};

use crate::winner::{self, Winner};
use crate::worker::WORK_SECONDS;
use crate::{Result, Sweep};

/// Everything that the page of a sweep shows.
///
/// # Errors
/// What the store says.
pub fn summary(sweep: &Sweep) -> Result<SweepReport> {
    let trials = sweep.study.trials()?;
    let directions = &sweep.study.config().directions;
    let is_single = directions.len() == 1;
    let best = best_trial(&trials, directions).filter(|_| is_single).map(|best| best.number);
    let front = pareto_front(&trials, directions).into_iter().filter(|_| !is_single);
    let (changes, tested) = match best {
        Some(number) => (Winner::of(sweep, Some(number))?.changes, winner::tested(sweep, number)?),
        None => (Vec::new(), Vec::new()),
    };
    let importance = importances(&trials, 0, directions[0]);
    let is_known = importance.values().any(|share| *share > 0.0);
    let objective = |(objective, direction): (&Objective, &Direction)| SweepObjective {
        name: objective.figure.clone(),
        higher_is_better: *direction == Direction::Maximize,
    };
    let search = sweep.search();
    Ok(SweepReport {
        schema_version: SWEEP_SCHEMA_VERSION,
        name: sweep.pipeline.name.clone(),
        study: sweep.study.name().to_owned(),
        seed: sweep.pipeline.seed,
        sampler: search.sampler.name().to_owned(),
        pruner: search.pruner.name().to_owned(),
        objectives: search.objectives().iter().zip(directions).map(objective).collect(),
        intermediate: "validation loss".to_owned(),
        parameters: sweep
            .study
            .config()
            .space
            .iter()
            .map(|(path, parameter)| SweepParameter {
                path: path.to_owned(),
                is_log: parameter.distribution.is_log(),
                choices: match &parameter.distribution {
                    Distribution::Categorical { choices } => choice_labels(choices),
                    _ => Vec::new(),
                },
                importance: importance.get(path).copied().filter(|_| is_known),
            })
            .collect(),
        trials: trials.iter().map(|trial| of_trial(sweep, trial)).collect(),
        best,
        front: front.map(|trial| trial.number).collect(),
        changes,
        tested,
    })
}

fn of_trial(sweep: &Sweep, trial: &FrozenTrial) -> SweepTrial {
    let sign = sweep.loss_sign();
    let curve = trial.intermediate.iter();
    SweepTrial {
        number: trial.number,
        state: match trial.state {
            TrialState::Queued => SweepState::Waiting,
            TrialState::Running => SweepState::Running,
            TrialState::Complete => SweepState::Complete,
            TrialState::Pruned => SweepState::Pruned,
            TrialState::Failed => SweepState::Failed,
        },
        values: if trial.state == TrialState::Complete { trial.values.clone() } else { Vec::new() },
        parameters: trial.params.iter().map(|(path, p)| (path.clone(), p.internal)).collect(),
        curve: curve.map(|(&step, &value)| (step.max(0) as u64, value * sign)).collect(),
        seconds: seconds(trial),
        reason: trial.reason().map(str::to_owned),
    }
}

/// Seconds that a finished trial took in its last attempt.
pub(crate) fn seconds(trial: &FrozenTrial) -> Option<f64> {
    let work = trial.user_attributes.get(WORK_SECONDS).and_then(serde_json::Value::as_f64);
    let span = trial.started.zip(trial.finished);
    work.or_else(|| span.map(|(start, end)| end.duration_since(start).as_secs_f64()))
}
