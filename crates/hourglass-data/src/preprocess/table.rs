//! The columns of a table: each is filled, clipped, encoded and scaled by what was learnt from the
//! training rows. Images are treated in `images.rs`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;

use hourglass_core::{ColumnGroup, ColumnKind, Matrix, SampleShape, Seed, Targets};
use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::column::{Column, Levels, MISSING_LEVEL};
use crate::dates;
use crate::error::{Error, nearest};
use crate::preprocess::category::{self, Encoding, FittedCategory, OutOfFold};
use crate::preprocess::config::{ColumnPlan, DatePart, Fill, PreprocessConfig};
use crate::preprocess::neighbours::Neighbours;
use crate::preprocess::number::{FittedNumber, Unfit};
use crate::typing::{self, Codes, ColumnType};

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

/// A column of the source while it is fitted.
struct Fitting {
    column: FittedColumn,
    out_of_fold: Option<OutOfFold>,
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

/// The gaps of training rows, filled by the nearest, where a column asks for it.
fn fit_neighbours(
    names: &[String],
    columns: &[Column],
    config: &PreprocessConfig,
    seed: Seed,
) -> (Option<Neighbours>, HashMap<usize, Vec<f64>>) {
    let numeric: Vec<(usize, &[f64])> = columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| match column {
            Column::Numbers(values) => Some((at, values.as_slice())),
            _ => None,
        })
        .collect();
    let asks = |at: usize| match config.column(&names[at]).fill {
        Some(Fill::Nearest { k }) => Some(k),
        _ => None,
    };
    let Some(k) = numeric.iter().find_map(|(at, _)| asks(*at)) else {
        return (None, HashMap::new());
    };
    let values: Vec<&[f64]> = numeric.iter().map(|(_, values)| *values).collect();
    let neighbours = Neighbours::fit(&values, k, seed);
    let n_rows = values[0].len();
    let rows: Vec<Vec<f64>> = (0..n_rows)
        .into_par_iter()
        .map(|row| {
            let mut filled: Vec<f64> = values.iter().map(|values| values[row]).collect();
            neighbours.fill(&mut filled);
            filled
        })
        .collect();
    let filled = numeric.iter().enumerate().filter(|(_, (at, _))| asks(*at).is_some());
    let filled = filled.map(|(i, (at, _))| {
        let column: Vec<f64> = rows.iter().map(|row| row[i]).collect();
        // A row that shares no column with any other gets the mean.
        let there: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
        let mean = there.iter().sum::<f64>() / there.len().max(1) as f64;
        (*at, column.into_iter().map(|value| if value.is_nan() { mean } else { value }).collect())
    });
    (Some(neighbours), filled.collect())
}

fn fit_column(
    name: &str,
    column: &Column,
    filled: Option<&[f64]>,
    targets: &Targets,
    config: &PreprocessConfig,
    seed: Seed,
) -> Result<Fitting, Error> {
    let plan = config.column(name);
    let has_gaps = (0..column.len()).any(|row| column.is_missing(row));
    let nothing = |_: Unfit| Error::NothingToFillFrom { column: name.to_owned() };
    let mut out_of_fold = None;
    let mut role = match column {
        Column::Numbers(values) if is_binary(values) => binary(values, &plan),
        Column::Numbers(values) => {
            Role::Number(FittedNumber::fit(values, filled, &plan).map_err(nothing)?)
        }
        Column::Booleans(values) => {
            let numbers: Vec<f64> = values.iter().map(|value| number_of(*value)).collect();
            if numbers.iter().all(|number| number.is_nan()) {
                return Err(nothing(Unfit::AllMissing));
            }
            binary(&numbers, &plan)
        }
        Column::Levels(levels) => {
            let seed = seed.child("target encoding").child(name);
            let (fitted, of_rows) = FittedCategory::fit(levels, targets, &plan, seed)
                .map_err(|unfit| category_error(unfit, name))?;
            out_of_fold = of_rows;
            Role::Category(fitted)
        }
        Column::Dates(values) => {
            let fit = |&part: &DatePart| {
                let values: Vec<f64> = values.iter().map(|&days| date_part(days, part)).collect();
                FittedNumber::fit(&values, None, &plan).map(|fitted| (part, fitted))
            };
            let parts = config.date_parts().iter().map(fit).collect::<Result<Vec<_>, _>>();
            Role::Date(parts.map_err(nothing)?)
        }
    };
    if let Some(constant) = constant_value(column, &role)
        && config.drop_constant_columns.unwrap_or(true)
    {
        role = constant;
        out_of_fold = None;
    }
    let indicator = config.indicators && has_gaps;
    let kind = ColumnType::of(column);
    Ok(Fitting {
        column: FittedColumn { name: name.to_owned(), kind, role, indicator },
        out_of_fold,
    })
}

