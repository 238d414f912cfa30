//! What a column holds: numbers, booleans, dates or categories, told from its texts or asked for by
//! the pipeline file. It looks at single columns; `frame.rs` puts tables together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::column::{Column, Levels};
use crate::dates;

/// What a column is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Numbers.
    Numeric,
    /// Levels of a category, by their texts.
    Categorical,
    /// `true` and `false`, `yes` and `no`, `t` and `f`, or 1 and 0.
    Boolean,
    /// Dates such as `2024-02-29`, with or without a time.
    Date,
}

/// Values that mean "missing".
#[derive(Clone, Debug, Default)]
pub(crate) struct Codes {
    texts: Vec<String>,
    /// Those of the texts that are numbers: `-999` means -999.0, too.
    numbers: Vec<f64>,
}

impl Codes {
    pub(crate) fn new<'a>(codes: impl Iterator<Item = &'a String>) -> Self {
        let texts: Vec<String> = codes.map(|code| code.trim().to_owned()).collect();
        let numbers = texts.iter().filter_map(|code| code.parse().ok()).collect();
        Codes { texts, numbers }
    }

    pub(crate) fn holds_text(&self, text: &str) -> bool {
        self.texts.iter().any(|code| code == text)
    }

    pub(crate) fn holds_number(&self, number: f64) -> bool {
        self.numbers.contains(&number)
    }

    fn clear(&self, mut numbers: Vec<f64>) -> Column {
        if !self.numbers.is_empty() {
            let codes = numbers.iter_mut().filter(|number| self.holds_number(**number));
            codes.for_each(|number| *number = f64::NAN);
        }
        Column::Numbers(numbers)
    }
}

/// A value that a column of its type can't hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Misfit {
    pub row: usize,
    pub value: String,
    /// What the column is read as.
    pub expected: ColumnType,
    /// Whether the type was told from the other values of the column.
    pub inferred: bool,
}

/// Reads the texts of a column. Without `wanted` the type is told from them: numbers where all
/// texts are, `true` and `false`, dates where all are, else categories. Where at least half of the
/// texts are numbers but not all, the others look like slips, and the first of them is a misfit.
pub(crate) fn of_texts(
    texts: &[Option<&str>],
    wanted: Option<ColumnType>,
    codes: &Codes,
) -> Result<Column, Misfit> {
    match wanted {
        Some(ColumnType::Numeric) => numbers(texts, codes).map_err(|row| Misfit {
            row,
            value: shown(texts[row]),
            expected: ColumnType::Numeric,
            inferred: false,
        }),
        Some(ColumnType::Categorical) => Ok(categories(texts, codes)),
        Some(ColumnType::Boolean) => {
            each(texts, codes, ColumnType::Boolean, boolean).map(Column::Booleans)
        }
        Some(ColumnType::Date) => days(texts, codes),
        None => infer(texts, codes),
    }
}

fn infer(texts: &[Option<&str>], codes: &Codes) -> Result<Column, Misfit> {
    let first = match numbers(texts, codes) {
        Ok(column) => return Ok(column),
        Err(row) => row,
    };
    if strict_boolean(shown(texts[first]).as_str()).is_some()
        && let Ok(booleans) = each(texts, codes, ColumnType::Boolean, strict_boolean)
    {
        return Ok(Column::Booleans(booleans));
    }
    if dates::parse(&shown(texts[first])).is_some()
        && let Ok(column) = days(texts, codes)
    {
        return Ok(column);
    }
    let (mut n_numbers, mut n_present) = (0, 0);
    for text in texts.iter().filter_map(|text| present(*text, codes)) {
        n_present += 1;
        n_numbers += usize::from(text.parse::<f64>().is_ok());
    }
    if 2 * n_numbers >= n_present {
        let value = shown(texts[first]);
        return Err(Misfit { row: first, value, expected: ColumnType::Numeric, inferred: true });
    }
    Ok(categories(texts, codes))
}

