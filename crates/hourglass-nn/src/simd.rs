//! Loops over slices, compiled for the widest vectors that the processor has and chosen at run
//! time. No reordering of sums: every width gives the same bits.

use pulp::Arch;

/// Lanes of a sum; fixed, so that the order of the sum is fixed.
const LANES: usize = 16;

/// Runs `f` with the processor's widest vector instructions enabled.
#[inline]
pub fn wide<R>(f: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(f)
}

/// Declares a function that is compiled for three widths and chosen at run time. Its body must
/// call nothing that isn't inlined.
macro_rules! wide_fn {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        pub fn $name($($arg: $kind),*) $(-> $result)? {
            #[inline(always)]
            fn body($($arg: $kind),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx2")]
                fn avx512($($arg: $kind),*) $(-> $result)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $kind),*) $(-> $result)? {
                    body($($arg),*)
                }
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: the processor was just asked.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor was just asked.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

wide_fn! {
    /// `dst += factor * src`.
    fn add_scaled(dst: &mut [f32], factor: f32, src: &[f32]) {
        for (dst, &src) in dst.iter_mut().zip(src) {
            *dst += factor * src;
        }
    }
}

wide_fn! {
    /// `dst += factors[0] * src[0] + ... + factors[3] * src[3]`, so that `dst` is read and written
    /// once for four rows.
    fn add_scaled_four(dst: &mut [f32], factors: [f32; 4], src: [&[f32]; 4]) {
        let n = dst.len();
        let [a, b, c, d] = src.map(|row| &row[..n]);
        for (i, dst) in dst.iter_mut().enumerate() {
            let first = factors[0] * a[i] + factors[1] * b[i];
            let second = factors[2] * c[i] + factors[3] * d[i];
            *dst += first + second;
        }
    }
}

wide_fn! {
    /// Sum of products, in 32 lanes.
    fn dot(a: &[f32], b: &[f32]) -> f32 {
        let mut lanes = [0.0_f32; 32];
        let (a_chunks, a_rest) = a.as_chunks::<32>();
        let (b_chunks, b_rest) = b.as_chunks::<32>();
        for (a, b) in a_chunks.iter().zip(b_chunks) {
            for lane in 0..32 {
                lanes[lane] += a[lane] * b[lane];
            }
        }
        for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
            *lane += a * b;
        }
        lanes.iter().sum()
    }
}

/// `dst += sum(factor * rows(index))` over the pairs of an iterator, in their order.
pub fn add_rows<'a>(
    dst: &mut [f32],
    pairs: impl Iterator<Item = (usize, f32)>,
    row: impl Fn(usize) -> &'a [f32],
) {
    let mut waiting = [(0, 0.0); 4];
    let mut n_waiting = 0;
    for pair in pairs {
        waiting[n_waiting] = pair;
        n_waiting += 1;
        if n_waiting == 4 {
            add_scaled_four(dst, waiting.map(|(_, f)| f), waiting.map(|(index, _)| row(index)));
            n_waiting = 0;
        }
    }
    for &(index, factor) in &waiting[..n_waiting] {
        add_scaled(dst, factor, row(index));
    }
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
