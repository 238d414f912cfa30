//! The loop on small problems: it learns, repeats itself, resumes, stops and complains.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hourglass_core::{Interrupt, Matrix, Progress, SampleShape};
use hourglass_models::{ModelConfig, build};
use hourglass_nn::{OptimizerConfig, ScheduleConfig, SgdConfig, WeightPenalty};
use ndarray::Axis;
use rand::RngExt;

use super::*;
use crate::{
    Answer, Average, CorruptionStrength, EarlyStopping, EpochRecord, EpochTelemetry, Observer,
    StepRecord, Stopped,
};

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
        batch_size: 32,
        schedule: ScheduleConfig::cosine(),
        clip_norm: Some(5.0),
        ..TrainConfig::new(6, optimizer)
    }
}

fn model(config: &ModelConfig) -> Box<dyn Autoencoder> {
    build(config, &SampleShape::Vector { len: N_FEATURES }, Seed::new(7)).unwrap()
}

/// Every architecture that takes vectors.
fn examples() -> Vec<ModelConfig> {
    ModelConfig::examples_for(&SampleShape::Vector { len: N_FEATURES })
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
    for example in examples() {
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
    for example in examples() {
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
    let fit = Fit::new(model.as_ref(), train, validation, &config, Seed::new(3), &options);
    let best = history.epochs[history.best_epoch - 1].validation_loss;
    assert_eq!(fit.validate(&fit.start()).unwrap().total, best);
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
    let data = data(401);
    let (train, validation) = data.view().split_at(Axis(0), 351);
    let options = FitOptions {
        telemetry: Some(path.clone()),
        tensorboard: Some(folder.path().join("events")),
        n_watched: 3,
        ..FitOptions::default()
    };
    for example in examples() {
        let model = model(&example);
        let config =
            TrainConfig { weight_penalty: Some(WeightPenalty { l1: 0.0, l2: 1e-3 }), ..config() };
        let watched = fit(model.as_ref(), train, validation, &config, Seed::new(1), &options);
        let silent = self::model(&example);
        let unwatched = FitOptions { n_watched: 3, ..FitOptions::default() };
        let alone = fit(silent.as_ref(), train, validation, &config, Seed::new(1), &unwatched);
        assert_eq!(watched.unwrap(), alone.unwrap(), "watching changes nothing");
        assert_eq!(weights(model.as_ref()), weights(silent.as_ref()));
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<EpochTelemetry> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 6);
        for line in &lines {
            let sum: f64 = line.validation_parts.values().sum();
            assert!((sum / line.validation_loss - 1.0).abs() < 1e-5, "parts sum to the loss");
            assert!(line.train_parts["reconstruction"] > 0.0 && line.samples_per_second > 0.0);
            assert!(line.weight_penalty.unwrap() > 0.0);
            assert_eq!(line.parameters.len(), model.parameters().len());
            // Layers that learn one after the other stand still for some epochs.
            let together = example.kind() != "stacked_denoising";
            for parameter in line.parameters.iter().filter(|_| together) {
                assert!(parameter.gradient_norm > 0.0 && parameter.update_norm > 0.0);
            }
            let squares: f64 = line.parameters.iter().map(|p| p.gradient_norm.powi(2)).sum();
            assert!((squares.sqrt() / line.gradient_norm - 1.0).abs() < 1e-6);
            assert_eq!(line.n_measured_rows, 50);
            assert_eq!(line.feature_errors.len(), N_FEATURES);
            let widths: Vec<usize> = line.layers.iter().map(|layer| layer.n_units).collect();
            let latent_dim = model.latent_dim();
            assert!(
                widths.last() == Some(&latent_dim) || widths.iter().sum::<usize>() == latent_dim
            );
            let spectrum = &line.latent.spectrum;
            assert_eq!(spectrum.len(), if latent_dim > 50 { 49 } else { latent_dim });
            assert!(spectrum.windows(2).all(|pair| pair[0] >= pair[1]));
            let n_reconstructions = if [1, 2, 4, 6].contains(&line.epoch) { 6 } else { 0 };
            assert_eq!(line.reconstructions.len(), n_reconstructions);
        }
    }
    let n_examples = examples().len();
    assert_eq!(std::fs::read_dir(folder.path().join("events")).unwrap().count(), n_examples);
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    // Without noise and selection, the mean of two halves' gradients is that of the whole.
    let example = &ModelConfig::examples()[1];
    let run_with = |batch_size, accumulate| {
        let config = TrainConfig { batch_size, accumulate, ..config() };
        let model = model(example);
        run(model.as_ref(), &config, None, usize::MAX).unwrap();
        weights(model.as_ref()).concat()
    };
    let (whole, halves) = (run_with(32, 1), run_with(16, 2));
    assert_eq!(whole.len(), halves.len());
    let worst = whole.iter().zip(&halves).fold(0.0_f32, |w, (a, b)| w.max((a - b).abs()));
    assert!(worst < 1e-4, "{worst}");
    let plain = run_with(16, 1);
    assert!(whole.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 1e-2), "twice as many steps");
}

