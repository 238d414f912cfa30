//! Reading the files of a source into tables, with what to say of where they came from. It searches
//! for nothing; `resolve.rs` does.

use std::path::{Path, PathBuf};

use hourglass_core::Interrupt;

use crate::catalog::{Entry, Format};
use crate::config::{CsvSource, IdxSource, TableFile};
use crate::content::{self, Content};
use crate::csv::Csv;
use crate::error::Error;
use crate::frame::{self, Reading};
use crate::parquet::TypedFormat;
use crate::resolve::Found;
use crate::table::{Loaded, Origin, Provenance, SourceFile, Table};

/// Reads a data set of the catalogue and compares its checksums.
pub(crate) fn catalog(
    entry: &Entry,
    found: &Found,
    reading: &Reading,
    interrupt: &Interrupt,
) -> Result<Loaded, Error> {
    let at = |name: &Path| {
        let at = entry.files.iter().position(|file| Path::new(&file.name) == name);
        at.expect("a test compares the format's files with the entry's")
    };
    let mut files = Vec::new();
    let mut read = |path: &Path| {
        if interrupt.is_raised() {
            return Err(Error::Interrupted { what: format!("reading {}", entry.name) });
        }
        let file = found.files.iter().position(|found| found == path);
        let checksum = file.and_then(|file| entry.files[file].checksum());
        let content = content::read(path, checksum.as_ref())?;
        files.push(content.file.clone());
        Ok(content)
    };
    let (train, test) = match &entry.format {
        Format::Idx { train_images, train_labels, test_images, test_labels } => {
            let mut class_of = [None; 256];
            (0..entry.classes.len()).zip(0..).for_each(|(label, id)| class_of[label] = Some(id));
            let mut part = |images: &String, labels: &String| {
                let path = |name: &String| found.files[at(Path::new(name))].as_path();
                let (images, labels) = (path(images), path(labels));
                let (pixels, classes) = ((read(images)?, images), (read(labels)?, labels));
                idx_table(pixels, classes, &class_of, &entry.classes)
            };
            (part(train_images, train_labels)?, Some(part(test_images, test_labels)?))
        }
        Format::Csv(csv) => {
            let path = |name: &PathBuf| found.files[at(name)].clone();
            let source = CsvSource {
                path: path(&csv.path),
                test_path: csv.test_path.as_ref().map(path),
                target_path: csv.target_path.as_ref().map(path),
                test_target_path: csv.test_target_path.as_ref().map(path),
                ..csv.clone()
            };
            csv_tables(&source, "data", &entry.reading(reading), &mut read)?
        }
    };
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
    Ok(Loaded { train, test, provenance })
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
pub(crate) fn csv(source: &CsvSource, reading: &Reading) -> Result<Loaded, Error> {
    let mut files = Vec::new();
    let mut read = |path: &Path| {
        let content = content::read(path, None)?;
        files.push(content.file.clone());
        Ok(content)
    };
    let (train, test) = csv_tables(source, "data.csv", reading, &mut read)?;
    let provenance = file_provenance(&source.path, &train, test.as_ref(), files);
    Ok(Loaded { train, test, provenance })
}

fn csv_tables(
    source: &CsvSource,
    section: &str,
    reading: &Reading,
    read: &mut dyn FnMut(&Path) -> Result<Content, Error>,
) -> Result<(Table, Option<Table>), Error> {
    let mut part = |path, targets: Option<&PathBuf>| {
        let mut csv = crate::csv::parse(read(path)?, path, source)?;
        if let Some(targets) = targets {
            crate::csv::add_targets(&mut csv, read(targets)?, targets, source)?;
        }
        let Csv { frame, lines } = csv;
        Ok(frame::Source { frame, path, lines: Some(lines), before: 0 })
    };
    let train = part(&source.path, source.target_path.as_ref())?;
    let test = match &source.test_path {
        Some(path) => Some(part(path, source.test_target_path.as_ref())?),
        None => None,
    };
    let roles = frame::Roles {
        section,
        target: &source.target,
        task: source.task,
        drop_columns: &source.drop_columns,
        missing: &source.missing,
        strip_target: source.strip_target.as_deref(),
        reading,
    };
    frame::tables(train, test, &roles)
}

/// Reads files whose columns have types of their own.
pub(crate) fn typed(
    source: &TableFile,
    format: TypedFormat,
    reading: &Reading,
) -> Result<Loaded, Error> {
    let mut files = Vec::new();
    let mut part = |path| {
        files.push(content::fingerprint(path)?);
        Ok(frame::Source { frame: format.read(path)?, path, lines: None, before: 0 })
    };
    let train = part(source.path.as_path())?;
    let test = source.test_path.as_ref().map(|path| part(path)).transpose()?;
    let roles = frame::Roles {
        section: format.section(),
        target: &source.target,
        task: source.task,
        drop_columns: &source.drop_columns,
        missing: &source.missing,
        strip_target: None,
        reading,
    };
    let (train, test) = frame::tables(train, test, &roles)?;
    let provenance = file_provenance(&source.path, &train, test.as_ref(), files);
    Ok(Loaded { train, test, provenance })
}

pub(crate) fn file_provenance(
    path: &Path,
    train: &Table,
    test: Option<&Table>,
    files: Vec<SourceFile>,
) -> Provenance {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let and_test = test.map_or(String::new(), |test| format!(" and {} test rows", test.n_rows()));
    let predicted = match train.targets.class_names() {
        Some(names) => format!("{} classes", names.len()),
        None => "a number to predict".to_owned(),
    };
    Provenance {
        dataset: stem.unwrap_or_default(),
        origin: Origin::File,
        fallback: None,
        sentence: format!(
            "{} rows{and_test} with {} features and {predicted}, read from `{}`",
            train.n_rows(),
            train.n_features(),
            path.file_name().unwrap_or_default().display()
        ),
        files,
        licence: None,
        citation: None,
    }
}
