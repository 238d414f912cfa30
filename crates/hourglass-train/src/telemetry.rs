//! What each epoch measured, one JSON object a line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use hourglass_nn::Parameter;
use serde::Serialize;

use crate::{EpochRecord, Error, Result};

/// One line of the file.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: &'a EpochRecord,
    /// Euclidean norm of each parameter.
    weight_norms: BTreeMap<&'a str, f64>,
    seconds: f64,
    samples_per_second: f64,
}

/// Appends to a telemetry file.
pub(crate) struct Telemetry {
    file: File,
    path: PathBuf,
}

impl Telemetry {
    /// Opens the file; a run that resumes goes on at its end.
    pub fn open(path: &Path, resumes: bool) -> Result<Self> {
        let mut options = File::options();
        options.create(true).append(true);
        if !resumes && path.exists() {
            std::fs::remove_file(path).map_err(|source| failed(path, source))?;
        }
        let file = options.open(path).map_err(|source| failed(path, source))?;
        Ok(Telemetry { file, path: path.to_owned() })
    }

    pub fn write(
        &mut self,
        record: &EpochRecord,
        parameters: &[Parameter],
        seconds: f64,
        n_samples: usize,
    ) -> Result<()> {
        let mut weight_norms = BTreeMap::new();
        for parameter in parameters {
            let squares = parameter.values()?.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
            weight_norms.insert(parameter.name(), squares.sqrt());
        }
        let samples_per_second = n_samples as f64 / seconds.max(1e-9);
        let line = Line { record, weight_norms, seconds, samples_per_second };
        let mut text = serde_json::to_string(&line)
            .map_err(|e| failed(&self.path, std::io::Error::other(e)))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Telemetry { path: path.to_owned(), source }
}
