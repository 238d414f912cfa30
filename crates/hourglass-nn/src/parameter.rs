//! A trainable tensor that owns the buffer of its gradient. It knows no layer and no optimiser.

use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Tensor, Var};
use rayon::prelude::*;

use crate::simd::{add_scaled, sum_map, wide};
use crate::storage::with_slice;
use crate::units::Units;
use crate::{Error, Result};

/// Values that one task sums.
const CHUNK: usize = 1 << 16;

/// A trainable tensor with its gradient.
///
/// candle sums every gradient into a fresh zero tensor; the fused operations of this crate write
/// into this buffer instead and return nothing to candle. Clones share both, and move to another
/// device together.
#[derive(Clone, Debug)]
pub struct Parameter {
    name: String,
    var: Arc<Mutex<Var>>,
    n_values: usize,
    gradient: Arc<Mutex<Gradient>>,
    decays: bool,
    unit_axis: usize,
}

/// The gradient buffer: `is_set` says whether this step has written it yet.
#[derive(Debug)]
pub(crate) struct Gradient {
    pub values: Vec<f32>,
    pub is_set: bool,
}

impl Gradient {
    /// 0 the first time in a step (overwrite), 1 afterwards (add).
    pub fn keep(&mut self) -> f32 {
        f32::from(u8::from(std::mem::replace(&mut self.is_set, true)))
    }
}

impl Parameter {
    /// A parameter with these values on the CPU; weight decay applies to it if `decays`.
    ///
    /// # Errors
    /// If the shape does not fit the values.
    pub fn new(
        name: impl Into<String>,
        values: Vec<f32>,
        shape: &[usize],
        decays: bool,
    ) -> Result<Self> {
        let n_values = values.len();
        let gradient = Gradient { values: vec![0.0; n_values], is_set: false };
        let var = Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        Ok(Parameter {
            name: name.into(),
            var: Arc::new(Mutex::new(var)),
            n_values,
            gradient: Arc::new(Mutex::new(gradient)),
            decays,
            unit_axis: 0,
        })
    }

    /// The same with its units (the outputs of its layer) along another axis than the first.
    pub fn with_units_along(mut self, axis: usize) -> Self {
        self.unit_axis = axis;
        self
    }

    /// Its path in the model, such as `encoder.0.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tensor, as a variable of candle's; it shares the parameter's memory.
    pub fn tensor(&self) -> Tensor {
        self.var().into_inner()
    }

    /// Moves values to a device, for this parameter and its clones.
    ///
    /// Weights are drawn on the CPU, so that a seed gives the same ones everywhere. Gradients stay
    /// there, and so does what optimisers remember: on another device, each step fetches the
    /// gradients and sends the weights.
    ///
    /// # Errors
    /// If candle can't copy to the device.
    pub fn move_to(&self, device: &Device) -> Result<()> {
        let moved = Var::from_tensor(&self.tensor().detach().to_device(device)?)?;
        *self.var.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = moved;
        Ok(())
    }

