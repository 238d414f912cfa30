//! What a data set holds, in numbers, for `data describe`. It neither draws nor judges.

use std::collections::BTreeMap;

use hourglass_core::{SampleShape, Targets};
use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::table::{Features, Loaded, Provenance, Table};

/// What a data set holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Where it came from.
    pub provenance: Provenance,
    /// Number of feature columns.
    pub n_features: usize,
    /// What a row means.
    pub shape: SampleShape,
    /// The rows to fit on.
    pub train: TableDescription,
    /// Published test rows.
    pub test: Option<TableDescription>,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDescription {
    /// Number of rows.
    pub n_rows: usize,
    /// Share of the values that are missing, from 0 to 1.
    pub missing: f64,
    /// Smallest value; `None` where all are missing.
    pub min: Option<f32>,
    /// Largest value; `None` where all are missing.
    pub max: Option<f32>,
    /// Mean of all values that are there; `None` where none is.
    pub mean: Option<f64>,
    /// Rows of each class; empty for a regression.
    pub classes: Vec<ClassCount>,
    /// The number to predict; `None` for a classification.
    pub target: Option<ColumnDescription>,
    /// The columns of a table; empty for images and for what is one matrix of numbers.
    pub columns: Vec<ColumnDescription>,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDescription {
    /// Name in the source.
    pub name: String,
    /// `numeric`, `boolean`, `categorical` or `date`.
    pub kind: String,
    /// Number of missing values.
    pub n_missing: usize,
    /// Smallest number, or day since 1970-01-01.
    pub min: Option<f64>,
    /// Largest number, or day since 1970-01-01.
    pub max: Option<f64>,
    /// Mean of the numbers or days that are there.
    pub mean: Option<f64>,
    /// Number of levels that occur; 0 for numbers and dates.
    pub n_levels: usize,
    /// The most frequent levels, five at most.
    pub levels: Vec<ClassCount>,
}

/// How often a class occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Name of the class.
    pub name: String,
    /// Number of rows.
    pub n_rows: usize,
}

/// Counts and measures what was loaded.
pub fn describe(loaded: &Loaded) -> Description {
    Description {
        provenance: loaded.provenance.clone(),
        n_features: loaded.train.n_features(),
        shape: loaded.train.shape.clone(),
        train: describe_table(&loaded.train),
        test: loaded.test.as_ref().map(describe_table),
    }
}

fn describe_table(table: &Table) -> TableDescription {
    let columns = match &table.features {
        Features::Columns(columns) => table
            .feature_names
            .iter()
            .zip(columns)
            .map(|(name, column)| describe_column(name, column))
            .collect(),
        _ => Vec::new(),
    };
    let mut numbers = Numbers::default();
    match &table.features {
        Features::Bytes(bytes) => bytes.iter().for_each(|&byte| numbers.add(f64::from(byte))),
        Features::Floats(floats) => floats.iter().for_each(|&value| numbers.add(f64::from(value))),
        Features::Columns(columns) => {
            for column in columns {
                match column {
                    Column::Numbers(values) => values.iter().for_each(|&value| numbers.add(value)),
                    other => {
                        let n_missing =
                            (0..other.len()).filter(|&row| other.is_missing(row)).count();
                        numbers.n_missing += n_missing;
                    }
                }
            }
        }
    }
    let (n_rows, n_features) = table.features.dim();
    TableDescription {
        n_rows,
        missing: numbers.n_missing as f64 / (n_rows * n_features).max(1) as f64,
        min: numbers.min().map(|min| min as f32),
        max: numbers.max().map(|max| max as f32),
        mean: numbers.mean(),
        classes: class_counts(&table.targets),
        target: match &table.targets {
            Targets::Classes { .. } => None,
            Targets::Values(values) => Some(describe_target(values)),
        },
        columns,
    }
}

fn describe_target(values: &[f32]) -> ColumnDescription {
    let column = Column::Numbers(values.iter().map(|&value| f64::from(value)).collect());
    describe_column("target", &column)
}

/// Levels of a category that are named.
const MOST_LEVELS: usize = 5;

