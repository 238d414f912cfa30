//! One layer's arithmetic, forward and backward, on views. It allocates nothing: where results go
//! is the caller's concern.

use hourglass_core::linalg::{matmul_into, matmul_then};
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::winners::{keep_largest, keep_largest_of_columns};
use super::{Link, Select, WeightOrder};
use crate::Activation;
use crate::simd::{add_rows, add_scaled, dot, wide};
use crate::storage::{with_slice, with_view};

/// Rows that one task handles where work is done row by row.
const ROWS: usize = 32;

/// Blocks of units among which a sparse weight gradient is split.
const UNIT_BLOCKS: usize = 16;

impl Link {
    /// Shape of the output for so many rows.
    pub(super) fn shape(&self, n_rows: usize) -> (usize, usize) {
        (n_rows, self.layer.n_out())
    }

    /// Product, bias, activation, selection.
    ///
    /// # Shapes
    /// - `input`: `(batch, n_in)`; `output`: `(batch, n_out)`, row-major
    pub(super) fn forward(
        &self,
        input: ArrayView2<'_, f32>,
        mut output: ArrayViewMut2<'_, f32>,
    ) -> candle_core::Result<()> {
        let layer = &self.layer;
        if input.ncols() != layer.n_in() {
            candle_core::bail!(
                "the input has {} columns, but the layer `{}` takes {}",
                input.ncols(),
                layer.weight.name(),
                layer.n_in()
            );
        }
        let activation = layer.activation;
        with_slice(&layer.bias.tensor(), |bias| {
            with_view(&layer.weight.tensor(), |weight| {
                if self.sparse_input {
                    let rows = output.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter();
                    let inputs = input.axis_chunks_iter(Axis(0), ROWS).into_par_iter();
                    rows.zip(inputs).for_each(|(mut output, input)| {
                        for mut row in output.rows_mut() {
                            contiguous(&mut row).copy_from_slice(bias);
                        }
                        sparse_product(output.view_mut(), input, weight);
                        let values = output.as_slice_mut().expect("chunks of rows are contiguous");
                        wide(|| activation.apply(values));
                    });
                } else {
                    let weight = self.oriented(weight);
                    matmul_then(output.view_mut(), input, weight, 0.0, |mut block| {
                        let bias = &bias[block.columns];
                        for mut row in block.values.rows_mut() {
                            let values = contiguous(&mut row);
                            wide(|| {
                                values.iter_mut().zip(bias).for_each(|(v, &bias)| *v += bias);
                                activation.apply(values);
                            });
                        }
                    });
                }
            })
        })??;
        match self.select {
            Select::All => {}
            Select::TopK(k) => {
                let chunks = output.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter();
                chunks.for_each(|mut chunk| {
                    chunk
                        .rows_mut()
                        .into_iter()
                        .for_each(|mut r| keep_largest(contiguous(&mut r), k));
                });
            }
            Select::Lifetime(share) => keep_largest_of_columns(output, share),
        }
        Ok(())
    }

    /// Turns the gradient after activation and selection into the one before, in place.
    ///
    /// # Shapes
    /// - `output`, `gradient`: the same part of the layer's output, values of a row side by side
    pub(super) fn derive(&self, output: ArrayView2<'_, f32>, mut gradient: ArrayViewMut2<'_, f32>) {
        let selects = self.select != Select::All;
        let activation = self.layer.activation;
        if activation == Activation::Linear && !selects {
            return;
        }
        for (mut gradient, output) in gradient.rows_mut().into_iter().zip(output.rows()) {
            let gradient = contiguous(&mut gradient);
            let output = output.to_slice().expect("values of a row lie side by side");
            wide(|| {
                activation.scale_gradient(output, gradient);
                if selects {
                    for (gradient, &output) in gradient.iter_mut().zip(output) {
                        *gradient = if output == 0.0 { 0.0 } else { *gradient };
                    }
                }
            });
        }
    }

    /// The same for a whole batch.
    pub(super) fn derive_all(
        &self,
        output: ArrayView2<'_, f32>,
        gradient: &mut ArrayViewMut2<'_, f32>,
    ) {
        let gradients = gradient.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter();
        let outputs = output.axis_chunks_iter(Axis(0), ROWS).into_par_iter();
        gradients.zip(outputs).for_each(|(gradient, output)| self.derive(output, gradient));
    }

