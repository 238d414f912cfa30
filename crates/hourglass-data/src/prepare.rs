//! From loaded tables to prepared samples, in this order: check, split, drop rows, fit on the
//! training rows, treat all rows.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use hourglass_core::{Matrix, Partition, Samples, Seed, Targets};
use ndarray::{Axis, s};
use rayon::prelude::*;

use crate::column::Column;
use crate::error::{Error, nearest};
use crate::preprocess::{Missing, PreprocessConfig, Preprocessor};
use crate::split::{SplitBy, SplitConfig, split};
use crate::table::{Features, Loaded, Table};

/// Rows that one task makes the hashes of.
const PRINTS: usize = 1024;

/// What [`prepare`] gives.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Finite numbers, partitioned, with their targets.
    pub samples: Samples,
    /// What was fitted on the training part.
    pub preprocessor: Preprocessor,
    /// What a reader should know, one sentence each. They decide nothing.
    pub notes: Vec<String>,
}

/// Splits and scales. Test rows are those the source publishes, else a share that is split off.
///
/// `fold` counts from 0 and is below [`SplitConfig::n_folds`]; the same seed with another fold is
/// the same shuffle with another part as the test part. Preprocessing is fitted anew in each.
///
/// Everything that is fitted, is fitted on the training part. Rows of a part keep the order of the
/// source. The samples are built once, as one matrix: `4 * n_samples * n_features` bytes beside
/// what `loaded` holds.
///
/// # Errors
/// Whatever makes the data unfit to learn from: missing or infinite values (with row and column), a
/// single class, a class or a part left empty by the split, columns that are all constant.
pub fn prepare(
    loaded: &Loaded,
    split_config: &SplitConfig,
    config: &PreprocessConfig,
    seed: Seed,
    fold: usize,
) -> Result<Prepared, Error> {
    config.check()?;
    split_config.check(loaded.test.is_some())?;
    let sources = Sources::of(loaded)?;
    let is_fixed = split_config.keeps_published(loaded.test.is_some());
    check_classes(&sources.targets)?;
    let together = sources.together(split_config)?;
    let n_split = if is_fixed { sources.n_train } else { sources.n_rows() };
    let targets = sources.targets.select(&(0..n_split).collect::<Vec<_>>());
    let together = together.as_ref().map(|together| &together[..n_split]);
    let mut split = split(&targets, together, split_config, is_fixed, seed, fold)?;
    if is_fixed {
        split.test = (sources.n_train..sources.n_rows()).collect();
    }
    let gaps = sources.gaps(config.missing)?;
    let mut parts = [split.train, split.validation, split.test];
    parts.iter_mut().for_each(|rows| rows.retain(|&row| !gaps[row]));
    check_parts(&parts, &sources.targets)?;
    let [n_train, n_validation, n_test] = [0, 1, 2].map(|part| parts[part].len());
    let partition = Partition { n_train, n_validation, n_test };
    let targets = sources.targets.select(&parts.concat());
    let mut notes = sources.duplicates(&parts);
    let (features, preprocessor) = match sources.images {
        true => {
            let mut matrix = sources.gather(&parts);
            let names = sources.names.clone();
            let shape = &loaded.train.shape;
            let fitted = Preprocessor::fit_images(&mut matrix, n_train, shape, names, config)?;
            (matrix, fitted)
        }
        false => sources.columns(&parts, split_config, config, seed.child("preprocess"))?,
    };
    notes.extend(preprocessor.left_out());
    let (shape, feature_names) = (preprocessor.shape(), preprocessor.output_names());
    let samples = Samples { features, targets, partition, shape, feature_names };
    Ok(Prepared { samples, preprocessor, notes })
}

/// The rows of both tables, those of training first.
struct Sources<'a> {
    tables: Vec<&'a Table>,
    n_train: usize,
    names: &'a Vec<String>,
    targets: Cow<'a, Targets>,
    /// Whether the features are one matrix whose columns are pixels.
    images: bool,
}

