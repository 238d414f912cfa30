//! Curves of a classifier: which share of the rows it finds at which share of false alarms, and how
//! often what it calls likely comes true. With more than two classes all are pooled, each against
//! the rest.

use hourglass_core::MatrixView;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One bin of a calibration curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationBin {
    /// Mean probability in the bin.
    pub predicted: f64,
    /// Share that came true.
    pub observed: f64,
    /// Probabilities in the bin.
    pub n: usize,
}

/// Points of the ROC curve, `[false positive rate, true positive rate]`, from (0, 0) to (1, 1), at
/// most `n_points` and the two ends; empty where no row or every row is of the class.
///
/// # Shapes
/// - `truth`: one class a row; `scores`: `(n_rows, n_classes)`
pub fn roc_curve(truth: &[u32], scores: MatrixView<'_>, n_points: usize) -> Vec<[f64; 2]> {
    let mut pairs = pooled(truth, scores);
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let n_in = pairs.iter().filter(|(_, is_in)| *is_in).count() as f64;
    let n_out = pairs.len() as f64 - n_in;
    if n_in == 0.0 || n_out == 0.0 {
        return Vec::new();
    }
    let mut points = vec![[0.0, 0.0]];
    let (mut ins, mut outs) = (0.0, 0.0);
    for tied in pairs.chunk_by(|a, b| a.0 == b.0) {
        let more = tied.iter().filter(|(_, is_in)| *is_in).count();
        ins += more as f64;
        outs += (tied.len() - more) as f64;
        points.push([outs / n_out, ins / n_in]);
    }
    thinned(points, n_points)
}

/// The share that came true in each of `n_bins` equal steps of probability; empty steps are left
/// out (scikit-learn's `calibration_curve(strategy="uniform")`).
///
/// # Shapes
/// - As [`roc_curve`], with probabilities.
pub fn calibration_curve(
    truth: &[u32],
    probabilities: MatrixView<'_>,
    n_bins: usize,
) -> Vec<CalibrationBin> {
    let mut bins = vec![(0.0, 0_usize, 0_usize); n_bins];
    for (p, is_in) in pooled(truth, probabilities) {
        let p = f64::from(p);
        let bin = &mut bins[((p * n_bins as f64) as usize).min(n_bins - 1)];
        bin.0 += p;
        bin.1 += usize::from(is_in);
        bin.2 += 1;
    }
    let filled = bins.into_iter().filter(|(_, _, n)| *n > 0);
    filled
        .map(|(sum, hits, n)| CalibrationBin {
            predicted: sum / n as f64,
            observed: hits as f64 / n as f64,
            n,
        })
        .collect()
}

fn pooled(truth: &[u32], scores: MatrixView<'_>) -> Vec<(f32, bool)> {
    let first = usize::from(scores.ncols() == 2);
    let rows = scores.outer_iter().zip(truth);
    rows.flat_map(|(row, &truth)| {
        let pairs = row.to_vec().into_iter().enumerate().skip(first);
        pairs.map(move |(class, score)| (score, class == truth as usize))
    })
    .collect()
}

/// Points about evenly spaced along the curve, with both ends.
fn thinned(points: Vec<[f64; 2]>, n_points: usize) -> Vec<[f64; 2]> {
    let mut kept: Vec<[f64; 2]> = Vec::with_capacity(n_points + 2);
    let step = 2.0 / n_points.max(1) as f64;
    let last = points.len() - 1;
    for (index, point) in points.into_iter().enumerate() {
        let far = |from: &[f64; 2]| point[0] - from[0] + point[1] - from[1] >= step;
        if index == 0 || index == last || kept.last().is_some_and(far) {
            kept.push(point);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn curves_agree_with_scikit_learn() {
        // y = [0, 0, 1, 1, 0, 1]; p = [.1, .4, .35, .8, .4, .9]
        // roc_curve(y, p, drop_intermediate=False); calibration_curve(y, p, n_bins=2)
        let second = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9_f32];
        let scores = ndarray::Array2::from_shape_fn((6, 2), |(row, class)| {
            if class == 1 { second[row] } else { 1.0 - second[row] }
        });
        let truth = [0, 0, 1, 1, 0, 1];
        let third = 1.0 / 3.0;
        let expected = [
            [0.0, 0.0],
            [0.0, third],
            [0.0, 2.0 * third],
            [2.0 * third, 2.0 * third],
            [2.0 * third, 1.0],
            [1.0, 1.0],
        ];
        assert_eq!(roc_curve(&truth, scores.view(), 1000), expected);
        let bins = calibration_curve(&truth, scores.view(), 2);
        assert_eq!(bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [4, 2]);
        assert!((bins[0].observed - 0.25).abs() < 1e-12 && bins[1].observed == 1.0);
        assert!((bins[0].predicted - 0.3125).abs() < 1e-6);
        assert!((bins[1].predicted - 0.85).abs() < 1e-6);
    }

    #[test]
    fn long_curves_are_thinned_and_one_class_has_none() {
        let n = 5000;
        let scores = ndarray::Array2::from_shape_fn((n, 2), |(row, _)| row as f32);
        let truth: Vec<u32> = (0..n as u32).map(|row| row * 7 % 3 % 2).collect();
        let points = roc_curve(&truth, scores.view(), 50);
        assert!(points.len() <= 52, "{}", points.len());
        assert_eq!((points[0], points[points.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
        assert!(roc_curve(&[0, 0], array![[0.1, 0.2], [0.3, 0.4]].view(), 9).is_empty());
    }
}