fn category_error(unfit: category::Unfit, name: &str) -> Error {
    match unfit {
        category::Unfit::AllMissing => Error::NothingToFillFrom { column: name.to_owned() },
        category::Unfit::TooMany(n_levels) => {
            let hint = format!(
                "leave it out, set `rare_share`, or set `preprocess.columns.{name}.categorical` to \
                 `\"frequency\"` or `{{ target = {{}} }}`"
            );
            let problem =
                format!("would make {n_levels} columns of `{name}`; is it an identifier?");
            Error::config("preprocess.categorical", problem, hint)
        }
        category::Unfit::NotInOrder(level) => Error::config(
            format!("preprocess.columns.{name}.categorical.ordinal.order"),
            format!("lacks the level `{level}` of the training rows"),
            "list every level from first to last",
        ),
    }
}

/// Whether a column of numbers holds 0 and 1, both, and nothing else.
fn is_binary(values: &[f64]) -> bool {
    let (mut zero, mut one) = (false, false);
    for value in values.iter().filter(|value| !value.is_nan()) {
        match *value {
            0.0 => zero = true,
            1.0 => one = true,
            _ => return false,
        }
    }
    zero && one
}

fn binary(values: &[f64], plan: &ColumnPlan) -> Role {
    let ones = values.iter().filter(|value| **value == 1.0).count();
    let zeros = values.iter().filter(|value| **value == 0.0).count();
    let fill = plan.fill.map(|fill| match fill {
        Fill::Constant { value } => f64::from(value).clamp(0.0, 1.0),
        _ => f64::from(u8::from(ones > zeros)),
    });
    Role::Binary { fill }
}

fn number_of(value: Option<bool>) -> f64 {
    value.map_or(f64::NAN, |value| f64::from(u8::from(value)))
}

/// The role of a column whose training rows all come out alike.
fn constant_value(column: &Column, role: &Role) -> Option<Role> {
    let first = |values: &[f64]| values.iter().copied().find(|value| !value.is_nan());
    match (column, role) {
        (Column::Numbers(values), Role::Number(number)) if number.is_constant() => {
            Some(Role::Constant { number: first(values).or(number.fill), level: None })
        }
        (Column::Booleans(values), Role::Binary { .. }) => {
            let numbers: Vec<f64> = values.iter().map(|value| number_of(*value)).collect();
            let same = numbers.iter().all(|&number| number == numbers[0]);
            same.then(|| Role::Constant { number: first(&numbers), level: None })
        }
        (Column::Levels(_), Role::Category(fitted)) if fitted.slots.len() <= 1 => {
            Some(Role::Constant { number: None, level: fitted.slots.first().cloned() })
        }
        (Column::Dates(values), Role::Date(parts))
            if parts.iter().all(|(_, number)| number.is_constant()) =>
        {
            Some(Role::Constant { number: first(values), level: None })
        }
        _ => None,
    }
}

/// Gives columns that equal an earlier one their role.
fn drop_duplicates(fitted: &mut [Fitting], columns: &[Column]) {
    let prints: Vec<blake3::Hash> = columns.par_iter().map(print).collect();
    let mut seen: HashMap<blake3::Hash, usize> = HashMap::new();
    for at in 0..fitted.len() {
        let column = &fitted[at].column;
        if column.is_dropped() {
            continue;
        }
        match seen.get(&prints[at]) {
            // Columns that are treated differently aren't duplicates.
            Some(&first) if fitted[first].column.role == column.role => {
                let of = fitted[first].column.name.clone();
                fitted[at].column.role = Role::Duplicate { of };
                fitted[at].column.indicator = false;
                fitted[at].out_of_fold = None;
            }
            Some(_) => {}
            None => drop(seen.insert(prints[at], at)),
        }
    }
}

/// A hash of the values of a column and of its kind.
fn print(column: &Column) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(column.kind().as_bytes());
    if let Column::Levels(levels) = column {
        for row in 0..levels.codes.len() {
            let text = levels.get(row).unwrap_or("\0");
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    } else {
        let mut bytes = Vec::with_capacity(8 * column.len());
        (0..column.len()).for_each(|row| bytes.extend(column.identity(row).to_le_bytes()));
        hasher.update(&bytes);
    }
    hasher.finalize()
}

