//! Scaling of one column of numbers: fitted on training values, applied and taken back. It knows
//! nothing of gaps and categories.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::preprocess::config::{Numeric, Quantile, QuantileOutput};
use crate::preprocess::power;

/// How a number is scaled. Every kind is non-decreasing in the number, or non-increasing
/// throughout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scaler {
    /// `(x - center) / spread * gain + offset`. It divides, where a factor would be faster, because
    /// then the largest training value comes to the end of a range exactly.
    Linear { center: f64, spread: f64, gain: f64, offset: f64 },
    /// By rank among `quantiles`, evenly spaced from the smallest to the largest training value.
    Quantile { quantiles: Vec<f64>, output: QuantileOutput },
    /// Bent by the power `lambda`, then `(y - center) / spread`.
    YeoJohnson { lambda: f64, center: f64, spread: f64 },
}

impl Scaler {
    /// Fits a scaler; `sorted` are the training values in order, at least one, all finite.
    pub(crate) fn fit(sorted: &[f64], numeric: Numeric) -> Self {
        let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
        let linear = |center, spread, gain, offset| {
            // A constant column has no spread: it is only moved, as in scikit-learn.
            let spread = if min == max || spread == 0.0 { 1.0 } else { spread };
            Scaler::Linear { center, spread, gain, offset }
        };
        match numeric {
            Numeric::None => linear(0.0, 1.0, 1.0, 0.0),
            Numeric::Constant { factor } => linear(0.0, 1.0, f64::from(factor), 0.0),
            Numeric::MinMax { range: [low, high] } => {
                let (low, high) = (f64::from(low), f64::from(high));
                linear(min, max - min, high - low, low)
            }
            Numeric::Standard => {
                let (mean, std) = moments(sorted);
                linear(mean, std, 1.0, 0.0)
            }
            Numeric::Robust => {
                let spread = quantile(sorted, 0.75) - quantile(sorted, 0.25);
                linear(quantile(sorted, 0.5), spread, 1.0, 0.0)
            }
            Numeric::MaxAbs => {
                let largest = min.abs().max(max.abs());
                let spread = if largest == 0.0 { 1.0 } else { largest };
                Scaler::Linear { center: 0.0, spread, gain: 1.0, offset: 0.0 }
            }
            Numeric::Quantile(Quantile { output, n_quantiles }) => {
                let n = n_quantiles.min(sorted.len()).max(2);
                let mut quantiles: Vec<f64> =
                    (0..n).map(|i| quantile(sorted, even_share(i, n))).collect();
                // Rounding may turn two of them round.
                (1..n).for_each(|i| quantiles[i] = quantiles[i].max(quantiles[i - 1]));
                Scaler::Quantile { quantiles, output }
            }
            Numeric::YeoJohnson => {
                let lambda = power::fit(sorted);
                let bent: Vec<f64> = sorted.iter().map(|&x| power::bend(x, lambda)).collect();
                let (center, spread) = moments(&bent);
                let spread = if min == max || spread == 0.0 { 1.0 } else { spread };
                Scaler::YeoJohnson { lambda, center, spread }
            }
        }
    }

    /// Scales a number.
    pub(crate) fn forward(&self, x: f64) -> f64 {
        match self {
            Scaler::Linear { center, spread, gain, offset } => {
                (x - center) / spread * gain + offset
            }
            Scaler::Quantile { quantiles, output } => by_rank(x, quantiles, *output),
            Scaler::YeoJohnson { lambda, center, spread } => {
                (power::bend(x, *lambda) - center) / spread
            }
        }
    }

    /// The number that was scaled to `y`. Ranks outside those of training come back as its smallest
    /// or largest value.
    pub(crate) fn inverse(&self, y: f64) -> f64 {
        match self {
            Scaler::Linear { center, spread, gain, offset } => {
                (y - offset) / gain * spread + center
            }
            Scaler::Quantile { quantiles, output } => {
                let rank = match output {
                    QuantileOutput::Uniform => y,
                    QuantileOutput::Normal => standard_normal().cdf(y),
                };
                let at = rank.clamp(0.0, 1.0) * (quantiles.len() - 1) as f64;
                let below = (at.floor() as usize).min(quantiles.len() - 2);
                let share = at - below as f64;
                quantiles[below] + share * (quantiles[below + 1] - quantiles[below])
            }
            Scaler::YeoJohnson { lambda, center, spread } => {
                power::unbend(y * spread + center, *lambda)
            }
        }
    }
}

