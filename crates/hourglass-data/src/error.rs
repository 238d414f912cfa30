//! Everything that can be wrong with data, in words a person can act on.

use std::io;
use std::path::{Path, PathBuf};

/// An error of another library, kept as the cause.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong between a `[data]` table and prepared samples.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A value of the pipeline file that can't be.
    #[error("`{field}` {problem}\nhint: {hint}")]
    Config {
        /// Dotted path in the pipeline file, such as `data.csv.delimiter`.
        field: String,
        /// What is wrong with it.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// Parts of one column hold values of two kinds.
    #[error(
        "a {second} column can't follow a {first} one\nhint: say under `data.types` what it is"
    )]
    Kinds {
        /// What the first part holds.
        first: &'static str,
        /// What the part behind it holds.
        second: &'static str,
    },
    /// A data set that the catalogue doesn't hold.
    #[error("the catalogue holds no data set `{name}`\nhint: {hint}")]
    UnknownDataset {
        /// The name asked for.
        name: String,
        /// The nearest name, or all of them.
        hint: String,
    },
    /// A data set whose files are nowhere, while downloading isn't allowed.
    #[error(
        "`{dataset}` is not here: no `{file}` or `{file}.gz` in {searched}\n\
         hint: put the files into one of these folders, name another with `--data-dir` or \
         HOURGLASS_DATA_DIR; {how}"
    )]
    NotHere {
        /// Name of the data set.
        dataset: String,
        /// The first file that is missing.
        file: String,
        /// The folders that were searched.
        searched: String,
        /// Other ways out.
        how: String,
    },
    /// No mirror gave the file.
    #[error(
        "`{file}` of `{dataset}` could not be downloaded: {attempts}\n\
         hint: fetch it by other means and put it into `{folder}`"
    )]
    Download {
        /// Name of the data set.
        dataset: String,
        /// Name of the file.
        file: String,
        /// What each mirror answered.
        attempts: String,
        /// Where the file would have gone.
        folder: String,
    },
    /// A file that isn't the published one.
    #[error(
        "`{path}` is not the published file: {kind} should be `{expected}` but is `{found}`\n\
         hint: delete it and download it again, or read it as a source of its own, without the \
         catalogue"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What was hashed.
        kind: &'static str,
        /// The published checksum.
        expected: String,
        /// The checksum of the file.
        found: String,
    },
    /// The file system said no.
    #[error("cannot {action} `{path}`: {source}\nhint: {}", io_hint(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A gzip file that doesn't decompress.
    #[error(
        "`{path}` is a damaged or truncated gzip file: {source}\n\
         hint: delete it and fetch it again"
    )]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: io::Error,
    },
    /// A file without a byte.
    #[error("`{path}` is empty\nhint: delete it and fetch it again")]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A file that isn't IDX, or ends too early or too late.
    #[error("`{path}` is not a sound IDX file: {problem}\nhint: delete it and fetch it again")]
    Idx {
        /// The file.
        path: PathBuf,
        /// Expected and found.
        problem: String,
    },
    /// A NumPy file that can't be used.
    #[error("`{path}`: {problem}\nhint: {hint}")]
    Numpy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The way out.
        hint: &'static str,
    },
    /// An image that can't be used.
    #[error("`{path}`: {problem}\nhint: {hint}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The way out.
        hint: &'static str,
    },
    /// Images and labels that don't belong together.
    #[error(
        "`{images}` holds {n_images} images but `{labels}` holds {n_labels} labels\n\
         hint: the two files must be of the same part of the same data set"
    )]
    CountMismatch {
        /// File of the images.
        images: PathBuf,
        /// Number of images.
        n_images: usize,
        /// File of the labels.
        labels: PathBuf,
        /// Number of labels.
        n_labels: usize,
    },
    /// A CSV file that can't be read.
    #[error("`{path}`, line {line}: {problem}\nhint: {hint}")]
    Csv {
        /// The file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A table that polars refused.
    #[error("`{path}` cannot be read as {format}: {source}\nhint: is it a {format} file, whole?")]
    Table {
        /// The file.
        path: PathBuf,
        /// `CSV` or `Parquet`.
        format: &'static str,
        /// What polars said.
        source: Cause,
    },
    /// A column that isn't there.
    #[error("`{path}` has no column `{column}`, which `{field}` names\nhint: {hint}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column asked for.
        column: String,
        /// The key of the pipeline file that asks for it.
        field: String,
        /// The nearest column.
        hint: String,
    },
    /// A value that doesn't fit the type of its column.
    #[error("`{path}`, {place}: {problem}\nhint: {hint}")]
    Misfit {
        /// The file.
        path: PathBuf,
        /// Line or row.
        place: String,
        /// The column, its value, and what it should be.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A header that names two columns alike.
    #[error(
        "`{path}`: columns {first} and {second} are both called `{column}`\n\
         hint: rename one of them in the file"
    )]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
        /// Position of the first of them, from 1.
        first: usize,
        /// Position of the second, from 1.
        second: usize,
    },
    /// An expression that can't be read, or doesn't fit the columns.
    #[error("`{field}`, {place}: {problem}\nhint: {hint}")]
    Expression {
        /// Key of the pipeline file.
        field: &'static str,
        /// Where in the expression.
        place: String,
        /// What is wrong there.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// Rows to transform that lack a column.
    #[error(
        "the rows have no column `{column}`, which the preprocessor was fitted on\nhint: {hint}"
    )]
    ColumnLost {
        /// The column.
        column: String,
        /// The nearest column.
        hint: String,
    },
    /// A column of lists or the like.
    #[error(
        "`{path}`: column `{column}` is of type `{found}`; numbers, booleans, texts and dates can \
         be features\n\
         hint: list the column in `drop_columns`"
    )]
    ColumnType {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// A target that isn't a class.
    #[error("`{path}`, {place}: target `{column}` {problem}\nhint: {hint}")]
    Target {
        /// The file.
        path: PathBuf,
        /// Line or row.
        place: String,
        /// The target column.
        column: String,
        /// What is wrong.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// Training and test tables with different columns.
    #[error(
        "`{test}` has {n_test} columns where `{train}` has {n_train}: {problem}\n\
         hint: both files must hold the same columns, in whatever order"
    )]
    ColumnsDiffer {
        /// File of the training rows.
        train: PathBuf,
        /// Its number of columns.
        n_train: usize,
        /// File of the test rows.
        test: PathBuf,
        /// Its number of columns.
        n_test: usize,
        /// The first difference.
        problem: String,
    },
    /// A table without a row or without a feature.
    #[error("{what} has no {missing}\nhint: {hint}")]
    Empty {
        /// Which table or file.
        what: String,
        /// `row` or `feature column`.
        missing: &'static str,
        /// The way out.
        hint: &'static str,
    },
    /// One class.
    #[error(
        "every row is of class `{class}`: there is nothing to tell apart\n\
         hint: is `target` the right column?"
    )]
    SingleClass {
        /// The only class.
        class: String,
    },
    /// Fewer rows than classes.
    #[error(
        "{n_rows} rows are fewer than {n_classes} classes\n\
         hint: is `target` the right column? an identifier is not a class"
    )]
    FewerRowsThanClasses {
        /// Rows of the data set.
        n_rows: usize,
        /// Declared classes.
        n_classes: usize,
    },
    /// A class that can't be in every part.
    #[error(
        "class `{class}` has {n_rows} rows, too few for {part}: every part needs at least one\n\
         hint: {hint}"
    )]
    ClassLeftOut {
        /// The class.
        class: String,
        /// Its rows in what is split.
        n_rows: usize,
        /// The part it would be left out of.
        part: &'static str,
        /// The way out.
        hint: &'static str,
    },
    /// A part without a row.
    #[error(
        "`{field} = {fraction}` of {n_rows} rows leaves {part} empty\n\
         hint: choose another fraction or bring more rows"
    )]
    EmptyPart {
        /// Key of the pipeline file.
        field: &'static str,
        /// Its value.
        fraction: f32,
        /// Rows that are split.
        n_rows: usize,
        /// The part.
        part: &'static str,
    },
    /// Missing values, and nobody said what to do about them.
    #[error(
        "{table} row {row}, column `{column}`: the value is missing ({n_missing} are, in \
         {n_rows} rows)\n\
         hint: set `preprocess.missing` to `\"drop_rows\"`, `{{ fill = \"mean\" }}` or \
         `{{ fill = {{ constant = {{ value = 0.0 }} }} }}`"
    )]
    MissingValues {
        /// `training` or `test`, as loaded.
        table: &'static str,
        /// Row of the table, from 1.
        row: usize,
        /// The column.
        column: String,
        /// How many values are missing in the table.
        n_missing: usize,
        /// Rows with at least one missing value.
        n_rows: usize,
    },
    /// An infinite value.
    #[error(
        "{table} row {row}, column `{column}`: the value is infinite\n\
         hint: correct the file, or list the column in `drop_columns`"
    )]
    Infinite {
        /// `training` or `test`, as loaded.
        table: &'static str,
        /// Row of the table, from 1.
        row: usize,
        /// The column.
        column: String,
    },
    /// A column that can't be filled because nothing is known of it.
    #[error(
        "column `{column}` has no value in any training row, so it has no mean\n\
         hint: list it in `drop_columns`, or fill with a constant"
    )]
    NothingToFillFrom {
        /// The column.
        column: String,
    },
    /// All columns constant.
    #[error(
        "all {n_features} columns are constant in the training rows: there is nothing to learn\n\
         hint: is it the right file, and are its columns read as intended?"
    )]
    AllConstant {
        /// Number of columns.
        n_features: usize,
    },
    /// Scaling left the range of `f32`.
    #[error(
        "scaled values reach from {low} to {high}, which is beyond 32-bit floats\n\
         hint: set `preprocess.numeric` to `\"standard\"`, or drop the column with huge values"
    )]
    Overflow {
        /// Smallest scaled training value.
        low: f32,
        /// Largest scaled training value.
        high: f32,
    },
    /// A matrix of the wrong width given to a preprocessor.
    #[error("the preprocessor was fitted on {expected} columns but was given {found}")]
    Width {
        /// Columns it was fitted on.
        expected: usize,
        /// Columns it was given.
        found: usize,
    },
    /// Missing values given to a preprocessor that doesn't fill.
    #[error(
        "row {row}, column `{column}`: the value is missing or infinite\n\
         hint: this preprocessor was fitted without `fill`; complete the row or leave it out"
    )]
    Unfillable {
        /// Row of the matrix, from 1.
        row: usize,
        /// The column.
        column: String,
    },
    /// Someone pressed Ctrl-C.
    #[error("interrupted while {what}\nhint: start again; what is already here is kept")]
    Interrupted {
        /// What was going on.
        what: String,
    },
}

