//! What the file asks for, held against the data and against itself.

use hourglass_core::{ColumnMoments, Samples};
use hourglass_nn::{Activation, Init, Loss};

use serde_json::Value;

use super::Settings;
use crate::threshold::{
    BATCH_SHARE, FEW_SAMPLES, INIT_DEPTH, RATE_TOO_HIGH, SATURATED_DEPTH, SMALL_BATCH,
};
use crate::toml::inline;
use crate::{Finding, FindingId, Recipe, Severity};

/// How far a value may lie beyond the range of an output before it counts.
const SLACK: f32 = 1e-4;

/// Rows a step that suit most trainings (Masters and Luschi, 2018).
const USUAL_BATCH: usize = 32;

/// Layers from which an autoencoder is deep: two on either side of the latent.
const DEEP: usize = 4;

pub(super) fn examine(
    settings: &Settings,
    samples: &Samples,
    moments: &ColumnMoments,
) -> Vec<Finding> {
    let low = moments.min.iter().copied().fold(f32::INFINITY, f32::min);
    let high = moments.max.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let n_train = samples.partition.n_train;
    [
        output_range(settings, low, high),
        loss(settings, low, high),
        initialisation(settings),
        optimizer(settings),
        rate(settings),
        batch(settings, n_train),
        depth(settings),
        size(settings, n_train * samples.features.ncols()),
        baseline(settings),
        one_sided(settings),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How a value is written in the pipeline file.
fn key_of(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// What an activation can reach.
fn reach(activation: Activation) -> (f32, f32) {
    match activation {
        Activation::Sigmoid => (0.0, 1.0),
        Activation::Tanh => (-1.0, 1.0),
        Activation::Relu | Activation::Softplus => (0.0, f32::INFINITY),
        Activation::Elu => (-1.0, f32::INFINITY),
        _ => (f32::NEG_INFINITY, f32::INFINITY),
    }
}

fn output_range(settings: &Settings, low: f32, high: f32) -> Option<Finding> {
    let (lowest, highest) = reach(settings.output_activation);
    if low >= lowest - SLACK && high <= highest + SLACK {
        return None;
    }
    let sentence = format!(
        "the output can only reach {lowest} to {highest}, but the data lie between {low:.4} and \
         {high:.4}"
    );
    let key = settings.architecture.key_of("output_activation");
    let mut finding = Finding::new(FindingId::OutputRange, Severity::Error, sentence)
        .measured("lowest input", low.into(), lowest.into())
        .measured("highest input", high.into(), highest.into())
        .cured_by(key, "\"linear\"", "a linear output reaches every value");
    // Binary cross-entropy and a linear output don't go together.
    if settings.loss == Loss::Bce
        && let Some(cure) = finding.cures.first_mut()
    {
        let loss = crate::Change { key: "train.loss".into(), value: "\"mse\"".into() };
        cure.changes.push(loss);
    }
    Some(finding)
}

fn loss(settings: &Settings, low: f32, high: f32) -> Option<Finding> {
    if settings.loss != Loss::Bce || (low >= -SLACK && high <= 1.0 + SLACK) {
        return None;
    }
    let sentence = format!(
        "binary cross-entropy needs values between 0 and 1, but the data lie between {low:.4} and \
         {high:.4}"
    );
    Some(
        Finding::new(FindingId::UnsuitableLoss, Severity::Error, sentence)
            .measured("lowest input", low.into(), 0.0)
            .measured("highest input", high.into(), 1.0)
            .cured_by(
                "preprocess.numeric",
                "{ min_max = { range = [0.0, 1.0] } }",
                "the loss is defined on [0, 1]",
            ),
    )
}

fn initialisation(settings: &Settings) -> Option<Finding> {
    let init = settings.init?;
    let rectifies = matches!(
        settings.hidden_activation,
        Activation::Relu | Activation::LeakyRelu | Activation::Elu
    );
    let name = key_of(&init);
    let is_zero = name == "zeros";
    let suits_rectifier = name.starts_with("he_") || name == "orthogonal";
    let suits = if rectifies { suits_rectifier } else { !name.starts_with("he_") };
    if suits && !is_zero {
        return None;
    }
    let activation = key_of(&settings.hidden_activation);
    let sentence = format!(
        "weights are drawn as `{name}`, which does not suit `{activation}` over {} layers",
        settings.n_layers
    );
    // Fewer layers forgive it.
    let is_deep = settings.n_layers as f64 >= INIT_DEPTH;
    let severity = if is_deep || is_zero { Severity::Warning } else { Severity::Note };
    let better = key_of(&Init::for_activation(settings.hidden_activation));
    let finding = Finding::new(FindingId::UnsuitableInitialisation, severity, sentence);
    let n_layers = settings.n_layers as f64;
    let finding = match is_deep {
        true => finding.measured("layers", n_layers, INIT_DEPTH),
        false => finding.shown("layers", n_layers),
    };
    Some(finding.cured_by(
        settings.architecture.key_of("init"),
        format!("\"{better}\""),
        "it keeps the size of signals from layer to layer (He et al., ICCV 2015)",
    ))
}

fn optimizer(settings: &Settings) -> Option<Finding> {
    if !settings.is_plain_descent || settings.n_layers < DEEP {
        return None;
    }
    let sentence = format!(
        "plain gradient descent without momentum on {} layers crawls along flat valleys",
        settings.n_layers
    );
    Some(
        Finding::new(FindingId::UnsuitableOptimizer, Severity::Warning, sentence)
            .shown("layers", settings.n_layers as f64)
            .cured_by(
                "train.optimizer",
                "{ adam = { learning_rate = 1e-3 } }",
                "a rate for each weight (Kingma and Ba, ICLR 2015)",
            ),
    )
}

fn rate(settings: &Settings) -> Option<Finding> {
    let Recipe { optimizer, learning_rate: rate, .. } = &settings.recipe;
    let is_adaptive = optimizer != "sgd";
    if !is_adaptive || *rate <= RATE_TOO_HIGH {
        return None;
    }
    let sentence = format!(
        "a learning rate of {rate} moves each weight by about as much in every step of \
         `{optimizer}`"
    );
    Some(
        Finding::new(FindingId::LearningRateTooHigh, Severity::Warning, sentence)
            .measured("learning rate", *rate, RATE_TOO_HIGH)
            .cured_by(
                settings.recipe.rate_key(),
                "1e-3",
                "the default of Kingma and Ba, ICLR 2015",
            ),
    )
}

fn batch(settings: &Settings, n_train: usize) -> Option<Finding> {
    let (batch, share) = (settings.batch_size, settings.batch_size as f64 / n_train as f64);
    if (batch as f64) < SMALL_BATCH {
        let sentence = format!("with {batch} row(s) a step, steps follow the noise of single rows");
        let larger = || ("train.batch_size".to_owned(), USUAL_BATCH.to_string());
        let times = USUAL_BATCH / batch.max(1);
        let finding = Finding::new(FindingId::BatchTooSmall, Severity::Warning, sentence)
            .measured("rows a step", batch as f64, SMALL_BATCH)
            .cured_by_all(
                [larger(), settings.recipe.longer(times)],
                "as many steps, each along the mean of more rows (Masters and Luschi, 2018)",
            );
        return Some(match settings.recipe.faster((times as f64).sqrt()) {
            Some(faster) => finding.cured_by_all(
                [larger(), faster],
                "as many epochs of fewer steps, which may be longer (Malladi et al., NeurIPS 2022)",
            ),
            None => finding.cured_by("train.batch_size", USUAL_BATCH.to_string(), "fewer steps"),
        });
    }
    if share <= BATCH_SHARE {
        return None;
    }
    let sentence = format!(
        "a batch of {batch} rows leaves {} step(s) an epoch with {n_train} training rows",
        (n_train / batch).max(1)
    );
    let better = (n_train / 32).clamp(8, 128);
    Some(
        Finding::new(FindingId::BatchTooLarge, Severity::Warning, sentence)
            .measured("share of the training rows in a batch", share, BATCH_SHARE)
            .cured_by("train.batch_size", better.to_string(), "more steps an epoch"),
    )
}

fn depth(settings: &Settings) -> Option<Finding> {
    let saturates = matches!(settings.hidden_activation, Activation::Sigmoid | Activation::Tanh);
    // The output layer has an activation of its own.
    let n_saturating = settings.n_layers.saturating_sub(1);
    let is_sigmoid = settings.hidden_activation == Activation::Sigmoid;
    let is_deep = n_saturating as f64 >= SATURATED_DEPTH * if is_sigmoid { 1.0 } else { 2.0 };
    if !saturates || !is_deep {
        return None;
    }
    let name = key_of(&settings.hidden_activation);
    let sentence = format!(
        "{n_saturating} layers of `{name}` in a row let gradients vanish on their way back"
    );
    Some(
        Finding::new(FindingId::VanishingGradients, Severity::Warning, sentence)
            .measured("saturating layers in a row", n_saturating as f64, SATURATED_DEPTH)
            .cured_by(
                settings.architecture.key_of("activation"),
                "\"elu\"",
                "its derivative is 1 above 0 and it has no dead side (Clevert et al., ICLR 2016)",
            ),
    )
}

fn size(settings: &Settings, n_values: usize) -> Option<Finding> {
    let per_thousand = settings.architecture.n_parameters as f64 / n_values as f64 * 1000.0;
    if per_thousand <= FEW_SAMPLES {
        return None;
    }
    let sentence = format!(
        "{} trained numbers stand against {n_values} training values",
        settings.architecture.n_parameters
    );
    let severity =
        if settings.architecture.is_constrained { Severity::Note } else { Severity::Warning };
    let mut finding = Finding::new(FindingId::FewSamples, severity, sentence).measured(
        "trained numbers for a thousand training values",
        per_thousand,
        FEW_SAMPLES,
    );
    let architecture = &settings.architecture;
    if matches!(architecture.hidden_dims.as_slice(), [_]) {
        // The numbers of a single hidden layer grow with its width.
        let narrower = architecture.widened(0.8 * FEW_SAMPLES / per_thousand);
        finding = finding.cured_by(architecture.key_of("hidden_dims"), narrower, "fewer numbers");
    }
    Some(finding.hardened(architecture))
}

fn baseline(settings: &Settings) -> Option<Finding> {
    let has = |name: &str| settings.compare.iter().any(|set| set == name);
    if has("raw") {
        return None;
    }
    let missing = if has("pca") { "`raw`" } else { "`raw` and `pca`" };
    let sentence =
        format!("nothing simple is compared: {missing} are not under `downstream.compare`");
    Some(
        Finding::new(FindingId::NoBaseline, Severity::Warning, sentence)
            .shown("feature sets compared", settings.compare.len() as f64)
            .cured_by(
                "downstream.compare",
                "[\"raw\", \"pca\", \"autoencoder\"]",
                "only a comparison says what the autoencoder adds",
            ),
    )
}

/// Hyperparameters that are chosen for each feature set anew unless the file gives a value.
const CHOSEN: [&str; 6] = ["c", "gamma", "smoothing", "k", "alpha", "min_leaf"];

fn one_sided(settings: &Settings) -> Option<Finding> {
    let models = settings.models.as_array()?;
    if settings.compare.len() < 2 {
        return None;
    }
    let mut fixed: Vec<String> = Vec::new();
    let mut free = models.clone();
    let mut severity = Severity::Note;
    for (index, model) in free.iter_mut().enumerate() {
        for (name, table) in model.as_object_mut()? {
            let Some(table) = table.as_object_mut() else { continue };
            for key in CHOSEN {
                if table.get(key).is_some_and(|value| !value.is_null()) {
                    table.remove(key);
                    fixed.push(format!("`{key}` of `{name}`"));
                    // The verdict hangs on the first model.
                    if index == 0 {
                        severity = Severity::Warning;
                    }
                }
            }
        }
    }
    if fixed.is_empty() {
        return None;
    }
    let sentence = format!(
        "{} is fixed for all feature sets: what suits one of them flatters it, and harms the \
         others",
        fixed.join(" and ")
    );
    Some(
        Finding::new(FindingId::OneSidedTuning, severity, sentence)
            .measured(
                "hyperparameters that are not chosen for each feature set",
                fixed.len() as f64,
                0.0,
            )
            .cured_by(
                "downstream.models",
                inline(&Value::Array(free)),
                "chosen on validation for each feature set (Dacrema et al., RecSys 2019)",
            ),
    )
}
