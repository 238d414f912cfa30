//! RAdam: Adam that waits until the variance of its rate is known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adam::{beta1, beta2, epsilon, split_decay};
use super::rule::{Bound, Moment, Rule, each_of_two};

/// Length of the average below which the adaptive rate is left out, as in PyTorch.
const TRACTABLE: f64 = 5.0;

/// Hyperparameters of RAdam; defaults are PyTorch's.
///
/// # Source
/// Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", arXiv:1908.03265.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RadamConfig {
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
    /// Whether weight decay shrinks the weights (as in AdamW) instead of entering the gradient.
    /// Default: `false`.
    #[serde(default)]
    pub decoupled: bool,
}

impl RadamConfig {
    /// The defaults at this learning rate.
    pub fn new(learning_rate: f64) -> Self {
        RadamConfig {
            learning_rate,
            beta1: beta1(),
            beta2: beta2(),
            epsilon: epsilon(),
            weight_decay: 0.0,
            decoupled: false,
        }
    }

    /// By what the adaptive rate is multiplied, or `None` while its variance is unknown.
    fn rectification(&self, moment: Moment) -> Option<f64> {
        let longest = 2.0 / (1.0 - self.beta2) - 1.0;
        let t = moment.n_steps as f64;
        let length = longest - 2.0 * t * self.beta2.powf(t) / moment.filled(self.beta2);
        (length > TRACTABLE).then(|| {
            ((length - 4.0) * (length - 2.0) * longest
                / ((longest - 4.0) * (longest - 2.0) * length))
                .sqrt()
        })
    }
}

impl Rule for RadamConfig {
    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn bounds(&self) -> Vec<Bound> {
        vec![
            Bound::above_zero("learning_rate", self.learning_rate),
            Bound::below_one("beta1", self.beta1),
            Bound::below_one("beta2", self.beta2),
            Bound::above_zero("epsilon", self.epsilon),
            Bound::zero_or_above("weight_decay", self.weight_decay),
        ]
    }

    fn n_slots(&self) -> usize {
        2
    }

    fn step(&self, moment: Moment, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]) {
        let decay = moment.decay(self.weight_decay);
        let (penalty, shrink) = split_decay(decay, moment.learning_rate, self.decoupled);
        let rate = moment.learning_rate / moment.filled(self.beta1);
        let (beta1, new1) = (self.beta1 as f32, (1.0 - self.beta1) as f32);
        let (beta2, new2) = (self.beta2 as f32, (1.0 - self.beta2) as f32);
        let epsilon = self.epsilon as f32;
        match self.rectification(moment) {
            Some(rectification) => {
                let root = moment.filled(self.beta2).sqrt();
                let rate = (rate * rectification * root) as f32;
                each_of_two(values, gradient, slots, |w, g, m, v| {
                    let g = g + penalty * *w;
                    *m = beta1 * *m + new1 * g;
                    *v = beta2 * *v + new2 * g * g;
                    *w = shrink * *w - rate * *m / (v.sqrt() + epsilon);
                });
            }
            None => {
                let rate = rate as f32;
                each_of_two(values, gradient, slots, |w, g, m, v| {
                    let g = g + penalty * *w;
                    *m = beta1 * *m + new1 * g;
                    *v = beta2 * *v + new2 * g * g;
                    *w = shrink * *w - rate * *m;
                });
            }
        }
    }
}
