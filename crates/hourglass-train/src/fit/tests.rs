//! The loop on small problems: it learns, repeats itself, resumes, stops and complains.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hourglass_core::{Matrix, SampleShape};
use hourglass_models::{ModelConfig, build};
use hourglass_nn::ScheduleConfig;
use rand::RngExt;

use super::*;
use crate::EarlyStopping;

const N_FEATURES: usize = 12;

fn data(n: usize) -> Matrix {
    // Points of a curved sheet of two dimensions, so that there is something to learn.
    let mut rng = Seed::new(1).rng();
    let mut data = Matrix::zeros((n, N_FEATURES));
    for mut row in data.rows_mut() {
        let (u, v) = (rng.random::<f32>(), rng.random::<f32>());
        row.indexed_iter_mut().for_each(|(i, value)| {
            *value = (u * (i + 1) as f32).sin() + v * (i as f32 * 0.3).cos();
        });
    }
    data
}

fn config() -> TrainConfig {
    let optimizer = serde_json::from_str(r#"{"adamw": {"learning_rate": 0.003}}"#).unwrap();
    TrainConfig {
        epochs: 6,
        batch_size: 32,
        optimizer,
        schedule: ScheduleConfig::cosine(),
        loss: hourglass_nn::Loss::Mse,
        clip_norm: Some(5.0),
        early_stopping: None,
    }
}

fn model(config: &ModelConfig) -> Box<dyn Autoencoder> {
    build(config, &SampleShape::Vector { len: N_FEATURES }, Seed::new(7)).unwrap()
}

fn weights(model: &dyn Autoencoder) -> Vec<Vec<f32>> {
    model.parameters().iter().map(|p| p.values().unwrap()).collect()
}

/// Raises the interrupt at the n-th report.
struct StopAt<'a> {
    interrupt: &'a Interrupt,
    left: AtomicUsize,
}

impl Progress for StopAt<'_> {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64, _: &str) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.interrupt.raise();
        }
    }
    fn end(&self, _: &str) {}
    fn say(&self, _: &str) {}
}

fn run(
    model: &dyn Autoencoder,
    config: &TrainConfig,
    checkpoint: Option<PathBuf>,
    stop_at: usize,
) -> Result<History> {
    let data = data(401);
    let interrupt = Interrupt::new();
    let progress = StopAt { interrupt: &interrupt, left: AtomicUsize::new(stop_at) };
    let options = FitOptions {
        checkpoint,
        telemetry: None,
        n_watched: 2,
        progress: &progress,
        interrupt: &interrupt,
        ..FitOptions::default()
    };
    let (train, validation) = data.view().split_at(Axis(0), 351);
    fit(model, train, validation, config, Seed::new(3), &options)
}

#[test]
fn learns_and_repeats_itself() {
    for example in ModelConfig::examples() {
        let first = model(&example);
        let history = run(first.as_ref(), &config(), None, usize::MAX).unwrap();
        let losses: Vec<f64> = history.epochs.iter().map(|e| e.validation_loss).collect();
        assert!(losses[5] < 0.8 * losses[0], "{}: {losses:?}", example.kind());
        let second = model(&example);
        assert_eq!(history, run(second.as_ref(), &config(), None, usize::MAX).unwrap());
        assert_eq!(weights(first.as_ref()), weights(second.as_ref()));
        let epochs: Vec<usize> = history.snapshots.iter().map(|s| s.epoch).collect();
        assert_eq!(epochs, [0, 1, 2, 4, 6]);
        assert_eq!(history.snapshots[0].reconstructions.len(), 4);
    }
}

#[test]
fn an_interrupted_run_resumes_bit_for_bit() {
    for example in ModelConfig::examples() {
        let config = TrainConfig {
            schedule: ScheduleConfig::ReduceOnPlateau {
                factor: 0.5,
                patience: 0,
                min_delta: 0.0,
                cooldown: 0,
                floor: 0.0,
            },
            early_stopping: Some(EarlyStopping { patience: 5, min_delta: 0.0 }),
            ..config()
        };
        let whole = model(&example);
        let history = run(whole.as_ref(), &config, None, usize::MAX).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let error = run(model(&example).as_ref(), &config, Some(path.clone()), 7).unwrap_err();
        assert!(matches!(error, Error::Interrupted { checkpoint: Some(_), .. }), "{error}");
        let resumed = model(&example);
        let resumed_history = run(resumed.as_ref(), &config, Some(path), usize::MAX).unwrap();
        assert_eq!(history, resumed_history, "{}", example.kind());
        assert_eq!(weights(whole.as_ref()), weights(resumed.as_ref()));
    }
}

