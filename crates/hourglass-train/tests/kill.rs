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

/// Folder of the child; that it is set makes a process the child.
const FOLDER: &str = "HOURGLASS_KILL_TEST_FOLDER";

/// Epochs of a run, each of 20 steps.
const N_EPOCHS: usize = 30;

fn config() -> TrainConfig {
    let nadam = OptimizerConfig::examples().into_iter().find(|config| config.name() == "nadam");
    TrainConfig {
        batch_size: 20,
        schedule: ScheduleConfig::examples().pop().unwrap(),
        warmup: Some(Warmup { epochs: 0.5, start: 0.1 }),
        weight_average: Some(Average { decay: 0.9 }),
        early_stopping: Some(EarlyStopping { patience: 90, min_delta: 0.0 }),
        validate_every_steps: Some(7),
        clip_norm: Some(1.0),
        on_divergence: OnDivergence::Rollback { factor: 0.5, at_most: 2 },
        ..TrainConfig::new(N_EPOCHS, nadam.unwrap())
    }
}

fn train(folder: &Path) -> (Box<dyn Autoencoder>, History) {
    let mut rng = Seed::new(5).rng();
    let rows = Matrix::from_shape_simple_fn((500, 10), || rng.random::<f32>());
    let (train, validation) = rows.view().split_at(Axis(0), 400);
    let denoising = ModelConfig::examples().into_iter().find(|model| model.kind() == "denoising");
    let shape = SampleShape::Vector { len: 10 };
    let model = build(&denoising.unwrap(), &shape, Seed::new(1)).unwrap();
    let options = FitOptions {
        checkpoint: Some(folder.join("last.safetensors")),
        checkpoint_interval: Duration::ZERO,
        best: Some(folder.join("best.safetensors")),
        telemetry: Some(folder.join("telemetry.jsonl")),
        n_watched: 2,
        ..FitOptions::default()
    };
    let seed = Seed::new(2);
    let history = fit(model.as_ref(), train, validation, &config(), seed, &options).unwrap();
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

fn child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_run_resumes_bit_for_bit"])
        .env(FOLDER, folder)
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
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        let (model, history) = train(&folder);
        let mut weights = TensorFile::default();
        weights.push_parameters(model.parameters()).unwrap();
        weights.save(&folder.join("weights.safetensors")).unwrap();
        let history = serde_json::to_string(&history).unwrap();
        std::fs::write(folder.join("history.json"), history).unwrap();
        return;
    }
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(child(whole.path()).wait().unwrap().success());
    let path = killed.path().join("last.safetensors");
    let mut rng = Seed::new(std::process::id().into()).rng();
    let mut n_kills = 0;
    loop {
        let known = std::fs::metadata(&path).and_then(|file| file.modified()).ok();
        let mut child = child(killed.path());
        // A moment somewhere in the next steps, wherever that falls: in a step, in a validation,
        // while a file is half written.
        let lives = wait_for_progress(&mut child, &path, known);
        std::thread::sleep(Duration::from_micros(rng.random_range(0..20_000)));
        if lives && n_kills < 8 && child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            n_kills += 1;
            child.wait().unwrap();
            continue;
        }
        assert!(child.wait().unwrap().success());
        break;
    }
    assert!(n_kills >= 2, "killed {n_kills} times only");
    assert_eq!(finished(killed.path()), finished(whole.path()));
    let best = |folder: &Path| std::fs::read(folder.join("best.safetensors")).unwrap();
    assert_eq!(best(killed.path()), best(whole.path()));
}
