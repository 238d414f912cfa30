//! Every combination of values, in order. Conditional parameters multiply only the combinations
//! in which they are used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{History, Sampler, given, require};
use crate::{Distribution, Params, Result, SearchSpace};

/// Grid search. The study ends once every combination has a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grid {
    /// How many values of a range without steps are tried (2 or more, 5 by default), both ends
    /// included. Ranges with fewer values, and all choices, are tried in full.
    pub points: u64,
}

impl Default for Grid {
    fn default() -> Self {
        Grid { points: 5 }
    }
}

impl Grid {
    /// Its name in the file.
    pub const NAME: &'static str = "grid";

    pub(super) fn check(&self) -> Result<()> {
        require(self.points >= 2, Grid::NAME, "points", self.points, "at least 2")
    }

    /// How many values of a distribution are tried.
    fn values(&self, distribution: &Distribution) -> u64 {
        match distribution.count() {
            Some(count) if matches!(distribution, Distribution::Categorical { .. }) => count,
            Some(count) => count.min(self.points),
            None => self.points,
        }
    }

    /// The `index`-th of the values that are tried.
    fn value(&self, distribution: &Distribution, index: u64) -> f64 {
        let tried = self.values(distribution);
        match distribution.count() {
            Some(count) if count == tried => distribution.nth(index),
            _ => {
                let (low, high) = distribution.continuous_range();
                let place = index as f64 / (tried - 1) as f64;
                distribution.from_continuous(low + place * (high - low))
            }
        }
    }

    /// Walks through all combinations in order, until `visit` says that this is the one.
    fn walk(&self, space: &SearchSpace, visit: &mut dyn FnMut(&Params) -> bool) {
        // The digits of a number whose places have as many values as the parameters in use.
        let mut digits: Vec<u64> = Vec::new();
        loop {
            let mut bases = Vec::new();
            let params = space.fill(|_, distribution| {
                let digit = digits.get(bases.len()).copied().unwrap_or(0);
                bases.push(self.values(distribution));
                self.value(distribution, digit)
            });
            if visit(&params) {
                return;
            }
            // Count up by one; what stands behind the digit that grew begins anew.
            digits.resize(bases.len(), 0);
            let Some(grows) = (0..bases.len()).rev().find(|at| digits[*at] + 1 < bases[*at]) else {
                return;
            };
            digits[grows] += 1;
            digits.truncate(grows + 1);
        }
    }
}

impl Sampler for Grid {
    /// Trial `number` is the `number`-th combination; enqueued values replace their part of it.
    fn suggest(&self, history: &History<'_>, number: u64, fixed: &Params) -> Params {
        let total = self.limit(history.space).unwrap_or(1).max(1);
        let mut left = number % total;
        let mut found = Params::new();
        self.walk(history.space, &mut |params| {
            let here = left == 0;
            if here {
                found = params.clone();
            }
            left = left.saturating_sub(1);
            here
        });
        history.space.fill(|name, distribution| {
            let tried = found.get(name).and_then(|value| distribution.internal(value));
            let tried = tried.unwrap_or_else(|| self.value(distribution, 0));
            given(fixed, name, distribution).unwrap_or(tried)
        })
    }

    fn limit(&self, space: &SearchSpace) -> Option<u64> {
        let mut count = 0;
        self.walk(space, &mut |_| {
            count += 1;
            false
        });
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::Seed;

    use super::*;
    use crate::{Direction, Parameter};

    #[test]
    fn every_combination_comes_once() {
        let space = SearchSpace::new([
            ("a", Distribution::categorical(["flat", "deep"]).into()),
            ("b", Parameter::from(Distribution::int(1, 3)).when("a", ["deep"])),
            ("c", Distribution::float(1e-4, 1e-2).log().into()),
        ])
        .unwrap();
        let grid = Grid { points: 3 };
        // Three rates under `flat`; three rates for each of three depths under `deep`.
        assert_eq!(grid.limit(&space), Some(12));
        let directions = &[Direction::Minimize];
        let history = History { space: &space, directions, trials: &[], seed: Seed::new(0) };
        let mut all: Vec<String> = (0..12)
            .map(|number| format!("{:?}", grid.suggest(&history, number, &Params::new())))
            .collect();
        assert!(all[0].contains("0.0001") && all[1].contains("0.001"), "{all:?}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 12, "{all:?}");
    }
}
