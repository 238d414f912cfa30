//! Tables larger than memory: Parquet and CSV in batches. One pass learns the preprocessing, and
//! any number of passes give prepared batches. A file that fits is better loaded whole:
//! `resolve.rs`.
//!
//! What is exact and what is not: means, deviations, smallest and largest values are those of all
//! training rows. Everything else (quantiles, powers, clipping and what is fitted behind it, levels
//! and their shares, nearest rows) is learnt from a sample of the training rows, drawn from the
//! seed: 100,000 of them, or fewer where the table is wide. A level that no sampled row has counts
//! as unseen. The times at which a split by time cuts come from such a sample of all rows, in a
//! pass before.

use std::path::Path;

use hourglass_core::{Matrix, Part, Seed, Targets};

use crate::column::Column;
use crate::config::{CsvSource, DataConfig, TableFile};
use crate::error::Error;
use crate::frame::{Classes, Kinds, Reading, Roles, Typed};
use crate::parquet::open;
use crate::preprocess::{ExactMoments, Missing, PreprocessConfig, Preprocessor};
use crate::split::{SplitBy, SplitConfig};

mod parts;
mod read;
mod sample;

use parts::{NO_PART, Parts};
use read::Reader;
use sample::Sample;

/// The parts of single rows, in the order in which they are counted.
const PARTS: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

/// A table that is read in batches.
#[derive(Clone, Debug)]
pub struct Stream {
    source: TableOnDisk,
    reading: Reading,
    seed: Seed,
    parts: Parts,
}

#[derive(Clone, Debug)]
enum TableOnDisk {
    Parquet(TableFile),
    Csv(CsvSource),
}

/// A stream whose preprocessing is fitted.
#[derive(Clone, Debug)]
pub struct FittedStream {
    stream: Stream,
    kinds: Kinds,
    classes: Vec<String>,
    preprocessor: Preprocessor,
    missing: Missing,
    n_rows: [usize; 3],
}

/// Prepared rows.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `(n_rows, n_outputs)`, in the order of the file.
    pub features: Matrix,
    /// One target a row.
    pub targets: Targets,
    /// The part of each row: training, validation or test.
    pub parts: Vec<Part>,
}

impl Stream {
    /// Opens the table of a `[data]` section. Rows are put into parts at random, each on its own,
    /// or all rows with the same value of a column together where the split is by group, or by
    /// their times. Which part a group falls to follows from its value alone, so that nothing about
    /// it has to be kept; and so folds are as large as chance has it. Of several folds the first is
    /// tested on: see [`Stream::with_fold`].
    ///
    /// # Errors
    /// [`Error::Config`] for a source or a split that can't be streamed, [`Error::Io`].
    pub fn open(
        config: &DataConfig,
        base: &Path,
        split: &SplitConfig,
        seed: Seed,
    ) -> Result<Self, Error> {
        config.check()?;
        split.check(config.publishes_test())?;
        let refuse = |key: &str, problem: &str| {
            let hint = "streams read one CSV or Parquet file; load the table whole for the rest";
            Err(Error::config(key, problem, hint))
        };
        let source = match config {
            DataConfig { csv: Some(csv), .. } => {
                let utf8 = encoding_rs::Encoding::for_label(csv.encoding.as_bytes());
                if utf8 != Some(encoding_rs::UTF_8) {
                    return refuse("data.csv.encoding", "can't be streamed but as `utf-8`");
                }
                if csv.target_path.is_some() {
                    return refuse("data.csv.target_path", "can't be streamed");
                }
                TableOnDisk::Csv(CsvSource { path: base.join(&csv.path), ..csv.clone() })
            }
            DataConfig { parquet: Some(file), .. } => {
                TableOnDisk::Parquet(TableFile { path: base.join(&file.path), ..file.clone() })
            }
            _ => return refuse("data", "names a source that can't be streamed"),
        };
        if config.publishes_test() {
            return refuse("data", "names test rows of their own, which can't be streamed");
        }
        if split.by == SplitBy::EqualRows {
            return refuse("split", "keeps equal rows together, which can't be streamed");
        }
        open(source.path())?;
        let (reading, seed) = (Reading::of(config), seed.child("stream"));
        Ok(Stream { source, reading, seed, parts: Parts::new(split, seed) })
    }

