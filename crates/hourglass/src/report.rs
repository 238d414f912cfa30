//! `report show | suite | compare | verify | open`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use hourglass_core::{Interrupt, Progress};
use hourglass_data::Locations;
use hourglass_pipeline::{Found, RunOptions, SuiteOptions, Verification};
use hourglass_report::{Severity, results_csv, results_text, suite_to_markdown, to_markdown};

use crate::args::{Global, ReportCommand, TableFormat};
use crate::table::Table;
use crate::terminal::{line, print};

pub fn run(
    command: &ReportCommand,
    global: &Global,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let latest = global.runs_dir.join("latest");
    let or_latest = |run: &Option<PathBuf>| run.clone().unwrap_or_else(|| latest.clone());
    match command {
        ReportCommand::Show { run, format, markdown } => show(&or_latest(run), *format, *markdown),
        ReportCommand::Suite { .. } => suite(command, global, progress, interrupt),
        ReportCommand::Compare { first, second, format } => {
            compare(first, &or_latest(second), *format)
        }
        ReportCommand::Verify { run, offline, format } => {
            let locations = Locations::usual(global.data_dir.as_deref(), *offline);
            verify(&or_latest(run), &locations, *format, progress, interrupt)
        }
        ReportCommand::Open { run } => open(&or_latest(run)),
    }
}

fn show(run: &Path, format: TableFormat, markdown: bool) -> Result<()> {
    let (report, timings) = hourglass_pipeline::read_run(run)?;
    let text = if format.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else if format.csv {
        results_csv(&report)
    } else if markdown {
        to_markdown(&report, timings.as_ref())
    } else {
        format!("{}\n\n{}", report.verdict.sentence, results_text(&report))
    };
    Ok(print(&text)?)
}

fn suite(
    command: &ReportCommand,
    global: &Global,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let ReportCommand::Suite { dir, quick, jobs, overrides, write, offline, json } = command else {
        return Ok(());
    };
    let run = RunOptions {
        base: PathBuf::new(),
        locations: Locations::usual(global.data_dir.as_deref(), *offline),
        runs_dir: global.runs_dir.clone(),
        force: false,
    };
    let overrides = overrides.clone();
    let options = SuiteOptions { run, jobs: *jobs, quick: *quick, overrides };
    let outcome = hourglass_pipeline::run_suite(dir, &options, progress, interrupt)?;
    if let Some(path) = write {
        // Without the seconds of this call, so that a second run writes the same bytes.
        let text = suite_to_markdown(&outcome.report, Some(&outcome.costs), false);
        std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    if *json {
        print(&outcome.report.to_json()?)?;
    } else {
        let text = suite_to_markdown(&outcome.report, Some(&outcome.costs), true);
        print(&format!("{text}\n{}\n", outcome.folder.display()))?;
    }
    let failed = outcome.report.failures.len();
    if failed > 0 {
        let total = failed + outcome.report.entries.len();
        bail!("{failed} of {total} pipelines failed\nhint: the report names them");
    }
    Ok(())
}

fn compare(first: &Path, second: &Path, format: TableFormat) -> Result<()> {
    let difference = hourglass_pipeline::compare_runs(first, second)?;
    if format.json {
        return Ok(print(&(serde_json::to_string_pretty(&difference)? + "\n"))?);
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
    let mut settings = Table::new(["setting", "first", "second"]);
    for change in &difference.settings {
        settings.push([change.path.clone(), text(&change.was), text(&change.is)]);
    }
    let mut results =
        Table::new(["features", "model", "labels", "metric", "first", "second", "change", "apart"]);
    for result in &difference.results {
        let change = result.was.zip(result.is).map(|(was, is)| format!("{:+.4}", is - was));
        results.push([
            result.feature_set.clone(),
            result.model.clone(),
            result.label_fraction.to_string(),
            result.metric.clone(),
            number(result.was),
            number(result.is),
            text(&change),
            if result.is_apart { "yes" } else { "" }.to_owned(),
        ]);
    }
    if format.csv {
        return Ok(print(&results.render(format))?);
    }
    let settings = match difference.settings.is_empty() {
        true => "no setting differs\n".to_owned(),
        false => settings.render(format),
    };
    let [first, second] = &difference.verdicts;
    let results = results.render(format);
    Ok(print(&format!("{settings}\n{results}\nfirst:  {first}\nsecond: {second}\n"))?)
}

fn verify(
    run: &Path,
    locations: &Locations,
    format: TableFormat,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let suite = hourglass_pipeline::runs_of_suite(run)?;
    let is_suite = suite.is_some();
    let runs = suite.unwrap_or_else(|| vec![run.to_owned()]);
    let mut table = Table::new(["file", "found"]);
    let mut differing = Vec::new();
    let verified = hourglass_pipeline::verify_runs(run, &runs, locations, progress, interrupt)?;
    for (run, verification) in runs.iter().zip(verified) {
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !verification.is_same() {
            differing.push(name.clone());
        }
        let prefix = if is_suite { format!("{name}/") } else { String::new() };
        add_files(&mut table, &prefix, &verification);
    }
    print(&table.render(format))?;
    match differing.len() {
        0 => line("every byte is the same"),
        _ if !is_suite => bail!("the second run differs from `{}`", run.display()),
        n => bail!("{n} of {} runs differ: {}", runs.len(), differing.join(", ")),
    }
    Ok(())
}

fn add_files(table: &mut Table, prefix: &str, verification: &Verification) {
    for file in &verification.files {
        let found = match &file.found {
            Found::Same => "same".to_owned(),
            Found::Differs { byte, line, n_bytes } => {
                let line = line.map_or_else(String::new, |line| format!(", line {line}"));
                format!("differs in {n_bytes} bytes from byte {byte} on{line}")
            }
            Found::Missing => "missing in the second run".to_owned(),
            Found::New => "only in the second run".to_owned(),
        };
        table.push([format!("{prefix}{}", file.name), found]);
    }
}

/// Hands the page to whatever the system opens pages with; the path is printed in any case.
fn open(run: &Path) -> Result<()> {
    let pages = ["report.html", "suite.html"].map(|name| run.join(name));
    let Some(page) = pages.into_iter().find(|page| page.exists()) else {
        let run = run.display();
        bail!("there is no page in `{run}`\nhint: run a pipeline first, or name a run directory");
    };
    let page = page.canonicalize().with_context(|| format!("cannot find `{}`", page.display()))?;
    print(&format!("{}\n", page.display()))?;
    let opener = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let quiet = || Stdio::null();
    let started =
        Command::new(opener).arg(&page).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
    if started.is_err() {
        line(&format!("`{opener}` is not here\nhint: open the file above in a browser"));
    }
    Ok(())
}

/// What a finished run prints: which data it was on, the table and the verdict.
pub fn summary(folder: &Path) -> Result<String> {
    let (report, _) = hourglass_pipeline::read_run(folder)?;
    let data = match &report.data.fallback {
        Some(fallback) => format!("**{fallback}**"),
        None => report.data.sentence.clone(),
    };
    let table = results_text(&report);
    let findings = report.diagnosis.iter().flat_map(|diagnosis| &diagnosis.findings);
    let worse = findings.filter(|finding| finding.severity > Severity::Note);
    let worse: String = worse.map(|finding| format!("{}\n", finding.line())).collect();
    let verdict = &report.verdict.sentence;
    Ok(format!("{data}\n\n{}\n{verdict}\n{worse}\n", table.trim_end()))
}