fn describe_column(name: &str, column: &Column) -> ColumnDescription {
    let n_missing = (0..column.len()).filter(|&row| column.is_missing(row)).count();
    let mut numbers = Numbers::default();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    match column {
        Column::Numbers(values) | Column::Dates(values) => {
            values.iter().for_each(|&value| numbers.add(value));
        }
        Column::Booleans(values) => values.iter().flatten().for_each(|value| {
            *counts.entry(if *value { "true" } else { "false" }).or_default() += 1
        }),
        Column::Levels(levels) => (0..column.len())
            .filter_map(|row| levels.get(row))
            .for_each(|name| *counts.entry(name).or_default() += 1),
    }
    let n_levels = counts.len();
    let mut levels: Vec<ClassCount> = counts
        .into_iter()
        .map(|(name, n_rows)| ClassCount { name: name.to_owned(), n_rows })
        .collect();
    levels.sort_by_key(|level| std::cmp::Reverse(level.n_rows));
    levels.truncate(MOST_LEVELS);
    ColumnDescription {
        name: name.to_owned(),
        kind: column.kind().to_owned(),
        n_missing,
        min: numbers.min(),
        max: numbers.max(),
        mean: numbers.mean(),
        n_levels,
        levels,
    }
}

/// Smallest, largest and mean of numbers, gaps left out.
#[derive(Default)]
struct Numbers {
    range: Option<(f64, f64)>,
    sum: f64,
    n: usize,
    n_missing: usize,
}

impl Numbers {
    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.n_missing += 1;
            return;
        }
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
        self.sum += value;
        self.n += 1;
    }

    fn min(&self) -> Option<f64> {
        self.range.map(|(low, _)| low)
    }

    fn max(&self) -> Option<f64> {
        self.range.map(|(_, high)| high)
    }

    fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}

fn class_counts(targets: &Targets) -> Vec<ClassCount> {
    let Targets::Classes { ids, names } = targets else { return Vec::new() };
    let mut counts: Vec<_> =
        names.iter().map(|name| ClassCount { name: name.clone(), n_rows: 0 }).collect();
    ids.iter().for_each(|&id| counts[id as usize].n_rows += 1);
    counts
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::column::Levels;
    use crate::table::Origin;

    #[test]
    fn missing_values_are_counted_and_left_out() {
        let train = Table {
            features: Features::Floats(array![[1.0, f32::NAN], [4.0, -2.0]]),
            targets: Targets::Classes { ids: vec![1, 1], names: vec!["a".into(), "b".into()] },
            shape: SampleShape::Vector { len: 2 },
            feature_names: vec!["x".into(), "y".into()],
        };
        let provenance = Provenance {
            dataset: "x".into(),
            origin: Origin::File,
            fallback: None,
            sentence: String::new(),
            files: Vec::new(),
            licence: None,
            citation: None,
        };
        let said = describe(&Loaded { train, test: None, provenance });
        assert_eq!((said.n_features, said.train.n_rows, said.test), (2, 2, None));
        assert_eq!((said.train.missing, said.train.mean), (0.25, Some(1.0)));
        assert_eq!((said.train.min, said.train.max), (Some(-2.0), Some(4.0)));
        let counts: Vec<_> =
            said.train.classes.iter().map(|c| (c.name.as_str(), c.n_rows)).collect();
        assert_eq!(counts, [("a", 0), ("b", 2)]);
    }

    #[test]
    fn columns_are_described_by_their_kind() {
        let texts = [Some("b"), None, Some("a"), Some("b")];
        let numbers = Column::Numbers(vec![1.0, f64::NAN, 4.0, 1.0]);
        let said = describe_column("x", &numbers);
        assert_eq!((said.n_missing, said.mean, said.n_levels), (1, Some(2.0), 0));
        let said = describe_column("x", &Column::Levels(Levels::of(texts.into_iter())));
        assert_eq!((said.n_missing, said.n_levels, said.min), (1, 2, None));
        assert_eq!(said.levels[0], ClassCount { name: "b".into(), n_rows: 2 });
    }
}
