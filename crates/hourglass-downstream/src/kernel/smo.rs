//! Sequential minimal optimisation: the quadratic programme of the kernel machines, two variables
//! at a time.
//!
//! # Source
//! Fan, Chen and Lin, *Working Set Selection Using Second Order Information for Training SVM*, JMLR
//! 6 (2005), which is what libsvm does; ours has the whole kernel matrix at hand and shrinks
//! nothing.

use hourglass_core::MatrixView;

/// Curvature below which a pair counts as flat.
const FLAT: f64 = 1e-12;

/// Steps per variable before it gives up, at least a million in all.
const MAX_STEPS_PER_VARIABLE: usize = 100;

/// `min 1/2 a' Q a + linear' a` with `Q_ij = sign_i sign_j K(row_i, row_j)`, `0 <= a <= most` and
/// `sign' a = 0`.
pub(crate) struct Problem<'a> {
    pub kernel: MatrixView<'a>,
    /// Row of the kernel that each variable belongs to.
    pub rows: &'a [usize],
    /// 1 or -1.
    pub signs: &'a [f64],
    pub linear: &'a [f64],
    /// Largest value of each variable.
    pub most: &'a [f64],
    /// How far the optimality conditions may be missed; libsvm's is 1e-3.
    pub tolerance: f64,
}

pub(crate) struct Solution {
    /// `sign_i a_i`.
    pub coefficients: Vec<f64>,
    /// What is subtracted from the weighted sum of kernels.
    pub offset: f64,
    pub converged: bool,
}

pub(crate) fn solve(problem: &Problem<'_>) -> Solution {
    let n = problem.rows.len();
    let Problem { kernel, rows, signs, most, .. } = *problem;
    let mut values = vec![0.0; n];
    let mut gradient = problem.linear.to_vec();
    let diagonal: Vec<f64> = rows.iter().map(|&row| f64::from(kernel[[row, row]])).collect();
    let kernel_row = |i: usize| kernel.row(rows[i]).to_slice().expect("built row-major");
    let mut converged = false;
    for _ in 0..(MAX_STEPS_PER_VARIABLE * n).max(1_000_000) {
        let Some((i, largest)) = upper(problem, &values, &gradient) else { break };
        let of_i = kernel_row(i);
        let (mut second, mut least_gain, mut gap) = (None, 0.0, f64::NEG_INFINITY);
        for j in 0..n {
            let may_fall = if signs[j] > 0.0 { values[j] > 0.0 } else { values[j] < most[j] };
            if !may_fall {
                continue;
            }
            let slope = signs[j] * gradient[j];
            gap = gap.max(largest + slope);
            let difference = largest + slope;
            if difference > 0.0 {
                let curvature = diagonal[i] + diagonal[j] - 2.0 * f64::from(of_i[rows[j]]);
                let gain = -difference * difference / curvature.max(FLAT);
                if gain < least_gain {
                    (second, least_gain) = (Some(j), gain);
                }
            }
        }
        let Some(j) = second.filter(|_| gap >= problem.tolerance) else {
            converged = true;
            break;
        };
        let of_j = kernel_row(j);
        let curvature = (diagonal[i] + diagonal[j] - 2.0 * f64::from(of_i[rows[j]])).max(FLAT);
        let step = (signs[j] * gradient[j] - signs[i] * gradient[i]) / curvature;
        let (old_i, old_j) = (values[i], values[j]);
        let sum = signs[i] * old_i + signs[j] * old_j;
        values[i] = (old_i + signs[i] * step).clamp(0.0, most[i]);
        values[j] = (signs[j] * (sum - signs[i] * values[i])).clamp(0.0, most[j]);
        values[i] = (signs[i] * (sum - signs[j] * values[j])).clamp(0.0, most[i]);
        let (by_i, by_j) = (signs[i] * (values[i] - old_i), signs[j] * (values[j] - old_j));
        for (t, slope) in gradient.iter_mut().enumerate() {
            let row = rows[t];
            *slope += signs[t] * (by_i * f64::from(of_i[row]) + by_j * f64::from(of_j[row]));
        }
    }
    let offset = offset(problem, &values, &gradient);
    let coefficients = values.iter().zip(signs).map(|(value, sign)| value * sign).collect();
    Solution { coefficients, offset, converged }
}

/// The variable that violates the conditions most from above.
fn upper(problem: &Problem<'_>, values: &[f64], gradient: &[f64]) -> Option<(usize, f64)> {
    let mut best: Option<(usize, f64)> = None;
    for t in 0..values.len() {
        let sign = problem.signs[t];
        let may_rise = if sign > 0.0 { values[t] < problem.most[t] } else { values[t] > 0.0 };
        let slope = -sign * gradient[t];
        if may_rise && best.is_none_or(|(_, most)| slope > most) {
            best = Some((t, slope));
        }
    }
    best
}

/// The mean over variables between their bounds, else the middle of what the bounds allow.
fn offset(problem: &Problem<'_>, values: &[f64], gradient: &[f64]) -> f64 {
    let (mut sum, mut n_free) = (0.0, 0);
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for (t, &value) in values.iter().enumerate() {
        let sign = problem.signs[t];
        let slope = sign * gradient[t];
        let (at_least, at_most) = (value <= 0.0, value >= problem.most[t]);
        if !at_least && !at_most {
            sum += slope;
            n_free += 1;
        } else if at_least == (sign > 0.0) {
            high = high.min(slope);
        } else {
            low = low.max(slope);
        }
    }
    match (n_free, low.is_finite(), high.is_finite()) {
        (0, true, true) => (low + high) / 2.0,
        (0, true, false) => low,
        (0, false, true) => high,
        (0, false, false) => 0.0,
        _ => sum / f64::from(n_free),
    }
}
