//! From the judgements of all runs to scores, intervals and paired tests: the right ones for what
//! the runs have in common. The statistics themselves are in `hourglass-downstream`.

use std::collections::BTreeMap;

use hourglass_core::{Seed, Task};
use hourglass_downstream::{ClassPredictions, Comparison, Estimate, Mark, Metric};
use hourglass_downstream::{metrics, statistics};
use hourglass_features::FeatureSet;
use hourglass_report as report;
use hourglass_report::ResultRow;
use ndarray::{Array2, Axis};

use crate::config::Pipeline;
use crate::error::Error;
use crate::judgement::Judgement;
use crate::repeat::RepeatResult;

/// Draws of a bootstrap.
const N_DRAWS: usize = 1000;

/// Differences up to this share count as none: a point of a metric that is a fraction, a hundredth
/// of the raw score of another (Benavoli et al., JMLR 2017).
const SAME_WITHIN: f64 = 0.01;

/// Points of a ROC curve, bins of a calibration curve, rows of a plot of predictions.
const ROC_POINTS: usize = 100;
const CALIBRATION_BINS: usize = 10;
const MOST_PREDICTIONS: usize = 500;

/// The judgements of all runs, and how they may be compared.
pub(crate) struct Scores<'a> {
    pipeline: &'a Pipeline,
    repeats: &'a [RepeatResult],
    pub(crate) metric: Metric,
    design: Design,
}

/// What the runs have in common decides which statistic is right.
#[derive(Clone, Copy, PartialEq)]
enum Design {
    /// One run: the spread over its test rows.
    OneTestSet,
    /// The same test rows in each, and a score that is a mean over rows.
    SharedRows,
    /// The same test rows in each, and another score.
    Repeats,
    /// Test rows split off anew in each.
    Resampled,
    /// Each row is a test row once in each repeat.
    Folds,
}

/// One row of the results, by its places in the file.
#[derive(Clone, Copy)]
struct Place {
    labels: usize,
    set: usize,
    model: usize,
}

impl<'a> Scores<'a> {
    pub(crate) fn new(pipeline: &'a Pipeline, repeats: &'a [RepeatResult]) -> Self {
        let metric = pipeline.downstream.metric_for(repeats[0].data.task);
        let design = match (repeats.len(), repeats[0].data.test_is_published) {
            (1, _) => Design::OneTestSet,
            (_, true) if metric.is_mean_over_rows() => Design::SharedRows,
            (_, true) => Design::Repeats,
            (_, false) if pipeline.split.n_folds() > 1 => Design::Folds,
            (_, false) => Design::Resampled,
        };
        Scores { pipeline, repeats, metric, design }
    }

    pub(crate) fn method(&self) -> Vec<String> {
        let test = match self.design {
            Design::OneTestSet if self.metric == Metric::Accuracy => {
                "One run on one test set: intervals count the spread over its rows (bootstrap), \
                 the test is McNemar's (mid-p). Neither says what another seed would do; raise \
                 `repeats` for that."
            }
            Design::OneTestSet => {
                "One run on one test set: intervals and paired tests count the spread over its \
                 rows (bootstrap). They don't say what another seed would do; raise `repeats` for \
                 that."
            }
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
            Design::Folds => {
                "Cross-validation with all preprocessing and the autoencoder fitted anew in each \
                 fold; intervals and paired tests are the corrected resampled t of Nadeau and \
                 Bengio (2003)."
            }
        };
        let mut method = vec![
            test.to_owned(),
            "Marks are given at the 5 % level after Holm's correction over all comparisons with \
             raw features."
                .to_owned(),
            "Everything is fitted on the training part and chosen on validation; the test part is \
             read once per fit. Every model chooses among the same few hyperparameters for every \
             feature set."
                .to_owned(),
        ];
        method.extend(self.choices());
        if self.pipeline.downstream.label_fraction.iter().any(|fraction| *fraction < 1.0) {
            method.push(
                "With few labels the autoencoder is trained on all rows, the models are fitted and \
                 chosen on the labelled ones, which keep the classes' shares and are the same for \
                 every feature set."
                    .to_owned(),
            );
        }
        method
    }

