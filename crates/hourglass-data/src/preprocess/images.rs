//! Filling and scaling of images, fitted on the training rows alone: one pair of numbers for all
//! pixels, in place in the one matrix. Tables are treated column by column in `table.rs`.

use std::collections::BTreeMap;

use hourglass_core::{ColumnMoments, Matrix, MatrixView, SampleShape};
use ndarray::Axis;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::preprocess::config::{Fill, Missing, Numeric, PreprocessConfig};

/// What was learnt from the training rows: how to treat any row of the same data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedImages {
    feature_names: Vec<String>,
    /// One number a column in place of a missing value, or `None` where none is allowed.
    fill: Option<Vec<f32>>,
    /// Columns that are left out, with the value they had in every training row.
    constant: BTreeMap<usize, f32>,
    scaling: Scaling,
    output_range: [f32; 2],
}

impl FittedImages {
    /// Learns from training rows and treats the whole matrix in place.
    ///
    /// # Shapes
    /// - `matrix`: `(n_samples, n_features)`, the first `n_train` rows for training; NaN only where
    ///   `config.missing` fills
    pub(crate) fn fit(
        matrix: &mut Matrix,
        n_train: usize,
        shape: &SampleShape,
        feature_names: Vec<String>,
        config: &PreprocessConfig,
    ) -> Result<Self, Error> {
        check(config)?;
        let train = matrix.slice(ndarray::s![..n_train, ..]);
        let fill = match config.missing {
            Missing::Fill(Fill::Constant { value }) => Some(vec![value; matrix.ncols()]),
            Missing::Fill(_) => Some(observed_means(train, &feature_names)?),
            Missing::Error | Missing::DropRows => None,
        };
        if let Some(fill) = &fill {
            fill_missing(matrix, fill);
        }
        let moments = ColumnMoments::of(matrix.slice(ndarray::s![..n_train, ..]));
        let is_constant = |&i: &usize| moments.min[i] == moments.max[i];
        let n_features = matrix.ncols();
        let constant: BTreeMap<usize, f32> =
            (0..n_features).filter(is_constant).map(|i| (i, moments.min[i])).collect();
        if constant.len() == n_features {
            return Err(Error::AllConstant { n_features });
        }
        let constant =
            if config.drop_constant_columns == Some(true) { constant } else { BTreeMap::new() };
        let scaling = Scaling::fit(&moments, shape, config.numeric);
        let output_range = scaling.output_range(&moments, &constant, config.numeric);
        let [low, high] = output_range;
        if !(low.is_finite() && high.is_finite()) {
            return Err(Error::Overflow { low, high });
        }
        let fitted = FittedImages { feature_names, fill, constant, scaling, output_range };
        fitted.scale(matrix);
        Ok(fitted)
    }

    /// Treats rows as the training rows were treated.
    ///
    /// # Shapes
    /// - `matrix`: `(n_rows, n_features)` as loaded; afterwards `(n_rows, n_kept_features)`
    ///
    /// # Errors
    /// [`Error::Width`]; [`Error::Unfillable`] where a value is infinite, or missing while nothing
    /// is filled.
    pub(crate) fn transform(&self, matrix: &mut Matrix) -> Result<(), Error> {
        let expected = self.feature_names.len();
        if matrix.ncols() != expected {
            return Err(Error::Width { expected, found: matrix.ncols() });
        }
        let fills = self.fill.is_some();
        let bad = matrix.indexed_iter().find(|(_, v)| v.is_infinite() || (v.is_nan() && !fills));
        if let Some(((row, column), _)) = bad {
            let column = self.feature_names[column].clone();
            return Err(Error::Unfillable { row: row + 1, column });
        }
        if let Some(fill) = &self.fill {
            fill_missing(matrix, fill);
        }
        self.scale(matrix);
        Ok(())
    }

    /// Takes scaled rows back to the units of the data; columns that were left out come back with
    /// their training value.
    ///
    /// # Shapes
    /// - `matrix`: `(n_rows, n_kept_features)`; afterwards `(n_rows, n_features)`
    ///
    /// # Errors
    /// [`Error::Width`].
    pub(crate) fn inverse(&self, matrix: &mut Matrix) -> Result<(), Error> {
        let kept = self.kept_columns();
        if matrix.ncols() != kept.len() {
            return Err(Error::Width { expected: kept.len(), found: matrix.ncols() });
        }
        if !self.constant.is_empty() {
            let mut wide = Matrix::zeros((matrix.nrows(), self.feature_names.len()));
            for (from, &to) in kept.iter().enumerate() {
                wide.column_mut(to).assign(&matrix.column(from));
            }
            *matrix = wide;
        }
        let Scaling { center, spread, gain, offset } = &self.scaling;
        for mut row in matrix.rows_mut() {
            for ((value, center), spread) in row.iter_mut().zip(center).zip(spread) {
                *value = (*value - offset) / gain * spread + center;
            }
        }
        for (&column, &value) in &self.constant {
            matrix.column_mut(column).fill(value);
        }
        Ok(())
    }

