//! Normalisation that trains: one pass forward, one backward, with the gradients of scale and shift
//! in their parameters.

mod batch;
mod layer;

use candle_core::Tensor;

use crate::{Parameter, Result};

pub use self::batch::BatchNorm;
pub use self::layer::LayerNorm;

/// Added to variances; the papers leave it open, PyTorch and most others take this.
const EPSILON: f64 = 1e-5;

/// Values that one task handles.
const CHUNK: usize = 1 << 14;

fn inverse_root(variance: f64) -> f32 {
    (1.0 / (variance + EPSILON).sqrt()) as f32
}

/// A scale and a shift, each with one value a channel or a feature. Weight decay applies to
/// neither.
#[derive(Clone, Debug)]
struct Affine {
    scale: Parameter,
    shift: Parameter,
}

impl Affine {
    fn new(name: &str, n: usize) -> Result<Self> {
        Ok(Affine {
            scale: Parameter::new(format!("{name}.scale"), vec![1.0; n], &[n], false)?,
            shift: Parameter::new(format!("{name}.shift"), vec![0.0; n], &[n], false)?,
        })
    }

    /// Scales and shifts `centred / root(variance + epsilon)`, out of candle's operations.
    fn composed(&self, centred: &Tensor, variance: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; centred.rank()];
        shape[1] = self.scale.len();
        let normal = centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?;
        let scaled = normal.broadcast_mul(&self.scale.tensor().reshape(&shape[..])?)?;
        Ok(scaled.broadcast_add(&self.shift.tensor().reshape(&shape[..])?)?)
    }

    /// Adds gradients to the buffers of both.
    fn accumulate(&self, scale: &[f64], shift: &[f64]) {
        for (parameter, gradient) in [(&self.scale, scale), (&self.shift, shift)] {
            let mut buffer = parameter.lock();
            let keep = buffer.keep();
            for (value, &gradient) in buffer.values.iter_mut().zip(gradient) {
                let before = if keep == 0.0 { 0.0 } else { *value };
                *value = before + gradient as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests;
