//! Learning-rate schedules, as factors of the optimiser's learning rate, step by step. All counts
//! in the configuration are epochs; what a step is, the trainer says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How the learning rate changes during training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ScheduleConfig {
    /// It doesn't.
    #[default]
    Constant,
    /// Times `factor` every so many epochs.
    Step {
        /// Epochs between two steps; 1 or more.
        every_epochs: usize,
        /// In `(0, 1)`.
        factor: f64,
    },
    /// Times `factor` after each of the epochs named.
    MultiStep {
        /// Epochs after which the rate falls, rising; each 1 or more.
        after_epochs: Vec<usize>,
        /// In `(0, 1)`.
        factor: f64,
    },
    /// Times `factor` an epoch, spread evenly over its steps.
    Exponential {
        /// In `(0, 1)`.
        factor: f64,
    },
    /// Half a cosine from the full rate down to `floor` times it, step by step: Loshchilov and
    /// Hutter, "SGDR", arXiv:1608.03983.
    Cosine {
        /// Share of the rate at the end; in `[0, 1]`. Default: 0.
        #[serde(default)]
        floor: f64,
        /// Epochs until the rate jumps back to its full height; 1 or more. Default: no restart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        restart_epochs: Option<usize>,
        /// How many times longer each round is than the one before; 1 or more. Default: 1.
        #[serde(default = "one")]
        restart_factor: usize,
    },
    /// `(1 - share of the steps done) ^ power`, down to `floor` times the rate.
    Polynomial {
        /// Above 0; 1 is a straight line. Default: 1.
        #[serde(default = "linear")]
        power: f64,
        /// Share of the rate at the end; in `[0, 1]`. Default: 0.
        #[serde(default)]
        floor: f64,
    },
    /// Up to the full rate and down again in two half cosines: Smith and Topin,
    /// "Super-Convergence", arXiv:1708.07120, as PyTorch counts it. The momentum stays as it is.
    OneCycle {
        /// Share of the steps on the way up; in `(0, 1)`. Default: 0.3.
        #[serde(default = "rise")]
        rise: f64,
        /// The full rate over the first; above 1. Default: 25.
        #[serde(default = "start_divisor")]
        start_divisor: f64,
        /// The first rate over the last; above 1. Default: 10000.
        #[serde(default = "end_divisor")]
        end_divisor: f64,
    },
    /// Times `factor` when the validation loss has not fallen for more than `patience` epochs.
    ReduceOnPlateau {
        /// In `(0, 1)`.
        factor: f64,
        /// Epochs to wait.
        patience: usize,
        /// A smaller fall doesn't count; 0 or above. Default: 0.
        #[serde(default)]
        min_delta: f64,
        /// Epochs after a reduction in which nothing is counted. Default: 0.
        #[serde(default)]
        cooldown: usize,
        /// Share of the rate below which it is not reduced; in `[0, 1]`. Default: 0.
        #[serde(default)]
        floor: f64,
    },
}

/// A linear rise in front of any schedule, which begins where the rise ends: Goyal et al.,
/// "Accurate, Large Minibatch SGD", arXiv:1706.02677.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warmup {
    /// How long the rise takes, in epochs; above 0, parts of an epoch are fine.
    pub epochs: f64,
    /// Share of the rate in the first step; above 0, at most 1. Default: 0.1.
    #[serde(default = "warmup_start")]
    pub start: f64,
}

fn one() -> usize {
    1
}
fn linear() -> f64 {
    1.0
}
fn rise() -> f64 {
    0.3
}
fn start_divisor() -> f64 {
    25.0
}
fn end_divisor() -> f64 {
    1e4
}
fn warmup_start() -> f64 {
    0.1
}

impl ScheduleConfig {
    /// Every schedule, for tests and the reference page.
    pub fn examples() -> Vec<ScheduleConfig> {
        vec![
            ScheduleConfig::Constant,
            ScheduleConfig::Step { every_epochs: 3, factor: 0.5 },
            ScheduleConfig::MultiStep { after_epochs: vec![2, 5], factor: 0.1 },
            ScheduleConfig::Exponential { factor: 0.9 },
            ScheduleConfig::Cosine { floor: 0.1, restart_epochs: None, restart_factor: 1 },
            ScheduleConfig::Cosine { floor: 0.1, restart_epochs: Some(2), restart_factor: 2 },
            ScheduleConfig::Polynomial { power: 2.0, floor: 0.0 },
            ScheduleConfig::OneCycle {
                rise: rise(),
                start_divisor: start_divisor(),
                end_divisor: end_divisor(),
            },
            ScheduleConfig::ReduceOnPlateau {
                factor: 0.5,
                patience: 1,
                min_delta: 0.05,
                cooldown: 1,
                floor: 0.2,
            },
        ]
    }

