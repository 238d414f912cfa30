//! Filling, clipping, encoding and scaling, fitted on the training rows alone and stored. It does
//! not split; see `prepare.rs` for the order of things.
//!
//! To add a scaler: a variant of [`Numeric`] and an arm in `scaler.rs`. To add an encoder: a
//! variant of [`Categorical`] and an arm in `category.rs`. The parity tests walk both.

mod category;
mod config;
mod exact;
mod images;
mod neighbours;
mod number;
#[cfg(test)]
mod parity;
mod power;
mod scaler;
mod table;

use std::collections::BTreeMap;

use hourglass_core::{Matrix, SampleShape, Seed, Targets};
use ndarray::ArrayViewMut2;
use serde::{Deserialize, Serialize};

pub(crate) use self::category::OutOfFold;
pub use self::config::{
    Categorical, ColumnConfig, DatePart, Fill, Missing, Numeric, PreprocessConfig, Quantile,
    QuantileOutput,
};
pub(crate) use self::exact::ExactMoments;
use self::images::FittedImages;
use self::table::{FittedTable, Role};
use crate::column::Column;
use crate::error::Error;
use crate::table::Table;

/// What was learnt from the training rows: how to treat any row of the same data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Preprocessor(Fitted);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fitted {
    Images { fitted: FittedImages, shape: SampleShape },
    Table(FittedTable),
}

/// What becomes of a source column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// Name in the source.
    pub name: String,
    /// What it was read as.
    pub kind: String,
    /// Number of columns that come out.
    pub n_columns: usize,
    /// What is done to it, in words.
    pub steps: String,
}

impl Preprocessor {
    /// Learns from the training rows of images and treats the whole matrix in place.
    ///
    /// # Shapes
    /// - `matrix`: `(n_samples, n_features)`, the first `n_train` rows for training
    pub(crate) fn fit_images(
        matrix: &mut Matrix,
        n_train: usize,
        shape: &SampleShape,
        names: Vec<String>,
        config: &PreprocessConfig,
    ) -> Result<Self, Error> {
        let n_features = names.len();
        let fitted = FittedImages::fit(matrix, n_train, shape, names, config)?;
        let n_kept = fitted.kept_columns().len();
        let shape = match n_kept == n_features {
            true => shape.clone(),
            false => SampleShape::Vector { len: n_kept },
        };
        Ok(Preprocessor(Fitted::Images { fitted, shape }))
    }

    /// Learns from the training rows of a table.
    ///
    /// # Shapes
    /// - `columns`: the feature columns, each of `n_train` values
    pub(crate) fn fit_columns(
        names: &[String],
        columns: &[Column],
        targets: &Targets,
        config: &PreprocessConfig,
        seed: Seed,
    ) -> Result<(Self, BTreeMap<usize, OutOfFold>), Error> {
        let (fitted, out_of_fold) = FittedTable::fit(names, columns, targets, config, seed)?;
        Ok((Preprocessor(Fitted::Table(fitted)), out_of_fold))
    }

    /// Treats the rows of a table as the training rows were treated; its columns are found by name.
    ///
    /// # Shapes
    /// - returns: `(n_rows, n_outputs)`
    ///
    /// # Errors
    /// [`Error::ColumnLost`] for a column that is missing, [`Error::Misfit`] for one of another
    /// type, [`Error::Unfillable`] where a value is infinite, or missing while nothing is filled;
    /// [`Error::Width`] for images of another size.
    pub fn transform(&self, table: &Table) -> Result<Matrix, Error> {
        match &self.0 {
            Fitted::Images { fitted, .. } => {
                let (n_rows, width) = table.features.dim();
                if width != fitted.feature_names().len() {
                    let expected = fitted.feature_names().len();
                    return Err(Error::Width { expected, found: width });
                }
                let mut matrix = Matrix::zeros((n_rows, width));
                for (row, mut to) in matrix.rows_mut().into_iter().enumerate() {
                    let to = to.as_slice_mut().expect("a row of a row-major matrix is contiguous");
                    table.features.copy_row(row, to);
                }
                fitted.transform(&mut matrix)?;
                Ok(matrix)
            }
            Fitted::Table(_) => {
                let columns = table.features.to_columns();
                let rows: Vec<usize> = (0..table.n_rows()).collect();
                self.transform_rows(&table.feature_names, &columns, &rows)
            }
        }
    }

