//! The catalogue of public data sets: names, mirrors, checksums, licences, citations. It neither
//! searches folders nor downloads.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hourglass_core::Task;
use serde::{Deserialize, Serialize};

use crate::config::CsvSource;
use crate::error::{Error, nearest};
use crate::frame::Reading;
use crate::typing::ColumnType;

/// `data/catalog.toml` as of the build, so that the program needs no file beside it.
const CATALOG: &str = include_str!("../../../data/catalog.toml");

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let entries: BTreeMap<String, Entry> =
        toml::from_str(CATALOG).expect("the embedded catalogue is parsed by a test");
    entries.into_iter().map(|(name, entry)| Entry { name, ..entry }).collect()
});

/// A data set of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Entry {
    /// The name a pipeline file uses; the table's key.
    #[serde(skip_deserializing)]
    pub name: String,
    /// The name a person uses.
    pub title: String,
    /// What it holds, in one line.
    pub description: String,
    /// Where its authors describe it.
    pub homepage: String,
    /// Terms of use.
    pub licence: String,
    /// Whom to cite.
    pub citation: String,
    /// Addresses of folders that hold the files, tried in this order; empty where no address gives
    /// them in this form.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// How a person gets files that no address gives in this form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how_to_get: Option<String>,
    /// Folder in which the files are looked for, where it isn't called like the data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Name of each class, by its number in the files; for `idx` alone.
    #[serde(default)]
    pub classes: Vec<String>,
    /// How the files are read.
    pub format: Format,
    /// What columns are read as, where their values don't tell.
    #[serde(default)]
    pub types: BTreeMap<String, ColumnType>,
    /// Values that mean "missing" in single columns.
    #[serde(default)]
    pub missing_in: BTreeMap<String, Vec<String>>,
    /// The files.
    pub files: Vec<DataFile>,
}

/// How the files of a data set are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Format {
    /// Images and labels as MNIST has them; the fields name entries of `files`.
    Idx {
        /// Images to fit on.
        train_images: String,
        /// Their labels.
        train_labels: String,
        /// Test images.
        test_images: String,
        /// Their labels.
        test_labels: String,
    },
    /// A table as text; the paths are names of `files`.
    Csv(CsvSource),
}

/// A file of a data set. Exactly one of the checksums is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct DataFile {
    /// Name without `.gz`.
    pub name: String,
    /// Path of the file below a mirror, where it isn't `NAME.gz`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// SHA-256 of the uncompressed content, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// SHA-256 of the gzip file, where only that is published; a plain file can't be verified
    /// then and is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gzip_sha256: Option<String>,
}

/// What a file is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Checksum {
    /// SHA-256 of the uncompressed content.
    Content(String),
    /// SHA-256 of the gzip file.
    Gzip(String),
}

impl Entry {
    /// Whether it comes with test rows of its own.
    pub fn publishes_test(&self) -> bool {
        match &self.format {
            Format::Idx { .. } => true,
            Format::Csv(csv) => csv.test_path.is_some(),
        }
    }

    /// What is to be predicted.
    pub fn task(&self) -> Task {
        match &self.format {
            Format::Idx { .. } => Task::Classification,
            Format::Csv(csv) => csv.task,
        }
    }

    /// Whether it is a table with named columns.
    pub fn is_table(&self) -> bool {
        matches!(self.format, Format::Csv(_))
    }

    /// The same data set with another task, where one is asked for.
    pub(crate) fn with_task(mut self, task: Option<Task>) -> Self {
        if let (Format::Csv(csv), Some(task)) = (&mut self.format, task) {
            csv.task = task;
        }
        self
    }

    /// How its table is read: the pipeline file's keys before the own ones.
    pub(crate) fn reading(&self, asked: &Reading) -> Reading {
        let mut reading = asked.clone();
        for (name, kind) in &self.types {
            reading.types.entry(name.clone()).or_insert(*kind);
        }
        for (name, codes) in &self.missing_in {
            reading.missing_in.entry(name.clone()).or_insert_with(|| codes.clone());
        }
        reading
    }

    /// Folder in which the files lie.
    pub(crate) fn folder(&self) -> &str {
        self.folder.as_deref().unwrap_or(&self.name)
    }
}

impl DataFile {
    /// Name under which a download is kept.
    pub(crate) fn stored(&self) -> String {
        match &self.remote {
            Some(remote) if !remote.ends_with(".gz") => self.name.clone(),
            _ => format!("{}.gz", self.name),
        }
    }

    /// Its address below a mirror.
    pub(crate) fn address(&self, mirror: &str) -> String {
        match &self.remote {
            Some(remote) => format!("{mirror}/{remote}"),
            None => format!("{mirror}/{}.gz", self.name),
        }
    }

    /// What the file is compared with.
    pub fn checksum(&self) -> Option<Checksum> {
        match (&self.sha256, &self.gzip_sha256) {
            (Some(sha256), _) => Some(Checksum::Content(sha256.clone())),
            (None, Some(sha256)) => Some(Checksum::Gzip(sha256.clone())),
            (None, None) => None,
        }
    }
}

/// All data sets, by name.
pub fn catalog() -> Vec<Entry> {
    ENTRIES.clone()
}

/// The data set of a name; `-` and capitals are forgiven.
///
/// # Errors
/// [`Error::UnknownDataset`] with the nearest name.
pub fn find(name: &str) -> Result<Entry, Error> {
    let wanted = name.to_lowercase().replace('-', "_");
    ENTRIES.iter().find(|entry| entry.name == wanted).cloned().ok_or_else(|| {
        let hint = nearest(name, ENTRIES.iter().map(|entry| entry.name.as_str()));
        Error::UnknownDataset { name: name.to_owned(), hint }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sound() {
        let entries = catalog();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert!(names.len() >= 16 && names.is_sorted(), "{names:?}");
        for entry in &entries {
            assert!(entry.mirrors.is_empty() == entry.how_to_get.is_some(), "{}", entry.name);
            assert!(entry.mirrors.iter().all(|mirror| !mirror.ends_with('/')), "{}", entry.name);
            for file in &entry.files {
                assert!(file.sha256.is_some() != file.gzip_sha256.is_some(), "{}", file.name);
                let (Checksum::Content(hex) | Checksum::Gzip(hex)) = file.checksum().unwrap();
                assert!(hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{hex}");
            }
            let mut files: Vec<&str> = entry.files.iter().map(|file| file.name.as_str()).collect();
            let mut read: Vec<&str> = match &entry.format {
                Format::Idx { train_images, train_labels, test_images, test_labels } => {
                    [train_images, train_labels, test_images, test_labels]
                        .map(String::as_str)
                        .into()
                }
                Format::Csv(csv) => {
                    csv.check("catalogue").unwrap();
                    let apart = [&csv.test_path, &csv.target_path, &csv.test_target_path];
                    let paths = [&csv.path].into_iter().chain(apart.into_iter().flatten());
                    paths.map(|path| path.to_str().unwrap()).collect()
                }
            };
            files.sort_unstable();
            read.sort_unstable();
            assert_eq!(files, read, "{}", entry.name);
        }
    }

    #[test]
    fn names_are_found_or_suggested() {
        assert_eq!(find("mnist").unwrap().title, "MNIST handwritten digits");
        assert_eq!(find("Fashion-MNIST").unwrap().name, "fashion_mnist");
        for (name, hint) in [
            ("mnits", "did you mean `mnist`?"),
            ("fashion", "did you mean `fashion_mnist`?"),
            ("zzz", "there is `adult`, `covertype`"),
        ] {
            let error = find(name).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
