//! Optimisers as one fused in-place pass over each parameter, with a state that can be saved.
//!
//! One member, one file, behind [`Rule`]. Which parameters are trained, what the learning rate is
//! and whether gradients are clipped is decided elsewhere.

mod adagrad;
mod adam;
mod lion;
mod nadam;
mod radam;
mod rmsprop;
mod rule;
mod sgd;

pub use adagrad::AdagradConfig;
pub use adam::AdamConfig;
pub use lion::LionConfig;
pub use nadam::NadamConfig;
pub use radam::RadamConfig;
pub use rmsprop::RmspropConfig;
pub use sgd::SgdConfig;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::adam::Adam;
use self::rule::{Moment, Rule};
use crate::{Error, Parameter, Result};

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
    /// Duchi, Hazan, Singer, "Adaptive Subgradient Methods", JMLR 12, 2011.
    Adagrad(AdagradConfig),
    /// Dozat, "Incorporating Nesterov Momentum into Adam", ICLR workshop 2016.
    Nadam(NadamConfig),
    /// Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", arXiv:1908.03265.
    Radam(RadamConfig),
    /// Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675.
    Lion(LionConfig),
}

impl OptimizerConfig {
    /// Every optimiser, for tests and the reference page.
    pub fn examples() -> Vec<OptimizerConfig> {
        let adam = AdamConfig { weight_decay: 0.1, ..AdamConfig::new(0.01) };
        let sgd = SgdConfig { momentum: 0.9, weight_decay: 0.1, ..SgdConfig::new(0.01) };
        let nadam = NadamConfig { weight_decay: 0.1, ..NadamConfig::new(0.01) };
        let radam = RadamConfig { weight_decay: 0.1, ..RadamConfig::new(0.01) };
        vec![
            OptimizerConfig::Adam(adam),
            OptimizerConfig::Adamw(adam),
            OptimizerConfig::Sgd(sgd),
            OptimizerConfig::Sgd(SgdConfig { nesterov: true, ..sgd }),
            OptimizerConfig::Rmsprop(RmspropConfig {
                weight_decay: 0.1,
                ..RmspropConfig::new(0.01)
            }),
            OptimizerConfig::Adagrad(AdagradConfig {
                weight_decay: 0.1,
                ..AdagradConfig::new(0.1)
            }),
            OptimizerConfig::Nadam(nadam),
            OptimizerConfig::Nadam(NadamConfig { decoupled: true, ..nadam }),
            OptimizerConfig::Radam(radam),
            OptimizerConfig::Radam(RadamConfig { decoupled: true, ..radam }),
            OptimizerConfig::Lion(LionConfig { weight_decay: 0.1, ..LionConfig::new(0.01) }),
        ]
    }

    /// Adam with the defaults of its authors.
    pub fn adam(learning_rate: f64) -> Self {
        OptimizerConfig::Adam(AdamConfig::new(learning_rate))
    }

    /// The learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        self.rule().learning_rate()
    }

    /// Its name in the pipeline file.
    pub fn name(&self) -> &'static str {
        match self {
            OptimizerConfig::Adam(_) => "adam",
            OptimizerConfig::Adamw(_) => "adamw",
            OptimizerConfig::Sgd(_) => "sgd",
            OptimizerConfig::Rmsprop(_) => "rmsprop",
            OptimizerConfig::Adagrad(_) => "adagrad",
            OptimizerConfig::Nadam(_) => "nadam",
            OptimizerConfig::Radam(_) => "radam",
            OptimizerConfig::Lion(_) => "lion",
        }
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(&self) -> Result<()> {
        for bound in self.rule().bounds() {
            bound.check(self.name())?;
        }
        match self {
            OptimizerConfig::Sgd(config) if config.nesterov && config.momentum == 0.0 => {
                let range = "above 0 and below 1 where `nesterov` is true";
                Err(Error::hyperparameter("optimizer.sgd.momentum", 0, range))
            }
            _ => Ok(()),
        }
    }

    fn rule(&self) -> Box<dyn Rule> {
        match *self {
            OptimizerConfig::Adam(config) => Box::new(Adam { config, decoupled: false }),
            OptimizerConfig::Adamw(config) => Box::new(Adam { config, decoupled: true }),
            OptimizerConfig::Sgd(config) => Box::new(config),
            OptimizerConfig::Rmsprop(config) => Box::new(config),
            OptimizerConfig::Adagrad(config) => Box::new(config),
            OptimizerConfig::Nadam(config) => Box::new(config),
            OptimizerConfig::Radam(config) => Box::new(config),
            OptimizerConfig::Lion(config) => Box::new(config),
        }
    }
}