#[test]
fn early_stopping_restores_the_best_weights() {
    let example = &ModelConfig::examples()[1];
    let mut config = config();
    config.schedule = ScheduleConfig::Constant;
    config.clip_norm = None;
    config.epochs = 200;
    config.optimizer = serde_json::from_str(r#"{"sgd": {"learning_rate": 0.2}}"#).unwrap();
    config.early_stopping = Some(EarlyStopping { patience: 3, min_delta: 0.05 });
    let model = model(example);
    let history = run(model.as_ref(), &config, None, usize::MAX).unwrap();
    assert_eq!(history.stopped, Some(Stopped::EarlyStopping));
    assert_eq!(history.epochs.len(), history.best_epoch + 3);
    let data = data(401);
    let (train, validation) = data.view().split_at(Axis(0), 351);
    let options = FitOptions::default();
    let range = range_of(train);
    let seed = Seed::new(3);
    let fit = Fit {
        model: model.as_ref(),
        train,
        validation,
        config: &config,
        seed,
        options: &options,
        range,
    };
    let best = history.epochs[history.best_epoch - 1].validation_loss;
    assert_eq!(fit.validate().unwrap(), best);
}

#[test]
fn a_loss_that_is_no_number_names_place_and_cause() {
    let example = &ModelConfig::examples()[1];
    let mut config = config();
    config.clip_norm = None;
    config.optimizer = serde_json::from_str(r#"{"sgd": {"learning_rate": 1e9}}"#).unwrap();
    let error = run(model(example).as_ref(), &config, None, usize::MAX).unwrap_err();
    let Error::NotFinite { epoch: 1, ref place, ref hint, .. } = error else {
        panic!("{error}");
    };
    assert!(place.starts_with("the loss, since the reconstruction reaches"), "{place}");
    assert!(hint.contains("train.optimizer.sgd.learning_rate = 1e8"), "{hint}");
    assert!(hint.contains("clip_norm"), "{hint}");
}

#[test]
fn telemetry_has_a_line_for_each_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("telemetry.jsonl");
    let data = data(200);
    let (train, validation) = data.view().split_at(Axis(0), 150);
    let options = FitOptions { telemetry: Some(path.clone()), ..FitOptions::default() };
    let model = model(&ModelConfig::examples()[1]);
    fit(model.as_ref(), train, validation, &config(), Seed::new(1), &options).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), 6);
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["validation_loss"].as_f64().unwrap() > 0.0);
        assert!(line["weight_norms"]["encoder.0.weight"].as_f64().unwrap() > 0.0);
        assert!(line["samples_per_second"].as_f64().unwrap() > 0.0);
    }
}

/// Stops at an epoch or at a step, and remembers what it was told.
#[derive(Default)]
struct Watcher {
    stop_at_epoch: Option<usize>,
    stop_at_step: Option<u64>,
    told: Mutex<Vec<String>>,
}

impl Observer for Watcher {
    fn every_steps(&self) -> u64 {
        4
    }

    fn on_step(&self, record: &StepRecord) -> Answer {
        self.told.lock().unwrap().push(format!("step {}", record.step));
        if self.stop_at_step == Some(record.step) {
            return Answer::Stop(Stopped::StepLimit);
        }
        Answer::GoOn
    }

    fn on_epoch(&self, record: &EpochRecord) -> Answer {
        self.told.lock().unwrap().push(format!("epoch {}", record.epoch));
        if self.stop_at_epoch == Some(record.epoch) {
            return Answer::Stop(Stopped::Pruned);
        }
        Answer::GoOn
    }
}

#[test]
fn an_observer_is_told_and_may_end_training() {
    let data = data(401);
    let (train, validation) = data.view().split_at(Axis(0), 351);
    let run = |watcher: &Watcher| {
        let options = FitOptions { observer: watcher, ..FitOptions::default() };
        let model = model(&ModelConfig::examples()[1]);
        fit(model.as_ref(), train, validation, &config(), Seed::new(3), &options).unwrap()
    };
    let pruner = Watcher { stop_at_epoch: Some(2), ..Watcher::default() };
    let history = run(&pruner);
    assert_eq!((history.stopped, history.epochs.len()), (Some(Stopped::Pruned), 2));
    assert_eq!(history.snapshots.len(), 0);
    // 351 rows in batches of 32 are ten steps an epoch.
    let told = ["step 4", "step 8", "epoch 1", "step 12", "step 16", "step 20", "epoch 2"];
    assert_eq!(*pruner.told.lock().unwrap(), told);
    let limit = Watcher { stop_at_step: Some(12), ..Watcher::default() };
    let history = run(&limit);
    assert_eq!((history.stopped, history.epochs.len()), (Some(Stopped::StepLimit), 2));
    assert_eq!(history.epochs[0], run(&Watcher::default()).epochs[0]);
}
