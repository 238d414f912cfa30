//! What each column of a table becomes, learnt from its training rows.

use std::collections::HashMap;

use hourglass_core::{Seed, Targets};
use rayon::prelude::*;

use super::column::date_part;
use super::{FittedColumn, Role};
use crate::column::Column;
use crate::error::Error;
use crate::preprocess::category::{self, FittedCategory, OutOfFold};
use crate::preprocess::config::{ColumnPlan, DatePart, Fill, PreprocessConfig};
use crate::preprocess::neighbours::Neighbours;
use crate::preprocess::number::{FittedNumber, Unfit};
use crate::typing::{self, Codes, ColumnType};

/// A column of the source while it is fitted.
pub(super) struct Fitting {
    pub column: FittedColumn,
    pub out_of_fold: Option<OutOfFold>,
}

/// The gaps of training rows, filled by the nearest, where a column asks for it.
pub(super) fn fit_neighbours(
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

pub(super) fn fit_column(
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
    // A level of its own is an indicator already.
    let shows_gaps = matches!(&role, Role::Category(category) if category.shows_gaps());
    let indicator = config.indicators && has_gaps && !shows_gaps;
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

pub(super) fn number_of(value: Option<bool>) -> f64 {
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
pub(super) fn drop_duplicates(fitted: &mut [Fitting], columns: &[Column]) {
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
pub(super) fn as_type(column: &Column, wanted: ColumnType, name: &str) -> Result<Column, Error> {
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
