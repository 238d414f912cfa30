//! Mixtures of truncated normal (or categorical) kernels, one kernel for each trial and a wide one
//! for what was known before: the densities of the multivariate sampler.
//!
//! # Source
//! Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components and their
//! roles for better empirical performance", arXiv 2304.11127; Optuna 5's `_ParzenEstimator`, whose
//! widths, weights and prior these are.

use hourglass_core::Rng;
use libm::erfc;
use rand::RngExt;

use crate::Distribution;

/// Trials beyond these weigh less the older they are.
const FULL_WEIGHTS: usize = 25;

/// A mixture over several parameters at once.
pub(crate) struct Mixture<'a> {
    /// Logarithms of the kernels' weights, the prior's last.
    log_weights: Vec<f64>,
    /// The kernels' weights summed up to and including each.
    cumulative: Vec<f64>,
    dimensions: Vec<Dimension<'a>>,
}

/// What the kernels look like along one parameter.
enum Dimension<'a> {
    Numeric {
        distribution: &'a Distribution,
        low: f64,
        high: f64,
        /// Centre, width and the share of the normal inside the range, for each kernel.
        kernels: Vec<(f64, f64, f64)>,
    },
    /// Probabilities of the choices, for each kernel.
    Categorical { kernels: Vec<Vec<f64>> },
}

impl<'a> Mixture<'a> {
    /// A kernel for each row of `observed` (internal numbers, one for each distribution), oldest
    /// first, and the prior.
    pub(crate) fn new(distributions: &[&'a Distribution], observed: &[Vec<f64>]) -> Self {
        let weights = weights(observed.len());
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let cumulative = weights.iter().map(|weight| {
            sum += weight / total;
            sum
        });
        let column = |at: usize| observed.iter().map(|row| row[at]).collect::<Vec<f64>>();
        let dimensions = distributions.iter().enumerate();
        Mixture {
            cumulative: cumulative.collect(),
            log_weights: weights.iter().map(|weight| (weight / total).ln()).collect(),
            dimensions: dimensions
                .map(|(at, distribution)| Dimension::new(distribution, &column(at)))
                .collect(),
        }
    }

    /// Draws internal numbers, one for each distribution.
    pub(super) fn draw(&self, rng: &mut Rng) -> Vec<f64> {
        let place: f64 = rng.random();
        let last = self.cumulative.len() - 1;
        let kernel = self.cumulative.partition_point(|sum| *sum <= place).min(last);
        self.dimensions.iter().map(|dimension| dimension.draw(kernel, rng)).collect()
    }

    /// Logarithm of the density at a point.
    pub(crate) fn log_density(&self, point: &[f64]) -> f64 {
        let mut terms = self.log_weights.clone();
        for (dimension, internal) in self.dimensions.iter().zip(point) {
            dimension.add_log_density(*internal, &mut terms);
        }
        let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        largest + terms.iter().map(|term| (term - largest).exp()).sum::<f64>().ln()
    }
}

impl<'a> Dimension<'a> {
    fn new(distribution: &'a Distribution, observed: &[f64]) -> Self {
        match distribution {
            Distribution::Categorical { choices } => {
                Dimension::Categorical { kernels: categorical_kernels(choices.len(), observed) }
            }
            _ => {
                let (low, high) = distribution.continuous_range();
                let centres: Vec<f64> =
                    observed.iter().map(|internal| distribution.to_continuous(*internal)).collect();
                let mut widths = widths(&centres, low, high);
                widths.push(high - low);
                let prior = (low + high) / 2.0;
                let kernels = centres.into_iter().chain([prior]).zip(widths);
                let kernels = kernels.map(|(centre, width)| {
                    let share = normal_share((low - centre) / width, (high - centre) / width);
                    (centre, width, share)
                });
                Dimension::Numeric { distribution, low, high, kernels: kernels.collect() }
            }
        }
    }

    fn draw(&self, kernel: usize, rng: &mut Rng) -> f64 {
        match self {
            Dimension::Numeric { distribution, low, high, kernels } => {
                let (centre, width, _) = kernels[kernel];
                distribution.from_continuous(truncated_normal(centre, width, *low, *high, rng))
            }
            Dimension::Categorical { kernels } => {
                let mut left: f64 = rng.random();
                let chances = &kernels[kernel];
                let drawn = chances.iter().position(|chance| {
                    left -= chance;
                    left < 0.0
                });
                drawn.unwrap_or(chances.len() - 1) as f64
            }
        }
    }

