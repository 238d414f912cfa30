//! How sure a score and a difference of scores are, over repeats with other seeds.
//!
//! - The same test rows in each repeat (a published test set): [`estimate_shared_rows`] and
//!   [`compare_shared_rows`] take a number for each repeat and row (1 for right, 0 for wrong), and
//!   count both the repeats' spread and the rows' spread. One repeat is enough.
//! - A metric that isn't a mean over rows (balanced accuracy, macro F1): [`estimate_repeats`] and
//!   [`compare_repeats`] take a score for each repeat. They count the repeats' spread alone, so the
//!   interval speaks of this test set only, and at least two repeats are needed.
//! - Other test rows in each repeat (random splits of the same rows): [`estimate_resampled`] and
//!   [`compare_resampled`] correct for the rows that the repeats have in common.
//!
//! [`holm`] then corrects a family of comparisons, and [`mcnemar`] compares a single pair of
//! classifiers. Nothing here knows where the numbers come from.
//!
//! # Source
//! - Nadeau and Bengio, *Inference for the Generalization Error*, Machine Learning 52 (2003).
//! - Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, Scandinavian Journal of
//!   Statistics 6 (1979).
//! - McNemar, *Note on the sampling error of the difference between correlated proportions*,
//!   Psychometrika 12 (1947); Fagerland, Lydersen and Laake, *The McNemar test for binary
//!   matched-pairs data: mid-p and asymptotic are better than exact conditional*, BMC Medical
//!   Research Methodology 13 (2013).
//! - Welch, *The generalization of Student's problem when several different population variances are
//!   involved*, Biometrika 34 (1947); Satterthwaite, Biometrics Bulletin 2 (1946).

use ndarray::{ArrayView2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, Discrete, DiscreteCDF, StudentsT};

use crate::Error;

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
    /// Probability, were there no difference, of one at least this large in either direction.
    pub p_value: f64,
    /// The same after Holm's correction over the family; equal to `p_value` until [`holm`] is called.
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

/// Two-sided p-values of McNemar's test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McNemar {
    /// The exact one, which errs on the safe side.
    pub exact: f64,
    /// The mid-p one, which Fagerland recommends.
    pub mid_p: f64,
}

/// The mean score where every repeat was judged on the same rows.
///
/// The squared standard error is `s_repeat^2 / R + s_row^2 / n`, with the variances of the repeats'
/// means and of the rows' means. What differs by both repeat and row is in both terms, which errs on
/// the safe side. Degrees of freedom are Welch and Satterthwaite's. With one repeat the first term
/// is left out, and the interval says nothing about other seeds.
///
/// # Shapes
/// - `scores`: `(n_repeats, n_rows)`, such as [`crate::metrics::correct`] for each repeat
///
/// # Errors
/// No repeat, or fewer than two rows.
pub fn estimate_shared_rows(scores: ArrayView2<'_, f64>) -> Result<Estimate, Error> {
    Ok(Spread::of_shared_rows("estimate over shared rows", scores)?.estimate(scores.nrows()))
}

/// The difference of mean scores where both were judged on the same rows in every repeat: the same
/// estimate for `with - without`, repeat by repeat and row by row.
///
/// # Shapes
/// - `with`, `without`: `(n_repeats, n_rows)`
///
/// # Errors
/// Other shapes, no repeat, or fewer than two rows.
pub fn compare_shared_rows(
    with: ArrayView2<'_, f64>,
    without: ArrayView2<'_, f64>,
) -> Result<Comparison, Error> {
    let statistic = "comparison over shared rows";
    if with.dim() != without.dim() {
        let reason = format!("shapes {:?} and {:?} differ", with.dim(), without.dim());
        return Err(Error::Statistic { statistic, reason });
    }
    let differences = &with - &without;
    Ok(Spread::of_shared_rows(statistic, differences.view())?.comparison())
}

/// The mean of one score a repeat, by Student's t.
///
/// # Errors
/// Fewer than two repeats.
pub fn estimate_repeats(scores: &[f64]) -> Result<Estimate, Error> {
    Ok(Spread::of_repeats("estimate over repeats", scores, 0.0)?.estimate(scores.len()))
}

/// The mean difference of one score a repeat, by the paired t test.
///
/// # Errors
/// Other lengths, or fewer than two repeats.
pub fn compare_repeats(with: &[f64], without: &[f64]) -> Result<Comparison, Error> {
    let statistic = "comparison over repeats";
    let differences = differences(statistic, with, without)?;
    Ok(Spread::of_repeats(statistic, &differences, 0.0)?.comparison())
}

/// The mean of one score a repeat, where each repeat split the same rows anew: Nadeau and Bengio's
/// corrected resampled t, whose squared standard error is `(1/R + n_test/n_train) s^2`.
///
/// # Errors
/// Fewer than two repeats, or no training rows.
pub fn estimate_resampled(
    scores: &[f64],
    n_train: usize,
    n_test: usize,
) -> Result<Estimate, Error> {
    let statistic = "estimate over resampled rows";
    let overlap = overlap(statistic, n_train, n_test)?;
    Ok(Spread::of_repeats(statistic, scores, overlap)?.estimate(scores.len()))
}

