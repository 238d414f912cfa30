//! From the report's numbers to the figures of the page.

use serde::Serialize;

use crate::figure::{Curves, Figure, Forest, ForestRow, Line, LineKind, Reference, Scatter};
use crate::model::{EpochRow, Report, TrainingRun};
use crate::words;

/// The differences to raw, or `None` where nothing is compared with raw.
pub(super) fn forest(report: &Report) -> Option<String> {
    let metric = &report.metric;
    let rows = report.results.iter().filter_map(|row| {
        let against = row.against_raw.as_ref()?;
        let interval = words::finite_pair(against.ci_low, against.ci_high)
            .map(|(l, h)| (metric.shown_difference(l), metric.shown_difference(h)));
        let difference = metric.shown_difference(against.difference);
        let decimals = metric.decimals();
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
        })
    });
    let mut rows: Vec<ForestRow> = rows.collect();
    // The file may list the models of a set together; the figure groups by model, in its order.
    let order: Vec<String> = rows.iter().map(|row| row.group.clone()).collect();
    rows.sort_by_key(|row| order.iter().position(|group| *group == row.group));
    Figure::Forest(Forest { unit: metric.difference_unit().into(), rows }).svg()
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
        .map(|(class, name)| (crate::figure::colour(class), name.clone()))
        .collect();
    let method = words::capital(map.method.trim_end_matches('.'));
    let points = words::counted(map.points.len(), "point");
    Some(LatentView { svg, sentence: format!("{method}; {points}.{share}"), legend })
}
