//! What the latent holds: dead, doubled, unused and unscaled dimensions.

use hourglass_core::{ColumnMoments, Matrix};

use super::Latent;
use crate::threshold::{
    ACTIVE_VARIANCE, COLLAPSED_SHARE, DEAD_FILTERS, DEAD_K_SPARSE, DEAD_SHARE,
    DUPLICATE_CORRELATION, LATENT_SPREAD, RANK_SHARE,
};
use crate::{Finding, FindingId, Severity, Variant};

/// A spread below this share of the widest dimension's is no spread.
const NO_SPREAD: f64 = 1e-6;

/// Share of the living dimensions that may have a double.
const FEW_DOUBLES: f64 = 0.05;

pub(super) fn examine(latent: &Latent<'_>) -> Vec<Finding> {
    let moments = ColumnMoments::of(latent.values);
    let widest = moments.std.iter().copied().fold(0.0, f64::max);
    let is_living: Vec<bool> =
        moments.std.iter().map(|&std| std > NO_SPREAD * widest.max(f64::MIN_POSITIVE)).collect();
    let living: Vec<usize> = (0..is_living.len()).filter(|&unit| is_living[unit]).collect();
    let dead = dead(latent, &is_living).into_iter().chain(inactive(latent, &moments));
    let mut findings: Vec<Finding> = dead.collect();
    if living.is_empty() {
        return findings;
    }
    let standard = Matrix::from_shape_fn((latent.values.nrows(), living.len()), |(row, column)| {
        let unit = living[column];
        let value = f64::from(latent.values[[row, unit]]);
        ((value - moments.mean[unit]) / moments.std[unit]) as f32
    });
    let correlation =
        standard.t().dot(&standard).mapv(|sum| f64::from(sum) / standard.nrows() as f64);
    let others = [
        doubled(latent, &correlation),
        too_wide(latent, &correlation, &living, &moments),
        unscaled(latent, &living, &moments),
    ];
    findings.extend(others.into_iter().flatten());
    findings
}

fn dead(latent: &Latent<'_>, is_living: &[bool]) -> Option<Finding> {
    let width = latent.values.ncols();
    let n_dead = is_living.iter().filter(|&&is_living| !is_living).count();
    let share = n_dead as f64 / width as f64;
    let architecture = latent.architecture;
    let severity = if n_dead == width { Severity::Error } else { Severity::Warning };
    match architecture.variant {
        Variant::KSparse { k, .. } => {
            if share <= DEAD_K_SPARSE {
                return None;
            }
            let sentence = format!(
                "{n_dead} of {width} units are never among the {k} largest of a validation row"
            );
            let half = (latent.epochs / 2).max(1);
            let anneal = |width: usize| {
                (architecture.key_of("anneal"), format!("{{ k = {width}, epochs = {half} }}"))
            };
            let fewer = (2 * (width - n_dead)).max(4 * k).min(width);
            let narrower = (architecture.key_of("latent_dim"), fewer.to_string());
            return Some(
                Finding::new(FindingId::KSparseDeadUnits, severity, sentence)
                    .measured("share of dead units", share, DEAD_K_SPARSE)
                    .cured_by_all(
                        [anneal(width)],
                        "all units learn before they compete (Makhzani and Frey, ICLR 2014)",
                    )
                    .cured_by_all(
                        [anneal(fewer), narrower.clone()],
                        "the same with twice the units that win",
                    )
                    .cured_by_all([narrower], "twice the units that win")
                    .cured_by(
                        architecture.key_of("k"),
                        (2 * k).min(width).to_string(),
                        "more units are trained in each step",
                    ),
            );
        }
        Variant::WinnerTakeAll { n_maps } => return dead_filters(latent, is_living, n_maps),
        // What a price silences is found where its units are counted.
        Variant::Sparse { .. } if n_dead < width => return None,
        _ if share <= DEAD_SHARE => return None,
        _ => {}
    }
    let sentence =
        format!("{n_dead} of {width} latent dimensions never change over the validation rows");
    let narrower = (width - n_dead).max(1);
    let mut finding = Finding::new(FindingId::DeadLatents, severity, sentence).measured(
        "share of dead dimensions",
        share,
        DEAD_SHARE,
    );
    if n_dead < width {
        finding = finding.cured_by(
            architecture.key_of("latent_dim"),
            narrower.to_string(),
            "what is dead adds nothing",
        );
    }
    if architecture.variant == Variant::Plain {
        finding = finding.cured_by(
            architecture.key_of("latent_activation"),
            "\"linear\"",
            "a linear unit always has a slope",
        );
    }
    Some(finding)
}

/// Of winner-take-all: units, or whole maps, that never answer.
fn dead_filters(latent: &Latent<'_>, is_living: &[bool], n_maps: Option<usize>) -> Option<Finding> {
    let n = n_maps.unwrap_or(is_living.len()).max(1);
    let of_each = (is_living.len() / n).max(1);
    let n_dead =
        is_living.chunks(of_each).filter(|unit| unit.iter().all(|&is_living| !is_living)).count();
    let share = n_dead as f64 / n as f64;
    if share <= DEAD_FILTERS {
        return None;
    }
    let what = if n_maps.is_some() { "filters" } else { "units" };
    let sentence = format!("{n_dead} of {n} {what} answer to no validation row");
    let architecture = latent.architecture;
    let severity = if n_dead == n { Severity::Error } else { Severity::Warning };
    Some(
        Finding::new(FindingId::DeadFilters, severity, sentence)
            .measured("share that never answers", share, DEAD_FILTERS)
            .cured_by(
                architecture.key_of("rectify_after"),
                "true",
                "winners get a gradient even where they are below 0",
            ),
    )
}

