//! Contractive autoencoder: the loss has a price on how much the latent moves when the input does,
//! the squared Frobenius norm of the encoder's Jacobian.
//!
//! # Source
//! Rifai, Vincent, Muller, Glorot, Bengio, "Contractive Auto-Encoders: Explicit Invariance During
//! Feature Extraction", ICML 2011: closed form for one layer. Deep encoders: the trace estimator of
//! Hutchinson, 1990, with signs as probes.
//!
//! # How it is differentiated
//! The penalty contains derivatives, and its gradient second ones, which candle does not have. So
//! the first derivatives are written out as ordinary operations: those of an activation follow from
//! its value, and a product of Jacobian and probe is carried forward through the layers beside the
//! activations. What is left for the backward pass is of first order.

use candle_core::Tensor;
use hourglass_core::Seed;
use hourglass_nn::{Activation, Corruption, Dense, WeightOrder, signs};

use crate::config::name_of;
use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};
use crate::{Error, Result};

mlp_config! {
    /// Hyperparameters of the contractive autoencoder; the latent is a sigmoid by default. The
    /// activations of the encoder must be `linear`, `relu`, `leaky_relu`, `elu`, `sigmoid`, `tanh`
    /// or `softplus`, whose derivatives follow from their values.
    Contractive {
        /// Weight of the penalty, which is a sum over latent units and input columns and a mean
        /// over samples, beside a reconstruction that is a mean over columns; above 0.
        weight: f32,
        /// Directions in which a deep encoder is probed in each step; 1 or more. One layer needs
        /// none. Default: 1.
        #[serde(default = "one")]
        probes: usize,
        /// What is done to the input during training. Default: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corruption: Option<Corruption>,
    }
}

fn one() -> usize {
    1
}

impl Contractive {
    pub(crate) fn examples() -> Vec<Self> {
        let deep = Contractive {
            hidden_dims: vec![30],
            activation: Activation::Softplus,
            latent_activation: Some(Activation::Tanh),
            ..Contractive::new(20, 1e-6, 2, None)
        };
        vec![Contractive { tied: true, ..Contractive::new(40, 1e-6, 1, None) }, deep]
    }
}

impl MlpArchitecture for Contractive {
    fn layers(&self) -> Layers {
        self.shared_layers(Activation::Sigmoid, self.corruption)
    }

    fn constraint(&self) -> Constraint {
        Constraint::Contractive { weight: self.weight, probes: self.probes }
    }

    fn check_own(&self) -> Result<()> {
        if !(self.weight > 0.0 && self.weight.is_finite()) {
            return Err(Error::config("weight", self.weight, "above 0"));
        }
        if self.probes == 0 {
            return Err(Error::config("probes", 0, "1 or more"));
        }
        if self.normalisation.is_some() || self.dropout > 0.0 || self.prelu {
            let expected = "absent, as the penalty follows plain layers only";
            return Err(Error::config("normalisation, dropout and prelu", "present", expected));
        }
        let layers = self.layers();
        let hidden = (!self.hidden_dims.is_empty()).then_some(("activation", self.activation));
        let all = hidden.into_iter().chain([("latent_activation", layers.latent_activation)]);
        for (key, activation) in all {
            if !follows_from_value(activation) {
                let expected = "`linear`, `relu`, `leaky_relu`, `elu`, `sigmoid`, `tanh` or \
                                `softplus`, whose derivative follows from its value";
                return Err(Error::config(key, name_of(activation), expected));
            }
        }
        Ok(())
    }
}

/// Squared Frobenius norm of an encoder's Jacobian, a mean over samples: in closed form for one
/// layer, estimated from probes drawn from the seed for several.
///
/// # Shapes
/// - `activations`: of every layer, `(batch, n_out)`
pub(crate) fn squared_jacobian(
    layers: &[&Dense],
    activations: &[Tensor],
    probes: usize,
    seed: Seed,
) -> Result<Tensor> {
    if let ([layer], [latent]) = (layers, activations) {
        return closed_form(latent, layer);
    }
    let (n_rows, n_features) = (activations[0].dim(0)?, layers[0].n_in());
    let mut sum = Tensor::zeros((), activations[0].dtype(), activations[0].device())?;
    for probe in 0..probes {
        let mut moved = signs(n_rows, n_features, seed.nth(probe as u64))?;
        for (layer, activations) in layers.iter().zip(activations) {
            let product = moved.matmul(&weight_in_out(layer)?)?;
            moved = match derivative(layer.activation(), activations)? {
                Some(derivative) => (product * derivative)?,
                None => product,
            };
        }
        sum = (sum + moved.sqr()?.sum_all()?)?;
    }
    Ok((sum / (probes * n_rows) as f64)?)
}

