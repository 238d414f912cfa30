//! A small multilayer perceptron: one hidden layer of rectified units, trained by Adam, stopped
//! where the loss on validation rows no longer falls. Its loops are its own: this crate knows no
//! tensor.

use std::collections::BTreeMap;

use hourglass_core::linalg::{matmul, matmul_into};
use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Rng, Seed};
use ndarray::{Array1, Axis, Zip};
use rand::RngExt;
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::require;
use crate::estimator::{check_predict, stop_if_raised};
use crate::logistic_regression::softmax;
use crate::regressor::{FittedRegressor, Regressor, ValueData};
use crate::{Error, Estimator, FitData, Fitted};

/// Hidden units and weight decay that are tried, the usual ones first.
const TRIED: [(usize, f32); 4] = [(64, 1e-4), (64, 1e-1), (256, 1e-4), (256, 1e-1)];

/// Adam's decay rates and its guard against division by zero (Kingma and Ba, *Adam*, ICLR 2015).
const BETAS: [f32; 2] = [0.9, 0.999];
const TINY: f32 = 1e-8;

/// A multilayer perceptron with one hidden layer.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `hidden` | chosen | hidden units; 64 or 256, chosen on validation, unless given | at least 1 |
/// | `weight_decay` | chosen | share of the weights, times the learning rate, that a step takes off; 1e-4 or 0.1, chosen on validation, unless given | at least 0 |
/// | `learning_rate` | 1e-3 | Adam's | positive |
/// | `batch_size` | 128 | rows of a step | at least 1 |
/// | `epochs` | 60 | passes over the training rows at most | at least 1 |
/// | `patience` | 8 | epochs without a lower validation loss before it stops | at least 1 |
///
/// Fitted on the training rows; the weights kept are those of the epoch with the lowest loss on
/// validation rows, or of the last one where there is none. As boosting it isn't fitted again with
/// the validation rows.
///
/// # Source
/// As scikit-learn's `MLPClassifier` and `MLPRegressor` with early stopping, but with decoupled
/// weight decay (Loshchilov and Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019) and
/// weights drawn as in He et al., *Delving Deep into Rectifiers*, ICCV 2015.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Mlp {
    /// Hidden units; chosen unless given.
    pub hidden: Option<usize>,
    /// Weight decay; chosen unless given.
    pub weight_decay: Option<f32>,
    /// Adam's learning rate.
    pub learning_rate: f32,
    /// Rows of a step.
    pub batch_size: usize,
    /// Passes over the training rows at most.
    pub epochs: usize,
    /// Epochs without a lower validation loss before it stops.
    pub patience: usize,
}

impl Default for Mlp {
    fn default() -> Self {
        Mlp {
            hidden: None,
            weight_decay: None,
            learning_rate: 1e-3,
            batch_size: 128,
            epochs: 60,
            patience: 8,
        }
    }
}

