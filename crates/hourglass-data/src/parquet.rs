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

#[cfg(test)]
mod tests {
    use hourglass_core::{Interrupt, Seed, Silent, Targets};
    use ndarray::array;
    use polars::prelude::{Column, ParquetWriter};

    use super::*;
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
        assert_eq!(train.features, Features::Floats(array![[1.5, 3.0, 1.0], [2.5, -4.0, 0.0]]));
        assert_eq!(train.feature_names, ["a", "b", "c"]);
        let names = vec!["no".to_owned(), "yes".to_owned()];
        assert_eq!(train.targets, Targets::Classes { ids: vec![0, 1], names });
    }

    #[test]
    fn unusable_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let text = |name: &str| Column::new(name.into(), ["red"]);
        write(dir.path(), vec![text("x"), text("y"), text("id")]);
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("row 1: column `x` holds `red`, which is no number"), "{error}");
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
}
