//! Parquet files: small tables of results, in which anything may be missing, and matrices of any
//! length, batch by batch. It knows nothing of what they mean.

use std::fs::File;
use std::path::{Path, PathBuf};

use hourglass_core::{MatrixView, Targets};
use polars::io::parquet::write::BatchedWriter;
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
    let columns: Vec<Column> = columns.into_iter().map(column).collect();
    let mut frame = DataFrame::new_infer_height(columns).map_err(wrong(path))?;
    let file = File::create(path).map_err(Error::io("create", path))?;
    ParquetWriter::new(file).finish(&mut frame).map_err(wrong(path))?;
    Ok(())
}

/// A Parquet file of rows that come in batches, each of which becomes a row group.
pub struct RowWriter {
    path: PathBuf,
    names: Vec<String>,
    writer: Option<BatchedWriter<File>>,
}

impl RowWriter {
    /// A file with these columns of numbers; it is made with the first batch.
    pub fn new(path: &Path, names: Vec<String>) -> Self {
        RowWriter { path: path.to_owned(), names, writer: None }
    }

    /// Adds rows, with a column `target` behind the numbers, and one of text where it is given.
    ///
    /// # Shapes
    /// - `rows`: `(n_rows, n_names)`; `targets`, `text`: one a row
    ///
    /// # Errors
    /// [`Error::Io`] if the file can't be written, [`Error::Table`] if the columns don't make a
    /// table, or not the one of the first batch.
    pub fn write(
        &mut self,
        rows: MatrixView<'_>,
        targets: &Targets,
        text: Option<(&str, Vec<&str>)>,
    ) -> Result<(), Error> {
        let named = self.names.iter().zip(rows.columns());
        let mut columns: Vec<Column> =
            named.map(|(name, values)| Column::new(name.into(), values.to_vec())).collect();
        columns.push(match targets {
            Targets::Values(values) => Column::new("target".into(), values),
            Targets::Classes { ids, names } => {
                let names: Vec<&str> = ids.iter().map(|&id| names[id as usize].as_str()).collect();
                Column::new("target".into(), names)
            }
        });
        columns.extend(text.map(|(name, cells)| Column::new(name.into(), cells)));
        let frame = DataFrame::new_infer_height(columns).map_err(wrong(&self.path))?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let file = File::create(&self.path).map_err(Error::io("create", &self.path))?;
                let writer = ParquetWriter::new(file).batched(frame.schema());
                self.writer.insert(writer.map_err(wrong(&self.path))?)
            }
        };
        writer.write_batch(&frame).map_err(wrong(&self.path))
    }

    /// Writes what stands at the end of the file, without which it can't be read.
    ///
    /// # Errors
    /// As [`RowWriter::write`].
    pub fn finish(self) -> Result<(), Error> {
        match self.writer {
            Some(writer) => writer.finish().map(drop).map_err(wrong(&self.path)),
            None => Ok(()),
        }
    }
}

fn wrong(path: &Path) -> impl FnOnce(polars::prelude::PolarsError) -> Error {
    let path = path.to_owned();
    |source| Error::Table { path, format: "Parquet", source: Box::new(source) }
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
    fn batches_of_rows_are_read_as_one_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.parquet");
        let mut writer = RowWriter::new(&path, vec!["a".to_owned(), "b".to_owned()]);
        let names = vec!["no".to_owned(), "yes".to_owned()];
        for ids in [vec![0, 1, 1], vec![0]] {
            let rows = hourglass_core::Matrix::from_elem((ids.len(), 2), 0.5);
            let parts = vec!["train"; ids.len()];
            let targets = Targets::Classes { ids, names: names.clone() };
            writer.write(rows.view(), &targets, Some(("part", parts))).unwrap();
        }
        writer.finish().unwrap();
        let frame = crate::parquet::TypedFormat::Parquet.read(&path).unwrap();
        assert_eq!(frame.shape(), (4, 4));
        let target = frame.column("target").unwrap();
        assert_eq!(target.str().unwrap().get(2), Some("yes"));
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
