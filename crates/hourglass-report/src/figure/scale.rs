//! Where the value of a parameter lies: on a plain or logarithmic axis, or at the place of its
//! choice.

use super::axis::Axis;

/// Maps values to positions.
pub(super) enum Scale {
    Numbers(Axis),
    Choices { labels: Vec<String>, from: f64, to: f64 },
}

/// What a scale is made for.
#[derive(Clone)]
pub(crate) struct Dimension {
    /// What it shows.
    pub title: String,
    pub is_log: bool,
    /// Labels of the choices; empty for numbers.
    pub choices: Vec<String>,
}

impl Dimension {
    /// A plain axis of numbers.
    pub(crate) fn plain(title: &str) -> Self {
        Dimension { title: title.to_owned(), is_log: false, choices: Vec::new() }
    }

    pub(super) fn scale(
        &self,
        values: impl Iterator<Item = f64>,
        ends: (f64, f64),
        n_ticks: usize,
    ) -> Option<Scale> {
        if self.choices.is_empty() {
            return Axis::new(values, self.is_log, ends, n_ticks).map(Scale::Numbers);
        }
        Some(Scale::Choices { labels: self.choices.clone(), from: ends.0, to: ends.1 })
    }
}

impl Scale {
    /// Where a value lies.
    pub(super) fn at(&self, value: f64) -> f64 {
        match self {
            Scale::Numbers(axis) => axis.at(value),
            Scale::Choices { labels, from, to } => {
                from + (value + 0.5) / labels.len() as f64 * (to - from)
            }
        }
    }

    /// Position and label of each tick.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Scale::Numbers(axis) => axis.ticks(),
            Scale::Choices { labels, .. } => {
                let at = |(index, label): (usize, &String)| (self.at(index as f64), cut(label));
                labels.iter().enumerate().map(at).collect()
            }
        }
    }
}

/// A label that fits beside an axis.
fn cut(label: &str) -> String {
    const MOST: usize = 16;
    if label.chars().count() <= MOST {
        return label.to_owned();
    }
    label.chars().take(MOST - 1).chain(['…']).collect()
}
