//! Differences to the raw features with their intervals, one row each, grouped by model.

use super::axis::Axis;
use super::{coordinate, element, escaped, line, text};
use crate::model::Mark;
use crate::words;

const WIDTH: f64 = 760.0;
const ROW: f64 = 24.0;
const TOP: f64 = 30.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 190.0;

/// All comparisons of the report.
pub(crate) struct Forest {
    /// Unit of the differences, such as `points`.
    pub unit: String,
    pub rows: Vec<ForestRow>,
}

/// One comparison; numbers in the shown unit, positive is better.
pub(crate) struct ForestRow {
    /// Downstream model; a heading is drawn where it changes.
    pub group: String,
    pub label: String,
    pub difference: f64,
    pub interval: Option<(f64, f64)>,
    pub mark: Mark,
    /// The numbers, as the table beside the drawing shows them.
    pub numbers: String,
    /// What a browser shows where the mouse rests.
    pub hover: String,
}

impl Forest {
    pub(super) fn svg(&self) -> Option<String> {
        let rows: Vec<&ForestRow> =
            self.rows.iter().filter(|row| row.difference.is_finite()).collect();
        let starts_group = |i: usize| i == 0 || rows[i - 1].group != rows[i].group;
        let n_lines = rows.len() + (0..rows.len()).filter(|&i| starts_group(i)).count();
        let bottom = TOP + ROW * n_lines as f64 + 6.0;
        let ends =
            rows.iter().flat_map(|row| row.interval.map_or([row.difference; 2], |(l, h)| [l, h]));
        // Zero is always in view: it is what everything is compared with.
        let values = ends.chain(rows.iter().map(|row| row.difference)).chain([0.0]);
        let x = Axis::new(values, false, (LEFT, WIDTH - RIGHT), 5).filter(|_| !rows.is_empty())?;
        let zero = x.at(0.0);
        let mut inside = String::new();
        for (at, label) in x.ticks() {
            inside += &line((at, TOP - 6.0), (at, bottom), "grid");
            inside += &text(at, bottom + 16.0, "tick mid", &label);
        }
        inside += &line((zero, TOP - 6.0), (zero, bottom), "zero");
        inside += &self.directions(zero);
        let unit = if self.unit.is_empty() { String::new() } else { format!(" ({})", self.unit) };
        let caption = format!("difference to raw{unit}");
        inside += &text((LEFT + WIDTH - RIGHT) / 2.0, bottom + 34.0, "tick mid", &caption);
        let mut y = TOP;
        for (i, row) in rows.iter().enumerate() {
            if starts_group(i) {
                inside += &text(0.0, y + 16.0, "group", &row.group);
                y += ROW;
            }
            inside += &row.svg(&x, y + ROW / 2.0);
            y += ROW;
        }
        let label = "Difference to raw with 95 % interval, by model and feature set";
        Some(element(WIDTH, bottom + 40.0, label, &inside))
    }

    /// Says which side of zero is which, where there is room for it.
    fn directions(&self, zero: f64) -> String {
        let mut inside = String::new();
        if zero - LEFT > 60.0 {
            inside += &text(zero - 8.0, TOP - 12.0, "tick end", "◀ worse");
        }
        if WIDTH - RIGHT - zero > 60.0 {
            inside += &text(zero + 8.0, TOP - 12.0, "tick", "better ▶");
        }
        inside
    }
}

impl ForestRow {
    fn svg(&self, x: &Axis, y: f64) -> String {
        let class = match self.mark {
            Mark::Better => "better",
            Mark::Same => "same",
            Mark::Worse => "worse",
        };
        let mut inside = text(14.0, y + 4.0, "label", &self.label);
        if let Some((low, high)) = self.interval {
            inside += &line((x.at(low), y), (x.at(high), y), &format!("whisker {class}"));
        }
        let at = x.at(self.difference);
        // The shape says the same as the colour, for those who see no colours.
        inside += &match self.mark {
            Mark::Better => triangle(at, y, -5.0, class),
            Mark::Worse => triangle(at, y, 5.0, class),
            Mark::Same => {
                let (at, y) = (coordinate(at), coordinate(y));
                format!("<circle cx=\"{at}\" cy=\"{y}\" r=\"4.5\" class=\"dot {class}\"/>")
            }
        };
        inside += &text(WIDTH - 46.0, y + 4.0, "tick end", &self.numbers);
        inside += &text(WIDTH - 40.0, y + 4.0, "tick", words::mark(self.mark));
        format!("<g><title>{}</title>{inside}</g>", escaped(&self.hover))
    }
}

/// A triangle whose tip is `tip` below its middle.
fn triangle(x: f64, y: f64, tip: f64, class: &str) -> String {
    let [left, right, base, top] = [x - 5.5, x + 5.5, y - tip, y + tip].map(coordinate);
    let x = coordinate(x);
    format!("<path d=\"M{left} {base}L{right} {base}L{x} {top}Z\" class=\"dot {class}\"/>")
}
