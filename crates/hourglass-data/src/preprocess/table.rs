//! The columns of a table: each is filled, clipped, encoded and scaled by what was learnt from the
//! training rows. Images are treated in `images.rs`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use hourglass_core::{ColumnGroup, ColumnKind, Matrix, SampleShape, Seed, Targets};
use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::error::{Error, nearest};
use crate::preprocess::category::{FittedCategory, OutOfFold};
use crate::preprocess::config::{DatePart, PreprocessConfig};
use crate::preprocess::neighbours::Neighbours;
use crate::preprocess::number::FittedNumber;
use crate::typing::ColumnType;

mod column;
mod fit;

use column::Block;
use fit::{Fitting, as_type, drop_duplicates, fit_column, fit_neighbours};

/// Rows that are treated at a time; the block of the matrix stays in the cache.
const BLOCK_ROWS: usize = 512;

/// What was learnt of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedTable {
    pub columns: Vec<FittedColumn>,
    /// Fills gaps in the columns that have `nearest`.
    neighbours: Option<Neighbours>,
}

/// What was learnt of a source column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FittedColumn {
    pub name: String,
    /// What it was read as.
    pub kind: ColumnType,
    pub role: Role,
    /// Whether a second column says where the gaps are.
    pub indicator: bool,
}

/// What becomes of a source column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Number(FittedNumber),
    /// 0 and 1, as they are.
    Binary {
        fill: Option<f64>,
    },
    Category(FittedCategory),
    Date(Vec<(DatePart, FittedNumber)>),
    /// Left out: every training row has this value, as a number or as the text of a level.
    Constant {
        number: Option<f64>,
        level: Option<String>,
    },
    /// Left out: equal to an earlier column in every training row.
    Duplicate {
        of: String,
    },
}

impl FittedTable {
    /// Learns from training rows.
    ///
    /// # Shapes
    /// - `columns`: the source columns, each of `n_train` values
    /// - `targets`: `n_train`
    ///
    /// # Returns
    /// What was learnt, and what training rows hold instead of what `transform` gives them, by the
    /// position of the source column.
    pub(crate) fn fit(
        names: &[String],
        columns: &[Column],
        targets: &Targets,
        config: &PreprocessConfig,
        seed: Seed,
    ) -> Result<(Self, BTreeMap<usize, OutOfFold>), Error> {
        let known: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
        if let Some(name) = config.columns.keys().find(|name| !known.contains_key(name.as_str())) {
            let hint = nearest(name, names.iter().map(String::as_str));
            let field = format!("preprocess.columns.{name}");
            return Err(Error::config(field, "names no feature column", hint));
        }
        let (neighbours, filled) = fit_neighbours(names, columns, config, seed.child("nearest"));
        let fitted: Vec<Result<Fitting, Error>> = columns
            .par_iter()
            .enumerate()
            .map(|(at, column)| {
                let filled = filled.get(&at).map(Vec::as_slice);
                fit_column(&names[at], column, filled, targets, config, seed)
            })
            .collect();
        let mut fitted = fitted.into_iter().collect::<Result<Vec<_>, _>>()?;
        if config.drop_duplicate_columns.unwrap_or(true) {
            drop_duplicates(&mut fitted, columns);
        }
        let n_features = fitted.len();
        let mut out_of_fold = BTreeMap::new();
        let mut kept = Vec::with_capacity(n_features);
        for (at, Fitting { column, out_of_fold: of_rows }) in fitted.into_iter().enumerate() {
            if let (Some(of_rows), Role::Category(_)) = (of_rows, &column.role) {
                out_of_fold.insert(at, of_rows);
            }
            kept.push(column);
        }
        let table = FittedTable { columns: kept, neighbours };
        if table.columns.iter().all(FittedColumn::is_constant) {
            return Err(Error::AllConstant { n_features });
        }
        let (low, high) = table.output_range();
        let [low, high] = [low as f32, high as f32];
        if !(low.is_finite() && high.is_finite()) {
            return Err(Error::Overflow { low, high });
        }
        Ok((table, out_of_fold))
    }

    /// Number of columns that come out.
    pub(crate) fn width(&self) -> usize {
        self.columns.iter().map(FittedColumn::width).sum()
    }

    /// Position of the first column that a source column becomes.
    pub(crate) fn first_output(&self, at: usize) -> usize {
        self.columns[..at].iter().map(FittedColumn::width).sum()
    }

    /// What the columns that come out mean.
    pub(crate) fn shape(&self) -> SampleShape {
        let mut groups = Vec::new();
        let mut start = 0;
        for column in &self.columns {
            let end = start + column.own_width();
            if end > start {
                let kind = column.group_kind();
                groups.push(ColumnGroup { name: column.name.clone(), kind, columns: start..end });
            }
            if column.indicator {
                let name = format!("{}_missing", column.name);
                groups.push(ColumnGroup { name, kind: ColumnKind::Binary, columns: end..end + 1 });
            }
            start = end + usize::from(column.indicator);
        }
        SampleShape::Table { groups }
    }

    /// Names of the columns that come out.
    pub(crate) fn output_names(&self) -> Vec<String> {
        self.columns.iter().flat_map(FittedColumn::output_names).collect()
    }

