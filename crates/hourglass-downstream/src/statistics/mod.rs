//! How sure a score and a difference of scores are, and how methods compare over many data sets.
//!
//! - The same test rows in each repeat (a published test set): [`estimate_shared_rows`] and
//!   [`compare_shared_rows`] take a number for each repeat and row (1 for right, 0 for wrong), and
//!   count both the repeats' spread and the rows' spread.
//! - A metric that isn't a mean over rows (balanced accuracy, macro F1): [`estimate_repeats`] and
//!   [`compare_repeats`] take a score for each repeat. They count the repeats' spread alone, so the
//!   interval speaks of this test set only, and at least two repeats are needed.
//! - Other test rows in each repeat (random splits of the same rows, folds): [`estimate_resampled`]
//!   and [`compare_resampled`] correct for the rows that the repeats have in common.
//! - One test set and one repeat: [`mcnemar`] compares a pair of classifiers, [`bootstrap`] gives
//!   any score an interval.
//! - Many data sets: [`wilcoxon`] for two methods, [`friedman`] with [`nemenyi`] for more.
//!
//! [`holm`] corrects a family of comparisons, [`effect_size`] says how large a difference is in
//! units of its spread, and [`Comparison::posterior`] how probable it is that it matters. Nothing
//! here knows where the numbers come from.

mod bayes;
mod bootstrap;
mod effect;
mod holm;
mod mcnemar;
mod paired;
mod ranks;
mod wilcoxon;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bayes::Posterior;
pub use bootstrap::{Interval, bootstrap, compare_bootstrap};
pub use effect::{Effect, effect_size};
pub use holm::holm;
pub use mcnemar::{McNemar, mcnemar};
pub use paired::{
    compare_repeats, compare_resampled, compare_shared_rows, estimate_repeats, estimate_resampled,
    estimate_shared_rows,
};
pub use ranks::{Friedman, Nemenyi, critical_difference, friedman, nemenyi};
pub use wilcoxon::{Wilcoxon, wilcoxon};

/// Level of the marks, and of what lies outside the intervals.
const LEVEL: f64 = 0.05;

/// A mean score with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Mean over the repeats.
    pub mean: f64,
    /// Lower end of the 95 % interval.
    pub ci_low: f64,
    /// Upper end of the 95 % interval.
    pub ci_high: f64,
    /// Repeats.
    pub n: usize,
}

/// A difference of mean scores, with minus without.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Mean difference over the repeats; positive is better.
    pub difference: f64,
    /// Lower end of the 95 % interval.
    pub ci_low: f64,
    /// Upper end of the 95 % interval.
    pub ci_high: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Degrees of freedom that the standard error is known with; infinite for a bootstrap.
    pub freedom: f64,
    /// Probability, were there no difference, of one at least this large in either direction.
    pub p_value: f64,
    /// The same after Holm's correction over the family; equal to `p_value` until [`holm`] is
    /// called.
    pub p_holm: f64,
    /// What `p_holm` says at 5 %.
    pub mark: Mark,
}

/// What a comparison says at 5 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The difference is positive beyond chance.
    Better,
    /// Chance may explain the difference.
    Same,
    /// The difference is negative beyond chance.
    Worse,
}

impl Mark {
    fn of(difference: f64, p_value: f64) -> Mark {
        if p_value >= LEVEL {
            Mark::Same
        } else if difference > 0.0 {
            Mark::Better
        } else {
            Mark::Worse
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The unbiased variance of at least two values.
fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    squares / (values.len() - 1) as f64
}

#[cfg(test)]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
}
