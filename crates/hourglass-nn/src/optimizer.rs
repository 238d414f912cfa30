//! Optimisers as one fused in-place pass over each parameter, with a state that can be saved.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::simd::wide;
use crate::{Error, Parameter, Result};

/// Values that one task updates.
const CHUNK: usize = 1 << 14;

/// Which optimiser, with its hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Kingma and Ba, arXiv:1412.6980; `weight_decay` is added to the gradient (coupled).
    Adam(AdamConfig),
    /// Loshchilov and Hutter, arXiv:1711.05101; `weight_decay` shrinks the weights (decoupled).
    Adamw(AdamConfig),
    /// Stochastic gradient descent with momentum, as PyTorch counts it (no dampening).
    Sgd(SgdConfig),
    /// Tieleman and Hinton, lecture 6.5, 2012, as PyTorch counts it (epsilon outside the root).
    Rmsprop(RmspropConfig),
}

/// Hyperparameters of Adam and AdamW; defaults are those of Kingma and Ba.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdamConfig {
    /// Learning rate; above 0.
    pub learning_rate: f64,
    /// Decay of the mean of gradients; in `[0, 1)`.
    #[serde(default = "beta1")]
    pub beta1: f64,
    /// Decay of the mean of squared gradients; in `[0, 1)`.
    #[serde(default = "beta2")]
    pub beta2: f64,
    /// Added to the root; above 0.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// Weight decay, of weights and never of biases; 0 or above.
    #[serde(default)]
    pub weight_decay: f64,
}

/// Hyperparameters of SGD.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SgdConfig {
    /// Learning rate; above 0.
    pub learning_rate: f64,
    /// Share of the last step that is kept; in `[0, 1)`.
    #[serde(default)]
    pub momentum: f64,
    /// L2 penalty added to the gradient, of weights and never of biases; 0 or above.
    #[serde(default)]
    pub weight_decay: f64,
}

/// Hyperparameters of RMSprop; defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RmspropConfig {
    /// Learning rate; above 0.
    pub learning_rate: f64,
    /// Decay of the mean of squared gradients; in `[0, 1)`.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// Added to the root; above 0.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// L2 penalty added to the gradient, of weights and never of biases; 0 or above.
    #[serde(default)]
    pub weight_decay: f64,
}

fn beta1() -> f64 {
    0.9
}
fn beta2() -> f64 {
    0.999
}
fn alpha() -> f64 {
    0.99
}
fn epsilon() -> f64 {
    1e-8
}

impl OptimizerConfig {
    /// Every optimiser, for tests and the reference page.
    pub fn examples() -> Vec<OptimizerConfig> {
        let adam = AdamConfig {
            learning_rate: 0.01,
            beta1: beta1(),
            beta2: beta2(),
            epsilon: epsilon(),
            weight_decay: 0.1,
        };
        vec![
            OptimizerConfig::Adam(adam),
            OptimizerConfig::Adamw(adam),
            OptimizerConfig::Sgd(SgdConfig {
                learning_rate: 0.01,
                momentum: 0.9,
                weight_decay: 0.1,
            }),
            OptimizerConfig::Rmsprop(RmspropConfig {
                learning_rate: 0.01,
                alpha: alpha(),
                epsilon: epsilon(),
                weight_decay: 0.1,
            }),
        ]
    }

    /// The learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match self {
            OptimizerConfig::Adam(c) | OptimizerConfig::Adamw(c) => c.learning_rate,
            OptimizerConfig::Sgd(c) => c.learning_rate,
            OptimizerConfig::Rmsprop(c) => c.learning_rate,
        }
    }

    /// Its name in the pipeline file.
    pub fn name(&self) -> &'static str {
        match self {
            OptimizerConfig::Adam(_) => "adam",
            OptimizerConfig::Adamw(_) => "adamw",
            OptimizerConfig::Sgd(_) => "sgd",
            OptimizerConfig::Rmsprop(_) => "rmsprop",
        }
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(&self) -> Result<()> {
        let rate = self.learning_rate();
        if !(rate > 0.0 && rate.is_finite()) {
            return Err(Error::hyperparameter("optimizer.learning_rate", rate, "above 0"));
        }
        let (decays, epsilon, weight_decay): (&[(&'static str, f64)], f64, f64) = match self {
            OptimizerConfig::Adam(c) | OptimizerConfig::Adamw(c) => (
                &[("optimizer.beta1", c.beta1), ("optimizer.beta2", c.beta2)],
                c.epsilon,
                c.weight_decay,
            ),
            OptimizerConfig::Sgd(c) => (&[("optimizer.momentum", c.momentum)], 1.0, c.weight_decay),
            OptimizerConfig::Rmsprop(c) => {
                (&[("optimizer.alpha", c.alpha)], c.epsilon, c.weight_decay)
            }
        };
        for &(key, value) in decays {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::hyperparameter(key, value, "at least 0 and below 1"));
            }
        }
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(Error::hyperparameter("optimizer.epsilon", epsilon, "above 0"));
        }
        if !(weight_decay >= 0.0 && weight_decay.is_finite()) {
            return Err(Error::hyperparameter(
                "optimizer.weight_decay",
                weight_decay,
                "0 or above",
            ));
        }
        Ok(())
    }

    fn n_slots(&self) -> usize {
        match self {
            OptimizerConfig::Adam(_) | OptimizerConfig::Adamw(_) => 2,
            OptimizerConfig::Sgd(_) | OptimizerConfig::Rmsprop(_) => 1,
        }
    }
}

