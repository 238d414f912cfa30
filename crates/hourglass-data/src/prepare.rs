//! From loaded tables to prepared samples, in this order: check, split, drop rows, build the one
//! matrix, fit on its training rows, scale in place.

use hourglass_core::{Matrix, Partition, SampleShape, Samples, Seed, Targets};
use ndarray::Axis;

use crate::error::Error;
use crate::preprocess::{Missing, PreprocessConfig, Preprocessor};
use crate::split::{SplitConfig, split};
use crate::table::{Features, Loaded, Table};

/// Splits and scales. Test rows are those the source publishes, else a share that is split off.
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
) -> Result<(Samples, Preprocessor), Error> {
    config.check()?;
    let Loaded { train, test, .. } = loaded;
    check_table(train, "the training table")?;
    check_classes(&train.targets)?;
    let train_gaps = Gaps::find(train, "training", config.missing)?;
    let mut split = split(&train.targets, split_config, test.is_some(), seed)?;
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
        Preprocessor::fit(&mut features, partition.n_train, train.shape, names, config)?;
    let kept = preprocessor.kept_columns();
    let shape = match kept.len() == train.n_features() {
        true => train.shape,
        false => SampleShape::Vector { len: kept.len() },
    };
    let feature_names = kept.iter().map(|&i| train.feature_names[i].clone()).collect();
    let targets = gather_targets(&pieces);
    Ok((Samples { features, targets, partition, shape, feature_names }, preprocessor))
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
