//! Lion: the sign of a momentum.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::{beta1, split_decay};
use super::rule::{Bound, Moment, Rule, each};

/// Hyperparameters of Lion; defaults are those of its authors, who take a learning rate 3 to 10
/// times smaller, and a weight decay 3 to 10 times larger, than for AdamW.
///
/// # Source
/// Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675, program 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LionConfig {
    /// Learning rate; above 0.
    pub learning_rate: f64,
    /// Share of the momentum in the direction of the step; in `[0, 1)`. Default: 0.9.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// Decay of the momentum; in `[0, 1)`. Default: 0.99.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// Weight decay (decoupled), of weights and not of biases; 0 or above. Default: 0.
    #[serde(default)]
    pub weight_decay: f64,
}

fn beta2() -> f64 {
    0.99
}

impl LionConfig {
    /// The defaults at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        LionConfig { learning_rate, beta1: beta1(), beta2: beta2(), weight_decay: 0.0 }
    }
}

impl Rule for LionConfig {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![
            Bound::above_zero("learning_rate", self.learning_rate),
            Bound::below_one("beta1", self.beta1),
            Bound::below_one("beta2", self.beta2),
            Bound::zero_or_above("weight_decay", self.weight_decay),
        ]
    }

    fn n_slots(&self) -> usize {
        1
    }

    fn step(&self, moment: Moment, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]) {
        let decay = moment.decay(self.weight_decay);
        let (_, shrink) = split_decay(decay, moment.learning_rate, true);
        let rate = moment.learning_rate as f32;
        let (beta1, new1) = (self.beta1 as f32, (1.0 - self.beta1) as f32);
        let (beta2, new2) = (self.beta2 as f32, (1.0 - self.beta2) as f32);
        each(values, gradient, slots, |w, g, m| {
            let direction = beta1 * *m + new1 * g;
            // A weight without any gradient stays where it is.
            let sign = if direction == 0.0 { 0.0 } else { direction.signum() };
            *m = beta2 * *m + new2 * g;
            *w = shrink * *w - rate * sign;
        });
    }
}
