//! The one surface of all classifiers: fit on [`FitData`], predict from a matrix.

use std::collections::BTreeMap;
use std::ops::Range;

use hourglass_core::{Interrupt, MatrixView, Progress, Seed};
use rayon::prelude::*;

use crate::Error;

/// What a classifier is fitted on and makes its choices on. Test rows have no place here.
///
/// # Shapes
/// - `train`: `(n_train, n_features)`, `validation`: `(n_validation, n_features)`, finite values
/// - `refit`: `(n_train + n_validation, n_features)`: the training rows, then the validation rows
/// - one class index below `n_classes` for each row
#[derive(Clone, Copy, Debug)]
pub struct FitData<'a> {
    /// Rows to fit on.
    pub train: MatrixView<'a>,
    /// Their classes.
    pub train_classes: &'a [u32],
    /// Rows to make choices on; may be empty where nothing is chosen.
    pub validation: MatrixView<'a>,
    /// Their classes.
    pub validation_classes: &'a [u32],
    /// Training rows, then validation rows: one contiguous part of the caller's matrix, so that the
    /// final fit copies nothing.
    pub refit: MatrixView<'a>,
    /// Their classes.
    pub refit_classes: &'a [u32],
    /// Number of classes, including any without a row.
    pub n_classes: usize,
}

impl<'a> FitData<'a> {
    /// Cuts `refit` into its first `n_train` rows and the rest.
    ///
    /// # Panics
    /// If `n_train` is more than the rows of `refit` or the classes.
    pub fn split(
        refit: MatrixView<'a>,
        refit_classes: &'a [u32],
        n_train: usize,
        n_classes: usize,
    ) -> Self {
        let (train, validation) = refit.split_at(ndarray::Axis(0), n_train);
        let (train_classes, validation_classes) = refit_classes.split_at(n_train);
        FitData {
            train,
            train_classes,
            validation,
            validation_classes,
            refit,
            refit_classes,
            n_classes,
        }
    }

    /// Training rows within `refit`.
    pub(crate) fn train_rows(&self) -> Range<usize> {
        0..self.train.nrows()
    }

    /// Validation rows within `refit`.
    pub(crate) fn validation_rows(&self) -> Range<usize> {
        self.train.nrows()..self.refit.nrows()
    }

    /// Checks everything that every classifier relies on. Each `fit` calls it first.
    ///
    /// # Errors
    /// Parts that don't fit together, fewer training rows than classes, a single class, a class
    /// index too large, a feature that isn't finite.
    pub fn check(&self) -> Result<(), Error> {
        let (n_train, n_features) = self.train.dim();
        let n_validation = self.validation.nrows();
        let shape =
            |what, found: String, expected: String| Err(Error::Shape { what, found, expected });
        if n_features == 0 {
            return shape("train", "no columns".into(), "at least one is".into());
        }
        for (what, matrix, n_rows) in [
            ("train", self.train, n_train),
            ("validation", self.validation, n_validation),
            ("refit", self.refit, n_train + n_validation),
        ] {
            if matrix.ncols() != n_features {
                let found = format!("{} columns", matrix.ncols());
                return shape(what, found, format!("{n_features} are"));
            }
            if matrix.nrows() != n_rows {
                return shape(what, format!("{} rows", matrix.nrows()), format!("{n_rows} are"));
            }
        }
        for (what, classes, n_rows) in [
            ("train_classes", self.train_classes, n_train),
            ("validation_classes", self.validation_classes, n_validation),
            ("refit_classes", self.refit_classes, n_train + n_validation),
        ] {
            if classes.len() != n_rows {
                return shape(what, format!("{} values", classes.len()), format!("{n_rows} are"));
            }
        }
        if self.refit_classes[..n_train] != *self.train_classes
            || self.refit_classes[n_train..] != *self.validation_classes
        {
            let expected = "training rows, then validation rows are".to_owned();
            return shape("refit_classes", "another order".into(), expected);
        }
        let too_large = |class: &u32| *class as usize >= self.n_classes;
        if let Some(row) = self.refit_classes.iter().position(too_large) {
            let class = self.refit_classes[row];
            return Err(Error::UnknownClass { row, class, n_classes: self.n_classes });
        }
        if n_train < self.n_classes.max(2) {
            return Err(Error::TooFewRows { n_rows: n_train, n_classes: self.n_classes });
        }
        let class = self.train_classes[0];
        if self.train_classes.iter().all(|&other| other == class) {
            return Err(Error::SingleClass { n_rows: n_train, class });
        }
        check_finite(self.refit)
    }
}

