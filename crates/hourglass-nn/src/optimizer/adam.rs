//! Adam, with weight decay coupled (Adam) or decoupled (AdamW).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Bound, Moment, Rule, each_of_two};

/// Hyperparameters of Adam and AdamW; defaults are those of Kingma and Ba.
///
/// # Source
/// Kingma and Ba, "Adam: A Method for Stochastic Optimization", arXiv:1412.6980; Loshchilov and
/// Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101. As in PyTorch, the decoupled
/// decay is scaled by the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate; above 0.
    pub learning_rate: f64,
    /// Decay of the mean of gradients; in `[0, 1)`. Default: 0.9.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// Decay of the mean of squared gradients; in `[0, 1)`. Default: 0.999.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// Added to the root; above 0. Default: 1e-8.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Weight decay, of weights and not of biases; 0 or above. Default: 0.
    #[serde(default)]
    pub weight_decay: f64,
}

pub(super) fn beta1() -> f64 {
    0.9
}
pub(super) fn beta2() -> f64 {
    0.999
}
pub(super) fn epsilon() -> f64 {
    1e-8
}

impl AdamConfig {
    /// The defaults at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        AdamConfig {
            learning_rate,
            beta1: beta1(),
            beta2: beta2(),
            epsilon: epsilon(),
            weight_decay: 0.0,
        }
    }
}

/// Adam or AdamW.
#[derive(Debug)]
pub(super) struct Adam {
    pub config: AdamConfig,
    /// Whether weight decay shrinks the weights instead of entering the gradient.
    pub decoupled: bool,
}

impl Rule for Adam {
    fn learning_rate(&self) -> f64 {
        self.config.learning_rate
    }

    fn bounds(&self) -> Vec<Bound> {
        let config = &self.config;
        vec![
            Bound::above_zero("learning_rate", config.learning_rate),
            Bound::below_one("beta1", config.beta1),
            Bound::below_one("beta2", config.beta2),
            Bound::above_zero("epsilon", config.epsilon),
            Bound::zero_or_above("weight_decay", config.weight_decay),
        ]
    }

    fn n_slots(&self) -> usize {
        2
    }

    fn step(&self, moment: Moment, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]) {
        let config = &self.config;
        let decay = moment.decay(config.weight_decay);
        let (penalty, shrink) = split_decay(decay, moment.learning_rate, self.decoupled);
        let rate = (moment.learning_rate / moment.filled(config.beta1)) as f32;
        let inverse_root = (1.0 / moment.filled(config.beta2).sqrt()) as f32;
        let (beta1, new1) = (config.beta1 as f32, (1.0 - config.beta1) as f32);
        let (beta2, new2) = (config.beta2 as f32, (1.0 - config.beta2) as f32);
        let epsilon = config.epsilon as f32;
        each_of_two(values, gradient, slots, |w, g, m, v| {
            let g = g + penalty * *w;
            *m = beta1 * *m + new1 * g;
            *v = beta2 * *v + new2 * g * g;
            *w = shrink * *w - rate * *m / (v.sqrt() * inverse_root + epsilon);
        });
    }
}

/// What weight decay adds to the gradient, and what it leaves of the weights.
pub(super) fn split_decay(decay: f64, learning_rate: f64, decoupled: bool) -> (f32, f32) {
    if decoupled { (0.0, (1.0 - learning_rate * decay) as f32) } else { (decay as f32, 1.0) }
}