    fn add_log_density(&self, internal: f64, terms: &mut [f64]) {
        match self {
            Dimension::Categorical { kernels } => {
                for (term, chances) in terms.iter_mut().zip(kernels) {
                    *term += chances[internal as usize].ln();
                }
            }
            Dimension::Numeric { distribution, kernels, .. } => {
                match cell(distribution, internal) {
                    Some((from, to)) => {
                        for (term, (centre, width, share)) in terms.iter_mut().zip(kernels) {
                            let inside =
                                normal_share((from - centre) / width, (to - centre) / width);
                            *term += inside.ln() - share.ln();
                        }
                    }
                    None => {
                        let place = distribution.to_continuous(internal);
                        for (term, (centre, width, share)) in terms.iter_mut().zip(kernels) {
                            let z = (place - centre) / width;
                            // The constant factor of the normal is the same for all densities.
                            *term += -0.5 * z * z - width.ln() - share.ln();
                        }
                    }
                }
            }
        }
    }
}

/// The stretch of the continuous range that stands for one value; none without steps.
fn cell(distribution: &Distribution, internal: f64) -> Option<(f64, f64)> {
    let half = match distribution {
        Distribution::Float { step, .. } => (*step)? / 2.0,
        Distribution::Int { step, .. } => *step as f64 / 2.0,
        Distribution::Categorical { .. } => return None,
    };
    let (from, to) = (internal - half, internal + half);
    Some((distribution.to_continuous(from), distribution.to_continuous(to)))
}

/// One weight for each trial, oldest first, and 1 for the prior.
fn weights(count: usize) -> Vec<f64> {
    let ramp = count.saturating_sub(FULL_WEIGHTS);
    let rising = (0..ramp).map(|at| {
        let first = 1.0 / count as f64;
        first + (1.0 - first) * at as f64 / (ramp - 1).max(1) as f64
    });
    rising.chain(std::iter::repeat_n(1.0, count - ramp + 1)).collect()
}

/// Widths of the kernels: the distance to the further neighbour, neither too narrow nor wider than
/// the range.
fn widths(centres: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..centres.len()).collect();
    order.sort_by(|a, b| centres[*a].total_cmp(&centres[*b]));
    let narrowest = (high - low) / (centres.len() as f64 + 2.0).min(100.0);
    let mut widths = vec![0.0; centres.len()];
    for (at, place) in order.iter().enumerate() {
        let here = centres[*place];
        let before = at.checked_sub(1).map(|at| here - centres[order[at]]);
        let after = order.get(at + 1).map(|next| centres[*next] - here);
        let width = match (before, after) {
            (Some(before), Some(after)) => before.max(after),
            // At the ends only the inner neighbour counts; a single trial reaches to both ends.
            (Some(inner), None) | (None, Some(inner)) => inner,
            (None, None) => (here - low).max(high - here),
        };
        widths[*place] = width.clamp(narrowest, high - low);
    }
    widths
}

/// Probabilities of the choices for each trial: mostly the choice it had, the less so the fewer
/// trials there are. The prior's are equal.
fn categorical_kernels(choices: usize, observed: &[f64]) -> Vec<Vec<f64>> {
    let kernels = observed.len() + 1;
    let other = 1.0 / kernels as f64;
    let total = 1.0 + choices as f64 * other;
    let of_trial = |internal: &f64| {
        let mut chances = vec![other / total; choices];
        chances[*internal as usize] += 1.0 / total;
        chances
    };
    let prior = vec![1.0 / choices as f64; choices];
    observed.iter().map(of_trial).chain([prior]).collect()
}

/// The share of a standard normal between two places, exact in the tails.
fn normal_share(from: f64, to: f64) -> f64 {
    // The upper tail as a mirrored lower one: differences of numbers near 1 would vanish.
    let (from, to) = if from > 0.0 { (-to, -from) } else { (from, to) };
    below(to) - below(from)
}

/// The share of a standard normal below a place.
fn below(place: f64) -> f64 {
    0.5 * erfc(-place / std::f64::consts::SQRT_2)
}

