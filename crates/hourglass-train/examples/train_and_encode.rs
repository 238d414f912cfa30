//! Trains an autoencoder on an array of one's own, without any file, and encodes new rows.
//!
//! `cargo run --release -p hourglass-train --example train_and_encode`

use hourglass_core::{Matrix, SampleShape, Seed};
use hourglass_models::{Denoising, ModelConfig, build};
use hourglass_nn::{Corruption, OptimizerConfig, ScheduleConfig, rows_of, to_matrix};
use hourglass_train::{EarlyStopping, FitOptions, Result, TrainConfig, fit};
use ndarray::{Axis, s};

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<()> {
    // Rows on a curve in 20 dimensions.
    let rows = Matrix::from_shape_fn((1000, 20), |(row, column)| {
        let t = row as f32 * 0.618_034 % 1.0;
        (6.0 * t + column as f32 * 0.5).sin()
    });
    let (train, rest) = rows.view().split_at(Axis(0), 800);
    let (validation, new) = rest.split_at(Axis(0), 150);

    let config = Denoising::new(4, Corruption::Gaussian { std: 0.1 }, None);
    let config = ModelConfig::Denoising(Denoising { hidden_dims: vec![32], ..config });
    let model = build(&config, &SampleShape::Vector { len: rows.ncols() }, Seed::new(1))?;

    let config = TrainConfig {
        batch_size: 50,
        schedule: ScheduleConfig::cosine(),
        early_stopping: Some(EarlyStopping { patience: 10, min_delta: 0.0 }),
        ..TrainConfig::new(60, OptimizerConfig::adam(3e-3))
    };
    let options = FitOptions::default();
    let history = fit(model.as_ref(), train, validation, &config, Seed::new(2), &options)?;
    let best = &history.epochs[history.best_epoch - 1];
    println!("{}; validation loss {:.4}", history.ending(), best.validation_loss);

    let latent = to_matrix(&model.encode(&rows_of(new)?)?)?;
    println!("{} new rows became {} features each", latent.nrows(), latent.ncols());
    println!("the first: {:.3}", latent.slice(s![0, ..]));
    Ok(())
}
