//! Training steps, and the rate of the product that they are held against.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use hourglass_core::{Matrix, SampleShape, Seed, linalg};
use hourglass_models::{Autoencoder, Context, ModelConfig, build};
use hourglass_nn::{AdamConfig, Loss, Optimizer, OptimizerConfig, backward, gather_rows};
use rand::RngExt;

use crate::rows::mnist;
use crate::{Measured, Place, Round};

const BATCH: usize = 256;

/// Rows of a batch lie this far apart, as shuffled ones do; no divisor of 60,000.
const STRIDE: usize = 7919;

const LEARNING_RATE: f64 = 1e-3;

/// Steps of each of two trials.
const N_TRIAL_STEPS: usize = 150;

/// Side of the square product.
const SQUARE: usize = 2048;

/// A network, and how it is trained.
struct Network {
    config: ModelConfig,
    shape: SampleShape,
    batch: usize,
    /// Steps of a round.
    n_steps: usize,
}

fn network(name: &str) -> Result<Network> {
    let mlp = |widths: &str| format!(r#"{{ "undercomplete": {{ {widths} }} }}"#);
    let vector = SampleShape::Vector { len: 784 };
    let image = SampleShape::Image { channels: 1, height: 28, width: 28 };
    let (text, shape, batch, n_steps) = match name {
        "small" | "small-compiled" | "small-fused" => {
            let widths = r#""hidden_dims": [256], "latent_dim": 64, "latent_activation": "relu""#;
            (mlp(widths), vector, BATCH, 200)
        }
        "large" | "large-compiled" | "large-fused" => {
            let widths = r#""hidden_dims": [1024], "latent_dim": 256, "latent_activation": "relu""#;
            (mlp(widths), vector, BATCH, 60)
        }
        "k-sparse" => {
            (r#"{ "k_sparse": { "latent_dim": 1000, "k": 25 } }"#.to_owned(), vector, BATCH, 100)
        }
        "conv" => {
            let text = r#"{ "convolutional": { "channels": [32, 64], "latent_dim": 64 } }"#;
            (text.to_owned(), image, 128, 50)
        }
        _ => bail!("no such work: {name}"),
    };
    Ok(Network { config: serde_json::from_str(&text)?, shape, batch, n_steps })
}

/// The same model on both sides: its first weights are written for the peer.
pub fn model(name: &str, place: &Place) -> Result<Box<dyn Autoencoder>> {
    let Network { config, shape, .. } = network(name)?;
    let model = build(&config, &shape, Seed::new(1))?;
    let mut weights = Vec::new();
    for parameter in model.parameters() {
        weights.extend(parameter.values()?);
    }
    place.write_floats("weights.f32", weights)?;
    Ok(model)
}

/// Steps of one network, round after round.
pub fn round(name: &str, place: &Place) -> Result<Round> {
    let rows = mnist()?.images;
    place.write_floats("rows.f32", rows.iter().copied())?;
    let Network { batch, n_steps, .. } = network(name)?;
    let mut steps = Steps::new(model(name, place)?, rows, batch);
    Ok(Box::new(move || {
        let start = Instant::now();
        let loss = steps.take(n_steps)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Measured { value: (n_steps * batch) as f64 / seconds, loss: Some(loss) })
    }))
}

/// A model in training.
struct Steps {
    model: Box<dyn Autoencoder>,
    optimizer: Optimizer,
    rows: Matrix,
    batch: usize,
    done: usize,
}

impl Steps {
    fn new(model: Box<dyn Autoencoder>, rows: Matrix, batch: usize) -> Steps {
        let adam = AdamConfig { weight_decay: 0.01, ..AdamConfig::new(LEARNING_RATE) };
        let config = OptimizerConfig::Adamw(adam);
        let optimizer = Optimizer::new(config, model.parameters().to_vec());
        Steps { model, optimizer, rows, batch, done: 0 }
    }

    /// Mean loss of the next steps.
    fn take(&mut self, n_steps: usize) -> Result<f64> {
        let n_rows = self.rows.nrows();
        let mut sum = 0.0;
        for _ in 0..n_steps {
            let places = self.done * self.batch..(self.done + 1) * self.batch;
            let batch: Vec<usize> = places.map(|i| i * STRIDE % n_rows).collect();
            let x = gather_rows(self.rows.view(), &batch)?;
            let context = Context::train(0.0, 1, Seed::new(self.done as u64));
            let loss = self.model.loss(&x, &x, &Loss::Mse, &context)?;
            sum += f64::from(loss.total.to_scalar::<f32>()?);
            backward(&loss.total, self.model.parameters())?;
            self.optimizer.step(LEARNING_RATE)?;
            self.done += 1;
        }
        Ok(sum / n_steps as f64)
    }
}

fn squares() -> [Matrix; 2] {
    let mut rng = Seed::new(2).rng();
    [0, 1].map(|_| Matrix::from_shape_simple_fn((SQUARE, SQUARE), || rng.random::<f32>() - 0.5))
}

/// Rate of the square product, in GFLOP/s: the best of five.
fn rate(a: &Matrix, b: &Matrix) -> (f64, Matrix) {
    let mut best = 0.0_f64;
    let mut product = Matrix::zeros((SQUARE, SQUARE));
    for _ in 0..5 {
        let start = Instant::now();
        linalg::matmul_into(product.view_mut(), a.view(), b.view(), 0.0);
        best = best.max(2.0 * (SQUARE as f64).powi(3) / start.elapsed().as_secs_f64() / 1e9);
    }
    (best, product)
}

pub fn matmul(place: &Place) -> Result<Round> {
    let [a, b] = squares();
    place.write_floats("square.f32", a.iter().chain(&b).copied())?;
    Ok(Box::new(move || {
        let (rate, product) = rate(&a, &b);
        let size = product.iter().map(|&value| f64::from(value.abs())).sum::<f64>();
        Ok(Measured { value: rate, loss: Some(size / (SQUARE * SQUARE) as f64) })
    }))
}

/// Share of that rate that the large step reaches.
pub fn share(place: &Place) -> Result<Round> {
    let rows = mnist()?.images;
    let (model, n_steps) = (model("large", place)?, network("large")?.n_steps);
    let matrices = model.parameters().iter().filter(|parameter| parameter.decays());
    let n_weights: usize = matrices.map(|parameter| parameter.len()).sum();
    let first = model.parameters()[0].len();
    // Forward, gradient of the weights, and of the inputs but those of the first layer.
    let flops = 2.0 * (BATCH * (3 * n_weights - first)) as f64;
    let mut steps = Steps::new(model, rows, BATCH);
    let [a, b] = squares();
    Ok(Box::new(move || {
        let start = Instant::now();
        let loss = steps.take(n_steps)?;
        let reached = flops * n_steps as f64 / start.elapsed().as_secs_f64() / 1e9;
        Ok(Measured { value: reached / rate(&a, &b).0, loss: Some(loss) })
    }))
}

/// How much more two small models in turn on one thread each get done at once than one after the
/// other on two threads.
pub fn trials(place: &Place) -> Result<Round> {
    let rows = mnist()?.images;
    let mut trials = Vec::new();
    for _ in 0..2 {
        trials.push(Steps::new(model("small", place)?, rows.clone(), BATCH));
    }
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let (both, each) = (pool(2)?, [pool(1)?, pool(1)?]);
    Ok(Box::new(move || {
        let start = Instant::now();
        for trial in &mut trials {
            both.install(|| trial.take(N_TRIAL_STEPS))?;
        }
        let in_turn = start.elapsed().as_secs_f64();
        let start = Instant::now();
        std::thread::scope(|scope| -> Result<()> {
            let at_work: Vec<_> = (trials.iter_mut().zip(&each))
                .map(|(trial, pool)| scope.spawn(|| pool.install(|| trial.take(N_TRIAL_STEPS))))
                .collect();
            for handle in at_work {
                handle.join().map_err(|_| anyhow!("a trial panicked"))??;
            }
            Ok(())
        })?;
        Ok(Measured { value: in_turn / start.elapsed().as_secs_f64(), loss: None })
    }))
}
