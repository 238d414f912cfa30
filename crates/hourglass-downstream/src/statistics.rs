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
//! - Welch, *The generalization of Student's problem when several different population
//!   variances are involved*, Biometrika 34 (1947); Satterthwaite, Biometrics Bulletin 2 (1946).

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
/// means and of the rows' means. What differs by both repeat and row is in both terms, which errs
/// on the safe side. Degrees of freedom are Welch and Satterthwaite's. With one repeat the first
/// term is left out, and the interval says nothing about other seeds.
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

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array, s};

    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    fn with() -> Array2<f64> {
        array![
            [1., 1., 0., 1., 1., 0., 1., 1.],
            [1., 1., 0., 1., 0., 1., 1., 1.],
            [1., 0., 0., 1., 1., 1., 1., 1.],
        ]
    }

    fn without() -> Array2<f64> {
        array![
            [1., 0., 0., 1., 1., 0., 1., 0.],
            [1., 1., 0., 0., 0., 1., 1., 0.],
            [0., 0., 0., 1., 1., 1., 0., 1.],
        ]
    }

    #[test]
    fn shared_rows_count_repeats_and_rows() {
        // def crossed(v):
        //     R, n = v.shape; A = v.mean(1).var(ddof=1)/R if R > 1 else 0; B =
        // v.mean(0).var(ddof=1)/n
        //     df = (A+B)**2 / ((A*A/(R-1) if R > 1 else 0) + B*B/(n-1))
        //     return v.mean(), np.sqrt(A+B), df
        // m, e, df = crossed(with); stats.t.interval(.95, df, m, e)
        // m, e, df = crossed(with - without); stats.t.interval(.95, df, m, e);
        // 2*stats.t.sf(abs(m/e), df)
        let estimate = estimate_shared_rows(with().view()).unwrap();
        close(estimate.mean, 0.75);
        close(estimate.ci_low, 0.461_545_377_546_841_5);
        close(estimate.ci_high, 1.038_454_622_453_158_6);
        assert_eq!(estimate.n, 3);
        let comparison = compare_shared_rows(with().view(), without().view()).unwrap();
        close(comparison.difference, 0.25);
        close(comparison.ci_low, 0.052_947_979_033_934_67);
        close(comparison.ci_high, 0.447_052_020_966_065_33);
        close(comparison.p_value, 0.019_942_126_131_992_536);
        assert_eq!(comparison.mark, Mark::Better);
    }

    #[test]
    fn one_repeat_counts_its_rows() {
        // stats.t.interval(.95, 7, with[0].mean(), stats.sem(with[0]))
        let estimate = estimate_shared_rows(with().slice(s![..1, ..])).unwrap();
        close(estimate.ci_low, 0.362_997_513_462_420_2);
        close(estimate.ci_high, 1.137_002_486_537_579_8);
    }

    #[test]
    fn nothing_differs_from_itself() {
        let comparison = compare_shared_rows(with().view(), with().view()).unwrap();
        assert_eq!((comparison.difference, comparison.p_value), (0.0, 1.0));
        assert_eq!((comparison.ci_low, comparison.ci_high), (0.0, 0.0));
        assert_eq!(comparison.mark, Mark::Same);
        assert_eq!(compare_repeats(&[0.5, 0.5], &[0.4, 0.4]).unwrap().mark, Mark::Better);
    }

    #[test]
    fn repeats_agree_with_scipy() {
        // a = [.91, .93, .90, .94, .92]; b = [.90, .90, .89, .92, .92]; d = a - b
        // stats.ttest_rel(a, b); stats.t.interval(.95, 4, d.mean(), stats.sem(d))
        // se = np.sqrt(d.var(ddof=1) * (1/5 + 100/400)); 2*stats.t.sf(d.mean()/se, 4)
        let (a, b) = ([0.91, 0.93, 0.90, 0.94, 0.92], [0.90, 0.90, 0.89, 0.92, 0.92]);
        let estimate = estimate_repeats(&a).unwrap();
        close(estimate.ci_low, 0.900_367_568_385_224_6);
        close(estimate.ci_high, 0.939_632_431_614_775_7);
        let plain = compare_repeats(&a, &b).unwrap();
        close(plain.p_value, 0.051_605_957_811_174_795);
        close(plain.ci_low, -0.000_157_147_769_822_724_5);
        let corrected = compare_resampled(&a, &b, 400, 100).unwrap();
        close(corrected.p_value, 0.141_159_178_562_554_58);
        close(corrected.ci_high, 0.035_235_721_654_734_05);
        assert!(estimate_resampled(&a, 400, 100).unwrap().ci_low < estimate.ci_low);
    }

    #[test]
    fn holm_agrees_with_its_definition() {
        // statsmodels' multipletests(p, method="holm"): p sorted, times m, m - 1, ..., running
        // maximum
        let of = |p_value: f64, difference: f64| Comparison {
            difference,
            ci_low: 0.0,
            ci_high: 0.0,
            p_value,
            p_holm: p_value,
            mark: Mark::Same,
        };
        let mut family =
            [of(0.03, 1.0), of(0.01, -1.0), of(0.005, 1.0), of(0.4, 1.0), of(0.02, 1.0)];
        holm(&mut family);
        let expected = [0.06, 0.04, 0.025, 0.4, 0.06];
        family.iter().zip(expected).for_each(|(c, e)| close(c.p_holm, e));
        assert_eq!(
            family.map(|comparison| comparison.mark),
            [Mark::Same, Mark::Worse, Mark::Better, Mark::Same, Mark::Same]
        );
    }

    #[test]
    fn mcnemar_agrees_with_scipy() {
        // stats.binomtest(3, 15).pvalue; the same less stats.binom.pmf(3, 15, .5)
        // 1 - stats.binom.pmf(4, 8, .5) / 2
        let test = mcnemar(12, 3);
        close(test.exact, 0.035_156_25);
        close(test.mid_p, 0.021_270_751_953_125);
        let even = mcnemar(4, 4);
        assert_eq!(even.exact, 1.0);
        close(even.mid_p, 0.863_281_25);
        assert_eq!(mcnemar(0, 0).mid_p, 1.0);
    }

    #[test]
    fn too_few_numbers_are_an_error() {
        let error = compare_repeats(&[0.5], &[0.4]).unwrap_err().to_string();
        assert!(error.contains("1 repeats, but at least 2 are needed"), "{error}");
        assert!(estimate_shared_rows(Array2::zeros((1, 1)).view()).is_err());
        assert!(compare_shared_rows(with().view(), with().slice(s![..2, ..])).is_err());
    }
}