/// All texts as numbers, or the row of the first that is none.
fn numbers(texts: &[Option<&str>], codes: &Codes) -> Result<Column, usize> {
    let mut numbers = Vec::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        // Texts that are numbers are by far the most, so that is tried first.
        let trimmed = text.map_or("", str::trim);
        numbers.push(match trimmed.parse::<f64>() {
            Ok(number) => number,
            Err(_) if present(*text, codes).is_none() => f64::NAN,
            Err(_) => return Err(row),
        });
    }
    Ok(codes.clear(numbers))
}

fn days(texts: &[Option<&str>], codes: &Codes) -> Result<Column, Misfit> {
    let days = each(texts, codes, ColumnType::Date, dates::parse)?;
    Ok(Column::Dates(days.into_iter().map(|day| day.unwrap_or(f64::NAN)).collect()))
}

fn categories(texts: &[Option<&str>], codes: &Codes) -> Column {
    Column::Levels(Levels::of(texts.iter().map(|text| present(*text, codes))))
}

fn each<T>(
    texts: &[Option<&str>],
    codes: &Codes,
    expected: ColumnType,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, Misfit> {
    let values = texts.iter().enumerate().map(|(row, text)| match present(*text, codes) {
        None => Ok(None),
        Some(text) => match read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Misfit { row, value: text.to_owned(), expected, inferred: false }),
        },
    });
    values.collect()
}

/// A text without surrounding blanks, or `None` where it means "missing".
fn present<'a>(text: Option<&'a str>, codes: &Codes) -> Option<&'a str> {
    text.map(str::trim).filter(|text| !text.is_empty() && !codes.holds_text(text))
}

fn shown(text: Option<&str>) -> String {
    text.map_or("", str::trim).to_owned()
}

fn strict_boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "t" | "1" => Some(true),
        "false" | "no" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// Takes numbers as another type, where one is asked for.
pub(crate) fn of_numbers(
    numbers: Vec<f64>,
    wanted: Option<ColumnType>,
    codes: &Codes,
) -> Result<Column, Misfit> {
    let Column::Numbers(numbers) = codes.clear(numbers) else {
        unreachable!("clear gives numbers")
    };
    match wanted {
        None | Some(ColumnType::Numeric) => Ok(Column::Numbers(numbers)),
        Some(ColumnType::Categorical) => {
            let texts: Vec<Option<String>> =
                numbers.iter().map(|&n| (!n.is_nan()).then(|| n.to_string())).collect();
            Ok(Column::Levels(Levels::of(texts.iter().map(Option::as_deref))))
        }
        Some(ColumnType::Boolean) => {
            let booleans = numbers.iter().enumerate().map(|(row, &number)| match number {
                1.0 => Ok(Some(true)),
                0.0 => Ok(Some(false)),
                _ if number.is_nan() => Ok(None),
                _ => Err(misfit(row, number, ColumnType::Boolean)),
            });
            Ok(Column::Booleans(booleans.collect::<Result<_, _>>()?))
        }
        Some(ColumnType::Date) => match numbers.iter().position(|number| !number.is_nan()) {
            Some(row) => Err(misfit(row, numbers[row], ColumnType::Date)),
            None => Ok(Column::Dates(numbers)),
        },
    }
}

fn misfit(row: usize, number: f64, expected: ColumnType) -> Misfit {
    Misfit { row, value: number.to_string(), expected, inferred: false }
}

