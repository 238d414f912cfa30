//! Matrix products whose bits do not depend on the number of threads.
//!
//! A product is cut into blocks by its shape alone, each block is computed by one thread, and no
//! two blocks share a sum. The kernels are those of the `gemm` crate, which candle uses too.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::Matrix;

/// Multiply-adds below which a product is not worth a second thread.
const BLOCK_WORK: usize = 24 << 20;

/// Rows (or columns) of a block are a multiple of this, so that no kernel tile is cut.
const BLOCK_STEP: usize = 16;

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
    mut dst: ArrayViewMut2<'_, f32>,
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    keep: f32,
) {
    let (m, n) = dst.dim();
    assert_eq!((m, a.ncols(), n), (a.nrows(), b.nrows(), b.ncols()), "matmul: shapes do not fit");
    let by_rows = m >= n;
    let long = m.max(n);
    let n_blocks = (m * n * a.ncols() / BLOCK_WORK).clamp(1, long.div_ceil(BLOCK_STEP));
    let block = long.div_ceil(n_blocks).next_multiple_of(BLOCK_STEP);
    if block >= long {
        return block_product(dst, a, b, keep);
    }
    let axis = Axis(usize::from(!by_rows));
    dst.axis_chunks_iter_mut(axis, block).into_par_iter().enumerate().for_each(|(i, dst)| {
        let range = i * block..(i * block + dst.len_of(axis));
        let (mut a, mut b) = (a.view(), b.view());
        if by_rows {
            a.slice_axis_inplace(Axis(0), range.into());
        } else {
            b.slice_axis_inplace(Axis(1), range.into());
        }
        block_product(dst, a, b, keep);
    });
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
        for (m, k, n) in [(1, 1, 1), (3, 5, 2), (700, 300, 130), (37, 500, 1900), (1500, 256, 300)]
        {
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
