//! `report show`.

use std::path::Path;

use anyhow::Result;
use hourglass_report::{results_csv, results_text, to_markdown};

use crate::args::{Global, ReportCommand};
use crate::terminal::print;

pub fn run(command: &ReportCommand, global: &Global) -> Result<()> {
    let ReportCommand::Show { run, format, markdown } = command;
    let latest = global.runs_dir.join("latest");
    let (report, timings) = hourglass_pipeline::read_run(run.as_deref().unwrap_or(&latest))?;
    let text = if format.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else if format.csv {
        results_csv(&report)
    } else if *markdown {
        to_markdown(&report, timings.as_ref())
    } else {
        format!("{}\n\n{}", report.verdict.sentence, results_text(&report))
    };
    Ok(print(&text)?)
}

/// What a finished run prints: which data it was on, the table and the verdict.
pub fn summary(folder: &Path) -> Result<String> {
    let (report, _) = hourglass_pipeline::read_run(folder)?;
    let data = match &report.data.fallback {
        Some(fallback) => format!("**{fallback}**"),
        None => report.data.sentence.clone(),
    };
    let table = results_text(&report);
    Ok(format!("{data}\n\n{}\n{}\n\n", table.trim_end(), report.verdict.sentence))
}
