//! Adagrad: gradients over the root of the sum of their squares.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Bound, Moment, Rule, each};

/// Hyperparameters of Adagrad; defaults are PyTorch's.
///
/// # Source
/// Duchi, Hazan, Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic
/// Optimization", JMLR 12, 2011. The decay of the rate is left to a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdagradConfig {
    /// Learning rate; above 0.
    pub learning_rate: f64,
    /// Added to the root; above 0. Default: 1e-10.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// L2 penalty added to the gradient, of weights and not of biases; 0 or above. Default: 0.
    #[serde(default)]
    pub weight_decay: f64,
}

fn epsilon() -> f64 {
    1e-10
}

impl AdagradConfig {
    /// The defaults at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        AdagradConfig { learning_rate, epsilon: epsilon(), weight_decay: 0.0 }
    }
}

impl Rule for AdagradConfig {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![
            Bound::above_zero("learning_rate", self.learning_rate),
            Bound::above_zero("epsilon", self.epsilon),
            Bound::zero_or_above("weight_decay", self.weight_decay),
        ]
    }

    fn n_slots(&self) -> usize {
        1
    }

    fn step(&self, moment: Moment, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]) {
        let rate = moment.learning_rate as f32;
        let epsilon = self.epsilon as f32;
        let penalty = moment.decay(self.weight_decay) as f32;
        each(values, gradient, slots, |w, g, v| {
            let g = g + penalty * *w;
            *v += g * g;
            *w -= rate * g / (v.sqrt() + epsilon);
        });
    }
}