    /// Treats some rows of columns.
    pub(crate) fn transform_rows(
        &self,
        names: &[String],
        columns: &[Column],
        rows: &[usize],
    ) -> Result<Matrix, Error> {
        let mut matrix = Matrix::zeros((rows.len(), self.n_outputs()));
        self.transform_into(names, columns, rows, matrix.view_mut())?;
        Ok(matrix)
    }

    /// Treats some rows of columns, into a part of a matrix that holds zeros.
    pub(crate) fn transform_into(
        &self,
        names: &[String],
        columns: &[Column],
        rows: &[usize],
        out: ArrayViewMut2<'_, f32>,
    ) -> Result<(), Error> {
        let Fitted::Table(fitted) = &self.0 else { unreachable!("columns belong to a table") };
        let picked = fitted.pick(names, columns)?;
        let picked: Vec<&Column> = picked.iter().map(|column| column.as_ref()).collect();
        fitted.transform(&picked, rows, out)
    }

    /// Replaces what a sample said of numbers by what all training rows say.
    pub(crate) fn make_exact(&mut self, moments: &[ExactMoments], config: &PreprocessConfig) {
        if let Fitted::Table(fitted) = &mut self.0 {
            let columns = fitted.columns.iter_mut().zip(moments);
            columns.for_each(|(column, moments)| column.make_exact(moments, config));
        }
    }

    /// Puts what training rows hold instead of what `transform_rows` gave them into the first rows.
    pub(crate) fn put_out_of_fold(&self, matrix: &mut Matrix, rows: &BTreeMap<usize, OutOfFold>) {
        let Fitted::Table(fitted) = &self.0 else { return };
        for (&at, columns) in rows {
            let first = fitted.first_output(at);
            for (offset, values) in columns.iter().enumerate() {
                let mut column = matrix.column_mut(first + offset);
                column.iter_mut().zip(values).for_each(|(to, &from)| *to = from as f32);
            }
        }
    }

    /// Takes prepared rows back to the columns of the source, in the order of
    /// [`feature_names`](Self::feature_names); `None` for a column of which too much was lost: one
    /// that became frequencies, means of the target, or parts of a date without `days`. Columns
    /// that were left out come back with their training value.
    ///
    /// # Shapes
    /// - `matrix`: `(n_rows, n_outputs)`
    ///
    /// # Errors
    /// [`Error::Width`].
    pub fn inverse(&self, matrix: &Matrix) -> Result<Vec<Option<Column>>, Error> {
        let expected = self.n_outputs();
        if matrix.ncols() != expected {
            return Err(Error::Width { expected, found: matrix.ncols() });
        }
        match &self.0 {
            Fitted::Images { fitted, .. } => {
                let mut matrix = matrix.clone();
                fitted.inverse(&mut matrix)?;
                let numbers = matrix.columns().into_iter().map(|column| {
                    Some(Column::Numbers(column.iter().map(|&value| f64::from(value)).collect()))
                });
                Ok(numbers.collect())
            }
            Fitted::Table(fitted) => Ok(fitted.inverse(matrix)),
        }
    }

    /// Smallest and largest scaled training value over all columns, for the check of a model's
    /// output activation; exactly `range` after `min_max`. `None` without a column.
    pub fn output_range(&self) -> Option<(f32, f32)> {
        match &self.0 {
            Fitted::Images { fitted, .. } => fitted.output_range(),
            Fitted::Table(fitted) => {
                let (low, high) = fitted.output_range();
                (low <= high).then_some((low as f32, high as f32))
            }
        }
    }

