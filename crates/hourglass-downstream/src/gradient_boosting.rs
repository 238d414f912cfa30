//! Gradient boosting: rounds of small trees, each fitted to the gradient of a loss: the multinomial
//! log loss with one tree a class, or the squared error with one tree.
//!
//! # Source
//! Chen and Guestrin, *XGBoost: A Scalable Tree Boosting System*, KDD 2016 (second-order gain,
//! shrinkage, column sampling); Ke et al., *LightGBM*, NeurIPS 2017 (histograms, the larger child
//! by subtraction); Shi et al., *Quantized Training of Gradient Boosting Decision Trees*, NeurIPS
//! 2022: gradients are integers, here of about 14 bits, so that sums are exact and depend on no
//! order.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use rand::seq::index;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::require;
use crate::estimator::{check_predict, largest, stop_if_raised};
use crate::forest::map_rows;
use crate::logistic_regression::softmax;
use crate::regressor::{FittedRegressor, Regressor, ValueData};
use crate::trees::bins::Bins;
use crate::trees::boosted::{Gradients, Grower, Limits, ValueTree};
use crate::{Error, Estimator, FitData, Fitted};

/// Depths that are tried, the usual one first.
const MAX_DEPTH: [usize; 2] = [6, 3];

/// Gradient-boosted trees for any number of classes, or for values.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `n_rounds` | 100 | rounds at most; each grows one tree a class | at least 1 |
/// | `learning_rate` | 0.1 | share of each tree's values that is added | (0, 1] |
/// | `max_depth` | chosen | splits from the root to a leaf at most; 6 or 3, chosen on validation, unless given | 1 to 16 |
/// | `column_sample` | 0.3 | share of the columns that a tree sees | (0, 1] |
/// | `l2` | 1.0 | penalty on the leaves' values | at least 0 |
/// | `min_child_weight` | 1.0 | sum of second derivatives in a leaf at least | at least 0 |
/// | `patience` | 10 | rounds without a lower validation loss before it stops | at least 1 |
/// | `refit` | false | whether all rows are fitted again with the rounds chosen | |
///
/// Fitted on the training rows; the number of rounds is the one with the lowest log loss on
/// validation rows, or `n_rounds` where there is none. Unlike the other models it isn't fitted
/// again with the validation rows unless `refit` says so, which takes as long again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct GradientBoosting {
    /// Rounds at most.
    pub n_rounds: usize,
    /// Share of each tree's values that is added.
    pub learning_rate: f64,
    /// Splits from the root to a leaf at most; chosen unless given.
    pub max_depth: Option<usize>,
    /// Share of the columns that a tree sees.
    pub column_sample: f64,
    /// Penalty on the leaves' values.
    pub l2: f64,
    /// Sum of second derivatives in a leaf at least.
    pub min_child_weight: f64,
    /// Rounds without a lower validation loss before it stops.
    pub patience: usize,
    /// Whether training and validation rows are fitted again with the rounds chosen.
    pub refit: bool,
}

impl Default for GradientBoosting {
    fn default() -> Self {
        GradientBoosting {
            n_rounds: 100,
            learning_rate: 0.1,
            max_depth: None,
            column_sample: 0.3,
            l2: 1.0,
            min_child_weight: 1.0,
            patience: 10,
            refit: false,
        }
    }
}

impl GradientBoosting {
    pub(crate) const NAME: &'static str = "gradient_boosting";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        let share = |value: f64| value > 0.0 && value <= 1.0;
        let not_negative = |value: f64| value >= 0.0 && value.is_finite();
        let name = Self::NAME;
        require(self.n_rounds >= 1, name, "n_rounds", self.n_rounds, "at least 1")?;
        let rate = self.learning_rate;
        require(share(rate), name, "learning_rate", rate, "in (0, 1]")?;
        let depth = self.depth();
        require((1..=16).contains(&depth), name, "max_depth", depth, "from 1 to 16")?;
        let sample = self.column_sample;
        require(share(sample), name, "column_sample", sample, "in (0, 1]")?;
        require(not_negative(self.l2), name, "l2", self.l2, "at least 0")?;
        let weight = self.min_child_weight;
        require(not_negative(weight), name, "min_child_weight", weight, "at least 0")?;
        require(self.patience >= 1, name, "patience", self.patience, "at least 1")
    }

    /// The depths that are tried, the usual one first.
    pub(crate) fn candidates(&self) -> Vec<GradientBoosting> {
        match self.max_depth {
            Some(_) => vec![self.clone()],
            None => {
                let with = |depth| GradientBoosting { max_depth: Some(depth), ..self.clone() };
                MAX_DEPTH.map(with).to_vec()
            }
        }
    }

    fn depth(&self) -> usize {
        self.max_depth.unwrap_or(MAX_DEPTH[0])
    }

    fn limits(&self) -> Limits {
        Limits {
            max_depth: self.depth(),
            l2: self.l2,
            min_child_weight: self.min_child_weight,
            learning_rate: self.learning_rate,
        }
    }
}