impl Mlp {
    pub(crate) const NAME: &'static str = "mlp";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        let (name, positive) = (Self::NAME, "at least 1");
        require(self.hidden() >= 1, name, "hidden", self.hidden(), positive)?;
        let decay = self.weight_decay();
        require(decay >= 0.0 && decay.is_finite(), name, "weight_decay", decay, "at least 0")?;
        let rate = self.learning_rate;
        require(rate > 0.0 && rate.is_finite(), name, "learning_rate", rate, "positive")?;
        require(self.batch_size >= 1, name, "batch_size", self.batch_size, positive)?;
        require(self.epochs >= 1, name, "epochs", self.epochs, positive)?;
        require(self.patience >= 1, name, "patience", self.patience, positive)
    }

    /// What is tried, the usual one first.
    pub(crate) fn candidates(&self) -> Vec<Mlp> {
        let mut candidates = Vec::new();
        for (hidden, decay) in TRIED {
            let candidate = Mlp {
                hidden: Some(self.hidden.unwrap_or(hidden)),
                weight_decay: Some(self.weight_decay.unwrap_or(decay)),
                ..self.clone()
            };
            if !candidates.contains(&candidate) {
                candidates.push(candidate);
            }
        }
        candidates
    }

    fn hidden(&self) -> usize {
        self.hidden.unwrap_or(TRIED[0].0)
    }

    fn weight_decay(&self) -> f32 {
        self.weight_decay.unwrap_or(TRIED[0].1)
    }

    fn train(
        &self,
        task: &Task<'_>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Trained, Error> {
        self.check()?;
        let seed = seed.child(Self::NAME);
        progress.begin(Self::NAME, Some(self.epochs as u64));
        let mut net = Net::new(
            task.train.ncols(),
            self.hidden(),
            task.n_outputs,
            &mut seed.child("weights").rng(),
        );
        let mut adam = Adam::new(&net);
        let mut best: Option<(f64, usize, Net)> = None;
        let mut rows: Vec<usize> = (0..task.train.nrows()).collect();
        let mut epochs = 0;
        for epoch in 0..self.epochs {
            stop_if_raised(interrupt)?;
            rows.shuffle(&mut seed.child("order").nth(epoch as u64).rng());
            for batch in rows.chunks(self.batch_size) {
                let x = task.train.select(Axis(0), batch);
                let (hidden, mut outputs) = net.forward(x.view());
                task.differentiate(batch, &mut outputs);
                let gradient = net.gradient(x.view(), &hidden, outputs);
                adam.step(&mut net, &gradient, self.learning_rate, self.weight_decay());
            }
            epochs = epoch + 1;
            if task.validation.nrows() == 0 {
                progress.advance(epochs as u64, "");
                continue;
            }
            let loss = task.validation_loss(net.forward(task.validation).1.view());
            progress.advance(epochs as u64, &format!("validation loss {loss:.4}"));
            if best.as_ref().is_none_or(|(least, ..)| loss < *least) {
                best = Some((loss, epochs, net.clone()));
            } else if best.as_ref().is_some_and(|(_, at, _)| epochs - at >= self.patience) {
                break;
            }
        }
        progress.end("");
        let mut chosen = BTreeMap::from([
            ("hidden".to_owned(), self.hidden() as f64),
            ("weight_decay".to_owned(), f64::from(self.weight_decay())),
        ]);
        if let Some((loss, at, kept)) = best {
            (net, epochs) = (kept, at);
            chosen.insert("validation_loss".to_owned(), loss);
        }
        chosen.insert("epochs".to_owned(), epochs as f64);
        Ok(Trained { net, chosen })
    }
}

impl Estimator for Mlp {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        data.check()?;
        let weights = data.class_weights.map_or_else(|| vec![1.0; data.n_classes], <[f32]>::to_vec);
        let task = Task {
            train: data.train,
            validation: data.validation,
            n_outputs: data.n_classes,
            target: Target::Classes {
                train: data.train_classes,
                validation: data.validation_classes,
                weights,
            },
        };
        let trained = self.train(&task, seed, progress, interrupt)?;
        Ok(Box::new(MlpClassifier { trained }))
    }
}

impl Regressor for Mlp {
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
        data.check()?;
        let (mean, unit) = data.location();
        let scaled = |values: &[f32]| values.iter().map(|v| (v - mean) / unit).collect();
        let task = Task {
            train: data.train,
            validation: data.validation,
            n_outputs: 1,
            target: Target::Values {
                train: scaled(data.train_values),
                validation: scaled(data.validation_values),
            },
        };
        let trained = self.train(&task, seed, progress, interrupt)?;
        Ok(Box::new(MlpRegressor { trained, mean, unit }))
    }
}

/// Rows, and what is to be made of them.
struct Task<'a> {
    train: MatrixView<'a>,
    validation: MatrixView<'a>,
    n_outputs: usize,
    target: Target<'a>,
}

