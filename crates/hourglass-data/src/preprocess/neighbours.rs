//! Filling gaps from the nearest training rows. Only numeric columns take part.
//!
//! # Source
//! O. Troyanskaya et al.: Missing value estimation methods for DNA microarrays, 2001,
//! doi:10.1093/bioinformatics/17.6.520; distances over what both rows have, as `KNNImputer` of
//! scikit-learn behind a `StandardScaler`.

use hourglass_core::Seed;
use rand::seq::index;
use serde::{Deserialize, Serialize};

use crate::preprocess::scaler::moments;

/// Training rows that are asked at most.
const MOST_DONORS: usize = 10_000;

/// Training rows that lend their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Neighbours {
    k: usize,
    /// Mean and standard deviation of each column.
    scales: Vec<(f64, f64)>,
    n_donors: usize,
    /// `(n_donors, n_columns)`, scaled; `None` where missing.
    donors: Vec<Option<f64>>,
}

impl Neighbours {
    /// Keeps the training rows, or as many as are asked, drawn from the seed.
    ///
    /// # Shapes
    /// - `columns`: one slice of `n_train` numbers a column, NaN where missing
    pub(crate) fn fit(columns: &[&[f64]], k: usize, seed: Seed) -> Self {
        let n_rows = columns.first().map_or(0, |column| column.len());
        let scales: Vec<(f64, f64)> = columns
            .iter()
            .map(|column| {
                let there: Vec<f64> = column.iter().copied().filter(|v| !v.is_nan()).collect();
                let (mean, std) = if there.is_empty() { (0.0, 1.0) } else { moments(&there) };
                (mean, if std == 0.0 { 1.0 } else { std })
            })
            .collect();
        let rows: Vec<usize> = match n_rows > MOST_DONORS {
            false => (0..n_rows).collect(),
            true => {
                let mut rows = index::sample(&mut seed.rng(), n_rows, MOST_DONORS).into_vec();
                rows.sort_unstable();
                rows
            }
        };
        let scaled =
            |value: f64, (mean, std): (f64, f64)| (!value.is_nan()).then(|| (value - mean) / std);
        let donors = rows
            .iter()
            .flat_map(|&row| columns.iter().zip(&scales).map(move |(c, &s)| scaled(c[row], s)))
            .collect();
        Neighbours { k, scales, n_donors: rows.len(), donors }
    }

    /// What stands in place of the gaps of a row; a gap that no donor fills stays NaN.
    pub(crate) fn fill(&self, row: &mut [f64]) {
        if !row.iter().any(|value| value.is_nan()) {
            return;
        }
        let n_columns = self.scales.len();
        let own: Vec<Option<f64>> = row
            .iter()
            .zip(&self.scales)
            .map(|(&value, (mean, std))| (!value.is_nan()).then(|| (value - mean) / std))
            .collect();
        let mut nearest: Vec<(f64, usize)> = Vec::with_capacity(self.n_donors);
        for (at, donor) in self.donors.chunks_exact(n_columns).enumerate() {
            let (mut sum, mut n_both) = (0.0, 0.0);
            for (a, b) in own.iter().zip(donor) {
                if let (Some(a), Some(b)) = (a, b) {
                    sum += (a - b) * (a - b);
                    n_both += 1.0;
                }
            }
            if n_both > 0.0 {
                nearest.push((sum / n_both, at));
            }
        }
        nearest.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for column in 0..n_columns {
            if own[column].is_some() {
                continue;
            }
            let lent = nearest.iter().filter_map(|(_, at)| self.donors[at * n_columns + column]);
            let lent: Vec<f64> = lent.take(self.k).collect();
            if !lent.is_empty() {
                let (mean, std) = self.scales[column];
                row[column] = lent.iter().sum::<f64>() / lent.len() as f64 * std + mean;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rows_lend_their_values() {
        let a = [0.0, 1.0, 10.0, 11.0];
        let b = [5.0, 7.0, 50.0, f64::NAN];
        let neighbours = Neighbours::fit(&[&a, &b], 2, Seed::new(1));
        for (a, expected) in [(0.4, 6.0), (10.9, 28.5)] {
            let mut row = [a, f64::NAN];
            neighbours.fill(&mut row);
            assert!((row[1] - expected).abs() < 1e-12, "{row:?}");
        }
        let mut lonely = [f64::NAN, f64::NAN];
        neighbours.fill(&mut lonely);
        assert!(lonely.iter().all(|value| value.is_nan()), "nothing is known of it");
    }
}
