//! Brings the doctor what it looks at: the rows of a pipeline file, the epochs, the model and the
//! results of a run. What a finding is, and when there is one, is known in `hourglass-doctor`
//! alone.

mod described;
mod judged;
mod recorded;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hourglass_core::{Interrupt, Progress, Samples};
use hourglass_data::{Loaded, Numeric, PreprocessConfig};
use hourglass_doctor::{
    Change, Cure, Epoch, Finding, FindingId, Training, after, before, coded_missing, coded_values,
    during,
};
use hourglass_report::Report;
use serde_json::Value;

use crate::cache::read_json;
use crate::config::Pipeline;
use crate::error::Error;
use crate::lens;
use crate::run::RunOptions;
use crate::run_folder::{BASE_KEY, MANIFEST_FILE, REPORT_FILE, RESOLVED_FILE};
use crate::unfinished;

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
    let rows = rows_of(pipeline, 0, None, options, progress, interrupt)?;
    let settings = described::settings(pipeline, &rows.samples)?;
    let mut findings = before(&settings, &rows.samples);
    rows.name_codes(pipeline, 0, &mut findings, || load(pipeline, options, progress, interrupt))?;
    Ok(worst_first(findings))
}

/// What can be found in a run directory, as far as it goes: a run that broke off has epochs but no
/// results, one whose data is gone has results but no rows, and of an unknown folder the epochs
/// alone may be known. Rows, epochs and model are those of one repeat (counted from 0, each fold of
/// a repeat by itself); the results are of all.
///
/// # Errors
/// [`Error::NoRun`] where there is neither a resolved pipeline file nor a report nor telemetry;
/// [`Error::NoRepeat`] where the file has fewer.
pub fn doctor_examine(
    folder: &Path,
    repeat: usize,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Examination, Error> {
    examine(folder, repeat, None, options, progress, interrupt)
}

/// [`doctor_examine`], with the prepared rows of that repeat where they are at hand.
pub(crate) fn examine(
    folder: &Path,
    run: usize,
    samples: Option<Samples>,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Examination, Error> {
    let mut found = Examination { findings: Vec::new(), left_out: Vec::new() };
    let report: Option<Report> = read_json(&folder.join(REPORT_FILE)).ok();
    let bundle = unfinished::bundle(folder, run);
    let Some(pipeline) = file_of(folder, report.as_ref(), &bundle, &mut found)? else {
        found.findings = worst_first(without_a_file(&bundle));
        return Ok(found);
    };
    let n_repeats = pipeline.n_runs();
    if run >= n_repeats {
        return Err(Error::NoRepeat { path: folder.to_owned(), repeat: run + 1, n_repeats });
    }
    let manifest: Option<Value> = read_json(&folder.join(MANIFEST_FILE)).ok();
    let base = manifest.as_ref().and_then(|manifest| manifest[BASE_KEY].as_str());
    let base = base.map_or_else(|| options.base.clone(), PathBuf::from);
    let options = RunOptions { base, ..options.clone() };
    if report.is_none() {
        let why = unfinished::read(folder).unwrap_or_default().why();
        found.left_out.push(format!("the results: {why}"));
    }
    let rows = match rows_of(&pipeline, run, samples, &options, progress, interrupt) {
        Ok(rows) => rows,
        Err(error) if error.is_interrupt() => return Err(error),
        Err(error) => {
            found.left_out.push(format!("the rows and what the model makes of them: {error}"));
            let architecture = described::architecture(&pipeline, 0);
            found.findings.extend(of_epochs(
                &pipeline,
                folder,
                run,
                architecture,
                &mut found.left_out,
            ));
            found.findings.extend(of_results(&pipeline, report.as_ref(), None));
            found.findings = worst_first(found.findings);
            return Ok(found);
        }
    };
    let samples = &rows.samples;
    let n_parameters = described::n_parameters(&pipeline, samples);
    let architecture = described::architecture(&pipeline, *n_parameters.as_ref().unwrap_or(&0));
    let known = architecture.clone();
    found.findings.extend(of_epochs(&pipeline, folder, run, known, &mut found.left_out));
    let mut regularisation = None;
    match described::settings(&pipeline, samples) {
        Ok(settings) => {
            found.findings.extend(before(&settings, samples));
            let load = || load(&pipeline, &options, progress, interrupt);
            rows.name_codes(&pipeline, run, &mut found.findings, load)?;
        }
        Err(error) => found.left_out.push(format!("what the file asks of these rows: {error}")),
    }
    match lens::load_trained(&pipeline.model, &bundle) {
        Ok(model) => {
            let patient = judged::Patient {
                pipeline: &pipeline,
                run,
                samples,
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
    run: usize,
    architecture: hourglass_doctor::Architecture,
    left_out: &mut Vec<String>,
) -> Vec<Finding> {
    let bundle = unfinished::bundle(folder, run);
    let mut training = recorded::training(pipeline, &bundle, architecture);
    if let Some(broken) = unfinished::read(folder).and_then(|unfinished| unfinished.not_finite()) {
        training.not_finite = Some(broken);
        // Of the epoch in which it failed telemetry knows nothing; the file knows its rate.
        let learning_rate = pipeline.train.optimizer.learning_rate();
        let train_loss = f64::NAN;
        training.epochs.push(Epoch { train_loss, learning_rate, ..Epoch::default() });
    }
    if training.epochs.is_empty() {
        left_out.push("the epochs: there is no telemetry".to_owned());
    }
    during(&training)
}

/// What is known of a training while it runs, before its first epoch or where it resumes.
pub(crate) fn training_so_far(pipeline: &Pipeline, folder: &Path) -> Training {
    recorded::training(pipeline, folder, described::architecture(pipeline, 0))
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

/// The pipeline file of a run directory, from its report where the file itself is gone or damaged.
/// `None` where there is neither but something else of a run.
fn file_of(
    folder: &Path,
    report: Option<&Report>,
    bundle: &Path,
    found: &mut Examination,
) -> Result<Option<Pipeline>, Error> {
    let has_epochs = || !recorded::epochs(bundle).is_empty();
    let path = folder.join(RESOLVED_FILE);
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(&path).ok();
    let read = text.as_ref().map(|text| crate::parse(text, &origin, &[]));
    let why = match read {
        Some(Ok(pipeline)) => return Ok(Some(pipeline)),
        Some(Err(error)) if report.is_none() && !has_epochs() => return Err(error.into()),
        Some(Err(_)) => "it is damaged",
        None if report.is_none() && !has_epochs() => {
            return Err(Error::NoRun { path: folder.to_owned() });
        }
        None => "it is gone",
    };
    let file = report.and_then(|report| crate::parse(&report.resolved_file, &origin, &[]).ok());
    found.left_out.push(match &file {
        Some(_) => format!("the file `pipeline.toml`: {why}; the report holds a copy"),
        None => format!("the file `pipeline.toml`, and all that needs it: {why}"),
    });
    Ok(file)
}

/// What the epochs alone say; cures name keys of a file, and there is none.
fn without_a_file(bundle: &Path) -> Vec<Finding> {
    let found = during(&recorded::without_a_file(bundle)).into_iter();
    found.map(|finding| Finding { cures: Vec::new(), ..finding }).collect()
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

/// The prepared rows of a repeat, and what they were prepared from, unless they came from
/// the run itself.
struct Rows {
    samples: Samples,
    loaded: Option<Loaded>,
}

fn rows_of(
    pipeline: &Pipeline,
    run: usize,
    samples: Option<Samples>,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Rows, Error> {
    if let Some(samples) = samples {
        return Ok(Rows { samples, loaded: None });
    }
    let loaded = load(pipeline, options, progress, interrupt)?;
    let samples = prepared(pipeline, run, &loaded, &pipeline.preprocess)?;
    Ok(Rows { samples, loaded: Some(loaded) })
}

fn load(
    pipeline: &Pipeline,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Loaded, Error> {
    let RunOptions { base, locations, .. } = options;
    let source = hourglass_data::resolve(&pipeline.data, base, locations, progress, interrupt)?;
    let loaded = source.load(pipeline.data_seed(), interrupt)?;
    if let Some(said) = crate::repeat::fallback_sentence(&loaded.provenance) {
        progress.say(&said);
    }
    Ok(loaded)
}

fn prepared(
    pipeline: &Pipeline,
    run: usize,
    loaded: &Loaded,
    preprocess: &PreprocessConfig,
) -> Result<Samples, Error> {
    let (seed, fold) = (pipeline.split_seed(run), pipeline.fold(run));
    Ok(hourglass_data::prepare(loaded, &pipeline.split, preprocess, seed, fold)?.samples)
}

impl Rows {
    /// Looks for coded missing values again in the columns as they were read, and adds the cure,
    /// which names the codes as they stand in the file: where columns are mapped by rank, whatever
    /// is frequent at an end comes to lie apart, and is no code for that.
    fn name_codes(
        &self,
        pipeline: &Pipeline,
        run: usize,
        findings: &mut Vec<Finding>,
        load: impl FnOnce() -> Result<Loaded, Error>,
    ) -> Result<(), Error> {
        let is_coded = |finding: &Finding| finding.id == FindingId::CodedMissing;
        let Some(at) = findings.iter().position(is_coded) else { return Ok(()) };
        let plain = PreprocessConfig {
            numeric: Numeric::None,
            clip: None,
            columns: BTreeMap::new(),
            ..pipeline.preprocess.clone()
        };
        let read = match &self.loaded {
            Some(loaded) => prepared(pipeline, run, loaded, &plain)?,
            None => prepared(pipeline, run, &load()?, &plain)?,
        };
        let Some(found) = coded_missing(&read) else {
            findings.remove(at);
            return Ok(());
        };
        findings[at] = found;
        let codes = coded_values(&read);
        let columns = codes.iter().map(|(name, value)| format!("{name:?} = [\"{value}\"]"));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let change = |key: &str, value: String| Change { key: key.to_owned(), value };
        findings[at].cures.push(Cure {
            changes: vec![
                change("data.missing_in", format!("{{ {columns} }}")),
                change("preprocess.missing", "{ fill = \"median\" }".to_owned()),
            ],
            because: "what is named as missing can be filled".to_owned(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::Silent;
    use hourglass_data::Locations;

    use super::*;

    #[test]
    fn a_floor_that_ranks_set_apart_is_no_code() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"
            name = "floor"
            seed = 1
            data.csv = { path = "rows.csv", target = "kind" }
            split = { validation = 0.2, test = 0.2 }
            preprocess.numeric = { quantile = { output = "normal" } }
            model.undercomplete = { latent_dim = 1 }
            train = { epochs = 2, optimizer = { adam = { learning_rate = 1e-2 } } }
            downstream = { compare = ["raw", "autoencoder"], models = [{ majority = {} }] }
        "#;
        let pipeline = crate::parse(text, "floor", &[]).unwrap();
        let locations = Locations {
            data_dirs: Vec::new(),
            download_dir: folder.path().to_owned(),
            offline: true,
        };
        let (base, runs_dir) = (folder.path().to_owned(), folder.path().join("runs"));
        let options = RunOptions { base, locations, runs_dir, force: false };
        // A fifth of the rows have the lowest value, which lies as near to the next as any.
        let is_found = |lowest: f32| {
            let row = |row: usize| {
                let value = if row.is_multiple_of(5) {
                    lowest
                } else {
                    1.0 + (row * 37 % 400) as f32 / 40.0
                };
                format!("{value},{},{}\n", (row * 53 % 400) as f32 / 7.0, ["a", "b"][row % 2])
            };
            let rows: String = (0..400).map(row).collect();
            std::fs::write(folder.path().join("rows.csv"), format!("x,y,kind\n{rows}")).unwrap();
            let found = doctor_check(&pipeline, &options, &Silent, &Interrupt::new()).unwrap();
            let found = found.into_iter().find(|finding| finding.id == FindingId::CodedMissing);
            found.map(|finding| finding.cures[0].changes[0].value.clone())
        };
        assert_eq!(is_found(0.98), None);
        assert_eq!(is_found(-99.0).unwrap(), "{ \"x\" = [\"-99\"] }");
    }
}
