//! Tries the cures of the doctor's findings on a file, one at a time, and keeps what helps.
//!
//! Each attempt is the file as it stands with one cure laid over it as `--set` lays values, run
//! again with the same seeds. What decides is measured on validation rows: whether the finding is
//! gone, and what became of score and reconstruction. Findings about the results, which are
//! measured on test rows, are decided by the validation score. What a treatment leaves behind is
//! written in [`cured`].

mod cured;
mod judge;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hourglass_core::{Interrupt, Progress};
use hourglass_doctor::{Change, Cure, Finding, FindingId, Severity};
use serde::Serialize;

use crate::ablate::value_at;
use crate::config::Pipeline;
use crate::doctor::doctor_examine;
use crate::error::{Doing, Error};
use crate::file::Text;
use crate::measures::{Estimated, Measures};
use crate::run::{Ended, RunOptions, run_in};
use crate::run_folder::{self, RESOLVED_FILE};
use crate::trial::TrialRoom;

pub use judge::About;

/// Where run directories of attempts lie, below that of the runs.
const HOME: &str = "treat";

/// How a file is treated.
#[derive(Clone, Debug)]
pub struct TreatOptions {
    /// What surrounds each run.
    pub run: RunOptions,
    /// Attempts at most.
    pub trials: usize,
    /// Minutes after which no attempt is begun; `None` for no limit.
    pub minutes: Option<f64>,
    /// The only finding that is treated; `None` for all of severity warning and above.
    pub only: Option<FindingId>,
}

/// What came of a treatment.
#[derive(Clone, Debug, Serialize)]
pub struct Treatment {
    /// The file, or the run, that was treated.
    pub file: String,
    /// Name of the downstream metric.
    pub metric: Option<String>,
    /// How it stood.
    pub before: Condition,
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
    /// How it stands with everything that was kept.
    pub after: Condition,
    /// Why it ended, in a few words.
    pub ended: String,
    /// Whether Ctrl-C ended it.
    pub interrupted: bool,
    /// Whether what the only treated finding is about is better than before; `None` where several
    /// were treated.
    pub improved: Option<bool>,
    /// The cured file, where something was kept.
    pub cured: Option<PathBuf>,
}

/// How a file stands.
#[derive(Clone, Debug, Serialize)]
pub struct Condition {
    /// What the doctor finds.
    pub findings: Vec<Finding>,
    /// Score on validation rows; `None` where the run failed.
    pub score: Option<Estimated>,
    /// Reconstruction error on validation rows over that of the mean.
    pub reconstruction: Option<Estimated>,
    /// Why the run failed, if it did.
    pub failure: Option<String>,
}

/// A cure that was tried.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// The finding that it is for.
    pub finding: FindingId,
    /// How much that mattered.
    pub severity: Severity,
    /// The lines of the file that it changes.
    pub changes: Vec<Patch>,
    /// Why that should help.
    pub because: String,
    /// What became of the finding's evidence, where it has a limit.
    pub evidence: Option<EvidenceChange>,
    /// Whether the finding is gone, or no more than a note.
    pub is_gone: bool,
    /// Findings of severity warning and above that were not there before.
    pub new_findings: Vec<FindingId>,
    /// Score on validation rows, before and after.
    pub scores: [Option<f64>; 2],
    /// How much better the score is.
    pub score_change: Option<Estimated>,
    /// Reconstruction error over that of the mean, on validation rows, before and after.
    pub errors: [Option<f64>; 2],
    /// How much smaller the error is.
    pub error_change: Option<Estimated>,
    /// Whether the file keeps the change.
    pub is_kept: bool,
    /// Why, or why not.
    pub why: String,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// Path of the key.
    pub key: String,
    /// Its value before, as TOML; `None` where there was none.
    pub was: Option<String>,
    /// Its value after.
    pub is: String,
}

/// A figure of a finding before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvidenceChange {
    /// What was measured.
    pub what: String,
    /// Before.
    pub before: f64,
    /// After; `None` where the finding is gone and measured nothing.
    pub after: Option<f64>,
    /// What it is compared with.
    pub limit: f64,
}

/// What is known of a file after a run of it.
#[derive(Clone)]
struct Seen {
    pipeline: Pipeline,
    /// Name of the run directory.
    name: String,
    findings: Vec<Finding>,
    measures: Option<Measures>,
    failure: Option<String>,
}

/// A file to be treated.
struct Patient<'a> {
    text: Text<'a>,
    options: &'a TreatOptions,
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
}

