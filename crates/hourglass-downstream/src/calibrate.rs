//! Calibration: scores of a classifier turned into probabilities that keep what they promise,
//! learnt on validation rows that the classifier was not fitted on.
//!
//! Each class against the rest, then divided by their sum. The classifier that is calibrated is
//! fitted on training rows alone; the map is then applied to the one fitted on training and
//! validation rows together, as scikit-learn does with `ensemble=False`.
//!
//! # Source
//! Platt, *Probabilistic Outputs for Support Vector Machines* (1999), with the targets that keep
//! it from overfitting; Lin, Lin and Weng, *A Note on Platt's Probabilistic Outputs*, Machine
//! Learning 68 (2007); Zadrozny and Elkan, *Transforming Classifier Scores into Accurate Multiclass
//! Probability Estimates*, KDD 2002 (isotonic, one against the rest).

use std::collections::BTreeMap;

use hourglass_core::{Matrix, MatrixView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Fitted};

/// Steps of Newton's method; it converges in about ten.
const MAX_STEPS: usize = 100;

/// How scores become probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// As the classifier gives them.
    #[default]
    None,
    /// A sigmoid of the score.
    Sigmoid,
    /// Any rising step function of the score; wants some hundred validation rows.
    Isotonic,
}

impl Calibration {
    /// Learns the map of each class, or `None` where nothing is to be calibrated.
    ///
    /// # Shapes
    /// - `scores`: `(n_validation, n_classes)`; `classes`: one a row
    ///
    /// # Errors
    /// [`Error::NoValidation`] without rows.
    pub(crate) fn learn(
        self,
        scores: MatrixView<'_>,
        classes: &[u32],
    ) -> Result<Option<Calibrator>, Error> {
        if self == Calibration::None {
            return Ok(None);
        }
        if classes.is_empty() {
            let hint = "set aside validation rows, or delete `calibration`";
            return Err(Error::NoValidation {
                estimator: "downstream",
                field: "calibration",
                hint,
            });
        }
        let learn = |(class, column): (usize, ndarray::ArrayView1<'_, f32>)| {
            let pairs: Vec<(f64, bool)> = column
                .iter()
                .zip(classes)
                .map(|(&score, &truth)| (f64::from(score), truth as usize == class))
                .collect();
            match self {
                Calibration::Isotonic => Map::isotonic(pairs),
                _ => Map::sigmoid(&pairs),
            }
        };
        Ok(Some(Calibrator { maps: scores.columns().into_iter().enumerate().map(learn).collect() }))
    }
}

/// The map of each class.
pub(crate) struct Calibrator {
    maps: Vec<Map>,
}

#[derive(Clone, Debug, PartialEq)]
enum Map {
    /// `1 / (1 + exp(slope * score + offset))`.
    Sigmoid { slope: f64, offset: f64 },
    /// Straight between points with rising scores.
    Isotonic { scores: Vec<f64>, values: Vec<f64> },
}

impl Map {
    fn sigmoid(pairs: &[(f64, bool)]) -> Map {
        let n_in = pairs.iter().filter(|(_, is_in)| *is_in).count() as f64;
        let n_out = pairs.len() as f64 - n_in;
        let targets = [1.0 / (n_out + 2.0), (n_in + 1.0) / (n_in + 2.0)];
        let loss = |slope: f64, offset: f64| -> f64 {
            let of = |&(score, is_in): &(f64, bool)| {
                let (z, t) = (slope * score + offset, targets[usize::from(is_in)]);
                // t z + ln(1 + exp(-z)), which overflows on neither side.
                t * z + (-z.abs()).exp().ln_1p() + (-z).max(0.0)
            };
            pairs.iter().map(of).sum()
        };
        let (mut slope, mut offset) = (0.0, ((n_out + 1.0) / (n_in + 1.0)).ln());
        let mut value = loss(slope, offset);
        for _ in 0..MAX_STEPS {
            let (mut g, mut h) = ([0.0; 2], [1e-12, 1e-12, 0.0]);
            for &(score, is_in) in pairs {
                let p = 1.0 / (1.0 + (slope * score + offset).exp());
                let (d, curvature) = (targets[usize::from(is_in)] - p, p * (1.0 - p));
                g = [g[0] + score * d, g[1] + d];
                h[0] += score * score * curvature;
                h[1] += curvature;
                h[2] += score * curvature;
            }
            if g[0].abs() < 1e-9 && g[1].abs() < 1e-9 {
                break;
            }
            let determinant = h[0] * h[1] - h[2] * h[2];
            if determinant <= 0.0 {
                break;
            }
            let step = [
                -(h[1] * g[0] - h[2] * g[1]) / determinant,
                -(h[0] * g[1] - h[2] * g[0]) / determinant,
            ];
            let mut length = 1.0;
            loop {
                let (a, b) = (slope + length * step[0], offset + length * step[1]);
                let next = loss(a, b);
                let slope_along = g[0] * step[0] + g[1] * step[1];
                if next < value + 1e-4 * length * slope_along {
                    (slope, offset, value) = (a, b, next);
                    break;
                }
                length /= 2.0;
                if length < 1e-10 {
                    return Map::Sigmoid { slope, offset };
                }
            }
        }
        Map::Sigmoid { slope, offset }
    }

