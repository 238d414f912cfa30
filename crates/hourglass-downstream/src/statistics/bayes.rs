//! How probable it is that a difference matters: the posterior of a mean difference, cut by a
//! region of practical equivalence.
//!
//! # Source
//! Corani and Benavoli, *A Bayesian approach for comparing cross-validated algorithms on multiple
//! data sets*, Machine Learning 100 (2015); Benavoli, Corani, Demšar and Zaffalon, *Time for a
//! Change*, JMLR 18 (2017). For resampled rows it is their correlated t-test, whose posterior has
//! the corrected standard error of Nadeau and Bengio; for the other designs the same posterior with
//! the standard error of that design.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::Comparison;

/// Probabilities that a difference is practically better, the same, or worse; they sum to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Posterior {
    /// That the difference is above the region.
    pub better: f64,
    /// That it lies within.
    pub same: f64,
    /// That it is below.
    pub worse: f64,
}

impl Comparison {
    /// The posterior of the difference, where what lies within `rope` of zero counts as the same.
    ///
    /// The prior is flat, so that the posterior is Student's t around the difference. A comparison
    /// without any spread is certain.
    pub fn posterior(&self, rope: f64) -> Posterior {
        let below = |bound: f64| {
            let distance = bound - self.difference;
            if self.standard_error > 0.0 {
                self.tail(distance / self.standard_error)
            } else {
                f64::from(u8::from(distance > 0.0))
            }
        };
        let (worse, up_to_same) = (below(-rope), below(rope));
        // Without any spread a difference that lies on the region's edge is within it.
        let on_edge = self.standard_error <= 0.0 && self.difference.abs() <= rope;
        if on_edge {
            return Posterior { better: 0.0, same: 1.0, worse: 0.0 };
        }
        Posterior { better: 1.0 - up_to_same, same: up_to_same - worse, worse }
    }

    fn tail(&self, at: f64) -> f64 {
        if self.freedom.is_finite() {
            StudentsT::new(0.0, 1.0, self.freedom).map_or(f64::NAN, |student| student.cdf(at))
        } else {
            Normal::standard().cdf(at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{close, compare_repeats, compare_resampled};

    #[test]
    fn posteriors_agree_with_baycomp() {
        // from baycomp.single import CorrelatedTTest
        // a = np.array([.91,.93,.90,.94,.92]); b = np.array([.90,.90,.89,.92,.92])
        // CorrelatedTTest.probs(a, b, 0.01, runs=1)  (left, same, right; left is a better)
        // CorrelatedTTest.probs(a, b, 0.0, runs=1)
        let (a, b) = ([0.91, 0.93, 0.90, 0.94, 0.92], [0.90, 0.90, 0.89, 0.92, 0.92]);
        // Five folds: four rows fitted on for each that is judged on.
        let comparison = compare_resampled(&a, &b, 400, 100).unwrap();
        let posterior = comparison.posterior(0.01);
        close(posterior.better, 0.685_688_944_205_086_9);
        close(posterior.same, 0.296_851_202_457_643_6);
        close(posterior.worse, 0.017_459_853_337_269_515);
        let sharp = comparison.posterior(0.0);
        close(sharp.better, 0.929_420_410_718_722_7);
        close(sharp.same, 0.0);
    }

    #[test]
    fn without_spread_all_is_certain() {
        let certain = |difference: f64| {
            compare_repeats(&[0.5 + difference; 3], &[0.5; 3]).unwrap().posterior(0.01)
        };
        assert_eq!(certain(0.125).better, 1.0);
        assert_eq!(certain(-0.125).worse, 1.0);
        assert_eq!(certain(0.0).same, 1.0);
    }
}
