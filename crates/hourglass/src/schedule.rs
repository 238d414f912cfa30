//! `schedule run | tick | next | emit`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use hourglass_core::{Interrupt, Progress};
use hourglass_search::{Clock, ManualClock, SystemClock};
use hourglass_sweep::{Runner, Site, Timestamp, Timetable, TimetableFile};

use crate::args::{EmitFormat, Global, ScheduleCommand, TableFormat};
use crate::live::Live;
use crate::sweep;
use crate::table::Table;
use crate::terminal::print;

/// How long a scheduler may be silent before its firing is another's.
const LEASE: Duration = Duration::from_secs(60);

pub fn run(
    command: &ScheduleCommand,
    global: &Global,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut clock: Box<dyn Clock> = Box::new(SystemClock);
    let (path, store, offline, is_tick) = match command {
        ScheduleCommand::Run { path, store, offline } => (path, store, *offline, false),
        ScheduleCommand::Tick { path, at, store, offline } => {
            if let Some(at) = at {
                clock = Box::new(ManualClock::new(time(at)?));
            }
            (path, store, *offline, true)
        }
        ScheduleCommand::Next { path, n, after, format } => {
            return next(&Timetable::read(path)?, *n, after.as_deref(), *format);
        }
        ScheduleCommand::Emit { path, format } => {
            let format = match format {
                EmitFormat::Systemd => hourglass_sweep::EmitFormat::Systemd,
                EmitFormat::Crontab => hourglass_sweep::EmitFormat::Crontab,
                EmitFormat::Kubernetes => hourglass_sweep::EmitFormat::Kubernetes,
            };
            let runs_dir = std::path::absolute(&global.runs_dir)
                .with_context(|| format!("cannot find `{}`", global.runs_dir.display()))?;
            let program = sweep::program()?;
            for file in &Timetable::read(path)?.files {
                print(&hourglass_sweep::emit(format, file, &program, &runs_dir)?)?;
            }
            return Ok(());
        }
    };
    let timetable = Timetable::read(path)?;
    let address = sweep::address(store, global)?;
    let options = sweep::options(global, offline);
    let live = Live::new();
    let command = sweep::worker_command(&address, global, offline)?;
    let store = sweep::open(&address)?;
    let site = Site {
        store: store.clone(),
        options: &options,
        n_cores: sweep::cores(global),
        n_workers: None,
        lease: None,
        command: &command,
        watch: &|status| live.show(status),
        progress,
    };
    let fire = |file: &TimetableFile, due, stop: &Interrupt| site.fire(file, due, stop);
    let name = format!("scheduler-{}", std::process::id());
    let clock = clock.as_ref();
    let runner = Runner { store, clock, name, lease: LEASE, fire: &fire, progress };
    if !is_tick {
        return Ok(timetable.run(&runner, interrupt)?);
    }
    let mut table = Table::new(["schedule", "due", "state", "note"]);
    for fired in timetable.tick(&runner, interrupt)? {
        let state = fired.state.name().to_owned();
        table.push([fired.name, fired.due.to_string(), state, fired.note]);
    }
    Ok(print(&table.render(TableFormat { csv: false, json: false }))?)
}

fn time(text: &str) -> Result<Timestamp> {
    match text.parse() {
        Ok(moment) => Ok(moment),
        Err(_) => bail!("`{text}` is no time; write it as in 2026-03-28T12:00:00Z"),
    }
}

fn next(timetable: &Timetable, n: usize, after: Option<&str>, format: TableFormat) -> Result<()> {
    let mut table = Table::new(["schedule", "due", "utc", "fires"]);
    for file in &timetable.files {
        let mut moment = match after {
            Some(text) => time(text)?,
            None => SystemClock.now(),
        };
        for _ in 0..n {
            let Some(due) = file.schedule.next_after(moment) else { break };
            let fires = match file.config.suspend {
                true => "suspended".to_owned(),
                false => file.schedule.local(file.schedule.fires_at(&file.name, due)),
            };
            table.push([file.name.clone(), file.schedule.local(due), due.to_string(), fires]);
            moment = due;
        }
        if !format.csv && !format.json {
            print(&format!("{}: {}\n", file.name, file.schedule.words()))?;
        }
    }
    Ok(print(&table.render(format))?)
}
