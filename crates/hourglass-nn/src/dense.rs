//! The fused dense layer: product, bias, activation and selection forward in one operation, and a
//! backward pass that knows which entries are zero.

use candle_core::{CpuStorage, CustomOp3, Shape, Tensor};
use hourglass_core::linalg::{block_product, matmul, matmul_into};
use hourglass_core::{Matrix, Seed};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use crate::simd::{add_rows, add_scaled, dot, wide};
use crate::storage::{slice_of, view_of, with_view};
use crate::{Activation, Init, Parameter, Result};

/// Rows that one task handles: two tasks for a usual batch, since each packs the weights anew;
/// decided by the batch alone, so that the bits do not depend on the number of threads.
fn chunk_rows(n_rows: usize) -> usize {
    (n_rows / 2).next_multiple_of(16).clamp(64, 128)
}

/// Blocks of units among which a sparse weight gradient is split.
const UNIT_BLOCKS: usize = 16;

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
        self.apply(input, self.activation, select, false)
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
        self.apply(input, self.activation, Select::All, self.order == WeightOrder::InOut)
    }

    /// The same layer with another activation; weights are shared.
    pub fn with_activation(&self, activation: Activation) -> Dense {
        Dense { activation, ..self.clone() }
    }

    fn apply(
        &self,
        input: &Tensor,
        activation: Activation,
        select: Select,
        sparse_input: bool,
    ) -> Result<Tensor> {
        let (activation, after) = activation.split();
        let (select, select_after) =
            if after == Activation::Linear { (select, Select::All) } else { (Select::All, select) };
        let op = DenseOp {
            weight: self.weight.clone(),
            bias: self.bias.clone(),
            order: self.order,
            activation,
            select,
            sparse_input,
        };
        let (weight, bias) = (self.weight.tensor(), self.bias.tensor());
        let output = input.contiguous()?.apply_op3(&weight, &bias, op)?;
        select_after.forward(&after.forward(&output)?)
    }
}

struct DenseOp {
    weight: Parameter,
    bias: Parameter,
    order: WeightOrder,
    activation: Activation,
    select: Select,
    sparse_input: bool,
}

impl CustomOp3 for DenseOp {
    fn name(&self) -> &'static str {
        "hourglass-dense"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &candle_core::Layout,
        weight: &CpuStorage,
        weight_layout: &candle_core::Layout,
        bias: &CpuStorage,
        bias_layout: &candle_core::Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let input = view_of(input, input_layout)?;
        let weight = view_of(weight, weight_layout)?;
        let bias = slice_of(bias, bias_layout)?;
        let rows_are_units = self.sparse_input;
        // (n_in, n_out), whatever the order in memory.
        let weight = match self.order {
            WeightOrder::OutIn => weight.reversed_axes(),
            WeightOrder::InOut => weight,
        };
        if input.ncols() != weight.nrows() {
            candle_core::bail!(
                "the input has {} columns, but the layer `{}` takes {}",
                input.ncols(),
                self.weight.name(),
                weight.nrows()
            );
        }
        let mut output = Matrix::zeros((input.nrows(), weight.ncols()));
        let chunk_rows = chunk_rows(input.nrows());
        output
            .axis_chunks_iter_mut(Axis(0), chunk_rows)
            .into_par_iter()
            .zip(input.axis_chunks_iter(Axis(0), chunk_rows).into_par_iter())
            .for_each(|(mut output, input)| {
                for mut row in output.rows_mut() {
                    row.as_slice_mut().expect("rows are contiguous").copy_from_slice(bias);
                }
                if rows_are_units {
                    sparse_product(output.view_mut(), input, weight);
                } else {
                    block_product(output.view_mut(), input, weight, 1.0);
                }
                let values = output.as_slice_mut().expect("chunks of rows are contiguous");
                wide(|| self.activation.apply(values));
                if let Select::TopK(k) = self.select {
                    values.chunks_mut(bias.len()).for_each(|row| keep_largest(row, k));
                }
            });
        if let Select::Lifetime(share) = self.select {
            keep_largest_of_columns(output.view_mut(), share);
        }
        let shape = Shape::from(output.dim());
        Ok((CpuStorage::F32(output.into_raw_vec_and_offset().0), shape))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        output: &Tensor,
        grad_output: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = with_view(grad_output, |grad| grad.to_owned())?;
        let grad = with_view(output, |output| self.before_activation(grad, output))?;
        self.accumulate_bias(&grad);
        with_view(input, |input| self.accumulate_weight(grad.view(), input))?;
        if !input.track_op() {
            return Ok((None, None, None));
        }
        let grad_input = with_view(weight, |weight| {
            with_view(input, |input| self.grad_input(grad.view(), weight, input))
        })??;
        let shape = grad_input.dim();
        let values = grad_input.into_raw_vec_and_offset().0;
        Ok((Some(Tensor::from_vec(values, shape, input.device())?), None, None))
    }
}