/// Takes booleans as another type, where one is asked for.
pub(crate) fn of_booleans(
    booleans: Vec<Option<bool>>,
    wanted: Option<ColumnType>,
) -> Result<Column, Misfit> {
    let number = |value: &Option<bool>| value.map_or(f64::NAN, |value| f64::from(u8::from(value)));
    match wanted {
        None | Some(ColumnType::Boolean) => Ok(Column::Booleans(booleans)),
        Some(ColumnType::Numeric) => Ok(Column::Numbers(booleans.iter().map(number).collect())),
        Some(ColumnType::Categorical) => {
            let name = |value: &Option<bool>| value.map(|v| if v { "true" } else { "false" });
            Ok(Column::Levels(Levels::of(booleans.iter().map(name))))
        }
        Some(ColumnType::Date) => match booleans.iter().position(Option::is_some) {
            Some(row) => Err(Misfit {
                row,
                value: booleans[row].unwrap_or_default().to_string(),
                expected: ColumnType::Date,
                inferred: false,
            }),
            None => Ok(Column::Dates(booleans.iter().map(number).collect())),
        },
    }
}

impl ColumnType {
    /// What a value of this type is, for messages.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            ColumnType::Numeric => "number",
            ColumnType::Categorical => "category",
            ColumnType::Boolean => "boolean",
            ColumnType::Date => "date",
        }
    }

    /// Its name in a pipeline file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            ColumnType::Numeric => "numeric",
            ColumnType::Categorical => "categorical",
            ColumnType::Boolean => "boolean",
            ColumnType::Date => "date",
        }
    }

    /// The type of a column that is there.
    pub(crate) fn of(column: &Column) -> Self {
        match column {
            Column::Numbers(_) => ColumnType::Numeric,
            Column::Booleans(_) => ColumnType::Boolean,
            Column::Levels(_) => ColumnType::Categorical,
            Column::Dates(_) => ColumnType::Date,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> Codes {
        Codes::new(["?".to_owned(), "-999".to_owned()].iter())
    }

    fn read(texts: &[&str], wanted: Option<ColumnType>) -> Result<Column, Misfit> {
        let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(*text)).collect();
        of_texts(&texts, wanted, &codes())
    }

    #[test]
    fn types_are_told_from_the_texts() {
        for (texts, kind) in [
            (vec!["1", " 2.5 ", "?", ""], "numeric"),
            (vec!["?", ""], "numeric"),
            (vec!["true", "False", "?"], "boolean"),
            (vec!["2024-01-01", "?", "2024-01-02 10:00"], "date"),
            (vec!["red", "?", "7", "blue"], "categorical"),
            (vec!["2024-01-01", "soon"], "categorical"),
        ] {
            assert_eq!(read(&texts, None).unwrap().kind(), kind, "{texts:?}");
        }
    }

    #[test]
    fn a_slip_among_numbers_is_found() {
        let misfit = read(&["1", "2", " 3x", "4"], None).unwrap_err();
        let expected = ColumnType::Numeric;
        assert_eq!(misfit, Misfit { row: 2, value: "3x".into(), expected, inferred: true });
        let forced = read(&["1", "2", "3x"], Some(ColumnType::Categorical)).unwrap();
        assert_eq!(forced.kind(), "categorical");
        for (wanted, value) in [(ColumnType::Boolean, "2"), (ColumnType::Date, "1")] {
            let misfit = read(&["1", "2"], Some(wanted)).unwrap_err();
            assert_eq!((misfit.expected, misfit.value.as_str()), (wanted, value));
        }
    }

    #[test]
    fn codes_are_texts_and_numbers() {
        let Column::Numbers(numbers) = read(&["-999.0", "1", "?"], None).unwrap() else {
            unreachable!()
        };
        assert!(numbers[0].is_nan() && numbers[1] == 1.0 && numbers[2].is_nan());
        let column =
            of_numbers(vec![1.0, -999.0], Some(ColumnType::Categorical), &codes()).unwrap();
        let Column::Levels(levels) = column else { unreachable!() };
        assert_eq!((levels.get(0), levels.get(1)), (Some("1"), None));
        let booleans = of_numbers(vec![1.0, 0.0, -999.0], Some(ColumnType::Boolean), &codes());
        assert_eq!(booleans.unwrap(), Column::Booleans(vec![Some(true), Some(false), None]));
    }
}
