//! The percentile bootstrap: an interval for any score of one test set, by drawing its rows anew.
//!
//! # Source
//! Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapters 13 and 15. It counts
//! the rows' spread alone: what other seeds or other training rows would do is not in it.

use hourglass_core::Seed;
use rand::RngExt;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Comparison, LEVEL, Mark, mean, variance};

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The 95 % percentile interval of a score over `n_rows` rows.
///
/// `score` is given the rows drawn, each as often as it was drawn; draws on which it isn't finite
/// (a class is missing) are left out. `None` where fewer than half of them are left.
pub fn bootstrap(
    n_rows: usize,
    n_draws: usize,
    seed: Seed,
    score: impl Fn(&[usize]) -> f64 + Sync,
) -> Option<Interval> {
    let scores = draws(n_rows, n_draws, seed, score)?;
    Some(Interval {
        low: quantile(&scores, LEVEL / 2.0),
        high: quantile(&scores, 1.0 - LEVEL / 2.0),
    })
}

/// The difference of two scores over the same drawn rows, with its percentile interval. The p-value
/// is twice the smaller share of draws on either side of zero, at least `1 / n_draws`.
///
/// `difference` is that over all rows; `score` gives it over drawn ones.
pub fn compare_bootstrap(
    n_rows: usize,
    n_draws: usize,
    seed: Seed,
    difference: f64,
    score: impl Fn(&[usize]) -> f64 + Sync,
) -> Option<Comparison> {
    let scores = draws(n_rows, n_draws, seed, score)?;
    let n = scores.len() as f64;
    let share = |wanted: fn(&f64) -> bool| scores.iter().filter(|s| wanted(s)).count() as f64 / n;
    let side = share(|score| *score <= 0.0).min(share(|score| *score >= 0.0));
    let p_value = (2.0 * side).clamp(1.0 / n, 1.0);
    Some(Comparison {
        difference,
        ci_low: quantile(&scores, LEVEL / 2.0),
        ci_high: quantile(&scores, 1.0 - LEVEL / 2.0),
        standard_error: if scores.len() > 1 { variance(&scores).sqrt() } else { 0.0 },
        freedom: f64::INFINITY,
        p_value,
        p_holm: p_value,
        mark: Mark::of(mean(&scores), p_value),
    })
}

/// The finite scores of the draws, ascending.
fn draws(
    n_rows: usize,
    n_draws: usize,
    seed: Seed,
    score: impl Fn(&[usize]) -> f64 + Sync,
) -> Option<Vec<f64>> {
    let draw = |index: usize| {
        let mut rng = seed.nth(index as u64).rng();
        let rows: Vec<usize> = (0..n_rows).map(|_| rng.random_range(0..n_rows)).collect();
        score(&rows)
    };
    if n_rows == 0 {
        return None;
    }
    let scores: Vec<f64> = (0..n_draws).into_par_iter().map(draw).collect();
    let mut scores: Vec<f64> = scores.into_iter().filter(|score| score.is_finite()).collect();
    scores.sort_unstable_by(f64::total_cmp);
    (2 * scores.len() >= n_draws.max(1)).then_some(scores)
}

/// Linear interpolation between order statistics, as numpy's default.
fn quantile(ascending: &[f64], share: f64) -> f64 {
    let place = share * (ascending.len() - 1) as f64;
    let (low, part) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(ascending.len() - 1);
    ascending[low] + part * (ascending[high] - ascending[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_agree_with_scipy_but_for_the_draws() {
        // v = (np.arange(200) * 37 % 101) / 101
        // stats.bootstrap((v,), np.mean, n_resamples=20000, method="percentile")
        // -> 0.4550, 0.5360; np.median -> 0.4257, 0.5644
        let values: Vec<f64> = (0..200).map(|i| f64::from(i * 37 % 101) / 101.0).collect();
        let mean_of = |rows: &[usize]| mean(&rows.iter().map(|&r| values[r]).collect::<Vec<_>>());
        let found = bootstrap(200, 5000, Seed::new(1), mean_of).unwrap();
        assert!((found.low - 0.455).abs() < 0.003 && (found.high - 0.536).abs() < 0.003);
        let median_of = |rows: &[usize]| {
            let mut drawn: Vec<f64> = rows.iter().map(|&row| values[row]).collect();
            drawn.sort_unstable_by(f64::total_cmp);
            (drawn[99] + drawn[100]) / 2.0
        };
        let found = bootstrap(200, 5000, Seed::new(1), median_of).unwrap();
        assert!((found.low - 0.4257).abs() < 0.015 && (found.high - 0.5644).abs() < 0.015);
    }

    #[test]
    fn a_clear_difference_is_marked_and_chance_is_not() {
        let score = |shift: f64| {
            move |rows: &[usize]| {
                let signs = rows.iter().map(|&row| if row % 2 == 0 { 1.0 } else { -1.0 });
                shift + signs.sum::<f64>() / rows.len() as f64
            }
        };
        let clear = compare_bootstrap(400, 500, Seed::new(2), 0.5, score(0.5)).unwrap();
        assert_eq!((clear.mark, clear.p_value), (Mark::Better, 1.0 / 500.0));
        let chance = compare_bootstrap(400, 500, Seed::new(2), 0.0, score(0.0)).unwrap();
        assert_eq!(chance.mark, Mark::Same);
        assert!(compare_bootstrap(0, 10, Seed::new(2), 0.0, score(0.0)).is_none());
        assert!(bootstrap(10, 10, Seed::new(2), |_| f64::NAN).is_none());
    }
}
