//! The suite as Markdown: for a terminal, a pull request, or the documentation.

use std::fmt::Write;

use super::{
    AUTOENCODER_TABLE_NOTE, SuiteCosts, SuiteReport, autoencoder_table, gain_sentence,
    rank_sentence,
};
use crate::markdown::escaped;
use crate::words;

/// Renders the suite, with what it cost where that is known; the seconds of this very call only
/// `with_total`, as they are never the same twice.
pub fn suite_to_markdown(
    report: &SuiteReport,
    costs: Option<&SuiteCosts>,
    with_total: bool,
) -> String {
    let mut text = format!("# {}\n", escaped(&report.name));
    if !report.changed.is_empty() {
        let changed: Vec<String> = report.changed.iter().map(|c| format!("`{c}`")).collect();
        paragraph(&mut text, &format!("**Not as in the files: {}.**", changed.join(", ")));
    }
    for failure in &report.failures {
        let (file, error) = (escaped(&failure.file), escaped(&failure.error));
        paragraph(&mut text, &format!("**Failed: {file}: {error}**"));
    }
    paragraph(&mut text, &gain_sentence(report));
    if let Some(ranks) = &report.ranks {
        paragraph(&mut text, "## Ranks");
        paragraph(&mut text, &rank_sentence(ranks));
        let rows =
            ranks.methods.iter().map(|(name, rank)| vec![escaped(name), words::number(*rank, 2)]);
        table(&mut text, &["method", "mean rank"], rows.collect());
    }
    gains(&mut text, report);
    autoencoders(&mut text, report, costs);
    results(&mut text, report);
    why(&mut text, report);
    if let Some(costs) = costs.filter(|_| with_total) {
        cost_table(&mut text, report, costs);
    }
    text
}

fn paragraph(text: &mut String, line: &str) {
    // Writing to a string can't fail.
    let _ = write!(text, "\n{line}\n");
}

fn table(text: &mut String, head: &[&str], rows: Vec<Vec<String>>) {
    let mut lines = format!("| {} |\n| :--{} |", head.join(" | "), " | --:".repeat(head.len() - 1));
    for row in rows {
        let _ = write!(lines, "\n| {} |", row.join(" | "));
    }
    paragraph(text, &lines);
}

fn gains(text: &mut String, report: &SuiteReport) {
    if report.gains.is_empty() {
        return;
    }
    paragraph(text, "## Gains");
    let rows = report.gains.iter().map(|gain| {
        let metric = report.entries.iter().find(|entry| entry.file == gain.file);
        let shown = |score: f64| {
            metric.map_or_else(|| words::number(score, 4), |entry| entry.metric.value(score))
        };
        vec![
            escaped(&gain.dataset),
            words::model(&gain.model),
            words::feature_set(&gain.feature_set),
            escaped(&gain.file),
            shown(gain.raw),
            shown(gain.with),
            format!("{} %", words::signed(100.0 * gain.relative, 2)),
            gain.mark.map_or("", words::mark).to_owned(),
        ]
    });
    let head = ["data set", "model", "features", "file", "raw", "with", "relative gain", "mark"];
    table(text, &head, rows.collect());
}

fn autoencoders(text: &mut String, report: &SuiteReport, costs: Option<&SuiteCosts>) {
    paragraph(text, "## Autoencoders");
    paragraph(text, AUTOENCODER_TABLE_NOTE);
    let (head, rows) = autoencoder_table(report, costs);
    let escape = |row: Vec<String>| row.iter().map(|cell| escaped(cell)).collect();
    table(text, &head, rows.into_iter().map(escape).collect());
}

fn results(text: &mut String, report: &SuiteReport) {
    paragraph(text, "## Results");
    let mut rows = Vec::new();
    for entry in &report.entries {
        for row in &entry.results {
            let against = row.against_raw.as_ref();
            let score =
                row.mean.map_or_else(|| words::MISSING.to_owned(), |m| entry.metric.value(m));
            let difference = against.map_or_else(String::new, |against| {
                let shown = entry.metric.shown_difference(against.difference);
                words::signed(shown, entry.metric.decimals())
            });
            rows.push(vec![
                escaped(&entry.dataset),
                escaped(&entry.name),
                words::feature_set(&row.feature_set),
                words::model(&row.model),
                entry.metric.heading(),
                score,
                difference,
                against.map_or("", |against| words::mark(against.mark)).to_owned(),
            ]);
        }
    }
    let head =
        ["data set", "pipeline", "features", "model", "measured", "score", "against raw", "mark"];
    table(text, &head, rows);
}

fn why(text: &mut String, report: &SuiteReport) {
    paragraph(text, "## Where features helped, and why");
    for entry in &report.entries {
        let (rows, test) = (words::grouped(entry.rows[0] as u64), entry.rows[1]);
        paragraph(
            text,
            &format!(
                "**{}** ({}, {} + {} rows, {} columns; {}): {}",
                escaped(&entry.name),
                escaped(&entry.dataset),
                rows,
                words::grouped(test as u64),
                words::grouped(entry.n_features as u64),
                escaped(&entry.description),
                escaped(&entry.verdict.sentence),
            ),
        );
        let notes = entry.verdict.notes.iter().chain(&entry.findings);
        let lines: Vec<String> = notes.map(|note| format!("- {}", escaped(note))).collect();
        if !lines.is_empty() {
            paragraph(text, &lines.join("\n"));
        }
    }
}

fn cost_table(text: &mut String, report: &SuiteReport, costs: &SuiteCosts) {
    paragraph(text, "## Costs");
    paragraph(
        text,
        &format!(
            "{} s, {} at a time.",
            words::number(costs.total_seconds, 1),
            words::counted(costs.jobs, "pipeline")
        ),
    );
    let rows = costs.entries.iter().map(|cost| {
        let entry = report.entries.iter().find(|entry| entry.file == cost.file);
        let parameters = entry.map_or(0, |entry| entry.n_parameters);
        vec![
            escaped(&cost.file),
            words::grouped(parameters as u64),
            cost.seconds_per_epoch.map_or_else(|| words::MISSING.to_owned(), words::significant),
            words::number(cost.fit_seconds, 1),
            words::number(cost.seconds, 1),
        ]
    });
    let head = ["file", "trained numbers", "seconds per epoch", "seconds of fits", "seconds"];
    table(text, &head, rows.collect());
}
