//! One column of a table as loaded: numbers, booleans, levels of a category, or dates, each with
//! its gaps. Nothing is fitted or filled here.

use std::collections::BTreeMap;

use crate::error::Error;

/// Code of a level that is missing.
pub const MISSING_LEVEL: u32 = u32::MAX;

/// The values of a column. Numbers are `f64`, since whatever is fitted on them runs in `f64`, too.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers; NaN means "missing".
    Numbers(Vec<f64>),
    /// Booleans; `None` means "missing".
    Booleans(Vec<Option<bool>>),
    /// Levels of a category.
    Levels(Levels),
    /// Days since 1970-01-01 00:00, with fractions; NaN means "missing".
    Dates(Vec<f64>),
}

/// A category: one code a row, and the text that each code stands for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    /// Position in `names`, or [`MISSING_LEVEL`].
    pub codes: Vec<u32>,
    /// Texts, each once, in the order in which they occur.
    pub names: Vec<String>,
}

impl Levels {
    /// Codes the texts of a column; `None` means "missing".
    pub fn of<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Self {
        // A fast hash isn't needed: neighbours often agree, and few texts are distinct.
        let mut known: std::collections::HashMap<&'a str, u32> = std::collections::HashMap::new();
        let mut names: Vec<&'a str> = Vec::new();
        let codes = texts.map(|text| match text {
            None => MISSING_LEVEL,
            Some(text) => *known.entry(text).or_insert_with(|| {
                names.push(text);
                names.len() as u32 - 1
            }),
        });
        let codes = codes.collect();
        Levels { codes, names: names.into_iter().map(str::to_owned).collect() }
    }

    /// The text of a row, or `None` where it is missing.
    pub fn get(&self, row: usize) -> Option<&str> {
        match self.codes[row] {
            MISSING_LEVEL => None,
            code => Some(&self.names[code as usize]),
        }
    }
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Numbers(values) | Column::Dates(values) => values.len(),
            Column::Booleans(values) => values.len(),
            Column::Levels(levels) => levels.codes.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the value of a row is missing.
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Column::Numbers(values) | Column::Dates(values) => values[row].is_nan(),
            Column::Booleans(values) => values[row].is_none(),
            Column::Levels(levels) => levels.codes[row] == MISSING_LEVEL,
        }
    }

    /// What the column holds, as a pipeline file calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Column::Numbers(_) => "numeric",
            Column::Booleans(_) => "boolean",
            Column::Levels(_) => "categorical",
            Column::Dates(_) => "date",
        }
    }

    /// Some rows, in the order given.
    pub fn select(&self, rows: &[usize]) -> Column {
        let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect();
        match self {
            Column::Numbers(values) => Column::Numbers(pick(values)),
            Column::Dates(values) => Column::Dates(pick(values)),
            Column::Booleans(values) => {
                Column::Booleans(rows.iter().map(|&row| values[row]).collect())
            }
            Column::Levels(levels) => Column::Levels(Levels {
                codes: rows.iter().map(|&row| levels.codes[row]).collect(),
                names: levels.names.clone(),
            }),
        }
    }

    /// The rows of `other` behind the own ones; both are of one kind.
    ///
    /// # Errors
    /// [`Error::Kinds`] if they aren't; the own rows stay as they were.
    pub fn append(&mut self, other: &Column) -> Result<(), Error> {
        match (self, other) {
            (Column::Numbers(own), Column::Numbers(more))
            | (Column::Dates(own), Column::Dates(more)) => own.extend(more),
            (Column::Booleans(own), Column::Booleans(more)) => own.extend(more),
            (Column::Levels(own), Column::Levels(more)) => own.append(more),
            (own, more) => {
                return Err(Error::Kinds { first: own.kind(), second: more.kind() });
            }
        }
        Ok(())
    }

    /// A number that two rows share exactly if their values are the same text or the same number.
    pub(crate) fn identity(&self, row: usize) -> u64 {
        match self {
            Column::Numbers(values) | Column::Dates(values) => (values[row] + 0.0).to_bits(),
            Column::Booleans(values) => values[row].map_or(2, u64::from),
            Column::Levels(levels) => u64::from(levels.codes[row]),
        }
    }
}

impl Levels {
    fn append(&mut self, more: &Levels) {
        let mut known: BTreeMap<String, u32> = self.names.iter().cloned().zip(0..).collect();
        let codes: Vec<u32> = more
            .names
            .iter()
            .map(|name| {
                *known.entry(name.clone()).or_insert_with(|| {
                    self.names.push(name.clone());
                    self.names.len() as u32 - 1
                })
            })
            .collect();
        self.codes.extend(more.codes.iter().map(|&code| match code {
            MISSING_LEVEL => MISSING_LEVEL,
            code => codes[code as usize],
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_coded_in_order_and_appended_by_name() {
        let mut levels = Levels::of(["b", "a", "b"].map(Some).into_iter().chain([None]));
        assert_eq!(levels.codes, [0, 1, 0, MISSING_LEVEL]);
        levels.append(&Levels::of([Some("c"), None, Some("a")].into_iter()));
        assert_eq!(levels.names, ["b", "a", "c"]);
        assert_eq!(levels.codes, [0, 1, 0, MISSING_LEVEL, 2, MISSING_LEVEL, 1]);
        assert_eq!((levels.get(4), levels.get(3)), (Some("c"), None));
    }

    #[test]
    fn columns_of_two_kinds_are_not_joined() {
        let mut numbers = Column::Numbers(vec![1.0]);
        let error = numbers.append(&Column::Booleans(vec![None])).unwrap_err();
        assert!(matches!(error, Error::Kinds { first: "numeric", second: "boolean" }), "{error}");
        assert_eq!(numbers.len(), 1);
        numbers.append(&Column::Numbers(vec![2.0])).unwrap();
        assert_eq!(numbers, Column::Numbers(vec![1.0, 2.0]));
    }

    #[test]
    fn rows_are_selected_and_compared() {
        let column = Column::Numbers(vec![0.0, -0.0, f64::NAN]);
        assert_eq!(column.identity(0), column.identity(1));
        assert!(column.is_missing(2) && !column.is_missing(0));
        assert_eq!(column.select(&[1, 0]), Column::Numbers(vec![-0.0, 0.0]));
        let booleans = Column::Booleans(vec![Some(true), None]);
        assert_eq!((booleans.kind(), booleans.is_missing(1)), ("boolean", true));
    }
}
