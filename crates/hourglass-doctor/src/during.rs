//! What the epochs say: their losses, rates and gradient norms. It reads figures, and decides
//! nothing about whether training goes on.

use serde::{Deserialize, Serialize};

use crate::threshold::{EXPLOSION, OSCILLATION, OVERFIT_GAP, PLATEAU_EPOCHS, REGRESSED, SLOW_FALL};
use crate::{Finding, FindingId, Severity};

/// Epochs below which a curve says nothing.
const FEW_EPOCHS: usize = 5;

/// Relative change of a loss that counts.
const COUNTS: f64 = 1e-3;

/// What the doctor reads of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean of what was minimised over the training rows.
    pub train_loss: f64,
    /// The same over the validation rows.
    pub validation_loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Norm of all gradients together in the last step, before clipping.
    pub gradient_norm: f64,
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
    /// Whether it was cut off by a loss that is not a number.
    pub ended_not_finite: bool,
    /// Where the model's keys stand, such as `model.denoising`.
    pub model_key: String,
}

/// Everything that can be found in the curves of a run, finished or not.
pub fn during(training: &Training) -> Vec<Finding> {
    let epochs = &training.epochs;
    if let Some(finding) = not_finite(training) {
        return vec![finding];
    }
    let mut findings: Vec<Finding> = exploding(training).into_iter().collect();
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

/// A learning rate as a person would type it.
fn typed(rate: f64) -> String {
    format!("{rate:e}")
}

fn first_rate(training: &Training) -> f64 {
    // Warm-up starts low and schedules end low; the largest rate is the one that was asked for.
    training.epochs.iter().map(|epoch| epoch.learning_rate).fold(0.0, f64::max)
}

fn not_finite(training: &Training) -> Option<Finding> {
    let is_finite =
        |epoch: &Epoch| epoch.train_loss.is_finite() && epoch.validation_loss.is_finite();
    let first = training.epochs.iter().position(|epoch| !is_finite(epoch));
    let epoch = match first {
        Some(index) => index + 1,
        None if training.ended_not_finite => training.epochs.len() + 1,
        None => return None,
    };
    let rate = first_rate(training);
    let sentence = format!("the loss stopped being a number in epoch {epoch}");
    let mut finding = Finding::new(FindingId::NonFiniteLoss, Severity::Error, sentence)
        .shown("epoch", epoch as f64)
        .drawn(training.epochs.iter().map(|epoch| epoch.train_loss).collect());
    if rate > 0.0 {
        finding =
            finding.cured_by(rate_key(training), typed(rate / 10.0), "smaller steps stay inside");
    }
    Some(finding.cured_by("train.clip_norm", "1.0", "Pascanu et al., ICML 2013"))
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
                typed(first_rate(training) / 10.0),
                "smaller steps stay where gradients are small",
            ),
    )
}

fn too_high(training: &Training) -> Option<Finding> {
    let losses: Vec<f64> = training.epochs.iter().map(|epoch| epoch.train_loss).collect();
    let n_rises = losses.windows(2).filter(|pair| pair[1] > pair[0] * 1.01).count();
    let share = n_rises as f64 / (losses.len() - 1) as f64;
    let ended_higher = losses[losses.len() - 1] > losses[0] * 1.01;
    if share <= OSCILLATION && !ended_higher {
        return None;
    }
    let rate = first_rate(training);
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
    if !(early > 0.0 && late > COUNTS && share > SLOW_FALL) {
        return None;
    }
    let rate = first_rate(training);
    let sentence = format!(
        "the validation loss still falls by {:.2} % an epoch at the end, against {:.2} % at the \
         start: training is not done",
        late * 100.0,
        early * 100.0
    );
    Some(
        Finding::new(FindingId::LearningRateTooLow, Severity::Warning, sentence)
            .measured("late fall over early fall", share, SLOW_FALL)
            .drawn(losses)
            .cured_by(rate_key(training), typed(rate * 10.0), "Smith, WACV 2017")
            .cured_by("train.epochs", (3 * n).to_string(), "the loss still falls"),
    )
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
            .drawn(losses)
            .cured_by("train.early_stopping", "{ patience = 5 }", "Prechelt, 1998")
            .cured_by(
                format!("{}.corruption", training.model_key),
                "{ masking = { share = 0.2 } }",
                "no input is seen twice (Vincent et al., JMLR 2010)",
            ),
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
        });
        Training {
            epochs: epochs.collect(),
            optimizer: "adam".into(),
            stops_early: false,
            ended_not_finite: false,
            model_key: "model.undercomplete".into(),
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
    fn what_is_not_a_number_is_said_alone_and_with_its_epoch() {
        let broken = curve(6, |i| (if i > 2.0 { f64::NAN } else { 0.1 }, 0.1));
        let findings = during(&broken);
        assert_eq!(ids(&broken), [FindingId::NonFiniteLoss]);
        assert!(findings[0].sentence.ends_with("in epoch 4"), "{}", findings[0].sentence);
        assert_eq!(findings[0].cures[0].changes[0].value, "1e-4");
        let mut cut = curve(2, |_| (0.1, 0.1));
        cut.ended_not_finite = true;
        assert!(during(&cut)[0].sentence.ends_with("in epoch 3"));
    }

    #[test]
    fn a_gradient_that_jumps_explodes() {
        let mut jumps = curve(6, |i| (0.1 / (i + 1.0).powi(2), 0.1 / (i + 1.0).powi(2)));
        jumps.epochs[4].gradient_norm = 5_000.0;
        assert!(ids(&jumps).contains(&FindingId::ExplodingGradients));
    }
}
