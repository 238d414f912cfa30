//! The one surface of all regressors: fit on [`ValueData`], predict numbers from a matrix. What
//! [`crate::Estimator`] is for classes.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, MatrixView, Progress, Seed};

use crate::Error;
use crate::estimator::check_finite;

/// What a regressor is fitted on and makes its choices on. Test rows have no place here.
///
/// # Shapes
/// - `train`: `(n_train, n_features)`, `validation`: `(n_validation, n_features)`, finite values
/// - `refit`: both together, or the training rows alone while candidates are compared
/// - one finite value for each row
#[derive(Clone, Copy, Debug)]
pub struct ValueData<'a> {
    /// Rows to fit on.
    pub train: MatrixView<'a>,
    /// Their values.
    pub train_values: &'a [f32],
    /// Rows to make choices on; may be empty where nothing is chosen.
    pub validation: MatrixView<'a>,
    /// Their values.
    pub validation_values: &'a [f32],
    /// Rows of the last fit.
    pub refit: MatrixView<'a>,
    /// Their values.
    pub refit_values: &'a [f32],
    all: MatrixView<'a>,
    all_values: &'a [f32],
}

impl<'a> ValueData<'a> {
    /// Cuts the rows into their first `n_train` and the rest.
    ///
    /// # Panics
    /// If `n_train` is more than the rows or the values.
    pub fn split(all: MatrixView<'a>, all_values: &'a [f32], n_train: usize) -> Self {
        let (train, validation) = all.split_at(ndarray::Axis(0), n_train);
        let (train_values, validation_values) = all_values.split_at(n_train);
        ValueData {
            train,
            train_values,
            validation,
            validation_values,
            refit: all,
            refit_values: all_values,
            all,
            all_values,
        }
    }

    /// The same, but that the last fit is on the training rows alone.
    pub fn without_refit(self) -> Self {
        ValueData { refit: self.train, refit_values: self.train_values, ..self }
    }

    /// Training rows, then validation rows, whatever the last fit is on.
    pub(crate) fn all_rows(&self) -> MatrixView<'a> {
        self.all
    }

    pub(crate) fn all_values(&self) -> &'a [f32] {
        self.all_values
    }

    /// Mean and standard deviation of the training values; 1 for the latter where all are equal.
    pub(crate) fn location(&self) -> (f32, f32) {
        let n = self.train_values.len() as f64;
        let values = || self.train_values.iter().copied().map(f64::from);
        let mean = values().sum::<f64>() / n;
        let unit = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        (mean as f32, if unit > 0.0 { unit as f32 } else { 1.0 })
    }

    /// Checks everything that every regressor relies on. Each `fit` calls it first.
    ///
    /// # Errors
    /// Parts that don't fit together, fewer than two training rows, a feature or a value that isn't
    /// finite.
    pub fn check(&self) -> Result<(), Error> {
        let shape =
            |what, found: String, expected: String| Err(Error::Shape { what, found, expected });
        if self.train.ncols() == 0 {
            return shape("train", "no columns".into(), "at least one is".into());
        }
        if self.all_values.len() != self.all.nrows() {
            let found = format!("{} values", self.all_values.len());
            return shape("values", found, format!("{} are", self.all.nrows()));
        }
        if self.train.nrows() < 2 {
            return Err(Error::TooFewRows { n_rows: self.train.nrows(), n_classes: 2 });
        }
        if let Some(row) = self.all_values.iter().position(|value| !value.is_finite()) {
            return Err(Error::TargetNotFinite { row, value: self.all_values[row] });
        }
        check_finite(self.all)
    }
}

/// A regressor that isn't fitted yet.
pub trait Regressor: Send + Sync {
    /// Fits, making its choices on the validation rows.
    ///
    /// The result depends on the data and the seed alone, not on the number of rayon threads.
    ///
    /// # Errors
    /// Those of [`ValueData::check`], a value outside its range, [`Error::Interrupted`].
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error>;
}

/// A fitted regressor.
pub trait FittedRegressor: Send + Sync {
    /// The value of each row.
    ///
    /// # Shapes
    /// - `x`: `(n_rows, n_features)`, as wide as the rows fitted on, finite values
    ///
    /// # Errors
    /// Another width, or a feature that isn't finite.
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error>;

    /// What was chosen while fitting, by name.
    fn chosen(&self) -> BTreeMap<String, f64>;

    /// Numbers that the fitted model is made of.
    fn size(&self) -> usize;
}
