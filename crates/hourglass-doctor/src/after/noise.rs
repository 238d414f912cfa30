//! What a denoising model makes of rows that were corrupted as in training.

use super::reconstruction::{distance, error_of_mean};
use super::{Denoised, Reconstruction};
use crate::threshold::{NOISE_LEFT, NOISE_PASSES, WEAK_NOISE};
use crate::{Finding, FindingId, Severity};

/// Largest share of values that a cure asks to be corrupted.
const MOST: f64 = 0.5;

pub(super) fn examine(model: &Reconstruction<'_>) -> Option<Finding> {
    let denoised = model.denoised.as_ref()?;
    let clean = model.validation.inputs;
    let of_mean = error_of_mean(clean, model.train_mean);
    let energy = distance(denoised.corrupted, clean);
    if of_mean <= 0.0 || energy <= 0.0 {
        return None;
    }
    too_weak(denoised, energy / of_mean)
        .or_else(|| too_strong(denoised, distance(denoised.outputs, clean) / of_mean))
        .or_else(|| learnt(model, denoised, energy))
}

fn too_weak(denoised: &Denoised<'_>, energy: f64) -> Option<Finding> {
    if energy >= WEAK_NOISE {
        return None;
    }
    let sentence = format!(
        "the corruption is too weak to be learnt from: its energy is {:.3} % of the variance of \
         the data",
        energy * 100.0
    );
    // Energy grows with the share of values, and with the square of a standard deviation.
    let factor = if denoised.key.ends_with("std") {
        (20.0 * WEAK_NOISE / energy).sqrt()
    } else {
        20.0 * WEAK_NOISE / energy
    };
    let stronger = if denoised.key.ends_with("std") {
        denoised.strength * factor
    } else {
        (denoised.strength * factor).min(MOST)
    };
    Some(
        Finding::new(FindingId::NoiseTooWeak, Severity::Warning, sentence)
            .measured("energy of the corruption over the variance", energy, WEAK_NOISE)
            .cured_by(
                denoised.key,
                format!("{stronger:.3}"),
                "what is taken away must be filled in (Vincent et al., JMLR 2010)",
            ),
    )
}

fn too_strong(denoised: &Denoised<'_>, left: f64) -> Option<Finding> {
    if left <= NOISE_LEFT {
        return None;
    }
    let sentence = format!(
        "the corruption leaves too little to go by: corrupted rows come back with {:.0} % of the \
         error of the mean",
        left * 100.0
    );
    Some(
        Finding::new(FindingId::NoiseTooStrong, Severity::Warning, sentence)
            .measured("error on corrupted rows over that of the mean", left, NOISE_LEFT)
            .cured_by(
                denoised.key,
                format!("{:.3}", denoised.strength / 3.0),
                "more of each row is left",
            ),
    )
}

/// How much of the corruption comes through: what the outputs of corrupted and of clean rows differ
/// by, over what the inputs differ by.
fn learnt(model: &Reconstruction<'_>, denoised: &Denoised<'_>, energy: f64) -> Option<Finding> {
    let passes = distance(denoised.outputs, model.validation.outputs) / energy;
    if passes <= NOISE_PASSES {
        return None;
    }
    let sentence = format!(
        "the model has learnt the corruption, not the data: {:.0} % of its energy comes through",
        passes * 100.0
    );
    let factor = if denoised.key.ends_with("std") { 3.0 } else { 2.0 };
    Some(
        Finding::new(FindingId::CorruptionLearnt, Severity::Warning, sentence)
            .measured("energy of the corruption that comes through", passes, NOISE_PASSES)
            .cured_by(
                denoised.key,
                format!("{:.3}", denoised.strength * factor),
                "stronger corruption can't be passed on for free",
            )
            .cured_by(
                model.architecture.key_of("latent_dim"),
                (model.validation.inputs.ncols() / 2).max(1).to_string(),
                "a narrow latent has no room for it",
            ),
    )
}