    /// Smallest and largest scaled training value over all columns, for the check of a model's
    /// output activation; exactly `range` after `min_max`. `None` without a column.
    pub(crate) fn output_range(&self) -> Option<(f32, f32)> {
        let [low, high] = self.output_range;
        (low <= high).then_some((low, high))
    }

    /// Names of all columns before any is left out.
    pub(crate) fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// Indices of the columns that are kept, in order.
    pub(crate) fn kept_columns(&self) -> Vec<usize> {
        (0..self.feature_names.len()).filter(|i| !self.constant.contains_key(i)).collect()
    }

    /// Scales every column, then leaves the constant ones out.
    fn scale(&self, matrix: &mut Matrix) {
        if !self.scaling.is_identity() {
            let Scaling { center, spread, gain, offset } = &self.scaling;
            for mut row in matrix.rows_mut() {
                for ((value, center), spread) in row.iter_mut().zip(center).zip(spread) {
                    *value = (*value - center) / spread * gain + offset;
                }
            }
        }
        if !self.constant.is_empty() {
            *matrix = matrix.select(Axis(1), &self.kept_columns());
        }
    }
}

/// Refuses what is for tables alone.
fn check(config: &PreprocessConfig) -> Result<(), Error> {
    let fills = !matches!(
        config.missing,
        Missing::Error | Missing::DropRows | Missing::Fill(Fill::Mean | Fill::Constant { .. })
    );
    let scales = !matches!(
        config.numeric,
        Numeric::None | Numeric::Constant { .. } | Numeric::MinMax { .. } | Numeric::Standard
    );
    for (key, given) in [
        ("missing.fill", fills),
        ("numeric", scales),
        ("indicators", config.indicators),
        ("clip", config.clip.is_some()),
        ("drop_duplicate_columns", config.drop_duplicate_columns == Some(true)),
        ("columns", !config.columns.is_empty()),
    ] {
        if given {
            let problem = "names what is for tables alone, and the data are images";
            let hint = "images can be filled by `mean` or `constant` and scaled by `constant`, \
                        `min_max` or `standard`";
            return Err(Error::config(format!("preprocess.{key}"), problem, hint));
        }
    }
    Ok(())
}

/// `(x - center) / spread * gain + offset`, where `center` and `spread` have a number a column.
///
/// It divides, where a factor would be faster, because then the largest training value comes to
/// the end of the range exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Scaling {
    center: Vec<f32>,
    spread: Vec<f32>,
    gain: f32,
    offset: f32,
}

impl Scaling {
    fn fit(moments: &ColumnMoments, shape: &SampleShape, numeric: Numeric) -> Self {
        let n_features = moments.mean.len();
        let all = |value: f32| vec![value; n_features];
        let image = matches!(shape, SampleShape::Image { .. });
        let (center, spread, gain, offset) = match numeric {
            Numeric::None => (all(0.0), all(1.0), 1.0, 0.0),
            Numeric::Constant { factor } => (all(0.0), all(1.0), factor, 0.0),
            Numeric::MinMax { range: [low, high] } => {
                let (min, max) = match image {
                    true => (all(lowest(&moments.min)), all(highest(&moments.max))),
                    false => (moments.min.clone(), moments.max.clone()),
                };
                let spread = min.iter().zip(&max).map(|(min, max)| max - min).collect();
                (min, spread, high - low, low)
            }
            Numeric::Robust | Numeric::MaxAbs | Numeric::Quantile(_) | Numeric::YeoJohnson => {
                unreachable!("`check` lets only the scalers of images pass")
            }
            Numeric::Standard if image => {
                let (mean, std) = pooled(moments);
                (all(mean as f32), all(std as f32), 1.0, 0.0)
            }
            Numeric::Standard => {
                let mean = moments.mean.iter().map(|&mean| mean as f32).collect();
                let std = moments.std.iter().map(|&std| std as f32).collect();
                (mean, std, 1.0, 0.0)
            }
        };
        // A constant column has no spread: it is only moved, as in scikit-learn.
        let spread = (0..n_features)
            .map(|i| match moments.min[i] == moments.max[i] && !image {
                true => 1.0,
                false => spread[i],
            })
            .collect();
        Scaling { center, spread, gain, offset }
    }

    fn is_identity(&self) -> bool {
        let Scaling { center, spread, gain, offset } = self;
        (*gain, *offset) == (1.0, 0.0)
            && center.iter().all(|&center| center == 0.0)
            && spread.iter().all(|&spread| spread == 1.0)
    }

