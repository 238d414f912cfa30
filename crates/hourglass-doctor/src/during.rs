//! What the epochs say: their losses, rates, gradients, layers and the parts of the loss. It reads
//! figures, and decides nothing about whether training goes on.

mod parts;
mod units;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::recipe::typed;
use crate::threshold::{
    EXPLOSION, OSCILLATION, OVERFIT_GAP, PLATEAU_EPOCHS, REGRESSED, SLOW_FALL, STILL_FALLS,
    UNTRAINED_FALL,
};
use crate::{Architecture, Finding, FindingId, Recipe, Severity, Variant};

/// Epochs below which a curve says nothing.
const FEW_EPOCHS: usize = 5;

/// Relative change of a loss that counts.
const COUNTS: f64 = 1e-3;

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
    let epochs = &training.epochs;
    let mut findings: Vec<Finding> = not_finite(training).into_iter().collect();
    if !findings.is_empty() && epochs.len() < FEW_EPOCHS {
        return findings;
    }
    findings.extend(exploding(training));
    findings.extend(units::examine(training));
    findings.extend(parts::examine(training));
    findings.extend(untrained(training));
    if epochs.len() < FEW_EPOCHS {
        return findings;
    }
    match too_high(training) {
        Some(finding) => findings.push(finding),
        None => findings.extend(too_low(training).or_else(|| plateau(training))),
    }
    findings.extend(overfitting(training));
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

fn too_high(training: &Training) -> Option<Finding> {
    // While the weight of a divergence rises, or ever fewer units are kept, so may the loss.
    let skip = match training.architecture.variant {
        Variant::Variational { warm_up, .. } => {
            (warm_up * training.n_epochs as f64).ceil() as usize
        }
        Variant::KSparse { anneal_epochs, .. } => anneal_epochs,
        _ => 0,
    };
    let losses: Vec<f64> =
        training.epochs.iter().skip(skip).map(|epoch| epoch.train_loss).collect();
    if losses.len() < FEW_EPOCHS {
        return None;
    }
    let n_rises = losses.windows(2).filter(|pair| pair[1] > pair[0] * 1.01).count();
    let share = n_rises as f64 / (losses.len() - 1) as f64;
    let ended_higher = losses[losses.len() - 1] > losses[0] * 1.01;
    if share <= OSCILLATION && !ended_higher {
        return None;
    }
    let rate = training.largest_rate();
    let sentence = format!(
        "the training loss rose in {n_rises} of {} epochs, and went from {:.4e} to {:.4e}",
        losses.len() - 1,
        losses[0],
        losses[losses.len() - 1]
    );
    Some(
        Finding::new(FindingId::LearningRateTooHigh, Severity::Warning, sentence)
            .measured("share of epochs in which the training loss rose", share, OSCILLATION)
            .drawn(losses)
            .cured_by(rate_key(training), typed(rate / 10.0), "Smith, WACV 2017"),
    )
}

fn too_low(training: &Training) -> Option<Finding> {
    let losses: Vec<f64> = training.epochs.iter().map(|epoch| epoch.validation_loss).collect();
    let n = losses.len();
    let part = (n / 10).max(2);
    // Relative falls, so that a curve that halves again and again counts as steady.
    let early = (losses[0] - losses[part]) / losses[0].abs() / part as f64;
    let late = (losses[n - 1 - part] - losses[n - 1]) / losses[n - 1 - part].abs() / part as f64;
    let share = late / early;
    if !(early > 0.0 && late > STILL_FALLS && share > SLOW_FALL) {
        return None;
    }
    let recipe = training.recipe();
    let sentence = format!(
        "the validation loss still falls by {:.2} % an epoch at the end, against {:.2} % at the \
         start: training is not done",
        late * 100.0,
        early * 100.0
    );
    let mut finding = Finding::new(FindingId::LearningRateTooLow, Severity::Warning, sentence)
        .measured("late fall over early fall", share, SLOW_FALL)
        .drawn(losses);
    if let Some(faster) = recipe.faster(10.0) {
        finding = finding.cured_by_all([faster], "Smith, WACV 2017");
    }
    Some(finding.cured_by("train.epochs", (3 * n).to_string(), "the loss still falls"))
}

