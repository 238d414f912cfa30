//! Classifiers on many rows.

use std::time::Instant;

use anyhow::Result;
use hourglass_core::{Interrupt, Matrix, Seed, Silent, linalg};
use hourglass_downstream::{
    EstimatorConfig, FitData, LogisticRegression, Protocol, fit_classifier,
};
use rand::RngExt;

use crate::rows::{Rows, mnist};
use crate::{Measured, Place, Round};

/// Columns: as many as the latent of pipelines/mnist.toml has units.
const N_FEATURES: usize = 1000;

/// Inverse strength of the penalty; that of the script.
const C: f32 = 1.0 / 60.0;

/// Logistic regression on a random encoder's latents, scaled to variance 1: dense, correlated.
pub fn logistic(place: &Place) -> Result<Round> {
    let Rows { images, classes } = mnist()?;
    let mut rng = Seed::new(3).rng();
    let weights =
        Matrix::from_shape_simple_fn((784, N_FEATURES), || rng.random::<f32>() * 0.2 - 0.1);
    let mut features = linalg::matmul(images.view(), weights.view());
    for mut column in features.columns_mut() {
        column.mapv_inplace(|value| value.max(0.0));
        let mean = column.iter().map(|&v| f64::from(v)).sum::<f64>() / column.len() as f64;
        let square = column.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
        let deviation = (square / column.len() as f64).sqrt().max(1e-6);
        column.mapv_inplace(|value| ((f64::from(value) - mean) / deviation) as f32);
    }
    place.write_floats("features.f32", features.iter().copied())?;
    place.write("classes.u32", classes.iter().copied(), u32::to_le_bytes)?;
    drop(images);
    let config = LogisticRegression { c: Some(C), ..LogisticRegression::default() };
    let estimator = EstimatorConfig::LogisticRegression(config);
    Ok(Box::new(move || {
        let data = FitData::split(features.view(), &classes, classes.len(), 10);
        let start = Instant::now();
        let (seed, interrupt) = (Seed::new(1), Interrupt::new());
        let fitted =
            fit_classifier(&estimator, &data, Protocol::default(), seed, &Silent, &interrupt)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Measured { value: seconds, loss: fitted.chosen().get("objective").copied() })
    }))
}
