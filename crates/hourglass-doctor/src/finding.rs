//! A finding: what is wrong, how that shows, and what would help. It measures nothing.

use serde::{Deserialize, Serialize};

use crate::{Architecture, FindingId};

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

/// What is wrong, with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Which finding.
    pub id: FindingId,
    /// How much it matters here.
    pub severity: Severity,
    /// What is wrong, in one sentence with its figures.
    pub sentence: String,
    /// The figures behind it.
    pub evidence: Vec<Evidence>,
    /// Values in a row, such as one an epoch, for a small plot; empty where a figure says it all.
    pub curve: Vec<f64>,
    /// What would help, most promising first.
    pub cures: Vec<Cure>,
}

impl Finding {
    /// A finding without evidence yet.
    pub fn new(id: FindingId, severity: Severity, sentence: impl Into<String>) -> Self {
        let sentence = sentence.into();
        Finding { id, severity, sentence, evidence: Vec::new(), curve: Vec::new(), cures: vec![] }
    }

    /// Adds a figure that is compared with a limit.
    #[must_use]
    pub fn measured(mut self, what: impl Into<String>, value: f64, limit: f64) -> Self {
        self.evidence.push(Evidence { what: what.into(), value, limit: Some(limit) });
        self
    }

    /// Adds a figure that explains.
    #[must_use]
    pub fn shown(mut self, what: impl Into<String>, value: f64) -> Self {
        self.evidence.push(Evidence { what: what.into(), value, limit: None });
        self
    }

    /// Adds the values of a plot.
    #[must_use]
    pub fn drawn(mut self, curve: Vec<f64>) -> Self {
        self.curve = curve;
        self
    }

    /// Adds a cure: one key of the pipeline file, and the value that it should have, as TOML.
    #[must_use]
    pub fn cured_by(
        mut self,
        key: impl Into<String>,
        value: impl Into<String>,
        because: impl Into<String>,
    ) -> Self {
        let change = Change { key: key.into(), value: value.into() };
        self.cures.push(Cure { changes: vec![change], because: because.into() });
        self
    }

    /// Adds a cure of keys that only help together.
    #[must_use]
    pub fn cured_by_all<const N: usize>(
        mut self,
        changes: [(String, String); N],
        because: impl Into<String>,
    ) -> Self {
        let changes = changes.map(|(key, value)| Change { key, value }).to_vec();
        self.cures.push(Cure { changes, because: because.into() });
        self
    }

    /// Adds what makes copying and storing harder: corruption of the input, where the architecture
    /// has a key for it, and dropout otherwise.
    #[must_use]
    pub(crate) fn hardened(self, architecture: &Architecture) -> Self {
        if architecture.takes_corruption {
            self.cured_by(
                architecture.key_of("corruption"),
                "{ masking = { share = 0.2 } }",
                "no input is seen twice (Vincent et al., JMLR 2010)",
            )
        } else {
            self.cured_by(
                architecture.key_of("dropout"),
                "0.2",
                "no unit can rely on another (Srivastava et al., JMLR 2014)",
            )
        }
    }
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What was measured, and where.
    pub what: String,
    /// Its value.
    pub value: f64,
    /// What it was compared with; see [`crate::THRESHOLDS`].
    pub limit: Option<f64>,
}

/// Something to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cure {
    /// What to change in the pipeline file.
    pub changes: Vec<Change>,
    /// Why that should help, with the source where there is one.
    pub because: String,
}

/// One key of the pipeline file and its new value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Path of the key, such as `train.optimizer.adam.learning_rate`.
    pub key: String,
    /// The value, as TOML.
    pub value: String,
}
