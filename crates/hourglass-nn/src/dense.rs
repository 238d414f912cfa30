//! The fused dense layer, alone or in a row with others: product, bias, activation and selection
//! forward in one operation, and a backward pass that knows which entries are zero.
//!
//! This file holds what a layer is. One layer's arithmetic is in [`pass`], the operation that
//! candle sees in [`chain`], and layers that are trained no more in [`frozen`].

pub(crate) mod chain;
mod frozen;
mod pass;
mod winners;

use candle_core::Tensor;
use hourglass_core::Seed;

use crate::{Activation, Init, Parameter, Result};
pub use chain::{Chain, Link};
pub use frozen::FrozenChain;
pub(crate) use winners::{keep_largest, keep_largest_of_columns};

/// How a weight matrix lies in memory. A row always belongs to the unit of the hidden side, so
/// that sparse codes touch whole rows, and a tied decoder reads the encoder's matrix as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightOrder {
    /// `(n_out, n_in)`: encoder layers.
    OutIn,
    /// `(n_in, n_out)`: decoder layers.
    InOut,
}

/// Which activations survive; the others become zero and get no gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Select {
    /// All of them.
    #[default]
    All,
    /// The `k` largest of each sample. Makhzani and Frey, "k-Sparse Autoencoders", arXiv:1312.5663.
    TopK(usize),
    /// Of each unit, the largest share over the batch (lifetime sparsity), in `(0, 1]`. Makhzani
    /// and Frey, "Winner-Take-All Autoencoders", arXiv:1409.2752.
    Lifetime(f32),
}

/// A dense layer: `activation(x W + b)`.
#[derive(Clone, Debug)]
pub struct Dense {
    weight: Parameter,
    bias: Parameter,
    order: WeightOrder,
    activation: Activation,
}

impl Dense {
    /// A layer with freshly drawn weights and zero bias.
    ///
    /// # Errors
    /// If candle refuses the tensors.
    pub fn new(
        name: &str,
        (n_in, n_out): (usize, usize),
        order: WeightOrder,
        activation: Activation,
        init: Init,
        seed: Seed,
    ) -> Result<Self> {
        let (shape, unit_axis) = match order {
            WeightOrder::OutIn => ([n_out, n_in], 0),
            WeightOrder::InOut => ([n_in, n_out], 1),
        };
        let weights = init.draw_matrix(shape, (n_in, n_out), seed.child(name));
        let weight = Parameter::new(format!("{name}.weight"), weights, &shape, true)?
            .with_units_along(unit_axis);
        let bias = Parameter::new(format!("{name}.bias"), vec![0.0; n_out], &[n_out], false)?;
        Ok(Dense { weight, bias, order, activation })
    }

    /// The mirror image of an encoder layer: its weights transposed, with a bias of its own.
    ///
    /// # Errors
    /// If candle refuses the tensors.
    pub fn tied_to(encoder: &Dense, name: &str, activation: Activation) -> Result<Self> {
        let n_out = encoder.n_in();
        let bias = Parameter::new(format!("{name}.bias"), vec![0.0; n_out], &[n_out], false)?;
        let order = match encoder.order {
            WeightOrder::OutIn => WeightOrder::InOut,
            WeightOrder::InOut => WeightOrder::OutIn,
        };
        Ok(Dense { weight: encoder.weight.clone(), bias, order, activation })
    }

    /// Its weight; shared with the encoder's where it is tied.
    pub fn weight(&self) -> &Parameter {
        &self.weight
    }

    /// Its bias.
    pub fn bias(&self) -> &Parameter {
        &self.bias
    }

    /// Its activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// How its weight lies in memory.
    pub fn order(&self) -> WeightOrder {
        self.order
    }

    /// Width of its input.
    pub fn n_in(&self) -> usize {
        self.weight.tensor().dims()[usize::from(self.order == WeightOrder::OutIn)]
    }

    /// Width of its output.
    pub fn n_out(&self) -> usize {
        self.bias.len()
    }

    /// The layer's output.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_in)`
    /// - returns: `(batch, n_out)`
    ///
    /// # Errors
    /// If the width of the input is not `n_in`.
    pub fn forward(&self, input: &Tensor, select: Select) -> Result<Tensor> {
        chain::forward(&[Link::new(self.clone()).with_select(select)], input)
    }

