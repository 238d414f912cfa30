//! Hyperband: several successive halvings side by side, the first of which stops early and the last
//! not at all, so that trials that begin slowly have a chance, too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Progressing, Pruner, asha};
use crate::Result;
use crate::sampler::require;

/// Successive halving in brackets.
///
/// # Source
/// Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization", JMLR 18,
/// 2018 (arXiv 1603.06560). As in Optuna, brackets are asynchronous halvings (those of
/// [`super::Asha`]); trials are dealt to them by their number, in proportion to the trials that the
/// paper gives each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hyperband {
    /// The first rung of the first bracket (1 or more, 1 by default).
    pub min_steps: i64,
    /// Steps of a whole trial (more than `min_steps`); those of the longest so far, where it isn't
    /// given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<i64>,
    /// Rungs are so many times as far apart each, and one of so many trials goes on (2 to 100, 3 by
    /// default).
    pub reduction_factor: i64,
}

impl Default for Hyperband {
    fn default() -> Self {
        Hyperband { min_steps: 1, max_steps: None, reduction_factor: 3 }
    }
}

impl Hyperband {
    /// Its name in the file.
    pub const NAME: &'static str = "hyperband";

    pub(super) fn check(&self) -> Result<()> {
        let Hyperband { min_steps, max_steps, reduction_factor } = *self;
        require(min_steps >= 1, Hyperband::NAME, "min_steps", min_steps, "at least 1")?;
        if let Some(max_steps) = max_steps {
            let more = "more than `min_steps`";
            require(max_steps > min_steps, Hyperband::NAME, "max_steps", max_steps, more)?;
        }
        asha::check_factor(Hyperband::NAME, reduction_factor)
    }

    /// The share of the trials that each bracket gets, in whole numbers; the first stops earliest.
    fn shares(&self, max_steps: i64) -> Vec<u64> {
        let mut rungs = 0;
        let mut step = self.min_steps;
        while step <= max_steps / self.reduction_factor {
            step *= self.reduction_factor;
            rungs += 1;
        }
        let factor = self.reduction_factor as u64;
        (0..=rungs)
            .map(|bracket: u32| {
                let halvings = rungs - bracket;
                // The paper's ceil((rungs + 1) factor^halvings / (halvings + 1)).
                (u64::from(rungs + 1) * factor.pow(halvings)).div_ceil(u64::from(halvings + 1))
            })
            .collect()
    }

    /// The bracket of a trial: its number is hashed, so that neighbours land in different ones.
    fn bracket(&self, shares: &[u64], number: u64) -> usize {
        let total: u64 = shares.iter().sum();
        let mut left = hourglass_core::Seed::new(0).child("bracket").nth(number).value() % total;
        for (bracket, share) in shares.iter().enumerate() {
            if left < *share {
                return bracket;
            }
            left -= share;
        }
        shares.len() - 1
    }
}

impl Pruner for Hyperband {
    fn should_prune(&self, progress: &Progressing<'_>) -> bool {
        let Some(max_steps) = self.max_steps.or_else(|| progress.longest()) else { return false };
        if progress.step >= max_steps {
            return false;
        }
        let shares = self.shares(max_steps);
        let bracket = self.bracket(&shares, progress.number);
        let factor = self.reduction_factor;
        let first = self.min_steps * factor.pow(bracket as u32);
        asha::should_prune(first, factor, progress, |number| {
            self.bracket(&shares, number) == bracket
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_get_the_shares_of_the_paper() {
        // Table 1 of the paper: R = 81, factor 3 gives 81, 34, 15, 8 and 5 trials.
        let hyperband = Hyperband { min_steps: 1, max_steps: None, reduction_factor: 3 };
        let shares = hyperband.shares(81);
        assert_eq!(shares, [81, 34, 15, 8, 5]);
        let mut counts = vec![0_u64; shares.len()];
        for number in 0..14_300 {
            counts[hyperband.bracket(&shares, number)] += 1;
        }
        for (count, share) in counts.iter().zip(&shares) {
            let expect = share * 100;
            assert!(count.abs_diff(expect) < expect / 5, "{counts:?}");
        }
    }
}