    /// The same table, tested on another of its folds.
    ///
    /// # Panics
    /// If the split has no such fold.
    #[must_use]
    pub fn with_fold(mut self, fold: usize) -> Self {
        self.parts.set_fold(fold);
        self
    }

    /// Learns the preprocessing from the training rows, in one pass; in a second one where the
    /// split is by time.
    ///
    /// # Errors
    /// As [`prepare`](crate::prepare).
    pub fn fit(mut self, config: &PreprocessConfig) -> Result<FittedStream, Error> {
        config.check()?;
        let mut parts = self.parts.clone();
        parts.learn(self.reader()?, &self.roles())?;
        self.parts = parts;
        let mut pass = Pass {
            kinds: None,
            features: Vec::new(),
            sample: Sample::default(),
            moments: Vec::new(),
            classes: Classes::default(),
            n_rows: [0; 3],
        };
        let mut reader = self.reader()?;
        let mut first_row = 0;
        while let Some(source) = reader.next()? {
            let typed = Typed::new(source, &self.roles(), pass.kinds.as_ref())?;
            first_row = pass.add(&self, &typed, config, first_row)?;
        }
        drop(reader);
        pass.finish(self, config)
    }

    fn roles(&self) -> Roles<'_> {
        match &self.source {
            TableOnDisk::Csv(csv) => Roles {
                section: "data.csv",
                target: &csv.target,
                task: csv.task,
                drop_columns: &csv.drop_columns,
                missing: &csv.missing,
                strip_target: csv.strip_target.as_deref(),
                reading: &self.reading,
            },
            TableOnDisk::Parquet(file) => Roles {
                section: "data.parquet",
                target: &file.target,
                task: file.task,
                drop_columns: &file.drop_columns,
                missing: &file.missing,
                strip_target: None,
                reading: &self.reading,
            },
        }
    }

    fn reader(&self) -> Result<Reader<'_>, Error> {
        Reader::new(&self.source)
    }
}

impl TableOnDisk {
    fn path(&self) -> &Path {
        match self {
            TableOnDisk::Parquet(file) => &file.path,
            TableOnDisk::Csv(csv) => &csv.path,
        }
    }
}

/// Two numbers made one that looks random.
///
/// # Source
/// The finaliser of SplitMix64: G. L. Steele, D. Lea, C. H. Flood: Fast splittable pseudorandom
/// number generators, 2014, doi:10.1145/2714064.2660195.
fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What one pass over all rows gathers.
struct Pass {
    kinds: Option<Kinds>,
    /// Positions of the feature columns.
    features: Vec<usize>,
    sample: Sample,
    /// One a feature column, over the training rows.
    moments: Vec<ExactMoments>,
    classes: Classes,
    /// Training, validation and test rows.
    n_rows: [usize; 3],
}

impl Pass {
    /// Looks at one batch; gives the number of the row behind it.
    fn add(
        &mut self,
        stream: &Stream,
        typed: &Typed<'_>,
        config: &PreprocessConfig,
        first_row: usize,
    ) -> Result<usize, Error> {
        let roles = stream.roles();
        if self.kinds.is_none() {
            let features = stream.parts.features(typed, &roles)?;
            let at = |name: &String| typed.names.iter().position(|known| known == name);
            self.features = features.iter().filter_map(at).collect();
            self.moments = vec![ExactMoments::default(); self.features.len()];
            self.kinds = Some(typed.kinds());
        }
        let labels = typed.labels(&roles)?;
        let columns: Vec<&Column> = self.features.iter().map(|&at| &typed.columns[at]).collect();
        let names: Vec<&str> = self.features.iter().map(|&at| typed.names[at].as_str()).collect();
        let gaps = gaps(&columns, &names, config.missing, first_row)?;
        let n_rows = gaps.len();
        let parts = stream.parts.of_rows(typed, first_row)?;
        let mut train = Vec::with_capacity(n_rows);
        for row in (0..n_rows).filter(|&row| !gaps[row] && parts[row] != NO_PART) {
            let part = parts[row];
            self.n_rows[part] += 1;
            if part == 0 {
                train.push(row);
            }
        }
        ExactMoments::add_all(&mut self.moments, &columns, &train);
        let seed = stream.seed.child("sample").value();
        self.sample.add(&columns, &labels, &train, first_row, seed)?;
        self.classes.add(&labels);
        Ok(first_row + n_rows)
    }

