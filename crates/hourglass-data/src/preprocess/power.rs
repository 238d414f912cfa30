//! The power transform of Yeo and Johnson, and the power that makes values look most normal.
//!
//! # Source
//! I.-K. Yeo, R. A. Johnson: A new family of power transformations to improve normality or
//! symmetry, Biometrika 87, 2000, doi:10.1093/biomet/87.4.954. The likelihood is maximised by R. P.
//! Brent's method (Algorithms for Minimization without Derivatives, 1973, chapter 5).

/// Powers beyond this are not tried. Columns of small numbers need large ones: that of the errors
/// of the fractal dimension in the breast cancer data is -280.
const MOST: f64 = 1e5;

/// Bends a number.
pub(crate) fn bend(x: f64, lambda: f64) -> f64 {
    match x >= 0.0 {
        true if lambda == 0.0 => x.ln_1p(),
        true => (lambda * x.ln_1p()).exp_m1() / lambda,
        false if lambda == 2.0 => -(-x).ln_1p(),
        false => -((2.0 - lambda) * (-x).ln_1p()).exp_m1() / (2.0 - lambda),
    }
}

/// The number that `bend` bends to `y`; where there is none, the nearest that is finite.
pub(crate) fn unbend(y: f64, lambda: f64) -> f64 {
    // With a negative power, bent numbers stay below -1 / lambda.
    let root = |y: f64, power: f64| {
        let inside = (power * y).max(f64::EPSILON - 1.0);
        (inside.ln_1p() / power).exp_m1()
    };
    match y >= 0.0 {
        true if lambda == 0.0 => y.exp_m1(),
        true => root(y, lambda),
        false if lambda == 2.0 => -(-y).exp_m1(),
        false => -root(-y, 2.0 - lambda),
    }
}

/// The power under which the values look most normal.
pub(crate) fn fit(values: &[f64]) -> f64 {
    if values.first() == values.last() {
        return 1.0;
    }
    let n = values.len() as f64;
    let logs: f64 = values.iter().map(|x| x.signum() * x.abs().ln_1p()).sum();
    let mut bent = vec![0.0; values.len()];
    // Minus the log likelihood, without what doesn't depend on the power.
    let mut loss = |lambda: f64| {
        bent.iter_mut().zip(values).for_each(|(y, &x)| *y = bend(x, lambda));
        let (_, std) = super::scaler::moments(&bent);
        let loss = n * std.ln() - (lambda - 1.0) * logs;
        if loss.is_finite() { loss } else { f64::INFINITY }
    };
    let [low, high] = bracket(&mut loss);
    minimum(&mut loss, low, high)
}

/// Two powers with a minimum between them: steps downhill from -2 and 2, each longer by the golden
/// ratio.
fn bracket(loss: &mut dyn FnMut(f64) -> f64) -> [f64; 2] {
    const GROWTH: f64 = 1.618_034;
    let (mut a, mut b) = if loss(-2.0) < loss(2.0) { (2.0, -2.0) } else { (-2.0_f64, 2.0_f64) };
    let mut at_b = loss(b);
    let mut c = b + GROWTH * (b - a);
    let mut at_c = loss(c);
    while at_c < at_b && c.abs() < MOST {
        (a, b, at_b) = (b, c, at_c);
        c = b + GROWTH * (b - a);
        at_c = loss(c);
    }
    [a.min(c), a.max(c)]
}

/// Brent's minimum of a function between two points.
fn minimum(loss: &mut dyn FnMut(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const GOLDEN: f64 = 0.381_966_011_250_105;
    const TOLERANCE: f64 = 1e-9;
    let mut best = low + GOLDEN * (high - low);
    let (mut second, mut third) = (best, best);
    let mut at_best = loss(best);
    let (mut at_second, mut at_third) = (at_best, at_best);
    let (mut step, mut before_last) = (0.0_f64, 0.0_f64);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        let tolerance = TOLERANCE * best.abs() + 1e-11;
        if (best - middle).abs() <= 2.0 * tolerance - 0.5 * (high - low) {
            break;
        }
        let mut golden = true;
        if before_last.abs() > tolerance {
            // The lowest point of the parabola through the three best.
            let r = (best - second) * (at_best - at_third);
            let q = (best - third) * (at_best - at_second);
            let numerator = (best - third) * q - (best - second) * r;
            let denominator = 2.0 * (q - r);
            let parabola = -numerator / denominator;
            let inside = best + parabola > low && best + parabola < high;
            if parabola.is_finite() && inside && parabola.abs() < 0.5 * before_last.abs() {
                (before_last, step, golden) = (step, parabola, false);
            }
        }
        if golden {
            before_last = if best < middle { high - best } else { low - best };
            step = GOLDEN * before_last;
        }
        let moved = if step.abs() >= tolerance { step } else { tolerance.copysign(step) };
        let next = best + moved;
        let at_next = loss(next);
        if at_next <= at_best {
            if next < best {
                high = best
            } else {
                low = best
            }
            (third, at_third) = (second, at_second);
            (second, at_second) = (best, at_best);
            (best, at_best) = (next, at_next);
            continue;
        }
        if next < best {
            low = next
        } else {
            high = next
        }
        if at_next <= at_second || second == best {
            (third, at_third) = (second, at_second);
            (second, at_second) = (next, at_next);
        } else if at_next <= at_third || third == best || third == second {
            (third, at_third) = (next, at_next);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_agree_with_scipy() {
        // from scipy import stats; import numpy as np
        // x = np.arange(1, 40) ** 2 / 10.0; stats.yeojohnson(x)[1]
        // z = np.linspace(-5, 3, 41) ** 3;  stats.yeojohnson(z)[1]        # scipy 1.18
        let x: Vec<f64> = (1..40).map(|i| f64::from(i * i) / 10.0).collect();
        let z: Vec<f64> = (0..41).map(|i| (-5.0 + 0.2 * f64::from(i)).powi(3)).collect();
        for (values, lambda) in [(x, SCIPY[0]), (z, SCIPY[1])] {
            assert!((fit(&values) - lambda).abs() < 1e-6, "{} {lambda}", fit(&values));
        }
    }

    const SCIPY: [f64; 2] = [0.330_297_325_192_019_4, 1.245_239_345_169_347_3];

    #[test]
    fn bending_is_taken_back() {
        for lambda in [-1.5, 0.0, 0.5, 1.0, 2.0, 3.5] {
            for x in [-20.0, -0.3, 0.0, 1e-9, 0.7, 30.0] {
                let back = unbend(bend(x, lambda), lambda);
                assert!((back - x).abs() < 1e-9 * (1.0 + x.abs()), "{lambda} {x} {back}");
            }
        }
        assert!(unbend(10.0, -1.0).is_finite());
    }
}
