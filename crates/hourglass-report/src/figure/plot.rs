//! Trials as points over two dimensions, with a line where one says something: the history of a
//! study, slices through its space, its Pareto front.

use super::scale::Dimension;
use super::{coordinate, element, line, polyline, text};

const HEIGHT: f64 = 250.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;

/// Points, and a line through some of them.
pub(crate) struct Plot {
    pub title: String,
    pub x: Dimension,
    pub y: Dimension,
    pub points: Vec<PlotPoint>,
    /// Corners of the line, in order.
    pub line: Vec<(f64, f64)>,
    pub width: f64,
}

/// One trial.
pub(crate) struct PlotPoint {
    pub at: (f64, f64),
    /// Whether it is the winner or on the front.
    pub is_best: bool,
    /// Whether it is drawn faintly.
    pub is_faint: bool,
    /// What a mouse that rests on it is told.
    pub hint: String,
}

impl Plot {
    pub(super) fn svg(&self) -> Option<String> {
        let finite = || {
            let points = self.points.iter().map(|point| point.at);
            points.chain(self.line.iter().copied()).filter(|(x, y)| x.is_finite() && y.is_finite())
        };
        finite().next()?;
        let right = self.width - RIGHT;
        let x = self.x.scale(finite().map(|at| at.0), (LEFT, right), 5)?;
        let y = self.y.scale(finite().map(|at| at.1), (HEIGHT - BOTTOM, TOP), 5)?;
        let mut inside = text(0.0, 14.0, "title", &self.title);
        for (at, label) in y.ticks() {
            inside += &line((LEFT, at), (right, at), "grid");
            inside += &text(LEFT - 8.0, at + 4.0, "tick end", &label);
        }
        for (at, label) in x.ticks() {
            inside += &text(at, HEIGHT - BOTTOM + 17.0, "tick mid", &label);
        }
        let scale = if self.x.is_log { "; logarithmic scale" } else { "" };
        let caption = format!("{}{scale}", self.x.title);
        inside += &text((LEFT + right) / 2.0, HEIGHT - 6.0, "tick mid", &caption);
        if !self.line.is_empty() {
            let placed = self.line.iter().map(|&(a, b)| (x.at(a), y.at(b)));
            inside += &polyline(placed, "curve validation");
        }
        // The best last, so that nothing lies on it.
        for is_best in [false, true] {
            for point in self.points.iter().filter(|point| point.is_best == is_best) {
                let (cx, cy) = (x.at(point.at.0), y.at(point.at.1));
                if !(cx.is_finite() && cy.is_finite()) {
                    continue;
                }
                let class = match (point.is_best, point.is_faint) {
                    (true, _) => "trial best",
                    (_, true) => "trial faint",
                    _ => "trial",
                };
                let radius = if point.is_best { "5" } else { "3.5" };
                inside += &format!(
                    "<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\" class=\"{class}\"><title>{}</title>\
                     </circle>",
                    coordinate(cx),
                    coordinate(cy),
                    super::escaped(&point.hint)
                );
            }
        }
        Some(element(self.width, HEIGHT, &self.title, &inside))
    }
}
