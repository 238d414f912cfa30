//! Moments of all training rows of a stream, and the scales that follow from them. What moments
//! don't tell stays as the sample says.

use rayon::prelude::*;

use crate::column::Column;
use crate::preprocess::config::{ColumnPlan, Fill, Numeric, PreprocessConfig};
use crate::preprocess::number::FittedNumber;
use crate::preprocess::scaler::Scaler;
use crate::preprocess::table::{FittedColumn, Role};
use crate::typing::ColumnType;

/// Number, mean, squared deviations, smallest and largest of the values of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ExactMoments {
    n: f64,
    n_missing: f64,
    pub mean: f64,
    squares: f64,
    /// Smallest and largest; meaningless without a value.
    range: [f64; 2],
}

impl ExactMoments {
    /// Adds some rows of each column; columns that aren't numbers are passed over.
    pub(crate) fn add_all(moments: &mut [ExactMoments], columns: &[&Column], rows: &[usize]) {
        moments.par_iter_mut().zip(columns).for_each(|(moments, column)| {
            if let Column::Numbers(values) = column {
                moments.merge(&ExactMoments::of(values, rows));
            }
        });
    }

    fn of(values: &[f64], rows: &[usize]) -> Self {
        let there = || rows.iter().map(|&row| values[row]).filter(|value| !value.is_nan());
        let mut moments =
            ExactMoments { range: [f64::INFINITY, f64::NEG_INFINITY], ..Self::default() };
        for value in there() {
            moments.n += 1.0;
            moments.mean += value;
            moments.range = [moments.range[0].min(value), moments.range[1].max(value)];
        }
        moments.n_missing = rows.len() as f64 - moments.n;
        if moments.n > 0.0 {
            moments.mean /= moments.n;
            moments.squares = there().map(|value| (value - moments.mean).powi(2)).sum();
        }
        moments
    }

    /// Puts two sets of rows together.
    ///
    /// # Source
    /// T. F. Chan, G. H. Golub, R. J. LeVeque: Updating formulae and a pairwise algorithm for
    /// computing sample variances, 1979, Stanford STAN-CS-79-773.
    fn merge(&mut self, other: &ExactMoments) {
        self.n_missing += other.n_missing;
        if other.n == 0.0 {
            return;
        }
        if self.n == 0.0 {
            *self = ExactMoments { n_missing: self.n_missing, ..*other };
            return;
        }
        let n = self.n + other.n;
        let apart = other.mean - self.mean;
        self.mean += apart * other.n / n;
        self.squares += other.squares + apart * apart * self.n * other.n / n;
        self.range = [self.range[0].min(other.range[0]), self.range[1].max(other.range[1])];
        self.n = n;
    }

    /// The moments with every gap filled by a value.
    fn filled(&self, fill: Option<f64>) -> Self {
        let mut filled = ExactMoments { n_missing: 0.0, ..*self };
        if let Some(value) = fill.filter(|_| self.n_missing > 0.0) {
            let gaps = ExactMoments {
                n: self.n_missing,
                mean: value,
                range: [value; 2],
                ..ExactMoments::default()
            };
            filled.merge(&gaps);
        }
        filled
    }
}

impl FittedColumn {
    /// Replaces what the sample said of a column of numbers by what all training rows say.
    pub(crate) fn make_exact(&mut self, moments: &ExactMoments, config: &PreprocessConfig) {
        if self.kind != ColumnType::Numeric || moments.n == 0.0 {
            return;
        }
        let plan = config.column(&self.name);
        let [low, high] = moments.range;
        let varies = match &self.role {
            Role::Constant { .. } => low < high,
            // Two values in the sample, more of them in all rows.
            Role::Binary { .. } => low < 0.0 || high > 1.0,
            _ => false,
        };
        if varies {
            let fill = match &self.role {
                Role::Binary { fill } => *fill,
                Role::Constant { number, .. } => plan.fill.and(*number),
                _ => None,
            };
            self.role =
                Role::Number(FittedNumber::of_sorted(fill, None, &[low, high], plan.numeric));
        }
        if let Role::Number(number) = &mut self.role {
            number.make_exact(moments, &plan);
        }
    }
}

impl FittedNumber {
    fn make_exact(&mut self, moments: &ExactMoments, plan: &ColumnPlan) {
        if plan.fill == Some(Fill::Mean) {
            self.fill = Some(moments.mean);
        }
        if self.clip.is_some() {
            return;
        }
        let filled = moments.filled(self.fill);
        let [low, high] = filled.range;
        let or_one = |spread: f64| if spread == 0.0 { 1.0 } else { spread };
        if let Scaler::Linear { center, spread, .. } = &mut self.scaler {
            match plan.numeric {
                Numeric::Standard => {
                    *center = filled.mean;
                    *spread = or_one((filled.squares / filled.n).sqrt());
                }
                Numeric::MinMax { .. } => (*center, *spread) = (low, or_one(high - low)),
                Numeric::MaxAbs => *spread = or_one(low.abs().max(high.abs())),
                _ => {}
            }
        }
        let [a, b] = [low, high].map(|end| self.scaler.forward(end));
        self.range = [a.min(b), a.max(b)];
    }
}
