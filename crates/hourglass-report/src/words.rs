//! Names and numbers as a person reads them: labels of the keys, per cent, points, p-values.
//!
//! Every rendering words a number through this file, so that page, Markdown and terminal agree.

use crate::diagnosis::Evidence;
use crate::model::{AUTOENCODER, Mark, Metric, PCA, RANDOM_ENCODER, RAW, RAW_AND_AUTOENCODER};

/// Stands where there is no number.
pub(crate) const MISSING: &str = "–";

/// The readable name of a feature set.
pub(crate) fn feature_set(key: &str) -> String {
    match key {
        RAW => "raw".into(),
        PCA => "PCA".into(),
        RANDOM_ENCODER => "random encoder".into(),
        AUTOENCODER => "autoencoder".into(),
        RAW_AND_AUTOENCODER => "raw + autoencoder".into(),
        other => spaced(other),
    }
}

/// The readable name of a downstream model.
pub(crate) fn model(key: &str) -> String {
    match key {
        "linear_svm" => "linear SVM".into(),
        "rbf_svm" => "RBF SVM".into(),
        "svr" => "RBF SVR".into(),
        "mlp" => "small MLP".into(),
        "knn" => "k nearest neighbours".into(),
        other => spaced(other),
    }
}

/// The readable name of a yardstick of the reconstruction, such as `pca (25)`.
pub(crate) fn yardstick(name: &str) -> String {
    name.strip_prefix("pca").map_or_else(|| spaced(name), |rest| format!("PCA{rest}"))
}

/// A key as words.
pub(crate) fn spaced(key: &str) -> String {
    // The one key whose first letter is a number of its own.
    if key == "k_sparse" { "k-sparse".into() } else { key.replace('_', " ") }
}

/// The text with its first letter as a capital, unless that is a symbol such as the k of
/// `k nearest neighbours`.
pub(crate) fn capital(text: &str) -> String {
    if text.chars().nth(1) == Some(' ') && !text.starts_with("a ") {
        return text.into();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A figure of a finding with its limit.
pub(crate) fn evidence(evidence: &Evidence) -> String {
    let limit = evidence.limit.map_or_else(String::new, |l| format!(" (limit {})", trimmed(l)));
    format!("{}: {}{limit}", evidence.what, significant(evidence.value))
}

/// The word of a mark.
pub(crate) fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Better => "better",
        Mark::Same => "same",
        Mark::Worse => "worse",
    }
}

/// The sign of a mark, which never stands without its word.
pub(crate) fn mark_sign(mark: Mark) -> &'static str {
    match mark {
        Mark::Better => "▲",
        Mark::Same => "●",
        Mark::Worse => "▼",
    }
}

/// `decimals` digits after the point and a true minus sign.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return MISSING.into();
    }
    let text = format!("{value:.decimals$}");
    // "-0.00" is the rounding of a loss too small to see.
    let is_zero = text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
    match text.strip_prefix('-') {
        Some(digits) if is_zero => digits.into(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// As [`number`], with a plus sign before what is above zero.
pub(crate) fn signed(value: f64, decimals: usize) -> String {
    let text = number(value, decimals);
    let is_zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    if value > 0.0 && value.is_finite() && !is_zero { format!("+{text}") } else { text }
}

/// Four significant digits, as losses need that span many powers of ten.
pub(crate) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return MISSING.into();
    }
    if value == 0.0 {
        return "0".into();
    }
    let power = value.abs().log10().floor() as i32;
    match power {
        4..=6 => number(value, 0),
        -4..=3 => number(value, usize::try_from(3 - power).unwrap_or(0)),
        _ => format!("{value:.3e}").replace('-', "−"),
    }
}

