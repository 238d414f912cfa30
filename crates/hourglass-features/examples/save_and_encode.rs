//! Trains an autoencoder, saves it as a bundle, loads it elsewhere and makes scaled features of new
//! rows, beside principal components of the same width.
//!
//! `cargo run --release -p hourglass-features --example save_and_encode`

use std::error::Error;

use hourglass_core::{Matrix, SampleShape, Seed};
use hourglass_features::{Bundle, HiddenLayers, Pca, Scale, Scaler, encode_all};
use hourglass_models::{ModelConfig, Undercomplete, build};
use hourglass_nn::OptimizerConfig;
use hourglass_train::{FitOptions, TrainConfig, fit};
use ndarray::Axis;

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<(), Box<dyn Error>> {
    let rows = Matrix::from_shape_fn((600, 12), |(row, column)| {
        let t = row as f32 * 0.618_034 % 1.0;
        (5.0 * t + column as f32 * 0.4).sin()
    });
    let (train, rest) = rows.view().split_at(Axis(0), 500);
    let (validation, new) = rest.split_at(Axis(0), 80);

    let model_config = ModelConfig::Undercomplete(Undercomplete::new(3, None));
    let shape = SampleShape::Vector { len: rows.ncols() };
    let model = build(&model_config, &shape, Seed::new(1))?;
    let config = TrainConfig::new(40, OptimizerConfig::adam(0.01));
    fit(model.as_ref(), train, validation, &config, Seed::new(2), &FitOptions::default())?;

    // What is fitted is fitted on training rows.
    let scaler = Scaler::fit(
        encode_all(model.as_ref(), train, HiddenLayers::Latent)?.view(),
        Scale::Standard,
    )?;
    let pca = Pca::fit(train, 3)?;

    let folder = std::env::temp_dir().join("hourglass-save-and-encode");
    std::fs::create_dir_all(&folder)?;
    let preprocessing = serde_json::Value::Null;
    Bundle { model: model_config, shape, preprocessing }.save(&folder, model.as_ref())?;

    let (_, loaded) = Bundle::load(&folder)?;
    let mut features = encode_all(loaded.as_ref(), new, HiddenLayers::Latent)?;
    scaler.transform(features.view_mut())?;
    println!("features of {} new rows, the first: {:.3}", features.nrows(), features.row(0));
    println!("its principal components: {:.3}", pca.transform(new)?.row(0));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