    /// Half a cosine down to 0.
    pub fn cosine() -> Self {
        ScheduleConfig::Cosine { floor: 0.0, restart_epochs: None, restart_factor: one() }
    }

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(&self) -> Result<()> {
        match self {
            ScheduleConfig::Constant => Ok(()),
            ScheduleConfig::Step { every_epochs, factor } => {
                at_least_one("step.every_epochs", *every_epochs)?;
                share("step.factor", *factor)
            }
            ScheduleConfig::MultiStep { after_epochs, factor } => {
                if !after_epochs.is_sorted_by(|a, b| a < b) || after_epochs.first() == Some(&0) {
                    let key = "schedule.multi_step.after_epochs";
                    let value = format!("{after_epochs:?}");
                    return Err(Error::hyperparameter(key, value, "epochs of 1 or more, rising"));
                }
                share("multi_step.factor", *factor)
            }
            ScheduleConfig::Exponential { factor } => share("exponential.factor", *factor),
            ScheduleConfig::Cosine { floor, restart_epochs, restart_factor } => {
                if let Some(epochs) = restart_epochs {
                    at_least_one("cosine.restart_epochs", *epochs)?;
                }
                at_least_one("cosine.restart_factor", *restart_factor)?;
                floor_share("cosine.floor", *floor)
            }
            ScheduleConfig::Polynomial { power, floor } => {
                above("polynomial.power", *power, 0.0, "above 0")?;
                floor_share("polynomial.floor", *floor)
            }
            ScheduleConfig::OneCycle { rise, start_divisor, end_divisor } => {
                share("one_cycle.rise", *rise)?;
                above("one_cycle.start_divisor", *start_divisor, 1.0, "above 1")?;
                above("one_cycle.end_divisor", *end_divisor, 1.0, "above 1")
            }
            ScheduleConfig::ReduceOnPlateau { factor, min_delta, floor, .. } => {
                share("reduce_on_plateau.factor", *factor)?;
                floor_share("reduce_on_plateau.floor", *floor)?;
                if *min_delta >= 0.0 && min_delta.is_finite() {
                    return Ok(());
                }
                let key = "schedule.reduce_on_plateau.min_delta";
                Err(Error::hyperparameter(key, min_delta, "0 or above"))
            }
        }
    }
}

