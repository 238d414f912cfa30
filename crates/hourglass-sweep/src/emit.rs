//! A schedule for who schedules already: systemd, crontab, Kubernetes. Times and overlaps are
//! theirs then; what is started is one `sweep run` that adds the firing's trials.

use std::path::Path;

use hourglass_schedule::{Misfire, Overlap};
use serde_json::json;

use crate::timetable::TimetableFile;
use crate::{Error, Result};

/// Who schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitFormat {
    /// A service and a timer.
    Systemd,
    /// Lines of a crontab.
    Crontab,
    /// A CronJob with its file.
    Kubernetes,
}

/// What the other scheduler is given.
///
/// # Errors
/// [`Error::CannotEmit`] for a line or an overlap that it doesn't know.
pub fn emit(
    format: EmitFormat,
    file: &TimetableFile,
    program: &Path,
    runs_dir: &Path,
) -> Result<String> {
    match format {
        EmitFormat::Systemd => systemd(file, program, runs_dir),
        EmitFormat::Crontab => crontab(file, program, runs_dir),
        EmitFormat::Kubernetes => kubernetes(file),
    }
}

fn cannot(format: &'static str, file: &TimetableFile, reason: &'static str) -> Error {
    Error::CannotEmit { format, line: file.schedule.line().to_owned(), reason }
}

/// Trials that a firing adds.
fn trials(file: &TimetableFile) -> u64 {
    let own = file.config.trials.map(|trials| trials as u64);
    own.or_else(|| file.pipeline.search.as_ref().map(|search| search.trials)).unwrap_or(1)
}

fn arguments(file: &TimetableFile, path: &str, runs_dir: &str) -> Vec<String> {
    let mut words = vec![
        "sweep".to_owned(),
        "run".to_owned(),
        path.to_owned(),
        format!("--more={}", trials(file)),
        format!("--runs-dir={runs_dir}"),
    ];
    words.extend(file.config.minutes.map(|minutes| format!("--minutes={minutes}")));
    words
}

fn absolute(file: &TimetableFile) -> String {
    let name = file.file.path.file_name().unwrap_or_default();
    file.file.base.join(name).display().to_string()
}

