//! A whole training step: gather a batch, loss, backward pass, AdamW; and a whole epoch of the
//! loop, with and without corruption and telemetry.
#![allow(missing_docs, reason = "criterion's macros write functions")]
#![allow(clippy::unwrap_used, reason = "a bench that fails shall stop")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hourglass_core::{Matrix, MatrixView, SampleShape, Seed};
use hourglass_models::{Autoencoder, Context, ModelConfig, build};
use hourglass_nn::{AdamConfig, Loss, Optimizer, OptimizerConfig, backward, gather_rows};
use hourglass_train::{FitOptions, TrainConfig, fit};
use ndarray::Axis;

const BATCH: usize = 256;

fn steps(c: &mut Criterion) {
    let value = |(row, column)| ((row * 7 + column * 13) % 17) as f32 / 17.0;
    let rows = Matrix::from_shape_fn((4096, 784), value);
    let mut group = c.benchmark_group("step");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, model) in [
        ("784-256-64-256-784", r#"{"undercomplete": {"hidden_dims": [256], "latent_dim": 64}}"#),
        (
            "784-1024-256-1024-784",
            r#"{"undercomplete": {"hidden_dims": [1024], "latent_dim": 256}}"#,
        ),
        ("784-1000-784, 25 active", r#"{"k_sparse": {"latent_dim": 1000, "k": 25}}"#),
    ] {
        let config: ModelConfig = serde_json::from_str(model).unwrap();
        let model = build(&config, &SampleShape::Vector { len: 784 }, Seed::new(1)).unwrap();
        let adamw = OptimizerConfig::Adamw(AdamConfig::new(1e-3));
        let mut optimizer = Optimizer::new(adamw, model.parameters().to_vec());
        let mut done = 0;
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let places: Vec<usize> =
                    (0..BATCH).map(|i| (done * BATCH + i) * 1021 % rows.nrows()).collect();
                let x = gather_rows(rows.view(), &places).unwrap();
                let context = Context::train(0.0, 1, Seed::new(done as u64));
                let loss = model.loss(&x, &x, &Loss::Mse, &context).unwrap();
                backward(&loss.total, model.parameters()).unwrap();
                optimizer.step(1e-3).unwrap();
                done += 1;
            });
        });
    }
    group.finish();
}

fn epochs(c: &mut Criterion) {
    let value = |(row, column)| ((row * 7 + column * 13) % 17) as f32 / 17.0;
    let rows = Matrix::from_shape_fn((20_000, 784), value);
    let (train, validation) = rows.view().split_at(Axis(0), 18_000);
    let mut group = c.benchmark_group("epoch");
    group.throughput(Throughput::Elements(train.nrows() as u64)).sample_size(10);
    let small = r#"{"undercomplete": {"hidden_dims": [256], "latent_dim": 64}}"#;
    let corrupted = r#"{"denoising": {"hidden_dims": [256], "latent_dim": 64,
        "corruption": {"masking": {"share": 0.5}}}}"#;
    let folder = std::env::temp_dir();
    let file = folder.join(format!("hourglass-bench-{}.jsonl", std::process::id()));
    for (name, model, telemetry) in [
        ("784-256-64-256-784", small, None),
        ("784-256-64-256-784, telemetry", small, Some(&file)),
        ("784-256-64-256-784, masking", corrupted, None),
    ] {
        let config: ModelConfig = serde_json::from_str(model).unwrap();
        let options = FitOptions { telemetry: telemetry.cloned(), ..FitOptions::default() };
        group.bench_function(name, |bench| {
            bench.iter_batched(
                || build(&config, &SampleShape::Vector { len: 784 }, Seed::new(1)).unwrap(),
                |model| epoch(model.as_ref(), train, validation, &options),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    std::fs::remove_file(file).ok();
}

fn epoch(
    model: &dyn Autoencoder,
    train: MatrixView<'_>,
    validation: MatrixView<'_>,
    options: &FitOptions<'_>,
) {
    let adamw = OptimizerConfig::Adamw(AdamConfig::new(1e-3));
    let config = TrainConfig { batch_size: BATCH, ..TrainConfig::new(1, adamw) };
    fit(model, train, validation, &config, Seed::new(2), options).unwrap();
}

criterion_group!(benches, steps, epochs);
criterion_main!(benches);