/// What an optimiser remembers between steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Steps taken.
    pub n_steps: u64,
    /// Steps in which each parameter had a gradient.
    pub counts: Vec<u64>,
    /// Moments, parameter by parameter, slot by slot.
    pub slots: Vec<Vec<Vec<f32>>>,
}

/// An optimiser at work on a fixed list of parameters.
///
/// ```
/// use hourglass_nn::{Optimizer, OptimizerConfig, Parameter, backward};
///
/// # fn main() -> hourglass_nn::Result<()> {
/// // The minimum of (w - 3)^2.
/// let w = Parameter::new("w", vec![0.0], &[1], true)?;
/// let mut optimizer = Optimizer::new(OptimizerConfig::adam(0.1), vec![w.clone()]);
/// for _ in 0..200 {
///     let loss = (w.tensor() - 3.0)?.sqr()?.sum_all()?;
///     backward(&loss, &[w.clone()])?;
///     optimizer.step(0.1)?;
/// }
/// assert!((w.values()?[0] - 3.0).abs() < 1e-2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Optimizer {
    rule: Box<dyn Rule>,
    parameters: Vec<Parameter>,
    state: OptimizerState,
    /// For each parameter, the product of what [`Rule::factor`] says of its steps so far.
    products: Vec<f64>,
    decays_all: bool,
}

impl Optimizer {
    /// An optimiser that has taken no step. Weight decay spares biases and normalisations.
    pub fn new(config: OptimizerConfig, parameters: Vec<Parameter>) -> Self {
        let rule = config.rule();
        let slots = parameters
            .iter()
            .map(|parameter| vec![vec![0.0; parameter.len()]; rule.n_slots()])
            .collect();
        let n = parameters.len();
        let state = OptimizerState { n_steps: 0, counts: vec![0; n], slots };
        Optimizer { rule, parameters, state, products: vec![1.0; n], decays_all: false }
    }

    /// The same with weight decay on every parameter, biases and normalisations too.
    pub fn with_decay_of_all(mut self, decays_all: bool) -> Self {
        self.decays_all = decays_all;
        self
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
        if expected != found || state.counts.len() != self.state.counts.len() {
            return Err(Error::StateMismatch {
                name: "optimizer".to_owned(),
                expected: format!("moments of sizes {expected:?}"),
                found: format!("moments of sizes {found:?}"),
            });
        }
        let product = |&count: &u64| (1..=count).map(|step| self.rule.factor(step)).product();
        self.products = state.counts.iter().map(product).collect();
        self.state = state;
        Ok(())
    }

    /// One step with this learning rate; then the gradients are cleared. A parameter that no
    /// gradient reached stays as it is, and its step doesn't count.
    ///
    /// # Errors
    /// If candle can't hand out the storage of a parameter.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        self.state.n_steps += 1;
        let (rule, decays_all) = (&self.rule, self.decays_all);
        let OptimizerState { counts, slots, .. } = &mut self.state;
        // All at once: small ones fill the gaps that large ones leave.
        self.parameters
            .par_iter()
            .zip(counts.par_iter_mut().zip(&mut self.products))
            .zip(slots)
            .filter(|((parameter, _), _)| parameter.has_gradient())
            .try_for_each(|((parameter, (count, product)), slots)| {
                *count += 1;
                *product *= rule.factor(*count);
                let decays = decays_all || parameter.decays();
                let moment = Moment { learning_rate, n_steps: *count, product: *product, decays };
                parameter.update(|values, gradient| rule.step(moment, values, gradient, slots))?;
                parameter.clear_gradient();
                Ok(())
            })
    }
}

#[cfg(test)]
mod tests;
