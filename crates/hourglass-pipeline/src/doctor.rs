//! Brings the doctor what it looks at: the rows of a pipeline file, the epochs, the model and the
//! results of a run. What a finding is, and when there is one, is known in `hourglass-doctor`
//! alone.

mod described;
mod judged;
mod recorded;

use std::path::{Path, PathBuf};

use hourglass_core::{Interrupt, Progress, Samples};
use hourglass_doctor::{Finding, after, before, during};
use hourglass_features::Bundle;
use hourglass_report::Report;
use serde_json::Value;

use crate::cache::read_json;
use crate::config::Pipeline;
use crate::error::{Doing, Error};
use crate::run::RunOptions;
use crate::run_folder::{BASE_KEY, MANIFEST_FILE, RESOLVED_FILE};

/// What a run showed, and what could not be looked at.
#[derive(Clone, Debug)]
pub struct Examination {
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What was not looked at, and why; empty for a run that is whole.
    pub left_out: Vec<String>,
}

/// What can be found before training: reads the file and the data, trains nothing.
///
/// # Errors
/// If the data can't be had or the model can't be built.
pub fn doctor_check(
    pipeline: &Pipeline,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Vec<Finding>, Error> {
    let samples = samples_of(pipeline, options, progress, interrupt)?;
    let settings = described::settings(pipeline, &samples)?;
    Ok(worst_first(before(&settings, &samples)))
}

/// What can be found in a run directory, as far as it goes: a run that broke off has epochs but no
/// results, one whose data is gone has results but no rows.
///
/// # Errors
/// [`Error::NoRun`] where there is no resolved pipeline file, or if that file is damaged.
pub fn doctor_examine(
    folder: &Path,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Examination, Error> {
    let path = folder.join(RESOLVED_FILE);
    if !path.exists() {
        return Err(Error::NoRun { path: folder.to_owned() });
    }
    let text = std::fs::read_to_string(&path).doing("read", &path)?;
    let pipeline = crate::parse(&text, &path.display().to_string(), &[])?;
    let mut found = Examination { findings: Vec::new(), left_out: Vec::new() };

    let report: Option<Report> = read_json(&folder.join("report.json")).ok();
    let repeat = folder.join("repeat-1");
    let manifest: Option<Value> = read_json(&folder.join(MANIFEST_FILE)).ok();
    let base = manifest.as_ref().and_then(|manifest| manifest[BASE_KEY].as_str());
    let base = base.map_or_else(|| options.base.clone(), PathBuf::from);
    let options = RunOptions { base, ..options.clone() };
    if report.is_none() {
        found.left_out.push("the results: the run did not finish".to_owned());
    }
    let samples = match samples_of(&pipeline, &options, progress, interrupt) {
        Ok(samples) => samples,
        Err(error) if error.is_interrupt() => return Err(error),
        Err(error) => {
            found.left_out.push(format!("the rows and what the model makes of them: {error}"));
            let architecture = described::architecture(&pipeline, 0);
            found.findings.extend(of_epochs(&pipeline, &repeat, architecture, &mut found.left_out));
            found.findings.extend(of_results(&pipeline, report.as_ref(), None));
            found.findings = worst_first(found.findings);
            return Ok(found);
        }
    };
    let architecture =
        described::architecture(&pipeline, described::n_parameters(&pipeline, &samples)?);
    found.findings.extend(of_epochs(&pipeline, &repeat, architecture.clone(), &mut found.left_out));
    let mut regularisation = None;
    found.findings.extend(before(&described::settings(&pipeline, &samples)?, &samples));
    match Bundle::load(&repeat) {
        Ok((_, model)) => {
            let patient = judged::Patient {
                pipeline: &pipeline,
                samples: &samples,
                model: model.as_ref(),
                report: report.as_ref(),
                architecture: &architecture,
            };
            found.findings.extend(patient.findings()?);
            regularisation = patient.regularisation(interrupt)?;
        }
        Err(error) => found.left_out.push(format!("the model: {error}")),
    }
    found.findings.extend(of_results(&pipeline, report.as_ref(), regularisation));
    found.findings = worst_first(found.findings);
    Ok(found)
}

/// What the epochs of a repeat show.
fn of_epochs(
    pipeline: &Pipeline,
    folder: &Path,
    architecture: hourglass_doctor::Architecture,
    left_out: &mut Vec<String>,
) -> Vec<Finding> {
    let training = recorded::training(pipeline, folder, architecture);
    if training.epochs.is_empty() {
        left_out.push("the epochs: there is no telemetry".to_owned());
    }
    during(&training)
}

/// What the results show, where there are any.
fn of_results(
    pipeline: &Pipeline,
    report: Option<&Report>,
    regularisation: Option<hourglass_doctor::Regularisation>,
) -> Vec<Finding> {
    let Some(report) = report else { return Vec::new() };
    after(None, None, Some(&recorded::results(pipeline, report, regularisation)))
}

/// The worst first; of equals in the order found, and of one finding its worst.
fn worst_first(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut seen = Vec::new();
    findings.retain(|finding| {
        let is_new = !seen.contains(&finding.id);
        seen.push(finding.id);
        is_new
    });
    findings
}

/// The prepared rows of the first repeat.
fn samples_of(
    pipeline: &Pipeline,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Samples, Error> {
    let RunOptions { base, locations, .. } = options;
    let source = hourglass_data::resolve(&pipeline.data, base, locations, progress, interrupt)?;
    let loaded = source.load(pipeline.data_seed(), interrupt)?;
    if let Some(said) = crate::repeat::fallback_sentence(&loaded.provenance) {
        progress.say(&said);
    }
    let Pipeline { split, preprocess, .. } = pipeline;
    let (seed, fold) = (pipeline.split_seed(0), pipeline.fold(0));
    Ok(hourglass_data::prepare(&loaded, split, preprocess, seed, fold)?.samples)
}
