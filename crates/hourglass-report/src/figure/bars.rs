//! Shares as horizontal bars, the largest first.

use super::{coordinate, element, text};
use crate::words;

const WIDTH: f64 = 640.0;
const ROW: f64 = 26.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = 60.0;

/// Names and shares, 0..=1.
pub(crate) struct Bars {
    pub title: String,
    pub rows: Vec<(String, f64)>,
}

impl Bars {
    pub(super) fn svg(&self) -> Option<String> {
        if self.rows.is_empty() {
            return None;
        }
        let mut inside = String::new();
        for (index, (name, share)) in self.rows.iter().enumerate() {
            let y = index as f64 * ROW;
            let length = share.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
            inside += &text(LEFT - 10.0, y + 17.0, "tick end", name);
            inside += &format!(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"14\" rx=\"2\" class=\"share\"/>",
                coordinate(LEFT),
                coordinate(y + 6.0),
                coordinate(length.max(1.0))
            );
            let label = format!("{} %", words::number(share * 100.0, 1));
            inside += &text(LEFT + length + 8.0, y + 17.0, "tick", &label);
        }
        Some(element(WIDTH, ROW * self.rows.len() as f64 + 4.0, &self.title, &inside))
    }
}
