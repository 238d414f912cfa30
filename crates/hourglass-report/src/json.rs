//! The report and the timings as JSON text. It opens no file.

use serde::Deserialize;

use crate::error::ReportError;
use crate::model::{Report, SCHEMA_VERSION};
use crate::timings::Timings;

/// Only the version, whatever else the text holds.
#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

fn check_version(text: &str) -> Result<(), ReportError> {
    let Version { schema_version: found } = serde_json::from_str(text)?;
    if found != SCHEMA_VERSION {
        return Err(ReportError::SchemaVersion { found, known: SCHEMA_VERSION });
    }
    Ok(())
}

impl Report {
    /// The text of `report.json`: the same bytes for the same report.
    ///
    /// # Errors
    /// [`ReportError::Json`] if it can't be written, which no report brings about.
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Reads what [`Report::to_json`] wrote.
    ///
    /// # Errors
    /// [`ReportError::SchemaVersion`] for another layout, [`ReportError::Json`] for anything else
    /// that is no report.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        check_version(text)?;
        Ok(serde_json::from_str(text)?)
    }
}

impl Timings {
    /// The text of `timings.json`.
    ///
    /// # Errors
    /// [`ReportError::Json`] if it can't be written, which no timings bring about.
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Reads what [`Timings::to_json`] wrote.
    ///
    /// # Errors
    /// As [`Report::from_json`].
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        check_version(text)?;
        Ok(serde_json::from_str(text)?)
    }
}
