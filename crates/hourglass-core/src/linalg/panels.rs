//! A product whose right side is laid out once and then meets many rows, as the weights of a
//! trained encoder do. A general product packs its left side, which pays where that is used again;
//! here the kernel reads the rows where they are.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use pulp::{Arch, Simd, WithSimd};

/// Columns of a panel: four of the widest vectors.
const WIDTH: usize = 64;

/// Rows that the kernel works on at once: with four vectors each, 24 of 32 registers hold sums.
const ROWS: usize = 6;

/// Share of columns in use above which the others are not looked for.
const DENSE_SHARE: f32 = 0.9;

/// The right side of a product, cut into panels of columns that each lie together.
///
/// Columns of the left side that are zero in a few rows at once are skipped: the border of an
/// image, the levels of a category. That changes no bit, unless a weight is infinite or no number.
///
/// ```
/// use hourglass_core::linalg::Panels;
/// use ndarray::{Array2, array};
/// let weight = array![[1.0_f32, 2.0], [3.0, 4.0]];
/// let rows = array![[1.0_f32, 0.0], [0.0, 1.0], [1.0, 1.0]];
/// let mut product = Array2::zeros((3, 2));
/// Panels::new(weight.view()).product(product.view_mut(), rows.view());
/// assert_eq!(product, array![[1.0, 2.0], [3.0, 4.0], [4.0, 6.0]]);
/// ```
#[derive(Clone, Debug)]
pub struct Panels {
    /// Panel after panel, each `(k, WIDTH)`; what the last one lacks is zero.
    values: Vec<f32>,
    k: usize,
    n: usize,
}

impl Panels {
    /// Lays out a right side.
    ///
    /// # Shapes
    /// - `b`: `(k, n)`, any strides
    pub fn new(b: ArrayView2<'_, f32>) -> Self {
        let (k, n) = b.dim();
        let mut values = vec![0.0; n.div_ceil(WIDTH) * k * WIDTH];
        let panels = values.chunks_mut((k * WIDTH).max(1));
        for (panel, columns) in panels.zip(b.axis_chunks_iter(Axis(1), WIDTH)) {
            for (j, column) in columns.columns().into_iter().enumerate() {
                panel.chunks_mut(WIDTH).zip(column).for_each(|(row, &value)| row[j] = value);
            }
        }
        Panels { values, k, n }
    }

    /// `dst = a * b`, on the calling thread. No bit of a row depends on the rows around it.
    ///
    /// # Shapes
    /// - `a`: `(m, k)`; `dst`: `(m, n)`; values of a row side by side
    ///
    /// # Panics
    /// If the dimensions do not fit, or values of a row lie apart.
    pub fn product(&self, mut dst: ArrayViewMut2<'_, f32>, a: ArrayView2<'_, f32>) {
        let shapes = (dst.dim(), a.dim());
        assert_eq!(shapes, ((a.nrows(), self.n), (a.nrows(), self.k)), "product: shapes");
        if dst.is_empty() || self.k == 0 {
            return dst.fill(0.0);
        }
        let a = a.rows().into_iter().map(|row| row.to_slice()).collect::<Option<Vec<_>>>();
        let dst = dst.rows_mut().into_iter().map(|row| row.into_slice()).collect();
        let (a, dst): (_, Option<Vec<_>>) = (a, dst);
        let (a, dst) = a.zip(dst).expect("values of a row lie side by side");
        Arch::new().dispatch(Product { panels: self, dst, a });
    }
}

/// A product at work, row by row.
struct Product<'a, 'd> {
    panels: &'a Panels,
    dst: Vec<&'d mut [f32]>,
    a: Vec<&'a [f32]>,
}

impl WithSimd for Product<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Panels { values, k, n } = self.panels;
        let groups: Vec<Vec<u32>> = self.a.chunks(ROWS).map(|rows| in_use(rows, *k)).collect();
        // A panel stays in the second-level cache while all rows pass by.
        for (panel, first) in values.chunks(k * WIDTH).zip((0..*n).step_by(WIDTH)) {
            let width = WIDTH.min(n - first);
            let rows = self.a.chunks(ROWS).zip(self.dst.chunks_mut(ROWS));
            for ((a, dst), columns) in rows.zip(&groups) {
                let mut sums = [0.0; ROWS * WIDTH];
                match <[&[f32]; ROWS]>::try_from(a) {
                    Ok(a) => tiles(simd, a, columns, panel, &mut sums),
                    Err(_) => {
                        for (a, sums) in a.iter().zip(sums.chunks_mut(WIDTH)) {
                            tiles(simd, [*a], columns, panel, sums);
                        }
                    }
                }
                for (dst, sums) in dst.iter_mut().zip(sums.chunks(WIDTH)) {
                    dst[first..first + width].copy_from_slice(&sums[..width]);
                }
            }
        }
    }
}

/// The columns in which some of the rows are not zero, or all of them where those are most.
#[inline(always)]
fn in_use(rows: &[&[f32]], k: usize) -> Vec<u32> {
    // All bits but the sign; more than zero where any row is.
    let mut bits = vec![0_u32; k];
    for row in rows {
        bits.iter_mut().zip(*row).for_each(|(bits, value)| *bits |= value.to_bits() << 1);
    }
    let n_used: u32 = bits.iter().map(|&bits| u32::from(bits != 0)).sum();
    if n_used as f32 > DENSE_SHARE * k as f32 {
        return (0..k as u32).collect();
    }
    // Without a branch, which images would mislead: the next one overwrites what isn't in use.
    let mut used = vec![0; n_used as usize + 1];
    let mut n_seen = 0;
    for (column, &bits) in (0..).zip(&bits) {
        used[n_seen] = column;
        n_seen += usize::from(bits != 0);
    }
    used.truncate(n_seen);
    used
}

