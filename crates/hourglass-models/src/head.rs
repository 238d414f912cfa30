//! The end of every decoder: how its output becomes a reconstruction, and what that is compared by.
//! A vector or an image has one activation and the loss of the file; a table has both for each kind
//! of column. It holds no weights.

use std::ops::Range;

use candle_core::Tensor;
use hourglass_core::{ColumnGroup, ColumnKind, SampleShape};
use hourglass_nn::{Activation, Loss, group_cross_entropy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How much the kinds of columns of a mixed table count in the reconstruction loss, which is the
/// weighted mean over numeric columns (by the loss of the file), binary columns (by cross-entropy)
/// and categories (by cross-entropy over their levels, each category once).
///
/// | field | default | meaning | range |
/// | :-- | :-- | :-- | :-- |
/// | `numeric` | 1 | weight of a numeric column | 0 or above |
/// | `binary` | 1 | weight of a binary column | 0 or above |
/// | `categorical` | 1 | weight of a category, however many levels it has | 0 or above |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnWeights {
    /// Weight of a numeric column; 0 or above. Default: 1.
    pub numeric: f32,
    /// Weight of a binary column; 0 or above. Default: 1.
    pub binary: f32,
    /// Weight of a category, however many levels it has; 0 or above. Default: 1.
    pub categorical: f32,
}

impl Default for ColumnWeights {
    fn default() -> Self {
        ColumnWeights { numeric: 1.0, binary: 1.0, categorical: 1.0 }
    }
}

impl ColumnWeights {
    pub(crate) fn is_default(&self) -> bool {
        *self == ColumnWeights::default()
    }

    pub(crate) fn check(self) -> Result<()> {
        let weights = [
            ("column_weights.numeric", self.numeric),
            ("column_weights.binary", self.binary),
            ("column_weights.categorical", self.categorical),
        ];
        for (key, weight) in weights {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::config(key, weight, "0 or above"));
            }
        }
        Ok(())
    }

    pub(crate) fn of(self, kind: ColumnKind) -> f32 {
        match kind {
            ColumnKind::Numeric => self.numeric,
            ColumnKind::Binary => self.binary,
            ColumnKind::Categorical => self.categorical,
        }
    }
}

/// How an output is finished and compared.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    activation: Activation,
    /// Empty but for a table.
    groups: Vec<ColumnGroup>,
    weights: ColumnWeights,
}

impl Head {
    pub fn new(shape: &SampleShape, activation: Activation, weights: ColumnWeights) -> Self {
        Head { activation, groups: shape.groups().to_vec(), weights }
    }

    /// Whether one loss compares all columns.
    pub fn is_plain(&self) -> bool {
        self.groups.is_empty()
    }

    /// What the last layer applies to a reconstruction, before [`Head::finish`].
    pub fn layer_activation(&self) -> Activation {
        if self.groups.is_empty() { self.activation } else { Activation::Linear }
    }

    /// What the last layer applies to an output that [`Head::loss`] compares: nothing where the
    /// loss starts before the last activation, so that it stays finite.
    pub fn loss_activation(&self, loss: &Loss) -> Activation {
        if *loss == Loss::Bce { Activation::Linear } else { self.layer_activation() }
    }

    /// The reconstruction loss, a scalar.
    ///
    /// # Shapes
    /// - `output`, `target`: `(batch, n_features)`
    pub fn loss(&self, output: &Tensor, target: &Tensor, loss: &Loss) -> Result<Tensor> {
        if self.groups.is_empty() {
            return Ok(loss.mean(output, target)?);
        }
        if *loss == Loss::Bce {
            return Err(Error::TableLoss { loss: "bce".to_owned() });
        }
        let mut sum = Tensor::zeros((), output.dtype(), output.device())?;
        let mut total_weight = 0.0;
        let mut add = |loss: Tensor, kind, n_parts: usize| -> Result<()> {
            let weight = f64::from(self.weights.of(kind)) * n_parts as f64;
            sum = (&sum + (loss * weight)?)?;
            total_weight += weight;
            Ok(())
        };
        for kind in [ColumnKind::Numeric, ColumnKind::Binary] {
            let columns = self.columns(kind);
            let n_columns = columns.iter().filter(|&&weight| weight > 0.0).count();
            if n_columns > 0 && self.weights.of(kind) > 0.0 {
                let loss = match kind {
                    ColumnKind::Numeric => {
                        loss.weighted_mean(&self.activation.forward(output)?, target, &columns)?
                    }
                    _ => Loss::Bce.weighted_mean(output, target, &columns)?,
                };
                add(loss, kind, n_columns)?;
            }
        }
        let categories = self.ranges(ColumnKind::Categorical);
        if !categories.is_empty() && self.weights.categorical > 0.0 {
            let loss = group_cross_entropy(output, target, &categories)?;
            add(loss, ColumnKind::Categorical, categories.len())?;
        }
        Ok((sum / total_weight.max(f64::MIN_POSITIVE))?)
    }

