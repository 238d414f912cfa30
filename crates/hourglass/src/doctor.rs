//! `doctor check | examine | treat | clinic | explain`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use hourglass_core::{Interrupt, Progress};
use hourglass_data::Locations;
use hourglass_doctor::{Finding, FindingId, Severity};
use hourglass_pipeline::{
    Attempt, Clinic, ClinicCase, ClinicFinding, ClinicOptions, Condition, Examination, RunOptions,
    TreatOptions, Treatment,
};

use crate::args::{DoctorCommand, Global, TableFormat};
use crate::pipeline::{Loaded, figure, interval, signed};
use crate::table::Table;
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
        DoctorCommand::Examine { run, repeat, json } => {
            let latest = global.runs_dir.join("latest");
            let folder = run.as_deref().unwrap_or(&latest);
            let options = options(PathBuf::new(), false);
            let examine = hourglass_pipeline::doctor_examine;
            (examine(folder, repeat - 1, &options, progress, interrupt)?, *json)
        }
        DoctorCommand::Treat { offline, .. } => {
            return treat(command, options(PathBuf::new(), *offline), progress, interrupt);
        }
        DoctorCommand::Clinic { offline, .. } => {
            return clinic(command, options(PathBuf::new(), *offline), progress, interrupt);
        }
    };
    print(&if json { as_json(&found)? } else { as_text(&found) })?;
    if found.findings.iter().any(|finding| finding.severity == Severity::Error) {
        bail!(Sick);
    }
    Ok(())
}

fn treat(
    command: &DoctorCommand,
    run: RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let DoctorCommand::Treat { path, overrides, trials, minutes, only, json, .. } = command else {
        return Ok(());
    };
    let only = only.as_deref().map(named).transpose()?;
    let latest = run.runs_dir.join("latest");
    let path = path.clone().unwrap_or(latest);
    let options = TreatOptions { run, trials: *trials, minutes: *minutes, only };
    let found = hourglass_pipeline::treat(&path, overrides, &options, progress, interrupt)?;
    let text = match json {
        true => serde_json::to_string_pretty(&found)? + "\n",
        false => treatment_text(&found),
    };
    print(&text)?;
    if found.interrupted {
        bail!(hourglass_pipeline::Error::Interrupted { stage: "treat".to_owned() });
    }
    if found.after.findings.iter().any(|finding| finding.severity == Severity::Error) {
        bail!(Sick);
    }
    Ok(())
}

/// What was tried as patches of the file, what each did, and what is left.
fn treatment_text(found: &Treatment) -> String {
    let mut text = String::new();
    let condition = |condition: &Condition| {
        let names = condition.findings.iter().filter(|f| f.severity > Severity::Note);
        let names: Vec<&str> = names.map(|finding| finding.id.name()).collect();
        let names = if names.is_empty() { "nothing found".to_owned() } else { names.join(", ") };
        match (&condition.failure, &condition.score, &condition.reconstruction) {
            (Some(failure), ..) => format!("{names}; the run failed: {failure}"),
            (None, Some(score), Some(error)) => {
                let metric = found.metric.as_deref().unwrap_or("score");
                format!(
                    "{names}; {metric} {} {}, reconstruction error {} of that of the mean",
                    figure(score.mean),
                    interval(score),
                    figure(error.mean)
                )
            }
            _ => names,
        }
    };
    let _ = writeln!(text, "as it was: {}\n", condition(&found.before));
    for (index, attempt) in found.attempts.iter().enumerate() {
        text += &attempt_text(index + 1, attempt, found.metric.as_deref().unwrap_or("score"));
    }
    let _ = writeln!(text, "as it is: {}", condition(&found.after));
    let _ = writeln!(text, "ended since {}; scores and errors are of validation rows", found.ended);
    match &found.cured {
        Some(path) => {
            let _ = writeln!(text, "{}", path.display());
        }
        None => text += "nothing helped, so that there is no cured file\n",
    }
    text
}

fn attempt_text(number: usize, attempt: &Attempt, metric: &str) -> String {
    let mut text = String::new();
    let (id, severity) = (attempt.finding.name(), attempt.severity.name());
    let _ = writeln!(text, "{number}. {id} ({severity}): {}", attempt.because);
    for patch in &attempt.changes {
        if let Some(was) = &patch.was {
            let _ = writeln!(text, "    - {} = {was}", patch.key);
        }
        let _ = writeln!(text, "    + {}", patch.line());
    }
    if let Some(evidence) = &attempt.evidence {
        let after = match evidence.after {
            Some(value) => figure(value),
            None if attempt.is_gone => "gone".to_owned(),
            None => "not measured".to_owned(),
        };
        let (what, before, limit) = (&evidence.what, evidence.before, evidence.limit);
        let before = figure(before);
        let _ = writeln!(text, "    {what}: {before} -> {after} (limit {limit})");
    }
    let figures = [
        (metric, attempt.scores, &attempt.score_change),
        ("reconstruction error over that of the mean", attempt.errors, &attempt.error_change),
    ];
    for (what, [before, after], change) in figures {
        let (Some(before), Some(after), Some(change)) = (before, after, change) else { continue };
        let _ = writeln!(
            text,
            "    {what}: {} -> {} (better by {})",
            figure(before),
            figure(after),
            format!("{} {}", signed(change.mean), interval(change)).trim_end()
        );
    }
    if !attempt.new_findings.is_empty() {
        let names: Vec<&str> = attempt.new_findings.iter().map(|id| id.name()).collect();
        let _ = writeln!(text, "    found now: {}", names.join(", "));
    }
    let word = if attempt.is_kept { "kept" } else { "dropped" };
    let _ = writeln!(text, "    {word}: {}\n", attempt.why);
    text
}

