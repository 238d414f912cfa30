//! Intervals and paired tests over repeats, by Student's t: what differs between the designs is
//! the standard error, and the degrees of freedom that it is known with.
//!
//! # Source
//! - Nadeau and Bengio, *Inference for the Generalization Error*, Machine Learning 52 (2003).
//! - Welch, *The generalization of Student's problem when several different population
//!   variances are involved*, Biometrika 34 (1947); Satterthwaite, Biometrics Bulletin 2 (1946).

use ndarray::{ArrayView2, Axis};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Comparison, Estimate, LEVEL, Mark, mean, variance};
use crate::Error;

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
            standard_error: self.error,
            freedom: self.freedom,
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

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array, s};

    use super::super::close;
    use super::*;

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
    fn too_few_numbers_are_an_error() {
        let error = compare_repeats(&[0.5], &[0.4]).unwrap_err().to_string();
        assert!(error.contains("1 repeats, but at least 2 are needed"), "{error}");
        assert!(estimate_shared_rows(Array2::zeros((1, 1)).view()).is_err());
        assert!(compare_shared_rows(with().view(), with().slice(s![..2, ..])).is_err());
    }
}
