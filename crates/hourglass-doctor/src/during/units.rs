//! What the layers and the parameters say: units that no longer answer, gradients that don't
//! arrive.

use super::{Epoch, Layer, Parameter, Training, rate_key};
use crate::recipe::typed;
use crate::threshold::{DYING_SHARE, GRADIENT_RATIO, SATURATED_SHARE};
use crate::{Finding, FindingId, Severity, Variant};

/// Weight matrices below which a model has no first and last layer to compare.
const FEW_WEIGHTS: usize = 4;

pub(super) fn examine(training: &Training) -> Vec<Finding> {
    let dying = dying(training);
    if let Some(finding) = no_gradient(training) {
        // Where nothing arrives the other measures only repeat it, but for a dead layer: that is
        // why, unless weights that are 0 made it dead.
        let is_why =
            |dying: &Finding| dying.severity == Severity::Error && !has_zero_weights(training);
        return vec![dying.filter(is_why).unwrap_or(finding)];
    }
    [saturated(training), dying, vanishing(training)].into_iter().flatten().collect()
}

/// Whether all values of a layer's weight are 0 after the last epoch.
fn has_zero_weights(training: &Training) -> bool {
    let is_zero =
        |parameter: &Parameter| parameter.name.ends_with("weight") && parameter.weight_norm == 0.0;
    training.epochs.last().is_some_and(|epoch| epoch.parameters.iter().any(is_zero))
}

