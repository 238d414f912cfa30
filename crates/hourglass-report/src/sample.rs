//! A small report for the tests of the renderings; its numbers are invented.

use std::collections::BTreeMap;

use hourglass_core::{Partition, SampleShape, Task};

use crate::diagnosis::{Cure, Diagnosis, Evidence, Finding, Severity};
use crate::model::*;
use crate::verdict::verdict;
use crate::{DownstreamTiming, StageTiming, Timings};

/// A row with an interval of 0.2 points to each side, compared with raw where `against` says so:
/// the difference and what the test says of it.
pub(crate) fn row(set: &str, model: &str, mean: f64, against: Option<(f64, Mark)>) -> ResultRow {
    ResultRow {
        feature_set: set.into(),
        model: model.into(),
        label_fraction: 1.0,
        n_labels: 1300,
        n_features: if set == RAW { 784 } else { 1000 },
        size: 7850.0,
        scores: vec![mean - 0.001, mean, mean + 0.001],
        mean,
        ci_low: Some(mean - 0.002),
        ci_high: Some(mean + 0.002),
        n: 3,
        metrics: BTreeMap::from([("accuracy".into(), Some(mean)), ("log_loss".into(), None)]),
        chosen: vec![BTreeMap::new(); 3],
        against_raw: against.map(|(difference, mark)| Comparison {
            difference,
            ci_low: Some(difference - 0.004),
            ci_high: Some(difference + 0.004),
            p_value: Some(if mark == Mark::Same { 0.3 } else { 0.000_01 }),
            p_holm: Some(if mark == Mark::Same { 0.6 } else { 0.000_02 }),
            mark,
            effect: None,
            practice: None,
        }),
    }
}

pub(crate) fn report() -> Report {
    let metric = Metric::accuracy();
    let results = vec![
        row(RAW, "logistic_regression", 0.925_8, None),
        row(RAW, "knn", 0.97, None),
        row(AUTOENCODER, "logistic_regression", 0.982_9, Some((0.057_1, Mark::Better))),
        row(AUTOENCODER, "knn", 0.96, Some((-0.01, Mark::Worse))),
    ];
    let confusion = Confusion {
        feature_set: AUTOENCODER.into(),
        model: "logistic_regression".into(),
        counts: vec![vec![290, 10], vec![4, 296]],
    };
    Report {
        schema_version: SCHEMA_VERSION,
        name: "small".into(),
        seed: 42,
        repeats: 3,
        folds: 1,
        repeat_seeds: vec![u64::MAX, 2, 3],
        verdict: verdict(&results, &metric, "logistic_regression"),
        data: DataSummary {
            dataset: "two classes".into(),
            sentence: "Read from `two.csv`.".into(),
            task: Task::Classification,
            fallback: None,
            rows: Partition { n_train: 1200, n_validation: 100, n_test: 200 },
            n_features: 784,
            classes: vec!["<b>".into(), "a|b".into()],
            licence: None,
            citation: None,
            files: vec![DataFile {
                name: "two.csv".into(),
                sha256: "ab".repeat(32),
                bytes: 12_345,
            }],
        },
        model: ModelSummary {
            kind: "k_sparse".into(),
            description: "4-3-4".into(),
            n_parameters: 1_234,
            latent_dim: 3,
            feature_width: 3,
            optimiser: "adam, learning rate 0.001".into(),
        },
        metric,
        method: vec!["The test is paired.".into()],
        results,
        main_model: "logistic_regression".into(),
        label_fractions: vec![1.0],
        per_class: vec![ClassRow {
            feature_set: AUTOENCODER.into(),
            model: "logistic_regression".into(),
            class: "<b>".into(),
            precision: f64::NAN,
            recall: 0.5,
            f1: 2.0 / 3.0,
            support: 100,
        }],
        confusion: vec![confusion],
        curves: vec![ScoreCurves {
            feature_set: AUTOENCODER.into(),
            model: "logistic_regression".into(),
            roc: vec![[0.0, 0.0], [0.1, 0.9], [1.0, 1.0]],
            calibration: vec![[0.05, 0.04, 100.0], [0.95, 0.97, 100.0]],
        }],
        predictions: Vec::new(),
        training: vec![TrainingRun {
            repeat: 0,
            best_epoch: 2,
            stopped_because: "both epochs done".into(),
            epochs: (1..=2).map(|epoch| epoch_row(epoch, 0.1 / epoch as f64)).collect(),
        }],
        reconstruction: Some(reconstruction(SampleShape::Image {
            channels: 1,
            height: 2,
            width: 2,
        })),
        latent_map: Some(LatentMap {
            method: "first two latent units".into(),
            points: vec![[0.1, 0.2], [f32::NAN, 0.0], [0.5, -0.25]],
            classes: vec![0, 1, 1],
            explained_variance: None,
        }),
        diagnosis: Some(diagnosis()),
        resolved_file: "name = \"small\"\n".into(),
        versions: BTreeMap::from([("hourglass".into(), "0.1.0".into())]),
    }
}

fn diagnosis() -> Diagnosis {
    let plateau = Finding {
        id: "plateau".into(),
        title: "nothing falls any more".into(),
        severity: Severity::Warning,
        sentence: "the loss stands at <b>".into(),
        evidence: vec![
            Evidence { what: "idle epochs".into(), value: 12.0, limit: Some(10.0) },
            Evidence { what: "rate".into(), value: 1e-3, limit: None },
        ],
        curve: vec![1.0, 0.5, 0.25, 0.25],
        cures: vec![Cure {
            changes: vec!["train.early_stopping = { patience = 5 }".into()],
            because: "the time can be saved".into(),
        }],
    };
    Diagnosis { findings: vec![plateau], left_out: vec!["the spectrum: no image".into()] }
}

fn epoch_row(epoch: usize, loss: f64) -> EpochRow {
    EpochRow {
        epoch,
        train_loss: loss,
        validation_loss: Some(loss * 1.1),
        learning_rate: 0.001,
        reconstruction_error: None,
    }
}

pub(crate) fn reconstruction(shape: SampleShape) -> Reconstruction {
    let sample = FixedSample {
        label: Some("<b>".into()),
        original: vec![0.0, 1.0, 0.5, 0.25],
        reconstructions: vec![vec![0.1, 0.9, 0.5, 0.25]],
    };
    Reconstruction {
        shape,
        value_range: [0.0, 1.0],
        errors: vec![ReconstructionError {
            name: "pca (3)".into(),
            train: Some(13.866),
            validation: None,
            test: Some(14.2),
        }],
        losses: Vec::new(),
        epochs: vec![2],
        train: vec![sample],
        validation: Vec::new(),
    }
}

pub(crate) fn timings() -> Timings {
    let stage = |repeat, from_cache| StageTiming {
        repeat: Some(repeat),
        stage: "train".into(),
        seconds: 1.25,
        from_cache,
    };
    Timings {
        schema_version: SCHEMA_VERSION,
        started: "2026-01-01T00:00:00Z".into(),
        finished: "2026-01-01T00:00:03Z".into(),
        total_seconds: 2.5,
        peak_memory_mib: None,
        threads: 1,
        machine: "a machine".into(),
        stages: vec![stage(0, false), stage(1, true)],
        downstream: vec![DownstreamTiming {
            repeat: 0,
            feature_set: RAW.into(),
            model: "knn".into(),
            label_fraction: 1.0,
            fit_seconds: 0.5,
            predict_seconds: 0.25,
        }],
    }
}
