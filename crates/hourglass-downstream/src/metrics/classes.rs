//! Scores of predicted classes: more is better, and 1 is perfect.

use ndarray::Array2;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Precision, recall and F1 of one class; 0 where nothing was predicted, or there is no row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassScores {
    /// Share of the rows predicted as this class that are of it.
    pub precision: f64,
    /// Share of this class's rows that are predicted as it.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows of this class.
    pub support: usize,
}

/// 1 for each row predicted right, else 0: what the statistics over shared rows are made of.
///
/// # Panics
/// If the two differ in length.
pub fn correct(truth: &[u32], predicted: &[u32]) -> Vec<f64> {
    assert_eq!(truth.len(), predicted.len(), "one prediction a row");
    truth.iter().zip(predicted).map(|(t, p)| f64::from(u8::from(t == p))).collect()
}

/// Share of the rows predicted right; 0 without rows.
///
/// # Panics
/// If the two differ in length.
pub fn accuracy(truth: &[u32], predicted: &[u32]) -> f64 {
    ratio(correct(truth, predicted).iter().sum(), truth.len() as f64)
}

/// Mean recall over the classes that have rows (scikit-learn's `balanced_accuracy_score`).
///
/// # Panics
/// As [`confusion`].
pub fn balanced_accuracy(truth: &[u32], predicted: &[u32], n_classes: usize) -> f64 {
    let scores = per_class(truth, predicted, n_classes);
    mean(scores.iter().filter(|class| class.support > 0).map(|class| class.recall))
}

/// Mean F1 over the classes that have rows or predictions (scikit-learn's
/// `f1_score(average="macro", zero_division=0)`).
///
/// # Panics
/// As [`confusion`].
pub fn macro_f1(truth: &[u32], predicted: &[u32], n_classes: usize) -> f64 {
    let counts = confusion(truth, predicted, n_classes);
    let occurs = |class: &usize| counts.row(*class).sum() + counts.column(*class).sum() > 0;
    mean((0..n_classes).filter(occurs).map(|class| scores_of(&counts, class).f1))
}

/// Precision, recall, F1 and support of every class.
///
/// # Panics
/// As [`confusion`].
pub fn per_class(truth: &[u32], predicted: &[u32], n_classes: usize) -> Vec<ClassScores> {
    let counts = confusion(truth, predicted, n_classes);
    (0..n_classes).map(|class| scores_of(&counts, class)).collect()
}

/// How many rows of a class (row) were predicted as another (column).
///
/// # Panics
/// If the two differ in length, or a class isn't below `n_classes`.
pub fn confusion(truth: &[u32], predicted: &[u32], n_classes: usize) -> Array2<usize> {
    assert_eq!(truth.len(), predicted.len(), "one prediction a row");
    let mut counts = Array2::zeros((n_classes, n_classes));
    for (&truth, &predicted) in truth.iter().zip(predicted) {
        counts[[truth as usize, predicted as usize]] += 1;
    }
    counts
}

fn scores_of(counts: &Array2<usize>, class: usize) -> ClassScores {
    let right = counts[[class, class]] as f64;
    let support = counts.row(class).sum();
    let predicted = counts.column(class).sum();
    ClassScores {
        precision: ratio(right, predicted as f64),
        recall: ratio(right, support as f64),
        f1: ratio(2.0 * right, (predicted + support) as f64),
        support,
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    ratio(sum, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [u32; 10] = [0, 0, 0, 0, 1, 1, 1, 2, 2, 4];
    const PREDICTED: [u32; 10] = [0, 0, 1, 3, 1, 1, 0, 2, 1, 2];

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn scores_agree_with_scikit_learn() {
        // from sklearn.metrics import *
        // t = [0, 0, 0, 0, 1, 1, 1, 2, 2, 4]; p = [0, 0, 1, 3, 1, 1, 0, 2, 1, 2]
        // accuracy_score(t, p); balanced_accuracy_score(t, p)
        // f1_score(t, p, average="macro", zero_division=0)
        close(accuracy(&TRUTH, &PREDICTED), 0.5);
        close(balanced_accuracy(&TRUTH, &PREDICTED, 6), 0.416_666_666_666_666_63);
        close(macro_f1(&TRUTH, &PREDICTED, 6), 0.328_571_428_571_428_57);
    }

    #[test]
    fn classes_agree_with_scikit_learn() {
        // precision_recall_fscore_support(t, p, zero_division=0)
        let classes = per_class(&TRUTH, &PREDICTED, 5);
        let column = |get: fn(&ClassScores) -> f64| classes.iter().map(get).collect::<Vec<_>>();
        let expected = [2.0 / 3.0, 0.5, 0.5, 0.0, 0.0];
        column(|c| c.precision).iter().zip(expected).for_each(|(&a, b)| close(a, b));
        let expected = [0.5, 2.0 / 3.0, 0.5, 0.0, 0.0];
        column(|c| c.recall).iter().zip(expected).for_each(|(&a, b)| close(a, b));
        let expected = [4.0 / 7.0, 4.0 / 7.0, 0.5, 0.0, 0.0];
        column(|c| c.f1).iter().zip(expected).for_each(|(&a, b)| close(a, b));
        let support: Vec<usize> = classes.iter().map(|class| class.support).collect();
        assert_eq!(support, [4, 3, 2, 0, 1]);
    }

    #[test]
    fn the_confusion_matrix_has_truth_in_rows() {
        let counts = confusion(&TRUTH, &PREDICTED, 5);
        assert_eq!(counts.row(0).to_vec(), [2, 1, 0, 1, 0]);
        assert_eq!(counts.row(4).to_vec(), [0, 0, 1, 0, 0]);
    }
}
