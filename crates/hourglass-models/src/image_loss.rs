//! What reconstructed images are compared by beside their pixels: structure or edges, with a weight
//! in the `[model]` table. How they are computed is in `hourglass_nn`.

use candle_core::Tensor;
use hourglass_core::SampleShape;
use hourglass_nn::{edge_loss, ms_ssim, ssim};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::maps::{MapSize, as_maps};
use crate::{Error, Result};

/// What images are compared by beside their pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ImageLoss {
    /// `1 - SSIM`, in `[0, 2]`; for sides of 11 or more. Wang et al., IEEE TIP 13(4), 2004.
    Ssim {
        /// Its weight beside the loss of the file; above 0.
        weight: f32,
        /// Difference between the highest and the lowest value of a pixel; above 0. Default: 1.
        #[serde(default = "one")]
        range: f32,
    },
    /// `1 - MS-SSIM`, in `[0, 1]`: the same on as many of five scales as leave sides of 11. Wang,
    /// Simoncelli, Bovik, Asilomar 2003.
    MsSsim {
        /// Its weight beside the loss of the file; above 0.
        weight: f32,
        /// Difference between the highest and the lowest value of a pixel; above 0. Default: 1.
        #[serde(default = "one")]
        range: f32,
    },
    /// Mean absolute error of the differences between neighbouring pixels. Mathieu, Couprie, LeCun,
    /// arXiv:1511.05440.
    Edges {
        /// Its weight beside the loss of the file; above 0.
        weight: f32,
    },
}

fn one() -> f32 {
    1.0
}

impl ImageLoss {
    /// The name of its part of the loss, its weight, and the least side of an image.
    fn facts(self) -> (&'static str, f32, usize) {
        match self {
            ImageLoss::Ssim { weight, .. } => ("ssim", weight, 11),
            ImageLoss::MsSsim { weight, .. } => ("ms_ssim", weight, 11),
            ImageLoss::Edges { weight } => ("edges", weight, 2),
        }
    }

    /// Checks weight and range.
    pub(crate) fn check(self) -> Result<()> {
        let (_, weight, _) = self.facts();
        if !(weight > 0.0 && weight.is_finite()) {
            return Err(Error::config("image_loss.weight", weight, "above 0"));
        }
        match self {
            ImageLoss::Ssim { range, .. } | ImageLoss::MsSsim { range, .. }
                if !(range > 0.0 && range.is_finite()) =>
            {
                Err(Error::config("image_loss.range", range, "above 0"))
            }
            _ => Ok(()),
        }
    }

    /// The name of its part of the loss, and the part with its weight, a scalar.
    ///
    /// # Shapes
    /// - `output`, `target`: `(batch, n_features)`, of images of this size
    pub(crate) fn part(
        self,
        output: &Tensor,
        target: &Tensor,
        image: MapSize,
    ) -> Result<(&'static str, Tensor)> {
        let (name, weight, _) = self.facts();
        let (output, target) = (as_maps(output, image)?, as_maps(target, image)?);
        let loss = match self {
            ImageLoss::Ssim { range, .. } => ssim(&output, &target, f64::from(range))?,
            ImageLoss::MsSsim { range, .. } => ms_ssim(&output, &target, f64::from(range))?,
            ImageLoss::Edges { .. } => edge_loss(&output, &target)?,
        };
        Ok((name, (loss * f64::from(weight))?))
    }
}

