//! Every parameter on its own, uniformly on its scale. The yardstick for all others.

use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{History, Sampler, given};
use crate::Params;

/// Random search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {}

impl Random {
    /// Its name in the file.
    pub const NAME: &'static str = "random";
}

impl Sampler for Random {
    fn suggest(&self, history: &History<'_>, number: u64, fixed: &Params) -> Params {
        let seed = history.trial_seed(number);
        history.space.fill(|name, distribution| {
            // A generator for each name: what one parameter draws doesn't hang on the others.
            let place = seed.child(name).rng().random::<f64>();
            given(fixed, name, distribution).unwrap_or_else(|| distribution.from_unit(place))
        })
    }
}