impl DenseOp {
    /// Gradient before activation and selection, in the buffer of the gradient after them.
    fn before_activation(&self, mut grad: Matrix, output: ArrayView2<'_, f32>) -> Matrix {
        let selects = self.select != Select::All;
        let chunk_rows = chunk_rows(output.nrows());
        grad.axis_chunks_iter_mut(Axis(0), chunk_rows)
            .into_par_iter()
            .zip(output.axis_chunks_iter(Axis(0), chunk_rows).into_par_iter())
            .for_each(|(mut grad, output)| {
                let grad = grad.as_slice_mut().expect("chunks of rows are contiguous");
                let output = output.to_slice().expect("chunks of rows are contiguous");
                wide(|| {
                    self.activation.scale_gradient(output, grad);
                    if selects {
                        for (grad, &output) in grad.iter_mut().zip(output) {
                            *grad = if output == 0.0 { 0.0 } else { *grad };
                        }
                    }
                });
            });
        grad
    }

    fn accumulate_bias(&self, grad: &Matrix) {
        let mut buffer = self.bias.lock();
        if buffer.keep() == 0.0 {
            buffer.values.fill(0.0);
        }
        for row in grad.rows() {
            add_scaled(&mut buffer.values, 1.0, row.to_slice().expect("rows are contiguous"));
        }
    }

    fn accumulate_weight(&self, grad: ArrayView2<'_, f32>, input: ArrayView2<'_, f32>) {
        let mut buffer = self.weight.lock();
        let keep = buffer.keep();
        let (rows, columns) = match self.order {
            WeightOrder::OutIn => (grad, input),
            WeightOrder::InOut => (input, grad),
        };
        let dst = ArrayViewMut2::from_shape((rows.ncols(), columns.ncols()), &mut buffer.values)
            .expect("the gradient has the shape of the weight");
        let sparse =
            self.sparse_input || (self.order == WeightOrder::OutIn && self.select != Select::All);
        if sparse {
            sparse_outer(dst, rows, columns, keep);
        } else {
            matmul_into(dst, rows.reversed_axes(), columns, keep);
        }
    }

    fn grad_input(
        &self,
        grad: ArrayView2<'_, f32>,
        weight: ArrayView2<'_, f32>,
        input: ArrayView2<'_, f32>,
    ) -> Matrix {
        if self.sparse_input {
            return products_at_entries(grad, weight, input);
        }
        match self.order {
            WeightOrder::OutIn => matmul(grad, weight),
            WeightOrder::InOut => matmul(grad, weight.reversed_axes()),
        }
    }
}

/// `output += input * weight`, skipping the zeros of `input`.
fn sparse_product(
    mut output: ArrayViewMut2<'_, f32>,
    input: ArrayView2<'_, f32>,
    weight: ArrayView2<'_, f32>,
) {
    for (mut output, input) in output.rows_mut().into_iter().zip(input.rows()) {
        let output = output.as_slice_mut().expect("rows are contiguous");
        add_rows(output, entries(input.iter()), |unit| row_of(weight, unit));
    }
}

