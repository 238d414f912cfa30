//! What every architecture has to keep, walked over `ModelConfig::examples()` and over vectors,
//! images of odd sizes and mixed tables.

use candle_core::Tensor;
use hourglass_core::{ColumnGroup, ColumnKind, Matrix, SampleShape, Seed};
use hourglass_nn::{
    AdamConfig, Loss, Optimizer, OptimizerConfig, TensorFile, backward, rows_of, to_matrix,
};
use rand::RngExt;

use crate::{Autoencoder, Context, Error, ModelConfig, build};

/// Vectors, images of odd and even sizes with one and two channels, and a mixed table.
fn shapes() -> Vec<SampleShape> {
    let group = |name: &str, kind, columns| ColumnGroup { name: name.to_owned(), kind, columns };
    vec![
        SampleShape::Vector { len: 17 },
        SampleShape::Image { channels: 1, height: 7, width: 5 },
        SampleShape::Image { channels: 2, height: 6, width: 4 },
        SampleShape::Table {
            groups: vec![
                group("a", ColumnKind::Numeric, 0..3),
                group("b", ColumnKind::Binary, 3..5),
                group("c", ColumnKind::Categorical, 5..9),
                group("d", ColumnKind::Numeric, 9..11),
                group("e", ColumnKind::Categorical, 11..14),
            ],
        },
    ]
}

/// Every example with every shape that it takes.
fn all() -> Vec<(ModelConfig, SampleShape)> {
    let mut all = Vec::new();
    for shape in shapes() {
        for config in ModelConfig::examples_for(&shape) {
            all.push((config, shape.clone()));
        }
        if !shape.groups().is_empty() {
            all.extend(embedded().into_iter().map(|config| (config, shape.clone())));
        }
    }
    all
}

/// One example of each kind that can embed categories, with vectors of 2.
fn embedded() -> Vec<ModelConfig> {
    let mut embedded: Vec<ModelConfig> = Vec::new();
    for example in ModelConfig::examples() {
        let mut value = serde_json::to_value(&example).unwrap();
        value[example.kind()]["embedding_dim"] = 2.into();
        match serde_json::from_value::<ModelConfig>(value) {
            Ok(config)
                if config.check(&Loss::Mse).is_ok()
                    && embedded.iter().all(|other| other.kind() != config.kind()) =>
            {
                embedded.push(config);
            }
            _ => {}
        }
    }
    embedded
}

#[test]
fn fully_connected_models_embed_categories() {
    let kinds: Vec<_> = embedded().iter().map(ModelConfig::kind).collect();
    let expected = [
        "undercomplete",
        "denoising",
        "k_sparse",
        "sparse",
        "winner_take_all",
        "deep_stack",
        "masked_table",
        "variational",
        "wasserstein",
        "rae_l2",
        "vq_vae",
    ];
    assert_eq!(kinds, expected);
    for config in embedded() {
        assert!(config.describe(14).contains("levels as vectors of 2"), "{}", config.describe(14));
    }
}

fn rows(n: usize, shape: &SampleShape) -> Tensor {
    let mut rng = Seed::new(11).rng();
    let mut rows = Matrix::from_shape_simple_fn((n, shape.n_features()), || rng.random::<f32>());
    for group in shape.groups() {
        for mut row in rows.rows_mut() {
            let mut values = row.slice_mut(ndarray::s![group.columns.clone()]);
            match group.kind {
                ColumnKind::Numeric => {}
                ColumnKind::Binary => values.mapv_inplace(f32::round),
                ColumnKind::Categorical => {
                    let level = rng.random_range(0..values.len());
                    values.fill(0.0);
                    values[level] = 1.0;
                }
            }
        }
    }
    rows_of(rows.view()).unwrap()
}

fn model(config: &ModelConfig, shape: &SampleShape, seed: u64) -> Box<dyn Autoencoder> {
    build(config, shape, Seed::new(seed)).unwrap()
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
            // From full speed to a halt, as noise would keep some models from settling.
            let rate = 3e-3 * (1.0 - step as f64 / n_steps as f64);
            optimizer.step(rate).unwrap();
            loss.total.to_scalar().unwrap()
        })
        .collect()
}

fn state(model: &dyn Autoencoder) -> TensorFile {
    let mut file = TensorFile::default();
    file.push_parameters(model.parameters()).unwrap();
    file.push_buffers(model.buffers()).unwrap();
    file
}

#[test]
fn every_example_takes_a_shape() {
    let all = all();
    for config in ModelConfig::examples() {
        assert!(all.iter().any(|(taken, _)| *taken == config), "{}", config.kind());
    }
}

#[test]
fn shapes_are_as_documented() {
    for (config, shape) in all() {
        let (x, model) = (rows(5, &shape), model(&config, &shape, 1));
        let encoded = to_matrix(&model.encode(&x).unwrap()).unwrap();
        assert_eq!(encoded.dim(), (5, model.latent_dim()), "{}", config.kind());
        assert!(config.latent_dim().is_none_or(|latent_dim| latent_dim == model.latent_dim()));
        assert_eq!(model.n_features(), shape.n_features());
        assert_eq!(model.reconstruct(&x).unwrap().dims(), [5, shape.n_features()]);
        let hidden = to_matrix(&Tensor::cat(&model.hidden(&x).unwrap(), 1).unwrap()).unwrap();
        let last = hidden.ncols() - encoded.ncols();
        assert_eq!(hidden.slice(ndarray::s![.., last..]), encoded, "{}", config.kind());
    }
}

