//! What the curves of the losses say: whether training went on long enough, too fast, too slowly or
//! too far.

use super::{FEW_EPOCHS, Training, rate_key};
use crate::recipe::typed;
use crate::threshold::{
    OSCILLATION, OVERFIT_GAP, PLATEAU_EPOCHS, REGRESSED, SLOW_FALL, STILL_FALLS, UNTRAINED_FALL,
};
use crate::{Finding, FindingId, Severity, Variant};

/// Relative change of a loss that counts.
const COUNTS: f64 = 1e-3;

pub(super) fn examine(training: &Training) -> Vec<Finding> {
    let mut findings: Vec<Finding> = untrained(training).into_iter().collect();
    if training.epochs.len() < FEW_EPOCHS {
        return findings;
    }
    match too_high(training) {
        Some(finding) => findings.push(finding),
        None => findings.extend(too_low(training).or_else(|| plateau(training))),
    }
    findings.extend(overfitting(training));
    findings
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

    #[test]
    fn patience_outlasts_the_pauses_before_the_lowest_loss() {
        assert_eq!(patience(&[5.0, 4.0, 3.0, 4.0, 5.0]), 5);
        // A pause of eight epochs on the way down.
        let paused = |i: usize| if (3..10).contains(&i) { 9.0 } else { 10.0 - i as f64 };
        let losses: Vec<f64> = (0..12).map(paused).chain([9.0; 20]).collect();
        assert_eq!(patience(&losses), 12);
    }
}
