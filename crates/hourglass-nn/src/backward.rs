//! The backward pass over a graph that mixes fused operations, which write the gradients of their
//! parameters themselves, with candle's own, which leave them in candle's store.

use candle_core::Tensor;

use crate::{Parameter, Result};

/// Works out the gradient of a loss and adds it to the buffer of each parameter.
///
/// Fused operations have written their share while the pass ran; what candle collected for the
/// same parameter comes on top. A parameter that is not in the list keeps only the fused share.
///
/// # Shapes
/// - `loss`: one value
///
/// # Errors
/// If an operation has no backward pass, or candle refuses one.
///
/// ```
/// use hourglass_nn::{Parameter, backward};
/// let w = Parameter::new("w", vec![3.0, -1.0], &[2], true)?;
/// let loss = w.tensor().sqr()?.sum_all()?;
/// backward(&loss, std::slice::from_ref(&w))?;
/// assert_eq!(w.gradient(), Some(vec![6.0, -2.0]));
/// # Ok::<(), hourglass_nn::Error>(())
/// ```
pub fn backward(loss: &Tensor, parameters: &[Parameter]) -> Result<()> {
    let gradients = loss.backward()?;
    for parameter in parameters {
        if let Some(gradient) = gradients.get(&parameter.tensor()) {
            parameter.add_gradient(gradient)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, Seed};
    use rand::RngExt;

    use super::*;
    use crate::{Activation, Dense, Init, Select, WeightOrder, rows_of};

    fn random(shape: (usize, usize), seed: u64) -> Tensor {
        let mut rng = Seed::new(seed).rng();
        rows_of(Matrix::from_shape_simple_fn(shape, || rng.random::<f32>() - 0.5).view()).unwrap()
    }

    /// A fused layer whose weight a composed product uses too, and a parameter of that product.
    #[test]
    fn fused_and_composed_shares_are_summed() {
        let (order, init) = (WeightOrder::InOut, Init::GlorotNormal);
        let dense = Dense::new("d", (5, 4), order, Activation::Tanh, init, Seed::new(1)).unwrap();
        let scale = Parameter::new("scale", vec![0.5, -2.0, 1.5, 1.0], &[4], false).unwrap();
        let parameters = [dense.weight().clone(), dense.bias().clone(), scale.clone()];
        let x = random((7, 5), 2);
        let loss = |fused: bool| {
            let hidden = if fused {
                dense.forward(&x, Select::All).unwrap()
            } else {
                let product = x.matmul(&dense.weight().tensor()).unwrap();
                product.broadcast_add(&dense.bias().tensor()).unwrap().tanh().unwrap()
            };
            let scaled = hidden.broadcast_mul(&scale.tensor()).unwrap();
            let back = scaled.matmul(&dense.weight().tensor().t().unwrap()).unwrap();
            (back - &x).unwrap().sqr().unwrap().mean_all().unwrap()
        };
        let gradients = |fused: bool| {
            parameters.iter().for_each(Parameter::clear_gradient);
            backward(&loss(fused), &parameters).unwrap();
            parameters.iter().flat_map(|p| p.gradient().unwrap()).collect::<Vec<_>>()
        };
        // Composed alone is right by candle's own tests; the fused pass must agree with it.
        let (mixed, composed) = (gradients(true), gradients(false));
        for (mixed, composed) in mixed.iter().zip(&composed) {
            assert!((mixed - composed).abs() < 1e-6, "{mixed} {composed}");
        }
        assert_eq!(mixed.len(), 28);
        assert!(mixed.iter().all(|gradient| *gradient != 0.0));
        // A second pass without clearing adds.
        backward(&loss(true), &parameters).unwrap();
        let twice = parameters.iter().flat_map(|p| p.gradient().unwrap());
        for (twice, once) in twice.zip(&mixed) {
            assert!((twice - 2.0 * once).abs() < 1e-6);
        }
    }

    #[test]
    fn a_parameter_out_of_reach_has_no_gradient() {
        let near = Parameter::new("near", vec![1.0], &[1], true).unwrap();
        let far = Parameter::new("far", vec![1.0], &[1], true).unwrap();
        let loss = near.tensor().sqr().unwrap().sum_all().unwrap();
        backward(&loss, &[near.clone(), far.clone()]).unwrap();
        assert_eq!((near.gradient(), far.gradient()), (Some(vec![2.0]), None));
    }
}
