//! From loaded tables to prepared samples, in this order: check, split, drop rows, build the one
//! matrix, fit on its training rows, scale in place.

use hourglass_core::{Matrix, Partition, SampleShape, Samples, Seed, Targets};
use ndarray::Axis;

use crate::error::Error;
use crate::preprocess::{Missing, PreprocessConfig, Preprocessor};
use crate::split::{SplitConfig, split};
use crate::table::{Features, Loaded, Table};

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
    let Loaded { train, test, .. } = loaded;
    check_table(train, "the training table")?;
    check_classes(&train.targets)?;
    let train_gaps = Gaps::find(train, "training", config.missing)?;
    let mut split = split(&train.targets, split_config, test.is_some(), seed, fold)?;
    for rows in [&mut split.train, &mut split.validation, &mut split.test] {
        rows.retain(|row| !train_gaps.dropped[*row]);
    }
    let mut published: Vec<usize> = Vec::new();
    if let Some(test) = test {
        check_table(test, "the test table")?;
        let gaps = Gaps::find(test, "test", config.missing)?;
        published = (0..test.n_rows()).filter(|row| !gaps.dropped[*row]).collect();
    }
    let test_table = test.as_ref().unwrap_or(train);
    let test_rows = if test.is_some() { &published } else { &split.test };
    let pieces = [(train, &split.train), (train, &split.validation), (test_table, test_rows)];
    check_parts(&pieces)?;
    let mut features = gather(&pieces);
    let partition = Partition {
        n_train: split.train.len(),
        n_validation: split.validation.len(),
        n_test: test_rows.len(),
    };
    let names = train.feature_names.clone();
    let preprocessor =
        Preprocessor::fit(&mut features, partition.n_train, &train.shape, names, config)?;
    let kept = preprocessor.kept_columns();
    let shape = match kept.len() == train.n_features() {
        true => train.shape.clone(),
        false => SampleShape::Vector { len: kept.len() },
    };
    let feature_names = kept.iter().map(|&i| train.feature_names[i].clone()).collect();
    let targets = gather_targets(&pieces);
    let samples = Samples { features, targets, partition, shape, feature_names };
    Ok(Prepared { samples, preprocessor, notes: Vec::new() })
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

/// Which rows of a table are left out for a missing value.
struct Gaps {
    dropped: Vec<bool>,
}

impl Gaps {
    /// Looks at every value once.
    fn find(table: &Table, name: &'static str, missing: Missing) -> Result<Self, Error> {
        let mut dropped = vec![false; table.n_rows()];
        let Features::Floats(floats) = &table.features else { return Ok(Gaps { dropped }) };
        let mut first = None;
        let mut n_missing = 0;
        for (row, values) in floats.rows().into_iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                if value.is_infinite() {
                    let column = table.feature_names[column].clone();
                    return Err(Error::Infinite { table: name, row: row + 1, column });
                }
                if value.is_nan() {
                    first.get_or_insert((row, column));
                    n_missing += 1;
                    dropped[row] = true;
                }
            }
        }
        match (first, missing) {
            (Some((row, column)), Missing::Error) => Err(Error::MissingValues {
                table: name,
                row: row + 1,
                column: table.feature_names[column].clone(),
                n_missing,
                n_rows: dropped.iter().filter(|&&dropped| dropped).count(),
            }),
            (_, Missing::Fill(_)) => Ok(Gaps { dropped: vec![false; table.n_rows()] }),
            _ => Ok(Gaps { dropped }),
        }
    }
}

/// Rows of a table that make up a part.
type Piece<'a> = (&'a Table, &'a Vec<usize>);

/// Dropping rows may empty a part, or take the last row of a class.
fn check_parts(pieces: &[Piece<'_>; 3]) -> Result<(), Error> {
    for ((_, rows), part) in pieces.iter().zip(["training", "validation", "test"]) {
        if rows.is_empty() {
            return Err(Error::Empty {
                what: format!("the {part} part"),
                missing: "row without a missing value",
                hint: "fill missing values instead of dropping their rows",
            });
        }
    }
    let (table, rows) = pieces[0];
    let Targets::Classes { ids, names } = &table.targets else { return Ok(()) };
    let mut counts = vec![0; names.len()];
    rows.iter().for_each(|&row| counts[ids[row] as usize] += 1);
    match counts.iter().position(|&count| count == 0) {
        None => Ok(()),
        Some(class) => Err(Error::ClassLeftOut {
            class: names[class].clone(),
            n_rows: ids.iter().filter(|&&id| id as usize == class).count(),
            part: "training",
            hint: "fill missing values instead of dropping their rows, or drop the class",
        }),
    }
}

fn gather(pieces: &[Piece<'_>; 3]) -> Matrix {
    let n_samples = pieces.iter().map(|(_, rows)| rows.len()).sum();
    let mut matrix = Matrix::zeros((n_samples, pieces[0].0.n_features()));
    let rows = pieces.iter().flat_map(|(table, rows)| rows.iter().map(move |&row| (table, row)));
    for (mut target, (table, row)) in matrix.axis_iter_mut(Axis(0)).zip(rows) {
        let target = target.as_slice_mut().expect("a row of a row-major matrix is contiguous");
        table.features.copy_row(row, target);
    }
    matrix
}

fn gather_targets(pieces: &[Piece<'_>; 3]) -> Targets {
    let parts = pieces.iter().map(|(table, rows)| table.targets.select(rows));
    let mut parts = parts.collect::<Vec<_>>().into_iter();
    let mut whole = parts.next().expect("there are three pieces");
    for part in parts {
        match (&mut whole, part) {
            (Targets::Classes { ids, .. }, Targets::Classes { ids: more, .. }) => ids.extend(more),
            (Targets::Values(values), Targets::Values(more)) => values.extend(more),
            _ => unreachable!("both tables of a source have the same kind of target"),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use hourglass_core::Part;
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
        let config =
            PreprocessConfig { missing, numeric: Numeric::Standard, drop_constant_columns: false };
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
                let mut rows = samples.features.slice(s![row..row + 1, ..]).to_owned();
                fitted.inverse(&mut rows).unwrap();
                (rows[[0, 0]] / 10.0).round() as usize
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
        let config = PreprocessConfig { drop_constant_columns: true, ..Default::default() };
        let split = SplitConfig::default();
        let Prepared { samples, preprocessor: fitted, .. } =
            prepare(&loaded(train, None), &split, &config, Seed::new(1), 0).unwrap();
        assert_eq!(samples.shape, SampleShape::Vector { len: 1 });
        assert_eq!(samples.feature_names, ["x1"]);
        assert_eq!(fitted.kept_columns(), [1]);
        let mut rows = samples.features.slice(s![..1, ..]).to_owned();
        fitted.inverse(&mut rows).unwrap();
        assert_eq!(rows[[0, 0]], 4.0);
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
