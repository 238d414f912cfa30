//! The `hourglass` command line: arguments in, exit code out. All work is done by the libraries.
//!
//! Exit codes: 0 fine, 1 the run failed, 2 the file or the arguments are wrong, 3 the doctor found
//! an error, 130 Ctrl-C.

mod args;
mod data;
mod doctor;
mod live;
mod pipeline;
mod report;
mod schedule;
mod sweep;
mod table;
mod terminal;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use hourglass_core::{Interrupt, Progress};
use hourglass_pipeline::Error;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::terminal::{Terminal, line};

// candle makes a temporary tensor per step of a computation; the system's allocator gives their
// pages back and faults them in again each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stack of a worker thread: that of a main thread, since the work of one is done there.
const STACK_BYTES: usize = 8 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new();
    match run(&cli, &terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.end("");
            complain(&error)
        }
    }
}

fn run(cli: &Cli, terminal: &Terminal) -> Result<()> {
    let file = pipeline::load(&cli.command)?;
    let n_threads = cli.global.threads.or(file.as_ref().and_then(|file| file.pipeline.threads));
    set_threads(n_threads)?;
    log(cli.global.verbose);
    let interrupt = Interrupt::new();
    listen(&interrupt)?;
    match &cli.command {
        Command::Sweep(command) => {
            return sweep::run(command, &cli.global, terminal, &interrupt);
        }
        Command::Schedule(command) => {
            return schedule::run(command, &cli.global, terminal, &interrupt);
        }
        _ => {}
    }
    // On a thread of the pool: one from outside sleeps through each product and must be woken.
    rayon::scope(|_| match &cli.command {
        Command::Pipeline(command) => {
            pipeline::run(command, file.as_ref(), &cli.global, terminal, &interrupt)
        }
        Command::Doctor(command) => {
            doctor::run(command, file.as_ref(), &cli.global, terminal, &interrupt)
        }
        Command::Data(command) => data::run(command, &cli.global, terminal, &interrupt),
        Command::Report(command) => report::run(command, &cli.global, terminal, &interrupt),
        // Its workers are threads of their own.
        Command::Sweep(_) | Command::Schedule(_) => Ok(()),
    })
}

/// One setting for rayon, gemm, candle and polars. candle asks for the number on every product,
/// and reads the processor's description each time unless the variable is set.
fn set_threads(n_threads: Option<usize>) -> Result<()> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let n_threads = n_threads.unwrap_or_else(cores);
    for variable in ["RAYON_NUM_THREADS", "POLARS_MAX_THREADS"] {
        // SAFETY: no other thread runs yet; the first ones start below.
        unsafe { std::env::set_var(variable, n_threads.to_string()) };
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(n_threads)
        .stack_size(STACK_BYTES)
        .build_global()
        .context("cannot start the worker threads")
}

fn log(verbose: u8) {
    let level = ["warn", "info", "debug"][usize::from(verbose.min(2))];
    let ours = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,hourglass={level}")));
    tracing_subscriber::fmt().with_env_filter(ours).with_writer(std::io::stderr).init();
}

/// The first Ctrl-C lets the current step finish and saves; the second ends the program.
fn listen(interrupt: &Interrupt) -> Result<()> {
    let interrupt = interrupt.clone();
    ctrlc::set_handler(move || {
        if interrupt.is_raised() {
            std::process::exit(130);
        }
        line("stopping after this step; press Ctrl-C again to stop at once");
        interrupt.raise();
    })
    .context("cannot listen for Ctrl-C")
}

fn complain(error: &anyhow::Error) -> ExitCode {
    if error.is::<doctor::Sick>() {
        // What is wrong is printed already.
        return ExitCode::from(3);
    }
    let sweep = error.downcast_ref::<hourglass_sweep::Error>();
    let ours = match sweep {
        Some(hourglass_sweep::Error::Pipeline(error)) => Some(error),
        _ => error.downcast_ref::<Error>(),
    };
    if let Some(Error::File(file)) = ours {
        // It has the position, the line and the way out.
        let text = if std::io::stderr().is_terminal() {
            file.styled().to_owned()
        } else {
            file.to_string()
        };
        line(text.trim_end());
        return ExitCode::from(2);
    }
    line(&format!("error: {}", chain(error)));
    match sweep {
        Some(error) if error.is_interrupt() => return ExitCode::from(130),
        Some(error) if error.is_mistake() => return ExitCode::from(2),
        _ => {}
    }
    match ours {
        Some(error) if error.is_interrupt() => ExitCode::from(130),
        Some(error) if error.is_mistake() => ExitCode::from(2),
        _ if error.is::<doctor::UnknownFinding>() => ExitCode::from(2),
        _ => match error.downcast_ref::<hourglass_data::Error>() {
            Some(hourglass_data::Error::UnknownDataset { .. }) => ExitCode::from(2),
            _ => ExitCode::from(1),
        },
    }
}

/// The error and its causes, each once; hints last, since they are lines of their own.
fn chain(error: &anyhow::Error) -> String {
    let mut said = Vec::new();
    let mut hints = Vec::new();
    for cause in error.chain() {
        for text in cause.to_string().lines() {
            let list = if text.starts_with("hint:") { &mut hints } else { &mut said };
            if !list.iter().any(|earlier: &String| earlier.contains(text)) {
                list.push(text.to_owned());
            }
        }
    }
    let hints: String = hints.iter().map(|hint| format!("\n{hint}")).collect();
    said.join(": ") + &hints
}