/// `sum over units of s'(a)^2 |w|^2`, a mean over samples.
fn closed_form(latent: &Tensor, layer: &Dense) -> Result<Tensor> {
    let squares = weight_in_out(layer)?.sqr()?.sum(0)?;
    Ok(match derivative(layer.activation(), latent)? {
        Some(derivative) => derivative.sqr()?.mean(0)?.mul(&squares)?.sum_all()?,
        None => squares.sum_all()?,
    })
}

/// The weight of an encoder layer, `(n_in, n_out)`.
fn weight_in_out(layer: &Dense) -> Result<Tensor> {
    let weight = layer.weight().tensor();
    Ok(match layer.order() {
        WeightOrder::OutIn => weight.t()?,
        WeightOrder::InOut => weight,
    })
}

fn follows_from_value(activation: Activation) -> bool {
    matches!(
        activation,
        Activation::Linear
            | Activation::Relu
            | Activation::LeakyRelu
            | Activation::Elu
            | Activation::Sigmoid
            | Activation::Tanh
            | Activation::Softplus
    )
}

/// The derivative of an activation where its value is `values`, itself differentiable; `None`
/// where it is 1.
fn derivative(activation: Activation, values: &Tensor) -> Result<Option<Tensor>> {
    let above = || values.detach().gt(0.0)?.to_dtype(values.dtype());
    Ok(match activation {
        Activation::Relu => Some(above()?),
        Activation::LeakyRelu => Some(above()?.affine(0.99, 0.01)?),
        // exp(x) = y + 1 below 0, and 1 above.
        Activation::Elu => Some((((1.0 - above()?)? * values)? + 1.0)?),
        Activation::Sigmoid => Some((values - values.sqr()?)?),
        Activation::Tanh => Some((1.0 - values.sqr()?)?),
        Activation::Softplus => Some((1.0 - values.neg()?.exp()?)?),
        // The configuration has been checked: what is left is linear.
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use hourglass_core::Matrix;
    use hourglass_nn::{Init, Select, backward, rows_of};
    use rand::RngExt;

    use super::*;

    fn rows(n: usize, n_features: usize) -> Matrix {
        let mut rng = Seed::new(11).rng();
        Matrix::from_shape_simple_fn((n, n_features), || rng.random::<f32>() - 0.5)
    }

    /// The encoder's layers, and what they make of rows.
    struct Encoder(Vec<Dense>);

    impl Encoder {
        fn new(widths: &[usize], activations: &[Activation]) -> Self {
            let layers = widths.windows(2).zip(activations).enumerate().map(|(i, (pair, &a))| {
                let shape = (pair[0], pair[1]);
                let (order, init) = (WeightOrder::OutIn, Init::GlorotNormal);
                Dense::new(&i.to_string(), shape, order, a, init, Seed::new(2)).unwrap()
            });
            Encoder(layers.collect())
        }

        fn activations(&self, rows: &Matrix) -> Vec<Tensor> {
            let mut all = vec![rows_of(rows.view()).unwrap()];
            for layer in &self.0 {
                all.push(layer.forward(&all[all.len() - 1], Select::All).unwrap());
            }
            all.split_off(1)
        }

        fn penalty(&self, rows: &Matrix, probes: usize) -> Tensor {
            let layers: Vec<&Dense> = self.0.iter().collect();
            squared_jacobian(&layers, &self.activations(rows), probes, Seed::new(1)).unwrap()
        }

        /// The Jacobian by finite differences, squared and summed, a mean over rows.
        fn numeric(&self, rows: &Matrix) -> f32 {
            let encode = |rows: &Matrix| {
                self.activations(rows).pop().unwrap().to_vec2::<f32>().unwrap().concat()
            };
            let mut sum = 0.0;
            for column in 0..rows.ncols() {
                let moved = |step: f32| {
                    let mut moved = rows.clone();
                    moved.column_mut(column).mapv_inplace(|value| value + step);
                    encode(&moved)
                };
                let (up, down) = (moved(1e-2), moved(-1e-2));
                sum += up.iter().zip(&down).map(|(u, d)| ((u - d) / 2e-2).powi(2)).sum::<f32>();
            }
            sum / rows.nrows() as f32
        }
    }

    const SMOOTH: [Activation; 5] = [
        Activation::Linear,
        Activation::Elu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
    ];

    #[test]
    fn the_closed_form_is_the_jacobian() {
        let rows = rows(6, 5);
        for activation in SMOOTH {
            let encoder = Encoder::new(&[5, 4], &[activation]);
            let found = encoder.penalty(&rows, 1).to_scalar::<f32>().unwrap();
            let expected = encoder.numeric(&rows);
            assert!(
                (found - expected).abs() < 2e-3 * expected,
                "{activation:?} {found} {expected}"
            );
        }
    }

    #[test]
    fn probes_estimate_the_jacobian_of_a_deep_encoder() {
        let rows = rows(6, 5);
        for activation in SMOOTH {
            let encoder = Encoder::new(&[5, 7, 3], &[activation, Activation::Tanh]);
            let found = encoder.penalty(&rows, 2000).to_scalar::<f32>().unwrap();
            let expected = encoder.numeric(&rows);
            assert!((found / expected - 1.0).abs() < 0.03, "{activation:?} {found} {expected}");
        }
    }

    #[test]
    fn gradients_of_the_penalty_agree_with_finite_differences() {
        let rows = rows(6, 5);
        let activations = [Activation::Softplus, Activation::Sigmoid];
        for encoder in
            [Encoder::new(&[5, 4], &activations[1..]), Encoder::new(&[5, 7, 3], &activations)]
        {
            let parameters: Vec<_> =
                encoder.0.iter().flat_map(|l| [l.weight().clone(), l.bias().clone()]).collect();
            backward(&encoder.penalty(&rows, 3), &parameters).unwrap();
            for parameter in &parameters {
                let (values, gradient) =
                    (parameter.values().unwrap(), parameter.gradient().unwrap());
                for i in 0..values.len() {
                    let at = |step: f32| {
                        let mut moved = values.clone();
                        moved[i] += step;
                        parameter.set_values(&moved).unwrap();
                        f64::from(encoder.penalty(&rows, 3).to_scalar::<f32>().unwrap())
                    };
                    let numeric = ((at(2e-2) - at(-2e-2)) / 4e-2) as f32;
                    parameter.set_values(&values).unwrap();
                    let error = (gradient[i] - numeric).abs();
                    assert!(error < 2e-3, "{} {i}: {} {numeric}", parameter.name(), gradient[i]);
                }
            }
        }
    }

    #[test]
    fn derivatives_and_theirs_agree_with_finite_differences() {
        let at = [-0.9_f32, -0.3, 0.2, 0.8];
        for activation in [SMOOTH.as_slice(), &[Activation::Relu, Activation::LeakyRelu]].concat() {
            let mut values = at;
            activation.apply(&mut values);
            let mut expected = [1.0; 4];
            activation.scale_gradient(&values, &mut expected);
            let y = Var::from_slice(&values, 4, &Device::Cpu).unwrap();
            let Some(found) = derivative(activation, &y).unwrap() else {
                assert_eq!(activation, Activation::Linear);
                continue;
            };
            let gradients = found.sum_all().unwrap().backward().unwrap();
            let second = gradients.get(&y).map(|g| g.to_vec1::<f32>().unwrap());
            for (i, found) in found.to_vec1::<f32>().unwrap().into_iter().enumerate() {
                assert!((found - expected[i]).abs() < 1e-6, "{activation:?}");
                let step = 1e-3;
                if values[i].abs() < 2.0 * step {
                    // A rectified zero lies at a kink.
                    continue;
                }
                let slope_at = |value: f32| {
                    let mut slope = [1.0];
                    activation.scale_gradient(&[value], &mut slope);
                    slope[0]
                };
                let numeric =
                    (slope_at(values[i] + step) - slope_at(values[i] - step)) / (2.0 * step);
                let second = second.as_ref().map_or(0.0, |second| second[i]);
                assert!((second - numeric).abs() < 1e-2, "{activation:?}: {second} {numeric}");
            }
        }
    }
}
