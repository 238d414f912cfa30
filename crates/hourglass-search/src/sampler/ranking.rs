//! Which trials are good and which are not, for the samplers that learn from it.

use std::cmp::Ordering;

use super::History;
use crate::{Direction, FrozenTrial, TrialState, dominates};

/// The share of finished trials that count as good, and their largest number, as in Optuna.
const GOOD_SHARE: f64 = 0.1;
const MOST_GOOD: usize = 25;

/// Trials in two groups, each by number.
pub(super) struct Split<'a> {
    pub(super) good: Vec<&'a FrozenTrial>,
    /// The rest, with failed trials, and with running ones: two workers shouldn't try the same.
    pub(super) bad: Vec<&'a FrozenTrial>,
}

/// How many trials have finished with something to learn from.
pub(super) fn finished(history: &History<'_>) -> usize {
    history.trials.iter().filter(|trial| has_ended_well(trial)).count()
}

/// Splits those trials that `wanted` picks.
pub(super) fn split<'a>(history: &History<'a>, wanted: impl Fn(&FrozenTrial) -> bool) -> Split<'a> {
    let known = |trial: &&FrozenTrial| trial.state != TrialState::Queued && wanted(trial);
    let trials: Vec<&FrozenTrial> = history.trials.iter().filter(known).collect();
    let order = best_first(&trials, history.directions);
    let finished = trials.iter().filter(|trial| has_ended_well(trial)).count();
    let count = good_count(finished);
    let mut split = Split { good: Vec::new(), bad: Vec::new() };
    for (rank, place) in order.into_iter().enumerate() {
        let group = if rank < count { &mut split.good } else { &mut split.bad };
        group.push(trials[place]);
    }
    split.good.sort_by_key(|trial| trial.number);
    split.bad.sort_by_key(|trial| trial.number);
    split
}

/// How many of so many finished trials count as good.
fn good_count(finished: usize) -> usize {
    ((GOOD_SHARE * finished as f64).ceil() as usize).min(MOST_GOOD)
}

fn has_ended_well(trial: &FrozenTrial) -> bool {
    matches!(trial.state, TrialState::Complete | TrialState::Pruned)
}

/// Places of the trials, best first: complete ones by value, pruned ones by how far they came and
/// how good they were there, failed ones, running ones. The earlier of equals comes first.
fn best_first(trials: &[&FrozenTrial], directions: &[Direction]) -> Vec<usize> {
    let class = |trial: &FrozenTrial| match trial.state {
        TrialState::Complete => 0,
        TrialState::Pruned => 1,
        TrialState::Failed => 2,
        TrialState::Running | TrialState::Queued => 3,
    };
    let fronts = match directions {
        [_] => Vec::new(),
        _ => fronts(trials, directions),
    };
    let direction = directions.first().copied().unwrap_or(Direction::Minimize);
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|a, b| {
        let (x, y) = (trials[*a], trials[*b]);
        let within = match (x.state, y.state) {
            (TrialState::Complete, TrialState::Complete) if directions.len() == 1 => {
                let value = |trial: &FrozenTrial| trial.values.first().copied();
                let nan = f64::NAN;
                direction.compare(value(x).unwrap_or(nan), value(y).unwrap_or(nan))
            }
            (TrialState::Complete, TrialState::Complete) => fronts[*a].cmp(&fronts[*b]),
            (TrialState::Pruned, TrialState::Pruned) => further(x, y, direction),
            _ => Ordering::Equal,
        };
        class(x).cmp(&class(y)).then(within).then(x.number.cmp(&y.number))
    });
    order
}

/// The trial that came further first, then the one that was better there.
fn further(a: &FrozenTrial, b: &FrozenTrial, direction: Direction) -> Ordering {
    match (a.last_report(), b.last_report()) {
        (Some((step, value)), Some((other_step, other_value))) => {
            other_step.cmp(&step).then(direction.compare(value, other_value))
        }
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// For every complete trial, how many fronts have to be taken away before nothing beats it.
fn fronts(trials: &[&FrozenTrial], directions: &[Direction]) -> Vec<usize> {
    let mut fronts = vec![usize::MAX; trials.len()];
    let is_complete = |place: &usize| trials[*place].state == TrialState::Complete;
    let mut left: Vec<usize> = (0..trials.len()).filter(is_complete).collect();
    for front in 0.. {
        let beaten = |place: &usize| {
            let values = &trials[*place].values;
            left.iter().any(|other| dominates(&trials[*other].values, values, directions))
        };
        let (rest, best): (Vec<usize>, Vec<usize>) = left.iter().copied().partition(beaten);
        if best.is_empty() {
            break;
        }
        best.into_iter().for_each(|place| fronts[place] = front);
        left = rest;
    }
    fronts
}
