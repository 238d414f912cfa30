//! Which data a `[data]` table means on this machine: local files, a download, or the fallback; and
//! reading it. It changes no value.

use std::path::{Path, PathBuf};

use hourglass_core::{Interrupt, Progress, Seed};

use crate::catalog::{Checksum, DataFile, Entry, Format, find};
use crate::config::{
    Builtin, CsvSource, DataConfig, IdxSource, Locations, OfflineConfig, ParquetSource,
    SyntheticSource,
};
use crate::content::{self, Content};
use crate::download::{Patience, obtain};
use crate::error::Error;
use crate::table::{Loaded, Origin, Provenance, SourceFile, Table};
use crate::{builtin, csv, frame, idx, parquet, synthetic};

/// Written into every fingerprint; raise it when the same bytes are read differently.
const READER_VERSION: &str = "hourglass-data 1";

/// A source that is at hand: what to fingerprint and what to load.
#[derive(Clone, Debug)]
pub struct Resolved {
    source: Source,
    fallback: Option<String>,
}

/// Paths are as they are opened.
#[derive(Clone, Debug)]
enum Source {
    Catalog { entry: Entry, found: Found },
    Idx(IdxSource),
    Csv(CsvSource),
    Parquet(ParquetSource),
    Synthetic(SyntheticSource),
    Builtin(Builtin),
}

/// The files of a data set, in the order of its entry.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub files: Vec<PathBuf>,
    origin: Origin,
}

impl Found {
    pub(crate) fn local(files: Vec<PathBuf>) -> Self {
        Found { files, origin: Origin::LocalFolder }
    }

    pub(crate) fn downloaded(files: Vec<PathBuf>) -> Self {
        Found { files, origin: Origin::Downloaded }
    }
}

