//! L-BFGS whose first guess of the inverse Hessian is a preconditioner.
//!
//! It knows nothing of rows and classes: it minimises a smooth convex function that returns its
//! value and gradient together, because here both cost one pass over the rows.
//!
//! # Source
//! Nocedal and Wright, *Numerical Optimization*, 2nd edition (2006), algorithms 7.4 and 7.5. Ours
//! starts from a preconditioner instead of the identity, and backtracks to Armijo's condition only:
//! on a convex function the curvature condition then holds by itself or the pair is skipped.

use std::collections::VecDeque;

use hourglass_core::Interrupt;

use crate::Error;
use crate::estimator::stop_if_raised;

/// Pairs kept.
const MEMORY: usize = 10;

/// Share of the predicted decrease that a step must reach (Nocedal and Wright, section 3.1).
const ARMIJO: f64 = 1e-4;

/// Halvings (at least) of a step before the search gives up.
const MAX_BACKTRACKS: usize = 20;

/// Relative gap that `f32` sums over many rows can't resolve.
const RESOLUTION: f64 = 1e-7;

pub(super) struct Limits {
    pub max_iterations: usize,
    /// Estimated gap to the minimum, relative to the value, at which to stop.
    pub tolerance: f64,
}

pub(super) struct Outcome {
    pub theta: Vec<f64>,
    pub objective: f64,
    pub iterations: usize,
    /// Evaluations of the function.
    pub passes: usize,
    pub converged: bool,
}

/// Minimises `function` from `theta`.
///
/// Stops where the decrease that a Newton step promises, `g' H g / 2`, is below the tolerance times
/// the value: unlike a bound on the gradient, that doesn't depend on the features' scale.
pub(super) fn minimise(
    mut theta: Vec<f64>,
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
    precondition: impl Fn(&[f64]) -> Vec<f64>,
    limits: &Limits,
    interrupt: &Interrupt,
) -> Result<Outcome, Error> {
    let (mut value, mut gradient) = function(&theta);
    let mut passes = 1;
    let mut pairs: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    let mut scale = 1.0;
    for iterations in 0..=limits.max_iterations {
        let direction = direction(&pairs, &gradient, scale, &precondition);
        let slope = dot(&gradient, &direction);
        let converged = -slope / 2.0 <= limits.tolerance * value.abs();
        if converged || iterations == limits.max_iterations {
            return Ok(Outcome { theta, objective: value, iterations, passes, converged });
        }
        stop_if_raised(interrupt)?;
        let Some(step) = search(&function, &theta, value, slope, &direction, &mut passes) else {
            // Nothing lower can be seen in f32: that is the minimum, or as good as.
            let converged = -slope / 2.0 <= RESOLUTION.sqrt() * value.abs();
            return Ok(Outcome { theta, objective: value, iterations, passes, converged });
        };
        let change_of_gradient = difference(&step.gradient, &gradient);
        let pair = Pair::new(difference(&step.theta, &theta), change_of_gradient);
        (theta, value, gradient) = (step.theta, step.value, step.gradient);
        if let Some(pair) = pair {
            let scaled = dot(&pair.gradient, &precondition(&pair.gradient));
            scale = 1.0 / (pair.inverse_product * scaled);
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back(pair);
        }
    }
    unreachable!("the last iteration returns")
}

/// A step taken and the change of the gradient along it.
struct Pair {
    step: Vec<f64>,
    gradient: Vec<f64>,
    inverse_product: f64,
}

impl Pair {
    /// `None` where rounding hides the curvature.
    fn new(step: Vec<f64>, gradient: Vec<f64>) -> Option<Pair> {
        let product = dot(&step, &gradient);
        let enough = product > 1e-10 * dot(&gradient, &gradient).sqrt() * dot(&step, &step).sqrt();
        enough.then(|| Pair { step, gradient, inverse_product: 1.0 / product })
    }
}