/// Rows times a panel: `sums` is `(R, WIDTH)`.
#[inline(always)]
fn tiles<S: Simd, const R: usize>(
    simd: S,
    a: [&[f32]; R],
    columns: &[u32],
    panel: &[f32],
    sums: &mut [f32],
) {
    if S::REGISTER_COUNT >= 32 {
        for first in (0..WIDTH).step_by(4 * S::F32_LANES) {
            tile::<S, R, 4>(simd, a, columns, panel, first, sums);
        }
    } else {
        for first in (0..WIDTH).step_by(2 * S::F32_LANES) {
            tile::<S, R, 2>(simd, a, columns, panel, first, sums);
        }
    }
}

/// Rows times `C` vectors of columns of a panel, from column `first` on.
#[inline(always)]
fn tile<S: Simd, const R: usize, const C: usize>(
    simd: S,
    a: [&[f32]; R],
    columns: &[u32],
    panel: &[f32],
    first: usize,
    sums: &mut [f32],
) {
    assert!(first + C * S::F32_LANES <= WIDTH && sums.len() >= R * WIDTH);
    let mut registers = [[simd.splat_f32s(0.0); C]; R];
    for &column in columns {
        let column = column as usize;
        let b = &panel[column * WIDTH..][..WIDTH];
        for (row, registers) in a.iter().zip(&mut registers) {
            debug_assert!(column < row.len());
            // SAFETY: a panel has as many rows as `a` has columns, and this one was just read.
            let value = simd.splat_f32s(unsafe { *row.get_unchecked(column) });
            for (j, sum) in registers.iter_mut().enumerate() {
                // SAFETY: the vector lies within the row of the panel, as asserted above.
                let b = unsafe { vector::<S>(b.as_ptr().add(first + j * S::F32_LANES)) };
                *sum = simd.mul_add_e_f32s(value, b, *sum);
            }
        }
    }
    for (i, registers) in registers.iter().enumerate() {
        for (j, &sum) in registers.iter().enumerate() {
            let at = i * WIDTH + first + j * S::F32_LANES;
            // SAFETY: `at` and the vector behind it lie within `sums`, as asserted above.
            unsafe { sums.as_mut_ptr().add(at).cast::<S::f32s>().write_unaligned(sum) };
        }
    }
}

/// Reads a vector from where it is, whatever its alignment.
///
/// # Safety
/// As many numbers as the vector has must lie there.
#[inline(always)]
unsafe fn vector<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller promises it.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::{Matrix, Seed};

    fn random(shape: (usize, usize), zeros: f32) -> Matrix {
        let mut rng = Seed::new(1).rng();
        Matrix::from_shape_simple_fn(shape, || {
            let value = rng.random::<f32>() - 0.5;
            if rng.random::<f32>() < zeros { 0.0 } else { value }
        })
    }

    fn product(a: &Matrix, b: ArrayView2<'_, f32>) -> Matrix {
        let mut dst = Matrix::ones((a.nrows(), b.ncols()));
        Panels::new(b).product(dst.view_mut(), a.view());
        dst
    }

    #[test]
    fn agrees_with_f64_on_odd_shapes_and_zeros() {
        for (m, k, n) in [(0, 3, 2), (2, 0, 3), (1, 1, 1), (6, 5, 64), (13, 300, 130), (5, 97, 65)]
        {
            for zeros in [0.0, 0.5, 0.95, 1.0] {
                let (a, b) = (random((m, k), zeros), random((n, k), 0.0));
                let in_f64 = |f: fn(f32) -> f64| a.mapv(f).dot(&b.t().mapv(f));
                let exact = in_f64(f64::from);
                // What rounding can add up to: Higham, "Accuracy and Stability of Numerical
                // Algorithms", 2002, section 3.1.
                let unit = f64::from(f32::EPSILON) / 2.0;
                let bound = in_f64(|value| f64::from(value.abs())) * (k as f64 * unit);
                let found = product(&a, b.t());
                for ((&found, exact), bound) in found.iter().zip(&exact).zip(&bound) {
                    let error = (f64::from(found) - exact).abs();
                    assert!(error <= *bound, "{m}x{k}x{n}, {zeros} zeros: {error} of {bound}");
                }
                let turned = b.t().as_standard_layout().to_owned();
                assert_eq!(product(&a, b.t()), product(&a, turned.view()));
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        // Zeros in some rows alone, so that groups skip other columns than single rows do.
        let (mut a, b) = (random((20, 150), 0.7), random((150, 70), 0.0));
        a.slice_mut(ndarray::s![..4, ..]).mapv_inplace(|value| value + 0.5);
        let whole = product(&a, b.view());
        for (row, expected) in a.rows().into_iter().zip(whole.rows()) {
            let alone = product(&row.insert_axis(Axis(0)).to_owned(), b.view());
            assert_eq!(alone.row(0), expected);
        }
    }
}