/// A column as another type, where its values allow that.
fn as_type(column: &Column, wanted: ColumnType, name: &str) -> Result<Column, Error> {
    let none = Codes::default();
    let read = match column {
        Column::Numbers(numbers) => typing::of_numbers(numbers.clone(), Some(wanted), &none),
        Column::Booleans(booleans) => typing::of_booleans(booleans.clone(), Some(wanted)),
        Column::Levels(levels) => {
            let texts: Vec<Option<&str>> =
                (0..levels.codes.len()).map(|row| levels.get(row)).collect();
            typing::of_texts(&texts, Some(wanted), &none)
        }
        Column::Dates(days) => {
            let present = days.iter().position(|day| !day.is_nan());
            return Err(misfit(name, present.unwrap_or_default(), "a date".into(), wanted));
        }
    };
    read.map_err(|unfit| misfit(name, unfit.row, unfit.value, wanted))
}

fn misfit(name: &str, row: usize, value: String, wanted: ColumnType) -> Error {
    Error::Misfit {
        path: "the rows to transform".into(),
        place: format!("row {}", row + 1),
        problem: format!("column `{name}` holds `{value}`, which is no {}", wanted.noun()),
        hint: "the column must hold what the training rows held".into(),
    }
}

/// Rows of a block, and what is known of a column there.
struct Block<'a> {
    rows: &'a [usize],
    /// Position of the first of them among all rows.
    before: usize,
    slots: &'a [Option<usize>],
    lent: Option<&'a HashMap<usize, f64>>,
}

impl FittedColumn {
    fn is_dropped(&self) -> bool {
        matches!(self.role, Role::Constant { .. } | Role::Duplicate { .. })
    }

    fn is_constant(&self) -> bool {
        match &self.role {
            Role::Constant { .. } => !self.indicator,
            Role::Number(number) => number.is_constant() && !self.indicator,
            _ => false,
        }
    }

