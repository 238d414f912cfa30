//! From the repeats to the report: scores, intervals, paired tests, and what was measured on.
//!
//! The statistics themselves are in `hourglass-downstream`; the words of the verdict in
//! `hourglass-report`.

use std::collections::BTreeMap;

use hourglass_downstream::{Comparison, Estimate, Mark, metrics, statistics};
use hourglass_features::FeatureSet;
use hourglass_report as report;
use hourglass_report::{Report, ResultRow};
use ndarray::Array2;

use crate::config::Pipeline;
use crate::error::Error;
use crate::repeat::{Judgement, RepeatResult};

/// Puts the repeats together.
pub(crate) fn report(pipeline: &Pipeline, repeats: &[RepeatResult]) -> Result<Report, Error> {
    let scores = Scores::new(pipeline, repeats);
    let metric = report::Metric {
        name: pipeline.downstream.metric.name().to_owned(),
        higher_is_better: true,
        is_fraction: true,
    };
    let results = scores.results()?;
    let main_model = pipeline.downstream.models[0].name().to_owned();
    let first = &repeats[0];
    let n_features = first.data.shape.n_features();
    let feature_width = |set: FeatureSet| {
        let at = pipeline.downstream.compare.iter().position(|other| *other == set)?;
        first.judgements[at].first().map(|judgement| judgement.n_features)
    };
    Ok(Report {
        schema_version: report::SCHEMA_VERSION,
        name: pipeline.name.clone(),
        seed: pipeline.seed,
        repeats: repeats.len(),
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
        training: repeats.iter().enumerate().map(training).collect(),
        reconstruction: Some(reconstruction(repeats)),
        latent_map: first.figures.latent_map.clone(),
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
        epochs: snapshots.iter().map(|snapshot| snapshot.epoch).collect(),
        train: fixed(train, train_classes, 0),
        validation: fixed(validation, validation_classes, train.len()),
    }
}

/// The judgements of all repeats, and how they may be compared.
struct Scores<'a> {
    pipeline: &'a Pipeline,
    repeats: &'a [RepeatResult],
    design: Design,
}

/// What the repeats have in common decides which statistic is right.
#[derive(Clone, Copy, PartialEq)]
enum Design {
    /// The same test rows in each, and a score that is a mean over rows.
    SharedRows,
    /// The same test rows in each, and another score.
    Repeats,
    /// Test rows split off anew in each.
    Resampled,
    /// One repeat of a score that isn't a mean over rows: there is no interval.
    Single,
}

impl<'a> Scores<'a> {
    fn new(pipeline: &'a Pipeline, repeats: &'a [RepeatResult]) -> Self {
        let over_rows = pipeline.downstream.metric.is_mean_over_rows();
        let same_rows = repeats[0].data.test_is_published || repeats.len() == 1;
        let design = match (same_rows, over_rows) {
            (true, true) => Design::SharedRows,
            (true, false) if repeats.len() == 1 => Design::Single,
            (true, false) => Design::Repeats,
            (false, _) => Design::Resampled,
        };
        Scores { pipeline, repeats, design }
    }

    fn method(&self) -> Vec<String> {
        let test = match self.design {
            Design::SharedRows => {
                "Intervals and paired tests count the spread over the repeats and over the test \
                 rows (all repeats are judged on the same ones)."
            }
            Design::Repeats => {
                "Intervals and paired tests are Student's t over the repeats, all judged on the \
                 same test rows."
            }
            Design::Resampled => {
                "Every repeat splits its own test rows off; intervals and paired tests are the \
                 corrected resampled t of Nadeau and Bengio (2003)."
            }
            Design::Single => "One repeat gives no interval for this metric.",
        };
        vec![
            test.to_owned(),
            "Marks are given at the 5 % level after Holm's correction over all comparisons with \
             raw features."
                .to_owned(),
            "Everything is fitted on the training part and chosen on validation; the test part is \
             read once per fit."
                .to_owned(),
        ]
    }

    fn judgements(
        &self,
        set: usize,
        model: usize,
    ) -> impl Iterator<Item = (&'a RepeatResult, &'a Judgement)> {
        self.repeats.iter().map(move |repeat| (repeat, &repeat.judgements[set][model]))
    }

    fn scores(&self, set: usize, model: usize) -> Vec<f64> {
        let metric = self.pipeline.downstream.metric;
        let score = |(repeat, judgement): (&RepeatResult, &Judgement)| {
            let truth = &repeat.data.test_classes;
            metric.score(truth, &judgement.predicted, repeat.data.classes.len())
        };
        self.judgements(set, model).map(score).collect()
    }

    /// `(n_repeats, n_test)`: 1 where a row was predicted right.
    fn correct(&self, set: usize, model: usize) -> Array2<f64> {
        let n_test = self.repeats[0].data.test_classes.len();
        let mut correct = Array2::zeros((self.repeats.len(), n_test));
        for (mut row, (repeat, judgement)) in
            correct.rows_mut().into_iter().zip(self.judgements(set, model))
        {
            let right = metrics::correct(&repeat.data.test_classes, &judgement.predicted);
            row.iter_mut().zip(right).for_each(|(to, from)| *to = from);
        }
        correct
    }

