//! What the epochs say: their losses, rates, gradients, layers and the parts of the loss. It reads
//! figures, and decides nothing about whether training goes on.

mod losses;
mod parts;
#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::recipe::typed;
use crate::threshold::EXPLOSION;
use crate::{Architecture, Finding, FindingId, Recipe, Severity};

/// Epochs below which a curve says nothing.
const FEW_EPOCHS: usize = 5;

/// What the doctor reads of an epoch. Read from a line of the telemetry, it takes what is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Epoch {
    /// Mean of what was minimised over the training rows.
    #[serde(deserialize_with = "nan_from_null")]
    pub train_loss: f64,
    /// The same over the validation rows.
    #[serde(deserialize_with = "nan_from_null")]
    pub validation_loss: f64,
    /// Learning rate of the last step.
    #[serde(deserialize_with = "nan_from_null")]
    pub learning_rate: f64,
    /// Norm of all gradients together in the last step, before clipping.
    #[serde(deserialize_with = "nan_from_null")]
    pub gradient_norm: f64,
    /// What the validation loss is made of; `reconstruction` is always there.
    pub validation_parts: BTreeMap<String, f64>,
    /// Each parameter, in the order of the model.
    pub parameters: Vec<Parameter>,
    /// Each layer of the encoder, the latent last.
    pub layers: Vec<Layer>,
    /// The latent as a distribution.
    pub latent: LatentDivergence,
    /// What else the model knows of the validation rows, by name.
    pub facts: BTreeMap<String, Vec<f64>>,
}

/// A parameter after an epoch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parameter {
    /// Its path in the model, such as `encoder.0.weight`.
    pub name: String,
    /// Norm of its values.
    #[serde(deserialize_with = "nan_from_null")]
    pub weight_norm: f64,
    /// Norm of its gradient in the last step; 0 where none came.
    #[serde(deserialize_with = "nan_from_null")]
    pub gradient_norm: f64,
}

/// Activations of a layer over some validation rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Layer {
    /// Its path in the model, such as `encoder.0`.
    pub name: String,
    /// Number of units.
    pub n_units: usize,
    /// Mean over units and rows.
    #[serde(deserialize_with = "nan_from_null")]
    pub mean: f64,
    /// Standard deviation over units and rows.
    #[serde(deserialize_with = "nan_from_null")]
    pub spread: f64,
    /// Share of all activations that are exactly 0.
    #[serde(deserialize_with = "nan_from_null")]
    pub zero_share: f64,
    /// Share of units that are 0 in every row.
    #[serde(deserialize_with = "nan_from_null")]
    pub always_zero_share: f64,
    /// Share of units that lie near an end of their range in nearly every row, where it has ends.
    pub saturated_share: Option<f64>,
}

/// How far a latent that is a distribution is from its prior.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatentDivergence {
    /// Nats of each dimension, where the model has any.
    pub kl_per_dimension: Option<Vec<f64>>,
}

/// JSON has no NaN: it is written as `null`.
fn nan_from_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Where a number that is none was found first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFinite {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// The first tensor that isn't finite, such as `the parameter encoder.0.weight`; `None` where
    /// nobody looked.
    pub place: Option<String>,
}

/// What a file says about training, as far as curves are judged by it.
#[derive(Clone, Debug)]
pub struct Training {
    /// Every finished epoch.
    pub epochs: Vec<Epoch>,
    /// Key of the optimiser, such as `adam`.
    pub optimizer: String,
    /// Whether training stops early and goes back to the best weights.
    pub stops_early: bool,
    /// Where it met a number that is none, whether it was cut off there or went back.
    pub not_finite: Option<NotFinite>,
    /// Epochs that were asked for.
    pub n_epochs: usize,
    /// The autoencoder.
    pub architecture: Architecture,
}

impl Training {
    /// Warm-up starts low and schedules end low; the largest rate is the one that was asked for.
    fn largest_rate(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.learning_rate).fold(0.0, f64::max)
    }

    /// The rate of the second half, where a training that went back ended far below where it began.
    fn settled_rate(&self) -> Option<f64> {
        let half = &self.epochs[self.epochs.len() / 2..];
        let is_whole = self.epochs.iter().all(|epoch| epoch.train_loss.is_finite());
        let rate = half.iter().map(|epoch| epoch.learning_rate).fold(0.0, f64::max);
        (self.not_finite.is_some() && is_whole && rate > 0.0).then_some(rate)
    }

    fn recipe(&self) -> Recipe {
        Recipe {
            optimizer: self.optimizer.clone(),
            learning_rate: self.largest_rate(),
            epochs: self.n_epochs,
        }
    }
}

