//! Matrix products whose bits do not depend on the number of threads.
//!
//! A product is cut into blocks by its shape alone, each block is computed by one thread, and no
//! two blocks share a sum. The kernels are those of the `gemm` crate, which candle uses too; a
//! right side that many rows meet has one of its own, [`Panels`].

mod panels;

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::Matrix;

pub use panels::Panels;

/// Multiply-adds of the least block: 20 us of one core, far above what handing it over costs.
const BLOCK_WORK: usize = 2 << 20;

/// Blocks of the largest product. More cores than that don't help, but each block packs one of the
/// operands anew.
const MAX_BLOCKS: usize = 16;

/// Rows (or columns) of a block are a multiple of this: half a tile of the widest kernel.
const BLOCK_STEP: usize = 32;

/// `a * b`.
///
/// # Shapes
/// - `a`: `(m, k)`, any strides (a transposed view costs nothing)
/// - `b`: `(k, n)`, any strides
/// - returns: `(m, n)`, row-major
///
/// # Panics
/// If the inner dimensions differ.
///
/// ```
/// use hourglass_core::linalg::matmul;
/// use ndarray::array;
/// let a = array![[1.0_f32, 2.0], [3.0, 4.0]];
/// assert_eq!(matmul(a.view(), a.t()), array![[5.0, 11.0], [11.0, 25.0]]);
/// ```
pub fn matmul(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Matrix {
    let mut dst = Matrix::zeros((a.nrows(), b.ncols()));
    matmul_into(dst.view_mut(), a, b, 0.0);
    dst
}

/// `dst = keep * dst + a * b`; with `keep = 0` the old values of `dst` are not read.
///
/// # Shapes
/// - `dst`: `(m, n)`; `a`: `(m, k)`; `b`: `(k, n)`; any strides
///
/// # Panics
/// If the dimensions do not fit.
pub fn matmul_into(
    dst: ArrayViewMut2<'_, f32>,
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    keep: f32,
) {
    matmul_then(dst, a, b, keep, |_| {});
}

/// A finished block of a product.
pub struct Block<'a> {
    /// Its rows in the product.
    pub rows: Range<usize>,
    /// Its columns in the product.
    pub columns: Range<usize>,
    /// Its values.
    pub values: ArrayViewMut2<'a, f32>,
}

/// [`matmul_into`], with something done to each block while it is in the cache of its core: a bias
/// added, an activation applied.
///
/// # Shapes
/// As [`matmul_into`].
///
/// # Panics
/// If the dimensions do not fit.
pub fn matmul_then(
    mut dst: ArrayViewMut2<'_, f32>,
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    keep: f32,
    finish: impl Fn(Block<'_>) + Sync,
) {
    let (m, n) = dst.dim();
    assert_eq!((m, a.ncols(), n), (a.nrows(), b.nrows(), b.ncols()), "matmul: shapes do not fit");
    if dst.is_empty() {
        return;
    }
    let (axis, block) = cut(a, n);
    dst.axis_chunks_iter_mut(axis, block).into_par_iter().enumerate().for_each(
        |(i, mut values)| {
            let range = i * block..i * block + values.len_of(axis);
            let (mut a, mut b) = (a.view(), b.view());
            let (rows, columns) = if axis == Axis(0) {
                a.slice_axis_inplace(axis, range.clone().into());
                (range, 0..n)
            } else {
                b.slice_axis_inplace(axis, range.clone().into());
                (0..m, range)
            };
            block_product(values.view_mut(), a, b, keep);
            finish(Block { rows, columns, values });
        },
    );
}

/// The axis along which a product is cut, and the length of a block.
///
/// A block packs its part of `b`, and reads `a` as it is where the values of a row lie side by
/// side. Then columns are cut, so that `b` is packed once in all; unless rows are so many that
/// packing doesn't count. At 256 x 1024 x 784, 2 threads of a Zen 4: 200 to 217 GFLOP/s with
/// columns in 8 blocks, 138 to 213 with rows; where `a` is transposed, 190 with columns and 208
/// with rows.
fn cut(a: ArrayView2<'_, f32>, n: usize) -> (Axis, usize) {
    let (m, k) = a.dim();
    let by_rows = a.strides()[1] != 1 || m >= 4 * n;
    let long = if by_rows { m } else { n };
    let n_blocks = (m * n * k / BLOCK_WORK).clamp(1, MAX_BLOCKS);
    let block = long.div_ceil(n_blocks).next_multiple_of(BLOCK_STEP);
    (Axis(usize::from(!by_rows)), block)
}

/// The same product on the calling thread alone, for callers that split the work themselves.
pub fn block_product(
    mut dst: ArrayViewMut2<'_, f32>,
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    keep: f32,
) {
    let (m, n) = dst.dim();
    assert_eq!((m, a.ncols(), n), (a.nrows(), b.nrows(), b.ncols()), "matmul: shapes do not fit");
    let [dst_row, dst_column] = [dst.strides()[0], dst.strides()[1]];
    // SAFETY: pointers and strides come from ndarray views of the asserted shapes, and `dst` is
    // borrowed exclusively.
    unsafe {
        gemm::gemm(
            m,
            n,
            a.ncols(),
            dst.as_mut_ptr(),
            dst_column,
            dst_row,
            keep != 0.0,
            a.as_ptr(),
            a.strides()[1],
            a.strides()[0],
            b.as_ptr(),
            b.strides()[1],
            b.strides()[0],
            keep,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2};
    use rand::RngExt;

    use super::*;
    use crate::Seed;

    fn random(shape: (usize, usize)) -> Matrix {
        let mut rng = Seed::new(1).rng();
        Array2::from_shape_simple_fn(shape, || rng.random::<f32>() - 0.5)
    }

    fn in_f64(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Matrix {
        a.mapv(f64::from).dot(&b.mapv(f64::from)).mapv(|v| v as f32)
    }

    #[test]
    fn every_split_and_stride_agrees_with_f64() {
        for (m, k, n) in [
            (0, 3, 2),
            (2, 3, 0),
            (1, 1, 1),
            (3, 5, 2),
            (700, 300, 130),
            (37, 500, 1900),
            (1500, 256, 300),
        ] {
            let (a, b) = (random((m, k)), random((n, k)));
            let error = (&matmul(a.view(), b.t()) - &in_f64(a.view(), b.t()))
                .fold(0.0, |worst: f32, e| worst.max(e.abs()));
            assert!(error < 1e-4, "{m}x{k}x{n}: {error}");
        }
    }

    #[test]
    fn keep_adds_to_what_was_there() {
        let a = random((40, 30));
        let mut dst = Matrix::ones((40, 40));
        matmul_into(dst.view_mut(), a.view(), a.t(), 2.0);
        let error = (&dst - &(in_f64(a.view(), a.t()) + 2.0)).fold(0.0, |w: f32, e| w.max(e.abs()));
        assert!(error < 1e-4, "{error}");
    }

    #[test]
    fn bits_do_not_depend_on_threads() {
        let (a, b) = (random((1000, 400)), random((400, 700)));
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| matmul(a.view(), b.view()))
        };
        assert_eq!(with(1), with(2));
        assert_eq!(with(1), with(3));
    }
}
