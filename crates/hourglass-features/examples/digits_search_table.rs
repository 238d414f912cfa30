//! Trains every autoencoder of a grid on the digits once and prints how useful its latent is after
//! 1, 3, 9 and 27 epochs, as CSV: the real problem on which samplers and pruners are compared,
//! without training anything again. Two minutes on two cores.
//!
//!     cargo run --release -p hourglass-features --example digits_search_table \
//!         > crates/hourglass-search/examples/compare_samplers/digits.csv

use std::sync::Mutex;

use hourglass_core::{Matrix, MatrixView, SampleShape, Seed};
use hourglass_features::{HiddenLayers, encode_all};
use hourglass_models::{Autoencoder, ModelConfig, build};
use hourglass_train::{Answer, EpochRecord, FitOptions, Observer, TrainConfig, fit};
use nalgebra::DMatrix;
use ndarray::s;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde_json::json;

const LATENT_DIMS: [usize; 5] = [4, 8, 16, 32, 64];
const RATES: [f64; 6] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2];
const NOISES: [f64; 5] = [0.0, 0.1, 0.2, 0.3, 0.4];
const HIDDEN: [&[usize]; 3] = [&[], &[64], &[64, 64]];
const ACTIVATIONS: [&str; 3] = ["relu", "gelu", "tanh"];
/// Epochs after which the latent is judged.
const RUNGS: [usize; 4] = [1, 3, 9, 27];
/// Validation rows, a fifth of all.
const VALIDATION: usize = 360;
const N_CLASSES: usize = 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prepared rows with their classes, the validation rows first.
struct Digits {
    rows: Matrix,
    classes: Vec<usize>,
}

impl Digits {
    fn load() -> Result<Digits, Failure> {
        let data = smartcore::dataset::digits::load_dataset();
        let mut order: Vec<usize> = (0..data.num_samples).collect();
        order.shuffle(&mut Seed::new(42).child("split").rng());
        let pixel = |at: (usize, usize)| data.data[order[at.0] * data.num_features + at.1] / 16.0;
        let rows = Matrix::from_shape_fn((data.num_samples, data.num_features), pixel);
        let classes = order.iter().map(|row| data.target[*row] as usize).collect();
        Ok(Digits { rows, classes })
    }
}

/// Judges the latent after some epochs.
struct Judge<'a> {
    model: &'a dyn Autoencoder,
    digits: &'a Digits,
    losses: Mutex<Vec<f64>>,
}

impl Observer for Judge<'_> {
    fn on_epoch(&self, record: &EpochRecord) -> Answer {
        if RUNGS.contains(&record.epoch) {
            let latent = encode_all(self.model, self.digits.rows.view(), HiddenLayers::Latent);
            let loss =
                latent.map_or(f64::NAN, |latent| probe_loss(latent.view(), &self.digits.classes));
            if let Ok(mut losses) = self.losses.lock() {
                losses.push(loss);
            }
        }
        Answer::GoOn
    }
}

/// Squared error of a ridge regression from the latent to the one-hot classes, fitted on the
/// training rows, over the validation rows: how much a linear classifier could make of it.
fn probe_loss(latent: MatrixView<'_>, classes: &[usize]) -> f64 {
    let (n_rows, width) = latent.dim();
    let fitted = latent.slice(s![VALIDATION.., ..]);
    let mean = fitted.mean_axis(ndarray::Axis(0)).unwrap_or_default();
    let std = fitted.std_axis(ndarray::Axis(0), 0.0);
    let scaled = DMatrix::from_fn(n_rows, width + 1, |row, column| match column {
        0 => 1.0,
        _ => {
            let at = column - 1;
            f64::from((latent[[row, at]] - mean[at]) / std[at].max(1e-6))
        }
    });
    let targets = DMatrix::from_fn(n_rows, N_CLASSES, |row, class| {
        f64::from(u8::from(classes[row] == class))
    });
    let train = scaled.rows(VALIDATION, n_rows - VALIDATION);
    let gram = train.transpose() * train + DMatrix::identity(width + 1, width + 1);
    let moments = train.transpose() * targets.rows(VALIDATION, n_rows - VALIDATION);
    let Some(solver) = gram.cholesky() else { return f64::NAN };
    let error = scaled.rows(0, VALIDATION) * solver.solve(&moments) - targets.rows(0, VALIDATION);
    error.norm_squared() / VALIDATION as f64
}

fn line(
    digits: &Digits,
    (latent_dim, rate, noise, depth, activation): (usize, f64, f64, usize, &str),
) -> Result<String, Failure> {
    let mut model = json!({
        "latent_dim": latent_dim,
        "hidden_dims": HIDDEN[depth],
        "activation": activation,
        "latent_activation": activation,
    });
    let kind = if noise > 0.0 { "denoising" } else { "undercomplete" };
    if noise > 0.0 {
        model["corruption"] = json!({"masking": {"share": noise}});
    }
    let config: ModelConfig = serde_json::from_value(json!({kind: model}))?;
    let train: TrainConfig = serde_json::from_value(json!({
        "epochs": RUNGS[RUNGS.len() - 1],
        "batch_size": 64,
        "optimizer": {"adam": {"learning_rate": rate}},
    }))?;
    let seed = Seed::new(42);
    let shape = SampleShape::Vector { len: digits.rows.ncols() };
    let model = build(&config, &shape, seed)?;
    let judge = Judge { model: model.as_ref(), digits, losses: Mutex::default() };
    let options = FitOptions { observer: &judge, ..FitOptions::default() };
    let (validation, rows) = digits.rows.view().split_at(ndarray::Axis(0), VALIDATION);
    fit(model.as_ref(), rows, validation, &train, seed, &options)?;
    let losses = judge.losses.into_inner().map_err(|_| "the judge panicked")?;
    let losses: Vec<String> = losses.iter().map(|loss| format!("{loss:.5}")).collect();
    let losses = losses.join(",");
    Ok(format!("{latent_dim},{rate},{noise},{},{activation},{losses}", depth + 1))
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn main() -> Result<(), Failure> {
    let digits = Digits::load()?;
    let mut grid = Vec::new();
    for latent_dim in LATENT_DIMS {
        for rate in RATES {
            for noise in NOISES {
                for depth in 0..HIDDEN.len() {
                    grid.extend(ACTIVATIONS.map(|name| (latent_dim, rate, noise, depth, name)));
                }
            }
        }
    }
    let lines = grid.into_par_iter().map(|point| line(&digits, point));
    let lines = lines.collect::<Result<Vec<String>, Failure>>()?;
    let rungs = RUNGS.map(|rung| format!("epoch_{rung}")).join(",");
    println!("latent_dim,rate,noise,depth,activation,{rungs}");
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}
