//! The page of a sweep: one HTML file that loads nothing, drawn from [`SweepReport`] alone.

mod model;
mod plots;

pub use model::{
    SWEEP_SCHEMA_VERSION, SweepChange, SweepObjective, SweepParameter, SweepReport, SweepState,
    SweepTest, SweepTestRow, SweepTrial,
};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, context};
use serde::Serialize;

use crate::error::ReportError;
use crate::page;
use crate::words;

const TEMPLATE: &str = include_str!("sweep/page.html");
const STYLE: &str = include_str!("sweep/page.css");

/// Renders the page. The same report gives the same bytes.
///
/// # Errors
/// [`ReportError::Page`] if the page can't be drawn.
pub fn sweep_html(report: &SweepReport) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("sweep.html", TEMPLATE)?;
    let page = context! {
        style => format!("{}{STYLE}", page::STYLE),
        name => &report.name,
        summary => summary(report),
        answer => answer(report),
        counts => Serde(counts(report)),
        tested => Serde(tested(report)),
        changes => Serde(&report.changes),
        history => plots::history(report),
        front => plots::front(report),
        importance => plots::importance(report),
        parallel => plots::parallel(report),
        slices => Serde(plots::slices(report)),
        contour => plots::contour(report),
        curves => plots::curves(report),
        head => Serde(head(report)),
        trials => Serde(rows(report)),
        failed => Serde(failed(report)),
        study => &report.study,
    };
    Ok(environment.get_template("sweep.html")?.render(page)?)
}

/// One line under the title.
fn summary(report: &SweepReport) -> String {
    let objectives: Vec<String> = report
        .objectives
        .iter()
        .map(|o| {
            let direction = if o.higher_is_better { "up" } else { "down" };
            format!("{} {direction}", words::spaced(&o.name))
        })
        .collect();
    format!(
        "{} over {}; {} sampler, {}; seed {}",
        words::listed(&objectives),
        words::counted(report.parameters.len(), "parameter"),
        report.sampler,
        if report.pruner == "none" {
            "no pruner".to_owned()
        } else {
            format!("{} pruner", report.pruner)
        },
        report.seed
    )
}

/// What came out, in a sentence.
fn answer(report: &SweepReport) -> String {
    let trial = |number| report.trials.iter().find(|trial| trial.number == number);
    match (report.best.and_then(trial), report.front.len()) {
        (Some(best), _) => format!(
            "Trial {} is the best: {} {}.",
            best.number,
            words::spaced(&report.objectives[0].name),
            words::significant(best.values[0])
        ),
        (None, 0) => "No trial has finished.".to_owned(),
        (None, n) => {
            format!("{} that no other one beats in every objective.", words::counted(n, "trial"))
        }
    }
}

/// How many trials are in each state, but for states that none is in.
fn counts(report: &SweepReport) -> Vec<(usize, &'static str)> {
    [
        (SweepState::Complete, "finished"),
        (SweepState::Pruned, "pruned"),
        (SweepState::Failed, "failed"),
        (SweepState::Running, "running"),
        (SweepState::Waiting, "waiting"),
    ]
    .into_iter()
    .map(|(state, word)| (report.count(state), word))
    .filter(|(count, _)| *count > 0)
    .collect()
}

#[derive(Serialize)]
struct TestedView {
    heading: String,
    labels: Vec<String>,
    rows: Vec<TestedRow>,
    verdicts: Vec<(String, String, String)>,
}

#[derive(Serialize)]
struct TestedRow {
    feature_set: String,
    model: String,
    /// Value and interval of each run.
    cells: Vec<Option<(String, String)>>,
}

/// The file as it stands and the winner, side by side.
fn tested(report: &SweepReport) -> Option<TestedView> {
    let first = report.tested.first()?;
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for row in report.tested.iter().flat_map(|test| &test.rows) {
        let key = (row.feature_set.as_str(), row.model.as_str());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let cell = |test: &SweepTest, (set, model): (&str, &str)| {
        let row = test.rows.iter().find(|row| row.feature_set == set && row.model == model)?;
        let metric = &test.metric;
        let (low, high) = row.interval.unzip();
        let interval = metric
            .bare_interval(low, high)
            .map_or_else(String::new, |[low, high]| format!("{low} to {high}"));
        Some((metric.value(row.mean), interval))
    };
    Some(TestedView {
        heading: first.metric.heading(),
        labels: report.tested.iter().map(|test| words::capital(&test.label)).collect(),
        rows: keys
            .into_iter()
            .map(|key| TestedRow {
                feature_set: words::capital(&words::feature_set(key.0)),
                model: words::model(key.1),
                cells: report.tested.iter().map(|test| cell(test, key)).collect(),
            })
            .collect(),
        verdicts: report
            .tested
            .iter()
            .map(|test| (words::capital(&test.label), test.verdict.clone(), test.run.clone()))
            .collect(),
    })
}

/// Heads of the table of trials: the objectives, then the parameters.
fn head(report: &SweepReport) -> Vec<String> {
    let objectives = report.objectives.iter().map(|objective| words::spaced(&objective.name));
    objectives.chain(report.parameters.iter().map(|p| short(&p.path))).collect()
}

#[derive(Serialize)]
struct TrialView {
    number: u64,
    state: &'static str,
    is_best: bool,
    cells: Vec<String>,
    seconds: String,
}

fn rows(report: &SweepReport) -> Vec<TrialView> {
    report
        .trials
        .iter()
        .map(|trial| {
            let values = (0..report.objectives.len()).map(|index| {
                trial.values.get(index).map_or(words::MISSING.into(), |&v| words::significant(v))
            });
            let parameters = report.parameters.iter().map(|parameter| {
                let Some(&value) = trial.parameters.get(&parameter.path) else {
                    return words::MISSING.to_owned();
                };
                match parameter.choices.get(value as usize) {
                    Some(label) => label.clone(),
                    None => words::trimmed(value),
                }
            });
            TrialView {
                number: trial.number,
                state: state_word(trial.state),
                is_best: report.best == Some(trial.number) || report.front.contains(&trial.number),
                cells: values.chain(parameters).collect(),
                seconds: trial.seconds.map_or(words::MISSING.into(), |s| words::number(s, 1)),
            }
        })
        .collect()
}

fn failed(report: &SweepReport) -> Vec<(u64, &str)> {
    let failed = report.trials.iter().filter(|trial| trial.state == SweepState::Failed);
    failed.map(|trial| (trial.number, trial.reason.as_deref().unwrap_or("no reason"))).collect()
}

fn state_word(state: SweepState) -> &'static str {
    match state {
        SweepState::Waiting => "waiting",
        SweepState::Running => "running",
        SweepState::Complete => "finished",
        SweepState::Pruned => "pruned",
        SweepState::Failed => "failed",
    }
}

/// The end of a path, which says enough beside others: `adam.learning_rate`.
fn short(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    parts[parts.len().saturating_sub(2)..].join(".")
}

#[cfg(test)]
mod tests;
