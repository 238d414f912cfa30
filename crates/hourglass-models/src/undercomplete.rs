//! Undercomplete autoencoder: a latent narrower than the data has to compress.
//!
//! Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks",
//! Science 313, 2006. Differs from the paper: trained from random weights, without pre-training.

use hourglass_nn::{Activation, Corruption};

use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};
use crate::{Normalisation, Result};

mlp_config! {
    /// Hyperparameters of the undercomplete autoencoder; the latent is linear by default.
    Undercomplete {
        /// What is done to the input during training. Default: nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corruption: Option<Corruption>,
    }
}

impl Undercomplete {
    /// Whether it is one linear layer each way, which spans what principal components span.
    ///
    /// # Source
    /// Baldi and Hornik, "Neural Networks and Principal Component Analysis", Neural Networks 2, 1989.
    pub fn is_linear(&self) -> bool {
        let all = [self.layers().latent_activation, self.output_activation];
        self.hidden_dims.is_empty() && all.iter().all(|&a| a == Activation::Linear)
    }

    pub(crate) fn examples() -> Vec<Self> {
        let untied = Undercomplete {
            hidden_dims: vec![24],
            activation: Activation::Elu,
            ..Undercomplete::new(6, None)
        };
        let batch = Undercomplete {
            activation: Activation::Gelu,
            normalisation: Some(Normalisation::Batch),
            ..untied.clone()
        };
        let layer = Undercomplete {
            tied: true,
            normalisation: Some(Normalisation::Layer),
            ..untied.clone()
        };
        let dropout =
            Undercomplete { activation: Activation::Selu, dropout: 0.02, ..untied.clone() };
        let prelu = Undercomplete { activation: Activation::Relu, prelu: true, ..untied.clone() };
        let tied = Undercomplete { tied: true, ..untied.clone() };
        let both = Undercomplete { tied: true, ..prelu.clone() };
        vec![tied, untied, batch, layer, dropout, prelu, both]
    }
}

impl MlpArchitecture for Undercomplete {
    fn layers(&self) -> Layers {
        self.shared_layers(Activation::Linear, self.corruption)
    }

    fn constraint(&self) -> Constraint {
        Constraint::Width
    }

    fn check_own(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, SampleShape, Seed};
    use hourglass_nn::{Loss, Optimizer, backward, rows_of, to_matrix};
    use ndarray::{Array2, Axis};
    use rand::RngExt;

    use super::*;
    use crate::{Context, ModelConfig, build};

    const N_FEATURES: usize = 8;
    const WIDTH: usize = 3;

    /// Centred rows with a few directions of large variance, mixed.
    fn rows() -> Matrix {
        let mut rng = Seed::new(5).rng();
        let mut draw = |shape| Array2::from_shape_simple_fn(shape, || rng.random::<f32>() - 0.5);
        let (mut sources, mixing) = (draw((300, N_FEATURES)), draw((N_FEATURES, N_FEATURES)));
        for (i, mut source) in sources.columns_mut().into_iter().enumerate() {
            source *= 3.0 / (i + 1) as f32;
        }
        let rows = sources.dot(&mixing);
        let mean = rows.mean_axis(Axis(0)).unwrap();
        rows - mean
    }

    /// The first principal directions, one a row, by orthogonal iteration.
    fn principal_directions(rows: &Matrix) -> Array2<f64> {
        let rows = rows.mapv(f64::from);
        let covariance = rows.t().dot(&rows);
        let mut directions =
            Array2::<f64>::eye(N_FEATURES).slice(ndarray::s![..WIDTH, ..]).to_owned();
        for _ in 0..500 {
            directions = directions.dot(&covariance);
            for i in 0..WIDTH {
                for j in 0..i {
                    let product = directions.row(i).dot(&directions.row(j));
                    let before = directions.row(j).to_owned();
                    directions.row_mut(i).scaled_add(-product, &before);
                }
                let norm = directions.row(i).dot(&directions.row(i)).sqrt();
                directions.row_mut(i).mapv_inplace(|value| value / norm);
            }
        }
        directions
    }

    #[test]
    fn a_linear_one_spans_the_principal_subspace() {
        let rows = rows();
        let directions = principal_directions(&rows);
        let x = rows_of(rows.view()).unwrap();
        for tied in [false, true] {
            let config = Undercomplete { tied, ..Undercomplete::new(WIDTH, None) };
            let shape = SampleShape::Vector { len: N_FEATURES };
            let model = build(&ModelConfig::Undercomplete(config), &shape, Seed::new(1)).unwrap();
            let adam = serde_json::from_str(r#"{"adam": {"learning_rate": 0.01}}"#).unwrap();
            let mut optimizer = Optimizer::new(adam, model.parameters().to_vec());
            let n_steps = 6000;
            for step in 0..n_steps {
                let context = Context::train(0.0, 1, Seed::new(0));
                let loss = model.loss(&x, &x, &Loss::Mse, &context).unwrap();
                backward(&loss.total, model.parameters()).unwrap();
                optimizer.step(0.02 * (1.0 - step as f64 / f64::from(n_steps))).unwrap();
            }
            let error_of = |output: &Array2<f64>| {
                let errors = rows.mapv(f64::from) - output;
                errors.mapv(|error| error * error).sum()
            };
            let output = to_matrix(&model.reconstruct(&x).unwrap()).unwrap().mapv(f64::from);
            let projected = rows.mapv(f64::from).dot(&directions.t()).dot(&directions);
            let (found, least) = (error_of(&output), error_of(&projected));
            assert!(found < 1.001 * least, "{found} {least}");
            // What the model makes of any row lies in the span of the directions.
            let outside = &output - &output.dot(&directions.t()).dot(&directions);
            let share = outside.mapv(|v| v * v).sum() / output.mapv(|v| v * v).sum();
            assert!(share < 1e-3, "{share}");
        }
    }
}
