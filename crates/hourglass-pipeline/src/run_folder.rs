//! The run directory: everything a person keeps of a run, written elsewhere and renamed in.
//!
//! It computes nothing. `report.json` holds no time and no machine; `timings.json` and
//! `manifest.json` do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hourglass_report::{Diagnosis, DownstreamTiming, Report, StageTiming, Timings, to_markdown};
use serde_json::json;

use crate::cache::{read_json, replace_dir, write_json};
use crate::config::Pipeline;
use crate::error::{Doing, Error};
use crate::unfinished;

pub(crate) const REPORT_FILE: &str = "report.json";
const TIMINGS_FILE: &str = "timings.json";
pub(crate) const MANIFEST_FILE: &str = "manifest.json";
/// The pipeline file with every default filled in.
pub(crate) const RESOLVED_FILE: &str = "pipeline.toml";
/// Key of the manifest: the folder that paths of the pipeline file are relative to.
pub(crate) const BASE_KEY: &str = "base";

/// What a run directory is made from.
pub(crate) struct RunRecord<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) report: Report,
    /// Hash of the source data.
    pub(crate) fingerprint: &'a str,
    /// Folder of each repeat's bundle in the cache.
    pub(crate) bundles: Vec<&'a Path>,
    pub(crate) stages: Vec<StageTiming>,
    pub(crate) downstream: Vec<DownstreamTiming>,
    pub(crate) started: SystemTime,
    pub(crate) clock: Instant,
    /// Folder that paths in the pipeline file are relative to.
    pub(crate) base: &'a Path,
}

/// Writes the run directory `folder` and replaces an older one. `examine` looks at what lies there
/// before the report is written, and what it finds goes into the report, which is returned.
pub(crate) fn write(
    folder: &Path,
    mut record: RunRecord<'_>,
    examine: impl FnOnce(&Path) -> Result<Diagnosis, Error>,
) -> Result<Report, Error> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.with_file_name(format!(".{name}-partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial).doing("remove", &partial)?;
    }
    fs::create_dir_all(&partial).doing("create", &partial)?;
    let filled = fill(&partial, &mut record, examine);
    if filled.is_err() {
        // What was wrong is said already; a folder that stays behind is only untidy.
        drop(fs::remove_dir_all(&partial));
    }
    filled?;
    replace_dir(&partial, folder)?;
    Ok(record.report)
}

fn fill(
    folder: &Path,
    record: &mut RunRecord<'_>,
    examine: impl FnOnce(&Path) -> Result<Diagnosis, Error>,
) -> Result<(), Error> {
    let text = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).doing("write", &path)
    };
    // All that an examination reads of a run comes before it.
    text(RESOLVED_FILE, record.pipeline.resolved())?;
    write_json(&folder.join(REPORT_FILE), &record.report)?;
    write_json(&folder.join(MANIFEST_FILE), &manifest(record, &timings(record)))?;
    for (repeat, bundle) in record.bundles.iter().enumerate() {
        copy_files(bundle, &folder.join(repeat_name(repeat)))?;
    }
    let clock = Instant::now();
    record.report.diagnosis = Some(examine(folder)?);
    record.stages.push(StageTiming {
        repeat: None,
        stage: "examine".to_owned(),
        seconds: clock.elapsed().as_secs_f64(),
        from_cache: false,
    });
    let timings = timings(record);
    let report = &record.report;
    write_json(&folder.join(REPORT_FILE), report)?;
    write_json(&folder.join(TIMINGS_FILE), &timings)?;
    write_json(&folder.join(MANIFEST_FILE), &manifest(record, &timings))?;
    text("report.md", to_markdown(report, Some(&timings)))?;
    text("report.html", hourglass_report::to_html(report, Some(&timings))?)
}

/// Folder of a repeat's bundle in a run directory.
pub(crate) fn repeat_name(repeat: usize) -> String {
    format!("repeat-{}", repeat + 1)
}

/// Points the link `latest` beside a run directory to it; the old link is replaced in one step.
pub(crate) fn point_latest(folder: &Path) -> Result<(), Error> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let link = folder.with_file_name("latest");
    let new = folder.with_file_name(format!(".latest-{name}"));
    if new.symlink_metadata().is_ok() {
        fs::remove_file(&new).doing("remove", &new)?;
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(&name, &new).doing("create", &new)?;
    #[cfg(windows)]
    std::os::windows::fs::symlink_dir(&name, &new).doing("create", &new)?;
    fs::rename(&new, &link).doing("replace", &link)
}

