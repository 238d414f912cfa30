//! Schedules: which file is due, and who fires it.
//!
//! What is due is decided by `hourglass-schedule`; the store remembers which times were dealt with,
//! so that any number of schedulers fire each once. A firing is taken under a lease, so that one
//! whose scheduler dies is taken up by another, or by the same one after its restart.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hourglass_core::{Interrupt, Progress};
use hourglass_pipeline::{Key, Pipeline};
use hourglass_schedule::{Overlap, Schedule, ScheduleConfig, Timestamp};
use hourglass_search::schedule::{Fire, FireState, Schedule as Stored};
use hourglass_search::{Clock, Store};
use serde_json::json;

use crate::patience::{patiently, rest};
use crate::worker::said;
use crate::{Error, File, Result};

/// Time between two looks at the clock.
const LOOK: Duration = Duration::from_secs(1);

/// A lease is renewed so many times before it would run out.
const BEATS: u32 = 4;

/// A file with its schedule.
pub struct TimetableFile {
    /// Name of its pipeline, by which the schedule is known.
    pub name: String,
    /// The file.
    pub file: File,
    /// What it says.
    pub pipeline: Pipeline,
    /// Its `[schedule]`.
    pub config: ScheduleConfig,
    /// The same, ready to be asked.
    pub schedule: Schedule,
}

/// The schedules of a file or of all files of a folder.
pub struct Timetable {
    /// By name.
    pub files: Vec<TimetableFile>,
}

/// Fires what is due.
pub struct Runner<'a> {
    /// Where fires are remembered.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Name of this scheduler, unique among those of the store.
    pub name: String,
    /// How long it may be silent before its firing is another's.
    pub lease: Duration,
    /// Runs a firing and says in a line what came out.
    pub fire: &'a (dyn Fn(&TimetableFile, Timestamp, &Interrupt) -> Result<String> + Sync),
    /// Who is told.
    pub progress: &'a dyn Progress,
}

/// A firing that is over, or was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired {
    /// Name of the schedule.
    pub name: String,
    /// When it was due.
    pub due: Timestamp,
    /// What became of it.
    pub state: FireState,
    /// What came out, or why it was left out.
    pub note: String,
}

impl Timetable {
    /// Reads one file, or all files of a folder that have a `[schedule]`.
    ///
    /// # Errors
    /// If a file is wrong, if none has a schedule, or if two have one name.
    pub fn read(path: &Path) -> Result<Timetable> {
        let mut paths = Vec::new();
        if path.is_dir() {
            for item in fs::read_dir(path).map_err(|source| Error::io("read", path, source))? {
                let item = item.map_err(|source| Error::io("read", path, source))?.path();
                if item.extension().is_some_and(|extension| extension == "toml") {
                    paths.push(item);
                }
            }
            paths.sort();
        } else {
            paths.push(path.to_owned());
        }
        let mut files: BTreeMap<String, TimetableFile> = BTreeMap::new();
        for path in paths {
            let file = File::read(&path, &[])?;
            let pipeline = file.pipeline()?;
            let Some(config) = pipeline.schedule.clone() else { continue };
            let schedule = config.compile()?;
            let name = pipeline.name.clone();
            let new = TimetableFile { name: name.clone(), file, pipeline, config, schedule };
            if let Some(old) = files.insert(name.clone(), new) {
                return Err(Error::SameName { name, first: old.file.path, second: path });
            }
        }
        if files.is_empty() {
            return Err(Error::NoSchedule { path: path.to_owned() });
        }
        Ok(Timetable { files: files.into_values().collect() })
    }

    /// One pass: writes down what is due, runs it, and returns when that is over.
    ///
    /// # Errors
    /// What the store says. A firing that fails is a failed firing, no error.
    pub fn tick(&self, runner: &Runner<'_>, interrupt: &Interrupt) -> Result<Vec<Fired>> {
        let mut fired = Vec::new();
        for file in &self.files {
            runner.remember(file, interrupt)?;
        }
        for file in &self.files {
            fired.extend(runner.write_due(file, interrupt)?);
            while !interrupt.is_raised() {
                let (left_out, taken) = runner.take(file, interrupt)?;
                fired.extend(left_out);
                let Some(due) = taken else { break };
                fired.push(runner.run(file, due, interrupt)?);
            }
        }
        Ok(fired)
    }

