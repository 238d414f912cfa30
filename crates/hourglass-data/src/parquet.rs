//! Files whose columns have types of their own: Parquet and Arrow IPC. It does not interpret
//! columns: `frame.rs` does.

use std::fs::File;
use std::path::Path;

use polars::prelude::{DataFrame, IpcReader, ParquetReader, SerReader};

use crate::error::Error;

/// The formats with typed columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypedFormat {
    Parquet,
    Arrow,
}

impl TypedFormat {
    /// Where its keys stand in a pipeline file.
    pub(crate) fn section(self) -> &'static str {
        match self {
            TypedFormat::Parquet => "data.parquet",
            TypedFormat::Arrow => "data.arrow",
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::EmptyFile`], [`Error::Table`].
    pub(crate) fn read(self, path: &Path) -> Result<DataFrame, Error> {
        let file = open(path)?;
        let (frame, format) = match self {
            TypedFormat::Parquet => (ParquetReader::new(file).finish(), "Parquet"),
            TypedFormat::Arrow => (IpcReader::new(file).finish(), "Arrow IPC"),
        };
        frame.map_err(|source| refused(path, format, source))
    }
}

/// Opens a file that isn't empty.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    if file.metadata().map_err(Error::io("read", path))?.len() == 0 {
        return Err(Error::EmptyFile { path: path.to_path_buf() });
    }
    Ok(file)
}

pub(crate) fn refused(
    path: &Path,
    format: &'static str,
    source: polars::error::PolarsError,
) -> Error {
    Error::Table { path: path.to_path_buf(), format, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Interrupt, Seed, Silent, Targets};
    use polars::prelude::{Column, DataType, IpcWriter, ParquetWriter, SerWriter};

    use super::*;
    use crate::column;
    use crate::config::{DataConfig, Locations};
    use crate::table::{Features, Loaded};

    fn load(dir: &Path) -> Result<Loaded, Error> {
        let text = "[parquet]\npath = 'a.parquet'\ntarget = 'y'\ndrop_columns = ['id']";
        let config: DataConfig = toml::from_str(text).unwrap();
        let locations = Locations::usual(None, true);
        crate::load(&config, dir, &locations, Seed::new(0), &Silent, &Interrupt::new())
    }

    fn write(dir: &Path, columns: Vec<Column>) {
        let mut frame = DataFrame::new_infer_height(columns).unwrap();
        let file = File::create(dir.join("a.parquet")).unwrap();
        ParquetWriter::new(file).finish(&mut frame).unwrap();
    }

    #[test]
    fn columns_become_numbers_and_classes() {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            vec![
                Column::new("a".into(), [1.5_f64, 2.5]),
                Column::new("y".into(), ["no", "yes"]),
                Column::new("id".into(), ["r1", "r2"]),
                Column::new("b".into(), [3_i64, -4]),
                Column::new("c".into(), [true, false]),
            ],
        );
        let train = load(dir.path()).unwrap().train;
        let expected = vec![
            column::Column::Numbers(vec![1.5, 2.5]),
            column::Column::Numbers(vec![3.0, -4.0]),
            column::Column::Booleans(vec![Some(true), Some(false)]),
        ];
        assert_eq!(train.features, Features::Columns(expected));
        assert_eq!(train.feature_names, ["a", "b", "c"]);
        let names = vec!["no".to_owned(), "yes".to_owned()];
        assert_eq!(train.targets, Targets::Classes { ids: vec![0, 1], names });
    }

    #[test]
    fn unusable_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let text = |name: &str| Column::new(name.into(), ["1", "red"]);
        write(dir.path(), vec![text("x"), text("y"), text("id")]);
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("row 2: column `x` holds `red`, which is no number"), "{error}");
        let path = dir.path().join("a.parquet");
        let whole = std::fs::read(&path).unwrap();
        for (bytes, said) in [
            (&whole[..whole.len() / 2], "cannot be read as Parquet"),
            (b"a,b\n1,2\n", "cannot be read as Parquet"),
            (b"", "is empty"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = load(dir.path()).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("a.parquet"), "{error}");
        }
    }

    #[test]
    fn arrow_files_keep_dates_and_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let days = Column::new("day".into(), [Some(0_i32), None, Some(19_782)]);
        let columns = vec![
            days.cast(&DataType::Date).unwrap(),
            Column::new("colour".into(), [Some("red"), Some("-1"), None]),
            Column::new("y".into(), [0.5_f64, 1.5, 2.5]),
        ];
        let mut frame = DataFrame::new_infer_height(columns).unwrap();
        let file = File::create(dir.path().join("a.arrow")).unwrap();
        IpcWriter::new(file).finish(&mut frame).unwrap();
        let text = "[arrow]\npath = 'a.arrow'\ntarget = 'y'\ntask = 'regression'\nmissing = ['-1']";
        let config: DataConfig = toml::from_str(text).unwrap();
        let locations = Locations::usual(None, true);
        let (seed, interrupt) = (Seed::new(0), Interrupt::new());
        let load = || crate::load(&config, dir.path(), &locations, seed, &Silent, &interrupt);
        let train = load().unwrap().train;
        assert_eq!(train.targets, Targets::Values(vec![0.5, 1.5, 2.5]));
        let Features::Columns(columns) = &train.features else { unreachable!() };
        assert_eq!((columns[0].kind(), columns[1].kind()), ("date", "categorical"));
        let gaps: Vec<bool> = (0..3).map(|row| columns[1].is_missing(row)).collect();
        assert_eq!((columns[0].is_missing(1), gaps), (true, vec![false, true, true]));
        let path = dir.path().join("a.arrow");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.contains("cannot be read as Arrow IPC"), "{error}");
    }
}
