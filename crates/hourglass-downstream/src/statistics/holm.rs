//! Holm's correction over a family of comparisons.
//!
//! # Source
//! Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, Scandinavian Journal of
//! Statistics 6 (1979).

use super::{Comparison, Mark};

/// Holm's correction over a family of comparisons: sets `p_holm` and `mark` of each.
pub fn holm(family: &mut [Comparison]) {
    let mut order: Vec<usize> = (0..family.len()).collect();
    order.sort_by(|&a, &b| family[a].p_value.total_cmp(&family[b].p_value));
    let mut largest = 0.0_f64;
    for (rank, &index) in order.iter().enumerate() {
        let corrected = family[index].p_value * (family.len() - rank) as f64;
        largest = largest.max(corrected.min(1.0));
        family[index].p_holm = largest;
        family[index].mark = Mark::of(family[index].difference, largest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::close;
    use super::*;

    #[test]
    fn holm_agrees_with_its_definition() {
        // statsmodels' multipletests(p, method="holm"): p sorted, times m, m - 1, ..., running
        // maximum
        let of = |p_value: f64, difference: f64| Comparison {
            difference,
            ci_low: 0.0,
            ci_high: 0.0,
            standard_error: 1.0,
            freedom: 1.0,
            p_value,
            p_holm: p_value,
            mark: Mark::Same,
        };
        let mut family =
            [of(0.03, 1.0), of(0.01, -1.0), of(0.005, 1.0), of(0.4, 1.0), of(0.02, 1.0)];
        holm(&mut family);
        let expected = [0.06, 0.04, 0.025, 0.4, 0.06];
        family.iter().zip(expected).for_each(|(c, e)| close(c.p_holm, e));
        assert_eq!(
            family.map(|comparison| comparison.mark),
            [Mark::Same, Mark::Worse, Mark::Better, Mark::Same, Mark::Same]
        );
    }
}
