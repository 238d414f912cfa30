//! The best trial as a pipeline file, and what it does on test beside the file as it stands.
//!
//! Test rows are read here and nowhere else in a sweep: after the study, for these two alone.

use hourglass_core::{Interrupt, Progress};
use hourglass_pipeline::{Pipeline, RunOptions, RunOutcome, overrides_of};
use hourglass_report::{SweepChange, SweepTest, SweepTestRow};
use hourglass_search::store::Scope;
use hourglass_search::{FrozenTrial, TrialState, best_trial, pareto_front};
use serde_json::{Value, json};

use crate::{Error, Result, Sweep};

/// System attribute with what was read on test.
const TESTED: &str = "hourglass:tested";

/// The best trial.
#[derive(Clone, Debug)]
pub struct Winner {
    /// Its number.
    pub number: u64,
    /// Its values, one for each objective.
    pub values: Vec<f64>,
    /// The file with its values: what `pipeline run` takes.
    pub pipeline: Pipeline,
    /// What it changes in the file.
    pub changes: Vec<SweepChange>,
    /// Where the values come from, one line each.
    origin: Vec<String>,
}

impl Winner {
    /// The best trial of a sweep, or the one named.
    ///
    /// # Errors
    /// [`Error::AllFailed`]; [`Error::SeveralObjectives`] where none is named;
    /// [`Error::NotComplete`] for one without values.
    pub fn of(sweep: &Sweep, number: Option<u64>) -> Result<Winner> {
        let trials = sweep.study.trials()?;
        let study = sweep.study.name().to_owned();
        let trial = match number {
            Some(number) => named(&trials, &study, number)?.clone(),
            None if sweep.study.config().directions.len() > 1 => {
                let front = pareto_front(&trials, &sweep.study.config().directions);
                let front = front.iter().map(|trial| trial.number).collect();
                return Err(Error::SeveralObjectives { study, front });
            }
            None => sweep.study.best_trial().map_err(|error| all_failed(&trials, error))?,
        };
        let params = sweep.study.params_of(&trial);
        let mut pipeline = sweep.file.trial(&params)?;
        pipeline.repeats = sweep.pipeline.repeats;
        pipeline.name = format!("{}_best", sweep.pipeline.name);
        let before = serde_json::to_value(&sweep.pipeline).unwrap_or(Value::Null);
        let changes = params
            .iter()
            .map(|(path, value)| {
                let pointer = format!("/{}", path.replace('.', "/"));
                let from = before.pointer(&pointer).map(short);
                SweepChange { path: path.clone(), from, to: short(value) }
            })
            .collect();
        let objectives = sweep.search().objectives();
        let values: Vec<String> = objectives
            .iter()
            .zip(&trial.values)
            .map(|(objective, value)| format!("{} {value}", objective.figure))
            .collect();
        let n_finished = trials.iter().filter(|trial| trial.state.is_finished()).count();
        let directions = &sweep.study.config().directions;
        let best = best_trial(&trials, directions).filter(|_| directions.len() == 1);
        let is_best = best.is_some_and(|best| best.number == trial.number);
        let which = if is_best { "The best" } else { "One" };
        let mut origin = vec![
            format!(
                "Trial {} of study `{study}` in {}: {}.",
                trial.number,
                sweep.study.store().name(),
                values.join(", ")
            ),
            format!(
                "{which} of {n_finished} trials ({}, seed {}) over `{}`. What it chose:",
                sweep.search().sampler.name(),
                sweep.pipeline.seed,
                sweep.file.path.display()
            ),
        ];
        origin.extend(overrides_of(&params).into_iter().map(|line| format!("  {line}")));
        Ok(Winner { number: trial.number, values: trial.values, pipeline, changes, origin })
    }

    /// The file as text: where its values come from, then every value.
    pub fn text(&self) -> String {
        let head: String = self.origin.iter().map(|line| format!("# {line}\n")).collect();
        format!("{head}\n{}", self.pipeline.resolved())
    }
}

/// JSON as people read it: words without quotes.
fn short(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        // Numbers of 32 bits have digits behind them that nobody wrote.
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), |n| format!("{}", n as f32))
        }
        other => other.to_string(),
    }
}

fn named<'t>(trials: &'t [FrozenTrial], study: &str, number: u64) -> Result<&'t FrozenTrial> {
    let trial = trials
        .iter()
        .find(|trial| trial.number == number)
        .ok_or_else(|| hourglass_search::Error::UnknownTrial { study: study.to_owned(), number })?;
    let reason = match trial.state {
        TrialState::Complete => return Ok(trial),
        TrialState::Failed => "failed",
        TrialState::Pruned => "was pruned",
        TrialState::Running => "still runs",
        TrialState::Queued => "waits",
    };
    Err(Error::NotComplete { study: study.to_owned(), number, reason })
}

fn all_failed(trials: &[FrozenTrial], error: hourglass_search::Error) -> Error {
    let failed = || trials.iter().filter(|trial| trial.state == TrialState::Failed);
    match failed().next_back() {
        Some(last) if failed().count() == trials.len() => Error::AllFailed {
            n_trials: trials.len(),
            reason: last.reason().unwrap_or("no reason").to_owned(),
        },
        _ => error.into(),
    }
}

/// Runs the file as it stands and the winner, and keeps what they score on test with the study.
///
/// # Errors
/// Whatever the two runs say; what the store says.
pub fn test(
    sweep: &Sweep,
    winner: &Winner,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Vec<SweepTest>> {
    let mut plain = sweep.pipeline.clone();
    (plain.search, plain.schedule) = (None, None);
    let mut tested = Vec::new();
    let label = format!("trial {}", winner.number);
    for (label, pipeline) in
        [("the file as it stands".to_owned(), &plain), (label, &winner.pipeline)]
    {
        progress.say(&format!("{label}, on test:"));
        let outcome = hourglass_pipeline::run(pipeline, options, progress, interrupt)?;
        tested.push(read(label, &outcome));
    }
    let (store, id) = (sweep.study.store(), sweep.study.id());
    let stored = json!({ "trial": winner.number, "tested": tested });
    store.set_study_attribute(id, Scope::System, TESTED, &stored)?;
    Ok(tested)
}

/// What was read on test for a trial, if it was.
pub(crate) fn tested(sweep: &Sweep, number: u64) -> Result<Vec<SweepTest>> {
    let attributes = sweep.study.record()?.system_attributes;
    let stored = attributes.get(TESTED).filter(|stored| stored["trial"] == json!(number));
    let tested = stored.and_then(|stored| serde_json::from_value(stored["tested"].clone()).ok());
    Ok(tested.unwrap_or_default())
}

fn read(label: String, outcome: &RunOutcome) -> SweepTest {
    let report = &outcome.report;
    let run = outcome.folder.file_name().map(|name| name.to_string_lossy().into_owned());
    SweepTest {
        label,
        run: run.unwrap_or_default(),
        metric: report.metric.clone(),
        verdict: report.verdict.sentence.clone(),
        rows: report
            .results
            .iter()
            .map(|row| SweepTestRow {
                feature_set: row.feature_set.clone(),
                model: row.model.clone(),
                mean: row.mean,
                interval: row.ci_low.zip(row.ci_high),
            })
            .collect(),
    }
}
