//! The end of every decoder: how its output becomes a reconstruction, and what that is compared by.
//! A vector or an image has one activation and the loss of the file; a table has both for each kind
//! of column. Beside them stand the losses that look at a sample as a whole. It holds no weights.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use hourglass_core::{ColumnGroup, ColumnKind, SampleShape};
use hourglass_nn::{Activation, Loss, group_cross_entropy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::image_loss::{ImageLoss, image_size};
use crate::maps::MapSize;
use crate::perceptual::{Lens, Perceptual};
use crate::{Autoencoder, Error, LossParts, Result};

/// How much the columns of a table count in the reconstruction loss, which is the weighted mean
/// over numeric columns (by the loss of the file), binary columns (by cross-entropy) and categories
/// (by cross-entropy over their levels, each category once). The weight of a column is that of its
/// kind times its own.
///
/// | field | default | meaning | range |
/// | :-- | :-- | :-- | :-- |
/// | `numeric` | 1 | weight of a numeric column | 0 or above |
/// | `binary` | 1 | weight of a binary column | 0 or above |
/// | `categorical` | 1 | weight of a category, however many levels it has | 0 or above |
/// | `columns` | none | weights of single columns by the name in the source | 0 or above |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnWeights {
    /// Weight of a numeric column; 0 or above. Default: 1.
    pub numeric: f32,
    /// Weight of a binary column; 0 or above. Default: 1.
    pub binary: f32,
    /// Weight of a category, however many levels it has; 0 or above. Default: 1.
    pub categorical: f32,
    /// Weights of single columns by their names in the source, such as `{ age = 3.0 }`, times that
    /// of their kind; 0 or above. Default: 1 each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, f32>,
}

impl Default for ColumnWeights {
    fn default() -> Self {
        let columns = BTreeMap::new();
        ColumnWeights { numeric: 1.0, binary: 1.0, categorical: 1.0, columns }
    }
}

impl ColumnWeights {
    pub(crate) fn is_default(&self) -> bool {
        *self == ColumnWeights::default()
    }

    pub(crate) fn check(&self) -> Result<()> {
        let kinds = [
            ("column_weights.numeric", self.numeric),
            ("column_weights.binary", self.binary),
            ("column_weights.categorical", self.categorical),
        ];
        let single = self.columns.values().map(|&weight| ("column_weights.columns", weight));
        for (key, weight) in kinds.into_iter().chain(single) {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::config(key, weight, "0 or above"));
            }
        }
        Ok(())
    }

    /// Whether every column that has a weight of its own is there.
    pub(crate) fn fits(&self, shape: &SampleShape) -> Result<()> {
        let is_there = |name: &&String| shape.groups().iter().any(|group| group.name == **name);
        let Some(unknown) = self.columns.keys().find(|name| !is_there(name)) else {
            return Ok(());
        };
        let names: Vec<&str> = shape.groups().iter().map(|group| group.name.as_str()).collect();
        let expected = match names.is_empty() {
            true => "absent: only the columns of a table have names".to_owned(),
            false => format!("by the names of columns: {}", names.join(", ")),
        };
        Err(Error::config("column_weights.columns", format!("for `{unknown}`"), expected))
    }

    fn of(&self, kind: ColumnKind) -> f32 {
        match kind {
            ColumnKind::Numeric => self.numeric,
            ColumnKind::Binary => self.binary,
            ColumnKind::Categorical => self.categorical,
        }
    }

    /// That of a column beside that of its kind.
    fn own(&self, name: &str) -> f32 {
        self.columns.get(name).copied().unwrap_or(1.0)
    }
}

/// How an output is finished and compared.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    activation: Activation,
    /// Empty where one loss compares all columns alike.
    groups: Vec<ColumnGroup>,
    weights: ColumnWeights,
    image_loss: Option<(ImageLoss, MapSize)>,
    /// The weight of the perceptual loss, and the encoder in whose features it compares.
    perceptual: Option<(f32, Option<Lens>)>,
    n_features: usize,
}

