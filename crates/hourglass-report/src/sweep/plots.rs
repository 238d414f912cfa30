//! The drawings of the page, out of the report's numbers.

use super::model::{SweepParameter, SweepReport, SweepState, SweepTrial};
use super::short;
use crate::figure::{
    Bars, Contour, Dimension, Figure, Parallel, ParallelTrial, Plot, PlotPoint, Track, Tracks,
};
use crate::words;

/// Width of a drawing that has the page's width for itself.
const WIDE: f64 = 860.0;

/// Width of one of two drawings side by side.
const HALF: f64 = 420.0;

/// The first objective over the number of the trial, and the best so far.
pub(super) fn history(report: &SweepReport) -> Option<String> {
    let objective = report.objectives.first()?;
    let mut best: Option<f64> = None;
    let mut line = Vec::new();
    for trial in report.complete() {
        let (at, value) = (trial.number as f64, trial.values[0]);
        let is_better =
            best.is_none_or(
                |best| {
                    if objective.higher_is_better { value > best } else { value < best }
                },
            );
        line.extend(best.map(|best| (at, best)));
        if is_better {
            best = Some(value);
            line.push((at, value));
        }
    }
    let title = words::capital(&words::spaced(&objective.name));
    let plot = Plot {
        title: title.clone(),
        x: Dimension::plain("trial"),
        y: Dimension::plain(&title),
        points: report
            .complete()
            .map(|t| point(report, t, (t.number as f64, t.values[0])))
            .collect(),
        line,
        width: WIDE,
    };
    Figure::Plot(plot).svg()
}

/// The first two objectives against each other, the front as a line.
pub(super) fn front(report: &SweepReport) -> Option<String> {
    let [first, second, ..] = report.objectives.as_slice() else { return None };
    let at = |trial: &SweepTrial| (trial.values[0], trial.values[1]);
    let mut line: Vec<(f64, f64)> =
        report.complete().filter(|trial| report.front.contains(&trial.number)).map(at).collect();
    line.sort_by(|a, b| a.0.total_cmp(&b.0));
    let title = |name: &str| words::capital(&words::spaced(name));
    let plot = Plot {
        title: title(&second.name),
        x: Dimension::plain(&title(&first.name)),
        y: Dimension::plain(&title(&second.name)),
        points: report.complete().map(|trial| point(report, trial, at(trial))).collect(),
        line,
        width: WIDE,
    };
    Figure::Plot(plot).svg()
}

pub(super) fn importance(report: &SweepReport) -> Option<String> {
    let shares = report.parameters.iter().filter_map(|p| Some((p.path.clone(), p.importance?)));
    let mut rows: Vec<(String, f64)> = shares.collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    Figure::Bars(Bars { title: "Importance of each parameter".to_owned(), rows }).svg()
}

pub(super) fn parallel(report: &SweepReport) -> Option<String> {
    let objective = report.objectives.first()?;
    let mut dimensions: Vec<Dimension> = report.parameters.iter().map(dimension).collect();
    dimensions.push(Dimension::plain(&words::spaced(&objective.name)));
    let trials = report
        .complete()
        .map(|trial| {
            let values = report.parameters.iter().map(|p| value(trial, p)).chain([trial.values[0]]);
            ParallelTrial {
                values: values.collect(),
                rank: rank(report, trial),
                is_best: report.best == Some(trial.number),
            }
        })
        .collect();
    Figure::Parallel(Parallel { dimensions, trials }).svg()
}

/// The first objective over each parameter.
pub(super) fn slices(report: &SweepReport) -> Vec<String> {
    let Some(objective) = report.objectives.first() else { return Vec::new() };
    let one = |parameter: &SweepParameter| {
        let points = report
            .complete()
            .map(|trial| point(report, trial, (value(trial, parameter), trial.values[0])));
        let plot = Plot {
            title: words::capital(&words::spaced(&objective.name)),
            x: Dimension { title: parameter.path.clone(), ..dimension(parameter) },
            y: Dimension::plain(&objective.name),
            points: points.filter(|point| point.at.0.is_finite()).collect(),
            line: Vec::new(),
            width: HALF,
        };
        Figure::Plot(plot).svg()
    };
    report.parameters.iter().filter_map(one).collect()
}

/// The first objective over the two most important parameters.
pub(super) fn contour(report: &SweepReport) -> Option<(String, String, String)> {
    let mut known: Vec<&SweepParameter> =
        report.parameters.iter().filter(|p| p.importance.is_some()).collect();
    known.sort_by(|a, b| {
        b.importance.partial_cmp(&a.importance).unwrap_or(std::cmp::Ordering::Equal)
    });
    let [first, second, ..] = known.as_slice() else { return None };
    let points = report
        .complete()
        .map(|trial| ((value(trial, first), value(trial, second)), rank(report, trial)))
        .filter(|((x, y), _)| x.is_finite() && y.is_finite())
        .collect();
    let contour = Contour { x: dimension(first), y: dimension(second), points };
    let svg = Figure::Contour(contour).svg()?;
    Some((svg, first.path.clone(), second.path.clone()))
}

pub(super) fn curves(report: &SweepReport) -> Option<String> {
    let tracks = report
        .trials
        .iter()
        .filter(|trial| !trial.curve.is_empty())
        .map(|trial| Track {
            points: trial.curve.iter().map(|&(epoch, value)| (epoch as f64, value)).collect(),
            kind: match trial.state {
                _ if report.best == Some(trial.number) => "best",
                SweepState::Pruned => "pruned",
                _ => "",
            },
        })
        .collect();
    let title = words::capital(&words::spaced(&report.intermediate));
    Figure::Tracks(Tracks { title, tracks }).svg()
}

fn dimension(parameter: &SweepParameter) -> Dimension {
    Dimension {
        title: short(&parameter.path),
        is_log: parameter.is_log,
        choices: parameter.choices.clone(),
    }
}

fn value(trial: &SweepTrial, parameter: &SweepParameter) -> f64 {
    trial.parameters.get(&parameter.path).copied().unwrap_or(f64::NAN)
}

fn point(report: &SweepReport, trial: &SweepTrial, at: (f64, f64)) -> PlotPoint {
    let values: Vec<String> = trial.values.iter().map(|&v| words::significant(v)).collect();
    PlotPoint {
        at,
        is_best: report.best == Some(trial.number) || report.front.contains(&trial.number),
        is_faint: trial.state != SweepState::Complete,
        hint: format!("trial {}: {}", trial.number, values.join(", ")),
    }
}

/// Share of the finished trials that this one beats in the first objective: 0 worst, 1 best.
fn rank(report: &SweepReport, trial: &SweepTrial) -> f64 {
    let higher = report.objectives[0].higher_is_better;
    let (mut n_worse, mut n_others) = (0, 0);
    for other in report.complete().filter(|other| other.number != trial.number) {
        n_others += 1;
        let (own, others) = (trial.values[0], other.values[0]);
        n_worse += usize::from(if higher { others < own } else { others > own });
    }
    if n_others == 0 { 1.0 } else { f64::from(n_worse as u32) / f64::from(n_others as u32) }
}
