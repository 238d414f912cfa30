//! Curves or points over a square whose diagonal is where both axes agree: ROC curves, calibration
//! curves, predictions beside the truth.

use super::axis::Axis;
use super::{coordinate, element, escaped, line, polyline, text};

const SIDE: f64 = 300.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 44.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = LEFT + SIDE + 12.0;
const HEIGHT: f64 = TOP + SIDE + BOTTOM;

/// Traces over a square.
pub(crate) struct Diagonal {
    pub title: String,
    /// What the horizontal and the vertical axis show.
    pub axes: [String; 2],
    pub traces: Vec<Trace>,
}

/// One curve or cloud.
pub(crate) struct Trace {
    pub name: String,
    pub points: Vec<[f64; 2]>,
    /// Whether the points are joined by a line.
    pub is_line: bool,
}

impl Diagonal {
    pub(super) fn svg(&self) -> Option<String> {
        let all = || self.traces.iter().flat_map(|trace| trace.points.iter());
        let values = || all().flat_map(|point| point.iter().copied());
        let x = Axis::new(values(), false, (LEFT, LEFT + SIDE), 5)?;
        let y = Axis::new(values(), false, (TOP + SIDE, TOP), 5)?;
        let mut inside = text(0.0, 14.0, "title", &self.title);
        for (at, label) in x.ticks() {
            inside += &line((at, TOP), (at, TOP + SIDE), "grid");
            inside += &text(at, TOP + SIDE + 16.0, "tick mid", &label);
        }
        for (at, label) in y.ticks() {
            inside += &line((LEFT, at), (LEFT + SIDE, at), "grid");
            inside += &text(LEFT - 8.0, at + 4.0, "tick end", &label);
        }
        inside += &line((LEFT, TOP + SIDE), (LEFT + SIDE, TOP), "reference");
        let [across, up] = &self.axes;
        inside += &text(LEFT + SIDE / 2.0, HEIGHT - 8.0, "tick mid", across);
        inside += &text(LEFT + SIDE, 14.0, "tick end", up);
        for (index, trace) in self.traces.iter().enumerate() {
            let colour = super::colour(index);
            let placed = || trace.points.iter().map(|[a, b]| (x.at(*a), y.at(*b)));
            let drawing = if trace.is_line {
                polyline(placed(), &format!("trace {colour}"))
            } else {
                let dot = |(x, y): (f64, f64)| format!("M{} {}h0", coordinate(x), coordinate(y));
                let finite = placed().filter(|(x, y)| x.is_finite() && y.is_finite());
                let path: String = finite.map(dot).collect();
                format!("<g class=\"points\"><path d=\"{path}\" class=\"{colour}\"/></g>")
            };
            inside += &format!("<g><title>{}</title>{drawing}</g>", escaped(&trace.name));
        }
        Some(element(WIDTH, HEIGHT, &self.title, &inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trace_has_a_name_to_hover() {
        let trace = |is_line| Trace {
            name: "raw & more".into(),
            points: vec![[0.0, 0.0], [0.2, 0.7], [1.0, 1.0]],
            is_line,
        };
        let svg = Diagonal {
            title: "ROC".into(),
            axes: ["a".into(), "b".into()],
            traces: vec![trace(true), trace(false)],
        }
        .svg()
        .unwrap();
        assert_eq!(svg.matches("<title>raw &amp; more</title>").count(), 2);
        assert!(!svg.contains("NaN"));
        let none = Diagonal { title: String::new(), axes: Default::default(), traces: Vec::new() };
        assert!(none.svg().is_none());
    }
}
