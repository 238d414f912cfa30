//! The operations of a training step, one by one: chains of layers with their loss, an optimiser's
//! pass, corruption.
#![allow(missing_docs, reason = "criterion's macros write functions")]
#![allow(clippy::unwrap_used, reason = "a bench that fails shall stop")]

use candle_core::Tensor;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hourglass_core::{Matrix, SampleShape, Seed};
use hourglass_nn::{
    Activation, AdamConfig, Chain, CleanRows, Corruption, Dense, Init, Link, Loss, Optimizer,
    OptimizerConfig, Parameter, Select, WeightOrder, rows_of,
};

const BATCH: usize = 256;

fn rows() -> Tensor {
    let value = |(row, column)| ((row * 7 + column * 13) % 17) as f32 / 17.0;
    rows_of(Matrix::from_shape_fn((BATCH, 784), value).view()).unwrap()
}

fn layer(name: &str, shape: (usize, usize), order: WeightOrder) -> Link {
    let (activation, init) = (Activation::Relu, Init::HeNormal);
    Link::new(Dense::new(name, shape, order, activation, init, Seed::new(1)).unwrap())
}

fn chains(c: &mut Criterion) {
    let x = rows();
    let (down, up) = (WeightOrder::OutIn, WeightOrder::InOut);
    let dense = Chain::new(vec![
        layer("e0", (784, 256), down),
        layer("e1", (256, 64), down),
        layer("d0", (64, 256), up),
        layer("d1", (256, 784), up),
    ]);
    let sparse = Chain::new(vec![
        layer("e0", (784, 1000), down).with_select(Select::TopK(25)),
        layer("d0", (1000, 784), up).with_sparse_input(),
    ]);
    let mut group = c.benchmark_group("chain");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, chain) in [("784-256-64-256-784", &dense), ("784-1000-784, 25 active", &sparse)] {
        group.bench_function(format!("{name}, forward"), |bench| {
            bench.iter(|| chain.forward(&x).unwrap());
        });
        group.bench_function(format!("{name}, with loss and backward"), |bench| {
            bench.iter(|| chain.mean_loss(&x, &x, Loss::Mse).unwrap().backward().unwrap());
        });
    }
    group.finish();
}

fn optimizers(c: &mut Criterion) {
    let n = 1 << 20;
    let parameter = Parameter::new("w", vec![0.1; n], &[n], true).unwrap();
    let config = OptimizerConfig::Adamw(AdamConfig::new(1e-3));
    let mut optimizer = Optimizer::new(config, vec![parameter]);
    let mut group = c.benchmark_group("optimizer");
    group.throughput(Throughput::Elements(n as u64));
    group.bench_function("adamw", |bench| bench.iter(|| optimizer.step(1e-3).unwrap()));
    group.finish();
}

fn corruptions(c: &mut Criterion) {
    let mut group = c.benchmark_group("corruption");
    let mut values = vec![0.5; BATCH * 784];
    let (rows, shape) = (Matrix::zeros((BATCH, 784)), SampleShape::Vector { len: 784 });
    let clean = CleanRows { rows: rows.view(), range: (0.0, 1.0), shape: &shape };
    group.throughput(Throughput::Elements(values.len() as u64));
    for corruption in [Corruption::Gaussian { std: 0.1 }, Corruption::Masking { share: 0.2 }] {
        group.bench_function(format!("{corruption:?}"), |bench| {
            bench.iter(|| corruption.apply(&mut values, &clean, Seed::new(1)));
        });
    }
    group.finish();
}

criterion_group!(benches, chains, optimizers, corruptions);
criterion_main!(benches);
