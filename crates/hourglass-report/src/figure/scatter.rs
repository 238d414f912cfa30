//! Samples in two dimensions, coloured by class, the name of each class at its middle.

use super::{N_COLOURS, coordinate, element, text};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 460.0;
const MARGIN: f64 = 14.0;

/// Above this many classes the names would cover the points.
const MOST_NAMES: usize = 20;

/// Points and their classes.
pub(crate) struct Scatter {
    /// `(n, 2)`.
    pub points: Vec<[f32; 2]>,
    /// Class of each point; may be shorter, and points without one are drawn grey.
    pub classes: Vec<u32>,
    pub names: Vec<String>,
}

/// The class of the style sheet that colours a class: colours repeat after [`N_COLOURS`], the
/// second round is drawn as squares.
pub(crate) fn colour(class: usize) -> String {
    let square = if (class / N_COLOURS) % 2 == 1 { " square" } else { "" };
    format!("k{}{square}", class % N_COLOURS)
}

impl Scatter {
    pub(super) fn svg(&self) -> Option<String> {
        let finite = || self.points.iter().filter(|p| p.iter().all(|v| v.is_finite()));
        let range = |axis: usize| {
            finite().map(|point| f64::from(point[axis])).fold(None, |range, value| match range {
                None => Some((value, value)),
                Some((low, high)) => Some((value.min(low), value.max(high))),
            })
        };
        let (x, y) = (range(0)?, range(1)?);
        let place = |point: &[f32; 2]| {
            let share = |value: f32, (low, high): (f64, f64)| {
                if high > low { (f64::from(value) - low) / (high - low) } else { 0.5 }
            };
            (
                MARGIN + share(point[0], x) * (WIDTH - 2.0 * MARGIN),
                HEIGHT - MARGIN - share(point[1], y) * (HEIGHT - 2.0 * MARGIN),
            )
        };
        let mut inside = String::new();
        // In the order given, so that no class lies on top of all others.
        for (i, point) in self.points.iter().enumerate() {
            if point.iter().all(|value| value.is_finite()) {
                let (x, y) = place(point);
                let class = self.classes.get(i).map_or_else(|| "k".into(), |&c| colour(c as usize));
                inside += &format!(
                    "<path d=\"M{} {}h0\" class=\"{class}\"/>",
                    coordinate(x),
                    coordinate(y)
                );
            }
        }
        if self.names.len() <= MOST_NAMES {
            for (class, name) in self.names.iter().enumerate() {
                let placed = std::iter::zip(&self.points, &self.classes)
                    .filter(|(p, c)| **c as usize == class && p.iter().all(|v| v.is_finite()))
                    .map(|(point, _)| place(point));
                if let Some((x, y)) = middle(placed.collect()) {
                    inside += &text(x, y + 5.0, "name mid halo", name);
                }
            }
        }
        let inside = format!("<g class=\"points\">{inside}</g>");
        Some(element(WIDTH, HEIGHT, "The latent in two dimensions, coloured by class", &inside))
    }
}

/// The median of each coordinate, which a few strays do not move.
fn middle(points: Vec<(f64, f64)>) -> Option<(f64, f64)> {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
    median(x).zip(median(y))
}