impl Estimator for GradientBoosting {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        self.check()?;
        data.check()?;
        let weights: Option<Vec<f32>> = data.class_weights.map(<[f32]>::to_vec);
        let of = |classes| Loss::Classes { classes, n: data.n_classes, weights: weights.clone() };
        let parts = Parts {
            train: (data.train, of(data.train_classes)),
            validation: (data.validation, of(data.validation_classes)),
            refit: (data.refit, of(data.refit_classes)),
        };
        let boosted = self.boost(parts, seed, progress, interrupt)?;
        Ok(Box::new(BoostedClasses { boosted }))
    }
}

impl Regressor for GradientBoosting {
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
        self.check()?;
        data.check()?;
        // In units of their spread, so that the leaves' penalty means the same everywhere.
        let (mean, unit) = data.location();
        let scaled = |values: &[f32]| -> Vec<f32> {
            values.iter().map(|value| (value - mean) / unit).collect()
        };
        let of = |values: &[f32]| Loss::Values(scaled(values));
        let parts = Parts {
            train: (data.train, of(data.train_values)),
            validation: (data.validation, of(data.validation_values)),
            refit: (data.refit, of(data.refit_values)),
        };
        let boosted = self.boost(parts, seed, progress, interrupt)?;
        Ok(Box::new(BoostedValues { boosted, mean, unit }))
    }
}

impl GradientBoosting {
    fn boost(
        &self,
        parts: Parts<'_>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Fit, Error> {
        let n_rounds = self.n_rounds as u64;
        progress.begin(Self::NAME, Some(if self.refit { 2 * n_rounds } else { n_rounds }));
        let seed = seed.child(Self::NAME);
        let n_features = parts.train.0.ncols();
        let mut boosted = Boosted::start(parts.train.0, parts.train.1);
        let mut judge = Judge::new(parts.validation.0, parts.validation.1, boosted.prior.clone());
        for round in 0..self.n_rounds {
            stop_if_raised(interrupt)?;
            boosted.add_round(self, seed.nth(round as u64));
            let detail = judge.look(&boosted.rounds);
            progress.advance(round as u64 + 1, &detail);
            if judge.rounds_since_best() >= self.patience {
                break;
            }
        }
        let n_best = judge.best_round(boosted.rounds.len());
        let validation_loss = judge.best_loss;
        boosted.rounds.truncate(n_best);
        if self.refit {
            boosted = Boosted::start(parts.refit.0, parts.refit.1);
            for round in 0..n_best {
                stop_if_raised(interrupt)?;
                boosted.add_round(self, seed.nth(round as u64));
                progress.advance(n_rounds + round as u64 + 1, "");
            }
        }
        progress.end("");
        let Boosted { prior, rounds, .. } = boosted;
        Ok(Fit { prior, rounds, n_features, validation_loss, max_depth: self.depth() })
    }
}

/// Rows of each part with what is to be predicted of them.
struct Parts<'a> {
    train: (MatrixView<'a>, Loss<'a>),
    validation: (MatrixView<'a>, Loss<'a>),
    refit: (MatrixView<'a>, Loss<'a>),
}

/// What is to be predicted of some rows, and what a prediction that is off costs.
enum Loss<'a> {
    /// The multinomial log loss; a row of a class may weigh more than others in the gradient.
    Classes { classes: &'a [u32], n: usize, weights: Option<Vec<f32>> },
    /// Half the squared error.
    Values(Vec<f32>),
}

