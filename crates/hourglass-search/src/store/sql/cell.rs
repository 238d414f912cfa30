//! Values between us and a database, the same for SQLite and PostgreSQL.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::{Error, Result};

/// How Optuna writes a time into SQLite: UTC, without saying so.
const TIME: &str = "%Y-%m-%d %H:%M:%S%.6f";

/// One value of a row, or of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Time(Timestamp),
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Cell::Int(value)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Cell::Real(value)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.into())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Cell::Text(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

/// A row of an answer.
pub(in crate::store) struct Row {
    pub(in crate::store) store: Arc<str>,
    pub(in crate::store) cells: Vec<Cell>,
}

impl Row {
    pub(super) fn int(&self, at: usize) -> Result<i64> {
        match &self.cells[at] {
            Cell::Int(value) => Ok(*value),
            other => Err(self.unexpected(at, "a whole number", other)),
        }
    }

    pub(super) fn optional_int(&self, at: usize) -> Result<Option<i64>> {
        if self.cells[at] == Cell::Null { Ok(None) } else { self.int(at).map(Some) }
    }

    /// SQLite hands out whole numbers where a real one is whole.
    pub(super) fn optional_real(&self, at: usize) -> Result<Option<f64>> {
        match &self.cells[at] {
            Cell::Null => Ok(None),
            Cell::Real(value) => Ok(Some(*value)),
            Cell::Int(value) => Ok(Some(*value as f64)),
            other => Err(self.unexpected(at, "a number", other)),
        }
    }

    pub(super) fn text(&self, at: usize) -> Result<&str> {
        match &self.cells[at] {
            Cell::Text(value) => Ok(value),
            other => Err(self.unexpected(at, "text", other)),
        }
    }

    pub(super) fn optional_text(&self, at: usize) -> Result<Option<&str>> {
        if self.cells[at] == Cell::Null { Ok(None) } else { self.text(at).map(Some) }
    }

    /// A time of Optuna's tables.
    pub(super) fn optional_time(&self, at: usize) -> Result<Option<Timestamp>> {
        match &self.cells[at] {
            Cell::Null => Ok(None),
            Cell::Time(value) => Ok(Some(*value)),
            Cell::Text(text) => match read_time(text) {
                Some(time) => Ok(Some(time)),
                None => Err(self.damaged("a time", format!("`{text}` is none"))),
            },
            other => Err(self.unexpected(at, "a time", other)),
        }
    }

    pub(super) fn damaged(&self, what: &str, reason: String) -> Error {
        Error::Damaged { store: self.store.to_string(), what: what.into(), reason }
    }

    fn unexpected(&self, at: usize, expected: &str, found: &Cell) -> Error {
        self.damaged("a row", format!("column {} is {found:?} instead of {expected}", at + 1))
    }
}

/// A time as SQLite holds it.
pub(in crate::store) fn write_time(time: Timestamp) -> String {
    time.strftime(TIME).to_string()
}

fn read_time(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A time of our own tables: microseconds since 1970.
pub(super) fn micros(time: Timestamp) -> Cell {
    Cell::Int(time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_optuna_does() {
        let time: Timestamp = "2026-11-25T12:58:06.9480760Z".parse().unwrap();
        assert_eq!(write_time(time), "2026-11-25 12:58:06.948076");
        assert_eq!(read_time("2026-11-25 12:58:06.948076"), Some(time));
        // What SQLite's own CURRENT_TIMESTAMP writes.
        assert_eq!(read_time("2026-11-25 12:58:06"), "2026-11-25T12:58:06Z".parse().ok());
        assert_eq!(read_time("yesterday"), None);
    }
}
