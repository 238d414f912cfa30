//! The suite as one HTML page, with the style sheet and the script of the report's page.

use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use super::{
    AUTOENCODER_TABLE_NOTE, SuiteCosts, SuiteReport, autoencoder_table, gain_sentence,
    rank_sentence,
};
use crate::error::ReportError;
use crate::figure::{CriticalDifference, Figure};
use crate::page::{SCRIPT, STYLE, environment};
use crate::words;

const TEMPLATE: &str = include_str!("suite.html");

#[derive(Serialize)]
struct RowView {
    cells: Vec<String>,
    mark: &'static str,
    sign: &'static str,
}

#[derive(Serialize)]
struct WhyView<'a> {
    name: &'a str,
    facts: String,
    sentence: &'a str,
    notes: Vec<&'a String>,
}

/// Renders the page, with what the suite cost where that is known.
///
/// # Errors
/// [`ReportError::Page`] if the page can't be drawn.
pub fn suite_to_html(
    report: &SuiteReport,
    costs: Option<&SuiteCosts>,
) -> Result<String, ReportError> {
    let mut environment = environment()?;
    environment.add_template("suite.html", TEMPLATE)?;
    let diagram = report.ranks.as_ref().and_then(|ranks| {
        let (methods, critical) = (ranks.methods.clone(), ranks.critical_difference);
        Figure::CriticalDifference(CriticalDifference { methods, critical }).svg()
    });
    let page = context! {
        style => STYLE,
        script => SCRIPT,
        name => &report.name,
        changed => report.changed.join(", "),
        failures => Serde(&report.failures),
        gain => gain_sentence(report),
        gains => Serde(gains(report)),
        ranks => report.ranks.as_ref().map(rank_sentence),
        diagram => diagram,
        results => Serde(results(report)),
        why => Serde(why(report)),
        costs => Serde(costs.map(|costs| cost_rows(report, costs))),
        total => costs.map(|costs| format!(
            "{} s, {} at a time.",
            words::number(costs.total_seconds, 1),
            words::counted(costs.jobs, "pipeline")
        )),
        autoencoders => Serde(autoencoders(report, costs)),
        autoencoders_note => AUTOENCODER_TABLE_NOTE,
    };
    Ok(environment.get_template("suite.html")?.render(page)?)
}

/// Head and rows of the table of autoencoders.
fn autoencoders(
    report: &SuiteReport,
    costs: Option<&SuiteCosts>,
) -> (Vec<String>, Vec<Vec<String>>) {
    let (head, rows) = autoencoder_table(report, costs);
    (head.into_iter().map(words::capital).collect(), rows)
}

fn gains(report: &SuiteReport) -> Vec<RowView> {
    let row = |gain: &super::SuiteGain| {
        let entry = report.entries.iter().find(|entry| entry.file == gain.file);
        let shown = |score: f64| {
            entry.map_or_else(|| words::number(score, 4), |entry| entry.metric.value(score))
        };
        RowView {
            cells: vec![
                gain.dataset.clone(),
                words::feature_set(&gain.feature_set),
                entry.map_or_else(String::new, |entry| words::spaced(&entry.kind)),
                shown(gain.raw),
                shown(gain.with),
                format!("{} %", words::signed(100.0 * gain.relative, 2)),
            ],
            mark: gain.mark.map_or("", words::mark),
            sign: gain.mark.map_or("", words::mark_sign),
        }
    };
    report.gains.iter().map(row).collect()
}

fn results(report: &SuiteReport) -> Vec<RowView> {
    let mut rows = Vec::new();
    for entry in &report.entries {
        for row in &entry.results {
            let against = row.against_raw.as_ref();
            let difference = against.map_or_else(String::new, |against| {
                let shown = entry.metric.shown_difference(against.difference);
                words::signed(shown, entry.metric.decimals())
            });
            let score =
                row.mean.map_or_else(|| words::MISSING.to_owned(), |m| entry.metric.value(m));
            rows.push(RowView {
                cells: vec![
                    entry.dataset.clone(),
                    entry.name.clone(),
                    words::feature_set(&row.feature_set),
                    words::model(&row.model),
                    entry.metric.heading(),
                    score,
                    difference,
                ],
                mark: against.map_or("", |against| words::mark(against.mark)),
                sign: against.map_or("", |against| words::mark_sign(against.mark)),
            });
        }
    }
    rows
}

fn why(report: &SuiteReport) -> Vec<WhyView<'_>> {
    let view = |entry: &'_ super::SuiteEntry| {
        format!(
            "{}, {} + {} rows, {} columns; {}; {}",
            entry.dataset,
            words::grouped(entry.rows[0] as u64),
            words::grouped(entry.rows[1] as u64),
            words::grouped(entry.n_features as u64),
            entry.description,
            words::counted(entry.repeats, "run"),
        )
    };
    report
        .entries
        .iter()
        .map(|entry| WhyView {
            name: &entry.name,
            facts: view(entry),
            sentence: &entry.verdict.sentence,
            notes: entry.verdict.notes.iter().chain(&entry.findings).collect(),
        })
        .collect()
}

fn cost_rows(report: &SuiteReport, costs: &SuiteCosts) -> Vec<Vec<String>> {
    let row = |cost: &super::SuiteCost| {
        let entry = report.entries.iter().find(|entry| entry.file == cost.file);
        vec![
            cost.file.clone(),
            words::grouped(entry.map_or(0, |entry| entry.n_parameters) as u64),
            cost.seconds_per_epoch.map_or_else(|| words::MISSING.to_owned(), words::significant),
            words::number(cost.fit_seconds, 1),
            words::number(cost.seconds, 1),
        ]
    };
    costs.entries.iter().map(row).collect()
}
