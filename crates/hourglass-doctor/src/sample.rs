//! Ordered values and ranks, on which the doctor's measures rest.

use hourglass_core::MatrixView;
use ndarray::ArrayView1;

/// Rows that a measure with a sort looks at: enough for a percentile to within half a point.
pub(crate) const ROWS: usize = 5_000;

/// Values of a column, at most [`ROWS`] of them, evenly spread over the rows, in order of size.
pub(crate) fn sorted(column: ArrayView1<'_, f32>) -> Vec<f32> {
    let step = column.len().div_ceil(ROWS).max(1);
    let mut values: Vec<f32> = column.iter().step_by(step).copied().collect();
    values.sort_by(f32::total_cmp);
    values
}

/// The same of every column.
pub(crate) fn sorted_columns(rows: MatrixView<'_>) -> Vec<Vec<f32>> {
    rows.columns().into_iter().map(sorted).collect()
}

/// The value below which a share of the sorted values lies; no values, no quantile.
pub(crate) fn quantile(sorted: &[f32], share: f64) -> f32 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    sorted[position.round() as usize]
}

/// Greatest distance between the empirical distributions of two sorted samples, 0 to 1.
pub(crate) fn ks_distance(a: &[f32], b: &[f32]) -> f64 {
    let (mut i, mut j, mut greatest) = (0, 0, 0.0_f64);
    while i < a.len() && j < b.len() {
        let value = a[i].min(b[j]);
        i += a[i..].iter().take_while(|&&x| x <= value).count();
        j += b[j..].iter().take_while(|&&x| x <= value).count();
        greatest = greatest.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    greatest
}

/// Two-sided p of a Kolmogorov-Smirnov distance, by the asymptotic distribution with Stephens'
/// correction for small samples.
///
/// # Source
/// Stephens, *Use of the Kolmogorov-Smirnov, Cramér-von Mises and Related Statistics Without
/// Extensive Tables*, Journal of the Royal Statistical Society B 32 (1970).
pub(crate) fn ks_p_value(distance: f64, n_a: usize, n_b: usize) -> f64 {
    let n = (n_a * n_b) as f64 / (n_a + n_b) as f64;
    let x = distance * (n.sqrt() + 0.12 + 0.11 / n.sqrt());
    if x < 0.3 {
        return 1.0;
    }
    let terms = (1..=100).map(|k| {
        let k = f64::from(k);
        let sign = if k % 2.0 == 0.0 { -1.0 } else { 1.0 };
        sign * (-2.0 * k * k * x * x).exp()
    });
    (2.0 * terms.sum::<f64>()).clamp(0.0, 1.0)
}

/// Area under the ROC curve of a score for a class: the chance that a row of the class has the
/// larger score, equal scores counting half. 0.5 where a side is empty.
pub(crate) fn auc(scores: impl Iterator<Item = f32>, is_class: &[bool]) -> f64 {
    let mut pairs: Vec<(f32, bool)> = scores.zip(is_class.iter().copied()).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n_class = pairs.iter().filter(|pair| pair.1).count() as f64;
    let n_rest = pairs.len() as f64 - n_class;
    if n_class == 0.0 || n_rest == 0.0 {
        return 0.5;
    }
    let mut rank_sum = 0.0;
    let mut start = 0;
    while start < pairs.len() {
        let n = pairs[start..].iter().take_while(|pair| pair.0 == pairs[start].0).count();
        let rank = start as f64 + (n as f64 + 1.0) / 2.0;
        rank_sum += rank * pairs[start..start + n].iter().filter(|pair| pair.1).count() as f64;
        start += n;
    }
    (rank_sum - n_class * (n_class + 1.0) / 2.0) / (n_class * n_rest)
}

/// Population stability index between two sorted samples over the deciles of the first.
pub(crate) fn stability_index(expected: &[f32], found: &[f32]) -> f64 {
    let mut edges: Vec<f32> =
        (1..10).map(|decile| quantile(expected, f64::from(decile) / 10.0)).collect();
    edges.dedup();
    let shares = |values: &[f32]| {
        let mut counts = vec![0.0; edges.len() + 1];
        for value in values {
            counts[edges.partition_point(|edge| edge < value)] += 1.0;
        }
        // Half a row in an empty bin keeps the logarithm finite.
        counts.iter().map(|n: &f64| n.max(0.5) / values.len() as f64).collect::<Vec<_>>()
    };
    let pairs = shares(expected).into_iter().zip(shares(found));
    pairs.map(|(expected, found)| (found - expected) * (found / expected).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kolmogorov_smirnov_agrees_with_scipy() {
        // from scipy.stats import ks_2samp, kstwobign
        // a = [0.1, 0.4, 0.7, 1.1, 1.6]; b = [0.5, 0.9, 1.3, 1.8, 2.2, 2.6]
        // ks_2samp(a, b).statistic -> 0.5
        // kstwobign.sf(1.2) -> 0.11224966667072497
        let (a, b) = ([0.1, 0.4, 0.7, 1.1, 1.6], [0.5, 0.9, 1.3, 1.8, 2.2, 2.6]);
        assert!((ks_distance(&a, &b) - 0.5).abs() < 1e-12);
        let n = 1e12_f64;
        let p = ks_p_value(1.2 / (n / 2.0).sqrt(), 1_000_000, 1_000_000);
        assert!((0.0..=1.0).contains(&p));
        let n_side = 2_000_000_000_usize;
        let p = ks_p_value(1.2 / (n_side as f64 / 2.0).sqrt(), n_side, n_side);
        assert!((p - 0.112_249_666_670_724_97).abs() < 1e-4, "{p}");
    }

    #[test]
    fn auc_agrees_with_scikit_learn() {
        // roc_auc_score([0, 0, 1, 1, 1], [0.1, 0.4, 0.35, 0.8, 0.4]) -> 0.75
        let is_class = [false, false, true, true, true];
        let area = auc([0.1, 0.4, 0.35, 0.8, 0.4].into_iter(), &is_class);
        assert!((area - 0.75).abs() < 1e-12, "{area}");
        assert_eq!(auc([1.0].into_iter(), &[true]), 0.5);
    }

    #[test]
    fn stability_index_is_zero_on_itself_and_large_on_a_shift() {
        let sorted: Vec<f32> = (0..1000_u16).map(|i| f32::from(i) / 1000.0).collect();
        assert!(stability_index(&sorted, &sorted).abs() < 1e-12);
        let shifted: Vec<f32> = sorted.iter().map(|value| value + 0.5).collect();
        assert!(stability_index(&sorted, &shifted) > 1.0);
    }
}