fn command(file: &TimetableFile, program: &Path, runs_dir: &Path) -> String {
    let runs_dir = runs_dir.display().to_string();
    let words = arguments(file, &absolute(file), &runs_dir);
    let quoted = |word: &str| {
        if word.contains([' ', '\'', '"', '%', '$']) {
            format!("\"{word}\"")
        } else {
            word.to_owned()
        }
    };
    let all = [program.display().to_string()].into_iter().chain(words);
    all.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

fn systemd(file: &TimetableFile, program: &Path, runs_dir: &Path) -> Result<String> {
    const FORMAT: &str = "systemd";
    if matches!(file.config.overlap, Overlap::Allow | Overlap::Replace | Overlap::Queue) {
        return Err(cannot(FORMAT, file, "it leaves a time out while a service still runs"));
    }
    if file.config.misfire == Misfire::All {
        return Err(cannot(FORMAT, file, "it makes up for one missed time at most"));
    }
    let calendar = file
        .schedule
        .on_calendar()
        .ok_or_else(|| cannot(FORMAT, file, "`L`, `W` and `#` have no counterpart"))?;
    let name = &file.name;
    let calendar: String = calendar.iter().map(|line| format!("OnCalendar={line}\n")).collect();
    let persistent = file.config.misfire == Misfire::Once;
    let jitter = file.config.jitter.as_ref();
    let jitter = jitter.map_or(String::new(), |j| format!("RandomizedDelaySec={j}\n"));
    let command = command(file, program, runs_dir).replace('%', "%%");
    let suspended =
        if file.config.suspend { "# Suspended in the file: don't enable it.\n" } else { "" };
    Ok(format!(
        "# hourglass-{name}.service\n[Unit]\nDescription=Hourglass sweep of {name}\n\n[Service]\n\
         Type=oneshot\nWorkingDirectory={}\nExecStart={command}\n# A trial at work is saved.\n\
         KillSignal=SIGTERM\nTimeoutStopSec=120\n\n\
         # hourglass-{name}.timer\n{suspended}[Unit]\nDescription=Hourglass sweep of {name}: {}\n\n\
         [Timer]\n{calendar}Persistent={persistent}\n{jitter}\n[Install]\nWantedBy=timers.target\n",
        file.file.base.display(),
        file.schedule.words(),
    ))
}

fn crontab(file: &TimetableFile, program: &Path, runs_dir: &Path) -> Result<String> {
    const FORMAT: &str = "crontab";
    let line = file.schedule.line();
    if file.schedule.on_calendar().is_none() {
        return Err(cannot(FORMAT, file, "`L`, `W` and `#` are not crontab(5)"));
    }
    // A percent sign ends the command in a crontab.
    let command = command(file, program, runs_dir).replace('%', "\\%");
    let lock = runs_dir.join(format!("{}.schedule-lock", file.name));
    let command = match file.config.overlap {
        Overlap::Allow => command,
        Overlap::Forbid => format!("flock -n {} {command}", lock.display()),
        Overlap::Queue => format!("flock {} {command}", lock.display()),
        Overlap::Replace => return Err(cannot(FORMAT, file, "it can't stop what it has started")),
    };
    let command = match &file.config.jitter {
        None => command,
        Some(_) => return Err(cannot(FORMAT, file, "it knows no jitter")),
    };
    let suspended = if file.config.suspend { "# " } else { "" };
    Ok(format!(
        "# Hourglass sweep of {}: {}. Missed times are left out.\nCRON_TZ={}\n{suspended}{line} {command}\n",
        file.name,
        file.schedule.words().trim_end_matches('.'),
        file.config.timezone
    ))
}

fn kubernetes(file: &TimetableFile) -> Result<String> {
    const FORMAT: &str = "kubernetes";
    if file.schedule.on_calendar().is_none() {
        return Err(cannot(FORMAT, file, "`L`, `W` and `#` are not known there"));
    }
    let policy = match file.config.overlap {
        Overlap::Forbid => "Forbid",
        Overlap::Allow => "Allow",
        Overlap::Replace => "Replace",
        Overlap::Queue => return Err(cannot(FORMAT, file, "it has no queue of firings")),
    };
    let name = format!("hourglass-{}", file.name.to_lowercase().replace('_', "-"));
    let mut spec = json!({
        "schedule": file.schedule.line(),
        "timeZone": file.config.timezone,
        "concurrencyPolicy": policy,
        "suspend": file.config.suspend,
        "jobTemplate": { "spec": { "backoffLimit": 2, "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "sweep",
                "image": "hourglass:latest",
                "command": ["hourglass"],
                "args": arguments(file, "/pipeline/pipeline.toml", "/runs"),
                "env": [{ "name": "HOURGLASS_STORE",
                    "valueFrom": { "secretKeyRef": { "name": "hourglass", "key": "store" } } }],
                "volumeMounts": [
                    { "name": "pipeline", "mountPath": "/pipeline" },
                    { "name": "runs", "mountPath": "/runs" },
                ],
            }],
            "volumes": [
                { "name": "pipeline", "configMap": { "name": name } },
                { "name": "runs", "persistentVolumeClaim": { "claimName": "hourglass-runs" } },
            ],
        } } } },
    });
    // Without a deadline, Kubernetes makes up for a time whenever it can; a missed time that is to
    // be left out gets the minute that schedulers need.
    let deadline = match (file.schedule.deadline_seconds(), file.config.misfire) {
        (Some(seconds), _) => Some(seconds.max(10)),
        (None, Misfire::Skip) => Some(60),
        (None, _) => None,
    };
    if let Some(seconds) = deadline {
        spec["startingDeadlineSeconds"] = json!(seconds);
    }
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
        "data": { "pipeline.toml": file.file.text },
    });
    let job = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": name }, "spec": spec,
    });
    let text = |value| serde_json::to_string_pretty(&value).unwrap_or_default();
    Ok(format!(
        "# Hourglass sweep of {}: {}\n{}\n---\n{}\n",
        file.name,
        file.schedule.words(),
        text(map),
        text(job)
    ))
}
