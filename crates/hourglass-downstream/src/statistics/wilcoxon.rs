//! Wilcoxon's signed-rank test: two methods over many data sets.
//!
//! # Source
//! Wilcoxon, *Individual Comparisons by Ranking Methods*, Biometrics Bulletin 1 (1945); recommended
//! for two classifiers over data sets by Demšar, *Statistical Comparisons of Classifiers over
//! Multiple Data Sets*, JMLR 7 (2006). Differences of zero are left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::ranks::ranked;

/// Pairs up to which the exact distribution is used, where no two differences tie.
const MAX_EXACT: usize = 50;

/// The test's result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wilcoxon {
    /// The smaller sum of ranks.
    pub statistic: f64,
    /// Two-sided p-value; 1 where no pair differs.
    pub p_value: f64,
    /// Pairs that differ.
    pub n: usize,
    /// Whether the p-value is exact; else it comes from the normal distribution, corrected for
    /// ties.
    pub is_exact: bool,
}

/// Tests paired differences, one a data set.
pub fn wilcoxon(differences: &[f64]) -> Wilcoxon {
    let differing: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let n = differing.len();
    if n == 0 {
        return Wilcoxon { statistic: 0.0, p_value: 1.0, n, is_exact: true };
    }
    let sizes: Vec<f64> = differing.iter().map(|d| d.abs()).collect();
    let (ranks, ties) = ranked(&sizes);
    let up: f64 = ranks.iter().zip(&differing).filter(|(_, d)| **d > 0.0).map(|(r, _)| r).sum();
    let all = (n * (n + 1)) as f64 / 2.0;
    let statistic = up.min(all - up);
    let is_exact = ties == 0.0 && n <= MAX_EXACT;
    let p_value = if is_exact {
        exact(n, statistic as usize)
    } else {
        let n = n as f64;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
        2.0 * Normal::standard().cdf((statistic - all / 2.0) / variance.sqrt())
    };
    Wilcoxon { statistic, p_value: p_value.min(1.0), n, is_exact }
}

/// Twice the share of the `2^n` sets of ranks whose sum is at most `statistic`.
fn exact(n: usize, statistic: usize) -> f64 {
    let mut shares = vec![0.0_f64; n * (n + 1) / 2 + 1];
    shares[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..shares.len()).rev() {
            let with = if sum >= rank { shares[sum - rank] } else { 0.0 };
            shares[sum] = (shares[sum] + with) / 2.0;
        }
    }
    2.0 * shares[..=statistic].iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::super::close;
    use super::*;

    #[test]
    fn p_values_agree_with_scipy() {
        // x = [.82,.75,.91,.66,.88,.79,.93,.71,.85,.77]
        // stats.wilcoxon(x - [.80,.765,.88,.60,.83,.804,.86,.707,.76,.69], method="exact")
        let x = [0.82, 0.75, 0.91, 0.66, 0.88, 0.79, 0.93, 0.71, 0.85, 0.77];
        let y = [0.80, 0.765, 0.88, 0.60, 0.83, 0.804, 0.86, 0.707, 0.76, 0.69];
        let differences: Vec<f64> = x.iter().zip(y).map(|(x, y)| x - y).collect();
        let test = wilcoxon(&differences);
        assert!(test.is_exact);
        assert_eq!(test.statistic, 5.0);
        close(test.p_value, 0.019_531_25);
        // r = [.02,-.01,.03,.06,.05,-.01,.07,.01,.09,.08]
        // stats.wilcoxon(r, method="approx", correction=False)
        let tied = [0.02, -0.01, 0.03, 0.06, 0.05, -0.01, 0.07, 0.01, 0.09, 0.08, 0.0, 0.0];
        let test = wilcoxon(&tied);
        assert!(!test.is_exact);
        assert_eq!((test.statistic, test.n), (4.0, 10));
        close(test.p_value, 0.016_324_090_583_034_21);
        assert_eq!(wilcoxon(&[0.0; 4]).p_value, 1.0);
    }
}
