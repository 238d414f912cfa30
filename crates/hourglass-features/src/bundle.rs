//! Everything that turns new rows into features: the fitted preprocessing, the description of the
//! model and its weights, in one folder.

use std::path::{Path, PathBuf};

use hourglass_core::{SampleShape, Seed};
use hourglass_models::{Autoencoder, ModelConfig, build};
use hourglass_nn::TensorFile;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const DESCRIPTION: &str = "model.json";
const WEIGHTS: &str = "weights.safetensors";

/// The description of a trained encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The architecture.
    pub model: ModelConfig,
    /// What a prepared row means.
    pub shape: SampleShape,
    /// The fitted preprocessing, as its own crate writes it.
    pub preprocessing: serde_json::Value,
}

impl Bundle {
    /// Writes description and weights into a folder that exists.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, folder: &Path, model: &dyn Autoencoder) -> Result<()> {
        let mut weights = TensorFile::default();
        weights.push_parameters(model.parameters())?;
        weights.push_buffers(model.buffers())?;
        weights.save(&folder.join(WEIGHTS))?;
        let path = folder.join(DESCRIPTION);
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|source| Error::Damaged { path: path.clone(), source })?;
        text.push('\n');
        std::fs::write(&path, text).map_err(|source| file("write", path, source))
    }

    /// Names of the files that make a bundle.
    pub fn files() -> [&'static str; 2] {
        [DESCRIPTION, WEIGHTS]
    }

    /// Reads a folder and builds the model with its trained weights.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Damaged`], or what the weights say.
    pub fn load(folder: &Path) -> Result<(Bundle, Box<dyn Autoencoder>)> {
        let path = folder.join(DESCRIPTION);
        let text =
            std::fs::read_to_string(&path).map_err(|source| file("read", path.clone(), source))?;
        let bundle: Bundle = serde_json::from_str(&text)
            .map_err(|source| Error::Damaged { path: path.clone(), source })?;
        // The seed doesn't matter: every value is replaced.
        let model = build(&bundle.model, &bundle.shape, Seed::new(0))?;
        let weights = TensorFile::load(&folder.join(WEIGHTS))?;
        weights.restore_parameters(model.parameters())?;
        weights.restore_buffers(model.buffers())?;
        Ok((bundle, model))
    }
}

fn file(action: &'static str, path: PathBuf, source: std::io::Error) -> Error {
    Error::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use hourglass_core::Matrix;
    use rand::RngExt;

    use super::*;
    use crate::{HiddenLayers, encode_all};

    #[test]
    fn a_loaded_bundle_encodes_as_the_saved_one() {
        let mut rng = Seed::new(3).rng();
        let rows = Matrix::from_shape_simple_fn((7, 10), || rng.random::<f32>());
        let shape = SampleShape::Vector { len: 10 };
        for config in ModelConfig::examples_for(&shape) {
            let shape = shape.clone();
            let model = build(&config, &shape, Seed::new(4)).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let preprocessing = serde_json::json!({"min_max": [0.0, 1.0]});
            let bundle = Bundle { model: config, shape, preprocessing };
            bundle.save(folder.path(), model.as_ref()).unwrap();
            let (loaded, restored) = Bundle::load(folder.path()).unwrap();
            assert_eq!(bundle, loaded);
            let encode =
                |model: &dyn Autoencoder| encode_all(model, rows.view(), HiddenLayers::Latent);
            assert_eq!(encode(model.as_ref()).unwrap(), encode(restored.as_ref()).unwrap());
            std::fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
            assert!(Bundle::load(folder.path()).is_err());
        }
    }
}