/// A classifier that isn't fitted yet.
pub trait Estimator: Send + Sync {
    /// Fits, making its choices on the validation rows.
    ///
    /// The result depends on the data and the seed alone, not on the number of rayon threads. It
    /// may borrow the rows (nearest neighbours do), and doesn't copy them.
    ///
    /// # Errors
    /// Those of [`FitData::check`], a value outside its range, [`Error::Interrupted`].
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error>;
}

/// A fitted classifier.
pub trait Fitted: Send + Sync {
    /// The class of each row.
    ///
    /// # Shapes
    /// - `x`: `(n_rows, n_features)`, as wide as the rows fitted on, finite values
    ///
    /// # Errors
    /// Another width, or a feature that isn't finite.
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error>;

    /// What was chosen while fitting, by name: the regularisation, its validation score, the number
    /// of rounds, whether it converged (1) or not (0).
    fn chosen(&self) -> BTreeMap<String, f64>;
}

/// What every `predict` checks first.
pub(crate) fn check_predict(x: MatrixView<'_>, n_features: usize) -> Result<(), Error> {
    if x.ncols() != n_features {
        return Err(Error::Width { expected: n_features, found: x.ncols() });
    }
    check_finite(x)
}

fn check_finite(x: MatrixView<'_>) -> Result<(), Error> {
    let first = x.outer_iter().into_par_iter().with_min_len(512).enumerate().find_map_first(
        |(row, values)| {
            let finite = match values.as_slice() {
                Some(values) => values.iter().fold(true, |all, value| all & value.is_finite()),
                None => values.iter().all(|value| value.is_finite()),
            };
            if finite {
                return None;
            }
            let column = values.iter().position(|value| !value.is_finite())?;
            Some(Error::NotFinite { row, column, value: values[column] })
        },
    );
    first.map_or(Ok(()), Err)
}

pub(crate) fn stop_if_raised(interrupt: &Interrupt) -> Result<(), Error> {
    if interrupt.is_raised() { Err(Error::Interrupted) } else { Ok(()) }
}

/// The index of the largest value, the lowest of several.
pub(crate) fn argmax<T: PartialOrd + Copy>(values: &[T]) -> u32 {
    let mut best = 0;
    for (index, value) in values.iter().enumerate().skip(1) {
        if *value > values[best] {
            best = index;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array, s};

    use super::*;

    fn message(x: &Array2<f32>, classes: &[u32], n_train: usize, n_classes: usize) -> String {
        match FitData::split(x.view(), classes, n_train, n_classes).check() {
            Ok(()) => "fine".to_owned(),
            Err(error) => error.to_string().lines().next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn bad_data_is_named() {
        let x = Array2::from_shape_fn((4, 3), |(row, column)| (row * 3 + column) as f32);
        let mut holed = x.clone();
        holed[[2, 1]] = f32::NAN;
        assert_eq!(message(&x, &[0, 1, 0, 1], 3, 2), "fine");
        assert_eq!(message(&holed, &[0, 1, 0, 1], 3, 2), "the feature in row 2, column 1 is NaN");
        assert_eq!(message(&x, &[0, 0, 0, 1], 3, 2), "all 3 training rows are of class 0");
        assert_eq!(message(&x, &[0, 1, 0, 1], 3, 4), "3 training rows for 4 classes");
        assert_eq!(
            message(&x, &[0, 1, 7, 1], 3, 2),
            "row 2 is of class 7, but there are 2 classes"
        );
    }

    #[test]
    fn parts_that_do_not_fit_are_named() {
        let x = Array2::<f32>::zeros((4, 3));
        let mut data = FitData::split(x.view(), &[0, 1, 0, 1], 3, 2);
        data.refit = x.slice(s![..3, ..]);
        assert_eq!(data.check().unwrap_err().to_string(), "`refit` has 3 rows, but 4 are expected");
    }

    #[test]
    fn the_lowest_of_equal_classes_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(array![2_u32, 2].as_slice().unwrap()), 0);
    }
}