    pub(crate) fn var(&self) -> Var {
        self.var.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Whether weight decay applies: to weights, not to biases.
    pub fn decays(&self) -> bool {
        self.decays
    }

    /// How its values belong to the units of its layer: see [`Units`].
    pub fn units(&self) -> Units {
        Units::new(self.tensor().dims(), self.unit_axis)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.n_values
    }

    /// Whether it holds no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the values, row-major.
    ///
    /// # Errors
    /// If candle can't read the tensor.
    pub fn values(&self) -> Result<Vec<f32>> {
        Ok(self.var().flatten_all()?.to_vec1()?)
    }

    /// Replaces the values.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] if the number of values differs.
    pub fn set_values(&self, values: &[f32]) -> Result<()> {
        if values.len() != self.len() {
            return Err(Error::StateMismatch {
                name: self.name.clone(),
                expected: format!("{} values", self.len()),
                found: format!("{} values", values.len()),
            });
        }
        self.modify(|old| old.copy_from_slice(values))
    }

    /// Euclidean norm of the values, and of their difference from earlier ones.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] if the number of values differs.
    pub fn norm_and_distance(&self, earlier: &[f32]) -> Result<(f64, f64)> {
        let values = self.values()?;
        if values.len() != earlier.len() {
            return Err(Error::StateMismatch {
                name: self.name.clone(),
                expected: format!("{} values", values.len()),
                found: format!("{} values", earlier.len()),
            });
        }
        let sums: Vec<(f64, f64)> = values
            .par_chunks(CHUNK)
            .zip(earlier.par_chunks(CHUNK))
            .map(|(now, before)| {
                wide(|| {
                    let difference = |a: f32, b: f32| (a - b) * (a - b);
                    (sum_map(now, now, |a, b| a * b), sum_map(now, before, difference))
                })
            })
            .collect();
        let sum = |of: fn(&(f64, f64)) -> f64| sums.iter().map(of).sum::<f64>().sqrt();
        Ok((sum(|both| both.0), sum(|both| both.1)))
    }

    /// A copy of this step's gradient, or `None` if the last backward pass did not reach it.
    pub fn gradient(&self) -> Option<Vec<f32>> {
        let gradient = self.lock();
        gradient.is_set.then(|| gradient.values.clone())
    }

    /// Whether the last backward pass reached it.
    pub fn has_gradient(&self) -> bool {
        self.lock().is_set
    }

    /// Forgets the gradient, so that the next backward pass overwrites it.
    pub fn clear_gradient(&self) {
        self.lock().is_set = false;
    }

    /// Adds a gradient that candle worked out to what this step holds already.
    ///
    /// # Shapes
    /// - `addend`: that of the parameter
    pub(crate) fn add_gradient(&self, addend: &Tensor) -> Result<()> {
        let addend = addend.to_device(&Device::Cpu)?;
        let mut gradient = self.lock();
        let keep = gradient.keep();
        with_slice(&addend, |addend| {
            if keep == 0.0 {
                gradient.values.copy_from_slice(addend);
            } else {
                add_scaled(&mut gradient.values, 1.0, addend);
            }
        })?;
        Ok(())
    }

    /// Calls `f` with the values, in place, and with the gradient (zeros where none is set).
    pub(crate) fn update(&self, f: impl FnOnce(&mut [f32], &mut [f32])) -> Result<()> {
        let mut gradient = self.lock();
        if !gradient.is_set {
            gradient.values.fill(0.0);
        }
        self.modify(|values| f(values, &mut gradient.values))
    }

    /// Calls `f` with the values, in place; the gradient stays as it is.
    pub(crate) fn modify(&self, f: impl FnOnce(&mut [f32])) -> Result<()> {
        let var = self.var();
        if var.device().is_cpu() {
            return Ok(var.inplace_op1(&InPlace(Mutex::new(Some(f))))?);
        }
        let mut values = self.values()?;
        f(&mut values);
        Ok(var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Gradient> {
        // A poisoned lock means that another thread panicked; its numbers are as good as any.
        self.gradient.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// candle hands out mutable storage to in-place operations only.
struct InPlace<F>(Mutex<Option<F>>);

impl<F: FnOnce(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "hourglass-in-place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(values) = storage else { candle_core::bail!("parameters are f32") };
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("parameters are contiguous")
        };
        let taken = self.0.lock().ok().and_then(|mut slot| slot.take());
        if let Some(f) = taken {
            f(&mut values[start..end]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norm_and_distance_are_euclidean() {
        let parameter = Parameter::new("w", vec![3.0, 4.0], &[2], true).unwrap();
        assert_eq!(parameter.norm_and_distance(&[3.0, 0.0]).unwrap(), (5.0, 4.0));
        assert!(parameter.norm_and_distance(&[3.0]).is_err());
    }

    #[test]
    fn values_are_replaced_in_place_and_clones_see_it() {
        let parameter = Parameter::new("w", vec![1.0, 2.0], &[2], true).unwrap();
        let clone = parameter.clone();
        parameter.set_values(&[3.0, 4.0]).unwrap();
        assert_eq!(clone.values().unwrap(), [3.0, 4.0]);
        let error = parameter.set_values(&[1.0]).unwrap_err().to_string();
        assert_eq!(error, "the saved state has 1 values for `w`, but the model needs 2 values");
    }
}
