//! Gaussian naive Bayes: every column of a class is normal, whatever the other columns are.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use ndarray::{Array2, Zip};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::require;
use crate::estimator::check_predict;
use crate::{Error, Estimator, FitData, Fitted};

/// Shares of the largest variance that are tried, the usual one first.
const SMOOTHING: [f64; 5] = [1e-9, 1e-6, 1e-3, 1e-2, 1e-1];

/// Gaussian naive Bayes, fitted on training and validation rows together.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `smoothing` | chosen | share of the largest column variance that is added to every variance; 1e-9, 1e-6, 1e-3, 0.01 or 0.1, chosen on validation, unless given | positive |
///
/// # Source
/// scikit-learn's `GaussianNB`, whose `var_smoothing` is 1e-9.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct NaiveBayes {
    /// Share of the largest variance that is added to every one; chosen unless given.
    pub smoothing: Option<f64>,
}

impl NaiveBayes {
    pub(crate) const NAME: &'static str = "naive_bayes";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] where `smoothing` isn't positive.
    pub fn check(&self) -> Result<(), Error> {
        let smoothing = self.smoothing.unwrap_or(SMOOTHING[0]);
        let holds = smoothing > 0.0 && smoothing.is_finite();
        require(holds, Self::NAME, "smoothing", smoothing, "positive and finite")
    }

    /// The values that are tried, the usual one first.
    pub(crate) fn candidates(&self) -> Vec<NaiveBayes> {
        match self.smoothing {
            Some(_) => vec![self.clone()],
            None => SMOOTHING.map(|share| NaiveBayes { smoothing: Some(share) }).to_vec(),
        }
    }
}

impl Estimator for NaiveBayes {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        _seed: Seed,
        _progress: &dyn Progress,
        _interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        self.check()?;
        data.check()?;
        let (n_classes, n_features) = (data.n_classes, data.refit.ncols());
        let mut counts = vec![0.0_f64; n_classes];
        let mut means = Array2::<f64>::zeros((n_classes, n_features));
        let rows = || data.refit.outer_iter().zip(data.refit_classes);
        for (row, &class) in rows() {
            counts[class as usize] += 1.0;
            let mut mean = means.row_mut(class as usize);
            mean.zip_mut_with(&row, |sum, &value| *sum += f64::from(value));
        }
        for (mut mean, &count) in means.outer_iter_mut().zip(&counts) {
            mean /= count.max(1.0);
        }
        let mut variances = Array2::<f64>::zeros((n_classes, n_features));
        for (row, &class) in rows() {
            Zip::from(variances.row_mut(class as usize))
                .and(means.row(class as usize))
                .and(row)
                .for_each(|sum, &mean, &value| *sum += (f64::from(value) - mean).powi(2));
        }
        for (mut variance, &count) in variances.outer_iter_mut().zip(&counts) {
            variance /= count.max(1.0);
        }
        let smoothing = self.smoothing.unwrap_or(SMOOTHING[0]);
        let largest = hourglass_core::ColumnMoments::of(data.refit)
            .std
            .iter()
            .fold(0.0_f64, |most, std| most.max(std * std));
        // Columns that are all constant have no variance to take a share of.
        let added = if largest > 0.0 { smoothing * largest } else { smoothing };
        variances += added;
        let weighted: Vec<f64> = counts
            .iter()
            .zip(0..)
            .map(|(count, class)| count * f64::from(data.class_weight(class)))
            .collect();
        let total: f64 = weighted.iter().sum();
        let priors = weighted.iter().map(|weight| (weight / total).ln()).collect();
        Ok(Box::new(FittedBayes { priors, means, variances, smoothing }))
    }
}

struct FittedBayes {
    /// Logarithm of each class's share; minus infinity for one without rows.
    priors: Vec<f64>,
    means: Array2<f64>,
    variances: Array2<f64>,
    smoothing: f64,
}

impl Fitted for FittedBayes {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        check_predict(x, self.means.ncols())?;
        let scale: Vec<f64> =
            self.variances.outer_iter().map(|row| row.iter().map(|v| v.ln()).sum()).collect();
        let mut scores = Matrix::zeros((x.nrows(), self.priors.len()));
        for (row, mut target) in x.outer_iter().zip(scores.outer_iter_mut()) {
            let log: Vec<f64> = (0..self.priors.len())
                .map(|class| {
                    let squares = Zip::from(row)
                        .and(self.means.row(class))
                        .and(self.variances.row(class))
                        .fold(0.0, |sum, &value, &mean, &variance| {
                            sum + (f64::from(value) - mean).powi(2) / variance
                        });
                    self.priors[class] - 0.5 * (scale[class] + squares)
                })
                .collect();
            let largest = log.iter().fold(f64::NEG_INFINITY, |most, &l| most.max(l));
            let sum: f64 = log.iter().map(|l| (l - largest).exp()).sum();
            for (score, l) in target.iter_mut().zip(&log) {
                *score = ((l - largest).exp() / sum) as f32;
            }
        }
        Ok(scores)
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([("smoothing".to_owned(), self.smoothing)])
    }

    fn size(&self) -> usize {
        self.priors.len() + self.means.len() + self.variances.len()
    }
}
