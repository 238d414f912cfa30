//! The rows that works are measured on: the 60,000 training images of MNIST, in [0, 1].

use std::path::Path;

use anyhow::{Context, Result};
use hourglass_core::{Interrupt, Matrix, Seed, Silent, Targets};
use hourglass_data::{DataConfig, Locations, load};

use crate::Place;

/// Images and their classes.
pub struct Rows {
    pub images: Matrix,
    pub classes: Vec<u32>,
}

/// Reads MNIST from the data folders; it is not downloaded.
pub fn mnist() -> Result<Rows> {
    let config: DataConfig = serde_json::from_str(r#"{ "catalog": { "name": "mnist" } }"#)?;
    let locations = Locations::usual(None, true);
    let seed = Seed::new(1);
    let loaded = load(&config, Path::new("."), &locations, seed, &Silent, &Interrupt::new())
        .context("needs MNIST")?;
    let mut images = loaded.train.features.to_matrix();
    images /= 255.0;
    match loaded.train.targets {
        Targets::Classes { ids, .. } => Ok(Rows { images, classes: ids }),
        _ => anyhow::bail!("MNIST has no classes"),
    }
}

impl Place {
    pub fn write_floats(&self, name: &str, values: impl IntoIterator<Item = f32>) -> Result<()> {
        self.write(name, values, f32::to_le_bytes)
    }
}
