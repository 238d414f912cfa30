//! Gradient boosting: rounds of small trees, one a class, each fitted to the gradient of the
//! multinomial log loss.
//!
//! # Source
//! Chen and Guestrin, *XGBoost: A Scalable Tree Boosting System*, KDD 2016 (second-order gain,
//! shrinkage, column sampling); Ke et al., *LightGBM*, NeurIPS 2017 (histograms, the larger child
//! by subtraction); Shi et al., *Quantized Training of Gradient Boosting Decision Trees*, NeurIPS
//! 2022: gradients are integers, here of about 14 bits, so that sums are exact and depend on no
//! order.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, MatrixView, Progress, Seed};
use ndarray::Axis;
use rand::seq::index;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::require;
use crate::estimator::{argmax, check_predict, stop_if_raised};
use crate::trees::bins::Bins;
use crate::trees::boosted::{Gradients, Grower, Limits, ValueTree};
use crate::{Error, Estimator, FitData, Fitted};

/// Rows scored together.
const SCORED_ROWS: usize = 256;

/// Gradient-boosted trees for any number of classes.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `n_rounds` | 100 | rounds at most; each grows one tree a class | at least 1 |
/// | `learning_rate` | 0.1 | share of each tree's values that is added | (0, 1] |
/// | `max_depth` | 6 | splits from the root to a leaf at most | 1 to 16 |
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
    /// Splits from the root to a leaf at most.
    pub max_depth: usize,
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
            max_depth: 6,
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
        let depth = self.max_depth;
        require((1..=16).contains(&depth), name, "max_depth", depth, "from 1 to 16")?;
        let sample = self.column_sample;
        require(share(sample), name, "column_sample", sample, "in (0, 1]")?;
        require(not_negative(self.l2), name, "l2", self.l2, "at least 0")?;
        let weight = self.min_child_weight;
        require(not_negative(weight), name, "min_child_weight", weight, "at least 0")?;
        require(self.patience >= 1, name, "patience", self.patience, "at least 1")
    }

    fn limits(&self) -> Limits {
        Limits {
            max_depth: self.max_depth,
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
        let n_rounds = self.n_rounds as u64;
        progress.begin(Self::NAME, Some(if self.refit { 2 * n_rounds } else { n_rounds }));
        let seed = seed.child(Self::NAME);
        let mut boosted = Boosted::start(data.train, data.train_classes, data.n_classes);
        let mut judge = Judge::new(data, boosted.prior.clone());
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
            boosted = Boosted::start(data.refit, data.refit_classes, data.n_classes);
            for round in 0..n_best {
                stop_if_raised(interrupt)?;
                boosted.add_round(self, seed.nth(round as u64));
                progress.advance(n_rounds + round as u64 + 1, "");
            }
        }
        progress.end("");
        let Boosted { prior, rounds, .. } = boosted;
        let n_features = data.train.ncols();
        Ok(Box::new(FittedBoosting { prior, rounds, n_features, validation_loss }))
    }
}

/// The trees of one round, one a class.
type Round = Vec<ValueTree>;

/// An ensemble that grows.
struct Boosted<'a> {
    bins: Bins,
    classes: &'a [u32],
    /// Scores before the first round: the logarithms of the classes' shares.
    prior: Vec<f32>,
    /// Scores of each row, class by class.
    scores: Vec<Vec<f32>>,
    rounds: Vec<Round>,
}

impl<'a> Boosted<'a> {
    fn start(x: MatrixView<'_>, classes: &'a [u32], n_classes: usize) -> Self {
        let mut counts = vec![0.0_f64; n_classes];
        classes.iter().for_each(|&class| counts[class as usize] += 1.0);
        // A class without a row counts as half a row, so that its score stays finite.
        let share = |count: &f64| (count.max(0.5) / classes.len() as f64).ln() as f32;
        let prior: Vec<f32> = counts.iter().map(share).collect();
        let scores = prior.iter().map(|&score| vec![score; classes.len()]).collect();
        Boosted { bins: Bins::of(x), classes, prior, scores, rounds: Vec::new() }
    }

