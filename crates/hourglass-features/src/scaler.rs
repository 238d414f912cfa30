//! Scaling of features, fitted on training rows.

use hourglass_core::{ColumnMoments, MatrixView};
use ndarray::ArrayViewMut2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Scale};

/// A fitted scaler: `(x - shift) * factor`, column by column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    shift: Vec<f32>,
    factor: Vec<f32>,
}

impl Scaler {
    /// Fits on training rows.
    ///
    /// # Shapes
    /// - `train`: `(n_rows, n_features)`, finite values
    ///
    /// # Errors
    /// [`Error::TooFewRows`] if there is no row.
    pub fn fit(train: MatrixView<'_>, scale: Scale) -> Result<Self> {
        if train.nrows() == 0 {
            return Err(Error::TooFewRows { what: "the scaler", needed: 1, found: 0 });
        }
        let n_features = train.ncols();
        let scaler = match scale {
            Scale::None => Scaler { shift: vec![0.0; n_features], factor: vec![1.0; n_features] },
            Scale::Standard => {
                let moments = ColumnMoments::of(train);
                // A constant column has no scale; it is centred to 0 and left so.
                let factor = |&std: &f64| if std > 0.0 { (1.0 / std) as f32 } else { 1.0 };
                Scaler {
                    shift: moments.mean.iter().map(|&mean| mean as f32).collect(),
                    factor: moments.std.iter().map(factor).collect(),
                }
            }
            Scale::Global => {
                let moments = ColumnMoments::of(train);
                let variance =
                    moments.std.iter().map(|std| std * std).sum::<f64>() / n_features as f64;
                let factor = if variance > 0.0 { (1.0 / variance.sqrt()) as f32 } else { 1.0 };
                Scaler { shift: vec![0.0; n_features], factor: vec![factor; n_features] }
            }
        };
        Ok(scaler)
    }

    /// Scales rows in place.
    ///
    /// # Shapes
    /// - `rows`: `(n_rows, n_features)`
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn transform(&self, mut rows: ArrayViewMut2<'_, f32>) -> Result<()> {
        let (expected, found) = (self.shift.len(), rows.ncols());
        if expected != found {
            return Err(Error::Width { what: "the scaler", expected, found });
        }
        rows.outer_iter_mut().into_par_iter().for_each(|mut row| {
            for (value, (shift, factor)) in row.iter_mut().zip(self.shift.iter().zip(&self.factor))
            {
                *value = (*value - shift) * factor;
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn scales_as_documented() {
        let train = array![[0.0_f32, 5.0, 1.0], [2.0, 5.0, 3.0]];
        let table = [
            (Scale::None, array![[0.0_f32, 5.0, 1.0], [2.0, 5.0, 3.0]]),
            (Scale::Standard, array![[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]]),
            // Column variances 1, 0, 1: one factor, sqrt(3 / 2).
            (Scale::Global, array![[0.0, 5.0, 1.0], [2.0, 5.0, 3.0]] * 1.5_f32.sqrt()),
        ];
        for (scale, expected) in table {
            let scaler = Scaler::fit(train.view(), scale).unwrap();
            let mut rows = train.clone();
            scaler.transform(rows.view_mut()).unwrap();
            let error = (&rows - &expected).fold(0.0_f32, |worst, e| worst.max(e.abs()));
            assert!(error < 1e-6, "{scale:?}: {rows}");
        }
        let scaler = Scaler::fit(train.view(), Scale::Standard).unwrap();
        let error = scaler.transform(array![[1.0_f32]].view_mut()).unwrap_err().to_string();
        assert_eq!(error, "the matrix has 1 columns, but the scaler was fitted on 3");
    }
}
