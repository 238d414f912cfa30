//! Wasserstein autoencoder: the latents of a batch, taken together, shall look like draws from the
//! standard normal, measured by the maximum mean discrepancy; each single one may lie anywhere.
//!
//! # Source
//! Tolstikhin, Bousquet, Gelly, Schölkopf, "Wasserstein Auto-Encoders", arXiv:1711.01558 (WAE-MMD),
//! with the inverse multiquadratics kernel at the seven scales of the authors' code and the
//! unbiased estimator (Gretton et al., JMLR 13, 2012), which may fall below 0. Differs from the
//! paper: the reconstruction is a mean over features, so `weight` is the paper's lambda divided by
//! the number of features.

use candle_core::Tensor;
use hourglass_nn::{Activation, Corruption};

use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};
use crate::{Error, Result};

/// Multiples of the kernel's width, as in the authors' code.
const SCALES: [f64; 7] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

mlp_config! {
    /// Hyperparameters of the Wasserstein autoencoder; the latent is linear by default.
    Wasserstein {
        /// Weight of the discrepancy; above 0.
        weight: f32,
        /// What is done to the input during training. Default: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corruption: Option<Corruption>,
    }
}

impl Wasserstein {
    pub(crate) fn examples() -> Vec<Self> {
        let activation = Activation::Tanh;
        vec![Wasserstein { hidden_dims: vec![32], activation, ..Wasserstein::new(6, 1e-4, None) }]
    }
}

impl MlpArchitecture for Wasserstein {
    fn layers(&self) -> Layers {
        self.shared_layers(Activation::Linear, self.corruption)
    }

    fn constraint(&self) -> Constraint {
        Constraint::Discrepancy { weight: self.weight }
    }

    fn check_own(&self) -> Result<()> {
        if self.weight > 0.0 && self.weight.is_finite() {
            return Ok(());
        }
        Err(Error::config("weight", self.weight, "above 0"))
    }
}

/// The unbiased estimate of the squared maximum mean discrepancy of two samples; 0 for less than
/// two rows, of which nothing can be said.
///
/// # Shapes
/// - `a`, `b`: `(n_rows, n_dimensions)`
pub(crate) fn discrepancy(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (n_rows, n_dimensions) = a.dims2()?;
    if n_rows < 2 {
        return Ok((a.sum_all()? * 0.0)?);
    }
    let kernel = |a: &Tensor, b: &Tensor| -> Result<Tensor> {
        let squares = |x: &Tensor| x.sqr()?.sum_keepdim(1);
        let products = a.matmul(&b.t()?)?;
        let sums = squares(a)?.broadcast_add(&squares(b)?.t()?)?;
        // Rounding may leave a distance of a point from itself just below 0.
        let distances = (sums - (products * 2.0)?)?.relu()?;
        let mut sum = distances.zeros_like()?;
        for scale in SCALES {
            // For a standard normal: two of its points lie 2 n_dimensions apart on average.
            let width = 2.0 * n_dimensions as f64 * scale;
            sum = (sum + ((&distances + width)?.recip()? * width)?)?;
        }
        Ok(sum.sum_all()?)
    };
    let n = n_rows as f64;
    // A point's kernel with itself is 1 at every scale, and doesn't count.
    let itself = n * SCALES.len() as f64;
    let within =
        |x: &Tensor| -> Result<Tensor> { Ok(((kernel(x, x)? - itself)? / (n * (n - 1.0)))?) };
    let across = (kernel(a, b)? * (2.0 / (n * n)))?;
    Ok(((within(a)? + within(b)?)? - across)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Var;
    use hourglass_core::Seed;
    use hourglass_nn::normal;

    use super::*;

    #[test]
    fn the_discrepancy_agrees_with_numpy() {
        // import numpy as np
        // a = np.array([[0.3, -1.2], [0.0, 2.0], [1.0, 1.0]])
        // b = np.array([[0.1, 0.2], [-0.5, 1.5], [2.0, -1.0]])
        // def k(x, y): d = ((x[:, None] - y[None]) ** 2).sum(-1); return sum(4 * s / (4 * s + d)
        //     for s in (.1, .2, .5, 1, 2, 5, 10))
        // off = lambda m: (m.sum() - np.trace(m)) / 6
        // off(k(a, a)) + off(k(b, b)) - 2 * k(a, b).mean()
        let device = candle_core::Device::Cpu;
        let a = Tensor::new(&[[0.3_f32, -1.2], [0.0, 2.0], [1.0, 1.0]], &device).unwrap();
        let b = Tensor::new(&[[0.1_f32, 0.2], [-0.5, 1.5], [2.0, -1.0]], &device).unwrap();
        let found = discrepancy(&a, &b).unwrap().to_scalar::<f32>().unwrap();
        assert!((found + 1.094_159_9).abs() < 1e-5, "{found}");
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let a = normal(5, 3, Seed::new(1)).unwrap();
        let b = normal(5, 3, Seed::new(2)).unwrap();
        let var = Var::from_tensor(&a).unwrap();
        let gradients = discrepancy(&var, &b).unwrap().backward().unwrap();
        let gradient =
            gradients.get(&var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let values = a.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for i in 0..values.len() {
            let at = |step: f32| {
                let mut moved = values.clone();
                moved[i] += step;
                let moved = Tensor::from_vec(moved, (5, 3), a.device()).unwrap();
                discrepancy(&moved, &b).unwrap().to_scalar::<f32>().unwrap()
            };
            let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((gradient[i] - numeric).abs() < 2e-3, "{i}: {} {numeric}", gradient[i]);
        }
    }

    #[test]
    fn the_same_distribution_is_near_zero_and_another_is_not() {
        let a = normal(400, 4, Seed::new(1)).unwrap();
        let b = normal(400, 4, Seed::new(2)).unwrap();
        let near = discrepancy(&a, &b).unwrap().to_scalar::<f32>().unwrap();
        let far = discrepancy(&(a + 1.0).unwrap(), &b).unwrap().to_scalar::<f32>().unwrap();
        assert!(near.abs() < 0.02 && far > 0.2, "{near} {far}");
    }
}