impl<'a> Sources<'a> {
    fn of(loaded: &'a Loaded) -> Result<Self, Error> {
        let Loaded { train, test, .. } = loaded;
        check_table(train, "the training table")?;
        let mut targets = Cow::Borrowed(&train.targets);
        if let Some(test) = test {
            check_table(test, "the test table")?;
            append(targets.to_mut(), &test.targets);
        }
        let is_image = matches!(train.shape, hourglass_core::SampleShape::Image { .. });
        Ok(Sources {
            tables: [Some(train), test.as_ref()].into_iter().flatten().collect(),
            n_train: train.n_rows(),
            names: &train.feature_names,
            targets,
            images: is_image && !matches!(train.features, Features::Columns(_)),
        })
    }

    fn n_rows(&self) -> usize {
        self.targets.len()
    }

    /// The table of a row and its row there.
    fn at(&self, row: usize) -> (usize, usize) {
        if row < self.n_train { (0, row) } else { (1, row - self.n_train) }
    }

    /// Which rows belong together, as a number for each.
    fn together(&self, config: &SplitConfig) -> Result<Option<Vec<f64>>, Error> {
        if config.by == SplitBy::EqualRows {
            return Ok(Some(self.equal_rows()));
        }
        let Some((name, field)) = config.column() else { return Ok(None) };
        let Some(at) = self.names.iter().position(|known| known == name) else {
            let hint = nearest(name, self.names.iter().map(String::as_str));
            return Err(Error::config(field, format!("names no feature column `{name}`"), hint));
        };
        let mut column: Option<Column> = None;
        for table in &self.tables {
            let Features::Columns(columns) = &table.features else {
                let problem = "needs a table with named columns";
                return Err(Error::config(field, problem, "delete it"));
            };
            match &mut column {
                None => column = Some(columns[at].clone()),
                Some(column) => column.append(&columns[at])?,
            }
        }
        let Some(column) = column else { return Ok(None) };
        if let Some(row) = (0..column.len()).find(|&row| column.is_missing(row)) {
            let problem = format!("names `{name}`, which is missing in row {}", row + 1);
            let hint = "complete the row, or leave it out by `data.filter`";
            return Err(Error::config(field, problem, hint));
        }
        let numbers = match (&column, &config.by) {
            (Column::Numbers(values) | Column::Dates(values), _) => values.clone(),
            (_, SplitBy::Time { .. }) => {
                let problem = format!("names `{name}`, which is {}", column.kind());
                let hint = "name a column of dates or numbers";
                return Err(Error::config(field, problem, hint));
            }
            _ => (0..column.len()).map(|row| column.identity(row) as f64).collect(),
        };
        Ok(Some(numbers))
    }

    /// A number for each row, the same for those whose features are equal.
    fn equal_rows(&self) -> Vec<f64> {
        let rows = (0..self.n_rows()).into_par_iter().with_min_len(PRINTS);
        let prints: Vec<u128> = rows.map(|row| self.print(row)).collect();
        let mut numbers: HashMap<u128, f64> = HashMap::new();
        let number = |(row, print)| *numbers.entry(print).or_insert(row as f64);
        prints.into_iter().enumerate().map(number).collect()
    }

    /// Which rows are left out for a missing value; looks at every value once.
    fn gaps(&self, missing: Missing) -> Result<Vec<bool>, Error> {
        let mut dropped = vec![false; self.n_rows()];
        for (number, table) in self.tables.iter().enumerate() {
            let name = ["training", "test"][number];
            let before = if number == 0 { 0 } else { self.n_train };
            let found = Gaps::find(table, name)?;
            match (found.first, missing) {
                (Some((row, column)), Missing::Error) => {
                    return Err(Error::MissingValues {
                        table: name,
                        row: row + 1,
                        column: table.feature_names[column].clone(),
                        n_missing: found.n_missing,
                        n_rows: found.rows.iter().filter(|&&missing| missing).count(),
                    });
                }
                (_, Missing::DropRows) => {
                    dropped[before..before + found.rows.len()].copy_from_slice(&found.rows);
                }
                _ => {}
            }
        }
        Ok(dropped)
    }

