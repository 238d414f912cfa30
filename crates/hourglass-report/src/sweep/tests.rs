//! The page of a study that was made up, and of one without a trial.

use std::collections::BTreeMap;

use super::*;
use crate::model::Metric;

fn parameter(path: &str, is_log: bool, choices: &[&str], importance: f64) -> SweepParameter {
    SweepParameter {
        path: path.to_owned(),
        is_log,
        choices: choices.iter().map(|label| (*label).to_owned()).collect(),
        importance: Some(importance),
    }
}

fn trial(number: u64) -> SweepTrial {
    let x = (number as f64 * 0.37).fract();
    let state = match number % 6 {
        4 => SweepState::Pruned,
        5 => SweepState::Failed,
        _ => SweepState::Complete,
    };
    let mut parameters = BTreeMap::from([
        ("train.optimizer.adam.learning_rate".to_owned(), 10_f64.powf(-4.0 + 2.0 * x)),
        ("model.k_sparse.k".to_owned(), (4.0 + 60.0 * x).round()),
    ]);
    if number.is_multiple_of(2) {
        parameters.insert("train.loss".to_owned(), f64::from(u8::from(number.is_multiple_of(4))));
    }
    let is_complete = state == SweepState::Complete;
    SweepTrial {
        number,
        state,
        values: if is_complete { vec![0.9 + 0.05 * x, 20.0 + 100.0 * x] } else { Vec::new() },
        parameters,
        curve: (1..=5).map(|epoch| (epoch, 0.1 / epoch as f64 + 0.01 * x)).collect(),
        seconds: Some(1.5),
        reason: (state == SweepState::Failed).then(|| "the loss became NaN & stayed".to_owned()),
    }
}

fn report(n_trials: u64) -> SweepReport {
    let objective =
        |name: &str, higher_is_better| SweepObjective { name: name.to_owned(), higher_is_better };
    let test = |label: &str, mean| SweepTest {
        label: label.to_owned(),
        run: "digits-12345678".to_owned(),
        metric: Metric::accuracy(),
        verdict: "It helps.".to_owned(),
        rows: vec![SweepTestRow {
            feature_set: "autoencoder".to_owned(),
            model: "knn".to_owned(),
            mean,
            interval: Some((mean - 0.01, mean + 0.01)),
        }],
    };
    SweepReport {
        schema_version: SWEEP_SCHEMA_VERSION,
        name: "digits".to_owned(),
        study: "digits-0a1b2c3d".to_owned(),
        seed: 42,
        sampler: "tpe".to_owned(),
        pruner: "median".to_owned(),
        objectives: vec![
            objective("downstream_validation", true),
            objective("model.latent_dim", false),
        ],
        intermediate: "validation loss".to_owned(),
        parameters: vec![
            parameter("train.optimizer.adam.learning_rate", true, &[], 0.7),
            parameter("model.k_sparse.k", false, &[], 0.2),
            parameter("train.loss", false, &["mse", "bce"], 0.1),
        ],
        trials: (0..n_trials).map(trial).collect(),
        best: (n_trials > 0).then_some(0),
        front: if n_trials > 0 { vec![0, 2] } else { Vec::new() },
        changes: vec![SweepChange {
            path: "model.k_sparse.k".to_owned(),
            from: Some("16".to_owned()),
            to: "23".to_owned(),
        }],
        tested: vec![test("the file as it stands", 0.95), test("trial 0", 0.97)],
    }
}

#[test]
fn every_drawing_is_there_and_nothing_is_loaded() {
    let html = sweep_html(&report(24)).unwrap();
    for heading in [
        "On test",
        "What the best trial changes",
        "History",
        "Pareto front",
        "Importance",
        "The two most important parameters",
        "Parallel coordinates",
        "Slices",
        "Intermediate values",
        "Why trials failed",
    ] {
        assert!(html.contains(heading), "{heading}");
    }
    assert_eq!(html.matches("<svg").count(), 3 + 2 + 1 + 3);
    assert!(html.contains("NaN &amp; stayed"));
    for outside in ["http://", "https://", "<script", "<link", "NaN\"", "inf"] {
        assert!(!html.replace("info", "").contains(outside), "{outside}");
    }
    assert_eq!(html, sweep_html(&report(24)).unwrap());
}

#[test]
fn a_study_without_a_finished_trial_has_a_page() {
    let mut empty = report(0);
    (empty.tested, empty.changes) = (Vec::new(), Vec::new());
    empty.parameters.iter_mut().for_each(|parameter| parameter.importance = None);
    let html = sweep_html(&empty).unwrap();
    assert!(html.contains("No trial has finished.") && !html.contains("<svg"));
}

#[test]
fn it_comes_back_from_json() {
    let report = report(7);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<SweepReport>(&text).unwrap(), report);
}
