//! The catalogue of public data sets: names, mirrors, checksums, licences, citations. It neither
//! searches folders nor downloads.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::error::{Error, nearest};

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
    /// Addresses of folders that hold `FILE.gz`, tried in this order.
    pub mirrors: Vec<String>,
    /// Name of each class, by its number in the files.
    pub classes: Vec<String>,
    /// How the files are read.
    pub format: Format,
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
}

/// A file of a data set. Exactly one of the checksums is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct DataFile {
    /// Name without `.gz`.
    pub name: String,
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
        match self.format {
            Format::Idx { .. } => true,
        }
    }
}

impl DataFile {
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
        assert_eq!(names, ["fashion_mnist", "mnist"]);
        for entry in &entries {
            assert!(entry.mirrors.len() > 1, "{}", entry.name);
            assert!(entry.mirrors.iter().all(|mirror| !mirror.ends_with('/')), "{}", entry.name);
            for file in &entry.files {
                assert!(file.sha256.is_some() != file.gzip_sha256.is_some(), "{}", file.name);
                let (Checksum::Content(hex) | Checksum::Gzip(hex)) = file.checksum().unwrap();
                assert!(hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{hex}");
            }
            let Format::Idx { train_images, train_labels, test_images, test_labels } =
                &entry.format;
            let files: Vec<_> = entry.files.iter().map(|file| &file.name).collect();
            assert_eq!(files, [train_images, train_labels, test_images, test_labels]);
        }
    }

    #[test]
    fn names_are_found_or_suggested() {
        assert_eq!(find("mnist").unwrap().title, "MNIST handwritten digits");
        assert_eq!(find("Fashion-MNIST").unwrap().name, "fashion_mnist");
        for (name, hint) in [
            ("mnits", "did you mean `mnist`?"),
            ("fashion", "did you mean `fashion_mnist`?"),
            ("zzz", "there is `fashion_mnist`, `mnist`"),
        ] {
            let error = find(name).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
