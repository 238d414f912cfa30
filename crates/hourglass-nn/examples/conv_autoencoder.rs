//! A convolutional autoencoder out of this crate's layers, trained on random images: what a step
//! takes. `cargo run --release -p hourglass-nn --example conv_autoencoder -- [kernel] [steps]`

use std::time::Instant;

use candle_core::{Device, Tensor};
use hourglass_core::Seed;
use hourglass_nn::{
    Activation, AdamConfig, Conv2d, ConvStack, ConvTranspose2d, Dense, Init, Loss, Optimizer,
    OptimizerConfig, Parameter, Result, Select, WeightOrder, Window, backward,
};
use rand::RngExt;

/// As in the binary: candle allocates a tensor for every result.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;

/// 1-32-64 channels, stride 2, latent 64, transposed back.
struct Model {
    down: [Conv2d; 2],
    encode: Dense,
    decode: Dense,
    up: [ConvTranspose2d; 2],
}

impl Model {
    fn new(kernel: usize) -> Result<Self> {
        let (window, seed) = (Window::square(kernel, 2, 1), Seed::new(1));
        let extra = [4 - kernel; 2];
        let (relu, sigmoid, he) = (Activation::Relu, Activation::Sigmoid, Init::HeUniform);
        let down = |name, channels| Conv2d::new(name, channels, window, relu, he, seed);
        let up = |name, channels, activation| {
            ConvTranspose2d::new(name, channels, window, extra, activation, he, seed)
        };
        let linear = Activation::Linear;
        Ok(Model {
            down: [down("down.0", (1, 32))?, down("down.1", (32, 64))?],
            encode: Dense::new("encode", (3136, 64), WeightOrder::OutIn, linear, he, seed)?,
            decode: Dense::new("decode", (64, 3136), WeightOrder::InOut, relu, he, seed)?,
            up: [up("up.0", (64, 32), relu)?, up("up.1", (32, 1), sigmoid)?],
        })
    }

    fn parameters(&self) -> Vec<Parameter> {
        let dense = [&self.encode, &self.decode].into_iter();
        let mut parameters: Vec<Parameter> =
            dense.flat_map(|layer| [layer.weight().clone(), layer.bias().clone()]).collect();
        parameters.extend(self.down.iter().flat_map(Conv2d::parameters));
        parameters.extend(self.up.iter().flat_map(ConvTranspose2d::parameters));
        parameters
    }

    /// `(batch, 784)` to the same.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let down = self.down.iter().fold(ConvStack::default(), ConvStack::then);
        let up = self.up.iter().fold(ConvStack::default(), ConvStack::then_transposed);
        let latent = self.encode.forward(&down.forward_flat(x, [28, 28])?, Select::All)?;
        up.forward_flat(&self.decode.forward(&latent, Select::All)?, [7, 7])
    }
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<()> {
    let argument = |i: usize, default: usize| {
        std::env::args().nth(i).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (kernel, n_steps) = (argument(1, 3).clamp(3, 4), argument(2, 60));
    let model = Model::new(kernel)?;
    let parameters = model.parameters();
    let config = OptimizerConfig::Adamw(AdamConfig::new(1e-3));
    let mut optimizer = Optimizer::new(config, parameters.clone());
    let mut rng = Seed::new(2).rng();
    let values: Vec<f32> = (0..BATCH * 784).map(|_| rng.random()).collect();
    let x = Tensor::from_vec(values, (BATCH, 784), &Device::Cpu)?;
    let mut seconds = Vec::new();
    let mut last = 0.0;
    for _ in 0..n_steps {
        let started = Instant::now();
        let loss = Loss::Mse.mean(&model.forward(&x)?, &x)?;
        backward(&loss, &parameters)?;
        optimizer.step(1e-3)?;
        last = loss.to_scalar::<f32>()?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.drain(..n_steps.min(10) / 2);
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    println!(
        "kernel {kernel}: {:.2} ms a step (least {:.2}), {:.0} samples/s, loss {last:.4}",
        median * 1e3,
        seconds[0] * 1e3,
        BATCH as f64 / median
    );
    Ok(())
}
