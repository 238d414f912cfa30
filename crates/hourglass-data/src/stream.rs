//! Tables larger than memory: Parquet and CSV in batches. One pass learns the preprocessing, and
//! any number of passes give prepared batches. A file that fits is better loaded whole:
//! `resolve.rs`.
//!
//! What is exact and what is not: means, deviations, smallest and largest values are those of all
//! training rows. Everything else (quantiles, powers, clipping and what is fitted behind it, levels
//! and their shares, nearest rows) is learnt from a sample of the training rows, drawn from the
//! seed: 100,000 of them, or fewer where the table is wide. A level that no sampled row has counts
//! as unseen.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use hourglass_core::{Matrix, Part, Seed, Targets};
use polars::prelude::{DataFrame, ParquetReader, SerReader};

use crate::column::Column;
use crate::config::{CsvSource, DataConfig, TableFile};
use crate::content::is_gzip;
use crate::csv::{self, Csv, Layout, Position};
use crate::error::{Error, nearest};
use crate::frame::{Classes, Kinds, Labels, Reading, Roles, Source, Typed};
use crate::parquet::{open, refused};
use crate::preprocess::{ExactMoments, Missing, PreprocessConfig, Preprocessor};
use crate::split::{SplitBy, SplitConfig};

/// Rows of a batch.
const BATCH_ROWS: usize = 65_536;

/// Bytes of decoded Parquet columns that are held at a time.
const MOST_BYTES: usize = 256 << 20;

/// Bytes of text that are read at a time.
const BLOCK_BYTES: usize = 16 << 20;

/// The parts of single rows, in the order in which they are counted.
const PARTS: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

/// Training rows that are sampled, and the values that the sample may hold.
const SAMPLE_ROWS: usize = 100_000;
const SAMPLE_VALUES: usize = 16 << 20;

