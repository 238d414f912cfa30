//! Scores of predicted values.

/// Root mean squared error; NaN without rows.
///
/// # Panics
/// If the two differ in length.
pub fn rmse(truth: &[f32], predicted: &[f32]) -> f64 {
    mean_square(truth, predicted).sqrt()
}

/// Mean absolute error; NaN without rows.
///
/// # Panics
/// If the two differ in length.
pub fn mae(truth: &[f32], predicted: &[f32]) -> f64 {
    absolute_errors(truth, predicted).iter().sum::<f64>() / truth.len() as f64
}

/// Share of the values' variance that is explained: 1 is perfect, 0 as good as the mean (of the
/// rows judged). With constant values it is 1 where all are hit, else 0 (scikit-learn's
/// `r2_score`).
///
/// # Panics
/// If the two differ in length.
pub fn r2(truth: &[f32], predicted: &[f32]) -> f64 {
    let mean = truth.iter().copied().map(f64::from).sum::<f64>() / truth.len() as f64;
    let spread = truth.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>()
        / truth.len() as f64;
    let error = mean_square(truth, predicted);
    if spread > 0.0 {
        1.0 - error / spread
    } else if error == 0.0 {
        1.0
    } else {
        0.0
    }
}

/// The absolute error of each row: what the statistics over shared rows are made of.
///
/// # Panics
/// If the two differ in length.
pub fn absolute_errors(truth: &[f32], predicted: &[f32]) -> Vec<f64> {
    assert_eq!(truth.len(), predicted.len(), "one prediction a row");
    truth.iter().zip(predicted).map(|(&t, &p)| (f64::from(t) - f64::from(p)).abs()).collect()
}

fn mean_square(truth: &[f32], predicted: &[f32]) -> f64 {
    let errors = absolute_errors(truth, predicted);
    errors.iter().map(|error| error * error).sum::<f64>() / truth.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_agree_with_scikit_learn() {
        // t = np.float32([3, -.5, 2, 7, 4.2]); p = np.float32([2.5, 0, 2, 8, 4])
        // root_mean_squared_error(t, p); mean_absolute_error(t, p); r2_score(t, p)
        let (truth, predicted) = ([3.0, -0.5, 2.0, 7.0, 4.2], [2.5, 0.0, 2.0, 8.0, 4.0]);
        assert!((rmse(&truth, &predicted) - 0.554_977_476_6).abs() < 1e-6);
        assert!((mae(&truth, &predicted) - 0.439_999_967_8).abs() < 1e-6);
        assert!((r2(&truth, &predicted) - 0.949_660_062_8).abs() < 1e-6);
        assert_eq!((r2(&[1.0; 3], &[1.0; 3]), r2(&[1.0; 3], &[2.0; 3])), (1.0, 0.0));
    }
}
