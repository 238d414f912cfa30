//! The doctor's findings as the report holds them. Nothing is examined here.

use std::path::Path;

use hourglass_core::{Interrupt, Samples, Silent};
use hourglass_doctor::{Finding, Severity};
use hourglass_report as report;

use crate::doctor::{Examination, examine};
use crate::error::Error;
use crate::run::RunOptions;

/// Examines a run directory for its own report, with the rows of its first run where these are at
/// hand. A doctor that fails doesn't fail the run: what is
/// wrong is said where the findings would stand.
pub(crate) fn of_run(
    folder: &Path,
    samples: Option<Samples>,
    options: &RunOptions,
    interrupt: &Interrupt,
) -> Result<report::Diagnosis, Error> {
    match examine(folder, 0, samples, options, &Silent, interrupt) {
        Ok(found) => Ok(as_report(&found)),
        Err(error) if error.is_interrupt() => Err(error),
        Err(error) => {
            Ok(report::Diagnosis { findings: Vec::new(), left_out: vec![format!("all: {error}")] })
        }
    }
}

fn as_report(found: &Examination) -> report::Diagnosis {
    report::Diagnosis {
        findings: found.findings.iter().map(finding).collect(),
        left_out: found.left_out.clone(),
    }
}

fn finding(finding: &Finding) -> report::Finding {
    let evidence = finding.evidence.iter().map(|evidence| report::Evidence {
        what: evidence.what.clone(),
        value: evidence.value,
        limit: evidence.limit.filter(|limit| limit.is_finite()),
    });
    let cures = finding.cures.iter().map(|cure| report::Cure {
        changes: cure.changes.iter().map(|c| format!("{} = {}", c.key, c.value)).collect(),
        because: cure.because.clone(),
    });
    report::Finding {
        id: finding.id.name().to_owned(),
        title: finding.id.page().title.to_owned(),
        severity: match finding.severity {
            Severity::Note => report::Severity::Note,
            Severity::Warning => report::Severity::Warning,
            Severity::Error => report::Severity::Error,
        },
        sentence: finding.sentence.clone(),
        evidence: evidence.collect(),
        curve: finding.curve.clone(),
        cures: cures.collect(),
    }
}
