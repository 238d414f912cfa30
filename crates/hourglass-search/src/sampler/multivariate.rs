//! Tree-structured Parzen estimators over all parameters together: a kernel is a whole trial, so
//! that values which are good together are drawn together. Parameters under the same condition
//! form a group, which learns from the trials that used it.
//!
//! # Source
//! Bergstra et al., NeurIPS 2011; Watanabe, arXiv 2304.11127; the default sampler of Optuna 5. What
//! differs: the start is a Sobol sequence, conditional parameters are modelled together and the
//! good trials of a group are the best of those that used it, and failed trials count as bad.

use hourglass_core::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parzen::Mixture;
use super::ranking::{finished, split};
use super::{History, Sampler, Sobol, given, require};
use crate::{Condition, Distribution, FrozenTrial, Params, Result};

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

    /// Draws a group's values.
    fn draw(&self, history: &History<'_>, group: &Group<'_>, seed: Seed) -> Vec<f64> {
        let split = split(history, |trial| row(trial, group).is_some());
        let rows = |trials: &[&FrozenTrial]| -> Vec<Vec<f64>> {
            trials.iter().filter_map(|trial| row(trial, group)).collect()
        };
        let good = Mixture::new(&group.distributions, &rows(&split.good));
        let bad = Mixture::new(&group.distributions, &rows(&split.bad));
        let mut rng = seed.child("tpe").rng();
        let mut best = (f64::NEG_INFINITY, good.draw(&mut rng));
        for candidate in 0..self.candidates {
            let point = if candidate == 0 { best.1.clone() } else { good.draw(&mut rng) };
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
        history.space.fill(|name, distribution| {
            if let Some(internal) = given(fixed, name, distribution) {
                return internal;
            }
            let place = groups.iter().enumerate().find_map(|(group, members)| {
                Some((group, members.names.iter().position(|other| *other == name)?))
            });
            // A distribution with a single value belongs to no group.
            let Some((group, member)) = place else { return distribution.from_unit(0.5) };
            let draw = || self.draw(history, &groups[group], seed.child(groups[group].names[0]));
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
