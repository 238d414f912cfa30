//! `sweep run | worker | submit | status | show | best | stop | export`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hourglass_core::{Interrupt, Progress};
use hourglass_data::Locations;
use hourglass_pipeline::{RunOptions, TrialRoom};
use hourglass_search::{Address, MemoryStore, Store};
use hourglass_sweep::{
    Budget, CrewEnd, ExportFormat, File, Site, Status, SubmitOptions, Sweep, Winner, Worker,
};

use crate::args::{Engine, Global, StoreOption, StudyOption, SweepCommand, TableFormat};
use crate::live::{self, Live};
use crate::table::Table;
use crate::terminal::{line, print};

pub fn run(
    command: &SweepCommand,
    global: &Global,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    match command {
        SweepCommand::Run { file, store, workers, more, minutes, lease, no_test, offline } => {
            let file = File::read(&file.path, &file.overrides)?;
            // Its mistakes are said before a store is made.
            if file.pipeline()?.search.is_none() {
                return Err(hourglass_sweep::Error::NoSearch { path: file.path }.into());
            }
            let address = address(store, global)?;
            let options = options(global, *offline);
            let live = Live::new();
            let command = worker_command(&address, global, *offline)?;
            let lease = lease.map(duration).transpose()?;
            let site = Site {
                store: open(&address)?,
                options: &options,
                n_cores: cores(global),
                n_workers: *workers,
                lease,
                command: &command,
                watch: &|status| live.show(status),
                progress,
            };
            let (sweep, row_bytes) = site.begin(file, interrupt)?;
            let minutes = minutes.or(sweep.search().minutes);
            let limit = match more {
                Some(more) => sweep.study.trials()?.len() as u64 + more,
                None => sweep.search().trials,
            };
            let budget = Budget { limit, minutes };
            if *workers == Some(0) {
                sweep.set_budget(budget)?;
                line("the study is ready; `sweep worker --study` with this name joins it");
                return Ok(print(&format!("{}\n", sweep.study.name()))?);
            }
            let end = site.go_on(&sweep, budget, row_bytes, interrupt)?;
            conclude(&sweep, end, *no_test, &options, progress, interrupt)
        }
        SweepCommand::Worker { study, name, offline, with_parent } => {
            if *with_parent {
                stop_with_parent(interrupt);
            }
            let sweep = join(study, global)?;
            let options = RunOptions { base: sweep.file.base.clone(), ..options(global, *offline) };
            let room = TrialRoom::open(&sweep.pipeline, &options, progress, interrupt)?;
            let name = name.clone().unwrap_or_else(default_name);
            let worker = Worker { sweep: &sweep, room: &room, name: &name, progress, interrupt };
            let work = worker.work()?;
            line(&format!(
                "worker `{name}`: {} trials finished, {} pruned, {} failed",
                work.n_complete, work.n_pruned, work.n_failed
            ));
            Ok(())
        }
        SweepCommand::Submit { .. } => submit(command, global, progress, interrupt),
        SweepCommand::Status { study, format } => status(&join(study, global)?, *format),
        SweepCommand::Show { study, format } => show(&join(study, global)?, *format, global),
        SweepCommand::Best { study, trial, write } => {
            let sweep = join(study, global)?;
            let text = Winner::of(&sweep, *trial)?.text();
            match write {
                Some(path) => std::fs::write(path, text)
                    .with_context(|| format!("cannot write `{}`", path.display())),
                None => Ok(print(&text)?),
            }
        }
        SweepCommand::Stop { study } => {
            let sweep = join(study, global)?;
            sweep.study.set_stop(true)?;
            line(&format!(
                "study `{}`: no more trials are begun; `sweep run` lifts this",
                sweep.study.name()
            ));
            Ok(())
        }
        SweepCommand::Export { path, study } => {
            let format = ExportFormat::of(path).expect("the arguments were checked");
            let report = hourglass_sweep::summary(&join(study, global)?)?;
            Ok(hourglass_sweep::export(&report, format, path)?)
        }
    }
}

/// Reads the winner on test, writes the folder of the sweep, and says what came out.
fn conclude(
    sweep: &Sweep,
    end: CrewEnd,
    no_test: bool,
    options: &RunOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let is_single = sweep.search().objectives().len() == 1;
    if end == CrewEnd::Stopped {
        line("stopped by `sweep stop`; the same command goes on");
    }
    if is_single && !no_test && end == CrewEnd::Done {
        let winner = Winner::of(sweep, None)?;
        let options = RunOptions { base: sweep.file.base.clone(), ..options.clone() };
        hourglass_sweep::test(sweep, &winner, &options, progress, interrupt)?;
    }
    let folder = hourglass_sweep::write_folder(sweep, &options.runs_dir)?;
    print(&outcome(sweep, &folder)?)?;
    Ok(())
}

