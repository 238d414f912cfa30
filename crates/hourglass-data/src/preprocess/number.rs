//! A column of numbers: what fills its gaps, where it is clipped, how it is scaled.

use serde::{Deserialize, Serialize};

use crate::preprocess::config::{ColumnPlan, Fill, Numeric};
use crate::preprocess::scaler::{Scaler, quantile};

/// What was learnt of a column of numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedNumber {
    /// What is put in place of a missing value, or `None` where none is allowed.
    pub fill: Option<f64>,
    /// Smallest and largest value that passes.
    pub clip: Option<[f64; 2]>,
    pub scaler: Scaler,
    /// Smallest and largest scaled training value.
    pub range: [f64; 2],
}

/// Why a column can't be fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unfit {
    /// There is nothing to fill from.
    AllMissing,
}

impl FittedNumber {
    /// Learns from training values; NaN where they are missing. `filled` are the same values with
    /// their gaps filled by the nearest rows, where that is how they are filled.
    pub(crate) fn fit(
        values: &[f64],
        filled: Option<&[f64]>,
        plan: &ColumnPlan,
    ) -> Result<Self, Unfit> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let fill = plan.fill.map(|fill| fill_value(&sorted, fill)).transpose()?;
        let n_gaps = values.len() - sorted.len();
        let clip = plan.clip.filter(|_| !sorted.is_empty());
        let clip = clip.map(|shares| shares.map(|share| quantile(&sorted, share)));
        // What is fitted next is fitted on what comes out of filling and clipping.
        if let Some(filled) = filled {
            sorted = filled.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
        } else if let Some(fill) = fill {
            let at = sorted.partition_point(|&value| value < fill);
            sorted.splice(at..at, std::iter::repeat_n(fill, n_gaps));
        }
        if sorted.is_empty() {
            return Err(Unfit::AllMissing);
        }
        if let Some([low, high]) = clip {
            sorted.iter_mut().for_each(|value| *value = value.clamp(low, high));
        }
        Ok(Self::of_sorted(fill, clip, &sorted, plan.numeric))
    }

    /// Learns the scale of numbers without gaps.
    pub(crate) fn of_sorted(
        fill: Option<f64>,
        clip: Option<[f64; 2]>,
        sorted: &[f64],
        numeric: Numeric,
    ) -> Self {
        let scaler = Scaler::fit(sorted, numeric);
        let [a, b] = [sorted[0], sorted[sorted.len() - 1]].map(|end| scaler.forward(end));
        FittedNumber { fill, clip, scaler, range: [a.min(b), a.max(b)] }
    }

    /// Fills, clips and scales; a gap stays NaN where nothing fills it.
    pub(crate) fn forward(&self, value: f64) -> f64 {
        let value = if value.is_nan() { self.fill.unwrap_or(f64::NAN) } else { value };
        let value = match self.clip {
            Some([low, high]) => value.clamp(low, high),
            None => value,
        };
        self.scaler.forward(value)
    }

    /// The value that all training rows have, where they have only one.
    pub(crate) fn is_constant(&self) -> bool {
        self.range[0] == self.range[1]
    }
}

/// What fills the gaps of a column.
fn fill_value(sorted: &[f64], fill: Fill) -> Result<f64, Unfit> {
    if let Fill::Constant { value } = fill {
        return Ok(f64::from(value));
    }
    if sorted.is_empty() {
        return Err(Unfit::AllMissing);
    }
    Ok(match fill {
        Fill::Median => quantile(sorted, 0.5),
        Fill::MostFrequent => most_frequent(sorted),
        // The mean is what a row without any neighbour gets.
        Fill::Mean | Fill::Nearest { .. } | Fill::Constant { .. } => {
            sorted.iter().sum::<f64>() / sorted.len() as f64
        }
    })
}

/// The longest run of equal values, the smallest where several are as long.
fn most_frequent(sorted: &[f64]) -> f64 {
    let runs = sorted.chunk_by(|a, b| a == b);
    let longest =
        runs.fold(&sorted[..0], |best, run| if run.len() > best.len() { run } else { best });
    longest[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::config::PreprocessConfig;

    fn plan(text: &str) -> ColumnPlan {
        let config: PreprocessConfig = toml::from_str(text).unwrap();
        config.check().unwrap();
        config.column("x")
    }

    const GAP: f64 = f64::NAN;

    #[test]
    fn gaps_are_filled_with_what_training_has() {
        let values = [4.0, GAP, 1.0, 4.0, 1.0, 10.0];
        for (fill, expected) in [
            ("'mean'", 4.0),
            ("'median'", 4.0),
            ("'most_frequent'", 1.0),
            ("{ constant = { value = -7.0 } }", -7.0),
        ] {
            let plan = plan(&format!("missing = {{ fill = {fill} }}"));
            let fitted = FittedNumber::fit(&values, None, &plan).unwrap();
            assert_eq!(fitted.forward(GAP), expected, "{fill}");
        }
        let mean = plan("missing = { fill = 'mean' }");
        assert_eq!(FittedNumber::fit(&[GAP, GAP], None, &mean), Err(Unfit::AllMissing));
        let constant = plan("missing = { fill = { constant = { value = 3.0 } } }");
        assert_eq!(FittedNumber::fit(&[GAP, GAP], None, &constant).unwrap().forward(GAP), 3.0);
    }

    #[test]
    fn clipping_comes_before_scaling() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        let plan = plan("clip = [0.1, 0.9]\nnumeric = { min_max = { range = [0.0, 1.0] } }");
        let fitted = FittedNumber::fit(&values, None, &plan).unwrap();
        assert_eq!(fitted.clip, Some([10.0, 90.0]));
        assert_eq!([-5.0, 50.0, 1e9].map(|value| fitted.forward(value)), [0.0, 0.5, 1.0]);
    }
}
