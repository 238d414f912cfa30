//! The critical-difference diagram: methods on a scale of mean ranks, bars under those that can't
//! be told apart.
//!
//! # Source
//! Demšar, *Statistical Comparisons of Classifiers over Multiple Data Sets*, JMLR 7 (2006), figure
//! 1.

use super::{coordinate, element, line, text};
use crate::words;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 210.0;
const SCALE_Y: f64 = 56.0;
const BAR: f64 = 9.0;
const ROW: f64 = 20.0;

/// Methods with their mean ranks, the best first.
pub(crate) struct CriticalDifference {
    pub methods: Vec<(String, f64)>,
    pub critical: f64,
}

impl CriticalDifference {
    pub(super) fn svg(&self) -> Option<String> {
        let n = self.methods.len();
        if n < 2 || self.methods.iter().any(|(_, rank)| !rank.is_finite()) {
            return None;
        }
        let span = (n - 1) as f64;
        let at = |rank: f64| LEFT + (rank - 1.0) / span * (WIDTH - LEFT - RIGHT);
        let mut inside = line((at(1.0), SCALE_Y), (at(n as f64), SCALE_Y), "zero");
        for rank in 1..=n {
            let x = at(rank as f64);
            inside += &line((x, SCALE_Y - 6.0), (x, SCALE_Y), "zero");
            inside += &text(x, SCALE_Y - 10.0, "tick mid", &rank.to_string());
        }
        // The critical difference as a ruler above the scale.
        let ruler = (at(1.0 + self.critical.min(span)), 18.0);
        inside += &line((at(1.0), 18.0), ruler, "whisker same");
        let caption = format!("critical difference {}", words::number(self.critical, 2));
        inside += &text(ruler.0 + 6.0, 22.0, "tick", &caption);
        let bars = self.bars();
        for (index, (first, last)) in bars.iter().enumerate() {
            let y = SCALE_Y + 10.0 + BAR * index as f64;
            let (from, to) = (at(self.methods[*first].1), at(self.methods[*last].1));
            inside += &line((from - 3.0, y), (to + 3.0, y), "bar-join");
        }
        let first_label = SCALE_Y + 24.0 + BAR * bars.len() as f64;
        let half = n.div_ceil(2);
        for (index, (name, rank)) in self.methods.iter().enumerate() {
            let is_left = index < half;
            let row = if is_left { index } else { n - 1 - index };
            let y = first_label + ROW * row as f64;
            let end = if is_left { LEFT - 16.0 } else { WIDTH - RIGHT + 16.0 };
            let x = at(*rank);
            let path =
                [(x, SCALE_Y), (x, y), (end, y)].map(|(x, y)| (coordinate(x), coordinate(y)));
            let [(x0, y0), (x1, y1), (x2, y2)] = path;
            inside += &format!("<path d=\"M{x0} {y0}L{x1} {y1}L{x2} {y2}\" class=\"lead\"/>");
            let label = format!("{name} ({})", words::number(*rank, 2));
            let (at, class) = if is_left { (end - 6.0, "label end") } else { (end + 6.0, "label") };
            inside += &text(at, y + 4.0, class, &label);
        }
        let height = first_label + ROW * half as f64 + 6.0;
        Some(element(WIDTH, height, "Mean ranks with critical difference", &inside))
    }

    /// First and last of each longest run of methods whose ranks differ by less than the critical
    /// difference.
    fn bars(&self) -> Vec<(usize, usize)> {
        let mut bars: Vec<(usize, usize)> = Vec::new();
        for first in 0..self.methods.len() {
            let close = |(_, rank): &&(String, f64)| rank - self.methods[first].1 < self.critical;
            let last = first + self.methods[first..].iter().take_while(close).count() - 1;
            if last > first && bars.last().is_none_or(|(_, end)| *end < last) {
                bars.push((first, last));
            }
        }
        bars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_join_what_cannot_be_told_apart() {
        let ranks = [1.2, 1.9, 2.8, 4.1];
        let methods = ranks.iter().map(|rank| (format!("m{rank}"), *rank)).collect();
        let diagram = CriticalDifference { methods, critical: 1.5 };
        assert_eq!(diagram.bars(), [(0, 1), (1, 2), (2, 3)]);
        let svg = diagram.svg().unwrap();
        assert_eq!(svg.matches("bar-join").count(), 3);
        assert!(svg.contains("m1.2 (1.20)") && svg.contains("critical difference 1.50"));
        let one = CriticalDifference { methods: vec![("a".into(), 1.0)], critical: 1.0 };
        assert!(one.svg().is_none());
    }
}