/// What a finished sweep prints; its folder last.
fn outcome(sweep: &Sweep, folder: &Path) -> Result<String> {
    let report = hourglass_sweep::summary(sweep)?;
    let status = Status::of(sweep, 1)?;
    let mut text = format!("{}\n{}\n", live::counts(&status), live::best(&status));
    if !report.changes.is_empty() {
        let mut table = Table::new(["value", "in the file", "best trial"]);
        for change in &report.changes {
            let from = change.from.clone().unwrap_or_default();
            table.push([change.path.clone(), from, change.to.clone()]);
        }
        text += &format!("\n{}", table.render(TableFormat { csv: false, json: false }));
    }
    if !report.front.is_empty() {
        let front: Vec<String> = report.front.iter().map(u64::to_string).collect();
        text += &format!("`sweep best --trial` writes one of them: {}\n", front.join(", "));
    }
    for test in &report.tested {
        text += &format!("\n{}: {}\n", test.label, test.verdict);
    }
    Ok(format!("{text}\n{}\n", folder.display()))
}

fn status(sweep: &Sweep, format: TableFormat) -> Result<()> {
    let status = Status::of(sweep, 1)?;
    if format.json {
        let best = status.best.as_ref();
        let json = serde_json::json!({
            "study": status.study,
            "limit": status.limit,
            "complete": status.n_complete,
            "pruned": status.n_pruned,
            "failed": status.n_failed,
            "running": status.running.len(),
            "waiting": status.n_queued,
            "best": best.map(|(number, values)| serde_json::json!({ "trial": number, "values": values })),
        });
        return Ok(print(&(serde_json::to_string_pretty(&json)? + "\n"))?);
    }
    let mut table = Table::new(["trial", "worker", "attempt", "epoch", "validation_loss"]);
    for trial in &status.running {
        let (epoch, loss) = trial
            .last
            .map_or_else(Default::default, |(epoch, loss)| (epoch.to_string(), loss.to_string()));
        let (number, attempt) = (trial.number.to_string(), trial.attempt.to_string());
        table.push([number, trial.worker.clone(), attempt, epoch, loss]);
    }
    if format.csv {
        return Ok(print(&table.render(format))?);
    }
    let running = if status.running.is_empty() {
        String::new()
    } else {
        format!("\n{}", table.render(format))
    };
    let head = format!("{}: {}\n{}\n", status.study, live::counts(&status), live::best(&status));
    Ok(print(&(head + &running))?)
}

fn show(sweep: &Sweep, format: TableFormat, global: &Global) -> Result<()> {
    let report = hourglass_sweep::summary(sweep)?;
    if format.json {
        return Ok(print(&(serde_json::to_string_pretty(&report)? + "\n"))?);
    }
    let mut table = Table::new(["trial", "state", "values", "parameters"]);
    for trial in &report.trials {
        let parameters = report.parameters.iter().filter_map(|parameter| {
            let value = *trial.parameters.get(&parameter.path)?;
            let label = parameter.choices.get(value as usize).cloned();
            let label = label.unwrap_or_else(|| live::numbers(&[value]));
            Some(format!("{}={label}", parameter.path))
        });
        let state = format!("{:?}", trial.state).to_lowercase();
        let values = match &trial.reason {
            Some(reason) if trial.values.is_empty() => reason.clone(),
            _ => live::numbers(&trial.values),
        };
        table.push([
            trial.number.to_string(),
            state,
            values,
            parameters.collect::<Vec<_>>().join(" "),
        ]);
    }
    print(&table.render(format))?;
    if !format.csv {
        let folder = hourglass_sweep::write_folder(sweep, &global.runs_dir)?;
        print(&format!("\n{}\n", folder.join("report.html").display()))?;
    }
    Ok(())
}