impl Warmup {
    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`].
    pub fn check(self) -> Result<()> {
        if !(self.epochs > 0.0 && self.epochs.is_finite()) {
            return Err(Error::hyperparameter("warmup.epochs", self.epochs, "above 0"));
        }
        if !(self.start > 0.0 && self.start <= 1.0) {
            return Err(Error::hyperparameter("warmup.start", self.start, "above 0, at most 1"));
        }
        Ok(())
    }
}

fn share(key: &str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Error::hyperparameter(format!("schedule.{key}"), value, "between 0 and 1"))
}

fn floor_share(key: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::hyperparameter(format!("schedule.{key}"), value, "between 0 and 1"))
}

fn above(key: &str, value: f64, low: f64, range: &'static str) -> Result<()> {
    if value > low && value.is_finite() {
        return Ok(());
    }
    Err(Error::hyperparameter(format!("schedule.{key}"), value, range))
}

fn at_least_one(key: &str, value: usize) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error::hyperparameter(format!("schedule.{key}"), value, "1 or more"))
}

/// What a schedule remembers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    factor: f64,
    best: Option<f64>,
    n_bad_epochs: usize,
    cooldown: usize,
}

/// A schedule at work.
#[derive(Clone, Debug)]
pub struct Schedule {
    config: ScheduleConfig,
    learning_rate: f64,
    /// Steps of the whole training after the warm-up.
    n_steps: u64,
    steps_per_epoch: u64,
    /// Steps of the warm-up, and the share of the rate that it starts from.
    warmup: (u64, f64),
    state: ScheduleState,
}

impl Schedule {
    /// A schedule over `n_epochs` of `steps_per_epoch` steps, up to `learning_rate`.
    pub fn new(
        config: ScheduleConfig,
        learning_rate: f64,
        n_epochs: usize,
        steps_per_epoch: usize,
    ) -> Self {
        let state = ScheduleState { factor: 1.0, best: None, n_bad_epochs: 0, cooldown: 0 };
        let steps_per_epoch = steps_per_epoch as u64;
        let n_steps = n_epochs as u64 * steps_per_epoch;
        Schedule { config, learning_rate, n_steps, steps_per_epoch, warmup: (0, 1.0), state }
    }

    /// The same after a warm-up, which takes its steps off the schedule.
    pub fn with_warmup(mut self, warmup: Option<Warmup>) -> Self {
        if let Some(Warmup { epochs, start }) = warmup {
            let n_steps = (epochs * self.steps_per_epoch as f64).round() as u64;
            self.n_steps = self.n_steps.saturating_sub(n_steps).max(1);
            self.warmup = (n_steps, start);
        }
        self
    }

    /// The rate of a step, counted from 0 over the whole training.
    pub fn rate(&self, step: u64) -> f64 {
        let (n_warmup, start) = self.warmup;
        self.learning_rate
            * match step.checked_sub(n_warmup) {
                None => start + (1.0 - start) * step as f64 / n_warmup as f64,
                Some(step) => self.factor(step),
            }
    }

    /// The factor of a step after the warm-up.
    fn factor(&self, step: u64) -> f64 {
        let share = (step as f64 / self.n_steps as f64).min(1.0);
        let epochs_done = (step / self.steps_per_epoch) as usize;
        match &self.config {
            ScheduleConfig::Constant => 1.0,
            ScheduleConfig::Step { every_epochs, factor } => {
                factor.powi((epochs_done / every_epochs) as i32)
            }
            ScheduleConfig::MultiStep { after_epochs, factor } => {
                let n_falls = after_epochs.iter().filter(|&&epoch| epoch <= epochs_done).count();
                factor.powi(n_falls as i32)
            }
            ScheduleConfig::Exponential { factor } => {
                factor.powf(step as f64 / self.steps_per_epoch as f64)
            }
            ScheduleConfig::Cosine { floor, restart_epochs, restart_factor } => {
                let share = match restart_epochs {
                    Some(epochs) => {
                        self.share_of_round(step, *epochs as u64, *restart_factor as u64)
                    }
                    None => share,
                };
                between(1.0, *floor, share)
            }
            ScheduleConfig::Polynomial { power, floor } => {
                floor + (1.0 - floor) * (1.0 - share).powf(*power)
            }
            ScheduleConfig::OneCycle { rise, start_divisor, end_divisor } => {
                let last = (self.n_steps as f64 - 1.0).max(1.0);
                // PyTorch's top lies one step before the share; never before the first step.
                let top = (rise * self.n_steps as f64 - 1.0).max(0.0);
                let (start, end) = (1.0 / start_divisor, 1.0 / (start_divisor * end_divisor));
                let step = (step as f64).min(last);
                if step <= top && top > 0.0 {
                    between(start, 1.0, step / top)
                } else {
                    between(1.0, end, (step - top) / (last - top))
                }
            }
            ScheduleConfig::ReduceOnPlateau { .. } => self.state.factor,
        }
    }

    /// How much of its round a step has behind it, where rounds grow.
    fn share_of_round(&self, step: u64, epochs: u64, growth: u64) -> f64 {
        let (mut round, mut left) = (epochs * self.steps_per_epoch, step);
        while left >= round {
            left -= round;
            round *= growth;
        }
        left as f64 / round as f64
    }

    /// Learns the validation loss of a finished epoch.
    pub fn observe(&mut self, validation_loss: f64) {
        let ScheduleConfig::ReduceOnPlateau { factor, patience, min_delta, cooldown, floor } =
            self.config
        else {
            return;
        };
        let state = &mut self.state;
        if state.best.is_none_or(|best| validation_loss < best - min_delta) {
            state.best = Some(validation_loss);
            state.n_bad_epochs = 0;
        } else {
            state.n_bad_epochs += 1;
        }
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.n_bad_epochs = 0;
        }
        if state.n_bad_epochs > patience {
            state.factor = (state.factor * factor).max(floor);
            state.cooldown = cooldown;
            state.n_bad_epochs = 0;
        }
    }

    /// What it remembers.
    pub fn state(&self) -> ScheduleState {
        self.state
    }

    /// Goes on from a saved state.
    pub fn restore(&mut self, state: ScheduleState) {
        self.state = state;
    }
}

/// Half a cosine from one value to another.
fn between(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten epochs of ten steps.
    fn schedule(config: &ScheduleConfig) -> Schedule {
        Schedule::new(config.clone(), 1.0, 10, 10)
    }

    #[test]
    fn rates_agree_with_pytorch() {
        // import torch; T = torch.optim; L = T.lr_scheduler
        // def rates(make, per_step):
        //     p = torch.nn.Parameter(torch.zeros(1)); o = T.SGD([p], lr=1.0); s = make(o); out = []
        //     for t in range(100):
        //         out.append(o.param_groups[0]['lr']); o.step()
        //         if per_step or (t + 1) % 10 == 0: s.step()
        //     return [out[t] for t in (0, 1, 9, 10, 25, 37, 50, 63, 99)]
        // rates(lambda o: L.StepLR(o, 3, .5), False)
        // rates(lambda o: L.MultiStepLR(o, [2, 5], .1), False)
        // rates(lambda o: L.ExponentialLR(o, .9 ** .1), True)
        // rates(lambda o: L.CosineAnnealingLR(o, 100, eta_min=.1), True)
        // rates(lambda o: L.CosineAnnealingWarmRestarts(o, 20, 2, eta_min=.1), True)
        // rates(lambda o: L.PolynomialLR(o, 100, 2.0), True)
        // rates(lambda o: L.OneCycleLR(o, 1.0, total_steps=100), True)
        let steps = [0, 1, 9, 10, 25, 37, 50, 63, 99];
        #[rustfmt::skip]
        let expected = [
            [1.0; 9],
            [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.125],
            [1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01, 0.01],
            [1.0, 0.989_519_258_206, 0.909_532_576_083, 0.9, 0.768_433_471_421, 0.677_169_337_613,
                0.590_49, 0.514_905_830_393, 0.352_371_555_387],
            [1.0, 0.999_777_952_165, 0.982_132_158_555, 0.977_975_432_333, 0.868_198_051_534,
                0.728_716_550_786, 0.55, 0.371_283_449_214, 0.100_222_047_835],
            [1.0, 0.994_459_753_268, 0.620_395_509_268, 0.55, 0.965_745_789_63, 0.655_050_413_735,
                0.231_801_948_466, 0.996_880_805_63, 0.567_666_917_092],
            [1.0, 0.9801, 0.8281, 0.81, 0.5625, 0.3969, 0.25, 0.1369, 0.0001],
            [0.04, 0.042_813_780_565_9, 0.250_630_208_626, 0.295_163_948_464, 0.955_636_201_442,
                0.968_117_562_85, 0.793_893_450_576, 0.522_434_325_446, 4e-6],
        ];
        for (config, expected) in ScheduleConfig::examples().iter().zip(expected) {
            for (step, expected) in steps.into_iter().zip(expected) {
                let found = schedule(config).rate(step);
                assert!((found / expected - 1.0).abs() < 1e-9, "{config:?} {step}: {found}");
            }
        }
    }

    #[test]
    fn a_warm_up_stands_in_front_as_in_pytorch() {
        // rates(lambda o: L.SequentialLR(o, [L.LinearLR(o, .1, 1.0, 20),
        //     L.CosineAnnealingLR(o, 80)], [20]), True)
        let warmup = Warmup { epochs: 2.0, start: 0.1 };
        let schedule = schedule(&ScheduleConfig::cosine()).with_warmup(Some(warmup));
        let table = [
            (0, 0.1),
            (1, 0.145),
            (9, 0.505),
            (10, 0.55),
            (25, 0.990_392_640_202),
            (37, 0.892_658_465_44),
            (50, 0.691_341_716_183),
            (63, 0.441_231_301_271),
            (99, 0.000_385_481_879_639),
        ];
        for (step, expected) in table {
            let found = schedule.rate(step);
            assert!((found / expected - 1.0).abs() < 1e-9, "{step}: {found}");
        }
    }

    #[test]
    fn plateau_steps_as_pytorch_does() {
        // s = L.ReduceLROnPlateau(o, factor=0.5, patience=1, threshold=0.05,
        //     threshold_mode='abs', cooldown=1, min_lr=.2)
        // for loss in losses: s.step(loss); o.param_groups[0]['lr']
        let config = ScheduleConfig::examples().pop().unwrap();
        let mut schedule = schedule(&config);
        let losses = [1.0, 0.9, 0.89, 0.88, 0.87, 0.86, 0.85, 0.84, 0.83, 0.82, 0.81, 0.8, 0.7];
        let expected = [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2];
        for (loss, expected) in losses.into_iter().zip(expected) {
            schedule.observe(loss);
            assert_eq!(schedule.rate(0), expected);
        }
    }

    #[test]
    fn examples_are_valid_and_wrong_ones_are_named() {
        for config in ScheduleConfig::examples() {
            config.check().unwrap();
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<ScheduleConfig>(&text).unwrap(), config);
            // Shorter than its warm-up: the schedule ends at once, but stays finite.
            let warmup = Some(Warmup { epochs: 20.0, start: 0.5 });
            let short = schedule(&config).with_warmup(warmup);
            assert!((0..300).all(|step| short.rate(step).is_finite()), "{config:?}");
        }
        for (config, expected) in [
            (
                ScheduleConfig::MultiStep { after_epochs: vec![3, 3], factor: 0.1 },
                "`schedule.multi_step.after_epochs` is [3, 3], but must be epochs of 1 or more, \
                 rising",
            ),
            (
                ScheduleConfig::Step { every_epochs: 0, factor: 0.1 },
                "`schedule.step.every_epochs` is 0, but must be 1 or more",
            ),
            (
                ScheduleConfig::Exponential { factor: 1.5 },
                "`schedule.exponential.factor` is 1.5, but must be between 0 and 1",
            ),
        ] {
            assert_eq!(config.check().unwrap_err().to_string(), expected);
        }
    }
}
