//! Whether test rows come from where training rows come from: column by column, and as a whole by
//! a classifier that is asked to tell them apart.

use hourglass_core::{Matrix, MatrixView, Part, Samples};
use ndarray::{Array1, Axis, concatenate, s};

use crate::sample::{auc, ks_distance, ks_p_value, sorted, stability_index};
use crate::threshold::{PSI, SHIFT_DISTANCE, SHIFT_LEVEL, TOLD_APART};
use crate::{Finding, FindingId, Severity};

/// Rows of each side that the classifier sees.
const ROWS: usize = 600;

/// Columns that it sees at most, evenly spread.
const COLUMNS: usize = 256;

/// Columns up to which it also sees their squares, by which spreads are told apart.
const SQUARED: usize = 100;

/// Steps of conjugate gradients; with the penalty below they come close in fewer.
const STEPS: usize = 40;

/// Standard deviations of a chance classifier's area: a level of about 0.001 on one side.
const CHANCE: f64 = 3.1;

/// `columns` are the training columns, in order of size.
pub(super) fn examine(samples: &Samples, columns: &[Vec<f32>]) -> Option<Finding> {
    let (train, test) = (samples.part(Part::Train), samples.part(Part::Test));
    if test.nrows() == 0 {
        return None;
    }
    by_column(samples, columns, test).or_else(|| by_classifier(train, test))
}

fn by_column(samples: &Samples, columns: &[Vec<f32>], test: MatrixView<'_>) -> Option<Finding> {
    let mut shifted: Vec<(usize, f64, f64)> = Vec::new();
    for (column, train) in columns.iter().enumerate() {
        let test = sorted(test.column(column));
        let distance = ks_distance(train, &test);
        // Bonferroni's bound for the smallest p is Holm's first step, and all that is asked here.
        let p = ks_p_value(distance, train.len(), test.len()) * columns.len() as f64;
        let index = stability_index(train, &test);
        if p < SHIFT_LEVEL && (distance > SHIFT_DISTANCE || index > PSI) {
            shifted.push((column, distance, index));
        }
    }
    let &(worst, distance, index) = shifted.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let sentence = format!(
        "test rows differ from training rows in {} of {} columns, most in `{}` \
         (Kolmogorov-Smirnov distance {distance:.2})",
        shifted.len(),
        columns.len(),
        samples.feature_names[worst]
    );
    Some(
        Finding::new(FindingId::DataMismatch, Severity::Warning, sentence)
            .measured("Kolmogorov-Smirnov distance", distance, SHIFT_DISTANCE)
            .measured("population stability index", index, PSI)
            .shown("columns that differ", shifted.len() as f64)
            .shown(
                "area under the ROC curve of a classifier that tells them apart",
                told_apart(samples.part(Part::Train), test).0,
            )
            .cured_by("split.by", "\"stratified\"", "both sides come from the same rows")
            .cured_by("split.published", "\"merge\"", "published test rows join the others"),
    )
}

/// A classifier two-sample test: linear in the columns and their squares, fitted on half of the
/// rows and judged on the other.
///
/// # Source
/// Lopez-Paz and Oquab, *Revisiting Classifier Two-Sample Tests*, ICLR 2017.
fn by_classifier(train: MatrixView<'_>, test: MatrixView<'_>) -> Option<Finding> {
    let (area, spread) = told_apart(train, test);
    if area <= TOLD_APART || area - 0.5 < CHANCE * spread {
        return None;
    }
    let sentence = format!(
        "no single column differs, but a classifier tells test rows from training rows (area \
         under the ROC curve {area:.2})"
    );
    Some(
        Finding::new(FindingId::DataMismatch, Severity::Warning, sentence)
            .measured("area under the ROC curve", area, TOLD_APART)
            .cured_by("split.by", "\"stratified\"", "both sides come from the same rows")
            .cured_by("split.published", "\"merge\"", "published test rows join the others"),
    )
}

/// Area under the ROC curve of that classifier, and its standard deviation were it guessing.
fn told_apart(train: MatrixView<'_>, test: MatrixView<'_>) -> (f64, f64) {
    let rows = concatenate![Axis(0), spread_rows(train), spread_rows(test)];
    let is_test: Vec<bool> = (0..rows.nrows()).map(|row| row >= train.nrows().min(ROWS)).collect();
    let design = design(&rows);
    // Neighbours in the file often belong together, so halves alternate.
    let half = |odd: usize| -> (Matrix, Vec<bool>) {
        let picked: Vec<usize> = (odd..rows.nrows()).step_by(2).collect();
        (design.select(Axis(0), &picked), picked.iter().map(|&row| is_test[row]).collect())
    };
    let ((fit, fit_is_test), (judged, judged_is_test)) = (half(0), half(1));
    let weights = ridge(&fit, &fit_is_test);
    let area = auc(judged.dot(&weights).into_iter(), &judged_is_test);
    let n_test = judged_is_test.iter().filter(|&&is_test| is_test).count().max(1) as f64;
    let n_train = (judged_is_test.len() as f64 - n_test).max(1.0);
    (area, ((n_train + n_test + 1.0) / (12.0 * n_train * n_test)).sqrt())
}

fn spread_rows(rows: MatrixView<'_>) -> Matrix {
    let step = rows.nrows() as f64 / rows.nrows().clamp(1, ROWS) as f64;
    let picked: Vec<usize> =
        (0..rows.nrows().min(ROWS)).map(|index| (index as f64 * step) as usize).collect();
    rows.select(Axis(0), &picked)
}

/// Columns and, of few, their squares, each with mean 0 and spread 1.
fn design(rows: &Matrix) -> Matrix {
    let step = rows.ncols().div_ceil(COLUMNS).max(1);
    let columns = rows.slice(s![.., ..;step]).to_owned();
    let standard = standardised(columns);
    if standard.ncols() > SQUARED {
        return standard;
    }
    let squares = standardised(standard.mapv(|value| value * value));
    concatenate![Axis(1), standard, squares]
}

fn standardised(mut rows: Matrix) -> Matrix {
    for mut column in rows.columns_mut() {
        let mean = column.mean().unwrap_or(0.0);
        let std = column.std(0.0);
        column.mapv_inplace(|value| if std > 0.0 { (value - mean) / std } else { 0.0 });
    }
    rows
}

/// Ridge regression on the side, with a price of a tenth of the rows.
fn ridge(rows: &Matrix, is_test: &[bool]) -> Array1<f32> {
    let n = rows.nrows() as f32;
    let share = is_test.iter().filter(|&&is_test| is_test).count() as f32 / n;
    let side: Array1<f32> =
        is_test.iter().map(|&is_test| f32::from(u8::from(is_test)) - share).collect();
    let apply = |w: &Array1<f32>| rows.t().dot(&rows.dot(w)) + w * (0.1 * n);
    let mut weights = Array1::zeros(rows.ncols());
    let mut residual = rows.t().dot(&side);
    let mut direction = residual.clone();
    let mut square = residual.dot(&residual);
    for _ in 0..STEPS {
        if square <= f32::EPSILON {
            break;
        }
        let image = apply(&direction);
        let step = square / direction.dot(&image);
        weights.scaled_add(step, &direction);
        residual.scaled_add(-step, &image);
        let next = residual.dot(&residual);
        direction = &residual + &direction * (next / square);
        square = next;
    }
    weights
}
