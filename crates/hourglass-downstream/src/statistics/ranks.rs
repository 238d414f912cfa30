//! Many methods over many data sets: Friedman's test on their ranks, and Nemenyi's critical
//! difference of mean ranks.
//!
//! # Source
//! Friedman, *The Use of Ranks to Avoid the Assumption of Normality*, JASA 32 (1937); Iman and
//! Davenport, Communications in Statistics 9 (1980); Nemenyi, *Distribution-free Multiple
//! Comparisons*, Princeton (1963); all as in Demšar, *Statistical Comparisons of Classifiers over
//! Multiple Data Sets*, JMLR 7 (2006).

use ndarray::{Array2, ArrayView2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor, Normal};

use super::LEVEL;

/// Friedman's test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Friedman {
    /// Mean rank of each method; 1 is best.
    pub mean_ranks: Vec<f64>,
    /// The statistic, corrected for ties.
    pub chi_squared: f64,
    /// Its p-value: probability, were the methods alike, of ranks at least this unlike.
    pub p_value: f64,
    /// The p-value after Iman and Davenport, which is less timid.
    pub p_iman_davenport: f64,
}

/// Nemenyi's comparison of all pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Nemenyi {
    /// Mean ranks that differ by less can't be told apart at 5 %.
    pub critical_difference: f64,
    /// p-value of each pair, `(n_methods, n_methods)`, 1 on the diagonal.
    pub p_values: Vec<Vec<f64>>,
}

/// Ranks of the values, 1 the smallest, ties sharing their mean; and the sum of `t^3 - t` over
/// groups of `t` that tie.
pub(super) fn ranked(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let (mut ties, mut first) = (0.0, 0);
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let n = group.len() as f64;
        let rank = first as f64 + (n + 1.0) / 2.0;
        group.iter().for_each(|&index| ranks[index] = rank);
        ties += n * n * n - n;
        first += group.len();
    }
    (ranks, ties)
}

/// Tests whether methods differ over data sets. `None` with fewer than two methods or data sets, or
/// where all scores tie.
///
/// # Shapes
/// - `scores`: `(n_data_sets, n_methods)`, more is better, finite
pub fn friedman(scores: ArrayView2<'_, f64>) -> Option<Friedman> {
    let (n_sets, n_methods) = scores.dim();
    if n_sets < 2 || n_methods < 2 {
        return None;
    }
    let mut sums = vec![0.0; n_methods];
    let mut ties = 0.0;
    for row in scores.rows() {
        let losses: Vec<f64> = row.iter().map(|score| -score).collect();
        let (ranks, tied) = ranked(&losses);
        sums.iter_mut().zip(ranks).for_each(|(sum, rank)| *sum += rank);
        ties += tied;
    }
    let (n, k) = (n_sets as f64, n_methods as f64);
    let squares: f64 = sums.iter().map(|sum| sum * sum).sum();
    let plain = 12.0 / (n * k * (k + 1.0)) * squares - 3.0 * n * (k + 1.0);
    let correction = 1.0 - ties / (n * k * (k * k - 1.0));
    if correction <= 0.0 {
        return None;
    }
    let chi_squared = plain / correction;
    let p_value = ChiSquared::new(k - 1.0).ok()?.sf(chi_squared);
    let left = n * (k - 1.0) - chi_squared;
    let p_iman_davenport = if left > 0.0 {
        let f = (n - 1.0) * chi_squared / left;
        FisherSnedecor::new(k - 1.0, (k - 1.0) * (n - 1.0)).ok()?.sf(f)
    } else {
        0.0
    };
    let mean_ranks = sums.iter().map(|sum| sum / n).collect();
    Some(Friedman { mean_ranks, chi_squared, p_value, p_iman_davenport })
}

/// Compares all pairs of methods by their mean ranks over `n_sets` data sets.
pub fn nemenyi(mean_ranks: &[f64], n_sets: usize) -> Nemenyi {
    let n_methods = mean_ranks.len();
    let unit = rank_error(n_methods, n_sets);
    let p_values = Array2::from_shape_fn((n_methods, n_methods), |(a, b)| {
        let range = (mean_ranks[a] - mean_ranks[b]).abs() / unit * std::f64::consts::SQRT_2;
        if a == b { 1.0 } else { 1.0 - studentized_range(range, n_methods) }
    });
    Nemenyi {
        critical_difference: critical_difference(n_methods, n_sets),
        p_values: p_values.rows().into_iter().map(|row| row.to_vec()).collect(),
    }
}