fn submit(
    command: &SweepCommand,
    global: &Global,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<()> {
    let SweepCommand::Submit {
        file,
        store,
        engine,
        dry_run,
        workers,
        minutes,
        memory,
        partition,
        image,
    } = command
    else {
        return Ok(());
    };
    let file = File::read(&file.path, &file.overrides)?;
    let address = address(store, global)?;
    let options = options(global, false);
    let no_command = |_: &str, _: &str, _: usize| Command::new("false");
    let site = Site {
        store: if *dry_run { MemoryStore::shared() } else { open(&address)? },
        options: &options,
        n_cores: 1,
        n_workers: Some(*workers),
        lease: None,
        command: &no_command,
        watch: &|_| {},
        progress,
    };
    let (sweep, _) = site.begin(file, interrupt)?;
    let is_server = matches!(address, Address::Postgres(_));
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let settings = SubmitOptions {
        study: sweep.study.name().to_owned(),
        n_workers: *workers,
        n_threads: global.threads.unwrap_or(1),
        memory: memory.clone(),
        minutes: *minutes,
        program: match engine {
            Engine::Slurm => program()?,
            Engine::Kubernetes => "hourglass".into(),
        },
        runs_dir: match engine {
            Engine::Slurm => absolute(&global.runs_dir),
            Engine::Kubernetes => "/runs".into(),
        },
        data_dir: global.data_dir.as_deref().map(absolute),
        store: match &address {
            Address::Sqlite(path) => absolute(path).display().to_string(),
            other => other.to_string(),
        },
        is_server,
        image: image.clone(),
        partition: partition.clone(),
    };
    let kind = match engine {
        Engine::Slurm => hourglass_sweep::Engine::Slurm,
        Engine::Kubernetes => hourglass_sweep::Engine::Kubernetes,
    };
    let script = hourglass_sweep::script(kind, &settings)?;
    if !is_server {
        line(
            "the store is a file: fine for one node; for several use PostgreSQL, since SQLite \
             doesn't lock over a network",
        );
    }
    if *dry_run {
        return Ok(print(&script)?);
    }
    let limit = sweep.search().trials;
    sweep.set_budget(Budget { limit, minutes: sweep.search().minutes })?;
    let folder = hourglass_sweep::write_folder(&sweep, &options.runs_dir)?;
    let (name, program, arguments) = match engine {
        Engine::Slurm => ("submit.sh", "sbatch", vec!["--parsable"]),
        Engine::Kubernetes => ("job.yaml", "kubectl", vec!["apply", "-f"]),
    };
    let path = folder.join(name);
    std::fs::write(&path, script).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut sent = Command::new(program);
    sent.args(arguments).arg(&path);
    if is_server {
        sent.env("HOURGLASS_STORE", secret(store));
    }
    let sent = sent.output().with_context(|| {
        format!("cannot start `{program}`; the script is in `{}`", path.display())
    })?;
    if !sent.status.success() {
        bail!("`{program}` refused: {}", String::from_utf8_lossy(&sent.stderr).trim());
    }
    line(&format!("study `{}`: workers are submitted", settings.study));
    Ok(print(&String::from_utf8_lossy(&sent.stdout))?)
}

/// Opens a study for a command that reads it.
pub fn join(study: &StudyOption, global: &Global) -> Result<Sweep> {
    let address = address(&study.store, global)?;
    if let Address::Sqlite(path) = &address
        && !path.exists()
    {
        let store = path.display().to_string();
        return Err(hourglass_sweep::Error::NoStudy { store }.into());
    }
    Ok(Sweep::join_or_latest(open(&address)?, study.study.as_deref())?)
}

/// The address of the store: as given, or a file in the folder of runs.
pub fn address(store: &StoreOption, global: &Global) -> Result<Address, hourglass_sweep::Error> {
    match &store.store {
        Some(given) => Ok(given.parse::<Address>()?),
        None => Ok(Address::Sqlite(global.runs_dir.join("studies.db"))),
    }
}

/// Opens a store; a file is made if it isn't there.
pub fn open(address: &Address) -> Result<Arc<dyn Store>> {
    Ok(hourglass_search::open(address).map_err(hourglass_sweep::Error::from)?)
}

/// The address with its password, for the environment of a child.
fn secret(store: &StoreOption) -> String {
    store.store.clone().unwrap_or_default()
}

pub fn options(global: &Global, offline: bool) -> RunOptions {
    RunOptions {
        base: PathBuf::new(),
        locations: Locations::usual(global.data_dir.as_deref(), offline),
        runs_dir: global.runs_dir.clone(),
        force: false,
    }
}

pub fn cores(global: &Global) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    global.threads.unwrap_or_else(all)
}

/// The command of a worker on this machine. The store goes by the environment, where no list of
/// processes shows its password.
pub fn worker_command(
    address: &Address,
    global: &Global,
    offline: bool,
) -> Result<impl Fn(&str, &str, usize) -> Command + Sync + use<>> {
    let program = program()?;
    let store = match address {
        Address::Memory => bail!("workers can't share a store in memory"),
        Address::Sqlite(path) => path.display().to_string(),
        Address::Postgres(url) => url.clone(),
    };
    let (runs_dir, data_dir) = (global.runs_dir.clone(), global.data_dir.clone());
    Ok(move |study: &str, name: &str, n_threads: usize| {
        let mut command = Command::new(&program);
        command.args(["sweep", "worker", "--with-parent", "--study", study, "--name", name]);
        command.arg("--threads").arg(n_threads.to_string()).arg("--runs-dir").arg(&runs_dir);
        if let Some(data_dir) = &data_dir {
            command.arg("--data-dir").arg(data_dir);
        }
        if offline {
            command.arg("--offline");
        }
        command.env("HOURGLASS_STORE", &store);
        command
    })
}

pub fn program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program")
}

fn duration(seconds: f64) -> Result<Duration> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => bail!("a lease of {seconds} s is not longer than 0"),
    }
}

fn default_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}", std::process::id())
}

/// Raises the interrupt when standard input ends: whoever started this worker is gone, or wants it
/// to stop.
fn stop_with_parent(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    std::thread::spawn(move || {
        let mut nothing = [0; 64];
        while std::io::stdin().read(&mut nothing).is_ok_and(|n_read| n_read > 0) {}
        interrupt.raise();
    });
}
