//! Fits two classifiers on the same rows, and says which is better on rows that neither saw.
//!
//! `cargo run --release --package hourglass-downstream --example compare`
#![allow(clippy::print_stdout)]

use hourglass_core::{Interrupt, Matrix, Seed, Silent};
use hourglass_downstream::statistics::compare_shared_rows;
use hourglass_downstream::{
    Error, EstimatorConfig, FitData, Knn, LogisticRegression, Protocol, fit_classifier, metrics,
};
use ndarray::{Array2, s};
use rand::RngExt;

fn main() -> Result<(), Error> {
    // Two rings that no straight line separates.
    let mut rng = Seed::new(1).rng();
    let classes: Vec<u32> = (0..1500).map(|row| row % 2).collect();
    let mut x = Matrix::zeros((1500, 2));
    for (mut row, &class) in x.outer_iter_mut().zip(&classes) {
        let angle = rng.random::<f32>() * std::f32::consts::TAU;
        let radius = 1.0 + class as f32 + 1.5 * (rng.random::<f32>() - 0.5);
        (row[0], row[1]) = (radius * angle.cos(), radius * angle.sin());
    }
    let (test, truth) = (x.slice(s![1000.., ..]), &classes[1000..]);
    let data = FitData::split(x.slice(s![..1000, ..]), &classes[..1000], 800, 2);
    let mut right = Vec::new();
    for config in [
        EstimatorConfig::LogisticRegression(LogisticRegression::default()),
        EstimatorConfig::Knn(Knn { k: Some(15) }),
    ] {
        let (seed, interrupt) = (Seed::new(1), Interrupt::new());
        let protocol = Protocol { inner_folds: 5, ..Protocol::default() };
        let fitted = fit_classifier(&config, &data, protocol, seed, &Silent, &interrupt)?;
        let predicted = fitted.predict(test)?;
        println!("{}: accuracy {:.3}", config.name(), metrics::accuracy(truth, &predicted));
        let correct = metrics::correct(truth, &predicted);
        right.push(Array2::from_shape_fn((1, truth.len()), |(_, row)| correct[row]));
    }
    let comparison = compare_shared_rows(right[1].view(), right[0].view())?;
    println!(
        "knn less logistic_regression: {:+.3} [{:+.3}, {:+.3}], p = {:.2e}, {:?}",
        comparison.difference,
        comparison.ci_low,
        comparison.ci_high,
        comparison.p_value,
        comparison.mark
    );
    Ok(())
}