/// `dst = keep * dst + rows^T * columns`, skipping the zeros of `rows`.
fn sparse_outer(
    mut dst: ArrayViewMut2<'_, f32>,
    rows: ArrayView2<'_, f32>,
    columns: ArrayView2<'_, f32>,
    keep: f32,
) {
    let block = dst.nrows().div_ceil(UNIT_BLOCKS).max(1);
    dst.axis_chunks_iter_mut(Axis(0), block).into_par_iter().enumerate().for_each(
        |(i, mut dst)| {
            if keep == 0.0 {
                dst.fill(0.0);
            }
            let units = i * block..(i * block + dst.nrows());
            let units = rows.slice(s![.., units]);
            for (mut dst, unit) in dst.rows_mut().into_iter().zip(units.columns()) {
                let dst = dst.as_slice_mut().expect("rows are contiguous");
                add_rows(dst, entries(unit.iter()), |row| row_of(columns, row));
            }
        },
    );
}

/// `grad * weight^T` at the entries where `input` is not zero, zero elsewhere.
fn products_at_entries(
    grad: ArrayView2<'_, f32>,
    weight: ArrayView2<'_, f32>,
    input: ArrayView2<'_, f32>,
) -> Matrix {
    let mut result = Array2::zeros(input.dim());
    let rows = chunk_rows(input.nrows()) / 4;
    result
        .axis_chunks_iter_mut(Axis(0), rows)
        .into_par_iter()
        .zip(input.axis_chunks_iter(Axis(0), rows).into_par_iter())
        .zip(grad.axis_chunks_iter(Axis(0), rows).into_par_iter())
        .for_each(|((mut result, input), grad)| {
            let rows = result.rows_mut().into_iter().zip(input.rows()).zip(grad.rows());
            for ((mut result, input), grad) in rows {
                let grad = grad.to_slice().expect("rows are contiguous");
                for (unit, _) in entries(input.iter()) {
                    result[unit] = dot(grad, row_of(weight, unit));
                }
            }
        });
    result
}

/// Positions and values of what isn't zero.
fn entries<'a>(values: impl Iterator<Item = &'a f32>) -> impl Iterator<Item = (usize, f32)> {
    values.enumerate().filter(|&(_, &value)| value != 0.0).map(|(index, &value)| (index, value))
}

fn row_of(matrix: ArrayView2<'_, f32>, row: usize) -> &[f32] {
    let width = matrix.ncols();
    let values = matrix.to_slice().expect("weights and batches are contiguous");
    &values[row * width..(row + 1) * width]
}

/// Zeroes all but the `k` largest values; of equal values the first stay.
pub(crate) fn keep_largest(row: &mut [f32], k: usize) {
    if k >= row.len() {
        return;
    }
    let mut sorted = row.to_vec();
    let (_, &mut threshold, _) = sorted.select_nth_unstable_by(k, |a, b| b.total_cmp(a));
    let n_above = row.iter().filter(|&&value| value > threshold).count();
    let mut n_equal = k - n_above;
    for value in row {
        if *value < threshold || (*value == threshold && n_equal == 0) {
            *value = 0.0;
        } else if *value == threshold {
            n_equal -= 1;
        }
    }
}

/// Zeroes, column by column, all but the largest share of the values.
pub(crate) fn keep_largest_of_columns(mut output: ArrayViewMut2<'_, f32>, share: f32) {
    let k = ((output.nrows() as f32 * share).ceil() as usize).max(1);
    output.axis_chunks_iter_mut(Axis(1), UNIT_BLOCKS).into_par_iter().for_each(|mut block| {
        let mut columns = block.t().as_standard_layout().into_owned();
        for (mut column, mut dst) in columns.rows_mut().into_iter().zip(block.columns_mut()) {
            keep_largest(column.as_slice_mut().expect("rows are contiguous"), k);
            dst.assign(&column);
        }
    });
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use hourglass_core::Seed;
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

    #[test]
    fn ties_keep_the_first() {
        let mut row = [1.0, 2.0, 2.0, 2.0, 0.5];
        keep_largest(&mut row, 2);
        assert_eq!(row, [0.0, 2.0, 2.0, 0.0, 0.0]);
    }
}