struct Step {
    theta: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// The two loops of algorithm 7.4.
fn direction(
    pairs: &VecDeque<Pair>,
    gradient: &[f64],
    scale: f64,
    precondition: impl Fn(&[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let mut rest = gradient.to_vec();
    let mut factors = Vec::with_capacity(pairs.len());
    for pair in pairs.iter().rev() {
        let factor = pair.inverse_product * dot(&pair.step, &rest);
        add_scaled(&mut rest, -factor, &pair.gradient);
        factors.push(factor);
    }
    let mut result = precondition(&rest);
    result.iter_mut().for_each(|value| *value *= scale);
    for (pair, factor) in pairs.iter().zip(factors.into_iter().rev()) {
        let back = pair.inverse_product * dot(&pair.gradient, &result);
        add_scaled(&mut result, factor - back, &pair.step);
    }
    result.iter_mut().for_each(|value| *value = -*value);
    result
}

/// A step that decreases the value enough: 1, or what quadratic interpolation says.
fn search(
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
    theta: &[f64],
    value: f64,
    slope: f64,
    direction: &[f64],
    passes: &mut usize,
) -> Option<Step> {
    let mut length = 1.0;
    for _ in 0..MAX_BACKTRACKS {
        let mut trial = theta.to_vec();
        add_scaled(&mut trial, length, direction);
        let (trial_value, gradient) = function(&trial);
        *passes += 1;
        if trial_value <= value + ARMIJO * length * slope {
            return Some(Step { theta: trial, value: trial_value, gradient });
        }
        if -slope * length <= RESOLUTION * value.abs() {
            return None;
        }
        let curvature = 2.0 * (trial_value - value - slope * length) / (length * length);
        length = (-slope / curvature).clamp(0.1 * length, 0.5 * length);
    }
    None
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums, so that the additions don't wait for each other.
    let mut sums = [0.0; 4];
    let (a_blocks, a_rest) = a.as_chunks::<4>();
    let (b_blocks, b_rest) = b.as_chunks::<4>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

fn add_scaled(target: &mut [f64], factor: f64, source: &[f64]) {
    target.iter_mut().zip(source).for_each(|(target, source)| *target += factor * source);
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of `cosh(scale_i (x_i - i))`, whose minimum is at `x_i = i` and whose scales differ.
    fn ill_scaled(x: &[f64]) -> (f64, Vec<f64>) {
        let scale = |i: usize| 10.0_f64.powi(i as i32 % 3 - 2);
        let value = x.iter().enumerate().map(|(i, x)| (scale(i) * (x - i as f64)).cosh()).sum();
        let slope = |(i, x): (usize, &f64)| scale(i) * (scale(i) * (x - i as f64)).sinh();
        (value, x.iter().enumerate().map(slope).collect())
    }

    #[test]
    fn finds_the_minimum_with_and_without_a_preconditioner() {
        let limits = Limits { max_iterations: 300, tolerance: 1e-14 };
        let good = |v: &[f64]| -> Vec<f64> {
            v.iter().enumerate().map(|(i, v)| v * 100.0_f64.powi(2 - i as i32 % 3)).collect()
        };
        let solve = |precondition: &dyn Fn(&[f64]) -> Vec<f64>| {
            minimise(vec![0.0; 9], ill_scaled, precondition, &limits, &Interrupt::new()).unwrap()
        };
        let plain = solve(&|v| v.to_vec());
        let scaled = solve(&good);
        for outcome in [&plain, &scaled] {
            assert!(outcome.converged);
            // Nine terms, each 1 at its minimum.
            assert!(outcome.objective - 9.0 < 1e-9, "{}", outcome.objective);
        }
        assert!(scaled.passes < plain.passes, "{} {}", scaled.passes, plain.passes);
    }

    #[test]
    fn stops_when_asked() {
        let interrupt = Interrupt::new();
        interrupt.raise();
        let limits = Limits { max_iterations: 10, tolerance: 1e-9 };
        let result = minimise(vec![0.0; 3], ill_scaled, |v| v.to_vec(), &limits, &interrupt);
        assert!(matches!(result, Err(Error::Interrupted)));
    }
}
