//! A named tensor that belongs to a model but is not trained: running statistics, a codebook and
//! its counts. It has no gradient and no optimiser touches it.

use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// State that is not trained. Clones share it.
///
/// Setting it replaces the tensor, so that what was computed from the old values keeps them, and a
/// backward pass that comes later sees what its forward pass saw.
#[derive(Clone, Debug)]
pub struct Buffer {
    name: String,
    tensor: Arc<Mutex<Tensor>>,
}

impl Buffer {
    /// A buffer with these values on the CPU.
    ///
    /// # Errors
    /// If the shape does not fit the values.
    pub fn new(name: impl Into<String>, values: Vec<f32>, shape: &[usize]) -> Result<Self> {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        Ok(Buffer { name: name.into(), tensor: Arc::new(Mutex::new(tensor)) })
    }

    /// Its path in the model, such as `encoder.0.running_mean`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tensor as it is now.
    pub fn tensor(&self) -> Tensor {
        self.lock().clone()
    }

    /// A copy of the values, row-major.
    ///
    /// # Errors
    /// If candle can't read the tensor.
    pub fn values(&self) -> Result<Vec<f32>> {
        Ok(self.tensor().flatten_all()?.to_vec1()?)
    }

    /// Replaces the values.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] if the number of values differs.
    pub fn set_values(&self, values: &[f32]) -> Result<()> {
        let old = self.tensor();
        if values.len() != old.elem_count() {
            return Err(self.mismatch(
                format!("{} values", old.elem_count()),
                format!("{} values", values.len()),
            ));
        }
        *self.lock() = Tensor::from_slice(values, old.shape(), old.device())?;
        Ok(())
    }

    /// Replaces the tensor; no gradient flows through it.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] if the shape differs.
    pub fn set(&self, tensor: &Tensor) -> Result<()> {
        let mut old = self.lock();
        if tensor.shape() != old.shape() {
            return Err(self.mismatch(
                format!("shape {:?}", old.dims()),
                format!("shape {:?}", tensor.dims()),
            ));
        }
        *old = tensor.detach();
        Ok(())
    }

    /// Moves it to a device, for this buffer and its clones.
    ///
    /// # Errors
    /// If candle can't copy to the device.
    pub fn move_to(&self, device: &Device) -> Result<()> {
        let moved = self.tensor().to_device(device)?;
        *self.lock() = moved;
        Ok(())
    }

    fn mismatch(&self, expected: String, found: String) -> Error {
        Error::StateMismatch { name: self.name.clone(), expected, found }
    }

    fn lock(&self) -> MutexGuard<'_, Tensor> {
        self.tensor.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_and_old_tensors_keep_their_values() {
        let buffer = Buffer::new("mean", vec![1.0, 2.0], &[2]).unwrap();
        let (clone, before) = (buffer.clone(), buffer.tensor());
        buffer.set_values(&[3.0, 4.0]).unwrap();
        assert_eq!(clone.values().unwrap(), [3.0, 4.0]);
        assert_eq!(before.to_vec1::<f32>().unwrap(), [1.0, 2.0]);
        clone.set(&before).unwrap();
        assert_eq!(buffer.values().unwrap(), [1.0, 2.0]);
        let error = buffer.set(&before.reshape((1, 2)).unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            "the saved state has shape [1, 2] for `mean`, but the model needs shape [2]"
        );
        assert!(buffer.set_values(&[1.0]).is_err());
    }
}
