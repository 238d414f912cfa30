//! Tables as loaded, before anything is fitted, and where they came from.

use hourglass_core::{Matrix, SampleShape, Targets};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::column::Column;

/// The features of a table.
///
/// Images stay bytes until they are prepared, which takes a quarter of the memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// Pixels from 0 to 255, `(n_rows, n_features)`.
    Bytes(Array2<u8>),
    /// Numbers, `(n_rows, n_features)`; NaN means "missing".
    Floats(Matrix),
    /// Columns of several kinds, all of one length.
    Columns(Vec<Column>),
}

impl Features {
    /// `(n_rows, n_features)`.
    pub fn dim(&self) -> (usize, usize) {
        match self {
            Features::Bytes(bytes) => bytes.dim(),
            Features::Floats(floats) => floats.dim(),
            Features::Columns(columns) => (columns.first().map_or(0, Column::len), columns.len()),
        }
    }

    /// Writes a row of numbers into `target`.
    ///
    /// # Panics
    /// If `row` is out of range, `target` is not `n_features` long, or the features are columns.
    pub(crate) fn copy_row(&self, row: usize, target: &mut [f32]) {
        match self {
            Features::Bytes(bytes) => {
                let source = bytes.row(row);
                assert_eq!(source.len(), target.len(), "copy_row: widths differ");
                target.iter_mut().zip(source).for_each(|(to, &from)| *to = f32::from(from));
            }
            Features::Floats(floats) => {
                let source = floats.row(row);
                assert_eq!(source.len(), target.len(), "copy_row: widths differ");
                target.iter_mut().zip(source).for_each(|(to, &from)| *to = from);
            }
            Features::Columns(_) => panic!("copy_row: columns are no matrix"),
        }
    }

    /// The same features as columns of numbers, where they are a matrix.
    pub(crate) fn to_columns(&self) -> Vec<Column> {
        let numbers = |values: ndarray::ArrayView1<'_, f32>| {
            Column::Numbers(values.iter().map(|&value| f64::from(value)).collect())
        };
        match self {
            Features::Bytes(bytes) => {
                bytes.mapv(f32::from).columns().into_iter().map(numbers).collect()
            }
            Features::Floats(floats) => floats.columns().into_iter().map(numbers).collect(),
            Features::Columns(columns) => columns.clone(),
        }
    }

    /// All rows as numbers.
    ///
    /// # Panics
    /// If the features are columns of several kinds, which become numbers in
    /// [`prepare`](crate::prepare).
    pub fn to_matrix(&self) -> Matrix {
        match self {
            Features::Bytes(bytes) => bytes.mapv(f32::from),
            Features::Floats(floats) => floats.clone(),
            Features::Columns(_) => panic!("to_matrix: columns are no matrix"),
        }
    }
}

/// Rows with their targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// One row a sample.
    pub features: Features,
    /// One target a row.
    pub targets: Targets,
    /// What a row means.
    pub shape: SampleShape,
    /// One name a column.
    pub feature_names: Vec<String>,
}

impl Table {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.features.dim().0
    }

    /// Number of feature columns.
    pub fn n_features(&self) -> usize {
        self.features.dim().1
    }
}

/// What [`load`](crate::load) gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Rows to fit on; test rows are split off them where `test` is `None`.
    pub train: Table,
    /// Test rows as published.
    pub test: Option<Table>,
    /// Where they came from.
    pub provenance: Provenance,
}

/// Where data came from: for the first lines of the output and of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Short name of what was loaded.
    pub dataset: String,
    /// How it got here.
    pub origin: Origin,
    /// Why this was taken instead of the data set the pipeline file asks for.
    pub fallback: Option<String>,
    /// What was loaded, in one plain sentence.
    pub sentence: String,
    /// The files that were read.
    pub files: Vec<SourceFile>,
    /// Terms of use, where known.
    pub licence: Option<String>,
    /// Whom to cite, where known.
    pub citation: Option<String>,
}

/// How data got here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A data set of the catalogue, found in a local folder.
    LocalFolder,
    /// A data set of the catalogue, downloaded just now.
    Downloaded,
    /// Carried by the program.
    Builtin,
    /// Drawn from the seed.
    Synthetic,
    /// Files that the pipeline file names.
    File,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name, without folders.
    pub name: String,
    /// Size of its uncompressed content.
    pub bytes: u64,
    /// SHA-256 of its uncompressed content.
    pub sha256: String,
}
