//! The `[data]` table of a pipeline file, and where data is looked for. It opens no file.
//!
//! To add a source: a struct here, a field of [`DataConfig`], a row of `DataConfig::sources`, and
//! an arm in `resolve.rs`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hourglass_core::Task;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::expression::Expression;
use crate::typing::ColumnType;

/// Where the samples come from: exactly one source, and what to take where it is out of reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct DataConfig {
    /// A public data set by its name in `data/catalog.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<CatalogSource>,
    /// Images and labels in the IDX format of MNIST, plain or gzip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idx: Option<IdxSource>,
    /// A CSV table, plain or gzip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvSource>,
    /// A Parquet table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parquet: Option<TableFile>,
    /// A table in the Arrow IPC file format (Feather version 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrow: Option<TableFile>,
    /// Arrays in NumPy's formats, npy and npz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numpy: Option<NumpySource>,
    /// A folder of images with one folder a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_folder: Option<ImageFolderSource>,
    /// Samples drawn from the seed, for tests and benchmarks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<SyntheticSource>,
    /// A small data set that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinSource>,
    /// What is taken, and said so, where the catalogue's data set is neither here nor reachable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<OfflineConfig>,
    /// What columns of a table are read as, by name. Default: told from their values in the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, ColumnType>,
    /// Values that mean "missing" in single columns of a table, such as `{ glucose = ["0"] }`;
    /// beside those that mean it in all columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing_in: BTreeMap<String, Vec<String>>,
    /// Which rows of a table are kept, such as `"age >= 18 and job != 'none'"`: comparisons of
    /// columns, joined by `and`, `or` and `not`. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Which columns of a table are features, by an expression over `name` and `type`, such as
    /// `"type == 'numeric' and name not like 'id*'"`. Default: all but the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
}

/// A data set of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct CatalogSource {
    /// Name in `data/catalog.toml`, such as `mnist`.
    pub name: String,
    /// Whether the target of a table is a class or a number. Default: as the catalogue says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
}

/// Files in the IDX format; paths are relative to the pipeline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct IdxSource {
    /// Images to fit on: unsigned bytes, `(n, height, width)`.
    pub train_images: PathBuf,
    /// Their labels: unsigned bytes, `(n)`.
    pub train_labels: PathBuf,
    /// Published test images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_images: Option<PathBuf>,
    /// Their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<PathBuf>,
}

/// A CSV file; paths are relative to the pipeline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct CsvSource {
    /// The rows to fit on (and to split the test rows off, where `test_path` is absent).
    pub path: PathBuf,
    /// Published test rows, with the same columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_path: Option<PathBuf>,
    /// The column to predict. Without a header the columns are called `column_1`, `column_2` and so
    /// on, or as `columns` says.
    pub target: String,
    /// Whether the target is a class (text, booleans or whole numbers) or a number.
    #[serde(default)]
    pub task: Task,
    /// One ASCII character between the fields; `" "` stands for any number of blanks and tabs.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Whether the first line names the columns.
    #[serde(default = "yes")]
    pub has_header: bool,
    /// Names of the columns, from left to right, where the file has no header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Encoding of the text, by its WHATWG label, such as `utf-8`, `latin1` or `utf-16le`.
    #[serde(default = "utf8")]
    pub encoding: String,
    /// Lines that start with this text are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// So many lines at the start of each file are passed over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip_lines: usize,
    /// A file with one target a line, where the targets lie apart; `target` is its name then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_path: Option<PathBuf>,
    /// The same for the published test rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_target_path: Option<PathBuf>,
    /// Text that is taken off the end of each target, such as the dot of `>50K.`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_target: Option<String>,
    /// Texts that mean "missing", compared without surrounding blanks.
    #[serde(default = "missing_codes")]
    pub missing: Vec<String>,
    /// Columns that are no features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_columns: Vec<String>,
}

/// A file with typed columns; paths are relative to the pipeline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct TableFile {
    /// The rows to fit on (and to split the test rows off, where `test_path` is absent).
    pub path: PathBuf,
    /// Published test rows, with the same columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_path: Option<PathBuf>,
    /// The column to predict.
    pub target: String,
    /// Whether the target is a class (text, booleans or whole numbers) or a number.
    #[serde(default)]
    pub task: Task,
    /// Values that mean "missing", beside the format's own gaps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Columns that are no features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_columns: Vec<String>,
}