    /// How many rows of the later parts stand in the training part, too, in words.
    fn duplicates(&self, parts: &[Vec<usize>; 3]) -> Vec<String> {
        let prints = |rows: &[usize]| -> Vec<u128> {
            rows.par_iter().with_min_len(PRINTS).map(|&row| self.print(row)).collect()
        };
        let seen: HashSet<u128> = prints(&parts[0]).into_iter().collect();
        let mut notes = Vec::new();
        for (rows, part) in [(&parts[1], "validation"), (&parts[2], "test")] {
            let n = prints(rows).iter().filter(|print| seen.contains(print)).count();
            if n > 0 {
                let n_rows = rows.len();
                notes.push(format!(
                    "{n} of {n_rows} {part} rows have the very features of a training row"
                ));
            }
        }
        notes
    }

    /// A hash of the features of a row: the same for equal rows, of whichever table.
    fn print(&self, row: usize) -> u128 {
        let (number, row) = self.at(row);
        let mut hasher = blake3::Hasher::new();
        match &self.tables[number].features {
            Features::Bytes(bytes) => {
                hasher.update(&bytes.row(row).iter().copied().collect::<Vec<u8>>());
            }
            Features::Floats(floats) => {
                let bytes: Vec<u8> =
                    floats.row(row).iter().flat_map(|value| (value + 0.0).to_le_bytes()).collect();
                hasher.update(&bytes);
            }
            Features::Columns(columns) => {
                let mut bytes = Vec::with_capacity(8 * columns.len());
                for column in columns {
                    match column {
                        // The codes of two tables differ, their texts don't.
                        Column::Levels(levels) => {
                            let text = levels.get(row).unwrap_or("\0");
                            bytes.extend((text.len() as u32).to_le_bytes());
                            bytes.extend(text.as_bytes());
                        }
                        other => bytes.extend(other.identity(row).to_le_bytes()),
                    }
                }
                hasher.update(&bytes);
            }
        }
        let hash = hasher.finalize();
        u128::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }

    /// The rows of all parts as one matrix, as they are.
    fn gather(&self, parts: &[Vec<usize>; 3]) -> Matrix {
        let n_samples = parts.iter().map(Vec::len).sum();
        let mut matrix = Matrix::zeros((n_samples, self.names.len()));
        for (mut target, &row) in matrix.axis_iter_mut(Axis(0)).zip(parts.iter().flatten()) {
            let target = target.as_slice_mut().expect("a row of a row-major matrix is contiguous");
            let (number, row) = self.at(row);
            self.tables[number].features.copy_row(row, target);
        }
        matrix
    }

    /// Fits on the columns of the training rows and treats all rows.
    fn columns(
        &self,
        parts: &[Vec<usize>; 3],
        split_config: &SplitConfig,
        config: &PreprocessConfig,
        seed: Seed,
    ) -> Result<(Matrix, Preprocessor), Error> {
        let columns: Vec<Cow<'_, [Column]>> = self
            .tables
            .iter()
            .map(|table| match &table.features {
                Features::Columns(columns) => Cow::Borrowed(columns.as_slice()),
                matrix => Cow::Owned(matrix.to_columns()),
            })
            .collect();
        // What says which rows belong together is no feature.
        let apart = split_config.column().map(|(name, _)| name);
        let features: Vec<usize> =
            (0..self.names.len()).filter(|&at| apart != Some(self.names[at].as_str())).collect();
        let names: Vec<String> = features.iter().map(|&at| self.names[at].clone()).collect();
        if names.is_empty() {
            let what = "the table without the column that `split.by` names".to_owned();
            let hint = "is it the right file?";
            return Err(Error::Empty { what, missing: "feature column", hint });
        }
        let train_rows: Vec<Vec<usize>> = self.by_table(&parts[0]);
        let pick = |&at: &usize| {
            let mut picked = columns[0][at].select(&train_rows[0]);
            if let Some(rows) = train_rows.get(1).filter(|rows| !rows.is_empty()) {
                picked.append(&columns[1][at].select(rows))?;
            }
            Ok(picked)
        };
        let train = features.iter().map(pick).collect::<Result<Vec<Column>, Error>>()?;
        let targets = self.targets.select(&train_rows_in_order(&train_rows, self.n_train));
        let (fitted, out_of_fold) =
            Preprocessor::fit_columns(&names, &train, &targets, config, seed)?;
        drop(train);
        let mut matrix = Matrix::zeros((parts.iter().map(Vec::len).sum(), fitted.n_outputs()));
        let mut start = 0;
        for rows in parts {
            // Rows ascend, so those of the first table stand in front.
            for (number, rows) in self.by_table(rows).into_iter().enumerate() {
                let end = start + rows.len();
                let out = matrix.slice_mut(s![start..end, ..]);
                fitted.transform_into(self.names, &columns[number], &rows, out)?;
                start = end;
            }
        }
        fitted.put_out_of_fold(&mut matrix, &out_of_fold);
        Ok((matrix, fitted))
    }

