//! What the latent holds: dead, doubled, unused and unscaled dimensions.

use hourglass_core::{ColumnMoments, Matrix};

use super::Latent;
use crate::threshold::{DEAD_SHARE, DUPLICATE_CORRELATION, LATENT_SPREAD, RANK_SHARE};
use crate::{Finding, FindingId, Severity};

/// A spread below this share of the widest dimension's is no spread.
const NO_SPREAD: f64 = 1e-6;

/// Share of the living dimensions that may have a double.
const FEW_DOUBLES: f64 = 0.05;

pub(super) fn examine(latent: &Latent<'_>) -> Vec<Finding> {
    let moments = ColumnMoments::of(latent.values);
    let widest = moments.std.iter().copied().fold(0.0, f64::max);
    let living: Vec<usize> =
        (0..moments.std.len()).filter(|&unit| moments.std[unit] > NO_SPREAD * widest).collect();
    let dead = dead(latent, living.len());
    if living.is_empty() {
        return dead.into_iter().collect();
    }
    let standard = Matrix::from_shape_fn((latent.values.nrows(), living.len()), |(row, column)| {
        let unit = living[column];
        let value = f64::from(latent.values[[row, unit]]);
        ((value - moments.mean[unit]) / moments.std[unit]) as f32
    });
    let correlation =
        standard.t().dot(&standard).mapv(|sum| f64::from(sum) / standard.nrows() as f64);
    [
        dead,
        doubled(latent, &correlation),
        too_wide(latent, &correlation, &living, &moments),
        unscaled(latent, &living, &moments),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn dead(latent: &Latent<'_>, n_living: usize) -> Option<Finding> {
    let width = latent.values.ncols();
    let share = 1.0 - n_living as f64 / width as f64;
    if share <= DEAD_SHARE {
        return None;
    }
    let sentence = format!(
        "{} of {width} latent dimensions never change over the validation rows",
        width - n_living
    );
    let severity = if n_living == 0 { Severity::Error } else { Severity::Warning };
    Some(Finding::new(FindingId::DeadLatents, severity, sentence).measured(
        "share of dead dimensions",
        share,
        DEAD_SHARE,
    ))
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
    Some(
        Finding::new(FindingId::DuplicateLatents, Severity::Warning, sentence)
            .measured("correlation from which two say the same", 1.0, DUPLICATE_CORRELATION)
            .shown("dimensions with a double", n_doubles as f64)
            .cured_by(
                format!("{}.latent_dim", latent.model_key),
                better.to_string(),
                "the doubles add nothing",
            ),
    )
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
    if latent.is_constrained || share >= RANK_SHARE {
        return None;
    }
    let sentence = format!("of {width} latent dimensions about {rank:.1} are used");
    let better = (2.0 * rank).ceil().max(1.0);
    Some(
        Finding::new(FindingId::BottleneckTooLarge, Severity::Warning, sentence)
            .measured("effective rank over width", share, RANK_SHARE)
            .cured_by(
                format!("{}.latent_dim", latent.model_key),
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
