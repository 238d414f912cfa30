//! Scores of scores: how well they rank the rows, and how near probabilities are to the truth.

use hourglass_core::MatrixView;

use super::mean_of;

/// Area under the ROC curve: that of the second class where there are two, else the mean over the
/// classes against the rest; classes that no row or every row has are left out (scikit-learn's
/// `roc_auc_score`, `multi_class="ovr"`).
///
/// # Shapes
/// - `truth`: one class a row; `scores`: `(n_rows, n_classes)`
pub fn roc_auc(truth: &[u32], scores: MatrixView<'_>) -> f64 {
    over_classes(truth, scores, |ranked| {
        let (mut below, mut wins) = (0.0, 0.0);
        let (n_in, n_out) = counts(ranked);
        for tied in ranked.chunk_by(|a, b| a.0 == b.0).rev() {
            let (ins, outs) = counts(tied);
            wins += ins * (below + outs / 2.0);
            below += outs;
        }
        wins / (n_in * n_out)
    })
}

/// Average precision, of the same classes as [`roc_auc`] (scikit-learn's
/// `average_precision_score`, `average="macro"`).
///
/// # Shapes
/// - As [`roc_auc`].
pub fn average_precision(truth: &[u32], scores: MatrixView<'_>) -> f64 {
    over_classes(truth, scores, |ranked| {
        let (n_in, _) = counts(ranked);
        let (mut ins, mut all, mut sum) = (0.0, 0.0, 0.0);
        for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
            let (more, others) = counts(tied);
            ins += more;
            all += more + others;
            sum += more / n_in * (ins / all);
        }
        sum
    })
}

/// Mean of minus the logarithm of the probability of the true class, which counts as at least
/// 1.2e-7 (scikit-learn's `log_loss` in single precision).
///
/// # Shapes
/// - As [`roc_auc`].
pub fn log_loss(truth: &[u32], probabilities: MatrixView<'_>) -> f64 {
    let rows = probabilities.outer_iter().zip(truth);
    mean_of(rows.map(|(row, &class)| {
        let least = f64::from(f32::EPSILON);
        -f64::from(row[class as usize]).clamp(least, 1.0 - least).ln()
    }))
}

/// Mean squared error of the probability of the second class where there are two; with more, the
/// squared errors of a row's probabilities are summed (Brier, Monthly Weather Review 78, 1950).
///
/// # Shapes
/// - As [`roc_auc`].
pub fn brier(truth: &[u32], probabilities: MatrixView<'_>) -> f64 {
    let n_classes = probabilities.ncols();
    let rows = probabilities.outer_iter().zip(truth);
    let sum = mean_of(rows.map(|(row, &class)| {
        let error = |(other, &p): (usize, &f32)| {
            (f64::from(p) - f64::from(u8::from(other == class as usize))).powi(2)
        };
        row.iter().enumerate().map(error).sum()
    }));
    if n_classes == 2 { sum / 2.0 } else { sum }
}

/// The rows of a class and the rest with the class's score, highest score first.
fn ranked(truth: &[u32], scores: MatrixView<'_>, class: usize) -> Vec<(f32, bool)> {
    let of =
        |(row, &truth): (ndarray::ArrayView1<'_, f32>, &u32)| (row[class], truth as usize == class);
    let mut pairs: Vec<(f32, bool)> = scores.outer_iter().zip(truth).map(of).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs
}

fn counts(pairs: &[(f32, bool)]) -> (f64, f64) {
    let ins = pairs.iter().filter(|(_, is_in)| *is_in).count();
    (ins as f64, (pairs.len() - ins) as f64)
}

fn over_classes(
    truth: &[u32],
    scores: MatrixView<'_>,
    score: impl Fn(&[(f32, bool)]) -> f64,
) -> f64 {
    let classes = if scores.ncols() == 2 { 1..2 } else { 0..scores.ncols() };
    mean_of(classes.map(|class| {
        let ranked = ranked(truth, scores, class);
        let (ins, outs) = counts(&ranked);
        if ins == 0.0 || outs == 0.0 { f64::NAN } else { score(&ranked) }
    }))
}

#[cfg(test)]
mod tests {
    use hourglass_core::Matrix;

    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    /// ```python
    /// i = np.arange(30); y = i * 7 % 3
    /// s = np.stack([(i * a % 11 + 1) for a in (3, 5, 7)], 1) + 4. * (y[:, None] == np.arange(3))
    /// p = (s / s.sum(1, keepdims=True)).astype(np.float32)
    /// ```
    fn rows() -> (Vec<u32>, Matrix) {
        let truth: Vec<u32> = (0..30).map(|i| i * 7 % 3).collect();
        let mut scores = Matrix::from_shape_fn((30, 3), |(i, class)| {
            let base = (i * [3, 5, 7][class] % 11 + 1) as f32;
            base + if truth[i] as usize == class { 4.0 } else { 0.0 }
        });
        for mut row in scores.outer_iter_mut() {
            let sum = row.sum();
            row /= sum;
        }
        (truth, scores)
    }

    #[test]
    fn three_classes_agree_with_scikit_learn() {
        let (truth, scores) = rows();
        // roc_auc_score(y, p, multi_class="ovr")
        close(roc_auc(&truth, scores.view()), 0.923_333_333_3);
        // np.mean([average_precision_score(y == k, p[:, k]) for k in range(3)])
        close(average_precision(&truth, scores.view()), 0.889_099_740_1);
        close(log_loss(&truth, scores.view()), 0.753_785_848_6);
        // ((p - np.eye(3)[y])**2).sum(1).mean()
        close(brier(&truth, scores.view()), 0.432_899_895_7);
    }

    #[test]
    fn two_classes_with_ties_agree_with_scikit_learn() {
        // y2 = (y == 1).astype(int); q = np.round(p[:, 1], 1)
        // roc_auc_score(y2, q); average_precision_score(y2, q); brier_score_loss(y2, q)
        // log_loss(y2, q)
        let (truth, scores) = rows();
        let truth: Vec<u32> = truth.iter().map(|&class| u32::from(class == 1)).collect();
        let two = Matrix::from_shape_fn((30, 2), |(row, class)| {
            let q = (scores[[row, 1]] * 10.0).round_ties_even() / 10.0;
            if class == 1 { q } else { 1.0 - q }
        });
        close(roc_auc(&truth, two.view()), 0.890_000_000_0);
        close(average_precision(&truth, two.view()), 0.794_505_494_5);
        close(brier(&truth, two.view()), 0.142_000_004_6);
        close(log_loss(&truth, two.view()), 0.446_879_446_5);
    }

    #[test]
    fn a_missing_class_has_no_score() {
        let scores = Matrix::from_elem((4, 2), 0.5);
        assert!(roc_auc(&[1; 4], scores.view()).is_nan());
        assert!(log_loss(&[], Matrix::zeros((0, 2)).view()).is_nan());
    }
}
