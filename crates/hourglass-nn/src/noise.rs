//! Noise that a model draws in a step, from our own seeded generator: candle's can't be seeded on
//! the CPU. It knows no model.

use candle_core::{Device, Tensor};
use hourglass_core::Seed;
use rand::Rng as _;

use crate::Result;
use crate::init::fill_normal;

/// Normal numbers of mean 0 and standard deviation 1.
///
/// # Shapes
/// - returns: `(n_rows, n_columns)`
///
/// # Errors
/// If candle refuses the tensor.
pub fn normal(n_rows: usize, n_columns: usize, seed: Seed) -> Result<Tensor> {
    let mut values = vec![0.0; n_rows * n_columns];
    fill_normal(&mut values, 1.0, &mut seed.rng());
    Ok(Tensor::from_vec(values, (n_rows, n_columns), &Device::Cpu)?)
}

/// Numbers that are -1 or 1 with the same probability.
///
/// # Shapes
/// - returns: `(n_rows, n_columns)`
///
/// # Errors
/// If candle refuses the tensor.
///
/// # Source
/// Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian
/// Smoothing Splines", 1990: of all such numbers, these estimate a trace with least variance.
pub fn signs(n_rows: usize, n_columns: usize, seed: Seed) -> Result<Tensor> {
    let mut rng = seed.rng();
    let mut values: Vec<f32> = Vec::with_capacity(n_rows * n_columns);
    while values.len() < n_rows * n_columns {
        let bits = rng.next_u32();
        let n_left = n_rows * n_columns - values.len();
        values.extend((0..n_left.min(32)).map(|i| if bits >> i & 1 == 1 { 1.0 } else { -1.0 }));
    }
    Ok(Tensor::from_vec(values, (n_rows, n_columns), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_asked_for_and_a_seed_repeats_them() {
        let draw = |f: fn(usize, usize, Seed) -> Result<Tensor>, seed| {
            f(331, 301, Seed::new(seed)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        for f in [normal, signs] {
            let values = draw(f, 1);
            assert_eq!(values, draw(f, 1));
            assert_ne!(values, draw(f, 2));
            let n = values.len() as f64;
            let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let square = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n;
            assert!(mean.abs() < 0.01 && (square - 1.0).abs() < 0.02, "{mean} {square}");
        }
    }
}
