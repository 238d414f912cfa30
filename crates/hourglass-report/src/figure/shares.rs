//! Scores against the share of the labels that a model saw, one line a feature set.

use super::axis::Axis;
use super::{colour, coordinate, element, escaped, line, polyline, text};
use crate::words;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;

/// Least distance of two names at the right end.
const NAME_STEP: f64 = 15.0;

/// Lines over shares of the labels.
pub(crate) struct Shares {
    /// What the vertical axis shows.
    pub title: String,
    /// Name, and share and score of each point.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Shares {
    pub(super) fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|(_, points)| points.iter().copied());
        let x = Axis::new(points().map(|p| p.0), true, (LEFT, WIDTH - RIGHT), 5)?;
        let y = Axis::new(points().map(|p| p.1), false, (HEIGHT - BOTTOM, TOP), 5)?;
        let mut inside = text(0.0, 14.0, "title", &self.title);
        for (at, label) in y.ticks() {
            inside += &line((LEFT, at), (WIDTH - RIGHT, at), "grid");
            inside += &text(LEFT - 8.0, at + 4.0, "tick end", &label);
        }
        let mut shares: Vec<f64> = points().map(|p| p.0).collect();
        shares.sort_by(f64::total_cmp);
        shares.dedup();
        for &share in &shares {
            let at = x.at(share);
            inside += &line((at, TOP), (at, HEIGHT - BOTTOM), "grid");
            inside += &text(at, HEIGHT - BOTTOM + 18.0, "tick mid", &words::share(share));
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        inside += &text(middle, HEIGHT - 6.0, "tick mid", "share of the labels");
        let mut ends: Vec<(f64, usize)> = Vec::new();
        for (index, (name, points)) in self.lines.iter().enumerate() {
            let placed = || points.iter().map(|&(share, score)| (x.at(share), y.at(score)));
            let mut drawing = polyline(placed(), &format!("trace {}", colour(index)));
            for (cx, cy) in placed().filter(|(_, cy)| cy.is_finite()) {
                let (cx, cy) = (coordinate(cx), coordinate(cy));
                let class = colour(index);
                drawing += &format!(
                    "<g class=\"points\"><path d=\"M{cx} {cy}h0\" class=\"{class}\"/></g>"
                );
            }
            let said: Vec<String> = points
                .iter()
                .map(|&(share, score)| {
                    format!("{} at {}", words::number(score, 2), words::share(share))
                })
                .collect();
            let hover = format!("{name}: {}", said.join(", "));
            inside += &format!("<g><title>{}</title>{drawing}</g>", escaped(&hover));
            if let Some((_, end)) = placed().rfind(|(_, at)| at.is_finite()) {
                ends.push((end, index));
            }
        }
        // Names stand beside the ends of their lines, moved apart where these are close.
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut last = f64::NEG_INFINITY;
        for (end, index) in ends {
            let at = end.max(last + NAME_STEP);
            last = at;
            let name = &self.lines[index].0;
            let from = WIDTH - RIGHT + 10.0;
            inside += &line((from, at), (from + 14.0, at), &format!("trace {}", colour(index)));
            inside += &text(from + 20.0, at + 4.0, "tick", name);
        }
        Some(element(WIDTH, HEIGHT, &self.title, &inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_named_and_hover() {
        let lines = vec![
            ("raw".into(), vec![(0.01, 30.0), (0.1, 15.0), (1.0, 8.0)]),
            ("autoencoder".into(), vec![(0.01, 15.0), (0.1, 5.0), (1.0, 2.0)]),
        ];
        let svg = Shares { title: "Test errors (%)".into(), lines }.svg().unwrap();
        assert!(svg.contains("raw: 30.00 at 1 %, 15.00 at 10 %, 8.00 at 100 %"), "{svg}");
        assert!(svg.contains(">10 %</text>"));
        assert!(Shares { title: String::new(), lines: Vec::new() }.svg().is_none());
    }
}
