//! McNemar's test: two classifiers on the rows of one test set.
//!
//! # Source
//! McNemar, *Note on the sampling error of the difference between correlated proportions*,
//! Psychometrika 12 (1947); Fagerland, Lydersen and Laake, *The McNemar test for binary
//! matched-pairs data: mid-p and asymptotic are better than exact conditional*, BMC Medical
//! Research Methodology 13 (2013).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, Discrete, DiscreteCDF};

/// Two-sided p-values of McNemar's test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McNemar {
    /// The exact one, which errs on the safe side.
    pub exact: f64,
    /// The mid-p one, which Fagerland recommends.
    pub mid_p: f64,
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

#[cfg(test)]
mod tests {
    use super::super::close;
    use super::*;

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
}