    /// Fires everything at its time, until interrupted.
    ///
    /// # Errors
    /// What the store says for longer than ten minutes; [`Error::Interrupted`].
    pub fn run(&self, runner: &Runner<'_>, interrupt: &Interrupt) -> Result<()> {
        for file in &self.files {
            runner.remember(file, interrupt)?;
        }
        std::thread::scope(|scope| {
            while !interrupt.is_raised() {
                for file in &self.files {
                    for fired in runner.write_due(file, interrupt)? {
                        runner.tell(file, &fired);
                    }
                    loop {
                        let (left_out, taken) = runner.take(file, interrupt)?;
                        left_out.iter().for_each(|fired| runner.tell(file, fired));
                        let Some(due) = taken else { break };
                        scope.spawn(move || match runner.run(file, due, interrupt) {
                            Ok(fired) => runner.tell(file, &fired),
                            Err(error) => {
                                runner.progress.say(&format!("{}: {error}", file.name));
                            }
                        });
                    }
                }
                rest(LOOK, interrupt);
            }
            Err(Error::Interrupted)
        })
    }
}

impl TimetableFile {
    /// Everything that decides when it is due.
    fn spec(&self) -> serde_json::Value {
        json!({ "path": self.file.path, "schedule": self.config })
    }
}

impl Runner<'_> {
    /// Writes the schedule down where it is new, or where it has changed: times before now are not
    /// due then.
    fn remember(&self, file: &TimetableFile, interrupt: &Interrupt) -> Result<()> {
        let spec = file.spec();
        let stored = patiently(interrupt, || self.store.schedules())?;
        let old = stored.iter().find(|stored| stored.name == file.name);
        let same = |old: &&Stored| Key::of(&old.spec["schedule"]) == Key::of(&spec["schedule"]);
        if old.filter(same).is_some_and(|old| old.suspended == file.config.suspend) {
            return Ok(());
        }
        let since = self.clock.now();
        let suspended = file.config.suspend;
        let new = Stored { name: file.name.clone(), spec, suspended, since };
        Ok(patiently(interrupt, || self.store.put_schedule(&new))?)
    }

    /// Writes down the times that have come; returns those that this scheduler left out.
    fn write_due(&self, file: &TimetableFile, interrupt: &Interrupt) -> Result<Vec<Fired>> {
        let name = &file.name;
        let stored = patiently(interrupt, || self.store.schedules())?;
        let Some(stored) = stored.iter().find(|stored| stored.name == *name) else {
            return Ok(Vec::new());
        };
        if stored.suspended {
            return Ok(Vec::new());
        }
        let fires = patiently(interrupt, || self.store.fires(name))?;
        let last = fires.last().map_or(stored.since, |fire| fire.due_at.max(stored.since));
        let mut left_out = Vec::new();
        for due in file.schedule.due(name, last, self.clock.now()) {
            let state = match due.left_out {
                Some(_) => FireState::Skipped,
                None => FireState::Waiting,
            };
            let is_ours = patiently(interrupt, || self.store.record_fire(name, due.at, state))?;
            if let Some(reason) = due.left_out.filter(|_| is_ours) {
                left_out.push(Fired {
                    name: name.clone(),
                    due: due.at,
                    state,
                    note: reason.to_owned(),
                });
            }
        }
        Ok(left_out)
    }

    /// Takes the first firing that waits, if the schedule lets it begin; leaves out those that the
    /// schedule forbids while another runs.
    fn take(
        &self,
        file: &TimetableFile,
        interrupt: &Interrupt,
    ) -> Result<(Vec<Fired>, Option<Timestamp>)> {
        let mut left_out = Vec::new();
        loop {
            let fires = patiently(interrupt, || self.store.fires(&file.name))?;
            let now = patiently(interrupt, || self.store.now())?;
            let runs = fires.iter().any(|fire| is_running(fire, now));
            let Some(first) = fires.iter().find(|fire| is_free(fire, now)) else {
                return Ok((left_out, None));
            };
            let due = first.due_at;
            let claim = || self.store.claim_fire(&file.name, due, &self.name, self.lease);
            match file.config.overlap {
                Overlap::Queue | Overlap::Replace if runs => return Ok((left_out, None)),
                Overlap::Forbid if runs => {
                    let note = "the last firing still ran";
                    if patiently(interrupt, claim)? {
                        self.finish(file, due, FireState::Skipped, note, interrupt)?;
                        left_out.push(Fired {
                            name: file.name.clone(),
                            due,
                            state: FireState::Skipped,
                            note: note.to_owned(),
                        });
                    }
                }
                _ => {
                    if patiently(interrupt, claim)? {
                        return Ok((left_out, Some(due)));
                    }
                }
            }
        }
    }

    /// Runs a firing that was taken, renewing its lease from a thread.
    fn run(&self, file: &TimetableFile, due: Timestamp, interrupt: &Interrupt) -> Result<Fired> {
        let stop = Interrupt::new();
        let (is_over, is_replaced, is_lost) =
            (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = std::time::Instant::now();
                while !is_over.load(Ordering::SeqCst) {
                    if interrupt.is_raised() {
                        stop.raise();
                    }
                    if last.elapsed() >= self.lease / BEATS {
                        last = std::time::Instant::now();
                        let renewed =
                            self.store.renew_fire(&file.name, due, &self.name, self.lease);
                        // A store that is away for a moment is asked again at the next beat.
                        if matches!(renewed, Ok(false)) {
                            is_lost.store(true, Ordering::SeqCst);
                            stop.raise();
                        }
                        if file.config.overlap == Overlap::Replace && self.is_replaced(file, due) {
                            is_replaced.store(true, Ordering::SeqCst);
                            stop.raise();
                        }
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let fired = catch_unwind(AssertUnwindSafe(|| (self.fire)(file, due, &stop)));
            is_over.store(true, Ordering::SeqCst);
            fired.unwrap_or_else(|panic| Err(Error::Panic { said: said(panic.as_ref()) }))
        });
        let (state, note) = match result {
            _ if is_lost.load(Ordering::SeqCst) => {
                let note = "another scheduler has taken it".to_owned();
                return Ok(Fired { name: file.name.clone(), due, state: FireState::Running, note });
            }
            Ok(note) => (FireState::Done, note),
            Err(error) if error.is_interrupt() && is_replaced.load(Ordering::SeqCst) => {
                (FireState::Done, "stopped for the next firing".to_owned())
            }
            // Its lease runs out, and whoever comes next goes on with it.
            Err(error) if error.is_interrupt() => return Err(error),
            Err(error) => (FireState::Failed, error.to_string()),
        };
        self.finish(file, due, state, &note, interrupt)?;
        Ok(Fired { name: file.name.clone(), due, state, note })
    }

    fn is_replaced(&self, file: &TimetableFile, due: Timestamp) -> bool {
        let fires = self.store.fires(&file.name).unwrap_or_default();
        fires.iter().any(|fire| fire.due_at > due && fire.state == FireState::Waiting)
    }

    fn finish(
        &self,
        file: &TimetableFile,
        due: Timestamp,
        state: FireState,
        note: &str,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let finish = || self.store.finish_fire(&file.name, due, &self.name, state, note);
        patiently(interrupt, finish)?;
        Ok(())
    }

    fn tell(&self, file: &TimetableFile, fired: &Fired) {
        let when = file.schedule.local(fired.due);
        let word = match fired.state {
            FireState::Skipped => "left out: ",
            FireState::Failed => "failed: ",
            _ => "",
        };
        self.progress.say(&format!("{} of {when}: {word}{}", fired.name, fired.note));
    }
}

fn is_running(fire: &Fire, now: Timestamp) -> bool {
    fire.state == FireState::Running && fire.lease_until.is_some_and(|until| until > now)
}

fn is_free(fire: &Fire, now: Timestamp) -> bool {
    match fire.state {
        FireState::Waiting => true,
        FireState::Running => !is_running(fire, now),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