fn plateau(training: &Training) -> Option<Finding> {
    let epochs = &training.epochs;
    let losses: Vec<f64> = epochs.iter().map(|epoch| epoch.validation_loss).collect();
    let last = epochs.last()?;
    let mut best = f64::INFINITY;
    let mut since = 0;
    for (index, &loss) in losses.iter().enumerate() {
        if loss < best * (1.0 - COUNTS) {
            (best, since) = (loss, index);
        }
    }
    let n_idle = epochs.len() - 1 - since;
    let rate_fell = epochs[since].learning_rate > last.learning_rate * 1.001;
    if (n_idle as f64) < PLATEAU_EPOCHS || rate_fell || training.stops_early {
        return None;
    }
    let sentence =
        format!("for {n_idle} epochs neither the validation loss nor the learning rate has fallen");
    Some(
        Finding::new(FindingId::Plateau, Severity::Warning, sentence)
            .measured("idle epochs at the end", n_idle as f64, PLATEAU_EPOCHS)
            .drawn(losses)
            .cured_by(
                "train.schedule",
                "{ reduce_on_plateau = { factor = 0.5, patience = 3 } }",
                "a smaller rate settles lower in the valley",
            )
            .cured_by("train.early_stopping", "{ patience = 5 }", "the time can be saved"),
    )
}

fn overfitting(training: &Training) -> Option<Finding> {
    let losses: Vec<f64> = training.epochs.iter().map(|epoch| epoch.validation_loss).collect();
    let last = training.epochs.last()?;
    let lowest = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let (regressed, gap) = (last.validation_loss / lowest, last.validation_loss / last.train_loss);
    if regressed <= REGRESSED || gap <= OVERFIT_GAP || training.stops_early || lowest <= 0.0 {
        return None;
    }
    let sentence = format!(
        "the validation loss is {regressed:.2} times its lowest value, and {gap:.2} times the \
         training loss"
    );
    Some(
        Finding::new(FindingId::Overfitting, Severity::Warning, sentence)
            .measured("last over lowest validation loss", regressed, REGRESSED)
            .measured("validation over training loss", gap, OVERFIT_GAP)
            .drawn(losses.clone())
            .cured_by(
                "train.early_stopping",
                format!("{{ patience = {} }}", patience(&losses)),
                "longer than any pause before the lowest loss (Prechelt, 1998)",
            )
            .hardened(&training.architecture),
    )
}

/// Epochs without a new lowest loss that are worth waiting for: half as many again as the longest
/// pause on the way to the lowest one, and five at least.
fn patience(losses: &[f64]) -> usize {
    let (mut lowest, mut since, mut longest) = (f64::INFINITY, 0, 0);
    for (epoch, &loss) in losses.iter().enumerate() {
        if loss < lowest {
            longest = longest.max(epoch - since);
            (lowest, since) = (loss, epoch);
        }
    }
    (longest * 3 / 2).max(5)
}

