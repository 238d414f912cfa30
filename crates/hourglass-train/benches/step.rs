//! A whole training step: gather a batch, loss, backward pass, AdamW.
#![allow(missing_docs, reason = "criterion's macros write functions")]
#![allow(clippy::unwrap_used, reason = "a bench that fails shall stop")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hourglass_core::{Matrix, SampleShape, Seed};
use hourglass_models::{Context, ModelConfig, build};
use hourglass_nn::{AdamConfig, Loss, Optimizer, OptimizerConfig, backward, gather_rows};

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

criterion_group!(benches, steps);
criterion_main!(benches);
