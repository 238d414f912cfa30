//! Tree-structured Parzen estimators over all parameters together: a kernel is a whole trial, so
//! that values which are good together are drawn together. Parameters under the same condition
//! form a group, which learns from the trials that used it.
//!
//! # Source
//! Bergstra et al., NeurIPS 2011; Watanabe, arXiv 2304.11127; the default sampler of Optuna 5. What
//! differs: the start is a Sobol sequence, conditional parameters are modelled together and the
//! good trials of a group are the best of those that used it, failed trials count as bad, and where
//! no parameter is conditional, values that were tried together aren't tried again.

use hourglass_core::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parzen::Mixture;
use super::ranking::{finished, split};
use super::{History, Sampler, Sobol, given, require};
use crate::{Condition, Distribution, FrozenTrial, Params, Result};

/// Draws for each candidate that is wanted, where most were tried already.
const MOST_DRAWS: usize = 4;

/// TPE, all parameters together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MultivariateTpe {
    /// Trials before the model is used (10 by default); they are Sobol points.
    pub startup_trials: usize,
    /// Candidates drawn, of which the best is taken (24 by default).
    pub candidates: usize,
}

impl Default for MultivariateTpe {
    fn default() -> Self {
        MultivariateTpe { startup_trials: 10, candidates: 24 }
    }
}

/// Parameters that are used under the same condition.
struct Group<'a> {
    condition: Option<&'a Condition>,
    names: Vec<&'a str>,
    distributions: Vec<&'a Distribution>,
}

impl MultivariateTpe {
    /// Its name in the file.
    pub const NAME: &'static str = "multivariate_tpe";

    pub(super) fn check(&self) -> Result<()> {
        let name = MultivariateTpe::NAME;
        require(
            self.startup_trials >= 1,
            name,
            "startup_trials",
            self.startup_trials,
            "at least 1",
        )?;
        require(self.candidates >= 1, name, "candidates", self.candidates, "at least 1")
    }

    /// Draws a group's values, other ones than those of `tried` if it can.
    fn draw(
        &self,
        history: &History<'_>,
        group: &Group<'_>,
        tried: &[Vec<f64>],
        seed: Seed,
    ) -> Vec<f64> {
        let split = split(history, |trial| row(trial, group).is_some());
        let rows = |trials: &[&FrozenTrial]| -> Vec<Vec<f64>> {
            trials.iter().filter_map(|trial| row(trial, group)).collect()
        };
        let good = Mixture::new(&group.distributions, &rows(&split.good));
        let bad = Mixture::new(&group.distributions, &rows(&split.bad));
        let mut rng = seed.child("tpe").rng();
        let mut best = (f64::NEG_INFINITY, good.draw(&mut rng));
        let first = best.1.clone();
        let more = std::iter::repeat_with(|| good.draw(&mut rng));
        let draws = std::iter::once(first).chain(more).take(MOST_DRAWS * self.candidates);
        for point in draws.filter(|point| !tried.contains(point)).take(self.candidates) {
            let gain = good.log_density(&point) - bad.log_density(&point);
            if gain > best.0 {
                best = (gain, point);
            }
        }
        best.1
    }
}

impl Sampler for MultivariateTpe {
    fn suggest(&self, history: &History<'_>, number: u64, fixed: &Params) -> Params {
        if finished(history) < self.startup_trials {
            return Sobol::default().suggest(history, number, fixed);
        }
        let groups = groups(history);
        let seed = history.trial_seed(number);
        let mut drawn: Vec<Option<Vec<f64>>> = vec![None; groups.len()];
        // A trial measures the same again: nothing is learnt from it.
        let tried: Vec<Vec<f64>> = match &groups[..] {
            [only] if fixed.is_empty() => {
                history.trials.iter().filter_map(|trial| row(trial, only)).collect()
            }
            _ => Vec::new(),
        };
        history.space.fill(|name, distribution| {
            if let Some(internal) = given(fixed, name, distribution) {
                return internal;
            }
            let place = groups.iter().enumerate().find_map(|(group, members)| {
                Some((group, members.names.iter().position(|other| *other == name)?))
            });
            // A distribution with a single value belongs to no group.
            let Some((group, member)) = place else { return distribution.from_unit(0.5) };
            let draw =
                || self.draw(history, &groups[group], &tried, seed.child(groups[group].names[0]));
            drawn[group].get_or_insert_with(draw)[member]
        })
    }

    fn reads_history(&self) -> bool {
        true
    }
}

/// All parameters with more than one value, grouped by their condition.
fn groups<'a>(history: &History<'a>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for (name, parameter) in history.space.iter() {
        if parameter.distribution.count() == Some(1) {
            continue;
        }
        let condition = parameter.condition.as_ref();
        let place = groups.iter().position(|group| group.condition == condition);
        let place = place.unwrap_or_else(|| {
            groups.push(Group { condition, names: Vec::new(), distributions: Vec::new() });
            groups.len() - 1
        });
        groups[place].names.push(name);
        groups[place].distributions.push(&parameter.distribution);
    }
    groups
}

/// A trial's values of a group; none if it didn't use the group, or with values outside of it.
fn row(trial: &FrozenTrial, group: &Group<'_>) -> Option<Vec<f64>> {
    let members = group.names.iter().zip(&group.distributions);
    members
        .map(|(name, distribution)| {
            let param = trial.params.get(*name)?;
            let fits = distribution.compatible(&param.distribution)
                && distribution.contains(param.internal);
            fits.then_some(param.internal)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, SamplerConfig, SearchSpace, Study, StudyConfig};

    #[test]
    fn values_that_were_tried_are_not_tried_again() {
        let space = SearchSpace::new([
            ("depth", Distribution::int(1, 5).into()),
            ("kind", Distribution::categorical(["flat", "deep", "wide"]).into()),
        ]);
        let sampler = SamplerConfig::MultivariateTpe(MultivariateTpe::default());
        let config = StudyConfig { sampler, ..StudyConfig::new("small", space.unwrap()) };
        let study = Study::create(MemoryStore::shared(), config).unwrap();
        let mut tried = Vec::new();
        study
            .optimize(13, |trial| {
                tried.push((trial.int("depth")?, trial.text("kind")?.to_owned()));
                Ok((trial.float("depth")? - 4.0).abs().into())
            })
            .unwrap();
        // Fifteen there are; the model would rather try the best ones once more.
        for (at, values) in tried.iter().enumerate().skip(10) {
            assert!(!tried[..at].contains(values), "{tried:?}");
        }
    }
}