impl Head {
    pub fn new(shape: &SampleShape, activation: Activation, weights: ColumnWeights) -> Self {
        let is_even = |group: &ColumnGroup| {
            group.kind == ColumnKind::Numeric && weights.own(&group.name) == 1.0
        };
        let groups = match shape.groups().iter().all(is_even) {
            true => Vec::new(),
            false => shape.groups().to_vec(),
        };
        let n_features = shape.n_features();
        Head { activation, groups, weights, image_loss: None, perceptual: None, n_features }
    }

    /// The same with losses that look at a sample as a whole.
    ///
    /// # Errors
    /// If a sample isn't what such a loss looks at.
    pub fn with_views(
        self,
        shape: &SampleShape,
        image_loss: Option<ImageLoss>,
        perceptual: Option<&Perceptual>,
    ) -> Result<Self> {
        let image_loss = match image_loss {
            Some(loss) => Some((loss, image_size(loss, shape)?)),
            None => None,
        };
        if perceptual.is_some() && !self.groups.is_empty() {
            let expected = "absent for a table of several kinds of columns";
            return Err(Error::config("perceptual", "present", expected));
        }
        let perceptual = perceptual.map(|perceptual| (perceptual.weight, None));
        Ok(Head { image_loss, perceptual, ..self })
    }

    /// Gives the perceptual loss its encoder.
    ///
    /// # Errors
    /// [`Error::Config`] where no such loss is asked for, or the encoder takes other samples.
    pub fn look_through(&mut self, encoder: Arc<dyn Autoencoder>) -> Result<()> {
        let Some((_, lens)) = &mut self.perceptual else {
            return Err(Error::config("perceptual", "absent", "present where an encoder is given"));
        };
        *lens = Some(Lens::new(encoder, self.n_features)?);
        Ok(())
    }

