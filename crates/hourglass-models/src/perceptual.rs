//! A perceptual loss: how far apart a sample and its reconstruction are to an encoder that was
//! trained before and stays as it is.
//!
//! # Source
//! Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
//! arXiv:1603.08155; for autoencoders: Pihlgren, Sandin, Liwicki, "Improving Image Autoencoder
//! Embeddings with Perceptual Loss", arXiv:2001.03444. Differs from both: the features are those of
//! an encoder of one's own, all layers alike, in place of a classifier's trained on photographs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Tensor;
use hourglass_nn::{Loss, Parameter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Autoencoder, Error, Result};

/// A comparison in the feature space of an encoder that an earlier run trained: the mean squared
/// error of each layer's activations, averaged over the layers. The encoder takes the prepared
/// samples, so both runs should prepare them alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Perceptual {
    /// Folder of the trained encoder: a run directory, whose first repeat is taken, or one of its
    /// repeats. Relative to where the program is run.
    pub bundle: PathBuf,
    /// Weight beside the loss of the file; above 0.
    pub weight: f32,
}

impl Perceptual {
    /// Checks the weight.
    pub(crate) fn check(&self) -> Result<()> {
        if self.weight > 0.0 && self.weight.is_finite() {
            return Ok(());
        }
        Err(Error::config("perceptual.weight", self.weight, "above 0"))
    }
}

/// An encoder that is looked through and not trained.
#[derive(Clone)]
pub(crate) struct Lens(Arc<dyn Autoencoder>);

impl fmt::Debug for Lens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lens({} columns to {})", self.0.n_features(), self.0.latent_dim())
    }
}

impl Lens {
    /// An encoder for samples of a width.
    ///
    /// # Errors
    /// [`Error::Config`] if it takes another.
    pub fn new(encoder: Arc<dyn Autoencoder>, n_features: usize) -> Result<Self> {
        let found = encoder.n_features();
        if found == n_features {
            return Ok(Lens(encoder));
        }
        let expected = format!("of one for {n_features}, as the prepared data have");
        Err(Error::config(
            "perceptual.bundle",
            format!("of an encoder for {found} columns"),
            expected,
        ))
    }