    /// Rows of a part by table, in each with their numbers there.
    fn by_table(&self, rows: &[usize]) -> Vec<Vec<usize>> {
        let mut tables = vec![Vec::new(); self.tables.len()];
        for &row in rows {
            let (number, row) = self.at(row);
            tables[number].push(row);
        }
        tables
    }
}

/// The rows that `by_table` has taken apart, with their numbers among all.
fn train_rows_in_order(tables: &[Vec<usize>], n_train: usize) -> Vec<usize> {
    let numbered = tables.iter().enumerate();
    numbered.flat_map(|(number, rows)| rows.iter().map(move |row| row + number * n_train)).collect()
}

fn append(targets: &mut Targets, more: &Targets) {
    match (targets, more) {
        (Targets::Classes { ids, .. }, Targets::Classes { ids: more, .. }) => ids.extend(more),
        (Targets::Values(values), Targets::Values(more)) => values.extend(more),
        _ => unreachable!("both tables of a source have the same kind of target"),
    }
}

fn check_table(table: &Table, what: &str) -> Result<(), Error> {
    let (n_rows, n_features) = table.features.dim();
    let hint = "is it the right file, and is it whole?";
    for (n, missing) in [(n_rows, "row"), (n_features, "feature column")] {
        if n == 0 {
            return Err(Error::Empty { what: what.to_owned(), missing, hint });
        }
    }
    Ok(())
}

fn check_classes(targets: &Targets) -> Result<(), Error> {
    let Targets::Classes { ids, names } = targets else { return Ok(()) };
    if let [only] = names.as_slice() {
        return Err(Error::SingleClass { class: only.clone() });
    }
    if let Some(&first) = ids.first()
        && ids.iter().all(|&id| id == first)
    {
        return Err(Error::SingleClass { class: names[first as usize].clone() });
    }
    let (n_rows, n_classes) = (ids.len(), names.len());
    if n_rows < n_classes {
        return Err(Error::FewerRowsThanClasses { n_rows, n_classes });
    }
    Ok(())
}

/// Where a table has gaps.
struct Gaps {
    /// Whether each row has one.
    rows: Vec<bool>,
    /// Row and column of the first.
    first: Option<(usize, usize)>,
    n_missing: usize,
}