impl Loss<'_> {
    fn n_rows(&self) -> usize {
        match self {
            Loss::Classes { classes, .. } => classes.len(),
            Loss::Values(values) => values.len(),
        }
    }

    /// Scores before the first round: the logarithms of the classes' shares, or the mean.
    fn prior(&self) -> Vec<f32> {
        match self {
            Loss::Classes { classes, n, weights } => {
                let weight = |class: usize| weights.as_ref().map_or(1.0, |w| f64::from(w[class]));
                let mut sums = vec![0.0_f64; *n];
                classes.iter().for_each(|&class| sums[class as usize] += weight(class as usize));
                let total: f64 = sums.iter().sum();
                // A class without a row counts as half a row, so that its score stays finite.
                sums.iter().map(|sum| (sum.max(0.5) / total).ln() as f32).collect()
            }
            Loss::Values(values) => {
                let sum: f64 = values.iter().copied().map(f64::from).sum();
                vec![(sum / values.len().max(1) as f64) as f32]
            }
        }
    }

    /// The loss of one row under its scores, without weight.
    fn of(&self, row: usize, scores: &[f32]) -> f64 {
        match self {
            Loss::Classes { classes, .. } => log_loss(scores, classes[row] as usize),
            Loss::Values(values) => f64::from(scores[0] - values[row]).powi(2),
        }
    }
}

/// The trees of one round, one a score.
type Round = Vec<ValueTree>;

/// An ensemble that grows.
struct Boosted<'a> {
    bins: Bins,
    loss: Loss<'a>,
    /// Scores before the first round.
    prior: Vec<f32>,
    /// Scores of each row, score by score.
    scores: Vec<Vec<f32>>,
    rounds: Vec<Round>,
}

impl<'a> Boosted<'a> {
    fn start(x: MatrixView<'_>, loss: Loss<'a>) -> Self {
        let prior = loss.prior();
        let scores = prior.iter().map(|&score| vec![score; loss.n_rows()]).collect();
        Boosted { bins: Bins::of(x), loss, prior, scores, rounds: Vec::new() }
    }

    fn add_round(&mut self, config: &GradientBoosting, seed: Seed) {
        let n_rows = self.loss.n_rows();
        let n_columns = self.bins.cuts.len();
        let n_sampled = ((n_columns as f64 * config.column_sample).ceil() as usize).max(1);
        let log_sums = match self.loss {
            Loss::Classes { .. } => log_sums(&self.scores, n_rows),
            Loss::Values(_) => Vec::new(),
        };
        let (bins, loss) = (&self.bins, &self.loss);
        let grow = |(index, scores): (usize, &mut Vec<f32>)| {
            let mut columns =
                index::sample(&mut seed.nth(index as u64).rng(), n_columns, n_sampled).into_vec();
            columns.sort_unstable();
            let gradients = match loss {
                Loss::Classes { classes, n, weights } => {
                    // LightGBM's factor: of the classes' scores only the differences matter.
                    let factor = *n as f32 / (n - 1) as f32;
                    Gradients::new(n_rows, |row| {
                        let class = classes[row] as usize;
                        let p = (scores[row] - log_sums[row]).exp();
                        let target = f32::from(u8::from(class == index));
                        let weight = weights.as_ref().map_or(1.0, |weights| weights[class]);
                        (weight * (p - target), weight * factor * p * (1.0 - p))
                    })
                }
                Loss::Values(values) => {
                    Gradients::new(n_rows, |row| (scores[row] - values[row], 1.0))
                }
            };
            let grower = Grower::new(bins, columns, config.limits(), gradients);
            grower.grow(|row, value| scores[row] += value)
        };
        let round = self.scores.par_iter_mut().enumerate().map(grow).collect();
        self.rounds.push(round);
    }
}

/// Logarithm of the sum of the exponentials of each row's scores.
fn log_sums(scores: &[Vec<f32>], n_rows: usize) -> Vec<f32> {
    let mut sums = vec![0.0_f32; n_rows];
    let mut largest = scores[0].clone();
    for class in &scores[1..] {
        largest.iter_mut().zip(class).for_each(|(most, &score)| *most = most.max(score));
    }
    for class in scores {
        for ((sum, &score), &most) in sums.iter_mut().zip(class).zip(&largest) {
            *sum += (score - most).exp();
        }
    }
    sums.iter().zip(&largest).map(|(sum, most)| most + sum.ln()).collect()
}

