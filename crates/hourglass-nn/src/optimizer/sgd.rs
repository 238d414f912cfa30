//! Stochastic gradient descent, plain, with momentum, or with Nesterov's.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Bound, Moment, Rule, each};

/// Hyperparameters of SGD.
///
/// # Source
/// Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et
/// al., "On the importance of initialization and momentum in deep learning", ICML 2013. As PyTorch
/// counts it: the velocity sums gradients, the learning rate scales the velocity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SgdConfig {
    /// Learning rate; above 0.
    pub learning_rate: f64,
    /// Share of the last step that is kept; in `[0, 1)`. Default: 0.
    #[serde(default)]
    pub momentum: f64,
    /// Whether the gradient is taken as if the momentum had acted already (Nesterov); needs
    /// `momentum`. Default: `false`.
    #[serde(default)]
    pub nesterov: bool,
    /// L2 penalty added to the gradient, of weights and not of biases; 0 or above. Default: 0.
    #[serde(default)]
    pub weight_decay: f64,
}

impl SgdConfig {
    /// Plain gradient descent.
    pub fn new(learning_rate: f64) -> Self {
        SgdConfig { learning_rate, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }
}

impl Rule for SgdConfig {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![
            Bound::above_zero("learning_rate", self.learning_rate),
            Bound::below_one("momentum", self.momentum),
            Bound::zero_or_above("weight_decay", self.weight_decay),
        ]
    }

    fn n_slots(&self) -> usize {
        1
    }

    fn step(&self, moment: Moment, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]) {
        let rate = moment.learning_rate as f32;
        let momentum = self.momentum as f32;
        let penalty = moment.decay(self.weight_decay) as f32;
        if self.nesterov {
            each(values, gradient, slots, |w, g, v| {
                let g = g + penalty * *w;
                *v = momentum * *v + g;
                *w -= rate * (g + momentum * *v);
            });
        } else {
            each(values, gradient, slots, |w, g, v| {
                *v = momentum * *v + g + penalty * *w;
                *w -= rate * *v;
            });
        }
    }
}