enum Target<'a> {
    Classes { train: &'a [u32], validation: &'a [u32], weights: Vec<f32> },
    Values { train: Vec<f32>, validation: Vec<f32> },
}

impl Task<'_> {
    /// Replaces the outputs of training rows by the derivatives of their mean loss.
    fn differentiate(&self, batch: &[usize], outputs: &mut Matrix) {
        let share = 1.0 / batch.len() as f32;
        for (mut row, &index) in outputs.outer_iter_mut().zip(batch) {
            let row = row.as_slice_mut().expect("built row-major");
            match &self.target {
                Target::Classes { train, weights, .. } => {
                    let class = train[index] as usize;
                    softmax(row);
                    row[class] -= 1.0;
                    row.iter_mut().for_each(|slope| *slope *= weights[class] * share);
                }
                Target::Values { train, .. } => row[0] = (row[0] - train[index]) * share,
            }
        }
    }

    /// Mean log loss, or mean squared error.
    fn validation_loss(&self, outputs: MatrixView<'_>) -> f64 {
        let losses = outputs.outer_iter().enumerate().map(|(index, row)| match &self.target {
            Target::Classes { validation, .. } => {
                let largest = row.iter().fold(f32::NEG_INFINITY, |most, &o| most.max(o));
                let sum: f64 = row.iter().map(|o| f64::from(o - largest).exp()).sum();
                sum.ln() - f64::from(row[validation[index] as usize] - largest)
            }
            Target::Values { validation, .. } => f64::from(row[0] - validation[index]).powi(2),
        });
        losses.sum::<f64>() / outputs.nrows() as f64
    }
}

/// Weights and biases of the two layers: `(n_features, hidden)`, `(hidden)`, `(hidden, n_outputs)`,
/// `(n_outputs)`.
#[derive(Clone)]
struct Net {
    weights: [Matrix; 2],
    biases: [Array1<f32>; 2],
}

impl Net {
    fn new(n_features: usize, hidden: usize, n_outputs: usize, rng: &mut Rng) -> Net {
        let mut layer = |from: usize, to: usize| {
            let limit = (6.0 / from as f32).sqrt();
            Matrix::from_shape_simple_fn((from, to), || limit * (2.0 * rng.random::<f32>() - 1.0))
        };
        let mut weights = [layer(n_features, hidden), layer(hidden, n_outputs)];
        // Small outputs at first, so that no class is favoured.
        weights[1] *= 0.1;
        Net { weights, biases: [Array1::zeros(hidden), Array1::zeros(n_outputs)] }
    }

    /// Hidden activations and outputs.
    fn forward(&self, x: MatrixView<'_>) -> (Matrix, Matrix) {
        let mut hidden = matmul(x, self.weights[0].view());
        hidden += &self.biases[0];
        hidden.mapv_inplace(|value| value.max(0.0));
        let mut outputs = matmul(hidden.view(), self.weights[1].view());
        outputs += &self.biases[1];
        (hidden, outputs)
    }

    /// The gradient, as a net of the same shape.
    fn gradient(&self, x: MatrixView<'_>, hidden: &Matrix, slopes: Matrix) -> Net {
        let mut back = matmul(slopes.view(), self.weights[1].t());
        Zip::from(&mut back).and(hidden).for_each(|slope, &value| {
            if value <= 0.0 {
                *slope = 0.0;
            }
        });
        let mut first = Matrix::zeros(self.weights[0].dim());
        matmul_into(first.view_mut(), x.t(), back.view(), 0.0);
        let second = matmul(hidden.t(), slopes.view());
        Net { weights: [first, second], biases: [back.sum_axis(Axis(0)), slopes.sum_axis(Axis(0))] }
    }

    fn size(&self) -> usize {
        self.weights.iter().map(Matrix::len).sum::<usize>()
            + self.biases.iter().map(Array1::len).sum::<usize>()
    }
}

/// Running means of the gradients and of their squares.
struct Adam {
    means: [Net; 2],
    n_steps: i32,
}

