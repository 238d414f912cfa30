//! Tree-structured Parzen estimators, one for each parameter, on the `tpe` crate. The crate knows a
//! range and (parameter, value) pairs; scales, steps, conditions, the start, running trials and
//! seeds are added here.
//!
//! # Source
//! Bergstra, Bardenet, Bengio and Kegl, "Algorithms for Hyper-Parameter Optimization", NeurIPS
//! 2011. What differs: running and failed trials count as bad, as in Optuna's constant liar.

use ::tpe::{TpeOptimizerBuilder, histogram_estimator, parzen_estimator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ranking::{Split, finished, split};
use super::{History, Sampler, Sobol, given, require};
use crate::{Distribution, FrozenTrial, Params, Result};

/// TPE, each parameter on its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tpe {
    /// Trials before the model is used (10 by default); they are Sobol points.
    pub startup_trials: usize,
    /// Candidates drawn for each parameter, of which the best is taken (24 by default).
    pub candidates: usize,
}

impl Default for Tpe {
    fn default() -> Self {
        Tpe { startup_trials: 10, candidates: 24 }
    }
}

impl Tpe {
    /// Its name in the file.
    pub const NAME: &'static str = "tpe";

    pub(super) fn check(&self) -> Result<()> {
        require(
            self.startup_trials >= 1,
            Tpe::NAME,
            "startup_trials",
            self.startup_trials,
            "at least 1",
        )?;
        require(self.candidates >= 1, Tpe::NAME, "candidates", self.candidates, "at least 1")
    }
}

impl Sampler for Tpe {
    fn suggest(&self, history: &History<'_>, number: u64, fixed: &Params) -> Params {
        if finished(history) < self.startup_trials {
            return Sobol::default().suggest(history, number, fixed);
        }
        let split = split(history, |_| true);
        let seed = history.trial_seed(number);
        history.space.fill(|name, distribution| {
            given(fixed, name, distribution).unwrap_or_else(|| {
                let drawn = draw(self.candidates, &split, name, distribution, seed.child(name));
                drawn.unwrap_or_else(|| distribution.from_unit(0.5))
            })
        })
    }

    fn reads_history(&self) -> bool {
        true
    }
}

/// Draws one parameter; none where the crate can't model it (a single value).
fn draw(
    candidates: usize,
    split: &Split<'_>,
    name: &str,
    distribution: &Distribution,
    seed: hourglass_core::Seed,
) -> Option<f64> {
    let (low, high) = distribution.continuous_range();
    let (estimator, high) = match distribution {
        Distribution::Categorical { .. } => (histogram_estimator(), high),
        // The crate leaves out the upper end.
        _ => (parzen_estimator(), high.next_up()),
    };
    let range = ::tpe::range(low, high).ok()?;
    let (good, all) = (split.good.len(), split.good.len() + split.bad.len());
    // The crate takes ceil(gamma n) as good; half a trial less is safe from rounding.
    let gamma = (good as f64 - 0.5).max(0.0) / all as f64;
    let mut builder = TpeOptimizerBuilder::new();
    let mut optimizer = builder.gamma(gamma).candidates(candidates).build(estimator, range).ok()?;
    let place = |trial: &FrozenTrial| {
        let param =
            trial.params.get(name).filter(|param| param.distribution.compatible(distribution));
        // Not-a-number: the parameter wasn't used.
        let place = param.map_or(f64::NAN, |param| distribution.to_continuous(param.internal));
        if range.contains(place) { place } else { f64::NAN }
    };
    // Values only order the trials: good ones come first.
    let ranked = split.good.iter().map(|trial| (trial, 0.0));
    for (trial, value) in ranked.chain(split.bad.iter().map(|trial| (trial, 1.0))) {
        optimizer.tell(place(trial), value).ok()?;
    }
    let drawn = optimizer.ask(&mut seed.rng()).ok()?;
    Some(distribution.from_continuous(drawn))
}