impl Gaps {
    fn find(table: &Table, name: &'static str) -> Result<Self, Error> {
        let mut gaps = Gaps { rows: vec![false; table.n_rows()], first: None, n_missing: 0 };
        let mut infinite: Option<(usize, usize)> = None;
        let mut note = |at: (usize, usize), is_missing: bool, is_infinite: bool| {
            if is_missing {
                gaps.rows[at.0] = true;
                gaps.n_missing += 1;
                gaps.first = Some(gaps.first.map_or(at, |first| first.min(at)));
            }
            if is_infinite {
                infinite = Some(infinite.map_or(at, |first| first.min(at)));
            }
        };
        match &table.features {
            Features::Bytes(_) => {}
            Features::Floats(floats) => {
                for (at, value) in floats.indexed_iter().filter(|(_, value)| !value.is_finite()) {
                    note(at, value.is_nan(), value.is_infinite());
                }
            }
            Features::Columns(columns) => {
                for (at, column) in columns.iter().enumerate() {
                    match column {
                        Column::Numbers(values) | Column::Dates(values) => {
                            let odd = values.iter().enumerate().filter(|(_, v)| !v.is_finite());
                            odd.for_each(|(row, v)| note((row, at), v.is_nan(), v.is_infinite()));
                        }
                        other => (0..other.len())
                            .filter(|&row| other.is_missing(row))
                            .for_each(|row| note((row, at), true, false)),
                    }
                }
            }
        }
        match infinite {
            None => Ok(gaps),
            Some((row, column)) => {
                let column = table.feature_names[column].clone();
                Err(Error::Infinite { table: name, row: row + 1, column })
            }
        }
    }
}

/// Dropping rows may empty a part, or take the last row of a class.
fn check_parts(parts: &[Vec<usize>; 3], targets: &Targets) -> Result<(), Error> {
    for (rows, part) in parts.iter().zip(["training", "validation", "test"]) {
        if rows.is_empty() {
            return Err(Error::Empty {
                what: format!("the {part} part"),
                missing: "row without a missing value",
                hint: "fill missing values instead of dropping their rows",
            });
        }
    }
    let Targets::Classes { ids, names } = targets else { return Ok(()) };
    let mut counts = vec![0; names.len()];
    parts[0].iter().for_each(|&row| counts[ids[row] as usize] += 1);
    match counts.iter().position(|&count| count == 0) {
        None => Ok(()),
        Some(class) => Err(Error::ClassLeftOut {
            class: names[class].clone(),
            n_rows: ids.iter().filter(|&&id| id as usize == class).count(),
            part: "training",
            hint: "fill missing values instead of dropping their rows, leave the class out by \
                   `data.filter`, or split otherwise",
        }),
    }
}

#[cfg(test)]
mod tests {
    use hourglass_core::{Part, SampleShape};
    use ndarray::{Array2, array, s};

    use super::*;
    use crate::preprocess::{Fill, Numeric};
    use crate::table::{Origin, Provenance};

    const NAN: f32 = f32::NAN;

    fn table(features: Features, ids: Vec<u32>, n_classes: usize) -> Table {
        let len = features.dim().1;
        Table {
            features,
            targets: Targets::Classes {
                ids,
                names: (0..n_classes).map(|class| format!("c{class}")).collect(),
            },
            shape: SampleShape::Vector { len },
            feature_names: (0..len).map(|i| format!("x{i}")).collect(),
        }
    }

    fn loaded(train: Table, test: Option<Table>) -> Loaded {
        let provenance = Provenance {
            dataset: "x".into(),
            origin: Origin::File,
            fallback: None,
            sentence: String::new(),
            files: Vec::new(),
            licence: None,
            citation: None,
        };
        Loaded { train, test, provenance }
    }

    /// `n` rows that count up, classes taking turns.
    fn counting(n: usize, n_classes: usize) -> Table {
        let floats = Matrix::from_shape_fn((n, 2), |(i, j)| (i * 10 + j) as f32);
        let ids = (0..n).map(|i| (i % n_classes) as u32).collect();
        table(Features::Floats(floats), ids, n_classes)
    }

    fn set(table: &mut Table, at: (usize, usize), value: f32) {
        let Features::Floats(floats) = &mut table.features else { unreachable!() };
        floats[at] = value;
    }

    fn run(loaded: &Loaded, missing: Missing) -> Result<(Samples, Preprocessor), Error> {
        let config = PreprocessConfig { missing, numeric: Numeric::Standard, ..Default::default() };
        let split = SplitConfig { validation: 0.2, ..SplitConfig::default() };
        prepare(loaded, &split, &config, Seed::new(1), 0)
            .map(|prepared| (prepared.samples, prepared.preprocessor))
    }

