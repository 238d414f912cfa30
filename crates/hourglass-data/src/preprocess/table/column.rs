//! One column of a table: its values prepared, taken back, and said in words.

use std::collections::HashMap;

use hourglass_core::ColumnKind;
use ndarray::ArrayViewMut2;

use super::fit::number_of;
use super::{FittedColumn, Role};
use crate::column::{Column, Levels, MISSING_LEVEL};
use crate::dates;
use crate::error::Error;
use crate::preprocess::category::{self, Encoding, FittedCategory};
use crate::preprocess::config::DatePart;
use crate::preprocess::number::FittedNumber;
use crate::typing::ColumnType;

/// Rows of a block, and what is known of a column there.
pub(super) struct Block<'a> {
    pub rows: &'a [usize],
    /// Position of the first of them among all rows.
    pub before: usize,
    pub slots: &'a [Option<usize>],
    pub lent: Option<&'a HashMap<usize, f64>>,
}

impl FittedColumn {
    pub(super) fn is_dropped(&self) -> bool {
        matches!(self.role, Role::Constant { .. } | Role::Duplicate { .. })
    }

    pub(super) fn is_constant(&self) -> bool {
        match &self.role {
            Role::Constant { .. } => !self.indicator,
            Role::Number(number) => number.is_constant() && !self.indicator,
            _ => false,
        }
    }

    /// Number of columns that come out, without the indicator.
    pub(super) fn own_width(&self) -> usize {
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

    pub(super) fn group_kind(&self) -> ColumnKind {
        match &self.role {
            Role::Binary { .. } => ColumnKind::Binary,
            Role::Category(FittedCategory { encoding: Encoding::OneHot, .. }) => {
                ColumnKind::Categorical
            }
            _ => ColumnKind::Numeric,
        }
    }

    pub(super) fn output_names(&self) -> Vec<String> {
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

    pub(super) fn range(&self) -> Option<[f64; 2]> {
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

    pub(super) fn transform(
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

    pub(super) fn inverse(&self, values: ndarray::ArrayView2<'_, f32>) -> Option<Column> {
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
pub(super) fn date_part(days: f64, part: DatePart) -> f64 {
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