/// Active units of a distribution: dimensions whose mean moves with the input.
///
/// # Source
/// Burda, Grosse and Salakhutdinov, *Importance Weighted Autoencoders*, ICLR 2016, section 5.2.
fn inactive(latent: &Latent<'_>, moments: &ColumnMoments) -> Option<Finding> {
    let Variant::Variational { beta, .. } = latent.architecture.variant else { return None };
    let n_active = moments.std.iter().filter(|std| std.powi(2) > ACTIVE_VARIANCE).count();
    let width = latent.values.ncols();
    let share = 1.0 - n_active as f64 / width as f64;
    if share <= COLLAPSED_SHARE {
        return None;
    }
    let sentence = format!("{n_active} of {width} latent dimensions are active");
    let severity = if n_active == 0 { Severity::Error } else { Severity::Warning };
    Some(
        Finding::new(FindingId::PosteriorCollapse, severity, sentence)
            .measured("share of inactive dimensions", share, COLLAPSED_SHARE)
            .cured_by(
                latent.architecture.key_of("beta"),
                format!("{:e}", beta / 10.0),
                "a cheaper divergence lets dimensions speak (Higgins et al., ICLR 2017)",
            ),
    )
}

fn doubled(latent: &Latent<'_>, correlation: &ndarray::Array2<f64>) -> Option<Finding> {
    let n = correlation.nrows();
    let has_double = |unit: usize| {
        (0..unit).any(|other| correlation[[unit, other]].abs() > DUPLICATE_CORRELATION)
    };
    let n_doubles = (0..n).filter(|&unit| has_double(unit)).count();
    if n_doubles as f64 <= FEW_DOUBLES * n as f64 {
        return None;
    }
    let sentence =
        format!("{n_doubles} of {n} living latent dimensions say what another one says already");
    let better = (latent.values.ncols() - n_doubles).max(1);
    // Participation ratio, as for the width, each dimension counting alike: what is said twice
    // nearly, but not beyond the limit, counts as little.
    let rank = n as f64 * n as f64 / correlation.iter().map(|r| r * r).sum::<f64>();
    let independent = (rank.round() as usize).clamp(1, better);
    let key = latent.architecture.key_of("latent_dim");
    let mut finding = Finding::new(FindingId::DuplicateLatents, Severity::Warning, sentence)
        .measured(
            "share of living dimensions with a double",
            n_doubles as f64 / n as f64,
            FEW_DOUBLES,
        )
        .shown("correlation from which two say the same", DUPLICATE_CORRELATION)
        .cured_by(&key, better.to_string(), "the doubles add nothing");
    if independent < better {
        let because = "so many dimensions say something of their own";
        finding = finding.cured_by(key, independent.to_string(), because);
    }
    Some(finding)
}

/// Participation ratio of the covariance, `tr(C)^2 / tr(C^2)`: the number of dimensions, were they
/// all of one size.
fn too_wide(
    latent: &Latent<'_>,
    correlation: &ndarray::Array2<f64>,
    living: &[usize],
    moments: &ColumnMoments,
) -> Option<Finding> {
    let trace: f64 = living.iter().map(|&unit| moments.std[unit].powi(2)).sum();
    let squares: f64 = correlation
        .indexed_iter()
        .map(|((i, j), r)| (r * moments.std[living[i]] * moments.std[living[j]]).powi(2))
        .sum();
    let width = latent.values.ncols();
    let rank = trace * trace / squares;
    let share = rank / width as f64;
    if latent.architecture.is_constrained || share >= RANK_SHARE {
        return None;
    }
    let sentence = format!("of {width} latent dimensions about {rank:.1} are used");
    let better = (2.0 * rank).ceil().max(1.0);
    Some(
        Finding::new(FindingId::BottleneckTooLarge, Severity::Warning, sentence)
            .measured("effective rank over width", share, RANK_SHARE)
            .cured_by(
                latent.architecture.key_of("latent_dim"),
                better.to_string(),
                "twice what is used",
            ),
    )
}

fn unscaled(latent: &Latent<'_>, living: &[usize], moments: &ColumnMoments) -> Option<Finding> {
    if latent.is_scaled || latent.scale_sensitive.is_empty() {
        return None;
    }
    let spreads = || living.iter().map(|&unit| moments.std[unit]);
    let widest = spreads().fold(0.0, f64::max);
    let ratio = widest / spreads().fold(f64::INFINITY, f64::min);
    if ratio <= LATENT_SPREAD {
        return None;
    }
    let sentence = format!(
        "latent dimensions reach {} unscaled, and the widest spreads {ratio:.0} times as far as \
         the narrowest",
        latent.scale_sensitive.join(" and ")
    );
    Some(
        Finding::new(FindingId::UnscaledLatents, Severity::Warning, sentence)
            .measured("widest over narrowest spread", ratio, LATENT_SPREAD)
            .cured_by("features.scale", "\"standard\"", "every dimension counts alike"),
    )
}
