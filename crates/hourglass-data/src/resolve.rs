//! Which data a `[data]` table means on this machine: local files, a download, or the fallback. It
//! reads none of it; `read.rs` does.

use std::fs::File;
use std::path::{Path, PathBuf};

use hourglass_core::{Interrupt, Progress, Seed};

use crate::catalog::{Checksum, DataFile, Entry, find};
use crate::config::{
    ArrayFile, Builtin, CsvSource, DataConfig, IdxSource, ImageFolderSource, Locations,
    NumpySource, OfflineConfig, SyntheticSource, TableFile,
};
use crate::download::{Patience, obtain};
use crate::error::Error;
use crate::frame::Reading;
use crate::parquet::TypedFormat;
use crate::table::{Loaded, Origin};
use crate::{builtin, image_folder, numpy, read, synthetic};

/// Written into every fingerprint; raise it when the same bytes are read differently.
const READER_VERSION: &str = "hourglass-data 2";

/// A source that is at hand: what to fingerprint and what to load.
#[derive(Clone, Debug)]
pub struct Resolved {
    source: Source,
    reading: Reading,
    fallback: Option<String>,
}

/// Paths are as they are opened.
#[derive(Clone, Debug)]
enum Source {
    Catalog { entry: Box<Entry>, found: Found },
    Idx(IdxSource),
    Csv(CsvSource),
    Typed(TypedFormat, TableFile),
    Numpy(NumpySource),
    ImageFolder(ImageFolderSource, Vec<PathBuf>),
    Synthetic(SyntheticSource),
    Builtin(Builtin),
}

/// The files of a data set, in the order of its entry.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub files: Vec<PathBuf>,
    pub origin: Origin,
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
    let typed = |format, file: &TableFile| {
        let (path, test_path) = (at(&file.path), file.test_path.as_ref().map(at));
        Source::Typed(format, TableFile { path, test_path, ..file.clone() })
    };
    let reading = Reading::of(config);
    let source = match config {
        DataConfig { catalog: Some(catalog), .. } => {
            let entry = find(&catalog.name)?.with_task(catalog.task);
            return settle_catalog(entry, reading, config.offline.as_ref(), obtain);
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
            target_path: csv.target_path.as_ref().map(at),
            test_target_path: csv.test_target_path.as_ref().map(at),
            ..csv.clone()
        }),
        DataConfig { parquet: Some(file), .. } => typed(TypedFormat::Parquet, file),
        DataConfig { arrow: Some(file), .. } => typed(TypedFormat::Arrow, file),
        DataConfig { numpy: Some(numpy), .. } => {
            let at = |file: &ArrayFile| ArrayFile { path: at(&file.path), ..file.clone() };
            Source::Numpy(NumpySource {
                features: at(&numpy.features),
                targets: at(&numpy.targets),
                test_features: numpy.test_features.as_ref().map(at),
                test_targets: numpy.test_targets.as_ref().map(at),
                task: numpy.task,
            })
        }
        DataConfig { image_folder: Some(folder), .. } => {
            let folder = ImageFolderSource {
                path: at(&folder.path),
                test_path: folder.test_path.as_ref().map(at),
                ..folder.clone()
            };
            let files = image_folder::files(&folder)?;
            Source::ImageFolder(folder, files)
        }
        DataConfig { synthetic: Some(synthetic), .. } => Source::Synthetic(synthetic.clone()),
        DataConfig { builtin: Some(builtin), .. } => Source::Builtin(builtin.dataset),
        _ => unreachable!("`check` has made sure that there is a source"),
    };
    Ok(Resolved { source, reading, fallback: None })
}

pub(crate) fn settle_catalog(
    entry: Entry,
    reading: Reading,
    offline: Option<&OfflineConfig>,
    obtain: impl FnOnce(&Entry) -> Result<Found, Error>,
) -> Result<Resolved, Error> {
    let error = match obtain(&entry) {
        Ok(found) => {
            let entry = Box::new(entry);
            let source = Source::Catalog { entry, found };
            return Ok(Resolved { source, reading, fallback: None });
        }
        Err(error) => error,
    };
    let out_of_reach = matches!(error, Error::NotHere { .. } | Error::Download { .. });
    match offline.and_then(|offline| offline.builtin) {
        Some(builtin) if out_of_reach => {
            let said = error.to_string();
            let reason = said.split("\nhint:").next().unwrap_or(&said).to_owned();
            let source = Source::Builtin(builtin.dataset);
            Ok(Resolved { source, reading: Reading::default(), fallback: Some(reason) })
        }
        _ => Err(error),
    }
}