impl Adam {
    fn new(net: &Net) -> Adam {
        let zero = || Net {
            weights: [0, 1].map(|layer| Matrix::zeros(net.weights[layer].dim())),
            biases: [0, 1].map(|layer| Array1::zeros(net.biases[layer].len())),
        };
        Adam { means: [zero(), zero()], n_steps: 0 }
    }

    fn step(&mut self, net: &mut Net, gradient: &Net, rate: f32, decay: f32) {
        self.n_steps += 1;
        let [first, second] = BETAS.map(|beta| 1.0 / (1.0 - beta.powi(self.n_steps)));
        let [means, squares] = &mut self.means;
        let change = |weight: &mut f32, g: f32, mean: &mut f32, square: &mut f32, decay: f32| {
            *mean += (1.0 - BETAS[0]) * (g - *mean);
            *square += (1.0 - BETAS[1]) * (g * g - *square);
            let direction = *mean * first / ((*square * second).sqrt() + TINY);
            *weight -= rate * (direction + decay * *weight);
        };
        for layer in 0..2 {
            Zip::from(&mut net.weights[layer])
                .and(&gradient.weights[layer])
                .and(&mut means.weights[layer])
                .and(&mut squares.weights[layer])
                .for_each(|w, &g, m, s| change(w, g, m, s, decay));
            Zip::from(&mut net.biases[layer])
                .and(&gradient.biases[layer])
                .and(&mut means.biases[layer])
                .and(&mut squares.biases[layer])
                .for_each(|w, &g, m, s| change(w, g, m, s, 0.0));
        }
    }
}

struct Trained {
    net: Net,
    chosen: BTreeMap<String, f64>,
}

impl Trained {
    fn outputs(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        check_predict(x, self.net.weights[0].nrows())?;
        Ok(self.net.forward(x).1)
    }
}

struct MlpClassifier {
    trained: Trained,
}

impl Fitted for MlpClassifier {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        let mut outputs = self.trained.outputs(x)?;
        for mut row in outputs.outer_iter_mut() {
            softmax(row.as_slice_mut().expect("built row-major"));
        }
        Ok(outputs)
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.trained.chosen.clone()
    }

    fn size(&self) -> usize {
        self.trained.net.size()
    }
}

struct MlpRegressor {
    trained: Trained,
    mean: f32,
    unit: f32,
}

impl FittedRegressor for MlpRegressor {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        let outputs = self.trained.outputs(x)?;
        Ok(outputs.iter().map(|output| self.mean + self.unit * output).collect())
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        self.trained.chosen.clone()
    }

    fn size(&self) -> usize {
        self.trained.net.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_agree_with_differences() {
        let mut rng = Seed::new(3).rng();
        let x = Matrix::from_shape_simple_fn((7, 4), || rng.random::<f32>() - 0.5);
        let classes = [0, 2, 1, 1, 0, 2, 0];
        let task = Task {
            train: x.view(),
            validation: x.view(),
            n_outputs: 3,
            target: Target::Classes {
                train: &classes,
                validation: &classes,
                weights: vec![1.0; 3],
            },
        };
        let mut net = Net::new(4, 5, 3, &mut rng);
        net.weights[1] *= 10.0;
        let batch: Vec<usize> = (0..7).collect();
        let (hidden, mut outputs) = net.forward(x.view());
        task.differentiate(&batch, &mut outputs);
        let gradient = net.gradient(x.view(), &hidden, outputs);
        for layer in 0..2 {
            for (index, &slope) in gradient.weights[layer].indexed_iter() {
                let loss = |by: f32| {
                    let mut moved = net.clone();
                    moved.weights[layer][index] += by;
                    task.validation_loss(moved.forward(x.view()).1.view())
                };
                let measured = (loss(5e-3) - loss(-5e-3)) / 1e-2;
                assert!((f64::from(slope) - measured).abs() < 2e-3, "{layer} {index:?}");
            }
        }
    }
}