/// Draws from a normal until it lies in the range. Centres lie in the range and widths don't
/// exceed it, so that a third of the draws do at least.
fn truncated_normal(centre: f64, width: f64, low: f64, high: f64, rng: &mut Rng) -> f64 {
    loop {
        // Box and Muller; one minus, since the logarithm needs more than zero.
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        let draw = centre + width * radius * angle.cos();
        if (low..=high).contains(&draw) {
            return draw;
        }
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::Seed;

    use super::*;

    #[test]
    fn densities_are_those_of_optuna() {
        // s = {"a": FloatDistribution(1e-3, 1, log=True), "b": IntDistribution(1, 99, step=2),
        //      "c": CategoricalDistribution(["x", "y", "z"]), "d": FloatDistribution(-1, 1),
        //      "e": IntDistribution(1, 64, log=True)}
        // o = {"a": [10 ** (-(7 * i % 30) / 10) for i in range(30)],
        //      "b": [1.0 + 2 * (7 * i % 50) for i in range(30)], "c": [float(i % 3) for i in range(30)],
        //      "d": np.sin(range(30)), "e": [1.0 + (7 * i) % 64 for i in range(30)]}
        // e = _ParzenEstimator({k: np.array(v) for k, v in o.items()}, s,
        //       _ParzenEstimatorParameters(1.0, True, False, default_weights, True))
        // print(e.log_pdf({"a": [.02, .9], "b": [3, 99], "c": [0, 2], "d": [-.3, .99],
        //                  "e": [5, 64]}))       and with the first 2 and the first 1 of the 30
        let distributions = [
            Distribution::float(1e-3, 1.0).log(),
            Distribution::int(1, 99).step(2.0),
            Distribution::categorical(["x", "y", "z"]),
            Distribution::float(-1.0, 1.0),
            Distribution::int(1, 64).log(),
        ];
        let distributions: Vec<&Distribution> = distributions.iter().collect();
        let observed: Vec<Vec<f64>> = (0..30)
            .map(|i| {
                let rate = 10_f64.powf(-f64::from(7 * i % 30) / 10.0);
                let (depth, kind) = (1.0 + 2.0 * f64::from(7 * i % 50), f64::from(i % 3));
                vec![rate, depth, kind, f64::from(i).sin(), 1.0 + f64::from(7 * i % 64)]
            })
            .collect();
        // Ours leaves out the constant of the normal, here of two continuous parameters.
        let constant = std::f64::consts::TAU.ln();
        let points = [[0.02, 3.0, 0.0, -0.3, 5.0], [0.9, 99.0, 2.0, 0.99, 64.0]];
        for (count, expect) in [
            (30, [-14.13678386158762, -16.989513403295774]),
            (2, [-10.619288010759282, -14.785968338726867]),
            (1, [-10.259016659632767, -14.09481050981493]),
        ] {
            let mixture = Mixture::new(&distributions, &observed[..count]);
            for (point, expect) in points.iter().zip(expect) {
                let found = mixture.log_density(point) - constant;
                assert!((found - expect).abs() < 1e-11, "{count}: {found} {expect}");
            }
        }
    }

    #[test]
    fn a_density_sums_to_one() {
        let depth = Distribution::int(1, 9);
        let kind = Distribution::categorical(["a", "b", "c"]);
        let observed: Vec<Vec<f64>> =
            (0..40).map(|at| vec![f64::from(1 + at % 7), f64::from(at % 2)]).collect();
        let mixture = Mixture::new(&[&depth, &kind], &observed);
        let mut sum = 0.0;
        for depth in 1..=9 {
            for kind in 0..3 {
                sum += mixture.log_density(&[f64::from(depth), f64::from(kind)]).exp();
            }
        }
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn draws_stay_in_the_range_and_follow_the_density() {
        let rate = Distribution::float(1e-4, 1.0).log();
        let observed = vec![vec![1e-4], vec![2e-4], vec![1e-1]];
        let mixture = Mixture::new(&[&rate], &observed);
        let mut rng = Seed::new(5).rng();
        let draws: Vec<f64> = (0..20_000).map(|_| mixture.draw(&mut rng)[0]).collect();
        assert!(draws.iter().all(|draw| rate.contains(*draw)));
        // The share of draws below 1e-3 against the density summed up over the logarithm.
        let share = draws.iter().filter(|draw| **draw < 1e-3).count() as f64 / 20_000.0;
        let steps = 4_000;
        let (low, high) = rate.continuous_range();
        let width = (high - low) / f64::from(steps);
        let density = |at: i32| {
            let place = low + width * (f64::from(at) + 0.5);
            let normal = 1.0 / std::f64::consts::TAU.sqrt();
            (place, normal * mixture.log_density(&[place.exp()]).exp() * width)
        };
        let parts: Vec<(f64, f64)> = (0..steps).map(density).collect();
        let total: f64 = parts.iter().map(|(_, part)| part).sum();
        let limit = 1e-3_f64.ln();
        let expect: f64 =
            parts.iter().filter(|(place, _)| *place < limit).map(|(_, part)| part).sum();
        assert!((total - 1.0).abs() < 1e-3, "{total}");
        assert!((share - expect).abs() < 0.015, "{share} {expect}");
    }
}
