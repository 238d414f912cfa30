//! Nearest neighbours by brute force: products of blocks give the distances, and only the nearest
//! few are kept. No tree and no index: with hundreds of columns they are slower and approximate.

use std::collections::BTreeMap;

use hourglass_core::linalg::block_product;
use hourglass_core::{Interrupt, Matrix, MatrixView, Progress, Seed};
use ndarray::{ArrayView1, Axis, s};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::require;
use crate::estimator::check_predict;
use crate::regressor::{FittedRegressor, Regressor, ValueData};
use crate::{Error, Estimator, FitData, Fitted};

/// Rows to predict in a block; with [`KNOWN`] the block of products is 512 KiB, which stays in a
/// core's second-level cache while it is searched.
const ASKED: usize = 128;

/// Fitted rows in a block.
const KNOWN: usize = 1024;

/// The usual number of neighbours.
const USUAL: usize = 5;

/// Distances compared with the furthest neighbour at a time.
const LANES: usize = 32;

/// The majority of the `k` nearest training and validation rows, by Euclidean distance; the mean of
/// their values where values are predicted.
///
/// | name | default | meaning | range |
/// |---|---|---|---|
/// | `k` | chosen | neighbours that vote; 1, 3, 5, 9 or 15, chosen on validation, unless given | 1 to the number of rows |
///
/// A vote counts as the class's weight. Of equally distant rows the one with the lower index is
/// nearer; of equally frequent classes the lower wins. Distances are `|a|^2 + |b|^2 - 2ab` in
/// `f32`, so that distances that agree in about six digits of the squared lengths count as equal.
///
/// # Source
/// scikit-learn's `KNeighborsClassifier(algorithm="brute", weights="uniform")`, with the same rule
/// for equally frequent classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct Knn {
    /// Neighbours that vote; chosen unless given.
    pub k: Option<usize>,
}

