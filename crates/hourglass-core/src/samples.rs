//! Prepared samples: one matrix whose rows are ordered training, validation, test, so that every
//! part is a view and nothing is copied.

use std::ops::Range;

use ndarray::s;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ColumnGroup, Matrix, MatrixView, Task};

/// What one row means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SampleShape {
    /// Numbers in no order.
    Vector {
        /// Number of columns.
        len: usize,
    },
    /// Columns of a table, of one kind or several.
    Table {
        /// The groups in the order of their columns, which they cover without a gap.
        groups: Vec<ColumnGroup>,
    },
    /// An image, stored channel by channel, row by row.
    Image {
        /// Colour channels.
        channels: usize,
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
    },
}

impl SampleShape {
    /// Number of values in a row.
    pub fn n_features(&self) -> usize {
        match self {
            SampleShape::Vector { len } => *len,
            SampleShape::Table { groups } => groups.last().map_or(0, |group| group.columns.end),
            SampleShape::Image { channels, height, width } => channels * height * width,
        }
    }

    /// The column groups of a table; empty for anything else.
    pub fn groups(&self) -> &[ColumnGroup] {
        match self {
            SampleShape::Table { groups } => groups,
            SampleShape::Vector { .. } | SampleShape::Image { .. } => &[],
        }
    }
}

/// What is to be predicted from a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Class of each row, as an index into `names`.
    Classes {
        /// One index a row, below `names.len()`.
        ids: Vec<u32>,
        /// Name of each class, in the order of the indices.
        names: Vec<String>,
    },
    /// A number of each row.
    Values(Vec<f32>),
}

impl Targets {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes { ids, .. } => ids.len(),
            Targets::Values(values) => values.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets of some rows, in the order given.
    pub fn select(&self, rows: &[usize]) -> Targets {
        match self {
            Targets::Classes { ids, names } => Targets::Classes {
                ids: rows.iter().map(|&row| ids[row]).collect(),
                names: names.clone(),
            },
            Targets::Values(values) => {
                Targets::Values(rows.iter().map(|&row| values[row]).collect())
            }
        }
    }

    /// Class indices of a contiguous part, or `None` for a regression.
    pub fn class_ids(&self, rows: Range<usize>) -> Option<&[u32]> {
        match self {
            Targets::Classes { ids, .. } => Some(&ids[rows]),
            Targets::Values(_) => None,
        }
    }

    /// Numbers of a contiguous part, or `None` for a classification.
    pub fn values(&self, rows: Range<usize>) -> Option<&[f32]> {
        match self {
            Targets::Values(values) => Some(&values[rows]),
            Targets::Classes { .. } => None,
        }
    }

    /// What is asked for.
    pub fn task(&self) -> Task {
        match self {
            Targets::Classes { .. } => Task::Classification,
            Targets::Values(_) => Task::Regression,
        }
    }

    /// Names of the classes, or `None` for a regression.
    pub fn class_names(&self) -> Option<&[String]> {
        match self {
            Targets::Classes { names, .. } => Some(names),
            Targets::Values(_) => None,
        }
    }
}

/// A part of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What is fitted on.
    Train,
    /// What choices are made on.
    Validation,
    /// Training and validation rows together: what is fitted on once the choices are made.
    TrainValidation,
    /// What is read once, at the end.
    Test,
    /// All rows.
    All,
}

/// How many rows belong to each part; the rows stand in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Rows to fit on.
    pub n_train: usize,
    /// Rows to choose on.
    pub n_validation: usize,
    /// Rows to judge on.
    pub n_test: usize,
}

impl Partition {
    /// The rows of a part.
    pub fn rows(&self, part: Part) -> Range<usize> {
        let fit = self.n_train + self.n_validation;
        match part {
            Part::Train => 0..self.n_train,
            Part::Validation => self.n_train..fit,
            Part::TrainValidation => 0..fit,
            Part::Test => fit..fit + self.n_test,
            Part::All => 0..fit + self.n_test,
        }
    }

    /// Number of rows in all parts.
    pub fn n_samples(&self) -> usize {
        self.n_train + self.n_validation + self.n_test
    }
}

/// Prepared samples: finite numbers, partitioned, with their targets.
#[derive(Clone, Debug)]
pub struct Samples {
    /// `(n_samples, n_features)`, rows ordered training, validation, test.
    pub features: Matrix,
    /// One target a row.
    pub targets: Targets,
    /// How many rows belong to each part.
    pub partition: Partition,
    /// What a row means.
    pub shape: SampleShape,
    /// One name a column.
    pub feature_names: Vec<String>,
}

impl Samples {
    /// The rows of a part, `(n_rows, n_features)`.
    pub fn part(&self, part: Part) -> MatrixView<'_> {
        self.features.slice(s![self.partition.rows(part), ..])
    }

    /// Class indices of a part, or `None` for a regression.
    pub fn class_ids(&self, part: Part) -> Option<&[u32]> {
        self.targets.class_ids(self.partition.rows(part))
    }

    /// Target numbers of a part, or `None` for a classification.
    pub fn target_values(&self, part: Part) -> Option<&[f32]> {
        self.targets.values(self.partition.rows(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ColumnKind;

    fn group(name: &str, kind: ColumnKind, columns: Range<usize>) -> ColumnGroup {
        ColumnGroup { name: name.into(), kind, columns }
    }

    #[test]
    fn the_groups_of_a_table_tell_its_width() {
        let groups =
            vec![group("a", ColumnKind::Numeric, 0..1), group("c", ColumnKind::Categorical, 1..4)];
        let shape = SampleShape::Table { groups: groups.clone() };
        assert_eq!((shape.n_features(), shape.groups()), (4, groups.as_slice()));
        assert_eq!(SampleShape::Table { groups: Vec::new() }.n_features(), 0);
    }
}
