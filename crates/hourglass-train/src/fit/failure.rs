//! What a loss that is no number means: where it came from, and ways out.

use candle_core::Tensor;

use super::Fit;
use crate::{Error, Result};

impl Fit<'_> {
    /// The error for a loss of a batch.
    pub(super) fn not_finite(
        &self,
        epoch: usize,
        step: usize,
        value: f64,
        input: &Tensor,
    ) -> Result<Error> {
        let place = self.first_not_finite(input)?;
        Ok(self.diverged(epoch, step, value, place))
    }

    /// The error for a number that was found in a place; epoch and step count from 0.
    pub(super) fn diverged(&self, epoch: usize, step: usize, value: f64, place: String) -> Error {
        let rate = self.config.optimizer.learning_rate();
        let mut hint = format!(
            "the learning rate {rate:e} may be too high (try `train.optimizer.{}.learning_rate = \
             {:e}`)",
            self.config.optimizer.name(),
            rate / 10.0
        );
        if self.config.clip_norm.is_none() {
            hint += ", or gradients explode (try `train.clip_norm = 1.0`)";
        }
        let (low, high) = self.range;
        if low.abs().max(high.abs()) > 10.0 {
            hint += &format!(
                ", or the inputs are not scaled: they reach from {low} to {high} (see \
                 `preprocess.numeric`)"
            );
        }
        Error::NotFinite { epoch: epoch + 1, step: step + 1, value: value as f32, place, hint }
    }

    /// The first tensor on the way from the input to the loss that isn't finite.
    fn first_not_finite(&self, input: &Tensor) -> Result<String> {
        let is_finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !is_finite(&input.flatten_all()?.to_vec1::<f32>()?) {
            return Ok("the input".to_owned());
        }
        for parameter in self.model.parameters() {
            if !is_finite(&parameter.values()?) {
                return Ok(format!("the parameter `{}`", parameter.name()));
            }
        }
        for (layer, activations) in self.model.hidden(input)?.iter().enumerate() {
            if !is_finite(&activations.flatten_all()?.to_vec1::<f32>()?) {
                return Ok(format!("the activations of layer `encoder.{layer}`"));
            }
        }
        let output = self.model.reconstruct(input)?.flatten_all()?.to_vec1::<f32>()?;
        if !is_finite(&output) {
            return Ok("the activations of the decoder".to_owned());
        }
        let largest = output.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        Ok(format!("the loss, since the reconstruction reaches {largest:e}"))
    }
}
