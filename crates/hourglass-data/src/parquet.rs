//! Parquet files. It does not interpret columns: `frame.rs` does.

use std::fs::File;
use std::path::Path;

use polars::prelude::{DataFrame, ParquetReader, SerReader};

use crate::error::Error;

/// Reads a Parquet file.
///
/// # Errors
/// [`Error::Io`], [`Error::EmptyFile`], [`Error::Table`].
pub(crate) fn read(path: &Path) -> Result<DataFrame, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    if file.metadata().map_err(Error::io("read", path))?.len() == 0 {
        return Err(Error::EmptyFile { path: path.to_path_buf() });
    }
    ParquetReader::new(file).finish().map_err(|source| Error::Table {
        path: path.to_path_buf(),
        format: "Parquet",
        source: Box::new(source),
    })
}