/// The size of samples that such a loss can compare.
///
/// # Errors
/// [`Error::Shape`] for images that are too small, and for anything else.
pub(crate) fn image_size(image_loss: ImageLoss, shape: &SampleShape) -> Result<MapSize> {
    let (name, _, least) = image_loss.facts();
    let found = match *shape {
        SampleShape::Image { channels, height, width } if height.min(width) >= least => {
            return Ok(MapSize { channels, size: [height, width] });
        }
        SampleShape::Image { height, width, .. } => format!("{height} x {width}"),
        _ => format!("rows of {} columns", shape.n_features()),
    };
    let (kind, hint) = ("image_loss", "another `image_loss`, or none".to_owned());
    let expected = format!("images of {least} x {least} or more for `{name}`");
    Err(Error::Shape { kind, expected, found, hint })
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, Seed};
    use hourglass_nn::{Activation, Loss, backward, rows_of};
    use rand::RngExt;

    use super::*;
    use crate::{Context, Convolutional, ModelConfig, build};

    const RANGE: f32 = 1.0;

    fn model_of(image_loss: ImageLoss) -> ModelConfig {
        ModelConfig::Convolutional(Convolutional {
            image_loss: Some(image_loss),
            output_activation: Activation::Sigmoid,
            ..Convolutional::new(vec![4], 6)
        })
    }

    #[test]
    fn each_is_a_part_of_the_loss_and_reaches_every_weight() {
        let shape = SampleShape::Image { channels: 1, height: 13, width: 11 };
        let mut rng = Seed::new(3).rng();
        let rows = Matrix::from_shape_simple_fn((9, 143), || rng.random::<f32>());
        let x = rows_of(rows.view()).unwrap();
        for (image_loss, name) in [
            (ImageLoss::Ssim { weight: 0.5, range: RANGE }, "ssim"),
            (ImageLoss::MsSsim { weight: 0.5, range: RANGE }, "ms_ssim"),
            (ImageLoss::Edges { weight: 0.5 }, "edges"),
        ] {
            for loss in [Loss::Mse, Loss::Bce] {
                let config = model_of(image_loss);
                config.check(&loss).unwrap();
                let model = build(&config, &shape, Seed::new(4)).unwrap();
                let of = model.loss(&x, &x, &loss, &Context::evaluate(Seed::new(1))).unwrap();
                let [(found, part)] = &of.others[..] else { panic!("{:?}", of.others) };
                assert_eq!(*found, name);
                // What a reader may do by hand with the reconstruction.
                let image = MapSize::of(&shape, "convolutional").unwrap();
                let output = model.reconstruct(&x).unwrap();
                let (_, expected) = image_loss.part(&output, &x, image).unwrap();
                let [part, expected] =
                    [part, &expected].map(|tensor| tensor.to_scalar::<f32>().unwrap());
                assert!((part - expected).abs() < 1e-6 && part > 0.0, "{name}: {part} {expected}");
                backward(&of.total, model.parameters()).unwrap();
                for parameter in model.parameters() {
                    let gradient = parameter.gradient().unwrap();
                    assert!(gradient.iter().any(|g| *g != 0.0), "{name} {}", parameter.name());
                }
            }
        }
    }

    #[test]
    fn every_model_of_images_takes_one() {
        let shape = SampleShape::Image { channels: 2, height: 6, width: 5 };
        let mut rng = Seed::new(3).rng();
        let rows = Matrix::from_shape_simple_fn((9, 60), || rng.random::<f32>());
        let x = rows_of(rows.view()).unwrap();
        let mut n_kinds = std::collections::BTreeSet::new();
        for config in ModelConfig::examples_for(&shape) {
            let mut value = serde_json::to_value(&config).unwrap();
            let own = value.as_object_mut().unwrap().values_mut().next().unwrap();
            own["image_loss"] = serde_json::json!({"edges": {"weight": 0.5}});
            let Ok(config) = serde_json::from_value::<ModelConfig>(value) else { continue };
            n_kinds.insert(config.kind());
            let model = build(&config, &shape, Seed::new(4)).unwrap();
            let context = Context::train(100.25, 102, Seed::new(1));
            let of = model.loss(&x, &x, &Loss::Mse, &context).unwrap();
            let part = of.others.iter().find(|(name, _)| *name == "edges").unwrap();
            assert!(part.1.to_scalar::<f32>().unwrap() > 0.0, "{}", config.kind());
            backward(&of.total, model.parameters()).unwrap();
            for parameter in model.parameters() {
                let gradient = parameter.gradient().unwrap_or_default();
                assert!(gradient.iter().any(|g| *g != 0.0), "{config:?} {}", parameter.name());
            }
            let table = build(&config, &SampleShape::Vector { len: 60 }, Seed::new(1));
            assert!(table.is_err(), "{}", config.kind());
        }
        assert_eq!(n_kinds.len(), 16, "all: {n_kinds:?}");
    }

    #[test]
    fn images_that_are_too_small_are_an_error() {
        let shape = SampleShape::Image { channels: 1, height: 8, width: 12 };
        let build = |image_loss| build(&model_of(image_loss), &shape, Seed::new(1));
        assert!(build(ImageLoss::Edges { weight: 1.0 }).is_ok());
        let Err(error) = build(ImageLoss::Ssim { weight: 1.0, range: RANGE }) else {
            panic!("a window of 11 doesn't fit into 8 pixels");
        };
        let error = error.to_string();
        assert!(error.contains("images of 11 x 11 or more for `ssim`"), "{error}");
    }

    #[test]
    fn wrong_values_are_named() {
        for (image_loss, key) in [
            (ImageLoss::Edges { weight: 0.0 }, "`image_loss.weight`"),
            (ImageLoss::Ssim { weight: 1.0, range: -1.0 }, "`image_loss.range`"),
        ] {
            let error = model_of(image_loss).check(&Loss::Mse).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
