//! What pipelines measure on validation rows, repeat by repeat, and how far two of them are apart.
//! Both see the same splits and seeds, so that differences are paired.

use hourglass_data::PreprocessConfig;
use hourglass_downstream::{Metric, statistics};
use serde::Serialize;

/// What a pipeline measures on the validation rows of each repeat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measures {
    pub(crate) metric: Metric,
    /// Of the first downstream model on the autoencoder's features, or on the first set that is
    /// trained where these are not compared.
    pub(crate) scores: Vec<f64>,
    /// Of the same model on raw columns.
    pub(crate) raw_scores: Vec<f64>,
    /// Squared error of the reconstruction over that of the mean of the training rows.
    pub(crate) reconstruction: Vec<f64>,
    /// The same of each column, at most 1, in the mean over the columns.
    pub(crate) by_column: Vec<f64>,
    /// How the columns were prepared.
    pub(crate) preprocess: PreprocessConfig,
    pub(crate) n_train: usize,
    pub(crate) n_validation: usize,
}

/// A mean over repeats, with its 95 % interval where there are two or more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimated {
    /// The mean.
    pub mean: f64,
    /// Ends of the interval: Nadeau and Bengio's corrected resampled t, as each repeat splits the
    /// same rows anew.
    pub interval: Option<[f64; 2]>,
}

impl Estimated {
    /// Whether the whole interval is above zero; without one nobody can say.
    pub fn is_above_zero(self) -> bool {
        self.interval.is_some_and(|[low, _]| low > 0.0)
    }

    /// Whether the whole interval is below zero.
    pub fn is_below_zero(self) -> bool {
        self.interval.is_some_and(|[_, high]| high < 0.0)
    }
}

impl Measures {
    /// Whether every reconstruction gave a number.
    pub(crate) fn is_finite(&self) -> bool {
        self.reconstruction.iter().all(|error| error.is_finite())
    }

    pub(crate) fn score(&self) -> Estimated {
        self.estimated(&self.scores)
    }

    pub(crate) fn mean_error(&self) -> Estimated {
        self.estimated(&self.reconstruction)
    }

    /// What the trained features score above raw columns; positive is better.
    pub(crate) fn gain(&self) -> Estimated {
        self.up(self.difference(&self.scores, &self.raw_scores))
    }

    /// What this scores above another; positive is better. `None` where the scores are of another
    /// kind.
    pub(crate) fn score_above(&self, other: &Measures) -> Option<Estimated> {
        (self.metric == other.metric).then(|| self.up(self.difference(&self.scores, &other.scores)))
    }

    /// How much smaller the error is than another's; positive is better.
    pub(crate) fn error_below(&self, other: &Measures) -> Estimated {
        self.difference(other.errors_beside(self), self.errors_beside(other))
    }

    /// The mean of the errors that are compared with another's.
    pub(crate) fn mean_error_beside(&self, other: &Measures) -> f64 {
        self.estimated(self.errors_beside(other)).mean
    }

    /// The errors that can be compared with another's. A sum over columns that were prepared
    /// otherwise weighs them otherwise: there each column counts alike, as a share of its own
    /// variance.
    fn errors_beside(&self, other: &Measures) -> &[f64] {
        if self.preprocess == other.preprocess { &self.reconstruction } else { &self.by_column }
    }

    fn up(&self, difference: Estimated) -> Estimated {
        if self.metric.higher_is_better() {
            return difference;
        }
        let interval = difference.interval.map(|[low, high]| [-high, -low]);
        Estimated { mean: -difference.mean, interval }
    }

    fn estimated(&self, values: &[f64]) -> Estimated {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let found = statistics::estimate_resampled(values, self.n_train, self.n_validation).ok();
        let interval = found.filter(|found| found.ci_low.is_finite());
        Estimated { mean, interval: interval.map(|found| [found.ci_low, found.ci_high]) }
    }

    /// Of the repeats that both have.
    fn difference(&self, with: &[f64], without: &[f64]) -> Estimated {
        let differences: Vec<f64> = with.iter().zip(without).map(|(a, b)| a - b).collect();
        self.estimated(&differences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measures(metric: Metric, scores: &[f64]) -> Measures {
        Measures {
            metric,
            scores: scores.to_vec(),
            raw_scores: vec![0.5; scores.len()],
            reconstruction: scores.iter().map(|score| 1.0 - score).collect(),
            by_column: vec![0.5; scores.len()],
            preprocess: PreprocessConfig::default(),
            n_train: 100,
            n_validation: 50,
        }
    }

    #[test]
    fn better_is_positive_whatever_the_metric() {
        let (low, high) = ([0.6, 0.61, 0.62], [0.8, 0.82, 0.81]);
        let up = |metric| measures(metric, &high).score_above(&measures(metric, &low)).unwrap();
        assert!(up(Metric::Accuracy).is_above_zero() && up(Metric::Rmse).is_below_zero());
        let accuracy = |scores: &[f64]| measures(Metric::Accuracy, scores);
        assert!(accuracy(&high).error_below(&accuracy(&low)).is_above_zero());
        assert!((accuracy(&high).gain().mean - 0.31).abs() < 1e-12);
        assert_eq!(measures(Metric::Rmse, &high).score_above(&accuracy(&low)), None);
    }

    #[test]
    fn columns_that_were_prepared_otherwise_are_compared_one_by_one() {
        let (wide, mut scaled) =
            (measures(Metric::Accuracy, &[0.9; 3]), measures(Metric::Accuracy, &[0.7; 3]));
        assert!(scaled.error_below(&wide).mean < 0.0);
        scaled.preprocess.numeric = hourglass_data::Numeric::Standard;
        scaled.by_column = vec![0.3; 3];
        assert!((scaled.error_below(&wide).mean - 0.2).abs() < 1e-12);
        assert!((scaled.mean_error_beside(&wide) - 0.3).abs() < 1e-12);
    }

    #[test]
    fn one_repeat_has_no_interval_and_other_lengths_share_what_they_can() {
        let one = measures(Metric::Accuracy, &[0.7]);
        assert_eq!(one.score().interval, None);
        assert!(!one.gain().is_above_zero() && one.gain().mean > 0.0);
        let three = measures(Metric::Accuracy, &[0.8, 0.0, 0.0]);
        assert!((three.score_above(&one).unwrap().mean - 0.1).abs() < 1e-12);
    }
}
