//! From the report's numbers to the figures of the page.

use serde::Serialize;

use crate::figure::{
    Curves, Diagonal, Figure, Forest, ForestRow, Line, LineKind, Reference, Scatter, Shares, Trace,
    colour,
};
use crate::model::{Comparison, EpochRow, Report, ResultRow, TrainingRun};
use crate::words;

/// The differences to raw, or `None` where nothing is compared with raw.
pub(super) fn forest(report: &Report) -> Option<String> {
    let metric = &report.metric;
    let most = report.label_fractions.last().copied().unwrap_or(1.0);
    let shown = report.results.iter().filter(|row| row.label_fraction == most);
    let rows = shown.filter_map(|row| {
        let against = row.against_raw.as_ref()?;
        let interval = words::finite_pair(against.ci_low, against.ci_high)
            .map(|(l, h)| (metric.shown_difference(l), metric.shown_difference(h)));
        let difference = metric.shown_difference(against.difference);
        let decimals = metric.decimals();
        let hover = hover(report, row, against);
        let numbers = match interval {
            Some((low, high)) => format!(
                "{} [{}, {}]",
                words::signed(difference, decimals),
                words::signed(low, decimals),
                words::signed(high, decimals),
            ),
            None => words::signed(difference, decimals),
        };
        Some(ForestRow {
            group: words::capital(&words::model(&row.model)),
            label: words::feature_set(&row.feature_set),
            difference,
            interval,
            mark: against.mark,
            numbers,
            hover,
        })
    });
    let mut rows: Vec<ForestRow> = rows.collect();
    // The file may list the models of a set together; the figure groups by model, in its order.
    let order: Vec<String> = rows.iter().map(|row| row.group.clone()).collect();
    rows.sort_by_key(|row| order.iter().position(|group| *group == row.group));
    Figure::Forest(Forest { unit: metric.difference_unit().into(), rows }).svg()
}

/// What a row says when the mouse rests on it.
fn hover(report: &Report, row: &ResultRow, against: &Comparison) -> String {
    let metric = &report.metric;
    let mut parts = vec![format!(
        "{} with {}: {}",
        words::feature_set(&row.feature_set),
        words::model(&row.model),
        metric.value(row.mean),
    )];
    parts.extend(against.p_value.map(words::p_value));
    parts.extend(against.p_holm.map(|p| format!("after Holm {}", words::p_value(p))));
    parts.extend(against.practice.map(|practice| {
        let share = |p: f64| words::number(100.0 * p, 0);
        format!(
            "better {} %, same {} %, worse {} %",
            share(practice.better),
            share(practice.same),
            share(practice.worse),
        )
    }));
    parts.join("; ")
}

#[derive(Serialize)]
pub(super) struct ScoreFigure {
    svg: String,
    legend: Vec<(String, String)>,
    caption: String,
}

