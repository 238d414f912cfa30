//! A process that is killed, again and again, with a signal that it can't catch: what it resumes
//! to is the uninterrupted run, bit for bit.
//!
//! The test starts itself as a child, which trains and saves after every step.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hourglass_core::{Matrix, SampleShape, Seed};
use hourglass_models::{Autoencoder, ModelConfig, build};
use hourglass_nn::{OptimizerConfig, ScheduleConfig, TensorFile, Warmup};
use hourglass_train::{
    Average, EarlyStopping, FitOptions, History, OnDivergence, TrainConfig, fit,
};
use ndarray::Axis;
use rand::RngExt;

/// Folder of the child, and which example it trains; that they are set makes a process the child.
const FOLDER: &str = "HOURGLASS_KILL_TEST_FOLDER";
const EXAMPLE: &str = "HOURGLASS_KILL_TEST_EXAMPLE";

/// Epochs of a run, each of 20 steps.
const N_EPOCHS: usize = 8;

/// How often a run is killed at most.
const MOST_KILLS: usize = 3;

const SHAPE: SampleShape = SampleShape::Vector { len: 12 };

/// Every model that takes vectors.
fn models() -> Vec<ModelConfig> {
    let takes = |config: &ModelConfig| build(config, &SHAPE, Seed::new(1)).is_ok();
    ModelConfig::examples().into_iter().filter(takes).collect()
}

/// Something of everything; optimisers and schedules take their turns.
fn config(example: usize) -> TrainConfig {
    let optimizers = OptimizerConfig::examples();
    let schedules = ScheduleConfig::examples();
    TrainConfig {
        batch_size: 20,
        schedule: schedules[schedules.len() - 1 - example % schedules.len()].clone(),
        warmup: Some(Warmup { epochs: 0.5, start: 0.1 }),
        weight_average: example.is_multiple_of(2).then_some(Average { decay: 0.9 }),
        early_stopping: Some(EarlyStopping { patience: 90, min_delta: 0.0 }),
        validate_every_steps: Some(7),
        clip_norm: Some(1.0),
        on_divergence: OnDivergence::Rollback { factor: 0.5, at_most: 2 },
        ..TrainConfig::new(N_EPOCHS, optimizers[example % optimizers.len()])
    }
}

fn train(folder: &Path, example: usize) -> (Box<dyn Autoencoder>, History) {
    let mut rng = Seed::new(5).rng();
    let rows = Matrix::from_shape_simple_fn((500, 12), || rng.random::<f32>());
    let (train, validation) = rows.view().split_at(Axis(0), 400);
    let model = build(&models()[example], &SHAPE, Seed::new(1)).unwrap();
    let options = FitOptions {
        checkpoint: Some(folder.join("last.safetensors")),
        checkpoint_interval: Duration::ZERO,
        best: Some(folder.join("best.safetensors")),
        telemetry: Some(folder.join("telemetry.jsonl")),
        n_watched: 2,
        ..FitOptions::default()
    };
    let (config, seed) = (config(example), Seed::new(2));
    let history = fit(model.as_ref(), train, validation, &config, seed, &options).unwrap();
    (model, history)
}

/// What a finished run leaves in its folder.
fn finished(folder: &Path) -> (Vec<u8>, String, Vec<String>) {
    let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
    // Without what the clock says.
    let telemetry = read("telemetry.jsonl")
        .lines()
        .map(|line| line.split(r#","seconds""#).next().unwrap().to_owned())
        .collect();
    let weights = std::fs::read(folder.join("weights.safetensors")).unwrap();
    (weights, read("history.json"), telemetry)
}

fn child(folder: &Path, example: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_run_resumes_bit_for_bit"])
        .env(FOLDER, folder)
        .env(EXAMPLE, example.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the child has written another checkpoint than the one known, or has ended.
fn wait_for_progress(child: &mut Child, path: &Path, known: Option<std::time::SystemTime>) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let written = std::fs::metadata(path).and_then(|file| file.modified()).ok();
        if written.is_some() && written != known {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(Instant::now() < deadline, "the child makes no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_killed_run_resumes_bit_for_bit() {
    if let (Some(folder), Ok(example)) = (std::env::var_os(FOLDER), std::env::var(EXAMPLE)) {
        return be_the_child(&PathBuf::from(folder), example.parse().unwrap());
    }
    let mut rng = Seed::new(std::process::id().into()).rng();
    let mut n_kills = 0;
    for (example, model) in models().iter().enumerate() {
        let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(child(whole.path(), example).wait().unwrap().success());
        n_kills += kill_until_done(killed.path(), example, &mut rng);
        assert_eq!(finished(killed.path()), finished(whole.path()), "{}", model.kind());
        let best = |folder: &Path| std::fs::read(folder.join("best.safetensors")).unwrap();
        assert_eq!(best(killed.path()), best(whole.path()), "{}", model.kind());
    }
    assert!(n_kills >= models().len(), "killed {n_kills} times only");
}

fn be_the_child(folder: &Path, example: usize) {
    let (model, history) = train(folder, example);
    let mut weights = TensorFile::default();
    weights.push_parameters(model.parameters()).unwrap();
    weights.push_buffers(model.buffers()).unwrap();
    weights.save(&folder.join("weights.safetensors")).unwrap();
    let history = serde_json::to_string(&history).unwrap();
    std::fs::write(folder.join("history.json"), history).unwrap();
}

/// Starts a run anew until one gets through; says how often it was killed.
fn kill_until_done(folder: &Path, example: usize, rng: &mut hourglass_core::Rng) -> usize {
    let path = folder.join("last.safetensors");
    let mut n_kills = 0;
    loop {
        let known = std::fs::metadata(&path).and_then(|file| file.modified()).ok();
        let mut child = child(folder, example);
        // A moment somewhere in the next steps, wherever that falls: in a step, in a validation,
        // while a file is half written.
        let lives = wait_for_progress(&mut child, &path, known);
        std::thread::sleep(Duration::from_micros(rng.random_range(0..20_000)));
        if lives && n_kills < MOST_KILLS && child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
            n_kills += 1;
            continue;
        }
        assert!(child.wait().unwrap().success());
        return n_kills;
    }
}
