//! What can be typed: commands, options and their help. Nothing is done here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hourglass_sweep::ExportFormat;

/// Do autoencoder features help my downstream model, by how much, and if not, why not?
#[derive(Debug, Parser)]
#[command(name = "hourglass", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Folder to look for data sets in, before HOURGLASS_DATA_DIR and data/
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder of runs and of the stage cache
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "HOURGLASS_RUNS_DIR",
        default_value = "runs"
    )]
    pub runs_dir: PathBuf,
    /// Threads to work with; results don't depend on it [default: one a core]
    #[arg(long, global = true, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<usize>,
    /// Say more; twice for everything (RUST_LOG goes further)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a number of 1 or more".to_owned()),
        Ok(n_threads) => Ok(n_threads),
    }
}

fn parse_jobs(text: &str) -> Result<usize, String> {
    parse_threads(text)
}

fn parse_export(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match ExportFormat::of(&path) {
        Some(_) => Ok(path),
        None => Err("must end in .csv, .json or .parquet".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run, check and explain pipeline files
    #[command(subcommand)]
    Pipeline(PipelineCommand),
    /// What goes wrong with an autoencoder, how that shows, and what would help
    #[command(subcommand)]
    Doctor(DoctorCommand),
    /// The catalogue of public data sets
    #[command(subcommand)]
    Data(DataCommand),
    /// Reports of finished runs, benchmarks of many
    #[command(subcommand)]
    Report(ReportCommand),
    /// Search for better values: studies, workers, the best trial
    #[command(subcommand)]
    Sweep(SweepCommand),
    /// Sweeps that go on by themselves: which are due, and who fires them
    #[command(subcommand)]
    Schedule(ScheduleCommand),
}

#[derive(Debug, Subcommand)]
pub enum PipelineCommand {
    /// Run a pipeline and write its report; what the cache holds is not run again
    Run {
        #[command(flatten)]
        file: PipelineFile,
        /// Run every stage again, whatever the cache holds
        #[arg(long)]
        force: bool,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Train on a table that doesn't fit memory, and write the features of all its rows
    Stream {
        #[command(flatten)]
        file: PipelineFile,
        /// Begin anew, whatever an earlier call left
        #[arg(long)]
        force: bool,
        /// Print JSON, and nothing else, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Check a pipeline file without running it
    Check {
        #[command(flatten)]
        file: PipelineFile,
    },
    /// Show the stages, which of them the cache holds, and why the others would run
    Explain {
        #[command(flatten)]
        file: PipelineFile,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Draw the stage graph
    Graph {
        #[command(flatten)]
        file: PipelineFile,
        /// Language of the drawing
        #[arg(long, value_enum, default_value = "text")]
        format: GraphFormat,
    },
    /// What each key is worth: one at a time goes back to its default, with the same seeds,
    /// measured on validation rows
    Ablate {
        #[command(flatten)]
        file: PipelineFile,
        /// Change this key alone: KEY for its default, or KEY=VALUE [default: every key that the
        /// file sets away from its default]
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<String>,
        /// Runs at a time, a thread each; with 1, on all threads
        #[arg(long, value_name = "N", default_value = "1", value_parser = parse_jobs)]
        jobs: usize,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Find a learning rate: a few steps at rising rates, the losses as a page, a suggestion
    Lr {
        #[command(flatten)]
        file: PipelineFile,
        /// First rate
        #[arg(long, value_name = "RATE", default_value_t = 1e-6)]
        from: f64,
        /// Last rate
        #[arg(long, value_name = "RATE", default_value_t = 10.0)]
        to: f64,
        /// Steps between them
        #[arg(long, value_name = "N", default_value_t = 200)]
        steps: usize,
        /// Page to write [default: NAME-lr.html in the folder of runs]
        #[arg(long, value_name = "PATH")]
        page: Option<PathBuf>,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        /// Print JSON, and nothing else, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Write the reference page of pipeline files
    Reference {
        /// File to write [default: standard output]
        #[arg(long, value_name = "PATH")]
        write: Option<PathBuf>,
    },
    /// Write the JSON schema of pipeline files, for completion in editors
    Schema {
        /// File to write [default: standard output]
        #[arg(long, value_name = "PATH")]
        write: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum DoctorCommand {
    /// Look at a pipeline file and its data; nothing is trained
    Check {
        #[command(flatten)]
        file: PipelineFile,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        /// Print JSON, and nothing else, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Look at a run, finished or not
    Examine {
        /// Run directory [default: the latest run]
        run: Option<PathBuf>,
        /// The repeat whose training and model are looked at; with folds, each fold counts
        #[arg(long, value_name = "N", default_value = "1", value_parser = parse_threads)]
        repeat: usize,
        /// Print JSON, and nothing else, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Try the cures of what is found, one at a time, and keep what helps on validation rows; the
    /// cured file lies beside the run
    Treat {
        /// Pipeline file or run directory [default: the latest run]
        #[arg(value_name = "RUN|FILE")]
        path: Option<PathBuf>,
        /// Override a value, as in --set train.epochs=5
        #[arg(long = "set", value_name = "KEY=VALUE")]
        overrides: Vec<String>,
        /// Cures to try at most
        #[arg(long, value_name = "N", default_value_t = 10)]
        trials: usize,
        /// Minutes after which no cure is begun [default: no limit]
        #[arg(long, value_name = "M")]
        minutes: Option<f64>,
        /// Treat this finding alone
        #[arg(long, value_name = "ID")]
        only: Option<String>,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        /// Print JSON, and nothing else, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Examine the doctor: files made sick, and healthy twins; what it misses, and false alarms
    Clinic {
        /// Folder of `FINDING.toml`, `FINDING-what.toml` and `*.healthy.toml`
        #[arg(value_name = "DIR", default_value = "pipelines/clinic")]
        dir: PathBuf,
        /// Seeds of each file
        #[arg(long, value_name = "N", default_value = "3", value_parser = parse_threads)]
        seeds: usize,
        /// Only files whose name begins so
        #[arg(long, value_name = "NAME", default_value = "")]
        only: String,
        /// Also run the files of a folder that must be healthy; their repeats count as seeds
        #[arg(long, value_name = "DIR")]
        healthy: Option<PathBuf>,
        /// Also try the cures of each sick file
        #[arg(long)]
        treat: bool,
        /// Cures to try at most, of each file
        #[arg(long, value_name = "N", default_value_t = 4, requires = "treat")]
        trials: usize,
        /// Runs at a time, a thread each [default: one a core]
        #[arg(long, value_name = "N", value_parser = parse_jobs)]
        jobs: Option<usize>,
        /// Override a value of every file, as in --set repeats=1
        #[arg(long = "set", value_name = "KEY=VALUE")]
        overrides: Vec<String>,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        format: TableFormat,
    },
    /// What a finding means, how it is measured and what helps
    Explain {
        /// Identifier of the finding [default: list them all]
        id: Option<String>,
        /// Write the page of every finding into a folder
        #[arg(long, value_name = "DIR", conflicts_with = "id")]
        write: Option<PathBuf>,
    },
}

/// A pipeline file with overrides.
#[derive(Debug, Args)]
pub struct PipelineFile {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub path: PathBuf,
    /// Override a value, as in --set train.epochs=5
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// How a table is printed.
#[derive(Clone, Copy, Debug, Args)]
#[group(multiple = false)]
pub struct TableFormat {
    /// Print comma-separated values, and nothing else, on standard output
    #[arg(long)]
    pub csv: bool,
    /// Print JSON, and nothing else, on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum GraphFormat {
    Text,
    Mermaid,
    Dot,
}

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets of the catalogue
    List {
        #[command(flatten)]
        format: TableFormat,
    },
    /// Count and measure a data set
    Describe {
        /// Name in the catalogue
        name: String,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Fetch a data set and verify it
    Download {
        /// Name in the catalogue
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// Show the results of a run
    Show {
        /// Run directory [default: the latest run]
        run: Option<PathBuf>,
        #[command(flatten)]
        format: TableFormat,
        /// Print the whole report as Markdown
        #[arg(long, conflicts_with_all = ["csv", "json"])]
        markdown: bool,
    },
    /// Run every pipeline of a folder and write one benchmark report; what the cache holds is not
    /// run again
    Suite {
        /// Folder of pipeline files
        dir: PathBuf,
        /// At most two repeats and twenty epochs each
        #[arg(long)]
        quick: bool,
        /// Pipelines at a time
        #[arg(long, value_name = "N", default_value = "1", value_parser = parse_jobs)]
        jobs: usize,
        /// Override a value of every pipeline, as in --set repeats=1
        #[arg(long = "set", value_name = "KEY=VALUE")]
        overrides: Vec<String>,
        /// Also write the report as Markdown to this file
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        /// Print the report as JSON, and nothing else, on standard output
        #[arg(long)]
        json: bool,
    },
    /// Show what differs between two runs, in settings and in results
    Compare {
        /// Run directory
        first: PathBuf,
        /// Run directory to compare it with [default: the latest run]
        second: Option<PathBuf>,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Run a run, or all runs of a suite, again, from nothing, and say which bytes differ
    Verify {
        /// Run directory, or that of a suite [default: the latest run]
        run: Option<PathBuf>,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Open the page of a run in the browser
    Open {
        /// Run directory, or that of a suite [default: the latest run]
        run: Option<PathBuf>,
    },
}

/// Where studies lie.
#[derive(Debug, Args)]
pub struct StoreOption {
    /// Store of studies: a file, or postgres://user:password@host/database [default: studies.db in
    /// the folder of runs]
    #[arg(long, value_name = "URL", env = "HOURGLASS_STORE", hide_env_values = true)]
    pub store: Option<String>,
}

/// A study in its store.
#[derive(Debug, Args)]
pub struct StudyOption {
    #[command(flatten)]
    pub store: StoreOption,
    /// Name of the study [default: the latest]
    #[arg(long, value_name = "NAME")]
    pub study: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum SweepCommand {
    /// Run the `search` table of a pipeline file, or go on with it; then read the winner on test
    Run {
        #[command(flatten)]
        file: PipelineFile,
        #[command(flatten)]
        store: StoreOption,
        /// Workers at once; 0 begins the study for workers that join it [default: as many as fit]
        #[arg(long, value_name = "N")]
        workers: Option<usize>,
        /// Trials to add to those that the study has [default: up to `trials` of the file]
        #[arg(long, value_name = "N")]
        more: Option<u64>,
        /// Minutes after which no trial is begun [default: those of the file]
        #[arg(long, value_name = "M")]
        minutes: Option<f64>,
        /// Seconds that a worker may be silent before its trial is another's
        #[arg(long, value_name = "SECONDS")]
        lease: Option<f64>,
        /// Don't read the winner on test
        #[arg(long)]
        no_test: bool,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
    },
    /// Join a study as a worker, from this machine or any other
    Worker {
        #[command(flatten)]
        study: StudyOption,
        /// Name of the worker, unique among those of the study [default: machine and process]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
        /// Stop when standard input ends
        #[arg(long, hide = true)]
        with_parent: bool,
    },
    /// Start workers on a cluster
    Submit {
        #[command(flatten)]
        file: PipelineFile,
        #[command(flatten)]
        store: StoreOption,
        /// Who starts them
        #[arg(long, value_enum)]
        engine: Engine,
        /// Print the script or manifest, and do nothing
        #[arg(long)]
        dry_run: bool,
        /// Workers at once
        #[arg(long, value_name = "N", default_value = "4", value_parser = parse_threads)]
        workers: usize,
        /// Longest time of a task in minutes
        #[arg(long, value_name = "M")]
        minutes: Option<u64>,
        /// Memory of a worker, as the engine writes it
        #[arg(long, value_name = "AMOUNT")]
        memory: Option<String>,
        /// Slurm partition
        #[arg(long, value_name = "NAME")]
        partition: Option<String>,
        /// Container image (Kubernetes)
        #[arg(long, value_name = "IMAGE", default_value = "hourglass:latest")]
        image: String,
    },
    /// Show how a study stands
    Status {
        #[command(flatten)]
        study: StudyOption,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Show all trials of a study, and write its page
    Show {
        #[command(flatten)]
        study: StudyOption,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Print the best trial as a pipeline file, which `pipeline run` takes
    Best {
        #[command(flatten)]
        study: StudyOption,
        /// Another trial than the best
        #[arg(long, value_name = "NUMBER")]
        trial: Option<u64>,
        /// File to write [default: standard output]
        #[arg(long, value_name = "PATH")]
        write: Option<PathBuf>,
    },
    /// Ask all workers of a study to begin no more trials
    Stop {
        #[command(flatten)]
        study: StudyOption,
    },
    /// Write all trials to a file: .csv, .json or .parquet
    Export {
        /// The file
        #[arg(value_name = "PATH", value_parser = parse_export)]
        path: PathBuf,
        #[command(flatten)]
        study: StudyOption,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Engine {
    Slurm,
    Kubernetes,
}

#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Fire every schedule of a folder or file at its time, until Ctrl-C
    Run {
        /// Folder of pipeline files, or one of them
        #[arg(value_name = "PATH")]
        path: PathBuf,
        #[command(flatten)]
        store: StoreOption,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
    },
    /// Fire what is due now, once
    Tick {
        /// Folder of pipeline files, or one of them
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// What is due at this time instead of now, as in 2026-03-28T12:00:00Z
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        #[command(flatten)]
        store: StoreOption,
        /// Never open a network connection
        #[arg(long)]
        offline: bool,
    },
    /// Show when a file is due next
    Next {
        /// The pipeline file
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// How many times
        #[arg(short, value_name = "N", default_value = "5")]
        n: usize,
        /// After this time instead of now, as in 2026-03-28T12:00:00Z
        #[arg(long, value_name = "TIME")]
        after: Option<String>,
        #[command(flatten)]
        format: TableFormat,
    },
    /// Write a schedule for systemd, crontab or Kubernetes
    Emit {
        /// The pipeline file
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// For whom
        #[arg(long, value_enum)]
        format: EmitFormat,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum EmitFormat {
    Systemd,
    Crontab,
    Kubernetes,
}
