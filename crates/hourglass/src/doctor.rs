//! `doctor check | examine | explain`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hourglass_core::{Interrupt, Progress};
use hourglass_data::Locations;
use hourglass_doctor::{Finding, FindingId, Severity};
use hourglass_pipeline::{Examination, RunOptions};

use crate::args::{DoctorCommand, Global};
use crate::pipeline::Loaded;
use crate::terminal::print;

/// A finding of severity error stands; it has been printed.
#[derive(Debug, thiserror::Error)]
#[error("the doctor found an error")]
pub struct Sick;

/// A finding that was asked for and isn't known.
#[derive(Debug, thiserror::Error)]
#[error("there is no finding `{0}`\nhint: `doctor explain` lists them all")]
pub struct UnknownFinding(String);

pub fn run(
    command: &DoctorCommand,
    file: Option<&Loaded>,
    global: &Global,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let options = |base, offline| RunOptions {
        base,
        locations: Locations::usual(global.data_dir.as_deref(), offline),
        runs_dir: global.runs_dir.clone(),
        force: false,
    };
    let (found, json) = match command {
        DoctorCommand::Explain { write: Some(folder), .. } => return write_pages(folder),
        DoctorCommand::Explain { id, .. } => return explain(id.as_deref()),
        DoctorCommand::Check { offline, json, .. } => {
            let Some(Loaded { pipeline, base }) = file else { return Ok(()) };
            let options = options(base.clone(), *offline);
            let findings =
                hourglass_pipeline::doctor_check(pipeline, &options, progress, interrupt)?;
            (Examination { findings, left_out: Vec::new() }, *json)
        }
        DoctorCommand::Examine { run, json } => {
            let latest = global.runs_dir.join("latest");
            let folder = run.as_deref().unwrap_or(&latest);
            let options = options(PathBuf::new(), false);
            let examine = hourglass_pipeline::doctor_examine;
            (examine(folder, &options, progress, interrupt)?, *json)
        }
    };
    print(&if json { as_json(&found)? } else { as_text(&found) })?;
    if found.findings.iter().any(|finding| finding.severity == Severity::Error) {
        bail!(Sick);
    }
    Ok(())
}

fn explain(id: Option<&str>) -> Result<()> {
    let Some(name) = id else {
        let lines =
            FindingId::ALL.iter().map(|id| format!("{:<26} {}\n", id.name(), id.page().title));
        return Ok(print(&lines.collect::<String>())?);
    };
    let Some(id) = FindingId::named(name) else {
        bail!(UnknownFinding(name.to_owned()));
    };
    Ok(print(&id.markdown())?)
}

fn write_pages(folder: &Path) -> Result<()> {
    for &id in FindingId::ALL {
        let path = folder.join(format!("{}.md", id.name()));
        std::fs::write(&path, id.markdown())
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

fn as_json(found: &Examination) -> Result<String> {
    let Examination { findings, left_out } = found;
    let value = serde_json::json!({ "findings": findings, "left_out": left_out });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn as_text(found: &Examination) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        text += &one(finding);
    }
    if found.findings.is_empty() {
        text += "nothing was found\n";
    }
    for what in &found.left_out {
        let _ = writeln!(text, "not looked at: {what}");
    }
    text
}

fn one(finding: &Finding) -> String {
    let Finding { id, severity, sentence, evidence, cures, .. } = finding;
    let mut text = format!("{} ({}): {sentence}\n", severity.name(), id.name());
    for evidence in evidence {
        let limit = evidence.limit.map_or(String::new(), |limit| format!(" (limit {limit})"));
        let _ = writeln!(text, "    {}: {:.4}{limit}", evidence.what, evidence.value);
    }
    for cure in cures {
        let changes =
            cure.changes.iter().map(|change| format!("{} = {}", change.key, change.value));
        let changes = changes.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "    try: {changes}: {}", cure.because);
    }
    text
}
