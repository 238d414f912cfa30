//! Products in the shapes of a training step: forward, gradient of a weight, square.
#![allow(missing_docs, reason = "criterion's macros write functions")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hourglass_core::Matrix;
use hourglass_core::linalg::matmul_into;

fn filled(shape: (usize, usize)) -> Matrix {
    Matrix::from_shape_fn(shape, |(row, column)| ((row * 7 + column * 13) % 17) as f32 - 8.0)
}

fn products(c: &mut Criterion) {
    let mut group = c.benchmark_group("product");
    for (m, k, n) in [(256, 784, 1024), (256, 1024, 256), (256, 256, 64), (2048, 2048, 2048)] {
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        let (a, b, mut dst) = (filled((m, k)), filled((n, k)), filled((m, n)));
        group.bench_function(format!("forward {m}x{k}x{n}"), |bench| {
            bench.iter(|| matmul_into(dst.view_mut(), a.view(), b.t(), 0.0));
        });
        let (grad, mut dst) = (filled((m, n)), filled((n, k)));
        group.bench_function(format!("weight gradient {n}x{m}x{k}"), |bench| {
            bench.iter(|| matmul_into(dst.view_mut(), grad.t(), a.view(), 0.0));
        });
    }
    group.finish();
}

criterion_group!(benches, products);
criterion_main!(benches);
