//! Extremely randomised trees: as a random forest, but each tree sees all rows, and a column is cut
//! at a random place.
//!
//! # Source
//! Geurts, Ernst and Wehenkel, *Extremely Randomized Trees*, Machine Learning 63 (2006). As
//! scikit-learn's `ExtraTreesClassifier`, but that the random place is one of at most 255 cuts, so
//! that it is uniform over the ranks of the values rather than over the values.

use hourglass_core::{Interrupt, Progress, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::forest::{self, MIN_LEAF, Settings};
use crate::regressor::{FittedRegressor, Regressor, ValueData};
use crate::trees::growth::MaxFeatures;
use crate::{Error, Estimator, FitData, Fitted};

/// Extremely randomised trees, fitted on training and validation rows together.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `n_trees` | 100 | trees | at least 1 |
/// | `max_features` | `"sqrt"`, `"third"` for values | columns looked at for a split; also `"all"`, `{ count = 20 }` | at least 1 |
/// | `max_depth` | none | splits from the root to a leaf at most | at least 1 |
/// | `min_leaf` | chosen | drawn rows in a leaf at least; 1, 3 or 10, chosen on validation, unless given | at least 1 |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct ExtraTrees {
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

impl Default for ExtraTrees {
    fn default() -> Self {
        ExtraTrees { n_trees: 100, max_features: None, max_depth: None, min_leaf: None }
    }
}

impl ExtraTrees {
    pub(crate) const NAME: &'static str = "extra_trees";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        self.settings().check()
    }

    /// The leaf sizes that are tried, the usual one first.
    pub(crate) fn candidates(&self) -> Vec<ExtraTrees> {
        match self.min_leaf {
            Some(_) => vec![self.clone()],
            None => MIN_LEAF.map(|n| ExtraTrees { min_leaf: Some(n), ..self.clone() }).to_vec(),
        }
    }

    fn settings(&self) -> Settings {
        let ExtraTrees { n_trees, max_features, max_depth, min_leaf } = *self;
        let (name, is_bagged) = (Self::NAME, false);
        Settings { name, n_trees, max_features, max_depth, min_leaf, is_bagged }
    }
}

impl Estimator for ExtraTrees {
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

impl Regressor for ExtraTrees {
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
