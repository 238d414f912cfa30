//! What the pipeline file says of a model, in the doctor's words.

use hourglass_core::Samples;
use hourglass_doctor::{Architecture, Convolution, Recipe, Settings, Variant};
use hourglass_downstream::{ClassWeight, Metric};
use hourglass_models::{KlWarmUp, ModelConfig, build};

use crate::config::Pipeline;
use crate::error::Error;
use crate::key::to_value;

/// Trained numbers of the model.
pub(super) fn n_parameters(pipeline: &Pipeline, samples: &Samples) -> Result<usize, Error> {
    let seed = pipeline.repeat_seed(0).child("model");
    let model = build(&pipeline.model, &samples.shape, seed)?;
    Ok(model.parameters().iter().map(|parameter| parameter.len()).sum())
}

/// The autoencoder; the number of its parameters is known where there are rows.
pub(super) fn architecture(pipeline: &Pipeline, n_parameters: usize) -> Architecture {
    let config = &pipeline.model;
    // Widths between input and latent, and whether the input is corrupted, where it can be.
    let (hidden_dims, is_corrupted) = match config {
        ModelConfig::Undercomplete(m) => (m.hidden_dims.clone(), Some(m.corruption.is_some())),
        ModelConfig::Denoising(m) => (m.hidden_dims.clone(), Some(true)),
        ModelConfig::KSparse(m) => (m.hidden_dims.clone(), Some(m.corruption.is_some())),
        ModelConfig::Sparse(m) => (m.hidden_dims.clone(), Some(m.corruption.is_some())),
        ModelConfig::WinnerTakeAll(m) => (m.hidden_dims.clone(), Some(m.corruption.is_some())),
        ModelConfig::Contractive(m) => (m.hidden_dims.clone(), Some(m.corruption.is_some())),
        ModelConfig::StackedDenoising(m) => (m.hidden_dims.clone(), Some(true)),
        ModelConfig::DeepStack(m) => (m.hidden_dims.clone(), Some(true)),
        ModelConfig::MaskedTable(m) => (m.hidden_dims.clone(), Some(true)),
        ModelConfig::Variational(m) => (m.hidden_dims.clone(), None),
        ModelConfig::Wasserstein(m) => (m.hidden_dims.clone(), Some(m.corruption.is_some())),
        ModelConfig::RaeL2(m) => (m.hidden_dims.clone(), Some(m.corruption.is_some())),
        ModelConfig::VqVae(m) => (m.hidden_dims.clone(), None),
        ModelConfig::Convolutional(m) => (m.channels.clone(), Some(m.corruption.is_some())),
        ModelConfig::ConvolutionalWinnerTakeAll(m) => {
            (m.channels.clone(), Some(m.corruption.is_some()))
        }
        ModelConfig::MaskedImage(_) => (Vec::new(), None),
    };
    let by_width = matches!(config, ModelConfig::Undercomplete(_) | ModelConfig::Convolutional(_));
    Architecture {
        key: format!("model.{}", config.kind()),
        variant: variant(pipeline),
        is_constrained: !by_width || is_corrupted == Some(true),
        takes_corruption: is_corrupted.is_some(),
        latent_dim: config.latent_dim().unwrap_or(0),
        hidden_dims,
        n_parameters,
    }
}

fn variant(pipeline: &Pipeline) -> Variant {
    match &pipeline.model {
        ModelConfig::Sparse(m) => Variant::of_penalty(m.penalty),
        ModelConfig::KSparse(m) => Variant::KSparse {
            k: m.k_encode.unwrap_or(m.k),
            anneal_epochs: m.anneal.map_or(0, |anneal| anneal.epochs),
        },
        ModelConfig::WinnerTakeAll(_) => Variant::WinnerTakeAll { n_maps: None },
        ModelConfig::ConvolutionalWinnerTakeAll(m) => {
            Variant::WinnerTakeAll { n_maps: m.channels.last().copied() }
        }
        ModelConfig::Contractive(m) => Variant::Contractive { weight: m.weight.into() },
        ModelConfig::Variational(m) => {
            let warm_up = match m.warm_up {
                None => 0.0,
                Some(KlWarmUp::Linear { epochs }) => epochs / pipeline.train.epochs as f64,
                // It rises again and again until the end.
                Some(KlWarmUp::Cyclical { .. }) => 1.0,
            };
            let is_normal = to_value(&pipeline.train.loss) == "mse";
            let output_std = is_normal.then_some(m.output_std.into());
            Variant::Variational { beta: m.beta.into(), warm_up, output_std }
        }
        ModelConfig::VqVae(m) => Variant::VectorQuantised { n_codes: m.n_codes },
        ModelConfig::MaskedImage(_) => Variant::MaskedImage,
        ModelConfig::Undercomplete(m) if m.is_linear() => Variant::Linear,
        _ => Variant::Plain,
    }
}

/// What the file asks for, beside the data that it asks it of.
///
/// # Errors
/// If the model can't be built for these rows.
pub(super) fn settings(pipeline: &Pipeline, samples: &Samples) -> Result<Settings, Error> {
    let n_parameters = n_parameters(pipeline, samples)?;
    let architecture = architecture(pipeline, n_parameters);
    // Keys that most architectures share under the same name.
    let table = &to_value(&pipeline.model)[pipeline.model.kind()];
    let momentum = &to_value(&pipeline.train.optimizer)["sgd"]["momentum"];
    let (train, downstream) = (&pipeline.train, &pipeline.downstream);
    let metric = downstream.metric_for(samples.targets.task());
    Ok(Settings {
        hidden_activation: serde_json::from_value(table["activation"].clone()).unwrap_or_default(),
        output_activation: pipeline.model.output_activation(),
        init: serde_json::from_value(table["init"].clone()).ok(),
        n_layers: 2 * (architecture.hidden_dims.len() + 1),
        convolution: convolution(&pipeline.model),
        loss: train.loss,
        recipe: recipe(pipeline),
        is_plain_descent: momentum.as_f64() == Some(0.0),
        batch_size: train.batch_size,
        compare: downstream.compare.iter().map(|set| set.name().to_owned()).collect(),
        counts_classes_alike: downstream.class_weight != ClassWeight::None
            || matches!(metric, Metric::BalancedAccuracy | Metric::MacroF1),
        models: to_value(&downstream.models),
        architecture,
    })
}

/// How the file trains.
pub(super) fn recipe(pipeline: &Pipeline) -> Recipe {
    let train = &pipeline.train;
    Recipe {
        optimizer: train.optimizer.name().to_owned(),
        learning_rate: train.optimizer.learning_rate(),
        epochs: train.epochs,
    }
}

fn convolution(config: &ModelConfig) -> Option<Convolution> {
    match config {
        ModelConfig::Convolutional(m) => {
            Some(Convolution { n_layers: m.channels.len(), kernel: m.kernel, stride: 2 })
        }
        ModelConfig::ConvolutionalWinnerTakeAll(m) => {
            Some(Convolution { n_layers: m.channels.len(), kernel: m.kernel, stride: 1 })
        }
        _ => None,
    }
}