    /// Whether the mean loss of the file is all there is.
    pub fn is_plain(&self) -> bool {
        self.groups.is_empty() && self.image_loss.is_none() && self.perceptual.is_none()
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

    /// The reconstruction loss, and the losses that look at a sample as a whole.
    ///
    /// # Shapes
    /// - `output`, `target`: `(batch, n_features)`
    pub fn parts(&self, output: &Tensor, target: &Tensor, loss: &Loss) -> Result<LossParts> {
        LossParts::sum(self.loss(output, target, loss)?, self.views(output, target, loss)?)
    }

    /// The losses that look at a sample as a whole, by name, each with its weight.
    ///
    /// # Shapes
    /// As [`Head::parts`].
    pub fn views(
        &self,
        output: &Tensor,
        target: &Tensor,
        loss: &Loss,
    ) -> Result<Vec<(&'static str, Tensor)>> {
        let is_needed = self.image_loss.is_some() || self.perceptual.is_some();
        match loss {
            _ if !is_needed => Ok(Vec::new()),
            Loss::Bce => self.views_of_image(&self.activation.forward(output)?, target),
            _ => self.views_of_image(output, target),
        }
    }

    /// [`Head::views`] of what the activation has made already.
    pub fn views_of_image(
        &self,
        image: &Tensor,
        target: &Tensor,
    ) -> Result<Vec<(&'static str, Tensor)>> {
        let mut views = Vec::new();
        if let Some((image_loss, size)) = self.image_loss {
            views.push(image_loss.part(image, target, size)?);
        }
        if let Some((weight, lens)) = &self.perceptual {
            let lens = lens.as_ref().ok_or(Error::NoLens)?;
            views.push(("perceptual", (lens.loss(image, target)? * f64::from(*weight))?));
        }
        Ok(views)
    }

    /// The reconstruction loss, a scalar.
    ///
    /// # Shapes
    /// - `output`, `target`: `(batch, n_features)`
    pub fn loss(&self, output: &Tensor, target: &Tensor, loss: &Loss) -> Result<Tensor> {
        if self.groups.is_empty() {
            return Ok(loss.mean(output, target)?);
        }
        self.loss_of_table(output, target, loss, None)
    }

    /// The same with another weight for what was corrupted: a value where the input isn't the
    /// target, a category where one of its levels isn't.
    ///
    /// # Shapes
    /// - `output`, `input`, `target`: `(batch, n_features)`
    pub fn emphasised(
        &self,
        output: &Tensor,
        input: &Tensor,
        target: &Tensor,
        loss: &Loss,
        emphasis: f32,
    ) -> Result<Tensor> {
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let pairs = flat(input)?.into_iter().zip(flat(target)?);
        let mut weights: Vec<f32> =
            pairs.map(|(x, y)| if x == y { 1.0 } else { emphasis }).collect();
        if self.groups.is_empty() {
            // As one row, since every value of the batch has a weight of its own.
            let [output, target] = [output, target].map(|t| t.reshape((1, weights.len())));
            return Ok(loss.weighted_mean(&output?, &target?, &weights)?);
        }
        let categories = self.ranges(ColumnKind::Categorical);
        for row in weights.chunks_mut(self.n_features) {
            for category in &categories {
                let values = &mut row[category.clone()];
                let is_corrupted = values.contains(&emphasis);
                values.fill(if is_corrupted { emphasis } else { 1.0 });
            }
        }
        self.loss_of_table(output, target, loss, Some(&weights))
    }

    /// The loss of a table; every value of the batch may have a weight beside that of its column.
    fn loss_of_table(
        &self,
        output: &Tensor,
        target: &Tensor,
        loss: &Loss,
        values: Option<&[f32]>,
    ) -> Result<Tensor> {
        let is_mixed = self.groups.iter().any(|group| group.kind != ColumnKind::Numeric);
        if *loss == Loss::Bce && is_mixed {
            return Err(Error::TableLoss { loss: "bce".to_owned() });
        }
        let mut sum = Tensor::zeros((), output.dtype(), output.device())?;
        let mut total_weight = 0.0;
        // A mean, and how many columns it stands for.
        let mut add = |mean: Tensor, kind, n_columns: f64| -> Result<()> {
            let weight = f64::from(self.weights.of(kind)) * n_columns;
            sum = (&sum + (mean * weight)?)?;
            total_weight += weight;
            Ok(())
        };
        for kind in [ColumnKind::Numeric, ColumnKind::Binary] {
            let (weights, n_columns) = self.columns(kind, values);
            if n_columns > 0.0 && self.weights.of(kind) > 0.0 {
                let (finished, loss) = match kind {
                    ColumnKind::Numeric if *loss != Loss::Bce => {
                        (self.activation.forward(output)?, *loss)
                    }
                    _ => (output.clone(), Loss::Bce),
                };
                // As one row where every value of the batch has a weight of its own.
                let [finished, target] =
                    [&finished, target].map(|tensor| tensor.reshape(((), weights.len())));
                add(loss.weighted_mean(&finished?, &target?, &weights)?, kind, n_columns)?;
            }
        }
        let categories = self.ranges(ColumnKind::Categorical);
        let (weights, _) = self.columns(ColumnKind::Categorical, values);
        if !categories.is_empty() && self.weights.categorical > 0.0 {
            // The loss of a category is linear in its target, so that this carries the weights.
            let target = match values.is_none() && self.weights.columns.is_empty() {
                true => target.clone(),
                false => {
                    let weights = Tensor::new(weights.as_slice(), target.device())?;
                    target.broadcast_mul(&weights.reshape(((), self.n_features))?)?
                }
            };
            let mean = group_cross_entropy(output, &target, &categories)?;
            let n_rows = (weights.len() / self.n_features) as f64;
            let first = categories.iter().flat_map(|category| {
                let rows = weights.chunks(self.n_features);
                rows.map(|row| f64::from(row[category.start]))
            });
            let (n_columns, n_categories) = (first.sum::<f64>() / n_rows, categories.len() as f64);
            if n_columns > 0.0 {
                add((mean * (n_categories / n_columns))?, ColumnKind::Categorical, n_columns)?;
            }
        }
        Ok((sum / total_weight.max(f64::MIN_POSITIVE))?)
    }

    fn ranges(&self, kind: ColumnKind) -> Vec<Range<usize>> {
        let of_kind = self.groups.iter().filter(|group| group.kind == kind);
        of_kind.map(|group| group.columns.clone()).collect()
    }

    /// The weights of the columns of a kind beside that of the kind, 0 for the others: one for each
    /// column, or one for each value of the batch where those have weights. And their sum over a
    /// row, in the mean.
    fn columns(&self, kind: ColumnKind, values: Option<&[f32]>) -> (Vec<f32>, f64) {
        let mut columns = vec![0.0; self.n_features];
        for group in self.groups.iter().filter(|group| group.kind == kind) {
            columns[group.columns.clone()].fill(self.weights.own(&group.name));
        }
        let weights = match values {
            None => columns,
            Some(values) => {
                let rows = values.chunks(self.n_features);
                let weighted = |row: &[f32]| -> Vec<f32> {
                    row.iter().zip(&columns).map(|(value, column)| value * column).collect()
                };
                rows.flat_map(weighted).collect()
            }
        };
        let n_rows = (weights.len() / self.n_features.max(1)) as f64;
        let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        (weights, sum / n_rows)
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

    fn shape() -> SampleShape {
        let group =
            |name: &str, kind, columns| ColumnGroup { name: name.to_owned(), kind, columns };
        let groups = vec![
            group("a", ColumnKind::Numeric, 0..2),
            group("b", ColumnKind::Binary, 2..3),
            group("c", ColumnKind::Categorical, 3..6),
        ];
        SampleShape::Table { groups }
    }

    fn weights(columns: &[(&str, f32)]) -> ColumnWeights {
        let columns = columns.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect();
        ColumnWeights { numeric: 2.0, binary: 1.0, categorical: 0.5, columns }
    }

    fn head() -> Head {
        Head::new(&shape(), Activation::Tanh, weights(&[]))
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

    /// `TARGET` with a replaced number in the first row, and another category and a replaced bit in
    /// the second.
    const INPUT: [f32; 12] = [0.2, 0.5, 1.0, 0.0, 1.0, 0.0, 0.9, 0.1, 1.0, 0.0, 0.0, 1.0];

    #[test]
    fn gradients_agree_with_finite_differences() {
        let named = Head::new(&shape(), Activation::Tanh, weights(&[("a", 0.5), ("c", 3.0)]));
        type Compare<'a> = &'a dyn Fn(&Tensor, Loss) -> Tensor;
        let plain: Compare<'_> = &|o, loss| head().loss(o, &tensor(&TARGET), &loss).unwrap();
        let weighted: Compare<'_> = &|o, loss| named.loss(o, &tensor(&TARGET), &loss).unwrap();
        let emphasised: Compare<'_> = &|output, loss| {
            let (input, target) = (tensor(&INPUT), tensor(&TARGET));
            named.emphasised(output, &input, &target, &loss, 3.0).unwrap()
        };
        for (name, of) in [("plain", plain), ("weighted", weighted), ("emphasised", emphasised)] {
            for loss in [Loss::Mse, Loss::L1, Loss::Huber { delta: 0.3 }] {
                let value = |values: &[f32]| of(&tensor(values), loss).to_scalar::<f32>().unwrap();
                let output = Var::from_tensor(&tensor(&OUTPUT)).unwrap();
                let gradients = of(&output, loss).backward().unwrap();
                let gradient = gradients.get(&output).unwrap().flatten_all().unwrap();
                for (i, found) in gradient.to_vec1::<f32>().unwrap().into_iter().enumerate() {
                    let (mut up, mut down) = (OUTPUT, OUTPUT);
                    up[i] += 1e-2;
                    down[i] -= 1e-2;
                    let numeric = (value(&up) - value(&down)) / 2e-2;
                    assert!(
                        (found - numeric).abs() < 1e-3,
                        "{name} {loss:?} {i}: {found} {numeric}"
                    );
                }
            }
        }
    }

    #[test]
    fn columns_and_corrupted_values_count_as_asked() {
        let (output, target) = (tensor(&OUTPUT), tensor(&TARGET));
        // The loss of each column of each row: two numbers, a bit, a category.
        let each = |row: usize, column: usize| {
            let (o, t) = (&OUTPUT[6 * row..][..6], &TARGET[6 * row..][..6]);
            match column {
                0 | 1 => (o[column].tanh() - t[column]).powi(2),
                2 => (1.0 + o[2].exp()).ln() - o[2] * t[2],
                _ => {
                    let log_sum = o[3..].iter().map(|o| o.exp()).sum::<f32>().ln();
                    (3..6).map(|level| t[level] * (log_sum - o[level])).sum()
                }
            }
        };
        let mean = |weight: &dyn Fn(usize, usize) -> f32| {
            let pairs: Vec<_> = (0..2).flat_map(|row| (0..4).map(move |c| (row, c))).collect();
            let sum: f32 = pairs.iter().map(|&(row, c)| weight(row, c) * each(row, c)).sum();
            sum / pairs.iter().map(|&(row, c)| weight(row, c)).sum::<f32>()
        };
        let own = [2.0 * 0.5, 2.0 * 0.5, 1.0, 0.5 * 3.0];
        let head = Head::new(&shape(), Activation::Tanh, weights(&[("a", 0.5), ("c", 3.0)]));
        let found = head.loss(&output, &target, &Loss::Mse).unwrap().to_scalar::<f32>().unwrap();
        let expected = mean(&|_, column| own[column]);
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");

        let corrupted = [(0, 1), (1, 2), (1, 3)];
        let expected = mean(&|row, column| {
            own[column] * if corrupted.contains(&(row, column)) { 3.0 } else { 1.0 }
        });
        let found = head.emphasised(&output, &tensor(&INPUT), &target, &Loss::Mse, 3.0).unwrap();
        let found = found.to_scalar::<f32>().unwrap();
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }

    #[test]
    fn a_numeric_table_has_weights_but_no_other_loss() {
        let group = |name: &str, columns| ColumnGroup {
            name: name.to_owned(),
            kind: ColumnKind::Numeric,
            columns,
        };
        let shape = SampleShape::Table { groups: vec![group("a", 0..1), group("b", 1..6)] };
        let even = Head::new(&shape, Activation::Sigmoid, ColumnWeights::default());
        assert!(even.is_plain());
        let columns = BTreeMap::from([("a".to_owned(), 5.0)]);
        let own = ColumnWeights { columns, ..ColumnWeights::default() };
        let head = Head::new(&shape, Activation::Sigmoid, own.clone());
        let (output, target) = (tensor(&OUTPUT), tensor(&TARGET));
        for loss in [Loss::Mse, Loss::Bce] {
            let found = head.loss(&output, &target, &loss).unwrap().to_scalar::<f32>().unwrap();
            let compared = even.loss_activation(&loss).forward(&output).unwrap();
            let expected = loss.weighted_mean(&compared, &target, &[5.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
            let expected = expected.unwrap().to_scalar::<f32>().unwrap();
            assert!((found - expected).abs() < 1e-6, "{loss:?}: {found} {expected}");
        }
        let finished = head.finish(output.clone()).unwrap().to_vec2::<f32>().unwrap();
        let expected = Activation::Sigmoid.forward(&output).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(finished, expected);

        own.fits(&shape).unwrap();
        let columns = BTreeMap::from([("c".to_owned(), 5.0)]);
        let unknown = ColumnWeights { columns, ..ColumnWeights::default() };
        let error = unknown.fits(&shape).unwrap_err().to_string();
        assert!(error.contains("for `c`") && error.contains("a, b"), "{error}");
        assert!(unknown.fits(&SampleShape::Vector { len: 6 }).is_err());
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