    #[test]
    fn rows_and_targets_stay_together_and_test_stays_as_published() {
        let config = PreprocessConfig::default();
        let split = SplitConfig::default();
        for test in [None, Some(counting(7, 3))] {
            let n_test = test.as_ref().map_or(18, Table::n_rows);
            let n_fit = if test.is_some() { 90 } else { 72 };
            let loaded = loaded(counting(90, 3), test);
            let samples = prepare(&loaded, &split, &config, Seed::new(1), 0).unwrap().samples;
            let partition = samples.partition;
            assert_eq!(partition.n_test, n_test);
            assert_eq!(partition.n_train + partition.n_validation, n_fit);
            for part in [Part::Train, Part::Validation, Part::Test] {
                let rows = samples.part(part).column(0).to_owned();
                assert!(rows.windows(2).into_iter().all(|pair| pair[0] < pair[1]), "{part:?}");
                for (&id, value) in samples.class_ids(part).unwrap().iter().zip(&rows) {
                    assert_eq!(id, (*value as u32 / 10) % 3);
                }
            }
        }
    }

    #[test]
    fn equal_rows_are_on_one_side_where_asked() {
        // Each row twice, some way apart.
        let mut table = counting(120, 3);
        for row in 60..120 {
            (0..2).for_each(|column| {
                set(&mut table, (row, column), ((row - 60) * 10 + column) as f32)
            });
        }
        let shared = |by| {
            let split = SplitConfig { by, ..SplitConfig::default() };
            let config = PreprocessConfig::default();
            let loaded = loaded(table.clone(), None);
            let prepared = prepare(&loaded, &split, &config, Seed::new(1), 0).unwrap();
            let samples = prepared.samples;
            let train: Vec<f32> = samples.part(Part::Train).column(0).to_vec();
            let is_known = |value: &&f32| train.contains(value);
            assert_eq!(samples.partition.n_samples(), 120);
            [Part::Validation, Part::Test]
                .map(|part| samples.part(part).column(0).iter().filter(is_known).count())
        };
        assert_ne!(shared(SplitBy::Stratified), [0, 0]);
        assert_eq!(shared(SplitBy::EqualRows), [0, 0]);
    }

    #[test]
    fn bytes_and_floats_give_the_same_samples() {
        let bytes = Array2::from_shape_fn((40, 3), |(i, j)| (i * 7 + j * 31) as u8);
        let ids: Vec<u32> = (0..40).map(|i| i % 2).collect();
        let floats = Features::Floats(bytes.mapv(f32::from));
        let [a, b] = [Features::Bytes(bytes), floats].map(|features| {
            let loaded = loaded(table(features, ids.clone(), 2), None);
            run(&loaded, Missing::Error).unwrap()
        });
        assert_eq!(a.0.features, b.0.features);
        assert_eq!(a.1, b.1);
    }

    #[test]
    fn only_training_rows_move_what_is_fitted() {
        for missing in [Missing::Fill(Fill::Mean), Missing::DropRows] {
            let original = loaded(counting(60, 3), None);
            let (samples, fitted) = run(&original, missing).unwrap();
            let train = samples.part(Part::Train).column(0).len();
            let raw = |row: usize| {
                let rows = samples.features.slice(s![row..row + 1, ..]).to_owned();
                let Some(Column::Numbers(first)) = &fitted.inverse(&rows).unwrap()[0] else {
                    unreachable!()
                };
                (first[0] / 10.0).round() as usize
            };
            for row in 0..samples.features.nrows() {
                for value in [1e6, NAN] {
                    let mut changed = original.clone();
                    set(&mut changed.train, (raw(row), 1), value);
                    let (_, refitted) = run(&changed, missing).unwrap();
                    assert_eq!(refitted != fitted, row < train, "row {row}, {value}");
                }
            }
            let with_test = |value| {
                let mut test = counting(9, 3);
                set(&mut test, (4, 0), value);
                run(&loaded(counting(60, 3), Some(test)), missing).unwrap()
            };
            let (first, fitted) = with_test(3.0);
            for value in [-1e6, NAN] {
                let (second, refitted) = with_test(value);
                assert_eq!(fitted, refitted);
                assert_eq!(first.part(Part::TrainValidation), second.part(Part::TrainValidation));
            }
        }
    }

