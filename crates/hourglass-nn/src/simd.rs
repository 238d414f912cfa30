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

/// `exp(x) = scale * (1 + rest)` with `scale` a power of two; finite for every number, and NaN for
/// NaN.
///
/// # Source
/// Cephes (`expf.c`, Moshier): argument reduced by multiples of `ln 2`, then a polynomial.
#[inline(always)]
fn exp_parts(x: f32) -> (f32, f32) {
    // Adding this rounds to the next whole number, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4_f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let scale = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    (scale, r + r * r * p)
}

/// `exp(x)`, within 3 units in the last place; no branch, so that it can be vectorised. Beyond
/// -87 and 88 it stays at its values there.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (scale, rest) = exp_parts(x);
    scale + scale * rest
}

/// `exp(x) - 1`, exact to the last places near 0 too.
#[inline(always)]
pub fn exp_m1(x: f32) -> f32 {
    let (scale, rest) = exp_parts(x);
    scale * rest + (scale - 1.0)
}

/// `ln(1 + x)` for `x` in `[0, 1]`: the series of the inverse hyperbolic tangent of `x / (2 + x)`.
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let z = s * s;
    let mut p = 1.0 / 15.0_f32;
    for c in [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0] {
        p = p * z + c;
    }
    2.0 * s * p
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `ln(1 + exp(x))`.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    x.max(0.0) + ln_1p(exp(-x.abs()))
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let e = exp_m1(-2.0 * x.abs());
    (-e / (2.0 + e)).copysign(x)
}

/// The error function, within 4e-7 of the true value.
///
/// # Source
/// The rational approximation of Eigen (`Eigen/src/SpecialFunctions/SpecialFunctionsImpl.h`,
/// `generic_fast_erf`), which has no branch and can be vectorised.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let z = x * x;
    let mut p = -2.726_142_3e-10_f32;
    for c in [
        2.770_681_5e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ] {
        p = p * z + c;
    }
    let mut q = -1.456_607_2e-5_f32;
    for c in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2] {
        q = q * z + c;
    }
    x * p / q
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_agrees_with_double_precision() {
        for i in -600..=600 {
            let x = i as f32 * 0.01;
            let expected = candle_core::cpu::erf::erf_f64(f64::from(x));
            let error = (f64::from(erf(x)) - expected).abs();
            assert!(error < 4e-7, "{x}: {error:e}");
        }
    }
    #[test]
    fn functions_agree_with_double_precision() {
        type Pair = (fn(f32) -> f32, fn(f64) -> f64);
        let table: [(&str, Pair, f32); 6] = [
            ("exp", (exp, f64::exp), 80.0),
            ("exp_m1", (exp_m1, f64::exp_m1), 80.0),
            ("ln_1p", (|x| ln_1p(x.abs()), |x| x.abs().ln_1p()), 1.0),
            ("sigmoid", (sigmoid, |x| 1.0 / (1.0 + (-x).exp())), 80.0),
            ("softplus", (softplus, |x| x.exp().ln_1p()), 80.0),
            ("tanh", (tanh, f64::tanh), 80.0),
        ];
        for (name, (ours, exact), end) in table {
            for i in -40_000..=40_000 {
                // Dense near 0, where cancellation would show.
                let x = (i as f32 / 40_000.0).powi(3) * end;
                let (found, expected) = (f64::from(ours(x)), exact(f64::from(x)));
                let error = (found - expected).abs() / expected.abs().max(1e-37);
                assert!(error < 4e-7, "{name}({x:e}): {found:e} {expected:e}");
            }
            assert!(ours(f32::NAN).is_nan(), "{name}");
        }
        for x in [f32::INFINITY, 1e30, -1e30, f32::NEG_INFINITY, 0.0, -0.0] {
            assert!(exp(x).is_finite() && (sigmoid(x) - 0.5).abs() <= 0.5 && tanh(x).abs() <= 1.0);
        }
    }
}
