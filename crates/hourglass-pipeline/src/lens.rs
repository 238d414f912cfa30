//! The encoder of an earlier run in whose features a `perceptual` loss compares: where it lies,
//! what it is known by, and who is given it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hourglass_features::Bundle;
use hourglass_models::{Autoencoder, ModelConfig};
use serde_json::{Value, json};

use crate::error::Error;
use crate::run_folder::repeat_name;

/// The folder of the bundle: the one that is named, or the first repeat of a run directory.
fn folder_of(named: &Path) -> PathBuf {
    let repeat = named.join(repeat_name(0));
    if repeat.is_dir() { repeat } else { named.to_owned() }
}

/// What decides how the encoder of a model's perceptual loss sees, for the key of its training;
/// `None` where there is no such loss.
pub(crate) fn content(config: &ModelConfig) -> Option<Value> {
    let folder = folder_of(&config.perceptual()?.bundle);
    let files = Bundle::files().map(|name| std::fs::read(folder.join(name)).ok());
    // Of what isn't there yet only the training speaks.
    Some(json!(files.map(|file| file.map(|bytes| blake3::hash(&bytes).to_hex().to_string()))))
}

/// Gives a model the encoder that its perceptual loss asks for, if it does.
pub(crate) fn give(config: &ModelConfig, model: &mut dyn Autoencoder) -> Result<(), Error> {
    if let Some(perceptual) = config.perceptual() {
        let (_, encoder) = Bundle::load(&folder_of(&perceptual.bundle))?;
        model.look_through(Arc::from(encoder))?;
    }
    Ok(())
}

/// The trained model of a folder, ready to be judged as it was trained.
pub(crate) fn load_trained(
    config: &ModelConfig,
    folder: &Path,
) -> Result<Box<dyn Autoencoder>, Error> {
    let (_, mut model) = Bundle::load(folder)?;
    give(config, model.as_mut())?;
    Ok(model)
}