/// Arrays of numbers; paths are relative to the pipeline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct NumpySource {
    /// The rows to fit on: `(n, n_features)`, or images as `(n, height, width)` or
    /// `(n, height, width, channels)` with 1 or 3 channels.
    pub features: ArrayFile,
    /// One target a row: `(n)`.
    pub targets: ArrayFile,
    /// Published test rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_features: Option<ArrayFile>,
    /// Their targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_targets: Option<ArrayFile>,
    /// Whether the target is a class (whole numbers) or a number.
    #[serde(default)]
    pub task: Task,
}

/// An array in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ArrayFile {
    /// The npy or npz file.
    pub path: PathBuf,
    /// Which array of an npz file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
}

/// PNG and JPEG images in one folder a class; the path is relative to the pipeline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct ImageFolderSource {
    /// The folder that holds the folders of the classes.
    pub path: PathBuf,
    /// A folder of published test images, with the same classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_path: Option<PathBuf>,
    /// Whether images keep their colours, in three channels; else they become grey.
    #[serde(default)]
    pub colour: bool,
    /// Height and width that all images are resized to. Default: as they are; all must be alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
}

/// Samples drawn from the pipeline's seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SyntheticSource {
    /// Few latent factors behind many features: what an autoencoder can find.
    LatentFactors(LatentFactors),
    /// One Gaussian cloud a class.
    Blobs(Blobs),
}

/// Rows on a manifold of low dimension: `x = decode(z) + noise`, with `z` normal around a centre
/// of its class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct LatentFactors {
    /// Number of rows, at least 1.
    pub n_samples: usize,
    /// Number of columns, at least 1.
    pub n_features: usize,
    /// Number of classes, at least 2.
    pub n_classes: usize,
    /// Number of latent factors, at least 1.
    #[serde(default = "eight")]
    pub latent_dim: usize,
    /// Standard deviation of the noise on each feature, 0 or more; the features themselves have
    /// about 1.
    #[serde(default = "tenth")]
    pub noise: f32,
    /// Whether the factors pass through a hyperbolic tangent on their way to the features.
    #[serde(default = "yes")]
    pub nonlinear: bool,
}

/// One Gaussian cloud a class, around centres that are normal themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Blobs {
    /// Number of rows, at least 1.
    pub n_samples: usize,
    /// Number of columns, at least 1.
    pub n_features: usize,
    /// Number of classes, at least 2.
    pub n_classes: usize,
    /// Standard deviation of a cloud, above 0; the centres have 1.
    #[serde(default = "one")]
    pub spread: f32,
}

/// A data set that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct BuiltinSource {
    /// Which.
    pub dataset: Builtin,
}

/// The data sets that come with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// 1,797 handwritten digits of 8 x 8 pixels, 10 classes.
    Digits,
    /// 150 iris flowers with 4 measures, 3 classes.
    Iris,
    /// 569 tumours with 30 measures, 2 classes.
    BreastCancer,
    /// 442 patients with 10 measures, scaled by their authors over all rows; the progression of
    /// diabetes after a year is to be predicted.
    Diabetes,
    /// 506 districts of Boston with 12 measures; the median value of their homes is to be
    /// predicted.
    Boston,
    /// 1,599 red wines with 11 measures; a mark from 3 to 8 is to be predicted.
    WineQuality,
    /// 20 men of a fitness club with what they do in 3 exercises; their weight is to be predicted.
    Linnerud,
}

impl Builtin {
    /// What is to be predicted.
    pub fn task(self) -> Task {
        match self {
            Builtin::Digits | Builtin::Iris | Builtin::BreastCancer => Task::Classification,
            _ => Task::Regression,
        }
    }
}

/// What is taken where the wanted data is out of reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct OfflineConfig {
    /// A data set that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinSource>,
}

/// Where data is looked for and where downloads go.
#[derive(Clone, Debug, PartialEq)]
pub struct Locations {
    /// Folders to search, in order; each may hold `NAME/FILE[.gz]` or `FILE[.gz]`.
    pub data_dirs: Vec<PathBuf>,
    /// Where downloads land, as `NAME/FILE.gz`; searched last.
    pub download_dir: PathBuf,
    /// Never open a network connection.
    pub offline: bool,
}

impl Locations {
    /// The usual places: `data_dir`, the environment's `HOURGLASS_DATA_DIR`, then `data/` of the
    /// current folder, where downloads land too.
    pub fn usual(data_dir: Option<&Path>, offline: bool) -> Self {
        let from_environment = std::env::var_os("HOURGLASS_DATA_DIR").filter(|dir| !dir.is_empty());
        let download_dir = PathBuf::from("data");
        let data_dirs = data_dir
            .map(Path::to_path_buf)
            .into_iter()
            .chain(from_environment.map(PathBuf::from))
            .chain([download_dir.clone()])
            .collect();
        Locations { data_dirs, download_dir, offline }
    }
}