impl Knn {
    pub(crate) const NAME: &'static str = "knn";

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Config`] where `k` is 0.
    pub fn check(&self) -> Result<(), Error> {
        let k = self.k.unwrap_or(USUAL);
        require(k >= 1, Self::NAME, "k", k, "at least 1")
    }

    /// The values of `k` that are tried, the usual one first.
    pub(crate) fn candidates(&self, n_train: usize) -> Vec<Knn> {
        match self.k {
            Some(_) => vec![self.clone()],
            None => [USUAL, 1, 3, 9, 15]
                .into_iter()
                .filter(|&k| k <= n_train.max(1))
                .map(|k| Knn { k: Some(k) })
                .collect(),
        }
    }

    fn neighbours<'a>(&self, rows: MatrixView<'a>) -> Result<Neighbours<'a>, Error> {
        self.check()?;
        let k = self.k.unwrap_or(USUAL.min(rows.nrows()));
        let expected = "at most the number of training and validation rows";
        require(k <= rows.nrows(), Self::NAME, "k", k, expected)?;
        let squares = rows.outer_iter().into_par_iter().map(square).collect();
        Ok(Neighbours { k, rows, squares })
    }
}

impl Estimator for Knn {
    fn fit<'a>(
        &self,
        data: &FitData<'a>,
        _seed: Seed,
        _progress: &dyn Progress,
        _interrupt: &Interrupt,
    ) -> Result<Box<dyn Fitted + 'a>, Error> {
        data.check()?;
        Ok(Box::new(FittedKnn {
            known: self.neighbours(data.refit)?,
            classes: data.refit_classes,
            weights: (0..data.n_classes as u32).map(|class| data.class_weight(class)).collect(),
        }))
    }
}

impl Regressor for Knn {
    fn fit<'a>(
        &self,
        data: &ValueData<'a>,
        _seed: Seed,
        _progress: &dyn Progress,
        _interrupt: &Interrupt,
    ) -> Result<Box<dyn FittedRegressor + 'a>, Error> {
        data.check()?;
        Ok(Box::new(ValueKnn { known: self.neighbours(data.refit)?, values: data.refit_values }))
    }
}

struct FittedKnn<'a> {
    known: Neighbours<'a>,
    classes: &'a [u32],
    /// What a vote for each class counts.
    weights: Vec<f32>,
}

impl Fitted for FittedKnn<'_> {
    fn scores(&self, x: MatrixView<'_>) -> Result<Matrix, Error> {
        let n_classes = self.weights.len();
        let shares = self.known.map(x, |nearest| {
            let mut votes = vec![0.0_f32; n_classes];
            for &(_, row) in &nearest.rows {
                let class = self.classes[row as usize] as usize;
                votes[class] += self.weights[class];
            }
            let sum: f32 = votes.iter().sum();
            votes.iter_mut().for_each(|vote| *vote /= sum);
            votes
        })?;
        Ok(Matrix::from_shape_vec((x.nrows(), n_classes), shares.concat())
            .expect("one share a row and class"))
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([("k".to_owned(), self.known.k as f64)])
    }

    fn size(&self) -> usize {
        self.known.rows.len()
    }
}

struct ValueKnn<'a> {
    known: Neighbours<'a>,
    values: &'a [f32],
}

impl FittedRegressor for ValueKnn<'_> {
    fn predict(&self, x: MatrixView<'_>) -> Result<Vec<f32>, Error> {
        self.known.map(x, |nearest| {
            let sum: f64 =
                nearest.rows.iter().map(|&(_, r)| f64::from(self.values[r as usize])).sum();
            (sum / nearest.rows.len() as f64) as f32
        })
    }

    fn chosen(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([("k".to_owned(), self.known.k as f64)])
    }

    fn size(&self) -> usize {
        self.known.rows.len()
    }
}

/// The rows to search in.
struct Neighbours<'a> {
    k: usize,
    rows: MatrixView<'a>,
    /// Squared length of each row.
    squares: Vec<f32>,
}

impl Neighbours<'_> {
    /// What `result` makes of each row's neighbours.
    fn map<T: Send>(
        &self,
        x: MatrixView<'_>,
        result: impl Fn(&Nearest) -> T + Sync,
    ) -> Result<Vec<T>, Error> {
        check_predict(x, self.rows.ncols())?;
        let blocks: Vec<Vec<T>> = x
            .axis_chunks_iter(Axis(0), ASKED)
            .into_par_iter()
            .map(|asked| self.search(asked).iter().map(&result).collect())
            .collect();
        Ok(blocks.into_iter().flatten().collect())
    }

    fn search(&self, asked: MatrixView<'_>) -> Vec<Nearest> {
        let mut nearest: Vec<Nearest> = asked.outer_iter().map(|_| Nearest::new(self.k)).collect();
        let mut products = Matrix::zeros((asked.nrows(), KNOWN.min(self.rows.nrows())));
        for (index, known) in self.rows.axis_chunks_iter(Axis(0), KNOWN).enumerate() {
            let first = index * KNOWN;
            let mut products = products.slice_mut(s![.., ..known.nrows()]);
            block_product(products.view_mut(), asked, known.t(), 0.0);
            let squares = &self.squares[first..first + known.nrows()];
            for (products, nearest) in products.outer_iter().zip(&mut nearest) {
                let products = products.to_slice().expect("a row of a row-major buffer");
                nearest.take(products, squares, first as u32);
            }
        }
        nearest
    }
}

/// The nearest rows so far, near to far.
struct Nearest {
    k: usize,
    /// Squared distance less the asked row's squared length, and row.
    rows: Vec<(f32, u32)>,
    furthest: f32,
}

impl Nearest {
    fn new(k: usize) -> Self {
        Nearest { k, rows: Vec::with_capacity(k + 1), furthest: f32::INFINITY }
    }

    /// Looks at a block of rows from `first` on, in order, so that the lower of equally distant
    /// rows stays.
    fn take(&mut self, products: &[f32], squares: &[f32], first: u32) {
        let (product_blocks, product_rest) = products.as_chunks::<LANES>();
        let (square_blocks, square_rest) = squares.as_chunks::<LANES>();
        let mut row = first;
        for (products, squares) in product_blocks.iter().zip(square_blocks) {
            // Hardly any block holds a nearer row, and this comparison is vector instructions.
            let mut any = false;
            for lane in 0..LANES {
                any |= squares[lane] - 2.0 * products[lane] < self.furthest;
            }
            if any {
                self.take_each(products, squares, row);
            }
            row += LANES as u32;
        }
        self.take_each(product_rest, square_rest, row);
    }

    fn take_each(&mut self, products: &[f32], squares: &[f32], first: u32) {
        for ((product, square), row) in products.iter().zip(squares).zip(first..) {
            let distance = square - 2.0 * product;
            if distance < self.furthest {
                let place = self.rows.partition_point(|&(other, _)| other <= distance);
                self.rows.insert(place, (distance, row));
                self.rows.truncate(self.k);
                if self.rows.len() == self.k {
                    self.furthest = self.rows[self.k - 1].0;
                }
            }
        }
    }
}

fn square(row: ArrayView1<'_, f32>) -> f32 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use hourglass_core::Silent;
    use ndarray::array;

    use super::*;

    fn predict(k: usize, known: &Matrix, classes: &[u32], asked: &Matrix) -> Vec<u32> {
        let data = FitData::split(known.view(), classes, classes.len(), 3);
        let config = Knn { k: Some(k) };
        let fitted =
            Estimator::fit(&config, &data, Seed::new(0), &Silent, &Interrupt::new()).unwrap();
        fitted.predict(asked.view()).unwrap()
    }

    #[test]
    fn equal_distances_go_to_the_lower_row_and_equal_votes_to_the_lower_class() {
        let known = array![[0.0], [2.0], [4.0], [6.0]];
        let classes = [2, 1, 0, 1];
        assert_eq!(predict(1, &known, &classes, &array![[1.0], [3.0], [5.9]]), [2, 1, 1]);
        assert_eq!(predict(2, &known, &classes, &array![[1.0], [3.0]]), [1, 0]);
    }

    #[test]
    fn more_rows_than_a_block_are_searched_through() {
        let known = Matrix::from_shape_fn((3000, 2), |(row, column)| (row * (1 - column)) as f32);
        let classes: Vec<u32> = (0..3000).map(|row| (row / 1000) as u32).collect();
        let asked = array![[10.0, 0.0], [1500.2, 1.0], [2999.0, 0.0]];
        assert_eq!(predict(5, &known, &classes, &asked), [0, 1, 2]);
    }
}
