//! Layers that are trained no more, their weights laid out once for any number of rows. Rows pass
//! through all layers in small blocks, so that what one layer makes is in the cache for the next.

use hourglass_core::linalg::Panels;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

use super::winners::keep_largest;
use super::{Chain, Link, Select};
use crate::lent::{Lent, lend};
use crate::simd::wide;
use crate::storage::{with_slice, with_view};
use crate::{Activation, Result};

/// Rows of a block: with 256 units, their activations and a panel of weights fit the second-level
/// cache of a core.
const BLOCK_ROWS: usize = 96;

/// What a [`Chain`] computes, with the weights it had when it was frozen.
///
/// ```
/// use hourglass_core::{Matrix, Seed};
/// use hourglass_nn::{Activation, Chain, Dense, Init, Link, WeightOrder};
/// let seed = Seed::new(1);
/// let (order, relu) = (WeightOrder::OutIn, Activation::Relu);
/// let layer = Dense::new("encoder", (4, 2), order, relu, Init::HeNormal, seed)?;
/// let frozen = Chain::new(vec![Link::new(layer)]).freeze()?.expect("rows don't look at each other");
/// let (rows, mut latent) = (Matrix::ones((3, 4)), Matrix::zeros((3, 2)));
/// frozen.forward(rows.view(), latent.view_mut());
/// assert!(latent.iter().all(|&value| value >= 0.0));
/// # Ok::<(), hourglass_nn::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrozenChain(Vec<Frozen>);

#[derive(Clone, Debug)]
struct Frozen {
    weight: Panels,
    bias: Vec<f32>,
    activation: Activation,
    /// How many activations of a row survive, where not all do.
    top_k: Option<usize>,
}

impl Chain {
    /// The same for rows in memory and for what is trained no more. `None` where a link selects
    /// over the batch, so that rows depend on each other, or lies on another device than the CPU.
    ///
    /// # Errors
    /// If candle can't tell a weight.
    pub fn freeze(&self) -> Result<Option<FrozenChain>> {
        let frozen: Option<Vec<Frozen>> =
            self.links().iter().map(Link::freeze).collect::<Result<_>>()?;
        Ok(frozen.map(FrozenChain))
    }
}

impl Link {
    fn freeze(&self) -> Result<Option<Frozen>> {
        let top_k = match self.select {
            Select::All => None,
            Select::TopK(k) => Some(k),
            Select::Lifetime(_) => return Ok(None),
        };
        let layer = &self.layer;
        let (weight, bias) = (layer.weight.tensor(), layer.bias.tensor());
        if !weight.device().is_cpu() {
            return Ok(None);
        }
        let weight = with_view(&weight, |weight| Panels::new(self.oriented(weight)))?;
        let bias = with_slice(&bias, <[f32]>::to_vec)?;
        Ok(Some(Frozen { weight, bias, activation: layer.activation, top_k }))
    }
}

impl FrozenChain {
    /// What the last link makes of an input to the first, on the calling thread. No bit of a row
    /// depends on the rows around it.
    ///
    /// # Shapes
    /// - `rows`: `(n_rows, n_in of the first)`; `target`: `(n_rows, n_out of the last)`; values of
    ///   a row side by side
    ///
    /// # Panics
    /// If the shapes do not fit, or values of a row lie apart.
    pub fn forward(&self, rows: ArrayView2<'_, f32>, mut target: ArrayViewMut2<'_, f32>) {
        assert_eq!(rows.nrows(), target.nrows(), "as many rows out as in");
        let Some((last, inner)) = self.0.split_last() else { return };
        let blocks = target.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS);
        for (rows, target) in rows.axis_chunks_iter(Axis(0), BLOCK_ROWS).zip(blocks) {
            let mut before: Option<Lent> = None;
            for layer in inner {
                let mut output = lend((rows.nrows(), layer.bias.len()));
                layer.forward(before.as_ref().map_or(rows, |m| m.view()), output.view_mut());
                before = Some(output);
            }
            last.forward(before.as_ref().map_or(rows, |m| m.view()), target);
        }
    }
}

impl Frozen {
    fn forward(&self, input: ArrayView2<'_, f32>, mut output: ArrayViewMut2<'_, f32>) {
        self.weight.product(output.view_mut(), input);
        for mut row in output.rows_mut() {
            let values = row.as_slice_mut().expect("values of a row lie side by side");
            wide(|| {
                values.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value += bias);
                self.activation.apply(values);
            });
            if let Some(k) = self.top_k {
                keep_largest(values, k);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, Seed};
    use rand::RngExt;

    use super::*;
    use crate::{Dense, Init, WeightOrder, rows_of, to_matrix};

    fn layer(widths: (usize, usize), order: WeightOrder, activation: Activation) -> Dense {
        let seed = Seed::new(widths.0 as u64);
        let layer = Dense::new("l", widths, order, activation, Init::HeNormal, seed).unwrap();
        let bias: Vec<f32> = (0..widths.1).map(|i| 0.1 * (i % 5) as f32 - 0.2).collect();
        layer.bias().set_values(&bias).unwrap();
        layer
    }

    #[test]
    fn agrees_with_the_chain_it_was() {
        let mut rng = Seed::new(3).rng();
        let mut draw = || if rng.random::<f32>() < 0.6 { 0.0 } else { rng.random::<f32>() };
        let rows = Matrix::from_shape_simple_fn((211, 37), &mut draw);
        for activation in Activation::ALL {
            for select in [Select::All, Select::TopK(5)] {
                let first = layer((37, 70), WeightOrder::OutIn, activation);
                let second = layer((70, 19), WeightOrder::InOut, Activation::Tanh);
                let links = vec![Link::new(first).with_select(select), Link::new(second)];
                let chain = Chain::new(links);
                let expected = to_matrix(&chain.forward(&rows_of(rows.view()).unwrap()).unwrap());
                let expected = expected.unwrap();
                let frozen = chain.freeze().unwrap().unwrap();
                // Into a part of a wider matrix, as features are.
                let mut wide = Matrix::zeros((211, 25));
                frozen.forward(rows.view(), wide.slice_mut(ndarray::s![.., 3..22]));
                let found = wide.slice(ndarray::s![.., 3..22]);
                let error = (&found - &expected).fold(0.0_f32, |worst, e| worst.max(e.abs()));
                assert!(error < 1e-5, "{activation:?}, {select:?}: {error}");
                let mut alone = Matrix::zeros((1, 19));
                frozen.forward(rows.slice(ndarray::s![100..101, ..]), alone.view_mut());
                assert_eq!(alone.row(0), found.row(100));
            }
        }
    }

    #[test]
    fn rows_that_depend_on_each_other_are_not_frozen() {
        let link = Link::new(layer((4, 3), WeightOrder::OutIn, Activation::Relu));
        let chain = Chain::new(vec![link.with_select(Select::Lifetime(0.5))]);
        assert!(chain.freeze().unwrap().is_none());
    }
}