impl DataConfig {
    /// Checks what a single field can't: exactly one source, and values that fit together.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::UnknownDataset`], with the way out.
    pub fn check(&self) -> Result<(), Error> {
        let sources = self.sources();
        let given: Vec<_> = sources.iter().filter(|(_, given)| *given).collect();
        let all = sources.map(|(name, _)| format!("`[data.{name}]`")).join(", ");
        match given.as_slice() {
            [_] => {}
            [] => {
                let hint = format!("add one of {all}");
                return Err(Error::config("data", "names no source", hint));
            }
            several => {
                let names: Vec<_> =
                    several.iter().map(|(name, _)| format!("`[data.{name}]`")).collect();
                let problem = format!("names {} sources: {}", names.len(), names.join(", "));
                return Err(Error::config("data", problem, "keep one of them and delete the rest"));
            }
        }
        if let Some(offline) = &self.offline {
            if self.catalog.is_none() {
                return Err(Error::config(
                    "data.offline",
                    "is used with `[data.catalog]` alone: every other source is always here",
                    "delete `[data.offline]`",
                ));
            }
            if offline.builtin.is_none() {
                return Err(Error::config(
                    "data.offline",
                    "names nothing to take",
                    "add `builtin = { dataset = \"digits\" }`",
                ));
            }
        }
        if let Some(CatalogSource { name, task }) = &self.catalog
            && !crate::catalog::find(name)?.is_table()
            && *task == Some(Task::Regression)
        {
            let problem = "is `regression`, but the data set is no table with a number to predict";
            return Err(Error::config("data.catalog.task", problem, "delete it"));
        }
        if let Some(idx) = &self.idx {
            idx.check()?;
        }
        if let Some(csv) = &self.csv {
            csv.check("data.csv")?;
        }
        if let Some(numpy) = &self.numpy {
            numpy.check()?;
        }
        if let Some(ImageFolderSource { size: Some(size), .. }) = &self.image_folder
            && size.contains(&0)
        {
            let hint = "give height and width in pixels, such as [28, 28]";
            return Err(Error::config("data.image_folder.size", format!("is {size:?}"), hint));
        }
        self.check_reading()?;
        if let Some(synthetic) = &self.synthetic {
            synthetic.check()?;
        }
        Ok(())
    }

    /// Whether the source, as configured, comes with test rows of its own.
    pub fn publishes_test(&self) -> bool {
        match self {
            DataConfig { idx: Some(idx), .. } => idx.test_images.is_some(),
            DataConfig { csv: Some(csv), .. } => csv.test_path.is_some(),
            DataConfig { parquet: Some(file), .. } | DataConfig { arrow: Some(file), .. } => {
                file.test_path.is_some()
            }
            DataConfig { numpy: Some(numpy), .. } => numpy.test_features.is_some(),
            DataConfig { image_folder: Some(folder), .. } => folder.test_path.is_some(),
            DataConfig { catalog: Some(CatalogSource { name, .. }), .. } => {
                crate::catalog::find(name).is_ok_and(|entry| entry.publishes_test())
            }
            _ => false,
        }
    }

    /// What is to be predicted; known without opening a file.
    pub fn task(&self) -> Task {
        match self {
            DataConfig { builtin: Some(builtin), .. } => builtin.dataset.task(),
            DataConfig { csv: Some(csv), .. } => csv.task,
            DataConfig { parquet: Some(file), .. } | DataConfig { arrow: Some(file), .. } => {
                file.task
            }
            DataConfig { numpy: Some(numpy), .. } => numpy.task,
            DataConfig { catalog: Some(CatalogSource { name, task }), .. } => {
                let entry = crate::catalog::find(name);
                entry.map_or(Task::Classification, |entry| entry.with_task(*task).task())
            }
            _ => Task::Classification,
        }
    }

    /// Keys that say how a table is read need a table.
    fn check_reading(&self) -> Result<(), Error> {
        let keys = [
            ("data.types", !self.types.is_empty()),
            ("data.missing_in", !self.missing_in.is_empty()),
            ("data.filter", self.filter.is_some()),
            ("data.select", self.select.is_some()),
        ];
        if let Some((key, _)) = keys.into_iter().find(|(_, given)| *given && !self.is_table()) {
            let problem = "is for tables from files, and this source is none";
            return Err(Error::config(key, problem, "delete it"));
        }
        let expressions = [("data.filter", &self.filter), ("data.select", &self.select)];
        for (field, text) in expressions {
            text.as_ref().map(|text| Expression::parse(field, text)).transpose()?;
        }
        Ok(())
    }