/// ROC and calibration curves of a classifier, or predictions of a regressor beside the truth.
pub(super) fn scores(report: &Report) -> Vec<ScoreFigure> {
    let model = words::model(&report.main_model);
    let rocs = report.curves.iter().map(|curves| (&curves.feature_set, curves.roc.clone(), true));
    let calibrations = report.curves.iter().map(|curves| {
        let points = curves.calibration.iter().map(|bin| [bin[0], bin[1]]).collect();
        (&curves.feature_set, points, true)
    });
    let predictions = report.predictions.iter().map(|said| {
        let points = said.points.iter().map(|point| point.map(f64::from)).collect();
        (&said.feature_set, points, false)
    });
    let pooled = if report.data.classes.len() > 2 { "; classes pooled" } else { "" };
    [
        figure(
            "ROC",
            ["false positive rate", "true positive rate"],
            rocs.collect(),
            format!("With {model}: nearer to the upper left corner is better{pooled}."),
        ),
        figure(
            "Calibration",
            ["predicted probability", "share that came true"],
            calibrations.collect(),
            format!("With {model}: nearer to the diagonal is more honest{pooled}."),
        ),
        figure(
            "Predictions",
            ["truth", "prediction"],
            predictions.collect(),
            format!("Test rows of the first repeat with {model}: on the diagonal both agree."),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn figure(
    title: &str,
    axes: [&str; 2],
    traces: Vec<(&String, Vec<[f64; 2]>, bool)>,
    caption: String,
) -> Option<ScoreFigure> {
    let traces: Vec<_> = traces.into_iter().filter(|(_, points, _)| !points.is_empty()).collect();
    let legend = traces.iter().enumerate();
    let legend = legend.map(|(at, (set, ..))| (colour(at), words::feature_set(set))).collect();
    let traces = traces.into_iter().map(|(set, points, is_line)| Trace {
        name: words::feature_set(set),
        points,
        is_line,
    });
    let diagonal =
        Diagonal { title: title.into(), axes: axes.map(String::from), traces: traces.collect() };
    let svg = Figure::Diagonal(diagonal).svg()?;
    Some(ScoreFigure { svg, legend, caption })
}

/// The main model's score against the share of the labels, or `None` with one share only.
pub(super) fn few_labels(report: &Report) -> Option<String> {
    if report.label_fractions.len() < 2 {
        return None;
    }
    let mut sets: Vec<&str> = Vec::new();
    for row in &report.results {
        if !sets.contains(&&*row.feature_set) {
            sets.push(&row.feature_set);
        }
    }
    let lines = sets.into_iter().map(|set| {
        let rows = report
            .results
            .iter()
            .filter(|row| row.feature_set == set && row.model == report.main_model);
        let points = rows.map(|row| (row.label_fraction, report.metric.shown(row.mean)));
        (words::feature_set(set), points.collect())
    });
    let title = words::capital(&report.metric.heading());
    Figure::Shares(Shares { title, lines: lines.collect() }).svg()
}

/// The loss and, where it was measured, the reconstruction error beside its yardsticks.
pub(super) fn curves(report: &Report) -> Vec<String> {
    let losses = report.training.iter().flat_map(|run| {
        [
            line(run, LineKind::Train, |row| Some(row.train_loss), false),
            line(run, LineKind::Validation, |row| row.validation_loss, true),
        ]
    });
    let loss =
        Curves { title: "Loss".into(), lines: losses.flatten().collect(), references: Vec::new() };
    let errors = report
        .training
        .iter()
        .filter_map(|run| line(run, LineKind::Validation, |row| row.reconstruction_error, true));
    let baselines = report.reconstruction.iter().flat_map(|r| &r.errors);
    let error = Curves {
        title: "Squared error of a sample".into(),
        lines: errors.collect(),
        references: baselines
            .filter(|row| row.name != crate::AUTOENCODER)
            .filter_map(|row| {
                Some(Reference { label: words::yardstick(&row.name), value: row.validation? })
            })
            .collect(),
    };
    [loss, error].into_iter().filter_map(|curves| Figure::Curves(curves).svg()).collect()
}

fn line(
    run: &TrainingRun,
    kind: LineKind,
    value: impl Fn(&EpochRow) -> Option<f64>,
    marks_best: bool,
) -> Option<Line> {
    let point = |row: &EpochRow| Some((row.epoch as f64, value(row)?));
    let points: Vec<(f64, f64)> = run.epochs.iter().filter_map(point).collect();
    let best = run.best().filter(|_| marks_best).and_then(point);
    (!points.is_empty()).then_some(Line { kind, points, best })
}

#[derive(Serialize)]
pub(super) struct LatentView {
    svg: String,
    sentence: String,
    legend: Vec<(String, String)>,
}

/// The map of the latent, or `None` without one.
pub(super) fn latent(report: &Report) -> Option<LatentView> {
    let map = report.latent_map.as_ref()?;
    let scatter = Scatter {
        points: map.points.clone(),
        classes: map.classes.clone(),
        names: report.data.classes.clone(),
    };
    let svg = Figure::Scatter(scatter).svg()?;
    let share = match map.explained_variance {
        Some(shares) => {
            let [x, y] = shares.map(|share| words::number(100.0 * share, 1));
            format!(" The horizontal axis holds {x} % of the variance, the vertical one {y} %.")
        }
        None => String::new(),
    };
    let legend = report
        .data
        .classes
        .iter()
        .enumerate()
        .filter(|(class, _)| map.classes.contains(&(*class as u32)))
        .map(|(class, name)| (colour(class), name.clone()))
        .collect();
    let method = words::capital(map.method.trim_end_matches('.'));
    let points = words::counted(map.points.len(), "point");
    Some(LatentView { svg, sentence: format!("{method}; {points}.{share}"), legend })
}