    /// Pools neighbours that fall until all rise.
    fn isotonic(mut pairs: Vec<(f64, bool)>) -> Map {
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Value, weight, first and last score of each block.
        let mut blocks: Vec<[f64; 4]> = Vec::new();
        for group in pairs.chunk_by(|a, b| a.0 == b.0) {
            let n = group.len() as f64;
            let share = group.iter().filter(|(_, is_in)| *is_in).count() as f64 / n;
            blocks.push([share, n, group[0].0, group[0].0]);
            while let [.., a, b] = blocks.as_slice()
                && a[0] >= b[0]
            {
                let n = a[1] + b[1];
                let joined = [(a[0] * a[1] + b[0] * b[1]) / n, n, a[2], b[3]];
                blocks.truncate(blocks.len() - 2);
                blocks.push(joined);
            }
        }
        let (mut scores, mut values) = (Vec::new(), Vec::new());
        for [value, _, first, last] in blocks {
            scores.push(first);
            values.push(value);
            if last > first {
                scores.push(last);
                values.push(value);
            }
        }
        Map::Isotonic { scores, values }
    }

    fn at(&self, score: f64) -> f64 {
        match self {
            Map::Sigmoid { slope, offset } => 1.0 / (1.0 + (slope * score + offset).exp()),
            Map::Isotonic { scores, values } => {
                let above = scores.partition_point(|&known| known < score);
                if above == 0 {
                    return values[0];
                }
                if above == scores.len() {
                    return values[above - 1];
                }
                let part = (score - scores[above - 1]) / (scores[above] - scores[above - 1]);
                values[above - 1] + part * (values[above] - values[above - 1])
            }
        }
    }
}

impl Calibrator {
    fn apply(&self, scores: &mut Matrix) {
        for mut row in scores.outer_iter_mut() {
            let mut sum = 0.0;
            for (score, map) in row.iter_mut().zip(&self.maps) {
                let probability = map.at(f64::from(*score)) as f32;
                *score = probability;
                sum += probability;
            }
            let n = row.len() as f32;
            // Where every class is ruled out, none is likelier than another.
            row.mapv_inplace(|p| if sum > 0.0 { p / sum } else { 1.0 / n });
        }
    }
}

/// A classifier whose scores pass through the map.
pub(crate) struct Calibrated<'a> {
    pub fitted: Box<dyn Fitted + 'a>,
    pub calibrator: Calibrator,
}

impl Fitted for Calibrated<'_> {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        let mut scores = self.fitted.scores(x)?;
        self.calibrator.apply(&mut scores);
        Ok(scores)
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.fitted.chosen()
    }

    fn size(&self) -> usize {
        let of = |map: &Map| match map {
            Map::Sigmoid { .. } => 2,
            Map::Isotonic { scores, .. } => 2 * scores.len(),
        };
        self.fitted.size() + self.calibrator.maps.iter().map(of).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// s = np.arange(40) * 0.1 - 2; y = (np.arange(40) * 7 % 13 < np.arange(40) / 3.2)
    fn pairs() -> Vec<(f64, bool)> {
        (0..40_u32)
            .map(|i| (f64::from(i) * 0.1 - 2.0, f64::from(i * 7 % 13) < f64::from(i) / 3.2))
            .collect()
    }

    #[test]
    fn the_sigmoid_agrees_with_scikit_learn() {
        // from sklearn.calibration import _sigmoid_calibration
        // _sigmoid_calibration(s, y)
        let Map::Sigmoid { slope, offset } = Map::sigmoid(&pairs()) else { panic!() };
        assert!((slope + 1.288_388_664_8).abs() < 1e-4, "{slope}");
        assert!((offset - 0.084_435_465_8).abs() < 1e-4, "{offset}");
    }

    #[test]
    fn isotonic_agrees_with_scikit_learn() {
        // IsotonicRegression(out_of_bounds="clip").fit(s, y).predict([-3, -1.45, 0.02, 1.33, 5])
        let map = Map::isotonic(pairs());
        for (score, expected) in
            [-3.0, -1.45, 0.02, 1.33, 5.0].into_iter().zip([0.0, 0.0, 0.5, 0.846_153_85, 1.0])
        {
            assert!((map.at(score) - expected).abs() < 1e-6, "{score}: {}", map.at(score));
        }
    }

    #[test]
    fn probabilities_sum_to_one() {
        let scores = ndarray::array![[2.0, -1.0, 0.0], [-1.0, 2.0, 0.0], [0.0, 0.5, 2.0]];
        for calibration in [Calibration::Sigmoid, Calibration::Isotonic] {
            let calibrator = calibration.learn(scores.view(), &[0, 1, 2]).unwrap().unwrap();
            let mut changed = scores.clone();
            calibrator.apply(&mut changed);
            for (row, own) in changed.outer_iter().zip(0..) {
                assert!((row.sum() - 1.0).abs() < 1e-6);
                assert!(row.iter().all(|p| *p <= row[own]));
            }
        }
    }
}