    /// Mean squared error of the activations, averaged over the layers.
    ///
    /// # Shapes
    /// - `image`, `target`: `(batch, n_features)`
    pub fn loss(&self, image: &Tensor, target: &Tensor) -> Result<Tensor> {
        for parameter in self.0.parameters() {
            if !parameter.tensor().device().same_device(image.device()) {
                parameter.move_to(image.device())?;
            }
        }
        for buffer in self.0.buffers() {
            if !buffer.tensor().device().same_device(image.device()) {
                buffer.move_to(image.device())?;
            }
        }
        // What the last backward pass left there is nobody's.
        self.0.parameters().iter().for_each(Parameter::clear_gradient);
        let (seen, wanted) = (self.0.hidden(image)?, self.0.hidden(target)?);
        let mut sum = Tensor::zeros((), image.dtype(), image.device())?;
        for (seen, wanted) in seen.iter().zip(&wanted) {
            sum = (sum + Loss::Mse.mean(seen, &wanted.detach())?)?;
        }
        Ok((sum / seen.len() as f64)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;
    use hourglass_core::{Matrix, SampleShape, Seed};
    use hourglass_nn::{backward, rows_of};
    use rand::RngExt;

    use super::*;
    use crate::{Context, ModelConfig, build};

    const SHAPE: SampleShape = SampleShape::Image { channels: 1, height: 7, width: 5 };

    fn rows(n: usize, seed: u64) -> Tensor {
        let mut rng = Seed::new(seed).rng();
        rows_of(Matrix::from_shape_simple_fn((n, 35), || rng.random::<f32>()).view()).unwrap()
    }

    fn encoder(text: &str) -> Arc<dyn Autoencoder> {
        Arc::from(build(&serde_json::from_str(text).unwrap(), &SHAPE, Seed::new(9)).unwrap())
    }

    const SMOOTH: &str = r#"{"undercomplete":
        {"latent_dim": 3, "hidden_dims": [6], "activation": "tanh"}}"#;

    #[test]
    fn gradients_agree_with_finite_differences() {
        let lens = Lens::new(encoder(SMOOTH), 35).unwrap();
        let (target, start) = (rows(2, 1), rows(2, 2).flatten_all().unwrap());
        let start = start.to_vec1::<f32>().unwrap();
        let at = |values: &[f32]| {
            let image = Tensor::from_slice(values, (2, 35), target.device()).unwrap();
            lens.loss(&image, &target).unwrap().to_scalar::<f32>().unwrap()
        };
        let image = Tensor::from_slice(&start, (2, 35), target.device()).unwrap();
        let image = Var::from_tensor(&image).unwrap();
        let gradients = lens.loss(&image, &target).unwrap().backward().unwrap();
        let gradient = gradients.get(&image).unwrap().flatten_all().unwrap();
        for (i, found) in gradient.to_vec1::<f32>().unwrap().into_iter().enumerate() {
            let (mut up, mut down) = (start.clone(), start.clone());
            up[i] += 1e-2;
            down[i] -= 1e-2;
            let numeric = (at(&up) - at(&down)) / 2e-2;
            assert!((found - numeric).abs() < 1e-3, "{i}: {found} {numeric}");
        }
        assert_eq!(at(&target.flatten_all().unwrap().to_vec1::<f32>().unwrap()), 0.0);
    }

    /// Every example with such a loss, where it takes one.
    fn with_perceptual() -> Vec<ModelConfig> {
        let with = |config: ModelConfig| {
            let mut value = serde_json::to_value(&config).ok()?;
            let own = value.as_object_mut()?.values_mut().next()?;
            own["perceptual"] = serde_json::json!({"bundle": "earlier", "weight": 0.5});
            serde_json::from_value::<ModelConfig>(value).ok()
        };
        ModelConfig::examples_for(&SHAPE).into_iter().filter_map(with).collect()
    }

    #[test]
    fn it_is_a_part_of_the_loss_and_leaves_the_encoder_as_it_is() {
        let configs = with_perceptual();
        let mut kinds: Vec<&str> = configs.iter().map(ModelConfig::kind).collect();
        kinds.dedup();
        assert_eq!(kinds.len(), 16, "all take it: {kinds:?}");
        let x = rows(9, 3);
        let encoder = encoder(SMOOTH);
        let values = |parameters: &[Parameter]| -> Vec<Vec<f32>> {
            parameters.iter().map(|parameter| parameter.values().unwrap()).collect()
        };
        let before = values(encoder.parameters());
        for config in configs {
            config.check(&Loss::Mse).unwrap();
            let name = config.kind();
            let mut model = build(&config, &SHAPE, Seed::new(4)).unwrap();
            let context = Context::train(100.25, 102, Seed::new(1));
            let loss = |model: &dyn Autoencoder| model.loss(&x, &x, &Loss::Mse, &context);
            let error = loss(model.as_ref()).unwrap_err();
            assert!(matches!(error, Error::NoLens), "{name}: {error}");
            model.look_through(encoder.clone()).unwrap();
            let of = loss(model.as_ref()).unwrap();
            let part = of.others.iter().find(|(name, _)| *name == "perceptual").unwrap();
            let part = part.1.to_scalar::<f32>().unwrap();
            assert!(part > 0.0 && part.is_finite(), "{name}: {part}");
            backward(&of.total, model.parameters()).unwrap();
            for parameter in model.parameters() {
                let gradient = parameter.gradient().unwrap_or_default();
                assert!(gradient.iter().any(|g| *g != 0.0), "{name} {}", parameter.name());
            }
            assert_eq!(values(encoder.parameters()), before, "{name}");
        }
    }

    #[test]
    fn any_model_can_be_looked_through() {
        let target = rows(9, 1);
        for config in ModelConfig::examples_for(&SHAPE) {
            let encoder: Arc<dyn Autoencoder> =
                Arc::from(build(&config, &SHAPE, Seed::new(2)).unwrap());
            let lens = Lens::new(encoder, 35).unwrap();
            let image = Var::from_tensor(&rows(9, 2)).unwrap();
            let gradients = lens.loss(&image, &target).unwrap().backward().unwrap();
            let gradient = gradients.get(&image).map(|g| g.flatten_all().unwrap());
            let gradient = gradient.map(|g| g.to_vec1::<f32>().unwrap()).unwrap_or_default();
            let is_there =
                gradient.iter().any(|g| *g != 0.0) && gradient.iter().all(|g| g.is_finite());
            // Codes change in jumps.
            let has_layers = config.kind() != "vq_vae";
            assert!(is_there || !has_layers, "{config:?}");
        }
    }

    #[test]
    fn an_encoder_that_does_not_fit_is_an_error() {
        let Err(error) = Lens::new(encoder(SMOOTH), 36) else { panic!("35 columns are not 36") };
        let error = error.to_string();
        assert!(error.contains("of an encoder for 35 columns"), "{error}");
        let mut model =
            build(&serde_json::from_str(SMOOTH).unwrap(), &SHAPE, Seed::new(1)).unwrap();
        assert!(model.look_through(encoder(SMOOTH)).is_err(), "none was asked for");
        let text = SMOOTH.replace("}}", r#", "perceptual": {"bundle": "x", "weight": 0.0}}}"#);
        let config: ModelConfig = serde_json::from_str(&text).unwrap();
        let error = config.check(&Loss::Mse).unwrap_err().to_string();
        assert!(error.contains("`perceptual.weight`"), "{error}");
    }
}
