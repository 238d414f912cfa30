//! Two finished runs side by side: which settings differ, what else the results hang on, and how
//! far the results are apart. It runs nothing.

use std::path::Path;

use hourglass_report::{Report, ResultRow};
use serde::Serialize;

use crate::error::Error;
use crate::key::leaves;

/// What differs between two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunDifference {
    /// Settings of the pipeline file that differ, and seeds, data and versions.
    pub settings: Vec<Change>,
    /// Every result that either run has.
    pub results: Vec<ResultChange>,
    /// The answers.
    pub verdicts: [String; 2],
}

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Dotted path, such as `train.epochs`.
    pub path: String,
    /// Its value in the first run; `None` where it isn't there.
    pub was: Option<String>,
    /// Its value in the second run.
    pub is: Option<String>,
}

/// One result in both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResultChange {
    /// Feature set.
    pub feature_set: String,
    /// Downstream model.
    pub model: String,
    /// Share of the labels.
    pub label_fraction: f64,
    /// Name of the metric.
    pub metric: String,
    /// Mean of the first run; `None` where it wasn't measured.
    pub was: Option<f64>,
    /// Mean of the second run.
    pub is: Option<f64>,
    /// Whether the intervals of the two means share no value: a hint, not a test, since the runs
    /// need not be paired.
    pub is_apart: bool,
}

/// Reads two run directories and says what differs.
///
/// # Errors
/// Where there is no run, or its report can't be read.
pub fn compare_runs(first: &Path, second: &Path) -> Result<RunDifference, Error> {
    let (first, second) = (crate::read_run(first)?.0, crate::read_run(second)?.0);
    let mut settings = changes(&settings_of(&first), &settings_of(&second));
    settings.extend(changes(&origins_of(&first), &origins_of(&second)));
    let same = |a: &ResultRow, b: &ResultRow| {
        a.feature_set == b.feature_set && a.model == b.model && a.label_fraction == b.label_fraction
    };
    let only_second =
        second.results.iter().filter(|row| !first.results.iter().any(|other| same(row, other)));
    let pairs = first
        .results
        .iter()
        .map(|row| (Some(row), second.results.iter().find(|other| same(row, other))))
        .chain(only_second.map(|row| (None, Some(row))));
    let results = pairs.filter_map(|(was, is)| {
        let either = was.or(is)?;
        let metric = if was.is_some() { &first.metric } else { &second.metric };
        let mean = |row: Option<&ResultRow>| row.map(|row| row.mean).filter(|m| m.is_finite());
        Some(ResultChange {
            feature_set: either.feature_set.clone(),
            model: either.model.clone(),
            label_fraction: either.label_fraction,
            metric: metric.name.clone(),
            was: mean(was),
            is: mean(is),
            is_apart: was.zip(is).is_some_and(|(was, is)| are_apart(was, is)),
        })
    });
    Ok(RunDifference {
        settings,
        results: results.collect(),
        verdicts: [first.verdict.sentence.clone(), second.verdict.sentence.clone()],
    })
}

fn are_apart(was: &ResultRow, is: &ResultRow) -> bool {
    match (was.ci_low.zip(was.ci_high), is.ci_low.zip(is.ci_high)) {
        (Some((a, b)), Some((c, d))) => b < c || d < a,
        _ => false,
    }
}

type Leaves = std::collections::BTreeMap<String, String>;

fn settings_of(report: &Report) -> Leaves {
    toml::from_str::<serde_json::Value>(&report.resolved_file)
        .map_or_else(|_| Leaves::new(), |value| leaves(&value))
}

/// What else a result hangs on.
fn origins_of(report: &Report) -> Leaves {
    let mut origins = Leaves::new();
    for (name, version) in &report.versions {
        origins.insert(format!("version of {name}"), version.clone());
    }
    for file in &report.data.files {
        origins.insert(format!("SHA-256 of {}", file.name), file.sha256.clone());
    }
    origins.insert("data set".to_owned(), report.data.dataset.clone());
    origins
}

fn changes(was: &Leaves, is: &Leaves) -> Vec<Change> {
    let mut paths: Vec<&String> = was.keys().chain(is.keys()).collect();
    paths.sort();
    paths.dedup();
    let change = |path: &String| {
        let (was, is) = (was.get(path).cloned(), is.get(path).cloned());
        (was != is).then(|| Change { path: path.clone(), was, is })
    };
    paths.into_iter().filter_map(change).collect()
}