/// The mean difference of one score a repeat, where each repeat split the same rows anew, for both
/// alike: Nadeau and Bengio's corrected resampled t test.
///
/// # Errors
/// Other lengths, fewer than two repeats, or no training rows.
pub fn compare_resampled(
    with: &[f64],
    without: &[f64],
    n_train: usize,
    n_test: usize,
) -> Result<Comparison, Error> {
    let statistic = "comparison over resampled rows";
    let differences = differences(statistic, with, without)?;
    let overlap = overlap(statistic, n_train, n_test)?;
    Ok(Spread::of_repeats(statistic, &differences, overlap)?.comparison())
}

/// Holm's correction over a family of comparisons: sets `p_holm` and `mark` of each.
pub fn holm(family: &mut [Comparison]) {
    let mut order: Vec<usize> = (0..family.len()).collect();
    order.sort_by(|&a, &b| family[a].p_value.total_cmp(&family[b].p_value));
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        let corrected = family[index].p_value * (family.len() - rank) as f64;
        largest = largest.max(corrected.min(1.0));
        family[index].p_holm = largest;
        family[index].mark = Mark::of(family[index].difference, largest);
    }
}

/// McNemar's test of two classifiers on the same rows, from the rows that only one of them predicts
/// right. Both p-values are 1 where there is no such row.
pub fn mcnemar(only_first: u64, only_second: u64) -> McNemar {
    let n = only_first + only_second;
    if n == 0 {
        return McNemar { exact: 1.0, mid_p: 1.0 };
    }
    let fewer = only_first.min(only_second);
    let coin = Binomial::new(0.5, n).expect("a half is a probability");
    let point = coin.pmf(fewer);
    if only_first == only_second {
        return McNemar { exact: 1.0, mid_p: 1.0 - point / 2.0 };
    }
    let exact = (2.0 * coin.cdf(fewer)).min(1.0);
    McNemar { exact, mid_p: exact - point }
}

/// A mean, its standard error, and the degrees of freedom that the error is known with.
struct Spread {
    mean: f64,
    error: f64,
    freedom: f64,
}

impl Spread {
    fn of_shared_rows(
        statistic: &'static str,
        scores: ArrayView2<'_, f64>,
    ) -> Result<Spread, Error> {
        let (n_repeats, n_rows) = scores.dim();
        if n_repeats == 0 || n_rows < 2 {
            let reason = format!("{n_repeats} repeats of {n_rows} rows, but 1 of 2 are needed");
            return Err(Error::Statistic { statistic, reason });
        }
        let row_means = scores.mean_axis(Axis(0)).expect("there is a repeat");
        let repeat_means = scores.mean_axis(Axis(1)).expect("there is a row");
        let rows = variance(&row_means.to_vec()) / n_rows as f64;
        let rows_part = rows * rows / (n_rows - 1) as f64;
        let (repeats, repeats_part) = if n_repeats > 1 {
            let repeats = variance(&repeat_means.to_vec()) / n_repeats as f64;
            (repeats, repeats * repeats / (n_repeats - 1) as f64)
        } else {
            (0.0, 0.0)
        };
        let squared = rows + repeats;
        let parts = rows_part + repeats_part;
        let freedom = if parts > 0.0 { squared * squared / parts } else { 1.0 };
        Ok(Spread { mean: mean(&repeat_means.to_vec()), error: squared.sqrt(), freedom })
    }

    fn of_repeats(statistic: &'static str, scores: &[f64], overlap: f64) -> Result<Spread, Error> {
        let n = scores.len();
        if n < 2 {
            let reason = format!("{n} repeats, but at least 2 are needed\nhint: raise `repeats`");
            return Err(Error::Statistic { statistic, reason });
        }
        let error = (variance(scores) * (1.0 / n as f64 + overlap)).sqrt();
        Ok(Spread { mean: mean(scores), error, freedom: (n - 1) as f64 })
    }

    fn estimate(&self, n: usize) -> Estimate {
        let half = self.half_width();
        Estimate { mean: self.mean, ci_low: self.mean - half, ci_high: self.mean + half, n }
    }

    fn comparison(&self) -> Comparison {
        let half = self.half_width();
        let p_value = if self.error > 0.0 {
            (2.0 * self.student().cdf(-(self.mean / self.error).abs())).min(1.0)
        } else if self.mean == 0.0 {
            1.0
        } else {
            0.0
        };
        Comparison {
            difference: self.mean,
            ci_low: self.mean - half,
            ci_high: self.mean + half,
            p_value,
            p_holm: p_value,
            mark: Mark::of(self.mean, p_value),
        }
    }

    fn half_width(&self) -> f64 {
        if self.error > 0.0 {
            self.error * self.student().inverse_cdf(1.0 - LEVEL / 2.0)
        } else {
            0.0
        }
    }

    fn student(&self) -> StudentsT {
        StudentsT::new(0.0, 1.0, self.freedom).expect("the degrees of freedom are positive")
    }
}

fn differences(statistic: &'static str, with: &[f64], without: &[f64]) -> Result<Vec<f64>, Error> {
    if with.len() != without.len() {
        let reason = format!("{} and {} repeats differ", with.len(), without.len());
        return Err(Error::Statistic { statistic, reason });
    }
    Ok(with.iter().zip(without).map(|(with, without)| with - without).collect())
}

fn overlap(statistic: &'static str, n_train: usize, n_test: usize) -> Result<f64, Error> {
    if n_train == 0 {
        let reason = "0 training rows, but at least 1 is needed".to_owned();
        return Err(Error::Statistic { statistic, reason });
    }
    Ok(n_test as f64 / n_train as f64)
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
