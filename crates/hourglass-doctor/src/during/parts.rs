//! What the parts of the loss say: prices that silence units or count for nothing, and latents that
//! are distributions or codes.

use super::{Epoch, Training};
use crate::recipe::typed;
use crate::threshold::{
    ACTIVE_SHARE, COLLAPSED_NATS, COLLAPSED_SHARE, CONTRACTION_VANISHES, DEAD_CODES, EXPLODED_NATS,
    EXPLODED_VARIANCE, SHORT_WARM_UP, SILENT_SHARE, TARGET_EXCEEDED, WARM_UP_COLLAPSE,
};
use crate::{Architecture, Finding, FindingId, Severity, Variant};

/// A code that is used less than this share of its even share is unused: what revives codes in
/// the VQ-VAE of this house.
const UNUSED: f64 = 0.05;

pub(super) fn examine(training: &Training) -> Vec<Finding> {
    let Some(last) = training.epochs.last() else { return Vec::new() };
    let architecture = &training.architecture;
    match architecture.variant {
        Variant::Sparse { weight, target } => sparsity(architecture, last, weight, target),
        Variant::Contractive { weight } => contraction(architecture, last, weight),
        Variant::Variational { beta, warm_up, .. } => variational(training, last, beta, warm_up),
        Variant::VectorQuantised { n_codes } => dead_codes(architecture, last, n_codes),
        _ => None.into_iter().collect(),
    }
}

/// A part of the validation loss over its reconstruction.
fn over_reconstruction(epoch: &Epoch, name: &str) -> Option<f64> {
    let part = |name: &str| epoch.validation_parts.get(name).copied();
    let ratio = part(name)? / part("reconstruction")?;
    ratio.is_finite().then_some(ratio)
}

/// Prices on activity that are tried, as shares of the reconstruction loss. How much a latent gives
/// up for one is not known beforehand.
const PRICES: [(f64, &str); 4] = [
    (0.1, "a tenth of the reconstruction loss"),
    (1.0, "as large as the reconstruction loss"),
    (10.0, "ten times the reconstruction loss"),
    (100.0, "a hundred times the reconstruction loss"),
];

/// The weight at which a price that is now so many reconstructions would be `share` of one.
fn priced(weight: f64, price: f64, share: f64) -> String {
    typed(weight * if price > 0.0 { share / price } else { 100.0 * share })
}

fn sparsity(
    architecture: &Architecture,
    last: &Epoch,
    weight: f64,
    target: Option<f64>,
) -> Vec<Finding> {
    let Some(latent) = last.layers.last() else { return Vec::new() };
    let key = architecture.key_of(match target {
        Some(_) => "penalty.kl.weight",
        None => "penalty.l1.weight",
    });
    let price = over_reconstruction(last, "penalty").unwrap_or(0.0);
    let (active, limit) = match target {
        None => (1.0 - latent.zero_share, ACTIVE_SHARE),
        Some(target) => (latent.mean, target * TARGET_EXCEEDED),
    };
    if active > limit {
        return too_dense(key, weight, (active, limit), price);
    }
    // A rectified unit that is always 0 is silenced for good. What else a price costs is seen in
    // the reconstruction.
    let silent = latent.always_zero_share;
    if target.is_some() || silent <= SILENT_SHARE {
        return Vec::new();
    }
    let sentence = format!(
        "the price on activity silences {:.0} % of the {} latent units",
        silent * 100.0,
        latent.n_units
    );
    vec![
        Finding::new(FindingId::SparsityTooStrong, Severity::Warning, sentence)
            .measured("share of units that are always 0", silent, SILENT_SHARE)
            .shown("price over reconstruction loss", price)
            .cured_by(&key, typed(weight / 10.0), "activity becomes cheaper")
            .cured_by(key, typed(weight / 1000.0), "activity costs next to nothing"),
    ]
}

fn too_dense(key: String, weight: f64, (active, limit): (f64, f64), price: f64) -> Vec<Finding> {
    let sentence = format!(
        "the price on activity is so low that the latent isn't sparse: mean activity {active:.2}, \
         and the price is {:.2} % of the reconstruction loss",
        price * 100.0
    );
    let mut finding = Finding::new(FindingId::SparsityTooWeak, Severity::Warning, sentence)
        .measured("mean activity", active, limit)
        .shown("price over reconstruction loss", price);
    for (share, words) in PRICES.into_iter().filter(|(share, _)| *share > 2.0 * price) {
        finding = finding.cured_by(
            &key,
            priced(weight, price, share),
            format!("the price becomes {words} as it is now"),
        );
    }
    vec![finding]
}

fn contraction(architecture: &Architecture, last: &Epoch, weight: f64) -> Vec<Finding> {
    let Some(share) = over_reconstruction(last, "contraction") else { return Vec::new() };
    let key = architecture.key_of("weight");
    if share >= CONTRACTION_VANISHES {
        return Vec::new();
    }
    let sentence = format!(
        "the price on the encoder's slope counts for nothing: it is {:.3} % of the reconstruction",
        share * 100.0
    );
    vec![
        Finding::new(FindingId::ContractionTooWeak, Severity::Warning, sentence)
            .measured("price over reconstruction loss", share, CONTRACTION_VANISHES)
            .cured_by(
                key,
                priced(weight, share, 0.1),
                "the price becomes a tenth of the reconstruction",
            ),
    ]
}

