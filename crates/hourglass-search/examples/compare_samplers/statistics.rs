//! Medians, and the test by which one sampler is held to be worse than another.

use libm::erfc;

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// The chance of seeing `a` so much larger than `b` if both came from one distribution: one-sided
/// Mann-Whitney U test, normal approximation with corrections for ties and continuity, as
/// `scipy.stats.mannwhitneyu(a, b, alternative="greater", method="asymptotic")`.
pub fn larger(a: &[f64], b: &[f64]) -> f64 {
    0.5 * erfc(deviations(a, b) / std::f64::consts::SQRT_2)
}

/// How many standard deviations the wins of `a` over `b` lie above their mean.
fn deviations(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let wins = |x: &f64| {
        let below = b.iter().filter(|y| *y < x).count() as f64;
        let equal = b.iter().filter(|y| *y == x).count() as f64;
        below + equal / 2.0
    };
    let u: f64 = a.iter().map(wins).sum();
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    all.sort_by(f64::total_cmp);
    let ties: f64 = all
        .chunk_by(|x, y| x == y)
        .map(|tied| tied.len() as f64)
        .map(|count| count.powi(3) - count)
        .sum();
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance <= 0.0 {
        return 0.0;
    }
    (u - n * m / 2.0 - 0.5) / variance.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_is_that_of_scipy() {
        // python -c 'from scipy.stats import mannwhitneyu, norm
        //   p = mannwhitneyu([1, 2, 2, 5, 7.5], [0, 2, 3, 3, 1], alternative="greater",
        //                    method="asymptotic").pvalue
        //   print(p, norm.isf(p))'
        let (a, b) = ([1.0, 2.0, 2.0, 5.0, 7.5], [0.0, 2.0, 3.0, 3.0, 1.0]);
        let (chance, deviations) = (larger(&a, &b), deviations(&a, &b));
        assert!((chance - 0.22819835888636275).abs() < 1e-12, "{chance}");
        assert!((deviations - 0.744793247238504).abs() < 1e-12, "{deviations}");
        assert_eq!(larger(&[1.0; 3], &[1.0; 3]), 0.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