/// Training that ended while the loss still fell fast: too early to judge the model at all.
fn untrained(training: &Training) -> Option<Finding> {
    let losses: Vec<f64> = training.epochs.iter().map(|epoch| epoch.validation_loss).collect();
    let n = losses.len();
    // A run that was broken off has not chosen to end.
    if n < 2 || n < training.n_epochs && !training.stops_early {
        return None;
    }
    let fall = (losses[n - 2] - losses[n - 1]) / losses[n - 2].abs();
    if fall.is_nan() || fall <= UNTRAINED_FALL {
        return None;
    }
    let sentence = format!(
        "training ended after {n} epoch(s) while the validation loss still fell by {:.1} % an \
         epoch: the autoencoder can't be judged yet",
        fall * 100.0
    );
    Some(
        Finding::new(FindingId::Undertrained, Severity::Warning, sentence)
            .measured("relative fall of the loss in the last epoch", fall, UNTRAINED_FALL)
            .drawn(losses)
            .cured_by("train.epochs", (5 * n).to_string(), "the loss still falls"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(losses: &[(f64, f64)]) -> Training {
        let epochs = losses.iter().map(|&(train_loss, validation_loss)| Epoch {
            train_loss,
            validation_loss,
            learning_rate: 1e-3,
            gradient_norm: 1.0,
            ..Epoch::default()
        });
        Training {
            epochs: epochs.collect(),
            optimizer: "adam".into(),
            stops_early: false,
            not_finite: None,
            n_epochs: losses.len(),
            architecture: Architecture { key: "model.undercomplete".into(), ..Default::default() },
        }
    }

    fn ids(training: &Training) -> Vec<FindingId> {
        during(training).iter().map(|finding| finding.id).collect()
    }

    fn curve(n: u32, loss: impl Fn(f64) -> (f64, f64)) -> Training {
        training(&(0..n).map(|i| loss(f64::from(i))).collect::<Vec<_>>())
    }

    #[test]
    fn curves_and_what_they_say() {
        let healthy = |i: f64| 0.02 + 0.1 * (-i / 4.0).exp();
        let table: [(&str, Training, &[FindingId]); 6] = [
            ("healthy", curve(30, |i| (healthy(i), healthy(i) + 0.001)), &[]),
            (
                "steady fall",
                curve(30, |i| (0.1 * 0.97_f64.powf(i), 0.1 * 0.97_f64.powf(i))),
                &[FindingId::LearningRateTooLow],
            ),
            (
                "up and down",
                curve(30, |i| (0.1 + 0.05 * (i * 2.0).sin(), 0.1)),
                &[FindingId::LearningRateTooHigh],
            ),
            (
                "idle",
                curve(40, |i| (healthy(i.min(12.0)), healthy(i.min(12.0)))),
                &[FindingId::Plateau],
            ),
            (
                "overfits",
                curve(12, |i| (0.1 / (i + 1.0), 0.05 + 0.02 * (i - 4.0).abs())),
                &[FindingId::Overfitting],
            ),
            ("too short to say", curve(4, |i| (0.1 + i, 0.1 + i)), &[]),
        ];
        for (name, training, expected) in table {
            assert_eq!(ids(&training), expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_a_number_is_said_with_its_epoch_and_its_place() {
        let broken = curve(6, |i| (if i > 2.0 { f64::NAN } else { 0.1 }, 0.1));
        let findings = during(&broken);
        assert_eq!(ids(&broken)[0], FindingId::NonFiniteLoss);
        assert!(findings[0].sentence.ends_with("in epoch 4"), "{}", findings[0].sentence);
        assert_eq!(findings[0].cures[0].changes[0].value, "1e-4");
        let mut cut = curve(2, |_| (0.1, 0.1));
        let place = Some("the parameter `encoder.0.weight`".to_owned());
        cut.not_finite = Some(NotFinite { epoch: 3, place });
        let sentence = &during(&cut)[0].sentence;
        assert!(sentence.contains("in epoch 3") && sentence.contains("encoder.0.weight"));
    }

    #[test]
    fn a_rate_that_is_far_off_is_left_at_once() {
        let rates = |training: &Training| -> Vec<Vec<String>> {
            let cures = &during(training)[0].cures;
            cures.iter().map(|c| c.changes.iter().map(|c| c.value.clone()).collect()).collect()
        };
        let mut broken = curve(2, |_| (f64::NAN, 0.1));
        broken.optimizer = "sgd".into();
        broken.epochs.iter_mut().for_each(|epoch| epoch.learning_rate = 100.0);
        assert_eq!(rates(&broken)[..2], [["1e-2"], ["1e1"]]);
        // It went back and on at a tenth, so that is known to do.
        let mut went_on = curve(6, |_| (0.1, 0.1));
        went_on.optimizer = "sgd".into();
        went_on.epochs.iter_mut().for_each(|epoch| epoch.learning_rate = 0.1);
        went_on.not_finite = Some(NotFinite { epoch: 1, place: None });
        assert_eq!(rates(&went_on)[..2], [["3e-1"], ["1e-1"]]);
    }

    #[test]
    fn patience_outlasts_the_pauses_before_the_lowest_loss() {
        assert_eq!(patience(&[5.0, 4.0, 3.0, 4.0, 5.0]), 5);
        // A pause of eight epochs on the way down.
        let paused = |i: usize| if (3..10).contains(&i) { 9.0 } else { 10.0 - i as f64 };
        let losses: Vec<f64> = (0..12).map(paused).chain([9.0; 20]).collect();
        assert_eq!(patience(&losses), 12);
    }

    #[test]
    fn a_gradient_that_jumps_explodes() {
        let mut jumps = curve(6, |i| (0.1 / (i + 1.0).powi(2), 0.1 / (i + 1.0).powi(2)));
        jumps.epochs[4].gradient_norm = 5_000.0;
        assert!(ids(&jumps).contains(&FindingId::ExplodingGradients));
    }
    fn with(variant: Variant, change: impl Fn(&mut Epoch)) -> Training {
        let mut training = curve(6, |i| (0.1 / (i + 1.0), 0.02 + 0.002 / (i + 1.0)));
        training.architecture.variant = variant;
        training.architecture.latent_dim = 4;
        training.epochs.iter_mut().for_each(change);
        training
    }

    fn layer(name: &str, always_zero_share: f64, saturated_share: Option<f64>) -> Layer {
        let (n_units, zero_share) = (10, 0.8_f64.max(always_zero_share));
        let (mean, spread) = (0.3, 0.3);
        Layer {
            name: name.into(),
            n_units,
            mean,
            spread,
            zero_share,
            always_zero_share,
            saturated_share,
        }
    }

    fn parameter(name: &str, gradient_norm: f64) -> Parameter {
        Parameter { name: name.into(), weight_norm: 1.0, gradient_norm }
    }

    #[test]
    fn layers_and_parameters_and_what_they_say() {
        let layers = |first, latent| {
            with(Variant::Plain, move |e| {
                e.layers = vec![layer("encoder.0", first, None), layer("encoder.1", latent, None)]
            })
        };
        assert_eq!(ids(&layers(0.1, 0.1)), []);
        assert_eq!(ids(&layers(0.95, 0.1)), [FindingId::DyingRelus]);
        let sparse = Variant::KSparse { k: 2, anneal_epochs: 0 };
        let by_design = with(sparse, |e| e.layers = vec![layer("encoder.0", 0.95, None)]);
        assert_eq!(ids(&by_design), []);
        let saturated = |share| {
            with(Variant::Plain, move |e| e.layers = vec![layer("encoder.0", 0.0, Some(share))])
        };
        assert_eq!(ids(&saturated(0.05)), []);
        assert_eq!(ids(&saturated(0.9)), [FindingId::SaturatedUnits]);

        let gradients = |first| {
            with(Variant::Plain, move |e| {
                e.parameters =
                    [first, 0.1, 0.2, 1.0].map(|norm| parameter("a.weight", norm)).to_vec();
            })
        };
        assert_eq!(ids(&gradients(0.5)), []);
        assert_eq!(ids(&gradients(1e-9)), [FindingId::VanishingGradients]);
        assert_eq!(ids(&gradients(0.0)), [FindingId::NoGradient]);
        // A dead layer passes nothing back; weights that are 0 make one, and aren't its doing.
        let dead = |weight_norm| {
            with(Variant::Plain, move |e| {
                e.layers = vec![layer("encoder.0", 1.0, None)];
                e.parameters = vec![Parameter { weight_norm, ..parameter("a.weight", 0.0) }];
            })
        };
        assert_eq!(ids(&dead(1.0)), [FindingId::DyingRelus]);
        assert_eq!(ids(&dead(0.0)), [FindingId::NoGradient]);
        let embedded = with(Variant::Plain, |e| {
            e.parameters = [0.5, 0.1, 0.2, 1.0].map(|norm| parameter("a.weight", norm)).to_vec();
            e.parameters.insert(0, parameter("encoder.embedding.1.weight", 1e-9));
        });
        assert_eq!(ids(&embedded), []);
    }

    #[test]
    fn dying_is_dated() {
        let mut training =
            with(Variant::Plain, |e| e.layers = vec![layer("encoder.0", 0.95, None)]);
        training.epochs[0].layers[0].always_zero_share = 0.0;
        training.epochs[1].layers[0].always_zero_share = 0.1;
        let sentence = &during(&training)[0].sentence;
        assert!(sentence.ends_with("since epoch 3"), "{sentence}");
    }

    #[test]
    fn prices_and_what_they_say() {
        let parts = |name: &'static str, price: f64| {
            move |e: &mut Epoch| {
                e.validation_parts =
                    BTreeMap::from([("reconstruction".into(), 1.0), (name.into(), price)]);
            }
        };
        let contractive =
            |price| with(Variant::Contractive { weight: 0.1 }, parts("contraction", price));
        assert_eq!(ids(&contractive(0.2)), []);
        assert_eq!(ids(&contractive(1e-7)), [FindingId::ContractionTooWeak]);

        let sparse = |always: f64, zero: f64| {
            with(Variant::Sparse { weight: 0.1, target: None }, move |e| {
                e.layers = vec![Layer { zero_share: zero, ..layer("encoder.0", always, None) }];
            })
        };
        assert_eq!(ids(&sparse(0.05, 0.9)), []);
        assert_eq!(ids(&sparse(0.95, 0.99)), [FindingId::SparsityTooStrong]);
        assert_eq!(ids(&sparse(0.0, 0.1)), [FindingId::SparsityTooWeak]);
        // How much has to be asked for is not known beforehand.
        let weights = |price: f64| -> Vec<String> {
            let mut dense = with(Variant::Sparse { weight: 0.1, target: None }, |e| {
                e.layers = vec![Layer { zero_share: 0.1, ..layer("encoder.0", 0.0, None) }];
            });
            dense.epochs.iter_mut().for_each(parts("penalty", price));
            let cures = during(&dense)[0].cures.clone();
            cures.into_iter().map(|cure| cure.changes[0].value.clone()).collect()
        };
        assert_eq!(weights(0.01), ["1e0", "1e1", "1e2", "1e3"]);
        assert_eq!(weights(0.2), ["5e-1", "5e0", "5e1"]);
        let kl = |mean: f64, spread: f64| {
            with(Variant::Sparse { weight: 0.1, target: Some(0.05) }, move |e| {
                e.layers = vec![Layer { mean, spread, ..layer("encoder.0", 0.0, None) }];
            })
        };
        assert_eq!(ids(&kl(0.05, 0.1)), []);
        assert_eq!(ids(&kl(0.5, 0.2)), [FindingId::SparsityTooWeak]);

        let codes = |share: f64| {
            with(Variant::VectorQuantised { n_codes: 4 }, move |e| {
                e.facts = BTreeMap::from([(
                    "code_shares".into(),
                    vec![1.0 - 3.0 * share, share, share, share],
                )]);
            })
        };
        assert_eq!(ids(&codes(0.2)), []);
        assert_eq!(ids(&codes(0.0)), [FindingId::DeadCodes]);
    }

    #[test]
    fn latents_that_are_distributions_and_what_they_say() {
        let nats = |warm_up: f64, nats: [f64; 4]| {
            with(Variant::Variational { beta: 1.0, warm_up, output_std: None }, move |e| {
                e.latent.kl_per_dimension = Some(nats.to_vec());
            })
        };
        assert_eq!(ids(&nats(0.5, [1.0, 2.0, 0.5, 0.3])), []);
        assert_eq!(ids(&nats(0.5, [0.0; 4])), [FindingId::PosteriorCollapse]);
        let mut silenced = nats(0.0, [1.0, 0.0, 0.5, 0.0]);
        silenced.epochs[0].latent.kl_per_dimension = Some(vec![1.0; 4]);
        assert_eq!(ids(&silenced), [FindingId::WarmUpTooShort]);
        let mut exploded = nats(0.5, [1.0; 4]);
        exploded.epochs.iter_mut().for_each(|epoch| {
            epoch.facts = BTreeMap::from([("variance_by_dimension".into(), vec![1.0, 2e4])]);
        });
        assert_eq!(ids(&exploded), [FindingId::ExplodingVariance]);
        assert_eq!(ids(&nats(0.5, [1.0, 2.0, 900.0, 0.3])), [FindingId::ExplodingVariance]);
    }

    #[test]
    fn training_that_ends_early_is_said() {
        assert_eq!(
            ids(&curve(3, |i| (0.1 / (i + 1.0), 0.1 / (i + 1.0)))),
            [FindingId::Undertrained]
        );
        let mut broken_off = curve(3, |i| (0.1 / (i + 1.0), 0.1 / (i + 1.0)));
        broken_off.n_epochs = 30;
        assert_eq!(ids(&broken_off), []);
    }

    #[test]
    fn a_line_of_telemetry_is_an_epoch() {
        let line = r#"{"epoch":1,"train_loss":null,"validation_loss":0.5,"learning_rate":0.1,
            "gradient_norm":1.0,"layers":[{"name":"encoder.0","n_units":2,"mean":0.0,"spread":1.0,
            "zero_share":0.5,"always_zero_share":0.5,"saturated_share":null}],
            "latent":{"spectrum":[],"effective_rank":1.0,"kl_per_dimension":[0.25]}}"#;
        let epoch: Epoch = serde_json::from_str(line).unwrap();
        assert!(epoch.train_loss.is_nan() && epoch.layers[0].always_zero_share == 0.5);
        assert_eq!(epoch.latent.kl_per_dimension, Some(vec![0.25]));
    }

    #[test]
    fn a_loss_may_rise_while_what_is_asked_does() {
        let mut rises = curve(20, |i| (0.1 + 0.01 * i.min(10.0), 0.3 - 0.01 * i));
        assert!(ids(&rises).contains(&FindingId::LearningRateTooHigh));
        rises.architecture.variant =
            Variant::Variational { beta: 1.0, warm_up: 0.5, output_std: None };
        assert!(!ids(&rises).contains(&FindingId::LearningRateTooHigh));
        rises.architecture.variant = Variant::KSparse { k: 2, anneal_epochs: 10 };
        assert!(!ids(&rises).contains(&FindingId::LearningRateTooHigh));
    }
}