    /// Smallest and largest scaled training value of the columns that are kept.
    fn output_range(
        &self,
        moments: &ColumnMoments,
        dropped: &BTreeMap<usize, f32>,
        numeric: Numeric,
    ) -> [f32; 2] {
        if let Numeric::MinMax { range } = numeric {
            return range;
        }
        let scaled = |value: f32, i: usize| {
            (value - self.center[i]) / self.spread[i] * self.gain + self.offset
        };
        let ends = (0..moments.min.len())
            .filter(|i| !dropped.contains_key(i))
            .flat_map(|i| [scaled(moments.min[i], i), scaled(moments.max[i], i)]);
        ends.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], end| {
            [low.min(end), high.max(end)]
        })
    }
}

/// Mean and standard deviation of all values of all columns.
fn pooled(moments: &ColumnMoments) -> (f64, f64) {
    let n_features = moments.mean.len() as f64;
    let mean = moments.mean.iter().sum::<f64>() / n_features;
    let variance = moments.mean.iter().zip(&moments.std);
    let variance: f64 = variance.map(|(m, s)| s * s + (m - mean) * (m - mean)).sum();
    (mean, (variance / n_features).sqrt())
}

fn lowest(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::INFINITY, f32::min)
}

fn highest(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Mean of what is there, column by column.
fn observed_means(train: MatrixView<'_>, names: &[String]) -> Result<Vec<f32>, Error> {
    let mut sums = vec![(0.0_f64, 0_usize); train.ncols()];
    for row in train.rows() {
        for (value, (sum, count)) in row.iter().zip(&mut sums) {
            if !value.is_nan() {
                *sum += f64::from(*value);
                *count += 1;
            }
        }
    }
    let means = sums.into_iter().zip(names).map(|((sum, count), name)| match count {
        0 => Err(Error::NothingToFillFrom { column: name.clone() }),
        count => Ok((sum / count as f64) as f32),
    });
    means.collect()
}

fn fill_missing(matrix: &mut Matrix, fill: &[f32]) {
    for mut row in matrix.rows_mut() {
        for (value, &fill) in row.iter_mut().zip(fill) {
            if value.is_nan() {
                *value = fill;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const NAN: f32 = f32::NAN;

    fn config(missing: Missing, numeric: Numeric) -> PreprocessConfig {
        PreprocessConfig { missing, numeric, ..Default::default() }
    }

    fn fit(mut matrix: Matrix, config: &PreprocessConfig) -> Result<(Matrix, FittedImages), Error> {
        let n_train = matrix.nrows();
        let len = matrix.ncols();
        let names = (0..len).map(|i| format!("x{i}")).collect();
        let shape = SampleShape::Vector { len };
        let fitted = FittedImages::fit(&mut matrix, n_train, &shape, names, config)?;
        Ok((matrix, fitted))
    }

    fn rows() -> Matrix {
        array![[1.0, 10.0, 5.0], [2.0, NAN, 5.0], [4.0, 40.0, 5.0], [7.0, 20.0, 5.0]]
    }

    fn near(found: &Matrix, expected: &Matrix) -> bool {
        found.dim() == expected.dim()
            && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn scalers_agree_with_scikit_learn() {
        // x = np.array([[1, 10, 5], [2, np.nan, 5], [4, 40, 5], [7, 20, 5]])
        // x = SimpleImputer().fit_transform(x)
        // MinMaxScaler((-1, 1)).fit_transform(x), StandardScaler().fit_transform(x)
        let fill = Missing::Fill(Fill::Mean);
        for (numeric, expected, range) in [
            (
                Numeric::MinMax { range: [-1.0, 1.0] },
                array![
                    [-1.0, -1.0, -1.0],
                    [-0.666_666_7, -0.111_111_11, -1.0],
                    [0.0, 1.0, -1.0],
                    [1.0, -0.333_333_34, -1.0]
                ],
                (-1.0, 1.0),
            ),
            (
                Numeric::Standard,
                array![
                    [-1.091_089_5, -1.234_426_8, 0.0],
                    [-0.654_653_7, 0.0, 0.0],
                    [0.218_217_9, 1.543_033_5, 0.0],
                    [1.527_525_2, -0.308_606_7, 0.0]
                ],
                (-1.234_426_8, 1.543_033_5),
            ),
        ] {
            let (found, fitted) = fit(rows(), &config(fill, numeric)).unwrap();
            assert!(near(&found, &expected), "{found}");
            let (low, high) = fitted.output_range().unwrap();
            assert!((low - range.0).abs() < 1e-5 && (high - range.1).abs() < 1e-5, "{low} {high}");
        }
    }

    #[test]
    fn transform_repeats_the_fit_and_inverse_undoes_it() {
        let original =
            array![[1.0, 10.0, 5.0], [2.0, 70.0 / 3.0, 5.0], [4.0, 40.0, 5.0], [7.0, 20.0, 5.0]];
        for drops in [false, true] {
            for numeric in [
                Numeric::None,
                Numeric::Constant { factor: 0.25 },
                Numeric::MinMax { range: [0.0, 1.0] },
                Numeric::Standard,
            ] {
                let missing = Missing::Fill(Fill::Mean);
                let drop_constant_columns = Some(drops);
                let config = PreprocessConfig {
                    missing,
                    numeric,
                    drop_constant_columns,
                    ..Default::default()
                };
                let (found, fitted) = fit(rows(), &config).unwrap();
                let text = serde_json::to_string(&fitted).unwrap();
                assert_eq!(fitted, serde_json::from_str(&text).unwrap());
                let mut again = rows();
                fitted.transform(&mut again).unwrap();
                assert_eq!(found, again);
                assert_eq!(found.ncols(), if drops { 2 } else { 3 });
                fitted.inverse(&mut again).unwrap();
                assert!(near(&again, &original), "{numeric:?}: {again}");
            }
        }
    }

    #[test]
    fn an_image_has_one_scale_for_all_pixels() {
        let pixels = array![[0.0, 51.0], [0.0, 255.0]];
        let shape = SampleShape::Image { channels: 1, height: 1, width: 2 };
        let names = vec!["a".to_owned(), "b".to_owned()];
        // x = np.array([0, 51, 0, 255]); (x - x.mean()) / x.std()
        let standard = array![[-0.727_606_9, -0.242_535_63], [-0.727_606_9, 1.697_749_4]];
        for (numeric, expected) in [
            (Numeric::MinMax { range: [0.0, 1.0] }, array![[0.0, 0.2], [0.0, 1.0]]),
            (Numeric::Standard, standard),
        ] {
            let mut matrix = pixels.clone();
            let config = config(Missing::Error, numeric);
            FittedImages::fit(&mut matrix, 2, &shape, names.clone(), &config).unwrap();
            assert!(near(&matrix, &expected), "{matrix}");
        }
    }

    #[test]
    fn the_largest_training_value_comes_to_the_end_of_the_range_exactly() {
        let column = Matrix::from_shape_fn((256, 1), |(i, _)| i as f32 * 0.1 + 0.3);
        let config = config(Missing::Error, Numeric::MinMax { range: [0.0, 1.0] });
        let (scaled, fitted) = fit(column, &config).unwrap();
        assert_eq!((scaled[[0, 0]], scaled[[255, 0]]), (0.0, 1.0));
        assert_eq!(fitted.output_range(), Some((0.0, 1.0)));
    }

    #[test]
    fn what_cannot_be_fitted_or_transformed_is_named() {
        let none = Numeric::None;
        let error = fit(array![[1.0, 2.0], [1.0, 2.0]], &config(Missing::Error, none));
        let said = "all 2 columns are constant in the training rows: there is nothing to learn";
        assert!(error.unwrap_err().to_string().contains(said));
        let error = fit(array![[NAN, 2.0], [NAN, 3.0]], &config(Missing::Fill(Fill::Mean), none));
        assert!(error.unwrap_err().to_string().contains("`x0` has no value in any training row"));
        let huge = Numeric::Constant { factor: 1e30 };
        let error = fit(array![[1.0], [1e20]], &config(Missing::Error, huge));
        assert!(error.unwrap_err().to_string().contains("beyond 32-bit floats"));

        let (_, fitted) =
            fit(array![[1.0, 2.0], [3.0, 4.0]], &config(Missing::Error, none)).unwrap();
        for (mut matrix, said) in [
            (array![[1.0]], "fitted on 2 columns but was given 1"),
            (array![[1.0, 2.0], [1.0, NAN]], "row 2, column `x1`: the value is missing"),
            (array![[f32::INFINITY, 2.0]], "row 1, column `x0`: the value is missing or infinite"),
        ] {
            let error = fitted.transform(&mut matrix).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let error = fitted.inverse(&mut array![[1.0]]).unwrap_err().to_string();
        assert!(error.contains("fitted on 2 columns but was given 1"), "{error}");
    }

    #[test]
    fn what_is_for_tables_is_refused() {
        for (text, key) in [
            ("numeric = 'robust'", "numeric"),
            ("missing = { fill = 'median' }", "missing.fill"),
            ("clip = [0.0, 0.9]", "clip"),
            ("indicators = true", "indicators"),
            ("columns = { a = {} }", "columns"),
        ] {
            let config: PreprocessConfig = toml::from_str(text).unwrap();
            let error = fit(rows(), &config).unwrap_err();
            assert_eq!(error.field().unwrap(), format!("preprocess.{key}"), "{error}");
        }
    }
}