    /// Where models choose their hyperparameters, where that isn't on validation rows.
    fn choices(&self) -> Option<String> {
        let labelled = self.repeats[0].judgements.iter().map(|sets| sets[0][0].n_labels);
        let folds: Vec<usize> = labelled.map(|n| self.pipeline.inner_folds(n)).collect();
        let most = folds.iter().copied().max().filter(|most| *most > 1)?;
        let where_few =
            if folds.iter().all(|n| *n == most) { "" } else { ", where there are few of these" };
        Some(format!(
            "Models choose their hyperparameters on {most} inner folds of the labelled training and \
             validation rows{where_few}, and are then fitted to all of these."
        ))
    }

    fn sets(&self) -> &'a [FeatureSet] {
        &self.pipeline.downstream.compare
    }

    /// Shares of the labels, ascending, with their places in the file.
    fn fractions(&self) -> Vec<(usize, f64)> {
        let mut fractions: Vec<(usize, f64)> =
            self.pipeline.downstream.label_fraction.iter().copied().enumerate().collect();
        fractions.sort_by(|a, b| a.1.total_cmp(&b.1));
        fractions
    }

    pub(crate) fn label_fractions(&self) -> Vec<f64> {
        self.fractions().into_iter().map(|(_, fraction)| fraction).collect()
    }

    /// The place of a feature set with the first model and the most labels.
    fn main(&self, set: usize) -> Place {
        let labels = self.fractions().last().map_or(0, |(labels, _)| *labels);
        Place { labels, set, model: 0 }
    }

    fn judgements(
        &self,
        place: Place,
    ) -> impl Iterator<Item = (&'a RepeatResult, &'a Judgement)> + use<'a> {
        let Place { labels, set, model } = place;
        self.repeats.iter().map(move |run| (run, &run.judgements[labels][set][model]))
    }

    fn scores(&self, place: Place, metric: Metric) -> Vec<f64> {
        let score = |(run, judgement): (&RepeatResult, &Judgement)| match run.data.task {
            Task::Classification => metric.of_classes(&said(run, judgement)),
            Task::Regression => metric.of_values(&run.data.test_values, &judgement.values),
        };
        self.judgements(place).map(score).collect()
    }

    /// `(n_runs, n_test)`: a number for each row whose mean is the score.
    fn of_rows(&self, place: Place) -> Array2<f64> {
        let n_test = self.repeats[0].data.partition.n_test;
        let mut numbers = Array2::zeros((self.repeats.len(), n_test));
        for (mut row, (run, judgement)) in
            numbers.rows_mut().into_iter().zip(self.judgements(place))
        {
            let of_rows = match run.data.task {
                Task::Classification => {
                    metrics::correct(&run.data.test_classes, &judgement.predicted)
                }
                Task::Regression => {
                    metrics::absolute_errors(&run.data.test_values, &judgement.values)
                }
            };
            row.iter_mut().zip(of_rows).for_each(|(to, from)| *to = from);
        }
        numbers
    }

    /// The score of the first run over some of its test rows.
    fn of_drawn(&self, place: Place, rows: &[usize]) -> f64 {
        let Some((run, judgement)) = self.judgements(place).next() else { return f64::NAN };
        let data = &run.data;
        if data.task == Task::Regression {
            let pick = |values: &[f32]| rows.iter().map(|&row| values[row]).collect::<Vec<f32>>();
            return self.metric.of_values(&pick(&data.test_values), &pick(&judgement.values));
        }
        let pick = |ids: &[u32]| rows.iter().map(|&row| ids[row]).collect::<Vec<u32>>();
        let (truth, predicted) = (pick(&data.test_classes), pick(&judgement.predicted));
        let from_classes = self.metric.score(&truth, &predicted, data.classes.len());
        if from_classes.is_finite() {
            return from_classes;
        }
        let scores = judgement.scores.select(Axis(0), rows);
        let are_probabilities = judgement.are_probabilities;
        self.metric.of_classes(&ClassPredictions {
            truth: &truth,
            predicted: &predicted,
            scores: scores.view(),
            are_probabilities,
        })
    }

    fn draw_seed(&self) -> Seed {
        Seed::new(self.pipeline.seed).child("bootstrap")
    }

    fn estimate(&self, place: Place, scores: &[f64]) -> Result<Option<Estimate>, Error> {
        if scores.iter().any(|score| !score.is_finite()) {
            return Ok(None);
        }
        let (n_train, n_test) = self.sizes();
        let estimate = match self.design {
            Design::OneTestSet => {
                let draw = |rows: &[usize]| self.of_drawn(place, rows);
                let interval = statistics::bootstrap(n_test, N_DRAWS, self.draw_seed(), draw);
                return Ok(interval.map(|interval| Estimate {
                    mean: scores[0],
                    ci_low: interval.low,
                    ci_high: interval.high,
                    n: 1,
                }));
            }
            Design::SharedRows => statistics::estimate_shared_rows(self.of_rows(place).view()),
            Design::Repeats => statistics::estimate_repeats(scores),
            Design::Resampled | Design::Folds => {
                statistics::estimate_resampled(scores, n_train, n_test)
            }
        };
        estimate.map(Some).map_err(statistics_failed)
    }

    /// The comparison with raw, signed so that positive is better.
    fn compare(&self, place: Place, raw: usize) -> Result<Option<Comparison>, Error> {
        let (n_train, n_test) = self.sizes();
        let without = Place { set: raw, ..place };
        let sign = if self.metric.higher_is_better() { 1.0 } else { -1.0 };
        let signed = |place| -> Vec<f64> {
            self.scores(place, self.metric).into_iter().map(|score| sign * score).collect()
        };
        let (a, b) = (signed(place), signed(without));
        if a.iter().chain(&b).any(|score| !score.is_finite()) {
            return Ok(None);
        }
        let comparison = match self.design {
            Design::OneTestSet => {
                let draw = |rows: &[usize]| {
                    sign * (self.of_drawn(place, rows) - self.of_drawn(without, rows))
                };
                let (seed, difference) = (self.draw_seed(), a[0] - b[0]);
                let found = statistics::compare_bootstrap(n_test, N_DRAWS, seed, difference, draw);
                let Some(mut comparison) = found else { return Ok(None) };
                if self.metric == Metric::Accuracy {
                    comparison.p_value = self.mcnemar(place, without);
                }
                return Ok(Some(comparison));
            }
            Design::SharedRows => {
                let (a, b) = (self.of_rows(place) * sign, self.of_rows(without) * sign);
                statistics::compare_shared_rows(a.view(), b.view())
            }
            Design::Repeats => statistics::compare_repeats(&a, &b),
            Design::Resampled | Design::Folds => {
                statistics::compare_resampled(&a, &b, n_train, n_test)
            }
        };
        comparison.map(Some).map_err(statistics_failed)
    }

    fn mcnemar(&self, place: Place, without: Place) -> f64 {
        let (a, b) = (self.of_rows(place), self.of_rows(without));
        let only = |x: &Array2<f64>, y: &Array2<f64>| {
            x.iter().zip(y).filter(|(x, y)| **x > 0.5 && **y < 0.5).count() as u64
        };
        statistics::mcnemar(only(&a, &b), only(&b, &a)).mid_p
    }

    /// Rows that a final model is fitted on, and rows it is judged on.
    fn sizes(&self) -> (usize, usize) {
        let partition = self.repeats[0].data.partition;
        (partition.n_train + partition.n_validation, partition.n_test)
    }

    pub(crate) fn results(&self) -> Result<Vec<ResultRow>, Error> {
        let raw = self.sets().iter().position(|set| *set == FeatureSet::Raw);
        let mut rows = Vec::new();
        let mut family = Vec::new();
        let mut of_row = Vec::new();
        for (labels, fraction) in self.fractions() {
            for (set, _) in self.sets().iter().enumerate() {
                for (model, _) in self.pipeline.downstream.models.iter().enumerate() {
                    let place = Place { labels, set, model };
                    if let Some(raw) = raw.filter(|raw| *raw != set)
                        && let Some(comparison) = self.compare(place, raw)?
                    {
                        family.push(comparison);
                        of_row.push((rows.len(), place, raw));
                    }
                    rows.push(self.row(place, fraction)?);
                }
            }
        }
        statistics::holm(&mut family);
        for ((row, place, raw), comparison) in of_row.into_iter().zip(family) {
            let without = Place { set: raw, ..place };
            rows[row].against_raw = Some(self.worded(place, without, &comparison));
        }
        Ok(rows)
    }

    fn row(&self, place: Place, fraction: f64) -> Result<ResultRow, Error> {
        let scores = self.scores(place, self.metric);
        let estimate = self.estimate(place, &scores)?;
        let task = self.repeats[0].data.task;
        let mean_of = |metric: Metric| {
            let scores = self.scores(place, metric);
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            (metric.name().to_owned(), mean.is_finite().then_some(mean))
        };
        let metrics: BTreeMap<String, Option<f64>> =
            Metric::ALL.into_iter().filter(|metric| metric.task() == task).map(mean_of).collect();
        let of_runs = || self.judgements(place).map(|(_, judgement)| judgement);
        let first = &self.repeats[0].judgements[place.labels][place.set][place.model];
        Ok(ResultRow {
            feature_set: self.sets()[place.set].name().to_owned(),
            model: self.pipeline.downstream.models[place.model].name().to_owned(),
            label_fraction: fraction,
            n_labels: first.n_labels,
            n_features: first.n_features,
            size: of_runs().map(|judgement| judgement.size as f64).sum::<f64>()
                / scores.len() as f64,
            mean: scores.iter().sum::<f64>() / scores.len() as f64,
            ci_low: estimate.map(|estimate| estimate.ci_low),
            ci_high: estimate.map(|estimate| estimate.ci_high),
            n: scores.len(),
            scores,
            metrics,
            chosen: of_runs().map(|judgement| judgement.chosen.clone()).collect(),
            against_raw: None,
        })
    }

    fn worded(&self, place: Place, raw: Place, comparison: &Comparison) -> report::Comparison {
        let (with, without) = (self.scores(place, self.metric), self.scores(raw, self.metric));
        let (n_train, n_test) = self.sizes();
        let overlap = match self.design {
            Design::Resampled | Design::Folds => n_test as f64 / n_train as f64,
            _ => 0.0,
        };
        let (better, worse) =
            if self.metric.higher_is_better() { (&with, &without) } else { (&without, &with) };
        let effect = statistics::effect_size(better, worse, overlap);
        let same_within = if self.metric.is_fraction() {
            SAME_WITHIN
        } else {
            SAME_WITHIN * (without.iter().sum::<f64>() / without.len() as f64).abs()
        };
        let posterior = comparison.posterior(same_within);
        report::Comparison {
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
            effect: effect.map(|effect| report::Effect {
                size: effect.size,
                ci_low: effect.ci_low,
                ci_high: effect.ci_high,
            }),
            practice: Some(report::Practice {
                same_within,
                better: posterior.better,
                same: posterior.same,
                worse: posterior.worse,
            }),
        }
    }

    /// Scores of each class with the first model and the most labels, mean over the runs.
    pub(crate) fn per_class(&self) -> Vec<report::ClassRow> {
        let classes = &self.repeats[0].data.classes;
        let mut rows = Vec::new();
        for (set, name) in self.sets().iter().enumerate() {
            let of_runs: Vec<_> = self
                .judgements(self.main(set))
                .map(|(run, judgement)| {
                    let truth = &run.data.test_classes;
                    metrics::per_class(truth, &judgement.predicted, classes.len())
                })
                .collect();
            for (class, class_name) in classes.iter().enumerate() {
                let mean = |score: fn(&metrics::ClassScores) -> f64| {
                    of_runs.iter().map(|scores| score(&scores[class])).sum::<f64>()
                        / of_runs.len() as f64
                };
                rows.push(report::ClassRow {
                    feature_set: name.name().to_owned(),
                    model: self.main_model(),
                    class: class_name.clone(),
                    precision: mean(|scores| scores.precision),
                    recall: mean(|scores| scores.recall),
                    f1: mean(|scores| scores.f1),
                    support: of_runs[0][class].support,
                });
            }
        }
        rows
    }

    /// Confusion matrices of the first model with the most labels, summed over the runs.
    pub(crate) fn confusion(&self) -> Vec<report::Confusion> {
        let n_classes = self.repeats[0].data.classes.len();
        if n_classes == 0 {
            return Vec::new();
        }
        let sets = self.sets().iter().enumerate();
        sets.map(|(set, name)| {
            let mut sum = Array2::<usize>::zeros((n_classes, n_classes));
            for (run, judgement) in self.judgements(self.main(set)) {
                let truth = &run.data.test_classes;
                sum += &metrics::confusion(truth, &judgement.predicted, n_classes);
            }
            let row = |row: ndarray::ArrayView1<'_, usize>| row.iter().map(|&n| n as u64).collect();
            report::Confusion {
                feature_set: name.name().to_owned(),
                model: self.main_model(),
                counts: sum.rows().into_iter().map(row).collect(),
            }
        })
        .collect()
    }

    /// ROC and calibration curves of the first model with the most labels, over all runs.
    pub(crate) fn curves(&self) -> Vec<report::ScoreCurves> {
        if self.repeats[0].data.task == Task::Regression {
            return Vec::new();
        }
        let sets = self.sets().iter().enumerate();
        sets.map(|(set, name)| {
            let judgements: Vec<_> = self.judgements(self.main(set)).collect();
            let truth: Vec<u32> =
                judgements.iter().flat_map(|(run, _)| run.data.test_classes.clone()).collect();
            let views: Vec<_> = judgements.iter().map(|(_, j)| j.scores.view()).collect();
            let scores = ndarray::concatenate(Axis(0), &views).unwrap_or_default();
            let bins = match judgements.iter().all(|(_, j)| j.are_probabilities) {
                true => metrics::calibration_curve(&truth, scores.view(), CALIBRATION_BINS),
                false => Vec::new(),
            };
            report::ScoreCurves {
                feature_set: name.name().to_owned(),
                model: self.main_model(),
                roc: metrics::roc_curve(&truth, scores.view(), ROC_POINTS),
                calibration: bins
                    .into_iter()
                    .map(|bin| [bin.predicted, bin.observed, bin.n as f64])
                    .collect(),
            }
        })
        .collect()
    }

    /// Predictions of the first model with the most labels beside the truth, of the first run.
    pub(crate) fn predictions(&self) -> Vec<report::ValuePredictions> {
        let data = &self.repeats[0].data;
        if data.task == Task::Classification {
            return Vec::new();
        }
        let sets = self.sets().iter().enumerate();
        sets.map(|(set, name)| {
            let values = self.judgements(self.main(set)).next().map(|(_, j)| j.values.as_slice());
            let pairs = data.test_values.iter().zip(values.unwrap_or_default());
            report::ValuePredictions {
                feature_set: name.name().to_owned(),
                model: self.main_model(),
                points: pairs.take(MOST_PREDICTIONS).map(|(&t, &p)| [t, p]).collect(),
            }
        })
        .collect()
    }

    pub(crate) fn main_model(&self) -> String {
        self.pipeline.downstream.models[0].name().to_owned()
    }

    /// What each fit took, also where it came from the cache.
    pub(crate) fn timings(&self) -> Vec<report::DownstreamTiming> {
        let mut timings = Vec::new();
        for (labels, label_fraction) in self.fractions() {
            for (set, name) in self.sets().iter().enumerate() {
                for (model, estimator) in self.pipeline.downstream.models.iter().enumerate() {
                    let place = Place { labels, set, model };
                    for (repeat, (_, judgement)) in self.judgements(place).enumerate() {
                        timings.push(report::DownstreamTiming {
                            repeat,
                            feature_set: name.name().to_owned(),
                            model: estimator.name().to_owned(),
                            label_fraction,
                            fit_seconds: judgement.seconds.fit,
                            predict_seconds: judgement.seconds.predict,
                        });
                    }
                }
            }
        }
        timings
    }
}

fn said<'a>(run: &'a RepeatResult, judgement: &'a Judgement) -> ClassPredictions<'a> {
    ClassPredictions {
        truth: &run.data.test_classes,
        predicted: &judgement.predicted,
        scores: judgement.scores.view(),
        are_probabilities: judgement.are_probabilities,
    }
}

fn statistics_failed(source: hourglass_downstream::Error) -> Error {
    Error::Downstream { stage: "report".to_owned(), source }
}