    /// Whether the source is a table with named columns.
    fn is_table(&self) -> bool {
        let catalog = |source: &CatalogSource| {
            crate::catalog::find(&source.name).is_ok_and(|entry| entry.is_table())
        };
        self.csv.is_some()
            || self.parquet.is_some()
            || self.arrow.is_some()
            || self.catalog.as_ref().is_some_and(catalog)
    }

    fn sources(&self) -> [(&'static str, bool); 9] {
        [
            ("catalog", self.catalog.is_some()),
            ("idx", self.idx.is_some()),
            ("csv", self.csv.is_some()),
            ("parquet", self.parquet.is_some()),
            ("arrow", self.arrow.is_some()),
            ("numpy", self.numpy.is_some()),
            ("image_folder", self.image_folder.is_some()),
            ("synthetic", self.synthetic.is_some()),
            ("builtin", self.builtin.is_some()),
        ]
    }
}

impl IdxSource {
    fn check(&self) -> Result<(), Error> {
        if self.test_images.is_some() == self.test_labels.is_some() {
            return Ok(());
        }
        Err(Error::config(
            "data.idx",
            "names only one of `test_images` and `test_labels`",
            "give both, or neither to split test rows off the training images",
        ))
    }
}

impl NumpySource {
    fn check(&self) -> Result<(), Error> {
        if self.test_features.is_some() == self.test_targets.is_some() {
            return Ok(());
        }
        Err(Error::config(
            "data.numpy",
            "names only one of `test_features` and `test_targets`",
            "give both, or neither to split test rows off",
        ))
    }
}

impl CsvSource {
    /// Checks the options; `section` is where they stand, such as `data.csv`.
    pub(crate) fn check(&self, section: &str) -> Result<(), Error> {
        let fail = |key: &str, problem: String, hint: &str| {
            Err(Error::config(format!("{section}.{key}"), problem, hint))
        };
        let delimiter = self.delimiter;
        if !delimiter.is_ascii() || matches!(delimiter, '"' | '\n' | '\r') {
            let hint = "use one ASCII character such as \",\", \";\" or \"\\t\"";
            return fail("delimiter", format!("can't be {delimiter:?}"), hint);
        }
        if encoding_rs::Encoding::for_label(self.encoding.as_bytes()).is_none() {
            let hint = "use a label such as `utf-8`, `latin1`, `windows-1252` or `shift_jis`";
            return fail("encoding", format!("is `{}`, which is unknown", self.encoding), hint);
        }
        if !self.columns.is_empty() && self.has_header {
            let hint = "set `has_header = false`, or delete it: the file names its columns";
            return fail("columns", "is given beside a header".into(), hint);
        }
        if self.comment.as_ref().is_some_and(String::is_empty) {
            return fail("comment", "is empty".into(), "use a text such as `#`, or delete it");
        }
        let apart = self.target_path.is_some();
        if self.test_target_path.is_some() != (apart && self.test_path.is_some()) {
            let problem = "and `target_path` must be given for the same files".into();
            let hint = "where the targets lie apart, they do for both files";
            return fail("test_target_path", problem, hint);
        }
        Ok(())
    }
}

impl SyntheticSource {
    fn check(&self) -> Result<(), Error> {
        let (kind, n_samples, n_features, n_classes) = match self {
            SyntheticSource::LatentFactors(c) => {
                at_least(self.field("latent_dim"), c.latent_dim, 1)?;
                if !(c.noise.is_finite() && c.noise >= 0.0) {
                    let problem = format!("is {}, not 0 or more", c.noise);
                    return Err(Error::config(self.field("noise"), problem, "try 0.1"));
                }
                ("latent_factors", c.n_samples, c.n_features, c.n_classes)
            }
            SyntheticSource::Blobs(c) => {
                if !(c.spread.is_finite() && c.spread > 0.0) {
                    let problem = format!("is {}, not above 0", c.spread);
                    return Err(Error::config(self.field("spread"), problem, "try 1.0"));
                }
                ("blobs", c.n_samples, c.n_features, c.n_classes)
            }
        };
        at_least(self.field("n_features"), n_features, 1)?;
        at_least(self.field("n_classes"), n_classes, 2)?;
        if n_samples < n_classes {
            let field = format!("data.synthetic.{kind}.n_samples");
            let problem = format!("is {n_samples}, fewer than `n_classes`, {n_classes}");
            return Err(Error::config(field, problem, "ask for more rows or fewer classes"));
        }
        Ok(())
    }