/// What an optimiser remembers between steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Steps taken.
    pub n_steps: u64,
    /// Moments, parameter by parameter, slot by slot.
    pub slots: Vec<Vec<Vec<f32>>>,
}

/// An optimiser at work on a fixed list of parameters.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    parameters: Vec<Parameter>,
    state: OptimizerState,
}

impl Optimizer {
    /// An optimiser that has taken no step.
    pub fn new(config: OptimizerConfig, parameters: Vec<Parameter>) -> Self {
        let slots = parameters
            .iter()
            .map(|parameter| vec![vec![0.0; parameter.len()]; config.n_slots()])
            .collect();
        Optimizer { config, parameters, state: OptimizerState { n_steps: 0, slots } }
    }

    /// What it remembers.
    pub fn state(&self) -> &OptimizerState {
        &self.state
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] if the state belongs to other parameters.
    pub fn restore(&mut self, state: OptimizerState) -> Result<()> {
        let shape = |state: &OptimizerState| {
            state.slots.iter().map(|s| s.iter().map(Vec::len).collect()).collect::<Vec<Vec<_>>>()
        };
        let (expected, found) = (shape(&self.state), shape(&state));
        if expected != found {
            return Err(Error::StateMismatch {
                name: "optimizer".to_owned(),
                expected: format!("moments of sizes {expected:?}"),
                found: format!("moments of sizes {found:?}"),
            });
        }
        self.state = state;
        Ok(())
    }

    /// One step with this learning rate; then the gradients are cleared.
    ///
    /// # Errors
    /// If candle can't hand out the storage of a parameter.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        self.state.n_steps += 1;
        let n_steps = self.state.n_steps;
        for (parameter, slots) in self.parameters.iter().zip(&mut self.state.slots) {
            let update = self.config.update(learning_rate, n_steps, parameter.decays());
            parameter.update(|values, gradient| update.apply(values, gradient, slots))?;
            parameter.clear_gradient();
        }
        Ok(())
    }
}

impl OptimizerConfig {
    fn update(&self, learning_rate: f64, n_steps: u64, decays: bool) -> Update {
        let decay = |weight_decay: f64| if decays { weight_decay as f32 } else { 0.0 };
        let rate = learning_rate as f32;
        match *self {
            OptimizerConfig::Adam(c) | OptimizerConfig::Adamw(c) => {
                let power = |beta: f64| 1.0 - beta.powf(n_steps as f64);
                let coupled = matches!(self, OptimizerConfig::Adam(_));
                let weight_decay = decay(c.weight_decay);
                Update::Adam {
                    rate: (learning_rate / power(c.beta1)) as f32,
                    inverse_root: (1.0 / power(c.beta2).sqrt()) as f32,
                    beta1: c.beta1 as f32,
                    beta2: c.beta2 as f32,
                    epsilon: c.epsilon as f32,
                    shrink: if coupled { 1.0 } else { 1.0 - rate * weight_decay },
                    penalty: if coupled { weight_decay } else { 0.0 },
                }
            }
            OptimizerConfig::Sgd(c) => {
                Update::Sgd { rate, momentum: c.momentum as f32, penalty: decay(c.weight_decay) }
            }
            OptimizerConfig::Rmsprop(c) => Update::Rmsprop {
                rate,
                alpha: c.alpha as f32,
                epsilon: c.epsilon as f32,
                penalty: decay(c.weight_decay),
            },
        }
    }
}

/// The constants of one step, ready for the loop.
#[derive(Clone, Copy)]
enum Update {
    Adam {
        rate: f32,
        inverse_root: f32,
        beta1: f32,
        beta2: f32,
        epsilon: f32,
        shrink: f32,
        penalty: f32,
    },
    Sgd {
        rate: f32,
        momentum: f32,
        penalty: f32,
    },
    Rmsprop {
        rate: f32,
        alpha: f32,
        epsilon: f32,
        penalty: f32,
    },
}

