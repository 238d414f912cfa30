//! RMSprop: gradients over the root of their mean square.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::epsilon;
use super::rule::{Bound, Moment, Rule, each};

/// Hyperparameters of RMSprop; defaults are PyTorch's.
///
/// # Source
/// Tieleman and Hinton, "Neural Networks for Machine Learning", lecture 6.5, 2012. Not centred and
/// without momentum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RmspropConfig {
    /// Learning rate; above 0.
    pub learning_rate: f64,
    /// Decay of the mean of squared gradients; in `[0, 1)`. Default: 0.99.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// Added to the root; above 0. Default: 1e-8.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// L2 penalty added to the gradient, of weights and not of biases; 0 or above. Default: 0.
    #[serde(default)]
    pub weight_decay: f64,
}

fn alpha() -> f64 {
    0.99
}

impl RmspropConfig {
    /// The defaults at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        RmspropConfig { learning_rate, alpha: alpha(), epsilon: epsilon(), weight_decay: 0.0 }
    }
}

impl Rule for RmspropConfig {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![
            Bound::above_zero("learning_rate", self.learning_rate),
            Bound::below_one("alpha", self.alpha),
            Bound::above_zero("epsilon", self.epsilon),
            Bound::zero_or_above("weight_decay", self.weight_decay),
        ]
    }

    fn n_slots(&self) -> usize {
        1
    }

    fn step(&self, moment: Moment, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]) {
        let rate = moment.learning_rate as f32;
        let (alpha, new) = (self.alpha as f32, (1.0 - self.alpha) as f32);
        let epsilon = self.epsilon as f32;
        let penalty = moment.decay(self.weight_decay) as f32;
        each(values, gradient, slots, |w, g, v| {
            let g = g + penalty * *w;
            *v = alpha * *v + new * g * g;
            *w -= rate * g / (v.sqrt() + epsilon);
        });
    }
}