/// Finds the data, downloading it where it isn't here, and settles for `data.offline` where that
/// fails. Paths of the configuration are relative to the folder `base`.
///
/// Call it once, then take the fingerprint and the data from what it gives: both speak of the same
/// source then, whatever happens to the network in between.
///
/// # Errors
/// Those of [`DataConfig::check`] and, without `data.offline`, of [`download`](crate::download).
pub fn resolve(
    config: &DataConfig,
    base: &Path,
    locations: &Locations,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Resolved, Error> {
    settle(config, base, |entry| obtain(entry, locations, Patience::USUAL, progress, interrupt))
}

/// Like [`resolve`], as if there were no network: for a look at what a run would do.
///
/// # Errors
/// As [`resolve`].
pub fn locate(config: &DataConfig, base: &Path, locations: &Locations) -> Result<Resolved, Error> {
    settle(config, base, |entry| {
        let files = find_files(entry, locations);
        let missing = files.iter().position(Option::is_none);
        match missing {
            Some(missing) => Err(not_here(entry, &entry.files[missing], locations)),
            None => Ok(Found::local(files.into_iter().flatten().collect())),
        }
    })
}

/// Finds the data ([`resolve`]) and reads it ([`Resolved::load`]).
///
/// # Errors
/// Those of both.
pub fn load(
    config: &DataConfig,
    base: &Path,
    locations: &Locations,
    seed: Seed,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Loaded, Error> {
    resolve(config, base, locations, progress, interrupt)?.load(seed, interrupt)
}

/// A hash of what [`load`] would read without network: [`locate`], then [`Resolved::fingerprint`].
///
/// # Errors
/// Those of both.
pub fn fingerprint(
    config: &DataConfig,
    base: &Path,
    locations: &Locations,
    seed: Seed,
) -> Result<String, Error> {
    locate(config, base, locations)?.fingerprint(seed)
}

fn settle(
    config: &DataConfig,
    base: &Path,
    obtain: impl FnOnce(&Entry) -> Result<Found, Error>,
) -> Result<Resolved, Error> {
    config.check()?;
    let at = |path: &PathBuf| base.join(path);
    let source = match config {
        DataConfig { catalog: Some(catalog), .. } => {
            return settle_catalog(find(&catalog.name)?, config.offline.as_ref(), obtain);
        }
        DataConfig { idx: Some(idx), .. } => Source::Idx(IdxSource {
            train_images: at(&idx.train_images),
            train_labels: at(&idx.train_labels),
            test_images: idx.test_images.as_ref().map(at),
            test_labels: idx.test_labels.as_ref().map(at),
        }),
        DataConfig { csv: Some(csv), .. } => Source::Csv(CsvSource {
            path: at(&csv.path),
            test_path: csv.test_path.as_ref().map(at),
            ..csv.clone()
        }),
        DataConfig { parquet: Some(parquet), .. } => Source::Parquet(ParquetSource {
            path: at(&parquet.path),
            test_path: parquet.test_path.as_ref().map(at),
            ..parquet.clone()
        }),
        DataConfig { synthetic: Some(synthetic), .. } => Source::Synthetic(synthetic.clone()),
        DataConfig { builtin: Some(builtin), .. } => Source::Builtin(builtin.dataset),
        _ => unreachable!("`check` has made sure that there is a source"),
    };
    Ok(Resolved { source, fallback: None })
}

pub(crate) fn settle_catalog(
    entry: Entry,
    offline: Option<&OfflineConfig>,
    obtain: impl FnOnce(&Entry) -> Result<Found, Error>,
) -> Result<Resolved, Error> {
    let error = match obtain(&entry) {
        Ok(found) => {
            return Ok(Resolved { source: Source::Catalog { entry, found }, fallback: None });
        }
        Err(error) => error,
    };
    let out_of_reach = matches!(error, Error::NotHere { .. } | Error::Download { .. });
    match offline.and_then(|offline| offline.builtin) {
        Some(builtin) if out_of_reach => {
            let said = error.to_string();
            let reason = said.split("\nhint:").next().unwrap_or(&said).to_owned();
            Ok(Resolved { source: Source::Builtin(builtin.dataset), fallback: Some(reason) })
        }
        _ => Err(error),
    }
}

/// Where each file of a data set lies, if anywhere. Folders named after the data set come first:
/// several data sets use the same file names.
pub(crate) fn find_files(entry: &Entry, locations: &Locations) -> Vec<Option<PathBuf>> {
    let dirs = || locations.data_dirs.iter().chain([&locations.download_dir]);
    let folders: Vec<PathBuf> =
        dirs().map(|dir| dir.join(&entry.name)).chain(dirs().cloned()).collect();
    let find = |file: &DataFile| {
        let packed = format!("{}.gz", file.name);
        // Where only the gzip file's checksum is known, a plain file can't be verified.
        let plain = match file.checksum() {
            Some(Checksum::Gzip(_)) => None,
            _ => Some(file.name.as_str()),
        };
        let names = [Some(packed.as_str()), plain];
        let mut paths = folders
            .iter()
            .flat_map(|folder| names.into_iter().flatten().map(move |name| folder.join(name)));
        paths.find(|path| path.is_file())
    };
    entry.files.iter().map(find).collect()
}

/// The error for a file that is in none of the folders.
pub(crate) fn not_here(entry: &Entry, file: &DataFile, locations: &Locations) -> Error {
    let mut dirs: Vec<&PathBuf> = locations.data_dirs.iter().collect();
    if !dirs.contains(&&locations.download_dir) {
        dirs.push(&locations.download_dir);
    }
    let searched: Vec<String> = dirs.iter().map(|dir| format!("`{}`", dir.display())).collect();
    Error::NotHere {
        dataset: entry.name.clone(),
        file: file.name.clone(),
        searched: searched.join(", "),
    }
}

impl Resolved {
    /// Why the offline data is taken instead of the data the configuration asks for, or `None`.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// A hash of everything that decides what [`Resolved::load`] gives: the bytes of the files as
    /// they lie on the disk, how they are read, and the seed where it matters. The fallback has
    /// another than the data it stands for.
    ///
    /// # Errors
    /// [`Error::Io`] where a file can't be read.
    pub fn fingerprint(&self, seed: Seed) -> Result<String, Error> {
        let mut hasher = blake3::Hasher::new();
        let mut add = |what: &str| {
            hasher.update(&(what.len() as u64).to_le_bytes());
            hasher.update(what.as_bytes());
        };
        add(READER_VERSION);
        match &self.source {
            Source::Catalog { entry, .. } => {
                add("catalog");
                add(&json(entry));
            }
            Source::Idx(_) => add("idx"),
            // The content counts, not where it lies.
            Source::Csv(csv) => {
                add("csv");
                let (path, test_path) = (PathBuf::new(), None);
                add(&json(&CsvSource { path, test_path, ..csv.clone() }));
            }
            Source::Parquet(parquet) => {
                add("parquet");
                let (path, test_path) = (PathBuf::new(), None);
                add(&json(&ParquetSource { path, test_path, ..parquet.clone() }));
            }
            Source::Synthetic(synthetic) => {
                add("synthetic");
                add(&json(synthetic));
                add(&seed.value().to_string());
            }
            Source::Builtin(dataset) => {
                add("builtin");
                add(&json(dataset));
            }
        }
        for path in self.files() {
            // Files are added by their hashes, so that no byte can wander from one to the next.
            let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
            hasher.update(blake3::hash(&bytes).as_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Reads the data, verifying checksums where they are known.
    ///
    /// # Errors
    /// Those of the formats: damaged, truncated or mismatched files, with the place.
    pub fn load(&self, seed: Seed, interrupt: &Interrupt) -> Result<Loaded, Error> {
        let mut loaded = match &self.source {
            Source::Catalog { entry, found } => load_catalog(entry, found, interrupt)?,
            Source::Idx(source) => load_idx(source)?,
            Source::Csv(source) => load_csv(source)?,
            Source::Parquet(source) => load_parquet(source)?,
            Source::Synthetic(source) => {
                let (train, provenance) = synthetic::load(source, seed);
                Loaded { train, test: None, provenance }
            }
            Source::Builtin(dataset) => {
                let (train, provenance) = builtin::load(*dataset);
                Loaded { train, test: None, provenance }
            }
        };
        loaded.provenance.fallback.clone_from(&self.fallback);
        Ok(loaded)
    }

    /// The files that are read, in a fixed order.
    fn files(&self) -> Vec<&PathBuf> {
        let and_test = |path, test_path| [Some(path), test_path].into_iter().flatten().collect();
        match &self.source {
            Source::Catalog { found, .. } => found.files.iter().collect(),
            Source::Idx(idx) => {
                let IdxSource { train_images, train_labels, test_images, test_labels } = idx;
                let test = [test_images, test_labels].into_iter().flatten();
                [train_images, train_labels].into_iter().chain(test).collect()
            }
            Source::Csv(csv) => and_test(&csv.path, csv.test_path.as_ref()),
            Source::Parquet(parquet) => and_test(&parquet.path, parquet.test_path.as_ref()),
            Source::Synthetic(_) | Source::Builtin(_) => Vec::new(),
        }
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a configuration has nothing that JSON can't hold")
}

fn load_catalog(entry: &Entry, found: &Found, interrupt: &Interrupt) -> Result<Loaded, Error> {
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
    let how = match found.origin {
        Origin::Downloaded => "downloaded to",
        _ => "read from",
    };
    let provenance = Provenance {
        dataset: entry.name.clone(),
        origin: found.origin,
        fallback: None,
        sentence: format!("{}: {}, {how} `{}`", entry.title, entry.description, folder.display()),
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
    let images = idx::images(images, images_path)?;
    let labels = idx::labels(labels, labels_path)?;
    idx::table((images, images_path), (labels, labels_path), class_of, names)
}

fn load_idx(source: &IdxSource) -> Result<Loaded, Error> {
    let mut files = Vec::new();
    let mut read = |path: &PathBuf| {
        let content = content::read(path, None)?;
        files.push(content.file.clone());
        Ok(content)
    };
    let mut pair = |images_path: &PathBuf, labels_path: &PathBuf| {
        let images = idx::images(read(images_path)?, images_path)?;
        let labels = idx::labels(read(labels_path)?, labels_path)?;
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
        idx::table((images, images_path), (labels, labels_path), &class_of, &names)
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

fn load_csv(source: &CsvSource) -> Result<Loaded, Error> {
    let roles = frame::Roles {
        target_field: "data.csv.target",
        drop_field: "data.csv.drop_columns",
        target: &source.target,
        drop_columns: &source.drop_columns,
        missing: &source.missing,
    };
    load_tables(&source.path, source.test_path.as_ref(), &roles, |path| {
        let content = content::read(path, None)?;
        let file = content.file.clone();
        let csv::Csv { frame, lines } = csv::parse(content, path, source)?;
        Ok((frame::Source { frame, path, lines: Some(lines) }, file))
    })
}

fn load_parquet(source: &ParquetSource) -> Result<Loaded, Error> {
    let roles = frame::Roles {
        target_field: "data.parquet.target",
        drop_field: "data.parquet.drop_columns",
        target: &source.target,
        drop_columns: &source.drop_columns,
        missing: &[],
    };
    load_tables(&source.path, source.test_path.as_ref(), &roles, |path| {
        let file = content::read(path, None)?.file;
        Ok((frame::Source { frame: parquet::read(path)?, path, lines: None }, file))
    })
}

fn load_tables<'a>(
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
            path.display()
        ),
        files,
        licence: None,
        citation: None,
    }
}
