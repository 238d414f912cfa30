//! What the columns of a prepared table mean, so that a model can treat numbers, booleans and
//! categories each in their own way. It holds no value.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Neighbouring columns of a prepared table that came from one source column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnGroup {
    /// Name of the source column.
    pub name: String,
    /// What the values are.
    pub kind: ColumnKind,
    /// The columns of the matrix.
    pub columns: Range<usize>,
}

/// What the values of a column group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Numbers, each column on its own.
    Numeric,
    /// Values from 0 to 1, each column on its own; a filled gap may lie between.
    Binary,
    /// The levels of one category, one column each: a row holds a single 1 and else 0, or 0
    /// throughout for a level that the training rows lack.
    Categorical,
}

/// What a model is asked to predict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The class of a row.
    #[default]
    Classification,
    /// A number of each row.
    Regression,
}
