//! What was measured after each epoch of each trial: one line a trial, pruned ones faint.

use super::axis::Axis;
use super::{element, line, polyline, text};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 42.0;

/// Above this ratio of largest to smallest value, the scale is logarithmic.
const LOG_FROM: f64 = 15.0;

/// Curves of many trials.
pub(crate) struct Tracks {
    pub title: String,
    pub tracks: Vec<Track>,
}

/// One trial.
pub(crate) struct Track {
    /// Epoch and value.
    pub points: Vec<(f64, f64)>,
    /// `best`, `pruned` or nothing; a class of the style sheet.
    pub kind: &'static str,
}

impl Tracks {
    pub(super) fn svg(&self) -> Option<String> {
        let points = || {
            let all = self.tracks.iter().flat_map(|track| track.points.iter().copied());
            all.filter(|(x, y)| x.is_finite() && y.is_finite())
        };
        points().next()?;
        let (low, high) = points()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), (_, v)| (l.min(v), h.max(v)));
        let is_log = low > 0.0 && high / low > LOG_FROM;
        let right = WIDTH - RIGHT;
        let y = Axis::new(points().map(|p| p.1), is_log, (HEIGHT - BOTTOM, TOP), 5)?;
        let last = points().map(|p| p.0).fold(1.0, f64::max);
        let x = Axis::new([0.0, last].into_iter(), false, (LEFT, right), 6)?;
        let mut inside = text(0.0, 14.0, "title", &self.title);
        for (at, label) in y.ticks() {
            inside += &line((LEFT, at), (right, at), "grid");
            inside += &text(LEFT - 8.0, at + 4.0, "tick end", &label);
        }
        for (at, label) in x.ticks() {
            inside += &text(at, HEIGHT - BOTTOM + 18.0, "tick mid", &label);
        }
        let scale = if is_log { "epoch; logarithmic scale" } else { "epoch" };
        inside += &text((LEFT + right) / 2.0, HEIGHT - 6.0, "tick mid", scale);
        for wanted in ["pruned", "", "best"] {
            for track in self.tracks.iter().filter(|track| track.kind == wanted) {
                let placed = track.points.iter().map(|&(a, b)| (x.at(a), y.at(b)));
                inside += &polyline(placed, &format!("track {}", track.kind));
            }
        }
        Some(element(WIDTH, HEIGHT, &self.title, &inside))
    }
}
