//! What every architecture has to keep, walked over `ModelConfig::examples()`.

use candle_core::Tensor;
use hourglass_core::{Matrix, SampleShape, Seed};
use hourglass_nn::{AdamConfig, Loss, Optimizer, OptimizerConfig, backward, rows_of, to_matrix};
use rand::RngExt;

use crate::{Autoencoder, Context, Error, ModelConfig, build};

const N_FEATURES: usize = 17;

fn rows(n: usize) -> Tensor {
    let mut rng = Seed::new(11).rng();
    rows_of(Matrix::from_shape_simple_fn((n, N_FEATURES), || rng.random::<f32>()).view()).unwrap()
}

fn model(config: &ModelConfig, seed: u64) -> Box<dyn Autoencoder> {
    build(config, &SampleShape::Vector { len: N_FEATURES }, Seed::new(seed)).unwrap()
}

fn train(model: &dyn Autoencoder, x: &Tensor, n_steps: usize) -> Vec<f32> {
    let adam = AdamConfig {
        learning_rate: 3e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
    };
    let config = OptimizerConfig::Adam(adam);
    let mut optimizer = Optimizer::new(config, model.parameters().to_vec());
    (0..n_steps)
        .map(|step| {
            let context = Context::train(step as f64 / 10.0, n_steps / 10, Seed::new(step as u64));
            let loss = model.loss(x, x, &Loss::Mse, &context).unwrap();
            backward(&loss.total, model.parameters()).unwrap();
            optimizer.step(3e-3).unwrap();
            loss.reconstruction.to_scalar().unwrap()
        })
        .collect()
}

#[test]
fn shapes_are_as_documented() {
    let x = rows(5);
    for config in ModelConfig::examples() {
        let model = model(&config, 1);
        assert_eq!(model.encode(&x).unwrap().dims(), [5, model.latent_dim()]);
        assert!(config.latent_dim().is_none_or(|latent_dim| latent_dim == model.latent_dim()));
        assert_eq!(model.reconstruct(&x).unwrap().dims(), [5, N_FEATURES]);
        let hidden = model.hidden(&x).unwrap();
        let latent = to_matrix(hidden.last().unwrap()).unwrap();
        assert_eq!(latent, to_matrix(&model.encode(&x).unwrap()).unwrap());
    }
}

#[test]
fn every_parameter_gets_a_finite_gradient() {
    let x = rows(32);
    for config in ModelConfig::examples() {
        let model = model(&config, 2);
        let context = Context::train(0.0, 1, Seed::new(1));
        let loss = model.loss(&x, &x, &Loss::Mse, &context).unwrap();
        backward(&loss.total, model.parameters()).unwrap();
        for parameter in model.parameters() {
            let gradient = parameter.gradient().unwrap_or_default();
            assert!(
                gradient.iter().all(|g| g.is_finite()),
                "{} {}",
                config.kind(),
                parameter.name()
            );
            assert!(gradient.iter().any(|g| *g != 0.0), "{} {}", config.kind(), parameter.name());
        }
    }
}

#[test]
fn overfits_eight_rows() {
    let x = rows(8);
    for config in ModelConfig::examples() {
        let losses = train(model(&config, 3).as_ref(), &x, 1500);
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(last < 0.01 * first, "{config:?}: {first} -> {last}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let x = rows(40);
    for config in ModelConfig::examples() {
        let run = |seed| {
            let model = model(&config, seed);
            let losses = train(model.as_ref(), &x, 20);
            (losses, to_matrix(&model.encode(&x).unwrap()).unwrap())
        };
        assert_eq!(run(4), run(4), "{}", config.kind());
        assert_ne!(run(4).0, run(5).0, "{}", config.kind());
    }
}

#[test]
fn parts_sum_to_the_total() {
    let x = rows(40);
    for config in ModelConfig::examples() {
        for context in [Context::train(0.5, 4, Seed::new(1)), Context::evaluate(Seed::new(1))] {
            let loss = model(&config, 4).loss(&x, &x, &Loss::Mse, &context).unwrap();
            let parts: f32 = loss.named().map(|(_, part)| part.to_scalar::<f32>().unwrap()).sum();
            let total = loss.total.to_scalar::<f32>().unwrap();
            assert!((parts - total).abs() <= 1e-5 * total.abs(), "{}", config.kind());
        }
    }
}

#[test]
fn an_output_that_cannot_reach_the_data_is_an_error() {
    let config: ModelConfig = serde_json::from_str(
        r#"{"undercomplete": {"latent_dim": 2, "output_activation": "sigmoid"}}"#,
    )
    .unwrap();
    config.check_range(&Loss::Mse, 0.0, 1.0).unwrap();
    config.check_range(&Loss::Bce, 0.0, 1.0).unwrap();
    for loss in [Loss::Mse, Loss::Bce] {
        let error = config.check_range(&loss, -2.5, 3.0).unwrap_err().to_string();
        let expected = "the prepared data reach from -2.5 to 3, but the output activation \
                        `sigmoid` from 0 to 1\nhint: ";
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_wrong_width_is_an_error() {
    let x = Tensor::zeros((2, 16), candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
    for config in ModelConfig::examples() {
        let error = model(&config, 1).encode(&x).unwrap_err();
        assert!(matches!(error, Error::InputWidth { expected: 17, found: 16 }));
    }
}

#[test]
fn examples_are_valid_and_survive_serialisation() {
    for config in ModelConfig::examples() {
        config.check(&Loss::Mse).unwrap();
        assert!(config.check(&Loss::Bce).is_err(), "linear output");
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
        assert!(text.starts_with(&format!(r#"{{"{}":"#, config.kind())), "{text}");
        assert!(config.describe(784).starts_with(config.kind()));
    }
}