    /// Names of the source columns.
    pub fn feature_names(&self) -> Vec<String> {
        match &self.0 {
            Fitted::Images { fitted, .. } => fitted.feature_names().to_vec(),
            Fitted::Table(fitted) => fitted.columns.iter().map(|c| c.name.clone()).collect(),
        }
    }

    /// Names of the columns that come out.
    pub fn output_names(&self) -> Vec<String> {
        match &self.0 {
            Fitted::Images { fitted, .. } => {
                let names = fitted.feature_names();
                fitted.kept_columns().iter().map(|&at| names[at].clone()).collect()
            }
            Fitted::Table(fitted) => fitted.output_names(),
        }
    }

    /// Number of columns that come out.
    pub fn n_outputs(&self) -> usize {
        match &self.0 {
            Fitted::Images { shape, .. } => shape.n_features(),
            Fitted::Table(fitted) => fitted.width(),
        }
    }

    /// What a prepared row means.
    pub fn shape(&self) -> SampleShape {
        match &self.0 {
            Fitted::Images { shape, .. } => shape.clone(),
            Fitted::Table(fitted) => fitted.shape(),
        }
    }

    /// What becomes of each source column of a table; empty for images.
    pub fn summary(&self) -> Vec<ColumnSummary> {
        let Fitted::Table(fitted) = &self.0 else { return Vec::new() };
        let summary = fitted.columns.iter().map(|column| ColumnSummary {
            name: column.name.clone(),
            kind: column.kind.word().to_owned(),
            n_columns: column.width(),
            steps: column.steps(),
        });
        summary.collect()
    }

