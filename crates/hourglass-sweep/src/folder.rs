//! What a sweep leaves in the folder of runs: page, table and best file, and a dated copy of the
//! page for each firing of a schedule, with what changed since the one before.

use std::fs;
use std::path::{Path, PathBuf};

use hourglass_report::{SweepReport, SweepState, sweep_html};

use crate::winner::Winner;
use crate::{Error, Result, Sweep, export, summary};

const DATA: &str = "sweep.json";
const PAGE: &str = "report.html";

/// Writes `sweeps/<study>/` below the folder of runs and returns its path.
///
/// # Errors
/// If it can't be written; what the store says.
pub fn write_folder(sweep: &Sweep, runs_dir: &Path) -> Result<PathBuf> {
    let folder = runs_dir.join("sweeps").join(sweep.study.name());
    let report = summary(sweep)?;
    write_page(&folder, &report)?;
    write(&folder.join("trials.csv"), &export::csv(&report))?;
    if let Some(number) = report.best {
        write(&folder.join("best.toml"), &Winner::of(sweep, Some(number))?.text())?;
    }
    Ok(folder)
}

/// Writes the page of a firing into a folder of its time, such as `2026-03-29T03-00-00`, with
/// `changes.md`: what is new since the firing before.
///
/// # Errors
/// If it can't be written; what the store says.
pub fn write_dated(sweep: &Sweep, runs_dir: &Path, time: &str) -> Result<PathBuf> {
    let all = write_folder(sweep, runs_dir)?.join("firings");
    let before = latest(&all, time);
    let folder = all.join(time);
    let report = summary(sweep)?;
    write_page(&folder, &report)?;
    write(&folder.join("changes.md"), &changes(before.as_ref(), &report))?;
    Ok(folder)
}

fn write_page(folder: &Path, report: &SweepReport) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))?;
    write(&folder.join(DATA), &export::json(report))?;
    write(&folder.join(PAGE), &sweep_html(report)?)
}

/// Writes beside the file and renames, so that nobody reads half of it.
fn write(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    fs::write(&partial, text).map_err(|source| Error::io("write", &partial, source))?;
    fs::rename(&partial, path).map_err(|source| Error::io("write", path, source))
}

/// The report of the last firing before `time`, where one is there.
fn latest(all: &Path, time: &str) -> Option<SweepReport> {
    let names =
        fs::read_dir(all).ok()?.filter_map(|item| item.ok()?.file_name().into_string().ok());
    let name = names.filter(|name| name.as_str() < time).max()?;
    let text = fs::read_to_string(all.join(name).join(DATA)).ok()?;
    serde_json::from_str(&text).ok()
}

/// What is new, as Markdown.
fn changes(before: Option<&SweepReport>, now: &SweepReport) -> String {
    let mut text = format!("# {}: what changed\n\n", now.name);
    let Some(before) = before else {
        return text + "This is the first firing that left a report.\n\n" + &standing(now);
    };
    for (state, word) in [
        (SweepState::Complete, "finished"),
        (SweepState::Pruned, "were pruned"),
        (SweepState::Failed, "failed"),
    ] {
        let n_new = now.count(state).saturating_sub(before.count(state));
        if n_new > 0 || state == SweepState::Complete {
            text += &format!("- {n_new} more trials {word}.\n");
        }
    }
    let value = |report: &SweepReport| {
        let number = report.best?;
        let trial = report.trials.iter().find(|trial| trial.number == number)?;
        Some((number, *trial.values.first()?))
    };
    match (value(before), value(now)) {
        (Some((old, was)), Some((new, is))) if old != new => {
            text += &format!("- Trial {new} is the best now: {is} (before: {was}, trial {old}).\n");
            for change in &now.changes {
                let old = before.changes.iter().find(|other| other.path == change.path);
                let old = old.map_or("nothing", |old| old.to.as_str());
                if old != change.to {
                    text += &format!("  - `{}`: {old} -> {}\n", change.path, change.to);
                }
            }
        }
        (Some((old, was)), Some(_)) => {
            text += &format!("- Trial {old} is still the best: {was}.\n");
        }
        (None, Some((new, is))) => text += &format!("- Trial {new} is the first best: {is}.\n"),
        _ => {}
    }
    if before.front != now.front {
        let new = now.front.iter().filter(|number| !before.front.contains(number)).count();
        text += &format!("- {new} trials are new on the Pareto front.\n");
    }
    text + "\n" + &standing(now)
}

fn standing(report: &SweepReport) -> String {
    format!(
        "In all: {} finished, {} pruned, {} failed of {} trials.\n",
        report.count(SweepState::Complete),
        report.count(SweepState::Pruned),
        report.count(SweepState::Failed),
        report.trials.len()
    )
}
