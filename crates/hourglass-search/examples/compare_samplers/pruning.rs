//! What early stopping saves on digits: epochs until a study with a pruner is as good as 50 whole
//! trials without one.

use std::fmt::Write as _;

use hourglass_core::Seed;
use hourglass_search::{MemoryStore, Outcome, PrunerConfig, Study, StudyConfig, pruner};
use rayon::prelude::*;

use super::problems::{Curves, RUNGS, digits_space};
use super::statistics::{larger, median};
use super::{Failure, LEVEL, SEEDS};

/// Trials of the study without a pruner.
const WHOLE: u64 = 50;
/// The share of its epochs that a pruner may take.
const SHARE: f64 = 0.4;
const EPOCHS: i64 = RUNGS[RUNGS.len() - 1];

pub fn table() -> Result<String, Failure> {
    let budget = WHOLE as i64 * EPOCHS;
    let limit = (SHARE * budget as f64) as i64;
    let pruners = [
        PrunerConfig::None,
        PrunerConfig::Asha(pruner::Asha::default()),
        PrunerConfig::Hyperband(pruner::Hyperband::default()),
        PrunerConfig::Median(pruner::Median::default()),
    ];
    let studies = pruners.map(|pruner| {
        let seeds = (0..SEEDS).into_par_iter();
        let histories = seeds.map(|seed| history(&pruner, Seed::new(seed), budget));
        (pruner.name(), histories.collect::<Result<Vec<_>, Failure>>())
    });
    let whole: Vec<f64> = match &studies[0].1 {
        Ok(histories) => histories.iter().map(|history| best(history, budget)).collect(),
        Err(error) => return Err(error.to_string().into()),
    };
    let goal = median(&whole);
    let mut text = format!(
        "| pruner | best after {limit} epochs | worse than {WHOLE} whole trials, p | epochs to \
         reach {goal:.4} | seeds that reach it in {limit} |\n|---|---|---|---|---|\n"
    );
    for (name, histories) in studies {
        let histories = histories?;
        let early: Vec<f64> = histories.iter().map(|history| best(history, limit)).collect();
        let reached: Vec<f64> = histories.iter().map(|history| epochs_to(history, goal)).collect();
        let in_time = reached.iter().filter(|epochs| **epochs <= limit as f64).count();
        let (worse, epochs) = (larger(&early, &whole), median(&reached));
        writeln!(
            text,
            "| `{name}` | {:.4} | {worse:.3} | {epochs} ({:.0} %) | {in_time} of {SEEDS} |",
            median(&early),
            100.0 * epochs / budget as f64,
        )?;
    }
    writeln!(
        text,
        "\nDigits, `multivariate_tpe`, medians over {SEEDS} seeds. {WHOLE} whole trials of \
         {EPOCHS} epochs are {budget} epochs; {limit} are 40 %\nof them. The test is the same as \
         above, at the level {LEVEL}."
    )?;
    Ok(text)
}

/// Epochs spent so far and the loss, at the end of each trial that was carried through.
fn history(pruner: &PrunerConfig, seed: Seed, budget: i64) -> Result<Vec<(i64, f64)>, Failure> {
    let curves = Curves::read();
    let pruner = pruner.clone();
    let config = StudyConfig { pruner, seed, ..StudyConfig::new("digits", digits_space()?) };
    let study = Study::create(MemoryStore::shared(), config)?;
    let (mut spent, mut history, mut trials) = (0, Vec::new(), 0);
    while spent < budget {
        trials += 1;
        study.optimize(trials, |trial| {
            let mut before = 0;
            let mut loss = f64::INFINITY;
            for rung in RUNGS {
                spent += rung - before;
                before = rung;
                loss = curves.loss(trial.params(), rung);
                trial.report(rung, loss)?;
                if rung < EPOCHS && trial.should_prune()? {
                    return Ok(Outcome::Pruned);
                }
            }
            history.push((spent, loss));
            Ok(loss.into())
        })?;
    }
    Ok(history)
}

/// The best loss within so many epochs.
fn best(history: &[(i64, f64)], epochs: i64) -> f64 {
    let within = history.iter().filter(|(spent, _)| *spent <= epochs);
    within.map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min)
}

/// Epochs until a loss is reached.
fn epochs_to(history: &[(i64, f64)], goal: f64) -> f64 {
    let first = history.iter().find(|(_, loss)| *loss <= goal);
    first.map_or(f64::INFINITY, |(spent, _)| *spent as f64)
}
