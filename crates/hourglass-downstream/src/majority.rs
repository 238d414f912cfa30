//! The most frequent class, whatever the features: the floor that any classifier must beat.

use std::collections::BTreeMap;

use hourglass_core::{Interrupt, MatrixView, Progress, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimator::{argmax, check_predict};
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
        let mut counts = vec![0_usize; data.n_classes];
        data.refit_classes.iter().for_each(|&class| counts[class as usize] += 1);
        let class = argmax(&counts);
        let share = counts[class as usize] as f64 / data.refit_classes.len() as f64;
        Ok(Box::new(FittedMajority { class, share, n_features: data.train.ncols() }))
    }
}

struct FittedMajority {
    class: u32,
    share: f64,
    n_features: usize,
}

impl Fitted for FittedMajority {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<u32>, Error> {
        check_predict(x, self.n_features)?;
        Ok(vec![self.class; x.nrows()])
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([
            ("class".to_owned(), f64::from(self.class)),
            ("share".to_owned(), self.share),
        ])
    }
}