/// A table that is read in batches.
#[derive(Clone, Debug)]
pub struct Stream {
    source: TableOnDisk,
    reading: Reading,
    split: SplitConfig,
    seed: Seed,
    /// What decides the part of a row, made once for all of them.
    parts: u64,
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
    /// or all rows with the same value of a column together where the split is by group. Which part
    /// a group falls to follows from its value alone, so that nothing about it has to be kept.
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
            let hint = "streams read one CSV or Parquet file and split it at random or by group; \
                        load the table whole for the rest";
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
        if split.folds.is_some() || matches!(split.by, SplitBy::Time { .. } | SplitBy::EqualRows) {
            return refuse("split", "asks for folds, times or equal rows, which can't be streamed");
        }
        open(source.path())?;
        let (reading, split) = (Reading::of(config), split.clone());
        let seed = seed.child("stream");
        Ok(Stream { source, reading, split, seed, parts: seed.child("parts").value() })
    }

    /// Learns the preprocessing from the training rows, in one pass.
    ///
    /// # Errors
    /// As [`prepare`](crate::prepare).
    pub fn fit(self, config: &PreprocessConfig) -> Result<FittedStream, Error> {
        config.check()?;
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
        let frames = match &self.source {
            TableOnDisk::Csv(csv) => Frames::Csv(Box::new(CsvBlocks::new(csv)?)),
            TableOnDisk::Parquet(file) => Frames::Parquet(ParquetSlices::new(file)?),
        };
        Ok(Reader { frames, path: self.source.path(), waiting: VecDeque::new(), before: 0 })
    }

    /// Names of the columns that are features; the one that says which rows belong together isn't.
    fn features(&self, typed: &Typed<'_>) -> Result<Vec<String>, Error> {
        let mut names = typed.features(&self.roles())?;
        let Some((group, field)) = self.split.column() else { return Ok(names) };
        let Some(at) = names.iter().position(|name| name == group) else {
            let hint = nearest(group, names.iter().map(String::as_str));
            return Err(Error::config(field, format!("names no feature column `{group}`"), hint));
        };
        names.remove(at);
        if names.is_empty() {
            let what = "the table without the column that `split.by` names".to_owned();
            let hint = "is it the right file?";
            return Err(Error::Empty { what, missing: "feature column", hint });
        }
        Ok(names)
    }

    /// The part of each row of a batch: by its group, or by its number in the file.
    fn parts(&self, typed: &Typed<'_>, first_row: usize) -> Result<Vec<usize>, Error> {
        let n_rows = typed.n_rows();
        let Some((group, field)) = self.split.column() else {
            return Ok((first_row..first_row + n_rows).map(|row| self.part(row as u64)).collect());
        };
        let at = typed.names.iter().position(|name| name == group);
        let column = &typed.columns[at.expect("the first batch had it, and names stay the same")];
        if let Some(row) = (0..n_rows).find(|&row| column.is_missing(row)) {
            let row = first_row + row + 1;
            let problem = format!("names `{group}`, which is missing in row {row}");
            let hint = "complete the row, or leave it out by `data.filter`";
            return Err(Error::config(field, problem, hint));
        }
        Ok(match column {
            // Codes depend on the batch, texts don't.
            Column::Levels(levels) => {
                let number = |name: &String| Seed::new(self.parts).child(name).value();
                let parts: Vec<usize> =
                    levels.names.iter().map(|name| self.part(number(name))).collect();
                levels.codes.iter().map(|&code| parts[code as usize]).collect()
            }
            column => (0..n_rows).map(|row| self.part(column.identity(row))).collect(),
        })
    }

    /// The part that a number falls to: that of a row in the file, or that of a group.
    fn part(&self, number: u64) -> usize {
        let draw = mix(self.parts, number) as f64 / u64::MAX as f64;
        let test = f64::from(self.split.test.unwrap_or(crate::split::DEFAULT_TEST));
        let validation = (1.0 - test) * f64::from(self.split.validation);
        match draw {
            draw if draw < test => 2,
            draw if draw < test + validation => 1,
            _ => 0,
        }
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
            let features = stream.features(typed)?;
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
        let parts = stream.parts(typed, first_row)?;
        let mut train = Vec::with_capacity(n_rows);
        for row in (0..n_rows).filter(|&row| !gaps[row]) {
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

/// Training rows drawn evenly: those whose random number is among the smallest. It doesn't depend
/// on how the rows are cut into batches.
#[derive(Default)]
struct Sample {
    columns: Vec<Column>,
    labels: Vec<Label>,
    keys: Vec<u64>,
    /// Rows of a larger key are no longer taken.
    largest: Option<u64>,
}

#[derive(Clone)]
enum Label {
    Class(String),
    Value(f32),
}

impl Sample {
    fn most(&self) -> usize {
        SAMPLE_ROWS.min(SAMPLE_VALUES / self.columns.len().max(1)).max(1)
    }

    fn add(
        &mut self,
        columns: &[&Column],
        labels: &Labels,
        train: &[usize],
        first_row: usize,
        seed: u64,
    ) -> Result<(), Error> {
        let key = |row: usize| mix(seed, (first_row + row) as u64);
        let taken: Vec<usize> = train
            .iter()
            .copied()
            .filter(|&row| self.largest.is_none_or(|largest| key(row) <= largest))
            .collect();
        self.keys.extend(taken.iter().map(|&row| key(row)));
        self.labels.extend(taken.iter().map(|&row| match labels {
            Labels::Values(values) => Label::Value(values[row]),
            labels => Label::Class(labels.class(row)),
        }));
        let picked = columns.iter().map(|column| column.select(&taken));
        if self.columns.is_empty() {
            self.columns = picked.collect();
        } else {
            for (own, more) in self.columns.iter_mut().zip(picked) {
                own.append(&more)?;
            }
        }
        if self.keys.len() > 2 * self.most() {
            self.prune();
        }
        Ok(())
    }

    /// Keeps the rows with the smallest keys, in the order of the file.
    fn prune(&mut self) {
        let most = self.most();
        if self.keys.len() <= most {
            return;
        }
        let mut keys = self.keys.clone();
        let (_, largest, _) = keys.select_nth_unstable(most - 1);
        let largest = *largest;
        let kept: Vec<usize> =
            (0..self.keys.len()).filter(|&at| self.keys[at] <= largest).collect();
        self.columns = self.columns.iter().map(|column| column.select(&kept)).collect();
        self.labels = kept.iter().map(|&at| self.labels[at].clone()).collect();
        self.keys = kept.iter().map(|&at| self.keys[at]).collect();
        self.largest = Some(largest);
    }

    fn targets(&self, classes: &[String]) -> Targets {
        let known: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let ids = self.labels.iter().filter_map(|label| match label {
            Label::Class(name) => Some(known[name.as_str()]),
            Label::Value(_) => None,
        });
        let values = self.labels.iter().filter_map(|label| match label {
            Label::Value(value) => Some(*value),
            Label::Class(_) => None,
        });
        match classes.is_empty() {
            true => Targets::Values(values.collect()),
            false => Targets::Classes { ids: ids.collect(), names: classes.to_vec() },
        }
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
        Part::All => true,
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
                    let names = stream.features(&typed)?;
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
            let parts = stream.parts(&typed, first_row)?;
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

/// Frames of at most [`BATCH_ROWS`] rows, in the order of the file.
struct Reader<'a> {
    frames: Frames<'a>,
    path: &'a Path,
    waiting: VecDeque<(DataFrame, Option<Vec<usize>>)>,
    /// Rows that were given out.
    before: usize,
}

enum Frames<'a> {
    Parquet(ParquetSlices<'a>),
    Csv(Box<CsvBlocks<'a>>),
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<Source<'a>>, Error> {
        while self.waiting.is_empty() {
            let next = match &mut self.frames {
                Frames::Parquet(slices) => slices.next()?.map(|frame| (frame, None)),
                Frames::Csv(blocks) => blocks.next()?.map(|csv| (csv.frame, Some(csv.lines))),
            };
            let Some((frame, lines)) = next else { return Ok(None) };
            for start in (0..frame.height()).step_by(BATCH_ROWS) {
                let end = frame.height().min(start + BATCH_ROWS);
                let lines = lines.as_ref().map(|lines| lines[start..end].to_vec());
                self.waiting.push_back((frame.slice(start as i64, end - start), lines));
            }
        }
        let Some((frame, lines)) = self.waiting.pop_front() else { return Ok(None) };
        let before = self.before;
        self.before += frame.height();
        Ok(Some(Source { frame, path: self.path, lines, before }))
    }
}

/// Pieces of a Parquet file: row groups, or slices of those that are too large.
struct ParquetSlices<'a> {
    path: &'a Path,
    plan: VecDeque<(usize, usize)>,
}

impl<'a> ParquetSlices<'a> {
    fn new(file: &'a TableFile) -> Result<Self, Error> {
        let path = file.path.as_path();
        let mut reader = ParquetReader::new(open(path)?);
        let metadata = reader.get_metadata().map_err(|source| refused(path, "Parquet", source))?;
        let n_columns = metadata.schema().columns().len().max(1);
        let most_rows = (MOST_BYTES / (8 * n_columns)).max(1);
        let mut plan = VecDeque::new();
        let mut offset = 0;
        for group in &metadata.row_groups {
            let end = offset + group.num_rows();
            while offset < end {
                let n_rows = most_rows.min(end - offset);
                plan.push_back((offset, n_rows));
                offset += n_rows;
            }
        }
        Ok(ParquetSlices { path, plan })
    }

    fn next(&mut self) -> Result<Option<DataFrame>, Error> {
        let Some(slice) = self.plan.pop_front() else { return Ok(None) };
        let reader = ParquetReader::new(open(self.path)?).with_slice(Some(slice));
        let frame = reader.finish().map_err(|source| refused(self.path, "Parquet", source))?;
        Ok(Some(frame))
    }
}

/// Blocks of a CSV file, each of whole records.
struct CsvBlocks<'a> {
    source: &'a CsvSource,
    file: Box<dyn Read + 'a>,
    /// What was read and not yet cut into records.
    text: Vec<u8>,
    position: Position,
    names: Option<Vec<String>>,
    done: bool,
}

impl<'a> CsvBlocks<'a> {
    fn new(source: &'a CsvSource) -> Result<Self, Error> {
        let path = source.path.as_path();
        let mut head = [0; 2];
        let n_read = open(path)?.read(&mut head).map_err(Error::io("read", path))?;
        let file = BufReader::with_capacity(1 << 20, open(path)?);
        let file: Box<dyn Read> = match is_gzip(&head[..n_read]) {
            true => Box::new(MultiGzDecoder::new(file)),
            false => Box::new(file),
        };
        let position = Position::start(source);
        Ok(CsvBlocks { source, file, text: Vec::new(), position, names: None, done: false })
    }

    fn next(&mut self) -> Result<Option<Csv>, Error> {
        let path = self.source.path.as_path();
        let layout = Layout::new(self.source);
        while !self.done {
            let before = self.text.len();
            let mut block = self.file.by_ref().take(BLOCK_BYTES as u64);
            block.read_to_end(&mut self.text).map_err(Error::io("read", path))?;
            self.done = self.text.len() == before;
            let bom = "\u{feff}".as_bytes();
            if before == 0 && self.names.is_none() && self.text.starts_with(bom) {
                self.text.drain(..bom.len());
            }
            let last_line =
                self.text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let cut = if self.done { self.text.len() } else { last_line };
            let whole = &self.text[..cut];
            csv::check_text(whole, path).map_err(|error| shift(error, self.position.line - 1))?;
            let even = layout.even(whole);
            // Evened text has other places than the text that is kept; it ends with its lines.
            let is_last = self.done || matches!(even, Cow::Owned(_));
            let (mut records, end) = layout.scan(&even, path, &mut self.position, is_last)?;
            let used = if is_last { cut } else { end };
            if self.names.is_none() && !records.is_empty() {
                self.names = Some(layout.names(&even, &mut records, path)?);
            }
            let csv = match &self.names {
                Some(names) if !records.is_empty() => {
                    Some(layout.frame(&even, &records, names, path)?)
                }
                _ => None,
            };
            drop(even);
            self.text.drain(..used);
            if csv.is_some() {
                return Ok(csv);
            }
        }
        Ok(None)
    }
}

/// An error in a block, with the line in the file.
fn shift(error: Error, by: usize) -> Error {
    match error {
        Error::Csv { path, line, problem, hint } => {
            Error::Csv { path, line: line + by, problem, hint }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Column as PolarsColumn, ParquetWriter};

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
        let rows: Vec<usize> = (0..N_ROWS).filter(|&row| stream.part(row as u64) == 0).collect();
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
    fn means_are_of_all_rows_and_the_sample_is_even() {
        let mut sample = Sample::default();
        let mut moments = [ExactMoments::default()];
        let n_rows = 3 * SAMPLE_ROWS;
        let labels = Labels::Values(vec![0.0; BATCH_ROWS]);
        for first in (0..n_rows).step_by(BATCH_ROWS) {
            let n = BATCH_ROWS.min(n_rows - first);
            let column = Column::Numbers((first..first + n).map(|i| i as f64).collect());
            let rows: Vec<usize> = (0..n).collect();
            ExactMoments::add_all(&mut moments, &[&column], &rows);
            sample.add(&[&column], &labels, &rows, first, 9).unwrap();
        }
        sample.prune();
        assert_eq!(sample.keys.len(), SAMPLE_ROWS);
        let Column::Numbers(values) = &sample.columns[0] else { unreachable!() };
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((mean / (n_rows as f64 / 2.0) - 1.0).abs() < 0.01, "{mean}");
        assert!(values.is_sorted());
        assert!((moments[0].mean - (n_rows - 1) as f64 / 2.0).abs() < 1e-6);
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