    #[test]
    fn missing_rows_are_dropped_where_asked() {
        let mut train = counting(60, 3);
        [3, 17, 40].into_iter().for_each(|row| set(&mut train, (row, 1), NAN));
        let (samples, _) = run(&loaded(train, None), Missing::DropRows).unwrap();
        assert_eq!(samples.partition.n_samples(), 57);
        assert!(samples.features.iter().all(|value| value.is_finite()));
        assert_eq!(samples.targets.len(), 57);
    }

    #[test]
    fn dropped_columns_make_a_vector_of_an_image() {
        let mut train = counting(60, 3);
        train.shape = SampleShape::Image { channels: 1, height: 1, width: 2 };
        (0..60).for_each(|row| set(&mut train, (row, 0), 4.0));
        let config = PreprocessConfig { drop_constant_columns: Some(true), ..Default::default() };
        let split = SplitConfig::default();
        let Prepared { samples, preprocessor: fitted, .. } =
            prepare(&loaded(train, None), &split, &config, Seed::new(1), 0).unwrap();
        assert_eq!(samples.shape, SampleShape::Vector { len: 1 });
        assert_eq!(samples.feature_names, ["x1"]);
        let rows = samples.features.slice(s![..1, ..]).to_owned();
        assert_eq!(fitted.inverse(&rows).unwrap()[0], Some(Column::Numbers(vec![4.0])));
    }

    #[test]
    fn unfit_data_is_named() {
        let one_class = |names| table(Features::Floats(Matrix::ones((9, 1))), vec![0; 9], names);
        let mut missing = counting(30, 3);
        set(&mut missing, (4, 1), NAN);
        set(&mut missing, (6, 0), NAN);
        let mut infinite = counting(30, 3);
        set(&mut infinite, (2, 0), f32::NEG_INFINITY);
        let mut gone = counting(30, 3);
        (0..30).filter(|row| row % 3 == 2).for_each(|row| set(&mut gone, (row, 0), NAN));
        let mut bad_test = counting(9, 3);
        set(&mut bad_test, (8, 1), NAN);
        let constant = table(Features::Floats(Matrix::ones((30, 2))), counting_ids(), 3);
        let few = table(Features::Floats(array![[1.0], [2.0]]), vec![0, 1], 3);
        let unknown = table(Features::Floats(Matrix::ones((30, 2))), counting_ids(), 4);
        let empty = table(Features::Floats(Matrix::zeros((0, 2))), vec![], 3);
        for (loaded, how, said) in [
            (loaded(one_class(1), None), Missing::Error, "every row is of class `c0`"),
            (loaded(one_class(2), None), Missing::Error, "every row is of class `c0`"),
            (loaded(few, None), Missing::Error, "2 rows are fewer than 3 classes"),
            (loaded(counting(3, 3), None), Missing::Error, "class `c0` has 1 rows, too few"),
            (loaded(empty, None), Missing::Error, "the training table has no row"),
            (
                loaded(missing, None),
                Missing::Error,
                "training row 5, column `x1`: the value is missing (2 are, in 2 rows)",
            ),
            (
                loaded(infinite, None),
                Missing::Fill(Fill::Mean),
                "training row 3, column `x0`: the value is infinite",
            ),
            (
                loaded(counting(30, 3), Some(bad_test)),
                Missing::Error,
                "test row 9, column `x1`: the value is missing",
            ),
            (loaded(constant, None), Missing::Error, "all 2 columns are constant"),
            (loaded(gone, None), Missing::DropRows, "class `c2` has 10 rows, too few for training"),
            (loaded(unknown, None), Missing::Error, "class `c3` has 0 rows"),
        ] {
            let error = run(&loaded, how).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(error.contains("\nhint: "), "{error}");
        }
    }

    fn counting_ids() -> Vec<u32> {
        (0..30).map(|i| i % 3).collect()
    }
}
