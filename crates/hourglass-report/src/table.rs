//! The results as a table of words, and the two renderings that are nothing but that table: plain
//! text for the terminal and CSV. Markdown and HTML lay out the same [`ResultTable`].

use serde::Serialize;

use crate::model::{Mark, RAW, Report, ResultRow};
use crate::words;

/// Feature sets down, downstream models across.
#[derive(Debug, Serialize)]
pub(crate) struct ResultTable {
    /// What tells it from the other tables of the report; empty for the first.
    pub title: String,
    /// What the numbers are.
    pub heading: String,
    pub lower_is_better: bool,
    pub models: Vec<String>,
    pub rows: Vec<TableRow>,
    /// Models that were measured with one feature set only, as a sentence each.
    pub asides: Vec<String>,
    /// Whether any cell has an interval.
    pub has_intervals: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct TableRow {
    pub feature_set: String,
    pub is_raw: bool,
    pub n_features: String,
    /// One for each model; `None` where it was not measured.
    pub cells: Vec<Option<Cell>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    pub value: String,
    pub interval: Option<[String; 2]>,
    pub mark: Option<Mark>,
    pub sign: &'static str,
    pub word: &'static str,
    /// Whether it is the best of its column.
    pub is_best: bool,
}

impl ResultTable {
    /// The results with all labels, or with the most that any model saw.
    pub(crate) fn of(report: &Report) -> Self {
        let most = report.label_fractions.last().copied().unwrap_or(1.0);
        Self::of_fraction(report, most)
    }

    /// The results with a share of the labels.
    pub(crate) fn of_fraction(report: &Report, fraction: f64) -> Self {
        let results: Vec<&ResultRow> =
            report.results.iter().filter(|row| row.label_fraction == fraction).collect();
        let results = results.as_slice();
        let mut sets = distinct(results, |row| &row.feature_set);
        // The baseline stands first, wherever the file names it.
        sets.sort_by_key(|set| *set != RAW);
        let sets_of = |model: &str| results.iter().filter(|row| row.model == model).count();
        let (single, models): (Vec<&str>, Vec<&str>) = distinct(results, |row| &row.model)
            .into_iter()
            .partition(|model| sets.len() > 1 && sets_of(model) == 1);
        let best: Vec<f64> = models.iter().map(|model| best_of(report, results, model)).collect();
        let find = |set: &str, model: &str| {
            results.iter().copied().find(|row| row.feature_set == set && row.model == model)
        };
        let rows = sets
            .iter()
            .filter(|set| models.is_empty() || models.iter().any(|m| find(set, m).is_some()))
            .map(|set| TableRow {
                feature_set: words::feature_set(set),
                is_raw: *set == RAW,
                n_features: results
                    .iter()
                    .find(|row| row.feature_set == *set)
                    .map_or_else(String::new, |row| words::grouped(row.n_features as u64)),
                cells: std::iter::zip(&models, &best)
                    .map(|(model, best)| find(set, model).map(|row| cell(report, row, *best)))
                    .collect(),
            })
            .collect();
        let asides = single
            .iter()
            .filter_map(|model| results.iter().find(|row| row.model == *model))
            .map(|row| {
                let (model, score) = (words::model(&row.model), report.metric.value(row.mean));
                format!("{}: {score}.", words::capital(&model))
            })
            .collect();
        ResultTable {
            title: String::new(),
            heading: words::capital(&report.metric.heading()),
            lower_is_better: report.metric.shown_lower_is_better(),
            models: models.iter().map(|model| words::model(model)).collect(),
            rows,
            asides,
            has_intervals: results.iter().any(|row| row.ci_low.is_some()),
        }
    }
}

fn distinct<'a>(rows: &[&'a ResultRow], key: impl Fn(&'a ResultRow) -> &'a String) -> Vec<&'a str> {
    let mut keys: Vec<&'a str> = Vec::new();
    for row in rows.iter().copied() {
        let key = key(row).as_str();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn best_of(report: &Report, results: &[&ResultRow], model: &str) -> f64 {
    let means = results.iter().filter(|row| row.model == model).map(|row| row.mean);
    means
        .filter(|mean| mean.is_finite())
        .reduce(|best, mean| if report.metric.is_better(mean, best) { mean } else { best })
        .unwrap_or(f64::NAN)
}

fn cell(report: &Report, row: &ResultRow, best: f64) -> Cell {
    let metric = &report.metric;
    let mark = row.against_raw.as_ref().filter(|_| row.mean.is_finite()).map(|c| c.mark);
    Cell {
        value: metric.bare(row.mean),
        interval: metric.bare_interval(row.ci_low, row.ci_high),
        mark,
        sign: mark.map_or("", words::mark_sign),
        word: mark.map_or("", words::mark),
        is_best: row.mean == best,
    }
}

/// The results for a terminal: aligned columns of plain text, the best of each model starred.
pub fn results_text(report: &Report) -> String {
    let mut text = table_text(&ResultTable::of(report));
    let few = report.label_fractions.iter().rev().skip(1);
    for &fraction in few {
        text.push_str(&format!("\nWith {} of the labels. ", words::share(fraction)));
        text.push_str(&table_text(&ResultTable::of_fraction(report, fraction)));
    }
    text
}

fn table_text(table: &ResultTable) -> String {
    let mut lines = vec![vec!["features".to_string(), "width".to_string()]];
    lines[0].extend(table.models.iter().cloned());
    for row in &table.rows {
        let mut line = vec![row.feature_set.clone(), row.n_features.clone()];
        line.extend(row.cells.iter().map(|cell| cell.as_ref().map_or_else(dash, cell_text)));
        lines.push(line);
    }
    let n_columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..n_columns).map(|column| width(column).unwrap_or(0)).collect();
    let interval = if table.has_intervals { ", 95 % interval in brackets" } else { "" };
    let mut text = format!("{}{interval}, * best of its model, against raw\n", table.heading);
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            // Only the width is a number of its own; the rest reads better from the left.
            if column == 1 { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    for aside in &table.asides {
        text.push_str(aside);
        text.push('\n');
    }
    text
}

fn dash() -> String {
    words::MISSING.into()
}

fn cell_text(cell: &Cell) -> String {
    let star = if cell.is_best { "*" } else { " " };
    let interval = match &cell.interval {
        Some([low, high]) => format!(" [{low}, {high}]"),
        None => String::new(),
    };
    format!("{:>6}{star}{interval} {}", cell.value, cell.word).trim_end().into()
}

/// The results as CSV: `feature_set,model,metric,mean,ci_low,ci_high,n,label_fraction`, scores as
/// in the JSON, an empty field where there is no number.
pub fn results_csv(report: &Report) -> String {
    let mut text = String::from("feature_set,model,metric,mean,ci_low,ci_high,n,label_fraction\n");
    for row in &report.results {
        let fields = [
            csv_field(&row.feature_set),
            csv_field(&row.model),
            csv_field(&report.metric.name),
            csv_number(Some(row.mean)),
            csv_number(row.ci_low),
            csv_number(row.ci_high),
            row.n.to_string(),
            row.label_fraction.to_string(),
        ];
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn csv_number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or_else(String::new, |value| value.to_string())
}

/// Quoted as RFC 4180 asks, where it has to be.
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}