    /// Number of columns that come out, without the indicator.
    fn own_width(&self) -> usize {
        match &self.role {
            Role::Number(_) | Role::Binary { .. } => 1,
            Role::Category(category) => category.width(),
            Role::Date(parts) => parts.len(),
            Role::Constant { .. } | Role::Duplicate { .. } => 0,
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.own_width() + usize::from(self.indicator)
    }

    fn group_kind(&self) -> ColumnKind {
        match &self.role {
            Role::Binary { .. } => ColumnKind::Binary,
            Role::Category(FittedCategory { encoding: Encoding::OneHot, .. }) => {
                ColumnKind::Categorical
            }
            _ => ColumnKind::Numeric,
        }
    }

    fn output_names(&self) -> Vec<String> {
        let name = &self.name;
        let mut names = match &self.role {
            Role::Number(_) | Role::Binary { .. } => vec![name.clone()],
            Role::Category(FittedCategory { slots, encoding: Encoding::OneHot, .. }) => {
                slots.iter().map(|slot| format!("{name}={slot}")).collect()
            }
            Role::Category(FittedCategory {
                encoding: Encoding::Numbers { columns, .. }, ..
            }) => {
                let named = |suffix: &String| match suffix.is_empty() {
                    true => name.clone(),
                    false => format!("{name}:{suffix}"),
                };
                columns.iter().map(|column| named(&column.suffix)).collect()
            }
            Role::Date(parts) => {
                let part = |part: DatePart| format!("{part:?}").to_lowercase();
                parts.iter().map(|(p, _)| format!("{name}_{}", part(*p))).collect()
            }
            Role::Constant { .. } | Role::Duplicate { .. } => Vec::new(),
        };
        if self.indicator {
            names.push(format!("{name}_missing"));
        }
        names
    }

    fn range(&self) -> Option<[f64; 2]> {
        let union = |ranges: &mut dyn Iterator<Item = [f64; 2]>| {
            ranges.reduce(|[a, b], [c, d]| [a.min(c), b.max(d)])
        };
        let own = match &self.role {
            Role::Number(number) => Some(number.range),
            Role::Binary { .. } => Some([0.0, 1.0]),
            Role::Category(FittedCategory { encoding: Encoding::OneHot, .. }) => Some([0.0, 1.0]),
            Role::Category(FittedCategory {
                encoding: Encoding::Numbers { columns, .. }, ..
            }) => union(&mut columns.iter().map(|column| column.number.range)),
            Role::Date(parts) => union(&mut parts.iter().map(|(_, number)| number.range)),
            Role::Constant { .. } | Role::Duplicate { .. } => None,
        };
        match self.indicator {
            true => union(&mut own.into_iter().chain([[0.0, 1.0]])),
            false => own,
        }
    }

    fn transform(
        &self,
        column: &Column,
        block: &Block<'_>,
        mut out: ArrayViewMut2<'_, f32>,
    ) -> Result<(), Error> {
        let unfillable = |position: usize| {
            let row = block.before + position + 1;
            Error::Unfillable { row, column: self.name.clone() }
        };
        let rows = || block.rows.iter().enumerate();
        match (&self.role, column) {
            (Role::Constant { .. } | Role::Duplicate { .. }, _) => {}
            (Role::Number(number), Column::Numbers(values)) => {
                let mut to = out.column_mut(0);
                for (position, &row) in rows() {
                    let mut value = values[row];
                    if value.is_nan() {
                        let lent = block.lent.and_then(|lent| lent.get(&(block.before + position)));
                        value = lent.copied().or(number.fill).unwrap_or(f64::NAN);
                    }
                    let value = number.forward(value);
                    if !value.is_finite() {
                        return Err(unfillable(position));
                    }
                    to[position] = value as f32;
                }
            }
            (Role::Binary { fill }, Column::Numbers(_) | Column::Booleans(_)) => {
                let mut to = out.column_mut(0);
                for (position, &row) in rows() {
                    let value = match column {
                        Column::Numbers(values) => values[row],
                        Column::Booleans(values) => number_of(values[row]),
                        _ => f64::NAN,
                    };
                    let value = if value.is_nan() { fill.unwrap_or(f64::NAN) } else { value };
                    if value.is_nan() {
                        return Err(unfillable(position));
                    }
                    // What is neither 0 nor 1 is as near as can be.
                    to[position] = value.clamp(0.0, 1.0) as f32;
                }
            }
            (Role::Category(category), Column::Levels(levels)) => {
                let missing = category.missing_slot();
                for (position, &row) in rows() {
                    let slot = match levels.codes[row] {
                        MISSING_LEVEL => missing,
                        code => block.slots[code as usize],
                    };
                    match &category.encoding {
                        Encoding::OneHot => {
                            if let Some(slot) = slot {
                                out[[position, slot]] = 1.0;
                            }
                        }
                        Encoding::Numbers { columns, .. } => {
                            for (at, column) in columns.iter().enumerate() {
                                let value = slot.map_or(column.unseen, |slot| column.of_slot[slot]);
                                out[[position, at]] = column.number.forward(value) as f32;
                            }
                        }
                    }
                }
            }
            (Role::Date(parts), Column::Dates(values)) => {
                for (position, &row) in rows() {
                    for (at, (part, number)) in parts.iter().enumerate() {
                        let value = number.forward(date_part(values[row], *part));
                        if !value.is_finite() {
                            return Err(unfillable(position));
                        }
                        out[[position, at]] = value as f32;
                    }
                }
            }
            (role, column) => unreachable!("{role:?} meets a {} column", column.kind()),
        }
        if self.indicator {
            let mut to = out.column_mut(self.own_width());
            for (position, &row) in rows() {
                to[position] = f32::from(u8::from(column.is_missing(row)));
            }
        }
        Ok(())
    }

    fn inverse(&self, values: ndarray::ArrayView2<'_, f32>) -> Option<Column> {
        let n_rows = values.nrows();
        let take = |number: &FittedNumber, at: usize| -> Vec<f64> {
            values.column(at).iter().map(|&y| number.scaler.inverse(f64::from(y))).collect()
        };
        match &self.role {
            Role::Number(number) => Some(Column::Numbers(take(number, 0))),
            Role::Binary { .. } => match self.kind {
                ColumnType::Boolean => Some(Column::Booleans(
                    values.column(0).iter().map(|&y| Some(y >= 0.5)).collect(),
                )),
                _ => {
                    let number = |&y: &f32| f64::from(u8::from(y >= 0.5));
                    Some(Column::Numbers(values.column(0).iter().map(number).collect()))
                }
            },
            Role::Category(category) => {
                let slots: Vec<Option<usize>> = match &category.encoding {
                    Encoding::OneHot => values
                        .rows()
                        .into_iter()
                        .map(|row| {
                            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
                            // All zeros were an unseen level.
                            (*best.1 > 0.0).then_some(best.0)
                        })
                        .collect(),
                    Encoding::Numbers { columns, invertible: true } => take(&columns[0].number, 0)
                        .into_iter()
                        .map(|position| (position > -0.5).then(|| position.round() as usize))
                        .collect(),
                    Encoding::Numbers { .. } => return None,
                };
                let text = |slot: &Option<usize>| {
                    let slot = slot.and_then(|slot| category.slots.get(slot));
                    slot.map(String::as_str).filter(|name| *name != category::MISSING)
                };
                Some(Column::Levels(Levels::of(slots.iter().map(text))))
            }
            Role::Date(parts) => {
                let at = parts.iter().position(|(part, _)| *part == DatePart::Days)?;
                Some(Column::Dates(take(&parts[at].1, at)))
            }
            Role::Constant { number, level } => Some(match (self.kind, number, level) {
                (ColumnType::Categorical, _, level) => {
                    Column::Levels(Levels::of((0..n_rows).map(|_| level.as_deref())))
                }
                (ColumnType::Boolean, number, _) => {
                    Column::Booleans(vec![number.map(|number| number == 1.0); n_rows])
                }
                (ColumnType::Date, number, _) => {
                    Column::Dates(vec![number.unwrap_or(f64::NAN); n_rows])
                }
                (_, number, _) => Column::Numbers(vec![number.unwrap_or(f64::NAN); n_rows]),
            }),
            Role::Duplicate { .. } => None,
        }
    }

    /// What is done to the column, in one line.
    pub(crate) fn steps(&self) -> String {
        let mut steps = Vec::new();
        match &self.role {
            Role::Number(number) => number.say(&mut steps),
            Role::Binary { fill } => {
                if let Some(fill) = fill {
                    steps.push(format!("gaps to {fill}"));
                }
                steps.push("0 and 1".into());
            }
            Role::Category(category) => {
                if !category.rare.is_empty() {
                    steps.push(format!("{} rare levels merged", category.rare.len()));
                }
                if let Some(slot) = category.missing {
                    steps.push(format!("gaps to `{}`", category.slots[slot]));
                }
                match &category.encoding {
                    Encoding::OneHot => {
                        steps.push(format!("{} levels one-hot", category.slots.len()))
                    }
                    Encoding::Numbers { columns, .. } => {
                        steps.push(format!("{} levels as numbers", category.slots.len()));
                        columns[0].number.say(&mut steps);
                    }
                }
            }
            Role::Date(parts) => {
                for (part, number) in parts {
                    steps.push(format!("{part:?}").to_lowercase());
                    number.say(&mut steps);
                }
            }
            Role::Constant { number, level } => {
                let value = match (number, level) {
                    (Some(number), _) => number.to_string(),
                    (None, Some(level)) => format!("`{level}`"),
                    (None, None) => "missing".into(),
                };
                steps.push(format!("left out: always {value} in training"));
            }
            Role::Duplicate { of } => steps.push(format!("left out: equal to `{of}` in training")),
        }
        if self.indicator {
            steps.push("indicator of gaps".into());
        }
        steps.join(", ")
    }
}

impl FittedNumber {
    fn say(&self, steps: &mut Vec<String>) {
        use crate::preprocess::scaler::Scaler;
        if let Some(fill) = self.fill {
            steps.push(format!("gaps to {fill:.6}"));
        }
        if let Some([low, high]) = self.clip {
            steps.push(format!("clipped to {low:.6} .. {high:.6}"));
        }
        steps.push(match &self.scaler {
            Scaler::Linear { center, spread, gain, offset }
                if (*center, *spread, *gain, *offset) == (0.0, 1.0, 1.0, 0.0) =>
            {
                "as it is".into()
            }
            Scaler::Linear { center, spread, gain, offset } => {
                format!("(x - {center:.6}) / {spread:.6} * {gain} + {offset}")
            }
            Scaler::Quantile { quantiles, output } => {
                format!("rank among {} quantiles, {output:?}", quantiles.len()).to_lowercase()
            }
            Scaler::YeoJohnson { lambda, center, spread } => {
                format!("Yeo-Johnson {lambda:.6}, (y - {center:.6}) / {spread:.6}")
            }
        });
    }
}

/// A part of a date as a number; NaN where the date is missing.
fn date_part(days: f64, part: DatePart) -> f64 {
    if days.is_nan() {
        return f64::NAN;
    }
    let whole = days.floor();
    let (year, month, day) = dates::civil(whole as i64);
    match part {
        DatePart::Days => days,
        DatePart::Year => year as f64,
        DatePart::Month => f64::from(month),
        DatePart::Day => f64::from(day),
        // 1970-01-01 was a Thursday.
        DatePart::Weekday => (whole as i64 + 3).rem_euclid(7) as f64,
        DatePart::Hour => ((days - whole) * 24.0).floor(),
    }
}
