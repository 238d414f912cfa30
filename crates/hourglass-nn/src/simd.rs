//! Loops over slices, compiled for the widest vectors that the processor has and chosen at run
//! time. No reordering of sums: every width gives the same bits.

use pulp::Arch;

/// Lanes of a dot product; fixed, so that the order of the sum is fixed.
const LANES: usize = 16;

/// Runs `f` with the processor's widest vector instructions enabled.
#[inline]
pub fn wide<R>(f: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(f)
}

/// `dst += factor * src`. Call inside [`wide`].
#[inline(always)]
pub fn add_scaled(dst: &mut [f32], factor: f32, src: &[f32]) {
    for (dst, &src) in dst.iter_mut().zip(src) {
        *dst += factor * src;
    }
}

/// Sum of products, in 16 lanes. Call inside [`wide`].
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Sum of `f(a, b)` over two slices, in 16 lanes of `f64`. Call inside [`wide`].
#[inline(always)]
pub fn sum_map(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let mut lanes = [0.0_f64; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f64::from(f(a[lane], b[lane]));
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(f(a, b))).sum();
    lanes.iter().sum::<f64>() + rest
}