/// The difference of mean ranks that Nemenyi's test asks for at 5 %.
pub fn critical_difference(n_methods: usize, n_sets: usize) -> f64 {
    if n_methods < 2 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if studentized_range(middle, n_methods) < 1.0 - LEVEL {
            low = middle
        } else {
            high = middle
        }
    }
    high / std::f64::consts::SQRT_2 * rank_error(n_methods, n_sets)
}

fn rank_error(n_methods: usize, n_sets: usize) -> f64 {
    let k = n_methods as f64;
    (k * (k + 1.0) / (6.0 * n_sets as f64)).sqrt()
}

/// Probability that the range of `k` standard normal values is at most `q`: the studentized range
/// with infinite degrees of freedom, `k ∫ φ(z) (Φ(z) - Φ(z - q))^(k - 1) dz`, by Simpson's rule.
fn studentized_range(q: f64, k: usize) -> f64 {
    const STEPS: usize = 800;
    let normal = Normal::standard();
    let (low, high) = (-8.0, 8.0 + q.min(8.0));
    let step = (high - low) / STEPS as f64;
    let at = |z: f64| {
        let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        density * (normal.cdf(z) - normal.cdf(z - q)).powi(k as i32 - 1)
    };
    let sum: f64 = (0..=STEPS)
        .map(|index| {
            let weight = if index == 0 || index == STEPS { 1.0 } else { [2.0, 4.0][index % 2] };
            weight * at(low + step * index as f64)
        })
        .sum();
    (k as f64 * sum * step / 3.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::super::close;
    use super::*;

    /// Eight data sets, three methods, one tie.
    fn scores() -> Array2<f64> {
        array![
            [0.80, 0.82, 0.85],
            [0.70, 0.71, 0.75],
            [0.90, 0.90, 0.88],
            [0.60, 0.66, 0.69],
            [0.75, 0.78, 0.80],
            [0.83, 0.81, 0.86],
            [0.55, 0.60, 0.58],
            [0.91, 0.93, 0.95],
        ]
    }

    #[test]
    fn friedman_agrees_with_scipy() {
        // stats.friedmanchisquare(*M.T)
        // chi = _.statistic; N, k = M.shape; F = (N-1)*chi / (N*(k-1) - chi)
        // stats.f.sf(F, k-1, (k-1)*(N-1))
        let test = friedman(scores().view()).unwrap();
        assert_eq!(test.mean_ranks, [2.6875, 1.9375, 1.375]);
        close(test.chi_squared, 7.161_290_322_580_645);
        close(test.p_value, 0.027_857_719_733_938_635);
        close(test.p_iman_davenport, 0.015_699_369_253_707_452);
        assert_eq!(friedman(Array2::zeros((3, 3)).view()), None);
        assert_eq!(friedman(Array2::zeros((1, 3)).view()), None);
    }

    #[test]
    fn nemenyi_agrees_with_scikit_posthocs() {
        // scikit_posthocs.posthoc_nemenyi_friedman(M)
        let test = nemenyi(&[2.6875, 1.9375, 1.375], 8);
        for (row, column, expected) in
            [(0, 1, 0.290_904_96), (0, 2, 0.023_551_05), (1, 2, 0.498_606_12)]
        {
            assert!((test.p_values[row][column] - expected).abs() < 1e-6);
            assert_eq!(test.p_values[row][column], test.p_values[column][row]);
        }
    }

    #[test]
    fn critical_values_agree_with_scipy() {
        // stats.studentized_range.ppf(.95, k, np.inf) / 2**.5
        for (k, expected) in
            [(2, 1.959_963_98), (3, 2.343_700_59), (5, 2.727_774_37), (10, 3.163_683_58)]
        {
            let unit = rank_error(k, 14);
            let found = critical_difference(k, 14) / unit;
            assert!((found - expected).abs() < 1e-6, "{k}: {found}");
        }
    }
}
