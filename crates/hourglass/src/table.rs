//! Small tables for people, for spreadsheets (RFC 4180) and for programs.

use std::collections::BTreeMap;

use crate::args::TableFormat;

/// Rows of text under a head.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new<const N: usize>(head: [&str; N]) -> Self {
        Table { head: head.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    pub fn push(&mut self, row: impl Into<Vec<String>>) {
        self.rows.push(row.into());
    }

    pub fn render(&self, format: TableFormat) -> String {
        if format.json {
            self.json()
        } else if format.csv {
            self.csv()
        } else {
            self.text()
        }
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.head).chain(&self.rows)
    }

    fn text(&self) -> String {
        let width = |column: usize| self.lines().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..self.head.len()).filter_map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        self.lines().map(line).collect()
    }

    fn csv(&self) -> String {
        let cell = |cell: &String| {
            if cell.contains([',', '"', '\n']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.clone()
            }
        };
        let line =
            |row: &Vec<String>| format!("{}\n", row.iter().map(cell).collect::<Vec<_>>().join(","));
        self.lines().map(line).collect()
    }

    fn json(&self) -> String {
        let object = |row: &Vec<String>| -> BTreeMap<String, String> {
            self.head.iter().cloned().zip(row.iter().cloned()).collect()
        };
        let rows: Vec<_> = self.rows.iter().map(object).collect();
        serde_json::to_string_pretty(&rows).map_or_else(|_| "[]\n".to_owned(), |text| text + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_holds_the_same() {
        let mut table = Table::new(["name", "what"]);
        table.push(["a".to_owned(), "x, \"y\"".to_owned()]);
        let render = |csv, json| table.render(TableFormat { csv, json });
        assert_eq!(render(false, false), "name  what\na     x, \"y\"\n");
        assert_eq!(render(true, false), "name,what\na,\"x, \"\"y\"\"\"\n");
        let json: serde_json::Value = serde_json::from_str(&render(false, true)).unwrap();
        assert_eq!(json[0]["what"], "x, \"y\"");
    }
}
