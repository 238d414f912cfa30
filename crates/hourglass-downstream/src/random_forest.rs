//! Random forest: many deep trees, each on rows drawn with replacement and splits chosen among few
//! columns, whose class shares or mean values are averaged.
//!
//! # Source
//! Breiman, *Random Forests*, Machine Learning 45 (2001). As scikit-learn's
//! `RandomForestClassifier` (Gini impurity, soft vote) and `RandomForestRegressor` with a third of
//! the columns, but splits are searched among at most 255 cuts a column.

use hourglass_core::{Interrupt, Progress, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::forest::{self, MIN_LEAF, Settings};
use crate::regressor::{FittedRegressor, Regressor, ValueData};
use crate::trees::growth::MaxFeatures;
use crate::{Error, Estimator, FitData, Fitted};

/// Random forest, fitted on training and validation rows together.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `n_trees` | 100 | trees | at least 1 |
/// | `max_features` | `"sqrt"`, `"third"` for values | columns looked at for a split; also `"all"`, `{ count = 20 }` | at least 1 |
/// | `max_depth` | none | splits from the root to a leaf at most | at least 1 |
/// | `min_leaf` | chosen | drawn rows in a leaf at least; 1, 3 or 10, chosen on validation, unless given | at least 1 |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct RandomForest {
    /// Trees.
    pub n_trees: usize,
    /// Columns that a split is chosen among; a square root of them for classes and a third for
    /// values unless given.
    pub max_features: Option<MaxFeatures>,
    /// Splits from the root to a leaf at most; unlimited unless given.
    pub max_depth: Option<usize>,
    /// Drawn rows in a leaf at least; chosen unless given.
    pub min_leaf: Option<usize>,
}

impl Default for RandomForest {
    fn default() -> Self {
        RandomForest { n_trees: 100, max_features: None, max_depth: None, min_leaf: None }
    }
}

impl RandomForest {
    pub(crate) const NAME: &'static str = "random_forest";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        self.settings().check()
    }

    /// The leaf sizes that are tried, the usual one first.
    pub(crate) fn candidates(&self) -> Vec<RandomForest> {
        match self.min_leaf {
            Some(_) => vec![self.clone()],
            None => MIN_LEAF.map(|n| RandomForest { min_leaf: Some(n), ..self.clone() }).to_vec(),
        }
    }

    fn settings(&self) -> Settings {
        let RandomForest { n_trees, max_features, max_depth, min_leaf } = *self;
        let (name, is_bagged) = (Self::NAME, true);
        Settings { name, n_trees, max_features, max_depth, min_leaf, is_bagged }
    }
}

impl Estimator for RandomForest {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        forest::fit_classes(&self.settings(), data, seed, progress, interrupt)
    }
}

impl Regressor for RandomForest {
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        seed: Seed,
        progress: &dyn Progress,
        interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
        forest::fit_values(&self.settings(), data, seed, progress, interrupt)
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Matrix, Silent};

    use super::*;

    fn fit_predict(config: &RandomForest, x: &Matrix, classes: &[u32]) -> Vec<u32> {
        let data = FitData::split(x.view(), classes, classes.len(), 3);
        let fitted =
            Estimator::fit(config, &data, Seed::new(5), &Silent, &Interrupt::new()).unwrap();
        fitted.predict(x.view()).unwrap()
    }

    /// Three classes in a pattern that no single cut separates.
    fn stripes(n_rows: usize) -> (Matrix, Vec<u32>) {
        let x = Matrix::from_shape_fn((n_rows, 3), |(row, column)| {
            ((row * [7, 11, 13][column]) % 101) as f32
        });
        let classes = x.outer_iter().map(|row| (row[0] as u32 / 10) % 3).collect();
        (x, classes)
    }

    #[test]
    fn deep_trees_learn_their_rows_by_heart() {
        // 1000 rows go through histograms first, then through sorted rows.
        let (x, classes) = stripes(1000);
        let predicted = fit_predict(&RandomForest::default(), &x, &classes);
        let right = predicted.iter().zip(&classes).filter(|(a, b)| a == b).count();
        assert!(right >= 995, "{right}");
    }

    #[test]
    fn depth_and_leaf_size_are_kept() {
        let (x, classes) = stripes(600);
        let shallow = RandomForest { max_depth: Some(1), ..RandomForest::default() };
        let predicted = fit_predict(&shallow, &x, &classes);
        let right = predicted.iter().zip(&classes).filter(|(a, b)| a == b).count();
        assert!(right < 500, "{right}");
        let stump = RandomForest { min_leaf: Some(600), ..RandomForest::default() };
        let predicted = fit_predict(&stump, &x, &classes);
        assert!(predicted.iter().all(|&class| class == predicted[0]));
    }
}
