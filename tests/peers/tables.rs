//! Tables of numbers and categories, from the file to matrices.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use hourglass_core::{Interrupt, Seed, Silent};
use hourglass_data::{DataConfig, Locations, PreprocessConfig, SplitConfig, load, prepare};

use crate::{Measured, Round};

/// As the script does it: the median for numbers, the most frequent level for words.
const PREPROCESS: &str = r#"{
    "missing": { "fill": "median" },
    "numeric": "standard",
    "columns": {
        "workclass": { "fill": "most_frequent" },
        "occupation": { "fill": "most_frequent" },
        "native-country": { "fill": "most_frequent" }
    }
}"#;

/// Adult: both files read, split, filled, encoded, scaled.
pub fn adult() -> Result<Round> {
    let data: DataConfig = serde_json::from_str(r#"{ "catalog": { "name": "adult" } }"#)?;
    let split: SplitConfig = serde_json::from_str(r#"{ "validation": 0.1 }"#)?;
    let preprocess: PreprocessConfig = serde_json::from_str(PREPROCESS)?;
    let locations = Locations::usual(None, true);
    Ok(Box::new(move || {
        let start = Instant::now();
        let (seed, interrupt) = (Seed::new(1), Interrupt::new());
        let loaded = load(&data, Path::new("."), &locations, seed, &Silent, &interrupt)
            .context("needs Adult")?;
        let prepared = prepare(&loaded, &split, &preprocess, seed, 0)?;
        let seconds = start.elapsed().as_secs_f64();
        let n_values = prepared.samples.features.len();
        Ok(Measured { value: seconds, loss: Some(n_values as f64) })
    }))
}