    fn ranges(&self, kind: ColumnKind) -> Vec<Range<usize>> {
        let of_kind = self.groups.iter().filter(|group| group.kind == kind);
        of_kind.map(|group| group.columns.clone()).collect()
    }

    /// 1 for each column of a kind, 0 for the others.
    fn columns(&self, kind: ColumnKind) -> Vec<f32> {
        let n_features = self.groups.last().map_or(0, |group| group.columns.end);
        let mut columns = vec![0.0; n_features];
        for range in self.ranges(kind) {
            columns[range].fill(1.0);
        }
        columns
    }

    /// The reconstruction: probabilities for binary columns and for the levels of a category.
    pub fn finish(&self, output: Tensor) -> Result<Tensor> {
        if self.groups.is_empty() {
            return Ok(output);
        }
        let shape = output.dims2()?;
        let mut values = output.flatten_all()?.to_vec1::<f32>()?;
        for row in values.chunks_mut(shape.1.max(1)) {
            for group in &self.groups {
                let values = &mut row[group.columns.clone()];
                match group.kind {
                    ColumnKind::Numeric => self.activation.apply(values),
                    ColumnKind::Binary => Activation::Sigmoid.apply(values),
                    ColumnKind::Categorical => softmax(values),
                }
            }
        }
        Ok(Tensor::from_vec(values, shape, output.device())?)
    }
}

fn softmax(logits: &mut [f32]) {
    let highest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    logits.iter_mut().for_each(|logit| *logit = (*logit - highest).exp());
    let sum: f32 = logits.iter().sum();
    logits.iter_mut().for_each(|logit| *logit /= sum);
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn head() -> Head {
        let group =
            |name: &str, kind, columns| ColumnGroup { name: name.to_owned(), kind, columns };
        let groups = vec![
            group("a", ColumnKind::Numeric, 0..2),
            group("b", ColumnKind::Binary, 2..3),
            group("c", ColumnKind::Categorical, 3..6),
        ];
        let weights = ColumnWeights { numeric: 2.0, binary: 1.0, categorical: 0.5 };
        Head::new(&SampleShape::Table { groups }, Activation::Tanh, weights)
    }

    const TARGET: [f32; 12] = [0.2, -0.4, 1.0, 0.0, 1.0, 0.0, 0.9, 0.1, 0.0, 0.0, 0.0, 0.0];
    const OUTPUT: [f32; 12] = [0.1, 0.7, -0.4, 0.3, -0.2, 1.1, -0.6, 0.2, 2.0, 0.4, 0.0, -0.3];

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (2, 6), &Device::Cpu).unwrap()
    }

    fn value(loss: Loss, output: &[f32]) -> f32 {
        head().loss(&tensor(output), &tensor(&TARGET), &loss).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn the_loss_of_a_table_agrees_with_pytorch() {
        // import torch, torch.nn.functional as F
        // t = torch.tensor(TARGET).reshape(2, 6); o = torch.tensor(OUTPUT).reshape(2, 6)
        // n = ((o[:, :2].tanh() - t[:, :2]) ** 2).sum()
        // b = F.binary_cross_entropy_with_logits(o[:, 2], t[:, 2], reduction="sum")
        // c = -(t[:, 3:] * F.log_softmax(o[:, 3:], 1)).sum()
        // (2 * n + b + 0.5 * c) / (2 * (2 + 2 + 1 + 0.5))
        let found = value(Loss::Mse, &OUTPUT);
        assert!((found - 0.922_588_65).abs() < 1e-5, "{found}");
        let error = head().loss(&tensor(&OUTPUT), &tensor(&TARGET), &Loss::Bce).unwrap_err();
        assert!(matches!(error, Error::TableLoss { .. }));
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for loss in [Loss::Mse, Loss::L1, Loss::Huber { delta: 0.3 }] {
            let output = Var::from_tensor(&tensor(&OUTPUT)).unwrap();
            let gradients =
                head().loss(&output, &tensor(&TARGET), &loss).unwrap().backward().unwrap();
            let gradient = gradients.get(&output).unwrap().flatten_all().unwrap();
            for (i, found) in gradient.to_vec1::<f32>().unwrap().into_iter().enumerate() {
                let (mut up, mut down) = (OUTPUT, OUTPUT);
                up[i] += 1e-2;
                down[i] -= 1e-2;
                let numeric = (value(loss, &up) - value(loss, &down)) / 2e-2;
                assert!((found - numeric).abs() < 1e-3, "{loss:?} {i}: {found} {numeric}");
            }
        }
    }

    #[test]
    fn a_finished_table_has_probabilities_and_shares() {
        let table = head().finish(tensor(&OUTPUT)).unwrap().to_vec2::<f32>().unwrap();
        for (row, output) in table.iter().zip(OUTPUT.chunks(6)) {
            assert!((row[0] - output[0].tanh()).abs() < 1e-6);
            assert!((row[2] - 1.0 / (1.0 + (-output[2]).exp())).abs() < 1e-6);
            assert!((row[3..].iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}