    fn field(&self, key: &str) -> String {
        let kind = match self {
            SyntheticSource::LatentFactors(_) => "latent_factors",
            SyntheticSource::Blobs(_) => "blobs",
        };
        format!("data.synthetic.{kind}.{key}")
    }
}

fn at_least(field: String, value: usize, least: usize) -> Result<(), Error> {
    if value >= least {
        return Ok(());
    }
    Err(Error::config(field, format!("is {value}"), format!("the least is {least}")))
}

fn comma() -> char {
    ','
}

fn utf8() -> String {
    "utf-8".to_owned()
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn yes() -> bool {
    true
}

fn missing_codes() -> Vec<String> {
    ["", "?", "NA", "N/A", "NaN", "nan", "null"].map(String::from).to_vec()
}

fn eight() -> usize {
    8
}

fn tenth() -> f32 {
    0.1
}

fn one() -> f32 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> DataConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_sound_table_passes() {
        for (text, publishes_test) in [
            ("[catalog]\nname = 'mnist'\n[offline.builtin]\ndataset = 'digits'", true),
            ("builtin = { dataset = 'iris' }", false),
            ("csv = { path = 'a.csv', target = 'y' }", false),
            ("csv = { path = 'a.csv', test_path = 'b.csv', target = 'y' }", true),
            ("parquet = { path = 'a.parquet', target = 'y' }", false),
            ("idx = { train_images = 'a', train_labels = 'b' }", false),
            ("synthetic = { blobs = { n_samples = 9, n_features = 2, n_classes = 3 } }", false),
        ] {
            let config = parse(text);
            config.check().unwrap();
            assert_eq!(config.publishes_test(), publishes_test, "{text}");
            let again: DataConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
            assert_eq!(config, again);
        }
    }

    #[test]
    fn an_unsound_table_is_named_with_the_way_out() {
        for (text, field, said) in [
            ("", "data", "names no source\nhint: add one of `[data.catalog]`"),
            (
                "builtin = { dataset = 'iris' }\ncatalog = { name = 'mnist' }",
                "data",
                "names 2 sources: `[data.catalog]`, `[data.builtin]`\nhint: keep one",
            ),
            (
                "builtin = { dataset = 'iris' }\noffline = { builtin = { dataset = 'iris' } }",
                "data.offline",
                "hint: delete `[data.offline]`",
            ),
            ("catalog = { name = 'mnist' }\noffline = {}", "data.offline", "names nothing"),
            ("catalog = { name = 'mnits' }", "data.catalog.name", "did you mean `mnist`?"),
            ("csv = { path = 'a', target = 'y', delimiter = 'é' }", "data.csv.delimiter", "ASCII"),
            (
                "csv = { path = 'a', target = 'y', encoding = 'utf-9' }",
                "data.csv.encoding",
                "is `utf-9`, which is unknown",
            ),
            (
                "csv = { path = 'a', target = 'y', columns = ['y'] }",
                "data.csv.columns",
                "beside a header",
            ),
            (
                "csv = { path = 'a', target = 'y', target_path = 'b', test_path = 'c' }",
                "data.csv.test_target_path",
                "for the same files",
            ),
            ("filter = 'age >'\ncsv = { path = 'a', target = 'y' }", "data.filter", "at its end"),
            (
                "select = 'true'\nbuiltin = { dataset = 'iris' }",
                "data.select",
                "is for tables from files",
            ),
            ("image_folder = { path = 'a', size = [0, 3] }", "data.image_folder.size", "[0, 3]"),
            (
                "[numpy]\nfeatures = { path = 'a' }\ntargets = { path = 'b' }\n\
                 test_targets = { path = 'c' }",
                "data.numpy",
                "only one of",
            ),
            (
                "idx = { train_images = 'a', train_labels = 'b', test_images = 'c' }",
                "data.idx",
                "only one of",
            ),
            (
                "synthetic = { blobs = { n_samples = 9, n_features = 2, n_classes = 1 } }",
                "data.synthetic.blobs.n_classes",
                "the least is 2",
            ),
            (
                "synthetic = { blobs = { n_samples = 2, n_features = 2, n_classes = 3 } }",
                "data.synthetic.blobs.n_samples",
                "fewer than `n_classes`, 3",
            ),
            (
                "[synthetic.latent_factors]\nn_samples = 9\nn_features = 2\nn_classes = 3\n\
                 noise = -1.0",
                "data.synthetic.latent_factors.noise",
                "is -1, not 0 or more",
            ),
        ] {
            let error = parse(text).check().unwrap_err();
            assert_eq!(error.field(), Some(field), "{text}: {error}");
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in ["mnist = {}", "builtin = { dataset = 'iris', size = 3 }"] {
            let error = toml::from_str::<DataConfig>(text).unwrap_err();
            assert!(error.to_string().contains("unknown field"), "{error}");
        }
    }
}