/// Everything that can be found in the curves of a run, finished or not.
pub fn during(training: &Training) -> Vec<Finding> {
    let mut findings: Vec<Finding> = not_finite(training).into_iter().collect();
    if !findings.is_empty() && training.epochs.len() < FEW_EPOCHS {
        return findings;
    }
    findings.extend(exploding(training));
    findings.extend(units::examine(training));
    findings.extend(parts::examine(training));
    findings.extend(losses::examine(training));
    findings
}

fn rate_key(training: &Training) -> String {
    format!("train.optimizer.{}.learning_rate", training.optimizer)
}

fn not_finite(training: &Training) -> Option<Finding> {
    let is_finite =
        |epoch: &Epoch| epoch.train_loss.is_finite() && epoch.validation_loss.is_finite();
    let first = training.epochs.iter().position(|epoch| !is_finite(epoch));
    let (epoch, place) = match (first, &training.not_finite) {
        (_, Some(NotFinite { epoch, place })) => (*epoch, place.as_deref()),
        (Some(index), None) => (index + 1, None),
        (None, None) => return None,
    };
    let rate = training.largest_rate();
    let mut sentence = format!("the loss stopped being a number in epoch {epoch}");
    if let Some(place) = place {
        sentence += &format!("; the first number that was none was in {place}");
    }
    let mut finding = Finding::new(FindingId::NonFiniteLoss, Severity::Error, sentence)
        .shown("epoch", epoch as f64)
        .drawn(training.epochs.iter().map(|epoch| epoch.train_loss).collect());
    let usual = training.recipe().usual_rate();
    if let Some(settled) = training.settled_rate() {
        // It broke at about ten times that; the truth lies between, and longer steps are quicker.
        finding = finding
            .cured_by(
                rate_key(training),
                typed(3.0 * settled),
                "half way between the rate at which it broke and that at which it went on",
            )
            .cured_by(rate_key(training), typed(settled), "the rate at which it went on");
    }
    if rate > 10.0 * usual {
        // A tenth of what is so far off is as far off.
        let because = "a rate that suits most nets (Goodfellow et al., 2016, section 11.4)";
        finding = finding.cured_by(rate_key(training), typed(usual), because);
    }
    if rate > 0.0 {
        finding = finding
            .cured_by(rate_key(training), typed(rate / 10.0), "smaller steps stay inside")
            .cured_by("train.clip_norm", "1.0", "Pascanu et al., ICML 2013")
            .cured_by_all(
                [
                    (rate_key(training), typed(rate / 100.0)),
                    ("train.clip_norm".to_owned(), "1.0".to_owned()),
                ],
                "both, where one is not enough",
            );
    }
    Some(finding)
}

fn exploding(training: &Training) -> Option<Finding> {
    let norms: Vec<f64> = training.epochs.iter().map(|epoch| epoch.gradient_norm).collect();
    let (index, largest) =
        norms.iter().copied().enumerate().skip(1).max_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut before: Vec<f64> = norms[..index].to_vec();
    before.sort_by(f64::total_cmp);
    let usual = before[before.len() / 2];
    let ratio = largest / usual;
    if usual <= 0.0 || ratio < EXPLOSION {
        return None;
    }
    let sentence = format!(
        "the gradient norm rose to {largest:.3e} in epoch {}, {ratio:.0} times what it was before",
        index + 1
    );
    Some(
        Finding::new(FindingId::ExplodingGradients, Severity::Warning, sentence)
            .measured("largest norm over the median before it", ratio, EXPLOSION)
            .drawn(norms)
            .cured_by("train.clip_norm", "1.0", "Pascanu, Mikolov and Bengio, ICML 2013")
            .cured_by(
                rate_key(training),
                typed(training.largest_rate() / 10.0),
                "smaller steps stay where gradients are small",
            )
            .cured_by(
                rate_key(training),
                typed(training.recipe().usual_rate()),
                "a rate that suits most nets",
            ),
    )
}
