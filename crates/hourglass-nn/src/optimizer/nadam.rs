//! NAdam: Adam with Nesterov's momentum.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::{beta1, beta2, epsilon, split_decay};
use super::rule::{Bound, Moment, Rule, each_of_two};

/// Hyperparameters of NAdam; defaults are PyTorch's.
///
/// # Source
/// Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016, with its warming
/// schedule of the momentum: `beta1 * (1 - 0.96^(step * momentum_decay) / 2)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NadamConfig {
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
    /// How fast the momentum rises; 0 or above. Default: 0.004.
    #[serde(default = "momentum_decay")]
    pub momentum_decay: f64,
    /// Weight decay, of weights and not of biases; 0 or above. Default: 0.
    #[serde(default)]
    pub weight_decay: f64,
    /// Whether weight decay shrinks the weights (as in AdamW) instead of entering the gradient.
    /// Default: `false`.
    #[serde(default)]
    pub decoupled: bool,
}

fn momentum_decay() -> f64 {
    4e-3
}

impl NadamConfig {
    /// The defaults at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        NadamConfig {
            learning_rate,
            beta1: beta1(),
            beta2: beta2(),
            epsilon: epsilon(),
            momentum_decay: momentum_decay(),
            weight_decay: 0.0,
            decoupled: false,
        }
    }
}

impl Rule for NadamConfig {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![
            Bound::above_zero("learning_rate", self.learning_rate),
            Bound::below_one("beta1", self.beta1),
            Bound::below_one("beta2", self.beta2),
            Bound::above_zero("epsilon", self.epsilon),
            Bound::zero_or_above("momentum_decay", self.momentum_decay),
            Bound::zero_or_above("weight_decay", self.weight_decay),
        ]
    }

    fn n_slots(&self) -> usize {
        2
    }

    /// The momentum of a step.
    fn factor(&self, n_steps: u64) -> f64 {
        self.beta1 * (1.0 - 0.5 * 0.96_f64.powf(n_steps as f64 * self.momentum_decay))
    }

    fn step(&self, moment: Moment, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]) {
        let decay = moment.decay(self.weight_decay);
        let (penalty, shrink) = split_decay(decay, moment.learning_rate, self.decoupled);
        let (now, next) = (self.factor(moment.n_steps), self.factor(moment.n_steps + 1));
        let of_gradient = moment.learning_rate * (1.0 - now) / (1.0 - moment.product);
        let of_mean = moment.learning_rate * next / (1.0 - moment.product * next);
        let (of_gradient, of_mean) = (of_gradient as f32, of_mean as f32);
        let inverse_root = (1.0 / moment.filled(self.beta2).sqrt()) as f32;
        let (beta1, new1) = (self.beta1 as f32, (1.0 - self.beta1) as f32);
        let (beta2, new2) = (self.beta2 as f32, (1.0 - self.beta2) as f32);
        let epsilon = self.epsilon as f32;
        each_of_two(values, gradient, slots, |w, g, m, v| {
            let g = g + penalty * *w;
            *m = beta1 * *m + new1 * g;
            *v = beta2 * *v + new2 * g * g;
            let root = v.sqrt() * inverse_root + epsilon;
            *w = shrink * *w - (of_gradient * g + of_mean * *m) / root;
        });
    }
}
