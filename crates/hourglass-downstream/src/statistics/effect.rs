//! How large a paired difference is, in units of its own spread over the repeats.
//!
//! # Source
//! Hedges, *Distribution Theory for Glass's Estimator of Effect Size and Related Estimators*,
//! Journal of Educational Statistics 6 (1981); interval and correction for small samples as in
//! Borenstein et al., *Introduction to Meta-Analysis* (2009), chapter 4, for paired differences.
//! Where rows are shared between repeats, `1/n` becomes `1/n + n_test/n_train`, as in the corrected
//! test of Nadeau and Bengio.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::{LEVEL, mean, variance};

/// Hedges' g of paired differences, with its 95 % interval. 0.2 is called small, 0.8 large.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// Mean difference over its standard deviation, corrected for the number of repeats.
    pub size: f64,
    /// Lower end of the 95 % interval.
    pub ci_low: f64,
    /// Upper end of the 95 % interval.
    pub ci_high: f64,
}

/// The effect size of paired scores, or `None` with fewer than three pairs or without any spread.
///
/// `overlap` is `n_test / n_train` where the pairs come from resamples of the same rows, else 0.
///
/// # Panics
/// If the two differ in length.
pub fn effect_size(with: &[f64], without: &[f64], overlap: f64) -> Option<Effect> {
    assert_eq!(with.len(), without.len(), "scores are paired");
    let n = with.len() as f64;
    if with.len() < 3 {
        return None;
    }
    let differences: Vec<f64> = with.iter().zip(without).map(|(a, b)| a - b).collect();
    let spread = variance(&differences).sqrt();
    if spread <= f64::EPSILON * mean(&differences).abs() {
        return None;
    }
    let raw = mean(&differences) / spread;
    let correction = 1.0 - 3.0 / (4.0 * (n - 1.0) - 1.0);
    let error = correction * (1.0 / n + overlap + raw * raw / (2.0 * n)).sqrt();
    let half = error * Normal::standard().inverse_cdf(1.0 - LEVEL / 2.0);
    let size = correction * raw;
    Some(Effect { size, ci_low: size - half, ci_high: size + half })
}

#[cfg(test)]
mod tests {
    use super::super::close;
    use super::*;

    #[test]
    fn the_effect_agrees_with_its_formula_in_numpy() {
        // d = a - b; n = 5; g = d.mean() / d.std(ddof=1); J = 1 - 3 / (4*(n-1) - 1)
        // V = (1/n + g*g/(2*n)) * J*J; J*g + np.array([0, -1, 1]) * stats.norm.ppf(.975) * V**.5
        let (a, b) = ([0.91, 0.93, 0.90, 0.94, 0.92], [0.90, 0.90, 0.89, 0.92, 0.92]);
        let effect = effect_size(&a, &b, 0.0).unwrap();
        close(effect.size, 0.982_304_981_623_872_4);
        close(effect.ci_low, 0.053_661_909_414_428_18);
        close(effect.ci_high, 1.910_948_053_833_316_8);
        assert!(effect_size(&a, &b, 0.25).unwrap().ci_low < effect.ci_low);
        assert_eq!(effect_size(&a, &a, 0.0), None);
        assert_eq!(effect_size(&a[..2], &b[..2], 0.0), None);
    }
}
