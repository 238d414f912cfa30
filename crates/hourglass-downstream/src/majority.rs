//! The most frequent class or the mean value, whatever the features: the floor that any other model
//! must beat.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimator::{argmax, check_predict};
use crate::regressor::{FittedRegressor, Regressor, ValueData};
use crate::{Error, Estimator, FitData, Fitted};

/// Predicts the most frequent class of the training and validation rows, the lowest of several
/// (scikit-learn's `DummyClassifier(strategy="most_frequent")`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Majority {}

impl Estimator for Majority {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        _seed: Seed,
        _progress: &dyn Progress,
        _interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        data.check()?;
        let mut sums = vec![0.0_f32; data.n_classes];
        for &class in data.refit_classes {
            sums[class as usize] += data.class_weight(class);
        }
        let total: f32 = sums.iter().sum();
        let shares = sums.iter().map(|sum| sum / total).collect();
        Ok(Box::new(FittedMajority { shares, n_features: data.train.ncols() }))
    }
}

struct FittedMajority {
    /// Share of each class.
    shares: Vec<f32>,
    n_features: usize,
}

impl Fitted for FittedMajority {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        check_predict(x, self.n_features)?;
        Ok(Matrix::from_shape_fn((x.nrows(), self.shares.len()), |(_, class)| self.shares[class]))
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        let class = argmax(&self.shares);
        BTreeMap::from([
            ("class".to_owned(), f64::from(class)),
            ("share".to_owned(), f64::from(self.shares[class as usize])),
        ])
    }

    fn size(&self) -> usize {
        self.shares.len()
    }
}

/// Predicts the mean of the training and validation values (scikit-learn's
/// `DummyRegressor(strategy="mean")`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Mean {}

impl Regressor for Mean {
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        _seed: Seed,
        _progress: &dyn Progress,
        _interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
        data.check()?;
        let sum: f64 = data.refit_values.iter().copied().map(f64::from).sum();
        let mean = (sum / data.refit_values.len() as f64) as f32;
        Ok(Box::new(FittedMean { mean, n_features: data.train.ncols() }))
    }
}

struct FittedMean {
    mean: f32,
    n_features: usize,
}

impl FittedRegressor for FittedMean {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        check_predict(x, self.n_features)?;
        Ok(vec![self.mean; x.nrows()])
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([("mean".to_owned(), f64::from(self.mean))])
    }

    fn size(&self) -> usize {
        1
    }
}
