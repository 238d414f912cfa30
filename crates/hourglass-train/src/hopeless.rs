//! Whether a training that the doctor gives up ends. The trainer doesn't know when that is: an
//! observer decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done about a training that the doctor finds hopeless while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnHopeless {
    /// It goes on to its end.
    #[default]
    GoOn,
    /// It ends there, and the report says so.
    Stop,
}

impl OnHopeless {
    pub(crate) fn goes_on(&self) -> bool {
        *self == OnHopeless::GoOn
    }
}