/// Treats a pipeline file, or the file of a run directory. The cured file lies beside the run.
///
/// # Errors
/// If the file is wrong or its data can't be had. Ctrl-C is none once the file has been run as it
/// is: what is done by then is returned.
pub fn treat(
    path: &Path,
    overrides: &[String],
    options: &TreatOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Treatment, Error> {
    let (mut treatment, cured) = try_cures(path, overrides, options, progress, interrupt)?;
    if treatment.attempts.iter().any(|attempt| attempt.is_kept) {
        let place = match path.is_dir() {
            true => {
                // `latest` is a link; what it points to has the name.
                let real = path.canonicalize().doing("find", path)?;
                let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
                real.with_file_name(format!("{name}.cured.toml"))
            }
            false => options.run.runs_dir.join(format!("{}.cured.toml", cured.name)),
        };
        std::fs::write(&place, &cured.text).doing("write", &place)?;
        treatment.cured = Some(place);
    }
    Ok(treatment)
}

/// What a treatment leaves, before it is written.
pub(crate) struct Cured {
    /// Name of the run directory of the file as it was.
    name: String,
    text: String,
}

/// The treatment; nothing but run directories and the cache is written.
pub(crate) fn try_cures(
    path: &Path,
    overrides: &[String],
    options: &TreatOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<(Treatment, Cured), Error> {
    let is_run = path.is_dir();
    let file = if is_run { path.join(RESOLVED_FILE) } else { path.to_owned() };
    if is_run && !file.exists() {
        return Err(Error::NoRun { path: path.to_owned() });
    }
    let text = std::fs::read_to_string(&file)
        .map_err(|source| Error::ReadFile { path: file.clone(), source })?;
    let origin = file.display().to_string();
    let text = Text { text: &text, origin: &origin, overrides: overrides.to_vec() };
    // All mistakes of the file, those of its search space too, before any work.
    crate::parse(text.text, &origin, overrides)?;
    let base = match is_run {
        true => run_folder::base(path),
        false => path.parent().unwrap_or(Path::new("")).to_owned(),
    };
    let run = RunOptions { base, force: false, ..options.run.clone() };
    let options = TreatOptions { run, ..options.clone() };
    let patient = Patient { text, options: &options, progress, interrupt };
    let (mut treatment, last) = patient.treat()?;
    treatment.file = path.display().to_string();
    let text = cured::text(&treatment, &last.pipeline, &options.run.base);
    Ok((treatment, Cured { name: last.name, text }))
}

impl Patient<'_> {
    /// Also returns how the file stands in the end; its name is that of the first run.
    fn treat(&self) -> Result<(Treatment, Seen), Error> {
        let clock = Instant::now();
        let first = self.look(&self.text)?;
        let name = first.name.clone();
        let before = first.condition();
        let mut text = self.text.clone();
        let mut now = first.clone();
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut tried = BTreeSet::new();
        let mut interrupted = false;
        let ended = loop {
            let Some((finding, cure)) = self.next(&now, &mut tried) else {
                break "every cure was tried".to_owned();
            };
            if attempts.len() >= self.options.trials {
                break format!("{} attempts were made", attempts.len());
            }
            let minutes = clock.elapsed().as_secs_f64() / 60.0;
            if self.options.minutes.is_some_and(|limit| minutes >= limit) {
                break format!("the time was up after {minutes:.1} minutes");
            }
            let overrides = cure.changes.iter().map(|c| format!("{}={}", c.key, c.value));
            let changed = text.with(overrides.collect());
            let Ok(pipeline) = changed.read().map(Pipeline::without_sweep) else { continue };
            if pipeline == now.pipeline {
                continue;
            }
            let looked = self.look(&changed).and_then(|then| {
                // What is judged otherwise now is compared with what it was by the same metric.
                let same = self.by_metric_of(&then, &now)?;
                Ok((then, same))
            });
            let then = match looked {
                Ok((then, same)) => {
                    now.measures = same.or(now.measures);
                    then
                }
                Err(error) if error.is_interrupt() => {
                    interrupted = true;
                    break "it was interrupted".to_owned();
                }
                Err(error) => Seen::failed(pipeline, &error),
            };
            let attempt = judge::attempt(&finding, &cure, &now, &then);
            self.progress.say(&format!(
                "{} ({}): {}: {}",
                finding.id.name(),
                finding.severity.name(),
                attempt.changes.iter().map(Patch::line).collect::<Vec<_>>().join(", "),
                if attempt.is_kept { "kept" } else { "dropped" },
            ));
            if attempt.is_kept {
                (text, now) = (changed, then);
            }
            attempts.push(attempt);
        };
        let improved = match self.options.only {
            Some(id) => {
                let same = self.by_metric_of(&now, &first)?.or(first.measures.clone());
                Some(judge::is_improved(id, &first.findings, same.as_ref(), &now))
            }
            None => None,
        };
        let first_measures = first.measures;
        let metric = first_measures.as_ref().or(now.measures.as_ref()).map(|m| m.metric);
        let treatment = Treatment {
            file: String::new(),
            metric: metric.map(|metric| metric.name().to_owned()),
            before,
            attempts,
            after: now.condition(),
            interrupted,
            ended,
            improved,
            cured: None,
        };
        Ok((treatment, Seen { name, ..now }))
    }

    /// The first cure of the worst finding that was not tried yet.
    fn next(&self, now: &Seen, tried: &mut BTreeSet<String>) -> Option<(Finding, Cure)> {
        let wanted = now.findings.iter().filter(|finding| match self.options.only {
            Some(id) => finding.id == id,
            None => finding.severity > Severity::Note,
        });
        for finding in wanted {
            for cure in &finding.cures {
                let lines = cure.changes.iter().map(|c| format!("{}={}", c.key, c.value));
                if tried.insert(lines.collect::<Vec<_>>().join("\n")) {
                    return Some((finding.clone(), cure.clone()));
                }
            }
        }
        None
    }

    /// What `other` measures by the metric of `seen`, where it has another one.
    fn by_metric_of(&self, seen: &Seen, other: &Seen) -> Result<Option<Measures>, Error> {
        let (Some(measures), Some(old)) = (&seen.measures, &other.measures) else {
            return Ok(None);
        };
        if measures.metric == old.metric {
            return Ok(None);
        }
        let mut pipeline = other.pipeline.clone();
        pipeline.downstream.metric = Some(measures.metric);
        let quiet = crate::side_by_side::OnlyBars(self.progress);
        let room = TrialRoom::open(&pipeline, &self.options.run, &quiet, self.interrupt)?;
        room.measure(&pipeline, &quiet, self.interrupt).map(Some)
    }

    /// Runs a file, has it examined and measures it on validation.
    fn look(&self, text: &Text<'_>) -> Result<Seen, Error> {
        let pipeline = text.read()?.without_sweep();
        let (options, progress, interrupt) = (&self.options.run, self.progress, self.interrupt);
        if pipeline.split.n_folds() > 1 {
            return Err(Error::Folds { command: "doctor treat" });
        }
        let quiet = crate::side_by_side::OnlyBars(progress);
        let home = options.runs_dir.join(HOME);
        let ended = run_in(&home, &pipeline, options, &quiet, interrupt)?;
        let (folder, failure) = match ended {
            Ended::Finished(outcome) => (outcome.folder, None),
            Ended::Failed { folder, error } => (folder, Some(error.to_string())),
        };
        let findings = doctor_examine(&folder, 0, options, &quiet, interrupt)?.findings;
        let measures = match failure {
            Some(_) => None,
            None => {
                let room = TrialRoom::open(&pipeline, options, &quiet, interrupt)?;
                Some(room.measure(&pipeline, &quiet, interrupt)?)
            }
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Seen { pipeline, name, findings, measures, failure })
    }
}

impl Seen {
    /// A file that doesn't come as far as training.
    fn failed(pipeline: Pipeline, error: &Error) -> Seen {
        let failure = Some(error.to_string());
        Seen { pipeline, name: String::new(), findings: Vec::new(), measures: None, failure }
    }

    fn condition(&self) -> Condition {
        Condition {
            findings: self.findings.clone(),
            score: self.measures.as_ref().map(Measures::score),
            reconstruction: self.measures.as_ref().map(Measures::mean_error),
            failure: self.failure.clone(),
        }
    }

    /// The finding, where it is there and more than a note.
    fn stands(&self, id: FindingId) -> Option<&Finding> {
        self.findings.iter().find(|f| f.id == id && f.severity > Severity::Note)
    }
}

impl Patch {
    fn of(change: &Change, before: &Pipeline) -> Patch {
        let was = value_at(before, &change.key);
        Patch { key: change.key.clone(), was, is: change.value.clone() }
    }

    /// The line as it stands in the file.
    pub fn line(&self) -> String {
        format!("{} = {}", self.key, self.is)
    }
}

#[cfg(test)]
mod tests;
