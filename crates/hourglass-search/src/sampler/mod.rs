//! How the next trial's parameters are chosen. A sampler keeps no state: what it draws depends on
//! the seed, the number of the trial and the stored trials, and on nothing else.

mod grid;
mod multivariate;
pub(crate) mod parzen;
mod random;
mod ranking;
mod sobol;
mod tpe;

use hourglass_core::Seed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::grid::Grid;
pub use self::multivariate::MultivariateTpe;
pub use self::random::Random;
pub use self::sobol::Sobol;
pub use self::tpe::Tpe;
use crate::{Direction, FrozenTrial, Params, Result, SearchSpace};

/// What a sampler may look at.
#[derive(Clone, Copy)]
pub struct History<'a> {
    /// What may be chosen.
    pub space: &'a SearchSpace,
    /// One for each objective.
    pub directions: &'a [Direction],
    /// All other trials of the study, by number.
    pub trials: &'a [FrozenTrial],
    /// The seed of the study.
    pub seed: Seed,
}

impl History<'_> {
    /// The seed of one trial.
    pub fn trial_seed(&self, number: u64) -> Seed {
        self.seed.child("trial").nth(number)
    }
}

/// Chooses the parameters of the next trial.
pub trait Sampler: Send + Sync {
    /// The parameters of trial `number`. Values in `fixed` are taken as they are.
    fn suggest(&self, history: &History<'_>, number: u64, fixed: &Params) -> Params;

    /// Whether it looks at other trials at all.
    fn reads_history(&self) -> bool {
        false
    }

    /// How many trials there are to make; none if there is no end.
    fn limit(&self, _space: &SearchSpace) -> Option<u64> {
        None
    }
}

/// A sampler as a file names it: `{ multivariate_tpe = {} }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SamplerConfig {
    /// Tree-structured Parzen estimators over all parameters together.
    MultivariateTpe(MultivariateTpe),
    /// Tree-structured Parzen estimators, one for each parameter.
    Tpe(Tpe),
    /// Every parameter on its own, by chance.
    Random(Random),
    /// Points that fill the space evenly, one after the other.
    Sobol(Sobol),
    /// Every combination, in order.
    Grid(Grid),
}

impl SamplerConfig {
    /// One of each, with its defaults.
    pub fn examples() -> Vec<SamplerConfig> {
        vec![
            SamplerConfig::MultivariateTpe(MultivariateTpe::default()),
            SamplerConfig::Tpe(Tpe::default()),
            SamplerConfig::Random(Random::default()),
            SamplerConfig::Sobol(Sobol::default()),
            SamplerConfig::Grid(Grid::default()),
        ]
    }

    /// Its name in the file.
    pub fn name(&self) -> &'static str {
        match self {
            SamplerConfig::MultivariateTpe(_) => MultivariateTpe::NAME,
            SamplerConfig::Tpe(_) => Tpe::NAME,
            SamplerConfig::Random(_) => Random::NAME,
            SamplerConfig::Sobol(_) => Sobol::NAME,
            SamplerConfig::Grid(_) => Grid::NAME,
        }
    }

    /// Checks the ranges of its settings before any work.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<()> {
        match self {
            SamplerConfig::MultivariateTpe(config) => config.check(),
            SamplerConfig::Tpe(config) => config.check(),
            SamplerConfig::Random(_) | SamplerConfig::Sobol(_) => Ok(()),
            SamplerConfig::Grid(config) => config.check(),
        }
    }

    /// The sampler.
    pub fn build(&self) -> Box<dyn Sampler> {
        match self.clone() {
            SamplerConfig::MultivariateTpe(config) => Box::new(config),
            SamplerConfig::Tpe(config) => Box::new(config),
            SamplerConfig::Random(config) => Box::new(config),
            SamplerConfig::Sobol(config) => Box::new(config),
            SamplerConfig::Grid(config) => Box::new(config),
        }
    }
}

impl Default for SamplerConfig {
    fn default() -> Self {
        SamplerConfig::MultivariateTpe(MultivariateTpe::default())
    }
}

/// `Err` where `ok` doesn't hold; shared by the checks of samplers and pruners.
pub(crate) fn require(
    ok: bool,
    what: &'static str,
    field: &'static str,
    value: impl ToString,
    expected: &'static str,
) -> Result<()> {
    if ok {
        return Ok(());
    }
    Err(crate::Error::Config { what, field, value: value.to_string(), expected })
}

/// The internal number of a given value, where there is one that the distribution can take.
fn given(fixed: &Params, name: &str, distribution: &crate::Distribution) -> Option<f64> {
    fixed.get(name).and_then(|value| distribution.internal(value))
}