    fn finish(mut self, stream: Stream, config: &PreprocessConfig) -> Result<FittedStream, Error> {
        let path = || format!("`{}`", stream.source.path().display());
        let Some(kinds) = self.kinds else {
            let hint = "is the file whole?";
            return Err(Error::Empty { what: path(), missing: "row", hint });
        };
        for (n, part) in self.n_rows.iter().zip(["training", "validation", "test"]) {
            if *n == 0 {
                let what = format!("the {part} part of {}", path());
                let hint = "bring more rows, or change the shares of the split";
                return Err(Error::Empty { what, missing: "row", hint });
            }
        }
        let classes = self.classes.names();
        let names: Vec<String> = self.features.iter().map(|&at| kinds.names[at].clone()).collect();
        self.sample.prune();
        let targets = self.sample.targets(&classes);
        let seed = stream.seed.child("preprocess");
        // Columns that are equal in the sample needn't be so in all rows.
        let config = PreprocessConfig { drop_duplicate_columns: Some(false), ..config.clone() };
        let (mut preprocessor, _) =
            Preprocessor::fit_columns(&names, &self.sample.columns, &targets, &config, seed)?;
        preprocessor.make_exact(&self.moments, &config);
        let n_rows = self.n_rows;
        Ok(FittedStream { stream, kinds, classes, preprocessor, missing: config.missing, n_rows })
    }
}

/// Which rows of a batch are left out for a gap.
fn gaps(
    columns: &[&Column],
    names: &[&str],
    missing: Missing,
    first_row: usize,
) -> Result<Vec<bool>, Error> {
    let n_rows = columns.first().map_or(0, |column| column.len());
    let mut gaps = vec![false; n_rows];
    let mut first: Option<(usize, usize)> = None;
    let mut n_missing = 0;
    for (at, column) in columns.iter().enumerate() {
        if let Column::Numbers(values) | Column::Dates(values) = column
            && let Some(row) = values.iter().position(|value| value.is_infinite())
        {
            let row = first_row + row + 1;
            return Err(Error::Infinite { table: "stream", row, column: names[at].to_owned() });
        }
        if matches!(missing, Missing::Fill(_)) {
            continue;
        }
        for row in (0..n_rows).filter(|&row| column.is_missing(row)) {
            gaps[row] = true;
            n_missing += 1;
            first = Some(first.map_or((row, at), |first| first.min((row, at))));
        }
    }
    match (first, missing) {
        (Some((row, at)), Missing::Error) => Err(Error::MissingValues {
            table: "stream",
            row: first_row + row + 1,
            column: names[at].to_owned(),
            n_missing,
            n_rows: gaps.iter().filter(|&&gap| gap).count(),
        }),
        _ => Ok(gaps),
    }
}

impl FittedStream {
    /// What was fitted.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// Names of the classes; empty for a regression.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Number of rows of a part.
    pub fn n_rows(&self, part: Part) -> usize {
        (0..3).filter(|&of| belongs(of, part)).map(|of| self.n_rows[of]).sum()
    }

    /// The prepared rows of a part, batch by batch, in the order of the file: the same bits in
    /// every pass.
    ///
    /// # Errors
    /// [`Error::Io`] where the file can't be opened any more; an item is an error where it can't be
    /// read.
    pub fn batches(&self, part: Part) -> Result<Batches<'_>, Error> {
        Ok(Batches { fitted: self, reader: self.stream.reader()?, part, first_row: 0, done: false })
    }
}

fn belongs(of: usize, part: Part) -> bool {
    match part {
        Part::Train => of == 0,
        Part::Validation => of == 1,
        Part::TrainValidation => of < 2,
        Part::Test => of == 2,
        Part::All => of != NO_PART,
    }
}