    fn add_round(&mut self, config: &GradientBoosting, seed: Seed) {
        let n_classes = self.prior.len();
        let n_rows = self.classes.len();
        let n_columns = self.bins.cuts.len();
        let n_sampled = ((n_columns as f64 * config.column_sample).ceil() as usize).max(1);
        let log_sums = log_sums(&self.scores, n_rows);
        let (bins, classes) = (&self.bins, self.classes);
        // LightGBM's factor: of the classes' scores only the differences matter.
        let factor = n_classes as f32 / (n_classes - 1) as f32;
        let grow = |(class, scores): (usize, &mut Vec<f32>)| {
            let mut columns =
                index::sample(&mut seed.nth(class as u64).rng(), n_columns, n_sampled).into_vec();
            columns.sort_unstable();
            let derivative = |row: usize| {
                let p = (scores[row] - log_sums[row]).exp();
                let target = f32::from(u8::from(classes[row] as usize == class));
                (p - target, factor * p * (1.0 - p))
            };
            let gradients = Gradients::new(n_rows, derivative);
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

/// Follows the log loss on validation rows.
struct Judge<'a> {
    x: MatrixView<'a>,
    classes: &'a [u32],
    /// Scores, row by row.
    scores: Vec<f32>,
    n_classes: usize,
    n_seen: usize,
    best: usize,
    best_loss: Option<f64>,
}

impl<'a> Judge<'a> {
    fn new(data: &FitData<'a>, prior: Vec<f32>) -> Self {
        let n_rows = data.validation.nrows();
        Judge {
            x: data.validation,
            classes: data.validation_classes,
            n_classes: prior.len(),
            scores: prior.repeat(n_rows),
            n_seen: 0,
            best: 0,
            best_loss: None,
        }
    }

    /// Adds the newest round; returns a line for the progress display.
    fn look(&mut self, rounds: &[Round]) -> String {
        self.n_seen = rounds.len();
        if self.classes.is_empty() {
            return String::new();
        }
        if let Some(newest) = rounds.last() {
            add_scores(&mut self.scores, self.x, std::slice::from_ref(newest));
        }
        let rows = self.scores.chunks_exact(self.n_classes).zip(self.classes);
        let total: f64 = rows.map(|(scores, &class)| log_loss(scores, class as usize)).sum();
        let loss = total / self.classes.len() as f64;
        if self.best_loss.is_none_or(|best| loss < best) {
            (self.best, self.best_loss) = (self.n_seen, Some(loss));
        }
        format!("validation log loss {loss:.4}")
    }

    fn rounds_since_best(&self) -> usize {
        if self.classes.is_empty() { 0 } else { self.n_seen - self.best }
    }

    fn best_round(&self, n_grown: usize) -> usize {
        if self.classes.is_empty() { n_grown } else { self.best }
    }
}

fn log_loss(scores: &[f32], class: usize) -> f64 {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |most, &score| most.max(score));
    let sum: f64 = scores.iter().map(|&score| f64::from(score - largest).exp()).sum();
    sum.ln() - f64::from(scores[class] - largest)
}

/// Adds what the rounds say to the rows' scores, in the order of the rounds.
fn add_scores(scores: &mut [f32], x: MatrixView<'_>, rounds: &[Round]) {
    let Some(n_classes) = rounds.first().map(Vec::len) else { return };
    let x = x.as_standard_layout();
    scores
        .par_chunks_mut(SCORED_ROWS * n_classes)
        .zip(x.axis_chunks_iter(Axis(0), SCORED_ROWS).into_par_iter())
        .for_each(|(scores, rows)| {
            for round in rounds {
                for (class, tree) in round.iter().enumerate() {
                    for (row, scores) in rows.outer_iter().zip(scores.chunks_exact_mut(n_classes)) {
                        scores[class] += tree.value(row.to_slice().expect("layout is standard"));
                    }
                }
            }
        });
}

struct FittedBoosting {
    prior: Vec<f32>,
    rounds: Vec<Round>,
    n_features: usize,
    validation_loss: Option<f64>,
}

impl Fitted for FittedBoosting {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error> {
        check_predict(x, self.n_features)?;
        let mut scores = self.prior.repeat(x.nrows());
        add_scores(&mut scores, x, &self.rounds);
        Ok(scores.chunks_exact(self.prior.len()).map(argmax).collect())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        let mut chosen = BTreeMap::from([("n_rounds".to_owned(), self.rounds.len() as f64)]);
        if let Some(loss) = self.validation_loss {
            chosen.insert("validation_log_loss".to_owned(), loss);
        }
        chosen
    }
}
