//! Reading the files of a source into tables, with what to say of where they came from. It searches
//! for nothing; `resolve.rs` does.

use std::path::{Path, PathBuf};

use hourglass_core::Interrupt;

use crate::catalog::{Entry, Format};
use crate::config::{CsvSource, IdxSource, ParquetSource};
use crate::content::{self, Content};
use crate::csv::Csv;
use crate::error::Error;
use crate::frame;
use crate::resolve::Found;
use crate::table::{Loaded, Origin, Provenance, SourceFile, Table};

/// Reads a data set of the catalogue and compares its checksums.
pub(crate) fn catalog(
    entry: &Entry,
    found: &Found,
    interrupt: &Interrupt,
) -> Result<Loaded, Error> {
    let Format::Idx { train_images, train_labels, test_images, test_labels } = &entry.format;
    let mut files = Vec::new();
    let mut read = |name: &String| {
        if interrupt.is_raised() {
            return Err(Error::Interrupted { what: format!("reading {}", entry.name) });
        }
        let at = entry.files.iter().position(|file| file.name == *name);
        let at = at.expect("a test compares the format's files with the entry's");
        let path = &found.files[at];
        let content = content::read(path, entry.files[at].checksum().as_ref())?;
        files.push(content.file.clone());
        Ok((content, path.as_path()))
    };
    let mut class_of = [None; 256];
    (0..entry.classes.len()).zip(0..).for_each(|(label, class)| class_of[label] = Some(class));
    let mut part = |images, labels| {
        let (images, labels) = (read(images)?, read(labels)?);
        idx_table(images, labels, &class_of, &entry.classes)
    };
    let train = part(train_images, train_labels)?;
    let test = part(test_images, test_labels)?;
    let folder = found.files[0].parent().unwrap_or(Path::new("."));
    tracing::info!(folder = %folder.display(), "files found");
    // No path: the report says the same wherever the data lies.
    let how = match found.origin {
        Origin::Downloaded => "downloaded",
        _ => "from a local folder",
    };
    let provenance = Provenance {
        dataset: entry.name.clone(),
        origin: found.origin,
        fallback: None,
        sentence: format!("{}: {}, {how}, checksums verified", entry.title, entry.description),
        files,
        licence: Some(entry.licence.clone()),
        citation: Some(entry.citation.clone()),
    };
    Ok(Loaded { train, test: Some(test), provenance })
}

fn idx_table(
    (images, images_path): (Content, &Path),
    (labels, labels_path): (Content, &Path),
    class_of: &[Option<u32>; 256],
    names: &[String],
) -> Result<Table, Error> {
    let images = crate::idx::images(images, images_path)?;
    let labels = crate::idx::labels(labels, labels_path)?;
    crate::idx::table((images, images_path), (labels, labels_path), class_of, names)
}

/// Reads images and labels; the classes are the numbers that occur.
pub(crate) fn idx(source: &IdxSource) -> Result<Loaded, Error> {
    let mut files = Vec::new();
    let mut read = |path: &PathBuf| {
        let content = content::read(path, None)?;
        files.push(content.file.clone());
        Ok(content)
    };
    let mut pair = |images_path: &PathBuf, labels_path: &PathBuf| {
        let images = crate::idx::images(read(images_path)?, images_path)?;
        let labels = crate::idx::labels(read(labels_path)?, labels_path)?;
        Ok((images, labels))
    };
    let train = pair(&source.train_images, &source.train_labels)?;
    let test = match (&source.test_images, &source.test_labels) {
        (Some(images), Some(labels)) => Some((pair(images, labels)?, images, labels)),
        _ => None,
    };
    // The files name no classes: they are the numbers that occur.
    let mut occurs = [false; 256];
    let test_labels = test.iter().flat_map(|((_, labels), ..)| labels);
    train.1.iter().chain(test_labels).for_each(|&label| occurs[usize::from(label)] = true);
    let labels: Vec<usize> = (0..256).filter(|&label| occurs[label]).collect();
    let names: Vec<String> = labels.iter().map(usize::to_string).collect();
    let mut class_of = [None; 256];
    labels.iter().zip(0..).for_each(|(&label, class)| class_of[label] = Some(class));

    let table = |(images, labels), images_path: &Path, labels_path: &Path| {
        crate::idx::table((images, images_path), (labels, labels_path), &class_of, &names)
    };
    let train = table(train, &source.train_images, &source.train_labels)?;
    let test = match test {
        Some((pair, images, labels)) => Some(table(pair, images, labels)?),
        None => None,
    };
    if let Some(test) = test.as_ref().filter(|test| test.shape != train.shape) {
        let path = source.test_images.clone().unwrap_or_default();
        let problem =
            format!("its images are {:?} where training has {:?}", test.shape, train.shape);
        return Err(Error::Idx { path, problem });
    }
    let provenance = file_provenance(&source.train_images, &train, test.as_ref(), files);
    Ok(Loaded { train, test, provenance })
}

/// Reads CSV files.
pub(crate) fn csv(source: &CsvSource) -> Result<Loaded, Error> {
    let roles = frame::Roles {
        target_field: "data.csv.target",
        drop_field: "data.csv.drop_columns",
        target: &source.target,
        drop_columns: &source.drop_columns,
        missing: &source.missing,
    };
    tables(&source.path, source.test_path.as_ref(), &roles, |path| {
        let content = content::read(path, None)?;
        let file = content.file.clone();
        let Csv { frame, lines } = crate::csv::parse(content, path, source)?;
        Ok((frame::Source { frame, path, lines: Some(lines) }, file))
    })
}

/// Reads Parquet files.
pub(crate) fn parquet(source: &ParquetSource) -> Result<Loaded, Error> {
    let roles = frame::Roles {
        target_field: "data.parquet.target",
        drop_field: "data.parquet.drop_columns",
        target: &source.target,
        drop_columns: &source.drop_columns,
        missing: &[],
    };
    tables(&source.path, source.test_path.as_ref(), &roles, |path| {
        let file = content::read(path, None)?.file;
        Ok((frame::Source { frame: crate::parquet::read(path)?, path, lines: None }, file))
    })
}

fn tables<'a>(
    path: &'a Path,
    test_path: Option<&'a PathBuf>,
    roles: &frame::Roles<'_>,
    read: impl Fn(&'a Path) -> Result<(frame::Source<'a>, SourceFile), Error>,
) -> Result<Loaded, Error> {
    let (train, file) = read(path)?;
    let mut files = vec![file];
    let test = match test_path {
        None => None,
        Some(path) => {
            let (test, file) = read(path)?;
            files.push(file);
            Some(test)
        }
    };
    let (train, test) = frame::tables(&train, test.as_ref(), roles)?;
    let provenance = file_provenance(path, &train, test.as_ref(), files);
    Ok(Loaded { train, test, provenance })
}

fn file_provenance(
    path: &Path,
    train: &Table,
    test: Option<&Table>,
    files: Vec<SourceFile>,
) -> Provenance {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let and_test = test.map_or(String::new(), |test| format!(" and {} test rows", test.n_rows()));
    let n_classes = train.targets.class_names().map_or(0, <[String]>::len);
    Provenance {
        dataset: stem.unwrap_or_default(),
        origin: Origin::File,
        fallback: None,
        sentence: format!(
            "{} rows{and_test} with {} features and {n_classes} classes, read from `{}`",
            train.n_rows(),
            train.n_features(),
            path.file_name().unwrap_or_default().display()
        ),
        files,
        licence: None,
        citation: None,
    }
}
