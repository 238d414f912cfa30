//! Between candle tensors and slices of `f32`, without copies where none is needed.

use candle_core::{CpuStorage, Device, Layout, Tensor};
use hourglass_core::{Matrix, MatrixView};
use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::Result;

/// Rows that one task gathers.
const GATHERED_ROWS: usize = 32;

/// A tensor on `device` with these values.
///
/// # Shapes
/// - `values`: `rows * columns` numbers, row-major
/// - returns: `(rows, columns)`
///
/// # Errors
/// If the shape does not fit the values.
pub fn tensor_from(values: Vec<f32>, shape: (usize, usize), device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, device)?)
}

/// The rows of a view as a tensor on the CPU.
///
/// # Errors
/// If candle refuses the tensor.
pub fn rows_of(view: MatrixView<'_>) -> Result<Tensor> {
    let values = match view.as_slice() {
        Some(values) => values.to_vec(),
        None => view.iter().copied().collect(),
    };
    tensor_from(values, view.dim(), &Device::Cpu)
}

/// Some rows of a matrix, in the order given, as a tensor on the CPU.
///
/// # Shapes
/// - `source`: `(n, columns)`
/// - returns: `(rows.len(), columns)`
///
/// # Errors
/// If candle refuses the tensor.
///
/// # Panics
/// If there is no such row.
pub fn gather_rows(source: MatrixView<'_>, rows: &[usize]) -> Result<Tensor> {
    let width = source.ncols();
    let mut values = vec![0.0; rows.len() * width];
    let chunks = values.par_chunks_mut(GATHERED_ROWS * width.max(1));
    chunks.zip(rows.par_chunks(GATHERED_ROWS)).for_each(|(values, rows)| {
        for (values, &row) in values.chunks_mut(width.max(1)).zip(rows) {
            let row = source.row(row);
            match row.to_slice() {
                Some(row) => values.copy_from_slice(row),
                None => values.iter_mut().zip(row).for_each(|(value, &from)| *value = from),
            }
        }
    });
    tensor_from(values, (rows.len(), width), &Device::Cpu)
}

/// A tensor of two dimensions as a matrix.
///
/// # Errors
/// If the tensor hasn't two dimensions.
pub fn to_matrix(tensor: &Tensor) -> Result<Matrix> {
    let shape = tensor.dims2()?;
    let values = tensor.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
    Ok(Matrix::from_shape_vec(shape, values).expect("the length was taken from the shape"))
}

/// The numbers behind a contiguous CPU tensor.
pub(crate) fn slice_of<'a>(
    storage: &'a CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::msg("a fused operation needs contiguous tensors"))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The numbers behind a contiguous CPU tensor of two dimensions.
pub(crate) fn view_of<'a>(
    storage: &'a CpuStorage,
    layout: &Layout,
) -> candle_core::Result<ArrayView2<'a, f32>> {
    let shape = layout.shape().dims2()?;
    let values = slice_of(storage, layout)?;
    Ok(ArrayView2::from_shape(shape, values).expect("the length was taken from the shape"))
}

/// Calls `f` with the numbers of a CPU tensor, row-major.
pub(crate) fn with_slice<R>(
    tensor: &Tensor,
    f: impl FnOnce(&[f32]) -> R,
) -> candle_core::Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => Ok(f(slice_of(storage, layout)?)),
        _ => candle_core::bail!("a fused operation ran on another device than the CPU"),
    }
}

/// Calls `f` with the numbers of a CPU tensor of two dimensions.
pub(crate) fn with_view<R>(
    tensor: &Tensor,
    f: impl FnOnce(ArrayView2<'_, f32>) -> R,
) -> candle_core::Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => Ok(f(view_of(storage, layout)?)),
        _ => candle_core::bail!("a fused operation ran on another device than the CPU"),
    }
}
