//! Stops a trial that leaves fixed limits, or reports not-a-number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Progressing, Pruner};
use crate::Result;
use crate::sampler::require;

/// Fixed limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Threshold {
    /// Values below this are stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Values above this are stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// Steps that every trial is given (0 by default).
    pub warmup_steps: i64,
}

impl Threshold {
    /// Its name in the file.
    pub const NAME: &'static str = "threshold";

    pub(super) fn check(&self) -> Result<()> {
        let bounded = self.lower.is_some() || self.upper.is_some();
        require(bounded, Threshold::NAME, "lower", "absent", "given, or `upper`")?;
        if let (Some(lower), Some(upper)) = (self.lower, self.upper) {
            require(lower <= upper, Threshold::NAME, "lower", lower, "at most `upper`")?;
        }
        let steps = self.warmup_steps;
        require(steps >= 0, Threshold::NAME, "warmup_steps", steps, "0 or more")
    }
}

impl Pruner for Threshold {
    fn should_prune(&self, progress: &Progressing<'_>) -> bool {
        let Some(value) = progress.value().filter(|_| progress.step > self.warmup_steps) else {
            return false;
        };
        value.is_nan()
            || self.lower.is_some_and(|lower| value < lower)
            || self.upper.is_some_and(|upper| value > upper)
    }
}

#[cfg(test)]
mod tests {
    use super::super::PrunerConfig;
    use super::super::tests::{against, stops};
    use super::*;

    #[test]
    fn limits_hold_after_the_warm_up() {
        let limits = Threshold { lower: Some(0.0), upper: Some(1.0), warmup_steps: 1 };
        let limits = PrunerConfig::Threshold(limits);
        let decide = |reports: &[f64]| stops(&limits, &against(&[], 0, reports));
        assert!(!decide(&[9.0]));
        assert!(!decide(&[9.0, 1.0]));
        assert!(decide(&[0.5, 1.1]) && decide(&[0.5, -0.1]) && decide(&[0.5, f64::NAN]));
        assert!(Threshold::default().check().is_err());
        let crossed = Threshold { lower: Some(1.0), upper: Some(0.0), warmup_steps: 0 };
        assert!(crossed.check().is_err());
    }
}
