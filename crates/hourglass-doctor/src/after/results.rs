//! What the comparisons say: no gain, or too little to say anything.

use super::{Results, Score};
use crate::threshold::TOO_FEW_REPEATS;
use crate::{Finding, FindingId, Severity};

pub(super) fn examine(results: &Results) -> Vec<Finding> {
    let autoencoder =
        |score: &&Score| matches!(score.feature_set.as_str(), "autoencoder" | "raw+autoencoder");
    let best = results
        .against_raw
        .iter()
        .filter(autoencoder)
        .max_by(|a, b| a.difference.total_cmp(&b.difference));
    let Some(best) = best else { return Vec::new() };
    if best.is_significant && best.difference > 0.0 {
        return Vec::new();
    }
    no_gain(best).into_iter().chain(too_few(results, best)).collect()
}

fn no_gain(best: &Score) -> Option<Finding> {
    // Uncertain is not the same as none: then the number of repeats is the finding.
    let is_worse = best.is_significant;
    let points = best.difference * 100.0;
    let [_, high] = best.interval?;
    if !is_worse && high > 0.01 {
        return None;
    }
    let sentence = if is_worse {
        format!(
            "`{}` makes the score worse than raw columns, by {:.2} points",
            best.feature_set, -points
        )
    } else {
        format!("`{}` does not help: {points:+.2} points against raw columns", best.feature_set)
    };
    let severity = if is_worse { Severity::Warning } else { Severity::Note };
    Some(
        Finding::new(FindingId::NoGain, severity, sentence)
            .measured("mean paired difference in points", points, 0.0)
            .cured_by(
                "features.layers",
                "\"all_hidden\"",
                "every hidden layer as features (Jahrer, Porto Seguro, 2017)",
            ),
    )
}

fn too_few(results: &Results, best: &Score) -> Option<Finding> {
    if results.repeats as f64 >= TOO_FEW_REPEATS || best.is_significant {
        return None;
    }
    let sentence = format!(
        "{} repeat(s) can't tell whether a difference of {:+.2} points is more than luck",
        results.repeats,
        best.difference * 100.0
    );
    Some(
        Finding::new(FindingId::TooFewRepeats, Severity::Warning, sentence)
            .measured("repeats", results.repeats as f64, TOO_FEW_REPEATS)
            .cured_by("repeats", "5", "Bouthillier et al., MLSys 2021"),
    )
}