impl Error {
    /// The key of the pipeline file to blame, where there is one.
    pub fn field(&self) -> Option<&str> {
        match self {
            Error::Config { field, .. } => Some(field),
            Error::MissingColumn { field, .. } => Some(field),
            Error::EmptyPart { field, .. } | Error::Expression { field, .. } => Some(field),
            Error::UnknownDataset { .. } => Some("data.catalog.name"),
            _ => None,
        }
    }

    pub(crate) fn config(
        field: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Error::Config { field: field.into(), problem: problem.into(), hint: hint.into() }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Error::Io { action, path, source }
    }
}

fn io_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => {
            "paths in a pipeline file are relative to that file; check the spelling"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "check the permissions, or choose another folder"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space, then start again; what is already here is kept"
        }
        _ => "check the path and the disk",
    }
}

/// `hint:` text for a name that isn't among `names`: the nearest, or all where none is near.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let best = names
        .clone()
        .map(|name| (strsim::jaro_winkler(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, name)) if likeness > 0.75 => format!("did you mean `{name}`?"),
        _ => {
            // A table may have hundreds of columns; a line holds about a dozen names.
            let listed: Vec<_> = names.clone().take(12).map(|name| format!("`{name}`")).collect();
            let more = if names.count() > listed.len() { ", ..." } else { "" };
            format!("there is {}{more}", listed.join(", "))
        }
    }
}
