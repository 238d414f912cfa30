//! The report as Markdown, for a terminal, a pull request or a repository. It draws no picture.

use std::fmt::Write;

use crate::diagnosis::{Diagnosis, Finding};
use crate::metric_table::MetricTable;
use crate::model::{DataSummary, Reconstruction, Report, TrainingRun};
use crate::table::{Cell, ResultTable};
use crate::timings::Timings;
use crate::words;

/// Renders the report, with what the run cost where that is known.
pub fn to_markdown(report: &Report, timings: Option<&Timings>) -> String {
    let mut page = Page::default();
    page.paragraph(&format!("# {}", escaped(&report.name)));
    if let Some(fallback) = &report.data.fallback {
        page.paragraph(&format!("**Warning: {}**", escaped(fallback)));
    }
    page.paragraph(&format!("**{}**", escaped(&report.verdict.sentence)));
    page.list(&report.verdict.notes);
    results(&mut page, report);
    if let Some(found) = &report.diagnosis {
        diagnosis(&mut page, found);
    }
    data(&mut page, &report.data);
    model(&mut page, report);
    if let Some(reconstruction) = &report.reconstruction {
        reconstruction_errors(&mut page, reconstruction);
    }
    classes(&mut page, report);
    origins(&mut page, report);
    if let Some(timings) = timings {
        costs(&mut page, timings);
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn paragraph(&mut self, text: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// A list of names and what they are; both are plain text.
    fn facts(&mut self, facts: &[(String, String)]) {
        let line =
            |(name, what): &(String, String)| format!("- {}: {}", escaped(name), escaped(what));
        self.paragraph(&facts.iter().map(line).collect::<Vec<_>>().join("\n"));
    }

    fn list(&mut self, sentences: &[String]) {
        let lines: Vec<String> = sentences.iter().map(|s| format!("- {}", escaped(s))).collect();
        if !lines.is_empty() {
            self.paragraph(&lines.join("\n"));
        }
    }

    /// A table whose first column is text and whose others are numbers; cells are Markdown.
    fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let mut text = format!("| {} |\n| :--", head.join(" | "));
        text.push_str(&" | --:".repeat(head.len() - 1));
        text.push_str(" |");
        for row in rows {
            // Writing to a string can't fail.
            let _ = write!(text, "\n| {} |", row.join(" | "));
        }
        self.paragraph(&text);
    }
}

fn results(page: &mut Page, report: &Report) {
    page.paragraph("## Results");
    result_table(page, report, &ResultTable::of(report));
    page.list(&report.method);
    for &fraction in report.label_fractions.iter().rev().skip(1) {
        page.paragraph(&format!("### With {} of the labels", words::share(fraction)));
        result_table(page, report, &ResultTable::of_fraction(report, fraction));
    }
    metrics(page, report);
}

/// Every metric of every row.
fn metrics(page: &mut Page, report: &Report) {
    let table = MetricTable::of(report);
    page.paragraph("### All metrics");
    let head: Vec<&str> = table.head.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> =
        table.rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    page.table(&head, &rows);
}

fn result_table(page: &mut Page, report: &Report, table: &ResultTable) {
    let direction = if table.lower_is_better { "less is better" } else { "more is better" };
    let interval = if table.has_intervals { ", 95 % interval in brackets" } else { "" };
    page.paragraph(&format!(
        "{}, mean of {}{interval}; {direction}, the best of each column is bold, the mark compares \
         with raw.",
        table.heading,
        words::counted(report.repeats, "repeat"),
    ));
    let models: Vec<String> = table.models.iter().map(|model| escaped(model)).collect();
    let head: Vec<&str> =
        ["features", "width"].into_iter().chain(models.iter().map(String::as_str)).collect();
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| {
            let mut cells = vec![escaped(&row.feature_set), row.n_features.clone()];
            cells.extend(row.cells.iter().map(|c| c.as_ref().map_or_else(dash, result_cell)));
            cells
        })
        .collect();
    page.table(&head, &rows);
    page.list(&table.asides);
}

fn dash() -> String {
    words::MISSING.into()
}

fn result_cell(cell: &Cell) -> String {
    let value = if cell.is_best { format!("**{}**", cell.value) } else { cell.value.clone() };
    let interval = match &cell.interval {
        Some([low, high]) => format!(" [{low}, {high}]"),
        None => String::new(),
    };
    format!("{value}{interval} {} {}", cell.sign, cell.word).trim_end().into()
}

/// What the doctor found: a list, since each finding is a sentence with what belongs to it.
fn diagnosis(page: &mut Page, found: &Diagnosis) {
    page.paragraph("## Diagnosis");
    let mut lines: Vec<String> = found.findings.iter().map(finding).collect();
    if lines.is_empty() {
        lines.push("- Nothing was found.".into());
    }
    lines.extend(found.left_out.iter().map(|what| format!("- Not looked at: {}", escaped(what))));
    page.paragraph(&lines.join("\n"));
}

fn finding(finding: &Finding) -> String {
    let (severity, id) = (words::capital(finding.severity.name()), escaped(&finding.id));
    let mut text = format!("- **{severity}, {id}**: {}.", escaped(&finding.sentence));
    for evidence in &finding.evidence {
        let _ = write!(text, "\n  - {}", escaped(&words::evidence(evidence)));
    }
    for cure in &finding.cures {
        let changes: Vec<String> = cure.changes.iter().map(|line| format!("`{line}`")).collect();
        let _ = write!(text, "\n  - Try {}: {}.", changes.join(", "), escaped(&cure.because));
    }
    text
}

