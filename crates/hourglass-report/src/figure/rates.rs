//! Losses over a rising learning rate, on a logarithmic axis, with the rates worth knowing.

use super::axis::Axis;
use super::{coordinate, element, line, polyline, text};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 46.0;

/// The vertical axis ends at so many times the first smoothed loss, so that the explosion at the
/// end doesn't flatten all that is to be read.
const HIGHEST: f64 = 1.6;

/// Losses over rates.
pub(crate) struct Rates {
    /// Rate, loss of the batch, smoothed loss.
    pub points: Vec<(f64, f64, f64)>,
    /// Rates to mark, with their names.
    pub marks: Vec<(f64, String)>,
}

impl Rates {
    pub(super) fn svg(&self) -> Option<String> {
        let first = self.points.first()?.2;
        let top = HIGHEST * first;
        let x = Axis::new(self.points.iter().map(|point| point.0), true, (LEFT, WIDTH - RIGHT), 8)?;
        let shown = self.points.iter().flat_map(|point| [point.1, point.2]);
        let shown = shown.filter(|value| *value <= top).chain([first]);
        let is_log = self.points.iter().all(|point| point.1 > 0.0 && point.2 > 0.0);
        let y = Axis::new(shown, is_log, (HEIGHT - BOTTOM, TOP), 5)?;
        let mut inside = text(0.0, 14.0, "title", "Loss of each step");
        for (at, label) in y.ticks() {
            inside += &line((LEFT, at), (WIDTH - RIGHT, at), "grid");
            inside += &text(LEFT - 8.0, at + 4.0, "tick end", &label);
        }
        for (at, label) in x.ticks() {
            inside += &text(at, HEIGHT - BOTTOM + 18.0, "tick mid", &label);
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        inside += &text(middle, HEIGHT - 6.0, "tick mid", "learning rate; logarithmic scale");
        for (level, (rate, name)) in self.marks.iter().enumerate() {
            let at = x.at(*rate);
            let from = TOP - 14.0 * (level % 2) as f64;
            inside += &line((at, from), (at, HEIGHT - BOTTOM), "reference");
            inside += &text(at, from - 5.0, "tick mid halo", name);
        }
        // What lies above the frame is cut where it leaves it.
        let place =
            |rate: f64, value: f64| (x.at(rate), if value <= top { y.at(value) } else { f64::NAN });
        for (rate, loss, _) in &self.points {
            let (cx, cy) = place(*rate, *loss);
            if cy.is_finite() {
                let (cx, cy) = (coordinate(cx), coordinate(cy));
                inside += &format!("<circle cx=\"{cx}\" cy=\"{cy}\" r=\"1.6\" class=\"given\"/>");
            }
        }
        let smoothed = self.points.iter().map(|&(rate, _, smoothed)| place(rate, smoothed));
        inside += &polyline(smoothed, "curve validation");
        Some(element(WIDTH, HEIGHT, "Loss over the learning rate", &inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_explodes_is_cut_off_and_marks_are_named() {
        let point = |i: i32| {
            let loss = if i < 8 { 1.0 - 0.1 * f64::from(i) } else { 50.0 };
            (10_f64.powi(i - 6), loss, loss)
        };
        let marks = vec![(1e-2, "suggestion".to_owned())];
        let svg = Rates { points: (0..10).map(point).collect(), marks }.svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 8);
        assert!(svg.contains(">suggestion<") && !svg.contains("NaN"));
        assert!(Rates { points: Vec::new(), marks: Vec::new() }.svg().is_none());
    }
}
