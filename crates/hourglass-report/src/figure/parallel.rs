//! Parallel coordinates: one axis a parameter and one for the objective, one line a trial.

use super::scale::{Dimension, Scale};
use super::{element, line, polyline, text};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const SIDE: f64 = 60.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 16.0;

/// Trials over all dimensions; the last one is the objective.
pub(crate) struct Parallel {
    pub dimensions: Vec<Dimension>,
    pub trials: Vec<ParallelTrial>,
}

/// One line; a dimension that the trial lacks interrupts it.
pub(crate) struct ParallelTrial {
    /// One value for each dimension; NaN where it has none.
    pub values: Vec<f64>,
    /// Place among the trials from worst (0) to best (1): how strongly it is drawn.
    pub rank: f64,
    pub is_best: bool,
}

impl Parallel {
    pub(super) fn svg(&self) -> Option<String> {
        let n = self.dimensions.len();
        if n < 2 || self.trials.is_empty() {
            return None;
        }
        let at = |index: usize| SIDE + (WIDTH - 2.0 * SIDE) * index as f64 / (n - 1) as f64;
        let scales: Vec<Scale> = self
            .dimensions
            .iter()
            .enumerate()
            .map(|(index, dimension)| {
                let values = self.trials.iter().map(|trial| trial.values[index]);
                dimension.scale(values, (HEIGHT - BOTTOM, TOP), 4)
            })
            .collect::<Option<_>>()?;
        let mut inside = String::new();
        let mut trials: Vec<&ParallelTrial> = self.trials.iter().collect();
        trials.sort_by(|a, b| {
            (a.is_best, a.rank)
                .partial_cmp(&(b.is_best, b.rank))
                .unwrap_or(std::cmp::Ordering::Equal)
        });
        for trial in trials {
            let class = if trial.is_best {
                "track best".to_owned()
            } else {
                format!("track v{}", (trial.rank * 9.0).round() as usize)
            };
            let points = trial.values.iter().enumerate().map(|(index, &value)| {
                (at(index), if value.is_finite() { scales[index].at(value) } else { f64::NAN })
            });
            inside += &polyline(points, &class);
        }
        for (index, (dimension, scale)) in self.dimensions.iter().zip(&scales).enumerate() {
            let x = at(index);
            inside += &line((x, TOP), (x, HEIGHT - BOTTOM), "axis");
            // Names of neighbours would overlap in one row.
            let row = if index % 2 == 0 { 12.0 } else { 30.0 };
            let align = if index == 0 {
                "tick"
            } else if index + 1 == n {
                "tick end"
            } else {
                "tick mid"
            };
            let name_x = if index == 0 {
                0.0
            } else if index + 1 == n {
                WIDTH
            } else {
                x
            };
            inside += &text(name_x, row, align, &dimension.title);
            for (y, label) in scale.ticks() {
                inside += &text(x - 5.0, y + 4.0, "tick end halo", &label);
            }
        }
        Some(element(WIDTH, HEIGHT, "One line a trial, one axis a parameter", &inside))
    }
}