#[test]
fn the_average_of_the_weights_is_judged_and_kept() {
    let example = &ModelConfig::examples()[1];
    let config = TrainConfig { weight_average: Some(Average { decay: 0.9 }), ..config() };
    let averaged = model(example);
    let history = run(averaged.as_ref(), &config, None, usize::MAX).unwrap();
    let data = data(401);
    let (train, validation) = data.view().split_at(Axis(0), 351);
    let options = FitOptions::default();
    let fit = Fit::new(averaged.as_ref(), train, validation, &config, Seed::new(3), &options);
    let last = history.epochs.last().unwrap().validation_loss;
    assert_eq!(fit.validate(&fit.start()).unwrap().total, last);
    let plain = model(example);
    run(plain.as_ref(), &TrainConfig { weight_average: None, ..config.clone() }, None, usize::MAX)
        .unwrap();
    assert_ne!(weights(averaged.as_ref()), weights(plain.as_ref()));
}

#[test]
fn a_price_on_weights_and_a_limit_of_norms_hold_them_down() {
    let example = &ModelConfig::examples()[1];
    let norm = |config: &TrainConfig| {
        let model = model(example);
        run(model.as_ref(), config, None, usize::MAX).unwrap();
        weights(model.as_ref()).concat().iter().map(|w| w * w).sum::<f32>().sqrt()
    };
    let plain = norm(&config());
    for held in [
        TrainConfig { weight_penalty: Some(WeightPenalty { l1: 0.0, l2: 0.1 }), ..config() },
        TrainConfig { weight_penalty: Some(WeightPenalty { l1: 0.2, l2: 0.0 }), ..config() },
        TrainConfig { max_norm: Some(0.5), ..config() },
    ] {
        assert!(norm(&held) < 0.9 * plain, "{held:?}");
    }
    // Clipping by value and adaptively hold back what a far too large rate does.
    let optimizer = OptimizerConfig::Sgd(SgdConfig::new(5.0));
    let wild = TrainConfig { clip_norm: None, optimizer, ..config() };
    for clipped in [
        TrainConfig { clip_value: Some(1e-4), ..wild.clone() },
        TrainConfig { clip_adaptive: Some(1e-3), ..wild.clone() },
    ] {
        assert!(norm(&clipped) < 2.0 * plain, "{clipped:?}");
    }
}