/// Where each file of a data set lies, if anywhere. Folders named after the data set come first:
/// several data sets use the same file names.
pub(crate) fn find_files(entry: &Entry, locations: &Locations) -> Vec<Option<PathBuf>> {
    let dirs = || locations.data_dirs.iter().chain([&locations.download_dir]);
    let folders: Vec<PathBuf> =
        dirs().map(|dir| dir.join(entry.folder())).chain(dirs().cloned()).collect();
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
        how: match &entry.how_to_get {
            Some(how) => format!("it is not published in this form: {how}"),
            None => format!("or allow the download (`data download {}`)", entry.name),
        },
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
                let (target_path, test_target_path) = (None, None);
                let (path, test_path) = (PathBuf::new(), None);
                let source =
                    CsvSource { path, test_path, target_path, test_target_path, ..csv.clone() };
                add(&json(&source));
                add(&csv.target_path.is_some().to_string());
            }
            Source::Typed(format, file) => {
                add(format.section());
                let (path, test_path) = (PathBuf::new(), None);
                add(&json(&TableFile { path, test_path, ..file.clone() }));
            }
            Source::Numpy(numpy) => {
                add("numpy");
                let files = numpy.files();
                add(&json(&files.iter().map(|file| &file.array).collect::<Vec<_>>()));
                add(&json(&numpy.task));
            }
            Source::ImageFolder(folder, files) => {
                add("image_folder");
                add(&json(&(folder.colour, folder.size)));
                for file in files {
                    let root = match &folder.test_path {
                        Some(test) if file.starts_with(test) => test,
                        _ => &folder.path,
                    };
                    add(&file.strip_prefix(root).unwrap_or(file).to_string_lossy());
                    add(&(root == &folder.path).to_string());
                }
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
        add(&json(&self.reading));
        for path in self.files() {
            // Files are added by their hashes, so that no byte can wander from one to the next.
            let mut file = File::open(path).map_err(Error::io("read", path))?;
            let mut of_file = blake3::Hasher::new();
            std::io::copy(&mut file, &mut of_file).map_err(Error::io("read", path))?;
            hasher.update(of_file.finalize().as_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Reads the data, verifying checksums where they are known.
    ///
    /// # Errors
    /// Those of the formats: damaged, truncated or mismatched files, with the place.
    pub fn load(&self, seed: Seed, interrupt: &Interrupt) -> Result<Loaded, Error> {
        let mut loaded = match &self.source {
            Source::Catalog { entry, found } => {
                read::catalog(entry, found, &self.reading, interrupt)?
            }
            Source::Idx(source) => read::idx(source)?,
            Source::Csv(source) => read::csv(source, &self.reading)?,
            Source::Typed(format, source) => read::typed(source, *format, &self.reading)?,
            Source::Numpy(source) => numpy::load(source)?,
            Source::ImageFolder(source, files) => image_folder::load(source, files, interrupt)?,
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
            Source::Csv(csv) => [
                Some(&csv.path),
                csv.target_path.as_ref(),
                csv.test_path.as_ref(),
                csv.test_target_path.as_ref(),
            ]
            .into_iter()
            .flatten()
            .collect(),
            Source::Typed(_, file) => and_test(&file.path, file.test_path.as_ref()),
            Source::Numpy(numpy) => numpy.files().into_iter().map(|file| &file.path).collect(),
            Source::ImageFolder(_, files) => files.iter().collect(),
            Source::Synthetic(_) | Source::Builtin(_) => Vec::new(),
        }
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("a configuration has nothing that JSON can't hold")
}

#[cfg(test)]
mod tests {
    use hourglass_core::Silent;

    use super::*;
    use crate::content::gzip;
    use crate::describe::describe;
    use crate::idx::encode;
    use crate::table::Features;

    /// Four files of a tiny data set: 3 training and 2 test images of 2 x 2 pixels.
    fn write_tiny(dir: &Path, packed: bool) {
        std::fs::create_dir_all(dir).unwrap();
        for (name, bytes) in [
            ("train-images", encode(&[3, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])),
            ("train-labels", encode(&[3], &[7, 1, 7])),
            ("test-images", encode(&[2, 2, 2], &[0, 255, 0, 255, 1, 1, 1, 1])),
            ("test-labels", encode(&[2], &[1, 7])),
        ] {
            match packed {
                true => std::fs::write(dir.join(format!("{name}.gz")), gzip(&bytes)).unwrap(),
                false => std::fs::write(dir.join(name), bytes).unwrap(),
            }
        }
    }

    fn parse(text: &str) -> DataConfig {
        toml::from_str(text).unwrap()
    }

    fn tiny() -> DataConfig {
        parse(
            "[idx]\ntrain_images = 'train-images'\ntrain_labels = 'train-labels'\n\
             test_images = 'test-images'\ntest_labels = 'test-labels'",
        )
    }

    fn nowhere(dir: &Path) -> Locations {
        Locations { data_dirs: vec![dir.join("a")], download_dir: dir.join("b"), offline: true }
    }

    fn load_from(config: &DataConfig, dir: &Path) -> Result<Loaded, Error> {
        load(config, dir, &nowhere(dir), Seed::new(1), &Silent, &Interrupt::new())
    }

    #[test]
    fn idx_files_are_read_relative_to_the_pipeline_file() {
        let dir = tempfile::tempdir().unwrap();
        write_tiny(dir.path(), false);
        let loaded = load_from(&tiny(), dir.path()).unwrap();
        let test = loaded.test.as_ref().unwrap();
        assert_eq!(loaded.train.targets.class_names().unwrap(), ["1", "7"]);
        assert_eq!(loaded.train.targets.class_ids(0..3).unwrap(), [1, 0, 1]);
        assert_eq!(test.targets.class_ids(0..2).unwrap(), [0, 1]);
        assert!(matches!(&test.features, Features::Bytes(bytes) if bytes[[0, 1]] == 255));
        assert_eq!(loaded.provenance.files.len(), 4);
        assert_eq!(loaded.provenance.origin, Origin::File);
    }

    #[test]
    fn a_missing_file_is_named_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let error = load_from(&tiny(), dir.path()).unwrap_err().to_string();
        assert!(error.contains("cannot read `") && error.contains("/train-images`"), "{error}");
        assert!(error.contains("relative to that file"), "{error}");
    }

    #[test]
    fn catalogue_files_are_found_in_every_place_and_form() {
        let entry = find("mnist").unwrap();
        let fashion = find("fashion_mnist").unwrap();
        for (folder, suffix, entry, found) in [
            ("a/mnist", ".gz", &entry, true),
            ("a/mnist", "", &entry, true),
            ("a", ".gz", &entry, true),
            ("b/mnist", ".gz", &entry, true),
            ("c/mnist", ".gz", &entry, false),
            ("a/fashion_mnist", ".gz", &fashion, true),
            ("a/fashion_mnist", "", &fashion, false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            for file in &entry.files {
                let name = format!("{}{suffix}", file.name);
                std::fs::write(dir.path().join(folder).join(name), b"x").unwrap();
            }
            let files = find_files(entry, &nowhere(dir.path()));
            assert!(files.iter().all(|file| file.is_some() == found), "{folder} {suffix}");
        }
    }

    #[test]
    fn a_file_that_is_not_the_published_one_is_no_reason_to_fall_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/mnist");
        std::fs::create_dir_all(&folder).unwrap();
        for file in find("mnist").unwrap().files {
            std::fs::write(folder.join(file.name), encode(&[1], &[0])).unwrap();
        }
        let config = parse("catalog = { name = 'mnist' }\noffline.builtin.dataset = 'digits'");
        let error = load_from(&config, dir.path()).unwrap_err().to_string();
        assert!(error.contains("train-images-idx3-ubyte` is not the published file"), "{error}");
        assert!(error.contains("should be `ba891046") && error.contains("but is `"), "{error}");
    }

    #[test]
    fn the_offline_data_is_taken_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = "catalog = { name = 'mnist' }";
        let error = load_from(&parse(wanted), dir.path()).unwrap_err().to_string();
        assert!(error.contains("`mnist` is not here: no `train-images-idx3-ubyte`"), "{error}");
        assert!(error.contains("/a`, `") && error.contains("data download mnist"), "{error}");

        let config = parse(&format!("{wanted}\noffline.builtin.dataset = 'digits'"));
        let loaded = load_from(&config, dir.path()).unwrap();
        assert_eq!(loaded.provenance.dataset, "digits");
        assert_eq!(loaded.train.n_rows(), 1797);
        let reason = loaded.provenance.fallback.unwrap();
        assert!(reason.starts_with("`mnist` is not here") && !reason.contains("hint"), "{reason}");
    }

    #[test]
    fn the_fingerprint_follows_the_content() {
        let dir = tempfile::tempdir().unwrap();
        let print = |config: &DataConfig, seed| {
            fingerprint(config, dir.path(), &nowhere(dir.path()), Seed::new(seed)).unwrap()
        };
        write_tiny(dir.path(), false);
        let files = print(&tiny(), 1);
        assert_eq!(files, print(&tiny(), 2), "files don't depend on the seed");
        std::fs::write(dir.path().join("test-labels"), encode(&[2], &[7, 7])).unwrap();
        assert_ne!(files, print(&tiny(), 1), "the bytes count");

        let digits = parse("builtin = { dataset = 'digits' }");
        let iris = parse("builtin = { dataset = 'iris' }");
        assert_ne!(print(&digits, 1), print(&iris, 1));
        assert_eq!(print(&digits, 1), print(&digits, 2));
        let blobs =
            parse("synthetic = { blobs = { n_samples = 9, n_features = 2, n_classes = 3 } }");
        assert_ne!(print(&blobs, 1), print(&blobs, 2), "the seed counts where it is drawn from");

        std::fs::write(dir.path().join("a.csv"), "a,b,y\n1,2,c\n").unwrap();
        std::fs::copy(dir.path().join("a.csv"), dir.path().join("b.csv")).unwrap();
        let csv =
            |name, target| parse(&format!("csv = {{ path = '{name}', target = '{target}' }}"));
        assert_eq!(print(&csv("a.csv", "y"), 1), print(&csv("b.csv", "y"), 1));
        assert_ne!(print(&csv("a.csv", "y"), 1), print(&csv("a.csv", "b"), 1));
    }

    #[test]
    fn the_fingerprint_notices_a_fallback() {
        let dir = tempfile::tempdir().unwrap();
        let config = parse("catalog = { name = 'mnist' }\noffline.builtin.dataset = 'digits'");
        let print = || fingerprint(&config, dir.path(), &nowhere(dir.path()), Seed::new(1));
        let absent = print().unwrap();
        let folder = dir.path().join("a/mnist");
        std::fs::create_dir_all(&folder).unwrap();
        for file in find("mnist").unwrap().files {
            std::fs::write(folder.join(file.name), b"x").unwrap();
        }
        assert_ne!(absent, print().unwrap());
        let alone = parse("catalog = { name = 'mnist' }");
        std::fs::remove_dir_all(folder).unwrap();
        let error = locate(&alone, dir.path(), &nowhere(dir.path())).unwrap_err();
        assert!(matches!(error, Error::NotHere { .. }), "{error}");
    }

    #[test]
    fn mnist_is_mnist() {
        // Class counts and the training mean of 0.1307 * 255 are documented widely.
        if std::env::var_os("HOURGLASS_DATA_DIR").is_none() {
            return;
        }
        let locations = Locations::usual(None, true);
        let config = parse("catalog = { name = 'mnist' }");
        let resolved = locate(&config, Path::new("."), &locations).unwrap();
        let started = std::time::Instant::now();
        resolved.fingerprint(Seed::new(1)).unwrap();
        eprintln!("fingerprint: {:?}", started.elapsed());
        let started = std::time::Instant::now();
        let loaded = resolved.load(Seed::new(1), &Interrupt::new()).unwrap();
        eprintln!("load: {:?}", started.elapsed());
        let said = describe(&loaded);
        let counts = |table: &crate::TableDescription| -> Vec<usize> {
            table.classes.iter().map(|class| class.n_rows).collect()
        };
        let train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949];
        assert_eq!(counts(&said.train), train);
        let test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009];
        assert_eq!(counts(&said.test.unwrap()), test);
        assert!((said.train.mean.unwrap() / 255.0 - 0.1307).abs() < 5e-5);
        let config = crate::PreprocessConfig {
            numeric: crate::Numeric::MinMax { range: [0.0, 1.0] },
            ..Default::default()
        };
        let started = std::time::Instant::now();
        let split = crate::SplitConfig::default();
        let crate::Prepared { samples, preprocessor: fitted, .. } =
            crate::prepare(&loaded, &split, &config, Seed::new(1), 0).unwrap();
        eprintln!("prepare: {:?}", started.elapsed());
        assert_eq!(samples.features.dim(), (70_000, 784));
        assert_eq!(samples.partition.n_train, 54_000);
        assert_eq!(fitted.output_range(), Some((0.0, 1.0)));
    }
}