/// The share of the `i`-th of `n` even steps from 0 to 1, rounded as numpy's `linspace` and, on the
/// way through `percentile`, by a factor of 100 and back.
fn even_share(i: usize, n: usize) -> f64 {
    match i + 1 == n {
        true => 1.0,
        false => i as f64 * (1.0 / (n - 1) as f64) * 100.0 / 100.0,
    }
}

/// Mean and population standard deviation, in two passes.
pub(crate) fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// The quantile of sorted values, between neighbours by a straight line, rounded as numpy's
/// `quantile` rounds: from the nearer neighbour, so that equal values stay equal.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = (at.floor() as usize).min(sorted.len() - 1);
    let above = (below + 1).min(sorted.len() - 1);
    let (part, gap) = (at - below as f64, sorted[above] - sorted[below]);
    match part < 0.5 {
        true => sorted[below] + gap * part,
        false => sorted[above] - gap * (1.0 - part),
    }
}

fn standard_normal() -> Normal {
    Normal::standard()
}

/// Ranks closer to 0 or 1 than this count as 0 or 1, and the normal distribution is cut there.
const BOUND: f64 = 1e-7;

/// Scaling by rank.
///
/// # Source
/// `QuantileTransformer` of scikit-learn 1.9, without its subsample: where several quantiles are
/// equal, a number gets the middle of their ranks.
fn by_rank(x: f64, quantiles: &[f64], output: QuantileOutput) -> f64 {
    let last = quantiles.len() - 1;
    let (low, high) = (quantiles[0], quantiles[last]);
    let (is_low, is_high) = match output {
        QuantileOutput::Uniform => (x == low, x == high),
        QuantileOutput::Normal => (x - BOUND < low, x + BOUND > high),
    };
    let rank = match (is_low, is_high) {
        (true, _) => 0.0,
        (_, true) => 1.0,
        _ if x <= low => 0.0,
        _ if x >= high => 1.0,
        _ => {
            // The line through the neighbours from above and from below; they differ in a run of
            // equal quantiles.
            let above = quantiles.partition_point(|&q| q <= x);
            let below = quantiles.partition_point(|&q| q < x);
            let along = |left: usize, right: usize| {
                let gap = quantiles[right] - quantiles[left];
                let share = if gap == 0.0 { 0.0 } else { (x - quantiles[left]) / gap };
                (left as f64 + share) / last as f64
            };
            let upper = along(above - 1, above.min(last));
            let lower = along(below.saturating_sub(1), below);
            0.5 * (upper + lower)
        }
    };
    match output {
        QuantileOutput::Uniform => rank,
        QuantileOutput::Normal => {
            let normal = standard_normal();
            let bound = BOUND - f64::EPSILON;
            normal.inverse_cdf(rank.clamp(bound, 1.0 - bound))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Numeric; 9] = [
        Numeric::None,
        Numeric::Constant { factor: 0.5 },
        Numeric::MinMax { range: [-1.0, 1.0] },
        Numeric::Standard,
        Numeric::Robust,
        Numeric::MaxAbs,
        Numeric::Quantile(Quantile { output: QuantileOutput::Uniform, n_quantiles: 1000 }),
        Numeric::Quantile(Quantile { output: QuantileOutput::Normal, n_quantiles: 1000 }),
        Numeric::YeoJohnson,
    ];

    #[test]
    fn scaling_is_taken_back() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * i) - 300.0).collect();
        for numeric in KINDS {
            let scaler = Scaler::fit(&values, numeric);
            for &value in &values[1..49] {
                let back = scaler.inverse(scaler.forward(value));
                assert!((back - value).abs() < 1e-6 * value.abs().max(1.0), "{numeric:?} {value}");
            }
        }
    }

    #[test]
    fn constant_columns_stay_finite() {
        for numeric in KINDS {
            for value in [0.0, 5.0, -1e30] {
                let scaler = Scaler::fit(&[value; 4], numeric);
                assert!(scaler.forward(value).is_finite(), "{numeric:?} {value}");
            }
        }
    }

    #[test]
    fn the_ends_of_a_range_are_met_exactly() {
        let scaler = Scaler::fit(&[0.1, 0.2, 0.7], Numeric::MinMax { range: [-1.0, 1.0] });
        assert_eq!((scaler.forward(0.1), scaler.forward(0.7)), (-1.0, 1.0));
    }
}
