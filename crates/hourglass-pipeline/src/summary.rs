//! From the runs to the report: scores, and what was measured on.
//!
//! Intervals and tests are in [`crate::scores`]; the words of the verdict in `hourglass-report`.

use std::collections::BTreeMap;

use hourglass_features::FeatureSet;
use hourglass_report as report;
use hourglass_report::Report;

use crate::config::Pipeline;
use crate::error::Error;
use crate::repeat::RepeatResult;
use crate::scores::Scores;

/// Puts the repeats together.
pub(crate) fn report(pipeline: &Pipeline, repeats: &[RepeatResult]) -> Result<Report, Error> {
    let scores = Scores::new(pipeline, repeats);
    let metric = report::Metric {
        name: scores.metric.name().to_owned(),
        higher_is_better: scores.metric.higher_is_better(),
        is_fraction: scores.metric.is_fraction(),
    };
    let results = scores.results()?;
    let main_model = scores.main_model();
    let first = &repeats[0];
    let n_features = first.data.shape.n_features();
    let feature_width = |set: FeatureSet| {
        let at = pipeline.downstream.compare.iter().position(|other| *other == set)?;
        first.judgements[0][at].first().map(|judgement| judgement.n_features)
    };
    Ok(Report {
        schema_version: report::SCHEMA_VERSION,
        name: pipeline.name.clone(),
        seed: pipeline.seed,
        repeats: repeats.len(),
        folds: pipeline.split.n_folds(),
        repeat_seeds: (0..repeats.len()).map(|at| pipeline.repeat_seed(at).value()).collect(),
        verdict: report::verdict(&results, &metric, &main_model),
        data: data_summary(first),
        model: report::ModelSummary {
            kind: pipeline.model.kind().to_owned(),
            description: pipeline.model.describe(n_features),
            n_parameters: first.n_parameters,
            latent_dim: first.latent_dim,
            feature_width: feature_width(FeatureSet::Autoencoder).unwrap_or(first.latent_dim),
            optimiser: optimiser(pipeline),
        },
        metric,
        method: scores.method(),
        results,
        per_class: scores.per_class(),
        confusion: scores.confusion(),
        main_model,
        label_fractions: scores.label_fractions(),
        curves: scores.curves(),
        predictions: scores.predictions(),
        training: repeats.iter().enumerate().map(training).collect(),
        reconstruction: Some(reconstruction(repeats)),
        latent_map: first.figures.latent_map.clone(),
        // Filled in once the run directory can be examined.
        diagnosis: None,
        resolved_file: without_threads(pipeline),
        versions: BTreeMap::from([("hourglass".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    })
}

/// The file with its defaults; threads don't change a figure, so they don't change the report.
fn without_threads(pipeline: &Pipeline) -> String {
    Pipeline { threads: None, ..pipeline.clone() }.resolved()
}

fn optimiser(pipeline: &Pipeline) -> String {
    let train = &pipeline.train;
    let (optimizer, rate) = (train.optimizer.name(), train.optimizer.learning_rate());
    let schedule = crate::key::to_value(&train.schedule);
    let schedule = match &schedule {
        serde_json::Value::Object(map) => map.keys().next().cloned().unwrap_or_default(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let loss = crate::key::to_value(&train.loss);
    let loss = loss.as_str().map_or_else(|| loss.to_string(), str::to_owned);
    format!(
        "{optimizer}, learning rate {rate} ({schedule}), batches of {}, {} epochs at most, loss {loss}",
        train.batch_size, train.epochs
    )
}

fn data_summary(first: &RepeatResult) -> report::DataSummary {
    let provenance = &first.data.provenance;
    let files = provenance.files.iter().map(|file| report::DataFile {
        name: file.name.clone(),
        sha256: file.sha256.clone(),
        bytes: file.bytes,
    });
    report::DataSummary {
        dataset: provenance.dataset.clone(),
        sentence: provenance.sentence.clone(),
        task: first.data.task,
        fallback: provenance.fallback.as_ref().map(|reason| {
            format!("not the data asked for, but {} instead: {reason}", provenance.dataset)
        }),
        rows: first.data.partition,
        n_features: first.data.shape.n_features(),
        classes: first.data.classes.clone(),
        licence: provenance.licence.clone(),
        citation: provenance.citation.clone(),
        files: files.collect(),
    }
}

fn training((repeat, result): (usize, &RepeatResult)) -> report::TrainingRun {
    let history = &result.history;
    let epochs = history.epochs.iter().map(|record| report::EpochRow {
        epoch: record.epoch,
        train_loss: record.train_loss,
        validation_loss: Some(record.validation_loss),
        learning_rate: record.learning_rate,
        reconstruction_error: None,
    });
    report::TrainingRun {
        repeat,
        best_epoch: history.best_epoch,
        stopped_because: history.ending(),
        epochs: epochs.collect(),
    }
}

fn reconstruction(repeats: &[RepeatResult]) -> report::Reconstruction {
    let first = &repeats[0];
    let mean = |row: usize, part: fn(&report::ReconstructionError) -> Option<f64>| {
        let values: Option<Vec<f64>> =
            repeats.iter().map(|repeat| repeat.figures.errors.get(row).and_then(part)).collect();
        values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
    };
    let errors =
        first.figures.errors.iter().enumerate().map(|(row, error)| report::ReconstructionError {
            name: error.name.clone(),
            train: mean(row, |error| error.train),
            validation: mean(row, |error| error.validation),
            test: mean(row, |error| error.test),
        });
    let mean_loss = |row: usize, part: fn(&report::PartLoss) -> f64| {
        let sum: f64 = repeats.iter().map(|repeat| part(&repeat.figures.losses[row])).sum();
        sum / repeats.len() as f64
    };
    let losses = first.figures.losses.iter().enumerate().map(|(row, loss)| report::PartLoss {
        name: loss.name.clone(),
        validation: mean_loss(row, |loss| loss.validation),
        test: mean_loss(row, |loss| loss.test),
    });
    let snapshots = &first.history.snapshots;
    let [train, validation] = &first.figures.originals;
    // The trainer watches the samples of both parts in one list, those of the training part first.
    let fixed = |originals: &[Vec<f32>], classes: &[u32], skipped: usize| {
        let samples = originals.iter().enumerate().map(|(at, original)| report::FixedSample {
            label: classes.get(at).map(|&class| first.data.classes[class as usize].clone()),
            original: original.clone(),
            reconstructions: snapshots
                .iter()
                .filter_map(|snapshot| snapshot.reconstructions.get(skipped + at))
                .map(|values| report::rounded(values))
                .collect(),
        });
        samples.collect()
    };
    let [train_classes, validation_classes] = &first.data.watched;
    report::Reconstruction {
        shape: first.data.shape.clone(),
        value_range: first.data.value_range,
        errors: errors.collect(),
        losses: losses.collect(),
        epochs: snapshots.iter().map(|snapshot| snapshot.epoch).collect(),
        train: fixed(train, train_classes, 0),
        validation: fixed(validation, validation_classes, train.len()),
    }
}