#[test]
fn the_strength_of_a_corruption_follows_its_schedule() {
    let strength = CorruptionStrength { start: 1.0, end: 0.25, epochs: 4.0 };
    let at = [0.0, 1.0, 2.0, 4.0, 9.0].map(|epochs_done| strength.at(epochs_done));
    assert_eq!(at, [1.0, 0.8125, 0.625, 0.25, 0.25]);

    let of = |corruption: &str, strength: Option<[f32; 2]>| {
        let text = format!(r#"{{"undercomplete": {{"latent_dim": 2{corruption}}}}}"#);
        let strength = strength.map(|[start, end]| CorruptionStrength { start, end, epochs: 3.0 });
        let config = TrainConfig { corruption_strength: strength, ..config() };
        let model = model(&serde_json::from_str(&text).unwrap());
        let history = run(model.as_ref(), &config, None, usize::MAX)?;
        Ok::<_, Error>(history.epochs.iter().map(|epoch| epoch.train_loss).collect::<Vec<_>>())
    };
    let noise = r#", "corruption": {"gaussian": {"std": 0.5}}"#;
    let (none, full) = (of("", None).unwrap(), of(noise, None).unwrap());
    assert_eq!(of(noise, Some([0.0, 0.0])).unwrap(), none, "no noise at all");
    assert_eq!(of(noise, Some([1.0, 1.0])).unwrap(), full);
    let falling = of(noise, Some([1.0, 0.0])).unwrap();
    assert!(falling[5] < full[5] && falling[0] > none[0], "{falling:?} {full:?} {none:?}");
    for own in [
        r#"{"stacked_denoising": {"latent_dim": 2, "epochs_per_layer": 2, "corruption": NOISE}}"#,
        r#"{"masked_table": {"latent_dim": 2, "corruption": NOISE}}"#,
    ] {
        let of = |[start, end]: [f32; 2]| {
            let text = own.replace("NOISE", r#"{"masking": {"share": 0.5}}"#);
            let strength = CorruptionStrength { start, end, epochs: 3.0 };
            let config = TrainConfig { corruption_strength: Some(strength), ..config() };
            let model = model(&serde_json::from_str(&text).unwrap());
            let history = run(model.as_ref(), &config, None, usize::MAX).unwrap();
            history.epochs.iter().map(|epoch| epoch.train_loss).collect::<Vec<_>>()
        };
        let (none, full, falling) = (of([0.0, 0.0]), of([1.0, 1.0]), of([1.0, 0.0]));
        assert!(falling[5] < full[5] && falling[0] != none[0], "{own} {falling:?} {full:?}");
    }
    let error = of("", Some([1.0, 0.0])).unwrap_err().to_string();
    assert!(error.starts_with("`corruption_strength` is present, but the model"), "{error}");
}

#[test]
fn limits_end_training() {
    let example = &ModelConfig::examples()[1];
    let ended =
        |config: &TrainConfig| run(model(example).as_ref(), config, None, usize::MAX).unwrap();
    // 351 rows in batches of 32 are ten steps an epoch.
    let history = ended(&TrainConfig { max_steps: Some(25), ..config() });
    assert_eq!((history.stopped, history.epochs.len()), (Some(Stopped::StepLimit), 3));
    let history = ended(&TrainConfig { max_seconds: Some(1e-9), ..config() });
    assert_eq!((history.stopped, history.epochs.len()), (Some(Stopped::TimeLimit), 1));
    assert_eq!(history.ending(), "the time limit was reached in epoch 1");
}

#[test]
fn validations_within_an_epoch_count_for_patience() {
    let example = &ModelConfig::examples()[1];
    let config = TrainConfig {
        validate_every_steps: Some(3),
        early_stopping: Some(EarlyStopping { patience: 2, min_delta: 10.0 }),
        ..config()
    };
    let history = run(model(example).as_ref(), &config, None, usize::MAX).unwrap();
    // The first validation is the best; two later ones fall by less than 10.
    let steps: Vec<u64> = history.validations.iter().map(|record| record.step).collect();
    assert_eq!(steps, [3, 6, 9]);
    assert_eq!((history.stopped, history.best_epoch), (Some(Stopped::EarlyStopping), 1));
    assert!(history.validations.iter().all(|record| record.validation_loss.is_some()));
}

#[test]
fn a_diverged_run_goes_back_with_a_smaller_rate() {
    let example = &ModelConfig::examples()[1];
    let rollback = |factor, at_most| TrainConfig {
        clip_norm: None,
        schedule: ScheduleConfig::Constant,
        optimizer: OptimizerConfig::Sgd(SgdConfig::new(1e9)),
        on_divergence: OnDivergence::Rollback { factor, at_most },
        ..config()
    };
    let model = model(example);
    let history = run(model.as_ref(), &rollback(1e-5, 3), None, usize::MAX).unwrap();
    assert_eq!(history.epochs.len(), 6);
    assert!(!history.rollbacks.is_empty() && history.rollbacks.len() <= 3);
    let first = &history.rollbacks[0];
    assert_eq!((first.epoch, first.to_epoch, first.rate_factor), (1, 0, 1e-5));
    assert!(history.ending().contains("went back"), "{}", history.ending());
    let left = history.rollbacks.last().unwrap().rate_factor;
    assert_eq!(history.epochs[5].learning_rate, 1e9 * left);
    // Twice the same, and no oftener than asked.
    let again = self::model(example);
    assert_eq!(run(again.as_ref(), &rollback(1e-5, 3), None, usize::MAX).unwrap(), history);
    assert_eq!(weights(again.as_ref()), weights(model.as_ref()));
    let failed = run(self::model(example).as_ref(), &rollback(0.9, 2), None, usize::MAX);
    assert!(matches!(failed, Err(Error::NotFinite { .. })));
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let data = Matrix::from_shape_fn((300, 400), |(i, j)| ((i * 7 + j * 13) as f32 * 0.1).sin());
    let (train, validation) = data.view().split_at(Axis(0), 250);
    let config = TrainConfig {
        weight_average: Some(Average { decay: 0.9 }),
        weight_penalty: Some(WeightPenalty { l1: 1e-5, l2: 1e-4 }),
        max_norm: Some(3.0),
        clip_adaptive: Some(0.1),
        clip_value: Some(0.01),
        epochs: 2,
        ..config()
    };
    for example in examples() {
        let run = |threads: usize| {
            let folder = tempfile::tempdir().unwrap();
            let telemetry = folder.path().join("telemetry.jsonl");
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let shape = SampleShape::Vector { len: 400 };
                let model = build(&example, &shape, Seed::new(7)).unwrap();
                let options =
                    FitOptions { telemetry: Some(telemetry.clone()), ..FitOptions::default() };
                let seed = Seed::new(3);
                let history =
                    fit(model.as_ref(), train, validation, &config, seed, &options).unwrap();
                let text = std::fs::read_to_string(&telemetry).unwrap();
                let line: EpochTelemetry =
                    serde_json::from_str(text.lines().last().unwrap()).unwrap();
                (history, weights(model.as_ref()), line.layers, line.latent, line.parameters)
            })
        };
        assert_eq!(run(1), run(2), "{}", example.kind());
    }
}