    /// Gradient of the input, and through the layer below where there is one.
    ///
    /// # Shapes
    /// - `grad`: `(batch, n_out)`, before the activation; `input`, `result`: `(batch, n_in)`
    pub(super) fn grad_input(
        &self,
        grad: ArrayView2<'_, f32>,
        input: ArrayView2<'_, f32>,
        mut result: ArrayViewMut2<'_, f32>,
        below: Option<&Link>,
    ) -> candle_core::Result<()> {
        let derive = |input: ArrayView2<'_, f32>, result: ArrayViewMut2<'_, f32>| {
            if let Some(below) = below {
                below.derive(input, result);
            }
        };
        with_view(&self.layer.weight.tensor(), |weight| {
            if self.sparse_input {
                let results = result.axis_chunks_iter_mut(Axis(0), ROWS).into_par_iter();
                let inputs = input.axis_chunks_iter(Axis(0), ROWS).into_par_iter();
                let grads = grad.axis_chunks_iter(Axis(0), ROWS).into_par_iter();
                results.zip(inputs).zip(grads).for_each(|((mut result, input), grad)| {
                    products_at_entries(result.view_mut(), grad, weight, input);
                    derive(input, result);
                });
            } else {
                let weight = self.oriented(weight).reversed_axes();
                matmul_then(result.view_mut(), grad, weight, 0.0, |block| {
                    derive(input.slice(s![block.rows, block.columns]), block.values);
                });
            }
        })
    }

    /// Adds the gradients of weight and bias to their buffers.
    ///
    /// # Shapes
    /// - `grad`: `(batch, n_out)`, before the activation; `input`: `(batch, n_in)`
    pub(super) fn grad_parameters(&self, grad: ArrayView2<'_, f32>, input: ArrayView2<'_, f32>) {
        let mut bias = self.layer.bias.lock();
        if bias.keep() == 0.0 {
            bias.values.fill(0.0);
        }
        for row in grad.rows() {
            let row = row.to_slice().expect("values of a row lie side by side");
            add_scaled(&mut bias.values, 1.0, row);
        }
        drop(bias);
        let mut buffer = self.layer.weight.lock();
        let keep = buffer.keep();
        let outer = self.layer.order == WeightOrder::OutIn;
        let (rows, columns) = if outer { (grad, input) } else { (input, grad) };
        let dst = ArrayViewMut2::from_shape((rows.ncols(), columns.ncols()), &mut buffer.values)
            .expect("the gradient has the shape of the weight");
        if self.sparse_input || (outer && self.select != Select::All) {
            sparse_outer(dst, rows, columns, keep);
        } else {
            matmul_into(dst, rows.reversed_axes(), columns, keep);
        }
    }

    /// The weight as `(n_in, n_out)`, whatever its order in memory.
    pub(super) fn oriented<'a>(&self, weight: ArrayView2<'a, f32>) -> ArrayView2<'a, f32> {
        match self.layer.order {
            WeightOrder::OutIn => weight.reversed_axes(),
            WeightOrder::InOut => weight,
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
        add_rows(contiguous(&mut output), entries(input.iter()), |unit| row_of(weight, unit));
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
                add_rows(contiguous(&mut dst), entries(unit.iter()), |row| row_of(columns, row));
            }
        },
    );
}

/// `grad * weight^T` at the entries where `input` is not zero, zero elsewhere.
fn products_at_entries(
    mut result: ArrayViewMut2<'_, f32>,
    grad: ArrayView2<'_, f32>,
    weight: ArrayView2<'_, f32>,
    input: ArrayView2<'_, f32>,
) {
    result.fill(0.0);
    let rows = result.rows_mut().into_iter().zip(input.rows()).zip(grad.rows());
    for ((mut result, input), grad) in rows {
        let grad = grad.to_slice().expect("values of a row lie side by side");
        for (unit, _) in entries(input.iter()) {
            result[unit] = dot(grad, row_of(weight, unit));
        }
    }
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

fn contiguous<'a>(row: &'a mut ndarray::ArrayViewMut1<'_, f32>) -> &'a mut [f32] {
    row.as_slice_mut().expect("values of a row lie side by side")
}