/// Reads the report of a run directory, and its timings where they are.
pub(crate) fn read(folder: &Path) -> Result<(Report, Option<Timings>), Error> {
    let path = folder.join(REPORT_FILE);
    if !path.exists() {
        let path = folder.to_owned();
        return Err(match unfinished::read(folder) {
            Some(unfinished) => Error::Unfinished { path, why: unfinished.why() },
            None => Error::NoRun { path },
        });
    }
    Ok((read_json(&path)?, read_json(&folder.join(TIMINGS_FILE)).ok()))
}

/// Copies a folder; files as links where the file system has them, which takes no room.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).doing("create", to)?;
    for item in fs::read_dir(from).doing("read", from)? {
        let source = item.doing("read", from)?.path();
        let Some(name) = source.file_name() else { continue };
        let target: PathBuf = to.join(name);
        if source.is_dir() {
            copy_files(&source, &target)?;
        } else if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).doing("copy to", &target)?;
        }
    }
    Ok(())
}

fn timings(record: &RunRecord<'_>) -> Timings {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Timings {
        schema_version: hourglass_report::SCHEMA_VERSION,
        started: rfc3339(seconds(record.started)),
        finished: rfc3339(seconds(SystemTime::now())),
        total_seconds: record.clock.elapsed().as_secs_f64(),
        peak_memory_mib: crate::memory::peak_rss_bytes().map(|bytes| bytes as f64 / 1048576.0),
        threads: threads(),
        machine: machine(),
        stages: record.stages.clone(),
        downstream: record.downstream.clone(),
    }
}

fn manifest(record: &RunRecord<'_>, timings: &Timings) -> serde_json::Value {
    let report = &record.report;
    json!({
        "name": report.name,
        "seed": report.seed,
        "repeat_seeds": report.repeat_seeds,
        "versions": report.versions,
        "data": { "dataset": report.data.dataset, "fingerprint": record.fingerprint, "files": report.data.files },
        "machine": timings.machine,
        "threads": timings.threads,
        BASE_KEY: fs::canonicalize(base_or_here(record.base)).ok(),
        "git_commit": git_commit(),
        "started": timings.started,
        "finished": timings.finished,
    })
}

/// What a manifest says of a run that isn't finished.
pub(crate) fn first_manifest(base: &Path) -> serde_json::Value {
    json!({ BASE_KEY: fs::canonicalize(base_or_here(base)).ok() })
}

/// The empty path is the current folder, which the system calls `.`.
fn base_or_here(base: &Path) -> &Path {
    if base.as_os_str().is_empty() { Path::new(".") } else { base }
}

/// Folder that paths in the pipeline file of a run are relative to, as its manifest says; the
/// current folder where it doesn't.
pub(crate) fn base(folder: &Path) -> PathBuf {
    let manifest: Option<serde_json::Value> = read_json(&folder.join("manifest.json")).ok();
    let base = manifest.as_ref().and_then(|manifest| manifest["base"].as_str());
    base.map_or_else(PathBuf::new, PathBuf::from)
}

/// The commit of the current folder's repository, where there is one.
fn git_commit() -> Option<String> {
    let output = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Threads of the pool; the binary sets the variable before the first of them starts.
fn threads() -> usize {
    let set = std::env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse().ok());
    set.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn machine() -> String {
    let read = |path: &str, key: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = read("/proc/cpuinfo", "model name").unwrap_or("unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo", "MemTotal")
        .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(String::new(), |kibibytes| format!(", {} GiB", kibibytes.div_ceil(1 << 20)));
    format!(
        "{processor}, {cores} cores{memory}, {} {}",
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

/// Seconds since 1970 as `2026-11-23T09:18:00Z`.
///
/// # Source
/// Howard Hinnant, `civil_from_days` in *chrono-Compatible Low-Level Date Algorithms* (2014).
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months are counted from March, so that the leap day is the last of the year.
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_agree_with_date() {
        // date -u -d @N +%FT%TZ
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_425_480, "2026-11-23T09:18:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), expected);
        }
    }
}
