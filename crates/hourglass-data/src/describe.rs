//! What a data set holds, in numbers, for `data describe`. It neither draws nor judges.

use hourglass_core::{SampleShape, Targets};
use serde::{Deserialize, Serialize};

use crate::table::{Loaded, Provenance, Table};

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
    let (n_rows, n_features) = table.features.dim();
    let mut row_values = vec![0.0_f32; n_features];
    let (mut sum, mut n_present) = (0.0_f64, 0_usize);
    let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
    for row in 0..n_rows {
        table.features.copy_row(row, &mut row_values);
        for &value in row_values.iter().filter(|value| !value.is_nan()) {
            sum += f64::from(value);
            n_present += 1;
            min = min.min(value);
            max = max.max(value);
        }
    }
    let n_values = n_rows * n_features;
    let some = n_present > 0;
    TableDescription {
        n_rows,
        missing: (n_values - n_present) as f64 / n_values.max(1) as f64,
        min: some.then_some(min),
        max: some.then_some(max),
        mean: some.then_some(sum / n_present as f64),
        classes: class_counts(&table.targets),
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
    use crate::table::{Features, Origin};

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
}