    /// Columns that were left out, in words, for the reader.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let Fitted::Table(fitted) = &self.0 else { return Vec::new() };
        let dropped = fitted
            .columns
            .iter()
            .filter(|c| matches!(c.role, Role::Constant { .. } | Role::Duplicate { .. }));
        dropped.map(|column| format!("column `{}` is {}", column.name, column.steps())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Levels;
    use crate::table::Features;

    fn table(columns: Vec<(&str, Column)>) -> Table {
        let n_rows = columns[0].1.len();
        Table {
            shape: SampleShape::Vector { len: columns.len() },
            feature_names: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
            features: Features::Columns(columns.into_iter().map(|(_, column)| column).collect()),
            targets: Targets::Values((0..n_rows).map(|i| i as f32).collect()),
        }
    }

    fn mixed() -> Table {
        let texts = ["b", "a", "b", "c", "a", "b"].map(Some);
        table(vec![
            ("size", Column::Numbers(vec![1.0, 4.0, 2.0, 8.0, 5.0, 9.0])),
            ("same", Column::Numbers(vec![7.0; 6])),
            ("kind", Column::Levels(Levels::of(texts.into_iter()))),
            ("copy", Column::Numbers(vec![1.0, 4.0, 2.0, 8.0, 5.0, 9.0])),
            ("on", Column::Booleans([1, 0, 0, 1, 1, 0].map(|v| Some(v == 1)).to_vec())),
            ("day", Column::Dates(vec![0.0, 31.5, 59.0, 90.0, 120.0, 151.0])),
            ("bit", Column::Numbers(vec![0.0, 1.0, 1.0, 0.0, 1.0, 1.0])),
        ])
    }

    fn fit(table: &Table, text: &str) -> Result<Preprocessor, Error> {
        let config: PreprocessConfig = toml::from_str(text).unwrap();
        config.check().unwrap();
        let columns = table.features.to_columns();
        let (names, targets) = (&table.feature_names, &table.targets);
        Preprocessor::fit_columns(names, &columns, targets, &config, Seed::new(1)).map(|(f, _)| f)
    }

    #[test]
    fn a_mixed_table_becomes_groups() {
        use hourglass_core::ColumnKind::{Binary, Categorical, Numeric};
        let table = mixed();
        let fitted = fit(&table, "numeric = 'standard'\ndates = ['days', 'month']").unwrap();
        let names = ["size", "kind=a", "kind=b", "kind=c", "on", "day_days", "day_month", "bit"];
        assert_eq!(fitted.output_names(), names);
        let shape = fitted.shape();
        let groups: Vec<_> =
            shape.groups().iter().map(|g| (g.name.as_str(), g.kind, g.columns.clone())).collect();
        let expected = [
            ("size", Numeric, 0..1),
            ("kind", Categorical, 1..4),
            ("on", Binary, 4..5),
            ("day", Numeric, 5..7),
            ("bit", Binary, 7..8),
        ];
        assert_eq!(groups, expected);
        let said = fitted.left_out();
        assert_eq!(said[0], "column `same` is left out: always 7 in training");
        assert_eq!(said[1], "column `copy` is left out: equal to `size` in training");
        let summary = fitted.summary();
        assert_eq!((summary[2].kind.as_str(), summary[2].n_columns), ("categorical", 3));
        assert!(summary[0].steps.starts_with("(x - 4.833333) /"), "{}", summary[0].steps);
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(fitted, serde_json::from_str(&text).unwrap());
        let matrix = fitted.transform(&table).unwrap();
        assert_eq!(matrix.row(0).to_vec()[1..5], [0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_gap_that_is_a_level_of_its_own_gets_no_indicator() {
        let texts = [Some("b"), None, Some("a"), Some("b"), None, Some("a")];
        let table = table(vec![
            ("size", Column::Numbers(vec![1.0, f64::NAN, 2.0, 8.0, 5.0, 9.0])),
            ("kind", Column::Levels(Levels::of(texts.into_iter()))),
        ]);
        for (text, levels) in [
            ("missing = { fill = 'median' }", ["kind=(missing)", "kind=a", "kind=b"]),
            ("missing = { fill = 'most_frequent' }", ["kind=a", "kind=b", "kind_missing"]),
        ] {
            let fitted = fit(&table, &format!("{text}\nindicators = true")).unwrap();
            let expected = [&["size", "size_missing"][..], &levels].concat();
            assert_eq!(fitted.output_names(), expected, "{text}");
        }
    }

    #[test]
    fn what_was_done_is_taken_back() {
        let table = mixed();
        for text in [
            "numeric = 'standard'",
            "numeric = 'yeo_johnson'\ncategorical = { ordinal = {} }",
            "numeric = { quantile = { output = 'normal' } }",
        ] {
            let fitted = fit(&table, text).unwrap();
            let back = fitted.inverse(&fitted.transform(&table).unwrap()).unwrap();
            for (name, (found, original)) in
                table.feature_names.iter().zip(back.iter().zip(table.features.to_columns()))
            {
                match (found.as_ref().unwrap(), &original) {
                    (Column::Numbers(a), Column::Numbers(b))
                    | (Column::Dates(a), Column::Dates(b)) => {
                        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3), "{name} {a:?}");
                    }
                    (Column::Levels(a), Column::Levels(b)) => {
                        assert!((0..6).all(|row| a.get(row) == b.get(row)), "{name}");
                    }
                    (found, original) => assert_eq!(found, original, "{name}"),
                }
            }
        }
        let fitted = fit(&table, "categorical = 'frequency'").unwrap();
        let back = fitted.inverse(&fitted.transform(&table).unwrap()).unwrap();
        assert_eq!(back[2], None, "two levels may be as frequent");
        assert!(fitted.inverse(&Matrix::zeros((1, 2))).is_err());
    }

    #[test]
    fn new_rows_may_hold_unseen_levels_but_lack_no_column() {
        let fitted = fit(&mixed(), "numeric = 'standard'").unwrap();
        let mut rows = mixed();
        let Features::Columns(columns) = &mut rows.features else { unreachable!() };
        columns[2] =
            Column::Levels(Levels::of(["z", "a", "b", "c", "a", "b"].map(Some).into_iter()));
        let matrix = fitted.transform(&rows).unwrap();
        assert_eq!(matrix.row(0).to_vec()[1..4], [0.0, 0.0, 0.0]);

        // Texts of numbers become numbers again; what was left out may be absent.
        let Features::Columns(columns) = &mut rows.features else { unreachable!() };
        let texts = ["1", "4", "2", "8", "5", "9"].map(Some);
        columns[0] = Column::Levels(Levels::of(texts.into_iter()));
        columns.remove(1);
        rows.feature_names.remove(1);
        assert_eq!(fitted.transform(&rows).unwrap(), matrix);

        let Features::Columns(columns) = &mut rows.features else { unreachable!() };
        columns[0] =
            Column::Levels(Levels::of(["1", "x", "2", "8", "5", "9"].map(Some).into_iter()));
        let error = fitted.transform(&rows).unwrap_err().to_string();
        assert!(error.contains("row 2: column `size` holds `x`, which is no number"), "{error}");

        rows.feature_names[0] = "sise".into();
        let error = fitted.transform(&rows).unwrap_err().to_string();
        assert!(
            error.contains("no column `size`") && error.contains("did you mean `sise`"),
            "{error}"
        );

        let mut rows = mixed();
        let Features::Columns(columns) = &mut rows.features else { unreachable!() };
        columns[0] = Column::Numbers(vec![1.0, f64::NAN, 2.0, 8.0, 5.0, 9.0]);
        let error = fitted.transform(&rows).unwrap_err().to_string();
        assert!(error.contains("row 2, column `size`: the value is missing"), "{error}");
    }

    #[test]
    fn unfit_columns_are_named() {
        let all_missing = table(vec![
            ("a", Column::Numbers(vec![f64::NAN; 4])),
            ("b", Column::Numbers(vec![1.0, 2.0, 3.0, 4.0])),
        ]);
        let constant = table(vec![("a", Column::Numbers(vec![1.0; 4]))]);
        let huge = table(vec![("a", Column::Numbers(vec![1.0, 1e300]))]);
        let ids: Vec<String> = (0..5000).map(|i| format!("id{i}")).collect();
        let ids = Levels::of(ids.iter().map(|id| Some(id.as_str())));
        let identifier = table(vec![("id", Column::Levels(ids))]);
        let order = "columns = { kind = { categorical = { ordinal = { order = ['a', 'b'] } } } }";
        for (table, text, said) in [
            (&all_missing, "missing = { fill = 'mean' }", "`a` has no value in any training row"),
            (&constant, "", "all 1 columns are constant"),
            (&huge, "", "beyond 32-bit floats"),
            (&identifier, "", "would make 5000 columns of `id`; is it an identifier?"),
            (&mixed(), "columns = { sise = {} }", "hint: did you mean `size`?"),
            (&mixed(), order, "lacks the level `c` of the training rows"),
        ] {
            let error = fit(table, text).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("\nhint: "), "{error}");
        }
    }

    #[test]
    fn many_more_columns_than_rows_are_fitted() {
        let column =
            |j: usize| Column::Numbers((0..8).map(|i| ((i * 31 + j * 7) % 97) as f64).collect());
        let names: Vec<String> = (0..10_000).map(|j| format!("c{j}")).collect();
        let wide = table(names.iter().enumerate().map(|(j, n)| (n.as_str(), column(j))).collect());
        let text = "numeric = 'standard'\ndrop_duplicate_columns = false";
        let fitted = fit(&wide, text).unwrap();
        assert_eq!(fitted.transform(&wide).unwrap().dim(), (8, 10_000));
        assert_eq!(fit(&wide, "").unwrap().n_outputs(), 97, "the columns repeat");
    }
}