#[test]
fn every_parameter_gets_a_finite_gradient() {
    for (config, shape) in all() {
        let (x, model) = (rows(32, &shape), model(&config, &shape, 2));
        // Late, when layers that learn one after the other learn together.
        let context = Context::train(100.25, 102, Seed::new(1));
        let loss = model.loss(&x, &x, &Loss::Mse, &context).unwrap();
        backward(&loss.total, model.parameters()).unwrap();
        for parameter in model.parameters() {
            let gradient = parameter.gradient().unwrap_or_default();
            let name = format!("{} {}", config.kind(), parameter.name());
            assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
            assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
        }
    }
}

#[test]
fn names_are_unique() {
    for (config, shape) in all() {
        let file = state(model(&config, &shape, 2).as_ref());
        let mut names: Vec<_> = file.tensors.iter().map(|tensor| &tensor.name).collect();
        names.sort();
        let n_names = names.len();
        names.dedup();
        assert_eq!(names.len(), n_names, "{}", config.kind());
    }
}

#[test]
fn overfits_eight_rows() {
    let mut failures = Vec::new();
    for (config, shape) in all() {
        let (x, model) = (rows(8, &shape), model(&config, &shape, 3));
        let reconstruction = || {
            let context = Context::evaluate(Seed::new(1));
            let loss = model.loss(&x, &x, &Loss::Mse, &context).unwrap();
            loss.reconstruction.to_scalar::<f32>().unwrap()
        };
        let first = reconstruction();
        train(model.as_ref(), &x, 1500);
        let last = reconstruction();
        if last.is_nan() || last >= 0.01 * first {
            failures.push(format!("{config:?} on {shape:?}: {first} -> {last}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    for (config, shape) in all() {
        let x = rows(40, &shape);
        let run = |seed, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let model = model(&config, &shape, seed);
                let losses = train(model.as_ref(), &x, 12);
                (losses, state(model.as_ref()), to_matrix(&model.encode(&x).unwrap()).unwrap())
            })
        };
        assert_eq!(run(4, 1), run(4, 2), "{}", config.kind());
        assert_ne!(run(4, 1).0, run(5, 1).0, "{}", config.kind());
    }
}

#[test]
fn a_restored_model_does_what_the_saved_one_does() {
    for (config, shape) in all() {
        let x = rows(40, &shape);
        let trained = model(&config, &shape, 4);
        train(trained.as_ref(), &x, 5);
        let restored = model(&config, &shape, 5);
        let file = state(trained.as_ref());
        file.restore_parameters(restored.parameters()).unwrap();
        file.restore_buffers(restored.buffers()).unwrap();
        let of = |model: &dyn Autoencoder| {
            let results = [model.encode(&x), model.reconstruct(&x)];
            results.map(|result| to_matrix(&result.unwrap()).unwrap())
        };
        assert_eq!(of(trained.as_ref()), of(restored.as_ref()), "{}", config.kind());
    }
}

#[test]
fn parts_sum_to_the_total() {
    for (config, shape) in all() {
        let x = rows(40, &shape);
        for context in [Context::train(0.5, 4, Seed::new(1)), Context::evaluate(Seed::new(1))] {
            let loss = model(&config, &shape, 4).loss(&x, &x, &Loss::Mse, &context).unwrap();
            let parts: f32 = loss.named().map(|(_, part)| part.to_scalar::<f32>().unwrap()).sum();
            let total = loss.total.to_scalar::<f32>().unwrap();
            assert!((parts - total).abs() <= 1e-5 * total.abs(), "{}", config.kind());
        }
    }
}

#[test]
fn a_judgement_repeats_itself_and_changes_nothing() {
    for (config, shape) in all() {
        let (x, model) = (rows(40, &shape), model(&config, &shape, 4));
        let before = state(model.as_ref());
        let judge = || {
            let context = Context::evaluate(Seed::new(3));
            let loss = model.loss(&x, &x, &Loss::Mse, &context).unwrap();
            loss.total.to_scalar::<f32>().unwrap()
        };
        assert_eq!(judge(), judge(), "{}", config.kind());
        assert_eq!(before, state(model.as_ref()), "{}", config.kind());
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
    for (config, shape) in all() {
        let model = model(&config, &shape, 1);
        let width = shape.n_features() + 1;
        let x = Tensor::zeros((2, width), candle_core::DType::F32, &candle_core::Device::Cpu);
        let x = x.unwrap();
        let results =
            [model.encode(&x), model.reconstruct(&x), model.hidden(&x).map(|_| x.clone())];
        let loss = model.loss(&x, &x, &Loss::Mse, &Context::evaluate(Seed::new(1)));
        for error in results.into_iter().map(Result::unwrap_err).chain([loss.unwrap_err()]) {
            let Error::InputWidth { expected, found } = error else { panic!("{error}") };
            assert_eq!((expected, found), (width - 1, width));
        }
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
