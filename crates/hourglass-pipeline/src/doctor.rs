//! Brings the doctor what it looks at: the rows of a pipeline file, the epochs, the model and the
//! results of a run. What a finding is, and when there is one, is known in `hourglass-doctor`
//! alone.

use std::path::{Path, PathBuf};

use hourglass_core::{ColumnMoments, Interrupt, MatrixView, Part, Progress, Samples};
use hourglass_doctor::{
    Epoch, Finding, FindingId, Latent, Reconstruction, Reconstructions, Results, Score, Settings,
    Training, after, before, during, shuffled_columns,
};
use hourglass_features::{Bundle, HiddenLayers, Scale, encode_all, reconstruct_all};
use hourglass_models::{Autoencoder, build};
use hourglass_report::{Mark, Report};
use hourglass_train::EpochRecord;
use ndarray::s;
use serde_json::Value;

use crate::cache::read_json;
use crate::config::Pipeline;
use crate::error::Error;
use crate::key::to_value;
use crate::run::RunOptions;
use crate::run_folder::{BASE_KEY, MANIFEST_FILE, REPORT_FILE, RESOLVED_FILE};
use crate::unfinished::{self, NotFinite};

/// Rows of each part that are put through the model: enough for an error to within a few per
/// cent, and far below the cost of an epoch.
const ROWS: usize = 1_000;

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
    let settings = settings_of(pipeline, &samples)?;
    Ok(worst_first(before(&settings, &samples)))
}

