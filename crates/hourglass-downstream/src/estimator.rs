//! The one surface of all classifiers: fit on [`FitData`], predict from a matrix.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use rayon::prelude::*;

use crate::Error;

/// What a classifier is fitted on and makes its choices on. Test rows have no place here.
///
/// # Shapes
/// - `train`: `(n_train, n_features)`, `validation`: `(n_validation, n_features)`, finite values
/// - `refit`: `(n_train + n_validation, n_features)`: the training rows, then the validation rows;
///   the training rows alone while candidates are compared ([`FitData::without_refit`])
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
    /// How much a row of each class counts while fitting; all the same unless given. Scores on
    /// validation, by which choices are made, are not weighted.
    pub class_weights: Option<&'a [f32]>,
    all: MatrixView<'a>,
    all_classes: &'a [u32],
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
            class_weights: None,
            all: refit,
            all_classes: refit_classes,
        }
    }

    /// The same with a weight for each class.
    pub fn weighted(self, class_weights: Option<&'a [f32]>) -> Self {
        FitData { class_weights, ..self }
    }

    /// The same, but that the last fit is on the training rows alone, so that its predictions of
    /// the validation rows are honest.
    pub fn without_refit(self) -> Self {
        FitData { refit: self.train, refit_classes: self.train_classes, ..self }
    }

    /// Training rows, then validation rows, whatever the last fit is on.
    pub(crate) fn all_rows(&self) -> MatrixView<'a> {
        self.all
    }

    pub(crate) fn all_classes(&self) -> &'a [u32] {
        self.all_classes
    }

    /// Weight of each of the rows, or `None` where all count the same.
    pub(crate) fn row_weights(&self) -> Option<Vec<f32>> {
        let weights = self.class_weights?;
        Some(self.all_classes.iter().map(|&class| weights[class as usize]).collect())
    }

    /// How much a row of a class counts.
    pub(crate) fn class_weight(&self, class: u32) -> f32 {
        self.class_weights.map_or(1.0, |weights| weights[class as usize])
    }

    /// Checks everything that every classifier relies on. Each `fit` calls it first.
    ///
    /// # Errors
    /// Parts that don't fit together, fewer training rows than classes, a single class, a class
    /// index too large, a feature that isn't finite.
    pub fn check(&self) -> Result<(), Error> {
        let (n_train, n_features) = self.train.dim();
        let n_all = n_train + self.validation.nrows();
        let shape =
            |what, found: String, expected: String| Err(Error::Shape { what, found, expected });
        if n_features == 0 {
            return shape("train", "no columns".into(), "at least one is".into());
        }
        let n_refit = if self.refit.nrows() == n_train { n_train } else { n_all };
        for (what, matrix, n_rows) in
            [("validation", self.validation, n_all - n_train), ("refit", self.refit, n_refit)]
        {
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
            ("validation_classes", self.validation_classes, n_all - n_train),
            ("refit_classes", self.refit_classes, n_refit),
        ] {
            if classes.len() != n_rows {
                return shape(what, format!("{} values", classes.len()), format!("{n_rows} are"));
            }
        }
        if let Some(weights) = self.class_weights {
            let fine = |weight: &f32| weight.is_finite() && *weight > 0.0;
            if weights.len() != self.n_classes || !weights.iter().all(fine) {
                let expected = format!("{} positive ones are", self.n_classes);
                return shape("class_weights", format!("{} values", weights.len()), expected);
            }
        }
        let too_large = |class: &u32| *class as usize >= self.n_classes;
        if let Some(row) = self.all_classes.iter().position(too_large) {
            let class = self.all_classes[row];
            return Err(Error::UnknownClass { row, class, n_classes: self.n_classes });
        }
        if n_train < self.n_classes.max(2) {
            return Err(Error::TooFewRows { n_rows: n_train, n_classes: self.n_classes });
        }
        let class = self.train_classes[0];
        if self.train_classes.iter().all(|&other| other == class) {
            return Err(Error::SingleClass { n_rows: n_train, class });
        }
        check_finite(self.all)
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
    /// A score of each row for each class, more for what is more likely: probabilities that sum to
    /// 1 where [`Fitted::gives_probabilities`].
    ///
    /// # Shapes
    /// - `x`: `(n_rows, n_features)`, as wide as the rows fitted on, finite values
    /// - returns: `(n_rows, n_classes)`
    ///
    /// # Errors
    /// Another width, or a feature that isn't finite.
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error>;

    /// The class of each row: the one with the largest score, the lowest of several.
    ///
    /// # Shapes
    /// - `x`: as for [`Fitted::scores`]
    ///
    /// # Errors
    /// As [`Fitted::scores`].
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error> {
        Ok(largest(self.scores(x)?.view()))
    }

    /// Whether the scores are probabilities.
    fn gives_probabilities(&self) -> bool {
        true
    }

    /// What was chosen while fitting, by name: the regularisation, its validation score, the number
    /// of rounds, whether it converged (1) or not (0).
    fn chosen(&self) -> BTreeMap<String, f64>;

    /// Numbers that the fitted model is made of: weights, nodes of trees, values of kept rows.
    fn size(&self) -> usize;
}

/// The column of each row's largest score, the lowest of several.
pub(crate) fn largest(scores: MatrixView<'_>) -> Vec<u32> {
    let row_largest = |row: ndarray::ArrayView1<'_, f32>| match row.to_slice() {
        Some(row) => argmax(row),
        None => argmax(&row.to_vec()),
    };
    scores.outer_iter().map(row_largest).collect()
}

/// What every `predict` checks first.
pub(crate) fn check_predict(x: MatrixView<'_>, n_features: usize) -> Result<(), Error> {
    if x.ncols() != n_features {
        return Err(Error::Width { expected: n_features, found: x.ncols() });
    }
    check_finite(x)
}

pub(crate) fn check_finite(x: MatrixView<'_>) -> Result<(), Error> {
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
        data.refit = x.slice(s![..2, ..]);
        assert_eq!(data.check().unwrap_err().to_string(), "`refit` has 2 rows, but 4 are expected");
    }

    #[test]
    fn the_lowest_of_equal_classes_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(array![2_u32, 2].as_slice().unwrap()), 0);
    }
}