    fn estimate(&self, set: usize, model: usize) -> Result<Option<Estimate>, Error> {
        let (n_train, n_test) = self.sizes();
        let scores = self.scores(set, model);
        let estimate = match self.design {
            Design::Single => return Ok(None),
            Design::SharedRows => statistics::estimate_shared_rows(self.correct(set, model).view()),
            Design::Repeats => statistics::estimate_repeats(&scores),
            Design::Resampled => statistics::estimate_resampled(&scores, n_train, n_test),
        };
        estimate.map(Some).map_err(statistics_failed)
    }

    fn compare(&self, set: usize, raw: usize, model: usize) -> Result<Option<Comparison>, Error> {
        let (n_train, n_test) = self.sizes();
        let (with, without) = (self.scores(set, model), self.scores(raw, model));
        let comparison = match self.design {
            Design::Single => return Ok(None),
            Design::SharedRows => {
                let (with, without) = (self.correct(set, model), self.correct(raw, model));
                statistics::compare_shared_rows(with.view(), without.view())
            }
            Design::Repeats => statistics::compare_repeats(&with, &without),
            Design::Resampled => statistics::compare_resampled(&with, &without, n_train, n_test),
        };
        comparison.map(Some).map_err(statistics_failed)
    }

    /// Rows that a final classifier is fitted on, and rows it is judged on.
    fn sizes(&self) -> (usize, usize) {
        let partition = self.repeats[0].data.partition;
        (partition.n_train + partition.n_validation, partition.n_test)
    }

    fn results(&self) -> Result<Vec<ResultRow>, Error> {
        let downstream = &self.pipeline.downstream;
        let raw = downstream.compare.iter().position(|set| *set == FeatureSet::Raw);
        let mut rows = Vec::new();
        let mut family = Vec::new();
        let mut of_row = Vec::new();
        for (set, name) in downstream.compare.iter().enumerate() {
            for (model, estimator) in downstream.models.iter().enumerate() {
                let scores = self.scores(set, model);
                let estimate = self.estimate(set, model)?;
                if let Some(raw) = raw.filter(|raw| *raw != set)
                    && let Some(comparison) = self.compare(set, raw, model)?
                {
                    family.push(comparison);
                    of_row.push(rows.len());
                }
                rows.push(ResultRow {
                    feature_set: name.name().to_owned(),
                    model: estimator.name().to_owned(),
                    n_features: self.repeats[0].judgements[set][model].n_features,
                    mean: scores.iter().sum::<f64>() / scores.len() as f64,
                    ci_low: estimate.map(|estimate| estimate.ci_low),
                    ci_high: estimate.map(|estimate| estimate.ci_high),
                    n: scores.len(),
                    scores,
                    chosen: self.judgements(set, model).map(|(_, j)| j.chosen.clone()).collect(),
                    against_raw: None,
                });
            }
        }
        statistics::holm(&mut family);
        for (row, comparison) in of_row.into_iter().zip(family) {
            rows[row].against_raw = Some(report::Comparison {
                difference: comparison.difference,
                ci_low: Some(comparison.ci_low),
                ci_high: Some(comparison.ci_high),
                p_value: Some(comparison.p_value),
                p_holm: Some(comparison.p_holm),
                mark: match comparison.mark {
                    Mark::Better => report::Mark::Better,
                    Mark::Same => report::Mark::Same,
                    Mark::Worse => report::Mark::Worse,
                },
            });
        }
        Ok(rows)
    }

    /// Scores of each class with the first classifier, mean over the repeats.
    fn per_class(&self) -> Vec<report::ClassRow> {
        let classes = &self.repeats[0].data.classes;
        let mut rows = Vec::new();
        for (set, name) in self.pipeline.downstream.compare.iter().enumerate() {
            let of_repeats: Vec<_> = self
                .judgements(set, 0)
                .map(|(repeat, judgement)| {
                    let truth = &repeat.data.test_classes;
                    metrics::per_class(truth, &judgement.predicted, classes.len())
                })
                .collect();
            for (class, class_name) in classes.iter().enumerate() {
                let mean = |score: fn(&metrics::ClassScores) -> f64| {
                    of_repeats.iter().map(|scores| score(&scores[class])).sum::<f64>()
                        / of_repeats.len() as f64
                };
                rows.push(report::ClassRow {
                    feature_set: name.name().to_owned(),
                    model: self.pipeline.downstream.models[0].name().to_owned(),
                    class: class_name.clone(),
                    precision: mean(|scores| scores.precision),
                    recall: mean(|scores| scores.recall),
                    f1: mean(|scores| scores.f1),
                    support: of_repeats[0][class].support,
                });
            }
        }
        rows
    }

    /// Confusion matrices of the first classifier, summed over the repeats.
    fn confusion(&self) -> Vec<report::Confusion> {
        let n_classes = self.repeats[0].data.classes.len();
        let sets = self.pipeline.downstream.compare.iter().enumerate();
        sets.map(|(set, name)| {
            let mut sum = Array2::<usize>::zeros((n_classes, n_classes));
            for (repeat, judgement) in self.judgements(set, 0) {
                let truth = &repeat.data.test_classes;
                sum += &metrics::confusion(truth, &judgement.predicted, n_classes);
            }
            let row = |row: ndarray::ArrayView1<'_, usize>| row.iter().map(|&n| n as u64).collect();
            report::Confusion {
                feature_set: name.name().to_owned(),
                model: self.pipeline.downstream.models[0].name().to_owned(),
                counts: sum.rows().into_iter().map(row).collect(),
            }
        })
        .collect()
    }
}

fn statistics_failed(source: hourglass_downstream::Error) -> Error {
    Error::Downstream { stage: "report".to_owned(), source }
}
