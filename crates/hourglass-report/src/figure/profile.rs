//! One sample that is no image: its columns from left to right, and what came back.

use super::{coordinate, element, polyline};

const WIDTH: f64 = 220.0;
const HEIGHT: f64 = 90.0;
const MARGIN: f64 = 6.0;

/// Columns drawn; more could not be told apart.
pub(crate) const MOST_COLUMNS: usize = 200;

/// A sample and its last reconstruction.
pub(crate) struct Profile {
    pub label: String,
    pub original: Vec<f32>,
    pub reconstruction: Vec<f32>,
}

impl Profile {
    pub(super) fn svg(&self) -> Option<String> {
        let n_columns = self.original.len().min(MOST_COLUMNS);
        let shown = |values: &[f32]| values[..n_columns.min(values.len())].to_vec();
        let (original, returned) = (shown(&self.original), shown(&self.reconstruction));
        let (low, high) = original
            .iter()
            .chain(&returned)
            .filter(|value| value.is_finite())
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        if low > high {
            return None;
        }
        let x = |column: usize| {
            MARGIN + (column as f64 + 0.5) / n_columns as f64 * (WIDTH - 2.0 * MARGIN)
        };
        let y = |value: f32| {
            let share = if high > low { f64::from((value - low) / (high - low)) } else { 0.5 };
            HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN)
        };
        let mut inside = String::new();
        for (column, &value) in original.iter().enumerate().filter(|(_, value)| value.is_finite()) {
            let (x, y) = (coordinate(x(column)), coordinate(y(value)));
            inside += &format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"2.2\" class=\"given\"/>");
        }
        let points = returned.iter().enumerate().map(|(column, &value)| {
            (x(column), if value.is_finite() { y(value) } else { f64::NAN })
        });
        inside += &polyline(points, "curve validation");
        Some(element(WIDTH, HEIGHT, &self.label, &inside))
    }
}