fn variational(training: &Training, last: &Epoch, beta: f64, warm_up: f64) -> Vec<Finding> {
    let architecture = &training.architecture;
    let mut findings = Vec::new();
    findings.extend(exploding_variance(architecture, last));
    let Some(nats) = &last.latent.kl_per_dimension else { return findings };
    let collapsed = |nats: &[f64]| {
        let n = nats.iter().filter(|&&nats| nats < COLLAPSED_NATS).count();
        n as f64 / nats.len().max(1) as f64
    };
    let share = collapsed(nats);
    let curve: Vec<f64> = training
        .epochs
        .iter()
        .filter_map(|epoch| epoch.latent.kl_per_dimension.as_deref().map(collapsed))
        .collect();
    if share > COLLAPSED_SHARE {
        let sentence = format!(
            "{:.0} of {} latent dimensions say nothing: they diverge from the prior by less than \
             {COLLAPSED_NATS} nats",
            share * nats.len() as f64,
            nats.len()
        );
        let severity = if share >= 1.0 { Severity::Error } else { Severity::Warning };
        findings.push(
            Finding::new(FindingId::PosteriorCollapse, severity, sentence)
                .measured("share of collapsed dimensions", share, COLLAPSED_SHARE)
                .shown("nats of all dimensions together", nats.iter().sum())
                .drawn(curve.clone())
                .cured_by(
                    architecture.key_of("beta"),
                    typed(beta / 10.0),
                    "a cheaper divergence lets dimensions speak (Higgins et al., ICLR 2017)",
                )
                .cured_by(
                    architecture.key_of("beta"),
                    typed(beta / 100.0),
                    "the same where a tenth is not enough",
                )
                .cured_by(
                    architecture.key_of("free_nats"),
                    "0.1",
                    "what is free is used (Kingma et al., arXiv:1606.04934)",
                ),
        );
    }
    // Dimensions that spoke in an early epoch and were silenced as the weight rose.
    let spoke = 1.0 - curve.iter().copied().fold(1.0, f64::min);
    let silenced = if spoke > 0.0 { (spoke - (1.0 - share)) / spoke } else { 0.0 };
    if warm_up < SHORT_WARM_UP && (silenced > WARM_UP_COLLAPSE || share > COLLAPSED_SHARE) {
        let sentence = format!(
            "the divergence reached its full weight after {:.0} % of the epochs, before the \
             latent was worth its price: {:.0} % of its dimensions say nothing",
            warm_up * 100.0,
            share * 100.0
        );
        let epochs = (training.epochs.len() as f64 / 2.0).ceil().max(1.0);
        findings.push(
            Finding::new(FindingId::WarmUpTooShort, Severity::Warning, sentence)
                .measured("share of the epochs in which the weight rises", warm_up, SHORT_WARM_UP)
                .measured("share of dimensions silenced again", silenced, WARM_UP_COLLAPSE)
                .drawn(curve)
                .cured_by(
                    architecture.key_of("warm_up"),
                    format!("{{ linear = {{ epochs = {epochs} }} }}"),
                    "Sonderby et al., arXiv:1602.02282",
                ),
        );
    }
    findings
}

fn exploding_variance(architecture: &Architecture, last: &Epoch) -> Option<Finding> {
    let largest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let variance = last.facts.get("variance_by_dimension").map_or(0.0, |values| largest(values));
    let nats = last.latent.kl_per_dimension.as_deref().map_or(0.0, largest);
    if variance <= EXPLODED_VARIANCE && nats <= EXPLODED_NATS {
        return None;
    }
    let sentence = format!(
        "the latent has exploded: a dimension's variance is {variance:.2e} where the prior has 1, \
         and one diverges from the prior by {nats:.2e} nats"
    );
    Some(
        Finding::new(FindingId::ExplodingVariance, Severity::Warning, sentence)
            .measured("largest mean posterior variance", variance, EXPLODED_VARIANCE)
            .measured("largest divergence of a dimension in nats", nats, EXPLODED_NATS)
            .cured_by("preprocess.numeric", "\"standard\"", "inputs of one scale")
            .cured_by("train.clip_norm", "1.0", "Pascanu, Mikolov and Bengio, ICML 2013")
            .cured_by(architecture.key_of("beta"), "1.0", "the divergence holds variances near 1"),
    )
}

fn dead_codes(architecture: &Architecture, last: &Epoch, n_codes: usize) -> Vec<Finding> {
    let Some(shares) = last.facts.get("code_shares") else { return Vec::new() };
    let even = 1.0 / n_codes as f64;
    let n_dead = shares.iter().filter(|&&share| share < UNUSED * even).count();
    let share = n_dead as f64 / n_codes.max(1) as f64;
    if share <= DEAD_CODES {
        return Vec::new();
    }
    let perplexity = last.facts.get("perplexity").and_then(|values| values.first());
    let perplexity = perplexity.copied().unwrap_or(f64::NAN);
    let sentence =
        format!("{n_dead} of {n_codes} codes are hardly ever used (perplexity {perplexity:.1})");
    // The perplexity is the number of codes, were they used evenly.
    let used = if perplexity.is_finite() { perplexity.round() as usize } else { n_codes - n_dead };
    let fewer = used.clamp(2, n_codes);
    vec![
        Finding::new(FindingId::DeadCodes, Severity::Warning, sentence)
            .measured("share of dead codes", share, DEAD_CODES)
            .shown("perplexity", perplexity)
            .cured_by(
                architecture.key_of("revive_below"),
                "0.05",
                "dead codes are moved onto samples (Dhariwal et al., Jukebox, 2020)",
            )
            .cured_by_all(
                [
                    (architecture.key_of("revive_below"), "0.05".to_owned()),
                    (architecture.key_of("n_codes"), fewer.to_string()),
                ],
                "the same, and no more codes than are used",
            )
            .cured_by(architecture.key_of("n_codes"), fewer.to_string(), "as many as are used"),
    ]
}