#[test]
fn a_checkpoint_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let example = &ModelConfig::examples()[1];
    run(model(example).as_ref(), &config(), Some(path.clone()), 3).unwrap_err();
    let mut file = hourglass_nn::TensorFile::load(&path).unwrap();
    let header = file.metadata.get_mut("training").unwrap();
    *header = header.replacen("\"version\":2", "\"version\":1", 1);
    file.save(&path).unwrap();
    let error = run(model(example).as_ref(), &config(), Some(path), usize::MAX).unwrap_err();
    assert!(error.to_string().contains("version 1, not 2"), "{error}");
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

/// Rows in chunks of uneven length.
struct Chunks {
    rows: Matrix,
    n_rows: usize,
    chunk: usize,
}

impl RowSource for Chunks {
    fn n_rows(&self) -> usize {
        self.n_rows
    }

    fn n_features(&self) -> usize {
        self.rows.ncols()
    }

    fn pass(
        &self,
    ) -> Result<Box<dyn Iterator<Item = Result<Matrix, SourceError>> + '_>, SourceError> {
        let chunks = self.rows.axis_chunks_iter(Axis(0), self.chunk);
        Ok(Box::new(chunks.map(|chunk| Ok(chunk.to_owned()))))
    }
}

fn run_stream(
    model: &dyn Autoencoder,
    source: &Chunks,
    checkpoint: Option<PathBuf>,
    stop_at: usize,
) -> Result<History> {
    let validation = data(450);
    let interrupt = Interrupt::new();
    let progress = StopAt { interrupt: &interrupt, left: AtomicUsize::new(stop_at) };
    let options = FitOptions {
        checkpoint,
        progress: &progress,
        interrupt: &interrupt,
        ..FitOptions::default()
    };
    let validation = validation.slice(ndarray::s![400.., ..]);
    fit_stream(model, source, validation, &config(), Seed::new(3), &options)
}

#[test]
fn rows_in_chunks_are_learned_and_resumed_bit_for_bit() {
    let source = Chunks { rows: data(400), n_rows: 400, chunk: 130 };
    for example in examples() {
        let whole = model(&example);
        let history = run_stream(whole.as_ref(), &source, None, usize::MAX).unwrap();
        let losses: Vec<f64> = history.epochs.iter().map(|e| e.validation_loss).collect();
        assert!(losses[5] < 0.9 * losses[0], "{}: {losses:?}", example.kind());
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = folder.path().join("checkpoint.safetensors");
        let again = model(&example);
        let stopped = run_stream(again.as_ref(), &source, Some(checkpoint.clone()), 5);
        assert!(matches!(stopped, Err(Error::Interrupted { .. })));
        let again = model(&example);
        let resumed = run_stream(again.as_ref(), &source, Some(checkpoint), usize::MAX).unwrap();
        assert_eq!(history, resumed);
        assert_eq!(weights(whole.as_ref()), weights(again.as_ref()));
    }
}

#[test]
fn every_row_of_a_stream_is_seen_once_an_epoch() {
    // More rows than a pool holds, so that rows are carried from one to the next.
    let n_rows = 300_007;
    let rows = Matrix::from_shape_fn((n_rows, 2), |(i, j)| ((i * (j + 3)) % 17) as f32 / 17.0);
    let source = Chunks { rows, n_rows, chunk: 65_536 };
    let model = build(&examples()[0], &SampleShape::Vector { len: 2 }, Seed::new(1)).unwrap();
    let config = TrainConfig { batch_size: 4096, epochs: 1, ..config() };
    let seen = Mutex::new(0);
    struct Count<'a>(&'a Mutex<u64>);
    impl Observer for Count<'_> {
        fn every_steps(&self) -> u64 {
            1
        }
        fn on_step(&self, _: &StepRecord) -> Answer {
            *self.0.lock().unwrap() += 1;
            Answer::GoOn
        }
    }
    let observer = Count(&seen);
    let options = FitOptions { observer: &observer, ..FitOptions::default() };
    let validation = source.rows.slice(ndarray::s![..100, ..]);
    fit_stream(model.as_ref(), &source, validation, &config, Seed::new(1), &options).unwrap();
    assert_eq!(*seen.lock().unwrap(), (n_rows / 4096) as u64);
}

#[test]
fn a_stream_that_changes_is_an_error() {
    let source = Chunks { rows: data(300), n_rows: 400, chunk: 130 };
    let model = model(&examples()[0]);
    let error = run_stream(model.as_ref(), &source, None, usize::MAX).unwrap_err().to_string();
    assert_eq!(error, "300 training rows came, but there were 400 before: does the file change?");
}
