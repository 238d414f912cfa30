//! A few values in a row, as small as a line of text is wide: the shape is all that it shows.

use super::{element, polyline};

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 44.0;
/// Room for the line's own width.
const MARGIN: f64 = 3.0;

/// Values in a row.
pub(crate) struct Spark {
    /// What a screen reader says.
    pub label: String,
    pub values: Vec<f64>,
}

impl Spark {
    pub(super) fn svg(&self) -> Option<String> {
        let finite = || self.values.iter().copied().filter(|value| value.is_finite());
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        if finite().count() < 2 {
            return None;
        }
        let step = (WIDTH - 2.0 * MARGIN) / (self.values.len() - 1) as f64;
        let height = HEIGHT - 2.0 * MARGIN;
        // A row that never changes runs through the middle.
        let share = |value: f64| if high > low { (value - low) / (high - low) } else { 0.5 };
        let points = self.values.iter().enumerate().map(|(index, &value)| {
            (MARGIN + index as f64 * step, HEIGHT - MARGIN - height * share(value))
        });
        let line = polyline(points, "curve validation");
        Some(element(WIDTH, HEIGHT, &self.label, &line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_fills_its_room_and_breaks_at_missing_values() {
        let svg = |values: &[f64]| Spark { label: "x".into(), values: values.to_vec() }.svg();
        let drawn = svg(&[1.0, 3.0, f64::NAN, 2.0, 1.0]).unwrap();
        assert!(drawn.contains("M3 41L61.5 3M178.5 22L237 41"), "{drawn}");
        assert!(svg(&[2.0, 2.0]).unwrap().contains("M3 22L237 22"));
        assert_eq!((svg(&[]), svg(&[f64::NAN, 1.0])), (None, None));
    }
}