/// Prepared rows, batch by batch.
pub struct Batches<'a> {
    fitted: &'a FittedStream,
    reader: Reader<'a>,
    part: Part,
    first_row: usize,
    done: bool,
}

impl Batches<'_> {
    fn read(&mut self) -> Result<Option<Batch>, Error> {
        let FittedStream { stream, kinds, classes, preprocessor, missing, .. } = self.fitted;
        let roles = stream.roles();
        loop {
            let Some(source) = self.reader.next()? else { return Ok(None) };
            let typed = Typed::new(source, &roles, Some(kinds))?;
            let n_rows = typed.n_rows();
            let rows: Vec<usize> = match missing {
                Missing::DropRows => {
                    let names = stream.parts.features(&typed, &roles)?;
                    let at = |name: &String| typed.names.iter().position(|known| known == name);
                    let columns: Vec<&Column> =
                        names.iter().filter_map(at).map(|at| &typed.columns[at]).collect();
                    let gap = |row: usize| columns.iter().any(|column| column.is_missing(row));
                    (0..n_rows).filter(|&row| !gap(row)).collect()
                }
                _ => (0..n_rows).collect(),
            };
            let first_row = self.first_row;
            self.first_row += n_rows;
            let parts = stream.parts.of_rows(&typed, first_row)?;
            let rows: Vec<usize> =
                rows.into_iter().filter(|&row| belongs(parts[row], self.part)).collect();
            if rows.is_empty() {
                continue;
            }
            let features = preprocessor.transform_rows(&typed.names, &typed.columns, &rows)?;
            let targets = typed.labels(&roles)?.into_targets(classes).select(&rows);
            let parts = rows.iter().map(|&row| PARTS[parts[row]]).collect();
            return Ok(Some(Batch { features, targets, parts }));
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Column as PolarsColumn, DataFrame, ParquetWriter};

    use super::read::BATCH_ROWS;
    use super::*;
    use crate::{Loaded, Locations};

    const N_ROWS: usize = 5000;

    /// A table with every kind of column, as text.
    fn table() -> String {
        let mut text = String::from("a,b,kind,day,flag,y\n");
        for i in 0..N_ROWS {
            let a = if i % 17 == 3 {
                String::new()
            } else {
                format!("{}", (i * 37 % 1001) as f64 / 7.0)
            };
            let kind = ["red", "green", "\"blue, dark\"", "x"][i * i % 4];
            let day = format!("2024-{:02}-{:02}", 1 + i % 12, 1 + i % 28);
            text += &format!("{a},{},{kind},{day},{},{}\n", i % 500, i % 2 == 0, i % 3);
        }
        text
    }

    fn open_csv(dir: &Path, text: &[u8], keys: &str) -> Result<Stream, Error> {
        std::fs::write(dir.join("a.csv"), text).unwrap();
        let config = format!("[csv]\npath = 'a.csv'\ntarget = 'y'\n{keys}");
        let config: DataConfig = toml::from_str(&config).unwrap();
        Stream::open(&config, dir, &SplitConfig::default(), Seed::new(3))
    }

    fn by_group(column: &str) -> SplitConfig {
        let by = SplitBy::Group { column: column.to_owned() };
        SplitConfig { by, ..SplitConfig::default() }
    }

    fn preprocess(text: &str) -> PreprocessConfig {
        toml::from_str(text).unwrap()
    }

    fn gather(fitted: &FittedStream, part: Part) -> (Vec<f32>, Targets) {
        let mut features = Vec::new();
        let mut targets: Option<Targets> = None;
        for batch in fitted.batches(part).unwrap() {
            let batch = batch.unwrap();
            assert_eq!(batch.features.nrows(), batch.targets.len());
            features.extend(batch.features.iter());
            match (&mut targets, batch.targets) {
                (Some(Targets::Classes { ids, .. }), Targets::Classes { ids: more, .. }) => {
                    ids.extend(more);
                }
                (_, first) => targets = Some(first),
            }
        }
        (features, targets.unwrap())
    }

    #[test]
    fn a_small_stream_is_treated_as_if_it_were_loaded_whole() {
        let dir = tempfile::tempdir().unwrap();
        let stream = open_csv(dir.path(), table().as_bytes(), "").unwrap();
        let config = preprocess("missing = { fill = 'mean' }\nnumeric = 'standard'");
        let fitted = stream.clone().fit(&config).unwrap();
        let text = "[csv]\npath = 'a.csv'\ntarget = 'y'";
        let data: DataConfig = toml::from_str(text).unwrap();
        let locations = Locations::usual(None, true);
        let resolved = crate::locate(&data, dir.path(), &locations).unwrap();
        let Loaded { train, .. } = resolved.load(Seed::new(1), &Default::default()).unwrap();
        let rows: Vec<usize> =
            (0..N_ROWS).filter(|&row| stream.parts.drawn(row as u64) == 0).collect();
        assert_eq!(fitted.n_rows(Part::Train), rows.len());
        let columns: Vec<Column> =
            train.features.to_columns().iter().map(|column| column.select(&rows)).collect();
        let targets = train.targets.select(&rows);
        let seed = Seed::new(1);
        let (whole, _) =
            Preprocessor::fit_columns(&train.feature_names, &columns, &targets, &config, seed)
                .unwrap();
        let expected = whole.transform(&train).unwrap();
        let (found, ids) = gather(&fitted, Part::All);
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(ids, train.targets);
        assert_eq!(fitted.preprocessor().output_names(), whole.output_names());
        let test = gather(&fitted, Part::Test);
        assert_eq!(test.1.len(), fitted.n_rows(Part::Test));
        assert_eq!(test, gather(&fitted, Part::Test), "every pass gives the same bits");
    }

    #[test]
    fn parquet_and_csv_gzip_or_not_give_the_same_batches() {
        let dir = tempfile::tempdir().unwrap();
        let config = preprocess("missing = 'drop_rows'\nnumeric = 'standard'");
        let plain = open_csv(dir.path(), table().as_bytes(), "drop_columns = ['day']").unwrap();
        let plain = gather(&plain.fit(&config).unwrap(), Part::Train);
        let packed = crate::content::gzip(table().as_bytes());
        let packed = open_csv(dir.path(), &packed, "drop_columns = ['day']").unwrap();
        assert_eq!(gather(&packed.fit(&config).unwrap(), Part::Train), plain);

        let number = |i: usize| (i % 17 != 3).then(|| (i * 37 % 1001) as f64 / 7.0);
        let kind = |i: usize| ["red", "green", "blue, dark", "x"][i * i % 4];
        let mut frame = DataFrame::new_infer_height(vec![
            PolarsColumn::new("a".into(), (0..N_ROWS).map(number).collect::<Vec<_>>()),
            PolarsColumn::new("b".into(), (0..N_ROWS as i64).map(|i| i % 500).collect::<Vec<_>>()),
            PolarsColumn::new("kind".into(), (0..N_ROWS).map(kind).collect::<Vec<_>>()),
            PolarsColumn::new("flag".into(), (0..N_ROWS).map(|i| i % 2 == 0).collect::<Vec<_>>()),
            PolarsColumn::new("y".into(), (0..N_ROWS as i32).map(|i| i % 3).collect::<Vec<_>>()),
        ])
        .unwrap();
        let file = std::fs::File::create(dir.path().join("a.parquet")).unwrap();
        ParquetWriter::new(file).with_row_group_size(Some(700)).finish(&mut frame).unwrap();
        let data: DataConfig =
            toml::from_str("[parquet]\npath = 'a.parquet'\ntarget = 'y'").unwrap();
        let split = SplitConfig::default();
        let stream = Stream::open(&data, dir.path(), &split, Seed::new(3)).unwrap();
        let (features, targets) = gather(&stream.fit(&config).unwrap(), Part::Train);
        assert_eq!(targets, plain.1);
        // Batches of other sizes add up in another order.
        assert!(features.iter().zip(&plain.0).all(|(a, b)| (a - b).abs() < 1e-5));
        assert_eq!(features.len(), plain.0.len());
    }

    #[test]
    fn groups_stay_together_whatever_the_batches() {
        let dir = tempfile::tempdir().unwrap();
        let config = preprocess("numeric = 'none'");
        // More rows than a batch holds; `x` is the number of the group, named `g` as a text whose
        // codes differ from batch to batch, and `h` as a number.
        let n_rows = BATCH_ROWS + 20_000;
        let group = |row: usize| (row * 7919 + row / 1000) % 50;
        let text: String =
            (0..n_rows).map(|row| format!("{0},g{0},{0},{1}\n", group(row), row % 2)).collect();
        std::fs::write(dir.path().join("a.csv"), format!("x,g,h,y\n{text}")).unwrap();
        for (column, other) in [("g", "h"), ("h", "g")] {
            let keys = format!("path = 'a.csv'\ntarget = 'y'\ndrop_columns = ['{other}']");
            let data: DataConfig = toml::from_str(&format!("[csv]\n{keys}")).unwrap();
            let split = by_group(column);
            let stream = Stream::open(&data, dir.path(), &split, Seed::new(3)).unwrap();
            let fitted = stream.fit(&config).unwrap();
            assert_eq!(fitted.preprocessor().output_names(), ["x"], "the group is no feature");
            let groups = |part| -> std::collections::BTreeSet<u32> {
                gather(&fitted, part).0.into_iter().map(|x| x as u32).collect()
            };
            let parts = [Part::Train, Part::Validation, Part::Test].map(groups);
            assert!(parts.iter().all(|part| !part.is_empty()));
            assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 50, "{parts:?}");
            assert_eq!(fitted.n_rows(Part::All), n_rows);
        }
        let open = |text: &str| {
            std::fs::write(dir.path().join("b.csv"), text).unwrap();
            let data: DataConfig = toml::from_str("[csv]\npath = 'b.csv'\ntarget = 'y'").unwrap();
            let stream = Stream::open(&data, dir.path(), &by_group("g"), Seed::new(3)).unwrap();
            stream.fit(&config).map(drop).unwrap_err().to_string()
        };
        let said = open("x,g,y\n1,a,0\n2,,1\n");
        assert!(said.contains("names `g`, which is missing in row 2"), "{said}");
        let said = open("x,h,y\n1,a,0\n2,b,1\n");
        assert!(said.contains("names no feature column `g`"), "{said}");
        let said = open("g,y\n1,0\n2,1\n");
        assert!(said.contains("without the column that `split.by` names"), "{said}");
    }

    /// A stream of rows `x` and `t`, more than a batch holds.
    fn numbered(dir: &Path, split: &str, of_row: impl Fn(usize) -> (usize, String)) -> Stream {
        let row = |row| {
            let (x, t) = of_row(row);
            format!("{x},{t},{}\n", row % 2)
        };
        let text: String = (0..BATCH_ROWS + 20_000).map(row).collect();
        std::fs::write(dir.join("a.csv"), format!("x,t,y\n{text}")).unwrap();
        let data: DataConfig = toml::from_str("[csv]\npath = 'a.csv'\ntarget = 'y'").unwrap();
        Stream::open(&data, dir, &toml::from_str(split).unwrap(), Seed::new(3)).unwrap()
    }

    /// The values `x` of each part, sorted.
    fn of_parts(stream: Stream) -> [Vec<f32>; 3] {
        let fitted = stream.fit(&preprocess("numeric = 'none'")).unwrap();
        [Part::Train, Part::Validation, Part::Test].map(|part| {
            let width = fitted.preprocessor().output_names().len();
            let mut values: Vec<f32> = gather(&fitted, part).0.into_iter().step_by(width).collect();
            values.sort_by(f32::total_cmp);
            assert_eq!(values.len(), fitted.n_rows(part));
            values
        })
    }

    #[test]
    fn later_rows_are_tested_on_whatever_their_order() {
        let dir = tempfile::tempdir().unwrap();
        // 1,000 days in no order; `x` is the number of the day.
        let day = |row: usize| row * 7919 % 1000;
        let dates = |row| {
            let day = day(row);
            (day, format!("20{:02}-{:02}-{:02}", day / 336, 1 + day / 28 % 12, 1 + day % 28))
        };
        let split = "by = { time = { column = 't' } }\ntest = 0.3\nvalidation = 0.2";
        let parts = of_parts(numbered(dir.path(), split, dates));
        let n_rows = parts.iter().map(Vec::len).sum::<usize>();
        assert_eq!(n_rows, BATCH_ROWS + 20_000);
        for (part, share) in parts.iter().zip([0.56, 0.14, 0.3]) {
            assert!((part.len() as f64 / n_rows as f64 - share).abs() < 0.005, "{share}");
        }
        for pair in parts.windows(2) {
            assert!(pair[0].last() < pair[1].first(), "days stay whole and in order");
        }
        // Spans of 250 days; what is later than the fold that is tested on is left out.
        let split = "by = { time = { column = 't' } }\nfolds = 3\nvalidation = 0.2";
        let numbers = |row| (day(row), day(row).to_string());
        for fold in 0..3 {
            let parts = of_parts(numbered(dir.path(), split, numbers).with_fold(fold));
            let ends = parts.map(|part| [part[0], part[part.len() - 1]]);
            let day = 250.0 * (fold + 1) as f32;
            for ([first, last], expected) in
                ends.iter().zip([[0.0, 0.8 * day], [0.8 * day, day], [day, day + 250.0]])
            {
                assert!((first - expected[0]).abs() < 8.0, "{ends:?}");
                assert!((last + 1.0 - expected[1]).abs() < 8.0, "{ends:?}");
            }
        }
        let stream = numbered(dir.path(), split, |row| (row, format!("t{}", row % 7)));
        let said = stream.fit(&preprocess("")).unwrap_err().to_string();
        assert!(said.contains("names `t`, which is"), "{said}");
        let stream = numbered(dir.path(), split, |row| {
            (row, if row == 9 { String::new() } else { "1".to_owned() })
        });
        let said = stream.fit(&preprocess("")).unwrap_err().to_string();
        assert!(said.contains("names `t`, which is missing in row 10"), "{said}");
    }

    #[test]
    fn every_row_is_tested_on_in_one_fold() {
        let dir = tempfile::tempdir().unwrap();
        let n_rows = BATCH_ROWS + 20_000;
        for split in ["folds = 4", "folds = 4\nby = { group = { column = 't' } }"] {
            let mut tested = Vec::new();
            for fold in 0..4 {
                let stream = numbered(dir.path(), split, |row| (row, (row % 500).to_string()));
                let parts = of_parts(stream.with_fold(fold));
                let mut all = parts.concat();
                all.sort_by(f32::total_cmp);
                assert!(all.iter().enumerate().all(|(row, &x)| x == row as f32), "each row once");
                let share = parts[1].len() as f64 / (n_rows - parts[2].len()) as f64;
                assert!((share - 0.1).abs() < 0.05, "{split}, fold {fold}: {share}");
                tested.extend(&parts[2]);
            }
            tested.sort_by(f32::total_cmp);
            assert!(tested.iter().enumerate().all(|(row, &x)| x == row as f32), "{split}");
        }
    }

    #[test]
    fn what_cannot_be_streamed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let config = preprocess("");
        for (text, keys, said) in [
            ("a,y\n1,x\n2,z\n", "encoding = 'latin1'", "can't be streamed but as `utf-8`"),
            ("a,y\n1,x\n2,z\n", "test_path = 'b.csv'", "names test rows of their own"),
            ("a,y\n1,x\n,z\n", "", "stream row 2, column `a`: the value is missing"),
            ("a,y\n1,x\ninf,z\n", "", "stream row 2, column `a`: the value is infinite"),
            ("a,y\n1,x\n2\n", "", "line 3: 1 fields where line 1 has 2"),
            ("a,y\n1,x\n2,\"z\n", "", "line 3: a quote is opened and never closed"),
            ("a,y\n", "", "has no row"),
            ("a,y\n1,x\n", "", "has no row\nhint: bring more rows"),
        ] {
            let error = open_csv(dir.path(), text.as_bytes(), keys)
                .and_then(|stream| stream.fit(&config).map(drop))
                .unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        let builtin: DataConfig = toml::from_str("builtin = { dataset = 'iris' }").unwrap();
        let error = Stream::open(&builtin, dir.path(), &SplitConfig::default(), Seed::new(1));
        assert!(error.unwrap_err().to_string().contains("a source that can't be streamed"));
    }
}