    /// Smallest and largest training value over all columns that come out.
    pub(crate) fn output_range(&self) -> (f64, f64) {
        let ends = self.columns.iter().filter_map(FittedColumn::range);
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), [a, b]| {
            (low.min(a), high.max(b))
        })
    }

    /// Takes the source columns out of a table, by name, each as the type it was fitted on.
    ///
    /// # Errors
    /// [`Error::ColumnLost`], [`Error::Misfit`].
    pub(crate) fn pick<'a>(
        &self,
        names: &[String],
        columns: &'a [Column],
    ) -> Result<Vec<Cow<'a, Column>>, Error> {
        let known: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
        self.columns
            .iter()
            .map(|fitted| {
                let Some(&at) = known.get(fitted.name.as_str()) else {
                    // A column that was left out isn't missed.
                    if fitted.is_dropped() {
                        let n_rows = columns.first().map_or(0, Column::len);
                        return Ok(Cow::Owned(Column::Numbers(vec![f64::NAN; n_rows])));
                    }
                    return Err(Error::ColumnLost {
                        column: fitted.name.clone(),
                        hint: nearest(&fitted.name, names.iter().map(String::as_str)),
                    });
                };
                if fitted.is_dropped() || ColumnType::of(&columns[at]) == fitted.kind {
                    return Ok(Cow::Borrowed(&columns[at]));
                }
                as_type(&columns[at], fitted.kind, &fitted.name).map(Cow::Owned)
            })
            .collect()
    }

    /// Treats some rows, one after the other.
    ///
    /// # Shapes
    /// - `columns`: the source columns, as `pick` gives them
    /// - `out`: `(rows.len(), width)`
    ///
    /// # Errors
    /// [`Error::Unfillable`] where a value is infinite, or missing while nothing is filled.
    pub(crate) fn transform(
        &self,
        columns: &[&Column],
        rows: &[usize],
        mut out: ArrayViewMut2<'_, f32>,
    ) -> Result<(), Error> {
        let slots: Vec<Vec<Option<usize>>> = (self.columns.iter().zip(columns))
            .map(|(fitted, column)| match (&fitted.role, column) {
                (Role::Category(category), Column::Levels(levels)) => category.slot_of_code(levels),
                _ => Vec::new(),
            })
            .collect();
        let lent = self.lent(columns, rows);
        let blocks: Vec<_> =
            out.axis_chunks_iter_mut(Axis(0), BLOCK_ROWS).zip(rows.chunks(BLOCK_ROWS)).collect();
        let done: Vec<Result<(), Error>> = blocks
            .into_par_iter()
            .enumerate()
            .map(|(block, (mut out, rows))| {
                let mut first = 0;
                for (at, fitted) in self.columns.iter().enumerate() {
                    let work = Block {
                        rows,
                        before: block * BLOCK_ROWS,
                        slots: &slots[at],
                        lent: lent.get(&at),
                    };
                    let end = first + fitted.width();
                    let out = out.slice_mut(ndarray::s![.., first..end]);
                    fitted.transform(columns[at], &work, out)?;
                    first = end;
                }
                Ok(())
            })
            .collect();
        done.into_iter().collect()
    }

    /// What the nearest rows lend to the gaps of some rows, by source column and position in
    /// `rows`.
    fn lent(&self, columns: &[&Column], rows: &[usize]) -> HashMap<usize, HashMap<usize, f64>> {
        let mut lent: HashMap<usize, HashMap<usize, f64>> = HashMap::new();
        let Some(neighbours) = &self.neighbours else { return lent };
        let numeric: Vec<usize> = (0..columns.len())
            .filter(|&at| matches!(self.columns[at].kind, ColumnType::Numeric))
            .collect();
        let value = |at: usize, row: usize| match columns[at] {
            Column::Numbers(values) => values[row],
            _ => f64::NAN,
        };
        let filled: Vec<(usize, Vec<f64>, Vec<f64>)> = rows
            .par_iter()
            .enumerate()
            .filter(|(_, row)| numeric.iter().any(|&at| value(at, **row).is_nan()))
            .map(|(position, &row)| {
                let before: Vec<f64> = numeric.iter().map(|&at| value(at, row)).collect();
                let mut after = before.clone();
                neighbours.fill(&mut after);
                (position, before, after)
            })
            .collect();
        for (position, before, after) in filled {
            for (i, &at) in numeric.iter().enumerate() {
                if before[i].is_nan() && !after[i].is_nan() {
                    lent.entry(at).or_default().insert(position, after[i]);
                }
            }
        }
        lent
    }

    /// Takes prepared rows back to the source columns; `None` where too much was lost on the way.
    pub(crate) fn inverse(&self, matrix: &Matrix) -> Vec<Option<Column>> {
        let mut first = 0;
        let mut inverted: Vec<Option<Column>> = Vec::with_capacity(self.columns.len());
        for fitted in &self.columns {
            let values = matrix.slice(ndarray::s![.., first..first + fitted.own_width()]);
            inverted.push(fitted.inverse(values));
            first += fitted.width();
        }
        for at in 0..self.columns.len() {
            if let Role::Duplicate { of } = &self.columns[at].role {
                let original = self.columns.iter().position(|column| column.name == *of);
                inverted[at] = original.and_then(|original| inverted[original].clone());
            }
        }
        inverted
    }
}
