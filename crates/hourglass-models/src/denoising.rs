//! Denoising autoencoder: reconstructs the clean sample from a corrupted one.
//!
//! Source: Vincent et al., "Extracting and Composing Robust Features with Denoising Autoencoders",
//! ICML 2008. Differs from the paper: any depth, activation and loss. The emphasis on what was
//! corrupted: Vincent et al., "Stacked Denoising Autoencoders", JMLR 11, 2010, section 4.2.

use hourglass_nn::{Activation, Corruption};

use crate::mlp::{Constraint, Layers, MlpArchitecture, mlp_config};
use crate::{Error, Result};

mlp_config! {
    /// Hyperparameters of the denoising autoencoder; the latent is rectified by default.
    Denoising {
        /// What is done to the input during training.
        corruption: Corruption,
        /// Weight of a corrupted value in the loss, beside 1 for the others; above 0. A value is
        /// corrupted where it differs from the clean one, a category of a table where one of its
        /// levels does. Default: 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emphasis: Option<f32>,
    }
}

impl Denoising {
    pub(crate) fn examples() -> Vec<Self> {
        let plain = Denoising::new(40, Corruption::Masking { share: 0.1 }, None);
        vec![plain.clone(), Denoising { emphasis: Some(3.0), ..plain }]
    }
}

impl MlpArchitecture for Denoising {
    fn layers(&self) -> Layers {
        let shared = self.shared_layers(Activation::Relu, Some(self.corruption));
        Layers { emphasis: self.emphasis, ..shared }
    }

    fn constraint(&self) -> Constraint {
        Constraint::Width
    }

    fn check_own(&self) -> Result<()> {
        check_emphasis(self.emphasis)
    }
}

/// That a weight of what was corrupted is above 0.
pub(crate) fn check_emphasis(emphasis: Option<f32>) -> Result<()> {
    match emphasis {
        Some(weight) if !(weight > 0.0 && weight.is_finite()) => {
            Err(Error::config("emphasis", weight, "above 0"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use hourglass_core::{SampleShape, Seed};
    use hourglass_nn::Loss;

    use super::*;
    use crate::{Context, ModelConfig, build};

    #[test]
    fn what_was_corrupted_counts_more() {
        let shape = SampleShape::Vector { len: 4 };
        let clean = Tensor::new(&[[0.2_f32, 0.4, 0.6, 0.8], [0.1, 0.3, 0.5, 0.7]], &Device::Cpu);
        let seen = Tensor::new(&[[0.0_f32, 0.4, 0.6, 0.0], [0.1, 0.0, 0.5, 0.7]], &Device::Cpu);
        let (clean, seen) = (clean.unwrap(), seen.unwrap());
        for (loss, output_activation) in
            [(Loss::Mse, Activation::Linear), (Loss::Bce, Activation::Sigmoid)]
        {
            let of = |emphasis| {
                let config = Denoising {
                    output_activation,
                    ..Denoising::new(5, Corruption::Masking { share: 0.5 }, emphasis)
                };
                let model = build(&ModelConfig::Denoising(config), &shape, Seed::new(1)).unwrap();
                let of = model.loss(&seen, &clean, &loss, &Context::train(0.0, 1, Seed::new(2)));
                let output = model.reconstruct(&seen).unwrap().to_vec2::<f32>().unwrap();
                (of.unwrap().total.to_scalar::<f32>().unwrap(), output)
            };
            let (found, output) = of(Some(3.0));
            let (mut sum, mut weights) = (0.0, 0.0);
            let (clean, seen) = (clean.to_vec2::<f32>().unwrap(), seen.to_vec2::<f32>().unwrap());
            for (row, column) in (0..2).flat_map(|row| (0..4).map(move |column| (row, column))) {
                let (y, x) = (output[row][column], clean[row][column]);
                let weight = if seen[row][column] == x { 1.0 } else { 3.0 };
                sum += weight
                    * match loss {
                        Loss::Bce => -x * y.ln() - (1.0 - x) * (1.0 - y).ln(),
                        _ => (y - x) * (y - x),
                    };
                weights += weight;
            }
            assert!((found - sum / weights).abs() < 1e-5, "{loss:?}: {found} {}", sum / weights);
            let (plain, even) = (of(None).0, of(Some(1.0)).0);
            assert!((plain - even).abs() < 1e-5 && (plain - found).abs() > 1e-4, "{plain} {even}");
        }
    }

    #[test]
    fn a_wrong_emphasis_is_named() {
        let config = Denoising::new(5, Corruption::Masking { share: 0.5 }, Some(0.0));
        let error = ModelConfig::Denoising(config).check(&Loss::Mse).unwrap_err().to_string();
        assert!(error.contains("`emphasis`"), "{error}");
    }
}