/// Follows the loss on validation rows.
struct Judge<'a> {
    x: MatrixView<'a>,
    loss: Loss<'a>,
    /// Scores, `(n_rows, n_scores)`.
    scores: Matrix,
    n_seen: usize,
    best: usize,
    best_loss: Option<f64>,
}

impl<'a> Judge<'a> {
    fn new(x: MatrixView<'a>, loss: Loss<'a>, prior: Vec<f32>) -> Self {
        let scores = Matrix::from_shape_fn((x.nrows(), prior.len()), |(_, score)| prior[score]);
        Judge { x, loss, scores, n_seen: 0, best: 0, best_loss: None }
    }

    /// Adds the newest round; returns a line for the progress display.
    fn look(&mut self, rounds: &[Round]) -> String {
        self.n_seen = rounds.len();
        let n_rows = self.loss.n_rows();
        if n_rows == 0 {
            return String::new();
        }
        if let Some(newest) = rounds.last() {
            self.scores += &added(self.x, std::slice::from_ref(newest));
        }
        let rows = self.scores.outer_iter().enumerate();
        let total: f64 = rows
            .map(|(row, scores)| self.loss.of(row, scores.to_slice().unwrap_or_default()))
            .sum();
        let loss = total / n_rows as f64;
        if self.best_loss.is_none_or(|best| loss < best) {
            (self.best, self.best_loss) = (self.n_seen, Some(loss));
        }
        format!("validation loss {loss:.4}")
    }

    fn rounds_since_best(&self) -> usize {
        if self.loss.n_rows() == 0 { 0 } else { self.n_seen - self.best }
    }

    fn best_round(&self, n_grown: usize) -> usize {
        if self.loss.n_rows() == 0 { n_grown } else { self.best }
    }
}

fn log_loss(scores: &[f32], class: usize) -> f64 {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |most, &score| most.max(score));
    let sum: f64 = scores.iter().map(|&score| f64::from(score - largest).exp()).sum();
    sum.ln() - f64::from(scores[class] - largest)
}

/// What the rounds add to the rows' scores, in the order of the rounds, `(n_rows, n_scores)`.
fn added(x: MatrixView<'_>, rounds: &[Round]) -> Matrix {
    let n_scores = rounds.first().map_or(1, Vec::len);
    map_rows(x, n_scores, |rows, scores| {
        for round in rounds {
            for (score, tree) in round.iter().enumerate() {
                for (row, scores) in rows.outer_iter().zip(scores.chunks_exact_mut(n_scores)) {
                    scores[score] += tree.value(row.to_slice().expect("the layout is standard"));
                }
            }
        }
    })
}

/// A grown ensemble.
struct Fit {
    prior: Vec<f32>,
    rounds: Vec<Round>,
    n_features: usize,
    validation_loss: Option<f64>,
    max_depth: usize,
}

impl Fit {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        check_predict(x, self.n_features)?;
        let mut scores =
            Matrix::from_shape_fn((x.nrows(), self.prior.len()), |(_, score)| self.prior[score]);
        if !self.rounds.is_empty() {
            scores += &added(x, &self.rounds);
        }
        Ok(scores)
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        let mut chosen = BTreeMap::from([
            ("n_rounds".to_owned(), self.rounds.len() as f64),
            ("max_depth".to_owned(), self.max_depth as f64),
        ]);
        if let Some(loss) = self.validation_loss {
            chosen.insert("validation_loss".to_owned(), loss);
        }
        chosen
    }

    fn size(&self) -> usize {
        self.prior.len() + self.rounds.iter().flatten().map(ValueTree::size).sum::<usize>()
    }
}

struct BoostedClasses {
    boosted: Fit,
}

impl Fitted for BoostedClasses {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        let mut scores = self.boosted.scores(x)?;
        for mut row in scores.outer_iter_mut() {
            softmax(row.as_slice_mut().expect("built row-major"));
        }
        Ok(scores)
    }

    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error> {
        Ok(largest(self.boosted.scores(x)?.view()))
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.boosted.chosen()
    }

    fn size(&self) -> usize {
        self.boosted.size()
    }
}

struct BoostedValues {
    boosted: Fit,
    mean: f32,
    unit: f32,
}

impl FittedRegressor for BoostedValues {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        let scores = self.boosted.scores(x)?;
        Ok(scores.iter().map(|score| self.mean + self.unit * score).collect())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.boosted.chosen()
    }

    fn size(&self) -> usize {
        self.boosted.size()
    }
}