/// The worst layer by a measure at the last epoch: its index, its value, and the measure over the
/// epochs.
fn worst_layer(
    training: &Training,
    is_judged: impl Fn(usize, usize) -> bool,
    measure: impl Fn(&Layer) -> Option<f64>,
) -> Option<(usize, f64, Vec<f64>)> {
    let last = training.epochs.last()?;
    let n_layers = last.layers.len();
    let judged = (0..n_layers).filter(|&index| is_judged(index, n_layers));
    let (index, value) = judged
        .filter_map(|index| Some((index, measure(&last.layers[index])?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let of = |epoch: &Epoch| epoch.layers.get(index).and_then(&measure).unwrap_or(0.0);
    Some((index, value, training.epochs.iter().map(of).collect()))
}

/// The epoch, counted from 1, from which a curve stayed at or above a limit.
fn since(curve: &[f64], limit: f64) -> usize {
    curve.iter().rposition(|&value| value < limit).map_or(1, |index| index + 2)
}

fn saturated(training: &Training) -> Option<Finding> {
    // A sparse or contractive latent lies at an end of its range by design.
    let variant = &training.architecture.variant;
    let by_design = matches!(variant, Variant::Sparse { .. } | Variant::Contractive { .. });
    let is_judged = |index: usize, n_layers: usize| !by_design || index + 1 < n_layers;
    let (index, share, curve) = worst_layer(training, is_judged, |layer| layer.saturated_share)?;
    if share < SATURATED_SHARE {
        return None;
    }
    let layer = &training.epochs.last()?.layers[index];
    let sentence = format!(
        "{:.0} % of the {} units of `{}` lie at an end of their range in nearly every row, since \
         epoch {}",
        share * 100.0,
        layer.n_units,
        layer.name,
        since(&curve, SATURATED_SHARE)
    );
    Some(
        Finding::new(FindingId::SaturatedUnits, Severity::Warning, sentence)
            .measured("share of saturated units", share, SATURATED_SHARE)
            .shown("since epoch", since(&curve, SATURATED_SHARE) as f64)
            .drawn(curve)
            .cured_by(
                rate_key(training),
                typed(training.largest_rate() / 10.0),
                "smaller steps leave units where they have a slope",
            )
            .cured_by(
                training.architecture.key_of("activation"),
                "\"elu\"",
                "it has no upper end (Clevert et al., ICLR 2016)",
            ),
    )
}

fn dying(training: &Training) -> Option<Finding> {
    // Units of a sparse latent are mostly off by design; those that are always off have findings
    // of their own.
    let by_design = !training.architecture.variant.is_plain();
    let is_judged = |index: usize, n_layers: usize| !by_design || index + 1 < n_layers;
    let (index, share, curve) =
        worst_layer(training, is_judged, |layer| Some(layer.always_zero_share))?;
    if share < DYING_SHARE {
        return None;
    }
    let layer = &training.epochs.last()?.layers[index];
    let sentence = format!(
        "{:.0} % of the {} rectified units of `{}` are 0 for every row, since epoch {}",
        share * 100.0,
        layer.n_units,
        layer.name,
        since(&curve, DYING_SHARE)
    );
    // A layer without a living unit passes nothing on.
    let severity = if share < 1.0 { Severity::Warning } else { Severity::Error };
    let mut finding = Finding::new(FindingId::DyingRelus, severity, sentence)
        .measured("share of units that are always 0", share, DYING_SHARE)
        .shown("since epoch", since(&curve, DYING_SHARE) as f64)
        .drawn(curve);
    for layer in &training.epochs.last()?.layers {
        finding = finding
            .shown(format!("share that is always 0 in `{}`", layer.name), layer.always_zero_share);
    }
    Some(
        finding
            .cured_by(
                rate_key(training),
                typed(training.largest_rate() / 10.0),
                "large steps push units below 0 for good",
            )
            .cured_by(
                training.architecture.key_of("activation"),
                "\"leaky_relu\"",
                "it has a slope below 0 (Maas, Hannun and Ng, ICML 2013)",
            ),
    )
}

fn vanishing(training: &Training) -> Option<Finding> {
    let ratio = |epoch: &Epoch| {
        // The vector of a level meets the rows that have it, a layer meets all.
        let weights: Vec<f64> = epoch
            .parameters
            .iter()
            .filter(|parameter| parameter.name.ends_with("weight"))
            .filter(|parameter| !parameter.name.starts_with("encoder.embedding."))
            .map(|parameter| parameter.gradient_norm)
            .collect();
        let (first, last) = (*weights.first()?, *weights.last()?);
        (weights.len() >= FEW_WEIGHTS && last > 0.0).then_some(first / last)
    };
    let curve: Vec<f64> = training.epochs.iter().filter_map(ratio).collect();
    let mut sorted = curve.clone();
    sorted.sort_by(f64::total_cmp);
    let median = *sorted.get(sorted.len() / 2)?;
    if median >= GRADIENT_RATIO {
        return None;
    }
    let sentence = format!(
        "the gradient of the first layer is {median:.1e} times that of the last: it vanishes on \
         its way back"
    );
    Some(
        Finding::new(FindingId::VanishingGradients, Severity::Warning, sentence)
            .measured("gradient norm, first over last layer, median", median, GRADIENT_RATIO)
            .drawn(curve)
            .cured_by(
                training.architecture.key_of("activation"),
                "\"elu\"",
                "its derivative is 1 above 0 and it has no dead side (Clevert et al., ICLR 2016)",
            ),
    )
}

fn no_gradient(training: &Training) -> Option<Finding> {
    let last = training.epochs.last()?;
    let is_still = |index: &usize| {
        let of = |epoch: &Epoch| epoch.parameters.get(*index).map(|p| p.gradient_norm);
        training.epochs.iter().all(|epoch| of(epoch) == Some(0.0))
    };
    let still: Vec<usize> = (0..last.parameters.len()).filter(is_still).collect();
    let first = &last.parameters[*still.first()?];
    let sentence = format!(
        "{} of {} parameters never got a gradient, such as `{}`",
        still.len(),
        last.parameters.len(),
        first.name
    );
    Some(
        Finding::new(FindingId::NoGradient, Severity::Error, sentence)
            .measured("parameters without a gradient", still.len() as f64, 0.0)
            .cured_by(
                training.architecture.key_of("init"),
                "\"he_uniform\"",
                "weights that are all 0 pass nothing back (He et al., ICCV 2015)",
            ),
    )
}
