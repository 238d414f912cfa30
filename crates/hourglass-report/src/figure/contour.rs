//! A value over two parameters: a coloured ground between the trials, and the trials themselves.
//!
//! The ground is Shepard's mean of the trials, weighted by the inverse square of the distance on
//! the drawing: it says where good and bad trials lie, and is no model of what lies between.
//!
//! # Source
//! Donald Shepard, *A two-dimensional interpolation function for irregularly-spaced data*,
//! Proceedings of the 23rd ACM National Conference (1968).

use super::scale::Dimension;
use super::{coordinate, element, text};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// Cells of the ground in each direction.
const CELLS: usize = 28;

/// Fewer trials leave nothing to see between them.
const FEWEST: usize = 5;

/// Trials over two parameters.
pub(crate) struct Contour {
    pub x: Dimension,
    pub y: Dimension,
    /// Place, and rank of the value from worst (0) to best (1).
    pub points: Vec<((f64, f64), f64)>,
}

impl Contour {
    pub(super) fn svg(&self) -> Option<String> {
        if self.points.len() < FEWEST {
            return None;
        }
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x = self.x.scale(self.points.iter().map(|p| p.0.0), (LEFT, right), 5)?;
        let y = self.y.scale(self.points.iter().map(|p| p.0.1), (bottom, TOP), 5)?;
        let placed: Vec<(f64, f64, f64)> =
            self.points.iter().map(|&((a, b), rank)| (x.at(a), y.at(b), rank)).collect();
        let (width, height) = ((right - LEFT) / CELLS as f64, (bottom - TOP) / CELLS as f64);
        let mut inside = String::new();
        for row in 0..CELLS {
            for column in 0..CELLS {
                let (left, top) = (LEFT + column as f64 * width, TOP + row as f64 * height);
                let rank = shepard(&placed, left + width / 2.0, top + height / 2.0);
                inside += &format!(
                    "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"ground v{}\"/>",
                    coordinate(left),
                    coordinate(top),
                    // A little more than a cell, so that no seam shows.
                    coordinate(width + 0.3),
                    coordinate(height + 0.3),
                    (rank * 9.0).round() as usize
                );
            }
        }
        for (at, label) in y.ticks() {
            inside += &text(LEFT - 8.0, at + 4.0, "tick end", &label);
        }
        for (at, label) in x.ticks() {
            inside += &text(at, bottom + 17.0, "tick mid", &label);
        }
        inside += &text((LEFT + right) / 2.0, HEIGHT - 6.0, "tick mid", &self.x.title);
        for (cx, cy, rank) in placed {
            inside += &format!(
                "<circle cx=\"{}\" cy=\"{}\" r=\"4\" class=\"point v{}\"/>",
                coordinate(cx),
                coordinate(cy),
                (rank * 9.0).round() as usize
            );
        }
        let label = format!("{} over {}", self.y.title, self.x.title);
        Some(element(WIDTH, HEIGHT, &label, &inside))
    }
}

fn shepard(points: &[(f64, f64, f64)], x: f64, y: f64) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for &(px, py, value) in points {
        // One pixel is as near as near gets.
        let weight = 1.0 / ((px - x).powi(2) + (py - y).powi(2)).max(1.0);
        sum += weight * value;
        weights += weight;
    }
    sum / weights
}