/// As [`significant`] without trailing zeros, for what a person has chosen: `0.000125`.
pub(crate) fn trimmed(value: f64) -> String {
    let text = significant(value);
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// A share in per cent, with as many digits as it has: `1 %`, `0.5 %`.
pub(crate) fn share(share: f64) -> String {
    format!("{} %", trimmed(100.0 * share))
}

/// The name of a metric.
pub(crate) fn metric(name: &str) -> String {
    match name {
        "roc_auc" => "ROC AUC".into(),
        "r2" => "R²".into(),
        "rmse" => "RMSE".into(),
        "mae" => "mean absolute error".into(),
        "macro_f1" => "macro F1".into(),
        "brier" => "Brier score".into(),
        other => spaced(other),
    }
}

/// `p = 0.012`, or `p < 0.001` where more digits say nothing.
pub(crate) fn p_value(p: f64) -> String {
    match p {
        p if !p.is_finite() => format!("p {MISSING}"),
        p if p < 0.001 => "p < 0.001".into(),
        p if p < 0.0995 => format!("p = {p:.3}"),
        p => format!("p = {p:.2}"),
    }
}

/// Digits in groups of three, separated by a comma.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 repeat`, `3 repeats`.
pub(crate) fn counted(count: usize, word: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {word}{plural}", grouped(count as u64))
}

/// Parts of a sentence: `a`, `a and b`, `a, b and c`.
pub(crate) fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// How a metric's scores are shown.
impl Metric {
    /// Whether the complement is shown: nobody reads 98.29 % against 92.58 % as easily as 1.71 %
    /// against 7.42 %.
    fn as_errors(&self) -> bool {
        self.name == "accuracy"
    }

    /// What the shown numbers are, with their unit: `test errors (%)`.
    pub(crate) fn heading(&self) -> String {
        match (self.as_errors(), self.is_fraction) {
            (true, _) => "test errors (%)".into(),
            (false, true) => format!("test {} (%)", metric(&self.name)),
            (false, false) => format!("test {}", metric(&self.name)),
        }
    }

    /// Whether a smaller shown number is better.
    pub(crate) fn shown_lower_is_better(&self) -> bool {
        self.as_errors() || !self.higher_is_better
    }

    /// Unit of a shown difference.
    pub(crate) fn difference_unit(&self) -> &'static str {
        if self.is_fraction { "points" } else { "" }
    }

    pub(crate) fn decimals(&self) -> usize {
        if self.is_fraction { 2 } else { 3 }
    }

    /// The score as a number in the shown unit.
    pub(crate) fn shown(&self, score: f64) -> f64 {
        match (self.as_errors(), self.is_fraction) {
            (true, _) => 100.0 * (1.0 - score),
            (false, true) => 100.0 * score,
            (false, false) => score,
        }
    }

    /// A difference in the shown unit; positive stays better.
    pub(crate) fn shown_difference(&self, difference: f64) -> f64 {
        if self.is_fraction { 100.0 * difference } else { difference }
    }

    /// The score without its unit: `1.71`.
    pub(crate) fn bare(&self, score: f64) -> String {
        number(self.shown(score), self.decimals())
    }

    /// The score with its unit: `1.71 %`.
    pub(crate) fn value(&self, score: f64) -> String {
        let unit = if self.is_fraction { " %" } else { "" };
        format!("{}{unit}", self.bare(score))
    }

    /// The ends of an interval of scores, the smaller shown number first.
    pub(crate) fn bare_interval(&self, low: Option<f64>, high: Option<f64>) -> Option<[String; 2]> {
        let (low, high) = finite_pair(low, high)?;
        let ends = [self.bare(low), self.bare(high)];
        Some(if self.shown(low) <= self.shown(high) {
            ends
        } else {
            [ends[1].clone(), ends[0].clone()]
        })
    }

    /// Whether a score beats another; never if either is missing.
    pub(crate) fn is_better(&self, score: f64, than: f64) -> bool {
        if self.higher_is_better { score > than } else { score < than }
    }
}

/// Both ends, if both are there and finite.
pub(crate) fn finite_pair(low: Option<f64>, high: Option<f64>) -> Option<(f64, f64)> {
    low.zip(high).filter(|(low, high)| low.is_finite() && high.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (value, decimals, plain, with_sign) in [
            (1.714, 2, "1.71", "+1.71"),
            (-1.714, 2, "−1.71", "−1.71"),
            (-0.001, 2, "0.00", "0.00"),
            (0.001, 2, "0.00", "0.00"),
            (0.0, 1, "0.0", "0.0"),
            (f64::NAN, 2, "–", "–"),
            (f64::INFINITY, 2, "–", "–"),
        ] {
            assert_eq!(number(value, decimals), plain, "{value}");
            assert_eq!(signed(value, decimals), with_sign, "{value}");
        }
    }

    #[test]
    fn losses_keep_four_digits() {
        for (value, text) in [
            (0.004_321_6, "0.004322"),
            (13.866, "13.87"),
            (1.0, "1.000"),
            (-2.5, "−2.500"),
            (12_345.6, "12346"),
            (1e-9, "1.000e−9"),
            (0.0, "0"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(significant(value), text);
        }
    }

    #[test]
    fn p_values_stop_at_three_decimals() {
        for (p, text) in [
            (1e-9, "p < 0.001"),
            (0.012_34, "p = 0.012"),
            (0.0999, "p = 0.10"),
            (0.5, "p = 0.50"),
            (1.0, "p = 1.00"),
        ] {
            assert_eq!(p_value(p), text);
        }
    }

    #[test]
    fn counts_and_lists() {
        assert_eq!(grouped(1_590_784), "1,590,784");
        assert_eq!(grouped(784), "784");
        assert_eq!(counted(1, "repeat"), "1 repeat");
        assert_eq!(counted(3, "repeat"), "3 repeats");
        let parts: Vec<String> = ["a", "b", "c"].map(String::from).into();
        assert_eq!(listed(&parts), "a, b and c");
        assert_eq!(capital("étude"), "Étude");
        assert_eq!(capital("k nearest"), "k nearest");
        assert_eq!(capital("a tree"), "A tree");
        assert_eq!(capital(""), "");
    }

    #[test]
    fn accuracy_is_shown_as_errors() {
        let metric = Metric::accuracy();
        assert_eq!(metric.value(0.982_9), "1.71 %");
        let ends = metric.bare_interval(Some(0.98), Some(0.985));
        assert_eq!(ends, Some(["1.50".into(), "2.00".into()]));
        assert_eq!(metric.bare_interval(None, Some(0.9)), None);
        assert_eq!(metric.bare_interval(Some(f64::NAN), Some(0.9)), None);
    }
}