    /// The layer's output for an input that is zero but for a few entries, as a selection leaves
    /// it. The gradient that flows back is that of the entries which are not zero.
    ///
    /// # Shapes
    /// As [`Dense::forward`].
    ///
    /// # Errors
    /// If the width of the input is not `n_in`.
    pub fn forward_sparse(&self, input: &Tensor) -> Result<Tensor> {
        chain::forward(&[Link::new(self.clone()).with_sparse_input()], input)
    }

    /// The same layer with another activation; weights are shared.
    pub fn with_activation(&self, activation: Activation) -> Dense {
        Dense { activation, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use hourglass_core::Matrix;
    use hourglass_core::linalg::matmul;
    use ndarray::{Array2, Axis};
    use rand::RngExt;

    use super::*;
    use crate::{rows_of, to_matrix};

    fn random(shape: (usize, usize), seed: u64) -> Matrix {
        let mut rng = Seed::new(seed).rng();
        Array2::from_shape_simple_fn(shape, || rng.random::<f32>() - 0.4)
    }

    fn layer(order: WeightOrder, activation: Activation) -> Dense {
        let layer =
            Dense::new("l", (37, 23), order, activation, Init::HeNormal, Seed::new(5)).unwrap();
        layer.bias().set_values(random((1, 23), 6).as_slice().unwrap()).unwrap();
        layer
    }

    /// Sum of `output * coefficients`, whose gradients are checked.
    fn loss(layer: &Dense, x: &Tensor, c: &Tensor, select: Select, sparse: bool) -> Tensor {
        let y = if sparse { layer.forward_sparse(x) } else { layer.forward(x, select) };
        (y.unwrap() * c).unwrap().sum_all().unwrap()
    }

    fn check_gradients(layer: &Dense, x: Matrix, select: Select, sparse: bool) {
        let c = rows_of(random((x.nrows(), layer.n_out()), 9).view()).unwrap();
        let input = candle_core::Var::from_tensor(&rows_of(x.view()).unwrap()).unwrap();
        let grads = loss(layer, &input, &c, select, sparse).backward().unwrap();
        let grad_input = to_matrix(grads.get(&input).unwrap()).unwrap();
        let value = |layer: &Dense, x: &Matrix| {
            let x = rows_of(x.view()).unwrap();
            loss(layer, &x, &c, select, sparse).to_scalar::<f32>().unwrap()
        };
        let step = 1e-2;
        for parameter in [layer.weight(), layer.bias()] {
            let values = parameter.values().unwrap();
            let gradient = parameter.gradient().unwrap();
            for i in (0..values.len()).step_by(values.len() / 7 + 1) {
                let mut ends = [0.0; 2];
                for (end, sign) in ends.iter_mut().zip([1.0, -1.0]) {
                    let mut moved = values.clone();
                    moved[i] += sign * step;
                    parameter.set_values(&moved).unwrap();
                    *end = value(layer, &x);
                }
                parameter.set_values(&values).unwrap();
                let numeric = (ends[0] - ends[1]) / (2.0 * step);
                let error = (gradient[i] - numeric).abs();
                assert!(error < 2e-2 * (1.0 + numeric.abs()), "{} {i}", parameter.name());
            }
        }
        for (row, column) in [(0, 0), (1, 5), (2, 36)] {
            if sparse && x[[row, column]] == 0.0 {
                assert_eq!(grad_input[[row, column]], 0.0);
                continue;
            }
            let mut ends = [0.0; 2];
            for (end, sign) in ends.iter_mut().zip([1.0, -1.0]) {
                let mut moved = x.clone();
                moved[[row, column]] += sign * step;
                *end = value(layer, &moved);
            }
            let numeric = (ends[0] - ends[1]) / (2.0 * step);
            let error = (grad_input[[row, column]] - numeric).abs();
            assert!(error < 2e-2 * (1.0 + numeric.abs()), "input {row} {column}");
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for order in [WeightOrder::OutIn, WeightOrder::InOut] {
            for activation in [Activation::Linear, Activation::Softplus, Activation::Tanh] {
                check_gradients(&layer(order, activation), random((70, 37), 1), Select::All, false);
            }
        }
    }

    #[test]
    fn gradients_of_sparse_inputs_agree_with_finite_differences() {
        let mut x = random((70, 37), 2);
        x.indexed_iter_mut().filter(|((r, c), _)| (r + c) % 5 != 0).for_each(|(_, v)| *v = 0.0);
        check_gradients(&layer(WeightOrder::InOut, Activation::Tanh), x, Select::All, true);
    }

    #[test]
    fn selection_keeps_the_largest_and_masks_the_gradient() {
        let x = random((90, 37), 3);
        for select in [Select::TopK(4), Select::Lifetime(0.1)] {
            let layer = layer(WeightOrder::OutIn, Activation::Linear);
            let input = rows_of(x.view()).unwrap();
            let all = to_matrix(&layer.forward(&input, Select::All).unwrap()).unwrap();
            let output = layer.forward(&input, select).unwrap();
            output.sum_all().unwrap().backward().unwrap();
            let kept = to_matrix(&output).unwrap();
            let axis = if select == Select::TopK(4) { Axis(0) } else { Axis(1) };
            for (kept, all) in kept.axis_iter(axis).zip(all.axis_iter(axis)) {
                let smallest =
                    kept.iter().filter(|&&v| v != 0.0).fold(f32::INFINITY, |a, &b| a.min(b));
                let n_larger = all.iter().filter(|&&v| v >= smallest).count();
                assert_eq!(n_larger, if axis == Axis(0) { 4 } else { 9 });
                assert_eq!(kept.iter().filter(|&&v| v != 0.0).count(), n_larger);
            }
            // The gradient of the sum of the survivors is the mask times the input.
            let mask = kept.mapv(|v| f32::from(u8::from(v != 0.0)));
            let expected = matmul(mask.t(), x.view());
            let gradient = layer.weight().gradient().unwrap();
            for (found, expected) in gradient.iter().zip(expected.iter()) {
                assert!((found - expected).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn tied_layers_add_both_gradients() {
        let encoder = layer(WeightOrder::OutIn, Activation::Linear);
        let decoder = Dense::tied_to(&encoder, "d", Activation::Linear).unwrap();
        assert_eq!((decoder.n_in(), decoder.n_out()), (23, 37));
        let x = rows_of(random((5, 37), 4).view()).unwrap();
        let loss_of = || {
            let code = encoder.forward(&x, Select::All).unwrap();
            let out = decoder.forward(&code, Select::All).unwrap();
            out.sqr().unwrap().sum_all().unwrap()
        };
        loss_of().backward().unwrap();
        let gradient = encoder.weight().gradient().unwrap();
        let values = encoder.weight().values().unwrap();
        let mut ends = [0.0; 2];
        for (end, step) in ends.iter_mut().zip([1e-2, -1e-2]) {
            let mut moved = values.clone();
            moved[40] += step;
            encoder.weight().set_values(&moved).unwrap();
            *end = loss_of().to_scalar::<f32>().unwrap();
        }
        let numeric = (ends[0] - ends[1]) / 2e-2;
        assert!((gradient[40] - numeric).abs() < 2e-2 * numeric.abs().max(1.0));
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let layer = layer(WeightOrder::OutIn, Activation::Relu);
                let x = rows_of(random((300, 37), 7).view()).unwrap();
                let output = layer.forward(&x, Select::TopK(5)).unwrap();
                output.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                (to_matrix(&output).unwrap(), layer.weight().gradient(), layer.bias().gradient())
            })
        };
        assert_eq!(run(1), run(2));
    }

    #[test]
    fn agrees_with_candle_nn() {
        let layer = layer(WeightOrder::OutIn, Activation::Relu);
        let reference = candle_nn::Linear::new(
            layer.weight().tensor().clone(),
            Some(layer.bias().tensor().clone()),
        );
        let x = rows_of(random((9, 37), 8).view()).unwrap();
        let expected = candle_nn::Module::forward(&reference, &x).unwrap().relu().unwrap();
        let found = layer.forward(&x, Select::All).unwrap();
        let error = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
        assert!(error.to_scalar::<f32>().unwrap() < 1e-5);
    }

    #[test]
    fn wrong_width_is_an_error() {
        let layer = layer(WeightOrder::OutIn, Activation::Relu);
        let x = Tensor::zeros((2, 36), candle_core::DType::F32, &Device::Cpu).unwrap();
        let error = layer.forward(&x, Select::All).unwrap_err();
        let text = format!("{:?}", error);
        assert!(text.contains("36 columns"), "{text}");
    }
}