fn data(page: &mut Page, data: &DataSummary) {
    page.paragraph("## Data");
    page.paragraph(&escaped(&data.sentence));
    page.facts(&data.facts());
}

fn model(page: &mut Page, report: &Report) {
    let model = &report.model;
    page.paragraph("## Autoencoder");
    page.facts(&model.facts());
    if !report.training.is_empty() {
        let rows: Vec<Vec<String>> = report.training.iter().map(training_row).collect();
        page.table(
            &["repeat", "epochs", "best", "training loss", "validation loss", "ended because"],
            &rows,
        );
    }
}

fn training_row(run: &TrainingRun) -> Vec<String> {
    let best = run.best();
    vec![
        (run.repeat + 1).to_string(),
        run.epochs.len().to_string(),
        run.best_epoch.to_string(),
        best.map_or_else(dash, |epoch| words::significant(epoch.train_loss)),
        best.and_then(|epoch| epoch.validation_loss).map_or_else(dash, words::significant),
        escaped(&run.stopped_because),
    ]
}

fn reconstruction_errors(page: &mut Page, reconstruction: &Reconstruction) {
    page.paragraph("## Reconstruction");
    page.paragraph("Summed squared error of a sample, mean over the samples of each part.");
    let show = |value: Option<f64>| value.map_or_else(dash, words::significant);
    let rows: Vec<Vec<String>> = reconstruction
        .errors
        .iter()
        .map(|row| {
            vec![
                escaped(&words::yardstick(&row.name)),
                show(row.train),
                show(row.validation),
                show(row.test),
            ]
        })
        .collect();
    page.table(&["put in place of the input", "training", "validation", "test"], &rows);
    if reconstruction.losses.is_empty() {
        return;
    }
    page.paragraph("Loss of the trained model by part, on clean samples.");
    let show = |value: f64| words::significant(value);
    let rows: Vec<Vec<String>> = reconstruction
        .losses
        .iter()
        .map(|row| vec![escaped(&row.name), show(row.validation), show(row.test)])
        .collect();
    page.table(&["part", "validation", "test"], &rows);
}

fn classes(page: &mut Page, report: &Report) {
    if report.per_class.is_empty() {
        return;
    }
    page.paragraph("## Classes");
    page.paragraph(&format!(
        "Test rows with {}, in per cent, mean over the repeats.",
        words::model(&report.main_model)
    ));
    let share = |value: f64| words::number(100.0 * value, 1);
    let rows: Vec<Vec<String>> = report
        .per_class
        .iter()
        .map(|row| {
            vec![
                escaped(&row.class),
                words::feature_set(&row.feature_set),
                share(row.precision),
                share(row.recall),
                share(row.f1),
                words::grouped(row.support as u64),
            ]
        })
        .collect();
    page.table(&["class", "features", "precision", "recall", "F1", "rows"], &rows);
}

fn origins(page: &mut Page, report: &Report) {
    page.paragraph("## Made of");
    let seeds: Vec<String> = report.repeat_seeds.iter().map(u64::to_string).collect();
    page.paragraph(&format!("Seed {}; of the repeats: {}.", report.seed, seeds.join(", ")));
    let files: Vec<Vec<String>> = report
        .data
        .files
        .iter()
        .map(|f| vec![escaped(&f.name), words::grouped(f.bytes), format!("`{}`", f.sha256)])
        .collect();
    if !files.is_empty() {
        page.table(&["file", "bytes", "SHA-256 of the content"], &files);
    }
    let versions: Vec<Vec<String>> =
        report.versions.iter().map(|(name, v)| vec![escaped(name), escaped(v)]).collect();
    if !versions.is_empty() {
        page.table(&["part", "version"], &versions);
    }
    page.paragraph("The pipeline file with every default filled in:");
    page.paragraph(&fenced(&report.resolved_file));
}

fn costs(page: &mut Page, timings: &Timings) {
    page.paragraph("## Time and memory");
    page.paragraph(&escaped(&timings.sentence()));
    let rows: Vec<Vec<String>> = timings
        .by_stage()
        .iter()
        .map(|stage| {
            let mut row = vec![escaped(&stage.name)];
            row.push(words::number(stage.seconds, 1));
            row.push(format!("{} of {}", stage.from_cache, stage.times));
            row
        })
        .collect();
    page.table(&["stage", "seconds", "from the cache"], &rows);
}

/// A code block whose fence is longer than any run of backticks inside.
fn fenced(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}toml\n{}\n{fence}", code.trim_end())
}

/// The text with everything that Markdown or HTML would read as markup made plain.
pub(crate) fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            // Followed by a space it is a sign of arithmetic, as in `p < 0.001`.
            '<' if letters.peek() != Some(&' ') => plain.push_str("&lt;"),
            '&' if letters.peek() != Some(&' ') => plain.push_str("&amp;"),
            '\n' | '\r' => plain.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => {
                plain.push('\\');
                plain.push(letter);
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_made_plain() {
        assert_eq!(escaped("<b>a|b_c"), "&lt;b>a\\|b\\_c");
        assert_eq!(fenced("a = \"```\""), "````toml\na = \"```\"\n````");
    }
}