/// What can be found in a run directory, as far as it goes: a run that broke off has epochs but no
/// results, one whose data is gone has results but no rows, and of an unknown folder the epochs
/// alone may be known.
///
/// # Errors
/// [`Error::NoRun`] where there is neither a resolved pipeline file nor a report nor telemetry.
pub fn doctor_examine(
    folder: &Path,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Examination, Error> {
    let mut found = Examination { findings: Vec::new(), left_out: Vec::new() };
    let report: Option<Report> = read_json(&folder.join(REPORT_FILE)).ok();
    let bundle = unfinished::bundle(folder, 0);
    let mut epochs = epochs_of(&bundle);
    let Some(pipeline) = file_of(folder, report.as_ref(), !epochs.is_empty(), &mut found)? else {
        found.findings = worst_first(without_a_file(epochs));
        return Ok(found);
    };
    let unfinished = unfinished::read(folder).unwrap_or_default();
    let not_finite = unfinished.failure.as_ref().and_then(|failure| failure.not_finite.as_ref());
    if not_finite.is_some() {
        epochs.push(broken_epoch(&pipeline));
    }
    if epochs.is_empty() {
        found.left_out.push("the epochs: there is no telemetry".to_owned());
    } else {
        found.findings.extend(during(&training_of(&pipeline, epochs, report.is_none())));
    }
    if let Some(not_finite) = not_finite {
        let loss = found.findings.iter_mut().filter(|f| f.id == FindingId::NonFiniteLoss);
        for finding in loss {
            let NotFinite { step, place, .. } = not_finite;
            finding.sentence += &format!(", step {step}; first in {place}");
        }
    }
    match &report {
        Some(report) => found.findings.extend(after(None, None, Some(&results_of(report)))),
        None => found.left_out.push(format!("the results: {}", unfinished.why())),
    }

    let manifest: Option<Value> = read_json(&folder.join(MANIFEST_FILE)).ok();
    let base = manifest.as_ref().and_then(|manifest| manifest[BASE_KEY].as_str());
    let base = base.map_or_else(|| options.base.clone(), PathBuf::from);
    let options = RunOptions { base, ..options.clone() };
    let samples = match samples_of(&pipeline, &options, progress, interrupt) {
        Ok(samples) => samples,
        Err(error) if error.is_interrupt() => return Err(error),
        Err(error) => {
            found.left_out.push(format!("the rows and what the model makes of them: {error}"));
            found.findings = worst_first(found.findings);
            return Ok(found);
        }
    };
    match settings_of(&pipeline, &samples) {
        Ok(settings) => found.findings.extend(before(&settings, &samples)),
        Err(error) => found.left_out.push(format!("what the file asks of these rows: {error}")),
    }
    match Bundle::load(&bundle) {
        Ok((_, model)) => {
            found.findings.extend(judged(&pipeline, &samples, model.as_ref(), report.as_ref())?)
        }
        Err(error) => found.left_out.push(format!("the model: {error}")),
    }
    found.findings = worst_first(found.findings);
    Ok(found)
}

/// The pipeline file of a run directory, from its report where the file itself is gone or damaged.
/// `None` where there is neither but something else of a run.
fn file_of(
    folder: &Path,
    report: Option<&Report>,
    has_epochs: bool,
    found: &mut Examination,
) -> Result<Option<Pipeline>, Error> {
    let path = folder.join(RESOLVED_FILE);
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(&path).ok();
    let read = text.as_ref().map(|text| crate::parse(text, &origin, &[]));
    let why = match read {
        Some(Ok(pipeline)) => return Ok(Some(pipeline)),
        Some(Err(error)) if report.is_none() && !has_epochs => return Err(error.into()),
        Some(Err(_)) => "it is damaged",
        None if report.is_none() && !has_epochs => {
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
fn without_a_file(epochs: Vec<Epoch>) -> Vec<Finding> {
    let training = Training {
        epochs,
        optimizer: String::new(),
        stops_early: false,
        ended_not_finite: false,
        model_key: String::new(),
    };
    let found = during(&training).into_iter();
    found.map(|finding| Finding { cures: Vec::new(), ..finding }).collect()
}

/// The epoch in which a training failed, of which telemetry knows nothing.
fn broken_epoch(pipeline: &Pipeline) -> Epoch {
    Epoch {
        train_loss: f64::NAN,
        validation_loss: f64::NAN,
        learning_rate: pipeline.train.optimizer.learning_rate(),
        gradient_norm: f64::NAN,
    }
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
    let seed = pipeline.repeat_seed(0).child("split");
    let Pipeline { split, preprocess, .. } = pipeline;
    Ok(hourglass_data::prepare(&loaded, split, preprocess, seed, 0)?.samples)
}

/// The model's table of the file, with every default filled in.
fn model_table(pipeline: &Pipeline) -> Value {
    to_value(&pipeline.model)[pipeline.model.kind()].clone()
}

fn model_key(pipeline: &Pipeline) -> String {
    format!("model.{}", pipeline.model.kind())
}

/// Architectures that nothing but their width keeps from copying, unless the input is corrupted.
fn is_constrained(pipeline: &Pipeline) -> bool {
    let table = model_table(pipeline);
    let by_width = ["undercomplete", "convolutional"].contains(&pipeline.model.kind());
    !by_width || !table["corruption"].is_null()
}

fn settings_of(pipeline: &Pipeline, samples: &Samples) -> Result<Settings, Error> {
    let seed = pipeline.repeat_seed(0).child("model");
    let model = build(&pipeline.model, &samples.shape, seed)?;
    let table = model_table(pipeline);
    let momentum = &to_value(&pipeline.train.optimizer)["sgd"]["momentum"];
    let hidden = table["hidden_dims"].as_array().map_or(0, Vec::len);
    let train = &pipeline.train;
    Ok(Settings {
        model_key: model_key(pipeline),
        hidden_activation: serde_json::from_value(table["activation"].clone()).unwrap_or_default(),
        output_activation: pipeline.model.output_activation(),
        init: serde_json::from_value(table["init"].clone()).ok(),
        n_layers: 2 * (hidden + 1),
        n_parameters: model.parameters().iter().map(|parameter| parameter.len()).sum(),
        is_constrained: is_constrained(pipeline),
        loss: train.loss,
        optimizer: train.optimizer.name().to_owned(),
        learning_rate: train.optimizer.learning_rate(),
        is_plain_descent: momentum.as_f64() == Some(0.0),
        batch_size: train.batch_size,
        compare: pipeline.downstream.compare.iter().map(|set| set.name().to_owned()).collect(),
    })
}

/// The finished epochs of a bundle's telemetry; a line that was cut off ends the list.
pub(crate) fn epochs_of(folder: &Path) -> Vec<Epoch> {
    let text = std::fs::read_to_string(folder.join("telemetry.jsonl")).unwrap_or_default();
    let number = |line: &Value, key: &str| line[key].as_f64().unwrap_or(f64::NAN);
    text.lines()
        .map_while(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line.get("train_loss").is_some())
        .map(|line| Epoch {
            train_loss: number(&line, "train_loss"),
            validation_loss: number(&line, "validation_loss"),
            learning_rate: number(&line, "learning_rate"),
            gradient_norm: number(&line, "gradient_norm"),
        })
        .collect()
}

/// What the doctor reads of an epoch that has just ended.
pub(crate) fn epoch_of(record: &EpochRecord) -> Epoch {
    Epoch {
        train_loss: record.train_loss,
        validation_loss: record.validation_loss,
        learning_rate: record.learning_rate,
        gradient_norm: record.gradient_norm,
    }
}

pub(crate) fn training_of(pipeline: &Pipeline, epochs: Vec<Epoch>, ended_early: bool) -> Training {
    let not_finite = |epoch: &Epoch| !epoch.train_loss.is_finite();
    Training {
        ended_not_finite: ended_early && epochs.last().is_some_and(not_finite),
        epochs,
        optimizer: pipeline.train.optimizer.name().to_owned(),
        stops_early: pipeline.train.early_stopping.is_some(),
        model_key: model_key(pipeline),
    }
}

fn results_of(report: &Report) -> Results {
    let rows = report.results.iter().filter(|row| row.model == report.main_model);
    let against_raw = rows.filter_map(|row| {
        let against = row.against_raw.as_ref()?;
        Some(Score {
            feature_set: row.feature_set.clone(),
            difference: against.difference,
            interval: against.ci_low.zip(against.ci_high).map(|(low, high)| [low, high]),
            is_significant: against.mark != Mark::Same,
        })
    });
    Results { repeats: report.repeats, against_raw: against_raw.collect() }
}

/// What the model makes of some rows, and what its latent holds.
fn judged(
    pipeline: &Pipeline,
    samples: &Samples,
    model: &dyn Autoencoder,
    report: Option<&Report>,
) -> Result<Vec<Finding>, Error> {
    let first = |part| {
        let rows = samples.part(part);
        let n = rows.nrows().min(ROWS);
        rows.slice_move(s![..n, ..])
    };
    let (train, validation) = (first(Part::Train), first(Part::Validation));
    let seed = pipeline.repeat_seed(0).child("doctor");
    let shuffled = shuffled_columns(validation, seed);
    let batch_size = pipeline.train.batch_size;
    let outputs = [train, validation, shuffled.view()]
        .map(|rows: MatrixView<'_>| reconstruct_all(model, rows, batch_size));
    let [of_train, of_validation, of_shuffled] = outputs;
    let (of_train, of_validation, of_shuffled) = (of_train?, of_validation?, of_shuffled?);
    let mean: Vec<f32> = ColumnMoments::of(samples.part(Part::Train))
        .mean
        .into_iter()
        .map(|mean| mean as f32)
        .collect();
    let is_constrained = is_constrained(pipeline);
    let reconstruction = Reconstruction {
        shape: &samples.shape,
        train_mean: &mean,
        train: Reconstructions { inputs: train, outputs: of_train.view() },
        validation: Reconstructions { inputs: validation, outputs: of_validation.view() },
        shuffled: Reconstructions { inputs: shuffled.view(), outputs: of_shuffled.view() },
        pca_error: report.and_then(|report| pca_error(report, model.latent_dim())),
        is_constrained,
        stride: None,
    };
    let values = encode_all(model, validation, HiddenLayers::Latent)?;
    let latent = Latent {
        values: values.view(),
        is_scaled: pipeline.features.scale != Scale::None,
        scale_sensitive: scale_sensitive(pipeline),
        is_constrained,
        model_key: model_key(pipeline),
    };
    Ok(after(Some(&reconstruction), Some(&latent), None))
}

/// Error of as many principal components, as the report measured it on validation.
fn pca_error(report: &Report, latent_dim: usize) -> Option<f64> {
    let name = format!("pca ({latent_dim})");
    let errors = &report.reconstruction.as_ref()?.errors;
    errors.iter().find(|error| error.name == name)?.validation
}

/// Downstream models that measure distances, or penalise all columns alike.
fn scale_sensitive(pipeline: &Pipeline) -> Vec<String> {
    const SENSITIVE: [&str; 5] = ["knn", "linear_svm", "rbf_svm", "logistic_regression", "mlp"];
    let names = pipeline.downstream.models.iter().map(|model| model.name());
    names.filter(|name| SENSITIVE.contains(name)).map(str::to_owned).collect()
}
