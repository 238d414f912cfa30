//! Small tables of results as Parquet files: columns of numbers or of text, in which anything may
//! be missing. It knows nothing of what they mean.

use std::fs::File;
use std::path::Path;

use polars::prelude::{Column, DataFrame, ParquetWriter};

use crate::error::Error;

/// The cells of a column that is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Numbers.
    Floats(Vec<Option<f64>>),
    /// Whole numbers.
    Integers(Vec<Option<i64>>),
    /// Text.
    Texts(Vec<Option<String>>),
}

/// Writes named columns of one length as a Parquet file.
///
/// # Errors
/// [`Error::Io`] if the file can't be written, [`Error::Table`] if the columns don't make a table.
pub fn write_parquet(path: &Path, columns: Vec<(String, Cells)>) -> Result<(), Error> {
    let column = |(name, cells): (String, Cells)| match cells {
        Cells::Floats(cells) => Column::new(name.into(), cells),
        Cells::Integers(cells) => Column::new(name.into(), cells),
        Cells::Texts(cells) => Column::new(name.into(), cells),
    };
    let wrong = |source| Error::Table {
        path: path.to_path_buf(),
        format: "Parquet",
        source: Box::new(source),
    };
    let columns: Vec<Column> = columns.into_iter().map(column).collect();
    let mut frame = DataFrame::new_infer_height(columns).map_err(wrong)?;
    let file = File::create(path).map_err(Error::io("create", path))?;
    ParquetWriter::new(file).finish(&mut frame).map_err(wrong)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trials.parquet");
        let columns = vec![
            ("number".to_owned(), Cells::Integers(vec![Some(0), Some(1)])),
            ("value".to_owned(), Cells::Floats(vec![Some(0.5), None])),
            ("state".to_owned(), Cells::Texts(vec![Some("complete".to_owned()), None])),
        ];
        write_parquet(&path, columns).unwrap();
        let frame = crate::parquet::TypedFormat::Parquet.read(&path).unwrap();
        assert_eq!(frame.shape(), (2, 3));
        assert_eq!(frame.column("value").unwrap().null_count(), 1);
        assert_eq!(frame.column("state").unwrap().str().unwrap().get(0), Some("complete"));
    }

    #[test]
    fn columns_of_different_lengths_are_no_table() {
        let dir = tempfile::tempdir().unwrap();
        let columns = vec![
            ("a".to_owned(), Cells::Integers(vec![Some(0)])),
            ("b".to_owned(), Cells::Integers(Vec::new())),
        ];
        assert!(write_parquet(&dir.path().join("x.parquet"), columns).is_err());
    }
}
