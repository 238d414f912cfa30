//! What each epoch measured, one JSON object a line, for people, plots and whoever diagnoses a run.
//!
//! The types of a line are in [`record`], how it is measured in [`measure`]. Nothing here decides
//! anything: a run with telemetry has the same weights as one without.

pub(crate) mod measure;
mod record;

pub use record::{EpochTelemetry, LatentTelemetry, LayerTelemetry, ParameterTelemetry};

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Appends to a telemetry file.
pub(crate) struct TelemetryFile {
    file: File,
    path: PathBuf,
}

impl TelemetryFile {
    /// Opens the file with the lines of the epochs done so far; what a killed run wrote after its
    /// last checkpoint is cut off, since those epochs are run again.
    pub fn open(path: &Path, epochs_done: usize) -> Result<Self> {
        let wrong = |source| Error::Telemetry { path: path.to_owned(), source };
        let mut file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(wrong)?;
        let mut keep = 0;
        let mut reader = BufReader::new(&file);
        for _ in 0..epochs_done {
            let mut line = Vec::new();
            reader.read_until(b'\n', &mut line).map_err(wrong)?;
            keep += line.len() as u64;
        }
        file.set_len(keep).map_err(wrong)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).map_err(wrong)?;
        Ok(TelemetryFile { file, path: path.to_owned() })
    }

    pub fn write(&mut self, line: &EpochTelemetry) -> Result<()> {
        let wrong = |source| Error::Telemetry { path: self.path.clone(), source };
        let mut text = serde_json::to_string(line).map_err(|e| wrong(std::io::Error::other(e)))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(wrong)
    }
}