fn clinic(
    command: &DoctorCommand,
    run: RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let DoctorCommand::Clinic { dir, seeds, only, healthy, treat, trials, jobs, overrides, .. } =
        command
    else {
        return Ok(());
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = ClinicOptions {
        run,
        seeds: *seeds,
        only: only.clone(),
        healthy: healthy.clone(),
        jobs: jobs.unwrap_or_else(cores),
        overrides: overrides.clone(),
        treat: treat.then_some(*trials),
    };
    let found = hourglass_pipeline::run_clinic(dir, &options, progress, interrupt)?;
    let DoctorCommand::Clinic { format, .. } = command else { return Ok(()) };
    print(&clinic_text(&found, *format)?)?;
    let [seen, sick] = found.sensitivity();
    let missed: Vec<String> =
        found.cases.iter().filter(|case| !case.ok).map(ClinicCase::name).collect();
    if !missed.is_empty() {
        let alarms = found.false_alarms()[0];
        bail!("{} of {sick} missed, {alarms} false alarms: {}", sick - seen, missed.join("; "));
    }
    Ok(())
}

/// The table and, last, the counts.
fn clinic_text(found: &Clinic, format: TableFormat) -> Result<String> {
    if format.json {
        let value = serde_json::json!({
            "cases": found.cases,
            "not_covered": found.not_covered,
            "sensitivity": found.sensitivity(),
            "false_alarms": found.false_alarms(),
            "cures": found.cures(),
        });
        return Ok(serde_json::to_string_pretty(&value)? + "\n");
    }
    let mut table = Table::new(["pipeline", "expected", "found", "seed", "ok"]);
    for case in &found.cases {
        let name = |finding: &ClinicFinding| match finding.severity {
            Severity::Note => format!("note:{}", finding.id.name()),
            _ => finding.id.name().to_owned(),
        };
        table.push([
            case.label(),
            case.expected.map_or("healthy", FindingId::name).to_owned(),
            case.found.iter().map(name).collect::<Vec<_>>().join(" "),
            case.seed.to_string(),
            case.ok.to_string(),
        ]);
    }
    let mut text = table.render(format);
    if !format.csv {
        text += &treated_text(found);
        let names: Vec<&str> = found.not_covered.iter().map(|id| id.name()).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "\nno file is sick with: {}", names.join(", "));
        }
        for case in found.cases.iter().filter(|case| !case.ok) {
            let failure = case.failure.as_ref().map_or(String::new(), |why| format!(": {why}"));
            let _ = writeln!(text, "missed: {}{failure}", case.name());
        }
        text.push('\n');
    }
    let ([seen, sick], [alarms, healthy]) = (found.sensitivity(), found.false_alarms());
    if let Some([removed, improved, treated]) = found.cures() {
        let _ = writeln!(text, "removed {removed}/{treated}, improved {improved}/{treated}");
    }
    let _ = writeln!(text, "sensitivity {seen}/{sick}, false alarms {alarms}/{healthy}");
    Ok(text)
}

fn treated_text(found: &Clinic) -> String {
    let mut table =
        Table::new(["treated", "seed", "tried", "removed", "improved", "kept", "dropped"]);
    let treated = found.cases.iter().filter_map(|case| Some((case, case.treatment.as_ref()?)));
    for (case, treatment) in treated {
        table.push([
            case.pipeline.clone(),
            case.seed.to_string(),
            treatment.attempts.to_string(),
            treatment.removed.to_string(),
            treatment.improved.to_string(),
            treatment.kept.join("; "),
            treatment.dropped.join("; "),
        ]);
    }
    match found.cures() {
        Some(_) => format!("\n{}", table.render(TableFormat { csv: false, json: false })),
        None => String::new(),
    }
}

fn named(name: &str) -> Result<FindingId> {
    match FindingId::named(name) {
        Some(id) => Ok(id),
        None => bail!(UnknownFinding(name.to_owned())),
    }
}

fn explain(id: Option<&str>) -> Result<()> {
    let Some(name) = id else {
        let lines =
            FindingId::ALL.iter().map(|id| format!("{:<26} {}\n", id.name(), id.page().title));
        return Ok(print(&lines.collect::<String>())?);
    };
    Ok(print(&named(name)?.markdown())?)
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
