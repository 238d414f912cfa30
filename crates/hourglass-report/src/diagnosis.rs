//! What the doctor found in a run, as plain data. It diagnoses nothing: the findings come finished.

use serde::{Deserialize, Serialize};

use crate::model::{nan_from_null, nan_from_null_each};

/// What was found in a run, and what was not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What was not looked at, and why.
    pub left_out: Vec<String>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Its identifier, such as `dead_latents`.
    pub id: String,
    /// What it is called, in a few words.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, in one sentence with its figures.
    pub sentence: String,
    /// The figures behind it.
    pub evidence: Vec<Evidence>,
    /// Values in a row, such as one an epoch; empty where a figure says it all.
    #[serde(deserialize_with = "nan_from_null_each")]
    pub curve: Vec<f64>,
    /// What would help, most promising first.
    pub cures: Vec<Cure>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing need be done.
    Note,
    /// The result is probably worse than it could be.
    Warning,
    /// The result can't be trusted, or there is none.
    Error,
}

/// A figure behind a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What was measured, and where.
    pub what: String,
    /// Its value.
    #[serde(deserialize_with = "nan_from_null")]
    pub value: f64,
    /// What it was compared with, where there is a limit.
    pub limit: Option<f64>,
}

/// Something to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cure {
    /// Lines of the pipeline file, such as `train.clip_norm = 1.0`.
    pub changes: Vec<String>,
    /// Why that should help.
    pub because: String,
}

impl Severity {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl Finding {
    /// Severity, identifier and sentence on one line.
    pub fn line(&self) -> String {
        format!("{} ({}): {}", self.severity.name(), self.id, self.sentence)
    }
}
