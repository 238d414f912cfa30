//! What is done when a loss stops being a number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What is done when the loss, the gradient or the validation loss is no finite number any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OnDivergence {
    /// Training fails, and says where the first such number was found.
    #[default]
    Stop,
    /// Back to the end of the last good epoch, with a smaller learning rate.
    Rollback {
        /// What the learning rate is multiplied by, each time; in `(0, 1)`. Default: 0.1.
        #[serde(default = "factor")]
        factor: f64,
        /// How often at most; then training fails. 1 or more. Default: 3.
        #[serde(default = "at_most")]
        at_most: usize,
    },
}

fn factor() -> f64 {
    0.1
}

fn at_most() -> usize {
    3
}

impl OnDivergence {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(self) -> Result<()> {
        let OnDivergence::Rollback { factor, at_most } = self else { return Ok(()) };
        if !(factor > 0.0 && factor < 1.0) {
            return Err(Error::Config {
                key: "on_divergence.rollback.factor",
                value: factor.to_string(),
                range: "between 0 and 1".to_owned(),
            });
        }
        if at_most == 0 {
            return Err(Error::Config {
                key: "on_divergence.rollback.at_most",
                value: "0".to_owned(),
                range: "1 or more".to_owned(),
            });
        }
        Ok(())
    }
}
