//! Losses over the epochs, one line a repeat, with yardsticks across.

use super::axis::Axis;
use super::{coordinate, element, line, polyline, text, text_width};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 42.0;

/// Above this ratio of largest to smallest value, the scale is logarithmic.
const LOG_FROM: f64 = 15.0;

/// Lines over the epochs.
pub(crate) struct Curves {
    /// What the vertical axis shows.
    pub title: String,
    pub lines: Vec<Line>,
    pub references: Vec<Reference>,
}

/// One repeat.
pub(crate) struct Line {
    pub kind: LineKind,
    /// Epoch and value.
    pub points: Vec<(f64, f64)>,
    /// The point to mark with a ring.
    pub best: Option<(f64, f64)>,
}

/// What a line shows; decides its colour and its dashes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKind {
    Train,
    Validation,
}

/// A yardstick: a horizontal line with its name.
pub(crate) struct Reference {
    pub label: String,
    pub value: f64,
}

impl Curves {
    pub(super) fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let values = || points().map(|p| p.1).chain(self.references.iter().map(|r| r.value));
        let finite = || values().filter(|value| value.is_finite());
        let (low, high) = finite().fold((f64::INFINITY, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
        if !points().any(|(x, y)| x.is_finite() && y.is_finite()) {
            return None;
        }
        let is_log = low > 0.0 && high / low > LOG_FROM;
        let y = Axis::new(values(), is_log, (HEIGHT - BOTTOM, TOP), 5)?;
        let n_epochs = points().map(|p| p.0).fold(1.0, f64::max);
        let n_ticks = (n_epochs as usize).clamp(1, 6);
        let x = Axis::new([0.0, n_epochs].into_iter(), false, (LEFT, WIDTH - RIGHT), n_ticks)?;
        let mut inside = self.legend();
        for (at, label) in y.ticks() {
            inside += &line((LEFT, at), (WIDTH - RIGHT, at), "grid");
            inside += &text(LEFT - 8.0, at + 4.0, "tick end", &label);
        }
        for (at, label) in x.ticks() {
            inside += &text(at, HEIGHT - BOTTOM + 18.0, "tick mid", &label);
        }
        let scale = if is_log { "epoch; logarithmic scale" } else { "epoch" };
        inside += &text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 6.0, "tick mid", scale);
        for reference in self.references.iter().filter(|r| r.value.is_finite()) {
            let at = y.at(reference.value);
            inside += &line((LEFT, at), (WIDTH - RIGHT, at), "reference");
            inside += &text(WIDTH - RIGHT, at - 5.0, "tick end halo", &reference.label);
        }
        for curve in &self.lines {
            let placed = curve.points.iter().map(|&(epoch, value)| (x.at(epoch), y.at(value)));
            inside += &polyline(placed, curve.kind.class());
        }
        for (epoch, value) in self.lines.iter().filter_map(|line| line.best) {
            if value.is_finite() && (!is_log || value > 0.0) {
                let (cx, cy) = (coordinate(x.at(epoch)), coordinate(y.at(value)));
                inside += &format!("<circle cx=\"{cx}\" cy=\"{cy}\" r=\"4\" class=\"ring\"/>");
            }
        }
        Some(element(WIDTH, HEIGHT, &self.title, &inside))
    }

    /// Title and, in one row, what each kind of line is.
    fn legend(&self) -> String {
        let mut inside = text(0.0, 14.0, "title", &self.title);
        let mut at = WIDTH - RIGHT;
        for kind in [LineKind::Validation, LineKind::Train] {
            if !self.lines.iter().any(|line| line.kind == kind) {
                continue;
            }
            at -= text_width(kind.label());
            inside += &text(at, 14.0, "tick", kind.label());
            inside += &line((at - 22.0, 10.0), (at - 5.0, 10.0), kind.class());
            at -= 36.0;
        }
        inside
    }
}

impl LineKind {
    fn class(self) -> &'static str {
        match self {
            LineKind::Train => "curve train",
            LineKind::Validation => "curve validation",
        }
    }

    fn label(self) -> &'static str {
        match self {
            LineKind::Train => "training",
            LineKind::Validation => "validation",
        }
    }
}
