//! Named tensors with metadata in one safetensors file, written whole or not at all.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::{Buffer, Error, Parameter, Result};

/// A tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// Its path in the model or in the training state.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TensorFile {
    /// Anything that isn't a tensor, as text.
    pub metadata: BTreeMap<String, String>,
    /// The tensors, by name.
    pub tensors: Vec<NamedTensor>,
}

impl TensorFile {
    /// Adds the values of parameters under their names.
    ///
    /// # Errors
    /// If candle can't read a tensor.
    pub fn push_parameters(&mut self, parameters: &[Parameter]) -> Result<()> {
        for parameter in parameters {
            self.tensors.push(NamedTensor {
                name: parameter.name().to_owned(),
                shape: parameter.tensor().dims().to_vec(),
                values: parameter.values()?,
            });
        }
        Ok(())
    }

    /// Adds the values of buffers under their names.
    ///
    /// # Errors
    /// If candle can't read a tensor.
    pub fn push_buffers(&mut self, buffers: &[Buffer]) -> Result<()> {
        for buffer in buffers {
            self.tensors.push(NamedTensor {
                name: buffer.name().to_owned(),
                shape: buffer.tensor().dims().to_vec(),
                values: buffer.values()?,
            });
        }
        Ok(())
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&NamedTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Sets parameters to the values under their names.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] if one is missing or has another shape.
    pub fn restore_parameters(&self, parameters: &[Parameter]) -> Result<()> {
        for parameter in parameters {
            let tensor = self.find(parameter.name(), parameter.tensor().dims())?;
            parameter.set_values(&tensor.values)?;
        }
        Ok(())
    }

    /// Sets buffers to the values under their names.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] if one is missing or has another shape.
    pub fn restore_buffers(&self, buffers: &[Buffer]) -> Result<()> {
        for buffer in buffers {
            let tensor = self.find(buffer.name(), buffer.tensor().dims())?;
            buffer.set_values(&tensor.values)?;
        }
        Ok(())
    }

    /// The tensor of a name, if it has this shape.
    fn find(&self, name: &str, shape: &[usize]) -> Result<&NamedTensor> {
        let mismatch = |found| Error::StateMismatch {
            name: name.to_owned(),
            expected: format!("shape {shape:?}"),
            found,
        };
        let tensor = self.get(name).ok_or_else(|| mismatch("nothing".to_owned()))?;
        if tensor.shape != shape {
            return Err(mismatch(format!("shape {:?}", tensor.shape)));
        }
        Ok(tensor)
    }

    /// Writes the file beside its place and renames it in.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes: Vec<Vec<u8>> = self
            .tensors
            .iter()
            .map(|tensor| tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let views = self
            .tensors
            .iter()
            .zip(&bytes)
            .map(|(tensor, bytes)| {
                let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
                Ok((tensor.name.clone(), view.map_err(|e| damaged(path, &e))?))
            })
            .collect::<Result<Vec<_>>>()?;
        // One key alone keeps the bytes of the file apart from the order of a hash map.
        let metadata = serde_json::to_string(&self.metadata).map_err(|e| damaged(path, &e))?;
        let metadata = HashMap::from([("hourglass".to_owned(), metadata)]);
        let content =
            safetensors::serialize(views, Some(metadata)).map_err(|e| damaged(path, &e))?;
        let partial = partial_path(path);
        let written = std::fs::write(&partial, content)
            .and_then(|()| std::fs::rename(&partial, path))
            .inspect_err(|_| drop(std::fs::remove_file(&partial)));
        written.map_err(|source| Error::File { action: "write", path: path.to_owned(), source })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`] if it can't be read, [`Error::Damaged`] if it is not whole.
    pub fn load(path: &Path) -> Result<Self> {
        let content = std::fs::read(path).map_err(|source| Error::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        let file = SafeTensors::deserialize(&content).map_err(|e| damaged(path, &e))?;
        let (_, header) = SafeTensors::read_metadata(&content).map_err(|e| damaged(path, &e))?;
        let metadata = header.metadata().as_ref().and_then(|map| map.get("hourglass"));
        let metadata = match metadata {
            Some(text) => serde_json::from_str(text).map_err(|e| damaged(path, &e))?,
            None => BTreeMap::new(),
        };
        let mut tensors = Vec::with_capacity(file.len());
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(damaged(path, &format!("`{name}` is {:?}", view.dtype())));
            }
            let (values, _) = view.data().as_chunks::<4>();
            tensors.push(NamedTensor {
                name: name.to_owned(),
                shape: view.shape().to_vec(),
                values: values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            });
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(TensorFile { metadata, tensors })
    }
}

fn damaged(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::Damaged { path: path.to_owned(), reason: reason.to_string() }
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let parameter = Parameter::new("a", vec![1.0, 2.0, f32::MIN_POSITIVE], &[3], true).unwrap();
        let mut file = TensorFile::default();
        file.metadata.insert("epoch".to_owned(), "3".to_owned());
        file.push_parameters(std::slice::from_ref(&parameter)).unwrap();
        let buffer = Buffer::new("b", vec![4.0, 5.0], &[1, 2]).unwrap();
        file.push_buffers(std::slice::from_ref(&buffer)).unwrap();
        file.save(&path).unwrap();
        let loaded = TensorFile::load(&path).unwrap();
        assert_eq!(loaded, file);
        parameter.set_values(&[0.0; 3]).unwrap();
        loaded.restore_parameters(std::slice::from_ref(&parameter)).unwrap();
        assert_eq!(parameter.values().unwrap(), [1.0, 2.0, f32::MIN_POSITIVE]);
        buffer.set_values(&[0.0; 2]).unwrap();
        loaded.restore_buffers(std::slice::from_ref(&buffer)).unwrap();
        assert_eq!(buffer.values().unwrap(), [4.0, 5.0]);
        let other = Parameter::new("a", vec![0.0; 4], &[4], true).unwrap();
        let error = loaded.restore_parameters(&[other]).unwrap_err().to_string();
        assert_eq!(error, "the saved state has shape [3] for `a`, but the model needs shape [4]");
        std::fs::write(&path, b"half").unwrap();
        assert!(matches!(TensorFile::load(&path), Err(Error::Damaged { .. })));
        assert!(matches!(file.save(Path::new("/nowhere/w")), Err(Error::File { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file");
    }
}