impl Update {
    fn apply(self, values: &mut [f32], gradient: &[f32], slots: &mut [Vec<f32>]) {
        match (self, slots) {
            (
                Update::Adam { rate, inverse_root, beta1, beta2, epsilon, shrink, penalty },
                [mean, square],
            ) => values
                .par_chunks_mut(CHUNK)
                .zip(gradient.par_chunks(CHUNK))
                .zip(mean.par_chunks_mut(CHUNK).zip(square.par_chunks_mut(CHUNK)))
                .for_each(|((values, gradient), (mean, square))| {
                    wide(|| {
                        let moments = mean.iter_mut().zip(square);
                        for ((w, &g), (m, v)) in values.iter_mut().zip(gradient).zip(moments) {
                            let g = g + penalty * *w;
                            *m = beta1 * *m + (1.0 - beta1) * g;
                            *v = beta2 * *v + (1.0 - beta2) * g * g;
                            *w = shrink * *w - rate * *m / (v.sqrt() * inverse_root + epsilon);
                        }
                    });
                }),
            (Update::Sgd { rate, momentum, penalty }, [velocity]) => {
                each(values, gradient, velocity, |w, g, v| {
                    *v = momentum * *v + g + penalty * *w;
                    *w -= rate * *v;
                });
            }
            (Update::Rmsprop { rate, alpha, epsilon, penalty }, [square]) => {
                each(values, gradient, square, |w, g, v| {
                    let g = g + penalty * *w;
                    *v = alpha * *v + (1.0 - alpha) * g * g;
                    *w -= rate * g / (v.sqrt() + epsilon);
                });
            }
            _ => unreachable!("the slots were made by the same configuration"),
        }
    }
}

fn each(
    values: &mut [f32],
    gradient: &[f32],
    slot: &mut [f32],
    f: impl Fn(&mut f32, f32, &mut f32) + Sync,
) {
    values
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(slot.par_chunks_mut(CHUNK))
        .for_each(|((values, gradient), slot)| {
            wide(|| {
                for ((w, &g), v) in values.iter_mut().zip(gradient).zip(slot) {
                    f(w, g, v);
                }
            });
        });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred steps on `3 x^2 + y^4 / 4` from (1, -2).
    fn descend(config: OptimizerConfig) -> Vec<f32> {
        let parameter = Parameter::new("w", vec![1.0, -2.0], &[2], true).unwrap();
        let mut optimizer = Optimizer::new(config, vec![parameter.clone()]);
        for _ in 0..100 {
            set_gradient(&parameter);
            optimizer.step(0.01).unwrap();
        }
        parameter.values().unwrap()
    }

    fn set_gradient(parameter: &Parameter) {
        let values = parameter.values().unwrap();
        let mut gradient = parameter.lock();
        gradient.values.copy_from_slice(&[6.0 * values[0], values[1].powi(3)]);
        gradient.is_set = true;
    }

    #[test]
    fn trajectories_agree_with_pytorch() {
        // w = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
        // o = torch.optim.Adam([w], lr=.01, weight_decay=.1), AdamW(the same),
        //     SGD([w], lr=.01, momentum=.9, weight_decay=.1), RMSprop([w], lr=.01, weight_decay=.1)
        // for _ in range(100): o.zero_grad(); (3*w[0]**2 + .25*w[1]**4).backward(); o.step()
        let expected = [
            [0.224_446_043_05, -1.239_028_955_8],
            [0.191_157_883_80, -1.134_844_229_1],
            [0.004_861_632_166_8, 0.079_660_915_456],
            [0.011_814_020_466, -0.827_303_287_02],
        ];
        for (config, expected) in OptimizerConfig::examples().into_iter().zip(expected) {
            for (found, expected) in descend(config).into_iter().zip(expected) {
                let error = (f64::from(found) - expected).abs();
                assert!(error < 2e-5 * expected.abs().max(0.1), "{config:?}: {found} {expected}");
            }
        }
    }

    #[test]
    fn a_restored_state_goes_on_bit_for_bit() {
        for config in OptimizerConfig::examples() {
            let parameter = Parameter::new("w", vec![1.0, -2.0], &[2], true).unwrap();
            let mut optimizer = Optimizer::new(config, vec![parameter.clone()]);
            for _ in 0..50 {
                set_gradient(&parameter);
                optimizer.step(0.01).unwrap();
            }
            let state = optimizer.state().clone();
            let mut resumed = Optimizer::new(config, vec![parameter.clone()]);
            resumed.restore(state).unwrap();
            for _ in 0..50 {
                set_gradient(&parameter);
                resumed.step(0.01).unwrap();
            }
            assert_eq!(parameter.values().unwrap(), descend(config));
        }
    }
}
